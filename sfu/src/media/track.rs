//! One track inside one shard: its encodings, how loud it is, and who gets it.

use super::batch::{Clock, TrackKey};
use super::cache::Cached;
use super::egress::Epoch;
use super::encoding::{Encoding, Packet};
use super::gathered::Gathered;
use super::loudest::Entrant;
use super::outlet::Outlet;
use super::thumbnail::Thumbnail;
use crate::peer::MAX_ENCODINGS;
use cloudschool_protocol::media::Kind;
use std::time::{Duration, Instant};

/// How long a microphone counts as loud after its last packet: DTX sends one every 400 ms.
const LEVEL_HOLD: Duration = Duration::from_millis(500);

/// Packets of a frame that are up to so many bytes shorter than its longest are padded to its
/// length: a batch of equal sizes goes out as one system call, which saves more than these
/// bytes cost.
const EQUALISE: usize = 40;

/// A line of a viewer's that shows a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriber {
    pub peer: usize,
    pub slot: usize,
}

/// Where a track's packets come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Nobody sends at the moment.
    Idle,
    /// A peer of this shard publishes it.
    Peer(usize),
    /// Another shard or a trunk hands it over.
    Lane,
    /// The microphones of a class, one after the other: a place of the loudest.
    Voices,
}

/// A microphone's seat among those of its class.
#[derive(Debug, Clone, Copy)]
pub struct Seat {
    pub group: usize,
    pub entrant: Entrant,
    /// The newest of its packets that was heard, and in which run.
    pub heard: Option<(u32, u64)>,
}

/// A packet of this turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fresh {
    pub encoding: u8,
    pub number: u64,
}

/// One track.
#[derive(Debug)]
pub struct Track {
    pub key: TrackKey,
    pub kind: Kind,
    pub feed: Feed,
    pub subscribers: Vec<Subscriber>,
    pub outlets: Vec<Outlet>,
    /// Packets that came in this turn.
    pub fresh: Vec<Fresh>,
    /// Encodings whose clock came in this turn: it goes on to the outlets.
    pub fresh_clocks: u8,
    /// Of video, what waits to go up trunks.
    pub gathered: Gathered,
    /// It waits for the end of the turn.
    pub dirty: bool,
    pub muted: bool,
    /// Of a microphone that may be one of the loudest.
    pub seat: Option<Seat>,
    /// Which encodings were last said to be wanted here, as a set of bits, and when.
    pub wanted: Option<(u8, Instant)>,
    encodings: [Option<Box<Encoding>>; MAX_ENCODINGS],
    level: Option<(f32, Instant)>,
}

impl Track {
    #[must_use]
    pub fn new(key: TrackKey, kind: Kind, feed: Feed) -> Self {
        Self {
            key,
            kind,
            feed,
            subscribers: Vec::new(),
            outlets: Vec::new(),
            fresh: Vec::with_capacity(64),
            fresh_clocks: 0,
            gathered: Gathered::default(),
            dirty: false,
            muted: false,
            wanted: None,
            seat: None,
            encodings: [const { None }; MAX_ENCODINGS],
            level: None,
        }
    }

    /// Takes a packet of an encoding in. Returns whether it is new and goes on.
    pub fn accept(&mut self, encoding: u8, packet: &Packet<'_>, now: Instant) -> bool {
        if packet.codec.kind() != self.kind {
            return false;
        }
        let Some(place) = self.encodings.get_mut(usize::from(encoding)) else { return false };
        let encoded =
            place.get_or_insert_with(|| Box::new(Encoding::new(packet.codec, packet.header.ssrc)));
        let run = encoded.run;
        let accepted = encoded.accept(packet, self.muted, now);
        if encoded.run != run {
            self.fresh.retain(|f| f.encoding != encoding);
            self.gathered.forget(encoding);
        }
        let Some(number) = accepted else { return false };
        if let Some(byte) = packet.level {
            self.hear(byte & 0x7f, now);
        }
        self.fresh.push(Fresh { encoding, number });
        true
    }

    fn hear(&mut self, level: u8, now: Instant) {
        // About five packets of 20 ms: quick enough to follow a word, slow enough not to flicker.
        const WEIGHT: f32 = 0.2;
        let level = f32::from(level);
        let smoothed = match self.level {
            Some((before, at)) if now - at < LEVEL_HOLD => before + WEIGHT * (level - before),
            _ => level,
        };
        self.level = Some((smoothed, now));
    }

    /// Lets nothing through from now on, nor what waits to go on; or again everything.
    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
        if muted {
            self.fresh.clear();
            self.gathered.clear();
            self.outlets.iter().for_each(|o| o.lane.empty());
        }
    }

    /// Takes back what a voice said in this turn.
    pub fn retract(&mut self, speaker: TrackKey) {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.retain(|f| {
            let packet = self.packet(f.encoding, f.number);
            packet.is_none_or(|p| p.speaker != Some(speaker))
        });
        self.fresh = fresh;
    }

    /// How loud the track is now, as RFC 6464 counts: 0 loudest, 127 silent.
    #[must_use]
    pub fn level(&self, now: Instant) -> u8 {
        match self.level {
            Some((level, at)) if now - at < LEVEL_HOLD && !self.muted => level.round() as u8,
            _ => 127,
        }
    }

    /// An encoding, once a packet came of it.
    #[must_use]
    pub fn encoding(&self, at: u8) -> Option<&Encoding> {
        self.encodings.get(usize::from(at))?.as_deref()
    }

    /// The same, to change it.
    pub fn encoding_mut(&mut self, at: u8) -> Option<&mut Encoding> {
        self.encodings.get_mut(usize::from(at))?.as_deref_mut()
    }

    /// All encodings that packets came of, by their place.
    pub fn encodings(&self) -> impl Iterator<Item = (u8, &Encoding)> {
        let placed = self.encodings.iter().enumerate();
        placed.filter_map(|(at, e)| Some((at as u8, e.as_deref()?)))
    }

    /// The same, to change them.
    pub fn encodings_mut(&mut self) -> impl Iterator<Item = (u8, &mut Encoding)> {
        let placed = self.encodings.iter_mut().enumerate();
        placed.filter_map(|(at, e)| Some((at as u8, e.as_deref_mut()?)))
    }

    /// What a viewer's line is mapped to while it shows an encoding.
    #[must_use]
    pub fn epoch(&self, encoding: u8) -> Option<Epoch> {
        let run = self.encoding(encoding)?.run;
        Some(Epoch { track: self.key, encoding, run })
    }

    /// The encoding of the highest rate that is being sent.
    #[must_use]
    pub fn best(&self, now: Instant) -> Option<u8> {
        let alive = self.encodings().filter(|(_, e)| e.rates.alive(now));
        alive.max_by_key(|(at, e)| (e.rates.all(), *at)).map(|(at, _)| at)
    }

    /// The newest picture of the smallest encoding that has one. Where there is none, one is
    /// asked for, for another time.
    pub fn thumbnail(&mut self, now: Instant) -> Option<Thumbnail> {
        let size = |(_, e): &(u8, &Encoding)| e.keyframe_bytes().unwrap_or(u32::MAX);
        let mut order: Vec<_> = self.encodings().map(|e| (size(&e), e.0)).collect();
        order.sort_unstable();
        let kept = order.iter().find_map(|(_, at)| self.encoding(*at)?.thumbnail(now));
        if kept.is_none()
            && let Some((_, at)) = order.first()
            && let Some(encoding) = self.encoding_mut(*at)
        {
            encoding.keyframes.want(now);
        }
        kept
    }

    /// An encoding's clock came. Returns whether there is such an encoding.
    pub fn set_clock(&mut self, encoding: u8, clock: Clock, now: Instant) -> bool {
        let Some(encoded) = self.encoding_mut(encoding) else { return false };
        encoded.set_clock(clock, now);
        self.fresh_clocks |= 1 << encoding;
        for at in 0..self.encodings.len() as u8 {
            let first = self.encoding(0);
            let aligned = self.encoding(at).and_then(|e| e.offset_to(first?));
            if let Some(encoding) = self.encoding_mut(at) {
                encoding.aligned = aligned;
            }
        }
        true
    }

    /// A packet still kept.
    #[must_use]
    pub fn packet(&self, encoding: u8, number: u64) -> Option<&Cached> {
        self.encoding(encoding)?.packet(number)
    }

    /// Settles, before any of this turn's packets goes out, which are padded to one length.
    pub fn equalise(&mut self) {
        if self.kind == Kind::Audio || self.fresh.len() < 2 {
            return;
        }
        let fresh = std::mem::take(&mut self.fresh);
        for run in fresh.chunk_by(|a, b| a.encoding == b.encoding) {
            let length = |f: &Fresh| self.packet(f.encoding, f.number).map(|p| p.payload.len());
            let longest = run.iter().filter_map(length).max().unwrap_or(0);
            for fresh in run {
                let encoding = self.encodings.get_mut(usize::from(fresh.encoding));
                let encoding = encoding.and_then(|e| e.as_deref_mut());
                let packet = encoding.and_then(|e| e.packet_mut(fresh.number));
                if let Some(packet) = packet {
                    let missing = longest - packet.payload.len();
                    packet.padding = if missing <= EQUALISE { missing as u8 } else { 0 };
                }
            }
        }
        self.fresh = fresh;
    }

    /// The turn is over.
    pub fn settle(&mut self) {
        self.fresh.clear();
        self.fresh_clocks = 0;
        self.dirty = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::media::Codec;
    use cloudschool_protocol::rtp::Header;

    fn accept(track: &mut Track, encoding: u8, sequence: u16, payload: &[u8]) -> bool {
        let header = Header {
            marker: true,
            payload_type: 102,
            sequence,
            timestamp: 0,
            ssrc: 1 + u32::from(encoding),
            payload_offset: 12,
            payload_end: 12 + payload.len(),
        };
        let packet = Packet {
            codec: Codec::H264,
            red: false,
            header,
            payload,
            level: None,
            speaker: None,
            dependency_descriptor: None,
        };
        track.accept(encoding, &packet, Instant::now())
    }

    fn track() -> Track {
        Track::new(TrackKey(1), Kind::Video, Feed::Peer(0))
    }

    #[test]
    fn a_muted_track_and_a_duplicate_go_nowhere() {
        let mut track = track();
        assert!(accept(&mut track, 0, 10, &[0x67, 1]));
        assert!(!accept(&mut track, 0, 10, &[0x67, 1]));
        track.muted = true;
        assert!(!accept(&mut track, 0, 11, &[0x67, 1]));
        assert!(!accept(&mut track, 3, 1, &[0x67, 1]), "there are three encodings");
    }

    #[test]
    fn nearly_equal_packets_of_a_frame_are_padded_to_one_length_and_others_are_not() {
        let mut track = track();
        for (sequence, len) in [(1, 1000), (2, 1001), (3, 990), (4, 200)] {
            accept(&mut track, 0, sequence, &vec![0x41; len]);
        }
        accept(&mut track, 1, 1, &[0x41; 300]);
        track.equalise();
        let padded: Vec<_> = track
            .fresh
            .iter()
            .filter_map(|f| track.packet(f.encoding, f.number))
            .map(|p| usize::from(p.padding) + p.payload.len())
            .collect();
        assert_eq!(padded, [1001, 1001, 1001, 200, 300]);
    }

    #[test]
    fn the_best_encoding_is_the_one_of_the_highest_rate_that_is_sent() {
        let mut track = track();
        assert_eq!(track.best(Instant::now()), None);
        accept(&mut track, 1, 1, &[0x41; 300]);
        accept(&mut track, 0, 1, &[0x41; 300]);
        assert_eq!(track.best(Instant::now()), Some(1), "before there are rates, the last");
        assert_eq!(track.best(Instant::now() + Duration::from_secs(60)), None);
    }
}
