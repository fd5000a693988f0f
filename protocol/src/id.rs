//! Identifiers. Each is its own type, so that a school can't be passed for a lesson, and
//! each is checked once, where it enters: 1–64 characters of `A–Z a–z 0–9 . _ -`. They are
//! therefore safe in file names, URLs and metric labels as they are.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest identifier, in bytes.
pub const MAX_ID_LEN: usize = 64;

/// The text is empty, too long, or has a character that identifiers don't.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to 64 letters, digits, '.', '_' or '-', and not begin with '.'")]
pub struct InvalidId {
    what: &'static str,
}

fn check(what: &'static str, text: &str) -> Result<(), InvalidId> {
    let ok = !text.is_empty()
        && text.len() <= MAX_ID_LEN
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if ok { Ok(()) } else { Err(InvalidId { what }) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` and takes it over.
            ///
            /// # Errors
            /// [`InvalidId`] when it is empty, longer than 64 bytes or has other characters.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                check($what, &text)?;
                Ok(Self(text))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(s: &str) -> Result<Self, InvalidId> {
                Self::new(s)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(s: String) -> Result<Self, InvalidId> {
                Self::new(s)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

id!(
    /// A lesson (课).
    LessonId,
    "a lesson id"
);
id!(
    /// A member (成员) of a lesson: the subject of the token it joined with.
    MemberId,
    "a member id"
);
id!(
    /// A deck of slides (课件).
    DeckId,
    "a deck id"
);
id!(
    /// A school (学校), the campus (总部校区) included.
    SchoolId,
    "a school id"
);
id!(
    /// A node (节点) or another trunk peer, as its certificate names it.
    NodeId,
    "a node id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_safe_in_a_path() {
        for bad in ["", "..", ".hidden", "a/b", "a b", "课", &"x".repeat(65)] {
            assert!(LessonId::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert_eq!(LessonId::new("math-302.a_1").unwrap().as_str(), "math-302.a_1");
    }

    #[test]
    fn a_bad_id_in_json_is_refused_with_a_sentence() {
        let err = serde_json::from_str::<MemberId>("\"../etc\"").unwrap_err();
        assert!(err.to_string().contains("a member id must be"), "{err}");
    }
}
