//! Which frames of one encoding a line forwards: a pure value, told of every frame in the order
//! it came.
//!
//! The line follows one decode target at a time and moves to the one it wants where a decoder
//! can follow: downward at the next picture, upward at a keyframe or at a frame the
//! publisher marked as a switching point, whose own references were all forwarded.

use super::Target;
use super::description::{Cell, Cells, Description};

/// Frames remembered as forwarded or not.
const FRAMES: u16 = 64;

/// The choice of one line in one encoding.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What is followed, and what is wanted of what is there.
    cell: Cell,
    wanted: Cell,
    target: Target,
    active: Cells,
    /// The newest frame, and of it and those before it (bit n: n before) which were seen, which
    /// were forwarded, and which were left out without leaving a place for them.
    frame: u16,
    seen: u64,
    sent: u64,
    left_out: u64,
    structured: bool,
    /// Lower decode targets are subsets of higher ones.
    nested: bool,
    /// The picture the newest frame is part of.
    timestamp: u32,
    /// A frame of what is wanted came, and could not be followed.
    missed: bool,
}

/// What is done with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub forward: bool,
    /// The first packet of a frame that is left out.
    pub leaves_out: bool,
}

impl Choice {
    /// Begins with `description`, if the decode target that `target` asks for can.
    #[must_use]
    pub fn begin(target: Target, description: &Description, timestamp: u32) -> Option<Self> {
        let this = Self::new(target, description, timestamp);
        (description.keyframe() && description.switch.has(this.cell)).then_some(this)
    }

    /// Begins with `description`, a packet of a source that has no layers and needs no keyframe.
    #[must_use]
    pub fn all(description: &Description, timestamp: u32) -> Self {
        Self::new(Target::ALL, description, timestamp)
    }

    fn new(target: Target, description: &Description, timestamp: u32) -> Self {
        let wanted = resolve(target, description.active);
        Self {
            cell: wanted,
            wanted,
            target,
            active: description.active,
            frame: description.frame,
            seen: 1,
            sent: 1,
            left_out: 0,
            structured: description.is(Description::STRUCTURED),
            nested: description.is(Description::NESTED),
            timestamp,
            missed: false,
        }
    }

    /// Wants something else from now on.
    pub fn retarget(&mut self, target: Target) {
        self.missed = false;
        self.target = target;
        self.wanted = resolve(target, self.active);
    }

    /// The decode target that is followed.
    #[must_use]
    pub fn cell(&self) -> Cell {
        self.cell
    }

    /// Whether only a keyframe, or a rare switching point, leads to what is wanted.
    #[must_use]
    pub fn waits_for_keyframe(&self) -> bool {
        self.missed && self.out_of_reach()
    }

    fn out_of_reach(&self) -> bool {
        let (wanted, shown) = (self.wanted.spatial(), self.cell.spatial());
        wanted > shown || wanted < shown && !self.nested
    }

    /// Whether a packet that follows all others is forwarded.
    #[inline]
    pub fn take(&mut self, description: &Description, timestamp: u32) -> Verdict {
        if description.frame == self.frame {
            return Verdict { forward: self.sent & 1 != 0, leaves_out: false };
        }
        self.next_frame(description, timestamp)
    }

    fn next_frame(&mut self, description: &Description, timestamp: u32) -> Verdict {
        let structured = description.is(Description::STRUCTURED);
        if structured != self.structured {
            // Frames are numbered otherwise from here on.
            (self.structured, self.seen, self.sent, self.left_out) = (structured, 0, 0, 0);
        }
        let new_picture = timestamp != self.timestamp;
        self.timestamp = timestamp;
        self.nested = description.is(Description::NESTED);
        let ahead = description.frame.wrapping_sub(self.frame);
        for mask in [&mut self.seen, &mut self.sent, &mut self.left_out] {
            *mask = if ahead < FRAMES { *mask << ahead } else { 0 };
        }
        self.frame = description.frame;
        if description.active != self.active {
            self.active = description.active;
            self.wanted = resolve(self.target, self.active);
        }
        if self.cell != self.wanted {
            self.move_towards_wanted(description, new_picture);
        }
        let forward = description.present.has(self.cell);
        // A size that was just turned on begins with a frame of its own, without a keyframe.
        self.missed |= !forward && description.present.has(self.wanted);
        self.missed &= self.cell != self.wanted;
        self.seen |= 1;
        self.sent = self.sent & !1 | u64::from(forward);
        self.left_out = self.left_out & !1 | u64::from(!forward);
        Verdict { forward, leaves_out: !forward }
    }

    fn move_towards_wanted(&mut self, description: &Description, new_picture: bool) {
        let distance = |c: Cell| {
            (
                c.spatial().abs_diff(self.wanted.spatial()),
                c.temporal().abs_diff(self.wanted.temporal()),
            )
        };
        let reachable =
            self.active.iter().filter(|c| self.can_follow(*c, description, new_picture));
        if let Some(nearest) = reachable.min_by_key(|c| distance(*c))
            && distance(nearest) < distance(self.cell)
        {
            self.cell = nearest;
        }
    }

    /// Whether a decoder that followed `self.cell` can follow `to` from this frame on.
    fn can_follow(&self, to: Cell, description: &Description, new_picture: bool) -> bool {
        let from = self.cell;
        let same_size = to.spatial() == from.spatial();
        let lower = to.spatial() <= from.spatial() && to.temporal() <= from.temporal();
        if lower && (same_size || self.nested) {
            // Half a picture would be of no use.
            return new_picture;
        }
        if !description.switch.has(to) {
            return false;
        }
        if description.is(Description::STRUCTURED) {
            // Bit n of `needs` is the frame n + 1 before this one, as bit n + 1 of `sent` is.
            let needs = u64::from(description.needs) << 1;
            return !description.is(Description::NEEDS_FAR) && needs & !self.sent == 0;
        }
        let next_rate = to.temporal() == from.temporal() + 1;
        let faster = same_size && (description.present.has(from) || next_rate);
        description.keyframe() || faster
    }

    /// Whether a packet that comes after later ones is forwarded: as the others of its frame
    /// were. `closes_up` says that no packet after it was.
    pub fn take_late(&mut self, description: &Description, closes_up: bool) -> Verdict {
        let Some(bit) = self.bit(description) else {
            return Verdict { forward: false, leaves_out: false };
        };
        let mut leaves_out = false;
        if self.seen & bit == 0 {
            self.seen |= bit;
            if description.present.has(self.cell) {
                self.sent |= bit;
            } else if closes_up {
                self.left_out |= bit;
                leaves_out = true;
            }
        }
        Verdict { forward: self.sent & bit != 0, leaves_out }
    }

    /// Frames left out after the one of `description`, or `None` when that is too long ago to say.
    #[must_use]
    pub fn left_out_since(&self, description: &Description) -> Option<u16> {
        let bit = self.bit(description)?;
        Some((self.left_out & (bit - 1)).count_ones() as u16)
    }

    fn bit(&self, description: &Description) -> Option<u64> {
        let behind = self.frame.wrapping_sub(description.frame);
        let known = description.is(Description::STRUCTURED) == self.structured;
        (behind < FRAMES && known).then(|| 1 << behind)
    }

    /// The marker of a forwarded packet: it ends its picture as far as this line shows it.
    #[must_use]
    #[inline]
    pub fn marker(&self, description: &Description, marker: bool) -> bool {
        marker || description.ends_frame() && description.cell.spatial() >= self.cell.spatial()
    }
}

/// What there is of `target`: the highest spatial layer up to the wanted one, then the highest
/// temporal layer of it up to the wanted one.
fn resolve(target: Target, active: Cells) -> Cell {
    let within = |c: &Cell| c.spatial() <= target.spatial;
    let spatial = active.iter().filter(within).map(Cell::spatial).max();
    let Some(spatial) = spatial.or_else(|| active.iter().map(Cell::spatial).min()) else {
        return Cell::default();
    };
    let of_it = || active.iter().filter(|c| c.spatial() == spatial);
    let up_to = of_it().filter(|c| c.temporal() <= target.temporal).max_by_key(|c| c.temporal());
    up_to.or_else(|| of_it().min_by_key(|c| c.temporal())).unwrap_or_default()
}
