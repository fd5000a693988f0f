//! A node for the recorder to dial: the real trunk, a lesson whose events the test writes,
//! and publishers that send what was encoded before, as time passes.

use crate::support::{Media, Timed};
use cloudschool_protocol::asset::{AssetKind, Chunk, FLOW_AHEAD};
use cloudschool_protocol::blob::Blob;
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::id::{LessonId, NodeId};
use cloudschool_protocol::lesson::{LessonInfo, State};
use cloudschool_protocol::media::{Kind, TrackId};
use cloudschool_protocol::rtp::Header;
use cloudschool_protocol::trunk::{Control, LessonLine, NodeKind};
use cloudschool_recorder::clock::{Nanos, SECOND};
use cloudschool_relay::{FrameKind, FrameOptions, Identity, Listener, Trunk, ca};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use uuid::Uuid;

/// A publisher: its track, what it sends, and what its clock says at its second 0.
pub struct Publisher {
    pub track: TrackId,
    pub media: Media,
    pub ntp_zero: u64,
}

/// The one page of slides there is, and the board's changes.
pub const PAGE: &[u8] = b"RIFF\x10\0\0\0WEBPVP8 ";
pub const BOARD: &[u8] = b"changes of it";

struct Inner {
    publishers: Vec<Publisher>,
    /// Second 0 of every publisher.
    begun: Instant,
    log: watch::Sender<State>,
    events: Mutex<Vec<Event>>,
    archived: watch::Sender<Option<(String, u64)>>,
}

/// The node.
#[derive(Clone)]
pub struct Upstream {
    inner: Arc<Inner>,
    pub address: std::net::SocketAddr,
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A CA with a node and a recorder; gives the recorder's identity.
pub fn identities(dir: &Path) -> (Identity, PathBuf) {
    let (campus, recorder) = (dir.join("tls/campus"), dir.join("tls/recorder"));
    ca::init(&dir.join("ca")).unwrap();
    let name = |n: &str| NodeId::new(n).unwrap();
    ca::issue(&dir.join("ca"), &name("campus"), NodeKind::Origin, None, &campus).unwrap();
    ca::issue(&dir.join("ca"), &name("recorder"), NodeKind::Recorder, None, &recorder).unwrap();
    (Identity::load(&campus).unwrap(), recorder)
}

impl Upstream {
    pub fn start(identity: &Identity, info: LessonInfo, publishers: Vec<Publisher>) -> Self {
        let listener =
            Listener::bind("127.0.0.1:0".parse().unwrap(), identity, "test node").unwrap();
        let address = listener.address();
        let inner = Arc::new(Inner {
            publishers,
            begun: Instant::now(),
            log: watch::Sender::new(State::new(info)),
            events: Mutex::default(),
            archived: watch::Sender::new(None),
        });
        let upstream = Self { inner: inner.clone(), address };
        tokio::spawn(async move {
            while let Some((trunk, receiver)) = listener.accept().await {
                tokio::spawn(serve(inner.clone(), trunk, receiver));
            }
        });
        upstream
    }

    /// Writes an event into the lesson's log.
    pub fn event(&self, body: EventBody) {
        let mut events = self.inner.events.lock().unwrap();
        let seq = events.len() as u64 + 1;
        let event = Event::new(seq, Uuid::now_v7(), now_ms(), body);
        events.push(event.clone());
        drop(events);
        self.inner.log.send_modify(|s| s.apply(&event).unwrap());
    }

    pub fn state(&self) -> State {
        self.inner.log.borrow().clone()
    }

    /// How long the publishers have been sending.
    pub fn elapsed(&self) -> Nanos {
        self.inner.begun.elapsed().as_nanos() as Nanos
    }

    pub async fn until(&self, at: Nanos) {
        let left = at - self.elapsed();
        tokio::time::sleep(Duration::from_nanos(left.max(0) as u64)).await;
    }

    /// Waits for the recorder to say where the recording is, and how long.
    pub async fn archived(&self, within: Duration) -> (String, u64) {
        let mut archived = self.inner.archived.subscribe();
        let said = tokio::time::timeout(within, archived.wait_for(Option::is_some)).await;
        said.expect("the recording was not announced in time").unwrap().clone().unwrap()
    }
}

async fn serve(inner: Arc<Inner>, trunk: Trunk, mut receiver: cloudschool_relay::TrunkReceiver) {
    let mut log = inner.log.subscribe();
    let lesson = log.borrow().info.id.clone();
    let mut sent = None;
    let mut flows: Vec<(u64, tokio::task::JoinHandle<()>, TrackId)> = vec![];
    let state = log.borrow_and_update().clone();
    if list(&trunk, &state).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            message = receiver.control.recv() => match message {
                Some(Control::Follow { after, .. }) => {
                    sent = Some(after);
                    tell(&inner, &trunk, &lesson, &mut sent).await;
                }
                Some(Control::Demand { tracks, .. }) => {
                    flows.retain(|(_, task, track)| {
                        let keep = tracks.contains(track);
                        if !keep { task.abort(); }
                        keep
                    });
                    for track in tracks {
                        if flows.iter().any(|(_, _, t)| *t == track) { continue; }
                        let of = inner.publishers.iter().position(|p| p.track == track);
                        let Some(at) = of else { continue };
                        let flow = at as u64 + 1;
                        let codec = inner.publishers[at].media.codec;
                        let announce =
                            Control::Flow { flow, lesson: lesson.clone(), track: track.clone(), codec };
                        trunk.send(announce).await.unwrap();
                        let task = tokio::spawn(send(inner.clone(), trunk.clone(), at, flow));
                        flows.push((flow, task, track));
                    }
                }
                Some(Control::Command { request, command, .. }) => {
                    if let Command::Archived { recording, duration_ms } = command {
                        inner.archived.send_replace(Some((recording, duration_ms)));
                    }
                    trunk.send(Control::Outcome { request, refusal: None }).await.unwrap();
                }
                Some(Control::AssetFetch { request, offset, .. }) => {
                    let (kind, total) = (AssetKind::Webp, PAGE.len() as u32);
                    let data = &PAGE[usize::try_from(offset).unwrap()..];
                    let chunk = Chunk { request, kind, total, offset: 0, data }.write();
                    let options =
                        FrameOptions { priority: 0, kind: FrameKind::Independent, deadline: None };
                    assert!(trunk.send_frame(FLOW_AHEAD, options, &[chunk]).is_sent());
                }
                Some(Control::BoardFetch { lesson, run, offset }) => {
                    let data = Blob(BOARD.iter().copied().skip(offset as usize).take(4).collect());
                    let piece = Control::BoardPiece { lesson, run, offset, data };
                    trunk.send(piece).await.unwrap();
                }
                Some(_) => {}
                None => break,
            },
            _ = log.changed() => {
                let state = log.borrow_and_update().clone();
                if list(&trunk, &state).await.is_err() { break; }
                tell(&inner, &trunk, &lesson, &mut sent).await;
            }
        }
    }
    flows.iter().for_each(|(_, task, _)| task.abort());
}

async fn list(trunk: &Trunk, state: &State) -> Result<(), cloudschool_relay::SendError> {
    let line = LessonLine { info: state.info.clone(), phase: state.phase };
    trunk.send(Control::Lessons { lessons: vec![line] }).await
}

async fn tell(inner: &Inner, trunk: &Trunk, lesson: &LessonId, sent: &mut Option<u64>) {
    let Some(after) = *sent else { return };
    let events: Vec<Event> = inner.events.lock().unwrap()[after as usize..].to_vec();
    if !events.is_empty() {
        *sent = Some(after + events.len() as u64);
        // Fails when the recorder has just been killed.
        trunk.send(Control::Events { lesson: lesson.clone(), events }).await.ok();
    }
}

/// Sends one publisher's packets from now on, each when it is due.
async fn send(inner: Arc<Inner>, trunk: Trunk, at: usize, flow: u64) {
    let publisher = &inner.publishers[at];
    let now = inner.begun.elapsed().as_nanos() as Nanos;
    let mut reported = -SECOND;
    let mut frame: Vec<Timed> = vec![];
    for packet in publisher.media.packets.iter().skip_while(|p| p.at < now) {
        let due = inner.begun + Duration::from_nanos(packet.at as u64);
        tokio::time::sleep_until(due.into()).await;
        if packet.at >= reported + SECOND {
            reported = packet.at;
            let (ntp, rtp) = publisher.media.report(packet.at, publisher.ntp_zero);
            trunk.send(Control::Clock { flow, ntp, rtp }).await.ok();
        }
        if publisher.media.codec.kind() == Kind::Audio {
            trunk.send_packet(flow, Kind::Audio, &packet.rtp);
            continue;
        }
        frame.push(packet.clone());
        if Header::parse(&packet.rtp).unwrap().marker {
            let packets: Vec<_> = frame.drain(..).map(|p| p.rtp).collect();
            let options = cloudschool_relay::FrameOptions { priority: 2, ..Default::default() };
            let _behind = trunk.send_frame(flow, options, &packets);
        }
    }
}
