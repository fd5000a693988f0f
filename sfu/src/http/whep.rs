//! WHEP (draft-ietf-wish-whep): watch the teacher with one request, for players that have no
//! lesson socket.

use super::sdp::{self, Offer};
use super::session;
use super::state::{App, Lesson};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use cloudschool_service::auth::{Bearer, admit};
use cloudschool_service::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/whep/{lesson}", post(watch).options(session::endpoint_options))
        .route("/whep/{lesson}/{session}", session::methods())
}

async fn watch(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Lesson(lesson): Lesson,
    Offer(offer): Offer,
) -> Result<Response, Problem> {
    admit(&claims, lesson.id())?;
    let answer = app.node.whep(lesson.id(), &claims, offer).await?;
    let mut response = sdp::created(&format!("/whep/{}", lesson.id()), answer)?;
    app.ice_servers.link(&claims.sub, response.headers_mut());
    Ok(response)
}
