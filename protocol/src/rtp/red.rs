//! Redundant audio (RFC 2198): a packet that brings earlier frames again before its own.

/// One frame of a redundant payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    pub payload_type: u8,
    /// How much earlier than the packet's the frame's timestamp is; 0 for the packet's own.
    pub timestamp_offset: u16,
    pub data: &'a [u8],
}

/// The frames of a payload, oldest first; the last is the packet's own.
#[derive(Debug, Clone)]
pub struct Blocks<'a> {
    headers: &'a [u8],
    data: &'a [u8],
}

/// Reads the blocks of a payload, or `None` when their headers or data are cut short.
#[must_use]
pub fn blocks(payload: &[u8]) -> Option<Blocks<'_>> {
    let mut at = 0;
    let mut redundant = 0;
    while payload.get(at)? & 0x80 != 0 {
        let [_, _, high, low] = *payload.get(at..at + 4)?.first_chunk::<4>()?;
        redundant += usize::from(u16::from_be_bytes([high & 0x03, low]));
        at += 4;
    }
    let (headers, data) = payload.split_at_checked(at + 1)?;
    (redundant <= data.len()).then_some(Blocks { headers, data })
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        let (&first, _) = self.headers.split_first()?;
        let payload_type = first & 0x7f;
        if first & 0x80 == 0 {
            self.headers = &[];
            return Some(Block { payload_type, timestamp_offset: 0, data: self.data });
        }
        let (head, headers) = self.headers.split_first_chunk::<4>()?;
        let [_, offset, middle, low] = *head;
        let len = usize::from(u16::from_be_bytes([middle & 0x03, low]));
        let (data, rest) = self.data.split_at_checked(len)?;
        (self.headers, self.data) = (headers, rest);
        let timestamp_offset = u16::from_be_bytes([offset, middle]) >> 2;
        Some(Block { payload_type, timestamp_offset, data })
    }
}

/// The packet's own frame.
#[must_use]
pub fn primary(payload: &[u8]) -> Option<Block<'_>> {
    blocks(payload)?.last()
}

/// How many ticks before the packet's own frame its earliest one begins.
#[must_use]
pub fn reach(payload: &[u8]) -> u32 {
    let earlier = blocks(payload).into_iter().flatten().map(|b| u32::from(b.timestamp_offset));
    earlier.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chromiums_opus_with_one_earlier_frame_is_read() {
        // Payload type 111, 960 ticks earlier, 3 bytes; then its own frame.
        let payload = [0x80 | 111, 0x0f, 0x00, 0x03, 111, 1, 2, 3, 9, 9];
        let read: Vec<_> = blocks(&payload).unwrap().collect();
        assert_eq!(read[0], Block { payload_type: 111, timestamp_offset: 960, data: &[1, 2, 3] });
        assert_eq!(read[1], Block { payload_type: 111, timestamp_offset: 0, data: &[9, 9] });
        assert_eq!(primary(&payload), Some(read[1]));
        assert_eq!(reach(&payload), 960);
    }

    #[test]
    fn cut_payloads_are_refused() {
        assert!(blocks(&[]).is_none());
        assert!(blocks(&[0xef, 0, 0]).is_none());
        assert!(blocks(&[0xef, 0, 0, 3, 111, 1, 2]).is_none());
        assert_eq!(primary(&[111]).unwrap().data, b"");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(blocks) = blocks(&bytes) {
                let data: usize = blocks.clone().map(|b| b.data.len()).sum();
                prop_assert_eq!(data + blocks.headers.len(), bytes.len());
            }
        }
    }
}
