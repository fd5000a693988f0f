//! An edge's side of a lesson: a copy of the origin's events, a way for commands up, and what
//! this node decides by itself while there is no way up.
//!
//! The copy is on disk as well, so a node that restarts goes on from its last event rather
//! than taking the whole lesson over a thin line again. It is only a copy: when it can't be
//! written the lesson goes on without it, and when it turns out to be of another history
//! (the campus was set up anew) it is thrown away. What this node decided is no copy of
//! anything: it is on the disk before anyone is told, and stays there until the origin has it.

use super::feed::Feed;
use super::log::EventLog;
use super::provisional::{Sides, Taken};
use super::queue::QueueFile;
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::id::{LessonId, NodeId};
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::{HandUpEntry, HandUpOutcome};
use cloudschool_service::clock::now_ms;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot, watch};
use uuid::Uuid;

/// Commands that may wait for the trunk. When it is that far behind it is as good as away.
pub(super) const QUEUE: usize = 1024;

/// How long the origin may take to answer. A person waits for it; then this node decides.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// How long to wait before handing up what the origin has not answered for, although it can be
/// reached.
const HAND_UP_AGAIN: Duration = Duration::from_secs(2);

/// Something on its way up.
#[derive(Debug)]
pub struct Forward {
    pub lesson: LessonId,
    pub asked: Asked,
}

/// What is asked of the node above. A reply dropped means that the campus can't be reached.
#[derive(Debug)]
pub enum Asked {
    /// To decide a command, of this node or (`from`) of one behind it.
    Command { command: Command, from: Option<NodeId>, reply: oneshot::Sender<Result<(), Refusal>> },
    /// To take what was decided here, or (the entries' `from`) behind this node.
    HandUp { entries: Vec<HandUpEntry>, reply: oneshot::Sender<Vec<HandUpOutcome>> },
}

/// The events don't follow what this node has: follow the lesson again, after number `after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the events do not follow what this node has: follow the lesson again after {after}")]
pub struct FollowAgain {
    pub after: u64,
}

#[derive(Debug)]
pub(super) struct Mirror {
    node: NodeId,
    feed: Arc<Feed>,
    up: mpsc::Sender<Forward>,
    /// Whether the origin can be reached.
    campus: watch::Receiver<bool>,
    inner: Mutex<Inner>,
    /// Number of the origin's last event here.
    decided: AtomicU64,
    /// Something is to be handed up: until it is, this node goes on deciding, so that nothing
    /// overtakes it.
    handing_up: AtomicBool,
    /// Something came that this release does not know.
    later: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    sides: Sides,
    /// The copy on disk; none once it failed.
    log: Option<EventLog>,
    /// Away only while it is being written; for good when the disk failed.
    queue: Option<QueueFile>,
}

impl Mirror {
    /// What `sides` has to hand up is shown, and handed up as soon as that can be.
    pub(super) fn start(
        node: NodeId,
        feed: Arc<Feed>,
        up: mpsc::Sender<Forward>,
        campus: watch::Receiver<bool>,
        mut sides: Sides,
        (log, queue): (Option<EventLog>, Option<QueueFile>),
    ) -> Arc<Self> {
        let decided = AtomicU64::new(sides.decided().seq);
        let left = !sides.is_even();
        if left {
            let rebased = sides.rebase();
            feed.rebase(rebased.state, rebased.decided, rebased.provisional);
        }
        let inner = Mutex::new(Inner { sides, log, queue });
        let handing_up = AtomicBool::default();
        let later = AtomicBool::default();
        let mirror = Arc::new(Self { node, feed, up, campus, inner, decided, handing_up, later });
        if left {
            mirror.start_handing_up();
        }
        mirror
    }

    /// Where to follow from: before the last event this node has, so that the first event
    /// that comes shows whether both still speak of the same history.
    pub(super) fn follow_after(&self) -> u64 {
        self.decided.load(Ordering::Acquire).saturating_sub(1)
    }

    /// Takes over events from the origin. Those it has already are compared, not repeated.
    pub(super) async fn apply(&self, events: Vec<Event>) -> Result<(), FollowAgain> {
        let mut inner = self.inner.lock().await;
        let mut seq = inner.sides.decided().seq;
        let mut new = Vec::new();
        let mut gap = false;
        for event in events {
            if event.seq <= seq {
                let held = inner.sides.held(event.seq).map(|mine| mine.id);
                let mine = held.or_else(|| self.feed.decided(event.seq).map(|mine| mine.id));
                if mine.is_some_and(|mine| mine != event.id) {
                    return Err(self.start_over(&mut inner));
                }
                continue;
            }
            if event.seq > seq + 1 {
                gap = true;
                break;
            }
            seq = event.seq;
            new.push(event);
        }
        if !new.is_empty() {
            self.warn_of_later(&new);
            if let Some(Err(error)) = inner.log.as_mut().map(|log| log.append(&new)) {
                let lesson = &inner.sides.decided().info.id;
                tracing::warn!(%lesson, %error, "the copy of the lesson's events ends here");
                inner.log = None;
            }
            self.decided.store(seq, Ordering::Release);
            match inner.sides.take(&new) {
                Taken::Shown => self.feed.publish(new),
                Taken::Held => self.dealt_with(&mut inner).await,
            }
        }
        if gap { Err(FollowAgain { after: self.follow_after() }) } else { Ok(()) }
    }

    /// Tells the operator, once, that the campus says what this release does not know.
    fn warn_of_later(&self, new: &[Event]) {
        let later = new.iter().find_map(|event| match &event.body {
            EventBody::Later(later) => Some((event.seq, later.kind())),
            _ => None,
        });
        if let Some((seq, kind)) = later
            && !self.later.swap(true, Ordering::Relaxed)
        {
            let lesson = &self.feed.state().info.id;
            tracing::warn!(%lesson, seq, kind, "the campus runs a later release: what this node \
                does not know of the lesson is kept and passed on, and pages here are without it");
        }
    }

    fn start_over(&self, inner: &mut Inner) -> FollowAgain {
        let info = inner.sides.decided().info.clone();
        let lesson = info.id.clone();
        tracing::warn!(%lesson, "the campus has another history of this lesson; taking it over");
        if let Some(Err(error)) = inner.log.as_mut().map(EventLog::clear) {
            tracing::warn!(%lesson, %error, "the old copy could not be emptied");
            inner.log = None;
        }
        inner.sides.forget(State::new(info.clone()));
        self.decided.store(0, Ordering::Release);
        self.feed.reset(State::new(info));
        FollowAgain { after: 0 }
    }

    /// Has a command decided: by the origin where it can be reached, else here.
    pub(super) async fn submit(
        self: &Arc<Self>,
        command: Command,
        from: &NodeId,
    ) -> Result<(), Refusal> {
        if *from != self.node {
            // The node it comes from decides, when nobody above it can.
            let answer = self.ask_origin(command, Some(from.clone())).await;
            return answer.unwrap_or(Err(Refusal::CampusAway));
        }
        if self.is_so(&command) {
            return Ok(());
        }
        if *self.campus.borrow()
            && !self.handing_up.load(Ordering::Acquire)
            && let Some(answer) = self.ask_origin(command.clone(), None).await
        {
            return answer;
        }
        // In a task of its own: whoever asks may hang up, what was decided stands.
        let mirror = self.clone();
        let decided = tokio::spawn(async move { mirror.decide(command).await });
        decided.await.unwrap_or(Err(Refusal::Storage))
    }

    /// Passes on what was decided behind this node. `None` when the origin did not answer.
    pub(super) async fn pass_up(&self, entries: Vec<HandUpEntry>) -> Option<Vec<HandUpOutcome>> {
        self.ask(|reply| Asked::HandUp { entries, reply }).await
    }

    /// The origin's answer, `None` when there is none: also while it is away from the node
    /// above.
    async fn ask_origin(
        &self,
        command: Command,
        from: Option<NodeId>,
    ) -> Option<Result<(), Refusal>> {
        let answer = self.ask(|reply| Asked::Command { command, from, reply }).await;
        answer.filter(|answer| *answer != Err(Refusal::CampusAway))
    }

    async fn ask<T>(&self, asked: impl FnOnce(oneshot::Sender<T>) -> Asked) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let lesson = self.feed.state().info.id.clone();
        self.up.try_send(Forward { lesson, asked: asked(reply) }).ok()?;
        let mut campus = self.campus.clone();
        tokio::select! {
            biased;
            answer = answer => answer.ok(),
            _ = campus.wait_for(|reachable| !reachable) => None,
            () = tokio::time::sleep(ANSWER_WITHIN) => None,
        }
    }

    async fn decide(self: &Arc<Self>, command: Command) -> Result<(), Refusal> {
        let mut inner = self.inner.lock().await;
        let Some(decision) = inner.sides.decide(&command, Uuid::now_v7(), now_ms())? else {
            return Ok(());
        };
        let entry = decision.entry.clone();
        let stored = Self::store(&mut inner, move |queue| queue.append(&entry)).await;
        if !stored {
            return Err(Refusal::Storage);
        }
        inner.sides.commit(decision.entry, decision.state);
        self.feed.publish_provisional(decision.events);
        // Still with the lock: handing up ends only with it.
        self.start_handing_up();
        Ok(())
    }

    fn start_handing_up(self: &Arc<Self>) {
        if !self.handing_up.swap(true, Ordering::AcqRel) {
            tokio::spawn(self.clone().hand_up());
        }
    }

    /// Hands everything up, however often the line breaks meanwhile.
    async fn hand_up(self: Arc<Self>) {
        let mut campus = self.campus.clone();
        // Fails when the node is gone; its next life goes on from the disk.
        while campus.wait_for(|reachable| *reachable).await.is_ok() {
            let entries = {
                let inner = self.inner.lock().await;
                if inner.sides.is_even() {
                    self.handing_up.store(false, Ordering::Release);
                    return;
                }
                inner.sides.to_hand_up()
            };
            let lesson = self.feed.state().info.id.clone();
            tracing::info!(%lesson, entries = entries.len(), "handing up what was decided here");
            match self.pass_up(entries).await {
                Some(outcomes) => self.answered(&outcomes).await,
                None => {
                    // Whatever the origin said so far is not kept from people any longer.
                    self.show(&mut *self.inner.lock().await);
                    tokio::time::sleep(HAND_UP_AGAIN).await;
                }
            }
        }
    }

    async fn answered(&self, outcomes: &[HandUpOutcome]) {
        let mut inner = self.inner.lock().await;
        let lesson = &inner.sides.decided().info.id;
        for HandUpOutcome { id, refusal } in outcomes {
            if *refusal == Some(Refusal::NotSupported) {
                tracing::warn!(%lesson, %id, "what was decided here is given up: the campus runs \
                    an earlier release that does not know it");
            } else if let Some(refusal) = refusal {
                tracing::info!(%lesson, %id, %refusal, "what was decided here did not hold");
            }
        }
        inner.sides.answered(outcomes);
        self.dealt_with(&mut inner).await;
    }

    /// Something left the queue, perhaps: once it is empty, both sides are one.
    async fn dealt_with(&self, inner: &mut MutexGuard<'_, Inner>) {
        let left: Vec<HandUpEntry> = inner.sides.queue().cloned().collect();
        // One that is handed up twice is taken once: a failure costs nothing.
        Self::store(inner, move |queue| queue.replace(&left)).await;
        if inner.sides.is_even() {
            self.show(inner);
        }
    }

    /// Shows both sides as one history.
    fn show(&self, inner: &mut Inner) {
        if inner.sides.is_even() || inner.sides.holds_back() {
            let rebased = inner.sides.rebase();
            self.feed.rebase(rebased.state, rebased.decided, rebased.provisional);
        }
    }

    /// Writes to the queue on a thread that may block. Says whether it was done.
    async fn store(
        inner: &mut Inner,
        write: impl FnOnce(&mut QueueFile) -> std::io::Result<()> + Send + 'static,
    ) -> bool {
        let Some(mut queue) = inner.queue.take() else { return false };
        let lesson = inner.sides.decided().info.id.clone();
        let written = tokio::task::spawn_blocking(move || {
            let result = write(&mut queue);
            (queue, result)
        });
        match written.await {
            Ok((queue, result)) => {
                inner.queue = Some(queue);
                if let Err(error) = &result {
                    tracing::error!(%lesson, %error, "what was decided here could not be stored");
                }
                result.is_ok()
            }
            Err(error) => {
                tracing::error!(%lesson, %error, "the queue is lost; restart the node");
                false
            }
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
