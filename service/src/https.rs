//! Serving HTTPS with a certificate that may change while it is served: connections made from
//! then on show the new one.

use crate::http::{ServeError, finishing, layered};
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// TLS handshakes at once: a whole school that opens its pages at the bell.
const HANDSHAKES: usize = 256;

/// For one of them.
const LIMIT: Duration = Duration::from_secs(10);

/// After the system refused a connection, as for want of file descriptors.
const REST: Duration = Duration::from_millis(200);

/// A certificate and key that can't be served with.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    #[error("there is no certificate in PEM")]
    NoCertificate,
    #[error("there is no private key in PEM")]
    NoKey,
    #[error("certificate and key don't fit each other: {0}")]
    Unusable(#[from] rustls::Error),
}

/// What HTTPS is served with now.
#[derive(Debug, Default)]
pub struct Certificates(RwLock<Option<Arc<CertifiedKey>>>);

impl Certificates {
    /// Takes a chain and its key, both PEM.
    ///
    /// # Errors
    /// [`BadCertificate`]; then what was served goes on being served.
    pub fn set(&self, chain: &str, key: &str) -> Result<(), BadCertificate> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        let chain = chain.ok().filter(|c| !c.is_empty()).ok_or(BadCertificate::NoCertificate)?;
        let key =
            PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| BadCertificate::NoKey)?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let pair = CertifiedKey::from_der(chain, key, &provider)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(pair));
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves `router` over TLS on a listener already taken, until `shutdown`.
///
/// # Errors
/// [`ServeError::Serve`].
pub async fn serve_on(
    listener: TcpListener,
    router: Router,
    certificates: Arc<Certificates>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let address = listener.local_addr()?;
    let (ready, shaken) = mpsc::channel(16);
    let accepting = tokio::spawn(accept(listener, Arc::new(tls).into(), ready));
    let app = layered(router).layer(from_fn(address_of_peer));
    let app = app.into_make_service_with_connect_info::<Remote>();
    let server = axum::serve(TlsListener { shaken, address }, app)
        .with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let served = finishing(server.into_future(), shutdown).await;
    accepting.abort();
    served
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        // A handshake that is not finished holds up nobody but itself.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(REST).await;
                continue;
            }
        };
        let (tls, ready) = (tls.clone(), ready.clone());
        tokio::spawn(async move {
            stream.set_nodelay(true).ok();
            match timeout(LIMIT, tls.accept(stream)).await {
                // Fails when the server is going down.
                Ok(Ok(stream)) => drop(ready.send((stream, peer)).await),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
                Err(_) => tracing::debug!(%peer, "no TLS in time"),
            }
            drop(place);
        });
    }
}

struct TlsListener {
    shaken: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.shaken.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// The peer of a TLS connection.
#[derive(Debug, Clone, Copy)]
struct Remote(SocketAddr);

impl Connected<IncomingStream<'_, TlsListener>> for Remote {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Handlers know peers as they know them over plain HTTP.
async fn address_of_peer(mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(Remote(peer))) = request.extensions().get().copied() {
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
    }
    next.run(request).await
}
