//! Whether what a microphone sends is a voice, and how loud: learned from the levels of its
//! packets (RFC 6464), each microphone against the noise of its own room.

use std::time::{Duration, Instant};

/// Loud packets it takes to be a voice, and how many of them are forgotten in a second: a
/// click is one packet; two within a quarter of a second, or one every half, are something.
const EVIDENCE: f32 = 1.75;
const FORGOTTEN: f32 = 1.0;
const MOST_EVIDENCE: f32 = 10.0;

/// Speech is above its room's noise by this, in dB, and not fainter than this: loudness here
/// is 127 less RFC 6464's level, that is in dB over −127 dBov.
const ABOVE_NOISE: f32 = 9.0;
const FAINTEST: f32 = 67.0;

/// Noise is looked for between these, beginning in between: the first word of a lesson is
/// speech, and what is louder than the highest noise and [`ABOVE_NOISE`] always is.
const LEAST_NOISE: f32 = 50.0;
const FIRST_NOISE: f32 = 60.0;
const MOST_NOISE: f32 = 77.0;

/// How noise is learned: each packet that is quieter pulls down by this share, and every second
/// without one lifts by so many dB. A sentence without a pause lifts it by less than speech
/// exceeds it.
const NOISE_FALLS: f32 = 0.3;
const NOISE_RISES: f32 = 3.0;

/// How loud somebody is follows a voice up within five packets, and falls by so many dB in a
/// second: a pause between words costs nobody a place.
const RISE: f32 = 0.4;
const FALL: f32 = 30.0;

/// A microphone that doesn't tell its level counts as this loud while it sends: it is heard
/// when a place is free, and gives way to anybody who speaks up.
const UNTOLD: f32 = 77.0;

/// Sound is one utterance while it isn't interrupted for longer than this.
const BREATH: Duration = Duration::from_millis(240);

/// Time that packets of one microphone may be apart and still follow each other: with DTX one
/// comes every 400 ms.
const LONGEST_GAP: Duration = Duration::from_millis(400);

/// What is known of one microphone.
#[derive(Debug, Clone)]
pub struct Voice {
    heard: Option<Instant>,
    noise: f32,
    /// How loud it is when it speaks, as of `heard`.
    loudness: f32,
    evidence: f32,
    /// The last loud packet, and how many packets came since the first of the utterance.
    loud: Option<Instant>,
    packets: u32,
    /// Its sender marks voice (RFC 6464 §3), so that an unmarked packet is none.
    marks_voice: bool,
}

impl Default for Voice {
    fn default() -> Self {
        Self {
            heard: None,
            noise: FIRST_NOISE,
            loudness: 0.0,
            evidence: 0.0,
            loud: None,
            packets: 0,
            marks_voice: false,
        }
    }
}

impl Voice {
    /// Takes a packet's RFC 6464 byte, or that it has none. Returns whether it is loud.
    pub fn hear(&mut self, level: Option<u8>, now: Instant) -> bool {
        let gap = self.heard.map_or(Duration::ZERO, |h| now.saturating_duration_since(h));
        self.loudness = self.loudness(now);
        self.evidence = (self.evidence - gap.as_secs_f32() * FORGOTTEN).max(0.0);
        self.heard = Some(now);
        let (level, loud) = match level {
            Some(byte) => {
                let voice = byte & 0x80 != 0;
                self.marks_voice |= voice;
                let level = 127.0 - f32::from(byte & 0x7f);
                let over = level >= (self.noise + ABOVE_NOISE).max(FAINTEST);
                self.learn_noise(level, gap.min(LONGEST_GAP).as_secs_f32());
                (level, over && (voice || !self.marks_voice))
            }
            None => (UNTOLD, true),
        };
        self.packets = self.packets.saturating_add(1);
        if !loud {
            return false;
        }
        if self.silence(now) > BREATH {
            self.packets = 0;
        }
        self.loud = Some(now);
        self.loudness += (level - self.loudness).max(0.0) * RISE;
        self.evidence = (self.evidence + 1.0).min(MOST_EVIDENCE);
        true
    }

    fn learn_noise(&mut self, level: f32, seconds: f32) {
        if level < self.noise {
            self.noise += (level - self.noise) * NOISE_FALLS;
        } else {
            self.noise = (self.noise + NOISE_RISES * seconds).min(level);
        }
        self.noise = self.noise.clamp(LEAST_NOISE, MOST_NOISE);
    }

    /// It was muted: only its room is remembered.
    pub fn forget(&mut self) {
        *self = Self { noise: self.noise, marks_voice: self.marks_voice, ..Self::default() };
    }

    /// Whether enough of it was loud of late to be somebody who speaks.
    #[must_use]
    pub fn speaks(&self) -> bool {
        self.evidence >= EVIDENCE
    }

    /// How loud it is when it speaks, in dB over −127 dBov.
    #[must_use]
    pub fn loudness(&self, now: Instant) -> f32 {
        let since = self.heard.map_or(Duration::ZERO, |h| now.saturating_duration_since(h));
        (self.loudness - since.as_secs_f32() * FALL).max(0.0)
    }

    /// How long ago its last loud packet came.
    #[must_use]
    pub fn silence(&self, now: Instant) -> Duration {
        self.loud.map_or(Duration::MAX, |l| now.saturating_duration_since(l))
    }

    /// How many packets came since the first loud one of what it is saying.
    #[must_use]
    pub fn packets(&self) -> u32 {
        self.packets
    }
}
