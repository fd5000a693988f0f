//! The part of a shard that moves packets.

use super::{FLUSH_AT, MAX_ROUTES, MOVED, SILENCE, SOURCE_CHANGE, Shard, Slot};
use crate::media::batch::{Clock, TrackBatch};
use crate::media::cache::Cached;
use crate::media::egress;
use crate::media::messages::MediaEvent;
use crate::media::socket::Outbox;
use crate::media::srtp::Sealer;
use crate::media::track::{Feed, Subscriber};
use crate::peer::{PeerEvent, Report};
use cloudschool_protocol::media::{Codec, Kind};
use cloudschool_protocol::rtp::{self, FIXED_HEADER, Header};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// IP and UDP headers around each datagram.
fn ip_overhead(address: SocketAddr) -> u64 {
    if address.is_ipv4() { 28 } else { 48 }
}

impl Shard {
    /// Takes a datagram that came from `from`.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        self.counters.ip_bytes_in += bytes.len() as u64 + ip_overhead(from);
        let Some(&first) = bytes.first() else { return };
        // RFC 7983 §7: 0–3 is STUN.
        let check = if first <= 3 { StunRequest::parse(bytes) } else { None };
        let at = match &check {
            Some(request) => self.ufrags.get(request.local_fragment).copied(),
            None => self.routes.get(&from).copied(),
        };
        let Some(at) = at else {
            self.counters.unknown += 1;
            return;
        };
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        peer.engine.handle_datagram(now, from, bytes);
        match check {
            Some(check) => self.answer_check(at, from, check.nominates, now),
            None => {
                peer.heard = now;
                if peer.address == Some(from) {
                    peer.address_heard = now;
                }
            }
        }
        self.pump(at, now);
    }

    /// Sends what the engine answers to an ICE check. It does so only after verifying the
    /// check's integrity, so the address is then the peer's: only then are datagrams from
    /// there given to it, and only a nominated one is sent to.
    fn answer_check(&mut self, at: usize, from: SocketAddr, nominated: bool, now: Instant) {
        const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
        let answered =
            self.transmit(at, |to, bytes| to == from && bytes.starts_with(&BINDING_SUCCESS));
        if !answered || self.belongs_to_another(at, from, now) {
            return;
        }
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        peer.heard = now;
        if self.routes.insert(from, at) != Some(at) {
            peer.routes.push(from);
            if peer.routes.len() > MAX_ROUTES {
                let oldest = peer.routes.remove(0);
                if self.routes.get(&oldest) == Some(&at) {
                    self.routes.remove(&oldest);
                }
            }
        }
        // A peer whose NAT gave it another address doesn't know, and nominates nothing anew.
        let away = now - peer.address_heard > MOVED;
        if nominated || away || peer.address.is_none() {
            peer.address = Some(from);
        }
        if peer.address == Some(from) {
            peer.address_heard = now;
        }
    }

    /// Whether another live peer is reached at `address`. A check can be sent with anybody's
    /// address as its source; it must not take a connection away.
    fn belongs_to_another(&self, at: usize, address: SocketAddr, now: Instant) -> bool {
        let Some(&other) = self.routes.get(&address) else { return false };
        let Some(Some(holder)) = self.peers.get(other) else { return false };
        other != at && holder.address == Some(address) && now - holder.heard < SILENCE / 4
    }

    /// Moves what the engine has to send to the outbox. Returns whether `wanted` held of any.
    /// The engine stays with the first address it chose; all but ICE goes where the peer's
    /// checks nominate by now.
    fn transmit(&mut self, at: usize, wanted: impl Fn(SocketAddr, &[u8]) -> bool) -> bool {
        let mut found = false;
        let Some(Some(peer)) = self.peers.get_mut(at) else { return false };
        while let Some((chosen, bytes)) = peer.engine.poll_transmit() {
            found |= wanted(chosen, &bytes);
            let ice = bytes.first().is_some_and(|b| *b <= 3);
            let to = if ice { chosen } else { peer.address.unwrap_or(chosen) };
            self.counters.ip_bytes_out += bytes.len() as u64 + ip_overhead(to);
            self.outbox.push(to, bytes.len(), |b| {
                b.copy_from_slice(&bytes);
                true
            });
        }
        found
    }

    /// Carries out what a peer's engine has to say.
    pub(super) fn pump(&mut self, at: usize, now: Instant) {
        // First what completes a handshake, then the media that follows from it.
        self.transmit(at, |_, _| false);
        let mut events = std::mem::take(&mut self.scratch);
        if let Some(Some(peer)) = self.peers.get_mut(at) {
            peer.engine.take_events(&mut events);
        }
        for event in events.drain(..) {
            self.peer_event(at, event, now);
        }
        self.scratch = events;
        self.transmit(at, |_, _| false);
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        // A timer that is overdue after it was handled would spin the loop.
        let next = peer.engine.poll_timeout().unwrap_or(now + Duration::from_secs(1));
        peer.timeout = next.max(now + Duration::from_millis(1));
    }

    fn peer_event(&mut self, at: usize, event: PeerEvent, now: Instant) {
        match event {
            PeerEvent::Connected(keys) => self.connected(at, keys, now),
            PeerEvent::Gone => self.gone(at),
            PeerEvent::Rtp { codec, packet, level } => {
                let head = &packet.header;
                let header = Header {
                    marker: head.marker,
                    payload_type: head.payload_type,
                    sequence: head.sequence_number,
                    timestamp: head.timestamp,
                    ssrc: head.ssrc,
                    payload_offset: FIXED_HEADER,
                    payload_end: FIXED_HEADER + packet.payload.len(),
                };
                self.published(at, codec, &header, &packet.payload, level, now);
            }
            PeerEvent::Clock { ssrc, ntp, rtp } => {
                let published = |t: &&mut crate::media::track::Track| {
                    t.feed == Feed::Peer(at) && t.ssrc() == Some(ssrc)
                };
                let found = self.tracks.iter_mut().flatten().find(published);
                if let Some(track) = found {
                    track.set_clock(Clock { ntp, rtp }, now);
                    if let Some(&index) = self.keys.get(&track.key) {
                        self.mark(index);
                    }
                }
            }
            PeerEvent::Nack { ssrc, sequences } => self.retransmit(at, ssrc, &sequences, now),
            PeerEvent::KeyframeWanted { ssrc } => {
                let Some(Some(peer)) = self.peers.get(at) else { return };
                let track = peer.slots.iter().find(|s| s.ssrc == ssrc).and_then(|s| s.track);
                if let Some(Some(track)) = track.and_then(|t| self.tracks.get_mut(t)) {
                    track.keyframes.want(now);
                }
            }
        }
    }

    fn mark(&mut self, track: usize) {
        if !self.dirty.contains(&track) {
            self.dirty.push(track);
        }
    }

    fn published(
        &mut self,
        at: usize,
        codec: Codec,
        header: &Header,
        payload: &[u8],
        level: Option<u8>,
        now: Instant,
    ) {
        self.counters.packets_in += 1;
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Some(tracks) = peer.publishes else { return };
        let kind = codec.kind();
        let key = tracks.of(kind);
        let Some(&index) = self.keys.get(&key) else { return };
        let Some(Some(track)) = self.tracks.get_mut(index) else { return };
        if track.feed != Feed::Peer(at) {
            return;
        }
        let source = of_kind(&mut peer.sources, kind);
        match source {
            Some((ssrc, heard)) if *ssrc != header.ssrc && now - *heard < SOURCE_CHANGE => return,
            _ => *source = Some((header.ssrc, now)),
        }
        let first = !std::mem::replace(of_kind(&mut peer.started, kind), true);
        let session = peer.session;
        let fresh = track.accept(codec, header, payload, level, now);
        if first {
            self.emit(MediaEvent::TrackStarted { session, track: key, codec });
        }
        if fresh {
            self.mark(index);
        }
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
            let level = rtp::audio_level(packet).map(|(level, voice)| level | u8::from(voice) << 7);
            track.accept(batch.codec, &header, header.payload(packet), level, now);
        }
        if let Some(clock) = batch.clock {
            track.set_clock(clock, now);
        }
        self.mark(index);
    }

    /// Seals this turn's packets for everyone who gets them. Returns true when the outbox
    /// should be emptied before going on.
    pub fn forward(&mut self, now: Instant) -> bool {
        while let Some(index) = self.dirty.pop() {
            self.forward_track(index, now);
            if self.outbox.bytes() > FLUSH_AT {
                return true;
            }
        }
        false
    }

    fn forward_track(&mut self, index: usize, now: Instant) {
        let Some(Some(track)) = self.tracks.get_mut(index) else { return };
        let epoch = track.epoch();
        let mut blind = false;
        for &Subscriber { peer, slot } in &track.subscribers {
            let Some(Some(peer)) = self.peers.get_mut(peer) else { continue };
            let (Some(sealer), Some(to)) = (&peer.sealer, peer.address) else { continue };
            let Some(slot) = peer.slots.get_mut(slot) else { continue };
            let Some(payload_type) = track.codec.and_then(|c| payload_type(slot, c)) else {
                continue;
            };
            for packet in track.fresh.iter().filter_map(|n| track.packet(*n)) {
                let Some(numbered) = slot.egress.forward(epoch, None, packet, now) else { continue };
                slot.egress.remember(&numbered, 0);
                let out = Outgoing { ssrc: slot.ssrc, payload_type, numbered, packet };
                self.counters.ip_bytes_out += out.push(&mut self.outbox, to, sealer);
                self.counters.packets_out += 1;
            }
            blind |= !slot.egress.follows(epoch);
        }
        if blind && !track.fresh.is_empty() {
            // Asked again until one comes: a request, or its keyframe, may get lost.
            track.keyframes.want(now);
        }
        if !track.outlets.is_empty()
            && let Some(batch) = track.batch()
        {
            for outlet in &track.outlets {
                self.counters.lane_drops += u64::from(!outlet.lane.send(batch.clone()));
            }
        }
        track.fresh.clear();
        track.fresh_clock = false;
    }

    /// Gives a line that was just bound, or whose peer just connected, the picture so far.
    pub(super) fn start_line(&mut self, at: usize, slot: usize, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let (Some(sealer), Some(to)) = (&peer.sealer, peer.address) else { return };
        let Some(slot) = peer.slots.get_mut(slot) else { return };
        let Some(index) = slot.track.filter(|_| slot.kind == Kind::Video) else { return };
        let Some(Some(track)) = self.tracks.get_mut(index) else { return };
        let epoch = track.epoch();
        if slot.egress.follows(epoch) {
            return;
        }
        let payload_type = track.codec.and_then(|c| payload_type(slot, c));
        let (Some(replay), Some(payload_type)) = (track.replay(now), payload_type) else {
            track.keyframes.want(now);
            return;
        };
        // Packets of this turn go out with the turn.
        let before = replay.filter(|n| !track.fresh.contains(n));
        for packet in before.filter_map(|n| track.packet(n)) {
            let Some(numbered) = slot.egress.forward(epoch, None, packet, now) else { continue };
            slot.egress.remember(&numbered, 0);
            let out = Outgoing { ssrc: slot.ssrc, payload_type, numbered, packet };
            self.counters.ip_bytes_out += out.push(&mut self.outbox, to, sealer);
            self.counters.packets_out += 1;
        }
    }

    fn retransmit(&mut self, at: usize, ssrc: u32, sequences: &[u16], now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let (Some(sealer), Some(to)) = (&peer.sealer, peer.address) else { return };
        let Some(slot) = peer.slots.iter_mut().find(|s| s.ssrc == ssrc) else { return };
        let Some(index) = slot.track else { return };
        let Some(Some(track)) = self.tracks.get(index) else { return };
        let Some(payload_type) = track.codec.and_then(|c| payload_type(slot, c)) else { return };
        for sequence in sequences {
            let Some(lost) = slot.egress.lost(*sequence, now) else { continue };
            let source = track.packet(lost.source).filter(|_| lost.epoch == track.epoch());
            let Some(packet) = source else { continue };
            let out = Outgoing { ssrc, payload_type, numbered: lost.outgoing(packet), packet };
            self.counters.ip_bytes_out += out.push(&mut self.outbox, to, sealer);
            self.counters.retransmitted += 1;
        }
    }

    /// Asks whoever feeds the track for a keyframe.
    pub(super) fn request_keyframe(&mut self, index: usize, now: Instant) {
        let Some(Some(track)) = self.tracks.get_mut(index) else { return };
        self.counters.keyframe_requests += 1;
        match (track.feed, track.ssrc()) {
            (Feed::Peer(at), Some(ssrc)) => {
                if let Some(Some(peer)) = self.peers.get_mut(at) {
                    peer.engine.request_keyframe(ssrc, now);
                    self.pump(at, now);
                }
            }
            (Feed::Lane, _) => {
                let (shard, track) = (self.index, track.key);
                self.emit(MediaEvent::KeyframeWanted { shard, track });
            }
            _ => {}
        }
    }

    /// Sender reports on every line that is being sent, from its publisher's clock.
    pub(super) fn send_reports(&mut self, now: Instant) {
        for at in 0..self.peers.len() {
            let Some(Some(peer)) = self.peers.get_mut(at) else { continue };
            if peer.sealer.is_none() {
                continue;
            }
            for slot in &peer.slots {
                let Some(Some(track)) = slot.track.and_then(|t| self.tracks.get(t)) else {
                    continue;
                };
                let (Some(clock), Some(offset)) =
                    (track.clock_at(now), slot.egress.timestamp_offset())
                else {
                    continue;
                };
                let report = Report {
                    ssrc: slot.ssrc,
                    ntp: clock.ntp,
                    rtp: clock.rtp.wrapping_add(offset),
                    packets: slot.egress.packets,
                    octets: slot.egress.octets,
                };
                peer.engine.send_report(&report, now);
            }
            self.pump(at, now);
        }
    }
}

/// The half of a pair that is about audio, or about video.
fn of_kind<T>(pair: &mut [T; 2], kind: Kind) -> &mut T {
    let [audio, video] = pair;
    match kind {
        Kind::Audio => audio,
        Kind::Video => video,
    }
}

/// The payload type under which a line takes a codec.
fn payload_type(slot: &Slot, codec: Codec) -> Option<u8> {
    slot.codecs.iter().find(|(c, _)| *c == codec).map(|(_, pt)| *pt)
}

/// A packet about to go to one viewer.
struct Outgoing<'a> {
    ssrc: u32,
    payload_type: u8,
    numbered: egress::Outgoing,
    packet: &'a Cached,
}

impl Outgoing<'_> {
    /// Writes header and payload, seals them, and adds the datagram. Returns its IP bytes.
    fn push(&self, outbox: &mut Outbox, to: SocketAddr, sealer: &Sealer) -> u64 {
        let plain = FIXED_HEADER + self.payload().len();
        let len = plain + sealer.tag_len();
        outbox.push(to, len, |bytes| self.write(bytes, plain, sealer).is_some());
        len as u64 + ip_overhead(to)
    }

    fn payload(&self) -> &[u8] {
        if self.numbered.empty { &[] } else { &self.packet.payload }
    }

    fn write(&self, bytes: &mut [u8], plain: usize, sealer: &Sealer) -> Option<()> {
        let marker = u8::from(self.numbered.marker) << 7;
        bytes.get_mut(..2)?.copy_from_slice(&[0x80, marker | self.payload_type]);
        rtp::set_sequence(bytes, self.numbered.sequence());
        rtp::set_timestamp(bytes, self.numbered.timestamp);
        rtp::set_ssrc(bytes, self.ssrc);
        let payload = bytes.get_mut(FIXED_HEADER..plain)?;
        payload.copy_from_slice(self.payload());
        self.numbered.shift.apply(payload);
        sealer.seal(bytes, self.numbered.rollover()).then_some(())
    }
}

/// What demultiplexing needs of a STUN binding request (RFC 8489).
struct StunRequest<'a> {
    /// Our half of USERNAME (RFC 8445 §7.2.2): whose check it is.
    local_fragment: &'a str,
    /// USE-CANDIDATE is there.
    nominates: bool,
}

impl<'a> StunRequest<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        const BINDING_REQUEST: [u8; 2] = [0, 1];
        const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
        const USERNAME: u16 = 0x0006;
        const USE_CANDIDATE: u16 = 0x0025;
        if !bytes.starts_with(&BINDING_REQUEST) || bytes.get(4..8)? != MAGIC_COOKIE {
            return None;
        }
        let mut rest = bytes.get(20..)?;
        let (mut local_fragment, mut nominates) = (None, false);
        while let Some((head, tail)) = rest.split_first_chunk::<4>() {
            let [t0, t1, l0, l1] = *head;
            let len = usize::from(u16::from_be_bytes([l0, l1]));
            let value = tail.get(..len)?;
            match u16::from_be_bytes([t0, t1]) {
                USERNAME => {
                    local_fragment = std::str::from_utf8(value).ok()?.split(':').next();
                }
                USE_CANDIDATE => nominates = true,
                _ => {}
            }
            rest = tail.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        Some(Self { local_fragment: local_fragment?, nominates })
    }
}
