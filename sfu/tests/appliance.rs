//! Plain RTP-over-QUIC peers in a lesson: one that is written here, and GStreamer's elements
//! where they are built (`make roq-plugin`).

mod common;

use bytes::Bytes;
use cloudschool_protocol::id::{LessonId, NodeId, SchoolId};
use cloudschool_protocol::roq;
use cloudschool_protocol::trunk::NodeKind;
use cloudschool_relay::{Feed, Fingerprint, Identity, Subscriber, ca};
use common::{LESSON, Node, Site, soon};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

const APPLIANCES: &str = r#"[
    { name = "hall", lesson = "demo-lesson", publishes = { 1 = "camera/h264", 2 = "microphone/opus" } },
    { name = "screen", lesson = "demo-lesson", subscribes = { 70000 = "hall/camera/h264", 5 = "hall/microphone/opus" } },
]"#;

const TRUNK: &str = "trunk.cloudschool.internal";

/// The certificates in a file of `node`.
fn certificates(site: &Site, node: &str, file: &str) -> Vec<CertificateDer<'static>> {
    let file = site.path("tls").join(node).join(file);
    CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap).collect()
}

/// Connects with the certificate of `node`.
async fn connect(site: &Site, node: &str, alpn: &str) -> Result<quinn::Connection, String> {
    let key = site.path("tls").join(node).join("node.key");
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    connect_with(site, certificates(site, node, "node.pem"), key, alpn).await
}

/// Connects with any certificate, to a campus that is known by its CA.
async fn connect_with(
    site: &Site,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    alpn: &str,
) -> Result<quinn::Connection, String> {
    let mut roots = rustls::RootCertStore::empty();
    certificates(site, "campus", "ca.pem").into_iter().for_each(|ca| roots.add(ca).unwrap());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut crypto = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
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

/// The campus, and certificates for the appliances, which stand in an invited school.
async fn campus(site: &Site) -> Node {
    campus_with(site, APPLIANCES).await
}

async fn campus_with(site: &Site, appliances: &str) -> Node {
    let school = SchoolId::new("school-01").unwrap();
    for name in ["hall", "screen"] {
        let (node, out) = (NodeId::new(name).unwrap(), site.path("tls").join(name));
        ca::issue(&site.path("ca"), &node, NodeKind::Edge, Some(&school), &out).unwrap();
    }
    site.campus(&[("APPLIANCES", &appliances.replace('\n', " "))]).await
}

/// Publishes under flow 1, one stream for all of it as GStreamer sends, for as long as it is
/// polled. Each packet is a keyframe.
async fn publish_camera(appliance: &quinn::Connection) {
    let mut stream = appliance.open_uni().await.unwrap();
    let header = roq::stream(1, []).len();
    for number in 0u16.. {
        let next = roq::stream(1, [&packet(number)[..]]);
        let from = if number == 0 { 0 } else { header };
        stream.write_all(&next[from..]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(33)).await;
    }
}

#[tokio::test]
async fn what_a_plain_peer_sends_under_a_configured_flow_is_a_members_track() {
    let site = Site::new();
    let _campus = campus(&site).await;
    let (_subscriber, mut feed) = watch(&site);
    let appliance = soon("a connection", connect(&site, "hall", "roq-16")).await.unwrap();
    // Nobody configured it: it is left out and does no harm.
    appliance.send_datagram(roq::datagram(9, &packet(0)).into()).unwrap();
    let received = tokio::select! {
        () = publish_camera(&appliance) => unreachable!("it sends for ever"),
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
async fn a_plain_peer_is_sent_what_is_configured_one_stream_a_flow_and_sound_in_datagrams() {
    let site = Site::new();
    let _campus = campus(&site).await;
    let screen = soon("a connection", connect(&site, "screen", "roq-16")).await.unwrap();
    let hall = soon("a connection", connect(&site, "hall", "roq-16")).await.unwrap();
    let sound = async {
        for number in 0u16.. {
            let mut packet = packet(number);
            packet.truncate(40);
            hall.send_datagram(roq::datagram(2, &packet).into()).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let pictures = async {
        let mut stream = screen.accept_uni().await.unwrap();
        let (mut decoder, mut numbers) = (roq::StreamDecoder::default(), Vec::new());
        while numbers.len() < 60 {
            let chunk = stream.read_chunk(64 * 1024, true).await.unwrap().expect("more of it");
            decoder.push(&chunk.bytes);
            while let Some((flow, packet)) = decoder.next().unwrap() {
                assert_eq!((flow, packet[1] & 0x7f), (70_000, 102));
                assert_eq!(packet[12..], crate::packet(0)[12..], "the payload is as it was");
                numbers.push(u16::from_be_bytes([packet[2], packet[3]]));
            }
        }
        assert!(numbers.windows(2).all(|n| n[1] == n[0].wrapping_add(1)), "{numbers:?}");
    };
    let heard = async {
        for _ in 0..60 {
            let datagram = screen.read_datagram().await.unwrap();
            let (flow, packet) = roq::split_datagram(&datagram).unwrap();
            assert_eq!((flow, packet[1] & 0x7f), (5, 111));
        }
    };
    tokio::select! {
        () = publish_camera(&hall) => unreachable!("it sends for ever"),
        () = sound => unreachable!("it sends for ever"),
        _ = soon("pictures and sound", async { tokio::join!(pictures, heard) }) => {}
    }
    let another = tokio::time::timeout(Duration::from_millis(200), screen.accept_uni()).await;
    assert!(another.is_err(), "a flow has one stream");
}

#[tokio::test]
async fn a_subscribed_track_that_comes_back_goes_on_in_the_same_stream() {
    let site = Site::new();
    let _campus = campus(&site).await;
    let screen = soon("a connection", connect(&site, "screen", "roq-16")).await.unwrap();
    let mut stream = None;
    let mut decoder = roq::StreamDecoder::default();
    for _ in 0..2 {
        let hall = soon("a connection", connect(&site, "hall", "roq-16")).await.unwrap();
        let watching = async {
            let stream = match &mut stream {
                Some(stream) => stream,
                none => none.insert(screen.accept_uni().await.unwrap()),
            };
            for _ in 0..10 {
                let chunk = stream.read_chunk(64 * 1024, true).await.unwrap();
                decoder.push(&chunk.expect("the stream goes on").bytes);
                while let Some((flow, packet)) = decoder.next().unwrap() {
                    assert_eq!((flow, packet[1] & 0x7f), (70_000, 102));
                }
            }
        };
        tokio::select! {
            () = publish_camera(&hall) => unreachable!("it sends for ever"),
            () = soon("pictures", watching) => {}
        }
        hall.close(0u32.into(), b"");
    }
}

#[tokio::test]
async fn a_certificate_that_is_known_itself_opens_an_appliances_door_and_no_trunk() {
    let site = Site::new();
    // It claims to be a school's node.
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    let claim = "cloudschool://edge/school-01?school=school-01".try_into().unwrap();
    params.subject_alt_names = vec![rcgen::SanType::URI(claim)];
    let made = |params: &rcgen::CertificateParams| {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        (certificate, key.serialize_der())
    };
    let ((own, key), (other, others_key)) = (made(&params), made(&params));
    let fingerprint = Fingerprint::of(&own);
    let appliances = format!(
        r#"[{{ name = "hall", lesson = "demo-lesson", school = "school-01",
        fingerprint = "{fingerprint}", publishes = {{ 1 = "camera/h264" }} }}]"#
    );
    let _campus = campus_with(&site, &appliances).await;
    let with = |certificate: &CertificateDer<'static>, key: &[u8], alpn| {
        let key = PrivateKeyDer::Pkcs8(key.to_vec().into());
        connect_with(&site, vec![certificate.clone()], key, alpn)
    };
    let (_subscriber, mut feed) = watch(&site);
    let appliance = soon("a connection", with(&own, &key, "roq-16")).await.unwrap();
    tokio::select! {
        () = publish_camera(&appliance) => unreachable!("it sends for ever"),
        _ = soon("a packet", next_packet(&mut feed)) => {}
    }
    let reason = async |certificate, key: &[u8], alpn| match with(certificate, key, alpn).await {
        Ok(connection) => connection.closed().await.to_string(),
        Err(error) => error,
    };
    let as_a_trunk = soon("a refusal", reason(&own, &key, "cloudschool/1")).await;
    assert!(as_a_trunk.contains("opens no trunk"), "{as_a_trunk}");
    let unknown = soon("a refusal", reason(&other, &others_key, "roq-16")).await;
    assert!(unknown.contains("certificate") || unknown.contains("invalid peer"), "{unknown}");
    // One of the campus CA that bears the name is another's.
    let of_ca = soon("a connection", connect(&site, "hall", "roq-16")).await.unwrap();
    let of_ca = soon("a refusal", of_ca.closed()).await.to_string();
    assert!(of_ca.contains("known by another certificate"), "{of_ca}");
}

/// Where GStreamer's elements are built; says so where they are not.
fn plugins() -> Option<PathBuf> {
    let plugins =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/tools/gst-plugin-quinn");
    let built = plugins.join("libgstquinn.so").exists();
    if !built {
        eprintln!("not tried: `make roq-plugin` builds GStreamer's elements");
    }
    built.then_some(plugins)
}

/// GStreamer, publishing a camera as the appliance `hall`.
fn publisher(site: &Site, plugins: &Path) -> Child {
    let tls = site.path("tls").join("hall");
    let file = |name: &str| tls.join(name).display().to_string();
    let pipeline = format!(
        "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=30/1 \
         ! x264enc tune=zerolatency bitrate=400 key-int-max=30 \
         ! video/x-h264,profile=constrained-baseline ! rtph264pay config-interval=-1 mtu=1150 \
         ! mux.stream_0 audiotestsrc is-live=true ! audioconvert ! audioresample \
         ! opusenc frame-size=20 ! rtpopuspay ! mux.datagram_0 \
         quinnroqmux name=mux stream_0::flow-id=1 datagram_0::flow-id=2 \
         ! quinnquicsink sync=false drop-buffer-for-datagram=true address=127.0.0.1 port={port} \
           server-name={TRUNK} alpn-protocols=<roq-16> certificate-database-file={ca} \
           certificate-file={cert} private-key-file={key}",
        port = site.trunk().port(),
        ca = file("ca.pem"),
        cert = file("node.pem"),
        key = file("node.key"),
    );
    Command::new("gst-launch-1.0")
        .args(pipeline.split_whitespace())
        .env("GST_PLUGIN_PATH", plugins)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn gstreamer_publishes_into_a_lesson() {
    let Some(plugins) = plugins() else { return };
    let site = Site::new();
    let _campus = campus(&site).await;
    let (_subscriber, mut feed) = watch(&site);
    let mut gstreamer = publisher(&site, &plugins);
    let first = tokio::select! {
        packet = soon("a packet", next_packet(&mut feed)) => packet,
        ended = gstreamer.wait() => panic!("GStreamer ended: {ended:?}"),
    };
    assert_eq!(first[1] & 0x7f, 102);
    for _ in 0..100 {
        soon("more packets", next_packet(&mut feed)).await;
    }
}

#[tokio::test]
async fn gstreamer_decodes_what_it_subscribes_to() {
    let Some(plugins) = plugins() else { return };
    let site = Site::new();
    let _campus = campus(&site).await;
    let watching = Command::new("/usr/bin/python3")
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scripts/roq-watch.py"))
        .args(["--address", "127.0.0.1", "--port", &site.trunk().port().to_string()])
        .arg("--tls")
        .arg(site.path("tls").join("screen"))
        .args(["--flow", "70000=h264", "--flow", "5=opus", "--frames", "60"])
        .env("GST_PLUGIN_PATH", &plugins)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let mut gstreamer = publisher(&site, &plugins);
    let seen = tokio::select! {
        seen = soon("60 frames", watching) => seen.unwrap(),
        ended = gstreamer.wait() => panic!("GStreamer ended: {ended:?}"),
    };
    assert!(seen.status.success(), "{:?}", seen.status);
    let seen: serde_json::Value = serde_json::from_slice(&seen.stdout).unwrap();
    assert_eq!(seen["size"], serde_json::json!([320, 240]));
    assert!(seen["frames"].as_u64() >= Some(60) && seen["sound"].as_u64() >= Some(60), "{seen}");
    assert!(seen["pictures"].as_u64() >= Some(50), "the ball flies: {seen}");
}
