//! What a member asks, and everything it is decided by: no rule looks anywhere else.

use super::Limits;
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::member::{Member, Role};
use cloudschool_protocol::refusal::Refusal;
use uuid::Uuid;

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decider {
    /// The origin. Whoever gives the lesson decides about everybody.
    Origin,
    /// A node that can't reach it, for its own members. An assistant stands in for the teacher
    /// in its classroom.
    OwnNode,
}

/// A member's command and the lesson it meets.
pub(super) struct Asked<'a> {
    pub state: &'a State,
    pub by: &'a Member,
    /// When it was asked, milliseconds since the Unix epoch.
    pub now_ms: u64,
    pub limits: &'a Limits,
    pub decider: Decider,
    /// Names what is made. Nothing else of chance comes into a rule.
    pub new_id: &'a mut dyn FnMut() -> Uuid,
}

impl<'a> Asked<'a> {
    /// Who asks, for an event's `by`.
    pub(super) fn me(&self) -> MemberId {
        self.by.id.clone()
    }

    /// Whoever gives the lesson, while it runs.
    pub(super) fn lead(&self) -> Result<(), Refusal> {
        self.only(self.by.role.leads())
    }

    /// Those whom `allowed` is true of, while the lesson runs.
    pub(super) fn only(&self, allowed: bool) -> Result<(), Refusal> {
        if !allowed {
            return Err(Refusal::NotAllowed);
        }
        running(self.state)
    }

    /// Those who are taught, while the lesson runs.
    pub(super) fn take_part(&self) -> Result<(), Refusal> {
        self.only(self.by.role.takes_part())
    }

    /// Those who may count for a class without devices, while the lesson runs.
    pub(super) fn count(&self) -> Result<(), Refusal> {
        self.only(self.by.role.counts_for_class())
    }

    /// Whether who asks may decide about `about`: whoever gives the lesson, and an assistant
    /// that stands in for it.
    pub(super) fn leads(&self, about: Option<&Member>) -> Result<(), Refusal> {
        let stands_in = self.decider == Decider::OwnNode
            && self.by.role == Role::Assistant
            && about.is_some_and(|m| m.node == self.by.node);
        if self.by.role.leads() || stands_in { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Whoever gives the lesson about anybody who is taught, an assistant about its own school.
    pub(super) fn looks_after(&self, member: &MemberId) -> Result<(), Refusal> {
        let about = self.state.members.get(member);
        if self.by.role.leads() {
            let role = about.map(|m| m.role);
            let role = role.or_else(|| self.state.attendance.get(member).map(|a| a.role));
            let taught = role.ok_or(Refusal::NoSuchMember)?.takes_part();
            return self.only(taught);
        }
        let own = about.is_some_and(|m| m.school == self.by.school && m.role.takes_part());
        self.only(self.by.role == Role::Assistant && own)
    }

    /// A member that is there and is taught.
    pub(super) fn taught(&self, member: &MemberId) -> Result<&'a Member, Refusal> {
        let member = self.state.members.get(member).ok_or(Refusal::NoSuchMember)?;
        if member.role.takes_part() { Ok(member) } else { Err(Refusal::NotAllowed) }
    }

    /// Whom a command that is about oneself, or for a teacher about anyone, means.
    pub(super) fn target(&self, named: Option<&MemberId>) -> Result<&'a MemberId, Refusal> {
        match named {
            None => Ok(&self.by.id),
            Some(id) if *id == self.by.id => Ok(&self.by.id),
            Some(id) => match self.state.members.get(id) {
                Some(member) => self.leads(Some(member)).map(|()| &member.id),
                None => self.leads(None).and(Err(Refusal::NoSuchMember)),
            },
        }
    }

    /// The time `seconds` from now, if so long is allowed.
    pub(super) fn after(
        &self,
        seconds: Option<u32>,
        allowed: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<u64>, Refusal> {
        match seconds {
            None => Ok(None),
            Some(seconds) if allowed.contains(&seconds) => {
                Ok(Some(self.now_ms.saturating_add(u64::from(seconds) * 1000)))
            }
            Some(_) => Err(Refusal::OutOfRange),
        }
    }
}

/// Members may take part before the lesson begins (a sound check needs all of it) and
/// while it is given.
pub(super) fn running(state: &State) -> Result<(), Refusal> {
    match state.phase {
        Phase::Scheduled => Err(Refusal::NotOpen),
        Phase::Open | Phase::Live => Ok(()),
        Phase::Ended | Phase::Archived => Err(Refusal::Ended),
    }
}
