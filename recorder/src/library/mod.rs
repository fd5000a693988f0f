//! The resource library: a catalogue in SQLite, files in a directory, and the HTTP interface
//! to both.

pub mod api;
pub mod media;
pub mod search;
pub mod store;
