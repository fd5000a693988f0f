//! What has been received of one source: its index, and which of the last were there already.

/// How far behind the newest a packet may come (RFC 3711 §3.3.2 asks for at least 64): at
/// 2 Mbit/s about half a second, after which a retransmission is worthless.
const WINDOW: u64 = 128;

/// Why an index is not new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    Old,
    Replayed,
}

/// The newest index received and the [`WINDOW`] before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    highest: u64,
    /// Bit n: `highest` - n was received.
    seen: u128,
}

impl Window {
    /// That of a source whose first packet has `index`; nothing is received yet.
    pub(crate) fn starting_at(index: u64) -> Self {
        Self { highest: index, seen: 0 }
    }

    /// The 48-bit index `sequence` most likely stands for: the one nearest to the newest
    /// (RFC 3711 §3.3.1). `None` when that lies before the first there can be.
    #[inline]
    pub(crate) fn index_of(&self, sequence: u16) -> Option<u64> {
        let ahead = sequence.wrapping_sub(self.highest as u16) as i16;
        self.highest.checked_add_signed(i64::from(ahead))
    }

    /// Whether a packet of this index would be a new one.
    #[inline]
    pub(crate) fn check(&self, index: u64) -> Result<(), Stale> {
        match self.highest.checked_sub(index) {
            None => Ok(()),
            Some(behind) if behind >= WINDOW => Err(Stale::Old),
            Some(behind) if self.seen & (1 << behind) != 0 => Err(Stale::Replayed),
            Some(_) => Ok(()),
        }
    }

    /// Notes an index that was new and whose packet was authentic.
    #[inline]
    pub(crate) fn accept(&mut self, index: u64) {
        if index > self.highest {
            let by = index - self.highest;
            self.seen = if by < WINDOW { self.seen << by } else { 0 };
            self.highest = index;
        }
        let behind = self.highest - index;
        if behind < WINDOW {
            self.seen |= 1 << behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_sequence_number_that_wraps_has_the_next_index() {
        let mut window = Window::starting_at(0xfffe);
        window.accept(0xfffe);
        assert_eq!(window.index_of(3), Some(0x1_0003));
        window.accept(0x1_0003);
        assert_eq!(window.index_of(0xffff), Some(0xffff));
        assert_eq!(window.index_of(4), Some(0x1_0004));
    }

    #[test]
    fn nothing_comes_before_the_first_index() {
        assert_eq!(Window::starting_at(5).index_of(0xfff0), None);
    }

    proptest! {
        #[test]
        fn an_index_is_new_exactly_once_and_only_within_the_window(
            steps in prop::collection::vec(0u64..400, 1..300),
            back in prop::collection::vec(0u64..200, 300),
        ) {
            let mut window = Window::starting_at(1000);
            let mut received = BTreeSet::new();
            let mut newest = 1000;
            for (step, back) in steps.into_iter().zip(back) {
                let index: u64 = (newest + step / 40).saturating_sub(back / 2 * u64::from(step % 3 == 0));
                let expected = if index + WINDOW <= newest {
                    Err(Stale::Old)
                } else if received.contains(&index) {
                    Err(Stale::Replayed)
                } else {
                    Ok(())
                };
                prop_assert_eq!(window.check(index), expected);
                if expected.is_ok() {
                    window.accept(index);
                    received.insert(index);
                    newest = newest.max(index);
                }
            }
        }

        #[test]
        fn the_index_is_the_nearest_one(highest in 0u64..1 << 40, ahead in -30_000i64..30_000) {
            let window = Window::starting_at(highest + 40_000);
            let index = (highest + 40_000).checked_add_signed(ahead).unwrap();
            prop_assert_eq!(window.index_of(index as u16), Some(index));
        }
    }
}
