//! Congestion control for live media on a lossy and shared line, as a pure value: what was
//! sent, acked and lost goes in with the time, a rate and a window come out.
//!
//! quinn's own controllers take every loss for congestion and starve at the 3 % a mobile line
//! loses anyway, or flood when the source doesn't adapt. Live media needs neither the last bit
//! of the line nor to fill its queue: it needs the rate it has, with little delay. So a *rate*
//! is kept, that of the line as it showed when we last filled it:
//!
//! - **Alone** (or among others who behave like us) a queue that stays is the sign of too much.
//!   The rate becomes nine tenths of what arrives, and the queue is let drain. Without a queue,
//!   and only while it is used, the rate climbs: by the same few kbit/s each second for
//!   everyone, which is what makes several trunks equal, and faster the longer it goes well.
//! - **Sharing** with a download that fills any queue, a queue says nothing: when it does not
//!   drain although we send less than arrives, somebody else keeps it full. Then loss above the
//!   line's usual is the sign, as it is for the download, until the queue is seen empty.
//! - Loss alone is congestion only when it is far above what the line always loses.
//! - What is not sent is not known, so the controller asks for padding when more is wanted than
//!   it has seen the line carry.

mod climbing;
mod meter;
mod min_rtt;
mod outage;
mod sharing;
mod signs;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use crate::path::{Orders, PathState};
use climbing::{PROBE_AGAIN, USED};
use meter::Meter;
use min_rtt::{Minimum, SPAN};
use outage::Outage;
use sharing::{HELD_FOR, LESS, SHARING_HEAVY_LOSS, SHARING_KEEP, SHARING_STEADY_LOSS};
use signs::LOSS_SPAN;
use std::time::{Duration, Instant};

/// How often the rate is decided on.
const STEP: Duration = Duration::from_millis(100);

/// Bytes/s at the start: 3 Mbit/s, room for a teacher at full quality and the keyframe that is
/// first. A line that is narrower says so within half a second.
const START_RATE: f64 = 375_000.0;

/// Bytes/s that are always tried: 100 kbit/s, two voices.
const MIN_RATE: f64 = 12_500.0;

/// Bytes/s over which nothing of ours goes: 1 Gbit/s.
const MAX_RATE: f64 = 125_000_000.0;

/// Queue allowed for in the window: what a keyframe may stand in line.
const QUEUE_ALLOWED: Duration = Duration::from_millis(100);

/// Room over the rate, so that the window is not what limits a steady stream.
const HEADROOM: f64 = 1.25;

/// The shortest round trip of so long says how long the queue is that stays: longer than the
/// burst a keyframe makes, shorter than anybody notices.
const QUEUE_SPAN: Duration = Duration::from_millis(250);

/// Rates are measured over this, or a round trip: fifteen frames.
const RATE_SPAN: Duration = Duration::from_millis(500);

/// Share of the arriving rate that is kept after a sign of too much ...
const KEEP: f64 = 0.9;

/// ... and what is sent while the queue drains, which tells whose queue it is: of 100 ms a lone
/// sender gets rid in a third of a second.
const DRAIN: f64 = 0.7;
const DRAIN_LASTS: Duration = Duration::from_millis(1000);

/// When a line has become a narrow one, sound alone is sent until the queue is gone, but no longer
/// than this: a picture would come too late, and make late what comes after it.
const DRAIN_ALONE: Duration = Duration::from_millis(600);

/// Less than this share of what was sent is left then.
const FELL: f64 = 0.5;

/// Less than this share of what was sent arrives: the line is full, and full of us.
const SQUEEZED: f64 = 0.93;

/// Loss is remembered so long.
const STEADY: Duration = Duration::from_secs(10);

/// Assumed before the first acknowledgement.
const UNKNOWN_RTT: Duration = Duration::from_millis(100);

/// Datagrams that may always be in flight.
const MIN_DATAGRAMS: u64 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing has gone wrong yet.
    Starting,
    Alone,
    Sharing,
}

/// The queue is being let drain.
#[derive(Debug, Clone, Copy)]
struct Drain {
    until: Instant,
    /// Bytes/s that may be sent meanwhile.
    rate: f64,
    /// Bytes/s that have arrived since, while the queue stood: what the line carries.
    shown: f64,
}

/// Padding is being sent.
#[derive(Debug, Clone, Copy)]
struct Probe {
    /// Bytes/s sent before it.
    base: f64,
    /// Bytes/s filled up to.
    level: f64,
}

/// What the last steps have seen.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    queue: Duration,
    rtt: Duration,
    /// Bytes/s, of the same packets.
    sent: f64,
    delivered: f64,
    loss: f64,
}

/// The congestion controller's state for one path.
#[derive(Debug, Clone)]
pub struct MediaController {
    mtu: u64,
    /// Bytes/s.
    rate: f64,
    /// Bytes/s that could be used; 0 when nobody has said.
    want: f64,
    mode: Mode,
    meter: Meter,
    min_rtt: Minimum<Duration>,
    /// The least loss of a second, in millionths: what the line always loses.
    usual_loss: Minimum<u32>,
    /// The most that arrived in half a second lately, as its negative in bytes/s.
    best: Minimum<i64>,
    outage: Outage,
    /// When this path began, and the meter.
    born: Instant,
    began: Instant,
    stepped: Instant,
    /// Losses of packets sent before this were of a faster line.
    forgiven_before: Option<Instant>,
    /// When there was last much less than before.
    fell: Option<Instant>,
    /// Shortest round trip among the acknowledgements being handed in.
    batch_rtt: Option<Duration>,
    /// The newest of them show a queue.
    rising: bool,
    seen: Seen,
    /// When a queue was last too long.
    crowded_at: Option<Instant>,
    /// Share lost, over many seconds.
    steady_loss: f64,
    /// Seconds of climbing since the last sign of too much.
    climbing: f64,
    backed_off: Instant,
    drain: Option<Drain>,
    /// What arrived when there was last too much, in bytes/s.
    carried: f64,
    /// How often lately the queue was somebody else's, 0..1.
    foreign: f64,
    shared_since: Instant,
    /// Bytes/s held while sharing, and a fair share.
    held: f64,
    fair: f64,
    probe: Option<Probe>,
    next_probe: Instant,
    probe_again: Duration,
    /// Bytes that may be in flight while nothing is wrong; follows from all the above.
    base_window: u64,
}

impl MediaController {
    /// A controller of a new path; `mtu` in bytes.
    #[must_use]
    pub fn new(now: Instant, mtu: u16) -> Self {
        let mut controller = Self {
            mtu: u64::from(mtu),
            rate: START_RATE,
            want: 0.0,
            mode: Mode::Starting,
            meter: Meter::new(now),
            min_rtt: Minimum::new(now, SPAN),
            usual_loss: Minimum::new(now, SPAN / 2),
            best: Minimum::new(now, SPAN),
            outage: Outage::default(),
            born: now,
            began: now,
            stepped: now,
            forgiven_before: None,
            fell: None,
            batch_rtt: None,
            rising: false,
            seen: Seen::default(),
            crowded_at: None,
            steady_loss: 0.0,
            climbing: 0.0,
            backed_off: now,
            drain: None,
            carried: f64::INFINITY,
            foreign: 0.0,
            shared_since: now,
            held: 0.0,
            fair: 0.0,
            probe: None,
            next_probe: now,
            probe_again: PROBE_AGAIN,
            base_window: 0,
        };
        controller.settle();
        controller
    }

    /// What is known of the path.
    #[must_use]
    pub fn state(&self) -> PathState {
        PathState {
            estimate: (self.rate * 8.0) as u64,
            delivered: (self.seen.delivered * 8.0) as u64,
            rtt: self.seen.rtt,
            min_rtt: self.min_rtt.get().unwrap_or_default(),
            queue: self.seen.queue,
            loss: self.seen.loss,
            shared: self.mode == Mode::Sharing,
            reachable: true,
        }
    }

    /// What the sender is to do.
    #[must_use]
    pub fn orders(&self) -> Orders {
        Orders {
            send_rate: self.send_rate(),
            pad_to: self.pad_to(),
            steady_loss: self.steady_loss(),
            shared: self.mode == Mode::Sharing,
            rising: self.rising,
            draining: self.drains_alone(),
        }
    }

    /// Whether the line has just become a narrow one, and is to get rid of what it was given
    /// before.
    fn drains_alone(&self) -> bool {
        let lately = |fell| self.stepped.saturating_duration_since(fell) < DRAIN_ALONE;
        self.drain.is_some() && self.seen.queue > self.low() && self.fell.is_some_and(lately)
    }

    /// Bytes/s that could be used if the line had them; 0 when nobody has said.
    pub fn on_want(&mut self, bytes_per_second: f64) {
        self.want = bytes_per_second.clamp(0.0, MAX_RATE);
    }

    /// Bytes/s that may be sent now: the rate, or less while a queue drains.
    #[must_use]
    pub fn send_rate(&self) -> f64 {
        self.drain.map_or(self.rate, |drain| drain.rate.min(self.rate))
    }

    /// Share of packets lost, 0..1, over ten seconds: what the line does, not what happens on it.
    #[must_use]
    pub fn steady_loss(&self) -> f64 {
        match self.mode {
            Mode::Sharing => self.steady_loss.max(SHARING_STEADY_LOSS),
            Mode::Starting | Mode::Alone => self.steady_loss,
        }
    }

    /// Bytes/s to fill up to with padding; 0 for none.
    #[must_use]
    pub fn pad_to(&self) -> f64 {
        self.probe.map_or(0.0, |probe| probe.level)
    }

    /// Bytes that may be in flight at `now`. Never zero.
    #[must_use]
    pub fn window(&self, now: Instant) -> u64 {
        self.outage.window(now, self.base_rtt(), self.base_window)
    }

    /// The window without what the time may add to it, where no more than half of that is in
    /// flight: whatever is added makes no difference then.
    #[must_use]
    pub fn roomy_window(&self) -> Option<u64> {
        (self.outage.in_flight() <= self.base_window / 2).then_some(self.base_window)
    }

    /// `bytes` were sent.
    pub fn on_sent(&mut self, now: Instant, bytes: u64) {
        self.step(now);
        self.meter.sent(now, bytes);
        self.outage.on_sent(now, bytes, self.base_window);
    }

    /// A packet of `bytes` that was sent at `sent` is acknowledged.
    pub fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64) {
        let rtt = now.saturating_duration_since(sent);
        self.batch_rtt = Some(self.batch_rtt.map_or(rtt, |m| m.min(rtt)));
        self.meter.acked(now, bytes);
    }

    /// All acknowledgements that came together are handed in; `in_flight` bytes remain.
    pub fn on_acks_end(&mut self, now: Instant, in_flight: u64) {
        let rtt = self.batch_rtt.take();
        let queue = rtt.map(|rtt| rtt.saturating_sub(self.base_rtt()));
        self.rising = self.mode != Mode::Sharing && queue.is_some_and(|queue| queue > self.low());
        if self.outage.on_acks(now, in_flight, self.base_rtt(), self.base_window) {
            // The round trip just seen is the outage's length, and so is everything measured.
            self.meter = Meter::new(now);
            self.began = now;
            self.stepped = now;
            self.drain = None;
            self.probe = None;
            self.next_probe = now + PROBE_AGAIN;
        } else if let Some(rtt) = rtt {
            if self.mode == Mode::Sharing {
                // The queue is never seen empty then, and the old minimum remains true.
                self.min_rtt.lower(rtt);
            } else {
                self.min_rtt.sample(now, rtt);
            }
            self.meter.rtt(now, rtt);
        }
        self.step(now);
        self.settle();
    }

    /// `bytes` are lost, the last of them sent at `sent`.
    pub fn on_lost(&mut self, now: Instant, sent: Instant, bytes: u64) {
        self.step(now);
        let counts = self.outage.on_lost(sent, bytes);
        if counts && self.forgiven_before.is_none_or(|before| sent > before) {
            self.meter.lost(now, bytes);
        }
    }

    /// The path's MTU is `mtu` bytes now.
    pub fn on_mtu(&mut self, mtu: u16) {
        self.mtu = u64::from(mtu);
        self.settle();
    }

    /// The packets take another way from now on, as after a change of address.
    pub fn on_new_way(&mut self, now: Instant) {
        self.min_rtt = Minimum::new(now, SPAN);
        self.meter = Meter::new(now);
        self.began = now;
        self.drain = None;
        self.alone_again();
        self.settle();
    }

    fn base_rtt(&self) -> Duration {
        self.min_rtt.get().unwrap_or(UNKNOWN_RTT)
    }

    /// Works out the window anew.
    fn settle(&mut self) {
        let round = match self.mode {
            Mode::Sharing => self.base_rtt().max(self.seen.rtt),
            Mode::Starting | Mode::Alone => self.base_rtt(),
        };
        let window = self.send_rate() * (round + QUEUE_ALLOWED).as_secs_f64() * HEADROOM;
        self.base_window = (window as u64).max(MIN_DATAGRAMS * self.mtu);
    }

    fn step(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.stepped);
        if passed >= STEP && self.outage.lasts(now, self.base_rtt()).is_none() {
            self.take_step(now, passed);
            self.settle();
        }
    }

    fn take_step(&mut self, now: Instant, passed: Duration) {
        self.stepped = now;
        self.meter.advance(now);
        self.look(now);
        // What has been under way for less than a round trip says nothing yet.
        if now.saturating_duration_since(self.began) < RATE_SPAN + self.seen.rtt {
            return;
        }
        let seconds = passed.min(2 * STEP).as_secs_f64();
        self.tell_whose(now);
        let pause = QUEUE_SPAN + self.seen.rtt;
        let paused = now.saturating_duration_since(self.backed_off) > pause;
        if paused && !self.drains_alone() && self.collapsed() {
            return self.back_off(now, true);
        }
        if let Some(drain) = self.drain {
            return self.watch_drain(now, drain);
        }
        let too_much = match self.mode {
            Mode::Sharing => self.sharing_too_much(now),
            Mode::Starting | Mode::Alone => {
                self.crowded() && !self.maybe_foreign() || self.drowning()
            }
        };
        if too_much {
            self.back_off(now, false);
        } else if self.mode == Mode::Sharing || self.seen.queue <= self.low() {
            self.climb(seconds);
        } else if self.mode == Mode::Starting {
            self.mode = Mode::Alone;
        }
        self.try_padding(now, seconds);
    }

    fn back_off(&mut self, now: Instant, collapsed: bool) {
        let sent = self.seen.sent;
        let before = sent.min(self.send_rate());
        let delivered = if collapsed {
            self.meter.last(QUEUE_SPAN, Duration::ZERO).delivery_rate()
        } else {
            self.seen.delivered
        };
        let sharing = self.mode == Mode::Sharing;
        let idle = sent < USED * self.rate;
        self.rate = if collapsed || (!sharing && delivered < SQUEEZED * sent) {
            // The line is full, and this is what it has for us.
            KEEP * delivered.min(self.rate)
        } else if sharing {
            let loss = self.meter.last(LOSS_SPAN, Duration::ZERO).loss();
            if loss > self.usual() + SHARING_HEAVY_LOSS {
                self.held *= SHARING_KEEP;
            }
            (SHARING_KEEP * self.rate).max(self.held)
        } else if idle {
            // It is not we who are too fast.
            (KEEP * self.rate).max(sent)
        } else {
            KEEP * self.rate
        };
        if let Some(probe) = self.probe.take() {
            // What was carried before the padding is carried still.
            if !collapsed {
                self.rate = self.rate.max(probe.base.min(delivered));
            }
            self.end_probe(now, probe.base);
        }
        self.next_probe = now + self.probe_again;
        let lately = now.saturating_duration_since(self.shared_since) < HELD_FOR;
        if lately && !collapsed && delivered >= SQUEEZED * sent {
            self.rate = self.rate.max(self.held);
        }
        self.rate = self.rate.clamp(MIN_RATE, MAX_RATE);
        self.climbing = 0.0;
        self.backed_off = now;
        if self.mode == Mode::Starting {
            self.mode = Mode::Alone;
        }
        if collapsed {
            // What was sent at the old rate is no sign that the new one is too much.
            self.meter.forgive();
            self.forgiven_before = Some(now);
            if self.rate < FELL * before {
                self.fell = Some(now);
                self.outage.on_fall(now, self.base_rtt() + self.seen.queue);
            }
        }
        if !sharing {
            let rate = (DRAIN * delivered).max(MIN_RATE);
            if delivered < SQUEEZED * sent || sent >= LESS * self.carried {
                self.carried = delivered;
            }
            self.drain = Some(Drain { until: now + self.seen.rtt + DRAIN_LASTS, rate, shown: 0.0 });
        }
    }

    /// Ends a drain when the queue is gone, or does not go.
    fn watch_drain(&mut self, now: Instant, mut drain: Drain) {
        if self.seen.queue <= self.low() {
            self.drain = None;
            self.rate = self.rate.max(KEEP * drain.shown);
            if self.mode == Mode::Sharing {
                self.alone_again();
            }
            return;
        }
        let since = now.saturating_duration_since(self.backed_off);
        if self.mode != Mode::Sharing && since >= QUEUE_SPAN {
            drain.shown = self.meter.last(since, Duration::ZERO).delivery_rate();
            self.drain = Some(drain);
        }
        let in_vain = self.mode != Mode::Sharing && self.maybe_foreign();
        if now >= drain.until || in_vain {
            self.drain = None;
            if self.mode == Mode::Sharing {
                self.shared_since = now;
            }
        }
    }
}
