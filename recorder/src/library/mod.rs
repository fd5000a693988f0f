//! The resource library: a catalogue in SQLite, files in a directory, and the HTTP interface
//! to both.

pub mod api;
pub mod media;
mod review;
pub mod reviews;
pub mod search;
pub mod store;
