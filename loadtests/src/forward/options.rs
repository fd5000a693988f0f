//! `loadtest forward` on the command line.

use super::measure::Course;
use super::payload::VideoCodec;
use super::work::Work;
use crate::link::Profile;
use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use reqwest::Url;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a server is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Against {
    /// A tight loop that does the least a server must do.
    Floor,
    /// Debian's Janus, in a network namespace, as ours then too. Needs root.
    Janus,
}

/// The arguments.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Viewers, each a WebRTC connection of its own.
    #[arg(long, visible_alias = "listeners", default_value_t = 200)]
    pub subscribers: usize,
    /// Of the teacher's picture, headers not counted.
    #[arg(long, default_value_t = 2.0)]
    pub bitrate_mbps: f64,
    /// Length of what is measured in each run.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Every run starts the servers anew. Figures are medians over the runs.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// What to compare with, in the same runs.
    #[arg(long, value_delimiter = ',')]
    pub against: Vec<Against>,
    /// Also write the report to this file, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,

    /// Measure another server that speaks WHIP and WHEP instead of ours.
    #[arg(long, num_args = 2, value_names = ["WHIP_URL", "WHEP_URL"])]
    pub target: Vec<Url>,
    /// Its process, for CPU time and memory.
    #[arg(long, requires = "target")]
    pub pid: Option<u32>,
    /// Bearer token for it.
    #[arg(long, requires = "target")]
    pub token: Option<String>,
    /// Address of this machine that it can reach.
    #[arg(long, requires = "target", default_value = "127.0.0.1")]
    pub address: std::net::IpAddr,

    /// Open microphones in the class beside the teacher's.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=200))]
    pub microphones: u8,
    /// Lines of sound each viewer offers; by default one, or eight with --microphones.
    #[arg(long)]
    pub sound_lines: Option<usize>,
    /// All viewers join a running lesson within this time, and that is what is measured.
    #[arg(long)]
    pub join_within_s: Option<f64>,
    /// Simulcast layers of the picture.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub layers: u8,
    /// Temporal layers of each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub temporal_layers: u8,
    /// A link between the server and each viewer: a profile of configs/links, figures, or
    /// both, as in lossy,seed=7 or rate=4mbit,delay=50ms,rate@20s=0.8mbit.
    #[arg(long)]
    pub link: Option<String>,

    #[arg(long, value_enum, default_value_t = VideoCodec::H264)]
    pub codec: VideoCodec,
    /// Frames a second.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=120))]
    pub fps: u32,
    /// Between keyframes nobody asked for; by default there are none, as with browsers.
    #[arg(long)]
    pub keyframe_every_s: Option<f64>,
    /// Between two of a viewer's transport-cc messages.
    #[arg(long, default_value_t = 100)]
    pub feedback_ms: u64,
    /// Let the kernel coalesce what viewers receive (UDP GRO), which no browser does: it
    /// takes work from the sender's half of the loopback interface.
    #[arg(long)]
    pub receive_gro: bool,
    /// Threads of all viewers together.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Shards of our server.
    #[arg(long, default_value_t = 1)]
    pub shards: usize,
    /// Its shards keep to processors of their own, as `[media] pin` has it.
    #[arg(long)]
    pub pin: bool,
    /// After everybody sees a picture, until it is measured; with --join-within-s, how long the
    /// lesson runs before anybody joins.
    #[arg(long, default_value_t = 2.0)]
    pub warm_up_s: f64,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where servers keep their data; emptied first.
    #[arg(long, default_value = "target/forward")]
    pub data: PathBuf,
}

impl Options {
    #[must_use]
    pub fn is_against(&self, what: Against) -> bool {
        self.against.contains(&what)
    }

    /// What is forwarded.
    ///
    /// # Errors
    /// When it can't be. The text says which option.
    pub fn work(&self) -> Result<Work> {
        ensure!(self.subscribers > 0, "--subscribers must be more than 0");
        let finite = self.bitrate_mbps.is_finite() && self.bitrate_mbps >= 0.05;
        ensure!(finite, "--bitrate-mbps must be 0.05 or more");
        let microphones = usize::from(self.microphones);
        Ok(Work {
            subscribers: self.subscribers,
            bitrate: (self.bitrate_mbps * 1e6) as u64,
            rate: self.fps,
            keyframe_every: self.keyframe_every_s.map(seconds("--keyframe-every-s")).transpose()?,
            codec: self.codec,
            layers: usize::from(self.layers),
            temporal_layers: self.temporal_layers,
            microphones,
            pictures: 1,
            sound_lines: self.sound_lines.unwrap_or(if microphones > 0 { 8 } else { 1 }),
            seed: self.seed,
        })
    }

    /// How a run goes. `links` has the links known by name.
    ///
    /// # Errors
    /// When it can't be. The text says which option.
    pub fn course(&self, links: &Path) -> Result<Course> {
        let length = seconds("--seconds")(self.seconds)?;
        let join_within = self.join_within_s.map(seconds("--join-within-s")).transpose()?;
        if join_within.is_some_and(|within| within >= length) {
            bail!("--seconds must be longer than --join-within-s: both begin with the first join");
        }
        let link = self.link.as_ref().map(|l| Profile::named(l, links)).transpose()?;
        if self.is_against(Against::Janus) {
            ensure!(
                self.target.is_empty(),
                "--target can't be compared with janus: it is reached \
                     in the network this is started in"
            );
            let plain = self.layers == 1 && self.microphones == 0 && self.codec == VideoCodec::H264;
            ensure!(plain && link.is_none(), "janus is only given one H.264 stream and its sound");
        }
        Ok(Course {
            warm_up: seconds("--warm-up-s")(self.warm_up_s)?,
            length,
            join_within,
            link,
            threads: self.threads,
        })
    }
}

fn seconds(option: &'static str) -> impl Fn(f64) -> Result<Duration> {
    move |value| {
        let fits = value.is_finite() && (0.0..86_400.0).contains(&value);
        ensure!(fits, "{option} must be between 0 and a day");
        Ok(Duration::from_secs_f64(value))
    }
}
