//! Framing of control messages: a 32-bit big-endian length, then that many bytes of JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest message, in bytes. A whole lesson's replay is sent in batches below it.
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// Largest message of a peer that has not said hello, in bytes.
pub const MAX_FIRST_MESSAGE: usize = 64 * 1024;

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// What follows it is of no use.
    #[error("a control message of {0} bytes is longer than the {1} allowed")]
    TooLong(usize, usize),
    /// The next message can be read all the same.
    #[error("a control message could not be read: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Writes `message` with its length in front.
///
/// # Errors
/// [`FrameError::TooLong`] when it is over [`MAX_MESSAGE`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut out = vec![0; 4];
    serde_json::to_writer(&mut out, message)?;
    let len = out.len() - 4;
    let prefix = u32::try_from(len).ok().filter(|_| len <= MAX_MESSAGE);
    let prefix = prefix.ok_or(FrameError::TooLong(len, MAX_MESSAGE))?.to_be_bytes();
    if let Some(head) = out.first_chunk_mut::<4>() {
        *head = prefix;
    }
    Ok(out)
}

/// Takes frames out of a byte stream that arrives in pieces.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    limit: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { buffer: Vec::new(), limit: MAX_MESSAGE }
    }
}

impl Decoder {
    /// One for a peer nobody knows yet: messages of at most [`MAX_FIRST_MESSAGE`].
    #[must_use]
    pub fn of_stranger() -> Self {
        Self { limit: MAX_FIRST_MESSAGE, ..Self::default() }
    }

    /// The peer is known now: messages of at most [`MAX_MESSAGE`].
    pub fn trust(&mut self) {
        self.limit = MAX_MESSAGE;
    }

    /// Adds what was read from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`FrameError`]. A message that can't be read is taken out of the stream.
    #[allow(clippy::should_implement_trait)] // `None` is not the end: more bytes may come.
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_be_bytes(*prefix) as usize;
        if len > self.limit {
            return Err(FrameError::TooLong(len, self.limit));
        }
        let Some(body) = self.buffer.get(4..4 + len) else { return Ok(None) };
        let message = serde_json::from_slice(body);
        self.buffer.drain(..4 + len);
        Ok(Some(message?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trunk::Control;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_survive_any_split(flows in prop::collection::vec(0u64..1 << 60, 1..20), cut in 1usize..40) {
            let sent: Vec<_> = flows.into_iter().map(|flow| Control::Keyframe { flow }).collect();
            let bytes: Vec<u8> = sent.iter().flat_map(|m| encode(m).unwrap()).collect();
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.push(piece);
                while let Some(m) = decoder.next::<Control>().unwrap() { got.push(m); }
            }
            prop_assert_eq!(got, sent);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next::<Control>() {}
        }
    }

    #[test]
    fn after_a_message_that_cant_be_read_comes_the_next() {
        let mut decoder = Decoder::default();
        decoder.push(&[0, 0, 0, 2, b'{', b']']);
        decoder.push(&encode(&Control::Keyframe { flow: 1 }).unwrap());
        assert!(matches!(decoder.next::<Control>(), Err(FrameError::Malformed(_))));
        assert_eq!(decoder.next().unwrap(), Some(Control::Keyframe { flow: 1 }));
    }

    #[test]
    fn a_strangers_messages_are_short() {
        let mut decoder = Decoder::of_stranger();
        decoder.push(&(MAX_FIRST_MESSAGE as u32 + 1).to_be_bytes());
        assert!(matches!(decoder.next::<Control>(), Err(FrameError::TooLong(..))));
        decoder.trust();
        assert!(matches!(decoder.next::<Control>(), Ok(None)));
    }

    #[test]
    fn an_announced_gigabyte_is_refused_before_it_comes() {
        let mut decoder = Decoder::default();
        decoder.push(&0x4000_0000u32.to_be_bytes());
        assert!(matches!(decoder.next::<Control>(), Err(FrameError::TooLong(..))));
    }
}
