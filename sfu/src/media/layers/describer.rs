//! Describes the packets of one encoding, as they come in: by the dependency descriptor where
//! there is one, else by what the payload says itself.
//!
//! Chromium takes the layer indices out of VP8's own descriptor where it sends a dependency
//! descriptor, and leaves them in VP9's. H.264 and AV1 have none of their own here, so that
//! without a dependency descriptor all of an encoding belongs together.

use super::description::{Cell, Cells, Description, MAX_LAYERS, Pictures};
use cloudschool_protocol::media::{Codec, Kind};
use cloudschool_protocol::rtp::dependency::{self, Indication, Structure};
use cloudschool_protocol::rtp::{av1, h264, starts_keyframe, vp8, vp9};

/// What is remembered of one encoding's packets to describe the next. A new source of the
/// encoding begins with a new one.
#[derive(Debug, Default)]
pub struct Describer {
    codec: Option<Codec>,
    dependencies: dependency::Reader,
    grid: Grid,
    /// The newest frame as its first packet described it.
    frame: Option<Description>,
    /// Decode targets that are sent, as last heard.
    active: Option<Cells>,
    /// The newest picture id, continued to 16 bits.
    picture: Option<u16>,
    /// Counts frames where nothing numbers them.
    frames: u16,
    /// Spatial layers of VP9 by its own descriptor.
    spatial_layers: u8,
}

impl Describer {
    /// Describes a packet by its payload, padding taken off and not empty, and by its dependency
    /// descriptor (AV1 RTP specification, appendix A) where it brought one.
    pub fn describe(
        &mut self,
        codec: Codec,
        marker: bool,
        payload: &[u8],
        dependency_descriptor: Option<&[u8]>,
    ) -> Description {
        if codec.kind() == Kind::Audio {
            // The marker of voice says where a talk spurt begins.
            return Description::plain(false, true, false);
        }
        if self.codec != Some(codec) {
            *self = Self { codec: Some(codec), ..Self::default() };
        }
        let own = match codec {
            Codec::Vp8 => self.by_vp8(marker, payload),
            Codec::Vp9 => self.by_vp9(marker, payload),
            _ => self.plain(codec, marker, payload),
        };
        let layered = codec == Codec::Vp8 && !own.active.is_plain();
        let Some(descriptor) = dependency_descriptor.filter(|_| !layered) else { return own };
        match self.by_dependencies(descriptor, codec, own) {
            Some(description) => description,
            // Without the structure it builds on, only the payload says anything.
            None => Description { active: self.active.unwrap_or(own.active), ..own },
        }
    }

    fn plain(&self, codec: Codec, marker: bool, payload: &[u8]) -> Description {
        let begins = match codec {
            Codec::H264 => h264::begins_picture(payload),
            Codec::Av1 => av1::AggregationHeader::parse(payload).is_some_and(|h| !h.continues),
            _ => true,
        };
        Description::plain(starts_keyframe(codec, payload), begins, marker)
    }

    fn by_dependencies(
        &mut self,
        descriptor: &[u8],
        codec: Codec,
        own: Description,
    ) -> Option<Description> {
        let frame = self.dependencies.read(descriptor).ok()?;
        let structure = self.dependencies.structure()?;
        if frame.brings_structure {
            self.grid = Grid::of(structure);
        }
        let known = self.frame.filter(|f| f.frame == frame.number && !frame.begins);
        let mut this = match known {
            // Only a frame's first packet need say what is special about it.
            Some(first) => Description { picture: own.picture, tl0: own.tl0, ..first },
            None => Description {
                needs: frame.references.near,
                frame: frame.number,
                present: self.grid.cells(|t| frame.indications.of(t) != Indication::NotPresent),
                switch: self.grid.cells(|t| frame.indications.of(t) == Indication::Switch),
                active: self.grid.cells(|t| frame.active >> t & 1 != 0),
                cell: Cell::new(frame.spatial, frame.temporal),
                flags: own.flags & Description::HAS_TL0 | Description::STRUCTURED,
                ..own
            },
        };
        if known.is_none() {
            this.set(Description::NEEDS_FAR, frame.references.far);
            this.set(Description::NESTED, self.grid.nested);
        }
        let keyframe = match codec {
            Codec::Av1 | Codec::Vp9 => frame.brings_structure && frame.references.none(),
            _ => own.keyframe(),
        };
        this.set(Description::KEYFRAME, keyframe && frame.begins);
        this.set(Description::BEGINS, frame.begins);
        this.set(Description::ENDS, frame.ends);
        self.active = Some(this.active);
        let newer = |f: &Description| frame.number.wrapping_sub(f.frame) as i16 > 0;
        if frame.begins && (frame.brings_structure || self.frame.as_ref().is_none_or(newer)) {
            self.frame = Some(this);
        }
        Some(this)
    }

    fn by_vp8(&mut self, marker: bool, payload: &[u8]) -> Description {
        let Some(descriptor) = vp8::Descriptor::parse(payload) else {
            return Description::plain(false, false, marker);
        };
        let keyframe = descriptor.begins_keyframe(payload);
        let mut this = Description::plain(keyframe, descriptor.begins_frame, marker);
        if let Some(temporal) = descriptor.temporal {
            this.cell = Cell::new(0, temporal);
            this.present = Cells::from(this.cell);
            this.active = Cells::up_to(Cell::new(0, MAX_LAYERS - 1));
            if temporal > 0 && descriptor.layer_sync {
                this.switch = Cells::of(this.cell);
            }
            this.frame = self.frame_number(descriptor.picture_id, descriptor.begins_frame);
        }
        self.set_picture(&mut this, Pictures::Vp8, descriptor.picture_id);
        self.set_tl0(&mut this, descriptor.tl0_picture_index);
        this
    }

    fn by_vp9(&mut self, marker: bool, payload: &[u8]) -> Description {
        let Some(descriptor) = vp9::Descriptor::parse(payload) else {
            return Description::plain(false, false, marker);
        };
        let keyframe = descriptor.begins_keyframe();
        let ends = marker || descriptor.ends_frame;
        let mut this = Description::plain(keyframe, descriptor.begins_frame, ends);
        if let Some(layers) = descriptor.spatial_layers {
            self.spatial_layers = layers;
        }
        if let Some(layer) = descriptor.layer {
            self.spatial_layers = self.spatial_layers.max(layer.spatial + 1);
            this.cell = Cell::new(layer.spatial, layer.temporal);
            this.present = Cells::from(this.cell);
            this.active = Cells::up_to(Cell::new(self.spatial_layers - 1, MAX_LAYERS - 1));
            if layer.switching_up_point && !keyframe {
                this.switch = Cells::where_(|c| c.temporal() > this.cell.temporal());
            }
            let picture = self.frame_number(descriptor.picture_id, descriptor.begins_frame);
            this.frame = match descriptor.picture_id {
                // The layers of a picture are frames of their own.
                Some(_) => picture << 2 | u16::from(this.cell.spatial()),
                None => picture,
            };
        }
        self.set_picture(&mut this, Pictures::Vp9, descriptor.picture_id);
        self.set_tl0(&mut this, descriptor.tl0_picture_index);
        this
    }

    /// A number for the frame: its picture's, or counted.
    fn frame_number(&mut self, id: Option<vp8::PictureId>, begins: bool) -> u16 {
        match id {
            Some(id) => self.continued(id),
            None => {
                self.frames = self.frames.wrapping_add(u16::from(begins));
                self.frames
            }
        }
    }

    /// The picture id continued to 16 bits, nearest to the newest.
    fn continued(&self, id: vp8::PictureId) -> u16 {
        let (value, bits) = id.value();
        let Some(newest) = self.picture else { return value };
        let unused = 16 - bits;
        let ahead = (value.wrapping_sub(newest) << unused) as i16 >> unused;
        newest.wrapping_add(ahead as u16)
    }

    fn set_picture(
        &mut self,
        description: &mut Description,
        pictures: Pictures,
        id: Option<vp8::PictureId>,
    ) {
        let Some(id) = id else { return };
        let picture = self.continued(id);
        (description.pictures, description.picture) = (pictures, picture);
        if self.picture.is_none_or(|newest| picture.wrapping_sub(newest) as i16 > 0) {
            self.picture = Some(picture);
        }
    }

    fn set_tl0(&self, description: &mut Description, index: Option<u8>) {
        if let Some(index) = index {
            description.tl0 = index;
            description.set(Description::HAS_TL0, true);
        }
    }
}

/// The decode targets of a structure, as cells.
#[derive(Debug)]
struct Grid {
    cells: [Option<Cell>; dependency::MAX_TARGETS],
    nested: bool,
}

impl Default for Grid {
    fn default() -> Self {
        Self { cells: [None; dependency::MAX_TARGETS], nested: true }
    }
}

impl Grid {
    fn of(structure: &Structure) -> Self {
        let mut this = Self::default();
        let mut taken = Cells::NONE;
        let targets = structure.targets();
        for (cell, (spatial, temporal)) in this.cells.iter_mut().zip(targets) {
            let own = Cell::new(*spatial, *temporal);
            if !taken.has(own) {
                (*cell, taken) = (Some(own), taken.with(own));
            }
        }
        let part = |target: usize, template: &dependency::Template| {
            template.indications.of(target) != Indication::NotPresent
        };
        let within = |lower: usize, higher: usize| {
            structure.templates().iter().all(|t| !part(lower, t) || part(higher, t))
        };
        let below = |a: &(u8, u8), b: &(u8, u8)| a.0 <= b.0 && a.1 <= b.1;
        this.nested = targets.iter().enumerate().all(|(l, lower)| {
            targets.iter().enumerate().all(|(h, higher)| !below(lower, higher) || within(l, h))
        });
        this
    }

    /// The cells of those targets for which `wanted` holds.
    fn cells(&self, wanted: impl Fn(usize) -> bool) -> Cells {
        let of_target = |(target, cell): (usize, &Option<Cell>)| cell.filter(|_| wanted(target));
        self.cells.iter().enumerate().filter_map(of_target).fold(Cells::NONE, Cells::with)
    }
}

#[cfg(test)]
mod tests;
