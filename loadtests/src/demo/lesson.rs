//! The demo lesson itself: who comes, what happens, and what is counted.

use super::Plan;
use super::report::{Report, ms, quantile};
use crate::lesson_client::LessonClient;
use crate::media::camera::Video;
use crate::media::ledger::Ledger;
use crate::publisher::Publisher;
use crate::services::{self, Behaviour};
use crate::stack::{CAMPUS, Lesson, Ports, SCHOOL, Site};
use crate::subscriber::{Received, Seat, Subscriber};
use anyhow::{Context, Result, bail};
use classroom_client::publish::Endpoint;
use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::id::{LessonId, MemberId};
use cloudschool_protocol::lesson::Phase;
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::member::Role;
use futures_util::future::{join_all, try_join_all};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::broadcast;
use uuid::Uuid;

const TEACHER: &str = "teacher";

/// How long the state of a lesson may take to follow a command.
const SOON: Duration = Duration::from_secs(15);
/// How long a viewer waits for its first picture before the demo gives up.
const PICTURE_WITHIN: Duration = Duration::from_secs(15);
/// How long the recording may take to get into the library.
const ARCHIVE_WITHIN: Duration = Duration::from_secs(90);
/// How long analytics may be behind the lesson.
const ANALYTICS_WITHIN: Duration = Duration::from_secs(20);
/// Between two hands.
const HAND_EVERY: Duration = Duration::from_secs(3);
/// How long a hand stays up, and a student on stage.
const HAND_UP: Duration = Duration::from_millis(500);
/// How long the last frames may be under way after the measured part.
const SETTLE: Duration = Duration::from_secs(1);
/// Between two looks at something that tells nobody when it changes.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Counters of the school's node.
const TRUNK_BYTES: &str = "cloudschool_trunk_ip_bytes_received_total";
const VIEWERS_BYTES: &str = "cloudschool_media_ip_bytes_sent_total";

/// Gives the lesson and measures it.
pub async fn give(site: &Site, plan: &Plan) -> Result<Report> {
    let lesson = site
        .open_lesson(Lesson {
            id: "demo",
            title: "演示课:二次函数的图像",
            subject: "数学",
            grade: "九年级",
            teacher: "李老师",
        })
        .await?;
    // An observer sees every event, its own coming and going being none that is recorded.
    let witness = join(site, &lesson, "witness", "听课员", Role::Observer).await?;
    let log = Log::of(&witness);
    let teacher = join(site, &lesson, TEACHER, "李老师", Role::Teacher).await?;
    let token = site.tokens().sign(TEACHER, "李老师", Role::Teacher, CAMPUS, Some(&lesson))?;
    let url = site.url("campus").join(&format!("whip/{lesson}"))?;
    let mut publisher = Publisher::start(Endpoint { url, token }, Video::default()).await?;
    let picture = TrackId::new(MemberId::new(TEACHER)?, Source::Camera);
    let sound = TrackId::new(MemberId::new(TEACHER)?, Source::Microphone);
    soon(&teacher, "the teacher is on air", |s| {
        s.tracks.contains_key(&picture) && s.tracks.contains_key(&sound)
    })
    .await?;

    let ledger = publisher.ledger().clone();
    let given = tokio::select! {
        given = with_students(site, plan, &lesson, &teacher, &ledger, picture, sound) => given?,
        broken = publisher.broken() => return Err(broken.context("the teacher went off air")),
    };
    let ended = Instant::now();
    publisher.stop().await.context("ending the teacher's session")?;
    teacher.leave().await;

    let all_left = |s: &cloudschool_protocol::lesson::State| s.members.len() <= 1;
    soon(&witness, "everyone has left", all_left).await?;
    let state = witness.state();
    let lesson_ms = state.ended_ms.zip(state.started_ms).map(|(e, s)| e.saturating_sub(s));
    let lesson_ms = lesson_ms.context("the lesson has no beginning or no end")?;
    // What was measured is shown even when the rest did not come about.
    let mut problems = Vec::new();
    let archive = archived(site, &lesson, &witness).await;
    let archived_after = ended.elapsed();
    let (recording, recording_s) = archive.unwrap_or_else(|error| {
        problems.push(format!("{error:#}"));
        (String::new(), 0.0)
    });
    let stored = stored(site, &lesson, &log.events()?).await.unwrap_or_else(|error| {
        problems.push(format!("{error:#}"));
        Stored { records: 0, wrong: 0, speech: 0 }
    });
    witness.leave().await;

    keep_metrics(site).await?;

    let Given { joins, first_frames, hands, viewing } = given;
    Ok(Report {
        ok: false,
        students: plan.students,
        join_ms_p50: quantile(&joins, 0.5),
        join_ms_p95: quantile(&joins, 0.95),
        first_frame_ms_p50: quantile(&first_frames, 0.5),
        first_frame_ms_p95: quantile(&first_frames, 0.95),
        hand_ms_p95: quantile(&hands, 0.95),
        hands: hands.len(),
        frames_published: viewing.published,
        frames_delivered: viewing.delivered,
        frames_delivered_least: viewing.delivered_least,
        frame_delay_ms_p50: quantile(&viewing.delays, 0.5),
        frame_delay_ms_p95: quantile(&viewing.delays, 0.95),
        sound_delivered: viewing.sound,
        trunk_bytes: viewing.trunk_bytes as u64,
        viewers_bytes: viewing.viewers_bytes as u64,
        trunk_to_viewer_bytes: viewing.trunk_bytes * plan.students as f64 / viewing.viewers_bytes,
        lesson_s: ms(Duration::from_millis(lesson_ms)) / 1000.0,
        recording_s,
        events_stored: stored.records,
        events_wrong: stored.wrong,
        speech_stored: stored.speech,
        archived_after_s: archived_after.as_secs_f64(),
        recording: site.installation().root().join("recorder").join("library").join(recording),
        problems,
        checks: Vec::new(),
    }
    .judged())
}

/// Leaves every process's own figures beside its log, for whoever looks into a wrong report.
async fn keep_metrics(site: &Site) -> Result<()> {
    for process in Ports::PROCESSES {
        let file = site.installation().log(process).with_extension("metrics");
        let metrics = services::metrics(site, process).await?;
        std::fs::write(&file, metrics).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

/// Waits until the recording is in the library; gives its id and how long it plays, in seconds.
async fn archived(site: &Site, lesson: &LessonId, witness: &LessonClient) -> Result<(String, f64)> {
    let archived = witness.until(|s| s.phase == Phase::Archived);
    match tokio::time::timeout(ARCHIVE_WITHIN, archived).await {
        Ok(state) => state.context("waiting for the recording")?,
        Err(_) => bail!("no recording came into the library in {} s", ARCHIVE_WITHIN.as_secs()),
    };
    let recording = services::recording(site, lesson).await?;
    let seconds = services::playing_time(site, &recording).await?;
    Ok((recording.id, seconds))
}

struct Given {
    joins: Vec<Duration>,
    first_frames: Vec<Duration>,
    hands: Vec<Duration>,
    viewing: Viewing,
}

/// The part of the lesson with students in it, from their coming to their going.
async fn with_students(
    site: &Site,
    plan: &Plan,
    lesson: &LessonId,
    teacher: &LessonClient,
    ledger: &Arc<Ledger>,
    picture: TrackId,
    sound: TrackId,
) -> Result<Given> {
    let come = (1..=plan.students).map(|n| {
        let (picture, sound) = (picture.clone(), sound.clone());
        async move {
            let id = format!("student-{n:02}");
            let name = format!("同学{n}");
            let token = site.tokens().sign(&id, &name, Role::Student, SCHOOL, Some(lesson))?;
            let seat =
                Seat { node: site.url("school"), lesson: lesson.clone(), token, picture, sound };
            let joined = Subscriber::join(&seat, ledger.clone()).await;
            let student = joined.with_context(|| format!("{id} could not join"))?;
            let first = student.first_frame_time(PICTURE_WITHIN).await;
            anyhow::Ok((student, first.with_context(|| format!("{id} sees nothing"))?))
        }
    });
    let (students, first_frames): (Vec<_>, Vec<_>) = try_join_all(come).await?.into_iter().unzip();
    let joins = students.iter().map(Subscriber::join_time).collect();

    teacher.command(MemberCommand::Start).await.context("starting the lesson")?;
    soon(teacher, "the lesson is live", |s| s.phase == Phase::Live).await?;
    let measure = Measure::begin(site, &students).await?;
    let hands = hands(teacher, &students, plan.length).await?;
    let viewing = measure.end(site, &students, ledger).await?;
    teacher.command(MemberCommand::End).await.context("ending the lesson")?;
    soon(teacher, "the lesson is over", |s| s.phase >= Phase::Ended).await?;
    join_all(students.into_iter().map(Subscriber::leave)).await;
    Ok(Given { joins, first_frames, hands, viewing })
}

async fn join(
    site: &Site,
    lesson: &LessonId,
    id: &str,
    name: &str,
    role: Role,
) -> Result<LessonClient> {
    let token = site.tokens().sign(id, name, role, CAMPUS, Some(lesson))?;
    let joined = LessonClient::join(&site.url("campus"), lesson, &token).await;
    joined.with_context(|| format!("{id} could not join"))
}

async fn soon(
    member: &LessonClient,
    what: &str,
    wanted: impl Fn(&cloudschool_protocol::lesson::State) -> bool,
) -> Result<()> {
    match tokio::time::timeout(SOON, member.until(wanted)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error).with_context(|| format!("waiting until {what}")),
        Err(_) => bail!("waited {} s in vain until {what}", SOON.as_secs()),
    }
}

/// Now and then a student raises a hand; the teacher takes it down, or calls the student up
/// and lets it go again. Gives the time from each hand to the teacher's seeing it.
async fn hands(
    teacher: &LessonClient,
    students: &[Subscriber],
    length: Duration,
) -> Result<Vec<Duration>> {
    let end = tokio::time::Instant::now() + length;
    let mut seen = Vec::new();
    for (turn, student) in students.iter().cycle().enumerate() {
        let due = tokio::time::Instant::now() + HAND_EVERY;
        let busy = 2 * HAND_UP;
        if due + busy > end {
            break;
        }
        tokio::time::sleep_until(due).await;
        let member = student.lesson().you().id.clone();
        let raised = Instant::now();
        let shown = async {
            soon(teacher, "a hand is shown", |s| s.hands.iter().any(|h| h.member == member))
                .await?;
            anyhow::Ok(raised.elapsed())
        };
        let raise = async {
            student.lesson().command(MemberCommand::RaiseHand).await.context("raising a hand")
        };
        let (shown, ()) = tokio::try_join!(shown, raise)?;
        seen.push(shown);
        tokio::time::sleep(HAND_UP).await;
        if turn % 2 == 0 {
            let lower = MemberCommand::LowerHand { member: Some(member) };
            teacher.command(lower).await.context("taking a hand down")?;
        } else {
            let call = MemberCommand::Call { member: member.clone() };
            teacher.command(call).await.context("calling a student up")?;
            tokio::time::sleep(HAND_UP).await;
            let dismiss = MemberCommand::Dismiss { member: Some(member) };
            teacher.command(dismiss).await.context("sending a student off")?;
        }
    }
    tokio::time::sleep_until(end).await;
    Ok(seen)
}

/// What viewers got in the measured part.
struct Viewing {
    published: usize,
    delivered: f64,
    delivered_least: f64,
    delays: Vec<Duration>,
    sound: f64,
    trunk_bytes: f64,
    viewers_bytes: f64,
}

/// The measured part: from when everyone sees the teacher to shortly before the end.
struct Measure {
    begun: Instant,
    received: Vec<Received>,
    trunk_bytes: f64,
    viewers_bytes: f64,
}

impl Measure {
    async fn begin(site: &Site, students: &[Subscriber]) -> Result<Self> {
        Ok(Self {
            trunk_bytes: services::counter(site, "school", TRUNK_BYTES).await?,
            viewers_bytes: services::counter(site, "school", VIEWERS_BYTES).await?,
            received: students.iter().map(Subscriber::received).collect(),
            begun: Instant::now(),
        })
    }

    async fn end(self, site: &Site, students: &[Subscriber], ledger: &Ledger) -> Result<Viewing> {
        let ended = Instant::now();
        let trunk_bytes = services::counter(site, "school", TRUNK_BYTES).await? - self.trunk_bytes;
        let viewers_bytes =
            services::counter(site, "school", VIEWERS_BYTES).await? - self.viewers_bytes;
        let sounds: u64 = students
            .iter()
            .zip(&self.received)
            .map(|(s, before)| s.received().audio_packets - before.audio_packets)
            .sum();
        let published_sounds = ledger.sounds_between(self.begun, ended);

        let published = ledger.between(self.begun, ended);
        let share = |received: &Received| {
            let came = published.iter().filter(|c| received.frames.contains_key(c)).count();
            came as f64 / published.len() as f64
        };
        // The last frames are still under way.
        let deadline = tokio::time::Instant::now() + SETTLE;
        let received = loop {
            let received: Vec<Received> = students.iter().map(Subscriber::received).collect();
            if tokio::time::Instant::now() >= deadline || received.iter().all(|r| share(r) >= 1.0) {
                break received;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        let shares: Vec<f64> = received.iter().map(share).collect();
        let delays = received
            .iter()
            .flat_map(|r| published.iter().filter_map(|counter| r.frames.get(counter).copied()));
        Ok(Viewing {
            published: published.len(),
            delivered: shares.iter().sum::<f64>() / shares.len() as f64,
            delivered_least: shares.iter().copied().fold(f64::INFINITY, f64::min),
            delays: delays.collect(),
            sound: (sounds as f64 / (published_sounds * students.len()) as f64).min(1.0),
            trunk_bytes,
            viewers_bytes,
        })
    }
}

/// The lesson's events as a member sees them, from its joining on.
struct Log(std::cell::RefCell<(broadcast::Receiver<Event>, Vec<Event>)>);

impl Log {
    fn of(member: &LessonClient) -> Self {
        Self(std::cell::RefCell::new((member.events(), Vec::new())))
    }

    fn events(&self) -> Result<Vec<Event>> {
        let (receiver, events) = &mut *self.0.borrow_mut();
        loop {
            match receiver.try_recv() {
                Ok(event) => events.push(event),
                Err(broadcast::error::TryRecvError::Lagged(n)) => bail!("{n} events were missed"),
                Err(_) => return Ok(events.clone()),
            }
        }
    }
}

/// What analytics has of the lesson.
struct Stored {
    records: usize,
    wrong: usize,
    speech: usize,
}

/// Waits until analytics has caught up, then compares with the lesson's own events.
async fn stored(site: &Site, lesson: &LessonId, events: &[Event]) -> Result<Stored> {
    let expected: HashMap<Uuid, &str> =
        events.iter().filter_map(|e| Some((e.id, code(&e.body)?))).collect();
    let deadline = tokio::time::Instant::now() + ANALYTICS_WITHIN;
    loop {
        let records = services::behaviours(site, lesson).await?;
        let wrong = wrong(&expected, &records);
        if wrong == 0 || tokio::time::Instant::now() >= deadline {
            let speech = records.iter().filter(|r| r.code == "T01").count();
            return Ok(Stored { records: records.len(), wrong, speech });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The behaviour code that an event begins, by the table in docs/behaviour-data.md. The
/// witness, an observer, leaves no record.
fn code(event: &EventBody) -> Option<&'static str> {
    match event {
        EventBody::LessonStarted { .. } => Some("L01"),
        EventBody::LessonEnded { .. } => Some("L02"),
        EventBody::MemberJoined { member } if member.role != Role::Observer => Some("L03"),
        EventBody::MemberLeft { .. } => Some("L04"),
        EventBody::HandRaised { .. } => Some("S01"),
        EventBody::HandLowered { .. } => Some("S02"),
        EventBody::StageCalled { .. } => Some("T12"),
        _ => None,
    }
}

/// Expected records that are missing or have another code, records nobody expects, records
/// there twice, and gaps in their numbering.
fn wrong(expected: &HashMap<Uuid, &str>, records: &[Behaviour]) -> usize {
    let mut times: HashMap<Uuid, usize> = HashMap::new();
    for record in records {
        *times.entry(record.id).or_default() += 1;
    }
    let found: HashMap<Uuid, &str> = records.iter().map(|r| (r.id, r.code.as_str())).collect();
    let missing = expected.iter().filter(|(id, code)| found.get(id) != Some(code)).count();
    // Speech follows from the media, not from events.
    let from_events = records.iter().filter(|r| r.code != "T01");
    let strange = from_events.filter(|r| !expected.contains_key(&r.id)).count();
    let twice: usize = times.values().map(|n| n - 1).sum();
    let mut numbers: Vec<u64> = records.iter().map(|r| r.seq).collect();
    numbers.sort_unstable();
    let gaps = numbers.iter().zip(1..).filter(|(have, want)| **have != *want).count();
    missing + strange + twice + gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u128, code: &str, seq: u64) -> Behaviour {
        Behaviour { id: Uuid::from_u128(id), code: code.into(), seq }
    }

    #[test]
    fn every_way_records_can_be_wrong_is_counted() {
        let expected: HashMap<Uuid, &str> =
            [(Uuid::from_u128(1), "L01"), (Uuid::from_u128(2), "L03")].into();
        let good = [record(1, "L01", 1), record(2, "L03", 2), record(9, "T01", 3)];
        assert_eq!(wrong(&expected, &good), 0);
        assert_eq!(wrong(&expected, &good[..1]), 1, "one is missing");
        let other = [record(1, "L01", 1), record(2, "L04", 2)];
        assert_eq!(wrong(&expected, &other), 1, "another code");
        let strange = [record(1, "L01", 1), record(2, "L03", 2), record(3, "S01", 3)];
        assert_eq!(wrong(&expected, &strange), 1, "one that nobody did");
        let twice = [record(1, "L01", 1), record(2, "L03", 2), record(2, "L03", 3)];
        assert_eq!(wrong(&expected, &twice), 1, "one twice");
        let gap = [record(1, "L01", 1), record(2, "L03", 3)];
        assert_eq!(wrong(&expected, &gap), 1, "a number is left out");
    }
}
