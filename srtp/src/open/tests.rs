//! Both halves against the RFCs' vectors and against each other.

use super::*;
use crate::cipher::testing::hex;
use crate::keys::{CipherKeys, Profile};
use crate::{MAX_RTCP_TRAILER, Sealer};
use proptest::prelude::*;

const PROFILES: [Profile; 2] = [Profile::AeadAes128Gcm, Profile::Aes128CmHmacSha1_80];

fn keys(profile: Profile) -> Keys {
    Keys::derive(profile, &[7; 16], &[9; 14]).unwrap()
}

/// The session keys the examples of RFC 7714 §16 and §17 use as they are.
fn rfc_7714() -> Keys {
    let mut salt = [0; 14];
    salt[..12].copy_from_slice(&hex("517569642070726f2071756f"));
    let key = *hex("000102030405060708090a0b0c0d0e0f").first_chunk().unwrap();
    let cipher = CipherKeys { key, salt, auth: [0; 20] };
    Keys { profile: Profile::AeadAes128Gcm, rtp: cipher, rtcp: cipher }
}

/// The master key of RFC 3711 §B.3, with which libsrtp's own validation vectors are made too.
fn rfc_3711() -> Keys {
    Keys::derive(
        Profile::Aes128CmHmacSha1_80,
        hex("e1f97a0d3e018be0d64fa32c06de4139").first_chunk().unwrap(),
        hex("0ec675ad498afeebb6960b3aabe6").first_chunk().unwrap(),
    )
    .unwrap()
}

fn assert_rtp(keys: &Keys, plain: &str, sealed: &str) {
    let (plain, sealed) = (hex(plain), hex(sealed));
    let sealer = Sealer::new(keys).unwrap();
    let mut packet = plain.clone();
    packet.resize(plain.len() + sealer.tag_len(), 0);
    assert!(sealer.seal(&mut packet, 12, 0));
    assert_eq!(packet, sealed);
    let length = Opener::new(keys).unwrap().open(&mut packet).unwrap();
    assert_eq!(packet[..length], plain);
}

fn assert_rtcp(keys: &Keys, index: u32, plain: &str, sealed: &str) {
    let (plain, sealed) = (hex(plain), hex(sealed));
    let mut packet = plain.clone();
    assert!(Sealer::new(keys).unwrap().with_index(index).seal_rtcp(&mut packet));
    assert_eq!(packet, sealed);
    let length = Opener::new(keys).unwrap().open_rtcp(&mut packet).unwrap();
    assert_eq!(packet[..length], plain);
}

/// RFC 7714 §16.1.1 and §16.1.2.
#[test]
fn gcm_rtp_is_that_of_rfc_7714() {
    assert_rtp(
        &rfc_7714(),
        "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120
         696e2070 61727465 73207472 6573",
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f
         42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
    );
}

/// RFC 7714 §17.1 and §17.2.
#[test]
fn gcm_rtcp_is_that_of_rfc_7714() {
    assert_rtcp(
        &rfc_7714(),
        0x5d4,
        "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
         deadbeef deadbeef deadbeef deadbeef deadbeef",
        "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1
         730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
    );
}

/// RFC 3711 §B.2: the key stream of AES-CM is what a payload of zeros encrypts to.
#[test]
fn cm_key_stream_is_that_of_rfc_3711() {
    let cipher = CipherKeys {
        key: *hex("2b7e151628aed2a6abf7158809cf4f3c").first_chunk().unwrap(),
        salt: *hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd").first_chunk().unwrap(),
        auth: [0; 20],
    };
    let keys = Keys { profile: Profile::Aes128CmHmacSha1_80, rtp: cipher, rtcp: cipher };
    let mut packet = vec![0; 12 + 48 + 10];
    assert!(Sealer::new(&keys).unwrap().seal(&mut packet, 12, 0));
    assert_eq!(
        packet[12..12 + 48],
        hex("e03ead0935c95e80e166b16dd92b4eb4 d23513162b02d0f72a43a2fe4a5f97ab
             41e95b3bb0a2e8dd477901e4fca894c0")
    );
}

/// A whole packet under the keys of RFC 3711 §B.3: encryption and the 80-bit tag.
#[test]
fn cm_rtp_is_what_others_make() {
    assert_rtp(
        &rfc_3711(),
        "800f1234 decafbad cafebabe abababab abababab abababab abababab",
        "800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402
         b78d6acc 99ea179b 8dbb",
    );
}

#[test]
fn cm_rtcp_is_what_others_make() {
    assert_rtcp(
        &rfc_3711(),
        1,
        "81c8000b cafebabe abababab abababab abababab abababab",
        "81c8000b cafebabe 7128035b e487b9bd bef89041 f977a5a8 80000001 993e08cd 54d6c123 0798",
    );
}

/// A packet with `extension_words` words of header extension (0: none) and a payload told by
/// its number.
fn rtp(ssrc: u32, index: u64, extension_words: u16) -> (Vec<u8>, usize) {
    let mut packet = vec![0x80 | u8::from(extension_words > 0) << 4, 96];
    packet.extend_from_slice(&(index as u16).to_be_bytes());
    packet.extend_from_slice(&[1, 2, 3, 4]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    if extension_words > 0 {
        packet.extend_from_slice(&[0xbe, 0xde]);
        packet.extend_from_slice(&extension_words.to_be_bytes());
        packet.resize(packet.len() + 4 * usize::from(extension_words), 0x10);
    }
    let header_len = packet.len();
    packet.extend_from_slice(&index.to_be_bytes());
    packet.resize(packet.len() + (index % 50) as usize, 0xaa);
    (packet, header_len)
}

fn sealed(sealer: &Sealer, ssrc: u32, index: u64) -> Vec<u8> {
    let (mut packet, header_len) = rtp(ssrc, index, (index % 3) as u16);
    packet.resize(packet.len() + sealer.tag_len(), 0);
    assert!(sealer.seal(&mut packet, header_len, (index >> 16) as u32));
    packet
}

fn rtcp(ssrc: u32, number: u32) -> Vec<u8> {
    let mut packet = vec![0x81, 201, 0, 2];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&number.to_be_bytes());
    packet
}

#[test]
fn a_retransmission_is_the_same_bytes_and_the_rollover_counter_changes_them() {
    for profile in PROFILES {
        let sealer = Sealer::new(&keys(profile)).unwrap();
        assert_eq!(sealed(&sealer, 1, 80), sealed(&sealer, 1, 80));
        let same_header = |roc| {
            let mut packet = vec![0x80; 60];
            assert!(sealer.seal(&mut packet, 12, roc));
            packet
        };
        assert_ne!(same_header(0), same_header(1));
    }
}

#[test]
fn what_is_too_short_is_neither_sealed_nor_opened() {
    for profile in PROFILES {
        let mut sealer = Sealer::new(&keys(profile)).unwrap();
        let mut opener = Opener::new(&keys(profile)).unwrap();
        for length in 0..12 + sealer.tag_len() {
            assert!(!sealer.seal(&mut vec![0x80; length], 12, 0), "{length}");
            assert!(opener.open(&mut vec![0x80; length]).is_err(), "{length}");
        }
        for length in 0..8 {
            assert!(!sealer.seal_rtcp(&mut vec![0x80; length]), "{length}");
        }
        for length in 0..8 + sealer.tag_len() + 4 {
            assert!(opener.open_rtcp(&mut vec![0x80; length]).is_err(), "{length}");
        }
        // An extension that says it is longer than the packet.
        let mut lying = sealed(&sealer, 1, 1);
        lying[14..16].copy_from_slice(&[0xff, 0xff]);
        assert!(opener.open(&mut lying).is_err());
    }
}

#[test]
fn a_changed_byte_anywhere_is_refused_and_the_true_packet_still_opens() {
    for profile in PROFILES {
        let mut sealer = Sealer::new(&keys(profile)).unwrap();
        let mut opener = Opener::new(&keys(profile)).unwrap();
        let packet = sealed(&sealer, 1, 1);
        for at in 0..packet.len() {
            let mut changed = packet.clone();
            changed[at] ^= 1;
            assert!(opener.open(&mut changed).is_err(), "{profile:?}, byte {at}");
        }
        assert!(opener.open(&mut packet.clone()).is_ok());

        let mut report = rtcp(1, 1);
        assert!(sealer.seal_rtcp(&mut report));
        for at in 0..report.len() {
            let mut changed = report.clone();
            changed[at] ^= 1;
            assert!(opener.open_rtcp(&mut changed).is_err(), "{profile:?}, byte {at}");
        }
        assert!(opener.open_rtcp(&mut report).is_ok());
    }
}

#[test]
fn a_forged_packet_far_ahead_does_not_move_the_window() {
    for profile in PROFILES {
        let sealer = Sealer::new(&keys(profile)).unwrap();
        let mut opener = Opener::new(&keys(profile)).unwrap();
        opener.open(&mut sealed(&sealer, 1, 100)).unwrap();
        let mut forged = sealed(&sealer, 1, 30_000);
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(opener.open(&mut forged), Err(OpenError::Forged));
        assert!(opener.open(&mut sealed(&sealer, 1, 99)).is_ok());
    }
}

#[test]
fn a_replay_is_refused() {
    for profile in PROFILES {
        let mut sealer = Sealer::new(&keys(profile)).unwrap();
        let mut opener = Opener::new(&keys(profile)).unwrap();
        let packet = sealed(&sealer, 1, 7);
        assert!(opener.open(&mut packet.clone()).is_ok());
        assert_eq!(opener.open(&mut packet.clone()), Err(OpenError::Replayed));
        assert!(opener.open(&mut sealed(&sealer, 1, 200)).is_ok());
        assert_eq!(opener.open(&mut packet.clone()), Err(OpenError::Old));
        // The same number of another source is another packet.
        assert!(opener.open(&mut sealed(&sealer, 2, 7)).is_ok());

        let mut report = rtcp(1, 0);
        assert!(sealer.seal_rtcp(&mut report));
        assert!(opener.open_rtcp(&mut report.clone()).is_ok());
        assert_eq!(opener.open_rtcp(&mut report), Err(OpenError::Replayed));
    }
}

#[test]
fn a_peer_may_not_have_ever_more_sources() {
    let sealer = Sealer::new(&keys(Profile::AeadAes128Gcm)).unwrap();
    let mut opener = Opener::new(&keys(Profile::AeadAes128Gcm)).unwrap();
    for ssrc in 0..MAX_SOURCES as u32 {
        opener.open(&mut sealed(&sealer, ssrc, 1)).unwrap();
    }
    let one_more = sealed(&sealer, MAX_SOURCES as u32, 1);
    assert_eq!(opener.open(&mut one_more.clone()), Err(OpenError::TooManySources));
    assert!(opener.open(&mut sealed(&sealer, 3, 2)).is_ok());
}

#[test]
fn rtcp_counts_its_own_index_and_ends_before_it_repeats() {
    let last = (1u32 << 31) - 1;
    let mut sealer = Sealer::new(&keys(Profile::AeadAes128Gcm)).unwrap().with_index(last);
    let mut packet = rtcp(1, 0);
    assert!(sealer.seal_rtcp(&mut packet));
    assert_eq!(packet[packet.len() - 4..], [0xff; 4]);
    assert!(!sealer.seal_rtcp(&mut rtcp(1, 0)));
}

#[test]
fn the_room_a_trailer_needs_is_what_is_said() {
    for profile in PROFILES {
        let mut packet = Vec::with_capacity(12 + MAX_RTCP_TRAILER);
        packet.extend(rtcp(1, 0));
        let capacity = packet.capacity();
        assert!(Sealer::new(&keys(profile)).unwrap().seal_rtcp(&mut packet));
        assert_eq!(packet.capacity(), capacity);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What one side seals the other opens, in nearly any order, with losses, over wraps.
    #[test]
    fn what_is_sealed_opens_through_loss_reordering_and_wraps(
        first in prop_oneof![0u64..200, 0x7f00u64..0x8100, 0xff00u64..0xffff],
        gaps in prop::collection::vec(prop_oneof![8 => 1u64..4, 1 => 1u64..20_000], 1..200),
        order in prop::collection::vec(0usize..40, 200),
        gcm in any::<bool>(),
    ) {
        let profile = PROFILES[usize::from(!gcm)];
        let sealer = Sealer::new(&keys(profile)).unwrap();
        let mut opener = Opener::new(&keys(profile)).unwrap();
        let mut index = first;
        let mut indices = vec![index];
        for gap in gaps {
            index += gap;
            indices.push(index);
        }
        // The first stays first: what comes before it can't be told from what wrapped.
        for (at, by) in order.into_iter().enumerate().skip(1) {
            let to = at + by;
            if to < indices.len() {
                indices.swap(at, to);
            }
        }
        let mut newest = 0;
        for index in indices {
            let mut packet = sealed(&sealer, 5, index);
            let (plain, _) = rtp(5, index, (index % 3) as u16);
            let behind = newest.max(index) - index;
            let ahead = index.saturating_sub(newest.max(first));
            match opener.open(&mut packet) {
                Ok(length) => prop_assert_eq!(&packet[..length], &plain[..]),
                // Out of reach of what 16 bits and the window can tell.
                Err(_) => prop_assert!(behind >= 128 || ahead > 0x7fff, "{} {}", index, newest),
            }
            if ahead <= 0x7fff {
                newest = newest.max(index);
            } else {
                return Ok(());
            }
        }
    }

    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), gcm in any::<bool>()) {
        let profile = PROFILES[usize::from(!gcm)];
        let mut opener = Opener::new(&keys(profile)).unwrap();
        prop_assert!(opener.open(&mut bytes.clone()).is_err());
        prop_assert!(opener.open_rtcp(&mut bytes).is_err());
    }
}
