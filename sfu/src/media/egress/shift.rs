//! What is added to the picture ids inside a payload, so that a viewer's decoder sees one
//! series whatever the sources and layers behind it.

use crate::media::layers::Pictures;
use cloudschool_protocol::rtp::{vp8, vp9};

/// What a line adds to a packet's picture ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shift {
    pub(super) picture: u16,
    pub(super) tl0: u8,
    pub(super) pictures: Pictures,
}

impl Shift {
    /// Nothing is changed.
    pub const NONE: Shift = Shift { picture: 0, tl0: 0, pictures: Pictures::None };

    /// Whether nothing is changed.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.picture == 0 && self.tl0 == 0
    }

    /// Adds to the ids of `payload` in place; its length stays.
    #[inline]
    pub fn apply(self, payload: &mut [u8]) {
        if self.is_none() {
            return;
        }
        match self.pictures {
            Pictures::None => {}
            Pictures::Vp8 => vp8::shift(payload, self.picture, self.tl0),
            Pictures::Vp9 => vp9::shift(payload, self.picture, self.tl0),
        }
    }
}
