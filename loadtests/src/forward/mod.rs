//! `loadtest forward`: what forwarding costs a server, measured side by side with the floor
//! and with another server doing the same work.
//!
//! The work is done by light peers: ICE and DTLS by the engine, media by hand. A publisher
//! sends synthetic packets that say when they were sent and what they are part of; viewers
//! open and count them and give the feedback a browser gives. Nothing is decoded, so that
//! one core is enough for a thousand viewers; where the tool was in the way, it says so.

mod bench;
pub(crate) mod clock;
mod conversation;
mod crew;
pub(crate) mod door;
mod encoder;
pub(crate) mod engine;
mod floor;
mod frames;
mod header;
mod janus;
pub(crate) mod journal;
mod measure;
pub(crate) mod namespace;
pub(crate) mod node;
mod options;
pub(crate) mod page;
pub(crate) mod payload;
pub(crate) mod plots;
pub(crate) mod process;
pub(crate) mod publisher;
pub(crate) mod publishers;
mod reception;
pub(crate) mod report;
pub(crate) mod sdp;
mod sequence;
pub(crate) mod server;
pub(crate) mod socket;
pub(crate) mod stamp;
mod transport;
mod twcc;
mod verdict;
pub(crate) mod viewer;
pub(crate) mod viewers;
pub(crate) mod whip;
pub(crate) mod work;

pub use bench::{Options as BenchOptions, bench};
pub use measure::Measured;
pub use options::{Against, Options};
pub use report::{Report, Run};

use crate::up::Stop;
use anyhow::{Context, Result, bail};
use engine::Identity;
use floor::Floor;
use janus::Janus;
use measure::{Course, measure};
use node::{Node, NodePlan};
use report::Described;
use reqwest::Client;
use reqwest::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue};
use server::{Peers, Server};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;
use whip::Whip;
use work::Work;

/// CPU time the floor is measured for in a run.
const FLOOR_FOR: Duration = Duration::from_millis(1500);
/// Time the paced one is measured for.
const PACED_FLOOR_FOR: Duration = Duration::from_secs(4);

/// Where programs and configuration files are.
#[derive(Debug, Clone)]
pub struct Place {
    pub programs: PathBuf,
    pub configs: PathBuf,
    pub log_level: Option<String>,
}

/// Prepares this process; to be called before it has any threads.
///
/// # Errors
/// When a comparison needs a network namespace and there can't be one.
pub fn prepare(options: &Options) -> Result<()> {
    process::raise_open_files();
    if options.is_against(Against::Janus) {
        namespace::enter()?;
    }
    Ok(())
}

/// Does all runs.
///
/// # Errors
/// When a run does not come about; nothing is left running.
pub async fn forward(options: &Options, place: &Place) -> Result<Report> {
    let mut stop = Stop::new()?;
    tokio::select! {
        report = runs(options, place) => report,
        () = stop.asked() => bail!("interrupted"),
    }
}

async fn runs(options: &Options, place: &Place) -> Result<Report> {
    let work = options.work()?;
    let course = options.course(&place.configs.join("links"))?;
    let bench = Bench::new(options, place, work, course)?;
    let mut runs = Vec::new();
    for n in 1..=options.runs {
        let run = bench.run().await.with_context(|| format!("run {n}"))?;
        tracing::info!(n, "run done");
        runs.push(run);
    }
    let namespace = options.is_against(Against::Janus);
    Ok(Report::new(Described::new(options, &bench.work, namespace), runs))
}

struct Bench<'a> {
    options: &'a Options,
    place: &'a Place,
    work: Work,
    course: Course,
    ip: IpAddr,
    identity: Identity,
    http: Client,
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options, place: &'a Place, work: Work, course: Course) -> Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
        let http = Client::builder().default_headers(headers).build()?;
        let ip = match (options.is_against(Against::Janus), options.target.is_empty()) {
            (true, _) => namespace::ADDRESS,
            (false, false) => options.address,
            (false, true) => Ipv4Addr::LOCALHOST.into(),
        };
        Ok(Self { options, place, work, course, ip, identity: Identity::new()?, http })
    }

    async fn run(&self) -> Result<Run> {
        let server = self.server().await?;
        tracing::info!("the server is ready");
        let measured = self.measure(server).await?;
        tracing::info!("the server is measured");
        let (floor, paced_floor) = match self.options.is_against(Against::Floor) {
            false => (None, None),
            true => {
                let (tight, paced) = self.floors().await.context("the floor")?;
                (Some(tight), Some(paced))
            }
        };
        let janus = match self.options.is_against(Against::Janus) {
            false => None,
            true => {
                let dir = self.options.data.join("janus");
                let janus = Janus::start(&dir, self.ip, &self.http).await?;
                Some(self.measure(Server::Janus(janus)).await.context("Janus")?)
            }
        };
        Ok(Run { server: measured, floor, paced_floor, janus })
    }

    async fn floors(&self) -> Result<(Floor, Floor)> {
        let trace = self.work.trace(PACED_FLOOR_FOR);
        let (subscribers, ip) = (self.work.subscribers, self.ip);
        let gro = self.options.receive_gro;
        let measure = move || {
            let tight = floor::tight(&trace, subscribers, ip, gro, FLOOR_FOR)?;
            Ok((tight, floor::paced(&trace, subscribers, ip, gro)?))
        };
        tokio::task::spawn_blocking(measure).await?
    }

    async fn server(&self) -> Result<Server> {
        if let [publish, watch] = &self.options.target[..] {
            let whip = Whip::new(self.http.clone(), publish.clone(), watch.clone());
            let (token, pid) = (self.options.token.clone(), self.options.pid);
            return Ok(Server::Whip { whip, token, pid });
        }
        let plan = NodePlan {
            programs: self.place.programs.clone(),
            configs: self.place.configs.clone(),
            data: self.options.data.join("node"),
            media: self.ip,
            shards: self.options.shards,
            pin: self.options.pin,
            members: self.work.subscribers + self.work.microphones + 100,
            trunk: None,
            log_level: self.place.log_level.clone(),
        };
        Ok(Server::Node(Node::start(&plan, &self.http).await.context("our server")?))
    }

    async fn measure(&self, server: Server) -> Result<Measured> {
        let peers = Peers {
            identity: self.identity.clone(),
            ip: self.ip,
            gro: self.options.receive_gro,
            feedback_every: Duration::from_millis(self.options.feedback_ms.max(10)),
            through: None,
        };
        let measured = measure(&server, peers, &self.work, &self.course).await;
        server.stop().await;
        measured
    }
}
