//! RTCP as bytes (RFC 3550 §6, RFC 4585, RFC 5104): reading compound packets and writing the
//! few kinds that a forwarder and its peers send.
//!
//! Nothing here keeps state, reading allocates nothing, and no input panics: what can't be
//! read ends the iteration.

mod write;

pub use write::{Block, Nack, Writer};

/// Sender report (RFC 3550 §6.4.1).
pub const SENDER_REPORT: u8 = 200;
/// Receiver report (RFC 3550 §6.4.2).
pub const RECEIVER_REPORT: u8 = 201;
/// Source description (RFC 3550 §6.5).
pub const SOURCE_DESCRIPTION: u8 = 202;
/// Goodbye (RFC 3550 §6.6).
pub const BYE: u8 = 203;
/// Transport layer feedback (RFC 4585 §6.2).
pub const TRANSPORT_FEEDBACK: u8 = 205;
/// Payload-specific feedback (RFC 4585 §6.3).
pub const PAYLOAD_FEEDBACK: u8 = 206;

/// Feedback message types within [`TRANSPORT_FEEDBACK`] and [`PAYLOAD_FEEDBACK`].
mod format {
    /// RFC 4585 §6.2.1.
    pub const NACK: u8 = 1;
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.
    pub const TRANSPORT_CC: u8 = 15;
    /// RFC 4585 §6.3.1.
    pub const PLI: u8 = 1;
    /// RFC 5104 §4.3.1.
    pub const FIR: u8 = 4;
}

/// Whether a datagram that is SRTP or SRTCP (RFC 7983 §7) is RTCP (RFC 5761 §4).
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// One packet of a compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rtcp<'a> {
    SenderReport(SenderReport<'a>),
    ReceiverReport(Blocks<'a>),
    /// Packets of `media` that are missing.
    Nack {
        media: u32,
        entries: NackEntries<'a>,
    },
    /// When packets arrived, over all of a transport. `fci` is what follows the two SSRCs.
    TransportCc {
        fci: &'a [u8],
    },
    /// A keyframe of `media` is needed.
    Pli {
        media: u32,
    },
    /// The same, by an older message that may name several.
    Fir {
        entries: FirEntries<'a>,
    },
    /// The sources that end.
    Bye {
        sources: &'a [u8],
    },
    /// A kind that is not looked at here.
    Other {
        kind: u8,
        count: u8,
    },
}

/// A publisher's clock, and what it says of its reception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport<'a> {
    pub ssrc: u32,
    /// NTP time, 32.32 (RFC 3550 §4).
    pub ntp: u64,
    /// The same moment on the source's RTP time line.
    pub rtp: u32,
    pub packets: u32,
    pub octets: u32,
    pub blocks: Blocks<'a>,
}

/// Takes a compound packet apart, up to the first byte that doesn't fit.
#[must_use]
pub fn packets(compound: &[u8]) -> Packets<'_> {
    Packets { rest: compound }
}

/// Iterator over a compound; see [`packets`].
#[derive(Debug, Clone, Copy)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Rtcp<'a>;

    fn next(&mut self) -> Option<Rtcp<'a>> {
        let (head, body) = self.rest.split_first_chunk::<4>()?;
        let [first, kind, l0, l1] = *head;
        let len = 4 * usize::from(u16::from_be_bytes([l0, l1]));
        let padding = first & 0x20 != 0;
        if first >> 6 != 2 {
            return None;
        }
        let whole = body.get(..len)?;
        self.rest = body.get(len..)?;
        let body = match padding {
            true => {
                let count = usize::from(*whole.last()?);
                whole.get(..whole.len().checked_sub(count)?)?
            }
            false => whole,
        };
        read(kind, first & 0x1f, body)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn read(kind: u8, count: u8, body: &[u8]) -> Option<Rtcp<'_>> {
    Some(match (kind, count) {
        (SENDER_REPORT, _) => Rtcp::SenderReport(SenderReport {
            ssrc: word(body, 0)?,
            ntp: u64::from(word(body, 4)?) << 32 | u64::from(word(body, 8)?),
            rtp: word(body, 12)?,
            packets: word(body, 16)?,
            octets: word(body, 20)?,
            blocks: Blocks::new(body.get(24..)?, count)?,
        }),
        (RECEIVER_REPORT, _) => Rtcp::ReceiverReport(Blocks::new(body.get(4..)?, count)?),
        (TRANSPORT_FEEDBACK, format::NACK) => {
            Rtcp::Nack { media: word(body, 4)?, entries: NackEntries { rest: body.get(8..)? } }
        }
        (TRANSPORT_FEEDBACK, format::TRANSPORT_CC) => Rtcp::TransportCc { fci: body.get(8..)? },
        (PAYLOAD_FEEDBACK, format::PLI) => Rtcp::Pli { media: word(body, 4)? },
        (PAYLOAD_FEEDBACK, format::FIR) => {
            Rtcp::Fir { entries: FirEntries { rest: body.get(8..)? } }
        }
        (BYE, _) => Rtcp::Bye { sources: body.get(..4 * usize::from(count))? },
        _ => Rtcp::Other { kind, count },
    })
}

/// Report blocks (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks<'a> {
    rest: &'a [u8],
}

impl<'a> Blocks<'a> {
    fn new(bytes: &'a [u8], count: u8) -> Option<Self> {
        Some(Self { rest: bytes.get(..Block::LEN * usize::from(count))? })
    }
}

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        let (block, rest) = self.rest.split_first_chunk::<{ Block::LEN }>()?;
        self.rest = rest;
        Block::parse(block)
    }
}

/// Sequence numbers of a NACK, lowest first within each entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NackEntries<'a> {
    rest: &'a [u8],
}

impl<'a> NackEntries<'a> {
    /// All sequence numbers asked for.
    pub fn sequences(self) -> impl Iterator<Item = u16> + 'a {
        self.rest.chunks_exact(4).filter_map(|e| e.first_chunk::<4>()).flat_map(|e| {
            let [p0, p1, m0, m1] = *e;
            let first = u16::from_be_bytes([p0, p1]);
            let more = u16::from_be_bytes([m0, m1]);
            let following = (0..16u16).filter(move |bit| more >> bit & 1 == 1);
            let following = following.map(move |bit| first.wrapping_add(bit + 1));
            std::iter::once(first).chain(following)
        })
    }
}

/// Sources of a full intra request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirEntries<'a> {
    rest: &'a [u8],
}

impl<'a> FirEntries<'a> {
    /// The SSRCs that are to send a keyframe.
    pub fn sources(self) -> impl Iterator<Item = u32> + 'a {
        self.rest.chunks_exact(8).filter_map(|entry| word(entry, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_compound_is_written_and_read_back() {
        let mut bytes = Vec::new();
        let block = Block {
            ssrc: 7,
            fraction_lost: 25,
            lost: -3,
            highest: 0x0001_0203,
            jitter: 44,
            last_report: 0xaabb_ccdd,
            delay: 65_536,
        };
        let mut writer = Writer::new(&mut bytes);
        writer.sender_report(1, 5 << 32 | 9, 777, 10, 20, &[block]);
        writer.description(1, "school-01");
        writer.nack(&Nack { sender: 1, media: 9 }, [100, 101, 116, 118, 300].into_iter());
        writer.pli(1, 9);
        writer.bye(1);
        let mut read = packets(&bytes);
        let Some(Rtcp::SenderReport(report)) = read.next() else { panic!("a sender report") };
        assert_eq!((report.ssrc, report.ntp, report.rtp), (1, 5 << 32 | 9, 777));
        assert_eq!((report.packets, report.octets), (10, 20));
        assert_eq!(report.blocks.collect::<Vec<_>>(), [block]);
        assert_eq!(read.next(), Some(Rtcp::Other { kind: SOURCE_DESCRIPTION, count: 1 }));
        let Some(Rtcp::Nack { media: 9, entries }) = read.next() else { panic!("a NACK") };
        assert_eq!(entries.sequences().collect::<Vec<_>>(), [100, 101, 116, 118, 300]);
        assert_eq!(read.next(), Some(Rtcp::Pli { media: 9 }));
        assert_eq!(read.next(), Some(Rtcp::Bye { sources: &[0, 0, 0, 1] }));
        assert_eq!(read.next(), None);
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_its_second_byte() {
        assert!(is_rtcp(&[0x80, 200]) && is_rtcp(&[0x81, 206]));
        assert!(!is_rtcp(&[0x80, 111]) && !is_rtcp(&[0x80, 0x80 | 111]) && !is_rtcp(&[0x80]));
    }

    #[test]
    fn a_length_beyond_the_datagram_ends_the_reading() {
        assert_eq!(packets(&[0x81, 206, 0, 9, 0, 0, 0, 1]).next(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_end_the_reading(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for packet in packets(&bytes).take(100) {
                match packet {
                    Rtcp::SenderReport(report) => { report.blocks.count(); }
                    Rtcp::ReceiverReport(blocks) => { blocks.count(); }
                    Rtcp::Nack { entries, .. } => { entries.sequences().count(); }
                    Rtcp::Fir { entries } => { entries.sources().count(); }
                    _ => {}
                }
            }
        }

        #[test]
        fn every_number_asked_for_is_named(mut wanted in prop::collection::btree_set(0u16..2000, 1..100)) {
            let mut bytes = Vec::new();
            Writer::new(&mut bytes).nack(&Nack { sender: 1, media: 2 }, wanted.iter().copied());
            let Some(Rtcp::Nack { entries, .. }) = packets(&bytes).next() else { panic!("a NACK") };
            for sequence in entries.sequences() { prop_assert!(wanted.remove(&sequence)); }
            prop_assert!(wanted.is_empty());
        }
    }
}
