//! Frames that are held, and frames that QUIC has and the other end has not acknowledged; per
//! flow, how far the line is behind and whether the next frame could be decoded.

use super::at_once;
use crate::close::ROQ_FRAME_CANCELLED;
use crate::frame::{FrameKind, Skip};
use crate::pacer::Pacer;
use crate::redundancy::Before;
use crate::stats::{Counters, count};
use crate::transport::SEND_WINDOW;
use bytes::{Buf, Bytes};
use quinn::{Connection, SendStream};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Bytes of frames that may wait. A quarter of the send window stays free, so that what must
/// arrive never stands behind what may drop.
const BACKLOG: u64 = SEND_WINDOW / 4 * 3;

/// Frames known to be through are forgotten at most this often.
const SWEEP: Duration = Duration::from_millis(10);

/// Audio that is older plays no more: an outage's is not sent after it.
const AUDIO_OLD: Duration = Duration::from_millis(200);
const AUDIO_HELD: usize = 256;

/// Padding that may be owed: more would come in a burst.
const PADDING_BURST: f64 = 6000.0;

/// What is through must have been given to QUIC so much later to say that a frame before it has
/// lost something: packets of two streams may go out in one another's.
const OVERTAKEN_BY: u64 = 2;

/// A copy goes so long after the first: a queue that overflows does so for a moment.
const COPY_AFTER: Duration = Duration::from_millis(30);

/// Flows that are remembered beyond their frames; more are of long ago.
const FLOWS: usize = 1024;

/// A stream that is to be sent: a frame, or a part of one.
pub struct Frame {
    born: Instant,
    deadline: Instant,
    flow: u64,
    priority: i32,
    /// What QUIC has not taken yet; no part of it is empty.
    rest: VecDeque<Bytes>,
    /// Names one that was begun before all of it was there; 0 for others.
    id: u64,
    /// All of it is there.
    complete: bool,
    /// Bytes of the whole, and of the frame it is a part of.
    len: u64,
    part_of: u64,
    stream: Option<SendStream>,
    /// Its place among those QUIC was given.
    place: u64,
    /// All of it, to be sent once more when what was given to QUIC later is through before it.
    spare: Option<VecDeque<Bytes>>,
    /// So long after that was seen, and when it was.
    again_after: Duration,
    overtaken: Option<Instant>,
    second: Option<SendStream>,
}

impl Frame {
    pub fn new(
        born: Instant,
        deadline: Instant,
        flow: u64,
        priority: i32,
        bytes: VecDeque<Bytes>,
    ) -> Self {
        let len = length(&bytes) as u64;
        Self {
            born,
            deadline,
            flow,
            priority,
            rest: bytes,
            id: 0,
            complete: true,
            len,
            part_of: len,
            stream: None,
            place: 0,
            spare: None,
            again_after: Duration::ZERO,
            overtaken: None,
            second: None,
        }
    }

    /// The same, of which there is a second, to be sent so long after the first has lost something.
    pub fn twice(self, again_after: Duration) -> Self {
        Self { spare: Some(self.rest.clone()), again_after, ..self }
    }

    /// The same as a part of a frame of so many bytes.
    pub fn part_of(self, bytes: u64) -> Self {
        Self { part_of: bytes, ..self }
    }

    /// When its second is due.
    fn again_at(&self) -> Option<Instant> {
        let overtaken = self.overtaken.filter(|_| self.spare.is_some())?;
        Some(overtaken + self.again_after)
    }

    /// Hands at most `most` bytes to QUIC; `None` when it has no room.
    fn write(&mut self, connection: &Connection, most: usize) -> Option<usize> {
        if self.stream.is_none() {
            let stream = at_once(connection.open_uni())?.ok()?;
            stream.set_priority(self.priority).ok()?;
            self.stream = Some(stream);
        }
        let stream = self.stream.as_mut()?;
        let written = if length(&self.rest) <= most {
            at_once(stream.write_chunks(self.rest.make_contiguous()))?.ok()?.bytes
        } else {
            let mut piece = beginning(&self.rest, most);
            let written = at_once(stream.write_chunks(&mut piece))?.ok()?.bytes;
            let mut gone = written;
            for chunk in &mut self.rest {
                let of_it = chunk.len().min(gone);
                chunk.advance(of_it);
                gone -= of_it;
            }
            written
        };
        while self.rest.front().is_some_and(Bytes::is_empty) {
            self.rest.pop_front();
        }
        if self.rest.is_empty() && self.complete {
            stream.finish().ok()?;
        }
        Some(written)
    }

    /// More of one that was begun; its time counts from here.
    fn go_on(&mut self, now: Instant, bytes: VecDeque<Bytes>, last: bool) {
        let lasts = self.deadline - self.born;
        (self.born, self.deadline) = (now, now + lasts);
        self.complete |= last;
        self.len += length(&bytes) as u64;
        self.rest.extend(bytes);
        if self.rest.is_empty()
            && self.complete
            && let Some(stream) = &mut self.stream
        {
            // An error means that it was given up or the connection is closed.
            stream.finish().ok();
        }
    }

    /// Sends all of it once more, before what else waits. Gives its bytes; 0 when QUIC has no
    /// room, and then nothing is sent.
    fn write_again(&mut self, connection: &Connection) -> usize {
        let Some(mut bytes) = self.spare.take() else { return 0 };
        let Some(Ok(mut stream)) = at_once(connection.open_uni()) else { return 0 };
        let len = length(&bytes);
        let first = self.priority.saturating_add(1);
        let written = stream.set_priority(first).ok().and_then(|()| {
            let written = at_once(stream.write_chunks(bytes.make_contiguous()))?.ok()?.bytes;
            (written == len).then(|| stream.finish().ok())?
        });
        if written.is_none() {
            stream.reset(ROQ_FRAME_CANCELLED).ok();
            return 0;
        }
        self.second = Some(stream);
        len
    }

    /// Whether the other end has all of it: quinn forgets a stream then.
    fn is_through(&self) -> bool {
        let forgot = |stream: &SendStream| stream.priority().is_err();
        self.complete
            && self.rest.is_empty()
            && (self.stream.as_ref().is_none_or(forgot) || self.second.as_ref().is_some_and(forgot))
    }

    fn give_up(&mut self) {
        for stream in self.stream.iter_mut().chain(&mut self.second) {
            // An error means that it is through after all, or that the connection is closed.
            stream.reset(ROQ_FRAME_CANCELLED).ok();
        }
    }
}

/// Bytes of all of them.
fn length(chunks: &VecDeque<Bytes>) -> usize {
    chunks.iter().map(Bytes::len).sum()
}

/// The first `most` bytes.
fn beginning(chunks: &VecDeque<Bytes>, most: usize) -> Vec<Bytes> {
    let mut room = most;
    let of_it = |chunk: &Bytes| {
        let len = chunk.len().min(room);
        room -= len;
        (len > 0).then(|| chunk.slice(..len))
    };
    chunks.iter().map_while(of_it).collect()
}

#[derive(Default)]
struct Flow {
    /// When the newest frame that is through was handed in, and the place of the last one.
    newest_through: Option<Instant>,
    last_through: u64,
    /// When the newest frame that was given up was handed in.
    newest_late: Option<Instant>,
    /// A frame was left out that the next ones need.
    broken: bool,
}

/// How long nothing of a flow need have come through before its line is behind.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A round trip and what repairing a loss takes.
    pub least: Duration,
    pub most: Duration,
    /// What the line is thought to carry, in bytes/s.
    pub rate: f64,
}

impl Patience {
    /// While a frame of `largest` bytes crosses, what was lost before it is sent again behind it.
    fn with(self, largest: u64) -> Duration {
        let crossing = largest as f64 / self.rate.max(1.0);
        // Above a minute it is `most` in any case.
        (self.least + Duration::from_secs_f64(crossing.min(60.0))).min(self.most)
    }
}

pub struct Waiting {
    /// Not wholly in QUIC as far as they are there; by priority, then by age.
    held: VecDeque<Frame>,
    /// In QUIC, and not complete or not acknowledged.
    open: Vec<Frame>,
    padding: Vec<Frame>,
    flows: HashMap<u64, Flow>,
    /// Frames that QUIC was given, and that were begun before all was there.
    given: u64,
    begun: u64,
    /// Of all frames.
    pub bytes: u64,
    pub pacer: Pacer,
    pub before: Before,
    pub audio: VecDeque<(Instant, Bytes)>,
    swept: Instant,
    /// When the pacer lets the next go.
    pub release_at: Option<Instant>,
    /// When [`super::Outgoing::run`] looks again by itself.
    pub next_look: Option<Instant>,
    /// Bytes of padding that are due.
    pub padded: f64,
    padded_at: Instant,
}

impl Waiting {
    pub fn new(now: Instant) -> Self {
        Self {
            held: VecDeque::new(),
            open: Vec::new(),
            padding: Vec::new(),
            flows: HashMap::new(),
            given: 0,
            begun: 0,
            bytes: 0,
            pacer: Pacer::new(now),
            before: Before::default(),
            audio: VecDeque::new(),
            swept: now,
            release_at: None,
            next_look: None,
            padded: 0.0,
            padded_at: now,
        }
    }

    /// Gives up every frame that is not through and has no longer than `lasts`: the line has
    /// become so narrow that it would come too late, and make what comes after it late.
    pub fn abandon(&mut self, lasts: Duration, counters: &Counters) {
        let Self { held, open, flows, bytes, .. } = self;
        let mut keep = |frame: &mut Frame| {
            if frame.deadline.saturating_duration_since(frame.born) > lasts {
                return true;
            }
            *bytes -= frame.len;
            if !frame.is_through() {
                frame.give_up();
                count(&counters.frames_late);
                flows.entry(frame.flow).or_default().broken = true;
            }
            false
        };
        held.retain_mut(&mut keep);
        open.retain_mut(&mut keep);
        self.padding.drain(..).for_each(|mut frame| frame.give_up());
    }

    /// Whether a frame is to be left out, and why. The line is behind when nothing that a flow
    /// was given has come through for longer than a line has to be given; without any
    /// `patience`, it is.
    pub fn leave_out(
        &mut self,
        now: Instant,
        flow: u64,
        kind: FrameKind,
        patience: Option<Patience>,
        counters: &Counters,
    ) -> Option<Skip> {
        if now.saturating_duration_since(self.swept) >= SWEEP {
            self.sweep(now, counters);
        }
        if self.flows.len() >= FLOWS && !self.flows.contains_key(&flow) {
            self.flows.clear();
        }
        let waiting = self.held.iter().chain(&self.open).filter(|f| f.flow == flow);
        let (oldest, largest) = waiting.fold((None, 0), |(oldest, largest), f| {
            let largest = f.len.max(f.part_of).max(largest);
            (Some(oldest.map_or(f.born, |o: Instant| o.min(f.born))), largest)
        });
        let state = self.flows.entry(flow).or_default();
        let behind = patience.is_none_or(|patience| {
            oldest.is_some_and(|oldest| {
                let progress = state.newest_through.map_or(oldest, |t| t.max(oldest));
                now.saturating_duration_since(progress) > patience.with(largest)
            })
        });
        match kind {
            _ if behind => {
                state.broken |= matches!(kind, FrameKind::Keyframe | FrameKind::Delta);
                Some(Skip::Behind)
            }
            FrameKind::Delta | FrameKind::Discardable if state.broken => Some(Skip::Undecodable),
            FrameKind::Keyframe => {
                state.broken = false;
                None
            }
            _ => None,
        }
    }

    /// A frame of `flow` found no room.
    pub fn missed(&mut self, flow: u64, kind: FrameKind) {
        if matches!(kind, FrameKind::Keyframe | FrameKind::Delta) {
            self.flows.entry(flow).or_default().broken = true;
        }
    }

    /// Takes a frame, in parts or whole, unless too much waits already.
    pub fn hold(&mut self, now: Instant, parts: Vec<Frame>, counters: &Counters) -> bool {
        let len: u64 = parts.iter().map(|part| part.len).sum();
        if self.bytes + len > BACKLOG || now.saturating_duration_since(self.swept) >= SWEEP {
            self.sweep(now, counters);
        }
        if self.bytes + len > BACKLOG {
            return false;
        }
        self.bytes += len;
        parts.into_iter().for_each(|part| self.stand(part));
        true
    }

    /// Puts a frame in its place among those that are held.
    fn stand(&mut self, frame: Frame) {
        let place = self.held.partition_point(|f| f.priority >= frame.priority);
        self.held.insert(place, frame);
    }

    /// Makes of `frame` one of which more comes, and gives its name.
    pub fn name(&mut self, frame: &mut Frame) -> u64 {
        self.begun += 1;
        (frame.id, frame.complete) = (self.begun, false);
        self.begun
    }

    /// Adds to a frame that was begun. False when it was given up, or is now because too much
    /// waits.
    pub fn go_on(
        &mut self,
        now: Instant,
        id: u64,
        bytes: VecDeque<Bytes>,
        last: bool,
        counters: &Counters,
    ) -> bool {
        let len = length(&bytes) as u64;
        if self.bytes + len > BACKLOG {
            self.sweep(now, counters);
        }
        let room = self.bytes + len <= BACKLOG;
        if let Some(at) = self.held.iter().position(|f| f.id == id) {
            if room && let Some(frame) = self.held.get_mut(at) {
                self.bytes += len;
                frame.go_on(now, bytes, last);
            } else if let Some(mut frame) = self.held.remove(at) {
                self.bytes -= frame.len;
                frame.give_up();
            }
            return room;
        }
        let Some(at) = self.open.iter().position(|f| f.id == id) else { return false };
        let mut frame = self.open.swap_remove(at);
        if !room {
            self.bytes -= frame.len;
            frame.give_up();
            return false;
        }
        self.bytes += len;
        frame.go_on(now, bytes, last);
        if frame.rest.is_empty() {
            self.open.push(frame);
        } else {
            self.stand(frame);
        }
        true
    }

    pub fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Writes of the first frame that is held; `None` when QUIC has no room.
    pub fn write_first(&mut self, connection: &Connection, most: usize) -> Option<usize> {
        let written = self.held.front_mut()?.write(connection, most)?;
        if self.held.front().is_some_and(|f| f.rest.is_empty()) {
            self.given += 1;
            let given = self.held.pop_front().map(|frame| Frame { place: self.given, ..frame });
            self.open.extend(given);
        }
        Some(written)
    }

    /// Sends once more what QUIC was given before something that is through, and is not through
    /// itself. Gives the bytes.
    pub fn send_again(&mut self, now: Instant, connection: &Connection) -> usize {
        let flows = &self.flows;
        let due = |frame: &mut Frame| {
            let last = flows.get(&frame.flow).map_or(0, |flow| flow.last_through);
            if frame.spare.is_some() && frame.place + OVERTAKEN_BY <= last {
                frame.overtaken.get_or_insert(now);
            }
            frame.again_at().is_some_and(|at| at <= now)
        };
        let mut again = 0;
        for frame in &mut self.open {
            if due(frame) {
                again += frame.write_again(connection);
            }
        }
        again
    }

    /// Whether parts of a keyframe are on their way that may have to be sent once more soon.
    pub fn has_parts_of_keyframes(&self) -> bool {
        self.open.iter().any(|frame| frame.spare.is_some() && !frame.again_after.is_zero())
    }

    /// Sends once more, before it is known to be lost, what QUIC was given a while ago and is not
    /// through. Gives the bytes; 0 when there is nothing.
    pub fn send_copy(&mut self, now: Instant, connection: &Connection) -> usize {
        let due = |frame: &&mut Frame| {
            frame.spare.is_some() && now.saturating_duration_since(frame.born) >= COPY_AFTER
        };
        let next = self.open.iter_mut().filter(due).min_by_key(|frame| frame.place);
        next.map_or(0, |frame| frame.write_again(connection))
    }

    /// Whether there is anything to send once more.
    pub fn has_copies(&self) -> bool {
        self.open.iter().any(|frame| frame.spare.is_some())
    }

    pub fn send_padding(&mut self, connection: &Connection, mut frame: Frame) -> bool {
        let sent = frame.write(connection, usize::MAX).is_some();
        self.padding.push(frame);
        sent
    }

    /// Padding becomes due at `rate` bytes/s, less what else was sent.
    pub fn credit_padding(&mut self, now: Instant, rate: f64) {
        let passed = now.saturating_duration_since(self.padded_at).as_secs_f64();
        self.padded_at = now;
        self.padded = if rate > 0.0 {
            (self.padded + rate * passed).clamp(-rate, PADDING_BURST)
        } else {
            0.0
        };
        if rate == 0.0 {
            self.padding.drain(..).for_each(|mut f| f.give_up());
        }
    }

    /// Keeps audio until QUIC takes it. True when another was dropped for it.
    pub fn hold_audio(&mut self, now: Instant, bytes: Bytes) -> bool {
        let full = self.audio.len() >= AUDIO_HELD;
        if full {
            self.audio.pop_front();
        }
        self.audio.push_back((now, bytes));
        full
    }

    /// The next of the audio that was held and is not too old.
    pub fn next_audio(&mut self, now: Instant, counters: &Counters) -> Option<Bytes> {
        while let Some((since, bytes)) = self.audio.pop_front() {
            if now.saturating_duration_since(since) <= AUDIO_OLD {
                return Some(bytes);
            }
            count(&counters.packets_not_sent);
        }
        None
    }

    /// When there is something to do: the next deadline, or the pacer's next turn.
    pub fn look_again(&self) -> Option<Instant> {
        let frames = self.held.iter().chain(&self.open).chain(&self.padding);
        frames.map(|f| f.deadline).chain(self.release_at).min()
    }

    /// Forgets frames that are through and gives up those that are late.
    pub fn sweep(&mut self, now: Instant, counters: &Counters) {
        self.swept = now;
        let Self { held, open, padding, flows, bytes, .. } = self;
        let mut keep = |frame: &mut Frame| {
            if frame.is_through() {
                let flow = flows.entry(frame.flow).or_default();
                flow.newest_through = flow.newest_through.max(Some(frame.born));
                flow.last_through = flow.last_through.max(frame.place);
                *bytes -= frame.len;
                if frame.second.is_some() {
                    // Of the two the one that is not through.
                    frame.give_up();
                }
                return false;
            }
            if frame.deadline <= now {
                frame.give_up();
                let flow = flows.entry(frame.flow).or_default();
                // Parts of one frame count once.
                if flow.newest_late.is_none_or(|late| frame.born > late) {
                    flow.newest_late = Some(frame.born);
                    count(&counters.frames_late);
                }
                *bytes -= frame.len;
                return false;
            }
            true
        };
        held.retain_mut(&mut keep);
        open.retain_mut(&mut keep);
        padding.retain_mut(|frame| {
            let over = frame.deadline <= now;
            if over {
                frame.give_up();
            }
            !over
        });
    }

    /// The connection is closed.
    pub fn clear(&mut self) {
        self.held.clear();
        self.open.clear();
        self.padding.clear();
        self.audio.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_large_frame_that_crosses_is_waited_for_up_to_a_limit() {
        let patience = Patience { least: ms(300), most: ms(500), rate: 500_000.0 };
        assert_eq!(patience.with(0), ms(300));
        assert_eq!(patience.with(50_000), ms(400));
        assert_eq!(patience.with(1_000_000), ms(500));
        let unknown = Patience { rate: 0.0, ..patience };
        assert_eq!(unknown.with(u64::MAX), ms(500));
    }
}
