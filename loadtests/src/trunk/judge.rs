//! What viewers got, in figures: pure functions of journals, the published media, and the
//! times at which the line was away.

use crate::forward::journal::{FrameSeen, Journal, Mapping, OTHER, SoundSeen};
use crate::forward::sdp::Kind;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

const MS: f64 = 1e6;
const VIDEO_CLOCK: f64 = 90_000.0;
const SOUND_CLOCK: f64 = 48_000.0;

/// The teacher among the publishers.
pub const TEACHER: u8 = 0;

/// What is judged, nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub from: u64,
    pub until: u64,
    /// When the line was away.
    pub cuts: Vec<(u64, u64)>,
    /// What the links alone take.
    pub one_way: u64,
    /// In time is what is complete within this beyond that.
    pub in_time: u64,
}

impl Span {
    /// Whether what was sent then counts: it was neither sent into the outage nor under way
    /// when it began.
    fn counts(&self, sent_ns: u64) -> bool {
        let lost = |(from, to): &(u64, u64)| sent_ns + self.one_way >= *from && sent_ns < *to;
        (self.from..self.until).contains(&sent_ns) && !self.cuts.iter().any(lost)
    }

    fn is_in_time(&self, sent_ns: u64, at_ns: u64) -> bool {
        at_ns.saturating_sub(sent_ns) <= self.one_way + self.in_time
    }
}

/// When each frame and packet of sound of one publisher was sent, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    pub frames: BTreeMap<u32, (u64, bool)>,
    pub sounds: BTreeMap<u32, u64>,
}

impl Published {
    /// What `source` published as far as anyone saw it, and what must have been in between: both
    /// come at an even pace.
    #[must_use]
    pub fn of<'a>(source: u8, journals: impl Iterator<Item = &'a Journal>) -> Self {
        let mut published = Self::default();
        for journal in journals {
            for f in journal.frames.iter().filter(|f| f.source == source) {
                published.frames.insert(f.number, (f.sent_ns, f.key));
            }
            for s in journal.sounds.iter().filter(|s| s.source == source) {
                published.sounds.insert(s.number, s.sent_ns);
            }
        }
        fill(&mut published.sounds, |sent_ns| sent_ns, |sent_ns| sent_ns);
        fill(&mut published.frames, |(sent_ns, _)| sent_ns, |sent_ns| (sent_ns, false));
        published
    }
}

fn fill<T: Copy>(known: &mut BTreeMap<u32, T>, ns: fn(T) -> u64, made: fn(u64) -> T) {
    let pairs: Vec<_> = known.iter().map(|(n, value)| (*n, ns(*value))).collect();
    for pair in pairs.windows(2) {
        let [(before, from), (after, to)] = pair else { continue };
        let step = to.saturating_sub(*from) / u64::from(after - before);
        for missing in before + 1..*after {
            known.insert(missing, made(from + step * u64::from(missing - before)));
        }
    }
}

/// What one viewer got of one publisher.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Got {
    pub audio_published: usize,
    pub audio_in_time: f64,
    pub video_published: usize,
    /// Complete and decodable in time.
    pub video_in_time: f64,
    /// Complete in time, whether or not what they refer to was.
    pub video_complete_in_time: f64,
    /// From sending until complete; what never was counts as the longest.
    pub frame_p50_ms: f64,
    pub frame_p95_ms: f64,
    pub frame_p99_ms: f64,
    pub keyframes: usize,
    pub keyframe_p95_ms: f64,
    /// Of all packets, over what the links alone take.
    pub added_latency_p50_ms: f64,
    pub added_latency_p99_ms: f64,
    /// How far apart sound and picture are when played by their sender reports.
    pub lip_sync_ms: Option<f64>,
    /// After each outage, until the first that is in time again; `None` when there was none.
    pub resume_audio_ms: Vec<Option<f64>>,
    pub resume_picture_ms: Vec<Option<f64>>,
    /// IP bytes of the publisher's packets.
    pub media_ip_bytes: u64,
    /// IP bytes of everything, feedback and padding included.
    pub ip_bytes: u64,
    /// Times the layer changed that was shown.
    pub layer_changes: usize,
}

/// Judges what `journals`, the lines of one viewer, say of `source`.
#[must_use]
pub fn judge(source: u8, journals: &[(Kind, Journal)], published: &Published, span: &Span) -> Got {
    let lines = || journals.iter().map(|(_, journal)| journal);
    let sounds: HashMap<u32, SoundSeen> = first(
        lines().flat_map(|j| &j.sounds).filter(|s| s.source == source).map(|s| (s.number, *s)),
        |s| s.at_ns,
    );
    let frames = || lines().flat_map(|j| &j.frames).filter(|f| f.source == source);
    let whole = first(frames().map(|f| (f.number, *f)), |f| f.whole_ns);
    let shown = first(frames().filter(|f| f.decodable_ns.is_some()).map(|f| (f.number, *f)), |f| {
        f.decodable_ns.unwrap_or(u64::MAX)
    });

    let audio: Vec<_> = published.sounds.iter().filter(|(_, sent)| span.counts(**sent)).collect();
    let heard = audio.iter().filter(|(number, sent)| {
        sounds.get(number).is_some_and(|s| span.is_in_time(**sent, s.at_ns))
    });
    let video: Vec<_> =
        published.frames.iter().filter(|(_, (sent, _))| span.counts(*sent)).collect();
    let seen = video.iter().filter(|(number, (sent, _))| {
        let at = shown.get(number).and_then(|f| f.decodable_ns);
        at.is_some_and(|at| span.is_in_time(*sent, at))
    });
    let complete = video.iter().filter(|(number, (sent, _))| {
        whole.get(number).is_some_and(|f| span.is_in_time(*sent, f.whole_ns))
    });
    let wait = |(number, (sent, _)): &(&u32, &(u64, bool))| {
        let at = whole.get(number).map(|f| f.whole_ns.saturating_sub(*sent));
        at.map_or(f64::INFINITY, |ns| ns as f64 / MS)
    };
    let waits = sorted(video.iter().map(wait));
    let keys = sorted(video.iter().filter(|(_, (_, key))| *key).map(wait));
    let added = sorted(lines().flat_map(|j| &j.packets).filter_map(|p| {
        let mine = p.source == source && span.counts(p.sent_ns);
        mine.then(|| (p.at_ns.saturating_sub(p.sent_ns) as f64 - span.one_way as f64) / MS)
    }));
    let packets = || {
        let within = |at: u64| (span.from..span.until).contains(&at);
        lines().flat_map(|j| &j.packets).filter(move |p| within(p.at_ns))
    };
    let bytes = |ours: bool| -> u64 {
        let wanted = packets().filter(|p| p.source == source || !ours && p.source == OTHER);
        wanted.map(|p| u64::from(p.ip_bytes)).sum()
    };
    Got {
        audio_published: audio.len(),
        audio_in_time: share(heard.count(), audio.len()),
        video_published: video.len(),
        video_in_time: share(seen.count(), video.len()),
        video_complete_in_time: share(complete.count(), video.len()),
        frame_p50_ms: at(&waits, 0.5),
        frame_p95_ms: at(&waits, 0.95),
        frame_p99_ms: at(&waits, 0.99),
        keyframes: keys.len(),
        keyframe_p95_ms: at(&keys, 0.95),
        added_latency_p50_ms: at(&added, 0.5),
        added_latency_p99_ms: at(&added, 0.99),
        lip_sync_ms: lip_sync(source, journals, span),
        resume_audio_ms: span
            .cuts
            .iter()
            .map(|(_, mended)| {
                let back = sounds.values().filter(|s| span.is_in_time(s.sent_ns, s.at_ns));
                resumed(back.map(|s| s.at_ns), *mended)
            })
            .collect(),
        resume_picture_ms: span
            .cuts
            .iter()
            .map(|(_, mended)| {
                let back = shown.values().filter_map(|f| Some((f.sent_ns, f.decodable_ns?)));
                let back = back.filter(|(sent, at)| span.is_in_time(*sent, *at));
                resumed(back.map(|(_, at)| at), *mended)
            })
            .collect(),
        media_ip_bytes: bytes(true),
        ip_bytes: bytes(false),
        layer_changes: layers(&shown, span).windows(2).filter(|w| w[0].1 != w[1].1).count(),
    }
}

/// What of `source`'s sound was not in time: when it was sent, in seconds of the span, and after
/// how many ms it came, if it did.
#[must_use]
pub fn sound_missed(
    source: u8,
    journals: &[(Kind, Journal)],
    published: &Published,
    span: &Span,
) -> Vec<(f64, Option<f64>)> {
    let sounds = journals.iter().flat_map(|(_, j)| &j.sounds).filter(|s| s.source == source);
    let came = first(sounds.map(|s| (s.number, s.at_ns)), |at| *at);
    missed(published.sounds.iter().map(|(number, sent)| (*sent, came.get(number))), span)
}

/// The same of frames that could be shown.
#[must_use]
pub fn frames_missed(
    source: u8,
    journals: &[(Kind, Journal)],
    published: &Published,
    span: &Span,
) -> Vec<(f64, Option<f64>)> {
    let frames = journals.iter().flat_map(|(_, j)| &j.frames).filter(|f| f.source == source);
    let shown = first(frames.filter_map(|f| Some((f.number, f.decodable_ns?))), |at| *at);
    missed(published.frames.iter().map(|(number, (sent, _))| (*sent, shown.get(number))), span)
}

fn missed<'a>(
    all: impl Iterator<Item = (u64, Option<&'a u64>)>,
    span: &Span,
) -> Vec<(f64, Option<f64>)> {
    let late = all.filter(|(sent, at)| {
        span.counts(*sent) && !at.is_some_and(|at| span.is_in_time(*sent, *at))
    });
    let told = late.map(|(sent, at)| {
        let waited = at.map(|at| at.saturating_sub(sent) as f64 / MS);
        ((sent - span.from) as f64 / 1e9, waited)
    });
    told.collect()
}

/// The layer of each frame that was shown, by the time it was.
fn layers(shown: &HashMap<u32, FrameSeen>, span: &Span) -> Vec<(u64, u8)> {
    let mut layers: Vec<_> = shown
        .values()
        .filter(|f| (span.from..span.until).contains(&f.sent_ns))
        .filter_map(|f| Some((f.decodable_ns?, f.layer)))
        .collect();
    layers.sort_unstable();
    layers
}

/// Which layer a viewer could show over time: since when, in seconds of the span, which.
#[must_use]
pub fn layers_shown(source: u8, journals: &[(Kind, Journal)], span: &Span) -> Vec<(f64, u8)> {
    let frames = journals.iter().flat_map(|(_, j)| &j.frames);
    let mine = frames.filter(|f| f.source == source && f.decodable_ns.is_some());
    let shown = first(mine.map(|f| (f.number, *f)), |f| f.decodable_ns.unwrap_or(u64::MAX));
    let mut changes: Vec<(f64, u8)> = Vec::new();
    for (at, layer) in layers(&shown, span) {
        if changes.last().is_none_or(|(_, last)| *last != layer) {
            changes.push((at.saturating_sub(span.from) as f64 / 1e9, layer));
        }
    }
    changes
}

/// The longest time nothing was heard of `source`, ms.
#[must_use]
pub fn longest_silence(source: u8, journals: &[(Kind, Journal)], span: &Span) -> Option<f64> {
    let sounds = journals.iter().flat_map(|(_, j)| &j.sounds);
    let within = |s: &&SoundSeen| s.source == source && (span.from..span.until).contains(&s.at_ns);
    let mut heard: Vec<u64> = sounds.filter(within).map(|s| s.at_ns).collect();
    heard.sort_unstable();
    let ends = [*heard.first()? - span.from, span.until - heard.last()?];
    let gaps = heard.windows(2).map(|w| w[1] - w[0]).chain(ends);
    gaps.max().map(|ns| ns as f64 / MS)
}

/// The longest time without a new frame of `source` that could be shown, ms.
#[must_use]
pub fn longest_freeze(source: u8, journals: &[(Kind, Journal)], span: &Span) -> Option<f64> {
    let frames = journals.iter().flat_map(|(_, j)| &j.frames).filter(|f| f.source == source);
    let within = |at: &u64| (span.from..span.until).contains(at);
    let mut shown: Vec<u64> = frames.filter_map(|f| f.decodable_ns).filter(within).collect();
    shown.sort_unstable();
    let ends = [*shown.first()? - span.from, span.until - shown.last()?];
    let gaps = shown.windows(2).map(|w| w[1] - w[0]).chain(ends);
    gaps.max().map(|ns| ns as f64 / MS)
}

/// The soonest of each number.
fn first<T: Copy>(
    all: impl Iterator<Item = (u32, T)>,
    when: impl Fn(&T) -> u64,
) -> HashMap<u32, T> {
    let mut soonest: HashMap<u32, T> = HashMap::new();
    for (number, one) in all {
        let known = soonest.entry(number).or_insert(one);
        if when(&one) < when(known) {
            *known = one;
        }
    }
    soonest
}

fn resumed(back: impl Iterator<Item = u64>, mended: u64) -> Option<f64> {
    let first = back.filter(|at| *at >= mended).min()?;
    Some((first - mended) as f64 / MS)
}

/// 99th percentile over the sender reports of how far the players' idea of when a sound and a
/// picture belong together is from when they were sent, ms.
fn lip_sync(source: u8, journals: &[(Kind, Journal)], span: &Span) -> Option<f64> {
    let video = skews(journals, span, VIDEO_CLOCK, |j| {
        let mine = j.frames.iter().filter(|f| f.source == source);
        mine.map(|f| (f.timestamp, f.sent_ns, f.whole_ns)).collect()
    });
    let sound = skews(journals, span, SOUND_CLOCK, |j| {
        let mine = j.sounds.iter().filter(|s| s.source == source);
        mine.map(|s| (s.timestamp, s.sent_ns, s.at_ns)).collect()
    });
    let apart = sound.iter().filter_map(|(at, skew)| {
        let newest = video.iter().rev().find(|(v, _)| v <= at).or_else(|| video.first())?;
        Some((skew - newest.1).abs() / MS)
    });
    let apart = sorted(apart);
    (!apart.is_empty()).then(|| at(&apart, 0.99))
}

/// For each sender report: when it came, and by how much the time it gives to what was sent
/// around it differs from when that was sent, ns.
fn skews(
    journals: &[(Kind, Journal)],
    span: &Span,
    clock: f64,
    samples: impl Fn(&Journal) -> Vec<(u32, u64, u64)>,
) -> Vec<(u64, f64)> {
    let mut skews = Vec::new();
    for (_, journal) in journals {
        let samples = samples(journal);
        for Mapping { ntp, rtp, at_ns } in &journal.mappings {
            if !(span.from..span.until).contains(at_ns) {
                continue;
            }
            // The media that came last before the report: it has the timeline it speaks of.
            let near = samples.iter().rev().find(|(_, _, came)| came <= at_ns);
            let Some((timestamp, sent_ns, _)) = near else { continue };
            let later = f64::from(timestamp.wrapping_sub(*rtp) as i32) / clock * 1e9;
            skews.push((*at_ns, since_1970(*ntp) + later - *sent_ns as f64));
        }
    }
    skews.sort_by_key(|(at, _)| *at);
    skews
}

/// NTP's 32.32 seconds since 1900 as nanoseconds since 1970.
fn since_1970(ntp: u64) -> f64 {
    const FROM_1900_TO_1970: u64 = 2_208_988_800;
    let (seconds, rest) = (ntp >> 32, ntp & 0xffff_ffff);
    let whole = seconds.saturating_sub(FROM_1900_TO_1970) * 1_000_000_000;
    (whole + ((rest * 1_000_000_000) >> 32)) as f64
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// A quantile of what is in order.
#[must_use]
pub fn at(sorted: &[f64], share: f64) -> f64 {
    let place = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

fn share(part: usize, all: usize) -> f64 {
    if all == 0 { f64::NAN } else { part as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::clock::ntp;
    use crate::forward::journal::PacketSeen;

    const MILLI: u64 = 1_000_000;
    const START: u64 = 1_700_000_000_000_000_000;

    fn span(cuts: &[(u64, u64)]) -> Span {
        Span {
            from: START,
            until: START + 4000 * MILLI,
            cuts: cuts.iter().map(|(a, b)| (START + a * MILLI, START + b * MILLI)).collect(),
            one_way: 40 * MILLI,
            in_time: 400 * MILLI,
        }
    }

    /// A frame every 40 ms and a sound every 20; each comes after `wait` ms, or not at all.
    fn lesson(wait: impl Fn(u64) -> Option<u64>) -> Vec<(Kind, Journal)> {
        let (mut video, mut audio) = (Journal::default(), Journal::default());
        for n in 0..100u64 {
            let sent = START + n * 40 * MILLI;
            let Some(ms) = wait(n * 40) else { continue };
            let at = sent + ms * MILLI;
            video.frames.push(FrameSeen {
                source: TEACHER,
                layer: 0,
                number: n as u32,
                key: n % 25 == 0,
                timestamp: n as u32 * 3600,
                sent_ns: sent,
                whole_ns: at,
                decodable_ns: Some(at),
            });
            video.packets.push(PacketSeen {
                source: TEACHER,
                ip_bytes: 1000,
                sent_ns: sent,
                at_ns: at,
            });
        }
        for n in 0..200u64 {
            let sent = START + n * 20 * MILLI;
            let Some(ms) = wait(n * 20) else { continue };
            audio.sounds.push(SoundSeen {
                source: TEACHER,
                number: n as u32,
                timestamp: n as u32 * 960,
                sent_ns: sent,
                at_ns: sent + ms * MILLI,
            });
        }
        vec![(Kind::Video, video), (Kind::Audio, audio)]
    }

    fn published(journals: &[(Kind, Journal)]) -> Published {
        Published::of(TEACHER, journals.iter().map(|(_, j)| j))
    }

    #[test]
    fn what_comes_within_the_limit_over_the_links_delay_is_in_time() {
        let all = published(&lesson(|_| Some(1)));
        let got =
            judge(TEACHER, &lesson(|ms| Some(if ms < 2000 { 440 } else { 441 })), &all, &span(&[]));
        assert_eq!((got.audio_published, got.video_published), (200, 100));
        assert_eq!((got.audio_in_time, got.video_in_time), (0.5, 0.5));
        assert_eq!((got.frame_p50_ms, got.frame_p95_ms, got.keyframes), (440.0, 441.0, 4));
        assert_eq!(got.added_latency_p50_ms, 400.0);
    }

    #[test]
    fn what_never_comes_counts_and_is_taken_to_have_been_sent_in_between() {
        let all = published(&lesson(|_| Some(1)));
        let lost = lesson(|ms| (ms % 400 != 200).then_some(50));
        let filled = published(&lost);
        assert_eq!(filled.sounds, all.sounds, "the pace is even");
        let times = |p: &Published| p.frames.values().map(|(ns, _)| *ns).collect::<Vec<_>>();
        assert_eq!(times(&filled), times(&all));
        let got = judge(TEACHER, &lost, &all, &span(&[]));
        assert_eq!((got.audio_in_time, got.video_in_time), (0.95, 0.9));
        assert_eq!(got.frame_p95_ms, f64::INFINITY);
        let sounds = sound_missed(TEACHER, &lost, &all, &span(&[]));
        assert_eq!(sounds[..2], [(0.2, None), (0.6, None)]);
        let late = lesson(|ms| Some(if ms == 1200 { 500 } else { 40 }));
        assert_eq!(frames_missed(TEACHER, &late, &all, &span(&[])), [(1.2, Some(500.0))]);
    }

    #[test]
    fn an_outage_is_left_out_and_what_follows_it_is_timed() {
        let all = published(&lesson(|_| Some(1)));
        let cut = lesson(|ms| (!(1000..2200).contains(&ms)).then_some(60));
        let got = judge(TEACHER, &cut, &all, &span(&[(1000, 2000)]));
        assert!(got.audio_in_time < 1.0, "what was sent after the line was back is missed");
        assert_eq!(got.resume_audio_ms, [Some(260.0)]);
        assert_eq!(got.resume_picture_ms, [Some(260.0)]);
        let back = lesson(|ms| (!(960..2000).contains(&ms)).then_some(60));
        let got = judge(TEACHER, &back, &all, &span(&[(1000, 2000)]));
        assert_eq!((got.audio_in_time, got.video_in_time), (1.0, 1.0));
        assert_eq!(longest_silence(TEACHER, &back, &span(&[])), Some(1060.0));
    }

    #[test]
    fn what_is_back_but_old_is_not_back() {
        let all = published(&lesson(|_| Some(1)));
        let stale = lesson(|ms| match ms {
            0..1000 => Some(60),
            1000..2000 => Some(2100 - ms),
            2000..2500 => None,
            _ => Some(60),
        });
        let got = judge(TEACHER, &stale, &all, &span(&[(1000, 2000)]));
        // Sent at 1660 it comes at 2100, and that is in time; what is older is not.
        assert_eq!(got.resume_audio_ms, [Some(100.0)]);
        let older = lesson(|ms| match ms {
            0..1000 => Some(60),
            1000..1600 => Some(2100 - ms),
            1600..2500 => None,
            _ => Some(60),
        });
        let got = judge(TEACHER, &older, &all, &span(&[(1000, 2000)]));
        assert_eq!(got.resume_audio_ms, [Some(560.0)]);
    }

    #[test]
    fn sound_and_picture_are_compared_by_their_sender_reports() {
        let mut journals = lesson(|_| Some(50));
        for ms in [1000u64, 2000, 3000] {
            let at_ns = START + (ms + 100) * MILLI;
            let ntp = ntp(START + ms * MILLI);
            let of = |clock: u64| (ms * clock / 1000) as u32;
            journals[0].1.mappings.push(Mapping { ntp, rtp: of(90_000), at_ns });
            // The report of the sound is 30 ms off.
            let rtp = of(48_000) + 30 * 48;
            journals[1].1.mappings.push(Mapping { ntp, rtp, at_ns });
        }
        let all = published(&journals);
        let apart = judge(TEACHER, &journals, &all, &span(&[])).lip_sync_ms.unwrap();
        assert!((apart - 30.0).abs() < 0.1, "{apart} ms");
    }
}
