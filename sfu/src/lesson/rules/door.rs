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

/// A name without what people would not see in it: case, blanks, characters that show nothing, and
/// whether a letter is as wide as a Chinese character.
fn folded(name: &str) -> String {
    let seen = name.chars().filter(|c| !c.is_whitespace() && !is_unseen(*c));
    seen.map(narrow).flat_map(char::to_lowercase).collect()
}

/// Whether people see anything of a name.
#[must_use]
pub fn is_seen(name: &str) -> bool {
    !folded(name).is_empty()
}

/// Soft hyphens, joiners, marks of direction, variation selectors, fillers and tags (Unicode's
/// Default_Ignorable_Code_Point).
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// A full-width letter, digit or mark as the narrow one it is (Unicode block FF00).
fn narrow(c: char) -> char {
    let at = u32::from(c);
    let narrow = (0xff01..=0xff5e).contains(&at).then(|| char::from_u32(at - 0xfee0));
    narrow.flatten().unwrap_or(c)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_the_same_is_the_same() {
        for alike in [
            "wang5",
            "WANG 5",
            "wa\u{200b}ng5",
            "\u{202e}wang5",
            "wang5\u{fe0f}",
            "w\u{ad}ang5",
            "\u{ff37}ang\u{ff15}",
        ] {
            assert_eq!(folded(alike), "wang5", "{alike:?}");
        }
        assert_eq!(folded("小\u{2060}明\u{3000}"), folded("小明"));
        assert_ne!(folded("小明"), folded("小名"));
        assert!(!is_seen(" \u{200b}") && is_seen("小明"));
    }
}
