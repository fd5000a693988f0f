//! The parts of a lesson that nodes kept while the campus was away: fetched over the trunk, piece
//! by piece, into the lesson's directory, where the finaliser finds them.
//!
//! What arrived stays over restarts of either end: a part is fetched on from where its file ends.

use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::media::Kind;
use cloudschool_protocol::spool::SpoolPart;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A piece that does not come within this is asked for again.
const AGAIN: Duration = Duration::from_secs(5);

/// Parts fetched at a time: one waits for the line while the other's piece is under way.
const AT_ONCE: usize = 2;

/// What lies beside a fetched part's media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    pub part: SpoolPart,
}

/// The file name of a part's media, whole.
fn media(id: Uuid) -> String {
    format!("kept.{id}.rtp")
}

/// Whole parts in a lesson's directory, the oldest of each track first.
///
/// # Errors
/// When the directory can't be read. A part that can't is left out.
pub fn fetched(dir: &Path) -> io::Result<Vec<(SpoolPart, PathBuf)>> {
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let is_one = path
            .file_name()
            .and_then(|n| n.to_str())
            .is_some_and(|name| name.starts_with("kept.") && name.ends_with(".json"));
        if !is_one {
            continue;
        }
        let read = std::fs::read(&path).map_err(|e| e.to_string());
        match read.and_then(|b| serde_json::from_slice::<Fetched>(&b).map_err(|e| e.to_string())) {
            Ok(Fetched { part }) => parts.push((part, path.with_extension("rtp"))),
            Err(error) => tracing::warn!(path = %path.display(), %error, "a kept part is left out"),
        }
    }
    parts.sort_by(|(a, _), (b, _)| (&a.track, a.from_ms).cmp(&(&b.track, b.from_ms)));
    Ok(parts)
}

/// A part on its way.
struct Fetch {
    lesson: LessonId,
    dir: PathBuf,
    part: SpoolPart,
    /// Its file, once it is being fetched.
    file: Option<File>,
    got: u64,
    asked: Option<Instant>,
}

/// What is to be done after something came.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for part `id` from `offset` on.
    Fetch { lesson: LessonId, id: Uuid, offset: u64 },
    /// Say that the part is here.
    Taken { lesson: LessonId, id: Uuid },
    /// Nothing more is on its way into this directory.
    Whole { dir: PathBuf },
}

/// Everything being fetched.
#[derive(Default)]
pub struct Backfills {
    fetches: BTreeMap<Uuid, Fetch>,
}

impl Backfills {
    /// Nodes told of these parts of `lesson`. `dir_of` is the directory of a run of it, if that
    /// is recorded here.
    pub fn told(
        &mut self,
        lesson: &LessonId,
        parts: Vec<SpoolPart>,
        dir_of: impl Fn(Uuid) -> Option<PathBuf>,
        now: Instant,
    ) -> Vec<Next> {
        let mut next = Vec::new();
        for part in parts {
            let id = part.id;
            let Some(dir) = dir_of(part.session) else { continue };
            if dir.join(media(id)).exists() {
                next.push(Next::Taken { lesson: lesson.clone(), id });
            } else {
                self.fetches.entry(id).or_insert_with(|| {
                    tracing::info!(%lesson, track = %part.track, bytes = part.bytes,
                        "a school kept its part of a lesson; fetching it");
                    let lesson = lesson.clone();
                    Fetch { lesson, dir, part, file: None, got: 0, asked: None }
                });
            }
        }
        next.extend(self.poll(now));
        next
    }

    /// A piece of `id` came. Empty, it is the end.
    pub fn piece(&mut self, id: Uuid, offset: u64, data: &[u8], now: Instant) -> Vec<Next> {
        let Some(fetch) = self.fetches.get_mut(&id) else { return Vec::new() };
        if offset != fetch.got {
            return Vec::new();
        }
        fetch.asked = None;
        let mut next = Vec::new();
        match fetch.take(data) {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!(lesson = %fetch.lesson, track = %fetch.part.track, "a school's part is here");
                next.push(Next::Taken { lesson: fetch.lesson.clone(), id });
                if let Some(Fetch { dir, .. }) = self.fetches.remove(&id)
                    && !self.awaited(&dir)
                {
                    next.push(Next::Whole { dir });
                }
            }
            Err(error) => {
                tracing::error!(%id, %error, "a school's part could not be stored; it is tried again");
                fetch.file = None;
                fetch.asked = Some(now);
            }
        }
        next.extend(self.poll(now));
        next
    }

    /// What is to be asked for now: sound before pictures, the oldest first.
    pub fn poll(&mut self, now: Instant) -> Vec<Next> {
        let mut order: Vec<Uuid> = self.fetches.keys().copied().collect();
        order.sort_by_key(|id| {
            let part = self.fetches.get(id).map(|f| &f.part);
            part.map(|p| (p.track.kind() == Kind::Video, p.from_ms))
        });
        let mut next = Vec::new();
        for id in order.into_iter().take(AT_ONCE) {
            let Some(fetch) = self.fetches.get_mut(&id) else { continue };
            if fetch.asked.is_some_and(|asked| now - asked < AGAIN) {
                continue;
            }
            if let Err(error) = fetch.open() {
                tracing::error!(%id, %error, "a school's part can't be stored");
            } else {
                let lesson = fetch.lesson.clone();
                next.push(Next::Fetch { lesson, id, offset: fetch.got });
            }
            fetch.asked = Some(now);
        }
        next
    }

    /// The trunk is gone: everything is asked for anew when parts are told of again.
    pub fn disconnected(&mut self) {
        self.fetches.values_mut().for_each(|fetch| fetch.asked = None);
    }

    /// Whether parts that belong into `dir` are still on their way.
    #[must_use]
    pub fn awaited(&self, dir: &Path) -> bool {
        self.fetches.values().any(|fetch| fetch.dir == dir)
    }
}

impl Fetch {
    fn path(&self) -> PathBuf {
        self.dir.join(media(self.part.id))
    }

    /// Goes on with what an earlier run fetched.
    fn open(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let path = self.path().with_extension("part");
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            self.got = file.metadata()?.len();
            self.file = Some(file);
        }
        Ok(())
    }

    /// Adds a piece; says whether the part is whole.
    fn take(&mut self, data: &[u8]) -> io::Result<bool> {
        self.open()?;
        let Some(file) = &mut self.file else { return Ok(false) };
        file.write_all(data)?;
        self.got += data.len() as u64;
        if !data.is_empty() && self.got < self.part.bytes {
            return Ok(false);
        }
        file.sync_all()?;
        // The description last: with it the part is whole.
        std::fs::rename(self.path().with_extension("part"), self.path())?;
        let fetched = serde_json::to_vec(&Fetched { part: self.part.clone() })?;
        crate::writer::replace(&self.path().with_extension("json"), &fetched)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::id::NodeId;
    use cloudschool_protocol::media::Codec;

    fn lesson() -> LessonId {
        LessonId::new("math").unwrap()
    }

    fn part(n: u128, track: &str, from_ms: u64, bytes: u64) -> SpoolPart {
        SpoolPart {
            id: Uuid::from_u128(n),
            node: NodeId::new("school-01").unwrap(),
            session: Uuid::from_u128(7),
            track: track.parse().unwrap(),
            codec: Codec::Opus,
            from_ms,
            to_ms: from_ms + 1,
            bytes,
        }
    }

    fn fetch(n: u128, offset: u64) -> Next {
        Next::Fetch { lesson: lesson(), id: Uuid::from_u128(n), offset }
    }

    #[test]
    fn sound_comes_first_and_what_does_not_come_is_asked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir_of = |session| (session == Uuid::from_u128(7)).then(|| dir.path().to_owned());
        let now = Instant::now();
        let mut all = Backfills::default();
        let foreign = SpoolPart { session: Uuid::nil(), ..part(9, "a/microphone", 0, 5) };
        let parts = vec![
            part(1, "room/camera", 1, 10),
            part(2, "room/microphone", 5, 6),
            part(3, "other/microphone", 3, 4),
            foreign,
        ];
        assert_eq!(all.told(&lesson(), parts.clone(), dir_of, now), [fetch(3, 0), fetch(2, 0)]);
        assert!(all.told(&lesson(), parts.clone(), dir_of, now).is_empty(), "told of again");
        assert!(all.awaited(dir.path()));
        assert_eq!(all.piece(Uuid::from_u128(3), 0, b"ab", now), [fetch(3, 2)]);
        assert!(all.piece(Uuid::from_u128(3), 0, b"ab", now).is_empty(), "twice");
        assert_eq!(all.poll(now + AGAIN), [fetch(3, 2), fetch(2, 0)]);
        // A restart of the recorder goes on from there.
        let mut all = Backfills::default();
        assert_eq!(all.told(&lesson(), parts, dir_of, now), [fetch(3, 2), fetch(2, 0)]);
        let taken = Next::Taken { lesson: lesson(), id: Uuid::from_u128(3) };
        assert_eq!(all.piece(Uuid::from_u128(3), 2, b"cd", now), [taken, fetch(1, 0)]);
        let whole = fetched(dir.path()).unwrap();
        assert_eq!(whole.len(), 1);
        assert_eq!(std::fs::read(&whole[0].1).unwrap(), b"abcd");
        all.piece(Uuid::from_u128(2), 0, b"abcdef", now);
        let last = all.piece(Uuid::from_u128(1), 0, b"", now);
        assert!(last.contains(&Next::Whole { dir: dir.path().to_owned() }), "shorter than told");
        assert!(!all.awaited(dir.path()));
    }
}
