//! A board on the disk: every change with its time, appended, and now and then the whole, so
//! that a restart need not go through them all. The changes stay, for the replay: the board as
//! of any time can be had from them.
//!
//! Each record has a checksum. One that a power cut left unfinished ends the file.

use super::replica::Replica;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Length, checksum and time of a record.
const HEAD: usize = 4 + 4 + 8;

/// Offset and checksum before the whole.
const WHOLE_HEAD: usize = 8 + 4;

/// Longest record: more than a whole board may be.
const MAX_RECORD: usize = 256 << 20;

/// The whole is written again after so many bytes of changes.
const WHOLE_AFTER: u64 = 512 << 10;

/// A change and when it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub update: Vec<u8>,
}

/// The files of one board.
#[derive(Debug)]
pub struct Journal {
    changes: PathBuf,
    whole: PathBuf,
    file: File,
    /// Length of the file in whole, good records.
    good: u64,
    /// Something past `good` could not be taken back yet.
    dirty: bool,
    /// How much of it the whole has.
    in_whole: u64,
}

/// Where the changes of a run's board are.
#[must_use]
pub fn changes_file(dir: &Path, run: u32) -> PathBuf {
    dir.join(format!("board-{run}.changes"))
}

fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

impl Journal {
    /// Opens or begins the journal of run `run` in `dir` and gives the board that is in it.
    ///
    /// # Errors
    /// When the files can't be had.
    pub fn open(dir: &Path, run: u32) -> io::Result<(Self, Replica)> {
        std::fs::create_dir_all(dir)?;
        let changes = changes_file(dir, run);
        let fresh = !changes.exists();
        let file = OpenOptions::new().read(true).append(true).create(true).open(&changes)?;
        if fresh {
            File::open(dir)?.sync_all()?;
        }
        let whole = dir.join(format!("board-{run}.whole"));
        let mut journal = Self { changes, whole, file, good: 0, dirty: false, in_whole: 0 };
        let replica = journal.read()?;
        Ok((journal, replica))
    }

    /// The board as it is on the disk.
    ///
    /// # Errors
    /// When the files can't be read.
    pub fn read(&mut self) -> io::Result<Replica> {
        let mut replica = Replica::new();
        let length = self.file.metadata()?.len();
        self.in_whole = 0;
        if let Some((offset, state)) = read_whole(&self.whole)?
            && offset <= length
            && replica.apply(&state).is_ok()
        {
            self.in_whole = offset;
        } else {
            replica = Replica::new();
        }
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(self.in_whole))?;
        self.file.read_to_end(&mut bytes)?;
        let mut rest = &bytes[..];
        while let Some((record, after)) = next(rest) {
            if let Err(error) = replica.apply(&record.update) {
                let path = self.changes.display();
                tracing::error!(%path, %error, "a change of a board is left out");
            }
            rest = after;
        }
        self.good = length - rest.len() as u64;
        if !rest.is_empty() {
            let path = self.changes.display();
            tracing::warn!(%path, cut = rest.len(), "an unfinished change was cut off a board");
            self.take_back()?;
        }
        Ok(replica)
    }

    /// Bytes of changes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.good
    }

    /// Appends changes, all or none, and sees them to the disk.
    ///
    /// # Errors
    /// What writing failed with; the journal is then as before.
    pub fn append(&mut self, records: &[Record]) -> io::Result<()> {
        if self.dirty {
            self.take_back()?;
        }
        let mut out = Vec::new();
        for Record { at_ms, update } in records {
            let time = at_ms.to_be_bytes();
            let length = u32::try_from(update.len()).map_err(io::Error::other)?;
            out.extend(length.to_be_bytes());
            out.extend(checksum(&[&time, update]).to_be_bytes());
            out.extend(time);
            out.extend_from_slice(update);
        }
        if let Err(error) = self.file.write_all(&out).and_then(|()| self.file.sync_data()) {
            self.dirty = true;
            return Err(error);
        }
        self.good += out.len() as u64;
        Ok(())
    }

    /// Whether the whole is to be written again.
    #[must_use]
    pub fn wants_whole(&self) -> bool {
        self.good - self.in_whole >= WHOLE_AFTER
    }

    /// Keeps the whole board, which has everything that was appended.
    ///
    /// # Errors
    /// What writing failed with; the one before is then still there.
    pub fn keep_whole(&mut self, state: &[u8]) -> io::Result<()> {
        let offset = self.good.to_be_bytes();
        let next = self.whole.with_extension("next");
        let mut file = File::create(&next)?;
        file.write_all(&offset)?;
        file.write_all(&checksum(&[&offset, state]).to_be_bytes())?;
        file.write_all(state)?;
        file.sync_data()?;
        std::fs::rename(&next, &self.whole)?;
        self.in_whole = self.good;
        Ok(())
    }

    fn take_back(&mut self) -> io::Result<()> {
        self.dirty = true;
        self.file.set_len(self.good)?;
        self.file.sync_data()?;
        self.dirty = false;
        Ok(())
    }
}

fn read_whole(path: &Path) -> io::Result<Option<(u64, Vec<u8>)>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some((head, state)) = bytes.split_first_chunk::<WHOLE_HEAD>() else { return Ok(None) };
    let Some((offset, sum)) = head.split_first_chunk::<8>() else { return Ok(None) };
    let good = checksum(&[offset, state]).to_be_bytes() == sum;
    Ok(good.then(|| (u64::from_be_bytes(*offset), state.to_vec())))
}

fn next(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let (length, head) = head.split_first_chunk::<4>()?;
    let (sum, time) = head.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok().filter(|l| *l <= MAX_RECORD)?;
    let (update, rest) = rest.split_at_checked(length)?;
    if checksum(&[time, update]).to_be_bytes() != *sum {
        return None;
    }
    let at_ms = u64::from_be_bytes(time.try_into().ok()?);
    Some((Record { at_ms, update: update.to_vec() }, rest))
}

/// At most `most` bytes of the changes of a run's board from `offset` on: none where there are no
/// more, and none of a board that is not there.
///
/// # Errors
/// When the file can't be read.
pub fn piece(dir: &Path, run: u32, offset: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut file = match File::open(changes_file(dir, run)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    // Far beyond the end no file can be read from at all.
    if offset >= file.metadata()?.len() {
        return Ok(bytes);
    }
    file.seek(SeekFrom::Start(offset))?;
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The board of a run as it was at `at_ms`, as one Yjs update; `None` where there is none.
///
/// # Errors
/// When the file can't be read.
pub fn as_of(dir: &Path, run: u32, at_ms: u64) -> io::Result<Option<Vec<u8>>> {
    let bytes = match std::fs::read(changes_file(dir, run)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut replica = Replica::new();
    let mut rest = &bytes[..];
    while let Some((record, after)) = next(rest) {
        // Changes of a school that was cut off come late: each is judged by its own time.
        if record.at_ms <= at_ms
            && let Err(error) = replica.apply(&record.update)
        {
            tracing::error!(%error, "a change of a board is left out");
        }
        rest = after;
    }
    Ok(Some(replica.whole()))
}

#[cfg(test)]
mod tests {
    use super::super::replica::tests::{Pen, strokes};
    use super::*;

    fn record(at_ms: u64, update: Vec<u8>) -> Record {
        Record { at_ms, update }
    }

    #[test]
    fn what_was_appended_is_there_after_a_restart_with_and_without_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut pen = Pen::of("wang", 1);
        let (mut journal, mut board) = Journal::open(dir.path(), 1).unwrap();
        for n in 0..10 {
            let update = pen.draw("p1", 30);
            board.apply(&update).unwrap();
            journal.append(&[record(n, update)]).unwrap();
            if n == 5 {
                journal.keep_whole(&board.whole()).unwrap();
            }
        }
        drop(journal);
        let (_, again) = Journal::open(dir.path(), 1).unwrap();
        assert_eq!(strokes(&again.whole()), strokes(&board.whole()));
        std::fs::write(dir.path().join("board-1.whole"), b"spoiled").unwrap();
        let (_, again) = Journal::open(dir.path(), 1).unwrap();
        assert_eq!(strokes(&again.whole()), strokes(&board.whole()));
        let (_, other) = Journal::open(dir.path(), 2).unwrap();
        assert!(strokes(&other.whole()).is_empty(), "another run has its own");
    }

    #[test]
    fn a_crash_at_any_byte_costs_only_the_change_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut pen = Pen::of("wang", 1);
        let path = changes_file(dir.path(), 1);
        let mut ends = vec![0];
        {
            let (mut journal, _) = Journal::open(dir.path(), 1).unwrap();
            for n in 0..3 {
                journal.append(&[record(n, pen.draw("p1", 5))]).unwrap();
                ends.push(journal.length());
            }
        }
        let all = std::fs::read(&path).unwrap();
        for cut in 0..=all.len() {
            std::fs::write(&path, &all[..cut]).unwrap();
            let (mut journal, board) = Journal::open(dir.path(), 1).unwrap();
            let good = ends.iter().filter(|end| **end > 0 && **end <= cut as u64).count();
            assert_eq!(strokes(&board.whole()).len(), good, "cut at {cut}");
            let mut other = Pen::of("zhao", 2);
            journal.append(&[record(9, other.draw("p1", 5))]).unwrap();
            drop(journal);
            let (_, board) = Journal::open(dir.path(), 1).unwrap();
            assert_eq!(strokes(&board.whole()).len(), good + 1);
        }
    }

    #[test]
    fn the_board_of_any_time_can_be_had() {
        let dir = tempfile::tempdir().unwrap();
        let mut pen = Pen::of("wang", 1);
        let (mut journal, _) = Journal::open(dir.path(), 1).unwrap();
        for n in 1..=4 {
            journal.append(&[record(n * 1000, pen.draw("p1", 5))]).unwrap();
        }
        journal.append(&[record(5000, pen.erase("p1").unwrap())]).unwrap();
        let at = |ms| strokes(&as_of(dir.path(), 1, ms).unwrap().unwrap()).len();
        assert_eq!([at(999), at(1000), at(4500), at(9000)], [0, 1, 4, 3]);
        assert_eq!(as_of(dir.path(), 7, 0).unwrap(), None);
    }

    #[test]
    fn the_changes_are_handed_out_in_pieces_up_to_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut pen = Pen::of("wang", 1);
        let (mut journal, _) = Journal::open(dir.path(), 1).unwrap();
        for n in 1..=4 {
            journal.append(&[record(n, pen.draw("p1", 30))]).unwrap();
        }
        let mut all = Vec::new();
        loop {
            let next = piece(dir.path(), 1, all.len() as u64, 50).unwrap();
            assert!(next.len() <= 50);
            if next.is_empty() {
                break;
            }
            all.extend(next);
        }
        assert_eq!(all, std::fs::read(changes_file(dir.path(), 1)).unwrap());
        assert!(piece(dir.path(), 1, u64::MAX >> 1, 50).unwrap().is_empty());
        assert!(piece(dir.path(), 2, 0, 50).unwrap().is_empty());
    }
}
