//! Media flows of one trunk: packets of a track on their way out, frame by frame, and on their
//! way in, from flow ids to the shards' lanes.

use super::allocator::{News, Teller};
use super::closing::Closing;
use super::keyframes::Asking;
use crate::media::lane::{ShardLane, TrunkBatches};
use crate::media::{Clock, STILL_INTERVAL, TrackBatch, TrackKey};
use cloudschool_protocol::media::{Codec, Kind};
use cloudschool_protocol::rtp::{Header, set_sequence, starts_keyframe};
use cloudschool_protocol::trunk::Control;
use cloudschool_relay::{Begun, FrameKind, FrameOptions, Media, Skip, Trunk, Verdict};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;
use tokio::sync::mpsc;

/// Packets kept of flows that were not announced yet. Media may overtake its announcement;
/// what is replayed to a late joiner, 512 packets at most, fits.
const EARLY_PACKETS: usize = 1024;

/// Packets of one frame; a longer one is sent in pieces.
const FRAME_PACKETS: usize = 512;

/// From so many packets on a frame goes on before all of it has come: what comes in pieces is a
/// keyframe that the trunk before spreads out, and every node that gathers it whole delays it by
/// as much again. One of fewer goes at once, whole.
const EARLY: usize = 12;

/// Bytes kept for the next frame: most have fewer, and a keyframe's are not kept.
const KEEP: usize = 32 * 1024;

/// A packet of a frame: its number, and where its bytes end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    number: u16,
    end: usize,
}

/// How far a frame has gone.
#[derive(Debug, Default)]
enum Way {
    /// Nothing of it, and nothing is decided.
    #[default]
    Here,
    /// So many of its packets have.
    Begun(Begun, usize),
    /// So many have, and no more of it will.
    Over(usize),
}

/// A frame, whole as far as it came: its packets one after the other.
#[derive(Debug, Default)]
pub(super) struct Whole {
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    keyframe: bool,
    discardable: bool,
    way: Way,
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

    /// Its packets from one on, under the numbers they go out under; without those of a frame
    /// that was left out.
    pub fn numbered(&mut self, first: usize, closing: &mut Closing) -> Vec<&[u8]> {
        let pieces = self.pieces.get(first..).unwrap_or_default();
        let mut packets = Vec::with_capacity(pieces.len());
        let before = first.checked_sub(1).and_then(|last| self.pieces.get(last));
        let mut from = before.map_or(0, |piece| piece.end);
        let mut rest = self.bytes.get_mut(from..).unwrap_or_default();
        for piece in pieces {
            let Some((packet, after)) = rest.split_at_mut_checked(piece.end - from) else { break };
            (rest, from) = (after, piece.end);
            if let Some(number) = closing.number(piece.number) {
                set_sequence(packet, number);
                packets.push(&*packet);
            }
        }
        packets
    }

    /// Leaves it out from a packet on: its numbers are not missed.
    pub fn leave_out(&self, first: usize, closing: &mut Closing) {
        let pieces = self.pieces.get(first..).unwrap_or_default();
        let Some(origin) = pieces.first().map(|p| p.number) else { return };
        let from = |p: &Piece| p.number.wrapping_sub(origin) as i16;
        let first = pieces.iter().map(from).min().unwrap_or(0);
        let last = pieces.iter().map(from).max().unwrap_or(0);
        closing.leave_out(origin.wrapping_add_signed(first), origin.wrapping_add_signed(last));
    }
}

/// Gathers a video track's packets into frames.
#[derive(Default)]
pub(super) struct Frame {
    /// The one under way.
    whole: Whole,
    timestamp: Option<u32>,
}

impl Frame {
    /// Adds a packet; gives the frame before it, or the one it completes.
    pub fn push(&mut self, codec: Codec, packet: &[u8]) -> [Option<Whole>; 2] {
        let Some(header) = Header::parse(packet) else { return [None, None] };
        let other = self.timestamp.is_some_and(|t| t != header.timestamp);
        let before = other || self.whole.pieces.len() >= FRAME_PACKETS;
        let before = before.then(|| self.take()).flatten();
        if self.timestamp.is_none() {
            self.whole.discardable = true;
        }
        self.timestamp = Some(header.timestamp);
        let payload = header.payload(packet);
        let whole = &mut self.whole;
        whole.keyframe |= starts_keyframe(codec, payload);
        whole.discardable &= discardable(codec, payload);
        whole.bytes.extend_from_slice(packet);
        whole.pieces.push(Piece { number: header.sequence, end: whole.bytes.len() });
        let complete = header.marker.then(|| self.take()).flatten();
        [before, complete]
    }

    fn take(&mut self) -> Option<Whole> {
        self.timestamp = None;
        let whole = std::mem::take(&mut self.whole);
        (!whole.pieces.is_empty()).then_some(whole)
    }

    /// Takes a frame back whose packets have gone, for its room.
    pub fn reuse(&mut self, mut done: Whole) {
        if self.whole.pieces.is_empty() && done.bytes.capacity() <= KEEP {
            done.bytes.clear();
            done.pieces.clear();
            (done.keyframe, done.discardable) = (false, false);
            done.way = Way::Here;
            self.whole = done;
        }
    }

    /// The frame under way, where it is so large that it goes on as it comes.
    pub fn early(&mut self) -> Option<&mut Whole> {
        Some(&mut self.whole).filter(|whole| whole.pieces.len() >= EARLY)
    }
}

/// Whether no other frame needs the one this payload is part of, as far as that can be told.
fn discardable(codec: Codec, payload: &[u8]) -> bool {
    match (codec, payload) {
        // nal_ref_idc, which aggregates and fragments repeat (RFC 6184 §5.3, §5.7, §5.8).
        (Codec::H264, [first, ..]) => first & 0x60 == 0,
        // The N bit (RFC 7741 §4.2).
        (Codec::Vp8, [first, ..]) => first & 0x20 != 0,
        _ => false,
    }
}

/// A flow on its way out.
pub struct Outward {
    pub trunk: Trunk,
    pub outbox: mpsc::Sender<Control>,
    pub allocator: Teller,
    pub flow: u64,
    pub codec: Codec,
    /// How early its frames go.
    pub first: Arc<AtomicI32>,
}

impl Outward {
    /// Sends a track's packets until its outlet is taken off.
    pub async fn send(self, mut packets: TrunkBatches) {
        let Self { trunk, outbox, allocator, flow, codec, first } = self;
        let (mut frame, mut closing) = (Frame::default(), Closing::default());
        let mut asking = Asking::new(Instant::now());
        let mut go = |whole: &mut Whole, last: bool, still: bool| {
            let priority = first.load(Ordering::Relaxed);
            // A picture that stands is worth something until the next one.
            let deadline = still.then_some(STILL_INTERVAL);
            let options = FrameOptions { priority, kind: whole.kind(), deadline };
            let verdict = put(&trunk, flow, options, whole, last, &mut closing);
            let missing = needs_keyframe(verdict, whole.kind());
            if asking.asks(Instant::now(), trunk.path().reachable, missing) {
                allocator.tell(News::KeyframeWanted(flow));
            }
        };
        while let Some(mut batch) = packets.recv().await {
            if let Some(offer) = batch.offer.take() {
                allocator.tell(News::Offers(flow, offer));
            }
            for packet in batch.packets() {
                if codec.kind() == Kind::Audio {
                    trunk.send_packet(flow, Kind::Audio, packet);
                    continue;
                }
                for mut whole in frame.push(codec, packet).into_iter().flatten() {
                    go(&mut whole, true, batch.still);
                    frame.reuse(whole);
                }
            }
            if let Some(whole) = frame.early().filter(|_| trunk.begins_early()) {
                go(whole, false, batch.still);
            }
            // Last, as it may wait: the packets go while they are allowed to.
            if let Some(Clock { ntp, rtp }) = batch.clock
                && outbox.send(Control::Clock { flow, ntp, rtp }).await.is_err()
            {
                break;
            }
        }
        allocator.tell(News::Ends(flow));
        // Nobody is told when the trunk is gone, and nobody needs to be.
        let _told = outbox.send(Control::FlowEnd { flow }).await;
    }
}

/// Whether a keyframe is what is missing now. While the line is behind it would be left out
/// too, or be what the line is behind with next; the frame after says so again.
fn needs_keyframe(verdict: Verdict, kind: FrameKind) -> bool {
    match verdict {
        Verdict::Sent | Verdict::Skipped { why: Skip::Behind } => false,
        Verdict::Skipped { why: Skip::Undecodable } | Verdict::NoRoom => {
            kind != FrameKind::Discardable
        }
    }
}

/// Sends a frame as far as it is there; with the `last` of it, or when no more of it will go,
/// what is left out of it leaves no gap in the numbers.
fn put(
    trunk: &Trunk,
    flow: u64,
    options: FrameOptions,
    whole: &mut Whole,
    last: bool,
    closing: &mut Closing,
) -> Verdict {
    let there = whole.pieces.len();
    let (way, verdict) = match std::mem::take(&mut whole.way) {
        Way::Here => {
            let packets = whole.numbered(0, closing);
            if packets.is_empty() {
                return Verdict::Sent;
            }
            if last {
                let verdict = trunk.send_frame(flow, options, &packets);
                (Way::Over(if verdict.is_sent() { there } else { 0 }), verdict)
            } else {
                match trunk.begin_frame(flow, options, &packets) {
                    Ok(begun) => (Way::Begun(begun, there), Verdict::Sent),
                    Err(verdict) => (Way::Over(0), verdict),
                }
            }
        }
        Way::Begun(begun, gone) => {
            let packets = whole.numbered(gone, closing);
            if trunk.add_to_frame(&begun, &packets, last) {
                let way = if last { Way::Over(there) } else { Way::Begun(begun, there) };
                (way, Verdict::Sent)
            } else {
                (Way::Over(gone), Verdict::NoRoom)
            }
        }
        // It was said when it was decided.
        Way::Over(gone) => (Way::Over(gone), Verdict::Sent),
    };
    if let (Way::Over(gone), true) = (&way, last) {
        whole.leave_out(*gone, closing);
    }
    whole.way = way;
    verdict
}

struct Inlet {
    lane: ShardLane,
    track: TrackKey,
    codec: Codec,
}

/// The flows that come in by one trunk.
#[derive(Default)]
pub struct Inlets {
    flows: HashMap<u64, Inlet>,
    /// The highest flow id announced so far: they rise, so an unknown one below it is past.
    newest: u64,
    early: VecDeque<Media>,
}

impl Inlets {
    /// Packets of `flow` are from now on those of `track`.
    pub fn open(&mut self, flow: u64, lane: ShardLane, track: TrackKey, codec: Codec) {
        self.flows.insert(flow, Inlet { lane, track, codec });
        self.newest = self.newest.max(flow);
        let early = std::mem::take(&mut self.early).into_iter();
        let (mine, rest): (Vec<_>, Vec<_>) = early.partition(|m| m.flow == flow);
        self.early = rest.into_iter().filter(|m| m.flow > self.newest).collect();
        self.deliver(mine);
    }

    /// Nothing more comes under `flow`.
    pub fn close(&mut self, flow: u64) {
        self.flows.remove(&flow);
    }

    /// The publisher's clock came.
    pub fn clock(&self, flow: u64, clock: Clock) {
        let Some(inlet) = self.flows.get(&flow) else { return };
        let mut batch = TrackBatch::new(inlet.track, 0, inlet.codec);
        batch.clock = Some(clock);
        // A lane that is full drops; the clock comes again within seconds.
        let _sent = inlet.lane.send(batch);
    }

    /// Hands packets to their tracks.
    pub fn deliver(&mut self, packets: Vec<Media>) {
        let mut batches: Vec<(u64, TrackBatch)> = Vec::new();
        for media in packets {
            let Some(inlet) = self.flows.get(&media.flow) else {
                if media.flow > self.newest {
                    if self.early.len() == EARLY_PACKETS {
                        self.early.pop_front();
                    }
                    self.early.push_back(media);
                }
                continue;
            };
            match batches.iter_mut().find(|(flow, _)| *flow == media.flow) {
                Some((_, batch)) => batch.push_packet(&media.packet),
                None => {
                    let mut batch = TrackBatch::new(inlet.track, 0, inlet.codec);
                    batch.push_packet(&media.packet);
                    batches.push((media.flow, batch));
                }
            }
        }
        for (flow, batch) in batches {
            if let Some(inlet) = self.flows.get(&flow) {
                // A shard that is a second behind has no use for these.
                let _sent = inlet.lane.send(batch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::batch::Parts;

    fn packet(timestamp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
        let mut batch = TrackBatch::new(TrackKey(0), 0, Codec::H264);
        batch.push(&Parts {
            marker,
            red: false,
            sequence: 0,
            timestamp,
            ssrc: 0,
            level: None,
            speaker: None,
            dependencies: &[],
            payload,
        });
        batch.packets().next().unwrap().to_vec()
    }

    #[test]
    fn a_frame_ends_with_its_marker_or_with_the_next_frame() {
        let mut frame = Frame::default();
        let mut push = |timestamp, marker| {
            frame
                .push(Codec::H264, &packet(timestamp, marker, b"x"))
                .map(|w| w.map(|w| w.pieces.len()))
        };
        assert_eq!(push(1, false), [None, None]);
        assert_eq!(push(1, true), [None, Some(2)]);
        assert_eq!(push(2, false), [None, None], "its marker is lost");
        assert_eq!(push(3, true), [Some(1), Some(1)]);
    }

    #[test]
    fn a_frame_goes_out_under_numbers_without_a_gap() {
        let (mut frame, mut closing) = (Frame::default(), Closing::default());
        let mut next = |numbers: [u16; 2]| {
            let timestamp = u32::from(numbers[0]);
            let frames = numbers.into_iter().enumerate().map(|(n, number)| {
                let mut packet = packet(timestamp, n == 1, &[n as u8; 3]);
                set_sequence(&mut packet, number);
                let [before, whole] = frame.push(Codec::H264, &packet);
                assert!(before.is_none());
                whole
            });
            frames.last().flatten().unwrap()
        };
        let sent = |whole: &mut Whole, closing: &mut Closing| {
            let number = |p: &&[u8]| Header::parse(p).unwrap().sequence;
            whole.numbered(0, closing).iter().map(number).collect::<Vec<_>>()
        };
        assert_eq!(sent(&mut next([1, 2]), &mut closing), [1, 2]);
        next([4, 3]).leave_out(0, &mut closing);
        let mut last = next([5, 6]);
        assert_eq!(sent(&mut last, &mut closing), [3, 4]);
        let payloads: Vec<_> =
            last.numbered(0, &mut closing).iter().map(|p| p[12..].to_vec()).collect();
        assert_eq!(payloads, [[0; 3], [1; 3]]);
    }

    #[test]
    fn a_large_frame_goes_on_before_it_is_whole_and_its_rest_closes_up_when_it_does_not_go() {
        let (mut frame, mut closing) = (Frame::default(), Closing::default());
        let mut push = |number: u16| {
            let mut packet = packet(1, number == 20, b"x");
            set_sequence(&mut packet, number);
            assert!(frame.push(Codec::H264, &packet)[0].is_none());
            frame.early().map(|whole| {
                let numbers = whole.numbered(EARLY - 1, &mut closing);
                numbers.iter().map(|p| Header::parse(p).unwrap().sequence).collect::<Vec<_>>()
            })
        };
        for number in 1..EARLY as u16 {
            assert_eq!(push(number), None);
        }
        assert_eq!(push(12), Some(vec![12]));
        assert_eq!(push(13), Some(vec![12, 13]));
        let mut whole = frame.take().unwrap();
        whole.leave_out(12, &mut closing);
        assert_eq!(whole.numbered(0, &mut closing).len(), 12);
        assert_eq!(closing.number(14), Some(13));
    }

    #[test]
    fn a_frame_is_what_its_packets_say() {
        let kind = |payloads: &[&[u8]]| {
            let mut frame = Frame::default();
            let last = payloads.len() - 1;
            let whole = payloads.iter().enumerate().map(|(n, payload)| {
                let [before, whole] = frame.push(Codec::H264, &packet(1, n == last, payload));
                assert!(before.is_none());
                whole
            });
            whole.last().flatten().unwrap().kind()
        };
        // Parameter sets and a slice of an IDR picture; a reference; one that is none.
        assert_eq!(kind(&[&[0x67, 1], &[0x68, 1], &[0x65, 1]]), FrameKind::Keyframe);
        assert_eq!(kind(&[&[0x41, 1], &[0x41, 2]]), FrameKind::Delta);
        assert_eq!(kind(&[&[0x01, 1]]), FrameKind::Discardable);
        assert_eq!(kind(&[&[0x01, 1], &[0x41, 1]]), FrameKind::Delta);
        assert!(discardable(Codec::Vp8, &[0x30, 0]) && !discardable(Codec::Vp8, &[0x10, 0]));
    }
}
