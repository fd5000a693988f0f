//! The load generator: synthetic teachers and students on real WebRTC, the four processes of
//! a small installation on one machine, and the demo lesson that measures them.
//!
//! Nothing here is used by a node; it only speaks to nodes as browsers and operators do.

pub mod demo;
pub mod forward;
pub use classroom_client::lesson_client;
pub mod link;
pub mod media;
pub mod publisher;
pub mod relay_cost;
pub mod services;
pub mod stack;
pub mod subscriber;
pub mod tokens;
pub mod trunk;
pub mod up;
