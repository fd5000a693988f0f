//! Boards (板书): the shared whiteboard of each run of a lesson, as this node holds it.
//!
//! A [`Board`] is a [`replica`] of a Yjs document with a [`journal`] on the disk. It takes what
//! members of this node draw, judged by who they are, and what other nodes tell
//! ([`exchange`]), and lets [`Reader`]s follow: pages and other nodes alike. [`Boards`] are all
//! of a node's.
//!
//! Nothing here knows sockets, trunks or the lesson's rules: who may write is decided before.

mod boards;
mod drawn;
mod exchange;
mod journal;
mod reader;
mod replica;

pub use boards::{Boards, Talk};
pub use drawn::Drawn;
pub use journal::{as_of, piece as changes_piece};
pub use reader::{News, Reader};
pub use replica::{Replica, Unusable};

use cloudschool_protocol::asset::AssetId;
use cloudschool_protocol::board::update::{self, NotTaken};
use cloudschool_protocol::board::{MAX_INK, MAX_INKS, author_of, pictures};
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::member::Member;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_service::clock::now_ms;
use journal::{Journal, Record};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Changes kept for readers that follow, in number and in bytes. Who is farther behind gets the
/// difference from the document.
const RECENT: usize = 4096;
const RECENT_BYTES: usize = 1 << 20;

/// Changes written to the disk at once.
const BATCH: usize = 1024;

/// A disk that fails is tried again after this.
const DISK_AGAIN: Duration = Duration::from_secs(1);

/// A stroke under way of which nothing is heard so long is over.
const INK_FOR: Duration = Duration::from_secs(3);

/// What other nodes tell may fill a board so many times over what members here may write: it was
/// within bounds where it was written.
const FROM_NODES: u64 = 4;

/// How much a board takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one change.
    pub change: usize,
    /// Bytes of all changes to a board.
    pub board: u64,
}

/// Who made a change: each reader has a number of its own, and is not told its own changes.
pub type Whose = u64;

/// A change that readers follow.
struct Recent {
    seq: u64,
    whose: Whose,
    update: Arc<[u8]>,
}

/// The latest of a stroke under way.
struct Ink {
    seq: u64,
    whose: Whose,
    heard: Instant,
    data: Vec<u8>,
}

struct Inner {
    replica: Replica,
    /// Number of the last change.
    seq: u64,
    recent: VecDeque<Recent>,
    recent_bytes: usize,
    /// Bytes of all changes.
    bytes: u64,
    /// What its changes named, erased or not; each takes 68 bytes of them.
    pictures: HashSet<AssetId>,
    inks: BTreeMap<MemberId, Ink>,
    ink_seq: u64,
}

/// The board of one run of a lesson.
pub struct Board {
    run: u32,
    dir: PathBuf,
    limits: Limits,
    inner: Mutex<Inner>,
    head: watch::Sender<u64>,
    ink_head: watch::Sender<u64>,
    stored: watch::Receiver<u64>,
    records: mpsc::UnboundedSender<(u64, Record)>,
    next_reader: AtomicU64,
    /// Pages that show it.
    pages: AtomicUsize,
    /// Cancelled when the node gives the board up.
    closed: CancellationToken,
}

impl Board {
    /// The board of run `run`, as it is in `dir`. Blocks on the disk; must be called in a
    /// runtime.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open(dir: &Path, run: u32, limits: Limits) -> io::Result<Arc<Self>> {
        let (journal, replica) = Journal::open(dir, run)?;
        let pictures = pictures::named(&replica.whole()).collect();
        let (records, written) = mpsc::unbounded_channel();
        let (stored_now, stored) = watch::channel(0);
        let inner = Inner {
            replica,
            seq: 0,
            recent: VecDeque::new(),
            recent_bytes: 0,
            bytes: journal.length(),
            pictures,
            inks: BTreeMap::new(),
            ink_seq: 0,
        };
        let board = Arc::new(Self {
            run,
            dir: dir.to_owned(),
            limits,
            inner: Mutex::new(inner),
            head: watch::Sender::new(0),
            ink_head: watch::Sender::new(0),
            stored,
            records,
            next_reader: AtomicU64::new(1),
            pages: AtomicUsize::new(0),
            closed: CancellationToken::new(),
        });
        tokio::spawn(keep(journal, written, stored_now, Arc::downgrade(&board)));
        Ok(board)
    }

    /// Which run of the lesson it is of.
    #[must_use]
    pub fn run(&self) -> u32 {
        self.run
    }

    /// Bytes of all changes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inner().bytes
    }

    /// The whole board, as one Yjs update.
    #[must_use]
    pub fn whole(&self) -> Vec<u8> {
        self.inner().replica.whole()
    }

    /// Whether something on it names this picture.
    #[must_use]
    pub fn names(&self, picture: &AssetId) -> bool {
        self.inner().pictures.contains(picture)
    }

    /// A number for whoever reads and writes.
    #[must_use]
    pub fn whose(&self) -> Whose {
        self.next_reader.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a change that `author`, who may write, made on a page of this node. Gives the
    /// number to wait for with [`Self::stored`], and whether anything of it was new: a page that
    /// comes back says again what it is not sure of.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with; then nothing has changed. With
    /// [`Refusal::BoardTooFast`] the same may be sent again, after what goes before it.
    pub fn write(
        &self,
        author: &Member,
        whose: Whose,
        change: &[u8],
    ) -> Result<(u64, bool), Refusal> {
        if change.len() > self.limits.change {
            return Err(Refusal::BoardTooLarge);
        }
        let said = update::read(change).map_err(refusal)?;
        let mut inner = self.inner();
        // Erasing is possible on a full board.
        let adds = !said.structs.is_empty();
        if adds && inner.bytes + change.len() as u64 > self.limits.board {
            return Err(Refusal::BoardFull);
        }
        let next = inner.replica.next_clocks();
        said.allowed(author_of(&author.id), author.role, next).map_err(refusal)?;
        let before = inner.seq;
        self.take(&mut inner, whose, change).map_err(|error| {
            tracing::warn!(member = %author.id, %error, "a change of a board was not taken");
            Refusal::BoardMalformed
        })?;
        Ok((inner.seq, inner.seq > before))
    }

    /// Takes a change that another node told, judged there. Gives the number to wait for with
    /// [`Self::stored`], and whether a part of it was left out because what it builds on is
    /// missing here.
    ///
    /// # Errors
    /// [`Unusable`] when it is none of a board's, or the board is beyond all bounds.
    pub fn hear(&self, whose: Whose, change: &[u8]) -> Result<(u64, bool), Unusable> {
        let mut inner = self.inner();
        if inner.bytes + change.len() as u64 > self.limits.board.saturating_mul(FROM_NODES) {
            return Err(Unusable::NotTaken(NotTaken::Foreign));
        }
        let gaps = self.take(&mut inner, whose, change)?;
        Ok((inner.seq, gaps))
    }

    fn take(&self, inner: &mut Inner, whose: Whose, change: &[u8]) -> Result<bool, Unusable> {
        let applied = match inner.replica.apply(change) {
            Ok(applied) => applied,
            Err(error) => {
                if error == Unusable::Broke {
                    self.restore(inner);
                }
                return Err(error);
            }
        };
        if let Some(news) = applied.news {
            inner.seq += 1;
            let (seq, update) = (inner.seq, Arc::<[u8]>::from(&*news));
            inner.bytes += news.len() as u64;
            inner.pictures.extend(pictures::named(&news));
            inner.recent_bytes += news.len();
            inner.recent.push_back(Recent { seq, whose, update });
            while inner.recent.len() > RECENT || inner.recent_bytes > RECENT_BYTES {
                let Some(old) = inner.recent.pop_front() else { break };
                inner.recent_bytes -= old.update.len();
            }
            // The task that writes lives as long as the board.
            let _queued = self.records.send((seq, Record { at_ms: now_ms(), update: news }));
            self.head.send_replace(seq);
        }
        Ok(applied.gaps)
    }

    /// Makes the copy anew, from the disk and what is not there yet.
    fn restore(&self, inner: &mut Inner) {
        tracing::error!(dir = %self.dir.display(), "a board is made anew from the disk");
        let mut replica = Replica::new();
        let kept = journal::as_of(&self.dir, self.run, u64::MAX).ok().flatten();
        let recent = inner.recent.iter().map(|recent| &*recent.update);
        for update in kept.as_deref().into_iter().chain(recent) {
            if let Err(error) = replica.apply(update) {
                tracing::error!(%error, "a change of a board is left out");
            }
        }
        inner.replica = replica;
    }

    /// Waits until change `seq` is on the disk.
    pub async fn stored(&self, seq: u64) {
        // An end of the task that writes is an end of the process.
        let mut stored = self.stored.clone();
        let _stored = stored.wait_for(|stored| *stored >= seq).await;
    }

    /// A stroke that a member is drawing: passed on to readers, and nowhere kept.
    pub fn ink(&self, member: &MemberId, whose: Whose, data: Vec<u8>) {
        if data.len() > MAX_INK {
            return;
        }
        let mut inner = self.inner();
        let now = Instant::now();
        inner.inks.retain(|_, ink| now.saturating_duration_since(ink.heard) < INK_FOR);
        if inner.inks.len() >= MAX_INKS && !inner.inks.contains_key(member) {
            return;
        }
        inner.ink_seq += 1;
        let seq = inner.ink_seq;
        inner.inks.insert(member.clone(), Ink { seq, whose, heard: now, data });
        self.ink_head.send_replace(seq);
    }

    /// Begins to follow: gives what a copy with that state vector lacks, and a reader of what
    /// comes after.
    ///
    /// # Errors
    /// [`Unusable`] when it is no state vector.
    pub fn follow(
        self: &Arc<Self>,
        whose: Whose,
        vector: &[u8],
    ) -> Result<(Vec<u8>, Reader), Unusable> {
        let inner = self.inner();
        let lacking = inner.replica.lacking(vector)?;
        Ok((lacking, Reader::new(self.clone(), whose, &inner)))
    }

    /// What this copy has, as a Yjs state vector.
    #[must_use]
    pub fn vector(&self) -> Vec<u8> {
        self.inner().replica.vector()
    }

    /// A page shows it from now on, as long as the guard lives.
    #[must_use]
    pub fn shown(self: &Arc<Self>) -> Shown {
        self.pages.fetch_add(1, Ordering::Relaxed);
        Shown(self.clone())
    }

    fn has_pages(&self) -> bool {
        self.pages.load(Ordering::Relaxed) > 0
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A failing library is caught before it gets here; all else leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A page shows the board.
pub struct Shown(Arc<Board>);

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.pages.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What to answer where a change is not taken.
fn refusal(why: NotTaken) -> Refusal {
    match why {
        NotTaken::Malformed | NotTaken::Foreign => Refusal::BoardMalformed,
        NotTaken::Forged | NotTaken::NotOwn => Refusal::BoardNotYours,
        NotTaken::Gap => Refusal::BoardTooFast,
    }
}

/// Writes changes to the disk as they come, many at once, for as long as the board is there.
async fn keep(
    mut journal: Journal,
    mut records: mpsc::UnboundedReceiver<(u64, Record)>,
    stored: watch::Sender<u64>,
    board: Weak<Board>,
) {
    let mut batch = Vec::new();
    while records.recv_many(&mut batch, BATCH).await > 0 {
        let last = batch.last().map_or(0, |(seq, _)| *seq);
        let mut writing: Vec<Record> = batch.drain(..).map(|(_, record)| record).collect();
        loop {
            let whole = journal.wants_whole().then(|| board.upgrade()).flatten();
            let written = tokio::task::spawn_blocking(move || {
                let done = journal.append(&writing);
                // It has at least what was appended; the rest comes again when it is read.
                if let (Ok(()), Some(board)) = (&done, whole)
                    && let Err(error) = journal.keep_whole(&board.whole())
                {
                    tracing::warn!(%error, "a board could not be kept whole; its changes are");
                }
                (journal, writing, done)
            });
            let done;
            (journal, writing, done) = match written.await {
                Ok(written) => written,
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            };
            match done {
                Ok(()) => break,
                Err(error) => tracing::error!(%error, "a board can't be stored; trying again"),
            }
            tokio::time::sleep(DISK_AGAIN).await;
        }
        stored.send_replace(last);
    }
}

#[cfg(test)]
mod tests;
