//! What every synthetic packet says of itself, in the last bytes of its payload: who sent it,
//! when, and which part of which frame it is. A receiver that decodes nothing can then tell
//! what a decoder could have shown.

/// Bytes of a stamp.
pub const STAMP: usize = 28;

const MAGIC: [u8; 4] = *b"clsd";

/// Frames that a frame of a stream may be away from the one it refers to.
pub const MAX_REFERENCE: u8 = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Which publisher.
    pub source: u8,
    /// Which of its simulcast layers, 0 the smallest.
    pub layer: u8,
    /// How many frames before this one is the one it is predicted from; 0 for a keyframe.
    pub refers: u8,
    /// For sound: how loud, in −dBov (RFC 6464); 127 is silence.
    pub level: u8,
    /// Packets of this source and layer before this one.
    pub number: u32,
    /// The frame, or for sound the packet, counted from 0; the same in all layers.
    pub frame: u32,
    /// Packets of the frame before this one, and all of them.
    pub index: u16,
    pub count: u16,
    /// When it was handed to the kernel, nanoseconds since 1970.
    pub sent_ns: u64,
}

impl Stamp {
    /// Writes it over the last [`STAMP`] bytes.
    pub fn write(&self, payload: &mut [u8]) {
        let Some(place) = payload.last_chunk_mut::<STAMP>() else { return };
        place[..4].copy_from_slice(&MAGIC);
        place[4..8].copy_from_slice(&[self.source, self.layer, self.refers, self.level]);
        place[8..12].copy_from_slice(&self.number.to_be_bytes());
        place[12..16].copy_from_slice(&self.frame.to_be_bytes());
        place[16..18].copy_from_slice(&self.index.to_be_bytes());
        place[18..20].copy_from_slice(&self.count.to_be_bytes());
        place[20..].copy_from_slice(&self.sent_ns.to_be_bytes());
    }

    /// Reads it from the end of a payload without padding; `None` when there is none.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let place = payload.last_chunk::<STAMP>()?;
        let word = |at: usize| [place[at], place[at + 1], place[at + 2], place[at + 3]];
        if word(0) != MAGIC {
            return None;
        }
        let [source, layer, refers, level] = word(4);
        let [i0, i1, c0, c1] = word(16);
        let high = u32::from_be_bytes(word(20));
        let low = u32::from_be_bytes(word(24));
        Some(Self {
            source,
            layer,
            refers,
            level,
            number: u32::from_be_bytes(word(8)),
            frame: u32::from_be_bytes(word(12)),
            index: u16::from_be_bytes([i0, i1]),
            count: u16::from_be_bytes([c0, c1]),
            sent_ns: u64::from(high) << 32 | u64::from(low),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_back_from_the_end_of_a_payload() {
        let stamp = Stamp {
            source: 3,
            layer: 2,
            refers: 1,
            level: 40,
            number: 70_000,
            frame: 9,
            index: 6,
            count: 7,
            sent_ns: 1_790_000_000_123_456_789,
        };
        let mut payload = vec![7; 100];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(payload[..100 - STAMP], [7; 100 - STAMP]);
        payload.pop();
        assert_eq!(Stamp::read(&payload), None);
        assert_eq!(Stamp::read(&payload[..10]), None);
    }
}
