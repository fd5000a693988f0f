//! Watches the room on the disk. Recording stops before the disk is quite full, so that what
//! was written can still be closed, described and published.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Recording goes on when this much more is free than what it stopped at, so that it doesn't
/// stop again at once.
const MARGIN: u64 = 64 << 20;

/// How long recording rests after the system itself said that the disk is full.
const REST: Duration = Duration::from_secs(10);

/// Whether there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    Enough,
    /// Bytes free.
    Full(u64),
}

/// Decides from free bytes and failures. The clock is an argument.
#[derive(Debug)]
pub struct Guard {
    min_free: u64,
    full: bool,
    refused: Option<Instant>,
}

impl Guard {
    #[must_use]
    pub fn new(min_free: u64) -> Self {
        Self { min_free, full: false, refused: None }
    }

    /// The system refused to write for want of room, whatever it says is free.
    pub fn refused(&mut self, now: Instant) {
        self.refused = Some(now);
        self.full = true;
    }

    /// What `free` bytes mean now.
    pub fn look(&mut self, free: u64, now: Instant) -> Room {
        let resting = self.refused.is_some_and(|at| now - at < REST);
        let wanted =
            if self.full { self.min_free + MARGIN.min(self.min_free) } else { self.min_free };
        self.full = resting || free < wanted;
        if self.full { Room::Full(free) } else { Room::Enough }
    }

    /// What was decided last.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }
}

/// Bytes that may still be written to the file system of `dir`.
///
/// # Errors
/// When the system doesn't say.
pub fn free(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Every directory of `root` that has a manifest.
///
/// # Errors
/// When `root` can't be read.
pub fn lesson_dirs(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        if path.join(crate::manifest::FILE).is_file() {
            dirs.push(path);
        }
    }
    dirs.sort();
    Ok(dirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recording_stops_before_the_disk_is_full_and_does_not_flutter() {
        let now = Instant::now();
        let mut guard = Guard::new(256 << 20);
        assert_eq!(guard.look(300 << 20, now), Room::Enough);
        assert_eq!(guard.look(200 << 20, now), Room::Full(200 << 20));
        assert_eq!(guard.look(260 << 20, now), Room::Full(260 << 20));
        assert_eq!(guard.look(330 << 20, now), Room::Enough);
    }

    #[test]
    fn a_refusal_counts_although_there_seems_to_be_room() {
        let now = Instant::now();
        let mut guard = Guard::new(0);
        guard.refused(now);
        assert_eq!(guard.look(1 << 40, now), Room::Full(1 << 40));
        assert_eq!(guard.look(1 << 40, now + REST), Room::Enough);
    }

    #[test]
    fn the_system_says_how_much_is_free() {
        assert!(free(Path::new("/tmp")).unwrap() > 0);
    }
}
