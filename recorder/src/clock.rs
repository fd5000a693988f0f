//! Where on the lesson's time line a track's media lies.
//!
//! A part's media time is its RTP timestamps, unwrapped, counted from the part's first
//! packet. What ties it to the lesson is written down while recording and worked out when
//! the lesson is over, so nothing recorded has to be corrected: the earliest arrival of any
//! packet, and the publisher's sender reports (NTP ↔ RTP). Publishers' clocks differ by
//! anything, so each clock is tied to the lesson by the least delayed packet of all the
//! tracks that share it. Audio and video of one member then line up however late either came.
//!
//! Values only: no clock is read here.

use serde::{Deserialize, Serialize};

/// Nanoseconds, on whichever time line the name says. The lesson's begins with
/// `lesson.started`; what came before it is negative.
pub type Nanos = i64;

pub const MILLI: Nanos = 1_000_000;
pub const SECOND: Nanos = 1_000_000_000;

/// Reports closer together than this add nothing but their jitter.
const ANCHOR_EVERY: Nanos = 10 * SECOND;

/// How far a report may be from where the one before it, and 1 in 1000 for the time
/// between, put it. Browsers' reports jitter by a few milliseconds; a clock that was set
/// moves by more.
const ANCHOR_TOLERANCE: Nanos = 100 * MILLI;

/// Two tracks of a member whose clocks are this close have the same clock.
const SAME_CLOCK: Nanos = 2 * SECOND;

/// Counts a 32-bit RTP timestamp on, over its wraps and for packets out of order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwrap32 {
    last: Option<i64>,
}

impl Unwrap32 {
    /// `timestamp` as the value nearest to the one before.
    pub fn extend(&mut self, timestamp: u32) -> i64 {
        let extended = self.peek(timestamp);
        self.last = Some(extended);
        extended
    }

    /// What [`extend`](Self::extend) would say, without moving on.
    #[must_use]
    pub fn peek(&self, timestamp: u32) -> i64 {
        match self.last {
            Some(last) => last + i64::from(timestamp.wrapping_sub(last as u32) as i32),
            None => i64::from(timestamp),
        }
    }
}

/// RTP ticks as nanoseconds.
#[must_use]
pub fn ticks_to_nanos(ticks: i64, rate: u32) -> Nanos {
    (i128::from(ticks) * i128::from(SECOND) / i128::from(rate)) as i64
}

/// Nanoseconds from NTP time `from` to `to` (32.32 fixed point, over the wrap of 2036).
#[must_use]
pub fn ntp_between(from: u64, to: u64) -> Nanos {
    ((i128::from(to.wrapping_sub(from) as i64) * i128::from(SECOND)) >> 32) as i64
}

/// NTP time `ntp` moved by `by`.
#[must_use]
pub fn ntp_add(ntp: u64, by: Nanos) -> u64 {
    ntp.wrapping_add(((i128::from(by) << 32) / i128::from(SECOND)) as i64 as u64)
}

/// One sender report of a part: this media time was that NTP time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Anchor {
    pub media_ns: Nanos,
    pub ntp: u64,
}

/// What is known of a part's time while it is recorded. Kept in the manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    /// Least of (lesson time of arrival − media time) over all packets.
    pub arrival_offset_ns: Option<Nanos>,
    /// The publisher's clock at the lesson's begin, by its least delayed packet in this part.
    pub ntp_zero: Option<u64>,
    pub anchors: Vec<Anchor>,
}

impl Timing {
    /// A packet of media time `media` arrived at lesson time `arrival`. Says whether that
    /// moved the part.
    pub fn packet(&mut self, media: Nanos, arrival: Nanos) -> bool {
        let mut moved = false;
        let offset = arrival - media;
        if self.arrival_offset_ns.is_none_or(|least| offset < least) {
            self.arrival_offset_ns = Some(offset);
            moved = true;
        }
        if let Some(ntp) = self.ntp_of(media) {
            moved |= self.zero_at_least(ntp_add(ntp, -arrival));
        }
        moved
    }

    /// The publisher reported that media time `media` was `ntp`. Says whether that was news.
    pub fn report(&mut self, media: Nanos, ntp: u64) -> bool {
        if let Some(last) = self.anchors.last() {
            let passed = media - last.media_ns;
            let off = (ntp_between(last.ntp, ntp) - passed).abs();
            if off > ANCHOR_TOLERANCE + passed.abs() / 1000 {
                if self.anchors.len() > 1 {
                    return false;
                }
                self.anchors.clear();
                self.ntp_zero = None;
            } else if passed < ANCHOR_EVERY {
                return false;
            }
        }
        self.anchors.push(Anchor { media_ns: media, ntp });
        if self.ntp_zero.is_none()
            && let Some(offset) = self.arrival_offset_ns
        {
            self.ntp_zero = Some(ntp_add(ntp, -(media + offset)));
        }
        true
    }

    /// Media time at lesson time `at`, as far as is known.
    #[must_use]
    pub fn media(&self, at: Nanos) -> Option<Nanos> {
        match (self.ntp_zero, self.anchors.last()) {
            (Some(zero), Some(anchor)) => {
                Some(anchor.media_ns + ntp_between(anchor.ntp, ntp_add(zero, at)))
            }
            _ => Some(at - self.arrival_offset_ns?),
        }
    }

    /// NTP time of `media` by the latest report.
    fn ntp_of(&self, media: Nanos) -> Option<u64> {
        self.anchors.last().map(|a| ntp_add(a.ntp, media - a.media_ns))
    }

    /// A later clock at the lesson's begin means a less delayed packet.
    fn zero_at_least(&mut self, zero: u64) -> bool {
        let later = self.ntp_zero.is_none_or(|least| ntp_between(least, zero) > 0);
        if later {
            self.ntp_zero = Some(zero);
        }
        later
    }
}

/// A part's media time laid on the lesson: straight lines between known points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeLine {
    points: Vec<(Nanos, Nanos)>,
}

impl TimeLine {
    /// Lesson time of `media`.
    #[must_use]
    pub fn lesson(&self, media: Nanos) -> Nanos {
        let after = self.points.partition_point(|(m, _)| *m <= media);
        match (after.checked_sub(1).and_then(|i| self.points.get(i)), self.points.get(after)) {
            (Some(&(m0, l0)), Some(&(m1, l1))) => {
                let share = i128::from(media - m0) * i128::from(l1 - l0) / i128::from(m1 - m0);
                l0 + share as i64
            }
            (Some(&(m, l)), None) | (None, Some(&(m, l))) => l + (media - m),
            (None, None) => media,
        }
    }
}

/// The time lines of all parts of one member, in the same order.
#[must_use]
pub fn time_lines(parts: &[&Timing]) -> Vec<TimeLine> {
    let line = |timing: &&Timing| {
        let shared = timing.ntp_zero.map(|own| {
            let zeros = parts.iter().filter_map(|t| t.ntp_zero);
            let same = zeros.filter(|z| ntp_between(own, *z).abs() < SAME_CLOCK);
            same.max_by_key(|z| ntp_between(own, *z)).unwrap_or(own)
        });
        let points = match shared {
            Some(zero) => {
                timing.anchors.iter().map(|a| (a.media_ns, ntp_between(zero, a.ntp))).collect()
            }
            None => vec![(0, timing.arrival_offset_ns.unwrap_or_default())],
        };
        TimeLine { points: rising(points) }
    };
    parts.iter().map(line).collect()
}

/// Reports may arrive out of order, and two of the same media time would divide by zero.
fn rising(mut points: Vec<(Nanos, Nanos)>) -> Vec<(Nanos, Nanos)> {
    points.sort_unstable();
    points.dedup_by_key(|p| p.0);
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026 in NTP, and a clock that runs an hour ahead of it.
    const NOON: u64 = 0xed40_0000_0000_0000;
    const AHEAD: u64 = NOON + (3600 << 32);

    #[test]
    fn timestamps_count_on_over_their_wrap() {
        let mut t = Unwrap32::default();
        let start = t.extend(u32::MAX - 1000);
        assert_eq!(t.extend(2000) - start, 3001);
        assert_eq!(t.extend(u32::MAX - 500) - start, 500, "late, from before the wrap");
        assert_eq!(t.extend(5000) - start, 6001);
    }

    #[test]
    fn ntp_arithmetic_holds_over_the_era_of_2036() {
        let before = u64::MAX - (1 << 31);
        assert_eq!(ntp_between(before, ntp_add(before, 3 * SECOND)), 3 * SECOND);
        assert_eq!(ntp_between(ntp_add(before, 3 * SECOND), before), -3 * SECOND);
    }

    #[test]
    fn without_reports_a_part_lies_where_its_least_delayed_packet_arrived() {
        let mut t = Timing::default();
        t.packet(0, 5 * SECOND + 80 * MILLI);
        t.packet(SECOND, 6 * SECOND + 20 * MILLI);
        t.packet(2 * SECOND, 7 * SECOND + 90 * MILLI);
        let line = &time_lines(&[&t])[0];
        assert_eq!(line.lesson(SECOND), 6 * SECOND + 20 * MILLI);
    }

    #[test]
    fn tracks_of_one_member_line_up_although_one_is_delayed_more() {
        let (mut audio, mut video) = (Timing::default(), Timing::default());
        for s in 0..20 {
            // The same instant, `s` seconds in; audio takes 20 ms, video 170 ms.
            audio.packet(s * SECOND, s * SECOND + 20 * MILLI);
            video.packet(s * SECOND, s * SECOND + 170 * MILLI);
            audio.report(s * SECOND, ntp_add(AHEAD, s * SECOND));
            video.report(s * SECOND, ntp_add(AHEAD, s * SECOND));
        }
        let lines = time_lines(&[&audio, &video]);
        let at = 7 * SECOND;
        assert!((lines[0].lesson(at) - lines[1].lesson(at)).abs() < MILLI);
        assert!((lines[0].lesson(at) - at - 20 * MILLI).abs() < MILLI);
    }

    #[test]
    fn a_report_that_comes_late_counts_for_what_came_before_it() {
        let (mut early, mut late) = (Timing::default(), Timing::default());
        for s in 0..5 {
            early.packet(s * SECOND, s * SECOND + 10 * MILLI);
            late.packet(s * SECOND, s * SECOND + 300 * MILLI);
        }
        early.report(4 * SECOND, ntp_add(NOON, 4 * SECOND));
        late.report(4 * SECOND, ntp_add(NOON, 4 * SECOND));
        let lines = time_lines(&[&early, &late]);
        assert!((lines[0].lesson(0) - lines[1].lesson(0)).abs() < MILLI);
    }

    #[test]
    fn a_publisher_that_comes_back_with_another_clock_is_placed_by_that_clock() {
        let (mut first, mut second) = (Timing::default(), Timing::default());
        first.packet(0, 0);
        first.report(0, NOON);
        second.packet(0, 60 * SECOND);
        second.report(0, AHEAD);
        let lines = time_lines(&[&first, &second]);
        assert_eq!(lines[0].lesson(0), 0);
        assert!((lines[1].lesson(0) - 60 * SECOND).abs() < MILLI);
    }

    #[test]
    fn a_sound_card_that_runs_fast_is_followed() {
        let mut t = Timing::default();
        // 100 ppm fast over an hour: 360 ms more media than time.
        for s in (0..3600).step_by(5) {
            let media = s * SECOND + s * SECOND / 10_000;
            t.packet(media, s * SECOND + 5 * MILLI);
            t.report(media, ntp_add(NOON, s * SECOND));
        }
        let line = &time_lines(&[&t])[0];
        let at = 1800 * SECOND;
        assert!((line.lesson(at + at / 10_000) - at - 5 * MILLI).abs() < 2 * MILLI);
    }

    #[test]
    fn one_senseless_report_changes_nothing() {
        let mut t = Timing::default();
        t.packet(0, 0);
        t.report(0, NOON);
        t.report(20 * SECOND, ntp_add(NOON, 20 * SECOND));
        let before = t.clone();
        assert!(!t.report(40 * SECOND, AHEAD));
        assert_eq!(t, before);
    }
}
