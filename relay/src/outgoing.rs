//! Media on its way out: audio in datagrams, video one stream per frame, given up when late.
//! Nothing here waits. What finds no room is dropped and counted, because late media is
//! worthless, and because control messages share the connection's send window.

use crate::close::ROQ_FRAME_CANCELLED;
use crate::frame::{FrameOptions, Verdict};
use crate::path::Gauge;
use crate::stats::{Counters, count};
use crate::transport::SEND_WINDOW;
use bytes::Bytes;
use cloudschool_protocol::media::Kind;
use cloudschool_protocol::roq;
use quinn::{Connection, SendDatagramError, SendStream};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Priority of audio that has to go by stream. Frames of video are sent with less.
pub const AUDIO_PRIORITY: i32 = 1000;

/// A packet that is later than this plays no more: behind it, players have concealed the gap.
/// Over a path with a round trip above 200 ms give frames 1.5 round trips and 100 ms.
pub const MEDIA_DEADLINE: Duration = Duration::from_millis(400);

/// Bytes of frames that may wait. A quarter of the send window stays free, so that what must
/// arrive never stands behind what may drop.
const BACKLOG: u64 = SEND_WINDOW / 4 * 3;

/// Frames known to be through are forgotten at most this often.
const SWEEP: Duration = Duration::from_millis(10);

pub struct Outgoing {
    connection: Connection,
    counters: Arc<Counters>,
    gauge: Arc<Gauge>,
    waiting: Mutex<Waiting>,
    /// A frame has come that is due before all others.
    sooner: Notify,
}

struct Waiting {
    frames: Vec<Frame>,
    bytes: u64,
    swept: Instant,
    /// When [`Outgoing::give_up_late`] looks again by itself.
    next_look: Option<Instant>,
}

struct Frame {
    stream: SendStream,
    deadline: Instant,
    bytes: u64,
}

impl Outgoing {
    pub fn new(connection: Connection, counters: Arc<Counters>, gauge: Arc<Gauge>) -> Arc<Self> {
        let waiting =
            Waiting { frames: Vec::new(), bytes: 0, swept: Instant::now(), next_look: None };
        let waiting = Mutex::new(waiting);
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
        let sent = self.stream(priority, MEDIA_DEADLINE, roq::stream(flow, [packet]));
        if !sent {
            count(&self.counters.packets_not_sent);
        }
        sent
    }

    /// The packets of one frame, as a stream of their own.
    pub fn frame(&self, flow: u64, options: FrameOptions, packets: &[Bytes]) -> Verdict {
        let bytes = roq::stream(flow, packets.iter().map(AsRef::as_ref));
        let deadline = options.deadline.unwrap_or_else(|| self.gauge.state().deadline());
        if self.stream(options.priority, deadline, bytes) {
            return Verdict::Sent;
        }
        count(&self.counters.frames_not_sent);
        Verdict::NoRoom
    }

    /// Bytes of frames that are neither acknowledged nor given up.
    pub fn bytes_waiting(&self) -> u64 {
        let mut waiting = self.waiting();
        waiting.sweep(Instant::now(), &self.counters);
        waiting.bytes
    }

    fn datagram(&self, flow: u64, packet: &[u8]) -> Result<bool, TooLarge> {
        let bytes = roq::datagram(flow, packet);
        if self.connection.max_datagram_size().is_some_and(|max| bytes.len() > max) {
            return Err(TooLarge);
        }
        // quinn makes room by dropping the oldest: right for audio, but to be counted.
        if self.connection.datagram_send_buffer_space() < bytes.len() {
            count(&self.counters.packets_not_sent);
        }
        match self.connection.send_datagram(bytes.into()) {
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

    fn stream(&self, priority: i32, deadline: Duration, bytes: Vec<u8>) -> bool {
        let now = Instant::now();
        let deadline = now + deadline;
        let len = bytes.len() as u64;
        let mut waiting = self.waiting();
        if waiting.bytes + len > BACKLOG || now.duration_since(waiting.swept) >= SWEEP {
            waiting.sweep(now, &self.counters);
        }
        if waiting.bytes + len > BACKLOG {
            return false;
        }
        let Some(stream) = self.whole_stream(priority, bytes.into()) else { return false };
        waiting.frames.push(Frame { stream, deadline, bytes: len });
        waiting.bytes += len;
        if waiting.next_look.is_none_or(|t| deadline < t) {
            self.sooner.notify_one();
        }
        true
    }

    /// Hands a stream with all of `bytes` to QUIC, or nothing at all.
    fn whole_stream(&self, priority: i32, bytes: Bytes) -> Option<SendStream> {
        let mut stream = at_once(self.connection.open_uni())?.ok()?;
        stream.set_priority(priority).ok()?;
        match at_once(stream.write_all_chunks(&mut [bytes])) {
            Some(Ok(())) => {
                stream.finish().ok()?;
                Some(stream)
            }
            _ => {
                // An error here means that the connection is closed, and the stream with it.
                stream.reset(ROQ_FRAME_CANCELLED).ok()?;
                None
            }
        }
    }

    /// Gives up frames at their deadline, until the connection is closed.
    pub async fn give_up_late(self: Arc<Self>) {
        let mut closed = pin!(self.connection.closed());
        loop {
            let next = {
                let mut waiting = self.waiting();
                waiting.sweep(Instant::now(), &self.counters);
                waiting.next_look = waiting.frames.iter().map(|f| f.deadline).min();
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
        self.waiting().frames.clear();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Forgets frames that are through and gives up those that are late.
    fn sweep(&mut self, now: Instant, counters: &Counters) {
        self.swept = now;
        let bytes = &mut self.bytes;
        self.frames.retain_mut(|frame| {
            // quinn forgets a stream when its last byte is acknowledged.
            let through = frame.stream.priority().is_err();
            let late = !through && frame.deadline <= now;
            if late && frame.stream.reset(ROQ_FRAME_CANCELLED).is_ok() {
                count(&counters.frames_late);
            }
            if through || late {
                *bytes -= frame.bytes;
            }
            !(through || late)
        });
    }
}

struct TooLarge;

/// The output of a future that is ready now.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
