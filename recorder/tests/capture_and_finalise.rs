//! From RTP packets to a lesson that plays: the functions the recorder runs, fed faster than
//! the media plays, and judged by ffprobe and ffmpeg.

mod support;

use cloudschool_protocol::lesson::State;
use cloudschool_protocol::media::{Codec, Source, TrackId};
use cloudschool_protocol::member::Role;
use cloudschool_recorder::capture::{Capture, Outcome};
use cloudschool_recorder::clock::{Nanos, SECOND};
use cloudschool_recorder::finalise::finalise;
use cloudschool_recorder::manifest::{Manifest, TrackEntry};
use cloudschool_recorder::mkv::Reader;
use cloudschool_recorder::published::Recording;
use cloudschool_recorder::writer::Syncer;
use std::path::Path;
use support::{MS, Media, Timed, judge, member, track};
use tempfile::TempDir;
use uuid::Uuid;

const CLOCK: u64 = 0xed40_0000_1234_5678;

/// A packet on its way: when it arrives, and what.
type Arrival = (Nanos, Timed);

/// `media` published from lesson time `from` on, `delay` on its way.
fn arrivals(media: &Media, from: Nanos, delay: Nanos) -> Vec<Arrival> {
    media.packets.iter().map(|p| (from + p.at + delay, p.clone())).collect()
}

struct Lesson {
    dir: TempDir,
    syncer: Syncer,
    captures: Vec<Capture>,
}

impl Lesson {
    fn new() -> Self {
        gstreamer::init().unwrap();
        Self {
            dir: tempfile::tempdir().unwrap(),
            syncer: Syncer::start().unwrap(),
            captures: vec![],
        }
    }

    fn capture(&mut self, track: TrackId, codec: Codec) -> &mut Capture {
        let at = self.captures.iter().position(|c| c.entry.track == track);
        let at = at.unwrap_or_else(|| {
            let entry = TrackEntry { track, parts: vec![] };
            self.captures.push(Capture::new(self.dir.path(), &self.syncer, codec, entry));
            self.captures.len() - 1
        });
        &mut self.captures[at]
    }

    /// Sends `arrivals` of one track, with a sender report every second when `clock` is given:
    /// the publisher's NTP time at lesson time 0, and how late its second 0 is.
    fn send(
        &mut self,
        track: TrackId,
        media: &Media,
        mut arrivals: Vec<Arrival>,
        clock: Option<(u64, Nanos)>,
    ) {
        let capture = self.capture(track, media.codec);
        arrivals.sort_by_key(|(at, _)| *at);
        let mut reported = -SECOND;
        for (arrival, packet) in arrivals {
            let mut out = Outcome::default();
            capture.packet(packet.rtp, arrival, &mut out);
            if let Some((ntp, from)) = clock
                && packet.at >= reported + SECOND
            {
                reported = packet.at;
                let ntp = cloudschool_recorder::clock::ntp_add(ntp, from);
                let (ntp, rtp) = media.report(packet.at, ntp);
                capture.report(ntp, rtp, &mut out);
            }
            settle(out);
        }
    }

    fn finish(mut self, state: State) -> (Self, Manifest) {
        let mut manifest = Manifest::new(Uuid::from_u128(1), 0, state);
        for capture in &mut self.captures {
            let mut out = Outcome::default();
            capture.close(&mut out);
            settle(out);
            manifest.tracks.push(capture.entry.clone());
        }
        (self, manifest)
    }
}

fn settle(out: Outcome) {
    assert!(out.failed.is_empty(), "{:?}", out.failed);
    for part in out.ended {
        part.finish().unwrap();
    }
}

fn publish(dir: &Path, manifest: &Manifest, seconds: f64) -> (TempDir, Recording) {
    let out = tempfile::tempdir().unwrap();
    let recording = finalise(dir, manifest, out.path(), 1).unwrap();
    judge(out.path(), seconds);
    (out, recording)
}

fn text(dir: &Path, file: &str) -> String {
    std::fs::read_to_string(dir.join(file)).unwrap()
}

#[test]
fn a_lesson_is_published_and_plays() {
    let mut lesson = Lesson::new();
    let video = support::h264(11, 12, (320, 180), 30);
    let audio = support::opus(12, 12);
    let (camera, mic) = (track("li", Source::Camera), track("li", Source::Microphone));
    lesson.send(camera, &video, arrivals(&video, 0, 40 * MS), Some((CLOCK, 0)));
    lesson.send(mic, &audio, arrivals(&audio, 0, 20 * MS), Some((CLOCK, 0)));
    let (lesson, manifest) =
        lesson.finish(support::ended("m", &[member("li", Role::Teacher)], 12.0));
    let (out, recording) = publish(lesson.dir.path(), &manifest, 12.0);
    assert_eq!((recording.width, recording.height), (320, 180));
    assert_eq!(recording.tracks.len(), 2);
    assert_eq!(support::frame_times(&out.path().join("index.m3u8")).len(), 180);
    assert!(text(out.path(), "index.m3u8").contains("avc1.42"), "passed through as it was sent");
    // Every recorded file alone is readable, too.
    for track in &manifest.tracks {
        for part in &track.parts {
            let file = lesson.dir.path().join(&part.file);
            assert_eq!(support::decode_errors(&file), "");
        }
    }
}

#[test]
fn two_per_cent_loss_and_reordering_leave_no_decode_errors() {
    let mut lesson = Lesson::new();
    let mut seed = 7u64;
    let mut random = move |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % n
    };
    let video = support::h264(21, 20, (320, 180), 15).lose(|_| random(100) < 2);
    let audio = support::opus(22, 20).lose(|i| i % 50 == 17);
    let shuffled = |media: &Media, from| {
        let mut all = arrivals(media, from, 20 * MS);
        for (i, a) in all.iter_mut().enumerate() {
            a.0 += (i as i64 * 7919 % 13) * 10 * MS;
        }
        all
    };
    let (camera, mic) = (track("li", Source::Camera), track("li", Source::Microphone));
    lesson.send(camera, &video, shuffled(&video, SECOND), Some((CLOCK, SECOND)));
    lesson.send(mic, &audio, shuffled(&audio, 2 * SECOND), Some((CLOCK, 2 * SECOND)));
    let (lesson, manifest) =
        lesson.finish(support::ended("m", &[member("li", Role::Teacher)], 22.5));
    let part = &manifest.tracks[0].parts[0];
    assert!(part.lost_packets > 3, "nothing was lost: {part:?}");
    let (out, _) = publish(lesson.dir.path(), &manifest, 22.5);
    let frames = support::frame_times(&out.path().join("index.m3u8")).len();
    assert!(frames > 100, "only {frames} frames are left of 300");
    // Lost sound is concealed: the tone has no hole of 20 ms.
    let loud = support::loudness(&out.path().join("audio.mp4"));
    assert!(loud[100..190].iter().all(|l| *l < 0.01), "silence before the microphone");
    let holes = loud[215..2180].iter().filter(|l| **l < 0.02).count();
    assert_eq!(holes, 0, "holes in the tone");
}

#[test]
fn a_picture_that_changes_its_size_is_passed_through_in_one_track() {
    let mut lesson = Lesson::new();
    let camera = track("li", Source::Camera);
    let small = support::h264(31, 4, (320, 180), 30);
    let large = support::h264(31, 4, (640, 360), 30);
    lesson.send(camera.clone(), &small, arrivals(&small, 0, 0), None);
    // The same stream goes on: numbers and timestamps continue.
    let base = rtp_of(small.packets.last().unwrap());
    let shift = (60_000u32.wrapping_mul(6), base.sequence.wrapping_add(1));
    let first = rtp_of(&large.packets[0]).sequence;
    let mut continued = vec![];
    for (arrival, p) in arrivals(&large, 4 * SECOND, 0) {
        let mut bytes = p.rtp.to_vec();
        let header = rtp_of(&p);
        cloudschool_protocol::rtp::set_timestamp(
            &mut bytes,
            header.timestamp.wrapping_add(shift.0),
        );
        let sequence = header.sequence.wrapping_sub(first).wrapping_add(shift.1);
        cloudschool_protocol::rtp::set_sequence(&mut bytes, sequence);
        continued.push((arrival, Timed { at: p.at, rtp: bytes.into() }));
    }
    lesson.send(camera, &large, continued, None);
    let audio = support::opus(32, 8);
    lesson.send(track("li", Source::Microphone), &audio, arrivals(&audio, 0, 0), None);
    let (lesson, manifest) =
        lesson.finish(support::ended("m", &[member("li", Role::Teacher)], 8.0));
    assert_eq!(manifest.tracks[0].parts.len(), 2);
    let (out, recording) = publish(lesson.dir.path(), &manifest, 8.0);
    assert_eq!((recording.width, recording.height), (640, 360));
    assert_eq!(support::frame_times(&out.path().join("index.m3u8")).len(), 120);
    assert!(text(out.path(), "index.m3u8").contains("avc3.42"));
    assert!(!text(out.path(), "video.m3u8").contains("DISCONTINUITY"));
}

fn rtp_of(p: &Timed) -> cloudschool_protocol::rtp::Header {
    cloudschool_protocol::rtp::Header::parse(&p.rtp).unwrap()
}

#[test]
fn a_publisher_that_comes_back_goes_on_in_a_new_file() {
    let mut lesson = Lesson::new();
    let camera = track("li", Source::Camera);
    for (ssrc, from) in [(41, 0), (42, 8 * SECOND)] {
        let video = support::h264(ssrc, 5, (320, 180), 30);
        lesson.send(camera.clone(), &video, arrivals(&video, from, 10 * MS), Some((CLOCK, from)));
    }
    let (lesson, manifest) =
        lesson.finish(support::ended("m", &[member("li", Role::Teacher)], 14.0));
    assert_eq!(manifest.tracks[0].parts.len(), 2);
    let (out, recording) = publish(lesson.dir.path(), &manifest, 14.0);
    let start = recording.tracks[0].parts[1].start_ms;
    assert!((start - 8010).abs() < 20, "the second part begins at {start} ms");
    let times = support::frame_times(&out.path().join("index.m3u8"));
    assert!(times.iter().any(|t| (t - 8.0).abs() < 0.1));
}

/// What a browser's camera does: pictures come a few milliseconds early or late, and half as
/// many in the dark. However the times fall, a tool that checks the lesson finds no fault.
#[test]
fn jitter_and_a_changing_picture_rate_give_no_complaints() {
    let video = support::h264(55, 16, (320, 180), 45);
    for (n, offset) in [0, 33, 50].into_iter().enumerate() {
        let mut lesson = Lesson::new();
        let mut packets = vec![];
        for p in &video.packets {
            let picture = (p.at * 15 + SECOND / 2) / SECOND;
            let regular = if picture < 120 {
                picture * SECOND / 15
            } else {
                8 * SECOND + (picture - 120) * SECOND / 30
            };
            let at = regular + (picture * 7919 % 13 - 6) * MS * n as i64 / 2 + offset * MS;
            let mut rtp = p.rtp.to_vec();
            let ticks = at * 90_000 / SECOND;
            let timestamp = video.base.wrapping_add(ticks as u32);
            cloudschool_protocol::rtp::set_timestamp(&mut rtp, timestamp);
            packets.push((at, Timed { at, rtp: rtp.into() }));
        }
        lesson.send(track("li", Source::Camera), &video, packets, None);
        let state = support::ended("m", &[member("li", Role::Teacher)], 12.5);
        let (lesson, manifest) = lesson.finish(state);
        let (out, _) = publish(lesson.dir.path(), &manifest, 12.5);
        assert_eq!(support::frame_times(&out.path().join("index.m3u8")).len(), 240);
    }
}

#[test]
fn vp8_is_published_as_h264() {
    let mut lesson = Lesson::new();
    let video = support::vp8(51, 5, (320, 240), 30);
    lesson.send(track("li", Source::Camera), &video, arrivals(&video, 0, 0), None);
    let (lesson, manifest) =
        lesson.finish(support::ended("m", &[member("li", Role::Teacher)], 5.0));
    let (out, _) = publish(lesson.dir.path(), &manifest, 5.0);
    assert!(text(out.path(), "index.m3u8").contains("avc1."));
    let frames = support::frame_times(&out.path().join("index.m3u8")).len();
    assert_eq!(frames, 75);
}

#[test]
fn a_lesson_nobody_published_in_still_has_its_length() {
    let lesson = Lesson::new();
    let (lesson, manifest) = lesson.finish(support::ended("m", &[], 7.3));
    publish(lesson.dir.path(), &manifest, 7.3);
}

/// A white picture and a tone begin together, three seconds in; the picture takes 150 ms
/// longer to arrive.
#[test]
fn picture_and_sound_of_one_member_line_up_although_one_travels_slower() {
    let picture = |pattern| {
        format!(
            "videotestsrc num-buffers=45 pattern={pattern} ! \
             video/x-raw,width=160,height=120,framerate=15/1,format=I420 ! c."
        )
    };
    let video = support::rtp(
        Codec::H264,
        61,
        &format!(
            "{} {} concat name=c ! openh264enc gop-size=30 ! \
             rtph264pay config-interval=-1 aggregate-mode=zero-latency",
            picture("black"),
            picture("white")
        ),
    );
    let sound = |volume| {
        format!(
            "audiotestsrc num-buffers=150 samplesperbuffer=960 volume={volume} ! \
             audio/x-raw,rate=48000,channels=1 ! c."
        )
    };
    let audio = support::rtp(
        Codec::Opus,
        62,
        &format!("{} {} concat name=c ! opusenc ! rtpopuspay", sound(0.0), sound(0.5)),
    );
    let mut lesson = Lesson::new();
    let from = 500 * MS;
    let clock = Some((CLOCK, from));
    lesson.send(track("li", Source::Camera), &video, arrivals(&video, from, 170 * MS), clock);
    lesson.send(track("li", Source::Microphone), &audio, arrivals(&audio, from, 20 * MS), clock);
    let (lesson, manifest) =
        lesson.finish(support::ended("m", &[member("li", Role::Teacher)], 6.5));
    let (out, _) = publish(lesson.dir.path(), &manifest, 6.5);
    let flash = support::brightness(&out.path().join("video.mp4"));
    let flash = flash.iter().find(|(_, level)| *level > 150).unwrap().0;
    let tone = support::loudness(&out.path().join("audio.mp4"));
    let tone = tone.iter().position(|l| *l > 0.1).unwrap() as f64 / 100.0;
    assert!((flash - tone).abs() < 0.07, "flash at {flash} s, tone at {tone} s");
    assert!((tone - 3.52).abs() < 0.05, "tone at {tone} s of the lesson");
}

#[test]
fn a_cut_off_recording_keeps_what_came_up_to_a_second_before() {
    let mut lesson = Lesson::new();
    let video = support::h264(71, 10, (320, 180), 1000);
    let camera = track("li", Source::Camera);
    let capture = lesson.capture(camera, Codec::H264);
    for (arrival, packet) in arrivals(&video, 0, 0) {
        let mut out = Outcome::default();
        capture.packet(packet.rtp, arrival, &mut out);
        settle(out);
    }
    let file = lesson.dir.path().join(&lesson.captures[0].entry.parts[0].file);
    // Nobody ends the file: what is in it now is what a killed process leaves.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let last = Reader::open(&file).unwrap().index.blocks.last().map_or(0, |b| b.time);
        if last >= 9 * SECOND {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "only {} s are in the file", last / SECOND);
        std::thread::yield_now();
    }
    let copy = lesson.dir.path().join("copy.mkv");
    std::fs::copy(&file, &copy).unwrap();
    assert!(support::frame_times(&copy).last().copied().unwrap_or(0.0) > 8.9);
}
