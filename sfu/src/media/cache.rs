//! The last packets of one track: what retransmissions and late joiners are served from.
//!
//! A packet is kept normalised: a plain 12-byte header is all a viewer gets, so only marker,
//! timestamp and payload are stored, under the packet's extended sequence number. Slots are
//! reused, so a running track allocates nothing.

use super::layers::Description;
use cloudschool_protocol::rtp::Header;

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
    /// Its place among the layers of its encoding.
    pub description: Description,
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
    pub fn insert(
        &mut self,
        number: u64,
        header: &Header,
        payload: &[u8],
        description: Description,
    ) -> bool {
        let at = self.slot(number);
        let Some(slot) = self.slots.get_mut(at) else { return false };
        if slot.used && slot.number >= number {
            return false;
        }
        slot.number = number;
        slot.used = true;
        slot.marker = header.marker;
        slot.timestamp = header.timestamp;
        slot.description = description;
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let plain = Description::plain(true, true, true);
        let mut cache = PacketCache::new(4);
        assert!(cache.insert(10, &header(1), b"a", plain));
        assert!(!cache.insert(10, &header(1), b"a", plain), "a duplicate");
        assert!(cache.insert(14, &header(2), b"b", plain));
        assert!(cache.get(10).is_none());
        assert_eq!(cache.get(14).unwrap().payload, b"b");
        assert!(!cache.insert(6, &header(3), b"c", plain), "older than what is there");
    }
}
