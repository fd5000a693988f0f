//! The timetable: many lessons at once from a table, and a lesson called off.

use super::lessons::{check, for_operators, owned_here};
use super::state::App;
use crate::timetable::{BadRow, MAX_WAITING, Zone, read_sheet};
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, post};
use axum::{Json, Router};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::lesson::{LessonInfo, Phase};
use cloudschool_protocol::refusal::{Lang, Refusal};
use cloudschool_service::auth::{Bearer, admit};
use cloudschool_service::problem::Problem;
use serde::{Deserialize, Serialize};

/// Largest table, in bytes.
const MAX_SHEET: usize = 2 << 20;

pub(super) fn routes() -> Router<App> {
    let sheet = post(take).layer(DefaultBodyLimit::max(MAX_SHEET));
    Router::new().route("/api/timetable", sheet).route("/api/lessons/{lesson}", delete(call_off))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Asked {
    /// Of times that name none: `+08:00`, which is also the default.
    #[serde(default)]
    zone: Option<String>,
    /// Only say what would happen.
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    lang: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    New,
    Changed,
    Same,
}

#[derive(Serialize)]
struct Row {
    line: u64,
    outcome: Outcome,
    info: LessonInfo,
}

#[derive(Serialize)]
struct Fault {
    line: u64,
    message: String,
}

/// What came of a table.
#[derive(Serialize)]
struct Taken {
    /// Whether its lessons are in the timetable now: all, or none.
    taken: bool,
    lessons: Vec<Row>,
    /// The first faults.
    faults: Vec<Fault>,
    /// How many rows have one.
    faulty: usize,
}

async fn take(
    State(app): State<App>,
    Bearer(claims): Bearer,
    asked: Result<Query<Asked>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Taken>), Problem> {
    for_operators(&claims)?;
    owned_here(&app)?;
    let Query(asked) = asked.map_err(|why| {
        Problem::bad_request(
            format!("地址的参数不对:{why}"),
            format!("The query is malformed: {why}"),
        )
    })?;
    let body = body.map_err(|why| Problem::of_status(why.status()))?;
    let zone = match asked.zone.as_deref() {
        // In a query a plus is a blank unless somebody took care.
        Some(text) => text.trim().replace(' ', "+").parse::<Zone>().map_err(unreadable)?,
        None => Zone::default(),
    };
    let lang = Lang::from_tag(asked.lang.as_deref().unwrap_or_default());
    let here = app.node.school().clone();
    let sheet = tokio::task::spawn_blocking(move || {
        read_sheet(&body, zone, &here, |info| {
            check(info).map_err(|p| (p.sentence(Lang::Zh).into(), p.sentence(Lang::En).into()))
        })
    });
    let mut sheet = sheet.await.map_err(|e| Problem::internal(&e))?.map_err(unreadable)?;
    for (_, info) in &sheet.lessons {
        admit(&claims, &info.id)?;
    }
    let mut rows = Vec::new();
    for (line, info) in std::mem::take(&mut sheet.lessons) {
        match standing(&app, &info) {
            Ok(outcome) => rows.push(Row { line, outcome, info }),
            Err((zh, en)) => {
                sheet.faulty += 1;
                sheet.faults.push(BadRow { line, zh: zh.into(), en: en.into() });
            }
        }
    }
    sheet.faults.sort_by_key(|fault| fault.line);
    let take = sheet.faulty == 0 && !asked.dry_run;
    if take {
        for row in rows.iter().filter(|row| row.outcome != Outcome::Same) {
            app.node.plan(row.info.clone()).await?;
        }
    }
    let message = |fault: BadRow| match lang {
        Lang::Zh => fault.zh,
        Lang::En => fault.en,
    };
    let faults = sheet.faults.into_iter();
    let faults = faults.map(|f| Fault { line: f.line, message: message(f) }).collect();
    let status = if sheet.faulty == 0 { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let taken = Taken { taken: take, lessons: rows, faults, faulty: sheet.faulty };
    Ok((status, Json(taken)))
}

/// What a row's lesson is to what is known of it.
fn standing(app: &App, info: &LessonInfo) -> Result<Outcome, (&'static str, &'static str)> {
    let planned = app.node.timetable().and_then(|table| table.get(&info.id));
    let open = app.node.lessons().get(&info.id).map(|lesson| lesson.state());
    // A table has neither codes nor what people call schools.
    let same = |known: &LessonInfo| {
        let school_names = info.school_names.clone();
        LessonInfo { code: None, school_names, ..known.clone() } == *info
    };
    match (planned, open) {
        (_, Some(state)) if state.phase == Phase::Live => {
            Err(("这节课正在上,不能改。", "This lesson is being given and can't be changed."))
        }
        (Some(known), _) if same(&known) => Ok(Outcome::Same),
        (None, Some(state)) if state.phase < Phase::Live && same(&state.info) => Ok(Outcome::Same),
        (None, None) => Ok(Outcome::New),
        _ => Ok(Outcome::Changed),
    }
}

fn unreadable(error: crate::timetable::SheetError) -> Problem {
    let en = error.to_string();
    let en = format!("{}{}.", en[..1].to_uppercase(), &en[1..]);
    Problem::bad_request(error.zh(), en).kind("not-a-timetable")
}

/// Takes a lesson that has not opened yet out of the timetable.
async fn call_off(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Path(lesson): Path<String>,
) -> Result<StatusCode, Problem> {
    for_operators(&claims)?;
    owned_here(&app)?;
    let id = LessonId::new(lesson).map_err(|_| Refusal::NoSuchLesson)?;
    admit(&claims, &id)?;
    let table = app.node.timetable().cloned().ok_or(Refusal::NoSuchLesson)?;
    let of = id.clone();
    let removed = tokio::task::spawn_blocking(move || table.remove(&[of]))
        .await
        .map_err(|e| Problem::internal(&e))?;
    match removed {
        Ok(0) if app.node.lessons().get(&id).is_some() => Err(Problem::new(
            StatusCode::CONFLICT,
            "这节课已经开放,不能取消。",
            "The lesson is open already and can't be called off.",
        )),
        Ok(0) => Err(Refusal::NoSuchLesson.into()),
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(error) => {
            tracing::error!(%error, most = MAX_WAITING, "the timetable can't be changed");
            Err(Refusal::Storage.into())
        }
    }
}
