//! Whose queue it is, and how a line is shared with a download that keeps it full: by the
//! losses that show it is, with a share that is held and one that is fair.

use super::climbing::USED;
use super::meter::Sums;
use super::{
    DRAIN_LASTS, Drain, MAX_RATE, MIN_RATE, MediaController, Mode, QUEUE_SPAN, RATE_SPAN, SQUEEZED,
    STEP, Seen,
};
use std::time::{Duration, Instant};

/// A queue is somebody else's when it stands though we send less than arrived when we last had
/// too much, though all of it arrives, and though it doesn't fall by this share of what a queue
/// of ours would ...
pub(super) const LESS: f64 = 0.95;
const DRAINED: f64 = 0.4;

/// ... and somebody else keeps the line full when that is so most of this time: siblings of
/// ours make queues too, but are gone within a second. He is gone when it is rarely so.
const FOREIGN_SPAN: Duration = Duration::from_millis(2000);
const FOREIGN: f64 = 0.6;
const FOREIGN_NO_MORE: f64 = 0.1;

/// From so much on it may be, and less is sent no more for the queue's sake until it is told,
/// as long as such a share arrives: a little less is the other's queue that grows.
const FOREIGN_MAYBE: f64 = 0.2;
const FOREIGN_ARRIVES: f64 = 0.75;

/// While sharing, whether the other is gone is tried this often, by sending so much less.
const SHARING_TEST: Duration = Duration::from_secs(8);
const SHARING_TEST_RATE: f64 = 0.8;

/// While sharing: what a loss leaves, as Cubic's 0.7 for a window that is mostly queue, and the
/// share of the best rate lately that is held against losses such as a download causes.
pub(super) const SHARING_KEEP: f64 = 0.8;
const SHARING_FLOOR: f64 = 0.4;

/// Half of it is a fair share beside one download. More is taken only when that has made no
/// losses for so many seconds: it does not fill what it leaves.
const SHARING_FAIR: f64 = 0.5;
pub(super) const SHARING_UNUSED: f64 = 10.0;

/// While sharing: loss over the line's usual that is a sign of a full queue, and loss that no
/// single download causes: others hold their share as we do, and it is too much together.
const SHARING_LOSS: f64 = 0.015;
pub(super) const SHARING_HEAVY_LOSS: f64 = 0.08;

/// While sharing the queue overflows every few seconds; so much is lost at least, counted over
/// the whole time.
pub(super) const SHARING_STEADY_LOSS: f64 = 0.005;

/// A download's queue is empty now and then, and so what is held is held so much longer.
pub(super) const HELD_FOR: Duration = Duration::from_secs(30);

/// While sharing the rate climbs to so much over what is sent without having been tried, or
/// twice what is sent: a download makes room for who takes it, and only for who takes it.
pub(super) const SHARING_CLAIM: f64 = 50_000.0;

impl MediaController {
    pub(super) fn alone_again(&mut self) {
        self.mode = Mode::Alone;
        self.foreign = 0.0;
        self.carried = f64::INFINITY;
        self.climbing = 0.0;
    }

    /// Tells whose queue it is, and whether somebody keeps it full.
    pub(super) fn tell_whose(&mut self, now: Instant) {
        let Seen { sent, delivered, queue, .. } = self.seen;
        let squeezed = delivered < SQUEEZED * sent;
        let pushing = self.mode != Mode::Sharing
            && self.rate > MIN_RATE
            && sent >= LESS * self.carried.min(MAX_RATE);
        let before = self.meter.last(QUEUE_SPAN, RATE_SPAN).rtt.unwrap_or_default();
        let fell = before.saturating_sub(self.base_rtt()).as_secs_f64() - queue.as_secs_f64();
        // What was carried when there was too much is carried still, and what is not sent of it
        // empties a queue of ours.
        let carries = if self.carried.is_finite() { self.carried } else { delivered };
        let ours_would = (1.0 - sent / carries.max(1.0)).max(0.05) * RATE_SPAN.as_secs_f64();
        let ours_would = ours_would.min(before.saturating_sub(self.base_rtt()).as_secs_f64());
        let draining = fell > DRAINED * ours_would;
        let foreign = queue > self.low() && !squeezed && !pushing && !draining;
        let step = STEP.div_duration_f64(FOREIGN_SPAN);
        self.foreign += (f64::from(u8::from(foreign)) - self.foreign) * step;
        if self.mode == Mode::Sharing {
            if self.foreign < FOREIGN_NO_MORE {
                self.alone_again();
            }
        } else if self.foreign > FOREIGN {
            self.mode = Mode::Sharing;
            self.drain = None;
            let lately = now.saturating_duration_since(self.shared_since) < HELD_FOR;
            let (held, fair) = if lately { (self.held, self.fair) } else { (0.0, 0.0) };
            self.held = held.max(SHARING_FLOOR * self.best());
            self.fair = fair.max(SHARING_FAIR * self.best());
            self.rate = self.rate.max(self.held);
            self.shared_since = now;
        }
    }

    /// The queue seems to be somebody else's.
    pub(super) fn maybe_foreign(&self) -> bool {
        self.foreign > FOREIGN_MAYBE && self.seen.delivered >= FOREIGN_ARRIVES * self.seen.sent
    }

    pub(super) fn sharing_too_much(&mut self, now: Instant) -> bool {
        let half: Sums = self.meter.last(RATE_SPAN, Duration::ZERO);
        // Who could not fill a line alone needs no test: without the other the queue is gone.
        let full = self.seen.sent >= USED * self.rate;
        if full && now.saturating_duration_since(self.shared_since) >= SHARING_TEST {
            let rate = (SHARING_TEST_RATE * self.seen.sent).max(MIN_RATE);
            let until = now + self.seen.rtt + DRAIN_LASTS;
            self.drain = Some(Drain { until, rate, shown: 0.0 });
            return false;
        }
        let pause = RATE_SPAN + self.seen.rtt;
        now.saturating_duration_since(self.backed_off) > pause
            && half.loss() > self.usual() + SHARING_LOSS
            && half.lost >= 2 * self.mtu
    }
}
