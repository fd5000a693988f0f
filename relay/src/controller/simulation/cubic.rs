//! A TCP download: Cubic (RFC 9438) with selective acknowledgements, always something to send.

use super::Sender;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const SIZE: usize = 1500;
const BETA: f64 = 0.7;
const C: f64 = 0.4;

pub struct Cubic {
    next: u64,
    flying: BTreeMap<u64, Instant>,
    window: f64,
    threshold: f64,
    best: f64,
    epoch: Option<Instant>,
    /// Losses of packets below this belong to the reduction already made.
    recovery: u64,
    rtt: Duration,
    heard: Option<Instant>,
    timeouts: u32,
    /// Bytes that arrived, and when the counting began.
    pub arrived: u64,
    pub count_from: Option<Instant>,
}

impl Cubic {
    pub fn new() -> Self {
        Self {
            next: 0,
            flying: BTreeMap::new(),
            window: 10.0,
            threshold: f64::INFINITY,
            best: 0.0,
            epoch: None,
            recovery: 0,
            rtt: Duration::from_millis(200),
            heard: None,
            timeouts: 0,
            arrived: 0,
            count_from: None,
        }
    }

    fn reduce(&mut self) {
        self.best = if self.window < self.best { self.window * 0.85 } else { self.window };
        self.window = (self.window * BETA).max(2.0);
        self.threshold = self.window;
        self.epoch = None;
        self.recovery = self.next;
    }

    fn grow(&mut self, now: Instant, acked: f64) {
        if self.window < self.threshold {
            self.window += acked;
            return;
        }
        let epoch = *self.epoch.get_or_insert(now);
        let k = ((self.best - self.window.min(self.best)) / C).cbrt();
        let k = if now == epoch { k } else { (self.best * (1.0 - BETA) / C).cbrt() };
        let t = (now - epoch + self.rtt).as_secs_f64();
        let target = C * (t - k).powi(3) + self.best;
        let friendly =
            self.best * BETA + 3.0 * (1.0 - BETA) / (1.0 + BETA) * (t / self.rtt.as_secs_f64());
        let target = target.max(friendly).clamp(self.window, 1.5 * self.window);
        self.window += acked * (target - self.window) / self.window;
    }
}

impl Sender for Cubic {
    fn poll(&mut self, now: Instant) -> Option<(u64, usize)> {
        if self.flying.len() as f64 >= self.window {
            return None;
        }
        self.heard.get_or_insert(now);
        self.flying.insert(self.next, now);
        self.next += 1;
        Some((self.next - 1, SIZE))
    }

    fn arrives(&mut self, now: Instant, _number: u64) {
        if self.count_from.is_none_or(|from| now >= from) {
            self.arrived += SIZE as u64;
        }
    }

    fn acked(&mut self, now: Instant, numbers: &[u64]) {
        self.heard = Some(now);
        self.timeouts = 0;
        let mut news = 0.0;
        for number in numbers {
            if let Some(sent) = self.flying.remove(number) {
                news += 1.0;
                self.rtt = self.rtt.mul_f64(0.875) + (now - sent).mul_f64(0.125);
            }
        }
        let largest = *numbers.iter().max().unwrap();
        let lost: Vec<u64> =
            self.flying.range(..largest.saturating_sub(2)).map(|(number, _)| *number).collect();
        for number in lost {
            self.flying.remove(&number);
            if number >= self.recovery {
                self.reduce();
            }
        }
        if largest >= self.recovery {
            self.grow(now, news);
        }
    }

    fn tick(&mut self, now: Instant) {
        let Some(heard) = self.heard else { return };
        let patience = (2 * self.rtt).max(Duration::from_millis(300)) * 2u32.pow(self.timeouts);
        if !self.flying.is_empty() && now - heard > patience {
            self.flying.clear();
            self.reduce();
            self.window = 2.0;
            self.heard = Some(now);
            self.timeouts = (self.timeouts + 1).min(6);
        }
    }
}
