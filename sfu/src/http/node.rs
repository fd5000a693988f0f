//! `/api/node`: this node's trunks and what crosses them, for operators.

use super::lessons::for_operators;
use super::state::App;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use cloudschool_protocol::id::{LessonId, NodeId, SchoolId};
use cloudschool_protocol::media::TrackId;
use cloudschool_protocol::socket::{Rung, RungReason};
use cloudschool_protocol::trunk::NodeKind;
use cloudschool_service::auth::Bearer;
use cloudschool_service::problem::Problem;
use serde::Serialize;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/node", get(node))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    node: NodeId,
    campus: bool,
    trunks: Vec<Trunk>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trunk {
    peer: NodeId,
    kind: NodeKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    school: Option<SchoolId>,
    /// Bit/s this node may send there, as its path and the sites allow.
    estimate: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<u64>,
    granted: u64,
    queue_ms: u64,
    /// Share of packets, 0 to 1.
    loss: f64,
    lessons: Vec<Lesson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lesson {
    lesson: LessonId,
    rung: Rung,
    reason: RungReason,
    since_ms: u64,
    tracks: Vec<Track>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Track {
    track: TrackId,
    rung: &'static str,
    bits_per_second: u64,
}

async fn node(State(app): State<App>, Bearer(claims): Bearer) -> Result<Json<Described>, Problem> {
    for_operators(&claims)?;
    let trunks = app.node.trunk_rungs().into_iter().map(|trunk| Trunk {
        peer: trunk.peer,
        kind: trunk.kind,
        school: trunk.school,
        estimate: trunk.estimate,
        cap: trunk.cap,
        granted: trunk.granted,
        queue_ms: trunk.queue.as_millis() as u64,
        loss: trunk.loss,
        lessons: trunk
            .lessons
            .into_iter()
            .map(|(lesson, of)| Lesson {
                lesson,
                rung: of.rung,
                reason: of.reason,
                since_ms: of.since_ms,
                tracks: of
                    .tracks
                    .iter()
                    .map(|track| Track {
                        track: track.track.clone(),
                        rung: track.word(),
                        bits_per_second: track.bits_per_second,
                    })
                    .collect(),
            })
            .collect(),
    });
    let campus = *app.node.campus_reachable().borrow();
    Ok(Json(Described { node: app.node.name().clone(), campus, trunks: trunks.collect() }))
}
