//! One line towards one viewer: chooses what of a track goes there, and gives it the line's own
//! sequence numbers, timestamps and picture ids, without a gap or a jump whatever happens at
//! the source: another track bound to the line, a change of layer, a publisher that came back,
//! a mute, packets lost, late or reordered on the way in.
//!
//! A number is given to one packet for ever: what [`Egress::lost`] hands out again is what went
//! out before, bit by bit, or nothing. Nothing is sealed or sent here.

mod gaps;
mod memory;
mod outgoing;
mod shift;
#[cfg(test)]
mod tests;

pub use outgoing::{Epoch, Lost, Outgoing};
pub use shift::Shift;

use super::cache::Cached;
use super::layers::{Choice, Description, Pictures, Target};
use cloudschool_protocol::media::Kind;
use gaps::Gaps;
use memory::{Memory, SENT_PACKETS};
use std::time::{Duration, Instant};

/// How far the time by the publisher's clock may be from the time that went by here before it
/// is not believed: delay and its changes are well below, a wrong sender report is not.
const BELIEVED: Duration = Duration::from_secs(1);

/// The source that is forwarded at present.
#[derive(Debug)]
struct Run {
    epoch: Epoch,
    /// The first packet's number at the source, and the newest's.
    first: u64,
    newest: u64,
    /// Added to a source's number to get the line's, as of the newest packet; wraps.
    delta: u64,
    gaps: Gaps,
    timestamp_offset: u32,
    /// What turns the source's timestamps into the publisher's time line, as last known.
    aligned: Option<u32>,
    shift: Shift,
    choice: Choice,
}

impl Run {
    /// Leaves out a packet, so that those after it close up; with it, where it is the first of
    /// its frame, the picture.
    fn leave_out(&mut self, packet: &Cached, frame: bool) {
        self.gaps.leave_out(packet.number);
        self.delta = self.delta.wrapping_sub(1);
        if frame && packet.description.pictures == Pictures::Vp8 {
            self.shift.picture = self.shift.picture.wrapping_sub(1);
        }
    }
}

/// A line as it was when its source was broken off.
#[derive(Debug, Clone, Copy)]
struct Past {
    epoch: Epoch,
    timestamp_offset: u32,
    aligned: Option<u32>,
}

/// The newest picture that went out.
#[derive(Debug, Clone, Copy)]
struct Picture {
    id: u16,
    tl0: Option<u8>,
}

/// One line.
#[derive(Debug)]
pub struct Egress {
    kind: Kind,
    clock_rate: u32,
    target: Option<Target>,
    run: Option<Run>,
    past: Option<Past>,
    /// It begins with the number of the packet it begins with.
    as_source: bool,
    /// The next number to be given.
    next: u64,
    /// Which of the last 64 numbers below `next` were given (bit n: the one n + 1 below).
    given: u64,
    newest: Option<(u32, Instant)>,
    picture: Option<Picture>,
    memory: Option<Box<Memory>>,
    /// Nothing below this number is sent again: it is of a picture that was given up.
    repaired_from: u64,
    /// The packet a source began with, until somebody asked.
    begun: Option<(u8, u64)>,
    /// Packets and payload bytes sent, for sender reports.
    pub packets: u32,
    pub octets: u32,
}

impl Egress {
    /// A line that has sent nothing and takes all there is. `first` is the first sequence
    /// number: below 2¹⁵, so that the receiver can't mistake an early wrap (RFC 3711 §3.3.1).
    #[must_use]
    pub fn new(kind: Kind, clock_rate: u32, first: u16) -> Self {
        Self {
            kind,
            clock_rate,
            target: Some(Target::ALL),
            run: None,
            past: None,
            as_source: false,
            next: u64::from(first & 0x7fff),
            given: 0,
            newest: None,
            picture: None,
            memory: None,
            repaired_from: 0,
            begun: None,
            packets: 0,
            octets: 0,
        }
    }

    /// A line that keeps the numbers and times of its first source for as long as it can, so
    /// that lines which show the same of it are the same. Not for SRTP, where a line's numbers
    /// are its own.
    #[must_use]
    pub fn like_its_source(kind: Kind, clock_rate: u32) -> Self {
        Self { as_source: true, ..Self::new(kind, clock_rate, 0) }
    }

    /// What the line is to show from now on: `None` pauses it. It goes on with what it shows
    /// until the new can begin.
    pub fn retarget(&mut self, target: Option<Target>) {
        self.target = target;
        match (target, &mut self.run) {
            (None, _) => self.unmap(),
            (Some(target), Some(run)) => run.choice.retarget(target),
            _ => {}
        }
    }

    /// What the line is to show.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        self.target
    }

    /// Breaks with the source: the next packet, for video the next keyframe, follows on
    /// without a gap.
    pub fn unmap(&mut self) {
        if let Some(run) = self.run.take() {
            let Run { epoch, timestamp_offset, aligned, .. } = run;
            self.past = Some(Past { epoch, timestamp_offset, aligned });
        }
    }

    /// Breaks with the source because the path can't carry it: what of it got lost is not sent
    /// again either, for that would be a queue before the picture that fits.
    pub fn give_up(&mut self) {
        self.unmap();
        self.repaired_from = self.next;
    }

    /// The encoding and packet the line began to show since the last call, if it did. Packets
    /// after that one that came before it were of no use to the line then, and are now.
    #[inline]
    pub fn take_begun(&mut self) -> Option<(u8, u64)> {
        self.begun.take()
    }

    /// Whether packets of `epoch` are flowing, so that no keyframe is waited for.
    #[must_use]
    pub fn follows(&self, epoch: Epoch) -> bool {
        self.run.as_ref().is_some_and(|r| r.epoch == epoch)
    }

    /// Whether packets of this encoding are of any use to the line now.
    #[must_use]
    #[inline]
    pub fn takes(&self, encoding: u8) -> bool {
        let wanted = |t: Target| t.encoding == encoding || t.encoding == u8::MAX;
        self.target.is_some_and(wanted)
            || self.run.as_ref().is_some_and(|r| r.epoch.encoding == encoding)
    }

    /// The encoding and layers that are being shown.
    #[must_use]
    pub fn showing(&self) -> Option<Target> {
        let run = self.run.as_ref()?;
        let cell = run.choice.cell();
        let (spatial, temporal) = (cell.spatial(), cell.temporal());
        Some(Target { encoding: run.epoch.encoding, spatial, temporal })
    }

    /// The encoding of which a keyframe is needed to show what is wanted.
    #[must_use]
    pub fn wants_keyframe_of(&self) -> Option<u8> {
        let target = self.target.filter(|_| self.kind == Kind::Video)?;
        let Some(run) = &self.run else {
            return Some(if target.encoding == u8::MAX { 0 } else { target.encoding });
        };
        let shown = run.epoch.encoding;
        if target.encoding != u8::MAX && target.encoding != shown {
            return Some(target.encoding);
        }
        run.choice.waits_for_keyframe().then_some(shown)
    }

    /// Asks for what the next packets will need, before they come.
    #[inline]
    pub fn fetch(&self) {
        if let Some(memory) = &self.memory {
            memory.fetch(self.next);
        }
    }

    /// What must be added to the timestamps of the source shown to get this line's.
    #[must_use]
    pub fn timestamp_offset(&self) -> Option<u32> {
        self.run.as_ref().map(|r| r.timestamp_offset)
    }

    /// The header's sequence number of the newest packet.
    #[must_use]
    pub fn newest_sequence(&self) -> u16 {
        self.next.wrapping_sub(1) as u16
    }

    /// How a packet goes out, or `None` when this viewer doesn't get it. Packets of every
    /// encoding the line [takes](Self::takes) come here in the order they arrived, each once;
    /// those that came while the line waited for a keyframe may come again, to begin it.
    ///
    /// `aligned` is what turns this encoding's timestamps into those of one time line that all
    /// encodings of the publisher share, where their clocks are known.
    #[inline(always)]
    pub fn forward(
        &mut self,
        epoch: Epoch,
        aligned: Option<u32>,
        packet: &Cached,
        now: Instant,
    ) -> Option<Outgoing> {
        match &mut self.run {
            Some(run) if run.epoch == epoch => {
                run.aligned = aligned;
                if packet.number > run.newest {
                    self.forward_next(packet, now)
                } else {
                    self.forward_late(packet, now)
                }
            }
            _ => {
                self.begin(epoch, aligned, packet, now)?;
                let first = self.forward_next(packet, now)?;
                // Sound that begins anew (RFC 7587 §4.2): the jitter buffer may adapt here.
                Some(Outgoing { marker: first.marker || self.kind == Kind::Audio, ..first })
            }
        }
    }

    #[inline(always)]
    fn forward_next(&mut self, packet: &Cached, now: Instant) -> Option<Outgoing> {
        let run = self.run.as_mut()?;
        run.gaps.advance(run.newest, packet.number);
        run.newest = packet.number;
        let verdict = run.choice.take(&packet.description, packet.timestamp);
        if !verdict.forward {
            run.leave_out(packet, verdict.leaves_out);
            return None;
        }
        let number = packet.number.wrapping_add(run.delta);
        Some(self.give(number, packet, self.shift_now(), false, now))
    }

    /// A packet that came after later ones gets the number that was left for it.
    #[cold]
    fn forward_late(&mut self, packet: &Cached, now: Instant) -> Option<Outgoing> {
        let run = self.run.as_mut().filter(|r| packet.number >= r.first)?;
        let description = &packet.description;
        let after = run.gaps.after(packet.number, run.newest)?;
        let number = packet.number.wrapping_add(run.delta).wrapping_add(after);
        let behind = self.next.wrapping_sub(number).wrapping_sub(1);
        // Nothing that came after it in the source's order has gone out.
        let is_next = number >= self.next;
        let given = match &mut self.memory {
            _ if is_next => false,
            _ if behind < 64 => self.given >> behind & 1 != 0,
            Some(memory) if behind < SENT_PACKETS as u64 => memory.used(number),
            _ => true,
        };
        if given {
            return None;
        }
        let mut shift = run.shift;
        if description.pictures == Pictures::Vp8 {
            shift.picture = shift.picture.wrapping_add(run.choice.left_out_since(description)?);
        }
        let verdict = run.choice.take_late(description, is_next);
        if !verdict.forward && is_next {
            run.leave_out(packet, verdict.leaves_out);
            return None;
        }
        Some(self.give(number, packet, shift, !verdict.forward, now))
    }

    fn shift_now(&self) -> Shift {
        self.run.as_ref().map_or(Shift::NONE, |r| r.shift)
    }

    /// Gives a packet its number, for ever.
    #[inline(always)]
    fn give(
        &mut self,
        number: u64,
        packet: &Cached,
        shift: Shift,
        empty: bool,
        now: Instant,
    ) -> Outgoing {
        let description = &packet.description;
        let (offset, marker) = self.run.as_ref().map_or((0, packet.marker), |run| {
            let marker = !empty && run.choice.marker(description, packet.marker);
            (run.timestamp_offset, marker)
        });
        let timestamp = packet.timestamp.wrapping_add(offset);
        let outgoing = Outgoing { number, timestamp, marker, shift, empty };
        if let Some(memory) = &mut self.memory {
            // Numbers in between belong to packets that may still come.
            memory.forget(self.next, number);
            memory.note(number, packet.number, shift.picture, marker, empty);
        }
        if number >= self.next {
            let skipped = number - self.next;
            self.given = if skipped < 63 { self.given << (skipped + 1) | 1 } else { 1 };
            self.next = number + 1;
            if self.newest.is_none_or(|(newest, _)| timestamp.wrapping_sub(newest) as i32 > 0) {
                self.newest = Some((timestamp, now));
            }
            if description.pictures != Pictures::None {
                self.picture = Some(Picture {
                    id: description.picture.wrapping_add(shift.picture),
                    tl0: description.tl0().map(|tl0| tl0.wrapping_add(shift.tl0)),
                });
            }
        } else {
            let behind = self.next - number - 1;
            self.given |= if behind < 64 { 1 << behind } else { 0 };
        }
        self.packets = self.packets.wrapping_add(1);
        if !empty {
            self.octets = self.octets.wrapping_add(packet.payload.len() as u32);
        }
        outgoing
    }

    /// Goes over to another source with `packet`, if a viewer can follow there.
    #[cold]
    fn begin(
        &mut self,
        epoch: Epoch,
        aligned: Option<u32>,
        packet: &Cached,
        now: Instant,
    ) -> Option<()> {
        let target = self.target?;
        let description = &packet.description;
        if let Some(run) = &self.run {
            let restarted = run.epoch.track == epoch.track && run.epoch.encoding == epoch.encoding;
            if restarted {
                // Nothing of the old run will come any more.
                self.unmap();
            } else if run.epoch.track == epoch.track && target.encoding != epoch.encoding {
                return None;
            }
        }
        if target.encoding != epoch.encoding && target.encoding != u8::MAX {
            return None;
        }
        let choice = match self.kind {
            Kind::Video => Choice::begin(target, description, packet.timestamp)?,
            Kind::Audio => Choice::all(description, packet.timestamp),
        };
        self.unmap();
        if std::mem::take(&mut self.as_source) {
            self.next = packet.number;
        }
        let timestamp = self.first_timestamp(epoch, aligned, packet.timestamp, now);
        let timestamp_offset = timestamp.wrapping_sub(packet.timestamp);
        let shift = self.first_shift(description);
        if self.kind == Kind::Video {
            let memory = self.memory.get_or_insert_with(|| Memory::new(now));
            memory.begin(epoch, timestamp_offset, shift, packet.number);
            self.begun = Some((epoch.encoding, packet.number));
        }
        self.run = Some(Run {
            epoch,
            first: packet.number,
            newest: packet.number.wrapping_sub(1),
            delta: self.next.wrapping_sub(packet.number),
            gaps: Gaps::default(),
            timestamp_offset,
            aligned,
            shift,
            choice,
        });
        Some(())
    }

    /// The line's timestamp for the first packet of another source: by the publisher's clock
    /// where it is known, else by the time that went by; always later than what was sent.
    fn first_timestamp(&self, epoch: Epoch, aligned: Option<u32>, own: u32, now: Instant) -> u32 {
        let Some((newest, at)) = self.newest else { return own };
        let elapsed = self.ticks(now.saturating_duration_since(at));
        let believed = self.ticks(BELIEVED) as i32;
        let by_clock = self.past.and_then(|past| {
            let offset = if past.epoch == epoch {
                past.timestamp_offset
            } else if past.epoch.track == epoch.track && past.epoch.encoding != epoch.encoding {
                // From this encoding to the shared time line, back to the encoding before, and
                // from there to the line.
                aligned?.wrapping_sub(past.aligned?).wrapping_add(past.timestamp_offset)
            } else {
                return None;
            };
            let ahead = own.wrapping_add(offset).wrapping_sub(newest);
            let off = ahead.wrapping_sub(elapsed) as i32;
            (off.unsigned_abs() <= believed.unsigned_abs()).then_some(ahead)
        });
        let ahead = by_clock.unwrap_or(elapsed) as i32;
        newest.wrapping_add(ahead.max(1) as u32)
    }

    /// What makes the picture ids of another source follow those that were sent.
    fn first_shift(&self, description: &Description) -> Shift {
        let pictures = description.pictures;
        let Some(sent) = self.picture.filter(|_| pictures != Pictures::None) else {
            return Shift { pictures, ..Shift::NONE };
        };
        let picture = sent.id.wrapping_add(1).wrapping_sub(description.picture);
        let tl0 = match (sent.tl0, description.tl0()) {
            (Some(sent), Some(own)) => sent.wrapping_add(1).wrapping_sub(own),
            _ => 0,
        };
        Shift { picture, tl0, pictures }
    }

    fn ticks(&self, elapsed: Duration) -> u32 {
        (elapsed.as_micros() as u64 * u64::from(self.clock_rate) / 1_000_000) as u32
    }

    /// Notes that a packet went out, and with which transport-wide sequence number (0 where the
    /// line has none), so that it can be sent again.
    #[inline]
    pub fn remember(&mut self, outgoing: &Outgoing, transport_sequence: u16) {
        if let Some(memory) = &mut self.memory
            && self.next.wrapping_sub(outgoing.number) <= SENT_PACKETS as u64
        {
            memory.complete(outgoing.number, transport_sequence);
        }
    }

    /// What went out as `sequence`, to send it again; `None` when nothing did, when it is too
    /// long ago or was given up, or when it was asked for a moment before.
    pub fn lost(&mut self, sequence: u16, now: Instant) -> Option<Lost> {
        let last = self.next.checked_sub(1)?;
        let behind = u64::from((last as u16).wrapping_sub(sequence));
        let number = last.checked_sub(behind).filter(|_| behind < SENT_PACKETS as u64)?;
        if number < self.repaired_from {
            return None;
        }
        let sent = self.memory.as_mut()?.again(number, now)?;
        Some(Lost {
            epoch: sent.epoch,
            source: sent.source,
            transport_sequence: sent.transport_sequence,
            timestamp_offset: sent.timestamp_offset,
            number,
            marker: sent.marker,
            shift: sent.shift,
            empty: sent.empty,
        })
    }
}
