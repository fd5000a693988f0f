//! A short exchange on one stream, framed as the trunk's control messages are.

use cloudschool_protocol::frame::{self, Decoder};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most bytes one end may say before it is given up: what is said at enrolment or for a
/// measurement has a tenth of it.
const MOST: usize = 64 * 1024;

/// The other end was not understood.
#[derive(Debug, thiserror::Error)]
pub enum NotSaid {
    #[error("the connection broke: {0}")]
    Lost(String),
    #[error("what the other end says can't be read: {0}")]
    Unreadable(String),
}

/// One stream, both directions.
pub struct Conversation {
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    decoder: Decoder,
    heard: usize,
}

impl Conversation {
    pub fn new((send, recv): (quinn::SendStream, quinn::RecvStream)) -> Self {
        Self { send, recv, decoder: Decoder::default(), heard: 0 }
    }

    pub async fn say<T: Serialize>(&mut self, message: &T) -> Result<(), NotSaid> {
        let bytes = frame::encode(message).map_err(|e| NotSaid::Unreadable(e.to_string()))?;
        self.send.write_all(&bytes).await.map_err(|e| NotSaid::Lost(e.to_string()))
    }

    pub async fn hear<T: DeserializeOwned>(&mut self) -> Result<T, NotSaid> {
        loop {
            let message = self.decoder.next();
            if let Some(message) = message.map_err(|e| NotSaid::Unreadable(e.to_string()))? {
                return Ok(message);
            }
            let lost = |e: quinn::ReadError| NotSaid::Lost(e.to_string());
            let chunk = self.recv.read_chunk(MOST, true).await.map_err(lost)?;
            let chunk = chunk.ok_or_else(|| NotSaid::Lost("it ended too early".into()))?;
            self.heard += chunk.bytes.len();
            if self.heard > MOST {
                return Err(NotSaid::Unreadable("it is too long".into()));
            }
            self.decoder.push(&chunk.bytes);
        }
    }
}
