//! Nodes under nodes, as real processes: a campus, a district's node and a school's behind it.

mod common;

use cloudschool_protocol::command::{Command, MemberCommand};
use cloudschool_protocol::event::{Event, EventBody, LeaveReason};
use cloudschool_protocol::id::{LessonId, MemberId, NodeId, SchoolId};
use cloudschool_protocol::lesson::Phase;
use cloudschool_protocol::media::{Codec, TrackId};
use cloudschool_protocol::member::{Member, Role};
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::socket::{ClientMessage, ServerMessage};
use cloudschool_protocol::trunk::{Control, HandUpEntry, Standing};
use cloudschool_relay::{Dialer, Identity, Trunk, TrunkReceiver, ca};
use common::{LESSON, Node, Page, Site, free_address, soon};
use serde_json::json;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use uuid::Uuid;

fn id(name: &str) -> MemberId {
    MemberId::new(name).unwrap()
}

fn joined(who: &str) -> impl Fn(&EventBody) -> bool + use<> {
    let who = id(who);
    move |e| matches!(e, EventBody::MemberJoined { member } if member.id == who)
}

fn raised(e: &EventBody) -> bool {
    matches!(e, EventBody::HandRaised { .. })
}

fn lowered(e: &EventBody) -> bool {
    matches!(e, EventBody::HandLowered { .. })
}

/// Waits until the page hears that the campus is there, or not.
async fn campus(page: &mut Page, wanted: bool) {
    loop {
        match page.hear().await.expect("the page stays connected") {
            ServerMessage::Campus { reachable } if reachable == wanted => return,
            _ => {}
        }
    }
}

/// A log without a hole in which nothing is twice.
fn whole(log: &[Event]) {
    let seqs: Vec<u64> = log.iter().map(|e| e.seq).collect();
    assert_eq!(seqs, (1..=log.len() as u64).collect::<Vec<_>>());
    assert_eq!(log.iter().map(|e| e.id).collect::<HashSet<_>>().len(), log.len());
}

struct Chain {
    site: Site,
    campus: Node,
    district: Node,
    /// Where the district's node listens.
    middle: SocketAddr,
    school: Node,
}

impl Chain {
    /// A campus, a district behind it, and a school that dials `upstreams` of the district's
    /// address and the campus's.
    async fn new(upstreams: impl Fn(SocketAddr, SocketAddr) -> String) -> Self {
        let site = Site::new();
        let campus = site.campus(&[]).await;
        let middle = free_address();
        let district = site.district("district-1", middle, &[]).await;
        let upstreams = upstreams(middle, site.trunk());
        let env = [("TRUNK__UPSTREAM", upstreams.as_str()), ("TRUNK__RETURN_AFTER_S", "2")];
        let school = site.school(&env).await;
        district.ready().await;
        school.ready().await;
        Self { site, campus, district, middle, school }
    }

    async fn teacher(&self) -> Page {
        self.campus.join(&self.site.token("li", Role::Teacher, "campus")).await
    }

    async fn pupil(&self) -> Page {
        self.school.join(&self.site.token("wang", Role::Student, "school-01")).await
    }
}

#[tokio::test]
async fn a_school_behind_a_district_takes_part_as_if_the_district_were_not_there() {
    let chain = Chain::new(|district, _| district.to_string()).await;
    let mut teacher = chain.teacher().await;
    let mut pupil = chain.pupil().await;
    let token = chain.site.token("zhou", Role::Observer, "school-01");
    let mut guest = chain.district.join(&token).await;
    teacher.event(joined("zhou")).await;
    let node = |who: &str| teacher.state().members[&id(who)].node.as_str();
    assert_eq!((node("wang"), node("zhou")), ("school-01", "district-1"));

    teacher.ask(MemberCommand::Start).await.unwrap();
    assert_eq!(pupil.ask(MemberCommand::End).await, Err(Refusal::NotAllowed));
    pupil.ask(MemberCommand::RaiseHand).await.unwrap();
    assert_eq!(pupil.state().hands.len(), 1, "the event comes before the answer");
    teacher.event(raised).await;
    teacher.ask(MemberCommand::Call { member: id("wang") }).await.unwrap();
    pupil.event(|e| matches!(e, EventBody::StageCalled { .. })).await;
    guest.event(|e| matches!(e, EventBody::StageCalled { .. })).await;
    pupil.say(&ClientMessage::Leave).await;
    let left = |e: &EventBody| matches!(e, EventBody::MemberLeft { member, reason: LeaveReason::Left } if *member == id("wang"));
    teacher.event(left).await;
    guest.event(left).await;
    whole(&chain.site.log("campus"));
    let metrics = reqwest::get(chain.campus.url("/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("cloudschool_nodes_behind 2"), "district and school:\n{metrics}");
}

#[tokio::test]
async fn an_event_of_a_later_release_goes_through_every_node_in_its_place() {
    let site = Site::new();
    site.campus(&[]).await.terminate().await;
    let file = |node: &str| site.data(node).join("lessons").join(LESSON).join("events.ndjson");
    let mut written = std::fs::read_to_string(file("campus")).unwrap();
    let seq = site.log("campus").len() + 1;
    let said = json!({
        "seq": seq, "id": Uuid::now_v7(), "atMs": 1_700_000_000_000u64,
        "type": "weather.changed", "rain": [1.5, null], "at": {"school": "school-01"},
    });
    writeln!(written, "{said}").unwrap();
    std::fs::write(file("campus"), written).unwrap();

    let campus = site.campus(&[]).await;
    let middle = free_address();
    let district = site.district("district-1", middle, &[]).await;
    let mut school = site.school(&[("TRUNK__UPSTREAM", &middle.to_string())]).await;
    school.logged("the campus runs a later release").await;
    district.ready().await;
    school.ready().await;
    let mut teacher = campus.join(&site.token("li", Role::Teacher, "campus")).await;
    let mut pupil = school.join(&site.token("wang", Role::Student, "school-01")).await;
    teacher.ask(MemberCommand::Start).await.unwrap();
    pupil.ask(MemberCommand::RaiseHand).await.unwrap();
    teacher.event(raised).await;
    for node in ["campus", "district-1", "school-01"] {
        whole(&site.log(node));
        let text = std::fs::read_to_string(file(node)).unwrap();
        let line: serde_json::Value =
            serde_json::from_str(text.lines().nth(seq - 1).unwrap()).unwrap();
        assert_eq!(line, said, "{node} has it as it came");
        assert!(site.log(node).len() > seq + 3, "{node} has what came after it");
    }
}

#[tokio::test]
async fn nodes_that_dial_in_a_circle_say_so() {
    let site = Site::new();
    let (one, two) = (free_address(), free_address());
    let (to_one, to_two) = (one.to_string(), two.to_string());
    let mut first = site.district("district-1", one, &[("TRUNK__UPSTREAM", &to_two)]).await;
    let _second = site.district("district-2", two, &[("TRUNK__UPSTREAM", &to_one)]).await;
    first.logged("would get its lessons from itself").await;
}

#[tokio::test]
async fn a_school_whose_district_fails_goes_to_the_campus_and_comes_back_to_the_district() {
    let mut chain = Chain::new(|district, campus| format!("[\"{district}\", \"{campus}\"]")).await;
    let mut teacher = chain.teacher().await;
    let mut pupil = chain.pupil().await;
    teacher.ask(MemberCommand::Start).await.unwrap();
    pupil.ask(MemberCommand::RaiseHand).await.unwrap();
    teacher.event(raised).await;

    let cut = Instant::now();
    chain.district.kill().await;
    pupil.ask(MemberCommand::LowerHand { member: None }).await.unwrap();
    chain.school.logged("the trunk upwards is up peer=campus").await;
    teacher.event(lowered).await;
    let moved = cut.elapsed();
    assert!(moved < Duration::from_secs(15), "it took {moved:?}");

    chain.district = chain.site.district("district-1", chain.middle, &[]).await;
    chain.school.logged("the trunk upwards is up peer=district-1").await;
    pupil.ask(MemberCommand::RaiseHand).await.unwrap();
    teacher.event(raised).await;
    let log = chain.site.log("campus");
    whole(&log);
    let hands = log.iter().filter(|e| raised(&e.body) || lowered(&e.body));
    assert_eq!(hands.count(), 3, "up, down and up again");
}

#[tokio::test]
async fn a_campus_that_is_killed_takes_the_lesson_up_again_for_everyone_behind_a_district() {
    let mut chain = Chain::new(|district, _| district.to_string()).await;
    let mut teacher = chain.teacher().await;
    let mut pupil = chain.pupil().await;
    teacher.ask(MemberCommand::Start).await.unwrap();
    pupil.ask(MemberCommand::RaiseHand).await.unwrap();
    teacher.event(raised).await;

    chain.campus.kill().await;
    campus(&mut pupil, false).await;
    pupil.ask(MemberCommand::LowerHand { member: None }).await.unwrap();
    chain.campus = chain.site.campus(&[]).await;
    campus(&mut pupil, true).await;

    let mut teacher = chain.teacher().await;
    assert_eq!(teacher.state().phase, Phase::Live, "the lesson goes on");
    assert!(teacher.state().members.contains_key(&id("wang")));
    while !teacher.state().hands.is_empty() {
        teacher.event(lowered).await;
    }
    pupil.ask(MemberCommand::RaiseHand).await.unwrap();
    teacher.event(raised).await;
    let log = chain.site.log("campus");
    whole(&log);
    assert_eq!(log.iter().filter(|e| lowered(&e.body)).count(), 1, "handed up, once");
}

/// A node that speaks the trunk itself.
struct Raw {
    trunk: Trunk,
    receiver: TrunkReceiver,
}

impl Raw {
    async fn new(site: &Site, node: &str) -> Self {
        Self::at(site.trunk(), site, node).await
    }

    async fn at(upstream: SocketAddr, site: &Site, node: &str) -> Self {
        let identity = Identity::load(&site.path("tls").join(node)).unwrap();
        let mut dialer = Dialer::new(upstream.to_string(), identity, "raw 1");
        let (trunk, receiver) = soon("a trunk", dialer.connect()).await;
        Self { trunk, receiver }
    }

    async fn say(&self, message: Control) {
        self.trunk.send(message).await.unwrap();
    }

    async fn until<T>(&mut self, wanted: impl Fn(Control) -> Option<T>) -> T {
        let heard = async {
            while let Some(message) = self.receiver.control.recv().await {
                if let Some(wanted) = wanted(message) {
                    return wanted;
                }
            }
            panic!("the trunk ended: {}", self.trunk.closed().await)
        };
        soon("a message", heard).await
    }
}

#[tokio::test]
async fn a_node_that_says_what_it_may_not_is_refused_and_the_lesson_of_others_goes_on() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let mut teacher = node.join(&site.token("li", Role::Teacher, "campus")).await;
    let mut pupil = node.join(&site.token("wang", Role::Student, "school-01")).await;
    teacher.ask(MemberCommand::Start).await.unwrap();
    let lesson = || LessonId::new(LESSON).unwrap();

    // A school that is not invited hears of nothing and gets nothing.
    let mut stranger = Raw::new(&site, "school-02").await;
    let listed = stranger.until(|m| match m {
        Control::Lessons { lessons } => Some(lessons.len()),
        _ => None,
    });
    assert_eq!(listed.await, 0);
    stranger.say(Control::Follow { lesson: lesson(), after: 0 }).await;
    let refused = stranger.until(|m| match m {
        Control::FollowRefused { refusal, .. } => Some(refusal),
        _ => None,
    });
    assert_eq!(refused.await, Refusal::NotInvited);
    let track: TrackId = "li/camera".parse().unwrap();
    let tracks = vec![track.clone()];
    stranger.say(Control::Demand { lesson: lesson(), tracks, limits: vec![] }).await;
    let flow = Control::Flow { flow: 4, lesson: lesson(), track, codec: Codec::H264 };
    stranger.say(flow).await;

    // A school that is invited speaks for itself, for no other node.
    let mut school = Raw::new(&site, "school-01").await;
    let other = NodeId::new("school-02").unwrap();
    let standing = Standing { node: other.clone(), school: SchoolId::new("school-02").ok() };
    school.say(Control::Behind { nodes: vec![standing] }).await;
    let member = Member {
        id: id("zhao"),
        name: "zhao".into(),
        role: Role::Teacher,
        school: SchoolId::new("school-01").unwrap(),
        node: other.clone(),
    };
    for (request, from) in [(1, None), (2, Some(other))] {
        let command = Command::Join { member: member.clone() };
        school.say(Control::Command { request, lesson: lesson(), from, command }).await;
        let outcome = school.until(|m| match m {
            Control::Outcome { request: of, refusal } if of == request => Some(refusal),
            _ => None,
        });
        assert_eq!(outcome.await, Some(Refusal::NotAllowed));
    }
    // What only goes down, and what a later release may say.
    school.say(Control::Lessons { lessons: vec![] }).await;

    // A flood costs it its trunk.
    let flood = async { while school.trunk.send(Control::Keyframe { flow: 1 }).await.is_ok() {} };
    soon("the end of the flood", flood).await;
    let why = school.trunk.closed().await;
    assert!(why.contains("more control messages"), "{why}");

    pupil.ask(MemberCommand::RaiseHand).await.unwrap();
    teacher.event(raised).await;
    let metrics = reqwest::get(node.url("/metrics")).await.unwrap().text().await.unwrap();
    let count = |what: &str| -> u64 {
        let name = format!("cloudschool_trunk_refused_total{{what=\"{what}\"}} ");
        let line = metrics.lines().find_map(|l| l.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("{what} is not in\n{metrics}")).parse().unwrap()
    };
    assert_eq!((count("lesson"), count("node"), count("misplaced")), (3, 2, 1));
    assert!(count("rate") >= 1 && count("keyframe") > 1000);
}

/// Why a certificate does not come that is asked for in the name of `school-01`.
async fn refusal(raw: &mut Raw, asked: Control) -> String {
    raw.say(asked).await;
    raw.until(|m| match m {
        Control::CertificateRefused { to, reason } => Some((to, reason)),
        Control::Renewed { .. } | Control::HttpsCertificate(_) => panic!("it was given: {m:?}"),
        _ => None,
    })
    .await
    .1
}

#[tokio::test]
async fn a_district_gets_certificates_for_nodes_behind_it_and_none_for_a_key_of_its_own() {
    let site = Site::new();
    let authority = site.path("ca").display().to_string();
    let node = site.campus(&[("ENROLMENT__CA", &authority)]).await;
    let mut district = Raw::new(&site, "district-1").await;
    let school = NodeId::new("school-01").unwrap();
    let standing = Standing { node: school.clone(), school: SchoolId::new("school-01").ok() };
    district.say(Control::Behind { nodes: vec![standing] }).await;

    let of = |name: &str| Identity::load(&site.path("tls").join(name)).unwrap();
    let renew = |from: &str, csr: &str, shown: Option<&str>| Control::Renew {
        csr: csr.into(),
        from: NodeId::new(from).ok(),
        certificate: shown.map(|name| of(name).certificate().unwrap()),
    };
    let its_own = of("school-01").request().unwrap();
    let (_, others) = ca::new_key().unwrap();
    for (asked, reason) in [
        (renew("school-02", &its_own, Some("school-02")), "does not stand behind it"),
        (renew("school-01", &its_own, None), "was not shown"),
        (renew("school-01", &its_own, Some("school-02")), "is of the edge school-02"),
        (renew("school-01", &others, Some("school-01")), "not for the key of its certificate"),
        (renew("school-01", &"x".repeat(30_000), Some("school-01")), "too long"),
    ] {
        let said = refusal(&mut district, asked).await;
        assert!(said.contains(reason), "{said:?} is not {reason:?}");
    }
    let names = vec!["192.168.1.10".to_owned()];
    let stolen = Control::Https {
        csr: others.clone(),
        names: names.clone(),
        from: Some(school.clone()),
        certificate: Some(std::fs::read_to_string(site.path("ca/ca.pem")).unwrap()),
    };
    assert!(refusal(&mut district, stolen).await.contains("not accepted"));

    district.say(renew("school-01", &its_own, Some("school-01"))).await;
    let renewed = district.until(|m| match m {
        Control::Renewed { certificate, to } => Some((certificate, to)),
        _ => None,
    });
    let (certificate, to) = renewed.await;
    assert_eq!(to.as_ref(), Some(&school));
    assert_eq!(of("campus").vouched(&certificate).unwrap().peer(), of("school-01").me());
    of("school-01").renew(&certificate).unwrap();

    // A node that is withdrawn gets none any more, by whatever way it asks.
    let dir = site.path("ca");
    let withdrawn = tokio::process::Command::new(env!("CARGO_BIN_EXE_sfu"))
        .args(["ca", "withdraw", "--node", "school-01", "--dir"])
        .arg(&dir)
        .status();
    assert!(withdrawn.await.unwrap().success());
    let said = refusal(&mut district, renew("school-01", &its_own, Some("school-01"))).await;
    assert!(said.contains("withdrawn"), "{said}");

    // Asking without end is answered with less and less, and costs nobody else anything.
    let mut greedy = Raw::new(&site, "school-02").await;
    let too_often = async {
        loop {
            for _ in 0..100 {
                greedy.say(renew("school-02", "", None)).await;
            }
            for _ in 0..100 {
                let answer = greedy.until(|m| match m {
                    Control::CertificateRefused { reason, .. } => Some(reason),
                    _ => None,
                });
                if answer.await.contains("more certificates are asked for") {
                    return;
                }
            }
        }
    };
    soon("a refusal", too_often).await;
    node.join(&site.token("li", Role::Teacher, "campus")).await;
}

#[tokio::test]
async fn what_a_later_release_says_is_refused_alone_also_behind_a_district() {
    let site = Site::new();
    let campus = site.campus(&[]).await;
    let middle = free_address();
    let district = site.district("district-1", middle, &[]).await;
    district.ready().await;
    let mut teacher = campus.join(&site.token("li", Role::Teacher, "campus")).await;
    teacher.ask(MemberCommand::Start).await.unwrap();
    let mut school = Raw::at(middle, &site, "school-01").await;
    let lesson = || LessonId::new(LESSON).unwrap();
    let outcome = async |school: &mut Raw, request: u64, command: Command| {
        school.say(Control::Command { request, lesson: lesson(), from: None, command }).await;
        let answered = school.until(|m| match m {
            Control::Outcome { request: of, refusal } if of == request => Some(refusal),
            _ => None,
        });
        answered.await
    };
    let member = Member {
        id: id("wang"),
        name: "wang".into(),
        role: Role::Student,
        school: SchoolId::new("school-01").unwrap(),
        node: NodeId::new("school-01").unwrap(),
    };
    assert_eq!(outcome(&mut school, 1, Command::Join { member }).await, None);
    let sings =
        json!({"kind": "member", "by": "wang", "command": {"do": "sing", "song": "茉莉花"}});
    let rains = json!({"kind": "weather", "rain": [{"mm": 3}]});
    let reacts =
        json!({"kind": "member", "by": "wang", "command": {"do": "react", "reaction": "volcano"}});
    for (request, command) in [(2, &sings), (3, &rains), (4, &reacts)] {
        let refused = outcome(&mut school, request, Command::Unknown(command.clone())).await;
        assert_eq!(refused, Some(Refusal::NotSupported), "{command}");
    }

    let raises = Command::Member { by: id("wang"), command: MemberCommand::RaiseHand };
    let commands = [Command::Unknown(sings), raises, Command::Unknown(rains)];
    let at_ms = cloudschool_service::clock::now_ms();
    let entry = |command| HandUpEntry { id: Uuid::now_v7(), at_ms, from: None, command };
    let entries: Vec<_> = commands.into_iter().map(entry).collect();
    let ids: Vec<_> = entries.iter().map(|e| e.id).collect();
    school.say(Control::HandUp { lesson: lesson(), entries }).await;
    let taken = school.until(|m| match m {
        Control::HandUpTaken { outcomes, .. } => Some(outcomes),
        _ => None,
    });
    let taken: Vec<_> = taken.await.into_iter().map(|o| (o.id, o.refusal)).collect();
    let refused = Some(Refusal::NotSupported);
    assert_eq!(taken, [(ids[0], refused), (ids[1], None), (ids[2], refused)]);
    teacher.event(raised).await;
}

#[tokio::test]
async fn an_entry_the_campus_does_not_know_is_given_up_by_the_node_that_handed_it_up() {
    let site = Site::new();
    let _campus = site.campus(&[]).await;
    let queue = site.data("school-01").join("lessons").join(LESSON).join("to-hand-up.ndjson");
    std::fs::create_dir_all(queue.parent().unwrap()).unwrap();
    let entry = json!({"id": Uuid::now_v7(), "atMs": 7, "command": {"kind": "weather"}});
    std::fs::write(&queue, format!("{entry}\n")).unwrap();
    let mut school = site.school(&[]).await;
    school.logged("what was decided here is given up").await;
    let empty = async {
        while std::fs::metadata(&queue).unwrap().len() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("an empty queue", empty).await;
}
