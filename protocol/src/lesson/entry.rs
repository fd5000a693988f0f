//! Who comes in: those who were taken out of a lesson, and the lock on its door.

use super::State;
use crate::id::{MemberId, SchoolId};
use serde::{Deserialize, Serialize};

/// Most people kept in [`State::removed`]. Beyond it the first who were removed are forgotten;
/// a lesson with so many has its door locked.
pub const MAX_REMOVED: usize = 500;

/// One who was taken out of this run of the lesson.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    pub name: String,
    pub school: SchoolId,
    /// Who did it.
    pub by: MemberId,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl State {
    pub(super) fn remove(&mut self, member: &MemberId, removed: Removed) {
        self.removed.insert(member.clone(), removed);
        if self.removed.len() > MAX_REMOVED {
            let first = self.removed.iter().min_by_key(|(_, r)| r.at_ms);
            if let Some(first) = first.map(|(id, _)| id.clone()) {
                self.removed.remove(&first);
            }
        }
    }
}
