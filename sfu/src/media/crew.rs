//! Hands on what goes up trunks, for all flows of the node, in a few tasks: with one for each
//! flow, as many would be woken for each frame as there are schools. Never waits for a flow.

use super::batch::TrackBatch;
use super::lane::{TRUNK_LANE, TrunkLane};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::available_parallelism;
use tokio::sync::mpsc;

/// More tasks than this would only wake each other.
const HANDS: usize = 8;

/// Batches taken in a row: one frame for as many schools.
const TURN: usize = 64;

/// Takes the batches of one flow. Must not wait.
pub trait Taker: Send {
    fn take(&mut self, batch: TrackBatch);

    /// No more come.
    fn over(self: Box<Self>);
}

/// The tasks. They end when the crew and all its lanes are gone.
#[derive(Debug)]
pub struct Crew {
    hands: Vec<mpsc::UnboundedSender<Handed>>,
    flows: AtomicU64,
}

/// What a task is handed.
enum Handed {
    Begins(u64, Arc<Waits>),
    Taker(u64, Box<dyn Taker>),
    /// Behind how often the lane had been emptied.
    Batch(u64, u64, TrackBatch),
    Over(u64),
}

/// What waits in a lane.
#[derive(Debug, Default)]
struct Waits {
    batches: AtomicUsize,
    emptied: AtomicU64,
}

/// The near end of a flow's lane.
#[derive(Debug)]
pub struct Near {
    flow: u64,
    hand: mpsc::UnboundedSender<Handed>,
    waits: Arc<Waits>,
}

/// The far end of a flow's lane. What comes before it is given a taker is kept.
pub struct Place {
    flow: u64,
    hand: mpsc::UnboundedSender<Handed>,
}

impl Crew {
    /// Begins as many tasks as the machine does at once.
    #[must_use]
    pub fn start() -> Self {
        let hands = available_parallelism().map_or(1, usize::from).min(HANDS);
        let hands = (0..hands).map(|_| {
            let (hand, handed) = mpsc::unbounded_channel();
            tokio::spawn(run(handed));
            hand
        });
        Self { hands: hands.collect(), flows: AtomicU64::new(0) }
    }

    /// A lane for a flow of trunk number `trunk`. All flows of a trunk are one task's.
    #[must_use]
    pub fn lane(&self, trunk: u64) -> (TrunkLane, Place) {
        let flow = self.flows.fetch_add(1, Ordering::Relaxed);
        let waits = Arc::<Waits>::default();
        let at = usize::try_from(trunk % self.hands.len().max(1) as u64).unwrap_or_default();
        // There is one at least; without any, nothing would be handed on.
        let hand = self.hands.get(at).cloned().unwrap_or_else(|| mpsc::unbounded_channel().0);
        tell(&hand, Handed::Begins(flow, waits.clone()));
        let near = Near { flow, hand: hand.clone(), waits };
        (TrunkLane::of_crew(near), Place { flow, hand })
    }
}

impl Near {
    /// Hands a batch over. False when so many wait that it was dropped.
    pub fn send(&self, batch: TrackBatch) -> bool {
        if self.waits.batches.fetch_add(1, Ordering::Relaxed) >= TRUNK_LANE {
            self.waits.batches.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let emptied = self.waits.emptied.load(Ordering::Relaxed);
        self.hand.send(Handed::Batch(self.flow, emptied, batch)).is_ok()
    }

    /// Takes back everything that still waits.
    pub fn empty(&self) {
        self.waits.emptied.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        tell(&self.hand, Handed::Over(self.flow));
    }
}

impl Place {
    /// From now on, and from the beginning, this one takes the flow's batches.
    pub fn give(self, taker: impl Taker + 'static) {
        tell(&self.hand, Handed::Taker(self.flow, Box::new(taker)));
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Place").field(&self.flow).finish()
    }
}

fn tell(hand: &mpsc::UnboundedSender<Handed>, what: Handed) {
    if hand.send(what).is_err() {
        tracing::trace!("the node is going down");
    }
}

/// A flow of a task.
struct Flow {
    waits: Arc<Waits>,
    taker: Option<Box<dyn Taker>>,
    /// Came before there was a taker.
    early: Vec<(u64, TrackBatch)>,
}

impl Flow {
    /// Gives the taker a batch that was not taken back.
    fn hand_on(&mut self, before: u64, batch: TrackBatch) {
        let Some(taker) = &mut self.taker else { return self.early.push((before, batch)) };
        self.waits.batches.fetch_sub(1, Ordering::Relaxed);
        if before == self.waits.emptied.load(Ordering::Relaxed) {
            taker.take(batch);
        }
    }
}

async fn run(mut handed: mpsc::UnboundedReceiver<Handed>) {
    let mut flows: HashMap<u64, Flow> = HashMap::new();
    let mut turn = Vec::with_capacity(TURN);
    while handed.recv_many(&mut turn, TURN).await > 0 {
        for handed in turn.drain(..) {
            match handed {
                Handed::Batch(flow, before, batch) => {
                    if let Some(flow) = flows.get_mut(&flow) {
                        flow.hand_on(before, batch);
                    }
                }
                Handed::Begins(flow, waits) => {
                    flows.insert(flow, Flow { waits, taker: None, early: Vec::new() });
                }
                Handed::Taker(flow, taker) => match flows.get_mut(&flow) {
                    Some(flow) => {
                        flow.taker = Some(taker);
                        for (before, batch) in std::mem::take(&mut flow.early) {
                            flow.hand_on(before, batch);
                        }
                    }
                    None => taker.over(),
                },
                Handed::Over(flow) => {
                    if let Some(taker) = flows.remove(&flow).and_then(|flow| flow.taker) {
                        taker.over();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::batch::TrackKey;
    use cloudschool_protocol::media::Codec;

    /// Says which encodings came, and `None` at the end.
    struct Told(mpsc::UnboundedSender<Option<u8>>);

    impl Taker for Told {
        fn take(&mut self, batch: TrackBatch) {
            self.0.send(Some(batch.encoding)).unwrap();
        }

        fn over(self: Box<Self>) {
            self.0.send(None).unwrap();
        }
    }

    fn batch(encoding: u8) -> TrackBatch {
        TrackBatch::new(TrackKey(1), encoding, Codec::Opus)
    }

    #[tokio::test]
    async fn each_flow_gets_its_own_in_order_from_the_beginning_until_it_is_over() {
        let crew = Crew::start();
        let mut flows = Vec::new();
        for trunk in 0..20u8 {
            let (lane, place) = crew.lane(trunk.into());
            assert!(lane.send(batch(trunk)), "before anyone takes it");
            let (told, heard) = mpsc::unbounded_channel();
            place.give(Told(told));
            flows.push((lane, heard));
        }
        flows.iter().for_each(|(lane, _)| assert!(lane.send(batch(100))));
        drop(crew);
        for (trunk, (lane, mut heard)) in flows.into_iter().enumerate() {
            assert_eq!(heard.recv().await, Some(Some(trunk as u8)));
            assert_eq!(heard.recv().await, Some(Some(100)));
            drop(lane.clone());
            assert!(lane.send(batch(101)), "another end of it is left");
            assert_eq!(heard.recv().await, Some(Some(101)));
            drop(lane);
            assert_eq!(heard.recv().await, Some(None));
        }
    }

    #[tokio::test]
    async fn what_is_taken_back_goes_to_nobody_and_makes_room() {
        let crew = Crew::start();
        let (lane, place) = crew.lane(7);
        let sent = (0..TRUNK_LANE + 5).filter(|_| lane.send(batch(1))).count();
        assert_eq!(sent, TRUNK_LANE, "a full lane drops");
        lane.empty();
        let (told, mut heard) = mpsc::unbounded_channel();
        place.give(Told(told));
        // It has been looked through by the time there is room.
        while !lane.send(batch(2)) {
            tokio::task::yield_now().await;
        }
        assert_eq!(heard.recv().await, Some(Some(2)));
    }

    #[tokio::test]
    async fn a_taker_that_comes_too_late_is_told_so() {
        let crew = Crew::start();
        let (lane, place) = crew.lane(0);
        drop(lane);
        let (told, mut heard) = mpsc::unbounded_channel();
        place.give(Told(told));
        assert_eq!(heard.recv().await, Some(None));
    }
}
