//! Lessons of the days to come, at the campus's node: kept in one file, opened by themselves
//! a while before their bell. What is open is the lessons' own log's; this knows only what is not.

mod sheet;

pub use sheet::{BadRow, Sheet, SheetError, Zone, read as read_sheet};

use crate::joining::Codes;
use crate::lesson::Lessons;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::lesson::{LessonInfo, Phase};
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::LessonLine;
use cloudschool_service::clock::now_ms;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Most lessons that may wait: a campus of a thousand teachers for a month.
pub const MAX_WAITING: usize = 100_000;

/// How long to wait before trying again to open a lesson that could not be stored.
const AGAIN: Duration = Duration::from_secs(10);

/// Longest sleep at once: a machine's clock may be set meanwhile.
const LOOK_UP: Duration = Duration::from_secs(60);

const FILE: &str = "timetable.json";

/// Why the timetable can't be used or changed.
#[derive(Debug, thiserror::Error)]
pub enum TimetableError {
    #[error("the timetable {} can't be used: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the timetable {} is damaged: {source}", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("the timetable is full: {MAX_WAITING} lessons are waiting")]
    Full,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    lessons: Vec<LessonInfo>,
}

/// The lessons that wait for their time.
#[derive(Debug)]
pub struct Timetable {
    path: PathBuf,
    waiting: Mutex<BTreeMap<LessonId, LessonInfo>>,
    /// How long before its bell a lesson opens, in ms.
    opens_before_ms: u64,
    changed: Notify,
}

impl Timetable {
    /// The timetable under `dir`, as it was left.
    ///
    /// # Errors
    /// [`TimetableError`] when it can't be read or is damaged.
    pub fn open(dir: &Path, opens_before: Duration) -> Result<Self, TimetableError> {
        let path = dir.join(FILE);
        let failed = |source| TimetableError::File { path: path.clone(), source };
        fs::create_dir_all(dir).map_err(failed)?;
        let stored: Stored = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|source| TimetableError::Damaged { path: path.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Stored::default(),
            Err(error) => return Err(failed(error)),
        };
        let waiting = stored.lessons.into_iter().map(|info| (info.id.clone(), info)).collect();
        let opens_before_ms = u64::try_from(opens_before.as_millis()).unwrap_or(u64::MAX);
        Ok(Self { path, waiting: Mutex::new(waiting), opens_before_ms, changed: Notify::new() })
    }

    /// Whether a lesson planned like that is to wait, rather than to open now.
    #[must_use]
    pub fn is_early(&self, info: &LessonInfo, now_ms: u64) -> bool {
        info.planned_start_ms.is_some_and(|start| self.opens_at(start) > now_ms)
    }

    fn opens_at(&self, start_ms: u64) -> u64 {
        start_ms.saturating_sub(self.opens_before_ms)
    }

    /// Lessons that wait, each as one that is scheduled.
    #[must_use]
    pub fn lines(&self) -> Vec<LessonLine> {
        let line = |info: &LessonInfo| LessonLine { info: info.clone(), phase: Phase::Scheduled };
        self.lock().values().map(line).collect()
    }

    /// The lesson, when it waits.
    #[must_use]
    pub fn get(&self, id: &LessonId) -> Option<LessonInfo> {
        self.lock().get(id).cloned()
    }

    /// Puts lessons in, in place of what was known of them: all of them, or with an error none.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// [`TimetableError`] when there are too many, or the disk has no room.
    pub fn put(&self, lessons: Vec<LessonInfo>) -> Result<(), TimetableError> {
        self.change(|waiting| {
            waiting.extend(lessons.into_iter().map(|info| (info.id.clone(), info)));
        })
    }

    /// Takes lessons out: they are open now, or called off. Says of how many that is true.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// [`TimetableError`] when the change can't be stored.
    pub fn remove(&self, ids: &[LessonId]) -> Result<usize, TimetableError> {
        let known =
            |waiting: &BTreeMap<_, _>| ids.iter().filter(|id| waiting.contains_key(*id)).count();
        let there = known(&self.lock());
        if there > 0 {
            self.change(|waiting| ids.iter().for_each(|id| drop(waiting.remove(id))))?;
        }
        Ok(there)
    }

    fn change(
        &self,
        change: impl FnOnce(&mut BTreeMap<LessonId, LessonInfo>),
    ) -> Result<(), TimetableError> {
        let mut waiting = self.lock();
        let mut next = waiting.clone();
        change(&mut next);
        if next.len() > MAX_WAITING {
            return Err(TimetableError::Full);
        }
        self.store(&next)
            .map_err(|source| TimetableError::File { path: self.path.clone(), source })?;
        *waiting = next;
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// A whole file takes the place of the one before, so that a cut of power leaves either.
    fn store(&self, waiting: &BTreeMap<LessonId, LessonInfo>) -> io::Result<()> {
        let stored = Stored { lessons: waiting.values().cloned().collect() };
        let beside = self.path.with_extension("tmp");
        let mut file = fs::File::create(&beside)?;
        file.write_all(&serde_json::to_vec(&stored)?)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)
    }

    /// Those whose time to open has come, and when the next one's does.
    fn due(&self, now_ms: u64) -> (Vec<LessonInfo>, Option<u64>) {
        let waiting = self.lock();
        let opens = |info: &LessonInfo| self.opens_at(info.planned_start_ms.unwrap_or(0));
        let due = waiting.values().filter(|info| opens(info) <= now_ms).cloned().collect();
        let next = waiting.values().map(opens).filter(|at| *at > now_ms).min();
        (due, next)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<LessonId, LessonInfo>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens lessons when their time comes, for as long as the node runs.
pub async fn run(timetable: Arc<Timetable>, lessons: Arc<Lessons>, codes: Codes) {
    loop {
        let now = now_ms();
        let (due, next) = timetable.due(now);
        let mut again = false;
        let mut done = Vec::new();
        for info in due {
            match lessons.open(codes.given(info.clone(), &lessons)).await {
                Ok(_) => {
                    tracing::info!(lesson = %info.id, "the lesson is open: its time has come");
                    done.push(info.id);
                }
                // Being given already, by whoever could not wait.
                Err(Refusal::AlreadyLive) => done.push(info.id),
                Err(refusal) => {
                    tracing::error!(%refusal, lesson = %info.id, "the lesson can't be opened");
                    again = true;
                }
            }
        }
        if !done.is_empty() {
            let table = timetable.clone();
            let removed = tokio::task::spawn_blocking(move || table.remove(&done)).await;
            if let Ok(Err(error)) = removed {
                tracing::error!(%error, "lessons that are open stay in the timetable");
                again = true;
            }
        }
        let wait = match (again, next) {
            (true, _) => AGAIN,
            (false, Some(at)) => Duration::from_millis(at.saturating_sub(now_ms())).min(LOOK_UP),
            (false, None) => LOOK_UP,
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = timetable.changed.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: Duration = Duration::from_secs(900);
    const MINUTE: u64 = 60_000;

    fn info(id: &str, start_ms: u64) -> LessonInfo {
        serde_json::from_value(serde_json::json!({
            "id": id, "title": "分数的意义", "teacher": "李老师", "campus": "campus",
            "plannedStartMs": start_ms,
        }))
        .unwrap()
    }

    #[test]
    fn a_lesson_waits_until_a_quarter_of_an_hour_before_its_bell() {
        let dir = tempfile::tempdir().unwrap();
        let table = Timetable::open(dir.path(), QUARTER).unwrap();
        let bell = 100 * MINUTE;
        assert!(table.is_early(&info("a", bell), 84 * MINUTE));
        assert!(!table.is_early(&info("a", bell), 85 * MINUTE));
        assert!(!table.is_early(&info("a", bell), 200 * MINUTE));
        table.put(vec![info("a", bell), info("b", bell + MINUTE)]).unwrap();
        let (due, next) = table.due(84 * MINUTE);
        assert_eq!((due.len(), next), (0, Some(85 * MINUTE)));
        let (due, next) = table.due(85 * MINUTE);
        assert_eq!((due[0].id.as_str(), due.len(), next), ("a", 1, Some(86 * MINUTE)));
        assert_eq!(table.due(90 * MINUTE).0.len(), 2);
    }

    #[test]
    fn the_timetable_is_there_again_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let table = Timetable::open(dir.path(), QUARTER).unwrap();
        let two = vec![info("a", 1), info("b", 2)];
        table.put(two).unwrap();
        let id = LessonId::new("a").unwrap();
        assert_eq!(table.remove(std::slice::from_ref(&id)).unwrap(), 1);
        assert_eq!(table.remove(&[id]).unwrap(), 0);
        drop(table);
        let table = Timetable::open(dir.path(), QUARTER).unwrap();
        let lines = table.lines();
        assert_eq!((lines.len(), lines[0].info.id.as_str()), (1, "b"));
        assert_eq!(lines[0].phase, Phase::Scheduled);
    }

    #[test]
    fn a_damaged_timetable_is_said_and_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{").unwrap();
        let error = Timetable::open(dir.path(), QUARTER).unwrap_err();
        assert!(matches!(error, TimetableError::Damaged { .. }), "{error}");
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), b"{");
    }
}
