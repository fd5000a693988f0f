//! An observer's notes and scoring sheet beside a recording, over HTTP. Each sees their own.

use super::api::{App, NoStore, no_store, readable};
use super::reviews::{
    Book, Kept, MAX_CRITERION, MAX_MARKS, MAX_NOTES, MAX_TEXT, Writing, is_sheet,
};
use crate::published::Recording;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use cloudschool_protocol::lesson::showing::Mark;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::token::Claims;
use cloudschool_service::auth::Bearer;
use cloudschool_service::problem::Problem;
use uuid::Uuid;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/recordings/{id}/review", get(read))
        .route("/api/recordings/{id}/review/notes/{note}", put(note))
        .route("/api/recordings/{id}/review/sheet", put(sheet))
}

/// Who judges lessons, and of a recording that may be seen.
async fn judged(app: &App, claims: &Claims, id: &str) -> Result<Recording, Problem> {
    if !matches!(claims.role, Role::Observer | Role::Operator) {
        return Err(Refusal::NotAllowed.into());
    }
    readable(app, claims, id).await
}

async fn read(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Path(id): Path<String>,
) -> Result<(NoStore, Json<Book>), Problem> {
    let recording = judged(&app, &claims, &id).await?;
    Ok((no_store(), Json(app.store.book(&recording.id, &claims.sub).await?)))
}

async fn note(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Path((id, note)): Path<(String, String)>,
    writing: Result<Json<Writing>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let recording = judged(&app, &claims, &id).await?;
    let (Ok(note), Ok(Json(writing))) = (note.parse::<Uuid>(), writing) else {
        return Err(bad_note());
    };
    let text = writing.text().ok_or_else(bad_note)?;
    let kept = app.store.keep_note(&recording.id, &claims.sub, note, (writing.at_ms, text)).await?;
    match kept {
        Kept::Yes => Ok(StatusCode::NO_CONTENT),
        Kept::Full => Err(Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            format!("一个录像最多记 {MAX_NOTES} 条。"),
            format!("There is room for {MAX_NOTES} notes beside a recording."),
        )
        .kind("notes-full")),
    }
}

async fn sheet(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Path(id): Path<String>,
    sheet: Result<Json<Vec<Mark>>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let recording = judged(&app, &claims, &id).await?;
    let sheet = sheet.ok().filter(|Json(sheet)| is_sheet(sheet)).ok_or_else(|| {
        let zh = format!(
            "评价表有 1 到 {MAX_MARKS} 项，每项有不超过 {MAX_CRITERION} 字的名称，得分不超过满分。"
        );
        let en = format!(
            "A sheet has 1 to {MAX_MARKS} lines, each with a name of up to {MAX_CRITERION} \
             characters and no more points than there are."
        );
        Problem::bad_request(zh, en).kind("bad-sheet")
    })?;
    app.store.keep_sheet(&recording.id, &claims.sub, &sheet.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn bad_note() -> Problem {
    let zh = format!("一条记录是 1 到 {MAX_TEXT} 个字，并带有时间。");
    let en = format!("A note has 1 to {MAX_TEXT} characters, and its time.");
    Problem::bad_request(zh, en).kind("bad-note")
}
