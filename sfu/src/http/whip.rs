//! WHIP (RFC 9725): publish camera or screen with one request.
//!
//! The answer holds every candidate (ICE-lite) and nothing of the client's is waited for, so
//! there is no trickle and no PATCH.

use super::sdp::{self, Offer};
use super::state::{App, Lesson};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, post};
use cloudschool_protocol::media::Source;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_service::auth::{Bearer, admit};
use cloudschool_service::problem::Problem;
use serde::Deserialize;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/whip/{lesson}", post(publish))
        .route("/whip/{lesson}/{session}", delete(hang_up))
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
    sdp::created(&format!("/whip/{}", lesson.id()), answer)
}

pub(super) async fn hang_up(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Lesson(lesson): Lesson,
    Path((_, session)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    admit(&claims, lesson.id())?;
    app.node.hang_up(lesson.id(), &session, &claims).await?;
    Ok(StatusCode::OK)
}
