//! The media lane: how batches of opened packets leave a shard for another one or for a trunk.
//! Bounded, and a full lane drops: late media is worthless, and a slow consumer must not slow
//! the shard. What was dropped is counted.

use super::batch::TrackBatch;
use super::crew::Near;
pub use super::outlet::OutletId;
use mio::Waker;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::mpsc;

/// Batches waiting for a shard: about a second of 40 tracks at 25 turns a second.
const SHARD_LANE: usize = 1024;

/// Batches waiting for one flow of a trunk: about a second of one track.
pub(super) const TRUNK_LANE: usize = 64;

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

/// Towards one flow of a trunk. What waits in it can be taken back.
#[derive(Debug, Clone)]
pub struct TrunkLane(Way);

#[derive(Debug, Clone)]
enum Way {
    /// To whoever has the far end for itself.
    Own {
        queue: mpsc::Sender<(u64, TrackBatch)>,
        emptied: Arc<AtomicU64>,
    },
    Crew(Arc<Near>),
}

/// The far end of a [`TrunkLane`] of one's own.
#[derive(Debug)]
pub struct TrunkBatches {
    queue: mpsc::Receiver<(u64, TrackBatch)>,
    emptied: Arc<AtomicU64>,
}

impl TrunkLane {
    /// A lane and its far end, for one that takes for itself.
    #[must_use]
    pub fn new() -> (Self, TrunkBatches) {
        let (queue, receiver) = mpsc::channel(TRUNK_LANE);
        let emptied = Arc::new(AtomicU64::new(0));
        let lane = Self(Way::Own { queue, emptied: emptied.clone() });
        (lane, TrunkBatches { queue: receiver, emptied })
    }

    pub(super) fn of_crew(near: Near) -> Self {
        Self(Way::Crew(Arc::new(near)))
    }

    /// Hands a batch over. False when the trunk is so far behind that it was dropped.
    pub fn send(&self, batch: TrackBatch) -> bool {
        match &self.0 {
            Way::Own { queue, emptied } => {
                queue.try_send((emptied.load(Ordering::Relaxed), batch)).is_ok()
            }
            Way::Crew(near) => near.send(batch),
        }
    }

    /// Takes back everything that still waits.
    pub fn empty(&self) {
        match &self.0 {
            Way::Own { emptied, .. } => {
                emptied.fetch_add(1, Ordering::Relaxed);
            }
            Way::Crew(near) => near.empty(),
        }
    }
}

impl TrunkBatches {
    /// The next batch that is there already.
    #[cfg(test)]
    pub fn try_recv(&mut self) -> Option<TrackBatch> {
        let wanted = |(before, _): &(u64, _)| *before == self.emptied.load(Ordering::Relaxed);
        std::iter::from_fn(|| self.queue.try_recv().ok()).find(wanted).map(|(_, batch)| batch)
    }

    /// The next batch that was not taken back; `None` when no more will come.
    pub async fn recv(&mut self) -> Option<TrackBatch> {
        loop {
            let (before, batch) = self.queue.recv().await?;
            if before == self.emptied.load(Ordering::Relaxed) {
                return Some(batch);
            }
        }
    }
}

/// The two kinds of lane.
#[derive(Debug, Clone)]
pub enum Lane {
    Shard(ShardLane),
    Trunk(TrunkLane),
}

impl Lane {
    /// Hands a batch over; false when it was dropped.
    pub fn send(&self, batch: TrackBatch) -> bool {
        match self {
            Lane::Shard(lane) => lane.send(batch),
            Lane::Trunk(lane) => lane.send(batch),
        }
    }

    /// Takes back what still waits for a trunk. What waits for another shard is dropped there.
    pub fn empty(&self) {
        if let Lane::Trunk(lane) = self {
            lane.empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::batch::TrackKey;
    use cloudschool_protocol::media::Codec;

    #[tokio::test]
    async fn what_is_taken_back_does_not_go_up_the_trunk_and_what_comes_after_does() {
        let (lane, mut batches) = TrunkLane::new();
        for encoding in 0..2 {
            assert!(lane.send(TrackBatch::new(TrackKey(1), encoding, Codec::Opus)));
        }
        lane.empty();
        assert!(lane.send(TrackBatch::new(TrackKey(1), 2, Codec::Opus)));
        assert_eq!(batches.recv().await.unwrap().encoding, 2);
        drop(lane);
        assert!(batches.recv().await.is_none());
    }

    #[test]
    fn a_full_lane_drops() {
        let (lane, _batches) = TrunkLane::new();
        let batch = TrackBatch::new(TrackKey(1), 0, Codec::Opus);
        let taken = (0..TRUNK_LANE + 5).filter(|_| lane.send(batch.clone())).count();
        assert_eq!(taken, TRUNK_LANE);
    }
}
