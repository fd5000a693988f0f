//! Serving HTTPS with a certificate that may change while it is served: connections made from
//! then on show the new one.

use crate::connections::{self, HEAD_WITHIN};
use crate::http::{ServeError, layered};
use axum::Router;
use axum::serve::Listener;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// TLS handshakes at once: a whole school that opens its pages at the bell. For one more the
/// oldest is given up, so that who begins many and ends none keeps nobody out.
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
    let listener = TlsListener { shaken, address };
    connections::serve(listener, layered(router), HEAD_WITHIN, shutdown).await;
    accepting.abort();
    Ok(())
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let mut begun: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(REST).await;
                continue;
            }
        };
        begun.retain(|handshake| !handshake.is_finished());
        if begun.len() >= HANDSHAKES
            && let Some(oldest) = begun.pop_front()
        {
            oldest.abort();
        }
        let (tls, ready) = (tls.clone(), ready.clone());
        let handshake = tokio::spawn(async move {
            stream.set_nodelay(true).ok();
            match timeout(LIMIT, tls.accept(stream)).await {
                // Fails when the server is going down.
                Ok(Ok(stream)) => drop(ready.send((stream, peer)).await),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
                Err(_) => tracing::debug!(%peer, "no TLS in time"),
            }
        });
        begun.push_back(handshake.abort_handle());
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn who_begins_handshakes_and_ends_none_keeps_nobody_out() {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificates = Arc::new(Certificates::default());
        certificates.set(&own.cert.pem(), &own.signing_key.serialize_pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let shutdown = CancellationToken::new();
        tokio::spawn(serve_on(listener, router, certificates, shutdown));

        let begun = Instant::now();
        let mut silent = Vec::new();
        for _ in 0..HANDSHAKES {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut roots = rustls::RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = tokio_rustls::TlsConnector::from(Arc::new(tls));
        let stream = TcpStream::connect(address).await.unwrap();
        let mut page = tls.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let asked = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        page.write_all(asked).await.unwrap();
        let mut answer = String::new();
        page.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");
        assert!(begun.elapsed() < LIMIT, "it had to wait until the silent ones were given up");
        // The oldest made room; the others have their time.
        let mut byte = [0];
        assert_eq!(timeout(LIMIT, silent[0].read(&mut byte)).await.unwrap().unwrap_or(0), 0);
    }
}
