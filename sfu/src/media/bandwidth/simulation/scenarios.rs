//! What viewers on such lines get to see. `SIMULATION_TRACE=1 SIMULATION_SEED=n` shows a run
//! second by second.

use super::link::{Conditions, Link};
use super::viewer::{Seen, Viewer};
use crate::media::bandwidth::Feedbacks;
use crate::media::bandwidth::Feedbacks::TransportWide;

const START: u64 = 600_000;

/// The first so many, or the one named by `SIMULATION_SEED`.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let named = std::env::var("SIMULATION_SEED").ok().and_then(|seed| seed.parse().ok());
    named.map_or(0..count, |seed| seed..seed + 1)
}

/// Runs viewers behind one line, each from its own second on.
fn run(
    conditions: Conditions,
    from: &[(f64, u64, Feedbacks)],
    seconds: f64,
    seed: u64,
) -> Vec<Seen> {
    let mut link = Link::new(conditions, seed);
    let mut viewers: Vec<Viewer> = Vec::new();
    for now in (0..(seconds * 1e6) as i64).step_by(1000) {
        if let Some((begin, start, feedbacks)) = from.get(viewers.len())
            && now as f64 >= begin * 1e6
        {
            viewers.push(Viewer::new(viewers.len(), *start, *feedbacks, now, seed));
        }
        for viewer in &mut viewers {
            viewer.run(&mut link, now);
        }
        for (at, packet) in link.advance(now) {
            viewers[packet.flow].arrive(packet, at);
        }
        for viewer in &mut viewers {
            viewer.tell(&link, now);
        }
    }
    if std::env::var_os("SIMULATION_TRACE").is_some() {
        for viewer in &viewers {
            trace(&viewer.seen);
        }
    }
    viewers.into_iter().map(|v| v.seen).collect()
}

fn trace(seen: &Seen) {
    for second in 0..seen.estimates.len() / 20 {
        let at = second as f64;
        let target = seen.at(at + 0.999).map(|t| (t.encoding, t.temporal));
        let queue = seen.longest_queue(at, at + 1.0);
        let estimate = seen.estimate_at(at + 0.999) / 1000;
        eprintln!("{second:4} s {target:?} estimate {estimate} kbit/s, queue {queue} ms");
    }
    eprintln!("{} switches, {} of {} bytes padding", seen.wanted.len(), seen.padding, seen.sent);
}

fn alone(conditions: Conditions, start: u64, seconds: f64, seed: u64) -> Seen {
    run(conditions, &[(0.0, start, TransportWide)], seconds, seed).remove(0)
}

fn encoding(seen: &Seen, at_s: f64) -> Option<u8> {
    seen.at(at_s).map(|t| t.encoding)
}

const BEST: Option<(u8, u8)> = Some((2, 2));

fn shown(seen: &Seen, at_s: f64) -> Option<(u8, u8)> {
    seen.at(at_s).map(|t| (t.encoding, t.temporal))
}

#[test]
fn a_viewer_on_a_good_line_has_the_best_picture_within_seconds() {
    for seed in seeds(10) {
        for (rate, start) in [(4e6, START), (20e6, START), (4e6, 300_000)] {
            let seen = alone(Conditions::steady(rate), start, 30.0, seed);
            assert_eq!(shown(&seen, 5.0), BEST, "seed {seed}, {rate} from {start}");
            assert_eq!(seen.switches(5.0), 0, "seed {seed}, {rate} from {start}");
            assert!(seen.longest_queue(0.0, 30.0) < 150, "seed {seed}");
            assert!(seen.longest_freeze(3.0) < 200, "seed {seed}");
        }
    }
}

#[test]
fn a_line_that_narrows_and_widens_again_is_followed() {
    for seed in seeds(20) {
        let rate = vec![(0, 4e6), (20_000_000, 0.8e6), (50_000_000, 4e6)];
        let conditions = Conditions { rate, ..Conditions::steady(4e6) };
        let seen = alone(conditions, START, 90.0, seed);
        assert_eq!(shown(&seen, 19.9), BEST, "seed {seed}");
        for at in [23.0, 30.0, 40.0, 49.9] {
            assert_eq!(encoding(&seen, at), Some(1), "seed {seed}, at {at}");
        }
        let queue = seen.longest_queue(20.0, 50.0);
        assert!(queue <= 500, "seed {seed}: {queue} ms");
        assert!(seen.longest_queue(23.0, 50.0) <= 250, "seed {seed}");
        assert_eq!(shown(&seen, 65.0), BEST, "seed {seed}");
        assert!(seen.longest_freeze(3.0) <= 500, "seed {seed}: {}", seen.longest_freeze(3.0));
    }
}

#[test]
fn a_line_that_narrows_just_after_somebody_joined_is_followed_as_soon() {
    for seed in seeds(10) {
        for cut in [0.3, 0.7, 1.0, 1.3, 2.0, 3.0, 5.0] {
            let rate = vec![(0, 4e6), ((cut * 1e6) as i64, 0.8e6)];
            let conditions = Conditions { rate, queue_us: 300_000, ..Conditions::steady(4e6) };
            let seen = alone(conditions, 3_000_000, cut + 20.0, seed);
            for after in [1.0, 3.0, 10.0, 19.9] {
                let shown = encoding(&seen, cut + after);
                assert!(shown <= Some(1), "seed {seed}, cut at {cut}: {shown:?} {after} s later");
            }
            let freeze = seen.longest_freeze(0.5);
            assert!(freeze <= 500, "seed {seed}, cut at {cut}: {freeze} ms");
        }
    }
}

#[test]
fn five_percent_of_random_loss_costs_no_layer() {
    for seed in seeds(10) {
        for rate in [4e6, 10e6] {
            let conditions =
                Conditions { loss: 0.05, delay_us: 50_000, ..Conditions::steady(rate) };
            let seen = alone(conditions, 3_000_000, 120.0, seed);
            assert_eq!(shown(&seen, 1.0), BEST, "seed {seed}, {rate}");
            assert_eq!(seen.switches(0.5), 0, "seed {seed}, {rate}");
        }
    }
}

#[test]
fn with_random_loss_the_best_layer_is_found_from_below_too() {
    for seed in seeds(10) {
        let rate = vec![(0, 4e6), (20_000_000, 0.8e6), (40_000_000, 4e6)];
        let conditions =
            Conditions { rate, loss: 0.05, delay_us: 50_000, ..Conditions::steady(4e6) };
        let seen = alone(conditions, START, 70.0, seed);
        assert_eq!(shown(&seen, 10.0), BEST, "seed {seed}");
        assert_eq!(encoding(&seen, 30.0), Some(1), "seed {seed}");
        assert_eq!(shown(&seen, 55.0), BEST, "seed {seed}");
    }
}

#[test]
fn jitter_and_reordering_are_not_congestion() {
    for seed in seeds(10) {
        for (jitter_us, reorders) in [(20_000, false), (40_000, false), (10_000, true)] {
            let conditions = Conditions { jitter_us, reorders, ..Conditions::steady(6e6) };
            let seen = alone(conditions, START, 120.0, seed);
            assert_eq!(shown(&seen, 20.0), BEST, "seed {seed}, {jitter_us} µs");
            let switches = seen.switches(20.0);
            assert!(switches <= 2, "seed {seed}, {jitter_us} µs: {switches}");
        }
    }
}

#[test]
fn a_second_without_feedback_changes_nothing() {
    for seed in seeds(10) {
        let deaf = vec![15_000_000..16_000_000, 30_000_000..31_000_000];
        let seen = alone(Conditions { deaf, ..Conditions::steady(4e6) }, START, 45.0, seed);
        assert_eq!(seen.switches(5.0), 0, "seed {seed}");
    }
}

#[test]
fn a_path_that_went_silent_is_not_trusted_and_comes_back() {
    for seed in seeds(10) {
        let deaf = std::iter::once(15_000_000..22_000_000).collect();
        let seen = alone(Conditions { deaf, ..Conditions::steady(4e6) }, START, 45.0, seed);
        assert!(seen.estimate_at(21.0) < 500_000, "seed {seed}");
        assert_eq!(shown(&seen, 35.0), BEST, "seed {seed}");
    }
}

/// Share of the time in which at least this encoding was wanted.
fn share(seen: &Seen, least: u8, from_s: usize, to_s: usize) -> f64 {
    let times = (from_s * 10..to_s * 10).map(|n| n as f64 / 10.0);
    let had = times.filter(|at| encoding(seen, *at) >= Some(least)).count();
    had as f64 / (10 * (to_s - from_s)) as f64
}

#[test]
fn two_viewers_behind_one_line_share_it() {
    for seed in seeds(10) {
        let from = [(0.0, START, TransportWide), (15.0, START, TransportWide)];
        let seen = run(Conditions::steady(1.5e6), &from, 180.0, seed);
        for (n, viewer) in seen.iter().enumerate() {
            let (medium, any) = (share(viewer, 1, 60, 180), share(viewer, 0, 60, 180));
            eprintln!(
                "STAT {seed} {n} {any:.2} {medium:.2} {:.2} sw {}",
                share(viewer, 2, 60, 180),
                viewer.switches(60.0)
            );
            assert!(any > 0.8, "seed {seed}, viewer {n} sees something {any}");
            assert!(medium > 0.15, "seed {seed}, viewer {n} sees enough {medium}");
        }
        assert!(seen[0].longest_queue(60.0, 180.0) < 500, "seed {seed}");
    }
}

#[test]
fn nothing_oscillates_over_five_minutes() {
    for (n, rate) in [0.5e6, 0.8e6, 1.3e6, 1.9e6, 2.1e6, 2.3e6, 2.6e6, 3e6].into_iter().enumerate()
    {
        let seen = alone(Conditions::steady(rate), START, 300.0, n as u64);
        let (switches, encodings) = (seen.switches(10.0), encoding_changes(&seen, 10.0));
        assert!(encodings <= 4, "{rate}: {encodings} changes of encoding");
        assert!(switches <= 12, "{rate}: {switches} switches");
        let padding = seen.padding as f64 / seen.sent as f64;
        assert!(padding < 0.05, "{rate}: {padding} of it padding");
    }
}

fn encoding_changes(seen: &Seen, from_s: f64) -> usize {
    let later = seen.wanted.iter().filter(|(at, _)| *at as f64 > from_s * 1e6);
    let encodings: Vec<_> = later.map(|(_, t)| t.map(|t| t.encoding)).collect();
    encodings.windows(2).filter(|w| w[0] != w[1]).count()
}

#[test]
fn a_short_queue_that_drops_instead_of_waiting_is_found_by_its_loss() {
    for seed in seeds(10) {
        let rate = vec![(0, 4e6), (15_000_000, 0.8e6)];
        let conditions = Conditions { rate, queue_us: 30_000, ..Conditions::steady(4e6) };
        let seen = alone(conditions, START, 60.0, seed);
        for at in [20.0, 40.0, 59.0] {
            assert!(encoding(&seen, at) <= Some(1), "seed {seed}, at {at}");
        }
    }
}

#[test]
fn receiver_reports_alone_find_a_layer_that_fits() {
    for seed in seeds(10) {
        let rate = vec![(0, 4e6), (40_000_000, 0.8e6)];
        let conditions = Conditions { rate, queue_us: 200_000, ..Conditions::steady(4e6) };
        let from = [(0.0, START, Feedbacks::Reports)];
        let seen = run(conditions, &from, 80.0, seed).remove(0);
        assert_eq!(shown(&seen, 39.0), BEST, "seed {seed}");
        assert!(encoding(&seen, 50.0) <= Some(1), "seed {seed}");
        assert_eq!(seen.padding, 0);
    }
}

#[test]
fn a_line_that_narrows_to_next_to_nothing_keeps_a_small_picture_and_recovers() {
    for seed in seeds(10) {
        let rate = vec![(0, 4e6), (20_000_000, 0.3e6), (50_000_000, 4e6)];
        let seen = alone(Conditions { rate, ..Conditions::steady(4e6) }, START, 80.0, seed);
        assert!(share(&seen, 0, 25, 50) > 0.95, "seed {seed}");
        assert!(share(&seen, 2, 25, 50) == 0.0, "seed {seed}");
        assert_eq!(shown(&seen, 65.0), BEST, "seed {seed}");
    }
}

#[test]
fn where_only_a_voice_fits_the_voice_is_left_alone_most_of_the_time() {
    for seed in seeds(10) {
        let seen = alone(Conditions::steady(100e3), START, 200.0, seed);
        let late = seen.queue.iter().filter(|(at, _)| *at > 20_000_000);
        let (long, all) = late.fold((0, 0), |(long, all), (_, queue)| {
            (long + usize::from(*queue > 150_000), all + 1)
        });
        let share = long as f64 / all as f64;
        assert!(share < 0.1, "seed {seed}: queued for {share} of the time");
    }
}

#[test]
fn a_line_that_stops_for_two_seconds_is_back_at_once() {
    for seed in seeds(10) {
        let rate = vec![(0, 4e6), (20_000_000, 1e3), (22_000_000, 4e6)];
        let conditions = Conditions { rate, queue_us: 100_000, ..Conditions::steady(4e6) };
        let seen = alone(conditions, START, 45.0, seed);
        assert!(encoding(&seen, 27.0) >= Some(1), "seed {seed}");
        assert_eq!(shown(&seen, 37.0), BEST, "seed {seed}");
    }
}

#[test]
fn a_line_that_loses_every_eighth_packet_is_used_all_the_same() {
    for seed in seeds(10) {
        let conditions = Conditions { loss: 0.12, ..Conditions::steady(10e6) };
        let seen = alone(conditions, START, 120.0, seed);
        assert!(share(&seen, 2, 30, 120) > 0.8, "seed {seed}: {}", share(&seen, 2, 30, 120));
    }
}

#[test]
fn a_viewer_that_cannot_be_probed_gets_what_fits_too() {
    for seed in seeds(10) {
        let mut link = Link::new(Conditions::steady(4e6), seed);
        let mut viewer = Viewer::new(0, START, TransportWide, 0, seed);
        viewer.pads = false;
        for now in (0..90_000_000).step_by(1000) {
            viewer.run(&mut link, now);
            link.advance(now).into_iter().for_each(|(at, packet)| viewer.arrive(packet, at));
            viewer.tell(&link, now);
        }
        assert_eq!(shown(&viewer.seen, 60.0), BEST, "seed {seed}");
        assert_eq!(viewer.seen.switches(60.0), 0, "seed {seed}");
    }
}
