//! RTP over QUIC (draft-ietf-avtcore-rtp-over-quic): how RTP packets lie in QUIC datagrams
//! and streams. A datagram is a flow id and one packet. A unidirectional stream begins with
//! its flow id, then come packets, each with its length in front. All numbers are QUIC
//! variable-length integers (RFC 9000 §16).

/// Largest RTP packet taken from a stream, in bytes: what a UDP datagram can hold.
pub const MAX_PACKET: usize = 65_535;

/// Largest QUIC variable-length integer.
pub const MAX_VARINT: u64 = (1 << 62) - 1;

/// Why bytes are not RTP over QUIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoqError {
    #[error("the flow id is incomplete")]
    NoFlowId,
    #[error("a packet of {0} bytes is longer than RTP over UDP allows")]
    TooLong(u64),
}

/// Appends `value` as a QUIC variable-length integer. Values over [`MAX_VARINT`] are cut to it.
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    let v = value.min(MAX_VARINT);
    if v < 1 << 6 {
        out.push(v as u8);
    } else if v < 1 << 14 {
        out.extend_from_slice(&((v as u16) | 0x4000).to_be_bytes());
    } else if v < 1 << 30 {
        out.extend_from_slice(&((v as u32) | 0x8000_0000).to_be_bytes());
    } else {
        out.extend_from_slice(&(v | 0xc000_0000_0000_0000).to_be_bytes());
    }
}

/// Bytes that `value` takes as a QUIC variable-length integer.
#[must_use]
pub const fn varint_len(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// Reads a QUIC variable-length integer: its value and its length, or `None` when
/// `bytes` ends before it does.
#[must_use]
pub fn get_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let len = 1usize << (first >> 6);
    let body = bytes.get(1..len)?;
    let value = body.iter().fold(u64::from(first & 0x3f), |v, b| (v << 8) | u64::from(*b));
    Some((value, len))
}

/// A datagram: flow id and packet.
#[must_use]
pub fn datagram(flow: u64, packet: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(varint_len(flow) + packet.len());
    put_varint(&mut out, flow);
    out.extend_from_slice(packet);
    out
}

/// Splits a datagram into flow id and packet.
///
/// # Errors
/// [`RoqError::NoFlowId`] when it is too short for its flow id.
pub fn split_datagram(bytes: &[u8]) -> Result<(u64, &[u8]), RoqError> {
    let (flow, len) = get_varint(bytes).ok_or(RoqError::NoFlowId)?;
    Ok((flow, bytes.get(len..).unwrap_or_default()))
}

/// The bytes of a stream that carries `packets` of one flow.
#[must_use]
pub fn stream<'a>(flow: u64, packets: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    put_varint(&mut out, flow);
    for packet in packets {
        put_varint(&mut out, packet.len() as u64);
        out.extend_from_slice(packet);
    }
    out
}

/// Takes packets out of a stream that arrives in pieces. One stream may carry one frame, or
/// a whole flow.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    buffer: Vec<u8>,
    read: usize,
    flow: Option<u64>,
}

impl StreamDecoder {
    /// Adds what was read from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.buffer.drain(..self.read);
            self.read = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole packet with its flow id, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`RoqError::TooLong`]; the stream is of no use after it.
    #[allow(clippy::should_implement_trait)] // Lends from its own buffer, as no iterator can.
    pub fn next(&mut self) -> Result<Option<(u64, &[u8])>, RoqError> {
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        let flow = match self.flow {
            Some(flow) => flow,
            None => {
                let Some((flow, len)) = get_varint(rest) else { return Ok(None) };
                self.flow = Some(flow);
                self.read += len;
                flow
            }
        };
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        let Some((len, head)) = get_varint(rest) else { return Ok(None) };
        if len > MAX_PACKET as u64 {
            return Err(RoqError::TooLong(len));
        }
        let end = head + len as usize;
        let Some(packet) = rest.get(head..end) else { return Ok(None) };
        self.read += end;
        Ok(Some((flow, packet)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn varints_are_those_of_rfc_9000_appendix_a() {
        for (bytes, value) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
        ] {
            assert_eq!(get_varint(bytes), Some((value, bytes.len())));
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(varint_len(value), out.len());
            assert_eq!(out, bytes);
        }
    }

    proptest! {
        #[test]
        fn packets_survive_any_split(
            flow in 0u64..=MAX_VARINT,
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12),
            cut in 1usize..400,
        ) {
            let bytes = stream(flow, packets.iter().map(Vec::as_slice));
            let mut decoder = StreamDecoder::default();
            let mut got = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.push(piece);
                while let Some((f, p)) = decoder.next().unwrap() {
                    prop_assert_eq!(f, flow);
                    got.push(p.to_vec());
                }
            }
            prop_assert_eq!(got, packets);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = split_datagram(&bytes);
            let mut decoder = StreamDecoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }
}
