//! One stream out of voices that follow each other: whoever holds a place of
//! [`super::loudest`], its packets get the place's own sequence numbers and timestamps, so that
//! a listener's decoder hears one source that pauses, and never two that overlap.
//!
//! Numbers only: packets stay where they are.

use std::time::{Duration, Instant};

/// RTP's clock for Opus (RFC 7587 §4.1).
const CLOCK_RATE: u64 = 48_000;

/// Where a packet goes in the place's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    pub sequence: u16,
    pub timestamp: u32,
    /// Sound that begins anew (RFC 7587 §4.2): a jitter buffer may adapt here.
    pub begins: bool,
}

/// A packet of a microphone, as its encoding numbers it. Times are in ticks of its clock.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    pub number: u64,
    pub timestamp: u32,
    pub duration: u32,
}

#[derive(Debug)]
struct Voice {
    first: u64,
    /// The first packet's number in the stream.
    sequence: u64,
    /// Added to the microphone's timestamps.
    offset: u32,
    begun: bool,
}

/// The stream of one place.
#[derive(Debug)]
pub struct Splice {
    next: u64,
    /// The newest packet: when its sound begins, how long it is, and when it came.
    newest: Option<(u32, u32, Instant)>,
    voice: Option<Voice>,
}

impl Splice {
    /// A stream without a packet, that begins with this number.
    #[must_use]
    pub fn new(first: u16) -> Self {
        Self { next: u64::from(first), newest: None, voice: None }
    }

    /// Another voice begins, with `piece`. `behind` is how much later what its microphone sends
    /// by now is: sound that is caught up with belongs before the present.
    pub fn begin(&mut self, piece: &Piece, behind: u32, now: Instant) {
        let timestamp = match self.newest {
            None => piece.timestamp,
            Some((newest, duration, at)) => {
                let passed = ticks(now.saturating_duration_since(at)) - i64::from(behind);
                newest.wrapping_add(passed.max(i64::from(duration)) as u32)
            }
        };
        self.voice = Some(Voice {
            first: piece.number,
            sequence: self.next,
            offset: timestamp.wrapping_sub(piece.timestamp),
            begun: false,
        });
    }

    /// Where a packet of the present voice goes; `None` when it is from before its beginning.
    pub fn place(&mut self, piece: &Piece, now: Instant) -> Option<Placed> {
        let voice = self.voice.as_mut()?;
        let sequence = voice.sequence + piece.number.checked_sub(voice.first)?;
        let timestamp = piece.timestamp.wrapping_add(voice.offset);
        if sequence >= self.next {
            self.next = sequence + 1;
            self.newest = Some((timestamp, piece.duration, now));
        }
        let begins = !std::mem::replace(&mut voice.begun, true);
        Some(Placed { sequence: sequence as u16, timestamp, begins })
    }

    /// What must be added to the present voice's timestamps to get the stream's.
    #[must_use]
    pub fn offset(&self) -> Option<u32> {
        self.voice.as_ref().map(|v| v.offset)
    }
}

fn ticks(elapsed: Duration) -> i64 {
    (elapsed.as_micros() as u64 * CLOCK_RATE / 1_000_000) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: u32 = 960;
    const PACKET: Duration = Duration::from_millis(20);

    fn piece(number: u64, timestamp: u32) -> Piece {
        Piece { number, timestamp, duration: FRAME }
    }

    #[test]
    fn a_voice_after_a_silence_is_later_by_as_much() {
        let (mut splice, start) = (Splice::new(7), Instant::now());
        splice.begin(&piece(100, 5_000), 0, start);
        let first = splice.place(&piece(100, 5_000), start).unwrap();
        assert_eq!(first, Placed { sequence: 7, timestamp: 5_000, begins: true });
        let later = start + Duration::from_secs(3);
        splice.begin(&piece(9, 77), 0, later);
        let other = splice.place(&piece(9, 77), later).unwrap();
        assert_eq!(other, Placed { sequence: 8, timestamp: 5_000 + 3 * 48_000, begins: true });
        assert_eq!(splice.offset(), Some(149_000 - 77));
    }

    #[test]
    fn what_is_caught_up_with_belongs_before_the_present() {
        let (mut splice, start) = (Splice::new(0), Instant::now());
        splice.begin(&piece(1, 0), 0, start);
        splice.place(&piece(1, 0), start);
        let later = start + Duration::from_secs(1);
        splice.begin(&piece(50, 0), 3 * FRAME, later);
        let caught: Vec<_> =
            (0..4).filter_map(|n| splice.place(&piece(50 + n, n as u32 * FRAME), later)).collect();
        assert_eq!(caught[3].timestamp, 48_000, "the packet of now is where now is");
        assert_eq!(caught.iter().filter(|p| p.begins).count(), 1);
    }

    #[test]
    fn who_takes_over_in_mid_word_begins_where_the_other_ended() {
        let (mut splice, start) = (Splice::new(0), Instant::now());
        splice.begin(&piece(1, 0), 0, start);
        splice.place(&piece(1, 0), start);
        let soon = start + Duration::from_millis(4);
        splice.begin(&piece(800, 123), 12 * FRAME, soon);
        assert_eq!(splice.place(&piece(800, 123), soon).unwrap().timestamp, FRAME);
        assert_eq!(splice.place(&piece(799, 0), soon), None, "before its beginning");
    }

    #[derive(Debug, Clone)]
    struct Turn {
        number: u64,
        timestamp: u32,
        pause: u64,
        caught_up: u64,
        /// Of each packet: whether it is lost on the way in.
        packets: Vec<bool>,
    }

    fn turns() -> impl Strategy<Value = Vec<Turn>> {
        let lost = prop::collection::vec(prop::bool::weighted(0.1), 1..40);
        let turn = (1u64..1 << 40, any::<u32>(), 0u64..100_000, 0u64..15, lost);
        let turn = turn.prop_map(|(number, timestamp, pause, caught_up, packets)| Turn {
            number,
            timestamp,
            pause,
            caught_up,
            packets,
        });
        prop::collection::vec(turn, 1..40)
    }

    proptest! {
        /// Whoever speaks whenever: numbers go up by one but for what was lost, and no sound
        /// lies over another.
        #[test]
        fn voices_never_overlap(first in any::<u16>(), turns in turns()) {
            let (mut splice, mut now) = (Splice::new(first), Instant::now());
            let mut last: Option<Placed> = None;
            for turn in turns {
                now += Duration::from_millis(turn.pause);
                let at = |n: u64| piece(turn.number + n, turn.timestamp.wrapping_add(n as u32 * FRAME));
                splice.begin(&at(0), turn.caught_up as u32 * FRAME, now);
                let mut lost = 0;
                for (n, gone) in turn.packets.iter().enumerate() {
                    if n as u64 > turn.caught_up {
                        now += PACKET;
                    }
                    if *gone {
                        lost += 1;
                        continue;
                    }
                    let placed = splice.place(&at(n as u64), now).unwrap();
                    if let Some(last) = last {
                        prop_assert_eq!(placed.sequence.wrapping_sub(last.sequence), 1 + lost);
                        let ahead = placed.timestamp.wrapping_sub(last.timestamp) as i32;
                        prop_assert!(ahead >= FRAME as i32, "{} ticks ahead", ahead);
                    }
                    (last, lost) = (Some(placed), 0);
                }
            }
        }
    }
}
