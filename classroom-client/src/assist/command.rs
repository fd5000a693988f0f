//! The command that listens: sound goes into its standard input, lines come from its standard
//! output, and its standard error is this program's.

use super::{Settings, now_ms, timeline::RATE};
use anyhow::{Context, Result, bail};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

/// Pieces of sound that may wait for the command to read: half a minute. A command that is
/// farther behind than that would caption what nobody remembers.
const UNREAD: usize = 1500;

/// Longest line of the command's, in bytes.
const LINE: u64 = 64 * 1024;

/// Lines that may wait.
const LINES: usize = 64;

/// A running command.
pub struct Listener {
    child: Child,
    sound: Option<mpsc::Sender<Vec<u8>>>,
    lines: mpsc::Receiver<String>,
    begun_ms: u64,
}

impl Listener {
    /// Starts it.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(settings: &Settings) -> Result<Self> {
        let [program, arguments @ ..] = settings.command.as_slice() else {
            bail!("no command is given");
        };
        let begun_ms = now_ms();
        let mut child = Command::new(program)
            .args(arguments)
            .env("CLOUDSCHOOL_LESSON", settings.lesson.as_str())
            .env("CLOUDSCHOOL_LANG", &settings.lang)
            .env("CLOUDSCHOOL_RATE", RATE.to_string())
            .env("CLOUDSCHOOL_BEGUN_MS", begun_ms.to_string())
            .env_remove("CLOUDSCHOOL_TOKEN")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.to_string_lossy()))?;
        let stdin = child.stdin.take().context("the command's input")?;
        let stdout = child.stdout.take().context("the command's output")?;
        let (sound, unread) = mpsc::channel(UNREAD);
        let (said, lines) = mpsc::channel(LINES);
        tokio::spawn(feed(stdin, unread));
        tokio::spawn(read(stdout, said));
        Ok(Self { child, sound: Some(sound), lines, begun_ms })
    }

    /// When the first sample is of, milliseconds since the Unix epoch.
    pub fn begun_ms(&self) -> u64 {
        self.begun_ms
    }

    /// Gives it sound.
    ///
    /// # Errors
    /// When it does not read.
    pub fn give(&self, sound: Vec<u8>) -> Result<()> {
        let Some(way) = self.sound.as_ref().filter(|_| !sound.is_empty()) else { return Ok(()) };
        match way.try_send(sound) {
            // One that has ended is found out by its output.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                bail!("the command does not read: it is half a minute behind")
            }
        }
    }

    /// Its next line; `None` once it has closed its output. Cancel safe.
    pub async fn line(&mut self) -> Option<String> {
        self.lines.recv().await
    }

    /// No more sound comes.
    pub fn hush(&mut self) {
        self.sound = None;
    }

    /// How it ended, once it has.
    ///
    /// # Errors
    /// When the system doesn't say.
    pub async fn status(&mut self) -> Result<ExitStatus> {
        self.hush();
        Ok(self.child.wait().await?)
    }

    /// Waits for its end, no longer than `within`; then it is ended.
    ///
    /// # Errors
    /// When it failed.
    pub async fn ended(mut self, within: Duration) -> Result<()> {
        match tokio::time::timeout(within, self.status()).await {
            Ok(status) => match status? {
                status if status.success() => Ok(()),
                status => bail!("the command ended with {status}"),
            },
            Err(_) => {
                tracing::warn!("the command goes on although its input has ended; ending it");
                Ok(self.child.kill().await?)
            }
        }
    }
}

async fn feed(mut stdin: ChildStdin, mut unread: mpsc::Receiver<Vec<u8>>) {
    while let Some(sound) = unread.recv().await {
        if let Err(error) = stdin.write_all(&sound).await {
            tracing::debug!(%error, "the command reads no more");
            return;
        }
    }
}

async fn read(stdout: ChildStdout, said: mpsc::Sender<String>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(LINE).read_until(b'\n', &mut line).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the command's output can't be read");
                return;
            }
        }
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        if !text.is_empty() && said.send(text).await.is_err() {
            return;
        }
    }
}
