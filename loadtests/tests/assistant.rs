//! A lesson over real processes in which programs have a part: an assistant whose ears are a
//! small script captions what the teacher says and proposes chapters, and the screens, which
//! nobody directs, cut to who speaks on stage at either node.

mod common;

use anyhow::{Context, Result, ensure};
use classroom_client::dial::Dial;
use classroom_client::publish::{Endpoint, Outgoing, Publication};
use classroom_client::rtp::{Header, Packet};
use cloudschool_protocol::asset::AssetId;
use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::{DeckId, LessonId, MemberId};
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::lesson::showing::{Draft, Layout};
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::slides::{Deck, DeckPage};
use common::programs;
use loadtests::lesson_client::LessonClient;
use loadtests::media::microphone::{Microphone, SAMPLES};
use loadtests::stack::{CAMPUS, Lesson, Ports, SCHOOL, Settings, Site, Stack};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long anything may take on a machine that is busy with other things.
const SOON: Duration = Duration::from_secs(60);

/// Of who speaks, and of who does not (RFC 6464).
const LOUD: u8 = 30;
const SILENT: u8 = 127;

fn id(name: &str) -> MemberId {
    MemberId::new(name).unwrap()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Somebody with a microphone, who speaks when told to.
struct Speaker {
    page: LessonClient,
    speaks: watch::Sender<bool>,
    talk: JoinHandle<Result<()>>,
    _publication: Publication,
}

impl Speaker {
    async fn come(
        site: &Site,
        lesson: &LessonId,
        who: &str,
        role: Role,
        at: &str,
    ) -> Result<Speaker> {
        let school = if at == "campus" { CAMPUS } else { SCHOOL };
        let token = site.tokens().sign(who, who, role, school, Some(lesson))?;
        let page = LessonClient::join(&site.url(at), lesson, &token).await?;
        let url = site.url(at).join(&format!("whip/{lesson}"))?;
        let publication = Publication::start(&Dial::default(), Endpoint { url, token }).await?;
        let (speaks, told) = watch::channel(false);
        let talk = tokio::spawn(talk(publication.audio().clone(), told));
        let microphone = TrackId::new(id(who), Source::Microphone);
        let speaker = Speaker { page, speaks, talk, _publication: publication };
        speaker.until("a microphone", |s| s.tracks.contains_key(&microphone)).await?;
        Ok(speaker)
    }

    async fn until(&self, what: &str, wanted: impl Fn(&State) -> bool) -> Result<State> {
        let state = tokio::time::timeout(SOON, self.page.until(wanted)).await;
        Ok(state.with_context(|| format!("{what} did not come"))??)
    }

    fn says(&self, speaks: bool) {
        self.speaks.send_replace(speaks);
    }
}

/// Twenty milliseconds after twenty milliseconds; who is silent sends next to nothing.
async fn talk(audio: Outgoing, speaks: watch::Receiver<bool>) -> Result<()> {
    let mut microphone = Microphone::new(7)?;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let (mut sequence_number, mut timestamp) = (0_u16, 0_u32);
    loop {
        ticks.tick().await;
        timestamp = timestamp.wrapping_add(SAMPLES as u32);
        let loud = *speaks.borrow();
        // Whoever opens a microphone is heard of by its first packets.
        if !loud && sequence_number > 10 {
            continue;
        }
        sequence_number = sequence_number.wrapping_add(1);
        let payload = microphone.listen()?.payload;
        let header = Header { version: 2, sequence_number, timestamp, ..Header::default() };
        let mut packet = Packet { header, payload };
        audio.set_level(&mut packet, if loud { LOUD } else { SILENT }, loud)?;
        audio.send(packet).await?;
    }
}

fn deck() -> Box<Deck> {
    let asset = AssetId::of_digest([7; 32]);
    let page = DeckPage { asset, width: 1920, height: 1080, small: None, title: None };
    let id = DeckId::new("deck").unwrap();
    Box::new(Deck { id, title: "分数".into(), pages: vec![page; 2], text: None })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assistant_program_and_the_directing_node_follow_what_is_said() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let programs = programs(&[
        "cloudschool-sfu",
        "cloudschool-recorder",
        "cloudschool-analytics",
        "cloudschool-classroom-client",
    ]);
    let settings = Settings {
        programs: programs.into(),
        configs: Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs"),
        data: scratch.path().join("data"),
        ports: Ports::free()?,
        log_level: Some("info".into()),
    };
    let stack = Stack::start(settings).await?;
    let given = give(&stack.site(), programs).await;
    if given.is_err() {
        for process in ["campus", "school-01"] {
            let log = std::fs::read_to_string(stack.site().installation().log(process));
            eprintln!("{process}: {}", log.unwrap_or_default());
        }
    }
    stack.stop().await;
    given
}

async fn give(site: &Site, programs: &Path) -> Result<()> {
    let (subject, grade) = ("数学", "五年级");
    let of = Lesson { id: "assisted", title: "分数", subject, grade, teacher: "李老师" };
    let lesson = site.open_lesson(of).await?;
    let teacher = Speaker::come(site, &lesson, "li", Role::Teacher, "campus").await?;
    teacher.page.command(MemberCommand::Start).await?;

    // The assistant is at the school: it hears the teacher over the trunk.
    let token = site.tokens().sign("helper", "字幕", Role::Assistant, SCHOOL, Some(&lesson))?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = script.join("../classroom-client/examples/voice-activity.py");
    let mut assistant = tokio::process::Command::new(programs.join("classroom-client"))
        .args(["assist", "--lesson", lesson.as_str(), "--node", site.url("school").as_str()])
        .args(["--lang", "en", "--chapters", "1", "--", "python3"])
        .arg(script)
        .env("CLOUDSCHOOL_TOKEN", token)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    teacher.until("the assistant", |s| s.members.contains_key(&id("helper"))).await?;

    let began_ms = now_ms();
    let captioned = |s: &State| s.caption.is_some();
    let captioning = async {
        // Speaks and is silent in turn, until somebody understands that.
        while !captioned(&teacher.page.state()) {
            teacher.says(true);
            tokio::time::sleep(Duration::from_secs(3)).await;
            teacher.says(false);
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    };
    tokio::time::timeout(SOON, captioning).await.context("no caption came")?;
    let caption = teacher.page.state().caption.context("a caption")?;
    println!("after {} ms: {caption:?}", now_ms() - began_ms);
    ensure!(caption.text.starts_with("speech, "), "{caption:?}");
    ensure!(caption.lang == "en" && caption.start_ms < caption.end_ms, "{caption:?}");
    ensure!(caption.start_ms + 2_000 > began_ms, "before anything was said: {caption:?}");
    ensure!(caption.end_ms <= now_ms() + 1_000, "of what was not said yet: {caption:?}");

    teacher.page.command(MemberCommand::SlidesOpen { deck: deck(), page: None }).await?;
    teacher.page.command(MemberCommand::SlidesTurn { page: 2 }).await?;
    let of_page = |s: &State| {
        s.proposals.iter().find_map(|p| match &p.content {
            Draft::Chapter { title, .. } if title == "Page 2" => Some(p.id),
            _ => None,
        })
    };
    let state = teacher.until("a chapter", |s| of_page(s).is_some()).await?;
    let proposal = of_page(&state).context("a chapter")?;
    teacher.page.command(MemberCommand::AcceptProposal { proposal }).await?;
    teacher.until("its mark", |s| s.chapters.iter().any(|c| c.title == "Page 2")).await?;

    directed(site, &lesson, &teacher).await?;

    teacher.page.command(MemberCommand::End).await?;
    let mut said = String::new();
    let mut stderr = assistant.stderr.take().context("its output")?;
    let ending = async {
        stderr.read_to_string(&mut said).await?;
        assistant.wait().await
    };
    let status = tokio::time::timeout(SOON, ending).await.context("it goes on for ever")??;
    println!("the assistant said: {said}");
    ensure!(status.success() && said.contains("heard "), "{status}: {said}");
    teacher.talk.abort();
    Ok(())
}

/// Two on stage, at two nodes, who take turns.
async fn directed(site: &Site, lesson: &LessonId, teacher: &Speaker) -> Result<()> {
    let near = Speaker::come(site, lesson, "an", Role::Student, "campus").await?;
    let far = Speaker::come(site, lesson, "room", Role::Classroom, "school").await?;
    let mut events = teacher.page.events();
    for member in ["an", "room"] {
        teacher.page.command(MemberCommand::Call { member: id(member) }).await?;
    }
    let shown = |who: &str| {
        let who = id(who);
        move |s: &State| s.view.layout == Layout::Stage && s.view.focus.as_ref() == Some(&who)
    };
    for (speaker, other, name) in
        [(&far, &near, "room"), (&near, &far, "an"), (&far, &near, "room")]
    {
        other.says(false);
        speaker.says(true);
        let began = now_ms();
        let state = teacher.until("a cut to who speaks", shown(name)).await?;
        println!("{name} is shown large {} ms after the first word", now_ms() - began);
        ensure!(state.view.auto, "{:?}", state.view);
    }
    for speaker in [near, far] {
        speaker.talk.abort();
        speaker.page.leave().await;
    }
    // Every cut is an event, for the recorder too.
    let mut cuts = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let EventBody::ViewDirected { focus, by: None, auto: true, .. } = event.body {
            cuts.push((event.at_ms, focus.map(|m| m.to_string())));
        }
    }
    let whom: Vec<_> = cuts.iter().filter_map(|(_, whom)| whom.as_deref()).collect();
    ensure!(whom.starts_with(&["room", "an", "room"]), "{cuts:?}");
    let of_voices: Vec<u64> = cuts.iter().filter(|c| c.1.is_some()).map(|c| c.0).collect();
    // Four seconds by the node's decisions; an event has the time it was written down.
    ensure!(of_voices.windows(2).all(|two| two[1] - two[0] >= 3_000), "{cuts:?}");
    Ok(())
}
