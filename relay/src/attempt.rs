//! One attempt at one upstream node: its name becomes an address, the address a connection, and
//! the connection a trunk. When to try, and whom, is the dialer's affair.

use crate::close::{self, DONE};
use crate::hello::{self, HelloError};
use crate::identity::Identity;
use crate::marking::Dscp;
use crate::migration::Mover;
use crate::other_way::{self, Place};
use crate::path::Gauge;
use crate::reach::{self, Manner, ReachError, Reached, Way};
use crate::transport;
use crate::trunk::{Trunk, TrunkReceiver};
use quinn::{ClientConfig, EndpointConfig};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::lookup_host;
use tokio::time::timeout;

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
        }
        let host = reach::host(&self.upstream).to_owned();
        other_way::look_out(&trunk, way, Place { address, host, identity: self.identity });
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
pub(crate) struct TrunkManner {
    identity: Identity,
    dscp: Option<Dscp>,
    udp: Arc<Gauge>,
    tunnel: Arc<Gauge>,
}

impl TrunkManner {
    pub(crate) fn of(identity: &Identity, dscp: Option<Dscp>) -> Self {
        Self { identity: identity.clone(), dscp, udp: Arc::default(), tunnel: Arc::default() }
    }

    pub(crate) fn gauge(&self, way: Way) -> &Arc<Gauge> {
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
