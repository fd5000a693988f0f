//! Numbers that count up and wrap: which came, which are missing.

/// How far behind the newest a number is still told from one that came before.
const WINDOW: u64 = 2048;
const WORDS: usize = (WINDOW / 64) as usize;

/// Numbers received, unwrapped to 64 bits.
#[derive(Debug, Clone)]
pub struct Received {
    highest: Option<u64>,
    seen: [u64; WORDS],
}

impl Default for Received {
    fn default() -> Self {
        Self { highest: None, seen: [0; WORDS] }
    }
}

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The first of all.
    First,
    /// Higher than any before; so many between it and them are missing.
    Ahead { missing: u64 },
    /// One of those that were missing.
    Late,
    /// Again, or so late that it can't be told.
    Again,
}

impl Received {
    /// The newest, unwrapped.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Unwraps 16 bits to the nearest of what was received.
    #[inline]
    #[must_use]
    pub fn unwrap(&self, number: u16) -> u64 {
        match self.highest {
            // Room below for what was sent before and comes after.
            None => u64::from(number) + (1 << 16),
            Some(highest) => {
                highest.wrapping_add_signed(i64::from(number.wrapping_sub(highest as u16) as i16))
            }
        }
    }

    /// Notes a number.
    #[inline]
    pub fn take(&mut self, number: u64) -> Came {
        let Some(highest) = self.highest else {
            self.highest = Some(number);
            self.mark(number);
            return Came::First;
        };
        if number > highest {
            let missing = number - highest - 1;
            for skipped in (highest + 1..number).rev().take(WINDOW as usize) {
                self.seen[(skipped / 64) as usize % WORDS] &= !(1 << (skipped % 64));
            }
            self.highest = Some(number);
            self.mark(number);
            return Came::Ahead { missing };
        }
        let bit = 1 << (number % 64);
        let word = &mut self.seen[(number / 64) as usize % WORDS];
        if highest - number >= WINDOW || *word & bit != 0 {
            return Came::Again;
        }
        *word |= bit;
        Came::Late
    }

    fn mark(&mut self, number: u64) {
        self.seen[(number / 64) as usize % WORDS] |= 1 << (number % 64);
    }
}

/// How many of the numbers of a span of time came.
#[derive(Debug, Clone, Default)]
pub struct Share {
    received: Received,
    /// The first number that counts.
    from: Option<u64>,
    /// The first that does not any more.
    until: Option<u64>,
    counted: u64,
    /// Of what was counted before the numbers began anew.
    before: Count,
}

/// Numbers there should be, and how many of them came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    pub expected: u64,
    pub came: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.expected += other.expected;
        self.came += other.came;
    }
}

impl Share {
    /// Notes a number.
    #[inline]
    pub fn take(&mut self, number: u64) -> Came {
        let came = self.received.take(number);
        if came == Came::Again {
            return came;
        }
        let from = *self.from.get_or_insert(number);
        if number >= from && self.until.is_none_or(|until| number < until) {
            self.counted += 1;
        }
        came
    }

    /// All that was received.
    #[must_use]
    pub fn received(&self) -> &Received {
        &self.received
    }

    /// The span begins: what comes counts.
    pub fn begin(&mut self) {
        self.from = self.received.highest().map(|highest| highest + 1);
        self.until = None;
        self.counted = 0;
        self.before = Count::default();
    }

    /// The span ends; what is late of it still counts.
    pub fn end(&mut self) {
        self.until = Some(self.received.highest().map_or(0, |highest| highest + 1));
    }

    /// The numbers begin anew: another source.
    pub fn restart(&mut self) {
        let ended = self.until.is_some();
        let before = self.count();
        *self = Self { before, ..Self::default() };
        if ended {
            // Nothing of the new source counts.
            self.until = Some(0);
        }
    }

    #[must_use]
    pub fn count(&self) -> Count {
        let mut count = self.before;
        let end = self.until.or_else(|| self.received.highest().map(|highest| highest + 1));
        if let (Some(from), Some(end)) = (self.from, end) {
            count += Count { expected: end.saturating_sub(from), came: self.counted };
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_unwrap_and_come_once() {
        let mut received = Received::default();
        let mut take = |n: u16| {
            let number = received.unwrap(n);
            received.take(number)
        };
        assert_eq!(take(65_534), Came::First);
        assert_eq!(take(1), Came::Ahead { missing: 2 });
        assert_eq!(take(65_535), Came::Late);
        assert_eq!(take(65_535), Came::Again);
        assert_eq!(take(1), Came::Again);
        assert_eq!(take(0), Came::Late);
        assert_eq!(take(5000), Came::Ahead { missing: 4998 });
        assert_eq!(take(1), Came::Again, "too late to tell");
        assert_eq!(take(4000), Came::Late);
    }

    #[test]
    fn a_share_counts_what_belongs_to_its_span() {
        let mut share = Share::default();
        (0..10).for_each(|n| assert_ne!(share.take(n), Came::Again));
        assert_eq!(share.count(), Count { expected: 10, came: 10 });
        share.begin();
        for n in [10, 12, 13, 15] {
            share.take(n);
        }
        assert_eq!(share.take(12), Came::Again);
        share.end();
        share.take(14);
        share.take(16);
        assert_eq!(share.count(), Count { expected: 6, came: 5 });
    }

    #[test]
    fn another_source_is_counted_by_its_own_numbers() {
        let mut share = Share::default();
        share.take(100);
        share.begin();
        share.take(101);
        share.take(103);
        share.restart();
        share.take(7);
        share.take(8);
        assert_eq!(share.count(), Count { expected: 5, came: 4 });
    }
}
