//! Decides which video frames are worth keeping. Packets in order go in; whole frames come
//! out, of which a decoder can show every one: a frame that lost a packet is dropped and
//! what depends on it too, until a keyframe, which is asked for. A browser does the same,
//! and a player of the archive then shows a still picture instead of a smeared one.

use crate::bitstream::{Format, h264_format, vp8_format};
use crate::clock::{Nanos, SECOND};
use bytes::Bytes;
use cloudschool_protocol::media::Codec;
use cloudschool_protocol::rtp::{Header, starts_keyframe, vp8_descriptor_len};

/// A keyframe that didn't come is asked for again after this.
pub const ASK_AGAIN: Nanos = SECOND;

/// A frame of more packets than this is none: 8 MB.
const MAX_PACKETS: usize = 6000;

/// A packet as it came.
#[derive(Debug, Clone)]
pub struct Packet {
    pub header: Header,
    pub bytes: Bytes,
    pub arrival: Nanos,
}

impl Packet {
    fn payload(&self) -> &[u8] {
        self.header.payload(&self.bytes)
    }
}

/// A whole frame that can be decoded after the one before it.
#[derive(Debug)]
pub struct Frame {
    pub packets: Vec<Packet>,
    /// Set when a decoder can begin here.
    pub keyframe: Option<Format>,
}

/// What was lost on the way here.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Losses {
    /// Packets that never came.
    pub packets: u64,
    /// Frames dropped: broken, or waiting for a keyframe.
    pub frames: u64,
}

/// Assembles frames and holds back those that can't be decoded.
#[derive(Debug)]
pub struct Gate {
    codec: Codec,
    building: Vec<Packet>,
    /// A packet of the frame being built, or right before it, is missing.
    broken: bool,
    expected: Option<i64>,
    open: bool,
    asked: Option<Nanos>,
    losses: Losses,
}

impl Gate {
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            building: Vec::new(),
            broken: false,
            expected: None,
            open: false,
            asked: None,
            losses: Losses::default(),
        }
    }

    /// Takes the next packet in order; gives the frames it completes.
    pub fn push(&mut self, sequence: i64, packet: Packet) -> Vec<Frame> {
        let mut out = Vec::new();
        let missing = self.expected.map_or(0, |e| sequence - e).max(0);
        self.expected = Some(sequence + 1);
        if missing > 0 {
            self.losses.packets += missing as u64;
            if !self.building.is_empty() {
                self.drop_frame();
            }
            self.broken = true;
        }
        if packet.payload().is_empty() {
            return out;
        }
        let timestamp = self.building.first().map(|p| p.header.timestamp);
        if timestamp.is_some_and(|t| t != packet.header.timestamp) {
            out.extend(self.complete());
        }
        let last = packet.header.marker;
        self.building.push(packet);
        if self.building.len() > MAX_PACKETS {
            self.drop_frame();
            self.broken = true;
        } else if last {
            out.extend(self.complete());
        }
        out
    }

    /// Nothing is accepted any more until a keyframe.
    pub fn close(&mut self) {
        self.open = false;
    }

    /// Whether a keyframe should be asked for now.
    pub fn wants_keyframe(&mut self, now: Nanos) -> bool {
        let due = !self.open && self.asked.is_none_or(|at| now - at >= ASK_AGAIN);
        if due {
            self.asked = Some(now);
        }
        due
    }

    #[must_use]
    pub fn losses(&self) -> Losses {
        self.losses
    }

    fn complete(&mut self) -> Option<Frame> {
        let keyframe = self.keyframe();
        let whole = !self.broken || self.begins_whole();
        self.broken = false;
        if !whole || (keyframe.is_none() && !self.open) {
            self.drop_frame();
            return None;
        }
        self.open = true;
        self.asked = None;
        Some(Frame { packets: std::mem::take(&mut self.building), keyframe })
    }

    fn drop_frame(&mut self) {
        self.building.clear();
        self.open = false;
        self.losses.frames += 1;
    }

    /// Behind a gap, only a keyframe's own first packet proves that the gap ended before it.
    fn begins_whole(&self) -> bool {
        self.building.first().is_some_and(|p| starts_keyframe(self.codec, p.payload()))
    }

    fn keyframe(&self) -> Option<Format> {
        match self.codec {
            Codec::H264 => h264_format(self.building.iter().map(Packet::payload)),
            Codec::Vp8 => {
                let first = self.building.first()?.payload();
                vp8_format(first.get(vp8_descriptor_len(first)?..)?)
            }
            // The layered codecs are not demanded (`lesson::wanted`).
            Codec::Vp9 | Codec::Av1 | Codec::Opus => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// VP8 frames: a key frame's first packet, the middle of one, a delta frame.
    const KEY: &[u8] = &[0x10, 0x50, 0x36, 0, 0x9d, 0x01, 0x2a, 0x40, 1, 0xb4, 0, 7];
    const MIDDLE: &[u8] = &[0x00, 9, 9];
    const DELTA: &[u8] = &[0x10, 0x51, 1, 1];

    fn packet(timestamp: u32, marker: bool, payload: &[u8]) -> Packet {
        let mut bytes = vec![0x80, if marker { 0xe0 } else { 0x60 }, 0, 0];
        bytes.extend_from_slice(&timestamp.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 1]);
        bytes.extend_from_slice(payload);
        let header = Header::parse(&bytes).unwrap();
        Packet { header, bytes: bytes.into(), arrival: 0 }
    }

    fn frames(gate: &mut Gate, packets: &[(i64, u32, bool, &[u8])]) -> Vec<(u32, usize, bool)> {
        let mut out = vec![];
        for &(seq, ts, marker, payload) in packets {
            for f in gate.push(seq, packet(ts, marker, payload)) {
                let ts = f.packets[0].header.timestamp;
                out.push((ts, f.packets.len(), f.keyframe.is_some()));
            }
        }
        out
    }

    #[test]
    fn nothing_is_kept_before_the_first_keyframe_which_is_asked_for() {
        let mut gate = Gate::new(Codec::Vp8);
        assert_eq!(frames(&mut gate, &[(1, 10, true, DELTA)]), []);
        assert!(gate.wants_keyframe(0));
        assert!(!gate.wants_keyframe(ASK_AGAIN - 1));
        assert!(gate.wants_keyframe(ASK_AGAIN));
        let kept = frames(&mut gate, &[(2, 20, false, KEY), (3, 20, true, MIDDLE)]);
        assert_eq!(kept, [(20, 2, true)]);
        assert!(!gate.wants_keyframe(10 * ASK_AGAIN));
    }

    #[test]
    fn a_broken_frame_and_all_that_depends_on_it_is_dropped_until_a_keyframe() {
        let mut gate = Gate::new(Codec::Vp8);
        frames(&mut gate, &[(1, 10, true, KEY)]);
        // Frame 20 lost its middle; 30 is whole and useless.
        let got = frames(
            &mut gate,
            &[(2, 20, false, DELTA), (4, 20, true, MIDDLE), (5, 30, true, DELTA)],
        );
        assert_eq!(got, []);
        assert!(gate.wants_keyframe(0));
        assert_eq!(gate.losses().packets, 1);
        let got = frames(&mut gate, &[(6, 40, true, KEY), (7, 50, true, DELTA)]);
        assert_eq!(got, [(40, 1, true), (50, 1, false)]);
    }

    #[test]
    fn a_frame_lost_whole_is_noticed_although_the_next_looks_whole() {
        let mut gate = Gate::new(Codec::Vp8);
        frames(&mut gate, &[(1, 10, true, KEY)]);
        assert_eq!(frames(&mut gate, &[(3, 30, true, DELTA)]), []);
    }

    #[test]
    fn a_keyframe_right_behind_a_gap_is_kept_only_with_its_begin() {
        let mut gate = Gate::new(Codec::Vp8);
        frames(&mut gate, &[(1, 10, true, KEY)]);
        assert_eq!(frames(&mut gate, &[(3, 30, true, MIDDLE)]), [], "its begin is what's missing");
        assert_eq!(frames(&mut gate, &[(5, 40, true, KEY)]), [(40, 1, true)]);
    }

    #[test]
    fn a_sender_without_markers_is_understood_by_its_timestamps() {
        let mut gate = Gate::new(Codec::Vp8);
        let got =
            frames(&mut gate, &[(1, 10, false, KEY), (2, 20, false, DELTA), (3, 30, false, DELTA)]);
        assert_eq!(got, [(10, 1, true), (20, 1, false)]);
    }

    #[test]
    fn padding_between_frames_is_no_loss() {
        let mut gate = Gate::new(Codec::Vp8);
        let got =
            frames(&mut gate, &[(1, 10, true, KEY), (2, 10, false, &[]), (3, 20, true, DELTA)]);
        assert_eq!(got.len(), 2);
    }
}
