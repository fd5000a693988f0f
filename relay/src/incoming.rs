//! Media on its way in: datagrams and streams become packets in one bounded queue, repeated
//! audio only once, and padding none. When
//! nobody takes them out, new ones are dropped and counted; QUIC is read on, so that a slow
//! consumer of media never holds up control messages.

use crate::close::ROQ_PACKET_ERROR;
use crate::hello::READ;
use crate::outgoing::PADDING;
use crate::redundancy::Heard;
use crate::stats::{Counters, add, count};
use bytes::Bytes;
use cloudschool_protocol::roq::{self, StreamDecoder};
use quinn::{Connection, RecvStream};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Packets that may wait for this process: two seconds of 10 Mbit/s. A process that is
/// further behind has no use for them.
pub const MEDIA_QUEUE: usize = 2048;

/// One RTP packet of a flow. Packets of one flow come in the order they arrive in, which is
/// not always the order they were sent in: every frame travels on a stream of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    pub flow: u64,
    pub packet: Bytes,
}

#[derive(Clone)]
pub struct Sink {
    queue: mpsc::Sender<Media>,
    counters: Arc<Counters>,
}

impl Sink {
    pub fn new(counters: Arc<Counters>) -> (Self, mpsc::Receiver<Media>) {
        let (queue, receiver) = mpsc::channel(MEDIA_QUEUE);
        (Self { queue, counters }, receiver)
    }

    fn put(&self, flow: u64, packet: Bytes) {
        if flow == PADDING {
            add(&self.counters.padding_bytes_received, packet.len() as u64);
            return;
        }
        match self.queue.try_send(Media { flow, packet }) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                count(&self.counters.packets_unread);
            }
        }
    }
}

/// Reads datagrams until the connection is closed.
pub async fn datagrams(connection: Connection, sink: Sink) {
    let mut heard = Heard::default();
    while let Ok(bytes) = connection.read_datagram().await {
        match roq::split_datagram(&bytes) {
            Ok((flow, packet)) if !packet.is_empty() => {
                if !heard.is_new(flow, packet) {
                    count(&sink.counters.packets_doubled);
                    continue;
                }
                let packet = bytes.slice(bytes.len() - packet.len()..);
                sink.put(flow, packet);
            }
            _ => count(&sink.counters.malformed),
        }
    }
}

/// Reads streams until the connection is closed. The transport's stream limit bounds how
/// many there are at once.
pub async fn streams(connection: Connection, sink: Sink) {
    while let Ok(stream) = connection.accept_uni().await {
        tokio::spawn(stream_packets(stream, sink.clone()));
    }
}

/// Reads one stream: a frame, or a whole flow.
async fn stream_packets(mut stream: RecvStream, sink: Sink) {
    let mut decoder = StreamDecoder::default();
    // A stream ends, or is reset with its frame's deadline; either way the packets that are
    // whole have been passed on.
    while let Ok(Some(chunk)) = stream.read_chunk(READ, true).await {
        decoder.push(&chunk.bytes);
        loop {
            match decoder.next() {
                Ok(Some((flow, packet))) => sink.put(flow, Bytes::copy_from_slice(packet)),
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "a stream is no RTP over QUIC");
                    count(&sink.counters.malformed);
                    // It may have been closed by the sender meanwhile.
                    stream.stop(ROQ_PACKET_ERROR).ok();
                    return;
                }
            }
        }
    }
}
