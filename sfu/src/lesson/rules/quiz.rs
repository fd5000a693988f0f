//! The rules of quizzes and polls.

use super::asked::Asked;
use super::floor::CLASS;
use super::text;
use super::timing::GRACE_MS;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::lesson::quiz::{
    Answer, Item, ItemKind, MAX_ANSWER_TEXT, Number, Quiz, QuizKind, QuizPaper,
};
use cloudschool_protocol::refusal::Refusal;
use uuid::Uuid;

type Decided = Result<Vec<EventBody>, Refusal>;

/// How long a quiz may be open, seconds.
const OPEN_S: std::ops::RangeInclusive<u32> = 5..=3600;
/// Most items.
const ITEMS: usize = 20;
/// How many choices an item may have.
const CHOICES: std::ops::RangeInclusive<usize> = 2..=10;
/// Longest title, prompt and choice, in characters.
const TITLE: usize = 100;
const PROMPT: usize = 500;
const CHOICE: usize = 200;

pub(super) fn open(
    asked: &mut Asked<'_>,
    kind: QuizKind,
    title: Option<&String>,
    items: &[Item],
    seconds: Option<u32>,
) -> Decided {
    asked.lead()?;
    if asked.state.open_quiz().is_some() {
        return Err(Refusal::AlreadyOpen);
    }
    let closes_ms = asked.after(seconds, OPEN_S)?;
    let title = text::optional(title, TITLE)?;
    let items = checked(kind, items)?;
    let quiz = QuizPaper { id: (asked.new_id)(), kind, title, items };
    Ok(vec![EventBody::QuizOpened { quiz, by: asked.me(), closes_ms }])
}

/// The items, if they can be asked.
pub(super) fn checked(kind: QuizKind, items: &[Item]) -> Result<Vec<Item>, Refusal> {
    if items.is_empty() || items.len() > ITEMS {
        return Err(Refusal::BadQuiz);
    }
    items.iter().map(|item| checked_item(kind, item).ok_or(Refusal::BadQuiz)).collect()
}

fn checked_item(kind: QuizKind, item: &Item) -> Option<Item> {
    let choices: Result<Vec<_>, _> = item.choices.iter().map(|c| text::line(c, CHOICE)).collect();
    let correct = match &item.correct {
        Some(Answer::Text(words)) => Some(Answer::Text(text::line(words, MAX_ANSWER_TEXT).ok()?)),
        other => other.clone(),
    };
    let prompt = text::lines(&item.prompt, PROMPT).ok()?;
    let item = Item { prompt, choices: choices.ok()?, correct, ..item.clone() };
    let chooses = matches!(item.kind, ItemKind::Single | ItemKind::Multiple);
    let choices_fit =
        if chooses { CHOICES.contains(&item.choices.len()) } else { item.choices.is_empty() };
    let has_sense = match &item.correct {
        Some(Answer::Choices(none)) if none.is_empty() => false,
        Some(correct) => item.takes(correct),
        None => true,
    };
    let tolerance_fits = item.tolerance.is_none_or(|t| {
        item.kind == ItemKind::Number && Number::try_from(0.0).is_ok_and(|zero| t >= zero)
    });
    let kind_fits = match kind {
        QuizKind::Quiz => true,
        QuizKind::Poll => (chooses || item.kind == ItemKind::Text) && item.correct.is_none(),
    };
    (choices_fit && has_sense && tolerance_fits && kind_fits).then_some(item)
}

/// The quiz of this id with one of its items, while it can be answered.
fn open_item<'a>(asked: &Asked<'a>, id: Uuid, item: u8) -> Result<(&'a Quiz, &'a Item), Refusal> {
    let quiz = asked.state.quiz.as_ref().ok_or(Refusal::NotNow)?;
    if quiz.paper.id != id {
        // Another has been opened since.
        return Err(Refusal::TooLate);
    }
    let found = quiz.paper.items.get(usize::from(item)).ok_or(Refusal::NoSuchThing)?;
    let in_time = |ms: u64| asked.now_ms <= ms;
    let closes = quiz.closes_ms.map(|ms| ms.saturating_add(GRACE_MS));
    if !closes.is_none_or(in_time) || !quiz.closed_ms.is_none_or(in_time) {
        return Err(Refusal::TooLate);
    }
    Ok((quiz, found))
}

pub(super) fn answer(asked: &Asked<'_>, id: Uuid, item: u8, answer: &Answer) -> Decided {
    asked.take_part()?;
    if let Some(quiz) = asked.state.quiz.as_ref().filter(|q| q.paper.id == id)
        && quiz.answer(&asked.by.id, item).is_some()
    {
        return Err(Refusal::AlreadyAnswered);
    }
    let (_, found) = open_item(asked, id, item)?;
    let answer = match answer {
        Answer::Text(words) => Answer::Text(text::line(words, MAX_ANSWER_TEXT)?),
        other => other.clone(),
    };
    if !found.takes(&answer) {
        return Err(Refusal::NotAnAnswer);
    }
    Ok(vec![EventBody::QuizAnswered { quiz: id, item, member: asked.me(), answer }])
}

pub(super) fn count(asked: &Asked<'_>, id: Uuid, item: u8, counts: &[u16]) -> Decided {
    asked.count()?;
    let (quiz, found) = open_item(asked, id, item)?;
    if found.countable() != Some(counts.len()) {
        return Err(Refusal::NotAnAnswer);
    }
    if counts.iter().any(|n| *n > CLASS) {
        return Err(Refusal::OutOfRange);
    }
    let before = quiz.counts.get(&asked.by.id).and_then(|c| c.items.get(usize::from(item)));
    if before.is_some_and(|before| before.as_deref() == Some(counts)) {
        return Ok(vec![]);
    }
    let (member, school) = (asked.me(), asked.by.school.clone());
    Ok(vec![EventBody::QuizCounted { quiz: id, item, member, school, counts: counts.to_vec() }])
}

fn latest<'a>(asked: &Asked<'a>, id: Uuid) -> Result<&'a Quiz, Refusal> {
    asked.state.quiz.as_ref().filter(|q| q.paper.id == id).ok_or(Refusal::NoSuchThing)
}

pub(super) fn close(asked: &Asked<'_>, id: Uuid) -> Decided {
    asked.lead()?;
    if latest(asked, id)?.closed_ms.is_some() {
        return Ok(vec![]);
    }
    Ok(vec![EventBody::QuizClosed { quiz: id, by: Some(asked.me()) }])
}

pub(super) fn reveal(asked: &Asked<'_>, id: Uuid) -> Decided {
    asked.lead()?;
    let quiz = latest(asked, id)?;
    if quiz.tallies.is_some() {
        return Ok(vec![]);
    }
    let open = quiz.closed_ms.is_none();
    let closed = open.then(|| EventBody::QuizClosed { quiz: id, by: Some(asked.me()) });
    let revealed = EventBody::QuizRevealed { quiz: id, by: asked.me(), tallies: quiz.tally() };
    Ok(closed.into_iter().chain([revealed]).collect())
}
