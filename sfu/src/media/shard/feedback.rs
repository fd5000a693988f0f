//! What publishers are told of their packets, and what viewers tell of theirs: retransmissions,
//! keyframe requests, sender reports.

use super::Shard;
use super::forward::{Sending, seal};
use super::peer::{Peer, PublisherMedia, Side};
use super::watching::{Slot, Watching, ip_overhead};
use crate::media::cache::Cached;
use crate::media::egress::Lost;
use crate::media::header::{Fields, write_header};
use crate::media::messages::MediaEvent;
use crate::media::track::{Feed, Track};
use crate::peer::{CNAME, LineCodec};
use cloudschool_protocol::media::Kind;
use cloudschool_protocol::rtcp::{self, Rtcp, Writer};
use cloudschool_srtp::Sealer;
use std::time::Instant;

/// Packets sent again for one message: a second of video. Whoever asks for more wants a
/// keyframe.
const MAX_RETRANSMISSIONS: usize = 256;

/// A repair takes about so many bytes.
const REPAIR: usize = 1200;

impl Shard {
    /// Sends a publisher what is due to it: arrivals, requests for what was lost, reports.
    pub(super) fn give_feedback(&mut self, at: usize, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Side::Publishing(publishing) = &mut peer.side else { return };
        let Some(PublisherMedia { ingress, .. }) = &mut publishing.media else { return };
        self.compound.clear();
        let (places, tracks) = (publishing.places, &mut self.tracks);
        ingress.write_feedback(now, &mut self.compound, |kind, encoding| {
            let [audio, video] = places;
            let place = match kind {
                Kind::Audio => audio,
                Kind::Video => video,
            };
            let track = tracks.get_mut(place).and_then(Option::as_mut);
            if let Some(broken) = track.and_then(|t| t.encoding_mut(encoding)) {
                broken.keyframes.want(now);
            }
        });
        self.send_compound(at);
    }

    /// Asks whoever feeds the track for a keyframe of an encoding.
    pub(super) fn request_keyframe(&mut self, index: usize, encoding: u8, now: Instant) {
        let Some(Some(track)) = self.tracks.get(index) else { return };
        let (kind, key, feed) = (track.kind, track.key, track.feed);
        self.counters.keyframe_requests += 1;
        match feed {
            Feed::Peer(at) => {
                let Some(Some(peer)) = self.peers.get_mut(at) else { return };
                let Side::Publishing(publishing) = &mut peer.side else { return };
                let Some(media) = &mut publishing.media else { return };
                self.compound.clear();
                if media.ingress.write_keyframe_request(kind, encoding, &mut self.compound) {
                    self.send_compound(at);
                }
                self.schedule(at, now);
            }
            Feed::Lane => {
                let shard = self.index;
                self.emit(MediaEvent::KeyframeWanted { shard, track: key, encoding });
            }
            Feed::Idle | Feed::Voices => {}
        }
    }

    /// Seals what was written and sends it to a peer.
    fn send_compound(&mut self, at: usize) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Some(to) = peer.address else { return };
        let sealer = match &mut peer.side {
            Side::Publishing(p) => p.media.as_mut().map(|m| &mut m.sealer),
            Side::Watching(w) => w.sealer.as_mut(),
        };
        let Some(sealer) = sealer else { return };
        if self.compound.is_empty() || !sealer.seal_rtcp(&mut self.compound) {
            return;
        }
        let len = self.outbox.push(to, |out| {
            out.extend_from_slice(&self.compound);
            true
        });
        self.counters.ip_bytes_out += (len + ip_overhead(to)) as u64;
        self.compound.clear();
    }

    /// A viewer's RTCP.
    pub(super) fn viewer_feedback(&mut self, at: usize, datagram: &mut [u8], now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Some(Watching { opener: Some(opener), path, .. }) = peer.watching() else { return };
        path.fetch_reported();
        let Ok(len) = opener.open_rtcp(datagram) else {
            self.counters.unreadable += 1;
            return;
        };
        for packet in rtcp::packets(datagram.get(..len).unwrap_or_default()) {
            match packet {
                Rtcp::Nack { media, entries } => {
                    let wanted = entries.sequences().take(MAX_RETRANSMISSIONS);
                    self.retransmit(at, media, wanted, now);
                }
                Rtcp::Pli { media } => self.keyframe_wanted(at, media, now),
                Rtcp::Fir { entries } => {
                    entries.sources().take(8).for_each(|s| self.keyframe_wanted(at, s, now));
                }
                Rtcp::TransportCc { fci } => self.arrivals_told(at, fci, now),
                Rtcp::ReceiverReport(blocks) => self.loss_told(at, blocks, now),
                Rtcp::SenderReport(report) => self.loss_told(at, report.blocks, now),
                Rtcp::Bye { .. } | Rtcp::Other { .. } => {}
            }
        }
    }

    fn keyframe_wanted(&mut self, at: usize, ssrc: u32, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Some(watching) = peer.watching() else { return };
        let Some(slot) = watching.slots.iter().find(|s| s.ssrc == ssrc) else { return };
        let Some(Some(track)) = slot.track.and_then(|t| self.tracks.get_mut(t)) else { return };
        let shown = slot.egress.showing().map(|t| t.encoding);
        let shown = shown.or(slot.egress.wants_keyframe_of());
        if let Some(encoding) = shown.and_then(|e| track.encoding_mut(e)) {
            encoding.keyframes.want(now);
        }
    }

    fn retransmit(
        &mut self,
        at: usize,
        ssrc: u32,
        sequences: impl Iterator<Item = u16>,
        now: Instant,
    ) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Peer { address: Some(to), side: Side::Watching(watching), .. } = peer.as_mut() else {
            return;
        };
        let Watching { slots, sealer: Some(sealer), path, repairs, .. } = watching.as_mut() else {
            return;
        };
        let Some(slot) = slots.iter_mut().find(|s| s.ssrc == ssrc) else { return };
        let Some(Some(track)) = slot.track.and_then(|t| self.tracks.get(t)) else { return };
        let (outbox, counters) = (&mut self.outbox, &mut self.counters);
        let mut line = Sending { to: *to, outbox, counters, now };
        for sequence in sequences {
            // What can't be sent is not taken for sent: it is asked for again.
            if !path.may_repair(REPAIR, now) {
                return;
            }
            let Some((lost, packet, codec)) = find_lost(slot, track, sequence, now) else {
                continue;
            };
            if !repairs.spend() {
                return;
            }
            let (number, sent) = match codec.rtx {
                Some(rtx) => {
                    let number = path.next_sequence();
                    (number, line.write_rtx(slot, sealer, rtx, &lost, packet, number))
                }
                // The same bytes again, its transport number included: under another it would be
                // a second packet under one nonce.
                None => {
                    let Some(payload_type) = slot.payload_type(codec.codec, packet.red) else {
                        continue;
                    };
                    let (number, outgoing) = (lost.transport_sequence, lost.outgoing(packet));
                    (number, line.write(slot, sealer, payload_type, packet, &outgoing, number))
                }
            };
            match slot.extensions.transport_cc {
                Some(_) => path.on_sent(number, sent, now),
                None => path.on_sent_unnumbered(sent),
            }
            line.counters.retransmitted += u64::from(sent > 0);
        }
    }

    /// Sender reports on every line that is being sent, from its publisher's clock.
    pub(super) fn send_reports(&mut self, at: usize, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Some(watching) = peer.watching() else { return };
        self.compound.clear();
        let mut writer = Writer::new(&mut self.compound);
        let mut first = None;
        for slot in &watching.slots {
            let Some(Some(track)) = slot.track.and_then(|t| self.tracks.get(t)) else { continue };
            let shown = slot.egress.showing().and_then(|t| track.encoding(t.encoding));
            let clock = shown.and_then(|e| e.clock_at(now));
            let Some((clock, offset)) = clock.zip(slot.egress.timestamp_offset()) else { continue };
            let rtp = clock.rtp.wrapping_add(offset);
            let (packets, octets) = (slot.egress.packets, slot.egress.octets);
            writer.sender_report(slot.ssrc, clock.ntp, rtp, packets, octets, &[]);
            first.get_or_insert(slot.ssrc);
        }
        if let Some(ssrc) = first {
            writer.description(ssrc, CNAME);
            self.send_compound(at);
        }
    }
}

/// What a viewer asks for again, if it is still there and may be sent again.
pub(super) fn find_lost<'a>(
    slot: &mut Slot,
    track: &'a Track,
    sequence: u16,
    now: Instant,
) -> Option<(Lost, &'a Cached, LineCodec)> {
    let lost = slot.egress.lost(sequence, now)?;
    let encoding = track.encoding(lost.epoch.encoding)?;
    let packet = encoding.packet(lost.source)?;
    let same = lost.epoch.run == encoding.run && lost.epoch.track == track.key;
    let codec = slot.codec(encoding.codec).copied()?;
    same.then_some((lost, packet, codec))
}

impl Sending<'_> {
    /// Sends a lost packet in the repair stream (RFC 4588). Returns its IP bytes.
    pub fn write_rtx(
        &mut self,
        slot: &mut Slot,
        sealer: &Sealer,
        payload_type: u8,
        lost: &Lost,
        packet: &Cached,
        transport_sequence: u16,
    ) -> usize {
        let number = slot.rtx_next;
        slot.rtx_next += 1;
        let outgoing = lost.outgoing(packet);
        let fields = Fields {
            marker: outgoing.marker,
            padded: false,
            payload_type,
            sequence: number as u16,
            timestamp: outgoing.timestamp,
            ssrc: slot.rtx_ssrc,
            transport_sequence,
            dependencies: &packet.dependencies,
        };
        let ids = slot.extensions;
        let len = self.outbox.push(self.to, |out| {
            let start = out.len();
            let header = write_header(out, ids, &fields);
            out.extend_from_slice(&outgoing.sequence().to_be_bytes());
            let body = out.len();
            if !outgoing.empty {
                out.extend_from_slice(packet.primary());
            }
            if let Some(payload) = out.get_mut(body..) {
                outgoing.shift.apply(payload);
            }
            seal(out, start, header, sealer, (number >> 16) as u32)
        });
        self.account(len)
    }
}
