//! What ends by itself.

use super::rights::{group, item};
use super::*;
use cloudschool_protocol::lesson::quiz::{Answer, QuizKind};

fn timed(seconds: u32) -> Room {
    let mut room = Room::live();
    room.join("wang", Role::Student, "school-01");
    let items = vec![item(), item()];
    let seconds = Some(seconds);
    let quiz = MemberCommand::OpenQuiz { kind: QuizKind::Quiz, title: None, items, seconds };
    room.ask("li", quiz).unwrap();
    room
}

#[test]
fn a_timed_quiz_closes_by_itself_a_second_after_its_time() {
    let mut room = timed(30);
    let closes = room.state.quiz.as_ref().unwrap().closes_ms.unwrap();
    assert_eq!(closes, room.state.quiz.as_ref().unwrap().opened_ms + 30_000);
    assert_eq!(due(&room.state), Some(closes + 1000));
    assert_eq!(overdue(&room.state, closes + 999), []);
    let over = overdue(&room.state, closes + 1000);
    let quiz = room.state.quiz.as_ref().unwrap().paper.id;
    assert_eq!(over, [EventBody::QuizClosed { quiz, by: None }]);
    room.happen(over);
    assert_eq!(due(&room.state), None);
    assert!(room.state.open_quiz().is_none());
}

#[test]
fn an_answer_under_way_when_the_time_is_over_still_counts_and_a_later_one_does_not() {
    let mut room = timed(30);
    let quiz = room.state.quiz.as_ref().unwrap();
    let (id, closes) = (quiz.paper.id, quiz.closes_ms.unwrap());
    let answer = |item| MemberCommand::AnswerQuiz { quiz: id, item, answer: Answer::Choice(0) };
    room.waited_ms = 0;
    room.waited_ms = closes + 900 - room.now_ms();
    room.ask("wang", answer(0)).unwrap();
    assert_eq!(room.ask("wang", answer(1)), Err(Refusal::TooLate));
    assert_eq!(room.state.quiz.as_ref().unwrap().answers.len(), 1);
}

#[test]
fn what_was_answered_in_time_where_the_campus_was_away_counts_and_what_was_not_does_not() {
    let mut room = timed(3600);
    let quiz = room.state.quiz.as_ref().unwrap();
    let (id_of_quiz, opened) = (quiz.paper.id, quiz.opened_ms);
    room.ask("li", MemberCommand::RevealQuiz { quiz: id_of_quiz }).unwrap();
    room.ask("li", MemberCommand::End).unwrap();
    let closed = room.state.quiz.as_ref().unwrap().closed_ms.unwrap();
    let late = |item, at_ms| HandUpEntry {
        id: Uuid::from_u128(77),
        at_ms,
        from: None,
        command: Command::Member {
            by: id("wang"),
            command: MemberCommand::AnswerQuiz {
                quiz: id_of_quiz,
                item,
                answer: Answer::Choice(1),
            },
        },
    };
    let decided = |entry| decide_late(&room.state, &entry, &node("school-01"), &LIMITS, 0);
    assert_eq!(decided(late(0, closed)).unwrap().len(), 1);
    assert_eq!(decided(late(0, opened)).unwrap().len(), 1);
    assert_eq!(decided(late(0, closed + 1)), Err(Refusal::TooLate));
}

#[test]
fn timers_and_groups_end_in_the_order_of_their_times() {
    let mut room = Room::live();
    room.join("wang", Role::Student, "school-01");
    let start = |seconds| MemberCommand::StartTimer { seconds, title: None };
    assert_eq!(room.ask("li", start(4)), Err(Refusal::OutOfRange));
    room.ask("li", start(50)).unwrap();
    let groups = MemberCommand::OpenGroups { groups: vec![group(&["wang"])], seconds: Some(20) };
    room.ask("li", groups).unwrap();
    let end = room.state.groups.as_ref().unwrap().ends_ms.unwrap();
    assert_eq!(due(&room.state), Some(end));
    let both = overdue(&room.state, u64::MAX);
    assert_eq!(both, [EventBody::GroupsClosed { by: None }, EventBody::TimerStopped { by: None }]);
    room.ask("li", MemberCommand::End).unwrap();
    assert_eq!(due(&room.state), None, "the end ends everything");
}

#[test]
fn the_screens_follow_what_happens_until_somebody_chooses() {
    use cloudschool_protocol::lesson::showing::Layout;
    let mut room = Room::live();
    room.join("wang", Role::Student, "school-01");
    let cut = |state: &State| cut(state, &mut Voices::default(), 0);
    let cuts = |room: &mut Room| {
        let made = cut(&room.state);
        room.happen(made.into_iter().collect());
        room.state.view.layout
    };
    assert_eq!(cuts(&mut room), Layout::Teacher);
    room.ask("li", MemberCommand::SlidesOpen { deck: super::rights::deck(), page: None }).unwrap();
    assert_eq!(cuts(&mut room), Layout::SlidesTeacher);
    room.ask("li", MemberCommand::Call { member: id("wang") }).unwrap();
    assert_eq!(cuts(&mut room), Layout::Stage);
    assert_eq!(cut(&room.state), None, "one cut is enough");
    let direct = |layout| MemberCommand::Direct { layout, focus: None };
    room.ask("li", direct(Layout::Grid)).unwrap();
    room.ask("li", MemberCommand::DismissAll).unwrap();
    assert_eq!(cuts(&mut room), Layout::Grid, "the teacher has chosen");
    room.ask("li", direct(Layout::Auto)).unwrap();
    assert_eq!(room.state.view.layout, Layout::SlidesTeacher);
    assert!(room.state.view.auto);
}
