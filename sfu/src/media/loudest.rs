//! Whose voices a class hears: of any number of open microphones the few that are loudest, by
//! the levels their packets carry (RFC 6464).
//!
//! A microphone that speaks takes a place that is free with its second loud packet, and keeps
//! it while it speaks and through its pauses. Only when all places are taken is one of them
//! taken away: from who has stopped speaking, or for somebody who is clearly louder, and not
//! soon again.
//!
//! A value: levels and the time go in, changes come out. It knows no packets and no tracks. A
//! packet of a microphone that is silent costs a few comparisons, however many there are.

use super::voice::Voice;
use std::time::{Duration, Instant};

/// Places: more voices at once than these are noise to a listener.
pub const PLACES: usize = 3;

/// A place is kept for so long after its microphone's last loud packet: people pause to think.
pub const HANGOVER: Duration = Duration::from_millis(1500);

/// Where somebody else needs it, only for so long: it is longer than the pauses between words,
/// and of three people who talk to each other one mostly has been silent for longer.
const STOPPED: Duration = Duration::from_millis(400);

/// Nobody loses a place to another within so long: whoever it goes to must be understood.
const TENURE: Duration = Duration::from_millis(800);

/// Who takes a place away is louder by this, in dB, for this long. Two people who speak alike
/// differ by less; a cough or a dropped book doesn't last.
const MARGIN: f32 = 4.0;
const CONTEST: Duration = Duration::from_millis(200);

/// With a place goes the beginning of what is being said: all packets since the first loud one
/// and these before it, in which a soft consonant is. What began longer ago than the most
/// isn't caught up with any more: a listener would hear it hurried, and late.
pub const SOFT_START: u32 = 2;
const MOST_BEFORE: u32 = 5;

/// Who was loud so short a time ago speaks at this moment.
const WORD: Duration = Duration::from_millis(100);

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

/// A microphone among others.
#[derive(Debug, Default)]
struct Contender {
    voice: Voice,
    place: Option<usize>,
    since: Option<Instant>,
    louder_since: Option<Instant>,
}

impl Contender {
    fn silent(&self, now: Instant) -> bool {
        self.voice.silence(now) > HANGOVER
    }

    /// Whether it has had its place for long enough to lose it.
    fn settled(&self, now: Instant) -> bool {
        self.since.is_some_and(|s| now.saturating_duration_since(s) >= TENURE)
    }
}

/// The microphones of a class and the places of those who are heard.
#[derive(Debug, Default)]
pub struct Loudest {
    places: [Place; PLACES],
    contenders: Vec<Option<Contender>>,
}

impl Loudest {
    /// Adds a microphone.
    pub fn enter(&mut self) -> Entrant {
        let free = self.contenders.iter().position(Option::is_none);
        let at = free.unwrap_or(self.contenders.len());
        if at == self.contenders.len() {
            self.contenders.push(None);
        }
        if let Some(place) = self.contenders.get_mut(at) {
            *place = Some(Contender::default());
        }
        Entrant(at)
    }

    /// Takes a microphone out.
    pub fn leave(&mut self, entrant: Entrant, now: Instant) {
        self.release(entrant, now);
        for place in &mut self.places {
            place.last = place.last.filter(|(last, _)| *last != entrant);
        }
        if let Some(contender) = self.contenders.get_mut(entrant.0) {
            *contender = None;
        }
    }

    /// A microphone was muted: it has no place from now on, and no past.
    pub fn silence(&mut self, entrant: Entrant, now: Instant) {
        self.release(entrant, now);
        if let Some(contender) = self.contender_mut(entrant) {
            contender.voice.forget();
            contender.louder_since = None;
        }
    }

    /// The place a microphone has.
    #[must_use]
    pub fn place_of(&self, entrant: Entrant) -> Option<usize> {
        self.contender(entrant)?.place
    }

    /// A packet of a microphone came, with this RFC 6464 byte (or without one). Tells when it
    /// thereby takes a place.
    pub fn hear(&mut self, entrant: Entrant, level: Option<u8>, now: Instant) -> Option<Taken> {
        let contender = self.contender_mut(entrant)?;
        let loud = contender.voice.hear(level, now);
        if contender.place.is_some() {
            if contender.silent(now) {
                self.release(entrant, now);
            }
            return None;
        }
        let packets = contender.voice.packets();
        if packets == 0 {
            contender.louder_since = None;
        }
        if !loud || !contender.voice.speaks() {
            return None;
        }
        let place = self.free(entrant, now);
        let place = place.or_else(|| self.stopped(now)).or_else(|| self.conquer(entrant, now))?;
        if self.outdone(entrant, now) {
            return None;
        }
        self.take(place, entrant, now);
        let before = if packets <= MOST_BEFORE { packets + SOFT_START } else { 0 };
        Some(Taken { place, before })
    }

    fn holders(&self) -> impl Iterator<Item = (usize, &Contender)> {
        let held = self.places.iter().enumerate();
        held.filter_map(|(at, p)| Some((at, self.contender(p.holder?)?)))
    }

    /// A free place: the one this microphone had, or else the one that is free for longest,
    /// where nobody's ears or decoders are with another voice.
    fn free(&mut self, entrant: Entrant, now: Instant) -> Option<usize> {
        for holder in self.places.map(|p| p.holder).into_iter().flatten() {
            if self.contender(holder).is_none_or(|c| c.silent(now)) {
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
        let silent = self.holders().filter(|(_, c)| c.settled(now));
        let silent = silent.map(|(at, c)| (c.voice.silence(now), at));
        silent.filter(|(silence, _)| *silence > STOPPED).max().map(|(_, at)| at)
    }

    /// The place of the quietest, when this microphone has been clearly louder for a while.
    fn conquer(&mut self, entrant: Entrant, now: Instant) -> Option<usize> {
        let loudness = |(at, c): (usize, &Contender)| (at, c.voice.loudness(now), c.settled(now));
        let holders = self.holders().map(loudness);
        let (place, quietest, settled) = holders.min_by(|a, b| a.1.total_cmp(&b.1))?;
        let contender = self.contender_mut(entrant)?;
        if contender.voice.loudness(now) < quietest + MARGIN {
            contender.louder_since = None;
            return None;
        }
        let since = *contender.louder_since.get_or_insert(now);
        let clearly = now.saturating_duration_since(since) >= CONTEST;
        (clearly && settled).then_some(place)
    }

    /// Whether somebody else who has no place either is speaking and is clearly louder: it
    /// goes first, with its next packet.
    fn outdone(&self, entrant: Entrant, now: Instant) -> bool {
        let Some(own) = self.contender(entrant) else { return false };
        let least = own.voice.loudness(now) + MARGIN;
        self.contenders.iter().flatten().filter(|c| c.place.is_none()).any(|c| {
            let speaks = c.voice.speaks() && c.voice.silence(now) < WORD;
            speaks && c.voice.loudness(now) >= least
        })
    }

    fn take(&mut self, at: usize, entrant: Entrant, now: Instant) {
        if let Some(before) = self.places.get(at).and_then(|p| p.holder) {
            self.release(before, now);
        }
        if let Some(place) = self.places.get_mut(at) {
            place.holder = Some(entrant);
        }
        if let Some(contender) = self.contender_mut(entrant) {
            contender.place = Some(at);
            contender.since = Some(now);
            contender.louder_since = None;
        }
    }

    fn release(&mut self, entrant: Entrant, now: Instant) {
        let Some(contender) = self.contender_mut(entrant) else { return };
        let Some(at) = contender.place.take() else { return };
        contender.since = None;
        if let Some(place) = self.places.get_mut(at) {
            *place = Place { holder: None, last: Some((entrant, now)) };
        }
    }

    fn contender(&self, entrant: Entrant) -> Option<&Contender> {
        self.contenders.get(entrant.0)?.as_ref()
    }

    fn contender_mut(&mut self, entrant: Entrant) -> Option<&mut Contender> {
        self.contenders.get_mut(entrant.0)?.as_mut()
    }
}

#[cfg(test)]
mod tests;
