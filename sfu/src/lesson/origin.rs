//! The origin's side of a lesson: one task that decides, writes down, and only then tells.
//!
//! Commands that wait while a batch is being synced to disk are decided together and share
//! the next sync, so a whole school joining at once costs a few of them, not one each.

use super::feed::Feed;
use super::log::EventLog;
use super::registry::Board;
use super::rules::{self, Limits};
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::Event;
use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::lesson::{LessonInfo, State};
use cloudschool_protocol::refusal::Refusal;
use cloudschool_service::clock::now_ms;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Commands that may wait for one lesson; more than that wait to be sent.
const QUEUE: usize = 1024;
/// Most commands decided at once: bounds how long the first of them waits for its answer.
const BATCH: usize = 256;

/// What is asked of the lesson's task.
enum Ask {
    Open(LessonInfo),
    Command { command: Command, from: NodeId },
}

struct Request {
    ask: Ask,
    reply: oneshot::Sender<Result<(), Refusal>>,
}

/// A way to the lesson's task.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    requests: mpsc::Sender<Request>,
}

impl Origin {
    /// Starts the task. It ends when the last `Origin` is dropped.
    pub(super) fn start(feed: Arc<Feed>, log: EventLog, limits: Limits, board: Board) -> Self {
        let (requests, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(Task { feed, log: Some(log), limits, board }.run(waiting));
        Self { requests }
    }

    pub(super) async fn open(&self, info: LessonInfo) -> Result<(), Refusal> {
        self.ask(Ask::Open(info)).await
    }

    pub(super) async fn submit(&self, command: Command, from: NodeId) -> Result<(), Refusal> {
        self.ask(Ask::Command { command, from }).await
    }

    async fn ask(&self, ask: Ask) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        // The task is gone only after its log failed beyond repair.
        self.requests.send(Request { ask, reply }).await.map_err(|_| Refusal::Storage)?;
        answer.await.unwrap_or(Err(Refusal::Storage))
    }
}

struct Task {
    feed: Arc<Feed>,
    /// Away only while a batch is being written.
    log: Option<EventLog>,
    limits: Limits,
    board: Board,
}

impl Task {
    async fn run(mut self, mut waiting: mpsc::Receiver<Request>) {
        let mut batch = Vec::new();
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            let mut state = State::clone(&self.feed.state());
            let mut events = Vec::new();
            let mut answers = Vec::new();
            for Request { ask, reply } in batch.drain(..) {
                let answer = self.decide(&mut state, &mut events, ask);
                answers.push((reply, answer));
            }
            let stored = events.is_empty() || self.store(&events).await;
            if stored && !events.is_empty() {
                self.board.show(&state);
                self.feed.publish(state, events);
            }
            for (reply, answer) in answers {
                // Later decisions of the batch rest on events that are no longer.
                let answer = if stored { answer } else { Err(Refusal::Storage) };
                // Who asked may have gone; what was decided stands all the same.
                let _ = reply.send(answer);
            }
            if self.log.is_none() {
                return;
            }
        }
    }

    fn decide(&self, state: &mut State, events: &mut Vec<Event>, ask: Ask) -> Result<(), Refusal> {
        let bodies = match &ask {
            Ask::Open(info) => rules::open(state, info)?,
            Ask::Command { command, from } => {
                rules::decide(state, command, from, &self.limits, &mut Uuid::now_v7)?
            }
        };
        for event in rules::number(state, bodies, now_ms(), &mut Uuid::now_v7) {
            // Numbered from this very state, so it follows.
            if let Err(gap) = state.apply(&event) {
                tracing::error!(%gap, "an event was numbered wrongly");
                return Err(Refusal::Storage);
            }
            events.push(event);
        }
        Ok(())
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
