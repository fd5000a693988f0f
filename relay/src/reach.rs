//! Gets a QUIC connection to a node's port: over UDP, or where nothing comes back, in a
//! tunnel over TCP to the same port.

use crate::close;
use crate::marking::Dscp;
use crate::tls::SERVER_NAME;
use crate::transport;
use crate::tunnel;
use quinn::{
    ClientConfig, ConnectError, Connection, ConnectionError, Endpoint, EndpointConfig, TokioRuntime,
};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};

/// For a handshake: a satellite's 0.6 s six times over.
const LIMIT: Duration = Duration::from_secs(10);

/// UDP's head start. A handshake that lost its first two packets is through by then.
const UDP_ALONE: Duration = Duration::from_secs(3);

/// How a connection travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Udp,
    /// QUIC in TLS over TCP.
    Tunnel,
}

/// A connection, and how it travels.
pub struct Reached {
    pub connection: Connection,
    pub way: Way,
    /// What it was dialled from.
    pub endpoint: Endpoint,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    #[error("{upstream} can't be found: {source}")]
    Unresolved {
        upstream: String,
        #[source]
        source: io::Error,
    },
    #[error("no UDP socket to dial from: {0}")]
    Socket(#[source] io::Error),
    #[error("{address} can't be dialled: {source}")]
    Undiallable {
        address: SocketAddr,
        #[source]
        source: ConnectError,
    },
    #[error("{address} does not answer")]
    NoAnswer { address: SocketAddr },
    #[error("{address} can't be reached over TCP: {source}")]
    NoTunnel {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("{}", close::sentence(.0))]
    Failed(#[from] ConnectionError),
}

impl ReachError {
    /// Nothing was heard from the other end.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Failed(ConnectionError::TimedOut))
    }
}

/// What a connection is made with.
pub trait Manner {
    /// A configuration of its own for each connection.
    fn client(&self, way: Way) -> ClientConfig;

    fn endpoint(&self) -> EndpointConfig {
        EndpointConfig::default()
    }

    /// What datagrams are marked with.
    fn dscp(&self) -> Option<Dscp> {
        None
    }
}

impl Manner for ClientConfig {
    fn client(&self, _: Way) -> ClientConfig {
        self.clone()
    }
}

/// Connects to `upstream` (`host:port`), at whichever of its addresses answers first in
/// order.
///
/// # Errors
/// That of the last address.
pub async fn either(upstream: &str, manner: &impl Manner) -> Result<Reached, ReachError> {
    let mut last = None;
    for address in resolve(upstream).await? {
        match to(address, host(upstream), manner).await {
            Ok(reached) => return Ok(reached),
            Err(error) => last = Some(error),
        }
    }
    let none = || ReachError::Unresolved {
        upstream: upstream.to_owned(),
        source: io::Error::other("the name has no address"),
    };
    Err(last.unwrap_or_else(none))
}

/// Every address of `upstream`.
pub async fn resolve(upstream: &str) -> Result<Vec<SocketAddr>, ReachError> {
    let found = lookup_host(upstream).await;
    found
        .map(Iterator::collect)
        .map_err(|source| ReachError::Unresolved { upstream: upstream.to_owned(), source })
}

/// The host of `host:port`.
pub fn host(upstream: &str) -> &str {
    upstream.rsplit_once(':').map_or(upstream, |(host, _)| host)
}

/// Connects to `address`. The tunnel is tried when UDP is silent.
pub async fn to(
    address: SocketAddr,
    host: &str,
    manner: &impl Manner,
) -> Result<Reached, ReachError> {
    let mut udp = std::pin::pin!(over_udp(address, manner));
    let alone = tokio::select! {
        reached = &mut udp => Some(reached),
        () = sleep(UDP_ALONE) => None,
    };
    match alone {
        Some(Err(error)) if error.is_silence() => {
            return in_tunnel(address, host, manner).await.map_err(|_| error);
        }
        Some(reached) => return reached,
        None => {}
    }
    tokio::select! {
        reached = &mut udp => reached,
        reached = in_tunnel(address, host, manner) => match reached {
            Ok(reached) => Ok(reached),
            // It was reached, and refuses: so it would over UDP.
            Err(error @ ReachError::Failed(_)) if !error.is_silence() => Err(error),
            Err(error) => {
                tracing::debug!(%error, "no tunnel either, so far");
                udp.await
            }
        },
    }
}

/// Connects over UDP alone.
pub async fn over_udp(address: SocketAddr, manner: &impl Manner) -> Result<Reached, ReachError> {
    let from: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = transport::bind(from).map_err(ReachError::Socket)?;
    let socket = transport::wrap(socket, manner.dscp()).map_err(ReachError::Socket)?;
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new_with_abstract_socket(manner.endpoint(), None, socket, runtime)
        .map_err(ReachError::Socket)?;
    let connection = connect(&endpoint, address, manner.client(Way::Udp)).await?;
    Ok(Reached { connection, way: Way::Udp, endpoint })
}

/// Connects in a tunnel alone.
pub async fn in_tunnel(
    address: SocketAddr,
    host: &str,
    manner: &impl Manner,
) -> Result<Reached, ReachError> {
    let no_tunnel = |source| ReachError::NoTunnel { address, source };
    let socket = tunnel::dial(address, host).await.map_err(no_tunnel)?;
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new_with_abstract_socket(manner.endpoint(), None, socket, runtime)
        .map_err(ReachError::Socket)?;
    let connection = connect(&endpoint, address, manner.client(Way::Tunnel)).await?;
    Ok(Reached { connection, way: Way::Tunnel, endpoint })
}

async fn connect(
    endpoint: &Endpoint,
    address: SocketAddr,
    config: ClientConfig,
) -> Result<Connection, ReachError> {
    let connecting = endpoint
        .connect_with(config, address, SERVER_NAME)
        .map_err(|source| ReachError::Undiallable { address, source })?;
    let connected = timeout(LIMIT, connecting).await;
    Ok(connected.map_err(|_| ReachError::NoAnswer { address })??)
}
