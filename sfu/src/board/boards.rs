//! All boards of a node: opened when somebody first asks, given up when their lesson's run is
//! over and nobody looks at them any more.

use super::{Board, Limits, exchange, journal};
use cloudschool_protocol::board::BoardWord;
use cloudschool_protocol::id::LessonId;
use dashmap::DashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc};

/// Words of another node that may wait. It says one and waits for the answer.
const WORDS: usize = 32;

/// A conversation with another node about one board: which trunk, lesson and run.
pub type Talk = (u64, LessonId, u32);

/// Every board this node has open.
pub struct Boards {
    /// The lessons' directory.
    dir: PathBuf,
    limits: Limits,
    boards: DashMap<LessonId, Arc<Board>>,
    talks: Arc<DashMap<Talk, mpsc::Sender<BoardWord>>>,
    /// One is opened at a time, so none is opened twice.
    opening: Mutex<()>,
}

impl Boards {
    /// Boards kept in `dir`, which has one directory per lesson.
    #[must_use]
    pub fn new(dir: PathBuf, limits: Limits) -> Self {
        let (boards, talks) = (DashMap::new(), Arc::default());
        Self { dir, limits, boards, talks, opening: Mutex::default() }
    }

    /// The board of a run of a lesson.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn open(&self, lesson: &LessonId, run: u32) -> io::Result<Arc<Board>> {
        let _one = self.opening.lock().await;
        if let Some(board) = self.get(lesson, run) {
            return Ok(board);
        }
        let (dir, limits) = (self.lesson_dir(lesson), self.limits);
        let opened = tokio::task::spawn_blocking(move || Board::open(&dir, run, limits)).await;
        let board = match opened {
            Ok(opened) => opened?,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        if let Some(old) = self.boards.insert(lesson.clone(), board.clone()) {
            old.closed.cancel();
        }
        Ok(board)
    }

    /// The board, if it is open.
    #[must_use]
    pub fn get(&self, lesson: &LessonId, run: u32) -> Option<Arc<Board>> {
        self.boards.get(lesson).filter(|b| b.run() == run).map(|b| b.clone())
    }

    /// Whether something is kept of it, open or not.
    #[must_use]
    pub fn is_kept(&self, lesson: &LessonId, run: u32) -> bool {
        self.get(lesson, run).is_some()
            || journal::changes_file(&self.lesson_dir(lesson), run).exists()
    }

    /// Where the lesson's boards are on the disk.
    #[must_use]
    pub fn lesson_dir(&self, lesson: &LessonId) -> PathBuf {
        self.dir.join(lesson.as_str())
    }

    /// Gives up boards that `over` says are done with and that no page shows.
    pub fn tidy(&self, over: impl Fn(&LessonId) -> bool) {
        self.boards.retain(|lesson, board| {
            let keep = board.has_pages() || !over(lesson);
            if !keep {
                board.closed.cancel();
            }
            keep
        });
    }

    /// Passes a word on to the conversation it is of. False when there is none, or it does not
    /// wait for answers as it should.
    #[must_use]
    pub fn pass(&self, talk: &Talk, word: BoardWord) -> bool {
        self.talks.get(talk).is_some_and(|talk| talk.try_send(word).is_ok())
    }

    /// Whether there is such a conversation.
    #[must_use]
    pub fn talks(&self, talk: &Talk) -> bool {
        self.talks.contains_key(talk)
    }

    /// Begins a conversation about `board`, if there is none yet; `say` sends to the other end.
    pub fn talk(&self, talk: Talk, board: Arc<Board>, say: impl Fn(BoardWord) + Send + 'static) {
        let dashmap::Entry::Vacant(place) = self.talks.entry(talk.clone()) else { return };
        let (to, words) = mpsc::channel(WORDS);
        place.insert(to);
        let talks = self.talks.clone();
        tokio::spawn(async move {
            exchange::run(board, words, say).await;
            talks.remove(&talk);
        });
    }

    /// The trunk is gone, and what was said over it.
    pub fn hang_up(&self, link: u64) {
        self.talks.retain(|(of, ..), _| *of != link);
    }
}
