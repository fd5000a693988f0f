//! The upstream end: takes trunks of nodes whose certificate is of the campus CA.

use crate::close::{self, DONE, REFUSED, REPLACED};
use crate::enrol::Office;
use crate::hello::{self, HelloError};
use crate::identity::Identity;
use crate::marking::Dscp;
use crate::path::Gauge;
use crate::peer::NotANode;
use crate::purpose::Purpose;
use crate::roq_peer::{self, PlainPeer, PlainPeers};
use crate::side::SideDoors;
use crate::transport;
use crate::trunk::{Trunk, TrunkReceiver, WeakTrunk};
use crate::tunnel::{Hub, TunnelStats};
use cloudschool_protocol::id::NodeId;
use quinn::{Endpoint, Incoming, ServerConfig, TokioRuntime};
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

/// Handshakes at once. One costs under a millisecond of CPU and lives for a few round trips,
/// so this is more than a thousand schools that all come back in the same second.
const HANDSHAKES: usize = 256;

/// From so many on, an address must first prove that it is its own (RFC 9000 §8.1.2).
const PROVE_ADDRESS: usize = HANDSHAKES / 2;

/// Trunks that wait for [`Listener::accept`].
const ACCEPT_QUEUE: usize = 16;

/// The node can't listen for trunks.
#[derive(Debug, thiserror::Error)]
#[error("can't listen for trunks on UDP {address}: {source}")]
pub struct BindError {
    pub address: SocketAddr,
    #[source]
    pub source: io::Error,
}

/// What became of everyone who knocked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListenerStats {
    pub accepted: u64,
    /// No certificate, or one that is not accepted, on either side.
    pub refused_certificate: u64,
    /// Another version, or a hello that doesn't fit the certificate.
    pub refused_hello: u64,
    /// Connected and said nothing.
    pub silent: u64,
    /// Broke off on the way.
    pub failed: u64,
    /// Plain peers, which say no hello.
    pub plain: u64,
    /// Only looked whether this node is there.
    pub looked_in: u64,
    /// Came when too many others were at it.
    pub turned_away: u64,
}

/// What a node does at its trunk's port besides taking trunks.
#[derive(Default)]
pub struct Services {
    /// Issues certificates to machines with a code.
    pub office: Option<Arc<Office>>,
    /// TCP address at which trunks come in where UDP is blocked: by rights the same as that
    /// of UDP, for diallers know no other.
    pub tunnel: Option<TcpListener>,
    /// Plain peers ([`PlainPeer`]) that may come.
    pub plain: PlainPeers,
    /// What datagrams are marked with.
    pub dscp: Option<Dscp>,
}

/// Listens for trunks. Dropping it closes all of them.
pub struct Listener {
    endpoint: Endpoint,
    /// The same over TCP.
    tunnel: Option<(Endpoint, watch::Receiver<TunnelStats>)>,
    address: SocketAddr,
    accepted: tokio::sync::Mutex<mpsc::Receiver<(Trunk, TrunkReceiver)>>,
    plain: tokio::sync::Mutex<mpsc::Receiver<PlainPeer>>,
    stats: watch::Receiver<ListenerStats>,
}

impl Listener {
    /// Listens on UDP `address`. `software` is program and version, for people. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`BindError`] when the port is taken or not allowed.
    pub fn bind(
        address: SocketAddr,
        identity: &Identity,
        software: impl Into<String>,
    ) -> Result<Self, BindError> {
        Self::bind_with(address, identity, software, Services::default())
    }

    /// [`Self::bind`], with services.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind_with(
        address: SocketAddr,
        identity: &Identity,
        software: impl Into<String>,
        services: Services,
    ) -> Result<Self, BindError> {
        let error = |source| BindError { address, source };
        let unusable = |e: crate::tls::TlsError| error(io::Error::other(e));
        let crypto = match services.plain.protocols.is_empty() {
            true => identity.server(),
            false => identity.server_and(&services.plain).map_err(unusable)?,
        };
        let mut config = ServerConfig::with_crypto(crypto);
        config.max_incoming(HANDSHAKES);
        let socket = transport::bind(address).map_err(error)?;
        let local = socket.local_addr().map_err(error)?;
        let socket = transport::wrap(socket, services.dscp).map_err(error)?;
        let endpoint = Endpoint::new_with_abstract_socket(
            identity.keys().endpoint_config(),
            Some(config.clone()),
            socket,
            Arc::new(TokioRuntime),
        )
        .map_err(error)?;
        let tunnel = match services.tunnel {
            None => None,
            Some(listener) => {
                let hub = Hub::start(listener, identity.tunnel_server().map_err(unusable)?);
                let hub = hub.map_err(error)?;
                let endpoint = Endpoint::new_with_abstract_socket(
                    identity.keys().endpoint_config(),
                    Some(config.clone()),
                    hub.socket,
                    Arc::new(TokioRuntime),
                );
                Some((endpoint.map_err(error)?, hub.stats))
            }
        };
        let side = SideDoors::new(identity, services.office).map_err(unusable)?;
        let (queue, accepted) = mpsc::channel(ACCEPT_QUEUE);
        let (plain_queue, plain) = mpsc::channel(ACCEPT_QUEUE);
        let (counts, stats) = watch::channel(ListenerStats::default());
        let door = Door {
            plain: plain_queue,
            expected: services.plain,
            side: Arc::new(side),
            config,
            identity: identity.clone(),
            software: software.into(),
            counts,
            newest: Mutex::default(),
        };
        let door = Arc::new(door);
        if let Some((tunnel, _)) = &tunnel {
            tokio::spawn(door.clone().serve(tunnel.clone(), queue.clone()));
        }
        tokio::spawn(door.serve(endpoint.clone(), queue));
        Ok(Self {
            endpoint,
            tunnel,
            address: local,
            accepted: accepted.into(),
            plain: plain.into(),
            stats,
        })
    }

    /// Where it listens, with the port the system gave when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next trunk, after hello; `None` once the listener is closed. A node has one trunk:
    /// its newer one closes the older. Cancel-safe.
    pub async fn accept(&self) -> Option<(Trunk, TrunkReceiver)> {
        self.accepted.lock().await.recv().await
    }

    /// The next plain peer; `None` once the listener is closed. Cancel-safe.
    pub async fn accept_plain(&self) -> Option<PlainPeer> {
        self.plain.lock().await.recv().await
    }

    /// Counters, and a way to wait for their change.
    #[must_use]
    pub fn stats(&self) -> watch::Receiver<ListenerStats> {
        self.stats.clone()
    }

    /// What came over TCP; `None` where this is not listened for.
    #[must_use]
    pub fn tunnel_stats(&self) -> Option<watch::Receiver<TunnelStats>> {
        self.tunnel.as_ref().map(|(_, stats)| stats.clone())
    }

    /// Closes all trunks with `reason`, one sentence, and waits until the peers know.
    pub async fn close(self, reason: &str) {
        for endpoint in self.endpoints() {
            endpoint.close(DONE, reason.as_bytes());
        }
        for endpoint in self.endpoints() {
            endpoint.wait_idle().await;
        }
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint).chain(self.tunnel.as_ref().map(|(endpoint, _)| endpoint))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // After `close` this does nothing.
        for endpoint in self.endpoints() {
            endpoint.close(DONE, b"the node is going away");
        }
    }
}

/// Who came in.
enum Came {
    Trunk(Trunk, TrunkReceiver),
    Plain(PlainPeer),
}

struct Door {
    plain: mpsc::Sender<PlainPeer>,
    expected: PlainPeers,
    side: Arc<SideDoors>,
    config: ServerConfig,
    identity: Identity,
    software: String,
    counts: watch::Sender<ListenerStats>,
    /// The newest trunk of every node.
    newest: Mutex<HashMap<NodeId, WeakTrunk>>,
}

impl Door {
    async fn serve(
        self: Arc<Self>,
        endpoint: Endpoint,
        queue: mpsc::Sender<(Trunk, TrunkReceiver)>,
    ) {
        let places = Arc::new(Semaphore::new(HANDSHAKES));
        while let Some(incoming) = endpoint.accept().await {
            let purpose = Purpose::of(&incoming.orig_dst_cid());
            if purpose != Purpose::Trunk {
                self.side.serve(incoming, purpose);
                continue;
            }
            let Ok(place) = places.clone().try_acquire_owned() else {
                self.counts.send_modify(|c| c.turned_away += 1);
                incoming.refuse();
                continue;
            };
            if places.available_permits() < PROVE_ADDRESS && incoming.may_retry() {
                if let Err(error) = incoming.retry() {
                    tracing::debug!(%error, "no proof of address asked for");
                }
                continue;
            }
            let (door, queue) = (self.clone(), queue.clone());
            tokio::spawn(async move {
                if let Some(trunk) = door.admit(incoming).await {
                    // Fails when the listener is gone, and then the trunk may go too.
                    queue.send(trunk).await.ok();
                }
                drop(place);
            });
        }
    }

    async fn admit(&self, incoming: Incoming) -> Option<(Trunk, TrunkReceiver)> {
        let from = incoming.remote_address();
        match self.greet(incoming).await {
            Ok(Came::Plain(peer)) => {
                tracing::info!(peer = %peer.peer(), %from, "a plain peer is connected");
                self.counts.send_modify(|c| c.plain += 1);
                // Fails when the listener is gone, and then the peer may go too.
                self.plain.send(peer).await.ok();
                None
            }
            Ok(Came::Trunk(trunk, receiver)) => {
                tracing::info!(peer = %trunk.peer(), software = trunk.software(), %from, "trunk is up");
                self.replace(&trunk);
                self.counts.send_modify(|c| c.accepted += 1);
                Some((trunk, receiver))
            }
            Err(HelloError::Lost(error)) if close::looked_in(&error) => {
                tracing::debug!(%from, "a node looked whether this one is there");
                self.counts.send_modify(|c| c.looked_in += 1);
                None
            }
            Err(error) => {
                tracing::warn!(%from, "no trunk: {error}");
                self.counts.send_modify(|c| match &error {
                    HelloError::Lost(e) if close::is_certificate(e) => c.refused_certificate += 1,
                    HelloError::Refusing(_) => c.refused_hello += 1,
                    HelloError::Silent => c.silent += 1,
                    HelloError::Lost(_) | HelloError::Refused(_) => c.failed += 1,
                });
                None
            }
        }
    }

    async fn greet(&self, incoming: Incoming) -> Result<Came, HelloError> {
        // Settings of its own, because its path is its own.
        let gauge = Arc::new(Gauge::default());
        let mut config = self.config.clone();
        config.transport_config(transport::config(gauge.clone()));
        let connecting = incoming.accept_with(Arc::new(config))?;
        let connection =
            timeout(hello::LIMIT, connecting).await.map_err(|_| HelloError::Silent)??;
        let connection = match PlainPeer::take(connection, &self.expected) {
            Ok(peer) => {
                let refusing = |reason: NotANode| HelloError::Refusing(reason.to_string());
                return peer.map(Came::Plain).map_err(refusing);
            }
            Err(connection) => connection,
        };
        // TLS let those pass too that are known by their certificate: they say of themselves
        // what they like.
        let pinned = !self.expected.pinned.is_empty();
        if pinned && !self.identity.is_of_ca(&roq_peer::chain(&connection)) {
            const REASON: &str = "this certificate is an appliance's and opens no trunk";
            close::close(&connection, REFUSED, REASON);
            return Err(HelloError::Refusing(REASON.to_owned()));
        }
        let greeted =
            hello::answer(connection, &self.identity, &self.software, hello::LIMIT).await?;
        let (trunk, receiver) = Trunk::start(greeted, gauge);
        Ok(Came::Trunk(trunk, receiver))
    }

    /// A node that comes again was restarted, or its line broke: its older trunk is a ghost.
    fn replace(&self, trunk: &Trunk) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.retain(|_, trunk| trunk.upgrade().is_some());
        let older = newest.insert(trunk.peer().node.clone(), trunk.downgrade());
        if let Some(older) = older.and_then(|t| t.upgrade()) {
            older.close_with(
                REPLACED,
                "another connection with this node's certificate has taken over",
            );
        }
    }
}
