//! A program that listens: the recorder, analytics. It says which lessons and tracks it wants
//! and gets one feed of what happens, whatever becomes of the connection meanwhile.

use crate::dialer::{DialStatus, Dialer, Upstreams};
use crate::flows::Flows;
use crate::identity::Identity;
use crate::interest::Interest;
use crate::stats::{TrunkStats, count};
use crate::trunk::{Trunk, TrunkReceiver};
use bytes::Bytes;
use cloudschool_protocol::asset::{AssetId, AssetRefusal, FLOW_AHEAD, FLOW_NOW};
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::Event;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::media::{Codec, TrackId};
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::spool::{PartId, SpoolPart};
use cloudschool_protocol::trunk::{Control, LessonLine, RequestId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Entries of the feed that may wait for the program: four seconds of 10 Mbit/s. Beyond it
/// packets are dropped and everything else waits.
const FEED: usize = 4096;

/// Commands without an answer yet.
const COMMANDS: usize = 64;

/// How long a command is waited for: a back-off and a handshake on a bad line.
const COMMAND_LIMIT: Duration = Duration::from_secs(15);

/// What a subscriber gets, in the order it happened. Packets may be dropped when the program
/// is too slow; nothing else is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// The upstream node is connected.
    Up,
    /// It is not any more, and why, in one sentence. All tracks have ended before this.
    Down { reason: String },
    /// Every lesson there is to follow, whole, after each connect and on each change.
    Lessons(Vec<LessonLine>),
    /// The next events of a followed lesson: each once, in order, without a gap, also over
    /// reconnects.
    Events { lesson: LessonId, events: Vec<Event> },
    /// The lesson can't be followed. It is asked for again by itself when the list of lessons
    /// names it.
    FollowRefused { lesson: LessonId, refusal: Refusal },
    /// Packets of `track` follow. Comes before the first of them, and again after a reconnect.
    Track { lesson: LessonId, track: TrackId, codec: Codec },
    /// No more packets of `track` for now: unpublished, or the connection is gone.
    TrackEnd { lesson: LessonId, track: TrackId },
    /// An RTP packet. Frames may overtake each other: order packets by sequence number.
    Packet { lesson: LessonId, track: TrackId, packet: Bytes },
    /// What nodes kept of a lesson while the campus was away, whole, on change.
    Spooled { lesson: LessonId, parts: Vec<SpoolPart> },
    /// A piece of a part that was [fetched](Subscriber::fetch_spooled).
    SpoolPiece { lesson: LessonId, id: PartId, offset: u64, data: Vec<u8> },
    /// A piece of an asset that was [fetched](Subscriber::fetch_asset): a
    /// [`Chunk`](cloudschool_protocol::asset::Chunk). May be dropped, as packets are.
    AssetChunk { packet: Bytes },
    /// An asset does not come, and why.
    AssetRefused { request: u64, refusal: AssetRefusal },
    /// A piece of a board's changes that were [fetched](Subscriber::fetch_board); empty where
    /// there is no more.
    BoardPiece { lesson: LessonId, run: u32, offset: u64, data: Vec<u8> },
    /// The publisher's clock: `ntp` (32.32) was the time of RTP timestamp `rtp`.
    Clock { lesson: LessonId, track: TrackId, ntp: u64, rtp: u32 },
}

/// Cumulative counters, and the trunk's own while there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscriberStats {
    /// Connections made.
    pub connects: u64,
    /// Packets dropped because the program was slow to take the feed.
    pub packets_dropped: u64,
    pub trunk: Option<TrunkStats>,
}

/// The handle of a subscription. Cheap to clone. It ends when the last clone, or the feed's
/// receiver, is dropped.
#[derive(Clone)]
pub struct Subscriber {
    shared: Arc<Shared>,
    status: watch::Receiver<DialStatus>,
    _alive: Arc<DropGuard>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There may be something to say upstream.
    changed: Notify,
    connects: AtomicU64,
    packets_dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    interest: Interest,
    flows: Flows,
    trunk: Option<Trunk>,
    answers: HashMap<RequestId, oneshot::Sender<Result<(), Refusal>>>,
    last_request: RequestId,
}

impl Subscriber {
    /// Dials the `upstreams` (`host:port`), in order of preference, for ever and feeds what
    /// comes. `software` is program and version, for people. Needs a tokio runtime.
    #[must_use]
    pub fn start(
        upstreams: impl Into<Upstreams>,
        identity: Identity,
        software: impl Into<String>,
    ) -> (Self, mpsc::Receiver<Feed>) {
        let dialer = Dialer::new(upstreams, identity, software);
        let status = dialer.status();
        let shared = Arc::new(Shared::default());
        let (feed, receiver) = mpsc::channel(FEED);
        let end = CancellationToken::new();
        let run = run(dialer, shared.clone(), feed);
        tokio::spawn(end.clone().run_until_cancelled_owned(run));
        (Self { shared, status, _alive: Arc::new(end.drop_guard()) }, receiver)
    }

    /// Follow the events of `lesson` after number `after`; also to go back to there. After a
    /// reconnect it goes on from the last event delivered by itself.
    pub fn follow(&self, lesson: &LessonId, after: u64) {
        self.wish(|state| state.interest.follow(lesson.clone(), after));
    }

    /// No more events or media of `lesson`. What is in the feed already still comes.
    pub fn unfollow(&self, lesson: &LessonId) {
        self.wish(|state| state.interest.unfollow(lesson));
    }

    /// The tracks of `lesson` wanted from now on, in place of those before. One that is not
    /// published yet comes when it is.
    pub fn demand(&self, lesson: &LessonId, tracks: Vec<TrackId>) {
        self.wish(|state| state.interest.demand(lesson.clone(), tracks));
    }

    /// A keyframe of `track` is needed. Means nothing while the track does not come.
    pub fn keyframe(&self, lesson: &LessonId, track: &TrackId) {
        self.wish(|state| {
            if let Some(flow) = state.flows.flow(&(lesson.clone(), track.clone())) {
                state.interest.keyframe(flow);
            }
        });
    }

    /// Asks for the bytes of part `id` from `offset` on. They come as [`Feed::SpoolPiece`] or,
    /// when the line or a node is away, not at all.
    pub fn fetch_spooled(&self, lesson: &LessonId, id: PartId, offset: u64) {
        let lesson = lesson.clone();
        self.wish(|state| state.interest.say(Control::SpoolFetch { lesson, id, offset }));
    }

    /// Part `id` is on the disk here: whoever kept it need not any longer.
    pub fn spooled_is_taken(&self, lesson: &LessonId, id: PartId) {
        let lesson = lesson.clone();
        self.wish(|state| state.interest.say(Control::SpoolTaken { lesson, id }));
    }

    /// Asks for the bytes of an asset of `lesson` from `offset` on, after everything else that
    /// crosses. They come as [`Feed::AssetChunk`] with this `request` or not at all; the same
    /// request again replaces what it asked before.
    pub fn fetch_asset(&self, lesson: &LessonId, request: u64, asset: AssetId, offset: u64) {
        let lesson = lesson.clone();
        let fetch = Control::AssetFetch { request, lesson, asset, offset, now: false };
        self.wish(|state| state.interest.say(fetch));
    }

    /// Asks for the changes of the board of a run of `lesson` from byte `offset` on. One
    /// [`Feed::BoardPiece`] comes or, when the line is cut, none.
    pub fn fetch_board(&self, lesson: &LessonId, run: u32, offset: u64) {
        let lesson = lesson.clone();
        self.wish(|state| state.interest.say(Control::BoardFetch { lesson, run, offset }));
    }

    /// Whether the upstream node is connected and has this
    /// [`capability`](cloudschool_protocol::trunk::capability).
    #[must_use]
    pub fn upstream_can(&self, capability: &str) -> bool {
        self.shared.state().trunk.as_ref().is_some_and(|trunk| trunk.peer_can(capability))
    }

    /// Gives a command to `lesson`'s origin and waits for what becomes of it. Take the feed
    /// meanwhile: the answer comes after what is before it.
    ///
    /// # Errors
    /// The origin's refusal; or [`Refusal::CampusAway`] when there is no connection, or it
    /// broke before the answer, so that the command may have been carried out.
    pub async fn command(&self, lesson: &LessonId, command: Command) -> Result<(), Refusal> {
        let (answer, outcome) = oneshot::channel();
        let request = {
            let mut state = self.shared.state();
            if state.trunk.is_none() || state.answers.len() >= COMMANDS {
                return Err(Refusal::CampusAway);
            }
            state.last_request += 1;
            let request = state.last_request;
            state.answers.insert(request, answer);
            state.interest.command(request, lesson.clone(), command);
            request
        };
        self.shared.changed.notify_one();
        let outcome = timeout(COMMAND_LIMIT, outcome).await;
        self.shared.state().answers.remove(&request);
        outcome.ok().and_then(Result::ok).unwrap_or(Err(Refusal::CampusAway))
    }

    /// What the dialer is doing, for readiness and for people.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<DialStatus> {
        self.status.clone()
    }

    #[must_use]
    pub fn stats(&self) -> SubscriberStats {
        let trunk = self.shared.state().trunk.clone();
        SubscriberStats {
            connects: self.shared.connects.load(Ordering::Relaxed),
            packets_dropped: self.shared.packets_dropped.load(Ordering::Relaxed),
            trunk: trunk.map(|t| t.stats()),
        }
    }

    fn wish(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state());
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The program takes no more of the feed.
struct NobodyListens;

async fn run(mut dialer: Dialer, shared: Arc<Shared>, feed: mpsc::Sender<Feed>) {
    loop {
        let (trunk, receiver) = tokio::select! {
            connected = dialer.connect() => connected,
            () = feed.closed() => return,
        };
        count(&shared.connects);
        let mut session = Session { shared: &shared, feed: &feed };
        if session.run(&trunk, receiver).await.is_err() {
            return;
        }
    }
}

/// One connection's part of the subscription.
struct Session<'a> {
    shared: &'a Shared,
    feed: &'a mpsc::Sender<Feed>,
}

impl Session<'_> {
    async fn run(&mut self, trunk: &Trunk, receiver: TrunkReceiver) -> Result<(), NobodyListens> {
        self.tell(Feed::Up).await?;
        {
            let mut state = self.shared.state();
            state.trunk = Some(trunk.clone());
            state.interest.connected();
        }
        // Reading and saying don't wait for each other: two full queues would else face each
        // other for ever. Only the reader ends a session, so that nothing it has taken from
        // the trunk is dropped half-way into the feed.
        let heard = tokio::select! {
            heard = self.listen(receiver) => heard,
            () = say(self.shared, trunk) => Ok(()),
        };
        let ended = {
            let mut state = self.shared.state();
            state.trunk = None;
            state.interest.disconnected();
            // Whoever waits for an answer hears that none comes.
            state.answers.clear();
            state.flows.clear()
        };
        heard?;
        for (lesson, track) in ended {
            self.tell(Feed::TrackEnd { lesson, track }).await?;
        }
        self.tell(Feed::Down { reason: trunk.closed().await }).await
    }

    /// Takes what comes until the trunk is closed.
    async fn listen(&self, mut receiver: TrunkReceiver) -> Result<(), NobodyListens> {
        loop {
            tokio::select! {
                biased;
                control = receiver.control.recv() => match control {
                    Some(control) => self.control(control, &mut receiver).await?,
                    None => break,
                },
                Some(media) = receiver.media.recv() => self.packet(media.flow, media.packet),
                () = self.feed.closed() => return Err(NobodyListens),
            }
        }
        self.packets_so_far(&mut receiver);
        Ok(())
    }

    async fn control(
        &self,
        control: Control,
        receiver: &mut TrunkReceiver,
    ) -> Result<(), NobodyListens> {
        match control {
            Control::Lessons { lessons } => {
                self.shared.state().interest.listed(&lessons);
                self.shared.changed.notify_one();
                self.tell(Feed::Lessons(lessons)).await
            }
            Control::Events { lesson, events } => {
                let events = self.shared.state().interest.deliver(&lesson, events);
                self.shared.changed.notify_one();
                if events.is_empty() {
                    return Ok(());
                }
                self.tell(Feed::Events { lesson, events }).await
            }
            Control::FollowRefused { lesson, refusal } => {
                self.shared.state().interest.refused(&lesson);
                self.tell(Feed::FollowRefused { lesson, refusal }).await
            }
            Control::Outcome { request, refusal } => {
                if let Some(answer) = self.shared.state().answers.remove(&request) {
                    // Fails when nobody waits for it any more.
                    answer.send(refusal.map_or(Ok(()), Err)).ok();
                }
                Ok(())
            }
            Control::Flow { flow, lesson, track, codec } => {
                let announced =
                    self.shared.state().flows.announce(flow, (lesson.clone(), track.clone()));
                for (lesson, track) in announced.ended {
                    self.tell(Feed::TrackEnd { lesson, track }).await?;
                }
                self.tell(Feed::Track { lesson, track, codec }).await?;
                for packet in announced.early {
                    self.packet(flow, packet);
                }
                Ok(())
            }
            Control::FlowEnd { flow } => {
                self.packets_so_far(receiver);
                let ended = self.shared.state().flows.end(flow);
                match ended {
                    Some((lesson, track)) => self.tell(Feed::TrackEnd { lesson, track }).await,
                    None => Ok(()),
                }
            }
            Control::Clock { flow, ntp, rtp } => {
                let of = self.shared.state().flows.track(flow).cloned();
                match of {
                    Some((lesson, track)) => {
                        self.tell(Feed::Clock { lesson, track, ntp, rtp }).await
                    }
                    None => Ok(()),
                }
            }
            Control::Spooled { lesson, parts } => self.tell(Feed::Spooled { lesson, parts }).await,
            Control::SpoolPiece { lesson, id, offset, data } => {
                self.tell(Feed::SpoolPiece { lesson, id, offset, data: data.0 }).await
            }
            Control::AssetRefused { request, refusal } => {
                self.tell(Feed::AssetRefused { request, refusal }).await
            }
            Control::BoardPiece { lesson, run, offset, data } => {
                self.tell(Feed::BoardPiece { lesson, run, offset, data: data.0 }).await
            }
            // Nothing is asked of a program that only listens, nobody stands behind it, and
            // hello and goodbye end in the trunk.
            _ => Ok(()),
        }
    }

    /// Passes on the packets that came before what is told next.
    fn packets_so_far(&self, receiver: &mut TrunkReceiver) {
        for _ in 0..receiver.media.len() {
            let Ok(media) = receiver.media.try_recv() else { break };
            self.packet(media.flow, media.packet);
        }
    }

    fn packet(&self, flow: u64, packet: Bytes) {
        let entry = if flow == FLOW_NOW || flow == FLOW_AHEAD {
            Feed::AssetChunk { packet }
        } else {
            let mut state = self.shared.state();
            let Some((lesson, track)) = state.flows.track(flow).cloned() else {
                if state.flows.keep_early(flow, packet) {
                    count(&self.shared.packets_dropped);
                }
                return;
            };
            Feed::Packet { lesson, track, packet }
        };
        if let Err(TrySendError::Full(_)) = self.feed.try_send(entry) {
            count(&self.shared.packets_dropped);
        }
    }

    /// What must not be lost: waits for the program.
    async fn tell(&self, entry: Feed) -> Result<(), NobodyListens> {
        self.feed.send(entry).await.map_err(|_| NobodyListens)
    }
}

/// Says upstream what there is to say. Never ends: the reader notices a closed trunk.
async fn say(shared: &Shared, trunk: &Trunk) {
    loop {
        let changed = shared.changed.notified();
        loop {
            let next = shared.state().interest.poll();
            let Some(control) = next else { break };
            if let Err(error) = trunk.send(control).await {
                tracing::debug!(%error, "not said upstream");
            }
        }
        changed.await;
    }
}
