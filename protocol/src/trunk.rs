//! Messages of the trunk's control stream. The trunk is the QUIC connection from an edge,
//! the recorder or analytics up to its upstream node; both ends speak these messages on one
//! bidirectional stream, framed by [`crate::frame`].
//!
//! Demand flows against media: whoever wants tracks of a lesson says so with
//! [`Control::Demand`], and the other end, if it has them, announces a flow for each and
//! sends RTP under that flow id ([`crate::roq`]). Both ends may demand: an edge demands the
//! teacher, the campus demands a classroom's camera.

use crate::command::Command;
use crate::event::Event;
use crate::id::{LessonId, NodeId, SchoolId};
use crate::lesson::{LessonInfo, Phase};
use crate::media::{Codec, TrackId};
use crate::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// Version of these messages. Ends whose versions differ refuse each other.
pub const VERSION: u16 = 1;

/// ALPN of the trunk.
pub const ALPN: &[u8] = b"cloudschool/1";

/// Most tracks one end may demand of one lesson.
pub const MAX_DEMAND: usize = 256;

/// What a trunk peer is. Its certificate says so too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// The campus node.
    Origin,
    /// A school's node.
    Edge,
    Recorder,
    Analytics,
}

impl NodeKind {
    /// The word in certificates, configuration and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            NodeKind::Origin => "origin",
            NodeKind::Edge => "edge",
            NodeKind::Recorder => "recorder",
            NodeKind::Analytics => "analytics",
        }
    }
}

/// One line of the list of lessons a trunk peer may follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LessonLine {
    pub info: LessonInfo,
    pub phase: Phase,
}

/// The request number of a [`Control::Command`], unique on one connection.
pub type RequestId = u64;

/// A control message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Control {
    /// First message of both ends.
    Hello {
        version: u16,
        node: NodeId,
        kind: NodeKind,
        /// The school an edge stands in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        school: Option<SchoolId>,
        /// Program and version, for people.
        software: String,
    },
    /// The peer is not let in, and why. The connection is closed after it.
    Goodbye { reason: String },
    /// Down: every lesson the peer may follow. Sent after hello and again, whole, on change.
    Lessons { lessons: Vec<LessonLine> },
    /// Up: send the events of a lesson after number `after`, and go on with new ones.
    Follow { lesson: LessonId, after: u64 },
    /// Up: no more events, and no more media, of this lesson.
    Unfollow { lesson: LessonId },
    /// Down: events in order.
    Events { lesson: LessonId, events: Vec<Event> },
    /// Down: the lesson asked for can't be followed.
    FollowRefused { lesson: LessonId, refusal: Refusal },
    /// Up: a command for the lesson's origin.
    Command { request: RequestId, lesson: LessonId, command: Command },
    /// Down: what became of it. The events, if any, come before it.
    Outcome {
        request: RequestId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<Refusal>,
    },
    /// Either way: all tracks of the lesson that this end wants from the other now. Replaces
    /// the demand before it. A track the other end doesn't have yet is remembered.
    Demand { lesson: LessonId, tracks: Vec<TrackId> },
    /// Either way: packets of `track` will come under `flow`.
    Flow { flow: u64, lesson: LessonId, track: TrackId, codec: Codec },
    /// Either way: nothing more comes under `flow`.
    FlowEnd { flow: u64 },
    /// Either way: whoever receives `flow` needs a keyframe.
    Keyframe { flow: u64 },
    /// Either way: the publisher's clock, from its sender reports: NTP time (32.32, RFC 3550
    /// §4) of the RTP timestamp, so that lip sync and the recording's time line hold behind
    /// any number of hops.
    Clock { flow: u64, ntp: u64, rtp: u32 },
}
