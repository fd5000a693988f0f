//! One track inside one shard: numbering, cache, keyframes, who gets it.

use super::batch::{Clock, Parts, TrackBatch, TrackKey};
use super::cache::{AUDIO_PACKETS, Cached, PacketCache, VIDEO_PACKETS};
use super::egress::Epoch;
use super::keyframe::KeyframeRequests;
use super::lane::Outlet;
use super::layers::Describer;
use super::numbering::Numbering;
use cloudschool_protocol::media::{Codec, Kind};
use cloudschool_protocol::rtp::Header;
use std::time::{Duration, Instant};

/// Most packets since a keyframe that are replayed to a late joiner: at 2 Mbit/s and a
/// keyframe's weight about a second and a half. Behind more than that a new keyframe is
/// quicker than catching up.
const REPLAY_PACKETS: u64 = 512;

/// The same for a trunk, whose line is thinner than a school's network: what 4 Mbit/s carry
/// within the deadline of a frame.
const TRUNK_REPLAY_PACKETS: u64 = 128;

/// A replay is of use while it shows the present: not of a track nobody sent for a while.
const REPLAY_AGE: Duration = Duration::from_secs(2);

/// How long a microphone counts as loud after its last packet: DTX sends one every 400 ms.
const LEVEL_HOLD: Duration = Duration::from_millis(500);

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
}

/// One track.
#[derive(Debug)]
pub struct Track {
    pub key: TrackKey,
    pub kind: Kind,
    pub codec: Option<Codec>,
    pub feed: Feed,
    pub subscribers: Vec<Subscriber>,
    pub outlets: Vec<Outlet>,
    pub keyframes: KeyframeRequests,
    /// Numbers of the packets that came in this turn.
    pub fresh: Vec<u64>,
    /// A clock mapping came in this turn and is to go on to the outlets.
    pub fresh_clock: bool,
    pub muted: bool,
    run: u32,
    ssrc: Option<u32>,
    numbers: Numbering,
    describer: Describer,
    /// After a packet far from all others: the number that would confirm a jump.
    jump: Option<u16>,
    /// When the last packet came.
    heard: Option<Instant>,
    cache: PacketCache,
    group_start: Option<u64>,
    clock: Option<(Clock, Instant)>,
    level: Option<(f32, Instant)>,
}

impl Track {
    #[must_use]
    pub fn new(key: TrackKey, kind: Kind, feed: Feed) -> Self {
        let kept = match kind {
            Kind::Audio => AUDIO_PACKETS,
            Kind::Video => VIDEO_PACKETS,
        };
        Self {
            key,
            kind,
            codec: None,
            feed,
            subscribers: Vec::new(),
            outlets: Vec::new(),
            keyframes: KeyframeRequests::default(),
            fresh: Vec::with_capacity(64),
            fresh_clock: false,
            muted: false,
            run: 0,
            ssrc: None,
            numbers: Numbering::default(),
            describer: Describer::default(),
            jump: None,
            heard: None,
            cache: PacketCache::new(kept),
            group_start: None,
            clock: None,
            level: None,
        }
    }

    /// The source run viewers' lines are mapped to.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch { track: self.key, encoding: 0, run: self.run }
    }

    /// The synchronisation source of the publisher, once packets came.
    #[must_use]
    pub fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    /// Takes a packet in. `level` is the RFC 6464 byte. Returns whether it is new and goes on.
    pub fn accept(
        &mut self,
        codec: Codec,
        header: &Header,
        payload: &[u8],
        level: Option<u8>,
        now: Instant,
    ) -> bool {
        if codec.kind() != self.kind {
            return false;
        }
        if self.ssrc != Some(header.ssrc) || self.codec != Some(codec) {
            self.restart(codec, header.ssrc);
        }
        if !self.numbers.continues(header.sequence) {
            // Two in a row from far off are a new run; one is a stray.
            let expected = self.jump.replace(header.sequence.wrapping_add(1));
            if expected != Some(header.sequence) {
                return false;
            }
            self.restart(codec, header.ssrc);
        }
        self.jump = None;
        if payload.is_empty() || self.muted {
            self.numbers.skip(header.sequence);
            return false;
        }
        let number = self.numbers.number(header.sequence);
        let description = self.describer.describe(codec, header.marker, payload, None);
        if !self.cache.insert(number, header, payload, description) {
            return false;
        }
        self.cache.set_level(number, level);
        if description.keyframe() && self.kind == Kind::Video {
            if self.group_start.is_none_or(|g| number > g) {
                self.group_start = Some(number);
            }
            self.keyframes.arrived();
        }
        if let Some(byte) = level {
            self.hear(byte & 0x7f, now);
        }
        self.heard = Some(now);
        self.fresh.push(number);
        true
    }

    fn restart(&mut self, codec: Codec, ssrc: u32) {
        if self.ssrc.is_some() {
            self.run = self.run.wrapping_add(1);
        }
        self.ssrc = Some(ssrc);
        self.codec = Some(codec);
        self.numbers = Numbering::default();
        self.describer = Describer::default();
        self.jump = None;
        self.cache.clear();
        self.fresh.clear();
        self.group_start = None;
        self.clock = None;
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

    /// How loud the track is now, as RFC 6464 counts: 0 loudest, 127 silent.
    #[must_use]
    pub fn level(&self, now: Instant) -> u8 {
        match self.level {
            Some((level, at)) if now - at < LEVEL_HOLD && !self.muted => level.round() as u8,
            _ => 127,
        }
    }

    /// The publisher's clock came.
    pub fn set_clock(&mut self, clock: Clock, now: Instant) {
        self.clock = Some((clock, now));
        self.fresh_clock = true;
    }

    /// The clock as it last came.
    #[must_use]
    pub fn clock(&self) -> Option<Clock> {
        self.clock.map(|(clock, _)| clock)
    }

    /// The publisher's clock carried forward to `now`, for a sender report.
    #[must_use]
    pub fn clock_at(&self, now: Instant) -> Option<Clock> {
        let (clock, at) = self.clock?;
        let rate = u64::from(self.codec?.clock_rate());
        let micros = (now - at).as_micros() as u64;
        Some(Clock {
            ntp: clock.ntp.wrapping_add((micros << 32) / 1_000_000),
            rtp: clock.rtp.wrapping_add((micros * rate / 1_000_000) as u32),
        })
    }

    /// A packet still kept.
    #[must_use]
    pub fn packet(&self, number: u64) -> Option<&Cached> {
        self.cache.get(number)
    }

    /// The packets from the newest keyframe to now, when replaying them to a late joiner is
    /// quicker than asking for a new one.
    #[must_use]
    pub fn replay(&self, now: Instant) -> Option<std::ops::RangeInclusive<u64>> {
        self.replay_within(REPLAY_PACKETS, now)
    }

    fn replay_within(&self, packets: u64, now: Instant) -> Option<std::ops::RangeInclusive<u64>> {
        let (start, end) = (self.group_start?, self.numbers.highest()?);
        let present = self.feed != Feed::Idle && now - self.heard? < REPLAY_AGE;
        let near = end.checked_sub(start)? < packets && self.cache.get(start).is_some();
        (present && near).then_some(start..=end)
    }

    /// This turn's packets for the outlets.
    #[must_use]
    pub fn batch(&self) -> Option<TrackBatch> {
        let mut batch = TrackBatch::new(self.key, self.codec?);
        batch.clock = self.fresh_clock.then(|| self.clock()).flatten();
        self.fill(&mut batch, self.fresh.iter().copied());
        (!batch.is_empty()).then_some(batch)
    }

    /// The replay as a batch, for an outlet that joins late.
    #[must_use]
    pub fn replay_batch(&self, now: Instant) -> Option<TrackBatch> {
        let mut batch = TrackBatch::new(self.key, self.codec?);
        batch.clock = self.clock();
        self.fill(&mut batch, self.replay_within(TRUNK_REPLAY_PACKETS, now)?);
        Some(batch)
    }

    fn fill(&self, batch: &mut TrackBatch, numbers: impl Iterator<Item = u64>) {
        let Some(ssrc) = self.ssrc else { return };
        for packet in numbers.filter_map(|n| self.packet(n)) {
            batch.push_parts(&Parts {
                marker: packet.marker,
                sequence: packet.number as u16,
                timestamp: packet.timestamp,
                ssrc,
                level: packet.level,
                payload: &packet.payload,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(ssrc: u32, sequence: u16) -> Header {
        Header {
            marker: true,
            payload_type: 102,
            sequence,
            timestamp: 0,
            ssrc,
            payload_offset: 12,
            payload_end: 12,
        }
    }

    const SPS: &[u8] = &[0x67, 1, 2];
    const SLICE: &[u8] = &[0x41, 1, 2];

    fn accept(track: &mut Track, ssrc: u32, sequence: u16, payload: &[u8]) -> bool {
        track.accept(Codec::H264, &header(ssrc, sequence), payload, None, Instant::now())
    }

    #[test]
    fn a_late_joiner_is_served_from_the_newest_keyframe_while_it_is_near() {
        let mut track = Track::new(TrackKey(1), Kind::Video, Feed::Peer(0));
        assert!(accept(&mut track, 1, 10, SLICE));
        assert_eq!(track.replay(Instant::now()), None);
        accept(&mut track, 1, 11, SPS);
        for n in 12..20 {
            accept(&mut track, 1, n, SLICE);
        }
        assert_eq!(track.replay(Instant::now()).unwrap().count(), 9);
        let later = Instant::now() + REPLAY_AGE;
        assert_eq!(track.replay(later), None, "it would show the past");
        for n in 20..600 {
            accept(&mut track, 1, n, SLICE);
        }
        assert_eq!(track.replay(Instant::now()), None, "a new keyframe is quicker");
    }

    #[test]
    fn a_publisher_that_comes_back_is_a_new_run() {
        let mut track = Track::new(TrackKey(1), Kind::Video, Feed::Peer(0));
        accept(&mut track, 1, 10, SPS);
        let before = track.epoch();
        accept(&mut track, 2, 10, SLICE);
        assert_ne!(track.epoch(), before);
        assert_eq!(track.replay(Instant::now()), None, "its predecessor's picture is of no use");
    }

    #[test]
    fn a_muted_track_and_a_duplicate_go_nowhere() {
        let mut track = Track::new(TrackKey(1), Kind::Video, Feed::Peer(0));
        assert!(accept(&mut track, 1, 10, SPS));
        assert!(!accept(&mut track, 1, 10, SPS));
        track.muted = true;
        assert!(!accept(&mut track, 1, 11, SPS));
    }

    #[test]
    fn a_mute_of_any_length_leaves_no_gap_and_loses_nothing_after_it() {
        let mut track = Track::new(TrackKey(1), Kind::Video, Feed::Peer(0));
        accept(&mut track, 1, 0, SPS);
        let (run, before) = (track.epoch(), *track.fresh.last().unwrap());
        track.muted = true;
        for n in 1..40_000u16 {
            assert!(!accept(&mut track, 1, n, SLICE));
        }
        track.muted = false;
        assert!(accept(&mut track, 1, 40_000, SLICE));
        assert_eq!((track.epoch(), *track.fresh.last().unwrap()), (run, before + 1));
    }

    #[test]
    fn a_source_not_heard_for_long_is_a_new_run_and_a_stray_packet_is_nothing() {
        let mut track = Track::new(TrackKey(1), Kind::Video, Feed::Lane);
        accept(&mut track, 1, 10, SPS);
        let before = track.epoch();
        assert!(!accept(&mut track, 1, 40_000, SLICE), "a stray");
        assert!(accept(&mut track, 1, 11, SLICE));
        assert_eq!(track.epoch(), before);
        assert!(!accept(&mut track, 1, 40_000, SLICE));
        assert!(accept(&mut track, 1, 40_001, SLICE), "it goes on from there");
        assert_ne!(track.epoch(), before);
    }

    #[test]
    fn the_clock_is_carried_forward_in_both_time_bases() {
        let mut track = Track::new(TrackKey(1), Kind::Video, Feed::Peer(0));
        accept(&mut track, 1, 10, SPS);
        let then = Instant::now();
        track.set_clock(Clock { ntp: 5 << 32, rtp: 1000 }, then);
        let clock = track.clock_at(then + Duration::from_secs(2)).unwrap();
        assert_eq!((clock.ntp >> 32, clock.rtp), (7, 181_000));
    }
}
