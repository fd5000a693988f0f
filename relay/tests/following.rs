//! Lines break and nodes restart; who follows a lesson misses nothing and sees nothing twice.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use bytes::Bytes;
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::media::{Codec, TrackId};
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::{Control, NodeKind};
use cloudschool_relay::{Feed, Listener, Subscriber};
use common::*;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

fn event(seq: u64) -> Event {
    let id = format!("00000000-0000-0000-0000-{seq:012x}").parse().unwrap();
    Event::new(seq, id, seq, EventBody::HandRaised { member: member() })
}

fn track() -> TrackId {
    "li/camera".parse().unwrap()
}

/// Listens again where a listener has just been.
async fn listen_again(campus: &Campus, address: SocketAddr) -> Listener {
    let identity = campus.identity("campus", NodeKind::Origin);
    soon(async {
        loop {
            // The system frees the port a moment after the socket's last owner is gone.
            match Listener::bind(address, &identity, "campus 2") {
                Ok(listener) => return listener,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

struct Program {
    subscriber: Subscriber,
    feed: mpsc::Receiver<Feed>,
}

impl Program {
    fn start(campus: &Campus, upstream: SocketAddr) -> Self {
        let identity = campus.identity("recorder", NodeKind::Recorder);
        let (subscriber, feed) = Subscriber::start(upstream.to_string(), identity, "recorder 1");
        Self { subscriber, feed }
    }

    async fn next(&mut self) -> Feed {
        soon(self.feed.recv()).await.unwrap()
    }

    /// Skips to the events up to `last` and gives all numbers on the way.
    async fn events_until(&mut self, last: u64) -> Vec<u64> {
        let mut seqs = Vec::new();
        while seqs.last() != Some(&last) {
            if let Feed::Events { events, .. } = self.next().await {
                seqs.extend(events.iter().map(|e| e.seq));
            }
        }
        seqs
    }
}

/// The upstream's end: waits for the wish to follow and gives the number after which.
async fn asked_after(upper: &mut End) -> u64 {
    loop {
        if let Control::Follow { after, .. } = upper.control().await {
            return after;
        }
    }
}

async fn accepted(listener: &Listener) -> End {
    let (trunk, receiver) = soon(listener.accept()).await.unwrap();
    End { trunk, receiver }
}

async fn send_events(upper: &End, from: u64, to: u64) {
    for seq in from..=to {
        let events = vec![event(seq)];
        upper.trunk.send(Control::Events { lesson: lesson(), events }).await.unwrap();
    }
}

#[tokio::test]
async fn a_dialer_is_back_when_its_node_is() {
    let campus = Campus::new();
    let listener = campus.listener();
    let address = listener.address();
    let mut dialer = campus.dialer(address);
    let (first, _receiver) = soon(dialer.connect()).await;
    listener.close("the node is being updated").await;
    assert_eq!(soon(first.closed()).await, "the node is being updated");
    let listener = listen_again(&campus, address).await;
    let (upper, lower) = soon(async { tokio::join!(listener.accept(), dialer.connect()) }).await;
    lower.0.send(Control::Keyframe { flow: 1 }).await.unwrap();
    let (trunk, receiver) = upper.unwrap();
    assert_eq!(End { trunk, receiver }.control().await, Control::Keyframe { flow: 1 });
}

#[tokio::test]
async fn events_go_on_where_they_stopped_each_once() {
    let campus = Campus::new();
    let mut listener = campus.listener();
    let address = listener.address();
    let mut program = Program::start(&campus, address);
    program.subscriber.follow(&lesson(), 0);
    program.subscriber.demand(&lesson(), vec![track()]);
    let (mut got, mut sent) = (Vec::new(), 0);
    for round in 0..4 {
        let mut upper = accepted(&listener).await;
        let after = asked_after(&mut upper).await;
        assert_eq!(after, sent, "all that was sent had been delivered");
        let demand = Control::Demand { lesson: lesson(), tracks: vec![track()], limits: vec![] };
        assert_eq!(upper.control().await, demand, "round {round}");
        // One it has already, as a node that was restarted would send.
        send_events(&upper, after.max(1), after + 5).await;
        sent = after + 5;
        got.extend(program.events_until(sent).await);
        listener.close("the node is being updated").await;
        drop(upper);
        listener = listen_again(&campus, address).await;
    }
    assert_eq!(got, (1..=sent).collect::<Vec<_>>());
    assert!(program.subscriber.stats().connects >= 4);
}

#[tokio::test]
async fn a_killed_node_is_noticed_when_it_is_back() {
    let campus = Campus::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let entered = runtime.enter();
    let listener = campus.listener();
    drop(entered);
    let address = listener.address();
    let mut program = Program::start(&campus, address);
    program.subscriber.follow(&lesson(), 7);
    assert_eq!(program.next().await, Feed::Up);
    // As a kill leaves it: the socket is gone, and nobody was told.
    let stopped = move || runtime.shutdown_timeout(PATIENCE);
    soon(tokio::task::spawn_blocking(stopped)).await.unwrap();
    drop(listener);
    let listener = listen_again(&campus, address).await;
    let back = Instant::now();
    let mut upper = accepted(&listener).await;
    assert_eq!(asked_after(&mut upper).await, 7);
    let took = back.elapsed();
    // The idle timeout is a minute; a keep-alive and a back-off are two and a half seconds.
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(program.next().await, Feed::Down { reason: "the other end was restarted".into() });
}

#[tokio::test]
async fn a_track_is_announced_before_its_packets_and_ends_after_them() {
    let campus = Campus::new();
    let listener = campus.listener();
    let mut program = Program::start(&campus, listener.address());
    let upper = accepted(&listener).await;
    assert_eq!(program.next().await, Feed::Up);
    // The keyframe overtakes the announcement.
    let frame: Vec<Bytes> = (0..20).map(|n| rtp(n, 1000)).collect();
    let _sent = upper.trunk.send_frame(4, at(0), &frame);
    soon(async {
        while upper.trunk.stats().frame_bytes_waiting > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let flow = Control::Flow { flow: 4, lesson: lesson(), track: track(), codec: Codec::H264 };
    upper.trunk.send(flow).await.unwrap();
    upper.trunk.send(Control::Clock { flow: 4, ntp: 5, rtp: 6 }).await.unwrap();
    let (lesson, track) = (lesson(), track());
    let codec = Codec::H264;
    let announced = Feed::Track { lesson: lesson.clone(), track: track.clone(), codec };
    assert_eq!(program.next().await, announced);
    let mut packets = Vec::new();
    let clock = Feed::Clock { lesson: lesson.clone(), track: track.clone(), ntp: 5, rtp: 6 };
    while packets.len() < 20 {
        match program.next().await {
            Feed::Packet { packet, .. } => packets.push(packet),
            other => assert_eq!(other, clock),
        }
    }
    assert_eq!(packets, frame);
    upper.trunk.send(Control::FlowEnd { flow: 4 }).await.unwrap();
    let ended = Feed::TrackEnd { lesson, track };
    while program.next().await != ended {}
}

#[tokio::test]
async fn a_lost_connection_ends_every_track_before_it_is_told() {
    let campus = Campus::new();
    let listener = campus.listener();
    let mut program = Program::start(&campus, listener.address());
    let upper = accepted(&listener).await;
    let flow = Control::Flow { flow: 1, lesson: lesson(), track: track(), codec: Codec::Vp8 };
    upper.trunk.send(flow).await.unwrap();
    assert_eq!(program.next().await, Feed::Up);
    assert!(matches!(program.next().await, Feed::Track { .. }));
    upper.trunk.close("enough");
    assert_eq!(program.next().await, Feed::TrackEnd { lesson: lesson(), track: track() });
    assert_eq!(program.next().await, Feed::Down { reason: "enough".into() });
    assert_eq!(program.subscriber.stats().trunk, None);
}

#[tokio::test]
async fn a_slow_program_loses_packets_and_no_event() {
    let campus = Campus::new();
    let listener = campus.listener();
    let mut program = Program::start(&campus, listener.address());
    program.subscriber.follow(&lesson(), 0);
    let mut upper = accepted(&listener).await;
    asked_after(&mut upper).await;
    let flow = Control::Flow { flow: 1, lesson: lesson(), track: track(), codec: Codec::H264 };
    upper.trunk.send(flow).await.unwrap();
    let frame: Vec<Bytes> = (0..100).map(|n| rtp(n, 500)).collect();
    let mut sent = 0;
    while program.subscriber.stats().packets_dropped == 0 {
        let _full = upper.trunk.send_frame(1, at(0), &frame);
        tokio::task::yield_now().await;
    }
    // The feed is full now; events wait for the program and it gets them all.
    let trunk = upper.trunk.clone();
    let sender = tokio::spawn(async move {
        for seq in 1..=500 {
            let events = vec![event(seq)];
            trunk.send(Control::Events { lesson: lesson(), events }).await.unwrap();
        }
    });
    for seq in program.events_until(500).await {
        sent += 1;
        assert_eq!(seq, sent);
    }
    soon(sender).await.unwrap();
}

#[tokio::test]
async fn a_command_is_answered_or_the_campus_is_away() {
    let campus = Campus::new();
    let listener = campus.listener();
    let mut program = Program::start(&campus, listener.address());
    let archived =
        || Command::Archived { recording: "http://library/1".into(), duration_ms: 60_000 };
    let early = program.subscriber.command(&lesson(), archived()).await;
    assert_eq!(early, Err(Refusal::CampusAway), "there is no connection yet");
    let mut upper = accepted(&listener).await;
    assert_eq!(program.next().await, Feed::Up);
    let ask = |subscriber: Subscriber| {
        tokio::spawn(async move { subscriber.command(&lesson(), archived()).await })
    };
    for refusal in [None, Some(Refusal::NotLive)] {
        let asked = ask(program.subscriber.clone());
        let Control::Command { request, command, .. } = upper.control().await else {
            panic!("no command came")
        };
        assert_eq!(command, archived());
        upper.trunk.send(Control::Outcome { request, refusal }).await.unwrap();
        assert_eq!(soon(asked).await.unwrap(), refusal.map_or(Ok(()), Err));
    }
    let asked = ask(program.subscriber.clone());
    upper.control().await;
    upper.trunk.close("enough");
    assert_eq!(soon(asked).await.unwrap(), Err(Refusal::CampusAway));
}

#[tokio::test]
async fn a_keyframe_is_asked_of_the_tracks_flow() {
    let campus = Campus::new();
    let listener = campus.listener();
    let mut program = Program::start(&campus, listener.address());
    let mut upper = accepted(&listener).await;
    let flow = Control::Flow { flow: 9, lesson: lesson(), track: track(), codec: Codec::H264 };
    upper.trunk.send(flow).await.unwrap();
    while !matches!(program.next().await, Feed::Track { .. }) {}
    program.subscriber.keyframe(&lesson(), &track());
    assert_eq!(upper.control().await, Control::Keyframe { flow: 9 });
}

#[tokio::test]
async fn a_subscription_ends_with_its_last_handle_or_its_feed() {
    let campus = Campus::new();
    let listener = campus.listener();
    let Program { subscriber, mut feed } = Program::start(&campus, listener.address());
    let upper = accepted(&listener).await;
    let clone = subscriber.clone();
    drop(subscriber);
    assert_eq!(soon(feed.recv()).await, Some(Feed::Up));
    drop(clone);
    assert_eq!(soon(feed.recv()).await, None);
    soon(upper.trunk.closed()).await;

    let Program { subscriber, feed } = Program::start(&campus, listener.address());
    let upper = accepted(&listener).await;
    drop(feed);
    soon(upper.trunk.closed()).await;
    drop(subscriber);
}
