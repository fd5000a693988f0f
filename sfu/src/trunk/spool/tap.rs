//! Which packets of one track are kept: those of the time in which the campus was away, from a
//! little before that was noticed to a little after it is back, since what was under way at
//! either end is lost. The recorder leaves out what it got all the same.

use super::{Of, Spool, Writer};
use crate::media::lane::TrunkBatches;
use cloudschool_protocol::spool::Record;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::Instant;

/// Kept from before the campus was noticed to be away: the silence it takes to notice, what waited
/// to be sent, and a bad line's delay.
const BEFORE: Duration = Duration::from_secs(6);

/// Most bytes of it: six seconds of 5 Mbit/s.
const BEFORE_BYTES: usize = 4 << 20;

/// Kept after the campus is back: media takes its time to come again.
pub const AFTER: Duration = Duration::from_secs(4);

/// A record with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owned {
    Packet { at_ns: u64, packet: Vec<u8> },
    Clock { at_ns: u64, ntp: u64, rtp: u32 },
}

impl Owned {
    fn record(&self) -> Record<'_> {
        match self {
            Owned::Packet { at_ns, packet } => Record::Packet { at_ns: *at_ns, packet },
            Owned::Clock { at_ns, ntp, rtp } => {
                Record::Clock { at_ns: *at_ns, ntp: *ntp, rtp: *rtp }
            }
        }
    }

    fn of(record: Record<'_>) -> Self {
        match record {
            Record::Packet { at_ns, packet } => Owned::Packet { at_ns, packet: packet.to_vec() },
            Record::Clock { at_ns, ntp, rtp } => Owned::Clock { at_ns, ntp, rtp },
        }
    }

    fn len(&self) -> usize {
        match self {
            Owned::Packet { packet, .. } => packet.len(),
            Owned::Clock { .. } => 0,
        }
    }
}

/// Keeps what must be.
struct Tap {
    spool: Arc<Spool>,
    of: Of,
    before: VecDeque<Owned>,
    before_bytes: usize,
    /// The publisher's clock as it was said last before what is in `before`.
    clock: Option<Owned>,
    writer: Option<Writer>,
}

impl Tap {
    fn take(&mut self, record: Record<'_>) {
        if let Some(writer) = &mut self.writer {
            if !writer.write([record]) {
                self.writer = None;
            }
            return;
        }
        let oldest = record.at_ns().saturating_sub(BEFORE.as_nanos() as u64);
        let record = Owned::of(record);
        self.before_bytes += record.len();
        self.before.push_back(record);
        let too_much = |tap: &Self| {
            let old = tap.before.front().is_some_and(|first| first.record().at_ns() < oldest);
            old || tap.before_bytes > BEFORE_BYTES
        };
        while too_much(self) {
            let Some(first) = self.before.pop_front() else { break };
            self.before_bytes -= first.len();
            if matches!(first, Owned::Clock { .. }) {
                self.clock = Some(first);
            }
        }
    }

    fn away(&mut self, now_ns: u64) {
        if self.writer.is_some() {
            return;
        }
        let from_ns = self.before.front().map_or(now_ns, |first| first.record().at_ns());
        match self.spool.begin(&self.of, from_ns / 1_000_000) {
            Ok(mut writer) => {
                let records = self.clock.iter().chain(&self.before).map(Owned::record);
                if writer.write(records) {
                    self.writer = Some(writer);
                }
            }
            Err(error) => {
                tracing::error!(track = %self.of.track, %error, "what a class says can't be kept");
            }
        }
        self.before.clear();
        self.before_bytes = 0;
    }

    /// The campus has been back for long enough.
    fn back(&mut self) {
        self.writer = None;
    }
}

/// Nanoseconds since the Unix epoch.
fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Watches a track until its outlet is taken off, and keeps what comes while the campus is away,
/// to so long `after`. `begins` is called when something is kept from
/// now on: a picture then needs a keyframe to begin with.
pub async fn run(
    spool: Arc<Spool>,
    of: Of,
    mut batches: TrunkBatches,
    mut campus: watch::Receiver<bool>,
    after: Duration,
    begins: impl Fn() + Send,
) {
    let (before, clock, writer) = (VecDeque::new(), None, None);
    let mut tap = Tap { spool, of, before, before_bytes: 0, clock, writer };
    let mut reachable = *campus.borrow_and_update();
    if !reachable {
        tap.away(wall_ns());
        begins();
    }
    let mut until: Option<Instant> = None;
    loop {
        tokio::select! {
            batch = batches.recv() => {
                let Some(batch) = batch else { return };
                let at_ns = wall_ns();
                batch.packets().for_each(|packet| tap.take(Record::Packet { at_ns, packet }));
                if let Some(clock) = batch.clock {
                    tap.take(Record::Clock { at_ns, ntp: clock.ntp, rtp: clock.rtp });
                }
            }
            changed = campus.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = *campus.borrow_and_update();
                match (std::mem::replace(&mut reachable, now), now) {
                    (true, false) => {
                        until = None;
                        tap.away(wall_ns());
                        begins();
                    }
                    (false, true) => until = Some(Instant::now() + after),
                    _ => {}
                }
            }
            () = reached(until) => {
                until = None;
                tap.back();
            }
        }
    }
}

async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::batch::Parts;
    use crate::media::lane::TrunkLane;
    use crate::media::{TrackBatch, TrackKey};
    use cloudschool_protocol::id::{LessonId, NodeId};
    use cloudschool_protocol::media::Codec;
    use cloudschool_protocol::rtp::Header;
    use uuid::Uuid;

    const LITTLE: Duration = Duration::from_millis(100);

    fn of() -> Of {
        Of {
            lesson: LessonId::new("math").unwrap(),
            session: Uuid::from_u128(1),
            track: "room/microphone".parse().unwrap(),
            codec: Codec::Opus,
        }
    }

    fn batch(sequence: u16) -> TrackBatch {
        let mut batch = TrackBatch::new(TrackKey(0), 0, Codec::Opus);
        batch.push(&Parts {
            marker: false,
            red: false,
            sequence,
            timestamp: u32::from(sequence) * 960,
            ssrc: 9,
            level: None,
            speaker: None,
            dependencies: &[],
            payload: b"speech",
        });
        batch
    }

    fn sequences(spool: &Spool) -> Vec<Vec<u16>> {
        let parts = spool.of(&of().lesson);
        let read = |id| {
            let bytes = spool.piece(id, 0).unwrap();
            let packet = |record: Record<'_>| match record {
                Record::Packet { packet, .. } => Header::parse(packet).map(|h| h.sequence),
                Record::Clock { .. } => None,
            };
            Record::read_all(&bytes).filter_map(packet).collect()
        };
        parts.iter().map(|part| read(part.id)).collect()
    }

    #[tokio::test]
    async fn what_is_kept_begins_before_the_cut_was_noticed_and_ends_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), NodeId::new("s").unwrap(), 1 << 20).unwrap();
        let (campus, reachable) = watch::channel(true);
        let (lane, batches) = TrunkLane::new();
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let asked = move || begun.send(()).unwrap();
        let task = tokio::spawn(run(spool.clone(), of(), batches, reachable, LITTLE, asked));
        // Batches and the campus come by different ways: one is let through before the other.
        let settled = async || {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        };
        assert!(lane.send(batch(1)) && lane.send(batch(2)));
        settled().await;
        campus.send_replace(false);
        begins.recv().await.unwrap();
        assert!(lane.send(batch(3)));
        settled().await;
        campus.send_replace(true);
        settled().await;
        assert!(lane.send(batch(4)));
        settled().await;
        let mut changes = spool.changes();
        changes.changed().await.unwrap();
        assert_eq!(sequences(&spool), [[1, 2, 3, 4]]);
        // And again, in a part of its own.
        assert!(lane.send(batch(5)));
        settled().await;
        campus.send_replace(false);
        begins.recv().await.unwrap();
        drop(lane);
        task.await.unwrap();
        assert_eq!(sequences(&spool), [vec![1, 2, 3, 4], vec![5]]);
    }
}
