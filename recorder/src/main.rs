//! The recorder process. Reads top to bottom: arguments, configuration, then either one
//! lesson finalised by hand or the service: catalogue, trunk, HTTP.

use anyhow::Context;
use clap::{Parser, Subcommand};
use cloudschool_protocol::trunk::NodeKind;
use cloudschool_recorder::config::Config;
use cloudschool_recorder::finisher::Finisher;
use cloudschool_recorder::library::api;
use cloudschool_recorder::library::store::Store;
use cloudschool_recorder::manifest::{Manifest, Stage};
use cloudschool_recorder::merge::merge;
use cloudschool_recorder::publish::{Again, publish};
use cloudschool_recorder::recorder::{DISK, Recorder, TRUNK};
use cloudschool_recorder::telemetry::Telemetry;
use cloudschool_recorder::writer::Syncer;
use cloudschool_relay::{Identity, Subscriber};
use cloudschool_service::auth::Auth;
use cloudschool_service::health::Readiness;
use cloudschool_service::{config as service_config, http as service_http, shutdown};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What it calls itself on the trunk.
const SOFTWARE: &str = concat!("recorder ", env!("CARGO_PKG_VERSION"));

#[derive(Parser)]
#[command(version, about = "Records lessons and keeps the resource library")]
struct Args {
    /// Configuration file
    #[arg(long)]
    config: PathBuf,
    /// Say whether the configuration is good, and end
    #[arg(long)]
    check_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Publish a captured lesson by hand, in place of what the library has of it
    Finalise {
        /// The lesson's directory, with lesson.json in it
        #[arg(long)]
        lesson: PathBuf,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let config: Config = service_config::load(&args.config, service_config::env())?;
    let upstreams = config.check()?.to_owned();
    if args.check_config {
        println!("{} is good", args.config.display());
        return Ok(());
    }
    gstreamer::init().context("GStreamer can't be used")?;
    match args.command {
        Some(Command::Finalise { lesson }) => finalise(&config, &lesson).await,
        None => serve(config, upstreams).await,
    }
}

async fn serve(config: Config, upstreams: Vec<String>) -> anyhow::Result<()> {
    cloudschool_service::telemetry::init(&config.log)?;
    let shutdown = shutdown::token()?;
    let auth = Arc::new(Auth::from_section(&config.auth, config.http.bind)?);
    let kind = NodeKind::Recorder;
    let identity = Identity::load_as(&config.trunk.identity, kind, &config.node.name)
        .context("[trunk] identity")?;
    let listener = service_http::bind(config.http.bind).await?;
    let store = open(&config).await?;
    let telemetry = Arc::new(Telemetry::new());
    telemetry.library.set(i64::try_from(store.count().await?).unwrap_or(i64::MAX));
    let readiness = Readiness::waiting_for(&[TRUNK, DISK]);
    let config = Arc::new(config);

    let (subscriber, feed) = Subscriber::start(upstreams, identity, SOFTWARE);
    let (queue, jobs) = mpsc::unbounded_channel();
    let (done_tx, done) = mpsc::unbounded_channel();
    let syncer = Syncer::start()?;
    let finisher = Finisher {
        library: config.library(),
        syncer: syncer.clone(),
        store: store.clone(),
        telemetry: telemetry.clone(),
        done: done_tx,
        queue: queue.downgrade(),
    };
    let (mut recorder, told) = Recorder::new(
        config.clone(),
        subscriber,
        syncer,
        queue,
        telemetry.clone(),
        readiness.clone(),
        shutdown.clone(),
    );
    recorder.resume().context("captured lessons can't be read")?;
    let recording = tokio::spawn(recorder.run(feed, done, told));
    // A lesson half published is published anew at the next start.
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(finisher.run(jobs)));

    let app = api::App { store: store.clone(), files: config.library(), auth, telemetry };
    tracing::info!(url = config.http.url(), "serving");
    service_http::serve_on(listener, api::router(app, readiness), shutdown.clone()).await;
    recording.await.context("recording failed")?;
    store.close().await;
    Ok(())
}

/// Makes the directories and opens the catalogue.
async fn open(config: &Config) -> anyhow::Result<Store> {
    for dir in [config.lessons(), config.library()] {
        // Pictures and voices of children: nobody else on the machine is to read them.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.with_context(|| format!("the directory {} can't be made", dir.display()))?;
    }
    let file = config.catalogue();
    let opened = Store::open(&file).await;
    opened.with_context(|| format!("{} can't be used", file.display()))
}

async fn finalise(config: &Config, lesson: &Path) -> anyhow::Result<()> {
    let mut manifest = Manifest::load(lesson)?;
    if manifest.stage == Stage::Recording && manifest.state.ended_ms.is_none() {
        eprintln!("The lesson had no end when it was last saved: it ends with its last picture.");
    }
    let store = open(config).await?;
    let (library, syncer) = (config.library(), Syncer::start()?);
    let from = lesson.to_owned();
    let publishing = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        merge(&from, &mut manifest, &syncer)?;
        manifest.save(&from)?;
        let recording = publish(&from, &manifest, &library, Again::Replace)?;
        Ok((manifest, recording))
    });
    let (mut manifest, recording) = publishing.await??;
    store.put(&recording).await?;
    store.keep_live(&recording.id, &manifest.state).await?;
    store.close().await;
    if manifest.stage < Stage::Published && manifest.state.ended_ms.is_some() {
        manifest.stage = Stage::Published;
        manifest.save(lesson)?;
    }
    println!("{}", config.library().join(&recording.id).join("index.m3u8").display());
    println!("{}", config.page(&recording.id));
    Ok(())
}
