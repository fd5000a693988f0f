//! The lesson socket: a member's page, connected to its node for as long as it is in a lesson.
//!
//! [`session`] is the conversation, [`seats`] says which socket a member sits behind and when
//! a broken one counts as gone, [`line`] is the WebSocket with its time-outs, [`crate::bucket`]
//! bounds how much a page may ask.

mod board;
mod line;
mod seats;
mod session;

pub(super) use seats::Seats;

use super::state::{App, Lesson};
use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use cloudschool_protocol::socket::MAX_MESSAGE;
use cloudschool_service::auth::Peer;
use cloudschool_service::problem::{Problem, language};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/lessons/{lesson}/socket", get(open))
}

async fn open(
    State(app): State<App>,
    Lesson(lesson): Lesson,
    Peer(peer): Peer,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|_| Problem::of_status(StatusCode::UPGRADE_REQUIRED))?;
    let lang = language(&headers);
    let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    let sockets = app.sockets.clone();
    Ok(upgrade.on_upgrade(move |socket| {
        sockets.track_future(Box::pin(session::run(app, lesson, peer, lang, socket)))
    }))
}
