//! What relaying costs, beside bare quinn.

use super::Options;
use crate::forward::report::Machine;
use anyhow::{Result, ensure};
use serde::Serialize;
use std::fmt::Write as _;

/// CPU per relayed packet beside bare quinn's, at most.
const AT_MOST: f64 = 1.3;

/// One side of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    pub cpu_us_per_packet: f64,
    /// RTP packets that came to all receivers.
    pub packets: u64,
    pub packets_per_second: f64,
    /// Share of one core.
    pub cores: f64,
}

impl Side {
    /// # Errors
    /// When nothing came.
    pub fn new(cpu_ns: u64, packets: u64, seconds: f64) -> Result<Self> {
        ensure!(packets > 0, "no packet came to any receiver");
        Ok(Self {
            cpu_us_per_packet: cpu_ns as f64 / 1000.0 / packets as f64,
            packets,
            packets_per_second: packets as f64 / seconds,
            cores: cpu_ns as f64 / 1e9 / seconds,
        })
    }
}

/// Both sides, measured at the same time.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    pub campus: Side,
    pub bare: Side,
}

/// The report; figures beside `runs` are medians over them.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub edges: usize,
    pub bitrate_mbps: f64,
    pub seconds: f64,
    pub debug_build: bool,
    pub machine: Machine,
    pub cpu_us_per_packet: f64,
    pub bare_us_per_packet: f64,
    /// The campus's figure by the bare sender's of the same run.
    pub ratio_to_bare: f64,
    pub ok: bool,
    pub runs: Vec<Run>,
}

impl Report {
    /// `runs` must not be empty.
    #[must_use]
    pub fn new(options: &Options, runs: Vec<Run>) -> Self {
        let ratio = |run: &Run| run.campus.cpu_us_per_packet / run.bare.cpu_us_per_packet;
        let ratio_to_bare = median(runs.iter().map(ratio));
        Self {
            edges: options.edges,
            bitrate_mbps: options.bitrate_mbps,
            seconds: options.seconds,
            debug_build: cfg!(debug_assertions),
            machine: Machine::this(),
            cpu_us_per_packet: median(runs.iter().map(|r| r.campus.cpu_us_per_packet)),
            bare_us_per_packet: median(runs.iter().map(|r| r.bare.cpu_us_per_packet)),
            ratio_to_bare,
            ok: ratio_to_bare <= AT_MOST,
            runs,
        }
    }

    /// For people to read.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{} schools on one campus, {:.1} Mbit/s each",
            self.edges, self.bitrate_mbps
        );
        for Run { campus, bare } in &self.runs {
            let _ = writeln!(
                out,
                "  campus {:.2} µs/packet at {:.0} packets/s, bare quinn {:.2} at {:.0}",
                campus.cpu_us_per_packet,
                campus.packets_per_second,
                bare.cpu_us_per_packet,
                bare.packets_per_second
            );
        }
        let _ = writeln!(
            out,
            "{} CPU per relayed packet beside bare quinn: {:.2} × (≤ {AT_MOST} ×)",
            if self.ok { "✓" } else { "✗" },
            self.ratio_to_bare
        );
        out
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
