//! SRTP and SRTCP in place (RFC 3711, RFC 7714), with keys taken over from the engine's DTLS.
//!
//! [`KeyTap`] is the engine's crypto provider and knows the session keys once the handshake is
//! complete. [`Sealer`] protects what is sent with those of one direction, [`Opener`] checks
//! and decrypts what comes in with those of the other. Both work on the caller's buffer:
//! nothing is allocated, locked or hashed per packet. Nothing here does I/O, knows a clock or
//! looks into a payload.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod cipher;
mod keys;
mod open;
mod seal;
mod tap;
mod window;

pub use cipher::{BadKeys, MAX_TAG};
pub use keys::{CipherKeys, Keys, Profile, SessionKeys};
pub use open::{OpenError, Opener};
pub use seal::Sealer;
pub use tap::KeyTap;

/// Most bytes sealing adds to a compound RTCP packet: the tag and the index word.
pub const MAX_RTCP_TRAILER: usize = MAX_TAG + cipher::INDEX_WORD;
