//! The native classroom client. For now it has one command: `play` publishes a moving test
//! picture and a tone into a lesson, from GStreamer over WHIP.

mod source;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use classroom_client::publish::{Endpoint, Outgoing, Publication, PublishError};
use cloudschool_protocol::id::LessonId;
use reqwest::Url;
use reqwest::header::{ACCEPT_LANGUAGE, HeaderValue};
use source::{Packets, Source, Streams};
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(name = "classroom-client", version, about = "Cloudschool's native classroom client")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Publish a test picture and a tone into a lesson.
    Play {
        /// The node's address, as in http://127.0.0.1:8090
        #[arg(long)]
        node: Url,
        /// The lesson.
        #[arg(long)]
        lesson: LessonId,
        /// A token for the lesson; better in the environment than on the command line.
        #[arg(long, env = "CLOUDSCHOOL_TOKEN", hide_env_values = true)]
        token: String,
        /// Stop after this many seconds; without it, on Ctrl-C.
        #[arg(long)]
        seconds: Option<u64>,
    },
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        // The engine warns of every packet that comes before its keys do.
        .with_env_filter(filter.unwrap_or_else(|_| "warn,rtc=error".into()))
        .with_writer(std::io::stderr)
        .init();
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("classroom-client: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(command: Command) -> Result<()> {
    match command {
        Command::Play { node, lesson, token, seconds } => play(node, &lesson, token, seconds).await,
    }
}

async fn play(node: Url, lesson: &LessonId, token: String, seconds: Option<u64>) -> Result<()> {
    let url = node.join(&format!("/whip/{lesson}")).context("--node is not a web address")?;
    let (source, Streams { video, audio, mut failure }) = Source::new()?;
    let http = client()?;
    let publication = Publication::start(&http, Endpoint { url, token })
        .await
        .with_context(|| format!("publishing into {lesson} at {node}"))?;
    source.start()?;
    eprintln!("publishing into {lesson} at {node}; Ctrl-C ends it");

    let ended: Result<()> = tokio::select! {
        sent = forward(publication.video(), video) => sent.map_err(Into::into),
        sent = forward(publication.audio(), audio) => sent.map_err(Into::into),
        () = answer_keyframe_requests(publication.video(), &source) => Ok(()),
        failed = failure.wait() => Err(failed),
        lost = publication.lost() => Err(lost.into()),
        () = time_is_up(seconds) => Ok(()),
        signal = tokio::signal::ctrl_c() => signal.context("waiting for Ctrl-C"),
    };
    source.stop();
    let stopped = publication.stop().await;
    ended?;
    match stopped {
        Ok(()) => Ok(()),
        Err(error) => bail!("the node did not take the end of the session: {error}"),
    }
}

async fn forward(track: &Outgoing, mut packets: Packets) -> Result<(), PublishError> {
    while let Some(packet) = packets.recv().await {
        track.send(packet).await?;
    }
    Ok(())
}

async fn answer_keyframe_requests(track: &Outgoing, source: &Source) {
    while track.keyframe_requested().await.is_some() {
        source.request_keyframe();
    }
}

async fn time_is_up(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

/// Refusals are shown to whoever runs this on a terminal: in English, as everything else here.
fn client() -> Result<reqwest::Client> {
    let english = [(ACCEPT_LANGUAGE, HeaderValue::from_static("en"))].into_iter().collect();
    Ok(reqwest::Client::builder().default_headers(english).build()?)
}
