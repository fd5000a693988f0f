//! A school's part of a lesson: what its node kept while the campus was away, put into the
//! recording and judged by ffprobe and ffmpeg.

mod support;

use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::media::Source;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::rtp::Header;
use cloudschool_protocol::spool::{Record, SpoolPart};
use cloudschool_recorder::backfill::{Backfills, Next};
use cloudschool_recorder::capture::{Capture, Outcome};
use cloudschool_recorder::clock::{Nanos, SECOND, ntp_add};
use cloudschool_recorder::finalise::finalise;
use cloudschool_recorder::manifest::{Manifest, TrackEntry};
use cloudschool_recorder::merge::merge;
use cloudschool_recorder::writer::Syncer;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;
use support::{MS, Media, decode_errors, ended, judge, loudness, member, track};
use uuid::Uuid;

const CLOCK: u64 = 0xed40_0000_1234_5678;
const SESSION: Uuid = Uuid::from_u128(1);

/// The lesson's begin by the recorder's wall clock, and how far the school's is ahead of it.
const ZERO: Nanos = 1_700_000_000 * SECOND;
const AHEAD: Nanos = 7 * SECOND;

/// When the line was cut.
const CUT: Range<Nanos> = 6 * SECOND..14 * SECOND;

/// Records what came over the line, with a sender report every second.
fn live(dir: &Path, syncer: &Syncer, entry: TrackEntry, media: &Media) -> TrackEntry {
    let mut capture = Capture::new(dir, syncer, media.codec, entry);
    let mut out = Outcome::default();
    let mut reported = -SECOND;
    for packet in media.packets.iter().filter(|p| !CUT.contains(&p.at)) {
        capture.packet(packet.rtp.clone(), packet.at + 60 * MS, &mut out);
        if packet.at >= reported + SECOND {
            reported = packet.at;
            let (ntp, rtp) = media.report(packet.at, CLOCK);
            capture.report(ntp, rtp, &mut out);
        }
    }
    capture.close(&mut out);
    assert!(out.failed.is_empty(), "{:?}", out.failed);
    for part in out.ended {
        part.finish().unwrap();
    }
    capture.entry
}

/// What the school's node kept, under numbers of its own, as each way has them.
fn kept(media: &Media, time: Range<Nanos>) -> Vec<u8> {
    const SHIFT: u32 = 123_456_789;
    let mut bytes = Vec::new();
    let mut reported = -SECOND;
    for packet in media.packets.iter().filter(|p| time.contains(&p.at)) {
        let at_ns = (ZERO + AHEAD + packet.at + 5 * MS) as u64;
        let header = Header::parse(&packet.rtp).unwrap();
        let mut rtp = packet.rtp.to_vec();
        rtp[2..4].copy_from_slice(&header.sequence.wrapping_add(9_999).to_be_bytes());
        rtp[4..8].copy_from_slice(&header.timestamp.wrapping_add(SHIFT).to_be_bytes());
        rtp[8..12].copy_from_slice(&77u32.to_be_bytes());
        Record::Packet { at_ns, packet: &rtp }.write(&mut bytes);
        if packet.at >= reported + SECOND {
            reported = packet.at;
            let (ntp, rtp) = media.report(packet.at, CLOCK);
            Record::Clock { at_ns, ntp, rtp: rtp.wrapping_add(SHIFT) }.write(&mut bytes);
        }
    }
    bytes
}

fn part(id: u128, media: &Media, source: Source, bytes: &[u8]) -> SpoolPart {
    SpoolPart {
        id: Uuid::from_u128(id),
        node: NodeId::new("school-01").unwrap(),
        session: SESSION,
        track: track("room", source),
        codec: media.codec,
        from_ms: 0,
        to_ms: 0,
        bytes: bytes.len() as u64,
    }
}

/// Seconds from the first packet ffprobe finds in a file to the last.
fn packets_span(file: &Path) -> f64 {
    let args = ["-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0"];
    let out = std::process::Command::new("ffprobe").args(args).arg(file).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let times: Vec<f64> =
        text.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
    times.iter().fold(f64::MIN, |a, b| a.max(*b)) - times.iter().fold(f64::MAX, |a, b| a.min(*b))
}

/// Fetches a part as over a trunk, of which every third piece is lost.
fn fetch(dir: &Path, parts: &[(SpoolPart, Vec<u8>)]) {
    let lesson = support::info("m").id;
    let (mut now, mut all) = (Instant::now(), Backfills::default());
    let told = parts.iter().map(|(part, _)| part.clone()).collect();
    let mut next = all.told(&lesson, told, |_| Some(dir.to_owned()), now);
    for n in 0.. {
        if !all.awaited(dir) {
            return;
        }
        let Some(step) = (!next.is_empty()).then(|| next.remove(0)) else {
            now += std::time::Duration::from_secs(5);
            next = all.poll(now);
            continue;
        };
        if let Next::Fetch { id, offset, .. } = step
            && n % 3 != 2
        {
            let (_, bytes) = parts.iter().find(|(part, _)| part.id == id).unwrap();
            let rest = &bytes[(offset as usize).min(bytes.len())..];
            next.extend(all.piece(id, offset, &rest[..rest.len().min(4096)], now));
        }
    }
}

#[test]
fn what_a_school_kept_is_in_its_true_place_and_nothing_is_heard_twice() {
    gstreamer::init().unwrap();
    let (dir, syncer) = (tempfile::tempdir().unwrap(), Syncer::start().unwrap());
    let voice = support::opus(31, 20);
    let picture = support::h264(32, 20, (320, 180), 30);
    let (microphone, camera) = (track("room", Source::Microphone), track("room", Source::Camera));
    let mut manifest =
        Manifest::new(SESSION, ZERO, ended("m", &[member("room", Role::Classroom)], 20.0));
    for (track, media) in [(&microphone, &voice), (&camera, &picture)] {
        let entry = manifest.track(track).clone();
        *manifest.track(track) = live(dir.path(), &syncer, entry, media);
    }
    let without = manifest.clone();
    let heard = |manifest: &Manifest| {
        let out = tempfile::tempdir().unwrap();
        finalise(dir.path(), manifest, out.path(), 1).unwrap();
        judge(out.path(), 20.0);
        loudness(&out.path().join("audio.mp4"))
    };
    let silent = |heard: &[f32], from: usize, to: usize| {
        heard[from..to].iter().filter(|level| **level < 0.05).count()
    };
    assert!(silent(&heard(&without), 650, 1350) > 650, "without it there is silence");

    let parts =
        [(1, &voice, Source::Microphone), (2, &picture, Source::Camera)].map(|(id, m, s)| {
            let bytes = kept(m, 3 * SECOND..17 * SECOND);
            (part(id, m, s, &bytes), bytes)
        });
    fetch(dir.path(), &parts);
    merge(dir.path(), &mut manifest, &syncer).unwrap();
    let heard = heard(&manifest);
    assert!(silent(&heard, 50, 1950) < 10, "no hole of more than 0.1 s in all");
    // A tone laid over itself would be louder, or softer.
    let usual = heard[300];
    let off = heard[50..1950].iter().filter(|l| (**l - usual).abs() > 0.15 * usual).count();
    assert!(off < 20, "{off} of 1900 are not as loud as {usual}");
    for (track, media) in [(&microphone, &voice), (&camera, &picture)] {
        let entry = manifest.track(track).clone();
        let backfilled = entry.parts.last().unwrap();
        let file = dir.path().join(&backfilled.file);
        assert_eq!(decode_errors(&file), "");
        let seconds = packets_span(&file);
        // A picture begins with the first keyframe in the cut: there is one every two seconds.
        assert!((6.0..8.3).contains(&seconds), "{track}: {seconds} s");
        let first = media.packets.iter().find(|p| p.at >= CUT.start).unwrap();
        let begins = backfilled.timing.media(first.at + 60 * MS).unwrap();
        assert!((-2 * SECOND - 50 * MS..=50 * MS).contains(&begins), "{track}: {begins} ns");
    }
    let clock = manifest.track(&microphone).parts.last().unwrap().timing.ntp_zero.unwrap();
    let off = cloudschool_recorder::clock::ntp_between(ntp_add(CLOCK, -60 * MS), clock);
    assert!(off.abs() < 30 * MS, "the school's wrong wall clock means nothing: {off} ns");

    // Once more changes nothing.
    let once = manifest.clone();
    merge(dir.path(), &mut manifest, &syncer).unwrap();
    assert_eq!(manifest, once);
}
