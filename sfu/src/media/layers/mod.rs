//! Layers of a video track: simulcast encodings, and the spatial and temporal layers inside an
//! encoding. What a packet is among them is described once, where it comes in ([`Describer`]);
//! what of it one viewer gets is chosen from that description alone ([`Choice`]).
//!
//! Nothing here knows rates or viewers: which layers a line should show is a [`Target`], made
//! elsewhere. Nothing allocates per packet.

#[cfg(test)]
pub mod captures;
mod choice;
mod describer;
mod description;

pub use choice::Choice;
pub use describer::Describer;
pub use description::{Cell, Cells, Description, MAX_LAYERS, Pictures};

/// What a line is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// Which simulcast encoding. `u8::MAX`: the one that is shown, or the first to be had.
    pub encoding: u8,
    /// The highest spatial layer wanted of it. `u8::MAX`: all there are.
    pub spatial: u8,
    /// The highest temporal layer wanted of it. `u8::MAX`: all there are.
    pub temporal: u8,
}

impl Target {
    /// All there is, of an encoding of whatever number.
    pub const ALL: Target = Target { encoding: u8::MAX, spatial: u8::MAX, temporal: u8::MAX };

    /// All layers of one encoding.
    #[must_use]
    pub const fn encoding(encoding: u8) -> Self {
        Self { encoding, ..Self::ALL }
    }
}
