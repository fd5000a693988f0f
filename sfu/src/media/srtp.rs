//! Seals RTP packets in place (RFC 3711, RFC 7714): one [`Sealer`] per viewer.
//!
//! Opening is the engine's; this is the sending half of the packet path, called once per
//! forwarded packet, and allocates nothing.

use crate::peer::keys::RtpKeys;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use cloudschool_protocol::rtp::FIXED_HEADER;

/// Most bytes a seal adds to a packet: the GCM tag.
pub const MAX_TAG: usize = 16;
const CM_TAG: usize = 10;

/// The session keys can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the negotiated SRTP keys were not accepted by the crypto library")]
pub struct BadKeys;

/// Seals packets with one session's keys.
pub enum Sealer {
    /// AEAD_AES_128_GCM.
    Gcm { key: LessSafeKey, salt: [u8; 12] },
    /// AES128_CM_HMAC_SHA1_80: costs about five times as much, for peers without GCM.
    Cm(Box<CmSealer>),
}

/// The ciphers of AES128_CM_HMAC_SHA1_80.
pub struct CmSealer {
    key: EncryptingKey,
    salt: [u8; 14],
    auth: hmac::Key,
}

impl Sealer {
    /// Sets up the ciphers once; a seal then costs only the pass over the packet.
    ///
    /// # Errors
    /// [`BadKeys`].
    pub fn new(keys: &RtpKeys) -> Result<Self, BadKeys> {
        match keys {
            RtpKeys::Gcm { key, salt } => {
                let key = UnboundKey::new(&AES_128_GCM, key).map_err(|_| BadKeys)?;
                Ok(Self::Gcm { key: LessSafeKey::new(key), salt: *salt })
            }
            RtpKeys::Cm { key, salt, auth } => {
                let key = UnboundCipherKey::new(&AES_128, key).map_err(|_| BadKeys)?;
                let key = EncryptingKey::ctr(key).map_err(|_| BadKeys)?;
                let auth = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth);
                Ok(Self::Cm(Box::new(CmSealer { key, salt: *salt, auth })))
            }
        }
    }

    /// Bytes a seal adds.
    #[must_use]
    pub fn tag_len(&self) -> usize {
        match self {
            Self::Gcm { .. } => MAX_TAG,
            Self::Cm(_) => CM_TAG,
        }
    }

    /// Seals the packet whose fixed 12-byte header and payload fill `packet` but for its last
    /// [`Self::tag_len`] bytes, which become the tag. `roc` is the rollover counter: the bits
    /// of the extended sequence number above its low 16. The same packet sealed twice gives
    /// the same bytes, so a retransmission may be sealed again, and nothing else may reuse its
    /// number. Returns false, and the packet must not be sent, when it is too short or the
    /// library refused.
    #[must_use]
    pub fn seal(&self, packet: &mut [u8], roc: u32) -> bool {
        self.try_seal(packet, roc).is_some()
    }

    fn try_seal(&self, packet: &mut [u8], roc: u32) -> Option<()> {
        let body_end = packet.len().checked_sub(self.tag_len())?;
        let (body, tag) = packet.split_at_mut_checked(body_end)?;
        let (header, payload) = body.split_at_mut_checked(FIXED_HEADER)?;
        let sequence: [u8; 2] = *header.get(2..4)?.first_chunk()?;
        let ssrc: [u8; 4] = *header.get(8..12)?.first_chunk()?;
        match self {
            Self::Gcm { key, salt } => {
                let nonce = Nonce::assume_unique_for_key(gcm_iv(salt, ssrc, roc, sequence));
                let aad = Aad::from(&*header);
                let computed = key.seal_in_place_separate_tag(nonce, aad, payload).ok()?;
                tag.copy_from_slice(computed.as_ref());
            }
            Self::Cm(cm) => {
                let CmSealer { key, salt, auth } = cm.as_ref();
                let iv = EncryptionContext::Iv128(cm_iv(salt, ssrc, roc, sequence).into());
                key.less_safe_encrypt(payload, iv).ok()?;
                let mut mac = hmac::Context::with_key(auth);
                mac.update(header);
                mac.update(payload);
                mac.update(&roc.to_be_bytes());
                tag.copy_from_slice(mac.sign().as_ref().get(..CM_TAG)?);
            }
        }
        Some(())
    }
}

/// RFC 7714 §8.1: two zero bytes, SSRC, rollover counter and sequence number, XORed with the salt.
fn gcm_iv(salt: &[u8; 12], ssrc: [u8; 4], roc: u32, sequence: [u8; 2]) -> [u8; 12] {
    let [a, b, c, d] = ssrc;
    let [e, f, g, h] = roc.to_be_bytes();
    let [i, j] = sequence;
    let mut iv = [0, 0, a, b, c, d, e, f, g, h, i, j];
    iv.iter_mut().zip(salt).for_each(|(v, s)| *v ^= s);
    iv
}

/// RFC 3711 §4.1.1: salt·2¹⁶ XOR SSRC·2⁶⁴ XOR index·2¹⁶.
fn cm_iv(salt: &[u8; 14], ssrc: [u8; 4], roc: u32, sequence: [u8; 2]) -> [u8; 16] {
    let [a, b, c, d] = ssrc;
    let [e, f, g, h] = roc.to_be_bytes();
    let [i, j] = sequence;
    let mut iv = [0, 0, 0, 0, a, b, c, d, e, f, g, h, i, j, 0, 0];
    iv.iter_mut().zip(salt).for_each(|(v, s)| *v ^= s);
    iv
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
    }

    /// RFC 7714 §16.1.1.
    #[test]
    fn gcm_gives_the_packet_of_rfc_7714() {
        let keys = RtpKeys::Gcm {
            key: *hex("000102030405060708090a0b0c0d0e0f").first_chunk().unwrap(),
            salt: *hex("517569642070726f2071756f").first_chunk().unwrap(),
        };
        let mut packet =
            hex("8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120
             696e2070 61727465 73207472 6573");
        packet.resize(packet.len() + MAX_TAG, 0);
        assert!(Sealer::new(&keys).unwrap().seal(&mut packet, 0));
        assert_eq!(
            packet,
            hex("8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f
                 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce")
        );
    }

    /// RFC 3711 §B.2: the key stream of AES-CM is what a payload of zeros encrypts to.
    #[test]
    fn cm_gives_the_key_stream_of_rfc_3711() {
        let keys = RtpKeys::Cm {
            key: *hex("2b7e151628aed2a6abf7158809cf4f3c").first_chunk().unwrap(),
            salt: *hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd").first_chunk().unwrap(),
            auth: [0; 20],
        };
        let mut packet = vec![0; FIXED_HEADER + 48 + CM_TAG];
        assert!(Sealer::new(&keys).unwrap().seal(&mut packet, 0));
        assert_eq!(
            packet[FIXED_HEADER..FIXED_HEADER + 48],
            hex("e03ead0935c95e80e166b16dd92b4eb4 d23513162b02d0f72a43a2fe4a5f97ab
                 41e95b3bb0a2e8dd477901e4fca894c0")
        );
    }

    #[test]
    fn a_retransmission_is_the_same_bytes_and_the_rollover_counter_changes_them() {
        let sealer = Sealer::new(&RtpKeys::Gcm { key: [1; 16], salt: [2; 12] }).unwrap();
        let sealed = |roc| {
            let mut p = vec![0x80; FIXED_HEADER + 100 + MAX_TAG];
            assert!(sealer.seal(&mut p, roc));
            p
        };
        assert_eq!(sealed(0), sealed(0));
        assert_ne!(sealed(0), sealed(1));
    }

    #[test]
    fn what_is_too_short_to_be_a_packet_is_not_sealed() {
        let sealer = Sealer::new(&RtpKeys::Gcm { key: [1; 16], salt: [2; 12] }).unwrap();
        assert!(!sealer.seal(&mut [0; 20], 0));
        assert!(!sealer.seal(&mut [0; 3], 0));
    }
}
