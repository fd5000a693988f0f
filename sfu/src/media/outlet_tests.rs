use super::*;
use crate::media::batch::{Clock, TrackKey};
use crate::media::encoding::Packet;
use cloudschool_protocol::media::Codec;
use cloudschool_protocol::rtp::Header;

const MS: Duration = Duration::from_millis(1);

/// Two encodings of one picture, each with numbers, timestamps and a clock of its own, and the
/// far end of an outlet up a trunk.
struct Studio {
    track: Track,
    now: Instant,
    frame: u32,
    ssrc: [u32; 2],
    batches: super::super::lane::TrunkBatches,
    /// Sequence, timestamp, SSRC, payload of what came out.
    out: Vec<(u16, u32, u32, Vec<u8>)>,
    clocks: Vec<Clock>,
    offers: Vec<Offer>,
}

const FIRST: [(u16, u32); 2] = [(65_500, 4_000_000_000), (100, 70_000)];
const OUTLET: OutletId = OutletId(1);

impl Studio {
    fn new(showing: Showing) -> Self {
        let mut track = Track::new(TrackKey(1), Kind::Video, Feed::Peer(0));
        let (lane, batches) = TrunkLane::new();
        let mut outlet = Outlet::new(OUTLET, Lane::Trunk(lane));
        outlet.showing = showing;
        let now = Instant::now();
        track.begin_outlet(&mut outlet, usize::MAX, now);
        track.outlets.push(outlet);
        let (out, clocks, offers) = (vec![], vec![], vec![]);
        Self { track, now, frame: 0, ssrc: [7, 8], batches, out, clocks, offers }
    }

    /// One frame of both encodings, 33 ms after the last: of two packets and of five.
    fn frame(&mut self, keyframes: [bool; 2]) {
        self.now += 33 * MS;
        for (encoding, count) in [(0u8, 2u16), (1, 5)] {
            let at = usize::from(encoding);
            for n in 0..count {
                let keyframe = keyframes[at] && n == 0;
                let payload = [&[if keyframe { 0x67 } else { 0x41 }], &[encoding; 600][..]];
                let payload = payload.concat();
                let (sequence, timestamp) = FIRST[at];
                let header = Header {
                    marker: n + 1 == count,
                    payload_type: 102,
                    sequence: sequence.wrapping_add(self.frame as u16 * count + n),
                    timestamp: timestamp.wrapping_add(self.frame * 3000),
                    ssrc: self.ssrc[at],
                    payload_offset: 12,
                    payload_end: 12 + payload.len(),
                };
                let packet = Packet {
                    codec: Codec::H264,
                    red: false,
                    header,
                    payload: &payload,
                    level: None,
                    speaker: None,
                    dependency_descriptor: None,
                };
                self.track.accept(encoding, &packet, self.now);
            }
        }
        self.frame += 1;
        self.track.feed_outlets(self.now);
        self.track.settle();
        self.track.tend_outlets(self.now);
        while let Some(batch) = self.batches.try_recv() {
            for packet in batch.packets() {
                let header = Header::parse(packet).unwrap();
                let payload = header.payload(packet).to_vec();
                self.out.push((header.sequence, header.timestamp, header.ssrc, payload));
            }
            self.clocks.extend(batch.clock);
            self.offers.extend(batch.offer.map(|o| *o));
        }
    }

    /// Frames for so long; a keyframe of an encoding whenever one is asked for.
    fn film(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let mut due = [false; 2];
            for (at, e) in self.track.encodings_mut() {
                due[usize::from(at)] = e.keyframes.due(self.now);
            }
            self.frame(due);
        }
    }

    fn show(&mut self, showing: Showing, at_once: bool) {
        self.track.show(OUTLET, showing, at_once, 0, self.now);
    }

    /// What is said when the stream is not whole: numbers without a gap, time that goes on,
    /// each picture after one it can be made from.
    fn check(&self) {
        let mut follows = None;
        for pair in self.out.windows(2) {
            let [(number, at, ssrc, _), (next, later, same, payload)] = pair else { continue };
            assert_eq!(number.wrapping_add(1), *next, "a number is missing or used twice");
            assert_eq!(ssrc, same);
            assert!((later.wrapping_sub(*at) as i32) >= 0, "time goes back");
            if payload[0] == 0x67 {
                follows = Some(payload[1]);
            }
            assert!(follows.is_none_or(|f| f == payload[1]), "no keyframe led here");
        }
        assert_eq!(self.out.first().map(|o| o.3[0]), Some(0x67), "it begins with a keyframe");
    }

    fn encodings(&self) -> Vec<u8> {
        let mut seen: Vec<u8> = self.out.iter().map(|o| o.3[1]).collect();
        seen.dedup();
        seen
    }
}

fn layers(encoding: u8) -> Showing {
    Showing::Layers(Target::encoding(encoding))
}

fn clock(seconds: u64, rtp: u32) -> Clock {
    Clock { ntp: seconds << 32, rtp }
}

#[test]
fn encodings_change_with_a_keyframe_and_the_stream_goes_on_without_a_gap() {
    let mut studio = Studio::new(layers(1));
    studio.frame([true, true]);
    studio.track.set_clock(0, clock(10, FIRST[0].1), studio.now);
    studio.track.set_clock(1, clock(10, FIRST[1].1), studio.now);
    studio.film(2000 * MS);
    studio.show(layers(0), false);
    studio.film(1000 * MS);
    studio.show(layers(1), true);
    studio.film(1000 * MS);
    studio.check();
    assert_eq!(studio.encodings(), [1, 0, 1]);
    // Both encodings' clocks are known: the picture's time goes on as the camera's does.
    let (first, last) = (studio.out[0].1, studio.out.last().unwrap().1);
    assert_eq!(last.wrapping_sub(first), (studio.frame - 1) * 3000);
    let mapped = studio.clocks.iter().map(|c| c.rtp.wrapping_sub(c.ntp as u32));
    let mapped: Vec<u32> = mapped.collect();
    assert!(mapped.len() >= 3, "each source begins with its clock");
    assert!(mapped.windows(2).all(|m| m[0] == m[1]), "one time line: {mapped:?}");
}

#[test]
fn what_is_shown_goes_on_until_the_new_can_begin_unless_it_is_broken_off() {
    for at_once in [false, true] {
        let mut studio = Studio::new(layers(1));
        studio.frame([true, true]);
        studio.film(500 * MS);
        studio.show(layers(0), at_once);
        let before = studio.out.len();
        studio.frame([false, false]);
        assert_eq!(studio.out.len() > before, !at_once);
        studio.film(700 * MS);
        studio.check();
        assert_eq!(studio.encodings(), [1, 0]);
    }
}

#[test]
fn a_picture_that_stands_is_new_every_two_seconds_however_often_others_ask() {
    let mut studio = Studio::new(layers(1));
    studio.frame([true, true]);
    studio.film(1000 * MS);
    studio.out.clear();
    studio.show(Showing::Stills(1), false);
    let begin = studio.now;
    let mut at = vec![];
    while studio.now < begin + 20_000 * MS {
        let before = studio.out.len();
        // Others ask for keyframes all the time.
        if studio.frame.is_multiple_of(16) {
            studio.track.encoding_mut(1).unwrap().keyframes.want(studio.now);
        }
        studio.film(MS);
        let new = &studio.out[before..];
        if !new.is_empty() {
            assert_eq!((new.len(), new[0].3[0], new[0].3[1]), (5, 0x67, 1), "a whole keyframe");
            at.push(studio.now - begin);
        }
    }
    studio.check();
    assert!(at[0] < 600 * MS);
    let gaps: Vec<Duration> = at.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(gaps.iter().all(|g| (1300 * MS..2300 * MS).contains(g)), "{gaps:?}");
    // And it asks for them itself where nobody else does.
    studio.out.clear();
    studio.film(6000 * MS);
    assert_eq!(studio.out.len() % 5, 0);
    assert!(studio.out.len() >= 10);
}

#[test]
fn a_large_picture_that_stands_comes_less_often_and_takes_no_more() {
    assert_eq!(still_interval(0), STILL_INTERVAL);
    assert_eq!(still_interval(85_000), 4000 * MS);
    assert_eq!(still_interval(u32::MAX), STILL_RARELY);
}

#[test]
fn a_moving_picture_after_a_standing_one_begins_with_a_keyframe() {
    let mut studio = Studio::new(Showing::Stills(1));
    studio.frame([true, true]);
    studio.film(4000 * MS);
    studio.show(layers(1), false);
    studio.film(1000 * MS);
    studio.check();
    assert!(studio.out.len() > 5 * 20);
}

#[test]
fn nothing_goes_while_it_is_off_but_what_there_would_be() {
    let mut studio = Studio::new(Showing::Off);
    studio.frame([true, true]);
    studio.film(1500 * MS);
    assert_eq!(studio.out, []);
    assert!((5..=8).contains(&studio.offers.len()), "{}", studio.offers.len());
    let offer = studio.offers.pop().unwrap();
    let rates: Vec<u64> = offer.steps.iter().map(|s| s.rate).collect();
    // 30 frames a second of two and five packets of 601 bytes and their headers.
    assert!((300_000..350_000).contains(&rates[0]), "{rates:?}");
    assert!((750_000..850_000).contains(&rates[1]), "{rates:?}");
    assert_eq!(offer.stills.iter().map(|s| s.encoding).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(offer.stills[1].rate, 5 * 665 * 8 * 1000 / 1800);
    assert_eq!(studio.track.outlets[0].wanted(&studio.track), 0, "nobody needs to send it");
    studio.show(layers(0), false);
    studio.film(600 * MS);
    studio.check();
    assert_eq!(studio.track.outlets[0].wanted(&studio.track), 0b01);
}

#[test]
fn an_outlet_that_begins_gets_the_picture_so_far_where_that_is_little() {
    for (most, replayed) in [(5_000, false), (1_000_000, true)] {
        let mut studio = Studio::new(Showing::Off);
        studio.frame([true, true]);
        studio.film(300 * MS);
        let now = studio.now;
        studio.track.show(OUTLET, layers(0), false, most, now);
        studio.frame([false, false]);
        assert_eq!(studio.out.len(), if replayed { 2 * studio.frame as usize } else { 0 });
        studio.film(600 * MS);
        studio.check();
    }
}

#[test]
fn a_publisher_that_comes_back_is_a_new_source_on_the_same_numbers() {
    let mut studio = Studio::new(Showing::Best);
    studio.frame([true, true]);
    studio.film(500 * MS);
    let (last, ssrc) = studio.out.last().map(|o| (o.0, o.2)).unwrap();
    studio.out.clear();
    studio.ssrc = [17, 18];
    studio.frame([true, true]);
    studio.film(500 * MS);
    studio.check();
    assert_eq!(studio.out[0].0, last.wrapping_add(1));
    assert_ne!(studio.out[0].2, ssrc);
}

#[test]
fn what_goes_up_two_trunks_alike_is_made_once_and_goes_its_own_way_after_another_wish() {
    let mut studio = Studio::new(Showing::Best);
    studio.film(700 * MS);
    let (lane, mut second) = TrunkLane::new();
    let mut outlet = Outlet::new(OutletId(2), Lane::Trunk(lane));
    studio.track.begin_outlet(&mut outlet, 0, studio.now);
    studio.track.outlets.push(outlet);
    studio.film(700 * MS);
    let began: Vec<_> = std::iter::from_fn(|| second.try_recv()).collect();
    let first = began.iter().find_map(|b| b.packets().next()).unwrap();
    assert_eq!(Header::parse(first).unwrap().payload(first)[0], 0x67, "a keyframe was asked for");
    let both = |studio: &mut Studio, second: &mut super::super::lane::TrunkBatches| {
        studio.now += 33 * MS;
        let now = studio.now;
        let payload = [0x41; 100];
        for encoding in 0..2u8 {
            let (sequence, timestamp) = FIRST[usize::from(encoding)];
            let count = [2, 5][usize::from(encoding)];
            let header = Header {
                marker: true,
                payload_type: 102,
                sequence: sequence.wrapping_add(studio.frame as u16 * count),
                timestamp: timestamp.wrapping_add(studio.frame * 3000),
                ssrc: studio.ssrc[usize::from(encoding)],
                payload_offset: 12,
                payload_end: 112,
            };
            let packet = Packet {
                codec: Codec::H264,
                red: false,
                header,
                payload: &payload,
                level: None,
                speaker: None,
                dependency_descriptor: None,
            };
            studio.track.accept(encoding, &packet, now);
        }
        studio.frame += 1;
        studio.track.feed_outlets(now);
        studio.track.settle();
        let packets = |batches: &mut super::super::lane::TrunkBatches| {
            std::iter::from_fn(|| batches.try_recv()).find(|b| !b.is_empty()).unwrap()
        };
        (packets(&mut studio.batches), packets(second))
    };
    let (one, other) = both(&mut studio, &mut second);
    assert!(one.shares_with(&other));
    // The first goes down and up again: its numbers are its own from then on.
    studio.show(Showing::Layers(Target::encoding(0)), false);
    studio.film(1500 * MS);
    studio.show(Showing::Layers(Target::encoding(1)), false);
    studio.film(1500 * MS);
    while second.try_recv().is_some() {}
    let (one, other) = both(&mut studio, &mut second);
    assert!(!one.shares_with(&other));
    assert_eq!((one.len(), other.len()), (1, 1));
}
