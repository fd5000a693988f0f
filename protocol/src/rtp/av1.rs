//! The aggregation header of AV1 payloads (RTP Payload Format For AV1 §4.4).

/// The first byte of every payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AggregationHeader {
    /// Z: the first element continues one of the packet before.
    pub continues: bool,
    /// Y: the last element is continued in the next packet.
    pub continued: bool,
    /// W: how many elements there are; 0 when each brings its length.
    pub elements: u8,
    /// N: the first packet of a coded video sequence, which begins with a key frame.
    pub begins_sequence: bool,
}

impl AggregationHeader {
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let byte = *payload.first()?;
        Some(Self {
            continues: byte & 0x80 != 0,
            continued: byte & 0x40 != 0,
            elements: byte >> 4 & 0x03,
            begins_sequence: byte & 0x08 != 0,
        })
    }

    /// Whether a decoder that has seen nothing can begin with this packet.
    #[must_use]
    pub fn begins_keyframe(self) -> bool {
        self.begins_sequence && !self.continues
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_begins_where_the_header_says_so() {
        let header = AggregationHeader::parse(&[0x28, 0x0a]).unwrap();
        assert_eq!((header.elements, header.begins_keyframe()), (2, true));
        assert!(!AggregationHeader::parse(&[0x90]).unwrap().begins_keyframe());
        // N with Z contradict each other (§4.4).
        assert!(!AggregationHeader::parse(&[0x88]).unwrap().begins_keyframe());
        assert_eq!(AggregationHeader::parse(&[]), None);
    }
}
