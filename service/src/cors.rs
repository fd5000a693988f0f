//! Cross-origin requests (WHATWG Fetch §3.2): any origin may call the APIs, which take bearer
//! tokens and no cookies. Preflights are answered here; an OPTIONS request that is none goes on
//! to the address, for which it means something (RFC 9725 §4.1).

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderValue,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const METHODS: &str = "GET, HEAD, POST, PATCH, DELETE, OPTIONS";
/// Request headers a page may set.
const REQUEST_HEADERS: &str =
    "accept, accept-language, authorization, content-type, if-match, if-none-match, range";
/// Answer headers a page may read.
const EXPOSED: &str = "accept-patch, accept-post, accept-ranges, content-length, content-range, \
    etag, link, location, retry-after, www-authenticate";
/// Seconds a browser may remember the answer to a preflight.
const MAX_AGE: &str = "3600";

/// The layer.
pub async fn cors(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let text = HeaderValue::from_static;
    let mut response = if preflight {
        let allowed = [
            (ACCESS_CONTROL_ALLOW_METHODS, text(METHODS)),
            (ACCESS_CONTROL_ALLOW_HEADERS, text(REQUEST_HEADERS)),
            (ACCESS_CONTROL_MAX_AGE, text(MAX_AGE)),
        ];
        (StatusCode::NO_CONTENT, allowed).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, text("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, text(EXPOSED));
    response
}
