//! Opened packets of one track on their way to another shard or up a trunk: a value, not a
//! pile of shared pieces. This lane may drop; what must arrive goes by commands.

use cloudschool_protocol::media::{AUDIO_LEVEL_EXTENSION, Codec};

/// A track as this node numbers it; never reused while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackKey(pub u32);

/// The publisher's clock: the NTP time (32.32, RFC 3550 §4) of an RTP timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    pub ntp: u64,
    pub rtp: u32,
}

/// Packets of one track, in the order they came.
#[derive(Debug, Clone)]
pub struct TrackBatch {
    pub track: TrackKey,
    pub codec: Codec,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// A new mapping of the publisher's clock, if one came.
    pub clock: Option<Clock>,
}

impl TrackBatch {
    #[must_use]
    pub fn new(track: TrackKey, codec: Codec) -> Self {
        Self { track, codec, bytes: Vec::new(), ends: Vec::new(), clock: None }
    }

    /// Adds a whole RTP packet.
    pub fn push(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.ends.push(self.bytes.len());
    }

    /// Adds a packet from its parts, normalised: our payload type for the codec, and the audio
    /// level, if any, as its only header extension.
    pub fn push_parts(&mut self, parts: &Parts<'_>) {
        let extension = parts.level.is_some();
        self.bytes.push(if extension { 0x90 } else { 0x80 });
        self.bytes.push(u8::from(parts.marker) << 7 | self.codec.payload_type());
        self.bytes.extend_from_slice(&parts.sequence.to_be_bytes());
        self.bytes.extend_from_slice(&parts.timestamp.to_be_bytes());
        self.bytes.extend_from_slice(&parts.ssrc.to_be_bytes());
        if let Some(level) = parts.level {
            let element = AUDIO_LEVEL_EXTENSION << 4;
            self.bytes.extend_from_slice(&[0xbe, 0xde, 0, 1, element, level, 0, 0]);
        }
        self.bytes.extend_from_slice(parts.payload);
        self.ends.push(self.bytes.len());
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
        self.ends.is_empty() && self.clock.is_none()
    }
}

/// The parts a normalised packet is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// The RFC 6464 byte.
    pub level: Option<u8>,
    pub payload: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::rtp::{Header, audio_level};

    #[test]
    fn a_normalised_packet_reads_back() {
        let mut batch = TrackBatch::new(TrackKey(1), Codec::Opus);
        let parts = Parts {
            marker: true,
            sequence: 9,
            timestamp: 960,
            ssrc: 5,
            level: Some(0x80 | 30),
            payload: b"opus",
        };
        batch.push_parts(&parts);
        batch.push_parts(&Parts { level: None, ..parts });
        let packets: Vec<_> = batch.packets().collect();
        assert_eq!(packets.len(), 2);
        let header = Header::parse(packets[0]).unwrap();
        assert_eq!((header.payload_type, header.sequence, header.marker), (111, 9, true));
        assert_eq!(header.payload(packets[0]), b"opus");
        assert_eq!(audio_level(packets[0]), Some((30, true)));
        assert_eq!(Header::parse(packets[1]).unwrap().payload(packets[1]), b"opus");
    }
}
