//! The processes of a lesson that crosses a trunk: a campus, a school, and the nodes between
//! them, each behind a link of its own.

use crate::forward::door::Door;
use crate::lesson_client::LessonClient;
use crate::link::{Profile, Proxy};
use crate::stack::process::{Process, Spec};
use crate::stack::{CAMPUS, Installation, Ports, SCHOOL, Settings, until_ready};
use crate::tokens::Tokens;
use anyhow::{Context, Result, bail, ensure};
use cloudschool_protocol::id::{LessonId, SchoolId};
use cloudschool_protocol::lesson::{LessonInfo, Phase};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::trunk::LessonLine;
use cloudschool_service::ports::unclaimed;
use reqwest::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue};
use reqwest::{Client, Url};
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The node between campus and school, where there is one.
const DISTRICT: &str = "district-01";

/// For the lesson to be known at the school's node, through every hop.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What to start.
#[derive(Debug, Clone)]
pub struct TreePlan {
    pub programs: PathBuf,
    pub configs: PathBuf,
    /// Where everything is kept; emptied first.
    pub data: PathBuf,
    /// One for each link, from the campus down.
    pub links: Vec<Profile>,
    /// Instead of links: where the campus listens for trunks, and where the school dials it.
    pub shared: Option<(SocketAddr, SocketAddr)>,
    /// Most members of the lesson.
    pub members: usize,
    pub log_level: Option<String>,
}

/// Running processes with an open lesson. They are killed when dropped.
pub struct Tree {
    campus: Process,
    below: Vec<Process>,
    /// From the campus down.
    pub links: Vec<Proxy>,
    pub tokens: Arc<Tokens>,
    pub http: Client,
    pub lesson: LessonId,
    campus_url: Url,
    school_url: Url,
    installation: Installation,
}

#[derive(Deserialize)]
struct Lessons {
    lessons: Vec<LessonLine>,
}

/// Addresses of one node.
#[derive(Clone, Copy)]
struct Place {
    http: SocketAddr,
    media: SocketAddr,
    trunk: SocketAddr,
}

impl Place {
    fn free() -> Result<Self> {
        let one = || Ok::<_, anyhow::Error>(SocketAddr::from((Ipv4Addr::LOCALHOST, unclaimed(1)?)));
        Ok(Self { http: one()?, media: one()?, trunk: one()? })
    }

    fn url(&self) -> Result<Url> {
        Ok(Url::parse(&format!("http://{}/", self.http))?)
    }
}

impl Tree {
    /// Makes certificates and tokens, starts the nodes from the campus down, and opens a lesson
    /// that all of them know.
    ///
    /// # Errors
    /// When it does not come up; the text says why.
    pub async fn start(plan: &TreePlan) -> Result<Self> {
        ensure!((1..=2).contains(&plan.links.len()), "a tree has one link or two");
        empty(&plan.data)?;
        let settings = Settings {
            programs: plan.programs.clone(),
            configs: plan.configs.clone(),
            data: plan.data.clone(),
            ports: Ports::free()?,
            log_level: plan.log_level.clone(),
        };
        let installation = Installation::nodes(&settings)?;
        installation.prepare().await?;
        let tokens = Arc::new(Tokens::load(&installation.issuer())?);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
        let http = Client::builder().default_headers(headers).build()?;

        let mut here = Place::free()?;
        here.trunk = plan.shared.map_or(here.trunk, |(listen, _)| listen);
        let start = |name, config, node, place: &Place, upstream: Option<SocketAddr>, listens| {
            let spec = spec(plan, &installation, name, config, node, place, upstream, listens);
            Process::start(&spec)
        };
        let mut campus = start("campus", "campus.toml", CAMPUS, &here, None, true)?;
        ready(&http, &mut campus, &here.url()?).await?;
        let mut tree = Self {
            campus,
            below: Vec::new(),
            links: Vec::new(),
            tokens,
            lesson: LessonId::new("lesson")?,
            campus_url: here.url()?,
            school_url: here.url()?,
            http,
            installation: installation.clone(),
        };
        let mut above = here.trunk;
        let last = plan.links.len() - 1;
        for (hop, profile) in plan.links.iter().enumerate() {
            let upstream = match plan.shared {
                Some((_, upstream)) => upstream,
                None => {
                    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                    let proxy = Proxy::start(above, profile.clone(), any)?;
                    let address = proxy.address();
                    tree.links.push(proxy);
                    address
                }
            };
            let place = Place::free()?;
            let (name, node) = match hop == last {
                true => ("school", SCHOOL),
                false => ("district", DISTRICT),
            };
            let carries: &[&str] = if hop == last { &[] } else { &[SCHOOL] };
            installation.issue_carrying(node, node, carries).await?;
            let process = start(name, "school.toml", node, &place, Some(upstream), hop != last)?;
            tree.below.push(process);
            tree.school_url = place.url()?;
            if let Some(process) = tree.below.last_mut() {
                ready(&tree.http, process, &place.url()?).await?;
            }
            above = place.trunk;
        }
        tree.open_lesson().await?;
        Ok(tree)
    }

    async fn open_lesson(&self) -> Result<()> {
        let schools = [SCHOOL, DISTRICT].into_iter().map(SchoolId::new);
        let info = LessonInfo {
            id: self.lesson.clone(),
            title: "干线测试".into(),
            subject: "数学".into(),
            grade: "九年级".into(),
            teacher: "李老师".into(),
            campus: SchoolId::new(CAMPUS)?,
            schools: schools.collect::<Result<_, _>>()?,
            school_names: Default::default(),
            planned_start_ms: None,
            planned_minutes: None,
            code: None,
        };
        let operator = self.tokens.sign("operator", "运维", Role::Operator, CAMPUS, None)?;
        let url = self.campus_url.join("api/lessons")?;
        let request = self.http.post(url).bearer_auth(&operator).json(&info);
        let response = request.send().await.context("opening a lesson")?;
        let status = response.status();
        if !status.is_success() {
            bail!("no lesson: {status}: {}", response.text().await.unwrap_or_default());
        }
        let open = async {
            self.open_at(&self.campus_url, &operator).await?;
            self.open_at(&self.school_url, &operator).await?;
            self.lets_in_at(&self.school_url).await
        };
        let open = tokio::time::timeout(KNOWN_WITHIN, open).await;
        open.context("the school's node does not get to know of the lesson")?
    }

    /// Waits until a node has the lesson open.
    async fn open_at(&self, node: &Url, operator: &str) -> Result<()> {
        let url = node.join("api/lessons")?;
        loop {
            let request = self.http.get(url.clone()).bearer_auth(operator);
            let list: Lessons = request.send().await?.json().await?;
            let open = |l: &LessonLine| l.info.id == self.lesson && l.phase == Phase::Open;
            if list.lessons.iter().any(open) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until it lets members in: a node has the list of lessons before their events.
    async fn lets_in_at(&self, node: &Url) -> Result<()> {
        let sign = |who| self.tokens.sign(who, who, Role::Observer, CAMPUS, Some(&self.lesson));
        let token = sign("witness")?;
        loop {
            match LessonClient::join(node, &self.lesson, &token).await {
                Ok(witness) => {
                    witness.leave().await;
                    return Ok(());
                }
                Err(error) => tracing::debug!(%error, "the school lets nobody in yet"),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The way in at the campus, for a publisher of `source` or a viewer.
    ///
    /// # Errors
    /// When its address can't be made.
    pub fn at_campus(&self, source: &str) -> Result<Door> {
        Door::new(&self.http, &self.campus_url, self.tokens.clone(), &self.lesson, CAMPUS, source)
    }

    /// The way in at the school.
    ///
    /// # Errors
    /// When its address can't be made.
    pub fn at_school(&self) -> Result<Door> {
        Door::new(&self.http, &self.school_url, self.tokens.clone(), &self.lesson, SCHOOL, "camera")
    }

    #[must_use]
    pub fn campus_url(&self) -> &Url {
        &self.campus_url
    }

    #[must_use]
    pub fn school_url(&self) -> &Url {
        &self.school_url
    }

    #[must_use]
    pub fn campus_pid(&self) -> Option<u32> {
        self.campus.id()
    }

    /// The campus's log of the lesson.
    ///
    /// # Errors
    /// When there is none.
    pub fn event_log(&self) -> Result<PathBuf> {
        let data = PathBuf::from(self.installation.data(CAMPUS));
        find(&data, &self.lesson).context("the campus has no event log of the lesson")
    }

    /// Ends all processes, the campus last.
    pub async fn stop(self) {
        for process in self.below.into_iter().rev() {
            process.stop().await;
        }
        self.campus.stop().await;
    }
}

#[allow(clippy::too_many_arguments)]
fn spec(
    plan: &TreePlan,
    installation: &Installation,
    name: &'static str,
    config: &str,
    node: &str,
    place: &Place,
    upstream: Option<SocketAddr>,
    listens: bool,
) -> Spec {
    let mut environment = vec![
        ("NODE__NAME", node.to_owned()),
        ("NODE__SCHOOL", node.to_owned()),
        ("NODE__DATA", installation.data(node)),
        ("TRUNK__IDENTITY", installation.identity(node)),
        ("AUTH__LOCAL", installation.issuer().display().to_string()),
        ("HTTP__BIND", place.http.to_string()),
        ("MEDIA__BIND", place.media.to_string()),
        ("MEDIA__SHARDS", "1".to_owned()),
        ("LIMITS__MEMBERS", plan.members.to_string()),
        ("LOG__LEVEL", plan.log_level.clone().unwrap_or_else(|| "warn".into())),
    ];
    if listens {
        environment.push(("TRUNK__LISTEN", place.trunk.to_string()));
    }
    if let Some(upstream) = upstream {
        environment.push(("TRUNK__UPSTREAM", upstream.to_string()));
    }
    Spec {
        name,
        program: installation.program("sfu"),
        arguments: vec!["--config".into(), installation.config(config).into()],
        environment: environment
            .into_iter()
            .map(|(key, value)| (format!("CLOUDSCHOOL__{key}"), value))
            .collect(),
        log: installation.log(node),
    }
}

async fn ready(http: &Client, process: &mut Process, url: &Url) -> Result<()> {
    let (name, log) = (process.name(), process.log().display().to_string());
    tokio::select! {
        ready = until_ready(http, url) => match ready {
            Ok(()) => Ok(()),
            Err(reason) => bail!("{name} is not ready: {reason}; its log is {log}"),
        },
        death = process.died() => bail!("{death}"),
    }
}

fn empty(dir: &Path) -> Result<()> {
    if dir.exists() {
        std::fs::remove_dir_all(dir).with_context(|| format!("emptying {}", dir.display()))?;
    }
    Ok(())
}

/// The lesson's log somewhere under a node's data.
fn find(dir: &Path, lesson: &LessonId) -> Option<PathBuf> {
    const LOG: &str = "events.ndjson";
    std::fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).find_map(|path| {
        if !path.is_dir() {
            return None;
        }
        let log = path.join(LOG);
        let named = path.file_name().is_some_and(|name| name == lesson.as_str());
        if named && log.exists() { Some(log) } else { find(&path, lesson) }
    })
}
