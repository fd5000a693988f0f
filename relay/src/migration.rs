//! A trunk that moves: the dialling end gets another address, as when a school's node changes
//! from its cable to 5G, and the QUIC connection goes on from there (RFC 9000 §9).
//!
//! The socket is bound to no address of the machine, so the system would send from the new one
//! by itself; but QUIC is told, so that it takes another connection id, tries the new way at
//! once and doesn't measure it against the old one.

use crate::marking::Dscp;
use crate::path::Gauge;
use crate::transport;
use quinn::Endpoint;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

/// Moves the one connection of a dialler's endpoint.
pub struct Mover {
    endpoint: Endpoint,
    remote: SocketAddr,
    dscp: Option<Dscp>,
    gauge: Arc<Gauge>,
    /// The address of this machine that leads to the other end, when it was last looked at.
    address: Mutex<Option<IpAddr>>,
}

impl Mover {
    pub fn new(
        endpoint: Endpoint,
        remote: SocketAddr,
        dscp: Option<Dscp>,
        gauge: Arc<Gauge>,
    ) -> Self {
        let address = Mutex::new(address_towards(remote));
        Self { endpoint, remote, dscp, gauge, address }
    }

    /// Goes on from `from`; port 0 for any.
    pub fn rebind(&self, from: SocketAddr) -> io::Result<()> {
        let socket = transport::wrap(transport::bind(from)?, self.dscp)?;
        self.endpoint.rebind_abstract(socket)?;
        self.gauge.new_way();
        Ok(())
    }

    /// Looks whether another address leads to the other end by now, and goes on from there.
    /// While none does, everything stays as it is.
    pub fn look(&self) {
        let Some(now) = address_towards(self.remote) else { return };
        let before = {
            let mut address = self.address.lock().unwrap_or_else(PoisonError::into_inner);
            address.replace(now)
        };
        if before.is_none_or(|before| before == now) {
            return;
        }
        match self.rebind(any(self.remote)) {
            Ok(()) => tracing::info!(remote = %self.remote, address = %now, "the trunk moves"),
            Err(error) => tracing::warn!(%error, address = %now, "the trunk can't move"),
        }
    }
}

/// No address in particular, of the other's family.
fn any(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// The address the system would send from: it looks up the route and sends nothing.
fn address_towards(remote: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(any(remote)).ok()?;
    socket.connect(remote).ok()?;
    socket.local_addr().ok().map(|a| a.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_which_address_leads_where() {
        let there = address_towards(([127, 0, 0, 5], 9).into());
        assert_eq!(there, Some(Ipv4Addr::LOCALHOST.into()));
    }
}
