//! Formulae of classroom analysis over plain numbers: S-T, Gini, median. `docs/behaviour-data.md`
//! says what they mean and what they don't.

use serde::Serialize;

/// Length of an S-T interval, in ms: the method's usual 3 s.
pub const ST_INTERVAL_MS: u64 = 3000;

/// The kind of lesson the S-T ratios point to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LessonType {
    /// 练习型
    Practice,
    /// 讲授型
    Lecture,
    /// 对话型
    Dialogue,
    /// 混合型
    Mixed,
}

/// An S-T analysis.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct St {
    pub interval_ms: u64,
    /// Number of intervals.
    pub n: usize,
    pub teacher: usize,
    pub student: usize,
    /// Of the student's, those in which nobody spoke.
    pub silent: usize,
    /// Runs of equal letters.
    pub runs: usize,
    pub rt: Option<f64>,
    pub ch: Option<f64>,
    #[serde(rename = "type")]
    pub kind: Option<LessonType>,
    /// One letter an interval.
    pub sequence: String,
}

/// Cuts `length_ms` into intervals and labels each by who speaks longer in it. `spoken` are
/// intervals from the start of the lesson and whether the teacher speaks.
#[must_use]
pub fn st(length_ms: u64, spoken: &[(u64, u64, bool)]) -> St {
    let n = usize::try_from(length_ms / ST_INTERVAL_MS).unwrap_or(0);
    let mut heard = vec![(0u64, 0u64); n];
    for &(from, to, teacher) in spoken {
        let first = usize::try_from(from / ST_INTERVAL_MS).unwrap_or(n).min(n);
        let last = usize::try_from(to.div_ceil(ST_INTERVAL_MS)).unwrap_or(n).min(n);
        for (slot, (t, s)) in heard.iter_mut().enumerate().take(last).skip(first) {
            let begin = slot as u64 * ST_INTERVAL_MS;
            let part = to.min(begin + ST_INTERVAL_MS).saturating_sub(from.max(begin));
            *(if teacher { t } else { s }) += part;
        }
    }
    let letters: Vec<bool> = heard.iter().map(|(t, s)| t > s).collect();
    let teacher = letters.iter().filter(|t| **t).count();
    let silent = heard.iter().filter(|h| **h == (0, 0)).count();
    let runs = letters.windows(2).filter(|w| w[0] != w[1]).count() + usize::from(n > 0);
    let rt = ratio(teacher, n);
    let ch = ratio(runs.saturating_sub(1), n);
    St {
        interval_ms: ST_INTERVAL_MS,
        n,
        teacher,
        student: n - teacher,
        silent,
        runs,
        rt: rt.map(rounded),
        ch: ch.map(rounded),
        kind: rt.zip(ch).map(|(rt, ch)| kind(rt, ch)),
        sequence: letters.iter().map(|t| if *t { 'T' } else { 'S' }).collect(),
    }
}

fn kind(rt: f64, ch: f64) -> LessonType {
    if rt <= 0.3 {
        LessonType::Practice
    } else if rt >= 0.7 {
        LessonType::Lecture
    } else if ch >= 0.4 {
        LessonType::Dialogue
    } else {
        LessonType::Mixed
    }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Gini's coefficient of `values`, zeros included: 0 when all are equal or zero.
#[must_use]
pub fn gini(values: &[u64]) -> f64 {
    let n = values.len() as f64;
    let total: u64 = values.iter().sum();
    if total == 0 {
        return 0.0;
    }
    let differences: u64 =
        values.iter().flat_map(|a| values.iter().map(move |b| a.abs_diff(*b))).sum();
    // 2 n² x̄ = 2 n Σx
    differences as f64 / (2.0 * n * total as f64)
}

/// The middle of `values`; of an even number, the lower of the two.
#[must_use]
pub fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    let middle = values.len().checked_sub(1)? / 2;
    values.get(middle).copied()
}

/// To four decimals: what is more is noise, and a figure then reads the same everywhere.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// How much of `[from, to)` the `intervals` cover together.
#[must_use]
pub fn covered(mut intervals: Vec<(u64, u64)>, from: u64, to: u64) -> u64 {
    intervals.sort_unstable();
    let mut sum = 0;
    let mut reached = from;
    for (begin, end) in intervals {
        let begin = begin.max(reached);
        let end = end.min(to);
        if end > begin {
            sum += end - begin;
            reached = end;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_interval_belongs_to_who_speaks_longer_in_it_and_silence_to_the_students() {
        let st = st(
            18_500,
            &[
                (0, 7000, true),
                (7000, 8000, false),
                (10_000, 12_000, false),
                (15_000, 20_000, true),
            ],
        );
        assert_eq!(st.sequence, "TTSSST");
        assert_eq!((st.n, st.teacher, st.student, st.silent, st.runs), (6, 3, 3, 1, 3));
        assert_eq!((st.rt, st.ch), (Some(0.5), Some(0.3333)));
        assert_eq!(st.kind, Some(LessonType::Mixed));
    }

    #[test]
    fn the_kinds_of_lesson_are_told_apart() {
        assert_eq!(kind(0.3, 0.9), LessonType::Practice);
        assert_eq!(kind(0.7, 0.9), LessonType::Lecture);
        assert_eq!(kind(0.5, 0.4), LessonType::Dialogue);
        assert_eq!(kind(0.5, 0.39), LessonType::Mixed);
    }

    #[test]
    fn nothing_heard_is_said_as_such() {
        let none = st(2999, &[(0, 2000, true)]);
        assert_eq!((none.n, none.rt, none.kind, none.runs), (0, None, None, 0));
        let quiet = st(9000, &[]);
        assert_eq!((quiet.rt, quiet.silent, quiet.runs), (Some(0.0), 3, 1));
    }

    #[test]
    fn turns_shared_evenly_are_fair_and_turns_of_one_are_not() {
        assert_eq!(gini(&[3, 3, 3]), 0.0);
        assert_eq!(gini(&[0, 0]), 0.0);
        assert_eq!(gini(&[]), 0.0);
        assert_eq!(gini(&[0, 0, 0, 8]), 0.75);
        // Σ|xᵢ−xⱼ| = 12, 2·3·5 = 30
        assert!((gini(&[3, 2, 0]) - 0.4).abs() < 1e-12);
    }

    #[test]
    fn overlapping_presence_counts_once() {
        assert_eq!(covered(vec![(0, 10), (5, 20), (30, 90)], 8, 40), 12 + 10);
        assert_eq!(covered(vec![], 0, 10), 0);
        assert_eq!(median(vec![5, 1, 9]), Some(5));
        assert_eq!(median(vec![]), None);
    }

    proptest! {
        #[test]
        fn an_analysis_adds_up(
            length in 0u64..200_000,
            spoken in prop::collection::vec((0u64..250_000, 0u64..20_000, any::<bool>()), 0..30),
        ) {
            let spoken: Vec<_> = spoken.into_iter().map(|(f, l, t)| (f, f + l, t)).collect();
            let st = st(length, &spoken);
            prop_assert_eq!(st.teacher + st.student, st.n);
            prop_assert_eq!(st.sequence.len(), st.n);
            prop_assert!(st.silent <= st.student);
            prop_assert!(st.runs <= st.n);
        }

        #[test]
        fn gini_is_between_0_and_1(values in prop::collection::vec(0u64..1000, 0..20)) {
            prop_assert!((0.0..1.0).contains(&gini(&values)));
        }
    }
}
