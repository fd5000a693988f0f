//! Assets on disk, next to their lesson: `lessons/{lesson}/assets/{sha256}.{kind}`. A file is
//! there whole or not at all. At a school the disk they take is bounded, and what was not used
//! for longest goes first; what is still to be handed up never does.

use super::{AssetError, Key};
use cloudschool_protocol::asset::{AssetId, AssetKind};
use cloudschool_protocol::id::LessonId;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// A lesson's folder for them.
const FOLDER: &str = "assets";
/// Beside an asset that the origin does not have yet.
const TO_HAND_UP: &str = "up";
/// Not whole yet; of a run that is over, it is removed.
const UNFINISHED: &str = "part";

/// What one lesson may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssetLimits {
    /// Most bytes of one asset.
    pub file: u64,
    /// Most bytes of a lesson's assets together.
    pub lesson: u64,
    /// Most assets of a lesson.
    pub count: usize,
}

/// An asset on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    pub kind: AssetKind,
    pub bytes: u64,
}

/// What is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreFigures {
    pub assets: u64,
    pub bytes: u64,
    /// That gave way to others.
    pub evicted: u64,
}

#[derive(Debug, Clone)]
struct Held {
    kind: AssetKind,
    bytes: u64,
    /// Rises with every use.
    used: u64,
    to_hand_up: bool,
}

#[derive(Debug, Default)]
struct Index {
    held: HashMap<Key, Held>,
    uses: u64,
    figures: StoreFigures,
}

#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    limits: AssetLimits,
    cache: Option<u64>,
    index: Mutex<Index>,
}

impl Store {
    /// Finds what is there under the lessons' directory.
    pub(super) fn open(dir: PathBuf, limits: AssetLimits, cache: Option<u64>) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let mut found: Vec<(SystemTime, Key, Held)> = Vec::new();
        for lesson in fs::read_dir(&dir)? {
            let lesson = lesson?;
            let id = lesson.file_name().to_str().and_then(|name| LessonId::new(name).ok());
            let (Some(id), folder) = (id, lesson.path().join(FOLDER)) else { continue };
            if folder.is_dir() {
                read_folder(&id, &folder, &mut found)?;
            }
        }
        found.sort_by_key(|(used, ..)| *used);
        let mut index = Index::default();
        for (used, (_, key, held)) in found.into_iter().enumerate() {
            index.figures.assets += 1;
            index.figures.bytes += held.bytes;
            index.held.insert(key, Held { used: used as u64, ..held });
        }
        index.uses = index.held.len() as u64;
        Ok(Self { dir, limits, cache, index: Mutex::new(index) })
    }

    pub(super) fn limits(&self) -> &AssetLimits {
        &self.limits
    }

    pub(super) fn figures(&self) -> StoreFigures {
        self.index().figures
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // Whole after any panic: nothing between its changes can panic.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self, lesson: &LessonId) -> PathBuf {
        self.dir.join(lesson.as_str()).join(FOLDER)
    }

    fn path(&self, (lesson, asset): &Key, kind: AssetKind) -> PathBuf {
        self.folder(lesson).join(format!("{asset}.{}", kind.extension()))
    }

    fn mark(&self, (lesson, asset): &Key) -> PathBuf {
        self.folder(lesson).join(format!("{asset}.{TO_HAND_UP}"))
    }

    /// An asset that is here, and is used now.
    pub(super) fn get(&self, key: &Key) -> Option<Found> {
        let mut index = self.index();
        index.uses += 1;
        let now = index.uses;
        let held = index.held.get_mut(key)?;
        held.used = now;
        let (kind, bytes) = (held.kind, held.bytes);
        Some(Found { path: self.path(key, kind), kind, bytes })
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.index().held.contains_key(key)
    }

    /// Whether the lesson has room for one more asset of so many bytes.
    pub(super) fn admits(&self, lesson: &LessonId, bytes: u64) -> Result<(), AssetError> {
        if bytes > self.limits.file {
            return Err(AssetError::TooLarge(self.limits.file));
        }
        self.has_room(&self.index(), lesson, bytes)
    }

    fn has_room(&self, index: &Index, lesson: &LessonId, bytes: u64) -> Result<(), AssetError> {
        // A school keeps what it fetched within its own bounds, whatever lesson it is of.
        if self.cache.is_some() {
            return Ok(());
        }
        let of_lesson = index.held.iter().filter(|((l, _), _)| l == lesson);
        let (count, total) =
            of_lesson.fold((0, 0), |(count, total), (_, held)| (count + 1, total + held.bytes));
        match count >= self.limits.count || total + bytes > self.limits.lesson {
            true => Err(AssetError::LessonFull),
            false => Ok(()),
        }
    }

    /// A file to write an asset into that is not whole yet. Blocks.
    pub(super) fn unfinished(&self, lesson: &LessonId) -> io::Result<(File, PathBuf)> {
        let folder = self.folder(lesson);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}.{UNFINISHED}", uuid::Uuid::now_v7()));
        Ok((File::create_new(&path)?, path))
    }

    /// Keeps what was written into `part`, which is whole and is `key`. `to_hand_up` remembers
    /// that the origin is to get it. Blocks.
    pub(super) fn keep(
        &self,
        key: &Key,
        kind: AssetKind,
        part: (File, &Path),
        to_hand_up: bool,
    ) -> Result<Found, AssetError> {
        let (file, part) = part;
        let kept = self.put(key, kind, &file, part, to_hand_up);
        if kept.is_err() {
            remove(part);
        }
        kept
    }

    fn put(
        &self,
        key: &Key,
        kind: AssetKind,
        file: &File,
        part: &Path,
        to_hand_up: bool,
    ) -> Result<Found, AssetError> {
        let bytes = file.metadata()?.len();
        if let Some(found) = self.get(key) {
            remove(part);
            return Ok(found);
        }
        self.admits(&key.0, bytes)?;
        file.sync_all()?;
        let path = self.path(key, kind);
        if to_hand_up {
            File::create(self.mark(key))?.sync_all()?;
        }
        // One rename, with the index locked: two that finish at once are one.
        let mut index = self.index();
        self.has_room(&index, &key.0, bytes)?;
        fs::rename(part, &path)?;
        File::open(self.folder(&key.0))?.sync_all()?;
        index.uses += 1;
        let held = Held { kind, bytes, used: index.uses, to_hand_up };
        if index.held.insert(key.clone(), held).is_none() {
            index.figures.assets += 1;
            index.figures.bytes += bytes;
        }
        self.make_room(&mut index, key);
        Ok(Found { path, kind, bytes })
    }

    /// Lets go of what was not used for longest, until the rest fits; never of `newest`.
    fn make_room(&self, index: &mut Index, newest: &Key) {
        let Some(most) = self.cache else { return };
        while index.figures.bytes > most {
            let spare = index.held.iter().filter(|(key, held)| !held.to_hand_up && *key != newest);
            let Some(oldest) = spare.min_by_key(|(_, held)| held.used).map(|(key, _)| key.clone())
            else {
                return;
            };
            self.forget(index, &oldest);
            index.figures.evicted += 1;
        }
    }

    fn forget(&self, index: &mut Index, key: &Key) {
        if let Some(held) = index.held.remove(key) {
            index.figures.assets -= 1;
            index.figures.bytes -= held.bytes;
            remove(&self.path(key, held.kind));
        }
    }

    /// What the origin does not have yet.
    pub(super) fn to_hand_up(&self) -> Vec<(Key, Found)> {
        let index = self.index();
        let waiting = index.held.iter().filter(|(_, held)| held.to_hand_up);
        waiting
            .map(|(key, held)| {
                let path = self.path(key, held.kind);
                (key.clone(), Found { path, kind: held.kind, bytes: held.bytes })
            })
            .collect()
    }

    /// Whether the origin does not have it yet.
    pub(super) fn waits(&self, key: &Key) -> bool {
        self.index().held.get(key).is_some_and(|held| held.to_hand_up)
    }

    /// The origin has it.
    pub(super) fn handed_up(&self, key: &Key) {
        if let Some(held) = self.index().held.get_mut(key) {
            held.to_hand_up = false;
        }
        remove(&self.mark(key));
    }

    /// The origin won't have it.
    pub(super) fn drop_it(&self, key: &Key) {
        self.forget(&mut self.index(), key);
        remove(&self.mark(key));
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a file could not be removed");
    }
}

fn read_folder(
    lesson: &LessonId,
    folder: &Path,
    found: &mut Vec<(SystemTime, Key, Held)>,
) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let file = file?;
        let path = file.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if extension == UNFINISHED {
            remove(&path);
            continue;
        }
        let asset = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok());
        let kind = AssetKind::ALL.into_iter().find(|kind| kind.extension() == extension);
        let (Some(asset), Some(kind)): (Option<AssetId>, _) = (asset, kind) else { continue };
        let about = file.metadata()?;
        let to_hand_up = folder.join(format!("{asset}.{TO_HAND_UP}")).exists();
        let held = Held { kind, bytes: about.len(), used: 0, to_hand_up };
        let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        found.push((used, (lesson.clone(), asset), held));
    }
    Ok(())
}

/// Keeps bytes that are whole, on a thread that may block.
pub(super) async fn keep_bytes(
    store: Arc<Store>,
    key: Key,
    kind: AssetKind,
    bytes: Vec<u8>,
    to_hand_up: bool,
) -> Result<Found, AssetError> {
    let kept = tokio::task::spawn_blocking(move || {
        let (mut file, part) = store.unfinished(&key.0)?;
        if let Err(error) = io::Write::write_all(&mut file, &bytes) {
            remove(&part);
            return Err(error.into());
        }
        store.keep(&key, kind, (file, &part), to_hand_up)
    });
    kept.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AssetLimits = AssetLimits { file: 100, lesson: 250, count: 4 };

    fn key(lesson: &str, n: u8) -> Key {
        (LessonId::new(lesson).unwrap(), AssetId::of_digest([n; 32]))
    }

    fn put(store: &Store, key: &Key, bytes: usize, up: bool) -> Result<Found, AssetError> {
        let (mut file, part) = store.unfinished(&key.0)?;
        io::Write::write_all(&mut file, &vec![7; bytes])?;
        store.keep(key, AssetKind::Webp, (file, &part), up)
    }

    fn files(dir: &Path, lesson: &str) -> usize {
        fs::read_dir(dir.join(lesson).join(FOLDER)).unwrap().count()
    }

    #[test]
    fn what_is_kept_is_there_after_a_restart_and_what_was_unfinished_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().into(), LIMITS, None).unwrap();
        let one = key("math", 1);
        let found = put(&store, &one, 60, false).unwrap();
        assert_eq!(fs::read(&found.path).unwrap(), [7; 60]);
        assert_eq!(put(&store, &one, 60, false).unwrap(), found, "twice is once");
        let _unfinished = store.unfinished(&one.0).unwrap();
        assert_eq!(files(dir.path(), "math"), 2);

        let store = Store::open(dir.path().into(), LIMITS, None).unwrap();
        assert_eq!(files(dir.path(), "math"), 1);
        assert_eq!(store.get(&one), Some(found));
        assert_eq!(store.figures(), StoreFigures { assets: 1, bytes: 60, evicted: 0 });
        assert_eq!(store.get(&key("art", 1)), None, "it is of one lesson");
    }

    #[test]
    fn a_lesson_has_so_many_assets_of_so_many_bytes_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().into(), LIMITS, None).unwrap();
        assert!(matches!(put(&store, &key("math", 1), 101, false), Err(AssetError::TooLarge(100))));
        put(&store, &key("math", 1), 100, false).unwrap();
        put(&store, &key("math", 2), 100, false).unwrap();
        assert!(matches!(put(&store, &key("math", 3), 51, false), Err(AssetError::LessonFull)));
        put(&store, &key("math", 3), 25, false).unwrap();
        put(&store, &key("math", 4), 25, false).unwrap();
        assert!(matches!(put(&store, &key("math", 5), 0, false), Err(AssetError::LessonFull)));
        put(&store, &key("art", 5), 100, false).unwrap();
        assert_eq!(files(dir.path(), "math"), 4, "what was refused leaves nothing");
    }

    #[test]
    fn at_a_school_what_was_not_used_for_longest_gives_way_but_not_what_is_to_be_handed_up() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Store::open(dir.path().into(), LIMITS, Some(250)).unwrap();
        let store = open();
        let all: Vec<Key> = (0..5).map(|n| key("math", n)).collect();
        put(&store, &all[0], 100, true).unwrap();
        put(&store, &all[1], 50, false).unwrap();
        put(&store, &all[2], 100, false).unwrap();
        store.get(&all[1]).unwrap();
        put(&store, &all[3], 100, false).unwrap();
        let there =
            |store: &Store| -> Vec<usize> { (0..5).filter(|n| store.has(&all[*n])).collect() };
        assert_eq!(there(&store), [0, 1, 3]);
        assert_eq!(store.figures(), StoreFigures { assets: 3, bytes: 250, evicted: 1 });

        let store = open();
        assert!(store.waits(&all[0]) && store.to_hand_up().len() == 1, "also after a restart");
        store.handed_up(&all[0]);
        assert!(!open().waits(&all[0]));
        store.drop_it(&all[0]);
        assert_eq!(there(&open()), [1, 3]);
    }
}
