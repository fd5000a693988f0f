//! The floor: what forwarding costs when nothing is left out that could be. One tight loop
//! copies, rewrites, seals and sends the packets of a trace to as many sockets as there are
//! viewers, in the bursts they were published in.
//!
//! The receiving half of the loopback interface is part of it, as it is of a server's cost:
//! the sockets are real ones with the viewers' buffers and options, emptied outside the
//! clock. The clock is the thread's CPU time, which is what is read of a server's threads.
//!
//! The same loop can also be paced: it waits for each burst until it would be published,
//! and another thread empties the sockets meanwhile. What it then costs more is what waiting
//! costs anybody: caches are cold after it, and readers are woken.

use super::process::thread_cpu_ns;
use super::socket::{self, Inbox, MAX_GROUP, MAX_SEGMENTS, Name};
use super::work::Burst;
use anyhow::{Context, Result, ensure};
use cloudschool_srtp::{Keys, Profile, Sealer};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use serde::Serialize;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Header of the trace's packets: fixed, and an extension.
const HEADER: usize = 20;

/// Packets of a burst that differ by no more are made equal by padding, so that they go as one.
const NEARLY_EQUAL: usize = 16;

/// Addresses of one system call.
const AT_ONCE: usize = 64;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Floor {
    pub cpu_us_per_packet: f64,
    pub packets: u64,
    /// Mean packets of a send.
    pub packets_per_send: f64,
}

/// Packets that go in one send: all of `segment` bytes but the last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    segment: usize,
    sizes: Vec<usize>,
}

/// Cuts a burst into as few sends as sizes allow.
fn groups(burst: &[usize], tag: usize) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut closed = true;
    for &size in burst {
        let size = size + tag;
        if let Some(group) = groups.last_mut().filter(|_| !closed) {
            let segment = group.segment.max(size);
            let bytes = segment * (group.sizes.len() + 1);
            let equal = segment - group.sizes.iter().min().unwrap_or(&segment) <= NEARLY_EQUAL;
            if equal && bytes <= MAX_GROUP && group.sizes.len() < MAX_SEGMENTS {
                // A shorter one ends the send, unless padding makes it as long as the others.
                closed = segment - size > NEARLY_EQUAL;
                group.sizes.push(size);
                group.segment = segment;
                continue;
            }
        }
        groups.push(Group { segment: size, sizes: vec![size] });
        closed = false;
    }
    for group in &mut groups {
        let segment = group.segment;
        group.sizes.iter_mut().filter(|s| segment - **s <= NEARLY_EQUAL).for_each(|s| *s = segment);
    }
    groups
}

struct Sink {
    socket: Arc<UdpSocket>,
    sealer: Sealer,
    sequence: u64,
    ssrc: u32,
}

/// The loop with all it needs.
struct Fan {
    sender: UdpSocket,
    sinks: Vec<Sink>,
    names: Vec<Name>,
    /// What is sent, burst by burst: when, and cut into sends.
    plan: Vec<(Duration, Vec<Group>)>,
    slab: Vec<u8>,
    source: Vec<u8>,
    sends: Vec<socket::Burst>,
    round: u32,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    packets: u64,
    sends: u64,
    refused: usize,
}

impl Fan {
    fn new(trace: &[Burst], subscribers: usize, ip: IpAddr, gro: bool) -> Result<Self> {
        ensure!(!trace.is_empty() && subscribers > 0, "there is nothing to send");
        let sender = socket::open(ip, false).context("a socket to send from")?;
        let mut sinks = Vec::with_capacity(subscribers);
        let mut names = Vec::with_capacity(subscribers);
        for n in 0..subscribers {
            let socket = socket::open(ip, gro).context("a socket to send to")?;
            names.push(Name::from(socket.local_addr()?));
            let keys = Keys::derive(Profile::AeadAes128Gcm, &[n as u8; 16], &[7; 14])?;
            let (socket, sealer) = (Arc::new(socket), Sealer::new(&keys)?);
            sinks.push(Sink { socket, sealer, sequence: 1, ssrc: n as u32 });
        }
        let tag = sinks[0].sealer.tag_len();
        let plan: Vec<_> = trace.iter().map(|b| (b.at, groups(&b.sizes, tag))).collect();
        let largest = plan.iter().map(|(_, groups)| bytes_of(groups)).max().unwrap_or_default();
        Ok(Self {
            sender,
            sinks,
            names,
            plan,
            slab: vec![0; largest * AT_ONCE.min(subscribers)],
            source: (0..2048).map(|n| n as u8).collect(),
            sends: Vec::with_capacity(AT_ONCE * 8),
            round: 0,
            counts: Counts::default(),
        })
    }

    /// Sends a burst to everybody.
    fn send(&mut self, at: usize) {
        let Self { sender, sinks, names, plan, slab, source, sends, round, counts } = self;
        let groups = &plan[at].1;
        *round = round.wrapping_add(1);
        for (first, chunk) in (0..).step_by(AT_ONCE).zip(sinks.chunks_mut(AT_ONCE)) {
            sends.clear();
            let mut at = 0;
            for (n, sink) in chunk.iter_mut().enumerate() {
                let tag = sink.sealer.tag_len();
                for group in groups {
                    let start = at;
                    for size in &group.sizes {
                        let packet = &mut slab[at..at + size];
                        let plain = size - tag;
                        packet[..plain].copy_from_slice(&source[..plain]);
                        rewrite(packet, sink, *round);
                        let roc = (sink.sequence >> 16) as u32;
                        sink.sequence += 1;
                        counts.refused += usize::from(!sink.sealer.seal(packet, HEADER, roc));
                        at += size;
                    }
                    let (to, segment) = (first + n, group.segment);
                    sends.push(socket::Burst { to, start, end: at, segment });
                    counts.packets += group.sizes.len() as u64;
                }
            }
            counts.sends += sends.len() as u64;
            counts.refused += socket::send(sender, slab, sends, names);
        }
    }

    fn result(&self, ran_ns: u64) -> Result<Floor> {
        let Counts { packets, sends, refused } = self.counts;
        ensure!(refused == 0, "{refused} sends of the floor were refused");
        ensure!(packets > 0, "the floor sent nothing");
        Ok(Floor {
            cpu_us_per_packet: ran_ns as f64 / 1000.0 / packets as f64,
            packets,
            packets_per_send: packets as f64 / sends as f64,
        })
    }
}

/// Measures the floor of `trace` to `subscribers` sockets at `ip` for about `length` of CPU
/// time.
///
/// # Errors
/// When sockets can't be had, or the kernel refuses what is sent.
pub fn tight(
    trace: &[Burst],
    subscribers: usize,
    ip: IpAddr,
    gro: bool,
    length: Duration,
) -> Result<Floor> {
    let mut fan = Fan::new(trace, subscribers, ip, gro)?;
    let mut inbox = Inbox::new(gro);
    let mut ran_ns = 0;
    // The first bursts warm caches and the kernel's own memory.
    let warm_up = fan.plan.len().min(30);
    for (round, burst) in (0..fan.plan.len()).cycle().enumerate() {
        if round == warm_up {
            ran_ns = 0;
            fan.counts = Counts::default();
        }
        if round > warm_up && u128::from(ran_ns) >= length.as_nanos() {
            break;
        }
        let began = thread_cpu_ns();
        fan.send(burst);
        ran_ns += thread_cpu_ns() - began;
        for sink in &fan.sinks {
            while inbox.receive(&sink.socket)? == inbox.room() {}
        }
    }
    fan.result(ran_ns)
}

/// Measures the same loop paced, over the length of the trace.
///
/// # Errors
/// When sockets can't be had, or the kernel refuses what is sent.
pub fn paced(trace: &[Burst], subscribers: usize, ip: IpAddr, gro: bool) -> Result<Floor> {
    const WARM_UP: Duration = Duration::from_millis(300);
    let mut fan = Fan::new(trace, subscribers, ip, gro)?;
    let reader = Reader::start(fan.sinks.iter().map(|s| s.socket.clone()).collect(), gro)?;
    let zero = Instant::now();
    let mut began_ns = None;
    for burst in 0..fan.plan.len() {
        let at = fan.plan[burst].0;
        if let Some(early) = (zero + at).checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        if at >= WARM_UP && began_ns.is_none() {
            began_ns = Some(thread_cpu_ns());
            fan.counts = Counts::default();
        }
        fan.send(burst);
    }
    let ran_ns = thread_cpu_ns() - began_ns.context("the trace is too short to be paced")?;
    reader.stop()?;
    fan.result(ran_ns)
}

/// A thread that empties sockets as they fill.
struct Reader {
    waker: Waker,
    thread: JoinHandle<io::Result<()>>,
}

impl Reader {
    fn start(sockets: Vec<Arc<UdpSocket>>, gro: bool) -> Result<Self> {
        const WAKE: Token = Token(usize::MAX);
        let mut poll = Poll::new().context("watching sockets")?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        for (n, socket) in sockets.iter().enumerate() {
            let fd = socket.as_raw_fd();
            poll.registry().register(&mut SourceFd(&fd), Token(n), Interest::READABLE)?;
        }
        let read = move || {
            let mut events = Events::with_capacity(1024);
            let mut inbox = Inbox::new(gro);
            loop {
                match poll.poll(&mut events, None) {
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                    _ => {}
                }
                for event in &events {
                    let Some(socket) = sockets.get(event.token().0) else { return Ok(()) };
                    while inbox.receive(socket)? == inbox.room() {}
                }
            }
        };
        let thread = std::thread::Builder::new().name("reader".into()).spawn(read)?;
        Ok(Self { waker, thread })
    }

    fn stop(self) -> Result<()> {
        self.waker.wake().context("waking the reader")?;
        let read = self.thread.join().ok().context("the reader panicked")?;
        read.context("reading")
    }
}

fn bytes_of(groups: &[Group]) -> usize {
    groups.iter().flat_map(|g| &g.sizes).sum()
}

/// Gives a packet the header its viewer is to see.
#[inline]
fn rewrite(packet: &mut [u8], sink: &Sink, timestamp: u32) {
    packet[..2].copy_from_slice(&[0x90, 102]);
    packet[2..4].copy_from_slice(&(sink.sequence as u16).to_be_bytes());
    packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
    packet[8..12].copy_from_slice(&sink.ssrc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn sizes(burst: &[usize]) -> Vec<Vec<usize>> {
        groups(burst, 0).into_iter().map(|g| g.sizes).collect()
    }

    #[test]
    fn nearly_equal_packets_go_as_one_and_a_shorter_one_may_be_last() {
        assert_eq!(sizes(&[1190, 1190, 1191]), [[1191; 3]]);
        assert_eq!(sizes(&[1190, 1190, 700]), [[1190, 1190, 700]]);
        assert_eq!(sizes(&[90, 1190, 1190]), [vec![90], vec![1190, 1190]]);
        assert_eq!(sizes(&[1190, 700, 700]), [vec![1190, 700], vec![700]]);
        assert_eq!(sizes(&[1200; 60]).iter().map(Vec::len).collect::<Vec<_>>(), [54, 6]);
    }

    fn trace(sizes: &[usize]) -> Vec<Burst> {
        (0..50)
            .map(|n| Burst { at: Duration::from_millis(10) * n, sizes: sizes.to_vec() })
            .collect()
    }

    #[test]
    fn the_floor_of_larger_bursts_is_lower() {
        let of = |sizes: &[usize]| {
            let length = Duration::from_millis(50);
            tight(&trace(sizes), 20, Ipv4Addr::LOCALHOST.into(), false, length).unwrap()
        };
        let (one, seven) = (of(&[1200]), of(&[1200; 7]));
        assert_eq!((one.packets_per_send, seven.packets_per_send), (1.0, 7.0));
        assert!(
            seven.cpu_us_per_packet < one.cpu_us_per_packet,
            "{one:?} against {seven:?}: a burst is to cost less"
        );
    }

    #[test]
    fn the_paced_loop_sends_every_burst_in_its_time() {
        let began = Instant::now();
        let floor = paced(&trace(&[1200; 7]), 10, Ipv4Addr::LOCALHOST.into(), false).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(490));
        // Those of the first 300 ms warm it up.
        assert_eq!(floor.packets, 20 * 7 * 10);
        assert!(floor.cpu_us_per_packet > 0.0);
    }
}
