//! A lesson whose line to the campus is cut: the class goes on, and afterwards there is one
//! history, in which everything of both sides is, once.

mod common;
#[path = "common/line.rs"]
mod line;

use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::socket::ServerMessage;
use cloudschool_protocol::view::Viewer;
use common::{Node, Page, Site, soon};
use line::Line;
use std::collections::HashSet;
use std::time::{Duration, Instant};

fn id(name: &str) -> MemberId {
    MemberId::new(name).unwrap()
}

fn raised(by: &str) -> impl Fn(&EventBody) -> bool + use<> {
    let by = id(by);
    move |e| matches!(e, EventBody::HandRaised { member } if *member == by)
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

/// Waits until the page is told the state anew.
async fn state_anew(page: &mut Page) {
    loop {
        if let ServerMessage::State { .. } = page.hear().await.expect("the page stays connected") {
            return;
        }
    }
}

struct Class {
    site: Site,
    line: Line,
    campus: Node,
    school: Node,
}

impl Class {
    async fn new() -> Self {
        let site = Site::new();
        let campus = site.campus(&[]).await;
        let line = Line::to(site.trunk()).await;
        let school = Self::school(&site, &line).await;
        school.ready().await;
        Self { site, line, campus, school }
    }

    async fn school(site: &Site, line: &Line) -> Node {
        let upstream = line.address.to_string();
        // Also the port of a line that leads nowhere says so, as a firewall would not.
        site.school(&[("TRUNK__UPSTREAM", &upstream)]).await
    }

    async fn pupil(&self, name: &str) -> Page {
        self.school.join(&self.site.token(name, Role::Student, "school-01")).await
    }

    /// The campus's log, in which every event must be once.
    fn log(&self) -> Vec<Event> {
        let log = self.site.log("campus");
        let ids: HashSet<_> = log.iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), log.len(), "an event is in the log twice");
        log
    }

    /// Both nodes and every page are of one mind: the school's copy is the campus's log, and
    /// pages have what is theirs of the state that follows from it.
    async fn agree(&self, pages: &[&Page]) {
        let same = async {
            while self.site.log("school-01") != self.site.log("campus") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon("the school's copy", same).await;
        let log = self.log();
        let mut state = State::new(pages[0].state().info.clone());
        log.iter().for_each(|event| state.apply(event).unwrap());
        for page in pages {
            let shown = |state: &State| {
                let shown = Viewer::new(page.me().clone()).state(state);
                // Of the last events some may not be this page's.
                State { seq: 0, ..shown }
            };
            assert_eq!(shown(page.state()), shown(&state));
        }
    }
}

fn count(log: &[Event], what: impl Fn(&EventBody) -> bool) -> usize {
    log.iter().filter(|event| what(&event.body)).count()
}

#[tokio::test]
async fn a_class_goes_on_while_the_line_is_cut_and_nothing_of_it_is_lost_or_doubled() {
    let class = Class::new().await;
    let mut teacher = class.campus.join(&class.site.token("li", Role::Teacher, "campus")).await;
    teacher.ask(MemberCommand::Start).await.unwrap();
    let mut home = class.campus.join(&class.site.token("home", Role::Student, "campus")).await;
    let assistant = class.site.token("assistant", Role::Assistant, "school-01");
    let mut assistant = class.school.join(&assistant).await;
    let mut wang = class.pupil("wang").await;
    let mut zhao = class.pupil("zhao").await;

    class.line.cut();
    let cut = Instant::now();
    campus(&mut wang, false).await;
    let noticed = cut.elapsed();
    // The class among itself: hands up and down, a new member, the assistant in the lead.
    wang.ask(MemberCommand::RaiseHand).await.unwrap();
    let shown = zhao.event(raised("wang")).await;
    assert!(shown.late.is_some_and(|late| late.heard_ms.is_none()), "it is provisional");
    zhao.ask(MemberCommand::RaiseHand).await.unwrap();
    zhao.ask(MemberCommand::LowerHand { member: None }).await.unwrap();
    let mut late = class.pupil("late").await;
    late.ask(MemberCommand::RaiseHand).await.unwrap();
    let muted = MemberCommand::Mute { member: id("zhao"), muted: true };
    assistant.ask(muted).await.unwrap();
    assert_eq!(assistant.ask(MemberCommand::End).await, Err(Refusal::CampusAway));
    // The campus meanwhile.
    home.ask(MemberCommand::RaiseHand).await.unwrap();
    teacher.ask(MemberCommand::Call { member: id("home") }).await.unwrap();
    teacher.ask(MemberCommand::LowerHand { member: Some(id("wang")) }).await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(8).saturating_sub(cut.elapsed())).await;

    class.line.mend();
    let mended = Instant::now();
    let heard = teacher.event(raised("late")).await;
    let handed_up = mended.elapsed();
    let late_by = heard.late.clone().expect("it was handed up");
    assert_eq!(late_by.node.as_str(), "school-01");
    assert!(late_by.heard_ms.unwrap() > heard.at_ms + 3_000, "its time is when it happened");
    for page in [&mut assistant, &mut wang, &mut zhao, &mut late] {
        state_anew(page).await;
    }
    // From here on the campus decides again, and everybody sees it.
    teacher.ask(MemberCommand::LowerHand { member: Some(id("late")) }).await.unwrap();
    for page in [&mut assistant, &mut wang, &mut zhao, &mut late, &mut home] {
        page.event(|e| matches!(e, EventBody::HandLowered { by, .. } if *by == id("li"))).await;
    }
    let hands: Vec<_> = teacher.state().hands.iter().map(|h| h.member.as_str()).collect();
    assert_eq!(hands, ["wang"]);
    class.agree(&[&teacher, &home, &assistant, &wang, &zhao, &late]).await;
    let log = class.log();
    for name in ["wang", "zhao", "late", "home"] {
        assert_eq!(count(&log, raised(name)), 1, "{name}");
    }
    assert_eq!(count(&log, |e| matches!(e, EventBody::HandLowered { .. })), 2);
    eprintln!("away shown after {noticed:?}, handed up {handed_up:?} after the line");
    assert!(noticed < Duration::from_secs(3), "{noticed:?}");
    assert!(handed_up < Duration::from_secs(5), "{handed_up:?}");
}

#[tokio::test]
async fn what_was_under_way_when_the_line_broke_counts_as_the_school_decided_it() {
    let class = Class::new().await;
    let mut teacher = class.campus.join(&class.site.token("li", Role::Teacher, "campus")).await;
    teacher.ask(MemberCommand::Start).await.unwrap();
    let mut guest = class.school.join(&class.site.token("guest", Role::Teacher, "school-01")).await;
    let mut wang = class.pupil("wang").await;
    class.line.cut();
    let cut = Instant::now();
    // Nobody knows of the cut yet: both go up, and wait in the line until it is back.
    let (raised_hand, ended) =
        tokio::join!(wang.ask(MemberCommand::RaiseHand), guest.ask(MemberCommand::End));
    let told_ms = cloudschool_service::clock::now_ms();
    assert_eq!((raised_hand, ended), (Ok(()), Err(Refusal::CampusAway)));
    tokio::time::sleep(Duration::from_secs(5).saturating_sub(cut.elapsed())).await;
    class.line.mend();
    let heard = soon("the hand", teacher.event(raised("wang"))).await;
    assert!(heard.at_ms.abs_diff(told_ms) < 1_000, "it happened at {told_ms}: {heard:?}");
    assert!(heard.late.is_some_and(|late| late.heard_ms.unwrap() > heard.at_ms + 1_000));
    let lower = MemberCommand::LowerHand { member: Some(id("wang")) };
    teacher.ask(lower).await.unwrap();
    while !teacher.state().hands.is_empty() {
        assert!(teacher.hear().await.is_some(), "the page stays connected");
    }
    for page in [&mut wang, &mut guest] {
        let same = async {
            while page.sees(page.state()) != page.sees(teacher.state()) {
                assert!(page.hear().await.is_some(), "the page stays connected");
            }
        };
        soon("one history", same).await;
    }
    class.agree(&[&teacher, &wang, &guest]).await;
    assert_eq!(teacher.state().phase, Phase::Live, "what was refused does not happen later");
    assert_eq!(count(&class.log(), raised("wang")), 1);
}

#[tokio::test]
async fn what_a_school_decided_outlives_a_power_cut_in_the_middle_of_it() {
    let mut class = Class::new().await;
    let mut teacher = class.campus.join(&class.site.token("li", Role::Teacher, "campus")).await;
    teacher.ask(MemberCommand::Start).await.unwrap();
    let mut wang = class.pupil("wang").await;
    class.line.cut();
    campus(&mut wang, false).await;
    wang.ask(MemberCommand::RaiseHand).await.unwrap();
    wang.cut();
    class.school.kill().await;
    class.school = Class::school(&class.site, &class.line).await;
    let wang = class.pupil("wang").await;
    assert_eq!(wang.state().hands.len(), 1, "before the campus is there");
    assert_eq!(wang.state().phase, Phase::Live);
    class.line.mend();
    teacher.event(raised("wang")).await;
    let mut wang = wang;
    while wang.state().seq < teacher.state().seq
        || wang.sees(wang.state()) != wang.sees(teacher.state())
    {
        wang.hear().await.unwrap();
    }
    class.agree(&[&teacher, &wang]).await;
    assert_eq!(count(&class.log(), raised("wang")), 1);
}

#[tokio::test]
async fn a_campus_that_is_killed_and_started_again_goes_on_with_the_lesson() {
    let mut class = Class::new().await;
    let teachers = class.site.token("li", Role::Teacher, "campus");
    let mut teacher = class.campus.join(&teachers).await;
    teacher.ask(MemberCommand::Start).await.unwrap();
    // The answer may come before the event.
    while teacher.state().session.is_none() {
        assert!(teacher.hear().await.is_some(), "the page stays connected");
    }
    let session = teacher.state().session;
    let mut wang = class.pupil("wang").await;
    wang.ask(MemberCommand::RaiseHand).await.unwrap();
    class.campus.kill().await;
    campus(&mut wang, false).await;
    wang.ask(MemberCommand::LowerHand { member: None }).await.unwrap();
    wang.ask(MemberCommand::RaiseHand).await.unwrap();
    class.campus = class.site.campus(&[]).await;
    let mut teacher = class.campus.join(&teachers).await;
    assert_eq!((teacher.state().phase, teacher.state().session), (Phase::Live, session));
    let both = async {
        while wang.sees(wang.state()) != wang.sees(teacher.state())
            || count(&class.site.log("campus"), raised("wang")) < 2
        {
            tokio::select! {
                heard = wang.hear() => assert!(heard.is_some(), "the page stays connected"),
                heard = teacher.hear() => assert!(heard.is_some()),
            }
        }
    };
    soon("one history", both).await;
    class.agree(&[&teacher, &wang]).await;
    assert_eq!(teacher.state().hands.len(), 1);
}
