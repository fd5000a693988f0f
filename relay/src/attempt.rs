//! One attempt at one upstream node: its name becomes an address, the address a connection, and
//! the connection a trunk. When to try, and whom, is the dialer's affair.

use crate::close::{self, DONE};
use crate::hello::{self, HelloError};
use crate::identity::Identity;
use crate::marking::Dscp;
use crate::migration::Mover;
use crate::path::Gauge;
use crate::reach::{self, Manner, ReachError, Reached, Way};
use crate::transport;
use crate::trunk::{Ending, Trunk, TrunkReceiver};
use quinn::{ClientConfig, EndpointConfig};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};

/// When a trunk over TCP first tries UDP again, and how seldom it does at last: each attempt
/// is a few packets, and a trunk that moves misses a fraction of a second.
const HOMEWARD: Duration = Duration::from_secs(15);
const HOMEWARD_AT_LAST: Duration = Duration::from_secs(300);

/// Why an attempt gave no trunk.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error(transparent)]
    Unreached(ReachError),
    /// The sentence says which end refused which.
    #[error("{reason}")]
    Failed {
        reason: String,
        /// The next attempt will fail the same way unless someone changes something.
        lasting: bool,
    },
}

impl DialError {
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self, Self::Failed { lasting: true, .. })
    }
}

impl From<HelloError> for DialError {
    fn from(error: HelloError) -> Self {
        let lasting = match &error {
            HelloError::Refused(_) | HelloError::Refusing(_) => true,
            HelloError::Lost(e) => close::is_lasting(e),
            HelloError::Silent => false,
        };
        Self::Failed { reason: error.to_string(), lasting }
    }
}

impl From<ReachError> for DialError {
    fn from(error: ReachError) -> Self {
        match error {
            ReachError::Failed(e) => HelloError::Lost(e).into(),
            // UDP was silent too, and is what should work.
            ReachError::NoTunnel { address, .. } => {
                Self::Unreached(ReachError::NoAnswer { address })
            }
            other => Self::Unreached(other),
        }
    }
}

/// An attempt at `upstream`, `host:port`.
#[derive(Clone)]
pub struct Attempt {
    pub upstream: String,
    pub identity: Identity,
    pub software: String,
    /// Which of the name's addresses to take, round and round.
    pub turn: usize,
    /// What datagrams are marked with.
    pub dscp: Option<Dscp>,
}

impl Attempt {
    /// Dials and says hello.
    pub async fn connect(self) -> Result<(Trunk, TrunkReceiver), DialError> {
        let address = self.resolve().await?;
        let manner = TrunkManner::of(&self.identity, self.dscp);
        let Reached { connection, way, endpoint } =
            reach::to(address, reach::host(&self.upstream), &manner).await?;
        let hello = hello::dial(connection, &self.identity, &self.software);
        let greeted = timeout(hello::LIMIT, hello).await;
        let greeted = greeted.map_err(|_| ReachError::NoAnswer { address })??;
        let gauge = manner.gauge(way).clone();
        // A tunnel moves in its own way.
        let mover =
            (way == Way::Udp).then(|| Mover::new(endpoint, address, self.dscp, gauge.clone()));
        let (trunk, receiver) = Trunk::start_from(greeted, gauge, mover);
        if way == Way::Tunnel {
            tracing::info!(%address, "UDP does not get through: the trunk goes over TCP");
            tokio::spawn(homeward(address, self.identity, trunk.ending(), HOMEWARD));
        }
        Ok((trunk, receiver))
    }

    /// Looks whether the node is there and takes this node's certificate, and goes again. It
    /// counts for no trunk at either end.
    pub async fn knock(self) -> Result<(), DialError> {
        let address = self.resolve().await?;
        let manner = TrunkManner::of(&self.identity, self.dscp);
        let reached = reach::to(address, reach::host(&self.upstream), &manner).await?;
        close::close(&reached.connection, DONE, close::LOOKED_IN);
        Ok(())
    }

    async fn resolve(&self) -> Result<SocketAddr, ReachError> {
        let unresolved =
            |source| ReachError::Unresolved { upstream: self.upstream.clone(), source };
        let found: Vec<_> = lookup_host(&self.upstream).await.map_err(unresolved)?.collect();
        let turn = self.turn.checked_rem(found.len()).unwrap_or_default();
        found
            .get(turn)
            .copied()
            .ok_or_else(|| unresolved(io::Error::other("the name has no address")))
    }
}

/// How a trunk is dialled. Each way has a path, and so a gauge, of its own.
struct TrunkManner {
    identity: Identity,
    dscp: Option<Dscp>,
    udp: Arc<Gauge>,
    tunnel: Arc<Gauge>,
}

impl TrunkManner {
    fn of(identity: &Identity, dscp: Option<Dscp>) -> Self {
        Self { identity: identity.clone(), dscp, udp: Arc::default(), tunnel: Arc::default() }
    }

    fn gauge(&self, way: Way) -> &Arc<Gauge> {
        match way {
            Way::Udp => &self.udp,
            Way::Tunnel => &self.tunnel,
        }
    }
}

impl Manner for TrunkManner {
    fn client(&self, way: Way) -> ClientConfig {
        let mut config = ClientConfig::new(self.identity.client());
        config.transport_config(transport::config(self.gauge(way).clone()));
        config
    }

    fn endpoint(&self) -> EndpointConfig {
        self.identity.keys().endpoint_config()
    }

    fn dscp(&self) -> Option<Dscp> {
        self.dscp
    }
}

/// While a trunk goes over TCP, knocks at UDP now and then. When that gets through, the trunk
/// is ended, and its owner's next attempt, which tries UDP first, follows at once.
async fn homeward(address: SocketAddr, identity: Identity, tunnel: Ending, first: Duration) {
    let mut wait = first;
    loop {
        tokio::select! {
            () = sleep(wait) => {}
            _ = tunnel.closed() => return,
        }
        wait = (wait * 2).min(HOMEWARD_AT_LAST);
        match reach::over_udp(address, &TrunkManner::of(&identity, None)).await {
            Ok(Reached { connection, .. }) => {
                close::close(&connection, DONE, close::LOOKED_IN);
                tracing::info!(%address, "UDP gets through again: the trunk moves to it");
                return tunnel.close("the trunk moves from TCP to UDP");
            }
            Err(error) => tracing::debug!(%address, %error, "UDP does not get through yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Listener, Services, ca};
    use cloudschool_protocol::id::{NodeId, SchoolId};
    use cloudschool_protocol::trunk::NodeKind;

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
        let (trunk, _receiver) = Trunk::start(greeted, manner.tunnel.clone());
        let (_upper, _) = listener.accept().await.unwrap();
        // UDP leads nowhere at first.
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let refused = reach::over_udp(silent.local_addr().unwrap(), &manner);
        assert!(timeout(Duration::from_millis(300), refused).await.is_err());
        assert!(trunk.ending().reason().is_none());

        let soon = Duration::from_millis(10);
        homeward(listener.address(), edge, trunk.ending(), soon).await;
        let (reason, lasting) = trunk.ending().reason().unwrap();
        assert!(reason.contains("closed by this node") && !lasting, "{reason}");
    }
}
