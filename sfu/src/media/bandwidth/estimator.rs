//! How many bit/s one viewer's path takes: delay-based and loss-based control on the sender's
//! side (draft-ietf-rmcat-gcc-02), from transport-wide feedback, or from the loss in receiver
//! reports where there is none. Time goes in as an argument; nothing allocates after the first
//! packet.

use super::cluster::{Cluster, Outcome};
use super::control::{Arriving, Control};
use super::delay::Delay;
use super::feedback::{Feedback, Malformed, ReferenceClock};
use super::history::History;
use super::loss::Loss;
use super::throughput::Throughput;
use super::trend::Usage;
use crate::media::ahead;
use std::time::{Duration, Instant};

/// The estimate's bounds, in bit/s. The lower one is a voice: less is a path that is gone, which
/// ICE consent (RFC 7675) finds out.
pub const LOWEST: u64 = 30_000;
pub const HIGHEST: u64 = 100_000_000;

/// A receiver that reports on transport-wide numbers does so 4 to 20 times a second. Sent
/// packets that nothing is heard of for so long have met a dead path …
const SILENCE_US: i64 = 2_000_000;
/// … and the estimate is halved this often while it lasts.
const HALVING_US: i64 = 1_000_000;

/// What a probe leaves behind in the line's queue says nothing about the media …
const AFTERMATH_US: i64 = 100_000;

/// … and is in the arriving rate for this long after.
const PADDED_US: i64 = 1_000_000;

/// A line that had to drain a queue is taken for as narrow as it was then for this long, unless
/// it proves to be wider.
const LIMITED_US: i64 = 10_000_000;

/// Round-trip times are smoothed over about eight messages, as TCP's are (RFC 6298 §2).
const ROUND_TRIP_WEIGHT: f64 = 0.125;

/// Before the first feedback: a long path within the country.
const ROUND_TRIP_GUESS_US: f64 = 100_000.0;

/// Without transport-wide feedback the rate grows while less than this is lost (GCC §6).
const LOW_LOSS: f64 = 0.02;

/// What a peer tells of the packets it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedbacks {
    /// The peer agreed to transport-wide feedback.
    TransportWide,
    /// It sends receiver reports only.
    Reports,
}

/// One viewer's path, as seen from here.
#[derive(Debug)]
pub struct Estimator {
    epoch: Instant,
    feedbacks: Feedbacks,
    history: History,
    clock: ReferenceClock,
    delay: Delay,
    throughput: Throughput,
    control: Control,
    loss: Loss,
    cluster: Option<Cluster>,
    /// Packets sent up to then are not judged by their delay.
    unjudged_until_us: i64,
    /// The highest number heard of, and the highest whose delay was looked at.
    reported: u64,
    judged: u64,
    round_trip_us: Option<f64>,
    /// When feedback last came.
    heard_us: i64,
    /// Since when nothing has been heard of what was sent, and when that last halved the rate.
    unanswered_us: Option<i64>,
    halved_us: i64,
    /// Of everything, since the last receiver report that was used.
    report: Sent,
    packets: u32,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    at_us: i64,
    packets: u32,
    bytes: u64,
}

impl Estimator {
    /// A path of which nothing is known but a rate to begin with, in bit/s.
    #[must_use]
    pub fn new(start: u64, feedbacks: Feedbacks, now: Instant) -> Self {
        Self {
            epoch: now,
            feedbacks,
            history: History::default(),
            clock: ReferenceClock::default(),
            delay: Delay::default(),
            throughput: Throughput::default(),
            control: Control::new(start as f64),
            loss: Loss::default(),
            cluster: None,
            unjudged_until_us: i64::MIN,
            reported: 0,
            judged: 0,
            round_trip_us: None,
            heard_us: 0,
            unanswered_us: None,
            halved_us: 0,
            report: Sent::default(),
            packets: 0,
            bytes: 0,
        }
    }

    /// Asks for what sending needs of this, before it comes.
    #[inline]
    pub fn fetch(&self) {
        ahead::fetch(&self.epoch);
        ahead::fetch(&self.history);
        ahead::fetch(&self.unanswered_us);
        ahead::fetch(&self.packets);
        ahead::fetch(&self.bytes);
    }

    /// What was sent.
    #[inline]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The transport sequence number of the next packet; [`Self::on_sent`] is told once it is
    /// on its way. A number may be taken and not used.
    #[inline]
    pub fn next_sequence(&mut self) -> u16 {
        self.history.take()
    }

    /// A packet went out under `sequence`. `bytes` are those of the IP packet, `probe` names
    /// the probe under way, 0 for none.
    #[inline]
    pub fn on_sent(&mut self, sequence: u16, bytes: usize, now: Instant, probe: u8) {
        let at = self.micros(now);
        self.count(bytes);
        let Some(number) = self.history.sent(sequence, bytes, probe, at) else { return };
        if self.unanswered_us.is_none() {
            self.unanswered_us = Some(at);
        }
        if probe != 0 {
            let cluster = self.cluster.get_or_insert(Cluster::new(probe));
            if cluster.id != probe {
                *cluster = Cluster::new(probe);
            }
            cluster.on_sent(number, at, bytes.min(usize::from(u16::MAX)) as u16);
            self.unjudged_until_us = at + AFTERMATH_US;
        }
    }

    /// A packet went out that has no transport sequence number.
    #[inline]
    pub fn count(&mut self, bytes: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(bytes as u64);
    }

    /// Transport-wide feedback came: `fci` is what follows its two SSRCs. True when the
    /// estimate was lowered by it.
    ///
    /// # Errors
    /// When it is malformed; nothing of it is taken then.
    pub fn on_feedback(&mut self, fci: &[u8], now: Instant) -> Result<bool, Malformed> {
        let feedback = Feedback::parse(fci)?;
        let now_us = self.micros(now);
        self.heard_us = now_us;
        let Some(base) = self.history.extend(feedback.base) else { return Ok(false) };
        let reference = self.clock.micros(feedback.reference);
        // A message of this receiver was lost: bytes may have arrived that were not counted.
        let expected = self.reported + 1;
        if self.reported > 0 && base > expected && self.history.open(expected) {
            self.throughput.reset();
        }
        let (mut usage, mut lowered, mut newest) = (None, false, None);
        for (number, status) in (base..).zip(feedback.statuses()) {
            let Some(offset) = status else {
                if let Some(packet) = self.history.missing(number, now_us) {
                    self.loss.reported(packet.bytes, true);
                    self.reported = self.reported.max(number);
                }
                continue;
            };
            let Some(packet) = self.history.received(number, now_us) else { continue };
            let arrival = reference + offset;
            self.reported = self.reported.max(number);
            newest = newest.max(Some(packet.sent_us));
            self.throughput.add(arrival, packet.bytes);
            if packet.was_missing {
                self.loss.came_after_all();
            } else {
                self.loss.reported(packet.bytes, false);
            }
            if packet.cluster != 0
                && let Some(cluster) = self.cluster.as_mut().filter(|c| c.id == packet.cluster)
            {
                cluster.on_arrived(arrival, packet.bytes);
            }
            if number <= self.judged {
                continue;
            }
            self.judged = number;
            if self.is_probes(packet.cluster, packet.sent_us) {
                self.delay.skip();
                continue;
            }
            let said = self.delay.packet(packet.sent_us, arrival);
            if said.is_some() {
                // It is about packets before this one.
                self.control.met_queue(self.delay.latest_sent_us(), self.delay.latest_ms());
            }
            match said {
                Some(Usage::Over) => {
                    usage = Some(Usage::Over);
                    let round_trip = self.round_trip_us();
                    lowered |= self.control.congested(self.arriving(), round_trip, now_us);
                }
                Some(said) if usage != Some(Usage::Over) => usage = Some(said),
                _ => {}
            }
        }
        if let Some(sent) = newest {
            self.heard(sent, now_us);
        }
        // For as long as padding counts in what arrives, it vouches for nothing more.
        let padded = now_us.saturating_sub(self.unjudged_until_us) < PADDED_US;
        if usage != Some(Usage::Over) && !padded {
            let (round_trip, arriving) = (self.round_trip_us(), self.arriving());
            self.control.clear(usage.unwrap_or_default(), arriving, round_trip, now_us);
        }
        lowered |= self.heed_loss(now_us);
        Ok(lowered)
    }

    /// A receiver report came (RFC 3550 §6.4.1) with this fraction lost, of 256. Used only when
    /// there is nothing better. True when the estimate was lowered by it.
    pub fn on_report(&mut self, fraction_lost: u8, now: Instant) -> bool {
        if self.feedbacks == Feedbacks::TransportWide {
            return false;
        }
        let now_us = self.micros(now);
        let before = self.report;
        let after = Sent { at_us: now_us, packets: self.packets, bytes: self.bytes };
        self.report = after;
        let packets = after.packets.wrapping_sub(before.packets);
        let bytes = after.bytes.wrapping_sub(before.bytes);
        self.loss.receiver_report(fraction_lost, packets, bytes);
        let lowered = self.heed_loss(now_us);
        // What was never sent can't be proved here; it grows until it is too much.
        if !lowered && packets > 0 && self.loss.fraction() < LOW_LOSS {
            self.control.grow((now_us - before.at_us) as f64 / 1e6);
        }
        self.clamp();
        lowered
    }

    /// Lets time pass: a path nothing is heard of any more is not trusted with much. True when
    /// the estimate was lowered. Wanted a few times a second.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let now_us = self.micros(now);
        let Some(since) = self.unanswered_us else { return false };
        let silent = self.feedbacks == Feedbacks::TransportWide && now_us - since > SILENCE_US;
        if !silent || now_us - self.halved_us < HALVING_US {
            return false;
        }
        self.halved_us = now_us;
        self.control.at_most(self.control.rate() / 2.0);
        self.clamp();
        true
    }

    /// What the path takes, in bit/s of IP packets.
    #[must_use]
    pub fn estimate(&self) -> u64 {
        (self.control.rate() as u64).clamp(LOWEST, HIGHEST)
    }

    /// Round-trip time, with what the receiver takes to report.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip_us.map(|us| Duration::from_micros(us as u64))
    }

    /// Fraction of packets lost of late, 0 to 1.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss.fraction()
    }

    /// How long packets wait on their way: of late, or the last ones if that is longer.
    #[must_use]
    pub fn queue(&self) -> Duration {
        let queue_ms = self.delay.queue_ms().max(self.delay.latest_ms());
        Duration::from_secs_f64(queue_ms.max(0.0) / 1e3)
    }

    /// Bit/s that arrived over the last second.
    #[must_use]
    pub fn arriving_rate(&self) -> Option<u64> {
        self.throughput.steady().map(|rate| rate as u64)
    }

    /// Whether padding can prove anything here, and feedback has begun.
    #[must_use]
    pub fn can_probe(&self) -> bool {
        self.feedbacks == Feedbacks::TransportWide && self.reported > 0
    }

    /// Whether the path was heard of; where only reports come, they say too little to wait for.
    #[must_use]
    pub fn is_tried(&self) -> bool {
        self.feedbacks == Feedbacks::Reports || self.reported > 0
    }

    /// Whether the estimate is what the line showed to be its limit a short while ago.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.control.limited_within(LIMITED_US, self.heard_us)
    }

    /// What the probe showed, once all of it was heard of.
    #[must_use]
    pub fn outcome(&self, probe: u8) -> Option<Outcome> {
        let cluster = self.cluster.as_ref().filter(|c| c.id == probe)?;
        cluster.outcome(self.reported, self.loss.fraction())
    }

    /// A probe proved that `rate` bit/s go through.
    pub fn proved(&mut self, rate: f64) {
        self.control.proved(rate);
        self.clamp();
    }

    /// Up to `rate` bit/s the estimate may grow without proof, as nothing can be proved here.
    pub fn trust(&mut self, rate: u64) {
        self.control.trust(rate as f64);
    }

    fn heed_loss(&mut self, now_us: i64) -> bool {
        let Some(rate) = self.loss.update(self.control.rate(), now_us) else { return false };
        self.control.at_most(rate);
        self.clamp();
        true
    }

    fn is_probes(&self, cluster: u8, sent_us: i64) -> bool {
        let began = self.unjudged_until_us.saturating_sub(AFTERMATH_US);
        cluster != 0 || (began..self.unjudged_until_us).contains(&sent_us)
    }

    fn heard(&mut self, sent_us: i64, now_us: i64) {
        let sample = (now_us - sent_us).max(0) as f64;
        let smooth = self.round_trip_us.get_or_insert(sample);
        *smooth += ROUND_TRIP_WEIGHT * (sample - *smooth);
        self.unanswered_us = None;
    }

    fn arriving(&self) -> Arriving {
        Arriving {
            recent: self.throughput.recent(),
            steady: self.throughput.steady(),
            long_queue: self.delay.is_long(),
        }
    }

    fn round_trip_us(&self) -> i64 {
        self.round_trip_us.unwrap_or(ROUND_TRIP_GUESS_US) as i64
    }

    fn clamp(&mut self) {
        self.control.at_least(LOWEST as f64);
        self.control.at_most(HIGHEST as f64);
    }

    #[inline]
    fn micros(&self, now: Instant) -> i64 {
        now.saturating_duration_since(self.epoch).as_micros() as i64
    }
}
