//! The newest keyframe of a track as a decoder takes it: a picture of a lesson for those who look
//! at many, at no cost but its copying. Nothing is decoded here.

use cloudschool_protocol::media::Codec;
use cloudschool_protocol::rtp::{h264, vp8, vp9};
use std::time::Duration;

/// Largest picture handed out, in bytes.
pub const MAX_BYTES: usize = 512 * 1024;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// One keyframe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    pub codec: Codec,
    /// H.264 as a byte stream (ITU-T H.264 annex B) with its parameter sets, VP8 and VP9 as one
    /// frame.
    pub bytes: Vec<u8>,
    /// How old it is.
    pub age: Duration,
}

/// Puts the packets of one keyframe together. `None` when they don't make a whole picture of
/// at most [`MAX_BYTES`], or the codec is one that can't be put together so (AV1).
pub fn assemble<'a>(codec: Codec, payloads: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for payload in payloads {
        match codec {
            Codec::H264 => byte_stream(&mut out, payload)?,
            Codec::Vp8 => {
                let descriptor = vp8::Descriptor::parse(payload)?;
                out.extend_from_slice(payload.get(descriptor.len..)?);
            }
            Codec::Vp9 => {
                let descriptor = vp9::Descriptor::parse(payload)?;
                // Of several sizes the smallest: the others build on it.
                if descriptor.layer.is_none_or(|layer| layer.spatial == 0) {
                    out.extend_from_slice(payload.get(descriptor.len..)?);
                }
            }
            Codec::Av1 | Codec::Opus => return None,
        }
        if out.len() > MAX_BYTES {
            return None;
        }
    }
    (!out.is_empty()).then_some(out)
}

/// The units of a packet, back in a byte stream.
fn byte_stream(out: &mut Vec<u8>, payload: &[u8]) -> Option<()> {
    for unit in h264::units(payload) {
        if unit.begins {
            out.extend_from_slice(&START_CODE);
            out.push(unit.header);
        } else if out.is_empty() {
            return None;
        }
        out.extend_from_slice(unit.body);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_whole_aggregated_and_in_fragments_make_one_byte_stream() {
        let packets: [&[u8]; 3] = [
            &[0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce],
            &[0x7c, 0x85, 0x88, 1],
            &[0x7c, 0x45, 2, 3],
        ];
        let stream = assemble(Codec::H264, packets.into_iter()).unwrap();
        let whole = [
            &[0, 0, 0, 1, 0x67, 0x42][..],
            &[0, 0, 0, 1, 0x68, 0xce],
            &[0, 0, 0, 1, 0x65, 0x88, 1, 2, 3],
        ];
        assert_eq!(stream, whole.concat());
    }

    #[test]
    fn what_is_no_whole_picture_makes_none() {
        assert_eq!(assemble(Codec::H264, [&[0x7c, 0x45, 2][..]].into_iter()), None);
        assert_eq!(assemble(Codec::H264, std::iter::empty()), None);
        assert_eq!(assemble(Codec::Av1, [&[0x18, 1][..]].into_iter()), None);
        let large = vec![0x65; 1 << 16];
        let much = std::iter::repeat_n(&large[..], 9);
        assert_eq!(assemble(Codec::H264, much), None);
    }

    #[test]
    fn a_vp8_frame_loses_its_descriptors() {
        let packets: [&[u8]; 2] = [&[0x10, 0x9d, 1], &[0x00, 0x2a]];
        assert_eq!(assemble(Codec::Vp8, packets.into_iter()), Some(vec![0x9d, 1, 0x2a]));
    }

    proptest! {
        #[test]
        fn no_payloads_make_it_panic(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6),
        ) {
            for codec in [Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::Opus] {
                let _ = assemble(codec, payloads.iter().map(Vec::as_slice));
            }
        }
    }
}
