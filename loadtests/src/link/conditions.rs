//! What one direction of a link does to what passes, at one moment.

use super::units::{Bytes, Queue, Rate, Share, Span};
use serde::Deserialize;
use std::time::Duration;

/// What waits longer than this in front of a line is dropped, unless it is told otherwise.
const QUEUE: Duration = Duration::from_millis(200);

/// How long a reordered datagram is held back, unless it is told otherwise: a few video
/// packets of a lesson.
const REORDER_BY: Duration = Duration::from_millis(10);

/// Conditions of one direction. The default is a perfect line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// What the bottleneck carries, of IP packets.
    pub rate: Rate,
    /// Depth of the bottleneck's token bucket in bytes: what may leave at once after a pause.
    /// 0: one datagram after the other, at the rate.
    pub burst: u64,
    /// What may wait in front of the bottleneck; what comes when more waits is dropped.
    pub queue: Queue,
    /// One way, from the bottleneck to the other end.
    pub delay: Duration,
    /// Each datagram takes up to this much longer, evenly spread.
    pub jitter: Duration,
    /// Whether a datagram that takes longer may be overtaken. If not, those behind it wait.
    pub jitter_reorders: bool,
    /// Chance of a datagram to be lost outside bursts, 0 to 1.
    pub loss: f64,
    pub bursts: Bursts,
    /// Chance of a datagram to be held back by `reorder_by` and overtaken meanwhile.
    pub reorder: f64,
    pub reorder_by: Duration,
    /// Chance of a datagram to come twice. Both copies take their room on the line.
    pub duplicate: f64,
}

/// Loss in bursts: the two-state model of Gilbert (1960) and Elliott (1963). The state moves
/// on with each datagram that reaches the line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bursts {
    /// Share of datagrams that fall into a burst, 0 to 1.
    pub share: f64,
    /// Mean length of a burst in datagrams, at least 1.
    pub length: f64,
    /// Chance of a datagram within a burst to be lost.
    pub loss: f64,
}

impl Bursts {
    /// Chance of a burst to begin with a datagram after one outside a burst.
    #[must_use]
    pub fn begins(&self) -> f64 {
        self.share / (self.length * (1.0 - self.share))
    }

    /// Chance of a burst to be over with the next datagram.
    #[must_use]
    pub fn ends(&self) -> f64 {
        1.0 / self.length
    }
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            rate: Rate::UNLIMITED,
            burst: 0,
            queue: Queue::Time(QUEUE),
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            jitter_reorders: false,
            loss: 0.0,
            bursts: Bursts { share: 0.0, length: 1.0, loss: 1.0 },
            reorder: 0.0,
            reorder_by: REORDER_BY,
            duplicate: 0.0,
        }
    }
}

impl Conditions {
    /// Why such a line can't be.
    pub(super) fn check(&self) -> Result<(), String> {
        let Bursts { share, length, .. } = self.bursts;
        if !(length >= 1.0 && length.is_finite()) {
            return Err(format!("burst_length is {length}, and a burst is 1 datagram at least"));
        }
        if share >= 1.0 || self.bursts.begins() > 1.0 {
            let share = share * 100.0;
            return Err(format!("{share} % in bursts of {length} leaves nothing between bursts"));
        }
        Ok(())
    }
}

/// Some conditions becoming other ones. What is not named stays.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    rate: Option<Rate>,
    burst: Option<Bytes>,
    queue: Option<Queue>,
    delay: Option<Span>,
    jitter: Option<Span>,
    jitter_reorders: Option<bool>,
    loss: Option<Share>,
    burst_share: Option<Share>,
    burst_length: Option<f64>,
    burst_loss: Option<Share>,
    reorder: Option<Share>,
    reorder_by: Option<Span>,
    duplicate: Option<Share>,
}

impl Change {
    /// The conditions after this change.
    ///
    /// # Errors
    /// When they can't be together; the text says why.
    pub fn of(&self, before: &Conditions) -> Result<Conditions, String> {
        let share = |new: Option<Share>, old| new.map_or(old, |Share(share)| share);
        let span = |new: Option<Span>, old| new.map_or(old, |Span(span)| span);
        let after = Conditions {
            rate: self.rate.unwrap_or(before.rate),
            burst: self.burst.map_or(before.burst, |Bytes(bytes)| bytes),
            queue: self.queue.unwrap_or(before.queue),
            delay: span(self.delay, before.delay),
            jitter: span(self.jitter, before.jitter),
            jitter_reorders: self.jitter_reorders.unwrap_or(before.jitter_reorders),
            loss: share(self.loss, before.loss),
            bursts: Bursts {
                share: share(self.burst_share, before.bursts.share),
                length: self.burst_length.unwrap_or(before.bursts.length),
                loss: share(self.burst_loss, before.bursts.loss),
            },
            reorder: share(self.reorder, before.reorder),
            reorder_by: span(self.reorder_by, before.reorder_by),
            duplicate: share(self.duplicate, before.duplicate),
        };
        after.check()?;
        Ok(after)
    }
}
