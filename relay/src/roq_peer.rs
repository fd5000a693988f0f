//! A plain peer: RTP over QUIC as the draft has it and nothing else, no control stream of ours,
//! as GStreamer's elements speak it. It comes to the trunk's port with an ALPN of its own and
//! a certificate of the campus CA, or one that is known itself; what its flow ids mean is
//! configured.
//!
//! It is never sent a stream per frame: such peers take a stream for a whole flow, and its
//! reset for the flow's end.

mod outward;

use crate::close::{self, DONE, REFUSED};
use crate::incoming::{self, Media, Sink};
use crate::peer::{NotANode, Peer};
use crate::pinning::Fingerprint;
use crate::stats::Counters;
use cloudschool_protocol::trunk::ALPN;
pub use outward::{PlainOutward, PlainStream};
use quinn::Connection;
use quinn::crypto::rustls::HandshakeData;
use rustls::pki_types::CertificateDer;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What QUIC may hold of what was sent, in bytes: a second of 2 Mbit/s. What waits longer waits
/// where it can still be left out.
const SEND_WINDOW: u64 = 256 * 1024;

/// The plain peers that may come; none by default.
#[derive(Debug, Clone, Default)]
pub struct PlainPeers {
    /// Their application protocols.
    pub protocols: Vec<Vec<u8>>,
    /// Those known by their certificate itself, and who they are. Their certificates open no
    /// trunk.
    pub pinned: BTreeMap<Fingerprint, Peer>,
}

/// A connected plain peer. The connection is closed when it is dropped.
pub struct PlainPeer {
    connection: Connection,
    peer: Peer,
    pinned: bool,
    media: mpsc::Receiver<Media>,
}

impl PlainPeer {
    /// Takes the connection when its ALPN is not the trunk's; gives it back when it is.
    pub(crate) fn take(
        connection: Connection,
        expected: &PlainPeers,
    ) -> Result<Result<Self, NotANode>, Connection> {
        let data = connection.handshake_data().and_then(|d| d.downcast::<HandshakeData>().ok());
        if data.and_then(|d| d.protocol).is_none_or(|protocol| protocol == ALPN) {
            return Err(connection);
        }
        Ok(Self::start(connection, expected))
    }

    fn start(connection: Connection, expected: &PlainPeers) -> Result<Self, NotANode> {
        let chain = chain(&connection);
        let own = chain.first().ok_or(NotANode::NoAddress);
        let known = own.as_ref().ok().and_then(|own| expected.pinned.get(&Fingerprint::of(own)));
        let pinned = known.is_some();
        let peer = known.cloned().map_or_else(|| own.and_then(Peer::from_certificate), Ok);
        let peer = peer.inspect_err(|reason| {
            close::close(&connection, REFUSED, &reason.to_string());
        })?;
        connection.set_send_window(SEND_WINDOW);
        let (sink, media) = Sink::new(Arc::new(Counters::default()));
        tokio::spawn(incoming::datagrams(connection.clone(), sink.clone()));
        tokio::spawn(incoming::streams(connection.clone(), sink));
        Ok(Self { connection, peer, pinned, media })
    }

    /// Who it is, by its certificate.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether its certificate itself is known, of whatever CA it is.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// The way media go to it.
    #[must_use]
    pub fn outward(&self) -> PlainOutward {
        PlainOutward::new(self.connection.clone())
    }

    /// Takes the packets that have come, up to `most`, waiting for the first; 0 once the
    /// connection is closed. Cancel-safe.
    pub async fn recv_many(&mut self, packets: &mut Vec<Media>, most: usize) -> usize {
        self.media.recv_many(packets, most).await
    }

    /// Turns it away with one sentence.
    pub fn refuse(&self, reason: &str) {
        close::close(&self.connection, REFUSED, reason);
    }

    /// Waits until the connection is closed, and says why in one sentence.
    pub async fn closed(&self) -> String {
        close::sentence(&self.connection.closed().await)
    }
}

/// The certificates the other end has shown.
pub fn chain(connection: &Connection) -> Vec<CertificateDer<'static>> {
    let identity = connection.peer_identity();
    let chain = identity.and_then(|i| i.downcast::<Vec<CertificateDer<'static>>>().ok());
    chain.map(|chain| *chain).unwrap_or_default()
}

impl Drop for PlainPeer {
    fn drop(&mut self) {
        close::close(&self.connection, DONE, "the other end takes no more of it");
    }
}
