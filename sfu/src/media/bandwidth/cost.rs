//! What it costs, to be looked at: `cargo test --release -p cloudschool-sfu cost -- --ignored
//! --nocapture`.

use super::allocation::{Allocation, Priority, Step, Wish};
use super::simulation::feedback::Receiver;
use super::{Bandwidth, Estimator, Feedbacks, Pacer, Prober};
use crate::media::layers::Target;
use std::hint::black_box;
use std::time::{Duration, Instant};

#[test]
#[ignore = "measures, and asserts nothing about this machine"]
fn cost_of_a_packet_and_of_its_feedback() {
    let start = Instant::now();
    let mut bandwidth = Bandwidth::new(2_500_000, Feedbacks::TransportWide, start);
    let mut receiver = Receiver::default();
    let (mut sending, mut hearing, mut told) = (Duration::ZERO, Duration::ZERO, 0u32);
    const FRAMES: u32 = 60_000;
    for frame in 0..FRAMES {
        let now = start + Duration::from_micros(u64::from(frame) * 33_333);
        let mut sequences = [0; 7];
        let clock = Instant::now();
        for sequence in &mut sequences {
            *sequence = bandwidth.next_sequence();
            bandwidth.on_sent(*sequence, 1228, black_box(now));
        }
        sending += clock.elapsed();
        for (n, sequence) in sequences.into_iter().enumerate() {
            receiver.arrived(sequence, i64::from(frame) * 33_333 + n as i64 * 500);
        }
        if frame % 2 == 1 {
            let fci = receiver.report().unwrap();
            let clock = Instant::now();
            bandwidth.on_feedback(black_box(&fci), now + Duration::from_millis(40)).unwrap();
            hearing += clock.elapsed();
            told += 1;
        }
    }
    let packets = f64::from(FRAMES * 7);
    let (sending, hearing) = (sending.as_nanos() as f64, hearing.as_nanos() as f64);
    println!("{:.1} ns a packet sent", sending / packets);
    println!(
        "{:.1} ns a packet told of, {:.0} ns a message",
        hearing / packets,
        hearing / f64::from(told)
    );

    let encodings = [150_000, 500_000, 2_000_000].into_iter().enumerate();
    let steps: Vec<Step> = encodings
        .flat_map(|(encoding, rate)| (1..=3).map(move |n| (encoding as u8, n, rate * (n + 1) / 4)))
        .map(|(encoding, n, rate)| {
            let target = Target { encoding, spatial: 0, temporal: n as u8 - 1 };
            Step { target, rate }
        })
        .collect();
    let wishes: Vec<Wish<'_>> = (0..8)
        .map(|n| Wish { source: n, priority: Priority::ALL[n as usize % 6], steps: &steps })
        .collect();
    let (mut allocation, mut grants) = (Allocation::default(), Vec::new());
    let clock = Instant::now();
    for n in 0..10_000u64 {
        let now = start + Duration::from_millis(n * 100);
        black_box(allocation.allocate(2_000_000 + n % 7 * 500_000, &wishes, now, &mut grants));
    }
    println!("{} ns an allocation of eight lines", clock.elapsed().as_nanos() / 10_000);
    let (estimator, prober) = (size_of::<Estimator>(), size_of::<Prober>());
    let (pacer, all) = (size_of::<Pacer>(), size_of::<Bandwidth>());
    println!("estimator {estimator}, prober {prober}, pacer {pacer}: {all} bytes, ring 16384");
}
