//! A link between real processes: a UDP port that forwards to another, badly.
//!
//! Each client address has a link and a socket of its own towards the target, as behind a NAT
//! of which nothing is shared; its link begins with its first datagram. Clients are bounded in
//! number and forgotten when silent. A datagram is delivered about 1 ms after its time at
//! most, the granularity of tokio's timers; later ones are counted ([`Counters::late`]).
//! Nothing is ever sent but what came in.

use super::line::Counters;
use super::profile::Profile;
use super::written::LinkChange;
use super::{Line, Link};
use bytes::Bytes;
use serde::Serialize;
use socket2::SockRef;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

/// What a proxy keeps of its clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many there may be at a time. Each has a socket.
    pub clients: usize,
    /// A client is forgotten after it sent nothing for this long.
    pub silence: Duration,
}

impl Default for Limits {
    /// A load test has a few hundred clients. ICE asks its peer for consent every 5 s and gives
    /// up after 30 s (RFC 7675 section 5.1).
    fn default() -> Self {
        Self { clients: 1024, silence: Duration::from_secs(60) }
    }
}

/// Datagrams of one client between the port's task and its own.
const INBOX: usize = 1024;

/// Datagrams taken from a socket before those that are due are sent.
const TURN: usize = 64;

/// Asked for each socket, bytes; the kernel may allow less. Bursts wait here for a turn.
const SOCKET_BUFFER: usize = 4 << 20;

const LARGEST_DATAGRAM: usize = 65_535;

/// The proxy can't be started.
#[derive(Debug, thiserror::Error)]
#[error("the link can't listen at {bind}: {source}")]
pub struct ProxyError {
    bind: SocketAddr,
    source: io::Error,
}

/// What passed a proxy since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Stats {
    /// Clients there are now.
    pub clients: usize,
    /// Datagrams of clients for which there was no room, or no socket.
    pub refused: u64,
    /// Datagrams of clients that came faster than they were taken.
    pub overrun: u64,
    /// From the clients to the target, all together.
    pub up: Counters,
    pub down: Counters,
}

/// A running proxy. It ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    orders: watch::Sender<Vec<Order>>,
    profile: Profile,
    /// Gone, the task ends.
    alive: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What whoever has the proxy wants of all its lines.
#[derive(Debug, Clone)]
enum Order {
    Change(Box<LinkChange>),
    Cut(bool),
}

#[derive(Debug, Default)]
struct Shared(Mutex<Book>);

/// Per client and direction while it is there; one sum of those that are gone.
#[derive(Debug, Default)]
struct Book {
    present: HashMap<SocketAddr, [Counters; 2]>,
    gone: [Counters; 2],
    refused: u64,
    overrun: u64,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stats(&self) -> Stats {
        let book = self.book();
        let [mut up, mut down] = book.gone;
        for [client_up, client_down] in book.present.values() {
            up += *client_up;
            down += *client_down;
        }
        let Book { refused, overrun, .. } = *book;
        Stats { clients: book.present.len(), refused, overrun, up, down }
    }
}

impl Proxy {
    /// Listens at `bind` and forwards to `target` over links of this profile. Port 0 is any
    /// free one. Clients have different seeds, each a function of the profile's and of how many
    /// came before.
    ///
    /// # Errors
    /// When `bind` can't be had.
    pub fn start(
        target: SocketAddr,
        profile: Profile,
        bind: SocketAddr,
    ) -> Result<Self, ProxyError> {
        Self::with_limits(target, profile, bind, Limits::default())
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// When `bind` can't be had.
    pub fn with_limits(
        target: SocketAddr,
        profile: Profile,
        bind: SocketAddr,
        limits: Limits,
    ) -> Result<Self, ProxyError> {
        let listen = || {
            let socket = socket(bind)?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        let (socket, address) = listen().map_err(|source| ProxyError { bind, source })?;
        let shared = Arc::new(Shared::default());
        let (orders, _) = watch::channel(Vec::new());
        let port = Port {
            socket: Arc::new(socket),
            target,
            profile: profile.clone(),
            limits,
            shared: shared.clone(),
            orders: orders.clone(),
            inboxes: HashMap::new(),
            clients: JoinSet::new(),
            came: 0,
        };
        let (alive, dropped) = oneshot::channel();
        let task = tokio::spawn(port.run(dropped));
        Ok(Self { address, shared, orders, profile, alive, task })
    }

    /// Where clients send to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Other conditions for all clients from now on, and for those to come from their
    /// beginning on.
    ///
    /// # Errors
    /// When the profile's conditions can't become these; the text says why.
    pub fn change(&self, change: LinkChange) -> Result<(), String> {
        change.up.of(&self.profile.up.beginning)?;
        change.down.of(&self.profile.down.beginning)?;
        self.order(Order::Change(Box::new(change)));
        Ok(())
    }

    /// Cuts the lines of all clients in both directions from now on, those of clients to come
    /// too, or mends them.
    pub fn cut(&self, cut: bool) {
        self.order(Order::Cut(cut));
    }

    fn order(&self, order: Order) {
        self.orders.send_modify(|all| all.push(order));
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Ends all forwarding; what is under way is not delivered. Gives the last figures once
    /// everything has ended.
    ///
    /// # Panics
    /// When forwarding itself did.
    pub async fn stop(self) -> Stats {
        let Self { shared, alive, task, .. } = self;
        drop(alive);
        if let Err(error) = task.await
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
        shared.stats()
    }
}

fn socket(bind: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(bind)?;
    socket.set_nonblocking(true)?;
    let options = SockRef::from(&socket);
    options.set_recv_buffer_size(SOCKET_BUFFER)?;
    options.set_send_buffer_size(SOCKET_BUFFER)?;
    UdpSocket::from_std(socket)
}

/// The port clients send to, and who they are.
struct Port {
    socket: Arc<UdpSocket>,
    target: SocketAddr,
    profile: Profile,
    limits: Limits,
    shared: Arc<Shared>,
    orders: watch::Sender<Vec<Order>>,
    inboxes: HashMap<SocketAddr, mpsc::Sender<(Instant, Bytes)>>,
    clients: JoinSet<SocketAddr>,
    came: u64,
}

impl Port {
    async fn run(mut self, mut dropped: oneshot::Receiver<()>) {
        let mut buffer = vec![0; LARGEST_DATAGRAM];
        loop {
            tokio::select! {
                _ = &mut dropped => break,
                Some(Ok(client)) = self.clients.join_next() => self.forget(client),
                // The errors of this socket are those of clients that are gone.
                received = self.socket.recv_from(&mut buffer) => if let Ok((len, from)) = received {
                    self.take(from, Bytes::copy_from_slice(&buffer[..len])).await;
                },
            }
        }
        self.clients.shutdown().await;
    }

    async fn take(&mut self, from: SocketAddr, datagram: Bytes) {
        let mut held = (Instant::now(), datagram);
        if let Some(inbox) = self.inboxes.get(&from) {
            match inbox.try_send(held) {
                Ok(()) => return,
                Err(TrySendError::Full(_)) => return self.shared.book().overrun += 1,
                // It fell silent and spoke again at once.
                Err(TrySendError::Closed(back)) => held = back,
            }
        }
        match self.admit(from).await {
            // A new inbox has room.
            Some(inbox) => drop(inbox.try_send(held)),
            None => self.shared.book().refused += 1,
        }
    }

    async fn admit(&mut self, address: SocketAddr) -> Option<&mpsc::Sender<(Instant, Bytes)>> {
        if self.clients.len() >= self.limits.clients {
            return None;
        }
        let any: IpAddr = match self.target {
            SocketAddr::V4(_) if self.target.ip().is_loopback() => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) if self.target.ip().is_loopback() => Ipv6Addr::LOCALHOST.into(),
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let upstream = socket(SocketAddr::new(any, 0)).ok()?;
        upstream.connect(self.target).await.ok()?;
        let (inbox, received) = mpsc::channel(INBOX);
        let now = Instant::now();
        let seed = self.profile.seed.wrapping_add(self.came);
        self.came += 1;
        let mut link = Link::with_seed(&self.profile, seed, now);
        let mut orders = self.orders.subscribe();
        let obeyed = obey(&mut link, now, &orders.borrow_and_update(), 0);
        let client = Client {
            address,
            link,
            received,
            upstream,
            port: self.socket.clone(),
            orders,
            obeyed,
            heard: now,
            silence: self.limits.silence,
            shared: self.shared.clone(),
        };
        self.shared.book().present.insert(address, Default::default());
        self.clients.spawn(client.run());
        self.inboxes.insert(address, inbox);
        self.inboxes.get(&address)
    }

    fn forget(&mut self, client: SocketAddr) {
        // Unless it is back already.
        if self.inboxes.get(&client).is_some_and(mpsc::Sender::is_closed) {
            self.inboxes.remove(&client);
        }
    }
}

/// Obeys the orders not obeyed yet; gives how many are then.
fn obey(link: &mut Link, now: Instant, orders: &[Order], obeyed: usize) -> usize {
    for order in orders.iter().skip(obeyed) {
        match order {
            Order::Change(change) => {
                if let Err(reason) = link.change(now, change) {
                    tracing::warn!(%reason, "the link stays as it is");
                }
            }
            Order::Cut(cut) => link.set_cut(now, *cut),
        }
    }
    orders.len()
}

/// One client with its link.
struct Client {
    address: SocketAddr,
    link: Link,
    received: mpsc::Receiver<(Instant, Bytes)>,
    /// Connected to the target.
    upstream: UdpSocket,
    /// Where the client knows us.
    port: Arc<UdpSocket>,
    orders: watch::Receiver<Vec<Order>>,
    obeyed: usize,
    heard: Instant,
    silence: Duration,
    shared: Arc<Shared>,
}

impl Client {
    /// Until the client has been silent for long; gives its address.
    async fn run(mut self) -> SocketAddr {
        let mut buffer = vec![0; LARGEST_DATAGRAM];
        loop {
            let silent = self.heard + self.silence;
            let wake = self.link.next().map_or(silent, |next| next.min(silent));
            tokio::select! {
                Some((at, datagram)) = self.received.recv() => self.heard(at, datagram),
                readable = self.upstream.readable() => if readable.is_ok() {
                    self.answered(&mut buffer);
                },
                Ok(()) = self.orders.changed() => {
                    let orders = self.orders.borrow_and_update().clone();
                    self.obeyed = obey(&mut self.link, Instant::now(), &orders, self.obeyed);
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            self.deliver().await;
            let counters = [self.link.up.counters(), self.link.down.counters()];
            let mut book = self.shared.book();
            if self.heard.elapsed() < self.silence {
                book.present.insert(self.address, counters);
                continue;
            }
            book.present.remove(&self.address);
            let Book { gone: [up, down], .. } = &mut *book;
            *up += counters[0];
            *down += counters[1];
            return self.address;
        }
    }

    fn heard(&mut self, at: Instant, datagram: Bytes) {
        self.link.up.push(at, datagram);
        self.heard = at;
        for _ in 1..TURN {
            let Ok((at, datagram)) = self.received.try_recv() else { break };
            self.link.up.push(at, datagram);
            self.heard = at;
        }
    }

    fn answered(&mut self, buffer: &mut [u8]) {
        for _ in 0..TURN {
            match self.upstream.try_recv(buffer) {
                Ok(len) => {
                    let datagram = Bytes::copy_from_slice(&buffer[..len]);
                    self.link.down.push(Instant::now(), datagram);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Nobody at the target just now: nothing to a line.
                Err(_) => {}
            }
        }
    }

    /// Sends what is due. A datagram the other side can't be sent is gone as on any line.
    async fn deliver(&mut self) {
        while let Some(datagram) = due(&mut self.link.up) {
            if let Err(error) = self.upstream.send(&datagram).await {
                tracing::debug!(%error, "a datagram could not be sent to the target");
            }
        }
        while let Some(datagram) = due(&mut self.link.down) {
            if let Err(error) = self.port.send_to(&datagram, self.address).await {
                tracing::debug!(%error, client = %self.address, "a datagram could not be sent");
            }
        }
    }
}

fn due(line: &mut Line) -> Option<Bytes> {
    line.poll(Instant::now())
}
