//! `loadtest bench-trunk`: the standard set of lessons over trunks, each by a `loadtest` of its
//! own, and one page about them.

use super::page;
use crate::up::Stop;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// One measurement.
pub struct Part {
    /// Name of its file, without `.json`.
    pub name: &'static str,
    pub title: &'static str,
    command: &'static str,
    arguments: &'static [&'static str],
}

const fn trunk(
    name: &'static str,
    title: &'static str,
    arguments: &'static [&'static str],
) -> Part {
    Part { name, title, command: "trunk", arguments }
}

const SHARED: &str = "--profile=rate=4mbit,delay=25ms,queue=200ms";

/// The standard set, in about twenty minutes.
pub const PARTS: [Part; 12] = [
    trunk(
        "clean",
        "100 viewers behind one edge, a clean line",
        &["--profile=clean", "--viewers=100", "--compare-viewers", "--no-plain", "--seconds=16"],
    ),
    trunk("village-4g", "A village on 4G", &["--profile=village-4g"]),
    trunk("satellite", "A satellite", &["--profile=satellite"]),
    trunk(
        "narrowing",
        "4 Mbit/s, 300 kbit/s, 4 Mbit/s",
        &["--profile=narrowing-trunk", "--layers=3", "--viewers=2"],
    ),
    trunk(
        "narrowing-screen",
        "The same with a shared screen",
        &["--profile=narrowing-trunk", "--layers=3", "--viewers=2", "--screen", "--seeds=1"],
    ),
    trunk("outage-8", "Cut for 8 s", &["--outage-s=8", "--seconds=30"]),
    trunk("outage-14", "Cut for 14 s", &["--outage-s=14", "--seconds=36"]),
    trunk("outage-20", "Cut for 20 s", &["--outage-s=20", "--seconds=42", "--seeds=1"]),
    trunk("outage-25", "Cut for 25 s", &["--outage-s=25", "--seconds=50", "--seeds=1"]),
    trunk(
        "two-hops",
        "Two hops",
        &["--profile=rate=20mbit,delay=20ms", "--hops=2", "--viewers=2", "--seeds=1"],
    ),
    trunk(
        "beside-tcp",
        "Beside a TCP download",
        &["--beside=tcp", SHARED, "--layers=3", "--viewers=1", "--seconds=40"],
    ),
    trunk(
        "beside-trunks",
        "Four trunks on one line",
        &["--beside=trunks", SHARED, "--layers=3", "--seconds=40"],
    ),
];

/// What relaying costs, which is a command of its own.
pub const COST: Part = Part {
    name: "relay-cost",
    title: "50 schools on one campus",
    command: "relay-cost",
    arguments: &["--edges=50"],
};

/// The arguments of the command.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Directory of the reports and the page.
    #[arg(long, default_value = "target/bench-trunk")]
    pub out: PathBuf,
    /// Only these parts.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
}

/// Measures the standard set with this same program, `place` being its arguments about where
/// things are, and writes a page about it. Gives the page's file, and whether everything holds.
///
/// # Errors
/// When there is no such part, one can't be measured, or the page can't be written. What was
/// measured by then is kept.
pub async fn bench(options: &Options, place: &[String]) -> Result<(PathBuf, bool)> {
    let parts = || PARTS.iter().chain([&COST]);
    if let Some(unknown) = options.only.iter().find(|name| !parts().any(|p| p.name == **name)) {
        let names: Vec<&str> = parts().map(|p| p.name).collect();
        bail!("there is no part {unknown:?}; there are {}", names.join(", "));
    }
    fs::create_dir_all(&options.out)
        .with_context(|| format!("making {}", options.out.display()))?;
    let mut stop = Stop::new()?;
    let mut failed = Vec::new();
    for part in parts() {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == part.name) {
            continue;
        }
        println!("== {}", part.title);
        tokio::select! {
            measured = measure(part, &options.out, place) => if !measured? {
                failed.push(part.name);
            },
            () = stop.asked() => bail!("interrupted"),
        }
    }
    let mut reports = BTreeMap::new();
    for part in parts() {
        let file = options.out.join(part.name).with_extension("json");
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let report: Value =
            serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
        reports.insert(part.name, report);
    }
    let page = options.out.join("index.html");
    fs::write(&page, page::html(&reports)?)
        .with_context(|| format!("writing {}", page.display()))?;
    if !failed.is_empty() {
        bail!("not measured: {}; the page is {}", failed.join(", "), page.display());
    }
    let holds = reports.values().all(|report| report["ok"] == true);
    Ok((page, holds))
}

/// Runs one part. False when it could not be measured, which it has said itself by then; what
/// does not hold is measured all the same.
async fn measure(part: &Part, out: &Path, place: &[String]) -> Result<bool> {
    let file = out.join(part.name).with_extension("json");
    // What an earlier bench measured must not pass for this one's.
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
    }
    let me = std::env::current_exe().context("where this program is")?;
    let mut command = Command::new(me);
    command.arg(part.command).args(place).args(part.arguments);
    command.arg("--data").arg(out.join("data")).arg("--json").arg(&file);
    // Ctrl-C reaches it as well; it ends what it started, and we wait for it.
    command.status().await.context("starting a measurement")?;
    Ok(file.exists())
}
