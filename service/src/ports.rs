//! Ports for whoever must name one before the process that will use it starts: the supervisor
//! of a demo, and tests.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Where they are looked for: below the ports that systems hand to whoever asks for any
/// (32768 and up on Linux, 49152 and up by RFC 6335), so that nobody is given one of them
/// between now and its use.
const FIRST: u16 = 10_000;
const LAST: u16 = 31_999;

/// How many places are looked at.
const TRIES: usize = 200;

/// The first of `count` loopback ports in a row that nobody uses, for TCP or UDP. One process
/// is never given a port twice, and different processes begin at different places.
///
/// # Errors
/// The system's, when none was found.
pub fn unclaimed(count: u16) -> io::Result<u16> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let span = LAST - FIRST - count;
    // A prime step spreads neighbouring process ids over the range.
    let begin = (std::process::id() % 65_536) as u16;
    let begin = begin.wrapping_mul(7919);
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let taken = TAKEN.fetch_add(count, Ordering::Relaxed);
        let first = FIRST + begin.wrapping_add(taken) % span;
        match (first..first + count).try_for_each(is_free) {
            Ok(()) => return Ok(first),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn is_free(port: u16) -> io::Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_port_is_given_twice_nor_one_in_use() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, unclaimed(1).unwrap())).unwrap();
        let ports: BTreeSet<u16> = (0..50).map(|_| unclaimed(2).unwrap()).collect();
        assert_eq!(ports.len(), 50);
        assert!(!ports.contains(&held.local_addr().unwrap().port()));
        assert!(ports.iter().all(|p| (FIRST..=LAST).contains(p)));
    }
}
