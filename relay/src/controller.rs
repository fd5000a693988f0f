//! Congestion control for live media on a lossy line, as a pure value: what was sent, acked
//! and lost goes in with the time, a window comes out.
//!
//! quinn's own controllers take every loss for congestion and starve at the 3 % a mobile line
//! loses anyway, or flood when the source doesn't adapt. Live media needs neither the last bit
//! of the line nor to fill its queue: it needs the rate it has, with little delay. So a *rate*
//! is kept, and the window is what that rate puts in flight over the path's shortest round
//! trip plus a small queue. The rate goes down slowly, and only when much is lost for a whole
//! second or the queue stays long; it goes up slowly, and only while it is used.

use crate::path::PathState;
use std::time::{Duration, Instant};

/// How often the rate is decided on.
const STEP: Duration = Duration::from_millis(500);

/// Queue allowed for in the window: what a keyframe may stand in line.
const QUEUE_ALLOWED: Duration = Duration::from_millis(100);

/// Room over the rate, so that the window is not what limits a steady stream.
const HEADROOM: f64 = 1.25;

/// Bytes/s at the start: 2 Mbit/s, a teacher at full quality on the weakest line we serve.
const START_RATE: f64 = 250_000.0;

/// Bytes/s that are always tried: 100 kbit/s, two voices.
const MIN_RATE: f64 = 12_500.0;

/// Bytes/s over which nothing of ours goes: 1 Gbit/s.
const MAX_RATE: f64 = 125_000_000.0;

/// One step up, and one step up as long as nothing has ever gone wrong.
const UP: f64 = 1.05;
const UP_AT_START: f64 = 1.5;

/// One step down.
const DOWN: f64 = 0.9;

/// Share of the rate that must have been used for a step up: an idle sender learns nothing.
const USED: f64 = 0.5;

/// Lost share of a second's bytes over which it is congestion. Village 4G loses 3 % in bursts.
const LOSS_LIMIT: f64 = 0.10;

/// Round trip over its minimum: here the line is full, and not pushed further ...
const QUEUE_FULL: Duration = Duration::from_millis(50);
/// ... and here, for [`CROWDED_STEPS`], we or another are too fast.
const QUEUE_LIMIT: Duration = Duration::from_millis(100);
const CROWDED_STEPS: u32 = 2;

/// The minimum round trip is that of the last one to two such spans: a path that moved from
/// cable to 5G is not measured against the cable for ever.
const MIN_RTT_SPAN: Duration = Duration::from_secs(15);

/// Assumed before the first acknowledgement.
const UNKNOWN_RTT: Duration = Duration::from_millis(100);

/// No acknowledgement for this long (or three round trips) with bytes in flight is an outage.
const OUTAGE: Duration = Duration::from_secs(1);

/// Bytes/s by which the window grows in an outage: enough for audio to be tried, whose first
/// packet to get through ends the outage. A fixed window stays full of lost bytes, and QUIC's
/// own probes are tens of seconds apart by then.
const TRICKLE: f64 = 16_000.0;

/// Room given at once when an outage ends, and for how long.
const RESTART_ROOM: u64 = 20_000;
const RESTART: Duration = Duration::from_millis(500);

/// Datagrams that may always be in flight.
const MIN_DATAGRAMS: u64 = 4;

/// The congestion controller's state for one path.
#[derive(Debug, Clone)]
pub struct MediaController {
    mtu: u64,
    /// Bytes/s.
    rate: f64,
    /// Nothing has gone wrong yet.
    starting: bool,
    step: Step,
    last_step: Step,
    /// Steps in a row with a long queue.
    crowded: u32,
    min_rtt: MinRtt,
    /// Shortest round trip among the acknowledgements being handed in.
    batch_rtt: Option<Duration>,
    /// Since when bytes are in flight without any acknowledgement.
    waiting_since: Option<Instant>,
    sent_since_ack: u64,
    restart: Option<Restart>,
    /// Losses of packets sent before this are an outage's, not congestion's.
    forgiven_before: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    began: Instant,
    sent: u64,
    acked: u64,
    lost: u64,
    /// Shortest round trip: a queue that stays shows in it, a burst does not.
    rtt: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Restart {
    until: Instant,
    window: u64,
}

#[derive(Debug, Clone, Copy)]
struct MinRtt {
    began: Instant,
    this: Option<Duration>,
    before: Option<Duration>,
}

impl Step {
    fn begin(began: Instant) -> Self {
        Self { began, sent: 0, acked: 0, lost: 0, rtt: None }
    }
}

impl MinRtt {
    fn sample(&mut self, now: Instant, rtt: Duration) {
        if now.saturating_duration_since(self.began) >= MIN_RTT_SPAN {
            *self = Self { began: now, this: None, before: self.this };
        }
        self.this = Some(self.this.map_or(rtt, |m| m.min(rtt)));
    }

    fn get(&self) -> Option<Duration> {
        self.this.into_iter().chain(self.before).min()
    }
}

impl MediaController {
    /// A controller of a new path; `mtu` in bytes.
    #[must_use]
    pub fn new(now: Instant, mtu: u16) -> Self {
        Self {
            mtu: u64::from(mtu),
            rate: START_RATE,
            starting: true,
            step: Step::begin(now),
            last_step: Step::begin(now),
            crowded: 0,
            min_rtt: MinRtt { began: now, this: None, before: None },
            batch_rtt: None,
            waiting_since: None,
            sent_since_ack: 0,
            restart: None,
            forgiven_before: None,
        }
    }

    /// The rate the window is made for, in bytes/s.
    #[cfg(test)]
    fn rate(&self) -> f64 {
        self.rate
    }

    /// What is known of the path.
    #[must_use]
    pub fn state(&self) -> PathState {
        let min_rtt = self.min_rtt.get().unwrap_or_default();
        let rtt = self.step.rtt.or(self.last_step.rtt).unwrap_or(min_rtt);
        let lost = self.step.lost + self.last_step.lost;
        let known = self.step.acked + self.last_step.acked + lost;
        let loss = if known == 0 { 0.0 } else { lost as f64 / known as f64 };
        PathState {
            estimate: (self.rate * 8.0) as u64,
            delivered: self.last_step.acked * 16,
            rtt,
            min_rtt,
            queue: rtt.saturating_sub(min_rtt),
            loss,
            reachable: true,
        }
    }

    /// Bytes that may be in flight at `now`. Never zero.
    #[must_use]
    pub fn window(&self, now: Instant) -> u64 {
        let base = self.base_window();
        if let Some(silence) = self.outage(now) {
            return base + (silence.as_secs_f64() * TRICKLE) as u64;
        }
        match self.restart {
            Some(restart) if now < restart.until => base.max(restart.window),
            _ => base,
        }
    }

    /// `bytes` were sent.
    pub fn on_sent(&mut self, now: Instant, bytes: u64) {
        self.end_step(now);
        self.step.sent += bytes;
        self.sent_since_ack += bytes;
        // Acknowledgements of our own are sent too and never acked. Half a window of bytes
        // without an answer is more than those.
        if self.sent_since_ack > self.base_window() / 2 {
            self.waiting_since.get_or_insert(now);
        }
    }

    /// A packet of `bytes` that was sent at `sent` is acknowledged.
    pub fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64) {
        let rtt = now.saturating_duration_since(sent);
        self.batch_rtt = Some(self.batch_rtt.map_or(rtt, |m| m.min(rtt)));
        self.step.acked += bytes;
    }

    /// All acknowledgements that came together are handed in; `in_flight` bytes remain.
    pub fn on_acks_end(&mut self, now: Instant, in_flight: u64) {
        let rtt = self.batch_rtt.take();
        if self.outage(now).is_some() {
            // The round trip just seen is the outage's length.
            self.forgiven_before = Some(now);
            self.restart = Some(Restart { until: now + RESTART, window: in_flight + RESTART_ROOM });
            self.step = Step::begin(now);
            self.last_step = Step::begin(now);
            self.crowded = 0;
        } else {
            if let Some(rtt) = rtt {
                self.min_rtt.sample(now, rtt);
                self.step.rtt = Some(self.step.rtt.map_or(rtt, |m| m.min(rtt)));
            }
            if let Some(restart) = &mut self.restart {
                restart.window = restart.window.min(in_flight + RESTART_ROOM);
            }
        }
        self.waiting_since = (in_flight > 0).then_some(now);
        self.sent_since_ack = 0;
        self.end_step(now);
    }

    /// `bytes` are lost, the last of them sent at `sent`.
    pub fn on_lost(&mut self, now: Instant, sent: Instant, bytes: u64) {
        self.end_step(now);
        if let Some(restart) = &mut self.restart {
            restart.window = restart.window.saturating_sub(bytes);
        }
        if self.forgiven_before.is_none_or(|t| sent > t) {
            self.step.lost += bytes;
        }
    }

    /// The path's MTU is `mtu` bytes now.
    pub fn on_mtu(&mut self, mtu: u16) {
        self.mtu = u64::from(mtu);
    }

    fn base_window(&self) -> u64 {
        let span = self.min_rtt.get().unwrap_or(UNKNOWN_RTT) + QUEUE_ALLOWED;
        let window = self.rate * span.as_secs_f64() * HEADROOM;
        (window as u64).max(MIN_DATAGRAMS * self.mtu)
    }

    /// How long the outage has lasted at `now`, if there is one.
    fn outage(&self, now: Instant) -> Option<Duration> {
        let silence = now.saturating_duration_since(self.waiting_since?);
        let patience = OUTAGE.max(3 * self.min_rtt.get().unwrap_or(UNKNOWN_RTT));
        (silence > patience).then_some(silence)
    }

    fn end_step(&mut self, now: Instant) {
        let lasted = now.saturating_duration_since(self.step.began);
        if lasted < STEP || self.outage(now).is_some() {
            return;
        }
        let lost = self.step.lost + self.last_step.lost;
        let known = self.step.acked + self.last_step.acked + lost;
        let loss = if known == 0 { 0.0 } else { lost as f64 / known as f64 };
        let queue = match (self.step.rtt, self.min_rtt.get()) {
            (Some(rtt), Some(min)) => rtt.saturating_sub(min),
            _ => Duration::ZERO,
        };
        self.crowded = if queue > QUEUE_LIMIT { self.crowded + 1 } else { 0 };
        let used = self.step.sent as f64 >= self.rate * USED * lasted.as_secs_f64();
        if loss > LOSS_LIMIT || self.crowded >= CROWDED_STEPS {
            self.rate *= DOWN;
            self.starting = false;
        } else if queue > QUEUE_FULL {
            self.starting = false;
        } else if used {
            self.rate *= if self.starting { UP_AT_START } else { UP };
        }
        self.rate = self.rate.clamp(MIN_RATE, MAX_RATE);
        self.last_step = std::mem::replace(&mut self.step, Step::begin(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RTT: Duration = Duration::from_millis(80);
    const TICK: Duration = Duration::from_millis(10);

    /// A sender of `rate` bytes/s over a path, a tick at a time.
    struct Story {
        controller: MediaController,
        now: Instant,
    }

    impl Story {
        fn new() -> Self {
            let now = Instant::now();
            Self { controller: MediaController::new(now, 1200), now }
        }

        /// Sends at `rate` bytes/s for `seconds`; of 100 bytes `lost` are lost, the rest is
        /// acked after `rtt`.
        fn send(&mut self, seconds: f64, rate: f64, lost: u64, rtt: Duration) -> &mut Self {
            let bytes = (rate * TICK.as_secs_f64()) as u64;
            for _ in 0..(seconds / TICK.as_secs_f64()) as u64 {
                self.now += TICK;
                let sent = self.now - rtt;
                self.controller.on_sent(self.now, bytes);
                self.controller.on_ack(self.now, sent, bytes * (100 - lost) / 100);
                self.controller.on_acks_end(self.now, bytes);
                if lost > 0 {
                    self.controller.on_lost(self.now, sent, bytes * lost / 100);
                }
            }
            self
        }

        /// Sends and hears nothing.
        fn silence(&mut self, seconds: f64, rate: f64) -> &mut Self {
            let bytes = (rate * TICK.as_secs_f64()) as u64;
            for _ in 0..(seconds / TICK.as_secs_f64()) as u64 {
                self.now += TICK;
                self.controller.on_sent(self.now, bytes);
            }
            self
        }

        fn window(&self) -> u64 {
            self.controller.window(self.now)
        }
    }

    #[test]
    fn a_lossy_line_is_no_reason_to_slow_down() {
        let mut story = Story::new();
        story.send(20.0, START_RATE, 3, RTT);
        assert!(story.controller.rate() >= START_RATE);
    }

    #[test]
    fn heavy_loss_for_a_second_takes_a_tenth_off_each_step() {
        let mut story = Story::new();
        story.send(2.0, 0.1 * START_RATE, 0, RTT);
        let before = story.controller.rate();
        story.send(1.0, 0.1 * START_RATE, 30, RTT);
        let after = story.controller.rate();
        assert!((after / before - DOWN * DOWN).abs() < 1e-9, "{after} after {before}");
    }

    #[test]
    fn a_queue_that_stays_slows_down_and_one_that_passes_does_not() {
        let long = RTT + QUEUE_LIMIT + Duration::from_millis(20);
        let mut story = Story::new();
        story.send(2.0, 0.1 * START_RATE, 0, RTT);
        let before = story.controller.rate();
        story.send(0.4, 0.1 * START_RATE, 0, long).send(0.6, 0.1 * START_RATE, 0, RTT);
        assert_eq!(story.controller.rate(), before);
        story.send(2.0, 0.1 * START_RATE, 0, long);
        assert!(story.controller.rate() < before);
    }

    #[test]
    fn an_idle_sender_learns_nothing() {
        let mut story = Story::new();
        story.send(30.0, 0.3 * START_RATE, 0, RTT);
        assert_eq!(story.controller.rate(), START_RATE);
    }

    #[test]
    fn a_used_rate_grows_fast_at_first_and_by_a_twentieth_after_trouble() {
        let mut story = Story::new();
        story.send(2.6, 10.0 * START_RATE, 0, RTT);
        let fast = story.controller.rate();
        assert!(fast > 4.0 * START_RATE, "{fast}");
        story.send(1.1, 10.0 * START_RATE, 30, RTT).send(1.1, 10.0 * START_RATE, 0, RTT);
        let before = story.controller.rate();
        story.send(0.5, 10.0 * START_RATE, 0, RTT);
        assert!((story.controller.rate() / before - UP).abs() < 1e-9);
    }

    #[test]
    fn in_an_outage_the_window_opens_a_little_so_that_audio_is_tried() {
        let mut story = Story::new();
        let before = story.send(2.0, START_RATE, 0, RTT).window();
        story.silence(0.9, START_RATE);
        assert_eq!(story.window(), before);
        story.silence(9.1, 0.0);
        let grown = story.window() - before;
        assert!((140_000..=165_000).contains(&grown), "{grown}");
    }

    #[test]
    fn after_an_outage_it_goes_on_as_before() {
        let mut story = Story::new();
        story.send(2.0, 0.3 * START_RATE, 0, RTT);
        let (rate, window) = (story.controller.rate(), story.window());
        let cut = story.now;
        story.silence(20.0, 16_000.0);
        // The first packet through, 200 kB of lost bytes still counted as in flight.
        let now = story.now;
        story.controller.on_ack(now, now - Duration::from_secs(1), 1200);
        story.controller.on_acks_end(now, 200_000);
        assert_eq!(story.window(), 220_000);
        story.controller.on_lost(now, cut, 200_000);
        assert_eq!(story.window(), window, "the room is not given twice");
        story.send(2.0, 0.3 * START_RATE, 0, RTT);
        assert_eq!((story.controller.rate(), story.window()), (rate, window));
    }

    #[test]
    fn a_path_that_became_longer_is_measured_anew() {
        let mut story = Story::new();
        story.send(5.0, 0.1 * START_RATE, 0, Duration::from_millis(10));
        let longer = Duration::from_millis(200);
        story.send(40.0, 0.1 * START_RATE, 0, longer);
        let settled = story.controller.rate();
        story.send(10.0, 0.1 * START_RATE, 0, longer);
        assert!(story.controller.rate() >= settled);
        assert_eq!(story.controller.min_rtt.get(), Some(longer));
    }

    #[derive(Debug, Clone)]
    enum Happens {
        Sent(u32),
        Acked(u16, u32),
        Ends(u32),
        Lost(u16, u32),
        Mtu(u16),
    }

    fn happens() -> impl Strategy<Value = (u16, Happens)> {
        let what = prop_oneof![
            (0u32..200_000).prop_map(Happens::Sent),
            (0u16..5000, 0u32..100_000).prop_map(|(age, bytes)| Happens::Acked(age, bytes)),
            (0u32..2_000_000).prop_map(Happens::Ends),
            (0u16..5000, 0u32..100_000).prop_map(|(age, bytes)| Happens::Lost(age, bytes)),
            (1200u16..1500).prop_map(Happens::Mtu),
        ];
        (0u16..3000, what)
    }

    proptest! {
        #[test]
        fn the_window_is_never_shut_nor_boundless(story in prop::collection::vec(happens(), 0..300)) {
            let mut now = Instant::now() + Duration::from_secs(10);
            let mut controller = MediaController::new(now, 1200);
            for (wait, what) in story {
                now += Duration::from_millis(wait.into());
                let ago = |ms: u16| now - Duration::from_millis(ms.into());
                match what {
                    Happens::Sent(bytes) => controller.on_sent(now, bytes.into()),
                    Happens::Acked(age, bytes) => controller.on_ack(now, ago(age), bytes.into()),
                    Happens::Ends(in_flight) => controller.on_acks_end(now, in_flight.into()),
                    Happens::Lost(age, bytes) => controller.on_lost(now, ago(age), bytes.into()),
                    Happens::Mtu(mtu) => controller.on_mtu(mtu),
                }
                prop_assert!((MIN_RATE..=MAX_RATE).contains(&controller.rate()));
                let window = controller.window(now);
                prop_assert!(window >= MIN_DATAGRAMS * 1200);
                // Rate, the longest round trip above and an outage of the story's length.
                prop_assert!(window < (MAX_RATE * 5.1 * HEADROOM) as u64 + 900 * 16_000);
            }
        }

        #[test]
        fn whatever_went_before_a_good_line_is_used_again(
            story in prop::collection::vec(happens(), 0..200),
        ) {
            let mut now = Instant::now() + Duration::from_secs(10);
            let mut controller = MediaController::new(now, 1200);
            for (wait, what) in story {
                now += Duration::from_millis(wait.into());
                if let Happens::Lost(_, bytes) = what {
                    controller.on_ack(now, now, 1);
                    controller.on_acks_end(now, 1);
                    controller.on_lost(now, now, bytes.into());
                }
            }
            let mut story = Story { controller, now };
            story.send(120.0, START_RATE, 1, RTT);
            prop_assert!(story.controller.rate() >= START_RATE);
        }
    }
}
