//! WHEP (draft-ietf-wish-whep): watch the teacher with one request, for players that have no
//! lesson socket.

use super::sdp::{self, Offer};
use super::state::{App, Lesson};
use super::whip;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{delete, post};
use cloudschool_service::auth::{Bearer, admit};
use cloudschool_service::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/whep/{lesson}", post(watch))
        .route("/whep/{lesson}/{session}", delete(whip::hang_up))
}

async fn watch(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Lesson(lesson): Lesson,
    Offer(offer): Offer,
) -> Result<Response, Problem> {
    admit(&claims, lesson.id())?;
    let answer = app.node.whep(lesson.id(), &claims, offer).await?;
    sdp::created(&format!("/whep/{}", lesson.id()), answer)
}
