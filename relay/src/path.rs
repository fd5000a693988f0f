//! A trunk's path as its sending end sees it: what the congestion controller knows, for
//! whoever decides what crosses. The controller writes it at every acknowledgement, anyone
//! reads it, and what the reader could use goes the other way.

use crate::pacer::WHOLE_FRAMES;
use crate::redundancy;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The path in the sending direction, as it is now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PathState {
    /// What this end may send, in bit/s of QUIC packets. What was not tried is not known: it
    /// rises only as far as something is sent, or [`want`](crate::Trunk::want) asks for.
    pub estimate: u64,
    /// What arrived at the other end in the last second, in bit/s.
    pub delivered: u64,
    /// The round trip now, and the shortest of the last half minute; 0 before the first.
    pub rtt: Duration,
    pub min_rtt: Duration,
    /// How long a packet waits before the narrowest part of the path.
    pub queue: Duration,
    /// Share of what was sent that was lost, 0..1, over about a second.
    pub loss: f64,
    /// Somebody else keeps the line's queue full.
    pub shared: bool,
    /// Whether the other end was heard lately. Everything else is what was true before, when
    /// it was not.
    pub reachable: bool,
}

impl PathState {
    /// How old a frame may be when it arrives, over the way there: 400 ms, behind which
    /// players have concealed the gap, or what one retransmission takes on a longer path.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        crate::MEDIA_DEADLINE.max(self.rtt.mul_f64(1.5) + Duration::from_millis(100))
    }

    /// Whether what is lost can be sent again in time, but not what is lost again then: a loss
    /// shows after a round trip and an eighth. The queue counts where it is there to stay.
    #[must_use]
    pub fn has_time_for_one_loss(&self) -> bool {
        let rtt = if self.shared { self.rtt } else { self.min_rtt };
        rtt.mul_f64(2.25) > self.deadline()
    }
}

/// What the controller asks of the sender, in bytes/s.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Orders {
    /// What may be sent.
    pub send_rate: f64,
    /// What is to be filled up to with padding.
    pub pad_to: f64,
    /// Share of packets the line loses, 0..1, over many seconds.
    pub steady_loss: f64,
    /// Somebody else keeps the line's queue full: of what comes at once the end is lost.
    pub shared: bool,
    /// The newest acknowledgements show a queue: it may be about to overflow.
    pub rising: bool,
    /// The line has just become narrow: no pictures until it has got rid of those before.
    pub draining: bool,
}

impl Orders {
    /// How many packets of audio are repeated with each.
    #[must_use]
    pub fn repeats(&self) -> usize {
        // Sound alone is sent while a line that has become narrow drains, and behind a queue that
        // still overflows.
        let asked = redundancy::repeats(self.steady_loss, self.send_rate, self.rising);
        if self.draining { redundancy::MOST } else { asked }
    }

    /// Whether a frame goes all at once; else packet by packet.
    #[must_use]
    pub fn whole_frames(&self) -> bool {
        self.send_rate >= WHOLE_FRAMES && !self.shared
    }
}

/// Where a controller and the rest of the trunk tell each other what they know.
#[derive(Debug, Default)]
pub struct Gauge {
    state: Mutex<(PathState, Orders)>,
    /// bit/s.
    want: AtomicU64,
    ways: AtomicU64,
}

impl Gauge {
    pub fn state(&self) -> PathState {
        self.lock().0
    }

    pub fn orders(&self) -> Orders {
        self.lock().1
    }

    /// Sets all but whether the other end can be reached.
    pub fn measured(&self, state: PathState, orders: Orders) {
        let mut known = self.lock();
        *known = (PathState { reachable: known.0.reachable, ..state }, orders);
    }

    pub fn set_reachable(&self, reachable: bool) -> PathState {
        let mut known = self.lock();
        known.0.reachable = reachable;
        known.0
    }

    /// The packets take another way from now on.
    pub fn new_way(&self) {
        self.ways.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was so.
    pub fn ways(&self) -> u64 {
        self.ways.load(Ordering::Relaxed)
    }

    /// bit/s that could be used; 0 when nobody has said.
    pub fn want(&self) -> u64 {
        self.want.load(Ordering::Relaxed)
    }

    pub fn set_want(&self, bits_per_second: u64) {
        self.want.store(bits_per_second, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, (PathState, Orders)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_leaves_time_for_one_retransmission() {
        let with = |rtt| PathState { rtt: Duration::from_millis(rtt), ..PathState::default() };
        assert_eq!(with(80).deadline(), Duration::from_millis(400));
        assert_eq!(with(540).deadline(), Duration::from_millis(910));
        let far = |rtt| PathState { min_rtt: Duration::from_millis(rtt), ..with(rtt) };
        assert!(far(540).has_time_for_one_loss() && !far(80).has_time_for_one_loss());
    }
}
