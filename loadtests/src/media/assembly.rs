//! Puts received packets together to whole frames: all packets of one timestamp, from the one
//! after the frame before to the one with the marker, whatever order they came in.

use super::ledger::{frame_fingerprint, payload_fingerprint};
use cloudschool_protocol::media::Codec;
use cloudschool_protocol::rtp::starts_keyframe;
use std::collections::{BTreeMap, VecDeque};

/// Packets remembered: over a second of video, longer than any retransmission takes.
const WINDOW: usize = 512;

/// Frames remembered as given out: more than there are in the window.
const RECENT: usize = 64;

/// A frame of which every packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    pub fingerprint: u64,
    pub timestamp: u32,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    timestamp: u32,
    marker: bool,
    /// Fingerprint of the payload; `None` for padding alone.
    payload: Option<u64>,
    starts_keyframe: bool,
}

/// Assembles the frames of one H.264 track.
#[derive(Debug, Default)]
pub struct Assembler {
    held: BTreeMap<u64, Held>,
    highest: Option<u64>,
    /// Timestamps of the last frames given out, which late duplicates must not bring again.
    recent: VecDeque<u32>,
}

impl Assembler {
    /// Takes a packet; gives the frames it completes: its own, and the one after it, which may
    /// have come first and only now shows where it begins.
    pub fn push(
        &mut self,
        sequence: u16,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Vec<Whole> {
        let at = self.extend(sequence);
        let held = Held {
            timestamp,
            marker,
            payload: (!payload.is_empty()).then(|| payload_fingerprint(payload)),
            starts_keyframe: starts_keyframe(Codec::H264, payload),
        };
        self.held.insert(at, held);
        while self.held.len() > WINDOW {
            self.held.pop_first();
        }
        let next = self.held.get(&(at + 1)).map(|next| next.timestamp);
        let next = next.filter(|next| *next != timestamp).map(|next| (at + 1, next));
        let candidates = [Some((at, timestamp)), next];
        let mut whole: Vec<Whole> = Vec::new();
        for (at, timestamp) in candidates.into_iter().flatten() {
            whole.extend(self.whole(at, timestamp).filter(|_| self.is_new(timestamp)));
        }
        whole
    }

    /// Whether the frame was not given out before; from now on it was.
    fn is_new(&mut self, timestamp: u32) -> bool {
        let new = !self.recent.contains(&timestamp);
        if new {
            self.recent.push_back(timestamp);
            if self.recent.len() > RECENT {
                self.recent.pop_front();
            }
        }
        new
    }

    /// The sequence number on an axis that does not wrap.
    fn extend(&mut self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else {
            let first = u64::from(sequence) + (1 << 16);
            self.highest = Some(first);
            return first;
        };
        let step = sequence.wrapping_sub(highest as u16) as i16;
        let at = highest.saturating_add_signed(i64::from(step));
        self.highest = Some(highest.max(at));
        at
    }

    fn whole(&self, at: u64, timestamp: u32) -> Option<Whole> {
        let first = self.first(at, timestamp)?;
        let mut payloads = Vec::new();
        for at in first.. {
            let packet = self.held.get(&at).filter(|p| p.timestamp == timestamp)?;
            payloads.extend(packet.payload);
            if packet.marker {
                break;
            }
        }
        Some(Whole { fingerprint: frame_fingerprint(payloads), timestamp })
    }

    /// The first packet of the frame that the packet `at` is of: the one before it is of
    /// another frame, or it begins a keyframe.
    fn first(&self, at: u64, timestamp: u32) -> Option<u64> {
        let mut first = at;
        loop {
            match self.held.get(&(first - 1)) {
                Some(before) if before.timestamp == timestamp => first -= 1,
                Some(_) => return Some(first),
                None => {
                    let begins = self.held.get(&first).is_some_and(|p| p.starts_keyframe);
                    return begins.then_some(first);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[0x67, 0x42];

    fn fingerprint(payloads: &[&[u8]]) -> u64 {
        frame_fingerprint(payloads.iter().map(|p| payload_fingerprint(p)))
    }

    fn timestamps(frames: &[Whole]) -> Vec<u32> {
        frames.iter().map(|f| f.timestamp).collect()
    }

    #[test]
    fn a_frame_is_whole_when_its_last_packet_comes() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.push(65535, 10, false, SPS), []);
        let whole = assembler.push(0, 10, true, b"b");
        assert_eq!(whole, [Whole { fingerprint: fingerprint(&[SPS, b"b"]), timestamp: 10 }]);
        assert_eq!(timestamps(&assembler.push(1, 20, true, b"c")), [20]);
    }

    #[test]
    fn a_retransmitted_packet_completes_a_frame() {
        let mut assembler = Assembler::default();
        assert_eq!(timestamps(&assembler.push(1, 10, true, SPS)), [10]);
        assert_eq!(assembler.push(2, 20, false, b"a"), []);
        assert_eq!(assembler.push(4, 20, true, b"c"), []);
        assert_eq!(timestamps(&assembler.push(5, 30, true, b"d")), [30], "it does not wait");
        let whole = assembler.push(3, 20, false, b"b");
        assert_eq!(whole, [Whole { fingerprint: fingerprint(&[b"a", b"b", b"c"]), timestamp: 20 }]);
        assert_eq!(assembler.push(3, 20, false, b"b"), [], "a duplicate counts once");
    }

    #[test]
    fn a_frame_that_overtakes_the_one_before_it_is_counted_when_that_comes() {
        let mut assembler = Assembler::default();
        assembler.push(1, 10, true, SPS);
        assert_eq!(assembler.push(4, 30, false, b"c"), []);
        assert_eq!(assembler.push(5, 30, true, b"d"), []);
        assert_eq!(assembler.push(2, 20, false, b"a"), []);
        let whole = assembler.push(3, 20, true, b"b");
        assert_eq!(timestamps(&whole), [20, 30]);
        assert_eq!(whole[1].fingerprint, fingerprint(&[b"c", b"d"]));
    }

    #[test]
    fn a_frame_without_its_beginning_is_not_counted() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.push(7, 10, true, b"the end of something"), []);
        assert_eq!(timestamps(&assembler.push(8, 20, true, b"x")), [20]);
        assert_eq!(assembler.push(10, 30, true, b"its first packet was lost"), []);
    }

    #[test]
    fn padding_is_no_part_of_a_frame() {
        let mut assembler = Assembler::default();
        assembler.push(1, 10, true, SPS);
        assembler.push(2, 10, false, b"");
        let whole = assembler.push(3, 20, true, b"x");
        assert_eq!(whole, [Whole { fingerprint: fingerprint(&[b"x"]), timestamp: 20 }]);
    }
}
