//! Closes the gaps that frames leave which were not sent, so that the receiver does not take
//! them for lost and wait, or ask for them again.

use std::collections::VecDeque;

/// A gap this far behind concerns no packet that may still come.
const PAST: u16 = 4096;

/// Numbers that were left out.
#[derive(Debug, Clone, Copy)]
struct Gap {
    first: u16,
    count: u16,
}

/// The numbers of one flow: those it is given, and those it goes out under.
#[derive(Debug, Default)]
pub struct Closing {
    gaps: VecDeque<Gap>,
    /// What all gaps took that are past.
    past: u16,
}

impl Closing {
    /// Leaves out a frame of packets `first` to `last`.
    pub fn leave_out(&mut self, first: u16, last: u16) {
        self.forget(last);
        self.gaps.push_back(Gap { first, count: last.wrapping_sub(first).wrapping_add(1) });
    }

    /// The number a packet goes out under; `None` for one of a frame that was left out.
    pub fn number(&mut self, number: u16) -> Option<u16> {
        self.forget(number);
        let mut out = number.wrapping_sub(self.past);
        for gap in &self.gaps {
            let after = number.wrapping_sub(gap.first);
            if after >= 0x8000 {
                continue;
            }
            if after < gap.count {
                return None;
            }
            out = out.wrapping_sub(gap.count);
        }
        Some(out)
    }

    fn forget(&mut self, number: u16) {
        let past = |gap: &Gap| (PAST..0x8000).contains(&number.wrapping_sub(gap.first));
        while self.gaps.front().is_some_and(past) {
            if let Some(gap) = self.gaps.pop_front() {
                self.past = self.past.wrapping_add(gap.count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn late_packets_find_their_place_and_those_of_left_out_frames_do_not_come_after_all() {
        let mut closing = Closing::default();
        assert_eq!(closing.number(65_534), Some(65_534));
        closing.leave_out(65_535, 2);
        assert_eq!(closing.number(3), Some(65_535));
        closing.leave_out(5, 5);
        assert_eq!(closing.number(6), Some(1));
        assert_eq!(closing.number(4), Some(0), "it is late");
        assert_eq!(closing.number(65_533), Some(65_533));
        assert_eq!(closing.number(1), None);
        assert_eq!(closing.number(5), None);
    }

    proptest! {
        #[test]
        fn what_is_sent_has_numbers_without_a_gap(
            first: u16,
            frames in proptest::collection::vec((1u16..60, any::<bool>()), 1..3000),
        ) {
            let (mut closing, mut number, mut before) = (Closing::default(), first, None);
            for (packets, sent) in frames {
                let last = number.wrapping_add(packets - 1);
                if sent {
                    for n in 0..packets {
                        let out = closing.number(number.wrapping_add(n)).unwrap();
                        let next = before.map_or(out, |b: u16| b.wrapping_add(1));
                        prop_assert_eq!(out, next);
                        before = Some(out);
                    }
                } else {
                    closing.leave_out(number, last);
                }
                number = last.wrapping_add(1);
            }
        }
    }
}
