//! A token bucket: so many messages a second, and so many at once after a quiet time.

use std::time::Instant;

/// So many a second, and so many at once.
#[derive(Debug)]
pub struct Bucket {
    per_second: f64,
    size: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// A full one: `burst` at once, `per_second` in the long run.
    #[must_use]
    pub fn new(per_second: f64, burst: u32, now: Instant) -> Self {
        let size = f64::from(burst);
        Self { per_second, size, tokens: size, filled: now }
    }

    fn filled(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        (self.tokens + passed * self.per_second).min(self.size)
    }

    /// Whether there is one message's worth.
    #[must_use]
    pub fn has(&self, now: Instant) -> bool {
        self.filled(now) >= 1.0
    }

    /// Whether nothing was taken of late.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        self.filled(now) >= self.size
    }

    /// Takes one message's worth, if there is.
    pub fn take(&mut self, now: Instant) -> bool {
        self.tokens = self.filled(now);
        self.filled = now;
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_passes_and_then_only_the_rate_does() {
        let start = Instant::now();
        let mut bucket = Bucket::new(50.0, 100, start);
        let passed = (0..1000).filter(|_| bucket.take(start)).count();
        assert_eq!(passed, 100);
        let mut passed = 0;
        for ms in 1..=1000 {
            passed += usize::from(bucket.take(start + Duration::from_millis(ms)));
        }
        assert!((49..=50).contains(&passed), "{passed}");
        assert_eq!((0..200).filter(|_| bucket.take(start + Duration::from_secs(60))).count(), 100);
    }
}
