//! Sequence numbers of one source, continued beyond 16 bits and without those of packets that
//! go nowhere.

use std::collections::VecDeque;

/// Skipped numbers remembered, so that a packet that comes late gets the number it would have
/// had in time. A publisher probing its line sends them in bursts of some ten.
const SKIPS: usize = 256;

/// Extends 16-bit sequence numbers to 64 bits (RFC 3711 §3.3.1 does the same for its index),
/// and closes the gaps of packets that are not forwarded: a browser probes its line with
/// packets of nothing but padding, in the numbering of its video.
#[derive(Debug, Default)]
pub struct Numbering {
    highest: Option<u64>,
    skipped: VecDeque<u64>,
    /// Skipped numbers that are not remembered one by one any more.
    skipped_before: u64,
}

impl Numbering {
    fn extend(&mut self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else {
            // A cycle below the first, so that packets reordered around it have numbers too.
            let first = (1 << 16) + u64::from(sequence);
            self.highest = Some(first);
            return first;
        };
        let ahead = sequence.wrapping_sub(highest as u16) as i16;
        let extended = highest.saturating_add_signed(i64::from(ahead));
        self.highest = Some(highest.max(extended));
        extended
    }

    /// Whether `sequence` can belong to the run of numbers so far (RFC 3550 §A.1: a source that
    /// was restarted, or not heard for long, jumps).
    #[must_use]
    pub fn continues(&self, sequence: u16) -> bool {
        const MAX_DROPOUT: i16 = 3000;
        const MAX_MISORDER: i16 = 1000;
        self.highest.is_none_or(|highest| {
            let ahead = sequence.wrapping_sub(highest as u16) as i16;
            (-MAX_MISORDER..=MAX_DROPOUT).contains(&ahead)
        })
    }

    fn close_up(&self, extended: u64) -> u64 {
        // Ascending, and most packets come after all of them.
        let later = self.skipped.iter().rev().take_while(|s| **s >= extended).count();
        let before = self.skipped_before + (self.skipped.len() - later) as u64;
        extended.saturating_sub(before)
    }

    /// The number of a packet that goes on.
    pub fn number(&mut self, sequence: u16) -> u64 {
        let extended = self.extend(sequence);
        self.close_up(extended)
    }

    /// Leaves a packet out, so that the next one takes its number. One that comes after its
    /// successor has left its gap already.
    pub fn skip(&mut self, sequence: u16) {
        let before = self.highest;
        let extended = self.extend(sequence);
        if before.is_none_or(|b| extended > b) {
            if self.skipped.len() == SKIPS {
                self.skipped.pop_front();
                self.skipped_before += 1;
            }
            self.skipped.push_back(extended);
        }
    }

    /// The highest number given.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        self.highest.map(|h| self.close_up(h))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn padding_leaves_no_gap_and_a_late_packet_still_fills_its_own() {
        let mut numbers = Numbering::default();
        let first = numbers.number(10);
        numbers.skip(12);
        numbers.skip(13);
        assert_eq!(numbers.number(14), first + 2, "11 is still awaited");
        assert_eq!(numbers.highest(), Some(first + 2));
        assert_eq!(numbers.number(11), first + 1);
        numbers.skip(16);
        assert_eq!(numbers.number(17), first + 4, "15 is still awaited");
    }

    proptest! {
        #[test]
        fn numbers_grow_through_wraps_and_reordering(start in any::<u16>(), steps in prop::collection::vec(-20i64..200, 1..500)) {
            let mut numbers = Numbering::default();
            let base = numbers.number(start);
            let mut truth = base as i64;
            let mut highest = truth;
            for step in steps {
                truth = (highest + step).max(base as i64 - 100);
                highest = highest.max(truth);
                prop_assert_eq!(numbers.number(truth as u16) as i64, truth);
            }
            prop_assert_eq!(numbers.highest().unwrap() as i64, highest);
        }

        /// No two packets get one number, and without loss there is no gap, whatever is padding.
        #[test]
        fn padding_is_closed_up(start in any::<u16>(), padding in prop::collection::vec(any::<bool>(), 1..2000)) {
            let mut numbers = Numbering::default();
            let mut last = None;
            for (i, padding) in padding.into_iter().enumerate() {
                let sequence = start.wrapping_add(i as u16);
                if padding {
                    numbers.skip(sequence);
                } else {
                    let number = numbers.number(sequence);
                    prop_assert!(last.is_none_or(|l| number == l + 1));
                    last = Some(number);
                }
            }
        }
    }
}
