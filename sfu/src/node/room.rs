//! The media side of one lesson at one node: who publishes what here, what every member's
//! watch connection shows, what other nodes want, and which tracks that makes this node want.
//!
//! It holds wishes and connections, and [`super::routing`] makes the shards and trunks do what
//! follows from them. Nothing here is awaited with the lock held.

use super::{Answer, MediaError, Node};
use crate::lesson::LessonHandle;
use crate::media::{PublishTracks, SessionId, TrackKey};
use crate::peer::SlotLine;
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::{Event, EventBody, LeaveReason};
use cloudschool_protocol::id::{MemberId, NodeId};
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::{Codec, Kind, Source, TrackId};
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::socket::Slot;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// A publisher that comes back within this is not gone for anybody (design: a blip of under
/// five seconds is invisible).
const BLIP: Duration = Duration::from_secs(5);

/// Players without a lesson socket that one member may have: a fifth ends the first.
const MAX_PLAYERS: usize = 4;

/// Readings of who is loud that a slow socket may lag behind.
const SPEAKER_BACKLOG: usize = 8;

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

/// A connection that publishes.
pub(super) struct Publication {
    pub member: MemberId,
    pub source: Source,
    /// What came of it so far.
    pub started: HashMap<TrackId, Codec>,
    /// The member is in the lesson only because it publishes.
    pub brought_in: bool,
}

/// A member's watch connection.
pub(super) struct Watch {
    pub session: SessionId,
    pub lines: Vec<SlotLine>,
    pub bound: HashMap<String, TrackId>,
    /// Shows the teacher by itself: a player without a lesson socket.
    pub follows_teacher: bool,
    /// DTLS fingerprint of the peer: another one is another connection.
    pub fingerprint: String,
    pub member: MemberId,
    pub began: Instant,
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
    /// Tracks whose coming or going is being announced.
    announcing: HashSet<TrackId>,
}

/// The media side of one lesson.
pub struct Room {
    handle: Arc<LessonHandle>,
    inner: Mutex<Inner>,
    speakers: broadcast::Sender<Speakers>,
}

fn fingerprint(sdp: &str) -> String {
    let line = sdp.lines().find_map(|l| l.strip_prefix("a=fingerprint:"));
    line.unwrap_or_default().trim().to_owned()
}

impl Room {
    pub(super) fn new(handle: Arc<LessonHandle>) -> Self {
        let (speakers, _) = broadcast::channel(SPEAKER_BACKLOG);
        Self { handle, inner: Mutex::default(), speakers }
    }

    /// The lesson itself.
    #[must_use]
    pub fn handle(&self) -> &Arc<LessonHandle> {
        &self.handle
    }

    pub(super) fn speakers(&self) -> broadcast::Receiver<Speakers> {
        self.speakers.subscribe()
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

    pub(super) async fn publish(
        self: &Arc<Self>,
        node: &Arc<Node>,
        member: &MemberId,
        source: Source,
        offer: String,
        brought_in: bool,
    ) -> Result<Answer, MediaError> {
        let sound = TrackId::new(member.clone(), source.audio_companion());
        let picture = TrackId::new(member.clone(), source);
        let (tracks, before) = {
            let mut inner = self.inner();
            let audio = self.track(node, &mut inner, &sound);
            let video = self.track(node, &mut inner, &picture);
            let same = |p: &Publication| p.member == *member && p.source == source;
            let before: Vec<_> =
                inner.publications.iter().filter(|(_, p)| same(p)).map(|(s, _)| *s).collect();
            (PublishTracks { audio, video }, before)
        };
        let (session, answer) = node.media.publish(offer, tracks).await??;
        let mut inner = self.inner();
        let mut kept_in = brought_in;
        for old in before {
            if let Some(gone) = inner.publications.remove(&old) {
                kept_in |= gone.brought_in;
            }
            node.sessions.remove(&old);
            node.media.close(old);
        }
        for track in [&sound, &picture] {
            if let Some(known) = inner.tracks.get_mut(track) {
                known.publisher = Some(session);
            }
        }
        node.sessions.insert(session, self.handle.id().clone());
        let publication = Publication {
            member: member.clone(),
            source,
            started: HashMap::new(),
            brought_in: kept_in,
        };
        inner.publications.insert(session, publication);
        drop(inner);
        let (room, node) = (self.clone(), Arc::downgrade(node));
        tokio::spawn(async move {
            tokio::time::sleep(BLIP).await;
            if let Some(node) = node.upgrade() {
                room.release_silent(&node, session);
            }
        });
        Ok(Answer { session: session.to_string(), sdp: answer.sdp })
    }

    /// The first packet of a published track came.
    pub(super) fn started(
        self: &Arc<Self>,
        node: &Arc<Node>,
        session: SessionId,
        key: TrackKey,
        codec: Codec,
    ) {
        let Some((_, track)) = node.tracks.get(&key).map(|t| t.clone()) else { return };
        if let Some(publication) = self.inner().publications.get_mut(&session) {
            publication.started.insert(track, codec);
        }
        self.announce(node);
    }

    /// Tells the lesson what is published here and it doesn't know, and what it believes to
    /// be and isn't. Done after every event and when the campus is back, so an announcement
    /// that was lost, or overtaken by another, is made up for.
    pub(super) fn announce(self: &Arc<Self>, node: &Arc<Node>) {
        let state = self.handle.state();
        if !matches!(state.phase, Phase::Open | Phase::Live) {
            return;
        }
        let mut due: Vec<Command> = Vec::new();
        {
            let mut inner = self.inner();
            let inner = &mut *inner;
            for (session, publication) in &inner.publications {
                for (track, codec) in &publication.started {
                    let current = inner.tracks.get(track).and_then(|t| t.publisher);
                    let known = state.tracks.get(track);
                    let known = known.is_some_and(|t| t.codec == *codec && t.node == node.name);
                    let there = state.members.contains_key(&track.member);
                    if current == Some(*session)
                        && there
                        && !known
                        && inner.announcing.insert(track.clone())
                    {
                        due.push(Command::Publish { track: track.clone(), codec: *codec });
                    }
                }
            }
            for (track, _) in state.tracks.iter().filter(|(_, t)| t.node == node.name) {
                let published = inner.tracks.get(track).is_some_and(|t| t.publisher.is_some());
                if !published && inner.announcing.insert(track.clone()) {
                    due.push(Command::Unpublish { track: track.clone() });
                }
            }
        }
        for command in due {
            let (room, node) = (self.clone(), node.clone());
            tokio::spawn(async move { room.tell(&node, command).await });
        }
    }

    async fn tell(&self, node: &Node, command: Command) {
        let (Command::Publish { track, .. } | Command::Unpublish { track }) = &command else {
            return;
        };
        let track = track.clone();
        if let Err(refusal) = self.handle.submit(command, &node.name).await {
            tracing::info!(%track, %refusal, "a track was not announced; it is tried again");
        }
        self.inner().announcing.remove(&track);
    }

    /// A peer connection ended by itself.
    pub(super) fn closed(self: &Arc<Self>, node: &Arc<Node>, session: SessionId) {
        let mut inner = self.inner();
        node.sessions.remove(&session);
        if inner.watches.remove(&session).is_some() {
            drop(inner);
            self.route(node);
            return;
        }
        let Some(publication) = inner.publications.remove(&session) else { return };
        drop(inner);
        let (room, node) = (self.clone(), Arc::downgrade(node));
        tokio::spawn(async move {
            tokio::time::sleep(BLIP).await;
            if let Some(node) = node.upgrade() {
                room.release(&node, session, publication).await;
            }
        });
    }

    /// A connection that took over from another may have fewer tracks: those it has sent
    /// nothing of are nobody's.
    fn release_silent(self: &Arc<Self>, node: &Arc<Node>, session: SessionId) {
        {
            let mut inner = self.inner();
            let inner = &mut *inner;
            let Some(publication) = inner.publications.get(&session) else { return };
            for (track, known) in &mut inner.tracks {
                if known.publisher == Some(session) && !publication.started.contains_key(track) {
                    known.publisher = None;
                }
            }
        }
        self.announce(node);
    }

    /// A connection's tracks are gone, but for those that another connection publishes by
    /// now; and so is a member that was there only to publish.
    async fn release(
        self: &Arc<Self>,
        node: &Arc<Node>,
        session: SessionId,
        publication: Publication,
    ) {
        let leaves = {
            let mut inner = self.inner();
            for known in inner.tracks.values_mut().filter(|k| k.publisher == Some(session)) {
                known.publisher = None;
            }
            let other = inner.publications.values_mut().find(|p| p.member == publication.member);
            match other {
                Some(other) => {
                    other.brought_in |= publication.brought_in;
                    false
                }
                None => publication.brought_in,
            }
        };
        self.announce(node);
        if leaves {
            node.leave(self.handle.id(), &publication.member, LeaveReason::Left).await;
        }
    }

    /// A member is here by its page now: it stays when it stops publishing.
    pub(super) fn came_in(&self, member: &MemberId) {
        let mut inner = self.inner();
        for publication in inner.publications.values_mut().filter(|p| p.member == *member) {
            publication.brought_in = false;
        }
    }

    /// Whether the trunk with that id to `peer` was asked for the track: what nobody asked for
    /// is not let in.
    pub(crate) fn asked(&self, peer: &NodeId, link: u64, track: &TrackId) -> bool {
        let inner = self.inner();
        inner.asked.get(peer).is_some_and(|(id, want)| *id == link && want.contains(track))
    }

    /// Brings the media side in line with a lesson whose past is not known.
    fn settle(self: &Arc<Self>, node: &Arc<Node>, state: &State) {
        if matches!(state.phase, Phase::Ended | Phase::Archived) {
            return self.wind_up(node);
        }
        let gone: BTreeSet<MemberId> = {
            let inner = self.inner();
            for (track, known) in
                inner.tracks.iter().filter(|(t, _)| t.source == Source::Microphone)
            {
                node.media.mute(known.key, state.muted.contains(&track.member));
            }
            let watching = inner.watches.values().map(|w| &w.member);
            let publishing = inner.publications.values().map(|p| &p.member);
            let here = |m: &&MemberId| state.members.get(*m).is_some_and(|m| m.node == node.name);
            watching.chain(publishing).filter(|m| !here(m)).cloned().collect()
        };
        gone.iter().for_each(|member| self.part(node, member));
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

    pub(super) async fn watch(
        self: &Arc<Self>,
        node: &Arc<Node>,
        member: &MemberId,
        offer: String,
    ) -> Result<Answer, MediaError> {
        if !self.handle.state().members.contains_key(member) {
            return Err(Refusal::NotAMember.into());
        }
        let known = {
            let inner = self.inner();
            let own = |w: &&Watch| w.member == *member && !w.follows_teacher;
            inner.watches.values().find(own).map(|w| (w.session, w.fingerprint.clone()))
        };
        match known {
            Some((session, print)) if print == fingerprint(&offer) && node.media.has(session) => {
                let answer = node.media.renegotiate(session, offer).await??;
                if let Some(watch) = self.inner().watches.get_mut(&session) {
                    watch.lines = answer.slots;
                }
                Ok(Answer { session: session.to_string(), sdp: answer.sdp })
            }
            other => {
                let answer = self.begin_watch(node, member, offer, false).await?;
                if let Some((old, _)) = other {
                    self.inner().watches.remove(&old);
                    node.sessions.remove(&old);
                    node.media.close(old);
                }
                Ok(answer)
            }
        }
    }

    pub(super) async fn play(
        self: &Arc<Self>,
        node: &Arc<Node>,
        member: &MemberId,
        offer: String,
    ) -> Result<Answer, MediaError> {
        let answer = self.begin_watch(node, member, offer, true).await?;
        let surplus = {
            let mut inner = self.inner();
            let own = |w: &&Watch| w.member == *member && w.follows_teacher;
            let mut players: Vec<_> =
                inner.watches.values().filter(own).map(|w| (w.began, w.session)).collect();
            players.sort_unstable();
            players.truncate(players.len().saturating_sub(MAX_PLAYERS));
            for (_, session) in &players {
                inner.watches.remove(session);
            }
            players.into_iter().map(|(_, session)| session).collect()
        };
        self.end(node, surplus);
        Ok(answer)
    }

    async fn begin_watch(
        &self,
        node: &Arc<Node>,
        member: &MemberId,
        offer: String,
        follows_teacher: bool,
    ) -> Result<Answer, MediaError> {
        let fingerprint = fingerprint(&offer);
        let (session, answer) = node.media.watch(offer).await??;
        node.sessions.insert(session, self.handle.id().clone());
        let watch = Watch {
            session,
            lines: answer.slots,
            bound: HashMap::new(),
            follows_teacher,
            fingerprint,
            member: member.clone(),
            began: Instant::now(),
        };
        self.inner().watches.insert(session, watch);
        Ok(Answer { session: session.to_string(), sdp: answer.sdp })
    }

    pub(super) fn bind(
        self: &Arc<Self>,
        node: &Arc<Node>,
        member: &MemberId,
        slots: Vec<Slot>,
    ) -> Result<(), MediaError> {
        let state = self.handle.state();
        let mut inner = self.inner();
        let own = |w: &&mut Watch| w.member == *member && !w.follows_teacher;
        let watch = inner.watches.values_mut().find(own).ok_or(MediaError::NoSuchSession)?;
        for slot in &slots {
            let line = watch.lines.iter().find(|l| l.mid == slot.mid);
            let line = line.ok_or(MediaError::NoSuchSession)?;
            if let Some(track) = &slot.track
                && (track.kind() != line.kind || !state.tracks.contains_key(track))
            {
                return Err(Refusal::NoSuchTrack.into());
            }
        }
        let session = watch.session;
        // Said twice of one line, the last word counts.
        let slots: BTreeMap<String, Option<TrackId>> =
            slots.into_iter().map(|s| (s.mid, s.track)).collect();
        for (mid, track) in &slots {
            match track {
                Some(track) => watch.bound.insert(mid.clone(), track.clone()),
                None => watch.bound.remove(mid),
            };
        }
        for (mid, track) in slots {
            let key = track.map(|t| self.track(node, &mut inner, &t));
            node.media.bind(session, mid, key);
        }
        drop(inner);
        self.route(node);
        Ok(())
    }

    /// Binds the lines of players without a lesson socket to what the teacher shows.
    pub(super) fn follow_teacher(&self, node: &Node, inner: &mut Inner, state: &State) {
        let teacher = state.teacher().map(|t| t.id.clone());
        let show = |sources: [Source; 2]| {
            let own = |s| TrackId::new(teacher.clone()?, s).into();
            let tracks: Vec<TrackId> = sources.into_iter().filter_map(own).collect();
            tracks.into_iter().find(|t| state.tracks.contains_key(t))
        };
        let picture = show([Source::Screen, Source::Camera]);
        let sound = show([Source::Microphone, Source::ScreenAudio]);
        let mut changes = Vec::new();
        for watch in inner.watches.values_mut().filter(|w| w.follows_teacher) {
            for (kind, track) in [(Kind::Video, &picture), (Kind::Audio, &sound)] {
                let Some(line) = watch.lines.iter().find(|l| l.kind == kind) else { continue };
                if watch.bound.get(&line.mid) == track.as_ref() {
                    continue;
                }
                match track {
                    Some(track) => watch.bound.insert(line.mid.clone(), track.clone()),
                    None => watch.bound.remove(&line.mid),
                };
                changes.push((watch.session, line.mid.clone(), track.clone()));
            }
        }
        for (session, mid, track) in changes {
            let key = track.map(|t| self.track(node, inner, &t));
            node.media.bind(session, mid, key);
        }
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

    fn end(self: &Arc<Self>, node: &Arc<Node>, sessions: Vec<SessionId>) {
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
            EventBody::MemberLeft { member, .. } => {
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
    let (_, mut events) = room.handle.follow();
    loop {
        let news = events.next().await;
        let Some(node) = node.upgrade() else { return };
        if !node.holds(&room) {
            return;
        }
        match news {
            Ok(news) => news.iter().for_each(|event| room.happened(&node, event)),
            // The history is another one: nobody says what changed.
            Err(_) => {
                let (state, anew) = room.handle.follow();
                events = anew;
                room.settle(&node, &state);
            }
        }
        room.route(&node);
    }
}
