//! One system call for many sends, each to an address of its own and each, by GSO, of several
//! datagrams. quinn-udp sends to one address a call.

use std::io;
use std::mem::zeroed;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sends of one call.
pub const AT_ONCE: usize = 64;

/// Room for one control message of two bytes, aligned as the kernel wants it.
#[repr(align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 24]);

/// Datagrams to one address, one behind the other.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    pub to: SocketAddr,
    pub contents: &'a [u8],
    /// Length of each but the last; `None` for a single one.
    pub segment: Option<u16>,
}

/// Sends up to [`AT_ONCE`] messages, in order, and allocates nothing. Returns how many the
/// kernel took: at least one, where there is one.
///
/// # Errors
/// The operating system's, when it did not take the first.
#[allow(unsafe_code)]
pub fn send<'a>(
    socket: BorrowedFd<'_>,
    messages: impl Iterator<Item = Message<'a>>,
) -> io::Result<usize> {
    // SAFETY: all zeros are a valid value of these C structures.
    let (mut names, mut vectors, mut headers): (
        [libc::sockaddr_in6; AT_ONCE],
        [libc::iovec; AT_ONCE],
        [libc::mmsghdr; AT_ONCE],
    ) = unsafe { (zeroed(), zeroed(), zeroed()) };
    let mut controls = [Control([0; 24]); AT_ONCE];
    let mut count = 0;
    let places = names.iter_mut().zip(&mut vectors).zip(&mut headers).zip(&mut controls);
    for (message, (((name, vector), header), control)) in messages.zip(places) {
        count += 1;
        let header = &mut header.msg_hdr;
        header.msg_namelen = write_name(name, message.to);
        header.msg_name = (name as *mut libc::sockaddr_in6).cast();
        vector.iov_base = message.contents.as_ptr().cast_mut().cast();
        vector.iov_len = message.contents.len();
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        let Some(segment) = message.segment else { continue };
        header.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: the control buffer holds CMSG_SPACE(2) = 24 bytes and is aligned for its
        // header, so the first header and the two bytes behind it lie inside it.
        unsafe {
            header.msg_controllen = libc::CMSG_SPACE(size_of::<u16>() as u32) as usize;
            let first = libc::CMSG_FIRSTHDR(header);
            (*first).cmsg_level = libc::SOL_UDP;
            (*first).cmsg_type = libc::UDP_SEGMENT;
            (*first).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as usize;
            libc::CMSG_DATA(first).cast::<u16>().write_unaligned(segment);
        }
    }
    // SAFETY: `count` headers were filled in with pointers to names, vectors and control buffers
    // above and to contents the messages borrow for 'a, all of which live until the call returns;
    // it writes to nothing but the headers.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Writes an address as the kernel reads it. Returns its length.
#[allow(unsafe_code)]
fn write_name(name: &mut libc::sockaddr_in6, to: SocketAddr) -> libc::socklen_t {
    match to {
        SocketAddr::V4(to) => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: to.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*to.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: an IPv4 address's structure is the shorter one and no more strictly
            // aligned; the kernel tells them apart by the family, their first field.
            unsafe { (name as *mut libc::sockaddr_in6).cast::<libc::sockaddr_in>().write(v4) };
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(to) => {
            name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            name.sin6_port = to.port().to_be();
            name.sin6_flowinfo = to.flowinfo();
            name.sin6_addr = libc::in6_addr { s6_addr: to.ip().octets() };
            name.sin6_scope_id = to.scope_id();
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn each_viewer_gets_its_own_whole_datagrams() {
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        let there: Vec<_> = (0..70).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let contents: Vec<Vec<u8>> = (0..70u8).map(|n| vec![n; 2500]).collect();
        let messages: Vec<_> = there
            .iter()
            .zip(&contents)
            .enumerate()
            .map(|(n, (socket, contents))| Message {
                to: socket.local_addr().unwrap(),
                contents: if n % 2 == 0 { contents } else { &contents[..900] },
                segment: (n % 2 == 0).then_some(1000),
            })
            .collect();
        assert_eq!(send(here.as_fd(), messages.iter().copied()).unwrap(), AT_ONCE);
        assert_eq!(send(here.as_fd(), messages[AT_ONCE..].iter().copied()).unwrap(), 6);
        let mut buffer = [0; 3000];
        for (n, socket) in there.iter().enumerate() {
            let expected: &[usize] = if n % 2 == 0 { &[1000, 1000, 500] } else { &[900] };
            for len in expected {
                assert_eq!((socket.recv(&mut buffer).unwrap(), buffer[0]), (*len, n as u8));
            }
        }
    }

    #[test]
    fn addresses_of_both_families_are_written_as_the_kernel_reads_them() {
        let here = UdpSocket::bind("[::1]:0").unwrap();
        let there = UdpSocket::bind("[::1]:0").unwrap();
        let message = Message { to: there.local_addr().unwrap(), contents: b"six", segment: None };
        assert_eq!(send(here.as_fd(), [message].into_iter()).unwrap(), 1);
        let mut buffer = [0; 10];
        let (len, from) = there.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&b"six"[..], here.local_addr().unwrap()));
    }

    #[test]
    fn what_the_kernel_refuses_is_said() {
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        let contents = vec![0; 70_000];
        let to: std::net::SocketAddr = "127.0.0.1:9".parse().unwrap();
        let too_long = Message { to, contents: &contents, segment: None };
        assert!(send(here.as_fd(), [too_long].into_iter()).is_err());
    }
}
