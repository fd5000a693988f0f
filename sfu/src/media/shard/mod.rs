//! A shard: the peers and tracks that one thread owns. This is the machine itself, without a
//! socket, thread or clock; [`thread`] runs it.
//!
//! Datagrams come in ([`arrive`]), packets go out to whoever watches ([`forward`]) once a picture
//! has begun ([`beginning`]), viewers' feedback is answered ([`feedback`]) and decides what they
//! get ([`choose`]); of many microphones the loudest are heard ([`speakers`]); [`commands`] are
//! what the node wants.

mod arrive;
mod beginning;
mod choose;
mod commands;
mod feedback;
mod forward;
mod interim;
mod peer;
mod speakers;
#[cfg(test)]
mod tests;
mod thread;
mod watching;

pub use thread::{ShardHandle, ShardSetup};

use super::batch::TrackKey;
use super::demux::Demux;
use super::messages::{Counters, GroupId, MediaEvent, SessionId};
use super::outbox::Outbox;
use super::timers::Timers;
use super::track::{Feed, Track};
use crate::peer::PeerEvent;
use cloudschool_protocol::media::Kind;
use peer::Peer;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// A timer that fires later than this counts as a late turn.
const LATE: Duration = Duration::from_millis(20);

/// Bytes waiting that are sent before going on, to bound memory and to keep what is sent in
/// the processor's cache.
const FLUSH_AT: usize = 128 << 10;

/// Levels go out at most this often.
const LEVEL_INTERVAL: Duration = Duration::from_millis(200);

/// Which encodings are wanted is looked at this often: whoever waits for one that is paused
/// looks at a smaller picture, or none.
const WANTED_INTERVAL: Duration = Duration::from_millis(50);

const COUNTER_INTERVAL: Duration = Duration::from_secs(1);

/// What whoever holds the TCP connections must know of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpNews {
    /// A peer proved that it is at the other end: the connection stays.
    Introduced(SocketAddr),
    /// Nobody is at the other end any more.
    Dismissed(SocketAddr),
}

/// A shard's peers and tracks, without its socket: datagrams, packets, commands and the time
/// go in; datagrams gather in the outbox, and events go to the node.
pub struct Shard {
    index: usize,
    outbox: Outbox,
    events: mpsc::UnboundedSender<MediaEvent>,
    peers: Vec<Option<Box<Peer>>>,
    sessions: HashMap<SessionId, usize>,
    demux: Demux,
    fragments: HashMap<String, usize>,
    tracks: Vec<Option<Box<Track>>>,
    keys: HashMap<TrackKey, usize>,
    /// Microphones that are muted, of all shards: what they said may come from anywhere.
    muted: BTreeSet<TrackKey>,
    groups: Vec<Option<Box<speakers::Group>>>,
    group_ids: HashMap<GroupId, usize>,
    timers: Timers,
    /// Tracks with packets that have not gone out yet, and viewers that get some of them.
    dirty: Vec<usize>,
    due: Vec<usize>,
    /// By peer: its lines with packets in this turn, as a set of bits.
    due_lines: Vec<u64>,
    peer_events: Vec<PeerEvent>,
    /// Where RTCP is written before it is sealed.
    compound: Vec<u8>,
    counters: Counters,
    next_levels: Instant,
    next_wanted: Instant,
    next_counters: Instant,
    had_levels: bool,
    tcp_news: Vec<TcpNews>,
    /// Whoever waits for the end of this shard, once it was told to end.
    stopping: Option<oneshot::Sender<()>>,
}

impl Shard {
    /// A shard with nobody in it. `max_segments` is what its socket sends at once.
    #[must_use]
    pub fn new(
        index: usize,
        max_segments: usize,
        events: mpsc::UnboundedSender<MediaEvent>,
        now: Instant,
    ) -> Self {
        Self {
            index,
            outbox: Outbox::new(max_segments),
            events,
            peers: Vec::new(),
            sessions: HashMap::new(),
            demux: Demux::default(),
            fragments: HashMap::new(),
            tracks: Vec::new(),
            keys: HashMap::new(),
            muted: BTreeSet::new(),
            groups: Vec::new(),
            group_ids: HashMap::new(),
            timers: Timers::default(),
            dirty: Vec::new(),
            due: Vec::new(),
            due_lines: Vec::new(),
            peer_events: Vec::new(),
            compound: Vec::with_capacity(1500),
            counters: Counters::default(),
            next_levels: now + LEVEL_INTERVAL,
            next_wanted: now + WANTED_INTERVAL,
            next_counters: now + COUNTER_INTERVAL,
            had_levels: false,
            tcp_news: Vec::new(),
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

    /// Counts a turn that made others wait.
    pub fn late_turn(&mut self) {
        self.counters.late_turns += 1;
    }

    /// What became of TCP connections since the last call.
    pub fn tcp_news(&mut self) -> impl Iterator<Item = TcpNews> {
        self.tcp_news.drain(..)
    }

    /// When [`Self::handle_timeout`] is wanted next.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let encodings = self.tracks.iter().flatten().flat_map(|t| t.encodings());
        let keyframes = encodings.filter_map(|(_, e)| e.keyframes.deadline());
        let own = [self.next_levels, self.next_wanted, self.next_counters];
        let next = keyframes.chain(self.timers.next()).chain(own).min();
        next.unwrap_or(self.next_counters)
    }

    /// Lets timers fire.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, due)) = self.timers.pop(now) {
            if now - due > LATE {
                self.counters.late_turns += 1;
            }
            self.peer_timeout(at, now);
        }
        for at in 0..self.tracks.len() {
            let Some(Some(track)) = self.tracks.get_mut(at) else { continue };
            let mut asked = 0u8;
            for (encoding, e) in track.encodings_mut() {
                asked |= u8::from(e.keyframes.due(now)) << encoding;
            }
            for encoding in (0..u8::BITS as u8).filter(|e| asked >> e & 1 == 1) {
                self.request_keyframe(at, encoding, now);
            }
        }
        if self.next_levels <= now {
            self.next_levels = now + LEVEL_INTERVAL;
            self.report_levels(now);
        }
        if self.next_wanted <= now {
            self.next_wanted = now + WANTED_INTERVAL;
            self.report_wanted(now);
        }
        if self.next_counters <= now {
            self.next_counters = now + COUNTER_INTERVAL;
            self.report_counters();
        }
    }

    fn peer_timeout(&mut self, at: usize, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        if peer.is_gone(now) {
            self.gone(at);
            return;
        }
        if peer.connect_by.is_some() {
            peer.engine.handle_timeout(now);
        }
        self.give_feedback(at, now);
        self.serve_viewer(at, now);
        self.pump(at, now);
    }

    /// Asks to be woken when the peer wants the time next.
    fn schedule(&mut self, at: usize, now: Instant) {
        if let Some(Some(peer)) = self.peers.get_mut(at) {
            self.timers.set(at, peer.deadline(now));
        }
    }

    fn report_levels(&mut self, now: Instant) {
        let tracks = self.tracks.iter().flatten().filter(|t| t.feed != Feed::Voices);
        let audible = tracks.filter(|t| t.kind == Kind::Audio);
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
