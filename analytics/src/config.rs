//! Configuration of the analytics process; `configs/analytics.toml` documents every key.

use cloudschool_service::config::{
    AuthSection, HttpSection, LogSection, NodeSection, TrunkSection,
};
use serde::Deserialize;
use std::path::PathBuf;

/// The configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub node: NodeSection,
    pub http: HttpSection,
    pub trunk: TrunkSection,
    #[serde(default)]
    pub auth: AuthSection,
    #[serde(default)]
    pub log: LogSection,
    #[serde(default)]
    pub export: ExportSection,
}

/// `[export]`: how records are handed out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportSection {
    /// Profile file with official codes filled in; without one, that built in.
    pub profile: Option<PathBuf>,
    /// What xAPI activity ids and accounts are under, when it isn't `[http] public_url`.
    pub base: Option<String>,
}

/// What is wrong with the configuration as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    #[error("[trunk] upstream is missing: analytics follows the lessons of a node")]
    NoUpstream,
    #[error("[trunk] listen is of no use here: nothing dials analytics")]
    Listens,
    #[error("[export] base must begin with http:// or https://, not {0:?}")]
    Base(String),
}

impl Config {
    /// Checks what the keys' types leave open; gives the upstream.
    ///
    /// # Errors
    /// [`Wrong`] with the key.
    pub fn check(&self) -> Result<&[String], Wrong> {
        if self.trunk.listen.is_some() {
            return Err(Wrong::Listens);
        }
        if let Some(base) = &self.export.base
            && !base.starts_with("http://")
            && !base.starts_with("https://")
        {
            return Err(Wrong::Base(base.clone()));
        }
        self.trunk.upstream.as_deref().ok_or(Wrong::NoUpstream)
    }

    /// What xAPI ids are under, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> String {
        let base = self.export.base.as_ref().map(|b| b.trim_end_matches('/').to_owned());
        base.unwrap_or_else(|| self.http.url())
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.node.data.join("behaviours.sqlite")
    }

    /// The key pseudonyms are made with.
    #[must_use]
    pub fn pseudonym_key(&self) -> PathBuf {
        self.node.data.join("pseudonym.key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(env: &[(&str, &str)]) -> Config {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/analytics.toml");
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        cloudschool_service::config::load(file.as_ref(), env).unwrap()
    }

    #[test]
    fn the_configuration_shipped_is_good() {
        let config = shipped(&[]);
        assert_eq!(config.check().unwrap(), ["127.0.0.1:8443"]);
        assert_eq!(config.base(), "http://127.0.0.1:8060");
        assert_eq!(config.database(), PathBuf::from("data/analytics/behaviours.sqlite"));
    }

    #[test]
    fn what_makes_no_sense_here_is_refused() {
        let listens = shipped(&[("CLOUDSCHOOL__TRUNK__LISTEN", "127.0.0.1:1")]);
        assert!(matches!(listens.check(), Err(Wrong::Listens)));
        let base = shipped(&[("CLOUDSCHOOL__EXPORT__BASE", "school.example")]);
        assert!(matches!(base.check(), Err(Wrong::Base(_))));
    }
}
