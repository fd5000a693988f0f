//! `loadtest trunk` on the command line.

use super::beside::Beside;
use super::run::RunPlan;
use super::shared;
use super::verdict::Kind;
use crate::link::Profile;
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The arguments.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The line between campus and school: a profile of configs/links, figures, or both, as in
    /// village-4g,loss=1% or rate=4mbit,delay=50ms. Its changes and outages are counted from
    /// the beginning of what is measured.
    #[arg(long, default_value = "village-4g")]
    pub profile: String,
    /// Viewers behind the school's node.
    #[arg(long, default_value_t = 5)]
    pub viewers: usize,
    /// Cut the line for this long, from a third of the measured time on.
    #[arg(long)]
    pub outage_s: Option<f64>,
    /// Such links in a row, with a node between them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub hops: u8,
    /// Length of what is measured; by default 30, and as long as the line changes.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Before it, for the trunk to get to know its line.
    #[arg(long, default_value_t = 3.0)]
    pub warm_up_s: f64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Runs with as many seeds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub seeds: u32,
    /// Of the teacher's picture, headers not counted.
    #[arg(long, default_value_t = 2.0)]
    pub bitrate_mbps: f64,
    /// Simulcast layers of it.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub layers: u8,
    /// The teacher shares a screen, too.
    #[arg(long)]
    pub screen: bool,
    /// Without the same lesson over plain WebRTC beside it.
    #[arg(long)]
    pub no_plain: bool,
    /// Instead: on a line shared with a TCP download, or with three more trunks. Needs root;
    /// the profile needs a rate.
    #[arg(long, value_enum)]
    pub beside: Option<Beside>,
    /// Also measure the campus's CPU time with one viewer behind the school's node.
    #[arg(long)]
    pub compare_viewers: bool,
    /// Also write the report to this file, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// So many measurements run on this machine at the same time, for the report to say.
    #[arg(long, default_value_t = 1, hide = true)]
    pub at_once: u8,
    /// Where the nodes keep their data; emptied first.
    #[arg(long, default_value = "target/trunk")]
    pub data: PathBuf,
}

impl Options {
    /// The line, as it is named.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn line(&self, configs: &Path) -> Result<Profile> {
        let mut profile = Profile::named(&self.profile, &configs.join("links"))?;
        profile.seed = self.seed;
        Ok(profile)
    }

    /// What is measured in the run with this seed.
    ///
    /// # Errors
    /// When it can't be. The text says which option.
    pub fn plan(
        &self,
        programs: &Path,
        configs: &Path,
        log_level: Option<String>,
        seed: u64,
    ) -> Result<RunPlan> {
        ensure!(self.viewers > 0, "--viewers must be more than 0");
        let rate = self.bitrate_mbps;
        ensure!(rate.is_finite() && rate >= 0.05, "--bitrate-mbps must be 0.05 or more");
        let profile = self.line(configs)?;
        let changes = [&profile.up.changes, &profile.down.changes].into_iter().flatten();
        let changes = changes.map(|(at, _)| *at).max().unwrap_or_default();
        let outage_s = self.outage_s.map(seconds("--outage-s")).transpose()?;
        let length = match self.seconds {
            Some(length) => seconds("--seconds")(length)?,
            None if !changes.is_zero() => changes + Duration::from_secs(25),
            None => Duration::from_secs(30).max(outage_s.unwrap_or_default() * 2),
        };
        let outage = outage_s.map(|outage| (length / 3, outage));
        ensure!(
            outage.is_none_or(|(at, long)| at + long < length),
            "--seconds must be longer than --outage-s by half"
        );
        Ok(RunPlan {
            programs: programs.to_owned(),
            configs: configs.to_owned(),
            data: self.data.clone(),
            profile,
            hops: usize::from(self.hops),
            viewers: self.viewers,
            alone_for: self.compare_viewers.then_some(length / 2),
            plain: !self.no_plain && self.beside.is_none(),
            shared: self.beside.map(|beside| (beside == Beside::Tcp).then(shared::download)),
            outage,
            warm_up: seconds("--warm-up-s")(self.warm_up_s)?,
            length,
            bitrate: (rate * 1e6) as u64,
            layers: usize::from(self.layers),
            screen: self.screen,
            seed,
            log_level,
        })
    }

    /// What must hold of it.
    #[must_use]
    pub fn kind(&self, plan: &RunPlan) -> Kind {
        let conditions = &plan.profile.down.beginning;
        let one_way = conditions.delay * plan.hops as u32;
        Kind {
            profile: self.profile.clone(),
            hops: plan.hops,
            viewers: plan.viewers,
            loss: conditions.loss + conditions.bursts.share * conditions.bursts.loss,
            outage: plan.outage.is_some() || !plan.profile.down.outages.is_empty(),
            layers: plan.layers,
            screen: plan.screen,
            in_time_ms: super::run::in_time(one_way).as_millis() as u64,
        }
    }
}

fn seconds(option: &'static str) -> impl Fn(f64) -> Result<Duration> {
    move |value| {
        let fits = value.is_finite() && (0.0..86_400.0).contains(&value);
        ensure!(fits, "{option} must be between 0 and a day");
        Ok(Duration::from_secs_f64(value))
    }
}
