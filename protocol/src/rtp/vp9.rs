//! The VP9 payload descriptor (RFC 9628 §4.2): read, and its picture ids rewritten in place.

use super::vp8::PictureId;

/// One packet's descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    pub picture_id: Option<PictureId>,
    /// P: the frame refers to earlier pictures.
    pub inter_picture: bool,
    /// B: the first packet of a frame of one spatial layer.
    pub begins_frame: bool,
    /// E: the last packet of a frame of one spatial layer.
    pub ends_frame: bool,
    pub layer: Option<Layer>,
    /// TL0PICIDX; sent in the non-flexible mode alone.
    pub tl0_picture_index: Option<u8>,
    /// V: spatial layers there are, from the scalability structure.
    pub spatial_layers: Option<u8>,
    /// Bytes of the descriptor; the frame's data follow.
    pub len: usize,
    tl0_at: usize,
}

/// The layer indices (L).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layer {
    /// TID, 0 the slowest.
    pub temporal: u8,
    /// U: later pictures of higher temporal layers refer to no earlier picture above this one's
    /// temporal layer, so that a receiver can go up from here.
    pub switching_up_point: bool,
    /// SID, 0 the smallest.
    pub spatial: u8,
    /// D: the frame refers to the next lower spatial layer of its picture.
    pub inter_layer: bool,
}

/// Reference differences a flexible mode packet may have (§4.2, P_DIFF).
const MAX_DIFFERENCES: usize = 3;

impl Descriptor {
    /// Reads the descriptor at the front of a payload.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let flexible = first & 0x10 != 0;
        let mut this = Self {
            inter_picture: first & 0x40 != 0,
            begins_frame: first & 0x08 != 0,
            ends_frame: first & 0x04 != 0,
            len: 1,
            ..Self::default()
        };
        if first & 0x80 != 0 {
            let (id, bytes) = PictureId::parse(payload.get(this.len..)?)?;
            this.picture_id = Some(id);
            this.len += bytes;
        }
        if first & 0x20 != 0 {
            let layer = *payload.get(this.len)?;
            this.layer = Some(Layer {
                temporal: layer >> 5,
                switching_up_point: layer & 0x10 != 0,
                spatial: layer >> 1 & 0x07,
                inter_layer: layer & 0x01 != 0,
            });
            this.len += 1;
            if !flexible {
                this.tl0_picture_index = Some(*payload.get(this.len)?);
                this.tl0_at = this.len;
                this.len += 1;
            }
        }
        if flexible && this.inter_picture {
            for more in 1..=MAX_DIFFERENCES {
                let difference = *payload.get(this.len)?;
                this.len += 1;
                if difference & 0x01 == 0 {
                    break;
                }
                if more == MAX_DIFFERENCES {
                    return None;
                }
            }
        }
        if first & 0x02 != 0 {
            let (layers, bytes) = structure(payload.get(this.len..)?)?;
            this.spatial_layers = Some(layers);
            this.len += bytes;
        }
        Some(this)
    }

    /// Whether the packet begins a picture that refers to no other, at its lowest spatial layer.
    #[must_use]
    pub fn begins_keyframe(&self) -> bool {
        let lowest = self.layer.is_none_or(|l| l.spatial == 0 && !l.inter_layer);
        self.begins_frame && !self.inter_picture && lowest
    }
}

/// The scalability structure (§4.2.1): spatial layers, and its length.
fn structure(bytes: &[u8]) -> Option<(u8, usize)> {
    let head = *bytes.first()?;
    let layers = (head >> 5) + 1;
    let mut len = 1;
    if head & 0x10 != 0 {
        len += 4 * usize::from(layers);
    }
    if head & 0x08 != 0 {
        let pictures = *bytes.get(len)?;
        len += 1;
        for _ in 0..pictures {
            let references = *bytes.get(len)? >> 2 & 0x03;
            len += 1 + usize::from(references);
        }
    }
    (len <= bytes.len()).then_some((layers, len))
}

/// Adds to the picture id and to TL0PICIDX of a payload, where it has them.
pub fn shift(payload: &mut [u8], picture_id: u16, tl0_picture_index: u8) {
    let Some(descriptor) = Descriptor::parse(payload) else { return };
    if descriptor.picture_id.is_some()
        && let Some(id) = payload.get_mut(1..)
    {
        PictureId::shift(id, picture_id);
    }
    if descriptor.tl0_picture_index.is_some()
        && let Some(index) = payload.get_mut(descriptor.tl0_at)
    {
        *index = index.wrapping_add(tl0_picture_index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_non_flexible_key_picture_with_its_structure_is_read() {
        // I, L, B, V as Chromium sends for the lowest of three spatial layers: a 15-bit id,
        // layer indices, TL0PICIDX, then three resolutions and four pictures of a group.
        let mut payload = vec![0x80 | 0x20 | 0x08 | 0x02, 0x92, 0x34, 0x00, 0x07];
        payload.push(2 << 5 | 0x10 | 0x08);
        payload.extend_from_slice(&[1, 64, 0, 180, 2, 128, 1, 104, 5, 0, 2, 208]);
        payload.extend_from_slice(&[4, 0x14, 4, 0x54, 1, 0x34, 2, 0x58, 1, 2]);
        let len = payload.len();
        payload.extend_from_slice(b"frame");
        let d = Descriptor::parse(&payload).unwrap();
        assert_eq!(d.picture_id, Some(PictureId::Long(0x1234)));
        assert_eq!((d.layer.unwrap(), d.tl0_picture_index), (Layer::default(), Some(7)));
        assert_eq!((d.spatial_layers, d.len), (Some(3), len));
        assert!(d.begins_keyframe() && !d.ends_frame);
    }

    #[test]
    fn flexible_references_are_walked_and_no_more_than_three_are_taken() {
        let payload = [0xf0 | 0x08, 0x05, 0x32, 0x03, 0x04, 0xaa];
        let d = Descriptor::parse(&payload).unwrap();
        assert_eq!(
            (d.picture_id, d.tl0_picture_index, d.len),
            (Some(PictureId::Short(5)), None, 5)
        );
        let layer = d.layer.unwrap();
        assert_eq!((layer.temporal, layer.spatial, layer.switching_up_point), (1, 1, true));
        assert!(!d.begins_keyframe());
        assert_eq!(Descriptor::parse(&[0x50, 0x03, 0x05, 0x07, 0x08]), None);
    }

    #[test]
    fn a_higher_spatial_layer_of_a_key_picture_begins_nothing() {
        let d = Descriptor::parse(&[0xa8, 0x05, 0x03, 0x00]).unwrap();
        assert!(d.begins_frame && !d.inter_picture && !d.begins_keyframe());
    }

    proptest! {
        #[test]
        fn a_shift_changes_nothing_but_the_ids(
            mut payload in prop::collection::vec(any::<u8>(), 0..40), picture in any::<u16>(), tl0 in any::<u8>(),
        ) {
            let before = payload.clone();
            shift(&mut payload, picture, tl0);
            if let Some(was) = Descriptor::parse(&before) {
                let is = Descriptor::parse(&payload).unwrap();
                prop_assert!(is.len <= payload.len());
                prop_assert_eq!((is.len, is.layer, is.spatial_layers), (was.len, was.layer, was.spatial_layers));
                if let (Some(is), Some(was)) = (is.picture_id, was.picture_id) {
                    let ((is, bits), (was, _)) = (is.value(), was.value());
                    prop_assert_eq!(is, was.wrapping_add(picture) & ((1 << bits) - 1));
                }
            }
            shift(&mut payload, picture.wrapping_neg(), tl0.wrapping_neg());
            prop_assert_eq!(payload, before);
        }
    }
}
