//! Writing RTCP: packets are appended to a buffer that becomes one compound.

use super::{
    BYE, PAYLOAD_FEEDBACK, RECEIVER_REPORT, SENDER_REPORT, SOURCE_DESCRIPTION, TRANSPORT_FEEDBACK,
    format,
};

/// What a receiver says of one source (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Block {
    pub ssrc: u32,
    /// Share lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Lost in all; duplicates can make it negative. 24 bits on the wire.
    pub lost: i32,
    /// Extended highest sequence number.
    pub highest: u32,
    /// In units of the source's clock.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report; 0 when none came.
    pub last_report: u32,
    /// Since that report came, in 65,536ths of a second.
    pub delay: u32,
}

impl Block {
    /// Bytes on the wire.
    pub const LEN: usize = 24;

    pub(super) fn parse(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let word = |at| super::word(bytes, at);
        let loss = word(4)?;
        Some(Self {
            ssrc: word(0)?,
            fraction_lost: (loss >> 24) as u8,
            lost: (loss << 8) as i32 >> 8,
            highest: word(8)?,
            jitter: word(12)?,
            last_report: word(16)?,
            delay: word(20)?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        const LOST_24_BITS: (i32, i32) = (-(1 << 23), (1 << 23) - 1);
        let lost = self.lost.clamp(LOST_24_BITS.0, LOST_24_BITS.1) as u32 & 0x00ff_ffff;
        let loss = u32::from(self.fraction_lost) << 24 | lost;
        for word in [self.ssrc, loss, self.highest, self.jitter, self.last_report, self.delay] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
}

/// Who misses packets of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nack {
    pub sender: u32,
    pub media: u32,
}

/// Appends packets to a compound.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Writes behind what `out` holds already.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// The packet's header, its body by `body`, zeros up to a whole word, and its length.
    fn packet(&mut self, kind: u8, count: usize, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0x80 | (count as u8 & 0x1f), kind, 0, 0]);
        body(self.out);
        while !(self.out.len() - start).is_multiple_of(4) {
            self.out.push(0);
        }
        let words = ((self.out.len() - start) / 4 - 1) as u16;
        if let Some(length) = self.out.get_mut(start + 2..start + 4) {
            length.copy_from_slice(&words.to_be_bytes());
        }
    }

    /// A source's clock and counts (RFC 3550 §6.4.1); at most 31 blocks are taken.
    pub fn sender_report(
        &mut self,
        ssrc: u32,
        ntp: u64,
        rtp: u32,
        packets: u32,
        octets: u32,
        blocks: &[Block],
    ) {
        let blocks = blocks.get(..blocks.len().min(31)).unwrap_or_default();
        self.packet(SENDER_REPORT, blocks.len(), |out| {
            out.extend_from_slice(&ssrc.to_be_bytes());
            out.extend_from_slice(&ntp.to_be_bytes());
            for word in [rtp, packets, octets] {
                out.extend_from_slice(&word.to_be_bytes());
            }
            blocks.iter().for_each(|b| b.write(out));
        });
    }

    /// What is received of others (RFC 3550 §6.4.2); at most 31 blocks are taken.
    pub fn receiver_report(&mut self, ssrc: u32, blocks: &[Block]) {
        let blocks = blocks.get(..blocks.len().min(31)).unwrap_or_default();
        self.packet(RECEIVER_REPORT, blocks.len(), |out| {
            out.extend_from_slice(&ssrc.to_be_bytes());
            blocks.iter().for_each(|b| b.write(out));
        });
    }

    /// The canonical name of a source (RFC 3550 §6.5.1), of which 255 bytes are taken.
    pub fn description(&mut self, ssrc: u32, cname: &str) {
        const CNAME: u8 = 1;
        let name = cname.as_bytes();
        let name = name.get(..name.len().min(255)).unwrap_or_default();
        self.packet(SOURCE_DESCRIPTION, 1, |out| {
            out.extend_from_slice(&ssrc.to_be_bytes());
            out.extend_from_slice(&[CNAME, name.len() as u8]);
            out.extend_from_slice(name);
            // The list of items ends with a zero, which also pads.
            out.push(0);
        });
    }

    fn feedback(
        &mut self,
        kind: u8,
        format: u8,
        sender: u32,
        media: u32,
        fci: impl FnOnce(&mut Vec<u8>),
    ) {
        self.packet(kind, usize::from(format), |out| {
            out.extend_from_slice(&sender.to_be_bytes());
            out.extend_from_slice(&media.to_be_bytes());
            fci(out);
        });
    }

    /// Asks for packets again (RFC 4585 §6.2.1). `sequences` in rising order make the
    /// shortest message.
    pub fn nack(&mut self, who: &Nack, sequences: impl Iterator<Item = u16>) {
        self.feedback(TRANSPORT_FEEDBACK, format::NACK, who.sender, who.media, |out| {
            let mut entry: Option<(u16, u16)> = None;
            let flush = |out: &mut Vec<u8>, (first, more): (u16, u16)| {
                out.extend_from_slice(&first.to_be_bytes());
                out.extend_from_slice(&more.to_be_bytes());
            };
            for sequence in sequences {
                if let Some((first, more)) = &mut entry {
                    let behind = sequence.wrapping_sub(*first);
                    if (1..=16).contains(&behind) {
                        *more |= 1 << (behind - 1);
                        continue;
                    }
                    flush(out, (*first, *more));
                }
                entry = Some((sequence, 0));
            }
            if let Some(last) = entry {
                flush(out, last);
            }
        });
    }

    /// Asks for a keyframe (RFC 4585 §6.3.1).
    pub fn pli(&mut self, sender: u32, media: u32) {
        self.feedback(PAYLOAD_FEEDBACK, format::PLI, sender, media, |_| {});
    }

    /// When packets of a transport arrived; `fci` writes what follows the SSRCs
    /// (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
    pub fn transport_cc(&mut self, sender: u32, media: u32, fci: impl FnOnce(&mut Vec<u8>)) {
        self.feedback(TRANSPORT_FEEDBACK, format::TRANSPORT_CC, sender, media, fci);
    }

    /// A source ends (RFC 3550 §6.6).
    pub fn bye(&mut self, ssrc: u32) {
        self.packet(BYE, 1, |out| out.extend_from_slice(&ssrc.to_be_bytes()));
    }
}
