//! The program is killed in the middle of a lesson, more than once, and started again: every
//! event is there once, nothing is missing, and what is handed out says so.

mod common;

use cloudschool_protocol::event::{Event, EventBody, LeaveReason};
use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::media::{Codec, Source, TrackId};
use cloudschool_protocol::member::Role;
use common::{Site, has, id, joined};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use uuid::Uuid;

fn track(name: &str, codec: Codec) -> EventBody {
    let track: TrackId = name.parse().unwrap();
    EventBody::TrackPublished { track, codec, node: NodeId::new("campus").unwrap() }
}

fn gone(name: &str) -> EventBody {
    EventBody::TrackUnpublished { track: name.parse().unwrap() }
}

fn student(n: usize) -> String {
    format!("student-{n:02}")
}

fn before_the_lesson() -> Vec<EventBody> {
    let mut bodies = vec![
        EventBody::LessonOpened { info: common::info() },
        joined("li", Role::Teacher, "campus"),
        joined("guest", Role::Observer, "campus"),
        joined("class1", Role::Classroom, "school-01"),
        track("li/camera", Codec::H264),
        track("li/microphone", Codec::Opus),
        track("class1/camera", Codec::H264),
    ];
    bodies.extend((0..30).map(|n| joined(&student(n), Role::Student, "school-01")));
    bodies
}

fn first_half() -> Vec<EventBody> {
    let start = EventBody::LessonStarted { by: id("li"), session: Uuid::now_v7() };
    let hands = (0..30).map(|n| EventBody::HandRaised { member: id(&student(n)) });
    let down = (10..20).map(|n| EventBody::HandLowered { member: id(&student(n)), by: id("li") });
    let screen = track("li/screen", Codec::Vp8);
    std::iter::once(start).chain(hands).chain([screen]).chain(down).collect()
}

fn second_half() -> Vec<EventBody> {
    let mut bodies = Vec::new();
    for n in 0..5 {
        bodies.push(EventBody::StageCalled { member: id(&student(n)), by: id("li") });
        if n < 4 {
            bodies.push(EventBody::StageLeft { member: id(&student(n)), by: id("li") });
        }
    }
    bodies.push(gone("li/screen"));
    bodies.push(EventBody::MemberMuted { member: id("class1"), muted: true, by: id("li") });
    bodies.extend(
        (20..25)
            .map(|n| EventBody::MemberLeft { member: id(&student(n)), reason: LeaveReason::Lost }),
    );
    bodies
}

fn end() -> Vec<EventBody> {
    vec![
        EventBody::LessonEnded { by: id("li") },
        EventBody::MemberLeft { member: id("class1"), reason: LeaveReason::Ended },
        EventBody::MemberLeft { member: id("guest"), reason: LeaveReason::Ended },
        EventBody::LessonArchived { recording: "http://library/1".into(), duration_ms: 9000 },
    ]
}

/// The records that must follow from a log, by id: written down from the profile's table,
/// not computed by the program's code.
fn expected(log: &[Event]) -> BTreeMap<String, &'static str> {
    let of = |event: &Event| match &event.body {
        EventBody::LessonStarted { .. } => Some("L01"),
        EventBody::LessonEnded { .. } => Some("L02"),
        EventBody::MemberJoined { member } if member.role != Role::Observer => Some("L03"),
        EventBody::MemberLeft { member, .. } if *member != id("guest") => Some("L04"),
        EventBody::HandRaised { .. } => Some("S01"),
        EventBody::HandLowered { .. } => Some("S02"),
        EventBody::StageCalled { .. } => Some("T12"),
        EventBody::TrackPublished { track, .. } => match track.source {
            Source::Screen => Some("T09"),
            Source::Camera if track.member != id("li") => Some("S11"),
            _ => None,
        },
        _ => None,
    };
    log.iter().filter_map(|e| Some((e.id.to_string(), of(e)?))).collect()
}

fn from_events(records: &[Value]) -> impl Iterator<Item = &Value> {
    records.iter().filter(|r| r["source"]["kind"] == "signal")
}

#[tokio::test]
async fn every_event_is_there_once_after_kills_in_mid_lesson() {
    let site = Site::new();
    let upstream = &site.upstream;

    // Killed while the members come in: as soon as the last event is on its way.
    let mut process = site.start().await;
    upstream.happen(before_the_lesson());
    upstream.all_sent().await;
    process.kill().await.unwrap();

    // Killed while it reads the first half.
    let mut process = site.start().await;
    upstream.happen(first_half());
    upstream.all_sent().await;
    process.kill().await.unwrap();

    // Killed while the teacher speaks, long enough after the beginning for it to be noted.
    let mut process = site.start().await;
    site.records("the first half", |r| has(r, "S02") == 10).await;
    upstream.demanded(&["li/microphone"]).await;
    upstream.speak("li/microphone", 1, Duration::from_millis(4600)).await;
    process.kill().await.unwrap();

    // And while it reads the second half.
    let mut process = site.start().await;
    upstream.happen(second_half());
    upstream.all_sent().await;
    process.kill().await.unwrap();

    let mut process = site.start().await;
    site.records("the second half", |r| has(r, "L04") == 5).await;
    upstream.demanded(&["li/microphone"]).await;
    upstream.speak("li/microphone", 1, Duration::from_millis(1500)).await;
    site.records("speech that is over", |r| has(r, "T01") == 2).await;
    upstream.happen(end());
    let records = site.records("the end", |r| has(r, "L04") == 6).await;

    let expected = expected(&upstream.log());
    let mut got: BTreeMap<String, &str> = BTreeMap::new();
    for record in from_events(&records) {
        let id = record["id"].as_str().unwrap().to_owned();
        assert!(got.insert(id, record["code"].as_str().unwrap()).is_none(), "twice: {record}");
    }
    assert_eq!(got, expected);
    assert_eq!(has(&records, "T12"), 5);

    let numbers: Vec<u64> = records.iter().map(|r| r["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=records.len() as u64).collect::<Vec<_>>(), "no gap");
    let sessions: BTreeSet<_> = records.iter().map(|r| r["sessionId"].to_string()).collect();
    assert_eq!(sessions.len(), 1);

    let spoken: Vec<_> = records.iter().filter(|r| r["code"] == "T01").collect();
    assert_eq!(spoken.len(), 2);
    for (record, least) in spoken.iter().zip([2000, 1300]) {
        let lasted = millis(&record["end"]) - millis(&record["start"]);
        assert!((least..5000).contains(&lasted), "{record}");
        assert!(record["source"]["confidence"].as_f64().unwrap() > 0.8);
    }

    // What is handed out follows from the records alone: the same after another start.
    let lines = site.text("lessons/math/behaviours").await;
    let xapi = site.text("lessons/math/behaviours?format=xapi").await;
    process.kill().await.unwrap();
    let mut process = site.start().await;
    assert_eq!(site.text("lessons/math/behaviours?format=ndjson").await, lines);
    assert_eq!(site.text("lessons/math/behaviours?format=xapi").await, xapi);
    let statements: Vec<Value> = serde_json::from_str(&xapi).unwrap();
    let ids: BTreeSet<_> = statements.iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), statements.len());
    assert!(records.iter().all(|r| ids.contains(r["id"].as_str().unwrap())));
    for name in ["student-0", "class1", "\"li\"", "guest"] {
        assert!(!lines.contains(name) && !xapi.contains(name), "{name} is named");
    }

    // The same without HTTP, beside the running program.
    let exported = site
        .program()
        .args(["export", "--lesson", "math", "--format", "xapi"])
        .output()
        .await
        .unwrap();
    assert!(exported.status.success());
    assert_eq!(String::from_utf8(exported.stdout).unwrap(), xapi);

    let summary: Value = serde_json::from_str(&site.text("lessons/math/summary").await).unwrap();
    assert_eq!(summary["lesson"]["phase"], "archived");
    assert_eq!(summary["lesson"]["recording"], "http://library/1");
    assert_eq!(summary["attendance"][1]["members"]["student"], 30);
    assert_eq!(summary["attendance"][1]["members"]["classroom"], 1);
    assert_eq!(summary["attendance"][2]["attended"], false);
    assert_eq!(summary["hands"][1]["raised"], 30);
    assert_eq!(summary["hands"][1]["answered"], 5);
    assert_eq!(summary["records"]["total"], records.len());
    let talk = &summary["talk"];
    assert_eq!(talk["bySide"][0]["turns"], 2);
    assert_eq!(talk["bySide"][0]["ms"], talk["byRole"][0]["ms"]);
    assert_eq!(talk["bySide"][1]["ms"], 0);
    assert!(summary["st"]["teacher"].as_u64().unwrap() >= 1);

    terminate(&mut process).await;
}

/// Ends it as a supervisor does: it goes down by itself, without an error.
async fn terminate(process: &mut tokio::process::Child) {
    let pid = process.id().unwrap().to_string();
    let sent = tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await;
    assert!(sent.unwrap().success());
    let ended = tokio::time::timeout(common::PATIENCE, process.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
}

fn millis(time: &Value) -> u64 {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;
    let time = OffsetDateTime::parse(time.as_str().unwrap(), &Rfc3339).unwrap();
    (time.unix_timestamp_nanos() / 1_000_000) as u64
}
