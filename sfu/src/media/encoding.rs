//! One encoding of a track inside one shard: a publisher's stream, numbered, described and
//! kept. A track has one, or with simulcast up to three of the same picture.

use super::batch::{Clock, Parts, TrackBatch, TrackKey};
use super::cache::{
    AUDIO_PACKETS, AUDIO_ROOM, Cached, Incoming, PacketCache, VIDEO_PACKETS, VIDEO_ROOM,
};
use super::hush::{Hush, Passes};
use super::keyframe::KeyframeRequests;
use super::layers::Describer;
use super::numbering::Numbering;
use super::rates::Rates;
use super::thumbnail::{self, Thumbnail};
use cloudschool_protocol::media::{Codec, Kind};
use cloudschool_protocol::rtp::{Header, red};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Most packets since a keyframe that are replayed to a late joiner: at 2 Mbit/s and a
/// keyframe's weight about a second and a half. Behind more than that a new keyframe is
/// quicker than catching up.
pub const REPLAY_PACKETS: u64 = 512;

/// The same for a trunk, whose line is thinner than a school's network: what 4 Mbit/s carry
/// within the deadline of a frame.
pub const TRUNK_REPLAY_PACKETS: u64 = 128;

/// A replay is of use while it shows the present: not of a track nobody sent for a while.
const REPLAY_AGE: Duration = Duration::from_secs(2);

/// RTP, UDP and IP headers and the SRTP tag, on top of a payload, for its rate.
pub const OVERHEAD: usize = 12 + 8 + 28 + 16;

/// A packet as its publisher, a trunk or another shard handed it in.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    pub codec: Codec,
    /// RFC 2198 redundancy around the codec's payload.
    pub red: bool,
    pub header: Header,
    pub payload: &'a [u8],
    /// The RFC 6464 byte.
    pub level: Option<u8>,
    /// Whose voice it is, of a stream in which voices follow each other.
    pub speaker: Option<TrackKey>,
    pub dependency_descriptor: Option<&'a [u8]>,
}

/// One encoding.
#[derive(Debug)]
pub struct Encoding {
    pub codec: Codec,
    pub ssrc: u32,
    /// Counts unbroken runs of numbering; viewers' lines are mapped to one.
    pub run: u32,
    /// The SSRC of a run up trunks, the same up every one.
    pub trunk_ssrc: u32,
    pub keyframes: KeyframeRequests,
    pub rates: Rates,
    numbers: Numbering,
    /// After a packet far from all others: the number that would confirm a jump.
    jump: Option<u16>,
    heard: Option<Instant>,
    cache: PacketCache,
    hush: Hush,
    describer: Describer,
    group_start: Option<u64>,
    /// The newest keyframe's timestamp and bytes so far, and what those before it took.
    keyframe: Option<(u32, u32)>,
    keyframe_bytes: Option<u32>,
    clock: Option<(Clock, Instant)>,
    /// What turns this encoding's timestamps into those of the track's first one.
    pub aligned: Option<u32>,
}

impl Encoding {
    /// An encoding that a first packet came of.
    #[must_use]
    pub fn new(codec: Codec, ssrc: u32) -> Self {
        let cache = match codec.kind() {
            Kind::Audio => PacketCache::new(AUDIO_PACKETS, AUDIO_ROOM),
            Kind::Video => PacketCache::new(VIDEO_PACKETS, VIDEO_ROOM),
        };
        Self {
            codec,
            ssrc,
            run: 0,
            trunk_ssrc: rand::random(),
            keyframes: KeyframeRequests::default(),
            rates: Rates::default(),
            numbers: Numbering::default(),
            jump: None,
            heard: None,
            cache,
            hush: Hush::default(),
            describer: Describer::default(),
            group_start: None,
            keyframe: None,
            keyframe_bytes: None,
            clock: None,
            aligned: None,
        }
    }

    /// Takes a packet in. Returns its number when it is new and goes on.
    pub fn accept(&mut self, packet: &Packet<'_>, muted: bool, now: Instant) -> Option<u64> {
        let Packet { codec, header, payload, level, speaker, dependency_descriptor, .. } = *packet;
        if self.ssrc != header.ssrc || self.codec != codec {
            self.restart(codec, header.ssrc);
        }
        if !self.numbers.continues(header.sequence) {
            // Two in a row from far off are a new run; one is a stray.
            let expected = self.jump.replace(header.sequence.wrapping_add(1));
            if expected != Some(header.sequence) {
                return None;
            }
            self.restart(codec, header.ssrc);
        }
        self.jump = None;
        if payload.is_empty() || muted {
            if muted {
                self.hush.muted(header.timestamp);
            }
            self.numbers.skip(header.sequence);
            return None;
        }
        let (primary, reach) = match packet.red {
            true => (payload.len() - red::primary(payload)?.data.len(), red::reach(payload)),
            false => (0, 0),
        };
        let own = payload.get(primary..)?;
        let passes = match codec.kind() {
            Kind::Audio => self.hush.passes(header.timestamp, reach),
            Kind::Video => Passes::All,
        };
        let (red, primary, payload) = match passes {
            Passes::All => (packet.red, primary, payload),
            Passes::Own => (false, 0, own),
            Passes::Nothing => {
                self.numbers.skip(header.sequence);
                return None;
            }
        };
        let number = self.numbers.number(header.sequence);
        let description = self.describer.describe(codec, header.marker, own, dependency_descriptor);
        let stored = self.cache.insert(
            number,
            &Incoming {
                marker: header.marker,
                timestamp: header.timestamp,
                description,
                level,
                speaker,
                red,
                primary: primary as u16,
                payload,
                dependencies: dependency_descriptor.unwrap_or_default(),
            },
        );
        if !stored {
            return None;
        }
        let (spatial, temporal) = (description.spatial(), description.temporal());
        self.rates.count(spatial, temporal, payload.len() + OVERHEAD, now);
        if description.keyframe() && codec.kind() == Kind::Video {
            if self.group_start.is_none_or(|g| number > g) {
                self.group_start = Some(number);
            }
            self.keyframes.arrived();
            if self.keyframe.is_none_or(|(timestamp, _)| timestamp != header.timestamp) {
                self.keyframe_bytes = self.keyframe_bytes();
                self.keyframe = Some((header.timestamp, 0));
            }
        }
        if let Some((timestamp, bytes)) = &mut self.keyframe
            && *timestamp == header.timestamp
        {
            *bytes = bytes.saturating_add((payload.len() + OVERHEAD) as u32);
        }
        self.heard = Some(now);
        Some(number)
    }

    fn restart(&mut self, codec: Codec, ssrc: u32) {
        self.run = self.run.wrapping_add(1);
        self.trunk_ssrc = rand::random();
        self.ssrc = ssrc;
        self.codec = codec;
        self.numbers = Numbering::default();
        self.jump = None;
        self.cache.clear();
        self.hush.restarted();
        self.describer = Describer::default();
        self.group_start = None;
        self.keyframe = None;
        self.clock = None;
        self.aligned = None;
    }

    /// IP bytes a keyframe takes: as the newest ones did, the newest counting half.
    #[must_use]
    pub fn keyframe_bytes(&self) -> Option<u32> {
        let (_, newest) = self.keyframe?;
        let before = self.keyframe_bytes.unwrap_or(newest);
        // One that has only begun to come is not smaller for that.
        Some(newest.max((newest + before) / 2))
    }

    /// The publisher's clock came.
    pub fn set_clock(&mut self, clock: Clock, now: Instant) {
        self.clock = Some((clock, now));
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
        let rate = u64::from(self.codec.clock_rate());
        let micros = (now - at).as_micros() as u64;
        Some(Clock {
            ntp: clock.ntp.wrapping_add((micros << 32) / 1_000_000),
            rtp: clock.rtp.wrapping_add((micros * rate / 1_000_000) as u32),
        })
    }

    /// What must be added to this encoding's timestamps to get `other`'s of the same moment,
    /// when both publishers' clocks are known.
    #[must_use]
    pub fn offset_to(&self, other: &Self) -> Option<u32> {
        let (own, theirs) = (self.clock()?, other.clock()?);
        let apart = own.ntp.wrapping_sub(theirs.ntp) as i64;
        let ticks = (i128::from(apart) * i128::from(self.codec.clock_rate())) >> 32;
        let at_own_moment = theirs.rtp.wrapping_add(ticks as u32);
        Some(at_own_moment.wrapping_sub(own.rtp))
    }

    /// A packet still kept.
    #[must_use]
    pub fn packet(&self, number: u64) -> Option<&Cached> {
        self.cache.get(number)
    }

    /// The same, to settle its padding.
    pub fn packet_mut(&mut self, number: u64) -> Option<&mut Cached> {
        self.cache.get_mut(number)
    }

    /// The packets from the newest keyframe to now, when replaying them is quicker than asking
    /// for a new one.
    #[must_use]
    pub fn replay(&self, packets: u64, now: Instant) -> Option<RangeInclusive<u64>> {
        let (start, end) = (self.group_start?, self.numbers.highest()?);
        let present = now - self.heard? < REPLAY_AGE;
        let near = end.checked_sub(start)? < packets && self.cache.get(start).is_some();
        (present && near).then_some(start..=end)
    }

    /// The newest keyframe, when all of it is still kept.
    #[must_use]
    pub fn thumbnail(&self, now: Instant) -> Option<Thumbnail> {
        let (start, end) = (self.group_start?, self.numbers.highest()?);
        let first = self.cache.get(start)?;
        let last = (start..=end).find_map(|number| match self.cache.get(number) {
            None => Some(None),
            Some(packet) if packet.timestamp != first.timestamp => Some(number.checked_sub(1)),
            Some(packet) => packet.marker.then_some(Some(number)),
        })??;
        let payloads = (start..=last).filter_map(|n| self.cache.get(n)).map(Cached::primary);
        let bytes = thumbnail::assemble(self.codec, payloads)?;
        let newest = self.cache.get(end).map_or(first.timestamp, |packet| packet.timestamp);
        let ticks = newest.wrapping_sub(first.timestamp);
        let behind = f64::from(ticks) / f64::from(self.codec.clock_rate());
        let age = Duration::from_secs_f64(behind) + (now - self.heard?);
        Some(Thumbnail { codec: self.codec, bytes, age })
    }

    /// Adds packets to a batch for elsewhere. Redundancy goes along only where it is wanted.
    pub fn fill(&self, batch: &mut TrackBatch, numbers: impl Iterator<Item = u64>, red: bool) {
        for packet in numbers.filter_map(|n| self.packet(n)) {
            batch.push(&self.parts(packet, red));
        }
    }

    /// A packet as it goes elsewhere, with its redundancy where that is wanted.
    #[must_use]
    pub fn parts<'a>(&self, packet: &'a Cached, red: bool) -> Parts<'a> {
        Parts {
            marker: packet.marker,
            red: packet.red && red,
            sequence: packet.number as u16,
            timestamp: packet.timestamp,
            ssrc: self.ssrc,
            level: packet.level,
            speaker: packet.speaker,
            dependencies: &packet.dependencies,
            payload: if red { &packet.payload } else { packet.primary() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(ssrc: u32, sequence: u16, payload: &[u8]) -> Packet<'_> {
        let header = Header {
            marker: true,
            payload_type: 102,
            sequence,
            timestamp: 0,
            ssrc,
            payload_offset: 12,
            payload_end: 12 + payload.len(),
        };
        let codec = Codec::H264;
        let (level, speaker, dependency_descriptor) = (None, None, None);
        Packet { codec, red: false, header, payload, level, speaker, dependency_descriptor }
    }

    const SPS: &[u8] = &[0x67, 1, 2];
    const SLICE: &[u8] = &[0x41, 1, 2];

    fn encoding() -> Encoding {
        Encoding::new(Codec::H264, 1)
    }

    fn accept(e: &mut Encoding, ssrc: u32, sequence: u16, payload: &[u8]) -> Option<u64> {
        e.accept(&packet(ssrc, sequence, payload), false, Instant::now())
    }

    fn replay(e: &Encoding, now: Instant) -> Option<RangeInclusive<u64>> {
        e.replay(REPLAY_PACKETS, now)
    }

    #[test]
    fn a_late_joiner_is_served_from_the_newest_keyframe_while_it_is_near() {
        let mut encoding = encoding();
        assert!(accept(&mut encoding, 1, 10, SLICE).is_some());
        assert_eq!(replay(&encoding, Instant::now()), None);
        accept(&mut encoding, 1, 11, SPS);
        for n in 12..20 {
            accept(&mut encoding, 1, n, SLICE);
        }
        assert_eq!(replay(&encoding, Instant::now()).unwrap().count(), 9);
        let later = Instant::now() + REPLAY_AGE;
        assert_eq!(replay(&encoding, later), None, "it would show the past");
        for n in 20..600 {
            accept(&mut encoding, 1, n, SLICE);
        }
        assert_eq!(replay(&encoding, Instant::now()), None, "a new keyframe is quicker");
    }

    #[test]
    fn a_publisher_that_comes_back_is_a_new_run() {
        let mut encoding = encoding();
        accept(&mut encoding, 1, 10, SPS);
        let before = encoding.run;
        accept(&mut encoding, 2, 10, SLICE);
        assert_ne!(encoding.run, before);
        assert_eq!(replay(&encoding, Instant::now()), None, "its predecessor's is of no use");
    }

    #[test]
    fn a_mute_of_any_length_leaves_no_gap_and_loses_nothing_after_it() {
        let (mut encoding, now) = (encoding(), Instant::now());
        let before = accept(&mut encoding, 1, 0, SPS).unwrap();
        let run = encoding.run;
        for n in 1..40_000u16 {
            assert_eq!(encoding.accept(&packet(1, n, SLICE), true, now), None);
        }
        assert_eq!(accept(&mut encoding, 1, 40_000, SLICE), Some(before + 1));
        assert_eq!(encoding.run, run);
    }

    #[test]
    fn a_source_not_heard_for_long_is_a_new_run_and_a_stray_packet_is_nothing() {
        let mut encoding = encoding();
        accept(&mut encoding, 1, 10, SPS);
        let before = encoding.run;
        assert_eq!(accept(&mut encoding, 1, 40_000, SLICE), None, "a stray");
        assert!(accept(&mut encoding, 1, 11, SLICE).is_some());
        assert_eq!(encoding.run, before);
        assert_eq!(accept(&mut encoding, 1, 40_000, SLICE), None);
        assert!(accept(&mut encoding, 1, 40_001, SLICE).is_some(), "it goes on from there");
        assert_ne!(encoding.run, before);
    }

    #[test]
    fn the_clock_is_carried_forward_in_both_time_bases() {
        let (mut encoding, then) = (encoding(), Instant::now());
        encoding.set_clock(Clock { ntp: 5 << 32, rtp: 1000 }, then);
        let clock = encoding.clock_at(then + Duration::from_secs(2)).unwrap();
        assert_eq!((clock.ntp >> 32, clock.rtp), (7, 181_000));
    }

    #[test]
    fn timestamps_of_two_encodings_are_brought_onto_one_time_line() {
        let (mut low, mut high, now) = (encoding(), encoding(), Instant::now());
        assert_eq!(high.offset_to(&low), None);
        low.set_clock(Clock { ntp: 100 << 32, rtp: 5_000 }, now);
        high.set_clock(Clock { ntp: 102 << 32, rtp: 900_000 }, now);
        // Two seconds later on the low one's line: 5,000 + 180,000.
        assert_eq!(high.offset_to(&low), Some(185_000u32.wrapping_sub(900_000)));
        let back = low.offset_to(&high).unwrap();
        assert_eq!(back.wrapping_add(high.offset_to(&low).unwrap()), 0);
    }
}
