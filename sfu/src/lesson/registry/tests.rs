use super::*;
use crate::lesson::Reset;
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
        planned_start_ms: None,
        planned_minutes: None,
    }
}

fn settings(dir: &Path) -> Settings {
    Settings {
        dir: dir.into(),
        node: campus(),
        limits: Limits { members: 10_000 },
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

/// Sends the edge's commands to the origin and the origin's events to the edge.
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
                let outcome = up.submit(forward.command, &edge_node()).await;
                while down.state().seq < up.state().seq {
                    down.apply(events.next().await.unwrap()).await.unwrap();
                }
                forward.reply.send(outcome).unwrap();
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

#[tokio::test]
async fn without_the_campus_a_command_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (lessons, forwards) = edge(dir.path());
    lessons.sync(vec![line()]);
    drop(forwards);
    let lesson = lessons.get(&id()).unwrap();
    let refused = lesson.submit(edge_join("wang"), &edge_node()).await;
    assert_eq!(refused, Err(Refusal::CampusAway));
}

#[tokio::test]
async fn without_the_campus_members_come_back_and_the_campus_hears_later_of_who_left() {
    let (up_dir, down_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let up = Lessons::origin(settings(up_dir.path())).unwrap().open(info()).await.unwrap().0;
    let hurried = Settings { node: edge_node(), ..settings(down_dir.path()) };
    let (lessons, forwards) = Lessons::edge(hurried).unwrap();
    lessons.sync(vec![line()]);
    let down = lessons.get(&id()).unwrap();
    for name in ["wang", "zhao"] {
        up.submit(edge_join(name), &edge_node()).await.unwrap();
    }
    down.apply(up.subscribe(0).next().await.unwrap()).await.unwrap();
    let away = tokio::spawn(async move {
        let mut forwards = forwards;
        // The line is down for the first command; whoever waits for it is told at once.
        drop(forwards.recv().await.unwrap());
        forwards
    });
    down.submit(edge_join("wang"), &edge_node()).await.unwrap();
    let member = MemberId::new("zhao").unwrap();
    let leave = Command::Leave { member: member.clone(), reason: LeaveReason::Lost };
    down.submit(leave, &edge_node()).await.unwrap();
    let forwards = away.await.unwrap();
    assert!(up.state().members.contains_key(&member));
    let (_, mut news) = up.follow();
    let bridge = tokio::spawn(bridge(forwards, up.clone(), down.clone()));
    let told = tokio::time::timeout(Duration::from_secs(20), news.next()).await;
    let left = EventBody::MemberLeft { member, reason: LeaveReason::Lost };
    assert_eq!(told.unwrap().unwrap()[0].body, left);
    assert_eq!(up.state().members.len(), 1);
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
