//! The summary of a lesson: attendance, talk, hands, floor and S-T, computed from its records
//! alone. The JSON is documented in `docs/behaviour-data.md`; the report page shows it.

mod quizzes;

use crate::codes::Code;
use crate::metrics::{self, St};
use crate::record::{ActorRole, Behaviour, PROFILE, SiteKind, SourceKind, Timestamp};
use crate::store::LessonRow;
use cloudschool_protocol::id::{LessonId, SchoolId};
use cloudschool_protocol::lesson::Phase;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub profile: &'static str,
    /// The code of the document: the lesson's metrics (课堂指标).
    pub code: &'static str,
    pub as_of: Timestamp,
    pub lesson: Lesson,
    pub session: Option<Uuid>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub duration_ms: u64,
    pub attendance: Vec<Attendance>,
    pub talk: Talk,
    pub hands: Vec<Hands>,
    pub floor: Vec<Floor>,
    pub asked: Vec<quizzes::Asked>,
    pub quizzes: Vec<quizzes::Quiz>,
    pub equity: Equity,
    pub st: Analysis,
    pub records: Counts,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lesson {
    pub id: LessonId,
    pub title: String,
    pub subject: String,
    pub grade: String,
    pub teacher: String,
    pub campus: SchoolId,
    pub schools: Vec<SchoolId>,
    /// What people call them.
    pub school_names: BTreeMap<SchoolId, String>,
    pub phase: Phase,
    pub planned_minutes: Option<u32>,
    pub recording: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attendance {
    pub school: String,
    pub site_kind: SiteKind,
    pub invited: bool,
    pub attended: bool,
    pub members: HeadCount,
    pub first_join: Option<Timestamp>,
    pub last_leave: Option<Timestamp>,
    pub present_now: usize,
    pub minutes_present: f64,
    pub share_of_lesson: Option<f64>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeadCount {
    pub total: usize,
    pub teacher: usize,
    pub assistant: usize,
    pub classroom: usize,
    pub student: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Talk {
    pub total_ms: u64,
    pub by_side: Vec<SideTalk>,
    pub by_role: Vec<RoleTalk>,
    pub by_school: Vec<SchoolTalk>,
    pub source: TalkSource,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SideTalk {
    pub site_kind: SiteKind,
    #[serde(flatten)]
    pub talk: TalkTime,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleTalk {
    pub role: ActorRole,
    #[serde(flatten)]
    pub talk: TalkTime,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SchoolTalk {
    pub school: String,
    pub site_kind: SiteKind,
    #[serde(flatten)]
    pub talk: TalkTime,
}

#[derive(Debug, Serialize)]
pub struct TalkTime {
    pub ms: u64,
    pub share: Option<f64>,
    pub turns: usize,
}

#[derive(Debug, Serialize)]
pub struct TalkSource {
    pub kind: SourceKind,
    pub confidence: Option<f64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hands {
    pub school: String,
    pub site_kind: SiteKind,
    pub raised: usize,
    pub answered: usize,
    pub median_wait_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Floor {
    pub school: String,
    pub site_kind: SiteKind,
    pub times: u64,
    pub ms: u64,
}

/// How evenly the schools were called up.
#[derive(Debug, Serialize)]
pub struct Equity {
    pub unit: &'static str,
    pub turns: &'static str,
    pub n: usize,
    pub gini: f64,
    pub coverage: Option<f64>,
}

#[derive(Debug, Serialize)]
pub struct Analysis {
    #[serde(flatten)]
    pub st: St,
    pub source: AnalysisSource,
}

#[derive(Debug, Serialize)]
pub struct AnalysisSource {
    pub kind: SourceKind,
    pub from: SourceKind,
    pub confidence: Option<f64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    pub total: usize,
    pub by_code: BTreeMap<Code, usize>,
}

/// A school of the lesson.
struct School {
    id: String,
    side: SiteKind,
    invited: bool,
}

/// The lesson's records with what is looked up in them more than once.
struct View<'a> {
    records: &'a [Behaviour],
    /// From when to when the lesson goes, or has gone.
    span: Option<(u64, u64)>,
    now_ms: u64,
    schools: Vec<School>,
    /// Whom a pseudonym counts for.
    school_of: BTreeMap<&'a str, &'a str>,
}

/// Computes the summary of a lesson from `records`, which are those of its session, and
/// `speaking`, what is being said just now.
#[must_use]
pub fn summary(
    row: &LessonRow,
    records: &[Behaviour],
    speaking: &[Behaviour],
    now_ms: u64,
) -> Summary {
    let span = row.started_ms.map(|start| {
        let end = row.ended_ms.filter(|end| *end >= start).unwrap_or(now_ms);
        (start, end.max(start))
    });
    let of_lesson: Vec<Behaviour> = records.iter().chain(speaking).cloned().collect();
    let view = View {
        records: &of_lesson,
        span,
        now_ms,
        schools: schools(row, records),
        school_of: of_lesson
            .iter()
            .filter(|r| r.code == Code::L03)
            .map(|r| (r.actor.id.as_str(), r.school_id.as_str()))
            .collect(),
    };
    let floor = view.floor();
    let turns: Vec<u64> = floor.iter().map(|f| f.times).collect();
    let reached = turns.iter().filter(|t| **t > 0).count();
    let coverage = share(reached as u64, turns.len() as u64);
    let talk = view.talk();
    let source = AnalysisSource {
        kind: SourceKind::Derived,
        from: SourceKind::Media,
        confidence: talk.source.confidence,
    };
    let mut by_code = BTreeMap::new();
    for record in records {
        *by_code.entry(record.code).or_insert(0) += 1;
    }
    let info = row.info.clone();
    Summary {
        profile: PROFILE,
        code: "M01",
        as_of: Timestamp(now_ms),
        lesson: Lesson {
            id: info.id,
            title: info.title,
            subject: info.subject,
            grade: info.grade,
            teacher: info.teacher,
            campus: info.campus,
            schools: info.schools,
            school_names: info.school_names,
            phase: row.phase,
            planned_minutes: info.planned_minutes,
            recording: row.recording.clone(),
        },
        session: row.session,
        started_at: row.started_ms.map(Timestamp),
        ended_at: row.ended_ms.map(Timestamp),
        duration_ms: span.map_or(0, |(start, end)| end - start),
        attendance: view.attendance(),
        hands: view.hands(),
        asked: view.asked(),
        quizzes: view.quizzes(),
        equity: Equity {
            unit: "school",
            turns: "floor",
            n: turns.len(),
            gini: metrics::rounded(metrics::gini(&turns)),
            coverage,
        },
        floor,
        st: Analysis { st: view.st(), source },
        talk,
        records: Counts { total: records.len(), by_code },
    }
}

/// The campus, then those invited, then whoever else a member counted for.
fn schools(row: &LessonRow, records: &[Behaviour]) -> Vec<School> {
    let campus = row.info.campus.as_str();
    let others = records.iter().map(|r| r.school_id.as_str()).collect::<BTreeSet<_>>();
    let mut seen = BTreeSet::new();
    let named = std::iter::once(campus).chain(row.info.schools.iter().map(SchoolId::as_str));
    named
        .map(|id| (id, true))
        .chain(others.into_iter().map(|id| (id, false)))
        .filter(|(id, _)| seen.insert(*id))
        .map(|(id, invited)| {
            let side = if id == campus { SiteKind::Host } else { SiteKind::Remote };
            School { id: id.into(), side, invited }
        })
        .collect()
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| metrics::rounded(part as f64 / whole as f64))
}

impl View<'_> {
    fn of(&self, code: Code) -> impl Iterator<Item = &Behaviour> {
        self.records.iter().filter(move |r| r.code == code)
    }

    fn attendance(&self) -> Vec<Attendance> {
        // When each member was there. One that joins again without having left has moved to
        // another node, and goes on being there.
        let mut since: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
        let mut presence: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
        let mut roles: BTreeMap<&str, BTreeMap<&str, ActorRole>> = BTreeMap::new();
        let mut first: BTreeMap<&str, Timestamp> = BTreeMap::new();
        let mut last: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for record in self.records {
            let (who, school) = (record.actor.id.as_str(), record.school_id.as_str());
            match record.code {
                Code::L03 => {
                    since.entry(who).or_insert((record.start.0, school));
                    roles.entry(school).or_default().insert(who, record.actor.role);
                    first.entry(school).or_insert(record.start);
                }
                Code::L04 => {
                    if let Some((from, school)) = since.remove(who) {
                        presence.entry(school).or_default().push((from, record.start.0));
                        last.insert(school, record.start);
                    }
                }
                _ => {}
            }
        }
        let ended = self.span.is_some_and(|(_, end)| end < self.now_ms);
        let mut now: BTreeMap<&str, usize> = BTreeMap::new();
        for (from, school) in since.into_values() {
            presence.entry(school).or_default().push((from, u64::MAX));
            *now.entry(school).or_default() += 1;
        }
        let line = |school: &School| {
            let id = school.id.as_str();
            let people = roles.remove(id).unwrap_or_default();
            let count = |role| people.values().filter(|r| **r == role).count();
            let (from, to) = self.span.unwrap_or_default();
            let present = metrics::covered(presence.remove(id).unwrap_or_default(), from, to);
            Attendance {
                school: school.id.clone(),
                site_kind: school.side,
                invited: school.invited,
                attended: !people.is_empty(),
                members: HeadCount {
                    total: people.len(),
                    teacher: count(ActorRole::T),
                    assistant: count(ActorRole::A),
                    classroom: count(ActorRole::C),
                    student: count(ActorRole::S),
                },
                first_join: first.get(id).copied(),
                last_leave: last.get(id).copied(),
                present_now: if ended { 0 } else { now.get(id).copied().unwrap_or(0) },
                minutes_present: (present as f64 / 6000.0).round() / 10.0,
                share_of_lesson: share(present, to - from),
            }
        };
        self.schools.iter().map(line).collect()
    }

    fn speech(&self) -> impl Iterator<Item = &Behaviour> {
        // A person who was asked answers, also where nobody could hear it; that is no talk time.
        let heard = |r: &&Behaviour| r.code.is_speech() && r.source.kind == SourceKind::Media;
        self.records.iter().filter(heard)
    }

    fn talk(&self) -> Talk {
        let total_ms: u64 = self.speech().map(Behaviour::lasted_ms).sum();
        let time = |chosen: &dyn Fn(&Behaviour) -> bool| {
            let chosen = self.speech().filter(|r| chosen(r));
            let (ms, turns) = chosen.fold((0, 0), |(ms, n), r| (ms + r.lasted_ms(), n + 1));
            TalkTime { ms, share: share(ms, total_ms), turns }
        };
        let weighted: f64 =
            self.speech().map(|r| r.source.confidence.unwrap_or(0.0) * r.lasted_ms() as f64).sum();
        let confidence = (total_ms > 0).then(|| metrics::rounded(weighted / total_ms as f64));
        Talk {
            total_ms,
            by_side: [SiteKind::Host, SiteKind::Remote]
                .map(|side| SideTalk { site_kind: side, talk: time(&|r| r.site_kind == side) })
                .into(),
            by_role: [ActorRole::T, ActorRole::A, ActorRole::S, ActorRole::C]
                .map(|role| RoleTalk { role, talk: time(&|r| r.actor.role == role) })
                .into(),
            by_school: self
                .schools
                .iter()
                .map(|s| SchoolTalk {
                    school: s.id.clone(),
                    site_kind: s.side,
                    talk: time(&|r| r.school_id == s.id),
                })
                .collect(),
            source: TalkSource { kind: SourceKind::Media, confidence },
        }
    }

    fn hands(&self) -> Vec<Hands> {
        let hands: BTreeMap<Uuid, &Behaviour> = self.of(Code::S01).map(|r| (r.id, r)).collect();
        let mut waits: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for call in self.of(Code::T12) {
            if let Some(hand) = call.cause.and_then(|id| hands.get(&id)) {
                let wait = call.start.0.saturating_sub(hand.start.0);
                waits.entry(hand.school_id.as_str()).or_default().push(wait);
            }
        }
        let line = |school: &School| {
            let waits = waits.remove(school.id.as_str()).unwrap_or_default();
            Hands {
                school: school.id.clone(),
                site_kind: school.side,
                raised: hands.values().filter(|r| r.school_id == school.id).count(),
                answered: waits.len(),
                median_wait_ms: metrics::median(waits),
            }
        };
        self.schools.iter().map(line).collect()
    }

    fn floor(&self) -> Vec<Floor> {
        let mut given: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for call in self.of(Code::T12) {
            let person = call.object.as_ref().map(|o| o.id.as_str());
            if let Some(school) = person.and_then(|p| self.school_of.get(p)) {
                let (times, ms) = given.entry(school).or_default();
                *times += 1;
                *ms += call.lasted_ms();
            }
        }
        let line = |school: &School| {
            let (times, ms) = given.remove(school.id.as_str()).unwrap_or_default();
            Floor { school: school.id.clone(), site_kind: school.side, times, ms }
        };
        self.schools.iter().map(line).collect()
    }

    fn st(&self) -> St {
        let Some((start, end)) = self.span else { return metrics::st(0, &[]) };
        let spoken: Vec<_> = self
            .speech()
            .filter_map(|r| {
                let to = r.end?.0.checked_sub(start)?;
                Some((r.start.0.saturating_sub(start), to, r.code == Code::T01))
            })
            .collect();
        metrics::st(end - start, &spoken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::script::*;
    use crate::speech::Utterance;
    use serde_json::{Value, json};

    fn of(cut: usize, now_ms: u64) -> Value {
        let mut d = derivation();
        let mut records = Vec::new();
        for event in &lesson()[..cut] {
            records.extend(d.apply(event).unwrap());
        }
        let say = |who: &str, from, to| {
            let said = Utterance { start_ms: START + from, end_ms: START + to, voiced_ms: 500 };
            {
                let call = lesson()[9].id;
                d.speech(&id(who), &said, Some(call), 0.8)
            }
        };
        if cut > 12 {
            records.extend(say("li", 5000, 11_000));
            records.extend(say("wang", 11_000, 14_000));
        }
        let row = LessonRow::of(d.state(), d.log().unwrap());
        serde_json::to_value(summary(&row, &records, &[], now_ms)).unwrap()
    }

    #[test]
    fn a_summary_counts_by_school_and_lists_who_was_absent() {
        let s = of(21, START + 100_000);
        assert_eq!(s["durationMs"], 13_000);
        assert_eq!(s["lesson"]["phase"], "archived");
        let schools: Vec<_> =
            s["attendance"].as_array().unwrap().iter().map(|a| a["school"].clone()).collect();
        assert_eq!(schools, ["campus", "school-01", "school-02"]);
        assert_eq!(
            s["attendance"][1],
            json!({
                "school": "school-01", "siteKind": "remote", "invited": true, "attended": true,
                "members": {"total": 2, "teacher": 0, "assistant": 0, "classroom": 1, "student": 1},
                "firstJoin": "2027-01-15T08:00:02.000Z", "lastLeave": "2027-01-15T08:00:19.000Z",
                "presentNow": 0, "minutesPresent": 0.2, "shareOfLesson": 1.0,
            })
        );
        let absent = &s["attendance"][2];
        assert_eq!((&absent["attended"], &absent["invited"]), (&json!(false), &json!(true)));
        assert_eq!(absent["shareOfLesson"], 0.0);
        assert_eq!(s["attendance"][0]["members"]["total"], 1, "an observer is not counted");
    }

    #[test]
    fn talk_hands_and_floor_are_counted_by_side() {
        let s = of(21, START + 100_000);
        assert_eq!(s["talk"]["totalMs"], 9000);
        assert_eq!(
            s["talk"]["bySide"][1],
            json!({"siteKind": "remote", "ms": 3000, "share": 0.3333, "turns": 1})
        );
        assert_eq!(s["talk"]["byRole"][1]["ms"], 0);
        assert_eq!(s["talk"]["bySchool"][2]["turns"], 0);
        assert_eq!(s["talk"]["source"], json!({"kind": "media", "confidence": 0.8}));
        assert_eq!(
            s["hands"][1],
            json!({"school": "school-01", "siteKind": "remote", "raised": 2, "answered": 1, "medianWaitMs": 1000})
        );
        assert_eq!(
            s["floor"][1],
            json!({"school": "school-01", "siteKind": "remote", "times": 2, "ms": 7000})
        );
        assert_eq!(s["floor"][0]["times"], 0);
        assert_eq!(s["equity"]["coverage"], 0.3333);
        assert_eq!(s["equity"]["gini"], 0.6667);
        assert_eq!(s["st"]["sequence"], "TTSS");
        assert_eq!(s["st"]["source"]["from"], "media");
        assert_eq!(s["records"]["byCode"]["S01"], 2);
    }

    #[test]
    fn a_quiz_is_summed_up_by_school_and_so_is_who_was_asked() {
        use cloudschool_protocol::event::EventBody;
        use cloudschool_protocol::lesson::quiz::{Answer, Item, ItemKind, QuizKind, QuizPaper};
        let paper = QuizPaper {
            id: Uuid::from_u128(9),
            kind: QuizKind::Quiz,
            title: None,
            items: vec![Item {
                prompt: "?".into(),
                kind: ItemKind::TrueFalse,
                choices: vec![],
                correct: Some(Answer::Truth(true)),
                tolerance: None,
            }],
        };
        let quiz = paper.id;
        let answer = |member: &str, truth| EventBody::QuizAnswered {
            quiz,
            item: 0,
            member: id(member),
            answer: Answer::Truth(truth),
        };
        let mut bodies: Vec<_> = lesson()[..13].iter().map(|e| e.body.clone()).collect();
        bodies.push(EventBody::QuizOpened { quiz: paper, by: id("li"), closes_ms: None });
        bodies.extend([answer("wang", true), answer("class1", false)]);
        let mut d = derivation();
        let records: Vec<_> = events(bodies).iter().flat_map(|e| d.apply(e).unwrap()).collect();
        let row = LessonRow::of(d.state(), d.log().unwrap());
        let s = serde_json::to_value(summary(&row, &records, &[], START + 60_000)).unwrap();
        assert_eq!(
            s["quizzes"][0]["bySchool"][1],
            json!({"school": "school-01", "siteKind": "remote", "answers": 2, "right": 1, "counted": 0})
        );
        assert_eq!(s["quizzes"][0]["kind"], "quiz");
        assert_eq!(s["quizzes"][0]["bySchool"][0]["right"], Value::Null);
        assert_eq!((&s["asked"][1]["members"], &s["asked"][1]["asked"]), (&json!(2), &json!(1)));
    }

    #[test]
    fn a_lesson_under_way_is_summed_up_to_now() {
        let s = of(9, START + 11_000);
        assert_eq!(s["durationMs"], 6000);
        assert_eq!(s["endedAt"], Value::Null);
        assert_eq!(s["attendance"][1]["presentNow"], 2);
        assert_eq!(s["hands"][1]["raised"], 1);
        assert_eq!(s["talk"]["source"]["confidence"], Value::Null);
        assert_eq!(s["talk"]["bySide"][0]["share"], Value::Null);
    }

    #[test]
    fn a_lesson_that_has_not_started_is_all_zeros() {
        let s = of(3, START + 11_000);
        assert_eq!(s["durationMs"], 0);
        assert_eq!(s["session"], Value::Null);
        assert_eq!(s["st"]["rt"], Value::Null);
        assert_eq!(s["attendance"].as_array().unwrap().len(), 3);
        assert_eq!(s["attendance"][0]["shareOfLesson"], Value::Null);
    }
}
