//! A trunk over loopback: what must arrive, what may drop, and what each does to the other.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use bytes::Bytes;
use cloudschool_protocol::media::Kind;
use cloudschool_protocol::roq;
use cloudschool_protocol::trunk::{Control, NodeKind};
use cloudschool_relay::SendError;
use common::line::Line;
use common::*;
use std::collections::HashSet;
use std::time::{Duration, Instant};

#[tokio::test]
async fn both_ends_know_each_other_by_their_certificates() {
    let campus = Campus::new();
    let (listener, upper, lower) = campus.trunk().await;
    assert_eq!(upper.trunk.peer(), campus.identity("school-01", NodeKind::Edge).me());
    assert_eq!(lower.trunk.peer(), campus.identity("campus", NodeKind::Origin).me());
    assert_eq!((upper.trunk.software(), lower.trunk.software()), ("edge 1", "campus 1"));
    assert_eq!(listener.stats().borrow().accepted, 1);
    assert!(*lower.trunk.reachable().borrow());
}

#[tokio::test]
async fn control_messages_arrive_in_order_both_ways() {
    let campus = Campus::new();
    let (_listener, mut upper, mut lower) = campus.trunk().await;
    let senders = [upper.trunk.clone(), lower.trunk.clone()].map(|trunk| {
        tokio::spawn(async move {
            for flow in 0..2000 {
                trunk.send(Control::Keyframe { flow }).await.unwrap();
            }
        })
    });
    for flow in 0..2000 {
        assert_eq!(upper.control().await, Control::Keyframe { flow });
        assert_eq!(lower.control().await, Control::Keyframe { flow });
    }
    for sender in senders {
        soon(sender).await.unwrap();
    }
}

#[tokio::test]
async fn audio_and_video_arrive_as_they_were_sent() {
    let campus = Campus::new();
    let (_listener, mut upper, mut lower) = campus.trunk().await;
    assert!(lower.trunk.send_packet(3, Kind::Audio, &rtp(1, 120)));
    assert_eq!(upper.packet().await, (3, rtp(1, 120)));
    let frame: Vec<Bytes> = (10..17).map(|n| rtp(n, 1100)).collect();
    assert!(upper.trunk.send_frame(70_000, at(5), &frame).is_sent());
    for packet in frame {
        assert_eq!(lower.packet().await, (70_000, packet));
    }
    let sent = upper.trunk.stats();
    assert!(sent.ip_bytes_sent > 7 * 1100 && sent.udp_datagrams_sent > 0, "{sent:?}");
    assert!(lower.trunk.stats().ip_bytes_received > 7 * 1100);
}

#[tokio::test]
async fn a_packet_no_datagram_holds_goes_by_stream() {
    let campus = Campus::new();
    let (_listener, mut upper, lower) = campus.trunk().await;
    let mut missing = HashSet::new();
    for len in 1150..=1400u16 {
        for (flow, kind) in [(1, Kind::Audio), (2, Kind::Video)] {
            assert!(lower.trunk.send_packet(flow, kind, &rtp(len, len.into())));
            missing.insert((flow, len));
        }
        // Two at a time: the datagram queue is short on purpose.
        for _ in 0..2 {
            let (flow, packet) = upper.packet().await;
            let len = packet.len() as u16;
            assert_eq!(packet, rtp(len, len.into()));
            assert!(missing.remove(&(flow, len)));
        }
    }
    assert_eq!(lower.trunk.stats().packets_not_sent, 0);
}

#[tokio::test]
async fn a_whole_flow_may_come_on_one_long_stream() {
    let campus = Campus::new();
    let listener = campus.listener();
    let connection = campus.raw(listener.address(), Some(("school-01", NodeKind::Edge))).await;
    let _control = raw_hello(&connection, "school-01", NodeKind::Edge).await;
    let (trunk, receiver) = soon(listener.accept()).await.unwrap();
    let mut upper = End { trunk, receiver };
    let mut stream = connection.open_uni().await.unwrap();
    let packets: Vec<Bytes> = (0..500).map(|n| rtp(n, 900)).collect();
    let bytes = roq::stream(8, packets.iter().map(AsRef::as_ref));
    for piece in bytes.chunks(1000) {
        stream.write_all(piece).await.unwrap();
    }
    for packet in packets {
        assert_eq!(upper.packet().await, (8, packet));
    }
}

#[tokio::test]
async fn what_is_no_rtp_over_quic_is_counted_and_harms_nothing_else() {
    let campus = Campus::new();
    let listener = campus.listener();
    let connection = campus.raw(listener.address(), Some(("school-01", NodeKind::Edge))).await;
    let _control = raw_hello(&connection, "school-01", NodeKind::Edge).await;
    let (trunk, receiver) = soon(listener.accept()).await.unwrap();
    let mut upper = End { trunk, receiver };
    // Flow 1, and a packet said to be a gigabyte.
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(&[1, 0xbf, 0xff, 0xff, 0xff]).await.unwrap();
    assert!(soon(stream.stopped()).await.unwrap().is_some(), "it is told to stop");
    connection.send_datagram(Bytes::from_static(&[0x40])).unwrap();
    connection.send_datagram(roq::datagram(4, &rtp(1, 100)).into()).unwrap();
    assert_eq!(upper.packet().await, (4, rtp(1, 100)));
    assert_eq!(upper.trunk.stats().malformed, 2);
}

#[tokio::test]
async fn an_oversized_control_message_closes_its_own_connection_only() {
    let campus = Campus::new();
    let listener = campus.listener();
    let (mut upper, lower) = campus.connect(&listener, listener.address()).await;
    let rogue = campus.raw(listener.address(), Some(("recorder", NodeKind::Recorder))).await;
    let (mut send, _recv) = raw_hello(&rogue, "recorder", NodeKind::Recorder).await;
    let (rogue_end, _receiver) = soon(listener.accept()).await.unwrap();
    send.write_all(&0x7fff_ffffu32.to_be_bytes()).await.unwrap();
    let closed = soon(rogue.closed()).await.to_string();
    assert!(closed.contains("longer than the 1048576 allowed"), "{closed}");
    soon(rogue_end.closed()).await;
    lower.trunk.send(Control::Keyframe { flow: 1 }).await.unwrap();
    assert_eq!(upper.control().await, Control::Keyframe { flow: 1 });
}

#[tokio::test]
async fn a_message_too_long_to_send_is_an_error_and_not_the_end() {
    let campus = Campus::new();
    let (_listener, mut upper, lower) = campus.trunk().await;
    let long = Control::Goodbye { reason: "x".repeat(2 << 20) };
    assert!(matches!(lower.trunk.send(long).await, Err(SendError::Unsendable(_))));
    lower.trunk.send(Control::FlowEnd { flow: 1 }).await.unwrap();
    assert_eq!(upper.control().await, Control::FlowEnd { flow: 1 });
}

#[tokio::test]
async fn nobody_reading_media_costs_media_and_no_control() {
    let campus = Campus::new();
    let (_listener, mut upper, lower) = campus.trunk().await;
    let frame: Vec<Bytes> = (0..100).map(|n| rtp(n, 1000)).collect();
    let mut unread = 0;
    while unread == 0 {
        let _full = lower.trunk.send_frame(1, at(0), &frame);
        lower.trunk.send(Control::Keyframe { flow: 1 }).await.unwrap();
        assert_eq!(upper.control().await, Control::Keyframe { flow: 1 });
        unread = upper.trunk.stats().packets_unread;
    }
    assert_eq!(upper.packet().await.1, rtp(0, 1000), "what was kept is the oldest");
}

#[tokio::test]
async fn unread_control_holds_up_its_sender_and_no_media() {
    let campus = Campus::new();
    let (_listener, mut upper, lower) = campus.trunk().await;
    let trunk = lower.trunk.clone();
    // More than the queues and the stream's window together hold.
    let reason = "x".repeat(60_000);
    let filler = move |n: u64| Control::FollowRefused {
        lesson: format!("lesson-{n}").parse().unwrap(),
        refusal: cloudschool_protocol::refusal::Refusal::NotOpen,
    };
    let members = (0..900).map(|n| format!("{reason:.40}{n}/camera").parse().unwrap()).collect();
    let big = Control::Demand { lesson: lesson(), tracks: members, limits: vec![] };
    let sender = tokio::spawn(async move {
        for n in 0..300 {
            trunk.send(filler(n)).await.unwrap();
            trunk.send(big.clone()).await.unwrap();
        }
    });
    for n in 0..50 {
        assert!(lower.trunk.send_packet(1, Kind::Audio, &rtp(n, 100)));
        assert_eq!(upper.packet().await.1, rtp(n, 100));
    }
    assert!(!sender.is_finished(), "300 large messages were taken and nobody read one");
    for _ in 0..600 {
        upper.control().await;
    }
    soon(sender).await.unwrap();
}

#[tokio::test]
async fn a_frame_that_is_late_is_given_up() {
    let campus = Campus::new();
    let listener = campus.listener();
    let line = Line::to(listener.address()).await;
    let (mut upper, lower) = campus.connect(&listener, line.address).await;
    line.cut();
    assert!(lower.trunk.send_frame(1, by(Duration::from_millis(150)), &[rtp(1, 1000)]).is_sent());
    assert!(lower.trunk.send_frame(1, by(Duration::from_secs(30)), &[rtp(2, 1000)]).is_sent());
    soon(async {
        while lower.trunk.stats().frames_late == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    line.mend();
    assert_eq!(upper.packet().await.1, rtp(2, 1000), "the late one came after all");
    assert_eq!(lower.trunk.stats().frames_late, 1);
}

#[tokio::test]
async fn a_frame_that_comes_in_pieces_goes_on_as_it_comes() {
    let campus = Campus::new();
    let (_listener, mut upper, lower) = campus.trunk().await;
    let packets: Vec<Bytes> = (0..50).map(|n| rtp(n, 1100)).collect();
    let begun = lower.trunk.begin_frame(1, at(0), &packets[..20]).unwrap();
    for packet in &packets[..20] {
        assert_eq!(upper.packet().await, (1, packet.clone()), "before the rest is there");
    }
    assert!(lower.trunk.send_frame(1, at(0), &[rtp(100, 900)]).is_sent());
    assert_eq!(upper.packet().await.1, rtp(100, 900), "it holds up no other");
    assert!(lower.trunk.add_to_frame(&begun, &packets[20..30], false));
    assert!(lower.trunk.add_to_frame(&begun, &packets[30..], false));
    for packet in &packets[20..] {
        assert_eq!(upper.packet().await.1, packet);
    }
    assert!(lower.trunk.stats().frame_bytes_waiting > 50 * 1100, "more of it may come");
    let none: [Bytes; 0] = [];
    assert!(lower.trunk.add_to_frame(&begun, &none, true));
    soon(async {
        while lower.trunk.stats().frame_bytes_waiting > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(lower.trunk.stats().frames_late, 0);
}

#[tokio::test]
async fn a_frame_whose_rest_never_comes_is_given_up() {
    let campus = Campus::new();
    let (_listener, mut upper, lower) = campus.trunk().await;
    let soon_late = by(Duration::from_millis(150));
    let begun = lower.trunk.begin_frame(1, soon_late, &[rtp(1, 1000)]).unwrap();
    assert_eq!(upper.packet().await.1, rtp(1, 1000));
    soon(async {
        while lower.trunk.stats().frames_late == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(!lower.trunk.add_to_frame(&begun, &[rtp(2, 1000)], true));
    assert_eq!(lower.trunk.stats().frame_bytes_waiting, 0);
    let independent = lower.trunk.send_frame(1, at(0), &[rtp(3, 1000)]);
    assert!(independent.is_sent());
    assert_eq!(upper.packet().await.1, rtp(3, 1000), "what came too late is not sent");
}

#[tokio::test]
async fn media_that_piles_up_is_dropped_and_control_still_gets_through() {
    let campus = Campus::new();
    let listener = campus.listener();
    let line = Line::to(listener.address()).await;
    let (mut upper, lower) = campus.connect(&listener, line.address).await;
    line.cut();
    let frame: Vec<Bytes> = (0..50).map(|n| rtp(n, 1100)).collect();
    let sent = (0..100)
        .filter(|_| lower.trunk.send_frame(1, by(Duration::from_secs(30)), &frame).is_sent())
        .count();
    let stats = lower.trunk.stats();
    assert_eq!(stats.frames_not_sent, 100 - sent as u64);
    assert!((10..20).contains(&sent), "{sent} frames of 55 kB waited");
    assert!(stats.frame_bytes_waiting < 800_000, "{stats:?}");
    lower.trunk.send(Control::Keyframe { flow: 9 }).await.unwrap();
    line.mend();
    assert_eq!(upper.control().await, Control::Keyframe { flow: 9 });
    for _ in 0..50 * sent {
        upper.packet().await;
    }
}

#[tokio::test]
async fn after_an_outage_the_same_trunk_goes_on_at_once() {
    let campus = Campus::new();
    let listener = campus.listener();
    let line = Line::to(listener.address()).await;
    let (mut upper, lower) = campus.connect(&listener, line.address).await;
    let mut reachable = upper.trunk.reachable();
    let trunk = lower.trunk.clone();
    // 1.6 Mbit/s: a frame of ten packets and an audio packet every 20 ms.
    let frame: Vec<Bytes> = (0..4).map(|n| rtp(n, 1000)).collect();
    let talker = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for n in 0.. {
            tick.tick().await;
            trunk.send_packet(1, Kind::Audio, &rtp(n, 120));
            let _cut = trunk.send_frame(2, at(0), &frame);
        }
    });
    for _ in 0..100 {
        upper.packet().await;
    }
    line.cut();
    soon(reachable.wait_for(|r| !r)).await.unwrap();
    while upper.receiver.media.try_recv().is_ok() {}
    line.mend();
    let mended = Instant::now();
    let mut first = [None, None];
    while first.contains(&None) {
        let (flow, _) = upper.packet().await;
        first[flow as usize - 1].get_or_insert(mended.elapsed());
    }
    println!("audio and video after {first:?}");
    // QUIC's own next probe would be up to ten seconds away.
    assert!(first.iter().flatten().all(|t| *t < Duration::from_secs(2)), "{first:?}");
    soon(reachable.wait_for(|r| *r)).await.unwrap();
    talker.abort();
}

#[tokio::test]
async fn a_closed_trunk_says_why_at_both_ends() {
    let campus = Campus::new();
    let (_listener, upper, mut lower) = campus.trunk().await;
    upper.trunk.close("the node is being updated");
    assert_eq!(soon(lower.trunk.closed()).await, "the node is being updated");
    assert_eq!(soon(upper.trunk.closed()).await, "closed by this node");
    assert_eq!(soon(lower.receiver.control.recv()).await, None);
    assert_eq!(soon(lower.receiver.media.recv()).await, None);
    assert!(!lower.trunk.send_packet(1, Kind::Audio, &rtp(1, 100)));
    let sent = lower.trunk.send(Control::FlowEnd { flow: 1 }).await;
    assert!(matches!(sent, Err(SendError::Closed(c)) if c.reason == "the node is being updated"));
    soon(lower.trunk.reachable().wait_for(|r| !r)).await.unwrap();
}

#[tokio::test]
async fn dropping_an_end_closes_the_trunk() {
    let campus = Campus::new();
    let (_listener, upper, lower) = campus.trunk().await;
    drop(upper);
    assert!(soon(lower.trunk.closed()).await.contains("no more use"));
}
