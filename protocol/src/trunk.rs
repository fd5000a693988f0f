//! Messages of the trunk's control stream. The trunk is the QUIC connection from an edge,
//! the recorder or analytics up to its upstream node; both ends speak these messages on one
//! bidirectional stream, framed by [`crate::frame`].
//!
//! Demand flows against media: whoever wants tracks of a lesson says so with
//! [`Control::Demand`], and the other end, if it has them, announces a flow for each and
//! sends RTP under that flow id ([`crate::roq`]). Both ends may demand: an edge demands the
//! teacher, the campus demands a classroom's camera.

mod version;

pub use version::{CAPABILITIES, NoCommonVersion, OLDEST, VERSION, Versions, capability};

use crate::asset::{AssetId, AssetKind, AssetRefusal};
use crate::blob::Blob;
use crate::board::BoardWord;
use crate::command::Command;
use crate::event::Event;
use crate::id::{LessonId, MemberId, NodeId, SchoolId};
use crate::lesson::{LessonInfo, Phase};
use crate::media::{Codec, TrackId};
use crate::refusal::Refusal;
use crate::slides::Spot;
use crate::spool::{Piece, SpoolPart};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// ALPN of the trunk.
pub const ALPN: &[u8] = b"cloudschool/1";

/// Most tracks one end may demand of one lesson.
pub const MAX_DEMAND: usize = 256;

/// Most nodes from a lesson's origin down to a school's node, both included.
pub const MAX_PATH: usize = 16;

/// Most nodes that may stand behind one trunk.
pub const MAX_BEHIND: usize = 4096;

/// Most entries of one [`Control::HandUp`] or [`Control::HandUpTaken`].
pub const MAX_HAND_UP: usize = 256;

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

/// How much of a demanded track is wanted at most. What is left out is not limited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DemandLimit {
    pub track: TrackId,
    /// The highest encoding wanted; 0 is the smallest picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<u8>,
    /// The most bit/s wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<u64>,
}

/// A node that stands behind another, as the node in front of it knows it by its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    pub node: NodeId,
    /// The school it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub school: Option<SchoolId>,
}

/// A command that was decided below while the origin was away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandUpEntry {
    /// Unique for all time: the origin takes each once, however often it comes.
    pub id: Uuid,
    /// When it happened, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The node that decided it, when it is not the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<NodeId>,
    pub command: Command,
}

/// What became of a [`HandUpEntry`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandUpOutcome {
    pub id: Uuid,
    /// Why it is not in the lesson's log; it is not to be handed up again either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

/// What a node serves its pages with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpsCertificate {
    /// The node it is for, when it is not the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<NodeId>,
    /// The name it is for, where it is one that every browser trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Certificates, PEM, the server's first.
    pub chain: String,
    /// Private key, PEM; left out when it is that of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The CA to install on devices, PEM, where browsers don't know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}

impl std::fmt::Debug for HttpsCertificate {
    /// Without the key: messages are logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpsCertificate").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A few bytes of a board's changes.
pub type BoardChanges = Blob<{ crate::board::MAX_PIECE }>;

/// The request number of a [`Control::Command`], unique on one connection.
pub type RequestId = u64;

/// A control message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Control {
    /// First message of both ends.
    Hello {
        /// The highest version spoken.
        version: u16,
        /// The lowest version spoken; the same as `version` when it is not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        oldest: Option<u16>,
        node: NodeId,
        kind: NodeKind,
        /// The school an edge stands in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        school: Option<SchoolId>,
        /// Program and version, for people.
        software: String,
        /// What of [`capability`] the sender can do beyond the version. Unknown ones mean
        /// nothing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        capabilities: Vec<String>,
    },
    /// The peer is not let in, and why. The connection is closed after it.
    Goodbye { reason: String },
    /// Down: the nodes from the lessons' origin to the sender, the sender last. Sent after
    /// hello and again on change; a dialler that finds itself in it has dialled in a circle.
    Path {
        nodes: Vec<NodeId>,
        /// The origin can't be reached from the sender now.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        away: bool,
    },
    /// Up: every node that stands behind the sender, whole, on change. Only these may be
    /// named in a command's `from`.
    Behind { nodes: Vec<Standing> },
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
    Command {
        request: RequestId,
        lesson: LessonId,
        /// The node that reports it, when it is not the sender.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<NodeId>,
        command: Command,
    },
    /// Down: what became of it. The events, if any, come before it.
    Outcome {
        request: RequestId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<Refusal>,
    },
    /// Up: what was decided below while the origin was away, in order. Handed up again until
    /// the outcome of each is known.
    HandUp { lesson: LessonId, entries: Vec<HandUpEntry> },
    /// Down: these are dealt with. The events, if any, come before it.
    HandUpTaken { lesson: LessonId, outcomes: Vec<HandUpOutcome> },
    /// Towards the recorder: what of a lesson the sender and the nodes behind it kept while the
    /// campus was away, whole, on change.
    Spooled { lesson: LessonId, parts: Vec<SpoolPart> },
    /// Towards the node that has part `id`: its bytes from `offset` on, one piece.
    SpoolFetch { lesson: LessonId, id: Uuid, offset: u64 },
    /// Towards the recorder: the piece.
    SpoolPiece { lesson: LessonId, id: Uuid, offset: u64, data: Piece },
    /// Towards the node that has part `id`: the recorder has it on its disk.
    SpoolTaken { lesson: LessonId, id: Uuid },
    /// Either way: all tracks of the lesson that this end wants from the other now. Replaces
    /// the demand before it. A track the other end doesn't have yet is remembered.
    Demand {
        lesson: LessonId,
        tracks: Vec<TrackId>,
        /// Of those tracks, the ones not wanted whole.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        limits: Vec<DemandLimit>,
    },
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
    /// Up: a request (PKCS #10, PEM) for a new certificate of a node whose old one nears its end.
    Renew {
        csr: String,
        /// The node, when it is not the sender.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<NodeId>,
        /// The certificate it has on trunks, PEM. For a node behind the sender it proves who asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<String>,
    },
    /// Down: the new certificate, PEM, for the same node and the key of the request.
    Renewed {
        certificate: String,
        /// The node it is for, when it is not the receiver.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<NodeId>,
    },
    /// Up: a node serves pages over HTTPS and needs a certificate. `csr` and `names`, where
    /// browsers reach it, are for a campus that has none to hand out and issues one.
    Https {
        csr: String,
        names: Vec<String>,
        /// As for [`Self::Renew`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<NodeId>,
        /// As for [`Self::Renew`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<String>,
    },
    /// Down: what to serve pages with, again whenever it changes.
    HttpsCertificate(HttpsCertificate),
    /// Down: a certificate that was asked for does not come, and why, for people.
    CertificateRefused {
        /// The node that asked, when it is not the receiver.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<NodeId>,
        reason: String,
    },
    /// Either way: the sender's site allows lessons so much of its line, in each direction.
    Cap { bits_per_second: u64 },
    /// Either way: send an asset of the lesson from byte `offset` on, in
    /// [`Chunk`](crate::asset::Chunk)s. The same `request` again replaces what it asked before.
    AssetFetch {
        request: u64,
        lesson: LessonId,
        asset: AssetId,
        #[serde(default)]
        offset: u64,
        /// Somebody waits for it.
        #[serde(default)]
        now: bool,
    },
    /// Either way: nothing more is wanted of this request.
    AssetStop { request: u64 },
    /// Either way: what a request asks for does not come.
    AssetRefused { request: u64, refusal: AssetRefusal },
    /// Up: this asset of the lesson was given to the sender or to a node behind it. It is to be
    /// fetched and kept.
    AssetOffer { lesson: LessonId, asset: AssetId, bytes: u64, kind: AssetKind },
    /// Down: the lesson's origin has it, or won't.
    AssetTaken {
        lesson: LessonId,
        asset: AssetId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<AssetRefusal>,
    },
    /// Either way: where on the page a teacher points, or that it points no more. Passed on to
    /// the other nodes of the lesson, and nowhere kept.
    Pointer {
        lesson: LessonId,
        by: MemberId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Spot>,
    },
    /// Either way: about the board of a lesson's run, to an end that has
    /// [`capability::BOARD`].
    Board { lesson: LessonId, run: u32, word: BoardWord },
    /// From the recorder: the changes of the board of a lesson's run, with their times, as they
    /// are kept (`docs/board.md`), from byte `offset` on, one piece.
    BoardFetch { lesson: LessonId, run: u32, offset: u64 },
    /// To the recorder: the piece; empty where there is no more.
    BoardPiece { lesson: LessonId, run: u32, offset: u64, data: BoardChanges },
    /// A message this release does not know. It is ignored.
    #[serde(other, skip_serializing)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;

    fn read(json: &str) -> serde_json::Result<Control> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_hello_of_the_first_release_is_read() {
        let hello = r#"{"type":"hello","version":1,"node":"a","kind":"edge","software":"sfu 0.1"}"#;
        let Control::Hello { version: 1, oldest: None, capabilities, .. } = read(hello).unwrap()
        else {
            panic!("it is another message");
        };
        assert!(capabilities.is_empty());
    }

    #[test]
    fn a_message_of_a_later_release_is_none_that_is_known() {
        let later = r#"{"type":"weather","of":{"school":"school-01"},"rain":true}"#;
        assert_eq!(read(later).unwrap(), Control::Unknown);
        assert!(frame::encode(&Control::Unknown).is_err(), "nobody says it");
    }

    #[test]
    fn a_command_of_a_later_release_is_passed_on_as_it_came() {
        for command in [
            r#"{"kind":"weather","rain":[1.5,null]}"#,
            r#"{"by":"wang","command":{"do":"sing"},"kind":"member"}"#,
            r#"{"by":"wang","command":{"do":"raise-hand","high":true},"kind":7}"#,
        ] {
            let said =
                format!(r#"{{"type":"command","request":1,"lesson":"math","command":{command}}}"#);
            let Control::Command { command: read, .. } = read(&said).unwrap() else { panic!() };
            assert!(matches!(read, Command::Unknown(_)), "{read:?}");
            assert_eq!(serde_json::to_string(&read).unwrap(), command);
        }
        let known = r#"{"kind":"member","by":"wang","command":{"do":"raise-hand"}}"#;
        let known: Command = serde_json::from_str(known).unwrap();
        assert!(matches!(known, Command::Member { .. }));
    }

    #[test]
    fn a_refusal_of_a_later_release_is_one_that_is_not_supported() {
        let said = r#"{"type":"outcome","request":2,"refusal":"the-bell-has-rung"}"#;
        let refusal = Some(Refusal::NotSupported);
        assert_eq!(read(said).unwrap(), Control::Outcome { request: 2, refusal });
        assert_eq!(serde_json::to_value(Refusal::NotSupported).unwrap(), "not-supported");
    }

    #[test]
    fn fields_of_a_later_release_are_passed_over() {
        let later = r#"{"type":"keyframe","flow":4,"encoding":2,"why":["loss"]}"#;
        assert_eq!(read(later).unwrap(), Control::Keyframe { flow: 4 });
        assert!(read(r#"{"type":"keyframe"}"#).is_err(), "a field that must be there is not");
        assert!(read(r#"{"flow":4}"#).is_err(), "a message has a type");
    }
}
