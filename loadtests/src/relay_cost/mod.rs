//! `loadtest relay-cost`: what a campus's node spends on each packet it relays to schools, and
//! what a bare quinn sender spends on the same packets, in the same streams and datagrams, to
//! as many receivers in the same run.
//!
//! The schools' nodes are trunks without anything behind them, so that one machine has room
//! for fifty. The campus and the bare sender are processes of their own, whose CPU time the
//! kernel tells; both run and are measured at the same time, so that what else the machine does
//! disturbs both alike.
//!
//! What the bare sender does is what quinn needs for these packets, and no more: one socket, a
//! connection for each receiver, tokio's runtime with a worker for each core as the campus has,
//! bursts of the lesson's sizes at the lesson's times, each made once and shared by all
//! connections, and receivers that acknowledge as quinn does. It has quinn's own settings. It
//! looks at no packet, receives none of a publisher, and has no deadlines, priorities, control
//! streams or figures to tell: what these cost is the campus's. In the kernel both spend within
//! 5 % of the same for a packet (instructions, by `perf stat` of both processes), so that the
//! ratio is of what the programs do themselves.
//!
//! `moq-relay` is not among the sides: it relays its own container over its own sessions, and
//! publishing and subscribing the same packets would take its client stack as a dependency.

mod bare;
mod report;
mod schools;

use crate::forward::engine::Identity;
use crate::forward::node::{Node, NodePlan};
use crate::forward::payload::VideoCodec;
use crate::forward::process::Cpu;
use crate::forward::publishers::Publishers;
use crate::forward::server::{Peers, Server};
use crate::forward::viewers::Loudest;
use crate::forward::work::Work;
use crate::up::Stop;
use anyhow::{Context, Result, bail, ensure};
pub use bare::Sender;
pub use report::{Report, Run, Side};
use reqwest::Client;
pub use schools::Schools;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const PUBLISHED_WITHIN: Duration = Duration::from_secs(15);
/// For all receivers to have packets coming.
const BEGUN_WITHIN: Duration = Duration::from_secs(30);
/// Most of the difference between what was published and what came, as a share.
const WHOLE: f64 = 0.02;

/// The arguments.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Schools' nodes that dial the campus.
    #[arg(long, default_value_t = 50)]
    pub edges: usize,
    /// Of the teacher's picture, headers not counted.
    #[arg(long, default_value_t = 2.0)]
    pub bitrate_mbps: f64,
    /// Length of what is measured of each side in a run.
    #[arg(long, default_value_t = 8.0)]
    pub seconds: f64,
    /// Figures are medians over the runs.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Also write the report to this file, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Where the campus keeps its data; emptied first.
    #[arg(long, default_value = "target/relay-cost")]
    pub data: PathBuf,
}

impl Options {
    fn work(&self) -> Result<Work> {
        ensure!(self.edges > 0, "--edges must be more than 0");
        let rate = self.bitrate_mbps;
        ensure!(rate.is_finite() && rate >= 0.05, "--bitrate-mbps must be 0.05 or more");
        let length = self.seconds;
        ensure!(length.is_finite() && length >= 1.0, "--seconds must be 1 or more");
        Ok(lesson(self.edges, (rate * 1e6) as u64, self.seed))
    }

    fn length(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// What every school is sent.
fn lesson(receivers: usize, bitrate: u64, seed: u64) -> Work {
    Work {
        subscribers: receivers,
        bitrate,
        rate: 30,
        keyframe_every: Some(Duration::from_secs(4)),
        codec: VideoCodec::H264,
        layers: 1,
        temporal_layers: 1,
        microphones: 0,
        pictures: 1,
        sound_lines: 1,
        seed,
    }
}

/// Does all runs.
///
/// # Errors
/// When a run does not come about; nothing is left running.
pub async fn relay_cost(options: &Options, place: &crate::trunk::Place) -> Result<Report> {
    let mut stop = Stop::new()?;
    tokio::select! {
        report = runs(options, place) => report,
        () = stop.asked() => bail!("interrupted"),
    }
}

async fn runs(options: &Options, place: &crate::trunk::Place) -> Result<Report> {
    let work = options.work()?;
    let mut runs = Vec::new();
    for n in 1..=options.runs {
        runs.push(run(options, place, &work).await.with_context(|| format!("run {n}"))?);
        tracing::info!(n, "run done");
    }
    Ok(Report::new(options, runs))
}

/// What a process has spent and brought about.
pub(crate) struct Reading {
    pid: u32,
    cpu: Cpu,
    packets: u64,
    at: Instant,
}

impl Reading {
    fn of(pid: u32, packets: u64) -> Result<Self> {
        Ok(Self { pid, cpu: Cpu::of(pid)?, packets, at: Instant::now() })
    }

    /// What it was between the two.
    fn until(&self, later: &Self) -> Result<Side> {
        let seconds = (later.at - self.at).as_secs_f64();
        ensure!(self.pid == later.pid, "readings of two processes");
        Side::new(later.cpu.since(&self.cpu), later.packets - self.packets, seconds)
    }
}

async fn run(options: &Options, place: &crate::trunk::Place, work: &Work) -> Result<Run> {
    let campus = campus(options, place, work).await?;
    let bare = bare::start(options.edges, work).await.context("the bare sender")?;
    // Controllers have found their rate, and the first keyframes are through.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = (campus.reading()?, bare.reading()?);
    tokio::time::sleep(options.length()).await;
    let (campus_side, bare_side) =
        (before.0.until(&campus.reading()?)?, before.1.until(&bare.reading()?)?);
    bare.check(work, bare_side.packets, options.seconds)?;
    drop((campus.schools, campus.publishers));
    campus.server.stop().await;
    Ok(Run { campus: campus_side, bare: bare_side })
}

/// A campus that relays.
struct Campus {
    pid: u32,
    server: Server,
    publishers: Publishers,
    schools: Schools,
}

impl Campus {
    fn reading(&self) -> Result<Reading> {
        Reading::of(self.pid, self.schools.packets())
    }
}

/// The campus's side of a run, in which every school has begun to get packets.
async fn campus(options: &Options, place: &crate::trunk::Place, work: &Work) -> Result<Campus> {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let http = Client::builder().build()?;
    let plan = NodePlan {
        programs: place.programs.clone(),
        configs: place.configs.clone(),
        data: options.data.clone(),
        media: ip,
        shards: 1,
        pin: false,
        members: 100,
        trunk: None,
        log_level: place.log_level.clone(),
    };
    let node = Node::start(&plan, &http).await?;
    let pid = node.pid().context("the campus is gone")?;
    let (trunk, lesson) = (node.trunk(), node.lesson().clone());
    let identities = node.identities(options.edges).await?;
    let server = Server::Node(node);
    let publishers = Publishers::start(0, work.seed, Arc::new(Loudest::default()))?;
    let peers = Peers {
        identity: Identity::new()?,
        ip,
        gro: false,
        feedback_every: Duration::from_millis(100),
        through: None,
    };
    publishers.add(peers.publish(&server, 0, work).await?.0)?;
    let connected = publishers.on_air().until(|air| air.connected.load(Ordering::Relaxed) == 1);
    tokio::time::timeout(PUBLISHED_WITHIN, connected).await.context("the publisher")?;

    let schools = Schools::dial(&identities, trunk, &lesson)?;
    let begun = tokio::time::timeout(BEGUN_WITHIN, schools.begun()).await;
    begun.context("not every school got packets in time")?;
    Ok(Campus { pid, server, publishers, schools })
}
