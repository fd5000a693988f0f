//! What a node refuses: with the right status and one sentence, and nobody else notices.

mod common;

use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::socket::ServerMessage;
use common::{LESSON, Node, OFFER, Page, Site};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// A refused request: its status and its sentence, after checking that it is a whole problem.
async fn problem(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    if status == 401 {
        assert!(response.headers().contains_key("www-authenticate"));
    }
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    assert!(body["title"].is_string() && body["type"].is_string());
    let detail = body["detail"].as_str().unwrap().to_owned();
    assert!(detail.ends_with(['.', '。']), "not a sentence: {detail}");
    (status, detail)
}

/// A class that must not notice anything: a teacher publishing, and a pupil.
struct Class {
    teacher: Page,
    pupil: Page,
    teacher_token: String,
}

impl Class {
    async fn gather(site: &Site, node: &Node) -> Self {
        let teacher_token = site.token("li", Role::Teacher, "campus");
        let mut teacher = node.join(&teacher_token).await;
        teacher.ask(MemberCommand::Start).await.unwrap();
        let pupil = node.join(&site.token("wang", Role::Student, "school-01")).await;
        Self { teacher, pupil, teacher_token }
    }

    /// The lesson goes on: a hand goes up and down, and someone can publish and stop.
    async fn goes_on(&mut self, node: &Node) {
        self.pupil.ask(MemberCommand::RaiseHand).await.unwrap();
        self.teacher.event(|e| matches!(e, EventBody::HandRaised { .. })).await;
        self.pupil.ask(MemberCommand::LowerHand { member: None }).await.unwrap();
        self.teacher.event(|e| matches!(e, EventBody::HandLowered { .. })).await;
        let published = node.whip(LESSON, &self.teacher_token, OFFER).await;
        assert_eq!(published.status(), 201, "{}", published.text().await.unwrap());
        let session = published.headers()["location"].to_str().unwrap().to_owned();
        assert_eq!(published.headers()["content-type"], "application/sdp");
        assert!(published.text().await.unwrap().starts_with("v=0\r\n"));
        let stop = reqwest::Client::new()
            .delete(node.url(&session))
            .bearer_auth(&self.teacher_token)
            .send();
        assert_eq!(stop.await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_wrong_or_expired_token_is_answered_401_and_one_for_another_lesson_403() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut class = Class::gather(&site, &node).await;
    let good = site.token("zhao", Role::Student, "school-01");
    let (claims, _) = good.rsplit_once('.').unwrap();
    let other = site.token("sun", Role::Teacher, "campus");
    let (_, signature) = other.rsplit_once('.').unwrap();
    let elsewhere = Site::new().token("zhao", Role::Student, "school-01");
    let expired = site.sign("zhao", Role::Student, "school-01", Some(LESSON), -60);
    let other = site.sign("zhao", Role::Student, "school-01", Some("art"), 60);
    for (token, status, part) in [
        ("nonsense", 401, "not a signed JSON Web Token"),
        (&format!("{claims}.{signature}"), 401, "signature"),
        (&elsewhere, 401, "signature"),
        (&expired, 401, "expired"),
        (&other, 403, "another lesson"),
    ] {
        let (got, sentence) = problem(node.whip(LESSON, token, OFFER).await).await;
        assert!(got == status && sentence.contains(part), "{token}: {got} {sentence}");
        let mut page = node.knock(LESSON).await;
        page.say_join(token).await;
        let (reason, sentence) = page.bye().await;
        assert_eq!(reason, cloudschool_protocol::socket::ByeReason::Unauthorized);
        assert!(sentence.contains(part), "{token}: {sentence}");
    }
    let none = reqwest::Client::new().post(node.url("/whip/demo-lesson")).body(OFFER).send();
    assert_eq!(problem(none.await.unwrap()).await.0, 401);
    let list = reqwest::get(node.url("/api/lessons")).await.unwrap();
    assert_eq!(problem(list).await.0, 401);
    let observer = site.token("guest", Role::Observer, "campus");
    assert_eq!(problem(node.whip(LESSON, &observer, OFFER).await).await.0, 403);
    class.goes_on(&node).await;
}

#[tokio::test]
async fn an_unknown_lesson_is_answered_404_in_the_readers_language() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut class = Class::gather(&site, &node).await;
    let token = site.sign("zhao", Role::Student, "school-01", None, 60);
    for lesson in ["nothing", ".hidden", "a%2Fb", "a%20b", "%ff"] {
        let (status, _) = problem(node.whip(lesson, &token, OFFER).await).await;
        assert_eq!(status, 404, "{lesson}");
    }
    let (status, sentence) = problem(node.whip("nothing", &token, OFFER).await).await;
    assert_eq!((status, sentence.as_str()), (404, "There is no such lesson."));
    let socket = reqwest::Client::new()
        .get(node.url("/lessons/nothing/socket"))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .send();
    let (status, sentence) = problem(socket.await.unwrap()).await;
    assert_eq!((status, sentence.as_str()), (404, "没有这节课。"));
    let session = reqwest::Client::new()
        .delete(node.url("/whip/demo-lesson/0123456789abcdef"))
        .bearer_auth(&token)
        .send();
    assert_eq!(problem(session.await.unwrap()).await.0, 404);
    class.goes_on(&node).await;
}

#[tokio::test]
async fn an_offer_that_is_not_sdp_is_answered_400_and_of_another_type_415() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut class = Class::gather(&site, &node).await;
    let token = class.teacher_token.clone();
    let long = "v=0\r\n".repeat(20_000);
    let anonymous = OFFER.replace("a=fingerprint:", "a=finger:");
    for (offer, least) in [
        ("", 400),
        ("hello", 400),
        ("{\"sdp\": \"v=0\"}", 400),
        ("v=0\r\nm=\r\n", 400),
        (long.as_str(), 400),
        // Well-formed, with nothing in it to take.
        ("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", 406),
        (anonymous.as_str(), 400),
    ] {
        let start: String = offer.chars().take(40).collect();
        let response = node.whip(LESSON, &token, offer).await;
        assert!(!response.status().is_success(), "{start:?} was taken");
        let (status, _) = problem(response).await;
        assert!((least..=406).contains(&status), "{start:?}: {status}");
    }
    let client = reqwest::Client::new();
    let to = |path: &str| client.post(node.url(path)).bearer_auth(&token);
    let binary = to("/whip/demo-lesson").header("content-type", "application/sdp");
    assert_eq!(problem(binary.body(vec![0xff; 64]).send().await.unwrap()).await.0, 400);
    let json = to("/whip/demo-lesson").header("content-type", "application/json").body("{}");
    let refused = json.send().await.unwrap();
    assert_eq!(refused.headers()["accept-post"], "application/sdp");
    assert_eq!(problem(refused).await.0, 415);
    let source = to("/whip/demo-lesson?source=window").header("content-type", "application/sdp");
    assert_eq!(problem(source.body(OFFER).send().await.unwrap()).await.0, 400);
    let patch = || client.patch(node.url("/whip/demo-lesson/1")).bearer_auth(&token);
    assert_eq!(problem(patch().send().await.unwrap()).await.0, 415);
    let trickle = patch().header("content-type", "application/trickle-ice-sdpfrag");
    assert_eq!(problem(trickle.send().await.unwrap()).await.0, 428);
    assert!(class.teacher.state().tracks.is_empty(), "nothing of it was published");
    class.goes_on(&node).await;
}

#[tokio::test]
async fn a_ten_megabyte_body_is_answered_413() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut class = Class::gather(&site, &node).await;
    let big = "a".repeat(10 * 1024 * 1024);
    let (status, sentence) = problem(node.whip(LESSON, &class.teacher_token, &big).await).await;
    assert_eq!((status, sentence.as_str()), (413, "The request body is too large."));
    // With no length announced the limit holds as well.
    let chunks =
        futures_util::stream::iter((0..160).map(|_| Ok::<_, std::io::Error>(vec![b'a'; 65_536])));
    let sent = reqwest::Client::new()
        .post(node.url("/whip/demo-lesson"))
        .bearer_auth(&class.teacher_token)
        .header("content-type", "application/sdp")
        .body(reqwest::Body::wrap_stream(chunks))
        .send()
        .await;
    // The node stops reading: the client sees the answer or a connection closed on it.
    if let Ok(response) = sent {
        assert_eq!(problem(response).await.0, 413);
    }
    let operator = site.sign("ops", Role::Operator, "campus", None, 60);
    let lesson = reqwest::Client::new()
        .post(node.url("/api/lessons"))
        .bearer_auth(operator)
        .header("content-type", "application/json")
        .body(big)
        .send();
    assert_eq!(problem(lesson.await.unwrap()).await.0, 413);
    class.goes_on(&node).await;
}

/// A file system of half a megabyte, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount.
    async fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=512k", "cloudschool-test"];
        let mounted = Command::new("mount").args(options).arg(at).output().await.ok()?;
        mounted.status.success().then(|| Self(at.into()))
    }

    fn fill(&self) {
        let mut piece = vec![b'x'; 65_536];
        let mut n = 0;
        while !piece.is_empty() {
            n += 1;
            if std::fs::write(self.0.join(format!("filler-{n}")), &piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
    }

    fn free(&self) {
        for entry in std::fs::read_dir(&self.0).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("filler") {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        if !unmounted.is_ok_and(|s| s.success()) {
            eprintln!("{} is still mounted", self.0.display());
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_what_must_be_stored_and_the_lesson_goes_on_after_it() {
    let site = Site::new();
    let Some(disk) = SmallDisk::mount(&site.data("campus")).await else {
        eprintln!("skipped: this user may not mount a small file system to fill");
        return;
    };
    let node = site.campus(&[]).await;
    let mut class = Class::gather(&site, &node).await;
    disk.fill();
    // The log's last page has room for some events yet.
    let mut refused = None;
    for n in 0..200 {
        let token = site.token(&format!("s{n}"), Role::Student, "school-01");
        let mut page = node.knock(LESSON).await;
        page.say_join(&token).await;
        match page.hear().await {
            Some(ServerMessage::Welcome { .. }) => {}
            Some(ServerMessage::Refused { id: 0, code, message }) => {
                refused = Some((n, code, message));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let (n, code, message) = refused.expect("the disk is full");
    assert_eq!(code, Refusal::Storage);
    assert_eq!(message, "The server can't store this; please tell the operator.");
    let token = site.token(&format!("s{n}"), Role::Student, "school-01");
    let (status, sentence) = problem(node.whip(LESSON, &token, OFFER).await).await;
    assert_eq!((status, sentence), (507, message));
    let operator = site.sign("ops", Role::Operator, "campus", None, 60);
    let create = |id: &str| {
        let lesson = serde_json::json!({
            "id": id, "title": "光的折射", "teacher": "周老师", "campus": "campus", "schools": ["school-01"]
        });
        let client = reqwest::Client::new();
        client.post(node.url("/api/lessons")).bearer_auth(&operator).json(&lesson).send()
    };
    assert_eq!(problem(create("physics").await.unwrap()).await.0, 507);
    let known = reqwest::get(node.url("/readyz")).await.unwrap();
    assert_eq!(known.status(), 200);

    disk.free();
    class.goes_on(&node).await;
    let seq = class.teacher.state().seq;
    assert_eq!(create("physics").await.unwrap().status(), 201);
    assert_eq!(create("physics").await.unwrap().status(), 200);
    node.join(&token).await.cut();

    // What was stored is whole: after a power cut the lesson is there to its last event.
    node.kill().await;
    let node = site.campus(&[]).await;
    let pupil = node.join(&site.token("wang", Role::Student, "school-01")).await;
    assert!(pupil.state().seq > seq && pupil.state().session.is_some());
    drop(node);
}
