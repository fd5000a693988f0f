//! How much arrives: bytes the receiver acknowledged, by its own clock, over the last second.

/// Width of a bucket.
const BUCKET_US: i64 = 25_000;

/// Buckets kept: one second.
const BUCKETS: usize = 40;

/// Buckets of [`Throughput::recent`]: 150 ms are four or five frames; while a queue stands
/// arrivals have no gaps, and this is the line's rate.
const RECENT: usize = 6;

/// Less than this says nothing.
const SHORTEST_US: i64 = 100_000;

/// Acknowledged bytes in time.
#[derive(Debug)]
pub struct Throughput {
    buckets: [u32; BUCKETS],
    /// Number of the newest bucket since the receiver's clock began, and when in all of that
    /// the reckoning began and was last added to.
    newest: i64,
    begun_us: Option<i64>,
    last_us: i64,
}

impl Default for Throughput {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], newest: 0, begun_us: None, last_us: 0 }
    }
}

impl Throughput {
    /// Counts a packet.
    #[inline]
    pub fn add(&mut self, arrival_us: i64, bytes: u16) {
        let bucket = arrival_us.div_euclid(BUCKET_US);
        if self.begun_us.is_none() {
            *self = Self { begun_us: Some(arrival_us), newest: bucket, ..Self::default() };
            self.last_us = arrival_us;
        }
        let ahead = bucket - self.newest;
        if ahead > 0 {
            for n in 1..=ahead.min(BUCKETS as i64) {
                if let Some(bytes) = self.bucket(self.newest + n) {
                    *bytes = 0;
                }
            }
            self.newest = bucket;
        } else if ahead <= -(BUCKETS as i64) {
            return;
        }
        self.last_us = self.last_us.max(arrival_us);
        if let Some(sum) = self.bucket(bucket) {
            *sum = sum.saturating_add(u32::from(bytes));
        }
    }

    /// Begins anew: what arrived meanwhile is not known.
    pub fn reset(&mut self) {
        self.begun_us = None;
    }

    /// Bit/s over the last 150 ms.
    #[must_use]
    pub fn recent(&self) -> Option<f64> {
        self.over(RECENT)
    }

    /// Bit/s over the last second.
    #[must_use]
    pub fn steady(&self) -> Option<f64> {
        self.over(BUCKETS - 1)
    }

    fn over(&self, whole: usize) -> Option<f64> {
        let begun = self.begun_us?;
        let from = ((self.newest - whole as i64) * BUCKET_US).max(begun);
        let span = self.last_us - from;
        if span < SHORTEST_US {
            return None;
        }
        let sum: u64 = match whole + 1 {
            BUCKETS => self.buckets.iter().copied().map(u64::from).sum(),
            some => (0..some as i64)
                .filter_map(|back| self.buckets.get(slot(self.newest - back)))
                .copied()
                .map(u64::from)
                .sum(),
        };
        Some(sum as f64 * 8e6 / span as f64)
    }

    fn bucket(&mut self, number: i64) -> Option<&mut u32> {
        self.buckets.get_mut(slot(number))
    }
}

fn slot(number: i64) -> usize {
    number.rem_euclid(BUCKETS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_what_arrives_and_the_recent_one_follows_soon() {
        let mut rate = Throughput::default();
        for n in 0..500 {
            rate.add(n * 5_000, 1250);
        }
        let (recent, steady) = (rate.recent().unwrap(), rate.steady().unwrap());
        assert!((1.9e6..2.1e6).contains(&recent) && (1.9e6..2.1e6).contains(&steady));
        for n in 0..8 {
            rate.add(2_500_000 + n * 25_000, 1250);
        }
        let (recent, steady) = (rate.recent().unwrap(), rate.steady().unwrap());
        assert!((0.3e6..0.5e6).contains(&recent), "{recent}");
        assert!((1.5e6..1.9e6).contains(&steady), "{steady}");
    }

    #[test]
    fn a_moment_says_nothing_and_a_pause_counts_as_nothing() {
        let mut rate = Throughput::default();
        rate.add(-40, 1200);
        rate.add(0, 1200);
        assert_eq!(rate.recent(), None);
        rate.add(10_000_000, 1200);
        assert!(rate.steady().unwrap() < 10_000.0);
        rate.add(5_000_000, 1200);
        assert!(rate.steady().unwrap() < 10_000.0, "it came a pause too late");
        rate.reset();
        assert_eq!(rate.steady(), None);
        rate.add(i64::MAX / 2, 1200);
        rate.add(i64::MIN / 2, 1200);
    }
}
