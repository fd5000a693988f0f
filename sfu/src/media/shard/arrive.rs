//! Datagrams on their way in: to the engine, to a publisher's tracks, or to a viewer's feedback.

use super::peer::{Peer, PublisherMedia, SILENCE, Side};
use super::watching::{Watching, ip_overhead};
use super::{Shard, TcpNews};
use crate::media::ahead;
use crate::media::batch::{TrackBatch, TrackKey};
use crate::media::encoding::Packet;
use crate::media::ingress::Received;
use crate::media::messages::MediaEvent;
use crate::media::track::Feed;
use crate::peer::stun::BindingRequest;
use crate::peer::{Arrival, PeerEvent, Route, Transport};
use cloudschool_protocol::media::{
    AUDIO_LEVEL_EXTENSION, DEPENDENCY_DESCRIPTOR_EXTENSION, Kind, RED_PAYLOAD_TYPE,
};
use cloudschool_protocol::rtcp;
use cloudschool_protocol::rtp::{self, Header};
use std::time::{Duration, Instant};

/// A peer that checks from another address, and was not heard at its own for so long, has moved.
const MOVED: Duration = Duration::from_secs(3);

/// Addresses one peer may send from: interfaces of a laptop, not a way to fill memory.
const MAX_ROUTES: usize = 16;

impl Shard {
    /// Datagrams from there are about to be handed over: asks for what is known of their peer.
    #[inline]
    pub fn expect(&self, from: Route) {
        if let Some(Some(peer)) = self.demux.get(from).and_then(|at| self.peers.get(at)) {
            ahead::fetch(&peer.address);
            ahead::fetch(&peer.heard);
            ahead::fetch(&peer.side);
        }
    }

    /// The same, once more: asks for what that points to.
    #[inline]
    pub fn expect_now(&self, from: Route) {
        if let Some(Some(peer)) = self.demux.get(from).and_then(|at| self.peers.get(at))
            && let Side::Watching(watching) = &peer.side
        {
            ahead::fetch::<Watching>(watching);
        }
    }

    /// Takes datagrams that came from one address together, each but the last of `length`
    /// bytes. They are changed in place.
    pub fn handle_datagrams(&mut self, from: Route, bytes: &mut [u8], length: usize, now: Instant) {
        let known = self.demux.get(from);
        for datagram in bytes.chunks_mut(length.max(1)) {
            self.counters.ip_bytes_in += (datagram.len() + ip_overhead(from)) as u64;
            // RFC 7983 §7.
            match (datagram.first(), known) {
                (Some(0..=3), _) => self.checked(from, datagram, now),
                (Some(20..=63), Some(at)) => self.handshake(at, from, datagram, now),
                (Some(128..=191), Some(at)) => self.media(at, from, datagram, now),
                (None, _) => {}
                _ => self.counters.unknown += 1,
            }
        }
    }

    /// An ICE check. The engine answers it only after verifying its integrity, so the address
    /// is then the peer's: only then are datagrams from there given to it, and only a nominated
    /// one is sent to.
    fn checked(&mut self, from: Route, datagram: &[u8], now: Instant) {
        let request = BindingRequest::parse(datagram);
        let at = request.and_then(|r| self.fragments.get(r.local_fragment()).copied());
        let Some(at) = at else {
            self.counters.unknown += 1;
            return;
        };
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let arrival = peer.engine.handle_datagram(now, from, datagram);
        if let Arrival::Check { nominated } = arrival
            && !self.belongs_to_another(at, from, now)
        {
            self.reachable(at, from, nominated, now);
            self.learn_fragments(at);
        }
        self.pump(at, now);
    }

    /// A peer proved that it is reached by `from`.
    fn reachable(&mut self, at: usize, from: Route, nominated: bool, now: Instant) {
        let before = self.demux.insert(from, at);
        if let Some(other) = before.filter(|b| *b != at)
            && let Some(Some(other)) = self.peers.get_mut(other)
        {
            other.routes.retain(|r| *r != from);
            other.engine.dismiss(from);
        }
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        peer.heard = now;
        if before != Some(at) {
            if from.transport == Transport::Tcp {
                self.tcp_news.push(TcpNews::Introduced(from.address));
            }
            peer.engine.admit(from);
            peer.routes.push(from);
            if peer.routes.len() > MAX_ROUTES {
                let oldest = peer.routes.remove(0);
                peer.engine.dismiss(oldest);
                self.demux.remove(oldest);
            }
        }
        // A peer whose NAT gave it another address doesn't know, and nominates nothing anew.
        let away = now - peer.address_heard > MOVED;
        if nominated || away || peer.address.is_none() {
            peer.address = Some(from);
            peer.engine.send_to(from);
        }
        if peer.address == Some(from) {
            peer.address_heard = now;
        }
    }

    /// A TCP connection ended: its peer is reached another way, or comes back by one.
    pub fn route_closed(&mut self, route: Route, now: Instant) {
        let Some(at) = self.demux.remove(route) else { return };
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        peer.routes.retain(|r| *r != route);
        peer.engine.dismiss(route);
        if peer.address == Some(route) {
            peer.address = peer.routes.last().copied();
            if let Some(other) = peer.address {
                peer.engine.send_to(other);
            }
        }
        self.schedule(at, now);
    }

    /// Whether another live peer is reached at `route`. A check can be sent with anybody's
    /// address as its source; it must not take a connection away.
    fn belongs_to_another(&self, at: usize, route: Route, now: Instant) -> bool {
        let Some(other) = self.demux.get(route) else { return false };
        let Some(Some(holder)) = self.peers.get(other) else { return false };
        other != at && holder.address == Some(route) && now - holder.heard < SILENCE / 4
    }

    fn handshake(&mut self, at: usize, from: Route, datagram: &[u8], now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        heard(peer, from, now);
        peer.engine.handle_datagram(now, from, datagram);
        self.pump(at, now);
    }

    fn media(&mut self, at: usize, from: Route, datagram: &mut [u8], now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        heard(peer, from, now);
        let is_rtcp = rtcp::is_rtcp(datagram);
        match (&peer.side, is_rtcp) {
            (Side::Publishing(_), false) => self.published(at, datagram, now),
            (Side::Publishing(_), true) => self.clocked(at, datagram, now),
            (Side::Watching(_), true) => self.viewer_feedback(at, datagram, now),
            // Who watches sends no media.
            (Side::Watching(_), false) => self.counters.unreadable += 1,
        }
    }

    fn published(&mut self, at: usize, datagram: &mut [u8], now: Instant) {
        self.counters.packets_in += 1;
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let session = peer.session;
        let Side::Publishing(publishing) = &mut peer.side else { return };
        let Some(PublisherMedia { ingress, .. }) = &mut publishing.media else { return };
        let Some(received) = ingress.receive(datagram, now) else {
            self.counters.unreadable += 1;
            return;
        };
        let wake = ingress.deadline();
        let Received { kind, encoding, codec, red, header, payload, level, dependency_descriptor } =
            received;
        let place = match kind {
            Kind::Audio => 0,
            Kind::Video => 1,
        };
        let key = publishing.tracks.of(kind);
        let index = publishing.places.get(place).copied().unwrap_or(usize::MAX);
        let Some(Some(track)) = self.tracks.get_mut(index) else { return };
        if track.feed != Feed::Peer(at) || track.key != key {
            return;
        }
        let speaker = None;
        let packet = Packet { codec, red, header, payload, level, speaker, dependency_descriptor };
        let fresh = track.accept(encoding, &packet, now);
        if fresh && !track.dirty {
            track.dirty = true;
            self.dirty.push(index);
        }
        let first = publishing.started.get_mut(place).is_some_and(|s| !std::mem::replace(s, true));
        self.timers.no_later_than(at, wake);
        if first {
            self.emit(MediaEvent::TrackStarted { session, track: key, codec });
        }
    }

    /// A publisher's RTCP: its clocks.
    fn clocked(&mut self, at: usize, datagram: &mut [u8], now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Side::Publishing(publishing) = &mut peer.side else { return };
        let (tracks, places) = (publishing.tracks, publishing.places);
        let Some(PublisherMedia { ingress, .. }) = &mut publishing.media else { return };
        let (all, dirty) = (&mut self.tracks, &mut self.dirty);
        ingress.receive_rtcp(datagram, now, |kind, encoding, clock| {
            let [audio, video] = places;
            let index = if kind == Kind::Audio { audio } else { video };
            let Some(Some(track)) = all.get_mut(index) else { return };
            if track.key != tracks.of(kind) || track.feed != Feed::Peer(at) {
                return;
            }
            if track.set_clock(encoding, clock, now) && !track.dirty {
                track.dirty = true;
                dirty.push(index);
            }
        });
    }

    /// Packets from another shard or a trunk.
    pub fn take_batch(&mut self, batch: &TrackBatch, now: Instant) {
        let Some(&index) = self.keys.get(&batch.track) else { return };
        let Some(Some(track)) = self.tracks.get_mut(index) else { return };
        if track.feed != Feed::Lane {
            return;
        }
        for packet in batch.packets() {
            self.counters.packets_in += 1;
            let Some(header) = Header::parse(packet) else { continue };
            let speaker = rtp::contributing_source(packet).map(TrackKey);
            if speaker.is_some_and(|s| self.muted.contains(&s)) {
                continue;
            }
            let (mut level, mut dependency_descriptor) = (None, None);
            for (id, value) in rtp::elements(packet) {
                match id {
                    AUDIO_LEVEL_EXTENSION => level = value.first().copied(),
                    DEPENDENCY_DESCRIPTOR_EXTENSION => dependency_descriptor = Some(value),
                    _ => {}
                }
            }
            let red = header.payload_type == RED_PAYLOAD_TYPE;
            let (codec, payload) = (batch.codec, header.payload(packet));
            let packet =
                Packet { codec, red, header, payload, level, speaker, dependency_descriptor };
            track.accept(batch.encoding, &packet, now);
        }
        if let Some(clock) = batch.clock {
            track.set_clock(batch.encoding, clock, now);
        }
        if !track.dirty {
            track.dirty = true;
            self.dirty.push(index);
        }
    }

    /// Carries out what a peer's engine has to say.
    pub(super) fn pump(&mut self, at: usize, now: Instant) {
        // First what completes a handshake, then the media that follows from it.
        self.transmit(at);
        let mut events = std::mem::take(&mut self.peer_events);
        if let Some(Some(peer)) = self.peers.get_mut(at) {
            peer.engine.take_events(&mut events);
        }
        for event in events.drain(..) {
            match event {
                PeerEvent::Connected(keys) => self.connected(at, keys, now),
                PeerEvent::Gone => self.gone(at),
            }
        }
        self.peer_events = events;
        self.transmit(at);
        self.schedule(at, now);
    }

    pub(super) fn transmit(&mut self, at: usize) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        while let Some((to, bytes)) = peer.engine.poll_transmit() {
            self.counters.ip_bytes_out += (bytes.len() + ip_overhead(to)) as u64;
            self.outbox.push(to, |out| {
                out.extend_from_slice(&bytes);
                true
            });
        }
    }
}

fn heard(peer: &mut Peer, from: Route, now: Instant) {
    peer.heard = now;
    if peer.address == Some(from) {
        peer.address_heard = now;
    }
}
