//! Who may ask what: every role and every command.

use super::*;
use cloudschool_protocol::board::BoardWriters;
use cloudschool_protocol::lesson::asking::Among;
use cloudschool_protocol::lesson::chat::{Audience, ChatMode, Reaction};
use cloudschool_protocol::lesson::grouping::GroupPlan;
use cloudschool_protocol::lesson::quiz::{Answer, Item, ItemKind, QuizKind};
use cloudschool_protocol::lesson::showing::{Draft, Layout, Mark};
use cloudschool_protocol::refusal::Lang;
use cloudschool_protocol::slides::{Deck, DeckPage};
use std::collections::BTreeSet;

const TEACHER: &[Role] = &[Role::Teacher];
const TAUGHT: &[Role] = &[Role::Assistant, Role::Classroom, Role::Student];
const COUNTS: &[Role] = &[Role::Assistant, Role::Classroom];
const HELPS: &[Role] = &[Role::Teacher, Role::Assistant];
const SPEAKS: &[Role] = &[Role::Teacher, Role::Assistant, Role::Classroom, Role::Student];

/// A lesson in which everything goes on at once. `me`, of `role`, is in it at school-01 with the
/// hand up where it can be; wang of the same school is on stage; zhao is a student who sits there.
pub(super) fn busy(role: Role) -> Room {
    use MemberCommand as M;
    let mut room = Room::live();
    for (name, role) in [("wang", Role::Student), ("zhao", Role::Student), ("me", role)] {
        room.join(name, role, "school-01");
    }
    room.join("class", Role::Classroom, "school-01");
    room.join("chen", Role::Assistant, "school-01");
    for command in [
        M::Call { member: id("wang") },
        M::OpenRollCall { seconds: Some(60) },
        M::AskQuestion { text: None },
        M::OpenQuiz { kind: QuizKind::Quiz, title: None, items: vec![item()], seconds: Some(60) },
        M::OpenBuzzer { title: None },
        M::SetChat { mode: ChatMode::All },
        M::StartTimer { seconds: 60, title: None },
        M::OpenGroups { groups: vec![group(&["zhao"])], seconds: None },
        M::SlidesOpen { deck: deck(), page: None },
    ] {
        room.ask("li", command).unwrap();
    }
    room.join("sun", Role::Student, "school-01");
    room.ask("li", M::RemoveMember { member: id("sun") }).unwrap();
    room.ask("zhao", M::Say { text: "你好".into(), to: Audience::All }).unwrap();
    room.ask("zhao", M::React { reaction: Reaction::Clap, count: None }).unwrap();
    let draft = || Draft::Chapter { title: "导入".into(), at_ms: 1 };
    room.ask("chen", M::Propose { proposal: draft() }).unwrap();
    if role.takes_part() {
        room.ask("me", M::RaiseHand).unwrap();
    }
    room
}

pub(super) fn item() -> Item {
    Item {
        prompt: "2+2=?".into(),
        kind: ItemKind::Single,
        choices: vec!["3".into(), "4".into()],
        correct: Some(Answer::Choice(1)),
        tolerance: None,
    }
}

pub(super) fn group(members: &[&str]) -> GroupPlan {
    GroupPlan { name: "一组".into(), members: members.iter().map(|m| id(m)).collect() }
}

pub(super) fn deck() -> Box<Deck> {
    let asset = cloudschool_protocol::asset::AssetId::of_digest([7; 32]);
    let page = DeckPage { asset, width: 1920, height: 1080, small: None, title: None };
    let id = cloudschool_protocol::id::DeckId::new("deck").unwrap();
    Box::new(Deck { id, title: "分数".into(), pages: vec![page; 2], text: None })
}

/// Each command, as it makes sense in a [`busy`] lesson, and the roles that may give it.
fn table(state: &State) -> Vec<(MemberCommand, &'static [Role])> {
    use MemberCommand as M;
    let quiz = state.quiz.as_ref().unwrap().paper.id;
    let buzzer = state.buzzer.as_ref().unwrap().id;
    let message = state.chat.messages[0].id;
    let proposal = state.proposals[0].id;
    let group = Some(state.groups.as_ref().unwrap().groups[0].id);
    let (zhao, text) = (|| id("zhao"), || "一".to_owned());
    vec![
        (M::Start, TEACHER),
        (M::End, TEACHER),
        (M::RaiseHand, TAUGHT),
        (M::LowerHand { member: Some(zhao()) }, TEACHER),
        (M::Mute { member: zhao(), muted: true }, TEACHER),
        (M::RemoveMember { member: zhao() }, HELPS),
        (M::LetIn { member: id("sun") }, HELPS),
        (M::Lock { locked: true }, TEACHER),
        (M::Call { member: zhao() }, TEACHER),
        (M::CallSchool { school: SchoolId::new("school-01").unwrap() }, TEACHER),
        (M::Dismiss { member: Some(id("wang")) }, TEACHER),
        (M::DismissAll, TEACHER),
        (M::OpenRollCall { seconds: None }, TEACHER),
        (M::AnswerRollCall, TAUGHT),
        (M::CountRollCall { present: 40, expected: None, ticked: vec![] }, COUNTS),
        (M::CloseRollCall, TEACHER),
        (M::Away { away: true }, TAUGHT),
        (M::CountHands { count: 7 }, COUNTS),
        (M::Pick { among: Among::Students, school: None }, TEACHER),
        (M::AskQuestion { text: Some(text()) }, TEACHER),
        (M::CreditAnswer { member: zhao() }, TEACHER),
        (M::CloseQuestion, TEACHER),
        (
            M::OpenQuiz { kind: QuizKind::Quiz, title: None, items: vec![item()], seconds: None },
            TEACHER,
        ),
        (M::AnswerQuiz { quiz, item: 0, answer: Answer::Choice(1) }, TAUGHT),
        (M::CountQuiz { quiz, item: 0, counts: vec![3, 37] }, COUNTS),
        (M::CloseQuiz { quiz }, TEACHER),
        (M::RevealQuiz { quiz }, TEACHER),
        (M::OpenBuzzer { title: None }, TEACHER),
        (M::Buzz { buzzer }, TAUGHT),
        (M::CloseBuzzer { buzzer }, TEACHER),
        (M::SetChat { mode: ChatMode::Off }, TEACHER),
        (M::Say { text: text(), to: Audience::All }, SPEAKS),
        (M::RemoveMessage { message }, HELPS),
        (M::Silence { member: zhao(), silenced: true }, HELPS),
        (M::React { reaction: Reaction::Understood, count: None }, TAUGHT),
        (M::React { reaction: Reaction::Understood, count: Some(30) }, COUNTS),
        (M::ClearReactions, TEACHER),
        (M::Praise { member: zhao(), text: None }, TEACHER),
        (M::StartTimer { seconds: 60, title: None }, TEACHER),
        (M::StopTimer, TEACHER),
        (M::OpenGroups { groups: vec![], seconds: None }, TEACHER),
        (M::MoveToGroup { member: zhao(), group: None }, HELPS),
        (M::VisitGroup { group }, HELPS),
        (M::CloseGroups, TEACHER),
        (M::Direct { layout: Layout::Grid, focus: None }, &[Role::Teacher, Role::Operator]),
        (
            M::Caption { text: text(), start_ms: 1, end_ms: 2, lang: "zh-CN".into() },
            &[Role::Assistant],
        ),
        (M::Propose { proposal: Draft::Chapter { title: text(), at_ms: 1 } }, &[Role::Assistant]),
        (M::AcceptProposal { proposal }, TEACHER),
        (M::DeclineProposal { proposal }, TEACHER),
        (M::MarkChapter { title: text() }, TEACHER),
        (M::Note { text: text(), at_ms: None }, &[Role::Observer]),
        (
            M::Score { sheet: vec![Mark { criterion: text(), points: 9, of: 10 }] },
            &[Role::Observer],
        ),
        (M::BoardWriters { writers: BoardWriters::Everyone }, TEACHER),
        (M::SlidesOpen { deck: deck(), page: Some(2) }, TEACHER),
        (M::SlidesTurn { page: 2 }, TEACHER),
        (M::SlidesClose, TEACHER),
    ]
}

#[test]
fn the_wrong_role_is_refused_every_command_with_a_sentence() {
    for role in ROLES {
        let room = busy(role);
        for (command, allowed) in table(&room.state) {
            let mut room = busy(role);
            let before = room.state.clone();
            let got = room.ask("me", command.clone()).map(|events| events.len());
            if allowed.contains(&role) {
                assert_ne!(got, Err(Refusal::NotAllowed), "{role:?} may ask {command:?}");
                continue;
            }
            assert_eq!(got, Err(Refusal::NotAllowed), "{role:?} asked {command:?}");
            assert_eq!(room.state, before, "a refusal changed the lesson");
            assert_eq!(Refusal::NotAllowed.sentence(Lang::Zh), "您的角色不能这样做。");
        }
    }
}

#[test]
fn no_command_is_missing_from_the_table() {
    // What serde says it would have taken.
    let error = serde_json::from_str::<MemberCommand>(r#"{"do":"?"}"#).unwrap_err().to_string();
    let all: BTreeSet<String> = error.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert!(all.len() > 50 && all.contains("raise-hand"), "{error}");
    let named = table(&busy(Role::Student).state).into_iter().map(|(command, _)| {
        let json = serde_json::to_value(command).unwrap();
        json["do"].as_str().unwrap().to_owned()
    });
    assert_eq!(named.collect::<BTreeSet<_>>(), all);
}

#[test]
fn each_command_but_an_observers_is_refused_after_the_end() {
    let busy = busy(Role::Student);
    for (command, roles) in table(&busy.state) {
        for role in roles {
            let mut room = Room::live();
            room.join("me", *role, "school-01");
            room.join("zhao", Role::Student, "school-01");
            room.ask("li", MemberCommand::End).unwrap();
            let writes =
                matches!(command, MemberCommand::Note { .. } | MemberCommand::Score { .. });
            let got = room.ask("me", command.clone()).map(|_| ());
            if writes {
                assert_eq!(got, Ok(()), "{command:?}");
            } else {
                assert!(
                    matches!(got, Err(Refusal::Ended | Refusal::NoSuchMember)),
                    "{role:?} asked {command:?} and got {got:?}"
                );
            }
        }
    }
}

#[test]
fn an_assistant_looks_after_its_own_school_only() {
    let mut room = busy(Role::Student);
    room.submit(
        &Command::Join {
            member: Member {
                school: SchoolId::new("campus").unwrap(),
                ..member("qian", Role::Student, "campus")
            },
        },
        "campus",
    )
    .unwrap();
    for command in [
        MemberCommand::Silence { member: id("qian"), silenced: true },
        MemberCommand::MoveToGroup { member: id("qian"), group: None },
        MemberCommand::RemoveMember { member: id("qian") },
    ] {
        assert_eq!(room.ask("chen", command), Err(Refusal::NotAllowed));
    }
    let silence = MemberCommand::Silence { member: id("li"), silenced: true };
    assert_eq!(room.ask("chen", silence.clone()), Err(Refusal::NotAllowed));
    assert_eq!(room.ask("li", silence), Err(Refusal::NotAllowed), "a teacher is not taught");
}

/// What a node decides by itself while the campus is away is about its own members, and never
/// what opens, closes or shows something for all.
#[test]
fn away_from_the_campus_a_school_decides_what_is_its_own() {
    use MemberCommand as M;
    let decided = |role: Role, command: MemberCommand| {
        let room = busy(role);
        let command = Command::Member { by: id("me"), command };
        let now_ms = room.now_ms();
        let from = node("school-01");
        decide_away(&room.state, &command, &from, &LIMITS, now_ms, Uuid::from_u128(9))
    };
    let room = busy(Role::Student);
    let own = |command: &M| {
        matches!(
            command,
            M::RaiseHand
                | M::AnswerRollCall
                | M::CountRollCall { .. }
                | M::Away { .. }
                | M::CountHands { .. }
                | M::AnswerQuiz { .. }
                | M::CountQuiz { .. }
                | M::Say { .. }
                | M::RemoveMessage { .. }
                | M::Silence { .. }
                | M::React { .. }
                | M::Caption { .. }
                | M::Note { .. }
                | M::Score { .. }
                | M::LowerHand { .. }
                | M::Mute { .. }
                | M::RemoveMember { .. }
                | M::Call { .. }
                | M::Dismiss { .. }
                | M::BoardWriters { .. }
                | M::SlidesOpen { .. }
                | M::SlidesTurn { .. }
                | M::SlidesClose
        )
    };
    for (command, roles) in table(&room.state) {
        let got = decided(roles[0], command.clone());
        let away = got == Err(Refusal::CampusAway);
        assert_eq!(away, !own(&command), "{command:?} gave {got:?}");
    }
    let events = decided(Role::Student, M::Say { text: "在".into(), to: Audience::All }).unwrap();
    let EventBody::ChatSaid { message, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(*message, Uuid::from_u128(9), "the campus will name it the same");
}
