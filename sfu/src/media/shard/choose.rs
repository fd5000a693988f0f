//! What each viewer gets of what its path takes, how that path is probed for more, and which
//! encodings therefore anybody wants.

use super::Shard;
use super::feedback::find_lost;
use super::forward::Sending;
use super::interim::{self, Path};
use super::peer::{Peer, Side};
use super::watching::{Slot, Watching};
use crate::media::bandwidth::allocation::{Grant, Reason, Wish};
use crate::media::ladder::keep_smallest;
use crate::media::layers::Target;
use crate::media::messages::MediaEvent;
use crate::media::track::Track;
use crate::peer::MAX_ENCODINGS;
use cloudschool_protocol::media::Kind;
use cloudschool_protocol::rtcp::Blocks;
use std::time::{Duration, Instant};

/// How often what a viewer gets is chosen anew, and when it has the best of everything.
const INTERVAL: Duration = Duration::from_millis(200);
const CONTENT_INTERVAL: Duration = Duration::from_secs(1);

/// What is due to a viewer so soon is done at once when the viewer is heard: all that is known of
/// it is at hand then, and needs no waking up for later.
const SOON: Duration = Duration::from_millis(50);

/// Wishes that did not change are told again after this, so that what nobody wants any more can
/// be given up in its time.
const WANTED_AGAIN: Duration = Duration::from_secs(1);

/// How far back a probe looks for packets to fill itself with.
const PROBE_BACK: u16 = 200;

impl Shard {
    /// A viewer told when packets arrived.
    pub(super) fn arrivals_told(&mut self, at: usize, fci: &[u8], now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Some(watching) = peer.watching() else { return };
        let before = watching.path.estimate();
        if watching.path.on_feedback(fci, now).is_err() {
            self.counters.unreadable += 1;
        }
        self.path_changed(at, before, now);
    }

    /// A viewer told how much it misses.
    pub(super) fn loss_told(&mut self, at: usize, blocks: Blocks<'_>, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Some(watching) = peer.watching() else { return };
        let before = watching.path.estimate();
        let ours = |ssrc| watching.slots.iter().any(|s| s.ssrc == ssrc && s.kind == Kind::Video);
        let worst = blocks.filter(|b| ours(b.ssrc)).map(|b| b.fraction_lost).max();
        if let Some(worst) = worst {
            watching.path.on_report(worst, now);
        }
        self.path_changed(at, before, now);
    }

    /// Less is acted upon at once, more in its time.
    fn path_changed(&mut self, at: usize, before: u64, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Some(watching) = peer.watching() else { return };
        if watching.path.estimate() < before {
            watching.choose(&self.tracks, now);
        }
        let deadline = peer.deadline(now);
        if deadline <= now + SOON {
            self.serve_viewer(at, now);
            self.schedule(at, now);
        } else {
            self.timers.no_later_than(at, deadline);
        }
    }

    /// Does what is due for a viewer: packets that waited, what it gets, probes, reports.
    pub(super) fn serve_viewer(&mut self, at: usize, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Some(watching) = peer.watching() else { return };
        if watching.settled(now) {
            for slot in 0..watching.slots.len() {
                self.start_line(at, slot, now);
            }
            return;
        }
        if watching.sealer.is_none() {
            return;
        }
        if watching.next_choice <= now {
            watching.choose(&self.tracks, now);
        }
        let report = watching.report_due(false, now);
        let probe = watching.path.handle_timeout(now);
        self.send_waiting(at, now);
        if probe > 0 {
            self.probe(at, probe, now);
        }
        if report {
            self.send_reports(at, now);
        }
    }

    /// Sends so many bytes more than the lesson needs, as repairs of packets sent before: they
    /// do no harm, and one that was lost is a gain.
    fn probe(&mut self, at: usize, bytes: usize, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Peer { address: Some(to), side: Side::Watching(watching), .. } = peer.as_mut() else {
            return;
        };
        let Watching { slots, sealer: Some(sealer), path, .. } = watching.as_mut() else { return };
        let repairable = |s: &&mut Slot| s.track.is_some() && s.extensions.transport_cc.is_some();
        let mut video = slots.iter_mut().filter(|s| s.kind == Kind::Video).filter(repairable);
        let Some(slot) = video.next() else { return };
        let Some(Some(track)) = slot.track.and_then(|t| self.tracks.get(t)) else { return };
        let (outbox, counters) = (&mut self.outbox, &mut self.counters);
        let mut line = Sending { to: *to, outbox, counters, now };
        let mut sent = 0;
        let newest = slot.egress.newest_sequence();
        for back in 0..PROBE_BACK {
            if sent >= bytes {
                return;
            }
            let Some((lost, packet, codec)) =
                find_lost(slot, track, newest.wrapping_sub(back), now)
            else {
                continue;
            };
            let Some(rtx) = codec.rtx else { return };
            let number = path.next_sequence();
            let bytes = line.write_rtx(slot, sealer, rtx, &lost, packet, number);
            path.on_sent(number, bytes, now);
            line.counters.probes += 1;
            sent += bytes;
        }
    }

    /// Tells which encodings of each track are wanted here, where that changed.
    pub(super) fn report_wanted(&mut self, now: Instant) {
        let mut told = Vec::new();
        for track in self.tracks.iter_mut().flatten() {
            track.tend_outlets(now);
            if track.kind == Kind::Audio || track.encodings().count() < 2 {
                continue;
            }
            let mut wanted = 0u8;
            for line in &track.subscribers {
                let Some(Some(peer)) = self.peers.get(line.peer) else { continue };
                let Side::Watching(watching) = &peer.side else { continue };
                let granted = watching.slots.get(line.slot).and_then(|s| s.granted);
                wanted |= match granted {
                    Some(Target { encoding: u8::MAX, .. }) => u8::MAX,
                    Some(target) => 1 << target.encoding,
                    None => 0,
                };
            }
            wanted |= track.outlets.iter().fold(0, |all, outlet| all | outlet.wanted(track));
            // The humblest one is always there to fall back on, or to begin with.
            let humblest = track.encodings().min_by_key(|(at, e)| (e.rates.all(), *at));
            wanted |= humblest.map_or(0, |(at, _)| 1 << at);
            let encodings = wanted & ((1 << MAX_ENCODINGS) - 1);
            let news = track
                .wanted
                .is_none_or(|(before, told)| before != encodings || now - told >= WANTED_AGAIN);
            if news {
                track.wanted = Some((encodings, now));
                let (shard, track) = (self.index, track.key);
                told.push(MediaEvent::EncodingsWanted { shard, track, encodings });
            }
        }
        told.into_iter().for_each(|event| self.emit(event));
    }
}

impl Watching {
    /// Divides what the path takes among the lines.
    pub fn choose(&mut self, tracks: &[Option<Box<Track>>], now: Instant) {
        let mut steps = Vec::with_capacity(self.slots.len() * 3);
        let mut ends = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            if let Some(Some(track)) = slot.track.and_then(|t| tracks.get(t)) {
                let takes = |codec| slot.codec(codec).is_some();
                let begin = steps.len();
                track.ladder(takes, now, &mut steps);
                if slot.small {
                    keep_smallest(&mut steps, begin);
                }
            }
            ends.push(steps.len());
        }
        let mut begin = 0;
        let wishes: Vec<Wish<'_>> = self
            .slots
            .iter()
            .zip(ends)
            .map(|(slot, end)| {
                let own = steps.get(begin..end).unwrap_or_default();
                begin = end;
                let key = slot.track.and_then(|t| tracks.get(t)?.as_ref()).map(|t| t.key.0);
                Wish { source: key.unwrap_or(u32::MAX), priority: slot.priority, steps: own }
            })
            .collect();
        let mut grants: Vec<Grant> = Vec::with_capacity(wishes.len());
        let estimate = self.path.estimate();
        let outlook = self.allocation.allocate(estimate, &wishes, now, &mut grants);
        self.path.set_wanted(outlook.wanted);
        let mut content = grants.iter().all(|g| matches!(g.reason, Reason::Best | Reason::Nothing));
        let path = match (self.path.is_tried(), self.path.is_congested()) {
            (false, _) => Path::Untried,
            (true, false) => Path::Free,
            (true, true) => Path::Congested,
        };
        let mut given_up = 0u64;
        for (place, (slot, grant)) in self.slots.iter_mut().zip(grants).enumerate() {
            // A source nothing is known of yet is taken as it comes.
            let target =
                if grant.reason == Reason::Nothing { Some(Target::ALL) } else { grant.target };
            slot.granted = target;
            let track = slot.track.and_then(|t| tracks.get(t)?.as_deref());
            let (target, breaks_off) = match (target, track) {
                (Some(granted), Some(track)) => {
                    let next = interim::next(slot, granted, track, path, now);
                    (Some(next.target), next.breaks_off)
                }
                (target, _) => (target, false),
            };
            if slot.egress.target() != target {
                tracing::debug!(
                    mid = slot.mid, ?target, granted = ?slot.granted,
                    showing = ?slot.egress.showing(), estimate,
                    queue = ?self.path.estimator().queue(), "a line is to show something else"
                );
                slot.egress.retarget(target);
            }
            if breaks_off {
                slot.egress.give_up();
                given_up |= 1 << place;
            }
            content &= target == slot.granted;
        }
        self.next_choice = now + if content { CONTENT_INTERVAL } else { INTERVAL };
        for place in (0..self.slots.len()).filter(|place| given_up >> place & 1 == 1) {
            self.drop_waiting(place);
        }
    }
}
