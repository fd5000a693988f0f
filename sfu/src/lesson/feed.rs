//! What a lesson tells: its state now, and every event so far and to come.
//!
//! A subscriber reads from the lesson's history at its own pace and is only woken by news:
//! there is no queue per subscriber that could fill, so a slow one never holds the lesson up.

use cloudschool_protocol::event::Event;
use cloudschool_protocol::lesson::State;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// Most events handed out in one piece, so that a replay is sent in messages of bearable size.
const PIECE: usize = 256;

/// The history and present of one lesson. One writer, any number of subscribers.
#[derive(Debug)]
pub(super) struct Feed {
    history: RwLock<History>,
    head: watch::Sender<Arc<State>>,
}

#[derive(Debug)]
struct History {
    /// Grows when the history is replaced by another.
    epoch: u64,
    /// Event `n` at index `n - 1`.
    events: Vec<Event>,
}

impl Feed {
    pub(super) fn new(state: State, events: Vec<Event>) -> Arc<Self> {
        let history = RwLock::new(History { epoch: 0, events });
        Arc::new(Self { history, head: watch::Sender::new(Arc::new(state)) })
    }

    pub(super) fn state(&self) -> Arc<State> {
        self.head.borrow().clone()
    }

    /// Adds `events`, which follow the last, and with them `state`.
    pub(super) fn publish(&self, state: State, events: Vec<Event>) {
        self.write(state, |history| history.events.extend(events));
    }

    /// Forgets everything: what comes next is another history.
    pub(super) fn reset(&self, state: State) {
        self.write(state, |history| {
            history.epoch += 1;
            history.events.clear();
        });
    }

    /// Event number `seq`, if it has happened.
    pub(super) fn event(&self, seq: u64) -> Option<Event> {
        let at = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.read(|history| history.events.get(at).cloned())
    }

    /// Every event after number `after`. One that is ahead of the lesson has followed a
    /// different history; it gets this one from its beginning, and can tell.
    pub(super) fn subscribe(self: &Arc<Self>, after: u64) -> Subscription {
        let news = self.head.subscribe();
        let (epoch, len) = self.read(|history| (history.epoch, history.events.len() as u64));
        let next = if after > len { 0 } else { after };
        Subscription { feed: self.clone(), news, epoch, delivered: next }
    }

    /// The state, and every event after it.
    pub(super) fn follow(self: &Arc<Self>) -> (Arc<State>, Subscription) {
        let news = self.head.subscribe();
        let (epoch, state) = self.read(|history| (history.epoch, self.state()));
        let delivered = state.seq;
        (state, Subscription { feed: self.clone(), news, epoch, delivered })
    }

    // A panic while the lock is held can't leave the history torn: every change is one call
    // on the vector. The head changes under the lock, so that it never speaks of another
    // history than the one a reader sees.
    fn write(&self, state: State, change: impl FnOnce(&mut History)) {
        let mut history = self.history.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut history);
        self.head.send_replace(Arc::new(state));
    }

    fn read<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(&self.history.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The lesson's history was replaced by another: take its state anew and subscribe again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lesson's history was replaced: take its state anew and subscribe again")]
pub struct Reset;

/// Every event after a number, in order, once.
#[derive(Debug)]
pub struct Subscription {
    feed: Arc<Feed>,
    news: watch::Receiver<Arc<State>>,
    epoch: u64,
    delivered: u64,
}

impl Subscription {
    /// Waits for the next events: one or more. Cancel safe.
    ///
    /// # Errors
    /// [`Reset`] when there is nothing to continue from.
    pub async fn next(&mut self) -> Result<Vec<Event>, Reset> {
        loop {
            self.news.borrow_and_update();
            let events = self.feed.read(|history| {
                if history.epoch != self.epoch {
                    return Err(Reset);
                }
                let rest = history.events.iter().skip(self.delivered as usize);
                Ok(rest.take(PIECE).cloned().collect::<Vec<_>>())
            })?;
            if let Some(last) = events.last() {
                self.delivered = last.seq;
                return Ok(events);
            }
            // The sender lives in `self.feed`, so this ends only with news.
            self.news.changed().await.map_err(|_| Reset)?;
        }
    }

    /// Number of the last event handed out.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }
}
