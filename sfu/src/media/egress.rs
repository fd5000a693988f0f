//! One line towards one viewer: gives forwarded packets the viewer's own sequence numbers and
//! timestamps, without a gap or a jump whatever happens at the source: another track bound to
//! the line, a publisher that came back, a mute, packets lost or reordered on the way in.

use super::batch::TrackKey;
use super::cache::Cached;
use cloudschool_protocol::media::Kind;
use std::time::{Duration, Instant};

/// Packets of a video line a viewer may ask for again: 512 at 2 Mbit/s are 2 s.
const SENT_PACKETS: usize = 512;

/// Identifies an unbroken run of one source's numbering: a track's, until its publisher
/// restarts. Every change of source gives a line a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    pub track: TrackKey,
    pub run: u32,
}

#[derive(Debug, Clone, Copy)]
struct Mapping {
    epoch: Epoch,
    base_in: u64,
    base_out: u64,
    timestamp_offset: u32,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    out: u64,
    source: u64,
    epoch: Epoch,
    timestamp_offset: u32,
    again: Option<Instant>,
}

/// A packet asked for twice within this is sent again once: the second request was on its way
/// already, or somebody plays games.
const AGAIN: Duration = Duration::from_millis(20);

/// What a viewer asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The packet's number at the source.
    pub source: u64,
    number: u64,
    timestamp_offset: u32,
}

impl Lost {
    /// The numbers it went out under, or would have.
    #[must_use]
    pub fn numbered(self, packet: &Cached) -> Numbered {
        let timestamp = packet.timestamp.wrapping_add(self.timestamp_offset);
        Numbered { number: self.number, timestamp }
    }
}

/// The numbers a packet goes out under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// Extended sequence number: the low 16 bits go into the header, the rest are the SRTP
    /// rollover counter.
    pub number: u64,
    pub timestamp: u32,
}

impl Numbered {
    /// The header's sequence number.
    #[must_use]
    pub fn sequence(self) -> u16 {
        self.number as u16
    }

    /// SRTP's rollover counter.
    #[must_use]
    pub fn rollover(self) -> u32 {
        (self.number >> 16) as u32
    }
}

/// The numbering of one line.
#[derive(Debug)]
pub struct Egress {
    kind: Kind,
    clock_rate: u32,
    next: u64,
    newest: Option<(u32, Instant)>,
    mapping: Option<Mapping>,
    sent: Vec<Option<Sent>>,
    /// Packets and payload bytes sent, for sender reports.
    pub packets: u32,
    pub octets: u32,
}

impl Egress {
    /// A line that has sent nothing. `first` is the first sequence number: below 2¹⁵, so that
    /// the receiver can't mistake an early wrap (RFC 3711 §3.3.1).
    #[must_use]
    pub fn new(kind: Kind, clock_rate: u32, first: u16) -> Self {
        let kept = if kind == Kind::Video { SENT_PACKETS } else { 0 };
        Self {
            kind,
            clock_rate,
            next: u64::from(first & 0x7fff),
            newest: None,
            mapping: None,
            sent: vec![None; kept],
            packets: 0,
            octets: 0,
        }
    }

    /// Breaks with the source: the next packet, for video the next keyframe, follows on
    /// without a gap.
    pub fn unmap(&mut self) {
        self.mapping = None;
    }

    /// Whether packets of `epoch` are flowing, so that no keyframe is waited for.
    #[must_use]
    pub fn follows(&self, epoch: Epoch) -> bool {
        self.mapping.is_some_and(|m| m.epoch == epoch)
    }

    /// What must be added to the source's timestamps to get this line's.
    #[must_use]
    pub fn timestamp_offset(&self) -> Option<u32> {
        self.mapping.map(|m| m.timestamp_offset)
    }

    /// Numbers a packet, or `None` when this viewer can't use it: it waits for a keyframe, or
    /// the packet is from before the line was bound.
    pub fn number(&mut self, epoch: Epoch, packet: &Cached, now: Instant) -> Option<Numbered> {
        let mapping = match self.mapping.filter(|m| m.epoch == epoch) {
            Some(mapping) => mapping,
            None => self.map(epoch, packet, now)?,
        };
        let ahead = packet.number.checked_sub(mapping.base_in)?;
        let number = mapping.base_out + ahead;
        let timestamp = packet.timestamp.wrapping_add(mapping.timestamp_offset);
        if number >= self.next {
            self.next = number + 1;
            self.newest = Some((timestamp, now));
        }
        let kept = self.sent.len() as u64;
        if let Some(slot) = number.checked_rem(kept).and_then(|at| self.sent.get_mut(at as usize)) {
            let timestamp_offset = mapping.timestamp_offset;
            let source = packet.number;
            *slot = Some(Sent { out: number, source, epoch, timestamp_offset, again: None });
        }
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(packet.payload.len() as u32);
        Some(Numbered { number, timestamp })
    }

    fn map(&mut self, epoch: Epoch, packet: &Cached, now: Instant) -> Option<Mapping> {
        if self.kind == Kind::Video && !packet.keyframe {
            return None;
        }
        let timestamp = match self.newest {
            Some((last, at)) => last.wrapping_add(self.ticks(now - at).max(1)),
            None => packet.timestamp,
        };
        let mapping = Mapping {
            epoch,
            base_in: packet.number,
            base_out: self.next,
            timestamp_offset: timestamp.wrapping_sub(packet.timestamp),
        };
        self.mapping = Some(mapping);
        Some(mapping)
    }

    fn ticks(&self, elapsed: std::time::Duration) -> u32 {
        (elapsed.as_micros() as u64 * u64::from(self.clock_rate) / 1_000_000) as u32
    }

    /// The source packet that goes by `sequence` on this line, to send it again, or for the
    /// first time if it came too late to go out with its fellows. A number belongs to one
    /// packet for ever, so sealing it twice gives the same bytes.
    pub fn lost(&mut self, epoch: Epoch, sequence: u16, now: Instant) -> Option<Lost> {
        let last = self.next.checked_sub(1)?;
        let behind = (last as u16).wrapping_sub(sequence);
        let number = last.checked_sub(u64::from(behind))?;
        let at = number.checked_rem(self.sent.len() as u64)?;
        let slot = self.sent.get_mut(at as usize)?;
        match slot.as_mut().filter(|s| s.out == number) {
            Some(sent) if sent.epoch == epoch => {
                if sent.again.is_some_and(|at| now - at < AGAIN) {
                    return None;
                }
                sent.again = Some(now);
                let Sent { source, timestamp_offset, .. } = *sent;
                Some(Lost { source, number, timestamp_offset })
            }
            Some(_) => None,
            None => {
                let mapping = self.mapping.filter(|m| m.epoch == epoch)?;
                let source = mapping.base_in + number.checked_sub(mapping.base_out)?;
                let timestamp_offset = mapping.timestamp_offset;
                *slot =
                    Some(Sent { out: number, source, epoch, timestamp_offset, again: Some(now) });
                Some(Lost { source, number, timestamp_offset })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: Epoch = Epoch { track: TrackKey(1), run: 0 };
    const B: Epoch = Epoch { track: TrackKey(2), run: 0 };

    fn packet(number: u64, timestamp: u32, keyframe: bool) -> Cached {
        let mut p = Cached::default();
        (p.number, p.timestamp, p.keyframe) = (number, timestamp, keyframe);
        p
    }

    #[test]
    fn video_begins_with_a_keyframe_and_audio_at_once() {
        let now = Instant::now();
        let mut video = Egress::new(Kind::Video, 90_000, 7);
        assert_eq!(video.number(A, &packet(100, 5, false), now), None);
        assert_eq!(video.number(A, &packet(101, 9, true), now).unwrap().number, 7);
        assert_eq!(video.number(A, &packet(100, 5, false), now), None, "from before the keyframe");
        let mut audio = Egress::new(Kind::Audio, 48_000, 7);
        assert_eq!(audio.number(A, &packet(100, 5, false), now).unwrap().number, 7);
    }

    #[test]
    fn another_source_follows_without_a_gap_and_time_goes_on() {
        let now = Instant::now();
        let mut line = Egress::new(Kind::Video, 90_000, 0);
        let first = line.number(A, &packet(100, 1000, true), now).unwrap();
        let later = now + Duration::from_secs(2);
        assert_eq!(line.number(B, &packet(900, 77, false), later), None);
        let second = line.number(B, &packet(901, 80, true), later).unwrap();
        assert_eq!(second.number, first.number + 1);
        assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 180_000);
    }

    #[test]
    fn a_gap_at_the_source_stays_a_gap_so_that_it_can_be_asked_for() {
        let now = Instant::now();
        let mut line = Egress::new(Kind::Video, 90_000, 0);
        line.number(A, &packet(100, 0, true), now).unwrap();
        assert_eq!(line.number(A, &packet(103, 0, false), now).unwrap().number, 3);
        assert_eq!(line.number(A, &packet(101, 0, false), now).unwrap().number, 1, "it came late");
    }

    #[test]
    fn what_was_sent_is_sent_again_once_at_a_time_and_from_its_own_source() {
        let now = Instant::now();
        let mut line = Egress::new(Kind::Video, 90_000, 0);
        line.number(A, &packet(100, 50, true), now).unwrap();
        line.number(A, &packet(102, 60, false), now).unwrap();
        let lost = line.lost(A, 2, now).unwrap();
        let again = lost.numbered(&packet(102, 60, false));
        assert_eq!((lost.source, again.number, again.timestamp), (102, 2, 60));
        assert_eq!(line.lost(A, 2, now), None, "asked twice at once");
        assert!(line.lost(A, 2, now + AGAIN).is_some());
        assert_eq!(line.lost(A, 1, now).unwrap().source, 101, "it may have come by now");
        assert_eq!(line.lost(B, 2, now), None, "another source by now");
        assert_eq!(line.lost(A, 60_000, now), None);
    }

    proptest! {
        /// Whatever the sources do, a viewer never sees one number for two packets.
        #[test]
        fn no_number_is_given_to_two_packets(
            steps in prop::collection::vec((0u8..3, 0u64..40, any::<bool>()), 1..300),
        ) {
            let mut now = Instant::now();
            let mut line = Egress::new(Kind::Video, 90_000, 0x7fff);
            let mut given = std::collections::HashMap::new();
            let mut at = [1000u64, 5000, 9000];
            for (source, step, keyframe) in steps {
                now += Duration::from_millis(10);
                let i = usize::from(source);
                at[i] += step;
                let number = at[i].saturating_sub(20);
                let epoch = Epoch { track: TrackKey(i as u32), run: 0 };
                if let Some(n) = line.number(epoch, &packet(number, number as u32, keyframe), now) {
                    let before = given.insert(n.number, (i, number));
                    prop_assert!(before.is_none_or(|b| b == (i, number)), "{n:?} given twice");
                }
            }
        }
    }
}
