//! What came of all runs of a lesson over a trunk, as JSON and for people to read.

use super::run::Run;
use super::verdict::{Kind, Verdict, verdicts};
use crate::forward::report::Machine;
use serde::Serialize;
use std::fmt::Write as _;

/// The report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub description: String,
    #[serde(flatten)]
    pub kind: Kind,
    pub seconds: f64,
    pub bitrate_mbps: f64,
    pub debug_build: bool,
    /// Measurements on this machine at the same time, this one included.
    pub at_once: u8,
    pub machine: Machine,
    /// Whether everything holds that must.
    pub ok: bool,
    pub verdicts: Vec<Verdict>,
    pub runs: Vec<Run>,
}

impl Report {
    #[must_use]
    pub fn new(
        kind: Kind,
        description: String,
        seconds: f64,
        bitrate: u64,
        at_once: u8,
        runs: Vec<Run>,
    ) -> Self {
        let verdicts = verdicts(&kind, &runs);
        Self {
            description,
            kind,
            seconds,
            bitrate_mbps: bitrate as f64 / 1e6,
            debug_build: cfg!(debug_assertions),
            at_once,
            machine: Machine::this(),
            ok: verdicts.iter().all(|v| v.holds),
            verdicts,
            runs,
        }
    }

    /// For people to read.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let Kind { profile, hops, viewers, .. } = &self.kind;
        let link = if *hops > 1 { format!("{hops} × {profile}") } else { profile.clone() };
        let _ = writeln!(
            out,
            "{link}: {}\n{viewers} viewers behind it, {:.1} Mbit/s, {:.0} s, {} {}",
            self.description,
            self.bitrate_mbps,
            self.seconds,
            self.runs.len(),
            if self.runs.len() == 1 { "run" } else { "runs" },
        );
        for run in &self.runs {
            let _ = writeln!(out, "seed {}", run.seed);
            let mut side = |name: &str, got: &super::judge::Got| {
                let _ = writeln!(
                    out,
                    "  {name:<6} sound {:6.2} %  frames {:6.2} %  frame p50/p95 {:.0}/{:.0} ms  \
                     keyframe p95 {:.0} ms  added p99 {:.1} ms  lip sync {} ms",
                    got.audio_in_time * 100.0,
                    got.video_in_time * 100.0,
                    got.frame_p50_ms,
                    got.frame_p95_ms,
                    got.keyframe_p95_ms,
                    got.added_latency_p99_ms,
                    got.lip_sync_ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1}")),
                );
            };
            side("trunk", &run.trunk);
            if let Some(plain) = &run.plain {
                side("plain", plain);
            }
            side("campus", &run.campus);
            let ms = |ms: Option<f64>| ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.0}"));
            let _ = writeln!(
                out,
                "  bytes {:.3} ×  campus {} µs/packet  local gap {} ms  class heard {:.2} %  \
                 events {} done, {} lost, {} doubled, {} refused",
                run.trunk_to_viewer_bytes,
                run.campus_cpu_us_per_packet.map_or_else(|| "–".into(), |us| format!("{us:.1}")),
                ms(run.local_gap_ms),
                run.class_audio_in_time * 100.0,
                run.events.done,
                run.events.events_lost,
                run.events.events_doubled,
                run.events.refused,
            );
            if run.rates.len() > 1 {
                let told = run.rungs_told.iter().map(|(at, rung)| format!("{at:.1} s {rung:?}"));
                let _ = writeln!(out, "  told: {}", told.collect::<Vec<_>>().join(", "));
            }
        }
        for Verdict { what, wanted, measured, holds, each, plain } in &self.verdicts {
            let mark = if *holds { "✓" } else { "✗" };
            let plain = plain.as_ref().map(|p| format!("; plain WebRTC {p}")).unwrap_or_default();
            let each =
                if each.len() > 1 { format!("; {}", each.join(", ")) } else { String::new() };
            let _ = writeln!(out, "{mark} {what}: {measured} ({wanted}{each}{plain})");
        }
        out
    }
}
