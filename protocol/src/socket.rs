//! The lesson socket: JSON text messages over a WebSocket between a member's page and its
//! node, at `GET /lessons/{lesson}/socket`.
//!
//! The first message is [`ClientMessage::Join`], within [`JOIN_WITHIN_MS`]; the node answers
//! with [`ServerMessage::Welcome`], then sends every later event in order, once. Requests
//! carry an `id` of the client's choice, which the answer repeats.

use crate::command::MemberCommand;
use crate::event::Event;
use crate::id::{MemberId, NodeId, SchoolId};
use crate::lesson::State;
use crate::media::{Source, TrackId};
use crate::member::Member;
use crate::refusal::{Lang, Refusal};
use crate::slides::Spot;
use serde::{Deserialize, Serialize};

/// Largest message either side may send, in bytes. An SDP offer with many m-lines fits.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// How long a new socket may take to say who it is.
pub const JOIN_WITHIN_MS: u64 = 10_000;

/// What one m-line of a member's watch connection shows: a track, one of the loudest voices, or
/// with neither nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The m-line's `a=mid` in the member's own offer.
    pub mid: String,
    #[serde(default)]
    pub track: Option<TrackId>,
    /// Of the lesson's open microphones but the teacher's and the member's own, those that
    /// are loudest are heard on as many lines: this one is for the first, second or third (1,
    /// 2, 3). Who speaks keeps the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loudest: Option<u8>,
    /// The smallest picture of the track there is will do, whatever the line takes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub small: bool,
}

impl Slot {
    /// A line that shows a track, or with `None` nothing.
    #[must_use]
    pub fn new(mid: String, track: Option<TrackId>) -> Self {
        Self { mid, track, loudest: None, small: false }
    }
}

/// From the page to its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum ClientMessage {
    /// First message. A second socket of the same member replaces the first.
    Join {
        token: String,
        #[serde(default)]
        lang: Lang,
    },
    /// Asks something of the lesson.
    Command { id: u64, command: MemberCommand },
    /// The offer of the member's one watch connection: `recvonly` m-lines, as many as it
    /// wants pictures and sounds at once. Sent again, with more m-lines, to renegotiate.
    WatchOffer { id: u64, sdp: String },
    /// Says what the m-lines of the watch connection are to show. M-lines not named stay.
    Watch { id: u64, slots: Vec<Slot> },
    /// The teacher points at something on the page that is shown, or no more. Not answered.
    Pointer {
        #[serde(default)]
        at: Option<Spot>,
    },
    /// The member leaves on purpose.
    Leave,
}

/// Why a node closes a socket on its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByeReason {
    /// The token is missing, wrong or expired.
    Unauthorized,
    /// The same member joined elsewhere.
    Replaced,
    /// The lesson is over and its closing time has passed.
    Ended,
    /// The member was taken out of the lesson.
    Removed,
    /// The client broke the protocol.
    Protocol,
    /// The client did not read fast enough; it may come back at once.
    TooSlow,
    /// The node is going down; come back shortly.
    Shutdown,
}

/// Where the page finds what other services show of this lesson.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Links {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}

/// A STUN or TURN server, as `RTCPeerConnection` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IceServer {
    pub urls: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// How much of a lesson reaches a school over its line, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Everything its members want, as it was sent.
    Full,
    /// Moving pictures, some of them smaller or left out.
    Reduced,
    /// The screen, moving or as pictures that stand, and sound.
    Slides,
    /// Pictures that stand, and sound.
    Stills,
    /// Sound alone.
    Sound,
}

impl Rung {
    /// All of them, the best first.
    pub const ALL: [Rung; 5] = [Rung::Full, Rung::Reduced, Rung::Slides, Rung::Stills, Rung::Sound];

    /// The word in messages and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Rung::Full => "full",
            Rung::Reduced => "reduced",
            Rung::Slides => "slides",
            Rung::Stills => "stills",
            Rung::Sound => "sound",
        }
    }
}

/// Why a school gets no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RungReason {
    /// It gets all there is.
    Whole,
    /// Its line has room again, and that is being made sure of.
    Settling,
    /// The site allows lessons no more of its line.
    Cap,
    /// Its line carries no more.
    Line,
}

/// What reaches one school.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SchoolRung {
    pub school: SchoolId,
    /// The school's node.
    pub node: NodeId,
    pub rung: Rung,
    pub reason: RungReason,
    /// When it came onto this rung, milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// From the node to the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum ServerMessage {
    /// The member is in. `state` includes every event up to its `seq`.
    Welcome {
        you: Member,
        state: Box<State>,
        /// The node's clock, milliseconds since the Unix epoch.
        now_ms: u64,
        /// Whether the lesson's origin can be reached from this node.
        campus: bool,
        links: Links,
        /// For a page that reaches the node neither over UDP nor over TCP.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ice_servers: Vec<IceServer>,
    },
    /// Something happened.
    Event { event: Event },
    /// The lesson's state, in place of the one the page has: after the campus was away, what it
    /// decided meanwhile and what this node did are one history again. Events go on after it.
    State { state: Box<State> },
    /// Request `id` was done.
    Done { id: u64 },
    /// Request `id` was refused.
    Refused { id: u64, code: Refusal, message: String },
    /// Request `id` could not be understood or carried out.
    Failed { id: u64, message: String },
    /// The answer to a watch offer.
    WatchAnswer { id: u64, sdp: String },
    /// The connection from this node to the campus went away or came back.
    Campus { reachable: bool },
    /// Who is loud: audio tracks over the speech threshold, the loudest first, with the
    /// RFC 6464 level (0 loudest, 127 silent). Sent at most five times a second, only on change.
    Speakers { tracks: Vec<(TrackId, u8)> },
    /// Which layers of a source this member publishes are watched by anyone, by the `rid`s of
    /// its offer (RFC 8851): the others may be paused. Sent on change, and after a welcome to
    /// a member that publishes already. A publication begins with all its layers watched.
    Layers { source: Source, active: Vec<String> },
    /// To who teaches, assists or operates: what reaches each school behind a line of its own,
    /// all of them, after a welcome and on change. Schools not named get everything, or have no
    /// node in the lesson.
    Rungs { schools: Vec<SchoolRung> },
    /// Where on the page that is shown `by` points, or that it points no more. A pointer of
    /// which nothing has been heard for two seconds is none.
    Pointer {
        by: MemberId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Spot>,
    },
    /// The node closes the socket after this.
    Bye { reason: ByeReason, message: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_look_as_documented() {
        let m: ClientMessage =
            serde_json::from_str(r#"{"type":"command","id":1,"command":{"do":"raise-hand"}}"#)
                .unwrap();
        assert_eq!(m, ClientMessage::Command { id: 1, command: MemberCommand::RaiseHand });
        let m: ClientMessage = serde_json::from_str(
            r#"{"type":"watch","id":2,"slots":[{"mid":"0","track":"li/camera"},{"mid":"1","track":null}]}"#,
        )
        .unwrap();
        let ClientMessage::Watch { slots, .. } = m else { panic!("not a watch") };
        assert_eq!(slots[0].track.as_ref().unwrap().to_string(), "li/camera");
        assert_eq!(slots[1], Slot::new("1".into(), None));
        let slot: Slot = serde_json::from_str(r#"{"mid":"2","loudest":3}"#).unwrap();
        assert_eq!((&slot.track, slot.loudest), (&None, Some(3)));
        let out = ServerMessage::Refused {
            id: 3,
            code: Refusal::HandAlreadyUp,
            message: Refusal::HandAlreadyUp.sentence(Lang::En).into(),
        };
        assert_eq!(
            serde_json::to_string(&out).unwrap(),
            r#"{"type":"refused","id":3,"code":"hand-already-up","message":"The hand is already raised."}"#
        );
        let out =
            ServerMessage::Layers { source: Source::Camera, active: vec!["q".into(), "h".into()] };
        assert_eq!(
            serde_json::to_string(&out).unwrap(),
            r#"{"type":"layers","source":"camera","active":["q","h"]}"#
        );
        let rung = SchoolRung {
            school: SchoolId::new("school-03").unwrap(),
            node: NodeId::new("school-03-a").unwrap(),
            rung: Rung::Slides,
            reason: RungReason::Line,
            since_ms: 1_790_000_000_000,
        };
        let out = ServerMessage::Rungs { schools: vec![rung] };
        assert_eq!(
            serde_json::to_string(&out).unwrap(),
            r#"{"type":"rungs","schools":[{"school":"school-03","node":"school-03-a","rung":"slides","reason":"line","sinceMs":1790000000000}]}"#
        );
        for rung in Rung::ALL {
            assert_eq!(serde_json::to_value(rung).unwrap(), rung.as_str());
        }
    }
}
