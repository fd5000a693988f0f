//! A trunk that has to travel another way than it was dialled: over TCP while UDP is blocked, and
//! back. The trunk is ended then and its owner's next attempt, which finds the other way, follows
//! at once; that costs a fraction of a second of media and nothing of the lesson.

use crate::attempt::TrunkManner;
use crate::close::{self, DONE};
use crate::identity::Identity;
use crate::reach::{self, Reached, Way};
use crate::trunk::{Ending, Trunk};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// When a trunk over TCP first tries UDP again, and how seldom it does at last: each attempt
/// is a few packets.
const HOMEWARD: Duration = Duration::from_secs(15);
const HOMEWARD_AT_LAST: Duration = Duration::from_secs(300);

/// How long nothing is heard over UDP before TCP is tried, and how seldom at last. A line that is
/// cut has no TCP either and costs a packet each time; one that is back within this is as it was.
const ASTRAY: Duration = Duration::from_secs(3);
const ASTRAY_AT_LAST: Duration = Duration::from_secs(15);

/// For a handshake in a tunnel: TCP's, TLS's and QUIC's by satellite.
const TUNNEL: Duration = Duration::from_secs(5);

/// Within this UDP is heard again when it is back: two of what both ends say each half second.
const BACK: Duration = Duration::from_secs(1);

/// Whom a trunk goes to.
pub struct Place {
    pub address: SocketAddr,
    pub host: String,
    pub identity: Identity,
}

/// Ends `trunk`, which travels by `way`, when the other way is the one to take. Does not keep it
/// open.
pub fn look_out(trunk: &Trunk, way: Way, place: Place) {
    let ending = trunk.ending();
    match way {
        Way::Tunnel => tokio::spawn(homeward(place, ending, HOMEWARD)),
        Way::Udp => tokio::spawn(astray(place, trunk.reachable(), ending)),
    };
}

/// While a trunk goes over TCP, knocks at UDP now and then.
async fn homeward(place: Place, tunnel: Ending, first: Duration) {
    let address = place.address;
    let mut wait = first;
    loop {
        tokio::select! {
            () = sleep(wait) => {}
            _ = tunnel.closed() => return,
        }
        wait = (wait * 2).min(HOMEWARD_AT_LAST);
        match reach::over_udp(address, &TrunkManner::of(&place.identity, None)).await {
            Ok(Reached { connection, .. }) => {
                close::close(&connection, DONE, close::LOOKED_IN);
                tracing::info!(%address, "UDP gets through again: the trunk moves to it");
                return tunnel.close("the trunk moves from TCP to UDP");
            }
            Err(error) => tracing::debug!(%address, %error, "UDP does not get through yet"),
        }
    }
}

/// While nothing is heard over UDP, knocks at TCP: a firewall may have closed in mid-lesson.
async fn astray(place: Place, mut reachable: watch::Receiver<bool>, udp: Ending) {
    let address = place.address;
    let mut wait = ASTRAY;
    loop {
        // Fails when the trunk is gone.
        if reachable.wait_for(|reachable| !reachable).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(wait) => {}
            _ = udp.closed() => return,
            back = reachable.wait_for(|reachable| *reachable) => {
                if back.is_err() {
                    return;
                }
                wait = ASTRAY;
                continue;
            }
        }
        wait = (wait * 2).min(ASTRAY_AT_LAST);
        let manner = TrunkManner::of(&place.identity, None);
        let knock = timeout(TUNNEL, reach::in_tunnel(address, &place.host, &manner)).await;
        match knock {
            Ok(Ok(Reached { connection, .. })) => {
                close::close(&connection, DONE, close::LOOKED_IN);
                // Both may just have come back.
                if timeout(BACK, reachable.wait_for(|reachable| *reachable)).await.is_err() {
                    tracing::info!(%address, "UDP is silent and TCP is not: the trunk moves to it");
                    return udp.close("the trunk moves from UDP to TCP");
                }
            }
            Ok(Err(error)) => tracing::debug!(%address, %error, "TCP does not get through either"),
            Err(_) => tracing::debug!(%address, "TCP is silent as well"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hello;
    use crate::trunk::Trunk;
    use crate::{Listener, Services, ca};
    use cloudschool_protocol::id::{NodeId, SchoolId};
    use cloudschool_protocol::trunk::NodeKind;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_trunk_over_tcp_moves_to_udp_when_that_gets_through() {
        let dir = tempfile::tempdir().unwrap();
        let ca_dir = dir.path().join("ca");
        ca::init(&ca_dir).unwrap();
        let issued = |node: &str, kind, school: Option<&SchoolId>| {
            let out = dir.path().join(node);
            ca::issue(&ca_dir, &NodeId::new(node).unwrap(), kind, school, &out).unwrap();
            Identity::load(&out).unwrap()
        };
        let campus = issued("campus", NodeKind::Origin, None);
        let school = SchoolId::new("school-01").unwrap();
        let edge = issued("school-01", NodeKind::Edge, Some(&school));
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp_address = tcp.local_addr().unwrap();
        let services = Services { tunnel: Some(tcp), ..Services::default() };
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind_with(any, &campus, "campus 1", services).unwrap();

        let manner = TrunkManner::of(&edge, None);
        let reached = reach::in_tunnel(tcp_address, "127.0.0.1", &manner).await.unwrap();
        assert_eq!(reached.way, Way::Tunnel);
        let greeted = hello::dial(reached.connection, &edge, "edge 1").await.unwrap();
        let (trunk, _receiver) = Trunk::start(greeted, manner.gauge(Way::Tunnel).clone());
        let (_upper, _) = listener.accept().await.unwrap();
        // UDP leads nowhere at first.
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let refused = reach::over_udp(silent.local_addr().unwrap(), &manner);
        assert!(timeout(Duration::from_millis(300), refused).await.is_err());
        assert!(trunk.ending().reason().is_none());

        let soon = Duration::from_millis(10);
        let address = listener.address();
        let place = Place { address, host: "127.0.0.1".to_owned(), identity: edge };
        homeward(place, trunk.ending(), soon).await;
        let (reason, lasting) = trunk.ending().reason().unwrap();
        assert!(reason.contains("closed by this node") && !lasting, "{reason}");
    }
}
