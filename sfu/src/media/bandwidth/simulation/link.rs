//! The line itself: a queue with a rate that changes, then a delay.

use super::Dice;
use std::collections::{BTreeMap, VecDeque};

/// What a line is like.
#[derive(Debug, Clone)]
pub struct Conditions {
    /// (from, bit/s), in order of time in µs.
    pub rate: Vec<(i64, f64)>,
    /// The queue takes what would be sent in so long.
    pub queue_us: i64,
    /// One way.
    pub delay_us: i64,
    /// Random, and kept in order unless `reorders`.
    pub jitter_us: i64,
    pub reorders: bool,
    pub loss: f64,
    /// The return path carries nothing in these times.
    pub deaf: Vec<std::ops::Range<i64>>,
}

impl Conditions {
    pub fn steady(rate: f64) -> Self {
        Self {
            rate: vec![(0, rate)],
            queue_us: 1_000_000,
            delay_us: 25_000,
            jitter_us: 0,
            reorders: false,
            loss: 0.0,
            deaf: Vec::new(),
        }
    }
}

/// A packet on its way to viewer `flow`.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    pub flow: usize,
    pub sequence: u16,
    pub bytes: usize,
    /// The frame it belongs to; `None` for audio and padding.
    pub frame: Option<u64>,
}

#[derive(Debug)]
pub struct Link {
    pub conditions: Conditions,
    dice: Dice,
    queue: VecDeque<(i64, f64, Packet)>,
    queued_bits: f64,
    at: f64,
    air: BTreeMap<(i64, u64), Packet>,
    count: u64,
    last_out: i64,
    pub dropped: u64,
}

impl Link {
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            dice: Dice::new(seed),
            queue: VecDeque::new(),
            queued_bits: 0.0,
            at: 0.0,
            air: BTreeMap::new(),
            count: 0,
            last_out: i64::MIN,
            dropped: 0,
        }
    }

    fn rate(&self, now: i64) -> f64 {
        let of_now = self.conditions.rate.iter().rev().find(|(from, _)| *from <= now);
        of_now.map_or(1.0, |(_, rate)| *rate)
    }

    /// How long a packet sent now would wait.
    pub fn queue_us(&self, now: i64) -> i64 {
        (self.queued_bits / self.rate(now) * 1e6) as i64
    }

    pub fn send(&mut self, packet: Packet, now: i64) {
        let bits = packet.bytes as f64 * 8.0;
        if self.queue_us(now) > self.conditions.queue_us {
            self.dropped += 1;
            return;
        }
        self.queued_bits += bits;
        self.queue.push_back((now, bits, packet));
    }

    /// Packets that have arrived by `now`, with the time they did.
    pub fn advance(&mut self, now: i64) -> Vec<(i64, Packet)> {
        let rate = self.rate(now) / 1e6;
        while let Some((queued, bits, packet)) = self.queue.front_mut() {
            let start = self.at.max(*queued as f64);
            let can = (now as f64 - start) * rate;
            if can < *bits {
                *bits -= can.max(0.0);
                self.queued_bits -= can.max(0.0);
                break;
            }
            self.at = start + *bits / rate;
            self.queued_bits -= *bits;
            let packet = *packet;
            self.queue.pop_front();
            self.leave(packet);
        }
        self.at = self.at.max(now as f64);
        let later = self.air.split_off(&(now + 1, 0));
        let arrived = std::mem::replace(&mut self.air, later);
        arrived.into_iter().map(|((at, _), packet)| (at, packet)).collect()
    }

    fn leave(&mut self, packet: Packet) {
        if self.dice.chance(self.conditions.loss) {
            return;
        }
        let jitter = self.dice.roll() * self.conditions.jitter_us as f64;
        let mut at = self.at as i64 + self.conditions.delay_us + jitter as i64;
        if !self.conditions.reorders {
            at = at.max(self.last_out);
            self.last_out = at;
        }
        self.count += 1;
        self.air.insert((at, self.count), packet);
    }
}
