//! Asking a node over HTTP: one request a connection.

use super::{Dial, DialError, site};
use cloudschool_protocol::refusal::Lang;
use http::header::{ACCEPT_LANGUAGE, HOST, HeaderValue};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// How long an HTTP answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Most bytes of an answer: a session description with many lines fits.
const ANSWER: usize = 256 * 1024;

/// What a node answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Dial {
    /// Asks a node something over HTTP.
    pub(crate) async fn ask(
        &self,
        url: &Url,
        request: http::request::Builder,
        body: String,
    ) -> Result<Answer, DialError> {
        let no_http = |why: String| DialError::NoHttp(site(url), why);
        let request = self.request(url, request, body).map_err(|e| no_http(e.to_string()))?;
        let stream = self.connect(url).await?;
        let asking = async {
            let io = TokioIo::new(stream);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            let connection = tokio::spawn(connection);
            let answer = sender.send_request(request).await?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER).collect().await;
            connection.abort();
            Ok::<_, hyper::Error>((parts, body))
        };
        let answered = timeout(ANSWER_WITHIN, asking).await;
        let answered = answered.map_err(|_| DialError::Silent(site(url)))?;
        let (parts, body) = answered.map_err(|e| no_http(e.to_string()))?;
        let body = body.map_err(|e| {
            no_http(match e.downcast::<LengthLimitError>() {
                Ok(_) => format!("it is longer than {ANSWER} bytes"),
                Err(other) => other.to_string(),
            })
        })?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok(Answer { status: parts.status, headers: parts.headers, text })
    }

    fn request(
        &self,
        url: &Url,
        request: http::request::Builder,
        body: String,
    ) -> http::Result<Request<Full<Bytes>>> {
        let lang = match self.lang {
            Lang::Zh => "zh-CN",
            Lang::En => "en",
        };
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        request
            .uri(target)
            .header(HOST, HeaderValue::from_str(host)?)
            .header(ACCEPT_LANGUAGE, lang)
            .body(Full::from(body))
    }
}
