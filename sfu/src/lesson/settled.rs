//! What nodes decided while they could not reach the origin, at the origin: decided again, in the
//! same order and under the same rules, and each entry once, however often it is handed up. A
//! value: what is decided counts when [`Settled::logged`] and [`Settled::without_event`] say so.
//!
//! Those that led to an event are found in the lesson's log by its id, so this holds over
//! restarts of either end. Of those that led to none (refused, or so already) this remembers the
//! latest, and what order tells: a node hands up in order, so whatever comes before an entry that
//! is in the log was dealt with before it.

use super::rules::{self, Limits};
use cloudschool_protocol::event::{Event, EventBody, Late};
use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::{HandUpEntry, HandUpOutcome};
use std::collections::{HashMap, HashSet, VecDeque};
use uuid::Uuid;

/// Entries without an event that are remembered: a long cut of a large school's.
const REMEMBERED: usize = 16_384;

/// What was dealt with.
#[derive(Debug, Default)]
pub(super) struct Settled {
    logged: HashSet<Uuid>,
    without_event: HashMap<Uuid, Option<Refusal>>,
    order: VecDeque<Uuid>,
    /// When this run of the lesson was opened.
    opened_ms: u64,
}

impl Settled {
    /// These events are in the log.
    pub(super) fn logged(&mut self, events: &[Event]) {
        self.logged.extend(events.iter().map(|event| event.id));
        let opened = |event: &&Event| matches!(event.body, EventBody::LessonOpened { .. });
        if let Some(event) = events.iter().rev().find(opened) {
            self.opened_ms = event.at_ms;
        }
    }

    /// Decides `entries` of node `from`, or of the nodes they name, and adds what follows to
    /// `events`, which have made `state` of the lesson and are not logged yet.
    pub(super) fn decide(
        &self,
        state: &mut State,
        events: &mut Vec<Event>,
        entries: Vec<HandUpEntry>,
        from: &NodeId,
        limits: &Limits,
        now_ms: u64,
    ) -> Vec<HandUpOutcome> {
        // Handed up twice at once, by a node that came back while it was being read.
        let under_way: HashSet<Uuid> = events.iter().map(|event| event.id).collect();
        let new = self.unsettled(&entries);
        let mut outcomes = Vec::with_capacity(entries.len());
        for (mut entry, new) in entries.into_iter().zip(new) {
            let id = entry.id;
            entry.at_ms = entry.at_ms.min(now_ms);
            let refusal = match new && !under_way.contains(&id) {
                true => self.take(state, events, &entry, from, limits, now_ms).err(),
                false => self.without_event.get(&id).copied().flatten(),
            };
            outcomes.push(HandUpOutcome { id, refusal });
        }
        outcomes
    }

    fn take(
        &self,
        state: &mut State,
        events: &mut Vec<Event>,
        entry: &HandUpEntry,
        from: &NodeId,
        limits: &Limits,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let node = entry.from.as_ref().unwrap_or(from);
        let bodies = rules::decide_late(state, entry, node, limits, self.opened_ms)?;
        let late = Late { node: node.clone(), heard_ms: Some(now_ms) };
        rules::happen(state, events, rules::number_late(state, bodies, entry, &late))
    }

    /// Remembers those of `outcomes` that are not in the log.
    pub(super) fn without_event(&mut self, outcomes: &[HandUpOutcome]) {
        for HandUpOutcome { id, refusal } in outcomes {
            if self.logged.contains(id) || self.without_event.contains_key(id) {
                continue;
            }
            if self.order.len() == REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.without_event.remove(&oldest);
            }
            self.order.push_back(*id);
            self.without_event.insert(*id, *refusal);
        }
    }

    /// For each entry of a message, whether it is still to be dealt with.
    fn unsettled(&self, entries: &[HandUpEntry]) -> Vec<bool> {
        let logged = entries.iter().rposition(|entry| self.logged.contains(&entry.id));
        let after = logged.map_or(0, |at| at + 1);
        let mut once = HashSet::new();
        let new = |(at, entry): (usize, &HandUpEntry)| {
            let first = once.insert(entry.id);
            first && at >= after && !self.without_event.contains_key(&entry.id)
        };
        entries.iter().enumerate().map(new).collect()
    }
}
