//! Which of what a trunk was asked for crosses it, and in which form: a value, told what the
//! path takes and what each track's forms take, that says what each track is to be.
//!
//! Sound goes first. What is left is divided between the lessons on the trunk, evenly as far as
//! each has a use for it, and within a lesson by what matters in teaching: slides before the
//! teacher's picture, that before who was called up, that before the class. A track comes down
//! its ladder step by step: all of it, a smaller encoding, keyframes alone, nothing.
//!
//! Down at once, with a small margin so that a rate that is only just met is not given up; up
//! only after it has fitted, with room to spare, for a while, and later after each time that
//! turned out to be a mistake. Nothing here knows a trunk, a clock or a task.

use crate::media::{Offer, Priority, Showing, Step};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// One form a track can be sent in, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    pub showing: Showing,
    /// Bit/s on the line.
    pub rate: u64,
}

/// A track the other end asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Names the track on this trunk.
    pub flow: u64,
    /// Tells the lessons apart.
    pub lesson: usize,
    pub priority: Priority,
    /// From the humblest to the best. Empty when there is nothing to send.
    pub forms: &'a [Form],
}

/// What there is to divide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// What the path takes, in bit/s.
    pub estimate: u64,
    /// What lessons may take of the site's line, whatever it could carry.
    pub cap: Option<u64>,
}

/// Why a track is no better than it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is all there is.
    Best,
    /// There is nothing to send.
    Nothing,
    /// More seems to fit, and will be given when it has done so for long enough.
    Settling,
    /// The site allows lessons no more.
    Cap,
    /// The path takes no more.
    Path,
}

/// What a track gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    pub showing: Showing,
    /// Bit/s it takes.
    pub rate: u64,
    pub reason: Reason,
    /// It gets less than before.
    pub down: bool,
}

/// All that is granted, beside the grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Bit/s of all grants.
    pub granted: u64,
    /// Bit/s the path must be known to take before the next better forms are given; 0 when more
    /// would be of no use now.
    pub wanted: u64,
}

/// What is sent already may take a little more than the estimate, which wavers; in percent.
/// What begins leaves a tenth of it for bursts and for what is sent again, and so do pictures that
/// stand and the smallest that moves.
const KEEP: u64 = 108;
const BEGIN: u64 = 90;

/// Any other form that is not sent yet must fit into so much of it …
const GAIN: u64 = 80;
/// … for so long, or for so long when nothing of the track is sent.
const SETTLE: Duration = Duration::from_millis(1500);
const SETTLE_OFF: Duration = Duration::from_millis(500);

/// A line that has just become narrow is underestimated for a moment, until what stood before it
/// is through. So long the smallest moving picture is kept that fits into so much of the
/// estimate; not beside a screen, whose stills it would delay.
const PATIENCE: Duration = Duration::from_secs(3);
const PATIENTLY: u64 = 250;

/// Stills of a screen, the humblest, come less often where the line takes no more: they are given
/// as long as they and sound fit into so much of the estimate, in percent, and begin with so much.
const STILLS_AT_LEAST: u64 = 250;
const STILLS_BEGIN: u64 = 200;

/// A step up that was taken back within this was a mistake …
const MISTAKE: Duration = Duration::from_secs(20);
/// … and is not made again, nor a greater one, before this has passed: after the first, second …
/// mistake. After half of it, it may be made where there is plenty.
const PENALTIES: [Duration; 3] =
    [Duration::from_secs(4), Duration::from_secs(16), Duration::from_secs(60)];
const PLENTY: u64 = 55;

/// So many forms ahead the path is tried, so that each step up need not wait for a try of its own.
/// A line that is full is noticed as soon however much was wanted.
const AHEAD: usize = 2;

/// A track that has kept what it was raised to for so long has no mistakes held against it.
const FORGIVEN: Duration = Duration::from_secs(60);

/// What a form took lately is what is expected of it: half of a peak is forgotten in so long.
const PEAK_HALF: Duration = Duration::from_secs(5);

/// A voice takes so much when it speaks, whatever it takes while it is silent (Opus with its
/// headers, bit/s).
const VOICE: u64 = 50_000;
/// What sound takes on a trunk more than to a viewer, in percent: some of it is sent twice.
const SOUND_ON_LINE: u64 = 110;

/// What is assumed of an encoding that was not measured yet: of the humblest, and of the best.
const ASSUMED: [u64; 2] = [150_000, 1_000_000];

/// The forms in which a track that matters so much can be sent, from the humblest to the best.
/// `most` is the best encoding the other end has a use for, and the most bit/s.
#[must_use]
pub fn forms(priority: Priority, offer: &Offer, most: (Option<u8>, Option<u64>)) -> Vec<Form> {
    let percent = |rate: u64| percent_of(rate.max(VOICE), SOUND_ON_LINE);
    if matches!(priority, Priority::TeacherAudio | Priority::Audio) {
        let sound = |s: &Step| Form { showing: Showing::Layers(s.target), rate: percent(s.rate) };
        return offer.steps.iter().map(sound).collect();
    }
    let mut forms = Vec::with_capacity(offer.steps.len() + 2);
    // Writing is read from pictures that stand; a face that stands is better than none. Of a
    // class's view a picture now and then says nothing.
    let stills = match priority {
        Priority::Screen => {
            offer.stills.first().into_iter().chain(offer.stills.get(1..).and_then(<[_]>::last))
        }
        Priority::TeacherCamera | Priority::CalledMember => {
            offer.stills.first().into_iter().chain(None)
        }
        _ => None.into_iter().chain(None),
    };
    forms.extend(stills.map(|s| Form { showing: Showing::Stills(s.encoding), rate: s.rate }));
    let known = offer.steps.iter().all(|s| s.rate > 0);
    let steps = if known {
        offer.steps.clone()
    } else {
        let ends =
            offer.steps.first().into_iter().chain(offer.steps.get(1..).and_then(<[_]>::last));
        ends.zip(ASSUMED).map(|(s, rate)| Step { rate: s.rate.max(rate), ..*s }).collect()
    };
    let (encoding, rate) = most;
    let humble = |n: usize, s: &Step| {
        let small = encoding.is_none_or(|e| s.target.encoding <= e || s.target.encoding == u8::MAX);
        n == 0 || small && rate.is_none_or(|r| s.rate <= r)
    };
    let steps = steps.iter().enumerate().filter(|(n, s)| humble(*n, s));
    forms.extend(steps.map(|(_, s)| Form { showing: Showing::Layers(s.target), rate: s.rate }));
    forms
}

/// What is remembered of a track.
#[derive(Debug, Clone, Default)]
struct Line {
    /// What it is; meaningless before the first grant.
    showing: Option<Showing>,
    granted: bool,
    /// Since when more has fitted, and since when not even the smallest moving picture has.
    fits: Option<Instant>,
    short: Option<Instant>,
    raised: Option<Instant>,
    mistakes: usize,
    /// Forms of this rate or more were a mistake, and are barred so long from then on.
    barred: Option<(u64, Instant, Duration)>,
    /// What each form took lately.
    peaks: Vec<(Showing, u64)>,
    /// Scratch of one allocation: the form that is sent now, the one chosen and the best
    /// allowed, counted from 1; 0 is nothing.
    current: usize,
    chosen: usize,
    allowed: usize,
    /// Counted like those, the smallest form that moves; and whether it is kept for now.
    moving: usize,
    patient: bool,
    /// Its stills are what is read.
    read: bool,
}

impl Line {
    /// What share of the estimate may be filled for the sake of a form, in percent; `None`: it
    /// is out of the question now.
    fn share(&self, forms: &[Form], form: usize, now: Instant) -> Option<u64> {
        if self.read && form == 1 {
            let begins = self.current == 0;
            let share = if begins { STILLS_BEGIN } else { STILLS_AT_LEAST };
            return (!begins || self.barred.is_none()).then_some(share);
        }
        if !self.granted {
            return Some(BEGIN);
        }
        if form <= self.current {
            let patient = self.patient && form == self.moving;
            return Some(if patient { PATIENTLY } else { KEEP });
        }
        match self.barred {
            Some((least, since, penalty)) if rate(forms, form) >= least => {
                (now - since >= penalty / 2).then_some(PLENTY)
            }
            _ if form <= self.moving => Some(BEGIN),
            _ => Some(GAIN),
        }
    }

    /// What a form takes: of one that is not sent yet what it took at its peak.
    fn rate(&self, forms: &[Form], form: usize) -> u64 {
        let now = rate(forms, form);
        if !self.granted || form <= self.current {
            return now;
        }
        let showing = form.checked_sub(1).and_then(|at| forms.get(at)).map(|f| f.showing);
        let peak = self.peaks.iter().find(|(s, _)| Some(*s) == showing).map_or(0, |(_, p)| *p);
        now.max(peak)
    }

    /// Finds the track's place among its forms, and takes note of what they take.
    fn meet(&mut self, wish: &Wish<'_>, passed: Duration, now: Instant) {
        let forms = wish.forms;
        self.barred = self.barred.filter(|(_, since, penalty)| now - *since < *penalty);
        self.current = match self.showing {
            Some(Showing::Off) | None => 0,
            Some(showing) => match forms.iter().position(|f| f.showing == showing) {
                Some(at) => at + 1,
                // What it was is gone: it begins anew.
                None => {
                    self.granted = false;
                    0
                }
            },
        };
        self.moving = stills(forms) + 1;
        self.patient = false;
        self.read = wish.priority == Priority::Screen && self.moving > 1;
        let kept = 0.5f64.powf(passed.as_secs_f64() / PEAK_HALF.as_secs_f64());
        self.peaks = forms
            .iter()
            .map(|form| {
                let before = self.peaks.iter().find(|(s, _)| *s == form.showing).map(|(_, p)| *p);
                let held = before.map_or(0, |b| (b as f64 * kept) as u64);
                (form.showing, held.max(form.rate))
            })
            .collect();
    }

    /// Takes note of what was chosen.
    fn settle(&mut self, forms: &[Form], now: Instant) {
        if self.granted && self.chosen < self.current {
            if self.raised.is_some_and(|at| now - at < MISTAKE) {
                let penalty = PENALTIES.get(self.mistakes).or(PENALTIES.last());
                // Its rate wavers.
                let least = rate(forms, self.current) / 100 * 90;
                self.barred = penalty.map(|penalty| (least, now, *penalty));
                self.mistakes += 1;
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
        }
        let form = self.chosen.checked_sub(1).and_then(|at| forms.get(at));
        self.showing = Some(form.map_or(Showing::Off, |f| f.showing));
        self.granted = !forms.is_empty();
    }

    /// Whether what has fitted for a while may be given.
    fn settled(&self, now: Instant) -> bool {
        let settle = if self.current == 0 { SETTLE_OFF } else { SETTLE };
        self.fits.is_some_and(|at| now - at >= settle)
    }
}

/// A form that a picture can be raised to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Raise {
    tier: u8,
    form: usize,
    at: usize,
}

/// In which order pictures get better: first what is read and who teaches, if only as pictures
/// that stand; then the screen as it moves; then each who matters a small moving picture, and
/// last the large ones.
fn tier(priority: Priority, forms: &[Form], form: usize) -> u8 {
    let stills = stills(forms);
    let (stands, first) = (form <= stills, form == stills + 1);
    match priority {
        Priority::TeacherAudio | Priority::Audio => 0,
        Priority::Screen if stands => 0,
        Priority::TeacherCamera if stands => 1,
        Priority::Screen => 2,
        Priority::TeacherCamera if first => 3,
        Priority::CalledMember if stands || first => 4,
        Priority::TeacherCamera => 5,
        Priority::CalledMember => 6,
        Priority::ClassView if first => 7,
        Priority::ClassView => 8,
    }
}

/// The allocation of one trunk in one direction.
#[derive(Debug, Default)]
pub struct Allocation {
    lines: HashMap<u64, Line>,
    before: Option<Instant>,
}

impl Allocation {
    /// Divides the budget among the tracks and writes one grant for each. Wanted some times a
    /// second, and when the wishes or the path change.
    pub fn allocate(
        &mut self,
        budget: Budget,
        wishes: &[Wish<'_>],
        now: Instant,
        grants: &mut Vec<Grant>,
    ) -> Outlook {
        let passed = self.before.map_or(Duration::ZERO, |b| now.saturating_duration_since(b));
        self.before = Some(now);
        let mut before = std::mem::take(&mut self.lines);
        let lines: Vec<Line> = wishes
            .iter()
            .map(|wish| {
                let mut line = before.remove(&wish.flow).unwrap_or_default();
                line.meet(wish, passed, now);
                line
            })
            .collect();
        let mut division = Division::new(wishes, lines, now);
        let cap = budget.cap.unwrap_or(u64::MAX);
        let rate = budget.estimate.min(cap);
        // What would be given if all went up at once that fits …
        division.fill(rate, |_, wish| wish.forms.len());
        for line in &mut division.lines {
            let rises = line.granted && line.chosen > line.current;
            line.fits = if rises { line.fits.or(Some(now)) } else { None };
        }
        // … and what is given, as some of it has to wait.
        division.fill(rate, |line, wish| {
            let free = !line.granted || line.settled(now);
            if free { wish.forms.len() } else { line.current }
        });
        if division.lose_patience(now) {
            division.fill(rate, |line, _| line.allowed);
        }
        let capped = cap <= budget.estimate;
        let wanted = if capped { 0 } else { division.wanted().min(cap) };
        let wanted = if wanted > rate { wanted } else { 0 };
        grants.clear();
        let mut granted = 0;
        for (line, wish) in division.lines.iter_mut().zip(wishes) {
            let down = line.granted && line.chosen < line.current;
            line.settle(wish.forms, now);
            let form = line.chosen.checked_sub(1).and_then(|at| wish.forms.get(at));
            let reason = match line.chosen {
                _ if wish.forms.is_empty() => Reason::Nothing,
                chosen if chosen == wish.forms.len() => Reason::Best,
                _ if line.fits.is_some() => Reason::Settling,
                _ if capped => Reason::Cap,
                _ => Reason::Path,
            };
            let (showing, rate) = form.map_or((Showing::Off, 0), |f| (f.showing, f.rate));
            granted += rate;
            grants.push(Grant { showing, rate, reason, down });
        }
        self.lines = wishes.iter().map(|w| w.flow).zip(division.lines).collect();
        Outlook { granted, wanted }
    }
}

/// One allocation under way.
struct Division<'a> {
    wishes: &'a [Wish<'a>],
    lines: Vec<Line>,
    now: Instant,
    /// Of each lesson on the trunk, in the order in which they are served, what its pictures
    /// can be raised to, what matters most first.
    lessons: Vec<(usize, Vec<Raise>)>,
}

impl<'a> Division<'a> {
    fn new(wishes: &'a [Wish<'a>], lines: Vec<Line>, now: Instant) -> Self {
        let mut lessons: Vec<(usize, Vec<Raise>)> = Vec::new();
        for (at, wish) in wishes.iter().enumerate().filter(|(_, w)| !is_sound(w)) {
            let raises = (1..=wish.forms.len()).map(|form| Raise {
                tier: tier(wish.priority, wish.forms, form),
                form,
                at,
            });
            match lessons.iter_mut().find(|(lesson, _)| *lesson == wish.lesson) {
                Some((_, all)) => all.extend(raises),
                None => lessons.push((wish.lesson, raises.collect())),
            }
        }
        for (_, raises) in &mut lessons {
            raises.sort_unstable();
        }
        let mut division = Self { wishes, lines, now, lessons };
        // What is left over goes first to who has had most: it stays where it was.
        let mut lessons = std::mem::take(&mut division.lessons);
        lessons.sort_by_key(|(lesson, _)| std::cmp::Reverse(division.has(*lesson)));
        division.lessons = lessons;
        division
    }

    /// What a lesson's pictures take now.
    fn has(&self, lesson: usize) -> u64 {
        let of_it = self.wishes.iter().zip(&self.lines).filter(|(w, _)| w.lesson == lesson);
        of_it.filter(|(w, _)| !is_sound(w)).map(|(w, l)| rate(w.forms, l.current)).sum()
    }

    /// Chooses a form for each track, no better than `ceiling` says.
    fn fill(&mut self, budget: u64, ceiling: impl Fn(&Line, &Wish<'_>) -> usize) {
        for (line, wish) in self.lines.iter_mut().zip(self.wishes) {
            line.allowed = ceiling(line, wish);
            line.chosen = 0;
        }
        let (mut spent, now) = (0u64, self.now);
        for sound in [Priority::TeacherAudio, Priority::Audio] {
            for (line, wish) in self.lines.iter_mut().zip(self.wishes) {
                if wish.priority != sound || wish.forms.is_empty() {
                    continue;
                }
                let share = line.share(wish.forms, 1, now).filter(|_| line.allowed > 0);
                let then = spent.saturating_add(line.rate(wish.forms, 1));
                // The teacher is heard whatever the estimate says.
                if sound == Priority::TeacherAudio
                    || share.is_some_and(|s| then <= percent_of(budget, s))
                {
                    line.chosen = 1;
                    spent = then;
                }
            }
        }
        let lessons = std::mem::take(&mut self.lessons);
        // Evenly, again and again, until less than a step of everybody's is left; that goes to
        // who can make a step of it.
        loop {
            let (before, each) = (spent, lessons.len() as u64);
            for (_, raises) in &lessons {
                let room = |share| percent_of(budget, share).saturating_sub(before) / each;
                spent += self.raise(raises, room);
            }
            if spent <= before {
                break;
            }
        }
        for (_, raises) in &lessons {
            let room = |share| percent_of(budget, share).saturating_sub(spent);
            spent += self.raise(raises, room);
        }
        self.lessons = lessons;
    }

    /// Raises a lesson's pictures as far as there is room, which for each is what a share of
    /// the estimate leaves. Returns what that takes.
    fn raise(&mut self, raises: &[Raise], room: impl Fn(u64) -> u64) -> u64 {
        let (mut spent, mut saved) = (0u64, 0u64);
        for raise in raises {
            let Some((line, wish)) = self.lines.get_mut(raise.at).zip(self.wishes.get(raise.at))
            else {
                continue;
            };
            if raise.form <= line.chosen || raise.form > line.allowed {
                continue;
            }
            let Some(share) = line.share(wish.forms, raise.form, self.now) else { continue };
            let before = line.rate(wish.forms, line.chosen);
            let then = line.rate(wish.forms, raise.form);
            let more = then.saturating_sub(before);
            if spent.saturating_add(more) <= room(share).saturating_add(saved) {
                line.chosen = raise.form;
                spent += more;
                // A better form may be the cheaper one.
                saved += before.saturating_sub(then);
            }
        }
        spent.saturating_sub(saved)
    }

    /// Finds the pictures that would stop moving only now. Returns whether there are any.
    fn lose_patience(&mut self, now: Instant) -> bool {
        let mut any = false;
        let both = self.lines.iter().zip(self.wishes);
        let reading: Vec<usize> = both.filter(|(l, _)| l.read).map(|(_, w)| w.lesson).collect();
        for (line, wish) in self.lines.iter_mut().zip(self.wishes) {
            let stands = reading.contains(&wish.lesson);
            let moved = line.granted && line.current >= line.moving && !is_sound(wish) && !stands;
            if !moved || line.chosen >= line.moving {
                line.short = None;
                continue;
            }
            let short = *line.short.get_or_insert(now);
            line.patient = now - short < PATIENCE;
            any |= line.patient;
        }
        any
    }

    /// What the path must be known to take before the tracks that could be better, the most
    /// important first, get their next [`AHEAD`] forms; 0 when none could, or none should now.
    fn wanted(&self) -> u64 {
        let mut chosen: Vec<usize> = self.lines.iter().map(|l| l.chosen).collect();
        let both = self.lines.iter().zip(self.wishes);
        let mut all: u64 = both.map(|(l, w)| l.rate(w.forms, l.chosen)).sum();
        let mut wanted = 0;
        for _ in 0..AHEAD {
            let raises = self.lessons.iter().flat_map(|(_, raises)| raises);
            let open = raises.filter(|raise| {
                let free = self.lines.get(raise.at).is_some_and(|l| l.barred.is_none());
                free && chosen.get(raise.at).is_some_and(|c| raise.form == c + 1)
            });
            let Some(next) = open.min() else { break };
            let both = self.lines.get(next.at).zip(self.wishes.get(next.at));
            let Some(((line, wish), form)) = both.zip(chosen.get_mut(next.at)) else { break };
            all = all.saturating_sub(line.rate(wish.forms, *form));
            all += line.rate(wish.forms, next.form);
            *form = next.form;
            let share = if next.form == line.moving { BEGIN } else { GAIN };
            wanted = wanted.max(all.saturating_mul(100) / share + 1);
        }
        wanted
    }
}

/// How many of the forms stand.
fn stills(forms: &[Form]) -> usize {
    forms.iter().take_while(|f| matches!(f.showing, Showing::Stills(_))).count()
}

fn is_sound(wish: &Wish<'_>) -> bool {
    matches!(wish.priority, Priority::TeacherAudio | Priority::Audio)
}

fn percent_of(rate: u64, percent: u64) -> u64 {
    rate.saturating_mul(percent) / 100
}

fn rate(forms: &[Form], form: usize) -> u64 {
    form.checked_sub(1).and_then(|at| forms.get(at)).map_or(0, |f| f.rate)
}

#[cfg(test)]
#[path = "allocation_tests.rs"]
mod tests;
