//! Several upstreams in order of preference: the next is taken when one can't be reached, and
//! the preferred one again when it is back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use cloudschool_protocol::trunk::NodeKind;
use cloudschool_relay::{Dialer, Found, Listener, Trunk, Upstreams};
use common::{Campus, loopback, soon};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A node others dial, on a port that stays its own when it goes.
fn upper(campus: &Campus, name: &str, address: SocketAddr) -> Listener {
    Listener::bind(address, &campus.identity(name, NodeKind::Edge), "upper 1").unwrap()
}

fn dialer(campus: &Campus, upstreams: &[SocketAddr]) -> Dialer {
    let upstreams: Vec<String> = upstreams.iter().map(SocketAddr::to_string).collect();
    let identity = campus.identity("school-01", NodeKind::Edge);
    Dialer::new(Upstreams::from(upstreams.as_slice()), identity, "edge 1")
        .return_after(Duration::from_secs(1))
}

fn reached(trunk: &Trunk) -> &str {
    trunk.peer().node.as_str()
}

#[tokio::test]
async fn what_does_not_answer_is_passed_over_within_seconds() {
    let campus = Campus::new();
    let second = upper(&campus, "district-2", loopback());
    // A port that takes what comes and answers nothing, as a dead line does.
    let silent = std::net::UdpSocket::bind(loopback()).unwrap();
    let mut dialer = dialer(&campus, &[silent.local_addr().unwrap(), second.address()]);
    let begun = Instant::now();
    let (trunk, _receiver) = soon(dialer.connect()).await;
    assert_eq!(reached(&trunk), "district-2");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_trunk_that_leads_nowhere_is_left_for_another_and_the_preferred_one_is_gone_back_to() {
    let campus = Campus::new();
    let first = upper(&campus, "district-1", loopback());
    let second = upper(&campus, "district-2", loopback());
    let home = first.address();
    let mut dialer = dialer(&campus, &[home, second.address()]);
    let (before, _receiver) = soon(dialer.connect()).await;
    assert_eq!(reached(&before), "district-1");
    let (good, is_good) = watch::channel(true);
    let nothing = tokio::time::timeout(Duration::from_millis(300), dialer.better(is_good.clone()));
    assert!(nothing.await.is_err(), "there is no reason to go");

    drop(first);
    good.send_replace(false);
    let found = soon(dialer.better(is_good.clone())).await;
    assert_eq!(reached(&found.trunk), "district-2");
    dialer.moved(found.place(), &found.trunk);
    good.send_replace(true);

    let again = upper(&campus, "district-1", home);
    let back_since = Instant::now();
    let Found { trunk, .. } = soon(dialer.better(is_good)).await;
    assert_eq!(reached(&trunk), "district-1");
    assert!(back_since.elapsed() >= Duration::from_secs(1), "it was looked at for a while");
    let stats = *again.stats().borrow();
    assert!(stats.looked_in >= 2 && stats.accepted == 1 && stats.failed == 0, "{stats:?}");
    assert!(found.trunk.reachable().borrow().to_owned(), "the other is left by who has it");
}

#[tokio::test]
async fn an_upstream_that_was_no_better_is_left_alone() {
    let campus = Campus::new();
    let first = upper(&campus, "district-1", loopback());
    let second = upper(&campus, "district-2", loopback());
    let mut dialer = dialer(&campus, &[first.address(), second.address()]);
    let (_trunk, _receiver) = soon(dialer.connect()).await;
    let (_never, is_good) = watch::channel(false);
    let found = soon(dialer.better(is_good.clone())).await;
    dialer.stayed(found.place());
    let nothing = tokio::time::timeout(Duration::from_secs(3), dialer.better(is_good));
    assert!(nothing.await.is_err(), "it was dialled again at once");
    assert_eq!(second.stats().borrow().accepted, 1);
}
