//! A trunk that shares its line: with a TCP download, or with other trunks.

use super::judge::Got;
use super::run::{Run, RunPlan, run};
use super::shared;
use crate::forward::engine::Identity;
use crate::forward::node::{Node, NodePlan};
use crate::forward::publishers::Publishers;
use crate::forward::report::Machine;
use crate::forward::server::{Peers, Server};
use crate::forward::viewers::Loudest;
use crate::relay_cost::Schools;
use anyhow::{Context, Result};
use clap::ValueEnum;
use reqwest::Client;
use serde::Serialize;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// What else is on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Beside {
    /// One download over TCP Cubic.
    Tcp,
    /// Three more trunks.
    Trunks,
}

const TRUNKS: usize = 4;
/// For trunks to find their rates.
const SETTLE: Duration = Duration::from_secs(10);
const BEGUN_WITHIN: Duration = Duration::from_secs(30);

/// The shares of a line.
#[derive(Debug, Clone, Serialize)]
pub struct Shares {
    pub beside: &'static str,
    pub seed: u64,
    pub profile: String,
    pub seconds: f64,
    pub line_mbps: f64,
    pub debug_build: bool,
    pub machine: Machine,
    /// What came of the lesson beside the download.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lesson: Option<Run>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_mbps: Option<f64>,
    /// Its congestion control.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_control: Option<&'static str>,
    /// RTP that came by each trunk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trunks_mbps: Vec<f64>,
    pub checks: Vec<Check>,
    /// Whether everything holds that must, with every seed.
    pub ok: bool,
    /// The same with other seeds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<Shares>,
}

/// One thing that must hold.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    pub what: String,
    pub percent: f64,
    pub least: f64,
    pub holds: bool,
}

/// Gives the lesson on a shared line, which [`shared::prepare`] has laid.
///
/// # Errors
/// When it does not come about.
pub async fn beside(plan: &RunPlan, beside: Beside, profile: &str) -> Result<Shares> {
    let mut far_end = shared::start_far_end()?;
    let shares = match beside {
        Beside::Tcp => Box::pin(tcp(plan, profile)).await,
        Beside::Trunks => trunks(plan, profile).await,
    };
    far_end.kill().await.context("ending the far end")?;
    shares
}

fn line_mbps(plan: &RunPlan) -> Result<f64> {
    let rate = plan.profile.down.beginning.rate.limit();
    Ok(rate.context("a line that is shared has a rate: --profile rate=4mbit,delay=20ms")? as f64
        / 1e6)
}

/// A download over TCP that goes on until it is dropped.
pub struct Download {
    bytes: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Download {
    /// Begins to download from `from`.
    #[must_use]
    pub fn start(from: SocketAddr) -> Self {
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = bytes.clone();
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            let connected = TcpStream::connect(from).await;
            let Ok(mut socket) = connected else { return };
            while let Ok(read @ 1..) = socket.read(&mut buffer).await {
                counted.fetch_add(read as u64, Ordering::Relaxed);
            }
        });
        Self { bytes, task }
    }

    /// What has come so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn tcp(plan: &RunPlan, profile: &str) -> Result<Shares> {
    let line = line_mbps(plan)?;
    let lesson = Box::pin(run(plan)).await?;
    let seconds = plan.length.as_secs_f64();
    let bytes = lesson.download_bytes.filter(|bytes| *bytes > 0);
    let download = bytes.context("nothing was downloaded")? as f64 * 8.0 / 1e6 / seconds;
    let Got { audio_in_time, video_in_time, .. } = lesson.trunk;
    let middle = middle_or_more(&lesson, seconds);
    let percent = |share: f64| share * 100.0;
    let checks = [
        ("sound in time", percent(audio_in_time), 99.5),
        ("frames in time", percent(video_in_time), 99.0),
        ("time with 500 kbit/s or more of picture", percent(middle), 90.0),
        ("the download's part of the line", percent(download / line), 25.0),
    ];
    let shares = Shares::new("tcp", plan, profile, line, at_least(&checks));
    Ok(Shares {
        lesson: Some(lesson),
        download_mbps: Some(download),
        download_control: Some(shared::CONTROL),
        ..shares
    })
}

/// Share of the time in which a layer above the smallest was shown.
fn middle_or_more(lesson: &Run, seconds: f64) -> f64 {
    let ends = lesson.layers_shown.iter().skip(1).map(|(at, _)| *at).chain([seconds]);
    let shown = lesson.layers_shown.iter().zip(ends);
    let large = shown.filter(|((_, layer), _)| *layer > 0);
    large.map(|((from, _), until)| until - from).sum::<f64>() / seconds
}

fn at_least(checks: &[(&str, f64, f64)]) -> Vec<Check> {
    let check = |(what, percent, least): &(&str, f64, f64)| Check {
        what: (*what).to_owned(),
        percent: *percent,
        least: *least,
        holds: percent >= least,
    };
    checks.iter().map(check).collect()
}

/// Four trunks that each want the whole lesson, none with anybody behind it.
async fn trunks(plan: &RunPlan, profile: &str) -> Result<Shares> {
    let line = line_mbps(plan)?;
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let work = super::run::work(plan);
    let node = Node::start(
        &NodePlan {
            programs: plan.programs.clone(),
            configs: plan.configs.clone(),
            data: plan.data.clone(),
            media: ip,
            shards: 1,
            pin: false,
            members: 100,
            trunk: Some(shared::campus_trunk()),
            log_level: plan.log_level.clone(),
        },
        &Client::builder().build()?,
    )
    .await?;
    let (lesson, identities) = (node.lesson().clone(), node.identities(TRUNKS).await?);
    let server = Server::Node(node);
    let publishers = Publishers::start(0, work.seed, Arc::new(Loudest::default()))?;
    let feedback_every = Duration::from_millis(100);
    let identity = Identity::new()?;
    let peers = Peers { identity, ip, gro: false, feedback_every, through: None };
    publishers.add(peers.publish(&server, 0, &work).await?.0)?;
    let schools = Schools::dial(&identities, shared::upstream(), &lesson)?;
    let begun = tokio::time::timeout(BEGUN_WITHIN, schools.begun()).await;
    begun.context("not every trunk carried packets in time")?;
    tokio::time::sleep(SETTLE).await;
    let (before, began) = (schools.bytes(), Instant::now());
    tokio::time::sleep(plan.length).await;
    let (after, seconds) = (schools.bytes(), began.elapsed().as_secs_f64());
    drop(schools);
    drop(publishers);
    server.stop().await;
    let mbps = before.iter().zip(&after).map(|(b, a)| (a - b) as f64 * 8.0 / 1e6 / seconds);
    let mbps: Vec<f64> = mbps.collect();
    let most = mbps.iter().copied().fold(0.0, f64::max);
    let least = mbps.iter().copied().fold(f64::INFINITY, f64::min);
    let checks = [("the least of four trunks by the most", least / most * 100.0, 80.0)];
    let shares = Shares::new("trunks", plan, profile, line, at_least(&checks));
    Ok(Shares { trunks_mbps: mbps, ..shares })
}

impl Shares {
    fn new(
        beside: &'static str,
        plan: &RunPlan,
        profile: &str,
        line_mbps: f64,
        checks: Vec<Check>,
    ) -> Self {
        Self {
            beside,
            seed: plan.seed,
            profile: profile.to_owned(),
            seconds: plan.length.as_secs_f64(),
            line_mbps,
            debug_build: cfg!(debug_assertions),
            machine: Machine::this(),
            lesson: None,
            download_mbps: None,
            download_control: None,
            trunks_mbps: Vec::new(),
            ok: checks.iter().all(|check| check.holds),
            checks,
            more: Vec::new(),
        }
    }

    /// All of them in one; `None` of none.
    #[must_use]
    pub fn of(all: Vec<Self>) -> Option<Self> {
        let ok = all.iter().all(|one| one.ok);
        let mut all = all.into_iter();
        let first = all.next()?;
        Some(Self { ok, more: all.collect(), ..first })
    }

    /// For people to read.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let Self { beside, seed, profile, seconds, line_mbps, .. } = self;
        let _ = writeln!(
            out,
            "{profile} shared ({beside}), {line_mbps} Mbit/s, {seconds:.0} s, seed {seed}"
        );
        if let (Some(mbps), Some(control)) = (self.download_mbps, &self.download_control) {
            let _ = writeln!(out, "  download {mbps:.2} Mbit/s by TCP {control}");
        }
        for (n, mbps) in self.trunks_mbps.iter().enumerate() {
            let _ = writeln!(out, "  trunk {}: {mbps:.2} Mbit/s of RTP", n + 1);
        }
        for Check { what, percent, least, holds } in &self.checks {
            let mark = if *holds { "✓" } else { "✗" };
            let _ = writeln!(out, "{mark} {what}: {percent:.2} % (≥ {least} %)");
        }
        self.more.iter().for_each(|other| out.push_str(&other.text()));
        out
    }
}
