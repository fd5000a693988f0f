//! When bytes may leave: a bucket of tokens. An ordinary frame fits into it and goes as one
//! burst, which is what makes sending cheap; a keyframe that does not is spread, in bursts of
//! eight packets, so that it does not become a queue in front of the viewer.
//!
//! It holds no packets: whoever does asks how much may go, and when to come back.

use std::time::{Duration, Instant};

/// A full datagram.
const PACKET: f64 = 1200.0;

/// The bucket takes sixteen packets, or 40 ms at the estimate where that is more.
const DEPTH: f64 = 16.0 * PACKET;
const DEPTH_TIME: f64 = 0.040;

/// Bytes leave this much faster than the estimate: a keyframe must be through soon, and the
/// line is idle between frames.
const PACE: f64 = 2.5;

/// Where a queue stands in front of the viewer, or the line showed lately how little it takes,
/// neither is done: what comes after a layer was given up, often a keyframe, must not make a
/// queue, and is not through any sooner for being sent faster than the line goes.
const FULL_DEPTH: f64 = 2.0 * PACKET;
const FULL_PACE: f64 = 1.25;

/// Whoever waits leaves in bursts of eight packets (one of them costs three times as much when
/// sent alone), or of what passes in 40 ms at low rates.
const BURST: f64 = 8.0 * PACKET;
const BURST_TIME: f64 = 0.040;

/// Nothing is held longer than this; rather the rate is raised.
pub const LONGEST: Duration = Duration::from_millis(250);

/// Raising it stops here, for what is due at once.
const SHORTEST: Duration = Duration::from_millis(5);

/// The bucket of one path.
#[derive(Debug)]
pub struct Pacer {
    /// Bytes per second, and in the bucket; negative after what could not wait.
    rate: f64,
    tokens: f64,
    filled: Instant,
    full: bool,
}

impl Pacer {
    /// A full bucket for an estimate in bit/s.
    #[must_use]
    pub fn new(estimate: u64, now: Instant) -> Self {
        let mut pacer = Self { rate: 0.0, tokens: 0.0, filled: now, full: false };
        pacer.set_path(estimate, false);
        pacer.tokens = pacer.depth();
        pacer
    }

    /// What is known of the path: its rate, and whether that is all there is.
    pub fn set_path(&mut self, estimate: u64, full: bool) {
        self.rate = estimate.max(1) as f64 / 8.0;
        self.full = full;
        self.tokens = self.tokens.min(self.depth());
    }

    /// Whether `bytes` may go at once, when nothing waits. This is the way of ordinary frames.
    #[inline]
    #[must_use]
    pub fn admits(&mut self, bytes: usize, now: Instant) -> bool {
        if self.tokens < bytes as f64 {
            self.fill(self.pace(), now);
        }
        self.tokens >= bytes as f64
    }

    /// Counts bytes that go, whether or not they were admitted: audio and retransmissions are
    /// small or late already and wait for nothing.
    #[inline]
    pub fn spend(&mut self, bytes: usize) {
        self.tokens -= bytes as f64;
    }

    /// How many bytes may go of `waiting`, the oldest of which has waited since `oldest`: none
    /// until they make a burst.
    pub fn budget(&mut self, waiting: usize, oldest: Instant, now: Instant) -> usize {
        self.fill(self.pace_for(waiting, oldest, now), now);
        let overdue = now.saturating_duration_since(oldest) >= LONGEST;
        if overdue {
            return waiting;
        }
        let burst = self.burst(waiting);
        if self.tokens + 0.5 >= burst { self.tokens.max(burst) as usize } else { 0 }
    }

    /// When [`Self::budget`] is next worth asking.
    #[must_use]
    pub fn next(&self, waiting: usize, oldest: Instant, now: Instant) -> Instant {
        let lacking = self.burst(waiting) - self.tokens;
        if lacking <= 0.0 {
            return now;
        }
        let wait = lacking / self.pace_for(waiting, oldest, now);
        (self.filled + Duration::from_secs_f64(wait)).min(oldest + LONGEST).max(now)
    }

    fn burst(&self, waiting: usize) -> f64 {
        let burst = (self.pace() * BURST_TIME).clamp(PACKET, BURST);
        burst.min(self.depth()).min(waiting as f64)
    }

    fn depth(&self) -> f64 {
        let depth = if self.full { FULL_DEPTH } else { DEPTH };
        depth.max(self.rate * DEPTH_TIME)
    }

    fn pace(&self) -> f64 {
        self.rate * if self.full { FULL_PACE } else { PACE }
    }

    /// Fast enough for all that waits to leave in time.
    fn pace_for(&self, waiting: usize, oldest: Instant, now: Instant) -> f64 {
        let waited = now.saturating_duration_since(oldest);
        let left = LONGEST.saturating_sub(waited).max(SHORTEST).as_secs_f64();
        let debt = (-self.tokens).max(0.0);
        self.pace().max((waiting as f64 + debt) / left)
    }

    fn fill(&mut self, pace: f64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + pace * elapsed).min(self.depth());
        self.filled = self.filled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Drains a queue that came at once; returns bursts (bytes) and how long it took.
    fn drain(pacer: &mut Pacer, mut waiting: usize, from: Instant) -> (Vec<usize>, Duration) {
        let (mut now, mut bursts) = (from, Vec::new());
        while waiting > 0 {
            let sent = pacer.budget(waiting, from, now).min(waiting);
            if sent > 0 {
                pacer.spend(sent);
                waiting -= sent;
                bursts.push(sent);
            }
            let next = pacer.next(waiting, from, now);
            assert!(waiting == 0 || sent > 0 || next > now, "it must get on");
            now = next;
        }
        (bursts, now - from)
    }

    #[test]
    fn ordinary_frames_go_as_one_burst_each() {
        let start = Instant::now();
        let mut pacer = Pacer::new(2_500_000, start);
        for frame in 0..300u32 {
            let now = start + Duration::from_millis(33) * frame;
            assert!(pacer.admits(8_400, now), "frame {frame}");
            pacer.spend(8_400);
        }
    }

    #[test]
    fn a_keyframe_is_spread_in_bursts_of_eight_or_more() {
        let start = Instant::now();
        let mut pacer = Pacer::new(4_000_000, start);
        assert!(!pacer.admits(100_000, start));
        let (bursts, took) = drain(&mut pacer, 100_000, start);
        let (last, full) = bursts.split_last().unwrap();
        assert!(full.iter().all(|b| *b >= 9_600) && *last > 0, "{bursts:?}");
        let expected = (100_000.0 - 20_000.0) / (4e6 / 8.0 * PACE);
        assert!((took.as_secs_f64() - expected).abs() < 0.02, "{took:?}");
    }

    #[test]
    fn what_would_wait_too_long_raises_the_rate() {
        let start = Instant::now();
        let mut pacer = Pacer::new(300_000, start);
        let (_, took) = drain(&mut pacer, 100_000, start);
        assert!(took <= LONGEST, "{took:?}");
        assert!(took > LONGEST / 2, "not at once either: {took:?}");
    }

    #[test]
    fn on_a_full_line_a_keyframe_is_spread_at_hardly_more_than_the_estimate() {
        let start = Instant::now();
        let mut pacer = Pacer::new(800_000, start);
        assert!(pacer.admits(12_500, start), "else it goes at once");
        pacer.set_path(800_000, true);
        assert!(!pacer.admits(12_500, start));
        let (_, took) = drain(&mut pacer, 12_500, start);
        assert!(took > Duration::from_millis(60) && took <= LONGEST, "{took:?}");
    }

    #[test]
    fn audio_is_counted_but_does_not_wait() {
        let start = Instant::now();
        let mut pacer = Pacer::new(100_000, start);
        pacer.spend(30_000);
        assert!(!pacer.admits(1200, start));
        assert!(pacer.next(1200, start, start) > start);
    }

    proptest! {
        #[test]
        fn nothing_waits_longer_than_the_limit(
            estimate in 30_000u64..20_000_000,
            waiting in 1usize..400_000,
            debt in 0usize..60_000,
        ) {
            let start = Instant::now();
            let mut pacer = Pacer::new(estimate, start);
            pacer.spend(debt);
            let (_, took) = drain(&mut pacer, waiting, start);
            prop_assert!(took <= LONGEST);
        }
    }
}
