//! The program itself, publishing its test source to a WHIP endpoint of the test's own.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{delete, post};
use classroom_client::peer::{Peer, Way};
use cloudschool_protocol::media::Codec;
use cloudschool_protocol::rtp::starts_keyframe;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::RTCSessionDescription;

const LIMIT: Duration = Duration::from_secs(30);

type Peers = mpsc::UnboundedSender<Option<Peer>>;

async fn publish(State(peers): State<Peers>, offer: String) -> impl IntoResponse {
    let peer = Peer::new(Way::Receive, Some("127.0.0.1")).await.unwrap();
    let connection = peer.connection();
    let offer = RTCSessionDescription::offer(offer).unwrap();
    connection.set_remote_description(offer).await.unwrap();
    let answer = connection.create_answer(None).await.unwrap();
    connection.set_local_description(answer).await.unwrap();
    peer.gathered().await;
    let answer = connection.local_description().await.unwrap().sdp;
    peers.send(Some(peer)).unwrap();
    (StatusCode::CREATED, [(header::LOCATION, "/whip/art/1")], answer)
}

/// The session's end, as a `None` after its peer.
async fn end(State(peers): State<Peers>) {
    peers.send(None).unwrap();
}

/// Waits for keyframes: the first, and after a request a second.
async fn two_keyframes(track: Arc<dyn TrackRemote>) {
    let mut keyframes = 0;
    while keyframes < 2 {
        let Some(TrackRemoteEvent::OnRtpPacket(packet)) = track.poll().await else { continue };
        if starts_keyframe(Codec::H264, &packet.payload) {
            keyframes += 1;
            let media_ssrc = packet.header.ssrc;
            let pli = PictureLossIndication { sender_ssrc: 0, media_ssrc };
            track.write_rtcp(vec![Box::new(pli)]).await.unwrap();
        }
    }
}

async fn fifty_packets(track: Arc<dyn TrackRemote>) {
    let mut packets = 0;
    while packets < 50 {
        packets +=
            usize::from(matches!(track.poll().await, Some(TrackRemoteEvent::OnRtpPacket(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_source_is_played_into_a_lesson_and_the_session_ended() {
    let (peers, mut published) = mpsc::unbounded_channel();
    let router = Router::new()
        .route("/whip/art", post(publish))
        .route("/whip/art/1", delete(end))
        .with_state(peers);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_classroom-client"))
        .args(["play", "--lesson", "art", "--seconds", "4", "--node", &node])
        .env("CLOUDSCHOOL_TOKEN", "a-token")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut peer = published.recv().await.unwrap().expect("a peer");
    let media = async {
        let tracks = [peer.track().await.unwrap(), peer.track().await.unwrap()];
        let mut kinds = Vec::new();
        for track in tracks {
            kinds.push((track.kind().await, track));
        }
        let of = |kind| kinds.iter().find(|(k, _)| *k == kind).expect("both kinds").1.clone();
        tokio::join!(
            two_keyframes(of(RtpCodecKind::Video)),
            fifty_packets(of(RtpCodecKind::Audio))
        );
    };
    tokio::time::timeout(LIMIT, media).await.expect("picture and sound");
    let status = tokio::time::timeout(LIMIT, program.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(published.recv().await.unwrap().is_none(), "the session was ended");
}
