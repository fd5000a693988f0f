//! Lessons: what may happen in them, what did, and who hears of it.
//!
//! [`rules`] turn a command into events, as values. At the origin a task per lesson applies
//! them, writes each event to the lesson's [`log`] before anyone learns of it, and publishes
//! it to the lesson's feed; an edge mirrors that feed and sends commands up. While the origin
//! can't be reached the edge decides for its own members ([`provisional`]), keeps that on disk
//! ([`queue`]) and hands it up later. Whoever holds a [`LessonHandle`] need not know which of
//! the two it is.
//!
//! Nothing here touches media, sockets or the trunk.

mod feed;
mod log;
mod mirror;
mod origin;
mod provisional;
mod queue;
mod registry;
mod rules;
mod settled;

pub use feed::{Reset, Subscription, Told};
pub use mirror::{Asked, FollowAgain, Forward};
pub use registry::{LessonHandle, Lessons, LessonsError, Settings};
pub use rules::{Limits, is_seen, may_enter};
