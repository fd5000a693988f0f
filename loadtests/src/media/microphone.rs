//! Synthesised speech as Opus: one packet every 20 ms.

use super::speech::{RATE, Speech, level};
use anyhow::{Context, Result};
use bytes::Bytes;

/// Samples in a packet.
pub const SAMPLES: usize = 960;
/// Packets a second.
pub const PACKETS_PER_S: u32 = RATE / SAMPLES as u32;
/// bit/s: what browsers use for speech.
const BITRATE: i32 = 32_000;
/// Louder than this is someone speaking (RFC 6464 level, 0 the loudest).
const VOICE: u8 = 50;

/// One Opus packet and how loud it is.
#[derive(Debug, Clone)]
pub struct Sound {
    pub payload: Bytes,
    /// RFC 6464: 0 the loudest, 127 silence.
    pub level: u8,
    pub voice: bool,
}

/// Speaks and encodes.
pub struct Microphone {
    speech: Speech,
    encoder: opus::Encoder,
    samples: [f32; SAMPLES],
}

impl Microphone {
    /// # Errors
    /// When the encoder refuses the settings.
    pub fn new(seed: u64) -> Result<Self> {
        let mut encoder = opus::Encoder::new(RATE, opus::Channels::Mono, opus::Application::Voip)
            .context("the Opus encoder does not start")?;
        encoder.set_bitrate(opus::Bitrate::Bits(BITRATE)).context("setting Opus' bitrate")?;
        encoder.set_inband_fec(true).context("setting Opus' error correction")?;
        Ok(Self { speech: Speech::new(seed), encoder, samples: [0.0; SAMPLES] })
    }

    /// The next 20 ms.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn listen(&mut self) -> Result<Sound> {
        self.speech.speak(&mut self.samples);
        let level = level(&self.samples);
        let payload = self.encoder.encode_vec_float(&self.samples, 1275).context("encoding")?;
        Ok(Sound { payload: payload.into(), level, voice: level < VOICE })
    }
}
