//! What quinn sees in place of a UDP socket.

use super::lane::Lane;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::collections::HashMap;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Datagrams that came and were not taken yet.
const ARRIVED: usize = 4096;

/// Datagrams taken from QUIC at once, as with GSO: fewer passes through its locks.
const SEGMENTS: usize = 10;

/// One that came.
#[derive(Debug, PartialEq, Eq)]
pub struct Datagram {
    pub peer: SocketAddr,
    pub bytes: Vec<u8>,
}

/// Lanes by the address QUIC knows them by.
pub type Lanes = Arc<RwLock<HashMap<SocketAddr, Arc<Lane>>>>;

/// A socket whose datagrams travel over TCP.
pub struct TunnelSocket {
    local: SocketAddr,
    lanes: Lanes,
    arrived: Mutex<mpsc::Receiver<Datagram>>,
    /// Ends the tasks that move datagrams.
    _alive: DropGuard,
}

impl TunnelSocket {
    /// The socket; where what arrives is put; and what is cancelled when quinn is done with
    /// the socket.
    pub fn new(
        local: SocketAddr,
        lanes: Lanes,
    ) -> (Arc<Self>, mpsc::Sender<Datagram>, CancellationToken) {
        let (sender, arrived) = mpsc::channel(ARRIVED);
        let end = CancellationToken::new();
        let _alive = end.clone().drop_guard();
        let socket = Self { local, lanes, arrived: Mutex::new(arrived), _alive };
        (Arc::new(socket), sender, end)
    }

    fn arrived(&self) -> MutexGuard<'_, mpsc::Receiver<Datagram>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncUdpSocket for TunnelSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Always)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        // To whom there is no connection nothing can be sent: a lost datagram.
        let Some(lane) = lanes.get(&transmit.destination) else { return Ok(()) };
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        transmit.contents.chunks(size).for_each(|datagram| lane.push(datagram));
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut arrived = self.arrived();
        let mut taken = 0;
        let mut places = buffers.iter_mut().zip(meta);
        let mut place = places.next();
        while let Some((buffer, meta)) = &mut place {
            let next = match taken {
                0 => ready!(arrived.poll_recv(cx)),
                _ => arrived.try_recv().ok(),
            };
            let Some(Datagram { peer, bytes }) = next else { break };
            let len = bytes.len();
            // What finds no room is lost, and its place is the next one's: a place that is left
            // out would be read all the same, and none at all end QUIC's endpoint.
            let Some(room) = buffer.get_mut(..len) else { continue };
            room.copy_from_slice(&bytes);
            **meta = RecvMeta { addr: peer, len, stride: len, ecn: None, dst_ip: None };
            taken += 1;
            place = places.next();
        }
        match taken {
            0 => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            taken => Poll::Ready(Ok(taken)),
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

impl fmt::Debug for TunnelSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelSocket").field("local", &self.local).finish_non_exhaustive()
    }
}

/// There is always room, since what is too much is dropped.
#[derive(Debug)]
struct Always;

impl UdpPoller for Always {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn a_datagram_that_finds_no_room_costs_nobody_else_anything() {
        let local = ([127, 0, 0, 1], 443).into();
        let (socket, arrived, _end) = TunnelSocket::new(local, Lanes::default());
        let peers: [SocketAddr; 2] = [([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 2).into()];
        let came = |peer, len| arrived.try_send(Datagram { peer, bytes: vec![7; len] }).unwrap();
        let read = || {
            let mut room = [[0; 100]; 4];
            let mut buffers = room.each_mut().map(|b| IoSliceMut::new(b));
            let mut metas = [RecvMeta::default(); 4];
            let cx = &mut Context::from_waker(Waker::noop());
            socket.poll_recv(cx, &mut buffers, &mut metas).map(|taken| {
                let metas = metas.into_iter().take(taken.unwrap());
                metas.map(|meta| (meta.addr, meta.len)).collect::<Vec<_>>()
            })
        };
        came(peers[0], 101);
        assert!(read().is_pending(), "the socket is whole, and there is nothing to read");
        came(peers[0], 101);
        came(peers[1], 100);
        came(peers[0], 500);
        came(peers[1], 3);
        assert_eq!(read(), Poll::Ready(vec![(peers[1], 100), (peers[1], 3)]));
    }
}
