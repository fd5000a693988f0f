//! From send and arrival times to a verdict about the queue in front of the viewer.
//!
//! Packets that leave together are one group (draft-ietf-rmcat-gcc-02 §5.2). A group's delay is
//! that of its *first* packet: a forwarding node sends a whole frame at once, and its last
//! packet is late by the length of the frame, which says nothing about a queue; its first one
//! meets exactly what earlier frames left behind.

use super::trend::{Trend, Usage, weight};

/// Packets sent within this of the first belong together, and so do those that arrive within it
/// of each other when a line lets go what it had held back.
const BURST_US: i64 = 5_000;

/// Nothing is held back for longer than this without it being called a queue.
const HELD_BACK_US: i64 = 100_000;

/// A change of delay beyond this is another clock, or another path.
const JUMP_US: i64 = 3_000_000;

/// The shortest delay is looked for in two windows of this: it may rise with the path, and the
/// clocks drift.
const BASE_WINDOW_US: i64 = 10_000_000;

/// Time constant of [`Delay::queue_ms`].
const SMOOTHING_MS: f64 = 80.0;

/// A growth of the delay below this much queue is left alone.
const SHORT_MS: f64 = 10.0;

/// A long queue: this, and so many times what delay changes by anyway from group to group, on
/// a mean over so many groups.
const LONG_MS: f64 = 50.0;
const NOISE_FACTOR: f64 = 2.0;
const NOISE_WEIGHT: f64 = 1.0 / 64.0;

/// With a long queue, met by two groups in a row, half the threshold will do, and the growth
/// need not last: when a line narrows to a fraction, each group that is waited for makes the
/// queue a frame longer.
const HALF_GROWTH: f64 = 0.5;

/// A frame that takes so long to arrive, and met half that queue to begin with, is as urgent:
/// after it there would be nothing to go by for as long again.
const TAKES_LONG_US: i64 = 60_000;

/// A queue to which nobody adds shortens as fast as time passes. One that shortens half as fast
/// needs no help: it is a frame of somebody else's going by, or what was done already works.
const DRAINING: f64 = 0.5;

#[derive(Debug, Clone, Copy)]
struct Group {
    /// The packet that stands for the group.
    sent_us: i64,
    arrival_us: i64,
    /// The group's first arrival, and its latest.
    first_us: i64,
    last_us: i64,
    /// It was called too much already.
    told: bool,
}

/// The shortest delay of the last 10 to 20 s.
#[derive(Debug, Clone, Copy)]
struct Base {
    since_us: i64,
    before: i64,
    current: i64,
}

impl Base {
    fn new(sent_us: i64, delay: i64) -> Self {
        Self { since_us: sent_us, before: delay, current: delay }
    }

    fn update(&mut self, sent_us: i64, delay: i64) -> i64 {
        if sent_us - self.since_us > BASE_WINDOW_US {
            *self = Self { since_us: sent_us, before: self.current, current: delay };
        }
        self.current = self.current.min(delay);
        self.current.min(self.before)
    }
}

/// The delay-based detector.
#[derive(Debug, Default)]
pub struct Delay {
    group: Option<Group>,
    previous: Option<Group>,
    base: Option<Base>,
    trend: Trend,
    queue_ms: f64,
    /// Of the last group, not smoothed; and what the last two met at least.
    latest_ms: f64,
    standing_ms: f64,
    noise_ms: f64,
}

impl Delay {
    /// Takes a packet that arrived, in the order they were sent. Says something when it begins
    /// a new group, about those before.
    #[inline]
    pub fn packet(&mut self, sent_us: i64, arrival_us: i64) -> Option<Usage> {
        let (first_us, last_us) = (arrival_us, arrival_us);
        let begin = Group { sent_us, arrival_us, first_us, last_us, told: false };
        let Some(group) = &mut self.group else {
            self.group = Some(begin);
            return None;
        };
        let apart = sent_us - group.sent_us;
        if apart <= BURST_US {
            group.last_us = group.last_us.max(arrival_us);
            let takes_long = arrival_us - group.arrival_us > TAKES_LONG_US;
            return if takes_long && !group.told { self.drags_on(arrival_us) } else { None };
        }
        let at_once = arrival_us - group.last_us <= BURST_US;
        let catches_up = arrival_us - group.arrival_us < apart;
        if at_once && catches_up && arrival_us - group.first_us < HELD_BACK_US {
            (group.sent_us, group.arrival_us) = (sent_us, arrival_us);
            group.last_us = group.last_us.max(arrival_us);
            return None;
        }
        let closed = std::mem::replace(group, begin);
        let previous = self.previous.replace(closed);
        let said = self.close(previous?, closed)?;
        Some(if said == Usage::Normal && self.foresees(begin) { Usage::Over } else { said })
    }

    /// The next packet follows no earlier one: what was sent between is not looked at.
    pub fn skip(&mut self) {
        self.group = None;
        self.previous = None;
    }

    /// Queueing delay of late, in ms: how much longer packets take than the fastest.
    #[must_use]
    pub fn queue_ms(&self) -> f64 {
        self.queue_ms
    }

    /// That of the last group alone.
    #[must_use]
    pub fn latest_ms(&self) -> f64 {
        self.latest_ms
    }

    /// Whether each of the last two groups met a long queue.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.standing_ms > self.long_ms()
    }

    fn long_ms(&self) -> f64 {
        LONG_MS + NOISE_FACTOR * self.noise_ms
    }

    /// When the last group was sent.
    #[must_use]
    pub fn latest_sent_us(&self) -> i64 {
        self.previous.map_or(i64::MAX, |group| group.sent_us)
    }

    fn close(&mut self, previous: Group, group: Group) -> Option<Usage> {
        let elapsed = group.arrival_us - previous.arrival_us;
        let apart = group.sent_us - previous.sent_us;
        let delta = elapsed - apart;
        if delta.abs() > JUMP_US {
            *self = Self { group: self.group, previous: Some(group), ..Self::default() };
            return None;
        }
        let delay = group.arrival_us - group.sent_us;
        let base = self.base.get_or_insert(Base::new(previous.sent_us, delay - delta));
        let queue_ms = (delay - base.update(group.sent_us, delay)) as f64 / 1e3;
        let apart_ms = apart as f64 / 1e3;
        self.queue_ms += weight(apart_ms, SMOOTHING_MS) * (queue_ms - self.queue_ms);
        let before = std::mem::replace(&mut self.latest_ms, queue_ms);
        self.standing_ms = queue_ms.min(before);
        if elapsed < 0 {
            return None;
        }
        self.noise_ms += NOISE_WEIGHT * ((queue_ms - before).abs() - self.noise_ms);
        let (at, elapsed_ms) = (group.arrival_us as f64 / 1e3, elapsed as f64 / 1e3);
        let usage = self.trend.update(at, delta as f64 / 1e3, elapsed_ms);
        let excused = drains(before, queue_ms, apart_ms) || self.queue_ms < SHORT_MS;
        Some(if usage == Usage::Over && excused { Usage::Normal } else { usage })
    }

    /// Whether the group that takes long to arrive is a case for acting before it has.
    fn drags_on(&mut self, arrival_us: i64) -> Option<Usage> {
        let (long_ms, grows) = (self.long_ms(), self.trend.steepness() > HALF_GROWTH);
        let (Some(base), Some(group)) = (&mut self.base, &mut self.group) else { return None };
        let apart_ms = (group.sent_us - self.previous?.sent_us) as f64 / 1e3;
        let delay = group.arrival_us - group.sent_us;
        let met_ms = (delay - base.update(group.sent_us, delay)) as f64 / 1e3;
        if met_ms < long_ms / 2.0 || !grows || drains(self.latest_ms, met_ms, apart_ms) {
            return None;
        }
        group.told = true;
        self.standing_ms = met_ms + (arrival_us - group.arrival_us) as f64 / 1e3;
        Some(Usage::Over)
    }

    /// Whether the group that just begins makes the case urgent already.
    fn foresees(&mut self, begin: Group) -> bool {
        let (Some(base), Some(last)) = (&mut self.base, self.previous) else { return false };
        let delay = begin.arrival_us - begin.sent_us;
        let queue_ms = (delay - base.update(begin.sent_us, delay)) as f64 / 1e3;
        let apart_ms = (begin.sent_us - last.sent_us) as f64 / 1e3;
        let standing_ms = queue_ms.min(self.latest_ms);
        let urgent = standing_ms > self.long_ms() && self.trend.steepness() > HALF_GROWTH;
        if !urgent || drains(self.latest_ms, queue_ms, apart_ms) {
            return false;
        }
        self.standing_ms = standing_ms;
        true
    }
}

fn drains(before_ms: f64, queue_ms: f64, apart_ms: f64) -> bool {
    queue_ms < before_ms - DRAINING * apart_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a frame of `packets` every 33 ms into a line of `rate` bit/s and tells what is
    /// said of it.
    fn frames(detector: &mut Delay, from_us: &mut i64, packets: &[i64], rate: i64) -> Vec<Usage> {
        let mut said = Vec::new();
        let mut free = *from_us;
        for count in packets {
            for _ in 0..*count {
                free = free.max(*from_us) + 1200 * 8 * 1_000_000 / rate;
                said.extend(detector.packet(*from_us, free + 77_000_000));
            }
            *from_us += 33_000;
        }
        said
    }

    #[test]
    fn frames_of_any_size_are_no_queue_as_long_as_each_is_gone_before_the_next() {
        let (mut detector, mut now) = (Delay::default(), 0);
        let sizes: Vec<i64> = (0..600).map(|n| 3 + (n * 7) % 9).collect();
        let said = frames(&mut detector, &mut now, &sizes, 3_600_000);
        assert!(said.iter().all(|u| *u == Usage::Normal), "{said:?}");
        assert!(detector.queue_ms() < 5.0, "{}", detector.queue_ms());
    }

    #[test]
    fn frames_that_outrun_the_line_are_noticed_and_so_is_the_relief() {
        let (mut detector, mut now) = (Delay::default(), 0);
        frames(&mut detector, &mut now, &[7; 60], 4_000_000);
        let said = frames(&mut detector, &mut now, &[7; 8], 1_000_000);
        assert!(said.contains(&Usage::Over), "{said:?}");
        assert!(detector.queue_ms() > 40.0);
        now += 400_000;
        frames(&mut detector, &mut now, &[2; 2], 1_000_000);
        let said = frames(&mut detector, &mut now, &[2; 20], 1_000_000);
        assert!(said.contains(&Usage::Under) && !said.contains(&Usage::Over), "{said:?}");
    }

    #[test]
    fn a_line_that_stops_for_a_moment_and_lets_go_is_not_a_queue() {
        let mut detector = Delay::default();
        let mut said = Vec::new();
        for n in 0..400i64 {
            let sent = n * 20_000;
            let held = if n % 50 == 49 { 0 } else { sent };
            let released = (n / 50 * 50 + 49) * 20_000;
            let arrival = if (n % 50) > 46 { released.max(held) } else { sent };
            said.extend(detector.packet(sent, arrival + 500));
        }
        assert!(!said.contains(&Usage::Over), "{said:?}");
    }

    #[test]
    fn another_clock_begins_anew() {
        let (mut detector, mut now) = (Delay::default(), 0);
        frames(&mut detector, &mut now, &[7; 20], 1_000_000);
        assert!(detector.queue_ms() > 100.0);
        let long_ago = -500_000_000;
        for n in 0..40 {
            let said = detector.packet(now + n * 20_000, long_ago + n * 20_000);
            assert_ne!(said, Some(Usage::Over));
        }
        assert!(detector.queue_ms() < 5.0);
    }
}
