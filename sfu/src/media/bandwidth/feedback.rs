//! Reads transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1):
//! which packets arrived, and when by the receiver's clock. Reads where the bytes lie, copies
//! and allocates nothing, and takes bytes from anybody: what is malformed is refused whole.

/// Most packets one message may speak of. Ours remember 2,048; a receiver that was cut off for
/// long may speak of more, but thirty bytes must not cost the work of 65,535 packets.
const MAX_STATUSES: u16 = 8192;

/// Unit of the reference time.
const REFERENCE_US: i64 = 64_000;

/// Unit of the deltas.
const DELTA_US: i64 = 250;

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("transport-wide feedback ends too early")]
    Short,
    #[error("transport-wide feedback speaks of no packet")]
    Empty,
    #[error("transport-wide feedback speaks of {0} packets at once")]
    TooMany(u16),
    #[error("transport-wide feedback uses the reserved packet status")]
    Reserved,
}

/// One message, checked.
#[derive(Debug, Clone, Copy)]
pub struct Feedback<'a> {
    /// Transport sequence number of the first packet it speaks of.
    pub base: u16,
    /// The receiver's clock at the beginning, in 64 ms, 24 bits.
    pub reference: u32,
    count: u16,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> Feedback<'a> {
    /// Reads `fci`, what follows the two SSRCs of an RTPFB packet of format 15.
    ///
    /// # Errors
    /// When a status or a delta it announces is missing, or one is reserved.
    pub fn parse(fci: &'a [u8]) -> Result<Self, Malformed> {
        let (head, chunks) = fci.split_first_chunk::<8>().ok_or(Malformed::Short)?;
        let [b0, b1, c0, c1, r0, r1, r2, _number] = *head;
        let count = u16::from_be_bytes([c0, c1]);
        match count {
            0 => return Err(Malformed::Empty),
            1..=MAX_STATUSES => {}
            _ => return Err(Malformed::TooMany(count)),
        }
        let (mut rest, mut left, mut deltas_len) = (chunks, count, 0usize);
        while left > 0 {
            let (chunk, tail) = rest.split_first_chunk::<2>().ok_or(Malformed::Short)?;
            rest = tail;
            let mut chunk = Chunk::of(u16::from_be_bytes(*chunk));
            let covered = chunk.left.min(left);
            left -= covered;
            if chunk.width == 0 {
                deltas_len += chunk.symbol().delta_len()? * usize::from(covered);
            } else {
                for _ in 0..covered {
                    deltas_len += chunk.symbol().delta_len()?;
                }
            }
        }
        if rest.len() < deltas_len {
            return Err(Malformed::Short);
        }
        let base = u16::from_be_bytes([b0, b1]);
        let reference = u32::from_be_bytes([0, r0, r1, r2]);
        Ok(Self { base, reference, count, chunks, deltas: rest })
    }

    /// One status for each packet from [`Self::base`] on: `None` for one that did not arrive,
    /// else its arrival in µs after the reference time. Arrivals may go backwards.
    #[must_use]
    pub fn statuses(&self) -> Statuses<'a> {
        Statuses {
            left: self.count,
            chunk: Chunk { left: 0, bits: 0, width: 0 },
            chunks: self.chunks,
            deltas: self.deltas,
            at: 0,
        }
    }
}

/// The receiver's clock over all messages of a line: the 24 bits of the reference time wrap
/// after twelve days.
#[derive(Debug, Default)]
pub struct ReferenceClock {
    last: Option<(u32, i64)>,
}

impl ReferenceClock {
    /// The reference time in µs.
    pub fn micros(&mut self, reference: u32) -> i64 {
        let ticks = match self.last {
            None => i64::from(reference),
            Some((last, ticks)) => {
                let ahead = reference.wrapping_sub(last) << 8;
                ticks + i64::from(ahead as i32 >> 8)
            }
        };
        self.last = Some((reference, ticks));
        ticks * REFERENCE_US
    }
}

/// What a status says.
#[derive(Debug, Clone, Copy)]
enum Symbol {
    Missing,
    Small,
    Large,
    Reserved,
}

impl Symbol {
    fn delta_len(self) -> Result<usize, Malformed> {
        match self {
            Symbol::Missing => Ok(0),
            Symbol::Small => Ok(1),
            Symbol::Large => Ok(2),
            Symbol::Reserved => Err(Malformed::Reserved),
        }
    }
}

/// A packet status chunk: the next symbol in its top bits. `width` 0 is a run of one symbol.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    left: u16,
    bits: u16,
    width: u32,
}

impl Chunk {
    fn of(chunk: u16) -> Self {
        match chunk >> 14 {
            0 | 1 => Self { left: chunk & 0x1fff, bits: chunk << 1, width: 0 },
            2 => Self { left: 14, bits: chunk << 2, width: 1 },
            _ => Self { left: 7, bits: chunk << 2, width: 2 },
        }
    }

    #[inline]
    fn symbol(&mut self) -> Symbol {
        let symbol = if self.width == 1 { self.bits >> 15 } else { self.bits >> 14 };
        self.bits <<= self.width;
        match symbol {
            0 => Symbol::Missing,
            1 => Symbol::Small,
            2 => Symbol::Large,
            _ => Symbol::Reserved,
        }
    }
}

/// See [`Feedback::statuses`].
#[derive(Debug, Clone)]
pub struct Statuses<'a> {
    left: u16,
    chunk: Chunk,
    chunks: &'a [u8],
    deltas: &'a [u8],
    at: i64,
}

impl Iterator for Statuses<'_> {
    type Item = Option<i64>;

    #[inline]
    fn next(&mut self) -> Option<Option<i64>> {
        self.left = self.left.checked_sub(1)?;
        while self.chunk.left == 0 {
            let (chunk, rest) = self.chunks.split_first_chunk::<2>()?;
            self.chunks = rest;
            self.chunk = Chunk::of(u16::from_be_bytes(*chunk));
        }
        self.chunk.left -= 1;
        let delta = match self.chunk.symbol() {
            Symbol::Small => {
                let (delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                i64::from(*delta)
            }
            Symbol::Large => {
                let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                i64::from(i16::from_be_bytes(*delta))
            }
            Symbol::Missing | Symbol::Reserved => return Some(None),
        };
        self.at += delta * DELTA_US;
        Some(Some(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::bandwidth::simulation::feedback::write;
    use proptest::prelude::*;

    fn read(fci: &[u8]) -> Vec<Option<i64>> {
        Feedback::parse(fci).unwrap().statuses().collect()
    }

    #[test]
    fn runs_and_both_vectors_are_read_by_the_draft() {
        let mut fci = vec![0xff, 0xfe, 0, 27, 0x01, 0x02, 0x03, 9];
        fci.extend([0b0010_0000, 3]); // three small
        fci.extend([0b0000_0000, 2]); // two missing
        fci.extend([0b1011_0000, 0b0000_0001]); // 1 1 0 … 1
        fci.extend([0b1110_0100, 0b0000_0001]); // large, small, missing … small
        fci.extend([0b0100_0000, 200]); // large, but one only
        fci.extend([4, 0, 8, 1, 1, 1]);
        fci.extend([0xff, 0xfc, 2, 1]); // −1 ms, then 0.5 ms, then 0.25 ms
        fci.extend([0x7f, 0xff]);
        let feedback = Feedback::parse(&fci).unwrap();
        assert_eq!((feedback.base, feedback.reference), (0xfffe, 0x0001_0203));
        let statuses = read(&fci);
        assert_eq!(statuses.len(), 27);
        let arrived: Vec<i64> = statuses.iter().copied().flatten().collect();
        let large = 3750 + 32_767 * 250 - 1000 + 750;
        assert_eq!(arrived, [1000, 1000, 3000, 3250, 3500, 3750, 2750, 3250, 3500, large]);
        assert_eq!(statuses.iter().position(Option::is_none), Some(3));
    }

    #[test]
    fn what_announces_more_than_it_brings_is_refused() {
        let whole = [0, 0, 0, 2, 0, 0, 0, 0, 0b0010_0000, 2, 4, 4];
        assert_eq!(read(&whole), [Some(1000), Some(2000)]);
        for len in 0..whole.len() {
            assert_eq!(Feedback::parse(&whole[..len]).err(), Some(Malformed::Short), "{len}");
        }
        let none = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Feedback::parse(&none).err(), Some(Malformed::Empty));
        let reserved = [0, 0, 0, 1, 0, 0, 0, 0, 0b0110_0000, 1, 0, 0];
        assert_eq!(Feedback::parse(&reserved).err(), Some(Malformed::Reserved));
        let many = [0, 0, 0xff, 0xff, 0, 0, 0, 0, 0x1f, 0xff, 0x1f, 0xff];
        assert_eq!(Feedback::parse(&many).err(), Some(Malformed::TooMany(0xffff)));
        let runs_of_nothing = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Feedback::parse(&runs_of_nothing).err(), Some(Malformed::Short));
    }

    #[test]
    fn the_reference_time_goes_on_over_its_wrap_and_back_for_a_late_message() {
        let mut clock = ReferenceClock::default();
        let start = clock.micros(0xff_ffff);
        assert_eq!(clock.micros(1) - start, 128_000);
        assert_eq!(clock.micros(0xff_ffff) - start, 0);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(fci in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(feedback) = Feedback::parse(&fci) {
                let statuses = feedback.statuses().count();
                prop_assert!(statuses > 0 && statuses <= usize::from(MAX_STATUSES));
            }
        }

        #[test]
        fn what_a_receiver_writes_is_what_is_read(
            base in any::<u16>(),
            reference in 0u32..1 << 24,
            deltas in prop::collection::vec(
                prop_oneof![Just(None), (0i64..256).prop_map(Some), (-32768i64..32768).prop_map(Some)],
                1..400,
            ),
        ) {
            let mut at = 0;
            let arrivals: Vec<Option<i64>> = deltas
                .iter()
                .map(|d| d.map(|d| { at += d * DELTA_US; at }))
                .collect();
            let fci = write(base, reference, 3, &arrivals);
            let feedback = Feedback::parse(&fci).unwrap();
            prop_assert_eq!((feedback.base, feedback.reference), (base, reference));
            prop_assert_eq!(feedback.statuses().collect::<Vec<_>>(), arrivals);
        }
    }
}
