//! Lines over what Chromium sent: whatever they are told to show, and whatever is lost or late
//! before it comes here, a decoder can use all it gets.

use super::*;
use crate::media::layers::captures::{
    AV1_L1T3, Capture, LAYERED, VP8_SIMULCAST, VP9_L3T3, VP9_L3T3_KEY, VP9_S3T3,
};
use cloudschool_protocol::rtp::dependency::{Frame, Indication, Reader};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What a viewer got: the packet as it was, what its publisher said of its frame, and how it
/// went out.
struct Got<'a> {
    packet: &'a Cached,
    frame: Frame,
    out: Outgoing,
    /// The spatial layer the line showed by then.
    shown: u8,
}

fn frames(packets: &[(Cached, Vec<u8>)]) -> Vec<Frame> {
    let mut reader = Reader::default();
    packets.iter().map(|(_, descriptor)| reader.read(descriptor).unwrap()).collect()
}

/// Everything a decoder needs holds of what it got, by what the publisher said.
fn check_decodable(got: &[Got<'_>], packets: &[(Cached, Vec<u8>)], frames: &[Frame]) {
    let sizes = |numbers: &mut dyn Iterator<Item = u16>| {
        let mut sizes = BTreeMap::new();
        numbers.for_each(|n| *sizes.entry(n).or_insert(0) += 1);
        sizes
    };
    let whole = sizes(&mut frames.iter().map(|f| f.number));
    let sent = sizes(&mut got.iter().filter(|g| !g.out.empty).map(|g| g.frame.number));
    for g in got.iter().filter(|g| !g.out.empty) {
        let number = g.frame.number;
        assert_eq!(sent[&number], whole[&number], "frame {number} is incomplete");
        if g.frame.begins {
            assert!(!g.frame.references.far);
            for back in (0..32).filter(|n| g.frame.references.near >> n & 1 != 0) {
                let needed = number.wrapping_sub(back + 1);
                assert!(sent.contains_key(&needed), "frame {number} needs {needed}");
            }
        }
    }
    check_numbers(got);

    let picture = |timestamp| -> BTreeSet<_> {
        let own = packets.iter().zip(frames).filter(|((p, _), _)| p.timestamp == timestamp);
        own.map(|(_, frame)| frame.spatial).collect()
    };
    // The last packet of a picture is marked, and no other, unless the line changed in between.
    let pictures: BTreeSet<_> = got.iter().map(|g| g.out.timestamp).collect();
    for timestamp in pictures {
        let own = || got.iter().filter(|g| g.out.timestamp == timestamp && !g.out.empty);
        let Some(last) = own().max_by_key(|g| g.out.number) else { continue };
        // A publisher may leave out the size that is shown, and that can't be seen by then.
        let known = last.packet.marker || last.frame.ends && last.frame.spatial == last.shown;
        let marked = own().filter(|g| g.out.marker && g.shown == last.shown).map(|g| g.out.number);
        let expected = known.then_some(last.out.number);
        let source = last.packet.number;
        assert_eq!(marked.collect::<Vec<_>>(), Vec::from_iter(expected), "at {source}");
        let sizes = picture(last.packet.timestamp);
        let cut = packets.last().is_some_and(|(p, _)| p.timestamp == last.packet.timestamp);
        assert!(known || cut || !sizes.contains(&last.shown), "the end is missing at {source}");
    }
}

fn run<'a>(
    line: &mut Egress,
    packets: &'a [(Cached, Vec<u8>)],
    frames: &[Frame],
    order: impl Iterator<Item = usize>,
    mut before: impl FnMut(&mut Egress, usize),
) -> Vec<Got<'a>> {
    let now = Instant::now();
    let mut got = Vec::new();
    for (i, at) in order.enumerate() {
        before(line, i);
        let packet = &packets[at].0;
        let later = now + Duration::from_millis(5 * i as u64);
        if let Some(out) = line.forward(A, None, packet, later) {
            let shown = line.showing().unwrap().spatial;
            got.push(Got { packet, frame: frames[at], out, shown });
        }
    }
    got
}

/// Of each capture's decode targets a line gets exactly the frames that are part of it.
#[test]
fn a_line_gets_the_frames_of_its_decode_target_and_no_other() {
    for capture in LAYERED {
        let packets = capture.cached(0, true);
        let frames = frames(&packets);
        let mut reader = Reader::default();
        reader.read(&packets[0].1).unwrap();
        let targets = reader.structure().unwrap().targets().to_vec();
        // Sizes that are not sent from the beginning have no keyframe to begin with.
        let sent = |t: &usize| frames[0].active >> t & 1 != 0;
        for target in (0..targets.len()).filter(sent) {
            let (spatial, temporal) = targets[target];
            let mut line = video();
            line.retarget(Some(Target { encoding: 0, spatial, temporal }));
            let got = run(&mut line, &packets, &frames, 0..packets.len(), |_, _| {});
            check_decodable(&got, &packets, &frames);
            let expected: BTreeSet<_> = frames
                .iter()
                .filter(|f| f.indications.of(target) != Indication::NotPresent)
                .map(|f| f.number)
                .collect();
            let numbers: BTreeSet<_> = got.iter().map(|g| g.frame.number).collect();
            assert_eq!(numbers, expected, "{capture:?} {spatial} {temporal}");
            assert_eq!(line.wants_keyframe_of(), None);
        }
    }
}

#[test]
fn fewer_frames_come_at_once_and_more_at_a_switching_point() {
    let packets = AV1_L1T3.cached(0, true);
    let frames = frames(&packets);
    let target = |temporal| Some(Target { encoding: 0, spatial: 0, temporal });
    let mut line = video();
    let got = run(&mut line, &packets, &frames, 0..packets.len(), |line, i| match i {
        40 => line.retarget(target(0)),
        70 => line.retarget(target(2)),
        _ => {}
    });
    check_decodable(&got, &packets, &frames);
    let temporal = |from: usize, to: usize| {
        let within = packets[from].0.number..packets[to].0.number;
        let kept = got.iter().filter(|g| g.frame.begins && within.contains(&g.packet.number));
        kept.map(|g| g.frame.temporal).collect::<BTreeSet<_>>()
    };
    assert_eq!(temporal(0, 40), [0, 1, 2].into());
    assert_eq!(temporal(48, 70), [0].into());
    assert_eq!(temporal(90, 119), [0, 1, 2].into());
}

#[test]
fn a_smaller_picture_comes_at_once_and_a_larger_one_waits_for_a_keyframe() {
    let packets = VP9_L3T3.cached(0, true);
    let frames = frames(&packets);
    let mut line = video();
    let mut waited = Vec::new();
    let got = run(&mut line, &packets, &frames, 0..packets.len(), |line, i| {
        match i {
            40 => line.retarget(Some(Target { encoding: 0, spatial: 0, temporal: u8::MAX })),
            80 => line.retarget(Some(Target::ALL)),
            _ => {}
        }
        waited.push(line.wants_keyframe_of().is_some());
    });
    check_decodable(&got, &packets, &frames);
    let told = packets[40].0.timestamp;
    let later = got.iter().skip_while(|g| g.packet.timestamp != told);
    let later: Vec<_> = later.filter(|g| g.packet.timestamp != told).collect();
    assert!(later.len() > 20 && later.iter().all(|g| g.frame.spatial == 0));
    assert!(waited[1..80].iter().all(|w| !w), "downward nothing is asked for");
    assert!(waited[84..].iter().all(|w| *w));
}

/// After a keyframe no size builds on another, so that one can only be left at the next one.
#[test]
fn sizes_that_stand_alone_are_not_left_without_a_keyframe() {
    for capture in [VP9_L3T3_KEY, VP9_S3T3] {
        let packets = capture.cached(0, true);
        let frames = frames(&packets);
        let mut line = video();
        let got = run(&mut line, &packets, &frames, 0..packets.len(), |line, i| {
            if i == 40 {
                line.retarget(Some(Target { encoding: 0, spatial: 0, temporal: u8::MAX }));
            }
        });
        check_decodable(&got, &packets, &frames);
        let later = frames[50..].iter().any(|f| f.brings_structure);
        assert!(later || line.wants_keyframe_of() == Some(0));
    }
}

/// By VP9's own descriptor alone: what is forwarded is decodable by the one it didn't see.
#[test]
fn vp9_layers_are_chosen_without_a_dependency_descriptor_too() {
    let packets = VP9_L3T3.cached(0, false);
    let frames = frames(&packets);
    for (spatial, temporal) in [(0, 0), (0, 2), (1, 0), (1, 1), (1, u8::MAX), (u8::MAX, 0)] {
        let mut line = video();
        let got = run(&mut line, &packets, &frames, 0..packets.len(), |line, i| match i {
            0 => line.retarget(Some(Target { encoding: 0, spatial, temporal })),
            60 => line.retarget(Some(Target { encoding: 0, spatial, temporal: 0 })),
            90 => line.retarget(Some(Target { encoding: 0, spatial, temporal })),
            _ => {}
        });
        check_decodable(&got, &packets, &frames);
        // Pictures refer to each other by the difference of their ids.
        assert!(
            got.iter().all(|g| g.out.shift == Shift { pictures: Pictures::Vp9, ..Shift::NONE })
        );
        assert!(got.iter().all(|g| g.frame.spatial <= spatial && g.frame.temporal <= temporal));
        assert!(got[got.len() / 2..].iter().any(|g| g.frame.temporal == temporal.min(2)));
    }
}

/// Simulcast: packets of three encodings as they came.
fn simulcast() -> Vec<(u8, Cached)> {
    let mut each = [0, 1, 2].map(|e| VP8_SIMULCAST.cached(e, true).into_iter());
    let order = VP8_SIMULCAST.packets().into_iter().filter(|p| !p.payload.is_empty());
    order.map(|p| (p.encoding, each[usize::from(p.encoding)].next().unwrap().0)).collect()
}

#[test]
fn encodings_are_changed_with_a_keyframe_of_the_new_one_and_no_sooner() {
    let packets = simulcast();
    let now = Instant::now();
    let mut line = video();
    line.retarget(Some(Target::encoding(0)));
    let mut shown = Vec::new();
    let mut last: Option<Outgoing> = None;
    for (i, (encoding, packet)) in packets.iter().enumerate() {
        if i == 10 {
            line.retarget(Some(Target::encoding(2)));
        }
        let epoch = Epoch { encoding: *encoding, ..A };
        let before = line.showing().map(|t| t.encoding);
        let Some(out) = line.forward(epoch, None, packet, now) else { continue };
        if before != Some(*encoding) {
            assert!(packet.description.keyframe());
            shown.push(*encoding);
        }
        if let Some(last) = last {
            assert_eq!(out.number, last.number + 1);
            assert!(out.timestamp.wrapping_sub(last.timestamp) < 90_000);
        }
        last = Some(out);
    }
    assert_eq!(shown, [0, 2]);
}

fn capture() -> impl Strategy<Value = Capture> {
    prop::sample::select(LAYERED.to_vec())
}

/// An order in which packets arrive: each is held back by some.
fn arrival(delays: &[u8], packets: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..packets).collect();
    order.sort_by_key(|i| i + usize::from(delays[i % delays.len()]));
    order
}

proptest! {
    /// Whatever the line is told, what it sends can be decoded.
    #[test]
    fn every_change_of_mind_leaves_a_decodable_stream(
        capture in capture(),
        minds in prop::collection::btree_map(1usize..120, (0u8..4, 0u8..4), 0..12),
    ) {
        let packets = capture.cached(0, true);
        let frames = frames(&packets);
        let mut line = video();
        let got = run(&mut line, &packets, &frames, 0..packets.len(), |line, i| {
            if let Some((spatial, temporal)) = minds.get(&i) {
                line.retarget(Some(Target { encoding: 0, spatial: *spatial, temporal: *temporal }));
            }
        });
        check_decodable(&got, &packets, &frames);
        prop_assert!(!got.is_empty());
    }

    /// Packets overtake each other on the way in: late ones get the numbers left for them, and
    /// what of them is not for this viewer leaves no hole.
    #[test]
    fn reordering_leaves_a_decodable_stream(
        capture in capture(),
        spatial in 0u8..3, temporal in 0u8..3,
        delays in prop::collection::vec(prop_oneof![8 => Just(0u8), 1 => 0u8..12], 20..60),
    ) {
        let packets = capture.cached(0, true);
        let frames = frames(&packets);
        let mut line = video();
        line.retarget(Some(Target { encoding: 0, spatial, temporal }));
        // The line begins in order: where a keyframe comes late, a replay begins it.
        let start = 12;
        let late = arrival(&delays, packets.len() - start);
        let order = (0..start).chain(late.into_iter().map(|i| i + start));
        let got = run(&mut line, &packets, &frames, order, |_, _| {});
        check_numbers(&got);
        let sent: BTreeSet<_> = got.iter().filter(|g| !g.out.empty).map(|g| g.packet.number).collect();
        for g in got.iter().filter(|g| !g.out.empty) {
            let same = |i: &usize| frames[*i].number == g.frame.number;
            for part in (0..packets.len()).filter(same) {
                let number = packets[part].0.number;
                prop_assert!(sent.contains(&number), "frame {} is incomplete", g.frame.number);
            }
        }
    }
}

fn check_numbers(got: &[Got<'_>]) {
    let mut numbers: Vec<_> = got.iter().map(|g| g.out.number).collect();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "no gap, and no number twice");
}
