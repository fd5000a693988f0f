//! `loadtest`: a small installation on this machine, and the demo lesson that measures it.

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use loadtests::demo::{self, Plan};
use loadtests::forward;
use loadtests::link;
use loadtests::relay_cost;
use loadtests::stack::{Ports, Settings, find_configs};
use loadtests::trunk;
use loadtests::up;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(name = "loadtest", version, about = "Cloudschool on one machine, and under load")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start campus, school, recorder and analytics here, with a lesson ready.
    Up {
        #[command(flatten)]
        place: Place,
        /// Where everything is kept.
        #[arg(long, default_value = "data")]
        data: PathBuf,
        /// The ports of the configuration files, or any that are free.
        #[arg(long, value_enum, default_value_t = PortChoice::Default)]
        ports: PortChoice,
        /// Print the links as one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give a synthetic lesson and report what was measured. Fails when a figure is wrong.
    Demo {
        #[command(flatten)]
        place: Place,
        /// Where everything is kept; emptied first.
        #[arg(long, default_value = "target/demo")]
        data: PathBuf,
        /// Also write the report to this file, as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
        /// Students behind the school's node.
        #[arg(long, default_value_t = 20)]
        students: usize,
        /// Length of the measured part of the lesson. In less than 5 s nobody gets to raise a
        /// hand.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(5..))]
        seconds: u64,
    },
    /// Measure what forwarding costs our server, beside the least it can cost and beside Janus.
    Forward {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        options: Box<forward::Options>,
    },
    /// The standard set of such measurements, and a page about them.
    Bench {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        options: forward::BenchOptions,
    },
    /// Give a lesson over an impaired line from campus to school, and judge what viewers got.
    /// Fails when something that must hold does not.
    Trunk {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        options: Box<trunk::Options>,
    },
    /// Measure what a campus spends on each packet it relays to schools, beside bare quinn.
    RelayCost {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        options: relay_cost::Options,
    },
    /// The standard set of lessons over trunks, and a page about them.
    BenchTrunk {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        options: trunk::BenchOptions,
    },
    /// The far end of a shared line, which `trunk --beside` starts itself.
    #[command(hide = true)]
    FarEnd,
    /// The bare sender of relay-cost, which starts it itself.
    #[command(hide = true)]
    BareSender {
        #[command(flatten)]
        sender: relay_cost::Sender,
    },
    /// Forward UDP over an impaired link, for browsers and nodes to meet on.
    Link {
        #[command(flatten)]
        options: link::Options,
        /// Directory of the configuration files, which has the links known by name.
        #[arg(long)]
        configs: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Place {
    /// Directory of the programs; by default the one this program is in.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// Directory of the configuration files.
    #[arg(long)]
    configs: Option<PathBuf>,
    /// Log level of the processes, as in info or info,sfu=debug.
    #[arg(long)]
    log_level: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum PortChoice {
    Default,
    Free,
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| "warn,rtc=error".into()))
        .with_writer(std::io::stderr)
        .init();
    let command = Cli::parse().command;
    // Before there are threads, which would stay in the network we leave.
    if let Command::Forward { options, .. } = &command
        && let Err(error) = forward::prepare(options)
    {
        eprintln!("loadtest: {error:#}");
        return ExitCode::FAILURE;
    }
    if let Command::Trunk { place, options } = &command
        && let Err(error) = place.find().and_then(|(_, configs)| trunk::prepare(options, &configs))
    {
        eprintln!("loadtest: {error:#}");
        return ExitCode::FAILURE;
    }
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// On the main thread, which the processes started here live and die with.
#[tokio::main]
async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up { place, data, ports, json } => {
            let ports = match ports {
                PortChoice::Default => Ports::default(),
                PortChoice::Free => Ports::free()?,
            };
            let (programs, configs) = place.find()?;
            let settings = Settings { programs, configs, data, ports, log_level: place.log_level };
            up::up(settings, json).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo { place, data, json, students, seconds } => {
            let (programs, configs) = place.find()?;
            let plan = Plan {
                programs,
                configs,
                data,
                students,
                length: Duration::from_secs(seconds),
                log_level: place.log_level,
            };
            let outcome = Box::pin(demo::demo(&plan)).await;
            let written = match &outcome {
                Ok(report) => serde_json::to_string_pretty(report)?,
                Err(error) => {
                    serde_json::json!({ "ok": false, "error": format!("{error:#}") }).to_string()
                }
            };
            if let Some(file) = json {
                std::fs::write(&file, written + "\n")
                    .with_context(|| format!("writing {}", file.display()))?;
            }
            let report = outcome?;
            print!("{}", report.text());
            println!(
                "           to watch it: loadtest up --data {}, then open the library",
                plan.data.display()
            );
            Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Forward { place, options } => {
            let (programs, configs) = place.find()?;
            let place = forward::Place { programs, configs, log_level: place.log_level };
            let report = forward::forward(&options, &place).await?;
            if let Some(file) = &options.json {
                std::fs::write(file, serde_json::to_string_pretty(&report)? + "\n")
                    .with_context(|| format!("writing {}", file.display()))?;
            }
            print!("{}", report.text());
            Ok(ExitCode::SUCCESS)
        }
        Command::Trunk { place, options } => {
            let (programs, configs) = place.find()?;
            let place = trunk::Place { programs, configs, log_level: place.log_level };
            if let Some(shares) = Box::pin(trunk::beside(&options, &place)).await? {
                if let Some(file) = &options.json {
                    std::fs::write(file, serde_json::to_string_pretty(&shares)? + "\n")
                        .with_context(|| format!("writing {}", file.display()))?;
                }
                print!("{}", shares.text());
                return Ok(if shares.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            let report = Box::pin(trunk::trunk(&options, &place)).await?;
            if let Some(file) = &options.json {
                std::fs::write(file, serde_json::to_string_pretty(&report)? + "\n")
                    .with_context(|| format!("writing {}", file.display()))?;
            }
            print!("{}", report.text());
            Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::RelayCost { place, options } => {
            let (programs, configs) = place.find()?;
            let place = trunk::Place { programs, configs, log_level: place.log_level };
            let report = Box::pin(relay_cost::relay_cost(&options, &place)).await?;
            if let Some(file) = &options.json {
                std::fs::write(file, serde_json::to_string_pretty(&report)? + "\n")
                    .with_context(|| format!("writing {}", file.display()))?;
            }
            print!("{}", report.text());
            Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::BenchTrunk { place, options } => {
            let (page, holds) = trunk::bench(&options, &place.arguments()).await?;
            println!("the page is {}", page.display());
            Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::FarEnd => {
            trunk::far_end().await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::BareSender { sender } => {
            sender.run().await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Bench { place, options } => {
            let page = forward::bench(&options, &place.arguments()).await?;
            println!("the page is {}", page.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Link { options, configs } => {
            let configs = match configs {
                Some(dir) => dir,
                None => find_configs(&std::env::current_exe().context("where this program is")?),
            };
            link::run(&options, &configs.join("links")).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Place {
    /// The same place for another run of this program.
    fn arguments(&self) -> Vec<String> {
        let path = |name: &str, path: &Option<PathBuf>| {
            path.as_ref().map(|path| format!("{name}={}", path.display()))
        };
        let log_level = self.log_level.as_ref().map(|level| format!("--log-level={level}"));
        [path("--bin-dir", &self.bin_dir), path("--configs", &self.configs), log_level]
            .into_iter()
            .flatten()
            .collect()
    }

    fn find(&self) -> Result<(PathBuf, PathBuf)> {
        let me = std::env::current_exe().context("where this program is")?;
        let programs = match &self.bin_dir {
            Some(dir) => dir.clone(),
            None => me.parent().context("where this program is")?.to_path_buf(),
        };
        let configs = self.configs.clone().unwrap_or_else(|| find_configs(&me));
        Ok((programs, configs))
    }
}
