//! What media can't do, as answers over HTTP and sentences on the lesson socket.

use crate::node::MediaError;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use cloudschool_service::problem::Problem;

impl From<MediaError> for Problem {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::NotSdp(why) => Problem::bad_request(
                format!("发来的内容不是有效的 SDP:{why}。"),
                format!("The body is not a valid SDP offer: {why}."),
            )
            .kind("not-sdp"),
            // RFC 9725 §4.4: an offer that is well-formed and can't be taken.
            MediaError::Unsupported(why) => Problem::new(
                StatusCode::NOT_ACCEPTABLE,
                format!("这个 SDP 里的音视频无法接受:{why}。"),
                format!("The media offered can't be taken: {why}."),
            )
            .kind("unsupported-media"),
            MediaError::Refused(refusal) => refusal.into(),
            MediaError::NoSuchSession => {
                Problem::not_found("没有这个会话。", "There is no such session.")
                    .kind("no-such-session")
            }
            // RFC 9725 §4.3: what the body must be, and what it may be about.
            MediaError::NotFragment => Problem::bad_request(
                "发来的内容不是有效的 trickle ICE 片段:需要 a=ice-ufrag 和 a=ice-pwd。",
                "The body is not a valid trickle ICE fragment: it needs a=ice-ufrag and a=ice-pwd.",
            )
            .kind("not-sdpfrag"),
            MediaError::Outdated => Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "这个 ICE 会话已经被新的取代。",
                "This ICE session has been replaced by a newer one.",
            )
            .kind("ice-session-over"),
            MediaError::Busy => Problem::unavailable(
                "这个节点的连接已满,请稍后再试。",
                "This node has all the connections it can take; please try again shortly.",
            )
            .kind("busy")
            .header(RETRY_AFTER, HeaderValue::from_static("5")),
            MediaError::Stopped => Problem::unavailable(
                "这个节点正在停止,请稍后再试。",
                "This node is going down; please try again shortly.",
            )
            .kind("stopped")
            .header(RETRY_AFTER, HeaderValue::from_static("5")),
        }
    }
}
