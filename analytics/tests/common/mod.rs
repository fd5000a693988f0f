//! A real upstream for the real program: a trunk listener that plays a lesson's log and a
//! microphone, and the analytics process that can be killed and started again.
//!
//! Each test file uses its own part of it.
#![allow(dead_code)]

use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::id::{LessonId, MemberId, NodeId, SchoolId};
use cloudschool_protocol::lesson::{LessonInfo, State};
use cloudschool_protocol::media::{Codec, Kind, TrackId};
use cloudschool_protocol::member::{Member, Role};
use cloudschool_protocol::token::Claims;
use cloudschool_protocol::trunk::{Control, LessonLine, NodeKind};
use cloudschool_relay::{Identity, Listener, Trunk, TrunkReceiver, ca};
use cloudschool_service::issuer;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use uuid::Uuid;

/// Longest any step may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn id(text: &str) -> MemberId {
    MemberId::new(text).unwrap()
}

pub fn school(text: &str) -> SchoolId {
    SchoolId::new(text).unwrap()
}

pub fn info() -> LessonInfo {
    LessonInfo {
        id: LessonId::new("math").unwrap(),
        title: "分数的初步认识".into(),
        subject: "14".into(),
        grade: "3".into(),
        teacher: "李老师".into(),
        campus: school("campus"),
        schools: vec![school("school-01"), school("school-02")],
        school_names: Default::default(),
        planned_start_ms: None,
        planned_minutes: Some(40),
        code: None,
    }
}

pub fn joined(member: &str, role: Role, at: &str) -> EventBody {
    let member = Member {
        id: id(member),
        name: member.into(),
        role,
        school: school(at),
        node: NodeId::new(at).unwrap(),
    };
    EventBody::MemberJoined { member }
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A campus node as far as a subscriber sees it.
pub struct Upstream {
    listener: Listener,
    log: Mutex<Vec<Event>>,
    /// How many events there are.
    length: watch::Sender<u64>,
    /// The last event sent to anyone.
    sent: watch::Sender<u64>,
    /// What is demanded.
    demand: watch::Sender<Vec<TrackId>>,
    trunk: watch::Sender<Option<Trunk>>,
}

impl Upstream {
    pub fn start(identity: &Identity) -> Arc<Self> {
        let any = "127.0.0.1:0".parse().unwrap();
        let upstream = Arc::new(Self {
            listener: Listener::bind(any, identity, "test campus").unwrap(),
            log: Mutex::default(),
            length: watch::Sender::default(),
            sent: watch::Sender::default(),
            demand: watch::Sender::default(),
            trunk: watch::Sender::default(),
        });
        let serving = upstream.clone();
        tokio::spawn(async move {
            while let Some((trunk, receiver)) = serving.listener.accept().await {
                tokio::spawn(serving.clone().serve(trunk, receiver));
            }
        });
        upstream
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Lets something happen, now.
    pub fn happen(&self, bodies: impl IntoIterator<Item = EventBody>) {
        let mut log = self.log.lock().unwrap();
        for body in bodies {
            let seq = log.len() as u64 + 1;
            log.push(Event::new(seq, Uuid::now_v7(), now_ms(), body));
        }
        self.length.send_replace(log.len() as u64);
    }

    pub fn log(&self) -> Vec<Event> {
        self.log.lock().unwrap().clone()
    }

    /// Until all that happened has been sent. Says nothing of whether it was read.
    pub async fn all_sent(&self) {
        let all = *self.length.borrow();
        let mut sent = self.sent.subscribe();
        within("sending", sent.wait_for(|n| *n >= all)).await.unwrap();
    }

    async fn serve(self: Arc<Self>, trunk: Trunk, mut receiver: TrunkReceiver) {
        self.trunk.send_replace(Some(trunk.clone()));
        let mut length = self.length.subscribe();
        let mut after = None;
        let mut phase = None;
        self.sent.send_replace(0);
        loop {
            let state = self.state();
            if phase != Some(state.phase) {
                phase = Some(state.phase);
                let line = LessonLine { info: state.info.clone(), phase: state.phase };
                if trunk.send(Control::Lessons { lessons: vec![line] }).await.is_err() {
                    return;
                }
            }
            // A few at a time, so that a kill can fall between.
            if let Some(seen) = after {
                let events: Vec<_> =
                    self.log().into_iter().filter(|e| e.seq > seen).take(7).collect();
                if let Some(last) = events.last().map(|e| e.seq) {
                    let lesson = info().id;
                    if trunk.send(Control::Events { lesson, events }).await.is_err() {
                        return;
                    }
                    after = Some(last);
                    self.sent.send_replace(last);
                    continue;
                }
            }
            tokio::select! {
                changed = length.changed() => changed.unwrap(),
                control = receiver.control.recv() => match control {
                    Some(Control::Follow { after: n, .. }) => after = Some(n),
                    Some(Control::Unfollow { .. }) => after = None,
                    Some(Control::Demand { tracks, .. }) => {
                        self.demand.send_replace(tracks);
                    }
                    Some(_) => {}
                    None => return,
                },
            }
        }
    }

    fn state(&self) -> State {
        let mut state = State::new(info());
        for event in self.log() {
            state.apply(&event).unwrap();
        }
        state
    }

    /// Until exactly these tracks are demanded.
    pub async fn demanded(&self, tracks: &[&str]) {
        let tracks: Vec<TrackId> = tracks.iter().map(|t| t.parse().unwrap()).collect();
        let mut demand = self.demand.subscribe();
        within("a demand", demand.wait_for(|d| *d == tracks)).await.unwrap();
    }

    /// Speaks into a microphone for so long, in real time: packets of 20 ms with their level.
    pub async fn speak(&self, track: &str, flow: u64, length: Duration) {
        let track: TrackId = track.parse().unwrap();
        let trunk = self.trunk.borrow().clone().unwrap();
        let announce = Control::Flow { flow, lesson: info().id, track, codec: Codec::Opus };
        trunk.send(announce).await.unwrap();
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        for n in 0..(length.as_millis() / 20) as u32 {
            pace.tick().await;
            let mut packet = vec![0x90, 111];
            packet.extend_from_slice(&(n as u16).to_be_bytes());
            packet.extend_from_slice(&(n * 960).to_be_bytes());
            packet.extend_from_slice(&(flow as u32).to_be_bytes());
            packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 0x80 | 25, 0, 0]);
            packet.extend_from_slice(&[0xfc, 1, 2, 3]);
            trunk.send_packet(flow, Kind::Audio, &packet);
        }
    }
}

/// Everything one run needs, in a directory of its own.
pub struct Site {
    pub dir: tempfile::TempDir,
    pub http: SocketAddr,
    pub upstream: Arc<Upstream>,
    pub client: reqwest::Client,
}

impl Site {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        ca::init(&at("ca")).unwrap();
        let issue = |node: &str, kind| {
            let out = at(node);
            ca::issue(&at("ca"), &NodeId::new(node).unwrap(), kind, None, &out).unwrap();
            out
        };
        let campus = Identity::load(&issue("campus", NodeKind::Origin)).unwrap();
        issue("analytics", NodeKind::Analytics);
        issuer::init(&at("issuer")).unwrap();
        let upstream = Upstream::start(&campus);
        let http = ([127, 0, 0, 1], cloudschool_service::ports::unclaimed(1).unwrap()).into();
        let site = Self { http, upstream, client: reqwest::Client::new(), dir };
        std::fs::write(site.config(), site.configuration()).unwrap();
        site
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("analytics.toml")
    }

    fn configuration(&self) -> String {
        let dir = self.dir.path().display();
        format!(
            "[node]\nname = \"analytics\"\nschool = \"campus\"\ndata = \"{dir}/data\"\n\
             [http]\nbind = \"{}\"\n\
             [trunk]\nidentity = \"{dir}/analytics\"\nupstream = \"{}\"\n\
             [auth]\nlocal = \"{dir}/issuer\"\n[log]\nlevel = \"warn\"\n",
            self.http,
            self.upstream.address()
        )
    }

    pub fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_analytics"));
        command.arg("--config").arg(self.config()).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    pub async fn start(&self) -> Child {
        let mut child = self.program().spawn().unwrap();
        let ready = async {
            loop {
                if let Ok(answer) = self.client.get(self.url("readyz")).send().await
                    && answer.status().is_success()
                {
                    return;
                }
                if let Some(status) = child.try_wait().unwrap() {
                    panic!("analytics ended: {status}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within("analytics to be ready", ready).await;
        child
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.http)
    }

    pub fn token(&self, role: Role, lesson: Option<&str>) -> String {
        let claims = Claims {
            aud: String::new(),
            iss: String::new(),
            sub: id("reader"),
            name: "reader".into(),
            role,
            school: school("campus"),
            lesson: lesson.map(|l| LessonId::new(l).unwrap()),
            exp: now_ms() / 1000 + 600,
            nbf: None,
        };
        issuer::load(&self.dir.path().join("issuer")).unwrap().sign(claims).unwrap()
    }

    pub async fn get(&self, path: &str, token: &str) -> reqwest::Response {
        let request = self.client.get(self.url(path)).bearer_auth(token);
        request.header("accept-language", "en").send().await.unwrap()
    }

    pub async fn text(&self, path: &str) -> String {
        let token = self.token(Role::Operator, None);
        let answer = self.get(path, &token).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        text
    }

    /// The records handed out, once `enough` of them are there.
    pub async fn records(
        &self,
        what: &str,
        enough: impl Fn(&[serde_json::Value]) -> bool,
    ) -> Vec<serde_json::Value> {
        let token = self.token(Role::Operator, None);
        let polled = async {
            loop {
                let answer = self.get("lessons/math/behaviours?format=ndjson", &token).await;
                if answer.status().is_success() {
                    let text = answer.text().await.unwrap();
                    let records: Vec<serde_json::Value> =
                        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
                    if enough(&records) {
                        return records;
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within(what, polled).await
    }
}

pub fn has(records: &[serde_json::Value], code: &str) -> usize {
    records.iter().filter(|r| r["code"] == code).count()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}
