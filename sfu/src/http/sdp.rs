//! An SDP offer as the body of a request, and the answer to it.

use crate::node::Answer;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cloudschool_service::problem::Problem;

/// Media type of both (RFC 8866 §8.2.1).
pub(super) const SDP: &str = "application/sdp";

/// Extracts the offer: 415 when it is declared as anything else, 413 when it is too large.
pub(super) struct Offer(pub String);

impl<S: Send + Sync> FromRequest<S> for Offer {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is(request.headers(), SDP) {
            let zh = "请求的内容类型必须是 application/sdp。";
            let en = "The content type must be application/sdp.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, zh, en)
                .header(HeaderName::from_static("accept-post"), HeaderValue::from_static(SDP)));
        }
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|e| Problem::of_status(e.status()))?;
        String::from_utf8(body.into()).map(Self).map_err(|_| {
            let zh = "发来的内容不是有效的 SDP:不是 UTF-8 文本。";
            Problem::bad_request(zh, "The body is not a valid SDP offer: it is not UTF-8 text.")
                .kind("not-sdp")
        })
    }
}

/// Whether the body is declared as `wanted`, with whatever parameters.
pub(super) fn is(headers: &HeaderMap, wanted: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(wanted)
}

/// The strong entity tag of an ICE session (RFC 9110 §8.8.3).
pub(super) fn entity_tag(tag: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::try_from(format!("\"{tag}\"")).map_err(|e| Problem::internal(&e))
}

/// 201 with the answer; the session's address is `base/session`.
pub(super) fn created(base: &str, answer: Answer) -> Result<Response, Problem> {
    let location = HeaderValue::try_from(format!("{base}/{}", answer.session));
    let location = location.map_err(|e| Problem::internal(&e))?;
    let headers = [
        (LOCATION, location),
        (CONTENT_TYPE, HeaderValue::from_static(SDP)),
        (ETAG, entity_tag(&answer.tag)?),
    ];
    Ok((StatusCode::CREATED, headers, answer.sdp).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_may_have_parameters_and_any_case() {
        let with = |value: &str| {
            let value = HeaderValue::from_str(value).unwrap();
            is(&HeaderMap::from_iter([(CONTENT_TYPE, value)]), SDP)
        };
        assert!(with("application/sdp") && with("Application/SDP; charset=utf-8"));
        assert!(!with("application/json") && !with("") && !is(&HeaderMap::new(), SDP));
    }
}
