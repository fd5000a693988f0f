//! `loadtest bench`: the standard set of measurements, each by a `loadtest forward` of its
//! own, and one page about them.

use super::page;
use super::verdict::{self, Results};
use crate::up::Stop;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// One measurement.
pub struct Part {
    /// Name of its file, without `.json`.
    pub name: &'static str,
    pub title: &'static str,
    arguments: &'static [&'static str],
}

/// The standard set, in about six minutes. Where CPU time is looked at, the server has its shard
/// keep to one processor, as `configs/campus.toml` says of a machine that does little else.
pub const PARTS: [Part; 9] = [
    Part {
        name: "side-by-side",
        title: "200 viewers of 2 Mbit/s beside the floor and Janus",
        arguments: &[
            "--pin",
            "--subscribers=200",
            "--seconds=8",
            "--runs=5",
            "--against=floor,janus",
        ],
    },
    Part {
        name: "few",
        title: "50 viewers of 2 Mbit/s",
        arguments: &["--pin", "--subscribers=50", "--seconds=8", "--runs=1", "--against=floor"],
    },
    Part {
        name: "many",
        title: "500 viewers of 2 Mbit/s",
        arguments: &["--pin", "--subscribers=500", "--seconds=8", "--runs=1", "--against=floor"],
    },
    Part {
        name: "lesson-200",
        title: "200 viewers of 1 Mbit/s",
        arguments: &[
            "--pin",
            "--subscribers=200",
            "--bitrate-mbps=1",
            "--seconds=8",
            "--runs=1",
            "--against=floor",
        ],
    },
    Part {
        name: "lesson-1000",
        title: "1,000 viewers of 1 Mbit/s for a minute",
        arguments: &[
            "--pin",
            "--subscribers=1000",
            "--bitrate-mbps=1",
            "--seconds=60",
            "--runs=1",
            "--against=floor",
        ],
    },
    Part {
        name: "microphones",
        title: "40 open microphones, 100 listeners",
        arguments: &["--pin", "--microphones=40", "--listeners=100", "--seconds=10", "--runs=1"],
    },
    Part {
        name: "joins",
        title: "500 viewers join a running lesson within 2 s",
        arguments: &[
            "--subscribers=500",
            "--warm-up-s=15",
            "--join-within-s=2",
            "--seconds=5",
            "--runs=1",
        ],
    },
    Part {
        name: "lossy",
        title: "5 % random loss, 100 ms round trip",
        arguments: &["--subscribers=5", "--link=lossy", "--seconds=25", "--runs=1"],
    },
    Part {
        name: "narrowing",
        title: "Three layers while the line narrows from 4 to 0.8 Mbit/s and widens again",
        arguments: &[
            "--subscribers=5",
            "--layers=3",
            "--link=narrowing",
            "--seconds=60",
            "--runs=1",
        ],
    },
];

/// The arguments of the command.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Directory of the reports and the page.
    #[arg(long, default_value = "target/bench")]
    pub out: PathBuf,
    /// Only these parts.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
}

/// Measures the standard set with this same program, `place` being its arguments about where
/// things are, and writes a page about it. Gives the page's file.
///
/// # Errors
/// When there is no such part, one can't be measured, or the page can't be written. What was
/// measured by then is kept.
pub async fn bench(options: &Options, place: &[String]) -> Result<PathBuf> {
    let known = |name: &String| PARTS.iter().any(|p| p.name == name);
    if let Some(unknown) = options.only.iter().find(|name| !known(name)) {
        let names: Vec<&str> = PARTS.iter().map(|p| p.name).collect();
        bail!("there is no part {unknown:?}; there are {}", names.join(", "));
    }
    fs::create_dir_all(&options.out)
        .with_context(|| format!("making {}", options.out.display()))?;
    let mut stop = Stop::new()?;
    let mut failed = Vec::new();
    for part in &PARTS {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == part.name) {
            continue;
        }
        println!("== {}", part.title);
        let file = options.out.join(part.name).with_extension("json");
        let measured = tokio::select! {
            measured = measure(part, &file, place) => measured,
            () = stop.asked() => bail!("interrupted"),
        };
        if !measured? {
            failed.push(part.name);
        }
    }
    let results = load(&options.out)?;
    let page = options.out.join("index.html");
    fs::write(&page, page::html(&results)?)
        .with_context(|| format!("writing {}", page.display()))?;
    print!("{}", verdict::text(&results));
    if !failed.is_empty() {
        bail!("not measured: {}; the page is {}", failed.join(", "), page.display());
    }
    Ok(page)
}

/// Runs one part. False when it could not be measured, which it has said itself by then.
async fn measure(part: &Part, file: &Path, place: &[String]) -> Result<bool> {
    // What an earlier bench measured must not pass for this one's.
    if file.exists() {
        fs::remove_file(file).with_context(|| format!("removing {}", file.display()))?;
    }
    let me = std::env::current_exe().context("where this program is")?;
    let mut command = Command::new(me);
    command.arg("forward").args(place).args(part.arguments).arg("--json").arg(file);
    // Ctrl-C reaches it as well; it ends what it started, and we wait for it.
    let status = command.status().await.context("starting a measurement")?;
    Ok(status.success())
}

/// Reads all reports there are.
fn load(out: &Path) -> Result<Results> {
    let mut results = Results::default();
    for part in &PARTS {
        let file = out.join(part.name).with_extension("json");
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let report: Value =
            serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
        results.0.insert(part.name, report);
    }
    Ok(results)
}
