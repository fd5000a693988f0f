//! A lesson as its origin holds it, and what may happen in it.

mod directing;
mod door;
mod interactions;
mod rights;
mod sequences;
mod timing;

use super::*;
use cloudschool_protocol::id::{LessonId, MemberId, SchoolId};
use cloudschool_protocol::media::{Codec, Source, TrackId};
use cloudschool_protocol::member::{Member, Role};

const ROLES: [Role; 6] = [
    Role::Teacher,
    Role::Assistant,
    Role::Classroom,
    Role::Student,
    Role::Observer,
    Role::Operator,
];

const LIMITS: Limits = Limits { members: 8, chat_per_second: 20 };

fn info() -> LessonInfo {
    LessonInfo {
        id: LessonId::new("math").unwrap(),
        title: "二次函数的图像".into(),
        subject: "14".into(),
        grade: "九年级".into(),
        teacher: "李老师".into(),
        campus: SchoolId::new("campus").unwrap(),
        schools: vec![SchoolId::new("school-01").unwrap()],
        school_names: Default::default(),
        planned_start_ms: None,
        planned_minutes: None,
        code: None,
    }
}

pub(super) fn id(name: &str) -> MemberId {
    MemberId::new(name).unwrap()
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn member(name: &str, role: Role, at: &str) -> Member {
    let school = SchoolId::new(at).unwrap();
    Member { id: id(name), name: name.into(), role, school, node: node(at) }
}

/// A lesson as the origin holds it: every event applied, and kept.
pub(super) struct Room {
    pub(super) state: State,
    log: Vec<Event>,
    ids: u128,
    /// Time that passed besides.
    waited_ms: u64,
}

impl Room {
    fn new() -> Self {
        let mut room = Room { state: State::new(info()), log: vec![], ids: 0, waited_ms: 0 };
        let opened = open(&room.state, &info()).unwrap();
        room.happen(opened);
        room
    }

    pub(super) fn live() -> Self {
        let mut room = Room::new();
        room.join("li", Role::Teacher, "campus");
        room.ask("li", MemberCommand::Start).unwrap();
        room
    }

    /// A second passes with every event.
    pub(super) fn now_ms(&self) -> u64 {
        1_000 * (self.state.seq + 1) + self.waited_ms
    }

    fn happen(&mut self, bodies: Vec<EventBody>) {
        let at_ms = self.now_ms();
        let ids = &mut self.ids;
        let mut new_id = || {
            *ids += 1;
            Uuid::from_u128(*ids)
        };
        for event in number(&self.state, bodies, at_ms, &mut new_id) {
            self.state.apply(&event).unwrap();
            self.log.push(event);
        }
    }

    pub(super) fn submit(
        &mut self,
        command: &Command,
        from: &str,
    ) -> Result<Vec<EventBody>, Refusal> {
        let now_ms = self.now_ms();
        let ids = &mut self.ids;
        let mut new_id = || {
            *ids += 1;
            // Spread, so that a pick by it is one by chance.
            Uuid::from_u128(ids.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
        };
        let bodies = decide(&self.state, command, &node(from), &LIMITS, now_ms, &mut new_id)?;
        self.happen(bodies.clone());
        Ok(bodies)
    }

    pub(super) fn join(&mut self, name: &str, role: Role, at: &str) {
        self.submit(&Command::Join { member: member(name, role, at) }, at).unwrap();
    }

    pub(super) fn ask(
        &mut self,
        by: &str,
        command: MemberCommand,
    ) -> Result<Vec<EventBody>, Refusal> {
        let at = self.state.members.get(&id(by)).map_or("campus".into(), |m| m.node.to_string());
        self.submit(&Command::Member { by: id(by), command }, &at)
    }
}

/// Every role × command, in a live lesson in which the one who asks (`me`) has its hand up
/// and `other`, a student, stands on stage, unmuted, hand down.
#[test]
fn each_role_may_do_what_it_may_and_nothing_else() {
    use MemberCommand as M;
    use Refusal as R;
    const NO: Result<(), R> = Err(R::NotAllowed);
    let other = || id("other");
    let raised = |role: Role| if role.takes_part() { Err(R::HandAlreadyUp) } else { NO };
    for role in ROLES {
        let lead = role == Role::Teacher;
        let part = role.takes_part();
        let led = |result: Result<(), R>| if lead { result } else { NO };
        let table: Vec<(M, Result<(), R>)> = vec![
            (M::Start, led(Err(R::AlreadyLive))),
            (M::End, led(Ok(()))),
            (M::RaiseHand, raised(role)),
            (M::LowerHand { member: None }, if part { Ok(()) } else { Err(R::HandNotUp) }),
            (M::LowerHand { member: Some(other()) }, led(Err(R::HandNotUp))),
            (M::LowerHand { member: Some(id("nobody")) }, led(Err(R::NoSuchMember))),
            (M::Mute { member: other(), muted: true }, led(Ok(()))),
            (M::Mute { member: other(), muted: false }, led(Err(R::AlreadyMuted))),
            (M::Mute { member: id("nobody"), muted: true }, led(Err(R::NoSuchMember))),
            (M::Mute { member: id("watcher"), muted: true }, NO),
            (M::Call { member: other() }, led(Err(R::AlreadyOnStage))),
            (M::Call { member: id("third") }, led(Ok(()))),
            (M::Call { member: id("watcher") }, NO),
            (M::Call { member: id("nobody") }, led(Err(R::NoSuchMember))),
            (M::Dismiss { member: Some(other()) }, led(Ok(()))),
            (M::Dismiss { member: None }, Err(R::NotOnStage)),
            (M::Dismiss { member: Some(id("me")) }, Err(R::NotOnStage)),
            (M::Dismiss { member: Some(id("third")) }, led(Err(R::NotOnStage))),
        ];
        for (command, expected) in table {
            let mut room = Room::live();
            room.join("other", Role::Student, "school-01");
            room.join("third", Role::Classroom, "school-01");
            room.join("watcher", Role::Observer, "campus");
            room.join("me", role, "campus");
            room.ask("li", M::Call { member: other() }).unwrap();
            if part {
                room.ask("me", M::RaiseHand).unwrap();
            }
            let got = room.ask("me", command.clone()).map(|_| ());
            assert_eq!(got, expected, "{role:?} asked {command:?}");
        }
    }
}

#[test]
fn a_role_that_may_not_be_seen_cannot_publish() {
    for role in ROLES {
        let mut room = Room::live();
        room.join("me", role, "campus");
        let track = TrackId::new(id("me"), Source::Camera);
        let publish = Command::Publish { track: track.clone(), codec: Codec::H264 };
        let got = room.submit(&publish, "campus");
        assert_eq!(got.is_ok(), role.may_publish(), "{role:?}");
        if got.is_ok() {
            assert_eq!(room.submit(&publish, "campus").unwrap(), [], "twice is once");
            let wrong = Command::Publish { track, codec: Codec::Opus };
            assert_eq!(room.submit(&wrong, "campus"), Err(Refusal::NotAllowed));
        }
    }
}

#[test]
fn a_lesson_goes_through_its_life_once_each_way() {
    let mut room = Room::new();
    room.join("li", Role::Teacher, "campus");
    assert_eq!(room.ask("li", MemberCommand::End), Err(Refusal::NotLive));
    room.ask("li", MemberCommand::Start).unwrap();
    let archived = |n| Command::Archived { recording: format!("/r/{n}"), duration_ms: 9 };
    assert_eq!(room.submit(&archived(1), "recorder"), Err(Refusal::NotAllowed));
    room.ask("li", MemberCommand::End).unwrap();
    assert_eq!(room.ask("li", MemberCommand::End), Err(Refusal::Ended));
    assert_eq!(room.ask("li", MemberCommand::Start), Err(Refusal::Ended));
    let late = Command::Join { member: member("wang", Role::Student, "campus") };
    assert_eq!(room.submit(&late, "campus"), Err(Refusal::Ended));
    assert_eq!(room.submit(&archived(1), "recorder").unwrap().len(), 1);
    assert_eq!(room.submit(&archived(1), "recorder").unwrap(), []);
    assert_eq!(room.state.phase, Phase::Archived);
}

#[test]
fn a_lesson_opened_again_is_a_new_run_and_nobody_is_in_it_yet() {
    let mut room = Room::live();
    assert_eq!(open(&room.state, &info()), Ok(vec![]));
    let other = LessonInfo { title: "别的".into(), ..info() };
    assert_eq!(open(&room.state, &other), Err(Refusal::AlreadyLive));
    room.ask("li", MemberCommand::End).unwrap();
    let again = open(&room.state, &info()).unwrap();
    room.happen(again);
    assert_eq!(room.state.phase, Phase::Open);
    assert!(room.state.members.is_empty() && room.state.session.is_none());
    room.join("li", Role::Teacher, "campus");
    room.ask("li", MemberCommand::Start).unwrap();
}

#[test]
fn joining_again_at_the_same_node_changes_nothing_and_at_another_moves_the_member() {
    let mut room = Room::live();
    room.join("wang", Role::Student, "school-01");
    room.ask("wang", MemberCommand::RaiseHand).unwrap();
    let track = TrackId::new(id("wang"), Source::Camera);
    let publish = Command::Publish { track: track.clone(), codec: Codec::H264 };
    room.submit(&publish, "school-01").unwrap();
    let again = Command::Join { member: member("wang", Role::Student, "school-01") };
    assert_eq!(room.submit(&again, "school-01").unwrap(), []);
    assert_eq!(room.state.hands.len(), 1);

    let moved = Member { node: node("campus"), ..member("wang", Role::Student, "school-01") };
    let events = room.submit(&Command::Join { member: moved.clone() }, "campus").unwrap();
    assert_eq!(
        events,
        [
            EventBody::TrackUnpublished { track },
            EventBody::MemberLeft { member: id("wang"), reason: LeaveReason::Left },
            EventBody::MemberJoined { member: moved },
        ]
    );
    let late = Command::Leave { member: id("wang"), reason: LeaveReason::Lost };
    assert_eq!(room.submit(&late, "school-01").unwrap(), [], "the old node's report is late");
    assert!(room.state.members.contains_key(&id("wang")));
    assert_eq!(room.ask("wang", MemberCommand::RaiseHand).unwrap().len(), 1);
}

#[test]
fn a_node_speaks_for_its_own_members_only() {
    let mut room = Room::live();
    room.join("wang", Role::Student, "school-01");
    let end = Command::Member { by: id("li"), command: MemberCommand::End };
    assert_eq!(room.submit(&end, "school-01"), Err(Refusal::NotAMember));
    let foreign = Command::Join { member: member("zhao", Role::Student, "campus") };
    assert_eq!(room.submit(&foreign, "school-01"), Err(Refusal::NotAllowed));
    let track = TrackId::new(id("li"), Source::Camera);
    let publish = Command::Publish { track, codec: Codec::H264 };
    assert_eq!(room.submit(&publish, "school-01"), Err(Refusal::NotAMember));
}

#[test]
fn schools_not_invited_stay_out_and_operators_come_in() {
    let mut room = Room::live();
    let stranger = |role| Member {
        school: SchoolId::new("school-99").unwrap(),
        ..member("x", role, "campus")
    };
    for role in ROLES {
        let join = Command::Join { member: stranger(role) };
        let got = room.submit(&join, "campus").map(|_| ());
        let expected = if role == Role::Operator { Ok(()) } else { Err(Refusal::NotInvited) };
        assert_eq!(got, expected, "{role:?}");
    }
}

#[test]
fn a_full_lesson_still_lets_its_teacher_in() {
    let mut room = Room::new();
    for n in 0..LIMITS.members {
        room.join(&format!("s{n}"), Role::Student, "campus");
    }
    let one_more = Command::Join { member: member("late", Role::Student, "campus") };
    assert_eq!(room.submit(&one_more, "campus"), Err(Refusal::LessonFull));
    room.join("li", Role::Teacher, "campus");
}

#[test]
fn a_microphone_closed_by_the_teacher_stays_closed_over_a_reconnect() {
    let mut room = Room::live();
    room.join("wang", Role::Student, "campus");
    room.ask("li", MemberCommand::Mute { member: id("wang"), muted: true }).unwrap();
    let lost = Command::Leave { member: id("wang"), reason: LeaveReason::Lost };
    room.submit(&lost, "campus").unwrap();
    room.join("wang", Role::Student, "campus");
    assert_eq!(room.state.muted, [id("wang")]);
}
