use super::*;
use Indication::{Discardable, NotPresent, Required, Switch};
use proptest::prelude::*;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// The first packet of a key picture of Chromium's VP9 in three spatial and three temporal
/// layers, two of the spatial ones being sent.
const L3T3: &str = "810001c0081485214eafffaaaa863cf0430c10c302afc0aaa0063c00430010c002a000a8000600\
                    0040001d954926e082b04a0941b820ac1282503157f974000ca864330e222222eca86553042242\
                    30eca8775300ef008601df010d03bf021b1f80";
/// The same of its H.264 in one spatial and three temporal layers.
const L1T3: &str = "800001800214eaa860414d1410208426";

fn indications(frame: &Frame, targets: usize) -> String {
    let sign = |target| match frame.indications.of(target) {
        NotPresent => '-',
        Discardable => 'D',
        Switch => 'S',
        Required => 'R',
    };
    (0..targets).map(sign).collect()
}

/// Writes fields of so many bits.
fn written(fields: &[(u32, u32)]) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    for (value, count) in fields {
        bits.extend((0..*count).rev().map(|i| value >> i & 1 != 0));
    }
    bits.chunks(8)
        .map(|c| c.iter().enumerate().fold(0, |b, (i, on)| b | u8::from(*on) << (7 - i)))
        .collect()
}

#[test]
fn a_structure_with_all_its_layers_is_read() {
    let mut reader = Reader::default();
    let frame = reader.read(&bytes(L3T3)).unwrap();
    assert!(frame.begins && !frame.ends && frame.brings_structure);
    assert_eq!((frame.number, frame.spatial, frame.temporal), (1, 0, 0));
    assert_eq!(indications(&frame, 9), "SSSSSSSSS");
    assert!(frame.references.none());
    assert_eq!(frame.active, 0b000_111_111, "the third spatial layer is not sent yet");
    assert_eq!(frame.chains.differences(), [0, 0, 0]);
    let structure = reader.structure().unwrap();
    let layers: Vec<_> = (0..3).flat_map(|s| (0..3).map(move |t| (s, t))).collect();
    assert_eq!(structure.targets(), layers);
    assert_eq!(structure.protecting_chain(5), Some(1));
    let sizes: Vec<_> = (0..4).map(|s| structure.resolution(s)).collect();
    assert_eq!(sizes, [Some((240, 135)), Some((480, 270)), Some((960, 540)), None]);
}

#[test]
fn frames_after_it_name_their_kind_alone() {
    let mut reader = Reader::default();
    assert_eq!(reader.read(&bytes("860002")), Err(UnknownTemplate), "it builds on what was lost");
    reader.read(&bytes(L3T3)).unwrap();
    let upper = reader.read(&bytes("860002")).unwrap();
    assert_eq!((upper.spatial, upper.temporal, upper.references.near), (1, 0, 1));
    assert_eq!(indications(&upper, 9), "---SSSSSS");
    let own = reader.read(&bytes("8300031a20100800")).unwrap();
    assert_eq!((own.number, own.spatial, own.temporal, own.brings_structure), (3, 0, 2, false));
    assert_eq!(own.active, 0b000_111_111, "as it was");
    assert_eq!(reader.read(&bytes("bf0004")), Err(UnknownTemplate));
}

#[test]
fn temporal_layers_of_one_size_are_read() {
    let mut reader = Reader::default();
    let frame = reader.read(&bytes(L1T3)).unwrap();
    assert_eq!(indications(&frame, 3), "SSS");
    assert_eq!(reader.structure().unwrap().targets(), [(0, 0), (0, 1), (0, 2)]);
    let kinds: Vec<_> =
        reader.structure().unwrap().templates().iter().map(|t| t.temporal).collect();
    assert_eq!(kinds, [0, 0, 1, 2, 2]);
    let upper = reader.read(&bytes("830002")).unwrap();
    assert_eq!((upper.temporal, upper.references.near), (2, 1));
    assert_eq!(indications(&upper, 3), "--D");
}

#[rustfmt::skip] // Fields stand together as they belong together.
#[test]
fn what_a_frame_says_itself_replaces_its_kind() {
    let fields = [
        (0b11, 2), (62, 6), (7, 16), (0b10000, 5),
        // Two targets; two templates, of temporal layers 0 and 1; their indications SS and -D.
        (62, 6), (1, 5), (1, 2), (3, 2), (2, 2), (2, 2), (0, 2), (1, 2),
        // No reference, and one to the frame before; one chain (ns(3): 1 is 10) for both
        // targets (ns(1) has no bits), 3 and 9 frames back; no sizes.
        (0, 1), (1, 1), (0, 4), (0, 1), (0b10, 2), (3, 4), (9, 4), (0, 1),
    ];
    let mut reader = Reader::default();
    let frame = reader.read(&written(&fields)).unwrap();
    assert_eq!((frame.number, indications(&frame, 2).as_str()), (7, "SS"));
    assert_eq!(frame.chains.differences(), [3]);

    // Template id 63, the second; active 01; own indications, references 5, 33 and 3, chain 200.
    let own = [
        (0b10, 2),
        (63, 6),
        (8, 16),
        (0b01111, 5),
        (0b01, 2),
        (3, 2),
        (0, 2),
        (1, 2),
        (4, 4),
        (2, 2),
        (32, 8),
        (3, 2),
        (2, 12),
        (0, 2),
        (200, 8),
    ];
    let frame = reader.read(&written(&own)).unwrap();
    assert_eq!((frame.temporal, frame.active, frame.brings_structure), (1, 1, false));
    assert_eq!(indications(&frame, 2), "R-");
    assert_eq!(frame.references, References { near: 1 << 4 | 1 << 2, far: true });
    assert_eq!(frame.chains.differences(), [200]);
    // Ids wrap: 63 + 1 is 0, which this structure of two doesn't have.
    assert_eq!(reader.read(&[0x80, 0, 9]), Err(UnknownTemplate));
}

#[test]
fn what_is_broken_changes_nothing() {
    let mut reader = Reader::default();
    reader.read(&bytes(L1T3)).unwrap();
    let before = reader.clone();
    let whole = bytes(L3T3);
    // Of three bytes it is whole, and names a kind the structure before has.
    for len in (0..whole.len() - 1).filter(|len| *len != MANDATORY) {
        assert!(reader.read(&whole[..len]).is_err(), "{len}");
        assert_eq!((reader.structure(), reader.active), (before.structure(), before.active));
    }
    // Spatial layers without end.
    let endless = written(&[(0, 24), (0b10000, 5), (0, 11), (0xaaaa_aaaa, 32)]);
    assert_eq!(reader.read(&endless), Err(TooManyLayers));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        descriptors in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..8),
        flags in any::<u8>(),
    ) {
        let mut reader = Reader::default();
        for mut descriptor in descriptors {
            if let Some(byte) = descriptor.get_mut(3) {
                *byte = *byte & 0x07 | flags & 0xf8;
            }
            if let Ok(frame) = reader.read(&descriptor) {
                let structure = reader.structure().unwrap();
                prop_assert!(structure.targets().len() <= MAX_TARGETS);
                prop_assert!(frame.spatial < MAX_SPATIAL && frame.temporal < MAX_TEMPORAL);
                let _ = (structure.resolution(frame.spatial), structure.protecting_chain(usize::from(flags)));
            }
        }
    }

    /// A structure with one bit changed is read or refused, and whatever follows it too.
    #[test]
    fn a_damaged_structure_does_no_harm(bit in 0usize..97 * 8, next in any::<[u8; 12]>()) {
        let mut damaged = bytes(L3T3);
        let at = (bit / 8).min(damaged.len() - 1);
        damaged[at] ^= 1 << (bit % 8);
        let mut reader = Reader::default();
        let _ = reader.read(&damaged);
        let _ = reader.read(&next);
    }
}
