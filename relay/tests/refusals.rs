//! Who is not let in is told why in a sentence, and counted, and nobody else notices.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use cloudschool_protocol::frame::{self, Decoder};
use cloudschool_protocol::trunk::{Control, NodeKind, VERSION};
use cloudschool_relay::{DialStatus, Dialer, Listener, ListenerStats};
use common::*;
use quinn::RecvStream;

/// Waits until the listener's counters are as `wanted`.
async fn counted(listener: &Listener, wanted: impl FnMut(&ListenerStats) -> bool) {
    soon(listener.stats().wait_for(wanted)).await.unwrap();
}

/// The sentence a dialer waits with.
async fn refused(mut dialer: Dialer) -> String {
    let mut status = dialer.status();
    let dialling = tokio::spawn(async move { dialer.connect().await });
    let waiting =
        soon(status.wait_for(|s| matches!(s, DialStatus::Waiting { .. }))).await.unwrap().clone();
    dialling.abort();
    let DialStatus::Waiting { reason, retry_in } = waiting else { panic!("not waiting") };
    assert!(retry_in.as_secs() >= 15, "refused and tries again in {retry_in:?}");
    reason
}

async fn goodbye(mut recv: RecvStream) -> String {
    let mut decoder = Decoder::default();
    loop {
        if let Some(message) = decoder.next::<Control>().unwrap() {
            let Control::Goodbye { reason } = message else { panic!("{message:?}") };
            return reason;
        }
        let chunk = soon(recv.read_chunk(4096, true)).await.unwrap().unwrap();
        decoder.push(&chunk.bytes);
    }
}

#[tokio::test]
async fn a_campus_of_another_ca_is_not_believed() {
    let (campus, impostor) = (Campus::new(), Campus::new());
    let listener = impostor.listener();
    let reason = refused(campus.dialer(listener.address())).await;
    assert!(
        reason.starts_with("this node does not accept the other end's certificate"),
        "{reason}"
    );
    counted(&listener, |c| c.refused_certificate == 1).await;
}

#[tokio::test]
async fn a_node_of_another_ca_is_refused() {
    let (campus, elsewhere) = (Campus::new(), Campus::new());
    let listener = campus.listener();
    // It trusts the campus, and shows a certificate the campus doesn't know.
    let out = elsewhere.issued("school-01", NodeKind::Edge);
    let ca = campus.issued("campus", NodeKind::Origin).join("ca.pem");
    std::fs::copy(ca, out.join("ca.pem")).unwrap();
    let reason = refused(elsewhere.dialer(listener.address())).await;
    assert!(reason.contains("does not accept this node's certificate"), "{reason}");
    assert!(reason.contains("another CA"), "{reason}");
    counted(&listener, |c| c.refused_certificate == 1 && c.accepted == 0).await;
}

#[tokio::test]
async fn a_peer_without_a_certificate_is_refused() {
    let campus = Campus::new();
    let listener = campus.listener();
    let connection = campus.raw(listener.address(), None).await;
    let error = soon(connection.closed()).await;
    assert!(matches!(error, quinn::ConnectionError::ConnectionClosed(_)), "{error}");
    counted(&listener, |c| c.refused_certificate == 1 && c.accepted == 0).await;
}

#[tokio::test]
async fn a_recorders_certificate_makes_no_campus() {
    let campus = Campus::new();
    let recorder = campus.identity("recorder", NodeKind::Recorder);
    let listener = Listener::bind(loopback(), &recorder, "impostor").unwrap();
    let reason = refused(campus.dialer(listener.address())).await;
    assert!(reason.contains("certificate"), "{reason}");
}

#[tokio::test]
async fn another_version_is_told_to_update() {
    let campus = Campus::new();
    let listener = campus.listener();
    let connection = campus.raw(listener.address(), Some(("school-01", NodeKind::Edge))).await;
    let (mut send, recv) = connection.open_bi().await.unwrap();
    let hello = hello("school-01", NodeKind::Edge, VERSION + 1);
    send.write_all(&frame::encode(&hello).unwrap()).await.unwrap();
    let reason = goodbye(recv).await;
    assert!(reason.contains("bring this node to a later release"), "{reason}");
    assert!(soon(connection.closed()).await.to_string().contains("a later release"));
    counted(&listener, |c| c.refused_hello == 1 && c.accepted == 0).await;
}

/// A message as its text, whether this release knows it or not.
fn framed(json: &str) -> Vec<u8> {
    [&u32::try_from(json.len()).unwrap().to_be_bytes()[..], json.as_bytes()].concat()
}

#[tokio::test]
async fn a_later_release_that_speaks_ours_too_is_let_in_and_what_only_it_says_is_passed_over() {
    let campus = Campus::new();
    let listener = campus.listener();
    let connection = campus.raw(listener.address(), Some(("school-01", NodeKind::Edge))).await;
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    let later = VERSION + 1;
    for message in [
        format!(
            r#"{{"type":"hello","version":{later},"oldest":{VERSION},"node":"school-01","kind":"edge","school":"school-01","software":"later","capabilities":["weather"],"rain":1}}"#
        ),
        r#"{"type":"weather","rain":{"much":true}}"#.into(),
        r#"{"type":"keyframe","flow":"the picture of li"}"#.into(),
        r#"{"type":"keyframe","flow":7,"encoding":2}"#.into(),
    ] {
        send.write_all(&framed(&message)).await.unwrap();
    }
    let (trunk, mut receiver) = soon(listener.accept()).await.unwrap();
    assert_eq!(trunk.version(), VERSION);
    assert!(trunk.peer_can("weather") && !trunk.peer_can("tree"));
    assert_eq!(soon(receiver.control.recv()).await, Some(Control::Keyframe { flow: 7 }));
    assert_eq!(trunk.stats().unknown_messages, 2);
}

#[tokio::test]
async fn a_message_of_our_own_version_that_cant_be_read_ends_the_trunk() {
    let campus = Campus::new();
    let listener = campus.listener();
    let connection = campus.raw(listener.address(), Some(("school-01", NodeKind::Edge))).await;
    let (mut send, _recv) = common::raw_hello(&connection, "school-01", NodeKind::Edge).await;
    let (trunk, _receiver) = soon(listener.accept()).await.unwrap();
    send.write_all(&framed(r#"{"type":"weather"}"#)).await.unwrap();
    send.write_all(&framed(r#"{"type":"keyframe","flow":"x"}"#)).await.unwrap();
    let why = soon(trunk.closed()).await;
    soon(connection.closed()).await;
    assert_eq!(trunk.stats().unknown_messages, 1, "{why}");
}

#[tokio::test]
async fn before_hello_a_message_is_short() {
    let campus = Campus::new();
    let listener = campus.listener();
    let connection = campus.raw(listener.address(), Some(("school-01", NodeKind::Edge))).await;
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_all(&65_537u32.to_be_bytes()).await.unwrap();
    assert!(goodbye(recv).await.contains("65536 allowed"));
    counted(&listener, |c| c.refused_hello == 1 && c.accepted == 0).await;
}

#[tokio::test]
async fn a_flood_of_streams_waits_and_harms_no_other_trunk() {
    let campus = Campus::new();
    let listener = campus.listener();
    let connection = campus.raw(listener.address(), Some(("school-01", NodeKind::Edge))).await;
    let _hello = common::raw_hello(&connection, "school-01", NodeKind::Edge).await;
    let (flooded, _receiver) = soon(listener.accept()).await.unwrap();
    // Streams that begin and never end, as many as there can be, and more.
    let mut open = Vec::new();
    let flood = async {
        loop {
            let mut stream = connection.open_uni().await.unwrap();
            stream.write_all(&[4]).await.unwrap();
            open.push(stream);
        }
    };
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(2), flood).await;
    assert!(stopped.is_err());
    assert_eq!(open.len(), 1024, "the rest waits");
    let other = campus.identity("school-02", NodeKind::Edge);
    let mut dialer = Dialer::new(listener.address().to_string(), other, "edge 1");
    let (lower, _media) = soon(dialer.connect()).await;
    let (upper, mut receiver) = soon(listener.accept()).await.unwrap();
    lower.send(Control::Keyframe { flow: 1 }).await.unwrap();
    assert_eq!(soon(receiver.control.recv()).await, Some(Control::Keyframe { flow: 1 }));
    drop((flooded, upper));
}

#[tokio::test]
async fn a_hello_that_is_not_its_certificates_is_refused() {
    let campus = Campus::new();
    let listener = campus.listener();
    for said in [
        hello("school-02", NodeKind::Edge, VERSION),
        hello("school-01", NodeKind::Origin, VERSION),
        Control::Keyframe { flow: 1 },
    ] {
        let connection = campus.raw(listener.address(), Some(("school-01", NodeKind::Edge))).await;
        let (mut send, recv) = connection.open_bi().await.unwrap();
        send.write_all(&frame::encode(&said).unwrap()).await.unwrap();
        let reason = goodbye(recv).await;
        assert!(reason.contains("hello"), "{reason}");
    }
    counted(&listener, |c| c.refused_hello == 3 && c.accepted == 0).await;
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused() {
    let campus = Campus::new();
    let listener = campus.listener();
    let connection = campus.raw(listener.address(), Some(("school-01", NodeKind::Edge))).await;
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(goodbye(recv).await.contains("control message"));
    counted(&listener, |c| c.refused_hello == 1).await;
}

#[tokio::test]
async fn a_node_has_one_trunk_the_newest() {
    let campus = Campus::new();
    let listener = campus.listener();
    let (_upper, older) = campus.connect(&listener, listener.address()).await;
    let (mut upper, newer) = campus.connect(&listener, listener.address()).await;
    assert!(soon(older.trunk.closed()).await.contains("has taken over"));
    newer.trunk.send(Control::Keyframe { flow: 1 }).await.unwrap();
    assert_eq!(upper.control().await, Control::Keyframe { flow: 1 });
}

#[tokio::test]
async fn a_taken_port_is_a_clear_error() {
    let campus = Campus::new();
    let listener = campus.listener();
    let identity = campus.identity("campus", NodeKind::Origin);
    let Err(error) = Listener::bind(listener.address(), &identity, "campus 2") else {
        panic!("bound twice")
    };
    assert!(error.to_string().contains(&listener.address().to_string()), "{error}");
}
