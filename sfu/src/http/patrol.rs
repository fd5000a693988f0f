//! `/api/patrol`: all lessons of this node at a glance, and a picture of each.

use super::state::{App, Lesson};
use crate::node::Glance;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cloudschool_protocol::id::{NodeId, SchoolId};
use cloudschool_protocol::media::Codec;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::token::Claims;
use cloudschool_service::auth::Bearer;
use cloudschool_service::clock::now_ms;
use cloudschool_service::problem::Problem;
use serde::Serialize;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/patrol", get(patrol))
        .route("/api/patrol/{lesson}/picture", get(picture))
}

/// Whose lessons a token lets see at a glance: an operator's all, an observer's for no lesson in
/// particular those of its school.
fn scope(claims: &Claims) -> Result<Option<&SchoolId>, Problem> {
    match claims.role {
        Role::Operator if claims.lesson.is_none() => Ok(None),
        Role::Observer if claims.lesson.is_none() => Ok(Some(&claims.school)),
        _ => Err(Refusal::NotAllowed.into()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Patrol {
    node: NodeId,
    now_ms: u64,
    /// Whether the campus can be reached from here.
    campus: bool,
    lessons: Vec<Glance>,
}

async fn patrol(State(app): State<App>, Bearer(claims): Bearer) -> Result<Json<Patrol>, Problem> {
    Ok(Json(Patrol {
        node: app.node.name().clone(),
        now_ms: now_ms(),
        campus: *app.node.campus_reachable().borrow(),
        lessons: app.node.glances(scope(&claims)?),
    }))
}

async fn picture(
    State(app): State<App>,
    Bearer(claims): Bearer,
    Lesson(lesson): Lesson,
) -> Result<Response, Problem> {
    if scope(&claims)?.is_some_and(|school| !lesson.state().info.includes(school)) {
        return Err(Refusal::NoSuchLesson.into());
    }
    let Some(picture) = app.node.picture(lesson.id()).await else {
        let en = "There is no picture of this lesson just now.";
        return Err(Problem::not_found("这节课现在没有画面。", en).kind("no-picture"));
    };
    let kind = match picture.codec {
        Codec::H264 => "video/H264",
        Codec::Vp8 => "video/VP8",
        Codec::Vp9 => "video/VP9",
        Codec::Av1 | Codec::Opus => "application/octet-stream",
    };
    let age = HeaderValue::from(picture.age.as_millis() as u64);
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-picture-age-ms"), age),
    ];
    Ok((headers, picture.bytes.clone()).into_response())
}
