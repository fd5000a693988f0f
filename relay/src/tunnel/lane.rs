//! The datagrams of one TCP connection: waiting to go out, and taken from what came in.

use super::socket::Datagram;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

/// How long a datagram may wait for the line. QUIC takes it for lost a little later anyway,
/// and sends what still matters again; audio that old is not missed.
const PATIENCE: Duration = Duration::from_millis(250);

/// What may wait: two large keyframes.
const QUEUE_BYTES: usize = 256 * 1024;

/// What goes to TLS at once: one record.
const AT_ONCE: usize = 16 * 1024;

/// The largest datagram: what an endpoint has room for (`max_udp_payload_size`, 1,500 bytes of
/// Ethernet without headers). QUIC's path discovery ends below.
pub const LARGEST: usize = 1472;

/// No datagram for so long, with keep-alives every two seconds: nobody is there any more, or
/// nobody who has anything to say.
const SILENCE: Duration = Duration::from_secs(60);

/// Datagrams on their way to one TCP connection.
#[derive(Debug, Default)]
pub struct Lane {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    dropped: u64,
}

impl Waiting {
    /// Takes what still makes sense to send, up to one record, with lengths before it.
    fn take(&mut self, now: Instant) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some((since, datagram)) = self.queue.front() {
            let stale = now.saturating_duration_since(*since) > PATIENCE;
            if !stale && !out.is_empty() && out.len() + 2 + datagram.len() > AT_ONCE {
                break;
            }
            let Some((_, datagram)) = self.queue.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(datagram.len());
            match u16::try_from(datagram.len()) {
                Ok(length) if !stale => {
                    out.extend_from_slice(&length.to_be_bytes());
                    out.extend_from_slice(&datagram);
                }
                _ => self.dropped += 1,
            }
        }
        out
    }
}

impl Lane {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a datagram, or drops it when too much waits.
    pub fn push(&self, datagram: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes + datagram.len() > QUEUE_BYTES {
            waiting.dropped += 1;
            return;
        }
        waiting.bytes += datagram.len();
        waiting.queue.push_back((Instant::now(), datagram.to_vec()));
        drop(waiting);
        self.filled.notify_one();
    }

    /// Datagrams dropped because the line was slower than they came.
    pub fn dropped(&self) -> u64 {
        self.waiting().dropped
    }

    /// What is to be written next.
    async fn next(&self) -> Vec<u8> {
        loop {
            let filled = self.filled.notified();
            let out = self.waiting().take(Instant::now());
            if !out.is_empty() {
                return out;
            }
            filled.await;
        }
    }

    /// Moves datagrams both ways until the connection ends.
    pub async fn run(
        &self,
        stream: impl AsyncRead + AsyncWrite,
        peer: SocketAddr,
        arrived: &mpsc::Sender<Datagram>,
    ) -> io::Result<()> {
        self.run_while_heard(stream, peer, arrived, SILENCE).await
    }

    /// [`Self::run`], until no datagram came for `silence`: bytes that make none don't count.
    async fn run_while_heard(
        &self,
        stream: impl AsyncRead + AsyncWrite,
        peer: SocketAddr,
        arrived: &mpsc::Sender<Datagram>,
        silence: Duration,
    ) -> io::Result<()> {
        let (mut from, mut to) = tokio::io::split(stream);
        let write = async {
            loop {
                to.write_all(&self.next().await).await?;
                to.flush().await?;
            }
        };
        let read = async {
            let mut buffer = Reader::default();
            let mut heard = tokio::time::Instant::now();
            loop {
                let read = from.read_buf(&mut buffer.bytes);
                let silent = |_| io::Error::from(io::ErrorKind::TimedOut);
                if tokio::time::timeout_at(heard + silence, read).await.map_err(silent)?? == 0 {
                    return Ok(());
                }
                while let Some(bytes) = buffer.next()? {
                    heard = tokio::time::Instant::now();
                    // A busy endpoint drops, as a full socket buffer does.
                    arrived.try_send(Datagram { peer, bytes }).ok();
                }
            }
        };
        tokio::select! {
            written = write => written,
            read = read => read,
        }
    }
}

/// Takes datagrams out of the byte stream.
#[derive(Debug, Default)]
struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(length) = self.bytes.first_chunk::<2>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 || length > LARGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no datagram has that size"));
        }
        let Some(datagram) = self.bytes.get(2..2 + length) else { return Ok(None) };
        let datagram = datagram.to_vec();
        self.bytes.drain(..2 + length);
        Ok(Some(datagram))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_waited_too_long_is_not_sent() {
        let lane = Lane::default();
        lane.push(b"old");
        let later = Instant::now() + PATIENCE + Duration::from_millis(1);
        lane.waiting().queue.push_back((later, b"new".to_vec()));
        assert_eq!(lane.waiting().take(later), b"\0\x03new");
        assert_eq!(lane.dropped(), 1);
    }

    #[test]
    fn what_waits_is_bounded() {
        let lane = Lane::default();
        for _ in 0..1000 {
            lane.push(&[7; 1200]);
        }
        assert!(lane.waiting().bytes <= QUEUE_BYTES);
        assert_eq!(lane.dropped(), 1000 - (QUEUE_BYTES / 1200) as u64);
        let record = lane.waiting().take(Instant::now());
        assert!(record.len() <= AT_ONCE && record.len() > AT_ONCE - 1300);
    }

    #[tokio::test]
    async fn datagrams_cross_a_stream_that_cuts_them_anywhere() {
        let (a, b) = tokio::io::duplex(7);
        let (left, right) = (Lane::default(), Lane::default());
        let (to_left, _from_right) = mpsc::channel(64);
        let (to_right, mut from_left) = mpsc::channel::<Datagram>(64);
        let peer = ([10, 0, 0, 1], 443).into();
        for n in 0..50u8 {
            left.push(&vec![n; 1 + usize::from(n) * 20]);
        }
        let all = async {
            for n in 0..50u8 {
                let got = from_left.recv().await.unwrap();
                assert_eq!((got.peer, got.bytes), (peer, vec![n; 1 + usize::from(n) * 20]));
            }
        };
        tokio::select! {
            () = all => {}
            ended = left.run(a, peer, &to_left) => panic!("{ended:?}"),
            ended = right.run(b, peer, &to_right) => panic!("{ended:?}"),
        }
    }

    #[tokio::test]
    async fn bytes_that_make_no_datagram_keep_no_tunnel_open() {
        let (near, far) = tokio::io::duplex(64);
        let (to_near, _arrived) = mpsc::channel(1);
        let lane = Lane::default();
        let peer = ([10, 0, 0, 1], 443).into();
        let (_from_near, mut to_far) = tokio::io::split(far);
        let trickle = async {
            to_far.write_all(&1000u16.to_be_bytes()).await.unwrap();
            loop {
                to_far.write_all(b"x").await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let silence = Duration::from_millis(500);
        // As many bytes as make a datagram would take fifty seconds.
        let limit = Duration::from_secs(30);
        let run = lane.run_while_heard(near, peer, &to_near, silence);
        tokio::select! {
            ended = tokio::time::timeout(limit, run) => {
                let error = ended.expect("it is kept open").unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            }
            () = trickle => {}
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_datagrams_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
            let mut reader = Reader { bytes };
            while let Ok(Some(datagram)) = reader.next() {
                prop_assert!(!datagram.is_empty() && datagram.len() <= LARGEST);
            }
        }
    }
}
