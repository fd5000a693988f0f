//! Frames as RTP payloads that look like a browser's: H.264 (RFC 6184) in STAP-A and FU-A, VP8
//! (RFC 7741) with picture ids, Opus (RFC 7587). What a forwarder looks at is there; what only
//! a decoder would look at is noise, and the end of each payload is a [`Stamp`].

use super::encoder::Frame;
use super::stamp::{STAMP, Stamp};
use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// How the video is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VideoCodec {
    H264,
    Vp8,
}

/// A constrained-baseline sequence parameter set of 1280 × 720, and its picture parameter set.
const SPS: [u8; 16] = [
    0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40, 0x28, 0x02, 0xdd, 0x80, 0xb5, 0x01, 0x01, 0x01, 0x40,
];
const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];
/// An SEI message of user data (ITU-T H.264 §D.1.7) with room for the stamp.
const SEI: [u8; 3] = [0x06, 0x05, (16 + STAMP) as u8];
const STAP_A: u8 = 0x78;
const FU_A: u8 = 0x7c;
const FU_A_DISPOSABLE: u8 = 0x5c;
const IDR_SLICE: u8 = 5;
const SLICE: u8 = 1;

/// Least bytes of coded data in a packet that has a stamp.
const LEAST: usize = STAMP + 4;

/// The payloads of one frame, in one buffer.
#[derive(Debug, Default)]
pub struct Payloads {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Payloads {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn close(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    /// Stamps every payload; `stamp` is that of the first.
    fn stamp(&mut self, mut stamp: Stamp) {
        stamp.count = self.ends.len() as u16;
        let mut start = 0;
        for end in &self.ends {
            stamp.write(&mut self.bytes[start..*end]);
            stamp.number = stamp.number.wrapping_add(1);
            stamp.index += 1;
            start = *end;
        }
    }
}

/// Cuts frames of one encoding into payloads.
#[derive(Debug)]
pub struct Packetizer {
    codec: VideoCodec,
    noise: Vec<u8>,
    picture: u16,
    base_picture: u8,
}

impl Packetizer {
    #[must_use]
    pub fn new(codec: VideoCodec, seed: u64) -> Self {
        let mut noise = vec![0; 4096];
        StdRng::seed_from_u64(seed).fill_bytes(&mut noise);
        Self { codec, noise, picture: seed as u16 & 0x7fff, base_picture: seed as u8 }
    }

    /// Writes the payloads of `frame`, each of at most `room` bytes and nearly equal, as
    /// browsers cut them. `stamp` says source, layer, number and time; the rest is filled in.
    pub fn packetize(&mut self, frame: &Frame, stamp: Stamp, room: usize, out: &mut Payloads) {
        out.clear();
        match self.codec {
            VideoCodec::H264 => self.h264(frame, room, out),
            VideoCodec::Vp8 => self.vp8(frame, room, out),
        }
        out.stamp(Stamp { frame: frame.number, refers: frame.refers, index: 0, ..stamp });
    }

    fn h264(&self, frame: &Frame, room: usize, out: &mut Payloads) {
        if frame.is_key() {
            out.bytes.push(STAP_A);
            for unit in [&SPS[..], &PPS[..]] {
                out.bytes.extend_from_slice(&(unit.len() as u16).to_be_bytes());
                out.bytes.extend_from_slice(unit);
            }
            let sei = (SEI.len() + 16 + STAMP) as u16;
            out.bytes.extend_from_slice(&sei.to_be_bytes());
            out.bytes.extend_from_slice(&SEI);
            self.fill(16 + STAMP, out);
            out.close();
        }
        let kind = if frame.is_key() { IDR_SLICE } else { SLICE };
        let indicator = if frame.temporal == 0 { FU_A } else { FU_A_DISPOSABLE };
        let bytes = frame.bytes.max(LEAST);
        if bytes < room {
            out.bytes.push(indicator & 0x60 | kind);
            self.fill(bytes - 1, out);
            out.close();
            return;
        }
        let parts: Vec<usize> = parts(bytes, room - 2).collect();
        for (at, part) in parts.iter().enumerate() {
            let begins = u8::from(at == 0) << 7;
            let ends = u8::from(at + 1 == parts.len()) << 6;
            out.bytes.extend_from_slice(&[indicator, begins | ends | kind]);
            self.fill(*part, out);
            out.close();
        }
    }

    fn vp8(&mut self, frame: &Frame, room: usize, out: &mut Payloads) {
        self.picture = (self.picture + 1) & 0x7fff;
        if frame.temporal == 0 {
            self.base_picture = self.base_picture.wrapping_add(1);
        }
        let [p0, p1] = self.picture.to_be_bytes();
        // X; then I, L and T; the picture id in 15 bits, TL0PICIDX, and TID with Y.
        let layer = frame.temporal << 6 | u8::from(frame.temporal == 1) << 5;
        let descriptor = [0x80, 0xe0, 0x80 | p0, p1, self.base_picture, layer];
        let disposable = u8::from(frame.temporal == 2) << 5;
        for (at, part) in parts(frame.bytes.max(LEAST), room - descriptor.len()).enumerate() {
            let begins = u8::from(at == 0) << 4;
            out.bytes.push(descriptor[0] | begins | disposable);
            out.bytes.extend_from_slice(&descriptor[1..]);
            let from = out.bytes.len();
            self.fill(part, out);
            if at == 0 {
                // The frame tag (RFC 6386 §9.1): shown, its size, and whether it is a keyframe,
                // which has a start code and its size in pixels.
                let size = (frame.bytes as u32) << 5 | 0x10 | u32::from(!frame.is_key());
                let tag = &mut out.bytes[from..];
                tag[..3].copy_from_slice(&size.to_le_bytes()[..3]);
                if frame.is_key() {
                    tag[3..10].copy_from_slice(&[0x9d, 0x01, 0x2a, 0, 5, 0xd0, 2]);
                }
            }
            out.close();
        }
    }

    fn fill(&self, bytes: usize, out: &mut Payloads) {
        let at = bytes * 7 % 1024;
        out.bytes.extend(self.noise[at..].iter().chain(self.noise.iter().cycle()).take(bytes));
    }
}

/// Sizes of the parts of `bytes`, nearly equal and none larger than `room`; the larger last.
fn parts(bytes: usize, room: usize) -> impl Iterator<Item = usize> {
    let count = bytes.div_ceil(room).max(1);
    let (each, more) = (bytes / count, bytes % count);
    (0..count).map(move |n| each + usize::from(n >= count - more))
}

/// A packet of sound: 20 ms of Opus at about 32 kbit/s, 80 to 100 bytes with its stamp.
#[must_use]
pub fn sound(stamp: Stamp) -> Vec<u8> {
    const WIDEBAND_20_MS: u8 = 0x78;
    let mut payload = vec![0x5a; 80 + (stamp.frame.wrapping_mul(7) % 21) as usize];
    payload[0] = WIDEBAND_20_MS;
    Stamp { count: 1, ..stamp }.write(&mut payload);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::media::Codec;
    use cloudschool_protocol::rtp;

    fn frame(bytes: usize, refers: u8) -> Frame {
        Frame { number: 5, bytes, refers, temporal: 0 }
    }

    fn packets(codec: VideoCodec, frame: &Frame) -> Vec<Vec<u8>> {
        let mut out = Payloads::default();
        Packetizer::new(codec, 1).packetize(frame, Stamp::default(), 1176, &mut out);
        out.iter().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn a_frame_is_cut_evenly_and_every_part_is_stamped() {
        for codec in [VideoCodec::H264, VideoCodec::Vp8] {
            let parts = packets(codec, &frame(8333, 1));
            assert_eq!(parts.len(), 8, "{codec:?}");
            let sizes = parts.iter().map(Vec::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
            for (n, part) in parts.iter().enumerate() {
                let stamp = Stamp::read(part).unwrap();
                assert_eq!((stamp.index as usize, stamp.count), (n, 8));
                assert_eq!((stamp.number as usize, stamp.frame, stamp.refers), (n, 5, 1));
            }
        }
    }

    #[test]
    fn forwarders_know_a_keyframe_when_they_see_one() {
        for (codec, known) in [(VideoCodec::H264, Codec::H264), (VideoCodec::Vp8, Codec::Vp8)] {
            let key = packets(codec, &frame(30_000, 0));
            assert!(rtp::starts_keyframe(known, &key[0]), "{codec:?}");
            let other = packets(codec, &frame(30_000, 1));
            assert!(other.iter().all(|p| !rtp::starts_keyframe(known, p)), "{codec:?}");
        }
    }

    #[test]
    fn the_smallest_frame_still_has_room_for_its_stamp() {
        for codec in [VideoCodec::H264, VideoCodec::Vp8] {
            for refers in [0, 1] {
                let parts = packets(codec, &frame(1, refers));
                assert!(parts.iter().all(|p| Stamp::read(p).is_some()), "{codec:?}");
            }
        }
        assert!((80..=100).contains(&sound(Stamp { frame: 77, ..Default::default() }).len()));
    }
}
