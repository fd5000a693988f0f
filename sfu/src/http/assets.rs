//! The files of a lesson: who teaches gives them to the node the page is at, every page gets them
//! from its own.
//!
//! To get one takes a token of the lesson, as everything in it does. An `<img>` can't send one:
//! pages fetch the file and show what they have.

use super::state::{App, Lesson, may_see};
use crate::assets::{AssetError, Found};
use axum::body::{Body, BodyDataStream};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cloudschool_protocol::asset::{AssetId, AssetKind};
use cloudschool_protocol::lesson::Phase;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_service::auth::{Bearer, admit};
use cloudschool_service::http::drain;
use cloudschool_service::problem::Problem;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

/// Files that may come in at once at one node.
const UPLOADS: usize = 16;
static COMING_IN: Semaphore = Semaphore::const_new(UPLOADS);

/// How long a sender may be silent in the middle of a file.
const SILENCE: Duration = Duration::from_secs(30);

/// Bytes a second of a file that comes in, at the least: a tenth of what a picture-less lesson takes.
/// Places are few, and who sends a byte now and then must not keep one.
const LEAST: u32 = 1024;

/// Read from the disk at once.
const READ: usize = 64 * 1024;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/lessons/{lesson}/assets", post(put).layer(DefaultBodyLimit::disable()))
        .route("/lessons/{lesson}/assets/{asset}", get(serve))
}

/// What was taken in.
#[derive(Serialize)]
struct Kept {
    id: AssetId,
    bytes: u64,
    #[serde(rename = "type")]
    kind: AssetKind,
    /// The campus can't be reached: it gets the file when the line is back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    waiting: bool,
}

/// Takes a file in. One that is refused is read away, so that its sender hears why.
async fn put(
    State(app): State<App>,
    bearer: Result<Bearer, Problem>,
    lesson: Result<Lesson, Problem>,
    request: Request,
) -> Result<Response, Problem> {
    let said = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let mut body = request.into_body().into_data_stream();
    let taken = take_in(&app, bearer, lesson, said, &mut body).await;
    if taken.is_err() {
        drain(Body::from_stream(body)).await;
    }
    taken
}

async fn take_in(
    app: &App,
    bearer: Result<Bearer, Problem>,
    lesson: Result<Lesson, Problem>,
    said: Option<u64>,
    body: &mut BodyDataStream,
) -> Result<Response, Problem> {
    let (Bearer(claims), Lesson(lesson)) = (bearer?, lesson?);
    admit(&claims, lesson.id())?;
    if !matches!(claims.role, Role::Teacher | Role::Assistant | Role::Operator) {
        return Err(Refusal::NotAllowed.into());
    }
    if lesson.state().removed.contains_key(&claims.sub) {
        return Err(Refusal::Removed.into());
    }
    if lesson.state().phase >= Phase::Ended {
        return Err(Refusal::Ended.into());
    }
    let assets = app.node.assets();
    if said.is_some_and(|bytes| bytes > assets.limits().file) {
        return Err(AssetError::TooLarge(assets.limits().file).into());
    }
    let _permit = COMING_IN.try_acquire().map_err(|_| AssetError::Busy)?;
    let mut upload = assets.receive(lesson.id()).await?;
    let (begun, mut bytes) = (Instant::now(), 0);
    loop {
        let patience = patience(begun.elapsed(), bytes);
        let next = tokio::time::timeout(patience, body.next()).await.map_err(|_| unfinished())?;
        let Some(data) = next else { break };
        let data = data.map_err(|_| unfinished())?;
        bytes += data.len() as u64;
        upload.push(&data).await?;
    }
    let (id, found) = upload.finish(!app.node.lessons().are_ours()).await?;
    let key = (lesson.id().clone(), id);
    // In a task of its own: a page that closes meanwhile leaves nothing half done.
    let node = app.node.clone();
    let handed_up = tokio::spawn(async move { node.hand_up_asset(&key).await });
    let handed_up = handed_up.await.map_err(|error| Problem::internal(&error))??;
    let location = format!("/lessons/{}/assets/{id}", lesson.id());
    let location = HeaderValue::from_str(&location).map_err(|e| Problem::internal(&e))?;
    let kept = Kept { id, bytes: found.bytes, kind: found.kind, waiting: !handed_up };
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(kept)).into_response())
}

/// How long to wait for more of a file of which so many bytes came in so much time.
fn patience(elapsed: Duration, bytes: u64) -> Duration {
    let due = SILENCE.as_secs_f64() + bytes as f64 / f64::from(LEAST);
    Duration::from_secs_f64((due - elapsed.as_secs_f64()).max(0.0)).min(SILENCE)
}

fn unfinished() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "文件没有传完,请再试一次。",
        "The file did not come whole; please try again.",
    )
}

async fn serve(
    State(app): State<App>,
    Lesson(lesson): Lesson,
    Bearer(claims): Bearer,
    Path((_, asset)): Path<(String, String)>,
) -> Result<Response, Problem> {
    may_see(&claims, &lesson)?;
    let asset: AssetId = asset.parse().map_err(|_| AssetError::Missing)?;
    let key = (lesson.id().clone(), asset);
    let found = app.node.asset(&key).await?;
    let file = match File::open(&found.path).await {
        Ok(file) => file,
        // It has just given way to others.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(AssetError::Late.into());
        }
        Err(error) => return Err(AssetError::Disk(error).into()),
    };
    let etag = HeaderValue::from_str(&format!("\"{asset}\"")).map_err(|e| Problem::internal(&e))?;
    let mut headers = headers(&found);
    headers.insert(ETAG, etag);
    Ok((headers, contents(file)).into_response())
}

/// A file never changes, is what it says and nothing else, and runs nothing.
fn headers(found: &Found) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name, value| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(CONTENT_TYPE, found.kind.media_type());
    set(CACHE_CONTROL, "private, max-age=31536000, immutable");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    set(REFERRER_POLICY, "no-referrer");
    if found.kind == AssetKind::Pdf {
        set(CONTENT_DISPOSITION, "attachment");
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(found.bytes));
    headers
}

fn contents(file: File) -> Body {
    Body::from_stream(stream::try_unfold(file, async |mut file| {
        let mut data = vec![0; READ];
        let read = file.read(&mut data).await?;
        data.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then_some((data, file)))
    }))
}

impl From<AssetError> for Problem {
    fn from(error: AssetError) -> Self {
        let again = |problem: Self| problem.header(RETRY_AFTER, HeaderValue::from_static("2"));
        match error {
            AssetError::TooLarge(most) => {
                let most = most as f64 / f64::from(1 << 20);
                Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("文件太大:最多 {most:.0} MB。"),
                    format!("The file is too large: at most {most:.0} MB."),
                )
                .kind("asset-too-large")
            }
            AssetError::Unsupported => Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "只接受 WebP、PNG、JPEG 图片和 PDF。",
                "Only WebP, PNG and JPEG pictures and PDF are taken.",
            )
            .kind("asset-unsupported"),
            AssetError::LessonFull => Problem::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "这节课的文件已经放满。",
                "This lesson has no room for more files.",
            )
            .kind("lesson-assets-full"),
            AssetError::NoRoom => Problem::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "服务器的存储已满,请联系运维。",
                "The server's disk is full; please tell the operator.",
            )
            .kind("disk-full"),
            AssetError::Missing => {
                Problem::not_found("没有这个文件。", "There is no such file.").kind("no-such-asset")
            }
            AssetError::Away => again(Refusal::CampusAway.into()),
            AssetError::Late | AssetError::Busy => again(Problem::unavailable(
                "文件正在传来,请稍后再试。",
                "The file is on its way; please try again shortly.",
            ))
            .kind("asset-on-its-way"),
            AssetError::Refused => Problem::forbidden(
                "总部校区不接受这个文件。",
                "The campus does not take this file.",
            ),
            AssetError::Disk(error) => Problem::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_come_slowly_and_not_for_ever() {
        let s = Duration::from_secs;
        assert_eq!(patience(s(0), 0), SILENCE);
        // 64 kbit/s, for a quarter of an hour.
        assert_eq!(patience(s(900), 900 * 8_000), SILENCE);
        // A byte every twenty seconds.
        let mut at = s(0);
        let ended = (0..).find(|n| {
            let waits = patience(at, *n) >= s(20);
            at += s(20);
            !waits
        });
        assert_eq!(ended, Some(1));
    }
}
