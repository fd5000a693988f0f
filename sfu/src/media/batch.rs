//! Opened packets of one encoding of a track on their way to another shard or up a trunk: a
//! value, not a pile of shared pieces. This lane may drop; what must arrive goes by commands.

use super::egress::Shift;
use super::outlet::Offer;
use cloudschool_protocol::media::{
    AUDIO_LEVEL_EXTENSION, Codec, DEPENDENCY_DESCRIPTOR_EXTENSION, RED_PAYLOAD_TYPE,
};
use cloudschool_protocol::rtp;

/// A track as this node numbers it; never reused while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackKey(pub u32);

/// The publisher's clock: the NTP time (32.32, RFC 3550 §4) of an RTP timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    pub ntp: u64,
    pub rtp: u32,
}

/// Packets of one encoding, in the order they came.
#[derive(Debug, Clone)]
pub struct TrackBatch {
    pub track: TrackKey,
    pub encoding: u8,
    pub codec: Codec,
    bytes: Vec<u8>,
    ends: Vec<usize>,
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
        let (bytes, ends) = (Vec::new(), Vec::new());
        Self { track, encoding, codec, bytes, ends, clock: None, still: false, offer: None }
    }

    /// Adds a whole, normalised RTP packet.
    pub fn push_packet(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.ends.push(self.bytes.len());
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
        self.bytes.push(0x80 | u8::from(present) << 4 | sources);
        self.bytes.push(u8::from(parts.marker) << 7 | payload_type);
        self.bytes.extend_from_slice(&parts.sequence.to_be_bytes());
        self.bytes.extend_from_slice(&parts.timestamp.to_be_bytes());
        self.bytes.extend_from_slice(&parts.ssrc.to_be_bytes());
        if let Some(TrackKey(source)) = parts.speaker {
            self.bytes.extend_from_slice(&source.to_be_bytes());
        }
        if present {
            rtp::append_elements(&mut self.bytes, &extensions);
        }
        self.bytes.extend_from_slice(parts.payload);
        self.ends.push(self.bytes.len());
    }

    /// The same, with the picture ids inside the payload shifted.
    pub fn push_shifted(&mut self, parts: &Parts<'_>, shift: Shift) {
        self.push(parts);
        let from = self.bytes.len() - parts.payload.len();
        if let Some(payload) = self.bytes.get_mut(from..) {
            shift.apply(payload);
        }
    }

    /// The packets, whole.
    pub fn packets(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, end)| self.bytes.get(start..*end))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.clock.is_none() && self.offer.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::rtp::{Header, audio_level, contributing_source};

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
