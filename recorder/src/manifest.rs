//! `lesson.json`: what a lesson's directory holds and how it lies on the lesson's time line.
//! Written whole and atomically beside the media, so that a killed recorder, or another one,
//! can go on from it.

use crate::clock::{MILLI, Nanos, SECOND, Timing};
use crate::shown::Shown;
use crate::words::Words;
use crate::writer::replace;
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::media::{Codec, TrackId};
use cloudschool_protocol::member::Member;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Its name in the lesson's directory.
pub const FILE: &str = "lesson.json";

const VERSION: u32 = 1;

/// How far a lesson's recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The lesson is live, as far as is known.
    Recording,
    /// It is over and to be finalised.
    Ended,
    /// It is in the library.
    Published,
    /// It is in the library, and the lesson knows.
    Announced,
}

/// One file of a track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartEntry {
    pub file: String,
    pub codec: Codec,
    #[serde(default)]
    pub width: u32,
    #[serde(default)]
    pub height: u32,
    pub ssrc: u32,
    pub timing: Timing,
    /// Media time of its last frame.
    #[serde(default)]
    pub end_ns: Nanos,
    /// Media times between which nothing came, longer than [`GAP`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<(Nanos, Nanos)>,
    /// Packets that never came and frames not kept, while this part was written.
    #[serde(default)]
    pub lost_packets: u64,
    #[serde(default)]
    pub dropped_frames: u64,
}

/// A pause this long is noted: it may be an interrupted line, and a school may have kept what
/// is missing.
pub const GAP: Nanos = SECOND;

/// Most pauses noted of a part: a shared screen that stands still has many.
const GAPS: usize = 1024;

impl PartEntry {
    /// A frame of media time `media` follows the one of [`end_ns`](Self::end_ns).
    pub fn reaches(&mut self, media: Nanos) {
        if media - self.end_ns > GAP && self.gaps.len() < GAPS {
            self.gaps.push((self.end_ns, media));
        }
        self.end_ns = self.end_ns.max(media);
    }

    /// Whether there is media at lesson time `at`, or so near that it is the same packet.
    #[must_use]
    pub fn covers(&self, at: Nanos) -> bool {
        const NEAR: Nanos = 15 * MILLI;
        let Some(media) = self.timing.media(at) else { return false };
        let missing = |(from, to): &(Nanos, Nanos)| (from + NEAR..to - NEAR).contains(&media);
        (-NEAR..=self.end_ns + NEAR).contains(&media) && !self.gaps.iter().any(missing)
    }
}

/// A track and its files, in the order they were begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackEntry {
    pub track: TrackId,
    pub parts: Vec<PartEntry>,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub version: u32,
    pub session: Uuid,
    pub stage: Stage,
    /// The recorder's wall clock at the lesson's begin, nanoseconds since the Unix epoch.
    pub zero_wall_ns: Nanos,
    /// The lesson after the last event that was followed; its `seq` says where to go on.
    pub state: State,
    /// Everyone who was there, also those who left.
    pub members: Vec<Member>,
    pub tracks: Vec<TrackEntry>,
    /// Captions and chapters.
    #[serde(default)]
    pub words: Words,
    /// Slides and the board, by when they were shown.
    #[serde(default)]
    pub shown: Shown,
}

/// Why a manifest can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is not a lesson's manifest: {source}", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
    #[error("{} is of version {version}, this recorder reads version {VERSION}", path.display())]
    Version { path: PathBuf, version: u32 },
}

impl Manifest {
    /// The manifest of a lesson that begins.
    #[must_use]
    pub fn new(session: Uuid, zero_wall_ns: Nanos, state: State) -> Self {
        let members = state.members.values().cloned().collect();
        Self {
            version: VERSION,
            session,
            stage: Stage::Recording,
            zero_wall_ns,
            state,
            members,
            tracks: Vec::new(),
            words: Words::default(),
            shown: Shown::default(),
        }
    }

    /// Reads the manifest in `dir`.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn load(dir: &Path) -> Result<Self, ManifestError> {
        let path = dir.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(ManifestError::Read { path, source }),
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(m) if m.version == VERSION => Ok(m),
            Ok(m) => Err(ManifestError::Version { path, version: m.version }),
            Err(source) => Err(ManifestError::Parse { path, source }),
        }
    }

    /// Writes it to `dir`, replacing the one there.
    ///
    /// # Errors
    /// When it can't be written; the old one is then still there.
    pub fn save(&self, dir: &Path) -> std::io::Result<()> {
        replace(&dir.join(FILE), &serde_json::to_vec(self)?)
    }

    /// Name of the lesson's directory and of its recording in the library.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}-{}", self.state.info.id, self.session.simple())
    }

    /// Length of the lesson by the origin's clock, once it is over.
    #[must_use]
    pub fn duration(&self) -> Option<Nanos> {
        let (started, ended) = (self.state.started_ms?, self.state.ended_ms?);
        Some((ended.saturating_sub(started) as Nanos).saturating_mul(crate::clock::MILLI))
    }

    /// The entry of `track`, made when there is none.
    pub fn track(&mut self, track: &TrackId) -> &mut TrackEntry {
        let at = self.tracks.iter().position(|t| t.track == *track).unwrap_or_else(|| {
            self.tracks.push(TrackEntry { track: track.clone(), parts: Vec::new() });
            self.tracks.len() - 1
        });
        &mut self.tracks[at]
    }

    /// Remembers everyone who is there now.
    pub fn note_members(&mut self) {
        for member in self.state.members.values() {
            match self.members.iter_mut().find(|m| m.id == member.id) {
                Some(known) => known.clone_from(member),
                None => self.members.push(member.clone()),
            }
        }
    }
}
