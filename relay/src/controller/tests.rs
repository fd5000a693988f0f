//! What the controller is for, told over many seeds, and what it never does, whatever happens.

use super::simulation::{Cubic, Line, Report, Sender, Source, Trunk, Way, World};
use super::*;
use proptest::prelude::*;

const SEEDS: std::ops::Range<u64> = 0..6;

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn alone(way: Way, source: Source, seed: u64, seconds: u64) -> Trunk {
    let mut world = World::new(Line::new(way), seed);
    let mut trunk = Trunk::new(world.start, source);
    world.run(seconds, &mut [(Duration::ZERO, &mut trunk as &mut dyn Sender)]);
    trunk
}

fn mean(reports: &[Report], what: impl Fn(&Report) -> f64) -> f64 {
    reports.iter().map(what).sum::<f64>() / reports.len() as f64
}

#[test]
fn a_lesson_is_in_time_on_every_kind_of_line() {
    for (name, way) in [
        ("village", Way::village()),
        ("satellite", Way::satellite()),
        ("adsl", Way::adsl()),
        ("campus", Way::campus()),
    ] {
        let mut reports = Vec::new();
        for seed in SEEDS {
            let trunk = alone(way.clone(), Source::one(2e6, way.one_way), seed, 60);
            let report = trunk.report(2.0, 58.0, &[]);
            println!("{name} {seed}: {report:?}");
            assert!(report.video > 0.99, "{name} {seed}: {report:?}");
            reports.push(report);
        }
        let (audio, video) = (mean(&reports, |r| r.audio), mean(&reports, |r| r.video));
        assert!(audio >= 0.995 && video >= 0.995, "{name}: audio {audio}, video {video}");
    }
}

#[test]
fn after_an_outage_sound_is_back_at_once_and_a_picture_within_a_second() {
    for (seed, length) in SEEDS.zip([8.0, 14.0, 20.0, 25.0].into_iter().cycle()) {
        let way = Way::village().cut(10.0, 10.0 + length);
        let trunk = alone(way.clone(), Source::one(2e6, way.one_way), seed, 45);
        let [audio, frame] = trunk.first_after(10.0 + length).map(|t| t.unwrap_or(9.0));
        println!("outage of {length} s: audio after {audio:.3}, a frame after {frame:.3}");
        assert!(audio <= 0.5 && frame <= 1.0, "{length} s: {audio} {frame}");
        let report = trunk.report(2.0, 43.0, &[(10.0, 11.0 + length)]);
        assert!(report.audio > 0.985 && report.video > 0.97, "{length} s: {report:?}");
    }
}

#[test]
fn a_line_that_becomes_slow_keeps_sound_and_a_small_picture_and_wakes_up_again() {
    let mut slow = Vec::new();
    for seed in SEEDS {
        let way = Way { loss: 0.0, ..Way::village() }.then(&[(20.0, 0.3), (50.0, 4.0)]);
        let trunk = alone(way.clone(), Source::ladder(way.one_way), seed, 80);
        let fall = trunk.report(20.0, 50.0, &[]);
        println!("{seed}: from the fall on {:.4} of the sound", fall.audio);
        assert!(fall.audio >= 0.988, "{seed}: the fall costs a third of a second: {fall:?}");
        println!("{seed}: {:?} {:?}", trunk.report(25.0, 50.0, &[]), trunk.changes);
        assert_eq!(trunk.layer_at(25.0), 150e3, "{seed}: five seconds after the fall");
        assert_eq!(trunk.layer_at(65.0), 2000e3, "{seed}: fifteen after the return");
        let report = trunk.report(25.0, 50.0, &[]);
        assert!(report.audio >= 0.99 && report.video >= 0.99, "{seed}: {report:?}");
        slow.push(report);
        let down = trunk.changes.iter().filter(|(at, _)| (s(25.0)..s(50.0)).contains(at));
        assert_eq!(down.count(), 0, "{seed}: no to and fro meanwhile");
    }
    let (audio, video) = (mean(&slow, |r| r.audio), mean(&slow, |r| r.video));
    println!("audio {audio} video {video}");
    assert!(audio >= 0.997 && video >= 0.995, "audio {audio}, video {video}");
}

#[test]
fn neither_a_download_nor_the_trunk_beside_it_starves() {
    for loss in [0.0, 0.5] {
        let mut reports = Vec::new();
        for (seed, first) in SEEDS.zip([true, false].into_iter().cycle()) {
            let way = Way { loss: loss / 100.0, ..Way::new(4.0, 80, 5, 0.0, 1.0) };
            let (trunk_at, tcp_at) = if first { (0.0, 10.0) } else { (10.0, 0.0) };
            let mut world = World::new(Line::new(way.clone()), seed);
            let mut trunk = Trunk::new(world.start + s(trunk_at), Source::ladder(way.one_way));
            let mut tcp = Cubic::new();
            tcp.count_from = Some(world.start + s(30.0));
            world.run(90, &mut [(s(trunk_at), &mut trunk), (s(tcp_at), &mut tcp)]);
            let report = trunk.report(30.0 - trunk_at, 88.0 - trunk_at, &[]);
            let download = tcp.arrived as f64 * 8.0 / 60.0;
            println!("{loss} % {seed}: download {download:.0} bit/s, {report:?}");
            assert!(download > 1e6, "a quarter of the line: {download}");
            assert!(report.audio > 0.96, "{seed}: {report:?}");
            reports.push(report);
        }
        let media = mean(&reports, |r| r.media);
        println!("{loss} %: {media:.0} bit/s of video in time");
        assert!(media > 400e3, "a small picture at least: {media}");
    }
}

#[test]
fn beside_a_download_sound_and_a_picture_of_middle_size_are_in_time() {
    for queue in [0.2, 0.1] {
        let mut reports = Vec::new();
        for (seed, tcp_at) in (0..9).zip([7.0, 0.0, 20.0].into_iter().cycle()) {
            let way = Way { queue, ..Way::new(4.0, 50, 0, 0.0, 1.0) };
            let mut world = World::new(Line::new(way.clone()), seed);
            let source = Source { layers: vec![125e3, 500e3, 2000e3], one_way: way.one_way };
            let mut trunk = Trunk::new(world.start + s(3.0), source);
            let mut tcp = Cubic::new();
            tcp.count_from = Some(world.start + s(27.0));
            world.run(87, &mut [(s(3.0), &mut trunk), (s(tcp_at), &mut tcp)]);
            let report = trunk.report(24.0, 82.0, &[]);
            let download = tcp.arrived as f64 * 8.0 / 60.0;
            let changes = &trunk.changes;
            println!("queue {queue} {seed}: download {download:.0} bit/s, {report:?} {changes:?}");
            assert!(download > 1e6, "a quarter of the line: {download}");
            assert!(report.media > 400e3 && report.shown > 0.97, "{seed}: {report:?}");
            reports.push(report);
        }
        let (audio, shown) = (mean(&reports, |r| r.audio), mean(&reports, |r| r.shown));
        println!("queue {queue}: audio {audio}, pictures {shown}");
        assert!(audio >= 0.995 && shown >= 0.99, "audio {audio}, pictures {shown}");
    }
}

#[test]
fn four_trunks_on_one_line_are_equal_within_a_fifth() {
    for seed in SEEDS {
        let way = Way::new(4.0, 80, 5, 0.0, 1.0);
        let mut world = World::new(Line::new(way.clone()), seed);
        let starts = [0.0, 3.0, 6.0, 9.0];
        let mut trunks =
            starts.map(|at| Trunk::new(world.start + s(at), Source::ladder(way.one_way)));
        let mut senders: Vec<_> = trunks
            .iter_mut()
            .zip(starts)
            .map(|(trunk, at)| (s(at), trunk as &mut dyn Sender))
            .collect();
        world.run(180, &mut senders);
        let estimate = |t: &Trunk| {
            let last = t.estimates.iter().rev().take(900);
            last.clone().sum::<f64>() / last.count() as f64
        };
        let estimates: Vec<_> = trunks.iter().map(estimate).collect();
        let media: Vec<_> =
            trunks.iter().map(|t| t.report(90.0, 170.0, &[]).media as u64).collect();
        println!("{seed}: estimates {estimates:.0?}, video in time {media:?}");
        let mean = estimates.iter().sum::<f64>() / 4.0;
        assert!(estimates.iter().all(|e| (e / mean - 1.0).abs() < 0.2), "{seed}: {estimates:?}");
    }
}

#[test]
fn four_trunks_that_start_at_once_soon_have_the_same_picture() {
    const TOGETHER: [f64; 4] = [0.0, 0.001, 0.001, 0.002];
    const ALMOST: [f64; 4] = [0.0, 0.05, 0.1, 0.2];
    for (seed, starts) in SEEDS.flat_map(|seed| [(seed, TOGETHER), (seed, ALMOST)]) {
        let way = Way::new(4.0, 50, 0, 0.0, 1.0);
        let mut world = World::new(Line::new(way.clone()), seed);
        let source = || Source { layers: vec![125e3, 500e3, 2000e3], one_way: way.one_way };
        let mut trunks = starts.map(|at| Trunk::new(world.start + s(at), source()));
        let mut senders: Vec<_> = trunks
            .iter_mut()
            .zip(starts)
            .map(|(trunk, at)| (s(at), trunk as &mut dyn Sender))
            .collect();
        world.run(52, &mut senders);
        let media = trunks.each_ref().map(|t| t.report(10.0, 50.0, &[]).media as u64);
        println!("{seed}: video in time {media:?}");
        let (least, most) = (media.iter().min().unwrap(), media.iter().max().unwrap());
        assert!(least * 10 >= most * 8, "{seed}: {media:?}");
        let last = trunks.each_ref().map(|t| t.layer_at(30.0));
        assert_eq!(last, [500e3; 4], "{seed}: half a minute after they began");
    }
}

#[test]
fn an_idle_sender_learns_nothing_and_asks_for_nothing() {
    let start = Instant::now();
    let mut controller = MediaController::new(start, 1200);
    for ms in (0..30_000u64).step_by(20) {
        let now = start + Duration::from_millis(ms);
        controller.on_sent(now, 200);
        controller.on_ack(now, now - Duration::from_millis(80).min(now - start), 200);
        controller.on_acks_end(now, 200);
    }
    assert_eq!(controller.state().estimate, 3_000_000);
    assert_eq!(controller.pad_to(), 0.0);
}

#[derive(Debug, Clone)]
enum Happens {
    Sent(u32),
    Acked(u16, u32),
    Ends(u32),
    Lost(u16, u32),
    Mtu(u16),
    Want(u32),
    NewWay,
}

fn happens() -> impl Strategy<Value = (u16, Happens)> {
    let what = prop_oneof![
        (0u32..200_000).prop_map(Happens::Sent),
        (0u16..5000, 0u32..100_000).prop_map(|(age, bytes)| Happens::Acked(age, bytes)),
        (0u32..2_000_000).prop_map(Happens::Ends),
        (0u16..5000, 0u32..100_000).prop_map(|(age, bytes)| Happens::Lost(age, bytes)),
        (1200u16..1500).prop_map(Happens::Mtu),
        (0u32..10_000_000).prop_map(Happens::Want),
        Just(Happens::NewWay),
    ];
    (0u16..3000, what)
}

fn live(controller: &mut MediaController, now: Instant, what: &Happens) {
    let ago = |ms: u16| now - Duration::from_millis(ms.into());
    match *what {
        Happens::Sent(bytes) => controller.on_sent(now, bytes.into()),
        Happens::Acked(age, bytes) => controller.on_ack(now, ago(age), bytes.into()),
        Happens::Ends(in_flight) => controller.on_acks_end(now, in_flight.into()),
        Happens::Lost(age, bytes) => controller.on_lost(now, ago(age), bytes.into()),
        Happens::Mtu(mtu) => controller.on_mtu(mtu),
        Happens::Want(rate) => controller.on_want(rate.into()),
        Happens::NewWay => controller.on_new_way(now),
    }
}

proptest! {
    #[test]
    fn the_window_is_never_shut_nor_boundless(story in prop::collection::vec(happens(), 0..300)) {
        let mut now = Instant::now() + s(10.0);
        let mut controller = MediaController::new(now, 1200);
        for (wait, what) in story {
            now += Duration::from_millis(wait.into());
            live(&mut controller, now, &what);
            let rates = MIN_RATE..=MAX_RATE;
            prop_assert!(rates.contains(&controller.rate));
            prop_assert!(rates.contains(&controller.send_rate()));
            prop_assert!((0.0..=MAX_RATE).contains(&controller.pad_to()));
            prop_assert!((0.0..=1.0).contains(&controller.steady_loss()));
            let window = controller.window(now);
            prop_assert!(window >= MIN_DATAGRAMS * 1200);
            // Rate, the longest round trip above and an outage of the story's length.
            prop_assert!(window < (MAX_RATE * 5.2 * HEADROOM) as u64 + 900 * 16_000);
        }
    }

    #[test]
    fn whatever_went_before_a_good_line_is_used_again(
        story in prop::collection::vec(happens(), 0..200),
    ) {
        let mut now = Instant::now() + s(10.0);
        let mut controller = MediaController::new(now, 1200);
        for (wait, what) in story {
            now += Duration::from_millis(wait.into());
            live(&mut controller, now, &what);
        }
        controller.on_want(START_RATE);
        // A line of 80 ms without a queue, used as far as the controller lets it be.
        let rtt = Duration::from_millis(80);
        for _ in 0..12_000 {
            now += Duration::from_millis(10);
            let bytes = (controller.send_rate().min(1.2 * START_RATE) / 100.0) as u64;
            controller.on_sent(now, bytes);
            controller.on_ack(now, now - rtt, bytes);
            controller.on_acks_end(now, bytes);
        }
        prop_assert!(controller.rate >= START_RATE, "{controller:?}");
    }
}
