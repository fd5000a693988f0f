//! What the library knows of a recording, as its API tells it and as `metadata.json` keeps it.

use crate::clock::{MILLI, Nanos};
use crate::manifest::Manifest;
use crate::words::Chapter;
use cloudschool_protocol::id::{LessonId, MemberId, SchoolId};
use cloudschool_protocol::media::{Codec, TrackId};
use cloudschool_protocol::member::{Member, Role};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A recorded lesson.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    pub id: String,
    pub lesson: LessonId,
    pub session: Uuid,
    pub title: String,
    pub subject: String,
    pub grade: String,
    pub teacher: String,
    pub campus: SchoolId,
    pub schools: Vec<SchoolId>,
    pub started_ms: u64,
    pub ended_ms: u64,
    pub duration_ms: u64,
    pub published_ms: u64,
    pub width: u32,
    pub height: u32,
    /// Size of all published files.
    pub bytes: u64,
    pub playlist: String,
    pub thumbnail: String,
    pub opus: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<RecordedMember>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<RecordedTrack>,
    /// Captions (WebVTT), by language.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub captions: Vec<RecordedCaptions>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chapters: Vec<Chapter>,
    /// Slides and the board, by when they were shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
}

/// Captions in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCaptions {
    /// Language tag (BCP 47).
    pub lang: String,
    pub file: String,
}

/// Someone who was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedMember {
    pub id: MemberId,
    pub name: String,
    pub role: Role,
    pub school: SchoolId,
}

/// A track in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedTrack {
    pub track: TrackId,
    pub codec: Codec,
    /// Whether it can be seen or heard in the published lesson.
    pub in_programme: bool,
    pub parts: Vec<RecordedPart>,
}

/// A stretch of a track, in milliseconds of the lesson.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedPart {
    pub start_ms: i64,
    pub end_ms: i64,
    pub bytes: u64,
    #[serde(default)]
    pub width: u32,
    #[serde(default)]
    pub height: u32,
}

impl Recording {
    /// What is known of `manifest`'s lesson once its media is laid out.
    #[must_use]
    pub fn new(
        manifest: &Manifest,
        duration: Nanos,
        (width, height): (u32, u32),
        published_ms: u64,
        tracks: Vec<RecordedTrack>,
    ) -> Self {
        let id = manifest.id();
        let info = manifest.state.info.clone();
        let started_ms = manifest.state.started_ms.unwrap_or_default();
        let duration_ms = (duration / MILLI) as u64;
        Self {
            playlist: media_path(&id, "index.m3u8"),
            thumbnail: media_path(&id, "thumbnail.jpg"),
            opus: media_path(&id, "audio.opus"),
            id,
            lesson: info.id,
            session: manifest.session,
            title: info.title,
            subject: info.subject,
            grade: info.grade,
            teacher: info.teacher,
            campus: info.campus,
            schools: info.schools,
            started_ms,
            ended_ms: manifest.state.ended_ms.unwrap_or(started_ms + duration_ms),
            duration_ms,
            published_ms,
            width,
            height,
            bytes: 0,
            members: manifest.members.iter().map(RecordedMember::from).collect(),
            tracks,
            captions: Vec::new(),
            chapters: manifest.words.chapters(started_ms, duration_ms),
            shown: None,
        }
    }

    /// Says that there are captions in these languages.
    pub fn set_captions<'a>(&mut self, langs: impl Iterator<Item = &'a String>) {
        let id = &self.id;
        let file = |lang: &String| media_path(id, &captions_file(lang));
        let all = langs.map(|lang| RecordedCaptions { lang: lang.clone(), file: file(lang) });
        self.captions = all.collect();
    }

    /// Says that slides or the board were shown.
    pub fn set_shown(&mut self) {
        self.shown = Some(media_path(&self.id, crate::shown::FILE));
    }

    /// As it stands in a list: without members, tracks and words.
    #[must_use]
    pub fn listed(mut self) -> Self {
        self.members.clear();
        self.tracks.clear();
        self.captions.clear();
        self.chapters.clear();
        self.shown = None;
        self
    }
}

/// The file of the captions in a language.
#[must_use]
pub fn captions_file(lang: &str) -> String {
    format!("captions-{lang}.vtt")
}

fn media_path(id: &str, file: &str) -> String {
    format!("/media/{id}/{file}")
}

impl From<&Member> for RecordedMember {
    fn from(m: &Member) -> Self {
        let Member { id, name, role, school, node: _ } = m.clone();
        Self { id, name, role, school }
    }
}
