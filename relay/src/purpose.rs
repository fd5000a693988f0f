//! What a QUIC connection to a node is for, told before its first byte of TLS: trunks, which
//! show certificates; machines that ask for one with a code; measurements of the line. All
//! come to the one UDP port a school lets out.
//!
//! The client says it in the connection id it makes up for the server (RFC 9000 §7.2): eight
//! bytes of purpose, the rest random. This is a hint and no credential: it chooses the TLS
//! configuration of the connection, whose ALPN and client authentication then decide.

use quinn::{ClientConfig, ConnectionId};
use std::sync::Arc;

/// Length of the connection ids: the longest there is, so that twelve bytes stay random where
/// eight are asked for.
const LENGTH: usize = 20;

const MARK: usize = 8;

/// ALPN of enrolment.
pub const ENROL_ALPN: &[u8] = b"cloudschool-enrol/1";
/// ALPN of measurements.
pub const MEASURE_ALPN: &[u8] = b"cloudschool-measure/1";

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Trunk,
    Enrol,
    Measure,
}

impl Purpose {
    const fn mark(self) -> Option<&'static [u8; MARK]> {
        match self {
            Self::Trunk => None,
            Self::Enrol => Some(b"cs-enrol"),
            Self::Measure => Some(b"cs-measr"),
        }
    }

    /// Reads it from the first destination connection id of a connection.
    pub fn of(id: &ConnectionId) -> Self {
        let begins = id.first_chunk::<MARK>();
        let is = |purpose: &Self| begins.is_some() && begins == purpose.mark();
        [Self::Enrol, Self::Measure].into_iter().find(is).unwrap_or(Self::Trunk)
    }

    /// Has connections made with `config` say it.
    pub fn said_by(self, mut config: ClientConfig) -> ClientConfig {
        if let Some(mark) = self.mark() {
            let make = move || {
                let mut id: [u8; LENGTH] = rand::random();
                if let Some(begin) = id.first_chunk_mut() {
                    *begin = *mark;
                }
                ConnectionId::new(&id)
            };
            config.initial_dst_cid_provider(Arc::new(make));
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_connection_id_is_of_a_trunk() {
        for id in [&[][..], &[0; 8], &[7; 20], b"cs-enro", b"cs-measX123456789"] {
            assert_eq!(Purpose::of(&ConnectionId::new(id)), Purpose::Trunk);
        }
        assert_eq!(Purpose::of(&ConnectionId::new(b"cs-enrol")), Purpose::Enrol);
        assert_eq!(Purpose::of(&ConnectionId::new(b"cs-measr and more")), Purpose::Measure);
    }
}
