//! STUN as an ICE-lite agent meets it (RFC 8489; RFC 8445 §7): binding requests of a peer are
//! read, their integrity is checked, and they are answered. It sends no request, keeps no
//! state and never panics on bytes from the network.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use bytes::{BufMut, BytesMut};
use std::net::{IpAddr, SocketAddr};

const HEADER: usize = 20;
const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// RFC 5389 had none: it sent this constant into the fingerprint's CRC (RFC 8489 §14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;
const FINGERPRINT_LEN: usize = 8;
const INTEGRITY_LEN: usize = 24;

const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const BINDING_ERROR: [u8; 2] = [0x01, 0x11];

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
/// Attributes below this must be understood, or the request be refused (RFC 8489 §14).
const COMPREHENSION_OPTIONAL: u16 = 0x8000;

/// Unknown attributes named in a refusal; the rest go without saying.
const MAX_UNKNOWN: usize = 8;

/// What a refusal says (RFC 8489 §14.8, RFC 8445 §7.3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 420: attributes that must be understood and are not.
    UnknownAttribute,
    /// 487: the peer thinks that we are in control.
    RoleConflict,
}

/// A binding request, read but not believed: [`Self::is_genuine`] says whether the sender
/// knows the password.
#[derive(Debug, Clone, Copy)]
pub struct BindingRequest<'a> {
    /// Everything before MESSAGE-INTEGRITY.
    signed: &'a [u8],
    signature: &'a [u8],
    transaction: [u8; 12],
    username: &'a str,
    /// The peer chose this pair (USE-CANDIDATE).
    pub nominates: bool,
    /// The peer says that it is in the controlled role, as we always are.
    pub is_controlled: bool,
    unknown: [u16; MAX_UNKNOWN],
    unknown_len: usize,
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Whether a datagram is STUN and not DTLS or media (RFC 7983 §7).
#[must_use]
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|b| *b <= 3)
}

impl<'a> BindingRequest<'a> {
    /// Reads a binding request with a user name and message integrity, which is what an ICE
    /// check is; anything else is `None`.
    #[must_use]
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let header = message.first_chunk::<HEADER>()?;
        let (kind, rest) = header.split_first_chunk::<2>()?;
        let (len, rest) = rest.split_first_chunk::<2>()?;
        let (magic, transaction) = rest.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes(*len));
        if *kind != BINDING_REQUEST
            || *magic != MAGIC
            || message.len() != HEADER + len
            || len % 4 != 0
        {
            return None;
        }
        let mut request = Self {
            signed: &[],
            signature: &[],
            transaction: *transaction.first_chunk()?,
            username: "",
            nominates: false,
            is_controlled: false,
            unknown: [0; MAX_UNKNOWN],
            unknown_len: 0,
        };
        let mut at = HEADER;
        while at < message.len() {
            let kind = be16(message, at)?;
            let len = usize::from(be16(message, at + 2)?);
            let value = message.get(at + 4..at + 4 + len)?;
            let next = at + 4 + len.next_multiple_of(4);
            match kind {
                MESSAGE_INTEGRITY => {
                    request.signed = message.get(..at)?;
                    request.signature = value;
                    // What follows is not signed and, but for the fingerprint, doesn't count
                    // (RFC 8489 §14.5).
                    return request.check_rest(message, next);
                }
                FINGERPRINT => return None,
                USERNAME => request.username = std::str::from_utf8(value).ok()?,
                USE_CANDIDATE => request.nominates = true,
                ICE_CONTROLLED => request.is_controlled = true,
                PRIORITY => {}
                unknown if unknown < COMPREHENSION_OPTIONAL => {
                    if let Some(place) = request.unknown.get_mut(request.unknown_len) {
                        *place = unknown;
                        request.unknown_len += 1;
                    }
                }
                _ => {}
            }
            at = next;
        }
        None
    }

    /// Finds the fingerprint behind the integrity; a wrong one means that this is no STUN.
    fn check_rest(self, message: &[u8], mut at: usize) -> Option<Self> {
        if self.username.is_empty() {
            return None;
        }
        while at < message.len() {
            let kind = be16(message, at)?;
            let len = usize::from(be16(message, at + 2)?);
            let value = message.get(at + 4..at + 4 + len)?;
            if kind == FINGERPRINT {
                let said = u32::from_be_bytes(*value.first_chunk()?);
                let last = at + FINGERPRINT_LEN == message.len();
                return (last && said == fingerprint(message.get(..at)?)).then_some(self);
            }
            at += 4 + len.next_multiple_of(4);
        }
        Some(self)
    }

    /// The part of the user name that is ours: the check is for the peer with this fragment.
    #[must_use]
    pub fn local_fragment(&self) -> &'a str {
        self.username.split_once(':').map_or(self.username, |(local, _)| local)
    }

    /// Whether the sender knows `password` (RFC 8489 §9.1.3).
    #[must_use]
    pub fn is_genuine(&self, password: &str) -> bool {
        let end = self.signed.len() + INTEGRITY_LEN - HEADER;
        let computed = sign(self.signed, end, password);
        verify_slices_are_equal(computed.as_ref(), self.signature).is_ok()
    }

    /// Whether it has attributes that must be understood and are not.
    #[must_use]
    pub fn has_unknown(&self) -> bool {
        self.unknown_len > 0
    }

    /// The success response to a check that came from `mapped` (RFC 8445 §7.3.1.2).
    #[must_use]
    pub fn accept(&self, mapped: SocketAddr, password: &str) -> BytesMut {
        let mut message = self.begin(BINDING_SUCCESS);
        put_xor_address(&mut message, mapped, &self.transaction);
        finish(message, password)
    }

    /// The error response.
    #[must_use]
    pub fn refuse(&self, why: Refusal, password: &str) -> BytesMut {
        let mut message = self.begin(BINDING_ERROR);
        let (class, number, reason) = match why {
            Refusal::UnknownAttribute => (4, 20, "Unknown Attribute"),
            Refusal::RoleConflict => (4, 87, "Role Conflict"),
        };
        let mut value = vec![0, 0, class, number];
        value.extend_from_slice(reason.as_bytes());
        put(&mut message, ERROR_CODE, &value);
        if why == Refusal::UnknownAttribute {
            let unknown = self.unknown.iter().take(self.unknown_len);
            let value: Vec<u8> = unknown.flat_map(|a| a.to_be_bytes()).collect();
            put(&mut message, UNKNOWN_ATTRIBUTES, &value);
        }
        finish(message, password)
    }

    fn begin(&self, kind: [u8; 2]) -> BytesMut {
        let mut message = BytesMut::with_capacity(96);
        message.put_slice(&kind);
        message.put_u16(0);
        message.put_slice(&MAGIC);
        message.put_slice(&self.transaction);
        message
    }
}

fn put(message: &mut BytesMut, kind: u16, value: &[u8]) {
    message.put_u16(kind);
    // Only our own attributes come here; the longest has some 40 bytes.
    message.put_u16(value.len() as u16);
    message.put_slice(value);
    message.put_bytes(0, value.len().next_multiple_of(4) - value.len());
}

/// RFC 8489 §14.2.
fn put_xor_address(message: &mut BytesMut, address: SocketAddr, transaction: &[u8; 12]) {
    let key = MAGIC.iter().chain(transaction);
    let xored = |ip: &[u8]| ip.iter().zip(key).map(|(a, b)| a ^ b).collect::<Vec<u8>>();
    let (family, ip) = match address.ip() {
        IpAddr::V4(ip) => (1, xored(&ip.octets())),
        IpAddr::V6(ip) => (2, xored(&ip.octets())),
    };
    let port = address.port() ^ u16::from_be_bytes([0x21, 0x12]);
    let mut value = vec![0, family];
    value.extend_from_slice(&port.to_be_bytes());
    value.extend_from_slice(&ip);
    put(message, XOR_MAPPED_ADDRESS, &value);
}

/// Puts the length, MESSAGE-INTEGRITY and FINGERPRINT to a message.
fn finish(mut message: BytesMut, password: &str) -> BytesMut {
    let signed = sign(&message, message.len() + INTEGRITY_LEN - HEADER, password);
    put(&mut message, MESSAGE_INTEGRITY, signed.as_ref());
    let len = message.len() + FINGERPRINT_LEN - HEADER;
    if let Some(place) = message.get_mut(2..4) {
        place.copy_from_slice(&(len as u16).to_be_bytes());
    }
    let crc = fingerprint(&message);
    put(&mut message, FINGERPRINT, &crc.to_be_bytes());
    message
}

/// HMAC-SHA1 over `message` as if its header said `len` (RFC 8489 §14.5).
fn sign(message: &[u8], len: usize, password: &str) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    let (kind, rest) = message.split_at_checked(2).unwrap_or_default();
    context.update(kind);
    context.update(&(len as u16).to_be_bytes());
    context.update(rest.get(2..).unwrap_or_default());
    context.sign()
}

/// RFC 8489 §14.7, over everything before the attribute, with the length including it.
fn fingerprint(message: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc32_table();
    let crc = message.iter().fold(u32::MAX, |crc, byte| {
        let at = (crc as u8 ^ byte) as usize;
        TABLE.get(at).copied().unwrap_or_default() ^ (crc >> 8)
    });
    !crc ^ FINGERPRINT_XOR
}

/// ITU-T V.42, as Ethernet and zip use it.
#[allow(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn crc32_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut crc = n as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[n] = crc;
        n += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 5769 §2.1: a request of `evtj:h6vY` with password `VOkJxbRl1RmTxUk/WvJxBt`.
    const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae\
        802200105354554e207465737420636c69656e74\
        002400046e0001ff80290008932ff9b151263b36\
        0006000965 76746a3a68367659202020\
        000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2\
        80280004e57a3bcf";
    const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
    }

    #[test]
    fn the_request_of_rfc_5769_is_read_and_found_genuine() {
        let message = bytes(REQUEST);
        let request = BindingRequest::parse(&message).unwrap();
        assert_eq!(request.local_fragment(), "evtj");
        assert!(request.is_controlled && !request.nominates && !request.has_unknown());
        assert!(request.is_genuine(PASSWORD));
        assert!(!request.is_genuine("VOkJxbRl1RmTxUk/WvJxBu"));
    }

    /// RFC 5769 §2.2 and §2.3, whose responses differ from ours in SOFTWARE alone.
    #[test]
    fn addresses_are_mapped_as_in_rfc_5769() {
        let message = bytes(REQUEST);
        let request = BindingRequest::parse(&message).unwrap();
        let v4 = request.accept("192.0.2.1:32853".parse().unwrap(), PASSWORD);
        assert_eq!(v4[20..32], bytes("002000080001a147e112a643")[..]);
        let v6 = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
        let v6 = request.accept(v6, PASSWORD);
        assert_eq!(v6[20..44], bytes("002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9")[..]);
    }

    /// What a full agent does with an answer of ours.
    fn is_sound(message: &[u8], password: &str) -> bool {
        let end = message.len() - FINGERPRINT_LEN;
        let crc = u32::from_be_bytes(*message[end + 4..].first_chunk().unwrap());
        let signed = &message[..end - INTEGRITY_LEN];
        let tag = sign(signed, end - HEADER, password);
        fingerprint(&message[..end]) == crc
            && usize::from(be16(message, 2).unwrap()) == message.len() - HEADER
            && message[end - 20..end] == *tag.as_ref()
    }

    #[test]
    fn answers_are_signed_and_carry_the_transaction() {
        let message = bytes(REQUEST);
        let request = BindingRequest::parse(&message).unwrap();
        let answers = [
            request.accept("[::1]:9".parse().unwrap(), PASSWORD),
            request.refuse(Refusal::RoleConflict, PASSWORD),
            request.refuse(Refusal::UnknownAttribute, PASSWORD),
        ];
        for answer in answers {
            assert!(is_sound(&answer, PASSWORD));
            assert_eq!(answer[4..20], message[4..20]);
        }
    }

    #[test]
    fn what_is_not_signed_does_not_count() {
        let mut message = bytes(REQUEST);
        // USE-CANDIDATE between the integrity and a fingerprint that was made to fit.
        message.truncate(message.len() - FINGERPRINT_LEN);
        message.extend_from_slice(&[0, 0x25, 0, 0]);
        let len = (message.len() + FINGERPRINT_LEN - HEADER) as u16;
        message[2..4].copy_from_slice(&len.to_be_bytes());
        let crc = fingerprint(&message).to_be_bytes();
        message.extend_from_slice(&[0x80, 0x28, 0, 4]);
        message.extend_from_slice(&crc);
        let request = BindingRequest::parse(&message).unwrap();
        assert!(request.is_genuine(PASSWORD) && !request.nominates);
    }

    #[test]
    fn an_attribute_that_must_be_understood_is_named_in_the_refusal() {
        let mut message = BytesMut::new();
        message.put_slice(&bytes("000100002112a442b7e7a701bc34d686fa87dfae"));
        put(&mut message, USERNAME, b"a:b");
        put(&mut message, 0x7777, &[1]);
        let message = finish(message, "secret");
        let request = BindingRequest::parse(&message).unwrap();
        assert!(request.has_unknown() && request.is_genuine("secret"));
        let refusal = request.refuse(Refusal::UnknownAttribute, "secret");
        let named = bytes("000a000277770000");
        assert!(refusal.windows(8).any(|w| w == named));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_passed_over(datagram in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(request) = BindingRequest::parse(&datagram) {
                prop_assert!(!request.is_genuine(PASSWORD));
            }
        }

        #[test]
        fn a_tampered_request_is_never_genuine(at in 0usize..100, bit in 0u8..8) {
            let mut message = bytes(REQUEST);
            message[at] ^= 1 << bit;
            let genuine = BindingRequest::parse(&message).is_some_and(|r| r.is_genuine(PASSWORD));
            prop_assert!(!genuine);
        }
    }
}
