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

/// Most ports in a row.
const MOST: u16 = 64;

/// How many places are looked at.
const TRIES: usize = 200;

/// The first of `count` loopback ports in a row, 64 at most, that nobody uses, for TCP or UDP.
/// One process is not given a port twice, and different processes begin at different places.
///
/// # Errors
/// The system's, when none was found.
pub fn unclaimed(count: u16) -> io::Result<u16> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // The same for every count, or a long run could reach into a short one.
    const SPAN: u16 = LAST - FIRST - MOST;
    let count = count.min(MOST);
    // A prime step spreads neighbouring process ids over the range.
    let begin = (std::process::id() % 65_536) as u16;
    let begin = begin.wrapping_mul(7919);
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let taken = TAKEN.fetch_add(count, Ordering::Relaxed);
        let first = FIRST + begin.wrapping_add(taken) % SPAN;
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
        let runs = (0..60).flat_map(|n| {
            let count = 1 + 15 * (n % 2);
            let first = unclaimed(count).unwrap();
            first..first + count
        });
        let ports: Vec<u16> = runs.collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
        assert!(!ports.contains(&held.local_addr().unwrap().port()));
        assert!(ports.iter().all(|p| (FIRST..=LAST).contains(p)));
    }
}
