//! What crosses to other nodes: events and commands, wishes and media, over `relay`'s trunks.
//!
//! [`up`] is the edge's link to the node above, [`down`] serves the nodes, recorders and
//! analytics that dial in; what both have in common, media and wishes, is a [`link`]. Which
//! track goes where is decided by `node::routing`.

mod allocation;
mod allocator;
pub mod appliance;
pub mod backfill;
mod closing;
pub mod down;
mod flows;
mod frames;
mod hand_up;
mod keyframes;
pub mod limits;
mod link;
mod outward;
mod rungs;
pub mod spool;
pub mod tree;
pub mod up;

pub(crate) use down::admits;
pub use link::{LinkCommand, LinkHandle};
pub use rungs::{TRACK_WORDS, TrunkRungs};

use cloudschool_protocol::lesson::State;
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::member::Role;

/// This program, for the other end's logs.
pub const SOFTWARE: &str = concat!("cloudschool sfu ", env!("CARGO_PKG_VERSION"));

/// How early a track's frames go when a trunk can't carry all: slides and screen before the
/// teacher's picture, then whoever is on stage, then classrooms.
#[must_use]
pub fn priority(track: &TrackId, state: &State) -> i32 {
    const SCREEN: i32 = 400;
    const TEACHER: i32 = 300;
    const STAGE: i32 = 200;
    const CLASS: i32 = 100;
    let teaches = state.members.get(&track.member).is_some_and(|m| m.role == Role::Teacher);
    match track.source {
        Source::Screen if teaches => SCREEN,
        _ if teaches => TEACHER,
        _ if state.stage.contains(&track.member) => STAGE,
        _ => CLASS,
    }
}
