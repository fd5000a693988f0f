//! Marks what a trunk sends, so that a school's router can let lessons go first: the six bits
//! of DSCP (RFC 2474) beside the two of ECN that QUIC uses.
//!
//! quinn writes the whole byte with every datagram and leaves DSCP zero, whatever the socket
//! says. This sends in its place; receiving stays quinn's.

use quinn::udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A differentiated services codepoint, 0–63.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dscp(u8);

/// It is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no DSCP: it is 0 to 63, or a name as ef, af41, cs5")]
pub struct BadDscp(String);

impl Dscp {
    /// The codepoint with this number.
    ///
    /// # Errors
    /// [`BadDscp`] above 63.
    pub fn new(number: u8) -> Result<Self, BadDscp> {
        if number < 64 { Ok(Self(number)) } else { Err(BadDscp(number.to_string())) }
    }

    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl FromStr for Dscp {
    type Err = BadDscp;

    /// A number or a name: `ef` (RFC 3246), `af11` to `af43` (RFC 2597), `cs0` to `cs7`.
    fn from_str(text: &str) -> Result<Self, BadDscp> {
        let bad = || BadDscp(text.to_owned());
        let name = text.trim().to_ascii_lowercase();
        if let Ok(number) = name.parse() {
            return Self::new(number).map_err(|_| bad());
        }
        match name.as_bytes() {
            b"ef" => Ok(Self(46)),
            [b'c', b's', class @ b'0'..=b'7'] => Ok(Self((class - b'0') * 8)),
            [b'a', b'f', class @ b'1'..=b'4', drop @ b'1'..=b'3'] => {
                Ok(Self((class - b'0') * 8 + (drop - b'0') * 2))
            }
            _ => Err(bad()),
        }
    }
}

/// A socket that marks what it sends.
pub struct MarkingSocket {
    io: UdpSocket,
    state: UdpSocketState,
    dscp: Dscp,
}

impl MarkingSocket {
    /// In place of a socket that does not block.
    pub fn over(socket: std::net::UdpSocket, dscp: Dscp) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Arc::new(Self { io: UdpSocket::from_std(socket)?, state, dscp }))
    }
}

impl AsyncUdpSocket for MarkingSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable { socket: self, waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let ecn = transmit.ecn.map_or(0, |ecn| ecn as u8);
        let tos = self.dscp.0 << 2 | ecn;
        let sent = self.io.try_io(Interest::WRITABLE, || send(self.io.as_raw_fd(), transmit, tos));
        match sent {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(e),
            // A datagram that was lost, as QUIC sees it: among them the large ones that look
            // for the path's MTU.
            Err(error) => {
                tracing::debug!(%error, to = %transmit.destination, "a datagram was not sent");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let received = self.io.try_io(Interest::READABLE, || {
                self.state.recv(UdpSockRef::from(&self.io), buffers, meta)
            });
            if let Ok(received) = received {
                return Poll::Ready(Ok(received));
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

impl fmt::Debug for MarkingSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MarkingSocket").field("dscp", &self.dscp).finish_non_exhaustive()
    }
}

type Waiting = Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>;

/// Waits until the kernel takes datagrams again.
struct Writable {
    socket: Arc<MarkingSocket>,
    waiting: Option<Waiting>,
}

impl UdpPoller for Writable {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.socket.clone();
        let waiting =
            self.waiting.get_or_insert_with(|| Box::pin(async move { socket.io.writable().await }));
        let ready = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(ready)
    }
}

impl fmt::Debug for Writable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writable").finish_non_exhaustive()
    }
}

/// Room for the three control messages of a datagram, aligned as they must be.
#[repr(align(8))]
struct Control([u8; 128]);

/// sendmsg(2) with the byte of DSCP and ECN, the source address (ip(7), `IP_PKTINFO`) and the
/// size of segments (udp(7), `UDP_SEGMENT`).
#[allow(unsafe_code)]
fn send(socket: RawFd, transmit: &Transmit<'_>, tos: u8) -> io::Result<()> {
    let to = socket2::SockAddr::from(transmit.destination);
    let mut control = Control([0; 128]);
    let mut data = libc::iovec {
        iov_base: transmit.contents.as_ptr().cast_mut().cast(),
        iov_len: transmit.contents.len(),
    };
    // SAFETY: all of msghdr's fields may be zero.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = to.as_ptr().cast_mut().cast();
    message.msg_namelen = to.len();
    message.msg_iov = &raw mut data;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    let mut used = 0;
    // SAFETY: `message` points to `control`, which is aligned, outlives it and has room for
    // what is pushed: at most three messages of 4, 20 and 2 bytes and their headers.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(&raw const message);
        let mut push = |level: i32, kind: i32, value: &[u8]| {
            let Some(header) = next.as_mut() else { return };
            header.cmsg_level = level;
            header.cmsg_type = kind;
            header.cmsg_len = libc::CMSG_LEN(value.len() as u32) as _;
            value.as_ptr().copy_to_nonoverlapping(libc::CMSG_DATA(next), value.len());
            used += libc::CMSG_SPACE(value.len() as u32) as usize;
            next = libc::CMSG_NXTHDR(&raw const message, next);
        };
        let tos = i32::from(tos).to_ne_bytes();
        match transmit.destination.ip().to_canonical() {
            IpAddr::V4(_) => push(libc::IPPROTO_IP, libc::IP_TOS, &tos),
            IpAddr::V6(_) => push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &tos),
        }
        match transmit.src_ip {
            Some(IpAddr::V4(from)) => {
                // in_pktinfo: interface, address to send from, destination (not read).
                let mut info = [0; 12];
                if let Some(at) = info.get_mut(4..8) {
                    at.copy_from_slice(&from.octets());
                }
                push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            Some(IpAddr::V6(from)) => {
                // in6_pktinfo: address to send from, interface.
                let mut info = [0; 20];
                if let Some(at) = info.first_chunk_mut() {
                    *at = from.octets();
                }
                push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            None => {}
        }
        if let Some(size) = transmit.segment_size.and_then(|size| u16::try_from(size).ok())
            && usize::from(size) < transmit.contents.len()
        {
            push(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
        }
    }
    message.msg_controllen = used as _;
    loop {
        // SAFETY: everything `message` points to is alive, and the kernel only reads it.
        if unsafe { libc::sendmsg(socket, &raw const message, 0) } >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quinn::udp::EcnCodepoint;

    #[test]
    fn codepoints_have_numbers_and_names() {
        for (text, number) in
            [("46", 46), ("EF", 46), ("af41", 34), ("af13", 14), ("cs5", 40), ("0", 0), ("63", 63)]
        {
            assert_eq!(text.parse::<Dscp>().unwrap().number(), number, "{text}");
        }
        for bad in ["", "64", "af44", "af51", "cs8", "-1", "best"] {
            assert!(bad.parse::<Dscp>().is_err(), "{bad}");
        }
    }

    /// What arrives of a send: bytes, DSCP and ECN together.
    async fn sent(
        from: &str,
        transmit: impl Fn(SocketAddr) -> Transmit<'static>,
    ) -> Vec<(usize, u8)> {
        let bind = || std::net::UdpSocket::bind(from).unwrap();
        let (sender, receiver) = (bind(), bind());
        sender.set_nonblocking(true).unwrap();
        let to = receiver.local_addr().unwrap();
        let seen = socket2::SockRef::from(&receiver);
        match to {
            SocketAddr::V4(_) => seen.set_recv_tos_v4(true).unwrap(),
            SocketAddr::V6(_) => seen.set_recv_tclass_v6(true).unwrap(),
        }
        receiver.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        let socket = MarkingSocket::over(sender, Dscp(46)).unwrap();
        let transmit = transmit(to);
        let count = transmit.contents.len().div_ceil(transmit.segment_size.unwrap_or(usize::MAX));
        // One poller for all polls: another each time would forget who is to be woken.
        let mut poller = socket.clone().create_io_poller();
        std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx)).await.unwrap();
        socket.try_send(&transmit).unwrap();
        (0..count).map(|_| receive(&receiver)).collect()
    }

    #[allow(unsafe_code)]
    fn receive(socket: &std::net::UdpSocket) -> (usize, u8) {
        let (mut bytes, mut control) = ([0u8; 4096], Control([0; 128]));
        let mut data = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        // SAFETY: as for sending; the kernel writes into the two buffers above.
        unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = &raw mut data;
            message.msg_iovlen = 1;
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = control.0.len();
            let read = libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0);
            let read = usize::try_from(read).expect("a datagram");
            let first = libc::CMSG_FIRSTHDR(&raw const message);
            (read, *libc::CMSG_DATA(first))
        }
    }

    #[tokio::test]
    async fn every_datagram_bears_the_mark_and_keeps_quics_own_bits() {
        static CONTENTS: [u8; 3000] = [7; 3000];
        for from in ["127.0.0.1:0", "[::1]:0"] {
            let one = |to| Transmit {
                destination: to,
                ecn: Some(EcnCodepoint::Ect0),
                contents: &CONTENTS[..1200],
                segment_size: None,
                src_ip: None,
            };
            assert_eq!(sent(from, one).await, [(1200, 46 << 2 | 0b10)], "{from}");
            let many = |to: SocketAddr| Transmit {
                destination: to,
                ecn: None,
                contents: &CONTENTS,
                segment_size: Some(1200),
                src_ip: Some(to.ip()),
            };
            let each = [(1200, 46 << 2), (1200, 46 << 2), (600, 46 << 2)];
            assert_eq!(sent(from, many).await, each, "{from}");
        }
    }
}
