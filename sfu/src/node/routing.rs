//! What follows from wishes: which tracks this node asks of which trunk, and which tracks it
//! sends down which. Called after every change; it compares with what was asked before and
//! acts on the difference, so calling it once too often costs nothing.

use super::room::{Inner, Room};
use super::watching;
use super::{Node, Want};
use crate::media::{OutletId, Priority, TrackKey};
use crate::school::papers;
use crate::trunk::limits::RefusedCounts;
use crate::trunk::tree::{NoPath, Tree};
use crate::trunk::{LinkCommand, LinkHandle, priority};
use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::lesson::{Phase, PublishedTrack, State};
use cloudschool_protocol::media::{Codec, TrackId};
use cloudschool_protocol::trunk::{Control, MAX_DEMAND, Standing};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use tokio::sync::watch;

/// A flow of a track down a trunk.
pub(super) struct OutFlow {
    key: TrackKey,
    outlet: OutletId,
    codec: Codec,
    matters: Priority,
    /// The connection it goes by: after a reconnect it must be announced again.
    link: u64,
}

impl Node {
    /// The trunks a track comes by, when it isn't published here: the one its node stands
    /// behind, and while that isn't heard also the one upwards, as the node may have gone
    /// another way.
    pub(crate) fn suppliers(&self, track: &PublishedTrack) -> Vec<LinkHandle> {
        if track.node == self.name {
            return Vec::new();
        }
        let way = {
            let tree = self.tree.borrow();
            tree.ways_to(&track.node).first().map(|(peer, heard)| ((*peer).clone(), *heard))
        };
        let heard = way.as_ref().is_some_and(|(_, heard)| *heard);
        let below = way.and_then(|(peer, _)| self.trunks.get(&peer).map(|l| l.clone()));
        below.into_iter().chain(self.uplink().filter(|_| !heard)).collect()
    }

    /// Where this node is in the tree of nodes, and a way to hear of changes.
    pub(crate) fn tree(&self) -> watch::Receiver<Tree> {
        self.tree.subscribe()
    }

    fn change_tree(&self, change: impl FnOnce(&mut Tree)) -> bool {
        self.tree.send_if_modified(|tree| {
            let before = tree.clone();
            change(tree);
            *tree != before
        })
    }

    /// The node above says which nodes lie between the origin and itself.
    ///
    /// # Errors
    /// [`NoPath`], when its lessons are not to be taken.
    pub(crate) fn set_path(&self, nodes: Vec<NodeId>, away: bool) -> Result<(), NoPath> {
        let mut taken = Ok(());
        self.change_tree(|tree| taken = tree.set_path(nodes, away));
        taken
    }

    /// Something about certificates came from above: taken, or passed on to the node below it is
    /// for. Gives back what is about something else.
    pub(crate) fn certificate_came(&self, message: Control) -> Option<Control> {
        let Some(to) = papers::to(&message).filter(|to| *to != self.name()) else {
            return self.papers().take(message);
        };
        let way = self.tree().borrow().ways_to(to).first().map(|(peer, _)| (*peer).clone());
        match way.and_then(|peer| self.trunks.get(&peer).map(|link| link.clone())) {
            Some(link) => {
                let message = papers::told(message, &link.peer);
                link.send(LinkCommand::Say(message));
            }
            None => tracing::info!(node = %to, "it is not there any more: it asks again"),
        }
        None
    }

    /// A trunk from below is heard again, or isn't any more.
    pub(crate) fn link_heard(self: &Arc<Self>, link: &LinkHandle, heard: bool) {
        if self.change_tree(|tree| tree.set_reachable(&link.peer, heard)) {
            self.route_all();
        }
    }

    /// The other end of a trunk from below says which nodes stand behind it. Returns how many
    /// of them it may not speak for.
    pub(crate) fn link_behind(self: &Arc<Self>, link: &LinkHandle, nodes: Vec<Standing>) -> usize {
        let mut refused = 0;
        if self.change_tree(|tree| refused = tree.set_behind(&link.peer, nodes)) {
            self.route_all();
        }
        refused
    }

    /// What of trunk peers' was refused.
    pub(crate) fn refused(&self) -> &RefusedCounts {
        &self.refused
    }

    /// The trunk upwards, if there is one now.
    pub(crate) fn uplink(&self) -> Option<LinkHandle> {
        let up = self.upstream.as_ref()?;
        up.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The trunk to `peer`, whichever end dialled.
    pub(crate) fn link(&self, peer: &NodeId) -> Option<LinkHandle> {
        let up = self.uplink().filter(|l| l.peer == *peer);
        up.or_else(|| self.trunks.get(peer).map(|l| l.clone()))
    }

    /// A trunk is there. `upstream` says on which side.
    pub(crate) fn link_up(self: &Arc<Self>, link: LinkHandle, upstream: bool) {
        match &self.upstream {
            Some(up) if upstream => {
                *up.lock().unwrap_or_else(PoisonError::into_inner) = Some(link.clone());
                self.boards_meet(&link);
            }
            _ => {
                let peer = link.identity().clone();
                self.trunks.insert(link.peer.clone(), link.clone());
                self.change_tree(|tree| tree.joined(peer));
                self.tell_spooled_to(&link);
            }
        }
        self.route_all();
    }

    /// A trunk is gone, unless its successor is already there.
    pub(crate) fn link_down(self: &Arc<Self>, link: &LinkHandle, upstream: bool) {
        self.boards().hang_up(link.id);
        match &self.upstream {
            Some(up) if upstream => {
                let mut up = up.lock().unwrap_or_else(PoisonError::into_inner);
                if up.as_ref().is_some_and(|l| l.id == link.id) {
                    *up = None;
                }
            }
            _ => {
                if self.trunks.remove_if(&link.peer, |_, l| l.id == link.id).is_some() {
                    self.change_tree(|tree| tree.parted(&link.peer));
                }
            }
        }
        let rooms: Vec<_> = self.rooms.iter().map(|r| r.clone()).collect();
        for room in rooms {
            room.forget_demands(self, link);
        }
    }

    /// Whether the campus can be reached.
    pub(crate) fn set_campus(self: &Arc<Self>, reachable: bool) {
        self.lessons.set_campus(reachable);
        self.change_tree(|tree| tree.set_away(!reachable));
        let changed =
            self.campus.send_if_modified(|now| std::mem::replace(now, reachable) != reachable);
        if changed && reachable {
            self.route_all();
        }
    }

    fn route_all(self: &Arc<Self>) {
        let rooms: Vec<_> = self.rooms.iter().map(|r| r.clone()).collect();
        for room in rooms {
            room.route(self);
        }
    }

    /// Asks the node a track comes from for a keyframe.
    pub(super) fn want_keyframe_upstream(self: &Arc<Self>, key: TrackKey) {
        let Some((lesson, track)) = self.tracks.get(&key).map(|t| t.clone()) else { return };
        let Ok(room) = self.room(&lesson) else { return };
        let state = room.handle().state();
        let Some(published) = state.tracks.get(&track) else { return };
        for link in self.suppliers(published) {
            link.send(LinkCommand::Keyframe { lesson: lesson.clone(), track: track.clone() });
        }
    }
}

impl Room {
    /// A trunk peer says what it wants of this lesson.
    pub(crate) fn demand(self: &Arc<Self>, node: &Arc<Node>, peer: &NodeId, wanted: Want) {
        self.inner().demands.insert(peer.clone(), wanted);
        self.route(node);
    }

    fn forget_demands(self: &Arc<Self>, node: &Arc<Node>, link: &LinkHandle) {
        {
            let mut inner = self.inner();
            let current = node.link(&link.peer).is_some_and(|l| l.id != link.id);
            if !current {
                inner.demands.remove(&link.peer);
            }
        }
        self.route(node);
    }

    /// The lane by which packets of a track that comes by a trunk enter this node.
    pub(crate) fn inlet(
        &self,
        node: &Node,
        track: &TrackId,
    ) -> Option<crate::media::lane::ShardLane> {
        let key = self.track(node, &mut self.inner(), track);
        node.media().feed_by_lane(key)
    }

    /// The track's place in the packet path, if it has one.
    pub(crate) fn key(&self, track: &TrackId) -> Option<TrackKey> {
        self.inner().tracks.get(track).map(|t| t.key)
    }

    /// Makes trunks and shards do what follows from everybody's wishes, and tells the lesson
    /// what it doesn't know yet.
    pub(crate) fn route(self: &Arc<Self>, node: &Arc<Node>) {
        self.route_media(node);
        self.announce(node);
    }

    fn route_media(&self, node: &Arc<Node>) {
        let state = self.handle().state();
        let mut inner = self.inner();
        let going_on = matches!(state.phase, Phase::Open | Phase::Live);
        if going_on {
            self.follow_teacher(node, &mut inner, &state);
            self.reorder(node, &mut inner, &state);
        }
        self.ask(node, &mut inner, &state, going_on);
        if going_on {
            self.hear_loudest(node, &mut inner, &state);
        }
        self.flow(node, &mut inner, &state, going_on);
        self.spool(node, &mut inner, &state);
    }

    /// Asks each trunk for the union of what is wanted and comes by it.
    fn ask(&self, node: &Arc<Node>, inner: &mut Inner, state: &State, going_on: bool) {
        let mut wanted: HashMap<NodeId, (LinkHandle, Want)> = HashMap::new();
        let voices = Self::wanted_voices(inner, state);
        for (track, published) in state.tracks.iter().filter(|_| going_on) {
            let taken = || inner.taken.contains_key(track);
            let shown = || inner.watches.values().any(|w| w.bound.values().any(|b| b == track));
            for link in node.suppliers(published) {
                let here = voices.contains(track) || taken() || shown();
                let below = |(peer, want): (&NodeId, &Want)| {
                    *peer != link.peer && *peer != published.node && want.contains(track)
                };
                let below = inner.demands.iter().any(below);
                let entry = wanted.entry(link.peer.clone()).or_insert_with(|| (link, Want::new()));
                if here || below {
                    entry.1.insert(track.clone());
                }
            }
        }
        // A trunk asked before and not needed any more is told so.
        for peer in inner.asked.keys() {
            if !wanted.contains_key(peer)
                && let Some(link) = node.link(peer)
            {
                wanted.insert(peer.clone(), (link, Want::new()));
            }
        }
        for (peer, (link, want)) in wanted {
            let asked = inner.asked.get(&peer);
            let known = asked.is_some_and(|(id, before)| *id == link.id && *before == want);
            if known || (want.is_empty() && asked.is_none_or(|(id, _)| *id != link.id)) {
                continue;
            }
            // More than a peer takes is not asked for: what matters least is left out.
            let mut want: Vec<TrackId> = want.into_iter().collect();
            want.sort_by_key(|t| (t.kind(), std::cmp::Reverse(priority(t, state))));
            want.truncate(MAX_DEMAND);
            let want: Want = want.into_iter().collect();
            inner.asked.insert(peer, (link.id, want.clone()));
            let lesson = self.handle().id().clone();
            link.send(LinkCommand::Demand { lesson, tracks: want.into_iter().collect() });
        }
    }

    /// Sends each trunk peer what it wants and this node has.
    fn flow(&self, node: &Arc<Node>, inner: &mut Inner, state: &State, going_on: bool) {
        let mut due: BTreeSet<(NodeId, TrackId)> = BTreeSet::new();
        for (peer, want) in inner.demands.iter().filter(|_| going_on) {
            for track in want {
                let Some(published) = state.tracks.get(track) else { continue };
                let from_there = node.suppliers(published).iter().any(|l| l.peer == *peer);
                if published.node != *peer && !from_there {
                    due.insert((peer.clone(), track.clone()));
                }
            }
        }
        let stale: Vec<_> = inner
            .flows
            .iter()
            .filter(|((peer, track), flow)| {
                let link = node.link(peer).is_some_and(|l| l.id == flow.link);
                let codec = state.tracks.get(track).is_some_and(|t| t.codec == flow.codec);
                !link || !codec || !due.contains(&(peer.clone(), track.clone()))
            })
            .map(|(place, _)| place.clone())
            .collect();
        for place in stale {
            let Some(flow) = inner.flows.remove(&place) else { continue };
            node.media().remove_outlet(flow.key, flow.outlet);
            if let Some(link) = node.link(&place.0).filter(|l| l.id == flow.link) {
                let lesson = self.handle().id().clone();
                link.send(LinkCommand::Stop { lesson, track: place.1 });
            }
        }
        for (peer, track) in due {
            let place = (peer, track);
            let matters = watching::priority(&place.1, state);
            if let Some(flow) = inner.flows.get_mut(&place) {
                let before = std::mem::replace(&mut flow.matters, matters);
                if before != matters
                    && let Some(link) = node.link(&place.0)
                {
                    let (lesson, track) = (self.handle().id().clone(), place.1);
                    link.send(LinkCommand::Matters { lesson, track, matters });
                }
                continue;
            }
            let (Some(link), Some(published)) = (node.link(&place.0), state.tracks.get(&place.1))
            else {
                continue;
            };
            let key = self.track(node, inner, &place.1);
            let (lane, packets) = node.crew.lane(link.id);
            // What of it goes is for the trunk's allocator to say.
            let outlet = node.media().add_waiting_outlet(key, lane);
            link.send(LinkCommand::Start {
                lesson: self.handle().id().clone(),
                track: place.1.clone(),
                codec: published.codec,
                matters,
                at: (key, outlet),
                packets,
            });
            let codec = published.codec;
            let flow = OutFlow { key, outlet, codec, matters, link: link.id };
            inner.flows.insert(place, flow);
        }
    }
}
