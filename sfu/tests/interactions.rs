//! The interactions of a lesson over real sockets: many at once, and some that mean harm.

mod common;

use cloudschool_protocol::command::MemberCommand as M;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::chat::{Audience, ChatMode};
use cloudschool_protocol::lesson::quiz::{Answer, Item, ItemKind, QuizKind};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::socket::{ByeReason, MAX_MESSAGE, ServerMessage};
use common::{Node, Page, Site};
use futures_util::future::join_all;
use std::time::{Duration, Instant};

/// Members who answer at once.
const CLASS: usize = 200;

fn id(name: &str) -> MemberId {
    MemberId::new(name).unwrap()
}

fn item() -> Item {
    Item {
        prompt: "1/2 + 1/3 = ?".into(),
        kind: ItemKind::Single,
        choices: vec!["2/5".into(), "5/6".into(), "1/6".into()],
        correct: Some(Answer::Choice(1)),
        tolerance: None,
    }
}

fn quiz() -> M {
    M::OpenQuiz { kind: QuizKind::Quiz, title: None, items: vec![item()], seconds: Some(600) }
}

async fn live(site: &Site, node: &Node) -> Page {
    let mut teacher = node.join(&site.token("li", Role::Teacher, "campus")).await;
    teacher.ask(M::Start).await.unwrap();
    teacher
}

/// Waits for the next quiz and answers it; gives when the answer was given, and the page.
async fn answers(mut page: Page, n: usize) -> (Page, Instant) {
    let opened = page.event(|e| matches!(e, EventBody::QuizOpened { .. })).await;
    let EventBody::QuizOpened { quiz, .. } = opened.body else { unreachable!() };
    let (quiz, answer) = (quiz.id, Answer::Choice((n % 3) as u8));
    let given = Instant::now();
    page.ask(M::AnswerQuiz { quiz, item: 0, answer: answer.clone() }).await.unwrap();
    // As a page does that has not heard of its answer.
    let twice = page.ask(M::AnswerQuiz { quiz, item: 0, answer }).await;
    assert_eq!(twice, Err(Refusal::AlreadyAnswered));
    (page, given)
}

/// Waits until the teacher's page has every answer.
async fn counted(teacher: &mut Page) -> Instant {
    while teacher.state().quiz.as_ref().is_none_or(|q| q.answers.len() < CLASS) {
        assert!(teacher.hear().await.is_some(), "the teacher's socket closed");
    }
    Instant::now()
}

#[tokio::test]
async fn two_hundred_answer_at_once_and_the_teacher_has_each_once_within_a_second() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut teacher = live(&site, &node).await;
    let tokens: Vec<_> =
        (0..CLASS).map(|n| site.token(&format!("s{n}"), Role::Student, "campus")).collect();
    let mut pages = join_all(tokens.iter().map(|token| node.join(token))).await;
    let mut took = Vec::new();
    // A machine that compiles something meanwhile may be slow once.
    for round in 0..3 {
        let waiting = pages.drain(..).enumerate().map(|(n, page)| tokio::spawn(answers(page, n)));
        let waiting: Vec<_> = waiting.collect();
        teacher.ask(quiz()).await.unwrap();
        let all = counted(&mut teacher).await;
        let mut first = all;
        for answered in waiting {
            let (page, given) = answered.await.unwrap();
            first = first.min(given);
            pages.push(page);
        }
        took.push(all - first);
        let state = teacher.state().quiz.clone().unwrap();
        let tally = &state.tally()[0];
        assert_eq!(tally.answered as usize, CLASS, "round {round}");
        assert_eq!(tally.counts, Some(vec![67, 67, 66]));
        let id = state.paper.id;
        teacher.ask(M::RevealQuiz { quiz: id }).await.unwrap();
        assert_eq!(teacher.state().quiz.as_ref().unwrap().tallies, Some(state.tally()));
    }
    println!("from the first answer to the last on the teacher's page: {took:?}");
    assert!(took.iter().min().unwrap() < &Duration::from_secs(1), "{took:?}");
    let answered = site
        .log("campus")
        .into_iter()
        .filter(|event| matches!(event.body, EventBody::QuizAnswered { .. }));
    assert_eq!(answered.count(), 3 * CLASS, "each is in the log once");
}

#[tokio::test]
async fn a_page_is_shown_what_is_its_members_to_know() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut teacher = live(&site, &node).await;
    let mut observer = node.join(&site.token("watcher", Role::Observer, "campus")).await;
    let mut wang = node.join(&site.token("wang", Role::Student, "school-01")).await;
    let mut zhao = node.join(&site.token("zhao", Role::Student, "school-01")).await;
    assert!(!wang.state().members.contains_key(&id("watcher")), "observers are unseen");
    let joined = |e: &EventBody| matches!(e, EventBody::MemberJoined { member } if member.id == id("watcher"));
    teacher.event(joined).await;
    teacher.ask(quiz()).await.unwrap();
    let quiz = teacher.state().quiz.as_ref().unwrap().paper.id;
    for (page, choice) in [(&mut wang, 1), (&mut zhao, 0)] {
        page.event(|e| matches!(e, EventBody::QuizOpened { .. })).await;
        let answer = Answer::Choice(choice);
        page.ask(M::AnswerQuiz { quiz, item: 0, answer }).await.unwrap();
    }
    observer.ask(M::Note { text: "提问有层次".into(), at_ms: None }).await.unwrap();
    wang.ask(M::Say { text: "听不清".into(), to: Audience::Teacher }).await.unwrap();
    wang.ask(M::Away { away: true }).await.unwrap();
    teacher.ask(M::MarkChapter { title: "练习".into() }).await.unwrap();
    for page in [&mut wang, &mut zhao, &mut observer] {
        page.event(|e| matches!(e, EventBody::ChapterMarked { .. })).await;
    }
    for (page, own) in [(&wang, "wang"), (&zhao, "zhao")] {
        let seen = page.state().quiz.as_ref().unwrap();
        assert_eq!(seen.answers.keys().map(MemberId::as_str).collect::<Vec<_>>(), [own]);
        assert_eq!(seen.paper.items[0].correct, None);
        assert!(page.state().notes.is_empty());
    }
    assert!(zhao.state().chat.messages.is_empty() && wang.state().chat.messages.len() == 1);
    assert!(zhao.state().away.is_empty() && wang.state().away == [id("wang")]);
    assert_eq!(teacher.state().quiz.as_ref().unwrap().answers.len(), 2);
    assert_eq!(teacher.state().chat.messages[0].text, "听不清");
    assert!(teacher.state().notes.is_empty(), "a note is its author's");
    assert_eq!(observer.state().notes.len(), 1);
    // A page that comes later is shown the same, and the reveal is for everybody.
    let again = node.join(&site.token("zhao", Role::Student, "school-01")).await;
    assert_eq!(again.state().quiz, zhao.state().quiz);
    let mut zhao = again;
    teacher.ask(M::RevealQuiz { quiz }).await.unwrap();
    zhao.event(|e| matches!(e, EventBody::QuizRevealed { .. })).await;
    let seen = zhao.state().quiz.as_ref().unwrap();
    assert_eq!(seen.paper.items[0].correct, Some(Answer::Choice(1)));
    assert_eq!(seen.tallies.as_ref().unwrap()[0].right, Some(1));
}

#[tokio::test]
async fn a_quiz_closes_by_itself_when_its_time_is_over() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut teacher = live(&site, &node).await;
    let items = vec![item()];
    let timed = M::OpenQuiz { kind: QuizKind::Quiz, title: None, items, seconds: Some(5) };
    teacher.ask(timed).await.unwrap();
    let closed = teacher.event(|e| matches!(e, EventBody::QuizClosed { .. })).await;
    assert!(matches!(closed.body, EventBody::QuizClosed { by: None, .. }));
    let quiz = teacher.state().quiz.as_ref().unwrap();
    assert!(closed.at_ms >= quiz.closes_ms.unwrap() + 1000, "answers under way were waited for");
}

#[tokio::test]
async fn a_member_that_means_harm_harms_nobody() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut teacher = live(&site, &node).await;
    let mut pupil = node.join(&site.token("zhao", Role::Student, "school-01")).await;
    let token = site.token("mallory", Role::Student, "school-01");

    // A thousand messages: the commands beyond the limit are refused, the messages beyond
    // theirs end the socket.
    let mut mallory = node.join(&token).await;
    for n in 1..=1000 {
        let command = r#"{"do":"react","reaction":"clap"}"#;
        mallory.say_text(&format!(r#"{{"type":"command","id":{n},"command":{command}}}"#)).await;
    }
    let (mut done, mut refused) = (0, 0);
    let bye = loop {
        match mallory.hear().await {
            Some(ServerMessage::Done { .. }) => done += 1,
            Some(ServerMessage::Refused { code, .. }) => {
                assert_eq!(code, Refusal::TooFast);
                refused += 1;
            }
            Some(ServerMessage::Bye { reason, .. }) => break Some(reason),
            Some(_) => {}
            // What was still unread of the thousand may reset the connection before the bye.
            None => break None,
        }
    };
    assert!(bye.is_none_or(|reason| reason == ByeReason::Protocol), "{bye:?}");
    assert!(done <= 5 && refused < 500, "{done} done, {refused} refused");

    // A message that is too large, and texts that are too long.
    let mut mallory = node.join(&token).await;
    mallory.say_text(&format!(r#"{{"type":"leave","x":"{}"}}"#, "x".repeat(MAX_MESSAGE))).await;
    assert_eq!(mallory.bye().await.0, ByeReason::Protocol);
    teacher.ask(M::SetChat { mode: ChatMode::All }).await.unwrap();
    let mut mallory = node.join(&token).await;
    let say = |text: &str| M::Say { text: text.into(), to: Audience::All };
    assert_eq!(mallory.ask(say(&"长".repeat(60_000))).await, Err(Refusal::TooLong));

    // What looks like markup is text, and whoever one claims to be, one asks for oneself.
    let markup = "<script>fetch('//evil')</script>";
    mallory.ask(say(markup)).await.unwrap();
    let forged = r#"{"type":"command","id":77,"by":"li","command":{"do":"raise-hand","member":"zhao","by":"li"}}"#;
    mallory.say_text(forged).await;
    let said = pupil.event(|e| matches!(e, EventBody::ChatSaid { .. })).await;
    let EventBody::ChatSaid { text, member, .. } = said.body else { unreachable!() };
    assert_eq!((text.as_str(), member.as_str()), (markup, "mallory"));
    let raised = pupil.event(|e| matches!(e, EventBody::HandRaised { .. })).await;
    assert_eq!(raised.body, EventBody::HandRaised { member: id("mallory") });

    // Ids of things that are not, and rights of others.
    let quiz = uuid::Uuid::from_u128(7);
    let answer = || M::AnswerQuiz { quiz, item: 255, answer: Answer::Choice(255) };
    assert_eq!(mallory.ask(answer()).await, Err(Refusal::NotNow));
    assert_eq!(mallory.ask(M::Buzz { buzzer: quiz }).await, Err(Refusal::NoSuchThing));
    assert_eq!(mallory.ask(M::RevealQuiz { quiz }).await, Err(Refusal::NotAllowed));
    assert_eq!(mallory.ask(M::End).await, Err(Refusal::NotAllowed));

    // And all the while the others had their lesson.
    pupil.ask(M::RaiseHand).await.unwrap();
    teacher.ask(M::Call { member: id("zhao") }).await.unwrap();
    assert_eq!(teacher.state().stage, [id("zhao")]);
    teacher.ask(M::Silence { member: id("mallory"), silenced: true }).await.unwrap();
    assert_eq!(mallory.ask(say("?")).await, Err(Refusal::Silenced));
}
