//! H.264 payloads (RFC 6184): the NAL units of a packet, whole, aggregated (STAP-A) or in
//! fragments (FU-A).

/// Coded slice of a picture that is not an IDR picture.
pub const SLICE: u8 = 1;
/// Coded slice of an IDR picture.
pub const IDR: u8 = 5;
pub const SEI: u8 = 6;
pub const SPS: u8 = 7;
pub const PPS: u8 = 8;
pub const ACCESS_UNIT_DELIMITER: u8 = 9;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// A NAL unit, or a fragment of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit<'a> {
    /// Its header byte (H.264 §7.3.1), of a fragment as the whole unit has it.
    pub header: u8,
    /// nal_unit_type (H.264 table 7-1).
    pub kind: u8,
    /// The unit begins here: false for all but the first fragment.
    pub begins: bool,
    /// What follows the unit's header, of a fragment that of the fragment.
    pub body: &'a [u8],
}

impl Unit<'_> {
    /// The first slice of a picture: first_mb_in_slice is 0, as an Exp-Golomb number a single 1.
    #[must_use]
    pub fn begins_picture(&self) -> bool {
        let slice = matches!(self.kind, SLICE | IDR);
        slice && self.begins && self.body.first().is_some_and(|b| b & 0x80 != 0)
    }
}

/// Walks the units of one packet.
#[derive(Debug, Clone)]
pub struct Units<'a> {
    rest: Rest<'a>,
}

#[derive(Debug, Clone)]
enum Rest<'a> {
    One(Unit<'a>),
    Aggregated(&'a [u8]),
    Done,
}

/// The units of a payload. A packet that is cut short, or of a kind that the
/// packetization modes of WebRTC don't have, ends where it can't be read on.
#[must_use]
pub fn units(payload: &[u8]) -> Units<'_> {
    let rest = match payload.split_first() {
        None => Rest::Done,
        Some((head, body)) => match head & 0x1f {
            kind @ 1..=23 => Rest::One(Unit { header: *head, kind, begins: true, body }),
            STAP_A => Rest::Aggregated(body),
            FU_A => match body.split_first() {
                Some((of, body)) => {
                    let (kind, begins) = (of & 0x1f, of & 0x80 != 0);
                    Rest::One(Unit { header: head & 0xe0 | kind, kind, begins, body })
                }
                None => Rest::Done,
            },
            _ => Rest::Done,
        },
    };
    Units { rest }
}

impl<'a> Iterator for Units<'a> {
    type Item = Unit<'a>;

    fn next(&mut self) -> Option<Unit<'a>> {
        match std::mem::replace(&mut self.rest, Rest::Done) {
            Rest::One(unit) => Some(unit),
            Rest::Aggregated(bytes) => {
                let (size, tail) = bytes.split_first_chunk::<2>()?;
                let (unit, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
                let (head, body) = unit.split_first()?;
                self.rest = Rest::Aggregated(tail);
                Some(Unit { header: *head, kind: head & 0x1f, begins: true, body })
            }
            Rest::Done => None,
        }
    }
}

/// Whether a decoder that has seen nothing can begin with this packet: it brings a sequence
/// parameter set, as WebRTC senders put before every IDR picture.
#[must_use]
pub fn begins_keyframe(payload: &[u8]) -> bool {
    units(payload).any(|u| u.kind == SPS && u.begins)
}

/// Whether a picture can begin with this packet: with what stands before its first slice
/// (H.264 §7.4.1.2.3), or with that slice.
#[must_use]
pub fn begins_picture(payload: &[u8]) -> bool {
    let leads = |kind| matches!(kind, SEI | SPS | PPS | ACCESS_UNIT_DELIMITER);
    units(payload).next().is_some_and(|u| u.begins && leads(u.kind) || u.begins_picture())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(payload: &[u8]) -> Vec<(u8, bool)> {
        units(payload).map(|u| (u.kind, u.begins)).collect()
    }

    #[test]
    fn units_are_found_whole_aggregated_and_in_fragments() {
        assert_eq!(kinds(&[0x67, 0x42]), [(SPS, true)]);
        let stap = [0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68, 0, 2, 0x65, 0x88];
        assert_eq!(kinds(&stap), [(SPS, true), (PPS, true), (IDR, true)]);
        assert_eq!(kinds(&[0x7c, 0x85, 0x88]), [(IDR, true)]);
        assert_eq!(kinds(&[0x7c, 0x05, 0x88]), [(IDR, false)]);
        assert_eq!(kinds(&[0x78, 0, 2, 0x67, 0x42, 0, 9, 0x68]), [(SPS, true)], "cut short");
        assert_eq!(kinds(&[0x7d, 1]), [], "FU-B");
        assert_eq!(kinds(&[]), []);
    }

    #[test]
    fn a_keyframe_begins_with_its_parameter_sets() {
        assert!(begins_keyframe(&[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68]));
        assert!(!begins_keyframe(&[0x7c, 0x85, 0x88]), "an IDR fragment without an SPS");
        assert!(!begins_keyframe(&[0x41, 0x9a]));
    }

    #[test]
    fn a_picture_begins_with_its_first_slice_or_what_stands_before_it() {
        assert!(begins_picture(&[0x41, 0x9a]));
        assert!(!begins_picture(&[0x41, 0x4a]), "a later slice");
        assert!(begins_picture(&[0x7c, 0x81, 0x9a]));
        assert!(!begins_picture(&[0x7c, 0x41, 0x9a]), "a later fragment");
        assert!(begins_picture(&[0x06, 0x05]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(units(&bytes).count() <= bytes.len());
            let _ = (begins_keyframe(&bytes), begins_picture(&bytes));
        }
    }
}
