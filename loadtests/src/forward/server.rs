//! The servers that are measured, and how a light peer comes to one.

use super::door::Door;
use super::engine::{Engine, Identity};
use super::janus::Janus;
use super::node::Node;
use super::publisher::{Names, Plan, Publisher};
use super::sdp::{self, Kind, Offered, Session};
use super::socket;
use super::transport::Transport;
use super::viewer::Viewer;
use super::whip::Whip;
use super::work::Work;
use anyhow::{Context, Result};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Something that forwards.
pub enum Server {
    /// Our own.
    Node(Node),
    Janus(Janus),
    /// A node of ours that someone else has started, with a lesson.
    Door(Door),
    /// Any that speaks WHIP and WHEP, running somewhere.
    Whip {
        whip: Whip,
        token: Option<String>,
        pid: Option<u32>,
    },
}

impl Server {
    /// The process whose CPU time is measured.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Node(node) => node.pid(),
            Self::Janus(janus) => janus.pid(),
            Self::Door(_) => None,
            Self::Whip { pid, .. } => *pid,
        }
    }

    /// Whether a viewer offers, as in WHEP, or the server does.
    fn viewers_offer(&self) -> bool {
        !matches!(self, Self::Janus(_))
    }

    async fn publish(&self, who: usize, offer: String) -> Result<String> {
        match self {
            Self::Node(node) => node.publish(who, offer).await,
            Self::Janus(janus) => janus.publish(who, &offer).await,
            Self::Door(door) => door.publish(who, offer).await,
            Self::Whip { whip, token, .. } => whip.publish(offer, token.as_deref()).await,
        }
    }

    /// Ends it, or what we had with it.
    pub async fn stop(self) {
        match self {
            Self::Node(node) => node.stop().await,
            Self::Janus(janus) => janus.stop().await,
            Self::Door(door) => door.hang_up().await,
            Self::Whip { whip, .. } => whip.hang_up().await,
        }
    }
}

/// What all peers of a run have in common.
pub struct Peers {
    pub identity: Identity,
    /// Address of their sockets.
    pub ip: IpAddr,
    pub gro: bool,
    /// Between two of a viewer's feedback messages.
    pub feedback_every: Duration,
    /// Where viewers reach the server instead of where it says: a link in between.
    pub through: Option<SocketAddr>,
}

/// What a publisher sends.
#[derive(Debug, Clone, Copy)]
pub struct What {
    /// Tells its stamps from others'.
    pub source: u8,
    pub picture: bool,
    pub sound: bool,
}

/// A viewer before it has said anything.
pub struct Prepared {
    socket: UdpSocket,
    /// With its part of an offer, where it is the one to offer.
    offering: Option<(Engine, sdp::Transport)>,
}

impl Peers {
    /// Makes what a viewer needs before it joins.
    ///
    /// # Errors
    /// When there is no socket for it, or the engine fails.
    pub fn prepare(&self, server: &Server) -> Result<Prepared> {
        let socket = socket::open(self.ip, self.gro).context("a socket for a viewer")?;
        let address = socket.local_addr()?;
        let offering = match server.viewers_offer() {
            true => Some(Engine::offering(&self.identity, address, Instant::now())?),
            false => None,
        };
        Ok(Prepared { socket, offering })
    }

    /// Lets a viewer join: it is ready to connect.
    ///
    /// # Errors
    /// When the server refuses; in its own words.
    pub async fn join(
        &self,
        server: &Server,
        who: usize,
        work: &Work,
        prepared: Prepared,
    ) -> Result<Viewer> {
        let Prepared { socket, offering } = prepared;
        let (engine, session) = match (server, offering) {
            (Server::Janus(janus), _) => {
                let (handle, offer) = janus.subscribe().await?;
                let mut session = Session::parse(&offer)?;
                self.reroute(&mut session);
                let address = socket.local_addr()?;
                let remote = &session.transport;
                let (engine, own) =
                    Engine::answering(&self.identity, address, remote, Instant::now())?;
                janus.begin(&handle, &sdp::accepting(&own, &session)).await?;
                (engine, session)
            }
            (_, Some((mut engine, own))) => {
                let line = |kind| Offered::Receive(kind, work.codec);
                let mut lines = vec![line(Kind::Video); work.pictures];
                lines.extend(vec![line(Kind::Audio); work.sound_lines]);
                let offer = sdp::offer(&own, &lines);
                let answer = match server {
                    Server::Node(node) => node.watch(who, offer).await?,
                    Server::Door(door) => door.watch(who, offer).await?,
                    Server::Whip { whip, token, .. } => whip.watch(offer, token.as_deref()).await?,
                    Server::Janus(_) => unreachable!("it offers itself"),
                };
                let mut session = Session::parse(&answer)?;
                self.reroute(&mut session);
                engine.accept(&session.transport, Instant::now())?;
                (engine, session)
            }
            (_, None) => unreachable!("prepared for a server that waits for an offer"),
        };
        Ok(Viewer::new(Transport::new(socket, engine), &session, self.feedback_every))
    }

    /// Leaves only candidates that can be reached.
    fn reroute(&self, session: &mut Session) {
        let candidates = &mut session.transport.candidates;
        candidates.retain(|c| c.is_ipv4() == self.ip.is_ipv4());
        if let Some(through) = self.through {
            *candidates = vec![through];
        }
    }

    /// Publishes: the teacher's picture and sound (0), or a microphone of the class. Also
    /// says where the server's media is.
    ///
    /// # Errors
    /// When the server refuses; in its own words.
    pub async fn publish(
        &self,
        server: &Server,
        who: usize,
        work: &Work,
    ) -> Result<(Publisher, Option<SocketAddr>)> {
        let source = u8::try_from(who).context("more publishers than can be told apart")?;
        let what = What { source, picture: who == 0, sound: true };
        self.publish_as(server, who, what, work).await
    }

    /// The same, and what of it is published.
    ///
    /// # Errors
    /// When the server refuses; in its own words.
    pub async fn publish_as(
        &self,
        server: &Server,
        who: usize,
        what: What,
        work: &Work,
    ) -> Result<(Publisher, Option<SocketAddr>)> {
        let socket = socket::open(self.ip, false).context("a socket for a publisher")?;
        let address = socket.local_addr()?;
        let (mut engine, own) = Engine::offering(&self.identity, address, Instant::now())?;
        let [picture, rtx, sound] = std::array::from_fn(|_| rand::random::<u32>() | 1);
        let rids = work.rids();
        let (names, offered) = match rids.is_empty() {
            true => (Names::Ssrc(picture, rtx), Offered::SendPicture(work.codec, picture, rtx)),
            // A browser names the encodings in the order of its `sendEncodings`.
            false => (Names::Rids(rids.clone()), Offered::SendLayers(work.codec, rids)),
        };
        let video = what.picture.then(|| (work.video(), names));
        let mut lines = Vec::new();
        lines.extend(what.picture.then_some(offered));
        lines.extend(what.sound.then_some(Offered::SendSound(sound)));
        let answer = server.publish(who, sdp::offer(&own, &lines)).await?;
        let mut session = Session::parse(&answer)?;
        session.transport.candidates.retain(|c| c.is_ipv4() == self.ip.is_ipv4());
        engine.accept(&session.transport, Instant::now())?;
        let sound = what.sound.then_some(sound);
        let plan = Plan { source: what.source, video, sound, seed: work.seed };
        let media = session.transport.candidates.first().copied();
        Ok((Publisher::new(Transport::new(socket, engine), &session, plan), media))
    }
}
