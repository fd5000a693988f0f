//! How much one viewer gets: what the path takes ([`Estimator`]), whether it would take more
//! ([`Prober`]), when bytes leave ([`Pacer`]), and which layers that makes ([`allocation`]).
//! [`Bandwidth`] is the first three for one viewer, wired up. Values only: time and bytes go in,
//! nothing sends, waits, reads a clock or knows a track.
//!
//! All bytes and rates are those of IP packets, headers included; the rates of layers must be
//! measured so too.
//!
//! Written here rather than taken from `rtc-interceptor`, whose `Gcc` and `History` are public:
//! they put every packet into two hash maps and every report into a new vector, and the
//! controller grows without proof while little is sent, which for a forwarding node is always.

pub mod allocation;
mod cluster;
mod control;
mod delay;
mod estimator;
mod feedback;
mod history;
mod loss;
mod pacer;
mod probe;
mod throughput;
mod trend;

#[cfg(test)]
mod cost;
#[cfg(test)]
mod simulation;

pub use estimator::{Estimator, Feedbacks};
pub use feedback::Malformed;
pub use pacer::Pacer;
pub use probe::{Prober, Wanted};

use crate::media::ahead;
use std::time::{Duration, Instant};

/// How often [`Bandwidth::handle_timeout`] is wanted where nothing else asks for it: a silent
/// path is noticed within seconds, and while more is wanted, that a probe may begin.
const IDLE: Duration = Duration::from_millis(500);
const WISHING: Duration = Duration::from_millis(100);

/// A queue in front of the viewer that is longer is more than a frame going by.
const CONGESTED: Duration = Duration::from_millis(60);

/// One viewer's path.
#[derive(Debug)]
pub struct Bandwidth {
    estimator: Estimator,
    prober: Prober,
    pacer: Pacer,
    wanted: Option<Wanted>,
}

impl Bandwidth {
    /// A path to begin with at `start` bit/s. That is what a viewer gets before anything is
    /// known of his path, so it decides what the first picture looks like.
    #[must_use]
    pub fn new(start: u64, feedbacks: Feedbacks, now: Instant) -> Self {
        let estimator = Estimator::new(start, feedbacks, now);
        let pacer = Pacer::new(estimator.estimate(), now);
        Self { estimator, prober: Prober::new(now), pacer, wanted: None }
    }

    /// Asks for what sending needs of this, before it comes.
    #[inline]
    pub fn fetch(&self) {
        ahead::fetch(&self.pacer);
        self.prober.fetch();
        self.estimator.fetch();
    }

    /// Asks for the places of the next packets, once [`Self::fetch`] is done.
    #[inline]
    pub fn fetch_next(&self) {
        self.estimator.history().fetch();
    }

    /// Asks for the places of the packets that feedback is likely to speak of.
    #[inline]
    pub fn fetch_reported(&self) {
        self.estimator.history().fetch_last();
    }

    /// The transport sequence number to write into the next packet. It is lost if the packet
    /// then is not sent, and no harm is done.
    #[inline]
    pub fn next_sequence(&mut self) -> u16 {
        self.estimator.next_sequence()
    }

    /// A packet of `bytes` (its whole IP packet) goes out under this transport sequence number
    /// now: media, retransmission or padding. One that is sent again bit by bit, under the
    /// number it had, is told here again too.
    #[inline]
    pub fn on_sent(&mut self, sequence: u16, bytes: usize, now: Instant) {
        self.estimator.on_sent(sequence, bytes, now, self.prober.sending());
        self.prober.on_sent(bytes);
        self.pacer.spend(bytes);
    }

    /// A packet without a transport sequence number goes out.
    #[inline]
    pub fn on_sent_unnumbered(&mut self, bytes: usize) {
        self.estimator.count(bytes);
        self.pacer.spend(bytes);
    }

    /// Transport-wide feedback came; `fci` is what follows the two SSRCs. True when the estimate
    /// was lowered by it, and the allocation is to be renewed at once.
    ///
    /// # Errors
    /// When it is malformed; nothing of it is taken then.
    pub fn on_feedback(&mut self, fci: &[u8], now: Instant) -> Result<bool, Malformed> {
        let lowered = self.estimator.on_feedback(fci, now)?;
        if lowered {
            self.prober.on_congestion(now);
        } else if let Some(outcome) =
            self.prober.awaiting().and_then(|probe| self.estimator.outcome(probe))
            && let Some(rate) = self.prober.on_outcome(outcome, now)
        {
            self.estimator.proved(rate);
        }
        self.pace();
        Ok(lowered)
    }

    /// A receiver report came (RFC 3550 §6.4.1): the fraction lost, of 256, of the line that
    /// carries most. True as for [`Self::on_feedback`].
    pub fn on_report(&mut self, fraction_lost: u8, now: Instant) -> bool {
        let lowered = self.estimator.on_report(fraction_lost, now);
        self.pace();
        lowered
    }

    /// What more would be of use, as the allocation says.
    pub fn set_wanted(&mut self, wanted: Option<Wanted>) {
        self.wanted = wanted;
    }

    /// Lets time pass, and returns how many bytes of padding to send now, in packets that are
    /// told to [`Self::on_sent`].
    pub fn handle_timeout(&mut self, now: Instant) -> usize {
        if self.estimator.handle_timeout(now) {
            self.prober.on_congestion(now);
            self.pace();
        }
        let wanted = self.wanted.filter(|_| self.estimator.can_probe());
        // Who can't be probed finds out by trying; the allocation remembers mistakes.
        let trusted = wanted.filter(|_| self.prober.is_unable()).map_or(0, |w| w.best / 20 * 21);
        self.estimator.trust(trusted);
        self.prober.poll(self.estimator.estimate(), wanted, now)
    }

    /// When [`Self::handle_timeout`] is wanted. (Packets that wait have [`Pacer::next`].)
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Instant {
        if self.wanted.is_none() || !self.estimator.can_probe() {
            return now + IDLE;
        }
        self.prober.next(now).map_or(now + WISHING, |next| next.clamp(now, now + IDLE))
    }

    /// What the path takes, in bit/s.
    #[must_use]
    pub fn estimate(&self) -> u64 {
        self.estimator.estimate()
    }

    /// What is known of the path, for counters and displays.
    #[must_use]
    pub fn estimator(&self) -> &Estimator {
        &self.estimator
    }

    /// Whether a queue stands in front of the viewer. What is still sent of an encoding that was
    /// given up, until the humbler one begins, then only makes it longer, and is better left out:
    /// the viewer has the queue to look at.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.estimator.queue() > CONGESTED
    }

    /// Whether anything was heard of what was sent, or never will be: until then the rate is
    /// only what most paths take.
    #[must_use]
    pub fn is_tried(&self) -> bool {
        self.estimator.is_tried()
    }

    /// Whether a packet of `bytes` may be sent again now. While a queue stands it comes out of
    /// what may leave anyway: repairs on top would make the queue longer, and more be lost.
    pub fn may_repair(&mut self, bytes: usize, now: Instant) -> bool {
        !self.is_congested() || self.pacer.admits(bytes, now)
    }

    fn pace(&mut self) {
        let full = self.is_congested() || self.estimator.is_limited();
        self.pacer.set_path(self.estimator.estimate(), full);
    }

    /// When bytes may leave.
    pub fn pacer(&mut self) -> &mut Pacer {
        &mut self.pacer
    }
}

#[cfg(test)]
mod tests {
    use super::simulation::feedback::Receiver;
    use super::*;

    /// Sends a frame of seven packets every 33 ms over a line of `rate` bit/s, 25 ms long, and
    /// hears of it every 66.
    fn frames(path: &mut Bandwidth, receiver: &mut Receiver, from: &mut Instant, rate: i64) {
        let epoch = *from;
        let mut free = 0;
        for frame in 0..20i64 {
            let sent = frame * 33_000;
            let now = epoch + Duration::from_micros(sent as u64);
            for _ in 0..7 {
                let sequence = path.next_sequence();
                path.on_sent(sequence, 1228, now);
                free = free.max(sent) + 1228 * 8 * 1_000_000 / rate;
                receiver.arrived(sequence, 1_000_000_000 + free + 25_000);
            }
            if frame % 2 == 1 {
                let fci = receiver.report().unwrap();
                path.on_feedback(&fci, now + Duration::from_millis(33)).unwrap();
            }
            *from = now + Duration::from_millis(33);
        }
    }

    #[test]
    fn repairs_are_free_until_a_queue_stands_and_then_part_of_what_may_leave() {
        let mut now = Instant::now();
        let mut path = Bandwidth::new(3_000_000, Feedbacks::TransportWide, now);
        let mut receiver = Receiver::default();
        assert!(!path.is_tried(), "nothing was heard yet");
        frames(&mut path, &mut receiver, &mut now, 8_000_000);
        assert!(path.is_tried() && !path.is_congested());
        path.pacer().spend(1_000_000);
        assert!(path.may_repair(1200, now));
        let mut path = Bandwidth::new(3_000_000, Feedbacks::TransportWide, now);
        let mut receiver = Receiver::default();
        frames(&mut path, &mut receiver, &mut now, 1_000_000);
        assert!(path.is_congested());
        path.pacer().spend(20_000);
        assert!(!path.may_repair(1200, now));
        assert!(path.may_repair(1200, now + Duration::from_secs(1)));
    }
}
