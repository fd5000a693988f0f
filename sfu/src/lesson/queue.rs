//! What an edge decided and has not handed up, on disk: one JSON object a line, synced before
//! anyone is told. When the origin has dealt with a part of it the file is written anew, beside
//! the old one, which it replaces whole.
//!
//! A crash leaves at most an unfinished last line, of which nobody was told.

use cloudschool_protocol::trunk::HandUpEntry;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Its file name in the lesson's directory.
pub const FILE: &str = "to-hand-up.ndjson";

/// The open queue.
#[derive(Debug)]
pub struct QueueFile {
    path: PathBuf,
    file: File,
    /// Length of the file in whole lines.
    good: u64,
}

impl QueueFile {
    /// Opens or begins the queue in `dir` and reads what is in it.
    ///
    /// # Errors
    /// When the file can't be had. A line that can't be read is reported and left out.
    pub fn open(dir: &Path) -> io::Result<(Self, Vec<HandUpEntry>)> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join(FILE);
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        File::open(dir)?.sync_all()?;
        let bytes = std::fs::read(&path)?;
        let mut entries = Vec::new();
        let mut good = 0;
        for line in bytes.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n")) {
            good += line.len() as u64;
            match serde_json::from_slice(line) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    let path = path.display();
                    tracing::error!(%path, %error, "an entry to hand up can't be read: left out");
                }
            }
        }
        if good < bytes.len() as u64 {
            file.set_len(good)?;
        }
        Ok((Self { path, file, good }, entries))
    }

    /// Appends an entry, whole or not at all.
    ///
    /// # Errors
    /// What writing or syncing failed with.
    pub fn append(&mut self, entry: &HandUpEntry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        // Also what a failed write left behind.
        self.file.set_len(self.good)?;
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.good += line.len() as u64;
        Ok(())
    }

    /// Puts `entries` in place of what there is.
    ///
    /// # Errors
    /// What writing failed with; the queue is then as before.
    pub fn replace(&mut self, entries: &[HandUpEntry]) -> io::Result<()> {
        if entries.is_empty() {
            self.file.set_len(0)?;
            self.good = 0;
            return self.file.sync_data();
        }
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(&lines)?;
        file.sync_data()?;
        std::fs::rename(&beside, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.good = lines.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::command::{Command, MemberCommand};
    use cloudschool_protocol::id::MemberId;
    use uuid::Uuid;

    fn entry(n: u128) -> HandUpEntry {
        let by = MemberId::new("wang").unwrap();
        let command = Command::Member { by, command: MemberCommand::RaiseHand };
        HandUpEntry { id: Uuid::from_u128(n), at_ms: 7, from: None, command }
    }

    #[test]
    fn what_was_decided_is_there_after_a_crash_at_any_byte() {
        let dir = tempfile::tempdir().unwrap();
        let (mut queue, old) = QueueFile::open(dir.path()).unwrap();
        assert!(old.is_empty());
        (1..=3).for_each(|n| queue.append(&entry(n)).unwrap());
        let whole = std::fs::read(dir.path().join(FILE)).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(dir.path().join(FILE), &whole[..cut]).unwrap();
            let lines = whole[..cut].iter().filter(|b| **b == b'\n').count() as u128;
            let (mut queue, old) = QueueFile::open(dir.path()).unwrap();
            assert_eq!(old, (1..=lines).map(entry).collect::<Vec<_>>());
            queue.append(&entry(9)).unwrap();
            assert_eq!(QueueFile::open(dir.path()).unwrap().1.len() as u128, lines + 1);
        }
    }

    #[test]
    fn what_the_origin_has_leaves_the_queue_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (mut queue, _) = QueueFile::open(dir.path()).unwrap();
        (1..=3).for_each(|n| queue.append(&entry(n)).unwrap());
        queue.replace(&[entry(3)]).unwrap();
        queue.append(&entry(4)).unwrap();
        assert_eq!(QueueFile::open(dir.path()).unwrap().1, [entry(3), entry(4)]);
        queue.replace(&[]).unwrap();
        queue.append(&entry(5)).unwrap();
        assert_eq!(QueueFile::open(dir.path()).unwrap().1, [entry(5)]);
    }
}
