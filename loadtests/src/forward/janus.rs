//! Janus (https://janus.conf.meetecho.com) with its VideoRoom, as Debian packages it: a
//! configuration of its own in a scratch directory, driven through its HTTP API.
//!
//! Nothing is tuned: every setting but addresses, the codecs and what must be off for want
//! of a configuration is the program's default.

use crate::stack::process::{Process, Spec};
use anyhow::{Context, Result, bail};
use cloudschool_service::ports::unclaimed;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ROOM: u64 = 1;

/// How long it may take to listen, and to answer.
const WITHIN: Duration = Duration::from_secs(15);

/// A running Janus. It is killed when dropped.
pub struct Janus {
    process: Process,
    http: Client,
    url: Url,
    /// Keeps the session alive that made the room.
    _owner: Handle,
}

/// A session with one plugin handle: one peer.
#[derive(Debug, Clone)]
pub struct Handle {
    session: Url,
    handle: Url,
}

/// Where Debian keeps the program's plugins and transports.
fn folder() -> Result<PathBuf> {
    let libraries = fs::read_dir("/usr/lib").context("looking for Janus")?.flatten();
    let mut folders = libraries.map(|e| e.path().join("janus"));
    let found = folders.find(|f| f.join("plugins").join("libjanus_videoroom.so").exists());
    found.context("Janus is not installed: apt-get install janus")
}

/// Names of all shared objects in a folder but one, as the configuration takes them.
fn others(folder: &Path, wanted: &str) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|n| n.ends_with(".so") && n != wanted).collect();
    names.sort();
    names.join(",")
}

fn configure(dir: &Path, media: IpAddr, port: u16) -> Result<()> {
    let folder = folder()?;
    let part = |name: &str| folder.join(name).display().to_string();
    let mut main = String::new();
    let _ = write!(
        main,
        "general: {{\n  configs_folder = \"{}\"\n  plugins_folder = \"{}\"\n  \
         transports_folder = \"{}\"\n  events_folder = \"{}\"\n  loggers_folder = \"{}\"\n  \
         debug_level = 2\n  session_timeout = 0\n}}\n",
        dir.display(),
        part("plugins"),
        part("transports"),
        part("events"),
        part("loggers"),
    );
    let _ = write!(
        main,
        "nat: {{\n  ice_enforce_list = \"{media}\"\n}}\nplugins: {{\n  disable = \"{}\"\n}}\n\
         transports: {{\n  disable = \"{}\"\n}}\nloggers: {{\n  disable = \"{}\"\n}}\n",
        others(&folder.join("plugins"), "libjanus_videoroom.so"),
        others(&folder.join("transports"), "libjanus_http.so"),
        others(&folder.join("loggers"), ""),
    );
    let http = format!(
        "general: {{\n  json = \"plain\"\n  base_path = \"/janus\"\n  http = true\n  \
         port = {port}\n  ip = \"127.0.0.1\"\n  https = false\n}}\n\
         admin: {{\n  admin_http = false\n}}\n"
    );
    for (name, text) in [
        ("janus.jcfg", main),
        ("janus.transport.http.jcfg", http),
        ("janus.plugin.videoroom.jcfg", "general: {\n}\n".to_owned()),
    ] {
        let file = dir.join(name);
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

impl Janus {
    /// Starts it with media at `media` and everything it needs in `dir`, and makes a room for
    /// H.264 and Opus.
    ///
    /// # Errors
    /// When it is not installed or does not come up; the text says why.
    pub async fn start(dir: &Path, media: IpAddr, http: &Client) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        let port = unclaimed(1).context("a free port")?;
        configure(&dir, media, port)?;
        let spec = Spec {
            name: "janus",
            program: "/usr/bin/janus".into(),
            arguments: vec!["--configs-folder".into(), dir.clone().into()],
            environment: Vec::new(),
            log: dir.join("janus.log"),
        };
        let mut process = Process::start(&spec)?;
        let url = Url::parse(&format!("http://127.0.0.1:{port}/janus"))?;
        let listens = async {
            // It says nothing when it is ready, so it is asked.
            while http.get(format!("{url}/info")).send().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            waited = tokio::time::timeout(WITHIN, listens) => {
                waited.with_context(|| format!("Janus is not ready; its log is {}", spec.log.display()))?;
            }
            death = process.died() => bail!("{death}"),
        }
        let owner = attach(http, &url).await?;
        let room = json!({
            "request": "create",
            "room": ROOM,
            "publishers": 100,
            "audiocodec": "opus",
            "videocodec": "h264",
        });
        let made = message(http, &owner, room, None).await?;
        if made.pointer("/plugindata/data/error").is_some() {
            bail!("Janus made no room: {made}");
        }
        Ok(Self { process, http: http.clone(), url, _owner: owner })
    }

    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Publishes into the room; the answer.
    ///
    /// # Errors
    /// When Janus refuses; in its own words.
    pub async fn publish(&self, who: usize, offer: &str) -> Result<String> {
        let handle = attach(&self.http, &self.url).await?;
        let body = json!({
            "request": "joinandconfigure",
            "ptype": "publisher",
            "room": ROOM,
            "id": who + 1,
        });
        let offer = json!({ "type": "offer", "sdp": offer });
        let (_, answer) = self.ask(&handle, body, Some(offer)).await?;
        answer.context("Janus did not answer the publisher's offer")
    }

    /// Subscribes to the first publisher: Janus's offer.
    ///
    /// # Errors
    /// When Janus refuses; in its own words.
    pub async fn subscribe(&self) -> Result<(Handle, String)> {
        let handle = attach(&self.http, &self.url).await?;
        let body = json!({
            "request": "join",
            "ptype": "subscriber",
            "room": ROOM,
            "streams": [{ "feed": 1 }],
        });
        let (_, offer) = self.ask(&handle, body, None).await?;
        Ok((handle, offer.context("Janus made no offer to a subscriber")?))
    }

    /// Starts what was subscribed to.
    ///
    /// # Errors
    /// When Janus refuses; in its own words.
    pub async fn begin(&self, handle: &Handle, answer: &str) -> Result<()> {
        let answer = json!({ "type": "answer", "sdp": answer });
        self.ask(handle, json!({ "request": "start" }), Some(answer)).await.map(drop)
    }

    /// Sends a request and waits for the event that answers it; with the SDP that came along.
    async fn ask(
        &self,
        handle: &Handle,
        body: Value,
        jsep: Option<Value>,
    ) -> Result<(Value, Option<String>)> {
        let ack = message(&self.http, handle, body, jsep).await?;
        let transaction = ack.get("transaction").cloned();
        let wait = async {
            loop {
                let url = format!("{}?maxev=10", handle.session);
                let events: Value = self.http.get(url).send().await?.json().await?;
                let events = match events {
                    Value::Array(events) => events,
                    one => vec![one],
                };
                for event in events {
                    if event.get("transaction") == transaction.as_ref() {
                        return anyhow::Ok(event);
                    }
                }
            }
        };
        let event = tokio::time::timeout(WITHIN, wait).await.context("Janus does not answer")??;
        if let Some(error) = event.pointer("/plugindata/data/error").or(event.get("error")) {
            bail!("Janus refused: {error}");
        }
        let sdp = event.pointer("/jsep/sdp").and_then(Value::as_str).map(str::to_owned);
        Ok((event, sdp))
    }

    pub async fn stop(self) {
        self.process.stop().await;
    }
}

fn transaction() -> String {
    rand::random::<u64>().to_string()
}

/// Posts a request; Janus's direct answer.
async fn post(http: &Client, url: &Url, mut request: Value) -> Result<Value> {
    request["transaction"] = transaction().into();
    let answer: Value = http.post(url.clone()).json(&request).send().await?.json().await?;
    if let Some(error) = answer.get("error") {
        bail!("Janus refused: {error}");
    }
    Ok(answer)
}

async fn attach(http: &Client, url: &Url) -> Result<Handle> {
    let below = |url: &Url, answer: &Value| -> Result<Url> {
        let id = answer.pointer("/data/id").and_then(Value::as_u64).context("Janus gave no id")?;
        Ok(Url::parse(&format!("{url}/{id}"))?)
    };
    let created = post(http, url, json!({ "janus": "create" })).await?;
    let session = below(url, &created)?;
    let plugin = json!({ "janus": "attach", "plugin": "janus.plugin.videoroom" });
    let handle = below(&session, &post(http, &session, plugin).await?)?;
    Ok(Handle { session, handle })
}

async fn message(http: &Client, to: &Handle, body: Value, jsep: Option<Value>) -> Result<Value> {
    let mut request = json!({ "janus": "message", "body": body });
    if let Some(jsep) = jsep {
        request["jsep"] = jsep;
    }
    post(http, &to.handle, request).await
}
