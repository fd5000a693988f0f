//! Whether one-way delay is growing: the slope of the last delays against time, compared with a
//! threshold that adapts to how noisy the line is (draft-ietf-rmcat-gcc-02 §5.4, and §3 of
//! Carlucci et al., "Analysis and Design of the Google Congestion Control for WebRTC", 2016).
//!
//! A least-squares line instead of the draft's Kalman filter (§5.3): it needs no variances
//! tuned to a packet rate, and a whole frame sent at once gives few, unevenly spaced samples.
//! For the same reason smoothing goes by time here, not by sample.

/// Delays the slope is taken over: at most so many …
const POINTS: usize = 20;
/// … and so old, as long as there are enough of them.
const WINDOW_MS: f64 = 400.0;
const ENOUGH: usize = 6;

/// Time constant of the smoothing before the slope is taken.
const SMOOTHING_MS: f64 = 80.0;

/// The slope is multiplied by this and by the number of samples, up to so many: with few of
/// them it is not trusted yet.
const GAIN: f64 = 4.0;
const TRUSTED: u32 = 60;

/// The threshold to begin with, and its bounds. The lower one is twice the paper's: where little
/// is sent, few samples make much noise, and a queue is found out by its length as well.
const THRESHOLD: f64 = 12.5;
const LOWEST: f64 = 12.5;
const HIGHEST: f64 = 600.0;

/// How fast the threshold follows upwards and downwards, per ms.
const UP: f64 = 0.0087;
const DOWN: f64 = 0.039;

/// What exceeds the threshold by more is an event, not noise to get used to.
const EVENT: f64 = 15.0;

/// Delay must have been growing for so long.
const SUSTAINED_MS: f64 = 10.0;

/// What the line seems to be doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Usage {
    /// A queue is draining.
    Under,
    #[default]
    Normal,
    /// A queue is growing.
    Over,
}

/// Smooths a value that is sampled unevenly: the weight of a sample that comes `elapsed` after
/// the last.
#[must_use]
pub fn weight(elapsed_ms: f64, constant_ms: f64) -> f64 {
    let elapsed = elapsed_ms.max(0.1);
    elapsed / (elapsed + constant_ms)
}

/// The filter and its threshold.
#[derive(Debug)]
pub struct Trend {
    /// (ms by the receiver's clock, smoothed delay in ms), oldest first.
    points: [(f64, f64); POINTS],
    len: usize,
    accumulated_ms: f64,
    smoothed_ms: f64,
    samples: u32,
    threshold: f64,
    slope: f64,
    growing_ms: f64,
    growing: u32,
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            points: [(0.0, 0.0); POINTS],
            len: 0,
            accumulated_ms: 0.0,
            smoothed_ms: 0.0,
            samples: 0,
            threshold: THRESHOLD,
            slope: 0.0,
            growing_ms: 0.0,
            growing: 0,
        }
    }
}

impl Trend {
    /// Takes a change of delay of `delta_ms` over `elapsed_ms`, seen at `arrival_ms`.
    pub fn update(&mut self, arrival_ms: f64, delta_ms: f64, elapsed_ms: f64) -> Usage {
        self.accumulated_ms += delta_ms;
        let weight = weight(elapsed_ms, SMOOTHING_MS);
        self.smoothed_ms += weight * (self.accumulated_ms - self.smoothed_ms);
        self.samples = self.samples.saturating_add(1);
        self.push(arrival_ms);
        let slope = self.least_squares().unwrap_or(self.slope);
        let usage = self.compare(slope, elapsed_ms);
        self.adapt(slope, elapsed_ms);
        self.slope = slope;
        usage
    }

    /// How much faster than the threshold delay is growing: 1 is at the threshold.
    #[must_use]
    pub fn steepness(&self) -> f64 {
        self.scaled(self.slope) / self.threshold
    }

    fn push(&mut self, at: f64) {
        let old = |(t, _): &(f64, f64)| at - t > WINDOW_MS;
        let points = self.points.get(..self.len).unwrap_or_default();
        let stale = points.iter().take_while(|p| old(p)).count();
        let spare = (self.len + 1).saturating_sub(ENOUGH);
        let drop = stale.min(spare).max((self.len + 1).saturating_sub(POINTS));
        self.points.copy_within(drop..self.len, 0);
        self.len -= drop;
        if let Some(point) = self.points.get_mut(self.len) {
            *point = (at, self.smoothed_ms);
            self.len += 1;
        }
    }

    fn least_squares(&self) -> Option<f64> {
        let points = self.points.get(..self.len).filter(|p| p.len() >= ENOUGH)?;
        let n = points.len() as f64;
        let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0, y + p.1));
        let (x, y) = (x / n, y / n);
        let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), p| {
            (above + (p.0 - x) * (p.1 - y), below + (p.0 - x) * (p.0 - x))
        });
        (below > 0.0).then(|| above / below)
    }

    fn scaled(&self, slope: f64) -> f64 {
        slope * f64::from(self.samples.min(TRUSTED)) * GAIN
    }

    fn compare(&mut self, slope: f64, elapsed_ms: f64) -> Usage {
        let scaled = self.scaled(slope);
        if scaled > self.threshold {
            self.growing_ms += if self.growing == 0 { elapsed_ms / 2.0 } else { elapsed_ms };
            self.growing += 1;
            if self.growing_ms > SUSTAINED_MS && self.growing > 1 && slope >= self.slope {
                (self.growing_ms, self.growing) = (0.0, 0);
                return Usage::Over;
            }
            return Usage::Normal;
        }
        (self.growing_ms, self.growing) = (0.0, 0);
        if scaled < -self.threshold { Usage::Under } else { Usage::Normal }
    }

    fn adapt(&mut self, slope: f64, elapsed_ms: f64) {
        let scaled = self.scaled(slope).abs();
        if scaled > self.threshold + EVENT {
            return;
        }
        let pace = if scaled > self.threshold { UP } else { DOWN };
        let step = pace * (scaled - self.threshold) * elapsed_ms.clamp(0.0, 100.0);
        self.threshold = (self.threshold + step).clamp(LOWEST, HIGHEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends every 20 ms and says when delay was first called growing.
    fn first_over(delays: impl IntoIterator<Item = f64>) -> Option<usize> {
        let (mut trend, mut before) = (Trend::default(), 0.0);
        delays.into_iter().enumerate().position(|(n, delay)| {
            let at = n as f64 * 20.0 + delay;
            let usage = trend.update(at, delay - before, 20.0 + delay - before);
            before = delay;
            usage == Usage::Over
        })
    }

    #[test]
    fn a_growing_queue_is_seen_before_it_is_long() {
        let flat = std::iter::repeat_n(0.0, 100);
        let growing = (0..50).map(|n| f64::from(n) * 15.0);
        let seen = first_over(flat.chain(growing)).unwrap() - 100;
        assert!(seen <= 7, "{} ms of queue", seen * 15);
    }

    #[test]
    fn noise_without_a_trend_is_not_a_queue() {
        let mut seed = 7u64;
        let noise = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as f64 / (1u64 << 31) as f64 * 20.0
        });
        let over = first_over(noise.take(3000));
        assert!(over.is_none(), "{over:?}");
    }
}
