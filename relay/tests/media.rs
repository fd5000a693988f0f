//! What the transport does with media on its own account: it moves with its node, repeats,
//! leaves out and fills up.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use bytes::Bytes;
use cloudschool_protocol::media::Kind;
use cloudschool_protocol::roq;
use cloudschool_protocol::trunk::{Control, NodeKind};
use cloudschool_relay::{FrameKind, FrameOptions, Skip, Verdict};
use common::line::{Line, Quality};
use common::*;
use std::time::Duration;

fn kind(kind: FrameKind) -> FrameOptions {
    FrameOptions { kind, ..at(0) }
}

#[tokio::test]
async fn a_trunk_goes_on_from_another_address_with_its_media_and_messages() {
    let campus = Campus::new();
    let (_listener, mut upper, mut lower) = campus.trunk().await;
    let trunk = upper.trunk.clone();
    let teacher = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for n in 0.. {
            tick.tick().await;
            trunk.send_packet(1, Kind::Audio, &rtp(n, 120));
            let _sent = trunk.send_frame(2, at(0), &[rtp(n, 1000)]);
        }
    });
    for from in [[127, 0, 0, 2], [127, 0, 0, 3]] {
        for _ in 0..40 {
            lower.packet().await;
        }
        lower.trunk.rebind((from, 0).into()).unwrap();
        while lower.receiver.media.try_recv().is_ok() {}
        // Audio and video come, and what must arrive does, in both directions.
        let mut flows = [0; 3];
        while flows[1] < 20 || flows[2] < 20 {
            flows[lower.packet().await.0 as usize] += 1;
        }
        lower.trunk.send(Control::Keyframe { flow: 2 }).await.unwrap();
        assert_eq!(upper.control().await, Control::Keyframe { flow: 2 });
        upper.trunk.send(Control::FlowEnd { flow: 9 }).await.unwrap();
        assert_eq!(lower.control().await, Control::FlowEnd { flow: 9 });
    }
    assert!(*upper.trunk.reachable().borrow());
    assert!(upper.trunk.rebind(loopback()).is_err(), "the end that listens stays where it is");
    teacher.abort();
}

#[tokio::test]
async fn audio_that_comes_twice_is_heard_once() {
    let campus = Campus::new();
    let listener = campus.listener();
    let connection = campus.raw(listener.address(), Some(("school-01", NodeKind::Edge))).await;
    let _control = raw_hello(&connection, "school-01", NodeKind::Edge).await;
    let (trunk, receiver) = soon(listener.accept()).await.unwrap();
    let mut upper = End { trunk, receiver };
    for n in [1, 1, 2, 1, 2, 3] {
        connection.send_datagram(roq::datagram(4, &rtp(n, 100)).into()).unwrap();
    }
    for n in 1..=3 {
        assert_eq!(upper.packet().await, (4, rtp(n, 100)));
    }
    connection.send_datagram(roq::datagram(4, &rtp(4, 100)).into()).unwrap();
    assert_eq!(upper.packet().await, (4, rtp(4, 100)));
    assert_eq!(upper.trunk.stats().packets_doubled, 3);
}

#[tokio::test]
async fn a_lossy_line_gets_its_audio_repeated_and_nobody_hears_of_it() {
    let campus = Campus::new();
    let listener = campus.listener();
    let lossy =
        Quality { rate: 500_000.0, one_way: Duration::from_millis(10), loss: 0.06, seed: 3 };
    let line = Line::with(listener.address(), Some(lossy)).await;
    let (upper, mut lower) = campus.connect(&listener, line.address).await;
    let trunk = upper.trunk.clone();
    let teacher = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        for n in 0u16.. {
            tick.tick().await;
            trunk.send_packet(1, Kind::Audio, &rtp(n, 120));
        }
    });
    let mut last = HashSeen::default();
    while lower.trunk.stats().packets_doubled < 200 {
        let (_, packet) = lower.packet().await;
        assert!(last.is_new(u16::from_be_bytes([packet[2], packet[3]])));
    }
    assert!(upper.trunk.stats().packets_repeated > 200);
    teacher.abort();
}

#[derive(Default)]
struct HashSeen(std::collections::HashSet<u16>);

impl HashSeen {
    fn is_new(&mut self, sequence: u16) -> bool {
        self.0.insert(sequence)
    }
}

#[tokio::test]
async fn what_could_be_used_is_looked_for_with_padding_that_nobody_sees() {
    let campus = Campus::new();
    let (_listener, upper, mut lower) = campus.trunk().await;
    upper.trunk.want(20_000_000);
    let mut path = upper.trunk.watch_path();
    let trunk = upper.trunk.clone();
    let teacher = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for n in 0.. {
            tick.tick().await;
            trunk.send_packet(1, Kind::Audio, &rtp(n, 120));
        }
    });
    // A loopback carries it: from 3 Mbit/s on, and only audio to send.
    soon(path.wait_for(|p| p.estimate > 6_000_000)).await.unwrap();
    teacher.abort();
    upper.trunk.want(0);
    let sent = upper.trunk.stats();
    assert!(sent.padding_bytes_sent > 500_000, "{sent:?}");
    assert!(lower.trunk.stats().padding_bytes_received > 400_000);
    while let Ok(media) = lower.receiver.media.try_recv() {
        assert_eq!(media.flow, 1);
    }
}

#[tokio::test]
async fn frames_are_left_out_behind_a_cut_and_from_the_next_keyframe_on_sent_again() {
    let campus = Campus::new();
    let listener = campus.listener();
    let line = Line::to(listener.address()).await;
    let (upper, mut lower) = campus.connect(&listener, line.address).await;
    let send = |kind_of, n| upper.trunk.send_frame(1, kind(kind_of), &[rtp(n, 900)]);
    assert!(send(FrameKind::Keyframe, 1).is_sent());
    lower.packet().await;
    line.cut();
    let mut n = 2;
    let behind = soon(async {
        loop {
            let verdict = send(FrameKind::Delta, n);
            if !verdict.is_sent() {
                return verdict;
            }
            n += 1;
            tokio::time::sleep(Duration::from_millis(33)).await;
        }
    });
    assert_eq!(behind.await, Verdict::Skipped { why: Skip::Behind });
    assert!(n < 20, "{n} frames went into a cut line");
    // Given up meanwhile, all of them; but none after them could be decoded.
    soon(async {
        while upper.trunk.stats().frame_bytes_waiting > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(send(FrameKind::Delta, 50), Verdict::Skipped { why: Skip::Undecodable });
    assert_eq!(send(FrameKind::Discardable, 51), Verdict::Skipped { why: Skip::Undecodable });
    line.mend();
    assert!(send(FrameKind::Keyframe, 100).is_sent());
    assert!(send(FrameKind::Delta, 101).is_sent());
    let mut seen = Vec::<Bytes>::new();
    while !seen.contains(&rtp(101, 900)) {
        seen.push(lower.packet().await.1);
    }
    assert!(!seen.contains(&rtp(50, 900)) && !seen.contains(&rtp(51, 900)));
    assert!(upper.trunk.stats().frames_skipped >= 3);
}
