//! The lessons API: a platform opens lessons, anyone with a token lists those it is good for.

use super::state::App;
use crate::config::is_name;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use cloudschool_protocol::lesson::{LessonInfo, Phase};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::token::{Claims, MAX_NAME};
use cloudschool_protocol::trunk::LessonLine;
use cloudschool_service::auth::{Bearer, admit};
use cloudschool_service::problem::Problem;
use serde::Serialize;
use std::collections::BTreeSet;

/// Longest title, name, subject or grade, in characters.
const MAX_TEXT: usize = 200;
/// Most schools invited to one lesson.
const MAX_SCHOOLS: usize = 1000;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/lessons", get(list).post(open))
}

#[derive(Serialize)]
struct List {
    lessons: Vec<LessonLine>,
}

async fn list(State(app): State<App>, Bearer(claims): Bearer) -> Json<List> {
    let mut lessons = app.node.lessons().lines();
    if let Some(table) = app.node.timetable() {
        let known: BTreeSet<_> = lessons
            .iter()
            .filter(|line| line.phase < Phase::Ended)
            .map(|line| line.info.id.clone())
            .collect();
        let planned = table.lines().into_iter().filter(|line| !known.contains(&line.info.id));
        lessons.extend(planned);
    }
    lessons.retain(|line| claims.admits_to(&line.info.id));
    Json(List { lessons })
}

async fn open(
    State(app): State<App>,
    Bearer(claims): Bearer,
    info: Result<Json<LessonInfo>, JsonRejection>,
) -> Result<(StatusCode, Json<LessonLine>), Problem> {
    for_operators(&claims)?;
    let Json(info) = info.map_err(malformed)?;
    check(&info)?;
    admit(&claims, &info.id)?;
    owned_here(&app)?;
    let (line, new) = app.node.plan(info).await?;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, Json(line)))
}

/// Lets operators by.
pub(super) fn for_operators(claims: &Claims) -> Result<(), Problem> {
    if claims.role == Role::Operator { Ok(()) } else { Err(Refusal::NotAllowed.into()) }
}

/// Lessons are made where they belong.
pub(super) fn owned_here(app: &App) -> Result<(), Problem> {
    if app.node.lessons().are_ours() {
        return Ok(());
    }
    Err(Problem::forbidden(
        "课要在总部校区的节点上创建。",
        "Lessons are opened at the campus's node.",
    ))
}

fn malformed(rejection: JsonRejection) -> Problem {
    let why = rejection.body_text();
    match rejection.status() {
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => Problem::bad_request(
            format!("这不是一节课的描述:{why}"),
            format!("This does not describe a lesson: {why}"),
        ),
        status => Problem::of_status(status),
    }
}

pub(super) fn check(info: &LessonInfo) -> Result<(), Problem> {
    let short =
        |text: &str| text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control);
    let named = |text: &str| short(text) && !text.trim().is_empty();
    let good = named(&info.title)
        && named(&info.teacher)
        && short(&info.subject)
        && short(&info.grade)
        && info.schools.len() <= MAX_SCHOOLS
        && info.school_names.values().all(|name| is_name(name));
    if good {
        return Ok(());
    }
    Err(Problem::bad_request(
        format!(
            "课名和教师不能为空,文字最多 {MAX_TEXT} 字,学校最多 {MAX_SCHOOLS} 所,校名最多 {MAX_NAME} 字。"
        ),
        format!(
            "Title and teacher must not be empty, texts have at most {MAX_TEXT} characters, a \
             lesson at most {MAX_SCHOOLS} schools, and a school's name at most {MAX_NAME}."
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(title: &str) -> LessonInfo {
        serde_json::from_value(serde_json::json!({
            "id": "math", "title": title, "teacher": "李老师", "campus": "campus"
        }))
        .unwrap()
    }

    #[test]
    fn a_lesson_has_a_title_of_bearable_length() {
        assert!(check(&info("二次函数的图像")).is_ok());
        assert!(check(&info(&"课".repeat(MAX_TEXT))).is_ok());
        for bad in ["", "  ", "a\nb", &"课".repeat(MAX_TEXT + 1)] {
            assert!(check(&info(bad)).is_err(), "{bad:?}");
        }
    }
}
