//! The rules of the door: who may come in, who is taken out, and who locks it.
//!
//! A lesson knows people by their ids. Who comes in by a code has a new one each time, so of
//! those it is the name that may not come back: another name is let in by the same code, unless
//! the door is locked.

use super::asked::Asked;
use super::coming;
use crate::joining::GUEST;
use cloudschool_protocol::event::{EventBody, LeaveReason};
use cloudschool_protocol::id::{MemberId, SchoolId};
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;

type Decided = Result<Vec<EventBody>, Refusal>;

/// Whether one of that id, name, role and school may come into this run of the lesson, or come
/// back to it, as far as nobody has been taken out and the door is not locked.
///
/// # Errors
/// [`Refusal::Removed`] and [`Refusal::Locked`].
pub fn may_enter(
    state: &State,
    id: &MemberId,
    name: &str,
    role: Role,
    school: &SchoolId,
) -> Result<(), Refusal> {
    let guest = |id: &MemberId| id.as_str().starts_with(GUEST);
    let same_guest = || {
        let name = folded(name);
        let mut removed = state.removed.iter().filter(|(id, r)| guest(id) && r.school == *school);
        removed.any(|(_, r)| folded(&r.name) == name)
    };
    if state.removed.contains_key(id) || (guest(id) && same_guest()) {
        return Err(Refusal::Removed);
    }
    let always = role.leads() || role == Role::Operator;
    if state.locked && !always && !state.attendance.contains_key(id) {
        return Err(Refusal::Locked);
    }
    Ok(())
}

/// A name without what people would not see in it: case, and blanks.
fn folded(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

/// Takes somebody out, or keeps out one who has gone meanwhile. An assistant looks after the
/// class and the students of its school, not after other assistants.
pub(super) fn remove(asked: &Asked<'_>, member: &MemberId) -> Decided {
    asked.looks_after(member)?;
    let state = asked.state;
    let present = state.members.get(member);
    if !asked.by.role.leads() && present.is_none_or(|m| m.role == Role::Assistant) {
        return Err(Refusal::NotAllowed);
    }
    if state.removed.contains_key(member) {
        return Ok(vec![]);
    }
    let kept = || state.attendance.get(member).map(|a| (a.name.clone(), a.school.clone()));
    let known = present.map(|m| (m.name.clone(), m.school.clone()));
    let (name, school) = known.or_else(kept).ok_or(Refusal::NoSuchMember)?;
    let mut events = match present {
        Some(_) => coming::gone(state, member, LeaveReason::Removed),
        None => vec![],
    };
    events.push(EventBody::MemberRemoved { member: member.clone(), name, school, by: asked.me() });
    Ok(events)
}

pub(super) fn let_in(asked: &Asked<'_>, member: &MemberId) -> Decided {
    asked.only(asked.by.role.leads() || asked.by.role == Role::Assistant)?;
    let removed = asked.state.removed.get(member).ok_or(Refusal::NoSuchMember)?;
    if !asked.by.role.leads() && removed.school != asked.by.school {
        return Err(Refusal::NotAllowed);
    }
    Ok(vec![EventBody::MemberLetIn { member: member.clone(), by: asked.me() }])
}

pub(super) fn lock(asked: &Asked<'_>, locked: bool) -> Decided {
    asked.lead()?;
    if asked.state.locked == locked {
        return Ok(vec![]);
    }
    Ok(vec![EventBody::LessonLocked { locked, by: asked.me() }])
}
