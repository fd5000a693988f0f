//! What each interaction does, refuses and bounds.

use super::rights::{busy, group, item};
use super::*;
use MemberCommand as M;
use cloudschool_protocol::lesson::asking::Among;
use cloudschool_protocol::lesson::chat::{Audience, ChatMode, Reaction};
use cloudschool_protocol::lesson::quiz::{Answer, Item, ItemKind, Number, QuizKind};
use cloudschool_protocol::lesson::showing::{Draft, Mark};
use std::collections::BTreeMap;

fn class(students: usize) -> Room {
    let mut room = Room::live();
    for n in 0..students {
        room.join(&format!("s{n}"), Role::Student, "school-01");
    }
    room
}

#[test]
fn a_roll_call_takes_each_answer_once_and_a_class_may_be_counted_again() {
    let mut room = class(2);
    room.join("chen", Role::Assistant, "school-01");
    assert_eq!(room.ask("s0", M::AnswerRollCall), Err(Refusal::NotNow));
    room.ask("li", M::OpenRollCall { seconds: None }).unwrap();
    assert_eq!(room.ask("li", M::OpenRollCall { seconds: None }), Err(Refusal::AlreadyOpen));
    room.ask("s0", M::AnswerRollCall).unwrap();
    assert_eq!(room.ask("s0", M::AnswerRollCall), Err(Refusal::AlreadyAnswered));
    let count = |present, ticked: &[&str]| M::CountRollCall {
        present,
        expected: Some(40),
        ticked: ticked.iter().map(|t| id(t)).collect(),
    };
    assert_eq!(room.ask("chen", count(201, &[])), Err(Refusal::OutOfRange));
    room.ask("chen", count(38, &[])).unwrap();
    room.ask("li", M::CloseRollCall).unwrap();
    assert_eq!(room.ask("s1", M::AnswerRollCall), Err(Refusal::TooLate));
    room.ask("chen", count(39, &["k2", "k1", "k2"])).unwrap();
    let kept = room.state.roll_call.as_ref().unwrap();
    assert_eq!(kept.counted[&id("chen")].present, 39);
    assert_eq!(kept.counted[&id("chen")].ticked, [id("k1"), id("k2")]);
    assert_eq!(kept.answered.len(), 1);
    assert_eq!(room.ask("li", M::CloseRollCall), Err(Refusal::NotNow));
}

#[test]
fn who_comes_late_leaves_or_is_away_is_kept() {
    let mut room = class(1);
    let start = room.state.started_ms.unwrap();
    room.waited_ms = 61_000;
    room.join("late", Role::Student, "school-01");
    room.ask("s0", M::Away { away: true }).unwrap();
    assert_eq!(room.ask("s0", M::Away { away: true }).unwrap(), [], "away already");
    assert_eq!(room.state.away, [id("s0")]);
    room.waited_ms += 5_000;
    room.ask("s0", M::Away { away: false }).unwrap();
    let of = |room: &Room, name: &str| room.state.attendance[&id(name)].clone();
    assert_eq!(of(&room, "s0").away_ms, 6_000);
    assert!(!of(&room, "s0").late && of(&room, "late").late);
    assert!(of(&room, "late").joined_ms > start + 60_000);
    let lost = Command::Leave { member: id("late"), reason: LeaveReason::Lost };
    room.submit(&lost, "school-01").unwrap();
    assert!(of(&room, "late").left_ms.is_some());
    room.join("late", Role::Student, "school-01");
    assert!(of(&room, "late").left_ms.is_none(), "it is back");
    room.ask("li", M::End).unwrap();
    let gone = Command::Leave { member: id("s0"), reason: LeaveReason::Ended };
    room.submit(&gone, "school-01").unwrap();
    assert!(of(&room, "s0").left_ms.is_none(), "it stayed to the end");
}

#[test]
fn a_pick_favours_those_who_were_asked_least_and_says_so() {
    let mut room = class(4);
    let pick = M::Pick { among: Among::Students, school: None };
    let mut times = BTreeMap::new();
    for _ in 0..400 {
        let events = room.ask("li", pick.clone()).unwrap();
        let EventBody::MemberPicked { member, among: 4, asked, .. } = &events[0] else {
            panic!("{events:?}")
        };
        let count: &mut u32 = times.entry(member.clone()).or_default();
        assert_eq!(*count, *asked, "it says how often before");
        *count += 1;
    }
    // By chance alone the extremes of four are some 30 apart.
    let (least, most) = (times.values().min().unwrap(), times.values().max().unwrap());
    assert!(most - least <= 20, "{times:?}");
}

#[test]
fn nobody_is_picked_who_is_away_on_stage_or_elsewhere() {
    let mut room = class(3);
    room.ask("s0", M::Away { away: true }).unwrap();
    room.ask("li", M::Call { member: id("s1") }).unwrap();
    let school = |name: &str| Some(SchoolId::new(name).unwrap());
    let pick = |among, school| M::Pick { among, school };
    for _ in 0..20 {
        room.ask("li", pick(Among::Everyone, school("school-01"))).unwrap();
        assert_eq!(room.state.picked.as_ref().unwrap().member, id("s2"));
    }
    let asked = room.state.times_asked(&id("s2"));
    room.ask("li", M::Call { member: id("s2") }).unwrap();
    assert_eq!(room.state.times_asked(&id("s2")), asked, "a pick and its call are one");
    assert!(room.state.picked.is_none());
    for nobody in [pick(Among::Classrooms, None), pick(Among::Students, school("campus"))] {
        assert_eq!(room.ask("li", nobody), Err(Refusal::NobodyToPick));
    }
}

#[test]
fn a_call_answers_the_open_question_and_another_question_closes_it() {
    let mut room = class(2);
    room.ask("li", M::AskQuestion { text: Some("为什么?".into()) }).unwrap();
    let asked_ms = room.state.question.as_ref().unwrap().asked_ms;
    room.waited_ms = 2_000;
    room.ask("s0", M::RaiseHand).unwrap();
    let question = room.state.question.clone().unwrap();
    assert_eq!(question.first_hand_ms, Some(asked_ms + 3_000));
    let events = room.ask("li", M::Call { member: id("s0") }).unwrap();
    assert!(matches!(events[1], EventBody::QuestionAnswered { .. }), "{events:?}");
    room.ask("li", M::CreditAnswer { member: id("s1") }).unwrap();
    assert_eq!(room.ask("li", M::CreditAnswer { member: id("s1") }).unwrap(), []);
    assert_eq!(room.state.question.as_ref().unwrap().answered, [id("s0"), id("s1")]);
    let events = room.ask("li", M::AskQuestion { text: Some("  ".into()) }).unwrap();
    assert!(matches!(events[0], EventBody::QuestionClosed { .. }));
    assert_eq!(room.state.question.as_ref().unwrap().text, None);
    room.ask("li", M::CloseQuestion).unwrap();
    assert_eq!(room.ask("li", M::CloseQuestion), Err(Refusal::NotNow));
    assert_eq!(room.ask("li", M::CreditAnswer { member: id("s1") }), Err(Refusal::NotNow));
}

#[test]
fn a_school_is_called_as_all_its_classrooms_and_its_hands_are_down_then() {
    let mut room = Room::live();
    room.join("a", Role::Classroom, "school-01");
    room.join("b", Role::Classroom, "school-01");
    room.join("chen", Role::Assistant, "school-01");
    room.ask("chen", M::CountHands { count: 7 }).unwrap();
    assert_eq!(room.ask("chen", M::CountHands { count: 7 }).unwrap(), []);
    assert_eq!(room.ask("chen", M::CountHands { count: 201 }), Err(Refusal::OutOfRange));
    let call = |school: &str| M::CallSchool { school: SchoolId::new(school).unwrap() };
    assert_eq!(room.ask("li", call("campus")), Err(Refusal::NoSuchMember));
    room.ask("li", call("school-01")).unwrap();
    assert_eq!(room.state.stage, [id("a"), id("b")]);
    assert!(room.state.hand_counts.is_empty());
    assert_eq!(room.ask("li", call("school-01")), Err(Refusal::AlreadyOnStage));
    room.ask("li", M::DismissAll).unwrap();
    assert!(room.state.stage.is_empty());
}

fn open(items: Vec<Item>) -> MemberCommand {
    M::OpenQuiz { kind: QuizKind::Quiz, title: None, items, seconds: None }
}

#[test]
fn a_quiz_takes_each_answer_once_shows_nothing_and_reveals_when_told() {
    let mut room = class(2);
    room.join("chen", Role::Assistant, "school-01");
    room.ask("li", open(vec![item(), item()])).unwrap();
    assert_eq!(room.ask("li", open(vec![item()])), Err(Refusal::AlreadyOpen));
    let quiz = room.state.quiz.as_ref().unwrap().paper.id;
    let answer = |item, n| M::AnswerQuiz { quiz, item, answer: Answer::Choice(n) };
    room.ask("s0", answer(0, 1)).unwrap();
    assert_eq!(room.ask("s0", answer(0, 0)), Err(Refusal::AlreadyAnswered));
    assert_eq!(room.ask("s0", answer(1, 2)), Err(Refusal::NotAnAnswer));
    assert_eq!(room.ask("s0", answer(2, 0)), Err(Refusal::NoSuchThing));
    room.ask("s1", answer(0, 0)).unwrap();
    let count = |counts: &[u16]| M::CountQuiz { quiz, item: 0, counts: counts.to_vec() };
    assert_eq!(room.ask("chen", count(&[1, 2, 3])), Err(Refusal::NotAnAnswer));
    room.ask("chen", count(&[10, 2])).unwrap();
    room.ask("chen", count(&[10, 30])).unwrap();
    let events = room.ask("li", M::RevealQuiz { quiz }).unwrap();
    assert!(matches!(events[0], EventBody::QuizClosed { .. }));
    let tally = &room.state.quiz.as_ref().unwrap().tallies.as_ref().unwrap()[0];
    assert_eq!((tally.answered, tally.right), (42, Some(31)));
    assert_eq!(tally.counts, Some(vec![11, 31]));
    assert_eq!(room.ask("s1", answer(1, 0)), Err(Refusal::TooLate));
    assert_eq!(room.ask("li", M::RevealQuiz { quiz }).unwrap(), [], "they are revealed");
    room.ask("li", open(vec![item()])).unwrap();
    assert_eq!(room.ask("s1", answer(1, 0)), Err(Refusal::TooLate), "another quiz is open");
}

#[test]
fn a_quiz_that_makes_no_sense_is_refused() {
    let number = |n: f64| Number::try_from(n).unwrap();
    let bad: Vec<(&str, Item)> = vec![
        ("no prompt", Item { prompt: " ".into(), ..item() }),
        ("a long prompt", Item { prompt: "长".repeat(501), ..item() }),
        ("one choice", Item { choices: vec!["a".into()], ..item() }),
        ("eleven choices", Item { choices: vec!["a".into(); 11], ..item() }),
        ("an empty choice", Item { choices: vec!["a".into(), String::new()], ..item() }),
        ("a right answer that is none", Item { correct: Some(Answer::Choice(2)), ..item() }),
        ("choices for a text", Item { kind: ItemKind::Text, correct: None, ..item() }),
        ("a tolerance without a number", Item { tolerance: Some(number(1.0)), ..item() }),
        (
            "a tolerance below zero",
            Item {
                kind: ItemKind::Number,
                choices: vec![],
                correct: Some(Answer::Number(number(1.0))),
                tolerance: Some(number(-1.0)),
                ..item()
            },
        ),
        (
            "nothing right",
            Item { kind: ItemKind::Multiple, correct: Some(Answer::Choices(vec![])), ..item() },
        ),
    ];
    let mut room = class(0);
    for (why, item) in bad {
        assert_eq!(room.ask("li", open(vec![item])), Err(Refusal::BadQuiz), "{why}");
    }
    assert_eq!(room.ask("li", open(vec![])), Err(Refusal::BadQuiz));
    assert_eq!(room.ask("li", open(vec![item(); 21])), Err(Refusal::BadQuiz));
    let poll =
        |item| M::OpenQuiz { kind: QuizKind::Poll, title: None, items: vec![item], seconds: None };
    assert_eq!(room.ask("li", poll(item())), Err(Refusal::BadQuiz), "a poll has no right answer");
    let truth = Item { kind: ItemKind::TrueFalse, choices: vec![], correct: None, ..item() };
    assert_eq!(room.ask("li", poll(truth)), Err(Refusal::BadQuiz));
    room.ask("li", poll(Item { correct: None, ..item() })).unwrap();
}

#[test]
fn the_buzzer_ranks_who_presses_and_takes_each_once() {
    let mut room = class(2);
    room.ask("li", M::OpenBuzzer { title: None }).unwrap();
    assert_eq!(room.ask("li", M::OpenBuzzer { title: None }), Err(Refusal::AlreadyOpen));
    let buzzer = room.state.buzzer.as_ref().unwrap().id;
    for (name, expected) in [("s1", 1), ("s0", 2)] {
        let events = room.ask(name, M::Buzz { buzzer }).unwrap();
        let EventBody::BuzzerPressed { rank, after_ms, .. } = events[0] else { panic!() };
        assert_eq!((rank, after_ms), (expected, u64::from(expected) * 1000));
    }
    assert_eq!(room.ask("s0", M::Buzz { buzzer }), Err(Refusal::AlreadyAnswered));
    let other = Uuid::from_u128(1);
    assert_eq!(room.ask("s0", M::Buzz { buzzer: other }), Err(Refusal::NoSuchThing));
    room.ask("li", M::CloseBuzzer { buzzer }).unwrap();
    room.join("late", Role::Student, "school-01");
    assert_eq!(room.ask("late", M::Buzz { buzzer }), Err(Refusal::TooLate));
}

fn say(text: &str, to: Audience) -> MemberCommand {
    M::Say { text: text.into(), to }
}

#[test]
fn the_chat_is_as_open_as_the_teacher_says() {
    let mut room = class(1);
    room.join("chen", Role::Assistant, "school-01");
    for (mode, to_all, to_teacher) in [
        (ChatMode::TeacherOnly, Err(Refusal::ChatOff), Ok(())),
        (ChatMode::Off, Err(Refusal::ChatOff), Err(Refusal::ChatOff)),
        (ChatMode::All, Ok(()), Ok(())),
    ] {
        room.waited_ms += 60_000;
        if room.state.chat.mode != mode {
            room.ask("li", M::SetChat { mode }).unwrap();
        }
        let said = |room: &mut Room, by: &str, to| room.ask(by, say("好", to)).map(|_| ());
        assert_eq!(said(&mut room, "s0", Audience::All), to_all, "{mode:?}");
        assert_eq!(said(&mut room, "s0", Audience::Teacher), to_teacher, "{mode:?}");
        for helper in ["li", "chen"] {
            assert_eq!(said(&mut room, helper, Audience::All), Ok(()), "{mode:?}");
        }
    }
}

#[test]
fn who_is_silenced_says_nothing_and_a_message_can_be_taken_away() {
    let mut room = busy(Role::Student);
    room.ask("chen", M::Silence { member: id("zhao"), silenced: true }).unwrap();
    assert_eq!(room.ask("zhao", say("哈", Audience::All)), Err(Refusal::Silenced));
    let message = room.state.chat.messages[0].id;
    room.ask("chen", M::RemoveMessage { message }).unwrap();
    assert_eq!(room.ask("chen", M::RemoveMessage { message }), Err(Refusal::NoSuchThing));
    room.ask("li", M::Silence { member: id("zhao"), silenced: false }).unwrap();
    room.ask("zhao", say("好", Audience::All)).unwrap();
}

#[test]
fn nobody_floods_the_chat_and_neither_do_all_together() {
    let mut room = class(0);
    room.ask("li", M::SetChat { mode: ChatMode::All }).unwrap();
    let state = |room: &mut Room, n: usize| {
        let name = format!("s{n}");
        let info = member(&name, Role::Student, "school-01");
        room.state.members.insert(id(&name), info);
    };
    (0..30).for_each(|n| state(&mut room, n));
    // All of it in one moment.
    let now_ms = room.now_ms();
    let at_once = |room: &mut Room, n: usize| {
        let command =
            Command::Member { by: id(&format!("s{n}")), command: say("刷", Audience::All) };
        let mut new_id = Uuid::now_v7;
        let from = node("school-01");
        let bodies = decide(&room.state, &command, &from, &LIMITS, now_ms, &mut new_id)?;
        for event in number(&room.state, bodies, now_ms, &mut new_id) {
            room.state.apply(&event).unwrap();
        }
        Ok(())
    };
    for _ in 0..3 {
        assert_eq!(at_once(&mut room, 0), Ok(()));
    }
    assert_eq!(at_once(&mut room, 0), Err(Refusal::TooFast));
    let taken = (1..30).filter(|n| at_once(&mut room, *n).is_ok()).count();
    assert_eq!(taken + 3, LIMITS.chat_per_second);
    assert_eq!(room.ask("li", say("安静", Audience::All)).map(|e| e.len()), Ok(1));
}

#[test]
fn texts_are_bounded_and_markup_is_text() {
    let mut room = busy(Role::Observer);
    let long = "长".repeat(501);
    assert_eq!(room.ask("wang", say(&long, Audience::All)), Err(Refusal::TooLong));
    assert_eq!(room.ask("wang", say(" \u{202e}\n", Audience::All)), Err(Refusal::Empty));
    let markup = "<img src=x onerror=alert(1)>";
    room.ask("wang", say(markup, Audience::All)).unwrap();
    assert_eq!(room.state.chat.messages.last().unwrap().text, markup);
    let note = |text: &str| M::Note { text: text.into(), at_ms: None };
    assert_eq!(room.ask("me", note(&"长".repeat(1001))), Err(Refusal::TooLong));
    room.ask("me", note("导入\n很自然")).unwrap();
    let praise = M::Praise { member: id("wang"), text: Some("棒".repeat(61)) };
    assert_eq!(room.ask("li", praise), Err(Refusal::TooLong));
}

#[test]
fn a_reaction_replaces_the_one_before_and_comes_at_most_once_a_second() {
    let mut room = class(1);
    let react = |reaction| M::React { reaction, count: None };
    room.ask("s0", react(Reaction::Understood)).unwrap();
    room.ask("s0", react(Reaction::NotUnderstood)).unwrap();
    assert_eq!(room.state.reactions[&id("s0")].reaction, Reaction::NotUnderstood);
    let command = Command::Member { by: id("s0"), command: react(Reaction::Heart) };
    let now = room.state.reactions[&id("s0")].at_ms + 999;
    let got = decide(&room.state, &command, &node("school-01"), &LIMITS, now, &mut Uuid::now_v7);
    assert_eq!(got, Err(Refusal::TooFast));
    room.ask("li", M::ClearReactions).unwrap();
    assert!(room.state.reactions.is_empty());
}

#[test]
fn everybody_is_in_one_group_at_most_and_can_be_moved() {
    let mut room = class(3);
    let open = |groups| M::OpenGroups { groups, seconds: None };
    let twice = open(vec![group(&["s0"]), group(&["s0"])]);
    assert_eq!(room.ask("li", twice), Err(Refusal::TwoGroups));
    let stranger = open(vec![group(&["nobody"])]);
    assert_eq!(room.ask("li", stranger), Err(Refusal::NoSuchMember));
    assert_eq!(room.ask("li", open(vec![group(&[]); 51])), Err(Refusal::TooMany));
    room.ask("li", open(vec![group(&["s0", "s1"]), group(&["s2"])])).unwrap();
    let groups: Vec<_> = room.state.groups.as_ref().unwrap().groups.iter().map(|g| g.id).collect();
    let put = |name: &str, group| M::MoveToGroup { member: id(name), group };
    room.ask("li", put("s0", Some(groups[1]))).unwrap();
    assert_eq!(room.ask("li", put("s0", Some(groups[1]))).unwrap(), []);
    assert_eq!(room.ask("li", put("s0", Some(Uuid::nil()))), Err(Refusal::NoSuchThing));
    assert_eq!(room.state.groups.as_ref().unwrap().of(&id("s0")).unwrap().id, groups[1]);
    room.ask("li", M::VisitGroup { group: Some(groups[0]) }).unwrap();
    assert_eq!(room.state.groups.as_ref().unwrap().visiting[&id("li")], groups[0]);
    room.ask("li", M::CloseGroups).unwrap();
    assert_eq!(room.ask("li", M::CloseGroups), Err(Refusal::NotNow));
}

#[test]
fn what_an_assistant_program_proposes_happens_when_the_teacher_accepts_it() {
    let mut room = class(0);
    room.join("bot", Role::Assistant, "campus");
    let at_ms = room.now_ms();
    let chapter = Draft::Chapter { title: "导入".into(), at_ms };
    room.ask("bot", M::Propose { proposal: chapter }).unwrap();
    let quiz = Draft::Quiz { title: None, items: vec![item()] };
    room.ask("bot", M::Propose { proposal: quiz.clone() }).unwrap();
    room.ask("bot", M::Propose { proposal: quiz }).unwrap();
    let broken = Draft::Quiz { title: None, items: vec![] };
    assert_eq!(room.ask("bot", M::Propose { proposal: broken }), Err(Refusal::BadQuiz));
    let ids: Vec<_> = room.state.proposals.iter().map(|p| p.id).collect();
    room.ask("li", M::MarkChapter { title: "练习".into() }).unwrap();
    room.ask("li", M::AcceptProposal { proposal: ids[0] }).unwrap();
    let titles: Vec<_> = room.state.chapters.iter().map(|c| c.title.as_str()).collect();
    assert_eq!(titles, ["导入", "练习"], "chapters are in the order of the recording");
    room.ask("li", M::AcceptProposal { proposal: ids[1] }).unwrap();
    assert!(room.state.open_quiz().is_some());
    let again = M::AcceptProposal { proposal: ids[2] };
    assert_eq!(room.ask("li", again), Err(Refusal::AlreadyOpen), "it waits for the first");
    room.ask("li", M::DeclineProposal { proposal: ids[2] }).unwrap();
    assert!(room.state.proposals.is_empty());
    assert_eq!(room.ask("li", M::DeclineProposal { proposal: ids[2] }), Err(Refusal::NoSuchThing));
    let caption = |start_ms, end_ms, lang: &str| M::Caption {
        text: "今天我们学习".into(),
        start_ms,
        end_ms,
        lang: lang.into(),
    };
    room.ask("bot", caption(at_ms, at_ms + 2000, "zh-CN")).unwrap();
    for bad in [
        caption(at_ms + 1, at_ms, "zh-CN"),
        caption(at_ms, at_ms + 60_001, "zh-CN"),
        caption(at_ms + 1_000_000, at_ms + 1_000_001, "zh-CN"),
        caption(at_ms, at_ms, "zh CN"),
        caption(at_ms, at_ms, ""),
    ] {
        assert_eq!(room.ask("bot", bad), Err(Refusal::OutOfRange));
    }
}

#[test]
fn a_score_sheet_is_corrected_by_another_and_bounded() {
    let mut room = busy(Role::Observer);
    let mark = |points, of| Mark { criterion: "提问".into(), points, of };
    for bad in [mark(11, 10), mark(0, 0), mark(1, 101)] {
        assert_eq!(room.ask("me", M::Score { sheet: vec![bad] }), Err(Refusal::OutOfRange));
    }
    assert_eq!(room.ask("me", M::Score { sheet: vec![] }), Err(Refusal::Empty));
    let sheet = M::Score { sheet: vec![mark(1, 10); 31] };
    assert_eq!(room.ask("me", sheet), Err(Refusal::TooMany));
    room.ask("me", M::Score { sheet: vec![mark(7, 10)] }).unwrap();
    room.ask("me", M::Score { sheet: vec![mark(8, 10)] }).unwrap();
    assert_eq!(room.state.sheets[&id("me")], [mark(8, 10)]);
}

#[test]
fn the_end_leaves_what_is_known_and_a_new_run_nothing() {
    let mut room = busy(Role::Student);
    let quiz = room.state.quiz.as_ref().unwrap().paper.id;
    room.ask("zhao", M::AnswerQuiz { quiz, item: 0, answer: Answer::Choice(0) }).unwrap();
    room.ask("li", M::End).unwrap();
    let state = &room.state;
    let closed = (
        state.quiz.as_ref().unwrap().closed_ms,
        state.roll_call.as_ref().unwrap().closed_ms,
        state.question.as_ref().unwrap().closed_ms,
        state.buzzer.as_ref().unwrap().closed_ms,
    );
    assert_eq!(closed, (state.ended_ms, state.ended_ms, state.ended_ms, state.ended_ms));
    assert!(state.timer.is_none() && state.groups.is_none() && state.proposals.is_empty());
    assert!(!state.attendance.is_empty() && !state.chat.messages.is_empty());
    let again = super::open(&room.state, &info()).unwrap();
    room.happen(again);
    let fresh = State {
        seq: room.state.seq,
        run: room.state.run,
        phase: Phase::Open,
        ..State::new(info())
    };
    assert_eq!(room.state, fresh);
}
