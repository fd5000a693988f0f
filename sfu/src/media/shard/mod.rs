//! A shard: the peers and tracks that one thread owns. This is the machine itself, without a
//! socket, thread or clock; [`thread`] runs it.

mod commands;
mod forward;
#[cfg(test)]
mod tests;
mod thread;

pub use thread::ShardHandle;

use super::batch::TrackKey;
use super::egress::Egress;
use super::messages::{Counters, MediaEvent, PublishTracks, SessionId};
use super::socket::Outbox;
use super::srtp::Sealer;
use super::track::Track;
use crate::peer::{Engine, EngineConfig, PeerEvent};
use cloudschool_protocol::media::{Codec, Kind};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// A timer that fires later than this counts as a late turn.
const LATE: Duration = Duration::from_millis(20);

/// How long a peer may take from its answer to its last DTLS message: a browser behind a bad
/// line retries for a few seconds, one that was closed meanwhile never comes.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// A peer that was not heard for so long is gone. Browsers check every 2.5 s and report every
/// second; a village line that hangs longer has to begin anew.
const SILENCE: Duration = Duration::from_secs(12);

/// A peer that checks from another address, and was not heard at its own for so long, has moved.
const MOVED: Duration = Duration::from_secs(3);

/// Addresses one peer may send from: interfaces of a laptop, not a way to fill memory.
const MAX_ROUTES: usize = 16;

/// A peer that sends one source sends no second one of that kind: the other is taken when the
/// first has been silent for this long.
const SOURCE_CHANGE: Duration = Duration::from_secs(2);

/// Bytes waiting that are sent before going on, to bound memory.
const FLUSH_AT: usize = 4 << 20;

/// Sender reports per line (RFC 3550 allows as little as one in 5 s; lip sync wants the first soon).
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Levels go out at most this often.
const LEVEL_INTERVAL: Duration = Duration::from_millis(200);

const COUNTER_INTERVAL: Duration = Duration::from_secs(1);

/// A line towards a viewer.
struct Slot {
    mid: String,
    kind: Kind,
    ssrc: u32,
    codecs: Vec<(Codec, u8)>,
    egress: Egress,
    track: Option<usize>,
}

struct Peer {
    session: SessionId,
    engine: Engine,
    ufrag: Option<String>,
    /// Where its ICE checks nominate us to send.
    address: Option<SocketAddr>,
    routes: Vec<SocketAddr>,
    sealer: Option<Sealer>,
    publishes: Option<PublishTracks>,
    started: [bool; 2],
    /// The SSRC taken of each kind, and when it was last heard.
    sources: [Option<(u32, Instant)>; 2],
    /// When anything came from it, and when from `address`.
    heard: Instant,
    address_heard: Instant,
    slots: Vec<Slot>,
    /// When it must be connected, until it is.
    connect_by: Option<Instant>,
    timeout: Instant,
}

/// A shard's peers and tracks, without its socket: datagrams, packets, commands and the time
/// go in; datagrams gather in the outbox, and events go to the node.
pub struct Shard {
    index: usize,
    config: EngineConfig,
    outbox: Outbox,
    events: mpsc::UnboundedSender<MediaEvent>,
    peers: Vec<Option<Peer>>,
    sessions: HashMap<SessionId, usize>,
    routes: HashMap<SocketAddr, usize>,
    ufrags: HashMap<String, usize>,
    tracks: Vec<Option<Track>>,
    keys: HashMap<TrackKey, usize>,
    /// Tracks with packets that have not gone out yet.
    dirty: Vec<usize>,
    scratch: Vec<PeerEvent>,
    counters: Counters,
    next_report: Instant,
    next_levels: Instant,
    next_counters: Instant,
    had_levels: bool,
    /// Whoever waits for the end of this shard, once it was told to end.
    stopping: Option<oneshot::Sender<()>>,
}

impl Shard {
    /// A shard with nobody in it. `max_segments` is what its socket sends at once.
    #[must_use]
    pub fn new(
        index: usize,
        config: EngineConfig,
        max_segments: usize,
        events: mpsc::UnboundedSender<MediaEvent>,
        now: Instant,
    ) -> Self {
        Self {
            index,
            config,
            outbox: Outbox::new(max_segments),
            events,
            peers: Vec::new(),
            sessions: HashMap::new(),
            routes: HashMap::new(),
            ufrags: HashMap::new(),
            tracks: Vec::new(),
            keys: HashMap::new(),
            dirty: Vec::new(),
            scratch: Vec::new(),
            counters: Counters::default(),
            next_report: now + REPORT_INTERVAL,
            next_levels: now + LEVEL_INTERVAL,
            next_counters: now + COUNTER_INTERVAL,
            had_levels: false,
            stopping: None,
        }
    }

    /// False once it was told to stop.
    #[must_use]
    pub fn running(&self) -> bool {
        self.stopping.is_none()
    }

    /// Datagrams to send.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Counts datagrams the kernel would not take.
    pub fn refused(&mut self, datagrams: u64) {
        self.counters.refused += datagrams;
    }

    /// When [`Self::handle_timeout`] is wanted next.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let peers = self.peers.iter().flatten().map(|p| p.timeout);
        let keyframes = self.tracks.iter().flatten().filter_map(|t| t.keyframes.deadline());
        let own = [self.next_report, self.next_levels, self.next_counters];
        let next = peers.chain(keyframes).chain(own).min();
        next.unwrap_or(self.next_counters)
    }

    /// Lets timers fire.
    pub fn handle_timeout(&mut self, now: Instant) {
        for at in 0..self.peers.len() {
            let Some(Some(peer)) = self.peers.get_mut(at) else { continue };
            let silent = peer.connect_by.is_none() && now - peer.heard > SILENCE;
            if silent || peer.connect_by.is_some_and(|by| by <= now) {
                self.gone(at);
                continue;
            }
            if peer.timeout <= now {
                if now - peer.timeout > LATE {
                    self.counters.late_turns += 1;
                }
                peer.engine.handle_timeout(now);
                self.pump(at, now);
            }
        }
        for at in 0..self.tracks.len() {
            let Some(Some(track)) = self.tracks.get_mut(at) else { continue };
            if track.keyframes.due(now) {
                self.request_keyframe(at, now);
            }
        }
        if self.next_report <= now {
            self.next_report = now + REPORT_INTERVAL;
            self.send_reports(now);
        }
        if self.next_levels <= now {
            self.next_levels = now + LEVEL_INTERVAL;
            self.report_levels(now);
        }
        if self.next_counters <= now {
            self.next_counters = now + COUNTER_INTERVAL;
            self.report_counters();
        }
    }

    fn report_levels(&mut self, now: Instant) {
        let audible = self.tracks.iter().flatten().filter(|t| t.kind == Kind::Audio);
        let levels: Vec<_> =
            audible.map(|t| (t.key, t.level(now))).filter(|(_, level)| *level < 127).collect();
        if !levels.is_empty() || self.had_levels {
            self.had_levels = !levels.is_empty();
            self.emit(MediaEvent::Levels { shard: self.index, levels });
        }
    }

    fn report_counters(&mut self) {
        self.counters.peers = self.sessions.len() as u64;
        self.counters.tracks = self.keys.len() as u64;
        let counters = Box::new(self.counters.clone());
        self.emit(MediaEvent::Counters { shard: self.index, counters });
    }

    fn emit(&self, event: MediaEvent) {
        if self.events.send(event).is_err() {
            tracing::debug!("nobody listens to the shard any more");
        }
    }
}
