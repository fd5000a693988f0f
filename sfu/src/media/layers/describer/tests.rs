use super::*;
use crate::media::layers::captures::{
    AV1_L1T3, AV1_L3T3, H264_L1T3, VP8_SIMULCAST, VP9_L3T3, VP9_L3T3_KEY, VP9_S3T3,
};
use proptest::prelude::*;

fn layers(description: &Description) -> (u8, u8) {
    (description.spatial(), description.temporal())
}

/// The layers of frames, in order, of those that begin.
fn beginnings(descriptions: &[Description]) -> Vec<(u8, u8)> {
    descriptions.iter().filter(|d| d.begins_frame()).map(layers).collect()
}

#[test]
fn vp9_is_described_alike_by_its_descriptor_and_by_itself() {
    for capture in [VP9_L3T3, VP9_L3T3_KEY] {
        let (by_descriptor, by_itself) =
            (capture.descriptions(0, true), capture.descriptions(0, false));
        assert_eq!(beginnings(&by_descriptor), beginnings(&by_itself));
        for (d, own) in by_descriptor.iter().zip(&by_itself) {
            assert_eq!(d.keyframe(), own.keyframe());
            assert_eq!((d.begins_frame(), d.ends_frame()), (own.begins_frame(), own.ends_frame()));
            assert_eq!((d.picture, d.pictures), (own.picture, Pictures::Vp9));
            assert!(d.is(Description::STRUCTURED) && !own.is(Description::STRUCTURED));
        }
    }
}

#[test]
fn whether_lower_layers_are_part_of_higher_ones_is_seen_in_the_structure() {
    let nested = |d: &[Description]| d.iter().all(|d| d.is(Description::NESTED));
    assert!(nested(&VP9_L3T3.descriptions(0, true)));
    assert!(nested(&AV1_L3T3.descriptions(0, true)));
    assert!(!nested(&VP9_L3T3_KEY.descriptions(0, true)), "after a keyframe each size for itself");
    assert!(!nested(&VP9_S3T3.descriptions(0, true)));
}

#[test]
fn every_size_of_simulcast_in_one_stream_has_its_own_keyframe() {
    let keyframes: Vec<_> =
        VP9_S3T3.descriptions(0, true).into_iter().filter(Description::keyframe).collect();
    assert_eq!(keyframes.iter().map(layers).take(2).collect::<Vec<_>>(), [(0, 0), (1, 0)]);
    assert!(!keyframes[0].switch.has(Cell::new(1, 0)) && keyframes[1].switch.has(Cell::new(1, 0)));
}

#[test]
fn a_size_the_publisher_does_not_send_is_not_there() {
    let first = VP9_L3T3.descriptions(0, true)[0];
    assert!(first.keyframe() && first.active.has(Cell::new(1, 2)));
    assert!(!first.active.has(Cell::new(2, 0)));
}

#[test]
fn temporal_layers_come_from_the_descriptor_where_the_payload_has_none() {
    for descriptions in [
        AV1_L1T3.descriptions(0, true),
        H264_L1T3.descriptions(0, true),
        VP8_SIMULCAST.descriptions(2, true),
    ] {
        assert!(descriptions[0].keyframe(), "{:?}", descriptions[0]);
        let beginnings = beginnings(&descriptions);
        let mut temporal: Vec<_> = beginnings.iter().map(|(_, t)| *t).collect();
        temporal.sort_unstable();
        temporal.dedup();
        assert_eq!(temporal, [0, 1, 2]);
        assert!(beginnings.iter().all(|(s, _)| *s == 0));
    }
    let without = AV1_L1T3.descriptions(0, false);
    assert!(without[0].keyframe() && without.iter().all(|d| d.active.is_plain()));
}

#[test]
fn vp8_says_its_layers_itself() {
    let mut describer = Describer::default();
    // X, S; I, L, T; picture 127 of 7 bits, then 0; TL0PICIDX 255, 0; TID 1 with Y, then 0.
    let mut describe =
        |payload: &[u8]| describer.describe(Codec::Vp8, true, payload, Some(&[0xff; 3]));
    let first = describe(&[0x90, 0xe0, 0x7f, 0xff, 0x00, 0x00]);
    assert!(first.keyframe() && first.begins_frame());
    assert_eq!((first.picture, first.tl0(), layers(&first)), (127, Some(255), (0, 0)));
    let second = describe(&[0x90, 0xe0, 0x00, 0x00, 0x60, 0x01]);
    assert_eq!((second.picture, second.tl0(), layers(&second)), (128, Some(0), (0, 1)));
    assert!(second.switch.has(Cell::new(0, 1)) && !second.switch.has(Cell::new(0, 2)));
    assert!(!second.present.has(Cell::new(0, 0)) && second.present.has(Cell::new(0, 3)));
}

#[test]
fn a_lost_structure_leaves_what_the_payload_says() {
    let packets = VP9_L3T3.packets();
    let mut describer = Describer::default();
    let rest: Vec<_> = packets[1..]
        .iter()
        .filter(|p| !p.payload.is_empty())
        .map(|p| describer.describe(Codec::Vp9, p.marker, &p.payload, Some(&p.descriptor)))
        .collect();
    assert!(rest.iter().any(|d| layers(d) == (1, 2) && !d.is(Description::STRUCTURED)));
}

proptest! {
    #[test]
    fn any_bytes_are_described(
        packets in prop::collection::vec((
            prop::sample::select(vec![Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264, Codec::Opus]),
            prop::collection::vec(any::<u8>(), 0..20),
            prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        ), 1..20),
    ) {
        let mut describer = Describer::default();
        for (codec, payload, descriptor) in packets {
            let d = describer.describe(codec, false, &payload, descriptor.as_deref());
            prop_assert!(d.spatial() < MAX_LAYERS && d.temporal() < MAX_LAYERS);
        }
    }
}
