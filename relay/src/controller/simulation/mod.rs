//! A line and everyone on it, in virtual time: trunks with their sources and controllers, and
//! TCP downloads. All follows from one seed.

mod cubic;
mod line;
mod trunk;

pub use cubic::Cubic;
pub use line::{Line, Way};
pub use trunk::{Report, Source, Trunk};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// What travels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrives { flow: usize, number: u64 },
    Acked { flow: usize, numbers: Vec<u64> },
}

/// Somebody who sends.
pub trait Sender {
    /// A packet that may go now: its number and its size on the line, in bytes.
    fn poll(&mut self, now: Instant) -> Option<(u64, usize)>;
    /// A packet is at the other end.
    fn arrives(&mut self, now: Instant, number: u64);
    /// Packets that the other end has acknowledged.
    fn acked(&mut self, now: Instant, numbers: &[u64]);
    /// A millisecond has passed.
    fn tick(&mut self, now: Instant);
}

pub struct World {
    pub start: Instant,
    line: Line,
    random: StdRng,
    events: BinaryHeap<Reverse<(Instant, u64, What)>>,
    order: u64,
    /// Packets whose acknowledgement was lost and comes with the next.
    unacked: Vec<Vec<u64>>,
    last_ack: Vec<Instant>,
}

impl World {
    pub fn new(line: Line, seed: u64) -> Self {
        let start = Instant::now() + Duration::from_secs(1);
        let line = line.from(start);
        Self {
            start,
            line,
            random: StdRng::seed_from_u64(seed),
            events: BinaryHeap::new(),
            order: 0,
            unacked: Vec::new(),
            last_ack: Vec::new(),
        }
    }

    /// Lets everyone send for `seconds`. Those with a later start are polled from then on.
    pub fn run(&mut self, seconds: u64, senders: &mut [(Duration, &mut dyn Sender)]) {
        self.unacked = vec![Vec::new(); senders.len()];
        self.last_ack = vec![self.start; senders.len()];
        for ms in 0..seconds * 1000 {
            let now = self.start + Duration::from_millis(ms);
            while self.events.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
                let Reverse((at, _, what)) = self.events.pop().unwrap();
                self.happen(at, what, senders);
            }
            // Nobody is always first.
            let first = self.random.random_range(0..senders.len());
            for turn in 0..senders.len() {
                let flow = (first + turn) % senders.len();
                if now >= self.start + senders[flow].0 {
                    senders[flow].1.tick(now);
                    self.send(now, flow, senders);
                }
            }
        }
    }

    fn happen(&mut self, at: Instant, what: What, senders: &mut [(Duration, &mut dyn Sender)]) {
        match what {
            What::Arrives { flow, number } => {
                senders[flow].1.arrives(at, number);
                self.unacked[flow].push(number);
                // Every other packet is acknowledged, and what that loses comes with the next.
                if self.unacked[flow].len() < 2 && self.random.random_bool(0.5) {
                    return;
                }
                if let Some(back) = self.line.back(at, &mut self.random) {
                    let back = back.max(self.last_ack[flow]);
                    self.last_ack[flow] = back;
                    let numbers = std::mem::take(&mut self.unacked[flow]);
                    self.at(back, What::Acked { flow, numbers });
                }
            }
            What::Acked { flow, numbers } => {
                senders[flow].1.acked(at, &numbers);
                self.send(at, flow, senders);
            }
        }
    }

    fn send(&mut self, now: Instant, flow: usize, senders: &mut [(Duration, &mut dyn Sender)]) {
        while let Some((number, size)) = senders[flow].1.poll(now) {
            if let Some(there) = self.line.there(now, size, &mut self.random) {
                self.at(there, What::Arrives { flow, number });
            }
        }
    }

    fn at(&mut self, when: Instant, what: What) {
        self.order += 1;
        self.events.push(Reverse((when, self.order, what)));
    }
}
