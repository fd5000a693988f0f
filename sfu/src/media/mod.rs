//! The packet path. One thread per shard, each with its own socket, peers and tracks:
//!
//! receive batch ([`socket`]) → demultiplex ([`demux`]) → open, tell apart, feed back
//! ([`ingress`]) → number, describe, keep ([`encoding`]) → for each viewer: choose layers and
//! renumber ([`egress`]) → write and seal ([`header`], `cloudschool_srtp`) → pace
//! ([`bandwidth`]) → GSO batch ([`outbox`]) → send at the end of the turn. To another shard or
//! up a trunk goes the opened packet, once ([`lane`], [`batch`]); a few tasks hand it to all trunks
//! ([`crew`]).
//!
//! The rest of the node reaches it through [`Media`] alone: commands in, which arrive;
//! [`MediaEvent`]s out; and the media lane, which may drop. No lock, no shared counter and
//! nothing reference-counted is touched per packet.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod ahead;
pub mod bandwidth;
pub mod batch;
mod cache;
mod control;
pub mod crew;
mod cut;
mod demux;
mod egress;
mod encoding;
mod gate;
mod gathered;
mod header;
mod hush;
mod ingress;
mod keyframe;
mod ladder;
pub mod lane;
pub mod layers;
mod loudest;
mod messages;
mod numbering;
mod outbox;
mod outlet;
mod processor;
mod rates;
mod sendmmsg;
mod shard;
mod socket;
mod splice;
mod tcp;
mod thumbnail;
mod timers;
mod track;
mod voice;

pub use bandwidth::allocation::{Priority, Step};
pub use batch::{Clock, TrackBatch, TrackKey};
pub use control::{Announced, Group, Media, MediaConfig, MediaStartError, Stopped};
pub use cut::{Cut, Piece};
pub use layers::Target;
pub use loudest::PLACES;
pub use messages::{Counters, MediaEvent, PublishTracks, SessionId, Shown};
pub use outlet::{Offer, OutletId, STILL_DEADLINE, Showing, Still};
pub use thumbnail::Thumbnail;
