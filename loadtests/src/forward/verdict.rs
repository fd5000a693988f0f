//! What must hold, and whether it does, by the reports of the standard set.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Reports by the names of their parts.
#[derive(Debug, Default)]
pub struct Results(pub BTreeMap<&'static str, Value>);

impl Results {
    /// A figure of a part's report, by its JSON pointer.
    #[must_use]
    pub fn figure(&self, part: &str, pointer: &str) -> Option<f64> {
        self.0.get(part)?.pointer(pointer)?.as_f64()
    }
}

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub what: &'static str,
    pub wanted: String,
    pub measured: String,
    /// `None` when it was not measured.
    pub holds: Option<bool>,
}

struct Line {
    what: &'static str,
    part: &'static str,
    pointer: &'static str,
    limit: Limit,
    unit: &'static str,
    digits: usize,
    /// The figure is shown, and the limit given, times this.
    scale: f64,
}

enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

const RUN: &str = "/runs/0/server";

fn lines() -> Vec<Line> {
    use Limit::{AtLeast, AtMost};
    let line = |what, part, pointer, limit, unit, digits| Line {
        what,
        part,
        pointer,
        limit,
        unit,
        digits,
        scale: 1.0,
    };
    let share = |line: Line| Line { scale: 100.0, ..line };
    vec![
        line(
            "CPU per packet beside the floor, 200 viewers",
            "side-by-side",
            "/ratio_to_floor",
            AtMost(2.0),
            "×",
            2,
        ),
        share(line("Loss, 200 viewers", "side-by-side", "/loss", AtMost(0.0), "%", 4)),
        line("Latency p99, 200 viewers", "side-by-side", "/latency_p99_ms", AtMost(5.0), "ms", 2),
        line("CPU per packet beside Janus", "side-by-side", "/ratio_to_janus", AtMost(0.1), "×", 3),
        share(line("Loss, 1,000 viewers", "lesson-1000", "/loss", AtMost(0.1), "%", 4)),
        line(
            "Memory, 1,000 viewers",
            "lesson-1000",
            "/rss_kib_per_subscriber",
            AtMost(150.0),
            "KiB each",
            0,
        ),
        line(
            "Streams of sound at one listener, 40 microphones",
            "microphones",
            "/runs/0/server/sound/streams_max",
            AtMost(4.0),
            "",
            0,
        ),
        line(
            "First frame after DTLS p95, 500 joins in 2 s",
            "joins",
            "/runs/0/server/joins/first_frame_p95_ms",
            AtMost(500.0),
            "ms",
            0,
        ),
        line(
            "Joined without a frame",
            "joins",
            "/runs/0/server/joins/without_a_frame",
            AtMost(0.0),
            "",
            0,
        ),
        line(
            "Keyframes asked of the publisher, 500 joins in 2 s",
            "joins",
            "/runs/0/server/joins/keyframes_asked",
            AtMost(5.0),
            "",
            0,
        ),
        share(line(
            "Frames decodable, 5 % loss",
            "lossy",
            "/runs/0/server/frames/decodable",
            AtLeast(99.0),
            "%",
            2,
        )),
        share(line(
            "Frames decodable while the line narrows",
            "narrowing",
            "/runs/0/server/frames/decodable",
            AtLeast(99.0),
            "%",
            2,
        )),
        line(
            "Longest freeze while the line narrows",
            "narrowing",
            "/runs/0/server/frames/longest_freeze_ms",
            AtMost(500.0),
            "ms",
            0,
        ),
    ]
}

/// All of them.
#[must_use]
pub fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = lines().iter().map(|line| judge(line, results)).collect();
    verdicts.insert(6, more_viewers(results));
    verdicts.extend(steps(results));
    verdicts
}

fn judge(line: &Line, results: &Results) -> Verdict {
    let Line { what, part, pointer, limit, unit, digits, scale } = line;
    let value = results.figure(part, pointer).map(|v| v * scale);
    let (sign, limit, holds) = match limit {
        Limit::AtMost(limit) => ("≤", limit, value.map(|v| v <= *limit)),
        Limit::AtLeast(limit) => ("≥", limit, value.map(|v| v >= *limit)),
    };
    let show = |v: f64| format!("{v:.digits$} {unit}").trim_end().to_owned();
    Verdict {
        what,
        wanted: format!("{sign} {limit} {unit}").trim_end().to_owned(),
        measured: value.map_or_else(|| "not measured".to_owned(), show),
        holds,
    }
}

/// A packet to one of a thousand costs hardly more than to one of two hundred.
fn more_viewers(results: &Results) -> Verdict {
    let cost = |part| results.figure(part, "/cpu_us_per_packet");
    let ratio = cost("lesson-1000").zip(cost("lesson-200")).map(|(many, few)| many / few);
    Verdict {
        what: "CPU per packet, 1,000 viewers beside 200",
        wanted: "≤ 1.2 ×".to_owned(),
        measured: ratio.map_or_else(|| "not measured".to_owned(), |r| format!("{r:.2} ×")),
        holds: ratio.map(|r| r <= 1.2),
    }
}

/// Every time the line changes, the right layer comes: soon when it narrows, in a while when it
/// widens.
fn steps(results: &Results) -> Vec<Verdict> {
    let layers = results.0.get("narrowing").and_then(|r| r.pointer(RUN)?.pointer("/layers/steps"));
    let steps = layers.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let layer = |step: &Value| step.get("right_layer").and_then(Value::as_u64);
    steps
        .windows(2)
        .map(|pair| {
            let down = layer(&pair[1]) < layer(&pair[0]);
            let (what, limit) = match down {
                true => ("Right layer after the line narrowed", 3.0),
                false => ("Right layer after the line widened", 15.0),
            };
            let after = pair[1].get("right_after_s").and_then(Value::as_f64);
            Verdict {
                what,
                wanted: format!("≤ {limit} s"),
                measured: after.map_or_else(|| "never".to_owned(), |s| format!("{s:.1} s")),
                holds: Some(after.is_some_and(|s| s <= limit)),
            }
        })
        .collect()
}

/// For people to read.
#[must_use]
pub fn text(results: &Results) -> String {
    let mut out = String::new();
    for Verdict { what, wanted, measured, holds } in verdicts(results) {
        let mark = match holds {
            Some(true) => "✓",
            Some(false) => "✗",
            None => "–",
        };
        let _ = writeln!(out, "{mark} {what}: {measured} ({wanted})");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_measured_is_judged_and_what_was_not_is_not() {
        let mut results = Results::default();
        results.0.insert("side-by-side", json!({ "ratio_to_floor": 1.5, "loss": 0.0001 }));
        results.0.insert("lesson-200", json!({ "cpu_us_per_packet": 2.0 }));
        results.0.insert("lesson-1000", json!({ "cpu_us_per_packet": 2.6 }));
        let step =
            |layer: u8, after: Option<f64>| json!({ "right_layer": layer, "right_after_s": after });
        let steps = [step(2, Some(1.0)), step(1, Some(2.0)), step(2, None)];
        let narrowing = json!({ "runs": [{ "server": { "layers": { "steps": steps } } }] });
        results.0.insert("narrowing", narrowing);
        let verdicts = verdicts(&results);
        let of = |what: &str| verdicts.iter().find(|v| v.what.starts_with(what)).unwrap();
        assert_eq!(of("CPU per packet beside the floor").holds, Some(true));
        let loss = of("Loss, 200");
        assert_eq!((loss.holds, loss.measured.as_str()), (Some(false), "0.0100 %"));
        assert_eq!(of("CPU per packet beside Janus").holds, None);
        assert_eq!(of("CPU per packet, 1,000").holds, Some(false));
        assert_eq!(of("Right layer after the line narrowed").holds, Some(true));
        assert_eq!(of("Right layer after the line widened").holds, Some(false));
    }
}
