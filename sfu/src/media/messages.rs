//! What goes between the node and its shards: commands down, which arrive in order; events up.

use super::batch::TrackKey;
use super::lane::{Outlet, OutletId};
use crate::peer::{Answer, OfferError};
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

/// What the shards report.
#[derive(Debug)]
pub enum MediaEvent {
    /// A peer's ICE and DTLS are through.
    Connected { session: SessionId },
    /// A peer is gone by itself: it closed, or fell silent.
    Closed { session: SessionId },
    /// The first packet of a published track came, in this codec.
    TrackStarted { session: SessionId, track: TrackKey, codec: Codec },
    /// A track that is handed in to this shard needs a keyframe.
    KeyframeWanted { shard: usize, track: TrackKey },
    /// How loud the audio tracks of one shard are that are not silent (RFC 6464).
    Levels { shard: usize, levels: Vec<(TrackKey, u8)> },
    /// A shard's counters, cumulative, once a second.
    Counters { shard: usize, counters: Box<Counters> },
}

/// What the node may ask of a shard. Commands arrive, in order.
pub enum Command {
    Publish {
        session: SessionId,
        offer: String,
        tracks: PublishTracks,
        reply: oneshot::Sender<Result<Answer, OfferError>>,
    },
    Watch {
        session: SessionId,
        offer: String,
        reply: oneshot::Sender<Result<Answer, OfferError>>,
    },
    Renegotiate {
        session: SessionId,
        offer: String,
        reply: oneshot::Sender<Result<Answer, OfferError>>,
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
        track: Option<TrackKey>,
    },
    AddOutlet {
        track: TrackKey,
        outlet: Outlet,
    },
    RemoveOutlet {
        track: TrackKey,
        id: OutletId,
    },
    Mute {
        track: TrackKey,
        muted: bool,
    },
    WantKeyframe {
        track: TrackKey,
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
    /// Datagrams the kernel would not take.
    pub refused: u64,
    /// Batches that other shards or trunks were too slow for.
    pub lane_drops: u64,
    pub keyframe_requests: u64,
    /// Datagrams from nobody known.
    pub unknown: u64,
    /// Turns that began later than they should have.
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
        self.refused += other.refused;
        self.lane_drops += other.lane_drops;
        self.keyframe_requests += other.keyframe_requests;
        self.unknown += other.unknown;
        self.late_turns += other.late_turns;
        self.peers += other.peers;
        self.tracks += other.tracks;
    }
}
