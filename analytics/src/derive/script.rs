//! A lesson's events, written by hand.

use super::*;
use cloudschool_protocol::id::{NodeId, SchoolId};
use cloudschool_protocol::media::Codec;

pub const START: u64 = 1_800_000_000_000;

pub fn member(id: &str, role: Role, school: &str) -> Member {
    Member {
        id: MemberId::new(id).unwrap(),
        name: id.into(),
        role,
        school: SchoolId::new(school).unwrap(),
        node: NodeId::new(school).unwrap(),
    }
}

pub fn info() -> LessonInfo {
    LessonInfo {
        id: LessonId::new("math").unwrap(),
        title: "分数".into(),
        subject: "14".into(),
        grade: "3".into(),
        teacher: "李老师".into(),
        campus: SchoolId::new("campus").unwrap(),
        schools: ["school-01", "school-02"].map(|s| SchoolId::new(s).unwrap()).into(),
        school_names: Default::default(),
        planned_start_ms: None,
        planned_minutes: Some(40),
        code: None,
    }
}

pub fn derivation() -> Derivation {
    Derivation::new(info(), Pseudonyms::new(&[7; 32]))
}

pub fn id(text: &str) -> MemberId {
    MemberId::new(text).unwrap()
}

pub fn joined(m: &str, role: Role, school: &str) -> EventBody {
    EventBody::MemberJoined { member: member(m, role, school) }
}

pub fn track(name: &str, on: bool) -> EventBody {
    let track: TrackId = name.parse().unwrap();
    let codec = if track.kind() == cloudschool_protocol::media::Kind::Audio {
        Codec::Opus
    } else {
        Codec::H264
    };
    match on {
        true => EventBody::TrackPublished { track, codec, node: NodeId::new("n").unwrap() },
        false => EventBody::TrackUnpublished { track },
    }
}

/// Numbers `bodies`, a second apart, the first at [`START`].
pub fn events(bodies: impl IntoIterator<Item = EventBody>) -> Vec<Event> {
    let numbered = (1u64..).zip(bodies);
    numbered
        .map(|(seq, body)| {
            let at_ms = START + (seq - 1) * 1000;
            Event::new(seq, computed_id(at_ms, &["event", &seq.to_string()]), at_ms, body)
        })
        .collect()
}

/// A whole small lesson.
pub fn lesson() -> Vec<Event> {
    events([
        EventBody::LessonOpened { info: info() },
        joined("li", Role::Teacher, "campus"),
        joined("class1", Role::Classroom, "school-01"),
        track("li/camera", true),
        track("class1/camera", true),
        EventBody::LessonStarted { by: id("li"), session: computed_id(START + 5000, &["session"]) },
        joined("wang", Role::Student, "school-01"),
        joined("zhao", Role::Observer, "campus"),
        EventBody::HandRaised { member: id("wang") },
        EventBody::StageCalled { member: id("wang"), by: id("li") },
        EventBody::HandRaised { member: id("class1") },
        EventBody::HandLowered { member: id("class1"), by: id("li") },
        EventBody::StageLeft { member: id("wang"), by: id("li") },
        track("li/screen", true),
        EventBody::StageCalled { member: id("class1"), by: id("li") },
        track("li/screen", false),
        EventBody::MemberMuted { member: id("wang"), muted: true, by: id("li") },
        EventBody::MemberLeft {
            member: id("wang"),
            reason: cloudschool_protocol::event::LeaveReason::Lost,
        },
        EventBody::LessonEnded { by: id("li") },
        EventBody::MemberLeft {
            member: id("class1"),
            reason: cloudschool_protocol::event::LeaveReason::Ended,
        },
        EventBody::LessonArchived { recording: "http://l/1".into(), duration_ms: 13_000 },
    ])
}
