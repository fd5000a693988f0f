//! When the conditions of a line change.

use super::conditions::Change;
use super::profile::Course;
use std::time::{Duration, Instant};

/// What happens to a line at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    Change(Change),
    Cut,
    Mend,
    /// Everything is as it was at the beginning.
    Again,
}

/// The steps of a line in order, over and over when it repeats.
#[derive(Debug)]
pub(super) struct Timeline {
    steps: Vec<(Duration, Step)>,
    next: usize,
    start: Instant,
}

impl Timeline {
    pub fn new(course: &Course, repeat: Option<Duration>, start: Instant) -> Self {
        let changes = course.changes.iter().map(|(at, change)| (*at, Step::Change(*change)));
        let outages = course
            .outages
            .iter()
            .flat_map(|outage| [(outage.at, Step::Cut), (outage.at + outage.length, Step::Mend)]);
        let mut steps: Vec<_> = changes.chain(outages).collect();
        steps.sort_by_key(|(at, _)| *at);
        steps.extend(repeat.map(|after| (after, Step::Again)));
        Self { steps, next: 0, start }
    }

    /// When the next step is.
    pub fn peek(&self) -> Option<Instant> {
        self.steps.get(self.next).map(|(at, _)| self.start + *at)
    }

    /// The next step, when it is due.
    pub fn take(&mut self, now: Instant) -> Option<Step> {
        let (after, step) = *self.steps.get(self.next)?;
        if self.start + after > now {
            return None;
        }
        self.next += 1;
        if step == Step::Again {
            self.start += after;
            self.next = 0;
        }
        Some(step)
    }
}
