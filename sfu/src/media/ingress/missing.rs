//! Which packets of a publisher's stream are missing, and when to ask for them again
//! (RFC 4585 §6.2.1). Pure: sequence numbers and the time go in, numbers to ask for come out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A gap is asked for when it has been open so long, or so many later packets have come,
/// whichever is sooner: reordering on a line heals within that, and asking for what is on its
/// way costs the line what it lacks.
const REORDER_TIME: Duration = Duration::from_millis(8);
const REORDER_PACKETS: u64 = 3;

/// Between two requests for one packet. The publisher's round trip isn't known to a receiver;
/// this is one of a poor line, and each further request waits half as long again.
const FIRST_RETRY: Duration = Duration::from_millis(60);

/// Requests for one packet.
const MAX_TRIES: u32 = 8;

/// What is older is of no use to anybody: the picture has stood still for longer than a new
/// keyframe takes.
const GIVE_UP: Duration = Duration::from_millis(1000);

/// Packets missing at once. More is an outage, not loss: then a keyframe is the quicker way.
const MAX_MISSING: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Gap {
    number: u64,
    since: Instant,
    ask: Instant,
    tries: u32,
}

/// The gaps of one stream, by extended sequence number.
#[derive(Debug, Default)]
pub struct Missing {
    highest: Option<u64>,
    gaps: VecDeque<Gap>,
    /// More was lost than can be asked for.
    overflowed: bool,
}

impl Missing {
    /// A packet came. Returns true when it fills a gap.
    pub fn arrived(&mut self, number: u64, now: Instant) -> bool {
        let Some(highest) = self.highest else {
            self.highest = Some(number);
            return false;
        };
        if number <= highest {
            let before = self.gaps.len();
            self.gaps.retain(|g| g.number != number);
            return self.gaps.len() < before;
        }
        self.highest = Some(number);
        let lost = number - highest - 1;
        if lost as usize + self.gaps.len() > MAX_MISSING {
            self.gaps.clear();
            self.overflowed = true;
            return false;
        }
        for gap in highest + 1..number {
            self.gaps.push_back(Gap { number: gap, since: now, ask: now + REORDER_TIME, tries: 0 });
        }
        if !self.gaps.is_empty() {
            for gap in &mut self.gaps {
                if gap.tries == 0 && number - gap.number >= REORDER_PACKETS {
                    gap.ask = gap.ask.min(now);
                }
            }
        }
        false
    }

    /// Whether so much was lost, since the last call, that only a keyframe helps.
    pub fn take_overflow(&mut self) -> bool {
        std::mem::take(&mut self.overflowed)
    }

    /// When [`Self::due`] has something to say.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.gaps.iter().map(|g| g.ask).min()
    }

    /// The sequence numbers to ask for now, lowest first, into `asked`.
    pub fn due(&mut self, now: Instant, asked: &mut Vec<u16>) {
        self.gaps.retain(|g| now - g.since < GIVE_UP && g.tries < MAX_TRIES);
        for gap in self.gaps.iter_mut().filter(|g| g.ask <= now) {
            asked.push(gap.number as u16);
            let wait = FIRST_RETRY.mul_f32(1.5f32.powi(gap.tries as i32));
            gap.tries += 1;
            gap.ask = now + wait;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn ask(missing: &mut Missing, now: Instant) -> Vec<u16> {
        let mut asked = Vec::new();
        missing.due(now, &mut asked);
        asked
    }

    #[test]
    fn what_is_only_out_of_order_is_not_asked_for() {
        let (mut missing, now) = (Missing::default(), Instant::now());
        for number in [10, 12, 11, 13] {
            missing.arrived(number, now);
        }
        assert!(ask(&mut missing, now + REORDER_TIME).is_empty());
        assert_eq!(missing.deadline(), None);
    }

    #[test]
    fn a_gap_is_asked_for_soon_and_again_ever_more_slowly() {
        let (mut missing, now) = (Missing::default(), Instant::now());
        missing.arrived(10, now);
        missing.arrived(12, now);
        assert!(ask(&mut missing, now + MS).is_empty());
        let mut asked_at = Vec::new();
        for ms in 0..2000u32 {
            if ask(&mut missing, now + MS * ms) == [11] {
                asked_at.push(ms);
            }
        }
        assert_eq!(asked_at[0], 8);
        assert!(asked_at.windows(3).all(|w| w[2] - w[1] > w[1] - w[0]), "{asked_at:?}");
        assert!(asked_at.len() >= 4 && *asked_at.last().unwrap() < 1000, "{asked_at:?}");
    }

    #[test]
    fn three_packets_later_it_is_lost() {
        let (mut missing, now) = (Missing::default(), Instant::now());
        for number in [10, 12, 13, 14] {
            missing.arrived(number, now);
        }
        assert_eq!(ask(&mut missing, now), [11]);
        assert!(missing.arrived(11, now), "it fills the gap");
        assert_eq!(missing.deadline(), None);
    }

    #[test]
    fn an_outage_wants_a_keyframe_instead() {
        let (mut missing, now) = (Missing::default(), Instant::now());
        missing.arrived(10, now);
        missing.arrived(1000, now);
        assert!(missing.take_overflow() && !missing.take_overflow());
        assert!(ask(&mut missing, now + REORDER_TIME).is_empty());
    }

    proptest! {
        #[test]
        fn only_what_is_missing_is_asked_for(lost in prop::collection::btree_set(1u64..300, 0..40)) {
            let (mut missing, now) = (Missing::default(), Instant::now());
            for number in (0..=300).filter(|n| !lost.contains(n)) {
                missing.arrived(number, now);
            }
            let asked: Vec<u64> =
                ask(&mut missing, now + REORDER_TIME).into_iter().map(u64::from).collect();
            prop_assert_eq!(asked, lost.into_iter().collect::<Vec<_>>());
        }
    }
}
