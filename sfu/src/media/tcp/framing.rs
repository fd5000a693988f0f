//! Datagrams on a byte stream (RFC 4571 §2): each behind its length, in two bytes. Pure; the
//! bytes come in any pieces.

/// Longest datagram that is taken from a peer: more than any that fits a path without
/// fragments, and little enough to bound what an unfinished one holds.
pub const MAX_FRAME: usize = 2048;

/// Bytes before each datagram.
pub const PREFIX: usize = 2;

/// A peer announced a datagram longer than [`MAX_FRAME`]: the stream makes no sense any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes is longer than any datagram of a peer")]
pub struct TooLong(pub usize);

/// Takes datagrams off a stream.
#[derive(Debug, Default)]
pub struct Deframer {
    /// The beginning of a frame that has not come whole: at most a prefix and a datagram.
    partial: Vec<u8>,
}

impl Deframer {
    /// Takes the next piece of the stream and hands on the datagrams it completes. Those that
    /// lie whole in the piece are not copied.
    ///
    /// # Errors
    /// [`TooLong`]; the stream is then to be closed.
    pub fn push(
        &mut self,
        mut bytes: &mut [u8],
        mut each: impl FnMut(&mut [u8]),
    ) -> Result<(), TooLong> {
        while !self.partial.is_empty() {
            let wanted = match length(&self.partial)? {
                Some(length) => PREFIX + length,
                None => PREFIX,
            };
            let missing = wanted - self.partial.len();
            let (head, rest) = bytes.split_at_mut(missing.min(bytes.len()));
            self.partial.extend_from_slice(head);
            bytes = rest;
            if self.partial.len() < wanted {
                return Ok(());
            }
            if let Some(length) = length(&self.partial)?
                && self.partial.len() == PREFIX + length
            {
                hand(self.partial.get_mut(PREFIX..), &mut each);
                self.partial.clear();
            }
        }
        loop {
            match length(bytes)? {
                Some(length) if bytes.len() >= PREFIX + length => {
                    let (frame, rest) = bytes.split_at_mut(PREFIX + length);
                    hand(frame.get_mut(PREFIX..), &mut each);
                    bytes = rest;
                }
                _ => {
                    self.partial.extend_from_slice(bytes);
                    return Ok(());
                }
            }
        }
    }
}

/// An empty frame carries nothing and means nothing.
fn hand(datagram: Option<&mut [u8]>, each: &mut impl FnMut(&mut [u8])) {
    if let Some(datagram) = datagram.filter(|d| !d.is_empty()) {
        each(datagram);
    }
}

/// The length that `bytes` begin with, once it is there.
fn length(bytes: &[u8]) -> Result<Option<usize>, TooLong> {
    let Some(prefix) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*prefix));
    if length > MAX_FRAME { Err(TooLong(length)) } else { Ok(Some(length)) }
}

/// What goes before `datagram`; `None` when it is too long for a frame.
#[must_use]
pub fn prefix(datagram: &[u8]) -> Option<[u8; PREFIX]> {
    u16::try_from(datagram.len()).ok().map(u16::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn deframed(stream: &[u8], cuts: &[usize]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut deframer = Deframer::default();
        let mut datagrams = Vec::new();
        let mut rest = stream.to_vec();
        for cut in cuts {
            let at = (*cut).min(rest.len());
            let mut piece: Vec<u8> = rest.drain(..at).collect();
            deframer.push(&mut piece, |d| datagrams.push(d.to_vec()))?;
            assert!(deframer.partial.len() < PREFIX + MAX_FRAME);
        }
        deframer.push(&mut rest, |d| datagrams.push(d.to_vec()))?;
        Ok(datagrams)
    }

    proptest! {
        #[test]
        fn whatever_the_pieces_the_datagrams_are_those_sent(
            sent in vec(vec(any::<u8>(), 1..300), 0..20),
            cuts in vec(0usize..400, 0..40),
        ) {
            let frame = |d: &Vec<u8>| [&prefix(d).unwrap()[..], d].concat();
            let stream: Vec<u8> = sent.iter().flat_map(frame).collect();
            prop_assert_eq!(deframed(&stream, &cuts).unwrap(), sent);
        }

        #[test]
        fn any_bytes_are_taken_or_refused(stream in vec(any::<u8>(), 0..3000), cuts in vec(0usize..50, 0..20)) {
            let whole = deframed(&stream, &[]);
            prop_assert_eq!(deframed(&stream, &cuts), whole);
        }
    }

    #[test]
    fn a_frame_no_peer_would_send_ends_the_stream() {
        assert_eq!(deframed(b"GET / HTTP/1.1\r\n", &[]), Err(TooLong(0x4745)));
        assert_eq!(deframed(b"GET / HTTP/1.1\r\n", &[1]), Err(TooLong(0x4745)));
    }

    #[test]
    fn the_longest_datagram_is_taken_and_empty_ones_are_passed_over() {
        let longest = [&[0, 0][..], &2048u16.to_be_bytes(), &[5; 2048], &[0, 0]].concat();
        assert_eq!(deframed(&longest, &[700, 700]).unwrap(), [vec![5; 2048]]);
    }
}
