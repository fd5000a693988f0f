//! Configuration of the recorder; `configs/recorder.toml` documents every key.

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
    pub recording: RecordingSection,
    #[serde(default)]
    pub library: LibrarySection,
}

/// `[recording]`: how lessons are captured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordingSection {
    /// How often the teacher's pictures are asked for a keyframe, in seconds; 0 for never. A
    /// player can jump to keyframes only.
    pub keyframe_every_s: u32,
    /// Recording stops when less than this is free, in MiB.
    pub min_free_mb: u64,
}

impl Default for RecordingSection {
    fn default() -> Self {
        Self { keyframe_every_s: 10, min_free_mb: 256 }
    }
}

/// `[library]`: where published lessons lie.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LibrarySection {
    /// Directory of published lessons; without it `library` in the data directory.
    pub dir: Option<PathBuf>,
}

/// What is wrong with the configuration as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    #[error("[trunk] upstream is missing: the recorder follows the lessons of a node")]
    NoUpstream,
    #[error("[trunk] listen is of no use here: nothing dials the recorder")]
    Listens,
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
        self.trunk.upstream.as_deref().ok_or(Wrong::NoUpstream)
    }

    /// Where captured lessons lie.
    #[must_use]
    pub fn lessons(&self) -> PathBuf {
        self.node.data.join("lessons")
    }

    /// Where published lessons lie.
    #[must_use]
    pub fn library(&self) -> PathBuf {
        self.library.dir.clone().unwrap_or_else(|| self.node.data.join("library"))
    }

    /// The library's catalogue.
    #[must_use]
    pub fn catalogue(&self) -> PathBuf {
        self.node.data.join("library.sqlite")
    }

    /// Address of a recording's page in the library.
    #[must_use]
    pub fn page(&self, id: &str) -> String {
        format!("{}/library?recording={id}", self.http.url().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(env: &[(&str, &str)]) -> Config {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/recorder.toml");
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        cloudschool_service::config::load(file.as_ref(), env).unwrap()
    }

    #[test]
    fn the_configuration_shipped_is_good() {
        let config = shipped(&[]);
        assert_eq!(config.check().unwrap(), ["127.0.0.1:8443"]);
        assert_eq!(config.library(), PathBuf::from("data/recorder/library"));
        assert_eq!(config.page("a-1"), "http://127.0.0.1:8070/library?recording=a-1");
        let defaults = RecordingSection::default();
        assert_eq!(config.recording.keyframe_every_s, defaults.keyframe_every_s);
        assert_eq!(config.recording.min_free_mb, defaults.min_free_mb);
    }

    #[test]
    fn a_recorder_that_listens_is_a_mistake() {
        let config = shipped(&[("CLOUDSCHOOL__TRUNK__LISTEN", "127.0.0.1:9")]);
        assert!(matches!(config.check(), Err(Wrong::Listens)));
    }
}
