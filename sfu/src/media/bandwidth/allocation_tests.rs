use super::*;
use proptest::prelude::*;

const VOICE: [Step; 1] = [Step { target: Target::ALL, rate: 48_000 }];

fn steps(rates: &[u64]) -> Vec<Step> {
    let target = |n: usize| Target { encoding: n as u8, spatial: 0, temporal: 0 };
    rates.iter().enumerate().map(|(n, rate)| Step { target: target(n), rate: *rate }).collect()
}

fn wish(source: u32, priority: Priority, steps: &[Step]) -> Wish<'_> {
    Wish { source, priority, steps }
}

/// A viewer's allocation with its clock.
struct Viewer {
    allocation: Allocation,
    now: Instant,
    grants: Vec<Grant>,
}

impl Viewer {
    fn new() -> Self {
        Self { allocation: Allocation::default(), now: Instant::now(), grants: Vec::new() }
    }

    fn at(&mut self, estimate: u64, wishes: &[Wish<'_>]) -> Outlook {
        self.allocation.allocate(estimate, wishes, self.now, &mut self.grants)
    }

    /// Allocates ten times a second.
    fn keep(&mut self, seconds: u64, estimate: u64, wishes: &[Wish<'_>]) -> Outlook {
        let mut outlook = Outlook::default();
        for _ in 0..seconds * 10 {
            self.now += Duration::from_millis(100);
            outlook = self.at(estimate, wishes);
        }
        outlook
    }

    fn shown(&self) -> Vec<Option<u8>> {
        self.grants.iter().map(|g| g.target.map(|t| t.encoding)).collect()
    }
}

const CAMERA: [u64; 3] = [150_000, 500_000, 2_000_000];

#[test]
fn what_matters_more_in_a_lesson_comes_first() {
    let (camera, class) = (steps(&CAMERA), steps(&[100_000, 300_000]));
    let wishes = [
        wish(5, Priority::ClassView, &class),
        wish(3, Priority::TeacherCamera, &camera),
        wish(4, Priority::CalledMember, &camera),
        wish(2, Priority::Screen, &camera),
        wish(1, Priority::TeacherAudio, &VOICE),
    ];
    let all = Some(u8::MAX);
    for (estimate, shown) in [
        (0, [None, None, None, None, all]),
        (200_000, [None, None, None, Some(0), all]),
        (660_000, [Some(0), None, None, Some(1), all]),
        (800_000, [Some(0), Some(0), None, Some(1), all]),
        (2_700_000, [None, Some(1), Some(0), Some(2), all]),
        (4_500_000, [Some(1), Some(2), Some(0), Some(2), all]),
        (9_000_000, [Some(1), Some(2), Some(2), Some(2), all]),
    ] {
        let mut viewer = Viewer::new();
        viewer.at(estimate, &wishes);
        assert_eq!(viewer.shown(), shown, "{estimate}");
    }
}

#[test]
fn lines_of_one_priority_share_evenly_and_stay_with_what_they_have() {
    let view = steps(&[100_000, 400_000]);
    let wishes = [1, 2, 3, 4].map(|source| wish(source, Priority::ClassView, &view));
    let mut viewer = Viewer::new();
    viewer.at(450_000, &wishes);
    assert_eq!(viewer.shown(), [Some(0); 4]);
    viewer.keep(5, 780_000, &wishes);
    assert_eq!(viewer.shown(), [Some(1), Some(0), Some(0), Some(0)]);
    for noise in 0..20u64 {
        let other = steps(&[100_000 + noise % 3 * 1000, 400_000 - noise % 2 * 1000]);
        let wishes =
            [1, 2, 3, 4].map(|s| wish(s, Priority::ClassView, if s == 1 { &view } else { &other }));
        viewer.keep(1, 780_000, &wishes);
        assert_eq!(viewer.shown(), [Some(1), Some(0), Some(0), Some(0)]);
    }
}

#[test]
fn down_is_at_once_and_up_only_after_it_has_fitted_for_a_while() {
    let camera = steps(&CAMERA);
    let wishes = [wish(1, Priority::TeacherCamera, &camera)];
    let mut viewer = Viewer::new();
    viewer.at(2_100_000, &wishes);
    assert_eq!(viewer.shown(), [Some(2)]);
    viewer.keep(30, 1_910_000, &wishes);
    assert_eq!(viewer.shown(), [Some(2)], "just met is not given up");
    let outlook = viewer.at(1_890_000, &wishes);
    assert_eq!(viewer.shown(), [Some(1)]);
    assert_eq!(viewer.grants[0].reason, Reason::Path);
    assert_eq!(outlook.wanted, Some(Wanted { next: 2_300_000, best: 2_300_000 }));
    viewer.keep(60, 2_200_000, &wishes);
    assert_eq!(viewer.shown(), [Some(1)], "not enough to spare");
    let outlook = viewer.at(2_350_000, &wishes);
    assert_eq!(viewer.grants[0].reason, Reason::Settling);
    assert!(outlook.wanted.is_some(), "it just fits, better be sure");
    assert_eq!(viewer.at(2_450_000, &wishes).wanted, None, "it fits easily");
    viewer.at(2_200_000, &wishes);
    viewer.now += Duration::from_secs(2);
    viewer.at(2_400_000, &wishes);
    assert_eq!(viewer.shown(), [Some(1)], "it did not fit all the time");
    viewer.keep(2, 2_400_000, &wishes);
    assert_eq!(viewer.shown(), [Some(2)]);
    assert_eq!(viewer.grants[0].reason, Reason::Best);
}

#[test]
fn what_just_began_is_not_given_up_for_its_keyframe() {
    let camera = steps(&CAMERA);
    let wishes = [wish(1, Priority::TeacherCamera, &camera)];
    let mut viewer = Viewer::new();
    viewer.at(600_000, &wishes);
    viewer.keep(3, 2_400_000, &wishes);
    assert_eq!(viewer.shown(), [Some(2)]);
    viewer.keep(1, 600_000, &wishes);
    assert_eq!(viewer.shown(), [Some(1)]);
    let with_keyframe = steps(&[150_000, 570_000, 2_000_000]);
    let inflated = [wish(1, Priority::TeacherCamera, &with_keyframe)];
    viewer.keep(1, 500_000, &inflated);
    assert_eq!(viewer.shown(), [Some(1)], "it fits but for its keyframe");
    viewer.keep(1, 500_000, &inflated);
    assert_eq!(viewer.shown(), [Some(0)], "it was more than a keyframe");
    viewer.at(2_400_000, &wishes);
    viewer.keep(1, 550_000, &wishes);
    viewer.keep(1, 550_000, &wishes);
    viewer.at(400_000, &wishes);
    assert_eq!(viewer.shown(), [Some(0)], "what is far too much goes at once");
}

#[test]
fn a_mistake_is_not_repeated_soon_and_each_further_one_later() {
    let camera = steps(&CAMERA);
    let wishes = [wish(1, Priority::TeacherCamera, &camera)];
    let mut viewer = Viewer::new();
    viewer.at(600_000, &wishes);
    for wait in [4, 16, 60, 60] {
        while viewer.shown() != [Some(2)] {
            viewer.keep(1, 2_400_000, &wishes);
        }
        let outlook = viewer.keep(1, 600_000, &wishes);
        assert_eq!(viewer.shown(), [Some(1)]);
        assert_eq!(outlook.wanted.unwrap().best, 3_000_000, "it would have to fit easily");
        viewer.keep(wait - 2, 2_400_000, &wishes);
        assert_eq!(viewer.shown(), [Some(1)], "after a mistake of {wait} s");
        viewer.keep(4, 2_400_000, &wishes);
        assert_eq!(viewer.shown(), [Some(2)], "after a mistake of {wait} s");
    }
    viewer.keep(61, 2_400_000, &wishes);
    viewer.keep(1, 600_000, &wishes);
    viewer.keep(3, 2_400_000, &wishes);
    assert_eq!(viewer.shown(), [Some(2)], "all is forgiven");
}

#[test]
fn another_source_on_a_line_or_a_layer_that_ended_begins_anew() {
    let camera = steps(&CAMERA);
    let mut viewer = Viewer::new();
    viewer.at(600_000, &[wish(1, Priority::TeacherCamera, &camera)]);
    viewer.at(3_000_000, &[wish(2, Priority::TeacherCamera, &camera)]);
    assert_eq!(viewer.shown(), [Some(2)], "without waiting");
    viewer.at(3_000_000, &[wish(2, Priority::TeacherCamera, &camera[..1])]);
    assert_eq!(viewer.shown(), [Some(0)]);
    viewer.at(3_000_000, &[wish(2, Priority::TeacherCamera, &[])]);
    assert_eq!((viewer.shown(), viewer.grants[0].reason), (vec![None], Reason::Nothing));
    viewer.at(3_000_000, &[wish(2, Priority::TeacherCamera, &camera)]);
    assert_eq!(viewer.shown(), [Some(2)]);
}

#[test]
fn a_wish_of_lower_priority_is_not_held_up_by_a_mistake_of_a_higher_one() {
    let (camera, view) = (steps(&CAMERA), steps(&[100_000, 300_000]));
    let alone = [wish(1, Priority::TeacherCamera, &camera), wish(2, Priority::ClassView, &[])];
    let mut viewer = Viewer::new();
    viewer.at(640_000, &alone);
    viewer.keep(2, 2_300_000, &alone);
    assert_eq!(viewer.shown(), [Some(2), None]);
    let both = [wish(1, Priority::TeacherCamera, &camera), wish(2, Priority::ClassView, &view)];
    viewer.keep(1, 640_000, &both);
    assert_eq!(viewer.shown(), [Some(1), Some(0)]);
    viewer.keep(2, 2_300_000, &both);
    assert_eq!(viewer.shown(), [Some(1), Some(1)]);
}

fn any_wishes() -> impl Strategy<Value = Vec<(usize, Vec<u64>)>> {
    prop::collection::vec((1usize..6, prop::collection::vec(1_000u64..3_000_000, 0..7)), 1..9)
}

fn wishes_of<'a>(lines: &[(usize, Vec<u64>)], steps: &'a [Vec<Step>]) -> Vec<Wish<'a>> {
    let of = |(n, (priority, _)): (usize, &(usize, Vec<u64>))| {
        wish(n as u32, Priority::ALL[*priority], &steps[n])
    };
    lines.iter().enumerate().map(of).collect()
}

proptest! {
    #[test]
    fn a_first_allocation_never_exceeds_the_estimate(
        lines in any_wishes(),
        estimate in 0u64..8_000_000,
    ) {
        let ladders: Vec<_> = lines.iter().map(|(_, rates)| steps(rates)).collect();
        let wishes = wishes_of(&lines, &ladders);
        let mut viewer = Viewer::new();
        let outlook = viewer.at(estimate, &wishes);
        prop_assert!(outlook.granted <= estimate);
        prop_assert_eq!(outlook.granted, viewer.grants.iter().map(|g| g.rate).sum::<u64>());
    }

    #[test]
    fn nor_does_any_later_one_beyond_the_margin_and_the_teacher_is_always_heard(
        lines in any_wishes(),
        estimates in prop::collection::vec((0u64..8_000_000, 0u64..3000), 1..60),
    ) {
        let ladders: Vec<_> = lines.iter().map(|(_, rates)| steps(rates)).collect();
        let mut wishes = wishes_of(&lines, &ladders);
        wishes.push(wish(99, Priority::TeacherAudio, &VOICE));
        let mut viewer = Viewer::new();
        let (mut shown, mut turned) = (viewer.shown(), viewer.now);
        for (estimate, pause) in estimates {
            viewer.now += Duration::from_millis(pause);
            let share = if viewer.now - turned < YOUNG { KEEP_YOUNG } else { KEEP };
            let outlook = viewer.at(estimate, &wishes);
            if viewer.shown() != shown {
                (shown, turned) = (viewer.shown(), viewer.now);
            }
            let voice = viewer.grants.last().unwrap();
            prop_assert!(voice.target.is_some());
            let rest = outlook.granted - voice.rate;
            prop_assert!(rest * share / 100 <= estimate + 100);
            prop_assert!(outlook.wanted.is_none_or(|w| w.next * 21 / 20 + 1 > estimate));
        }
    }

    /// The higher the estimate, the better the most important line that changes.
    #[test]
    fn more_is_never_worse_for_what_matters_most(
        ladders in prop::collection::vec(prop::collection::vec(1_000u64..3_000_000, 1..7), 5),
        estimate in 0u64..8_000_000,
        more in 0u64..2_000_000,
    ) {
        let lines: Vec<_> = ladders.into_iter().enumerate().map(|(n, l)| (n + 1, l)).collect();
        let ladders: Vec<_> = lines.iter().map(|(_, rates)| steps(rates)).collect();
        let wishes = wishes_of(&lines, &ladders);
        let (mut less, mut plenty) = (Viewer::new(), Viewer::new());
        less.at(estimate, &wishes);
        plenty.at(estimate + more, &wishes);
        prop_assert!(less.shown() <= plenty.shown(), "{:?} {:?}", less.shown(), plenty.shown());
    }

    /// No line of lower priority has anything that the next step of a higher one could use.
    #[test]
    fn a_lower_priority_gets_only_what_a_higher_one_cannot_use(
        lines in any_wishes(),
        estimate in 0u64..8_000_000,
    ) {
        let ladders: Vec<_> = lines.iter().map(|(_, rates)| steps(rates)).collect();
        let wishes = wishes_of(&lines, &ladders);
        let mut viewer = Viewer::new();
        viewer.at(estimate, &wishes);
        for (n, wish) in wishes.iter().enumerate() {
            let others = wishes.iter().zip(&viewer.grants).enumerate();
            let used: u64 = others
                .filter(|(m, (w, _))| *m != n && w.priority <= wish.priority)
                .map(|(_, (_, grant))| grant.rate)
                .sum();
            let shown = viewer.grants[n].target.map_or(0, |t| usize::from(t.encoding) + 1);
            for step in &wish.steps[shown..] {
                prop_assert!(used + step.rate > estimate);
            }
        }
    }
}
