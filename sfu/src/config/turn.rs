//! `[turn]`: relays that browsers may be told of. The relay itself is an operator's coturn.

use super::InvalidConfig;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// `[turn]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TurnSection {
    /// `turn:`, `turns:` and `stun:` addresses, as browsers take them (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// What this node and the relay both know; or the file it is in.
    pub secret: Option<Secret>,
    pub secret_file: Option<PathBuf>,
    /// Seconds credentials are good for: at least as long as a lesson.
    pub ttl_s: u64,
}

impl Default for TurnSection {
    fn default() -> Self {
        Self { urls: Vec::new(), secret: None, secret_file: None, ttl_s: 6 * 3600 }
    }
}

/// Something that must not be in a log.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl TurnSection {
    #[must_use]
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_s)
    }

    /// The secret, from wherever it is; `None` where no address needs one.
    ///
    /// # Errors
    /// [`InvalidConfig`], naming the key.
    pub fn shared_secret(&self) -> Result<Option<Secret>, InvalidConfig> {
        let secret = match (&self.secret, &self.secret_file) {
            (Some(_), Some(_)) => return Err(InvalidConfig::TurnSecretTwice),
            (Some(secret), None) => Some(secret.clone()),
            (None, Some(file)) => {
                let unreadable =
                    |source| InvalidConfig::TurnSecretUnreadable { file: file.clone(), source };
                let text = std::fs::read_to_string(file).map_err(unreadable)?;
                Some(Secret(text.trim().to_owned()))
            }
            (None, None) => None,
        };
        let secret = secret.filter(|s| !s.0.is_empty());
        if secret.is_none() && self.urls.iter().any(|url| needs_credentials(url)) {
            return Err(InvalidConfig::TurnSecretMissing);
        }
        Ok(secret)
    }

    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        let good = |url: &String| {
            let (scheme, rest) = url.split_once(':').unwrap_or_default();
            let known = ["turn", "turns", "stun", "stuns"].contains(&scheme);
            // It goes into a header, between angle brackets.
            let plain = rest.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"/".contains(&b));
            known && plain && !rest.is_empty()
        };
        if let Some(url) = self.urls.iter().find(|url| !good(url)) {
            return Err(InvalidConfig::TurnUrl(url.clone()));
        }
        if self.ttl_s == 0 {
            return Err(InvalidConfig::TurnTtl);
        }
        self.shared_secret().map(drop)
    }
}

/// A STUN server serves whoever asks.
#[must_use]
pub fn needs_credentials(url: &str) -> bool {
    url.starts_with("turn")
}
