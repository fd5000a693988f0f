//! A flow of one trunk on its way out: a track's packets, frame by frame. Never waits for the
//! trunk.

use super::allocator::{News, Teller};
use super::closing::Closing;
use super::frames::{Frame, Way, Whole};
use super::keyframes::Asking;
use crate::media::crew::Taker;
use crate::media::{Clock, STILL_DEADLINE, TrackBatch};
use cloudschool_protocol::media::{Codec, Kind};
use cloudschool_protocol::trunk::Control;
use cloudschool_relay::{FrameKind, FrameOptions, Skip, Trunk, Verdict};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Where a flow goes.
pub struct Line {
    pub trunk: Trunk,
    pub outbox: mpsc::Sender<Control>,
    pub allocator: Teller,
    pub flow: u64,
    pub codec: Codec,
    /// How early its frames go.
    pub first: Arc<AtomicI32>,
}

/// A flow on its way out.
pub struct Outward {
    line: Line,
    frame: Frame,
    closing: Closing,
    asking: Asking,
}

impl Outward {
    #[must_use]
    pub fn new(line: Line) -> Self {
        let (frame, closing) = (Frame::default(), Closing::default());
        Self { line, frame, closing, asking: Asking::new(Instant::now()) }
    }
}

impl Taker for Outward {
    fn take(&mut self, mut batch: TrackBatch) {
        let Self { line, frame, closing, asking } = self;
        if let Some(offer) = batch.offer.take() {
            line.allocator.tell(News::Offers(line.flow, offer));
        }
        if line.codec.kind() == Kind::Audio {
            for packet in batch.packets() {
                line.trunk.send_packet(line.flow, Kind::Audio, packet);
            }
        } else if !batch.has_no_packets() {
            let cut = batch.cut();
            for piece in &cut.pieces {
                frame.push(cut, *piece, |whole| {
                    line.go(whole, true, batch.still, closing, asking);
                });
            }
            if let Some(whole) = frame.early().filter(|_| line.trunk.begins_early()) {
                line.go(whole, false, batch.still, closing, asking);
            }
        }
        if let Some(Clock { ntp, rtp }) = batch.clock {
            // Where a thousand messages wait this one is not missed: it comes again in seconds.
            let _told = line.outbox.try_send(Control::Clock { flow: line.flow, ntp, rtp });
        }
    }

    fn over(self: Box<Self>) {
        let Line { outbox, allocator, flow, .. } = self.line;
        allocator.tell(News::Ends(flow));
        // Nobody is told when the trunk is gone, and nobody needs to be.
        if let Err(TrySendError::Full(end)) = outbox.try_send(Control::FlowEnd { flow }) {
            tokio::spawn(async move { outbox.send(end).await });
        }
    }
}

impl Line {
    /// Sends a frame as far as it is there, and asks for a keyframe where one is missing.
    fn go(
        &self,
        whole: &mut Whole,
        last: bool,
        still: bool,
        closing: &mut Closing,
        asking: &mut Asking,
    ) {
        let priority = self.first.load(Ordering::Relaxed);
        // A picture that stands is worth something until the next one.
        let deadline = still.then_some(STILL_DEADLINE);
        let options = FrameOptions { priority, kind: whole.kind(), deadline };
        let verdict = self.put(options, whole, last, closing);
        let missing = needs_keyframe(verdict, whole.kind());
        if asking.asks(Instant::now(), self.trunk.path().reachable, missing) {
            self.allocator.tell(News::KeyframeWanted(self.flow));
        }
    }

    /// Sends a frame as far as it is there; with the `last` of it, or when no more of it will
    /// go, what is left out of it leaves no gap in the numbers.
    fn put(
        &self,
        options: FrameOptions,
        whole: &mut Whole,
        last: bool,
        closing: &mut Closing,
    ) -> Verdict {
        let there = whole.len();
        let (way, verdict) = match std::mem::take(&mut whole.way) {
            Way::Here => {
                let packets = whole.packed(0, closing);
                if packets.is_empty() {
                    return Verdict::Sent;
                }
                if last {
                    let verdict = self.trunk.send_frame(self.flow, options, packets);
                    (Way::Over(if verdict.is_sent() { there } else { 0 }), verdict)
                } else {
                    match self.trunk.begin_frame(self.flow, options, packets) {
                        Ok(begun) => (Way::Begun(begun, there), Verdict::Sent),
                        Err(verdict) => (Way::Over(0), verdict),
                    }
                }
            }
            Way::Begun(begun, gone) => {
                let packets = whole.packed(gone, closing);
                if self.trunk.add_to_frame(&begun, packets, last) {
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
