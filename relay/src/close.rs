//! How a connection ends, in words: the codes this end closes with, and one sentence for every
//! way the other end or the network may end it.

use quinn::{Connection, ConnectionError, VarInt};

/// Nothing is wrong; the program goes down or has no more use for the trunk.
pub const DONE: VarInt = VarInt::from_u32(0);
/// Not let in; the reason says why.
pub const REFUSED: VarInt = VarInt::from_u32(0x10);
/// The other end broke the rules of the trunk.
pub const PROTOCOL: VarInt = VarInt::from_u32(0x11);
/// The same node has made a newer connection.
pub const REPLACED: VarInt = VarInt::from_u32(0x12);

/// The reason of a peer that only looked whether this node is there.
pub const LOOKED_IN: &str = "only looked whether this node is there";

/// RTP over QUIC's ROQ_PACKET_ERROR: what came on a stream is no RTP.
pub const ROQ_PACKET_ERROR: VarInt = VarInt::from_u32(3);
/// RTP over QUIC's ROQ_FRAME_CANCELLED: the frame is too late to be of use.
pub const ROQ_FRAME_CANCELLED: VarInt = VarInt::from_u32(5);

/// TLS alerts (RFC 8446 §6) begin here among QUIC's error codes (RFC 9001 §4.8).
const TLS_ALERT: u64 = 0x100;

/// Closes an open connection. One that has ended already keeps its reason, which quinn's own
/// `close` would replace.
pub fn close(connection: &Connection, code: VarInt, reason: &str) {
    if connection.close_reason().is_none() {
        connection.close(code, reason.as_bytes());
    }
}

/// Whether the end of a connection will be the same at the next attempt: someone has to
/// change a certificate, a program or a configuration first.
pub fn is_lasting(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::VersionMismatch => true,
        ConnectionError::TransportError(e) => u64::from(e.code) >= TLS_ALERT,
        ConnectionError::ConnectionClosed(c) => u64::from(c.error_code) >= TLS_ALERT,
        ConnectionError::ApplicationClosed(c) => [REFUSED, REPLACED].contains(&c.error_code),
        _ => false,
    }
}

/// Whether the other end only looked whether this node is there.
pub fn looked_in(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::ApplicationClosed(c)
        if c.error_code == DONE && c.reason == LOOKED_IN)
}

/// Whether the TLS handshake failed over a certificate.
pub fn is_certificate(error: &ConnectionError) -> bool {
    let code = match error {
        ConnectionError::TransportError(e) => u64::from(e.code),
        ConnectionError::ConnectionClosed(c) => u64::from(c.error_code),
        _ => return false,
    };
    code.checked_sub(TLS_ALERT)
        .is_some_and(|alert| matches!(alert, 40 | 42..=46 | 48 | 49 | 51 | 116))
}

/// One sentence for people.
pub fn sentence(error: &ConnectionError) -> String {
    match error {
        ConnectionError::VersionMismatch => "the other end speaks another version of QUIC".into(),
        ConnectionError::TransportError(e) if u64::from(e.code) >= TLS_ALERT => {
            format!("this node does not accept the other end's certificate: {}", e.reason)
        }
        ConnectionError::TransportError(e) => format!("the connection failed: {e}"),
        ConnectionError::ConnectionClosed(c) => {
            match u64::from(c.error_code).checked_sub(TLS_ALERT) {
                Some(alert) => alert_sentence(alert).into(),
                None if c.reason.is_empty() => {
                    format!("the other end gave up the connection: {}", c.error_code)
                }
                None => format!(
                    "the other end gave up the connection: {}",
                    String::from_utf8_lossy(&c.reason)
                ),
            }
        }
        ConnectionError::ApplicationClosed(c) if c.reason.is_empty() => {
            "the other end closed the connection".into()
        }
        ConnectionError::ApplicationClosed(c) => String::from_utf8_lossy(&c.reason).into_owned(),
        ConnectionError::Reset => "the other end was restarted".into(),
        ConnectionError::TimedOut => "nothing was heard from the other end".into(),
        ConnectionError::LocallyClosed => "closed by this node".into(),
        ConnectionError::CidsExhausted => "this node has too many connections".into(),
    }
}

fn alert_sentence(alert: u64) -> &'static str {
    match alert {
        45 => {
            "the other end does not accept this node's certificate: it has expired, or one of the clocks is wrong"
        }
        44 => "the other end does not accept this node's certificate: it is revoked",
        48 => "the other end does not accept this node's certificate: it is of another CA",
        116 => "the other end asks for a certificate and this node showed none",
        40 | 42 | 43 | 46 | 49 | 51 => "the other end does not accept this node's certificate",
        70 | 120 => "the other end does not speak this version of the trunk",
        _ => "the other end refused the TLS handshake",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quinn::{ConnectionClose, TransportErrorCode};

    fn closed(alert: u8) -> ConnectionError {
        ConnectionError::ConnectionClosed(ConnectionClose {
            error_code: TransportErrorCode::crypto(alert),
            frame_type: None,
            reason: bytes::Bytes::new(),
        })
    }

    #[test]
    fn a_certificate_problem_is_told_from_a_network_problem() {
        for alert in [42, 45, 48, 51, 116] {
            assert!(is_certificate(&closed(alert)) && is_lasting(&closed(alert)));
            assert!(sentence(&closed(alert)).contains("certificate"));
        }
        for error in [ConnectionError::TimedOut, ConnectionError::Reset] {
            assert!(!is_certificate(&error) && !is_lasting(&error));
        }
        assert!(!is_certificate(&closed(120)));
        assert!(sentence(&closed(120)).contains("version"));
    }
}
