//! Lesson events: what happened, numbered by the origin, the only writer of a lesson's log.

use crate::id::{DeckId, MemberId, NodeId};
use crate::lesson::LessonInfo;
use crate::media::{Codec, TrackId};
use crate::member::Member;
use crate::slides::Deck;
use serde::{Deserialize, Serialize};
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
    /// Slides are shown; `page` is 1 for the first.
    #[serde(rename = "slides.opened")]
    SlidesOpened { deck: Box<Deck>, page: u16, by: MemberId },
    /// Everybody sees another page of them: a chapter begins.
    #[serde(rename = "slides.turned")]
    SlidesTurned { deck: DeckId, page: u16, by: MemberId },
    #[serde(rename = "slides.closed")]
    SlidesClosed { by: MemberId },
    #[serde(rename = "track.published")]
    TrackPublished { track: TrackId, codec: Codec, node: NodeId },
    #[serde(rename = "track.unpublished")]
    TrackUnpublished { track: TrackId },
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
}
