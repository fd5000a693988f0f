//! What the packets of a batch say of themselves, and their bytes as they lie in a stream up a
//! trunk: read and made once, however many trunks they go up.

use super::batch::packets_of;
use bytes::Bytes;
use cloudschool_protocol::media::Codec;
use cloudschool_protocol::rtp::{Header, starts_keyframe};

/// A batch, cut into its packets.
#[derive(Debug)]
pub struct Cut {
    /// The packets, each behind its length as a QUIC variable-length integer.
    pub bytes: Bytes,
    pub pieces: Vec<Piece>,
}

/// A packet of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub number: u16,
    pub timestamp: u32,
    pub marker: bool,
    /// A keyframe begins in it.
    pub keyframe: bool,
    /// No other frame needs the one it is part of, as far as that can be told.
    pub discardable: bool,
    /// Where its length begins, where the packet does, and where it ends.
    pub from: usize,
    pub packet: usize,
    pub to: usize,
}

impl Cut {
    /// Of the bytes of a batch. What is no RTP is left out.
    #[must_use]
    pub fn of(codec: Codec, bytes: &[u8]) -> Self {
        let mut from = 0;
        let mut pieces = Vec::new();
        for packet in packets_of(bytes) {
            let to = bytes.len() - packet.rest;
            let begin = to - packet.bytes.len();
            if let Some(header) = Header::parse(packet.bytes) {
                let payload = header.payload(packet.bytes);
                pieces.push(Piece {
                    number: header.sequence,
                    timestamp: header.timestamp,
                    marker: header.marker,
                    keyframe: starts_keyframe(codec, payload),
                    discardable: discardable(codec, payload),
                    from,
                    packet: begin,
                    to,
                });
            }
            from = to;
        }
        Self { bytes: Bytes::copy_from_slice(bytes), pieces }
    }
}

/// Whether no other frame needs the one this payload is part of, as far as that can be told.
fn discardable(codec: Codec, payload: &[u8]) -> bool {
    match (codec, payload) {
        // nal_ref_idc, which aggregates and fragments repeat (RFC 6184 §5.3, §5.7, §5.8).
        (Codec::H264, [first, ..]) => first & 0x60 == 0,
        // The N bit (RFC 7741 §4.2).
        (Codec::Vp8, [first, ..]) => first & 0x20 != 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_needs_says_so() {
        assert!(discardable(Codec::H264, &[0x01]) && !discardable(Codec::H264, &[0x41]));
        assert!(discardable(Codec::Vp8, &[0x30, 0]) && !discardable(Codec::Vp8, &[0x10, 0]));
        assert!(!discardable(Codec::H264, &[]) && !discardable(Codec::Av1, &[0]));
    }
}
