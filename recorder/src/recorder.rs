//! The recorder at work: follows lessons over the trunk, records those that are live, hands
//! those that are over to the finisher, and tells them where they are in the library.

use crate::backfill::{Backfills, Next};
use crate::config::Config;
use crate::disk::{self, Guard, Room};
use crate::finisher::{Done, Job, Queue, enqueue};
use crate::gather::{Ask, Gathering};
use crate::lesson::{LessonRecording, Report, every, wanted, zero_wall};
use crate::manifest::{self, Manifest, Stage};
use crate::publish::Again;
use crate::shown::Shown;
use crate::telemetry::Telemetry;
use crate::words::Words;
use crate::writer::Syncer;
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::TrackId;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::{LessonLine, capability};
use cloudschool_relay::{Feed, Subscriber};
use cloudschool_service::health::Readiness;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Conditions of readiness.
pub const TRUNK: &str = "trunk";
pub const DISK: &str = "disk";
/// Not met while a live lesson can't be recorded for another reason than room.
const RECORDING: &str = "recording";

/// How often overdue packets are looked for: well under the time a gap is waited for.
const TICK: Duration = Duration::from_millis(50);

/// How often manifests are saved and the disk is looked at.
const ROUND: Duration = Duration::from_secs(1);

/// How often what failed is tried again: telling a lesson where its recording is, beginning a
/// recording.
const AGAIN: Duration = Duration::from_secs(20);

/// How long a lesson that is over waits for what schools kept of it, its board and its slides
/// before it is published without; then it is published again.
const WAITS_FOR: Duration = Duration::from_secs(60);

/// A lesson being followed.
struct Followed {
    state: State,
    /// Events from now on are news, not history.
    caught_up: bool,
    /// The lesson's begin on the recorder's wall clock.
    zero_wall: i64,
    recording: Option<LessonRecording>,
    words: Words,
    shown: Shown,
}

impl Followed {
    fn new(state: State) -> Self {
        let (words, shown) = (Words::default(), Shown::default());
        Self { state, caught_up: false, zero_wall: 0, recording: None, words, shown }
    }
}

/// The recorder's one task.
pub struct Recorder {
    pub config: Arc<Config>,
    pub subscriber: Subscriber,
    pub syncer: Syncer,
    pub queue: Queue,
    pub telemetry: Arc<Telemetry>,
    pub readiness: Readiness,
    pub shutdown: CancellationToken,
    lessons: BTreeMap<LessonId, Followed>,
    /// Published lessons that are to be told, by directory.
    untold: BTreeMap<PathBuf, Untold>,
    told: mpsc::UnboundedSender<(PathBuf, Result<(), Refusal>)>,
    guard: Guard,
    up: bool,
    /// What schools kept of lessons, on its way here.
    backfills: Backfills,
    /// What was shown, on its way here.
    gathering: Gathering,
    /// Lessons that are over and wait for that, until so late.
    held: BTreeMap<PathBuf, (Job, Instant)>,
}

struct Untold {
    manifest: Manifest,
    duration_ms: u64,
    asking: bool,
}

type Told = mpsc::UnboundedReceiver<(PathBuf, Result<(), Refusal>)>;

impl Recorder {
    /// A recorder that knows nothing yet, and the answers it gets from lessons it told.
    pub fn new(
        config: Arc<Config>,
        subscriber: Subscriber,
        syncer: Syncer,
        queue: Queue,
        telemetry: Arc<Telemetry>,
        readiness: Readiness,
        shutdown: CancellationToken,
    ) -> (Self, Told) {
        let (told, answers) = mpsc::unbounded_channel();
        let guard = Guard::new(config.recording.min_free_mb << 20);
        let recorder = Self {
            config,
            subscriber,
            syncer,
            queue,
            telemetry,
            readiness,
            shutdown,
            lessons: BTreeMap::new(),
            untold: BTreeMap::new(),
            told,
            guard,
            up: false,
            backfills: Backfills::default(),
            gathering: Gathering::default(),
            held: BTreeMap::new(),
        };
        (recorder, answers)
    }

    /// Takes up what an earlier run left: lessons to go on with, to publish, to tell.
    ///
    /// # Errors
    /// When the directory of lessons can't be read. A single lesson that can't is logged.
    pub fn resume(&mut self) -> std::io::Result<()> {
        for dir in disk::lesson_dirs(&self.config.lessons())? {
            let manifest = match Manifest::load(&dir) {
                Ok(manifest) => manifest,
                Err(error) => {
                    tracing::error!(%error, "a recorded lesson is left alone");
                    continue;
                }
            };
            let lesson = manifest.state.info.id.clone();
            match manifest.stage {
                Stage::Recording => {
                    tracing::info!(%lesson, "going on with a lesson that was being recorded");
                    self.go_on(lesson, manifest);
                }
                Stage::Ended => {
                    tracing::info!(%lesson, "publishing a lesson that ended before");
                    self.finish(Job { dir, manifest, closing: vec![], again: Again::Keep });
                }
                Stage::Published => {
                    let duration = manifest.duration().unwrap_or_default();
                    let duration_ms = (duration / crate::clock::MILLI) as u64;
                    self.untold.insert(dir, Untold { manifest, duration_ms, asking: false });
                }
                Stage::Announced => {}
            }
        }
        Ok(())
    }

    fn go_on(&mut self, lesson: LessonId, manifest: Manifest) {
        let mut followed = Followed::new(manifest.state.clone());
        followed.words.clone_from(&manifest.words);
        followed.shown.clone_from(&manifest.shown);
        followed.zero_wall = manifest.zero_wall_ns;
        let after = followed.state.seq;
        match self.begin(manifest) {
            Ok(recording) => followed.recording = recording,
            Err(error) => tracing::error!(%lesson, %error, "the recording can't be taken up"),
        }
        self.subscriber.follow(&lesson, after);
        self.subscriber.demand(&lesson, wanted(&followed.state));
        self.lessons.insert(lesson, followed);
    }

    fn begin(&self, manifest: Manifest) -> anyhow::Result<Option<LessonRecording>> {
        let keyframes = every(self.config.recording.keyframe_every_s);
        LessonRecording::begin(&self.config.lessons(), manifest, &self.syncer, keyframes)
    }

    /// Runs until shutdown, or until the trunk has nothing more to tell.
    pub async fn run(
        mut self,
        mut feed: mpsc::Receiver<Feed>,
        mut done: mpsc::UnboundedReceiver<Done>,
        mut told: Told,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut again = tokio::time::interval(AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                next = feed.recv() => match next {
                    Some(next) => self.feed(next),
                    None => break,
                },
                _ = tick.tick() => self.tick(),
                _ = round.tick() => self.round(),
                _ = again.tick() => {
                    self.tell();
                    self.record_what_could_not_be();
                }
                Some(done) = done.recv() => self.published(done),
                Some((dir, answer)) = told.recv() => self.answered(dir, answer),
            }
        }
        self.put_down().await;
    }

    fn feed(&mut self, feed: Feed) {
        match feed {
            Feed::Up => {
                tracing::info!("the trunk is up");
                self.up = true;
                self.telemetry.trunk_up.set(1);
                self.readiness.ready(TRUNK);
                self.tell();
            }
            Feed::Down { reason } => {
                tracing::warn!(%reason, "the trunk is down; recording goes on when it is back");
                self.up = false;
                self.telemetry.trunk_up.set(0);
                self.readiness.not_ready(TRUNK, reason);
                self.lessons.values_mut().for_each(|f| f.caught_up = false);
                self.backfills.disconnected();
                self.gathering.disconnected();
            }
            Feed::Lessons(lines) => self.listed(lines),
            Feed::Events { lesson, events } => self.events(&lesson, &events),
            Feed::FollowRefused { lesson, refusal } => self.refused(&lesson, refusal),
            Feed::Track { lesson, track, codec } => {
                self.with(&lesson, |r| r.track(&track, codec));
            }
            Feed::TrackEnd { lesson, track } => self.with(&lesson, |r| r.track_end(&track)),
            Feed::Packet { lesson, track, packet } => {
                self.telemetry.packets.inc();
                self.with(&lesson, |r| r.packet(&track, packet));
            }
            Feed::Spooled { lesson, parts } => {
                let root = self.config.lessons();
                let dir_of = |session: uuid::Uuid| {
                    let dir = root.join(format!("{lesson}-{}", session.simple()));
                    dir.join(manifest::FILE).exists().then_some(dir)
                };
                let next = self.backfills.told(&lesson, parts, dir_of, Instant::now());
                self.fetch(next);
            }
            Feed::SpoolPiece { id, offset, data, .. } => {
                let next = self.backfills.piece(id, offset, &data, Instant::now());
                self.fetch(next);
            }
            Feed::AssetChunk { packet } => {
                self.gathered(|all, done| all.chunk(&packet, Instant::now(), done));
            }
            Feed::AssetRefused { request, refusal } => {
                self.gathered(|all, done| all.refused(request, refusal, done));
            }
            Feed::BoardPiece { lesson, run, offset, data } => {
                let mut next = None;
                self.gathered(|all, done| {
                    next = all.board((&lesson, run), offset, &data, Instant::now(), done);
                });
                next.into_iter().for_each(|ask| self.ask_for(ask));
            }
            Feed::Clock { lesson, track, ntp, rtp } => {
                self.with(&lesson, |r| r.report(&track, ntp, rtp));
            }
        }
    }

    fn with(&mut self, lesson: &LessonId, act: impl FnOnce(&mut LessonRecording) -> Report) {
        let recording = self.lessons.get_mut(lesson).and_then(|f| f.recording.as_mut());
        let Some(recording) = recording else { return };
        let report = act(recording);
        self.note(&report);
    }

    fn note(&mut self, report: &Report) {
        self.telemetry.parts.inc_by(report.parts_begun);
        self.telemetry.parts_failed.inc_by(report.failures);
        if report.disk_full {
            self.guard.refused(Instant::now());
            self.room(Room::Full(0));
        }
    }

    fn listed(&mut self, lines: Vec<LessonLine>) {
        for LessonLine { info, phase } in lines {
            if let Some(followed) = self.lessons.get_mut(&info.id) {
                // A lesson that is live doesn't become so again: its log is another one.
                if followed.recording.is_some() && phase < Phase::Live {
                    tracing::warn!(lesson = %info.id, "the lesson began anew at its origin");
                    self.over(&info.id);
                    self.subscriber.follow(&info.id, 0);
                    self.lessons.insert(info.id.clone(), Followed::new(State::new(info)));
                }
            } else if phase < Phase::Ended {
                self.subscriber.follow(&info.id, 0);
                self.lessons.insert(info.id.clone(), Followed::new(State::new(info)));
            }
        }
    }

    fn events(&mut self, lesson: &LessonId, events: &[Event]) {
        let Some(followed) = self.lessons.get_mut(lesson) else { return };
        for event in events {
            let (before, seq) = (followed.state.session, followed.state.seq);
            if let Err(gap) = followed.state.apply(event) {
                tracing::warn!(%lesson, %gap, "asking for the events again");
                self.subscriber.follow(lesson, followed.state.seq);
                break;
            }
            if followed.state.seq > seq {
                followed.words.hear(event, &followed.state);
                let begins = matches!(event.body, EventBody::LessonStarted { .. });
                followed.shown.see(event.at_ms, &followed.state, begins);
            }
            if followed.state.session != before {
                followed.zero_wall = zero_wall(event.at_ms, followed.caught_up);
            }
        }
        followed.caught_up = true;
        let state = followed.state.clone();
        if let Some(recording) = &mut followed.recording {
            let same = Some(recording.manifest().session) == state.session;
            if same {
                recording.state(&state, &followed.words, &followed.shown);
                for picture in followed.shown.pictures() {
                    self.gathering.want_asset(lesson, recording.dir(), picture);
                }
            }
            if !same || state.phase >= Phase::Ended {
                self.over(lesson);
            }
        }
        match state.phase {
            Phase::Live => {
                self.record(lesson);
                self.subscriber.demand(lesson, wanted(&state));
            }
            Phase::Ended | Phase::Archived => {
                self.subscriber.unfollow(lesson);
                self.lessons.remove(lesson);
            }
            Phase::Scheduled | Phase::Open => {}
        }
    }

    /// Begins to record a live lesson that isn't recorded yet.
    fn record(&mut self, lesson: &LessonId) {
        let Some(followed) = self.lessons.get(lesson) else { return };
        let Some(session) = followed.state.session else { return };
        if followed.recording.is_some() || followed.state.phase != Phase::Live {
            return;
        }
        let mut manifest = Manifest::new(session, followed.zero_wall, followed.state.clone());
        manifest.words.clone_from(&followed.words);
        manifest.shown.clone_from(&followed.shown);
        match self.begin(manifest) {
            Ok(recording) => {
                if recording.is_some() {
                    tracing::info!(%lesson, %session, "recording");
                }
                if let Some(followed) = self.lessons.get_mut(lesson) {
                    followed.recording = recording;
                }
                if self.guard.is_full() {
                    self.with(lesson, |r| r.pause(true));
                }
            }
            Err(error) => {
                tracing::error!(%lesson, %error, "the lesson can't be recorded; trying again");
                self.readiness.not_ready(RECORDING, format!("{lesson} can't be recorded: {error}"));
            }
        }
    }

    fn record_what_could_not_be(&mut self) {
        self.readiness.ready(RECORDING);
        for lesson in self.lessons.keys().cloned().collect::<Vec<_>>() {
            self.record(&lesson);
        }
    }

    /// Ends the recording of `lesson` and hands it to the finisher.
    fn over(&mut self, lesson: &LessonId) {
        let recording = self.lessons.get_mut(lesson).and_then(|f| f.recording.take());
        let Some(recording) = recording else { return };
        let (dir, mut manifest, closing) = recording.finish();
        manifest.stage = Stage::Ended;
        tracing::info!(%lesson, "the lesson is over; publishing it");
        self.subscriber.demand(lesson, Vec::new());
        self.finish(Job { dir, manifest, closing, again: Again::Keep });
    }

    /// Hands a lesson that is over to the finisher, once all of it is here.
    fn finish(&mut self, mut job: Job) {
        self.gather_for(&job.dir, &job.manifest);
        if self.awaited(&job.dir) {
            let lesson = &job.manifest.state.info.id;
            tracing::info!(%lesson, "what schools kept, its slides or its board are on their way");
            // So that it is published also when this is all that is left of it.
            if let Err(error) = job.manifest.save(&job.dir) {
                tracing::error!(%error, "a manifest could not be saved");
            }
            job.again = Again::Replace;
            self.held.insert(job.dir.clone(), (job, Instant::now() + WAITS_FOR));
        } else {
            enqueue(&self.queue, &self.telemetry, job);
        }
    }

    /// Asks for what is to be fetched of what schools kept, and publishes what is whole by it.
    fn fetch(&mut self, next: Vec<Next>) {
        for next in next {
            match next {
                Next::Fetch { lesson, id, offset } => {
                    self.subscriber.fetch_spooled(&lesson, id, offset);
                }
                Next::Taken { lesson, id } => self.subscriber.spooled_is_taken(&lesson, id),
                Next::Whole { dir } => self.whole(dir),
            }
        }
    }

    /// Has what the class was shown fetched into the lesson's directory.
    fn gather_for(&mut self, dir: &Path, manifest: &Manifest) {
        let lesson = &manifest.state.info.id;
        for picture in manifest.shown.pictures() {
            self.gathering.want_asset(lesson, dir, picture);
        }
        let shows = !manifest.shown.moments.is_empty();
        // A campus that is away may have it; one of an earlier release has not.
        if shows && (!self.up || self.subscriber.upstream_can(capability::BOARD_CHANGES)) {
            self.gathering.want_board(lesson, dir, manifest.state.run);
        }
        self.gather_next();
    }

    fn ask_for(&self, ask: Ask) {
        match ask {
            Ask::Asset { lesson, request, asset, offset } => {
                self.subscriber.fetch_asset(&lesson, request, asset, offset);
            }
            Ask::Board { lesson, run, offset } => {
                self.subscriber.fetch_board(&lesson, run, offset);
            }
        }
    }

    /// Takes in something that was asked for, and publishes what is whole by it.
    fn gathered(&mut self, take: impl FnOnce(&mut Gathering, &mut Vec<PathBuf>)) {
        let mut done = Vec::new();
        take(&mut self.gathering, &mut done);
        self.gather_next();
        done.into_iter().for_each(|dir| self.whole(dir));
    }

    fn gather_next(&mut self) {
        if self.up {
            let mut done = Vec::new();
            let asks = self.gathering.poll(Instant::now(), &mut done);
            asks.into_iter().for_each(|ask| self.ask_for(ask));
            done.into_iter().for_each(|dir| self.whole(dir));
        }
    }

    fn awaited(&self, dir: &Path) -> bool {
        self.backfills.awaited(dir) || self.gathering.awaited(dir)
    }

    /// Perhaps nothing of the lesson in `dir` is on its way any more.
    fn whole(&mut self, dir: PathBuf) {
        if self.awaited(&dir) {
            return;
        }
        if let Some((job, _)) = self.held.remove(&dir) {
            enqueue(&self.queue, &self.telemetry, job);
            return;
        }
        let goes_on = |f: &Followed| f.recording.as_ref().is_some_and(|r| r.dir() == dir);
        if self.lessons.values().any(goes_on) {
            return;
        }
        // It came after the lesson was published: that is done anew.
        match Manifest::load(&dir) {
            Ok(manifest) => {
                let job = Job { dir, manifest, closing: Vec::new(), again: Again::Replace };
                enqueue(&self.queue, &self.telemetry, job);
            }
            Err(error) => tracing::error!(%error, "a part came for a lesson that is gone"),
        }
    }

    /// Asks again for what did not come, and waits no longer than it should.
    fn hurry(&mut self) {
        let now = Instant::now();
        if self.up {
            let next = self.backfills.poll(now);
            self.fetch(next);
            self.gather_next();
        }
        let late: Vec<PathBuf> = self
            .held
            .iter()
            .filter(|(_, (_, until))| *until <= now)
            .map(|(d, _)| d.clone())
            .collect();
        for dir in late {
            if let Some((job, _)) = self.held.remove(&dir) {
                tracing::warn!(id = %job.manifest.id(), "published without what is still on its way; \
                    it is published again when that is here");
                enqueue(&self.queue, &self.telemetry, job);
            }
        }
    }

    fn refused(&mut self, lesson: &LessonId, refusal: Refusal) {
        tracing::warn!(%lesson, %refusal, "a lesson can't be followed");
        if matches!(refusal, Refusal::NoSuchLesson | Refusal::NotInvited) {
            // It will not come back: what there is of it is published as long as it is.
            self.over(lesson);
            self.lessons.remove(lesson);
        }
    }

    fn tick(&mut self) {
        let lessons: Vec<LessonId> = self.lessons.keys().cloned().collect();
        for lesson in lessons {
            let recording = self.lessons.get_mut(&lesson).and_then(|f| f.recording.as_mut());
            let Some(recording) = recording else { continue };
            let (report, keyframes) = recording.tick();
            self.note(&report);
            self.ask(&lesson, keyframes);
        }
    }

    fn ask(&self, lesson: &LessonId, tracks: Vec<TrackId>) {
        if !self.up {
            return;
        }
        for track in tracks {
            self.telemetry.keyframes_asked.inc();
            self.subscriber.keyframe(lesson, &track);
        }
    }

    /// Once a second: the disk, manifests, gauges.
    fn round(&mut self) {
        self.hurry();
        match disk::free(&self.config.lessons()) {
            Ok(free) => {
                self.telemetry.disk_free.set(i64::try_from(free).unwrap_or(i64::MAX));
                let room = self.guard.look(free, Instant::now());
                self.room(room);
            }
            Err(error) => tracing::error!(%error, "the room on the disk is not known"),
        }
        let (mut recording, mut tracks) = (0, 0);
        for followed in self.lessons.values_mut() {
            let Some(current) = &mut followed.recording else { continue };
            recording += 1;
            tracks += current.writing();
            current.save();
        }
        self.telemetry.recording.set(recording);
        self.telemetry.tracks.set(tracks as i64);
    }

    /// Stops or goes on by the room there is. Only changes are logged.
    fn room(&mut self, room: Room) {
        let full = matches!(room, Room::Full(_));
        if self.telemetry.disk_full.get() == i64::from(full) && self.ready_says(full) {
            return;
        }
        match room {
            Room::Full(free) => {
                let free_mb = free >> 20;
                tracing::error!(
                    free_mb,
                    "the disk is full: recording stops, what is written is kept"
                );
                self.readiness.not_ready(
                    DISK,
                    format!("recording has stopped: the disk is full ({free_mb} MiB free)"),
                );
            }
            Room::Enough => {
                tracing::info!("there is room on the disk: recording");
                self.readiness.ready(DISK);
            }
        }
        self.telemetry.disk_full.set(i64::from(full));
        for followed in self.lessons.values_mut() {
            if let Some(recording) = &mut followed.recording {
                recording.pause(full);
            }
        }
    }

    fn ready_says(&self, full: bool) -> bool {
        self.readiness.missing().contains_key(DISK) == full
    }

    fn published(&mut self, done: Done) {
        let Done { dir, manifest, recording } = done;
        let duration_ms = recording.duration_ms;
        self.untold.insert(dir, Untold { manifest, duration_ms, asking: false });
        self.tell();
    }

    /// Tells lessons where they are in the library.
    fn tell(&mut self) {
        if !self.up {
            return;
        }
        for (dir, untold) in self.untold.iter_mut().filter(|(_, u)| !u.asking) {
            untold.asking = true;
            let lesson = untold.manifest.state.info.id.clone();
            let recording = self.config.page(&untold.manifest.id());
            let command = Command::Archived { recording, duration_ms: untold.duration_ms };
            let (subscriber, told, dir) = (self.subscriber.clone(), self.told.clone(), dir.clone());
            tokio::spawn(async move {
                let answer = subscriber.command(&lesson, command).await;
                // Fails when the recorder went down; the next start tells again.
                told.send((dir, answer)).ok();
            });
        }
    }

    fn answered(&mut self, dir: PathBuf, answer: Result<(), Refusal>) {
        let Some(untold) = self.untold.get_mut(&dir) else { return };
        untold.asking = false;
        let lesson = &untold.manifest.state.info.id;
        match answer {
            Err(Refusal::CampusAway | Refusal::Storage) => return,
            Err(refusal) => {
                tracing::warn!(%lesson, %refusal, "the lesson does not take its recording");
            }
            Ok(()) => tracing::info!(%lesson, "the lesson knows its recording"),
        }
        untold.manifest.stage = Stage::Announced;
        if let Err(error) = untold.manifest.save(&dir) {
            tracing::warn!(%error, "a manifest could not be saved; the lesson is told again later");
        }
        self.untold.remove(&dir);
    }

    /// Closes every file. The lessons go on at the next start.
    async fn put_down(self) {
        for followed in self.lessons.into_values() {
            let Some(recording) = followed.recording else { continue };
            let (dir, manifest, closing) = recording.finish();
            for part in closing {
                if let Err(error) = part.await {
                    tracing::error!(%error, "closing a recorded file failed");
                }
            }
            if let Err(error) = manifest.save(&dir) {
                tracing::error!(%error, "a manifest could not be saved");
            }
        }
    }
}
