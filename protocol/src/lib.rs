//! The words of Cloudschool: identifiers, lesson events, the messages of the lesson
//! socket and of the trunk, tokens, and the codecs of the wire formats all nodes share.
//!
//! Nothing here does I/O, reads a clock or starts a thread: bytes, values and the time
//! go in as arguments, bytes and values come out.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod asset;
pub mod blob;
pub mod board;
pub mod command;
pub mod event;
pub mod frame;
pub mod id;
pub mod join_code;
pub mod lesson;
pub mod media;
pub mod member;
pub mod refusal;
pub mod roq;
pub mod rtcp;
pub mod rtp;
pub mod slides;
pub mod socket;
pub mod spool;
pub mod token;
pub mod trunk;
pub mod view;
