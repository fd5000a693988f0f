//! Fragments of session descriptions that come by PATCH (`application/trickle-ice-sdpfrag`,
//! RFC 8840 §9; RFC 9725 §4.3): more candidates of a peer, or an ICE restart.
//!
//! An ICE-lite agent learns its peer's addresses from its checks, so candidates are read past.

use super::description::lines;
use super::ice::Credentials;

/// Why a fragment was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    #[error("the body is not a trickle ICE fragment with a=ice-ufrag and a=ice-pwd")]
    Malformed,
    /// The condition it came with names another ICE session than the present one.
    #[error("it is about an ICE session that is over")]
    Outdated,
}

/// Which ICE session a fragment is meant for, as `If-Match` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `*`: whichever it is by now; a restart says so.
    Any,
    /// The entity tags named, of which one must be that of the present session.
    Tags(Vec<String>),
}

impl Condition {
    /// Whether it holds while the session's tag is `tag`.
    #[must_use]
    pub fn holds(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|t| t == tag),
        }
    }
}

/// What a fragment came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patched {
    /// It told candidates of the present session.
    Candidates,
    /// The peer restarted ICE; this is our part of it, and the new session's tag.
    Restarted { fragment: String, tag: String },
}

/// The peer's credentials in a fragment.
pub(super) fn credentials(fragment: &str) -> Result<Credentials, FragmentError> {
    let (mut user, mut password) = (None, None);
    for line in lines(fragment) {
        let Some((letter, value)) = line else { return Err(FragmentError::Malformed) };
        if letter != 'a' {
            continue;
        }
        match value.split_once(':') {
            Some(("ice-ufrag", value)) if user.is_none() => user = Some(value.trim().to_owned()),
            Some(("ice-pwd", value)) if password.is_none() => {
                password = Some(value.trim().to_owned());
            }
            _ => {}
        }
    }
    let given = user.zip(password).map(|(fragment, password)| Credentials { fragment, password });
    given.filter(Credentials::is_plausible).ok_or(FragmentError::Malformed)
}
