//! The rules of a lesson: a command and the state go in, events or a refusal come out.
//! Values only: no clock, no log, no network. What the events then do to the state is
//! [`State::apply`]'s, which every node shares.

mod slides;

use cloudschool_protocol::command::{Command, MemberCommand};
use cloudschool_protocol::event::{Event, EventBody, Late, LeaveReason};
use cloudschool_protocol::id::{MemberId, NodeId};
use cloudschool_protocol::lesson::{LessonInfo, Phase, State};
use cloudschool_protocol::media::{Codec, TrackId};
use cloudschool_protocol::member::{Member, Role};
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::HandUpEntry;
use uuid::Uuid;

/// How much a lesson may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most members present at once. Teachers and operators always come in.
    pub members: usize,
}

/// Decides what `command`, reported by node `from`, does to `state`. No events means that
/// what was asked is so already. `new_id` names a new run of the lesson.
///
/// # Errors
/// The [`Refusal`] to answer with; then nothing has happened.
pub fn decide(
    state: &State,
    command: &Command,
    from: &NodeId,
    limits: &Limits,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Result<Vec<EventBody>, Refusal> {
    decide_by(state, command, from, limits, Lead::Everybody, new_id)
}

/// Decides what a node does by itself while the origin is away, and, when it hands that up,
/// whether the origin takes it: the same rules, for what concerns the node's own members. In
/// their classroom the assistant stands in for a teacher who is not there.
///
/// # Errors
/// The [`Refusal`] to answer with; [`Refusal::CampusAway`] for what is the origin's alone: the
/// beginning and the end of the lesson, its recording, and members of other nodes.
pub fn decide_away(
    state: &State,
    command: &Command,
    from: &NodeId,
    limits: &Limits,
) -> Result<Vec<EventBody>, Refusal> {
    let about = match command {
        Command::Archived { .. } => return Err(Refusal::CampusAway),
        Command::Member { command, .. } => match command {
            MemberCommand::Start | MemberCommand::End => return Err(Refusal::CampusAway),
            MemberCommand::RaiseHand
            | MemberCommand::BoardWriters { .. }
            | MemberCommand::SlidesOpen { .. }
            | MemberCommand::SlidesTurn { .. }
            | MemberCommand::SlidesClose => None,
            MemberCommand::Mute { member, .. } | MemberCommand::Call { member } => Some(member),
            MemberCommand::LowerHand { member } | MemberCommand::Dismiss { member } => {
                member.as_ref()
            }
            _ => return Err(Refusal::CampusAway),
        },
        _ => None,
    };
    if about.and_then(|m| state.members.get(m)).is_some_and(|m| m.node != *from) {
        return Err(Refusal::CampusAway);
    }
    // Names a run of the lesson, which none of these begins.
    decide_by(state, command, from, limits, Lead::OwnClass, &mut Uuid::now_v7)
}

/// What happened below at `at_ms` while the origin was away, decided by the origin. What
/// happened before the end of the lesson is a part of it also when it is heard of after.
///
/// # Errors
/// As [`decide_away`], and [`Refusal::Ended`] for what is of an earlier run of the lesson.
pub fn decide_late(
    state: &State,
    command: &Command,
    from: &NodeId,
    limits: &Limits,
    at_ms: u64,
    opened_ms: u64,
) -> Result<Vec<EventBody>, Refusal> {
    if at_ms < opened_ms {
        return Err(Refusal::Ended);
    }
    if state.phase >= Phase::Ended && state.ended_ms.is_some_and(|ended| at_ms <= ended) {
        let then = State { phase: Phase::Live, ..state.clone() };
        return decide_away(&then, command, from, limits);
    }
    decide_away(state, command, from, limits)
}

/// Who may decide about others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    /// Whoever gives the lesson, about everybody.
    Everybody,
    /// Besides, an assistant about the members of the same node.
    OwnClass,
}

impl Lead {
    fn allows(self, by: &Member, about: Option<&Member>) -> bool {
        let stands_in = self == Lead::OwnClass
            && by.role == Role::Assistant
            && about.is_some_and(|m| m.node == by.node);
        by.role.leads() || stands_in
    }
}

fn decide_by(
    state: &State,
    command: &Command,
    from: &NodeId,
    limits: &Limits,
    lead: Lead,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Result<Vec<EventBody>, Refusal> {
    match command {
        Command::Member { by, command } => {
            let member = state.members.get(by).filter(|m| m.node == *from);
            ask(state, member.ok_or(Refusal::NotAMember)?, command, lead, new_id)
        }
        Command::Join { member } => join(state, member, from, limits),
        Command::Leave { member, reason } => Ok(leave(state, member, *reason, from)),
        Command::Publish { track, codec } => publish(state, track, *codec, from),
        Command::Unpublish { track } => {
            let here = state.tracks.get(track).is_some_and(|t| t.node == *from);
            let unpublished = EventBody::TrackUnpublished { track: track.clone() };
            Ok(if here { vec![unpublished] } else { vec![] })
        }
        Command::Archived { recording, duration_ms } => {
            let archived = EventBody::LessonArchived {
                recording: recording.clone(),
                duration_ms: *duration_ms,
            };
            match state.phase {
                Phase::Archived if state.recording.as_ref() == Some(recording) => Ok(vec![]),
                Phase::Ended | Phase::Archived => Ok(vec![archived]),
                // The recording of an earlier run; this one isn't over.
                Phase::Scheduled | Phase::Open | Phase::Live => Err(Refusal::NotAllowed),
            }
        }
    }
}

/// Opens a lesson, corrects what is known of it before it begins, or opens it for another
/// run after it has ended.
///
/// # Errors
/// [`Refusal::AlreadyLive`] while it is being given, unless nothing would change.
pub fn open(state: &State, info: &LessonInfo) -> Result<Vec<EventBody>, Refusal> {
    let opened = EventBody::LessonOpened { info: info.clone() };
    match state.phase {
        Phase::Open | Phase::Live if state.info == *info => Ok(vec![]),
        Phase::Live => Err(Refusal::AlreadyLive),
        Phase::Scheduled | Phase::Open => Ok(vec![opened]),
        Phase::Ended | Phase::Archived => {
            // Whoever still looks at the closing page comes into the new run by joining.
            let stayed = state.members.keys();
            let mut events: Vec<_> =
                stayed.flat_map(|m| gone(state, m, LeaveReason::Ended)).collect();
            events.push(opened);
            Ok(events)
        }
    }
}

/// Gives `bodies` their numbers, ids and time, as the events that follow `state`.
pub fn number(
    state: &State,
    bodies: Vec<EventBody>,
    now_ms: u64,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Vec<Event> {
    let numbered = bodies.into_iter().zip(state.seq + 1..);
    numbered.map(|(body, seq)| Event::new(seq, new_id(), now_ms, body)).collect()
}

/// Gives `bodies` their numbers as the events that follow `state`, and the name and time of the
/// `entry` they come of: at the node that decided it, and at the origin when it hears of it.
/// The last event has the entry's id.
pub fn number_late(
    state: &State,
    bodies: Vec<EventBody>,
    entry: &HandUpEntry,
    late: &Late,
) -> Vec<Event> {
    let last = bodies.len().saturating_sub(1) as u128;
    let mut name = 0..;
    let mut new_id = || {
        let before_last = last - name.next().unwrap_or(last).min(last);
        Uuid::from_u128(entry.id.as_u128().wrapping_add(before_last))
    };
    let mut events = number(state, bodies, entry.at_ms, &mut new_id);
    events.iter_mut().for_each(|event| event.late = Some(late.clone()));
    events
}

/// Adds `new`, numbered from `state`, to `events` and to the state.
///
/// # Errors
/// [`Refusal::Storage`] when they don't follow.
pub fn happen(state: &mut State, events: &mut Vec<Event>, new: Vec<Event>) -> Result<(), Refusal> {
    for event in new {
        if let Err(gap) = state.apply(&event) {
            tracing::error!(%gap, "an event was numbered wrongly");
            return Err(Refusal::Storage);
        }
        events.push(event);
    }
    Ok(())
}

/// Members may take part before the lesson begins (a sound check needs all of it) and
/// while it is given.
fn running(state: &State) -> Result<(), Refusal> {
    match state.phase {
        Phase::Scheduled => Err(Refusal::NotOpen),
        Phase::Open | Phase::Live => Ok(()),
        Phase::Ended | Phase::Archived => Err(Refusal::Ended),
    }
}

/// Whether a role can be called up, raise a hand or be muted: it is heard, and doesn't lead.
fn takes_part(role: Role) -> bool {
    role.may_publish() && !role.leads()
}

fn ask(
    state: &State,
    by: &Member,
    command: &MemberCommand,
    lead: Lead,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Result<Vec<EventBody>, Refusal> {
    let has_hand_up = |member: &MemberId| state.hands.iter().any(|h| h.member == *member);
    let on_stage = |member: &MemberId| state.stage.contains(member);
    let leads = |about: Option<&MemberId>| {
        let about = about.and_then(|m| state.members.get(m));
        if lead.allows(by, about) { Ok(()) } else { Err(Refusal::NotAllowed) }
    };
    let event = match command {
        MemberCommand::Start => {
            leads(None)?;
            running(state)?;
            if state.phase == Phase::Live {
                return Err(Refusal::AlreadyLive);
            }
            EventBody::LessonStarted { by: by.id.clone(), session: new_id() }
        }
        MemberCommand::End => {
            leads(None)?;
            running(state)?;
            if state.phase != Phase::Live {
                return Err(Refusal::NotLive);
            }
            EventBody::LessonEnded { by: by.id.clone() }
        }
        MemberCommand::RaiseHand => {
            if !takes_part(by.role) {
                return Err(Refusal::NotAllowed);
            }
            running(state)?;
            if on_stage(&by.id) {
                return Err(Refusal::AlreadyOnStage);
            }
            if has_hand_up(&by.id) {
                return Err(Refusal::HandAlreadyUp);
            }
            EventBody::HandRaised { member: by.id.clone() }
        }
        MemberCommand::LowerHand { member } => {
            let member = target(state, by, member.as_ref(), lead)?;
            running(state)?;
            if !has_hand_up(member) {
                return Err(Refusal::HandNotUp);
            }
            EventBody::HandLowered { member: member.clone(), by: by.id.clone() }
        }
        MemberCommand::Mute { member, muted } => {
            leads(Some(member))?;
            running(state)?;
            let is_muted = state.muted.contains(member);
            // One who is away may be given the floor back before returning.
            let away = !*muted && is_muted;
            match state.members.get(member) {
                None if !away => return Err(Refusal::NoSuchMember),
                Some(m) if !takes_part(m.role) && !away => return Err(Refusal::NotAllowed),
                _ if is_muted == *muted => return Err(Refusal::AlreadyMuted),
                _ => {}
            }
            EventBody::MemberMuted { member: member.clone(), muted: *muted, by: by.id.clone() }
        }
        MemberCommand::Call { member } => {
            leads(Some(member))?;
            running(state)?;
            let called = state.members.get(member).ok_or(Refusal::NoSuchMember)?;
            if !takes_part(called.role) {
                return Err(Refusal::NotAllowed);
            }
            if on_stage(member) {
                return Err(Refusal::AlreadyOnStage);
            }
            EventBody::StageCalled { member: member.clone(), by: by.id.clone() }
        }
        MemberCommand::Dismiss { member } => {
            let member = target(state, by, member.as_ref(), lead)?;
            running(state)?;
            if !on_stage(member) {
                return Err(Refusal::NotOnStage);
            }
            EventBody::StageLeft { member: member.clone(), by: by.id.clone() }
        }
        MemberCommand::BoardWriters { writers } => {
            leads(None)?;
            running(state)?;
            if state.board_writers == *writers {
                return Ok(vec![]);
            }
            EventBody::BoardWriters { writers: *writers, by: by.id.clone() }
        }
        MemberCommand::SlidesOpen { deck, page } => {
            leads(None)?;
            return slides::open(state, &by.id, deck, *page);
        }
        MemberCommand::SlidesTurn { page } => {
            leads(None)?;
            return slides::turn(state, &by.id, *page);
        }
        MemberCommand::SlidesClose => {
            leads(None)?;
            return slides::close(state, &by.id);
        }
        _ => return Err(Refusal::NotNow),
    };
    Ok(vec![event])
}

/// Whom a command that is about oneself, or for a teacher about anyone, means.
fn target<'a>(
    state: &'a State,
    by: &'a Member,
    named: Option<&MemberId>,
    lead: Lead,
) -> Result<&'a MemberId, Refusal> {
    match named {
        None => Ok(&by.id),
        Some(id) if *id == by.id => Ok(&by.id),
        Some(id) => match state.members.get(id) {
            Some(member) if lead.allows(by, Some(member)) => Ok(&member.id),
            None if lead.allows(by, None) => Err(Refusal::NoSuchMember),
            _ => Err(Refusal::NotAllowed),
        },
    }
}

fn join(
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
    let info = &state.info;
    let invited = member.school == info.campus || info.schools.contains(&member.school);
    if !invited && member.role != Role::Operator {
        return Err(Refusal::NotInvited);
    }
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

fn leave(state: &State, member: &MemberId, reason: LeaveReason, from: &NodeId) -> Vec<EventBody> {
    // A late report of a node the member has since left for another.
    let here = state.members.get(member).is_some_and(|m| m.node == *from);
    if here { gone(state, member, reason) } else { vec![] }
}

/// A member's going, with its tracks unpublished first, so that who follows tracks alone
/// need not know of members.
fn gone(state: &State, member: &MemberId, reason: LeaveReason) -> Vec<EventBody> {
    let tracks = state.tracks.keys().filter(|t| t.member == *member);
    let unpublished = tracks.map(|t| EventBody::TrackUnpublished { track: t.clone() });
    let left = EventBody::MemberLeft { member: member.clone(), reason };
    unpublished.chain([left]).collect()
}

fn publish(
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
    let same =
        |t: &&cloudschool_protocol::lesson::PublishedTrack| t.codec == codec && t.node == *from;
    if state.tracks.get(track).filter(same).is_some() {
        return Ok(vec![]);
    }
    let node = from.clone();
    Ok(vec![EventBody::TrackPublished { track: track.clone(), codec, node }])
}

#[cfg(test)]
mod tests;
