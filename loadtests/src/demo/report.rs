//! What a demo lesson measured, what it must measure, and how it is shown.

use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

/// A member is in the lesson within this time, 95 of 100 times.
pub const JOIN_MS: f64 = 2000.0;
/// And sees the teacher.
pub const FIRST_FRAME_MS: f64 = 2000.0;
/// A hand raised at the school shows at the teacher.
pub const HAND_MS: f64 = 1000.0;
/// Share of the published frames that reach a viewer whole.
pub const FRAMES_DELIVERED: f64 = 0.99;
/// Share of the sound's packets.
pub const SOUND_DELIVERED: f64 = 0.99;
/// Bytes on the trunk over bytes of one viewer: one copy, and what framing costs.
pub const TRUNK_TO_VIEWER: f64 = 1.15;
/// The recording is as long as the lesson, give or take, in seconds.
pub const RECORDING_OFF_S: f64 = 1.0;

/// Everything measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether every check holds.
    pub ok: bool,
    pub students: usize,
    pub join_ms_p50: f64,
    pub join_ms_p95: f64,
    pub first_frame_ms_p50: f64,
    pub first_frame_ms_p95: f64,
    /// From raising a hand at the school to the teacher seeing it.
    pub hand_ms_p95: f64,
    pub hands: usize,
    /// Frames the teacher published while it was measured.
    pub frames_published: usize,
    /// Share of them that reached a viewer whole, over all viewers.
    pub frames_delivered: f64,
    /// The same of the viewer that got least.
    pub frames_delivered_least: f64,
    /// From the teacher's encoder to a viewer's socket.
    pub frame_delay_ms_p50: f64,
    pub frame_delay_ms_p95: f64,
    /// Share of the sound's packets that came, over all viewers.
    pub sound_delivered: f64,
    /// IP bytes on the trunk towards the school.
    pub trunk_bytes: u64,
    /// IP bytes the school's node sent to its viewers, all together.
    pub viewers_bytes: u64,
    /// Bytes on the trunk over bytes of one viewer.
    pub trunk_to_viewer_bytes: f64,
    pub lesson_s: f64,
    pub recording_s: f64,
    /// Behaviour records of the lesson in analytics.
    pub events_stored: usize,
    /// Records that follow from the lesson's events and are not there, or there twice.
    pub events_wrong: usize,
    /// Records of someone speaking.
    pub speech_stored: usize,
    /// From the end of the lesson to the recording in the library.
    pub archived_after_s: f64,
    /// The recording's directory.
    pub recording: PathBuf,
    /// What did not come about at all, in words.
    pub problems: Vec<String>,
    pub checks: Vec<Check>,
}

/// One thing that must hold.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    pub what: &'static str,
    pub measured: String,
    pub limit: String,
    pub ok: bool,
}

impl Report {
    /// Judges what was measured.
    #[must_use]
    pub fn judged(mut self) -> Self {
        let off = (self.recording_s - self.lesson_s).abs();
        let at_most = |what, value: f64, limit: f64, unit: &str, digits: usize| Check {
            what,
            measured: format!("{value:.digits$}{unit}"),
            limit: format!("≤ {limit}{unit}"),
            ok: value <= limit,
        };
        let share = |what, value: f64, limit: f64| Check {
            what,
            measured: format!("{:.2} %", value * 100.0),
            limit: format!("≥ {} %", limit * 100.0),
            ok: value >= limit,
        };
        self.checks = vec![
            at_most("join, 95 of 100 within", self.join_ms_p95, JOIN_MS, " ms", 0),
            at_most(
                "first frame, 95 of 100 within",
                self.first_frame_ms_p95,
                FIRST_FRAME_MS,
                " ms",
                0,
            ),
            at_most(
                "hand shown at the teacher, 95 of 100 within",
                self.hand_ms_p95,
                HAND_MS,
                " ms",
                0,
            ),
            share("frames delivered", self.frames_delivered, FRAMES_DELIVERED),
            share("sound delivered", self.sound_delivered, SOUND_DELIVERED),
            at_most(
                "trunk bytes over one viewer's",
                self.trunk_to_viewer_bytes,
                TRUNK_TO_VIEWER,
                "",
                3,
            ),
            Check {
                what: "recording as long as the lesson",
                measured: format!("{:.2} s of {:.2} s", self.recording_s, self.lesson_s),
                limit: format!("± {RECORDING_OFF_S} s"),
                ok: off <= RECORDING_OFF_S,
            },
            Check {
                what: "every event stored once",
                measured: format!("{} stored, {} wrong", self.events_stored, self.events_wrong),
                limit: "0 wrong".into(),
                ok: self.events_wrong == 0 && self.events_stored > 0,
            },
            Check {
                what: "the teacher was heard speaking",
                measured: format!("{} intervals", self.speech_stored),
                limit: "≥ 1".into(),
                ok: self.speech_stored > 0,
            },
        ];
        // A figure that isn't a number would pass no comparison above, whichever way it goes.
        self.ok = self.problems.is_empty() && self.checks.iter().all(|c| c.ok);
        self
    }

    /// The report for the terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let verdict = if self.ok { "everything holds" } else { "something is WRONG" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "\nDemo lesson with {} students: {verdict}\n", self.students);
        for check in &self.checks {
            let mark = if check.ok { "ok   " } else { "WRONG" };
            let _ = writeln!(
                text,
                "  {mark}  {:<46} {:>24}   ({})",
                check.what, check.measured, check.limit
            );
        }
        for problem in &self.problems {
            let _ = writeln!(text, "  WRONG  {problem}");
        }
        let _ = writeln!(
            text,
            "\n  frames   {} published, {:.2} % at the viewer that got least; on their way {:.0} ms (median), {:.0} ms (95 of 100)",
            self.frames_published,
            self.frames_delivered_least * 100.0,
            self.frame_delay_ms_p50,
            self.frame_delay_ms_p95,
        );
        let _ = writeln!(
            text,
            "  bytes    {} on the trunk, {} to all viewers together",
            megabytes(self.trunk_bytes),
            megabytes(self.viewers_bytes)
        );
        let _ = writeln!(
            text,
            "  archive  in the library {:.1} s after the end: {}",
            self.archived_after_s,
            self.recording.display()
        );
        text
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

/// Milliseconds.
#[must_use]
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The value that `share` of all values are not above; not a number when there is none.
#[must_use]
pub fn quantile(values: &[Duration], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).map_or(f64::NAN, |d| ms(*d))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Report {
        Report {
            ok: false,
            students: 20,
            join_ms_p50: 50.0,
            join_ms_p95: 100.0,
            first_frame_ms_p50: 200.0,
            first_frame_ms_p95: 400.0,
            hand_ms_p95: 20.0,
            hands: 9,
            frames_published: 900,
            frames_delivered: 1.0,
            frames_delivered_least: 1.0,
            frame_delay_ms_p50: 5.0,
            frame_delay_ms_p95: 9.0,
            sound_delivered: 1.0,
            trunk_bytes: 100,
            viewers_bytes: 2000,
            trunk_to_viewer_bytes: 1.0,
            lesson_s: 30.0,
            recording_s: 30.4,
            events_stored: 60,
            events_wrong: 0,
            speech_stored: 5,
            archived_after_s: 3.0,
            recording: PathBuf::new(),
            problems: Vec::new(),
            checks: Vec::new(),
        }
    }

    #[test]
    fn a_good_lesson_passes() {
        let report = good().judged();
        assert!(report.ok, "{}", report.text());
    }

    #[test]
    fn each_figure_can_fail_the_lesson() {
        let spoil: [fn(&mut Report); 9] = [
            |r| r.join_ms_p95 = 2001.0,
            |r| r.first_frame_ms_p95 = f64::NAN,
            |r| r.hand_ms_p95 = 1500.0,
            |r| r.frames_delivered = 0.98,
            |r| r.sound_delivered = 0.5,
            |r| r.trunk_to_viewer_bytes = 1.2,
            |r| r.recording_s = 28.9,
            |r| r.events_wrong = 1,
            |r| r.speech_stored = 0,
        ];
        for (n, spoil) in spoil.into_iter().enumerate() {
            let mut report = good();
            spoil(&mut report);
            let report = report.judged();
            assert!(!report.ok);
            assert_eq!(report.checks.iter().filter(|c| !c.ok).count(), 1);
            assert!(!report.checks[n].ok, "{}", report.text());
        }
    }

    #[test]
    fn quantiles_are_of_the_values() {
        let values: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(quantile(&values, 0.95), 19.0);
        assert_eq!(quantile(&values, 0.5), 10.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
