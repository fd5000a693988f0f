//! Packets as a browser sent them, for tests: what matters of each, a line a packet.

use super::{Describer, Description};
use crate::media::cache::Cached;
use crate::media::numbering::Numbering;
use cloudschool_protocol::media::Codec;

/// One captured packet.
#[derive(Debug, Clone)]
pub struct Packet {
    pub encoding: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub marker: bool,
    pub descriptor: Vec<u8>,
    /// Its beginning; empty of a packet of padding.
    pub payload: Vec<u8>,
}

/// A captured stream.
#[derive(Clone, Copy)]
pub struct Capture {
    pub codec: Codec,
    name: &'static str,
    text: &'static str,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! capture {
    ($name:ident, $codec:ident, $file:literal) => {
        pub const $name: Capture = Capture {
            codec: Codec::$codec,
            name: $file,
            text: include_str!(concat!("captures/", $file)),
        };
    };
}

capture!(VP9_L3T3, Vp9, "vp9-l3t3.txt");
capture!(VP9_L3T3_KEY, Vp9, "vp9-l3t3-key.txt");
capture!(VP9_S3T3, Vp9, "vp9-s3t3.txt");
capture!(AV1_L3T3, Av1, "av1-l3t3.txt");
capture!(AV1_L1T3, Av1, "av1-l1t3.txt");
capture!(VP8_SIMULCAST, Vp8, "vp8-simulcast-l1t3.txt");
capture!(H264_L1T3, H264, "h264-l1t3.txt");

/// Those of one encoding with layers in it, by dependency descriptor.
pub const LAYERED: [Capture; 6] = [VP9_L3T3, VP9_L3T3_KEY, VP9_S3T3, AV1_L3T3, AV1_L1T3, H264_L1T3];

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.strip_prefix('-').unwrap_or(hex);
    let byte = |i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

impl Capture {
    pub fn packets(self) -> Vec<Packet> {
        let lines = self.text.lines().filter(|l| !l.starts_with('#'));
        lines
            .flat_map(|line| {
                let fields: Vec<_> = line.split(' ').collect();
                let payload = bytes(fields[5]);
                let count: u16 = if payload.is_empty() { fields[6].parse().unwrap() } else { 1 };
                let first: u16 = fields[1].parse().unwrap();
                let packet = Packet {
                    encoding: fields[0].parse().unwrap(),
                    sequence: first,
                    timestamp: fields[2].parse().unwrap(),
                    marker: fields[3] == "1",
                    descriptor: bytes(fields[4]),
                    payload,
                };
                (0..count)
                    .map(move |i| Packet { sequence: first.wrapping_add(i), ..packet.clone() })
            })
            .collect()
    }

    /// One encoding's packets as they lie in a track's cache, with their descriptors.
    /// `described` is how much of the descriptor is shown to the describer.
    pub fn cached(self, encoding: u8, descriptors: bool) -> Vec<(Cached, Vec<u8>)> {
        let (mut numbers, mut describer) = (Numbering::default(), Describer::default());
        let mut out = Vec::new();
        for p in self.packets().into_iter().filter(|p| p.encoding == encoding) {
            if p.payload.is_empty() {
                numbers.skip(p.sequence);
                continue;
            }
            let descriptor = Some(p.descriptor.as_slice()).filter(|d| descriptors && !d.is_empty());
            let mut cached = Cached::default();
            cached.number = numbers.number(p.sequence);
            (cached.timestamp, cached.marker) = (p.timestamp, p.marker);
            cached.description = describer.describe(self.codec, p.marker, &p.payload, descriptor);
            cached.payload = p.payload;
            out.push((cached, p.descriptor));
        }
        out
    }

    pub fn descriptions(self, encoding: u8, descriptors: bool) -> Vec<Description> {
        self.cached(encoding, descriptors).iter().map(|(c, _)| c.description).collect()
    }
}
