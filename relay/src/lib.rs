//! The trunk (干线): the QUIC connection from an edge, the recorder or analytics up to its
//! upstream node. Mutual TLS with certificates of the campus CA, one control stream, media as
//! RTP over QUIC, dialling with back-off, and [`Subscriber`] for programs that only listen.
//!
//! It carries what others decide: it knows nothing of lessons, roles or who may see what, and
//! never looks into an RTP packet.
//!
//! | to | use |
//! |---|---|
//! | make a campus CA and node certificates | [`ca::init`], [`ca::issue`] |
//! | be a node others dial | [`Listener`] |
//! | dial upstream and speak the trunk's messages | [`Dialer`] |
//! | follow lessons without speaking them | [`Subscriber`] and its [`Feed`] |
//!
//! `docs/trunk.md` is the wire format for whoever writes another peer.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod attempt;
mod backoff;
pub mod ca;
mod close;
mod congestion;
mod controller;
mod conversation;
mod dialer;
pub mod enrol;
mod files;
mod flows;
mod follow;
mod frame;
mod hello;
mod identity;
mod incoming;
mod interest;
mod listener;
mod marking;
pub mod measure;
mod migration;
mod other_way;
mod outgoing;
mod pacer;
mod packed;
mod partial;
mod path;
mod peer;
mod pinning;
mod purpose;
mod reach;
mod redundancy;
mod roq_peer;
mod shares;
mod side;
mod stats;
mod tls;
mod transport;
mod trunk;
mod tunnel;

pub use attempt::DialError;
pub use dialer::{DialStatus, Dialer, Found, RETURN_AFTER, Upstreams};
pub use follow::{Feed, Subscriber, SubscriberStats};
pub use frame::{Begun, FrameKind, FrameOptions, Skip, Verdict};
pub use identity::{Identity, IdentityError, NotVouched, Validity, Vouched};
pub use incoming::Media;
pub use listener::{BindError, Listener, ListenerStats, Services};
pub use marking::{BadDscp, Dscp};
pub use outgoing::{AUDIO_PRIORITY, MEDIA_DEADLINE};
pub use packed::Packed;
pub use partial::{Partial, Piece};
pub use path::PathState;
pub use peer::{Carries, Peer};
pub use pinning::{Fingerprint, NotAFingerprint};
pub use roq_peer::{PlainOutward, PlainPeer, PlainPeers, PlainStream};
pub use stats::TrunkStats;
pub use trunk::{Closed, SendError, Trunk, TrunkReceiver};
pub use tunnel::TunnelStats;
