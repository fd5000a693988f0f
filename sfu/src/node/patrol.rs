//! 巡课: every lesson of this node at a glance, for an office that looks after many. A picture
//! costs a lesson nothing but the copying of a keyframe that is kept anyway, however many look.

use super::Node;
use crate::media::{Thumbnail, TrackKey};
use cloudschool_protocol::id::{LessonId, SchoolId};
use cloudschool_protocol::lesson::{LessonInfo, Phase, State};
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::socket::{Rung, SchoolRung};
use dashmap::DashMap;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one picture is shown to all who look.
const FRESH: Duration = Duration::from_secs(4);

/// How a lesson goes, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It is being given and its teacher is not there.
    TeacherAway,
    /// Nothing is seen and nothing heard of the teacher.
    Silent,
    /// A school gets no moving picture.
    SchoolsShort,
    /// It is being given without anything to say against it.
    Good,
    /// It has not begun.
    Waiting,
}

/// One lesson at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Glance {
    pub info: LessonInfo,
    pub phase: Phase,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<u64>,
    pub health: Health,
    pub classrooms: usize,
    pub students: usize,
    pub hands: usize,
    /// Schools of whose lines less than everything comes out, as the teacher sees them.
    pub short: Vec<SchoolRung>,
    /// Whether the teacher's picture can be had ([`Node::picture`]).
    pub picture: bool,
}

impl Glance {
    fn of(state: &State, rungs: impl Iterator<Item = SchoolRung>) -> Self {
        let of = |role| state.members.values().filter(|m| m.role == role).count();
        let short: Vec<_> = rungs.filter(|rung| rung.rung != Rung::Full).collect();
        let sends = |source: &[Source]| {
            state.tracks.keys().any(|t| {
                source.contains(&t.source)
                    && state.members.get(&t.member).is_some_and(|m| m.role.leads())
            })
        };
        let still = |rung: &SchoolRung| rung.rung > Rung::Reduced;
        let health = match state.phase {
            Phase::Live if state.teacher().is_none() => Health::TeacherAway,
            Phase::Live if !sends(&[Source::Camera, Source::Screen, Source::Microphone]) => {
                Health::Silent
            }
            Phase::Live if short.iter().any(still) => Health::SchoolsShort,
            Phase::Live => Health::Good,
            _ => Health::Waiting,
        };
        Self {
            info: LessonInfo { code: None, ..state.info.clone() },
            phase: state.phase,
            started_ms: state.started_ms,
            health,
            classrooms: of(Role::Classroom),
            students: of(Role::Student),
            hands: state.hands.len(),
            short,
            picture: sends(&[Source::Camera, Source::Screen]),
        }
    }
}

/// A picture, when it was looked for, if one was there.
type Looked = (Instant, Option<Arc<Thumbnail>>);

/// The pictures last looked for.
#[derive(Debug, Default)]
pub(super) struct Pictures(DashMap<LessonId, Looked>);

impl Node {
    /// The lessons that are open or being given, of one school or all, those first that need
    /// somebody.
    #[must_use]
    pub fn glances(self: &Arc<Self>, school: Option<&SchoolId>) -> Vec<Glance> {
        let mut all: Vec<_> = self
            .lessons
            .all()
            .into_iter()
            .map(|lesson| (lesson.state(), lesson))
            .filter(|(state, _)| matches!(state.phase, Phase::Open | Phase::Live))
            .filter(|(state, _)| school.is_none_or(|school| state.info.includes(school)))
            .map(|(state, lesson)| {
                let rungs = self.school_rungs(lesson.id()).map(|rungs| rungs.borrow().clone());
                let rungs = rungs.unwrap_or_default();
                Glance::of(&state, rungs.values().cloned())
            })
            .collect();
        all.sort_by(|a, b| (a.health, &a.info.id).cmp(&(b.health, &b.info.id)));
        all
    }

    /// What the lesson's teacher shows: the screen, else the camera. One picture serves all who
    /// ask within four seconds. `None` where none is kept at this node; one was asked for then.
    pub async fn picture(self: &Arc<Self>, lesson: &LessonId) -> Option<Arc<Thumbnail>> {
        let known = self.pictures.0.get(lesson).map(|looked| looked.clone());
        if let Some((at, picture)) = known
            && at.elapsed() < FRESH
        {
            return picture;
        }
        let key = self.shown(lesson);
        let picture = match key {
            Some(key) => self.media.thumbnail(key).await.map(Arc::new),
            None => None,
        };
        self.pictures.0.retain(|_, (at, _)| at.elapsed() < FRESH);
        self.pictures.0.insert(lesson.clone(), (Instant::now(), picture.clone()));
        picture
    }

    fn shown(self: &Arc<Self>, lesson: &LessonId) -> Option<TrackKey> {
        let room = self.room(lesson).ok()?;
        let state = room.handle().state();
        let teacher = state.teacher()?;
        let track = |source| TrackId::new(teacher.id.clone(), source);
        let shown = [Source::Screen, Source::Camera].map(track);
        let shown = shown.into_iter().find(|track| state.tracks.contains_key(track))?;
        let inner = room.inner();
        inner.tracks.get(&shown).map(|track| track.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::event::{Event, EventBody};
    use cloudschool_protocol::id::{MemberId, NodeId};
    use cloudschool_protocol::media::Codec;
    use cloudschool_protocol::member::Member;
    use cloudschool_protocol::socket::RungReason;
    use uuid::Uuid;

    fn info() -> LessonInfo {
        serde_json::from_value(serde_json::json!({
            "id": "m", "title": "分数", "teacher": "李", "campus": "campus", "schools": ["school-01"],
            "code": "83627419",
        }))
        .unwrap()
    }

    fn rung(rung: Rung) -> SchoolRung {
        SchoolRung {
            school: SchoolId::new("school-01").unwrap(),
            node: NodeId::new("school-01").unwrap(),
            rung,
            reason: RungReason::Line,
            since_ms: 1,
        }
    }

    #[test]
    fn a_lesson_says_what_is_wrong_with_it_the_worst_first() {
        let mut state = State::new(info());
        let mut seq = 0;
        let mut happen = |state: &mut State, body| {
            seq += 1;
            state.apply(&Event::new(seq, Uuid::nil(), seq, body)).unwrap();
        };
        let li = MemberId::new("li").unwrap();
        let member = Member {
            id: li.clone(),
            name: "李".into(),
            role: Role::Teacher,
            school: SchoolId::new("campus").unwrap(),
            node: NodeId::new("campus").unwrap(),
        };
        let health = |state: &State, rungs: &[Rung]| {
            Glance::of(state, rungs.iter().map(|r| rung(*r))).health
        };
        happen(&mut state, EventBody::LessonOpened { info: info() });
        assert_eq!(health(&state, &[]), Health::Waiting);
        let session = Uuid::nil();
        happen(&mut state, EventBody::LessonStarted { by: li.clone(), session });
        assert_eq!(health(&state, &[]), Health::TeacherAway);
        happen(&mut state, EventBody::MemberJoined { member });
        assert_eq!(health(&state, &[]), Health::Silent);
        let track = TrackId::new(li, Source::Camera);
        let node = NodeId::new("campus").unwrap();
        happen(&mut state, EventBody::TrackPublished { track, codec: Codec::H264, node });
        assert_eq!(health(&state, &[Rung::Full]), Health::Good);
        assert_eq!(health(&state, &[Rung::Reduced]), Health::Good);
        assert_eq!(health(&state, &[Rung::Full, Rung::Sound]), Health::SchoolsShort);
        let glance = Glance::of(&state, [rung(Rung::Full), rung(Rung::Sound)].into_iter());
        assert_eq!((glance.short.len(), glance.picture, glance.info.code), (1, true, None));
    }
}
