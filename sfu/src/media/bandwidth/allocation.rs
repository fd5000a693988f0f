//! Which layers of which lines a viewer gets of what his path takes, by teaching priority.
//!
//! Down at once, with a small margin so that a rate that is only just met is not given up; up
//! only after it has fitted, with room to spare, for a while, and later after each time that
//! turned out to be a mistake. Of one priority all lines get a step before one gets two.
//! A step down takes temporal layers before spatial ones, as the steps are ordered.

use super::probe::Wanted;
use crate::media::layers::Target;
use std::cmp::{Ordering, Reverse};
use std::time::{Duration, Instant};

/// What matters more in a lesson comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Never paused, whatever the estimate says.
    TeacherAudio,
    /// Whoever else is heard.
    Audio,
    /// Slides, board, screen.
    Screen,
    TeacherCamera,
    /// A member or a class on the stage.
    CalledMember,
    ClassView,
}

impl Priority {
    /// The first comes first.
    pub const ALL: [Priority; 6] = [
        Priority::TeacherAudio,
        Priority::Audio,
        Priority::Screen,
        Priority::TeacherCamera,
        Priority::CalledMember,
        Priority::ClassView,
    ];
}

/// One way to show a source, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub target: Target,
    /// Bit/s with everything it is built on.
    pub rate: u64,
}

/// One line of a viewer and what it might show.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Names what is bound to the line: another number is another source.
    pub source: u32,
    pub priority: Priority,
    /// From the humblest to the best the viewer has a use for; within an encoding temporal
    /// layers first, then spatial ones. Empty when there is nothing to show.
    pub steps: &'a [Step],
}

/// Why a line gets no more than it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It has the best there is.
    Best,
    /// There is nothing to show.
    Nothing,
    /// The path takes no more.
    Path,
    /// More seems to fit, and will be given when it has done so for long enough.
    Settling,
}

/// What a line gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// `None`: paused.
    pub target: Option<Target>,
    /// Bit/s it takes.
    pub rate: u64,
    pub reason: Reason,
}

/// All a viewer gets, beside the grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Bit/s of all grants.
    pub granted: u64,
    /// What it would take to give more; `None` when more is of no use now.
    pub wanted: Option<Wanted>,
}

/// What a line shows is kept as long as this share of its rate fits, in percent.
const KEEP: u64 = 95;

/// For so long after it went over to something else, this share will do: the keyframe it began
/// with is in what was measured of it, and in the queue it met. Where the line takes it, that is
/// what is left after a queue was drained.
const YOUNG: Duration = Duration::from_secs(2);
const KEEP_YOUNG: u64 = 85;

/// What it does not show yet must fit with so much to spare, in percent …
const SPARE: u64 = 115;
/// … for so long, or for so long when it shows nothing.
const SETTLE: Duration = Duration::from_secs(1);
const SETTLE_PAUSED: Duration = Duration::from_millis(300);

/// What fits with this much more to spare, in percent, needs no proof.
const EASILY: u64 = 105;

/// A step up that was taken back within this was a mistake …
const MISTAKE: Duration = Duration::from_secs(10);
/// … and is not made again, nor a greater one, unless it fits with half as much again to spare,
/// before this has passed: after the first, second … mistake.
const SURE: u64 = 150;
const PENALTIES: [Duration; 3] =
    [Duration::from_secs(4), Duration::from_secs(16), Duration::from_secs(60)];

/// A line that has kept what it was raised to for so long has no mistakes held against it.
const FORGIVEN: Duration = Duration::from_secs(60);

/// What is remembered of a line.
#[derive(Debug, Clone, Copy)]
struct Line {
    source: u32,
    /// What it shows; meaningless before the first grant.
    target: Option<Target>,
    granted: bool,
    /// Since when more has fitted.
    fits: Option<Instant>,
    raised: Option<Instant>,
    /// When it went over to what it shows, and whether that was a moment ago.
    turned: Option<Instant>,
    young: bool,
    mistakes: u8,
    /// Steps of this rate or more were a mistake, and count as one until then.
    barred: Option<(u64, Instant)>,
    /// Scratch of one allocation: the step shown now, the one chosen, and the best allowed.
    /// A step is counted from 1; 0 is pause.
    current: usize,
    chosen: usize,
    allowed: usize,
}

impl Line {
    fn new(source: u32) -> Self {
        Self {
            source,
            target: None,
            granted: false,
            fits: None,
            raised: None,
            turned: None,
            young: false,
            mistakes: 0,
            barred: None,
            current: 0,
            chosen: 0,
            allowed: 0,
        }
    }

    /// What a step counts for against the estimate: keeping is cheaper than gaining.
    fn cost(&self, steps: &[Step], step: usize) -> u64 {
        let rate = step_rate(steps, step);
        let share = match step.cmp(&self.current) {
            _ if !self.granted => 100,
            Ordering::Less => 100,
            Ordering::Equal if self.young => KEEP_YOUNG,
            Ordering::Equal => KEEP,
            Ordering::Greater => return self.price(steps, step),
        };
        percent_of(rate, share)
    }

    /// What must be known to fit before a step is gained.
    fn price(&self, steps: &[Step], step: usize) -> u64 {
        let rate = step_rate(steps, step);
        let barred = self.barred.is_some_and(|(least, _)| rate >= least);
        percent_of(rate, if barred { SURE } else { SPARE })
    }

    /// Takes note of what was chosen. `rate` is that of what was shown.
    fn settle(&mut self, target: Option<Target>, rate: u64, now: Instant) {
        if self.granted && self.chosen < self.current {
            let mistake = self.raised.is_some_and(|at| now - at < MISTAKE);
            if mistake {
                let penalty = PENALTIES.get(usize::from(self.mistakes)).or(PENALTIES.last());
                self.barred = penalty.map(|penalty| (rate, now + *penalty));
                self.mistakes = self.mistakes.saturating_add(1);
            }
            self.raised = None;
        } else if self.granted && self.chosen > self.current {
            self.raised = Some(now);
        }
        if self.raised.is_some_and(|at| now - at >= FORGIVEN) {
            self.mistakes = 0;
        }
        if self.chosen != self.current {
            self.fits = None;
            self.turned = Some(now);
        }
        self.target = target;
    }
}

/// The allocation of one viewer: remembers what each line shows, by its place.
#[derive(Debug, Default)]
pub struct Allocation {
    lines: Vec<Line>,
}

impl Allocation {
    /// Divides `estimate` bit/s among the lines, which are given in the same order every time;
    /// writes one grant for each. Wanted some times a second, and when the wishes change.
    pub fn allocate(
        &mut self,
        estimate: u64,
        wishes: &[Wish<'_>],
        now: Instant,
        grants: &mut Vec<Grant>,
    ) -> Outlook {
        self.meet(wishes, now);
        // What would be given if all went up at once that fits …
        self.fill(estimate, wishes, |_, wish| wish.steps.len());
        for line in &mut self.lines {
            let rises = line.granted && line.chosen > line.current;
            line.fits = if rises { line.fits.or(Some(now)) } else { None };
        }
        // … and what is given, as some of it has to wait.
        let settled = |line: &Line| {
            let settle = if line.current == 0 { SETTLE_PAUSED } else { SETTLE };
            line.fits.is_some_and(|at| now - at >= settle)
        };
        for (line, wish) in self.lines.iter_mut().zip(wishes) {
            let free = !line.granted || settled(line);
            line.allowed = if free { wish.steps.len() } else { line.current };
        }
        self.fill(estimate, wishes, |line, _| line.allowed);
        let wanted = self.wanted(estimate, wishes);
        grants.clear();
        let mut granted = 0;
        for (line, wish) in self.lines.iter_mut().zip(wishes) {
            let step = line.chosen.checked_sub(1).and_then(|at| wish.steps.get(at));
            let target = step.map(|s| s.target);
            line.settle(target, percent_of(step_rate(wish.steps, line.current), KEEP), now);
            line.granted = !wish.steps.is_empty();
            let reason = match line.chosen {
                _ if wish.steps.is_empty() => Reason::Nothing,
                chosen if chosen == wish.steps.len() => Reason::Best,
                _ if line.fits.is_some() => Reason::Settling,
                _ => Reason::Path,
            };
            let rate = step.map_or(0, |s| s.rate);
            granted += rate;
            grants.push(Grant { target, rate, reason });
        }
        Outlook { granted, wanted }
    }

    /// Finds each line's place among its wish's steps. A line with another source, or whose
    /// layer is gone, begins anew.
    fn meet(&mut self, wishes: &[Wish<'_>], now: Instant) {
        self.lines.resize_with(wishes.len(), || Line::new(u32::MAX));
        for (line, wish) in self.lines.iter_mut().zip(wishes) {
            if line.source != wish.source {
                *line = Line::new(wish.source);
            }
            line.barred = line.barred.filter(|(_, until)| now < *until);
            line.young = line.turned.is_some_and(|at| now - at < YOUNG);
            line.current = match line.target {
                None => 0,
                Some(target) => match wish.steps.iter().position(|s| s.target == target) {
                    Some(at) => at + 1,
                    None => {
                        *line = Line::new(wish.source);
                        0
                    }
                },
            };
        }
    }

    /// Chooses a step for each line, no better than `ceiling` says.
    fn fill(
        &mut self,
        estimate: u64,
        wishes: &[Wish<'_>],
        ceiling: impl Fn(&Line, &Wish<'_>) -> usize,
    ) {
        for line in &mut self.lines {
            line.chosen = 0;
        }
        let mut left = estimate;
        for priority in Priority::ALL {
            if priority == Priority::TeacherAudio {
                for (line, wish) in self.lines.iter_mut().zip(wishes) {
                    if wish.priority == priority && !wish.steps.is_empty() {
                        line.chosen = 1;
                        left = left.saturating_sub(line.cost(wish.steps, 1));
                    }
                }
            }
            while let Some((at, step)) = self.next_raise(left, wishes, priority, &ceiling) {
                let (Some(line), Some(wish)) = (self.lines.get_mut(at), wishes.get(at)) else {
                    break;
                };
                // A better step may be the cheaper one.
                left = left.saturating_add(line.cost(wish.steps, line.chosen));
                left = left.saturating_sub(line.cost(wish.steps, step));
                line.chosen = step;
            }
        }
    }

    /// The line of this priority to be raised next: the humblest, of several the one that
    /// showed most before. And the next of its steps that fits.
    fn next_raise(
        &self,
        left: u64,
        wishes: &[Wish<'_>],
        priority: Priority,
        ceiling: impl Fn(&Line, &Wish<'_>) -> usize,
    ) -> Option<(usize, usize)> {
        let of_it = self.lines.iter().zip(wishes).enumerate();
        let of_it = of_it.filter(|(_, (_, wish))| wish.priority == priority);
        let raises = of_it.filter_map(|(at, (line, wish))| {
            let room = left.saturating_add(line.cost(wish.steps, line.chosen));
            let mut steps = line.chosen + 1..=ceiling(line, wish);
            let step = steps.find(|step| line.cost(wish.steps, *step) <= room)?;
            Some((line.chosen, Reverse(line.current), at, step))
        });
        raises.min().map(|(_, _, at, step)| (at, step))
    }

    /// What the most important line that could be better would take. Others of lower priority
    /// are not counted: they give way.
    fn wanted(&self, estimate: u64, wishes: &[Wish<'_>]) -> Option<Wanted> {
        for priority in Priority::ALL {
            let lines = || self.lines.iter().zip(wishes);
            let used: u64 = lines()
                .filter(|(_, wish)| wish.priority <= priority)
                .map(|(line, wish)| line.cost(wish.steps, line.chosen))
                .sum();
            let wishes = lines().filter(|(_, wish)| wish.priority == priority);
            let wishes = wishes.filter_map(|(line, wish)| {
                let rest = used - line.cost(wish.steps, line.chosen);
                let cost = |step: usize| rest + line.price(wish.steps, step);
                let best = wish.steps.len();
                let next = (line.chosen + 1..=best).map(cost).min()?;
                Some(Wanted { next, best: cost(best) })
            });
            if let Some(wanted) = wishes.min_by_key(|w| (w.next, w.best)) {
                // What fits easily only has to settle; what just fits may not do so for long.
                return (percent_of(wanted.next, EASILY) > estimate).then_some(wanted);
            }
        }
        None
    }
}

fn percent_of(rate: u64, percent: u64) -> u64 {
    rate.saturating_mul(percent) / 100
}

fn step_rate(steps: &[Step], step: usize) -> u64 {
    step.checked_sub(1).and_then(|at| steps.get(at)).map_or(0, |s| s.rate)
}

#[cfg(test)]
#[path = "allocation_tests.rs"]
mod tests;
