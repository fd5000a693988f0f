//! The media side of one lesson at one node. It holds wishes and connections: what is published
//! here ([`super::publishing`]), what members watch ([`super::watching`]) and what other nodes
//! want; [`super::routing`] makes shards and trunks do what follows from them. This file keeps
//! it in step with the lesson. Nothing is awaited with the lock held.

use super::publishing::Publication;
use super::watching::Watch;
use super::{MediaError, Node};
use crate::lesson::LessonHandle;
use crate::media::{SessionId, TrackKey};
use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::id::{MemberId, NodeId};
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::{Source, TrackId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{broadcast, watch};

/// Readings of who is loud that a slow socket may lag behind.
const SPEAKER_BACKLOG: usize = 8;

/// Movements of the teacher's pointer that a slow socket may lag behind.
const POINTER_BACKLOG: usize = 8;

/// Who is loud, the loudest first, with the RFC 6464 level.
pub type Speakers = Arc<Vec<(TrackId, u8)>>;

/// The tracks of a lesson that another node wants.
pub type Want = BTreeSet<TrackId>;

/// A track at this node.
pub(super) struct RoomTrack {
    pub key: TrackKey,
    /// The connection that publishes it here.
    pub publisher: Option<SessionId>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub tracks: HashMap<TrackId, RoomTrack>,
    pub publications: HashMap<SessionId, Publication>,
    pub watches: HashMap<SessionId, Watch>,
    /// What each trunk peer wants of this lesson.
    pub demands: HashMap<NodeId, Want>,
    /// What was last asked of each trunk.
    pub asked: HashMap<NodeId, (u64, Want)>,
    /// Flows towards each trunk peer.
    pub flows: HashMap<(NodeId, TrackId), super::routing::OutFlow>,
    /// Tracks that are taken out for others than pages and trunks, and by how many.
    pub taken: HashMap<TrackId, usize>,
    /// Tracks that are kept when the campus goes away.
    pub tapped: Vec<super::spooling::Tapped>,
    /// Tracks whose coming or going is being announced.
    pub announcing: HashSet<TrackId>,
    /// Which encodings of what is published here are wanted.
    pub encodings: super::layers::Encodings,
    /// The loudest microphones.
    pub speaking: super::speaking::Speaking,
}

/// The media side of one lesson.
pub struct Room {
    handle: Arc<LessonHandle>,
    inner: Mutex<Inner>,
    speakers: broadcast::Sender<Speakers>,
    pointer: broadcast::Sender<super::Pointed>,
    pub(super) watched: watch::Sender<super::Watched>,
    pub(super) rungs: watch::Sender<super::SchoolRungs>,
}

impl Room {
    pub(super) fn new(handle: Arc<LessonHandle>) -> Self {
        let (speakers, _) = broadcast::channel(SPEAKER_BACKLOG);
        let (pointer, _) = broadcast::channel(POINTER_BACKLOG);
        let (watched, rungs) = (watch::Sender::default(), watch::Sender::default());
        Self { handle, inner: Mutex::default(), speakers, pointer, watched, rungs }
    }

    /// The lesson itself.
    #[must_use]
    pub fn handle(&self) -> &Arc<LessonHandle> {
        &self.handle
    }

    pub(super) fn speakers(&self) -> broadcast::Receiver<Speakers> {
        self.speakers.subscribe()
    }

    pub(super) fn pointer(&self) -> broadcast::Receiver<super::Pointed> {
        self.pointer.subscribe()
    }

    pub(super) fn say_where_is_pointed(&self, pointed: super::Pointed) {
        // Nobody looking is no error.
        let _lookers = self.pointer.send(pointed);
    }

    pub(super) fn say_who_is_loud(&self, tracks: Vec<(TrackId, u8)>) {
        // Nobody listening is no error.
        let _listeners = self.speakers.send(Arc::new(tracks));
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change leaves it whole, so it is whole after any panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The track's place in the packet path.
    pub(super) fn track(&self, node: &Node, inner: &mut Inner, track: &TrackId) -> TrackKey {
        if let Some(known) = inner.tracks.get(track) {
            return known.key;
        }
        // Everything a member sends has one home.
        let mut owner = DefaultHasher::new();
        (self.handle.id(), &track.member).hash(&mut owner);
        let key = node.media.open_track(track.kind(), owner.finish());
        inner.tracks.insert(track.clone(), RoomTrack { key, publisher: None });
        node.tracks.insert(key, (self.handle.id().clone(), track.clone()));
        if self.handle.state().muted.contains(&track.member) && track.source == Source::Microphone {
            node.media.mute(key, true);
        }
        key
    }

    /// Whether the trunk with that id to `peer` was asked for the track: what nobody asked for
    /// is not let in.
    pub(crate) fn asked(&self, peer: &NodeId, link: u64, track: &TrackId) -> bool {
        let inner = self.inner();
        inner.asked.get(peer).is_some_and(|(id, want)| *id == link && want.contains(track))
    }

    /// Brings the media side in line with a lesson of which nobody says what has changed since
    /// it was as in `before`.
    fn settle(self: &Arc<Self>, node: &Arc<Node>, before: &State) {
        let gone: BTreeSet<MemberId> = {
            let inner = self.inner();
            // Read with the lock held: whoever has a connection is in it, unless gone again.
            let state = self.handle.state();
            if matches!(state.phase, Phase::Ended | Phase::Archived) {
                drop(inner);
                return self.wind_up(node);
            }
            for (track, known) in
                inner.tracks.iter().filter(|(t, _)| t.source == Source::Microphone)
            {
                node.media.mute(known.key, state.muted.contains(&track.member));
            }
            let at = |state: &State, m: &MemberId| state.members.get(m).map(|m| m.node.clone());
            let here = |m: &&MemberId| at(&state, m).is_some_and(|at| at == node.name);
            // Whoever has only a player was perhaps never a member, and loses nothing by that.
            let moved = |m: &&MemberId| at(before, m) != at(&state, m) && !here(m);
            let (players, pages): (Vec<&Watch>, Vec<&Watch>) =
                inner.watches.values().partition(|w| w.follows_teacher);
            let members = pages.iter().map(|w| &w.member);
            let members = members.chain(inner.publications.values().map(|p| &p.member));
            let gone = members.filter(|m| !here(m));
            let lost = |m: &&MemberId| moved(m) || state.removed.contains_key(*m);
            gone.chain(players.iter().map(|w| &w.member).filter(lost)).cloned().collect()
        };
        gone.iter().for_each(|member| self.part(node, member));
    }

    /// Whether the connection is the member's.
    pub(super) fn is_of(&self, session: SessionId, member: &MemberId) -> bool {
        let inner = self.inner();
        inner.watches.get(&session).is_some_and(|w| w.member == *member)
            || inner.publications.get(&session).is_some_and(|p| p.member == *member)
    }

    pub(super) async fn hang_up(
        self: &Arc<Self>,
        node: &Arc<Node>,
        session: SessionId,
        member: &MemberId,
    ) -> Result<(), MediaError> {
        let publication = {
            let mut inner = self.inner();
            if inner.watches.get(&session).is_some_and(|w| w.member == *member) {
                inner.watches.remove(&session);
                None
            } else if inner.publications.get(&session).is_some_and(|p| p.member == *member) {
                inner.publications.remove(&session)
            } else {
                return Err(MediaError::NoSuchSession);
            }
        };
        node.sessions.remove(&session);
        node.media.close(session);
        self.route(node);
        if let Some(publication) = publication {
            self.release(node, session, publication).await;
        }
        Ok(())
    }

    /// Ends all connections of a member at this node.
    pub(super) fn part(self: &Arc<Self>, node: &Arc<Node>, member: &MemberId) {
        let sessions: Vec<SessionId> = {
            let mut inner = self.inner();
            let watching = inner.watches.iter().filter(|(_, w)| w.member == *member);
            let publishing = inner.publications.iter().filter(|(_, p)| p.member == *member);
            let sessions: Vec<_> =
                watching.map(|(s, _)| *s).chain(publishing.map(|(s, _)| *s)).collect();
            for session in &sessions {
                inner.watches.remove(session);
                inner.publications.remove(session);
            }
            sessions
        };
        self.end(node, sessions);
    }

    /// The lesson is over: everybody's connections end, and its tracks are forgotten.
    pub(super) fn wind_up(self: &Arc<Self>, node: &Arc<Node>) {
        let (sessions, tracks) = {
            let mut inner = self.inner();
            let sessions: Vec<SessionId> =
                inner.watches.keys().chain(inner.publications.keys()).copied().collect();
            inner.watches.clear();
            inner.publications.clear();
            Self::fall_silent(node, &mut inner);
            let tracks: BTreeMap<TrackKey, ()> =
                inner.tracks.drain().map(|(_, t)| (t.key, ())).collect();
            (sessions, tracks)
        };
        self.end(node, sessions);
        for key in tracks.into_keys() {
            node.tracks.remove(&key);
            node.media.close_track(key);
        }
    }

    pub(super) fn end(self: &Arc<Self>, node: &Arc<Node>, sessions: Vec<SessionId>) {
        for session in sessions {
            node.sessions.remove(&session);
            node.media.close(session);
        }
        self.route(node);
    }

    fn happened(self: &Arc<Self>, node: &Arc<Node>, event: &Event) {
        match &event.body {
            EventBody::MemberMuted { member, muted, .. } => {
                let track = TrackId::new(member.clone(), Source::Microphone);
                if let Some(known) = self.inner().tracks.get(&track) {
                    node.media.mute(known.key, *muted);
                }
            }
            EventBody::MemberJoined { member } if member.node != node.name => {
                self.part(node, &member.id);
            }
            EventBody::MemberLeft { member, .. } | EventBody::MemberRemoved { member, .. } => {
                let gone = !self.handle.state().members.contains_key(member);
                if gone {
                    self.part(node, member);
                }
            }
            EventBody::LessonEnded { .. } => self.wind_up(node),
            _ => {}
        }
    }
}

/// Follows the lesson and makes the media side do what follows from it, as long as the node
/// knows the lesson.
pub(super) async fn run(node: Weak<Node>, room: Arc<Room>) {
    let (state, mut events) = room.handle.follow();
    // As far as its events were followed.
    let mut known = State::clone(&state);
    drop(state);
    if let Some(node) = node.upgrade() {
        node.fetch_ahead(&known);
    }
    loop {
        let news = events.next().await;
        let Some(node) = node.upgrade() else { return };
        if !node.holds(&room) {
            return;
        }
        match news {
            Ok(news) => news.iter().for_each(|event| {
                if let Err(gap) = known.apply(event) {
                    tracing::error!(lesson = %room.handle.id(), %gap, "events are missing");
                }
                room.happened(&node, event);
            }),
            // The history is another one: nobody says what changed.
            Err(_) => {
                let (state, anew) = room.handle.follow();
                events = anew;
                room.settle(&node, &known);
                known = State::clone(&state);
            }
        }
        room.route(&node);
        node.fetch_ahead(&known);
    }
}
