//! What the published lesson shows when: the teacher's camera, the shared screen while there
//! is no camera, a plain slate while there is neither. Frames are passed through as they were
//! recorded, so every change begins at a keyframe; short gaps hold the picture before them.
//!
//! Values only: frames with their times in, samples with start and length out.

use crate::clock::{Nanos, SECOND};

/// Ticks per second of the video rendition.
pub const TIMESCALE: u32 = 90_000;

/// Samples begin on this grid of 5 ms, and no two at once. Tools that estimate a picture rate
/// then find one in which every time is exact; without it they round to, say, thirtieths and
/// complain about two pictures in one.
const GRID: u64 = TIMESCALE as u64 / 200;

/// The samples such estimates are made from.
const ESTIMATED: std::ops::Range<usize> = 4..16;

/// A picture is held over gaps up to this long; longer ones show the next source, or a slate.
pub const HOLD: Nanos = 5 * SECOND;

/// How long the last picture stands before something else is shown.
const LINGER: Nanos = SECOND;

/// A lesson whose picture comes later than this begins with a slate.
const START: Nanos = 3 * SECOND / 2;

/// The slate moves at this rate, although it shows nothing that moves: browsers don't begin to
/// play before they have several pictures, however long each lasts.
pub const SLATE_RATE: usize = 15;

/// A segment ends at the first keyframe after this.
const SEGMENT: u64 = 5 * TIMESCALE as u64;

/// A recorded frame: where it is, and its time in the lesson.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub part: usize,
    pub block: usize,
    pub time: Nanos,
}

/// A keyframe and the frames that depend on it, in decoding order.
pub type Group = Vec<Frame>;

/// What a sample shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    Recorded {
        part: usize,
        block: usize,
    },
    /// This picture of the slate's group of [`SLATE_RATE`].
    Slate(usize),
}

/// One sample of the video rendition. It lasts until the next begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    pub start: u64,
    pub duration: u32,
    pub picture: Picture,
    pub sync: bool,
}

/// Lays out `duration` of a lesson from `lanes`, the preferred source first.
#[must_use]
pub fn lay_out(lanes: Vec<Vec<Group>>, duration: Nanos) -> Vec<Sample> {
    let mut chosen: Vec<Group> = Vec::new();
    let mut gaps = vec![(0, duration)];
    for lane in lanes {
        let mut open = Vec::new();
        for (from, to) in gaps {
            let groups = within(&lane, from, to);
            open.extend(uncovered(&groups, from, to, duration));
            chosen.extend(groups);
        }
        gaps = open;
    }
    chosen.sort_by_key(|g| g.first().map(|f| f.time));
    let mut samples = Vec::new();
    for group in chosen {
        for (i, f) in group.into_iter().enumerate() {
            samples.push((f.time, Picture::Recorded { part: f.part, block: f.block }, i == 0));
        }
    }
    for (from, to) in gaps {
        let pictures = (0..).map(|n| (n, from + n as Nanos * SECOND / SLATE_RATE as Nanos));
        for (n, at) in pictures.take_while(|(_, at)| *at < to) {
            let nth = n % SLATE_RATE;
            samples.push((at, Picture::Slate(nth), nth == 0));
        }
    }
    // Stable, so that frames clamped to the same time keep their decoding order.
    samples.sort_by_key(|(time, ..)| *time);
    timed(&samples, duration)
}

/// The groups of `lane` that begin in `from..to`, each cut where the next begins. At the
/// lesson's begin, the group that is under way then counts, unless another begins soon.
fn within(lane: &[Group], from: Nanos, to: Nanos) -> Vec<Group> {
    let start = |g: &Group| g.first().map(|f| f.time);
    let mut groups: Vec<Group> = lane.iter().filter(|g| !g.is_empty()).cloned().collect();
    groups.sort_by_key(start);
    let before = groups.partition_point(|g| start(g).is_some_and(|t| t <= from));
    let soon = groups.get(before).and_then(start).is_some_and(|t| t <= START);
    let keep_running = from == 0 && before > 0 && !soon;
    groups.drain(..before - usize::from(keep_running));
    groups.retain(|g| start(g).is_some_and(|t| t < to));
    let ends: Vec<Nanos> = groups.iter().skip(1).filter_map(start).chain([to]).collect();
    for (group, end) in groups.iter_mut().zip(ends) {
        let mut latest = from;
        for f in group.iter_mut() {
            latest = latest.max(f.time);
            f.time = latest;
        }
        group.retain(|f| f.time < end);
    }
    groups.retain(|g| !g.is_empty());
    groups
}

/// Stretches of `from..to` in which `groups` show nothing for longer than a picture is held.
fn uncovered(groups: &[Group], from: Nanos, to: Nanos, end: Nanos) -> Vec<(Nanos, Nanos)> {
    let mut open = Vec::new();
    let mut last: Option<Nanos> = None;
    let starts = groups.iter().filter_map(|g| Some((g.first()?.time, g.last()?.time)));
    for (first, until) in starts.chain([(to, to)]) {
        let (begin, held) = match last {
            Some(last) => (last + LINGER, first - last <= HOLD),
            None if from > 0 => (from, first - from <= HOLD - LINGER),
            // Nothing to hold at the lesson's begin but the first picture itself.
            None => (from, first <= START && first < end),
        };
        if !held && begin < first {
            open.push((begin, first));
        }
        last = Some(until);
    }
    open
}

/// Start and length in ticks. The first sample begins with the lesson, the last ends with it.
fn timed(samples: &[(Nanos, Picture, bool)], duration: Nanos) -> Vec<Sample> {
    let ticks =
        |t: Nanos| (i128::from(t.max(0)) * i128::from(TIMESCALE) / i128::from(SECOND)) as u64;
    let slot = |t: Nanos| (ticks(t) + GRID / 2) / GRID;
    let mut slots = Vec::with_capacity(samples.len());
    let mut earliest = 0;
    for (i, (time, ..)) in samples.iter().enumerate() {
        let at = if i == 0 { 0 } else { slot(*time).max(earliest) };
        slots.push(at);
        earliest = at + 1;
    }
    show_grid(&mut slots);
    let mut starts: Vec<u64> = slots.iter().map(|s| s * GRID).collect();
    starts.push(ticks(duration).max(earliest * GRID));
    let spans = starts.windows(2);
    let timed = samples.iter().zip(spans).filter_map(|(&(_, picture, sync), span)| {
        let &[start, next] = span else { return None };
        Some(Sample { start, duration: (next - start) as u32, picture, sync })
    });
    timed.collect()
}

/// Moves one early picture by 5 ms when all would seem to lie on a coarser grid than they do.
fn show_grid(slots: &mut [u64]) {
    let gcd = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let early = slots.get(ESTIMATED.start - 1..ESTIMATED.end.min(slots.len())).unwrap_or_default();
    let steps = early.windows(2).filter_map(|w| Some(w.get(1)? - w.first()?));
    let coarse = steps.fold(0, gcd) > 1;
    if let Some(moved) = slots.get_mut(ESTIMATED.start).filter(|_| coarse) {
        *moved += 1;
    }
}

/// Cuts samples into segments, each of which a player can begin with.
#[must_use]
pub fn segments(samples: &[Sample]) -> Vec<&[Sample]> {
    let mut out = Vec::new();
    let mut rest = samples;
    while let Some(first) = rest.first() {
        let long = |s: &Sample| s.sync && s.start - first.start >= SEGMENT;
        let cut = rest.iter().position(long).unwrap_or(rest.len());
        let (segment, tail) = rest.split_at(cut);
        out.push(segment);
        rest = tail;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::MILLI;

    const FPS: Nanos = 10;

    /// Frames of `part` from `from` to `to` seconds, a keyframe every `gop` seconds.
    fn lane(part: usize, from: f64, to: f64, gop: f64) -> Vec<Group> {
        let at = |s: f64| (s * SECOND as f64) as Nanos;
        let mut groups: Vec<Group> = vec![];
        let (mut t, mut block) = (at(from), 0);
        while t < at(to) {
            if (t - at(from)) % at(gop) < SECOND / FPS {
                groups.push(vec![]);
            }
            groups.last_mut().unwrap().push(Frame { part, block, time: t });
            t += SECOND / FPS;
            block += 1;
        }
        groups
    }

    fn check_gapless(samples: &[Sample], seconds: u64) {
        let mut at = 0;
        for s in samples {
            assert_eq!(s.start, at);
            assert!(s.duration > 0);
            at += u64::from(s.duration);
        }
        assert_eq!(at, seconds * u64::from(TIMESCALE));
        assert!(samples[0].sync);
    }

    fn shown(samples: &[Sample], second: f64) -> Picture {
        let t = (second * f64::from(TIMESCALE)) as u64;
        samples.iter().rev().find(|s| s.start <= t).unwrap().picture
    }

    fn is_part(picture: Picture, of: usize) -> bool {
        matches!(picture, Picture::Recorded { part, .. } if part == of)
    }

    #[test]
    fn a_camera_that_starts_late_is_held_back_to_the_begin() {
        let samples = lay_out(vec![lane(0, 1.5, 20.0, 5.0)], 20 * SECOND);
        check_gapless(&samples, 20);
        assert_eq!(samples[0].duration, TIMESCALE * 16 / 10);
        assert_eq!(samples.len(), 185);
        let later = lay_out(vec![lane(0, 2.0, 20.0, 5.0)], 20 * SECOND);
        check_gapless(&later, 20);
        assert_eq!(shown(&later, 1.9), Picture::Slate(13));
        assert!(is_part(shown(&later, 2.0), 0));
    }

    #[test]
    fn early_pictures_give_away_the_grid_however_regular_they_are() {
        let samples = lay_out(vec![lane(0, 0.0, 20.0, 5.0)], 20 * SECOND);
        let early: Vec<_> = samples[3..16].iter().map(|s| s.duration).collect();
        assert!(early.iter().any(|d| *d != early[0]), "{early:?}");
        assert!(samples.iter().all(|s| s.start % GRID == 0));
        let moved = samples.iter().filter(|s| s.start % u64::from(TIMESCALE / 10) != 0);
        assert_eq!(moved.count(), 1);
    }

    #[test]
    fn frames_from_before_the_lesson_are_decoded_and_not_shown() {
        let samples = lay_out(vec![lane(0, -3.0, 10.0, 100.0)], 10 * SECOND);
        check_gapless(&samples, 10);
        assert_eq!(samples.len(), 130);
        assert!(samples[..30].iter().all(|s| u64::from(s.duration) <= 2 * GRID));
        let soon = lay_out(vec![lane(0, -3.0, 10.0, 4.0)], 10 * SECOND);
        assert_eq!(soon.len(), 90, "begins with the keyframe that comes soon");
        let later = lay_out(vec![lane(0, -7.0, 10.0, 5.0)], 10 * SECOND);
        assert_eq!(later.len(), 120, "begins with the last keyframe before the lesson");
    }

    #[test]
    fn a_short_gap_holds_the_picture_before_it() {
        let camera = [lane(0, 0.0, 5.0, 5.0), lane(1, 8.0, 15.0, 5.0)].concat();
        let samples = lay_out(vec![camera], 15 * SECOND);
        check_gapless(&samples, 15);
        assert!(is_part(shown(&samples, 7.0), 0));
        assert!(!samples.iter().any(|s| matches!(s.picture, Picture::Slate(_))));
    }

    #[test]
    fn the_screen_is_shown_while_there_is_no_camera() {
        let camera = [lane(0, 0.0, 10.0, 5.0), lane(1, 40.0, 60.0, 5.0)].concat();
        let screen = lane(2, 5.0, 50.0, 4.0);
        let samples = lay_out(vec![camera, screen], 60 * SECOND);
        check_gapless(&samples, 60);
        assert!(is_part(shown(&samples, 9.0), 0));
        assert!(is_part(shown(&samples, 20.0), 2));
        assert!(is_part(shown(&samples, 39.9), 2));
        assert!(is_part(shown(&samples, 45.0), 1));
        let first_of_screen = samples.iter().find(|s| is_part(s.picture, 2)).unwrap();
        assert!(first_of_screen.sync);
    }

    #[test]
    fn a_slate_stands_in_when_there_is_nothing() {
        let samples = lay_out(vec![lane(0, 0.0, 10.0, 5.0)], 30 * SECOND);
        check_gapless(&samples, 30);
        assert!(matches!(shown(&samples, 20.0), Picture::Slate(_)));
        let none = lay_out(vec![vec![], vec![]], 3 * SECOND);
        check_gapless(&none, 3);
        assert_eq!(none[0].picture, Picture::Slate(0));
        assert_eq!(none.len(), 3 * SLATE_RATE);
    }

    #[test]
    fn a_publisher_that_comes_back_before_its_old_stream_ends_takes_over() {
        let camera = [lane(0, 0.0, 12.0, 20.0), lane(1, 10.0, 20.0, 20.0)].concat();
        let samples = lay_out(vec![camera], 20 * SECOND);
        check_gapless(&samples, 20);
        assert!(is_part(shown(&samples, 11.0), 1));
        assert_eq!(samples.len(), 200);
    }

    #[test]
    fn segments_begin_with_keyframes() {
        let samples = lay_out(vec![lane(0, 0.0, 30.0, 2.0)], 30 * SECOND);
        let segments = segments(&samples);
        assert_eq!(segments.len(), 5);
        assert!(segments.iter().all(|s| s[0].sync));
        let unbroken = lay_out(vec![lane(0, 0.0, 30.0, 100.0)], 30 * SECOND);
        assert_eq!(super::segments(&unbroken).len(), 1);
    }

    #[test]
    fn frames_of_one_instant_stay_in_order() {
        let mut group = lane(0, 1.0, 2.0, 10.0);
        for f in group[0].iter_mut() {
            f.time = SECOND + 5 * MILLI;
        }
        let samples = lay_out(vec![group], 3 * SECOND);
        check_gapless(&samples, 3);
        let blocks: Vec<_> = samples
            .iter()
            .map(|s| match s.picture {
                Picture::Recorded { block, .. } => block,
                Picture::Slate(_) => usize::MAX,
            })
            .collect();
        assert_eq!(blocks, (0..10).collect::<Vec<_>>());
    }
}
