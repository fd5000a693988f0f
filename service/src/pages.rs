//! The web client's pages, embedded when this crate was built.
//!
//! Routes say who looks at what (`/teacher/{lesson}`); the page reads the lesson from its
//! address and the token from the fragment, which never reaches a server or its logs.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use memory_serve::{Asset, CacheControl, MemoryServe};

const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Routes and the page each shows.
const PAGES: [(&str, &str); 9] = [
    ("/teacher/{lesson}", "/teacher.html"),
    ("/classroom/{lesson}", "/classroom.html"),
    ("/student/{lesson}", "/student.html"),
    ("/assistant/{lesson}", "/assistant.html"),
    ("/observer/{lesson}", "/observer.html"),
    ("/library", "/library.html"),
    ("/report/{lesson}", "/report.html"),
    ("/timetable", "/timetable.html"),
    ("/patrol", "/patrol.html"),
];

const INDEX: &str = "/index.html";

/// Files under this path carry a hash of their content in their name.
const HASHED: &str = "/assets/";

/// Scripts come from us alone. Media, pictures and connections may go to other nodes and to
/// the recorder, whose addresses a page learns at run time.
const CSP: &str = "default-src 'self'; script-src 'self'; style-src 'self'; \
    img-src 'self' data: blob: http: https:; font-src 'self' data:; \
    media-src 'self' blob: http: https:; worker-src 'self' blob:; \
    connect-src 'self' http: https: ws: wss:; object-src 'none'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";

const PERMISSIONS: &str = "camera=(self), microphone=(self), display-capture=(self), \
    autoplay=(self), fullscreen=(self), geolocation=(), payment=(), usb=()";

/// Whether the real client is in this binary, or the page that says how to build it.
#[must_use]
pub fn built() -> bool {
    env!("CLOUDSCHOOL_WEB") == "built"
}

/// All pages and their assets. To be called once: what it serves stays in memory.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut pages = MemoryServe::new(ASSETS)
        .index_file(Some(INDEX))
        .html_cache_control(CacheControl::NoCache)
        .cache_control(CacheControl::Long);
    for (route, page) in PAGES {
        pages = pages.add_alias(route, if built() { page } else { INDEX });
    }
    pages.into_router::<S>().layer(from_fn(headers))
}

async fn headers(request: Request, next: Next) -> Response {
    let hashed = request.uri().path().starts_with(HASHED);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if !hashed {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    let html = headers.get(CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"text/html"));
    if html {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        let csp = HeaderName::from_static("content-security-policy");
        headers.insert(csp, HeaderValue::from_static(CSP));
        let permissions = HeaderName::from_static("permissions-policy");
        headers.insert(permissions, HeaderValue::from_static(PERMISSIONS));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::StatusCode;
    use tower::ServiceExt;

    async fn get(path: &str) -> Response {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        router::<()>().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn every_page_is_there_with_its_headers_and_is_asked_for_anew() {
        let own = ["/teacher/m", "/classroom/m", "/student/m", "/assistant/m", "/observer/m"];
        for path in own.into_iter().chain(["/", "/library", "/report/m", "/timetable"]) {
            let response = get(path).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let headers = response.headers();
            assert_eq!(headers[CACHE_CONTROL], "no-cache");
            assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
            let csp = headers["content-security-policy"].to_str().unwrap();
            assert!(csp.contains("script-src 'self';") && !csp.contains("unsafe"), "{csp}");
            let allowed = headers["permissions-policy"].to_str().unwrap();
            assert!(allowed.contains("camera=(self)"));
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_found() {
        assert_eq!(get("/teacher").await.status(), StatusCode::NOT_FOUND);
        assert_eq!(get("/assets/none.js").await.status(), StatusCode::NOT_FOUND);
    }
}
