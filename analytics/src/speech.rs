//! Voice activity from audio levels, as a value: levels and time in, intervals out. It keeps
//! nothing of the voice but how loud it was.
//!
//! A level counts as voice when it is above a threshold and above the noise floor of its
//! track, with hysteresis; voice makes an interval when there is enough of it, and a pause
//! ends the interval when it is long enough. The figures and their reasons:

/// Louder than this begins an interval, in dBov. Speech behind a browser's automatic gain
/// lies at −15 to −35.
const ON_DBOV: f32 = -45.0;
/// Louder than this goes on with one: the quiet end of a word.
const OFF_DBOV: f32 = -52.0;
/// How far above the noise floor it must be to begin, and to go on, in dB.
const ON_ABOVE_FLOOR: f32 = 9.0;
const OFF_ABOVE_FLOOR: f32 = 5.0;
/// The noise floor: where it starts, and what it stays between. The upper bound lets loud
/// sound always count.
const FLOOR_START: f32 = -60.0;
const FLOOR_MIN: f32 = -70.0;
const FLOOR_MAX: f32 = -45.0;
/// How fast the floor rises, in dB/s: a fan that is switched on is silence after 20 s, while
/// the dips of running speech hold the floor down.
const FLOOR_RISE: f32 = 1.0;
/// Voice needed to begin, and within what time, in ms: a cough is shorter.
const ONSET_VOICE_MS: u32 = 120;
const ONSET_WINDOW_MS: u64 = 400;
/// A pause this long ends the interval, in ms: that between two sentences doesn't.
pub const HANGOVER_MS: u64 = 1000;
/// Least voice of an interval that is kept, in ms.
const MIN_VOICE_MS: u32 = 400;
/// How much later than their time levels may still come, in ms: [`Detector::tick`] waits so long.
const LATE_MS: u64 = 500;
/// How far the arrival of a packet may be from where its timestamp puts it, in ms, before the
/// time line is laid anew.
const TIMELINE_SLACK_MS: u64 = 300;

/// The loudness of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// When it was said, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// How long the packet's sound lasts, in ms.
    pub lasts_ms: u32,
    /// RFC 6464: 0 is the loudest, 127 silence, in −dBov.
    pub level: u8,
}

/// An interval of speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utterance {
    pub start_ms: u64,
    /// End of the last loud packet.
    pub end_ms: u64,
    /// How much of it was loud, in ms.
    pub voiced_ms: u32,
}

impl Utterance {
    /// The share of it that was loud, 0 to 1.
    #[must_use]
    pub fn density(&self) -> f64 {
        let length = self.end_ms.saturating_sub(self.start_ms).max(1);
        (f64::from(self.voiced_ms) / length as f64).min(1.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Silent,
    /// Voice, not yet enough of it.
    Rising(Utterance),
    Speaking(Utterance),
}

/// The detector of one track.
#[derive(Debug, Clone)]
pub struct Detector {
    floor: f32,
    /// End of the time looked at.
    last_ms: u64,
    phase: Phase,
}

impl Default for Detector {
    fn default() -> Self {
        Self { floor: FLOOR_START, last_ms: 0, phase: Phase::Silent }
    }
}

impl Detector {
    /// Takes the next level; gives the interval it shows to be over. A level from before the
    /// last is ignored.
    pub fn push(&mut self, level: Level) -> Option<Utterance> {
        if level.at_ms < self.last_ms.saturating_sub(u64::from(level.lasts_ms) / 2) {
            return None;
        }
        let over = self.pause(level.at_ms, HANGOVER_MS);
        let loud = -f32::from(level.level.min(127));
        let end_ms = level.at_ms + u64::from(level.lasts_ms);
        self.follow_floor(loud, end_ms);
        self.last_ms = end_ms;
        let begins = loud > ON_DBOV && loud > self.floor + ON_ABOVE_FLOOR;
        let goes_on = loud > OFF_DBOV && loud > self.floor + OFF_ABOVE_FLOOR;
        self.phase = match self.phase {
            Phase::Silent if begins => Phase::Rising(Self::first(level)),
            Phase::Rising(said) if level.at_ms >= said.start_ms + ONSET_WINDOW_MS => {
                if begins {
                    Phase::Rising(Self::first(level))
                } else {
                    Phase::Silent
                }
            }
            Phase::Rising(said) if begins => {
                let said = Self::longer(said, level);
                if said.voiced_ms >= ONSET_VOICE_MS {
                    Phase::Speaking(said)
                } else {
                    Phase::Rising(said)
                }
            }
            Phase::Speaking(said) if goes_on => Phase::Speaking(Self::longer(said, level)),
            phase => phase,
        };
        over
    }

    /// Lets time pass without a level: packets stop in silence (DTX) and when a line breaks.
    pub fn tick(&mut self, now_ms: u64) -> Option<Utterance> {
        self.pause(now_ms, HANGOVER_MS + LATE_MS)
    }

    /// Ends what is under way: the track is gone, or the lesson over.
    pub fn finish(&mut self) -> Option<Utterance> {
        let said = self.under_way();
        self.phase = Phase::Silent;
        said
    }

    /// The interval under way, as it would be if it ended now.
    #[must_use]
    pub fn under_way(&self) -> Option<Utterance> {
        match self.phase {
            Phase::Speaking(said) if said.voiced_ms >= MIN_VOICE_MS => Some(said),
            _ => None,
        }
    }

    /// Whether someone speaks.
    #[must_use]
    pub fn speaking(&self) -> bool {
        matches!(self.phase, Phase::Speaking(_))
    }

    fn pause(&mut self, now_ms: u64, hangover_ms: u64) -> Option<Utterance> {
        match self.phase {
            Phase::Speaking(said) if now_ms >= said.end_ms + hangover_ms => self.finish(),
            _ => None,
        }
    }

    /// The floor rises with the time that passed since the end of the last level, and falls at
    /// once to what is quieter.
    fn follow_floor(&mut self, loud: f32, end_ms: u64) {
        let seconds = end_ms.saturating_sub(self.last_ms).min(1000) as f32 / 1000.0;
        let risen = self.floor + FLOOR_RISE * seconds;
        self.floor = risen.min(loud).clamp(FLOOR_MIN, FLOOR_MAX);
    }

    fn first(level: Level) -> Utterance {
        let end_ms = level.at_ms + u64::from(level.lasts_ms);
        Utterance { start_ms: level.at_ms, end_ms, voiced_ms: level.lasts_ms }
    }

    fn longer(said: Utterance, level: Level) -> Utterance {
        Utterance {
            end_ms: level.at_ms + u64::from(level.lasts_ms),
            voiced_ms: said.voiced_ms + level.lasts_ms,
            ..said
        }
    }
}

/// Puts packets on the wall clock by their RTP timestamps, so that the network's jitter
/// doesn't shift what was said: laid at the first packet's arrival, and anew when a packet
/// arrives far from where it should, or from another source.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timeline {
    anchor: Option<(u32, u32, u64)>,
}

impl Timeline {
    /// When the packet with `timestamp` (48 kHz) of `ssrc`, arrived at `arrival_ms`, was said.
    pub fn place(&mut self, ssrc: u32, timestamp: u32, arrival_ms: u64) -> u64 {
        if let Some((known, zero, at_ms)) = self.anchor {
            let ticks = timestamp.wrapping_sub(zero).cast_signed();
            let at = at_ms.saturating_add_signed(i64::from(ticks) / 48);
            if known == ssrc && at.abs_diff(arrival_ms) <= TIMELINE_SLACK_MS {
                return at;
            }
        }
        self.anchor = Some((ssrc, timestamp, arrival_ms));
        arrival_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: u64 = 1_800_000_000_000;

    /// Feeds 20 ms packets of `(level, ms)` one after the other; gives what was found and the end.
    fn feed(detector: &mut Detector, from: u64, parts: &[(u8, u64)]) -> (Vec<Utterance>, u64) {
        let mut at = from;
        let mut found = Vec::new();
        for &(level, ms) in parts {
            for _ in 0..ms / 20 {
                found.extend(detector.push(Level { at_ms: at, lasts_ms: 20, level }));
                at += 20;
            }
        }
        (found, at)
    }

    fn hear(parts: &[(u8, u64)]) -> Vec<(u64, u64)> {
        let mut detector = Detector::default();
        let (mut found, _) = feed(&mut detector, T0, parts);
        found.extend(detector.finish());
        found.iter().map(|u| (u.start_ms - T0, u.end_ms - T0)).collect()
    }

    const SILENCE: u8 = 90;
    const ROOM: u8 = 62;
    const VOICE: u8 = 28;

    #[test]
    fn a_sentence_is_an_interval_without_its_hangover() {
        assert_eq!(hear(&[(ROOM, 2000), (VOICE, 3000), (ROOM, 2000)]), [(2000, 5000)]);
    }

    #[test]
    fn a_pause_between_sentences_does_not_cut_and_a_long_one_does() {
        assert_eq!(hear(&[(VOICE, 1000), (ROOM, 800), (VOICE, 1000)]), [(0, 2800)]);
        let two = hear(&[(VOICE, 1000), (ROOM, 1200), (VOICE, 1000)]);
        assert_eq!(two, [(0, 1000), (2200, 3200)]);
    }

    #[test]
    fn coughs_and_clicks_are_not_speech() {
        assert_eq!(hear(&[(ROOM, 500), (10, 100), (ROOM, 3000), (10, 20), (ROOM, 2000)]), []);
        let patter: Vec<_> = (0..20).flat_map(|_| [(20, 60), (ROOM, 940)]).collect();
        assert_eq!(hear(&patter), []);
        assert_eq!(hear(&[(VOICE, 300), (ROOM, 3000)]), [], "less voice than is kept");
    }

    #[test]
    fn the_quiet_end_of_a_word_belongs_to_it() {
        assert_eq!(hear(&[(ROOM, 500), (VOICE, 1000), (50, 400), (ROOM, 2000)]), [(500, 1900)]);
        assert_eq!(hear(&[(ROOM, 500), (50, 5000)]), [], "alone it doesn't begin anything");
    }

    #[test]
    fn a_fan_is_not_speech_for_long_and_speech_over_it_is() {
        let mut detector = Detector::default();
        let (found, at) = feed(&mut detector, T0, &[(SILENCE, 1000), (42, 120_000)]);
        assert!(!detector.speaking());
        let fan: u64 = found.iter().map(|u| u.end_ms - u.start_ms).sum();
        assert!(fan < 25_000, "{fan} ms of a fan were taken for speech");
        let (found, _) = feed(&mut detector, at, &[(25, 2000), (42, 3000)]);
        assert_eq!(found.len(), 1);
        assert!((1900..2200).contains(&(found[0].end_ms - found[0].start_ms)), "{found:?}");
    }

    #[test]
    fn a_long_lecture_with_its_dips_is_heard_to_the_end() {
        let sentence = [(25, 240), (48, 60), (30, 300), (55, 80)];
        let lecture: Vec<_> = (0..440).flat_map(|_| sentence).collect();
        let heard = hear(&lecture);
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert!(heard[0].1 - heard[0].0 > 295_000, "{heard:?}");
    }

    #[test]
    fn when_packets_stop_the_interval_ends_with_time() {
        let mut detector = Detector::default();
        let (found, at) = feed(&mut detector, T0, &[(VOICE, 1000)]);
        assert!(found.is_empty() && detector.speaking());
        assert_eq!(detector.under_way().unwrap().end_ms, at);
        assert_eq!(detector.tick(at + HANGOVER_MS), None, "late packets may come");
        let said = detector.tick(at + HANGOVER_MS + LATE_MS).unwrap();
        assert_eq!((said.start_ms, said.end_ms, said.voiced_ms), (T0, at, 1000));
        assert_eq!(detector.tick(at + 60_000), None);
    }

    #[test]
    fn jitter_does_not_move_what_was_said_and_a_break_does() {
        let mut line = Timeline::default();
        assert_eq!(line.place(1, u32::MAX - 100, T0), T0);
        assert_eq!(line.place(1, 959 - 100, T0 + 95), T0 + 20);
        assert_eq!(line.place(1, 960 + 959 - 100, T0 + 41), T0 + 40);
        assert_eq!(line.place(2, 5, T0 + 100), T0 + 100, "the publisher came back");
        assert_eq!(line.place(2, 5 + 48_000, T0 + 9000), T0 + 9000, "after an outage");
    }

    proptest! {
        #[test]
        fn intervals_are_in_order_apart_and_long_enough(
            parts in prop::collection::vec((0u8..=127, 1u64..3000), 0..60),
        ) {
            let mut detector = Detector::default();
            let (mut found, _) = feed(&mut detector, T0, &parts);
            found.extend(detector.finish());
            for said in &found {
                prop_assert!(said.voiced_ms >= MIN_VOICE_MS);
                prop_assert!(u64::from(said.voiced_ms) <= said.end_ms - said.start_ms);
            }
            for pair in found.windows(2) {
                prop_assert!(pair[1].start_ms >= pair[0].end_ms + HANGOVER_MS - 20);
            }
        }

        #[test]
        fn any_times_and_levels_are_taken(
            levels in prop::collection::vec((any::<u64>().prop_map(|v| v >> 8), 0u32..200, any::<u8>()), 0..100),
        ) {
            let mut detector = Detector::default();
            for (at_ms, lasts_ms, level) in levels {
                detector.push(Level { at_ms, lasts_ms, level });
            }
        }
    }
}
