//! The downstream end: dials its upstream node for as long as it takes.

use crate::backoff::Backoff;
use crate::close;
use crate::hello::{self, HelloError};
use crate::identity::Identity;
use crate::path::Gauge;
use crate::peer::Peer;
use crate::tls::SERVER_NAME;
use crate::transport;
use crate::trunk::{Ending, Trunk, TrunkReceiver};
use quinn::{ClientConfig, ConnectError, Endpoint, TokioRuntime};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

/// A trunk that lived this long was good; the next attempt begins without back-off.
const STABLE: Duration = Duration::from_secs(5);

/// Why an attempt gave no trunk.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
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
    /// The sentence says which end refused which.
    #[error("{reason}")]
    Failed {
        reason: String,
        /// The next attempt will fail the same way unless someone changes something.
        lasting: bool,
    },
}

impl DialError {
    fn is_lasting(&self) -> bool {
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

/// What a dialer is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialStatus {
    /// Not asked to connect yet.
    Idle,
    Connecting,
    /// There is, or was last, a trunk to `peer`.
    Connected {
        peer: Peer,
    },
    /// No trunk, for a reason in words; the next attempt follows in `retry_in`.
    Waiting {
        reason: String,
        retry_in: Duration,
    },
}

/// Dials one upstream node.
pub struct Dialer {
    upstream: String,
    identity: Identity,
    software: String,
    status: watch::Sender<DialStatus>,
    backoff: Backoff,
    /// The attempts so far: each takes the next of the upstream's addresses.
    attempts: usize,
    /// Not before this the next attempt.
    not_before: Option<Instant>,
    last: Option<(Ending, Instant)>,
}

impl Dialer {
    /// `upstream` is `host:port`, resolved at every attempt; `software` is program and
    /// version, for people.
    #[must_use]
    pub fn new(
        upstream: impl Into<String>,
        identity: Identity,
        software: impl Into<String>,
    ) -> Self {
        Self {
            upstream: upstream.into(),
            identity,
            software: software.into(),
            status: watch::Sender::new(DialStatus::Idle),
            backoff: Backoff::default(),
            attempts: 0,
            not_before: None,
            last: None,
        }
    }

    /// What it is doing, for readiness and for people.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<DialStatus> {
        self.status.subscribe()
    }

    /// A trunk to the upstream node, however long it takes. Call it again when the trunk is
    /// closed; it then keeps to the back-off. Cancel-safe.
    pub async fn connect(&mut self) -> (Trunk, TrunkReceiver) {
        if let Some((ending, since)) = self.last.take() {
            self.note_end(&ending, since);
        }
        loop {
            if let Some(at) = self.not_before {
                sleep_until(at).await;
                self.not_before = None;
            }
            self.status.send_replace(DialStatus::Connecting);
            self.attempts = self.attempts.wrapping_add(1);
            match self.attempt().await {
                Ok((trunk, receiver)) => {
                    let peer = trunk.peer().clone();
                    tracing::info!(%peer, software = trunk.software(), "trunk is up");
                    self.status.send_replace(DialStatus::Connected { peer });
                    self.last = Some((trunk.ending(), Instant::now()));
                    return (trunk, receiver);
                }
                Err(error) => self.wait_after(&error.to_string(), error.is_lasting()),
            }
        }
    }

    /// The last trunk has ended, or its owner wants another. One that held is followed by the
    /// shortest wait, which spreads the nodes that have all lost the same campus.
    fn note_end(&mut self, ending: &Ending, since: Instant) {
        let Some((reason, lasting)) = ending.reason() else { return };
        if since.elapsed() >= STABLE {
            self.backoff.reset();
        }
        self.wait_after(&reason, lasting);
    }

    fn wait_after(&mut self, reason: &str, lasting: bool) {
        let chance = rand::random();
        let retry_in = if lasting {
            self.backoff.after_lasting_failure(chance)
        } else {
            self.backoff.after_failure(chance)
        };
        self.not_before = Some(Instant::now() + retry_in);
        tracing::warn!(upstream = self.upstream, ?retry_in, "no trunk: {reason}");
        self.status.send_replace(DialStatus::Waiting { reason: reason.into(), retry_in });
    }

    async fn attempt(&self) -> Result<(Trunk, TrunkReceiver), DialError> {
        let address = self.resolve().await?;
        let from: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = transport::bind(from).map_err(DialError::Socket)?;
        let keys = self.identity.keys().endpoint_config();
        let endpoint =
            Endpoint::new(keys, None, socket, Arc::new(TokioRuntime)).map_err(DialError::Socket)?;
        let mut config = ClientConfig::new(self.identity.client());
        let gauge = Arc::new(Gauge::default());
        config.transport_config(transport::config(gauge.clone()));
        let connecting = endpoint
            .connect_with(config, address, SERVER_NAME)
            .map_err(|source| DialError::Undiallable { address, source })?;
        let greeted = timeout(hello::LIMIT, async {
            let connection = connecting.await.map_err(HelloError::Lost)?;
            hello::dial(connection, &self.identity, &self.software).await
        });
        let greeted = greeted.await.map_err(|_| DialError::NoAnswer { address })??;
        Ok(Trunk::start(greeted, gauge))
    }

    async fn resolve(&self) -> Result<SocketAddr, DialError> {
        let unresolved = |source| DialError::Unresolved { upstream: self.upstream.clone(), source };
        let found: Vec<_> = lookup_host(&self.upstream).await.map_err(unresolved)?.collect();
        let turn = self.attempts.checked_rem(found.len()).unwrap_or_default();
        found
            .get(turn)
            .copied()
            .ok_or_else(|| unresolved(io::Error::other("the name has no address")))
    }
}
