//! Media towards a plain peer. Such peers take a stream for a whole flow, and its end for the
//! flow's: so a flow has one stream as long as the connection lives, and what would wait too
//! long is left out by whoever sends, before it is handed in here. Nothing is reset.

use bytes::{Buf, Bytes};
use cloudschool_protocol::roq;
use quinn::{Connection, SendStream};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The way to a plain peer. Cheap to clone; does not keep the connection open.
#[derive(Clone)]
pub struct PlainOutward {
    connection: Connection,
}

impl PlainOutward {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Whether it takes datagrams at all.
    #[must_use]
    pub fn takes_datagrams(&self) -> bool {
        self.connection.max_datagram_size().is_some()
    }

    /// Sends one RTP packet in a datagram. Never waits: what finds no room takes that of what
    /// waits longest. False when the packet is larger than the peer or the path takes.
    #[must_use]
    pub fn datagram(&self, flow: u64, packet: &[u8]) -> bool {
        self.connection.send_datagram(roq::datagram(flow, packet).into()).is_ok()
    }

    /// The one stream of a flow. It is opened with the first packet.
    #[must_use]
    pub fn stream(&self, flow: u64) -> PlainStream {
        let waiting = VecDeque::new();
        PlainStream { connection: self.connection.clone(), flow, stream: None, waiting }
    }
}

/// A flow on one stream.
pub struct PlainStream {
    connection: Connection,
    flow: u64,
    stream: Option<SendStream>,
    /// What QUIC has not taken yet, and since when it waits.
    waiting: VecDeque<(Instant, Bytes)>,
}

impl PlainStream {
    /// Hands in packets, which go out in this order by [`Self::flush`].
    pub fn put<P: AsRef<[u8]>>(&mut self, packets: &[P]) {
        if packets.is_empty() {
            return;
        }
        let mut bytes = roq::stream(self.flow, packets.iter().map(AsRef::as_ref));
        if self.stream.is_some() || !self.waiting.is_empty() {
            // The flow id stands at the beginning of the stream and nowhere else.
            let head = roq::stream(self.flow, []).len();
            bytes.drain(..head);
        }
        self.waiting.push_back((Instant::now(), bytes.into()));
    }

    /// Whether [`Self::flush`] has something to do.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How long the first of what waits has waited.
    #[must_use]
    pub fn behind(&self) -> Duration {
        self.waiting.front().map(|(since, _)| since.elapsed()).unwrap_or_default()
    }

    /// Writes what waits as QUIC takes it. Cancel-safe. False when nothing more can be written:
    /// the connection is closed, or the peer has stopped the flow.
    pub async fn flush(&mut self) -> bool {
        while let Some((_, bytes)) = self.waiting.front_mut() {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                none => match self.connection.open_uni().await {
                    Ok(stream) => none.insert(stream),
                    Err(_) => return false,
                },
            };
            match stream.write_chunks(&mut [bytes.clone()]).await {
                Ok(written) => bytes.advance(written.bytes),
                Err(_) => return false,
            }
            if bytes.is_empty() {
                self.waiting.pop_front();
            }
        }
        true
    }
}
