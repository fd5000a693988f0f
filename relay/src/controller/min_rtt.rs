//! The least of a value over the last one to two spans of time.

use std::time::{Duration, Instant};

/// A path that moved from cable to 5G is not measured against the cable for ever; and a queue
/// that somebody keeps full for a minute doesn't become the path.
pub const SPAN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
pub struct Minimum<T> {
    span: Duration,
    began: Instant,
    this: Option<T>,
    before: Option<T>,
}

impl<T: Ord + Copy> Minimum<T> {
    pub fn new(now: Instant, span: Duration) -> Self {
        Self { span, began: now, this: None, before: None }
    }

    pub fn sample(&mut self, now: Instant, value: T) {
        if now.saturating_duration_since(self.began) >= self.span {
            *self = Self { began: now, this: None, before: self.this, ..*self };
        }
        self.lower(value);
    }

    /// Takes a smaller value without letting older ones expire.
    pub fn lower(&mut self, value: T) {
        self.this = Some(self.this.map_or(value, |least| least.min(value)));
    }

    pub fn get(&self) -> Option<T> {
        match (self.this, self.before) {
            (Some(this), Some(before)) => Some(this.min(before)),
            (this, before) => this.or(before),
        }
    }
}
