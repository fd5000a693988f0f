//! What the screens show when nobody chooses it (自动导播): it follows what happens, and of those
//! on stage who speaks.

use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::{MemberId, NodeId};
use cloudschool_protocol::lesson::showing::Layout;
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::Source;
use cloudschool_protocol::refusal::Refusal;
use std::collections::BTreeMap;

/// Who has spoken for less long is not cut to, milliseconds: a word in between, a cough.
pub const VOICE_MS: u64 = 1_500;

/// A face stays at least so long, milliseconds: faster cuts are restless on a wall.
pub const STAYS_MS: u64 = 4_000;

/// A node that says that somebody speaks says it again sooner than this, milliseconds. What is
/// older is not so any more: the node, or the line to it, is gone.
pub const HEARD_FOR_MS: u64 = 12_000;

/// The layout that shows what is going on. Who was called up is looked at, then what the
/// teacher shows, then the teacher.
pub(super) fn choose(state: &State) -> Layout {
    let shared = || {
        let by_teacher = |m| state.members.get(m).is_some_and(|m| m.role.leads());
        state.tracks.keys().any(|t| t.source == Source::Screen && by_teacher(&t.member))
    };
    if state.groups.is_some() {
        Layout::Grid
    } else if !state.stage.is_empty() {
        Layout::Stage
    } else if shared() {
        Layout::Screen
    } else if state.slides.is_some() {
        Layout::SlidesTeacher
    } else {
        Layout::Teacher
    }
}

/// Whether the node chooses what is shown.
fn chooses(state: &State) -> bool {
    state.view.auto && state.phase == Phase::Live
}

/// Who of those on stage speaks, as their nodes say, and how long who is shown has been.
#[derive(Debug, Default)]
pub struct Voices {
    speaking: BTreeMap<MemberId, Voice>,
    shown: Option<MemberId>,
    since_ms: u64,
}

#[derive(Debug)]
struct Voice {
    since_ms: u64,
    heard_ms: u64,
}

impl Voices {
    /// Node `from` says at `now_ms` that a member of its own speaks, or was silent for a while.
    ///
    /// # Errors
    /// [`Refusal::NotAMember`] when it is no member there.
    pub fn heard(
        &mut self,
        state: &State,
        member: &MemberId,
        speaks: bool,
        from: &NodeId,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let there = state.members.get(member).is_some_and(|m| m.node == *from);
        if !there {
            return Err(Refusal::NotAMember);
        }
        // Nobody else is looked for, so the stage bounds how many are kept.
        if !speaks || !state.stage.contains(member) {
            self.speaking.remove(member);
            return Ok(());
        }
        let voice = Voice { since_ms: now_ms, heard_ms: now_ms };
        self.speaking.entry(member.clone()).or_insert(voice).heard_ms = now_ms;
        Ok(())
    }

    /// Who is to be shown large of those on stage: who has spoken longest, once who is shown is
    /// silent and has been shown long enough. `None` for whoever the pages show by themselves.
    fn focus(&mut self, state: &State, now_ms: u64) -> Option<MemberId> {
        self.speaking.retain(|member, voice| {
            let heard = voice.heard_ms.saturating_add(HEARD_FOR_MS) >= now_ms;
            heard && state.stage.contains(member) && !state.muted.contains(member)
        });
        let chosen = state.view.focus.as_ref().filter(|m| state.stage.contains(m));
        let shown = chosen.or(state.stage.first());
        if self.shown.as_ref() != shown {
            self.shown = shown.cloned();
            self.since_ms = now_ms;
        }
        let next = self.next(state).filter(|(at, _)| *at <= now_ms);
        if let Some(next) = next.map(|(_, member)| member.clone()) {
            self.shown = Some(next.clone());
            self.since_ms = now_ms;
            return Some(next);
        }
        chosen.cloned()
    }

    /// Who is cut to next as things are, and when.
    fn next(&self, state: &State) -> Option<(u64, &MemberId)> {
        let shown = self.shown.as_ref()?;
        if state.stage.len() < 2 || self.speaking.contains_key(shown) {
            return None;
        }
        let stays = self.since_ms.saturating_add(STAYS_MS);
        let (member, voice) = self.speaking.iter().min_by_key(|(_, voice)| voice.since_ms)?;
        Some((voice.since_ms.saturating_add(VOICE_MS).max(stays), member))
    }

    /// When to look at it again, milliseconds since the Unix epoch, unless somebody says
    /// something before.
    pub fn due(&self, state: &State) -> Option<u64> {
        if !chooses(state) || choose(state) != Layout::Stage {
            return None;
        }
        let ends = |voice: &Voice| voice.heard_ms.saturating_add(HEARD_FOR_MS + 1);
        let stale = self.speaking.values().map(ends).min();
        self.next(state).map(|(at, _)| at).into_iter().chain(stale).min()
    }
}

/// The cut that is to be made now, if any.
pub fn cut(state: &State, voices: &mut Voices, now_ms: u64) -> Option<EventBody> {
    if !chooses(state) {
        return None;
    }
    let layout = choose(state);
    let focus = match layout {
        Layout::Stage => voices.focus(state, now_ms),
        _ => None,
    };
    let stale = state.view.layout != layout || state.view.focus != focus;
    stale.then_some(EventBody::ViewDirected { layout, focus, by: None, auto: true })
}
