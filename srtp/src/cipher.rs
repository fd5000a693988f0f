//! The two ciphers, keyed once: a pass over a packet and a tag, in place.

use crate::keys::{CipherKeys, Profile};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

/// Most bytes sealing adds to an RTP packet: the tag of AEAD_AES_128_GCM.
pub const MAX_TAG: usize = 16;
const CM_TAG: usize = 10;
/// SHA-1's whole output, of which a tag is the beginning.
const SHA1: usize = 20;

/// The E flag and the index that follow a sealed compound RTCP packet (RFC 3711 §3.4).
pub(crate) const INDEX_WORD: usize = 4;
/// What of a compound RTCP packet stays readable: the first header and the sender's SSRC.
pub(crate) const RTCP_CLEAR: usize = 8;

/// The session keys can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the negotiated SRTP keys were not accepted by the crypto library")]
pub struct BadKeys;

/// One direction of RTP or of RTCP.
pub(crate) enum Cipher {
    Gcm { key: LessSafeKey, salt: [u8; 12] },
    Cm(Box<Cm>),
}

/// AES-CM with HMAC-SHA1-80.
pub(crate) struct Cm {
    key: EncryptingKey,
    salt: [u8; 14],
    auth: hmac::Key,
}

impl Cipher {
    pub(crate) fn new(profile: Profile, keys: &CipherKeys) -> Result<Self, BadKeys> {
        match profile {
            Profile::AeadAes128Gcm => {
                let key = UnboundKey::new(&AES_128_GCM, &keys.key).map_err(|_| BadKeys)?;
                let salt = *keys.salt.first_chunk().ok_or(BadKeys)?;
                Ok(Self::Gcm { key: LessSafeKey::new(key), salt })
            }
            Profile::Aes128CmHmacSha1_80 => {
                let key = UnboundCipherKey::new(&AES_128, &keys.key).map_err(|_| BadKeys)?;
                let key = EncryptingKey::ctr(key).map_err(|_| BadKeys)?;
                let auth = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &keys.auth);
                Ok(Self::Cm(Box::new(Cm { key, salt: keys.salt, auth })))
            }
        }
    }

    pub(crate) fn tag_len(&self) -> usize {
        match self {
            Self::Gcm { .. } => MAX_TAG,
            Self::Cm(_) => CM_TAG,
        }
    }

    /// Seals the packet that fills all but the last [`Self::tag_len`] bytes.
    #[inline]
    pub(crate) fn seal_rtp(&self, packet: &mut [u8], header_len: usize, roc: u32) -> Option<()> {
        let body_len = packet.len().checked_sub(self.tag_len())?;
        let RtpFields { ssrc, sequence } = RtpFields::of(packet.get(..header_len)?)?;
        match self {
            Self::Gcm { key, salt } => {
                let (body, tag) = packet.split_at_mut_checked(body_len)?;
                let (header, payload) = body.split_at_mut_checked(header_len)?;
                let nonce = Nonce::assume_unique_for_key(gcm_iv(salt, ssrc, roc, sequence));
                let aad = Aad::from(&*header);
                let computed = key.seal_in_place_separate_tag(nonce, aad, payload).ok()?;
                tag.copy_from_slice(computed.as_ref());
            }
            Self::Cm(cm) => {
                cm.apply(
                    packet.get_mut(header_len..body_len)?,
                    cm_iv(&cm.salt, ssrc, roc, sequence),
                )?;
                let tag = cm.rtp_tag(packet, body_len, roc)?;
                packet.get_mut(body_len..)?.copy_from_slice(tag.first_chunk::<CM_TAG>()?);
            }
        }
        Some(())
    }

    /// Checks and decrypts a whole sealed packet. Returns the length of what it protected;
    /// when `None`, the buffer's content is of no use any more.
    #[inline]
    pub(crate) fn open_rtp(&self, packet: &mut [u8], header_len: usize, roc: u32) -> Option<usize> {
        let body_len = packet.len().checked_sub(self.tag_len())?;
        let RtpFields { ssrc, sequence } = RtpFields::of(packet.get(..header_len)?)?;
        match self {
            Self::Gcm { key, salt } => {
                let (header, sealed) = packet.split_at_mut_checked(header_len)?;
                let nonce = Nonce::assume_unique_for_key(gcm_iv(salt, ssrc, roc, sequence));
                key.open_in_place(nonce, Aad::from(&*header), sealed).ok()?;
            }
            Self::Cm(cm) => {
                let received: [u8; CM_TAG] = *packet.get(body_len..)?.first_chunk()?;
                let tag = cm.rtp_tag(packet, body_len, roc)?;
                verify_slices_are_equal(tag.first_chunk::<CM_TAG>()?, &received).ok()?;
                cm.apply(
                    packet.get_mut(header_len..body_len)?,
                    cm_iv(&cm.salt, ssrc, roc, sequence),
                )?;
            }
        }
        Some(body_len)
    }

    /// Seals the compound packet that fills all but the last [`Self::tag_len`] +
    /// [`INDEX_WORD`] bytes.
    pub(crate) fn seal_rtcp(&self, packet: &mut [u8], index: u32) -> Option<()> {
        let body_len = packet.len().checked_sub(self.tag_len() + INDEX_WORD)?;
        let clear: [u8; RTCP_CLEAR] = *packet.get(..body_len)?.first_chunk()?;
        let word = (ENCRYPTED | index).to_be_bytes();
        match self {
            Self::Gcm { key, salt } => {
                let (body, trailer) = packet.split_at_mut_checked(body_len)?;
                let nonce = Nonce::assume_unique_for_key(gcm_rtcp_iv(salt, clear, index));
                let aad = Aad::from(rtcp_aad(clear, word));
                let secret = body.get_mut(RTCP_CLEAR..)?;
                let computed = key.seal_in_place_separate_tag(nonce, aad, secret).ok()?;
                let (tag, end) = trailer.split_at_mut_checked(MAX_TAG)?;
                tag.copy_from_slice(computed.as_ref());
                end.copy_from_slice(&word);
            }
            Self::Cm(cm) => {
                let iv = cm_rtcp_iv(&cm.salt, clear, index);
                cm.apply(packet.get_mut(RTCP_CLEAR..body_len)?, iv)?;
                packet.get_mut(body_len..body_len + INDEX_WORD)?.copy_from_slice(&word);
                let tag = cm.tag(packet.get(..body_len + INDEX_WORD)?)?;
                let end = packet.get_mut(body_len + INDEX_WORD..)?;
                end.copy_from_slice(tag.first_chunk::<CM_TAG>()?);
            }
        }
        Some(())
    }

    /// The index word of a sealed compound packet; its E flag must be set, for nothing
    /// negotiated over DTLS sends RTCP unencrypted.
    pub(crate) fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let from_end = match self {
            Self::Gcm { .. } => INDEX_WORD,
            Self::Cm(_) => INDEX_WORD + CM_TAG,
        };
        let at = packet.len().checked_sub(from_end)?;
        let word = u32::from_be_bytes(*packet.get(at..)?.first_chunk()?);
        (word & ENCRYPTED != 0).then_some(word & !ENCRYPTED)
    }

    /// As [`Self::open_rtp`], for RTCP.
    pub(crate) fn open_rtcp(&self, packet: &mut [u8], index: u32) -> Option<usize> {
        let body_len = packet.len().checked_sub(self.tag_len() + INDEX_WORD)?;
        let clear: [u8; RTCP_CLEAR] = *packet.get(..body_len)?.first_chunk()?;
        match self {
            Self::Gcm { key, salt } => {
                let nonce = Nonce::assume_unique_for_key(gcm_rtcp_iv(salt, clear, index));
                let aad = Aad::from(rtcp_aad(clear, (ENCRYPTED | index).to_be_bytes()));
                let sealed = packet.get_mut(RTCP_CLEAR..body_len + MAX_TAG)?;
                key.open_in_place(nonce, aad, sealed).ok()?;
            }
            Self::Cm(cm) => {
                let (signed, received) = packet.split_at_checked(body_len + INDEX_WORD)?;
                let tag = cm.tag(signed)?;
                verify_slices_are_equal(tag.first_chunk::<CM_TAG>()?, received).ok()?;
                let iv = cm_rtcp_iv(&cm.salt, clear, index);
                cm.apply(packet.get_mut(RTCP_CLEAR..body_len)?, iv)?;
            }
        }
        Some(body_len)
    }
}

/// The E flag of the index word.
const ENCRYPTED: u32 = 1 << 31;

impl Cm {
    fn apply(&self, payload: &mut [u8], iv: [u8; 16]) -> Option<()> {
        let iv = EncryptionContext::Iv128(iv.into());
        self.key.less_safe_encrypt(payload, iv).ok().map(drop)
    }

    /// The tag of the first `body_len` bytes and the rollover counter (RFC 3711 §4.2), which is
    /// written into the tag's place for the one pass.
    fn rtp_tag(&self, packet: &mut [u8], body_len: usize, roc: u32) -> Option<[u8; SHA1]> {
        let signed = body_len + 4;
        packet.get_mut(body_len..signed)?.copy_from_slice(&roc.to_be_bytes());
        self.tag(packet.get(..signed)?)
    }

    fn tag(&self, signed: &[u8]) -> Option<[u8; SHA1]> {
        let mut tag = [0; SHA1];
        hmac::sign_to_buffer(&self.auth, signed, &mut tag).ok()?;
        Some(tag)
    }
}

/// What of an RTP header goes into the initialisation vector.
struct RtpFields {
    ssrc: [u8; 4],
    sequence: [u8; 2],
}

impl RtpFields {
    #[inline]
    fn of(header: &[u8]) -> Option<Self> {
        let [_, _, s0, s1, _, _, _, _, a, b, c, d] = *header.first_chunk()?;
        Some(Self { ssrc: [a, b, c, d], sequence: [s0, s1] })
    }
}

/// RFC 7714 §8.1: two zero bytes, SSRC, rollover counter and sequence number, XORed with the salt.
#[inline]
fn gcm_iv(salt: &[u8; 12], ssrc: [u8; 4], roc: u32, sequence: [u8; 2]) -> [u8; 12] {
    let [a, b, c, d] = ssrc;
    let [e, f, g, h] = roc.to_be_bytes();
    let [i, j] = sequence;
    xor([0, 0, a, b, c, d, e, f, g, h, i, j], salt)
}

/// RFC 7714 §9.1: two zero bytes, SSRC, two zero bytes and the index, XORed with the salt.
fn gcm_rtcp_iv(salt: &[u8; 12], clear: [u8; RTCP_CLEAR], index: u32) -> [u8; 12] {
    let [_, _, _, _, a, b, c, d] = clear;
    let [e, f, g, h] = index.to_be_bytes();
    xor([0, 0, a, b, c, d, 0, 0, e, f, g, h], salt)
}

/// RFC 7714 §9.2: what is authenticated but not encrypted.
fn rtcp_aad(clear: [u8; RTCP_CLEAR], word: [u8; INDEX_WORD]) -> [u8; RTCP_CLEAR + INDEX_WORD] {
    let mut aad = [0; RTCP_CLEAR + INDEX_WORD];
    aad.iter_mut().zip(clear.iter().chain(&word)).for_each(|(a, b)| *a = *b);
    aad
}

/// RFC 3711 §4.1.1: salt·2¹⁶ XOR SSRC·2⁶⁴ XOR index·2¹⁶.
fn cm_iv(salt: &[u8; 14], ssrc: [u8; 4], roc: u32, sequence: [u8; 2]) -> [u8; 16] {
    let [a, b, c, d] = ssrc;
    let [e, f, g, h] = roc.to_be_bytes();
    let [i, j] = sequence;
    xor([0, 0, 0, 0, a, b, c, d, e, f, g, h, i, j, 0, 0], salt)
}

/// The same with the 31-bit index of RTCP.
fn cm_rtcp_iv(salt: &[u8; 14], clear: [u8; RTCP_CLEAR], index: u32) -> [u8; 16] {
    let [_, _, _, _, a, b, c, d] = clear;
    let [e, f, g, h] = index.to_be_bytes();
    xor([0, 0, 0, 0, a, b, c, d, 0, 0, e, f, g, h, 0, 0], salt)
}

#[inline]
fn xor<const N: usize>(mut iv: [u8; N], salt: &[u8]) -> [u8; N] {
    iv.iter_mut().zip(salt).for_each(|(v, s)| *v ^= s);
    iv
}

#[cfg(test)]
pub(crate) mod testing {
    /// Bytes from their hexadecimal digits; all else is skipped.
    pub(crate) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
    }
}
