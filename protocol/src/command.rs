//! Commands: what a member or a node asks of a lesson. The origin answers each with events
//! or with a [`Refusal`](crate::refusal::Refusal).

use crate::event::LeaveReason;
use crate::id::MemberId;
use crate::media::{Codec, TrackId};
use crate::member::Member;
use crate::slides::Deck;
use serde::{Deserialize, Serialize};

/// What a member may ask for over its lesson socket: `{"do":"raise-hand"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum MemberCommand {
    /// Begin the lesson (teacher).
    Start,
    /// End the lesson for everyone (teacher).
    End,
    RaiseHand,
    /// Take down one's own hand, or another's (teacher).
    LowerHand {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<MemberId>,
    },
    /// Close or reopen a member's microphone (teacher).
    Mute {
        member: MemberId,
        muted: bool,
    },
    /// Call a member to the stage (teacher).
    Call {
        member: MemberId,
    },
    /// Send a member off the stage: any (teacher), or oneself.
    Dismiss {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<MemberId>,
    },
    /// Show slides, in place of those that are shown (teacher).
    SlidesOpen {
        deck: Box<Deck>,
        /// To begin with; the first when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page: Option<u16>,
    },
    /// Turn to a page of them, 1 for the first (teacher).
    SlidesTurn {
        page: u16,
    },
    /// Show slides no more (teacher).
    SlidesClose,
}

/// A command with who gives it, as it travels up the trunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Command {
    /// A member asks.
    Member {
        by: MemberId,
        command: MemberCommand,
    },
    /// A node let a member in whose token it had checked.
    Join {
        member: Member,
    },
    /// A member is gone from the node that reports it. A member that has meanwhile joined
    /// at another node stays.
    Leave {
        member: MemberId,
        reason: LeaveReason,
    },
    /// A member's source is being published at the node that reports it.
    Publish {
        track: TrackId,
        codec: Codec,
    },
    Unpublish {
        track: TrackId,
    },
    /// The recorder has the lesson in the library.
    Archived {
        recording: String,
        duration_ms: u64,
    },
}
