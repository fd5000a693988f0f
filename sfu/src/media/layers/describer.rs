//! Describes the packets of one encoding, as they come in.

use super::description::Description;
use cloudschool_protocol::media::{Codec, Kind};
use cloudschool_protocol::rtp;

/// What is remembered of one encoding's packets to describe the next. A new source of the
/// encoding begins with a new one.
#[derive(Debug, Default)]
pub struct Describer {}

impl Describer {
    /// Describes a packet by its payload, padding taken off, and by its dependency descriptor
    /// (AV1 RTP specification, appendix A) where it brought one.
    pub fn describe(
        &mut self,
        codec: Codec,
        marker: bool,
        payload: &[u8],
        _dependency_descriptor: Option<&[u8]>,
    ) -> Description {
        let keyframe = codec.kind() == Kind::Video && rtp::starts_keyframe(codec, payload);
        Description::plain(keyframe, keyframe, marker)
    }
}
