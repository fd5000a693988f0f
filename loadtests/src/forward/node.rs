//! Our own server: a campus's node alone, with one lesson open.

use super::whip::Whip;
use crate::stack::process::{Process, Spec};
use crate::stack::{CAMPUS, Installation, Ports, Settings, until_ready};
use crate::tokens::Tokens;
use anyhow::{Context, Result, bail};
use cloudschool_protocol::id::{LessonId, SchoolId};
use cloudschool_protocol::lesson::LessonInfo;
use cloudschool_protocol::member::Role;
use reqwest::{Client, Url};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// What to start.
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// Directory of the programs.
    pub programs: PathBuf,
    /// Directory of the configuration files.
    pub configs: PathBuf,
    /// Where it keeps everything; emptied first.
    pub data: PathBuf,
    /// Address of its media.
    pub media: IpAddr,
    pub shards: usize,
    /// Whether they keep to processors of their own.
    pub pin: bool,
    /// Most members of a lesson.
    pub members: usize,
    /// Where it listens for trunks, if not at any free port of the loopback interface.
    pub trunk: Option<SocketAddr>,
    pub log_level: Option<String>,
}

/// A running node. It is killed when dropped.
pub struct Node {
    process: Process,
    tokens: Tokens,
    lesson: LessonId,
    whip: Whip,
    installation: Installation,
    trunk: SocketAddr,
}

impl Node {
    /// Makes what it needs, starts it and opens a lesson.
    ///
    /// # Errors
    /// When it does not come up; the text says why.
    pub async fn start(plan: &NodePlan, http: &Client) -> Result<Self> {
        if plan.data.exists() {
            std::fs::remove_dir_all(&plan.data)
                .with_context(|| format!("emptying {}", plan.data.display()))?;
        }
        let ports = Ports::free()?;
        let settings = Settings {
            programs: plan.programs.clone(),
            configs: plan.configs.clone(),
            data: plan.data.clone(),
            ports: ports.clone(),
            log_level: plan.log_level.clone(),
        };
        let installation = Installation::campus(&settings)?;
        installation.prepare().await?;
        let tokens = Tokens::load(&installation.issuer())?;
        let trunk = plan.trunk.unwrap_or_else(|| ports.trunk());
        let media = SocketAddr::new(plan.media, ports.media("campus").port());
        let environment = [
            ("NODE__DATA", installation.data(CAMPUS)),
            ("TRUNK__IDENTITY", installation.identity(CAMPUS)),
            ("TRUNK__LISTEN", trunk.to_string()),
            ("AUTH__LOCAL", installation.issuer().display().to_string()),
            ("HTTP__BIND", ports.http("campus").to_string()),
            ("MEDIA__BIND", media.to_string()),
            ("MEDIA__SHARDS", plan.shards.to_string()),
            ("MEDIA__PIN", plan.pin.to_string()),
            ("LIMITS__MEMBERS", plan.members.to_string()),
            ("LOG__LEVEL", plan.log_level.clone().unwrap_or_else(|| "warn".into())),
        ];
        let spec = Spec {
            name: "campus",
            program: installation.program("sfu"),
            arguments: vec!["--config".into(), installation.config("campus.toml").into()],
            environment: environment
                .into_iter()
                .map(|(key, value)| (format!("CLOUDSCHOOL__{key}"), value))
                .collect(),
            log: installation.log(CAMPUS),
        };
        let mut process = Process::start(&spec)?;
        let url = Url::parse(&format!("http://{}/", ports.http("campus")))?;
        tokio::select! {
            ready = until_ready(http, &url) => if let Err(reason) = ready {
                bail!("the node is not ready: {reason}; its log is {}", spec.log.display());
            },
            death = process.died() => bail!("{death}"),
        }
        let lesson = open_lesson(&tokens, http, &url).await?;
        let whip = Whip::new(
            http.clone(),
            url.join(&format!("whip/{lesson}"))?,
            url.join(&format!("whep/{lesson}"))?,
        );
        Ok(Self { process, tokens, lesson, whip, installation, trunk })
    }

    /// Where its trunk is dialled.
    #[must_use]
    pub fn trunk(&self) -> SocketAddr {
        self.trunk
    }

    #[must_use]
    pub fn lesson(&self) -> &LessonId {
        &self.lesson
    }

    /// Issues certificates to as many nodes, all of the campus's own school, which may follow
    /// its lessons. Gives their directories.
    ///
    /// # Errors
    /// When one can't be issued.
    pub async fn identities(&self, count: usize) -> Result<Vec<PathBuf>> {
        let mut directories = Vec::new();
        for n in 1..=count {
            let node = format!("edge-{n:03}");
            self.installation.issue(&node, "edge", CAMPUS).await?;
            directories.push(PathBuf::from(self.installation.identity(&node)));
        }
        Ok(directories)
    }

    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Publishes as the teacher (0), or as a member of the class.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn publish(&self, who: usize, offer: String) -> Result<String> {
        let (name, role) = match who {
            0 => ("teacher".to_owned(), Role::Teacher),
            n => (format!("microphone-{n}"), Role::Student),
        };
        let token = self.token(&name, role)?;
        self.whip.publish(offer, Some(&token)).await
    }

    /// Watches as a member of its own.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn watch(&self, who: usize, offer: String) -> Result<String> {
        let token = self.token(&format!("viewer-{who}"), Role::Student)?;
        self.whip.watch(offer, Some(&token)).await
    }

    fn token(&self, member: &str, role: Role) -> Result<String> {
        self.tokens.sign(member, member, role, CAMPUS, Some(&self.lesson))
    }

    pub async fn stop(self) {
        self.process.stop().await;
    }
}

async fn open_lesson(tokens: &Tokens, http: &Client, url: &Url) -> Result<LessonId> {
    let id = LessonId::new("bench")?;
    let info = LessonInfo {
        id: id.clone(),
        title: "转发测试".into(),
        subject: "数学".into(),
        grade: "九年级".into(),
        teacher: "李老师".into(),
        campus: SchoolId::new(CAMPUS)?,
        schools: Vec::new(),
        school_names: Default::default(),
        planned_start_ms: None,
        planned_minutes: None,
        code: None,
    };
    let operator = tokens.sign("operator", "运维", Role::Operator, CAMPUS, None)?;
    let request = http.post(url.join("api/lessons")?).bearer_auth(operator).json(&info);
    let response = request.send().await.context("opening a lesson")?;
    let status = response.status();
    if !status.is_success() {
        bail!("no lesson could be opened: {status}: {}", response.text().await.unwrap_or_default());
    }
    Ok(id)
}
