//! Opened packets of one encoding of a track on their way to another shard or up a trunk: a
//! value, not a pile of shared pieces. This lane may drop; what must arrive goes by commands.

use super::egress::Shift;
use super::outlet::Offer;
use cloudschool_protocol::media::{
    AUDIO_LEVEL_EXTENSION, Codec, DEPENDENCY_DESCRIPTOR_EXTENSION, RED_PAYLOAD_TYPE,
};
use cloudschool_protocol::rtp;
use std::sync::Arc;

/// Bytes of a packet's length in front of it.
const LENGTH: usize = 2;

/// Most bytes around a payload, the dependency descriptor not counted: header, contributing
/// source, audio level, padding.
const AROUND: usize = 12 + 4 + 4 + 4 + 3;

/// A track as this node numbers it; never reused while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackKey(pub u32);

/// The publisher's clock: the NTP time (32.32, RFC 3550 §4) of an RTP timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    pub ntp: u64,
    pub rtp: u32,
}

/// Packets of one encoding, in the order they came. A clone shares them.
#[derive(Debug, Clone)]
pub struct TrackBatch {
    pub track: TrackKey,
    pub encoding: u8,
    pub codec: Codec,
    /// Each packet behind its length, [`LENGTH`] bytes.
    bytes: Arc<Vec<u8>>,
    count: usize,
    /// A new mapping of the publisher's clock, if one came.
    pub clock: Option<Clock>,
    /// These are of pictures that stand until the next one.
    pub still: bool,
    /// What the track could be sent as, told from time to time to whoever chooses.
    pub offer: Option<Box<Offer>>,
}

/// The parts a packet is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub marker: bool,
    /// The payload is RFC 2198 redundancy.
    pub red: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// The RFC 6464 byte.
    pub level: Option<u8>,
    /// Whose voice it is, of a stream in which voices follow each other.
    pub speaker: Option<TrackKey>,
    /// The dependency descriptor, or nothing.
    pub dependencies: &'a [u8],
    pub payload: &'a [u8],
}

impl TrackBatch {
    #[must_use]
    pub fn new(track: TrackKey, encoding: u8, codec: Codec) -> Self {
        let bytes = Arc::default();
        Self { track, encoding, codec, bytes, count: 0, clock: None, still: false, offer: None }
    }

    /// Makes room for so many packets of up to `payload` bytes each.
    pub fn reserve(&mut self, packets: usize, payload: usize) {
        Arc::make_mut(&mut self.bytes).reserve(packets * (LENGTH + AROUND + payload));
    }

    /// Adds a whole, normalised RTP packet.
    pub fn push_packet(&mut self, packet: &[u8]) {
        let Ok(length) = u16::try_from(packet.len()) else { return };
        let bytes = Arc::make_mut(&mut self.bytes);
        bytes.reserve(LENGTH + packet.len());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(packet);
        self.count += 1;
    }

    /// Adds a packet from its parts, normalised: our payload type for the codec, who speaks as
    /// contributing source, and as header extensions only the audio level and the dependency
    /// descriptor.
    pub fn push(&mut self, parts: &Parts<'_>) {
        let level = parts.level.as_slice();
        let extensions =
            [(AUDIO_LEVEL_EXTENSION, level), (DEPENDENCY_DESCRIPTOR_EXTENSION, parts.dependencies)];
        let present = extensions.iter().any(|(_, value)| !value.is_empty());
        let payload_type = if parts.red { RED_PAYLOAD_TYPE } else { self.codec.payload_type() };
        let sources = u8::from(parts.speaker.is_some());
        let bytes = Arc::make_mut(&mut self.bytes);
        let before = bytes.len();
        bytes.reserve(LENGTH + AROUND + parts.dependencies.len() + parts.payload.len());
        bytes.extend_from_slice(&[0; LENGTH]);
        bytes.push(0x80 | u8::from(present) << 4 | sources);
        bytes.push(u8::from(parts.marker) << 7 | payload_type);
        bytes.extend_from_slice(&parts.sequence.to_be_bytes());
        bytes.extend_from_slice(&parts.timestamp.to_be_bytes());
        bytes.extend_from_slice(&parts.ssrc.to_be_bytes());
        if let Some(TrackKey(source)) = parts.speaker {
            bytes.extend_from_slice(&source.to_be_bytes());
        }
        if present {
            rtp::append_elements(bytes, &extensions);
        }
        bytes.extend_from_slice(parts.payload);
        // No payload is so large: it came in a datagram.
        match (u16::try_from(bytes.len() - before - LENGTH), bytes.get_mut(before..)) {
            (Ok(length), Some([high, low, ..])) => [*high, *low] = length.to_be_bytes(),
            _ => return bytes.truncate(before),
        }
        self.count += 1;
    }

    /// The same, with the picture ids inside the payload shifted.
    pub fn push_shifted(&mut self, parts: &Parts<'_>, shift: Shift) {
        let before = self.count;
        self.push(parts);
        let bytes = Arc::make_mut(&mut self.bytes);
        let from = bytes.len().saturating_sub(parts.payload.len());
        if let Some(payload) = bytes.get_mut(from..).filter(|_| self.count > before) {
            shift.apply(payload);
        }
    }

    /// The packets, whole.
    pub fn packets(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (length, packets) = rest.split_first_chunk::<LENGTH>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (packet, after) = packets.split_at_checked(length)?;
            rest = after;
            Some(packet)
        })
    }

    /// Whether both are the same bytes in memory.
    #[cfg(test)]
    pub fn shares_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bytes, &other.bytes)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.clock.is_none() && self.offer.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::rtp::{Header, audio_level, contributing_source};

    #[test]
    fn what_no_udp_datagram_holds_is_left_out_and_the_rest_stays_whole() {
        let mut batch = TrackBatch::new(TrackKey(1), 0, Codec::H264);
        batch.push_packet(b"first");
        batch.push_packet(&[0; 70_000]);
        let payload = [7; 65_530];
        let parts = Parts {
            marker: false,
            red: false,
            sequence: 1,
            timestamp: 2,
            ssrc: 3,
            level: None,
            speaker: None,
            dependencies: &[],
            payload: &payload,
        };
        batch.push_shifted(&parts, Shift::default());
        batch.push_packet(b"");
        let copy = batch.clone();
        batch.push_packet(b"last");
        let packets = |batch: &TrackBatch| batch.packets().map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(packets(&batch), [&b"first"[..], b"", b"last"]);
        assert_eq!(packets(&copy), [&b"first"[..], b""], "a clone is a value of its own");
        assert_eq!((batch.len(), copy.len()), (3, 2));
    }

    #[test]
    fn a_normalised_packet_reads_back() {
        let mut batch = TrackBatch::new(TrackKey(1), 0, Codec::Opus);
        let parts = Parts {
            marker: true,
            red: false,
            sequence: 9,
            timestamp: 960,
            ssrc: 5,
            level: Some(0x80 | 30),
            speaker: None,
            dependencies: &[],
            payload: b"opus",
        };
        batch.push(&parts);
        batch.push(&Parts { level: None, red: true, speaker: Some(TrackKey(9)), ..parts });
        let packets: [&[u8]; 2] = batch.packets().collect::<Vec<_>>().try_into().unwrap();
        let header = Header::parse(packets[0]).unwrap();
        assert_eq!((header.payload_type, header.sequence, header.marker), (111, 9, true));
        assert_eq!(header.payload(packets[0]), b"opus");
        assert_eq!(audio_level(packets[0]), Some((30, true)));
        let header = Header::parse(packets[1]).unwrap();
        assert_eq!(header.payload(packets[1]), b"opus");
        assert_eq!(header.payload_type, RED_PAYLOAD_TYPE);
        assert_eq!(packets.map(contributing_source), [None, Some(9)]);
    }

    #[test]
    fn a_long_dependency_descriptor_survives() {
        let mut batch = TrackBatch::new(TrackKey(1), 2, Codec::Av1);
        let dependencies: Vec<u8> = (0..60).collect();
        batch.push(&Parts {
            marker: false,
            red: false,
            sequence: 1,
            timestamp: 2,
            ssrc: 3,
            level: None,
            speaker: None,
            dependencies: &dependencies,
            payload: b"av1",
        });
        let packet = batch.packets().next().unwrap();
        let found: Vec<_> = rtp::elements(packet).collect();
        assert_eq!(found, [(DEPENDENCY_DESCRIPTOR_EXTENSION, &dependencies[..])]);
        assert_eq!(Header::parse(packet).unwrap().payload(packet), b"av1");
    }
}
