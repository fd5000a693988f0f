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
