//! What a trunk has carried, as cumulative counters: a lost reading costs only staleness.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes of IP and UDP headers in front of every UDP payload.
const IPV4_OVERHEAD: u64 = 20 + 8;
const IPV6_OVERHEAD: u64 = 40 + 8;

/// Counters of one connection since it was made, and its path as it is now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrunkStats {
    /// Bytes sent, IP and UDP headers included: what the line carries and a provider bills.
    pub ip_bytes_sent: u64,
    pub ip_bytes_received: u64,
    pub udp_datagrams_sent: u64,
    pub udp_datagrams_received: u64,
    /// QUIC packets sent, and how many of them were lost.
    pub sent_packets: u64,
    pub lost_packets: u64,
    pub rtt: Duration,
    /// Largest UDP payload the path is known to carry, in bytes.
    pub mtu: u16,
    /// Bytes that may be in flight.
    pub congestion_window: u64,
    /// RTP packets and frames that were to be sent and never left: no room, or closed.
    pub packets_not_sent: u64,
    pub frames_not_sent: u64,
    /// Frames left out because the line was behind.
    pub frames_skipped: u64,
    /// Audio sent again because the line loses, and what came twice for that reason.
    pub packets_repeated: u64,
    pub packets_doubled: u64,
    /// Bytes of frames sent again on a line too long to wait for QUIC to do it twice.
    pub frame_bytes_repeated: u64,
    /// Bytes sent and received to see what the line can carry, in no other use.
    pub padding_bytes_sent: u64,
    pub padding_bytes_received: u64,
    /// Frames given up because they were not through by their deadline.
    pub frames_late: u64,
    /// Bytes of frames handed in and not yet acknowledged or given up.
    pub frame_bytes_waiting: u64,
    /// RTP packets received and dropped because this process took none from the queue.
    pub packets_unread: u64,
    /// Datagrams and streams received that were no RTP over QUIC.
    pub malformed: u64,
    /// Control messages received that this release does not know.
    pub unknown_messages: u64,
}

/// The counters QUIC does not keep.
#[derive(Debug, Default)]
pub struct Counters {
    pub packets_not_sent: AtomicU64,
    pub frames_not_sent: AtomicU64,
    pub frames_late: AtomicU64,
    pub frames_skipped: AtomicU64,
    pub packets_repeated: AtomicU64,
    pub packets_doubled: AtomicU64,
    pub frame_bytes_repeated: AtomicU64,
    pub padding_bytes_sent: AtomicU64,
    pub padding_bytes_received: AtomicU64,
    pub packets_unread: AtomicU64,
    pub malformed: AtomicU64,
    pub unknown_messages: AtomicU64,
}

/// Counts one more.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Counts `more` more.
pub fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl TrunkStats {
    pub(crate) fn read(
        quic: &quinn::ConnectionStats,
        remote: SocketAddr,
        counters: &Counters,
        frame_bytes_waiting: u64,
    ) -> Self {
        let v4 = match remote {
            SocketAddr::V4(_) => true,
            SocketAddr::V6(a) => a.ip().to_ipv4_mapped().is_some(),
        };
        let overhead = if v4 { IPV4_OVERHEAD } else { IPV6_OVERHEAD };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            ip_bytes_sent: quic.udp_tx.bytes + quic.udp_tx.datagrams * overhead,
            ip_bytes_received: quic.udp_rx.bytes + quic.udp_rx.datagrams * overhead,
            udp_datagrams_sent: quic.udp_tx.datagrams,
            udp_datagrams_received: quic.udp_rx.datagrams,
            sent_packets: quic.path.sent_packets,
            lost_packets: quic.path.lost_packets,
            rtt: quic.path.rtt,
            mtu: quic.path.current_mtu,
            congestion_window: quic.path.cwnd,
            packets_not_sent: read(&counters.packets_not_sent),
            frames_not_sent: read(&counters.frames_not_sent),
            frames_late: read(&counters.frames_late),
            frames_skipped: read(&counters.frames_skipped),
            packets_repeated: read(&counters.packets_repeated),
            packets_doubled: read(&counters.packets_doubled),
            frame_bytes_repeated: read(&counters.frame_bytes_repeated),
            padding_bytes_sent: read(&counters.padding_bytes_sent),
            padding_bytes_received: read(&counters.padding_bytes_received),
            frame_bytes_waiting,
            packets_unread: read(&counters.packets_unread),
            malformed: read(&counters.malformed),
            unknown_messages: read(&counters.unknown_messages),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_bytes_depend_on_the_ip_version() {
        let mut quic = quinn::ConnectionStats::default();
        quic.udp_tx.bytes = 1000;
        quic.udp_tx.datagrams = 2;
        for (remote, sent) in
            [("10.0.0.1:1", 1056), ("[2001:db8::1]:1", 1096), ("[::ffff:10.0.0.1]:1", 1056)]
        {
            let stats = TrunkStats::read(&quic, remote.parse().unwrap(), &Counters::default(), 0);
            assert_eq!(stats.ip_bytes_sent, sent, "{remote}");
        }
    }
}
