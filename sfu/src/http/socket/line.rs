//! The WebSocket under a lesson socket: messages in and out, and no end that is waited for in
//! vain. A page that says nothing, not even pong, is gone; one that doesn't read is let go.

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use cloudschool_protocol::board::Frame;
use cloudschool_protocol::refusal::Lang;
use cloudschool_protocol::socket::{ByeReason, ClientMessage, ServerMessage};
use std::time::{Duration, Instant};

/// How often a page is asked whether it is there.
pub(super) const PING_EVERY: Duration = Duration::from_secs(10);
/// A page that has not been heard of for so long is gone: two pings and a bit unanswered.
const SILENCE: Duration = Duration::from_secs(25);
/// How long a page may take to read what it is sent.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const BYE_WITHIN: Duration = Duration::from_secs(2);

/// Why a socket ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// The page said so.
    Left,
    /// The connection is gone, or the page is.
    Lost,
    /// The node says so.
    Bye(ByeReason, Sentence),
}

/// One sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sentence {
    pub(super) zh: String,
    pub(super) en: String,
}

impl Sentence {
    pub(super) fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }

    fn into_text(self, lang: Lang) -> String {
        match lang {
            Lang::Zh => self.zh,
            Lang::En => self.en,
        }
    }
}

impl Ending {
    /// The page broke the protocol.
    pub(super) fn protocol(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self::Bye(ByeReason::Protocol, Sentence::new(zh, en))
    }

    fn too_slow() -> Self {
        let zh = "网络太慢,消息没有及时收到,正在重新连接。";
        let en = "Messages were not received in time; please reconnect.";
        Self::Bye(ByeReason::TooSlow, Sentence::new(zh, en))
    }
}

/// What a page says.
#[derive(Debug)]
pub(super) enum Heard {
    Said(ClientMessage),
    /// About the board.
    Board(Frame),
}

/// A lesson socket's WebSocket.
pub(super) struct Line {
    socket: WebSocket,
    heard: Instant,
}

impl Line {
    pub(super) fn new(socket: WebSocket) -> Self {
        Self { socket, heard: Instant::now() }
    }

    /// The page's next message. Cancel safe.
    ///
    /// # Errors
    /// The [`Ending`] when there is none to come, or it can't be understood.
    pub(super) async fn next(&mut self) -> Result<Heard, Ending> {
        loop {
            let message = match self.socket.recv().await {
                None => return Err(Ending::Lost),
                Some(Err(error)) => return Err(broken(&error)),
                Some(Ok(message)) => message,
            };
            self.heard = Instant::now();
            match message {
                Message::Text(text) => {
                    return serde_json::from_str(&text).map(Heard::Said).map_err(|error| {
                        Ending::protocol(
                            format!("无法理解这条消息:{error}。"),
                            format!("A message could not be understood: {error}."),
                        )
                    });
                }
                Message::Binary(bytes) => {
                    return Frame::decode(&bytes).map(Heard::Board).map_err(|_| {
                        let zh = "无法理解这条二进制消息。";
                        Ending::protocol(zh, "A binary message could not be understood.")
                    });
                }
                Message::Close(_) => return Err(Ending::Lost),
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The [`Ending`] when the page is gone or doesn't read.
    pub(super) async fn send(&mut self, message: &ServerMessage) -> Result<(), Ending> {
        let text = serde_json::to_string(message).map_err(|error| {
            tracing::error!(%error, "a message could not be written");
            Ending::Lost
        })?;
        self.put(Message::Text(text.into()), READ_WITHIN).await
    }

    /// Sends a message that is written already.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) async fn send_text(&mut self, text: Bytes) -> Result<(), Ending> {
        let text = Utf8Bytes::try_from(text).map_err(|error| {
            tracing::error!(%error, "a message could not be written");
            Ending::Lost
        })?;
        self.put(Message::Text(text), READ_WITHIN).await
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) async fn send_bytes(&mut self, bytes: Vec<u8>) -> Result<(), Ending> {
        self.put(Message::Binary(bytes.into()), READ_WITHIN).await
    }

    /// Asks whether the page is there; an answer is not waited for.
    ///
    /// # Errors
    /// [`Ending::Lost`] when it has not been heard of for too long.
    pub(super) async fn ping(&mut self) -> Result<(), Ending> {
        if self.heard.elapsed() > SILENCE {
            return Err(Ending::Lost);
        }
        self.put(Message::Ping(Vec::new().into()), READ_WITHIN).await
    }

    /// Says goodbye, if the ending is one, and closes.
    pub(super) async fn end(mut self, ending: Ending, lang: Lang) {
        let close = Message::Close(None);
        let messages = match ending {
            Ending::Lost => return,
            Ending::Left => vec![close],
            Ending::Bye(reason, sentence) => {
                let bye = ServerMessage::Bye { reason, message: sentence.into_text(lang) };
                let text = serde_json::to_string(&bye).unwrap_or_default();
                vec![Message::Text(text.into()), close]
            }
        };
        for message in messages {
            if self.put(message, BYE_WITHIN).await.is_err() {
                return;
            }
        }
        // The page's own close, so that nothing sent is lost to a reset.
        let rest = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        let _closed_or_late = tokio::time::timeout(BYE_WITHIN, rest).await;
    }

    async fn put(&mut self, message: Message, within: Duration) -> Result<(), Ending> {
        match tokio::time::timeout(within, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ending::Lost),
            Err(_) => Err(Ending::too_slow()),
        }
    }
}

/// A message over the size limit is the page's fault; anything else is the line's.
fn broken(error: &axum::Error) -> Ending {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("too long") {
            let zh = "消息太大。";
            return Ending::protocol(zh, "A message is larger than allowed.");
        }
        cause = error.source();
    }
    Ending::Lost
}
