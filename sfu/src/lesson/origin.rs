//! The origin's side of a lesson: one task that decides, writes down, and only then tells.
//!
//! Commands that wait while a batch is being synced to disk are decided together and share
//! the next sync, so a whole school joining at once costs a few of them, not one each. What
//! nodes decided while they could not reach the origin is decided again in the same order and
//! under the same rules: each entry once, however often it is handed up.

use super::feed::Feed;
use super::log::EventLog;
use super::registry::Board;
use super::rules::{self, Limits, Voices};
use super::settled::Settled;
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::lesson::{LessonInfo, State};
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::{HandUpEntry, HandUpOutcome};
use cloudschool_service::clock::now_ms;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Commands that may wait for one lesson; more than that wait to be sent.
const QUEUE: usize = 1024;
/// Most commands decided at once: bounds how long the first of them waits for its answer.
const BATCH: usize = 256;

/// Longest sleep before the clock is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// How long to wait, after the disk failed, before what ended by itself is written again.
const STORE_AGAIN_MS: u64 = 1_000;

/// What is asked of the lesson's task.
enum Request {
    Open(LessonInfo, oneshot::Sender<Result<(), Refusal>>),
    Command(Command, NodeId, oneshot::Sender<Result<(), Refusal>>),
    HandUp(Vec<HandUpEntry>, NodeId, oneshot::Sender<Vec<HandUpOutcome>>),
}

/// An answer that waits for its events to be stored.
enum Answer {
    Outcome(oneshot::Sender<Result<(), Refusal>>, Result<(), Refusal>),
    HandUp(oneshot::Sender<Vec<HandUpOutcome>>, Vec<HandUpOutcome>),
}

/// A way to the lesson's task.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    requests: mpsc::Sender<Request>,
}

impl Origin {
    /// Starts the task of a lesson of which `events` have happened. It ends when the last
    /// `Origin` is dropped.
    pub(super) fn start(
        feed: Arc<Feed>,
        log: EventLog,
        limits: Limits,
        board: Board,
        events: &[Event],
    ) -> Self {
        let (requests, waiting) = mpsc::channel(QUEUE);
        let mut settled = Settled::default();
        settled.logged(events);
        let (state, voices) = (State::clone(&feed.state()), Voices::default());
        let task = Task { feed, state, log: Some(log), limits, board, settled, voices };
        tokio::spawn(task.run(waiting));
        Self { requests }
    }

    pub(super) async fn open(&self, info: LessonInfo) -> Result<(), Refusal> {
        self.ask(|reply| Request::Open(info, reply)).await.unwrap_or(Err(Refusal::Storage))
    }

    pub(super) async fn submit(&self, command: Command, from: NodeId) -> Result<(), Refusal> {
        let answer = self.ask(|reply| Request::Command(command, from, reply)).await;
        answer.unwrap_or(Err(Refusal::Storage))
    }

    /// Takes what was decided at `from`, or where the entries say, in order. The outcomes are
    /// of those that were dealt with; what is missing is to be handed up again.
    pub(super) async fn hand_up(
        &self,
        entries: Vec<HandUpEntry>,
        from: NodeId,
    ) -> Vec<HandUpOutcome> {
        self.ask(|reply| Request::HandUp(entries, from, reply)).await.unwrap_or_default()
    }

    /// `None` only after the log failed beyond repair.
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.ok()?;
        answer.await.ok()
    }
}

struct Task {
    feed: Arc<Feed>,
    /// After what is decided, be it stored or not yet.
    state: State,
    /// Away only while a batch is being written.
    log: Option<EventLog>,
    limits: Limits,
    board: Board,
    settled: Settled,
    /// Who speaks of those the screens may show.
    voices: Voices,
}

impl Task {
    async fn run(mut self, mut waiting: mpsc::Receiver<Request>) {
        let mut batch = Vec::new();
        let mut not_before = 0;
        loop {
            let due = self.due().map(|at| at.max(not_before));
            tokio::select! {
                biased;
                received = waiting.recv_many(&mut batch, BATCH) => if received == 0 { return },
                () = reached(due) => {}
            }
            let mut events = Vec::new();
            let mut answers = Vec::new();
            for request in batch.drain(..) {
                answers.push(self.decide(&mut events, request));
            }
            let followed = self.follow_up(&mut events).is_ok();
            let stored = followed && (events.is_empty() || self.store(&events).await);
            if !stored {
                // Nothing of it has happened.
                self.state = State::clone(&self.feed.state());
                not_before = now_ms().saturating_add(STORE_AGAIN_MS);
            }
            if stored && !events.is_empty() {
                self.board.show(&self.state);
                self.settled.logged(&events);
                self.feed.publish(events);
            }
            for answer in answers {
                // Later decisions of the batch rest on events that are no longer. Who asked
                // may have gone; what was decided stands all the same.
                match answer {
                    Answer::Outcome(reply, outcome) => {
                        let _ = reply.send(if stored { outcome } else { Err(Refusal::Storage) });
                    }
                    Answer::HandUp(reply, outcomes) => {
                        if stored {
                            self.settled.without_event(&outcomes);
                        }
                        let _ = reply.send(if stored { outcomes } else { Vec::new() });
                    }
                }
            }
            if self.log.is_none() {
                return;
            }
        }
    }

    /// When something is to be done without being asked.
    fn due(&self) -> Option<u64> {
        rules::due(&self.state).into_iter().chain(self.voices.due(&self.state)).min()
    }

    fn decide(&mut self, events: &mut Vec<Event>, request: Request) -> Answer {
        let state = &mut self.state;
        match request {
            Request::Open(info, reply) => {
                let bodies = rules::open(state, &info);
                let outcome =
                    bodies.and_then(|b| rules::happen(state, events, decided_now(state, b)));
                Answer::Outcome(reply, outcome)
            }
            Request::Command(Command::Speaks { member, speaks }, from, reply) => {
                let heard = self.voices.heard(state, &member, speaks, &from, now_ms());
                Answer::Outcome(reply, heard)
            }
            Request::Command(command, from, reply) => {
                let (limits, now_ms) = (&self.limits, now_ms());
                let new_id = &mut Uuid::now_v7;
                let decided = rules::decide(state, &command, &from, limits, now_ms, new_id);
                let outcome = decided.and_then(|bodies| {
                    let new = rules::number(state, bodies, now_ms, new_id);
                    rules::happen(state, events, new)
                });
                Answer::Outcome(reply, outcome)
            }
            Request::HandUp(entries, from, reply) => {
                let (limits, now_ms) = (&self.limits, now_ms());
                let outcomes = self.settled.decide(state, events, entries, &from, limits, now_ms);
                Answer::HandUp(reply, outcomes)
            }
        }
    }

    /// What ends by itself has ended, and the screens show what happens.
    fn follow_up(&mut self, events: &mut Vec<Event>) -> Result<(), Refusal> {
        let state = &mut self.state;
        let over = decided_now(state, rules::overdue(state, now_ms()));
        rules::happen(state, events, over)?;
        let cut = rules::cut(state, &mut self.voices, now_ms());
        let cut = decided_now(state, cut.into_iter().collect());
        rules::happen(state, events, cut)
    }

    async fn store(&mut self, events: &[Event]) -> bool {
        let Some(mut log) = self.log.take() else { return false };
        let lesson = self.feed.state().info.id.clone();
        let events = events.to_vec();
        let written = tokio::task::spawn_blocking(move || {
            let result = log.append(&events);
            (log, result)
        });
        match written.await {
            Ok((log, result)) => {
                self.log = Some(log);
                if let Err(error) = &result {
                    tracing::error!(%lesson, %error, "events could not be stored");
                }
                result.is_ok()
            }
            Err(error) => {
                tracing::error!(%lesson, %error, "the event log is lost; restart the node");
                false
            }
        }
    }
}

/// Waits until `at_ms`, or for ever. A clock that was set is looked at again within a minute.
async fn reached(at_ms: Option<u64>) {
    match at_ms {
        Some(at_ms) => {
            let left = Duration::from_millis(at_ms.saturating_sub(now_ms()));
            tokio::time::sleep(left.min(LOOK_AGAIN)).await;
        }
        None => std::future::pending().await,
    }
}

fn decided_now(state: &State, bodies: Vec<EventBody>) -> Vec<Event> {
    rules::number(state, bodies, now_ms(), &mut Uuid::now_v7)
}
