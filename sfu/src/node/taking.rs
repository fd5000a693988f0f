//! Tracks that are taken out of this node for someone who has neither a page nor a trunk of
//! ours, and wants them as they are.

use super::Node;
use super::room::Room;
use crate::media::TrackKey;
use crate::media::lane::{OutletId, TrunkBatches, TrunkLane};
use cloudschool_protocol::media::TrackId;
use std::sync::Arc;

/// A track that is being taken. It is taken no more when this is dropped.
pub(crate) struct Taking {
    node: Arc<Node>,
    room: Arc<Room>,
    track: TrackId,
    key: TrackKey,
    outlet: OutletId,
}

impl Room {
    /// Takes a track's packets, in the best form there is, from a keyframe on. Whoever has it is
    /// asked for it.
    pub(crate) fn take(
        self: &Arc<Self>,
        node: &Arc<Node>,
        track: &TrackId,
    ) -> (Taking, TrunkBatches) {
        let (lane, batches) = TrunkLane::new();
        let (key, outlet) = {
            let mut inner = self.inner();
            let key = self.track(node, &mut inner, track);
            *inner.taken.entry(track.clone()).or_default() += 1;
            (key, node.media().add_outlet(key, lane))
        };
        self.route(node);
        let (node, room, track) = (node.clone(), self.clone(), track.clone());
        (Taking { node, room, track, key, outlet }, batches)
    }
}

impl Taking {
    /// Its taker needs a keyframe.
    pub(crate) fn want_keyframe(&self) {
        self.node.media().want_outlet_keyframe(self.key, self.outlet);
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.node.media().remove_outlet(self.key, self.outlet);
        {
            let taken = &mut self.room.inner().taken;
            if let Some(takers) = taken.get_mut(&self.track) {
                *takers -= 1;
                if *takers == 0 {
                    taken.remove(&self.track);
                }
            }
        }
        self.room.route(&self.node);
    }
}
