//! Sends assets down one trunk, or up, as they are asked for: those somebody waits for before
//! all video, those that will be wanted later after everything else and at a quarter of what the
//! line carries. Sound goes in datagrams, which nothing here stands before.

use super::flight::{self, landed_here};
use super::{AssetError, Found, Key, Urgency};
use crate::node::Node;
use bytes::Bytes;
use cloudschool_protocol::asset::{AssetRefusal, Chunk, FLOW_AHEAD, FLOW_NOW, MAX_CHUNK};
use cloudschool_protocol::trunk::Control;
use cloudschool_relay::{FrameKind, FrameOptions, Trunk};
use std::collections::{HashMap, VecDeque};
use std::io::{self, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// Requests that wait to be looked at, and those that wait for their turn. A peer that has more
/// asks again.
const WAITING: usize = 256;

/// Before the screen and the teacher's picture; below sound.
const NOW: i32 = 450;
/// After everything, padding excepted.
const AHEAD: i32 = -1000;

/// After it, a piece that is not through is given up and asked for again.
const NOW_DEADLINE: Duration = Duration::from_secs(10);
const AHEAD_DEADLINE: Duration = Duration::from_secs(30);

/// Bytes handed to the trunk and not acknowledged, above which what is waited for waits too: the
/// line has enough to do, and video must find room.
const UNDER_WAY: u64 = 128 * 1024;

/// How soon to look again when the line has enough to do.
const AGAIN: Duration = Duration::from_millis(10);

/// What is fetched ahead goes at a quarter of the line, between these, bit/s.
const LEAST: u64 = 48_000;
const MOST: u64 = 20_000_000;

#[derive(Debug)]
enum Ask {
    Fetch { request: u64, key: Key, offset: u64, now: bool },
    Stop(u64),
    Refuse(u64, AssetRefusal),
}

/// How the rest of the node asks for something to be sent.
#[derive(Debug)]
pub struct Courier(mpsc::Sender<Ask>);

impl Courier {
    /// Begins to send by `trunk`; `outbox` takes what is said. Ends when this is dropped.
    pub fn start(node: Arc<Node>, trunk: Trunk, outbox: mpsc::Sender<Control>) -> Self {
        let (asks, asked) = mpsc::channel(WAITING);
        let (jobs, fetching) = (VecDeque::new(), JoinSet::new());
        let (fetched, next_at) = (HashMap::new(), Instant::now());
        let round = Round { node, trunk, outbox, jobs, fetching, fetched, next_at };
        tokio::spawn(round.run(asked));
        Self(asks)
    }

    pub(super) fn fetch(&self, request: u64, key: Key, offset: u64, now: bool) {
        self.ask(Ask::Fetch { request, key, offset, now });
    }

    pub(super) fn stop(&self, request: u64) {
        self.ask(Ask::Stop(request));
    }

    pub(super) fn refuse(&self, request: u64, refusal: AssetRefusal) {
        self.ask(Ask::Refuse(request, refusal));
    }

    fn ask(&self, ask: Ask) {
        if self.0.try_send(ask).is_err() {
            tracing::debug!("more assets are asked for than are sent");
        }
    }
}

struct Job {
    request: u64,
    found: Found,
    file: Option<File>,
    at: u64,
    now: bool,
}

struct Round {
    node: Arc<Node>,
    trunk: Trunk,
    outbox: mpsc::Sender<Control>,
    jobs: VecDeque<Job>,
    /// What has to be fetched from above first, by request.
    fetching: JoinSet<(Wish, Result<Found, AssetError>)>,
    fetched: HashMap<u64, AbortHandle>,
    /// When the next piece goes.
    next_at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Wish {
    request: u64,
    offset: u64,
    now: bool,
}

impl Round {
    async fn run(mut self, mut asked: mpsc::Receiver<Ask>) {
        loop {
            self.send_next().await;
            let due = self.next_at;
            tokio::select! {
                ask = asked.recv() => match ask {
                    Some(ask) => self.take(ask),
                    None => return,
                },
                Some(done) = self.fetching.join_next() => {
                    // One that was aborted is not waited for.
                    if let Ok((wish, found)) = done {
                        self.fetched.remove(&wish.request);
                        self.has(wish, found);
                    }
                }
                () = tokio::time::sleep_until(due.into()), if !self.jobs.is_empty() => {}
            }
        }
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Refuse(request, refusal) => self.refuse(request, refusal),
            Ask::Stop(request) => self.forget(request),
            Ask::Fetch { request, key, offset, now } => {
                self.forget(request);
                let wish = Wish { request, offset, now };
                if self.jobs.len() + self.fetched.len() >= WAITING {
                    self.refuse(request, AssetRefusal::Other);
                } else if let Some(found) = self.node.assets().store.get(&key) {
                    self.has(wish, Ok(found));
                } else if self.node.lessons().are_ours() {
                    self.refuse(request, AssetRefusal::Missing);
                } else {
                    let node = self.node.clone();
                    let urgency = if now { Urgency::Now } else { Urgency::Ahead };
                    // Who asks knows of a cut by itself, and waits as long as it likes.
                    let fetched = async move {
                        let landed = flight::fetch(&node, &key, urgency, flight::Source::Above);
                        let found = match landed {
                            Ok(landed) => landed_here(&node, &key, flight::over(landed).await),
                            Err(error) => Err(error),
                        };
                        (wish, found)
                    };
                    self.fetched.insert(request, self.fetching.spawn(fetched));
                }
            }
        }
    }

    fn forget(&mut self, request: u64) {
        self.jobs.retain(|job| job.request != request);
        if let Some(fetching) = self.fetched.remove(&request) {
            fetching.abort();
        }
    }

    fn has(&mut self, wish: Wish, found: Result<Found, AssetError>) {
        let Wish { request, offset, now } = wish;
        match found {
            Ok(found) if offset < found.bytes => {
                self.jobs.push_back(Job { request, found, file: None, at: offset, now });
                if now {
                    self.next_at = self.next_at.min(Instant::now());
                }
            }
            Ok(_) => self.refuse(request, AssetRefusal::Missing),
            Err(error) => self.refuse(request, (&error).into()),
        }
    }

    fn refuse(&self, request: u64, refusal: AssetRefusal) {
        // A peer that doesn't read is cut off by others.
        let _full = self.outbox.try_send(Control::AssetRefused { request, refusal });
    }

    /// Sends the next piece, if it is time for one.
    async fn send_next(&mut self) {
        let now = Instant::now();
        if now < self.next_at {
            return;
        }
        let first = self.jobs.iter().position(|job| job.now).unwrap_or(0);
        let Some(job) = self.jobs.get_mut(first) else { return };
        if job.now && self.trunk.stats().frame_bytes_waiting > UNDER_WAY {
            self.next_at = now + AGAIN;
            return;
        }
        let sent = match piece(job).await {
            Ok(data) => {
                let sent = put(&self.trunk, job, &data);
                self.next_at = now + wait(&self.trunk, job.now, data.len(), sent);
                if sent {
                    job.at += data.len() as u64;
                    let bytes = &self.node.assets().counters.sent_bytes;
                    bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
                }
                job.at >= job.found.bytes
            }
            Err(error) => {
                tracing::warn!(path = %job.found.path.display(), %error, "an asset can't be read");
                let request = job.request;
                self.refuse(request, AssetRefusal::Other);
                true
            }
        };
        if sent {
            self.jobs.remove(first);
        }
    }
}

/// The next bytes of a job.
async fn piece(job: &mut Job) -> io::Result<Vec<u8>> {
    let file = match &mut job.file {
        Some(file) => file,
        none => none.insert(File::open(&job.found.path).await?),
    };
    let left = job.found.bytes.saturating_sub(job.at);
    let mut data = vec![0; usize::try_from(left).unwrap_or(MAX_CHUNK).min(MAX_CHUNK)];
    file.seek(SeekFrom::Start(job.at)).await?;
    file.read_exact(&mut data).await?;
    Ok(data)
}

/// Hands a piece to the trunk; false when that takes none now.
fn put(trunk: &Trunk, job: &Job, data: &[u8]) -> bool {
    let (Ok(total), Ok(offset)) = (u32::try_from(job.found.bytes), u32::try_from(job.at)) else {
        return false;
    };
    let chunk = Chunk { request: job.request, kind: job.found.kind, total, offset, data };
    let (flow, priority, deadline) = match job.now {
        true => (FLOW_NOW, NOW, NOW_DEADLINE),
        false => (FLOW_AHEAD, AHEAD, AHEAD_DEADLINE),
    };
    let kind = FrameKind::Independent;
    let options = FrameOptions { priority, kind, deadline: Some(deadline) };
    trunk.send_frame(flow, options, &[Bytes::from(chunk.write())]).is_sent()
}

/// How long after a piece the next one goes.
fn wait(trunk: &Trunk, now: bool, bytes: usize, sent: bool) -> Duration {
    if now {
        return if sent { Duration::ZERO } else { AGAIN };
    }
    let rate = (trunk.path().estimate / 4).clamp(LEAST, MOST);
    Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64)
}
