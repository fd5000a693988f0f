//! RTP packets of a frame as they lie in a stream (draft-ietf-avtcore-rtp-over-quic): each
//! behind its length. What many are sent is made once, and nothing of it is copied for each.

use bytes::Bytes;
use cloudschool_protocol::roq;
use std::collections::VecDeque;

/// Flow ids below this are one byte.
const SMALL: usize = 64;

static SMALL_IDS: [u8; SMALL] = {
    let mut ids = [0; SMALL];
    let mut rest = ids.as_mut_slice();
    let mut id = 0;
    while let Some((first, more)) = rest.split_first_mut() {
        *first = id;
        id += 1;
        rest = more;
    }
    ids
};

/// Packets of a frame, each behind its length.
#[derive(Debug, Clone, Default)]
pub struct Packed(Vec<Bytes>);

impl Packed {
    /// Adds packets that lie behind their lengths already, each a QUIC variable-length integer
    /// (RFC 9000 §16) of any width.
    pub fn add(&mut self, packets: Bytes) {
        if packets.is_empty() {
            return;
        }
        if self.0.capacity() == 0 {
            // Most frames came at once, and the flow's id goes before them.
            self.0.reserve(2);
        }
        self.0.push(packets);
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, as they were added.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|chunk| chunk.len() as u64).sum()
    }

    /// The bytes, one after the other.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// The bytes of more of a stream.
    pub(crate) fn more(self) -> VecDeque<Bytes> {
        self.0.into()
    }

    /// The bytes of a stream, which begins with its flow.
    pub(crate) fn stream(mut self, flow: u64) -> VecDeque<Bytes> {
        self.0.insert(0, flow_id(flow));
        self.0.into()
    }

    /// The same by so many packets.
    pub(crate) fn parts(self, packets: usize) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        let mut room = 0;
        for mut chunk in self.0 {
            while !chunk.is_empty() {
                if room == 0 {
                    parts.push(Self::default());
                    room = packets.max(1);
                }
                let mut end = 0;
                while room > 0 && end < chunk.len() {
                    let rest = chunk.get(end..).unwrap_or_default();
                    // What is no length has no end either.
                    let packet = roq::get_varint(rest)
                        .and_then(|(len, head)| usize::try_from(len).ok()?.checked_add(head))
                        .unwrap_or(rest.len());
                    end += packet.min(rest.len());
                    room -= 1;
                }
                if let Some(part) = parts.last_mut() {
                    part.add(chunk.split_to(end));
                }
            }
        }
        parts
    }
}

fn flow_id(flow: u64) -> Bytes {
    let small = usize::try_from(flow).ok().and_then(|at| SMALL_IDS.get(at..=at));
    small.map_or_else(|| roq::stream(flow, []).into(), Bytes::from_static)
}

impl<P: AsRef<[u8]>> From<&[P]> for Packed {
    fn from(packets: &[P]) -> Self {
        // To the byte, so that nothing is moved when it is shared.
        let with_length = |len: usize| roq::varint_len(len as u64) + len;
        let len: usize = packets.iter().map(|p| with_length(p.as_ref().len())).sum();
        let mut bytes = Vec::with_capacity(len);
        for packet in packets {
            roq::put_varint(&mut bytes, packet.as_ref().len() as u64);
            bytes.extend_from_slice(packet.as_ref());
        }
        let mut packed = Self::default();
        packed.add(bytes.into());
        packed
    }
}

impl<P: AsRef<[u8]>> From<&Vec<P>> for Packed {
    fn from(packets: &Vec<P>) -> Self {
        packets.as_slice().into()
    }
}

impl<P: AsRef<[u8]>, const N: usize> From<&[P; N]> for Packed {
    fn from(packets: &[P; N]) -> Self {
        packets.as_slice().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a receiver makes of a stream.
    fn read(stream: &VecDeque<Bytes>) -> Vec<(u64, Vec<u8>)> {
        let mut decoder = roq::StreamDecoder::default();
        stream.iter().for_each(|chunk| decoder.push(chunk));
        std::iter::from_fn(|| decoder.next().unwrap().map(|(flow, packet)| (flow, packet.to_vec())))
            .collect()
    }

    proptest! {
        #[test]
        fn packets_come_out_as_they_went_in_whole_and_in_parts(
            flow in 0..roq::MAX_VARINT,
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..40),
            at in any::<prop::sample::Index>(),
            each in 1usize..5,
        ) {
            let (before, after) = packets.split_at(at.index(packets.len()));
            let mut packed = Packed::from(before);
            Packed::from(after).0.into_iter().for_each(|chunk| packed.add(chunk));
            let expected: Vec<_> = packets.iter().map(|p| (flow, p.clone())).collect();
            prop_assert_eq!(&read(&packed.clone().stream(flow)), &expected);
            let parts = packed.parts(each);
            prop_assert_eq!(parts.len(), packets.len().div_ceil(each));
            let parts: Vec<_> = parts.into_iter().flat_map(|p| read(&p.stream(flow))).collect();
            prop_assert_eq!(parts, expected);
        }
    }
}
