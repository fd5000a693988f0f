//! The lesson socket of a real node, as pages use and misuse it.

mod common;

use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::event::{EventBody, LeaveReason};
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::TrackId;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::socket::{ByeReason, ClientMessage, MAX_MESSAGE, ServerMessage, Slot};
use cloudschool_protocol::view::Viewer;
use common::{LESSON, OFFER, Site, soon};
use std::time::Duration;

fn id(name: &str) -> MemberId {
    MemberId::new(name).unwrap()
}

fn left(name: &'static str, why: LeaveReason) -> impl Fn(&EventBody) -> bool {
    move |e| matches!(e, EventBody::MemberLeft { member, reason } if *member == id(name) && *reason == why)
}

#[tokio::test]
async fn a_lesson_from_start_to_end_over_sockets() {
    let site = Site::new();
    let node = site.campus(&[("LIMITS__CLOSING_S", "1")]).await;
    let mut teacher = node.join(&site.token("li", Role::Teacher, "campus")).await;
    let mut pupil = node.join(&site.token("wang", Role::Student, "school-01")).await;
    assert_eq!(pupil.ask(MemberCommand::Start).await, Err(Refusal::NotAllowed));
    teacher.ask(MemberCommand::Start).await.unwrap();
    pupil.ask(MemberCommand::RaiseHand).await.unwrap();
    teacher.event(|e| matches!(e, EventBody::HandRaised { .. })).await;
    teacher.ask(MemberCommand::Call { member: id("wang") }).await.unwrap();
    pupil.event(|e| matches!(e, EventBody::StageCalled { .. })).await;
    assert!(pupil.state().hands.is_empty());
    teacher.ask(MemberCommand::Mute { member: id("wang"), muted: true }).await.unwrap();
    teacher.ask(MemberCommand::End).await.unwrap();
    pupil.event(|e| matches!(e, EventBody::LessonEnded { .. })).await;
    assert_eq!(pupil.state().phase, Phase::Ended);
    // The closing time passes with both pages connected.
    assert_eq!(pupil.bye().await.0, ByeReason::Ended);
    assert_eq!(teacher.bye().await.0, ByeReason::Ended);
    let mut late = node.knock(LESSON).await;
    late.say_join(&site.token("zhao", Role::Student, "school-01")).await;
    assert_eq!(late.bye().await, (ByeReason::Ended, "The lesson has ended.".into()));
}

#[tokio::test]
async fn a_page_that_is_reloaded_has_never_been_away_and_one_that_stays_away_is_lost() {
    let site = Site::new();
    let node = site.campus(&[("LIMITS__RETURN_WITHIN_S", "2")]).await;
    let mut teacher = node.join(&site.token("li", Role::Teacher, "campus")).await;
    let token = site.token("wang", Role::Student, "school-01");
    let mut pupil = node.join(&token).await;
    teacher.ask(MemberCommand::Start).await.unwrap();
    pupil.ask(MemberCommand::RaiseHand).await.unwrap();
    pupil.cut();
    let pupil = node.join(&token).await;
    assert_eq!(pupil.state().hands.len(), 1, "the hand is still up");
    let before = pupil.state().seq;
    pupil.cut();
    let event = teacher.event(left("wang", LeaveReason::Lost)).await;
    assert_eq!(event.seq, before + 1, "the reload left no trace");
    let mut pupil = node.join(&token).await;
    pupil.say(&ClientMessage::Leave).await;
    teacher.event(left("wang", LeaveReason::Left)).await;
}

#[tokio::test]
async fn who_is_taken_out_hears_why_and_comes_back_by_no_way_until_it_is_let_in() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut teacher = node.join(&site.token("li", Role::Teacher, "campus")).await;
    teacher.ask(MemberCommand::Start).await.unwrap();
    let token = site.token("wang", Role::Student, "school-01");
    let mut pupil = node.join(&token).await;
    let made = node.whip(LESSON, &token, OFFER).await;
    assert_eq!(made.status(), 201);
    let session = made.headers()["location"].to_str().unwrap().to_owned();
    teacher.ask(MemberCommand::RemoveMember { member: id("wang") }).await.unwrap();
    let (reason, why) = pupil.bye().await;
    assert_eq!(
        (reason, why.as_str()),
        (ByeReason::Removed, "You have been taken out of this lesson.")
    );
    assert_eq!(teacher.state().removed[&id("wang")].by, id("li"));

    let client = reqwest::Client::new();
    let hung_up = async {
        while client.delete(node.url(&session)).bearer_auth(&token).send().await.unwrap().status()
            != 404
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("its media's end", hung_up).await;
    assert_eq!(node.whip(LESSON, &token, OFFER).await.status(), 403);
    let player = client.post(node.url(&format!("/whep/{LESSON}"))).bearer_auth(&token);
    let player = player.header("content-type", "application/sdp").body(OFFER);
    assert_eq!(player.send().await.unwrap().status(), 403);
    let board = client.get(node.url(&format!("/api/lessons/{LESSON}/board"))).bearer_auth(&token);
    assert_eq!(board.send().await.unwrap().status(), 403);
    let mut again = node.knock(LESSON).await;
    again.say_join(&token).await;
    let Some(ServerMessage::Refused { id: 0, code, message }) = again.hear().await else {
        panic!("it was let in");
    };
    let sentence = "You were taken out of this lesson; its teacher can let you in again.";
    assert_eq!((code, message.as_str()), (Refusal::Removed, sentence));

    teacher.ask(MemberCommand::LetIn { member: id("wang") }).await.unwrap();
    let pupil = node.join(&token).await;
    assert!(pupil.state().members.contains_key(&id("wang")));
}

#[tokio::test]
async fn a_locked_lesson_takes_nobody_new_and_gives_back_who_was_in() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut teacher = node.join(&site.token("li", Role::Teacher, "campus")).await;
    let known = site.token("wang", Role::Student, "school-01");
    node.join(&known).await.cut();
    teacher.ask(MemberCommand::Lock { locked: true }).await.unwrap();
    let stranger = site.token("zhao", Role::Student, "school-01");
    let mut new = node.knock(LESSON).await;
    new.say_join(&stranger).await;
    let heard = new.hear().await;
    assert!(
        matches!(heard, Some(ServerMessage::Refused { code: Refusal::Locked, .. })),
        "{heard:?}"
    );
    assert_eq!(node.whip(LESSON, &stranger, OFFER).await.status(), 403);
    let back = node.join(&known).await;
    assert!(back.state().locked);
}

#[tokio::test]
async fn a_second_page_of_a_member_replaces_the_first() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let token = site.token("li", Role::Teacher, "campus");
    let mut first = node.join(&token).await;
    let mut second = node.join(&token).await;
    assert_eq!(first.bye().await.0, ByeReason::Replaced);
    second.ask(MemberCommand::Start).await.unwrap();
    assert_eq!(second.state().members.len(), 1);
}

#[tokio::test]
async fn who_is_not_invited_is_told_so() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut page = node.knock(LESSON).await;
    page.say_join(&site.token("x", Role::Student, "school-99")).await;
    match page.hear().await {
        Some(ServerMessage::Refused { id: 0, code: Refusal::NotInvited, message }) => {
            assert_eq!(message, "This school is not invited to this lesson.");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(page.hear().await, None, "and then the socket closes");
}

#[tokio::test]
async fn a_page_that_breaks_the_protocol_is_told_how_and_nobody_else_notices() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut teacher = node.join(&site.token("li", Role::Teacher, "campus")).await;
    let token = site.token("wang", Role::Student, "school-01");
    let large = format!(r#"{{"type":"watch-offer","id":1,"sdp":"{}"}}"#, "x".repeat(MAX_MESSAGE));
    for (text, part) in [
        ("{", "could not be understood"),
        (r#"{"type":"dance"}"#, "could not be understood"),
        (r#"{"type":"join","token":""}"#, "second join"),
        (&large, "larger than allowed"),
    ] {
        let mut pupil = node.join(&token).await;
        pupil.say_text(text).await;
        let (reason, sentence) = pupil.bye().await;
        assert_eq!(reason, ByeReason::Protocol);
        assert!(sentence.contains(part), "{sentence}");
    }
    let mut eager = node.knock(LESSON).await;
    eager.say_text(r#"{"type":"command","id":1,"command":{"do":"end"}}"#).await;
    assert_eq!(eager.bye().await.0, ByeReason::Protocol);
    teacher.ask(MemberCommand::Start).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_messages_ends_only_the_socket_it_comes_from() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut teacher = node.join(&site.token("li", Role::Teacher, "campus")).await;
    let mut pupil = node.join(&site.token("wang", Role::Student, "school-01")).await;
    for id in 0..2000 {
        let command = MemberCommand::RaiseHand;
        pupil.say(&ClientMessage::Command { id, command }).await;
    }
    assert_eq!(pupil.bye().await.0, ByeReason::Protocol);
    teacher.ask(MemberCommand::Start).await.unwrap();
}

#[tokio::test]
async fn a_watch_offer_that_is_not_sdp_fails_with_a_sentence() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut pupil = node.join(&site.token("wang", Role::Student, "school-01")).await;
    pupil.say(&ClientMessage::WatchOffer { id: 7, sdp: "hello".into() }).await;
    match pupil.hear().await {
        Some(ServerMessage::Failed { id: 7, message }) => assert!(message.ends_with('.')),
        other => panic!("{other:?}"),
    }
    pupil.ask(MemberCommand::RaiseHand).await.unwrap();
}

#[tokio::test]
async fn lines_of_sound_are_bound_to_the_loudest_and_no_others() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut pupil = node.join(&site.token("wang", Role::Student, "school-01")).await;
    let sdp = OFFER.replace("a=sendonly", "a=recvonly");
    pupil.say(&ClientMessage::WatchOffer { id: 1, sdp }).await;
    assert!(matches!(pupil.hear().await, Some(ServerMessage::WatchAnswer { id: 1, .. })));
    let (sound, picture) = ("0", "1");
    let own: TrackId = "wang/microphone".parse().unwrap();
    for (id, mid, track, loudest, done) in [
        (2, sound, None, Some(1), true),
        (3, sound, None, Some(3), true),
        (4, sound, None, Some(4), false),
        (5, sound, None, Some(0), false),
        (6, picture, None, Some(1), false),
        (7, sound, Some(own), Some(1), false),
        (8, sound, None, None, true),
    ] {
        let slots = vec![Slot { mid: mid.into(), track, loudest, small: false }];
        pupil.say(&ClientMessage::Watch { id, slots }).await;
        match pupil.hear().await {
            Some(ServerMessage::Done { id: answered }) => assert!(done && answered == id),
            Some(ServerMessage::Refused { id: answered, code, .. }) => {
                assert!(!done && answered == id && code == Refusal::NoSuchTrack, "{id}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_node_that_goes_down_says_so_and_the_lesson_goes_on_when_it_is_back() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let token = site.token("li", Role::Teacher, "campus");
    let mut teacher = node.join(&token).await;
    teacher.ask(MemberCommand::Start).await.unwrap();
    let ended = tokio::spawn(node.terminate());
    assert_eq!(teacher.bye().await.0, ByeReason::Shutdown);
    assert!(soon("the end", ended).await.unwrap().success());
    let node = site.campus(&[("LIMITS__REJOIN_WITHIN_S", "1")]).await;
    let back = node.join(&token).await;
    assert_eq!(back.state().phase, Phase::Live);
    assert!(back.state().members.contains_key(&id("li")));
}

#[tokio::test]
async fn a_hand_raised_at_the_school_reaches_the_campus_also_after_an_outage() {
    let site = Site::new();
    let campus = site.campus(&[]).await;
    let school = site.school(&[]).await;
    school.ready().await;
    let teacher_token = site.token("li", Role::Teacher, "campus");
    let mut teacher = campus.join(&teacher_token).await;
    teacher.ask(MemberCommand::Start).await.unwrap();
    let pupil_token = site.token("wang", Role::Classroom, "school-01");
    let mut pupil = school.join(&pupil_token).await;
    pupil.ask(MemberCommand::RaiseHand).await.unwrap();
    teacher.event(|e| matches!(e, EventBody::HandRaised { .. })).await;
    assert_eq!(pupil.ask(MemberCommand::RaiseHand).await, Err(Refusal::HandAlreadyUp));
    teacher.ask(MemberCommand::Call { member: id("wang") }).await.unwrap();
    pupil.event(|e| matches!(e, EventBody::StageCalled { .. })).await;

    let terminated = campus.terminate().await;
    assert!(terminated.success());
    while pupil.hear().await != Some(ServerMessage::Campus { reachable: false }) {}
    // Meanwhile the school decides for its own, also when the classroom's page is reloaded.
    pupil.ask(MemberCommand::Dismiss { member: None }).await.unwrap();
    let mut pupil = school.join(&pupil_token).await;
    assert!(pupil.state().stage.is_empty());
    let campus = site.campus(&[]).await;
    let mut teacher = campus.join(&teacher_token).await;
    while !teacher.state().stage.is_empty() {
        teacher.hear().await.expect("the campus hears of it");
    }
    let me = pupil.me().clone();
    // What a classroom sees of it: the teacher's page is shown more.
    let shown = |state: &State| State { seq: 0, ..Viewer::new(me.clone()).state(state) };
    while shown(pupil.state()) != shown(teacher.state()) {
        pupil.hear().await.expect("both ends agree in the end");
    }
}
