//! The dependency descriptor: what an SFU needs to know of a frame without reading its codec
//! (AV1 RTP specification, appendix A; sent with VP9 and H.264 as well).
//!
//! A publisher describes its kinds of frames once, with a keyframe; each packet then names a
//! kind, and says what differs. So reading takes state: one [`Reader`] for each encoding.

use super::bits::Bits;

/// Decode targets there can be (dt_cnt_minus_one has 5 bits).
pub const MAX_TARGETS: usize = 32;
/// Templates there can be (their ids have 6 bits).
const MAX_TEMPLATES: usize = 64;
/// Spatial and temporal layers of AV1 (specification §6.4.1).
const MAX_SPATIAL: u8 = 4;
const MAX_TEMPORAL: u8 = 8;

/// Why a descriptor can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    #[error("the descriptor is cut short")]
    Cut,
    #[error("no structure has come that knows this kind of frame")]
    UnknownTemplate,
    #[error("the structure has more layers than AV1 has")]
    TooManyLayers,
}

use DescriptorError::{Cut, TooManyLayers, UnknownTemplate};

/// What a frame is to a decode target (§A.4, table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indication {
    /// No part of it.
    NotPresent,
    /// Part of it, and nothing later in it refers to this frame.
    Discardable,
    /// If this frame can be decoded, so can all later ones of the target.
    Switch,
    /// Part of it.
    Required,
}

/// The indications of one frame, by decode target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Indications(u64);

impl Indications {
    fn read(bits: &mut Bits<'_>, targets: u8) -> Option<Self> {
        let mut all = 0;
        for target in 0..targets {
            all |= u64::from(bits.take(2)?) << (2 * target);
        }
        Some(Self(all))
    }

    /// What the frame is to `target`.
    #[must_use]
    pub fn of(self, target: usize) -> Indication {
        let code = if target < MAX_TARGETS { self.0 >> (2 * target) & 3 } else { 0 };
        match code {
            1 => Indication::Discardable,
            2 => Indication::Switch,
            3 => Indication::Required,
            _ => Indication::NotPresent,
        }
    }
}

/// Frames that a frame refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct References {
    /// Bit n stands for the frame n + 1 before, by frame number.
    pub near: u32,
    /// It refers to frames further back as well.
    pub far: bool,
}

impl References {
    fn add(&mut self, difference: u32) {
        match difference {
            1..=32 => self.near |= 1 << (difference - 1),
            _ => self.far = true,
        }
    }

    /// The frame refers to no other.
    #[must_use]
    pub fn none(self) -> bool {
        self.near == 0 && !self.far
    }
}

/// For each chain, how many frames before this one the chain's last frame was. What a decode
/// target needs at the least is a chain; who has all of it can decode the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chains {
    count: u8,
    differences: [u8; MAX_TARGETS],
}

impl Chains {
    fn read(bits: &mut Bits<'_>, count: u8, width: u32) -> Option<Self> {
        let mut this = Self { count, ..Self::default() };
        for difference in this.differences.iter_mut().take(usize::from(count)) {
            *difference = bits.take(width)? as u8;
        }
        Some(this)
    }

    /// The differences, by chain.
    #[must_use]
    pub fn differences(&self) -> &[u8] {
        self.differences.get(..usize::from(self.count)).unwrap_or_default()
    }
}

/// A kind of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Template {
    pub spatial: u8,
    pub temporal: u8,
    pub indications: Indications,
    pub references: References,
    pub chains: Chains,
}

/// A publisher's kinds of frames (template_dependency_structure).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    offset: u8,
    targets: u8,
    templates: Vec<Template>,
    protected_by: [u8; MAX_TARGETS],
    layers: [(u8, u8); MAX_TARGETS],
    resolutions: Option<[(u32, u32); MAX_SPATIAL as usize]>,
}

impl Structure {
    fn read(bits: &mut Bits<'_>) -> Result<Self, DescriptorError> {
        let offset = bits.take(6).ok_or(Cut)? as u8;
        let targets = bits.take(5).ok_or(Cut)? as u8 + 1;
        let mut this = Self {
            offset,
            targets,
            templates: read_layers(bits)?,
            protected_by: [0; MAX_TARGETS],
            layers: [(0, 0); MAX_TARGETS],
            resolutions: None,
        };
        this.read_templates(bits).ok_or(Cut)?;
        this.set_layers();
        Ok(this)
    }

    fn read_templates(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        for template in &mut self.templates {
            template.indications = Indications::read(bits, self.targets)?;
        }
        for template in &mut self.templates {
            while bits.flag()? {
                template.references.add(bits.take(4)? + 1);
            }
        }
        let chains = bits.below(u32::from(self.targets) + 1)?;
        if chains > 0 {
            for chain in self.protected_by.iter_mut().take(usize::from(self.targets)) {
                *chain = bits.below(chains)? as u8;
            }
            for template in &mut self.templates {
                template.chains = Chains::read(bits, chains as u8, 4)?;
            }
        }
        if bits.flag()? {
            let mut resolutions = [(0, 0); MAX_SPATIAL as usize];
            let spatial = self.templates.iter().map(|t| t.spatial).max()?;
            for resolution in resolutions.iter_mut().take(usize::from(spatial) + 1) {
                *resolution = (bits.take(16)? + 1, bits.take(16)? + 1);
            }
            self.resolutions = Some(resolutions);
        }
        Some(())
    }

    /// decode_target_layers(): a target's layers are the highest of its frames.
    fn set_layers(&mut self) {
        for (target, layers) in self.layers.iter_mut().enumerate() {
            let part = |t: &&Template| t.indications.of(target) != Indication::NotPresent;
            let spatial = self.templates.iter().filter(part).map(|t| t.spatial).max();
            let temporal = self.templates.iter().filter(part).map(|t| t.temporal).max();
            *layers = (spatial.unwrap_or(0), temporal.unwrap_or(0));
        }
    }

    fn template(&self, id: u8) -> Option<&Template> {
        self.templates.get(usize::from(id.wrapping_sub(self.offset) & 0x3f))
    }

    /// The decode targets: spatial and temporal layer of each.
    #[must_use]
    pub fn targets(&self) -> &[(u8, u8)] {
        self.layers.get(..usize::from(self.targets)).unwrap_or_default()
    }

    /// The kinds of frames.
    #[must_use]
    pub fn templates(&self) -> &[Template] {
        &self.templates
    }

    /// The chain that protects a decode target, if there are chains.
    #[must_use]
    pub fn protecting_chain(&self, target: usize) -> Option<u8> {
        let chains = self.templates.first().is_some_and(|t| t.chains.count > 0);
        self.protected_by.get(target).copied().filter(|_| chains && target < self.targets().len())
    }

    /// Width and height of a spatial layer in pixels, if the publisher said so.
    #[must_use]
    pub fn resolution(&self, spatial: u8) -> Option<(u32, u32)> {
        let found = *self.resolutions.as_ref()?.get(usize::from(spatial))?;
        (found != (0, 0)).then_some(found)
    }
}

/// template_layers(): how many templates there are, and the layers of each.
fn read_layers(bits: &mut Bits<'_>) -> Result<Vec<Template>, DescriptorError> {
    const NEXT_TEMPORAL: u32 = 1;
    const NEXT_SPATIAL: u32 = 2;
    const END: u32 = 3;
    let mut templates = Vec::with_capacity(8);
    let (mut spatial, mut temporal) = (0, 0);
    loop {
        if templates.len() == MAX_TEMPLATES || spatial == MAX_SPATIAL || temporal == MAX_TEMPORAL {
            return Err(TooManyLayers);
        }
        templates.push(Template { spatial, temporal, ..Template::default() });
        match bits.take(2).ok_or(Cut)? {
            NEXT_TEMPORAL => temporal += 1,
            NEXT_SPATIAL => (spatial, temporal) = (spatial + 1, 0),
            END => return Ok(templates),
            _ => {}
        }
    }
}

/// What a packet's descriptor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The first packet of the frame, and the last.
    pub begins: bool,
    pub ends: bool,
    /// Counts the frames of all layers, in decoding order; wraps.
    pub number: u16,
    pub spatial: u8,
    pub temporal: u8,
    pub indications: Indications,
    pub references: References,
    pub chains: Chains,
    /// The decode targets that are sent at present, by bit.
    pub active: u32,
    /// The packet brought a new structure, as keyframes do.
    pub brings_structure: bool,
}

/// Reads the descriptors of one encoding.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    structure: Option<Structure>,
    active: u32,
}

/// Bytes of a descriptor that says nothing but the kind of frame.
const MANDATORY: usize = 3;

impl Reader {
    /// The structure that descriptors are read by, once one came.
    #[must_use]
    pub fn structure(&self) -> Option<&Structure> {
        self.structure.as_ref()
    }

    /// Reads a packet's descriptor. What can't be read changes nothing.
    ///
    /// # Errors
    /// [`DescriptorError`]: it is broken, or the structure it builds on was lost.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Frame, DescriptorError> {
        let mut bits = Bits::new(bytes);
        let begins = bits.flag().ok_or(Cut)?;
        let ends = bits.flag().ok_or(Cut)?;
        let id = bits.take(6).ok_or(Cut)? as u8;
        let number = bits.take(16).ok_or(Cut)? as u16;

        let mut flags = [false; 5];
        if bytes.len() > MANDATORY {
            for flag in &mut flags {
                *flag = bits.flag().ok_or(Cut)?;
            }
        }
        let [brings_structure, brings_active, own_indications, own_references, own_chains] = flags;
        let new = if brings_structure { Some(Structure::read(&mut bits)?) } else { None };
        let structure = new.as_ref().or(self.structure.as_ref()).ok_or(UnknownTemplate)?;
        let mut active = if new.is_some() { u32::MAX } else { self.active };
        if brings_active {
            active = bits.take(u32::from(structure.targets)).ok_or(Cut)?;
        }

        let template = structure.template(id).ok_or(UnknownTemplate)?;
        let mut frame = Frame {
            begins,
            ends,
            number,
            spatial: template.spatial,
            temporal: template.temporal,
            indications: template.indications,
            references: template.references,
            chains: template.chains,
            active,
            brings_structure,
        };
        if own_indications {
            frame.indications = Indications::read(&mut bits, structure.targets).ok_or(Cut)?;
        }
        if own_references {
            frame.references = read_references(&mut bits).ok_or(Cut)?;
        }
        if own_chains {
            frame.chains = Chains::read(&mut bits, template.chains.count, 8).ok_or(Cut)?;
        }
        if new.is_some() {
            self.structure = new;
        }
        self.active = active;
        Ok(frame)
    }
}

/// frame_fdiffs(): differences of 4, 8 or 12 bits, until a size of 0.
fn read_references(bits: &mut Bits<'_>) -> Option<References> {
    let mut references = References::default();
    loop {
        match bits.take(2)? {
            0 => return Some(references),
            size => references.add(bits.take(4 * size)? + 1),
        }
    }
}

#[cfg(test)]
mod tests;
