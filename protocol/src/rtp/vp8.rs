//! The VP8 payload descriptor (RFC 7741 §4.2): read, and its picture ids rewritten in place.

/// One packet's descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// The frame's first packet: the start of partition 0.
    pub begins_frame: bool,
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX: counts frames of the lowest temporal layer.
    pub tl0_picture_index: Option<u8>,
    /// TID: the temporal layer, 0 the slowest.
    pub temporal: Option<u8>,
    /// Y: the frame refers to the lowest temporal layer alone.
    pub layer_sync: bool,
    /// Bytes of the descriptor; the frame's data follow.
    pub len: usize,
    picture_id_at: usize,
    tl0_at: usize,
}

/// A picture id as long as it was sent (also of VP9, RFC 9628 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureId {
    Short(u8),
    Long(u16),
}

impl PictureId {
    /// Its value, and how many bits it is counted in.
    #[must_use]
    pub fn value(self) -> (u16, u32) {
        match self {
            PictureId::Short(id) => (u16::from(id), 7),
            PictureId::Long(id) => (id, 15),
        }
    }

    /// Reads the id at the front, and how many bytes it takes.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let first = *bytes.first()?;
        if first & 0x80 == 0 {
            return Some((PictureId::Short(first), 1));
        }
        Some((PictureId::Long(u16::from_be_bytes([first & 0x7f, *bytes.get(1)?])), 2))
    }

    /// Adds to the id at the front, modulo its length.
    pub(super) fn shift(bytes: &mut [u8], by: u16) {
        match bytes {
            [first, second, ..] if *first & 0x80 != 0 => {
                let id = u16::from_be_bytes([*first, *second]).wrapping_add(by) | 0x8000;
                [*first, *second] = id.to_be_bytes();
            }
            [first, ..] if *first & 0x80 == 0 => *first = first.wrapping_add(by as u8) & 0x7f,
            _ => {}
        }
    }
}

impl Descriptor {
    /// Reads the descriptor at the front of a payload.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let mut this = Self { begins_frame: first & 0x17 == 0x10, len: 1, ..Self::default() };
        if first & 0x80 == 0 {
            return Some(this);
        }
        let fields = *payload.get(1)?;
        this.len = 2;
        if fields & 0x80 != 0 {
            let (id, bytes) = PictureId::parse(payload.get(this.len..)?)?;
            this.picture_id = Some(id);
            this.picture_id_at = this.len;
            this.len += bytes;
        }
        if fields & 0x40 != 0 {
            this.tl0_picture_index = Some(*payload.get(this.len)?);
            this.tl0_at = this.len;
            this.len += 1;
        }
        if fields & 0x30 != 0 {
            let layer = *payload.get(this.len)?;
            if fields & 0x20 != 0 {
                this.temporal = Some(layer >> 6);
                this.layer_sync = layer & 0x20 != 0;
            }
            this.len += 1;
        }
        Some(this)
    }

    /// Whether the packet begins a key frame: the frame header's first bit is the inverse key
    /// frame flag (RFC 6386 §9.1).
    #[must_use]
    pub fn begins_keyframe(&self, payload: &[u8]) -> bool {
        self.begins_frame && payload.get(self.len).is_some_and(|b| b & 0x01 == 0)
    }
}

/// Adds to the picture id and to TL0PICIDX of a payload, where it has them.
pub fn shift(payload: &mut [u8], picture_id: u16, tl0_picture_index: u8) {
    let Some(descriptor) = Descriptor::parse(payload) else { return };
    if descriptor.picture_id.is_some()
        && let Some(id) = payload.get_mut(descriptor.picture_id_at..)
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
    fn descriptors_of_every_length_are_read() {
        // Chromium's: X, S; I, L, T, K; a 15-bit id; TL0PICIDX; TID 2 with Y; then a delta frame.
        let payload = [0x90, 0xf0, 0x81, 0x02, 0x05, 0xa0, 0x01];
        let d = Descriptor::parse(&payload).unwrap();
        assert_eq!(d.picture_id, Some(PictureId::Long(0x102)));
        assert_eq!((d.tl0_picture_index, d.temporal, d.layer_sync), (Some(5), Some(2), true));
        assert_eq!((d.len, d.begins_frame, d.begins_keyframe(&payload)), (6, true, false));
        // RFC 7741 §4.6.1 and §4.6.2: a key frame with a short id, and a plain second packet.
        let payload = [0x90, 0x80, 0x17, 0x00];
        let d = Descriptor::parse(&payload).unwrap();
        assert_eq!((d.picture_id, d.len), (Some(PictureId::Short(0x17)), 3));
        assert!(d.begins_keyframe(&payload));
        assert_eq!(Descriptor::parse(&[0x00, 0x00]).unwrap().len, 1);
        assert!(!Descriptor::parse(&[0x11, 0x00]).unwrap().begins_frame, "a later partition");
    }

    #[test]
    fn cut_descriptors_are_refused() {
        let payload = [0x90, 0xf0, 0x81, 0x02, 0x05, 0xa0];
        for len in 0..payload.len() {
            assert_eq!(Descriptor::parse(&payload[..len]), None, "{len}");
        }
    }

    #[test]
    fn ids_wrap_at_their_own_length() {
        let mut long = [0x90, 0xc0, 0xff, 0xff, 0xff, 0xaa];
        shift(&mut long, 2, 1);
        assert_eq!(long, [0x90, 0xc0, 0x80, 0x01, 0x00, 0xaa]);
        let mut short = [0x90, 0x80, 0x7f, 0xaa];
        shift(&mut short, 0x102, 9);
        assert_eq!(short, [0x90, 0x80, 0x01, 0xaa]);
    }

    proptest! {
        #[test]
        fn a_shift_changes_nothing_but_the_ids(
            mut payload in prop::collection::vec(any::<u8>(), 0..12), picture in any::<u16>(), tl0 in any::<u8>(),
        ) {
            let before = payload.clone();
            shift(&mut payload, picture, tl0);
            if let Some(was) = Descriptor::parse(&before) {
                let is = Descriptor::parse(&payload).unwrap();
                prop_assert_eq!((is.len, is.temporal, is.begins_frame), (was.len, was.temporal, was.begins_frame));
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
