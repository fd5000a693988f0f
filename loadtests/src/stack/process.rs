//! One process started here: it cannot outlive us, is watched, and ended gently.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long a process may take to end when asked to.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Lines of a dead process's log that are shown.
const LAST_WORDS: usize = 8;

/// A process can't be started.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("the log file {} can't be written: {source}", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("{} can't be started: {source}", path.display())]
    Start { path: PathBuf, source: io::Error },
}

/// What to start.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub name: &'static str,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub environment: Vec<(String, String)>,
    pub log: PathBuf,
}

/// A running process.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// How a process ended that should not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// Which one.
    pub name: &'static str,
    /// In words.
    pub how: String,
    /// The last lines of its log.
    pub last_words: String,
    pub log: PathBuf,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}; its log {} ends with:\n{}",
            self.name,
            self.how,
            self.log.display(),
            self.last_words
        )
    }
}

impl Process {
    /// Starts it in a process group of its own, so that a Ctrl-C in the terminal reaches us
    /// alone and the processes end in our order.
    pub fn start(spec: &Spec) -> Result<Self, ProcessError> {
        let unwritable = |source| ProcessError::Log { path: spec.log.clone(), source };
        let log = File::create(&spec.log).map_err(unwritable)?;
        let errors = log.try_clone().map_err(unwritable)?;
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.arguments)
            .envs(spec.environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true);
        die_with_us(&mut command);
        let refused = |source| ProcessError::Start { path: spec.program.clone(), source };
        let child = command.spawn().map_err(refused)?;
        Ok(Self { name: spec.name, child, log: spec.log.clone() })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until it ends.
    pub async fn died(&mut self) -> Death {
        let how = match self.child.wait().await {
            Ok(status) => describe(status),
            Err(error) => format!("can't be watched any more ({error})"),
        };
        Death { name: self.name, how, last_words: last_lines(&self.log), log: self.log.clone() }
    }

    /// Asks it to end and waits; kills it when it takes too long.
    pub async fn stop(mut self) {
        let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) else { return };
        terminate(pid);
        match tokio::time::timeout(STOP_WITHIN, self.child.wait()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(process = self.name, %error, "waiting for its end"),
            Err(_) => {
                eprintln!(
                    "{} did not end within {} s and is killed",
                    self.name,
                    STOP_WITHIN.as_secs()
                );
                if let Err(error) = self.child.kill().await {
                    tracing::warn!(process = self.name, %error, "killing it");
                }
            }
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => format!("ended ({status})"),
    }
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LAST_WORDS);
    lines.get(from..).unwrap_or_default().join("\n")
}

#[allow(unsafe_code)]
fn die_with_us(command: &mut Command) {
    let us = std::process::id();
    // SAFETY: between fork and exec the closure only makes the system calls prctl and
    // getppid, which are async-signal-safe, and touches no memory but its own copy of a number.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // We may have died before the kernel was told.
            if u32::try_from(libc::getppid()) != Ok(us) {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

#[allow(unsafe_code)]
fn terminate(pid: i32) {
    // SAFETY: kill has no memory effects, and the child has not been waited for, so the
    // number is still its own.
    unsafe {
        libc::kill(pid, libc::SIGTERM);
    }
}
