//! One lesson being recorded: its tracks, its place in time, its manifest. Decides what is
//! captured; the trunk and the library are its owner's.

use crate::capture::{Capture, Outcome};
use crate::clock::{MILLI, Nanos, SECOND};
use crate::manifest::{Manifest, Stage};
use crate::part::{Part, PartError};
use crate::shown::Shown;
use crate::words::Words;
use crate::writer::{Syncer, WriteFailure};
use bytes::Bytes;
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::{Codec, Source, TrackId};
use cloudschool_protocol::member::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinHandle;

/// Tracks of a lesson that are recorded while it is live: all of the teacher, of classrooms
/// and of whoever is on stage, in the codecs the archive keeps.
#[must_use]
pub fn wanted(state: &State) -> Vec<TrackId> {
    if state.phase != Phase::Live {
        return Vec::new();
    }
    let recorded = |track: &&TrackId| {
        let role = state.members.get(&track.member).map(|m| m.role);
        matches!(role, Some(Role::Teacher | Role::Classroom)) || state.stage.contains(&track.member)
    };
    let kept = |codec| matches!(codec, Codec::Opus | Codec::H264 | Codec::Vp8);
    let tracks = state.tracks.iter().filter(|(_, published)| kept(published.codec));
    tracks.map(|(track, _)| track).filter(recorded).cloned().collect()
}

/// Wall clock, nanoseconds since the Unix epoch.
#[must_use]
pub fn wall_now() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| Nanos::try_from(d.as_nanos()).unwrap_or(Nanos::MAX))
}

/// Lesson time now, steady while the process runs however the wall clock is set.
#[derive(Debug, Clone, Copy)]
struct LessonClock {
    at: Instant,
    lesson: Nanos,
}

impl LessonClock {
    fn started(zero_wall_ns: Nanos) -> Self {
        Self { at: Instant::now(), lesson: wall_now() - zero_wall_ns }
    }

    fn now(&self) -> Nanos {
        self.lesson + Nanos::try_from(self.at.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
    }
}

/// What the owner has to do after handing something in.
#[derive(Debug, Default)]
pub struct Report {
    pub parts_begun: u64,
    pub failures: u64,
    /// The system refused to write for want of room.
    pub disk_full: bool,
}

/// A lesson being recorded.
pub struct LessonRecording {
    dir: PathBuf,
    manifest: Manifest,
    syncer: Syncer,
    clock: LessonClock,
    captures: BTreeMap<TrackId, Capture>,
    /// Ended parts whose last blocks are being written out.
    closing: Vec<JoinHandle<()>>,
    keyframe_every: Option<Nanos>,
    /// When a keyframe was last asked for, to be able to jump.
    asked: BTreeMap<TrackId, Nanos>,
    wanted_now: BTreeSet<TrackId>,
    paused: bool,
    changed: bool,
    saving: Option<JoinHandle<()>>,
    save_failed: Arc<AtomicBool>,
}

impl LessonRecording {
    /// Begins in a new directory under `root`, or goes on in the one that is there. `None`
    /// when that session is recorded and over.
    ///
    /// # Errors
    /// When the directory can't be made or its manifest not be read or written.
    pub fn begin(
        root: &Path,
        mut manifest: Manifest,
        syncer: &Syncer,
        keyframe_every: Option<Nanos>,
    ) -> anyhow::Result<Option<Self>> {
        let dir = root.join(manifest.id());
        if dir.join(crate::manifest::FILE).exists() {
            let kept = Manifest::load(&dir)?;
            if kept.stage != Stage::Recording {
                return Ok(None);
            }
            manifest = kept;
        } else {
            std::fs::create_dir_all(&dir)?;
            manifest.save(&dir)?;
        }
        let clock = LessonClock::started(manifest.zero_wall_ns);
        Ok(Some(Self {
            dir,
            manifest,
            syncer: syncer.clone(),
            clock,
            captures: BTreeMap::new(),
            closing: Vec::new(),
            keyframe_every,
            asked: BTreeMap::new(),
            wanted_now: BTreeSet::new(),
            paused: false,
            changed: false,
            saving: None,
            save_failed: Arc::default(),
        }))
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Files being written.
    #[must_use]
    pub fn writing(&self) -> usize {
        self.captures.values().filter(|c| c.is_writing()).count()
    }

    /// The lesson is now like this; these words go with it, and this was shown.
    pub fn state(&mut self, state: &State, words: &Words, shown: &Shown) {
        self.manifest.state.clone_from(state);
        self.manifest.words.clone_from(words);
        self.manifest.shown.clone_from(shown);
        self.manifest.note_members();
        self.changed = true;
    }

    /// Packets of `track` follow.
    pub fn track(&mut self, track: &TrackId, codec: Codec) -> Report {
        let report = self.track_end(track);
        let entry = self.manifest.track(track).clone();
        let capture = Capture::new(&self.dir, &self.syncer, codec, entry);
        self.captures.insert(track.clone(), capture);
        self.asked.insert(track.clone(), self.clock.now());
        report
    }

    /// No packets of `track` for now.
    pub fn track_end(&mut self, track: &TrackId) -> Report {
        let Some(mut capture) = self.captures.remove(track) else { return Report::default() };
        let mut out = Outcome::default();
        capture.close(&mut out);
        *self.manifest.track(track) = capture.entry;
        if track.source == Source::Camera {
            // The programme goes over to the screen, which can begin at a keyframe only.
            self.wanted_now.insert(TrackId::new(track.member.clone(), Source::Screen));
        }
        self.settle(out)
    }

    /// A packet of `track`.
    pub fn packet(&mut self, track: &TrackId, packet: Bytes) -> Report {
        let now = self.clock.now();
        let Some(capture) = self.captures.get_mut(track).filter(|_| !self.paused) else {
            return Report::default();
        };
        let mut out = Outcome::default();
        capture.packet(packet, now, &mut out);
        self.settle(out)
    }

    /// The publisher's clock.
    pub fn report(&mut self, track: &TrackId, ntp: u64, rtp: u32) -> Report {
        let Some(capture) = self.captures.get_mut(track) else { return Report::default() };
        let mut out = Outcome::default();
        capture.report(ntp, rtp, &mut out);
        self.settle(out)
    }

    /// Does what time brings; gives the tracks a keyframe is to be asked of.
    pub fn tick(&mut self) -> (Report, Vec<TrackId>) {
        let now = self.clock.now();
        let mut out = Outcome::default();
        let mut asked: Vec<TrackId> = Vec::new();
        if self.paused {
            return (Report::default(), asked);
        }
        for (track, capture) in &mut self.captures {
            capture.tick(now, &mut out);
            let due = periodic(&self.manifest, track, self.keyframe_every)
                .is_some_and(|every| now - self.asked.get(track).copied().unwrap_or(now) >= every);
            if capture.wants_keyframe(now) || due || self.wanted_now.remove(track) {
                asked.push(track.clone());
                self.asked.insert(track.clone(), now);
            }
        }
        self.wanted_now.clear();
        (self.settle(out), asked)
    }

    /// Stops writing, closing what is open, or goes on.
    pub fn pause(&mut self, paused: bool) -> Report {
        let mut out = Outcome::default();
        if paused && !self.paused {
            self.captures.values_mut().for_each(|c| c.close(&mut out));
        }
        self.paused = paused;
        self.settle(out)
    }

    /// Saves the manifest if it changed, on a thread that may block.
    pub fn save(&mut self) {
        if self.saving.as_ref().is_some_and(|s| !s.is_finished()) {
            return;
        }
        self.changed |= self.save_failed.swap(false, Ordering::Relaxed);
        if !std::mem::take(&mut self.changed) {
            return;
        }
        for (track, capture) in &self.captures {
            self.manifest.track(track).clone_from(&capture.entry);
        }
        let (manifest, dir) = (self.manifest.clone(), self.dir.clone());
        let failed = Arc::clone(&self.save_failed);
        self.saving = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = manifest.save(&dir) {
                tracing::error!(%error, "a manifest could not be saved; the one before is there");
                failed.store(true, Ordering::Relaxed);
            }
        }));
    }

    /// Ends every part. Gives the directory, the manifest as it then is, and what is still
    /// to be waited for before the files are whole.
    #[must_use]
    pub fn finish(mut self) -> (PathBuf, Manifest, Vec<JoinHandle<()>>) {
        for track in self.captures.keys().cloned().collect::<Vec<_>>() {
            self.track_end(&track);
        }
        self.closing.extend(self.saving);
        (self.dir, self.manifest, self.closing)
    }

    fn settle(&mut self, out: Outcome) -> Report {
        let mut report = Report { parts_begun: out.begun, ..Report::default() };
        self.changed |= out.changed;
        self.closing.retain(|c| !c.is_finished());
        self.closing.extend(out.ended.into_iter().map(finish_part));
        for error in out.failed {
            report.failures += 1;
            report.disk_full |= error == PartError::Write(WriteFailure::DiskFull);
            tracing::error!(lesson = %self.manifest.state.info.id, %error, "a track is not recorded");
        }
        report
    }
}

/// How often a keyframe of `track` is wanted for the programme's sake.
fn periodic(manifest: &Manifest, track: &TrackId, every: Option<Nanos>) -> Option<Nanos> {
    let member = manifest.state.members.get(&track.member)?;
    let shown =
        member.role == Role::Teacher && matches!(track.source, Source::Camera | Source::Screen);
    every.filter(|_| shown)
}

fn finish_part(part: Part) -> JoinHandle<()> {
    tokio::task::spawn_blocking(move || {
        if let Err(error) = part.finish() {
            tracing::error!(%error, "a recorded file may lack its last second");
        }
    })
}

/// The lesson's begin by the recorder's wall clock: now, when it has just begun, or what the
/// origin's clock says, never in the future.
#[must_use]
pub fn zero_wall(started_ms: u64, just_now: bool) -> Nanos {
    let now = wall_now();
    if just_now { now } else { (started_ms as Nanos).saturating_mul(MILLI).min(now) }
}

/// Seconds as configured; 0 is never.
#[must_use]
pub fn every(seconds: u32) -> Option<Nanos> {
    (seconds > 0).then(|| Nanos::from(seconds) * SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::id::{LessonId, MemberId, NodeId, SchoolId};
    use cloudschool_protocol::lesson::{LessonInfo, PublishedTrack};
    use cloudschool_protocol::member::Member;

    fn state() -> State {
        let campus = SchoolId::new("campus").unwrap();
        let mut state = State::new(LessonInfo {
            id: LessonId::new("m").unwrap(),
            title: String::new(),
            subject: String::new(),
            grade: String::new(),
            teacher: String::new(),
            campus: campus.clone(),
            schools: vec![],
            school_names: Default::default(),
            planned_start_ms: None,
            planned_minutes: None,
            code: None,
        });
        let roles = [
            ("li", Role::Teacher),
            ("room", Role::Classroom),
            ("wang", Role::Student),
            ("zhao", Role::Student),
        ];
        for (id, role) in roles {
            let id = MemberId::new(id).unwrap();
            let node = NodeId::new("campus").unwrap();
            let track = TrackId::new(id.clone(), Source::Camera);
            let published =
                PublishedTrack { track: track.clone(), codec: Codec::H264, node: node.clone() };
            state.tracks.insert(track, published);
            let member =
                Member { id: id.clone(), name: "n".into(), role, school: campus.clone(), node };
            state.members.insert(id, member);
        }
        state.stage.push(MemberId::new("zhao").unwrap());
        state
    }

    #[test]
    fn teacher_classrooms_and_the_stage_are_recorded_while_the_lesson_is_live() {
        let mut state = state();
        assert!(wanted(&state).is_empty());
        state.phase = Phase::Live;
        let names: Vec<_> = wanted(&state).iter().map(|t| t.member.to_string()).collect();
        assert_eq!(names, ["li", "room", "zhao"]);
    }

    #[test]
    fn a_lesson_that_began_earlier_keeps_its_begin_but_not_in_the_future() {
        assert_eq!(zero_wall(1000, false), 1000 * MILLI);
        let ahead = (wall_now() / MILLI) as u64 + 60_000;
        assert!(zero_wall(ahead, false) <= wall_now());
        assert!(wall_now() - zero_wall(1000, true) < SECOND);
    }
}
