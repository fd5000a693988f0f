//! How well one stream is received: what a receiver report says of it (RFC 3550 §6.4.1, §A.3,
//! §A.8), and the extension of its sequence numbers.

use cloudschool_protocol::rtcp::Block;
use std::time::Instant;

/// Reception of one SSRC.
#[derive(Debug, Default)]
pub struct Reception {
    first: Option<u64>,
    highest: u64,
    received: u64,
    /// Expected and received when the last report was made.
    before: (u64, u64),
    transit: Option<f64>,
    jitter: f64,
    /// NTP time of the last sender report, its middle 32 bits, and when it came.
    report: Option<(u32, Instant)>,
}

impl Reception {
    /// Extends a sequence number to 64 bits, next to the highest so far.
    #[must_use]
    pub fn extend(&self, sequence: u16) -> u64 {
        if self.first.is_none() {
            // A cycle below the first, so that packets reordered around it have numbers too.
            return (1 << 16) + u64::from(sequence);
        }
        let ahead = sequence.wrapping_sub(self.highest as u16) as i16;
        self.highest.saturating_add_signed(i64::from(ahead))
    }

    /// A packet came. `elapsed` is the time since any fixed moment, in units of the stream's
    /// clock, for the jitter.
    pub fn arrived(&mut self, number: u64, timestamp: u32, elapsed: f64) {
        self.received += 1;
        if self.first.is_none() {
            self.first = Some(number);
            self.highest = number;
        }
        if number < self.highest {
            return;
        }
        self.highest = number;
        // Only differences matter, so the wrap of the timestamp shows as one wild value.
        let transit = elapsed - f64::from(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let moved = (transit - before).abs();
            if moved < f64::from(u32::MAX / 2) {
                self.jitter += (moved - self.jitter) / 16.0;
            }
        }
    }

    /// The source's clock came, by which it measures its round trip.
    pub fn reported(&mut self, ntp: u64, now: Instant) {
        self.report = Some(((ntp >> 16) as u32, now));
    }

    /// What to tell the source, if it sent anything.
    pub fn block(&mut self, ssrc: u32, now: Instant) -> Option<Block> {
        let expected = self.highest - self.first? + 1;
        let (expected_before, received_before) = self.before;
        self.before = (expected, self.received);
        let due = expected.saturating_sub(expected_before);
        let lost = due.saturating_sub(self.received - received_before);
        let fraction = (lost << 8).checked_div(due).unwrap_or(0).min(255);
        let (last_report, delay) = match self.report {
            Some((ntp, at)) => (ntp, ((now - at).as_secs_f64() * 65_536.0) as u32),
            None => (0, 0),
        };
        Some(Block {
            ssrc,
            fraction_lost: fraction as u8,
            lost: i32::try_from(expected as i64 - self.received as i64).unwrap_or(i32::MAX),
            highest: self.highest as u32,
            jitter: self.jitter as u32,
            last_report,
            delay,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_since_the_last_report_and_in_all_is_told() {
        let (mut reception, now) = (Reception::default(), Instant::now());
        assert_eq!(reception.block(1, now), None);
        for sequence in (0..100u16).filter(|s| s % 4 != 3) {
            let number = reception.extend(sequence.wrapping_add(65_500));
            reception.arrived(number, 0, 0.0);
        }
        let block = reception.block(1, now).unwrap();
        assert_eq!((block.lost, block.highest as u16), (24, 62), "through a wrap");
        assert_eq!(block.fraction_lost, (24 * 256 / 99) as u8);
        for sequence in 63..163u16 {
            let number = reception.extend(sequence);
            reception.arrived(number, 0, 0.0);
        }
        let block = reception.block(1, now).unwrap();
        assert_eq!((block.fraction_lost, block.lost), (0, 24));
    }

    #[test]
    fn an_even_stream_has_no_jitter_and_an_uneven_one_has() {
        let jitter = |late: fn(u16) -> f64| {
            let mut reception = Reception::default();
            for n in 0..200u16 {
                let number = reception.extend(n);
                reception.arrived(number, u32::from(n) * 960, f64::from(n) * 960.0 + late(n));
            }
            reception.block(1, Instant::now()).unwrap().jitter
        };
        assert_eq!(jitter(|_| 0.0), 0);
        let uneven = jitter(|n| if n % 2 == 0 { 0.0 } else { 480.0 });
        assert!((400..=480).contains(&uneven), "{uneven}");
    }
}
