//! A certificate and its key in files that someone else renews, such as certbot.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often files are looked at: two calls to the system.
pub const LOOK: Duration = Duration::from_secs(5);

/// Two files of PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// When both were last written: other than before, and they are to be read again.
pub type Stamp = Option<(SystemTime, SystemTime)>;

impl Pair {
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into() }
    }

    pub fn stamp(&self) -> Stamp {
        let written = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
        written(&self.certificate).zip(written(&self.key))
    }

    /// The chain and the key.
    pub fn read(&self) -> io::Result<(String, String)> {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
        };
        Ok((read(&self.certificate)?, read(&self.key)?))
    }
}
