//! A Cloudschool media node: takes in what teachers, classrooms and students send, hands it
//! on to everyone who watches, and links schools by trunks.
//!
//! Arrows point down only: `main → node → http, trunk → lesson, media → peer → protocol`.

pub mod assets;
pub mod board;
pub mod bucket;
pub mod config;
pub mod http;
pub mod joining;
pub mod lesson;
pub mod media;
pub mod node;
pub mod peer;
pub mod school;
pub mod timetable;
pub mod trunk;
