//! A small installation on this machine: a campus node, a school node, the recorder and
//! analytics as real processes with the configuration files of `configs/`, laid over with the
//! ports and the data directory of this run.

mod installation;
mod ports;
pub(crate) mod process;
mod site;

pub use installation::Installation;
pub use ports::{Ports, PortsError};
pub use process::{Death, ProcessError};
pub use site::{Lesson, Site};

use crate::tokens::Tokens;
use futures_util::future::{join_all, select_all};
use process::{Process, Spec};
use reqwest::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The school whose node runs here.
pub const SCHOOL: &str = "school-01";
/// The campus, and the name of its node.
pub const CAMPUS: &str = "campus";

/// How long a process may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks whether a process is ready.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What to start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory of the programs.
    pub programs: PathBuf,
    /// Directory of the configuration files.
    pub configs: PathBuf,
    /// Directory of everything that is kept.
    pub data: PathBuf,
    pub ports: Ports,
    /// Also hand what the processes log to this level on to their log files.
    pub log_level: Option<String>,
}

/// The installation does not come up, or not any further. Each says what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    #[error("the program {} is missing: `make build` makes it", .0.display())]
    NoProgram(PathBuf),
    #[error("the configuration file {} is missing: start from the project's directory, or name the directory with --configs", .0.display())]
    NoConfig(PathBuf),
    #[error("the data directory {} can't be written ({source}): choose another with --data", path.display())]
    Data { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Ports(#[from] PortsError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("`{command}` failed: {output}")]
    Preparation { command: String, output: String },
    #[error("{0}")]
    Died(Death),
    #[error("{name} is not ready after {} s: {reason}\nits log is {}", READY_WITHIN.as_secs(), log.display())]
    NotReady { name: &'static str, reason: String, log: PathBuf },
    #[error("the local issuer can't be used: {0:#}")]
    Issuer(anyhow::Error),
    #[error("HTTP requests can't be made: {0}")]
    Http(String),
    #[error("no lesson could be opened: {0}")]
    NoLesson(String),
}

/// The four processes, running and ready.
pub struct Stack {
    site: Arc<Site>,
    // In the order they were started.
    processes: Vec<Process>,
}

impl Stack {
    /// Makes keys and certificates where they are missing, starts the processes and waits
    /// until each is ready.
    ///
    /// Call it from a thread that outlives the stack, as a runtime's worker or the main
    /// thread: the kernel kills the processes when that thread ends.
    ///
    /// # Errors
    /// [`StackError`]; nothing is left running.
    pub async fn start(settings: Settings) -> Result<Self, StackError> {
        let installation = Installation::new(&settings)?;
        settings.ports.check()?;
        installation.prepare().await?;
        let tokens = Tokens::load(&installation.issuer()).map_err(StackError::Issuer)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
        let http = reqwest::Client::builder().default_headers(headers).build();
        let http = http.map_err(|e| StackError::Http(e.to_string()))?;
        let site = Site { installation, ports: settings.ports, tokens, http };
        let mut stack = Self { site: Arc::new(site), processes: Vec::new() };
        match stack.launch(settings.log_level.as_deref()).await {
            Ok(()) => Ok(stack),
            Err(error) => {
                stack.stop().await;
                Err(error)
            }
        }
    }

    async fn launch(&mut self, log_level: Option<&str>) -> Result<(), StackError> {
        // The campus first: the others dial it, and would only wait.
        let mut specs = self.specs(log_level).into_iter();
        for spec in specs.by_ref().take(1) {
            self.processes.push(Process::start(&spec)?);
        }
        self.ready().await?;
        for spec in specs {
            self.processes.push(Process::start(&spec)?);
        }
        self.ready().await
    }

    fn specs(&self, log_level: Option<&str>) -> Vec<Spec> {
        let Site { ports, installation, .. } = &*self.site;
        let urls: BTreeMap<&str, Url> = self.urls();
        let base = |name: &str| urls[name].as_str().trim_end_matches('/').to_owned();
        let links = [("LINKS__LIBRARY", base("recorder")), ("LINKS__REPORT", base("analytics"))];
        let nodes = [
            ("campus", "sfu", "campus.toml", CAMPUS),
            ("school", "sfu", "school.toml", SCHOOL),
            ("recorder", "recorder", "recorder.toml", "recorder"),
            ("analytics", "analytics", "analytics.toml", "analytics"),
        ];
        let spec = |(name, program, config, node): (&'static str, &str, &str, &str)| {
            let mut environment = vec![
                ("NODE__DATA", installation.data(node)),
                ("TRUNK__IDENTITY", installation.identity(node)),
                ("AUTH__LOCAL", installation.issuer().display().to_string()),
                ("HTTP__BIND", ports.http(name).to_string()),
                ("HTTP__PUBLIC_URL", base(name)),
            ];
            if program == "sfu" {
                environment.push(("MEDIA__BIND", ports.media(name).to_string()));
                environment.extend(links.clone());
            }
            if name == "campus" {
                environment.push(("TRUNK__LISTEN", ports.trunk().to_string()));
            } else {
                environment.push(("TRUNK__UPSTREAM", ports.upstream(name).to_string()));
            }
            if let Some(level) = log_level {
                environment.push(("LOG__LEVEL", level.to_owned()));
            }
            Spec {
                name,
                program: installation.program(program),
                arguments: vec!["--config".into(), installation.config(config).into()],
                environment: environment
                    .into_iter()
                    .map(|(key, value)| (format!("CLOUDSCHOOL__{key}"), value))
                    .collect(),
                log: installation.log(node),
            }
        };
        nodes.into_iter().map(spec).collect()
    }

    fn urls(&self) -> BTreeMap<&'static str, Url> {
        Ports::PROCESSES.into_iter().map(|name| (name, self.site.url(name))).collect()
    }

    /// Waits until every process started so far is ready, or one is dead.
    async fn ready(&mut self) -> Result<(), StackError> {
        let (http, urls) = (self.site.http.clone(), self.urls());
        let waits = join_all(self.processes.iter().map(|process| {
            let url = urls[process.name()].clone();
            let log = process.log().to_path_buf();
            let name = process.name();
            let http = http.clone();
            async move {
                let reason = until_ready(&http, &url).await;
                reason.map_err(|reason| StackError::NotReady { name, reason, log })
            }
        }));
        tokio::select! {
            waited = waits => waited.into_iter().collect(),
            death = death(&mut self.processes) => Err(StackError::Died(death)),
        }
    }

    /// Where it is reached.
    #[must_use]
    pub fn site(&self) -> Arc<Site> {
        self.site.clone()
    }

    /// Waits until a process dies, and says which and how.
    pub async fn died(&mut self) -> Death {
        death(&mut self.processes).await
    }

    /// Ends every process: gently, and after a limit by force. The campus goes last, so that
    /// the others can still tell it what they have.
    pub async fn stop(mut self) {
        let campus = (!self.processes.is_empty()).then(|| self.processes.remove(0));
        join_all(self.processes.into_iter().map(Process::stop)).await;
        if let Some(campus) = campus {
            campus.stop().await;
        }
    }

    /// Process ids by name.
    #[must_use]
    pub fn pids(&self) -> BTreeMap<&'static str, u32> {
        self.processes.iter().filter_map(|p| Some((p.name(), p.id()?))).collect()
    }
}

async fn death(processes: &mut [Process]) -> Death {
    if processes.is_empty() {
        return std::future::pending().await;
    }
    let waits = processes.iter_mut().map(|p| Box::pin(p.died()));
    select_all(waits).await.0
}

/// Looks at `/readyz` until it says yes. The error is what it said last.
pub(crate) async fn until_ready(http: &reqwest::Client, url: &Url) -> Result<(), String> {
    let url = url.join("readyz").map_err(|e| e.to_string())?;
    let mut reason = String::new();
    let wait = async {
        loop {
            match http.get(url.clone()).send().await {
                Ok(response) if response.status() == StatusCode::OK => return,
                Ok(response) => reason = response.text().await.unwrap_or_default(),
                Err(error) => reason = error.to_string(),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let ready = tokio::time::timeout(READY_WITHIN, wait).await;
    ready.map_err(|_| reason.trim().to_owned())
}

/// The directory with the configuration files: `./configs`, else the one of the project that
/// `program` was built in.
#[must_use]
pub fn find_configs(program: &Path) -> PathBuf {
    let here = PathBuf::from("configs");
    let above = program.ancestors().map(|dir| dir.join("configs"));
    [here.clone()].into_iter().chain(above).find(|d| d.join("campus.toml").exists()).unwrap_or(here)
}
