//! RTP headers of the light peer: written for what it sends, and the one extension read that
//! it must answer.

use cloudschool_protocol::rtp::FIXED_HEADER;

/// Marks a one-byte header extension (RFC 8285 §4.2).
const ONE_BYTE: [u8; 2] = [0xbe, 0xde];

/// The fixed part of a packet to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}

/// Writes a header with extension elements of at most 16 bytes each. Returns its length.
pub fn write(head: &Head, elements: &[(u8, &[u8])], out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.push(0x80 | u8::from(!elements.is_empty()) << 4);
    out.push(u8::from(head.marker) << 7 | head.payload_type);
    out.extend_from_slice(&head.sequence.to_be_bytes());
    out.extend_from_slice(&head.timestamp.to_be_bytes());
    out.extend_from_slice(&head.ssrc.to_be_bytes());
    if !elements.is_empty() {
        out.extend_from_slice(&ONE_BYTE);
        out.extend_from_slice(&[0, 0]);
        for (id, data) in elements {
            out.push(id << 4 | (data.len() as u8).wrapping_sub(1) & 0x0f);
            out.extend_from_slice(data);
        }
        while !(out.len() - start).is_multiple_of(4) {
            out.push(0);
        }
        let words = ((out.len() - start - FIXED_HEADER - 4) / 4) as u16;
        out[start + 14..start + 16].copy_from_slice(&words.to_be_bytes());
    }
    out.len() - start
}

/// The data of the element `id` of a one-byte header extension.
#[inline]
#[must_use]
pub fn element(packet: &[u8], id: u8) -> Option<&[u8]> {
    let first = *packet.first()?;
    if first & 0x10 == 0 {
        return None;
    }
    let at = FIXED_HEADER + 4 * usize::from(first & 0x0f);
    let [p0, p1, w0, w1] = *packet.get(at..)?.first_chunk()?;
    if [p0, p1] != ONE_BYTE {
        return None;
    }
    let words = usize::from(u16::from_be_bytes([w0, w1]));
    let mut rest = packet.get(at + 4..at + 4 + 4 * words)?;
    while let Some((&head, tail)) = rest.split_first() {
        if head == 0 {
            rest = tail;
            continue;
        }
        let (data, others) = tail.split_at_checked(usize::from(head & 0x0f) + 1)?;
        if head >> 4 == id {
            return Some(data);
        }
        rest = others;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::rtp::Header;

    #[test]
    fn a_header_reads_back_with_its_elements() {
        let head =
            Head { marker: true, payload_type: 102, sequence: 9, timestamp: 77, ssrc: 0xdead_beef };
        let mut packet = Vec::new();
        let len = write(&head, &[(1, &[0x85]), (3, &[0, 7]), (4, b"0")], &mut packet);
        assert_eq!((len, len % 4), (packet.len(), 0));
        packet.extend_from_slice(b"payload");
        let read = Header::parse(&packet).unwrap();
        assert_eq!((read.marker, read.payload_type, read.sequence), (true, 102, 9));
        assert_eq!((read.timestamp, read.ssrc), (77, 0xdead_beef));
        assert_eq!(read.payload(&packet), b"payload");
        assert_eq!(element(&packet, 3), Some(&[0, 7][..]));
        assert_eq!(element(&packet, 4), Some(&b"0"[..]));
        assert_eq!(element(&packet, 5), None);
        let mut plain = Vec::new();
        assert_eq!(write(&head, &[], &mut plain), 12);
        assert_eq!(element(&plain, 1), None);
    }
}
