//! The control side of one WebRTC peer: SDP, ICE-lite and DTLS. Datagrams and the time go in,
//! datagrams and [`PeerEvent`]s come out.
//!
//! No RTP and no RTCP passes through here: media is opened, sealed and sent by the packet path
//! (`media`), with the keys that [`PeerEvent::Connected`] brings.

#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod answer;
#[cfg(test)]
pub mod browser;
mod control;
mod description;
mod dtls;
mod fragment;
mod ice;
mod lines;
mod route;
pub mod stun;
#[cfg(test)]
mod tests;

pub use control::*;
