//! Puts a flow's packets back into order. Frames cross the trunk on streams of their own and
//! so overtake each other; a packet that is missing is waited for, but not for ever.
//!
//! A value: the time is an argument, nothing is allocated but what is held.

use crate::clock::{MILLI, Nanos, SECOND};
use std::collections::BTreeMap;

/// How long a gap is waited for. A retransmission over the longest line takes less.
pub const WAIT: Nanos = SECOND / 2;

/// How long the first packets are held. The frames of a burst at the begin come side by
/// side, the largest, a keyframe, after the small ones behind it.
pub const SETTLE: Nanos = 200 * MILLI;

/// Most packets held: two seconds of 8 Mbit/s.
const CAPACITY: usize = 2048;

/// A packet this far behind is not late: the sequence began anew.
const LATE: i64 = 500;

/// Holds packets until it is their turn.
#[derive(Debug)]
pub struct Reorder<T> {
    held: BTreeMap<i64, (Nanos, T)>,
    next: Option<i64>,
    newest: Option<i64>,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Self { held: BTreeMap::new(), next: None, newest: None }
    }
}

impl<T> Reorder<T> {
    /// Takes a packet. `false` when it came too late, or twice.
    pub fn push(&mut self, sequence: u16, packet: T, now: Nanos) -> bool {
        let sequence = self.extend(sequence);
        if self.next.is_some_and(|next| sequence < next) || self.held.contains_key(&sequence) {
            return false;
        }
        self.newest = Some(self.newest.map_or(sequence, |n| n.max(sequence)));
        self.held.insert(sequence, (now, packet));
        true
    }

    /// The next packet in order, with its unwrapped sequence number: one more than the one
    /// before, or further when what was between is given up.
    pub fn pop(&mut self, now: Nanos) -> Option<(i64, T)> {
        let (&first, &(since, _)) = self.held.first_key_value()?;
        let wait = if self.next.is_some() { WAIT } else { SETTLE };
        let due = self.next == Some(first) || now - since >= wait || self.held.len() > CAPACITY;
        if due { self.pop_held() } else { None }
    }

    /// The next packet in order, whatever is missing before it.
    pub fn pop_held(&mut self) -> Option<(i64, T)> {
        let (sequence, (_, packet)) = self.held.pop_first()?;
        self.next = Some(sequence + 1);
        Some((sequence, packet))
    }

    /// When [`pop`](Self::pop) has something to give although nothing more arrives.
    #[must_use]
    pub fn deadline(&self) -> Option<Nanos> {
        let wait = if self.next.is_some() { WAIT } else { SETTLE };
        self.held.first_key_value().map(|(_, (since, _))| since + wait)
    }

    /// Unwraps to the window from a little behind what is due to nearly a whole turn ahead.
    fn extend(&self, sequence: u16) -> i64 {
        let Some(base) = self.next.or(self.newest) else { return i64::from(sequence) };
        let low = base - LATE;
        low + i64::from(sequence.wrapping_sub(low as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(r: &mut Reorder<u16>, now: Nanos) -> Vec<u16> {
        std::iter::from_fn(|| r.pop(now)).map(|(_, p)| p).collect()
    }

    fn settled(first: u16) -> Reorder<u16> {
        let mut r = Reorder::default();
        r.push(first, first, -SECOND);
        assert_eq!(drain(&mut r, 0), [first]);
        r
    }

    #[test]
    fn overtaken_packets_come_out_in_order() {
        let mut r = settled(65_534);
        for s in [0, 65_535, 2, 1] {
            assert!(r.push(s, s, 0));
        }
        assert_eq!(drain(&mut r, 0), [65_535, 0, 1, 2]);
    }

    #[test]
    fn a_keyframe_overtaken_at_the_begin_is_still_first() {
        let mut r = Reorder::default();
        r.push(11, 11, 0);
        assert!(drain(&mut r, SETTLE / 2).is_empty());
        r.push(9, 9, SETTLE / 2);
        r.push(10, 10, SETTLE / 2);
        assert_eq!(drain(&mut r, SETTLE + SETTLE / 2), [9, 10, 11]);
    }

    #[test]
    fn a_gap_is_waited_for_and_then_given_up() {
        let mut r = settled(1);
        r.push(3, 3, 0);
        r.push(4, 4, 10);
        assert_eq!(r.deadline(), Some(WAIT));
        assert!(drain(&mut r, WAIT - 1).is_empty());
        assert_eq!(r.pop(WAIT), Some((3, 3)));
        assert_eq!(drain(&mut r, WAIT), [4]);
        assert!(!r.push(2, 2, WAIT), "too late now");
    }

    #[test]
    fn a_packet_in_time_closes_the_gap_at_once() {
        let mut r = settled(1);
        r.push(3, 3, 0);
        r.push(2, 2, WAIT - 1);
        assert_eq!(drain(&mut r, WAIT - 1), [2, 3]);
        assert!(!r.push(3, 3, WAIT), "twice");
    }

    #[test]
    fn a_sequence_that_begins_anew_is_not_taken_for_late() {
        let mut r = settled(40_000);
        assert!(r.push(100, 100, 0));
        assert_eq!(drain(&mut r, WAIT), [100]);
        assert!(r.push(101, 101, WAIT));
        assert_eq!(drain(&mut r, WAIT), [101]);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut r = settled(0);
        let mut out = 0;
        for s in 2..10_000 {
            r.push(s, s, 0);
            out += drain(&mut r, 0).len();
        }
        assert!(r.held.len() <= CAPACITY && out > 7_000);
    }
}
