//! What `/metrics` tells, as OpenMetrics text. Counters count since the process started.

use crate::store::Totals;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use cloudschool_service::problem::Problem;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counters and gauges of this process.
pub struct Telemetry {
    registry: Registry,
    /// Events of lessons read from the trunk, replays included.
    pub events: Counter,
    /// Records newly stored.
    pub written: Counter,
    /// Records that broke the profile and were left out.
    pub invalid: Counter,
    /// Packets of microphones looked at.
    pub packets: Counter,
    /// Transactions that failed and were tried again.
    pub store_failures: Counter,
    /// Lessons being followed.
    pub following: Gauge,
    /// Microphones demanded.
    pub microphones: Gauge,
    /// 1 when the trunk is up.
    pub trunk_up: Gauge,
    /// Records in the store.
    pub stored: Gauge,
}

impl Telemetry {
    /// Begins with what the store holds.
    #[must_use]
    pub fn new(totals: Totals) -> Self {
        let mut telemetry = Self {
            registry: Registry::with_prefix("cloudschool_analytics"),
            events: Counter::default(),
            written: Counter::default(),
            invalid: Counter::default(),
            packets: Counter::default(),
            store_failures: Counter::default(),
            following: Gauge::default(),
            microphones: Gauge::default(),
            trunk_up: Gauge::default(),
            stored: Gauge::default(),
        };
        let t = &mut telemetry;
        let r = &mut t.registry;
        r.register("events", "Lesson events read, replays included", t.events.clone());
        r.register("records_written", "Behaviour records newly stored", t.written.clone());
        r.register("records_invalid", "Records left out as invalid", t.invalid.clone());
        r.register("packets", "Microphone packets looked at", t.packets.clone());
        r.register("store_failures", "Transactions tried again", t.store_failures.clone());
        r.register("lessons_followed", "Lessons being followed", t.following.clone());
        r.register("microphones_demanded", "Microphones demanded", t.microphones.clone());
        r.register("trunk_up", "1 when the trunk is up", t.trunk_up.clone());
        r.register("records_stored", "Behaviour records in the store", t.stored.clone());
        t.stored.set(i64::try_from(totals.records).unwrap_or(i64::MAX));
        telemetry
    }

    /// Counts records newly stored.
    pub fn stored(&self, new: u64) {
        self.written.inc_by(new);
        self.stored.inc_by(i64::try_from(new).unwrap_or(0));
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
