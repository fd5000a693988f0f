//! Behaviour records of a lesson's interactions: roll call, picks, questions, buzzer, quizzes,
//! polls, chat, reactions, praise, groups, absences.
//!
//! An answer names what it answers as its cause. What somebody counted for a class without
//! devices is a record of the class (role C) whose source is `manual`; of two with the same
//! actor and object the later counts. What was said in the chat is nobody's business here: a
//! message is a record without its text.

use super::{Derivation, Since, tied, until};
use crate::codes::Code;
use crate::record::{
    Actor, ActorRole, Behaviour, Object, ObjectKind, Origin, Outcome, SourceKind, computed_id,
};
use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::Phase;
use cloudschool_protocol::lesson::chat::Reaction;
use cloudschool_protocol::lesson::quiz::{Answer, Item, QuizKind};
use cloudschool_protocol::member::Role;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Under {
    /// The events roll calls, questions, quizzes and buzzers were opened with, by their ids.
    opened: BTreeMap<Uuid, Since>,
    groups: Option<(Since, MemberId)>,
    away: BTreeMap<MemberId, Since>,
}

impl Derivation {
    pub(super) fn derive_interaction(
        &mut self,
        event: &Event,
        now: Since,
        before: Phase,
        out: &mut Vec<Behaviour>,
    ) {
        match &event.body {
            EventBody::RollCallOpened { roll_call, by, .. } => {
                self.under.opened.insert(*roll_call, now);
                out.push(self.leading(now, by, Code::L05));
            }
            EventBody::RollCallAnswered { roll_call, member } => {
                let record = self.act(now, member, Code::L06);
                out.extend(record.map(|r| self.answering(r, *roll_call, now)));
            }
            EventBody::RollCallCounted { roll_call, member, present, expected, .. } => {
                let counted = match expected {
                    Some(expected) => format!("{present}/{expected}"),
                    None => present.to_string(),
                };
                let record = self.class(now, member, Code::L06, counted);
                out.extend(record.map(|r| self.answering(r, *roll_call, now)));
            }
            EventBody::MemberAway { member, away } => {
                if *away && before < Phase::Ended {
                    self.under.away.entry(member.clone()).or_insert(now);
                } else {
                    self.end_away(now, member, out);
                }
            }
            EventBody::HandsCounted { member, count, .. } => {
                let code = if *count > 0 { Code::S01 } else { Code::S02 };
                out.extend(self.class(now, member, code, count.to_string()));
            }
            EventBody::MemberPicked { member, by, .. } => {
                out.push(self.about(self.leading(now, by, Code::T03), member));
            }
            EventBody::PraiseGiven { member, by, .. } => {
                out.push(self.about(self.leading(now, by, Code::T11), member));
            }
            EventBody::QuestionAsked { question, by, .. } => {
                self.under.opened.insert(*question, now);
                let record = self.leading(now, by, Code::T02);
                out.push(directed(record, ObjectKind::Question, question.to_string()));
            }
            EventBody::QuestionAnswered { question, member, .. } => {
                let record = self.act(now, member, Code::S04);
                out.extend(record.map(|r| self.answering(r, *question, now)));
            }
            EventBody::BuzzerOpened { buzzer, by, .. } => {
                self.under.opened.insert(*buzzer, now);
                let record = self.leading(now, by, Code::T04);
                out.push(directed(record, ObjectKind::Question, buzzer.to_string()));
            }
            EventBody::BuzzerPressed { buzzer, member, rank, after_ms } => {
                let Some(record) = self.act(now, member, Code::S03) else { return };
                let record = directed(record, ObjectKind::Question, buzzer.to_string());
                let mut record = self.answering(record, *buzzer, now);
                let response = Some(rank.to_string());
                let duration_ms = Some(*after_ms);
                record.result = Some(Outcome { response, duration_ms, ..Outcome::default() });
                out.push(record);
            }
            EventBody::QuizOpened { quiz, by, .. } => {
                self.under.opened.insert(quiz.id, now);
                let (code, kind) = asked_as(quiz.kind);
                out.push(directed(self.leading(now, by, code), kind, quiz.id.to_string()));
            }
            EventBody::QuizAnswered { quiz, item, member, answer } => {
                let record = self.answered(now, *quiz, *item, answer, member);
                out.extend(record);
            }
            EventBody::QuizCounted { quiz, item, member, counts, .. } => {
                let counts: Vec<_> = counts.iter().map(u16::to_string).collect();
                out.extend(self.counted(now, *quiz, *item, member, counts.join(SEPARATOR)));
            }
            EventBody::ChatSaid { member, .. } => out.extend(self.act(now, member, Code::S08)),
            EventBody::ReactionGiven { member, reaction, count } => match count {
                Some(count) => {
                    let said = format!("{}{SEPARATOR}{count}", reaction_word(*reaction));
                    out.extend(self.class(now, member, Code::S09, said));
                }
                None => {
                    let record = self.act(now, member, Code::S09);
                    out.extend(record.map(|r| said(r, reaction_word(*reaction).into())));
                }
            },
            EventBody::GroupsOpened { by, .. } => {
                self.end_groups(now, out);
                self.under.groups = Some((now, by.clone()));
            }
            EventBody::GroupsClosed { .. } => self.end_groups(now, out),
            _ => {}
        }
    }

    /// The end of the lesson.
    pub(super) fn end_interactions(&mut self, now: Since, out: &mut Vec<Behaviour>) {
        self.end_groups(now, out);
        let away: Vec<_> = self.under.away.keys().cloned().collect();
        for member in away {
            self.end_away(now, &member, out);
        }
    }

    pub(super) fn end_away(&mut self, now: Since, member: &MemberId, out: &mut Vec<Behaviour>) {
        let Some(since) = self.under.away.remove(member) else { return };
        out.extend(self.act(since, member, Code::S12).map(|r| until(r, now.at_ms)));
    }

    fn end_groups(&mut self, now: Since, out: &mut Vec<Behaviour>) {
        let Some((since, by)) = self.under.groups.take() else { return };
        let record = self.leading(since, &by, Code::T07);
        let id = computed_id(since.at_ms, &["groups", &since.event.to_string()]);
        out.push(until(directed(record, ObjectKind::Group, id.to_string()), now.at_ms));
    }

    /// A member of a group is on stage while the class is in groups: the group presents.
    pub(super) fn presenting(&self, since: Since, member: &MemberId) -> Option<Behaviour> {
        let group = self.state.groups.as_ref()?.of(member)?;
        let record = self.act(since, member, Code::S10)?;
        let id = computed_id(since.at_ms, &["presents", &since.event.to_string()]);
        let name = MemberId::new(format!("group..{}", group.id.simple())).ok()?;
        let actor = Actor { id: self.pseudonyms.of(&name), role: ActorRole::G };
        let record = Behaviour { id, actor, cause: Some(since.event), ..record };
        Some(directed(record, ObjectKind::Group, group.id.to_string()))
    }

    fn item(&self, quiz: Uuid, item: u8) -> Option<(QuizKind, &Item)> {
        let quiz = self.state.quiz.as_ref().filter(|q| q.paper.id == quiz)?;
        Some((quiz.paper.kind, quiz.paper.items.get(usize::from(item))?))
    }

    fn answered(
        &self,
        now: Since,
        quiz: Uuid,
        item: u8,
        answer: &Answer,
        member: &MemberId,
    ) -> Option<Behaviour> {
        let (kind, asked) = self.item(quiz, item)?;
        let (code, object) = answered_as(kind);
        let correct = asked.is_right(answer);
        let record = directed(self.act(now, member, code)?, object, format!("{quiz}/{item}"));
        let mut record = self.answering(record, quiz, now);
        let outcome = record.result.take().unwrap_or_default();
        record.result = Some(Outcome {
            response: Some(words(answer)),
            correct,
            score: correct.map(|right| f64::from(u8::from(right))),
            ..outcome
        });
        Some(record)
    }

    fn counted(
        &self,
        now: Since,
        quiz: Uuid,
        item: u8,
        member: &MemberId,
        counts: String,
    ) -> Option<Behaviour> {
        let (kind, _) = self.item(quiz, item)?;
        let (code, object) = answered_as(kind);
        let record = self.class(now, member, code, counts)?;
        Some(self.answering(directed(record, object, format!("{quiz}/{item}")), quiz, now))
    }

    /// What a class did, as `member` counted.
    fn class(
        &self,
        now: Since,
        member: &MemberId,
        code: Code,
        counted: String,
    ) -> Option<Behaviour> {
        let counting = self.people.get(member)?;
        let classrooms = || {
            let here = self.people.values().filter(|m| m.school == counting.school);
            here.filter(|m| m.role == Role::Classroom)
        };
        // A school with one classroom means it; otherwise the class has a name of its own.
        let class = match (classrooms().next(), classrooms().nth(1)) {
            (Some(one), None) => one.id.clone(),
            _ => MemberId::new(format!("class..{}", counting.school))
                .unwrap_or_else(|_| member.clone()),
        };
        let record = self.record(now, counting, ActorRole::C, code);
        let actor = Actor { id: self.pseudonyms.of(&class), role: ActorRole::C };
        let source = Origin { kind: SourceKind::Manual, device: None, confidence: None };
        let result = said(Behaviour { actor, source, ..record }, counted);
        Some(result)
    }

    /// `record` as the answer to what was opened as `thing`.
    fn answering(&self, record: Behaviour, thing: Uuid, now: Since) -> Behaviour {
        let since = self.under.opened.get(&thing).copied();
        let before = record.result.clone();
        let tied = tied(record, since, now);
        let response = before.and_then(|r| r.response);
        let result = tied.result.map(|r| Outcome { response: response.clone(), ..r });
        let result = result.or_else(|| {
            response.as_ref()?;
            Some(Outcome { response: response.clone(), ..Outcome::default() })
        });
        Behaviour { result, ..tied }
    }

    fn about(&self, record: Behaviour, member: &MemberId) -> Behaviour {
        let id = self.pseudonyms.of(member);
        directed(record, ObjectKind::Person, id)
    }
}

/// Between the parts of an answer, as xAPI has it.
const SEPARATOR: &str = "[,]";

fn said(record: Behaviour, response: String) -> Behaviour {
    let result = Some(Outcome { response: Some(response), ..Outcome::default() });
    Behaviour { result, ..record }
}

fn directed(record: Behaviour, kind: ObjectKind, id: String) -> Behaviour {
    Behaviour { object: Some(Object { kind, id }), ..record }
}

fn asked_as(kind: QuizKind) -> (Code, ObjectKind) {
    match kind {
        QuizKind::Quiz => (Code::T05, ObjectKind::Quiz),
        QuizKind::Poll => (Code::T06, ObjectKind::Poll),
    }
}

fn answered_as(kind: QuizKind) -> (Code, ObjectKind) {
    match kind {
        QuizKind::Quiz => (Code::S06, ObjectKind::Quiz),
        QuizKind::Poll => (Code::S07, ObjectKind::Poll),
    }
}

/// Choices by their index, 0 for the first.
fn words(answer: &Answer) -> String {
    match answer {
        Answer::Choice(n) => n.to_string(),
        Answer::Choices(all) => all.iter().map(u8::to_string).collect::<Vec<_>>().join(SEPARATOR),
        Answer::Truth(truth) => truth.to_string(),
        Answer::Number(n) => f64::from(*n).to_string(),
        Answer::Text(text) => text.clone(),
    }
}

fn reaction_word(reaction: Reaction) -> &'static str {
    match reaction {
        Reaction::Understood => "understood",
        Reaction::NotUnderstood => "not-understood",
        Reaction::ThumbsUp => "thumbs-up",
        Reaction::Clap => "clap",
        Reaction::Heart => "heart",
        Reaction::Laugh => "laugh",
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::*;
    use super::*;
    use cloudschool_protocol::lesson::chat::Audience;
    use cloudschool_protocol::lesson::grouping::Group;
    use cloudschool_protocol::lesson::quiz::{ItemKind, Number, QuizPaper};

    const THING: Uuid = Uuid::from_u128(77);

    /// The records of `bodies` in a lesson with a teacher, an assistant, a class and a student.
    fn records(bodies: impl IntoIterator<Item = EventBody>) -> Vec<Behaviour> {
        let session = computed_id(START, &["session"]);
        let begin = [
            EventBody::LessonOpened { info: info() },
            joined("li", Role::Teacher, "campus"),
            joined("wang", Role::Student, "school-01"),
            joined("class1", Role::Classroom, "school-01"),
            joined("chen", Role::Assistant, "school-01"),
            EventBody::LessonStarted { by: id("li"), session },
        ];
        let end = [EventBody::LessonEnded { by: id("li") }];
        let all = events(begin.into_iter().chain(bodies).chain(end));
        let mut d = derivation();
        let records: Vec<_> = all.iter().flat_map(|e| d.apply(e).unwrap()).collect();
        for record in &records {
            record.check().unwrap();
        }
        records
    }

    fn of(records: &[Behaviour], code: Code) -> Vec<&Behaviour> {
        records.iter().filter(|r| r.code == code).collect()
    }

    fn response(record: &Behaviour) -> &str {
        record.result.as_ref().unwrap().response.as_deref().unwrap()
    }

    fn paper(kind: QuizKind) -> QuizPaper {
        let item = |kind, choices: usize, correct| Item {
            prompt: "?".into(),
            kind,
            choices: (0..choices).map(|n| n.to_string()).collect(),
            correct,
            tolerance: None,
        };
        let right = |answer| (kind == QuizKind::Quiz).then_some(answer);
        let items = vec![
            item(ItemKind::Multiple, 3, right(Answer::Choices(vec![0, 2]))),
            item(ItemKind::Number, 0, right(Answer::Number(Number::try_from(3.5).unwrap()))),
        ];
        QuizPaper { id: THING, kind, title: None, items }
    }

    #[test]
    fn a_roll_call_is_answered_by_devices_and_by_a_count() {
        let member = || id("chen");
        let all = records([
            EventBody::RollCallOpened { roll_call: THING, by: id("li"), closes_ms: None },
            EventBody::RollCallAnswered { roll_call: THING, member: id("wang") },
            EventBody::RollCallCounted {
                roll_call: THING,
                member: member(),
                school: member_school(),
                present: 38,
                expected: Some(40),
                ticked: vec![],
            },
        ]);
        let opened = of(&all, Code::L05)[0];
        let [device, class] = of(&all, Code::L06)[..] else { panic!("{all:?}") };
        assert_eq!((device.cause, class.cause), (Some(opened.id), Some(opened.id)));
        assert_eq!(device.result.as_ref().unwrap().duration_ms, Some(1000));
        assert_eq!((class.actor.role, class.source.kind), (ActorRole::C, SourceKind::Manual));
        assert_eq!(response(class), "38/40");
        let classroom = all.iter().find(|r| r.code == Code::L03 && r.actor.role == ActorRole::C);
        assert_eq!(class.actor.id, classroom.unwrap().actor.id, "its one class is meant");
    }

    fn member_school() -> cloudschool_protocol::id::SchoolId {
        member("chen", Role::Assistant, "school-01").school
    }

    #[test]
    fn answers_say_whether_they_are_right_and_how_long_they_took() {
        let answer = |item, answer| EventBody::QuizAnswered {
            quiz: THING,
            item,
            member: id("wang"),
            answer,
        };
        let all = records([
            EventBody::QuizOpened { quiz: paper(QuizKind::Quiz), by: id("li"), closes_ms: None },
            answer(0, Answer::Choices(vec![0, 2])),
            answer(1, Answer::Number(Number::try_from(4.0).unwrap())),
            EventBody::QuizCounted {
                quiz: THING,
                item: 0,
                member: id("chen"),
                school: member_school(),
                counts: vec![30, 1, 28],
            },
        ]);
        let opened = of(&all, Code::T05)[0];
        let [right, wrong, class] = of(&all, Code::S06)[..] else { panic!("{all:?}") };
        assert!([right, wrong, class].iter().all(|r| r.cause == Some(opened.id)));
        let of = |r: &Behaviour| r.result.clone().unwrap();
        assert_eq!(
            (response(right), of(right).correct, of(right).score),
            ("0[,]2", Some(true), Some(1.0))
        );
        assert_eq!(
            (response(wrong), of(wrong).correct, of(wrong).score),
            ("4", Some(false), Some(0.0))
        );
        assert_eq!(of(wrong).duration_ms, Some(2000));
        assert_eq!(right.object.as_ref().unwrap().id, format!("{THING}/0"));
        assert_eq!((response(class), class.actor.role), ("30[,]1[,]28", ActorRole::C));
    }

    #[test]
    fn a_vote_is_not_right_or_wrong() {
        let quiz = paper(QuizKind::Poll);
        let all = records([
            EventBody::QuizOpened { quiz, by: id("li"), closes_ms: None },
            EventBody::QuizAnswered {
                quiz: THING,
                item: 0,
                member: id("wang"),
                answer: Answer::Choices(vec![1]),
            },
        ]);
        assert_eq!(of(&all, Code::T06)[0].object.as_ref().unwrap().kind, ObjectKind::Poll);
        assert_eq!(of(&all, Code::S07)[0].result.as_ref().unwrap().correct, None);
    }

    #[test]
    fn questions_picks_and_the_buzzer_are_tied_to_those_they_are_about() {
        let all = records([
            EventBody::QuestionAsked { question: THING, by: id("li"), text: None },
            EventBody::MemberPicked { member: id("wang"), by: id("li"), among: 2, asked: 0 },
            EventBody::QuestionAnswered { question: THING, member: id("wang"), by: id("li") },
            EventBody::BuzzerOpened { buzzer: Uuid::from_u128(8), by: id("li"), title: None },
            EventBody::BuzzerPressed {
                buzzer: Uuid::from_u128(8),
                member: id("wang"),
                rank: 1,
                after_ms: 640,
            },
        ]);
        let wang = &of(&all, Code::L03)[1].actor.id;
        assert_eq!(&of(&all, Code::T03)[0].object.as_ref().unwrap().id, wang);
        let answer = of(&all, Code::S04)[0];
        assert_eq!(answer.cause, Some(of(&all, Code::T02)[0].id));
        assert_eq!(answer.source.kind, SourceKind::Signal);
        let press = of(&all, Code::S03)[0];
        assert_eq!(press.cause, Some(of(&all, Code::T04)[0].id));
        assert_eq!((response(press), press.result.as_ref().unwrap().duration_ms), ("1", Some(640)));
    }

    #[test]
    fn what_was_said_is_never_in_a_record() {
        let all = records([
            EventBody::ChatSaid {
                message: THING,
                member: id("wang"),
                text: "只有老师知道".into(),
                to: Audience::Teacher,
            },
            EventBody::ReactionGiven {
                member: id("wang"),
                reaction: Reaction::NotUnderstood,
                count: None,
            },
            EventBody::ReactionGiven {
                member: id("chen"),
                reaction: Reaction::Understood,
                count: Some(31),
            },
            EventBody::PraiseGiven {
                member: id("wang"), by: id("li"), text: Some("很棒".into())
            },
        ]);
        assert!(of(&all, Code::S08)[0].result.is_none());
        let json = serde_json::to_string(&all).unwrap();
        assert!(!json.contains("只有老师知道") && !json.contains("很棒"));
        let [own, class] = of(&all, Code::S09)[..] else { panic!("{all:?}") };
        assert_eq!((response(own), response(class)), ("not-understood", "understood[,]31"));
        assert_eq!(class.actor.role, ActorRole::C);
        assert_eq!(of(&all, Code::T11).len(), 1);
    }

    #[test]
    fn groups_and_absences_are_intervals_that_end_with_the_lesson_at_the_latest() {
        let group = Group { id: THING, name: "一组".into(), members: vec![id("wang")] };
        let all = records([
            EventBody::GroupsOpened { groups: vec![group], by: id("li"), ends_ms: None },
            EventBody::MemberAway { member: id("class1"), away: true },
            EventBody::StageCalled { member: id("wang"), by: id("li") },
            EventBody::StageLeft { member: id("wang"), by: id("li") },
            EventBody::MemberAway { member: id("class1"), away: false },
            EventBody::MemberAway { member: id("wang"), away: true },
        ]);
        let lasted =
            |code| of(&all, code).into_iter().map(Behaviour::lasted_ms).collect::<Vec<_>>();
        assert_eq!(lasted(Code::T07), [6000]);
        assert_eq!(lasted(Code::S12), [3000, 1000]);
        assert_eq!(lasted(Code::S10), [1000]);
        assert_eq!(of(&all, Code::S10)[0].actor.role, ActorRole::G);
    }
}
