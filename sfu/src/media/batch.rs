//! Opened packets of one encoding of a track on their way to another shard or up a trunk: a
//! value, not a pile of shared pieces. This lane may drop; what must arrive goes by commands.

use super::cut::Cut;
use super::egress::Shift;
use super::outlet::Offer;
use cloudschool_protocol::media::{
    AUDIO_LEVEL_EXTENSION, Codec, DEPENDENCY_DESCRIPTOR_EXTENSION, RED_PAYLOAD_TYPE,
};
use cloudschool_protocol::rtp;
use std::sync::{Arc, OnceLock};

/// Bytes of a packet's length in front of it, a QUIC variable-length integer as in a stream up
/// a trunk (RFC 9000 §16): of packets below [`LONG`], and of longer ones.
const LENGTH: usize = 2;
const LONG_LENGTH: usize = 4;
const LONG: usize = 1 << 14;

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
    body: Arc<Body>,
    count: usize,
    /// A new mapping of the publisher's clock, if one came.
    pub clock: Option<Clock>,
    /// These are of pictures that stand until the next one.
    pub still: bool,
    /// What the track could be sent as, told from time to time to whoever chooses.
    pub offer: Option<Box<Offer>>,
}

/// The bytes of a batch.
#[derive(Debug, Default)]
struct Body {
    /// Each packet behind its length.
    bytes: Vec<u8>,
    cut: OnceLock<Cut>,
}

impl Clone for Body {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), cut: OnceLock::new() }
    }
}

/// A packet among others.
#[derive(Debug, Clone, Copy)]
pub struct Among<'a> {
    pub bytes: &'a [u8],
    /// Bytes of those behind it.
    pub rest: usize,
}

/// The packets of a batch's bytes.
pub fn packets_of(bytes: &[u8]) -> impl Iterator<Item = Among<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, packets) = match *rest {
            [a, b, ..] if a >> 6 == 1 => {
                (usize::from(u16::from_be_bytes([a & 0x3f, b])), rest.get(LENGTH..)?)
            }
            [a, b, c, d, ..] if a >> 6 == 2 => {
                (u32::from_be_bytes([a & 0x3f, b, c, d]) as usize, rest.get(LONG_LENGTH..)?)
            }
            _ => return None,
        };
        let (bytes, after) = packets.split_at_checked(length)?;
        rest = after;
        Some(Among { bytes, rest: rest.len() })
    })
}

/// The length of a packet as it stands in front of it, in [`LENGTH`] bytes or more.
fn put_length(bytes: &mut Vec<u8>, length: u16, long: bool) {
    if long {
        bytes.extend_from_slice(&(u32::from(length) | 0x8000_0000).to_be_bytes());
    } else {
        bytes.extend_from_slice(&(length | 0x4000).to_be_bytes());
    }
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
        let body = Arc::default();
        Self { track, encoding, codec, body, count: 0, clock: None, still: false, offer: None }
    }

    fn bytes_mut(&mut self) -> &mut Vec<u8> {
        let body = Arc::make_mut(&mut self.body);
        body.cut.take();
        &mut body.bytes
    }

    /// Makes room for so many packets of up to `payload` bytes each.
    pub fn reserve(&mut self, packets: usize, payload: usize) {
        self.bytes_mut().reserve(packets * (LENGTH + AROUND + payload));
    }

    /// Adds a whole, normalised RTP packet.
    pub fn push_packet(&mut self, packet: &[u8]) {
        let Ok(length) = u16::try_from(packet.len()) else { return };
        let bytes = self.bytes_mut();
        bytes.reserve(LONG_LENGTH + packet.len());
        put_length(bytes, length, packet.len() >= LONG);
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
        let most = AROUND + parts.dependencies.len() + parts.payload.len();
        let prefix = if most < LONG { LENGTH } else { LONG_LENGTH };
        let bytes = self.bytes_mut();
        let before = bytes.len();
        bytes.reserve(prefix + most);
        // Its room; how long the packet is, is known at its end.
        put_length(bytes, 0, most >= LONG);
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
        let length = u16::try_from(bytes.len() - before - prefix);
        match (length, bytes.get_mut(before..before + prefix)) {
            (Ok(length), Some([.., high, low])) => {
                let [more_high, more_low] = length.to_be_bytes();
                // The marks of its width are in the bits that are no length.
                if prefix == LENGTH {
                    *high |= more_high;
                } else {
                    *high = more_high;
                }
                *low = more_low;
            }
            _ => return bytes.truncate(before),
        }
        self.count += 1;
    }

    /// The same, with the picture ids inside the payload shifted.
    pub fn push_shifted(&mut self, parts: &Parts<'_>, shift: Shift) {
        let before = self.count;
        self.push(parts);
        let grown = self.count > before;
        let bytes = self.bytes_mut();
        let from = bytes.len().saturating_sub(parts.payload.len());
        if let Some(payload) = bytes.get_mut(from..).filter(|_| grown) {
            shift.apply(payload);
        }
    }

    /// The packets, whole.
    pub fn packets(&self) -> impl Iterator<Item = &[u8]> {
        packets_of(&self.body.bytes).map(|packet| packet.bytes)
    }

    /// What they say of themselves, read once for all clones.
    pub fn cut(&self) -> &Cut {
        self.body.cut.get_or_init(|| Cut::of(self.codec, &self.body.bytes))
    }

    /// Whether both are the same bytes in memory.
    #[cfg(test)]
    pub fn shares_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.body, &other.body)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    #[must_use]
    pub fn has_no_packets(&self) -> bool {
        self.count == 0
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
    fn packets_of_any_length_lie_as_in_a_stream() {
        let packets = [0usize, 1, 63, 64, 1200, LONG - 1, LONG, 65_535].map(|len| vec![9; len]);
        let mut batch = TrackBatch::new(TrackKey(1), 0, Codec::H264);
        packets.iter().for_each(|packet| batch.push_packet(packet));
        assert_eq!(batch.packets().collect::<Vec<_>>(), packets.each_ref());
        let mut decoder = cloudschool_protocol::roq::StreamDecoder::default();
        decoder.push(&[7]);
        decoder.push(&batch.cut().bytes);
        for packet in &packets {
            assert_eq!(decoder.next(), Ok(Some((7, &packet[..]))));
        }
        for len in [LONG - AROUND, LONG, LONG + 700] {
            let parts = Parts {
                marker: false,
                red: false,
                sequence: 1,
                timestamp: 2,
                ssrc: 3,
                level: None,
                speaker: None,
                dependencies: &[],
                payload: &vec![7; len],
            };
            let mut batch = TrackBatch::new(TrackKey(1), 0, Codec::H264);
            batch.push(&parts);
            assert_eq!(batch.packets().next().unwrap().len(), 12 + len);
        }
    }

    #[test]
    fn a_batch_that_grows_is_cut_anew() {
        let mut batch = TrackBatch::new(TrackKey(1), 0, Codec::Opus);
        let packet = [&[0x80, 111, 0, 1][..], &[0; 8], b"x"].concat();
        batch.push_packet(&packet);
        batch.push_packet(b"no RTP");
        let copy = batch.clone();
        assert_eq!(batch.cut().pieces.len(), 1);
        batch.push_packet(&packet);
        let ends: Vec<_> = batch.cut().pieces.iter().map(|p| (p.from, p.packet, p.to)).collect();
        assert_eq!(ends, [(0, 2, 15), (23, 25, 38)]);
        assert_eq!(copy.cut().pieces.len(), 1);
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
