//! A lesson as everyone sees it: its description and the state that follows from its events.
//!
//! [`State`] is a projection: it only applies events that the origin already decided. The
//! rules that turn a command into events live at the origin (`sfu/src/lesson`). The lesson
//! socket, edges, recorder and analytics all hold the same projection.

use crate::event::{Event, EventBody};
use crate::id::{LessonId, MemberId, NodeId, SchoolId};
use crate::join_code::JoinCode;
use crate::media::{Codec, TrackId};
use crate::member::Member;
use crate::slides::{Deck, Slides};
use serde::{Deserialize, Serialize};
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
            recording: None,
        }
    }

    /// Applies the next event. An event already applied changes nothing, so a replay is safe.
    ///
    /// # Errors
    /// [`Gap`] when events between the last one and this are missing; the state is unchanged.
    pub fn apply(&mut self, event: &Event) -> Result<(), Gap> {
        if event.seq <= self.seq {
            return Ok(());
        }
        if event.seq != self.seq + 1 {
            return Err(Gap { last: self.seq, got: event.seq });
        }
        self.seq = event.seq;
        match &event.body {
            EventBody::LessonOpened { info } => {
                self.info = info.clone();
                self.phase = Phase::Open;
                // Opened again after an earlier run, it is a new one.
                self.session = None;
                self.started_ms = None;
                self.ended_ms = None;
                self.recording = None;
            }
            EventBody::LessonStarted { session, .. } => {
                self.phase = Phase::Live;
                self.session = Some(*session);
                self.started_ms = Some(event.at_ms);
            }
            EventBody::LessonEnded { .. } => {
                self.phase = Phase::Ended;
                self.ended_ms = Some(event.at_ms);
                self.hands.clear();
                self.stage.clear();
                self.slides = None;
            }
            EventBody::LessonArchived { recording, .. } => {
                self.phase = Phase::Archived;
                self.recording = Some(recording.clone());
            }
            EventBody::MemberJoined { member } => {
                self.members.insert(member.id.clone(), member.clone());
            }
            EventBody::MemberLeft { member, .. } => {
                self.members.remove(member);
                self.hands.retain(|h| h.member != *member);
                self.stage.retain(|m| m != member);
                self.tracks.retain(|t, _| t.member != *member);
            }
            // Heard of after the end, it is a fact of the past and no hand is up.
            EventBody::HandRaised { .. } | EventBody::StageCalled { .. }
                if self.phase >= Phase::Ended => {}
            EventBody::HandRaised { member } => {
                // One that was heard of late may have waited longer than others.
                let after = self.hands.partition_point(|h| h.at_ms <= event.at_ms);
                self.hands.insert(after, Hand { member: member.clone(), at_ms: event.at_ms });
            }
            EventBody::HandLowered { member, .. } => self.hands.retain(|h| h.member != *member),
            EventBody::MemberMuted { member, muted, .. } => {
                self.muted.retain(|m| m != member);
                if *muted {
                    self.muted.push(member.clone());
                }
            }
            EventBody::StageCalled { member, .. } => {
                self.hands.retain(|h| h.member != *member);
                if !self.stage.contains(member) {
                    self.stage.push(member.clone());
                }
            }
            EventBody::StageLeft { member, .. } => self.stage.retain(|m| m != member),
            EventBody::SlidesOpened { .. } | EventBody::SlidesTurned { .. }
                if self.phase >= Phase::Ended => {}
            EventBody::SlidesOpened { deck, page, .. } => {
                self.slides = Some(Slides { deck: Deck::clone(deck), page: *page });
            }
            EventBody::SlidesTurned { deck, page, .. } => {
                // One of a deck that has been replaced meanwhile turns nothing.
                if let Some(slides) = self.slides.as_mut().filter(|s| s.deck.id == *deck) {
                    slides.page = *page;
                }
            }
            EventBody::SlidesClosed { .. } => self.slides = None,
            EventBody::TrackPublished { track, codec, node } => {
                let published =
                    PublishedTrack { track: track.clone(), codec: *codec, node: node.clone() };
                self.tracks.insert(track.clone(), published);
            }
            EventBody::TrackUnpublished { track } => {
                self.tracks.remove(track);
            }
        }
        Ok(())
    }

    /// The member that gives the lesson, when present.
    #[must_use]
    pub fn teacher(&self) -> Option<&Member> {
        self.members.values().find(|m| m.role.leads())
    }
}
