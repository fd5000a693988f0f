//! Whose voices a class hears: of any number of open microphones the few that are loudest, by
//! the levels their packets carry (RFC 6464).
//!
//! A microphone that speaks takes a place that is free with its second loud packet, and keeps
//! it while it speaks and through its pauses. Only when all places are taken is one of them
//! taken away: from who has stopped speaking, or for somebody who is clearly louder, and not
//! soon again. What counts as loud is learned for every microphone: a fan that always blows is
//! not a voice.
//!
//! A value: levels and the time go in, changes come out. It knows no packets and no tracks. A
//! packet of a microphone that is silent costs a few comparisons, however many there are.

use std::time::{Duration, Instant};

/// Places: more voices at once than these are noise to a listener.
pub const PLACES: usize = 3;

/// A place is kept for so long after its microphone's last loud packet: people pause to think.
const HANGOVER: Duration = Duration::from_millis(1500);

/// Where somebody else needs it, only for so long: it is longer than the pauses between words,
/// and of three people who talk to each other one mostly has been silent for longer.
const STOPPED: Duration = Duration::from_millis(400);

/// Nobody loses a place to another within so long: whoever it goes to must be understood.
const TENURE: Duration = Duration::from_millis(800);

/// Who takes a place away is louder by this, in dB, for this long. Two people who speak alike
/// differ by less; a cough or a dropped book doesn't last.
const MARGIN: f32 = 4.0;
const CONTEST: Duration = Duration::from_millis(200);

/// Loud packets it takes to be a voice, and how many of them are forgotten in a second: a
/// click is one packet; two within a quarter of a second, or one every half, are something.
const EVIDENCE: f32 = 1.75;
const FORGOTTEN: f32 = 1.0;
const MOST_EVIDENCE: f32 = 10.0;

/// With a place goes the beginning of what is being said: all packets since the first loud one
/// and these before it, in which a soft consonant is. What began longer ago than the most
/// isn't caught up with any more: a listener would hear it hurried, and late.
const SOFT_START: u32 = 2;
const MOST_BEFORE: u32 = 5;

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

/// Who was loud so short a time ago speaks at this moment.
const WORD: Duration = Duration::from_millis(100);

/// Time that packets of one microphone may be apart and still follow each other: with DTX one
/// comes every 400 ms.
const LONGEST_GAP: Duration = Duration::from_millis(400);

/// A microphone, as [`Loudest`] counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entrant(usize);

/// A place changes hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    pub place: usize,
    /// Packets of this microphone, before the one just heard, that are the beginning of what
    /// it is saying.
    pub before: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    holder: Option<Entrant>,
    /// Who had it last, and until when.
    last: Option<(Entrant, Instant)>,
}

#[derive(Debug)]
struct Voice {
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
    place: Option<usize>,
    since: Option<Instant>,
    louder_since: Option<Instant>,
}

impl Voice {
    fn new() -> Self {
        Self {
            heard: None,
            noise: FIRST_NOISE,
            loudness: 0.0,
            evidence: 0.0,
            loud: None,
            packets: 0,
            marks_voice: false,
            place: None,
            since: None,
            louder_since: None,
        }
    }

    /// Takes a packet's level. Returns whether it is loud.
    fn hear(&mut self, level: Option<u8>, now: Instant) -> bool {
        let gap = self.heard.map_or(Duration::ZERO, |h| now.saturating_duration_since(h));
        let seconds = gap.min(LONGEST_GAP).as_secs_f32();
        self.loudness = self.loudness_at(now);
        self.evidence = (self.evidence - gap.as_secs_f32() * FORGOTTEN).max(0.0);
        self.heard = Some(now);
        let (level, loud) = match level {
            Some(byte) => {
                let voice = byte & 0x80 != 0;
                self.marks_voice |= voice;
                let level = 127.0 - f32::from(byte & 0x7f);
                let over = level >= (self.noise + ABOVE_NOISE).max(FAINTEST);
                self.learn_noise(level, seconds);
                (level, over && (voice || !self.marks_voice))
            }
            None => (UNTOLD, true),
        };
        self.packets = self.packets.saturating_add(1);
        if !loud {
            return false;
        }
        if self.loud.is_none_or(|l| now.saturating_duration_since(l) > BREATH) {
            self.packets = 0;
            self.louder_since = None;
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

    fn loudness_at(&self, now: Instant) -> f32 {
        let since = self.heard.map_or(Duration::ZERO, |h| now.saturating_duration_since(h));
        (self.loudness - since.as_secs_f32() * FALL).max(0.0)
    }

    fn silent(&self, now: Instant) -> bool {
        self.silence(now) > HANGOVER
    }

    fn silence(&self, now: Instant) -> Duration {
        self.loud.map_or(Duration::MAX, |l| now.saturating_duration_since(l))
    }
}

/// The microphones of a class and the places of those who are heard.
#[derive(Debug, Default)]
pub struct Loudest {
    places: [Place; PLACES],
    voices: Vec<Option<Voice>>,
}

impl Loudest {
    /// Adds a microphone.
    pub fn enter(&mut self) -> Entrant {
        let free = self.voices.iter().position(Option::is_none);
        let at = free.unwrap_or(self.voices.len());
        if at == self.voices.len() {
            self.voices.push(None);
        }
        if let Some(voice) = self.voices.get_mut(at) {
            *voice = Some(Voice::new());
        }
        Entrant(at)
    }

    /// Takes a microphone out.
    pub fn leave(&mut self, entrant: Entrant, now: Instant) {
        self.release(entrant, now);
        for place in &mut self.places {
            place.last = place.last.filter(|(last, _)| *last != entrant);
        }
        if let Some(voice) = self.voices.get_mut(entrant.0) {
            *voice = None;
        }
    }

    /// A microphone was muted: it has no place from now on, and no past.
    pub fn silence(&mut self, entrant: Entrant, now: Instant) {
        self.release(entrant, now);
        if let Some(Some(voice)) = self.voices.get_mut(entrant.0) {
            *voice = Voice { noise: voice.noise, marks_voice: voice.marks_voice, ..Voice::new() };
        }
    }

    /// The place a microphone has.
    #[must_use]
    pub fn place_of(&self, entrant: Entrant) -> Option<usize> {
        self.voices.get(entrant.0)?.as_ref()?.place
    }

    /// Who has each place.
    #[must_use]
    pub fn holders(&self) -> [Option<Entrant>; PLACES] {
        self.places.map(|p| p.holder)
    }

    /// A packet of a microphone came, with this RFC 6464 byte (or without one). Tells when it
    /// thereby takes a place.
    pub fn hear(&mut self, entrant: Entrant, level: Option<u8>, now: Instant) -> Option<Taken> {
        let voice = self.voices.get_mut(entrant.0)?.as_mut()?;
        let loud = voice.hear(level, now);
        if voice.place.is_some() {
            if voice.silent(now) {
                self.release(entrant, now);
            }
            return None;
        }
        if !loud || voice.evidence < EVIDENCE {
            return None;
        }
        let before = match voice.packets {
            since if since <= MOST_BEFORE => since + SOFT_START,
            _ => 0,
        };
        let place = self.free(entrant, now);
        let place = place.or_else(|| self.stopped(now)).or_else(|| self.conquer(entrant, now))?;
        if self.outdone(entrant, now) {
            return None;
        }
        self.take(place, entrant, now);
        Some(Taken { place, before })
    }

    /// A free place: the one this microphone had, or else the one that is free for longest,
    /// where nobody's ears or decoders are with another voice.
    fn free(&mut self, entrant: Entrant, now: Instant) -> Option<usize> {
        for holder in self.holders().into_iter().flatten() {
            if self.voice(holder).is_none_or(|v| v.silent(now)) {
                self.release(holder, now);
            }
        }
        let free = self.places.iter().enumerate().filter(|(_, p)| p.holder.is_none());
        let rank = |(_, p): &(usize, &Place)| match p.last {
            Some((last, _)) if last == entrant => (false, None),
            last => (true, last.map(|(_, until)| until)),
        };
        free.min_by_key(rank).map(|(at, _)| at)
    }

    /// The place of who has been silent for longest, when that is long enough.
    fn stopped(&self, now: Instant) -> Option<usize> {
        let silence = |p: &Place| {
            let voice = self.voice(p.holder?)?;
            let settled = now.saturating_duration_since(voice.since?) >= TENURE;
            Some(voice.silence(now)).filter(|s| settled && *s > STOPPED)
        };
        let silent = self.places.iter().enumerate().filter_map(|(at, p)| Some((silence(p)?, at)));
        silent.max().map(|(_, at)| at)
    }

    /// The place of the quietest, when this microphone has been clearly louder for a while.
    fn conquer(&mut self, entrant: Entrant, now: Instant) -> Option<usize> {
        let quietest = |a: &(usize, f32, Instant), b: &(usize, f32, Instant)| a.1.total_cmp(&b.1);
        let (place, loudness, since) = (self.places.iter().enumerate())
            .filter_map(|(at, p)| {
                let voice = self.voice(p.holder?)?;
                Some((at, voice.loudness_at(now), voice.since?))
            })
            .min_by(quietest)?;
        let voice = self.voices.get_mut(entrant.0)?.as_mut()?;
        if voice.loudness < loudness + MARGIN {
            voice.louder_since = None;
            return None;
        }
        let louder_since = *voice.louder_since.get_or_insert(now);
        let clearly = now.saturating_duration_since(louder_since) >= CONTEST;
        (clearly && now.saturating_duration_since(since) >= TENURE).then_some(place)
    }

    /// Whether somebody else who has no place either is speaking and is clearly louder: it
    /// goes first, with its next packet.
    fn outdone(&self, entrant: Entrant, now: Instant) -> bool {
        let Some(own) = self.voice(entrant) else { return false };
        self.voices.iter().flatten().any(|v| {
            let waits = v.place.is_none() && v.evidence >= EVIDENCE && v.silence(now) < WORD;
            waits && v.loudness_at(now) >= own.loudness + MARGIN
        })
    }

    fn take(&mut self, at: usize, entrant: Entrant, now: Instant) {
        if let Some(before) = self.places.get(at).and_then(|p| p.holder) {
            self.release(before, now);
        }
        if let Some(place) = self.places.get_mut(at) {
            place.holder = Some(entrant);
        }
        if let Some(Some(voice)) = self.voices.get_mut(entrant.0) {
            voice.place = Some(at);
            voice.since = Some(now);
            voice.louder_since = None;
        }
    }

    fn release(&mut self, entrant: Entrant, now: Instant) {
        let Some(Some(voice)) = self.voices.get_mut(entrant.0) else { return };
        let Some(at) = voice.place.take() else { return };
        voice.since = None;
        if let Some(place) = self.places.get_mut(at) {
            *place = Place { holder: None, last: Some((entrant, now)) };
        }
    }

    fn voice(&self, entrant: Entrant) -> Option<&Voice> {
        self.voices.get(entrant.0)?.as_ref()
    }
}

#[cfg(test)]
mod tests;
