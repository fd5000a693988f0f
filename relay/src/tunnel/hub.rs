//! The listening end of tunnels: many TCP connections as one socket for QUIC.

use super::lane::Lane;
use super::socket::{Datagram, Lanes, TunnelSocket};
use quinn::AsyncUdpSocket;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Tunnels at once, with and without a trunk in them: a guard against a flood, far above the
/// schools of a campus whose networks let no UDP out.
const TUNNELS: usize = 1024;

/// For TLS.
const LIMIT: Duration = Duration::from_secs(10);

/// Bytes that may lie in the kernel without having been sent: what fills a fast line between
/// two turns of this program. All that waits longer can still be dropped.
const UNSENT: libc::c_int = 16 * 1024;

/// After the system refused a connection, as for want of file descriptors.
const REST: Duration = Duration::from_millis(200);

/// What the hub has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TunnelStats {
    pub open: u64,
    pub accepted: u64,
    /// Spoke no TLS, or not in time.
    pub failed: u64,
    /// Came when too many others were there.
    pub turned_away: u64,
    /// Datagrams of closed tunnels that found the line too slow.
    pub datagrams_dropped: u64,
}

/// Accepts tunnels for as long as its socket is in use.
pub struct Hub {
    pub socket: Arc<dyn AsyncUdpSocket>,
    pub stats: watch::Receiver<TunnelStats>,
}

impl Hub {
    /// Takes tunnels that come to `listener`.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn start(
        listener: std::net::TcpListener,
        tls: Arc<rustls::ServerConfig>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let lanes = Lanes::default();
        let (socket, arrived, end) = TunnelSocket::new(address, lanes.clone());
        let (counts, stats) = watch::channel(TunnelStats::default());
        let door = Door { lanes, arrived, counts, tls: tls.into(), end: end.clone() };
        tokio::spawn(end.run_until_cancelled_owned(Arc::new(door).serve(listener)));
        Ok(Self { socket, stats })
    }
}

struct Door {
    lanes: Lanes,
    arrived: mpsc::Sender<Datagram>,
    counts: watch::Sender<TunnelStats>,
    tls: TlsAcceptor,
    end: CancellationToken,
}

impl Door {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(TUNNELS));
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a tunnel was not accepted");
                    sleep(REST).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                self.counts.send_modify(|c| c.turned_away += 1);
                continue;
            };
            let (door, end) = (self.clone(), self.end.clone());
            tokio::spawn(end.run_until_cancelled_owned(async move {
                door.tunnel(stream, peer).await;
                drop(place);
            }));
        }
    }

    async fn tunnel(&self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = prepare(&stream) {
            tracing::debug!(%peer, %error, "a tunnel's socket can't be set up");
        }
        let Ok(Ok(stream)) = timeout(LIMIT, self.tls.accept(stream)).await else {
            self.counts.send_modify(|c| c.failed += 1);
            return;
        };
        let lane = Arc::new(Lane::default());
        let lanes = || self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        lanes().insert(peer, lane.clone());
        self.counts.send_modify(|c| {
            c.accepted += 1;
            c.open += 1;
        });
        let ended = lane.run(stream, peer, &self.arrived).await;
        tracing::debug!(%peer, ?ended, "a tunnel ended");
        lanes().remove(&peer);
        self.counts.send_modify(|c| {
            c.open -= 1;
            c.datagrams_dropped += lane.dropped();
        });
    }
}

/// Settings of both ends: send at once, and keep little where it can't be taken back.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    keep_little_unsent(stream)
}

#[allow(unsafe_code)]
fn keep_little_unsent(stream: &TcpStream) -> io::Result<()> {
    let size = size_of_val(&UNSENT) as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as `stream` is borrowed, and the option's
    // value is read from a constant of the size given.
    let set = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            std::ptr::from_ref(&UNSENT).cast(),
            size,
        )
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
