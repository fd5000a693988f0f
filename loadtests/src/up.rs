//! `loadtest up`: the installation on this machine, with a lesson ready and links to open.

use crate::stack::{CAMPUS, Lesson, SCHOOL, Settings, Site, Stack};
use anyhow::{Context, Result, bail};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::member::Role;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// Everything one needs to take part. The tokens are in the fragments, which browsers keep to
/// themselves.
#[derive(Debug, Clone, Serialize)]
pub struct Links {
    pub teacher: String,
    /// The village classroom, at the school's node.
    pub classroom: String,
    /// A student at home, at the campus node.
    pub student: String,
    /// Who runs the village classroom, on a phone.
    pub assistant: String,
    /// 听评课, unseen by the class.
    pub observer: String,
    pub library: String,
    pub report: String,
    /// For who plans lessons.
    pub timetable: String,
    /// For an office that looks after many lessons.
    pub patrol: String,
    pub lesson: LessonId,
    /// Addresses of the processes.
    pub campus: String,
    pub school: String,
    pub recorder: String,
    pub analytics: String,
    /// Where nodes and appliances dial the campus, over UDP.
    pub trunk: SocketAddr,
    /// Directory of the issuer, for more tokens: `sfu token --issuer DIR …`.
    pub issuer: PathBuf,
    pub pids: BTreeMap<&'static str, u32>,
}

/// Starts everything, prints the links, and runs until told to stop or a process dies.
///
/// # Errors
/// When the installation does not come up, or a process dies.
pub async fn up(settings: Settings, json: bool) -> Result<()> {
    let mut stop = Stop::new()?;
    let mut stack = tokio::select! {
        stack = Stack::start(settings) => stack?,
        // Processes already started are killed as they are dropped.
        () = stop.asked() => return Ok(()),
    };
    let outcome = tokio::select! {
        outcome = serve(&mut stack, json) => outcome,
        () = stop.asked() => Ok(()),
    };
    if !json {
        eprintln!("\nstopping");
    }
    stack.stop().await;
    outcome
}

async fn serve(stack: &mut Stack, json: bool) -> Result<()> {
    let site = stack.site();
    let links = links(&site, stack.pids()).await?;
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(&links)?)?;
    } else {
        write!(out, "{}", for_people(&links, &site))?;
    }
    out.flush()?;
    drop(out);
    let death = stack.died().await;
    bail!("{death}")
}

async fn links(site: &Site, pids: BTreeMap<&'static str, u32>) -> Result<Links> {
    let lesson = Lesson {
        id: "math",
        title: "二次函数的图像",
        subject: "数学",
        grade: "九年级",
        teacher: "李老师",
    };
    let lesson = site.open_lesson(lesson).await?;
    let link = |process: &str, path: String, token: String| -> Result<String> {
        let mut url = site.url(process).join(&path)?;
        url.set_fragment(Some(&format!("token={token}")));
        Ok(url.into())
    };
    let member = |id: &str, name: &str, role, school: &str| {
        site.tokens().sign(id, name, role, school, Some(&lesson))
    };
    let teacher = member("li", "李老师", Role::Teacher, CAMPUS)?;
    let classroom = member("class-301", "三年级一班", Role::Classroom, SCHOOL)?;
    let student = member("wang", "王同学", Role::Student, CAMPUS)?;
    // The library and the report are the teacher's too, for all lessons.
    let assistant = member("zhao", "赵老师", Role::Assistant, SCHOOL)?;
    let observer = member("sun", "孙老师", Role::Observer, CAMPUS)?;
    let operator = site.tokens().sign("ops", "教务处", Role::Operator, CAMPUS, None)?;
    let reader = site.tokens().sign("li", "李老师", Role::Teacher, CAMPUS, None)?;
    // Without the slash, as base addresses are configured.
    let base = |process: &str| site.url(process).as_str().trim_end_matches('/').to_owned();
    Ok(Links {
        teacher: link("campus", format!("teacher/{lesson}"), teacher)?,
        classroom: link("school", format!("classroom/{lesson}"), classroom)?,
        student: link("campus", format!("student/{lesson}"), student)?,
        assistant: link("school", format!("assistant/{lesson}"), assistant)?,
        observer: link("campus", format!("observer/{lesson}"), observer)?,
        timetable: link("campus", "timetable".into(), operator.clone())?,
        patrol: link("campus", "patrol".into(), operator)?,
        library: link("recorder", "library".into(), reader.clone())?,
        report: link("analytics", format!("report/{lesson}"), reader)?,
        campus: base("campus"),
        school: base("school"),
        recorder: base("recorder"),
        analytics: base("analytics"),
        trunk: site.trunk(),
        issuer: site.installation().issuer(),
        pids,
        lesson,
    })
}

fn for_people(links: &Links, site: &Site) -> String {
    let lines = [
        ("teacher 主讲", &links.teacher),
        ("village classroom 教室端", &links.classroom),
        ("student at home 学生", &links.student),
        ("assistant 辅讲", &links.assistant),
        ("observer 听评课", &links.observer),
        ("timetable 课表", &links.timetable),
        ("patrol 巡课", &links.patrol),
        ("library 资源库", &links.library),
        ("report 课堂报告", &links.report),
    ];
    let mut text = format!("\nCloudschool is running; lesson {} is ready.\n", links.lesson);
    for (name, url) in lines {
        text.push_str(&format!("\n  {name}\n    {url}\n"));
    }
    let data = site.installation().root().display();
    text.push_str(&format!("\nData and logs are in {data}. Ctrl-C ends everything.\n"));
    text
}

/// Ctrl-C, a request to terminate, or the end of the terminal.
pub struct Stop([tokio::signal::unix::Signal; 3]);

impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// When signals can't be listened to.
    pub fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    /// Waits until one of them comes.
    pub async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
