//! Who is there: attendance over a run of the lesson, and the roll call (点名).
//!
//! Attendance follows from members coming and going by itself; a roll call asks. Where a class
//! has no devices an assistant counts it, or ticks its roster.

use super::{Phase, State};
use crate::id::{MemberId, SchoolId};
use crate::member::{Member, Role};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Who comes first later than this after the start is late, milliseconds.
pub const LATE_AFTER_MS: u64 = 60_000;

/// Most people kept in [`State::attendance`]: four full lessons of the usual limit. Beyond it
/// the students that left first are forgotten.
pub const MAX_ATTENDANCE: usize = 8_000;

/// One who came into this run of the lesson, present or not. Times are milliseconds since the
/// Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attended {
    pub name: String,
    pub role: Role,
    pub school: SchoolId,
    /// When it came first.
    pub joined_ms: u64,
    /// When it left last; none while it is there, or was at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
    /// How long it was away from its device in all, milliseconds, not counting now.
    #[serde(default)]
    pub away_ms: u64,
    /// Away since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_since_ms: Option<u64>,
    /// Came more than [`LATE_AFTER_MS`] after the lesson had started.
    #[serde(default)]
    pub late: bool,
}

/// A roll call, the latest of the lesson.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollCall {
    pub id: Uuid,
    pub opened_ms: u64,
    /// When it closes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_ms: Option<u64>,
    /// Who answered, and when.
    #[serde(default)]
    pub answered: BTreeMap<MemberId, u64>,
    /// What was counted in classrooms, by who counted.
    #[serde(default)]
    pub counted: BTreeMap<MemberId, Headcount>,
}

/// A class counted by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Headcount {
    pub school: SchoolId,
    pub present: u16,
    /// How many should be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u16>,
    /// Those present, by their ids in the class's roster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ticked: Vec<MemberId>,
}

impl State {
    /// The roll call that can be answered now.
    #[must_use]
    pub fn open_roll_call(&self) -> Option<&RollCall> {
        self.roll_call.as_ref().filter(|r| r.closed_ms.is_none())
    }

    pub(super) fn came(&mut self, member: &Member, at_ms: u64) {
        let late = self.phase == Phase::Live
            && self.started_ms.is_some_and(|s| at_ms > s.saturating_add(LATE_AFTER_MS));
        let Member { name, role, school, .. } = member.clone();
        match self.attendance.get_mut(&member.id) {
            Some(attended) => {
                (attended.name, attended.role, attended.school) = (name, role, school);
                attended.left_ms = None;
            }
            None => {
                let attended = Attended {
                    name,
                    role,
                    school,
                    joined_ms: at_ms,
                    left_ms: None,
                    away_ms: 0,
                    away_since_ms: None,
                    late,
                };
                self.attendance.insert(member.id.clone(), attended);
                if self.attendance.len() > MAX_ATTENDANCE {
                    self.forget_one();
                }
            }
        }
    }

    fn forget_one(&mut self) {
        let gone = self.attendance.iter().filter_map(|(id, a)| {
            let left = a.left_ms.filter(|_| a.role == Role::Student)?;
            Some((left, id.clone()))
        });
        if let Some((_, id)) = gone.min() {
            self.attendance.remove(&id);
        }
    }

    pub(super) fn went(&mut self, member: &MemberId, at_ms: u64) {
        self.set_away(member, false, at_ms);
        if self.phase < Phase::Ended
            && let Some(attended) = self.attendance.get_mut(member)
        {
            attended.left_ms = Some(at_ms);
        }
    }

    pub(super) fn set_away(&mut self, member: &MemberId, away: bool, at_ms: u64) {
        self.away.retain(|m| m != member);
        let Some(attended) = self.attendance.get_mut(member) else { return };
        if let Some(since) = attended.away_since_ms.take() {
            attended.away_ms = attended.away_ms.saturating_add(at_ms.saturating_sub(since));
        }
        if away && self.phase < Phase::Ended {
            attended.away_since_ms = Some(at_ms);
            self.away.push(member.clone());
        }
    }

    pub(super) fn attendance_ends(&mut self, at_ms: u64) {
        for member in std::mem::take(&mut self.away) {
            self.set_away(&member, false, at_ms);
        }
        if let Some(roll_call) = &mut self.roll_call {
            roll_call.closed_ms.get_or_insert(at_ms);
        }
    }
}
