//! A shard's UDP socket: many datagrams a system call in (recvmmsg, GRO) and out (GSO,
//! sendmmsg).

use super::outbox::{Group, Outbox};
use super::sendmmsg::{self, Message};
use crate::peer::Transport;
use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsFd;

/// Room for one receive: the kernel may hand over 64 coalesced datagrams of 1,500 bytes.
const RECEIVE_BYTES: usize = 64 * 1500;

/// Socket buffers asked for: a keyframe to 500 viewers is 25 MB in one turn, of which the
/// kernel must take what the NIC has not sent yet.
const SOCKET_BUFFER: usize = 8 << 20;

/// Binds a socket; one on all IPv6 addresses takes IPv4 as well, so that a node has one port.
fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::DGRAM,
        Some(socket2::Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// What a receive hands over: first all addresses that datagrams came from, twice, so that
/// what is known of them can be fetched meanwhile; then the datagrams themselves.
pub enum Step<'a> {
    Coming(SocketAddr),
    Next(SocketAddr),
    /// What came from one address together: datagrams one behind the other, each but the last
    /// of this length.
    Datagrams(SocketAddr, &'a mut [u8], usize),
}

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
        let io = bind(address).map_err(named)?;
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

    /// Receives what is there, up to one system call's worth, and hands `each` what came, step by
    /// step. Returns whether there may be more: a call that brought less than it had room for
    /// found the socket empty.
    ///
    /// # Errors
    /// The operating system's, but for "nothing there".
    pub fn receive(&mut self, mut each: impl FnMut(Step<'_>)) -> io::Result<bool> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut slices = self.buffers.iter_mut().map(|b| IoSliceMut::new(b));
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| slices.next().unwrap_or(IoSliceMut::new(&mut [])));
        let received = match self.state.recv(UdpSockRef::from(&self.io), &mut slices, &mut metas) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) => return Err(e),
        };
        let came = metas.get(..received).unwrap_or_default();
        if came.len() > 1 {
            came.iter().for_each(|meta| each(Step::Coming(canonical(meta.addr))));
            came.iter().for_each(|meta| each(Step::Next(canonical(meta.addr))));
        }
        for (meta, buffer) in came.iter().zip(&mut self.buffers) {
            let bytes = buffer.get_mut(..meta.len).unwrap_or_default();
            each(Step::Datagrams(canonical(meta.addr), bytes, meta.stride.max(1)));
        }
        Ok(received == BATCH_SIZE)
    }

    /// Sends all of `outbox` and empties it; what goes by TCP is handed to `tcp`, which says
    /// whether it took it. Returns how many datagrams were not taken.
    pub fn send(&self, outbox: &mut Outbox, mut tcp: impl FnMut(SocketAddr, &[u8]) -> bool) -> u64 {
        let mut refused = 0;
        let by_tcp = |group: &&Group| group.to.transport == Transport::Tcp;
        for group in outbox.groups().iter().filter(by_tcp) {
            for datagram in outbox.contents(group).chunks(group.segment) {
                refused += u64::from(!tcp(group.to.address, datagram));
            }
        }
        let message = |group: &Group| Message {
            to: self.reachable(group.to.address),
            contents: outbox.contents(group),
            segment: u16::try_from(group.segment).ok().filter(|_| group.packets > 1),
        };
        let mut messages = outbox.groups().iter().filter(|g| !by_tcp(g)).map(message);
        while let Some(first) = messages.clone().next() {
            let taken = match sendmmsg::send(self.io.as_fd(), messages.clone()) {
                Ok(taken) => taken,
                Err(error) => {
                    tracing::trace!(%error, "datagrams were not sent");
                    refused += self.one_by_one(&first);
                    1
                }
            };
            messages.nth(taken.max(1) - 1);
        }
        outbox.clear(self.max_segments());
        refused
    }

    /// Some interfaces take no GSO: the same, one by one. Returns how many were refused.
    fn one_by_one(&self, message: &Message<'_>) -> u64 {
        let Some(segment) = message.segment else { return 1 };
        let mut refused = 0;
        for contents in message.contents.chunks(usize::from(segment).max(1)) {
            let single = Message { to: message.to, contents, segment: None };
            let sent = sendmmsg::send(self.io.as_fd(), [single].into_iter());
            refused += u64::from(sent.is_err());
        }
        refused
    }

    /// An address as this socket takes it.
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match (to, self.local) {
            (SocketAddr::V4(v4), SocketAddr::V6(_)) => {
                SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port()))
            }
            _ => to,
        }
    }
}

/// An IPv4 address is one, also where it comes by a socket for both families.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Route;

    #[test]
    fn every_datagram_arrives_whole() {
        let mut here = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let there = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = there.local_addr().unwrap();
        let mut outbox = Outbox::new(here.max_segments());
        for i in 0..10u8 {
            let len = if i == 9 { 300 } else { 1200 };
            outbox.push(Route::udp(to), |out| {
                out.resize(out.len() + len, i);
                true
            });
        }
        outbox.push(Route::tcp(to), |out| {
            out.push(7);
            true
        });
        let mut by_tcp = Vec::new();
        let refused = here.send(&mut outbox, |to, datagram| {
            by_tcp.push((to, datagram.to_vec()));
            true
        });
        assert_eq!((refused, by_tcp), (0, vec![(to, vec![7])]));
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
        let left = here.receive(|step| {
            if let Step::Datagrams(from, bytes, length) = step {
                got.push((from, bytes.to_vec(), length));
            }
        });
        assert!(!left.unwrap(), "the socket is empty");
        assert_eq!(got, [(to, b"hello".to_vec(), 5)]);
    }

    #[test]
    fn a_socket_for_both_families_speaks_of_addresses_as_they_are() {
        let mut here = Socket::bind("[::]:0".parse().unwrap()).unwrap();
        let there = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let here_at = SocketAddr::from(([127, 0, 0, 1], here.local_addr().port()));
        there.send_to(b"hello", here_at).unwrap();
        let mut poll = mio::Poll::new().unwrap();
        poll.registry().register(here.source(), mio::Token(0), mio::Interest::READABLE).unwrap();
        poll.poll(&mut mio::Events::with_capacity(4), None).unwrap();
        let mut from = None;
        here.receive(|step| {
            if let Step::Datagrams(address, ..) = step {
                from = Some(address);
            }
        })
        .unwrap();
        assert_eq!(from, Some(there.local_addr().unwrap()));
        let mut outbox = Outbox::new(here.max_segments());
        outbox.push(Route::udp(there.local_addr().unwrap()), |out| {
            out.extend_from_slice(b"back");
            true
        });
        assert_eq!(here.send(&mut outbox, |_, _| false), 0);
        let mut buffer = [0; 20];
        assert_eq!(there.recv(&mut buffer).unwrap(), 4);
    }
}
