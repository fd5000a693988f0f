//! Real nodes for tests: the `sfu` binary on free loopback ports with its own directory, and
//! a member at a lesson socket.
#![allow(dead_code, reason = "each test program uses a part of it")]

use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::id::{LessonId, MemberId, NodeId, SchoolId};
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::member::{Member, Role};
use cloudschool_protocol::refusal::{Lang, Refusal};
use cloudschool_protocol::socket::{ByeReason, ClientMessage, ServerMessage};
use cloudschool_protocol::token::Claims;
use cloudschool_protocol::trunk::NodeKind;
use cloudschool_protocol::view::Viewer;
use cloudschool_relay::{Carries, Peer, ca};
use cloudschool_service::{clock, issuer};
use futures_util::{SinkExt, StreamExt};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// The lesson the campus's configuration opens.
pub const LESSON: &str = "demo-lesson";

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what must happen.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.unwrap_or_else(|_| panic!("this never came: {what}"))
}

/// A directory with a CA, certificates and a token issuer, and the ports of two nodes.
pub struct Site {
    dir: tempfile::TempDir,
    trunk: u16,
}

impl Site {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        ca::init(&at("ca")).unwrap();
        let issue = |node: &str, kind| {
            let school = SchoolId::new(node).unwrap();
            let node = NodeId::new(node).unwrap();
            ca::issue(&at("ca"), &node, kind, Some(&school), &at("tls").join(node.as_str()))
                .unwrap();
        };
        issue("campus", NodeKind::Origin);
        issue("school-01", NodeKind::Edge);
        issue("school-02", NodeKind::Edge);
        for district in ["district-1", "district-2"] {
            let carries = Carries::parse(["school-01", "school-02"]).unwrap();
            let peer = Peer::new(NodeId::new(district).unwrap(), NodeKind::Edge, None);
            let peer = Peer { carries, ..peer };
            ca::issue_to(&at("ca"), &peer, &at("tls").join(district)).unwrap();
        }
        issuer::init(&at("issuer")).unwrap();
        Self { dir, trunk: free_port() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where a node keeps its data.
    pub fn data(&self, node: &str) -> PathBuf {
        self.path("data").join(node)
    }

    pub fn token(&self, member: &str, role: Role, school: &str) -> String {
        self.sign(member, role, school, Some(LESSON), 3600)
    }

    /// A token that is good for `lesson`, or any, until `seconds` from now.
    pub fn sign(
        &self,
        member: &str,
        role: Role,
        school: &str,
        lesson: Option<&str>,
        seconds: i64,
    ) -> String {
        let claims = Claims {
            aud: String::new(),
            iss: String::new(),
            sub: MemberId::new(member).unwrap(),
            name: member.into(),
            role,
            school: SchoolId::new(school).unwrap(),
            lesson: lesson.map(|l| LessonId::new(l).unwrap()),
            exp: (clock::now_ms() / 1000).saturating_add_signed(seconds),
            nbf: None,
        };
        issuer::load(&self.path("issuer")).unwrap().sign(claims).unwrap()
    }

    /// The address of the campus's trunk, to reach it by another way than the direct one.
    pub fn trunk(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.trunk).into()
    }

    /// The events in a node's log of the demo lesson.
    pub fn log(&self, node: &str) -> Vec<Event> {
        let file = self.data(node).join("lessons").join(LESSON).join("events.ndjson");
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The campus's node, as configured in `configs/`, with `env` over it.
    pub async fn campus(&self, env: &[(&str, &str)]) -> Node {
        self.start("campus", "campus.toml", env).await
    }

    /// The school's node.
    pub async fn school(&self, env: &[(&str, &str)]) -> Node {
        self.start("school-01", "school.toml", env).await
    }

    /// A district's node: it dials the campus, or `upstream`, and listens at `listen`.
    pub async fn district(&self, name: &str, listen: SocketAddr, env: &[(&str, &str)]) -> Node {
        let listen = listen.to_string();
        let own = [("NODE__NAME", name), ("NODE__SCHOOL", name), ("TRUNK__LISTEN", &listen)];
        self.start(name, "school.toml", &[&own, env].concat()).await
    }

    async fn start(&self, name: &str, config: &str, env: &[(&str, &str)]) -> Node {
        let http = free_port();
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sfu"));
        let trunk = if name == "campus" { "TRUNK__LISTEN" } else { "TRUNK__UPSTREAM" };
        let own = [
            ("HTTP__BIND", format!("127.0.0.1:{http}")),
            ("MEDIA__BIND", format!("127.0.0.1:{}", free_port())),
            ("NODE__DATA", self.data(name).display().to_string()),
            ("TRUNK__IDENTITY", self.path("tls").join(name).display().to_string()),
            (trunk, format!("127.0.0.1:{}", self.trunk)),
            ("AUTH__LOCAL", self.path("issuer").display().to_string()),
        ];
        for (key, value) in own {
            command.env(format!("CLOUDSCHOOL__{key}"), value);
        }
        for (key, value) in env {
            command.env(format!("CLOUDSCHOOL__{key}"), value);
        }
        command.arg("--config").arg(configs.join(config));
        command.stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut node = Node { child, log, http };
        node.logged("serving").await;
        node
    }
}

/// An address that nobody has.
pub fn free_address() -> SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

fn free_port() -> u16 {
    cloudschool_service::ports::unclaimed(1).unwrap()
}

/// A running node. Dropped, it is killed.
pub struct Node {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    http: u16,
}

impl Node {
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    /// Waits for a line of its log that has `text` in it.
    pub async fn logged(&mut self, text: &str) {
        let lines = async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                eprintln!("{line}");
                if line.contains(text) {
                    return;
                }
            }
            panic!("the node ended before it said {text:?}");
        };
        soon(text, lines).await;
    }

    /// Waits until it says it is ready.
    pub async fn ready(&self) {
        let asking = async {
            while reqwest::get(self.url("/readyz")).await.unwrap().status() != 200 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        soon("a ready node", asking).await;
    }

    /// Ends it as an operator would, and waits for it.
    pub async fn terminate(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().unwrap().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        assert!(told.success());
        soon("the node's end", self.child.wait()).await.unwrap()
    }

    /// Ends it as a power cut would.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// A page at its lesson socket, not joined yet.
    pub async fn knock(&self, lesson: &str) -> Page {
        let url = format!("ws://127.0.0.1:{}/lessons/{lesson}/socket", self.http);
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Page { socket, me: None, state: None, next: 1, bytes: VecDeque::new() }
    }

    /// A member in the demo lesson.
    pub async fn join(&self, token: &str) -> Page {
        let mut page = self.knock(LESSON).await;
        page.say_join(token).await;
        page.welcome().await;
        page
    }

    /// Publishes with WHIP and gives the answer.
    pub async fn whip(&self, lesson: &str, token: &str, offer: &str) -> reqwest::Response {
        let client = reqwest::Client::new();
        client
            .post(self.url(&format!("/whip/{lesson}")))
            .bearer_auth(token)
            .header("content-type", "application/sdp")
            .header("accept-language", "en")
            .body(offer.to_owned())
            .send()
            .await
            .unwrap()
    }
}

/// A page in a lesson, with the lesson's state as events have made it.
pub struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    me: Option<Member>,
    state: Option<State>,
    next: u64,
    /// Binary messages that came, the first first.
    bytes: VecDeque<Vec<u8>>,
}

impl Page {
    pub fn state(&self) -> &State {
        self.state.as_ref().expect("a welcome came")
    }

    /// Who sits at it.
    pub fn me(&self) -> &Member {
        self.me.as_ref().expect("a welcome came")
    }

    /// What of `whole`, or of another page's state that is shown as much, this page sees.
    pub fn sees(&self, whole: &State) -> State {
        let shown = Viewer::new(self.me().clone()).state(whole);
        // Of the last events some may not be this page's.
        State { seq: 0, ..shown }
    }

    pub async fn say(&mut self, message: &ClientMessage) {
        self.say_text(&serde_json::to_string(message).unwrap()).await;
    }

    pub async fn say_text(&mut self, text: &str) {
        // A node that has closed meanwhile is found out by what it said last.
        let _sent = self.socket.send(Message::text(text)).await;
    }

    pub async fn say_join(&mut self, token: &str) {
        self.say(&ClientMessage::Join { token: token.into(), lang: Lang::En }).await;
    }

    /// The node's next message, `None` once it has closed. Events are applied.
    pub async fn hear(&mut self) -> Option<ServerMessage> {
        loop {
            match soon("a message", self.socket.next()).await? {
                Ok(Message::Text(text)) => {
                    let message: ServerMessage = serde_json::from_str(&text).unwrap();
                    match &message {
                        ServerMessage::Welcome { you, state, .. } => {
                            self.me = Some(you.clone());
                            self.state = Some((**state).clone());
                        }
                        ServerMessage::Event { event } => {
                            let state = self.state.as_mut().expect("events after the welcome");
                            assert!(event.seq > state.seq, "in order and once");
                            state.apply_shown(event);
                        }
                        ServerMessage::State { state } => self.state = Some((**state).clone()),
                        _ => {}
                    }
                    return Some(message);
                }
                Ok(Message::Binary(bytes)) => self.bytes.push_back(bytes.to_vec()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub async fn say_bytes(&mut self, bytes: Vec<u8>) {
        // As with text.
        let _sent = self.socket.send(Message::binary(bytes)).await;
    }

    /// The node's next binary message, `None` once it has closed. Events are applied meanwhile.
    /// Cancel safe.
    pub async fn hear_bytes(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(bytes) = self.bytes.pop_front() {
                return Some(bytes);
            }
            match self.socket.next().await? {
                Ok(Message::Binary(bytes)) => return Some(bytes.to_vec()),
                Ok(Message::Text(text)) => {
                    let message: ServerMessage = serde_json::from_str(&text).unwrap();
                    match (&message, &mut self.state) {
                        (ServerMessage::Event { event }, Some(state)) => {
                            state.apply_shown(event);
                        }
                        (ServerMessage::State { state: anew }, Some(state)) => {
                            *state = (**anew).clone();
                        }
                        _ => {}
                    }
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub async fn welcome(&mut self) {
        let first = self.hear().await;
        assert!(matches!(first, Some(ServerMessage::Welcome { .. })), "{first:?}");
    }

    /// Waits for an event of the kind.
    pub async fn event(&mut self, wanted: impl Fn(&EventBody) -> bool) -> Event {
        loop {
            match self.hear().await {
                Some(ServerMessage::Event { event }) if wanted(&event.body) => return event,
                Some(_) => {}
                None => panic!("the socket closed before the event"),
            }
        }
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&mut self, command: MemberCommand) -> Result<(), Refusal> {
        self.next += 1;
        let asked = self.next;
        self.say(&ClientMessage::Command { id: asked, command }).await;
        loop {
            match self.hear().await {
                Some(ServerMessage::Done { id }) if id == asked => return Ok(()),
                Some(ServerMessage::Refused { id, code, .. }) if id == asked => return Err(code),
                Some(_) => {}
                None => panic!("the socket closed before the answer"),
            }
        }
    }

    /// Waits for the goodbye.
    pub async fn bye(&mut self) -> (ByeReason, String) {
        loop {
            match self.hear().await {
                Some(ServerMessage::Bye { reason, message }) => return (reason, message),
                Some(_) => {}
                None => panic!("the socket closed without a goodbye"),
            }
        }
    }

    /// Breaks the connection without a word.
    pub fn cut(self) {
        drop(self.socket);
    }
}

/// An offer as a browser makes it to publish camera and microphone.
pub const OFFER: &str = "v=0\r\n\
    o=- 4611731400430051336 2 IN IP4 127.0.0.1\r\n\
    s=-\r\n\
    t=0 0\r\n\
    a=group:BUNDLE 0 1\r\n\
    a=extmap-allow-mixed\r\n\
    a=msid-semantic: WMS stream\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
    c=IN IP4 0.0.0.0\r\n\
    a=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:Oq7a\r\n\
    a=ice-pwd:p3q1Vn0cQeYh7cBq0xY7L0cK\r\n\
    a=fingerprint:sha-256 5B:C9:8C:1A:6E:7D:32:0B:9F:44:E5:20:6A:3F:77:91:0D:BE:C4:18:55:A2:6C:F3:7E:90:1B:8D:42:D6:AF:03\r\n\
    a=setup:actpass\r\n\
    a=mid:0\r\n\
    a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
    a=sendonly\r\n\
    a=msid:stream audio\r\n\
    a=rtcp-mux\r\n\
    a=rtpmap:111 opus/48000/2\r\n\
    a=fmtp:111 minptime=10;useinbandfec=1\r\n\
    a=ssrc:1001 cname:test\r\n\
    a=ssrc:1001 msid:stream audio\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 102\r\n\
    c=IN IP4 0.0.0.0\r\n\
    a=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:Oq7a\r\n\
    a=ice-pwd:p3q1Vn0cQeYh7cBq0xY7L0cK\r\n\
    a=fingerprint:sha-256 5B:C9:8C:1A:6E:7D:32:0B:9F:44:E5:20:6A:3F:77:91:0D:BE:C4:18:55:A2:6C:F3:7E:90:1B:8D:42:D6:AF:03\r\n\
    a=setup:actpass\r\n\
    a=mid:1\r\n\
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
    a=sendonly\r\n\
    a=msid:stream video\r\n\
    a=rtcp-mux\r\n\
    a=rtcp-rsize\r\n\
    a=rtpmap:102 H264/90000\r\n\
    a=rtcp-fb:102 nack\r\n\
    a=rtcp-fb:102 nack pli\r\n\
    a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
    a=ssrc:1002 cname:test\r\n\
    a=ssrc:1002 msid:stream video\r\n";
