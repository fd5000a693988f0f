//! The packet path. One thread per shard, each with its own socket, peers and tracks:
//!
//! receive batch ([`socket`]) → demultiplex ([`shard`]) → open (the engine, `peer`) → track
//! ([`track`]: numbering, cache, keyframes) → for each viewer's line: renumber ([`egress`]) →
//! seal ([`srtp`]) → GSO batch ([`socket`]) → send at the end of the turn. To another shard or
//! up a trunk goes the opened packet, once ([`lane`], [`batch`]).
//!
//! The rest of the node reaches it through [`Media`] alone: commands in, which arrive;
//! [`MediaEvent`]s out; and the media lane, which may drop. No lock, no shared counter and
//! nothing reference-counted is touched per packet.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

#[allow(dead_code)]
mod bandwidth;
pub mod batch;
mod cache;
mod control;
mod egress;
mod keyframe;
pub mod lane;
pub mod layers;
mod messages;
mod numbering;
mod shard;
mod socket;
mod srtp;
mod track;

pub use batch::{Clock, TrackBatch, TrackKey};
pub use control::{Media, MediaConfig, Stopped};
pub use messages::{Counters, MediaEvent, PublishTracks, SessionId};
