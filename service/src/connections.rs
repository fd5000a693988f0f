//! Serving HTTP/1.1 on connections as they come. Who comes and says nothing, or a word an hour,
//! keeps its connection only so long: connections are few, and others want them.

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// How long a request's head may take to come, and how long a connection may be idle before it
/// does: longer than reverse proxies keep theirs (60 s), which then close first.
pub const HEAD_WITHIN: Duration = Duration::from_secs(75);

/// How long requests may take to finish once the process goes down.
const GRACE: Duration = Duration::from_secs(5);

/// Serves `router` on what `listener` accepts, until `shutdown` and not much longer.
pub async fn serve<L>(
    mut listener: L,
    router: Router,
    head_within: Duration,
    shutdown: CancellationToken,
) where
    L: Listener<Addr = SocketAddr>,
{
    let open = TaskTracker::new();
    loop {
        let (io, peer) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        open.spawn(connection(io, peer, router.clone(), head_within, shutdown.clone()));
    }
    drop(listener);
    open.close();
    if timeout(GRACE, open.wait()).await.is_err() {
        tracing::info!(open = open.len(), "some requests did not finish in time");
    }
}

async fn connection(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    head_within: Duration,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_within);
    let connection = builder.serve_connection(TokioIo::new(io), service).with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// Far longer than it takes.
    const SOON: Duration = Duration::from_secs(30);

    async fn served(head_within: Duration) -> (SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let whence =
            get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.port().to_string());
        let router = Router::new().route("/", whence);
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(listener, router, head_within, shutdown.clone()));
        (address, shutdown)
    }

    #[tokio::test]
    async fn a_request_that_never_ends_to_begin_loses_its_connection() {
        let (address, _shutdown) = served(Duration::from_millis(500)).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        let mut silent = TcpStream::connect(address).await.unwrap();
        let (mut from, mut to) = slow.split();
        let mut answer = Vec::new();
        let trickle = async {
            to.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: ").await.unwrap();
            // Fails when the node has closed it.
            while to.write_all(b"y").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            std::future::pending().await
        };
        tokio::select! {
            // At its end, or broken: it is closed.
            closed = timeout(SOON, from.read_to_end(&mut answer)) => drop(closed.expect("it is kept")),
            () = trickle => {}
        }
        let mut rest = Vec::new();
        drop(timeout(SOON, silent.read_to_end(&mut rest)).await.expect("it is kept"));
        assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
    }

    #[tokio::test]
    async fn handlers_know_who_asks_and_an_end_closes_idle_connections() {
        let (address, shutdown) = served(HEAD_WITHIN).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let port = stream.local_addr().unwrap().port().to_string();
        let mut answer = String::new();
        let heard = async {
            while !answer.ends_with(&port) {
                let mut bytes = [0; 256];
                let read = stream.read(&mut bytes).await.unwrap();
                assert!(read > 0, "{answer}");
                answer.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            }
        };
        timeout(SOON, heard).await.unwrap();
        shutdown.cancel();
        let mut rest = Vec::new();
        timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    }
}
