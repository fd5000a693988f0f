//! Plain RTP-over-QUIC peers in a lesson: one that is written here, and GStreamer's elements
//! where they are built (`scripts/gst-plugin-quinn.sh`).

mod common;

use bytes::Bytes;
use cloudschool_protocol::id::{LessonId, NodeId, SchoolId};
use cloudschool_protocol::roq;
use cloudschool_protocol::trunk::NodeKind;
use cloudschool_relay::{Feed, Identity, Subscriber, ca};
use common::{LESSON, Node, Site, soon};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::mpsc;

const APPLIANCES: &str =
    r#"[{ name = "hall", lesson = "demo-lesson", publishes = { 1 = "camera/h264" } }]"#;

const TRUNK: &str = "trunk.cloudschool.internal";

/// Connects with the certificate of `node`.
async fn connect(site: &Site, node: &str, alpn: &str) -> Result<quinn::Connection, String> {
    let file = |name: &str| site.path("tls").join(node).join(name);
    let certificates = |name| {
        CertificateDer::pem_file_iter(file(name)).unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let mut roots = rustls::RootCertStore::empty();
    certificates("ca.pem").into_iter().for_each(|ca| roots.add(ca).unwrap());
    let key = PrivateKeyDer::from_pem_file(file("node.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut crypto = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates("node.pem"), key)
        .unwrap();
    crypto.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let crypto = QuicClientConfig::try_from(crypto).unwrap();
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let connecting = endpoint.connect_with(config, site.trunk(), TRUNK).unwrap();
    connecting.await.map_err(|error| error.to_string())
}

/// A small keyframe of 90 kHz video in one packet, under a payload type of the sender's own
/// choice: parameter sets and a slice in a STAP-A (RFC 6184 §5.7.1).
fn packet(number: u16) -> Vec<u8> {
    const OWN_TYPE: u8 = 0x80 | 96;
    const STAP_A: u8 = 0x78;
    let mut packet = vec![0x80, OWN_TYPE];
    packet.extend_from_slice(&number.to_be_bytes());
    packet.extend_from_slice(&(u32::from(number) * 3000).to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 7, STAP_A]);
    for unit in [&[0x67, 0x42, 0xe0, 0x1f, 0x8c][..], &[0x68, 0xce, 0x3c, 0x80], &[0x65, 1, 2, 3]] {
        packet.extend_from_slice(&[0, u8::try_from(unit.len()).unwrap()]);
        packet.extend_from_slice(unit);
    }
    packet
}

/// What a school that is invited gets of the appliance's camera.
fn watch(site: &Site) -> (Subscriber, mpsc::Receiver<Feed>) {
    let identity = Identity::load(&site.path("tls").join("school-01")).unwrap();
    let (subscriber, feed) = Subscriber::start(site.trunk().to_string(), identity, "test");
    let lesson = LessonId::new(LESSON).unwrap();
    subscriber.demand(&lesson, vec!["hall/camera".parse().unwrap()]);
    (subscriber, feed)
}

async fn next_packet(feed: &mut mpsc::Receiver<Feed>) -> Bytes {
    loop {
        if let Feed::Packet { packet, .. } = feed.recv().await.unwrap() {
            return packet;
        }
    }
}

/// The campus, and a certificate for the appliance, which stands in an invited school.
async fn campus(site: &Site) -> Node {
    let (node, school) = (NodeId::new("hall").unwrap(), SchoolId::new("school-01").unwrap());
    let out = site.path("tls").join("hall");
    ca::issue(&site.path("ca"), &node, NodeKind::Edge, Some(&school), &out).unwrap();
    site.campus(&[("APPLIANCES", APPLIANCES)]).await
}

#[tokio::test]
async fn what_a_plain_peer_sends_under_a_configured_flow_is_a_members_track() {
    let site = Site::new();
    let _campus = campus(&site).await;
    let (_subscriber, mut feed) = watch(&site);
    let appliance = soon("a connection", connect(&site, "hall", "roq-16")).await.unwrap();
    let sending = async {
        // One stream for the whole flow, as GStreamer sends.
        let mut stream = appliance.open_uni().await.unwrap();
        let first = roq::stream(1, [&packet(0)[..]]);
        stream.write_all(&first).await.unwrap();
        let header = roq::stream(1, []).len();
        for number in 1u16.. {
            let next = roq::stream(1, [&packet(number)[..]]);
            stream.write_all(&next[header..]).await.unwrap();
            // Nobody configured it: it is left out and does no harm.
            appliance.send_datagram(roq::datagram(9, &packet(number)).into()).unwrap();
            tokio::time::sleep(Duration::from_millis(33)).await;
        }
    };
    let received = tokio::select! {
        () = sending => unreachable!("it sends for ever"),
        packet = soon("a packet", next_packet(&mut feed)) => packet,
    };
    assert_eq!(received[1] & 0x7f, 102, "our payload type of H.264");
    assert!(received.ends_with(&packet(0)[12..]));

    appliance.close(0u32.into(), b"");
    let ended = async {
        loop {
            if let Feed::TrackEnd { .. } = feed.recv().await.unwrap() {
                return;
            }
        }
    };
    soon("the track's end", ended).await;
}

#[tokio::test]
async fn who_is_not_configured_or_speaks_no_known_protocol_is_turned_away() {
    let site = Site::new();
    let _campus = campus(&site).await;
    let stranger = soon("a connection", connect(&site, "school-01", "roq-16")).await.unwrap();
    let reason = soon("a refusal", stranger.closed()).await.to_string();
    assert!(reason.contains("no appliance of this name"), "{reason}");
    let other = soon("an answer", connect(&site, "hall", "roq-99")).await;
    assert!(other.is_err(), "an unknown protocol was accepted");
}

#[tokio::test]
async fn gstreamer_publishes_into_a_lesson() {
    let plugins =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/tools/gst-plugin-quinn");
    if !plugins.join("libgstquinn.so").exists() {
        eprintln!("not tried: scripts/gst-plugin-quinn.sh builds GStreamer's elements");
        return;
    }
    let site = Site::new();
    let _campus = campus(&site).await;
    let (_subscriber, mut feed) = watch(&site);
    let tls = site.path("tls").join("hall");
    let file = |name: &str| tls.join(name).display().to_string();
    let pipeline = format!(
        "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 \
         ! x264enc tune=zerolatency bitrate=400 key-int-max=30 \
         ! video/x-h264,profile=constrained-baseline ! rtph264pay config-interval=-1 mtu=1150 \
         ! mux.stream_1 quinnroqmux name=mux \
         ! quinnquicsink sync=false address=127.0.0.1 port={port} server-name={TRUNK} \
           alpn-protocols=<roq-16> certificate-database-file={ca} certificate-file={cert} \
           private-key-file={key}",
        port = site.trunk().port(),
        ca = file("ca.pem"),
        cert = file("node.pem"),
        key = file("node.key"),
    );
    let mut gstreamer = Command::new("gst-launch-1.0")
        .args(pipeline.split_whitespace())
        .env("GST_PLUGIN_PATH", &plugins)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let first = tokio::select! {
        packet = soon("a packet", next_packet(&mut feed)) => packet,
        ended = gstreamer.wait() => panic!("GStreamer ended: {ended:?}"),
    };
    assert_eq!(first[1] & 0x7f, 102);
    for _ in 0..100 {
        soon("more packets", next_packet(&mut feed)).await;
    }
}
