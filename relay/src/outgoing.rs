//! Media on its way out: audio in datagrams, video one stream per frame, given up when late.
//! Nothing here waits for room. What finds none is dropped and counted, because late media is
//! worthless, and because control messages share the connection's send window.
//!
//! Audio goes to QUIC at once. Frames are held until the [`Pacer`] lets them go, by priority;
//! there they can be left out while the line is behind, and audio overtakes them. Padding goes
//! when the controller asks for it and nothing else waits.

mod waiting;

use crate::frame::{Begun, FrameKind, FrameOptions, Verdict};
use crate::packed::Packed;
use crate::path::Gauge;
use crate::stats::{Counters, add, count};
use crate::transport::DATAGRAM_SEND_BUFFER;
use bytes::Bytes;
use cloudschool_protocol::media::Kind;
use cloudschool_protocol::roq;
use quinn::{Connection, SendDatagramError};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use waiting::{Frame, Patience, Waiting};

/// Priority of audio that has to go by stream. Frames of video are sent with less.
pub const AUDIO_PRIORITY: i32 = 1000;

/// A packet that is later than this plays no more: behind it, players have concealed the gap.
/// [`PathState::deadline`](crate::PathState::deadline) is longer on a longer path.
pub const MEDIA_DEADLINE: Duration = Duration::from_millis(400);

/// The flow id of padding, which nobody reads.
pub const PADDING: u64 = 0;

/// One packet of padding: it fills a QUIC packet on any path.
static ZEROS: [u8; 1100] = [0; 1100];

/// Padding is of use for a moment only; what is lost of it is not sent again after this.
const PADDING_DEADLINE: Duration = Duration::from_millis(100);

/// How often padding is looked at while it is asked for, and audio while QUIC takes none.
const BEAT: Duration = Duration::from_millis(10);

/// Bytes of QUIC, UDP and IP around what a packet carries.
const HEADERS: usize = 64;

/// A frame's acknowledgement may be so much older than a round trip and the crossing of the
/// largest frame: a retransmission. 100 ms also skips on a healthy lossy line.
const BEHIND: Duration = Duration::from_millis(200);

/// On a path so long that what is lost twice is late, frames go in streams of so many packets,
/// and one of them is sent once more when it has lost something. Smaller ones would cost more
/// for themselves than they save of what is sent again.
const PART: usize = 2;

/// Share of packets lost from which a keyframe goes in such parts on any path: it is so large that
/// a loss in it is likely, and that loss again is a second nobody sees anything of. On a slow line
/// and one that is shared what is sent again would be in the way.
const LOSSY: f64 = 0.01;

/// A part of it that has lost something is sent once more so long after QUIC sends again what was
/// lost: whatever takes that as well is over then.
const AFTER_A_BURST: Duration = Duration::from_millis(20);

/// Audio that QUIC has not sent: with more than this in its buffer the line is stuck, and what
/// comes waits here, where it can become too old, and not behind it.
const DATAGRAMS_UNSENT: usize = 4 * 1024;

pub struct Outgoing {
    connection: Connection,
    counters: Arc<Counters>,
    gauge: Arc<Gauge>,
    waiting: Mutex<Waiting>,
    /// There is something to do before the time [`Outgoing::run`] sleeps until.
    sooner: Notify,
}

impl Outgoing {
    pub fn new(connection: Connection, counters: Arc<Counters>, gauge: Arc<Gauge>) -> Arc<Self> {
        let waiting = Mutex::new(Waiting::new(Instant::now()));
        Arc::new(Self { connection, counters, gauge, waiting, sooner: Notify::new() })
    }

    /// One packet: audio as a datagram, video, or what no datagram holds, as a stream.
    pub fn packet(&self, flow: u64, kind: Kind, packet: &[u8]) -> bool {
        let priority = match kind {
            Kind::Audio => match self.datagram(flow, packet) {
                Ok(sent) => return sent,
                Err(TooLarge) => AUDIO_PRIORITY,
            },
            Kind::Video => 0,
        };
        let now = Instant::now();
        let deadline = now + self.gauge.state().deadline();
        let only = Packed::from(&[packet]).stream(flow);
        let only = Frame::new(now, deadline, flow, priority, only);
        let sent = self.hold(now, vec![only]);
        if !sent {
            count(&self.counters.packets_not_sent);
        }
        sent
    }

    /// The packets of one frame, as a stream of their own.
    pub fn frame(&self, flow: u64, options: FrameOptions, packets: Packed) -> Verdict {
        self.put(flow, options, packets, true).map_or_else(|verdict| verdict, |_| Verdict::Sent)
    }

    /// The first packets of a frame.
    pub fn begin(
        &self,
        flow: u64,
        options: FrameOptions,
        packets: Packed,
    ) -> Result<Begun, Verdict> {
        let bytes = packets.len();
        let id = self.put(flow, options, packets, false)?;
        Ok(Begun { id, flow, options, bytes })
    }

    /// More of a frame that was begun; false when no more of it goes.
    pub fn go_on(&self, begun: &Begun, packets: Packed, last: bool) -> bool {
        let now = Instant::now();
        let Begun { id, flow, options, bytes } = begun;
        let mut waiting = self.waiting();
        let goes = if *id == 0 {
            let deadline = options.deadline.unwrap_or_else(|| self.gauge.state().deadline());
            let part = |packets: Packed| {
                Frame::new(now, now + deadline, *flow, options.priority, packets.stream(*flow))
            };
            let of = bytes + packets.len();
            let parts = packets.parts(PART).into_iter();
            let parts = parts.map(|packets| part(packets).twice(AFTER_A_BURST).part_of(of));
            !self.gauge.orders().draining && waiting.hold(now, parts.collect(), &self.counters)
        } else {
            waiting.go_on(now, *id, packets.more(), last, &self.counters)
        };
        if !goes {
            waiting.missed(*flow, options.kind);
            count(&self.counters.frames_not_sent);
            return false;
        }
        self.set_off(waiting, now);
        true
    }

    /// Whether frames may be begun before all of them is there: not where they go in parts.
    pub fn begins_early(&self) -> bool {
        !self.gauge.state().has_time_for_one_loss()
    }

    /// Takes a frame, or the beginning of one; gives the name of the latter, 0 of one in parts.
    fn put(
        &self,
        flow: u64,
        options: FrameOptions,
        packets: Packed,
        complete: bool,
    ) -> Result<u64, Verdict> {
        let now = Instant::now();
        let path = self.gauge.state();
        let orders = self.gauge.orders();
        let deadline = options.deadline.unwrap_or_else(|| path.deadline());
        // What may wait does until the line has got rid of what it was given before.
        let waits = deadline > path.deadline() || !orders.draining;
        let patience = waits.then(|| Patience {
            least: path.rtt + BEHIND.max(deadline / 2),
            most: path.rtt + BEHIND.max(deadline),
            rate: path.estimate as f64 / 8.0,
        });
        let why = self.waiting().leave_out(now, flow, options.kind, patience, &self.counters);
        if let Some(why) = why {
            count(&self.counters.frames_skipped);
            return Err(Verdict::Skipped { why });
        }
        let part = |packets: Packed| {
            Frame::new(now, now + deadline, flow, options.priority, packets.stream(flow))
        };
        let mut name = 0;
        let key = options.kind == FrameKind::Keyframe;
        let parts = if key && orders.whole_frames() && orders.steady_loss >= LOSSY {
            let of = packets.len();
            let twice = |packets| part(packets).twice(AFTER_A_BURST).part_of(of);
            packets.parts(PART).into_iter().map(twice).collect()
        } else if !complete {
            let mut begun = part(packets);
            name = self.waiting().name(&mut begun);
            vec![begun]
        } else if path.has_time_for_one_loss() {
            packets.parts(PART).into_iter().map(|p| part(p).twice(Duration::ZERO)).collect()
        } else {
            vec![part(packets)]
        };
        if self.hold(now, parts) {
            return Ok(name);
        }
        self.waiting().missed(flow, options.kind);
        count(&self.counters.frames_not_sent);
        Err(Verdict::NoRoom)
    }

    /// Bytes of frames that are neither acknowledged nor given up.
    pub fn bytes_waiting(&self) -> u64 {
        let mut waiting = self.waiting();
        waiting.sweep(Instant::now(), &self.counters);
        waiting.bytes
    }

    fn datagram(&self, flow: u64, packet: &[u8]) -> Result<bool, TooLarge> {
        let bytes = Bytes::from(roq::datagram(flow, packet));
        let small = bytes.len() <= 1100;
        if !small && self.connection.max_datagram_size().is_some_and(|max| bytes.len() > max) {
            return Err(TooLarge);
        }
        let now = Instant::now();
        let orders = self.gauge.orders();
        let mut waiting = self.waiting();
        let before = waiting.before.and_keep(now, flow, &bytes, orders.repeats());
        if self.stuck() || !waiting.audio.is_empty() {
            if waiting.hold_audio(now, bytes) {
                count(&self.counters.packets_not_sent);
            }
            self.sooner.notify_one();
            return Ok(true);
        }
        let mut spent = HEADERS + bytes.len();
        // In their order, one after the other: QUIC packs them into one packet.
        for earlier in before {
            spent += earlier.len();
            if self.connection.send_datagram(earlier).is_ok() {
                count(&self.counters.packets_repeated);
            }
        }
        waiting.pacer.spent(spent);
        waiting.padded -= spent as f64;
        drop(waiting);
        self.send_datagram(bytes)
    }

    fn send_datagram(&self, bytes: Bytes) -> Result<bool, TooLarge> {
        match self.connection.send_datagram(bytes) {
            Ok(()) => Ok(true),
            Err(SendDatagramError::TooLarge | SendDatagramError::UnsupportedByPeer) => {
                Err(TooLarge)
            }
            Err(SendDatagramError::ConnectionLost(_) | SendDatagramError::Disabled) => {
                count(&self.counters.packets_not_sent);
                Ok(false)
            }
        }
    }

    /// Whether QUIC sends no audio at the moment.
    fn stuck(&self) -> bool {
        let free = self.connection.datagram_send_buffer_space();
        free + DATAGRAMS_UNSENT < DATAGRAM_SEND_BUFFER
    }

    /// Takes a whole frame, or nothing of it when too much waits.
    fn hold(&self, now: Instant, parts: Vec<Frame>) -> bool {
        if self.connection.close_reason().is_some() {
            return false;
        }
        let mut waiting = self.waiting();
        if !waiting.hold(now, parts, &self.counters) {
            return false;
        }
        self.set_off(waiting, now);
        true
    }

    /// Sends what may go, and has [`Self::run`] look sooner where that is needed.
    fn set_off(&self, mut waiting: MutexGuard<'_, Waiting>, now: Instant) {
        self.release(&mut waiting, now);
        if waiting.look_again().is_some_and(|at| waiting.next_look.is_none_or(|t| at < t)) {
            self.sooner.notify_one();
        }
    }

    /// Hands to QUIC what the pacer lets go.
    fn release(&self, waiting: &mut Waiting, now: Instant) {
        let orders = self.gauge.orders();
        waiting.release_at = None;
        if orders.draining {
            waiting.abandon(self.gauge.state().deadline(), &self.counters);
            waiting.release_at = waiting.has_held().then(|| now + BEAT);
            return;
        }
        let whole = orders.whole_frames();
        let piece = if whole { usize::MAX } else { PIECE };
        let again = waiting.send_again(now, &self.connection);
        if again > 0 {
            waiting.pacer.spent(again + again.div_ceil(PIECE) * HEADERS);
            add(&self.counters.frame_bytes_repeated, again as u64);
        }
        while waiting.has_held() {
            if let Err(wait) = waiting.pacer.room(now, orders.send_rate, whole) {
                waiting.release_at = Some(now + wait.max(Duration::from_millis(1)));
                return;
            }
            match waiting.write_first(&self.connection, piece) {
                Some(written) => {
                    let spent = written + written.div_ceil(PIECE) * HEADERS;
                    waiting.pacer.spent(spent);
                    waiting.padded -= spent as f64;
                }
                // QUIC has no room: its limits of streams and bytes move with the other end.
                None => {
                    waiting.release_at = Some(now + BEAT);
                    return;
                }
            }
        }
    }

    /// Sends once more, as far as there is room, what would be late by the time it was known to
    /// be lost: where somebody else keeps the line's queue full, it overflows again and again.
    fn send_copies(&self, waiting: &mut Waiting, now: Instant) {
        let orders = self.gauge.orders();
        if !orders.shared || waiting.has_held() {
            return;
        }
        while waiting.pacer.room(now, orders.send_rate, false).is_ok() {
            let again = waiting.send_copy(now, &self.connection);
            if again == 0 {
                break;
            }
            let spent = again + again.div_ceil(PIECE) * HEADERS;
            waiting.pacer.spent(spent);
            waiting.padded -= spent as f64;
            add(&self.counters.frame_bytes_repeated, again as u64);
        }
    }

    /// Sends audio that was held, as far as it is not too old.
    fn release_audio(&self, waiting: &mut Waiting, now: Instant) {
        while !self.stuck() {
            match waiting.next_audio(now, &self.counters) {
                // What has become too large meanwhile is too late as well.
                Some(bytes) => drop(self.send_datagram(bytes)),
                None => return,
            }
        }
    }

    /// Fills up with padding what the controller asks for.
    fn pad(&self, waiting: &mut Waiting, now: Instant) {
        let pad_to = self.gauge.orders().pad_to;
        waiting.credit_padding(now, pad_to);
        while waiting.padded >= ZEROS.len() as f64 && !waiting.has_held() {
            let mut bytes = Vec::with_capacity(ZEROS.len() + 8);
            roq::put_varint(&mut bytes, PADDING);
            roq::put_varint(&mut bytes, ZEROS.len() as u64);
            bytes.extend_from_slice(&ZEROS);
            let spent = bytes.len() + HEADERS;
            let bytes = VecDeque::from([bytes.into()]);
            let frame = Frame::new(now, now + PADDING_DEADLINE, PADDING, i32::MIN, bytes);
            if !waiting.send_padding(&self.connection, frame) {
                return;
            }
            waiting.padded -= spent as f64;
            waiting.pacer.spent(spent);
            add(&self.counters.padding_bytes_sent, spent as u64);
        }
    }

    /// Gives up frames at their deadline, sends what was held and pads, until the connection is
    /// closed.
    pub async fn run(self: Arc<Self>) {
        let mut closed = pin!(self.connection.closed());
        loop {
            let next = {
                let mut waiting = self.waiting();
                let now = Instant::now();
                waiting.sweep(now, &self.counters);
                self.release(&mut waiting, now);
                self.release_audio(&mut waiting, now);
                self.send_copies(&mut waiting, now);
                self.pad(&mut waiting, now);
                let orders = self.gauge.orders();
                let again = orders.pad_to > 0.0
                    || orders.shared && waiting.has_copies()
                    || waiting.has_parts_of_keyframes();
                let beat = (again || !waiting.audio.is_empty()).then(|| now + BEAT);
                waiting.next_look = waiting.look_again().into_iter().chain(beat).min();
                waiting.next_look
            };
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = &mut closed => break,
                () = self.sooner.notified() => {}
                () = due => {}
            }
        }
        self.waiting().clear();
    }

    /// Looks whether there is padding or a copy to send, or something to give up: the path has
    /// been looked at.
    pub fn nudge(&self) {
        let orders = self.gauge.orders();
        if orders.pad_to > 0.0 || orders.shared || orders.draining {
            self.sooner.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is written at once on a slow line: a QUIC packet.
const PIECE: usize = 1150;

struct TooLarge;

/// The output of a future that is ready now.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
