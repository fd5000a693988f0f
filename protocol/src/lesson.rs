//! A lesson as everyone sees it: its description and the state that follows from its events.
//!
//! [`State`] is a projection: it only applies events that the origin already decided. The
//! rules that turn a command into events live at the origin (`sfu/src/lesson`). The lesson
//! socket, edges, recorder and analytics all hold the same projection.

mod apply;
pub mod asking;
pub mod attendance;
pub mod chat;
pub mod entry;
pub mod grouping;
pub mod quiz;
pub mod showing;

use crate::board::BoardWriters;
use crate::id::{LessonId, MemberId, NodeId, SchoolId};
use crate::join_code::JoinCode;
use crate::media::{Codec, TrackId};
use crate::member::Member;
use crate::slides::Slides;
use asking::{Buzzer, HandCount, Picked, Question};
use attendance::{Attended, RollCall};
use chat::{Chat, Praise, Reacted};
use entry::Removed;
use grouping::Groups;
use quiz::Quiz;
use serde::{Deserialize, Serialize};
use showing::{Caption, Chapter, Mark, Note, Proposal, Timer, View};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What is known of a lesson before it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LessonInfo {
    pub id: LessonId,
    /// Title shown to people.
    pub title: String,
    /// Subject, free text or a JY/T 1001 code (`14` is mathematics).
    #[serde(default)]
    pub subject: String,
    #[serde(default)]
    pub grade: String,
    /// Name of the teacher, as shown in the library.
    pub teacher: String,
    /// The campus the teacher is at.
    pub campus: SchoolId,
    /// Schools invited. Nodes of other schools don't get this lesson.
    #[serde(default)]
    pub schools: Vec<SchoolId>,
    /// What people call the campus and the schools invited, each name 1–64 characters. A school
    /// without one is called by its id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub school_names: BTreeMap<SchoolId, String>,
    /// Planned begin, milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_start_ms: Option<u64>,
    /// Planned length in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_minutes: Option<u32>,
    /// The code students come in by, where the campus gives codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<JoinCode>,
}

impl LessonInfo {
    /// Whether the school is in the lesson: its campus, or invited.
    #[must_use]
    pub fn includes(&self, school: &SchoolId) -> bool {
        self.campus == *school || self.schools.contains(school)
    }

    /// With `names` of its schools, in place of those it has; names of others are left out.
    #[must_use]
    pub fn with_names(mut self, names: &BTreeMap<SchoolId, String>) -> Self {
        let mut known = std::mem::take(&mut self.school_names);
        let ours = [&self.campus].into_iter().chain(&self.schools);
        self.school_names = ours
            .filter_map(|s| Some((s.clone(), names.get(s).cloned().or_else(|| known.remove(s))?)))
            .collect();
        self
    }

    /// What people call the school.
    #[must_use]
    pub fn school_name<'a>(&'a self, school: &'a SchoolId) -> &'a str {
        self.school_names.get(school).map_or(school.as_str(), String::as_str)
    }
}

/// Where a lesson is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Known, and nobody is let in yet.
    #[default]
    Scheduled,
    /// Members may come in; the lesson has not begun.
    Open,
    /// Being given, and recorded.
    Live,
    /// Over.
    Ended,
    /// Over, and the recording is in the library.
    Archived,
}

/// A track that is being published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedTrack {
    pub track: TrackId,
    pub codec: Codec,
    /// The node the publisher is connected to.
    pub node: NodeId,
}

/// A raised hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hand {
    pub member: MemberId,
    /// When it went up, milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// Everything that follows from a lesson's events up to [`State::seq`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    pub info: LessonInfo,
    pub phase: Phase,
    /// Number of the last event applied; 0 before any.
    pub seq: u64,
    /// The run of the lesson, from its start on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// Present members by id.
    pub members: BTreeMap<MemberId, Member>,
    /// Raised hands, the longest waiting first.
    pub hands: Vec<Hand>,
    /// Members on stage (台上): everyone gets their sources. In the order they were called.
    pub stage: Vec<MemberId>,
    /// Members whose microphone the teacher has closed. Outlives a reconnect.
    pub muted: Vec<MemberId>,
    /// Tracks being published, by track.
    pub tracks: BTreeMap<TrackId, PublishedTrack>,
    /// The slides everybody sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slides: Option<Slides>,
    /// Nobody new comes into this run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
    /// Who was taken out of this run and may not come back, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removed: BTreeMap<MemberId, Removed>,
    /// Who may write on the board.
    #[serde(default)]
    pub board_writers: BoardWriters,
    /// How often the lesson was opened anew: 1 for its first run. Each has a board of its own.
    #[serde(default)]
    pub run: u32,
    /// Everyone who came into this run, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attendance: BTreeMap<MemberId, Attended>,
    /// Members away from their devices, the longest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<MemberId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roll_call: Option<RollCall>,
    /// Hands counted in classes, by who counted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hand_counts: BTreeMap<MemberId, HandCount>,
    /// How often each was called up or picked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asked: BTreeMap<MemberId, u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picked: Option<Picked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiz: Option<Quiz>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buzzer: Option<Buzzer>,
    #[serde(default)]
    pub chat: Chat,
    /// The latest of each member.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reactions: BTreeMap<MemberId, Reacted>,
    /// The latest praise, the last last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub praise: Vec<Praise>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<Timer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Groups>,
    #[serde(default)]
    pub view: View,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<Caption>,
    /// What waits for the teacher's word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposals: Vec<Proposal>,
    /// In the order of the recording.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chapters: Vec<Chapter>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// Score sheets, by observer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sheets: BTreeMap<MemberId, Vec<Mark>>,
    /// Address of the lesson in the library, once archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
}

/// An event that does not follow the last one: some are missing, or it is from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event {got} does not follow event {last}: follow the lesson again after {last}")]
pub struct Gap {
    pub last: u64,
    pub got: u64,
}

impl State {
    /// A lesson nothing has happened in.
    #[must_use]
    pub fn new(info: LessonInfo) -> Self {
        Self {
            info,
            phase: Phase::Scheduled,
            seq: 0,
            session: None,
            started_ms: None,
            ended_ms: None,
            members: BTreeMap::new(),
            hands: Vec::new(),
            stage: Vec::new(),
            muted: Vec::new(),
            tracks: BTreeMap::new(),
            slides: None,
            locked: false,
            removed: BTreeMap::new(),
            board_writers: BoardWriters::default(),
            run: 0,
            attendance: BTreeMap::new(),
            away: Vec::new(),
            roll_call: None,
            hand_counts: BTreeMap::new(),
            asked: BTreeMap::new(),
            picked: None,
            question: None,
            quiz: None,
            buzzer: None,
            chat: Chat::default(),
            reactions: BTreeMap::new(),
            praise: Vec::new(),
            timer: None,
            groups: None,
            view: View::default(),
            caption: None,
            proposals: Vec::new(),
            chapters: Vec::new(),
            notes: Vec::new(),
            sheets: BTreeMap::new(),
            recording: None,
        }
    }

    /// The member that gives the lesson, when present.
    #[must_use]
    pub fn teacher(&self) -> Option<&Member> {
        self.members.values().find(|m| m.role.leads())
    }
}
