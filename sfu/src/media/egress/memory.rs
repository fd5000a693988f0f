//! What a line sent, in eight bytes a packet: enough to make every one of them again, bit by
//! bit, from the source's packet. What can't be made again exactly isn't known here: two
//! different packets under one SRTP index would give both away (RFC 3711 §9.1).

use super::{Epoch, Shift};
use crate::media::ahead;
use std::time::{Duration, Instant};

/// Packets of a video line a viewer may ask for again: 512 at 2 Mbit/s are 2 s.
pub const SENT_PACKETS: usize = 512;

/// Runs of one source remembered; sixteen changes of layer or source within
/// [`SENT_PACKETS`] packets is more than any line sees.
const STRETCHES: usize = 16;

/// Source numbers one stretch covers, so that 16 bits tell them apart.
const SPAN: u64 = 1 << 16;

/// How far below its first packet a stretch that continues another one begins: packets that
/// come late find their place in it.
const BACK: u64 = 1 << 14;

/// A packet asked for twice within this is sent again once: the second request was on its way
/// already, or somebody plays games.
pub const AGAIN: Duration = Duration::from_millis(20);

/// The unit of [`Sent::again`]. It counts to 255 and begins anew, so that after 1.3 s a
/// request may, rarely, be taken for a repetition; it is asked once more.
const TICK: Duration = Duration::from_millis(5);

/// A run of a source's packets under one timestamp offset.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    pub epoch: Epoch,
    pub timestamp_offset: u32,
    /// Its picture-id form and TL0PICIDX offset; the picture id's is each packet's own.
    pub shift: Shift,
    /// The lowest source number it covers.
    from: u64,
}

/// One packet, or a number that nothing was sent under.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    transport_sequence: u16,
    /// The low 16 bits of the source's number.
    source: u16,
    picture: u16,
    /// When it was last sent again, in ticks; 0 for never.
    again: u8,
    /// The stretch in the low four bits, and flags.
    what: u8,
}

/// It went out, and `transport_sequence` is known.
const COMPLETE: u8 = 0x10;
const MARKER: u8 = 0x20;
const EMPTY: u8 = 0x40;
/// It was numbered.
const USED: u8 = 0x80;

/// A remembered packet.
#[derive(Debug, Clone, Copy)]
pub struct Remembered {
    pub epoch: Epoch,
    pub source: u64,
    pub timestamp_offset: u32,
    pub shift: Shift,
    pub marker: bool,
    pub empty: bool,
    pub transport_sequence: u16,
}

/// The memory of one line.
#[derive(Debug)]
pub struct Memory {
    sent: [Sent; SENT_PACKETS],
    stretches: [Option<Stretch>; STRETCHES],
    current: u8,
    origin: Instant,
}

impl Memory {
    #[must_use]
    pub fn new(now: Instant) -> Box<Self> {
        Box::new(Self {
            sent: [Sent::default(); SENT_PACKETS],
            stretches: [None; STRETCHES],
            current: 0,
            origin: now,
        })
    }

    /// Asks for the places of eight packets from `number` on, before they come.
    #[inline]
    pub fn fetch(&self, number: u64) {
        for number in [number, number + 7] {
            if let Some(sent) = self.sent.get(number as usize % SENT_PACKETS) {
                ahead::fetch(sent);
            }
        }
        if let Some(stretch) = self.stretches.get(usize::from(self.current)) {
            ahead::fetch(stretch);
        }
    }

    fn slot(&mut self, number: u64) -> Option<&mut Sent> {
        self.sent.get_mut(number as usize % SENT_PACKETS)
    }

    /// Packets are of another run from here on; `first` is its first source number.
    pub fn begin(&mut self, epoch: Epoch, timestamp_offset: u32, shift: Shift, first: u64) {
        self.enter(Stretch { epoch, timestamp_offset, shift, from: first });
    }

    fn enter(&mut self, stretch: Stretch) {
        self.current = (self.current + 1) % STRETCHES as u8;
        let current = self.current;
        // Packets of the stretch that had this place can't be made again.
        for sent in self.sent.iter_mut().filter(|s| s.what & 0x0f == current) {
            *sent = Sent::default();
        }
        if let Some(place) = self.stretches.get_mut(usize::from(current)) {
            *place = Some(stretch);
        }
    }

    fn stretch(&self, at: u8) -> Option<&Stretch> {
        self.stretches.get(usize::from(at))?.as_ref()
    }

    /// Continues the run when `source` is beyond what its stretch covers.
    #[inline]
    fn cover(&mut self, source: u64) {
        let Some(stretch) = self.stretch(self.current) else { return };
        if source.wrapping_sub(stretch.from) >= SPAN && source > stretch.from {
            let from = stretch.from.max(source - BACK);
            self.enter(Stretch { from, ..*stretch });
        }
    }

    /// Forgets whatever had the numbers from `from` up to, not including, `to`.
    #[inline]
    pub fn forget(&mut self, from: u64, to: u64) {
        for number in from.max(to.saturating_sub(SENT_PACKETS as u64))..to {
            if let Some(slot) = self.slot(number) {
                *slot = Sent::default();
            }
        }
    }

    /// Notes what `number` stands for. A packet from before its stretch can't be made again, and
    /// is forgotten at once.
    #[inline]
    pub fn note(&mut self, number: u64, source: u64, picture: u16, marker: bool, empty: bool) {
        self.cover(source);
        let current = self.current;
        let covered = self.stretch(current).is_some_and(|s| source >= s.from);
        let flags = USED | if marker { MARKER } else { 0 } | if empty { EMPTY } else { 0 };
        let sent =
            Sent { source: source as u16, picture, what: current | flags, ..Sent::default() };
        if let Some(slot) = self.slot(number) {
            *slot = if covered { sent } else { Sent::default() };
        }
    }

    /// Whether something was numbered `number`, which must be one of the last [`SENT_PACKETS`].
    #[must_use]
    pub fn used(&mut self, number: u64) -> bool {
        self.slot(number).is_some_and(|s| s.what & USED != 0)
    }

    /// It went out with this transport-wide sequence number.
    #[inline]
    pub fn complete(&mut self, number: u64, transport_sequence: u16) {
        if let Some(slot) = self.slot(number).filter(|s| s.what & USED != 0) {
            slot.transport_sequence = transport_sequence;
            slot.what |= COMPLETE;
        }
    }

    /// What went out as `number`, one of the last [`SENT_PACKETS`], unless it was asked for
    /// just now.
    pub fn again(&mut self, number: u64, now: Instant) -> Option<Remembered> {
        let ticks = (now - self.origin).as_millis() / TICK.as_millis();
        let tick = (ticks % 255) as u8 + 1;
        let slot = self.slot(number).filter(|s| s.what & COMPLETE != 0)?;
        if slot.again != 0 {
            let since = (u16::from(tick) + 255 - u16::from(slot.again)) % 255;
            if TICK * u32::from(since) < AGAIN {
                return None;
            }
        }
        slot.again = tick;
        let sent = *slot;
        let stretch = self.stretch(sent.what & 0x0f)?;
        let ahead = sent.source.wrapping_sub(stretch.from as u16);
        Some(Remembered {
            epoch: stretch.epoch,
            source: stretch.from + u64::from(ahead),
            timestamp_offset: stretch.timestamp_offset,
            shift: Shift { picture: sent.picture, ..stretch.shift },
            marker: sent.what & MARKER != 0,
            empty: sent.what & EMPTY != 0,
            transport_sequence: sent.transport_sequence,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::batch::TrackKey;

    const EPOCH: Epoch = Epoch { track: TrackKey(1), encoding: 0, run: 0 };

    #[test]
    fn a_packet_takes_eight_bytes_and_a_line_under_eight_kibibytes() {
        assert_eq!(size_of::<Sent>(), 8);
        assert!(size_of::<Memory>() <= 8 << 10, "{}", size_of::<Memory>());
    }

    #[test]
    fn source_numbers_are_exact_over_any_distance() {
        let now = Instant::now();
        let mut memory = Memory::new(now);
        memory.begin(EPOCH, 5, Shift::NONE, 1 << 20);
        let mut source = 1 << 20;
        for number in 0..2000u64 {
            memory.note(number, source, 0, false, false);
            memory.complete(number, 0);
            let back = number.saturating_sub(3);
            let expected = (1 << 20) + back * 9_999;
            assert_eq!(memory.again(back, now + AGAIN * number as u32).unwrap().source, expected);
            source += 9_999;
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_forgotten() {
        let now = Instant::now();
        let mut memory = Memory::new(now);
        memory.begin(EPOCH, 0, Shift::NONE, 1000);
        memory.note(5, 999, 0, false, false);
        memory.complete(5, 0);
        assert!(memory.again(5, now).is_none(), "from before its stretch");
    }

    #[test]
    fn packets_of_a_forgotten_stretch_are_forgotten() {
        let now = Instant::now();
        let mut memory = Memory::new(now);
        for run in 0..=STRETCHES as u32 {
            memory.begin(Epoch { run, ..EPOCH }, 0, Shift::NONE, 10);
            memory.note(u64::from(run), 10, 0, false, false);
            memory.complete(u64::from(run), 0);
        }
        assert!(memory.again(0, now).is_none());
        assert_eq!(memory.again(1, now).unwrap().epoch.run, 1);
    }
}
