//! What a school's node shows over plain HTTP to browsers of other machines. Browsers give a
//! page camera and microphone over HTTPS alone, so pages are sent there; where the campus's
//! own CA stands behind it, people are first told how a device comes to know it.

use crate::school::papers::{Https, Shown};
use axum::extract::{ConnectInfo, Request};
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Router, routing::get};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloudschool_protocol::refusal::Lang;
use std::net::SocketAddr;
use std::sync::Arc;

const PAGE_ZH: &str = include_str!("trust.zh.html");
const PAGE_EN: &str = include_str!("trust.en.html");

/// Where the CA's certificate is fetched from, in the form every system installs.
const CA: &str = "/campus-ca.crt";

/// `router` as it is served over plain HTTP beside HTTPS.
pub fn beside(router: Router, https: Arc<Https>) -> Router {
    let shown = https.shown();
    let ca = get({
        let shown = shown.clone();
        async move || certificate(&shown.borrow())
    });
    let port = https.bind.port();
    router.route(CA, ca).layer(from_fn(move |request: Request, next: Next| {
        let shown = shown.borrow().clone();
        async move {
            match elsewhere(&request, &shown, port) {
                Some(answer) => answer,
                None => next.run(request).await,
            }
        }
    }))
}

/// The answer to who should not be here.
fn elsewhere(request: &Request, shown: &Shown, port: u16) -> Option<Response> {
    let page = request.method() == Method::GET
        && header(request.headers(), ACCEPT.as_str()).contains("text/html")
        && !request.uri().path().starts_with("/api/");
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let here = peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    if !page || here {
        return None;
    }
    let host = header(request.headers(), HOST.as_str());
    let host = host_alone(host);
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    match shown {
        Shown::Nothing => None,
        Shown::Public { name } => {
            let name = name.as_deref().unwrap_or(host);
            Some(Redirect::temporary(&format!("https://{name}{port}{path}")).into_response())
        }
        Shown::OfCampus { .. } => {
            let lang = Lang::from_tag(header(request.headers(), "accept-language"));
            let text = if lang == Lang::En { PAGE_EN } else { PAGE_ZH };
            // The rest of the address, the token among it, is in the fragment: the page's
            // script adds it, and it never comes here.
            let text = text.replace("{address}", &escaped(&format!("https://{host}{port}{path}")));
            Some(Html(text.replace("{ca}", CA)).into_response())
        }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// A `Host` without its port.
fn host_alone(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The CA's certificate in DER.
fn certificate(shown: &Shown) -> Response {
    let Shown::OfCampus { root } = shown else { return StatusCode::NOT_FOUND.into_response() };
    let body: String = root.lines().filter(|line| !line.starts_with("-----")).collect();
    match STANDARD.decode(body) {
        Ok(der) => {
            let kind = (CONTENT_TYPE, "application/x-x509-ca-cert");
            let name = (CONTENT_DISPOSITION, "attachment; filename=\"campus-ca.crt\"");
            ([kind, name], der).into_response()
        }
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn ask(peer: &str, accept: &str, path: &str) -> Request {
        let mut request = Request::builder()
            .uri(path)
            .header(HOST, "192.168.1.10:8090")
            .header(ACCEPT, accept)
            .header("accept-language", "en-GB")
            .body(Body::empty())
            .unwrap();
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    }

    const HTML: &str = "text/html,application/xhtml+xml";
    const TABLET: &str = "192.168.1.20:5555";

    #[test]
    fn a_page_is_sent_to_the_name_browsers_know() {
        let shown = Shown::Public { name: Some("school-02.edges.example".into()) };
        let answer = elsewhere(&ask(TABLET, HTML, "/student/math?a=1"), &shown, 443).unwrap();
        assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
        let to = "https://school-02.edges.example/student/math?a=1";
        assert_eq!(answer.headers()["location"], to);
        let unnamed = Shown::Public { name: None };
        let answer = elsewhere(&ask(TABLET, HTML, "/"), &unnamed, 8443).unwrap();
        assert_eq!(answer.headers()["location"], "https://192.168.1.10:8443/");
    }

    #[test]
    fn programs_this_machine_and_a_node_without_https_are_served_as_before() {
        let shown = Shown::Public { name: None };
        assert!(elsewhere(&ask(TABLET, "*/*", "/student/math"), &shown, 443).is_none());
        assert!(elsewhere(&ask(TABLET, HTML, "/api/lessons"), &shown, 443).is_none());
        assert!(elsewhere(&ask("127.0.0.1:1", HTML, "/"), &shown, 443).is_none());
        assert!(elsewhere(&ask(TABLET, HTML, "/"), &Shown::Nothing, 443).is_none());
    }

    #[tokio::test]
    async fn where_the_ca_is_not_known_people_are_told_how_a_device_learns_it() {
        let shown = Shown::OfCampus { root: String::new() };
        let page = |request: Request| {
            let answer = elsewhere(&request, &shown, 443).unwrap();
            async { axum::body::to_bytes(answer.into_body(), 100_000).await.unwrap() }
        };
        let text = page(ask(TABLET, HTML, "/student/math?a=1&b=2")).await;
        let text = std::str::from_utf8(&text).unwrap();
        for part in ["Windows", "Android", "iPhone", "UOS", CA, "https://192.168.1.10/student"] {
            assert!(text.contains(part), "{part}");
        }
        assert!(text.contains("math?a=1&amp;b=2\"") && !text.contains("{address}"));
        let mut odd = ask(TABLET, HTML, "/");
        odd.headers_mut().insert(HOST, "a\"><script>alert(1)".parse().unwrap());
        let odd = page(odd).await;
        assert!(!std::str::from_utf8(&odd).unwrap().contains("<script>alert"));
        for part in ["Windows", "安卓", "苹果", "统信", "{ca}"] {
            assert!(PAGE_ZH.contains(part), "{part}");
        }
    }

    #[test]
    fn a_hosts_port_is_not_its_name() {
        for (host, name) in
            [("a:80", "a"), ("a", "a"), ("[fd00::1]:80", "[fd00::1]"), ("[fd00::1]", "[fd00::1]")]
        {
            assert_eq!(host_alone(host), name);
        }
    }
}
