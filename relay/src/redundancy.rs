//! Audio that a lossy line repeats: how often, from what, and how the other end tells a
//! repetition from what it has not heard yet.

use bytes::Bytes;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Share of packets lost from which the packet before is repeated, and from which also the one
/// [`FAR_BACK`]. A clean line pays nothing; at 3 %, in bursts of three, two bring audio from 98 %
/// to 99.9 %.
const ONE: f64 = 0.003;
const TWO: f64 = 0.01;

/// As many are repeated at most.
pub const MOST: usize = 2;

/// Rate in bytes/s below which one repetition is the most: two are half of what audio and a
/// small picture take together.
const ROOM_FOR_TWO: f64 = 75_000.0;

/// The second that is repeated is the third before. What takes three packets of audio in a row,
/// with the picture's between them, takes four far less often.
const FAR_BACK: usize = 3;

/// What is older is not repeated: an outage lies between, and whoever plays it has gone on.
const FRESH: Duration = Duration::from_millis(150);

/// Flows that are remembered. More are of a peer that makes them up, and begin anew.
const FLOWS: usize = 1024;

/// How many of the packets before are sent with each, by the loss (0..1) over many seconds, as
/// bursts come seconds apart, and the rate in bytes/s. While a queue is `rising` as many as there
/// may be: a line that becomes narrow overflows before anybody knows that it has.
pub fn repeats(loss: f64, rate: f64, rising: bool) -> usize {
    let slow = rate < ROOM_FOR_TWO;
    let most = if slow { 1 } else { MOST };
    let asked = if loss >= TWO || rising && !slow { MOST } else { usize::from(loss >= ONE) };
    asked.min(most)
}

/// The last datagrams of every flow, the newest last.
#[derive(Debug, Default)]
pub struct Before(HashMap<u64, [Option<(Instant, Bytes)>; FAR_BACK]>);

impl Before {
    /// Keeps `datagram`; gives up to `count`, [`MOST`] at most, of those before it, in their order.
    pub fn and_keep(
        &mut self,
        now: Instant,
        flow: u64,
        datagram: &Bytes,
        count: usize,
    ) -> impl Iterator<Item = Bytes> + use<> {
        if self.0.len() >= FLOWS && !self.0.contains_key(&flow) {
            self.0.clear();
        }
        let kept = self.0.entry(flow).or_default();
        let [third, second, first] = std::mem::take(kept);
        *kept = [second, first.clone(), Some((now, datagram.clone()))];
        [third, first]
            .into_iter()
            .skip(MOST - count.min(MOST))
            .flatten()
            .filter(move |(sent, _)| now.saturating_duration_since(*sent) <= FRESH)
            .map(|(_, datagram)| datagram)
    }
}

/// The packets of every flow that have come.
#[derive(Debug, Default)]
pub struct Heard(HashMap<u64, Window>);

/// The last 128 sequence numbers of one SSRC.
#[derive(Debug, Clone, Copy)]
struct Window {
    ssrc: u32,
    newest: u16,
    /// Bit n: the one n before the newest came.
    came: u128,
}

impl Heard {
    /// Whether this RTP packet of `flow` comes for the first time. What is too short for RTP is
    /// for others to refuse.
    pub fn is_new(&mut self, flow: u64, packet: &[u8]) -> bool {
        let Some((sequence, ssrc)) = name(packet) else { return true };
        if self.0.len() >= FLOWS && !self.0.contains_key(&flow) {
            self.0.clear();
        }
        let begun = Window { ssrc, newest: sequence, came: 1 };
        let Some(window) = self.0.get_mut(&flow) else {
            self.0.insert(flow, begun);
            return true;
        };
        let ahead = sequence.wrapping_sub(window.newest) as i16;
        if window.ssrc != ssrc || !(-127..=1000).contains(&ahead) {
            *window = begun;
            return true;
        }
        if ahead > 0 {
            window.came = window.came.checked_shl(ahead as u32).unwrap_or(0) | 1;
            window.newest = sequence;
            return true;
        }
        let bit = 1u128 << ahead.unsigned_abs();
        let new = window.came & bit == 0;
        window.came |= bit;
        new
    }
}

/// Sequence number and SSRC (RFC 3550 §5.1).
fn name(packet: &[u8]) -> Option<(u16, u32)> {
    let sequence = packet.get(2..4)?.try_into().ok()?;
    let ssrc = packet.get(8..12)?.try_into().ok()?;
    Some((u16::from_be_bytes(sequence), u32::from_be_bytes(ssrc)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn packet(sequence: u16, ssrc: u32) -> Vec<u8> {
        let mut packet = vec![0; 12];
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        packet
    }

    #[test]
    fn a_clean_line_repeats_nothing_and_a_lossy_one_two() {
        assert_eq!(repeats(0.0005, 300_000.0, false), 0);
        assert_eq!(repeats(0.006, 300_000.0, false), 1);
        assert_eq!(repeats(0.03, 300_000.0, false), 2);
        assert_eq!(repeats(0.03, 37_500.0, false), 1, "a slow line has no room");
        assert_eq!(repeats(0.0, 300_000.0, true), 2, "it may have become a slow one");
        assert_eq!(repeats(0.0, 37_500.0, true), 0);
    }

    #[test]
    fn what_is_repeated_are_the_last_and_the_third_before_unless_they_are_old() {
        let start = Instant::now();
        let mut before = Before::default();
        let mut send = |ms: u64, n: u8, count| {
            let datagram = Bytes::from(vec![n]);
            let now = start + Duration::from_millis(ms);
            before.and_keep(now, 7, &datagram, count).map(|d| d[0]).collect::<Vec<_>>()
        };
        assert_eq!(send(0, 1, 2), [0u8; 0]);
        assert_eq!(send(20, 2, 2), [1]);
        assert_eq!(send(40, 3, 2), [2]);
        assert_eq!(send(60, 4, 2), [1, 3]);
        assert_eq!(send(80, 5, 1), [4]);
        assert_eq!(send(100, 6, 0), [0u8; 0]);
        assert_eq!(send(120, 7, 2), [4, 6]);
        assert_eq!(send(8000, 8, 2), [0u8; 0], "an outage lies between");
    }

    #[test]
    fn a_publisher_that_comes_back_is_heard_at_once() {
        let mut heard = Heard::default();
        assert!(heard.is_new(1, &packet(500, 1)));
        assert!(!heard.is_new(1, &packet(500, 1)));
        assert!(heard.is_new(1, &packet(500, 2)));
        assert!(heard.is_new(1, &packet(100, 2)), "far back is a new beginning");
        assert!(heard.is_new(2, &packet(500, 1)), "flows know nothing of each other");
    }

    proptest! {
        #[test]
        fn each_packet_is_heard_once_however_they_come(
            start in any::<u16>(),
            lost in prop::collection::vec(any::<bool>(), 400),
            swaps in prop::collection::vec((0usize..400, 1usize..40), 0..60),
        ) {
            let mut order: Vec<u16> = (0..400u16).flat_map(|n| {
                [n.saturating_sub(2), n.saturating_sub(1), n]
            }).collect();
            for (at, by) in swaps {
                let other = (at * 3 + by).min(order.len() - 1);
                order.swap(at * 3, other);
            }
            let mut heard = Heard::default();
            let mut seen = HashSet::new();
            for (turn, n) in order.into_iter().enumerate() {
                if lost[turn / 3] {
                    continue;
                }
                let new = heard.is_new(3, &packet(start.wrapping_add(n), 9));
                prop_assert_eq!(new, seen.insert(n));
            }
        }
    }
}
