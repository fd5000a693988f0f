//! A fresh machine becomes a school's node, and gets its trunk through a firewall.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use cloudschool_protocol::id::{NodeId, SchoolId};
use cloudschool_protocol::media::Kind;
use cloudschool_protocol::trunk::{Control, NodeKind};
use cloudschool_relay::enrol::{ApplyError, Book, Code, Office, Place, Refused, apply};
use cloudschool_relay::measure::{Through, measure};
use cloudschool_relay::{Dialer, Identity, Listener, Services, ca};
use common::line::Line;
use common::*;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A campus that issues certificates.
struct Counter {
    campus: Campus,
    listener: Listener,
    office: Arc<Office>,
    book: Book,
}

impl Counter {
    fn open() -> Self {
        let campus = Campus::new();
        let ca = campus.ca();
        let office = Arc::new(Office::open(&ca, "settings").unwrap());
        let services = Services { office: Some(office.clone()), ..Services::default() };
        let identity = campus.identity("campus", NodeKind::Origin);
        let listener = Listener::bind_with(loopback(), &identity, "campus 1", services).unwrap();
        Self { book: Book::of(&ca), campus, listener, office }
    }

    fn upstream(&self) -> String {
        self.listener.address().to_string()
    }

    fn code(&self, node: &str) -> Code {
        self.book.make(&place(node), DAY, now_ms()).unwrap()
    }

    async fn apply(&self, code: &Code, csr: &str) -> Result<String, Refused> {
        match soon(apply(&self.upstream(), code, csr)).await {
            Ok(applied) => Ok(applied.certificate),
            Err(ApplyError::Refused(why)) => Err(why),
            Err(other) => panic!("{other}"),
        }
    }
}

fn place(node: &str) -> Place {
    Place { node: NodeId::new(node).unwrap(), school: SchoolId::new(node).unwrap() }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Another code of the same name.
fn wrong(code: &Code) -> Code {
    let text = code.to_string();
    let last = if text.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", &text[..text.len() - 1]).parse().unwrap()
}

#[tokio::test]
async fn a_machine_with_a_code_gets_a_trunk() {
    let counter = Counter::open();
    let code = counter.code("school-02");
    let (key, csr) = ca::new_key().unwrap();
    let applied = soon(apply(&counter.upstream(), &code, &csr)).await.unwrap();
    assert_eq!((applied.node.as_str(), applied.school.as_str()), ("school-02", "school-02"));
    assert_eq!(applied.settings, "settings");
    let dir = tempfile::tempdir().unwrap();
    ca::install(dir.path(), &applied.ca, &applied.certificate, &key).unwrap();
    let identity = Identity::load_as(dir.path(), NodeKind::Edge, &applied.node).unwrap();
    let mut dialer = Dialer::new(counter.upstream(), identity, "edge 1");
    let (upper, _lower) =
        soon(async { tokio::join!(counter.listener.accept(), dialer.connect()) }).await;
    assert_eq!(upper.unwrap().0.peer().node.as_str(), "school-02");
    assert_eq!(counter.office.stats().borrow().issued, 1);
}

#[tokio::test]
async fn a_code_is_taken_once_and_the_same_machine_may_ask_again() {
    let counter = Counter::open();
    let code = counter.code("school-02");
    let (_, csr) = ca::new_key().unwrap();
    let (_, other) = ca::new_key().unwrap();
    counter.apply(&code, &csr).await.unwrap();
    counter.apply(&code, &csr).await.unwrap();
    assert_eq!(counter.apply(&code, &other).await, Err(Refused::Used));
    let stats = *counter.office.stats().borrow();
    assert_eq!((stats.issued, stats.used), (2, 1));
}

#[tokio::test]
async fn wrong_and_expired_codes_are_refused_and_counted_and_others_go_on() {
    let counter = Counter::open();
    let (_, csr) = ca::new_key().unwrap();
    let good = counter.code("school-02");
    let victim = counter.code("school-03");
    let late = counter.book.make(&place("school-04"), DAY, now_ms() - DAY.as_millis() as u64 - 1);
    assert_eq!(counter.apply(&late.unwrap(), &csr).await, Err(Refused::Expired));
    for _ in 0..5 {
        assert_eq!(counter.apply(&wrong(&victim), &csr).await, Err(Refused::WrongCode));
    }
    // Even the right one is void now.
    assert_eq!(counter.apply(&victim, &csr).await, Err(Refused::Void));
    counter.apply(&good, &csr).await.unwrap();
    // An address that goes on guessing waits, whatever it guesses.
    let mut why = Vec::new();
    for _ in 0..6 {
        why.push(counter.apply(&Code::random(), &csr).await.unwrap_err());
    }
    assert!(why.contains(&Refused::TooOften), "{why:?}");
    let stats = *counter.office.stats().borrow();
    assert_eq!((stats.issued, stats.expired, stats.void), (1, 1, 1));
    assert!(stats.wrong_code >= 5 && stats.too_often >= 1, "{stats:?}");
}

#[tokio::test]
async fn a_node_that_issues_nothing_says_so() {
    let campus = Campus::new();
    let listener = campus.listener();
    let (_, csr) = ca::new_key().unwrap();
    let refused = soon(apply(&listener.address().to_string(), &Code::random(), &csr)).await;
    assert!(matches!(refused, Err(ApplyError::Refused(Refused::NotHere))), "{refused:?}");
}

#[tokio::test]
async fn who_does_not_know_the_code_can_put_no_ca_of_his_own_in_its_place() {
    // He answers in the campus's stead with a campus of his own, and has to guess.
    let (real, false_campus) = (Counter::open(), Counter::open());
    let code = real.code("school-02");
    let guess = wrong(&code);
    let file = |counter: &Counter, code: &Code| {
        counter.campus.ca().join("codes").join(format!("{}.json", code.name()))
    };
    // The name is no secret: his book has a code of that name, with another secret.
    let own = false_campus.code("school-02");
    std::fs::rename(file(&false_campus, &own), file(&false_campus, &guess)).unwrap();
    let (_, csr) = ca::new_key().unwrap();
    let answer = soon(apply(&false_campus.upstream(), &code, &csr)).await;
    assert!(matches!(answer, Err(ApplyError::Refused(Refused::WrongCode))), "{answer:?}");
    assert_eq!(false_campus.office.stats().borrow().issued, 0);
    // Nothing of it counts at the real one.
    real.apply(&code, &csr).await.unwrap();
}

/// A campus whose UDP goes over a line, with TCP at the line's port.
async fn behind_a_firewall(campus: &Campus) -> (Listener, Line) {
    let identity = campus.identity("campus", NodeKind::Origin);
    for _ in 0..20 {
        // A free port, to be known before what stands in front of it is there.
        let udp = std::net::UdpSocket::bind(loopback()).unwrap().local_addr().unwrap();
        let line = Line::to(udp).await;
        let Ok(tcp) = TcpListener::bind(line.address) else { continue };
        let services = Services { tunnel: Some(tcp), ..Services::default() };
        if let Ok(listener) = Listener::bind_with(udp, &identity, "campus 1", services) {
            return (listener, line);
        }
    }
    panic!("no port is free for UDP and TCP");
}

#[tokio::test]
async fn where_udp_is_blocked_the_trunk_comes_up_over_tcp_and_carries_media() {
    let campus = Campus::new();
    let (listener, line) = behind_a_firewall(&campus).await;
    line.cut();
    let (upper, mut lower) = campus.connect(&listener, line.address).await;
    let stats = listener.tunnel_stats().unwrap();
    assert_eq!((stats.borrow().accepted, stats.borrow().open), (1, 1));
    upper.trunk.send(Control::Keyframe { flow: 7 }).await.unwrap();
    assert_eq!(lower.control().await, Control::Keyframe { flow: 7 });
    let frame: Vec<_> = (0..40).map(|n| rtp(n, 1100)).collect();
    for round in 0..5 {
        assert!(upper.trunk.send_packet(3, Kind::Audio, &rtp(round, 120)));
        assert_eq!(lower.packet().await, (3, rtp(round, 120)));
        assert!(upper.trunk.send_frame(9, at(1), &frame).is_sent());
        for packet in &frame {
            assert_eq!(lower.packet().await, (9, packet.clone()));
        }
    }
}

#[tokio::test]
async fn where_udp_falls_silent_in_mid_lesson_the_trunk_moves_to_tcp() {
    let campus = Campus::new();
    let (listener, line) = behind_a_firewall(&campus).await;
    let mut dialer = campus.dialer(line.address);
    let (first, _upper) = soon(async { tokio::join!(dialer.connect(), listener.accept()) }).await;
    line.cut();
    // Sooner than QUIC itself takes the connection for lost.
    let reason = soon(first.0.closed()).await;
    assert!(reason.contains("closed by this node"), "{reason}");
    let (second, upper) = soon(async { tokio::join!(dialer.connect(), listener.accept()) }).await;
    assert_eq!(listener.tunnel_stats().unwrap().borrow().open, 1);
    second.0.send(Control::Keyframe { flow: 7 }).await.unwrap();
    let (_trunk, mut upper) = upper.unwrap();
    assert_eq!(soon(upper.control.recv()).await, Some(Control::Keyframe { flow: 7 }));
}

#[tokio::test]
async fn a_measurement_finds_what_there_is() {
    let campus = Campus::new();
    let (listener, line) = behind_a_firewall(&campus).await;
    let identity = campus.identity("school-01", NodeKind::Edge);
    let report = soon(measure(&line.address.to_string(), &identity)).await;
    assert_eq!((&report.udp, &report.tcp), (&Through::Open, &Through::Open), "{report:?}");
    assert_eq!(report.broken, None);
    let (down, up, ping) = (report.down.unwrap(), report.up.unwrap(), report.ping.unwrap());
    assert!(down.bits_per_second > 4_000_000 && up.bits_per_second > 4_000_000, "{report:?}");
    assert!(ping.min_ms < 100.0 && ping.clock_ahead_ms.abs() < 100, "{ping:?}");
    assert!(report.mtu.unwrap() >= 1200);
    assert!((360..=366).contains(&report.certificate.unwrap().days_left));
    drop((line, listener));
}

#[tokio::test]
async fn a_measurement_tells_a_blocked_udp_and_a_refused_certificate() {
    let campus = Campus::new();
    let (_listener, line) = behind_a_firewall(&campus).await;
    line.cut();
    let stranger = Campus::new().identity("school-01", NodeKind::Edge);
    let report = soon(measure(&line.address.to_string(), &stranger)).await;
    assert!(matches!(report.udp, Through::Blocked(_)), "{report:?}");
    assert!(
        matches!(&report.tcp, Through::Refused(why) if why.contains("certificate")),
        "{report:?}"
    );
    assert!(report.broken.is_some() && report.down.is_none());
}
