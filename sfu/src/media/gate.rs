//! What of a microphone travels from its own shard to where the loudest are chosen: only while
//! it is, or was just now, a voice. Forty open microphones then cost the other shard no more
//! than the few that speak.
//!
//! Whether a packet is loud is decided here, where all of the microphone is heard, and goes
//! along as its voice bit (RFC 6464 §3).

use super::loudest::{HANGOVER, SOFT_START};
use super::voice::Voice;
use std::time::{Duration, Instant};

/// It stays open a little longer than a place is kept, so that the place is given back by what
/// comes through.
const LINGER: Duration = Duration::from_millis(100);

/// A packet that goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Through {
    pub number: u64,
    /// The sequence number it goes under: those that were held back leave no gap.
    pub sequence: u16,
    pub loud: bool,
}

/// One microphone's gate.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    voice: Voice,
    open: bool,
    /// The newest packet that went through, and in which run of the source.
    newest: Option<(u32, u64)>,
    /// The first since it opened.
    first: u64,
    held_back: u64,
}

impl Gate {
    /// Takes a packet with its RFC 6464 byte, and tells `through` of what goes now. When the
    /// gate opens, those that just came before go first; `kept` says which are still there.
    /// Returns whether it opened.
    pub fn hear(
        &mut self,
        (run, number): (u32, u64),
        level: Option<u8>,
        now: Instant,
        kept: impl Fn(u64) -> bool,
        mut through: impl FnMut(Through),
    ) -> bool {
        let loud = self.voice.hear(level, now);
        let open = self.voice.silence(now) <= HANGOVER + LINGER;
        let was_open = std::mem::replace(&mut self.open, open);
        if !open {
            return false;
        }
        let newest = self.newest.filter(|(r, _)| *r == run).map(|(_, n)| n);
        let opens = !was_open || newest.is_none();
        if opens {
            let after = newest.map_or(0, |n| n + 1);
            let wanted = number.saturating_sub(u64::from(SOFT_START)).max(after).min(number);
            self.first = (wanted..=number).find(|n| kept(*n)).unwrap_or(number);
            self.held_back = match newest {
                Some(newest) => self.held_back + (self.first.saturating_sub(newest + 1)),
                None => 0,
            };
            for earlier in (self.first..number).filter(|n| kept(*n)) {
                through(self.pass(earlier, false));
            }
        }
        if number >= self.first {
            through(self.pass(number, loud));
            self.newest = Some((run, newest.map_or(number, |n| n.max(number))));
        }
        opens
    }

    fn pass(&self, number: u64, loud: bool) -> Through {
        Through { number, sequence: number.wrapping_sub(self.held_back) as u16, loud }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACKET: Duration = Duration::from_millis(20);
    const SPEECH: u8 = 0x80 | 25;
    const ROOM: u8 = 80;

    /// A microphone that sends a packet every 20 ms, and what went through.
    struct Microphone {
        gate: Gate,
        number: u64,
        now: Instant,
        through: Vec<Through>,
    }

    impl Microphone {
        fn new() -> Self {
            let (gate, through) = (Gate::default(), vec![]);
            Self { gate, number: 70_000, now: Instant::now(), through }
        }

        fn hear(&mut self, packets: usize, level: u8) {
            for _ in 0..packets {
                self.number += 1;
                self.now += PACKET;
                let through = &mut self.through;
                let packet = (0, self.number);
                self.gate.hear(packet, Some(level), self.now, |_| true, |t| through.push(t));
            }
        }
    }

    #[test]
    fn a_silent_room_stays_where_it_is() {
        let mut microphone = Microphone::new();
        microphone.hear(500, ROOM);
        assert_eq!(microphone.through, []);
    }

    #[test]
    fn a_word_goes_with_its_soft_beginning_and_its_pauses_at_once() {
        let mut microphone = Microphone::new();
        microphone.hear(500, ROOM);
        microphone.hear(1, SPEECH);
        let went: Vec<_> = microphone.through.iter().map(|t| (t.number, t.loud)).collect();
        assert_eq!(went, [(70_499, false), (70_500, false), (70_501, true)]);
        microphone.hear(80, ROOM);
        assert_eq!(microphone.through.len(), 83);
        microphone.hear(80, ROOM);
        assert_eq!(microphone.through.len(), 83, "not for ever");
    }

    #[test]
    fn however_long_it_was_silent_its_numbers_go_on() {
        let mut microphone = Microphone::new();
        microphone.hear(10, SPEECH);
        microphone.hear(20_000, ROOM);
        microphone.hear(10, SPEECH);
        let sequences: Vec<u16> = microphone.through.iter().map(|t| t.sequence).collect();
        assert!(sequences.windows(2).all(|w| w[1] == w[0].wrapping_add(1)), "{sequences:?}");
        let spoken = microphone.through.iter().filter(|t| t.loud).count();
        assert_eq!((spoken, sequences.len()), (20, 20 + 80 + 2 * SOFT_START as usize));
    }

    #[test]
    fn a_source_that_began_anew_is_told_from_what_it_was() {
        let mut microphone = Microphone::new();
        microphone.hear(10, SPEECH);
        let mut through = vec![];
        let now = microphone.now + PACKET;
        microphone.gate.hear((1, 5), Some(SPEECH), now, |n| n == 5, |t| through.push(t));
        assert_eq!(through, [Through { number: 5, sequence: 5, loud: true }]);
    }

    proptest! {
        /// Each packet at most once, and what was lost on the way in leaves the gap it was.
        #[test]
        fn nothing_goes_twice(stretches in prop::collection::vec((any::<bool>(), 1u64..150, any::<bool>()), 1..30)) {
            let (mut gate, mut number, mut now) = (Gate::default(), 70_000u64, Instant::now());
            let (mut through, mut came) = (Vec::<Through>::new(), std::collections::BTreeSet::new());
            for (speaks, packets, loses) in stretches {
                for n in 0..packets {
                    number += 1;
                    now += PACKET;
                    if loses && n % 3 == 1 {
                        continue;
                    }
                    came.insert(number);
                    let level = Some(if speaks { SPEECH } else { ROOM });
                    gate.hear((0, number), level, now, |n| came.contains(&n), |t| through.push(t));
                }
            }
            prop_assert!(through.windows(2).all(|w| w[0].number < w[1].number));
            for pair in through.windows(2) {
                let apart = pair[1].sequence.wrapping_sub(pair[0].sequence);
                prop_assert!(u64::from(apart) <= pair[1].number - pair[0].number && apart > 0);
            }
        }
    }
}
