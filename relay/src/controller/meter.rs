//! What was sent, acknowledged and lost in the last two seconds, in slots of 50 ms.

use std::time::{Duration, Instant};

pub const SLOT: Duration = Duration::from_millis(50);

/// Two seconds, and one slot that is being filled.
const SLOTS: usize = 41;

#[derive(Debug, Clone, Copy)]
struct Slot {
    sent: u64,
    acked: u64,
    lost: u64,
    /// Shortest round trip in nanoseconds; the largest number where there was none.
    rtt: u64,
}

impl Slot {
    const EMPTY: Self = Self { sent: 0, acked: 0, lost: 0, rtt: u64::MAX };
}

/// Sums over a span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sums {
    pub sent: u64,
    pub acked: u64,
    pub lost: u64,
    pub rtt: Option<Duration>,
    /// Seconds that were really looked at.
    pub seconds: f64,
}

impl Sums {
    /// Bytes/s.
    pub fn send_rate(&self) -> f64 {
        if self.seconds > 0.0 { self.sent as f64 / self.seconds } else { 0.0 }
    }

    /// Bytes/s.
    pub fn delivery_rate(&self) -> f64 {
        if self.seconds > 0.0 { self.acked as f64 / self.seconds } else { 0.0 }
    }

    /// Share lost, 0..1.
    pub fn loss(&self) -> f64 {
        let known = self.acked + self.lost;
        if known == 0 { 0.0 } else { self.lost as f64 / known as f64 }
    }
}

/// A ring of slots; the newest is being filled.
#[derive(Debug, Clone)]
pub struct Meter {
    slots: [Slot; SLOTS],
    newest: usize,
    /// When the newest slot began.
    began: Instant,
    /// Slots that have been whole since the meter began.
    whole: usize,
}

impl Meter {
    pub fn new(now: Instant) -> Self {
        Self { slots: [Slot::EMPTY; SLOTS], newest: 0, began: now, whole: 0 }
    }

    pub fn sent(&mut self, now: Instant, bytes: u64) {
        self.turn(now).sent += bytes;
    }

    pub fn acked(&mut self, now: Instant, bytes: u64) {
        self.turn(now).acked += bytes;
    }

    pub fn lost(&mut self, now: Instant, bytes: u64) {
        self.turn(now).lost += bytes;
    }

    /// Forgets what was lost.
    pub fn forgive(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.lost = 0);
    }

    pub fn rtt(&mut self, now: Instant, rtt: Duration) {
        let slot = self.turn(now);
        // 584 years are enough.
        slot.rtt = slot.rtt.min(u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX - 1));
    }

    /// Sums of the last whole slots that make up `span`, ending `ago` before now.
    pub fn last(&self, span: Duration, ago: Duration) -> Sums {
        let slots_in = |d: Duration| d.as_millis().div_ceil(SLOT.as_millis()) as usize;
        let skip = slots_in(ago).min(self.whole);
        let count = slots_in(span).min(self.whole - skip);
        let mut sums = Sums { seconds: count as f64 * SLOT.as_secs_f64(), ..Sums::default() };
        let mut rtt = u64::MAX;
        // The ring, from the oldest of them to its end, and from its beginning on. This is read
        // ten times a second for every trunk: in a row, without a decision for each.
        let first = (self.newest + 2 * SLOTS - skip - count) % SLOTS;
        let (behind, from) = self.slots.split_at(first.min(SLOTS));
        let of_first = count.min(from.len());
        let rows = [from.get(..of_first), behind.get(..count - of_first)];
        for slot in rows.into_iter().flatten().flatten() {
            sums.sent += slot.sent;
            sums.acked += slot.acked;
            sums.lost += slot.lost;
            rtt = rtt.min(slot.rtt);
        }
        sums.rtt = (rtt < u64::MAX).then(|| Duration::from_nanos(rtt));
        sums
    }

    /// The slot of now, after as many empty ones as have passed.
    fn turn(&mut self, now: Instant) -> &mut Slot {
        let passed = now.saturating_duration_since(self.began);
        if passed >= SLOT {
            let passed = passed.as_millis() / SLOT.as_millis();
            let passed = u32::try_from(passed).unwrap_or(u32::MAX);
            for _ in 0..passed.min(SLOTS as u32) {
                self.newest = (self.newest + 1) % SLOTS;
                if let Some(slot) = self.slots.get_mut(self.newest) {
                    *slot = Slot::EMPTY;
                }
            }
            self.began += SLOT * passed;
            self.whole = (self.whole + passed as usize).min(SLOTS - 1);
        }
        // The index is always below the length; the first slot stands in for the compiler.
        let index = self.newest % SLOTS;
        let [first, rest @ ..] = &mut self.slots;
        index.checked_sub(1).and_then(|i| rest.get_mut(i)).unwrap_or(first)
    }

    /// Brings the slots up to now.
    pub fn advance(&mut self, now: Instant) {
        self.turn(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_sums_whole_slots_and_may_end_in_the_past() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        for n in 0..100u64 {
            let now = start + Duration::from_millis(10 * n);
            meter.sent(now, n);
            meter.acked(now, 10);
            meter.rtt(now, Duration::from_millis(200 - n));
        }
        meter.advance(start + Duration::from_secs(1));
        let second = meter.last(Duration::from_secs(1), Duration::ZERO);
        assert_eq!((second.sent, second.acked, second.seconds), (4950, 1000, 1.0));
        assert_eq!(second.rtt, Some(Duration::from_millis(101)));
        let earlier = meter.last(Duration::from_millis(100), Duration::from_millis(200));
        assert_eq!(earlier.sent, (70..80).sum::<u64>());
        meter.advance(start + Duration::from_secs(60));
        let idle = meter.last(Duration::from_secs(2), Duration::ZERO);
        assert_eq!((idle.sent, idle.rtt, idle.seconds), (0, None, 2.0));
    }
}
