//! The library over HTTP.

use super::store::{Found, Query, Store, StoreError};
use super::{media, review};
use crate::published::Recording;
use crate::telemetry::Telemetry;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRef, Path, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, RANGE};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use cloudschool_protocol::token::Claims;
use cloudschool_service::auth::{self, Auth, Bearer};
use cloudschool_service::health::{self, Readiness};
use cloudschool_service::pages;
use cloudschool_service::problem::Problem;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

/// What handlers work with.
#[derive(Clone)]
pub struct App {
    pub store: Store,
    /// Where published lessons lie, each in a directory of its id.
    pub files: PathBuf,
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
        .route("/api/recordings", get(list))
        .route("/api/recordings/{id}", get(one))
        .route("/media/{id}/{file}", get(file))
        .merge(review::routes())
        .route("/metrics", get(async |State(app): State<App>| app.telemetry.answer()))
        .with_state(app)
        .merge(health::routes(readiness))
        .merge(pages::router())
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    q: String,
    teacher: String,
    subject: String,
    limit: Option<u32>,
    offset: u32,
}

pub(super) type NoStore = [(HeaderName, HeaderValue); 1];

pub(super) fn no_store() -> NoStore {
    [(CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

async fn list(
    State(app): State<App>,
    Bearer(claims): Bearer,
    asked: Result<axum::extract::Query<Asked>, QueryRejection>,
) -> Result<(NoStore, Json<Found>), Problem> {
    let axum::extract::Query(asked) = asked.map_err(|_| {
        let zh = "limit 和 offset 必须是不小于零的整数。";
        let en = "limit and offset must be whole numbers from zero on.";
        Problem::bad_request(zh, en).kind("bad-query")
    })?;
    let query = Query {
        q: asked.q,
        teacher: asked.teacher,
        subject: asked.subject,
        lesson: claims.lesson,
        limit: asked.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT),
        offset: asked.offset,
    };
    Ok((no_store(), Json(app.store.find(&query).await?)))
}

async fn one(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Path(id): Path<String>,
) -> Result<(NoStore, Json<Recording>), Problem> {
    Ok((no_store(), Json(readable(&app, &claims, &id).await?)))
}

async fn file(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Path((id, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // The id is the catalogue's own from here on, not the request's.
    let recording = readable(&app, &claims, &id).await?;
    let range = headers.get(RANGE).and_then(|v| v.to_str().ok());
    media::serve(&app.files.join(&recording.id), &file, range).await
}

/// A recording, for a token that may see it.
pub(super) async fn readable(app: &App, claims: &Claims, id: &str) -> Result<Recording, Problem> {
    let recording = app.store.get(id).await?.ok_or_else(|| {
        Problem::not_found("资源库里没有这个录像。", "The library has no such recording.")
            .kind("no-such-recording")
    })?;
    auth::admit(claims, &recording.lesson)?;
    Ok(recording)
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Problem::internal(&error)
    }
}
