//! The analytics process: follows lessons over the trunk, writes down what happened in them
//! as behaviour records, and hands records and summaries out over HTTP.
//!
//! It watches and never acts: it sends no command into any lesson. A lesson goes on the same
//! with it and without it.

mod codes;
mod config;
mod derive;
mod export;
mod follower;
mod hearing;
mod http;
mod metrics;
mod pseudonym;
mod record;
mod speech;
mod store;
mod summary;
mod telemetry;
mod xapi;

use crate::codes::Profile;
use crate::config::Config;
use crate::export::{Exporter, Format};
use crate::follower::{Follower, TRUNK};
use crate::http::App;
use crate::pseudonym::Pseudonyms;
use crate::store::Store;
use crate::telemetry::Telemetry;
use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::trunk::NodeKind;
use cloudschool_relay::{Identity, Subscriber};
use cloudschool_service::auth::Auth;
use cloudschool_service::health::Readiness;
use cloudschool_service::{config as service_config, http as service_http, shutdown};
use futures_util::TryStreamExt;
use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

/// What it calls itself on the trunk.
const SOFTWARE: &str = concat!("analytics ", env!("CARGO_PKG_VERSION"));

#[derive(Parser)]
#[command(version, about = "Writes down what happens in lessons, as behaviour data")]
struct Args {
    /// Configuration file
    #[arg(long)]
    config: PathBuf,
    /// Profile file with official codes and school identifiers, in place of [export] profile
    #[arg(long, global = true)]
    profile: Option<PathBuf>,
    /// Say whether the configuration is good, and end
    #[arg(long)]
    check_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Write a lesson's records to standard output
    Export {
        #[arg(long)]
        lesson: LessonId,
        /// ndjson or xapi
        #[arg(long, default_value = "ndjson")]
        format: Format,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let config: Config = service_config::load(&args.config, std::env::vars())?;
    let upstreams = config.check()?.to_owned();
    let profile = args.profile.as_ref().or(config.export.profile.as_ref());
    let profile = Arc::new(Profile::load(profile.map(PathBuf::as_path))?);
    if args.check_config {
        println!("{} is good", args.config.display());
        return Ok(());
    }
    match args.command {
        Some(Command::Export { lesson, format }) => export(&config, profile, &lesson, format).await,
        None => serve(config, upstreams, profile).await,
    }
}

async fn serve(
    config: Config,
    upstreams: Vec<String>,
    profile: Arc<Profile>,
) -> anyhow::Result<()> {
    cloudschool_service::telemetry::init(&config.log)?;
    let shutdown = shutdown::token()?;
    let auth = Arc::new(Auth::from_section(&config.auth, config.http.bind)?);
    let kind = NodeKind::Analytics;
    let identity = Identity::load_as(&config.trunk.identity, kind, &config.node.name)
        .context("[trunk] identity")?;
    let listener = service_http::bind(config.http.bind).await?;

    let data = &config.node.data;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.with_context(|| format!("the data directory {} can't be made", data.display()))?;
    let pseudonyms = Pseudonyms::load_or_make(&config.pseudonym_key())?;
    let database = config.database();
    let opened = Store::open(&database).await;
    let store = opened.with_context(|| format!("{} can't be used", database.display()))?;
    let telemetry = Arc::new(Telemetry::new(store.totals().await?));

    let readiness = Readiness::waiting_for(&[TRUNK]);
    let (subscriber, feed) = Subscriber::start(upstreams, identity, SOFTWARE);
    let follower = Follower {
        subscriber,
        store: store.clone(),
        pseudonyms,
        telemetry: telemetry.clone(),
        readiness: readiness.clone(),
        shutdown: shutdown.clone(),
    };
    let following = tokio::spawn(follower.run(feed));

    let exporter = Exporter { store: store.clone(), profile, base: config.base().into() };
    let router = http::router(App { exporter, auth, telemetry }, readiness);
    tracing::info!(url = config.http.url(), "serving");
    service_http::serve_on(listener, router, shutdown.clone()).await;
    following.await.context("following lessons failed")?;
    store.close().await;
    Ok(())
}

async fn export(
    config: &Config,
    profile: Arc<Profile>,
    lesson: &LessonId,
    format: Format,
) -> anyhow::Result<()> {
    let database = config.database();
    let opened = Store::open_to_read(&database).await;
    let store = opened.with_context(|| format!("{} can't be read", database.display()))?;
    let Some(row) = store.lesson(lesson).await? else { bail!("there is no lesson {lesson}") };
    let exporter = Exporter { store, profile, base: config.base().into() };
    let mut portions = pin!(exporter.stream(row, format));
    let mut out = std::io::stdout().lock();
    while let Some(portion) = portions.try_next().await? {
        out.write_all(&portion)?;
    }
    out.flush()?;
    Ok(())
}
