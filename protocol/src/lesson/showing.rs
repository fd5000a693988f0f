//! What the screens show and what is written about the lesson while it is given: the layout
//! (导播), a timer, captions, what an assistant program proposes, chapters, and the notes and
//! score sheets of observers.

use super::State;
use super::quiz::Item;
use crate::id::MemberId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most chapters of a run.
pub const MAX_CHAPTERS: usize = 100;
/// Most notes of a run.
pub const MAX_NOTES: usize = 500;
/// Most proposals that wait for the teacher.
pub const MAX_PROPOSALS: usize = 20;

/// What the screens in the classrooms show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// In a command: the node chooses, by what happens. In the state it never stands.
    Auto,
    #[default]
    Teacher,
    Slides,
    SlidesTeacher,
    Board,
    Screen,
    /// Those on stage.
    Stage,
    /// Every school.
    Grid,
}

/// What is shown, and whether the node chose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    pub layout: Layout,
    /// Who is shown large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub focus: Option<MemberId>,
    /// The node chooses, by what happens.
    pub auto: bool,
}

impl Default for View {
    fn default() -> Self {
        Self { layout: Layout::Teacher, focus: None, auto: true }
    }
}

/// A timer that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timer {
    /// Milliseconds since the Unix epoch.
    pub ends_ms: u64,
    /// How long it runs in all.
    pub seconds: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// A caption line (字幕), the latest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Caption {
    pub text: String,
    /// When it was begun to be said, milliseconds since the Unix epoch.
    pub start_ms: u64,
    /// When its last word was.
    pub end_ms: u64,
    /// Language tag: `zh-CN`.
    pub lang: String,
}

/// What an assistant may propose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Draft {
    /// A chapter that begins at a time, milliseconds since the Unix epoch.
    Chapter { title: String, at_ms: u64 },
    /// A quiz to be opened.
    Quiz {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        items: Vec<Item>,
    },
}

/// A proposal that waits for the teacher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    pub id: Uuid,
    pub member: MemberId,
    pub content: Draft,
}

/// A chapter of the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chapter {
    pub title: String,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// A note of an observer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    pub id: Uuid,
    pub member: MemberId,
    pub text: String,
    /// The moment of the lesson it is about, milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// A line of an observer's score sheet (评课表).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    pub criterion: String,
    pub points: u16,
    /// The most points there are.
    pub of: u16,
}

impl State {
    /// Chapters are in the order of the recording, however late one was marked.
    pub(super) fn mark_chapter(&mut self, title: &str, at_ms: u64) {
        if self.chapters.len() < MAX_CHAPTERS {
            let after = self.chapters.partition_point(|c| c.at_ms <= at_ms);
            self.chapters.insert(after, Chapter { title: title.to_owned(), at_ms });
        }
    }

    pub(super) fn took_note(&mut self, note: Note) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(note);
        }
    }

    pub(super) fn made_proposal(&mut self, proposal: Proposal) {
        if self.proposals.len() < MAX_PROPOSALS {
            self.proposals.push(proposal);
        }
    }
}
