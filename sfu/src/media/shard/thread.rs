//! The thread that runs a shard. Its turn reads like this: commands → packets from other
//! shards and trunks → timers → receive → forward → flush.

use super::{FLUSH_AT, Shard, TcpNews};
use crate::media::batch::TrackBatch;
use crate::media::lane::ShardLane;
use crate::media::messages::{Command, MediaEvent};
use crate::media::processor;
use crate::media::socket::{Socket, Step};
use crate::media::tcp::TcpPeers;
use crate::peer::{DtlsIdentity, EngineConfig, Route};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);
/// TCP takes the token of this number and all above it.
const TCP: usize = 2;

/// Receives in a row before timers and commands get their turn again.
const RECEIVES_PER_TURN: usize = 8;

/// Batches taken in one turn.
const BATCHES_PER_TURN: usize = 256;

/// Commands carried out in one turn, so that a hundred viewers who join at once don't hold up
/// the picture of those who are there.
const COMMANDS_PER_TURN: usize = 16;

/// A turn that takes longer than this makes somebody wait: a voice packet comes every 20 ms.
const LONG_TURN: Duration = Duration::from_millis(20);

/// The node's end of a shard.
pub struct ShardHandle {
    pub address: SocketAddr,
    pub lane: ShardLane,
    /// What offers to peers of this shard are answered with.
    pub engines: Arc<EngineConfig>,
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

/// What a shard is made with.
pub struct ShardSetup {
    pub index: usize,
    /// Keep to one processor.
    pub pin: bool,
    pub bind: SocketAddr,
    /// Also listen for media over TCP.
    pub tcp: bool,
    /// Addresses told to peers; one without a port means the shard's own.
    pub announce: Vec<crate::media::Announced>,
    pub identity: Arc<DtlsIdentity>,
}

impl ShardHandle {
    /// Sends a command. One to a shard that has stopped is dropped, with its reply channel.
    pub fn send(&self, command: Command) {
        if self.commands.send(command).is_ok()
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a shard can't be woken");
        }
    }

    /// Binds the sockets and starts the thread.
    ///
    /// # Errors
    /// The operating system's.
    pub fn start(setup: ShardSetup, events: mpsc::UnboundedSender<MediaEvent>) -> io::Result<Self> {
        let ShardSetup { index, pin, bind, tcp, announce, identity } = setup;
        let (mut socket, mut tcp) = open(bind, tcp)?;
        let local = socket.local_addr();
        let poll = Poll::new()?;
        poll.registry().register(socket.source(), SOCKET, Interest::READABLE)?;
        if let Some(tcp) = &mut tcp {
            tcp.register(poll.registry(), TCP)?;
        }
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (lane, batches) = ShardLane::new(waker.clone());
        let (sender, commands) = channel();
        let told: Vec<SocketAddr> = match announce.is_empty() {
            true => vec![local],
            false => announce.iter().map(|a| a.at(local.port())).collect(),
        };
        let engines = Arc::new(EngineConfig {
            tcp: if tcp.is_some() { told.clone() } else { Vec::new() },
            udp: told,
            identity,
        });
        let shard = Shard::new(index, socket.max_segments(), events, Instant::now());
        let runner = Runner { shard, socket, tcp, poll, commands, batches };
        let named = std::thread::Builder::new().name(format!("shard-{index}"));
        named.spawn(move || {
            if pin && let Err(error) = processor::keep_to(index) {
                tracing::warn!(shard = index, %error, "the shard keeps to no processor");
            }
            runner.run();
        })?;
        Ok(Self { address: local, lane, engines, commands: sender, waker })
    }
}

/// A shard's sockets, on one port number. Any port means one that both have free.
fn open(bind: SocketAddr, tcp: bool) -> io::Result<(Socket, Option<TcpPeers>)> {
    const TRIES: usize = 16;
    let mut tries = if bind.port() == 0 { TRIES } else { 1 };
    loop {
        let socket = Socket::bind(bind)?;
        if !tcp {
            return Ok((socket, None));
        }
        tries -= 1;
        match TcpPeers::bind(socket.local_addr()) {
            Ok(tcp) => return Ok((socket, Some(tcp))),
            Err(error) if tries == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

/// A shard with its sockets and queues.
struct Runner {
    shard: Shard,
    socket: Socket,
    tcp: Option<TcpPeers>,
    poll: Poll,
    commands: Receiver<Command>,
    batches: Receiver<TrackBatch>,
}

impl Runner {
    fn run(mut self) {
        let mut events = Events::with_capacity(64);
        let mut more = false;
        // The last turn sends what the end had to say; the answer to who waits for it goes
        // out when the shard is dropped.
        while self.shard.running() {
            let wait = match more {
                true => Duration::ZERO,
                false => self.next_turn().saturating_duration_since(Instant::now()),
            };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "polling failed; the shard stops");
                return;
            }
            let begun = Instant::now();
            more = self.turn(&events);
            if begun.elapsed() > LONG_TURN {
                self.shard.late_turn();
            }
        }
    }

    fn next_turn(&self) -> Instant {
        let shard = self.shard.poll_timeout();
        self.tcp.as_ref().and_then(TcpPeers::poll_timeout).map_or(shard, |tcp| tcp.min(shard))
    }

    /// One turn. Returns whether there is more to do at once.
    fn turn(&mut self, events: &Events) -> bool {
        // Packets never overtake the command that opened their track: they are taken off the
        // lane first, and handled after it.
        let batches: Vec<TrackBatch> = self.batches.try_iter().take(BATCHES_PER_TURN).collect();
        let mut commands = 0;
        while commands < COMMANDS_PER_TURN || !batches.is_empty() {
            let Ok(command) = self.commands.try_recv() else { break };
            commands += 1;
            self.shard.command(command, Instant::now());
            if self.shard.outbox().bytes() > FLUSH_AT {
                self.flush();
            }
        }
        for batch in &batches {
            self.shard.take_batch(batch, Instant::now());
        }
        self.shard.handle_timeout(Instant::now());
        self.forward();
        let unread = self.serve_tcp(events);
        let more = unread || batches.len() == BATCHES_PER_TURN || commands == COMMANDS_PER_TURN;
        for _ in 0..RECEIVES_PER_TURN {
            let now = Instant::now();
            let shard = &mut self.shard;
            let received = self.socket.receive(|step| match step {
                Step::Coming(from) => shard.expect(Route::udp(from)),
                Step::Next(from) => shard.expect_now(Route::udp(from)),
                Step::Datagrams(from, bytes, length) => {
                    shard.handle_datagrams(Route::udp(from), bytes, length, now);
                }
            });
            self.forward();
            match received {
                // What comes from now on is told by the next poll.
                Ok(left) if !left => return more,
                Ok(_) => {}
                Err(error) => {
                    // Linux reports an unreachable peer's ICMP here; the socket is still good.
                    tracing::debug!(%error, "receiving failed");
                    return true;
                }
            }
        }
        true
    }

    /// TCP's part of a turn. Returns whether there is more to read.
    fn serve_tcp(&mut self, events: &Events) -> bool {
        let Some(tcp) = &mut self.tcp else { return false };
        for event in events.iter().filter(|e| e.token().0 >= TCP) {
            let shard = &mut self.shard;
            tcp.ready(event, self.poll.registry(), Instant::now(), |from, datagram| {
                let length = datagram.len();
                shard.handle_datagrams(Route::tcp(from), datagram, length, Instant::now());
            });
        }
        let shard = &mut self.shard;
        let more = tcp.read_on(Instant::now(), |from, datagram| {
            let length = datagram.len();
            shard.handle_datagrams(Route::tcp(from), datagram, length, Instant::now());
        });
        tcp.handle_timeout(self.poll.registry(), Instant::now());
        for gone in tcp.closed() {
            self.shard.route_closed(Route::tcp(gone), Instant::now());
        }
        self.forward();
        more
    }

    fn forward(&mut self) {
        while self.shard.forward(Instant::now()) {
            self.flush();
        }
        self.flush();
    }

    fn flush(&mut self) {
        let tcp = &mut self.tcp;
        let refused = self.socket.send(self.shard.outbox(), |to, datagram| {
            tcp.as_mut().is_some_and(|tcp| tcp.send(to, datagram))
        });
        self.shard.refused(refused);
        let Some(tcp) = &mut self.tcp else { return };
        tcp.flush();
        for news in self.shard.tcp_news() {
            match news {
                TcpNews::Introduced(address) => tcp.keep(address),
                TcpNews::Dismissed(address) => tcp.close(address),
            }
        }
    }
}
