//! Of the microphones of a class the loudest, each on a line of its own that everybody can
//! show: an accepted packet of a microphone that has a place goes on as a packet of that place.
//! Of all others only the level is looked at.

use super::Shard;
use super::commands::place;
use crate::media::batch::{Clock, TrackKey};
use crate::media::encoding::{Encoding, Packet};
use crate::media::loudest::{Loudest, PLACES, Taken};
use crate::media::messages::GroupId;
use crate::media::splice::{Piece, Splice};
use crate::media::track::{Feed, Seat, Track};
use cloudschool_protocol::rtp::{Header, opus};
use std::time::Instant;

/// What a packet is taken to hold that doesn't say: 20 ms.
const USUAL_DURATION: u32 = 960;

/// Sound from longer ago is not caught up with, in ticks: what came before a mute, or before a
/// silence in which nothing was sent, is not the beginning of a word. 200 ms.
const MOST_BEHIND: u32 = 9_600;

/// The microphones of one class.
#[derive(Debug)]
pub struct Group {
    loudest: Loudest,
    lines: [Line; PLACES],
}

/// The track of one place.
#[derive(Debug)]
struct Line {
    /// Where the shard keeps it.
    track: usize,
    splice: Splice,
    /// Whose packets it carries, and in which run of theirs.
    source: Option<(TrackKey, u32)>,
}

impl Shard {
    pub(super) fn open_group(&mut self, id: GroupId, places: [TrackKey; PLACES]) {
        let lines = places.map(|key| {
            if let Some(track) = self.track(key) {
                track.feed = Feed::Voices;
            }
            let track = self.keys.get(&key).copied().unwrap_or(usize::MAX);
            Line { track, splice: Splice::new(rand::random()), source: None }
        });
        let group = Box::new(Group { loudest: Loudest::default(), lines });
        let at = place(&mut self.groups, group);
        self.group_ids.insert(id, at);
    }

    pub(super) fn close_group(&mut self, id: GroupId) {
        let Some(at) = self.group_ids.remove(&id) else { return };
        if let Some(group) = self.groups.get_mut(at) {
            *group = None;
        }
        for track in self.tracks.iter_mut().flatten() {
            track.seat = track.seat.filter(|s| s.group != at);
        }
    }

    /// Takes a microphone into a group, or out of the one it is in.
    pub(super) fn seat(&mut self, key: TrackKey, group: Option<GroupId>, now: Instant) {
        let at = group.and_then(|g| self.group_ids.get(&g).copied());
        let Some(before) = self.track(key).map(|t| t.seat.take()) else { return };
        if let Some(Seat { group, entrant, .. }) = before
            && let Some(Some(group)) = self.groups.get_mut(group)
        {
            group.loudest.leave(entrant, now);
        }
        let Some(at) = at else { return };
        let Some(Some(group)) = self.groups.get_mut(at) else { return };
        let entrant = group.loudest.enter();
        if let Some(track) = self.track(key) {
            track.seat = Some(Seat { group: at, entrant, heard: None });
        }
    }

    /// A microphone was muted: what it said and has not gone out yet doesn't.
    pub(super) fn silence(&mut self, key: TrackKey, now: Instant) {
        if let Some(Seat { group, entrant, .. }) = self.track(key).and_then(|t| t.seat)
            && let Some(Some(group)) = self.groups.get_mut(group)
        {
            group.loudest.silence(entrant, now);
        }
        self.tracks.iter_mut().flatten().for_each(|t| t.retract(key));
    }

    /// Lets this turn's packets of microphones be heard, where they have a place.
    pub(super) fn fill_places(&mut self, now: Instant) {
        for at in 0..self.dirty.len() {
            let Some(&index) = self.dirty.get(at) else { return };
            let Some(Some(track)) = self.tracks.get(index) else { continue };
            let Some(seat) = track.seat else { continue };
            if let Some(Some(group)) = self.groups.get_mut(seat.group) {
                group.hear(index, seat, &mut self.tracks, &mut self.dirty, now);
            }
        }
    }
}

impl Group {
    /// Takes what came of the microphone at `index` in this turn.
    fn hear(
        &mut self,
        index: usize,
        seat: Seat,
        tracks: &mut [Option<Box<Track>>],
        dirty: &mut Vec<usize>,
        now: Instant,
    ) {
        for at in 0.. {
            let Some(Some(microphone)) = tracks.get(index) else { return };
            let Some(fresh) = microphone.fresh.get(at) else { break };
            let number = fresh.number;
            let Some(packet) = microphone.packet(0, number) else { continue };
            let taken = self.loudest.hear(seat.entrant, packet.level, now);
            let Some(place) = self.loudest.place_of(seat.entrant) else { continue };
            let Some(line) = self.lines.get_mut(place) else { return };
            let pair = tracks.get_disjoint_mut([index, line.track]);
            let Ok([Some(microphone), Some(track)]) = pair else { return };
            line.carry(microphone, track, number, taken, now);
            if !track.dirty {
                track.dirty = true;
                dirty.push(line.track);
            }
        }
        let Some(place) = self.loudest.place_of(seat.entrant) else { return };
        let Some(line) = self.lines.get(place) else { return };
        let pair = tracks.get_disjoint_mut([index, line.track]);
        if let Ok([Some(microphone), Some(track)]) = pair
            && microphone.fresh_clocks & 1 == 1
        {
            line.carry_clock(microphone, track, now);
        }
    }
}

impl Line {
    /// Carries a packet on; with a place that was just taken, also what came before it and is
    /// the beginning of what is being said.
    fn carry(
        &mut self,
        microphone: &mut Track,
        track: &mut Track,
        number: u64,
        taken: Option<Taken>,
        now: Instant,
    ) {
        let Some(encoding) = microphone.encoding(0) else { return };
        let source = Some((microphone.key, encoding.run));
        let mut first = number;
        let begins = taken.is_some() || self.source != source;
        if begins {
            let before = taken.map_or(0, |t| u64::from(t.before));
            // What was heard on another line isn't heard again.
            let heard = microphone.seat.and_then(|s| s.heard).filter(|h| h.0 == encoding.run);
            let after = heard.map_or(0, |(_, n)| n + 1);
            let earliest = number.saturating_sub(before).max(after).min(number);
            let Some(latest) = piece(encoding, number) else { return };
            let behind = |p: &Piece| latest.timestamp.wrapping_sub(p.timestamp);
            let recent = (earliest..number).filter_map(|n| piece(encoding, n));
            let from = recent.into_iter().find(|p| behind(p) <= MOST_BEHIND).unwrap_or(latest);
            first = from.number;
            self.splice.begin(&from, behind(&from), now);
            self.source = source;
        }
        for number in first..=number {
            self.pass(microphone.key, encoding, track, number, now);
        }
        let run = encoding.run;
        if let Some(seat) = &mut microphone.seat {
            let newest = seat.heard.filter(|h| h.0 == run).map_or(number, |h| h.1.max(number));
            seat.heard = Some((run, newest));
        }
        if begins {
            self.carry_clock(microphone, track, now);
        }
    }

    fn pass(
        &mut self,
        speaker: TrackKey,
        encoding: &Encoding,
        track: &mut Track,
        number: u64,
        now: Instant,
    ) {
        let (Some(packet), Some(own)) = (encoding.packet(number), piece(encoding, number)) else {
            return;
        };
        let Some(placed) = self.splice.place(&own, now) else { return };
        let header = Header {
            marker: packet.marker || placed.begins,
            payload_type: encoding.codec.payload_type(),
            sequence: placed.sequence,
            timestamp: placed.timestamp,
            ssrc: track.key.0,
            payload_offset: 0,
            payload_end: packet.payload.len(),
        };
        let packet = Packet {
            codec: encoding.codec,
            red: packet.red,
            header,
            payload: &packet.payload,
            level: packet.level,
            speaker: Some(speaker),
            dependency_descriptor: None,
        };
        track.accept(0, &packet, now);
    }

    /// The line's clock is its speaker's, on the line's own time line.
    fn carry_clock(&self, microphone: &Track, track: &mut Track, now: Instant) {
        let clock = microphone.encoding(0).and_then(|e| e.clock_at(now));
        let Some((Clock { ntp, rtp }, offset)) = clock.zip(self.splice.offset()) else { return };
        track.set_clock(0, Clock { ntp, rtp: rtp.wrapping_add(offset) }, now);
    }
}

/// A packet that is still there, as a splice sees it.
fn piece(encoding: &Encoding, number: u64) -> Option<Piece> {
    let packet = encoding.packet(number)?;
    let duration = opus::duration(packet.primary()).unwrap_or(USUAL_DURATION);
    Some(Piece { number, timestamp: packet.timestamp, duration })
}
