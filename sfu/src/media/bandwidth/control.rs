//! The delay-based rate: multiplicative while the limit is far or unknown, additive near where
//! it was last found, and back to what arrives when a queue grows (draft-ietf-rmcat-gcc-02
//! §5.5). It grows only on proof: what is sent and arrives, or a probe that did.

use super::trend::Usage;

/// What is left of the arriving rate after a decrease, so that the queue drains.
const BETA: f64 = 0.85;

/// Growth in a second while far from the limit.
const GROWTH: f64 = 1.08;

/// The rate may be so much above what arrives. The draft allows 1.5: but most viewers get less
/// than their line takes, for as long as the lesson lasts, and of them nothing more is known.
const UNPROVEN: f64 = 1.25;
/// … or so much more, so that from next to nothing a small picture is found without proof.
const UNPROVEN_LEAST: f64 = 90_000.0;

/// What arrives within a moment may be little because little was sent, so one decrease leaves at
/// least this of what arrived over a second.
const DEEPEST: f64 = 0.35;

/// A path whose queue was gone before a decrease could have done it needed none.
const GONE_MS: f64 = 15.0;

/// A packet as additive growth counts them: half of one for each time a change takes to show.
const PACKET_BITS: f64 = 9600.0;

/// A decrease shows after a round trip; until then another would be for the same queue.
const SETTLE_US: i64 = 100_000;

/// Where the limit was found, as a mean and a deviation over all times it was.
#[derive(Debug, Default)]
struct Limit {
    mean: Option<f64>,
    deviation: f64,
}

impl Limit {
    const WEIGHT: f64 = 0.05;

    fn note(&mut self, rate: f64) {
        if rate < self.bounds().0 {
            *self = Self::default();
        }
        let kilobits = rate / 1e3;
        let mean = match self.mean {
            None => kilobits,
            Some(mean) => mean + Self::WEIGHT * (kilobits - mean),
        };
        let error = kilobits - mean;
        let normal = error * error / mean.max(1.0);
        self.deviation += Self::WEIGHT * (normal - self.deviation);
        self.deviation = self.deviation.clamp(0.4, 2.5);
        self.mean = Some(mean);
    }

    /// Three deviations around the mean, in bit/s.
    fn bounds(&self) -> (f64, f64) {
        let Some(mean) = self.mean else { return (0.0, f64::INFINITY) };
        let around = 3.0 * (self.deviation * mean).sqrt();
        ((mean - around) * 1e3, (mean + around) * 1e3)
    }

    fn exceeded(&mut self, rate: f64) {
        if rate > self.bounds().1 {
            *self = Self::default();
        }
    }
}

/// What arrives, when a verdict is given.
#[derive(Debug, Clone, Copy)]
pub struct Arriving {
    /// Bit/s over the last 150 ms, and over the last second.
    pub recent: Option<f64>,
    pub steady: Option<f64>,
    /// The queue is long.
    pub long_queue: bool,
}

/// The controller.
#[derive(Debug)]
pub struct Control {
    rate: f64,
    limit: Limit,
    /// Where nothing can be proved the rate grows up to this all the same.
    trusted: f64,
    increased_us: Option<i64>,
    /// When it was last lowered to drain a queue, and for whatever reason.
    drained_us: Option<i64>,
    doubted_us: Option<i64>,
    /// When it was lowered to drain a queue, and from what, while that may be taken back.
    undo: Option<(i64, f64)>,
}

impl Control {
    /// Begins at `rate` bit/s.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            limit: Limit::default(),
            trusted: 0.0,
            increased_us: None,
            drained_us: None,
            doubted_us: None,
            undo: None,
        }
    }

    /// Bit/s.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// A queue grew. True when the rate was lowered.
    ///
    /// A long one must drain, whatever it takes. That a short one grew is a doubt only: it lowers
    /// the rate, but not below what arrives. So jitter that looks like a queue can't talk the
    /// rate down to nothing, step by step; a real queue will be long soon.
    pub fn congested(&mut self, arriving: Arriving, round_trip_us: i64, now_us: i64) -> bool {
        let settle = round_trip_us.max(SETTLE_US);
        let settled = |at: Option<i64>| at.is_none_or(|at| now_us - at >= settle);
        let before = self.rate;
        match arriving.recent {
            Some(recent) if arriving.long_queue => {
                if !settled(self.drained_us) {
                    return false;
                }
                self.limit.note(recent);
                let steady = arriving.steady.unwrap_or(recent);
                self.at_most((BETA * recent).max(DEEPEST * steady));
                self.drained_us = Some(now_us);
                self.undo = (self.rate < before).then_some((now_us, before));
            }
            recent => {
                if !settled(self.doubted_us) {
                    return false;
                }
                let arrives = recent.unwrap_or(0.0).max(arriving.steady.unwrap_or(0.0));
                self.at_most((BETA * self.rate).max(arrives));
            }
        }
        self.doubted_us = Some(now_us);
        self.increased_us = None;
        self.rate < before
    }

    /// A packet that had left at `sent_us` met this queue. If that was before the last decrease
    /// and the queue was gone, then it was somebody else's and gone by itself: the decrease is
    /// taken back (as TCP does after a spurious timeout, RFC 4015).
    #[inline]
    pub fn met_queue(&mut self, sent_us: i64, queue_ms: f64) {
        let Some((at_us, before)) = self.undo else { return };
        if sent_us > at_us {
            self.undo = None;
        } else if queue_ms < GONE_MS {
            self.undo = None;
            self.limit = Limit::default();
            self.rate = self.rate.max(before);
        }
    }

    /// No queue grew since the last time.
    pub fn clear(&mut self, usage: Usage, arriving: Arriving, round_trip_us: i64, now_us: i64) {
        if usage == Usage::Under {
            self.increased_us = None;
            return;
        }
        let Some(last) = self.increased_us.replace(now_us) else { return };
        let Some(steady) = arriving.steady else { return };
        self.limit.exceeded(steady);
        let ceiling = (UNPROVEN * steady).max(steady + UNPROVEN_LEAST).max(self.trusted);
        if self.rate >= ceiling {
            return;
        }
        let seconds = ((now_us - last) as f64 / 1e6).clamp(0.0, 1.0);
        let grown = if self.limit.mean.is_some() {
            let response = (round_trip_us + SETTLE_US) as f64 / 1e6;
            self.rate + PACKET_BITS / 2.0 / response * seconds
        } else {
            self.unlimited(seconds)
        };
        self.rate = grown.min(ceiling);
    }

    /// Grows with nothing known of delay: what the receiver reports of loss is all there is.
    pub fn grow(&mut self, seconds: f64) {
        self.rate = self.unlimited(seconds.clamp(0.0, 5.0));
    }

    fn unlimited(&self, seconds: f64) -> f64 {
        self.rate * GROWTH.powf(seconds) + 1_000.0 * seconds
    }

    /// Up to `rate` no proof is asked for from now on.
    pub fn trust(&mut self, rate: f64) {
        self.trusted = rate;
    }

    /// Whether a queue had to drain not longer than `time_us` ago, and nothing showed since that
    /// the line takes more.
    #[must_use]
    pub fn limited_within(&self, time_us: i64, now_us: i64) -> bool {
        self.drained_us.is_some_and(|at| now_us - at < time_us) && self.limit.mean.is_some()
    }

    /// `rate` went through.
    pub fn proved(&mut self, rate: f64) {
        self.limit.exceeded(rate);
        self.rate = self.rate.max(rate);
    }

    /// No more than `rate`.
    pub fn at_most(&mut self, rate: f64) {
        self.rate = self.rate.min(rate);
    }

    /// No less than `rate`.
    pub fn at_least(&mut self, rate: f64) {
        self.rate = self.rate.max(rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: i64 = 50_000;

    fn arriving(rate: f64, queue_ms: f64) -> Arriving {
        Arriving { recent: Some(rate), steady: Some(rate), long_queue: queue_ms > 60.0 }
    }

    fn run(control: &mut Control, from_us: &mut i64, seconds: i64, rate: f64) {
        for _ in 0..seconds * 20 {
            control.clear(Usage::Normal, arriving(rate, 0.0), ROUND_TRIP, *from_us);
            *from_us += 50_000;
        }
    }

    #[test]
    fn it_grows_no_further_than_what_arrives_vouches_for() {
        let (mut control, mut now) = (Control::new(1e6), 0);
        run(&mut control, &mut now, 60, 1e6);
        assert!((1.2e6..=1.26e6).contains(&control.rate()), "{}", control.rate());
        run(&mut control, &mut now, 60, 0.1e6);
        assert!(control.rate() > 1.2e6, "sending little is no reason to go down");
        control.proved(3e6);
        assert!(control.rate() >= 3e6);
    }

    #[test]
    fn what_cannot_be_proved_is_tried_where_it_is_trusted() {
        let (mut control, mut now) = (Control::new(0.6e6), 0);
        control.trust(2.3e6);
        run(&mut control, &mut now, 30, 0.55e6);
        assert!((control.rate() - 2.3e6).abs() < 1.0);
    }

    #[test]
    fn doubts_lower_it_to_what_arrives_and_no_further() {
        let (mut control, mut now) = (Control::new(5e6), 0);
        assert!(control.congested(arriving(2e6, 30.0), ROUND_TRIP, now));
        assert!((control.rate() - 4.25e6).abs() < 1.0);
        assert!(!control.congested(arriving(2e6, 40.0), ROUND_TRIP, 50_000), "too soon");
        for _ in 0..100 {
            now += 200_000;
            control.congested(arriving(2e6, 40.0), ROUND_TRIP, now);
        }
        assert!((control.rate() - 2e6).abs() < 1.0);
    }

    #[test]
    fn a_long_queue_is_drained_at_once() {
        let mut control = Control::new(4e6);
        assert!(control.congested(arriving(0.8e6, 120.0), ROUND_TRIP, 0));
        assert!((control.rate() - 0.68e6).abs() < 1.0);
    }

    #[test]
    fn a_queue_that_was_gone_before_the_decrease_showed_was_not_ours() {
        let mut control = Control::new(4e6);
        control.congested(arriving(0.8e6, 120.0), ROUND_TRIP, 1_000_000);
        control.met_queue(950_000, 110.0);
        assert!(control.rate() < 1e6);
        control.met_queue(970_000, 3.0);
        assert_eq!(control.rate(), 4e6);
        control.congested(arriving(0.8e6, 120.0), ROUND_TRIP, 2_000_000);
        control.met_queue(2_000_001, 90.0);
        control.met_queue(2_100_000, 3.0);
        assert!(control.rate() < 1e6, "the decrease did it");
    }

    #[test]
    fn near_where_the_limit_was_it_grows_by_steps_and_beyond_it_by_factors_again() {
        let (mut control, mut now) = (Control::new(2e6), 0);
        control.congested(arriving(2e6, 100.0), ROUND_TRIP, now);
        let before = control.rate();
        for _ in 0..21 {
            let rate = control.rate();
            control.clear(Usage::Normal, arriving(rate, 0.0), ROUND_TRIP, now);
            now += 50_000;
        }
        let gained = control.rate() - before;
        assert!((25e3..40e3).contains(&gained), "{gained}");
        run(&mut control, &mut now, 2, 2.6e6);
        assert!(control.rate() - before - gained > 200e3);
    }
}
