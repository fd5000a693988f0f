//! The rules of asking: whom chance picks, questions and who answered them, the buzzer.

use super::asked::Asked;
use super::text;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::{MemberId, SchoolId};
use cloudschool_protocol::lesson::asking::Among;
use cloudschool_protocol::member::{Member, Role};
use cloudschool_protocol::refusal::Refusal;
use uuid::Uuid;

type Decided = Result<Vec<EventBody>, Refusal>;

/// Longest question, in characters.
const QUESTION: usize = 300;
/// Longest title of a buzzer, in characters.
const TITLE: usize = 100;
/// Presses of one buzzer that are taken. Nobody is called as the two hundred and first.
const PRESSES: usize = 200;

/// Picks one of those who are there, not away and not on stage. Who was asked n times is
/// 1/(1+n)² as likely as who never was.
pub(super) fn pick(asked: &mut Asked<'_>, among: Among, school: Option<&SchoolId>) -> Decided {
    asked.lead()?;
    let state = asked.state;
    let is_meant = |m: &&Member| {
        let role = match among {
            Among::Students => m.role == Role::Student,
            Among::Classrooms => m.role == Role::Classroom,
            Among::Everyone => matches!(m.role, Role::Student | Role::Classroom),
        };
        role && school.is_none_or(|s| m.school == *s)
            && !state.away.contains(&m.id)
            && !state.stage.contains(&m.id)
    };
    let weighted: Vec<(&MemberId, u32, u64)> = state
        .members
        .values()
        .filter(is_meant)
        .map(|m| {
            let times = state.times_asked(&m.id);
            (&m.id, times, weight(times))
        })
        .collect();
    let total: u64 = weighted.iter().map(|(_, _, weight)| weight).sum();
    // The last 62 bits of an id of version 4 or 7 are chance (RFC 9562 §5.4, §5.7).
    let chance = (asked.new_id)().as_u128() as u64 & (u64::MAX >> 2);
    let mut at = chance.checked_rem(total).ok_or(Refusal::NobodyToPick)?;
    for (member, times, weight) in &weighted {
        if at < *weight {
            return Ok(vec![EventBody::MemberPicked {
                member: (*member).clone(),
                by: asked.me(),
                among: u32::try_from(weighted.len()).unwrap_or(u32::MAX),
                asked: *times,
            }]);
        }
        at -= weight;
    }
    Err(Refusal::NobodyToPick)
}

fn weight(times: u32) -> u64 {
    let n = u64::from(times) + 1;
    (1_000_000_000 / n.saturating_mul(n)).max(1)
}

impl Asked<'_> {
    /// What says that `member` answers the open question, if there is one it has not answered.
    pub(super) fn credit(&self, member: &MemberId) -> Option<EventBody> {
        let question = self.state.open_question()?;
        let new = !question.answered.contains(member);
        let member = member.clone();
        new.then(|| EventBody::QuestionAnswered { question: question.id, member, by: self.me() })
    }
}

pub(super) fn ask_question(asked: &mut Asked<'_>, words: Option<&String>) -> Decided {
    asked.lead()?;
    let text = text::optional(words, QUESTION)?;
    let open = asked.state.open_question();
    let closed = open.map(|open| EventBody::QuestionClosed { question: open.id, by: asked.me() });
    let question = (asked.new_id)();
    let new = EventBody::QuestionAsked { question, by: asked.me(), text };
    Ok(closed.into_iter().chain([new]).collect())
}

pub(super) fn credit_answer(asked: &Asked<'_>, member: &MemberId) -> Decided {
    asked.lead()?;
    asked.state.open_question().ok_or(Refusal::NotNow)?;
    let member = asked.taught(member)?;
    Ok(asked.credit(&member.id).into_iter().collect())
}

pub(super) fn close_question(asked: &Asked<'_>) -> Decided {
    asked.lead()?;
    let open = asked.state.open_question().ok_or(Refusal::NotNow)?;
    Ok(vec![EventBody::QuestionClosed { question: open.id, by: asked.me() }])
}

pub(super) fn open_buzzer(asked: &mut Asked<'_>, title: Option<&String>) -> Decided {
    asked.lead()?;
    if asked.state.open_buzzer().is_some() {
        return Err(Refusal::AlreadyOpen);
    }
    let title = text::optional(title, TITLE)?;
    Ok(vec![EventBody::BuzzerOpened { buzzer: (asked.new_id)(), by: asked.me(), title }])
}

pub(super) fn buzz(asked: &Asked<'_>, id: Uuid) -> Decided {
    asked.take_part()?;
    let buzzer = asked.state.buzzer.as_ref().filter(|b| b.id == id);
    let buzzer = buzzer.ok_or(Refusal::NoSuchThing)?;
    if buzzer.presses.iter().any(|p| p.member == asked.by.id) {
        return Err(Refusal::AlreadyAnswered);
    }
    if buzzer.closed_ms.is_some() || buzzer.presses.len() >= PRESSES {
        return Err(Refusal::TooLate);
    }
    Ok(vec![EventBody::BuzzerPressed {
        buzzer: id,
        member: asked.me(),
        rank: u32::try_from(buzzer.presses.len()).unwrap_or(u32::MAX).saturating_add(1),
        after_ms: asked.now_ms.saturating_sub(buzzer.opened_ms),
    }])
}

pub(super) fn close_buzzer(asked: &Asked<'_>, id: Uuid) -> Decided {
    asked.lead()?;
    let buzzer = asked.state.buzzer.as_ref().filter(|b| b.id == id);
    if buzzer.ok_or(Refusal::NoSuchThing)?.closed_ms.is_some() {
        return Ok(vec![]);
    }
    Ok(vec![EventBody::BuzzerClosed { buzzer: id, by: asked.me() }])
}
