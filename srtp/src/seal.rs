//! The sending half: one [`Sealer`] per peer.

use crate::cipher::{BadKeys, Cipher, INDEX_WORD};
use crate::keys::Keys;

/// The index of RTCP has 31 bits; a session that used all of them needs new keys.
const LAST_INDEX: u32 = (1 << 31) - 1;

/// Seals packets with the keys of one direction of one session.
pub struct Sealer {
    rtp: Cipher,
    rtcp: Cipher,
    /// The next compound packet's index.
    index: u32,
}

impl Sealer {
    /// Sets up the ciphers once; a seal then costs only the pass over the packet.
    ///
    /// # Errors
    /// [`BadKeys`].
    pub fn new(keys: &Keys) -> Result<Self, BadKeys> {
        let rtp = Cipher::new(keys.profile, &keys.rtp)?;
        let rtcp = Cipher::new(keys.profile, &keys.rtcp)?;
        Ok(Self { rtp, rtcp, index: 0 })
    }

    /// Bytes sealing adds to an RTP packet.
    #[inline]
    #[must_use]
    pub fn tag_len(&self) -> usize {
        self.rtp.tag_len()
    }

    /// Seals the RTP packet that fills `packet` but for its last [`Self::tag_len`] bytes, which
    /// become the tag. `header_len` is the length of what stays readable: the fixed header,
    /// CSRCs and header extension. `roc` is the rollover counter: the bits of the extended
    /// sequence number above its low 16.
    ///
    /// The same packet sealed twice gives the same bytes, so a retransmission may be sealed
    /// again; nothing else, not even another header, may ever be sealed under its SSRC and
    /// number. Returns false, and the packet must not be sent, when it is too short or the
    /// library refused.
    #[inline]
    #[must_use]
    pub fn seal(&self, packet: &mut [u8], header_len: usize, roc: u32) -> bool {
        self.rtp.seal_rtp(packet, header_len, roc).is_some()
    }

    /// Seals the compound RTCP packet in `packet`, which grows by the tag and the index word
    /// (at most [`crate::MAX_RTCP_TRAILER`] bytes: with that much spare capacity nothing is
    /// allocated). The index is counted here, so all RTCP of a session must be sealed by the
    /// same `Sealer`. Returns false, and nothing may be sent, when the packet is no RTCP or
    /// all indices are used up.
    #[must_use]
    pub fn seal_rtcp(&mut self, packet: &mut Vec<u8>) -> bool {
        if self.index > LAST_INDEX {
            return false;
        }
        packet.resize(packet.len() + self.rtcp.tag_len() + INDEX_WORD, 0);
        if self.rtcp.seal_rtcp(packet, self.index).is_none() {
            return false;
        }
        self.index += 1;
        true
    }

    #[cfg(test)]
    pub(crate) fn with_index(mut self, index: u32) -> Self {
        self.index = index;
        self
    }
}
