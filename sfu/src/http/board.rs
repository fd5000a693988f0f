//! A lesson's board as one Yjs update: as it is, or as it was at a time, for a replay.

use super::state::{App, Lesson, may_see};
use crate::board::as_of;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_service::auth::Bearer;
use cloudschool_service::problem::Problem;
use serde::Deserialize;
use tokio::sync::Semaphore;

/// Boards of a former time that are made at once: each is gone through from its first change, and
/// takes the memory of a whole board.
static FORMER: Semaphore = Semaphore::const_new(2);

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/lessons/{lesson}/board", get(serve))
}

#[derive(Deserialize)]
struct When {
    /// Milliseconds since the Unix epoch.
    at: Option<u64>,
}

async fn serve(
    State(app): State<App>,
    Lesson(lesson): Lesson,
    Bearer(claims): Bearer,
    when: Result<Query<When>, QueryRejection>,
) -> Result<Response, Problem> {
    may_see(&claims, &lesson)?;
    let Query(When { at }) = when.map_err(|_| Problem::of_status(StatusCode::BAD_REQUEST))?;
    let state = lesson.state();
    let update = match at {
        None => app.node.board(lesson.id()).await?.whole(),
        Some(at) => {
            let dir = app.node.board_dir(lesson.id());
            let _turn = FORMER.acquire().await;
            let read = tokio::task::spawn_blocking(move || as_of(&dir, state.run, at)).await;
            match read {
                Ok(Ok(board)) => board.unwrap_or_else(|| vec![0, 0]),
                Ok(Err(error)) => {
                    tracing::error!(%error, lesson = %lesson.id(), "a board can't be read");
                    return Err(Refusal::Storage.into());
                }
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            }
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], update).into_response())
}
