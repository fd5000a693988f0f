//! Packets of Opus as samples for a command: 16 kHz, mono, 16 bits, little endian.

use super::timeline::{RATE, Timeline};
use anyhow::{Context, Result};
use classroom_client::rtp::Packet;

/// Most samples of a packet: 120 ms (RFC 6716 section 2.1.4).
const MOST: usize = RATE as usize * 120 / 1000;

/// Decodes, and puts everything where it belongs in time.
pub struct Sound {
    decoder: opus::Decoder,
    timeline: Timeline,
}

impl Sound {
    /// The first sample is of `begun_ms`, milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// When the decoder does not start.
    pub fn new(begun_ms: u64) -> Result<Self> {
        let decoder = opus::Decoder::new(RATE, opus::Channels::Mono);
        let decoder = decoder.context("the Opus decoder does not start")?;
        Ok(Self { decoder, timeline: Timeline::new(begun_ms) })
    }

    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// What a packet adds to the stream: its samples, and the silence before them.
    pub fn packet(&mut self, packet: &Packet, now_ms: u64) -> Vec<u8> {
        let mut samples = [0_i16; MOST];
        let count = match self.decoder.decode(&packet.payload, &mut samples, false) {
            Ok(count) => count,
            Err(error) => {
                tracing::debug!(%error, "a packet of sound can't be decoded");
                return Vec::new();
            }
        };
        let header = &packet.header;
        let placed = self.timeline.place(header.ssrc, header.timestamp, count as u64, now_ms);
        let Some(before) = placed else { return Vec::new() };
        let mut bytes = silence(before);
        bytes.extend(samples.iter().take(count).flat_map(|s| s.to_le_bytes()));
        bytes
    }

    /// The silence that is due.
    pub fn silence(&mut self, now_ms: u64) -> Vec<u8> {
        silence(self.timeline.idle(now_ms))
    }
}

fn silence(samples: u64) -> Vec<u8> {
    vec![0; usize::try_from(samples).unwrap_or_default() * 2]
}
