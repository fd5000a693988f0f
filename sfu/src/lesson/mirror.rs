//! An edge's side of a lesson: a copy of the origin's events, and a way for commands up.
//!
//! The copy is on disk as well, so a node that restarts goes on from its last event rather
//! than taking the whole lesson over a thin line again. It is only a copy: when it can't be
//! written the lesson goes on without it, and when it turns out to be of another history
//! (the campus was set up anew) it is thrown away.

use super::feed::Feed;
use super::log::EventLog;
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::Event;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::refusal::Refusal;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};

/// Commands that may wait for the trunk. When it is that far behind it is as good as away.
pub(super) const QUEUE: usize = 1024;

/// How long the origin may take to answer. A person waits for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// A command on its way up. The trunk answers `reply` with the origin's outcome; a reply
/// dropped means that the campus can't be reached.
#[derive(Debug)]
pub struct Forward {
    pub lesson: LessonId,
    pub command: Command,
    pub reply: oneshot::Sender<Result<(), Refusal>>,
}

/// The events don't follow what this node has: follow the lesson again, after number `after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the events do not follow what this node has: follow the lesson again after {after}")]
pub struct FollowAgain {
    pub after: u64,
}

#[derive(Debug)]
pub(super) struct Mirror {
    feed: Arc<Feed>,
    up: mpsc::Sender<Forward>,
    /// The copy on disk; none once it failed.
    log: Mutex<Option<EventLog>>,
}

impl Mirror {
    pub(super) fn new(feed: Arc<Feed>, up: mpsc::Sender<Forward>, log: Option<EventLog>) -> Self {
        Self { feed, up, log: Mutex::new(log) }
    }

    /// Where to follow from: before the last event this node has, so that the first event
    /// that comes shows whether both still speak of the same history.
    pub(super) fn follow_after(&self) -> u64 {
        self.feed.state().seq.saturating_sub(1)
    }

    /// Takes over events from the origin. Those it has already are compared, not repeated.
    pub(super) async fn apply(&self, events: Vec<Event>) -> Result<(), FollowAgain> {
        let mut log = self.log.lock().await;
        let mut state = State::clone(&self.feed.state());
        let mut new = Vec::new();
        let mut gap = false;
        for event in events {
            if event.seq <= state.seq {
                let mine = self.feed.event(event.seq);
                if mine.is_some_and(|mine| mine.id != event.id) {
                    return Err(self.start_over(&mut log, &state));
                }
                continue;
            }
            if state.apply(&event).is_err() {
                gap = true;
                break;
            }
            new.push(event);
        }
        if !new.is_empty() {
            if let Some(Err(error)) = log.as_mut().map(|log| log.append(&new)) {
                let lesson = &state.info.id;
                tracing::warn!(%lesson, %error, "the copy of the lesson's events ends here");
                *log = None;
            }
            self.feed.publish(state, new);
        }
        if gap { Err(FollowAgain { after: self.follow_after() }) } else { Ok(()) }
    }

    fn start_over(&self, log: &mut Option<EventLog>, state: &State) -> FollowAgain {
        let lesson = &state.info.id;
        tracing::warn!(%lesson, "the campus has another history of this lesson; taking it over");
        if let Some(Err(error)) = log.as_mut().map(EventLog::clear) {
            tracing::warn!(%lesson, %error, "the old copy could not be emptied");
            *log = None;
        }
        self.feed.reset(State::new(state.info.clone()));
        FollowAgain { after: 0 }
    }

    pub(super) async fn submit(&self, command: Command) -> Result<(), Refusal> {
        if self.is_so(&command) {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        let lesson = self.feed.state().info.id.clone();
        let forward = Forward { lesson, command, reply };
        self.up.try_send(forward).map_err(|_| Refusal::CampusAway)?;
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(Refusal::CampusAway),
        }
    }

    /// A member this node already has comes back to it, as after a page was reloaded.
    fn is_so(&self, command: &Command) -> bool {
        let state = self.feed.state();
        match command {
            Command::Join { member } => {
                matches!(state.phase, Phase::Open | Phase::Live)
                    && state.members.get(&member.id) == Some(member)
            }
            _ => false,
        }
    }
}
