//! What the kernel says of a process: the CPU time its threads ran, and the memory it holds.

use std::collections::HashMap;
use std::fs;
use std::io;

/// Run time of each thread of a process at one moment, nanoseconds, by thread id.
#[derive(Debug, Clone, Default)]
pub struct Cpu(HashMap<u32, u64>);

impl Cpu {
    /// Reads `/proc/PID/task/*/schedstat`, whose first figure is the time a thread ran. What a
    /// thread does in system calls counts, and so does the receiving half of the loopback
    /// interface, which runs in the sender's.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let entry = entry?;
            let Some(id) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
                continue;
            };
            // A thread may end between the two looks.
            if let Ok(text) = fs::read_to_string(entry.path().join("schedstat"))
                && let Some(ns) = ran(&text)
            {
                threads.insert(id, ns);
            }
        }
        Ok(Self(threads))
    }

    /// Nanoseconds that the threads ran since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> u64 {
        let each = self.0.iter();
        each.map(|(id, ns)| ns.saturating_sub(before.0.get(id).copied().unwrap_or(0))).sum()
    }
}

fn ran(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// Resident memory of a process in KiB (`VmRSS`).
///
/// # Errors
/// When the process is gone.
pub fn resident_kib(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
    kib.ok_or_else(|| io::Error::other("a process without VmRSS"))
}

/// CPU time of the calling thread, nanoseconds: the same counter `schedstat` shows.
#[must_use]
#[allow(unsafe_code)]
pub fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure outlives the call, which writes nothing else.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    if done != 0 {
        return 0;
    }
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Lets this process have as many files open as it may: every viewer has a socket.
#[allow(unsafe_code)]
pub fn raise_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls read and write the one structure, which outlives them.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Datagrams dropped for want of room in the sockets of the given UDP ports of this
/// namespace, since they were opened.
#[must_use]
pub fn dropped(ports: &[u16]) -> u64 {
    let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"];
    let tables = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
    tables.map(|table| table.lines().skip(1).filter_map(|l| drops(l, ports)).sum::<u64>()).sum()
}

fn drops(line: &str, ports: &[u16]) -> Option<u64> {
    let mut fields = line.split_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    ports.contains(&port).then(|| fields.last()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn the_time_a_thread_ran_is_told() {
        let pid = std::process::id();
        let (before, own) = (Cpu::of(pid).unwrap(), thread_cpu_ns());
        while thread_cpu_ns() < own + 30_000_000 {}
        let ran = Cpu::of(pid).unwrap().since(&before);
        assert!(ran >= 20_000_000, "{ran} ns");
        assert!(resident_kib(pid).unwrap() > 1000);
        assert!(Cpu::of(u32::MAX).is_err());
    }

    #[test]
    fn what_a_socket_had_no_room_for_is_counted() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = socket.local_addr().unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..2000 {
            sender.send_to(&[0; 1000], to).unwrap();
        }
        assert!(dropped(&[to.port()]) > 0);
        assert_eq!(dropped(&[sender.local_addr().unwrap().port()]), 0);
    }
}
