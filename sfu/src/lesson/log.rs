//! A lesson's event log: one JSON object a line, appended and synced before anyone is told.
//!
//! A crash leaves at most an unfinished last line, which is cut off on opening. A write that
//! fails (a full disk) is taken back whole, so the file never holds half a batch.

use cloudschool_protocol::event::Event;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The log's file name in its lesson's directory.
pub const FILE: &str = "events.ndjson";

/// Why a log can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the event log {} can't be opened: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "the event log {} is damaged in line {line} ({reason}): restore it from a backup, or \
         move its directory away to begin the lesson anew", path.display()
    )]
    Damaged { path: PathBuf, line: usize, reason: String },
}

/// How far a write must have come before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On the disk: what the origin decided must survive a power cut.
    Synced,
    /// With the kernel: a copy of what the origin has on its disk anyway.
    Written,
}

/// An open log.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: File,
    durability: Durability,
    /// Length of the file in whole, good lines.
    good: u64,
    /// Something past `good` could not be taken back yet.
    dirty: bool,
}

impl EventLog {
    /// Opens or begins the log in `dir` and reads what is in it.
    ///
    /// # Errors
    /// [`LogError`] when the file can't be had, or a line before the last is damaged.
    pub fn open(dir: &Path, durability: Durability) -> Result<(Self, Vec<Event>), LogError> {
        let path = dir.join(FILE);
        let failed = |source| LogError::Io { path: path.clone(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let fresh = !path.exists();
        let file =
            OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        if fresh && durability == Durability::Synced {
            sync_names(dir).map_err(failed)?;
        }
        let bytes = std::fs::read(&path).map_err(failed)?;
        let (events, good) = parse(&bytes).map_err(|(line, reason)| LogError::Damaged {
            path: path.clone(),
            line,
            reason,
        })?;
        let mut log = Self { file, durability, good, dirty: false, path };
        if (good as usize) < bytes.len() {
            let cut = bytes.len() - good as usize;
            tracing::warn!(path = %log.path.display(), cut, "an unfinished event was cut off the log");
            log.take_back().map_err(|source| LogError::Io { path: log.path.clone(), source })?;
        }
        Ok((log, events))
    }

    /// Appends `events`, all or none.
    ///
    /// # Errors
    /// What writing or syncing failed with; the log is then as before.
    pub fn append(&mut self, events: &[Event]) -> io::Result<()> {
        if self.dirty {
            self.take_back()?;
        }
        let mut lines = Vec::new();
        for event in events {
            serde_json::to_writer(&mut lines, event)?;
            lines.push(b'\n');
        }
        if let Err(error) = self.write(&lines) {
            self.dirty = true;
            if let Err(error) = self.take_back() {
                let path = self.path.display();
                tracing::error!(%path, %error, "a failed write could not be taken back yet");
            }
            return Err(error);
        }
        self.good += lines.len() as u64;
        Ok(())
    }

    /// Empties the log.
    ///
    /// # Errors
    /// When the file can't be shortened.
    pub fn clear(&mut self) -> io::Result<()> {
        self.good = 0;
        self.take_back()
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        self.sync()
    }

    fn take_back(&mut self) -> io::Result<()> {
        self.dirty = true;
        self.file.set_len(self.good)?;
        self.sync()?;
        self.dirty = false;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        match self.durability {
            Durability::Synced => self.file.sync_data(),
            Durability::Written => Ok(()),
        }
    }
}

/// Makes the names of a new log and of its directory survive a power cut.
fn sync_names(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// The events of a log and the length of their lines. What comes after the last good line is
/// unfinished, unless another good line follows it: then the log is damaged.
fn parse(bytes: &[u8]) -> Result<(Vec<Event>, u64), (usize, String)> {
    let mut events: Vec<Event> = Vec::new();
    let mut good = 0;
    let mut bad: Option<(usize, String)> = None;
    for (n, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let read = if line.ends_with(b"\n") {
            serde_json::from_slice::<Event>(line).map_err(|e| e.to_string())
        } else {
            Err("it has no end".to_owned())
        };
        match (read, &bad) {
            (Ok(_), Some(damage)) => return Err(damage.clone()),
            (Ok(event), None) if event.seq == events.len() as u64 + 1 => {
                good += line.len() as u64;
                events.push(event);
            }
            (Ok(event), None) => {
                let expected = events.len() + 1;
                return Err((n + 1, format!("event {} where {expected} belongs", event.seq)));
            }
            (Err(reason), None) => bad = Some((n + 1, reason)),
            (Err(_), Some(_)) => {}
        }
    }
    Ok((events, good))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::event::EventBody;
    use cloudschool_protocol::id::MemberId;
    use uuid::Uuid;

    fn events(range: std::ops::RangeInclusive<u64>) -> Vec<Event> {
        let member = MemberId::new("wang").unwrap();
        let body = EventBody::HandRaised { member };
        let event = |seq: u64| Event::new(seq, Uuid::from_u128(seq.into()), seq, body.clone());
        range.map(event).collect()
    }

    fn open(dir: &Path) -> Result<(EventLog, Vec<Event>), LogError> {
        EventLog::open(dir, Durability::Synced)
    }

    fn rewrite(dir: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let path = dir.join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
    }

    #[test]
    fn what_was_appended_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, old) = open(dir.path()).unwrap();
        assert!(old.is_empty());
        log.append(&events(1..=2)).unwrap();
        log.append(&events(3..=3)).unwrap();
        drop(log);
        assert_eq!(open(dir.path()).unwrap().1, events(1..=3));
    }

    #[test]
    fn a_crash_at_any_byte_costs_only_the_event_being_written() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap().0.append(&events(1..=3)).unwrap();
        let whole = std::fs::read(dir.path().join(FILE)).unwrap();
        for cut in 0..whole.len() {
            rewrite(dir.path(), |bytes| *bytes = whole[..cut].to_vec());
            let lines = whole[..cut].iter().filter(|b| **b == b'\n').count() as u64;
            let (mut log, old) = open(dir.path()).unwrap();
            assert_eq!(old, events(1..=lines));
            log.append(&events(lines + 1..=lines + 1)).unwrap();
            assert_eq!(open(dir.path()).unwrap().1, events(1..=lines + 1));
        }
    }

    #[test]
    fn zeros_after_a_power_cut_are_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap().0.append(&events(1..=2)).unwrap();
        rewrite(dir.path(), |bytes| bytes.extend([0; 4096]));
        assert_eq!(open(dir.path()).unwrap().1, events(1..=2));
    }

    #[test]
    fn damage_before_a_good_line_is_said_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap().0.append(&events(1..=3)).unwrap();
        let whole = std::fs::read(dir.path().join(FILE)).unwrap();
        rewrite(dir.path(), |bytes| bytes[whole.len() / 2] = b'}');
        let err = open(dir.path()).unwrap_err();
        assert!(matches!(err, LogError::Damaged { line: 2, .. }), "{err}");
        let line = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
        rewrite(dir.path(), |bytes| *bytes = [&whole[..line], &whole[..line]].concat());
        let err = open(dir.path()).unwrap_err().to_string();
        assert!(err.contains("event 1 where 2 belongs"), "{err}");
    }

    #[test]
    fn a_write_that_fails_leaves_the_log_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = open(dir.path()).unwrap();
        log.append(&events(1..=1)).unwrap();
        let good = std::mem::replace(&mut log.file, File::open(dir.path().join(FILE)).unwrap());
        assert!(log.append(&events(2..=2)).is_err(), "wrote to a file open for reading");
        log.file = good;
        log.append(&events(2..=3)).unwrap();
        assert_eq!(open(dir.path()).unwrap().1, events(1..=3));
    }
}
