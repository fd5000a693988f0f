//! One WebRTC peer on the sans-I/O `rtc` engine: SDP, ICE-lite, DTLS, and reading RTP and
//! RTCP. Datagrams and the time go in, datagrams and [`PeerEvent`]s come out.
//!
//! The engine never sends RTP for us: forwarded packets are numbered, sealed and sent by the
//! packet path (`media`), with the keys [`keys`] takes over from the handshake.

#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod answer;
pub mod control;
mod description;
mod dtls;
mod engine;
mod fragment;
mod ice;
pub mod keys;
mod lines;
mod offer;
mod route;
pub(crate) mod rtcp;
pub mod stun;
#[cfg(test)]
mod tests;

pub use engine::{Engine, EngineConfig, PeerEvent, Report};
pub use offer::{Answer, OfferError, SlotLine};
