//! One direction of a link, as a value: datagrams and the time go in, datagrams come out.
//!
//! A datagram waits in a drop-tail queue for the bottleneck, a token bucket; there it is lost
//! or it is not; then it is under way for the delay and its jitter. Everything happens at
//! exact instants that don't depend on when a line is polled: the same seed and the same input
//! give the same output. A line never reads a clock and never sleeps.

use super::chance::Chance;
use super::conditions::{Change, Conditions};
use super::profile::Course;
use super::timeline::{Step, Timeline};
use super::units::Queue;
use bytes::Bytes;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::AddAssign;
use std::time::{Duration, Instant};

/// Bytes of IPv4 and UDP headers, which a datagram takes on the line beside itself.
pub const OVERHEAD: usize = 28;

/// A line holds no more datagrams than this, waiting and under way: 64 Ki are more than a
/// second of 500 Mbit/s. What comes on top is dropped, as by a full queue.
pub const MAX_HELD: usize = 64 * 1024;

/// A datagram handed out later than this after its time is counted as late: whoever polls
/// was too slow, and the line was worse than described. tokio's timers alone may be 1 ms late.
pub const LATE: Duration = Duration::from_millis(2);

/// Tokens of the bucket are billionths of a bit, so that a rate in bit/s times a time in
/// nanoseconds is a whole number of them.
const TOKENS_PER_BIT: u128 = 1_000_000_000;

/// What a line carries. A duplicate is a clone.
pub trait Datagram: Clone {
    /// Bytes of UDP payload.
    fn size(&self) -> usize;
}

impl Datagram for Bytes {
    fn size(&self) -> usize {
        self.len()
    }
}

impl Datagram for Vec<u8> {
    fn size(&self) -> usize {
        self.len()
    }
}

/// What became of the datagrams of a line. At any time
/// `received + duplicated = sent + lost + cut + dropped + held`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Handed in.
    pub received: u64,
    /// UDP payload handed in, bytes.
    pub received_bytes: u64,
    /// Copies the line made on its own account.
    pub duplicated: u64,
    /// Handed out.
    pub sent: u64,
    /// UDP payload handed out, bytes.
    pub sent_bytes: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost because they came during an outage.
    pub cut: u64,
    /// Lost because too much waited already.
    pub dropped: u64,
    /// Waiting or under way.
    pub held: u64,
    /// Handed out after one that was handed in later.
    pub reordered: u64,
    /// Handed out more than [`LATE`] after their time.
    pub late: u64,
    /// The worst of that, in microseconds.
    pub latest_us: u64,
}

impl Counters {
    /// Bytes of IP packets handed in: what the sender put on the line.
    #[must_use]
    pub fn received_ip_bytes(&self) -> u64 {
        self.received_bytes + self.received * OVERHEAD as u64
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.received_bytes += other.received_bytes;
        self.duplicated += other.duplicated;
        self.sent += other.sent;
        self.sent_bytes += other.sent_bytes;
        self.lost += other.lost;
        self.cut += other.cut;
        self.dropped += other.dropped;
        self.held += other.held;
        self.reordered += other.reordered;
        self.late += other.late;
        self.latest_us = self.latest_us.max(other.latest_us);
    }
}

/// One direction. See the module.
#[derive(Debug)]
pub struct Line<D = Bytes> {
    beginning: Conditions,
    conditions: Conditions,
    timeline: Timeline,
    cut: bool,
    chance: Chance,
    /// Everything up to here has happened.
    clock: Instant,
    waiting: VecDeque<D>,
    /// Bits of all that wait.
    backlog: u64,
    /// What the bucket holds. More than its depth only as far as the first that waits is
    /// partly paid for.
    tokens: u128,
    under_way: BinaryHeap<Reverse<UnderWay<D>>>,
    /// The latest arrival among those that keep their order.
    last_arrival: Instant,
    /// Datagrams that passed the bottleneck.
    passed: u64,
    /// One more than the highest number handed out.
    handed_out: u64,
    counters: Counters,
}

impl<D: Datagram> Line<D> {
    /// A line that begins at `start`. `way` tells the two directions of a link apart, which
    /// have one seed but not the same fortune.
    #[must_use]
    pub fn new(
        course: &Course,
        repeat: Option<Duration>,
        seed: u64,
        way: u64,
        start: Instant,
    ) -> Self {
        Self {
            beginning: course.beginning,
            conditions: course.beginning,
            timeline: Timeline::new(course, repeat, start),
            cut: false,
            chance: Chance::new(seed, way),
            clock: start,
            waiting: VecDeque::new(),
            backlog: 0,
            tokens: u128::from(course.beginning.burst) * 8 * TOKENS_PER_BIT,
            under_way: BinaryHeap::new(),
            last_arrival: start,
            passed: 0,
            handed_out: 0,
            counters: Counters::default(),
        }
    }

    /// Hands a datagram in. Time never goes backwards: an earlier `now` counts as the latest.
    pub fn push(&mut self, now: Instant, datagram: D) {
        self.advance(now);
        self.counters.received += 1;
        self.counters.received_bytes += datagram.size() as u64;
        if self.chance.repeats(&self.conditions) {
            self.counters.duplicated += 1;
            self.enter(datagram.clone());
        }
        self.enter(datagram);
        self.transmit(self.clock);
    }

    /// The next datagram that is at the other end by `now`.
    pub fn poll(&mut self, now: Instant) -> Option<D> {
        self.advance(now);
        let first = self.under_way.peek()?;
        if first.0.arrival > now {
            return None;
        }
        let Reverse(UnderWay { arrival, number, datagram }) = self.under_way.pop()?;
        self.counters.sent += 1;
        self.counters.sent_bytes += datagram.size() as u64;
        self.counters.reordered += u64::from(number < self.handed_out);
        self.handed_out = self.handed_out.max(number + 1);
        let late = now - arrival;
        self.counters.late += u64::from(late > LATE);
        let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.counters.latest_us = self.counters.latest_us.max(late);
        Some(datagram)
    }

    /// When to poll next, should nothing be handed in before; there may be nothing yet then.
    /// `None` when the line is empty. After [`poll`](Self::poll) gave `None`, this is later
    /// than the time it was given.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let arrival = self.under_way.peek().map(|first| first.0.arrival);
        let departure = self.departure().map(|at| {
            let arrival = at + self.conditions.delay;
            self.timeline.peek().map_or(arrival, |step| step.min(arrival))
        });
        [arrival, departure].into_iter().flatten().min()
    }

    /// What became of the datagrams so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { held: self.held() as u64, ..self.counters }
    }

    /// The conditions of the moment.
    #[must_use]
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    pub(super) fn changed(&self, change: &Change) -> Result<Conditions, String> {
        change.of(&self.conditions)
    }

    /// Other conditions from now on, until the next change of the line's course.
    pub fn set(&mut self, now: Instant, conditions: Conditions) {
        self.advance(now);
        self.conditions = conditions;
        self.transmit(self.clock);
    }

    /// Cuts the line, or mends it, from now on, until its course says otherwise. As with an
    /// outage of the course, what already waits or is under way arrives.
    pub fn set_cut(&mut self, now: Instant, cut: bool) {
        self.advance(now);
        self.cut = cut;
    }

    fn held(&self) -> usize {
        self.waiting.len() + self.under_way.len()
    }

    fn enter(&mut self, datagram: D) {
        if self.cut {
            self.counters.cut += 1;
        } else if self.is_full() {
            self.counters.dropped += 1;
        } else {
            self.backlog += bits(&datagram);
            self.waiting.push_back(datagram);
        }
    }

    /// What comes to an empty queue is always taken, however small the queue.
    fn is_full(&self) -> bool {
        if self.held() >= MAX_HELD {
            return true;
        }
        let Some(rate) = self.conditions.rate.limit() else { return false };
        let ahead = (u128::from(self.backlog) * TOKENS_PER_BIT).saturating_sub(self.tokens);
        match self.conditions.queue {
            Queue::Time(most) => ahead > most.as_nanos() * u128::from(rate),
            Queue::Bytes(most) => ahead > u128::from(most) * 8 * TOKENS_PER_BIT,
        }
    }

    /// Lets everything happen that happens until `to`.
    fn advance(&mut self, to: Instant) {
        while let Some(at) = self.timeline.peek().filter(|at| *at <= to) {
            self.transmit(at);
            match self.timeline.take(at) {
                // The course was tried out when it was read.
                Some(Step::Change(change)) => {
                    self.conditions = change.of(&self.conditions).unwrap_or(self.conditions);
                }
                Some(Step::Cut) => self.cut = true,
                Some(Step::Mend) => self.cut = false,
                Some(Step::Again) => self.conditions = self.beginning,
                None => {}
            }
        }
        self.transmit(to);
    }

    /// Lets leave what can until `until`, under conditions that don't change meanwhile.
    fn transmit(&mut self, until: Instant) {
        while let Some(at) = self.departure().filter(|at| *at <= until) {
            self.earn(at);
            let Some(datagram) = self.waiting.pop_front() else { break };
            self.backlog -= bits(&datagram);
            self.tokens = self.tokens.saturating_sub(u128::from(bits(&datagram)) * TOKENS_PER_BIT);
            if self.waiting.is_empty() {
                self.tokens = self.tokens.min(self.depth());
            }
            self.depart(datagram, at);
        }
        if until > self.clock {
            self.earn(until);
        }
    }

    /// When the first that waits leaves.
    fn departure(&self) -> Option<Instant> {
        let first = self.waiting.front()?;
        let Some(rate) = self.conditions.rate.limit() else { return Some(self.clock) };
        let missing = (u128::from(bits(first)) * TOKENS_PER_BIT).saturating_sub(self.tokens);
        let wait = u64::try_from(missing.div_ceil(u128::from(rate))).unwrap_or(u64::MAX);
        Some(self.clock + Duration::from_nanos(wait))
    }

    fn depth(&self) -> u128 {
        u128::from(self.conditions.burst) * 8 * TOKENS_PER_BIT
    }

    /// Fills the bucket up to `until`. An empty line's bucket gets no fuller than it is deep.
    fn earn(&mut self, until: Instant) {
        let elapsed = (until - self.clock).as_nanos();
        self.clock = until;
        match self.conditions.rate.limit() {
            Some(rate) => self.tokens += elapsed * u128::from(rate),
            None => self.tokens = self.tokens.max(self.depth()),
        }
        if self.waiting.is_empty() {
            self.tokens = self.tokens.min(self.depth());
        }
    }

    /// A datagram has passed the bottleneck.
    fn depart(&mut self, datagram: D, at: Instant) {
        let number = self.passed;
        self.passed += 1;
        let lost = self.chance.loses(&self.conditions);
        let jitter = self.chance.jitter(&self.conditions);
        let held_back = self.chance.holds_back(&self.conditions);
        if lost {
            self.counters.lost += 1;
            return;
        }
        let mut arrival = at + self.conditions.delay + jitter;
        if !self.conditions.jitter_reorders {
            arrival = arrival.max(self.last_arrival);
        }
        if held_back {
            arrival += self.conditions.reorder_by;
        } else {
            self.last_arrival = self.last_arrival.max(arrival);
        }
        self.under_way.push(Reverse(UnderWay { arrival, number, datagram }));
    }
}

/// What a datagram takes on the line.
fn bits<D: Datagram>(datagram: &D) -> u64 {
    (datagram.size() + OVERHEAD) as u64 * 8
}

/// Past the bottleneck. Those that arrive at the same instant arrive in their order.
#[derive(Debug)]
struct UnderWay<D> {
    arrival: Instant,
    number: u64,
    datagram: D,
}

impl<D> PartialEq for UnderWay<D> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<D> Eq for UnderWay<D> {}

impl<D> PartialOrd for UnderWay<D> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<D> Ord for UnderWay<D> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.arrival, self.number).cmp(&(other.arrival, other.number))
    }
}
