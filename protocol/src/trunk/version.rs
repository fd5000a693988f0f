//! Which version of the messages two ends speak with each other. Each says the highest and
//! the lowest it speaks; they use the lower of the two highest, if both speak it.

/// Highest version of the messages this release speaks.
pub const VERSION: u16 = 1;

/// Lowest version it speaks.
pub const OLDEST: u16 = 1;

/// Names of what a release can do beyond its version.
pub mod capability {
    /// Takes [`Control::HandUp`](super::super::Control::HandUp).
    pub const HAND_UP: &str = "hand-up";
    /// Serves nodes behind it and takes commands they report.
    pub const TREE: &str = "tree";
    /// Asks for certificates, or answers who does.
    pub const CERTIFICATES: &str = "certificates";
    /// Takes requests for certificates in the name of nodes behind the sender.
    pub const CERTIFICATES_BEHIND: &str = "certificates-behind";
    /// Keeps boards and tells of their changes.
    pub const BOARD: &str = "board";
    /// Sends and takes assets, and passes on where the teacher points.
    pub const ASSETS: &str = "assets";
    /// Takes [`Command::Speaks`](crate::command::Command::Speaks) and
    /// [`Command::Drew`](crate::command::Command::Drew).
    pub const REPORTS: &str = "reports";
    /// Answers [`Control::BoardFetch`](super::super::Control::BoardFetch).
    pub const BOARD_CHANGES: &str = "board-changes";
}

/// What this release can do beyond [`VERSION`].
pub const CAPABILITIES: &[&str] = &[
    capability::HAND_UP,
    capability::TREE,
    capability::CERTIFICATES,
    capability::CERTIFICATES_BEHIND,
    capability::BOARD,
    capability::ASSETS,
    capability::REPORTS,
    capability::BOARD_CHANGES,
];

/// The versions a release speaks, from `oldest` to `newest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    pub newest: u16,
    pub oldest: u16,
}

/// There is no version that both ends speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("they speak {theirs} of the trunk and this node {ours}: {} to a later release", self.whom())]
pub struct NoCommonVersion {
    pub ours: Versions,
    pub theirs: Versions,
}

impl NoCommonVersion {
    fn whom(&self) -> &'static str {
        if self.theirs.newest < self.ours.newest { "bring them" } else { "bring this node" }
    }
}

impl Versions {
    /// What this release speaks.
    pub const OURS: Self = Self { newest: VERSION, oldest: OLDEST };

    /// What a hello says. One that names no oldest, or one above its newest, speaks one.
    #[must_use]
    pub fn said(version: u16, oldest: Option<u16>) -> Self {
        Self { newest: version, oldest: oldest.unwrap_or(version).min(version) }
    }

    /// The version to speak with `theirs`.
    ///
    /// # Errors
    /// [`NoCommonVersion`], whose text is a sentence for people at either end.
    pub fn with(self, theirs: Self) -> Result<u16, NoCommonVersion> {
        let version = self.newest.min(theirs.newest);
        if version >= self.oldest && version >= theirs.oldest {
            return Ok(version);
        }
        Err(NoCommonVersion { ours: self, theirs })
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.newest == self.oldest {
            true => write!(f, "version {}", self.newest),
            false => write!(f, "versions {} to {}", self.oldest, self.newest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn versions(oldest: u16, newest: u16) -> Versions {
        Versions { newest, oldest }
    }

    #[test]
    fn a_newer_and_an_older_release_speak_the_olders_highest() {
        let (older, newer) = (versions(1, 2), versions(2, 5));
        assert_eq!(older.with(newer), Ok(2));
        assert_eq!(newer.with(older), Ok(2));
    }

    #[test]
    fn without_a_common_version_both_hear_which_end_is_behind() {
        let (older, newer) = (versions(1, 1), versions(2, 3));
        let at_older = older.with(newer).unwrap_err().to_string();
        assert!(at_older.contains("versions 2 to 3"), "{at_older}");
        assert!(at_older.contains("this node version 1: bring this node to"), "{at_older}");
        let at_newer = newer.with(older).unwrap_err().to_string();
        assert!(at_newer.contains("bring them to a later release"), "{at_newer}");
    }

    proptest! {
        #[test]
        fn both_ends_find_the_same(a in 0u16..9, b in 0u16..9, c in 0u16..9, d in 0u16..9) {
            let (one, two) = (Versions::said(a, Some(b)), Versions::said(c, Some(d)));
            prop_assert_eq!(one.with(two).ok(), two.with(one).ok());
            let spoken = |v: u16| [one, two].iter().all(|o| (o.oldest..=o.newest).contains(&v));
            match one.with(two) {
                Ok(version) => prop_assert!(spoken(version)),
                Err(_) => prop_assert!(!(0..9).any(spoken)),
            }
        }
    }
}
