//! A plain peer: RTP over QUIC as the draft has it and nothing else, no control stream of ours,
//! as GStreamer's elements speak it. It comes to the trunk's port with an ALPN of its own and
//! a certificate of the campus CA; what its flow ids mean is configured.
//!
//! It is never sent a stream per frame: such peers take a stream for a whole flow, and its
//! reset for the flow's end.

use crate::close::{self, DONE, REFUSED};
use crate::incoming::{self, Media, Sink};
use crate::peer::{NotANode, Peer};
use crate::stats::Counters;
use cloudschool_protocol::trunk::ALPN;
use quinn::Connection;
use quinn::crypto::rustls::HandshakeData;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A connected plain peer. The connection is closed when it is dropped.
pub struct PlainPeer {
    connection: Connection,
    peer: Peer,
    media: mpsc::Receiver<Media>,
}

impl PlainPeer {
    /// Takes the connection when its ALPN is not the trunk's; gives it back when it is.
    pub(crate) fn take(connection: Connection) -> Result<Result<Self, NotANode>, Connection> {
        let data = connection.handshake_data().and_then(|d| d.downcast::<HandshakeData>().ok());
        if data.and_then(|d| d.protocol).is_none_or(|protocol| protocol == ALPN) {
            return Err(connection);
        }
        Ok(Self::start(connection))
    }

    fn start(connection: Connection) -> Result<Self, NotANode> {
        let chain = connection
            .peer_identity()
            .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
            .unwrap_or_default();
        let peer = chain.first().ok_or(NotANode::NoAddress).and_then(Peer::from_certificate);
        let peer = peer.inspect_err(|reason| {
            close::close(&connection, REFUSED, &reason.to_string());
        })?;
        let (sink, media) = Sink::new(Arc::new(Counters::default()));
        tokio::spawn(incoming::datagrams(connection.clone(), sink.clone()));
        tokio::spawn(incoming::streams(connection.clone(), sink));
        Ok(Self { connection, peer, media })
    }

    /// Who it is, by its certificate.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
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

impl Drop for PlainPeer {
    fn drop(&mut self) {
        close::close(&self.connection, DONE, "the other end takes no more of it");
    }
}
