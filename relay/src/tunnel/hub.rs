//! The listening end of tunnels: many TCP connections as one socket for QUIC.

use super::lane::Lane;
use super::socket::{Datagram, Lanes, TunnelSocket};
use crate::shares::Shares;
use quinn::AsyncUdpSocket;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Tunnels at once, with and without a trunk in them: a guard against a flood, far above the
/// schools of a campus whose networks let no UDP out.
const TUNNELS: usize = 1024;

/// Those of them from one address: the schools behind one provider's address translation, or
/// behind a web server on another machine that passes them on. Who takes that many without a
/// trunk in any of them leaves the rest to the schools.
const FROM_ONE: usize = 256;

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
    /// Came when too many others were there, or too many from the same address.
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
        // A web server of this machine passes on whoever comes.
        Self::start_with(listener, tls, (FROM_ONE, IpAddr::is_loopback))
    }

    /// [`Self::start`], with `share` tunnels for an address that is not `any`body's.
    fn start_with(
        listener: std::net::TcpListener,
        tls: Arc<rustls::ServerConfig>,
        (share, any): (usize, fn(&IpAddr) -> bool),
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let lanes = Lanes::default();
        let (socket, arrived, end) = TunnelSocket::new(address, lanes.clone());
        let (counts, stats) = watch::channel(TunnelStats::default());
        let places = Shares::new(TUNNELS, share);
        let tls = tls.into();
        let door = Door { lanes, arrived, counts, places, any, tls, end: end.clone() };
        tokio::spawn(end.run_until_cancelled_owned(Arc::new(door).serve(listener)));
        Ok(Self { socket, stats })
    }
}

struct Door {
    lanes: Lanes,
    arrived: mpsc::Sender<Datagram>,
    counts: watch::Sender<TunnelStats>,
    places: Shares,
    /// Whether an address stands for many.
    any: fn(&IpAddr) -> bool,
    tls: TlsAcceptor,
    end: CancellationToken,
}

impl Door {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a tunnel was not accepted");
                    sleep(REST).await;
                    continue;
                }
            };
            let from = peer.ip().to_canonical();
            let place = match (self.any)(&from) {
                true => self.places.take_beyond(from),
                false => self.places.take(from),
            };
            let Some(place) = place else {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::tunnel::ALPN;
    use crate::{ca, tls};
    use cloudschool_protocol::id::NodeId;
    use cloudschool_protocol::trunk::NodeKind;
    use rustls::pki_types::ServerName;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpSocket;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    /// Far longer than it takes.
    const SOON: Duration = Duration::from_secs(30);

    async fn tunnel(from: &str, to: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0))?;
        let stream = socket.connect(to).await?;
        let tls = TlsConnector::from(Arc::new(tls::stranger(ALPN).unwrap()));
        let name = ServerName::try_from("campus").unwrap();
        let mut stream = timeout(SOON, tls.connect(name, stream)).await.unwrap()?;
        // In TLS 1.3 a client is through before the server has let it in.
        let mut byte = [0];
        match timeout(Duration::from_millis(1), stream.read(&mut byte)).await {
            Ok(Ok(_)) => Err(io::ErrorKind::ConnectionReset.into()),
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(stream),
        }
    }

    #[tokio::test]
    async fn who_takes_all_the_tunnels_it_can_get_leaves_the_rest_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let (authority, own) = (dir.path().join("ca"), dir.path().join("campus"));
        ca::init(&authority).unwrap();
        let campus = NodeId::new("campus").unwrap();
        ca::issue(&authority, &campus, NodeKind::Origin, None, &own).unwrap();
        let server = Identity::load(&own).unwrap().tunnel_server().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = |from: &IpAddr| *from == IpAddr::from([127, 0, 0, 3]);
        let mut hub = Hub::start_with(listener, server, (4, proxy)).unwrap();

        let mut greedy = Vec::new();
        for _ in 0..4 {
            greedy.push(tunnel("127.0.0.1", address).await.unwrap());
        }
        assert!(tunnel("127.0.0.1", address).await.is_err(), "it has its share");
        let turned_away = hub.stats.wait_for(|stats| stats.turned_away == 1);
        timeout(SOON, turned_away).await.unwrap().unwrap();
        let _school = tunnel("127.0.0.2", address).await.unwrap();
        for _ in 0..8 {
            greedy.push(tunnel("127.0.0.3", address).await.unwrap());
        }
        drop(greedy);
        let left = hub.stats.wait_for(|stats| stats.open == 1 && stats.accepted == 13);
        timeout(SOON, left).await.unwrap().unwrap();
    }
}
