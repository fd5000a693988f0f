//! What a node decides by itself while the origin is away, and how that becomes the origin's
//! again, as a value: no clock, no disk, no network.
//!
//! Two histories meet here. What the origin decided only grows. What this node decided on top of
//! it, entry by entry, is provisional: it is shown at once, handed up in order when the origin
//! can be reached, and leaves the queue when the origin has said what became of it. While the
//! queue holds anything, what comes from the origin waits unseen, so that those who watch don't
//! see an event twice or out of its place; then both are shown as one history, in one step.

use super::rules::{self, Limits};
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::{Event, Late};
use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::{HandUpEntry, HandUpOutcome, MAX_HAND_UP};
use std::collections::{HashSet, VecDeque};

/// Most bytes handed up in one message: what fits into a control message with room to spare.
const HAND_UP_BYTES: usize = 512 * 1024;

/// A lesson at an edge.
#[derive(Debug)]
pub(super) struct Sides {
    node: NodeId,
    limits: Limits,
    /// After every event the origin sent.
    decided: State,
    /// Those of them that are not shown yet.
    held: Vec<Event>,
    /// What is shown: the origin's events but the held, and the queue's on top.
    shown: State,
    /// What the origin has not answered for, the oldest first.
    queue: VecDeque<HandUpEntry>,
}

/// What became of events from the origin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// They are to be shown.
    Shown,
    /// They wait for a [`Sides::rebase`].
    Held,
}

/// A decision of this node's own.
#[derive(Debug)]
pub(super) struct Decision {
    pub entry: HandUpEntry,
    pub events: Vec<Event>,
    /// After them.
    pub state: State,
}

/// One history out of both.
#[derive(Debug)]
pub(super) struct Rebased {
    /// The origin's events that had not been shown.
    pub decided: Vec<Event>,
    /// What of this node's own is still to be handed up, on top of them.
    pub provisional: Vec<Event>,
    pub state: State,
}

impl Sides {
    /// The lesson after `decided`, with what an earlier life of this node has not handed up.
    /// What of that is to be shown is in the answer of [`Self::rebase`].
    pub(super) fn new(
        node: NodeId,
        limits: Limits,
        decided: State,
        queue: Vec<HandUpEntry>,
    ) -> Self {
        let shown = decided.clone();
        Self { node, limits, decided, held: Vec::new(), shown, queue: queue.into() }
    }

    /// The origin's side.
    pub(super) fn decided(&self) -> &State {
        &self.decided
    }

    /// Event number `seq` of the origin, if it is held.
    pub(super) fn held(&self, seq: u64) -> Option<&Event> {
        self.held.iter().find(|event| event.seq == seq)
    }

    /// Whether there is nothing of this node's own that the origin doesn't know.
    pub(super) fn is_even(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether events of the origin wait unseen.
    pub(super) fn holds_back(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes events of the origin, which follow the last. What of this node's own is among them
    /// has been handed up.
    pub(super) fn take(&mut self, events: &[Event]) -> Taken {
        let same = self.is_even() && self.held.is_empty() && self.shown.seq == self.decided.seq;
        follow(&mut self.decided, events);
        if same {
            follow(&mut self.shown, events);
            return Taken::Shown;
        }
        self.held.extend_from_slice(events);
        let logged: HashSet<_> = events.iter().map(|event| event.id).collect();
        self.queue.retain(|entry| !logged.contains(&entry.id));
        Taken::Held
    }

    /// The origin's history is another: everything of it is forgotten. What this node decided
    /// is still to be handed up; it is for the origin to say what becomes of it.
    pub(super) fn forget(&mut self, state: State) {
        self.held.clear();
        self.shown.clone_from(&state);
        self.decided = state;
    }

    /// Decides `command` here. Nothing has changed until [`Self::commit`]; `None` when it is so
    /// already.
    ///
    /// # Errors
    /// As [`rules::decide_away`].
    pub(super) fn decide(
        &self,
        command: &Command,
        id: uuid::Uuid,
        at_ms: u64,
    ) -> Result<Option<Decision>, Refusal> {
        let entry = HandUpEntry { id, at_ms, from: None, command: command.clone() };
        let mut state = self.shown.clone();
        let events = self.carry_out(&mut state, &entry)?;
        Ok((!events.is_empty()).then_some(Decision { entry, events, state }))
    }

    /// The decision is written down.
    pub(super) fn commit(&mut self, entry: HandUpEntry, state: State) {
        self.queue.push_back(entry);
        self.shown = state;
    }

    /// The next entries to hand up.
    pub(super) fn to_hand_up(&self) -> Vec<HandUpEntry> {
        let mut room = HAND_UP_BYTES;
        let fits = |entry: &&HandUpEntry| {
            let bytes = serde_json::to_vec(entry).map_or(0, |json| json.len());
            let first = room == HAND_UP_BYTES;
            room = room.saturating_sub(bytes);
            first || room > 0
        };
        self.queue.iter().take(MAX_HAND_UP).take_while(fits).cloned().collect()
    }

    /// The origin has dealt with these.
    pub(super) fn answered(&mut self, outcomes: &[HandUpOutcome]) {
        let done: HashSet<_> = outcomes.iter().map(|o| o.id).collect();
        self.queue.retain(|entry| !done.contains(&entry.id));
    }

    /// Everything still to be handed up.
    pub(super) fn queue(&self) -> impl Iterator<Item = &HandUpEntry> {
        self.queue.iter()
    }

    /// Makes one history of both sides.
    pub(super) fn rebase(&mut self) -> Rebased {
        let mut state = self.decided.clone();
        let mut provisional = Vec::new();
        for entry in &self.queue {
            // What the rules don't allow any more is not shown; the origin says so too.
            if let Ok(events) = self.carry_out(&mut state, entry) {
                provisional.extend(events);
            }
        }
        self.shown.clone_from(&state);
        Rebased { decided: std::mem::take(&mut self.held), provisional, state }
    }

    /// Decides an entry on top of `state`; refused, it leaves that as it was.
    fn carry_out(&self, state: &mut State, entry: &HandUpEntry) -> Result<Vec<Event>, Refusal> {
        let bodies = rules::decide_away(
            state,
            &entry.command,
            &self.node,
            &self.limits,
            entry.at_ms,
            entry.id,
        )?;
        let late = Late { node: self.node.clone(), heard_ms: None };
        let events = rules::number_late(state, bodies, entry, &late);
        let mut happened = Vec::with_capacity(events.len());
        rules::happen(state, &mut happened, events)?;
        Ok(happened)
    }
}

/// Applies the origin's next events.
fn follow(state: &mut State, events: &[Event]) {
    for event in events {
        if let Err(gap) = state.apply(event) {
            tracing::error!(lesson = %state.info.id, %gap, "events were taken with a gap");
        }
    }
}

#[cfg(test)]
mod tests;
