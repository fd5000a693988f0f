//! The rules of coming and going, and of what members publish, as their nodes report it.

use super::Limits;
use super::asked::running;
use cloudschool_protocol::event::{EventBody, LeaveReason};
use cloudschool_protocol::id::{MemberId, NodeId};
use cloudschool_protocol::lesson::{Phase, PublishedTrack, State};
use cloudschool_protocol::media::{Codec, TrackId};
use cloudschool_protocol::member::{Member, Role};
use cloudschool_protocol::refusal::Refusal;

pub(super) fn join(
    state: &State,
    member: &Member,
    from: &NodeId,
    limits: &Limits,
) -> Result<Vec<EventBody>, Refusal> {
    running(state)?;
    // A node vouches for those connected to it, for no one else.
    if member.node != *from {
        return Err(Refusal::NotAllowed);
    }
    if !state.info.includes(&member.school) && member.role != Role::Operator {
        return Err(Refusal::NotInvited);
    }
    super::door::may_enter(state, &member.id, &member.name, member.role, &member.school)?;
    let mut events = match state.members.get(&member.id) {
        Some(present) if present == member => return Ok(vec![]),
        // Come in elsewhere, or as something else: what it had there ends.
        Some(_) => gone(state, &member.id, LeaveReason::Left),
        None => {
            let always = member.role.leads() || member.role == Role::Operator;
            if state.members.len() >= limits.members && !always {
                return Err(Refusal::LessonFull);
            }
            vec![]
        }
    };
    events.push(EventBody::MemberJoined { member: member.clone() });
    Ok(events)
}

pub(super) fn leave(
    state: &State,
    member: &MemberId,
    reason: LeaveReason,
    from: &NodeId,
) -> Vec<EventBody> {
    // A late report of a node the member has since left for another.
    let here = state.members.get(member).is_some_and(|m| m.node == *from);
    if here { gone(state, member, reason) } else { vec![] }
}

/// A member's going, with its tracks unpublished first, so that who follows tracks alone
/// need not know of members.
pub(super) fn gone(state: &State, member: &MemberId, reason: LeaveReason) -> Vec<EventBody> {
    let tracks = state.tracks.keys().filter(|t| t.member == *member);
    let unpublished = tracks.map(|t| EventBody::TrackUnpublished { track: t.clone() });
    let left = EventBody::MemberLeft { member: member.clone(), reason };
    unpublished.chain([left]).collect()
}

pub(super) fn publish(
    state: &State,
    track: &TrackId,
    codec: Codec,
    from: &NodeId,
) -> Result<Vec<EventBody>, Refusal> {
    running(state)?;
    let member = state.members.get(&track.member).filter(|m| m.node == *from);
    let member = member.ok_or(Refusal::NotAMember)?;
    if !member.role.may_publish() || codec.kind() != track.kind() {
        return Err(Refusal::NotAllowed);
    }
    let same = |t: &&PublishedTrack| t.codec == codec && t.node == *from;
    if state.tracks.get(track).filter(same).is_some() {
        return Ok(vec![]);
    }
    let node = from.clone();
    Ok(vec![EventBody::TrackPublished { track: track.clone(), codec, node }])
}

/// Somebody wrote on the board: one that is there, and the time it took not in the future. What
/// was drawn just before the end is heard of just after it.
pub(super) fn drew(
    state: &State,
    member: &MemberId,
    strokes: u32,
    from_ms: u64,
    from: &NodeId,
    now_ms: u64,
) -> Result<Vec<EventBody>, Refusal> {
    let in_time = state.ended_ms.is_some_and(|ended| from_ms <= ended);
    if !(state.phase == Phase::Ended && in_time) {
        running(state)?;
    }
    let writer = state.members.get(member).filter(|m| m.node == *from);
    let writer = writer.ok_or(Refusal::NotAMember)?;
    if !writer.role.may_publish() {
        return Err(Refusal::NotAllowed);
    }
    if strokes == 0 {
        return Ok(vec![]);
    }
    let from_ms = from_ms.min(now_ms);
    Ok(vec![EventBody::BoardDrawn { member: member.clone(), strokes, from_ms }])
}

pub(super) fn unpublish(state: &State, track: &TrackId, from: &NodeId) -> Vec<EventBody> {
    let here = state.tracks.get(track).is_some_and(|t| t.node == *from);
    let unpublished = EventBody::TrackUnpublished { track: track.clone() };
    if here { vec![unpublished] } else { vec![] }
}
