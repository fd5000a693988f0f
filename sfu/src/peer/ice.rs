//! An ICE-lite agent (RFC 8445 §2.5): it has host candidates only, is always controlled, and
//! does nothing but answer a full agent's checks. What the checks prove, that a datagram from
//! an address is the peer's, is passed on; which address is then used is for the caller to say.
//!
//! It keeps no candidates of the peer: every address is learnt from a check that is genuine.

use super::stun::{BindingRequest, Refusal};
use bytes::BytesMut;
use std::net::SocketAddr;

/// 72 random bits; RFC 8445 §5.3 wants 24 at least. It is also the key under which the packet
/// path finds the peer.
const FRAGMENT_LEN: usize = 12;
/// 144 random bits, of at least 128.
const PASSWORD_LEN: usize = 24;

/// One side's short-term credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `a=ice-ufrag`.
    pub fragment: String,
    /// `a=ice-pwd`.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("fragment", &self.fragment).finish_non_exhaustive()
    }
}

fn random_ice_chars(len: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |byte: u8| ALPHABET.get(usize::from(byte % 64)).copied().map(char::from);
    std::iter::repeat_with(rand::random::<u8>).filter_map(letter).take(len).collect()
}

impl Credentials {
    /// Whether they are as RFC 8839 §5.4 has them.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        let ice_chars =
            |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=-_".contains(&b));
        (4..=256).contains(&self.fragment.len())
            && (22..=256).contains(&self.password.len())
            && ice_chars(&self.fragment)
            && ice_chars(&self.password)
    }

    fn random() -> Self {
        Self { fragment: random_ice_chars(FRAGMENT_LEN), password: random_ice_chars(PASSWORD_LEN) }
    }
}

/// What a binding request turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The peer's own: it is reachable at that address.
    Genuine {
        /// The peer chose the address to be used.
        nominates: bool,
    },
    /// The peer's, but refused.
    Refused,
    /// Not the peer's, or no check at all.
    Foreign,
}

/// The agent of one peer.
#[derive(Debug)]
pub struct LiteAgent {
    local: Credentials,
    /// Those before the last restart, good until the new ones are used.
    before: Option<Credentials>,
    remote: Credentials,
}

impl LiteAgent {
    /// An agent for the peer with these credentials.
    #[must_use]
    pub fn new(remote: Credentials) -> Self {
        Self { local: Credentials::random(), before: None, remote }
    }

    #[must_use]
    pub fn local(&self) -> &Credentials {
        &self.local
    }

    /// The user name fragments its checks are recognised by: the present one first.
    pub fn fragments(&self) -> impl Iterator<Item = &str> {
        [Some(&self.local), self.before.as_ref()].into_iter().flatten().map(|c| c.fragment.as_str())
    }

    /// Takes the credentials of a new offer. Others than before are an ICE restart (RFC 8445
    /// §9): the agent gets new ones too, and true is returned.
    pub fn restart_if_new(&mut self, remote: &Credentials) -> bool {
        if self.remote == *remote {
            return false;
        }
        self.remote = remote.clone();
        self.before = Some(std::mem::replace(&mut self.local, Credentials::random()));
        true
    }

    /// Takes a STUN datagram that came from `from`, and puts what is to be sent back there
    /// into `reply`.
    pub fn handle(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        reply: &mut Option<BytesMut>,
    ) -> Check {
        let Some(request) = BindingRequest::parse(datagram) else { return Check::Foreign };
        let named = |c: &&Credentials| c.fragment == request.local_fragment();
        let credentials =
            [Some(&self.local), self.before.as_ref()].into_iter().flatten().find(named);
        // One that is not signed as it should be gets no answer, which would only tell strangers
        // that the address exists and send as much to whomever they claim to be.
        let Some(credentials) = credentials.filter(|c| request.is_genuine(&c.password)) else {
            return Check::Foreign;
        };
        let refusal = match (request.has_unknown(), request.is_controlled) {
            (true, _) => Some(Refusal::UnknownAttribute),
            (false, true) => Some(Refusal::RoleConflict),
            (false, false) => None,
        };
        if let Some(why) = refusal {
            *reply = Some(request.refuse(why, &credentials.password));
            return Check::Refused;
        }
        *reply = Some(request.accept(from, &credentials.password));
        if request.nominates && credentials.fragment == self.local.fragment {
            self.before = None;
        }
        Check::Genuine { nominates: request.nominates }
    }
}
