//! The rules of the floor: the lesson's begin and end, hands, microphones and the stage.

use super::asked::Asked;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::{MemberId, SchoolId};
use cloudschool_protocol::lesson::Phase;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;

/// Most people one may count in a class.
pub(super) const CLASS: u16 = 200;

type Decided = Result<Vec<EventBody>, Refusal>;

impl Asked<'_> {
    fn has_hand_up(&self, member: &MemberId) -> bool {
        self.state.hands.iter().any(|h| h.member == *member)
    }

    fn is_on_stage(&self, member: &MemberId) -> bool {
        self.state.stage.contains(member)
    }
}

pub(super) fn start(asked: &mut Asked<'_>) -> Decided {
    asked.lead()?;
    if asked.state.phase == Phase::Live {
        return Err(Refusal::AlreadyLive);
    }
    Ok(vec![EventBody::LessonStarted { by: asked.me(), session: (asked.new_id)() }])
}

pub(super) fn end(asked: &Asked<'_>) -> Decided {
    asked.lead()?;
    if asked.state.phase != Phase::Live {
        return Err(Refusal::NotLive);
    }
    Ok(vec![EventBody::LessonEnded { by: asked.me() }])
}

pub(super) fn raise_hand(asked: &Asked<'_>) -> Decided {
    asked.take_part()?;
    if asked.is_on_stage(&asked.by.id) {
        return Err(Refusal::AlreadyOnStage);
    }
    if asked.has_hand_up(&asked.by.id) {
        return Err(Refusal::HandAlreadyUp);
    }
    Ok(vec![EventBody::HandRaised { member: asked.me() }])
}

pub(super) fn lower_hand(asked: &Asked<'_>, named: Option<&MemberId>) -> Decided {
    let member = asked.target(named)?;
    asked.only(true)?;
    if !asked.has_hand_up(member) {
        return Err(Refusal::HandNotUp);
    }
    Ok(vec![EventBody::HandLowered { member: member.clone(), by: asked.me() }])
}

pub(super) fn count_hands(asked: &Asked<'_>, count: u16) -> Decided {
    asked.count()?;
    if count > CLASS {
        return Err(Refusal::OutOfRange);
    }
    if asked.state.hand_counts.get(&asked.by.id).map_or(0, |c| c.count) == count {
        return Ok(vec![]);
    }
    let school = asked.by.school.clone();
    Ok(vec![EventBody::HandsCounted { member: asked.me(), school, count }])
}

pub(super) fn mute(asked: &Asked<'_>, member: &MemberId, muted: bool) -> Decided {
    let present = asked.state.members.get(member);
    // Who is in the classroom shuts and opens its microphone.
    let own_room = asked.by.role == Role::Assistant
        && present.is_some_and(|m| m.role == Role::Classroom && m.school == asked.by.school);
    if !own_room {
        asked.leads(present)?;
    }
    asked.only(true)?;
    let is_muted = asked.state.muted.contains(member);
    // One who is away may be given the floor back before returning.
    let away = !muted && is_muted;
    match present {
        None if !away => return Err(Refusal::NoSuchMember),
        Some(m) if !m.role.takes_part() && !away => return Err(Refusal::NotAllowed),
        _ if is_muted == muted => return Err(Refusal::AlreadyMuted),
        _ => {}
    }
    Ok(vec![EventBody::MemberMuted { member: member.clone(), muted, by: asked.me() }])
}

/// Calls a member up. With a question open, it is asked that.
pub(super) fn call(asked: &Asked<'_>, member: &MemberId) -> Decided {
    asked.leads(asked.state.members.get(member))?;
    asked.only(true)?;
    let called = asked.taught(member)?;
    if asked.is_on_stage(&called.id) {
        return Err(Refusal::AlreadyOnStage);
    }
    let mut events = vec![EventBody::StageCalled { member: member.clone(), by: asked.me() }];
    events.extend(asked.credit(member));
    Ok(events)
}

/// Calls every classroom of a school up.
pub(super) fn call_school(asked: &Asked<'_>, school: &SchoolId) -> Decided {
    asked.lead()?;
    let of_school = |role: Role| role.is_classroom();
    let members = asked.state.members.values();
    let classrooms: Vec<_> =
        members.filter(|m| m.school == *school && of_school(m.role)).map(|m| &m.id).collect();
    if classrooms.is_empty() {
        return Err(Refusal::NoSuchMember);
    }
    let mut events = Vec::new();
    for member in classrooms.into_iter().filter(|m| !asked.is_on_stage(m)) {
        events.push(EventBody::StageCalled { member: member.clone(), by: asked.me() });
        events.extend(asked.credit(member));
    }
    if events.is_empty() { Err(Refusal::AlreadyOnStage) } else { Ok(events) }
}

pub(super) fn dismiss(asked: &Asked<'_>, named: Option<&MemberId>) -> Decided {
    let member = asked.target(named)?;
    asked.only(true)?;
    if !asked.is_on_stage(member) {
        return Err(Refusal::NotOnStage);
    }
    Ok(vec![EventBody::StageLeft { member: member.clone(), by: asked.me() }])
}

pub(super) fn dismiss_all(asked: &Asked<'_>) -> Decided {
    asked.lead()?;
    let left = |member: &MemberId| EventBody::StageLeft { member: member.clone(), by: asked.me() };
    Ok(asked.state.stage.iter().map(left).collect())
}
