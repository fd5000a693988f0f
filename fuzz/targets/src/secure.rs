//! SRTP and SRTCP as they come from the network.

use cloudschool_protocol::rtp::Header;
use cloudschool_srtp::{Keys, Opener, Profile, Sealer};

/// The keys everything in the corpus is sealed with: those of RFC 3711 §B.3.
///
/// # Panics
/// When the cipher takes no keys at all.
#[must_use]
pub fn keys(profile: Profile) -> Keys {
    let key = [
        0xe1, 0xf9, 0x7a, 0x0d, 0x3e, 0x01, 0x8b, 0xe0, 0xd6, 0x4f, 0xa3, 0x2c, 0x06, 0xde, 0x41,
        0x39,
    ];
    let salt = [0x0e, 0xc6, 0x75, 0xad, 0x49, 0x8a, 0xfe, 0xeb, 0xb6, 0x96, 0x0b, 0x3a, 0xab, 0xe6];
    Keys::derive(profile, &key, &salt).expect("keys")
}

/// A packet is refused, or opened once; and one that was sealed here opens as it was.
pub fn srtp(data: &[u8]) {
    let Some((&kind, packet)) = data.split_first() else { return };
    let profile = if kind & 1 == 0 { Profile::AeadAes128Gcm } else { Profile::Aes128CmHmacSha1_80 };
    let keys = keys(profile);
    let mut opener = Opener::new(&keys).expect("keys");
    let mut opened = packet.to_vec();
    let rtcp = kind & 2 != 0;
    let mut open = |packet: &mut [u8]| {
        if rtcp { opener.open_rtcp(packet) } else { opener.open(packet) }
    };
    if let Ok(len) = open(&mut opened) {
        assert!(len <= packet.len());
        assert!(open(&mut packet.to_vec()).is_err(), "opened twice");
    }

    let mut sealer = Sealer::new(&keys).expect("keys");
    let mut opener = Opener::new(&keys).expect("keys");
    let mut sealed = packet.to_vec();
    if rtcp {
        if packet.len() >= 8 && packet[0] >> 6 == 2 && sealer.seal_rtcp(&mut sealed) {
            assert_eq!(opener.open_rtcp(&mut sealed), Ok(packet.len()));
            assert_eq!(&sealed[..packet.len()], packet);
        }
    } else if let Some(header) = Header::parse(packet) {
        sealed.resize(packet.len() + sealer.tag_len(), 0);
        if sealer.seal(&mut sealed, header.payload_offset, 0) {
            assert_eq!(opener.open(&mut sealed), Ok(packet.len()));
            assert_eq!(&sealed[..packet.len()], packet);
        }
    }
}
