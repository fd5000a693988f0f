//! The media lane: how batches of opened packets leave a shard for another one or for a trunk.
//! Bounded, and a full lane drops: late media is worthless, and a slow consumer must not slow
//! the shard. What was dropped is counted.

use super::batch::TrackBatch;
use mio::Waker;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::mpsc;

/// Batches waiting for a shard: about a second of 40 tracks at 25 turns a second.
const SHARD_LANE: usize = 1024;

/// Batches waiting for one flow of a trunk: about a second of one track.
pub const TRUNK_LANE: usize = 64;

/// Into a shard.
#[derive(Debug, Clone)]
pub struct ShardLane {
    queue: SyncSender<TrackBatch>,
    waker: Arc<Waker>,
}

impl ShardLane {
    /// A lane into the shard that `waker` wakes, and its far end.
    #[must_use]
    pub fn new(waker: Arc<Waker>) -> (Self, Receiver<TrackBatch>) {
        let (queue, receiver) = sync_channel(SHARD_LANE);
        (Self { queue, waker }, receiver)
    }

    /// Hands a batch over. False when the shard is so far behind that it was dropped.
    pub fn send(&self, batch: TrackBatch) -> bool {
        let sent = self.queue.try_send(batch).is_ok();
        sent && self.waker.wake().is_ok()
    }
}

/// Names an outlet of a track, so that it can be taken off again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutletId(pub u64);

/// Where a track's packets go besides this shard's own viewers.
#[derive(Debug, Clone)]
pub struct Outlet {
    pub id: OutletId,
    pub lane: Lane,
    /// The one encoding it gets; a shard gets all.
    pub showing: Option<u8>,
}

impl Outlet {
    #[must_use]
    pub fn new(id: OutletId, lane: Lane) -> Self {
        Self { id, lane, showing: None }
    }

    /// Whether audio redundancy goes along: viewers of other shards may take it, a trunk
    /// carries the bare codec.
    #[must_use]
    pub fn takes_redundancy(&self) -> bool {
        matches!(self.lane, Lane::Shard(_))
    }
}

/// The two kinds of lane.
#[derive(Debug, Clone)]
pub enum Lane {
    Shard(ShardLane),
    Trunk(mpsc::Sender<TrackBatch>),
}

impl Lane {
    /// Hands a batch over; false when it was dropped.
    pub fn send(&self, batch: TrackBatch) -> bool {
        match self {
            Lane::Shard(lane) => lane.send(batch),
            Lane::Trunk(lane) => lane.try_send(batch).is_ok(),
        }
    }
}
