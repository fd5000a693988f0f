//! The recorder: a trunk subscriber that captures lessons, publishes them and keeps the
//! library. Split so that everything that decides is a value: see each module.

pub mod backfill;
pub mod bitstream;
pub mod capture;
pub mod clock;
pub mod config;
pub mod disk;
pub mod finalise;
pub mod finisher;
pub mod gate;
pub mod gather;
pub mod lesson;
pub mod library;
pub mod manifest;
pub mod merge;
pub mod mkv;
pub mod part;
pub mod publish;
pub mod published;
pub mod recorder;
pub mod reorder;
pub mod shown;
pub mod telemetry;
pub mod words;
pub mod writer;
