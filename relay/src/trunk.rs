//! One end of a trunk: control messages that must arrive, media that may drop.

use crate::close::{self, DONE, PROTOCOL, REFUSED};
use crate::frame::{Begun, FrameOptions, Verdict};
use crate::hello::{Greeted, Heard, READ};
use crate::incoming::{self, Media, Sink};
use crate::migration::Mover;
use crate::outgoing::Outgoing;
use crate::packed::Packed;
use crate::path::{Gauge, PathState};
use crate::peer::Peer;
use crate::stats::{Counters, TrunkStats, count};
use cloudschool_protocol::frame::{self, Decoder, FrameError};
use cloudschool_protocol::media::Kind;
use cloudschool_protocol::trunk::Control;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Control messages that may wait in either direction: a burst of announcements of a whole
/// lesson. Beyond it the sender waits.
const CONTROL_QUEUE: usize = 64;

/// Control goes before all media.
const CONTROL_PRIORITY: i32 = i32::MAX;

/// Nothing heard for this long, with both ends sending every half second: not reachable. A
/// classroom is to know within two seconds.
const SILENCE: Duration = Duration::from_millis(1600);

/// How often the path is looked at.
const PULSE: Duration = Duration::from_millis(150);

/// Every so many of these the dialling end looks whether its address has changed: about once a
/// second.
const LOOK_AROUND: u32 = 7;

/// So much of what a path was told to carry, as a divisor, is news when it is added.
const MUCH_MORE: u64 = 8;

/// The trunk is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Closed {
    /// One sentence for people.
    pub reason: String,
}

/// Why a control message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error(transparent)]
    Closed(#[from] Closed),
    /// Split it; the trunk is as before.
    #[error(transparent)]
    Unsendable(#[from] FrameError),
}

/// The sending half of a trunk, and its handle. Cheap to clone; the trunk is closed when the
/// last clone is gone.
#[derive(Clone)]
pub struct Trunk(Arc<Inner>);

struct Inner {
    connection: Connection,
    heard: Heard,
    control: mpsc::Sender<Vec<u8>>,
    outgoing: Arc<Outgoing>,
    counters: Arc<Counters>,
    gauge: Arc<Gauge>,
    /// Only where the trunk was dialled over UDP.
    mover: Option<Arc<Mover>>,
    path: watch::Receiver<PathState>,
    reachable: watch::Receiver<bool>,
    ending: Ending,
}

/// The receiving half of a trunk. Both channels end when the trunk is closed; closing either
/// while the trunk lives is a way to say that one takes no more of it.
pub struct TrunkReceiver {
    /// Every message, in order. Not reading holds up the other end.
    pub control: mpsc::Receiver<Control>,
    /// Packets as they arrive. Not reading drops them.
    pub media: mpsc::Receiver<Media>,
}

impl Trunk {
    pub(crate) fn start(greeted: Greeted, gauge: Arc<Gauge>) -> (Self, TrunkReceiver) {
        Self::start_from(greeted, gauge, None)
    }

    /// With the means to move, at the dialling end.
    pub(crate) fn start_from(
        greeted: Greeted,
        gauge: Arc<Gauge>,
        mover: Option<Mover>,
    ) -> (Self, TrunkReceiver) {
        let mover = mover.map(Arc::new);
        let Greeted { connection, heard, send, recv, decoder } = greeted;
        let counters = Arc::new(Counters::default());
        let ending = Ending {
            connection: connection.clone(),
            goodbye: Arc::default(),
            refused: Arc::default(),
        };
        let outgoing = Outgoing::new(connection.clone(), counters.clone(), gauge.clone());
        let (sink, media) = Sink::new(counters.clone());
        let (to_peer, queued) = mpsc::channel(CONTROL_QUEUE);
        let (from_peer, control) = mpsc::channel(CONTROL_QUEUE);
        let (pulse, reachable) = watch::channel(true);
        let (seen, path) = watch::channel(gauge.set_reachable(true));
        tokio::spawn(write_control(connection.clone(), send, queued));
        let reader = Reader { later: heard.later, counters: counters.clone() };
        tokio::spawn(reader.run(ending.clone(), recv, decoder, from_peer));
        tokio::spawn(incoming::datagrams(connection.clone(), sink.clone()));
        tokio::spawn(incoming::streams(connection.clone(), sink));
        tokio::spawn(outgoing.clone().run());
        tokio::spawn(take_pulse(
            connection.clone(),
            gauge.clone(),
            outgoing.clone(),
            mover.clone(),
            seen,
            pulse,
        ));
        let control_out = to_peer;
        let inner = Inner {
            connection,
            heard,
            control: control_out,
            outgoing,
            counters,
            gauge,
            mover,
            path,
            reachable,
            ending,
        };
        (Self(Arc::new(inner)), TrunkReceiver { control, media })
    }

    /// Who is at the other end, by its certificate.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.0.heard.peer
    }

    /// Program and version at the other end, for people.
    #[must_use]
    pub fn software(&self) -> &str {
        &self.0.heard.software
    }

    /// The version of the messages both ends speak.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.0.heard.version
    }

    /// Whether the other end has this
    /// [`capability`](cloudschool_protocol::trunk::capability).
    #[must_use]
    pub fn peer_can(&self, capability: &str) -> bool {
        self.0.heard.capabilities.iter().any(|c| c == capability)
    }

    /// Sends a control message after those before it. Waits while the other end doesn't read.
    ///
    /// # Errors
    /// [`SendError`]. A message taken just before the trunk breaks may not have arrived.
    pub async fn send(&self, message: Control) -> Result<(), SendError> {
        let bytes = frame::encode(&message)?;
        let open = self.0.connection.close_reason().is_none();
        if open && self.0.control.send(bytes).await.is_ok() {
            return Ok(());
        }
        Err(Closed { reason: self.closed().await }.into())
    }

    /// Sends one RTP packet: audio as a datagram, or by stream when it is too large for one;
    /// video as a stream of its own. Never waits, callable from any thread. False, and
    /// counted, when there was no room for it.
    pub fn send_packet(&self, flow: u64, kind: Kind, packet: &[u8]) -> bool {
        self.0.outgoing.packet(flow, kind, packet)
    }

    /// Sends the RTP packets of one frame as a stream. Never waits, callable from any thread.
    /// What is left out or finds no room is left out whole.
    pub fn send_frame(
        &self,
        flow: u64,
        options: FrameOptions,
        packets: impl Into<Packed>,
    ) -> Verdict {
        self.0.outgoing.frame(flow, options, packets.into())
    }

    /// Begins a frame of which more comes, so that a node that is handed it in pieces need not
    /// wait for the last: what is decided of the frame is decided here.
    ///
    /// # Errors
    /// What became of it instead, as with [`Self::send_frame`].
    pub fn begin_frame(
        &self,
        flow: u64,
        options: FrameOptions,
        packets: impl Into<Packed>,
    ) -> Result<Begun, Verdict> {
        self.0.outgoing.begin(flow, options, packets.into())
    }

    /// Adds packets to a frame that was begun, or none when it ends `last` without more. False
    /// when it was given up meanwhile, or finds no room: no more of it goes then.
    pub fn add_to_frame(&self, begun: &Begun, packets: impl Into<Packed>, last: bool) -> bool {
        self.0.outgoing.go_on(begun, packets.into(), last)
    }

    /// Whether beginning frames before they are whole is of use: not on a path so long that
    /// they go in parts, each of which is there twice.
    #[must_use]
    pub fn begins_early(&self) -> bool {
        self.0.outgoing.begins_early()
    }

    /// The path towards the other end, as it is now.
    #[must_use]
    pub fn path(&self) -> PathState {
        self.0.gauge.state()
    }

    /// News of the path: that it carries less, or an eighth more than was last told, or that the
    /// other end was lost or is heard again. What is between is in [`Self::path`]. Ends with the
    /// trunk.
    #[must_use]
    pub fn watch_path(&self) -> watch::Receiver<PathState> {
        self.0.path.clone()
    }

    /// Goes on from another local address, port 0 for any, without an interruption: only where
    /// this end dialled, over UDP. A change of the machine's own address is noticed by itself.
    ///
    /// # Errors
    /// When there is no such address, or the trunk is not one that moves.
    pub fn rebind(&self, from: SocketAddr) -> io::Result<()> {
        match &self.0.mover {
            Some(mover) => mover.rebind(from),
            None => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "only the end that dialled over UDP can move",
            )),
        }
    }

    /// Says what rate could be used if the line had it, in bit/s; 0 for what is sent and no
    /// more. The path is then tried up to there, with padding where media are too few.
    pub fn want(&self, bits_per_second: u64) {
        self.0.gauge.set_want(bits_per_second);
    }

    /// What the trunk has carried and how its path is.
    #[must_use]
    pub fn stats(&self) -> TrunkStats {
        let connection = &self.0.connection;
        TrunkStats::read(
            &connection.stats(),
            connection.remote_address(),
            &self.0.counters,
            self.0.outgoing.bytes_waiting(),
        )
    }

    /// Whether the other end was heard in the last two seconds. A trunk outlives outages of
    /// a minute; people should know of them sooner.
    #[must_use]
    pub fn reachable(&self) -> watch::Receiver<bool> {
        self.0.reachable.clone()
    }

    /// Closes the trunk; `reason` is one sentence for the people at the other end. Messages
    /// still queued are lost.
    pub fn close(&self, reason: &str) {
        self.close_with(DONE, reason);
    }

    /// Closes the trunk because of what the other end does or is. Whichever end dials comes
    /// again only after a while. `reason` is one sentence for people at both ends.
    pub fn refuse(&self, reason: &str) {
        if self.0.connection.close_reason().is_none() {
            self.0.ending.refused.get_or_init(|| reason.to_owned());
        }
        self.close_with(REFUSED, reason);
    }

    pub(crate) fn close_with(&self, code: VarInt, reason: &str) {
        close::close(&self.0.connection, code, reason);
    }

    /// Waits until the trunk is closed, by whomever, and says why in one sentence.
    pub async fn closed(&self) -> String {
        self.0.ending.closed().await
    }

    pub(crate) fn ending(&self) -> Ending {
        self.0.ending.clone()
    }

    pub(crate) fn downgrade(&self) -> WeakTrunk {
        WeakTrunk(Arc::downgrade(&self.0))
    }
}

/// How a trunk ends. Does not keep it open.
#[derive(Clone)]
pub(crate) struct Ending {
    connection: Connection,
    /// What the other end said before it closed.
    goodbye: Arc<OnceLock<String>>,
    /// What this end said when it would have no more of the other.
    refused: Arc<OnceLock<String>>,
}

impl Ending {
    pub async fn closed(&self) -> String {
        let error = self.connection.closed().await;
        self.sentence(&error)
    }

    /// Why the trunk is closed, and whether the next will end the same way; `None` while it
    /// is open.
    pub fn reason(&self) -> Option<(String, bool)> {
        let error = self.connection.close_reason()?;
        let lasting = self.goodbye.get().or(self.refused.get()).is_some();
        let lasting = lasting || close::is_lasting(&error);
        Some((self.sentence(&error), lasting))
    }

    /// Ends the trunk from this side.
    pub fn close(&self, reason: &str) {
        close::close(&self.connection, DONE, reason);
    }

    fn sentence(&self, error: &ConnectionError) -> String {
        let said = self.goodbye.get().or(self.refused.get());
        said.cloned().unwrap_or_else(|| close::sentence(error))
    }
}

/// A trunk that is not kept open by this.
pub(crate) struct WeakTrunk(Weak<Inner>);

impl WeakTrunk {
    pub fn upgrade(&self) -> Option<Trunk> {
        self.0.upgrade().map(Trunk)
    }
}

impl std::fmt::Debug for Trunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Trunk").field(&self.0.heard.peer).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        close::close(&self.connection, DONE, "the other end has no more use for the trunk");
    }
}

async fn write_control(
    connection: Connection,
    mut stream: SendStream,
    mut queue: mpsc::Receiver<Vec<u8>>,
) {
    // Fails only when the connection is closed, which the first write reports as well.
    stream.set_priority(CONTROL_PRIORITY).ok();
    loop {
        let bytes = tokio::select! {
            bytes = queue.recv() => bytes,
            _ = connection.closed() => return,
        };
        let Some(bytes) = bytes else { return };
        if let Err(error) = stream.write_all(&bytes).await {
            let reason = format!("the control stream broke: {error}");
            return close::close(&connection, PROTOCOL, &reason);
        }
    }
}

/// Takes the other end's messages.
struct Reader {
    /// It speaks later versions too: what can't be read may be of one.
    later: bool,
    counters: Arc<Counters>,
}

impl Reader {
    async fn run(
        self,
        ending: Ending,
        mut stream: RecvStream,
        mut decoder: Decoder,
        queue: mpsc::Sender<Control>,
    ) {
        let refuse = |reason: &str| close::close(&ending.connection, PROTOCOL, reason);
        loop {
            match decoder.next() {
                Ok(Some(Control::Goodbye { reason })) => {
                    ending.goodbye.get_or_init(|| reason);
                    return close::close(&ending.connection, DONE, "");
                }
                Ok(Some(Control::Hello { .. })) => return refuse("hello is said once"),
                Ok(Some(Control::Unknown)) => count(&self.counters.unknown_messages),
                Ok(Some(message)) => {
                    if queue.send(message).await.is_err() {
                        return close::close(
                            &ending.connection,
                            DONE,
                            "the other end takes no messages",
                        );
                    }
                }
                Ok(None) => match stream.read_chunk(READ, true).await {
                    Ok(Some(chunk)) => decoder.push(&chunk.bytes),
                    Ok(None) => return refuse("the control stream ended"),
                    Err(error) => return refuse(&format!("the control stream broke: {error}")),
                },
                Err(FrameError::Malformed(error)) if self.later => {
                    tracing::debug!(%error, "a message of a later release was passed over");
                    count(&self.counters.unknown_messages);
                }
                Err(error) => return refuse(&error.to_string()),
            }
        }
    }
}

/// Whether whoever follows the path is to be told of `now`, when it was last told and last
/// looked at as given. It is looked at several times a second for every trunk, and mostly nothing
/// has happened.
fn is_news(told: &PathState, before: &PathState, now: &PathState) -> bool {
    let much_more = told.estimate.saturating_add(told.estimate / MUCH_MORE);
    now.reachable != told.reachable || now.estimate < before.estimate || now.estimate > much_more
}

/// Watches the path, and whether anything is received.
async fn take_pulse(
    connection: Connection,
    gauge: Arc<Gauge>,
    outgoing: Arc<Outgoing>,
    mover: Option<Arc<Mover>>,
    path: watch::Sender<PathState>,
    reachable: watch::Sender<bool>,
) {
    let mut beat = tokio::time::interval(PULSE);
    let mut beats = 0u32;
    let mut heard = (connection.stats().udp_rx.datagrams, Instant::now());
    let mut closed = pin!(connection.closed());
    let mut before = gauge.state();
    loop {
        tokio::select! {
            _ = &mut closed => break,
            _ = beat.tick() => {}
        }
        beats += 1;
        if let Some(mover) = mover.as_ref().filter(|_| beats.is_multiple_of(LOOK_AROUND)) {
            mover.look();
        }
        let received = connection.stats().udp_rx.datagrams;
        if received != heard.0 {
            heard = (received, Instant::now());
        }
        let now_reachable = heard.1.elapsed() < SILENCE;
        reachable.send_if_modified(|r| std::mem::replace(r, now_reachable) != now_reachable);
        let state = gauge.set_reachable(now_reachable);
        path.send_if_modified(|told| {
            let news = is_news(told, &before, &state);
            if news {
                *told = state;
            }
            news
        });
        before = state;
        outgoing.nudge();
    }
    path.send_replace(gauge.set_reachable(false));
    reachable.send_replace(false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_news_at_once_and_more_when_it_is_much() {
        let path = |estimate| PathState { estimate, reachable: true, ..PathState::default() };
        let [told, climbed] = [path(800), path(850)];
        assert!(!is_news(&told, &told, &climbed) && !is_news(&told, &climbed, &climbed));
        assert!(is_news(&told, &climbed, &path(840)), "less than a moment ago");
        assert!(is_news(&told, &climbed, &path(901)));
        let away = PathState { reachable: false, ..told };
        assert!(is_news(&told, &told, &away) && is_news(&away, &away, &told));
    }
}
