//! What was decided below while the origin was away, on its way up: sent by the lower end, taken
//! by the upper, which answers when the events that follow have gone before.

use super::link::Link;
use crate::lesson::LessonHandle;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::{Control, HandUpEntry, HandUpOutcome, MAX_HAND_UP};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use uuid::Uuid;

/// How long the answer waits for the events that must go before it. A peer that reads so slowly
/// gets it anyway: the events say the same.
const EVENTS_FIRST: Duration = Duration::from_secs(5);

/// The lower end's messages that have not been answered, by their first entry.
#[derive(Default)]
pub struct HandingUp {
    waiting: HashMap<Uuid, oneshot::Sender<Vec<HandUpOutcome>>>,
}

impl HandingUp {
    /// Sends entries up; `reply` is told what became of them.
    pub fn send(
        &mut self,
        link: &Link,
        lesson: LessonId,
        entries: Vec<HandUpEntry>,
        reply: oneshot::Sender<Vec<HandUpOutcome>>,
    ) {
        self.waiting.retain(|_, waiting| !waiting.is_closed());
        // With nothing to hand up the reply is dropped, which means the same.
        if let Some(first) = entries.first() {
            self.waiting.insert(first.id, reply);
            link.tell(Control::HandUp { lesson, entries });
        }
    }

    /// Whether answers are under way.
    pub fn is_waiting(&self) -> bool {
        self.waiting.values().any(|waiting| !waiting.is_closed())
    }

    /// The upper end has dealt with these.
    pub fn taken(&mut self, outcomes: Vec<HandUpOutcome>) {
        if let Some(reply) = outcomes.iter().find_map(|o| self.waiting.remove(&o.id)) {
            // Whoever asked may have given up waiting, and asks again.
            let _told = reply.send(outcomes);
        }
    }
}

/// The upper end takes `entries` of `id`, which is the `lesson`, or can't be had. `delivered` is
/// the number of the last event sent to the peer, when it follows the lesson.
pub fn take(
    link: &Link,
    id: LessonId,
    lesson: Result<Arc<LessonHandle>, Refusal>,
    entries: Vec<HandUpEntry>,
    delivered: Option<watch::Receiver<u64>>,
    permit: OwnedSemaphorePermit,
) {
    if entries.len() > MAX_HAND_UP {
        return link.trunk.close("more was handed up at once than is allowed");
    }
    let lesson = match lesson {
        Ok(lesson) => lesson,
        Err(refusal) => {
            let refused = |e: HandUpEntry| HandUpOutcome { id: e.id, refusal: Some(refusal) };
            let outcomes = entries.into_iter().map(refused).collect();
            return link.tell(Control::HandUpTaken { lesson: id, outcomes });
        }
    };
    let (outbox, from) = (link.outbox.clone(), link.trunk.peer().node.clone());
    tokio::spawn(async move {
        let _permit = permit;
        let outcomes = lesson.hand_up(entries, &from).await;
        if outcomes.is_empty() {
            // Not now: they come again.
            return;
        }
        let refused = outcomes.iter().filter(|o| o.refusal.is_some()).count();
        tracing::info!(peer = %from, lesson = %id, taken = outcomes.len() - refused, refused,
            "events of a time without us were handed up");
        if let Some(mut delivered) = delivered {
            let seq = lesson.decided_seq();
            let caught_up = delivered.wait_for(|d| *d >= seq);
            if tokio::time::timeout(EVENTS_FIRST, caught_up).await.is_err() {
                tracing::warn!(peer = %from, "events are read slowly");
            }
        }
        // The peer is gone when this fails, and hands up again when it is back.
        let _sent = outbox.send(Control::HandUpTaken { lesson: id, outcomes }).await;
    });
}
