//! The rules of being there: roll calls, and being away from one's device.

use super::asked::Asked;
use super::floor::CLASS;
use super::timing::GRACE_MS;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::attendance::RollCall;
use cloudschool_protocol::refusal::Refusal;
use std::collections::BTreeSet;

type Decided = Result<Vec<EventBody>, Refusal>;

/// How long a roll call may be open, seconds.
const OPEN_S: std::ops::RangeInclusive<u32> = 10..=600;

pub(super) fn open_roll_call(asked: &mut Asked<'_>, seconds: Option<u32>) -> Decided {
    asked.lead()?;
    if asked.state.open_roll_call().is_some() {
        return Err(Refusal::AlreadyOpen);
    }
    let closes_ms = asked.after(seconds, OPEN_S)?;
    let roll_call = (asked.new_id)();
    Ok(vec![EventBody::RollCallOpened { roll_call, by: asked.me(), closes_ms }])
}

fn latest<'a>(asked: &Asked<'a>) -> Result<&'a RollCall, Refusal> {
    asked.state.roll_call.as_ref().ok_or(Refusal::NotNow)
}

pub(super) fn answer_roll_call(asked: &Asked<'_>) -> Decided {
    asked.take_part()?;
    let roll_call = latest(asked)?;
    if roll_call.answered.contains_key(&asked.by.id) {
        return Err(Refusal::AlreadyAnswered);
    }
    let in_time = |ms: u64| asked.now_ms <= ms;
    let closes = roll_call.closes_ms.map(|ms| ms.saturating_add(GRACE_MS));
    if !closes.is_none_or(in_time) || !roll_call.closed_ms.is_none_or(in_time) {
        return Err(Refusal::TooLate);
    }
    Ok(vec![EventBody::RollCallAnswered { roll_call: roll_call.id, member: asked.me() }])
}

/// A count is taken, and corrected, also after the roll call has closed: it takes a while to
/// count forty children.
pub(super) fn count_roll_call(
    asked: &Asked<'_>,
    present: u16,
    expected: Option<u16>,
    ticked: &[MemberId],
) -> Decided {
    asked.count()?;
    let roll_call = latest(asked)?;
    if ticked.len() > usize::from(CLASS) {
        return Err(Refusal::TooMany);
    }
    if present > CLASS || expected.is_some_and(|n| n > CLASS) {
        return Err(Refusal::OutOfRange);
    }
    let once: BTreeSet<_> = ticked.iter().cloned().collect();
    Ok(vec![EventBody::RollCallCounted {
        roll_call: roll_call.id,
        member: asked.me(),
        school: asked.by.school.clone(),
        present,
        expected,
        ticked: once.into_iter().collect(),
    }])
}

pub(super) fn close_roll_call(asked: &Asked<'_>) -> Decided {
    asked.lead()?;
    let open = asked.state.open_roll_call().ok_or(Refusal::NotNow)?;
    Ok(vec![EventBody::RollCallClosed { roll_call: open.id, by: Some(asked.me()) }])
}

pub(super) fn away(asked: &Asked<'_>, away: bool) -> Decided {
    asked.take_part()?;
    if asked.state.away.contains(&asked.by.id) == away {
        return Ok(vec![]);
    }
    Ok(vec![EventBody::MemberAway { member: asked.me(), away }])
}
