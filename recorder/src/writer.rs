//! Files that are written as they grow: every write goes to the system at once, so a killed
//! process loses nothing, and to the disk twice a second, so a power cut loses little.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// How often what was written goes to the disk.
const SYNC_EVERY: Duration = Duration::from_millis(500);

/// Why writing stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteFailure {
    #[error("the disk is full")]
    DiskFull,
    #[error("{0}")]
    Other(String),
}

impl From<io::Error> for WriteFailure {
    fn from(e: io::Error) -> Self {
        use io::ErrorKind as K;
        match e.kind() {
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => Self::DiskFull,
            _ => Self::Other(e.to_string()),
        }
    }
}

/// An append-only file.
#[derive(Debug)]
pub struct Growing {
    file: File,
    written: AtomicU64,
    synced: AtomicU64,
    failure: OnceLock<WriteFailure>,
}

impl Growing {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// The failure, which is final: the file takes nothing after it.
    pub fn append(&self, bytes: &[u8]) -> Result<(), WriteFailure> {
        if let Some(failure) = self.failure.get() {
            return Err(failure.clone());
        }
        (&self.file).write_all(bytes).map_err(|e| self.fail(e))?;
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Brings everything written to the disk.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn sync(&self) -> Result<(), WriteFailure> {
        let written = self.written.load(Ordering::Relaxed);
        if written > self.synced.load(Ordering::Relaxed) {
            self.file.sync_data().map_err(|e| self.fail(e))?;
            self.synced.store(written, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn failure(&self) -> Option<&WriteFailure> {
        self.failure.get()
    }

    fn fail(&self, e: io::Error) -> WriteFailure {
        let failure = WriteFailure::from(e);
        self.failure.get_or_init(|| failure).clone()
    }
}

/// Syncs all growing files from one thread of its own, so that a slow disk holds up no media.
#[derive(Clone)]
pub struct Syncer {
    files: Arc<Mutex<Vec<Weak<Growing>>>>,
    /// The thread ends when the last of these is gone.
    _alive: Sender<()>,
}

impl Syncer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> io::Result<Self> {
        let files = Arc::new(Mutex::new(Vec::new()));
        let (alive, gone) = channel();
        let watched = Arc::clone(&files);
        std::thread::Builder::new().name("syncer".into()).spawn(move || {
            while gone.recv_timeout(SYNC_EVERY) == Err(RecvTimeoutError::Timeout) {
                for file in live(&watched) {
                    // The writer meets the failure at its next write.
                    if let Err(error) = file.sync() {
                        tracing::error!(%error, "recorded media could not be brought to the disk");
                    }
                }
            }
        })?;
        Ok(Self { files, _alive: alive })
    }

    /// Creates a file that did not exist.
    ///
    /// # Errors
    /// When it exists already or can't be created.
    pub fn create(&self, path: &Path) -> io::Result<Arc<Growing>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(self.watch(file))
    }

    fn watch(&self, file: File) -> Arc<Growing> {
        let growing = Arc::new(Growing {
            file,
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            failure: OnceLock::new(),
        });
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.push(Arc::downgrade(&growing));
        growing
    }
}

fn live(files: &Mutex<Vec<Weak<Growing>>>) -> Vec<Arc<Growing>> {
    let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
    files.retain(|f| f.strong_count() > 0);
    files.iter().filter_map(Weak::upgrade).filter(|f| f.failure().is_none()).collect()
}

/// Replaces `path` by `bytes` so that at every moment either the old or the new content is
/// there whole.
///
/// # Errors
/// When the new content can't be written; the old is then still there.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = dir.join(format!(".{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures_and_is_final() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let growing = Syncer::start().unwrap().watch(full);
        assert_eq!(growing.append(b"x"), Err(WriteFailure::DiskFull));
        assert_eq!(growing.append(b"x"), Err(WriteFailure::DiskFull));
        assert_eq!(growing.len(), 0);
    }

    #[test]
    fn an_existing_recording_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let syncer = Syncer::start().unwrap();
        let path = dir.path().join("a");
        syncer.create(&path).unwrap().append(b"old").unwrap();
        assert_eq!(syncer.create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_replaced_file_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lesson.json");
        replace(&path, b"1").unwrap();
        replace(&path, b"2").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"2");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
