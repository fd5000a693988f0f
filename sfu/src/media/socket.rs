//! A shard's UDP socket: many datagrams a system call in (recvmmsg, GRO) and out (GSO).

use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

/// Room for one receive: the kernel may hand over 64 coalesced datagrams of 1,500 bytes.
const RECEIVE_BYTES: usize = 64 * 1500;

/// Socket buffers asked for: a keyframe to 500 viewers is 25 MB in one turn, of which the
/// kernel must take what the NIC has not sent yet.
const SOCKET_BUFFER: usize = 8 << 20;

/// Largest GSO send: the kernel's limit on a UDP datagram's length.
const MAX_GROUP_BYTES: usize = 65_000;

/// The socket and its receive buffers.
pub struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    buffers: Vec<Vec<u8>>,
    local: SocketAddr,
}

impl Socket {
    /// Binds `address`.
    ///
    /// # Errors
    /// The operating system's, with the address named.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("UDP {address}: {e}"));
        let io = UdpSocket::bind(address).map_err(named)?;
        let local = io.local_addr()?;
        let state = UdpSocketState::new(UdpSockRef::from(&io))?;
        // The kernel caps both at its own limits; a smaller buffer only costs bursts.
        for result in [
            state.set_send_buffer_size(UdpSockRef::from(&io), SOCKET_BUFFER),
            state.set_recv_buffer_size(UdpSockRef::from(&io), SOCKET_BUFFER),
        ] {
            if let Err(error) = result {
                tracing::warn!(%error, "socket buffers stay small");
            }
        }
        let size = RECEIVE_BYTES.max(state.gro_segments() * 1500);
        Ok(Self { io, state, buffers: vec![vec![0; size]; BATCH_SIZE], local })
    }

    /// The address bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The socket, to register for readiness.
    pub fn source(&mut self) -> &mut UdpSocket {
        &mut self.io
    }

    /// Most segments of one GSO send.
    #[must_use]
    pub fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Receives what is there, up to one system call's worth, and hands each datagram to
    /// `each`. Returns how many came; 0 when nothing is left.
    ///
    /// # Errors
    /// The operating system's, but for "nothing there".
    pub fn receive(&mut self, mut each: impl FnMut(SocketAddr, &[u8])) -> io::Result<usize> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut slices: Vec<IoSliceMut<'_>> =
            self.buffers.iter_mut().map(|b| IoSliceMut::new(b)).collect();
        let received = match self.state.recv(UdpSockRef::from(&self.io), &mut slices, &mut metas) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(e) => return Err(e),
        };
        let mut count = 0;
        for (meta, buffer) in metas.iter().zip(&self.buffers).take(received) {
            let bytes = buffer.get(..meta.len).unwrap_or_default();
            for datagram in bytes.chunks(meta.stride.max(1)) {
                count += 1;
                each(meta.addr, datagram);
            }
        }
        Ok(count)
    }

    /// Sends all of `outbox` and empties it. Returns how many datagrams the kernel refused.
    pub fn send(&self, outbox: &mut Outbox) -> u64 {
        let mut refused = 0;
        for group in &outbox.groups {
            let Some(contents) = outbox.bytes.get(group.start..group.end) else { continue };
            let whole = (group.packets > 1).then_some(group.segment);
            if self.transmit(group.to, contents, whole) {
                continue;
            }
            if whole.is_none() {
                refused += 1;
                continue;
            }
            // Some interfaces take no GSO: the same, one by one.
            for segment in contents.chunks(group.segment) {
                refused += u64::from(!self.transmit(group.to, segment, None));
            }
        }
        outbox.max_segments = self.max_segments();
        outbox.groups.clear();
        outbox.bytes.clear();
        refused
    }

    fn transmit(&self, to: SocketAddr, contents: &[u8], segment_size: Option<usize>) -> bool {
        let transmit =
            Transmit { destination: to, ecn: None, contents, segment_size, src_ip: None };
        match self.state.try_send(UdpSockRef::from(&self.io), &transmit) {
            Ok(()) => true,
            Err(error) => {
                tracing::trace!(%to, %error, "datagrams were not sent");
                false
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Group {
    to: SocketAddr,
    start: usize,
    end: usize,
    segment: usize,
    packets: usize,
    closed: bool,
}

/// Datagrams of one turn, grouped for GSO: consecutive ones to one destination, all of one
/// size but the last, which may be shorter.
#[derive(Debug)]
pub struct Outbox {
    bytes: Vec<u8>,
    groups: Vec<Group>,
    max_segments: usize,
}

impl Outbox {
    /// An empty outbox for a socket that sends at most `max_segments` at once.
    #[must_use]
    pub fn new(max_segments: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(1 << 20),
            groups: Vec::with_capacity(1024),
            max_segments: max_segments.max(1),
        }
    }

    /// Adds a datagram of `len` bytes to `to`, written by `fill`; nothing is added when `fill`
    /// returns false.
    pub fn push(&mut self, to: SocketAddr, len: usize, fill: impl FnOnce(&mut [u8]) -> bool) {
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        let filled = self.bytes.get_mut(start..).is_some_and(fill);
        if !filled {
            self.bytes.truncate(start);
            return;
        }
        let end = start + len;
        if let Some(last) = self.groups.last_mut() {
            let fits = !last.closed
                && last.to == to
                && len <= last.segment
                && last.packets < self.max_segments
                && end - last.start <= MAX_GROUP_BYTES;
            if fits {
                last.end = end;
                last.packets += 1;
                last.closed = len < last.segment;
                return;
            }
        }
        self.groups.push(Group { to, start, end, segment: len, packets: 1, closed: false });
    }

    /// Takes out every datagram by itself, as the wire would carry it.
    #[cfg(test)]
    pub fn drain(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let bytes = std::mem::take(&mut self.bytes);
        let split = |g: &Group| {
            let pieces = bytes.get(g.start..g.end).unwrap_or_default().chunks(g.segment);
            pieces.map(|p| (g.to, p.to_vec())).collect::<Vec<_>>()
        };
        self.groups.drain(..).flat_map(|g| split(&g)).collect()
    }

    /// Bytes waiting.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sizes_to_one_viewer_make_one_send_and_the_last_may_be_shorter() {
        let mut outbox = Outbox::new(64);
        let (a, b) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        for (to, len) in [(a, 100), (a, 100), (a, 60), (a, 60), (b, 60), (b, 90)] {
            outbox.push(to, len, |_| true);
        }
        let packets: Vec<_> = outbox.groups.iter().map(|g| g.packets).collect();
        assert_eq!(packets, [3, 1, 1, 1]);
    }

    #[test]
    fn every_datagram_arrives_whole() {
        let mut here = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let there = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = there.local_addr().unwrap();
        let mut outbox = Outbox::new(here.max_segments());
        for i in 0..10u8 {
            outbox.push(to, if i == 9 { 300 } else { 1200 }, |b| {
                b.fill(i);
                true
            });
        }
        outbox.push(to, 50, |_| false);
        assert_eq!(here.send(&mut outbox), 0);
        let mut buffer = [0; 2000];
        for i in 0..10u8 {
            let n = there.recv(&mut buffer).unwrap();
            assert_eq!((n, buffer[0]), (if i == 9 { 300 } else { 1200 }, i));
        }
        there.send_to(b"hello", here.local_addr()).unwrap();
        let mut poll = mio::Poll::new().unwrap();
        poll.registry().register(here.source(), mio::Token(0), mio::Interest::READABLE).unwrap();
        poll.poll(&mut mio::Events::with_capacity(4), None).unwrap();
        let mut got = Vec::new();
        here.receive(|from, bytes| got.push((from, bytes.to_vec()))).unwrap();
        assert_eq!(got, [(to, b"hello".to_vec())]);
    }
}
