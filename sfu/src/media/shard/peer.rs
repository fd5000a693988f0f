//! One peer of a shard: its engine, where it is reached, and what it sends or is sent.

use super::watching::Watching;
use crate::media::ingress::Ingress;
use crate::media::messages::{PublishTracks, SessionId};
use crate::peer::{Engine, Line, Route};
use cloudschool_srtp::Sealer;
use std::time::{Duration, Instant};

/// How long a peer may take from its answer to its last DTLS message: a browser behind a bad
/// line retries for a few seconds, one that was closed meanwhile never comes.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// A peer that was not heard for so long is gone. Browsers check every 2.5 s and report every
/// second; a village line that hangs longer has to begin anew. It is also how consent to send
/// expires (RFC 7675 §5.1 asks for 30 s at most).
pub const SILENCE: Duration = Duration::from_secs(12);

/// One peer connection.
pub struct Peer {
    pub session: SessionId,
    pub engine: Engine,
    /// The user name fragments its ICE checks are recognised by, as the shard knows them.
    pub fragments: Vec<String>,
    /// Where its ICE checks nominate us to send.
    pub address: Option<Route>,
    /// All routes its checks came by.
    pub routes: Vec<Route>,
    /// When anything came from it, and when from `address`.
    pub heard: Instant,
    pub address_heard: Instant,
    /// When it must be connected, until it is.
    pub connect_by: Option<Instant>,
    pub side: Side,
}

/// What a peer is here for.
pub enum Side {
    Publishing(Box<Publishing>),
    Watching(Box<Watching>),
}

/// A peer that sends.
pub struct Publishing {
    pub tracks: PublishTracks,
    /// Where the shard keeps its audio track, and its video track.
    pub places: [usize; 2],
    pub lines: Vec<Line>,
    /// Once it is connected.
    pub media: Option<PublisherMedia>,
    /// Whether the node was told of its audio, and of its video.
    pub started: [bool; 2],
}

/// What a connected publisher's packets are opened and its feedback is sealed with.
pub struct PublisherMedia {
    pub ingress: Ingress,
    pub sealer: Sealer,
}

impl Peer {
    /// A peer whose offer was just answered.
    #[must_use]
    pub fn new(session: SessionId, engine: Engine, side: Side, now: Instant) -> Self {
        Self {
            session,
            engine,
            fragments: Vec::new(),
            address: None,
            routes: Vec::new(),
            heard: now,
            address_heard: now,
            connect_by: Some(now + CONNECT_WITHIN),
            side,
        }
    }

    /// Whether it should be given up.
    #[must_use]
    pub fn is_gone(&self, now: Instant) -> bool {
        match self.connect_by {
            Some(by) => by <= now,
            None => now - self.heard > SILENCE,
        }
    }

    /// When it wants the time next.
    pub fn deadline(&mut self, now: Instant) -> Instant {
        let end = self.connect_by.unwrap_or(self.heard + SILENCE);
        let media = match &mut self.side {
            Side::Publishing(p) => p.media.as_ref().map(|m| m.ingress.deadline()),
            Side::Watching(w) => w.deadline(now),
        };
        // Once it is connected, only what the peer sends can wake its engine.
        let engine = self.connect_by.and_then(|_| self.engine.poll_timeout());
        let soonest = [engine, media].into_iter().flatten().min();
        // A timer that is overdue after it was handled would spin the loop.
        soonest.map_or(end, |s| s.min(end)).max(now + Duration::from_millis(1))
    }

    /// The viewer it is, if it is one.
    pub fn watching(&mut self) -> Option<&mut Watching> {
        match &mut self.side {
            Side::Watching(watching) => Some(watching),
            Side::Publishing(_) => None,
        }
    }
}
