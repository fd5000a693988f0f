//! The synthetic teacher against a WHIP endpoint of the test's own, with a decoder behind it.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{delete, post};
use classroom_client::peer::{Peer, Way};
use classroom_client::publish::Endpoint;
use classroom_client::rtp::Packet;
use classroom_client::rtp::codec::h264::H264Packet;
use classroom_client::rtp::packetizer::Depacketizer;
use loadtests::media::assembly::Assembler;
use loadtests::media::camera::Video;
use loadtests::media::picture::read_counter;
use loadtests::publisher::Publisher;
use openh264::decoder::Decoder;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::RTCSessionDescription;

const LIMIT: Duration = Duration::from_secs(20);

#[derive(Clone)]
struct Whip {
    peers: mpsc::UnboundedSender<Peer>,
    deleted: Arc<AtomicBool>,
}

async fn publish(State(whip): State<Whip>, headers: HeaderMap, offer: String) -> impl IntoResponse {
    assert_eq!(headers[header::CONTENT_TYPE], "application/sdp");
    assert_eq!(headers[header::AUTHORIZATION], "Bearer a-token");
    let peer = Peer::new(Way::Receive, Some("127.0.0.1")).await.unwrap();
    let connection = peer.connection();
    let offer = RTCSessionDescription::offer(offer).unwrap();
    connection.set_remote_description(offer).await.unwrap();
    let answer = connection.create_answer(None).await.unwrap();
    connection.set_local_description(answer).await.unwrap();
    peer.gathered().await;
    let answer = connection.local_description().await.unwrap().sdp;
    whip.peers.send(peer).ok().unwrap();
    (StatusCode::CREATED, [(header::LOCATION, "/whip/math/1")], answer)
}

/// Serves WHIP; gives the address, the peers that publish, and whether a session was ended.
async fn serve() -> (String, mpsc::UnboundedReceiver<Peer>, Arc<AtomicBool>) {
    let (peers, published) = mpsc::unbounded_channel();
    let deleted = Arc::new(AtomicBool::new(false));
    let whip = Whip { peers, deleted: deleted.clone() };
    let router = axum::Router::new()
        .route("/whip/math", post(publish))
        .route(
            "/whip/math/1",
            delete(|State(whip): State<Whip>| async move {
                whip.deleted.store(true, Ordering::Relaxed);
            }),
        )
        .with_state(whip);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/whip/math", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, published, deleted)
}

async fn tracks(peer: &mut Peer) -> (Arc<dyn TrackRemote>, Arc<dyn TrackRemote>) {
    let (mut video, mut audio) = (None, None);
    while video.is_none() || audio.is_none() {
        let track = peer.track().await.expect("a track");
        match track.kind().await {
            RtpCodecKind::Video => video = Some(track),
            _ => audio = Some(track),
        }
    }
    (video.unwrap(), audio.unwrap())
}

async fn packet(track: &dyn TrackRemote) -> Packet {
    loop {
        if let TrackRemoteEvent::OnRtpPacket(packet) = track.poll().await.expect("a packet") {
            return packet;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_decodes_every_frame_and_gets_keyframes_and_levels_when_it_asks() {
    let (url, mut published, deleted) = serve().await;
    let endpoint = Endpoint { url: url.parse().unwrap(), token: "a-token".into() };
    let publisher = Publisher::start(endpoint, Video::default()).await.unwrap();
    let ledger = publisher.ledger().clone();
    let mut peer = published.recv().await.unwrap();
    let (video, audio) = tokio::time::timeout(LIMIT, tracks(&mut peer)).await.unwrap();

    let mut assembler = Assembler::default();
    let mut depacketizer = H264Packet::default();
    let mut decoder = Decoder::new().unwrap();
    let (mut unit, mut counters, mut whole) = (Vec::new(), Vec::new(), 0);
    let mut keyframes = 0;
    while counters.len() < 60 {
        let packet = tokio::time::timeout(LIMIT, packet(&*video)).await.unwrap();
        let header = &packet.header;
        let frames = assembler.push(
            header.sequence_number,
            header.timestamp,
            header.marker,
            &packet.payload,
        );
        whole += frames.iter().filter(|f| ledger.find(f.fingerprint).is_some()).count();
        keyframes += usize::from(packet.payload.first().is_some_and(|b| b & 0x1f == 24));
        unit.extend_from_slice(&depacketizer.depacketize(&packet.payload).unwrap());
        if header.marker {
            if let Some(picture) = decoder.decode(&unit).unwrap() {
                counters.push(read_counter(&picture).expect("an undamaged picture"));
            }
            unit.clear();
            if counters.len() == 20 {
                let pli = PictureLossIndication { sender_ssrc: 0, media_ssrc: header.ssrc };
                video.write_rtcp(vec![Box::new(pli)]).await.unwrap();
            }
        }
    }
    assert!(counters.windows(2).all(|w| w[0] < w[1]), "in order: {counters:?}");
    assert!(counters[59] - counters[0] < 90, "about all of them: {counters:?}");
    assert!(whole >= 59, "{whole} whole frames are in the ledger");
    assert_eq!(keyframes, 2, "one to begin with, one that was asked for");
    assert_eq!(publisher.keyframes_asked(), 1);

    let sound = tokio::time::timeout(LIMIT, packet(&*audio)).await.unwrap();
    assert!(!sound.header.extensions.is_empty(), "a level comes with the sound");
    assert!(!sound.payload.is_empty());

    publisher.stop().await.unwrap();
    assert!(deleted.load(Ordering::Relaxed), "the session was ended with a DELETE");
}

#[tokio::test]
async fn what_the_endpoint_says_against_publishing_is_told() {
    let router = axum::Router::new().route(
        "/whip/math",
        post(|| async { (StatusCode::UNAUTHORIZED, "the token has expired") }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/whip/math", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let endpoint = Endpoint { url: url.parse().unwrap(), token: "old".into() };
    let error = Publisher::start(endpoint, Video::default()).await;
    let error = format!("{:#}", error.err().expect("a refusal"));
    assert!(error.contains("401") && error.contains("the token has expired"), "{error}");
}
