//! Lesson events: what happened, numbered by the origin, the only writer of a lesson's log.

use crate::board::BoardWriters;
use crate::id::{DeckId, MemberId, NodeId, SchoolId};
use crate::lesson::LessonInfo;
use crate::lesson::chat::{Audience, ChatMode, Reaction};
use crate::lesson::grouping::Group;
use crate::lesson::quiz::{Answer, QuizPaper, Tally};
use crate::lesson::showing::{Draft, Layout, Mark};
use crate::media::{Codec, TrackId};
use crate::member::Member;
use crate::slides::Deck;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// One numbered event of a lesson.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// 1 for the first event of a lesson, one more for each next, no gaps.
    pub seq: u64,
    /// Unique for all time: the id of the behaviour record that follows from the event.
    pub id: Uuid,
    /// When it happened, milliseconds since the Unix epoch: when the origin decided it, or the
    /// node that did while the origin was away. Only the former rise from event to event.
    pub at_ms: u64,
    /// Decided by a node that could not reach the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Late>,
    #[serde(flatten)]
    pub body: EventBody,
}

/// What is said of an event that was decided while the origin was away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Late {
    /// The node that decided it.
    pub node: NodeId,
    /// When the origin heard of it, milliseconds since the Unix epoch. Without it the event is
    /// provisional: it is not in the lesson's log yet, and its number is not final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_ms: Option<u64>,
}

impl Event {
    /// An event of the origin's own.
    #[must_use]
    pub fn new(seq: u64, id: Uuid, at_ms: u64, body: EventBody) -> Self {
        Self { seq, id, at_ms, late: None, body }
    }
}

/// Why a member is no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaveReason {
    /// It said so.
    Left,
    /// Its connection broke and it did not come back in time.
    Lost,
    /// The lesson ended.
    Ended,
    /// It was taken out of the lesson.
    Removed,
}

/// What happened. `type` names it on the wire: `{"type":"hand.raised","member":"wang"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum EventBody {
    /// The room is open: members may come in.
    #[serde(rename = "lesson.opened")]
    LessonOpened { info: LessonInfo },
    /// The lesson began; a recording starts here.
    #[serde(rename = "lesson.started")]
    LessonStarted { by: MemberId, session: Uuid },
    /// The lesson is over.
    #[serde(rename = "lesson.ended")]
    LessonEnded { by: MemberId },
    /// The recording is in the library.
    #[serde(rename = "lesson.archived")]
    LessonArchived {
        /// URL of the lesson's page in the library.
        recording: String,
        duration_ms: u64,
    },
    #[serde(rename = "member.joined")]
    MemberJoined { member: Member },
    #[serde(rename = "member.left")]
    MemberLeft { member: MemberId, reason: LeaveReason },
    /// Taken out of the lesson, or kept out of it when it was not there: it comes in no more
    /// before it is let in.
    #[serde(rename = "member.removed")]
    MemberRemoved { member: MemberId, name: String, school: SchoolId, by: MemberId },
    /// One that was removed may come in again.
    #[serde(rename = "member.let-in")]
    MemberLetIn { member: MemberId, by: MemberId },
    /// Nobody new comes into this run, or everybody again.
    #[serde(rename = "lesson.locked")]
    LessonLocked { locked: bool, by: MemberId },
    #[serde(rename = "hand.raised")]
    HandRaised { member: MemberId },
    /// Taken down by itself, or by the teacher.
    #[serde(rename = "hand.lowered")]
    HandLowered { member: MemberId, by: MemberId },
    /// The teacher closed (`muted`) or reopened a member's microphone.
    #[serde(rename = "member.muted")]
    MemberMuted { member: MemberId, muted: bool, by: MemberId },
    /// Called up: everyone now sees and hears the member.
    #[serde(rename = "stage.called")]
    StageCalled { member: MemberId, by: MemberId },
    #[serde(rename = "stage.left")]
    StageLeft { member: MemberId, by: MemberId },
    /// Somebody asks who is there.
    #[serde(rename = "roll-call.opened")]
    RollCallOpened {
        roll_call: Uuid,
        by: MemberId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closes_ms: Option<u64>,
    },
    #[serde(rename = "roll-call.answered")]
    RollCallAnswered { roll_call: Uuid, member: MemberId },
    /// A class was counted; one of the same `member` before is corrected.
    #[serde(rename = "roll-call.counted")]
    RollCallCounted {
        roll_call: Uuid,
        member: MemberId,
        school: SchoolId,
        present: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected: Option<u16>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ticked: Vec<MemberId>,
    },
    /// Without `by`, its time was over.
    #[serde(rename = "roll-call.closed")]
    RollCallClosed {
        roll_call: Uuid,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<MemberId>,
    },
    /// Left its device for a while, or is back at it.
    #[serde(rename = "member.away")]
    MemberAway { member: MemberId, away: bool },
    /// Hands counted in a class; 0 when none is up any more.
    #[serde(rename = "hands.counted")]
    HandsCounted { member: MemberId, school: SchoolId, count: u16 },
    /// Chance picked `member` among so many, asked so often before.
    #[serde(rename = "member.picked")]
    MemberPicked { member: MemberId, by: MemberId, among: u32, asked: u32 },
    #[serde(rename = "question.asked")]
    QuestionAsked {
        question: Uuid,
        by: MemberId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    #[serde(rename = "question.answered")]
    QuestionAnswered { question: Uuid, member: MemberId, by: MemberId },
    #[serde(rename = "question.closed")]
    QuestionClosed { question: Uuid, by: MemberId },
    #[serde(rename = "quiz.opened")]
    QuizOpened {
        quiz: QuizPaper,
        by: MemberId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closes_ms: Option<u64>,
    },
    #[serde(rename = "quiz.answered")]
    QuizAnswered { quiz: Uuid, item: u8, member: MemberId, answer: Answer },
    /// Hands counted in a class for each choice; those of the same `member` before are corrected.
    #[serde(rename = "quiz.counted")]
    QuizCounted { quiz: Uuid, item: u8, member: MemberId, school: SchoolId, counts: Vec<u16> },
    /// Without `by`, its time was over.
    #[serde(rename = "quiz.closed")]
    QuizClosed {
        quiz: Uuid,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<MemberId>,
    },
    /// Everybody sees what came of it and what was right: one tally for each item.
    #[serde(rename = "quiz.revealed")]
    QuizRevealed { quiz: Uuid, by: MemberId, tallies: Vec<Tally> },
    #[serde(rename = "buzzer.opened")]
    BuzzerOpened {
        buzzer: Uuid,
        by: MemberId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    /// Pressed as number `rank`, 1 for the first, so long after it was opened.
    #[serde(rename = "buzzer.pressed")]
    BuzzerPressed { buzzer: Uuid, member: MemberId, rank: u32, after_ms: u64 },
    #[serde(rename = "buzzer.closed")]
    BuzzerClosed { buzzer: Uuid, by: MemberId },
    #[serde(rename = "chat.set")]
    ChatSet { mode: ChatMode, by: MemberId },
    #[serde(rename = "chat.said")]
    ChatSaid { message: Uuid, member: MemberId, text: String, to: Audience },
    #[serde(rename = "chat.removed")]
    ChatRemoved { message: Uuid, by: MemberId },
    #[serde(rename = "chat.silenced")]
    ChatSilenced { member: MemberId, silenced: bool, by: MemberId },
    #[serde(rename = "reaction.given")]
    ReactionGiven {
        member: MemberId,
        reaction: Reaction,
        /// Of how many, where a class counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u16>,
    },
    #[serde(rename = "reactions.cleared")]
    ReactionsCleared { by: MemberId },
    #[serde(rename = "praise.given")]
    PraiseGiven {
        member: MemberId,
        by: MemberId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    #[serde(rename = "timer.started")]
    TimerStarted {
        ends_ms: u64,
        seconds: u32,
        by: MemberId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    /// Without `by`, its time was over.
    #[serde(rename = "timer.stopped")]
    TimerStopped {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<MemberId>,
    },
    #[serde(rename = "groups.opened")]
    GroupsOpened {
        groups: Vec<Group>,
        by: MemberId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_ms: Option<u64>,
    },
    /// Into `group`, or into none.
    #[serde(rename = "groups.moved")]
    GroupsMoved {
        member: MemberId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<Uuid>,
        by: MemberId,
    },
    /// A teacher or assistant is with `group`, or with none.
    #[serde(rename = "groups.visited")]
    GroupsVisited {
        member: MemberId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<Uuid>,
    },
    /// Without `by`, their time was over.
    #[serde(rename = "groups.closed")]
    GroupsClosed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<MemberId>,
    },
    /// The screens show something else. Without `by` the node chose, as it may while `auto`.
    #[serde(rename = "view.directed")]
    ViewDirected {
        layout: Layout,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        focus: Option<MemberId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<MemberId>,
        auto: bool,
    },
    #[serde(rename = "caption.posted")]
    CaptionPosted { member: MemberId, text: String, start_ms: u64, end_ms: u64, lang: String },
    #[serde(rename = "proposal.made")]
    ProposalMade { proposal: Uuid, member: MemberId, content: Draft },
    /// `member` had made it.
    #[serde(rename = "proposal.accepted")]
    ProposalAccepted { proposal: Uuid, member: MemberId, by: MemberId },
    #[serde(rename = "proposal.declined")]
    ProposalDeclined { proposal: Uuid, member: MemberId, by: MemberId },
    #[serde(rename = "chapter.marked")]
    ChapterMarked {
        title: String,
        /// When it begins; the event's own `atMs` is when that was said.
        from_ms: u64,
        by: MemberId,
    },
    #[serde(rename = "note.taken")]
    NoteTaken {
        note: Uuid,
        member: MemberId,
        text: String,
        /// The moment it is about; the event's own `atMs` is when it was taken.
        about_ms: u64,
    },
    #[serde(rename = "sheet.scored")]
    SheetScored { member: MemberId, sheet: Vec<Mark> },
    /// Slides are shown; `page` is 1 for the first.
    #[serde(rename = "slides.opened")]
    SlidesOpened { deck: Box<Deck>, page: u16, by: MemberId },
    /// Everybody sees another page of them: a chapter begins.
    #[serde(rename = "slides.turned")]
    SlidesTurned { deck: DeckId, page: u16, by: MemberId },
    #[serde(rename = "slides.closed")]
    SlidesClosed { by: MemberId },
    /// The teacher said who may write on the board.
    #[serde(rename = "board.writers")]
    BoardWriters { writers: BoardWriters, by: MemberId },
    /// Somebody wrote on the board, so many changes since `from_ms` (milliseconds since the Unix
    /// epoch): at most one a writer in [`DRAWN_EVERY_MS`](crate::board::DRAWN_EVERY_MS).
    #[serde(rename = "board.drawn")]
    BoardDrawn { member: MemberId, strokes: u32, from_ms: u64 },
    #[serde(rename = "track.published")]
    TrackPublished { track: TrackId, codec: Codec, node: NodeId },
    #[serde(rename = "track.unpublished")]
    TrackUnpublished { track: TrackId },
    /// One that this release does not know or can't read, as it came. It is kept and passed on
    /// in its place; it changes nothing here, and no page is shown it: whose it is to know is
    /// not known either.
    #[serde(untagged)]
    Later(Later),
}

/// What an event of a later release says beside its number, id and times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Later(Map<String, Value>);

/// An event says by its `type` what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event has a type")]
pub struct NoType;

impl Later {
    /// What happened, as the later release calls it.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.get("type").and_then(Value::as_str).unwrap_or_default()
    }
}

impl TryFrom<Map<String, Value>> for Later {
    type Error = NoType;

    fn try_from(said: Map<String, Value>) -> Result<Self, NoType> {
        match said.get("type") {
            Some(Value::String(_)) => Ok(Self(said)),
            _ => Err(NoType),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_object_on_the_wire() {
        let body = EventBody::HandRaised { member: MemberId::new("wang").unwrap() };
        let mut event = Event::new(7, Uuid::nil(), 1_700_000_000_000, body);
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "seq": 7, "id": "00000000-0000-0000-0000-000000000000",
                "atMs": 1_700_000_000_000u64, "type": "hand.raised", "member": "wang",
            })
        );
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
        event.late = Some(Late { node: NodeId::new("school-01").unwrap(), heard_ms: Some(8) });
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["late"], serde_json::json!({"node": "school-01", "heardMs": 8}));
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
    }

    #[test]
    fn an_event_of_a_later_release_is_kept_as_it_came() {
        let head = r#""seq":7,"id":"00000000-0000-0000-0000-000000000000","atMs":1700000000000"#;
        for said in [
            r#""type":"weather.changed","rain":[1.5,null],"where":{"school":"school-01"}"#,
            // Known, and said otherwise than this release can read.
            r#""type":"hand.raised","hands":2"#,
            r#""type":"member.left","member":"wang","reason":"moved""#,
        ] {
            let text = format!("{{{head},{said}}}");
            let event: Event = serde_json::from_str(&text).unwrap();
            let EventBody::Later(later) = &event.body else { panic!("{event:?}") };
            assert!(text.contains(&format!(r#""type":"{}""#, later.kind())));
            let again = serde_json::to_value(&event).unwrap();
            assert_eq!(again, serde_json::from_str::<Value>(&text).unwrap());
        }
        let late = format!(r#"{{{head},"late":{{"node":"a"}},"type":"weather.changed"}}"#);
        let event: Event = serde_json::from_str(&late).unwrap();
        assert!(event.late.is_some());
        assert_eq!(
            serde_json::to_value(&event).unwrap(),
            serde_json::from_str::<Value>(&late).unwrap()
        );
        for none in [head.to_owned(), format!(r#"{head},"type":7"#)] {
            assert!(serde_json::from_str::<Event>(&format!("{{{none}}}")).is_err(), "{none}");
        }
        assert!(serde_json::from_str::<Event>(r#"{"seq":7,"type":"weather.changed"}"#).is_err());
    }
}
