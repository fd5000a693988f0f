//! The rules of groups.

use super::asked::Asked;
use super::text;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::grouping::{Group, GroupPlan, Groups};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use std::collections::BTreeSet;
use uuid::Uuid;

type Decided = Result<Vec<EventBody>, Refusal>;

/// How long groups may go on, seconds.
const OPEN_S: std::ops::RangeInclusive<u32> = 10..=7200;
/// Most groups.
const GROUPS: usize = 50;
/// Longest name of a group, in characters.
const NAME: usize = 40;

pub(super) fn open(asked: &mut Asked<'_>, plans: &[GroupPlan], seconds: Option<u32>) -> Decided {
    asked.lead()?;
    if asked.state.groups.is_some() {
        return Err(Refusal::AlreadyOpen);
    }
    if plans.is_empty() {
        return Err(Refusal::Empty);
    }
    if plans.len() > GROUPS {
        return Err(Refusal::TooMany);
    }
    let ends_ms = asked.after(seconds, OPEN_S)?;
    let mut placed = BTreeSet::new();
    let mut groups = Vec::with_capacity(plans.len());
    for plan in plans {
        for member in &plan.members {
            asked.taught(member)?;
            if !placed.insert(member) {
                return Err(Refusal::TwoGroups);
            }
        }
        let name = text::line(&plan.name, NAME)?;
        groups.push(Group { id: (asked.new_id)(), name, members: plan.members.clone() });
    }
    Ok(vec![EventBody::GroupsOpened { groups, by: asked.me(), ends_ms }])
}

fn now<'a>(asked: &Asked<'a>, group: Option<Uuid>) -> Result<&'a Groups, Refusal> {
    let groups = asked.state.groups.as_ref().ok_or(Refusal::NotNow)?;
    match group {
        Some(id) if groups.get(id).is_none() => Err(Refusal::NoSuchThing),
        _ => Ok(groups),
    }
}

pub(super) fn put(asked: &Asked<'_>, member: &MemberId, group: Option<Uuid>) -> Decided {
    asked.looks_after(member)?;
    let groups = now(asked, group)?;
    if groups.of(member).map(|g| g.id) == group {
        return Ok(vec![]);
    }
    Ok(vec![EventBody::GroupsMoved { member: member.clone(), group, by: asked.me() }])
}

pub(super) fn visit(asked: &Asked<'_>, group: Option<Uuid>) -> Decided {
    asked.only(asked.by.role.leads() || asked.by.role == Role::Assistant)?;
    let groups = now(asked, group)?;
    if groups.visiting.get(&asked.by.id).copied() == group {
        return Ok(vec![]);
    }
    Ok(vec![EventBody::GroupsVisited { member: asked.me(), group }])
}

pub(super) fn close(asked: &Asked<'_>) -> Decided {
    asked.lead()?;
    now(asked, None)?;
    Ok(vec![EventBody::GroupsClosed { by: Some(asked.me()) }])
}
