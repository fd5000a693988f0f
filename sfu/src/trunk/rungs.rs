//! What reaches the other end of a trunk, in words: for the teacher's page, operators and
//! metrics.

use super::allocation::Reason;
use crate::media::{Priority, Showing};
use cloudschool_protocol::id::{LessonId, NodeId, SchoolId};
use cloudschool_protocol::media::TrackId;
use cloudschool_protocol::socket::{Rung, RungReason};
use cloudschool_protocol::trunk::NodeKind;
use std::collections::BTreeMap;
use std::time::Duration;

/// What crosses one trunk, in one direction, as last decided.
#[derive(Debug, Clone)]
pub struct TrunkRungs {
    pub link: u64,
    /// The other end.
    pub peer: NodeId,
    pub kind: NodeKind,
    pub school: Option<SchoolId>,
    /// What the path takes and what the sites allow, bit/s.
    pub estimate: u64,
    pub cap: Option<u64>,
    /// What is sent, and what the path would have to be known to take for more; bit/s.
    pub granted: u64,
    pub wanted: u64,
    pub queue: Duration,
    /// Share of packets lost.
    pub loss: f64,
    /// How often a track was given another form, since the trunk was made.
    pub changes: u64,
    pub lessons: BTreeMap<LessonId, LessonRung>,
}

/// What crosses of one lesson.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LessonRung {
    pub rung: Rung,
    pub reason: RungReason,
    /// Milliseconds since the Unix epoch.
    pub since_ms: u64,
    pub tracks: Vec<TrackRung>,
}

impl LessonRung {
    /// One of which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        let (rung, reason) = (Rung::Full, RungReason::Whole);
        Self { rung, reason, since_ms: 0, tracks: Vec::new() }
    }
}

/// What crosses of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackRung {
    pub track: TrackId,
    pub matters: Priority,
    pub showing: Showing,
    pub reason: Reason,
    pub bits_per_second: u64,
}

impl TrackRung {
    /// The word for it in metrics and the API.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match (self.showing, self.reason) {
            (Showing::Off, _) => "off",
            (Showing::Stills(_), _) => "stills",
            (_, Reason::Best | Reason::Nothing) => "full",
            _ => "reduced",
        }
    }
}

/// The words for [`TrackRung::word`].
pub const TRACK_WORDS: [&str; 4] = ["full", "reduced", "stills", "off"];

/// The rung a lesson is on, by its tracks, and why it is no higher one.
#[must_use]
pub fn rung(tracks: &[TrackRung]) -> (Rung, RungReason) {
    // Of a track that sends nothing there is nothing to miss.
    let sent = || tracks.iter().filter(|t| t.reason != Reason::Nothing);
    let worst = sent().map(|t| t.reason).max().unwrap_or(Reason::Best);
    let reason = match worst {
        Reason::Best | Reason::Nothing => return (Rung::Full, RungReason::Whole),
        Reason::Settling => RungReason::Settling,
        Reason::Cap => RungReason::Cap,
        Reason::Path => RungReason::Line,
    };
    let pictures = || sent().filter(|t| t.matters > Priority::Audio);
    let faces = || pictures().filter(|t| t.matters != Priority::Screen);
    let moves = |t: &TrackRung| matches!(t.showing, Showing::Best | Showing::Layers(_));
    let shown = |t: &TrackRung| t.showing != Showing::Off;
    let screen = pictures().any(|t| t.matters == Priority::Screen && shown(t));
    // Where nobody's face is to be seen, a screen that moves is all there is.
    let rung = if faces().any(moves) {
        Rung::Reduced
    } else if screen {
        Rung::Slides
    } else if pictures().any(shown) {
        Rung::Stills
    } else {
        Rung::Sound
    };
    (rung, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Target;

    fn track(matters: Priority, showing: Showing, reason: Reason) -> TrackRung {
        let track = "li/camera".parse().unwrap();
        TrackRung { track, matters, showing, reason, bits_per_second: 0 }
    }

    #[test]
    fn a_lessons_rung_is_what_a_class_would_say_it_sees() {
        use Priority::{ClassView, Screen, TeacherAudio, TeacherCamera};
        let layers = Showing::Layers(Target::encoding(0));
        let (stills, off) = (Showing::Stills(0), Showing::Off);
        let (best, path) = (Reason::Best, Reason::Path);
        let sound = track(TeacherAudio, layers, best);
        let of = |tracks: &[(Priority, Showing, Reason)]| {
            let tracks = tracks.iter().map(|(m, s, r)| track(*m, *s, *r));
            rung(&tracks.chain([sound.clone()]).collect::<Vec<_>>())
        };
        let line = RungReason::Line;
        assert_eq!(of(&[]), (Rung::Full, RungReason::Whole));
        assert_eq!(of(&[(TeacherCamera, layers, best)]), (Rung::Full, RungReason::Whole));
        assert_eq!(of(&[(TeacherCamera, layers, path)]), (Rung::Reduced, line));
        let class_off = [(TeacherCamera, layers, best), (ClassView, off, path)];
        assert_eq!(of(&class_off), (Rung::Reduced, line));
        let slides = [(Screen, stills, path), (TeacherCamera, stills, path)];
        assert_eq!(of(&slides), (Rung::Slides, line));
        let moving = [(Screen, layers, best), (TeacherCamera, off, Reason::Cap)];
        assert_eq!(of(&moving), (Rung::Slides, RungReason::Cap));
        assert_eq!(of(&[(TeacherCamera, stills, path)]), (Rung::Stills, line));
        assert_eq!(of(&[(TeacherCamera, off, path)]), (Rung::Sound, line));
        let paused = [(TeacherCamera, off, Reason::Nothing)];
        assert_eq!(of(&paused), (Rung::Full, RungReason::Whole));
        let back = [(TeacherCamera, layers, Reason::Settling)];
        assert_eq!(of(&back), (Rung::Reduced, RungReason::Settling));
    }
}
