//! The thread that runs a shard. Its turn reads like this: commands → packets from other
//! shards and trunks → timers → receive → forward → flush.

use super::{FLUSH_AT, Shard};
use crate::media::batch::TrackBatch;
use crate::media::lane::ShardLane;
use crate::media::messages::{Command, MediaEvent};
use crate::media::socket::Socket;
use crate::peer::EngineConfig;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);

/// Receives in a row before timers and commands get their turn again.
const RECEIVES_PER_TURN: usize = 8;

/// Batches taken in one turn.
const BATCHES_PER_TURN: usize = 256;

/// The node's end of a shard.
pub struct ShardHandle {
    pub address: SocketAddr,
    pub lane: ShardLane,
    commands: Sender<Command>,
    waker: Arc<Waker>,
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
}

/// A shard with its socket and queues.
struct Runner {
    shard: Shard,
    socket: Socket,
    poll: Poll,
    commands: Receiver<Command>,
    batches: Receiver<TrackBatch>,
}

impl ShardHandle {
    /// Binds `address` and starts the thread.
    ///
    /// # Errors
    /// The operating system's.
    pub fn start(
        index: usize,
        address: SocketAddr,
        announce: &[IpAddr],
        events: mpsc::UnboundedSender<MediaEvent>,
    ) -> io::Result<Self> {
        let mut socket = Socket::bind(address)?;
        let local = socket.local_addr();
        let poll = Poll::new()?;
        poll.registry().register(socket.source(), SOCKET, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (lane, batches) = ShardLane::new(waker.clone());
        let (sender, commands) = channel();
        let mut candidates: Vec<SocketAddr> =
            announce.iter().map(|ip| SocketAddr::new(*ip, local.port())).collect();
        if candidates.is_empty() {
            candidates.push(local);
        }
        // The engine matches datagrams to its candidates, so it is told the announced address.
        let config = EngineConfig { local: *candidates.first().unwrap_or(&local), candidates };
        let shard = Shard::new(index, config, socket.max_segments(), events, Instant::now());
        let runner = Runner { shard, socket, poll, commands, batches };
        let named = std::thread::Builder::new().name(format!("shard-{index}"));
        named.spawn(move || runner.run())?;
        Ok(Self { address: local, lane, commands: sender, waker })
    }
}

impl Runner {
    fn run(mut self) {
        let mut events = Events::with_capacity(8);
        let mut more = false;
        // The last turn sends what the end had to say; the answer to who waits for it goes
        // out when the shard is dropped.
        while self.shard.running() {
            let wait = match more {
                true => Duration::ZERO,
                false => self.shard.poll_timeout().saturating_duration_since(Instant::now()),
            };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "polling failed; the shard stops");
                return;
            }
            more = self.turn();
        }
    }

    /// One turn. Returns whether the socket has more.
    fn turn(&mut self) -> bool {
        // Packets never overtake the command that opened their track: they are taken off the
        // lane first, and handled after it.
        let batches: Vec<TrackBatch> = self.batches.try_iter().take(BATCHES_PER_TURN).collect();
        while let Ok(command) = self.commands.try_recv() {
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
        let more = batches.len() == BATCHES_PER_TURN;
        for _ in 0..RECEIVES_PER_TURN {
            let now = Instant::now();
            let received =
                self.socket.receive(|from, bytes| self.shard.handle_datagram(from, bytes, now));
            self.forward();
            match received {
                Ok(0) => return more,
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

    fn forward(&mut self) {
        while self.shard.forward(Instant::now()) {
            self.flush();
        }
        self.flush();
    }

    fn flush(&mut self) {
        let refused = self.socket.send(self.shard.outbox());
        self.shard.refused(refused);
    }
}
