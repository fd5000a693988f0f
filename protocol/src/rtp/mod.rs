//! RTP packets as bytes (RFC 3550 §5.1): reading the header, rewriting it in place, and what
//! a forwarder needs to know of a payload: does a keyframe begin here, and which layer is it.
//!
//! Nothing allocates per packet and no input panics: a packet that isn't RTP has no [`Header`].

pub mod av1;
mod bits;
pub mod dependency;
mod extension;
pub mod h264;
pub mod opus;
pub mod red;
pub mod vp8;
pub mod vp9;

pub use extension::{Elements, append_elements, block_len, elements, extension, put_elements};

use crate::media::{AUDIO_LEVEL_EXTENSION, Codec};

/// The fixed header's length.
pub const FIXED_HEADER: usize = 12;

/// The parts of an RTP header that forwarding, recording and analysis look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Where the payload begins: after CSRCs and header extension.
    pub payload_offset: usize,
    /// Where it ends: before padding.
    pub payload_end: usize,
}

impl Header {
    /// Reads the header of `packet`, or `None` when it isn't a whole RTP version 2 packet.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let fixed = packet.first_chunk::<FIXED_HEADER>()?;
        let [b0, b1, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if b0 >> 6 != 2 {
            return None;
        }
        let mut offset = FIXED_HEADER + 4 * usize::from(b0 & 0x0f);
        if b0 & 0x10 != 0 {
            let words = packet.get(offset + 2..offset + 4)?.first_chunk::<2>()?;
            offset += 4 + 4 * usize::from(u16::from_be_bytes(*words));
        }
        let mut end = packet.len();
        if b0 & 0x20 != 0 {
            let padding = usize::from(*packet.last()?);
            if padding == 0 {
                return None;
            }
            end = end.checked_sub(padding)?;
        }
        if offset > end {
            return None;
        }
        Some(Self {
            marker: b1 & 0x80 != 0,
            payload_type: b1 & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            payload_offset: offset,
            payload_end: end,
        })
    }

    /// The payload, padding taken off.
    #[must_use]
    pub fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        packet.get(self.payload_offset..self.payload_end).unwrap_or_default()
    }
}

/// Sets the payload type in place, the marker kept.
pub fn set_payload_type(packet: &mut [u8], payload_type: u8) {
    if let Some(b) = packet.get_mut(1) {
        *b = (*b & 0x80) | (payload_type & 0x7f);
    }
}

/// Sets the sequence number in place.
pub fn set_sequence(packet: &mut [u8], sequence: u16) {
    if let Some(b) = packet.get_mut(2..4) {
        b.copy_from_slice(&sequence.to_be_bytes());
    }
}

/// Sets the timestamp in place.
pub fn set_timestamp(packet: &mut [u8], timestamp: u32) {
    if let Some(b) = packet.get_mut(4..8) {
        b.copy_from_slice(&timestamp.to_be_bytes());
    }
}

/// Sets the synchronisation source in place.
pub fn set_ssrc(packet: &mut [u8], ssrc: u32) {
    if let Some(b) = packet.get_mut(8..12) {
        b.copy_from_slice(&ssrc.to_be_bytes());
    }
}

/// The first contributing source (CSRC, RFC 3550 §5.1) of a packet, if it names any.
#[must_use]
pub fn contributing_source(packet: &[u8]) -> Option<u32> {
    let named = packet.first().is_some_and(|b| b & 0x0f != 0);
    let source = packet.get(FIXED_HEADER..)?.first_chunk::<4>().filter(|_| named)?;
    Some(u32::from_be_bytes(*source))
}

/// The RFC 6464 audio level of a packet inside our nodes or on the trunk: 0 is the loudest
/// and 127 silence (−dBov); and whether the sender's voice detector fired.
#[must_use]
pub fn audio_level(packet: &[u8]) -> Option<(u8, bool)> {
    let byte = *extension(packet, AUDIO_LEVEL_EXTENSION)?.first()?;
    Some((byte & 0x7f, byte & 0x80 != 0))
}

/// Whether a decoder that has seen nothing can begin with the frame whose first packet has
/// this payload. True for every Opus packet. For H.264 the frame must bring its parameter
/// sets, as WebRTC senders do: an SPS alone, in a STAP-A, or before an IDR.
#[must_use]
pub fn starts_keyframe(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus => true,
        Codec::H264 => h264::begins_keyframe(payload),
        Codec::Vp8 => vp8::Descriptor::parse(payload).is_some_and(|d| d.begins_keyframe(payload)),
        Codec::Vp9 => vp9::Descriptor::parse(payload).is_some_and(|d| d.begins_keyframe()),
        Codec::Av1 => av1::AggregationHeader::parse(payload).is_some_and(|h| h.begins_keyframe()),
    }
}

/// Length of the VP8 payload descriptor (RFC 7741 §4.2).
#[must_use]
pub fn vp8_descriptor_len(payload: &[u8]) -> Option<usize> {
    vp8::Descriptor::parse(payload).map(|d| d.len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(extension: Option<&[u8]>, payload: &[u8]) -> Vec<u8> {
        let mut p = vec![0x80, 0x80 | 111, 0x12, 0x34, 0, 0, 0, 9, 0xaa, 0xbb, 0xcc, 0xdd];
        if let Some(e) = extension {
            p[0] |= 0x10;
            p.extend_from_slice(&[0xbe, 0xde, 0, (e.len() / 4) as u8]);
            p.extend_from_slice(e);
        }
        p.extend_from_slice(payload);
        p
    }

    #[test]
    fn a_header_is_read_and_rewritten() {
        let mut p = packet(None, b"hello");
        let h = Header::parse(&p).unwrap();
        assert_eq!((h.marker, h.payload_type, h.sequence, h.timestamp), (true, 111, 0x1234, 9));
        assert_eq!(h.payload(&p), b"hello");
        set_payload_type(&mut p, 96);
        set_sequence(&mut p, 1);
        set_timestamp(&mut p, 2);
        set_ssrc(&mut p, 3);
        let h = Header::parse(&p).unwrap();
        assert_eq!(
            (h.marker, h.payload_type, h.sequence, h.timestamp, h.ssrc),
            (true, 96, 1, 2, 3)
        );
    }

    #[test]
    fn padding_is_not_payload() {
        let mut p = packet(None, b"hello\0\0\x03");
        p[0] |= 0x20;
        assert_eq!(Header::parse(&p).unwrap().payload(&p), b"hello");
        *p.last_mut().unwrap() = 200;
        assert_eq!(Header::parse(&p), None);
    }

    #[test]
    fn the_first_contributing_source_is_read() {
        let mut p = packet(None, &[0, 0, 0, 7, 0, 0, 0, 8, b'x']);
        assert_eq!(contributing_source(&p), None);
        p[0] |= 2;
        assert_eq!(contributing_source(&p), Some(7));
        assert_eq!(Header::parse(&p).unwrap().payload(&p), b"x");
        assert_eq!(contributing_source(&p[..14]), None);
    }

    #[test]
    fn the_audio_level_is_found_behind_padding_and_other_elements() {
        let p = packet(Some(&[0, 0x31, 1, 2, 0x10, 0x80 | 33, 0, 0]), b"x");
        assert_eq!(audio_level(&p), Some((33, true)));
        assert_eq!(Header::parse(&p).unwrap().payload(&p), b"x");
    }

    #[test]
    fn an_h264_keyframe_begins_with_its_parameter_sets() {
        assert!(starts_keyframe(Codec::H264, &[0x67, 0x42]));
        assert!(starts_keyframe(Codec::H264, &[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68]));
        assert!(!starts_keyframe(Codec::H264, &[0x7c, 0x85]), "an IDR fragment without an SPS");
        assert!(!starts_keyframe(Codec::H264, &[0x41, 0x9a]));
    }

    #[test]
    fn a_vp8_keyframe_is_seen_behind_a_full_descriptor() {
        assert!(starts_keyframe(Codec::Vp8, &[0x10, 0x00]));
        assert!(!starts_keyframe(Codec::Vp8, &[0x10, 0x01]));
        assert!(starts_keyframe(Codec::Vp8, &[0x90, 0xe0, 0x81, 0x02, 0x05, 0x20, 0x00]));
        assert!(!starts_keyframe(Codec::Vp8, &[0x00, 0x00]), "the middle of a frame");
    }

    #[test]
    fn keyframes_of_layered_codecs_begin_with_their_lowest_layer() {
        assert!(starts_keyframe(Codec::Vp9, &[0x08]));
        assert!(starts_keyframe(Codec::Vp9, &[0xa8, 0x81, 0x02, 0x00, 0x07]));
        assert!(!starts_keyframe(Codec::Vp9, &[0xa8, 0x81, 0x02, 0x03, 0x07]), "a higher layer");
        assert!(!starts_keyframe(Codec::Vp9, &[0x48]), "predicted from another picture");
        assert!(starts_keyframe(Codec::Av1, &[0x18, 0x0a]));
        assert!(!starts_keyframe(Codec::Av1, &[0x10, 0x0a]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(h) = Header::parse(&bytes) { let _ = h.payload(&bytes); }
            let _ = audio_level(&bytes);
            let _ = contributing_source(&bytes);
            for codec in [Codec::Opus, Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1] { let _ = starts_keyframe(codec, &bytes); }
        }
    }
}
