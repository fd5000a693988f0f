//! The receiving half: one [`Opener`] per peer.

use crate::cipher::{BadKeys, Cipher, RTCP_CLEAR};
use crate::keys::Keys;
use crate::window::{Stale, Window};

/// Sources one peer may send, counted apart for RTP and RTCP. A browser has one SSRC and one
/// for retransmissions per layer of what it sends; only an authenticated packet takes a place.
const MAX_SOURCES: usize = 128;

/// Why a packet is not opened. The buffer's content is of no use afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("not a whole SRTP or SRTCP packet")]
    Malformed,
    #[error("came too late behind the newest packet of its source")]
    Old,
    #[error("was received before")]
    Replayed,
    #[error("is not authentic")]
    Forged,
    #[error("is of one more source than a peer may have")]
    TooManySources,
}

impl From<Stale> for OpenError {
    fn from(stale: Stale) -> Self {
        match stale {
            Stale::Old => Self::Old,
            Stale::Replayed => Self::Replayed,
        }
    }
}

/// Opens packets with the keys of one direction of one session. Nothing it remembers changes
/// before a packet has been found authentic. A source's first packet takes it a place in a
/// table (RFC 3711 §3.2.3); apart from that nothing is allocated.
pub struct Opener {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_sources: Sources,
    rtcp_sources: Sources,
}

impl Opener {
    /// Sets up the ciphers once.
    ///
    /// # Errors
    /// [`BadKeys`].
    pub fn new(keys: &Keys) -> Result<Self, BadKeys> {
        Ok(Self {
            rtp: Cipher::new(keys.profile, &keys.rtp)?,
            rtcp: Cipher::new(keys.profile, &keys.rtcp)?,
            rtp_sources: Sources::default(),
            rtcp_sources: Sources::default(),
        })
    }

    /// Opens an SRTP packet in place. Returns the length of the plain packet, which begins
    /// where the sealed one did. The rollover counter is worked out per source, from 0 for its
    /// first packet (RFC 3711 §3.3.1).
    ///
    /// # Errors
    /// [`OpenError`].
    #[inline]
    pub fn open(&mut self, packet: &mut [u8]) -> Result<usize, OpenError> {
        let header = RtpHeader::of(packet).ok_or(OpenError::Malformed)?;
        let place = self.rtp_sources.place_of(header.ssrc)?;
        let index = match self.rtp_sources.window(place) {
            Some(window) => window.index_of(header.sequence).ok_or(OpenError::Old)?,
            None => u64::from(header.sequence),
        };
        self.rtp_sources.check(place, index)?;
        let roc = (index >> 16) as u32;
        let length = self.rtp.open_rtp(packet, header.len, roc).ok_or(OpenError::Forged)?;
        self.rtp_sources.accept(place, header.ssrc, index);
        Ok(length)
    }

    /// Opens an SRTCP packet in place. Returns the length of the plain compound packet, which
    /// begins where the sealed one did. One sent unencrypted is refused.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, OpenError> {
        let clear: [u8; RTCP_CLEAR] = *packet.first_chunk().ok_or(OpenError::Malformed)?;
        let [b0, _, _, _, a, b, c, d] = clear;
        let index = self.rtcp.rtcp_index(packet).ok_or(OpenError::Malformed)?;
        if b0 >> 6 != 2 {
            return Err(OpenError::Malformed);
        }
        let ssrc = u32::from_be_bytes([a, b, c, d]);
        let place = self.rtcp_sources.place_of(ssrc)?;
        self.rtcp_sources.check(place, u64::from(index))?;
        let length = self.rtcp.open_rtcp(packet, index).ok_or(OpenError::Forged)?;
        self.rtcp_sources.accept(place, ssrc, u64::from(index));
        Ok(length)
    }
}

/// What opening needs of an RTP header.
struct RtpHeader {
    ssrc: u32,
    sequence: u16,
    /// Bytes that are not encrypted: the fixed header, CSRCs and header extension.
    len: usize,
}

impl RtpHeader {
    #[inline]
    fn of(packet: &[u8]) -> Option<Self> {
        let [b0, _, s0, s1, _, _, _, _, a, b, c, d] = *packet.first_chunk()?;
        if b0 >> 6 != 2 {
            return None;
        }
        let mut len = 12 + 4 * usize::from(b0 & 0x0f);
        if b0 & 0x10 != 0 {
            let [_, _, w0, w1] = *packet.get(len..)?.first_chunk()?;
            len += 4 + 4 * usize::from(u16::from_be_bytes([w0, w1]));
        }
        let ssrc = u32::from_be_bytes([a, b, c, d]);
        Some(Self { ssrc, sequence: u16::from_be_bytes([s0, s1]), len })
    }
}

struct Source {
    ssrc: u32,
    window: Window,
}

/// The sources heard of. There are few, and mostly the same one twice in a row.
#[derive(Default)]
struct Sources {
    list: Vec<Source>,
    last: usize,
}

impl Sources {
    /// Where `ssrc` is kept, or would be.
    #[inline]
    fn place_of(&self, ssrc: u32) -> Result<usize, OpenError> {
        if self.list.get(self.last).is_some_and(|s| s.ssrc == ssrc) {
            return Ok(self.last);
        }
        match self.list.iter().position(|s| s.ssrc == ssrc) {
            Some(place) => Ok(place),
            None if self.list.len() < MAX_SOURCES => Ok(self.list.len()),
            None => Err(OpenError::TooManySources),
        }
    }

    #[inline]
    fn window(&self, place: usize) -> Option<&Window> {
        self.list.get(place).map(|s| &s.window)
    }

    #[inline]
    fn check(&self, place: usize, index: u64) -> Result<(), Stale> {
        self.window(place).map_or(Ok(()), |w| w.check(index))
    }

    #[inline]
    fn accept(&mut self, place: usize, ssrc: u32, index: u64) {
        if place == self.list.len() {
            self.list.push(Source { ssrc, window: Window::starting_at(index) });
        }
        if let Some(source) = self.list.get_mut(place) {
            source.window.accept(index);
        }
        self.last = place;
    }
}

#[cfg(test)]
mod tests;
