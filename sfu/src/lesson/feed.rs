//! What a lesson tells: its state now, and every event so far and to come.
//!
//! A subscriber reads from the lesson's history at its own pace and is only woken by news:
//! there is no queue per subscriber that could fill, so a slow one never holds the lesson up.

use bytes::Bytes;
use cloudschool_protocol::event::Event;
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::socket::ServerMessage;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use tokio::sync::watch;

/// Most events handed out in one piece, and most bytes of them but for the last, so that a replay
/// is sent in messages of bearable size: a trunk's may have a megabyte.
const PIECE: usize = 256;
const PIECE_BYTES: usize = 512 * 1024;

/// The history and present of one lesson. One writer, any number of subscribers.
#[derive(Debug)]
pub(super) struct Feed {
    history: RwLock<History>,
    head: watch::Sender<Arc<State>>,
}

/// An event of a lesson's history, shared by all who are told of it.
#[derive(Debug)]
pub struct Told {
    event: Event,
    /// So many bytes of JSON.
    bytes: usize,
    text: OnceLock<Bytes>,
}

impl Told {
    fn new(event: Event) -> Arc<Self> {
        let mut count = Count(0);
        // It came off a disk or a trunk as JSON, or goes there: this can't fail.
        let _counted = serde_json::to_writer(&mut count, &event);
        Arc::new(Self { event, bytes: count.0, text: OnceLock::new() })
    }

    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The message a lesson socket says it with: made once, for however many pages.
    pub fn text(&self) -> Bytes {
        let made = || {
            let message = ServerMessage::Event { event: self.event.clone() };
            serde_json::to_vec(&message).unwrap_or_default().into()
        };
        self.text.get_or_init(made).clone()
    }
}

/// Counts what is written.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct History {
    /// Grows when anything that was told is not so any more.
    epoch: u64,
    /// Grows when that was the origin's: the history is another altogether.
    origin_epoch: u64,
    /// Event `n` at index `n - 1`.
    events: Vec<Arc<Told>>,
    /// So many of them the origin has decided. What this node decided by itself comes after.
    decided: usize,
}

impl Feed {
    pub(super) fn new(state: State, events: Vec<Event>) -> Arc<Self> {
        let decided = events.len();
        let events = events.into_iter().map(Told::new).collect();
        let history = RwLock::new(History { epoch: 0, origin_epoch: 0, events, decided });
        Arc::new(Self { history, head: watch::Sender::new(Arc::new(state)) })
    }

    pub(super) fn state(&self) -> Arc<State> {
        self.head.borrow().clone()
    }

    /// Adds `events` of the origin, which follow the last.
    pub(super) fn publish(&self, events: Vec<Event>) {
        self.write(|history, head| {
            apply(head, &events);
            history.events.extend(events.into_iter().map(Told::new));
            history.decided = history.events.len();
        });
    }

    /// Adds `events` that this node decided by itself, which follow the last.
    pub(super) fn publish_provisional(&self, events: Vec<Event>) {
        self.write(|history, head| {
            apply(head, &events);
            history.events.extend(events.into_iter().map(Told::new));
        });
    }

    /// Puts `decided` in place of what this node decided by itself, and on top what of that is
    /// still to be handed up.
    pub(super) fn rebase(&self, state: State, decided: Vec<Event>, provisional: Vec<Event>) {
        self.write(|history, head| {
            *head = Arc::new(state);
            history.epoch += 1;
            history.events.truncate(history.decided);
            history.events.extend(decided.into_iter().map(Told::new));
            history.decided = history.events.len();
            history.events.extend(provisional.into_iter().map(Told::new));
        });
    }

    /// Forgets everything: what comes next is another history.
    pub(super) fn reset(&self, state: State) {
        self.write(|history, head| {
            *head = Arc::new(state);
            history.epoch += 1;
            history.origin_epoch += 1;
            history.events.clear();
            history.decided = 0;
        });
    }

    /// Event number `seq` of the origin, if it is shown.
    pub(super) fn decided(&self, seq: u64) -> Option<Event> {
        let at = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.read(|history| history.of(Whose::Origin).1.get(at).map(|told| told.event.clone()))
    }

    /// Number of the last event of the origin.
    pub(super) fn decided_seq(&self) -> u64 {
        self.read(|history| history.decided as u64)
    }

    /// Every event after number `after` that the origin decided. One that is ahead of the
    /// lesson has followed a different history; it gets this one from its beginning, and can
    /// tell.
    pub(super) fn subscribe(self: &Arc<Self>, after: u64) -> Subscription {
        let news = self.head.subscribe();
        let (epoch, len) = self.read(|history| (history.origin_epoch, history.decided as u64));
        let next = if after > len { 0 } else { after };
        Subscription { feed: self.clone(), news, whose: Whose::Origin, epoch, delivered: next }
    }

    /// The state, and every event after it, whoever decided it.
    pub(super) fn follow(self: &Arc<Self>) -> (Arc<State>, Subscription) {
        let news = self.head.subscribe();
        let (epoch, state) = self.read(|history| (history.epoch, self.state()));
        let delivered = state.seq;
        (state, Subscription { feed: self.clone(), news, whose: Whose::All, epoch, delivered })
    }

    // A panic while the lock is held can't leave the history torn: every change is one call
    // on the vector. The head changes under the lock, so that it never speaks of another
    // history than the one a reader sees.
    fn write(&self, change: impl FnOnce(&mut History, &mut Arc<State>)) {
        let mut history = self.history.write().unwrap_or_else(PoisonError::into_inner);
        self.head.send_modify(|head| change(&mut history, head));
    }

    fn read<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(&self.history.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Changes the state in place, or a copy of it where somebody is just looking at it: a lesson of
/// two thousand is large.
fn apply(head: &mut Arc<State>, events: &[Event]) {
    let state = Arc::make_mut(head);
    for event in events {
        if let Err(gap) = state.apply(event) {
            tracing::error!(lesson = %state.info.id, %gap, "an event was published out of its place");
        }
    }
}

/// The lesson's history was replaced by another: take its state anew and subscribe again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lesson's history was replaced: take its state anew and subscribe again")]
pub struct Reset;

/// Whose events a subscription is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// What the origin decided.
    Origin,
    /// And what this node did by itself.
    All,
}

impl History {
    fn of(&self, whose: Whose) -> (u64, &[Arc<Told>]) {
        match whose {
            Whose::Origin => (self.origin_epoch, self.events.get(..self.decided).unwrap_or(&[])),
            Whose::All => (self.epoch, &self.events),
        }
    }
}

/// Every event after a number, in order, once.
#[derive(Debug)]
pub struct Subscription {
    feed: Arc<Feed>,
    news: watch::Receiver<Arc<State>>,
    whose: Whose,
    epoch: u64,
    delivered: u64,
}

impl Subscription {
    /// Waits for the next events: one or more. Cancel safe.
    ///
    /// # Errors
    /// [`Reset`] when there is nothing to continue from.
    pub async fn next(&mut self) -> Result<Vec<Event>, Reset> {
        let told = self.next_told().await?;
        Ok(told.iter().map(|told| told.event.clone()).collect())
    }

    /// As [`Self::next`], shared.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn next_told(&mut self) -> Result<Vec<Arc<Told>>, Reset> {
        loop {
            self.news.borrow_and_update();
            let events = self.feed.read(|history| {
                let (epoch, events) = history.of(self.whose);
                if epoch != self.epoch {
                    return Err(Reset);
                }
                let rest = events.iter().skip(self.delivered as usize);
                let mut bytes = 0;
                let fits = |told: &&Arc<Told>| {
                    let room = bytes < PIECE_BYTES;
                    bytes += told.bytes;
                    room
                };
                Ok(rest.take(PIECE).take_while(fits).cloned().collect::<Vec<_>>())
            })?;
            if let Some(last) = events.last() {
                self.delivered = last.event.seq;
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

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::event::EventBody;
    use cloudschool_protocol::id::{MemberId, NodeId, SchoolId};
    use cloudschool_protocol::media::{Codec, Source, TrackId};
    use cloudschool_protocol::member::{Member, Role};
    use std::time::Instant;
    use uuid::Uuid;

    const MEMBERS: u64 = 2_000;

    fn event(seq: u64, body: EventBody) -> Event {
        Event::new(seq, Uuid::from_u128(seq.into()), seq, body)
    }

    /// A lesson in which everybody there may be is, with an open microphone.
    fn large() -> Arc<Feed> {
        let (school, node) = (SchoolId::new("school-01").unwrap(), NodeId::new("campus").unwrap());
        let info = serde_json::json!({"id": "math", "title": "t", "teacher": "li",
            "campus": "campus", "schools": ["school-01"]});
        let mut state = State::new(serde_json::from_value(info).unwrap());
        let mut events = Vec::new();
        for n in 0..MEMBERS {
            let id = MemberId::new(format!("student-{n:06}")).unwrap();
            let track = TrackId::new(id.clone(), Source::Microphone);
            let (school, node) = (school.clone(), node.clone());
            let member =
                Member { id, name: format!("学生{n}"), role: Role::Student, school, node };
            let published =
                EventBody::TrackPublished { track, codec: Codec::Opus, node: member.node.clone() };
            events.push(event(2 * n + 1, EventBody::MemberJoined { member }));
            events.push(event(2 * n + 2, published));
        }
        events.iter().for_each(|event| state.apply(event).unwrap());
        Feed::new(state, events)
    }

    fn hand(n: u64) -> Vec<Event> {
        let member = MemberId::new(format!("student-{n:06}")).unwrap();
        vec![event(2 * MEMBERS + 1 + n, EventBody::HandRaised { member })]
    }

    /// `cargo test -p cloudschool-sfu --lib lesson::feed -- --nocapture` prints what a copy of
    /// such a lesson costs, and what an event does.
    #[test]
    fn an_event_copies_a_lesson_of_two_thousand_only_where_somebody_looks_at_it() {
        let feed = large();
        let place = |feed: &Feed| Arc::as_ptr(&feed.state());
        let before = place(&feed);
        let began = Instant::now();
        (0..500).for_each(|n| feed.publish(hand(n)));
        let events = began.elapsed() / 500;
        assert_eq!(place(&feed), before, "nobody looked: nothing was copied");
        assert_eq!(feed.state().hands.len(), 500);

        let looks = feed.state();
        feed.publish(hand(500));
        assert_eq!((looks.hands.len(), feed.state().hands.len()), (500, 501));
        let copied = place(&feed);
        assert_ne!(copied, before);
        feed.publish(hand(501));
        assert_eq!(place(&feed), copied, "who still looks at the past costs nothing more");

        let began = Instant::now();
        let copies: Vec<State> = (0..20).map(|_| State::clone(&looks)).collect();
        let copy = began.elapsed() / 20;
        assert!(copies.iter().all(|copy| *copy == *looks));
        println!("{MEMBERS} members: an event {events:?}, a copy of the state {copy:?}");
    }
}
