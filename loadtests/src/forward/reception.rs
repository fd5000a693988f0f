//! One line of a viewer: what came of it, what is missing and asked for again, and what a
//! receiver report says of it.

use super::frames::Frames;
use super::journal::{Journal, Mapping};
use super::sdp::Kind;
use super::sequence::{Came, Count, Share};
use super::stamp::Stamp;
use cloudschool_protocol::rtcp::Block;

/// A lost packet is asked for again after this long: what a browser takes for the round trip
/// before it knows better.
const ASK_AGAIN_NS: u64 = 100_000_000;
/// So often, then it is given up.
const ASK_AT_MOST: u8 = 10;
/// More missing at once than this is another stream rather than loss.
const GAP: u64 = 300;
/// A browser waits this long for a first keyframe before it asks for one.
const FIRST_KEYFRAME_NS: u64 = 200_000_000;
/// And this long is a picture stuck before a new one is asked for.
const STUCK_NS: u64 = 1_000_000_000;
/// Between two requests.
const KEYFRAME_AGAIN_NS: u64 = 500_000_000;
/// A line whose last packet is older carries nothing: three of sound were due.
const SILENT_NS: u64 = 60_000_000;

#[derive(Debug, Clone, Copy)]
struct Missing {
    sequence: u64,
    ask_at_ns: u64,
    asked: u8,
}

/// The reception of one SSRC.
#[derive(Debug)]
pub struct Reception {
    pub kind: Kind,
    clock_rate: u32,
    /// By RTP sequence numbers.
    sequences: Share,
    /// By the numbers the publisher gave them.
    numbers: Share,
    /// Source and layer `numbers` are of.
    of: Option<(u8, u8)>,
    frames: Option<Box<Frames>>,
    missing: Vec<Missing>,
    first_packet_ns: Option<u64>,
    last_packet_ns: u64,
    keyframe_asked_ns: Option<u64>,
    reports: Reports,
    /// Packets without a stamp that are not padding.
    pub strangers: u64,
    pub nacked: u64,
    pub plis: u64,
    /// Everything that comes, where that is asked for.
    pub journal: Option<Box<Journal>>,
}

/// For receiver reports (RFC 3550 §6.4.1 and appendix A).
#[derive(Debug, Default)]
struct Reports {
    first: Option<u64>,
    received: u64,
    expected_before: u64,
    received_before: u64,
    transit: Option<i64>,
    /// In units of the clock, times 16.
    jitter: u32,
    last_report: u32,
    last_report_ns: u64,
}

/// What a packet was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet {
    /// New media: when it was sent, and whether others came before that were sent later.
    Media { sent_ns: u64, late: bool },
    /// Nothing to see or hear, for measuring the line.
    Padding,
    /// It was there already.
    Again,
    /// Not of one of our publishers.
    Stranger,
}

impl Reception {
    #[must_use]
    pub fn new(kind: Kind, clock_rate: u32) -> Self {
        Self {
            kind,
            clock_rate: clock_rate.max(1),
            sequences: Share::default(),
            numbers: Share::default(),
            of: None,
            frames: (kind == Kind::Video).then(Box::default),
            missing: Vec::new(),
            first_packet_ns: None,
            last_packet_ns: 0,
            keyframe_asked_ns: None,
            reports: Reports::default(),
            strangers: 0,
            nacked: 0,
            plis: 0,
            journal: None,
        }
    }

    /// Takes a packet of a datagram of `size` bytes: its sequence number, which for a
    /// retransmission is the original's, its timestamp, its payload, and when it came.
    #[inline]
    pub fn take(
        &mut self,
        size: usize,
        sequence: u16,
        timestamp: u32,
        payload: &[u8],
        at_ns: u64,
    ) -> Packet {
        let packet = self.count(sequence, timestamp, payload, at_ns);
        if let Some(journal) = &mut self.journal {
            let media = matches!(packet, Packet::Media { .. });
            let stamp = media.then(|| Stamp::read(payload)).flatten();
            journal.packet(stamp.as_ref(), size, at_ns);
            match (&stamp, &self.frames) {
                (Some(stamp), None) => journal.sound(stamp, timestamp, at_ns),
                (Some(stamp), Some(frames)) => {
                    let (whole, decodable) = frames.news();
                    if whole {
                        journal.frame(stamp, timestamp, at_ns);
                    }
                    decodable.iter().for_each(|(l, n)| journal.decodable(*l, *n, at_ns));
                }
                (None, _) => {}
            }
        }
        packet
    }

    fn count(&mut self, sequence: u16, timestamp: u32, payload: &[u8], at_ns: u64) -> Packet {
        let number = self.sequences.received().unwrap(sequence);
        let highest = self.sequences.received().highest();
        let came = self.sequences.take(number);
        match came {
            Came::Again => return Packet::Again,
            Came::First => self.reports.first = Some(number),
            Came::Ahead { missing: 0 } => {}
            Came::Ahead { missing } => self.gap(highest.unwrap_or(number), number, missing, at_ns),
            Came::Late => self.missing.retain(|m| m.sequence != number),
        }
        self.reports.arrived(timestamp, at_ns, self.clock_rate);
        if payload.is_empty() {
            return Packet::Padding;
        }
        self.first_packet_ns.get_or_insert(at_ns);
        self.last_packet_ns = at_ns;
        let Some(stamp) = Stamp::read(payload) else {
            self.strangers += 1;
            return Packet::Stranger;
        };
        let of = (stamp.source, stamp.layer);
        if self.of != Some(of) {
            if self.of.is_some() {
                self.numbers.restart();
            }
            self.of = Some(of);
        }
        if self.numbers.take(u64::from(stamp.number)) == Came::Again {
            return Packet::Again;
        }
        if let Some(frames) = &mut self.frames {
            frames.take(&stamp, at_ns);
        }
        Packet::Media { sent_ns: stamp.sent_ns, late: came == Came::Late }
    }

    fn gap(&mut self, highest: u64, number: u64, missing: u64, at_ns: u64) {
        if self.kind == Kind::Audio {
            return;
        }
        if missing > GAP {
            self.missing.clear();
            return;
        }
        let new = |sequence| Missing { sequence, ask_at_ns: at_ns, asked: 0 };
        self.missing.extend((highest + 1..number).map(new));
    }

    /// Sequence numbers to ask for now, lowest first.
    pub fn ask(&mut self, now_ns: u64, out: &mut Vec<u16>) {
        out.clear();
        self.missing.retain_mut(|m| {
            if m.ask_at_ns <= now_ns {
                out.push(m.sequence as u16);
                m.asked += 1;
                m.ask_at_ns = now_ns + ASK_AGAIN_NS;
            }
            m.asked < ASK_AT_MOST
        });
        self.nacked += out.len() as u64;
    }

    /// Whether packets are missing.
    #[inline]
    #[must_use]
    pub fn misses(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Whether a keyframe should be asked for now, as a browser would.
    pub fn wants_keyframe(&mut self, now_ns: u64) -> bool {
        let Some(frames) = &self.frames else { return false };
        let Some(begun) = self.first_packet_ns else { return false };
        let stuck = match frames.last() {
            None => now_ns.saturating_sub(begun) > FIRST_KEYFRAME_NS,
            Some(last) => {
                let alive = now_ns.saturating_sub(self.last_packet_ns) < STUCK_NS;
                alive && now_ns.saturating_sub(last.at_ns) > STUCK_NS
            }
        };
        let before = self.keyframe_asked_ns;
        let again = before.is_none_or(|at| now_ns.saturating_sub(at) > KEYFRAME_AGAIN_NS);
        if stuck && again {
            self.keyframe_asked_ns = Some(now_ns);
            self.plis += 1;
        }
        stuck && again
    }

    /// A sender report came.
    pub fn reported(&mut self, ntp: u64, rtp: u32, at_ns: u64) {
        if let Some(journal) = &mut self.journal {
            journal.mappings.push(Mapping { ntp, rtp, at_ns });
        }
        self.reports.last_report = (ntp >> 16) as u32;
        self.reports.last_report_ns = at_ns;
    }

    /// What a receiver report says; `None` before the first packet.
    pub fn block(&mut self, ssrc: u32, now_ns: u64) -> Option<Block> {
        let highest = self.sequences.received().highest()?;
        Some(self.reports.block(ssrc, highest, now_ns))
    }

    #[must_use]
    pub fn frames(&self) -> Option<&Frames> {
        self.frames.as_deref()
    }

    /// Whether it carries something at this moment, and of which source.
    #[must_use]
    pub fn active(&self, now_ns: u64) -> Option<u8> {
        let heard = now_ns.saturating_sub(self.last_packet_ns) < SILENT_NS;
        self.of.filter(|_| heard).map(|(source, _)| source)
    }

    /// Counts from here on.
    pub fn begin(&mut self) {
        self.sequences.begin();
        self.numbers.begin();
        if let Some(frames) = &mut self.frames {
            frames.begin();
        }
    }

    /// Counts no further, but for what is late.
    pub fn end(&mut self) {
        self.sequences.end();
        self.numbers.end();
        if let Some(frames) = &mut self.frames {
            frames.end();
        }
    }

    /// Packets there should have been and were, by sequence numbers and by the publisher's own.
    #[must_use]
    pub fn counts(&self) -> (Count, Count) {
        (self.sequences.count(), self.numbers.count())
    }
}

impl Reports {
    fn arrived(&mut self, timestamp: u32, at_ns: u64, clock_rate: u32) {
        self.received += 1;
        let arrival = (u128::from(at_ns) * u128::from(clock_rate) / 1_000_000_000) as u32;
        let transit = i64::from(arrival.wrapping_sub(timestamp) as i32);
        if let Some(before) = self.transit {
            let difference = (transit - before).unsigned_abs().min(u64::from(clock_rate)) as u32;
            self.jitter = self.jitter - (self.jitter + 8) / 16 + difference;
        }
        self.transit = Some(transit);
    }

    fn block(&mut self, ssrc: u32, highest: u64, now_ns: u64) -> Block {
        let expected = highest - self.first.unwrap_or(highest) + 1;
        let expected_now = expected - self.expected_before.min(expected);
        let received_now = self.received - self.received_before;
        let lost_now = expected_now.saturating_sub(received_now);
        self.expected_before = expected;
        self.received_before = self.received;
        let fraction = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255);
        let since = now_ns.saturating_sub(self.last_report_ns);
        let delay = (u128::from(since) * 65_536 / 1_000_000_000) as u32;
        Block {
            ssrc,
            fraction_lost: fraction as u8,
            lost: (expected as i64 - self.received as i64) as i32,
            highest: highest as u32,
            jitter: self.jitter / 16,
            last_report: self.last_report,
            delay: if self.last_report == 0 { 0 } else { delay },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(number: u32, refers: u8) -> Vec<u8> {
        let mut payload = vec![0; 60];
        let stamp = Stamp { number, frame: number, refers, count: 1, ..Stamp::default() };
        stamp.write(&mut payload);
        payload
    }

    fn take(line: &mut Reception, sequence: u16, number: u32, at_ms: u64) -> Packet {
        let refers = u8::from(number > 0);
        line.take(1200, sequence, number * 3000, &payload(number, refers), at_ms * 1_000_000)
    }

    #[test]
    fn what_is_missing_is_asked_for_until_it_comes() {
        let mut line = Reception::new(Kind::Video, 90_000);
        let mut asked = Vec::new();
        take(&mut line, 100, 0, 0);
        take(&mut line, 103, 3, 1);
        line.ask(1_000_000, &mut asked);
        assert_eq!(asked, [101, 102]);
        line.ask(50_000_000, &mut asked);
        assert!(asked.is_empty(), "not again so soon");
        assert!(matches!(take(&mut line, 101, 1, 60), Packet::Media { .. }));
        assert_eq!(take(&mut line, 101, 1, 61), Packet::Again);
        line.ask(150_000_000, &mut asked);
        assert_eq!(asked, [102]);
        for round in 1..20 {
            line.ask(150_000_000 + round * ASK_AGAIN_NS, &mut asked);
        }
        assert!(!line.misses() && asked.is_empty(), "given up");
        assert_eq!(line.counts().1, Count { expected: 4, came: 3 });
    }

    #[test]
    fn loss_inside_the_server_is_seen_although_it_numbers_without_gaps() {
        let mut line = Reception::new(Kind::Video, 90_000);
        take(&mut line, 1, 0, 0);
        take(&mut line, 2, 2, 1);
        let (sequences, numbers) = line.counts();
        assert_eq!(sequences, Count { expected: 2, came: 2 });
        assert_eq!(numbers, Count { expected: 3, came: 2 });
    }

    #[test]
    fn a_picture_that_does_not_begin_or_is_stuck_is_asked_for() {
        let mut line = Reception::new(Kind::Video, 90_000);
        let ms = |n: u64| n * 1_000_000;
        assert!(!line.wants_keyframe(ms(5000)), "nothing is sent at all");
        take(&mut line, 1, 1, 0);
        assert!(!line.wants_keyframe(ms(100)));
        assert!(line.wants_keyframe(ms(300)));
        assert!(!line.wants_keyframe(ms(400)), "not twice at once");
        line.take(1200, 2, 0, &payload(2, 0), ms(450));
        assert!(!line.wants_keyframe(ms(1000)));
        take(&mut line, 4, 4, 1800);
        assert!(line.wants_keyframe(ms(1900)), "3 is missing for long");
    }

    #[test]
    fn a_report_tells_loss_since_the_last_one() {
        let mut line = Reception::new(Kind::Video, 90_000);
        (0..8).filter(|n| n % 4 != 3).for_each(|n| {
            take(&mut line, n, u32::from(n), u64::from(n));
        });
        take(&mut line, 8, 8, 8);
        let block = line.block(5, 0).unwrap();
        assert_eq!((block.ssrc, block.lost), (5, 2));
        assert_eq!(block.fraction_lost, (2 * 256 / 9) as u8);
        take(&mut line, 9, 9, 9);
        assert_eq!(line.block(5, 0).unwrap().fraction_lost, 0);
    }
}
