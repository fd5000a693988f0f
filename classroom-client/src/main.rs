//! The native classroom client. `play` publishes a moving test picture and a tone into a lesson,
//! from GStreamer over WHIP; `assist` sits in it as an assistant whose ears and mouth are another
//! program's.

mod assist;
#[cfg(feature = "play")]
mod play;
#[cfg(feature = "play")]
mod source;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::media::{Kind, TrackId};
use reqwest::Url;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(name = "classroom-client", version, about = "Cloudschool's native classroom client")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Where to, and as whom.
#[derive(Args)]
struct Place {
    /// The node's address, as in http://127.0.0.1:8090
    #[arg(long)]
    node: Url,
    /// The lesson.
    #[arg(long)]
    lesson: LessonId,
    /// A token for the lesson, to assist in it an assistant's; better in the environment than on
    /// the command line.
    #[arg(long, env = "CLOUDSCHOOL_TOKEN", hide_env_values = true)]
    token: String,
}

#[derive(Subcommand)]
enum Command {
    /// Publish a test picture and a tone into a lesson.
    #[cfg(feature = "play")]
    Play {
        #[command(flatten)]
        place: Place,
        /// Stop after this many seconds; without it, on Ctrl-C.
        #[arg(long)]
        seconds: Option<u64>,
    },
    /// Give the sound of a lesson to a command, and post the captions it writes.
    ///
    /// The command reads 16-bit little endian samples, 16000 a second, one channel, from its
    /// standard input and writes a JSON object a line: {"text": "...", "start": 1.5, "end": 2.25},
    /// in seconds from the first sample. docs/assistant-program.md has the rest.
    Assist {
        #[command(flatten)]
        place: Place,
        /// The microphone to hear, as in room-301/microphone; the teacher's when left out.
        #[arg(long)]
        hear: Option<TrackId>,
        /// Language of the captions.
        #[arg(long, default_value = "zh-CN")]
        lang: String,
        /// Propose a page of slides that is shown for so many seconds as a chapter.
        #[arg(long, value_name = "SECONDS")]
        chapters: Option<u64>,
        /// The command and its arguments, after --
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
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
        #[cfg(feature = "play")]
        Command::Play { place: Place { node, lesson, token }, seconds } => {
            play::play(node, &lesson, token, seconds).await
        }
        Command::Assist { place, hear, lang, chapters, command } => {
            let Place { node, lesson, token } = place;
            let sound = hear.as_ref().is_none_or(|track| track.kind() == Kind::Audio);
            ensure!(sound, "--hear names no microphone");
            let chapters = chapters.map(Duration::from_secs);
            let settings = assist::Settings { node, lesson, token, hear, lang, chapters, command };
            assist::run(settings).await
        }
    }
}
