//! The narrowest part of a path, with its queue, and what is lost and delayed behind it.

use rand::Rng;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

/// One direction's qualities.
#[derive(Debug, Clone)]
pub struct Way {
    /// Bytes/s from so many seconds on.
    pub rates: Vec<(f64, f64)>,
    /// What may wait: seconds at the rate of now, and bytes.
    pub queue: f64,
    pub queue_bytes: f64,
    pub one_way: Duration,
    pub jitter: Duration,
    /// Share lost, and the mean length of a burst.
    pub loss: f64,
    pub burst: f64,
    /// Seconds from and to which nothing gets through.
    pub outages: Vec<(f64, f64)>,
}

impl Way {
    /// `rate` in Mbit/s, times in ms, loss in percent.
    pub fn new(rate: f64, rtt: u64, jitter: u64, loss: f64, burst: f64) -> Self {
        Self {
            rates: vec![(0.0, rate * 125_000.0)],
            queue: 0.2,
            queue_bytes: f64::INFINITY,
            one_way: Duration::from_millis(rtt / 2),
            jitter: Duration::from_millis(jitter),
            loss: loss / 100.0,
            burst,
            outages: Vec::new(),
        }
    }

    pub fn village() -> Self {
        Self::new(4.0, 80, 10, 3.0, 3.0)
    }

    pub fn satellite() -> Self {
        Self::new(6.0, 540, 10, 1.0, 1.0)
    }

    pub fn adsl() -> Self {
        Self::new(6.1, 40, 5, 0.05, 1.0)
    }

    pub fn campus() -> Self {
        Self::new(1000.0, 1, 0, 0.001, 1.0)
    }

    /// Other rates, in Mbit/s, from so many seconds on.
    pub fn then(mut self, changes: &[(f64, f64)]) -> Self {
        self.rates.extend(changes.iter().map(|(at, rate)| (*at, rate * 125_000.0)));
        self
    }

    pub fn cut(mut self, from: f64, to: f64) -> Self {
        self.outages.push((from, to));
        self
    }
}

pub struct Line {
    way: Way,
    start: Instant,
    rate: f64,
    free_at: Instant,
    last: Instant,
    losing: bool,
}

impl Line {
    pub fn new(way: Way) -> Self {
        let now = Instant::now();
        Self { rate: way.rates[0].1, way, start: now, free_at: now, last: now, losing: false }
    }

    pub fn from(self, start: Instant) -> Self {
        Self { start, free_at: start, last: start, ..self }
    }

    /// When a packet of `size` bytes that leaves now is there; `None` when it is lost.
    pub fn there(&mut self, now: Instant, size: usize, random: &mut StdRng) -> Option<Instant> {
        let seconds = (now - self.start).as_secs_f64();
        let rate = self.way.rates.iter().rev().find(|(at, _)| *at <= seconds).unwrap().1;
        let mut backlog = self.free_at.saturating_duration_since(now).as_secs_f64();
        if rate != self.rate {
            backlog *= self.rate / rate;
            self.rate = rate;
            self.free_at = now + Duration::from_secs_f64(backlog);
        }
        if self.cut(seconds) || backlog > self.way.queue || backlog * rate > self.way.queue_bytes {
            return None;
        }
        self.free_at = self.free_at.max(now) + Duration::from_secs_f64(size as f64 / rate);
        if self.loses(random) {
            return None;
        }
        let jitter = self.way.jitter.mul_f64(random.random_range(0.0..=1.0));
        self.last = self.last.max(self.free_at + self.way.one_way + jitter);
        Some(self.last)
    }

    /// When an acknowledgement that leaves now is back.
    pub fn back(&mut self, now: Instant, random: &mut StdRng) -> Option<Instant> {
        let jitter = self.way.jitter.mul_f64(random.random_range(0.0..=1.0));
        let lost = random.random_bool(self.way.loss) || self.cut((now - self.start).as_secs_f64());
        (!lost).then(|| now + self.way.one_way + jitter)
    }

    fn cut(&self, seconds: f64) -> bool {
        self.way.outages.iter().any(|(from, to)| (*from..*to).contains(&seconds))
    }

    fn loses(&mut self, random: &mut StdRng) -> bool {
        let Way { loss, burst, .. } = self.way;
        let turn = if self.losing { 1.0 / burst } else { loss / (1.0 - loss) / burst };
        if random.random_bool(turn.min(1.0)) {
            self.losing = !self.losing;
        }
        self.losing
    }
}
