//! The last packets of one track: what retransmissions and late joiners are served from.
//!
//! A packet is kept normalised: a plain 12-byte header is all a viewer gets, so only marker,
//! timestamp and payload are stored, under the packet's extended sequence number. Slots are
//! reused, so a running track allocates nothing.

use cloudschool_protocol::rtp::Header;
use std::collections::VecDeque;

/// Packets kept of a video track: about 4 s at 2 Mbit/s, longer than any useful retransmission.
pub const VIDEO_PACKETS: usize = 1024;
/// Packets kept of an audio track: nobody retransmits audio, but a turn's packets stay here
/// until they have gone out.
pub const AUDIO_PACKETS: usize = 64;

/// One packet as it came.
#[derive(Debug, Default)]
pub struct Cached {
    /// Extended sequence number; meaningful when `used`.
    pub number: u64,
    used: bool,
    pub marker: bool,
    pub timestamp: u32,
    /// A decoder can begin here.
    pub keyframe: bool,
    /// The RFC 6464 byte, of audio.
    pub level: Option<u8>,
    pub payload: Vec<u8>,
}

/// A ring of packets by extended sequence number.
#[derive(Debug)]
pub struct PacketCache {
    slots: Vec<Cached>,
}

impl PacketCache {
    /// A cache of `capacity` packets.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(capacity.max(1), Cached::default);
        Self { slots }
    }

    fn slot(&self, number: u64) -> usize {
        (number % self.slots.len() as u64) as usize
    }

    /// Stores a packet. Returns false when it is a duplicate, or so old that its place has
    /// been taken by a newer one.
    pub fn insert(&mut self, number: u64, header: &Header, payload: &[u8], keyframe: bool) -> bool {
        let at = self.slot(number);
        let Some(slot) = self.slots.get_mut(at) else { return false };
        if slot.used && slot.number >= number {
            return false;
        }
        slot.number = number;
        slot.used = true;
        slot.marker = header.marker;
        slot.timestamp = header.timestamp;
        slot.keyframe = keyframe;
        slot.level = None;
        slot.payload.clear();
        slot.payload.extend_from_slice(payload);
        true
    }

    /// Notes how loud the packet of that number is.
    pub fn set_level(&mut self, number: u64, level: Option<u8>) {
        let at = self.slot(number);
        if let Some(slot) = self.slots.get_mut(at).filter(|s| s.used && s.number == number) {
            slot.level = level;
        }
    }

    /// The packet of that number, if still kept.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Cached> {
        self.slots.get(self.slot(number)).filter(|s| s.used && s.number == number)
    }

    /// Forgets all packets, keeping their memory.
    pub fn clear(&mut self) {
        self.slots.iter_mut().for_each(|s| s.used = false);
    }
}

/// Skipped numbers remembered, so that a packet that comes late gets the number it would have
/// had in time. A publisher probing its line sends them in bursts of some ten.
const SKIPS: usize = 256;

/// Extends 16-bit sequence numbers to 64 bits (RFC 3711 §3.3.1 does the same for its index),
/// and closes the gaps of packets that are not forwarded: a browser probes its line with
/// packets of nothing but padding, in the numbering of its video.
#[derive(Debug, Default)]
pub struct Numbering {
    highest: Option<u64>,
    skipped: VecDeque<u64>,
    /// Skipped numbers that are not remembered one by one any more.
    skipped_before: u64,
}

impl Numbering {
    fn extend(&mut self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else {
            // A cycle below the first, so that packets reordered around it have numbers too.
            let first = (1 << 16) + u64::from(sequence);
            self.highest = Some(first);
            return first;
        };
        let ahead = sequence.wrapping_sub(highest as u16) as i16;
        let extended = highest.saturating_add_signed(i64::from(ahead));
        self.highest = Some(highest.max(extended));
        extended
    }

    /// Whether `sequence` can belong to the run of numbers so far (RFC 3550 §A.1: a source that
    /// was restarted, or not heard for long, jumps).
    #[must_use]
    pub fn continues(&self, sequence: u16) -> bool {
        const MAX_DROPOUT: i16 = 3000;
        const MAX_MISORDER: i16 = 1000;
        self.highest.is_none_or(|highest| {
            let ahead = sequence.wrapping_sub(highest as u16) as i16;
            (-MAX_MISORDER..=MAX_DROPOUT).contains(&ahead)
        })
    }

    fn close_up(&self, extended: u64) -> u64 {
        let skipped = self.skipped.iter().filter(|s| **s < extended).count() as u64;
        extended.saturating_sub(self.skipped_before + skipped)
    }

    /// The number of a packet that goes on.
    pub fn number(&mut self, sequence: u16) -> u64 {
        let extended = self.extend(sequence);
        self.close_up(extended)
    }

    /// Leaves a packet out, so that the next one takes its number. One that comes after its
    /// successor has left its gap already.
    pub fn skip(&mut self, sequence: u16) {
        let before = self.highest;
        let extended = self.extend(sequence);
        if before.is_none_or(|b| extended > b) {
            if self.skipped.len() == SKIPS {
                self.skipped.pop_front();
                self.skipped_before += 1;
            }
            self.skipped.push_back(extended);
        }
    }

    /// The highest number given.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        self.highest.map(|h| self.close_up(h))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(timestamp: u32) -> Header {
        Header {
            marker: false,
            payload_type: 102,
            sequence: 0,
            timestamp,
            ssrc: 0,
            payload_offset: 12,
            payload_end: 12,
        }
    }

    #[test]
    fn a_packet_is_kept_until_a_newer_one_needs_its_place() {
        let mut cache = PacketCache::new(4);
        assert!(cache.insert(10, &header(1), b"a", true));
        assert!(!cache.insert(10, &header(1), b"a", true), "a duplicate");
        assert!(cache.insert(14, &header(2), b"b", false));
        assert!(cache.get(10).is_none());
        assert_eq!(cache.get(14).unwrap().payload, b"b");
        assert!(!cache.insert(6, &header(3), b"c", false), "older than what is there");
    }

    #[test]
    fn padding_leaves_no_gap_and_a_late_packet_still_fills_its_own() {
        let mut numbers = Numbering::default();
        let first = numbers.number(10);
        numbers.skip(12);
        numbers.skip(13);
        assert_eq!(numbers.number(14), first + 2, "11 is still awaited");
        assert_eq!(numbers.highest(), Some(first + 2));
        assert_eq!(numbers.number(11), first + 1);
        numbers.skip(16);
        assert_eq!(numbers.number(17), first + 4, "15 is still awaited");
    }

    proptest! {
        #[test]
        fn numbers_grow_through_wraps_and_reordering(start in any::<u16>(), steps in prop::collection::vec(-20i64..200, 1..500)) {
            let mut numbers = Numbering::default();
            let base = numbers.number(start);
            let mut truth = base as i64;
            let mut highest = truth;
            for step in steps {
                truth = (highest + step).max(base as i64 - 100);
                highest = highest.max(truth);
                prop_assert_eq!(numbers.number(truth as u16) as i64, truth);
            }
            prop_assert_eq!(numbers.highest().unwrap() as i64, highest);
        }

        /// No two packets get one number, and without loss there is no gap, whatever is padding.
        #[test]
        fn padding_is_closed_up(start in any::<u16>(), padding in prop::collection::vec(any::<bool>(), 1..2000)) {
            let mut numbers = Numbering::default();
            let mut last = None;
            for (i, padding) in padding.into_iter().enumerate() {
                let sequence = start.wrapping_add(i as u16);
                if padding {
                    numbers.skip(sequence);
                } else {
                    let number = numbers.number(sequence);
                    prop_assert!(last.is_none_or(|l| number == l + 1));
                    last = Some(number);
                }
            }
        }
    }
}
