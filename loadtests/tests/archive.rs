//! A lesson whose line to a school is cut, over real processes: the class goes on seeing and
//! hearing itself, the campus comes back by itself, and the archive has the school's part.

mod common;

use anyhow::{Context, Result};
use classroom_client::publish::Endpoint;
use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::id::{LessonId, MemberId};
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::member::Role;
use common::programs;
use loadtests::lesson_client::LessonClient;
use loadtests::link::{Profile, Proxy};
use loadtests::media::camera::Video;
use loadtests::media::ledger::Ledger;
use loadtests::publisher::Publisher;
use loadtests::stack::{CAMPUS, Lesson, Ports, SCHOOL, Settings, Site, Stack};
use loadtests::subscriber::{Seat, Subscriber};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BEFORE: Duration = Duration::from_secs(4);
const CUT: Duration = Duration::from_secs(8);
const AFTER: Duration = Duration::from_secs(6);
const SOON: Duration = Duration::from_secs(20);

fn track(who: &str, source: Source) -> TrackId {
    TrackId::new(MemberId::new(who).unwrap(), source)
}

/// Somebody who publishes camera and microphone at a node.
async fn on_air(site: &Site, lesson: &LessonId, who: &str, role: Role, at: &str) -> Result<OnAir> {
    let school = if at == "campus" { CAMPUS } else { SCHOOL };
    let token = site.tokens().sign(who, who, role, school, Some(lesson))?;
    let page = LessonClient::join(&site.url(at), lesson, &token).await?;
    let url = site.url(at).join(&format!("whip/{lesson}"))?;
    let publisher = Publisher::start(Endpoint { url, token }, Video::default()).await?;
    let there = |s: &State| {
        [Source::Camera, Source::Microphone].iter().all(|x| s.tracks.contains_key(&track(who, *x)))
    };
    tokio::time::timeout(SOON, page.until(there)).await.context("nobody is on air")??;
    Ok(OnAir { page, publisher })
}

struct OnAir {
    page: LessonClient,
    publisher: Publisher,
}

/// Someone who watches `who` at the school's node.
async fn viewer(site: &Site, lesson: &LessonId, name: &str, who: &OnAir) -> Result<Subscriber> {
    let token = site.tokens().sign(name, name, Role::Student, SCHOOL, Some(lesson))?;
    let of = who.page.you().id.as_str();
    let (picture, sound) = (track(of, Source::Camera), track(of, Source::Microphone));
    let seat = Seat { node: site.url("school"), lesson: lesson.clone(), token, picture, sound };
    let seen = Subscriber::join(&seat, who.publisher.ledger().clone()).await?;
    seen.first_frame_time(SOON).await?;
    Ok(seen)
}

/// Share of the frames published in a time that a viewer has.
fn share(viewer: &Subscriber, ledger: &Arc<Ledger>, from: Instant, to: Instant) -> f64 {
    let (published, seen) = (ledger.between(from, to), viewer.received().frames);
    let got = published.iter().filter(|frame| seen.contains_key(frame)).count();
    got as f64 / published.len().max(1) as f64
}

/// Seconds from the first packet ffprobe finds in a file to the last, and how many there are.
fn packets(file: &Path) -> (f64, usize) {
    let args = ["-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0"];
    let out = Command::new("ffprobe").args(args).arg(file).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let times: Vec<f64> =
        text.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
    let (least, most) = times.iter().fold((f64::MAX, 0f64), |(a, b), t| (a.min(*t), b.max(*t)));
    (most - least, times.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_goes_on_through_a_cut_and_the_archive_has_its_part() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let ports = Ports::free()?;
    let profile: Profile = toml::from_str(include_str!("../../configs/links/clean.toml"))?;
    let line = Proxy::start(ports.trunk(), profile, "127.0.0.1:0".parse()?)?;
    let settings = Settings {
        programs: programs(&["cloudschool-sfu", "cloudschool-recorder", "cloudschool-analytics"])
            .into(),
        configs: Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs"),
        data: scratch.path().join("data"),
        ports: ports.by_line("school", line.address()),
        log_level: Some("info".into()),
    };
    let stack = Stack::start(settings).await?;
    let told = give(&stack.site(), &line).await;
    if told.is_err() {
        for process in ["campus", "school-01", "recorder"] {
            let log = std::fs::read_to_string(stack.site().installation().log(process));
            eprintln!("{process}: {}", log.unwrap_or_default());
        }
    }
    stack.stop().await;
    line.stop().await;
    told
}

async fn give(site: &Site, line: &Proxy) -> Result<()> {
    let (subject, grade) = ("数学", "九年级");
    let of = Lesson { id: "cut", title: "二次函数", subject, grade, teacher: "李老师" };
    let lesson = site.open_lesson(of).await?;
    let teacher = on_air(site, &lesson, "li", Role::Teacher, "campus").await?;
    let room = on_air(site, &lesson, "room", Role::Classroom, "school").await?;
    let classmate = viewer(site, &lesson, "wang", &room).await?;
    let of_teacher = viewer(site, &lesson, "zhao", &teacher).await?;
    teacher.page.command(MemberCommand::Start).await?;
    tokio::time::sleep(BEFORE).await;

    let cut = Instant::now();
    line.cut(true);
    tokio::time::sleep(CUT).await;
    line.cut(false);
    let mended = Instant::now();
    let before = of_teacher.received().frames.len();
    let back = async {
        while of_teacher.received().frames.len() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, back).await.context("the teacher does not come back")?;
    let resumed = mended.elapsed();
    tokio::time::sleep(AFTER).await;
    let local = share(&classmate, room.publisher.ledger(), cut, mended);
    let again = mended + Duration::from_secs(3);
    let after = share(
        &of_teacher,
        teacher.publisher.ledger(),
        again,
        Instant::now() - Duration::from_secs(1),
    );

    teacher.page.command(MemberCommand::End).await?;
    let archived = teacher.page.until(|s| s.phase == Phase::Archived);
    let state =
        tokio::time::timeout(Duration::from_secs(120), archived).await.context("no archive")??;
    let lasted = (state.ended_ms.zip(state.started_ms)).map(|(e, s)| (e - s) as f64 / 1000.0);
    let lasted = lasted.context("the lesson has no end")?;

    // What the recorder has of the class, in its files.
    let lessons = site.installation().root().join("recorder/lessons");
    let dir = std::fs::read_dir(lessons)?.next().context("nothing is recorded")??.path();
    let manifest: Value = serde_json::from_slice(&std::fs::read(dir.join("lesson.json"))?)?;
    let mut report = String::new();
    let tracks = manifest["tracks"].as_array().context("no tracks")?;
    for (name, per_second, least) in [("room/microphone", 50.0, 0.97), ("room/camera", 30.0, 0.75)]
    {
        let of = tracks.iter().find(|t| t["track"] == name).context("a track is missing")?;
        let parts = of["parts"].as_array().context("no parts")?;
        let spans: Vec<(f64, usize)> = parts
            .iter()
            .map(|part| packets(&dir.join(part["file"].as_str().unwrap_or_default())))
            .collect();
        let count: usize = spans.iter().map(|(_, count)| count).sum();
        let share = count as f64 / (lasted * per_second);
        report += &format!("{name}: {spans:?} of {lasted:.1} s, {share:.3} of all\n");
        anyhow::ensure!(spans.len() > 1, "nothing was put in\n{report}{parts:#?}");
        let put_in = spans.last().map_or(0.0, |(seconds, _)| *seconds);
        anyhow::ensure!(put_in > CUT.as_secs_f64() - 2.5, "the school's part is short\n{report}");
        anyhow::ensure!((least..1.03).contains(&share), "not once each\n{report}");
    }
    eprintln!(
        "local frames in the cut {local:.4}, the teacher back after {resumed:?}, then {after:.4}\n{report}"
    );
    // Nothing is left at the school.
    let spool = site.installation().root().join("school-01/spool");
    let left = async {
        while std::fs::read_dir(&spool).is_ok_and(|mut dir| dir.next().is_some()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, left).await.context("the school keeps what the recorder has")?;
    anyhow::ensure!(local > 0.99, "the class did not see itself: {local}");
    anyhow::ensure!(resumed < Duration::from_secs(3), "the teacher came back after {resumed:?}");
    anyhow::ensure!(after > 0.95, "the teacher came back in pieces: {after}");
    Ok(())
}
