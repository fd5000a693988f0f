//! One running node: ties lessons (who is there, what happens), media (what is sent) and the
//! trunk (what other nodes have and want) together. HTTP speaks to the node through [`Node`]
//! alone.

mod boards;
mod events;
mod layers;
mod metrics;
mod patrol;
mod pointing;
mod publishing;
mod room;
mod routing;
mod rungs;
mod speaking;
mod spooling;
mod taking;
mod voices;
mod watching;

pub use layers::Watched;
pub use metrics::Snapshot;
pub use patrol::{Glance, Health};
pub use pointing::Pointed;
pub use room::{Room, Speakers, Want};
pub use rungs::SchoolRungs;
pub(crate) use taking::Taking;

use crate::assets::{self, Assets};
use crate::board::Boards;
use crate::config::{Config, InvalidConfig, LinksSection};
use crate::joining::{Codes, Desk};
use crate::lesson::{Lessons, LessonsError, Settings, may_enter};
use crate::media::crew::Crew;
use crate::media::{Media, MediaConfig, MediaEvent, MediaStartError, SessionId, Stopped, TrackKey};
use crate::peer::{Condition, FragmentError, OfferError, Patched};
use crate::school::Welcome;
use crate::school::papers::Papers;
use crate::timetable::{self, Timetable, TimetableError};
use crate::trunk::backfill::{self, Backfill};
use crate::trunk::limits::RefusedCounts;
use crate::trunk::spool::Spool;
use crate::trunk::tree::Tree;
use crate::trunk::{LinkHandle, SOFTWARE, appliance, down, up};
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::LeaveReason;
use cloudschool_protocol::id::{LessonId, MemberId, NodeId, SchoolId};
use cloudschool_protocol::lesson::{LessonInfo, Phase};
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::member::Member;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::socket::{Links, Slot};
use cloudschool_protocol::token::Claims;
use cloudschool_protocol::trunk::LessonLine;
use cloudschool_relay::ca::CaError;
use cloudschool_relay::enrol::Office;
use cloudschool_relay::{BindError, Dialer, Identity, IdentityError, Listener, Services};
use cloudschool_service::auth::{Auth, AuthError};
use cloudschool_service::clock::now_ms;
use cloudschool_service::issuer::IssuerError;
use dashmap::DashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};

/// The answer to an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Names the connection, to hang it up by.
    pub session: String,
    pub sdp: String,
    /// Names the ICE session, until a restart.
    pub tag: String,
}

/// Why a connection was not made or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// The body is no session description.
    #[error("the offer is not SDP: {0}")]
    NotSdp(String),
    /// It is one, and nothing can be made of it.
    #[error("{0}")]
    Unsupported(String),
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("there is no such connection")]
    NoSuchSession,
    /// The body is no fragment of a session description.
    #[error("the fragment is not one of trickle ICE")]
    NotFragment,
    /// The fragment is about an ICE session that is over.
    #[error("the ICE session is over")]
    Outdated,
    /// As many connections as this node is configured for.
    #[error("this node is full")]
    Busy,
    /// The node is going down.
    #[error("this node is going down")]
    Stopped,
}

impl From<OfferError> for MediaError {
    fn from(error: OfferError) -> Self {
        match error {
            OfferError::NotSdp(why) => Self::NotSdp(why),
            OfferError::Unsupported(why) => Self::Unsupported(why),
        }
    }
}

impl From<FragmentError> for MediaError {
    fn from(error: FragmentError) -> Self {
        match error {
            FragmentError::Malformed => Self::NotFragment,
            FragmentError::Outdated => Self::Outdated,
        }
    }
}

impl From<Stopped> for MediaError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// Why a node can't begin. The text says what an operator can do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Lessons(#[from] LessonsError),
    #[error("[auth]: {0}")]
    Auth(#[from] AuthError),
    #[error("[media] bind: {0}")]
    Media(#[from] MediaStartError),
    #[error("[trunk] identity: {0}")]
    Identity(#[from] IdentityError),
    #[error("[trunk] listen: {0}")]
    Listen(#[from] BindError),
    #[error("[trunk] tcp = true, but TCP {address} can't be listened at: {source}")]
    Tunnel { address: SocketAddr, source: std::io::Error },
    #[error("[enrolment] ca: {0}")]
    Ca(#[from] CaError),
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    #[error("[spool]: {} can't be used: {source}", dir.display())]
    Spool { dir: PathBuf, source: std::io::Error },
    #[error("[node] data: the files of lessons in {} can't be read: {source}", dir.display())]
    Assets { dir: PathBuf, source: std::io::Error },
    #[error("the key for those who come in by a code: {0}")]
    Joining(#[from] IssuerError),
    #[error(transparent)]
    Timetable(#[from] TimetableError),
    #[error("[[lessons]] {lesson} can't be opened: {refusal}")]
    Seed { lesson: LessonId, refusal: Refusal },
}

fn session_id(session: &str) -> Result<SessionId, MediaError> {
    u64::from_str_radix(session, 16).map(SessionId).map_err(|_| MediaError::NoSuchSession)
}

/// Most peer connections of one node: a guard against a flood, not a measure of its strength.
const MAX_SESSIONS: usize = 8192;

/// A running node.
pub struct Node {
    name: NodeId,
    school: SchoolId,
    lessons: Arc<Lessons>,
    auth: Auth,
    media: Media,
    /// Hands tracks to the trunks.
    crew: Crew,
    links: LinksSection,
    rooms: DashMap<LessonId, Arc<Room>>,
    /// Which room a track belongs to.
    tracks: DashMap<TrackKey, (LessonId, TrackId)>,
    /// Which room a peer connection belongs to.
    sessions: DashMap<SessionId, LessonId>,
    /// Trunks from below, by the node at their other end.
    trunks: DashMap<NodeId, LinkHandle>,
    /// Where this node is in the tree of nodes.
    tree: watch::Sender<Tree>,
    /// What of trunk peers' was refused.
    refused: RefusedCounts,
    /// The trunk upwards, at an edge.
    upstream: Option<Mutex<Option<LinkHandle>>>,
    campus: watch::Sender<bool>,
    counters: Mutex<metrics::Totals>,
    /// What crosses trunks, and what of its line the site allows for that, bit/s.
    rungs: rungs::Rungs,
    trunk_cap: Option<u64>,
    /// Trunks from below.
    listener: Option<Arc<Listener>>,
    papers: Arc<Papers>,
    /// Where people come in by a code.
    desk: Desk,
    codes: Codes,
    /// Lessons whose time has not come, at the campus's node.
    timetable: Option<Arc<Timetable>>,
    /// Pictures of lessons for those who look at many.
    pictures: patrol::Pictures,
    /// What is kept of lessons while the campus is away.
    backfill: Backfill,
    boards: Boards,
    /// Files of lessons.
    assets: Assets,
}

/// What came of a change of the timetable on the disk's thread.
fn stored<T>(
    done: Result<Result<T, TimetableError>, tokio::task::JoinError>,
) -> Result<T, Refusal> {
    match done {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::error!(%error, "the timetable can't be changed");
            Err(Refusal::Storage)
        }
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// The counter at which machines become nodes, at a campus that has one.
fn office(config: &Config) -> Result<Option<Arc<Office>>, StartError> {
    let Some(ca) = &config.enrolment.ca else { return Ok(None) };
    let welcome = serde_json::json!(Welcome::of(config)).to_string();
    Ok(Some(Arc::new(Office::open(ca, welcome)?)))
}

/// The TCP port beside the trunk's, unless it is not wanted. One that is in use by another
/// program is an error only where it was asked for.
fn tunnel(config: &Config, address: SocketAddr) -> Result<Option<TcpListener>, StartError> {
    match (TcpListener::bind(address), config.trunk.tcp) {
        (_, Some(false)) => Ok(None),
        (Ok(listener), _) => Ok(Some(listener)),
        (Err(source), Some(true)) => Err(StartError::Tunnel { address, source }),
        (Err(error), None) => {
            tracing::warn!(%address, %error, "no trunks over TCP, for schools without UDP");
            Ok(None)
        }
    }
}

impl Node {
    /// Takes up the lessons as they were left, binds the media and trunk ports and begins.
    ///
    /// # Errors
    /// [`StartError`], naming the configuration's section.
    pub async fn start(config: &Config) -> Result<Arc<Self>, StartError> {
        let mut auth = Auth::from_section(&config.auth, config.http.bind)?;
        let data = &config.node.data;
        let keys = data.join("joining");
        let desk = Desk::open(&keys, &config.node.name, &config.node.school, &mut auth)?;
        let codes = Codes { given: config.joining.codes };
        let trunk = &config.trunk;
        let identity = Identity::load_as(&trunk.identity, config.kind(), &config.node.name)?;
        let settings = Settings {
            dir: config.node.data.join("lessons"),
            node: config.node.name.clone(),
            limits: config.limits.lesson(),
            school_names: config.school_names(),
            rejoin_within: config.limits.rejoin_within(),
        };
        let (lessons, forwards) = match config.is_edge() {
            true => Lessons::edge(settings).map(|(lessons, up)| (lessons, Some(up)))?,
            false => (Lessons::origin(settings)?, None),
        };
        for seed in &config.lessons {
            let info = codes.given(seed.info(&config.node.school), &lessons);
            match lessons.open(info).await {
                // One that is being given, or was, stays as it is.
                Ok(_) | Err(Refusal::AlreadyLive | Refusal::Ended) => {}
                Err(refusal) => {
                    return Err(StartError::Seed { lesson: seed.id.clone(), refusal });
                }
            }
        }
        let timetable = match config.is_edge() {
            true => None,
            false => Some(Arc::new(Timetable::open(data, config.timetable.opens_before())?)),
        };
        if let Some(timetable) = &timetable {
            tokio::spawn(timetable::run(timetable.clone(), lessons.clone(), codes));
        }
        let (events, received) = mpsc::unbounded_channel::<MediaEvent>();
        let media = MediaConfig {
            bind: config.media.bind,
            announce: config.media.announce.clone(),
            tcp: config.media.tcp,
            shards: config.media.shards.get(),
            pin: config.media.pin,
        };
        let spool = match config.is_edge() {
            true => {
                let dir = config.node.data.join("spool");
                let opened = Spool::open(&dir, config.node.name.clone(), config.spool.max_bytes());
                Some(opened.map_err(|source| StartError::Spool { dir, source })?)
            }
            false => None,
        };
        let (backfill, fetches) = Backfill::new(spool);
        let dir = config.node.data.join("lessons");
        let cache = config.is_edge().then(|| config.limits.asset_cache());
        let assets = Assets::open(dir.clone(), config.limits.assets(), cache)
            .map_err(|source| StartError::Assets { dir, source })?;
        let office = office(config)?;
        let papers = Papers::new(config, identity.clone(), office.clone())?;
        let dscp = config.dscp()?;
        let listen = |address| {
            let plain = appliance::expected(&config.appliances);
            let services = Services { office, tunnel: tunnel(config, address)?, dscp, plain };
            let listener = Listener::bind_with(address, &identity, SOFTWARE, services);
            Ok::<_, StartError>(Arc::new(listener?))
        };
        let listener = config.trunk.listen.map(listen).transpose()?;
        let node = Arc::new(Self {
            name: config.node.name.clone(),
            school: config.node.school.clone(),
            lessons,
            auth,
            media: Media::start(&media, &events)?,
            crew: Crew::start(),
            links: config.links.clone(),
            rooms: DashMap::new(),
            tracks: DashMap::new(),
            sessions: DashMap::new(),
            trunks: DashMap::new(),
            tree: watch::Sender::new(match config.is_edge() {
                true => Tree::of_edge(config.node.name.clone()),
                false => Tree::of_origin(config.node.name.clone()),
            }),
            refused: RefusedCounts::default(),
            campus: watch::Sender::new(!config.is_edge()),
            upstream: config.is_edge().then(Mutex::default),
            counters: Mutex::default(),
            rungs: rungs::Rungs::default(),
            trunk_cap: config.trunk.cap.map(|cap| cap.0),
            listener: listener.clone(),
            papers: Arc::new(papers),
            desk,
            codes,
            timetable,
            pictures: patrol::Pictures::default(),
            backfill,
            boards: Boards::new(config.node.data.join("lessons"), config.limits.board()),
            assets,
        });
        tokio::spawn(assets::run(Arc::downgrade(&node)));
        tokio::spawn(backfill::run(Arc::downgrade(&node), fetches));
        tokio::spawn(events::run(Arc::downgrade(&node), received));
        if let Some(listener) = listener {
            let appliances = config.appliances.clone();
            tokio::spawn(appliance::serve(node.clone(), listener.clone(), appliances));
            tokio::spawn(down::serve(node.clone(), listener));
        }
        if let (Some(upstream), Some(forwards)) = (&config.trunk.upstream, forwards) {
            let dialer = Dialer::new(&**upstream, identity, SOFTWARE)
                .return_after(Duration::from_secs(config.trunk.return_after_s))
                .marked(dscp);
            tokio::spawn(up::run(node.clone(), dialer, forwards));
        }
        Ok(node)
    }

    /// Ends every peer connection and trunk, so that browsers and nodes know at once.
    pub async fn stop(&self) {
        let sessions: Vec<SessionId> = self.sessions.iter().map(|s| *s.key()).collect();
        sessions.into_iter().for_each(|s| self.media.close(s));
        let links = self.trunks.iter().map(|l| l.clone()).chain(self.uplink());
        links.for_each(|l| l.close("this node is going down"));
        self.media.stop().await;
    }

    #[must_use]
    pub fn name(&self) -> &NodeId {
        &self.name
    }

    /// The school it stands in.
    #[must_use]
    pub fn school(&self) -> &SchoolId {
        &self.school
    }

    #[must_use]
    pub fn lessons(&self) -> &Arc<Lessons> {
        &self.lessons
    }

    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Where people come in by a code.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Lessons of the days to come, at the campus's node.
    #[must_use]
    pub fn timetable(&self) -> Option<&Arc<Timetable>> {
        self.timetable.as_ref()
    }

    /// Opens a lesson, or puts it into the timetable when it is early. Says how it is now, and
    /// whether it is new.
    ///
    /// # Errors
    /// As [`Lessons::open`]; [`Refusal::Storage`] when the timetable can't be stored.
    pub async fn plan(&self, info: LessonInfo) -> Result<(LessonLine, bool), Refusal> {
        let table = self.timetable.clone().ok_or(Refusal::NotAllowed)?;
        let info = self.lessons.named(info);
        let phase = self.lessons.get(&info.id).map(|lesson| lesson.state().phase);
        let over = phase.is_none_or(|phase| phase >= Phase::Ended);
        if over && table.is_early(&info, now_ms()) {
            let new = phase.is_none() && table.get(&info.id).is_none();
            let line = LessonLine { info: info.clone(), phase: Phase::Scheduled };
            stored(tokio::task::spawn_blocking(move || table.put(vec![info])).await)?;
            return Ok((line, new));
        }
        let id = info.id.clone();
        let (lesson, new) = self.lessons.open(self.codes.given(info, &self.lessons)).await?;
        let planned = stored(tokio::task::spawn_blocking(move || table.remove(&[id])).await)?;
        let state = lesson.state();
        let line = LessonLine { info: state.info.clone(), phase: state.phase };
        Ok((line, new && planned == 0))
    }

    /// Its certificates.
    #[must_use]
    pub fn papers(&self) -> &Arc<Papers> {
        &self.papers
    }

    #[must_use]
    pub(crate) fn media(&self) -> &Media {
        &self.media
    }

    #[must_use]
    pub(crate) fn backfill(&self) -> &Backfill {
        &self.backfill
    }

    /// Files of its lessons.
    #[must_use]
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// The addresses media is received on.
    #[must_use]
    pub fn media_addresses(&self) -> Vec<std::net::SocketAddr> {
        self.media.addresses()
    }

    /// Whether the origin of lessons can be reached: always, at the origin itself.
    #[must_use]
    pub fn campus_reachable(&self) -> watch::Receiver<bool> {
        self.campus.subscribe()
    }

    /// Where the page of a lesson finds its recording and its report.
    #[must_use]
    pub fn links(&self, lesson: &LessonId) -> Links {
        let fill =
            |link: &Option<String>| link.as_ref().map(|l| l.replace("{lesson}", lesson.as_str()));
        Links { library: fill(&self.links.library), report: fill(&self.links.report) }
    }

    /// The media side of a lesson, which must be known.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLesson`].
    pub fn room(self: &Arc<Self>, lesson: &LessonId) -> Result<Arc<Room>, Refusal> {
        let handle = self.lessons.get(lesson).ok_or(Refusal::NoSuchLesson)?;
        let known = self.rooms.get(lesson).map(|r| r.clone());
        match known {
            Some(room) if Arc::ptr_eq(room.handle(), &handle) => return Ok(room),
            // The lesson was taken from this node and given back: the room is of its past.
            Some(room) => {
                self.rooms.remove_if(lesson, |_, r| Arc::ptr_eq(r, &room));
                room.wind_up(self);
            }
            None => {}
        }
        let mut begun = false;
        let room = self.rooms.entry(lesson.clone()).or_insert_with(|| {
            begun = true;
            Arc::new(Room::new(handle))
        });
        let room = room.clone();
        if begun {
            tokio::spawn(room::run(Arc::downgrade(self), room.clone()));
        }
        Ok(room)
    }

    /// Whether the room is the one in use for its lesson.
    fn holds(&self, room: &Arc<Room>) -> bool {
        self.rooms.get(room.handle().id()).is_some_and(|r| Arc::ptr_eq(&r, room))
    }

    /// Lets a member in whose token was checked.
    ///
    /// # Errors
    /// The [`Refusal`] to show.
    pub async fn join(
        self: &Arc<Self>,
        lesson: &LessonId,
        claims: &Claims,
    ) -> Result<Member, Refusal> {
        let room = self.room(lesson)?;
        let member = Member {
            id: claims.sub.clone(),
            name: claims.name.trim().to_owned(),
            role: claims.role,
            school: claims.school.clone(),
            node: self.name.clone(),
        };
        room.handle().submit(Command::Join { member: member.clone() }, &self.name).await?;
        room.came_in(&member.id);
        Ok(member)
    }

    /// Takes a member out: its connections end, and the lesson hears of it.
    pub async fn leave(self: &Arc<Self>, lesson: &LessonId, member: &MemberId, why: LeaveReason) {
        let Ok(room) = self.room(lesson) else { return };
        room.part(self, member);
        let leave = Command::Leave { member: member.clone(), reason: why };
        if let Err(refusal) = room.handle().submit(leave, &self.name).await {
            tracing::info!(%lesson, %member, %refusal, "a member's leaving was not recorded");
        }
    }

    /// Lets a member publish `source`, a picture, with the sound that belongs to it. Someone
    /// who is not in the lesson yet, as a program without a lesson socket, joins by it.
    ///
    /// # Errors
    /// [`MediaError`].
    pub async fn publish(
        self: &Arc<Self>,
        lesson: &LessonId,
        claims: &Claims,
        source: Source,
        offer: String,
    ) -> Result<Answer, MediaError> {
        let room = self.enter(lesson)?;
        if !claims.role.may_publish() {
            return Err(Refusal::NotAllowed.into());
        }
        // In a task of its own: a client that hangs up meanwhile must not leave it half done.
        let (node, lesson, claims) = (self.clone(), lesson.clone(), claims.clone());
        let published = tokio::spawn(async move {
            let present = room.handle().state().members.contains_key(&claims.sub);
            if !present {
                node.join(&lesson, &claims).await?;
            }
            let answer = room.publish(&node, &claims.sub, source, offer, !present).await;
            if answer.is_err() && !present {
                node.leave(&lesson, &claims.sub, LeaveReason::Left).await;
            }
            answer
        });
        published.await.map_err(|_| MediaError::Stopped)?
    }

    /// Answers the offer of a member's watch connection, its first or a later one.
    ///
    /// # Errors
    /// [`MediaError`].
    pub async fn watch(
        self: &Arc<Self>,
        lesson: &LessonId,
        member: &MemberId,
        offer: String,
    ) -> Result<Answer, MediaError> {
        self.enter(lesson)?.watch(self, member, offer).await
    }

    /// Says what lines of a member's watch connection show.
    ///
    /// # Errors
    /// [`MediaError::NoSuchSession`] before its first offer, [`Refusal::NoSuchTrack`].
    pub async fn bind(
        self: &Arc<Self>,
        lesson: &LessonId,
        member: &MemberId,
        slots: Vec<Slot>,
    ) -> Result<(), MediaError> {
        self.room(lesson)?.bind(self, member, slots)
    }

    /// Lets a player without a lesson socket watch the teacher.
    ///
    /// # Errors
    /// [`MediaError`].
    pub async fn whep(
        self: &Arc<Self>,
        lesson: &LessonId,
        claims: &Claims,
        offer: String,
    ) -> Result<Answer, MediaError> {
        let room = self.enter(lesson)?;
        let state = room.handle().state();
        may_enter(&state, &claims.sub, &claims.name, claims.role, &claims.school)?;
        drop(state);
        room.play(self, &claims.sub, offer).await
    }

    /// Takes a fragment of SDP about a connection made by [`Self::publish`] or [`Self::whep`]:
    /// candidates, or an ICE restart.
    ///
    /// # Errors
    /// [`MediaError::NoSuchSession`], also for another's; [`MediaError::NotFragment`] and
    /// [`MediaError::Outdated`], after which it goes on as it was.
    pub async fn patch(
        self: &Arc<Self>,
        lesson: &LessonId,
        session: &str,
        claims: &Claims,
        fragment: String,
        condition: Condition,
    ) -> Result<Patched, MediaError> {
        let session = session_id(session)?;
        if !self.room(lesson)?.is_of(session, &claims.sub) || !self.media.has(session) {
            return Err(MediaError::NoSuchSession);
        }
        Ok(self.media.patch(session, fragment, condition).await??)
    }

    /// Ends a connection made by [`Self::publish`] or [`Self::whep`], by whoever made it.
    ///
    /// # Errors
    /// [`MediaError::NoSuchSession`], also for another's.
    pub async fn hang_up(
        self: &Arc<Self>,
        lesson: &LessonId,
        session: &str,
        claims: &Claims,
    ) -> Result<(), MediaError> {
        self.room(lesson)?.hang_up(self, session_id(session)?, &claims.sub).await
    }

    /// Which encodings of what is published here anybody watches.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLesson`].
    pub fn watched(
        self: &Arc<Self>,
        lesson: &LessonId,
    ) -> Result<watch::Receiver<Watched>, Refusal> {
        Ok(self.room(lesson)?.watched())
    }

    /// Who is loud in a lesson, the loudest first.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLesson`].
    pub fn speakers(
        self: &Arc<Self>,
        lesson: &LessonId,
    ) -> Result<broadcast::Receiver<Speakers>, Refusal> {
        Ok(self.room(lesson)?.speakers())
    }

    /// Where the teacher points.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLesson`].
    pub fn pointer(
        self: &Arc<Self>,
        lesson: &LessonId,
    ) -> Result<broadcast::Receiver<Pointed>, Refusal> {
        Ok(self.room(lesson)?.pointer())
    }

    /// A lesson whose room is open, and a place left in this node.
    fn enter(self: &Arc<Self>, lesson: &LessonId) -> Result<Arc<Room>, MediaError> {
        let room = self.room(lesson)?;
        match room.handle().state().phase {
            Phase::Scheduled => return Err(Refusal::NotOpen.into()),
            Phase::Ended | Phase::Archived => return Err(Refusal::Ended.into()),
            Phase::Open | Phase::Live => {}
        }
        if self.sessions.len() >= MAX_SESSIONS {
            return Err(MediaError::Busy);
        }
        Ok(room)
    }
}
