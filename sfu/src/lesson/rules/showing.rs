//! The rules of what the screens show and what is written about the lesson: timer, layout,
//! captions, proposals, chapters, notes and score sheets.

use super::asked::Asked;
use super::{directing, quiz, text};
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::Phase;
use cloudschool_protocol::lesson::quiz::{QuizKind, QuizPaper};
use cloudschool_protocol::lesson::showing::{
    Draft, Layout, MAX_CHAPTERS, MAX_NOTES, MAX_PROPOSALS, Mark, Proposal,
};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use uuid::Uuid;

type Decided = Result<Vec<EventBody>, Refusal>;

/// How long a timer may run, seconds.
const TIMER_S: std::ops::RangeInclusive<u32> = 5..=7200;
/// Longest title of a timer, and of a proposed quiz, in characters.
const TITLE: usize = 100;
/// Longest caption line, in characters, and how long it may be said.
const CAPTION: usize = 300;
const CAPTION_MS: u64 = 60_000;
/// How far a clock that tells captions and chapters may be ahead of this one.
const AHEAD_MS: u64 = 10_000;
/// Longest title of a chapter, note and criterion, in characters.
const CHAPTER: usize = 80;
const NOTE: usize = 1000;
const CRITERION: usize = 60;
/// Most lines of a score sheet, and most points of one.
const MARKS: usize = 30;
const POINTS: u16 = 100;

pub(super) fn start_timer(asked: &Asked<'_>, seconds: u32, title: Option<&String>) -> Decided {
    asked.lead()?;
    let ends_ms = asked.after(Some(seconds), TIMER_S)?.ok_or(Refusal::OutOfRange)?;
    let title = text::optional(title, TITLE)?;
    Ok(vec![EventBody::TimerStarted { ends_ms, seconds, by: asked.me(), title }])
}

pub(super) fn stop_timer(asked: &Asked<'_>) -> Decided {
    asked.lead()?;
    asked.state.timer.as_ref().ok_or(Refusal::NotNow)?;
    Ok(vec![EventBody::TimerStopped { by: Some(asked.me()) }])
}

pub(super) fn direct(asked: &Asked<'_>, layout: Layout, focus: Option<&MemberId>) -> Decided {
    asked.only(asked.by.role.leads() || asked.by.role == Role::Operator)?;
    if let Some(focus) = focus {
        let member = asked.state.members.get(focus).ok_or(Refusal::NoSuchMember)?;
        if !member.role.may_publish() {
            return Err(Refusal::NotAllowed);
        }
    }
    let auto = layout == Layout::Auto;
    let (layout, focus) =
        if auto { (directing::choose(asked.state), None) } else { (layout, focus.cloned()) };
    let view = &asked.state.view;
    if auto && view.auto && view.layout == layout {
        // Whom it has cut to stays.
        return Ok(vec![]);
    }
    if view.layout == layout && view.focus == focus && view.auto == auto {
        return Ok(vec![]);
    }
    Ok(vec![EventBody::ViewDirected { layout, focus, by: Some(asked.me()), auto }])
}

pub(super) fn caption(
    asked: &Asked<'_>,
    words: &str,
    start_ms: u64,
    end_ms: u64,
    lang: &str,
) -> Decided {
    asked.only(asked.by.role == Role::Assistant)?;
    let text = text::line(words, CAPTION)?;
    let said = end_ms.checked_sub(start_ms).is_some_and(|ms| ms <= CAPTION_MS);
    if !said || end_ms > asked.now_ms.saturating_add(AHEAD_MS) {
        return Err(Refusal::OutOfRange);
    }
    // RFC 5646: subtags of letters and digits.
    let subtag =
        |s: &str| (1..=8).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric());
    if lang.len() > 16 || !lang.split('-').all(subtag) {
        return Err(Refusal::OutOfRange);
    }
    let lang = lang.to_owned();
    Ok(vec![EventBody::CaptionPosted { member: asked.me(), text, start_ms, end_ms, lang }])
}

pub(super) fn propose(asked: &mut Asked<'_>, draft: &Draft) -> Decided {
    asked.only(asked.by.role == Role::Assistant)?;
    if asked.state.proposals.len() >= MAX_PROPOSALS {
        return Err(Refusal::TooMany);
    }
    let content = match draft {
        Draft::Chapter { title, at_ms } => {
            if *at_ms > asked.now_ms.saturating_add(AHEAD_MS) {
                return Err(Refusal::OutOfRange);
            }
            Draft::Chapter { title: text::line(title, CHAPTER)?, at_ms: *at_ms }
        }
        Draft::Quiz { title, items } => Draft::Quiz {
            title: text::optional(title.as_ref(), TITLE)?,
            items: quiz::checked(QuizKind::Quiz, items)?,
        },
    };
    Ok(vec![EventBody::ProposalMade { proposal: (asked.new_id)(), member: asked.me(), content }])
}

fn proposed<'a>(asked: &Asked<'a>, id: Uuid) -> Result<&'a Proposal, Refusal> {
    asked.lead()?;
    asked.state.proposals.iter().find(|p| p.id == id).ok_or(Refusal::NoSuchThing)
}

/// What is accepted happens: a chapter is marked, a quiz opened.
pub(super) fn accept(asked: &mut Asked<'_>, id: Uuid) -> Decided {
    let Proposal { member, content, .. } = proposed(asked, id)?.clone();
    let happens = match content {
        Draft::Chapter { title, at_ms } => chapter(asked, title, at_ms)?,
        Draft::Quiz { title, items } => {
            if asked.state.open_quiz().is_some() {
                return Err(Refusal::AlreadyOpen);
            }
            let quiz = QuizPaper { id: (asked.new_id)(), kind: QuizKind::Quiz, title, items };
            EventBody::QuizOpened { quiz, by: asked.me(), closes_ms: None }
        }
    };
    Ok(vec![EventBody::ProposalAccepted { proposal: id, member, by: asked.me() }, happens])
}

pub(super) fn decline(asked: &Asked<'_>, id: Uuid) -> Decided {
    let member = proposed(asked, id)?.member.clone();
    Ok(vec![EventBody::ProposalDeclined { proposal: id, member, by: asked.me() }])
}

pub(super) fn mark_chapter(asked: &Asked<'_>, title: &str) -> Decided {
    asked.lead()?;
    let title = text::line(title, CHAPTER)?;
    Ok(vec![chapter(asked, title, asked.now_ms)?])
}

fn chapter(asked: &Asked<'_>, title: String, from_ms: u64) -> Result<EventBody, Refusal> {
    if asked.state.chapters.len() >= MAX_CHAPTERS {
        return Err(Refusal::TooMany);
    }
    Ok(EventBody::ChapterMarked { title, from_ms, by: asked.me() })
}

/// An observer writes also after the lesson's end.
fn observes(asked: &Asked<'_>) -> Result<(), Refusal> {
    if asked.by.role != Role::Observer {
        return Err(Refusal::NotAllowed);
    }
    if asked.state.phase == Phase::Scheduled { Err(Refusal::NotOpen) } else { Ok(()) }
}

pub(super) fn note(asked: &mut Asked<'_>, words: &str, about_ms: Option<u64>) -> Decided {
    observes(asked)?;
    if asked.state.notes.len() >= MAX_NOTES {
        return Err(Refusal::TooMany);
    }
    let text = text::lines(words, NOTE)?;
    let about_ms = about_ms.unwrap_or(asked.now_ms).min(asked.now_ms);
    Ok(vec![EventBody::NoteTaken { note: (asked.new_id)(), member: asked.me(), text, about_ms }])
}

pub(super) fn score(asked: &Asked<'_>, sheet: &[Mark]) -> Decided {
    observes(asked)?;
    if sheet.is_empty() {
        return Err(Refusal::Empty);
    }
    if sheet.len() > MARKS {
        return Err(Refusal::TooMany);
    }
    let mut marks = Vec::with_capacity(sheet.len());
    for mark in sheet {
        if !(1..=POINTS).contains(&mark.of) || mark.points > mark.of {
            return Err(Refusal::OutOfRange);
        }
        marks.push(Mark { criterion: text::line(&mark.criterion, CRITERION)?, ..mark.clone() });
    }
    if asked.state.sheets.get(&asked.by.id) == Some(&marks) {
        return Ok(vec![]);
    }
    Ok(vec![EventBody::SheetScored { member: asked.me(), sheet: marks }])
}
