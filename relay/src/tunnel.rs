//! The trunk where UDP is blocked: QUIC's datagrams with their lengths before them, over TLS
//! on TCP. To the QUIC connection in it this is a path like another: identities, encryption
//! and congestion control stay its own, and TLS around it only looks like what firewalls let
//! out, so it checks no certificate.
//!
//! TCP sends what is lost again and holds up what follows, so media is worse over it than
//! over UDP; what this adds for latency's sake: little lies unsent in the kernel
//! (`TCP_NOTSENT_LOWAT`), and what waits too long before it is dropped, as a full line would.
//!
//! A TCP connection that breaks is made again under the same QUIC connection, which migrates
//! (RFC 9000 §9).

mod dial;
mod hub;
mod lane;
mod socket;

pub use dial::dial;
pub use hub::{Hub, TunnelStats};

/// ALPN of the TLS around it, by which a proxy that shares the port can tell it from a
/// browser.
pub const ALPN: &[u8] = b"cloudschool-tunnel/1";
