//! Who comes in, who is taken out, and the lock on the door.

use super::rights::busy;
use super::*;
use MemberCommand as M;
use cloudschool_protocol::lesson::entry::MAX_REMOVED;

fn joins(room: &mut Room, name: &str, role: Role) -> Result<usize, Refusal> {
    let join = Command::Join { member: member(name, role, "school-01") };
    room.submit(&join, "school-01").map(|events| events.len())
}

fn remove(name: &str) -> M {
    M::RemoveMember { member: id(name) }
}

#[test]
fn who_is_taken_out_goes_with_its_tracks_and_stays_out_until_it_is_let_in() {
    let mut room = busy(Role::Student);
    let track = TrackId::new(id("wang"), Source::Camera);
    let publish = Command::Publish { track: track.clone(), codec: Codec::H264 };
    room.submit(&publish, "school-01").unwrap();
    let events = room.ask("li", remove("wang")).unwrap();
    let school = SchoolId::new("school-01").unwrap();
    assert_eq!(
        events,
        [
            EventBody::TrackUnpublished { track },
            EventBody::MemberLeft { member: id("wang"), reason: LeaveReason::Removed },
            EventBody::MemberRemoved {
                member: id("wang"),
                name: "wang".into(),
                school,
                by: id("li")
            },
        ]
    );
    assert!(!room.state.stage.contains(&id("wang")));
    assert_eq!(joins(&mut room, "wang", Role::Student), Err(Refusal::Removed));
    assert_eq!(joins(&mut room, "wang", Role::Classroom), Err(Refusal::Removed), "as whatever");
    assert_eq!(room.ask("li", remove("wang")), Ok(vec![]), "it is so already");
    room.ask("chen", M::LetIn { member: id("wang") }).unwrap();
    assert_eq!(joins(&mut room, "wang", Role::Student), Ok(1));
    assert_eq!(room.ask("li", M::LetIn { member: id("wang") }), Err(Refusal::NoSuchMember));
}

#[test]
fn one_who_has_gone_meanwhile_is_kept_out_by_who_teaches() {
    let mut room = busy(Role::Student);
    let leave = Command::Leave { member: id("wang"), reason: LeaveReason::Left };
    room.submit(&leave, "school-01").unwrap();
    assert_eq!(room.ask("chen", remove("wang")), Err(Refusal::NotAllowed));
    assert_eq!(room.ask("li", remove("wang")).unwrap().len(), 1);
    assert_eq!(joins(&mut room, "wang", Role::Student), Err(Refusal::Removed));
    assert_eq!(room.ask("li", remove("nobody")), Err(Refusal::NoSuchMember));
}

#[test]
fn nobody_takes_a_teacher_an_observer_or_an_assistant_beside_it_out() {
    let mut room = busy(Role::Assistant);
    room.join("watcher", Role::Observer, "campus");
    assert_eq!(room.ask("me", remove("chen")), Err(Refusal::NotAllowed));
    assert_eq!(room.ask("me", remove("li")), Err(Refusal::NotAllowed));
    assert_eq!(room.ask("li", remove("li")), Err(Refusal::NotAllowed));
    assert_eq!(room.ask("li", remove("watcher")), Err(Refusal::NotAllowed));
    room.ask("li", remove("chen")).unwrap();
    room.ask("me", remove("class")).unwrap();
}

#[test]
fn a_locked_door_lets_back_who_was_in_and_who_runs_the_lesson_and_nobody_new() {
    let mut room = Room::live();
    room.join("zhao", Role::Student, "school-01");
    room.ask("li", M::Lock { locked: true }).unwrap();
    assert_eq!(room.ask("li", M::Lock { locked: true }), Ok(vec![]));
    let lost = Command::Leave { member: id("zhao"), reason: LeaveReason::Lost };
    room.submit(&lost, "school-01").unwrap();
    assert_eq!(joins(&mut room, "zhao", Role::Student), Ok(1), "it was in");
    for role in ROLES {
        let runs = matches!(role, Role::Teacher | Role::Operator);
        let expected = if runs { Ok(1) } else { Err(Refusal::Locked) };
        assert_eq!(joins(&mut room, &format!("new-{role:?}"), role), expected, "{role:?}");
    }
    room.ask("li", M::Lock { locked: false }).unwrap();
    assert_eq!(joins(&mut room, "late", Role::Student), Ok(1));
}

#[test]
fn who_came_by_a_code_does_not_come_back_by_it_under_the_same_name() {
    let mut room = Room::live();
    let guest = |n: u8, name: &str| Member {
        id: id(&format!("guest-{n}")),
        name: name.into(),
        ..member("x", Role::Student, "school-01")
    };
    let comes = |room: &mut Room, n, name| {
        let member = guest(n, name);
        room.submit(&Command::Join { member }, "school-01").map(|events| events.len())
    };
    comes(&mut room, 1, "Wang Wei").unwrap();
    room.ask("li", remove("guest-1")).unwrap();
    assert_eq!(comes(&mut room, 2, " wangwei"), Err(Refusal::Removed));
    assert_eq!(comes(&mut room, 3, "Wang Fang"), Ok(1), "somebody else of the school");
    let named = Member { name: "Wang Wei".into(), ..member("wang", Role::Student, "school-01") };
    let join = Command::Join { member: named };
    assert!(room.submit(&join, "school-01").is_ok(), "a platform knows who that is");
    room.ask("li", M::LetIn { member: id("guest-1") }).unwrap();
    assert_eq!(comes(&mut room, 4, "Wang Wei"), Ok(1));
}

#[test]
fn another_run_knows_nothing_of_who_was_taken_out_and_has_its_door_open() {
    let mut room = busy(Role::Student);
    room.ask("li", remove("wang")).unwrap();
    room.ask("li", M::Lock { locked: true }).unwrap();
    room.ask("li", M::End).unwrap();
    assert!(room.state.locked && room.state.removed.contains_key(&id("wang")));
    let again = open(&room.state, &info()).unwrap();
    room.happen(again);
    assert!(!room.state.locked && room.state.removed.is_empty());
    assert_eq!(joins(&mut room, "wang", Role::Student), Ok(1));
}

#[test]
fn as_many_as_a_lesson_keeps_out_are_kept_and_the_first_are_forgotten() {
    let mut room = Room::live();
    for n in 0..=MAX_REMOVED {
        let name = format!("s{n:04}");
        room.join(&name, Role::Student, "school-01");
        room.ask("li", remove(&name)).unwrap();
    }
    assert_eq!(room.state.removed.len(), MAX_REMOVED);
    assert!(!room.state.removed.contains_key(&id("s0000")));
}

#[test]
fn a_school_alone_takes_out_its_own_and_leaves_the_lock_to_the_campus() {
    let mut room = busy(Role::Student);
    room.join("far", Role::Student, "campus");
    let away = |by: &str, command: M| {
        let command = Command::Member { by: id(by), command };
        let now_ms = room.now_ms();
        let from = node("school-01");
        decide_away(&room.state, &command, &from, &LIMITS, now_ms, Uuid::from_u128(9))
    };
    assert_eq!(away("chen", remove("zhao")).unwrap().len(), 2);
    assert_eq!(away("chen", remove("far")), Err(Refusal::CampusAway));
    assert_eq!(away("chen", M::LetIn { member: id("sun") }), Err(Refusal::CampusAway));
}
