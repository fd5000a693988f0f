use super::*;
use crate::lesson::{Asked, Reset};
use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::SchoolId;
use cloudschool_protocol::lesson::Phase;
use cloudschool_protocol::member::{Member, Role};
use uuid::Uuid;

const MATH: &str = "math";

fn id() -> LessonId {
    LessonId::new(MATH).unwrap()
}

fn campus() -> NodeId {
    NodeId::new("campus").unwrap()
}

fn info() -> LessonInfo {
    LessonInfo {
        id: id(),
        title: "二次函数的图像".into(),
        subject: String::new(),
        grade: String::new(),
        teacher: "李老师".into(),
        campus: SchoolId::new("campus").unwrap(),
        schools: vec![],
        school_names: Default::default(),
        planned_start_ms: None,
        planned_minutes: None,
        code: None,
    }
}

fn settings(dir: &Path) -> Settings {
    Settings {
        school_names: Default::default(),
        dir: dir.into(),
        node: campus(),
        limits: Limits { members: 10_000, chat_per_second: 20 },
        rejoin_within: Duration::from_secs(60),
    }
}

fn join(name: &str, role: Role) -> Command {
    let school = SchoolId::new("campus").unwrap();
    let id = MemberId::new(name).unwrap();
    Command::Join { member: Member { id, name: name.into(), role, school, node: campus() } }
}

fn ask(by: &str, command: MemberCommand) -> Command {
    Command::Member { by: MemberId::new(by).unwrap(), command }
}

async fn collect(subscription: &mut Subscription, upto: u64) -> Vec<Event> {
    let mut got = Vec::new();
    while subscription.delivered() < upto {
        got.extend(subscription.next().await.unwrap());
    }
    got
}

#[tokio::test]
async fn a_lesson_is_as_it_was_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let before = {
        let lessons = Lessons::origin(settings(dir.path())).unwrap();
        let (lesson, new) = lessons.open(info()).await.unwrap();
        assert!(new);
        lesson.submit(join("li", Role::Teacher), &campus()).await.unwrap();
        lesson.submit(ask("li", MemberCommand::Start), &campus()).await.unwrap();
        lesson.submit(join("wang", Role::Student), &campus()).await.unwrap();
        lesson.submit(ask("wang", MemberCommand::RaiseHand), &campus()).await.unwrap();
        lesson.state()
    };
    let lessons = Lessons::origin(settings(dir.path())).unwrap();
    let lesson = lessons.get(&id()).unwrap();
    assert_eq!(*lesson.state(), *before);
    assert_eq!(lessons.lines()[0].phase, Phase::Live);
    assert_eq!(collect(&mut lesson.subscribe(0), before.seq).await.len() as u64, before.seq);
    assert!(!lessons.open(info()).await.unwrap().1, "a live lesson stays as it is");
    assert_eq!(*lesson.state(), *before);
}

#[tokio::test]
async fn who_does_not_come_back_after_a_restart_is_lost_and_who_does_stays() {
    let dir = tempfile::tempdir().unwrap();
    {
        let lessons = Lessons::origin(settings(dir.path())).unwrap();
        let (lesson, _) = lessons.open(info()).await.unwrap();
        lesson.submit(join("li", Role::Teacher), &campus()).await.unwrap();
        lesson.submit(join("wang", Role::Student), &campus()).await.unwrap();
    }
    let hurried = Settings { rejoin_within: Duration::from_millis(300), ..settings(dir.path()) };
    let lessons = Lessons::origin(hurried).unwrap();
    let lesson = lessons.get(&id()).unwrap();
    let (state, mut news) = lesson.follow();
    assert_eq!(state.members.len(), 2);
    lesson.submit(join("li", Role::Teacher), &campus()).await.unwrap();
    let events = news.next().await.unwrap();
    let wang = MemberId::new("wang").unwrap();
    let lost = EventBody::MemberLeft { member: wang, reason: LeaveReason::Lost };
    assert_eq!(events.iter().map(|e| &e.body).collect::<Vec<_>>(), [&lost]);
    assert_eq!(lesson.state().members.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_subscriber_gets_every_event_once_in_order_whenever_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let lessons = Lessons::origin(settings(dir.path())).unwrap();
    let (lesson, _) = lessons.open(info()).await.unwrap();
    const MEMBERS: u64 = 600;
    let joining: Vec<_> = (0..MEMBERS)
        .map(|n| {
            let lesson = lesson.clone();
            tokio::spawn(async move {
                lesson.submit(join(&format!("s{n}"), Role::Student), &campus()).await.unwrap();
                // What was answered has been told.
                let member = MemberId::new(format!("s{n}")).unwrap();
                assert!(lesson.state().members.contains_key(&member));
            })
        })
        .collect();
    let following: Vec<_> = [0, 1, 50, 300, 601]
        .into_iter()
        .map(|after| {
            let lesson = lesson.clone();
            tokio::spawn(async move {
                while lesson.state().seq < after {
                    lesson.subscribe(lesson.state().seq).next().await.unwrap();
                }
                let mut subscription = lesson.subscribe(after);
                let events = collect(&mut subscription, MEMBERS + 1).await;
                assert!(events.iter().map(|e| e.seq).eq(after + 1..=MEMBERS + 1), "{after}");
            })
        })
        .collect();
    for task in joining.into_iter().chain(following) {
        tokio::time::timeout(Duration::from_secs(30), task).await.unwrap().unwrap();
    }
    assert_eq!(lesson.state().members.len() as u64, MEMBERS);
}

#[tokio::test]
async fn a_damaged_lesson_is_left_out_and_the_others_are_served() {
    let dir = tempfile::tempdir().unwrap();
    {
        let lessons = Lessons::origin(settings(dir.path())).unwrap();
        lessons.open(info()).await.unwrap();
    }
    let damaged = dir.path().join("art");
    std::fs::create_dir(&damaged).unwrap();
    let good = std::fs::read(dir.path().join(MATH).join(super::super::log::FILE)).unwrap();
    std::fs::write(damaged.join("events.ndjson"), [b"{}\n", &good[..]].concat()).unwrap();
    let lessons = Lessons::origin(settings(dir.path())).unwrap();
    assert!(lessons.get(&id()).is_some());
    let art = LessonId::new("art").unwrap();
    assert!(lessons.get(&art).is_none());
    let again = lessons.open(LessonInfo { id: art, ..info() }).await;
    assert_eq!(again.err(), Some(Refusal::Storage), "a damaged log is not written over");
}

#[tokio::test]
async fn a_lesson_says_what_its_schools_are_called_and_the_nodes_own_names_come_first() {
    let dir = tempfile::tempdir().unwrap();
    let school = |id: &str| SchoolId::new(id).unwrap();
    let names = |all: &[(&str, &str)]| {
        all.iter().map(|(id, name)| (school(id), (*name).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let known = names(&[("campus", "总部校区"), ("school-01", "青山小学"), ("far", "不在课上")]);
    let lessons = Settings { school_names: known, ..settings(dir.path()) };
    let lessons = Lessons::origin(lessons).unwrap();
    let said = LessonInfo {
        schools: ["school-01", "school-02", "school-03"].map(school).into(),
        school_names: names(&[("school-01", "又名"), ("school-02", "白水小学"), ("x", "别处")]),
        ..info()
    };
    let (lesson, _) = lessons.open(said).await.unwrap();
    let info = &lesson.state().info;
    let expected = [("campus", "总部校区"), ("school-01", "青山小学"), ("school-02", "白水小学")];
    assert_eq!(info.school_names, names(&expected));
    assert_eq!(info.school_name(&school("school-03")), "school-03");
}

#[tokio::test]
async fn changes_of_the_list_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let lessons = Lessons::origin(settings(dir.path())).unwrap();
    let mut changes = lessons.changes();
    let (lesson, _) = lessons.open(info()).await.unwrap();
    assert_eq!(changes.borrow_and_update()[&id()].phase, Phase::Open);
    lesson.submit(join("li", Role::Teacher), &campus()).await.unwrap();
    assert!(!changes.has_changed().unwrap(), "a member changes nothing in the list");
    lesson.submit(ask("li", MemberCommand::Start), &campus()).await.unwrap();
    assert_eq!(changes.borrow_and_update()[&id()].phase, Phase::Live);
}

/// Sends what the edge asks to the origin, and the origin's events to the edge.
async fn bridge(
    mut forwards: mpsc::Receiver<Forward>,
    up: Arc<LessonHandle>,
    down: Arc<LessonHandle>,
) {
    let mut events = up.subscribe(down.follow_after());
    loop {
        tokio::select! {
            biased;
            batch = events.next() => {
                if let Err(again) = down.apply(batch.unwrap()).await {
                    events = up.subscribe(again.after);
                }
            }
            Some(forward) = forwards.recv() => {
                // Whoever asked may have given up waiting.
                let answer: Box<dyn FnOnce() + Send> = match forward.asked {
                    Asked::Command { command, from, reply } => {
                        let from = from.unwrap_or_else(edge_node);
                        let outcome = up.submit(command, &from).await;
                        Box::new(move || reply.send(outcome).map_or_else(|_| (), |()| ()))
                    }
                    Asked::HandUp { entries, reply } => {
                        let outcomes = up.hand_up(entries, &edge_node()).await;
                        Box::new(move || reply.send(outcomes).map_or_else(drop, |()| ()))
                    }
                };
                while events.delivered() < up.state().seq {
                    down.apply(events.next().await.unwrap()).await.unwrap();
                }
                answer();
            }
        }
    }
}

fn edge_node() -> NodeId {
    NodeId::new("school-01").unwrap()
}

fn edge_join(name: &str) -> Command {
    let Command::Join { member } = join(name, Role::Student) else { unreachable!() };
    Command::Join { member: Member { node: edge_node(), ..member } }
}

fn edge(dir: &Path) -> (Arc<Lessons>, mpsc::Receiver<Forward>) {
    Lessons::edge(Settings { node: edge_node(), ..settings(dir) }).unwrap()
}

fn line() -> LessonLine {
    LessonLine { info: info(), phase: Phase::Open }
}

#[tokio::test]
async fn an_edge_mirrors_a_lesson_and_its_members_act_in_it() {
    let (up_dir, down_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let up = Lessons::origin(settings(up_dir.path())).unwrap().open(info()).await.unwrap().0;
    let (lessons, forwards) = edge(down_dir.path());
    lessons.sync(vec![line()]);
    let down = lessons.get(&id()).unwrap();
    let bridge = tokio::spawn(bridge(forwards, up.clone(), down.clone()));
    lessons.set_campus(true);
    down.submit(edge_join("wang"), &edge_node()).await.unwrap();
    assert_eq!(down.state().members.len(), 1, "what was answered has arrived");
    let hand = || ask("wang", MemberCommand::RaiseHand);
    down.submit(hand(), &edge_node()).await.unwrap();
    assert_eq!(down.submit(hand(), &edge_node()).await, Err(Refusal::HandAlreadyUp));
    assert_eq!(*down.state(), *up.state());
    let denied = lessons.open(info()).await;
    assert_eq!(denied.err(), Some(Refusal::NotAllowed));

    // A restart of the edge goes on from its copy.
    bridge.abort();
    assert!(bridge.await.unwrap_err().is_cancelled());
    let (lessons, _forwards) = edge(down_dir.path());
    let again = lessons.get(&id()).unwrap();
    assert_eq!(*again.state(), *up.state());
    assert_eq!(again.follow_after(), up.state().seq - 1);
}

/// An origin's lesson that is being given, with `wang` at the edge.
async fn given(dir: &Path) -> Arc<LessonHandle> {
    let up = Lessons::origin(settings(dir)).unwrap().open(info()).await.unwrap().0;
    up.submit(join("li", Role::Teacher), &campus()).await.unwrap();
    up.submit(ask("li", MemberCommand::Start), &campus()).await.unwrap();
    up.submit(edge_join("wang"), &edge_node()).await.unwrap();
    up
}

async fn until(lesson: &LessonHandle, what: impl Fn(&State) -> bool) {
    let seen = async {
        loop {
            let (state, mut news) = lesson.follow();
            if what(&state) {
                return;
            }
            // News, or another history.
            let _ = news.next().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("it never became so");
}

#[tokio::test]
async fn without_the_campus_what_is_the_campuss_alone_is_refused_and_the_class_goes_on() {
    let (up_dir, down_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let up = given(up_dir.path()).await;
    let (lessons, _forwards) = edge(down_dir.path());
    lessons.sync(vec![line()]);
    let down = lessons.get(&id()).unwrap();
    down.apply(up.subscribe(0).next().await.unwrap()).await.unwrap();
    down.submit(edge_join("zhao"), &edge_node()).await.unwrap();
    let (_, mut page) = down.follow();
    down.submit(ask("wang", MemberCommand::RaiseHand), &edge_node()).await.unwrap();
    let shown = page.next().await.unwrap();
    assert_eq!(shown[0].late.as_ref().map(|late| late.heard_ms), Some(None), "it is provisional");
    assert_eq!(down.state().hands.len(), 1);
    let spy = join("spy", Role::Student);
    assert_eq!(down.submit(spy, &edge_node()).await, Err(Refusal::NotAllowed));
    let end = ask("li", MemberCommand::End);
    assert_eq!(down.submit(end, &edge_node()).await, Err(Refusal::CampusAway));
    // A node behind this one decides for itself.
    let further = NodeId::new("school-02").unwrap();
    let hand = ask("wang", MemberCommand::RaiseHand);
    assert_eq!(down.submit(hand, &further).await, Err(Refusal::CampusAway));
    // Nodes behind hear what the campus decided, and nothing provisional.
    assert_eq!(down.subscribe(0).next().await.unwrap().len() as u64, up.state().seq);
    assert_eq!(down.follow_after(), up.state().seq - 1);
}

#[tokio::test]
async fn what_an_edge_decided_outlives_it_and_is_handed_up_once() {
    let (up_dir, down_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let up = given(up_dir.path()).await;
    {
        let (lessons, _forwards) = edge(down_dir.path());
        lessons.sync(vec![line()]);
        let down = lessons.get(&id()).unwrap();
        down.apply(up.subscribe(0).next().await.unwrap()).await.unwrap();
        down.submit(ask("wang", MemberCommand::RaiseHand), &edge_node()).await.unwrap();
        down.submit(edge_join("zhao"), &edge_node()).await.unwrap();
    }
    // The campus goes on meanwhile.
    up.submit(join("home", Role::Student), &campus()).await.unwrap();
    let (lessons, forwards) = edge(down_dir.path());
    let down = lessons.get(&id()).unwrap();
    assert_eq!(
        (down.state().hands.len(), down.state().members.len()),
        (1, 3),
        "before the line is"
    );
    let (_, mut page) = down.follow();
    let bridge = tokio::spawn(bridge(forwards, up.clone(), down.clone()));
    lessons.set_campus(true);
    until(&up, |state| state.hands.len() == 1 && state.members.len() == 4).await;
    until(&down, |state| *state == *up.state()).await;
    assert_eq!(page.next().await, Err(Reset), "whoever saw the provisional events is told");
    assert_eq!(
        collect(&mut down.subscribe(0), up.state().seq).await,
        collect(&mut up.subscribe(0), up.state().seq).await
    );
    // From now on the campus decides again.
    let mut again = Ok(());
    for _ in 0..100 {
        again =
            down.submit(ask("wang", MemberCommand::LowerHand { member: None }), &edge_node()).await;
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    again.unwrap();
    until(&up, |state| state.hands.is_empty()).await;
    bridge.abort();
    let (lessons, _forwards) = edge(down_dir.path());
    assert_eq!(*lessons.get(&id()).unwrap().state(), *up.state(), "nothing is left to hand up");
}

#[tokio::test]
async fn a_command_that_is_under_way_when_the_line_breaks_is_done_once() {
    let (up_dir, down_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let up = given(up_dir.path()).await;
    let (lessons, mut forwards) = edge(down_dir.path());
    lessons.sync(vec![line()]);
    lessons.set_campus(true);
    let down = lessons.get(&id()).unwrap();
    down.apply(up.subscribe(0).next().await.unwrap()).await.unwrap();
    let asking = tokio::spawn({
        let down = down.clone();
        async move { down.submit(ask("wang", MemberCommand::RaiseHand), &edge_node()).await }
    });
    let on_its_way = forwards.recv().await.unwrap();
    lessons.set_campus(false);
    asking.await.unwrap().unwrap();
    assert_eq!(down.state().hands.len(), 1, "the class sees it at once");
    // The line is back: what was under way arrives first, and then what was decided.
    let Asked::Command { command, .. } = on_its_way.asked else { panic!("no command") };
    up.submit(command, &edge_node()).await.unwrap();
    let bridge = tokio::spawn(bridge(forwards, up.clone(), down.clone()));
    lessons.set_campus(true);
    until(&down, |state| *state == *up.state()).await;
    let events = collect(&mut up.subscribe(0), up.state().seq).await;
    let raised = events.iter().filter(|e| matches!(e.body, EventBody::HandRaised { .. }));
    assert_eq!(raised.count(), 1);
    bridge.abort();
}

#[tokio::test]
async fn without_the_campus_members_come_back_and_the_campus_hears_later_of_who_left() {
    let (up_dir, down_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let up = given(up_dir.path()).await;
    up.submit(edge_join("zhao"), &edge_node()).await.unwrap();
    let (lessons, forwards) = edge(down_dir.path());
    lessons.sync(vec![line()]);
    let down = lessons.get(&id()).unwrap();
    down.apply(up.subscribe(0).next().await.unwrap()).await.unwrap();
    down.submit(edge_join("wang"), &edge_node()).await.unwrap();
    let member = MemberId::new("zhao").unwrap();
    let leave = Command::Leave { member: member.clone(), reason: LeaveReason::Lost };
    down.submit(leave, &edge_node()).await.unwrap();
    assert!(up.state().members.contains_key(&member));
    let (_, mut news) = up.follow();
    let bridge = tokio::spawn(bridge(forwards, up.clone(), down.clone()));
    lessons.set_campus(true);
    let told = tokio::time::timeout(Duration::from_secs(20), news.next()).await;
    let left = EventBody::MemberLeft { member, reason: LeaveReason::Lost };
    assert_eq!(told.unwrap().unwrap()[0].body, left);
    bridge.abort();
}

#[tokio::test]
async fn an_edge_that_knows_another_history_takes_over_the_campuss() {
    let (up_dir, down_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let up = Lessons::origin(settings(up_dir.path())).unwrap().open(info()).await.unwrap().0;
    let (lessons, _forwards) = edge(down_dir.path());
    lessons.sync(vec![line()]);
    let down = lessons.get(&id()).unwrap();
    let foreign: Vec<_> = (1..=5)
        .map(|seq| {
            let body = EventBody::LessonOpened { info: info() };
            Event::new(seq, Uuid::now_v7(), seq, body)
        })
        .collect();
    down.apply(foreign).await.unwrap();
    let mut page = down.subscribe(5);
    let mut events = up.subscribe(down.follow_after());
    let again = down.apply(events.next().await.unwrap()).await.unwrap_err();
    assert_eq!(again.after, 0);
    assert_eq!(page.next().await, Err(Reset), "whoever followed the old one is told");
    let mut events = up.subscribe(again.after);
    down.apply(events.next().await.unwrap()).await.unwrap();
    assert_eq!(*down.state(), *up.state());
    let (lessons, _forwards) = edge(down_dir.path());
    assert_eq!(*lessons.get(&id()).unwrap().state(), *up.state(), "the copy on disk too");
}

#[tokio::test]
async fn events_with_a_gap_are_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let (lessons, _forwards) = edge(dir.path());
    lessons.sync(vec![line()]);
    let down = lessons.get(&id()).unwrap();
    let event = |seq| {
        let body = EventBody::LessonOpened { info: info() };
        Event::new(seq, Uuid::from_u128(seq.into()), seq, body)
    };
    let again = down.apply(vec![event(1), event(2), event(4)]).await.unwrap_err();
    assert_eq!(again.after, 1);
    down.apply(vec![event(2), event(3), event(4)]).await.unwrap();
    assert_eq!(down.state().seq, 4);
    lessons.sync(vec![]);
    assert!(lessons.get(&id()).is_none(), "a lesson no longer listed is forgotten");
}
