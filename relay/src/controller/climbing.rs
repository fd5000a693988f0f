//! More: by the same steps for everyone while there is no queue, and with padding when more is
//! wanted than is sent.

use super::sharing::{SHARING_CLAIM, SHARING_UNUSED};
use super::{HEADROOM, KEEP, MAX_RATE, MIN_RATE, MediaController, Mode, Probe};
use std::time::{Duration, Instant};

/// Climbing, in bytes/s each second: 96 kbit/s, less on a slow line; after a second without a
/// sign of too much, more with the square of the time, but never half the rate in a second.
const CLIMB: f64 = 12_000.0;
const CLIMB_SHARE: f64 = 0.15;
const CLIMB_FASTER: f64 = 10_000.0;
const CLIMB_MOST: f64 = 0.5;

/// With padding as much at 1 Mbit/s, up to three times at less and half at more; on a slow line
/// no more than so much of the rate.
const PADDED_LIKE: f64 = 125_000.0;
const PADDED_SHARE: f64 = 0.4;
const PADDED_GENTLY: f64 = 90_000.0;

/// Growth in half a second as long as nothing has ever gone wrong.
const UP_AT_START: f64 = 1.5;

/// Share of the rate that must have been used to climb: an idle sender learns nothing.
pub(super) const USED: f64 = 0.8;

/// Room over what is wanted that is looked for, so that a choice does not stand on the edge.
const WANT_ROOM: f64 = 1.15;

/// Padding comes again so long after it found the line full, longer each time, and begins a
/// little over what is sent. A line that has recovered is found within seconds; each try costs
/// about a quarter of a second of the line.
pub(super) const PROBE_AGAIN: Duration = Duration::from_secs(2);
const PROBE_AGAIN_MOST: Duration = Duration::from_secs(5);
const PROBE_GROWTH: f64 = 2.0;

impl MediaController {
    /// Padding beside `base` bytes/s found the line full.
    pub(super) fn end_probe(&mut self, now: Instant, base: f64) {
        self.probe = None;
        let found = self.rate > 1.2 * base;
        self.probe_again =
            if found { PROBE_AGAIN } else { (self.probe_again * 3 / 2).min(PROBE_AGAIN_MOST) };
        self.next_probe = now + self.probe_again;
        self.climbing = 0.0;
    }

    pub(super) fn climb(&mut self, seconds: f64) {
        let used = match self.mode {
            Mode::Sharing => self.rate < (2.0 * self.seen.sent).max(self.seen.sent + SHARING_CLAIM),
            Mode::Starting | Mode::Alone => self.seen.sent >= USED * self.rate,
        };
        let most = match self.want {
            want if want > 0.0 => HEADROOM * want.max(self.seen.sent),
            _ => MAX_RATE,
        };
        let fair = self.mode == Mode::Sharing && self.climbing < SHARING_UNUSED;
        let most = if fair { most.min(self.fair) } else { most };
        if self.mode == Mode::Sharing && self.rate >= most {
            self.climbing += seconds;
        }
        if !used || self.rate >= most {
            return;
        }
        self.climbing += seconds;
        let grown = match self.mode {
            Mode::Starting => self.rate * UP_AT_START.powf(seconds / 0.5),
            Mode::Alone => {
                let longer = (self.climbing - 1.0).max(0.0);
                let steady = match self.probe {
                    Some(_) => self.padded_climb(),
                    None => CLIMB.min(CLIMB_SHARE * self.rate),
                };
                let faster = (CLIMB_FASTER * longer * longer).min(CLIMB_MOST * self.rate);
                self.rate + (steady + faster) * seconds
            }
            Mode::Sharing => self.rate + CLIMB.min(CLIMB_SHARE * self.rate) * seconds,
        };
        self.rate = grown.min(most).clamp(MIN_RATE, MAX_RATE);
    }

    /// Climbing by padding, in bytes/s each second: where several do so at once, who has less
    /// gets more of it. A line of a few hundred kbit/s is full before anybody notices.
    pub(super) fn padded_climb(&self) -> f64 {
        let gentle = PADDED_SHARE * self.rate * (self.rate / PADDED_GENTLY).min(1.0);
        (CLIMB * (PADDED_LIKE / self.rate).clamp(0.5, 3.0)).min(gentle)
    }

    pub(super) fn try_padding(&mut self, now: Instant, seconds: f64) {
        let enough = self.want <= 0.0 || self.rate >= WANT_ROOM * self.want;
        let stands = self.mode != Mode::Sharing && self.seen.queue > self.low();
        match &mut self.probe {
            // The line is found full before the queue hurts anybody.
            Some(probe) if stands => {
                let base = probe.base;
                // What arrived of a rate that was rising is less than what the line was given last:
                // of several that find it full at once, who had least would lose most by it.
                let carried = self.seen.delivered.max(KEEP * probe.level);
                self.rate = self.rate.min(base.max(KEEP * carried));
                self.end_probe(now, base);
            }
            Some(_) if enough || self.drain.is_some() => {
                self.probe = None;
                self.probe_again = PROBE_AGAIN;
                self.next_probe = now + PROBE_AGAIN;
            }
            Some(probe) => {
                probe.level = (probe.level * (1.0 + PROBE_GROWTH * seconds)).min(self.rate);
            }
            None if enough || stands || now < self.next_probe || self.drain.is_some() => {}
            None => {
                let base = self.seen.sent.min(self.rate);
                self.probe = Some(Probe { base, level: base.max(MIN_RATE) });
            }
        }
    }
}
