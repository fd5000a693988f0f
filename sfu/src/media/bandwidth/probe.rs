//! When and how to look for more: a few hundredths of a second of padding on top of the media,
//! at the rate that is hoped for. First a short one, which does little harm where the line is
//! full; where that went through, a longer one at the same rate, since many lines let short
//! bursts pass. Only the second counts. After a failure the next try waits, longer each time.
//!
//! Nothing is probed for that nobody wants.

use super::cluster::Outcome;
use crate::media::ahead;
use std::time::{Duration, Instant};

/// The short probe, and the long one: longer for low rates, which the frames of others disturb
/// more, up to so many bytes.
const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_millis(120);
const LONGEST: Duration = Duration::from_millis(200);
const LONG_BYTES: f64 = 10_000.0;

/// Padding goes out in steps of this.
const STEP: Duration = Duration::from_millis(5);

/// A probe ends at the latest so long after it should have …
const LATEST: Duration = Duration::from_millis(50);
/// … and if less of the padding asked for was sent than this share, then this viewer takes none.
const PADDED: f64 = 0.5;

/// A probe goes so far above what is wanted …
const ABOVE: f64 = 1.05;
/// … and no further above what is known than this, or than the least it is worth going to.
const FURTHEST: f64 = 3.0;
const LEAST: f64 = 300_000.0;
/// Nothing is learned from a probe hardly above the estimate.
const NEAREST: f64 = 1.02;

/// A probe has succeeded if this much of its rate arrived. The short one only has to show that
/// the long one does no harm; a few ms of jitter are much of its length.
const SHORT_SUCCESS: f64 = 0.7;
const LONG_SUCCESS: f64 = 0.85;

/// If less of it arrived than this, the line has hardly more, and there is no hurry to go on.
const WHOLE: f64 = 0.95;

/// Of what arrived of a probe that failed, so much is believed to be there.
const BELIEVED: f64 = 0.95;

/// Wait after the first failure; doubled for each further one, this many times. The longest,
/// 8 s, is how late a line that has recovered is found out.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const DOUBLINGS: u32 = 3;

/// Wait after a success, and after the estimate was lowered.
const NEXT: Duration = Duration::from_millis(250);
const AFTER_CONGESTION: Duration = Duration::from_secs(1);

/// A probe nothing is heard of for so long has failed.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);

/// What more would be of use, in bit/s of everything sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The least with which something gets better.
    pub next: u64,
    /// All that would help.
    pub best: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Short,
    Long,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle { not_before: Instant },
    Sending(Sending),
    Waiting { stage: Stage, rate: f64, until: Instant },
}

#[derive(Debug, Clone, Copy)]
struct Sending {
    stage: Stage,
    rate: f64,
    began: Instant,
    next: Instant,
    /// Bytes of everything so far.
    sent: u64,
    /// Of padding: asked for the last time, when so much had been sent; in all; and sent.
    last: (u64, u64),
    asked: u64,
    padded: u64,
}

impl Sending {
    /// Takes note of what became of the padding that was asked for.
    fn check(&mut self) {
        let (asked, before) = std::mem::take(&mut self.last);
        self.asked += asked;
        self.padded += asked.min(self.sent - before);
    }
}

/// The probing of one path.
#[derive(Debug)]
pub struct Prober {
    state: State,
    id: u8,
    failures: u32,
    unable: bool,
}

impl Prober {
    /// Nothing is being probed.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { state: State::Idle { not_before: now }, id: 0, failures: 0, unable: false }
    }

    /// The probe that packets sent now are part of, media as well as padding; 0 for none.
    #[inline]
    #[must_use]
    pub fn sending(&self) -> u8 {
        if matches!(self.state, State::Sending(_)) { self.id } else { 0 }
    }

    /// Asks for what sending needs of this, before it comes.
    #[inline]
    pub fn fetch(&self) {
        ahead::fetch(&self.state);
        ahead::fetch(&self.id);
    }

    /// The probe whose outcome is awaited.
    #[must_use]
    pub fn awaiting(&self) -> Option<u8> {
        matches!(self.state, State::Waiting { .. }).then_some(self.id)
    }

    /// Whether what was asked for could not be sent the last time: this viewer takes no padding,
    /// or there is nothing to make it from.
    #[must_use]
    pub fn is_unable(&self) -> bool {
        self.unable
    }

    /// Counts a packet sent, of whatever kind.
    #[inline]
    pub fn on_sent(&mut self, bytes: usize) {
        if let State::Sending(sending) = &mut self.state {
            sending.sent += bytes as u64;
        }
    }

    /// How many bytes of padding are to be sent now.
    pub fn poll(&mut self, estimate: u64, wanted: Option<Wanted>, now: Instant) -> usize {
        let Some(wanted) = wanted else {
            if self.sending() != 0 {
                self.state = State::Idle { not_before: now };
            }
            return 0;
        };
        if let State::Waiting { until, .. } = self.state
            && now >= until
        {
            self.failed(now);
        }
        if let State::Idle { not_before } = self.state
            && now >= not_before
        {
            let known = estimate as f64;
            let aim = if self.failures == 0 { wanted.best } else { wanted.next };
            let furthest = (known * FURTHEST).max(LEAST);
            let rate = (aim.max(wanted.next) as f64 * ABOVE).min(furthest);
            if rate > known * NEAREST {
                // The long one of few bytes does no harm without the short one.
                let few = length(Stage::Long, rate) > LONG;
                self.begin(if few { Stage::Long } else { Stage::Short }, rate, now);
            }
        }
        self.padding(now)
    }

    /// When [`Self::poll`] is wanted, as long as the wish lasts; `None` when it is up to the
    /// wish and the estimate.
    #[must_use]
    pub fn next(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Idle { not_before } => (not_before > now).then_some(not_before),
            State::Sending(sending) => Some(sending.next),
            State::Waiting { until, .. } => Some(until),
        }
    }

    /// The awaited outcome. Returns the rate it proves, if it does.
    pub fn on_outcome(&mut self, outcome: Outcome, now: Instant) -> Option<f64> {
        let State::Waiting { stage, rate, .. } = self.state else { return None };
        let Some(arrived) = outcome.arrived else {
            self.failed(now);
            return None;
        };
        let success = if stage == Stage::Short { SHORT_SUCCESS } else { LONG_SUCCESS };
        if arrived < success * outcome.sent.min(rate) {
            self.failed(now);
            return Some(arrived * BELIEVED);
        }
        match stage {
            Stage::Short => {
                self.begin(Stage::Long, rate, now);
                None
            }
            Stage::Long => {
                let proved = arrived.min(outcome.sent);
                if proved < WHOLE * rate {
                    self.failed(now);
                } else {
                    self.failures = 0;
                    self.state = State::Idle { not_before: now + NEXT };
                }
                Some(proved)
            }
        }
    }

    /// The estimate was lowered: no time for probes.
    pub fn on_congestion(&mut self, now: Instant) {
        let until = now + AFTER_CONGESTION;
        let not_before = match self.state {
            State::Idle { not_before } => not_before.max(until),
            _ => until,
        };
        self.state = State::Idle { not_before };
    }

    fn begin(&mut self, stage: Stage, rate: f64, now: Instant) {
        self.id = self.id.checked_add(1).unwrap_or(1);
        self.state = State::Sending(Sending {
            stage,
            rate,
            began: now,
            next: now,
            sent: 0,
            last: (0, 0),
            asked: 0,
            padded: 0,
        });
    }

    fn failed(&mut self, now: Instant) {
        let wait = FIRST_WAIT * (1 << self.failures.min(DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
        self.state = State::Idle { not_before: now + wait };
    }

    fn padding(&mut self, now: Instant) -> usize {
        let State::Sending(probe) = &mut self.state else { return 0 };
        if now < probe.next {
            return 0;
        }
        probe.check();
        probe.next = now + STEP;
        let (length, elapsed) = (length(probe.stage, probe.rate), now - probe.began);
        let bytes_in = |time: Duration| (probe.rate / 8.0 * time.as_secs_f64()) as u64;
        let padding = bytes_in((elapsed + STEP).min(length)).saturating_sub(probe.sent);
        // After a late turn what is missing goes out first, if it can.
        let complete = elapsed >= length && padding <= bytes_in(STEP);
        if complete || elapsed >= length + LATEST {
            if probe.asked > 0 {
                self.unable = (probe.padded as f64) < PADDED * probe.asked as f64;
            }
            let (stage, rate, until) = (probe.stage, probe.rate, now + ANSWER_WITHIN);
            self.state = State::Waiting { stage, rate, until };
            return 0;
        }
        probe.last = (padding, probe.sent);
        padding as usize
    }
}

fn length(stage: Stage, rate: f64) -> Duration {
    match stage {
        Stage::Short => SHORT,
        Stage::Long => {
            Duration::from_secs_f64(LONG_BYTES * 8.0 / rate.max(1.0)).clamp(LONG, LONGEST)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Option<Wanted> = Some(Wanted { next: 1_000_000, best: 2_300_000 });

    /// Polls until the probe is out; returns bytes and time it took.
    fn run(prober: &mut Prober, estimate: u64, now: &mut Instant) -> (usize, Duration) {
        let (began, mut bytes) = (*now, 0);
        loop {
            let padding = prober.poll(estimate, WANTED, *now);
            prober.on_sent(padding);
            bytes += padding;
            if prober.awaiting().is_some() || prober.sending() == 0 {
                return (bytes, *now - began);
            }
            *now = prober.next(*now).unwrap();
        }
    }

    fn outcome(sent: f64, arrived: f64) -> Outcome {
        Outcome { sent, arrived: Some(arrived) }
    }

    #[test]
    fn nothing_is_sent_for_what_nobody_wants_or_is_known_to_fit() {
        let now = Instant::now();
        let mut prober = Prober::new(now);
        assert_eq!(prober.poll(1_000_000, None, now), 0);
        assert_eq!(prober.poll(3_000_000, WANTED, now), 0);
        assert_eq!(prober.sending(), 0);
    }

    #[test]
    fn a_short_probe_then_a_long_one_prove_a_rate() {
        let mut now = Instant::now();
        let mut prober = Prober::new(now);
        let (bytes, took) = run(&mut prober, 1_000_000, &mut now);
        assert_eq!(took, SHORT);
        let rate = bytes as f64 * 8.0 / took.as_secs_f64();
        assert!((2.3e6..2.5e6).contains(&rate), "{rate}");
        assert_eq!(prober.on_outcome(outcome(2.4e6, 2.4e6), now), None);
        let (_, took) = run(&mut prober, 1_000_000, &mut now);
        assert_eq!(took, LONG);
        assert_eq!(prober.on_outcome(outcome(2.4e6, 2.5e6), now), Some(2.4e6));
    }

    #[test]
    fn media_takes_the_place_of_padding() {
        let now = Instant::now();
        let mut prober = Prober::new(now);
        assert!(prober.poll(1_000_000, WANTED, now) > 1400);
        prober.on_sent(10_000);
        assert_eq!(prober.poll(1_000_000, WANTED, now + Duration::from_millis(10)), 0);
    }

    #[test]
    fn failures_make_it_modest_and_slow_but_never_slower_than_eight_seconds() {
        let mut now = Instant::now();
        let mut prober = Prober::new(now);
        for wait in [1, 2, 4, 8, 8, 8] {
            run(&mut prober, 800_000, &mut now);
            let id = prober.awaiting().unwrap();
            assert!(id > 0);
            let learned = prober.on_outcome(outcome(2e6, 0.6e6), now).unwrap();
            assert!((learned - 0.57e6).abs() < 1.0);
            assert_eq!(prober.next(now).unwrap() - now, Duration::from_secs(wait));
            assert_eq!(prober.poll(800_000, WANTED, now), 0);
            now = prober.next(now).unwrap();
        }
        let (bytes, took) = run(&mut prober, 800_000, &mut now);
        assert!((bytes as f64) * 8.0 / took.as_secs_f64() < 1.3e6, "aims lower now");
    }

    #[test]
    fn a_probe_of_few_bytes_is_long_at_once() {
        let mut now = Instant::now();
        let mut prober = Prober::new(now);
        let (_, took) = run(&mut prober, 100_000, &mut now);
        assert!(took > LONG && took <= LONGEST, "{took:?}");
        assert!(prober.on_outcome(outcome(0.3e6, 0.3e6), now).is_some());
    }

    #[test]
    fn where_nothing_can_be_sent_the_probe_ends_all_the_same_and_that_is_known() {
        let mut now = Instant::now();
        let mut prober = Prober::new(now);
        while prober.awaiting().is_none() {
            prober.poll(1_000_000, WANTED, now);
            now += STEP;
        }
        assert!(prober.is_unable());
        now += ANSWER_WITHIN + FIRST_WAIT;
        prober.poll(1_000_000, WANTED, now);
        now = prober.next(now).unwrap();
        run(&mut prober, 1_000_000, &mut now);
        assert!(!prober.is_unable(), "now it could");
    }

    #[test]
    fn congestion_and_silence_end_a_probe() {
        let mut now = Instant::now();
        let mut prober = Prober::new(now);
        assert!(prober.poll(1_000_000, WANTED, now) > 0);
        prober.on_congestion(now);
        assert_eq!((prober.sending(), prober.next(now).unwrap() - now), (0, AFTER_CONGESTION));
        now = prober.next(now).unwrap();
        run(&mut prober, 1_000_000, &mut now);
        now = prober.next(now).unwrap();
        assert_eq!(prober.poll(1_000_000, WANTED, now), 0, "no answer is a failure");
        assert_eq!(prober.next(now).unwrap() - now, FIRST_WAIT);
    }
}
