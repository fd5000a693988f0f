//! What is known of one packet's place among the layers of its encoding: small, copied with the
//! packet, read once per viewer.

/// Layers of a kind that are told apart. WebRTC's scalability modes have at most three; what
/// lies above the fourth counts as the fourth.
pub const MAX_LAYERS: u8 = 4;

/// One decode target (AV1 RTP specification §A.4): all frames a decoder needs to show spatial
/// layer `spatial` at the frame rate of temporal layer `temporal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Cell(u8);

impl Cell {
    /// Layers above [`MAX_LAYERS`] count as the highest.
    #[must_use]
    pub const fn new(spatial: u8, temporal: u8) -> Self {
        let top = MAX_LAYERS - 1;
        let s = if spatial > top { top } else { spatial };
        let t = if temporal > top { top } else { temporal };
        Self(s * MAX_LAYERS + t)
    }

    #[must_use]
    pub const fn spatial(self) -> u8 {
        self.0 / MAX_LAYERS
    }

    #[must_use]
    pub const fn temporal(self) -> u8 {
        self.0 % MAX_LAYERS
    }

    /// All cells there can be.
    pub fn all() -> impl Iterator<Item = Cell> {
        (0..MAX_LAYERS * MAX_LAYERS).map(Cell)
    }
}

/// A set of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cells(u16);

impl Cells {
    pub const NONE: Cells = Cells(0);
    pub const ALL: Cells = Cells(u16::MAX);

    #[must_use]
    pub const fn of(cell: Cell) -> Self {
        Self(1 << cell.0)
    }

    /// Those a frame of this layer belongs to when every layer builds on all below it.
    #[must_use]
    pub fn from(cell: Cell) -> Self {
        Self::where_(|c| c.spatial() >= cell.spatial() && c.temporal() >= cell.temporal())
    }

    /// Those a stream has whose highest layers are `cell`'s.
    #[must_use]
    pub fn up_to(cell: Cell) -> Self {
        Self::where_(|c| c.spatial() <= cell.spatial() && c.temporal() <= cell.temporal())
    }

    /// Those for which `wanted` holds.
    #[must_use]
    pub fn where_(wanted: impl Fn(Cell) -> bool) -> Self {
        Cell::all().filter(|c| wanted(*c)).fold(Self::NONE, |set, c| set.with(c))
    }

    #[must_use]
    pub const fn with(self, cell: Cell) -> Self {
        Self(self.0 | 1 << cell.0)
    }

    #[must_use]
    pub const fn has(self, cell: Cell) -> bool {
        self.0 & 1 << cell.0 != 0
    }

    /// One layer of each kind: nothing to choose.
    #[must_use]
    pub const fn is_plain(self) -> bool {
        self.0 == Self::of(Cell::new(0, 0)).0
    }

    /// The cells of the set.
    pub fn iter(self) -> impl Iterator<Item = Cell> {
        Cell::all().filter(move |c| self.has(*c))
    }
}

/// Which payload descriptor carries picture ids that a line renumbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pictures {
    /// None, as in H.264 and AV1.
    #[default]
    None,
    /// RFC 7741: consecutive, so that those of dropped pictures are closed up.
    Vp8,
    /// RFC 9628: pictures refer to each other by difference, so that dropped ones leave gaps.
    Vp9,
}

/// One packet among the layers of its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Frames this one refers to: bit n is the frame n + 1 before it. Of structured frames.
    pub(super) needs: u32,
    /// The frame (of one spatial layer) the packet is part of; wraps.
    pub(super) frame: u16,
    /// The picture id continued to 16 bits: its low bits are those in the payload.
    pub(in crate::media) picture: u16,
    /// Decode targets the frame is part of.
    pub(in crate::media) present: Cells,
    /// Those that can be followed from this frame on.
    pub(super) switch: Cells,
    /// Those the publisher sends at present.
    pub(super) active: Cells,
    /// TL0PICIDX.
    pub(super) tl0: u8,
    pub(super) cell: Cell,
    pub(in crate::media) pictures: Pictures,
    pub(super) flags: u8,
}

impl Description {
    pub(super) const KEYFRAME: u8 = 1;
    pub(super) const BEGINS: u8 = 2;
    pub(super) const ENDS: u8 = 4;
    /// By a dependency descriptor: `needs` says on what the frame depends.
    pub(super) const STRUCTURED: u8 = 8;
    /// Depends on more than `needs` can say.
    pub(super) const NEEDS_FAR: u8 = 16;
    /// Lower decode targets are subsets of higher ones.
    pub(super) const NESTED: u8 = 32;
    pub(super) const HAS_TL0: u8 = 64;

    /// A packet of an encoding that has no layers.
    #[must_use]
    pub fn plain(keyframe: bool, begins_frame: bool, ends_frame: bool) -> Self {
        let mut this = Self::default();
        this.set(Self::KEYFRAME, keyframe);
        this.set(Self::BEGINS, begins_frame);
        this.set(Self::ENDS, ends_frame);
        if keyframe {
            this.switch = Cells::ALL;
        }
        this
    }

    pub(super) fn set(&mut self, flag: u8, on: bool) {
        if on {
            self.flags |= flag;
        } else {
            self.flags &= !flag;
        }
    }

    #[inline]
    pub(super) const fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// A decoder that has seen nothing of this encoding can begin with this packet.
    #[must_use]
    #[inline]
    pub const fn keyframe(&self) -> bool {
        self.is(Self::KEYFRAME)
    }

    /// The first packet of a frame of one spatial layer.
    #[must_use]
    #[inline]
    pub const fn begins_frame(&self) -> bool {
        self.is(Self::BEGINS)
    }

    /// The last packet of a frame of one spatial layer.
    #[must_use]
    #[inline]
    pub const fn ends_frame(&self) -> bool {
        self.is(Self::ENDS)
    }

    /// The spatial layer of the frame, 0 the smallest.
    #[must_use]
    pub const fn spatial(&self) -> u8 {
        self.cell.spatial()
    }

    /// The temporal layer of the frame, 0 the slowest.
    #[must_use]
    pub const fn temporal(&self) -> u8 {
        self.cell.temporal()
    }

    /// TL0PICIDX, where the payload has it.
    #[must_use]
    pub(in crate::media) fn tl0(&self) -> Option<u8> {
        self.is(Self::HAS_TL0).then_some(self.tl0)
    }
}

impl Default for Description {
    fn default() -> Self {
        Self {
            needs: 0,
            frame: 0,
            picture: 0,
            present: Cells::ALL,
            switch: Cells::NONE,
            active: Cells::of(Cell::new(0, 0)),
            tl0: 0,
            cell: Cell::new(0, 0),
            pictures: Pictures::None,
            flags: Self::NESTED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_small_enough_to_be_kept_with_every_packet() {
        assert!(size_of::<Description>() <= 24, "{}", size_of::<Description>());
    }

    #[test]
    fn a_frame_belongs_to_its_own_layer_and_those_above() {
        let set = Cells::from(Cell::new(1, 1));
        assert!(set.has(Cell::new(1, 1)) && set.has(Cell::new(2, 3)));
        assert!(!set.has(Cell::new(0, 3)) && !set.has(Cell::new(3, 0)));
        assert_eq!(Cells::up_to(Cell::new(1, 2)).iter().count(), 6);
        assert_eq!(Cell::new(9, 9), Cell::new(3, 3));
    }
}
