//! What a node kept of the tracks published at it while the campus was away: opened RTP packets
//! and the publishers' clocks, for the recorder to fetch when the line is back.
//!
//! A part is one track over one time; its bytes are [`Record`]s one after the other, which both
//! the node's disk and the trunk carry as they are.

use crate::blob::Blob;
use crate::id::NodeId;
use crate::media::{Codec, TrackId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most bytes of one [`Piece`]: 33 ms of a line of 1 Mbit/s, so that little waits behind it.
pub const MAX_PIECE: usize = 4096;

/// Most parts told of at once.
pub const MAX_PARTS: usize = 256;

/// Longest packet kept.
const MAX_PACKET: usize = 2048;

/// Names a part for all time.
pub type PartId = Uuid;

/// One track over one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpoolPart {
    pub id: PartId,
    /// The node that has it.
    pub node: NodeId,
    /// The run of the lesson.
    pub session: Uuid,
    pub track: TrackId,
    pub codec: Codec,
    /// By the node's clock, milliseconds since the Unix epoch.
    pub from_ms: u64,
    pub to_ms: u64,
    pub bytes: u64,
}

/// A few bytes of a part.
pub type Piece = Blob<MAX_PIECE>;

/// One thing that came, and when by the node's clock, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// An RTP packet as it would have crossed the trunk.
    Packet { at_ns: u64, packet: &'a [u8] },
    /// The publisher's clock: NTP time `ntp` (32.32) was RTP timestamp `rtp`.
    Clock { at_ns: u64, ntp: u64, rtp: u32 },
}

const PACKET: u8 = 0;
const CLOCK: u8 = 1;

/// Kind, time and length.
const HEAD: usize = 1 + 8 + 2;

impl<'a> Record<'a> {
    /// Appends the record to `out`. A packet longer than any that RTP here has is left out.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut put = |kind: u8, at_ns: u64, body: &[&[u8]]| {
            let length: usize = body.iter().map(|b| b.len()).sum();
            let Some(length) = u16::try_from(length).ok().filter(|l| usize::from(*l) <= MAX_PACKET)
            else {
                return;
            };
            out.push(kind);
            out.extend_from_slice(&at_ns.to_be_bytes());
            out.extend_from_slice(&length.to_be_bytes());
            body.iter().for_each(|part| out.extend_from_slice(part));
        };
        match self {
            Record::Packet { at_ns, packet } => put(PACKET, *at_ns, &[packet]),
            Record::Clock { at_ns, ntp, rtp } => {
                put(CLOCK, *at_ns, &[&ntp.to_be_bytes(), &rtp.to_be_bytes()]);
            }
        }
    }

    /// The records in `bytes`, up to one that is unfinished or none at all: what a power cut left.
    pub fn read_all(bytes: &'a [u8]) -> impl Iterator<Item = Record<'a>> {
        let mut rest = bytes;
        std::iter::from_fn(move || {
            let (record, after) = Self::read(rest)?;
            rest = after;
            Some(record)
        })
    }

    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let (kind, head) = head.split_first()?;
        let (at, length) = head.split_first_chunk::<8>()?;
        let at_ns = u64::from_be_bytes(*at);
        let length = usize::from(u16::from_be_bytes(*length.first_chunk::<2>()?));
        let body = rest.get(..length).filter(|_| length <= MAX_PACKET)?;
        let after = rest.get(length..)?;
        let record = match *kind {
            PACKET => Record::Packet { at_ns, packet: body },
            CLOCK => {
                let (ntp, rtp) = body.split_first_chunk::<8>()?;
                let rtp: [u8; 4] = rtp.try_into().ok()?;
                Record::Clock { at_ns, ntp: u64::from_be_bytes(*ntp), rtp: u32::from_be_bytes(rtp) }
            }
            _ => return None,
        };
        Some((record, after))
    }

    /// When it came.
    #[must_use]
    pub fn at_ns(&self) -> u64 {
        match self {
            Record::Packet { at_ns, .. } | Record::Clock { at_ns, .. } => *at_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_are_read_as_they_were_written_up_to_where_the_power_went() {
        let records = [
            Record::Clock { at_ns: 1, ntp: u64::MAX - 3, rtp: 7 },
            Record::Packet { at_ns: 2, packet: b"one" },
            Record::Packet { at_ns: u64::MAX, packet: b"" },
        ];
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.write(&mut bytes));
        assert_eq!(Record::read_all(&bytes).collect::<Vec<_>>(), records);
        for cut in 0..bytes.len() {
            let read: Vec<_> = Record::read_all(&bytes[..cut]).collect();
            assert_eq!(read[..], records[..read.len()]);
            assert!(read.len() < records.len());
        }
        let too_long = vec![0; MAX_PACKET + 1];
        Record::Packet { at_ns: 0, packet: &too_long }.write(&mut bytes);
        assert_eq!(Record::read_all(&bytes).count(), records.len());
    }

    #[test]
    fn a_piece_is_text_in_messages_and_no_longer_than_allowed() {
        let piece = Blob::<MAX_PIECE>(vec![0, 255, 7]);
        let json = serde_json::to_string(&piece).unwrap();
        assert_eq!(json, "\"AP8H\"");
        assert_eq!(serde_json::from_str::<Piece>(&json).unwrap(), piece);
        let long =
            serde_json::to_string(&Blob::<{ MAX_PIECE + 1 }>(vec![0; MAX_PIECE + 1])).unwrap();
        assert!(serde_json::from_str::<Piece>(&long).is_err());
        assert!(serde_json::from_str::<Piece>("\"!\"").is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_read_nothing_breaks(bytes: Vec<u8>) {
            prop_assert!(Record::read_all(&bytes).count() <= bytes.len() / HEAD);
        }
    }
}
