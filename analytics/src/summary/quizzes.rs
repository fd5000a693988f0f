//! Of the summary: what came of quizzes and polls, and who of a school was asked.

use super::View;
use crate::codes::Code;
use crate::record::{ActorRole, Behaviour, ObjectKind, SiteKind, SourceKind, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A quiz or poll.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quiz {
    pub id: String,
    /// `quiz` or `poll`.
    pub kind: ObjectKind,
    pub opened_at: Timestamp,
    pub by_school: Vec<Answers>,
}

/// What a school answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answers {
    pub school: String,
    pub site_kind: SiteKind,
    /// Answers given on devices, to all items.
    pub answers: usize,
    /// Of those with a right answer, how many had it; `null` without any.
    pub right: Option<usize>,
    /// How often hands were counted for an item, corrections not counted.
    pub counted: usize,
}

/// Who of a school was called up or picked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    pub school: String,
    pub site_kind: SiteKind,
    /// Students and classrooms that came.
    pub members: usize,
    /// Of them, those who were asked at least once.
    pub asked: usize,
}

impl View<'_> {
    pub(super) fn quizzes(&self) -> Vec<Quiz> {
        let opened = self.records.iter().filter(|r| matches!(r.code, Code::T05 | Code::T06));
        let quiz = |opened: &Behaviour| {
            let object = opened.object.clone()?;
            let answers = || {
                let answers =
                    self.records.iter().filter(|r| matches!(r.code, Code::S06 | Code::S07));
                answers.filter(|r| r.cause == Some(opened.id))
            };
            let by_school = self.schools.iter().map(|school| {
                let of_school = || answers().filter(|r| r.school_id == school.id);
                let given = || of_school().filter(|r| r.source.kind == SourceKind::Signal);
                let judged = || given().filter_map(|r| r.result.as_ref()?.correct);
                let hands = of_school().filter(|r| r.source.kind == SourceKind::Manual);
                let items: BTreeSet<_> = hands
                    .filter_map(|r| Some((r.actor.id.as_str(), r.object.as_ref()?.id.as_str())))
                    .collect();
                Answers {
                    school: school.id.clone(),
                    site_kind: school.side,
                    answers: given().count(),
                    right: judged().next().map(|_| judged().filter(|right| *right).count()),
                    counted: items.len(),
                }
            });
            let by_school = by_school.collect();
            Some(Quiz { id: object.id, kind: object.kind, opened_at: opened.start, by_school })
        };
        opened.filter_map(quiz).collect()
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        let mut came: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let taught = |r: &&Behaviour| matches!(r.actor.role, ActorRole::S | ActorRole::C);
        for record in self.of(Code::L03).filter(taught) {
            came.entry(record.school_id.as_str()).or_default().insert(&record.actor.id);
        }
        let turns = self.of(Code::T12).chain(self.of(Code::T03));
        let asked: BTreeSet<&str> =
            turns.filter_map(|r| Some(r.object.as_ref()?.id.as_str())).collect();
        let line = |school: &super::School| {
            let members = came.get(school.id.as_str());
            Asked {
                school: school.id.clone(),
                site_kind: school.side,
                members: members.map_or(0, BTreeSet::len),
                asked: members.map_or(0, |m| m.intersection(&asked).count()),
            }
        };
        self.schools.iter().map(line).collect()
    }
}
