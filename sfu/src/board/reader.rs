//! Follows a board at its own pace, and is only woken by news: there is no queue per reader that
//! could fill, so a slow one never holds the board up.

use super::replica::merged;
use super::{Board, Inner, Whose};
use cloudschool_protocol::id::MemberId;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

/// Most bytes of changes put together into one.
const AT_ONCE: usize = 64 * 1024;

/// What there is to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Changes, perhaps of its own.
    Change,
    /// More of them are on the disk.
    Stored,
    /// Strokes under way.
    Ink,
}

/// What is new on a board, for one that follows it.
pub struct Reader {
    board: Arc<Board>,
    whose: Whose,
    /// Number of the last change it has.
    has: u64,
    /// What it had when it began, and what it got anew since.
    vector: Vec<u8>,
    ink: u64,
    head: watch::Receiver<u64>,
    ink_head: watch::Receiver<u64>,
    stored: watch::Receiver<u64>,
}

impl Reader {
    pub(super) fn new(board: Arc<Board>, whose: Whose, inner: &Inner) -> Self {
        let (head, ink_head) = (board.head.subscribe(), board.ink_head.subscribe());
        let stored = board.stored.clone();
        let vector = inner.replica.vector();
        let (has, ink) = (inner.seq, inner.ink_seq);
        Self { board, whose, has, vector, ink, head, ink_head, stored }
    }

    /// The board it follows.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Whose changes it does not tell.
    #[must_use]
    pub fn whose(&self) -> Whose {
        self.whose
    }

    /// What is on the disk.
    #[must_use]
    pub fn stored_now(&self) -> u64 {
        *self.stored.borrow()
    }

    /// Waits for news; of strokes under way not before `ink_from`. Cancel safe.
    pub async fn news(&mut self, ink_from: Instant) -> News {
        let Self { has, ink, head, ink_head, stored, .. } = self;
        tokio::select! {
            Ok(()) = async { head.wait_for(|head| *head > *has).await.map(drop) } => News::Change,
            Ok(()) = stored.changed() => News::Stored,
            Ok(()) = async {
                tokio::time::sleep_until(ink_from).await;
                ink_head.wait_for(|head| *head > *ink).await.map(drop)
            } => News::Ink,
            // The senders live as long as the board, which this holds.
            else => std::future::pending().await,
        }
    }

    /// The next changes of others, as one update; `None` when there is none.
    pub fn changes(&mut self) -> Option<Vec<u8>> {
        let inner = self.board.inner();
        let first = inner.recent.front().map_or(inner.seq + 1, |recent| recent.seq);
        if self.has + 1 < first {
            // Some are not kept one by one any more.
            let lacking = inner.replica.lacking(&self.vector).ok();
            self.has = inner.seq;
            self.vector = inner.replica.vector();
            return lacking;
        }
        let skip = usize::try_from(self.has + 1 - first).unwrap_or(usize::MAX);
        let mut updates = Vec::new();
        let mut bytes = 0;
        for recent in inner.recent.iter().skip(skip) {
            if bytes > 0 && bytes + recent.update.len() > AT_ONCE {
                break;
            }
            self.has = recent.seq;
            if recent.whose != self.whose {
                bytes += recent.update.len();
                updates.push(recent.update.clone());
            }
        }
        drop(inner);
        if updates.is_empty() {
            return None;
        }
        merged(&updates)
    }

    /// The strokes that others are drawing, as far as they have changed; an empty one is over.
    pub fn inks(&mut self) -> Vec<(MemberId, Vec<u8>)> {
        let inner = self.board.inner();
        let told = std::mem::replace(&mut self.ink, inner.ink_seq);
        let new = inner.inks.iter().filter(|(_, ink)| ink.seq > told && ink.whose != self.whose);
        new.map(|(member, ink)| (member.clone(), ink.data.clone())).collect()
    }
}
