//! The HTTP side: exports, summary, the report page, health and metrics.

use crate::export::{Exporter, Format};
use crate::record::Timestamp;
use crate::store::{LessonRow, StoreError};
use crate::summary;
use crate::telemetry::Telemetry;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRef, Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::token::Claims;
use cloudschool_service::auth::{self, Auth, Bearer};
use cloudschool_service::health::{self, Readiness};
use cloudschool_service::pages;
use cloudschool_service::problem::Problem;
use serde::Deserialize;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What handlers work with.
#[derive(Clone)]
pub struct App {
    pub exporter: Exporter,
    pub auth: Arc<Auth>,
    pub telemetry: Arc<Telemetry>,
}

impl FromRef<App> for Arc<Auth> {
    fn from_ref(app: &App) -> Self {
        app.auth.clone()
    }
}

/// Everything that is served.
pub fn router(app: App, readiness: Readiness) -> Router {
    Router::new()
        .route("/lessons/{lesson}/behaviours", get(behaviours))
        .route("/lessons/{lesson}/summary", get(summarise))
        .route("/metrics", get(async |State(app): State<App>| app.telemetry.answer()))
        .with_state(app)
        .merge(health::routes(readiness))
        .merge(pages::router())
}

#[derive(Deserialize)]
struct Export {
    format: Option<String>,
}

async fn behaviours(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Path(lesson): Path<String>,
    query: Result<Query<Export>, QueryRejection>,
) -> Result<Response, Problem> {
    let format = match query.ok().and_then(|Query(export)| export.format) {
        None => Format::default(),
        Some(format) => format.parse().map_err(|_| {
            let zh = "导出格式只有 ndjson 和 xapi。";
            let en = "The format must be ndjson or xapi.";
            Problem::bad_request(zh, en).kind("unknown-format")
        })?,
    };
    let row = readable(&app, &claims, &lesson).await?;
    let body = Body::from_stream(app.exporter.stream(row, format));
    let typed = (CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    Ok(([typed, no_store()], body).into_response())
}

async fn summarise(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Path(lesson): Path<String>,
) -> Result<Response, Problem> {
    let row = readable(&app, &claims, &lesson).await?;
    let store = &app.exporter.store;
    let failed = |e: StoreError| Problem::internal(&e);
    let (records, speaking) = match row.session {
        None => (Vec::new(), Vec::new()),
        Some(session) => {
            let mut speaking = store.speaking(&row.info.id).await.map_err(failed)?;
            speaking.retain(|s| s.session_id == session);
            let records = store.session(session).await.map_err(failed)?;
            // What ended between the two reads is there twice.
            speaking.retain(|s| records.iter().all(|r| r.id != s.id));
            (records, speaking)
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
    let now = Timestamp(u64::try_from(now).unwrap_or(u64::MAX));
    let summary = summary::summary(&row, &records, &speaking, now.0);
    Ok(([no_store()], Json(summary)).into_response())
}

/// What is told of a lesson is for those who asked just now.
fn no_store() -> (axum::http::HeaderName, HeaderValue) {
    (CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

/// The lesson, when whoever asks may read its behaviour data. Whether it exists is told only
/// to them.
async fn readable(app: &App, claims: &Claims, lesson: &str) -> Result<LessonRow, Problem> {
    if !matches!(claims.role, Role::Teacher | Role::Assistant | Role::Observer | Role::Operator) {
        let zh = "课堂行为数据只给教师、听评课和运维人员看。";
        let en = "Behaviour data is for teachers, observers and operators.";
        return Err(Problem::forbidden(zh, en).kind("role"));
    }
    let lesson: LessonId = lesson.parse().map_err(|_| Problem::from(Refusal::NoSuchLesson))?;
    auth::admit(claims, &lesson)?;
    let row = app.exporter.store.lesson(&lesson).await.map_err(|e| Problem::internal(&e))?;
    row.ok_or_else(|| Refusal::NoSuchLesson.into())
}
