//! Coming in by a code: what lesson it is, and a token for it. The only calls without a token.

use super::state::App;
use crate::joining::{Misses, NoEntry, RETRY_S};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::routing::{get, post};
use axum::{Json, Router};
use cloudschool_protocol::id::SchoolId;
use cloudschool_protocol::join_code::JoinCode;
use cloudschool_protocol::lesson::LessonInfo;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::token::MAX_NAME;
use cloudschool_service::auth::Peer;
use cloudschool_service::clock::now_ms;
use cloudschool_service::problem::Problem;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/join", post(enter)).route("/api/join/{code}", get(look))
}

/// Who has tried codes that are none.
pub struct Door(Mutex<Misses>);

impl Default for Door {
    fn default() -> Self {
        Self(Mutex::new(Misses::new(Instant::now())))
    }
}

impl Door {
    fn tried<T>(
        &self,
        peer: IpAddr,
        go: impl FnOnce() -> Result<T, NoEntry>,
    ) -> Result<T, Problem> {
        let now = Instant::now();
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !lock().may_try(peer, now) {
            return Err(too_often());
        }
        go().map_err(|error| {
            if error == NoEntry::NoSuchCode {
                lock().missed(peer, now);
            }
            problem(&error)
        })
    }
}

/// What a code leads to, for someone who is not in yet.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lesson {
    lesson: cloudschool_protocol::id::LessonId,
    title: String,
    teacher: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    planned_start_ms: Option<u64>,
    /// For which one may come in at this node.
    schools: Vec<SchoolId>,
    /// What people call them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    school_names: BTreeMap<SchoolId, String>,
}

async fn look(
    State(app): State<App>,
    Peer(peer): Peer,
    Path(code): Path<String>,
) -> Result<Json<Lesson>, Problem> {
    let found = app.door.tried(peer, || {
        let code = code.parse::<JoinCode>().map_err(|_| NoEntry::NoSuchCode)?;
        let line = app.node.desk().lesson(app.node.lessons(), code);
        line.map(|line| line.info).ok_or(NoEntry::NoSuchCode)
    })?;
    let schools = app.node.desk().schools(&found);
    let LessonInfo { id, title, teacher, subject, planned_start_ms, mut school_names, .. } = found;
    school_names.retain(|school, _| schools.contains(school));
    let lesson = id;
    Ok(Json(Lesson { lesson, title, teacher, subject, planned_start_ms, schools, school_names }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entering {
    code: String,
    name: String,
    #[serde(default)]
    school: Option<SchoolId>,
}

#[derive(Serialize)]
struct Entered {
    lesson: cloudschool_protocol::id::LessonId,
    role: Role,
    token: String,
}

async fn enter(
    State(app): State<App>,
    Peer(peer): Peer,
    asked: Result<Json<Entering>, JsonRejection>,
) -> Result<(StatusCode, Json<Entered>), Problem> {
    let Json(asked) = asked.map_err(|why| Problem::of_status(why.status()))?;
    let (line, token) = app.door.tried(peer, || {
        let code = asked.code.parse::<JoinCode>().map_err(|_| NoEntry::NoSuchCode)?;
        let (lessons, school) = (app.node.lessons(), asked.school.as_ref());
        app.node.desk().token(lessons, code, &asked.name, school, now_ms() / 1000)
    })?;
    let entered = Entered { lesson: line.info.id, role: Role::Student, token };
    Ok((StatusCode::CREATED, Json(entered)))
}

fn problem(error: &NoEntry) -> Problem {
    match error {
        NoEntry::NoSuchCode => Problem::not_found(
            "没有开放的课用这个课堂码,请核对后再输入。",
            "No lesson that is open has this code; please check it.",
        )
        .kind("no-such-code"),
        NoEntry::Name => Problem::bad_request(
            format!("请填写姓名(最多 {MAX_NAME} 字)。"),
            format!("Please give a name of at most {MAX_NAME} characters."),
        )
        .kind("name-missing"),
        NoEntry::School => Problem::new(
            StatusCode::CONFLICT,
            "请选择您所在的学校。",
            "Please choose the school you belong to.",
        )
        .kind("school-missing"),
        NoEntry::Shut(refusal) => (*refusal).into(),
        NoEntry::Token(error) => Problem::internal(error),
    }
}

fn too_often() -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "课堂码输错的次数太多,请稍后再试。",
        "Too many wrong codes; please try again shortly.",
    )
    .kind("too-many-codes")
    .header(RETRY_AFTER, HeaderValue::from(RETRY_S))
}
