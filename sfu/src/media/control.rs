//! The handle by which the node steers its shards.

mod groups;

pub use groups::Group;

use super::batch::TrackKey;
use super::lane::{Lane, ShardLane, TrunkLane};
use super::messages::{Command, Joining, MediaEvent, PublishTracks, SessionId, Shown};
use super::outlet::{Outlet, OutletId, Showing};
use super::shard::{ShardHandle, ShardSetup};
use super::thumbnail::Thumbnail;
use crate::peer::{
    Answer, Condition, DtlsIdentity, Engine, EngineConfig, FragmentError, IdentityError,
    OfferError, Patched,
};
use cloudschool_protocol::media::Kind;
use dashmap::DashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::{mpsc, oneshot};

/// How the packet path is set up.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    /// Where the first shard listens; the others take the ports after it (or any, for port 0).
    pub bind: SocketAddr,
    /// Addresses told to peers instead of the bound one, for a node behind NAT or on all
    /// interfaces.
    pub announce: Vec<Announced>,
    /// Also take media over TCP, on the same port numbers (RFC 6544).
    pub tcp: bool,
    /// Threads.
    pub shards: usize,
    /// Each thread keeps to a processor of its own.
    pub pin: bool,
}

/// The packet path can't begin.
#[derive(Debug, thiserror::Error)]
pub enum MediaStartError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// The shards are gone: the node is going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the packet path has stopped")]
pub struct Stopped;

/// An address told to peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    pub ip: IpAddr,
    /// Of the first shard, where a router forwards another port than the one bound.
    pub port: Option<u16>,
}

impl Announced {
    /// The same for the shard of that index: ports are forwarded in a row.
    fn of_shard(self, index: usize) -> Self {
        Self { port: self.port.map(|p| p.saturating_add(index as u16)), ..self }
    }

    /// The whole address; `port` is the bound one.
    #[must_use]
    pub fn at(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(port))
    }
}

/// What came of an offer: a peer to be handed to its shard.
type Answered = Result<(Engine, Answer), OfferError>;

/// Where a track lives.
struct Home {
    shard: usize,
    kind: Kind,
    /// Shards that get it from there.
    replicas: Vec<Replica>,
}

/// A copy of a track in another shard.
struct Replica {
    shard: usize,
    outlet: OutletId,
    /// It gets only what may be heard.
    gated: bool,
}

/// Handle to all shards.
pub struct Media {
    shards: Vec<ShardHandle>,
    sessions: DashMap<SessionId, usize>,
    homes: DashMap<TrackKey, Home>,
    load: Vec<AtomicUsize>,
    next_track: AtomicU32,
    next_outlet: AtomicU64,
    next_group: AtomicU64,
}

impl Media {
    /// Binds the sockets and starts the threads.
    ///
    /// # Errors
    /// When a port can't be bound or a thread not started.
    pub fn start(
        config: &MediaConfig,
        events: &mpsc::UnboundedSender<MediaEvent>,
    ) -> Result<Self, MediaStartError> {
        let count = config.shards.max(1);
        let identity = Arc::new(DtlsIdentity::generate()?);
        let mut shards = Vec::with_capacity(count);
        for index in 0..count {
            let mut bind = config.bind;
            if bind.port() != 0 {
                let port = usize::from(bind.port()) + index;
                let too_high = || io::Error::new(io::ErrorKind::InvalidInput, "port over 65535");
                bind.set_port(u16::try_from(port).map_err(|_| too_high())?);
            }
            let setup = ShardSetup {
                index,
                pin: config.pin,
                bind,
                tcp: config.tcp,
                announce: config.announce.iter().map(|a| a.of_shard(index)).collect(),
                identity: identity.clone(),
            };
            shards.push(ShardHandle::start(setup, events.clone())?);
        }
        let load = shards.iter().map(|_| AtomicUsize::new(0)).collect();
        Ok(Self {
            shards,
            sessions: DashMap::new(),
            homes: DashMap::new(),
            load,
            next_track: AtomicU32::new(0),
            next_outlet: AtomicU64::new(0),
            next_group: AtomicU64::new(0),
        })
    }

    /// The addresses the shards listen on.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.shards.iter().map(|s| s.address).collect()
    }

    fn least_loaded(&self) -> usize {
        let load = |(_, n): &(usize, &AtomicUsize)| n.load(Ordering::Relaxed);
        self.load.iter().enumerate().min_by_key(load).map_or(0, |(index, _)| index)
    }

    fn send(&self, shard: usize, command: Command) {
        if let Some(handle) = self.shards.get(shard) {
            handle.send(command);
        }
    }

    fn shard_of(&self, session: SessionId) -> Option<usize> {
        self.sessions.get(&session).map(|s| *s)
    }

    fn admit(&self, shard: usize) -> SessionId {
        let session = SessionId(rand::random());
        self.sessions.insert(session, shard);
        if let Some(n) = self.load.get(shard) {
            n.fetch_add(1, Ordering::Relaxed);
        }
        session
    }

    fn shard_for(&self, owner: u64) -> usize {
        owner.checked_rem(self.shards.len() as u64).unwrap_or(0) as usize
    }

    /// A new track of this node, fed by nobody yet. Tracks of one `owner`, any number, share a
    /// shard, so that one peer can publish them all.
    #[must_use]
    pub fn open_track(&self, kind: Kind, owner: u64) -> TrackKey {
        let track = TrackKey(self.next_track.fetch_add(1, Ordering::Relaxed));
        let shard = self.shard_for(owner);
        self.homes.insert(track, Home { shard, kind, replicas: Vec::new() });
        self.send(shard, Command::OpenTrack { track, kind, lane: false });
        track
    }

    /// Says that a track is handed in by a trunk; the lane to hand it in by.
    #[must_use]
    pub fn feed_by_lane(&self, track: TrackKey) -> Option<ShardLane> {
        let (shard, kind) = self.homes.get(&track).map(|h| (h.shard, h.kind))?;
        self.send(shard, Command::OpenTrack { track, kind, lane: true });
        self.shards.get(shard).map(|s| s.lane.clone())
    }

    /// Forgets a track everywhere.
    pub fn close_track(&self, track: TrackKey) {
        if self.homes.remove(&track).is_none() {
            return;
        }
        for shard in 0..self.shards.len() {
            self.send(shard, Command::CloseTrack { track });
        }
    }

    /// Lets a peer publish: answers its offer.
    ///
    /// # Errors
    /// [`OfferError`] when the offer is of no use.
    pub async fn publish(
        &self,
        offer: String,
        tracks: PublishTracks,
    ) -> Result<Result<(SessionId, Answer), OfferError>, Stopped> {
        let shard = self.homes.get(&tracks.video).map_or(0, |h| h.shard);
        let engine = self.answer(shard, offer, Engine::publisher).await?;
        self.join(shard, engine, |joining| Command::Publish { joining, tracks }).await
    }

    /// Lets a peer watch: answers its offer. What its lines show is said by [`Self::bind`].
    ///
    /// # Errors
    /// [`OfferError`] when the offer is of no use.
    pub async fn watch(
        &self,
        offer: String,
    ) -> Result<Result<(SessionId, Answer), OfferError>, Stopped> {
        let shard = self.least_loaded();
        let engine = self.answer(shard, offer, Engine::viewer).await?;
        self.join(shard, engine, |joining| Command::Watch { joining }).await
    }

    /// Answers an offer away from the shard's thread: a hundred joins must not hold up the
    /// picture of those who are there.
    async fn answer(
        &self,
        shard: usize,
        offer: String,
        answer: fn(&Arc<EngineConfig>, &str) -> Answered,
    ) -> Result<Answered, Stopped> {
        let engines = self.shards.get(shard).map(|s| s.engines.clone()).ok_or(Stopped)?;
        let answered = tokio::task::spawn_blocking(move || answer(&engines, &offer));
        answered.await.map_err(|_| Stopped)
    }

    async fn join(
        &self,
        shard: usize,
        answered: Answered,
        command: impl FnOnce(Box<Joining>) -> Command,
    ) -> Result<Result<(SessionId, Answer), OfferError>, Stopped> {
        let (engine, answer) = match answered {
            Ok(answered) => answered,
            Err(refused) => return Ok(Err(refused)),
        };
        let session = self.admit(shard);
        let (reply, admitted) = oneshot::channel();
        self.send(shard, command(Box::new(Joining { session, engine, answer, reply })));
        match admitted.await {
            Ok(answer) => Ok(Ok((session, answer))),
            Err(_) => {
                self.forget(session);
                Err(Stopped)
            }
        }
    }

    /// Takes a fragment of SDP that came by PATCH.
    ///
    /// # Errors
    /// [`FragmentError`]; the connection goes on as it was.
    pub async fn patch(
        &self,
        session: SessionId,
        fragment: String,
        condition: Condition,
    ) -> Result<Result<Patched, FragmentError>, Stopped> {
        let shard = self.shard_of(session).ok_or(Stopped)?;
        let (reply, patched) = oneshot::channel();
        self.send(shard, Command::Patch { session, fragment, condition, reply });
        patched.await.map_err(|_| Stopped)
    }

    /// Answers a later offer of a peer.
    ///
    /// # Errors
    /// [`OfferError`]; the connection goes on as it was.
    pub async fn renegotiate(
        &self,
        session: SessionId,
        offer: String,
    ) -> Result<Result<Answer, OfferError>, Stopped> {
        let shard = self.shard_of(session).ok_or(Stopped)?;
        let (reply, answer) = oneshot::channel();
        self.send(shard, Command::Renegotiate { session, offer, reply });
        answer.await.map_err(|_| Stopped)
    }

    /// Whether the session is still there.
    #[must_use]
    pub fn has(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// Says what a line of a watching peer shows.
    pub fn bind(&self, session: SessionId, mid: String, show: Option<Shown>) {
        let Some(shard) = self.shard_of(session) else { return };
        if let Some(Shown { track, .. }) = show {
            self.replicate(track, shard, false);
        }
        self.send(shard, Command::Bind { session, mid, show });
    }

    /// Lets a shard have a track: all of it, or only what may be heard of a microphone.
    fn replicate(&self, track: TrackKey, shard: usize, gated: bool) {
        let Some(mut home) = self.homes.get_mut(&track) else { return };
        let Some(lane) = self.shards.get(shard).map(|s| Lane::Shard(s.lane.clone())) else {
            return;
        };
        if home.shard == shard {
            return;
        }
        let id = self.new_outlet();
        let known = home.replicas.iter_mut().find(|r| r.shard == shard);
        let before = match known {
            Some(replica) if gated || !replica.gated => return,
            Some(replica) => {
                replica.gated = false;
                Some(std::mem::replace(&mut replica.outlet, id))
            }
            None => {
                home.replicas.push(Replica { shard, outlet: id, gated });
                None
            }
        };
        let (at, kind) = (home.shard, home.kind);
        drop(home);
        match before {
            Some(id) => self.send(at, Command::RemoveOutlet { track, id }),
            None => self.send(shard, Command::OpenTrack { track, kind, lane: true }),
        }
        let outlet = if gated { Outlet::gated(id, lane) } else { Outlet::new(id, lane) };
        self.send(at, Command::AddOutlet { track, outlet });
    }

    fn new_outlet(&self) -> OutletId {
        OutletId(self.next_outlet.fetch_add(1, Ordering::Relaxed))
    }

    /// Hands a track's packets, beginning with a keyframe where one is near, to `lane`.
    #[must_use]
    pub fn add_outlet(&self, track: TrackKey, lane: TrunkLane) -> OutletId {
        let id = self.new_outlet();
        if let Some(shard) = self.homes.get(&track).map(|h| h.shard) {
            let outlet = Outlet::new(id, Lane::Trunk(lane));
            self.send(shard, Command::AddOutlet { track, outlet });
        }
        id
    }

    /// The same, but nothing is sent until [`Self::set_outlet`] says in which form; until then
    /// come offers of what there is.
    #[must_use]
    pub fn add_waiting_outlet(&self, track: TrackKey, lane: TrunkLane) -> OutletId {
        let id = self.new_outlet();
        if let Some(shard) = self.homes.get(&track).map(|h| h.shard) {
            let outlet = Outlet::waiting(id, Lane::Trunk(lane));
            self.send(shard, Command::AddOutlet { track, outlet });
        }
        id
    }

    /// Says in which form an outlet sends its track from now on: another encoding begins with
    /// its next keyframe, which is asked for. With `at_once` what is sent until then is broken
    /// off. An outlet that sent nothing begins with the picture so far, where that is of at
    /// most `replay` bytes.
    pub fn set_outlet(
        &self,
        track: TrackKey,
        id: OutletId,
        showing: Showing,
        at_once: bool,
        replay: usize,
    ) {
        if let Some(shard) = self.homes.get(&track).map(|h| h.shard) {
            self.send(shard, Command::SetOutlet { track, id, showing, at_once, replay });
        }
    }

    /// Asks for a keyframe of what an outlet sends.
    pub fn want_outlet_keyframe(&self, track: TrackKey, id: OutletId) {
        if let Some(shard) = self.homes.get(&track).map(|h| h.shard) {
            self.send(shard, Command::WantOutletKeyframe { track, id });
        }
    }

    /// Takes an outlet off again.
    pub fn remove_outlet(&self, track: TrackKey, id: OutletId) {
        if let Some(shard) = self.homes.get(&track).map(|h| h.shard) {
            self.send(shard, Command::RemoveOutlet { track, id });
        }
    }

    /// Lets nothing of a track through anywhere, or again everything.
    pub fn mute(&self, track: TrackKey, muted: bool) {
        let Some(home) = self.homes.get(&track).map(|h| h.shard) else { return };
        // Its own shard last: what it lets through again is let through everywhere.
        let others = (0..self.shards.len()).filter(|s| *s != home);
        for shard in others.chain([home]) {
            self.send(shard, Command::Mute { track, muted });
        }
    }

    /// Asks for a keyframe of a track, now or, when one was asked for just before, shortly.
    pub fn want_keyframe(&self, track: TrackKey) {
        if let Some(shard) = self.homes.get(&track).map(|h| h.shard) {
            self.send(shard, Command::WantKeyframe { track, encoding: None });
        }
    }

    /// The newest picture of a track, if one is kept; if not, one is asked for.
    pub async fn thumbnail(&self, track: TrackKey) -> Option<Thumbnail> {
        let shard = self.homes.get(&track).map(|h| h.shard)?;
        let (reply, picture) = oneshot::channel();
        self.send(shard, Command::Thumbnail { track, reply });
        picture.await.ok().flatten()
    }

    /// Forgets a session that ended by itself.
    pub fn forget(&self, session: SessionId) {
        if let Some((_, shard)) = self.sessions.remove(&session)
            && let Some(n) = self.load.get(shard)
        {
            n.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Ends a session.
    pub fn close(&self, session: SessionId) {
        if let Some(shard) = self.shard_of(session) {
            self.send(shard, Command::Close { session });
        }
        self.forget(session);
    }

    /// Passes a [`MediaEvent::KeyframeWanted`] on. Returns true when the track came to `shard`
    /// by a trunk, which is then to be asked; otherwise the shard it came from was.
    #[must_use]
    pub fn keyframe_is_upstream(&self, track: TrackKey, encoding: u8, shard: usize) -> bool {
        let Some(home) = self.homes.get(&track).map(|h| h.shard) else { return false };
        if home != shard {
            self.send(home, Command::WantKeyframe { track, encoding: Some(encoding) });
        }
        home == shard
    }
}

impl Media {
    /// Ends all sessions and waits until the threads have said goodbye to their peers.
    pub async fn stop(&self) {
        for shard in &self.shards {
            let (done, stopped) = oneshot::channel();
            shard.send(Command::Stop { done });
            // An error says that the shard had stopped already.
            let _stopped = stopped.await;
        }
    }
}
