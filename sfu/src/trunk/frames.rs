//! The frames of a video track on its way up a trunk: which packets are one, what other frames
//! need of it, and under which numbers they go. Holds no bytes of its own: what many trunks are
//! sent is there once.

use super::closing::Closing;
use crate::media::{Cut, Piece};
use bytes::Bytes;
use cloudschool_protocol::rtp::set_sequence;
use cloudschool_relay::{Begun, FrameKind, Packed};
use std::borrow::Cow;

/// Packets of one frame; a longer one is sent in pieces.
const FRAME_PACKETS: usize = 512;

/// From so many packets on a frame goes on before all of it has come: what comes in pieces is a
/// keyframe that the trunk before spreads out, and every node that gathers it whole delays it by
/// as much again. One of fewer goes at once, whole.
const EARLY: usize = 12;

/// Packets for which room is kept for the next frame: most have fewer.
const KEEP: usize = 64;

/// A packet of a frame, and which of its bytes it is in.
#[derive(Debug, Clone, Copy)]
struct Part {
    bytes: usize,
    piece: Piece,
}

/// How far a frame has gone.
#[derive(Debug, Default)]
pub enum Way {
    /// Nothing of it, and nothing is decided.
    #[default]
    Here,
    /// So many of its packets have.
    Begun(Begun, usize),
    /// So many have, and no more of it will.
    Over(usize),
}

/// A frame, whole as far as it came.
#[derive(Debug, Default)]
pub struct Whole {
    /// Of the batches it came in, in their order.
    bytes: Vec<Bytes>,
    parts: Vec<Part>,
    keyframe: bool,
    discardable: bool,
    pub way: Way,
}

impl Whole {
    /// What other frames need of it.
    pub fn kind(&self) -> FrameKind {
        match (self.keyframe, self.discardable) {
            (true, _) => FrameKind::Keyframe,
            (false, true) => FrameKind::Discardable,
            (false, false) => FrameKind::Delta,
        }
    }

    /// So many packets of it are there.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    fn add(&mut self, cut: &Cut, piece: Piece) {
        let same = |last: &Bytes| last.as_ptr() == cut.bytes.as_ptr();
        if !self.bytes.last().is_some_and(same) {
            self.bytes.push(cut.bytes.clone());
        }
        self.keyframe |= piece.keyframe;
        self.discardable &= piece.discardable;
        self.parts.push(Part { bytes: self.bytes.len() - 1, piece });
    }

    /// Its packets from one on, each with the bytes it is in and the number it goes out under;
    /// without those of a frame that was left out.
    fn numbers(
        &self,
        first: usize,
        closing: &mut Closing,
    ) -> impl Iterator<Item = (&Bytes, Part, u16)> {
        self.parts.get(first..).unwrap_or_default().iter().filter_map(|part| {
            Some((self.bytes.get(part.bytes)?, *part, closing.number(part.piece.number)?))
        })
    }

    /// Its packets from one on, under the numbers they go out under.
    pub fn numbered(&self, first: usize, closing: &mut Closing) -> Vec<Cow<'_, [u8]>> {
        let packets = self.numbers(first, closing).map(|(bytes, Part { piece, .. }, number)| {
            let packet = bytes.get(piece.packet..piece.to).unwrap_or_default();
            if number == piece.number {
                return Cow::Borrowed(packet);
            }
            let mut own = packet.to_vec();
            set_sequence(&mut own, number);
            Cow::Owned(own)
        });
        packets.collect()
    }

    /// The same as they lie in a stream. What keeps its numbers is shared with all who have it.
    pub fn packed(&self, first: usize, closing: &mut Closing) -> Packed {
        let mut packed = Packed::default();
        // What goes as it is, in a row.
        let mut row: Option<(&Bytes, usize, usize)> = None;
        for (bytes, Part { piece, .. }, number) in self.numbers(first, closing) {
            let as_it_is = number == piece.number;
            row = match row {
                Some((of, from, to))
                    if as_it_is && to == piece.from && of.as_ptr() == bytes.as_ptr() =>
                {
                    Some((of, from, piece.to))
                }
                before => {
                    before.into_iter().for_each(|(of, from, to)| packed.add(of.slice(from..to)));
                    as_it_is.then_some((bytes, piece.from, piece.to))
                }
            };
            if !as_it_is {
                let mut own = bytes.get(piece.from..piece.to).unwrap_or_default().to_vec();
                if let Some(packet) = own.get_mut(piece.packet - piece.from..) {
                    set_sequence(packet, number);
                }
                packed.add(own.into());
            }
        }
        row.into_iter().for_each(|(of, from, to)| packed.add(of.slice(from..to)));
        packed
    }

    /// Leaves it out from a packet on: its numbers are not missed.
    pub fn leave_out(&self, first: usize, closing: &mut Closing) {
        let parts = self.parts.get(first..).unwrap_or_default();
        let Some(origin) = parts.first().map(|p| p.piece.number) else { return };
        let from = |p: &Part| p.piece.number.wrapping_sub(origin) as i16;
        let first = parts.iter().map(from).min().unwrap_or(0);
        let last = parts.iter().map(from).max().unwrap_or(0);
        closing.leave_out(origin.wrapping_add_signed(first), origin.wrapping_add_signed(last));
    }
}

/// Gathers a video track's packets into frames.
#[derive(Default)]
pub struct Frame {
    /// The one under way.
    whole: Whole,
    timestamp: Option<u32>,
}

impl Frame {
    /// Adds a packet of `cut`. Gives `each` the frame before it, or the one it completes.
    pub fn push(&mut self, cut: &Cut, piece: Piece, mut each: impl FnMut(&mut Whole)) {
        let other = self.timestamp.is_some_and(|t| t != piece.timestamp);
        if other || self.whole.parts.len() >= FRAME_PACKETS {
            self.end(&mut each);
        }
        if self.timestamp.is_none() {
            self.whole.discardable = true;
        }
        self.timestamp = Some(piece.timestamp);
        self.whole.add(cut, piece);
        if piece.marker {
            self.end(&mut each);
        }
    }

    /// The next begins in the place of the one under way, and with its room.
    fn end(&mut self, each: &mut impl FnMut(&mut Whole)) {
        self.timestamp = None;
        let whole = &mut self.whole;
        if !whole.parts.is_empty() {
            each(whole);
        }
        if whole.parts.capacity() > KEEP {
            *whole = Whole::default();
        }
        whole.bytes.clear();
        whole.parts.clear();
        (whole.keyframe, whole.discardable) = (false, false);
        whole.way = Way::Here;
    }

    /// The frame under way, where it is so large that it goes on as it comes.
    pub fn early(&mut self) -> Option<&mut Whole> {
        Some(&mut self.whole).filter(|whole| whole.parts.len() >= EARLY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::batch::Parts;
    use crate::media::{TrackBatch, TrackKey};
    use cloudschool_protocol::media::Codec;
    use cloudschool_protocol::rtp::Header;

    fn batch<'a>(packets: impl IntoIterator<Item = (u16, u32, bool, &'a [u8])>) -> TrackBatch {
        let mut batch = TrackBatch::new(TrackKey(0), 0, Codec::H264);
        for (sequence, timestamp, marker, payload) in packets {
            batch.push(&Parts {
                marker,
                red: false,
                sequence,
                timestamp,
                ssrc: 0,
                level: None,
                speaker: None,
                dependencies: &[],
                payload,
            });
        }
        batch
    }

    fn push(frame: &mut Frame, batch: &TrackBatch) -> Vec<Whole> {
        let cut = batch.cut();
        let mut wholes = Vec::new();
        let mut each = |whole: &mut Whole| wholes.push(std::mem::take(whole));
        cut.pieces.iter().for_each(|piece| frame.push(cut, *piece, &mut each));
        wholes
    }

    fn numbers(whole: &Whole, first: usize, closing: &mut Closing) -> Vec<u16> {
        let number = |p: &Cow<'_, [u8]>| Header::parse(p).unwrap().sequence;
        whole.numbered(first, closing).iter().map(number).collect()
    }

    #[test]
    fn a_frame_ends_with_its_marker_or_with_the_next_frame() {
        let mut frame = Frame::default();
        let mut push = |timestamp, marker| {
            let batch = batch([(0, timestamp, marker, &b"x"[..])]);
            push(&mut frame, &batch).iter().map(Whole::len).collect::<Vec<_>>()
        };
        assert_eq!(push(1, false), [0usize; 0]);
        assert_eq!(push(1, true), [2]);
        assert_eq!(push(2, false), [0usize; 0], "its marker is lost");
        assert_eq!(push(3, true), [1, 1]);
    }

    #[test]
    fn a_frame_goes_out_under_numbers_without_a_gap() {
        let (mut frame, mut closing) = (Frame::default(), Closing::default());
        let mut next = |numbers: [u16; 2]| {
            let timestamp = u32::from(numbers[0]);
            let payloads = [[0; 3], [1; 3]];
            let packets = [0, 1].map(|n| (numbers[n], timestamp, n == 1, &payloads[n][..]));
            push(&mut frame, &batch(packets)).pop().unwrap()
        };
        assert_eq!(numbers(&next([1, 2]), 0, &mut closing), [1, 2]);
        next([4, 3]).leave_out(0, &mut closing);
        let last = next([5, 6]);
        assert_eq!(numbers(&last, 0, &mut closing), [3, 4]);
        let payloads: Vec<_> =
            last.numbered(0, &mut closing).iter().map(|p| p[12..].to_vec()).collect();
        assert_eq!(payloads, [[0; 3], [1; 3]]);
    }

    #[test]
    fn what_lies_in_the_stream_is_what_is_numbered_and_shared_where_it_is_as_it_came() {
        let (mut frame, mut closing) = (Frame::default(), Closing::default());
        let read = |packed: Packed| {
            let mut stream = packed.to_vec();
            stream.insert(0, 9);
            let mut decoder = cloudschool_protocol::roq::StreamDecoder::default();
            decoder.push(&stream);
            let packets = std::iter::from_fn(|| Some(decoder.next().unwrap()?.1.to_vec()));
            packets.collect::<Vec<_>>()
        };
        let first = batch([(1, 1, false, &b"a"[..]), (2, 1, false, b"b")]);
        let second = batch([(3, 1, true, &b"c"[..])]);
        assert!(push(&mut frame, &first).is_empty());
        let whole = push(&mut frame, &second).pop().unwrap();
        let packed = whole.packed(0, &mut closing);
        assert_eq!(packed.chunks().count(), 2, "one for each batch");
        assert_eq!(packed.chunks().next().unwrap().as_ptr(), first.cut().bytes.as_ptr());
        let numbered = |whole: &Whole, first, closing: &mut Closing| {
            let packets = whole.numbered(first, closing);
            packets.into_iter().map(Cow::into_owned).collect::<Vec<_>>()
        };
        assert_eq!(read(packed), numbered(&whole, 0, &mut closing));
        assert_eq!(read(whole.packed(2, &mut closing)), numbered(&whole, 2, &mut closing));
        // Of what is left out, and after it, something in between and behind it.
        closing.leave_out(5, 5);
        let after = batch([
            (4, 2, false, &b"d"[..]),
            (6, 2, false, b"e"),
            (5, 2, false, b"f"),
            (7, 2, true, b"g"),
        ]);
        let whole = push(&mut frame, &after).pop().unwrap();
        assert_eq!(numbers(&whole, 0, &mut closing), [4, 5, 6]);
        assert_eq!(read(whole.packed(0, &mut closing)), numbered(&whole, 0, &mut closing));
    }

    #[test]
    fn a_large_frame_goes_on_before_it_is_whole_and_its_rest_closes_up_when_it_does_not_go() {
        let (mut frame, mut closing) = (Frame::default(), Closing::default());
        let mut next = |number: u16| {
            assert!(push(&mut frame, &batch([(number, 1, false, &b"x"[..])])).is_empty());
            frame.early().map(|whole| numbers(whole, EARLY - 1, &mut closing))
        };
        for number in 1..EARLY as u16 {
            assert_eq!(next(number), None);
        }
        assert_eq!(next(12), Some(vec![12]));
        assert_eq!(next(13), Some(vec![12, 13]));
        let mut wholes = Vec::new();
        frame.end(&mut |whole| wholes.push(std::mem::take(whole)));
        let whole = wholes.pop().unwrap();
        whole.leave_out(12, &mut closing);
        assert_eq!(whole.numbered(0, &mut closing).len(), 12);
        assert_eq!(closing.number(14), Some(13));
    }

    #[test]
    fn a_frame_is_what_its_packets_say() {
        let kind = |payloads: &[&[u8]]| {
            let last = payloads.len() - 1;
            let packets = payloads.iter().enumerate().map(|(n, p)| (n as u16, 1, n == last, *p));
            push(&mut Frame::default(), &batch(packets)).pop().unwrap().kind()
        };
        // Parameter sets and a slice of an IDR picture; a reference; one that is none.
        assert_eq!(kind(&[&[0x67, 1], &[0x68, 1], &[0x65, 1]]), FrameKind::Keyframe);
        assert_eq!(kind(&[&[0x41, 1], &[0x41, 2]]), FrameKind::Delta);
        assert_eq!(kind(&[&[0x01, 1]]), FrameKind::Discardable);
        assert_eq!(kind(&[&[0x01, 1], &[0x41, 1]]), FrameKind::Delta);
    }
}
