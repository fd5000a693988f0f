//! Dependency descriptors, and packets of all codecs as they are described for forwarding.

use crate::pieces;
use cloudschool_protocol::media::Codec;
use cloudschool_protocol::rtp::dependency::{MAX_TARGETS, Reader};
use cloudschool_sfu::media::layers::{Describer, MAX_LAYERS};

/// The descriptors of one encoding, one after the other: each may build on those before.
pub fn dependency(data: &[u8]) {
    let mut reader = Reader::default();
    for descriptor in pieces(data) {
        let Ok(frame) = reader.read(descriptor) else { continue };
        let structure = reader.structure().expect("it was read by one");
        let targets = structure.targets();
        assert!(!targets.is_empty() && targets.len() <= MAX_TARGETS);
        assert!(
            structure
                .templates()
                .iter()
                .any(|t| (t.spatial, t.temporal) == (frame.spatial, frame.temporal))
        );
        for target in 0..=MAX_TARGETS {
            let _ = (frame.indications.of(target), structure.protecting_chain(target));
        }
        let _ = (structure.resolution(frame.spatial), frame.chains.differences());
    }
}

/// Packets of one encoding: for each a codec and a marker, its payload, and its descriptor.
pub fn describe(data: &[u8]) {
    let mut describer = Describer::default();
    let mut pieces = pieces(data);
    while let (Some(kind), Some(payload)) = (pieces.next(), pieces.next()) {
        let descriptor = pieces.next().filter(|d| !d.is_empty());
        let kind = kind.first().copied().unwrap_or_default();
        let codec = match kind & 7 {
            0 => Codec::Vp8,
            1 => Codec::Vp9,
            2 => Codec::Av1,
            3 => Codec::H264,
            _ => Codec::Opus,
        };
        let description = describer.describe(codec, kind & 0x80 != 0, payload, descriptor);
        assert!(description.spatial() < MAX_LAYERS && description.temporal() < MAX_LAYERS);
    }
}
