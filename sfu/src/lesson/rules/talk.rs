//! The rules of what is said beside the lesson: chat, reactions, praise.

use super::asked::{Asked, Decider};
use super::floor::CLASS;
use super::text;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::chat::{Audience, ChatMode, Reaction, Said};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use uuid::Uuid;

type Decided = Result<Vec<EventBody>, Refusal>;

/// Longest message, in characters.
const MESSAGE: usize = 500;
/// Most messages of a member in [`WINDOW_MS`].
const AT_ONCE: usize = 3;
const WINDOW_MS: u64 = 3_000;
/// The least time between two reactions of a member.
const REACT_EVERY_MS: u64 = 1_000;
/// Longest praise, in characters.
const PRAISE: usize = 60;

pub(super) fn set_chat(asked: &Asked<'_>, mode: ChatMode) -> Decided {
    asked.lead()?;
    if asked.state.chat.mode == mode {
        return Ok(vec![]);
    }
    Ok(vec![EventBody::ChatSet { mode, by: asked.me() }])
}

pub(super) fn say(asked: &mut Asked<'_>, words: &str, to: Audience) -> Decided {
    let role = asked.by.role;
    asked.only(role.leads() || role.takes_part())?;
    let chat = &asked.state.chat;
    if chat.silenced.contains(&asked.by.id) {
        return Err(Refusal::Silenced);
    }
    let open = match chat.mode {
        ChatMode::Off => false,
        ChatMode::TeacherOnly => to == Audience::Teacher,
        ChatMode::All => true,
    };
    if !open && !role.leads() && role != Role::Assistant {
        return Err(Refusal::ChatOff);
    }
    let text = text::lines(words, MESSAGE)?;
    let now_ms = asked.now_ms;
    let within = |window_ms: u64| {
        let since = now_ms.saturating_sub(window_ms);
        let recent = move |m: &&Said| m.at_ms > since && m.at_ms <= now_ms;
        chat.messages.iter().filter(recent)
    };
    let own = within(WINDOW_MS).filter(|m| m.member == asked.by.id).count();
    // Everybody reads everybody's: what a lesson can read is bounded as well. A school alone
    // does not hear of the others.
    let crowded = asked.decider == Decider::Origin
        && !role.leads()
        && within(1_000).count() >= asked.limits.chat_per_second;
    if own >= AT_ONCE || crowded {
        return Err(Refusal::TooFast);
    }
    Ok(vec![EventBody::ChatSaid { message: (asked.new_id)(), member: asked.me(), text, to }])
}

pub(super) fn remove_message(asked: &Asked<'_>, message: Uuid) -> Decided {
    asked.only(asked.by.role.leads() || asked.by.role == Role::Assistant)?;
    let said = asked.state.chat.messages.iter().find(|m| m.id == message);
    let said = said.ok_or(Refusal::NoSuchThing)?;
    let author = asked.state.members.get(&said.member);
    if asked.decider == Decider::OwnNode && author.is_some_and(|m| m.node != asked.by.node) {
        return Err(Refusal::CampusAway);
    }
    Ok(vec![EventBody::ChatRemoved { message, by: asked.me() }])
}

pub(super) fn silence(asked: &Asked<'_>, member: &MemberId, silenced: bool) -> Decided {
    asked.looks_after(member)?;
    if asked.state.chat.silenced.contains(member) == silenced {
        return Ok(vec![]);
    }
    Ok(vec![EventBody::ChatSilenced { member: member.clone(), silenced, by: asked.me() }])
}

pub(super) fn react(asked: &Asked<'_>, reaction: Reaction, count: Option<u16>) -> Decided {
    asked.take_part()?;
    if count.is_some() {
        asked.count()?;
    }
    if count.is_some_and(|n| n == 0 || n > CLASS) {
        return Err(Refusal::OutOfRange);
    }
    let before = asked.state.reactions.get(&asked.by.id);
    if before.is_some_and(|b| asked.now_ms < b.at_ms.saturating_add(REACT_EVERY_MS)) {
        return Err(Refusal::TooFast);
    }
    Ok(vec![EventBody::ReactionGiven { member: asked.me(), reaction, count }])
}

pub(super) fn clear_reactions(asked: &Asked<'_>) -> Decided {
    asked.lead()?;
    if asked.state.reactions.is_empty() {
        return Ok(vec![]);
    }
    Ok(vec![EventBody::ReactionsCleared { by: asked.me() }])
}

pub(super) fn praise(asked: &Asked<'_>, member: &MemberId, words: Option<&String>) -> Decided {
    asked.lead()?;
    asked.taught(member)?;
    let text = text::optional(words, PRAISE)?;
    Ok(vec![EventBody::PraiseGiven { member: member.clone(), by: asked.me(), text }])
}
