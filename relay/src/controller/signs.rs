//! What the meter shows, and which signs of too much there are: a queue that stays, losses far
//! above the line's usual, and a line that has become another.

use super::{KEEP, MIN_RATE, MediaController, Mode, QUEUE_SPAN, RATE_SPAN, STEADY, STEP, Seen};
use std::time::{Duration, Instant};

/// Queue up to which the rate climbs. Above a mobile line's jitter.
const QUEUE_LOW: Duration = Duration::from_millis(40);

/// Queue that is too long.
const QUEUE_LIMIT: Duration = Duration::from_millis(80);

/// To both come packets of ours that may just be passing: at 300 kbit/s one takes 32 ms. At
/// less the line may be faster than our share of it.
const PACKET_MOST: Duration = Duration::from_millis(32);

/// Lost share of these two seconds over which it is congestion on any line, with a queue and
/// without one, as before a policer. Village 4G loses 3 % in bursts, which is 15 % of a bad
/// second. A line that always loses more is measured against itself.
pub(super) const LOSS_SPAN: Duration = Duration::from_millis(1900);
const LOSS_LIMIT_QUEUED: f64 = 0.10;
const LOSS_LIMIT: f64 = 0.20;
const LOSS_LIMIT_MOST: f64 = 0.35;

/// After a queue that is too long losses are its own for so long: a second is looked at.
const LOSS_OURS: Duration = Duration::from_millis(1300);

/// Lost share of a quarter of a second over which the line has become another.
const COLLAPSE_LOSS: f64 = 0.4;

impl MediaController {
    /// Reads the meter.
    pub(super) fn look(&mut self, now: Instant) {
        let queue = self.meter.last(QUEUE_SPAN, Duration::ZERO);
        let rtt = queue.rtt.unwrap_or(self.seen.rtt).max(self.base_rtt());
        let span = RATE_SPAN.max(self.base_rtt());
        let arrived = self.meter.last(span, Duration::ZERO);
        let left = self.meter.last(span, rtt);
        let second = self.meter.last(Duration::from_secs(1), Duration::ZERO);
        self.seen = Seen {
            queue: queue.rtt.map_or(Duration::ZERO, |rtt| rtt.saturating_sub(self.base_rtt())),
            rtt,
            sent: left.send_rate(),
            delivered: arrived.delivery_rate(),
            loss: second.loss(),
        };
        if self.crowded() || self.drain.is_some() {
            self.crowded_at = Some(now);
        }
        // Losses of a queue that was full are told when it is gone, and are not the line's.
        let ours = |at| now.saturating_duration_since(at) < LOSS_OURS + self.seen.rtt;
        let idle = self.seen.queue <= self.low() && !self.crowded_at.is_some_and(ours);
        if idle || self.mode == Mode::Sharing {
            // At first of what there is.
            let known = now.saturating_duration_since(self.born) + STEP;
            let step = STEP.div_duration_f64(STEADY.min(known));
            self.steady_loss += (self.seen.loss - self.steady_loss) * step;
        }
        if second.seconds >= 1.0 && second.acked + second.lost >= 20 * self.mtu {
            self.usual_loss.sample(now, (self.seen.loss * 1e6) as u32);
        }
        if arrived.seconds >= RATE_SPAN.as_secs_f64() {
            self.best.sample(now, -(self.seen.delivered as i64));
        }
    }

    pub(super) fn packets(&self, count: u64) -> Duration {
        let most = PACKET_MOST * count as u32;
        Duration::from_secs_f64((count * self.mtu) as f64 / self.rate.max(MIN_RATE)).min(most)
    }

    pub(super) fn low(&self) -> Duration {
        QUEUE_LOW + self.packets(1)
    }

    pub(super) fn crowded(&self) -> bool {
        self.seen.queue > QUEUE_LIMIT + self.packets(2)
    }

    pub(super) fn usual(&self) -> f64 {
        f64::from(self.usual_loss.get().unwrap_or(0)) / 1e6
    }

    /// More is lost than this line loses by itself.
    pub(super) fn drowning(&self) -> bool {
        let seconds = self.meter.last(LOSS_SPAN, Duration::ZERO);
        let limit = if self.seen.queue > self.low() { LOSS_LIMIT_QUEUED } else { LOSS_LIMIT };
        seconds.loss() > (1.5 * self.usual() + 0.05).clamp(limit, LOSS_LIMIT_MOST)
            && seconds.lost >= 10 * self.mtu
    }

    pub(super) fn best(&self) -> f64 {
        -(self.best.get().unwrap_or(0) as f64)
    }

    /// The line carries a fraction of what it did a moment ago.
    pub(super) fn collapsed(&self) -> bool {
        let quarter = self.meter.last(QUEUE_SPAN, Duration::ZERO);
        let drowning =
            quarter.loss() > COLLAPSE_LOSS.max(2.0 * self.usual()) && quarter.lost > 6 * self.mtu;
        // Who sends less because there is less to send is not stuck.
        let sent = self.meter.last(QUEUE_SPAN, self.seen.rtt).send_rate().min(self.seen.sent);
        let stuck = self.crowded() && quarter.delivery_rate() < 0.6 * sent;
        (drowning || stuck) && quarter.delivery_rate() * KEEP < self.send_rate()
    }
}
