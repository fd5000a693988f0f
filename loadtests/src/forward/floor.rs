//! The floor: what forwarding costs when nothing is left out that could be. One tight loop
//! copies, rewrites, seals and sends the packets of a trace to as many sockets as there are
//! viewers, in the bursts they were published in.
//!
//! The receiving half of the loopback interface is part of it, as it is of a server's cost:
//! the sockets are real ones with the viewers' buffers and options, emptied outside the
//! clock. The clock is the thread's CPU time, which is what is read of a server's threads.

use super::process::thread_cpu_ns;
use super::socket::{self, Burst, Inbox, MAX_GROUP, MAX_SEGMENTS, Name};
use anyhow::{Context, Result, ensure};
use cloudschool_srtp::{Keys, Profile, Sealer};
use serde::Serialize;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

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
    socket: UdpSocket,
    sealer: Sealer,
    sequence: u64,
    ssrc: u32,
}

/// Measures the floor of `trace` to `subscribers` sockets at `ip` for about `length` of CPU
/// time.
///
/// # Errors
/// When sockets can't be had, or the kernel refuses what is sent.
pub fn measure(
    trace: &[Vec<usize>],
    subscribers: usize,
    ip: IpAddr,
    gro: bool,
    length: Duration,
) -> Result<Floor> {
    ensure!(!trace.is_empty() && subscribers > 0, "there is nothing to send");
    let sender = socket::open(ip, false).context("a socket to send from")?;
    let mut sinks = Vec::with_capacity(subscribers);
    let mut names = Vec::with_capacity(subscribers);
    for n in 0..subscribers {
        let socket = socket::open(ip, gro).context("a socket to send to")?;
        names.push(Name::from(socket.local_addr()?));
        let keys = Keys::derive(Profile::AeadAes128Gcm, &[n as u8; 16], &[7; 14])?;
        let sealer = Sealer::new(&keys)?;
        sinks.push(Sink { socket, sealer, sequence: 1, ssrc: n as u32 });
    }
    let tag = sinks[0].sealer.tag_len();
    let plan: Vec<Vec<Group>> = trace.iter().map(|burst| groups(burst, tag)).collect();
    let largest = plan.iter().map(|groups| bytes_of(groups)).max().unwrap_or_default();
    let mut slab = vec![0; largest * AT_ONCE.min(subscribers)];
    let source: Vec<u8> = (0..2048).map(|n| n as u8).collect();
    let mut bursts = Vec::with_capacity(AT_ONCE * 8);
    let mut inbox = Inbox::new(gro);
    let (mut ran_ns, mut packets, mut sends, mut refused) = (0, 0u64, 0u64, 0);
    // The first time round warms caches and the kernel's own memory.
    let warm_up = plan.len().min(30);
    for (round, groups) in plan.iter().cycle().enumerate() {
        if round == warm_up {
            (ran_ns, packets, sends) = (0, 0, 0);
        }
        if round > warm_up && ran_ns as u128 >= length.as_nanos() {
            break;
        }
        let began = thread_cpu_ns();
        for (first, chunk) in (0..).step_by(AT_ONCE).zip(sinks.chunks_mut(AT_ONCE)) {
            bursts.clear();
            let mut at = 0;
            for (n, sink) in chunk.iter_mut().enumerate() {
                for group in groups {
                    let start = at;
                    for size in &group.sizes {
                        let packet = &mut slab[at..at + size];
                        let plain = size - tag;
                        packet[..plain].copy_from_slice(&source[..plain]);
                        rewrite(packet, sink, round as u32);
                        let roc = (sink.sequence >> 16) as u32;
                        sink.sequence += 1;
                        refused += usize::from(!sink.sealer.seal(packet, HEADER, roc));
                        at += size;
                    }
                    let to = first + n;
                    bursts.push(Burst { to, start, end: at, segment: group.segment });
                    packets += group.sizes.len() as u64;
                }
            }
            sends += bursts.len() as u64;
            refused += socket::send(&sender, &slab, &bursts, &names);
        }
        ran_ns += thread_cpu_ns() - began;
        for sink in &sinks {
            while inbox.receive(&sink.socket)? == inbox.room() {}
        }
    }
    ensure!(refused == 0, "{refused} sends of the floor were refused");
    Ok(Floor {
        cpu_us_per_packet: ran_ns as f64 / 1000.0 / packets as f64,
        packets,
        packets_per_send: packets as f64 / sends as f64,
    })
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

    #[test]
    fn the_floor_of_larger_bursts_is_lower() {
        let of = |burst: &[usize]| {
            let trace = [burst.to_vec()];
            let length = Duration::from_millis(50);
            measure(&trace, 20, Ipv4Addr::LOCALHOST.into(), false, length).unwrap()
        };
        let (one, seven) = (of(&[1200]), of(&[1200; 7]));
        assert_eq!((one.packets_per_send, seven.packets_per_send), (1.0, 7.0));
        assert!(
            seven.cpu_us_per_packet < one.cpu_us_per_packet,
            "{one:?} against {seven:?}: a burst is to cost less"
        );
    }
}
