//! From trains to a rate, as a value.

use super::words::{Came, SIZE, Train};
use serde::Serialize;

/// bit/s of the trains, each twice the one before. What a classroom can use ends far below
/// the last.
const RATES: [u32; 7] = [250_000, 500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000, 16_000_000];

/// Long enough to fill the queue of a slow modem, and 2 MB for all trains.
const MILLIS: u32 = 500;

/// Headers of QUIC, UDP and IP on a datagram of [`SIZE`].
const OVERHEAD: usize = 70;

/// A train that arrived so much thinner was more than the line takes.
const THIN: f64 = 0.85;

/// What the line takes in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// bit/s on the line.
    pub bits_per_second: u64,
    /// It was not more only because no more was tried.
    pub at_least: bool,
    /// Share of packets lost, 0..1, while the line was not full.
    pub loss: f64,
}

/// Climbs until the line is full.
#[derive(Debug, Default)]
pub struct Ladder {
    step: usize,
    rate: Rate,
    sent: u64,
    came: u64,
    full: bool,
}

impl Ladder {
    /// The train to send next, or none when enough is known.
    pub fn next(&self) -> Option<Train> {
        let rate = *RATES.get(self.step).filter(|_| !self.full)?;
        Some(Train { id: u8::try_from(self.step).unwrap_or(u8::MAX), rate, millis: MILLIS })
    }

    /// What came of it.
    pub fn note(&mut self, train: Train, sent: u32, came: Came) {
        self.step += 1;
        let wire = |packets: u32| f64::from(packets) * (SIZE + OVERHEAD) as f64 * 8.0;
        // The first packet opens the time that the others took.
        let seconds = came.micros as f64 / 1e6;
        let seen = match came.packets {
            0 | 1 => 0.0,
            packets => wire(packets - 1) / seconds.max(f64::from(train.millis) / 1000.0 * 0.9),
        };
        let offered = wire(sent) / (f64::from(train.millis) / 1000.0);
        self.full = seen < offered * THIN;
        self.rate.bits_per_second = self.rate.bits_per_second.max(seen as u64);
        // A line that is full loses what it has no room for; a thin train on an empty line
        // shows what it loses by itself. The first is not full unless it is hardly a line.
        if !self.full || self.step == 1 {
            self.sent += u64::from(sent);
            self.came += u64::from(came.packets.min(sent));
        }
    }

    pub fn rate(&self) -> Rate {
        let loss = match self.sent {
            0 => 0.0,
            sent => 1.0 - self.came as f64 / sent as f64,
        };
        Rate { at_least: !self.full && self.step == RATES.len(), loss, ..self.rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that takes `rate`, queues the rest and loses every `nth` packet.
    fn climb(rate: f64, nth: u32) -> (Rate, f64) {
        let (mut ladder, mut spent) = (Ladder::default(), 0.0);
        while let Some(train) = ladder.next() {
            let seconds = f64::from(train.millis) / 1000.0;
            let wire = (SIZE + OVERHEAD) as f64 * 8.0;
            let sent = (f64::from(train.rate) * seconds / wire) as u32;
            let packets = sent - sent.checked_div(nth).unwrap_or(0);
            let took = (f64::from(packets) * wire / rate).max(seconds);
            ladder.note(train, sent, Came { packets, micros: (took * 1e6) as u64 });
            spent += f64::from(sent) * wire / 8.0;
        }
        (ladder.rate(), spent)
    }

    #[test]
    fn the_rate_of_a_line_is_found_within_a_few_per_cent() {
        for rate in [180e3, 300e3, 1.2e6, 4e6, 10e6] {
            let (found, _) = climb(rate, 0);
            let off = found.bits_per_second as f64 / rate;
            assert!((0.9..1.05).contains(&off) && !found.at_least, "{rate}: {found:?}");
        }
    }

    #[test]
    fn a_fast_line_is_at_least_what_was_tried() {
        let (found, spent) = climb(1e9, 0);
        assert!(found.at_least && found.bits_per_second > 14_000_000, "{found:?}");
        assert!(spent < 2.2e6, "{spent}");
    }

    #[test]
    fn what_an_empty_line_loses_is_told_from_what_a_full_one_drops() {
        let (found, _) = climb(4e6, 20);
        assert!((0.02..0.06).contains(&found.loss), "{found:?}");
        let (found, _) = climb(4e6, 0);
        assert!(found.loss == 0.0, "{found:?}");
    }

    #[test]
    fn nothing_arriving_is_no_rate_and_all_loss() {
        let mut ladder = Ladder::default();
        ladder.note(ladder.next().unwrap(), 10, Came::default());
        assert_eq!(ladder.next(), None);
        let rate = ladder.rate();
        assert_eq!((rate.bits_per_second, rate.loss, rate.at_least), (0, 1.0, false));
    }
}
