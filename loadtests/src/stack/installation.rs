//! Where everything of an installation lies, and the keys and certificates it is made with on
//! first use, through the same commands an operator uses.

use super::{CAMPUS, SCHOOL, Settings, StackError};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Directories and files.
#[derive(Debug, Clone)]
pub struct Installation {
    programs: PathBuf,
    configs: PathBuf,
    data: PathBuf,
}

impl Installation {
    /// Checks that what is needed is there and the data directory can be written.
    pub(super) fn new(settings: &Settings) -> Result<Self, StackError> {
        let all = ["campus", "school", "recorder", "analytics"];
        Self::with(settings, &["sfu", "recorder", "analytics"], &all)
    }

    /// The same for nodes alone: a campus and schools.
    pub(crate) fn nodes(settings: &Settings) -> Result<Self, StackError> {
        Self::with(settings, &["sfu"], &["campus", "school"])
    }

    /// The same for a campus alone.
    pub(crate) fn campus(settings: &Settings) -> Result<Self, StackError> {
        Self::with(settings, &["sfu"], &["campus"])
    }

    fn with(settings: &Settings, programs: &[&str], configs: &[&str]) -> Result<Self, StackError> {
        let data = writable(&settings.data)?;
        for program in programs {
            let path = settings.programs.join(program);
            if !path.is_file() {
                return Err(StackError::NoProgram(path));
            }
        }
        for config in configs {
            let path = settings.configs.join(config).with_extension("toml");
            if !path.is_file() {
                return Err(StackError::NoConfig(path));
            }
        }
        let (programs, configs) = (settings.programs.clone(), settings.configs.clone());
        Ok(Self { programs, configs, data })
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    pub(crate) fn config(&self, file: &str) -> PathBuf {
        self.configs.join(file)
    }

    /// The directory a node keeps everything in.
    pub(crate) fn data(&self, node: &str) -> String {
        self.data.join(node).display().to_string()
    }

    pub(crate) fn identity(&self, node: &str) -> String {
        self.data.join("tls").join(node).display().to_string()
    }

    /// The directory of all data.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.data
    }

    /// The log file of a node.
    #[must_use]
    pub fn log(&self, node: &str) -> PathBuf {
        self.data.join("logs").join(node).with_extension("log")
    }

    /// The directory of the local issuer's keys.
    #[must_use]
    pub fn issuer(&self) -> PathBuf {
        self.data.join("issuer")
    }

    /// Makes the campus CA, the nodes' certificates and the local issuer where missing.
    pub(crate) async fn prepare(&self) -> Result<(), StackError> {
        let ca = self.data.join("ca");
        if !ca.exists() {
            self.sfu(&["ca", "init", "--dir", &text(&ca)]).await?;
        }
        let nodes = [
            (CAMPUS, "origin", CAMPUS),
            (SCHOOL, "edge", SCHOOL),
            ("recorder", "recorder", CAMPUS),
            ("analytics", "analytics", CAMPUS),
        ];
        for (node, kind, school) in nodes {
            self.issue(node, kind, school).await?;
        }
        if !self.issuer().join("issuer.pem").exists() {
            self.sfu(&["issuer", "init", "--dir", &text(&self.issuer())]).await?;
        }
        Ok(())
    }

    /// Issues a certificate to an edge that nodes of other schools stand behind.
    pub(crate) async fn issue_carrying(
        &self,
        node: &str,
        school: &str,
        carries: &[&str],
    ) -> Result<(), StackError> {
        let (ca, out) = (self.data.join("ca"), self.data.join("tls").join(node));
        let (ca, out) = (text(&ca), text(&out));
        let mut arguments = vec!["ca", "issue", "--dir", &ca, "--node", node];
        arguments.extend(["--kind", "edge", "--school", school, "--out", &out]);
        arguments.extend(carries.iter().flat_map(|school| ["--carries", school]));
        self.sfu(&arguments).await
    }

    /// Issues a certificate to one more node, where it has none yet.
    pub(crate) async fn issue(
        &self,
        node: &str,
        kind: &str,
        school: &str,
    ) -> Result<(), StackError> {
        let (ca, out) = (self.data.join("ca"), self.data.join("tls").join(node));
        if out.join("node.pem").exists() {
            return Ok(());
        }
        let (ca, out) = (text(&ca), text(&out));
        let mut arguments = vec!["ca", "issue", "--dir", &ca, "--node", node];
        arguments.extend(["--kind", kind, "--school", school, "--out", &out]);
        self.sfu(&arguments).await
    }

    async fn sfu(&self, arguments: &[&str]) -> Result<(), StackError> {
        let command = format!("sfu {}", arguments.join(" "));
        let failed = |output: String| StackError::Preparation { command: command.clone(), output };
        let run = Command::new(self.program("sfu")).args(arguments).stdin(Stdio::null()).output();
        let run = run.await.map_err(|e| failed(e.to_string()))?;
        if run.status.success() {
            return Ok(());
        }
        let output = [run.stdout, run.stderr].concat();
        Err(failed(String::from_utf8_lossy(&output).trim().to_owned()))
    }
}

/// Makes the directory, tries it, and gives its full name: the processes run elsewhere.
fn writable(data: &Path) -> Result<PathBuf, StackError> {
    let refused = |source| StackError::Data { path: data.to_path_buf(), source };
    fs::create_dir_all(data.join("logs")).map_err(refused)?;
    let data = data.canonicalize().map_err(refused)?;
    let probe = data.join("logs").join(".writable");
    fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(refused)?;
    Ok(data)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
