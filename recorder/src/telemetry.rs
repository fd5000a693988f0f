//! What `/metrics` tells, as OpenMetrics text. Counters count since the process started.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use cloudschool_service::problem::Problem;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counters and gauges of this process.
pub struct Telemetry {
    registry: Registry,
    /// Media packets taken from the trunk.
    pub packets: Counter,
    /// Files begun.
    pub parts: Counter,
    /// Files given up because they could not be written.
    pub parts_failed: Counter,
    /// Keyframes asked for.
    pub keyframes_asked: Counter,
    /// Lessons published.
    pub published: Counter,
    /// Lessons that could not be published; each is tried again at the next start.
    pub publish_failures: Counter,
    /// Lessons being recorded.
    pub recording: Gauge,
    /// Tracks being written.
    pub tracks: Gauge,
    /// Lessons over and not yet published.
    pub waiting: Gauge,
    /// Recordings in the library.
    pub library: Gauge,
    /// 1 when the trunk is up.
    pub trunk_up: Gauge,
    /// 1 while nothing is recorded for want of room.
    pub disk_full: Gauge,
    pub disk_free: Gauge,
}

impl Telemetry {
    #[must_use]
    pub fn new() -> Self {
        let mut telemetry = Self {
            registry: Registry::with_prefix("cloudschool_recorder"),
            packets: Counter::default(),
            parts: Counter::default(),
            parts_failed: Counter::default(),
            keyframes_asked: Counter::default(),
            published: Counter::default(),
            publish_failures: Counter::default(),
            recording: Gauge::default(),
            tracks: Gauge::default(),
            waiting: Gauge::default(),
            library: Gauge::default(),
            trunk_up: Gauge::default(),
            disk_full: Gauge::default(),
            disk_free: Gauge::default(),
        };
        let t = &mut telemetry;
        let r = &mut t.registry;
        r.register("packets", "Media packets taken from the trunk", t.packets.clone());
        r.register("parts", "Recorded files begun", t.parts.clone());
        r.register("parts_failed", "Recorded files given up", t.parts_failed.clone());
        r.register("keyframes_asked", "Keyframes asked for", t.keyframes_asked.clone());
        r.register("lessons_published", "Lessons published", t.published.clone());
        r.register("publish_failures", "Lessons not published", t.publish_failures.clone());
        r.register("lessons_recording", "Lessons being recorded", t.recording.clone());
        r.register("tracks_recording", "Tracks being written", t.tracks.clone());
        r.register("lessons_waiting", "Lessons over, not yet published", t.waiting.clone());
        r.register("library_recordings", "Recordings in the library", t.library.clone());
        r.register("trunk_up", "1 when the trunk is up", t.trunk_up.clone());
        r.register("disk_full", "1 while there is no room to record", t.disk_full.clone());
        r.register_with_unit("disk_free", "Room left", Unit::Bytes, t.disk_free.clone());
        telemetry
    }

    /// The answer to `GET /metrics`.
    pub fn answer(&self) -> Response {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}
