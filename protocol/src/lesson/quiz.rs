//! Quizzes (随堂测验) and polls (投票): items, answers, who gave which, and what came of it.

use super::State;
use crate::id::{MemberId, SchoolId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A number in an answer: exact to a millionth, at most 1,000,000,000 either way. On the wire
/// a JSON number. What is finer is rounded, so that a number is the same after any number of
/// hops and restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Number {
    millionths: i64,
}

/// A number that is none, or beyond what can be told apart exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a number must be between -1000000000 and 1000000000")]
pub struct OutOfBounds;

impl TryFrom<f64> for Number {
    type Error = OutOfBounds;

    fn try_from(number: f64) -> Result<Self, OutOfBounds> {
        if number.is_finite() && number.abs() <= 1e9 {
            Ok(Self { millionths: (number * 1e6).round() as i64 })
        } else {
            Err(OutOfBounds)
        }
    }
}

impl From<Number> for f64 {
    fn from(number: Number) -> f64 {
        number.millionths as f64 / 1e6
    }
}

impl Number {
    /// How far two numbers are apart.
    #[must_use]
    pub fn distance(self, other: Self) -> Self {
        Self { millionths: (self.millionths - other.millionths).abs() }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemKind {
    /// One of the choices.
    Single,
    /// Any number of the choices.
    Multiple,
    TrueFalse,
    Number,
    /// A short text.
    Text,
}

/// One question of a quiz or poll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub prompt: String,
    pub kind: ItemKind,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The right answer. Kept from those who are asked until it is revealed; a poll has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<Answer>,
    /// How far a number may be from the right one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Number>,
}

/// An answer to an item, or its right one: `{"choice": 2}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Index of the choice.
    Choice(u8),
    /// Indexes of the choices, rising.
    Choices(Vec<u8>),
    Truth(bool),
    Number(Number),
    Text(String),
}

/// Longest text of an answer, in characters.
pub const MAX_ANSWER_TEXT: usize = 200;

impl Item {
    /// Of how many classes of answers a class may count hands: one a choice, or 是 and 否.
    /// `None` where hands can't say the answer.
    #[must_use]
    pub fn countable(&self) -> Option<usize> {
        match self.kind {
            ItemKind::Single | ItemKind::Multiple => Some(self.choices.len()),
            ItemKind::TrueFalse => Some(2),
            ItemKind::Number | ItemKind::Text => None,
        }
    }

    /// Whether `answer` is one to this item at all.
    #[must_use]
    pub fn takes(&self, answer: &Answer) -> bool {
        let is_choice = |n: &u8| usize::from(*n) < self.choices.len();
        match (self.kind, answer) {
            (ItemKind::Single, Answer::Choice(n)) => is_choice(n),
            (ItemKind::Multiple, Answer::Choices(all)) => {
                all.is_sorted_by(|a, b| a < b) && all.iter().all(is_choice)
            }
            (ItemKind::TrueFalse, Answer::Truth(_)) | (ItemKind::Number, Answer::Number(_)) => true,
            (ItemKind::Text, Answer::Text(text)) => {
                let length = text.chars().count();
                !text.trim().is_empty() && length <= MAX_ANSWER_TEXT
            }
            _ => false,
        }
    }

    /// Whether `answer` is right; `None` where the item has no right answer.
    #[must_use]
    pub fn is_right(&self, answer: &Answer) -> Option<bool> {
        Some(match (self.correct.as_ref()?, answer) {
            (Answer::Number(right), Answer::Number(given)) => {
                let tolerance = self.tolerance.unwrap_or(Number { millionths: 0 });
                right.distance(*given) <= tolerance
            }
            (Answer::Text(right), Answer::Text(given)) => folded(right) == folded(given),
            (right, given) => right == given,
        })
    }

    /// Which of the countable classes of answers an answer belongs to.
    fn classes(answer: &Answer) -> Vec<usize> {
        match answer {
            Answer::Choice(n) => vec![usize::from(*n)],
            Answer::Choices(all) => all.iter().map(|n| usize::from(*n)).collect(),
            Answer::Truth(truth) => vec![usize::from(!truth)],
            Answer::Number(_) | Answer::Text(_) => vec![],
        }
    }
}

/// A text as answers are compared: without spaces around it, in lower case, full-width letters,
/// digits and signs as the usual ones.
fn folded(text: &str) -> String {
    let usual = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        c => c,
    };
    text.chars().map(usual).collect::<String>().trim().to_lowercase()
}

/// Whether answers can be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuizKind {
    Quiz,
    Poll,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuizPaper {
    pub id: Uuid,
    pub kind: QuizKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub items: Vec<Item>,
}

/// A quiz or poll, the latest. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quiz {
    #[serde(flatten)]
    pub paper: QuizPaper,
    pub opened_ms: u64,
    /// When it closes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_ms: Option<u64>,
    /// By member, one place for each item.
    #[serde(default)]
    pub answers: BTreeMap<MemberId, Vec<Option<Given>>>,
    /// What was counted in classes, by who counted.
    #[serde(default)]
    pub counts: BTreeMap<MemberId, Counted>,
    /// What came of it, one for each item, once it is revealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tallies: Option<Vec<Tally>>,
}

/// An answer given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Given {
    pub answer: Answer,
    pub at_ms: u64,
}

/// Hands counted in a class, one place for each item, each with one count for each choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    pub school: SchoolId,
    pub items: Vec<Option<Vec<u16>>>,
}

/// What came of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// How many answered. Of hands counted for an item with several right choices, the most
    /// for one of them: each child was counted at least so often.
    pub answered: u32,
    /// For each choice, or for 是 and 否.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Vec<u32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<Answer>,
    /// How many were right; of hands counted only where one choice is the right one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<u32>,
}

impl Quiz {
    /// Nobody has answered yet.
    #[must_use]
    pub fn new(paper: QuizPaper, opened_ms: u64, closes_ms: Option<u64>) -> Self {
        Self {
            paper,
            opened_ms,
            closes_ms,
            closed_ms: None,
            answers: BTreeMap::new(),
            counts: BTreeMap::new(),
            tallies: None,
        }
    }

    /// The answer of `member` to item number `item`.
    #[must_use]
    pub fn answer(&self, member: &MemberId, item: u8) -> Option<&Given> {
        self.answers.get(member)?.get(usize::from(item))?.as_ref()
    }

    /// What came of it so far, one for each item.
    #[must_use]
    pub fn tally(&self) -> Vec<Tally> {
        self.paper.items.iter().enumerate().map(|(n, item)| self.tally_item(n, item)).collect()
    }

    fn tally_item(&self, n: usize, item: &Item) -> Tally {
        let mut counts = item.countable().map(|classes| vec![0u32; classes]);
        let mut right = item.correct.as_ref().map(|_| 0u32);
        let mut answered = 0u32;
        let given = self.answers.values().filter_map(|a| a.get(n)?.as_ref());
        for Given { answer, .. } in given {
            answered += 1;
            if let (Some(right), Some(true)) = (&mut right, item.is_right(answer)) {
                *right += 1;
            }
            for class in Item::classes(answer) {
                if let Some(count) = counts.as_mut().and_then(|c| c.get_mut(class)) {
                    *count += 1;
                }
            }
        }
        for hands in self.counts.values().filter_map(|c| c.items.get(n)?.as_ref()) {
            let hands_of = |class: usize| hands.get(class).map_or(0, |n| u32::from(*n));
            answered += match item.kind {
                ItemKind::Multiple => hands.iter().copied().max().map_or(0, u32::from),
                _ => hands.iter().map(|n| u32::from(*n)).sum(),
            };
            if let (Some(right), Some(correct)) = (&mut right, &item.correct)
                && let ([class], true) =
                    (Item::classes(correct).as_slice(), item.kind != ItemKind::Multiple)
            {
                *right += hands_of(*class);
            }
            for (class, count) in counts.iter_mut().flatten().enumerate() {
                *count += hands_of(class);
            }
        }
        Tally { answered, counts, correct: item.correct.clone(), right }
    }
}

impl State {
    /// The quiz or poll that can be answered now.
    #[must_use]
    pub fn open_quiz(&self) -> Option<&Quiz> {
        self.quiz.as_ref().filter(|q| q.closed_ms.is_none())
    }

    fn quiz_mut(&mut self, id: Uuid) -> Option<&mut Quiz> {
        self.quiz.as_mut().filter(|q| q.paper.id == id)
    }

    pub(super) fn answer_quiz(
        &mut self,
        quiz: Uuid,
        item: u8,
        member: &MemberId,
        answer: &Answer,
        at_ms: u64,
    ) {
        let Some(quiz) = self.quiz_mut(quiz) else { return };
        let items = quiz.paper.items.len();
        let given = quiz.answers.entry(member.clone()).or_insert_with(|| vec![None; items]);
        if let Some(place) = given.get_mut(usize::from(item)) {
            place.get_or_insert(Given { answer: answer.clone(), at_ms });
        }
    }

    pub(super) fn count_quiz(
        &mut self,
        quiz: Uuid,
        item: u8,
        member: &MemberId,
        school: &SchoolId,
        counts: &[u16],
    ) {
        let Some(quiz) = self.quiz_mut(quiz) else { return };
        let items = quiz.paper.items.len();
        let empty = || Counted { school: school.clone(), items: vec![None; items] };
        let counted = quiz.counts.entry(member.clone()).or_insert_with(empty);
        counted.school = school.clone();
        if let Some(place) = counted.items.get_mut(usize::from(item)) {
            *place = Some(counts.to_vec());
        }
    }

    pub(super) fn close_quiz(&mut self, quiz: Uuid, at_ms: u64) {
        if let Some(quiz) = self.quiz_mut(quiz) {
            quiz.closed_ms.get_or_insert(at_ms);
        }
    }

    /// Who did not know the right answers does from here on.
    pub(super) fn reveal_quiz(&mut self, quiz: Uuid, tallies: &[Tally]) {
        let Some(quiz) = self.quiz_mut(quiz) else { return };
        for (item, tally) in quiz.paper.items.iter_mut().zip(tallies) {
            item.correct.clone_from(&tally.correct);
        }
        quiz.tallies = Some(tallies.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: f64) -> Number {
        Number::try_from(n).unwrap()
    }

    fn item(kind: ItemKind, choices: usize, correct: Option<Answer>) -> Item {
        let choices = (0..choices).map(|n| n.to_string()).collect();
        Item { prompt: "?".into(), kind, choices, correct, tolerance: None }
    }

    #[test]
    fn answers_look_as_documented() {
        for (json, answer) in [
            (r#"{"choice":2}"#, Answer::Choice(2)),
            (r#"{"choices":[0,2]}"#, Answer::Choices(vec![0, 2])),
            (r#"{"truth":true}"#, Answer::Truth(true)),
            (r#"{"number":3.5}"#, Answer::Number(number(3.5))),
            (r#"{"text":"光合作用"}"#, Answer::Text("光合作用".into())),
        ] {
            assert_eq!(serde_json::from_str::<Answer>(json).unwrap(), answer);
            assert_eq!(serde_json::to_string(&answer).unwrap(), json);
        }
        assert!(serde_json::from_str::<Answer>(r#"{"number":1e300}"#).is_err());
    }

    proptest::proptest! {
        #[test]
        fn a_number_is_the_same_after_any_number_of_hops(n in -1e9f64..1e9) {
            let sent = number(n);
            let text = serde_json::to_string(&sent).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Number>(&text).unwrap(), sent);
        }
    }

    #[test]
    fn an_answer_must_fit_its_item() {
        let single = item(ItemKind::Single, 3, None);
        assert!(single.takes(&Answer::Choice(2)) && !single.takes(&Answer::Choice(3)));
        assert!(!single.takes(&Answer::Choices(vec![1])) && !single.takes(&Answer::Truth(true)));
        let multiple = item(ItemKind::Multiple, 3, None);
        assert!(multiple.takes(&Answer::Choices(vec![0, 2])));
        for bad in [vec![2, 0], vec![1, 1], vec![3]] {
            assert!(!multiple.takes(&Answer::Choices(bad)));
        }
        let text = item(ItemKind::Text, 0, None);
        assert!(text.takes(&Answer::Text("水".into())));
        assert!(
            !text.takes(&Answer::Text("水".repeat(201))) && !text.takes(&Answer::Text(" ".into()))
        );
    }

    #[test]
    fn a_text_is_right_however_it_was_typed_and_a_number_within_its_tolerance() {
        let text = item(ItemKind::Text, 0, Some(Answer::Text("CO2".into())));
        assert_eq!(text.is_right(&Answer::Text("  ｃｏ２　".into())), Some(true));
        assert_eq!(text.is_right(&Answer::Text("CO".into())), Some(false));
        let mut gravity = item(ItemKind::Number, 0, Some(Answer::Number(number(9.80665))));
        assert_eq!(gravity.is_right(&Answer::Number(number(9.81))), Some(false));
        gravity.tolerance = Some(number(0.01));
        assert_eq!(gravity.is_right(&Answer::Number(number(9.81))), Some(true));
        assert_eq!(item(ItemKind::Text, 0, None).is_right(&Answer::Text("x".into())), None);
    }

    #[test]
    fn devices_and_hands_are_counted_together() {
        let items = vec![
            item(ItemKind::Single, 3, Some(Answer::Choice(1))),
            item(ItemKind::Multiple, 2, Some(Answer::Choices(vec![0, 1]))),
            item(ItemKind::TrueFalse, 0, Some(Answer::Truth(false))),
        ];
        let paper = QuizPaper { id: Uuid::nil(), kind: QuizKind::Quiz, title: None, items };
        let mut quiz = Quiz::new(paper, 0, None);
        let given = |answer| Some(Given { answer, at_ms: 1 });
        let member = |name: &str| MemberId::new(name).unwrap();
        let wang = vec![given(Answer::Choice(1)), given(Answer::Choices(vec![0, 1])), None];
        quiz.answers.insert(member("wang"), wang);
        let zhao = vec![given(Answer::Choice(0)), None, given(Answer::Truth(false))];
        quiz.answers.insert(member("zhao"), zhao);
        let school = SchoolId::new("school-01").unwrap();
        let items = vec![Some(vec![5, 20, 1]), Some(vec![30, 12]), Some(vec![7, 9])];
        quiz.counts.insert(member("chen"), Counted { school, items });
        let tallies = quiz.tally();
        let counted = |n: usize| (tallies[n].answered, tallies[n].right, tallies[n].counts.clone());
        assert_eq!(counted(0), (28, Some(21), Some(vec![6, 21, 1])));
        assert_eq!(counted(1), (31, Some(1), Some(vec![31, 13])));
        assert_eq!(counted(2), (17, Some(10), Some(vec![7, 10])));
    }
}
