//! Which packets of a source a line left out, so that those after them close up and one that
//! comes late still finds the number that was left for it.

/// Packets remembered: one that is later than that is of no use to a decoder any more.
pub const WINDOW: u64 = 1024;

const WORDS: usize = (WINDOW / 64) as usize;

/// The last [`WINDOW`] packets of one source.
#[derive(Debug, Clone, Default)]
pub struct Gaps {
    bits: [u64; WORDS],
    any: bool,
}

impl Gaps {
    fn place(number: u64) -> (usize, u64) {
        ((number / 64) as usize % WORDS, 1 << (number % 64))
    }

    /// The newest packet is now `to`, after `from`.
    #[inline]
    pub fn advance(&mut self, from: u64, to: u64) {
        if self.any {
            self.clear(from, to);
        }
    }

    fn clear(&mut self, from: u64, to: u64) {
        if to - from >= WINDOW {
            *self = Self::default();
            return;
        }
        for number in from + 1..=to {
            let (word, bit) = Self::place(number);
            if let Some(word) = self.bits.get_mut(word) {
                *word &= !bit;
            }
        }
    }

    /// Notes that `number`, the newest packet or one of those after what went out last, was
    /// left out.
    pub fn leave_out(&mut self, number: u64) {
        let (word, bit) = Self::place(number);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= bit;
            self.any = true;
        }
    }

    /// How many were left out between `number` and the newest, or `None` when `number` itself
    /// was, or is too long ago to say.
    #[must_use]
    pub fn after(&self, number: u64, newest: u64) -> Option<u64> {
        if newest.checked_sub(number)? >= WINDOW {
            return None;
        }
        if !self.any {
            return Some(0);
        }
        let left_out = |n: u64| {
            let (word, bit) = Self::place(n);
            self.bits.get(word).is_some_and(|w| w & bit != 0)
        };
        if left_out(number) {
            return None;
        }
        Some((number + 1..=newest).filter(|n| left_out(*n)).count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_counts_as_a_set_would(
            start in any::<u32>(), steps in prop::collection::vec((1u64..9, any::<bool>()), 1..600), back in 0u64..1100,
        ) {
            let (mut gaps, mut newest) = (Gaps::default(), u64::from(start) + 2000);
            let mut out = BTreeSet::new();
            for (step, leave) in steps {
                gaps.advance(newest, newest + step);
                newest += step;
                if leave {
                    gaps.leave_out(newest);
                    out.insert(newest);
                }
            }
            let number = newest - back;
            let expected = (back < WINDOW && !out.contains(&number))
                .then(|| out.range(number..).count() as u64);
            prop_assert_eq!(gaps.after(number, newest), expected);
        }
    }
}
