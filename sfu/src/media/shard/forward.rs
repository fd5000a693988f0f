//! Packets on their way out: for everyone who watches, renumbered, sealed, and put behind what
//! goes to the same viewer already, so that one system call sends them.
//!
//! A turn goes viewer by viewer, not track by track: video first, then audio, whose shorter
//! packets can close a batch of equal ones.

use super::peer::{Peer, Side};
use super::watching::{OVERHEAD, PayloadType, Slot, Waiting, Watching, ip_overhead};
use super::{FLUSH_AT, Shard};
use crate::media::ahead;
use crate::media::cache::Cached;
use crate::media::egress::{Epoch, Outgoing};
use crate::media::header::{Fields, write_header};
use crate::media::messages::Counters;
use crate::media::outbox::Outbox;
use crate::media::track::{Fresh, Subscriber, Track};
use crate::peer::Route;
use cloudschool_protocol::media::Kind;
use cloudschool_srtp::Sealer;
use std::time::Instant;

/// How many viewers ahead of the one that is served a viewer's state is asked for: the peer,
/// then what it points to, then what that points to. Each has the time of a few packets to come.
const PEER_AHEAD: usize = 6;
const WATCHING_AHEAD: usize = 4;
const LINES_AHEAD: usize = 2;

impl Shard {
    /// Seals this turn's packets for everyone who gets them. Returns true when the outbox
    /// should be emptied before going on.
    pub fn forward(&mut self, now: Instant) -> bool {
        if self.due.is_empty() {
            self.gather(now);
        }
        if !self.due.is_empty() {
            self.outbox.fetch_first();
        }
        loop {
            self.look_ahead();
            let Some(at) = self.due.pop() else { break };
            self.forward_to(at, now);
            if self.outbox.bytes() > FLUSH_AT && !self.due.is_empty() {
                return true;
            }
        }
        while let Some(index) = self.dirty.pop() {
            if let Some(Some(track)) = self.tracks.get_mut(index) {
                track.settle();
            }
        }
        false
    }

    /// Asks for the memory that the viewers served next will need.
    #[inline]
    fn look_ahead(&self) {
        let viewer = |ahead: usize| {
            let at = *self.due.get(self.due.len().checked_sub(ahead + 1)?)?;
            Some((at, self.peers.get(at)?.as_deref()?))
        };
        if let Some((_, peer)) = viewer(PEER_AHEAD) {
            ahead::fetch(&peer.address);
            ahead::fetch(&peer.side);
        }
        if let Some((_, Peer { side: Side::Watching(watching), .. })) = viewer(WATCHING_AHEAD) {
            watching.fetch();
        }
        if let Some((at, Peer { side: Side::Watching(watching), .. })) = viewer(LINES_AHEAD) {
            watching.path.fetch_next();
            for slot in bits(self.due_lines.get(at).copied().unwrap_or(0)) {
                let Some(slot) = watching.slots.get(slot) else { continue };
                ahead::fetch(slot);
            }
        }
        if let Some((at, Peer { side: Side::Watching(watching), .. })) = viewer(1) {
            for slot in bits(self.due_lines.get(at).copied().unwrap_or(0)) {
                let Some(slot) = watching.slots.get(slot) else { continue };
                slot.codecs.first().into_iter().for_each(ahead::fetch);
                slot.egress.fetch();
            }
        }
    }

    /// Finds out which viewers get something of this turn, and hands it to other shards and
    /// trunks.
    fn gather(&mut self, now: Instant) {
        self.fill_places(now);
        for &index in &self.dirty {
            let Some(Some(track)) = self.tracks.get_mut(index) else { continue };
            track.equalise();
            if !track.fresh.is_empty() {
                for &Subscriber { peer: at, slot } in &track.subscribers {
                    let Some(lines) = self.due_lines.get_mut(at) else { continue };
                    if *lines == 0 {
                        self.due.push(at);
                    }
                    *lines |= 1 << slot;
                }
            }
            self.counters.lane_drops += track.feed_outlets(now);
        }
    }

    fn forward_to(&mut self, at: usize, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Peer { address, side: Side::Watching(watching), .. } = peer.as_mut() else { return };
        let due = self.due_lines.get_mut(at).map_or(0, std::mem::take);
        let (video, waited) = (watching.video, watching.waiting.len());
        // Who is not connected yet is given the picture so far when it is, and wants no keyframe.
        let Some(to) = address.filter(|_| watching.sealer.is_some()) else { return };
        for set in [due & video, due & !video] {
            for place in bits(set) {
                let index = watching.slots.get(place).and_then(|s| s.track);
                let Some(Some(track)) = index.and_then(|t| self.tracks.get_mut(t)) else {
                    continue;
                };
                let (outbox, counters) = (&mut self.outbox, &mut self.counters);
                let mut line = Sending { to, outbox, counters, now };
                for fresh in &track.fresh {
                    line.offer(watching, place, track, *fresh);
                }
                let wanted = watching.slots.get(place).and_then(|s| s.egress.wants_keyframe_of());
                if let Some(encoding) = wanted.and_then(|w| track.encoding_mut(w)) {
                    // Asked again until one comes: a request, or its keyframe, may get lost.
                    encoding.keyframes.want(now);
                }
                watching.catch_up(place, track, now);
            }
        }
        if watching.waiting.len() > waited
            && let Some(wake) = watching.next_waiting(now)
        {
            self.timers.no_later_than(at, wake);
        }
        if due & video != 0 && watching.report_due(true, now) {
            self.send_reports(at, now);
        }
    }

    /// Sends of what waits for a viewer's line as much as the line takes by now.
    pub(super) fn send_waiting(&mut self, at: usize, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Peer { address: Some(to), side: Side::Watching(watching), .. } = peer.as_mut() else {
            return;
        };
        let mut budget = watching.budget(now);
        let (outbox, counters) = (&mut self.outbox, &mut self.counters);
        let mut line = Sending { to: *to, outbox, counters, now };
        while budget > 0
            && let Some(next) = watching.next_of_waiting()
        {
            budget = budget.saturating_sub(usize::from(next.bytes));
            let (place, index) = (usize::from(next.slot), next.track as usize);
            let Some(Some(track)) = self.tracks.get(index) else { continue };
            if watching.slots.get(place).and_then(|s| s.track) == Some(index) {
                let fresh = Fresh { encoding: next.encoding, number: next.number };
                if !line.send(watching, place, track, fresh) {
                    line.counters.overtaken += 1;
                }
                watching.catch_up(place, track, now);
            }
        }
    }
}

/// The places of the bits that are set, lowest first.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = set.trailing_zeros();
        (set != 0).then(|| {
            set &= set - 1;
            at as usize
        })
    })
}

/// Where packets to one viewer go.
pub(super) struct Sending<'a> {
    pub to: Route,
    pub outbox: &'a mut Outbox,
    pub counters: &'a mut Counters,
    pub now: Instant,
}

impl Sending<'_> {
    /// Sends a packet of this turn, or lets it wait behind what waits already.
    #[inline]
    fn offer(&mut self, watching: &mut Watching, place: usize, track: &Track, fresh: Fresh) {
        if track.kind == Kind::Video {
            let Some(packet) = track.packet(fresh.encoding, fresh.number) else { return };
            let bytes = packet.payload.len() + OVERHEAD;
            let waits = !watching.waiting.is_empty();
            if waits || !watching.path.pacer().admits(bytes, self.now) {
                let takes =
                    watching.slots.get(place).is_some_and(|s| s.egress.takes(fresh.encoding));
                if let Some(index) = watching.slots.get(place).and_then(|s| s.track)
                    && takes
                {
                    let packet = Waiting::new(place, index, fresh, packet, self.now);
                    self.counters.overtaken += u64::from(!watching.wait(packet));
                }
                return;
            }
        }
        self.send(watching, place, track, fresh);
    }

    /// Sends a packet on a line, if it is one for it. False when it is no longer there.
    #[inline]
    fn send(&mut self, watching: &mut Watching, place: usize, track: &Track, fresh: Fresh) -> bool {
        let Some(encoding) = track.encoding(fresh.encoding) else { return false };
        let Some(packet) = encoding.packet(fresh.number) else { return false };
        let Watching { slots, sealer: Some(sealer), path, repairs, .. } = watching else {
            return true;
        };
        let Some(slot) = slots.get_mut(place) else { return true };
        if slot.own_voice.is_some() && slot.own_voice == packet.speaker {
            // The next voice follows on without a gap.
            slot.egress.unmap();
            return true;
        }
        let Some(payload_type) = slot.payload_type(encoding.codec, packet.red) else {
            return true;
        };
        let epoch = Epoch { track: track.key, encoding: fresh.encoding, run: encoding.run };
        let aligned = encoding.aligned;
        // Borrowed where it was made: a copy would read, in one word, what was just written in
        // bytes, and wait until all that was stored before it has reached the cache.
        let forwarded = slot.egress.forward(epoch, aligned, packet, self.now);
        let Some(outgoing) = &forwarded else { return true };
        self.counters.packets_out += 1;
        repairs.earn();
        if slot.extensions.transport_cc.is_some() {
            let number = path.next_sequence();
            let bytes = self.write(slot, sealer, payload_type, packet, outgoing, number);
            slot.egress.remember(outgoing, number);
            path.on_sent(number, bytes, self.now);
        } else {
            let bytes = self.write(slot, sealer, payload_type, packet, outgoing, 0);
            slot.egress.remember(outgoing, 0);
            path.on_sent_unnumbered(bytes);
        }
        true
    }

    /// Writes a packet under numbers it has for ever. Returns its IP bytes.
    pub fn write(
        &mut self,
        slot: &Slot,
        sealer: &Sealer,
        payload_type: PayloadType,
        packet: &Cached,
        outgoing: &Outgoing,
        transport_sequence: u16,
    ) -> usize {
        let padding = if outgoing.empty { 0 } else { packet.padding };
        let fields = Fields {
            marker: outgoing.marker,
            padded: padding > 0,
            payload_type: payload_type.number,
            sequence: outgoing.sequence(),
            timestamp: outgoing.timestamp,
            ssrc: slot.ssrc,
            transport_sequence,
            dependencies: &packet.dependencies,
        };
        let payload = match payload_type.red {
            _ if outgoing.empty => &[],
            true => packet.payload.as_slice(),
            false => packet.primary(),
        };
        let len = self.outbox.push(self.to, |out| {
            let start = out.len();
            let header = write_header(out, slot.extensions, &fields);
            let body = out.len();
            out.extend_from_slice(payload);
            if let Some(payload) = out.get_mut(body..) {
                outgoing.shift.apply(payload);
            }
            if padding > 0 {
                out.resize(out.len() + usize::from(padding), 0);
                if let Some(last) = out.last_mut() {
                    *last = padding;
                }
            }
            seal(out, start, header, sealer, outgoing.rollover())
        });
        self.account(len)
    }

    /// Counts a datagram of `len` bytes.
    pub fn account(&mut self, len: usize) -> usize {
        let bytes = if len == 0 { 0 } else { len + ip_overhead(self.to) };
        self.counters.ip_bytes_out += bytes as u64;
        bytes
    }
}

/// Seals the packet that begins at `start`, adding its tag.
pub(super) fn seal(
    out: &mut Vec<u8>,
    start: usize,
    header: usize,
    sealer: &Sealer,
    roc: u32,
) -> bool {
    const TAG: [u8; cloudschool_srtp::MAX_TAG] = [0; cloudschool_srtp::MAX_TAG];
    out.extend_from_slice(TAG.get(..sealer.tag_len()).unwrap_or_default());
    out.get_mut(start..).is_some_and(|packet| sealer.seal(packet, header, roc))
}
