//! What this node keeps of its own tracks while the campus is away: the school's part of the
//! archive, until the recorder has fetched it. On disk, bounded; where there is no room the
//! oldest part goes first, and is counted.
//!
//! [`tap`] decides which packets are kept; how parts travel is `backfill`'s.

pub mod tap;

use cloudschool_protocol::id::{LessonId, NodeId};
use cloudschool_protocol::media::{Codec, TrackId};
use cloudschool_protocol::spool::{MAX_PIECE, Record, SpoolPart};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use uuid::Uuid;

/// What a part is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Of {
    pub lesson: LessonId,
    pub session: Uuid,
    pub track: TrackId,
    pub codec: Codec,
}

/// A part's description on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    lesson: LessonId,
    part: SpoolPart,
    /// Still being written.
    #[serde(skip)]
    open: bool,
}

/// Parts in all, and what became of others since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolTotals {
    pub parts: u64,
    pub bytes: u64,
    /// Parts that gave way to newer ones.
    pub dropped: u64,
    /// Parts the recorder took.
    pub taken: u64,
    /// Times the disk refused to write.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Parts {
    /// By id, and ids rise with time: the oldest first.
    by_id: BTreeMap<Uuid, Kept>,
    totals: SpoolTotals,
}

/// Everything kept.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    node: NodeId,
    max_bytes: u64,
    parts: Mutex<Parts>,
    changes: watch::Sender<()>,
}

impl Spool {
    /// What is in `dir` from before. Parts that a power cut left open end where they end.
    ///
    /// # Errors
    /// When the directory can't be had. A part that can't be read is reported and left out.
    pub fn open(dir: &Path, node: NodeId, max_bytes: u64) -> io::Result<Arc<Self>> {
        std::fs::create_dir_all(dir)?;
        let mut parts = Parts::default();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_none_or(|e| e != "json") {
                continue;
            }
            match read_kept(&path) {
                Ok(kept) => {
                    parts.totals.bytes += kept.part.bytes;
                    parts.by_id.insert(kept.part.id, kept);
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "a part kept of a lesson can't be read");
                }
            }
        }
        parts.totals.parts = parts.by_id.len() as u64;
        let (dir, parts) = (dir.to_owned(), Mutex::new(parts));
        Ok(Arc::new(Self { dir, node, max_bytes, parts, changes: watch::Sender::new(()) }))
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        // Whole after any panic: each change is one call.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells when there is another whole part, or one less.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Parts in all.
    #[must_use]
    pub fn totals(&self) -> SpoolTotals {
        self.parts().totals
    }

    /// The lessons that there are whole parts of.
    #[must_use]
    pub fn lessons(&self) -> BTreeSet<LessonId> {
        self.parts().by_id.values().filter(|k| !k.open).map(|k| k.lesson.clone()).collect()
    }

    /// The whole parts of a lesson, the oldest first.
    #[must_use]
    pub fn of(&self, lesson: &LessonId) -> Vec<SpoolPart> {
        let parts = self.parts();
        let own = parts.by_id.values().filter(|k| !k.open && k.lesson == *lesson);
        own.map(|k| k.part.clone()).collect()
    }

    /// Begins a part.
    ///
    /// # Errors
    /// When the disk doesn't take it.
    pub fn begin(self: &Arc<Self>, of: &Of, from_ms: u64) -> io::Result<Writer> {
        let id = Uuid::now_v7();
        let part = SpoolPart {
            id,
            node: self.node.clone(),
            session: of.session,
            track: of.track.clone(),
            codec: of.codec,
            from_ms,
            to_ms: from_ms,
            bytes: 0,
        };
        let kept = Kept { lesson: of.lesson.clone(), part, open: true };
        let file = OpenOptions::new().create_new(true).append(true).open(self.media(id))?;
        self.describe(&kept)?;
        let mut parts = self.parts();
        parts.by_id.insert(id, kept);
        parts.totals.parts += 1;
        Ok(Writer { spool: self.clone(), id, file, buffer: Vec::new() })
    }

    /// A piece of a whole part; empty at its end, `None` when there is no such part.
    #[must_use]
    pub fn piece(&self, id: Uuid, offset: u64) -> Option<Vec<u8>> {
        if self.parts().by_id.get(&id).is_none_or(|k| k.open) {
            return None;
        }
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(self.media(id))?;
            file.seek(SeekFrom::Start(offset))?;
            let mut piece = Vec::new();
            file.take(MAX_PIECE as u64).read_to_end(&mut piece)?;
            Ok(piece)
        };
        read().inspect_err(|error| tracing::error!(%id, %error, "a part can't be read")).ok()
    }

    /// Whether this node has the part.
    #[must_use]
    pub fn has(&self, id: Uuid) -> bool {
        self.parts().by_id.contains_key(&id)
    }

    /// The recorder has it.
    pub fn taken(&self, id: Uuid) {
        let mut parts = self.parts();
        if self.remove(&mut parts, id) {
            parts.totals.taken += 1;
        }
        drop(parts);
        self.changes.send_replace(());
    }

    fn remove(&self, parts: &mut Parts, id: Uuid) -> bool {
        let Some(kept) = parts.by_id.remove(&id) else { return false };
        parts.totals.parts = parts.totals.parts.saturating_sub(1);
        parts.totals.bytes = parts.totals.bytes.saturating_sub(kept.part.bytes);
        // The description first: media without one is nobody's and is overwritten by nobody.
        for path in [self.description(id), self.media(id)] {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "a part could not be removed");
            }
        }
        true
    }

    /// Accounts for `bytes` more of `id`, making room. False when there is none.
    fn grow(&self, id: Uuid, bytes: u64, to_ms: u64) -> bool {
        let mut parts = self.parts();
        while parts.totals.bytes + bytes > self.max_bytes {
            let Some(oldest) = parts.by_id.values().find(|k| !k.open).map(|k| k.part.id) else {
                return false;
            };
            tracing::warn!(part = %oldest, "the oldest part of a lesson gives way to a newer one");
            self.remove(&mut parts, oldest);
            parts.totals.dropped += 1;
        }
        parts.totals.bytes += bytes;
        if let Some(kept) = parts.by_id.get_mut(&id) {
            kept.part.bytes += bytes;
            kept.part.to_ms = to_ms;
        }
        true
    }

    fn describe(&self, kept: &Kept) -> io::Result<()> {
        let path = self.description(kept.part.id);
        let beside = path.with_extension("new");
        std::fs::write(&beside, serde_json::to_vec(kept)?)?;
        std::fs::rename(&beside, &path)
    }

    fn description(&self, id: Uuid) -> PathBuf {
        self.dir.join(id.to_string()).with_extension("json")
    }

    fn media(&self, id: Uuid) -> PathBuf {
        self.dir.join(id.to_string()).with_extension("rtp")
    }
}

/// A part's description, brought in line with what reached the disk.
fn read_kept(path: &Path) -> io::Result<Kept> {
    let mut kept: Kept = serde_json::from_slice(&std::fs::read(path)?)?;
    let media = std::fs::read(path.with_extension("rtp"))?;
    let last = Record::read_all(&media).last().map_or(0, |record| record.at_ns() / 1_000_000);
    kept.part.bytes = media.len() as u64;
    kept.part.to_ms = kept.part.to_ms.max(last);
    Ok(kept)
}

/// A part being written.
#[derive(Debug)]
pub struct Writer {
    spool: Arc<Spool>,
    id: Uuid,
    file: File,
    buffer: Vec<u8>,
}

impl Writer {
    /// Appends records. False when the part takes no more: there is no room.
    pub fn write<'a>(&mut self, records: impl IntoIterator<Item = Record<'a>>) -> bool {
        self.buffer.clear();
        let mut last_ns = 0;
        for record in records {
            last_ns = record.at_ns().max(last_ns);
            record.write(&mut self.buffer);
        }
        if self.buffer.is_empty() {
            return true;
        }
        let grown = self.spool.grow(self.id, self.buffer.len() as u64, last_ns / 1_000_000);
        if !grown {
            return false;
        }
        // With the kernel at once: that outlives the process.
        match self.file.write_all(&self.buffer) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(part = %self.id, %error, "what a class says is not kept any more");
                self.spool.parts().totals.failed += 1;
                false
            }
        }
    }
}

impl Drop for Writer {
    /// The part is whole.
    fn drop(&mut self) {
        let kept = {
            let mut parts = self.spool.parts();
            parts.by_id.get_mut(&self.id).map(|kept| {
                kept.open = false;
                kept.clone()
            })
        };
        if let Some(Err(error)) = kept.map(|kept| self.spool.describe(&kept)) {
            tracing::warn!(part = %self.id, %error, "a part's description could not be written");
        }
        self.spool.changes.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(track: &str) -> Of {
        Of {
            lesson: LessonId::new("math").unwrap(),
            session: Uuid::from_u128(1),
            track: track.parse().unwrap(),
            codec: Codec::Opus,
        }
    }

    fn open(dir: &Path, max_bytes: u64) -> Arc<Spool> {
        Spool::open(dir, NodeId::new("school-01").unwrap(), max_bytes).unwrap()
    }

    fn packet(at_ms: u64) -> Record<'static> {
        Record::Packet { at_ns: at_ms * 1_000_000, packet: &[7; 89] }
    }

    #[test]
    fn a_part_is_there_whole_piece_by_piece_and_after_a_power_cut() {
        let dir = tempfile::tempdir().unwrap();
        let spool = open(dir.path(), 1 << 20);
        let mut writer = spool.begin(&of("room/microphone"), 1000).unwrap();
        let records: Vec<_> = (1000..1100).map(packet).collect();
        assert!(writer.write(records.iter().copied()));
        assert!(spool.of(&of("a/camera").lesson).is_empty(), "it is still being written");
        // The power goes: nothing is closed.
        let whole = open(dir.path(), 1 << 20);
        let part = whole.of(&of("a/camera").lesson).pop().unwrap();
        assert_eq!((part.from_ms, part.to_ms, part.bytes), (1000, 1099, 100 * 100));
        let mut bytes = Vec::new();
        loop {
            let piece = whole.piece(part.id, bytes.len() as u64).unwrap();
            assert!(piece.len() <= MAX_PIECE);
            if piece.is_empty() {
                break;
            }
            bytes.extend(piece);
        }
        assert_eq!(Record::read_all(&bytes).collect::<Vec<_>>(), records);
        whole.taken(part.id);
        assert_eq!((whole.piece(part.id, 0), whole.totals().bytes), (None, 0));
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
    }

    #[test]
    fn where_there_is_no_room_the_oldest_part_gives_way() {
        let dir = tempfile::tempdir().unwrap();
        let spool = open(dir.path(), 1000);
        let lesson = of("a/camera").lesson;
        let write = |track: &str, count| {
            let mut writer = spool.begin(&of(track), 1).unwrap();
            let all = (0..count).all(|at| writer.write([packet(at)]));
            drop(writer);
            all
        };
        assert!(write("a/microphone", 4) && write("b/microphone", 4));
        assert!(write("c/microphone", 6));
        let left: Vec<_> = spool.of(&lesson).iter().map(|p| p.track.to_string()).collect();
        assert_eq!(left, ["b/microphone", "c/microphone"]);
        assert!(!write("d/microphone", 11), "a single part may be too much");
        assert!(spool.totals().bytes <= 1000);
        assert_eq!(spool.totals().dropped, 3);
    }
}
