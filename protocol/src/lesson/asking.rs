//! Asking: hands counted in a class, whom the teacher picks, a question (提问) with its wait
//! time and who answered it, and the buzzer (抢答).

use super::{Phase, State};
use crate::id::{MemberId, SchoolId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Hands up in a class without devices, as somebody there counted them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandCount {
    pub school: SchoolId,
    pub count: u16,
    /// When they were counted, milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// Among whom a pick is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Among {
    Students,
    Classrooms,
    /// Students and classrooms.
    Everyone,
}

/// Whom chance has picked (抽选), until it is called or another is picked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Picked {
    pub member: MemberId,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Among how many it was picked.
    pub among: u32,
    /// How often it had been asked before.
    pub asked: u32,
}

/// A question of the teacher's, the latest. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    pub id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    pub asked_ms: u64,
    /// The first hand, hand count or buzz after it: the end of the wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_hand_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_ms: Option<u64>,
    /// Who answered, in order, each once.
    #[serde(default)]
    pub answered: Vec<MemberId>,
}

/// A buzzer, the latest. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Buzzer {
    pub id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub opened_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_ms: Option<u64>,
    /// Who pressed, the first first.
    #[serde(default)]
    pub presses: Vec<Press>,
}

/// A press of the buzzer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Press {
    pub member: MemberId,
    pub at_ms: u64,
}

impl State {
    /// The question that waits for answers.
    #[must_use]
    pub fn open_question(&self) -> Option<&Question> {
        self.question.as_ref().filter(|q| q.closed_ms.is_none())
    }

    /// The buzzer that can be pressed now.
    #[must_use]
    pub fn open_buzzer(&self) -> Option<&Buzzer> {
        self.buzzer.as_ref().filter(|b| b.closed_ms.is_none())
    }

    /// How often a member was called up or picked in this run.
    #[must_use]
    pub fn times_asked(&self, member: &MemberId) -> u32 {
        self.asked.get(member).copied().unwrap_or(0)
    }

    pub(super) fn ask(&mut self, member: &MemberId) {
        let times = self.asked.entry(member.clone()).or_default();
        *times = times.saturating_add(1);
    }

    /// A call is what a pick asked for: the two count as one.
    pub(super) fn called(&mut self, member: &MemberId) {
        if self.picked.as_ref().is_some_and(|p| p.member == *member) {
            self.picked = None;
        } else {
            self.ask(member);
        }
        let classroom = self.members.get(member).filter(|m| m.role.is_classroom());
        if let Some(school) = classroom.map(|m| m.school.clone()) {
            self.hand_counts.retain(|_, c| c.school != school);
        }
    }

    pub(super) fn first_hand(&mut self, at_ms: u64) {
        if let Some(question) = &mut self.question
            && at_ms >= question.asked_ms
            && question.closed_ms.is_none_or(|closed| at_ms <= closed)
        {
            let first = question.first_hand_ms.unwrap_or(at_ms).min(at_ms);
            question.first_hand_ms = Some(first);
        }
    }

    pub(super) fn count_hands(
        &mut self,
        member: &MemberId,
        school: &SchoolId,
        count: u16,
        at_ms: u64,
    ) {
        self.hand_counts.remove(member);
        if count == 0 {
            return;
        }
        self.first_hand(at_ms);
        if self.phase < Phase::Ended {
            let counted = HandCount { school: school.clone(), count, at_ms };
            self.hand_counts.insert(member.clone(), counted);
        }
    }

    pub(super) fn credit(&mut self, question: Uuid, member: &MemberId) {
        if let Some(asked) = self.question.as_mut().filter(|q| q.id == question)
            && !asked.answered.contains(member)
        {
            asked.answered.push(member.clone());
        }
    }

    pub(super) fn asking_ends(&mut self, at_ms: u64) {
        self.hand_counts.clear();
        self.picked = None;
        if let Some(question) = &mut self.question {
            question.closed_ms.get_or_insert(at_ms);
        }
        if let Some(buzzer) = &mut self.buzzer {
            buzzer.closed_ms.get_or_insert(at_ms);
        }
    }
}
