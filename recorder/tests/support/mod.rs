//! Real media for tests: GStreamer encodes test pictures and sounds, faster than they play,
//! into RTP as a browser would send it.
#![allow(dead_code)]

use bytes::Bytes;
use cloudschool_protocol::id::{LessonId, MemberId, NodeId, SchoolId};
use cloudschool_protocol::lesson::{LessonInfo, State};
use cloudschool_protocol::media::{Codec, Source, TrackId};
use cloudschool_protocol::member::{Member, Role};
use cloudschool_protocol::rtp;
use cloudschool_recorder::clock::{MILLI, Nanos, SECOND, ntp_add};
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use std::path::Path;
use std::process::Command;

/// One RTP packet and when it was captured, on the publisher's own time line.
#[derive(Clone, Debug)]
pub struct Timed {
    pub at: Nanos,
    pub rtp: Bytes,
}

/// Some media a publisher sends, from its second 0 on.
pub struct Media {
    pub codec: Codec,
    pub packets: Vec<Timed>,
    /// RTP timestamp of second 0.
    pub base: u32,
}

impl Media {
    /// Sender reports of a publisher whose clock said `ntp_zero` at its second 0.
    pub fn report(&self, at: Nanos, ntp_zero: u64) -> (u64, u32) {
        let ticks = at * i64::from(self.codec.clock_rate()) / SECOND;
        (ntp_add(ntp_zero, at), self.base.wrapping_add(ticks as u32))
    }

    pub fn lose(mut self, mut lost: impl FnMut(usize) -> bool) -> Self {
        let mut n = 0;
        self.packets.retain(|_| {
            n += 1;
            !lost(n - 1)
        });
        self
    }
}

/// Encodes `description`, which ends in an RTP payloader, and gives every packet.
pub fn rtp(codec: Codec, ssrc: u32, description: &str) -> Media {
    gst::init().unwrap();
    let base = ssrc.wrapping_mul(2_654_435_761);
    let pt = codec.payload_type();
    let pipeline = gst::parse::launch(&format!(
        "{description} pt={pt} ssrc={ssrc} timestamp-offset={base} seqnum-offset={} mtu=1200 ! \
         appsink name=out sync=false",
        ssrc % 65_000
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut packets = vec![];
    while let Ok(sample) = sink.pull_sample() {
        let rtp = Bytes::copy_from_slice(&sample.buffer().unwrap().map_readable().unwrap());
        let timestamp = rtp::Header::parse(&rtp).unwrap().timestamp;
        let ticks = i64::from(timestamp.wrapping_sub(base) as i32);
        packets.push(Timed { at: ticks * SECOND / i64::from(codec.clock_rate()), rtp });
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(packets.len() > 10, "the encoder gave {} packets", packets.len());
    Media { codec, packets, base }
}

/// A moving test picture: 15 pictures a second, a keyframe every `gop` frames.
pub fn h264(ssrc: u32, seconds: u32, size: (u32, u32), gop: u32) -> Media {
    h264_of("ball", ssrc, seconds, size, gop)
}

/// The same of another of `videotestsrc`'s patterns.
pub fn h264_of(pattern: &str, ssrc: u32, seconds: u32, size: (u32, u32), gop: u32) -> Media {
    let (w, h) = size;
    rtp(
        Codec::H264,
        ssrc,
        &format!(
            "videotestsrc num-buffers={} pattern={pattern} ! \
             video/x-raw,width={w},height={h},framerate=15/1,format=I420 ! \
             openh264enc bitrate=500000 gop-size={gop} ! \
             rtph264pay config-interval=-1 aggregate-mode=zero-latency",
            seconds * 15
        ),
    )
}

pub fn vp8(ssrc: u32, seconds: u32, size: (u32, u32), gop: u32) -> Media {
    let (w, h) = size;
    rtp(
        Codec::Vp8,
        ssrc,
        &format!(
            "videotestsrc num-buffers={} pattern=ball ! \
             video/x-raw,width={w},height={h},framerate=15/1,format=I420 ! \
             vp8enc deadline=1 cpu-used=8 target-bitrate=500000 keyframe-max-dist={gop} ! rtpvp8pay",
            seconds * 15
        ),
    )
}

/// A tone.
pub fn opus(ssrc: u32, seconds: u32) -> Media {
    rtp(
        Codec::Opus,
        ssrc,
        &format!(
            "audiotestsrc num-buffers={} samplesperbuffer=960 freq=440 volume=0.3 ! \
             audio/x-raw,rate=48000,channels=1 ! opusenc frame-size=20 inband-fec=true \
             packet-loss-percentage=5 ! rtpopuspay",
            seconds * 50
        ),
    )
}

pub fn member(id: &str, role: Role) -> Member {
    Member {
        id: MemberId::new(id).unwrap(),
        name: format!("{id} 老师"),
        role,
        school: SchoolId::new("campus").unwrap(),
        node: NodeId::new("campus").unwrap(),
    }
}

pub fn info(id: &str) -> LessonInfo {
    LessonInfo {
        id: LessonId::new(id).unwrap(),
        title: "二次函数的图像".into(),
        subject: "数学".into(),
        grade: "九年级".into(),
        teacher: "李老师".into(),
        campus: SchoolId::new("campus").unwrap(),
        schools: vec![SchoolId::new("school-01").unwrap()],
        school_names: Default::default(),
        planned_start_ms: None,
        planned_minutes: None,
        code: None,
    }
}

/// A lesson `seconds` long with these members, over.
pub fn ended(id: &str, members: &[Member], seconds: f64) -> State {
    let mut state = State::new(info(id));
    state.members = members.iter().map(|m| (m.id.clone(), m.clone())).collect();
    state.started_ms = Some(1_700_000_000_000);
    state.ended_ms = Some(1_700_000_000_000 + (seconds * 1000.0) as u64);
    state
}

pub fn track(member: &str, source: Source) -> TrackId {
    TrackId::new(MemberId::new(member).unwrap(), source)
}

fn run(program: &str, args: &[&str]) -> (String, String) {
    let out = Command::new(program).args(args).output().unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    assert!(out.status.success(), "{program} {args:?}: {}", text(&out.stderr));
    (text(&out.stdout), text(&out.stderr))
}

/// Seconds of `what` that ffprobe says of the first stream of `kind` (`v`, `a`).
pub fn stream_seconds(file: &Path, kind: &str, what: &str) -> f64 {
    let entry = format!("stream={what}");
    let select = format!("{kind}:0");
    let file = file.to_str().unwrap();
    let args = [
        "-v",
        "error",
        "-select_streams",
        &select,
        "-show_entries",
        &entry,
        "-of",
        "csv=p=0",
        file,
    ];
    let (out, err) = run("ffprobe", &args);
    assert!(err.is_empty(), "ffprobe: {err}");
    let first = out.lines().next().unwrap_or_default().trim_end_matches(',');
    first.parse().unwrap_or_else(|_| panic!("no {what} of {kind} in {file}: {out:?}"))
}

pub fn format_seconds(file: &Path) -> f64 {
    let file = file.to_str().unwrap();
    let args = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file];
    run("ffprobe", &args).0.trim().parse().unwrap()
}

/// Decodes everything; gives what ffmpeg complained about.
pub fn decode_errors(file: &Path) -> String {
    run("ffmpeg", &["-v", "error", "-i", file.to_str().unwrap(), "-f", "null", "-"]).1
}

/// Presentation times of all decodable video frames, in seconds.
pub fn frame_times(file: &Path) -> Vec<f64> {
    let args = [
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_entries",
        "frame=pts_time",
        "-of",
        "csv=p=0",
        file.to_str().unwrap(),
    ];
    let (out, _) = run("ffprobe", &args);
    out.lines().filter_map(|l| l.trim_end_matches(',').parse().ok()).collect()
}

/// What must hold of every published lesson.
pub fn judge(dir: &Path, lesson_seconds: f64) {
    let index = dir.join("index.m3u8");
    let duration = format_seconds(&index);
    assert!((duration - lesson_seconds).abs() < 1.0, "{duration} s of a {lesson_seconds} s lesson");
    let (v, a) =
        (stream_seconds(&index, "v", "start_time"), stream_seconds(&index, "a", "start_time"));
    assert!((v - a).abs() < 0.1, "picture starts at {v} s, sound at {a} s");
    assert_eq!(decode_errors(&index), "");
    // Each file alone as well, for whoever downloads it.
    for (file, kind) in [("video.mp4", "v"), ("audio.mp4", "a"), ("audio.opus", "a")] {
        let seconds = format_seconds(&dir.join(file));
        assert!((seconds - lesson_seconds).abs() < 1.0, "{file}: {seconds} s");
        assert!(stream_seconds(&dir.join(file), kind, "start_time").abs() < 0.1, "{file}");
        assert_eq!(decode_errors(&dir.join(file)), "", "{file}");
    }
    let jpeg = std::fs::read(dir.join("thumbnail.jpg")).unwrap();
    assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.len() > 500);
}

/// Loudness of every 10 ms of a file's sound, 0 to 1.
pub fn loudness(file: &Path) -> Vec<f32> {
    let args = [
        "-v",
        "error",
        "-i",
        file.to_str().unwrap(),
        "-map",
        "0:a:0",
        "-ac",
        "1",
        "-ar",
        "8000",
        "-f",
        "f32le",
        "-",
    ];
    let out = Command::new("ffmpeg").args(args).output().unwrap();
    let samples: Vec<f32> =
        out.stdout.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let rms = |c: &[f32]| (c.iter().map(|s| s * s).sum::<f32>() / c.len() as f32).sqrt();
    samples.chunks(80).map(rms).collect()
}

/// Mean brightness of a file's pictures with their times.
pub fn brightness(file: &Path) -> Vec<(f64, u8)> {
    let times = frame_times(file);
    let args = [
        "-v",
        "error",
        "-i",
        file.to_str().unwrap(),
        "-map",
        "0:v:0",
        "-vf",
        "scale=1:1:flags=area,format=gray",
        "-vsync",
        "passthrough",
        "-f",
        "rawvideo",
        "-",
    ];
    let out = Command::new("ffmpeg").args(args).output().unwrap();
    times.into_iter().zip(out.stdout).collect()
}

pub const MS: Nanos = MILLI;
