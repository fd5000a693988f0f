//! UDP sockets as this tool needs them: many datagrams a system call in, each with the time
//! the kernel got it, and out in GSO bursts to many addresses at once.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

/// Asked for the receive buffer of a viewer: a group of pictures for a late joiner comes at
/// once, and takes about twice its size there.
pub const RECEIVE_BUFFER: usize = 4 << 20;
const SEND_BUFFER: usize = 4 << 20;

/// Most segments of one GSO send (UDP_MAX_SEGMENTS).
pub const MAX_SEGMENTS: usize = 64;
/// Most bytes of one GSO send.
pub const MAX_GROUP: usize = 65_000;

/// Messages of one system call, out.
const SEND_AT_ONCE: usize = 64;
/// Datagrams of one system call, in.
const RECEIVE_AT_ONCE: usize = 32;
/// Larger datagrams than any here.
const DATAGRAM: usize = 2048;
/// What the kernel coalesces under GRO at most.
const COALESCED: usize = 65_536;

/// Opens a non-blocking socket on any port of `ip`. With `gro` the kernel may hand over
/// several datagrams as one.
///
/// # Errors
/// The operating system's.
pub fn open(ip: IpAddr, gro: bool) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(ip, 0))?;
    socket.set_nonblocking(true)?;
    let fd = socket.as_raw_fd();
    // Root may pass the system's limit; others take what they get.
    if set(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER as i32).is_err() {
        set(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BUFFER as i32)?;
    }
    set(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, SEND_BUFFER as i32)?;
    set(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    if gro {
        set(fd, libc::SOL_UDP, libc::UDP_GRO, 1)?;
    }
    Ok(socket)
}

#[allow(unsafe_code)]
fn set(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the option's value is one int that outlives the call.
    let done = unsafe {
        libc::setsockopt(fd, level, name, (&raw const value).cast(), size_of::<i32>() as u32)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Room for the control messages used here.
#[repr(align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 128]);

/// Buffers to receive into, shared by all sockets of a thread.
pub struct Inbox {
    slots: Vec<Slot>,
    buffers: Vec<u8>,
    size: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    from: SocketAddr,
    len: usize,
    segment: usize,
    arrived_ns: u64,
}

/// What one place of an [`Inbox`] holds after receiving: one datagram, or several of one
/// sender and size, of which the last may be shorter.
pub struct Received<'a> {
    pub from: SocketAddr,
    /// When the kernel got it, nanoseconds since 1970.
    pub arrived_ns: u64,
    pub bytes: &'a mut [u8],
    /// Size of the datagrams in `bytes`.
    pub segment: usize,
}

impl Inbox {
    /// `gro` as the sockets were opened.
    #[must_use]
    pub fn new(gro: bool) -> Self {
        let (count, size) = if gro { (8, COALESCED) } else { (RECEIVE_AT_ONCE, DATAGRAM) };
        let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let empty = Slot { from: nobody, len: 0, segment: 0, arrived_ns: 0 };
        Self { slots: vec![empty; count], buffers: vec![0; count * size], size }
    }

    /// Receives what is there, up to the inbox's room. When fewer came than there is room for,
    /// the socket was empty.
    ///
    /// # Errors
    /// The operating system's, but for "nothing there".
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        match self.system_call(socket.as_raw_fd()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    #[allow(unsafe_code)]
    fn system_call(&mut self, fd: RawFd) -> io::Result<usize> {
        let count = self.slots.len().min(RECEIVE_AT_ONCE);
        // SAFETY: all-zero is a valid value of these C structures.
        let (mut names, mut vectors, mut headers): (
            [libc::sockaddr_storage; RECEIVE_AT_ONCE],
            [libc::iovec; RECEIVE_AT_ONCE],
            [libc::mmsghdr; RECEIVE_AT_ONCE],
        ) = unsafe { zeroed() };
        let mut controls = [Control([0; 128]); RECEIVE_AT_ONCE];
        for (n, buffer) in self.buffers.chunks_exact_mut(self.size).take(count).enumerate() {
            vectors[n] =
                libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            let header = &mut headers[n].msg_hdr;
            header.msg_name = (&raw mut names[n]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
            header.msg_iov = &raw mut vectors[n];
            header.msg_iovlen = 1;
            header.msg_control = controls[n].0.as_mut_ptr().cast();
            header.msg_controllen = controls[n].0.len();
        }
        // SAFETY: every header points to a name, a vector, a control buffer and, through the
        // vector, a part of our own buffer, all of which outlive the call and are of the
        // lengths said.
        let received = unsafe {
            libc::recvmmsg(
                fd,
                headers.as_mut_ptr(),
                count as u32,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for n in 0..received {
            let len = headers[n].msg_len as usize;
            // SAFETY: the kernel filled in this header and what it points to.
            let (arrived_ns, segment) = unsafe { told(&headers[n].msg_hdr) };
            let from = address(&names[n]);
            self.slots[n] = Slot { from, len, segment: segment.unwrap_or(len), arrived_ns };
        }
        Ok(received)
    }

    /// The `n`th of what was received last.
    pub fn get(&mut self, n: usize) -> Received<'_> {
        let Slot { from, len, segment, arrived_ns } = self.slots[n];
        let start = n * self.size;
        let bytes = &mut self.buffers[start..start + len];
        Received { from, arrived_ns, bytes, segment: segment.max(1) }
    }

    /// Datagrams there is room for, or bursts of them.
    #[must_use]
    pub fn room(&self) -> usize {
        self.slots.len()
    }
}

/// The time of arrival, and the size of segments when there are several.
///
/// # Safety
/// The header's control pointer and length must be those of a buffer the kernel has filled.
#[allow(unsafe_code)]
unsafe fn told(header: &libc::msghdr) -> (u64, Option<usize>) {
    let (mut arrived, mut segment) = (0, None);
    // SAFETY: the caller promises a control buffer as the kernel writes it, which is what
    // these walk and what is read from it.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let data = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let time: libc::timespec = ptr::read_unaligned(data.cast());
                    arrived = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size: i32 = ptr::read_unaligned(data.cast());
                    segment = usize::try_from(size).ok();
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    (arrived, segment)
}

#[allow(unsafe_code)]
fn address(name: &libc::sockaddr_storage) -> SocketAddr {
    // SAFETY: a sockaddr_storage is as large and aligned as any address, and the family says
    // which one it holds.
    unsafe {
        if i32::from(name.ss_family) == libc::AF_INET6 {
            let name: &libc::sockaddr_in6 = &*ptr::from_ref(name).cast();
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            SocketAddr::new(ip.into(), u16::from_be(name.sin6_port))
        } else {
            let name: &libc::sockaddr_in = &*ptr::from_ref(name).cast();
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            SocketAddr::new(ip.into(), u16::from_be(name.sin_port))
        }
    }
}

/// An address as the kernel takes it.
#[derive(Clone, Copy)]
pub struct Name {
    storage: libc::sockaddr_storage,
    len: u32,
}

impl From<SocketAddr> for Name {
    #[allow(unsafe_code)]
    fn from(address: SocketAddr) -> Self {
        // SAFETY: all-zero is a valid sockaddr_storage, and it is as large and aligned as any
        // address that is written into it.
        unsafe {
            let mut storage: libc::sockaddr_storage = zeroed();
            let len = match address {
                SocketAddr::V4(v4) => {
                    let name: &mut libc::sockaddr_in = &mut *(&raw mut storage).cast();
                    name.sin_family = libc::AF_INET as u16;
                    name.sin_port = v4.port().to_be();
                    name.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
                    size_of::<libc::sockaddr_in>()
                }
                SocketAddr::V6(v6) => {
                    let name: &mut libc::sockaddr_in6 = &mut *(&raw mut storage).cast();
                    name.sin6_family = libc::AF_INET6 as u16;
                    name.sin6_port = v6.port().to_be();
                    name.sin6_addr.s6_addr = v6.ip().octets();
                    size_of::<libc::sockaddr_in6>()
                }
            };
            Self { storage, len: len as u32 }
        }
    }
}

/// Datagrams to one address, next to each other in a buffer: all of `segment` bytes but the
/// last, which may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// Which of the names given.
    pub to: usize,
    pub start: usize,
    pub end: usize,
    pub segment: usize,
}

/// Sends all of `bursts`, whose bytes are in `bytes`. Returns how many bursts the kernel
/// refused.
pub fn send(socket: &UdpSocket, bytes: &[u8], bursts: &[Burst], names: &[Name]) -> usize {
    bursts.chunks(SEND_AT_ONCE).map(|chunk| send_chunk(socket, bytes, chunk, names)).sum()
}

#[allow(unsafe_code)]
fn send_chunk(socket: &UdpSocket, bytes: &[u8], bursts: &[Burst], names: &[Name]) -> usize {
    // SAFETY: all-zero is a valid value of these C structures.
    let (mut vectors, mut headers): ([libc::iovec; SEND_AT_ONCE], [libc::mmsghdr; SEND_AT_ONCE]) =
        unsafe { zeroed() };
    let mut controls = [Control([0; 128]); SEND_AT_ONCE];
    for (n, burst) in bursts.iter().enumerate() {
        let contents = &bytes[burst.start..burst.end];
        let name = &names[burst.to];
        vectors[n] =
            libc::iovec { iov_base: contents.as_ptr().cast_mut().cast(), iov_len: contents.len() };
        let header = &mut headers[n].msg_hdr;
        header.msg_name = (&raw const name.storage).cast_mut().cast();
        header.msg_namelen = name.len;
        header.msg_iov = &raw mut vectors[n];
        header.msg_iovlen = 1;
        if contents.len() > burst.segment {
            header.msg_control = controls[n].0.as_mut_ptr().cast();
            // SAFETY: the control buffer is larger than one message of two bytes, and aligned
            // for it.
            unsafe {
                header.msg_controllen = libc::CMSG_SPACE(size_of::<u16>() as u32) as usize;
                let message = libc::CMSG_FIRSTHDR(header);
                (*message).cmsg_level = libc::SOL_UDP;
                (*message).cmsg_type = libc::UDP_SEGMENT;
                (*message).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as usize;
                ptr::write_unaligned(libc::CMSG_DATA(message).cast(), burst.segment as u16);
            }
        }
    }
    let (mut done, mut refused) = (0, 0);
    while done < bursts.len() {
        // SAFETY: the headers point to names, vectors, control buffers and bytes that outlive
        // the call; sendmmsg writes to none of them but the headers.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                headers[done..].as_mut_ptr(),
                (bursts.len() - done) as u32,
                0,
            )
        };
        match usize::try_from(sent) {
            Ok(sent) if sent > 0 => done += sent,
            // The first of them was refused; the others have their turn.
            _ => {
                refused += 1;
                done += 1;
            }
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::clock::wall_ns;

    fn pair(gro: bool) -> (UdpSocket, UdpSocket) {
        let ip = Ipv4Addr::LOCALHOST.into();
        (open(ip, false).unwrap(), open(ip, gro).unwrap())
    }

    fn receive_all(inbox: &mut Inbox, socket: &UdpSocket) -> Vec<(u64, Vec<u8>)> {
        let mut all = Vec::new();
        for n in 0..inbox.receive(socket).unwrap() {
            let received = inbox.get(n);
            let at = received.arrived_ns;
            all.extend(received.bytes.chunks(received.segment).map(|d| (at, d.to_vec())));
        }
        all
    }

    #[test]
    fn bursts_arrive_as_datagrams_with_their_time() {
        for gro in [false, true] {
            let (here, there) = pair(gro);
            let (other, _) = pair(false);
            let names = [there.local_addr().unwrap(), other.local_addr().unwrap()].map(Name::from);
            let bytes: Vec<u8> = (0..700).map(|n| (n / 100) as u8).collect();
            let bursts = [
                Burst { to: 0, start: 0, end: 350, segment: 100 },
                Burst { to: 1, start: 400, end: 500, segment: 100 },
            ];
            let before = wall_ns();
            assert_eq!(send(&here, &bytes, &bursts, &names), 0);
            let after = wall_ns();
            let got = receive_all(&mut Inbox::new(gro), &there);
            let sizes: Vec<_> = got.iter().map(|(_, d)| (d.len(), d[0])).collect();
            assert_eq!(sizes, [(100, 0), (100, 1), (100, 2), (50, 3)], "gro: {gro}");
            assert!(got.iter().all(|(at, _)| (before..=after).contains(at)));
            let got = receive_all(&mut Inbox::new(false), &other);
            assert_eq!(got.len(), 1);
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_counted_and_the_rest_is_sent() {
        let (here, there) = pair(false);
        let names = [SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0), there.local_addr().unwrap()]
            .map(Name::from);
        let burst = |to| Burst { to, start: 0, end: 10, segment: 10 };
        assert_eq!(send(&here, &[0; 10], &[burst(0), burst(1)], &names), 1);
        assert_eq!(Inbox::new(false).receive(&there).unwrap(), 1);
    }

    #[test]
    fn an_empty_socket_gives_nothing() {
        let (_, there) = pair(false);
        assert_eq!(Inbox::new(false).receive(&there).unwrap(), 0);
    }

    #[test]
    fn addresses_of_both_families_survive() {
        for text in ["127.0.0.1:5000", "[::1]:5001"] {
            let here: SocketAddr = text.parse().unwrap();
            assert_eq!(address(&Name::from(here).storage), here);
        }
    }
}
