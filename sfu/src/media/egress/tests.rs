use super::*;
use crate::media::batch::TrackKey;
use crate::media::egress::memory::AGAIN;
use crate::media::layers::Describer;
use cloudschool_protocol::media::Codec;

pub const A: Epoch = Epoch { track: TrackKey(1), encoding: 0, run: 0 };
pub const B: Epoch = Epoch { track: TrackKey(2), encoding: 0, run: 0 };

fn packet(number: u64, timestamp: u32, keyframe: bool) -> Cached {
    let mut p = Cached::default();
    (p.number, p.timestamp) = (number, timestamp);
    p.description = Description::plain(keyframe, keyframe, true);
    p
}

fn video() -> Egress {
    Egress::new(Kind::Video, 90_000, 0)
}

#[test]
fn video_begins_with_a_keyframe_and_audio_at_once() {
    let now = Instant::now();
    let mut video = Egress::new(Kind::Video, 90_000, 7);
    assert_eq!(video.forward(A, None, &packet(100, 5, false), now), None);
    assert_eq!(video.wants_keyframe_of(), Some(0));
    assert_eq!(video.forward(A, None, &packet(101, 9, true), now).unwrap().number, 7);
    assert_eq!(video.wants_keyframe_of(), None);
    let early = packet(100, 5, false);
    assert_eq!(video.forward(A, None, &early, now), None, "from before the keyframe");
    let mut audio = Egress::new(Kind::Audio, 48_000, 7);
    assert_eq!(audio.forward(A, None, &packet(100, 5, false), now).unwrap().number, 7);
}

#[test]
fn another_source_follows_without_a_gap_and_time_goes_on() {
    let now = Instant::now();
    let mut line = video();
    let first = line.forward(A, None, &packet(100, 1000, true), now).unwrap();
    let later = now + Duration::from_secs(2);
    line.unmap();
    assert_eq!(line.forward(B, None, &packet(900, 77, false), later), None);
    let second = line.forward(B, None, &packet(901, 80, true), later).unwrap();
    assert_eq!(second.number, first.number + 1);
    assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 180_000);
}

#[test]
fn a_gap_at_the_source_stays_a_gap_so_that_it_can_be_asked_for() {
    let now = Instant::now();
    let mut line = video();
    line.forward(A, None, &packet(100, 0, true), now).unwrap();
    assert_eq!(line.forward(A, None, &packet(103, 0, false), now).unwrap().number, 3);
    let late = packet(101, 0, false);
    assert_eq!(line.forward(A, None, &late, now).unwrap().number, 1, "it came late");
    assert_eq!(line.forward(A, None, &late, now), None, "and once");
}

#[test]
fn what_was_sent_is_sent_again_once_at_a_time_and_from_its_own_source() {
    let now = Instant::now();
    let mut line = video();
    let sent = [packet(100, 50, true), packet(102, 60, false)];
    let out: Vec<_> = sent.iter().map(|p| line.forward(A, None, p, now).unwrap()).collect();
    assert_eq!(line.lost(2, now), None, "it was numbered but didn't go out");
    line.remember(&out[0], 7);
    line.remember(&out[1], 9);
    let lost = line.lost(2, now).unwrap();
    assert_eq!((lost.epoch, lost.source, lost.transport_sequence), (A, 102, 9));
    assert_eq!(lost.outgoing(&sent[1]), out[1]);
    assert_eq!(line.lost(2, now), None, "asked twice at once");
    assert!(line.lost(2, now + AGAIN).is_some());
    assert_eq!(line.lost(1, now), None, "nothing went out under this number");
    assert_eq!(line.lost(60_000, now), None);
    line.unmap();
    line.forward(B, None, &packet(7, 0, true), now).unwrap();
    assert_eq!(line.lost(0, now).unwrap().epoch, A, "what went out before stays known");
}

#[test]
fn a_number_nothing_went_out_under_is_not_taken_for_an_older_one() {
    let now = Instant::now();
    let mut line = video();
    let last = 1000 + SENT_PACKETS as u64;
    for number in (1000..=last + 5).filter(|n| *n != last) {
        let out = line.forward(A, None, &packet(number, 0, number == 1000), now).unwrap();
        line.remember(&out, 0);
    }
    let gap = SENT_PACKETS as u16;
    assert_eq!(line.lost(gap, now), None);
    assert_eq!(line.lost(gap + 1, now).unwrap().source, last + 1);
    assert_eq!(line.lost(5, now), None, "too long ago");
    assert_eq!(line.lost(6, now).unwrap().source, 1006);
}

#[test]
fn what_comes_late_of_a_layer_that_is_left_out_leaves_no_hole() {
    let now = Instant::now();
    let mut describer = Describer::default();
    // X; I, L, T; a picture id of 7 bits, TL0PICIDX, TID with Y: the second picture of TID 2.
    let mut vp8 = |number: u64, first: u8, picture: u8, temporal: u8| {
        let mut p = Cached::default();
        p.payload = vec![0x80 | first, 0xe0, picture, picture, temporal << 6 | 0x20, picture];
        (p.number, p.timestamp) = (number, u32::from(picture) * 3000);
        p.description = describer.describe(Codec::Vp8, false, &p.payload, None);
        p
    };
    let key = vp8(1000, 0x10, 0, 0);
    let dropped = [vp8(1001, 0x10, 1, 2), vp8(1002, 0, 1, 2)];
    let base = vp8(1003, 0x10, 2, 0);
    let slow = Some(Target { encoding: 0, spatial: 0, temporal: 0 });
    let numbers = |order: [&Cached; 4]| {
        let mut line = video();
        line.retarget(slow);
        order.map(|p| line.forward(A, None, p, now).map(|out| (out.number, out.empty)))
    };
    let [first, second] = &dropped;
    let before = numbers([&key, second, first, &base]);
    assert_eq!(before, [Some((0, false)), None, None, Some((1, false))], "nothing followed yet");
    let after = numbers([&key, second, &base, first]);
    assert_eq!(after, [Some((0, false)), None, Some((2, false)), Some((1, true))]);
}

#[test]
fn a_paused_line_is_silent_and_goes_on_with_a_keyframe_in_its_own_time() {
    let now = Instant::now();
    let mut line = video();
    line.forward(A, None, &packet(100, 1000, true), now).unwrap();
    line.retarget(None);
    assert_eq!(line.wants_keyframe_of(), None);
    assert_eq!(line.forward(A, None, &packet(101, 4000, true), now), None);
    line.retarget(Some(Target::ALL));
    assert_eq!(line.wants_keyframe_of(), Some(0));
    let later = now + Duration::from_millis(950);
    assert_eq!(line.forward(A, None, &packet(102, 91_000, false), later), None);
    let out = line.forward(A, None, &packet(103, 91_000, true), later).unwrap();
    assert_eq!((out.number, out.timestamp), (1, 91_000), "the publisher's time, not ours");
}

#[test]
fn encodings_of_one_publisher_keep_its_time_over_a_switch() {
    let now = Instant::now();
    let (low, high) = (A, Epoch { encoding: 1, ..A });
    let mut line = video();
    line.retarget(Some(Target::encoding(0)));
    let first = line.forward(low, Some(500), &packet(100, 1000, true), now).unwrap();
    line.retarget(Some(Target::encoding(1)));
    assert_eq!(line.wants_keyframe_of(), Some(1));
    let later = now + Duration::from_millis(50);
    assert_eq!(line.forward(high, Some(900), &packet(70, 3600, false), later), None);
    assert!(line.forward(low, Some(500), &packet(101, 4000, false), later).is_some());
    // 3600 + 900 on the shared time line is 4000 + 500: the moment of the last picture.
    let same_moment = line.forward(high, Some(900), &packet(71, 3600, true), later).unwrap();
    assert_eq!((same_moment.number, same_moment.timestamp), (2, first.timestamp + 3001));
    let next = line.forward(high, Some(900), &packet(72, 6600, false), later).unwrap();
    assert_eq!(next.timestamp, same_moment.timestamp + 3000);
    assert_eq!(line.forward(low, Some(500), &packet(102, 7000, false), later), None);
    assert_eq!(line.showing().unwrap().encoding, 1);
    // A clock that can't be right is not believed: a second of 90,000 ticks went by.
    line.retarget(Some(Target::encoding(0)));
    let later = later + Duration::from_secs(1);
    let back = line.forward(low, Some(4_000_000), &packet(103, 97_000, true), later).unwrap();
    assert_eq!(back.timestamp, next.timestamp + 90_000);
}

#[test]
fn a_publisher_that_came_back_has_a_clock_of_its_own() {
    let now = Instant::now();
    let mut line = video();
    line.forward(A, Some(0), &packet(100, 1000, true), now).unwrap();
    let again = Epoch { run: 1, ..A };
    let later = now + Duration::from_millis(500);
    assert_eq!(line.forward(again, Some(0), &packet(70, 31_000, false), later), None);
    assert_eq!(line.wants_keyframe_of(), Some(0), "nothing more comes of the run before");
    let out = line.forward(again, Some(0), &packet(71, 31_000, true), later).unwrap();
    assert_eq!(out.timestamp, 46_000, "half a second later, whatever its timestamps say");
}

#[test]
fn a_voice_that_comes_late_gets_its_place_once_and_a_new_one_is_marked() {
    let now = Instant::now();
    let mut line = Egress::new(Kind::Audio, 48_000, 0);
    let mut voice = |epoch, number, timestamp| {
        let mut packet = packet(number, timestamp, false);
        packet.description = Describer::default().describe(Codec::Opus, false, b"voice", None);
        line.forward(epoch, None, &packet, now).map(|out| (out.number, out.marker))
    };
    assert_eq!(voice(A, 100, 0), Some((0, true)), "a talk spurt begins");
    assert_eq!(voice(A, 102, 1920), Some((2, false)));
    assert_eq!(voice(A, 101, 960), Some((1, false)));
    assert_eq!(voice(A, 101, 960), None);
    assert_eq!(voice(B, 9, 0), Some((3, true)));
    assert_eq!(voice(A, 103, 2880), Some((4, true)), "a voice is heard from where it is");
    assert_eq!(voice(A, 102, 1920), None, "and not from before");
    assert_eq!(line.lost(0, now), None, "nobody asks for voice again");
}

mod layered;
mod random;

#[test]
fn of_a_source_that_was_given_up_nothing_is_sent_again() {
    let now = Instant::now();
    let mut line = video();
    let out = line.forward(A, None, &packet(100, 50, true), now).unwrap();
    line.remember(&out, 7);
    line.unmap();
    assert!(line.lost(0, now).is_some(), "another source alone is no reason");
    line.give_up();
    assert_eq!(line.lost(0, now + AGAIN), None);
    let out = line.forward(B, None, &packet(900, 80, true), now).unwrap();
    line.remember(&out, 8);
    assert_eq!(line.lost(1, now).unwrap().epoch, B);
}

#[test]
fn where_a_picture_began_is_told_once() {
    let now = Instant::now();
    let mut line = video();
    line.forward(A, None, &packet(101, 50, false), now);
    assert_eq!(line.take_begun(), None);
    line.forward(A, None, &packet(100, 50, true), now).unwrap();
    assert_eq!(line.take_begun(), Some((0, 100)));
    assert_eq!(line.take_begun(), None);
}
