//! The rules of a lesson: a command and the state go in, events or a refusal come out.
//! Values only: no clock, no log, no network. What the events then do to the state is
//! [`State::apply`]'s, which every node shares. One file holds the rules of one thing; all of
//! them see no more than [`Asked`].

mod asked;
mod asking;
mod coming;
mod directing;
mod door;
mod floor;
mod groups;
mod presence;
mod quiz;
mod showing;
mod slides;
mod talk;
mod text;
mod timing;

pub use directing::{Voices, cut};
pub use door::{is_seen, may_enter};
pub use timing::{due, overdue};

use asked::{Asked, Decider, running};
use cloudschool_protocol::command::{Command, MemberCommand};
use cloudschool_protocol::event::{Event, EventBody, Late, LeaveReason};
use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::lesson::{LessonInfo, Phase, State};
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::HandUpEntry;
use uuid::Uuid;

/// How much a lesson may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most members present at once. Teachers and operators always come in.
    pub members: usize,
    /// Most chat messages a second, of all members but the teacher.
    pub chat_per_second: usize,
}

/// Decides what `command`, reported by node `from` at `now_ms`, does to `state`. No events means
/// that what was asked is so already. `new_id` names what is made: a run of the lesson, a quiz;
/// it is also all there is of chance.
///
/// # Errors
/// The [`Refusal`] to answer with; then nothing has happened.
pub fn decide(
    state: &State,
    command: &Command,
    from: &NodeId,
    limits: &Limits,
    now_ms: u64,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Result<Vec<EventBody>, Refusal> {
    decide_by(Decider::Origin, state, command, from, limits, now_ms, new_id)
}

/// Decides what a node does by itself at `now_ms` while the origin is away, and, when it hands
/// that up, whether the origin takes it: the same rules, for what concerns the node's own
/// members. In their classroom the assistant stands in for a teacher who is not there. `id` is
/// the entry's it is handed up as: what is made has the same name at both.
///
/// # Errors
/// The [`Refusal`] to answer with; [`Refusal::CampusAway`] for what is the origin's alone: the
/// beginning and the end of the lesson, its recording, members of other nodes, and whatever is
/// opened, closed or shown for all.
pub fn decide_away(
    state: &State,
    command: &Command,
    from: &NodeId,
    limits: &Limits,
    now_ms: u64,
    id: Uuid,
) -> Result<Vec<EventBody>, Refusal> {
    use MemberCommand as M;
    let about = match command {
        Command::Archived { .. } | Command::Speaks { .. } | Command::Unknown(_) => {
            return Err(Refusal::CampusAway);
        }
        Command::Member { command, .. } => match command {
            M::RaiseHand
            | M::AnswerRollCall
            | M::CountRollCall { .. }
            | M::Away { .. }
            | M::CountHands { .. }
            | M::AnswerQuiz { .. }
            | M::CountQuiz { .. }
            | M::Say { .. }
            | M::RemoveMessage { .. }
            | M::React { .. }
            | M::Caption { .. }
            | M::Note { .. }
            | M::Score { .. }
            | M::BoardWriters { .. }
            | M::SlidesOpen { .. }
            | M::SlidesTurn { .. }
            | M::SlidesClose => None,
            M::Mute { member, .. }
            | M::Call { member }
            | M::Silence { member, .. }
            | M::RemoveMember { member } => Some(member),
            M::LowerHand { member } | M::Dismiss { member } => member.as_ref(),
            M::Start
            | M::End
            | M::LetIn { .. }
            | M::Lock { .. }
            | M::CallSchool { .. }
            | M::DismissAll
            | M::OpenRollCall { .. }
            | M::CloseRollCall
            | M::Pick { .. }
            | M::AskQuestion { .. }
            | M::CreditAnswer { .. }
            | M::CloseQuestion
            | M::OpenQuiz { .. }
            | M::CloseQuiz { .. }
            | M::RevealQuiz { .. }
            | M::OpenBuzzer { .. }
            // Who was first only the origin can tell.
            | M::Buzz { .. }
            | M::CloseBuzzer { .. }
            | M::SetChat { .. }
            | M::ClearReactions
            | M::Praise { .. }
            | M::StartTimer { .. }
            | M::StopTimer
            | M::OpenGroups { .. }
            | M::MoveToGroup { .. }
            | M::VisitGroup { .. }
            | M::CloseGroups
            | M::Direct { .. }
            | M::Propose { .. }
            | M::AcceptProposal { .. }
            | M::DeclineProposal { .. }
            | M::MarkChapter { .. } => return Err(Refusal::CampusAway),
        },
        _ => None,
    };
    if about.and_then(|m| state.members.get(m)).is_some_and(|m| m.node != *from) {
        return Err(Refusal::CampusAway);
    }
    decide_by(Decider::OwnNode, state, command, from, limits, now_ms, &mut || id)
}

/// What happened below while the origin was away, decided by the origin as of the time it
/// happened. What happened before the end of the lesson is a part of it also when it is heard of
/// after, and an answer given before a quiz was closed counts.
///
/// # Errors
/// As [`decide_away`], and [`Refusal::Ended`] for what is of a run before the one that was
/// opened at `opened_ms`.
pub fn decide_late(
    state: &State,
    entry: &HandUpEntry,
    from: &NodeId,
    limits: &Limits,
    opened_ms: u64,
) -> Result<Vec<EventBody>, Refusal> {
    let HandUpEntry { id, at_ms, command, .. } = entry;
    if matches!(command, Command::Unknown(_)) {
        return Err(Refusal::NotSupported);
    }
    if *at_ms < opened_ms {
        return Err(Refusal::Ended);
    }
    if state.phase >= Phase::Ended && state.ended_ms.is_some_and(|ended| *at_ms <= ended) {
        let then = State { phase: Phase::Live, ..state.clone() };
        return decide_away(&then, command, from, limits, *at_ms, *id);
    }
    decide_away(state, command, from, limits, *at_ms, *id)
}

fn decide_by(
    decider: Decider,
    state: &State,
    command: &Command,
    from: &NodeId,
    limits: &Limits,
    now_ms: u64,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Result<Vec<EventBody>, Refusal> {
    match command {
        Command::Member { by, command } => {
            let by = state.members.get(by).filter(|m| m.node == *from);
            let by = by.ok_or(Refusal::NotAMember)?;
            member_asks(Asked { state, by, now_ms, limits, decider, new_id }, command)
        }
        Command::Join { member } => coming::join(state, member, from, limits),
        Command::Leave { member, reason } => Ok(coming::leave(state, member, *reason, from)),
        Command::Publish { track, codec } => coming::publish(state, track, *codec, from),
        Command::Unpublish { track } => Ok(coming::unpublish(state, track, from)),
        // The origin's task hears it: it is no event.
        Command::Speaks { .. } => Ok(vec![]),
        Command::Drew { member, strokes, from_ms } => {
            coming::drew(state, member, *strokes, *from_ms, from, now_ms)
        }
        Command::Archived { recording, duration_ms } => archived(state, recording, *duration_ms),
        Command::Unknown(_) => Err(Refusal::NotSupported),
    }
}

fn member_asks(mut a: Asked<'_>, command: &MemberCommand) -> Result<Vec<EventBody>, Refusal> {
    use MemberCommand as M;
    let a = &mut a;
    match command {
        M::Start => floor::start(a),
        M::End => floor::end(a),
        M::RaiseHand => floor::raise_hand(a),
        M::LowerHand { member } => floor::lower_hand(a, member.as_ref()),
        M::CountHands { count } => floor::count_hands(a, *count),
        M::Mute { member, muted } => floor::mute(a, member, *muted),
        M::RemoveMember { member } => door::remove(a, member),
        M::LetIn { member } => door::let_in(a, member),
        M::Lock { locked } => door::lock(a, *locked),
        M::Call { member } => floor::call(a, member),
        M::CallSchool { school } => floor::call_school(a, school),
        M::Dismiss { member } => floor::dismiss(a, member.as_ref()),
        M::DismissAll => floor::dismiss_all(a),
        M::OpenRollCall { seconds } => presence::open_roll_call(a, *seconds),
        M::AnswerRollCall => presence::answer_roll_call(a),
        M::CountRollCall { present, expected, ticked } => {
            presence::count_roll_call(a, *present, *expected, ticked)
        }
        M::CloseRollCall => presence::close_roll_call(a),
        M::Away { away } => presence::away(a, *away),
        M::Pick { among, school } => asking::pick(a, *among, school.as_ref()),
        M::AskQuestion { text } => asking::ask_question(a, text.as_ref()),
        M::CreditAnswer { member } => asking::credit_answer(a, member),
        M::CloseQuestion => asking::close_question(a),
        M::OpenBuzzer { title } => asking::open_buzzer(a, title.as_ref()),
        M::Buzz { buzzer } => asking::buzz(a, *buzzer),
        M::CloseBuzzer { buzzer } => asking::close_buzzer(a, *buzzer),
        M::OpenQuiz { kind, title, items, seconds } => {
            quiz::open(a, *kind, title.as_ref(), items, *seconds)
        }
        M::AnswerQuiz { quiz, item, answer } => quiz::answer(a, *quiz, *item, answer),
        M::CountQuiz { quiz, item, counts } => quiz::count(a, *quiz, *item, counts),
        M::CloseQuiz { quiz } => quiz::close(a, *quiz),
        M::RevealQuiz { quiz } => quiz::reveal(a, *quiz),
        M::SetChat { mode } => talk::set_chat(a, *mode),
        M::Say { text, to } => talk::say(a, text, *to),
        M::RemoveMessage { message } => talk::remove_message(a, *message),
        M::Silence { member, silenced } => talk::silence(a, member, *silenced),
        M::React { reaction, count } => talk::react(a, *reaction, *count),
        M::ClearReactions => talk::clear_reactions(a),
        M::Praise { member, text } => talk::praise(a, member, text.as_ref()),
        M::OpenGroups { groups, seconds } => groups::open(a, groups, *seconds),
        M::MoveToGroup { member, group } => groups::put(a, member, *group),
        M::VisitGroup { group } => groups::visit(a, *group),
        M::CloseGroups => groups::close(a),
        M::StartTimer { seconds, title } => showing::start_timer(a, *seconds, title.as_ref()),
        M::StopTimer => showing::stop_timer(a),
        M::Direct { layout, focus } => showing::direct(a, *layout, focus.as_ref()),
        M::Caption { text, start_ms, end_ms, lang } => {
            showing::caption(a, text, *start_ms, *end_ms, lang)
        }
        M::Propose { proposal } => showing::propose(a, proposal),
        M::AcceptProposal { proposal } => showing::accept(a, *proposal),
        M::DeclineProposal { proposal } => showing::decline(a, *proposal),
        M::MarkChapter { title } => showing::mark_chapter(a, title),
        M::Note { text, at_ms } => showing::note(a, text, *at_ms),
        M::Score { sheet } => showing::score(a, sheet),
        M::BoardWriters { writers } => {
            a.lead()?;
            if a.state.board_writers == *writers {
                return Ok(vec![]);
            }
            Ok(vec![EventBody::BoardWriters { writers: *writers, by: a.me() }])
        }
        M::SlidesOpen { deck, page } => {
            a.lead()?;
            slides::open(a.state, &a.by.id, deck, *page)
        }
        M::SlidesTurn { page } => {
            a.lead()?;
            slides::turn(a.state, &a.by.id, *page)
        }
        M::SlidesClose => {
            a.lead()?;
            slides::close(a.state, &a.by.id)
        }
    }
}

fn archived(state: &State, recording: &str, duration_ms: u64) -> Result<Vec<EventBody>, Refusal> {
    match state.phase {
        Phase::Archived if state.recording.as_deref() == Some(recording) => Ok(vec![]),
        Phase::Ended | Phase::Archived => {
            Ok(vec![EventBody::LessonArchived { recording: recording.to_owned(), duration_ms }])
        }
        // The recording of an earlier run; this one isn't over.
        Phase::Scheduled | Phase::Open | Phase::Live => Err(Refusal::NotAllowed),
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
                stayed.flat_map(|m| coming::gone(state, m, LeaveReason::Ended)).collect();
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

#[cfg(test)]
mod tests;
