//! What recording needs to know of H.264 and VP8 without decoding them: parameter sets, the
//! picture's size, where a decoder can begin. No input panics.

use serde::{Deserialize, Serialize};

const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
const NAL_STAP_A: u8 = 24;
const NAL_FU_A: u8 = 28;

/// What must stay the same within a part: when it changes, a new file is begun.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Format {
    pub width: u32,
    pub height: u32,
    /// H.264: SPS and PPS in the order they came; empty for others.
    #[serde(skip)]
    pub parameter_sets: Vec<Vec<u8>>,
}

/// The NAL units that lie whole in one RTP payload (RFC 6184 §5.6, §5.7.1), and the type of
/// the fragment that begins in it (§5.8).
fn nal_units(payload: &[u8]) -> (Vec<&[u8]>, Option<u8>) {
    let Some((&head, mut rest)) = payload.split_first() else { return (vec![], None) };
    match head & 0x1f {
        NAL_STAP_A => {
            let mut units = vec![];
            while let Some((size, tail)) = rest.split_first_chunk::<2>() {
                let size = usize::from(u16::from_be_bytes(*size));
                let Some(unit) = tail.get(..size) else { break };
                units.push(unit);
                rest = tail.get(size..).unwrap_or_default();
            }
            (units, None)
        }
        NAL_FU_A => (vec![], rest.first().filter(|b| **b & 0x80 != 0).map(|b| b & 0x1f)),
        1..=23 => (vec![payload], None),
        _ => (vec![], None),
    }
}

/// The format an H.264 frame begins, when it has an IDR picture with its parameter sets.
#[must_use]
pub fn h264_format<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Format> {
    let mut format = Format::default();
    let mut idr = false;
    for payload in payloads {
        let (units, fragment) = nal_units(payload);
        idr |= fragment == Some(NAL_IDR);
        for unit in units {
            match unit.first().map(|b| b & 0x1f) {
                Some(NAL_IDR) => idr = true,
                Some(NAL_SPS) => {
                    (format.width, format.height) = sps_size(unit)?;
                    format.parameter_sets.push(unit.to_vec());
                }
                Some(NAL_PPS) => format.parameter_sets.push(unit.to_vec()),
                _ => {}
            }
        }
    }
    (idr && format.width > 0).then_some(format)
}

/// The format a VP8 key frame begins (RFC 6386 §9.1): `frame` is the frame's first bytes,
/// payload descriptor taken off.
#[must_use]
pub fn vp8_format(frame: &[u8]) -> Option<Format> {
    let head = frame.first_chunk::<10>()?;
    let [tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = *head else { return None };
    if tag & 1 != 0 {
        return None;
    }
    let size = |a, b| u32::from(u16::from_le_bytes([a, b]) & 0x3fff);
    Some(Format { width: size(w0, w1), height: size(h0, h1), parameter_sets: vec![] })
}

/// Picture width and height of a sequence parameter set (H.264 §7.3.2.1), cropping applied.
#[must_use]
pub fn sps_size(sps: &[u8]) -> Option<(u32, u32)> {
    let bytes = unescaped(sps.get(1..)?);
    let mut b = Bits { bytes: &bytes, at: 0 };
    let profile = b.bits(8)?;
    b.bits(16)?;
    b.ue()?;
    let mut chroma = 1;
    if [100, 110, 122, 244, 44, 83, 86, 118, 128].contains(&profile) {
        chroma = b.ue()?;
        if chroma == 3 {
            b.bits(1)?;
        }
        b.ue()?;
        b.ue()?;
        b.bits(1)?;
        if b.bits(1)? == 1 {
            for i in 0..if chroma == 3 { 12 } else { 8 } {
                if b.bits(1)? == 1 {
                    b.scaling_list(if i < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    b.ue()?;
    match b.ue()? {
        0 => {
            b.ue()?;
        }
        1 => {
            b.bits(1)?;
            b.ue()?;
            b.ue()?;
            for _ in 0..b.ue()?.min(255) {
                b.ue()?;
            }
        }
        _ => {}
    }
    b.ue()?;
    b.bits(1)?;
    let width = b.ue()?.checked_add(1)?.checked_mul(16)?;
    let map_units = b.ue()?.checked_add(1)?;
    let frames_only = b.bits(1)?;
    let height = map_units.checked_mul(16)?.checked_mul(2 - frames_only)?;
    if frames_only == 0 {
        b.bits(1)?;
    }
    b.bits(1)?;
    let (mut crop_x, mut crop_y) = (0u32, 0u32);
    if b.bits(1)? == 1 {
        let (sub_x, sub_y) = match chroma {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        crop_x = b.ue()?.checked_add(b.ue()?)?.checked_mul(sub_x)?;
        crop_y = b.ue()?.checked_add(b.ue()?)?.checked_mul(sub_y * (2 - frames_only))?;
    }
    let size = (width.checked_sub(crop_x)?, height.checked_sub(crop_y)?);
    (size.0 > 0 && size.1 > 0).then_some(size)
}

/// Emulation prevention bytes taken out (H.264 §7.4.1).
fn unescaped(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &b in nal {
        if zeros >= 2 && b == 3 {
            zeros = 0;
            continue;
        }
        zeros = if b == 0 { zeros + 1 } else { 0 };
        out.push(b);
    }
    out
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bits(&mut self, n: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..n {
            let byte = self.bytes.get(self.at / 8)?;
            value = (value << 1) | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bits(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some(((1u32 << zeros) - 1) + self.bits(zeros)?)
    }

    fn scaling_list(&mut self, size: u32) -> Option<()> {
        let (mut last, mut next) = (8i64, 8i64);
        for _ in 0..size {
            if next != 0 {
                let code = i64::from(self.ue()?);
                let delta = if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) };
                next = (last + delta + 256).rem_euclid(256);
            }
            if next != 0 {
                last = next;
            }
        }
        Some(())
    }
}

/// Parameter sets out of an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1).
#[must_use]
pub fn avcc_parameter_sets(avcc: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = avcc.get(5..)?;
    let mut sets = vec![];
    for mask in [0x1f, 0xff] {
        let (&count, tail) = rest.split_first()?;
        rest = tail;
        for _ in 0..count & mask {
            let (size, tail) = rest.split_first_chunk::<2>()?;
            let size = usize::from(u16::from_be_bytes(*size));
            sets.push(tail.get(..size)?.to_vec());
            rest = tail.get(size..)?;
        }
    }
    Some(sets)
}

/// The configuration record for these parameter sets, 4-byte lengths.
#[must_use]
pub fn avcc(sets: &[Vec<u8>]) -> Option<Vec<u8>> {
    let of = |kind| sets.iter().filter(move |s| s.first().is_some_and(|b| b & 0x1f == kind));
    let first = of(NAL_SPS).next()?;
    let mut out = vec![1, *first.get(1)?, *first.get(2)?, *first.get(3)?, 0xff];
    for (kind, flags) in [(NAL_SPS, 0xe0), (NAL_PPS, 0)] {
        out.push(flags | of(kind).count() as u8);
        for set in of(kind) {
            out.extend_from_slice(&(set.len() as u16).to_be_bytes());
            out.extend_from_slice(set);
        }
    }
    Some(out)
}

/// Whether an access unit of 4-byte-length NAL units brings its own SPS.
#[must_use]
pub fn unit_has_sps(mut unit: &[u8]) -> bool {
    while let Some((size, tail)) = unit.split_first_chunk::<4>() {
        let size = u32::from_be_bytes(*size) as usize;
        if tail.first().is_some_and(|b| b & 0x1f == NAL_SPS) {
            return true;
        }
        unit = tail.get(size..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x264, 320×180 (cropped from 192 lines), constrained baseline.
    const SPS_320X180: [u8; 25] = [
        0x67, 0x42, 0xc0, 0x0c, 0xd9, 0x01, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00,
        0x10, 0x00, 0x00, 0x03, 0x01, 0xe8, 0xf1, 0x42, 0xa4, 0x80,
    ];

    #[test]
    fn a_cropped_size_is_read_from_the_parameter_set() {
        assert_eq!(sps_size(&SPS_320X180), Some((320, 180)));
    }

    #[test]
    fn an_idr_in_fragments_behind_its_parameter_sets_begins_a_format() {
        let mut stap = vec![0x78, 0, 25];
        stap.extend_from_slice(&SPS_320X180);
        stap.extend_from_slice(&[0, 2, 0x68, 0xce]);
        let fragment = [0x7c, 0x85, 1, 2, 3];
        let format = h264_format([&stap[..], &fragment[..]].into_iter()).unwrap();
        assert_eq!((format.width, format.height, format.parameter_sets.len()), (320, 180, 2));
        assert_eq!(h264_format([&stap[..]].into_iter()), None, "parameter sets alone");
        assert_eq!(h264_format([&fragment[..]].into_iter()), None, "no parameter sets");
    }

    #[test]
    fn a_configuration_record_gives_back_its_sets() {
        let sets = vec![SPS_320X180.to_vec(), vec![0x68, 0xce, 0x3c, 0x80]];
        assert_eq!(avcc_parameter_sets(&avcc(&sets).unwrap()), Some(sets));
        assert_eq!(avcc_parameter_sets(&[1, 2, 3]), None);
    }

    #[test]
    fn a_vp8_key_frame_has_its_size() {
        let frame = [0x50, 0x36, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00, 0, 0];
        let format = vp8_format(&frame).unwrap();
        assert_eq!((format.width, format.height), (320, 180));
        assert_eq!(vp8_format(&[0x51; 12]), None);
    }

    #[test]
    fn cut_short_or_random_bytes_are_refused() {
        for n in 0..SPS_320X180.len() {
            let _ = sps_size(&SPS_320X180[..n]);
        }
        let mut x = 1u32;
        for _ in 0..5000 {
            let junk: Vec<u8> = (0..40)
                .map(|_| {
                    x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (x >> 24) as u8
                })
                .collect();
            let _ = sps_size(&junk);
            let _ = h264_format([&junk[..]].into_iter());
            let _ = avcc_parameter_sets(&junk);
            let _ = unit_has_sps(&junk);
        }
    }
}
