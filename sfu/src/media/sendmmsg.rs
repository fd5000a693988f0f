//! One system call for many sends, each to an address of its own and each, by GSO, of several
//! datagrams. quinn-udp sends to one address a call.

use socket2::SockAddr;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sends of one call.
pub const AT_ONCE: usize = 64;

/// Room for one control message of two bytes, aligned as the kernel wants it.
#[repr(align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 24]);

/// Datagrams to one address, one behind the other.
pub struct Message<'a> {
    pub to: SockAddr,
    pub contents: &'a [u8],
    /// Length of each but the last; `None` for a single one.
    pub segment: Option<u16>,
}

/// Sends up to [`AT_ONCE`] messages, in order. Returns how many the kernel took: at least one.
///
/// # Errors
/// The operating system's, when it did not take the first.
#[allow(unsafe_code)]
pub fn send(socket: BorrowedFd<'_>, messages: &[Message<'_>]) -> io::Result<usize> {
    // SAFETY: all zeros are a valid value of these C structures.
    let (mut vectors, mut headers): ([libc::iovec; AT_ONCE], [libc::mmsghdr; AT_ONCE]) =
        unsafe { (zeroed(), zeroed()) };
    let mut controls = [Control([0; 24]); AT_ONCE];
    let mut count = 0;
    let places = vectors.iter_mut().zip(&mut headers).zip(&mut controls);
    for (message, ((vector, header), control)) in messages.iter().zip(places) {
        count += 1;
        let header = &mut header.msg_hdr;
        vector.iov_base = message.contents.as_ptr().cast_mut().cast();
        vector.iov_len = message.contents.len();
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        header.msg_name = message.to.as_ptr().cast_mut().cast();
        header.msg_namelen = message.to.len();
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
    // SAFETY: `count` headers were filled in with pointers to names, vectors, control buffers and
    // contents that live until the call returns; it writes to nothing but the headers.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
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
                to: socket.local_addr().unwrap().into(),
                contents: if n % 2 == 0 { contents } else { &contents[..900] },
                segment: (n % 2 == 0).then_some(1000),
            })
            .collect();
        assert_eq!(send(here.as_fd(), &messages).unwrap(), AT_ONCE);
        assert_eq!(send(here.as_fd(), &messages[AT_ONCE..]).unwrap(), 6);
        let mut buffer = [0; 3000];
        for (n, socket) in there.iter().enumerate() {
            let expected: &[usize] = if n % 2 == 0 { &[1000, 1000, 500] } else { &[900] };
            for len in expected {
                assert_eq!((socket.recv(&mut buffer).unwrap(), buffer[0]), (*len, n as u8));
            }
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_said() {
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        let contents = vec![0; 70_000];
        let to: std::net::SocketAddr = "127.0.0.1:9".parse().unwrap();
        let too_long = Message { to: to.into(), contents: &contents, segment: None };
        assert!(send(here.as_fd(), &[too_long]).is_err());
    }
}
