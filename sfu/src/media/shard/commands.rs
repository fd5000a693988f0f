//! The part of a shard that carries out commands: peers, tracks and who gets what.

use super::peer::{Peer, PublisherMedia, Publishing, Side};
use super::watching::Watching;
use super::{Shard, TcpNews};
use crate::media::batch::TrackKey;
use crate::media::ingress::Ingress;
use crate::media::messages::{Command, Joining, MediaEvent, PublishTracks, SessionId, Shown};
use crate::media::outlet::Outlet;
use crate::media::track::{Feed, Subscriber, Track};
use crate::peer::{Answer, Condition, FragmentError, OfferError, Patched, Transport};
use cloudschool_protocol::media::Kind;
use cloudschool_srtp::{Opener, Sealer, SessionKeys};
use std::time::Instant;
use tokio::sync::oneshot;

impl Shard {
    /// Carries out a command.
    pub fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Publish { joining, tracks } => self.publish(*joining, tracks, now),
            Command::Watch { joining } => {
                let watching = Box::new(Watching::new(&joining.answer.lines, now));
                self.admit(*joining, Side::Watching(watching), now);
            }
            Command::Renegotiate { session, offer, reply } => {
                let answer = self.renegotiate(session, &offer, now);
                if reply.send(answer).is_err() {
                    tracing::debug!(%session, "nobody waits for the answer any more");
                }
            }
            Command::Patch { session, fragment, condition, reply } => {
                let patched = self.patch(session, &fragment, &condition);
                if reply.send(patched).is_err() {
                    tracing::debug!(%session, "nobody waits for the fragment any more");
                }
            }
            Command::Close { session } => self.close(session, now),
            Command::OpenTrack { track, kind, lane } => self.open_track(track, kind, lane),
            Command::CloseTrack { track } => self.close_track(track, now),
            Command::Bind { session, mid, show } => self.bind(session, &mid, show, now),
            Command::AddOutlet { track, outlet } => self.add_outlet(track, outlet, now),
            Command::SetOutlet { track, id, showing, at_once, replay } => {
                if let Some(track) = self.track(track) {
                    track.show(id, showing, at_once, replay, now);
                }
            }
            Command::WantOutletKeyframe { track, id } => {
                if let Some(track) = self.track(track) {
                    track.want_outlet_keyframe(id, now);
                }
            }
            Command::RemoveOutlet { track, id } => {
                if let Some(track) = self.track(track) {
                    track.outlets.retain(|o| o.id != id);
                }
            }
            Command::Mute { track, muted } => self.mute(track, muted, now),
            Command::OpenGroup { group, places } => self.open_group(group, places),
            Command::CloseGroup { group } => self.close_group(group),
            Command::Seat { track, group } => self.seat(track, group, now),
            Command::WantKeyframe { track, encoding } => {
                if let Some(track) = self.track(track) {
                    let wanted = encoding.or_else(|| track.best(now));
                    let encoding = wanted.and_then(|e| track.encoding_mut(e));
                    encoding.into_iter().for_each(|e| e.keyframes.want(now));
                }
            }
            Command::Thumbnail { track, reply } => {
                let picture = self.track(track).and_then(|track| track.thumbnail(now));
                if reply.send(picture).is_err() {
                    tracing::debug!(?track, "nobody waits for the picture any more");
                }
            }
            Command::Stop { done } => self.stop(done, now),
        }
    }

    pub(super) fn track(&mut self, key: TrackKey) -> Option<&mut Track> {
        let index = *self.keys.get(&key)?;
        self.tracks.get_mut(index)?.as_deref_mut()
    }

    fn publish(&mut self, joining: Joining, tracks: PublishTracks, now: Instant) {
        let place = |key| self.keys.get(&key).copied().unwrap_or(usize::MAX);
        let publishing = Publishing {
            tracks,
            places: [place(tracks.audio), place(tracks.video)],
            lines: joining.answer.lines.clone(),
            media: None,
            started: [false; 2],
        };
        let Some(at) = self.admit(joining, Side::Publishing(Box::new(publishing)), now) else {
            return;
        };
        for key in [tracks.audio, tracks.video] {
            if let Some(track) = self.track(key) {
                track.feed = Feed::Peer(at);
            }
        }
    }

    /// Takes a peer over whose offer was answered, and lets its answer go out: from then on its
    /// checks may come.
    fn admit(&mut self, joining: Joining, side: Side, now: Instant) -> Option<usize> {
        let Joining { session, engine, answer, reply } = joining;
        let at = place(&mut self.peers, Box::new(Peer::new(session, engine, side, now)));
        self.due_lines.resize(self.peers.len(), 0);
        self.sessions.insert(session, at);
        self.learn_fragments(at);
        self.pump(at, now);
        if reply.send(answer).is_err() {
            self.close(session, now);
            return None;
        }
        Some(at)
    }

    fn renegotiate(
        &mut self,
        session: SessionId,
        offer: &str,
        now: Instant,
    ) -> Result<Answer, OfferError> {
        let gone = || OfferError::Unsupported("the connection is gone".into());
        let at = *self.sessions.get(&session).ok_or_else(gone)?;
        let Some(Some(peer)) = self.peers.get_mut(at) else { return Err(gone()) };
        let answer = peer.engine.renegotiate(offer)?;
        match &mut peer.side {
            Side::Watching(watching) => watching.set_lines(&answer.lines),
            Side::Publishing(publishing) => {
                publishing.lines.clone_from(&answer.lines);
                if let Some(media) = &mut publishing.media {
                    media.ingress.set_lines(answer.lines.clone());
                }
            }
        }
        self.learn_fragments(at);
        self.pump(at, now);
        Ok(answer)
    }

    fn patch(
        &mut self,
        session: SessionId,
        fragment: &str,
        condition: &Condition,
    ) -> Result<Patched, FragmentError> {
        let at = *self.sessions.get(&session).ok_or(FragmentError::Outdated)?;
        let Some(Some(peer)) = self.peers.get_mut(at) else { return Err(FragmentError::Outdated) };
        let patched = peer.engine.patch(fragment, condition)?;
        self.learn_fragments(at);
        Ok(patched)
    }

    /// ICE checks to this peer are recognised by its user name fragments, which an ICE restart
    /// changes.
    pub(super) fn learn_fragments(&mut self, at: usize) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        if peer.engine.username_fragments().eq(peer.fragments.iter().map(String::as_str)) {
            return;
        }
        for old in peer.fragments.drain(..) {
            self.fragments.remove(&old);
        }
        peer.fragments.extend(peer.engine.username_fragments().map(str::to_owned));
        for fragment in &peer.fragments {
            self.fragments.insert(fragment.clone(), at);
        }
    }

    pub(super) fn connected(&mut self, at: usize, keys: Option<Box<SessionKeys>>, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let session = peer.session;
        peer.connect_by = None;
        let contexts = keys.and_then(|keys| {
            Some((Opener::new(&keys.remote).ok()?, Sealer::new(&keys.local).ok()?))
        });
        let Some((opener, sealer)) = contexts else {
            tracing::warn!(%session, "a peer agreed on no SRTP profile that is spoken here");
            self.gone(at);
            return;
        };
        match &mut peer.side {
            Side::Publishing(publishing) => {
                let ingress = Ingress::new(opener, publishing.lines.clone(), now);
                publishing.media = Some(PublisherMedia { ingress, sealer });
            }
            Side::Watching(watching) => watching.connected(opener, sealer, now),
        }
        self.emit(MediaEvent::Connected { session });
    }

    pub(super) fn gone(&mut self, at: usize) {
        let Some(Some(peer)) = self.peers.get(at) else { return };
        let (session, heard) = (peer.session, peer.heard);
        self.emit(MediaEvent::Closed { session });
        self.close(session, heard);
    }

    fn close(&mut self, session: SessionId, now: Instant) {
        let Some(at) = self.sessions.remove(&session) else { return };
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        peer.engine.close(now);
        self.transmit(at);
        let Some(peer) = self.peers.get_mut(at).and_then(Option::take) else { return };
        self.timers.clear(at);
        for route in &peer.routes {
            if self.demux.get(*route) == Some(at) {
                self.demux.remove(*route);
                if route.transport == Transport::Tcp {
                    self.tcp_news.push(TcpNews::Dismissed(route.address));
                }
            }
        }
        for fragment in &peer.fragments {
            self.fragments.remove(fragment);
        }
        for track in self.tracks.iter_mut().flatten() {
            track.subscribers.retain(|s| s.peer != at);
            if track.feed == Feed::Peer(at) {
                track.feed = Feed::Idle;
            }
        }
        self.due.retain(|d| *d != at);
        self.due_lines.get_mut(at).into_iter().for_each(|lines| *lines = 0);
    }

    fn open_track(&mut self, key: TrackKey, kind: Kind, lane: bool) {
        let feed = if lane { Feed::Lane } else { Feed::Idle };
        if let Some(track) = self.track(key) {
            track.feed = feed;
            return;
        }
        let mut track = Track::new(key, kind, feed);
        track.muted = self.muted.contains(&key);
        let index = place(&mut self.tracks, Box::new(track));
        self.keys.insert(key, index);
    }

    fn close_track(&mut self, key: TrackKey, now: Instant) {
        self.seat(key, None, now);
        self.muted.remove(&key);
        let Some(index) = self.keys.remove(&key) else { return };
        let Some(track) = self.tracks.get_mut(index).and_then(Option::take) else { return };
        self.dirty.retain(|d| *d != index);
        for Subscriber { peer, slot } in track.subscribers {
            let Some(Some(peer)) = self.peers.get_mut(peer) else { continue };
            let Some(watching) = peer.watching() else { continue };
            if let Some(slot) = watching.slots.get_mut(slot) {
                slot.track = None;
                slot.egress.unmap();
            }
        }
    }

    fn bind(&mut self, session: SessionId, mid: &str, show: Option<Shown>, now: Instant) {
        let Some(&at) = self.sessions.get(&session) else { return };
        let target = show.and_then(|s| self.keys.get(&s.track).copied());
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Some(watching) = peer.watching() else { return };
        let Some(place) = watching.slots.iter().position(|s| s.mid == mid) else { return };
        let Some(slot) = watching.slots.get_mut(place) else { return };
        let mut resized = false;
        if let Some(show) = show {
            slot.priority = show.priority;
            slot.own_voice = show.own_voice;
            resized = std::mem::replace(&mut slot.small, show.small) != show.small;
        }
        if slot.track == target {
            if resized {
                watching.next_choice = now;
                self.schedule(at, now);
            }
            return;
        }
        let line = Subscriber { peer: at, slot: place };
        let before = std::mem::replace(&mut slot.track, target);
        slot.egress.unmap();
        let kind = slot.kind;
        watching.next_choice = now;
        watching.drop_waiting(place);
        if let Some(Some(track)) = before.and_then(|b| self.tracks.get_mut(b)) {
            track.subscribers.retain(|s| *s != line);
        }
        if let Some(Some(track)) = target.and_then(|t| self.tracks.get_mut(t))
            && track.kind == kind
        {
            track.subscribers.push(line);
            self.start_line(at, place, now);
        }
        self.schedule(at, now);
    }

    fn add_outlet(&mut self, key: TrackKey, mut outlet: Outlet, now: Instant) {
        let Some(track) = self.track(key) else { return };
        track.begin_outlet(&mut outlet, usize::MAX, now);
        track.outlets.push(outlet);
    }

    /// A mute leaves no gap: every line breaks with the source and follows on later.
    fn mute(&mut self, key: TrackKey, muted: bool, now: Instant) {
        match muted {
            true => self.muted.insert(key),
            false => self.muted.remove(&key),
        };
        if muted {
            self.silence(key, now);
        }
        let Some(track) = self.track(key) else { return };
        track.mute(muted);
        let lines = track.subscribers.clone();
        for Subscriber { peer, slot } in lines {
            let Some(Some(other)) = self.peers.get_mut(peer) else { continue };
            let Some(watching) = other.watching() else { continue };
            if let Some(line) = watching.slots.get_mut(slot) {
                line.egress.unmap();
            }
            watching.drop_waiting(slot);
            if !muted {
                self.start_line(peer, slot, now);
            }
        }
    }

    fn stop(&mut self, done: oneshot::Sender<()>, now: Instant) {
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.close(session, now);
        }
        self.stopping = Some(done);
    }
}

/// Puts a value into the first free place.
pub(super) fn place<T>(places: &mut Vec<Option<T>>, value: T) -> usize {
    match places.iter().position(Option::is_none) {
        Some(free) => {
            if let Some(slot) = places.get_mut(free) {
                *slot = Some(value);
            }
            free
        }
        None => {
            places.push(Some(value));
            places.len() - 1
        }
    }
}
