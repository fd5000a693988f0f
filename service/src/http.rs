//! Serving HTTP: the layers all our servers have, and an end that lets requests finish.
//!
//! Any origin may call the APIs: they take bearer tokens and no cookies, so a foreign page
//! can do nothing its reader didn't hand it a token for.

use crate::connections::{self, HEAD_WITHIN};
use crate::cors::cors;
use crate::problem::{self, Problem};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;

/// Largest request body. An SDP offer with a hundred m-lines has a third of it.
pub const MAX_BODY: usize = 256 * 1024;

/// How addresses end that take more, files and whole timetables: they bound a body themselves.
pub const LARGER: [&str; 2] = ["/assets", "/api/timetable"];

/// How much of a body over the limit is read away, so that its sender, which usually writes
/// all before it reads, sees the answer rather than a broken connection.
const DRAIN_BYTES: u64 = 64 * 1024 * 1024;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Why serving failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(
        "port {port} is in use by another program: stop it, or choose another port in [http] bind \
         (now {address})", port = address.port()
    )]
    InUse { address: SocketAddr },
    #[error("[http] bind = \"{address}\" can't be served: {source}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("HTTP can't be served: {0}")]
    Serve(#[from] io::Error),
}

/// Takes the address, so that a port in use is found before anything else starts.
///
/// # Errors
/// [`ServeError`] that names the port and the configuration key.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse { address },
        _ => ServeError::Bind { address, source },
    })
}

/// Serves `router` at `address` until `shutdown`, then lets running requests finish.
///
/// # Errors
/// [`ServeError`] when the address can't be had.
pub async fn serve(
    address: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    serve_on(bind(address).await?, router, shutdown).await;
    Ok(())
}

/// [`serve`] at an address already [taken](bind).
pub async fn serve_on(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    connections::serve(listener, layered(router), HEAD_WITHIN, shutdown).await;
}

/// `router` with the layers every server of ours has: body limit, problems in the language
/// of the request, CORS, and headers that keep browsers from guessing.
pub fn layered(router: Router) -> Router {
    let header = |name, value| {
        SetResponseHeaderLayer::if_not_present(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    router
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(refuse_large))
        .layer(from_fn(problem::localised))
        .layer(header("x-content-type-options", "nosniff"))
        .layer(header("referrer-policy", "no-referrer"))
        .layer(from_fn(cors))
}

/// Answers 413 to a body that announces more than [`MAX_BODY`].
async fn refuse_large(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    match length {
        Some(length) if length > MAX_BODY as u64 && !takes_more(request.uri().path()) => {
            if length <= DRAIN_BYTES {
                drain(request.into_body()).await;
            }
            Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE).into_response()
        }
        _ => next.run(request).await,
    }
}

fn takes_more(path: &str) -> bool {
    LARGER.iter().any(|end| path.ends_with(end))
}

/// Reads the rest of a body away, within bounds, so that its sender sees the answer.
pub async fn drain(mut body: Body) {
    let mut left = DRAIN_BYTES;
    let drained = async {
        while let Some(Ok(frame)) = body.frame().await {
            let read = frame.data_ref().map_or(0, |data| data.len() as u64);
            left = match left.checked_sub(read) {
                Some(left) => left,
                None => return,
            };
        }
    };
    // Too slow is as good as drained: the connection is closed either way.
    let _ = tokio::time::timeout(DRAIN_TIME, drained).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Method;
    use axum::routing::{options, post};

    async fn started() -> (String, CancellationToken, tokio::task::JoinHandle<()>) {
        let length = post(async |body: String| body.len().to_string());
        let router = Router::new()
            .route("/len", length)
            .route("/options", options(async || [("accept-post", "text/plain")]));
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let token = CancellationToken::new();
        let task = tokio::spawn(serve_on(listener, router, token.clone()));
        (url, token, task)
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_answered_413_whole() {
        let (url, token, task) = started().await;
        let client = reqwest::Client::new();
        let big = vec![b'x'; 10 * 1024 * 1024];
        let answer = client.post(format!("{url}/len")).body(big).send().await.unwrap();
        assert_eq!(answer.status(), 413);
        assert_eq!(answer.headers()["content-type"], problem::MEDIA_TYPE);
        let fits = vec![b'x'; MAX_BODY];
        let answer = client.post(format!("{url}/len")).body(fits).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), MAX_BODY.to_string());
        drop(client);
        token.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_page_of_another_origin_may_call_with_a_token() {
        let (url, token, task) = started().await;
        let client = reqwest::Client::new();
        let preflight = client
            .request(Method::OPTIONS, format!("{url}/len"))
            .header("origin", "https://library.example")
            .header("access-control-request-method", "DELETE")
            .header("access-control-request-headers", "authorization,content-type")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
        let allowed = preflight.headers()["access-control-allow-headers"].to_str().unwrap();
        assert!(allowed.contains("authorization"), "{allowed}");
        let refused = client
            .get(format!("{url}/nowhere"))
            .header("origin", "https://library.example")
            .send()
            .await
            .unwrap();
        assert_eq!(refused.headers()["access-control-allow-origin"], "*");
        assert_eq!(refused.headers()["x-content-type-options"], "nosniff");
        let exposed = refused.headers()["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.contains("location") && exposed.contains("link"), "{exposed}");
        let asked = client.request(Method::OPTIONS, format!("{url}/options")).send().await.unwrap();
        assert_eq!(asked.headers()["accept-post"], "text/plain", "it is no preflight");
        drop(client);
        token.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_key() {
        let taken = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = taken.local_addr().unwrap();
        let err = serve(address, Router::new(), CancellationToken::new()).await.unwrap_err();
        let text = err.to_string();
        assert!(
            text.contains(&address.port().to_string()) && text.contains("[http] bind"),
            "{text}"
        );
    }
}
