//! `loadtest bench-trunk`: the standard set of lessons over trunks, each by a `loadtest` of its
//! own, and one page about them. Parts that take little of the machine are measured some at a
//! time, each with processes, ports and a line of its own; what measures CPU time, or has a line
//! whose packets all cross this machine's kernel, is always alone.

use super::page;
use crate::up::Stop;
use anyhow::{Context, Result, bail};
use futures_util::stream::{self, StreamExt};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// One measurement.
pub struct Part {
    /// Name of its file, without `.json`.
    pub name: &'static str,
    pub title: &'static str,
    command: &'static str,
    arguments: &'static [&'static str],
    /// Takes so little of the machine that it may be measured beside others that do.
    light: bool,
}

const fn trunk(
    name: &'static str,
    title: &'static str,
    arguments: &'static [&'static str],
) -> Part {
    Part { name, title, command: "trunk", arguments, light: true }
}

const fn alone(part: Part) -> Part {
    Part { light: false, ..part }
}

const SHARED: &str = "--profile=rate=4mbit,delay=25ms,queue=200ms";

/// The standard set, in about twenty-five minutes, each with three seeds.
pub const PARTS: [Part; 12] = [
    alone(trunk(
        "clean",
        "100 viewers behind one edge, a clean line",
        &["--profile=clean", "--viewers=100", "--compare-viewers", "--no-plain", "--seconds=16"],
    )),
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
        &["--profile=narrowing-trunk", "--layers=3", "--viewers=2", "--screen"],
    ),
    trunk("outage-8", "Cut for 8 s", &["--outage-s=8", "--seconds=30"]),
    trunk("outage-14", "Cut for 14 s", &["--outage-s=14", "--seconds=36"]),
    trunk("outage-20", "Cut for 20 s", &["--outage-s=20", "--seconds=42"]),
    trunk("outage-25", "Cut for 25 s", &["--outage-s=25", "--seconds=50"]),
    trunk("two-hops", "Two hops", &["--profile=rate=20mbit,delay=20ms", "--hops=2", "--viewers=2"]),
    alone(trunk(
        "beside-tcp",
        "Beside a TCP download",
        &["--beside=tcp", SHARED, "--layers=3", "--viewers=1", "--seconds=40"],
    )),
    alone(trunk(
        "beside-trunks",
        "Four trunks on one line",
        &["--beside=trunks", SHARED, "--layers=3", "--seconds=40"],
    )),
];

/// What relaying costs, which is a command of its own.
pub const COST: Part = Part {
    name: "relay-cost",
    title: "50 schools on one campus",
    command: "relay-cost",
    arguments: &["--edges=50"],
    light: false,
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
    /// Parts that are measured at the same time, where they take little of the machine. What
    /// measures CPU time and what shares a line are always measured alone.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub at_once: u8,
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
    let wanted =
        |part: &&Part| options.only.is_empty() || options.only.iter().any(|name| name == part.name);
    let wanted: Vec<&Part> = parts().filter(wanted).collect();
    for turn in wanted.chunk_by(|one, next| one.light && next.light) {
        let at_once = usize::from(options.at_once).min(turn.len());
        let measured = turn.iter().map(|part| async move {
            Ok::<_, anyhow::Error>((part.name, measure(part, &options.out, place, at_once).await?))
        });
        let mut measured = stream::iter(measured).buffer_unordered(at_once);
        loop {
            tokio::select! {
                next = measured.next() => match next {
                    Some(next) => match next? {
                        (_, true) => {}
                        (name, false) => failed.push(name),
                    },
                    None => break,
                },
                () = stop.asked() => bail!("interrupted"),
            }
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

/// Runs one part, of so many at the same time. False when it could not be measured, which it has
/// said itself by then; what does not hold is measured all the same.
async fn measure(part: &Part, out: &Path, place: &[String], at_once: usize) -> Result<bool> {
    let file = out.join(part.name).with_extension("json");
    // What an earlier bench measured must not pass for this one's.
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
    }
    let me = std::env::current_exe().context("where this program is")?;
    let mut command = Command::new(me);
    command.arg(part.command).args(place).args(part.arguments);
    if part.light {
        command.arg(format!("--at-once={at_once}"));
    }
    command.arg("--data").arg(out.join("data").join(part.name)).arg("--json").arg(&file);
    println!("== {}", part.title);
    // Ctrl-C reaches it as well, and it ends what it started. What it says is shown when it has
    // ended, so that two do not talk at the same time.
    let measuring = command.stdout(Stdio::piped()).spawn().context("starting a measurement")?;
    let measured = measuring.wait_with_output().await.context("waiting for a measurement")?;
    println!("== {}:\n{}", part.title, String::from_utf8_lossy(&measured.stdout));
    Ok(file.exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trunk::Options as TrunkOptions;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: TrunkOptions,
    }

    #[test]
    fn every_line_is_shown_with_three_seeds_and_what_measures_cpu_time_alone() {
        for part in &PARTS {
            let arguments = [part.name].into_iter().chain(part.arguments.iter().copied());
            let Line { options } = Line::parse_from(arguments);
            assert_eq!(options.seeds, 3, "{}", part.name);
            let heavy = options.compare_viewers || options.beside.is_some();
            assert_eq!(part.light, !heavy, "{}", part.name);
        }
        const { assert!(!COST.light) };
    }
}
