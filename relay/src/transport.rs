//! QUIC's settings for live media. quinn's defaults serve downloads; every number here was
//! measured or follows from one that was.

use crate::congestion::MediaControllerFactory;
use crate::marking::{Dscp, MarkingSocket};
use crate::path::Gauge;
use quinn::{
    AsyncUdpSocket, IdleTimeout, MtuDiscoveryConfig, Runtime, TokioRuntime, TransportConfig, VarInt,
};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Half a second of audio at 256 kbit/s. With the default of 1 MiB, audio was 4.4 s old when
/// it left on a slow line.
pub const DATAGRAM_SEND_BUFFER: usize = 16 * 1024;

/// Audio that waits for a busy reader: 200 audio packets of the largest size.
const DATAGRAM_RECEIVE_BUFFER: usize = 256 * 1024;

/// The payload every QUIC path must carry (RFC 9000 §14). Beginning at 1350 black-holed on a
/// path of 1,300 bytes; discovery finds what there is within a second.
const MTU: u16 = 1200;

/// Both ends send at least this often. A NAT keeps its mapping with less (30 s and under are
/// common); but a class is to know within two seconds that its line is cut, and one lost
/// packet must not look like it. 60 bytes each time.
const KEEP_ALIVE: Duration = Duration::from_millis(500);

/// Village lines are away for 8 to 25 s and come back; the connection outlives that, and what
/// it carried goes on in 0.1 s instead of being negotiated again.
const IDLE: Duration = Duration::from_secs(60);

/// One stream a frame: 30 frames/s of 16 tracks for the two seconds that streams live on a
/// line with heavy loss.
const STREAMS: u32 = 1024;

/// What may be sent and not yet acknowledged, in bytes: 20 Mbit/s over a satellite's 400 ms.
pub const SEND_WINDOW: u64 = 1024 * 1024;

/// Unread bytes of one stream. Control messages are at most 1 MiB; a frame is smaller.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// Unread bytes of a whole connection: what a hostile or stuck peer can make this node keep.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Asked of the kernel, which may give less: a keyframe of 50 packets to 20 schools at once.
const SOCKET_BUFFER: usize = 2 * 1024 * 1024;

/// The settings of one connection, whose controller writes `gauge`.
pub fn config(gauge: Arc<Gauge>) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .datagram_send_buffer_size(DATAGRAM_SEND_BUFFER)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BUFFER))
        .initial_mtu(MTU)
        .min_mtu(MTU)
        .mtu_discovery_config(Some(MtuDiscoveryConfig::default()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok())
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS))
        // The control stream is the only one.
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .send_window(SEND_WINDOW)
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        // Frames of one priority go out one after the other: half of two frames is none.
        .send_fairness(false)
        .congestion_controller_factory(Arc::new(MediaControllerFactory { gauge }));
    Arc::new(config)
}

/// A bound UDP socket with room for bursts.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    for grown in
        [socket.set_recv_buffer_size(SOCKET_BUFFER), socket.set_send_buffer_size(SOCKET_BUFFER)]
    {
        if let Err(error) = grown {
            tracing::debug!(%error, "the kernel keeps its UDP buffer size");
        }
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The socket as QUIC takes it, its datagrams marked where that is wanted. Needs a tokio
/// runtime.
pub fn wrap(socket: UdpSocket, dscp: Option<Dscp>) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    match dscp {
        Some(dscp) => {
            socket.set_nonblocking(true)?;
            MarkingSocket::over(socket, dscp)
        }
        None => TokioRuntime.wrap_udp_socket(socket),
    }
}
