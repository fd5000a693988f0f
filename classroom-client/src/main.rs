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
use classroom_client::dial::{CaFileError, Dial};
use classroom_client::lesson_client::LessonError;
use classroom_client::publish::PublishError;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::media::{Kind, TrackId};
use cloudschool_protocol::refusal::Lang;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use url::Url;

#[derive(Parser)]
#[command(name = "classroom-client", version, about = "Cloudschool's native classroom client")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Where to, and as whom.
#[derive(Args)]
struct Place {
    /// The node's address, as in https://school-02.edges.example or http://127.0.0.1:8090
    #[arg(long)]
    node: Url,
    /// The lesson.
    #[arg(long)]
    lesson: LessonId,
    /// A token for the lesson, to assist in it an assistant's; better in the environment than on
    /// the command line.
    #[arg(long, env = "CLOUDSCHOOL_TOKEN", hide_env_values = true)]
    token: String,
    /// A CA to believe besides the system's, PEM or DER: the campus's, as a node serves it at
    /// /campus-ca.crt over plain HTTP.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Place {
    fn dial(&self, lang: Lang) -> Result<Dial, CaFileError> {
        match &self.ca {
            Some(file) => Dial::trusting(file, lang),
            None => Ok(Dial::new(lang)),
        }
    }
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
    let lang = lang();
    match run(Cli::parse().command, lang) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("classroom-client: {}", sentence(&error, lang));
            ExitCode::FAILURE
        }
    }
}

/// The language of whoever reads the terminal (POSIX, "Internationalization Variables").
fn lang() -> Lang {
    let set = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
    let said = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set);
    if said.is_some_and(|l| l.starts_with("zh")) { Lang::Zh } else { Lang::En }
}

/// What a node that can't be reached or trusted needs is said in the reader's language; what a
/// node refuses comes from it in that language.
fn sentence(error: &anyhow::Error, lang: Lang) -> String {
    let said = error.chain().find_map(|cause| {
        if let Some(LessonError::Unreachable(error)) = cause.downcast_ref() {
            return Some(error.sentence(lang));
        }
        if let Some(PublishError::Unreachable(error)) = cause.downcast_ref() {
            return Some(error.sentence(lang));
        }
        cause.downcast_ref::<CaFileError>().map(|error| error.sentence(lang))
    });
    said.unwrap_or_else(|| format!("{error:#}"))
}

#[tokio::main]
async fn run(command: Command, lang: Lang) -> Result<()> {
    match command {
        #[cfg(feature = "play")]
        Command::Play { place, seconds } => {
            let dial = place.dial(lang)?;
            let Place { node, lesson, token, .. } = place;
            play::play(&dial, node, &lesson, token, seconds).await
        }
        Command::Assist { place, hear, lang: captions, chapters, command } => {
            let dial = place.dial(lang)?;
            let Place { node, lesson, token, .. } = place;
            let sound = hear.as_ref().is_none_or(|track| track.kind() == Kind::Audio);
            ensure!(sound, "--hear names no microphone");
            let chapters = chapters.map(Duration::from_secs);
            let lang = captions;
            let settings =
                assist::Settings { dial, node, lesson, token, hear, lang, chapters, command };
            assist::run(settings).await
        }
    }
}
