//! Pseudonyms: HMAC-SHA256 of a member id under a key of this installation, so that records
//! hold nobody's id. The key stays in a file that only its owner reads; who deletes it cuts
//! the records off from persons for good.

use aws_lc_rs::{hmac, rand};
use cloudschool_protocol::id::MemberId;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Length of the key, in bytes: that of the hash, as RFC 2104 §3 advises.
const KEY_LEN: usize = 32;

/// Bytes of the hash in a pseudonym: two persons share one with probability below 2⁻⁸⁰ among
/// 2²⁴ persons.
const PSEUDONYM_LEN: usize = 16;

/// Why the key can't be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the pseudonym key {} can't be read or made: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(
        "the pseudonym key {} has {len} bytes, not {KEY_LEN}: put the right file back, or remove \
         it, and persons get new pseudonyms", path.display()
    )]
    Length { path: PathBuf, len: usize },
}

/// Turns member ids into pseudonyms.
#[derive(Debug, Clone)]
pub struct Pseudonyms(hmac::Key);

impl Pseudonyms {
    /// Pseudonyms under `key`.
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Reads the key from `path`, or makes one there.
    ///
    /// # Errors
    /// [`KeyError`] when the file can't be read or made, or isn't a key.
    pub fn load_or_make(path: &Path) -> Result<Self, KeyError> {
        let error = |source| KeyError::File { path: path.into(), source };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => make(path).map_err(error)?,
            Err(e) => return Err(error(e)),
        };
        let key = <[u8; KEY_LEN]>::try_from(bytes.as_slice())
            .map_err(|_| KeyError::Length { path: path.into(), len: bytes.len() })?;
        Ok(Self::new(&key))
    }

    /// The pseudonym of `member`: 32 hex digits.
    #[must_use]
    pub fn of(&self, member: &MemberId) -> String {
        let tag = hmac::sign(&self.0, member.as_str().as_bytes());
        let mut text = String::with_capacity(2 * PSEUDONYM_LEN);
        for byte in &tag.as_ref()[..PSEUDONYM_LEN] {
            // Writing to a String doesn't fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// Makes a key. Whole or not at all: it is written beside and renamed.
fn make(path: &Path) -> io::Result<Vec<u8>> {
    let mut key = vec![0; KEY_LEN];
    rand::fill(&mut key).map_err(|_| io::Error::other("no randomness to be had"))?;
    let partial = path.with_extension("tmp");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(&key)?;
    file.sync_all()?;
    std::fs::rename(&partial, path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn member(id: &str) -> MemberId {
        MemberId::new(id).unwrap()
    }

    #[test]
    fn a_person_keeps_its_pseudonym_over_restarts_and_has_another_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pseudonym.key");
        let first = Pseudonyms::load_or_make(&path).unwrap().of(&member("wang"));
        let again = Pseudonyms::load_or_make(&path).unwrap();
        assert_eq!(again.of(&member("wang")), first);
        assert_ne!(again.of(&member("li")), first);
        let elsewhere = Pseudonyms::load_or_make(&dir.path().join("other.key")).unwrap();
        assert_ne!(elsewhere.of(&member("wang")), first);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_pseudonym_is_the_hmac_of_rfc_2104() {
        // printf wang | openssl dgst -sha256 -mac HMAC -macopt hexkey:00…00
        let zero = Pseudonyms::new(&[0; KEY_LEN]);
        assert_eq!(zero.of(&member("wang")), "76409826d657fd8844131d030737c92e");
    }

    #[test]
    fn a_damaged_key_is_not_taken_for_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pseudonym.key");
        std::fs::write(&path, b"short").unwrap();
        let err = Pseudonyms::load_or_make(&path).unwrap_err();
        assert!(matches!(err, KeyError::Length { len: 5, .. }));
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }
}
