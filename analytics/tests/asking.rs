//! Asking the real program: who may, what is refused and how, and how it says that it can't start.

mod common;

use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::member::Role;
use common::{Site, has, id, joined};
use serde_json::Value;
use uuid::Uuid;

async fn refused(answer: reqwest::Response) -> (u16, String) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["status"], status);
    let sentence = problem["detail"].as_str().unwrap().to_owned();
    assert!(sentence.ends_with('.'), "{sentence}");
    (status, sentence)
}

#[tokio::test]
async fn behaviour_data_is_for_who_may_read_it_and_refusals_say_why() {
    let site = Site::new();
    let _process = site.start().await;
    site.upstream.happen([
        EventBody::LessonOpened { info: common::info() },
        joined("li", Role::Teacher, "campus"),
        EventBody::LessonStarted { by: id("li"), session: Uuid::now_v7() },
    ]);
    site.records("the start", |r| has(r, "L01") == 1).await;

    let paths = ["lessons/math/behaviours?format=xapi", "lessons/math/summary"];
    for path in paths {
        for role in [Role::Teacher, Role::Assistant, Role::Observer, Role::Operator] {
            for lesson in [Some("math"), None] {
                let answer = site.get(path, &site.token(role, lesson)).await;
                assert_eq!(answer.status(), 200, "{path} {role:?} {lesson:?}");
                assert_eq!(answer.headers()["access-control-allow-origin"], "*");
                assert_eq!(answer.headers()["cache-control"], "no-store");
            }
            let other = site.get(path, &site.token(role, Some("art"))).await;
            let (status, why) = refused(other).await;
            assert_eq!((status, why.as_str()), (403, "This token is for another lesson."));
        }
        for role in [Role::Student, Role::Classroom] {
            let answer = site.get(path, &site.token(role, Some("math"))).await;
            assert_eq!(refused(answer).await.0, 403, "{role:?}");
        }
        let (status, _) = refused(site.get(path, "nonsense").await).await;
        assert_eq!(status, 401);
        let bare = site.client.get(site.url(path)).header("accept-language", "en").send().await;
        assert_eq!(refused(bare.unwrap()).await.0, 401);
    }

    let operator = site.token(Role::Operator, None);
    for path in ["lessons/art/summary", "lessons/art/behaviours", "lessons/..%2Fetc/summary"] {
        let (status, why) = refused(site.get(path, &operator).await).await;
        assert_eq!((status, why.as_str()), (404, "There is no such lesson."));
    }
    for format in ["csv", "", "xapi2"] {
        let path = format!("lessons/math/behaviours?format={format}");
        let (status, why) = refused(site.get(&path, &operator).await).await;
        assert_eq!((status, why.as_str()), (400, "The format must be ndjson or xapi."));
    }
    let lines = site.get("lessons/math/behaviours", &operator).await;
    assert_eq!(lines.headers()["content-type"], "application/x-ndjson");

    let page = site.client.get(site.url("report/math")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("<html"));
    let metrics = site.client.get(site.url("metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("cloudschool_analytics_records_written_total 2"), "{metrics}");
    assert!(metrics.contains("cloudschool_analytics_trunk_up 1"), "{metrics}");
}

#[tokio::test]
async fn a_program_that_cannot_start_says_why() {
    let site = Site::new();
    let run = async |command: &mut tokio::process::Command| {
        let output = command.output().await.unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (good, _) = run(site.program().arg("--check-config")).await;
    assert!(good);

    let unknown = ("CLOUDSCHOOL__HTTP__PROT", "1");
    let (good, why) = run(site.program().env(unknown.0, unknown.1).arg("--check-config")).await;
    assert!(!good && why.contains("prot"), "{why}");

    let profile = site.dir.path().join("profile.toml");
    let built_in = include_str!("../profile/cn.cloudschool.behavior-1.toml");
    let wrong = built_in.replace("[schools]\n", "[schools]\n\"school-01\" = \"21\"\n");
    std::fs::write(&profile, wrong).unwrap();
    let (good, why) = run(site.program().arg("--profile").arg(&profile)).await;
    assert!(!good && why.contains("10 digits"), "{why}");

    let taken = std::net::TcpListener::bind(site.http).unwrap();
    let (good, why) = run(&mut site.program()).await;
    assert!(!good && why.contains("is in use"), "{why}");
    drop(taken);

    // The data directory is a file.
    std::fs::write(site.dir.path().join("data"), "").unwrap();
    let (good, why) = run(&mut site.program()).await;
    assert!(!good && why.contains("data directory"), "{why}");

    let foreign = site.dir.path().join("campus");
    let identity = foreign.to_str().unwrap();
    let (good, why) = run(site.program().env("CLOUDSCHOOL__TRUNK__IDENTITY", identity)).await;
    assert!(!good && why.contains("origin campus"), "{why}");
}
