//! The loudest of a class's microphones, as the node asks for them.

use super::Media;
use crate::media::batch::TrackKey;
use crate::media::loudest::PLACES;
use crate::media::messages::{Command, GroupId};
use cloudschool_protocol::media::Kind;
use std::sync::atomic::Ordering;

/// A group of microphones of which the loudest are heard, each in a place that is a track like
/// any other to whoever watches.
#[derive(Debug, Clone)]
pub struct Group {
    id: GroupId,
    shard: usize,
    pub places: [TrackKey; PLACES],
}

impl Media {
    /// A group with no microphones. Groups of one `owner` share a shard.
    #[must_use]
    pub fn open_group(&self, owner: u64) -> Group {
        let places = [(); PLACES].map(|()| self.open_track(Kind::Audio, owner));
        let id = GroupId(self.next_group.fetch_add(1, Ordering::Relaxed));
        let shard = self.shard_for(owner);
        self.send(shard, Command::OpenGroup { group: id, places });
        Group { id, shard, places }
    }

    /// Forgets a group and the tracks of its places.
    pub fn close_group(&self, group: &Group) {
        self.send(group.shard, Command::CloseGroup { group: group.id });
        group.places.iter().for_each(|place| self.close_track(*place));
    }

    /// Takes a microphone into a group.
    pub fn seat(&self, track: TrackKey, group: &Group) {
        self.replicate(track, group.shard, true);
        self.send(group.shard, Command::Seat { track, group: Some(group.id) });
    }

    /// Takes it out again.
    pub fn unseat(&self, track: TrackKey, group: &Group) {
        self.send(group.shard, Command::Seat { track, group: None });
    }
}
