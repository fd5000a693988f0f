//! Transport-wide congestion control feedback as a browser's receiver sends it
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): what arrived when, over all
//! lines of a connection.

/// Packets described by one message; there are more only after a stall.
const MOST: i64 = 1000;

/// A reference time is in units of 64 ms, a delta in units of 250 µs.
const REFERENCE_NS: u64 = 64_000_000;
const DELTA_NS: i64 = 250_000;

/// Arrivals since the last message.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Unwrapped number and time.
    list: Vec<(i64, u64)>,
    newest: Option<i64>,
    /// The first number the next message describes.
    next: Option<i64>,
    messages: u8,
}

impl Arrivals {
    /// Notes that the packet of this transport-wide number came.
    #[inline]
    pub fn arrived(&mut self, number: u16, at_ns: u64) {
        let number = match self.newest {
            None => i64::from(number),
            Some(newest) => newest + i64::from(number.wrapping_sub(newest as u16) as i16),
        };
        self.newest = Some(self.newest.map_or(number, |n| n.max(number)));
        self.list.push((number, at_ns));
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Writes what follows the two SSRCs of the message, and forgets what it says.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        self.list.sort_unstable();
        self.list.dedup_by_key(|(number, _)| *number);
        let (Some(&(oldest, _)), Some(newest)) = (self.list.first(), self.newest) else { return };
        // What came out of order belongs to a message that is gone.
        let first = self.next.map_or(oldest, |next| next.max(oldest.min(newest)));
        let first = first.max(newest - MOST + 1);
        self.list.retain(|(number, _)| *number >= first);
        let Some(&(_, first_at)) = self.list.first() else {
            self.next = Some(newest + 1);
            return;
        };
        let reference = first_at / REFERENCE_NS;
        let mut arrivals = self.list.iter().copied().peekable();
        let mut last_at = (reference * REFERENCE_NS) as i64;
        let (mut symbols, mut deltas) = (Vec::new(), Vec::new());
        for number in first..=newest {
            let at = arrivals.next_if(|(n, _)| *n == number).map(|(_, at)| at as i64);
            let Some(at) = at else {
                symbols.push(0u8);
                continue;
            };
            let delta = (at - last_at).div_euclid(DELTA_NS);
            let delta = delta.clamp(i64::from(i16::MIN), i64::from(i16::MAX));
            last_at += delta * DELTA_NS;
            match u8::try_from(delta) {
                Ok(small) => {
                    symbols.push(1);
                    deltas.push(small);
                }
                Err(_) => {
                    symbols.push(2);
                    deltas.extend_from_slice(&(delta as i16).to_be_bytes());
                }
            }
        }
        out.extend_from_slice(&(first as u16).to_be_bytes());
        out.extend_from_slice(&(symbols.len() as u16).to_be_bytes());
        out.extend_from_slice(&(reference as u32).to_be_bytes()[1..]);
        out.push(self.messages);
        self.messages = self.messages.wrapping_add(1);
        chunks(&symbols, out);
        out.extend_from_slice(&deltas);
        self.list.clear();
        self.next = Some(newest + 1);
    }
}

/// Runs where they are longer than a vector, else vectors of seven two-bit symbols.
fn chunks(mut symbols: &[u8], out: &mut Vec<u8>) {
    const VECTOR: usize = 7;
    const LONGEST_RUN: usize = 0x1fff;
    while let Some(&first) = symbols.first() {
        let run = symbols.iter().take(LONGEST_RUN).take_while(|s| **s == first).count();
        let (chunk, taken) = if run > VECTOR || run == symbols.len() {
            (u16::from(first) << 13 | run as u16, run)
        } else {
            let taken = symbols.len().min(VECTOR);
            let bits = symbols[..taken].iter().enumerate();
            let bits = bits.map(|(n, s)| u16::from(*s) << (12 - 2 * n)).sum::<u16>();
            (0xc000 | bits, taken)
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        symbols = &symbols[taken..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE_NS: u64 = 1_000 * REFERENCE_NS;

    /// Reads a message back: first number, and per packet when it came, in units of deltas
    /// since the reference.
    fn read(fci: &[u8]) -> (u16, Vec<Option<i64>>) {
        let first = u16::from_be_bytes([fci[0], fci[1]]);
        let count = usize::from(u16::from_be_bytes([fci[2], fci[3]]));
        let (mut at, mut symbols) = (8, Vec::new());
        while symbols.len() < count {
            let chunk = u16::from_be_bytes([fci[at], fci[at + 1]]);
            at += 2;
            if chunk & 0x8000 == 0 {
                let run = usize::from(chunk & 0x1fff);
                symbols.extend(std::iter::repeat_n((chunk >> 13) as u8 & 3, run));
            } else {
                assert_eq!(chunk & 0x4000, 0x4000, "two-bit symbols");
                symbols.extend((0..7).map(|n| (chunk >> (12 - 2 * n)) as u8 & 3));
            }
        }
        symbols.truncate(count);
        let mut time = 0;
        let times = symbols.into_iter().map(|symbol| {
            let delta = match symbol {
                0 => return None,
                1 => i64::from(fci[at]),
                _ => i64::from(i16::from_be_bytes([fci[at], fci[at + 1]])),
            };
            at += usize::from(symbol);
            time += delta;
            Some(time)
        });
        (first, times.collect())
    }

    #[test]
    fn arrivals_and_gaps_read_back_over_a_wrap() {
        let mut arrivals = Arrivals::default();
        let came: [(u16, u64); 5] = [(65_534, 0), (65_535, 1), (1, 9), (0, 8), (12, 400)];
        for (number, ms) in came {
            arrivals.arrived(number, BASE_NS + ms * 1_000_000);
        }
        let mut fci = Vec::new();
        arrivals.write(&mut fci);
        let (first, times) = read(&fci);
        assert_eq!(first, 65_534);
        let mut expected = vec![Some(0), Some(4), Some(32), Some(36)];
        expected.extend([None; 10]);
        expected.push(Some(1600));
        assert_eq!(times, expected);
        assert!(arrivals.is_empty());

        // The next message begins where this one ended.
        arrivals.arrived(15, BASE_NS + 500_000_000);
        let mut fci = Vec::new();
        arrivals.write(&mut fci);
        let (first, times) = read(&fci);
        assert_eq!(first.wrapping_add(times.len() as u16), 16);
        assert_eq!(times.iter().flatten().count(), 1);
    }

    #[test]
    fn a_long_run_takes_one_chunk() {
        let mut arrivals = Arrivals::default();
        (0..100).for_each(|n| arrivals.arrived(n, BASE_NS + u64::from(n) * 250_000));
        let mut fci = Vec::new();
        arrivals.write(&mut fci);
        assert_eq!(fci.len(), 8 + 2 + 100);
        assert_eq!(read(&fci).1.len(), 100);
    }
}
