//! What must hold of a line whatever its figures.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// A datagram that knows its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Numbered {
    number: usize,
    size: usize,
}

impl Datagram for Numbered {
    fn size(&self) -> usize {
        self.size
    }
}

/// What came out, and when, counted from the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Arrival {
    at: Duration,
    number: usize,
    size: usize,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn steady(conditions: Conditions, seed: u64) -> (Line<Numbered>, Instant) {
    let start = Instant::now();
    (Line::new(&Course::steady(conditions), None, seed, 0, start), start)
}

/// A course as it would be written.
fn written(text: &str) -> Profile {
    Profile::named(text, std::path::Path::new("/nowhere")).unwrap_or_else(|e| panic!("{e}"))
}

fn line_of(text: &str) -> (Line<Numbered>, Instant) {
    let start = Instant::now();
    (Link::new(&written(text), start).down, start)
}

/// Pushes what is given, polling exactly when the line asks for it, until nothing is left in it.
fn drive(line: &mut Line<Numbered>, start: Instant, input: &[(Duration, usize)]) -> Vec<Arrival> {
    let mut out = Vec::new();
    for (number, (at, size)) in input.iter().enumerate() {
        while let Some(next) = line.next().filter(|next| *next < start + *at) {
            take(line, start, next, &mut out);
        }
        line.push(start + *at, Numbered { number, size: *size });
        take(line, start, start + *at, &mut out);
    }
    while let Some(next) = line.next() {
        take(line, start, next, &mut out);
    }
    assert_eq!(line.counters().late, 0, "it said when to poll");
    out
}

fn take(line: &mut Line<Numbered>, start: Instant, now: Instant, out: &mut Vec<Arrival>) {
    while let Some(Numbered { number, size }) = line.poll(now) {
        out.push(Arrival { at: now - start, number, size });
    }
    assert!(line.next().is_none_or(|next| next > now), "time goes on");
}

/// `count` datagrams of one size, evenly apart.
fn even(count: u64, apart: Duration, size: usize) -> Vec<(Duration, usize)> {
    (0..count).map(|n| (apart * u32::try_from(n).unwrap(), size)).collect()
}

fn numbers(arrivals: &[Arrival]) -> Vec<usize> {
    arrivals.iter().map(|arrival| arrival.number).collect()
}

fn balanced(line: &Line<Numbered>) -> bool {
    let Counters { received, duplicated, sent, lost, cut, dropped, held, .. } = line.counters();
    received + duplicated == sent + lost + cut + dropped + held
}

fn wire_bits(size: usize) -> u64 {
    (size + OVERHEAD) as u64 * 8
}

/// Datagrams at any time within 2 s, in order of time.
fn inputs() -> impl Strategy<Value = Vec<(Duration, usize)>> {
    prop::collection::vec((0u64..2_000_000, 0usize..1500), 1..300).prop_map(|mut input| {
        input.sort_unstable();
        input.into_iter().map(|(us, size)| (Duration::from_micros(us), size)).collect()
    })
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    let queue = prop_oneof![
        (0u64..500).prop_map(|time| Queue::Time(ms(time))),
        (0u64..100_000).prop_map(Queue::Bytes)
    ];
    let rate = prop_oneof![
        1 => Just(Rate::UNLIMITED),
        4 => (50_000u64..20_000_000).prop_map(Rate::bits_per_second)
    ];
    let bursts = (0.0..0.4f64, 1.0..20.0f64, 0.0..=1.0f64)
        .prop_map(|(share, length, loss)| Bursts { share, length, loss });
    let chances = (0.0..=1.0f64, bursts, 0.0..=1.0f64, 0.0..=1.0f64);
    let times = (0u64..300, 0u64..100, any::<bool>(), 0u64..50);
    (rate, 0u64..20_000, queue, times, chances).prop_map(|(rate, burst, queue, times, chances)| {
        let (delay, jitter, jitter_reorders, reorder_by) = times;
        let (loss, bursts, reorder, duplicate) = chances;
        Conditions {
            rate,
            burst,
            queue,
            delay: ms(delay),
            jitter: ms(jitter),
            jitter_reorders,
            loss,
            bursts,
            reorder,
            reorder_by: ms(reorder_by),
            duplicate,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_goes_in_comes_out_or_is_accounted_for(
        conditions in any_conditions(),
        input in inputs(),
        seed in any::<u64>(),
    ) {
        let (mut line, start) = steady(conditions, seed);
        for (number, (at, size)) in input.iter().enumerate() {
            line.push(start + *at, Numbered { number, size: *size });
            prop_assert!(balanced(&line));
            while line.poll(start + *at).is_some() {
                prop_assert!(balanced(&line));
            }
        }
        let end = start + Duration::from_secs(3600);
        while line.poll(end).is_some() {}
        prop_assert!(balanced(&line));
        prop_assert_eq!(line.counters().held, 0);
        prop_assert_eq!(line.counters().received, input.len() as u64);
        prop_assert_eq!(line.next(), None);
    }

    #[test]
    fn one_seed_and_one_input_are_one_output(
        conditions in any_conditions(),
        input in inputs(),
        seed in any::<u64>(),
    ) {
        let run = || {
            let (mut line, start) = steady(conditions, seed);
            let out = drive(&mut line, start, &input);
            (out, line.counters())
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn when_it_is_polled_does_not_matter(
        conditions in any_conditions(),
        input in inputs(),
        seed in any::<u64>(),
        polls in prop::collection::vec(0u64..2_000_000, 0..100),
    ) {
        let (mut line, start) = steady(conditions, seed);
        let exact: BTreeSet<_> =
            drive(&mut line, start, &input).into_iter().map(|a| (a.at, a.number)).collect();

        // The same line with steps in between that nobody asked for.
        let (mut line, start) = steady(conditions, seed);
        let mut steps: Vec<(Duration, Option<(usize, usize)>)> =
            polls.into_iter().map(|us| (Duration::from_micros(us), None)).collect();
        steps.extend(input.iter().enumerate().map(|(n, (at, size))| (*at, Some((n, *size)))));
        steps.sort_by_key(|(at, pushed)| (*at, pushed.map(|(number, _)| number)));
        let mut seen = BTreeSet::new();
        let mut see = |line: &mut Line<Numbered>, until: Instant| {
            while let Some(next) = line.next().filter(|next| *next <= until) {
                while let Some(datagram) = line.poll(next) {
                    seen.insert((next - start, datagram.number));
                }
            }
        };
        for (at, pushed) in steps {
            see(&mut line, start + at);
            match pushed {
                Some((number, size)) => line.push(start + at, Numbered { number, size }),
                None => prop_assert!(line.poll(start + at).is_none()),
            }
        }
        see(&mut line, start + Duration::from_secs(3600));
        prop_assert_eq!(seen, exact);
    }

    #[test]
    fn the_rate_is_never_exceeded(
        rate in 50_000u64..20_000_000,
        burst in 0u64..20_000,
        input in inputs(),
    ) {
        let conditions = Conditions {
            rate: Rate::bits_per_second(rate),
            burst,
            queue: Queue::Bytes(1 << 20),
            delay: ms(30),
            ..Conditions::default()
        };
        let (mut line, start) = steady(conditions, 1);
        let out = drive(&mut line, start, &input);
        prop_assert_eq!(out.len(), input.len());
        for (i, first) in out.iter().enumerate() {
            let mut carried = 0;
            for last in &out[i..] {
                carried += wire_bits(last.size);
                // Of the first datagram of a window all but the last bit may have been paid for.
                let earned = (last.at - first.at).as_secs_f64() * rate as f64;
                let most = earned + (burst * 8) as f64 + wire_bits(first.size) as f64 + 1.0;
                prop_assert!(carried as f64 <= most, "{carried} bits where {most} may be");
            }
        }
    }

    #[test]
    fn every_datagram_takes_the_delay_and_no_more_than_queue_and_jitter_allow(
        rate in 50_000u64..20_000_000,
        queue in 0u64..500,
        delay in 0u64..300,
        jitter in 0u64..100,
        jitter_reorders in any::<bool>(),
        input in inputs(),
        seed in any::<u64>(),
    ) {
        let conditions = Conditions {
            rate: Rate::bits_per_second(rate),
            queue: Queue::Time(ms(queue)),
            delay: ms(delay),
            jitter: ms(jitter),
            jitter_reorders,
            ..Conditions::default()
        };
        let (mut line, start) = steady(conditions, seed);
        for arrival in drive(&mut line, start, &input) {
            let took = arrival.at - input[arrival.number].0;
            let sending = Duration::from_secs_f64(wire_bits(arrival.size) as f64 / rate as f64);
            let nanosecond = Duration::from_nanos(1);
            prop_assert!(took + nanosecond >= ms(delay) + sending, "{took:?}");
            prop_assert!(took <= ms(queue + delay + jitter) + sending + nanosecond, "{took:?}");
        }
    }

    #[test]
    fn nothing_is_overtaken_unless_asked_for(
        conditions in any_conditions(),
        input in inputs(),
        seed in any::<u64>(),
    ) {
        let conditions = Conditions {
            jitter_reorders: false,
            reorder: 0.0,
            duplicate: 0.0,
            ..conditions
        };
        let (mut line, start) = steady(conditions, seed);
        let out = numbers(&drive(&mut line, start, &input));
        prop_assert!(out.is_sorted(), "{out:?}");
        prop_assert_eq!(line.counters().reordered, 0);
    }
}

#[test]
fn the_share_lost_is_the_share_asked_for() {
    for seed in 0..20 {
        let conditions = Conditions { loss: 0.05, ..Conditions::default() };
        let (mut line, start) = steady(conditions, seed);
        let out = drive(&mut line, start, &even(20_000, ms(1), 100));
        let lost = 1.0 - out.len() as f64 / 20_000.0;
        // Four standard deviations of a binomial of 20,000.
        assert!((lost - 0.05).abs() < 4.0 * (0.05f64 * 0.95 / 20_000.0).sqrt(), "{seed}: {lost}");
    }
}

#[test]
fn bursts_are_as_long_and_as_many_as_asked_for() {
    for seed in 0..20 {
        let bursts = Bursts { share: 0.04, length: 5.0, loss: 1.0 };
        let conditions = Conditions { bursts, ..Conditions::default() };
        let (mut line, start) = steady(conditions, seed);
        let arrived: BTreeSet<_> =
            numbers(&drive(&mut line, start, &even(50_000, ms(1), 100))).into_iter().collect();
        let lost: Vec<bool> = (0..50_000).map(|number| !arrived.contains(&number)).collect();
        let runs: Vec<usize> =
            lost.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len).collect();
        let share = runs.iter().sum::<usize>() as f64 / lost.len() as f64;
        let length = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
        assert!((0.03..0.05).contains(&share), "{seed}: share {share}");
        assert!((4.0..6.0).contains(&length), "{seed}: length {length}");
        // Geometric, not all alike.
        assert!(runs.contains(&1) && runs.iter().any(|run| *run > 10), "{seed}");
    }
}

#[test]
fn loss_within_bursts_and_between_them_add_up() {
    let (mut line, start) = line_of("loss=1%,burst_share=10%,burst_length=8,burst_loss=50%");
    let out = drive(&mut line, start, &even(100_000, ms(1), 100));
    let lost = 1.0 - out.len() as f64 / 100_000.0;
    let expected = 0.9 * 0.01 + 0.1 * 0.5;
    assert!((lost - expected).abs() < 0.006, "{lost} lost where {expected} were expected");
}

#[test]
fn what_is_lost_does_not_depend_on_the_jitter() {
    let lost = |text: &str| {
        let (mut line, start) = line_of(text);
        drive(&mut line, start, &even(2_000, ms(1), 100))
            .into_iter()
            .map(|arrival| arrival.number)
            .collect::<BTreeSet<_>>()
    };
    let plain = lost("loss=10%");
    assert_eq!(plain, lost("loss=10%,jitter=30ms,jitter_reorders=true,reorder=5%"));
    assert_ne!(plain, lost("loss=10%,seed=2"));
}

#[test]
fn the_two_directions_have_one_seed_and_not_one_fortune() {
    let start = Instant::now();
    let mut link: Link<Numbered> = Link::new(&written("loss=10%"), start);
    let input = even(1_000, ms(1), 100);
    let up = numbers(&drive(&mut link.up, start, &input));
    let down = numbers(&drive(&mut link.down, start, &input));
    assert_ne!(up, down);
}

#[test]
fn reordered_datagrams_come_later_by_what_was_asked_and_the_others_in_order() {
    let (mut line, start) = line_of("delay=20ms,reorder=10%,reorder_by=15ms");
    let input = even(1_000, ms(2), 100);
    let out = drive(&mut line, start, &input);
    let (back, straight): (Vec<_>, Vec<_>) =
        out.iter().partition(|arrival| arrival.at - input[arrival.number].0 == ms(35));
    assert!((60..140).contains(&back.len()), "{} of 1000 held back", back.len());
    assert!(straight.iter().all(|arrival| arrival.at - input[arrival.number].0 == ms(20)));
    assert!(straight.is_sorted_by_key(|arrival| arrival.number));
    // Of the last datagrams none may be left to overtake.
    let overtaken = line.counters().reordered;
    assert!(back.len() as u64 - overtaken <= 3, "{overtaken} of {} overtaken", back.len());
}

#[test]
fn jitter_may_reorder_when_told_to() {
    let (mut line, start) = line_of("jitter=30ms,jitter_reorders=true");
    let out = numbers(&drive(&mut line, start, &even(1_000, ms(1), 100)));
    assert!(!out.is_sorted());
    assert!(line.counters().reordered > 100);
}

#[test]
fn duplicates_come_besides_and_take_their_room() {
    let (mut line, start) = line_of("rate=1mbit,queue=1MB,duplicate=100%");
    let out = drive(&mut line, start, &even(10, ms(0), 1222));
    assert_eq!(out.len(), 20);
    assert_eq!(out.last().unwrap().at, ms(200), "20 packets of 10,000 bits at 1 Mbit/s");
    assert_eq!(line.counters().duplicated, 10);
}

#[test]
fn an_outage_loses_everything_that_comes_meanwhile_and_nothing_else() {
    let (mut line, start) = line_of("delay=30ms,outage=100ms+50ms");
    let input = even(200, ms(1), 100);
    let out = numbers(&drive(&mut line, start, &input));
    let expected: Vec<_> = (0..100).chain(150..200).collect();
    assert_eq!(out, expected);
    assert_eq!(line.counters().cut, 50);
}

#[test]
fn a_full_queue_drops_what_comes_last() {
    // 10 ms each on the line; 100 ms of them may wait.
    let (mut line, start) = line_of("rate=1mbit,queue=100ms");
    let out = drive(&mut line, start, &even(30, ms(0), 1222));
    assert_eq!(numbers(&out), (0..11).collect::<Vec<_>>());
    assert_eq!(line.counters().dropped, 19);
    let (mut line, start) = line_of("rate=1mbit,queue=5kB");
    assert_eq!(
        numbers(&drive(&mut line, start, &even(30, ms(0), 1222))),
        (0..5).collect::<Vec<_>>()
    );
}

#[test]
fn a_bucket_lets_a_burst_through_after_a_pause() {
    // Four packets of 1250 bytes fit into the bucket; the fifth waits for its 10 ms.
    let (mut line, start) = line_of("rate=1mbit,burst=5kB");
    let at = Duration::from_secs(1);
    let out = drive(&mut line, start, &[(at, 1222); 6]);
    let after: Vec<_> = out.iter().map(|arrival| (arrival.at - at).as_millis()).collect();
    assert_eq!(after, [0, 0, 0, 0, 10, 20]);
}

#[test]
fn what_already_waits_leaves_at_the_new_rate() {
    // 100 packets of 10,000 bits: half of them at 10 Mbit/s, the rest at 1 Mbit/s.
    let (mut line, start) = line_of("rate=10mbit,queue=1MB,rate@50ms=1mbit");
    let out = drive(&mut line, start, &even(100, ms(0), 1222));
    assert_eq!(out[49].at, ms(50));
    assert_eq!(out[50].at, ms(60));
    assert_eq!(out[99].at, ms(550));
}

#[test]
fn a_course_that_repeats_begins_again() {
    let (mut line, start) = line_of("delay=10ms,delay@1s=40ms,outage=1500ms+500ms,repeat=2s");
    let input = even(6_000, ms(1), 100);
    let out = drive(&mut line, start, &input);
    for arrival in &out {
        let phase = u64::try_from(input[arrival.number].0.as_millis()).unwrap() % 2_000;
        assert!(phase < 1_500, "nothing passes during the outage");
        let took = arrival.at - input[arrival.number].0;
        let first_after = phase < 40;
        assert!(
            took == ms(if phase < 1_000 { 10 } else { 40 }) || first_after,
            "{phase}: {took:?}"
        );
    }
    assert_eq!(out.len(), 4_500);
}

#[test]
fn a_running_link_is_changed_at_once_or_not_at_all() {
    let start = Instant::now();
    let mut link: Link<Numbered> = Link::new(&written("rate=4mbit"), start);
    link.change(start + ms(5), &"up.rate=1mbit,down.delay=3ms".parse().unwrap()).unwrap();
    assert_eq!(link.up.conditions().rate, Rate::bits_per_second(1_000_000));
    assert_eq!(link.down.conditions().delay, ms(3));
    let wrong = "up.rate=2mbit,down.burst_share=100%".parse().unwrap();
    assert!(link.change(start + ms(6), &wrong).unwrap_err().contains("nothing between"));
    assert_eq!(link.up.conditions().rate, Rate::bits_per_second(1_000_000));
}

#[test]
fn a_line_holds_a_bounded_number_and_says_what_it_dropped() {
    let (mut line, start) = line_of("delay=1min");
    for number in 0..MAX_HELD + 10 {
        line.push(start, Numbered { number, size: 10 });
    }
    assert_eq!(line.counters().held, MAX_HELD as u64);
    assert_eq!(line.counters().dropped, 10);
}

#[test]
fn who_polls_late_is_told_so() {
    let (mut line, start) = line_of("delay=10ms");
    line.push(start, Numbered { number: 0, size: 10 });
    assert_eq!(line.next(), Some(start + ms(10)));
    assert!(line.poll(start + ms(17)).is_some());
    assert_eq!((line.counters().late, line.counters().latest_us), (1, 7_000));
}
