//! The recorder: a trunk subscriber that captures lessons, publishes them and keeps the
//! library. Split so that everything that decides is a value: see each module.

pub mod bitstream;
pub mod capture;
pub mod clock;
pub mod finalise;
pub mod gate;
pub mod manifest;
pub mod mkv;
pub mod part;
pub mod published;
pub mod reorder;
pub mod writer;
