//! The last packets of one encoding: what a turn's forwarding, retransmissions and late
//! joiners are served from.
//!
//! A packet is kept normalised: a viewer gets a header of its own, so only marker, timestamp
//! and payload are stored, under the packet's extended sequence number. Places are reused, so
//! a running track allocates nothing.

use super::batch::TrackKey;
use super::layers::Description;

/// Packets kept of a video encoding: about 4 s at 2 Mbit/s, longer than any useful
/// retransmission.
pub const VIDEO_PACKETS: usize = 1024;

/// Room a place is given when it is first used, so that it is never too small for the next
/// packet: a full datagram of video, a voice packet with its redundancy.
pub const VIDEO_ROOM: usize = 1200;
pub const AUDIO_ROOM: usize = 512;

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
    pub description: Description,
    /// The RFC 6464 byte, of audio.
    pub level: Option<u8>,
    /// Whose voice it is, of a stream in which voices follow each other.
    pub speaker: Option<TrackKey>,
    /// The payload is RFC 2198 redundancy; the codec's own block begins at `primary`.
    pub red: bool,
    pub primary: u16,
    /// RTP padding it is forwarded with, the same to every viewer: a packet's number stands
    /// for the same bytes for ever, or its nonce would serve twice.
    pub padding: u8,
    pub payload: Vec<u8>,
    /// The dependency descriptor, empty where there is none.
    pub dependencies: Vec<u8>,
}

impl Cached {
    /// The payload without redundancy.
    #[must_use]
    pub fn primary(&self) -> &[u8] {
        self.payload.get(usize::from(self.primary)..).unwrap_or_default()
    }
}

/// What a packet is made of when it comes in.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    pub marker: bool,
    pub timestamp: u32,
    pub description: Description,
    pub level: Option<u8>,
    pub speaker: Option<TrackKey>,
    pub red: bool,
    pub primary: u16,
    pub payload: &'a [u8],
    pub dependencies: &'a [u8],
}

/// A ring of packets by extended sequence number.
#[derive(Debug)]
pub struct PacketCache {
    places: Vec<Cached>,
    room: usize,
}

impl PacketCache {
    /// A cache of `capacity` packets with payloads of mostly up to `room` bytes.
    #[must_use]
    pub fn new(capacity: usize, room: usize) -> Self {
        let mut places = Vec::new();
        places.resize_with(capacity.max(1), Cached::default);
        Self { places, room }
    }

    fn place(&self, number: u64) -> usize {
        (number % self.places.len() as u64) as usize
    }

    /// Stores a packet. Returns false when it is a duplicate, or so old that its place has
    /// been taken by a newer one.
    pub fn insert(&mut self, number: u64, incoming: &Incoming<'_>) -> bool {
        let at = self.place(number);
        let Some(place) = self.places.get_mut(at) else { return false };
        if place.used && place.number >= number {
            return false;
        }
        place.number = number;
        place.used = true;
        place.marker = incoming.marker;
        place.timestamp = incoming.timestamp;
        place.description = incoming.description;
        place.level = incoming.level;
        place.speaker = incoming.speaker;
        place.red = incoming.red;
        place.primary = incoming.primary;
        place.padding = 0;
        place.payload.clear();
        place.payload.reserve_exact(self.room.max(incoming.payload.len()));
        place.payload.extend_from_slice(incoming.payload);
        place.dependencies.clear();
        place.dependencies.extend_from_slice(incoming.dependencies);
        true
    }

    /// The packet of that number, if still kept.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Cached> {
        self.places.get(self.place(number)).filter(|p| p.used && p.number == number)
    }

    /// The same, to settle its padding before it is first forwarded.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Cached> {
        let at = self.place(number);
        self.places.get_mut(at).filter(|p| p.used && p.number == number)
    }

    /// Forgets all packets, keeping their memory.
    pub fn clear(&mut self) {
        self.places.iter_mut().for_each(|p| p.used = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(payload: &[u8]) -> Incoming<'_> {
        Incoming {
            marker: false,
            timestamp: 0,
            description: Description::default(),
            level: None,
            speaker: None,
            red: false,
            primary: 0,
            payload,
            dependencies: &[],
        }
    }

    #[test]
    fn a_packet_is_kept_until_a_newer_one_needs_its_place() {
        let mut cache = PacketCache::new(4, 100);
        assert!(cache.insert(10, &incoming(b"a")));
        assert!(!cache.insert(10, &incoming(b"a")), "a duplicate");
        assert!(cache.insert(14, &incoming(b"b")));
        assert!(cache.get(10).is_none());
        assert_eq!(cache.get(14).unwrap().payload, b"b");
        assert!(!cache.insert(6, &incoming(b"c")), "older than what is there");
    }

    #[test]
    fn redundancy_is_taken_off_by_where_the_codecs_block_begins() {
        let mut cache = PacketCache::new(4, 100);
        cache.insert(1, &Incoming { red: true, primary: 5, ..incoming(b"\x80old!opus") });
        assert_eq!(cache.get(1).unwrap().primary(), b"opus");
    }
}
