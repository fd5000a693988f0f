//! Groups (分组讨论): who talks with whom, for how long, and which group the teacher is with.

use super::State;
use crate::id::MemberId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A group to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupPlan {
    pub name: String,
    pub members: Vec<MemberId>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    pub id: Uuid,
    pub name: String,
    /// Also those who are not there now: they come back into it.
    pub members: Vec<MemberId>,
}

/// The class in groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Groups {
    pub groups: Vec<Group>,
    /// When they end by themselves, milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_ms: Option<u64>,
    /// Teachers and assistants who are with a group now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub visiting: BTreeMap<MemberId, Uuid>,
}

impl Groups {
    /// The group with this id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&Group> {
        self.groups.iter().find(|g| g.id == id)
    }

    /// The group a member belongs to.
    #[must_use]
    pub fn of(&self, member: &MemberId) -> Option<&Group> {
        self.groups.iter().find(|g| g.members.contains(member))
    }
}

impl State {
    pub(super) fn move_to_group(&mut self, member: &MemberId, to: Option<Uuid>) {
        for group in self.groups.iter_mut().flat_map(|g| &mut g.groups) {
            group.members.retain(|m| m != member);
            if Some(group.id) == to {
                group.members.push(member.clone());
            }
        }
    }

    pub(super) fn visit_group(&mut self, member: &MemberId, group: Option<Uuid>) {
        if let Some(groups) = &mut self.groups {
            match group {
                Some(group) => groups.visiting.insert(member.clone(), group),
                None => groups.visiting.remove(member),
            };
        }
    }
}
