//! How long to wait before the next attempt, as a value: chance goes in as an argument.

use std::time::Duration;

/// A school is back on the campus within seconds of its line.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);

/// When someone has to change a certificate, a program or a configuration first.
const LASTING: Duration = Duration::from_secs(30);

/// Attempts since the last connection that held.
#[derive(Debug, Default, Clone)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The connection held: begin anew.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure. `chance` in 0..1 spreads nodes that all lost the same
    /// campus: the wait is between half and all of what is due.
    pub fn after_failure(&mut self, chance: f64) -> Duration {
        let due = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        spread(due, chance)
    }

    /// The wait when the next attempt will most likely fail the same way.
    pub fn after_lasting_failure(&mut self, chance: f64) -> Duration {
        spread(LASTING, chance)
    }
}

fn spread(due: Duration, chance: f64) -> Duration {
    due.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_seconds() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.after_failure(1.0).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.after_failure(0.0).as_millis(), 125);
    }

    #[test]
    fn any_number_of_failures_is_waited_for_within_bounds() {
        let mut backoff = Backoff { failures: u32::MAX - 1 };
        for _ in 0..3 {
            let wait = backoff.after_failure(0.5);
            assert!((LONGEST / 2..=LONGEST).contains(&wait));
        }
        assert!(backoff.after_lasting_failure(0.0) >= LASTING / 2);
    }
}
