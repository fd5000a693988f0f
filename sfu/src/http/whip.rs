//! WHIP (RFC 9725): publish camera or screen with one request.

use super::sdp::{self, Offer};
use super::session;
use super::state::{App, Lesson};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::post;
use cloudschool_protocol::media::Source;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_service::auth::{Bearer, admit};
use cloudschool_service::problem::Problem;
use serde::Deserialize;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/whip/{lesson}", post(publish).options(session::endpoint_options))
        .route("/whip/{lesson}/{session}", session::methods())
}

#[derive(Deserialize)]
struct What {
    source: Option<String>,
}

impl What {
    /// What the offer's video is; its audio goes with it.
    fn source(&self) -> Result<Source, Problem> {
        match self.source.as_deref() {
            None | Some("camera") => Ok(Source::Camera),
            Some("screen") => Ok(Source::Screen),
            Some(_) => Err(Problem::bad_request(
                "source 只能是 camera 或 screen。",
                "source is either camera or screen.",
            )),
        }
    }
}

async fn publish(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Lesson(lesson): Lesson,
    Query(what): Query<What>,
    Offer(offer): Offer,
) -> Result<Response, Problem> {
    admit(&claims, lesson.id())?;
    if !claims.role.may_publish() {
        return Err(Refusal::NotAllowed.into());
    }
    let answer = app.node.publish(lesson.id(), &claims, what.source()?, offer).await?;
    let mut response = sdp::created(&format!("/whip/{}", lesson.id()), answer)?;
    app.ice_servers.link(&claims.sub, response.headers_mut());
    Ok(response)
}
