//! Mixes every recorded sound into one on the lesson's time line: silence where nothing came,
//! lost packets concealed, and a sound card's drift taken up where it is quiet.

use crate::clock::{Nanos, SECOND, TimeLine};
use crate::mkv::Reader;
use std::io;

/// Samples per second of the mix.
pub const RATE: u32 = 48_000;

/// Longest Opus packet: 120 ms.
const MAX_PACKET: usize = 5760;

/// Sound that is off by less than this stays where the packet before it put it.
const SLACK: i64 = 96;

/// Sound off by more than this is moved even in mid-word: 40 ms, the least that is noticed
/// against lips.
const MOST: i64 = 1920;

/// Gaps up to this long are concealed by the decoder: 100 ms. Longer ones are silence.
const CONCEAL: i64 = 4800;

/// Mean square under which nobody notices a moved sample: −50 dBFS.
const QUIET: f32 = 1e-5;

/// A part's sound, decoded as it is asked for.
pub struct Voice {
    reader: Reader,
    line: TimeLine,
    decoder: opus::Decoder,
    channels: usize,
    next_block: usize,
    /// Where the next decoded sample belongs, unless its packet says otherwise.
    at: Option<i64>,
    /// Decoded and not yet mixed: where it begins, and the samples, interleaved.
    pending: (i64, Vec<f32>),
    scratch: Vec<f32>,
}

impl Voice {
    /// # Errors
    /// When there is no decoder.
    pub fn new(reader: Reader, line: TimeLine, channels: u16) -> Result<Self, opus::Error> {
        let layout = if channels == 1 { opus::Channels::Mono } else { opus::Channels::Stereo };
        let channels = usize::from(channels);
        Ok(Self {
            reader,
            line,
            decoder: opus::Decoder::new(RATE, layout)?,
            channels,
            next_block: 0,
            at: None,
            pending: (0, Vec::new()),
            scratch: vec![0.0; MAX_PACKET * channels],
        })
    }

    /// Adds what sounds from sample `start` on to `mix`.
    ///
    /// # Errors
    /// When the recording can't be read. Packets that don't decode are left out.
    pub fn add(&mut self, start: i64, mix: &mut [f32]) -> io::Result<()> {
        let end = start + (mix.len() / self.channels) as i64;
        loop {
            let (at, samples) = &self.pending;
            let len = (samples.len() / self.channels) as i64;
            let (from, to) = ((*at).max(start), (at + len).min(end));
            if from < to {
                let source = samples.iter().skip((from - at) as usize * self.channels);
                let sink = mix.iter_mut().skip((from - start) as usize * self.channels);
                let count = (to - from) as usize * self.channels;
                sink.zip(source).take(count).for_each(|(m, s)| *m += s);
            }
            if at + len > end || !self.decode_next()? {
                return Ok(());
            }
        }
    }

    fn decode_next(&mut self) -> io::Result<bool> {
        let Some(block) = self.reader.index.blocks.get(self.next_block).copied() else {
            self.pending.1.clear();
            self.pending.0 = i64::MAX / 2;
            return Ok(false);
        };
        let packet = self.reader.read(&block)?;
        let due = samples(self.line.lesson(block.time));
        let missing = self.at.map_or(0, |at| due - at);
        if self.at.is_some()
            && missing > MOST
            && missing <= CONCEAL
            && self.conceal(missing, &packet)
        {
            return Ok(true);
        }
        self.next_block += 1;
        let decoded = self.decoder.decode_float(&packet, &mut self.scratch, false).unwrap_or(0);
        let sound = &self.scratch[..decoded * self.channels];
        let begin = match self.at {
            None => due,
            Some(at) => {
                let off = due - at;
                let quiet = mean_square(sound) < QUIET;
                if off.abs() > MOST || (quiet && off.abs() > SLACK) { due } else { at }
            }
        };
        self.take(begin, decoded);
        Ok(true)
    }

    /// Fills `missing` samples before `packet` from what the decoder can guess; the last of
    /// them from the copy `packet` may carry of its predecessor.
    fn conceal(&mut self, missing: i64, packet: &[u8]) -> bool {
        let Some(at) = self.at else { return false };
        // The decoder conceals in steps of 2.5 ms.
        let wanted = (missing as usize / 120 * 120).min(MAX_PACKET) * self.channels;
        let Some(space) = self.scratch.get_mut(..wanted) else { return false };
        let one = opus::packet::get_nb_samples(packet, RATE).unwrap_or(0);
        let from_copy = one * self.channels == wanted;
        let input = if from_copy { packet } else { &[] };
        match self.decoder.decode_float(input, space, from_copy) {
            Ok(n) if n > 0 => {
                self.take(at, n);
                true
            }
            _ => false,
        }
    }

    fn take(&mut self, begin: i64, decoded: usize) {
        self.pending.0 = begin;
        self.pending.1.clear();
        self.pending.1.extend_from_slice(&self.scratch[..decoded * self.channels]);
        self.at = Some(begin + decoded as i64);
    }
}

/// A lesson time as a sample's number.
#[must_use]
pub fn samples(time: Nanos) -> i64 {
    (i128::from(time) * i128::from(RATE) / i128::from(SECOND)) as i64
}

/// Bends what is too loud for the encoder instead of cutting it off.
pub fn soften(mix: &mut [f32]) {
    const KNEE: f32 = 0.75;
    for s in mix {
        let over = s.abs() - KNEE;
        if over > 0.0 {
            *s = s.signum() * (KNEE + (1.0 - KNEE) * (over / (1.0 - KNEE)).tanh());
        }
    }
}

fn mean_square(sound: &[f32]) -> f32 {
    sound.iter().map(|s| s * s).sum::<f32>() / sound.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_voices_at_once_do_not_clip() {
        let mut mix = vec![0.1, -0.5, 0.9, 3.0, -20.0];
        soften(&mut mix);
        assert_eq!(mix[..2], [0.1, -0.5]);
        assert!(mix.iter().all(|s| s.abs() <= 1.0));
        assert!(mix[2] > 0.75 && mix[3] > mix[2]);
    }
}
