//! Turns what was captured into a lesson any browser plays: CMAF with HLS playlists, H.264
//! passed through, AAC beside Opus, a thumbnail and metadata. Reads a lesson's directory and
//! writes a new one; knows no network, no database and no clock.
//!
//! Picture and sound both begin with the lesson and end with it, whatever was lost: a held
//! picture and silence take the place of what is missing.

pub mod cmaf;
mod gst_run;
pub mod hls;
pub mod mix;
mod picture;
pub mod programme;
mod rendition;
mod slate;
mod sound;
mod transcode;

use crate::clock::{Nanos, SECOND, TimeLine, Timing, time_lines};
use crate::manifest::{Manifest, PartEntry};
use crate::mkv::Reader;
use crate::published::{RecordedPart, RecordedTrack, Recording, captions_file};
use cloudschool_protocol::media::{Codec, Kind, Source};
use cloudschool_protocol::member::Role;
use mix::Voice;
use picture::Pictures;
use programme::{Frame, Group, Picture, Sample};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Why a lesson could not be published.
#[derive(Debug, thiserror::Error)]
pub enum FinaliseError {
    #[error("a file could not be read or written: {0}")]
    Io(#[from] std::io::Error),
    #[error("GStreamer: {0}")]
    Media(String),
    #[error(
        "no {0} came out of the encoder: are gstreamer1.0-libav and gstreamer1.0-plugins-bad installed?"
    )]
    Encoder(&'static str),
    #[error("the Opus decoder failed: {0}")]
    Opus(#[from] opus::Error),
    #[error("the video does not say how it is to be decoded")]
    NoParameterSets,
    #[error("a worker thread ended without an answer")]
    Thread,
}

impl FinaliseError {
    fn media(e: impl std::fmt::Display) -> Self {
        Self::Media(e.to_string())
    }
}

/// A part that could be read, with its place in the lesson.
struct Piece<'a> {
    track: usize,
    entry: &'a PartEntry,
    path: PathBuf,
    reader: Reader,
    line: TimeLine,
}

impl Piece<'_> {
    fn span(&self) -> Option<(Nanos, Nanos)> {
        let blocks = &self.reader.index.blocks;
        Some((self.line.lesson(blocks.first()?.time), self.line.lesson(blocks.last()?.time)))
    }
}

/// Publishes the lesson captured in `dir` into `out`, an empty directory. `published_ms` is
/// now, in milliseconds since the Unix epoch.
///
/// # Errors
/// [`FinaliseError`]; what is in `out` is then of no use.
pub fn finalise(
    dir: &Path,
    manifest: &Manifest,
    out: &Path,
    published_ms: u64,
) -> Result<Recording, FinaliseError> {
    let pieces = open_pieces(dir, manifest);
    let duration = manifest.duration().unwrap_or_else(|| last_media(&pieces)).max(SECOND / 10);
    let tracks = list_tracks(manifest, &pieces);

    let (voices, programme) = divide(manifest, pieces, out)?;
    let shown = programme.shown;
    let channels = if voices.stereo { 2 } else { 1 };
    // Sound takes its time in the encoder, pictures theirs on the disk.
    let (audio, video) = std::thread::scope(|scope| {
        let audio = scope.spawn(move || {
            let voices = voices.parts.into_iter().map(|(r, l)| Voice::new(r, l, channels));
            let voices = voices.collect::<Result<Vec<_>, _>>()?;
            sound::write(out, voices, channels, duration)
        });
        let video = write_video(out, programme.lanes, &programme.sources, duration);
        (audio.join().unwrap_or(Err(FinaliseError::Thread)), video)
    });
    let (audio, (video, thumbnail)) = (audio?, video?);

    let size = (video.width, video.height);
    write(out, "audio.m3u8", audio.playlist().as_bytes())?;
    write(out, "video.m3u8", video.rendition.playlist().as_bytes())?;
    write(out, "index.m3u8", hls::master(&video.rendition, size, &audio, channels).as_bytes())?;
    write(out, "thumbnail.jpg", &thumbnail)?;

    let mut recording =
        Recording::new(manifest, duration, size, published_ms, mark_shown(tracks, &shown));
    let (started, length) = (recording.started_ms, recording.duration_ms);
    let captions = manifest.words.captions(started, length);
    for (lang, text) in &captions {
        write(out, &captions_file(lang), text.as_bytes())?;
    }
    recording.set_captions(captions.keys());
    if let Some(track) = manifest.words.chapter_track(started, length) {
        write(out, "chapters.vtt", track.as_bytes())?;
    }
    if manifest.shown.publish(dir, out, started)? {
        recording.set_shown();
    }
    recording.bytes = directory_size(out)?;
    write(
        out,
        "metadata.json",
        &serde_json::to_vec_pretty(&recording).map_err(std::io::Error::from)?,
    )?;
    File::open(out)?.sync_all()?;
    Ok(recording)
}

/// Opens every part that holds anything. One that can't be read is left out and logged: the
/// rest of the lesson is worth publishing without it.
fn open_pieces<'a>(dir: &Path, manifest: &'a Manifest) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    for member in
        manifest.tracks.iter().map(|t| &t.track.member).collect::<std::collections::BTreeSet<_>>()
    {
        let tracks = manifest.tracks.iter().enumerate();
        let own = tracks.filter(|(_, t)| t.track.member == *member);
        let entries: Vec<(usize, &PartEntry)> =
            own.flat_map(|(i, t)| t.parts.iter().map(move |p| (i, p))).collect();
        let timings: Vec<&Timing> = entries.iter().map(|(_, p)| &p.timing).collect();
        for ((track, entry), line) in entries.into_iter().zip(time_lines(&timings)) {
            let path = dir.join(&entry.file);
            match Reader::open(&path) {
                Ok(reader) if reader.index.blocks.is_empty() => {
                    tracing::warn!(file = %path.display(), "a recorded part is empty");
                }
                Ok(reader) => pieces.push(Piece { track, entry, path, reader, line }),
                Err(error) => {
                    tracing::error!(file = %path.display(), %error, "a recorded part can't be read");
                }
            }
        }
    }
    pieces
}

fn last_media(pieces: &[Piece<'_>]) -> Nanos {
    pieces.iter().filter_map(Piece::span).map(|(_, end)| end).max().unwrap_or_default()
}

fn list_tracks(manifest: &Manifest, pieces: &[Piece<'_>]) -> Vec<RecordedTrack> {
    let part = |p: &Piece<'_>| {
        let (start, end) = p.span()?;
        Some(RecordedPart {
            start_ms: start / crate::clock::MILLI,
            end_ms: end / crate::clock::MILLI,
            bytes: p.reader.file.metadata().map_or(0, |m| m.len()),
            width: p.entry.width,
            height: p.entry.height,
        })
    };
    let tracks = manifest.tracks.iter().enumerate().filter_map(|(i, entry)| {
        let own = || pieces.iter().filter(move |p| p.track == i);
        Some(RecordedTrack {
            track: entry.track.clone(),
            codec: own().next()?.entry.codec,
            in_programme: entry.track.kind() == Kind::Audio,
            parts: own().filter_map(part).collect(),
        })
    });
    tracks.collect()
}

struct Voices {
    parts: Vec<(Reader, TimeLine)>,
    stereo: bool,
}

struct Programme {
    lanes: Vec<Vec<Group>>,
    sources: Vec<Option<picture::Source>>,
    /// Indices of the tracks in the lanes.
    shown: Vec<usize>,
}

/// Sorts the pieces: every sound into the mix, the teacher's pictures into lanes.
fn divide(
    manifest: &Manifest,
    pieces: Vec<Piece<'_>>,
    work: &Path,
) -> Result<(Voices, Programme), FinaliseError> {
    let teachers: Vec<_> =
        manifest.members.iter().filter(|m| m.role == Role::Teacher).map(|m| &m.id).collect();
    let mut voices = Voices { parts: Vec::new(), stereo: false };
    let mut programme =
        Programme { lanes: vec![Vec::new(), Vec::new()], sources: Vec::new(), shown: Vec::new() };
    for piece in pieces {
        let Some(track) = manifest.tracks.get(piece.track).map(|t| &t.track) else { continue };
        let lane = match track.source {
            Source::Microphone | Source::ScreenAudio => {
                voices.stereo |= track.source == Source::ScreenAudio;
                voices.parts.push((piece.reader, piece.line));
                continue;
            }
            Source::Camera => 0,
            Source::Screen => 1,
        };
        if !teachers.contains(&&track.member) {
            continue;
        }
        let Some(source) = readable(&piece, work)? else { continue };
        let part = programme.sources.len();
        let groups = groups(&source.reader, &piece.line, part);
        if let Some(lane) = programme.lanes.get_mut(lane) {
            lane.extend(groups);
        }
        programme.sources.push(Some(source));
        programme.shown.push(piece.track);
    }
    Ok((voices, programme))
}

/// The piece as H.264, transcoded if it must be. A piece that says not how to decode it is
/// left out.
fn readable(piece: &Piece<'_>, work: &Path) -> Result<Option<picture::Source>, FinaliseError> {
    let reader = match piece.entry.codec {
        Codec::Vp8 => {
            let to = work.join(format!(".{}", piece.entry.file));
            transcode::vp8_to_h264(&piece.path, &to)?;
            let reader = Reader::open(&to)?;
            // The open file stays readable; nothing of it is published.
            std::fs::remove_file(&to)?;
            reader
        }
        _ => Reader::open(&piece.path)?,
    };
    let source = picture::Source::new(reader);
    if source.is_err() {
        tracing::error!(file = %piece.path.display(), "a recorded part has no decoder configuration");
    }
    Ok(source.ok())
}

fn groups(reader: &Reader, line: &TimeLine, part: usize) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (block, b) in reader.index.blocks.iter().enumerate() {
        let frame = Frame { part, block, time: line.lesson(b.time) };
        if b.key {
            groups.push(vec![frame]);
        } else if let Some(group) = groups.last_mut() {
            group.push(frame);
        }
    }
    groups
}

fn write_video(
    out: &Path,
    lanes: Vec<Vec<Group>>,
    sources: &[Option<picture::Source>],
    duration: Nanos,
) -> Result<(picture::Video, Vec<u8>), FinaliseError> {
    let samples = programme::lay_out(lanes, duration);
    let slate = samples.iter().any(|s| matches!(s.picture, Picture::Slate(_)));
    let size = sources.iter().flatten().map(|s| (s.reader.index.width, s.reader.index.height));
    let size = size.max_by_key(|(w, h)| w * h).filter(|(w, h)| *w > 0 && *h > 0);
    let (width, height) = size.unwrap_or((1280, 720));
    // The encoder takes even sizes.
    let slate = slate.then(|| slate::slate(width & !1, height & !1)).transpose()?;
    let pictures = Pictures { sources, slate: slate.as_ref() };
    let video = picture::write(out, &samples, &pictures)?;
    let thumbnail = thumbnail(&samples, &pictures, (video.width, video.height))?;
    Ok((video, thumbnail))
}

/// The first keyframe from a tenth of the lesson on, or else the last one; a recorded one
/// rather than a slate.
fn thumbnail(
    samples: &[Sample],
    pictures: &Pictures<'_>,
    size: (u32, u32),
) -> Result<Vec<u8>, FinaliseError> {
    let end = samples.last().map_or(0, |s| s.start + u64::from(s.duration));
    let keys = || samples.iter().filter(|s| s.sync);
    let recorded = || keys().filter(|s| !matches!(s.picture, Picture::Slate(_)));
    let late = |s: &&Sample| s.start >= end / 10;
    let chosen = recorded().find(late).or_else(|| recorded().next_back());
    let chosen = chosen.or_else(|| keys().next()).ok_or(FinaliseError::NoParameterSets)?;
    let (config, keyframe) = pictures.keyframe(chosen.picture)?;
    slate::thumbnail(config, keyframe, size)
}

fn mark_shown(mut tracks: Vec<RecordedTrack>, shown: &[usize]) -> Vec<RecordedTrack> {
    for &i in shown {
        if let Some(track) = tracks.get_mut(i) {
            track.in_programme = true;
        }
    }
    tracks
}

fn write(out: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    crate::writer::replace(&out.join(name), bytes)
}

fn directory_size(dir: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
