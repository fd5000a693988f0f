//! Under which numbers packets go out, and went out.

use super::Shift;
use crate::media::batch::TrackKey;
use crate::media::cache::Cached;

/// Identifies an unbroken run of one source's numbering: an encoding of a track, until its
/// publisher restarts. Every change of source gives a line a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    pub track: TrackKey,
    /// The simulcast encoding, 0 where there is but one.
    pub encoding: u8,
    pub run: u32,
}

/// How a packet goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// Extended sequence number: the low 16 bits go into the header, the rest are the SRTP
    /// rollover counter.
    pub number: u64,
    pub timestamp: u32,
    pub marker: bool,
    /// What changes inside the payload.
    pub shift: Shift,
    /// Goes without its payload: it came too late for its number to be closed up, and the
    /// viewer, who doesn't get this layer, must not wait for it.
    pub empty: bool,
}

impl Outgoing {
    /// The header's sequence number.
    #[must_use]
    pub fn sequence(&self) -> u16 {
        self.number as u16
    }

    /// Whether the packet goes out just as it came.
    #[must_use]
    pub fn is_as_it_came(&self, packet: &Cached) -> bool {
        let came = (packet.number, packet.timestamp, packet.marker);
        (self.number, self.timestamp, self.marker) == came && self.shift.is_none() && !self.empty
    }

    /// SRTP's rollover counter.
    #[must_use]
    pub fn rollover(&self) -> u32 {
        (self.number >> 16) as u32
    }
}

/// What a viewer asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Whose packet it was. Only while the track's encoding is still in this epoch is `source`
    /// the same packet.
    pub epoch: Epoch,
    /// The packet's number at the source.
    pub source: u64,
    /// The transport-wide sequence number it went out with.
    pub transport_sequence: u16,
    pub(super) timestamp_offset: u32,
    pub(super) number: u64,
    pub(super) marker: bool,
    pub(super) shift: Shift,
    pub(super) empty: bool,
}

impl Lost {
    /// How `packet`, the one with number `source` in `epoch`, went out.
    #[must_use]
    pub fn outgoing(&self, packet: &Cached) -> Outgoing {
        Outgoing {
            number: self.number,
            timestamp: packet.timestamp.wrapping_add(self.timestamp_offset),
            marker: self.marker,
            shift: self.shift,
            empty: self.empty,
        }
    }
}
