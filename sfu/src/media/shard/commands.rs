//! The part of a shard that carries out commands: peers, tracks and who gets what.

use super::{CONNECT_WITHIN, Peer, Shard, Slot};
use crate::media::batch::TrackKey;
use crate::media::egress::Egress;
use crate::media::lane::Outlet;
use crate::media::messages::{Command, MediaEvent, PublishTracks, SessionId};
use crate::media::srtp::Sealer;
use crate::media::track::{Feed, Subscriber, Track};
use crate::peer::keys::RtpKeys;
use crate::peer::{Answer, Engine, OfferError, SlotLine};
use cloudschool_protocol::media::{Codec, Kind};
use std::time::Instant;
use tokio::sync::oneshot;

impl Shard {
    /// Carries out a command.
    pub fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Publish { session, offer, tracks, reply } => {
                let answer = self.publish(session, &offer, tracks, now);
                if reply.send(answer).is_err() {
                    self.close(session);
                }
            }
            Command::Watch { session, offer, reply } => {
                let answer = self.watch(session, &offer, now);
                if reply.send(answer).is_err() {
                    self.close(session);
                }
            }
            Command::Renegotiate { session, offer, reply } => {
                let answer = self.renegotiate(session, &offer, now);
                if reply.send(answer).is_err() {
                    tracing::debug!(%session, "nobody waits for the answer any more");
                }
            }
            Command::Close { session } => self.close(session),
            Command::OpenTrack { track, kind, lane } => self.open_track(track, kind, lane),
            Command::CloseTrack { track } => self.close_track(track),
            Command::Bind { session, mid, track } => self.bind(session, &mid, track, now),
            Command::AddOutlet { track, outlet } => self.add_outlet(track, outlet, now),
            Command::RemoveOutlet { track, id } => {
                if let Some(track) = self.track(track) {
                    track.outlets.retain(|o| o.id != id);
                }
            }
            Command::Mute { track, muted } => self.mute(track, muted, now),
            Command::WantKeyframe { track } => {
                if let Some(track) = self.track(track) {
                    track.keyframes.want(now);
                }
            }
            Command::Stop { done } => self.stop(done),
        }
    }

    fn track(&mut self, key: TrackKey) -> Option<&mut Track> {
        let index = *self.keys.get(&key)?;
        self.tracks.get_mut(index)?.as_mut()
    }

    fn publish(
        &mut self,
        session: SessionId,
        offer: &str,
        tracks: PublishTracks,
        now: Instant,
    ) -> Result<Answer, OfferError> {
        let (engine, answer) = Engine::publisher(&self.config, offer, now)?;
        let at = self.add_peer(session, engine, Some(tracks), now);
        for key in [tracks.audio, tracks.video] {
            if let Some(track) = self.track(key) {
                track.feed = Feed::Peer(at);
            }
        }
        Ok(answer)
    }

    fn watch(
        &mut self,
        session: SessionId,
        offer: &str,
        now: Instant,
    ) -> Result<Answer, OfferError> {
        let (engine, answer) = Engine::viewer(&self.config, offer, now)?;
        let at = self.add_peer(session, engine, None, now);
        self.add_slots(at, &answer.slots);
        Ok(answer)
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
        let answer = peer.engine.renegotiate(offer, now)?;
        self.add_slots(at, &answer.slots);
        self.learn_fragment(at);
        self.pump(at, now);
        Ok(answer)
    }

    fn add_peer(
        &mut self,
        session: SessionId,
        engine: Engine,
        publishes: Option<PublishTracks>,
        now: Instant,
    ) -> usize {
        let peer = Peer {
            session,
            engine,
            ufrag: None,
            address: None,
            routes: Vec::new(),
            sealer: None,
            publishes,
            started: [false; 2],
            sources: [None; 2],
            heard: now,
            address_heard: now,
            slots: Vec::new(),
            connect_by: Some(now + CONNECT_WITHIN),
            timeout: now,
        };
        let at = place(&mut self.peers, peer);
        self.sessions.insert(session, at);
        self.learn_fragment(at);
        self.pump(at, now);
        at
    }

    /// ICE checks to this peer are recognised by its user name fragment, which an ICE restart
    /// changes.
    fn learn_fragment(&mut self, at: usize) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Some(fragment) = peer.engine.username_fragment() else { return };
        if peer.ufrag.as_ref() != Some(&fragment) {
            if let Some(old) = peer.ufrag.replace(fragment.clone()) {
                self.ufrags.remove(&old);
            }
            self.ufrags.insert(fragment, at);
        }
    }

    fn add_slots(&mut self, at: usize, lines: &[SlotLine]) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        for line in lines {
            if let Some(slot) = peer.slots.iter_mut().find(|s| s.mid == line.mid) {
                slot.codecs.clone_from(&line.codecs);
                continue;
            }
            let clock_rate = match line.kind {
                Kind::Audio => Codec::Opus.clock_rate(),
                Kind::Video => Codec::H264.clock_rate(),
            };
            peer.slots.push(Slot {
                mid: line.mid.clone(),
                kind: line.kind,
                ssrc: line.ssrc,
                codecs: line.codecs.clone(),
                egress: Egress::new(line.kind, clock_rate, rand::random()),
                track: None,
            });
        }
    }

    pub(super) fn connected(&mut self, at: usize, keys: Option<RtpKeys>, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let session = peer.session;
        peer.connect_by = None;
        peer.sealer = keys.and_then(|k| Sealer::new(&k).ok());
        let slots = peer.slots.len();
        if peer.sealer.is_none() && slots > 0 {
            tracing::error!(%session, "the engine's SRTP keys are not those known; peer dropped");
            self.emit(MediaEvent::Closed { session });
            self.close(session);
            return;
        }
        self.emit(MediaEvent::Connected { session });
        for slot in 0..slots {
            self.start_line(at, slot, now);
        }
    }

    pub(super) fn gone(&mut self, at: usize) {
        let Some(Some(peer)) = self.peers.get(at) else { return };
        let session = peer.session;
        self.emit(MediaEvent::Closed { session });
        self.close(session);
    }

    fn close(&mut self, session: SessionId) {
        let Some(at) = self.sessions.remove(&session) else { return };
        let Some(mut peer) = self.peers.get_mut(at).and_then(Option::take) else { return };
        peer.engine.close();
        while let Some((to, bytes)) = peer.engine.poll_transmit() {
            self.outbox.push(to, bytes.len(), |b| {
                b.copy_from_slice(&bytes);
                true
            });
        }
        for address in &peer.routes {
            if self.routes.get(address) == Some(&at) {
                self.routes.remove(address);
            }
        }
        if let Some(fragment) = &peer.ufrag {
            self.ufrags.remove(fragment);
        }
        for track in self.tracks.iter_mut().flatten() {
            track.subscribers.retain(|s| s.peer != at);
            if track.feed == Feed::Peer(at) {
                track.feed = Feed::Idle;
            }
        }
    }

    fn open_track(&mut self, key: TrackKey, kind: Kind, lane: bool) {
        let feed = if lane { Feed::Lane } else { Feed::Idle };
        if let Some(track) = self.track(key) {
            track.feed = feed;
            return;
        }
        let index = place(&mut self.tracks, Track::new(key, kind, feed));
        self.keys.insert(key, index);
    }

    fn close_track(&mut self, key: TrackKey) {
        let Some(index) = self.keys.remove(&key) else { return };
        let Some(track) = self.tracks.get_mut(index).and_then(Option::take) else { return };
        self.dirty.retain(|d| *d != index);
        for Subscriber { peer, slot } in track.subscribers {
            let Some(Some(peer)) = self.peers.get_mut(peer) else { continue };
            if let Some(slot) = peer.slots.get_mut(slot) {
                slot.track = None;
                slot.egress.unmap();
            }
        }
    }

    fn bind(&mut self, session: SessionId, mid: &str, key: Option<TrackKey>, now: Instant) {
        let Some(&at) = self.sessions.get(&session) else { return };
        let target = key.and_then(|k| self.keys.get(&k).copied());
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Some(place) = peer.slots.iter().position(|s| s.mid == mid) else { return };
        let Some(slot) = peer.slots.get_mut(place) else { return };
        if slot.track == target {
            return;
        }
        let line = Subscriber { peer: at, slot: place };
        let before = std::mem::replace(&mut slot.track, target);
        slot.egress.unmap();
        let kind = slot.kind;
        if let Some(Some(track)) = before.and_then(|b| self.tracks.get_mut(b)) {
            track.subscribers.retain(|s| *s != line);
        }
        if let Some(Some(track)) = target.and_then(|t| self.tracks.get_mut(t))
            && track.kind == kind
        {
            track.subscribers.push(line);
            self.start_line(at, place, now);
        }
    }

    fn add_outlet(&mut self, key: TrackKey, outlet: Outlet, now: Instant) {
        let Some(track) = self.track(key) else { return };
        if track.kind == Kind::Video {
            match track.replay_batch(now) {
                Some(batch) => {
                    if !outlet.lane.send(batch) {
                        track.keyframes.want(now);
                    }
                }
                None => track.keyframes.want(now),
            }
        }
        track.outlets.push(outlet);
    }

    /// A mute leaves no gap: every line breaks with the source and follows on later.
    fn mute(&mut self, key: TrackKey, muted: bool, now: Instant) {
        let Some(track) = self.track(key) else { return };
        track.muted = muted;
        let lines = track.subscribers.clone();
        for Subscriber { peer, slot } in lines {
            let Some(Some(other)) = self.peers.get_mut(peer) else { continue };
            if let Some(line) = other.slots.get_mut(slot) {
                line.egress.unmap();
            }
            if !muted {
                self.start_line(peer, slot, now);
            }
        }
    }

    fn stop(&mut self, done: oneshot::Sender<()>) {
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.close(session);
        }
        self.stopping = Some(done);
    }
}

/// Puts a value into the first free place.
fn place<T>(places: &mut Vec<Option<T>>, value: T) -> usize {
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
