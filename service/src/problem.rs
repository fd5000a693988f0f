//! Error answers: RFC 9457 problem documents with one sentence a person can read, in the
//! language the request asked for (Chinese unless it prefers English).
//!
//! A handler returns a [`Problem`] without knowing the language; the layer [`localised`]
//! writes it out at the edge of the server, and turns the framework's own plain-text errors
//! into problems on the way.

use axum::Json;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cloudschool_protocol::refusal::{Lang, Refusal};
use serde_json::json;
use std::borrow::Cow;

/// Media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not served.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    kind: Option<String>,
    zh: Cow<'static, str>,
    en: Cow<'static, str>,
    headers: Box<HeaderMap>,
}

impl Problem {
    /// `zh` and `en` are each one whole sentence.
    pub fn new(
        status: StatusCode,
        zh: impl Into<Cow<'static, str>>,
        en: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, kind: None, zh: zh.into(), en: en.into(), headers: Box::default() }
    }

    /// The request is malformed.
    pub fn bad_request(zh: impl Into<Cow<'static, str>>, en: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, zh, en)
    }

    /// The sender is known and may not do this.
    pub fn forbidden(zh: impl Into<Cow<'static, str>>, en: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, zh, en)
    }

    /// What was asked for isn't there.
    pub fn not_found(zh: impl Into<Cow<'static, str>>, en: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, zh, en)
    }

    /// It can't be done now, and may be later.
    pub fn unavailable(zh: impl Into<Cow<'static, str>>, en: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, zh, en)
    }

    /// Something failed here that the sender has no part in. What exactly is logged, not told.
    #[must_use]
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::of_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The general sentence for a status.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        let (zh, en) = match status {
            StatusCode::BAD_REQUEST => ("请求的格式不对。", "The request is malformed."),
            StatusCode::UNAUTHORIZED => ("请先登录。", "A token is needed."),
            StatusCode::FORBIDDEN => ("您没有权限这样做。", "You are not allowed to do this."),
            StatusCode::NOT_FOUND => ("这里没有这个地址。", "There is nothing at this address."),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("这个地址不支持这种请求方法。", "This address does not support that method.")
            }
            StatusCode::PAYLOAD_TOO_LARGE => ("请求的内容太大。", "The request body is too large."),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("不支持这种内容类型。", "That content type is not supported.")
            }
            StatusCode::UPGRADE_REQUIRED => (
                "这个地址只接受 WebSocket 连接。",
                "This address takes WebSocket connections only.",
            ),
            StatusCode::SERVICE_UNAVAILABLE => (
                "服务暂时不可用,请稍后再试。",
                "The service is unavailable; please try again shortly.",
            ),
            s if s.is_server_error() => {
                ("服务器出错了,请联系运维。", "The server failed; please tell the operator.")
            }
            _ => ("请求没有被接受。", "The request was not accepted."),
        };
        Self::new(status, zh, en)
    }

    /// Gives programs a word to tell this problem from others of its status:
    /// `type` becomes `urn:cloudschool:problem:{kind}`.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence for a person.
    #[must_use]
    pub fn sentence(&self, lang: Lang) -> &str {
        match lang {
            Lang::Zh => &self.zh,
            Lang::En => &self.en,
        }
    }

    fn write(&self, lang: Lang) -> Response {
        let kind = self.kind.as_ref();
        let body = json!({
            "type": kind.map_or("about:blank".into(), |k| format!("urn:cloudschool:problem:{k}")),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.sentence(lang),
        });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.extend((*self.headers).clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.write(Lang::default());
        response.extensions_mut().insert(self);
        response
    }
}

/// A refusal of a lesson as an answer over HTTP.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::BadDeck
            | Refusal::BoardMalformed
            | Refusal::NotAnAnswer
            | Refusal::BadQuiz
            | Refusal::Empty
            | Refusal::TooLong
            | Refusal::TooMany
            | Refusal::OutOfRange
            | Refusal::TwoGroups => StatusCode::BAD_REQUEST,
            Refusal::BoardTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::BoardTooFast | Refusal::TooFast => StatusCode::TOO_MANY_REQUESTS,
            Refusal::NoSuchLesson
            | Refusal::NoSuchMember
            | Refusal::NoSuchTrack
            | Refusal::NoSuchPage
            | Refusal::NoSuchThing => StatusCode::NOT_FOUND,
            Refusal::NotInvited
            | Refusal::NotAllowed
            | Refusal::NotAMember
            | Refusal::BoardReadOnly
            | Refusal::BoardNotYours
            | Refusal::ChatOff
            | Refusal::Removed
            | Refusal::Locked
            | Refusal::Silenced => StatusCode::FORBIDDEN,
            Refusal::NotOpen
            | Refusal::NotLive
            | Refusal::AlreadyLive
            | Refusal::HandAlreadyUp
            | Refusal::HandNotUp
            | Refusal::AlreadyOnStage
            | Refusal::NotOnStage
            | Refusal::AlreadyMuted
            | Refusal::NoSlides
            | Refusal::NotNow
            | Refusal::AlreadyOpen
            | Refusal::AlreadyAnswered
            | Refusal::TooLate
            | Refusal::NobodyToPick => StatusCode::CONFLICT,
            Refusal::Ended => StatusCode::GONE,
            Refusal::LessonFull | Refusal::CampusAway => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Storage | Refusal::BoardFull => StatusCode::INSUFFICIENT_STORAGE,
            Refusal::NotSupported => StatusCode::NOT_IMPLEMENTED,
        };
        let kind = serde_json::to_value(refusal).ok();
        let kind = kind.as_ref().and_then(|k| k.as_str()).unwrap_or("refused").to_owned();
        Problem::new(status, refusal.sentence(Lang::Zh), refusal.sentence(Lang::En)).kind(kind)
    }
}

/// The layer (`axum::middleware::from_fn`) that writes problems in the request's language.
pub async fn localised(request: Request, next: Next) -> Response {
    let lang = language(request.headers());
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return rewritten(&response, &problem, lang);
    }
    let status = response.status();
    let typed = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let plain = typed.is_none_or(|t| t.starts_with("text/plain"));
    if plain && (status.is_client_error() || status.is_server_error()) {
        return rewritten(&response, &Problem::of_status(status), lang);
    }
    response
}

/// `problem` written anew, with the headers other layers added to `response`.
fn rewritten(response: &Response, problem: &Problem, lang: Lang) -> Response {
    let mut new = problem.write(lang);
    for (name, value) in response.headers() {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH && !new.headers().contains_key(name) {
            new.headers_mut().append(name, value.clone());
        }
    }
    new.headers_mut().append(VARY, HeaderValue::from_static("accept-language"));
    new
}

/// The language a request asks for.
#[must_use]
pub fn language(headers: &HeaderMap) -> Lang {
    let tag = headers.get(ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok());
    tag.map_or(Lang::default(), Lang::from_tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::routing::{get, post};
    use tower::ServiceExt;

    fn app() -> Router {
        Router::new()
            .route("/full", get(async || Problem::from(Refusal::LessonFull)))
            .route("/json", post(async |_: Json<u32>| "ok"))
            .layer(axum::middleware::from_fn(localised))
    }

    async fn ask(
        method: &str,
        path: &str,
        lang: &str,
    ) -> (StatusCode, HeaderMap, serde_json::Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(ACCEPT_LANGUAGE, lang)
            .body(Body::from("x"))
            .unwrap();
        let (parts, body) = app().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, 10_000).await.unwrap();
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_problem_speaks_the_language_of_the_request() {
        let (status, headers, body) = ask("GET", "/full", "en-GB,zh;q=0.5").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(headers[CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(body["detail"], "The lesson is full.");
        assert_eq!(body["type"], "urn:cloudschool:problem:lesson-full");
        assert_eq!(body["status"], 503);
        let (_, _, body) = ask("GET", "/full", "zh-CN,en;q=0.5").await;
        assert_eq!(body["detail"], "这节课的人数已满。");
        let (_, _, body) = ask("GET", "/full", "").await;
        assert_eq!(body["detail"], "这节课的人数已满。");
    }

    #[tokio::test]
    async fn what_the_framework_refuses_is_a_problem_too() {
        let (status, _, body) = ask("GET", "/nowhere", "en").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(body["detail"], "There is nothing at this address.");
        let (status, headers, body) = ask("DELETE", "/json", "en").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(headers["allow"], "POST");
        assert_eq!(body["status"], 405);
        let (status, _, body) = ask("POST", "/json", "zh").await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(body["detail"], "不支持这种内容类型。");
    }

    #[test]
    fn every_refusal_has_a_status_that_is_an_error() {
        for refusal in Refusal::ALL {
            let status = Problem::from(*refusal).status();
            assert!(status.is_client_error() || status.is_server_error(), "{refusal:?}");
        }
    }
}
