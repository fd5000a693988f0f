//! The microphones of one lesson: packets in, speech records out. Levels come from the
//! RFC 6464 extension, or from decoding where a publisher doesn't send it.
//!
//! The sender's own voice flag is not looked at: browsers set it on every packet unless they
//! use DTX. Nothing of the sound is kept beyond the packet that is being looked at.

use crate::derive::Derivation;
use crate::record::Behaviour;
use crate::speech::{Detector, Level, Timeline, Utterance};
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::rtp::{self, Header};
use std::collections::BTreeMap;
use uuid::Uuid;

const RATE: u32 = 48_000;

/// Longest Opus packet: 120 ms (RFC 6716 §2.1.4).
const MAX_SAMPLES: usize = 5760;

/// How sure speech is that was heard by the browser's level, and by our own: the level is of
/// the sound before coding, with all the packets that were lost.
const SURE_LEVEL: f64 = 0.9;
const SURE_DECODED: f64 = 0.8;

/// One microphone.
#[derive(Default)]
struct Ear {
    timeline: Timeline,
    detector: Detector,
    decoder: Option<opus::Decoder>,
    /// Whether the level of what is under way was decoded here.
    decoded: bool,
    /// The call that had the member on stage at some moment of what is under way.
    call: Option<Uuid>,
}

/// The microphones of one lesson.
#[derive(Default)]
pub struct Hearing {
    ears: BTreeMap<MemberId, Ear>,
    samples: Vec<i16>,
}

impl Hearing {
    /// Takes a packet of a microphone; gives the record of an interval that is over.
    pub fn packet(
        &mut self,
        lesson: &Derivation,
        track: &TrackId,
        packet: &[u8],
        now_ms: u64,
    ) -> Option<Behaviour> {
        if track.source != Source::Microphone {
            return None;
        }
        let header = Header::parse(packet)?;
        let ear = self.ears.entry(track.member.clone()).or_default();
        let at_ms = ear.timeline.place(header.ssrc, header.timestamp, now_ms);
        let payload = header.payload(packet);
        let lasts_ms = duration_ms(payload);
        let mut level = match rtp::audio_level(packet) {
            Some((level, _)) => {
                ear.decoded = false;
                level
            }
            None => {
                ear.decoded = true;
                ear.decoded_level(payload, &mut self.samples)
            }
        };
        if lesson.state().muted.contains(&track.member) {
            level = 127;
        }
        let over = ear.detector.push(Level { at_ms, lasts_ms, level });
        let record = over.and_then(|said| ear.record(lesson, &track.member, &said));
        ear.follow_stage(lesson, &track.member);
        record
    }

    /// Lets time pass; gives the records of what is over.
    pub fn tick(&mut self, lesson: &Derivation, now_ms: u64) -> Vec<Behaviour> {
        let mut out = Vec::new();
        for (member, ear) in &mut self.ears {
            ear.follow_stage(lesson, member);
            if let Some(said) = ear.detector.tick(now_ms) {
                out.extend(ear.record(lesson, member, &said));
            }
        }
        out
    }

    /// Ends what is under way of `member`, whose microphone is gone.
    pub fn gone(&mut self, lesson: &Derivation, member: &MemberId) -> Option<Behaviour> {
        let mut ear = self.ears.remove(member)?;
        let said = ear.detector.finish()?;
        ear.record(lesson, member, &said)
    }

    /// Ends all that is under way.
    pub fn finish(&mut self, lesson: &Derivation) -> Vec<Behaviour> {
        let members: Vec<_> = self.ears.keys().cloned().collect();
        members.iter().filter_map(|m| self.gone(lesson, m)).collect()
    }

    /// The records of what is under way, as they would be if it ended now.
    #[must_use]
    pub fn under_way(&self, lesson: &Derivation) -> Vec<Behaviour> {
        let spoken = self.ears.iter().filter_map(|(m, ear)| {
            let said = ear.detector.under_way()?;
            ear.record(lesson, m, &said)
        });
        spoken.collect()
    }
}

impl Ear {
    fn record(
        &self,
        lesson: &Derivation,
        member: &MemberId,
        said: &Utterance,
    ) -> Option<Behaviour> {
        let sure = if self.decoded { SURE_DECODED } else { SURE_LEVEL };
        let confidence = (sure * said.density().sqrt() * 100.0).round() / 100.0;
        lesson.speech(member, said, self.call, confidence)
    }

    /// Remembers a call as long as the interval lasts in which it was heard.
    fn follow_stage(&mut self, lesson: &Derivation, member: &MemberId) {
        let before = self.call.filter(|_| self.detector.speaking());
        self.call = lesson.call(member).or(before);
    }

    fn decoded_level(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> u8 {
        // One or two bytes are silence (DTX); so is what doesn't decode.
        const SILENT: u8 = 127;
        if payload.len() <= 2 {
            return SILENT;
        }
        if self.decoder.is_none() {
            self.decoder = opus::Decoder::new(RATE, opus::Channels::Mono)
                .inspect_err(|error| tracing::warn!(%error, "no Opus decoder to be had"))
                .ok();
        }
        let Some(decoder) = &mut self.decoder else { return SILENT };
        samples.resize(MAX_SAMPLES, 0);
        match decoder.decode(payload, samples, false) {
            Ok(count) => dbov(&samples[..count.min(MAX_SAMPLES)]),
            Err(_) => SILENT,
        }
    }
}

/// The level of `samples` as RFC 6464 §3 counts it: 0 is full scale, 127 silence.
fn dbov(samples: &[i16]) -> u8 {
    if samples.is_empty() {
        return 127;
    }
    let full = f64::from(i16::MAX);
    let energy: f64 = samples.iter().map(|&s| (f64::from(s) / full).powi(2)).sum();
    let db = 10.0 * (energy / samples.len() as f64).log10();
    // Silence is −∞, and `as` saturates.
    (-db).round().clamp(0.0, 127.0) as u8
}

/// How long an Opus packet sounds.
fn duration_ms(payload: &[u8]) -> u32 {
    let samples = opus::packet::get_nb_samples(payload, RATE).unwrap_or(960);
    u32::try_from(samples).unwrap_or(960) * 1000 / RATE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::Code;
    use crate::derive::script::*;
    use cloudschool_protocol::event::EventBody;
    use cloudschool_protocol::member::Role;

    const NOW: u64 = START + 60_000;

    fn lesson() -> Derivation {
        let mut d = derivation();
        let bodies = [
            EventBody::LessonOpened { info: info() },
            joined("li", Role::Teacher, "campus"),
            joined("wang", Role::Student, "school-01"),
            EventBody::LessonStarted { by: id("li"), session: uuid::Uuid::from_u128(5) },
        ];
        for event in events(bodies) {
            d.apply(&event).unwrap();
        }
        d
    }

    fn packet(n: u32, level: Option<u8>, payload: &[u8]) -> Vec<u8> {
        let mut p = vec![0x80, 111];
        p.extend_from_slice(&(n as u16).to_be_bytes());
        p.extend_from_slice(&(n * 960).to_be_bytes());
        p.extend_from_slice(&[0, 0, 0, 9]);
        if let Some(level) = level {
            p[0] |= 0x10;
            p.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, level, 0, 0]);
        }
        p.extend_from_slice(payload);
        p
    }

    /// TOC byte of a 20 ms packet and something behind it.
    const SOUND: &[u8] = &[0xfc, 1, 2, 3];

    fn speak(h: &mut Hearing, d: &Derivation, who: &str, from: u32, level: u8) -> Vec<Behaviour> {
        let track = format!("{who}/microphone").parse().unwrap();
        let packets = from..from + 100;
        packets
            .filter_map(|n| {
                let p = packet(n, Some(level), SOUND);
                h.packet(d, &track, &p, NOW + u64::from(n) * 20)
            })
            .collect()
    }

    #[test]
    fn a_teacher_who_speaks_gives_one_lecture_interval() {
        let (d, mut h) = (lesson(), Hearing::default());
        assert!(speak(&mut h, &d, "li", 0, 30).is_empty());
        let so_far = h.under_way(&d);
        assert_eq!(so_far[0].lasted_ms(), 2000);
        let over = speak(&mut h, &d, "li", 100, 100);
        assert_eq!(over.len(), 1);
        over[0].check().unwrap();
        assert_eq!(over[0].code, Code::T01);
        assert_eq!((over[0].start.0, over[0].lasted_ms()), (NOW, 2000));
        assert_eq!(over[0].source.confidence, Some(0.9));
        assert_eq!(over[0].id, so_far[0].id, "the same interval");
    }

    #[test]
    fn who_is_called_while_speaking_responds_and_who_is_muted_is_silent() {
        let (mut d, mut h) = (lesson(), Hearing::default());
        speak(&mut h, &d, "wang", 0, 30);
        let at = |seq: u64, body| {
            let id = uuid::Uuid::from_u128(seq.into());
            cloudschool_protocol::event::Event::new(seq, id, NOW, body)
        };
        d.apply(&at(5, EventBody::StageCalled { member: id("wang"), by: id("li") })).unwrap();
        h.tick(&d, NOW + 2000);
        d.apply(&at(6, EventBody::StageLeft { member: id("wang"), by: id("li") })).unwrap();
        let over = h.tick(&d, NOW + 5000);
        assert_eq!(over[0].code, Code::S04);
        let muted = EventBody::MemberMuted { member: id("wang"), muted: true, by: id("li") };
        d.apply(&at(7, muted)).unwrap();
        speak(&mut h, &d, "wang", 300, 20);
        assert!(h.under_way(&d).is_empty());
    }

    #[test]
    fn without_levels_the_sound_itself_is_measured() {
        let (d, mut h) = (lesson(), Hearing::default());
        let mut encoder =
            opus::Encoder::new(RATE, opus::Channels::Mono, opus::Application::Voip).unwrap();
        let track: TrackId = "li/microphone".parse().unwrap();
        for n in 0..100u32 {
            let wave = (0..960u32).map(|i| {
                let t = f64::from(n * 960 + i) / f64::from(RATE);
                ((t * 220.0 * std::f64::consts::TAU).sin() * 6000.0) as i16
            });
            let sound = encoder.encode_vec(&wave.collect::<Vec<_>>(), 400).unwrap();
            h.packet(&d, &track, &packet(n, None, &sound), NOW + u64::from(n) * 20);
        }
        let said = h.finish(&d);
        assert_eq!(said.len(), 1);
        assert!(said[0].lasted_ms() >= 1900, "{said:?}");
        assert!(said[0].source.confidence.unwrap() <= SURE_DECODED);
        for n in 0..100 {
            let silence = encoder.encode_vec(&[0; 960], 400).unwrap();
            h.packet(&d, &track, &packet(n, None, &silence), NOW + 60_000 + u64::from(n) * 20);
        }
        assert!(h.finish(&d).is_empty());
    }

    #[test]
    fn levels_are_those_of_the_rfc() {
        assert_eq!(dbov(&[i16::MAX; 960]), 0);
        assert_eq!(dbov(&[i16::MAX / 10; 960]), 20);
        assert_eq!(dbov(&[0; 960]), 127);
        assert_eq!(dbov(&[]), 127);
    }

    #[test]
    fn what_is_no_packet_is_passed_over() {
        let (d, mut h) = (lesson(), Hearing::default());
        let track = "li/microphone".parse().unwrap();
        for bytes in
            [&b""[..], b"\x80", &packet(1, None, b""), &packet(2, None, b"\xff\xff\xff\xff")]
        {
            assert!(h.packet(&d, &track, bytes, NOW).is_none());
        }
        let screen = "li/screen-audio".parse().unwrap();
        h.packet(&d, &screen, &packet(1, Some(10), SOUND), NOW);
        assert!(h.under_way(&d).is_empty());
    }
}
