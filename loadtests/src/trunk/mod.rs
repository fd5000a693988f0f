//! `loadtest trunk`: a lesson from a campus over an impaired line to a school, judged by what
//! viewers behind the school's node got, beside the same lesson over plain WebRTC on such a
//! line in the same run.
//!
//! Nodes are real processes, the line is `link`'s UDP proxy, and publishers and viewers are
//! `forward`'s light peers: every packet says when it was sent, so that one clock judges.

mod bench;
mod beside;
mod judge;
mod members;
mod options;
mod page;
mod report;
mod run;
mod schedule;
mod shared;
mod tree;
mod verdict;

pub use bench::{Options as BenchOptions, bench};
pub use beside::Shares;
pub use options::Options;
pub use report::Report;
pub use shared::far_end;

use crate::up::Stop;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

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
/// When a line is to be shared and there can't be one.
pub fn prepare(options: &Options, configs: &Path) -> Result<()> {
    crate::forward::process::raise_open_files();
    if options.beside.is_some() {
        shared::prepare(&options.line(configs)?)?;
    }
    Ok(())
}

/// The trunk on a line that it shares, once with each seed.
///
/// # Errors
/// When it does not come about; nothing is left running.
pub async fn beside(options: &Options, place: &Place) -> Result<Option<Shares>> {
    let Some(beside) = options.beside else { return Ok(None) };
    let mut stop = Stop::new()?;
    let Place { programs, configs, log_level } = place;
    let plan = |seed| options.plan(programs, configs, log_level.clone(), seed);
    let runs = async {
        let mut all = Vec::new();
        for n in 0..options.seeds {
            let plan = plan(options.seed + u64::from(n))?;
            all.push(Box::pin(beside::beside(&plan, beside, &options.profile)).await?);
        }
        Ok(Shares::of(all))
    };
    tokio::select! {
        shares = Box::pin(runs) => shares,
        () = stop.asked() => bail!("interrupted"),
    }
}

/// Does all runs.
///
/// # Errors
/// When a run does not come about; nothing is left running.
pub async fn trunk(options: &Options, place: &Place) -> Result<Report> {
    let mut stop = Stop::new()?;
    tokio::select! {
        report = Box::pin(runs(options, place)) => report,
        () = stop.asked() => bail!("interrupted"),
    }
}

async fn runs(options: &Options, place: &Place) -> Result<Report> {
    let mut runs = Vec::new();
    let plan = |seed| options.plan(&place.programs, &place.configs, place.log_level.clone(), seed);
    for n in 0..options.seeds {
        let plan = plan(options.seed + u64::from(n))?;
        let run = Box::pin(run::run(&plan)).await.with_context(|| format!("seed {}", plan.seed))?;
        tracing::info!(seed = plan.seed, "run done");
        runs.push(run);
    }
    let plan = plan(options.seed)?;
    let kind = options.kind(&plan);
    let description = plan.profile.description.clone();
    let seconds = plan.length.as_secs_f64();
    Ok(Report::new(kind, description, seconds, plan.bitrate, options.at_once, runs))
}
