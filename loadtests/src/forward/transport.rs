//! A light peer's way to its server: a socket of its own, ICE and DTLS by the engine, and
//! SRTP by the tapped keys.

use super::clock::wall_ns;
use super::engine::{Engine, State};
use super::socket::{self, Burst, Inbox, Name};
use bytes::BytesMut;
use cloudschool_protocol::rtcp;
use cloudschool_srtp::{MAX_RTCP_TRAILER, Opener, Sealer};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// DTLS that is not answered is sent again after this. A browser begins with 50 ms.
const FLIGHT_AGAIN: Duration = Duration::from_millis(400);

/// One peer's connection.
pub struct Transport {
    socket: Arc<UdpSocket>,
    engine: Engine,
    srtp: Option<Srtp>,
    /// Where the server is: where its DTLS or, since, its media comes from.
    server: Option<SocketAddr>,
    name: [Name; 1],
    /// When the datagram came that completed the handshake, nanoseconds since 1970.
    connected_ns: Option<u64>,
    deadline: Option<Instant>,
    /// The DTLS datagrams sent last, and when.
    flight: Vec<(SocketAddr, BytesMut)>,
    flight_at: Instant,
    /// Media that could not be opened.
    unopened: u64,
}

struct Srtp {
    sealer: Sealer,
    opener: Opener,
}

/// What a datagram turned out to be.
pub enum Incoming<'a> {
    /// An RTP packet, opened.
    Rtp(&'a mut [u8]),
    /// A compound RTCP packet, opened.
    Rtcp(&'a [u8]),
    /// Taken care of.
    Nothing,
}

impl Transport {
    #[must_use]
    pub fn new(socket: UdpSocket, engine: Engine) -> Self {
        let nobody = Name::from(SocketAddr::from(([0, 0, 0, 0], 0)));
        Self {
            socket: Arc::new(socket),
            engine,
            srtp: None,
            server: None,
            name: [nobody],
            connected_ns: None,
            deadline: Some(Instant::now()),
            flight: Vec::new(),
            flight_at: Instant::now(),
            unopened: 0,
        }
    }

    pub fn socket(&self) -> &Arc<UdpSocket> {
        &self.socket
    }

    /// Begins to connect.
    pub fn start(&mut self) {
        self.engine.handle_timeout(Instant::now());
        self.flush();
    }

    /// When DTLS was through, nanoseconds since 1970.
    #[must_use]
    pub fn connected_ns(&self) -> Option<u64> {
        self.connected_ns
    }

    #[must_use]
    pub fn gone(&self) -> bool {
        self.engine.state() == State::Gone
    }

    /// Media datagrams that were not authentic, or came twice.
    #[must_use]
    pub fn unopened(&self) -> u64 {
        self.unopened
    }

    /// Takes a datagram.
    #[inline]
    pub fn handle<'a>(
        &mut self,
        from: SocketAddr,
        arrived_ns: u64,
        datagram: &'a mut [u8],
        now: Instant,
    ) -> Incoming<'a> {
        let Some(128..=191) = datagram.first().copied() else {
            self.control(from, arrived_ns, datagram, now);
            return Incoming::Nothing;
        };
        let Some(srtp) = &mut self.srtp else { return Incoming::Nothing };
        if self.server != Some(from) {
            self.server = Some(from);
            self.name = [Name::from(from)];
        }
        let control = rtcp::is_rtcp(datagram);
        let opened = match control {
            true => srtp.opener.open_rtcp(datagram),
            false => srtp.opener.open(datagram),
        };
        match opened {
            Ok(len) if control => Incoming::Rtcp(&datagram[..len]),
            Ok(len) => Incoming::Rtp(&mut datagram[..len]),
            Err(error) => {
                tracing::trace!(%from, %error, "media was not opened");
                self.unopened += 1;
                Incoming::Nothing
            }
        }
    }

    fn control(&mut self, from: SocketAddr, arrived_ns: u64, datagram: &[u8], now: Instant) {
        self.engine.handle(from, datagram, now);
        self.flush();
        if self.srtp.is_none()
            && let Some(keys) = self.engine.keys()
        {
            match (Sealer::new(&keys.local), Opener::new(&keys.remote)) {
                (Ok(sealer), Ok(opener)) => self.srtp = Some(Srtp { sealer, opener }),
                (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "a peer has no SRTP"),
            }
            self.server = Some(from);
            self.name = [Name::from(from)];
            self.connected_ns = Some(arrived_ns);
            self.flight = Vec::new();
        }
    }

    /// Lets the engine's timers fire when they are due.
    #[inline]
    pub fn tick(&mut self, now: Instant) {
        if self.deadline.is_some_and(|d| d <= now) {
            self.engine.handle_timeout(now);
            self.flush();
        }
        // The engine stops its own timer when a part of an answer came, and then waits for
        // the other part for ever.
        if !self.flight.is_empty() && now.duration_since(self.flight_at) > FLIGHT_AGAIN {
            self.flight_at = now;
            for (to, datagram) in &self.flight {
                self.send_control(*to, datagram);
            }
        }
    }

    fn send_control(&self, to: SocketAddr, datagram: &[u8]) {
        if let Err(error) = self.socket.send_to(datagram, to) {
            tracing::debug!(%to, %error, "a datagram was not sent");
        }
    }

    /// Sends what the engine has to say.
    pub fn flush(&mut self) {
        let mut flight = Vec::new();
        while let Some((to, datagram)) = self.engine.poll_transmit() {
            self.send_control(to, &datagram);
            if self.srtp.is_none() && matches!(datagram.first(), Some(20..=63)) {
                flight.push((to, datagram));
            }
        }
        if !flight.is_empty() {
            self.flight = flight;
            self.flight_at = Instant::now();
        }
        self.deadline = self.engine.poll_timeout();
    }

    /// Whether media can be sent.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.srtp.is_some()
    }

    /// Seals and sends a compound RTCP packet, and empties the buffer.
    pub fn send_rtcp(&mut self, compound: &mut Vec<u8>) {
        if let (Some(srtp), Some(server)) = (&mut self.srtp, self.server)
            && !compound.is_empty()
        {
            compound.reserve(MAX_RTCP_TRAILER);
            if srtp.sealer.seal_rtcp(compound)
                && let Err(error) = self.socket.send_to(compound, server)
            {
                tracing::debug!(%error, "RTCP was not sent");
            }
        }
        compound.clear();
    }

    /// Seals RTP packets in `bytes` and sends them in one system call. Each ends where the
    /// next begins, has room for a tag at its end, a header of the length given and the
    /// rollover counter given. Returns how many the kernel refused.
    pub fn send_rtp(&self, bytes: &mut [u8], packets: &[Plain]) -> usize {
        let Some(srtp) = &self.srtp else { return 0 };
        let mut bursts = Vec::with_capacity(packets.len());
        let mut start = 0;
        for packet in packets {
            if srtp.sealer.seal(&mut bytes[start..packet.end], packet.header, packet.roc) {
                let segment = packet.end - start;
                bursts.push(Burst { to: 0, start, end: packet.end, segment });
            }
            start = packet.end;
        }
        socket::send(&self.socket, bytes, &bursts, &self.name)
    }

    /// Bytes sealing adds to an RTP packet.
    #[must_use]
    pub fn tag_len(&self) -> usize {
        self.srtp.as_ref().map_or(0, |s| s.sealer.tag_len())
    }

    /// Says goodbye.
    pub fn close(&mut self) {
        self.engine.close();
        self.flush();
    }
}

/// A packet still to be sealed.
#[derive(Debug, Clone, Copy)]
pub struct Plain {
    pub end: usize,
    pub header: usize,
    pub roc: u32,
}

/// Reads everything a socket has; `each` is given the sender, the time of arrival and the
/// datagram. Returns how long the first of it had waited for us, in nanoseconds.
///
/// # Errors
/// The operating system's.
pub fn drain(
    inbox: &mut Inbox,
    socket: &UdpSocket,
    mut each: impl FnMut(SocketAddr, u64, &mut [u8]),
) -> io::Result<Option<u64>> {
    let mut waited = None;
    loop {
        let count = inbox.receive(socket)?;
        let read_ns = wall_ns();
        for n in 0..count {
            let received = inbox.get(n);
            let (from, arrived_ns, segment) =
                (received.from, received.arrived_ns, received.segment);
            waited.get_or_insert(read_ns.saturating_sub(arrived_ns));
            for datagram in received.bytes.chunks_mut(segment) {
                each(from, arrived_ns, datagram);
            }
        }
        if count < inbox.room() {
            return Ok(waited);
        }
    }
}
