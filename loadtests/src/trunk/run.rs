//! One lesson over one trunk, measured from its beginning to its end.

use super::beside::Download;
use super::judge::{
    Got, Published, Span, TEACHER, frames_missed, judge, layers_shown, longest_freeze,
    longest_silence, sound_missed,
};
use super::members::{Kept, Worker, compare};
use super::schedule::Schedule;
use super::shared;
use super::tree::{Tree, TreePlan};
use crate::forward::clock::wall_ns;
use crate::forward::engine::Identity;
use crate::forward::journal::Journal;
use crate::forward::payload::VideoCodec;
use crate::forward::process::Cpu;
use crate::forward::publishers::Publishers;
use crate::forward::sdp::Kind;
use crate::forward::server::{Peers, Server, What};
use crate::forward::viewers::{Loudest, Progress, Viewers};
use crate::forward::work::Work;
use crate::lesson_client::LessonClient;
use crate::link::{Counters, Profile, Proxy};
use crate::stack::{CAMPUS, SCHOOL};
use anyhow::{Context, Result, bail, ensure};
use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::socket::Rung;
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Sources of the publishers beside the teacher's camera and microphone.
const CLASS: u8 = 1;
const SCREEN: u8 = 2;

/// Who speaks in the school, by the name its door gives the first.
const VOICE: &str = "school-01-microphone-1";

const CONNECTED_WITHIN: Duration = Duration::from_secs(20);
const SEEN_WITHIN: Duration = Duration::from_secs(40);
/// Joins that are under way at a time.
const JOINS_AT_ONCE: usize = 8;
/// What is late may still come: a satellite's retransmissions.
const GRACE: Duration = Duration::from_secs(2);
/// A link this long is a satellite's: a retransmission alone takes longer than the usual limit.
const FAR: Duration = Duration::from_millis(200);

/// What is measured.
#[derive(Debug, Clone)]
pub struct RunPlan {
    pub programs: PathBuf,
    pub configs: PathBuf,
    pub data: PathBuf,
    pub profile: Profile,
    pub hops: usize,
    pub viewers: usize,
    /// First measured with one viewer behind the edge for this long.
    pub alone_for: Option<Duration>,
    /// Whether the same lesson is also watched over plain WebRTC over such a link.
    pub plain: bool,
    pub outage: Option<(Duration, Duration)>,
    pub warm_up: Duration,
    pub length: Duration,
    pub bitrate: u64,
    pub layers: usize,
    pub screen: bool,
    pub seed: u64,
    /// The line is the one of [`shared`], and this is downloaded over it meanwhile.
    pub shared: Option<Option<SocketAddr>>,
    pub log_level: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    pub seed: u64,
    /// What viewers behind the edge got: of each figure the worst of them.
    pub trunk: Got,
    /// What a viewer got that was connected to the campus over such a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain: Option<Got>,
    /// What a viewer at the campus got, with no link between.
    pub campus: Got,
    /// IP bytes on the first link towards the school.
    pub trunk_ip_bytes: u64,
    /// By the IP bytes of the teacher's packets at one viewer at the campus.
    pub trunk_to_viewer_bytes: f64,
    /// The longest time members behind the edge did not hear each other.
    pub local_gap_ms: Option<f64>,
    /// How much of the class's voice came to the campus in time.
    pub class_audio_in_time: f64,
    pub events: Kept,
    /// CPU time of the campus's process for each packet it relayed.
    pub campus_cpu_us_per_packet: Option<f64>,
    /// The same with one viewer behind the edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campus_cpu_us_per_packet_one_viewer: Option<f64>,
    /// When which layer of the teacher's picture was shown behind the edge, s.
    pub layers_shown: Vec<(f64, u8)>,
    pub layer_changes: usize,
    /// What the teacher's page was told reaches the school, and when, s.
    pub rungs_told: Vec<(f64, Rung)>,
    /// When the line's rate became what, s and bit/s.
    pub rates: Vec<(f64, Option<u64>)>,
    /// Since a rate came: when the smallest layer, or all of it, was shown to stay, and how
    /// much of it came in time from then on.
    pub narrowing: Vec<Stage>,
    /// The longest time without a new picture of the screen, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen_freeze_ms: Option<f64>,
    /// Latency of the teacher's frames behind the edge over time, s and ms, for a plot.
    pub frame_latency: Vec<(f64, f64)>,
    /// What a viewer behind the edge missed of the teacher: when it was sent, s, and after how
    /// long it came, ms, if it did.
    pub sound_missed: Vec<(f64, Option<f64>)>,
    pub frames_missed: Vec<(f64, Option<f64>)>,
    pub link: Vec<LinkReport>,
    /// What was downloaded over the same line meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_bytes: Option<u64>,
    /// 99th percentile of how late the tool itself sent, ms.
    pub sent_late_p99_ms: f64,
}

/// What one rate of the line did to the picture.
#[derive(Debug, Clone, Serialize)]
pub struct Stage {
    pub at_s: f64,
    pub until_s: f64,
    pub rate: Option<u64>,
    /// After which time the layer fitted the rate and went on doing so, s.
    pub fitting_after_s: Option<f64>,
    /// The layer that was shown longest from then on.
    pub layer: Option<u8>,
    /// Shares in time: of sound from the beginning, of the picture once the layer fitted.
    pub audio_in_time: f64,
    pub video_in_time: f64,
    pub changes: usize,
}

/// What a link did.
#[derive(Debug, Clone, Serialize)]
pub struct LinkReport {
    pub up: Counters,
    pub down: Counters,
}

/// What is in time is complete within this over the links' own delay.
#[must_use]
pub fn in_time(one_way: Duration) -> Duration {
    Duration::from_millis(if one_way >= FAR { 900 } else { 400 })
}

/// Gives the lesson and measures it.
///
/// # Errors
/// When it does not come about; the text says why.
pub async fn run(plan: &RunPlan) -> Result<Run> {
    let mut profile = plan.profile.clone();
    profile.seed = plan.seed;
    let schedule = Schedule::new(profile, plan.outage)?;
    ensure!(schedule.end() <= plan.length, "the links still change after --seconds");
    let links = vec![schedule.beginning.clone(); plan.hops];
    let tree = Tree::start(&TreePlan {
        programs: plan.programs.clone(),
        configs: plan.configs.clone(),
        data: plan.data.clone(),
        links,
        shared: plan.shared.map(|_| (shared::campus_trunk(), shared::upstream())),
        members: plan.viewers + 100,
        log_level: plan.log_level.clone(),
    })
    .await?;
    let measured = Lesson::begin(plan, &schedule, &tree).await;
    let measured = match measured {
        Ok(lesson) => lesson.measure().await,
        Err(error) => Err(error),
    };
    tree.stop().await;
    measured
}

struct Lesson<'a> {
    plan: &'a RunPlan,
    schedule: &'a Schedule,
    tree: &'a Tree,
    peers: Peers,
    work: Work,
    publishers: Publishers,
    teacher: LessonClient,
    /// Viewers at the campus: without a link, and with one.
    near: Viewers,
    far: Viewers,
    progress: Arc<Progress>,
    plain_link: Option<Proxy>,
    campus: Server,
    school: Server,
    /// Kept for as long as they are on air.
    _screen: Option<Server>,
}

impl<'a> Lesson<'a> {
    async fn begin(plan: &'a RunPlan, schedule: &'a Schedule, tree: &'a Tree) -> Result<Self> {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let feedback_every = Duration::from_millis(100);
        let identity = Identity::new()?;
        let mut peers = Peers { identity, ip, gro: false, feedback_every, through: None };
        let work = work(plan);
        let loudest = Arc::new(Loudest::default());
        let progress = Arc::new(Progress::default());
        let publishers = Publishers::start(0, plan.seed, loudest.clone())?;
        let near = Viewers::start(false, progress.clone(), loudest.clone())?;
        let far = Viewers::start(false, progress.clone(), loudest)?;

        let token =
            tree.tokens.sign("teacher", "李老师", Role::Teacher, CAMPUS, Some(&tree.lesson))?;
        let teacher = LessonClient::join(tree.campus_url(), &tree.lesson, &token).await?;
        let (mut campus, mut school) = (tree.at_campus("camera")?, tree.at_school()?);
        let mut connected = 2;
        let publishing = Server::Door(tree.at_campus("camera")?);
        let (publisher, media) = peers.publish(&publishing, 0, &work).await?;
        publishers.add(publisher)?;
        let class = What { source: CLASS, picture: false, sound: true };
        let at_school = Server::Door(tree.at_school()?);
        publishers.add(peers.publish_as(&at_school, 1, class, &work).await?.0)?;
        let mut screen = None;
        if plan.screen {
            let server = Server::Door(tree.at_campus("screen")?);
            let what = What { source: SCREEN, picture: true, sound: false };
            publishers.add(peers.publish_as(&server, 0, what, &screen_work(plan)).await?.0)?;
            screen = Some(server);
            connected += 1;
            let track = |who: &str, source| anyhow::Ok(TrackId::new(MemberId::new(who)?, source));
            let tracks = vec![
                track("teacher", Source::Camera)?,
                track("teacher", Source::Screen)?,
                track("teacher", Source::Microphone)?,
                track(VOICE, Source::Microphone)?,
            ];
            campus = campus.watching(tracks.clone());
            school = school.watching(tracks);
        }
        let on_air = publishers.on_air();
        let all = on_air.until(|air| air.connected.load(Ordering::Relaxed) == connected);
        tokio::time::timeout(CONNECTED_WITHIN, all).await.context("publishers did not connect")?;
        teacher.command(MemberCommand::Start).await.context("starting the lesson")?;
        // Only who is called up is heard on the other side of a trunk.
        let member = MemberId::new(VOICE)?;
        let there = teacher.until(|s| s.members.contains_key(&member));
        tokio::time::timeout(CONNECTED_WITHIN, there)
            .await
            .context("the campus does not get to know who speaks in the school")??;
        teacher.command(MemberCommand::Call { member }).await.context("calling the school up")?;

        let mut plain_link = None;
        if plan.plain {
            let target = media.context("the campus named no address for its media")?;
            let bind = SocketAddr::new(ip, 0);
            plain_link = Some(Proxy::start(target, schedule.beginning.clone(), bind)?);
        }
        // Doors are used by whoever joins later, with the link where there is one.
        peers.through = None;
        let mut lesson = Self {
            plan,
            schedule,
            tree,
            peers,
            work,
            publishers,
            teacher,
            near,
            far,
            progress,
            plain_link,
            campus: Server::Door(campus),
            school: Server::Door(school),
            _screen: screen,
        };
        lesson.everybody_knows_the_tracks(connected).await?;
        lesson.join_campus().await?;
        Ok(lesson)
    }

    /// Whoever chooses tracks must find them there.
    async fn everybody_knows_the_tracks(&self, publishers: usize) -> Result<()> {
        let wanted = publishers + 1;
        let token = self.tree.tokens.sign(
            "witness",
            "听课员",
            Role::Observer,
            SCHOOL,
            Some(&self.tree.lesson),
        )?;
        let url = self.tree.school_url();
        let witness = LessonClient::join(url, &self.tree.lesson, &token).await?;
        let known = witness.until(|s| s.tracks.len() >= wanted);
        let known = tokio::time::timeout(CONNECTED_WITHIN, known).await;
        known.context("the school does not get to know of all tracks")??;
        witness.leave().await;
        Ok(())
    }

    async fn join_campus(&mut self) -> Result<()> {
        let prepared = self.peers.prepare(&self.campus)?;
        let mut viewer = self.peers.join(&self.campus, 0, &self.work, prepared).await?;
        viewer.keep_journal();
        self.near.add(viewer)?;
        if let Some(link) = &self.plain_link {
            self.peers.through = Some(link.address());
            let prepared = self.peers.prepare(&self.campus)?;
            let mut viewer = self.peers.join(&self.campus, 1, &self.work, prepared).await?;
            viewer.keep_journal();
            self.near.add(viewer)?;
            self.peers.through = None;
        }
        Ok(())
    }

    async fn join_school(&self, from: usize, until: usize) -> Result<()> {
        use futures_util::stream::{self, StreamExt, TryStreamExt};
        let join = |who| async move {
            let prepared = self.peers.prepare(&self.school)?;
            self.peers.join(&self.school, who, &self.work, prepared).await
        };
        let mut joined = stream::iter((from..until).map(join)).buffer_unordered(JOINS_AT_ONCE);
        while let Some(mut viewer) = joined.try_next().await? {
            viewer.keep_journal();
            self.far.add(viewer)?;
        }
        let all = until + 1 + usize::from(self.plain_link.is_some());
        let seen = self.progress.until(|p| p.seeing.load(Ordering::Relaxed) >= all);
        if tokio::time::timeout(SEEN_WITHIN, seen).await.is_err() {
            let seeing = self.progress.seeing.load(Ordering::Relaxed);
            bail!("of {all} viewers {seeing} saw a picture in time");
        }
        Ok(())
    }

    /// CPU time of the campus and the packets it relayed, over some time.
    async fn cpu(&self, length: Duration) -> Result<Option<f64>> {
        let Some(pid) = self.tree.campus_pid() else { return Ok(None) };
        let (before, from) = (Cpu::of(pid)?, wall_ns());
        tokio::time::sleep(length).await;
        let (ran, until) = (Cpu::of(pid)?.since(&before), wall_ns());
        let near = self.near.journals().await?;
        Ok(Some(ran as f64 / 1000.0 / self.relayed(&near, from, until)))
    }

    /// Packets the campus relayed of the teacher: one each to the trunk and its own viewers.
    fn relayed(&self, near: &[Vec<(Kind, Journal)>], from: u64, until: u64) -> f64 {
        let packets = near.first().into_iter().flatten().flat_map(|(_, j)| &j.packets);
        let within = packets.filter(|p| p.source == TEACHER && (from..until).contains(&p.sent_ns));
        let copies = 2 + usize::from(self.plain_link.is_some());
        (within.count() * copies).max(1) as f64
    }

    /// What the teacher was told reaches the first school, in seconds since `began`.
    fn rungs_told(&self, began: Instant) -> Vec<(f64, Rung)> {
        let mut told: Vec<(f64, Rung)> = Vec::new();
        for (at, schools) in self.teacher.rungs() {
            let Some(school) = schools.first() else { continue };
            if told.last().is_none_or(|(_, rung)| *rung != school.rung) {
                let before = began.saturating_duration_since(at).as_secs_f64();
                told.push((
                    at.saturating_duration_since(began).as_secs_f64() - before,
                    school.rung,
                ));
            }
        }
        told
    }

    async fn measure(self) -> Result<Run> {
        let plan = self.plan;
        let start = |node, school, member| Worker::start(self.tree, node, school, member);
        let (campus, school) = (self.tree.campus_url(), self.tree.school_url());
        let at_campus = [start(campus, CAMPUS, "zhang")?, start(campus, CAMPUS, "zhao")?];
        let at_school = [start(school, SCHOOL, "wang")?, start(school, SCHOOL, "wu")?];
        // The class works from here on, so that what it says costs the campus the same with one
        // viewer as with all.
        let mut alone = None;
        if let Some(length) = plan.alone_for {
            self.join_school(0, 1).await?;
            tokio::time::sleep(plan.warm_up).await;
            alone = self.cpu(length).await?;
        }
        self.join_school(usize::from(plan.alone_for.is_some()), plan.viewers).await?;
        let download = plan.shared.flatten().map(Download::start);
        let downloaded = || download.as_ref().map(Download::bytes);
        tokio::time::sleep(plan.warm_up).await;

        self.publishers.begin()?;
        let downloaded_before = downloaded();
        let pid = self.tree.campus_pid().context("the campus is gone")?;
        let cpu = Cpu::of(pid)?;
        let before: Vec<Counters> = self.tree.links.iter().map(|l| l.stats().down).collect();
        let (began, from) = (Instant::now(), wall_ns());
        let mut links: Vec<&Proxy> = self.tree.links.iter().take(1).collect();
        links.extend(&self.plain_link);
        let cuts = self.schedule.carry_out(began, &links).await?;
        tokio::time::sleep_until((began + plan.length).into()).await;
        let until = wall_ns();
        let download_bytes = downloaded().zip(downloaded_before).map(|(a, b)| a - b);
        let ran = Cpu::of(pid)?.since(&cpu);
        let after: Vec<Counters> = self.tree.links.iter().map(|l| l.stats().down).collect();
        let late = self.publishers.late().await?;

        let mut campus = Vec::new();
        for worker in at_campus {
            campus.push(worker.stop().await?);
        }
        let mut school = Vec::new();
        for worker in at_school {
            school.push(worker.stop().await?);
        }
        tokio::time::sleep(GRACE).await;
        let gone = self.progress.gone.load(Ordering::Relaxed);
        let (near, far) = (self.near.journals().await?, self.far.journals().await?);
        let events = compare(&self.tree.event_log()?, &campus, &school, &cuts).await?;

        let hop = plan.profile.down.beginning.delay;
        let one_way = hop * plan.hops as u32;
        let nanos = |d: Duration| d.as_nanos() as u64;
        let span =
            Span { from, until, cuts, one_way: nanos(one_way), in_time: nanos(in_time(one_way)) };
        if gone > 0 {
            tracing::warn!(gone, "viewers lost their connection");
        }
        let bytes: Vec<u64> = before
            .iter()
            .zip(&after)
            .map(|(before, after)| after.received_ip_bytes() - before.received_ip_bytes())
            .collect();
        let figures =
            Figures { plan, schedule: self.schedule, span: &span, near: &near, far: &far };
        let mut run = figures.of(events, bytes.first().copied().unwrap_or(0));
        run.campus_cpu_us_per_packet = Some(ran as f64 / 1000.0 / self.relayed(&near, from, until));
        run.campus_cpu_us_per_packet_one_viewer = alone;
        run.download_bytes = download_bytes;
        run.link = self
            .tree
            .links
            .iter()
            .map(|l| l.stats())
            .map(|s| LinkReport { up: s.up, down: s.down })
            .collect();
        run.rungs_told = self.rungs_told(began);
        run.sent_late_p99_ms = late.value_at_percentile(99.0) as f64 / 1000.0;
        self.teacher.command(MemberCommand::End).await.context("ending the lesson")?;
        self.teacher.leave().await;
        Ok(run)
    }
}

/// The teacher's camera and microphone.
pub fn work(plan: &RunPlan) -> Work {
    Work {
        subscribers: plan.viewers,
        bitrate: plan.bitrate,
        rate: 30,
        keyframe_every: Some(Duration::from_secs(4)),
        codec: VideoCodec::H264,
        layers: plan.layers,
        temporal_layers: 1,
        microphones: 0,
        pictures: if plan.screen { 2 } else { 1 },
        sound_lines: 2,
        seed: plan.seed,
    }
}

/// A shared page: sharp, and mostly still.
fn screen_work(plan: &RunPlan) -> Work {
    Work {
        bitrate: 250_000,
        rate: 5,
        layers: 1,
        keyframe_every: Some(Duration::from_secs(3)),
        ..work(plan)
    }
}

struct Figures<'a> {
    plan: &'a RunPlan,
    schedule: &'a Schedule,
    span: &'a Span,
    near: &'a [Vec<(Kind, Journal)>],
    far: &'a [Vec<(Kind, Journal)>],
}

impl Figures<'_> {
    fn of(&self, events: Kept, trunk_ip_bytes: u64) -> Run {
        let Self { plan, span, near, far, .. } = self;
        let all = || near.iter().chain(*far).flatten().map(|(_, journal)| journal);
        let teacher = Published::of(TEACHER, all());
        let class = Published::of(CLASS, all());
        let none = Vec::new();
        let campus_lines = near.first().unwrap_or(&none);
        let campus = judge(TEACHER, campus_lines, &teacher, span);
        let each: Vec<Got> = far.iter().map(|j| judge(TEACHER, j, &teacher, span)).collect();
        let first = far.first().unwrap_or(&none);
        let shown = layers_shown(TEACHER, first, span);
        let rates = self.schedule.rates();
        let seconds = |d: Duration| d.as_secs_f64();
        let lines = plan.screen.then(|| longest_freeze(SCREEN, first, span)).flatten();
        Run {
            seed: plan.seed,
            trunk_to_viewer_bytes: trunk_ip_bytes as f64 / campus.media_ip_bytes.max(1) as f64,
            trunk: worst(&each),
            plain: plan
                .plain
                .then(|| near.get(1))
                .flatten()
                .map(|j| judge(TEACHER, j, &teacher, span)),
            local_gap_ms: far
                .iter()
                .filter_map(|j| longest_silence(CLASS, j, span))
                .reduce(f64::max),
            class_audio_in_time: judge(CLASS, campus_lines, &class, span).audio_in_time,
            campus,
            trunk_ip_bytes,
            events,
            campus_cpu_us_per_packet: None,
            campus_cpu_us_per_packet_one_viewer: None,
            layer_changes: shown.len().saturating_sub(1),
            narrowing: self.stages(&rates, &shown, first, &teacher),
            layers_shown: shown,
            rungs_told: Vec::new(),
            rates: rates.iter().map(|(at, rate)| (seconds(*at), *rate)).collect(),
            screen_freeze_ms: lines,
            frame_latency: self.latency(first),
            sound_missed: sound_missed(TEACHER, first, &teacher, span),
            frames_missed: frames_missed(TEACHER, first, &teacher, span),
            link: Vec::new(),
            download_bytes: None,
            sent_late_p99_ms: 0.0,
        }
    }

    fn latency(&self, lines: &[(Kind, Journal)]) -> Vec<(f64, f64)> {
        let frames = lines.iter().flat_map(|(_, j)| &j.frames);
        let within = frames.filter(|f| {
            f.source == TEACHER && (self.span.from..self.span.until).contains(&f.sent_ns)
        });
        let points = within.map(|f| {
            let since = (f.sent_ns - self.span.from) as f64 / 1e9;
            (since, f.whole_ns.saturating_sub(f.sent_ns) as f64 / 1e6)
        });
        points.collect()
    }

    fn stages(
        &self,
        rates: &[(Duration, Option<u64>)],
        shown: &[(f64, u8)],
        lines: &[(Kind, Journal)],
        published: &Published,
    ) -> Vec<Stage> {
        if rates.len() < 2 {
            return Vec::new();
        }
        let needs = self.work_needs();
        let length = self.plan.length.as_secs_f64();
        let stage = |(n, (at, rate)): (usize, &(Duration, Option<u64>))| {
            let at_s = at.as_secs_f64();
            let until_s = rates.get(n + 1).map_or(length, |(next, _)| next.as_secs_f64());
            let fits = |layer: u8| {
                let needed = needs.get(usize::from(layer)).copied().unwrap_or(u64::MAX);
                let top = rate.is_none_or(|rate| needs.last().is_none_or(|most| *most <= rate));
                let is_top = usize::from(layer) + 1 == needs.len();
                rate.is_none_or(|rate| needed <= rate) && (!top || is_top)
            };
            let within: Vec<(f64, u8)> = within(shown, at_s, until_s);
            // From where on nothing was shown that does not fit.
            let settled = match within.iter().rposition(|(_, layer)| !fits(*layer)) {
                None => within.first(),
                Some(last) => within.get(last + 1),
            };
            let from = settled.map_or(until_s, |(at, _)| *at);
            let part = |from_s: f64| {
                let ns = |s: f64| self.span.from + (s * 1e9) as u64;
                let span = Span { from: ns(from_s), until: ns(until_s), ..self.span.clone() };
                judge(TEACHER, lines, published, &span)
            };
            Stage {
                at_s,
                until_s,
                rate: *rate,
                fitting_after_s: settled.map(|(at, _)| at - at_s),
                layer: settled.map(|(_, layer)| *layer),
                audio_in_time: part(at_s).audio_in_time,
                video_in_time: part(from).video_in_time,
                changes: within.len().saturating_sub(1),
            }
        };
        rates.iter().enumerate().map(stage).collect()
    }

    /// What each layer needs of a line, beside sound, bit/s.
    fn work_needs(&self) -> Vec<u64> {
        work(self.plan).needs()
    }
}

/// The layers shown between two times, the one that was shown already first.
fn within(shown: &[(f64, u8)], from: f64, until: f64) -> Vec<(f64, u8)> {
    let before = shown.iter().rfind(|(at, _)| *at <= from).map(|(_, layer)| (from, *layer));
    let later = shown.iter().filter(|(at, _)| *at > from && *at < until).copied();
    before.into_iter().chain(later).collect()
}

/// Of each figure the worst.
fn worst(each: &[Got]) -> Got {
    let mut all = each.iter().cloned();
    let Some(mut worst) = all.next() else { return Got::default() };
    for got in all {
        let most = |a: &mut f64, b: f64| *a = a.max(b);
        let least = |a: &mut f64, b: f64| *a = a.min(b);
        least(&mut worst.audio_in_time, got.audio_in_time);
        least(&mut worst.video_in_time, got.video_in_time);
        least(&mut worst.video_complete_in_time, got.video_complete_in_time);
        most(&mut worst.frame_p50_ms, got.frame_p50_ms);
        most(&mut worst.frame_p95_ms, got.frame_p95_ms);
        most(&mut worst.frame_p99_ms, got.frame_p99_ms);
        most(&mut worst.keyframe_p95_ms, got.keyframe_p95_ms);
        most(&mut worst.added_latency_p50_ms, got.added_latency_p50_ms);
        most(&mut worst.added_latency_p99_ms, got.added_latency_p99_ms);
        worst.lip_sync_ms = worst.lip_sync_ms.into_iter().chain(got.lip_sync_ms).reduce(f64::max);
        let later = |a: &mut [Option<f64>], b: &[Option<f64>]| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a = a.zip(*b).map(|(a, b)| a.max(b)));
        };
        later(&mut worst.resume_audio_ms, &got.resume_audio_ms);
        later(&mut worst.resume_picture_ms, &got.resume_picture_ms);
        worst.layer_changes = worst.layer_changes.max(got.layer_changes);
    }
    worst
}
