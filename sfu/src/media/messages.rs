//! What goes between the node and its shards: commands down, which arrive in order; events up.

use super::bandwidth::allocation::Priority;
use super::batch::TrackKey;
use super::loudest::PLACES;
use super::outlet::{Outlet, OutletId, Showing};
use super::thumbnail::Thumbnail;
use crate::peer::{Answer, Condition, Engine, FragmentError, OfferError, Patched};
use cloudschool_protocol::media::{Codec, Kind};
use std::fmt;
use tokio::sync::oneshot;

/// One peer connection of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Which tracks a publishing peer's lines feed.
#[derive(Debug, Clone, Copy)]
pub struct PublishTracks {
    pub audio: TrackKey,
    pub video: TrackKey,
}

impl PublishTracks {
    /// The track for packets of that kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> TrackKey {
        match kind {
            Kind::Audio => self.audio,
            Kind::Video => self.video,
        }
    }
}

/// What a line of a viewer's is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub track: TrackKey,
    pub priority: Priority,
    /// The viewer's own microphone, of which it hears nothing where voices follow each other.
    pub own_voice: Option<TrackKey>,
    /// The smallest picture there is, whatever the path takes.
    pub small: bool,
}

/// The microphones of one class of which the loudest are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupId(pub u64);

/// What the shards report.
#[derive(Debug)]
pub enum MediaEvent {
    /// A peer's ICE and DTLS are through.
    Connected { session: SessionId },
    /// A peer is gone by itself: it closed, or fell silent.
    Closed { session: SessionId },
    /// The first packet of a published track came, in this codec.
    TrackStarted { session: SessionId, track: TrackKey, codec: Codec },
    /// An encoding of a track that is handed in to this shard needs a keyframe.
    KeyframeWanted { shard: usize, track: TrackKey, encoding: u8 },
    /// The encodings of a track that somebody behind this shard is to see, as a set of bits.
    EncodingsWanted { shard: usize, track: TrackKey, encodings: u8 },
    /// How loud the audio tracks of one shard are that are not silent (RFC 6464).
    Levels { shard: usize, levels: Vec<(TrackKey, u8)> },
    /// A shard's counters, cumulative, once a second.
    Counters { shard: usize, counters: Box<Counters> },
}

/// An offer that was answered outside of the shard: handing it in costs the packet path
/// nothing.
pub struct Joining {
    pub session: SessionId,
    pub engine: Engine,
    pub answer: Answer,
    pub reply: oneshot::Sender<Answer>,
}

/// What the node may ask of a shard. Commands arrive, in order.
pub enum Command {
    Publish {
        joining: Box<Joining>,
        tracks: PublishTracks,
    },
    Watch {
        joining: Box<Joining>,
    },
    /// A later offer: more lines, or an ICE restart.
    Renegotiate {
        session: SessionId,
        offer: String,
        reply: oneshot::Sender<Result<Answer, OfferError>>,
    },
    /// A fragment of SDP by WHIP's or WHEP's PATCH (RFC 9725 §4.3): candidates, or a restart.
    Patch {
        session: SessionId,
        fragment: String,
        condition: Condition,
        reply: oneshot::Sender<Result<Patched, FragmentError>>,
    },
    Close {
        session: SessionId,
    },
    OpenTrack {
        track: TrackKey,
        kind: Kind,
        /// Fed by another shard or a trunk, not by a peer here.
        lane: bool,
    },
    CloseTrack {
        track: TrackKey,
    },
    Bind {
        session: SessionId,
        mid: String,
        show: Option<Shown>,
    },
    AddOutlet {
        track: TrackKey,
        outlet: Outlet,
    },
    /// Changes what an outlet up a trunk sends. With `at_once` what it sends is broken off;
    /// one that sent nothing may begin with so many bytes of what came before.
    SetOutlet {
        track: TrackKey,
        id: OutletId,
        showing: Showing,
        at_once: bool,
        replay: usize,
    },
    RemoveOutlet {
        track: TrackKey,
        id: OutletId,
    },
    /// Of what an outlet sends.
    WantOutletKeyframe {
        track: TrackKey,
        id: OutletId,
    },
    /// Every shard is told, whether it has the track or not.
    Mute {
        track: TrackKey,
        muted: bool,
    },
    /// These tracks are from now on the loudest of a group of microphones.
    OpenGroup {
        group: GroupId,
        places: [TrackKey; PLACES],
    },
    CloseGroup {
        group: GroupId,
    },
    /// Takes a microphone into a group, or out of any.
    Seat {
        track: TrackKey,
        group: Option<GroupId>,
    },
    /// Of one encoding, or of those that are shown elsewhere.
    WantKeyframe {
        track: TrackKey,
        encoding: Option<u8>,
    },
    /// The newest picture of a track, if there is one.
    Thumbnail {
        track: TrackKey,
        reply: oneshot::Sender<Option<Thumbnail>>,
    },
    /// Say goodbye to all peers and end; `done` is answered, or dropped, after that.
    Stop {
        done: oneshot::Sender<()>,
    },
}

/// What a shard counts, since it started.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    pub packets_in: u64,
    pub packets_out: u64,
    /// IP bytes of all datagrams received and sent, media and everything else.
    pub ip_bytes_in: u64,
    pub ip_bytes_out: u64,
    pub retransmitted: u64,
    /// Packets sent only to find out what a viewer's line carries.
    pub probes: u64,
    /// Packets that waited so long for a viewer's line that they were gone.
    pub overtaken: u64,
    /// Datagrams the kernel would not take.
    pub refused: u64,
    /// Batches that other shards or trunks were too slow for.
    pub lane_drops: u64,
    pub keyframe_requests: u64,
    /// Datagrams from nobody known.
    pub unknown: u64,
    /// Packets that could not be opened or belonged to nothing offered.
    pub unreadable: u64,
    /// Turns that took so long that somebody waited for theirs.
    pub late_turns: u64,
    pub peers: u64,
    pub tracks: u64,
}

impl Counters {
    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.packets_in += other.packets_in;
        self.packets_out += other.packets_out;
        self.ip_bytes_in += other.ip_bytes_in;
        self.ip_bytes_out += other.ip_bytes_out;
        self.retransmitted += other.retransmitted;
        self.probes += other.probes;
        self.overtaken += other.overtaken;
        self.refused += other.refused;
        self.lane_drops += other.lane_drops;
        self.keyframe_requests += other.keyframe_requests;
        self.unknown += other.unknown;
        self.unreadable += other.unreadable;
        self.late_turns += other.late_turns;
        self.peers += other.peers;
        self.tracks += other.tracks;
    }
}
