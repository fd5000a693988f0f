//! All lessons of a node, by id, and the handle others hold of one.

use super::feed::{Feed, Subscription};
use super::log::{Durability, EventLog, LogError};
use super::mirror::{self, FollowAgain, Forward, Mirror};
use super::origin::Origin;
use super::provisional::Sides;
use super::queue::QueueFile;
use super::rules::Limits;
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::{Event, EventBody, LeaveReason};
use cloudschool_protocol::id::{LessonId, MemberId, NodeId, SchoolId};
use cloudschool_protocol::lesson::{LessonInfo, State};
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::{HandUpEntry, HandUpOutcome, LessonLine};
use dashmap::DashMap;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long to wait before telling the origin again of members that are gone.
const REPORT_AGAIN: Duration = Duration::from_secs(5);

/// Where lessons are kept and how much they may hold.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory with one directory per lesson.
    pub dir: PathBuf,
    /// This node.
    pub node: NodeId,
    pub limits: Limits,
    /// What people call schools: lessons that are opened here say it.
    pub school_names: BTreeMap<SchoolId, String>,
    /// How long members that were connected to an earlier life of this node may take to
    /// come back before they count as lost.
    pub rejoin_within: Duration,
}

/// The lessons can't be kept.
#[derive(Debug, thiserror::Error)]
#[error("the lessons' directory {} can't be used: {source}", dir.display())]
pub struct LessonsError {
    dir: PathBuf,
    source: std::io::Error,
}

/// The list of lessons, and a way to hear of its changes.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    lines: watch::Sender<Arc<BTreeMap<LessonId, LessonLine>>>,
}

impl Board {
    /// Shows the lesson as `state` has it.
    pub(super) fn show(&self, state: &State) {
        let line = LessonLine { info: state.info.clone(), phase: state.phase };
        self.lines.send_if_modified(|lines| {
            let known = lines.get(&state.info.id) == Some(&line);
            if !known {
                Arc::make_mut(lines).insert(state.info.id.clone(), line);
            }
            !known
        });
    }
}

/// Every lesson this node knows.
#[derive(Debug)]
pub struct Lessons {
    settings: Settings,
    lessons: DashMap<LessonId, Arc<LessonHandle>>,
    board: Board,
    /// The way up, at an edge.
    up: Option<mpsc::Sender<Forward>>,
    /// Whether the origin can be reached.
    campus: watch::Sender<bool>,
    /// One lesson is opened at a time, so none is begun twice.
    opening: tokio::sync::Mutex<()>,
}

impl Lessons {
    /// The lessons of a node that owns them, as it left them. Must be called in a runtime.
    ///
    /// # Errors
    /// [`LessonsError`] when the directory can't be used. A lesson whose log is damaged is
    /// reported in the process's log and left out; the others are served.
    pub fn origin(settings: Settings) -> Result<Arc<Self>, LessonsError> {
        let lessons = Self::new(settings, None);
        for (id, dir) in lessons.stored()? {
            match EventLog::open(&dir, Durability::Synced) {
                Ok((log, events)) if !events.is_empty() => {
                    lessons.restore(&id, Stored { log: Some(log), events, ..Stored::default() });
                }
                // Its first event was never stored, so nobody was told of it.
                Ok(_) => {}
                Err(error) => tracing::error!(%error, lesson = %id, "a lesson is left out"),
            }
        }
        Ok(lessons)
    }

    /// The lessons an edge mirrors, as far as it had come, and the commands it sends up.
    ///
    /// # Errors
    /// [`LessonsError`] when the directory can't be used.
    pub fn edge(settings: Settings) -> Result<(Arc<Self>, mpsc::Receiver<Forward>), LessonsError> {
        let (up, forwards) = mpsc::channel(mirror::QUEUE);
        let lessons = Self::new(settings, Some(up));
        for (id, dir) in lessons.stored()? {
            let stored = open_copy(&id, &dir);
            if !stored.events.is_empty() {
                lessons.restore(&id, stored);
            }
        }
        Ok((lessons, forwards))
    }

    fn new(settings: Settings, up: Option<mpsc::Sender<Forward>>) -> Arc<Self> {
        let lessons = DashMap::new();
        let opening = tokio::sync::Mutex::default();
        let campus = watch::Sender::new(up.is_none());
        Arc::new(Self { settings, lessons, board: Board::default(), up, campus, opening })
    }

    /// At an edge: whether the origin can be reached. While it can't, this node decides what
    /// its own members ask, and hands that up when it can again.
    pub fn set_campus(&self, reachable: bool) {
        self.campus.send_if_modified(|now| std::mem::replace(now, reachable) != reachable);
    }

    /// The lesson, if this node knows it.
    #[must_use]
    pub fn get(&self, id: &LessonId) -> Option<Arc<LessonHandle>> {
        self.lessons.get(id).map(|l| l.clone())
    }

    /// Every lesson this node knows.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<LessonHandle>> {
        self.lessons.iter().map(|l| l.clone()).collect()
    }

    /// Whether this node is their origin.
    #[must_use]
    pub fn are_ours(&self) -> bool {
        self.up.is_none()
    }

    /// The list of lessons, by id.
    #[must_use]
    pub fn lines(&self) -> Vec<LessonLine> {
        self.board.lines.borrow().values().cloned().collect()
    }

    /// Tells when [`lines`](Self::lines) is another.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<BTreeMap<LessonId, LessonLine>>> {
        self.board.lines.subscribe()
    }

    /// Opens a lesson of this node's own: a new one, or a known one as [`super::rules::open`]
    /// has it. Says whether it is new.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] at an edge, [`Refusal::AlreadyLive`] in mid-lesson and
    /// [`Refusal::Storage`] when it can't be stored.
    pub async fn open(&self, info: LessonInfo) -> Result<(Arc<LessonHandle>, bool), Refusal> {
        if self.up.is_some() {
            return Err(Refusal::NotAllowed);
        }
        let _one = self.opening.lock().await;
        let info = self.named(info);
        let id = info.id.clone();
        let known = self.get(&id);
        let new = known.is_none();
        let lesson = match known {
            Some(lesson) => lesson,
            None => self.begin(&info).await?,
        };
        // It must be found by whoever sees it on the board, which is before this returns.
        self.lessons.insert(id.clone(), lesson.clone());
        if let Authority::Origin(origin) = &lesson.authority
            && let Err(refusal) = origin.open(info).await
        {
            if new {
                self.lessons.remove(&id);
            }
            return Err(refusal);
        }
        Ok((lesson, new))
    }

    /// `info` with what people call its schools.
    #[must_use]
    pub fn named(&self, info: LessonInfo) -> LessonInfo {
        info.with_names(&self.settings.school_names)
    }

    async fn begin(&self, info: &LessonInfo) -> Result<Arc<LessonHandle>, Refusal> {
        let dir = self.dir(&info.id);
        let opened = tokio::task::spawn_blocking(move || EventLog::open(&dir, Durability::Synced));
        let (log, events) = match opened.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => {
                tracing::error!(%error, lesson = %info.id, "a lesson can't be opened");
                return Err(Refusal::Storage);
            }
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        let stored = Stored { log: Some(log), events, ..Stored::default() };
        Ok(self.handle(replayed(info, &stored.events), stored))
    }

    /// At an edge: what the campus has for this node, whole. New lessons are mirrored from
    /// now on; those gone from the list are forgotten.
    pub fn sync(&self, lines: Vec<LessonLine>) {
        if self.up.is_none() {
            return;
        }
        let listed: BTreeMap<_, _> = lines.into_iter().map(|l| (l.info.id.clone(), l)).collect();
        for (id, line) in &listed {
            if !self.lessons.contains_key(id) {
                let stored = open_copy(id, &self.dir(id));
                let state = replayed(&line.info, &stored.events);
                self.lessons.insert(id.clone(), self.handle(state, stored));
            }
        }
        self.lessons.retain(|id, _| listed.contains_key(id));
        self.board.lines.send_if_modified(|lines| {
            let changed = **lines != listed;
            if changed {
                *lines = Arc::new(listed);
            }
            changed
        });
    }

    fn restore(&self, id: &LessonId, stored: Stored) {
        let Some(info) = stored.events.iter().find_map(opened) else {
            tracing::error!(lesson = %id, "a lesson that was never opened is left out");
            return;
        };
        let state = replayed(&info, &stored.events);
        self.board.show(&state);
        let handle = self.handle(state, stored);
        // With those who came in while the origin was away.
        let state = handle.state();
        let here = state.members.values().filter(|m| m.node == self.settings.node);
        let members: BTreeMap<_, _> = here.map(|m| (m.id.clone(), LeaveReason::Lost)).collect();
        if !members.is_empty() {
            handle.missing().members = members;
            handle.report_missing(self.settings.rejoin_within);
        }
        self.lessons.insert(id.clone(), handle);
    }

    fn handle(&self, state: State, stored: Stored) -> Arc<LessonHandle> {
        let id = state.info.id.clone();
        let node = self.settings.node.clone();
        let limits = self.settings.limits;
        let Stored { log, events, queue, mut entries } = stored;
        let authority = |feed: Arc<Feed>, events: &[Event]| match (&self.up, log) {
            (Some(up), log) => {
                let known: HashSet<_> = events.iter().map(|event| event.id).collect();
                entries.retain(|entry| !known.contains(&entry.id));
                let sides = Sides::new(node.clone(), limits, state.clone(), entries);
                let (up, campus) = (up.clone(), self.campus.subscribe());
                Authority::Mirror(Mirror::start(
                    node.clone(),
                    feed,
                    up,
                    campus,
                    sides,
                    (log, queue),
                ))
            }
            (None, Some(log)) => {
                Authority::Origin(Origin::start(feed, log, limits, self.board.clone(), events))
            }
            (None, None) => Authority::Nobody,
        };
        let feed = Feed::new(state.clone(), events.clone());
        let authority = authority(feed.clone(), &events);
        Arc::new(LessonHandle {
            id,
            node,
            feed,
            authority,
            missing: Mutex::default(),
            returning: Default::default(),
        })
    }

    fn dir(&self, id: &LessonId) -> PathBuf {
        self.settings.dir.join(id.as_str())
    }

    fn stored(&self) -> Result<Vec<(LessonId, PathBuf)>, LessonsError> {
        let dir = &self.settings.dir;
        let failed = |source| LessonsError { dir: dir.clone(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|n| n.to_str()).map(LessonId::new);
            match name {
                Some(Ok(id)) if path.is_dir() => found.push((id, path)),
                _ => tracing::warn!(path = %path.display(), "this is no lesson; it is left alone"),
            }
        }
        Ok(found)
    }
}

/// What of a lesson is on the disk.
#[derive(Debug, Default)]
struct Stored {
    log: Option<EventLog>,
    events: Vec<Event>,
    /// At an edge: what it decided and has not handed up.
    queue: Option<QueueFile>,
    entries: Vec<HandUpEntry>,
}

/// An edge's copy. One that can't be read is thrown away: the origin has it all, but for what
/// was decided here.
fn open_copy(id: &LessonId, dir: &Path) -> Stored {
    let opened = EventLog::open(dir, Durability::Written).or_else(|error| {
        tracing::warn!(%error, lesson = %id, "the copy of a lesson is taken anew");
        let path = dir.join(super::log::FILE);
        match std::fs::remove_file(&path) {
            Ok(()) => EventLog::open(dir, Durability::Written),
            Err(source) => Err(LogError::Io { path, source }),
        }
    });
    let mut stored = Stored::default();
    match opened {
        Ok((log, events)) => (stored.log, stored.events) = (Some(log), events),
        Err(error) => tracing::warn!(%error, lesson = %id, "this lesson is kept in memory alone"),
    }
    match QueueFile::open(dir) {
        Ok((queue, entries)) => (stored.queue, stored.entries) = (Some(queue), entries),
        Err(error) => {
            tracing::error!(%error, lesson = %id, "without the campus nothing can be decided here");
        }
    }
    stored
}

fn replayed(info: &LessonInfo, events: &[Event]) -> State {
    let mut state = State::new(info.clone());
    for event in events {
        // The log checked their numbers when it read them.
        if let Err(gap) = state.apply(event) {
            tracing::error!(lesson = %info.id, %gap, "a log was read with a gap");
        }
    }
    state
}

fn opened(event: &Event) -> Option<LessonInfo> {
    match &event.body {
        EventBody::LessonOpened { info } => Some(info.clone()),
        _ => None,
    }
}

#[derive(Debug)]
enum Authority {
    /// This node decides.
    Origin(Origin),
    /// The node above decides.
    Mirror(Arc<Mirror>),
    /// Nobody can: there is no log to write to.
    Nobody,
}

/// Members to report as gone: connected to an earlier life of this node and not back yet, or
/// gone while the origin could not be told.
#[derive(Debug, Default)]
struct Missing {
    members: BTreeMap<MemberId, LeaveReason>,
    /// A task is about to report them.
    reporting: bool,
}

/// One lesson at this node.
#[derive(Debug)]
pub struct LessonHandle {
    id: LessonId,
    node: NodeId,
    feed: Arc<Feed>,
    authority: Authority,
    /// Members that are gone as far as this node knows, while the lesson still has them.
    missing: Mutex<Missing>,
    /// Held to report someone gone, and shared by who comes back meanwhile: otherwise the
    /// report could overtake the return.
    returning: tokio::sync::RwLock<()>,
}

impl LessonHandle {
    #[must_use]
    pub fn id(&self) -> &LessonId {
        &self.id
    }

    /// The lesson as it is now. Cheap.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.feed.state()
    }

    /// Every event after number `after`, in order, once. A subscriber ahead of the lesson
    /// gets it from the beginning.
    #[must_use]
    pub fn subscribe(&self, after: u64) -> Subscription {
        self.feed.subscribe(after)
    }

    /// The lesson as it is now, and every event after that.
    #[must_use]
    pub fn follow(&self) -> (Arc<State>, Subscription) {
        self.feed.follow()
    }

    /// Has `command`, reported by node `from`, decided. When it is, its events are stored at
    /// the origin and applied here.
    ///
    /// At an edge that can't reach the origin, what its own members ask is decided here, shown
    /// at once and handed up later; what is the origin's alone is refused with
    /// [`Refusal::CampusAway`].
    ///
    /// Who may send which command is decided by the member's role and node; that
    /// [`Command::Archived`] comes from a recorder is for the trunk to check.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with.
    pub async fn submit(self: &Arc<Self>, command: Command, from: &NodeId) -> Result<(), Refusal> {
        let mut _returning = None;
        if let Command::Join { member } = &command
            && self.missing().reporting
        {
            _returning = Some(self.returning.read().await);
            self.missing().members.remove(&member.id);
        }
        match &self.authority {
            Authority::Origin(origin) => origin.submit(command, from.clone()).await,
            Authority::Mirror(mirror) => {
                let left = match &command {
                    Command::Leave { member, reason } => Some((member.clone(), *reason)),
                    _ => None,
                };
                let outcome = mirror.submit(command, from).await;
                match left {
                    Some((member, reason)) if *from == self.node && outcome.is_err() => {
                        self.missing().members.insert(member, reason);
                        self.report_missing(REPORT_AGAIN);
                        Ok(())
                    }
                    _ => outcome,
                }
            }
            Authority::Nobody => Err(Refusal::Storage),
        }
    }

    /// Takes what node `from` decided, or had handed up to it, while the origin was away. Tells
    /// of those that were dealt with; the others are to be handed up again.
    pub async fn hand_up(
        &self,
        mut entries: Vec<HandUpEntry>,
        from: &NodeId,
    ) -> Vec<HandUpOutcome> {
        match &self.authority {
            Authority::Origin(origin) => origin.hand_up(entries, from.clone()).await,
            Authority::Mirror(mirror) => {
                for entry in &mut entries {
                    entry.from.get_or_insert_with(|| from.clone());
                }
                mirror.pass_up(entries).await.unwrap_or_default()
            }
            Authority::Nobody => Vec::new(),
        }
    }

    /// Number of the last event of the origin's that is shown here.
    #[must_use]
    pub fn decided_seq(&self) -> u64 {
        self.feed.decided_seq()
    }

    /// At an edge: after which event to follow the lesson at the origin.
    #[must_use]
    pub fn follow_after(&self) -> u64 {
        match &self.authority {
            Authority::Mirror(mirror) => mirror.follow_after(),
            Authority::Origin(_) | Authority::Nobody => self.state().seq,
        }
    }

    /// At an edge: takes over events from the origin.
    ///
    /// # Errors
    /// [`FollowAgain`] when they don't follow what this node has.
    pub async fn apply(&self, events: Vec<Event>) -> Result<(), FollowAgain> {
        match &self.authority {
            Authority::Mirror(mirror) => mirror.apply(events).await,
            // An origin takes events from nobody.
            Authority::Origin(_) | Authority::Nobody => Ok(()),
        }
    }

    fn missing(&self) -> MutexGuard<'_, Missing> {
        // Whole after any panic: each change is one call.
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the origin after `delay` of members that are gone, until it knows of all.
    fn report_missing(self: &Arc<Self>, delay: Duration) {
        if !std::mem::replace(&mut self.missing().reporting, true) {
            let lesson = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                while lesson.report_next().await {}
            });
        }
    }

    /// Reports one member gone; `false` when there is none left.
    async fn report_next(&self) -> bool {
        let alone = self.returning.write().await;
        let Some((member, reason)) = self.next_missing() else { return false };
        let leave = Command::Leave { member: member.clone(), reason };
        let outcome = match &self.authority {
            Authority::Origin(origin) => origin.submit(leave, self.node.clone()).await,
            Authority::Mirror(mirror) => mirror.submit(leave, &self.node).await,
            Authority::Nobody => return false,
        };
        match outcome {
            Ok(()) => {
                self.missing().members.remove(&member);
            }
            Err(refusal) => {
                drop(alone);
                tracing::info!(lesson = %self.id, %member, %refusal, "can't report a loss yet");
                tokio::time::sleep(REPORT_AGAIN).await;
            }
        }
        true
    }

    fn next_missing(&self) -> Option<(MemberId, LeaveReason)> {
        let mut missing = self.missing();
        let next =
            missing.members.first_key_value().map(|(member, reason)| (member.clone(), *reason));
        missing.reporting = next.is_some();
        next
    }
}

#[cfg(test)]
mod tests;
