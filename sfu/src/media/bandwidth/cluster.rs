//! What a probe showed: how fast its packets left and how fast they arrived.

/// So much of a probe must have arrived to say anything.
const ARRIVED: f64 = 0.6;

/// A probe needs this many packets that arrived; two are only a pair.
const PACKETS: u32 = 4;

/// The packets of one probe.
#[derive(Debug, Clone, Copy)]
pub struct Cluster {
    pub id: u8,
    last_number: u64,
    sent: Span,
    arrived: Span,
    /// Bytes of everything at the first arrival's and the last departure's instant, which the
    /// time between first and last does not include.
    sent_last: u64,
    arrived_first: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Span {
    first_us: i64,
    last_us: i64,
    bytes: u64,
    packets: u32,
}

impl Span {
    fn add(&mut self, at_us: i64, bytes: u16) {
        if self.packets == 0 {
            (self.first_us, self.last_us) = (at_us, at_us);
        }
        self.first_us = self.first_us.min(at_us);
        self.last_us = self.last_us.max(at_us);
        self.bytes += u64::from(bytes);
        self.packets += 1;
    }

    fn rate(&self, less: u64) -> Option<f64> {
        let span = self.last_us - self.first_us;
        (span > 0).then(|| self.bytes.saturating_sub(less) as f64 * 8e6 / span as f64)
    }
}

/// Both rates, in bit/s. What arrives faster than it was sent had waited behind something that
/// is gone by now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    pub sent: f64,
    /// `None` when too little arrived.
    pub arrived: Option<f64>,
}

impl Cluster {
    /// A probe nothing of which was sent.
    #[must_use]
    pub fn new(id: u8) -> Self {
        Self {
            id,
            last_number: 0,
            sent: Span::default(),
            arrived: Span::default(),
            sent_last: 0,
            arrived_first: 0,
        }
    }

    /// Counts a packet sent.
    pub fn on_sent(&mut self, number: u64, at_us: i64, bytes: u16) {
        if at_us != self.sent.last_us || self.sent.packets == 0 {
            self.sent_last = 0;
        }
        self.sent.add(at_us, bytes);
        self.sent_last += u64::from(bytes);
        self.last_number = number;
    }

    /// Counts a packet that arrived.
    pub fn on_arrived(&mut self, at_us: i64, bytes: u16) {
        if self.arrived.packets == 0 {
            self.arrived_first = u64::from(bytes);
        }
        self.arrived.add(at_us, bytes);
    }

    /// What it showed, once everything up to `reported` was heard of. `own_loss` is what the
    /// line loses anyway: as much of the probe may be missing without looking like a lower
    /// rate, but what is missing beyond that was too much for the line.
    #[must_use]
    pub fn outcome(&self, reported: u64, own_loss: f64) -> Option<Outcome> {
        if reported < self.last_number || self.sent.packets == 0 {
            return None;
        }
        let sent = self.sent.rate(self.sent_last)?;
        let (of, arrived) = (f64::from(self.sent.packets), f64::from(self.arrived.packets));
        let by_chance = of * own_loss + 2.0 * (of * own_loss * (1.0 - own_loss)).sqrt() + 1.0;
        let made_good = if of - arrived <= by_chance { of / arrived } else { 1.0 };
        let enough = arrived >= ARRIVED * of && self.arrived.packets >= PACKETS;
        let rate = self.arrived.rate(self.arrived_first).map(|rate| rate * made_good);
        let arrived = rate.filter(|_| enough);
        Some(Outcome { sent, arrived })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bursts of two packets every 5 ms into a line that takes `line` bit/s.
    fn probe(line: i64) -> Outcome {
        let mut cluster = Cluster::new(1);
        let mut free = 0;
        for n in 0..24 {
            let at = i64::from(n / 2) * 5_000;
            cluster.on_sent(n as u64, at, 1200);
            free = free.max(at) + 9_600_000_000 / line;
            cluster.on_arrived(free + 20_000, 1200);
        }
        assert_eq!(cluster.outcome(22, 0.0), None, "the last one was not heard of");
        cluster.outcome(23, 0.0).unwrap()
    }

    #[test]
    fn a_line_shows_its_rate_and_a_wider_one_the_rate_of_the_probe() {
        let narrow = probe(1_000_000);
        assert!((narrow.arrived.unwrap() - 1e6).abs() < 1e4, "{narrow:?}");
        let wide = probe(50_000_000);
        assert!((wide.sent - 3.84e6).abs() < 1e4, "{wide:?}");
        assert!(wide.arrived.unwrap() >= 0.95 * wide.sent, "{wide:?}");
    }

    #[test]
    fn what_a_line_loses_anyway_does_not_look_narrow_and_what_it_drops_does() {
        let through = |lost: u64, own_loss: f64| {
            let mut cluster = Cluster::new(1);
            for n in 0..40 {
                cluster.on_sent(n, n as i64 * 3_000, 1200);
                if n % 40 >= lost {
                    cluster.on_arrived(n as i64 * 3_000, 1200);
                }
            }
            let outcome = cluster.outcome(39, own_loss).unwrap();
            outcome.arrived.unwrap() / outcome.sent
        };
        assert!(through(5, 0.05) > 0.97);
        assert!(through(1, 0.0) > 0.97);
        let dropped = |lost: u64| {
            let mut cluster = Cluster::new(1);
            for n in 0..40 {
                cluster.on_sent(n, n as i64 * 3_000, 1200);
                if n % 4 >= lost || n == 39 {
                    cluster.on_arrived(n as i64 * 3_000, 1200);
                }
            }
            let outcome = cluster.outcome(39, 0.0).unwrap();
            outcome.arrived.unwrap() / outcome.sent
        };
        assert!(dropped(1) < 0.8);
    }

    #[test]
    fn a_probe_most_of_which_was_lost_shows_nothing() {
        let mut lost = Cluster::new(1);
        for n in 0..20 {
            lost.on_sent(n, n as i64 * 1000, 1200);
            if n % 2 == 0 {
                lost.on_arrived(n as i64 * 1000, 1200);
            }
        }
        assert_eq!(lost.outcome(19, 0.05).unwrap().arrived, None);
    }
}
