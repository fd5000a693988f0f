//! What must hold of a trunk, and whether it does in a run.

use super::run::{Run, Stage};
use cloudschool_protocol::socket::Rung;
use serde::Serialize;

/// What kind of lesson it was: not everything must hold of every line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kind {
    /// The name of the profile, or the figures of the line.
    pub profile: String,
    pub hops: usize,
    pub viewers: usize,
    /// The links' mean loss towards the school.
    pub loss: f64,
    pub outage: bool,
    pub layers: usize,
    pub screen: bool,
    pub in_time_ms: u64,
}

/// One thing that must hold, and the worst of all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    pub what: String,
    pub wanted: String,
    pub measured: String,
    pub holds: bool,
    /// What was measured in each run, in the order of their seeds.
    pub each: Vec<String>,
    /// The same of plain WebRTC on such a line, where it was watched beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain: Option<String>,
}

enum Limit {
    AtMost(f64),
    AtLeast(f64),
}
use Limit::{AtLeast, AtMost};

struct Judge<'a> {
    runs: &'a [Run],
    verdicts: Vec<Verdict>,
}

impl Judge<'_> {
    fn line(
        &mut self,
        what: impl Into<String>,
        limit: Limit,
        unit: &'static str,
        digits: usize,
        of: impl Fn(&Run) -> Option<f64>,
    ) {
        self.beside(what, limit, unit, digits, of, |_| None);
    }

    /// Judges the worst run, with what plain WebRTC had beside it in the same run.
    fn beside(
        &mut self,
        what: impl Into<String>,
        limit: Limit,
        unit: &'static str,
        digits: usize,
        of: impl Fn(&Run) -> Option<f64>,
        plain: impl Fn(&Run) -> Option<f64>,
    ) {
        let worst = |of: &dyn Fn(&Run) -> Option<f64>| {
            // What could not be measured in a run does not hold in it.
            let each: Option<Vec<f64>> = self.runs.iter().map(of).collect();
            let each = each?.into_iter().filter(|v| !v.is_nan());
            match limit {
                AtMost(_) => each.reduce(f64::max),
                AtLeast(_) => each.reduce(f64::min),
            }
        };
        let value = worst(&of);
        let digits_only = |v: Option<f64>| match v {
            Some(v) if v.is_finite() => format!("{v:.digits$}"),
            Some(_) => "never".to_owned(),
            None => "–".to_owned(),
        };
        let each = self.runs.iter().map(|run| digits_only(of(run))).collect();
        let (sign, bound, holds) = match limit {
            AtMost(bound) => ("≤", bound, value.is_some_and(|v| v <= bound)),
            AtLeast(bound) => ("≥", bound, value.is_some_and(|v| v >= bound)),
        };
        let show = |v: f64| match v.is_finite() {
            true => format!("{v:.digits$} {unit}").trim_end().to_owned(),
            false => "never".to_owned(),
        };
        self.verdicts.push(Verdict {
            what: what.into(),
            wanted: format!("{sign} {bound} {unit}").trim_end().to_owned(),
            measured: value.map_or_else(|| "never".to_owned(), show),
            holds,
            each,
            plain: worst(&plain).map(show),
        });
    }
}

/// Everything that must hold of such a lesson.
#[must_use]
pub fn verdicts(kind: &Kind, runs: &[Run]) -> Vec<Verdict> {
    let mut judge = Judge { runs, verdicts: Vec::new() };
    let steady = !kind.outage && runs.iter().all(|run| run.rates.len() < 2);
    if steady {
        let most = if kind.loss < 0.002 { 1.06 } else { 1.12 };
        judge.line("Trunk's bytes by one viewer's", AtMost(most), "×", 3, |r| {
            Some(r.trunk_to_viewer_bytes)
        });
        in_time(&mut judge, kind);
    }
    if runs.iter().any(|run| run.campus_cpu_us_per_packet_one_viewer.is_some()) {
        let what = format!("Campus's CPU with {} viewers by that with one", kind.viewers);
        judge.line(what, AtMost(1.1), "×", 2, |r| {
            Some(r.campus_cpu_us_per_packet? / r.campus_cpu_us_per_packet_one_viewer?)
        });
    }
    if !steady && !kind.outage {
        narrowing(&mut judge, kind, runs);
    }
    if kind.outage {
        outage(&mut judge);
    }
    if kind.hops > 1 {
        judge.line("Lip sync", AtMost(40.0), "ms", 1, |r| r.trunk.lip_sync_ms);
        judge.beside(
            "Added latency p99",
            AtMost(30.0),
            "ms",
            1,
            |r| Some(r.trunk.added_latency_p99_ms),
            |r| Some(r.plain.as_ref()?.added_latency_p99_ms),
        );
    }
    judge.line("Events lost", AtMost(0.0), "", 0, |r| Some(r.events.events_lost as f64));
    judge.line("Events doubled", AtMost(0.0), "", 0, |r| Some(r.events.events_doubled as f64));
    judge.line("Holes in the log", AtMost(0.0), "", 0, |r| Some(r.events.holes as f64));
    judge.verdicts
}

fn in_time(judge: &mut Judge<'_>, kind: &Kind) {
    let limit = kind.in_time_ms;
    let (audio, video) = match kind.in_time_ms {
        900 => (99.8, 99.5),
        _ => (99.5, 99.5),
    };
    judge.beside(
        format!("Sound within {limit} ms"),
        AtLeast(audio),
        "%",
        2,
        |r| Some(r.trunk.audio_in_time * 100.0),
        |r| Some(r.plain.as_ref()?.audio_in_time * 100.0),
    );
    judge.beside(
        format!("Frames within {limit} ms"),
        AtLeast(video),
        "%",
        2,
        |r| Some(r.trunk.video_in_time * 100.0),
        |r| Some(r.plain.as_ref()?.video_in_time * 100.0),
    );
    if kind.in_time_ms < 900 {
        judge.beside(
            "Frame p95",
            AtMost(200.0),
            "ms",
            0,
            |r| Some(r.trunk.frame_p95_ms),
            |r| Some(r.plain.as_ref()?.frame_p95_ms),
        );
        judge.beside(
            "Keyframe p95",
            AtMost(320.0),
            "ms",
            0,
            |r| Some(r.trunk.keyframe_p95_ms),
            |r| Some(r.plain.as_ref()?.keyframe_p95_ms),
        );
    }
}

fn narrowing(judge: &mut Judge<'_>, kind: &Kind, runs: &[Run]) {
    let least = |r: &Run| r.narrowing.iter().map(|s| s.audio_in_time * 100.0).reduce(f64::min);
    judge.beside("Sound in time throughout", AtLeast(99.5), "%", 2, least, |r| {
        Some(r.plain.as_ref()?.audio_in_time * 100.0)
    });
    let stages = runs.first().map_or(0, |run| run.narrowing.len());
    let rate = |run: &Run, n: usize| run.narrowing.get(n).and_then(|s| s.rate).unwrap_or(u64::MAX);
    for n in 1..stages {
        let narrower = runs.first().is_some_and(|run| rate(run, n) < rate(run, n - 1));
        let stage = move |r: &Run| r.narrowing.get(n).cloned();
        let after = move |r: &Run| Some(stage(r)?.fitting_after_s.unwrap_or(f64::INFINITY));
        if narrower {
            judge.line("A fitting layer after the line narrowed", AtMost(5.0), "s", 1, after);
            judge.line("A rung that lasts after it", AtMost(5.0), "s", 1, move |r| {
                rung_within(r, n).map(|(after, _)| after)
            });
            // Beside a screen the camera stands where both don't fit: pictures of the screen are
            // judged then.
            if runs.iter().all(|r| !kind.screen || rung_within(r, n).is_some_and(|(_, m)| m)) {
                judge.line("Frames of it in time", AtLeast(99.0), "%", 2, move |r| {
                    Some(stage(r)?.video_in_time * 100.0)
                });
            }
        } else {
            judge.line("The full picture after it widened", AtMost(15.0), "s", 1, after);
        }
        // One step down and one up, and one more on the way.
        judge.line(format!("Changes of layer after {n}"), AtMost(3.0), "", 0, move |r| {
            Some(stage(r)?.changes as f64)
        });
    }
    if kind.screen {
        judge.line("Screen's longest wait for a picture", AtMost(3.0), "s", 2, |r| {
            Some(r.screen_freeze_ms? / 1000.0)
        });
    }
}

/// After which time at a rate of the line the teacher was told the rung that lasted, s, and
/// whether a face moves on it.
fn rung_within(run: &Run, stage: usize) -> Option<(f64, bool)> {
    let Stage { at_s, until_s, .. } = run.narrowing.get(stage)?;
    let (at, rung) = run.rungs_told.iter().rfind(|(at, _)| at < until_s)?;
    Some(((at - at_s).max(0.0), matches!(rung, Rung::Full | Rung::Reduced)))
}

fn outage(judge: &mut Judge<'_>) {
    let worst =
        |list: &[Option<f64>]| list.iter().map(|ms| ms.unwrap_or(f64::INFINITY)).reduce(f64::max);
    judge.line("Members of the school hear each other: longest gap", AtMost(200.0), "ms", 0, |r| {
        r.local_gap_ms
    });
    judge.beside(
        "Sound is back after",
        AtMost(500.0),
        "ms",
        0,
        move |r| worst(&r.trunk.resume_audio_ms),
        move |r| worst(&r.plain.as_ref()?.resume_audio_ms),
    );
    judge.beside(
        "The picture is back after",
        AtMost(1000.0),
        "ms",
        0,
        move |r| worst(&r.trunk.resume_picture_ms),
        move |r| worst(&r.plain.as_ref()?.resume_picture_ms),
    );
    let told = |list: &[Option<u64>]| {
        list.iter().map(|ms| ms.map_or(f64::INFINITY, |ms| ms as f64)).reduce(f64::max)
    };
    judge.line("The class is told that the campus is away after", AtMost(2000.0), "ms", 0, {
        move |r| told(&r.events.campus_away_told_ms)
    });
    judge.line("Hands refused in the school meanwhile", AtMost(0.0), "", 0, |r| {
        Some(r.events.refused_in_cut as f64)
    });
    judge.line("Hands done in the school meanwhile", AtLeast(1.0), "", 0, |r| {
        Some(r.events.done_in_cut as f64)
    });
    judge.line("Time of an event in the log off by", AtMost(1000.0), "ms", 0, |r| {
        r.events.time_off_ms.map(|ms| ms as f64)
    });
}
