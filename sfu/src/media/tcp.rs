//! Peers that reach a shard over TCP (RFC 6544), from networks that let no UDP out. We are
//! passive: browsers connect to the port that is UDP's number too. Each connection carries the
//! peer's datagrams in frames (RFC 4571) and is, to the rest of the shard, one more address.
//!
//! A connection is a stranger's until an ICE check on it was genuine ([`TcpPeers::keep`]):
//! strangers are few, and have ten seconds. Nothing here blocks or grows: media that a slow
//! connection has no room for is dropped, as a full router queue would.

mod framing;

use framing::{Deframer, PREFIX};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Connections of one shard: each may hold some 200 KiB.
const MAX_CONNECTIONS: usize = 1024;
/// Connections without a genuine check, of all addresses.
const MAX_STRANGERS: usize = 256;
/// The same, of one address, behind which may be a whole school.
const MAX_STRANGERS_OF_ONE: usize = 64;

/// How long a stranger may take for its first genuine check; browsers send it at once.
const INTRODUCTION: Duration = Duration::from_secs(10);
/// A connection with nothing on it is a peer that is gone: browsers check every 2.5 s.
const IDLE: Duration = Duration::from_secs(60);
/// A system out of file descriptors is asked again after this.
const ACCEPT_AGAIN: Duration = Duration::from_millis(250);

/// What waits here for a connection's socket to take it: half a second at 1 Mbit/s. More
/// would be late.
const MEDIA_ROOM: usize = 64 << 10;
/// ICE and DTLS still find room when media has none.
const CONTROL_ROOM: usize = MEDIA_ROOM + (8 << 10);
/// What the kernel may hold in turn. Its own choice would be megabytes, all of it delay.
const KERNEL_ROOM: usize = 64 << 10;

/// Bytes read from one connection before the others and the timers get their turn.
const READ_PER_TURN: usize = 128 << 10;
const READ_AT_ONCE: usize = 32 << 10;

struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    deframer: Deframer,
    /// Framed, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// The socket takes more: it has not said otherwise since it was last ready.
    writable: bool,
    /// In the list of those that have something to send.
    queued: bool,
    /// In the list of those that may have more to read.
    unread: bool,
    /// Until when it must have been introduced.
    stranger_until: Option<Instant>,
    heard: Instant,
}

/// The listener and connections of one shard.
pub struct TcpPeers {
    listener: TcpListener,
    first: usize,
    connections: Vec<Option<Connection>>,
    by_address: HashMap<SocketAddr, usize>,
    queued: Vec<usize>,
    unread: Vec<usize>,
    closed: Vec<SocketAddr>,
    scratch: Vec<u8>,
    accept_again: Option<Instant>,
    next_check: Option<Instant>,
}

/// IPv4 over an IPv6 socket is IPv4 to everyone else.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// RFC 7983 §7 and RFC 5761 §4: neither STUN, DTLS nor RTCP.
fn is_media(datagram: &[u8]) -> bool {
    let rtcp = datagram.get(1).is_some_and(|b| (192..=223).contains(b));
    datagram.first().is_some_and(|b| (128..=191).contains(b)) && !rtcp
}

impl TcpPeers {
    /// Listens at `address`. One on all IPv6 addresses takes IPv4 as well.
    ///
    /// # Errors
    /// The operating system's, with the address named.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listen = || -> io::Result<TcpListener> {
            let domain = socket2::Domain::for_address(address);
            let protocol = Some(socket2::Protocol::TCP);
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, protocol)?;
            if address.is_ipv6() {
                socket.set_only_v6(!address.ip().is_unspecified())?;
            }
            // A node that is restarted must get its port back from connections still closing.
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(128)?;
            Ok(TcpListener::from_std(socket.into()))
        };
        let named = |e: io::Error| io::Error::new(e.kind(), format!("TCP {address}: {e}"));
        let listener = listen().map_err(named)?;
        Ok(Self {
            listener,
            first: 0,
            connections: Vec::new(),
            by_address: HashMap::new(),
            queued: Vec::new(),
            unread: Vec::new(),
            closed: Vec::new(),
            scratch: vec![0; READ_AT_ONCE],
            accept_again: None,
            next_check: None,
        })
    }

    /// Begins to report readiness, under tokens from `first` on.
    ///
    /// # Errors
    /// The operating system's.
    pub fn register(&mut self, registry: &Registry, first: usize) -> io::Result<()> {
        self.first = first;
        registry.register(&mut self.listener, Token(first), Interest::READABLE)
    }

    /// Acts on an event of one of its tokens: takes new connections, sends what waited, and
    /// hands `each` the datagrams that came, with the address they came from.
    pub fn ready(
        &mut self,
        event: &Event,
        registry: &Registry,
        now: Instant,
        each: impl FnMut(SocketAddr, &mut [u8]),
    ) {
        let Some(place) = event.token().0.checked_sub(self.first) else { return };
        let Some(at) = place.checked_sub(1) else { return self.accept(registry, now) };
        if event.is_writable()
            && let Some(Some(connection)) = self.connections.get_mut(at)
        {
            connection.writable = true;
            self.flush_one(at);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(at, now, each);
        }
    }

    /// Goes on reading connections that had more than one turn's worth. Returns whether some
    /// still have.
    pub fn read_on(&mut self, now: Instant, mut each: impl FnMut(SocketAddr, &mut [u8])) -> bool {
        for at in std::mem::take(&mut self.unread) {
            if let Some(Some(connection)) = self.connections.get_mut(at) {
                connection.unread = false;
                self.read(at, now, &mut each);
            }
        }
        !self.unread.is_empty()
    }

    /// Puts a datagram in line for the connection with that address; [`Self::flush`] sends it.
    /// False when there is none or it has no room: the datagram is lost.
    pub fn send(&mut self, to: SocketAddr, datagram: &[u8]) -> bool {
        self.enqueue(to, datagram).is_some()
    }

    fn enqueue(&mut self, to: SocketAddr, datagram: &[u8]) -> Option<()> {
        let at = *self.by_address.get(&to)?;
        let connection = self.connections.get_mut(at)?.as_mut()?;
        let prefix = framing::prefix(datagram)?;
        let waiting = connection.out.len() - connection.sent;
        let room = if is_media(datagram) { MEDIA_ROOM } else { CONTROL_ROOM };
        if waiting + PREFIX + datagram.len() > room {
            return None;
        }
        connection.out.extend_from_slice(&prefix);
        connection.out.extend_from_slice(datagram);
        if !std::mem::replace(&mut connection.queued, true) {
            self.queued.push(at);
        }
        Some(())
    }

    /// Sends what is in line: once a turn, so that a burst is one system call.
    pub fn flush(&mut self) {
        while let Some(at) = self.queued.pop() {
            self.flush_one(at);
        }
    }

    fn flush_one(&mut self, at: usize) {
        let Some(Some(connection)) = self.connections.get_mut(at) else { return };
        connection.queued = false;
        while connection.writable && connection.sent < connection.out.len() {
            let waiting = connection.out.get(connection.sent..).unwrap_or_default();
            match connection.stream.write(waiting) {
                Ok(0) => return self.drop_connection(at),
                Ok(n) => connection.sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => connection.writable = false,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.drop_connection(at),
            }
        }
        // Moving the rest to the front costs less than a ring whose halves are two writes.
        connection.out.drain(..connection.sent);
        connection.sent = 0;
    }

    /// An ICE check on that connection was genuine: it stays.
    pub fn keep(&mut self, address: SocketAddr) {
        let connection = self.by_address.get(&address).and_then(|at| self.connections.get_mut(*at));
        if let Some(Some(connection)) = connection {
            connection.stranger_until = None;
        }
    }

    /// Closes the connection with that address, after a last attempt to send what waits.
    pub fn close(&mut self, address: SocketAddr) {
        if let Some(&at) = self.by_address.get(&address) {
            self.flush_one(at);
            self.drop_connection(at);
            // Whoever asked for it need not be told.
            self.closed.retain(|a| *a != address);
        }
    }

    /// Connections that ended since the last call, other than by [`Self::close`].
    pub fn closed(&mut self) -> impl Iterator<Item = SocketAddr> {
        self.closed.drain(..)
    }

    /// Closes strangers that were not introduced in time, and connections with nothing on them.
    pub fn handle_timeout(&mut self, registry: &Registry, now: Instant) {
        if self.accept_again.is_some_and(|at| at <= now) {
            self.accept(registry, now);
        }
        if self.next_check.is_none_or(|at| now < at) {
            return;
        }
        for at in 0..self.connections.len() {
            let Some(Some(connection)) = self.connections.get(at) else { continue };
            let late = connection.stranger_until.is_some_and(|until| until <= now);
            if late || now.saturating_duration_since(connection.heard) >= IDLE {
                self.drop_connection(at);
            }
        }
        self.next_check = (!self.by_address.is_empty()).then(|| now + Duration::from_secs(1));
    }

    /// When [`Self::handle_timeout`] is wanted next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.accept_again, self.next_check].into_iter().flatten().min()
    }

    fn strangers(&self, of: Option<IpAddr>) -> usize {
        let strange = |c: &&Connection| {
            c.stranger_until.is_some() && of.is_none_or(|ip| c.address.ip() == ip)
        };
        self.connections.iter().flatten().filter(strange).count()
    }

    fn accept(&mut self, registry: &Registry, now: Instant) {
        self.accept_again = None;
        loop {
            match self.listener.accept() {
                Ok((stream, address)) => {
                    let address = canonical(address);
                    let full = self.by_address.len() >= MAX_CONNECTIONS
                        || self.strangers(None) >= MAX_STRANGERS
                        || self.strangers(Some(address.ip())) >= MAX_STRANGERS_OF_ONE;
                    if full {
                        tracing::debug!(%address, "a TCP connection was refused: there are enough");
                    } else if let Err(error) = self.add(stream, address, registry, now) {
                        tracing::debug!(%address, %error, "a TCP connection was not taken");
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    // Out of file descriptors: there will be no new event for those waiting.
                    tracing::warn!(%error, "TCP connections can't be taken at the moment");
                    self.accept_again = Some(now + ACCEPT_AGAIN);
                    return;
                }
            }
        }
    }

    fn add(
        &mut self,
        mut stream: TcpStream,
        address: SocketAddr,
        registry: &Registry,
        now: Instant,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        socket2::SockRef::from(&stream).set_send_buffer_size(KERNEL_ROOM)?;
        let free = self.connections.iter().position(Option::is_none);
        let at = free.unwrap_or(self.connections.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(self.first + 1 + at), interest)?;
        let connection = Connection {
            stream,
            address,
            deframer: Deframer::default(),
            out: Vec::new(),
            sent: 0,
            writable: true,
            queued: false,
            unread: false,
            stranger_until: Some(now + INTRODUCTION),
            heard: now,
        };
        match self.connections.get_mut(at) {
            Some(place) => *place = Some(connection),
            None => self.connections.push(Some(connection)),
        }
        self.by_address.insert(address, at);
        self.next_check.get_or_insert(now + Duration::from_secs(1));
        Ok(())
    }

    fn read(&mut self, at: usize, now: Instant, mut each: impl FnMut(SocketAddr, &mut [u8])) {
        let Some(Some(connection)) = self.connections.get_mut(at) else { return };
        let mut left = READ_PER_TURN;
        let ended = loop {
            if left == 0 {
                if !std::mem::replace(&mut connection.unread, true) {
                    self.unread.push(at);
                }
                break false;
            }
            match connection.stream.read(&mut self.scratch) {
                Ok(0) => break true,
                Ok(n) => {
                    left = left.saturating_sub(n);
                    connection.heard = now;
                    let (address, bytes) = (connection.address, self.scratch.get_mut(..n));
                    let taken = connection
                        .deframer
                        .push(bytes.unwrap_or_default(), |datagram| each(address, datagram));
                    if let Err(error) = taken {
                        tracing::debug!(%address, %error, "a TCP connection is no peer's");
                        break true;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break false,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => break true,
            }
        };
        if ended {
            self.drop_connection(at);
        }
    }

    /// Closing the socket takes it off the poll as well.
    fn drop_connection(&mut self, at: usize) {
        if let Some(connection) = self.connections.get_mut(at).and_then(Option::take) {
            self.by_address.remove(&connection.address);
            self.queued.retain(|q| *q != at);
            self.unread.retain(|u| *u != at);
            self.closed.push(connection.address);
        }
    }
}

#[cfg(test)]
mod tests;
