//! Something like speech: voiced syllables of changing pitch and vowel with a consonant's hiss
//! before them, in phrases with pauses between. Loud enough, and silent often enough, for
//! voice detection to have something to do.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::f32::consts::TAU;

/// Samples a second.
pub const RATE: u32 = 48_000;

/// First three formants of some vowels, in Hz.
const VOWELS: [[f32; 3]; 5] = [
    [730.0, 1090.0, 2440.0],
    [270.0, 2290.0, 3010.0],
    [300.0, 870.0, 2240.0],
    [530.0, 1840.0, 2480.0],
    [570.0, 840.0, 2410.0],
];

/// An endless talker. The same seed says the same.
pub struct Speech {
    random: StdRng,
    sound: Sound,
    /// Samples left of the sound.
    left: u32,
    /// Length of the sound, in samples.
    length: u32,
    /// Syllables left before the next pause.
    syllables: u32,
    phase: f32,
    formants: [Resonator; 3],
}

#[derive(Clone, Copy)]
enum Sound {
    Pause,
    Hiss,
    Vowel { pitch: f32, glide: f32 },
}

/// A two-pole filter that rings at one frequency.
#[derive(Clone, Copy, Default)]
struct Resonator {
    gain: f32,
    feedback: [f32; 2],
    last: [f32; 2],
}

impl Resonator {
    fn tune(&mut self, frequency: f32, width: f32) {
        let radius = (-std::f32::consts::PI * width / RATE as f32).exp();
        let angle = TAU * frequency / RATE as f32;
        self.feedback = [2.0 * radius * angle.cos(), -radius * radius];
        self.gain = (1.0 - radius) * 2.0;
    }

    fn run(&mut self, input: f32) -> f32 {
        let [a, b] = self.feedback;
        let output = self.gain * input + a * self.last[0] + b * self.last[1];
        self.last = [output, self.last[0]];
        output
    }
}

impl Speech {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            sound: Sound::Pause,
            left: 0,
            length: 1,
            syllables: 0,
            phase: 0.0,
            formants: Default::default(),
        }
    }

    /// Fills `samples`, −1 to 1.
    pub fn speak(&mut self, samples: &mut [f32]) {
        for sample in samples {
            if self.left == 0 {
                self.next_sound();
            }
            let done = 1.0 - self.left as f32 / self.length as f32;
            self.left -= 1;
            *sample = match self.sound {
                Sound::Pause => 0.0,
                Sound::Hiss => self.random.random_range(-0.05..0.05) * swell(done),
                Sound::Vowel { pitch, glide } => self.voice(pitch + glide * done) * swell(done),
            };
        }
    }

    fn voice(&mut self, pitch: f32) -> f32 {
        self.phase = (self.phase + pitch / RATE as f32).fract();
        let glottis = 1.0 - 2.0 * self.phase;
        let sum: f32 = self.formants.iter_mut().map(|f| f.run(glottis)).sum();
        (0.9 * sum).clamp(-0.9, 0.9)
    }

    fn next_sound(&mut self) {
        let (sound, ms) = match self.sound {
            Sound::Hiss => (self.vowel(), self.random.random_range(120..260)),
            _ if self.syllables > 0 => {
                self.syllables -= 1;
                (Sound::Hiss, self.random.random_range(30..70))
            }
            _ => {
                self.syllables = self.random.random_range(6..14);
                // A breath between phrases; now and then the talker stops and waits.
                let waits = self.random.random_ratio(1, 3);
                let ms = if waits { 1500..2500 } else { 300..700 };
                (Sound::Pause, self.random.random_range(ms))
            }
        };
        self.sound = sound;
        self.length = ms * RATE / 1000;
        self.left = self.length;
    }

    fn vowel(&mut self) -> Sound {
        let vowel = VOWELS[self.random.random_range(0..VOWELS.len())];
        for (formant, (frequency, width)) in
            self.formants.iter_mut().zip(vowel.into_iter().zip([80.0, 100.0, 140.0]))
        {
            formant.tune(frequency, width);
        }
        let pitch = self.random.random_range(130.0..210.0);
        Sound::Vowel { pitch, glide: self.random.random_range(-40.0..30.0) }
    }
}

/// Rises and falls over a sound.
fn swell(done: f32) -> f32 {
    (done * 8.0).min((1.0 - done) * 5.0).clamp(0.0, 1.0)
}

/// The RFC 6464 level of `samples`: 0 is the loudest and 127 silence (−dBov).
#[must_use]
pub fn level(samples: &[f32]) -> u8 {
    let power = samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32;
    if power <= 0.0 {
        return 127;
    }
    (-10.0 * power.log10()).clamp(0.0, 127.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_speech_and_there_are_pauses() {
        let mut speech = Speech::new(1);
        let mut frame = [0.0; 960];
        let levels: Vec<u8> = (0..500)
            .map(|_| {
                speech.speak(&mut frame);
                assert!(frame.iter().all(|s| s.abs() <= 1.0));
                level(&frame)
            })
            .collect();
        let loud = levels.iter().filter(|&&l| l < 30).count();
        let silent = levels.iter().filter(|&&l| l == 127).count();
        assert!(loud > 250, "{loud} of 500 frames are loud: {levels:?}");
        assert!(silent > 30, "{silent} of 500 frames are silent");
    }

    #[test]
    fn levels_are_those_of_rfc_6464() {
        assert_eq!(level(&[0.0; 10]), 127);
        assert_eq!(level(&[1.0; 10]), 0);
        assert_eq!(level(&[0.1; 10]), 20);
    }
}
