//! A WHIP or WHEP session at its own address: trickle ICE and ICE restart by PATCH
//! (RFC 9725 §4.3), the end by DELETE, and what OPTIONS says of both kinds of address.
//!
//! Candidates a client trickles are taken and not needed: our side of ICE learns where a peer
//! is from its checks, and the answer to the offer had all of ours.

use super::sdp::{SDP, entity_tag};
use super::state::{App, Lesson};
use crate::node::MediaError;
use crate::peer::{Condition, Patched};
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete};
use cloudschool_service::auth::{Bearer, admit};
use cloudschool_service::problem::Problem;

/// RFC 8840 §9.
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// What can be done at a session's address.
pub(super) fn methods() -> MethodRouter<App> {
    delete(hang_up).patch(change).options(session_options)
}

async fn hang_up(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Lesson(lesson): Lesson,
    Path((_, session)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    admit(&claims, lesson.id())?;
    app.node.hang_up(lesson.id(), &session, &claims).await?;
    Ok(StatusCode::OK)
}

async fn change(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Lesson(lesson): Lesson,
    Path((_, session)): Path<(String, String)>,
    Fragment { text, condition }: Fragment,
) -> Result<Response, Problem> {
    admit(&claims, lesson.id())?;
    match app.node.patch(lesson.id(), &session, &claims, text, condition).await? {
        Patched::Candidates => Ok(StatusCode::NO_CONTENT.into_response()),
        Patched::Restarted { fragment, tag } => {
            let headers =
                [(CONTENT_TYPE, HeaderValue::from_static(FRAGMENT)), (ETAG, entity_tag(&tag)?)];
            Ok((StatusCode::OK, headers, fragment).into_response())
        }
    }
}

/// A fragment, and the ICE session it is for. 415 when it is declared as anything else, 428
/// when it doesn't say the session (RFC 9725 §4.3.1).
struct Fragment {
    text: String,
    condition: Condition,
}

impl<S: Send + Sync> FromRequest<S> for Fragment {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers();
        if !super::sdp::is(headers, FRAGMENT) {
            let zh = "请求的内容类型必须是 application/trickle-ice-sdpfrag。";
            let en = "The content type must be application/trickle-ice-sdpfrag.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, zh, en)
                .header(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT)));
        }
        let condition = condition(headers)?;
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|e| Problem::of_status(e.status()))?;
        let text = String::from_utf8(body.into());
        let text = text.map_err(|_| Problem::from(MediaError::NotFragment))?;
        Ok(Self { text, condition })
    }
}

/// `If-Match` (RFC 9110 §13.1.1). A weak tag matches nothing.
fn condition(headers: &HeaderMap) -> Result<Condition, Problem> {
    let mut tags = Vec::new();
    let mut said = false;
    for value in headers.get_all(IF_MATCH) {
        said = true;
        let value = value.to_str().unwrap_or_default().trim();
        if value == "*" {
            return Ok(Condition::Any);
        }
        // Our tags have no comma; one that has is not ours, whole or in pieces.
        let quoted = |tag: &str| Some(tag.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned());
        tags.extend(value.split(',').filter_map(quoted));
    }
    if said {
        return Ok(Condition::Tags(tags));
    }
    let zh = "请用 If-Match 说明所指的 ICE 会话:会话的 ETag,重启 ICE 时用 *。";
    let en = "Say in If-Match which ICE session is meant: the session's ETag, or * for a restart.";
    Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, zh, en).kind("if-match-missing"))
}

/// What OPTIONS says at an address that takes offers. Whoever may come in is also told of STUN
/// and TURN servers, to gather candidates before the offer (RFC 9725 §4.6).
pub(super) async fn endpoint_options(
    State(app): State<App>,
    bearer: Result<Bearer, Problem>,
) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    headers.insert(ACCEPT_POST, HeaderValue::from_static(SDP));
    if let Ok(Bearer(claims)) = bearer {
        app.ice_servers.link(&claims.sub, &mut headers);
    }
    (StatusCode::NO_CONTENT, headers).into_response()
}

async fn session_options() -> Response {
    let headers = [
        (ALLOW, HeaderValue::from_static("DELETE, PATCH, OPTIONS")),
        (ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT)),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn if_match(values: &[&str]) -> Result<Condition, Problem> {
        let values = values.iter().map(|v| (IF_MATCH, HeaderValue::from_str(v).unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(name, value);
        }
        condition(&headers)
    }

    #[test]
    fn a_fragment_says_which_ice_session_it_is_for() {
        let tags = |tags: &[&str]| Condition::Tags(tags.iter().map(|t| (*t).to_owned()).collect());
        assert_eq!(if_match(&["*"]).unwrap(), Condition::Any);
        assert_eq!(if_match(&["\"a+b/\""]).unwrap(), tags(&["a+b/"]));
        assert_eq!(if_match(&["\"a\", \"b\"", "\"c\""]).unwrap(), tags(&["a", "b", "c"]));
        assert_eq!(if_match(&["W/\"a\""]).unwrap(), tags(&[]));
        assert_eq!(if_match(&[]).unwrap_err().status(), StatusCode::PRECONDITION_REQUIRED);
    }
}
