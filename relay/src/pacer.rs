//! When the next frame, or the next piece of one, may go: a token bucket at the controller's
//! rate, as a pure value. quinn's own pacer lets ten packets go at once, which is a third of a
//! second of a 300 kbit/s line: whatever audio comes then stands behind them in the line's
//! queue. Here video waits where audio overtakes it, and where a frame can still be left out.

use std::time::{Duration, Instant};

/// Bytes/s from which whole frames go at once: quinn's burst is 100 ms of it.
pub const WHOLE_FRAMES: f64 = 125_000.0;

/// What may go at once after a pause: at a rate of whole frames a keyframe, below it two
/// packets.
const BURST: Duration = Duration::from_millis(200);
const SMALL_BURST: f64 = 2400.0;

/// Tokens come a little faster than the controller's rate, so that a stream at just that rate
/// does not fall behind for ever after a stall.
const FASTER: f64 = 1.05;

#[derive(Debug, Clone, Copy)]
pub struct Pacer {
    /// Bytes; below zero what was let go in advance.
    tokens: f64,
    at: Instant,
}

impl Pacer {
    pub fn new(now: Instant) -> Self {
        Self { tokens: SMALL_BURST, at: now }
    }

    /// Whether something may go, or how long it is to wait; `rate` in bytes/s, `whole` when
    /// whole frames go at once.
    pub fn room(&mut self, now: Instant, rate: f64, whole: bool) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let burst = if whole { rate * BURST.as_secs_f64() } else { SMALL_BURST };
        // A debt from better times is not paid off at the rate of worse ones.
        self.tokens = (self.tokens + rate * FASTER * passed).clamp(-burst, burst);
        self.at = now;
        if self.tokens > 0.0 {
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / (rate * FASTER).max(1.0)))
    }

    /// `bytes` went.
    pub fn spent(&mut self, bytes: usize) {
        self.tokens -= bytes as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_more_goes_than_the_rate_and_a_burst(
            rate in 10_000.0f64..500_000.0,
            sizes in prop::collection::vec(200usize..9000, 1..200),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut pacer = Pacer::new(start);
            let mut sent = 0;
            for size in &sizes {
                if let Err(wait) = pacer.room(now, rate, rate >= WHOLE_FRAMES) {
                    prop_assert!(wait <= Duration::from_secs(1), "{wait:?}");
                    now += wait;
                    prop_assert_eq!(pacer.room(now, rate, rate >= WHOLE_FRAMES), Ok(()), "it says when");
                }
                pacer.spent(*size);
                sent += size;
            }
            let passed = (now - start).as_secs_f64();
            let allowed = rate * FASTER * passed + (rate * 0.2).max(SMALL_BURST) + 9000.0;
            // Debts are forgiven beyond a burst, which frames far above it use.
            let forgiven = sizes.len() as f64 * 9000.0 * f64::from(u8::from(rate < WHOLE_FRAMES));
            prop_assert!((sent as f64) < allowed + forgiven, "{sent} of {allowed}");
        }
    }

    #[test]
    fn a_slow_line_gets_packets_one_by_one() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        let mut now = start;
        for _ in 0..31 {
            while let Err(wait) = pacer.room(now, 37_500.0, false) {
                now += wait;
            }
            pacer.spent(1200);
        }
        let passed = (now - start).as_millis();
        assert!((850..1000).contains(&passed), "31 packets at 300 kbit/s took {passed} ms");
    }
}
