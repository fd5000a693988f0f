//! Whatever is asked in whatever order: the lesson stays sound, its log gives it back, and no
//! page sees what is not its to know.

use super::rights::{deck, group, item};
use super::*;
use cloudschool_protocol::board::BoardWriters;
use cloudschool_protocol::lesson::asking::Among;
use cloudschool_protocol::lesson::chat::{Audience, ChatMode, Reaction};
use cloudschool_protocol::lesson::quiz::{Answer, Item, ItemKind, QuizKind};
use cloudschool_protocol::lesson::showing::{Draft, Layout, Mark};
use cloudschool_protocol::view::Viewer;
use proptest::prelude::*;
use proptest::sample::select;

const NAMES: [&str; 6] = ["li", "wang", "zhao", "qian", "sun", "zhou"];

fn ids() -> impl Strategy<Value = MemberId> {
    select(NAMES.to_vec()).prop_map(id)
}

fn any_item() -> impl Strategy<Value = Item> {
    let truth = Item {
        kind: ItemKind::TrueFalse,
        choices: vec![],
        correct: Some(Answer::Truth(true)),
        ..item()
    };
    let text = Item {
        kind: ItemKind::Text,
        choices: vec![],
        correct: Some(Answer::Text("SECRET".into())),
        ..item()
    };
    let open = Item { correct: None, ..item() };
    select(vec![item(), truth, text, open])
}

fn any_answer() -> impl Strategy<Value = Answer> {
    select(vec![
        Answer::Choice(0),
        Answer::Choice(1),
        Answer::Truth(false),
        Answer::Text("水".into()),
        Answer::Choices(vec![0]),
    ])
}

/// Commands whose `nil` ids are to be [`aimed`] at what there is.
fn any_asked() -> BoxedStrategy<MemberCommand> {
    use MemberCommand as M;
    let nil = Uuid::nil();
    let seconds = || select(vec![None, Some(10), Some(600)]);
    let text = || select(vec!["好", " ", "<b>x</b>"]).prop_map(str::to_owned);
    let floor = prop_oneof![
        2 => Just(M::Start),
        1 => Just(M::End),
        6 => Just(M::RaiseHand),
        3 => prop::option::of(ids()).prop_map(|member| M::LowerHand { member }),
        3 => (ids(), any::<bool>()).prop_map(|(member, muted)| M::Mute { member, muted }),
        5 => ids().prop_map(|member| M::Call { member }),
        3 => prop::option::of(ids()).prop_map(|member| M::Dismiss { member }),
        1 => Just(M::CallSchool { school: SchoolId::new("school-01").unwrap() }),
        1 => Just(M::DismissAll),
        2 => (0u16..250).prop_map(|count| M::CountHands { count }),
        2 => ids().prop_map(|member| M::RemoveMember { member }),
        2 => ids().prop_map(|member| M::LetIn { member }),
        1 => any::<bool>().prop_map(|locked| M::Lock { locked }),
    ];
    let presence = prop_oneof![
        seconds().prop_map(|seconds| M::OpenRollCall { seconds }),
        Just(M::AnswerRollCall),
        (0u16..250).prop_map(|present| M::CountRollCall {
            present,
            expected: None,
            ticked: vec![]
        }),
        Just(M::CloseRollCall),
        any::<bool>().prop_map(|away| M::Away { away }),
    ];
    let asking = prop_oneof![
        Just(M::Pick { among: Among::Everyone, school: None }),
        prop::option::of(text()).prop_map(|text| M::AskQuestion { text }),
        ids().prop_map(|member| M::CreditAnswer { member }),
        Just(M::CloseQuestion),
        Just(M::OpenBuzzer { title: None }),
        Just(M::Buzz { buzzer: nil }),
        Just(M::CloseBuzzer { buzzer: nil }),
    ];
    let quiz = prop_oneof![
        3 => (prop::collection::vec(any_item(), 0..3), seconds(), any::<bool>()).prop_map(
            |(items, seconds, quiz)| {
                let kind = if quiz { QuizKind::Quiz } else { QuizKind::Poll };
                M::OpenQuiz { kind, title: None, items, seconds }
            }
        ),
        9 => (0u8..3, any_answer())
            .prop_map(move |(item, answer)| M::AnswerQuiz { quiz: nil, item, answer }),
        3 => (0u8..3, prop::collection::vec(0u16..250, 2))
            .prop_map(move |(item, counts)| M::CountQuiz { quiz: nil, item, counts }),
        1 => Just(M::CloseQuiz { quiz: nil }),
        1 => Just(M::RevealQuiz { quiz: nil }),
    ];
    let talk = prop_oneof![
        select(vec![ChatMode::Off, ChatMode::TeacherOnly, ChatMode::All])
            .prop_map(|mode| M::SetChat { mode }),
        (text(), any::<bool>()).prop_map(|(text, all)| {
            M::Say { text, to: if all { Audience::All } else { Audience::Teacher } }
        }),
        Just(M::RemoveMessage { message: nil }),
        (ids(), any::<bool>()).prop_map(|(member, silenced)| M::Silence { member, silenced }),
        prop::option::of(0u16..250)
            .prop_map(|count| M::React { reaction: Reaction::Understood, count }),
        Just(M::ClearReactions),
        ids().prop_map(|member| M::Praise { member, text: None }),
    ];
    let groups = prop_oneof![
        prop::collection::vec(select(NAMES.to_vec()), 0..3)
            .prop_map(|names| M::OpenGroups { groups: vec![group(&names)], seconds: Some(60) }),
        ids().prop_map(move |member| M::MoveToGroup { member, group: Some(nil) }),
        Just(M::VisitGroup { group: Some(nil) }),
        Just(M::CloseGroups),
    ];
    let showing = prop_oneof![
        (0u32..100).prop_map(|seconds| M::StartTimer { seconds, title: None }),
        Just(M::StopTimer),
        (select(vec![Layout::Auto, Layout::Grid]), prop::option::of(ids()))
            .prop_map(|(layout, focus)| M::Direct { layout, focus }),
        (text(), 0u64..9).prop_map(|(text, at)| M::Caption {
            text,
            start_ms: at,
            end_ms: at + 1,
            lang: "zh-CN".into()
        }),
        prop::collection::vec(any_item(), 0..2)
            .prop_map(|items| M::Propose { proposal: Draft::Quiz { title: None, items } }),
        text().prop_map(|title| M::Propose { proposal: Draft::Chapter { title, at_ms: 1 } }),
        Just(M::AcceptProposal { proposal: nil }),
        Just(M::DeclineProposal { proposal: nil }),
        text().prop_map(|title| M::MarkChapter { title }),
        text().prop_map(|text| M::Note { text, at_ms: None }),
        (0u16..12).prop_map(|points| M::Score {
            sheet: vec![Mark { criterion: "提问".into(), points, of: 10 }]
        }),
        Just(M::BoardWriters { writers: BoardWriters::Everyone }),
        prop::option::of(1u16..3).prop_map(|page| M::SlidesOpen { deck: deck(), page }),
        (1u16..4).prop_map(|page| M::SlidesTurn { page }),
        Just(M::SlidesClose),
    ];
    prop_oneof![6 => floor, 3 => presence, 3 => asking, 5 => quiz, 4 => talk, 2 => groups, 4 => showing]
        .boxed()
}

/// The command, at what there is in place of nothing.
fn aimed(state: &State, mut asked: MemberCommand) -> MemberCommand {
    use MemberCommand as M;
    let group_now = state.groups.as_ref().and_then(|g| g.groups.first()).map(|g| g.id);
    let there = match &asked {
        M::Buzz { .. } | M::CloseBuzzer { .. } => state.buzzer.as_ref().map(|b| b.id),
        M::AnswerQuiz { .. } | M::CountQuiz { .. } | M::CloseQuiz { .. } | M::RevealQuiz { .. } => {
            state.quiz.as_ref().map(|q| q.paper.id)
        }
        M::RemoveMessage { .. } => state.chat.messages.first().map(|m| m.id),
        M::MoveToGroup { .. } | M::VisitGroup { .. } => group_now,
        M::AcceptProposal { .. } | M::DeclineProposal { .. } => {
            state.proposals.first().map(|p| p.id)
        }
        _ => None,
    };
    let Some(there) = there else { return asked };
    match &mut asked {
        M::Buzz { buzzer: id } | M::CloseBuzzer { buzzer: id } => *id = there,
        M::AnswerQuiz { quiz, .. }
        | M::CountQuiz { quiz, .. }
        | M::CloseQuiz { quiz }
        | M::RevealQuiz { quiz } => *quiz = there,
        M::RemoveMessage { message } => *message = there,
        M::MoveToGroup { group, .. } | M::VisitGroup { group } => *group = Some(there),
        M::AcceptProposal { proposal } | M::DeclineProposal { proposal } => *proposal = there,
        _ => {}
    }
    asked
}

/// A member at any node, who counts for the same school wherever it sits.
fn anybody(name: &str, role: Role, at: &str) -> Member {
    let school = if name < "t" { "school-01" } else { "campus" };
    Member { school: SchoolId::new(school).unwrap(), ..member(name, role, at) }
}

fn any_command() -> impl Strategy<Value = (Command, &'static str)> {
    let nodes = || select(vec!["campus", "school-01"]);
    let tracks = || {
        (ids(), select(Source::ALL.to_vec()))
            .prop_map(|(member, source)| TrackId::new(member, source))
    };
    let codecs = select(vec![Codec::Opus, Codec::H264, Codec::Vp8]);
    let reasons = select(vec![LeaveReason::Left, LeaveReason::Lost]);
    let command = prop_oneof![
        40 => (ids(), any_asked()).prop_map(|(by, command)| Command::Member { by, command }),
        12 => (ids(), select(ROLES.to_vec()), nodes())
            .prop_map(|(who, role, at)| Command::Join { member: anybody(who.as_str(), role, at) }),
        3 => (ids(), reasons).prop_map(|(member, reason)| Command::Leave { member, reason }),
        5 => (tracks(), codecs).prop_map(|(track, codec)| Command::Publish { track, codec }),
        2 => tracks().prop_map(|track| Command::Unpublish { track }),
        2 => (ids(), 0u32..3, 0u64..9_000)
            .prop_map(|(member, strokes, from_ms)| Command::Drew { member, strokes, from_ms }),
        1 => (ids(), any::<bool>())
            .prop_map(|(member, speaks)| Command::Speaks { member, speaks }),
        1 => Just(Command::Archived { recording: "/r".into(), duration_ms: 1 }),
    ];
    (command, nodes())
}

impl Room {
    /// As [`Room::submit`], with the command aimed, and whatever ends by itself.
    fn play(&mut self, command: &Command, from: &str) -> bool {
        let over = overdue(&self.state, self.now_ms());
        self.happen(over);
        let command = match command.clone() {
            Command::Member { by, command } => {
                // The teacher speaks from wherever it is, so that lessons get on.
                let command = aimed(&self.state, command);
                return self.ask(by.as_str(), command).is_ok();
            }
            other => other,
        };
        self.submit(&command, from).is_ok()
    }
}

fn check(state: &State) -> Result<(), TestCaseError> {
    let present = |m: &MemberId| state.members.contains_key(m);
    prop_assert!(state.hands.iter().all(|h| present(&h.member)), "a hand of nobody");
    prop_assert!(!state.removed.keys().any(present), "one who was taken out is there");
    prop_assert!(state.stage.iter().all(present), "nobody on stage");
    prop_assert!(state.tracks.keys().all(|t| present(&t.member)), "a track of nobody");
    prop_assert!(state.away.iter().all(present), "nobody is away");
    prop_assert!(state.reactions.keys().chain(state.hand_counts.keys()).all(present));
    prop_assert!(state.members.keys().all(|m| state.attendance.contains_key(m)));
    for (track, published) in &state.tracks {
        let member = &state.members[&track.member];
        prop_assert!(member.role.may_publish());
        prop_assert_eq!(&published.node, &member.node);
        prop_assert_eq!(published.codec.kind(), track.kind());
    }
    for list in [&state.stage, &state.muted, &state.away, &state.chat.silenced] {
        let mut unique = list.clone();
        unique.sort();
        unique.dedup();
        prop_assert_eq!(unique.len(), list.len(), "someone is in a list twice");
    }
    let hands: std::collections::BTreeSet<_> = state.hands.iter().map(|h| &h.member).collect();
    prop_assert_eq!(hands.len(), state.hands.len(), "a hand is up twice");
    prop_assert!(state.stage.iter().all(|m| !hands.contains(m)), "on stage with a hand up");
    prop_assert!(state.hands.is_sorted_by_key(|h| h.at_ms), "the longest waiting is not first");
    let live = matches!(state.phase, Phase::Live | Phase::Ended | Phase::Archived);
    prop_assert_eq!(live, state.session.is_some());
    if state.phase >= Phase::Ended {
        prop_assert!(state.hands.is_empty() && state.stage.is_empty() && due(state).is_none());
        prop_assert!(state.open_quiz().is_none() && state.open_roll_call().is_none());
    }
    if let Some(quiz) = &state.quiz {
        let items = quiz.paper.items.len();
        prop_assert!(quiz.answers.values().all(|a| a.len() == items));
        for tally in quiz.tally() {
            prop_assert!(tally.right.is_none_or(|right| right <= tally.answered));
        }
    }
    Ok(())
}

/// What `me` must not find in what its page got.
fn secrets(me: &Member, page: &State, whole: &State) -> Result<(), TestCaseError> {
    let taught = matches!(me.role, Role::Student | Role::Classroom);
    let quiz = page.quiz.as_ref();
    let revealed = quiz.is_some_and(|q| q.tallies.is_some());
    if taught {
        let others = |keys: Vec<&MemberId>| keys.into_iter().any(|m| *m != me.id);
        prop_assert!(!others(page.attendance.keys().collect()), "others' attendance");
        prop_assert!(!others(page.reactions.keys().collect()), "others' reactions");
        prop_assert!(!others(quiz.iter().flat_map(|q| q.answers.keys()).collect()));
        prop_assert!(!others(page.away.iter().collect()));
        prop_assert!(!others(page.removed.keys().collect()), "others who were taken out");
        let hidden = |m: &Member| m.role == Role::Observer && m.id != me.id;
        prop_assert!(!page.members.values().any(hidden), "an observer is seen");
        let solved = |q: &cloudschool_protocol::lesson::quiz::Quiz| {
            q.paper.items.iter().any(|i| i.correct.is_some())
        };
        prop_assert!(revealed || !quiz.is_some_and(solved), "a right answer before the reveal");
        prop_assert!(page.proposals.iter().all(|p| p.member == me.id));
    }
    if !me.role.leads() && me.role != Role::Assistant {
        let overheard = |m: &&cloudschool_protocol::lesson::chat::Said| {
            m.to == Audience::Teacher && m.member != me.id
        };
        prop_assert!(!page.chat.messages.iter().any(|m| overheard(&m)));
    }
    if me.role != Role::Operator {
        prop_assert!(page.notes.iter().all(|n| n.member == me.id));
        prop_assert!(page.sheets.keys().all(|m| *m == me.id));
    }
    if me.role.leads() {
        let (seen, there) = (page.quiz.as_ref(), whole.quiz.as_ref());
        prop_assert_eq!(seen, there, "who teaches sees every answer");
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_sequence_of_commands_breaks_a_lesson(
        commands in prop::collection::vec(any_command(), 0..200)
    ) {
        let mut room = Room::new();
        for (command, from) in &commands {
            let before = room.state.clone();
            if !room.play(command, from) {
                let over = room.state.seq - before.seq;
                prop_assert!(over <= 4, "a refusal changed the lesson");
            }
            check(&room.state)?;
        }
        prop_assert!(room.log.iter().map(|e| e.seq).eq(1..=room.state.seq), "a gap in the log");
        let mut replayed = State::new(info());
        for event in &room.log {
            let line = serde_json::to_string(event).unwrap();
            replayed.apply(&serde_json::from_str(&line).unwrap()).unwrap();
        }
        prop_assert_eq!(&replayed, &room.state);
        let json = serde_json::to_string(&room.state).unwrap();
        prop_assert_eq!(serde_json::from_str::<State>(&json).unwrap(), replayed);
    }

    /// A page that comes at any time and follows what it is shown holds what it would be given
    /// if it came at the end, and never what is not its to know.
    #[test]
    fn no_page_sees_more_than_it_may_or_another_lesson_than_it_would_be_shown(
        commands in prop::collection::vec(any_command(), 0..150),
        role in select(ROLES.to_vec()),
        name in select(NAMES.to_vec()),
        comes in 0usize..150,
    ) {
        let me = anybody(name, role, "school-01");
        let mut room = Room::new();
        let mut page: Option<(Viewer, State)> = None;
        for (n, (command, from)) in commands.iter().enumerate() {
            if n >= comes && page.is_none() {
                let mut viewer = Viewer::new(me.clone());
                let state = viewer.state(&room.state);
                page = Some((viewer, state));
            }
            let told = room.log.len();
            room.play(command, from);
            let Some((viewer, held)) = &mut page else { continue };
            for event in &room.log[told..] {
                if let Some(shown) = viewer.event(event, &room.state) {
                    let text = serde_json::to_string(&*shown).unwrap();
                    let quizzed = matches!(shown.body, EventBody::QuizOpened { .. });
                    let taught = matches!(role, Role::Student | Role::Classroom);
                    prop_assert!(!(quizzed && taught && text.contains("SECRET")));
                    held.apply_shown(&shown);
                }
            }
            held.seq = room.state.seq;
            let mut again = Viewer::new(me.clone());
            let given = again.state(&room.state);
            secrets(&me, &given, &room.state)?;
            prop_assert_eq!(again.state(held), given);
        }
    }
}
