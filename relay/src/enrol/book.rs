//! The codes a campus has given out: one small file each beside the CA, written by
//! `sfu ca code` and by the node that takes the codes. A code itself is not in it, only what
//! the exchange needs to recognise one.

use super::code::{Code, NAME, Password};
use super::refused::Refused;
use crate::files::{self, Access, FileError};
use cloudschool_protocol::blob::Blob;
use cloudschool_protocol::id::{NodeId, SchoolId};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Wrong attempts at one code before it is void: a person's typing mistakes.
const MISTAKES: u32 = 5;

/// A code stays on file this long after its end, so that who comes late hears why.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often a new name is drawn before the book counts as full.
const DRAWS: usize = 64;

/// Why the book can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error("the codes can't be kept: {0}")]
    File(#[from] FileError),
    #[error("{} is damaged; remove it and make a new code: {source}", file.display())]
    Damaged { file: PathBuf, source: serde_json::Error },
    #[error("there are too many open codes: wait until some expire")]
    Full,
}

/// What a code is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// What the machine will be called.
    pub node: NodeId,
    /// The school it stands in.
    pub school: SchoolId,
}

/// One code, as it is on file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(flatten)]
    place: Place,
    password: Blob,
    expires_ms: u64,
    wrong: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used: Option<Used>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    at_ms: u64,
    /// SHA-256 of the public key a certificate was issued for.
    key: Blob,
}

/// The codes in a CA's directory.
#[derive(Debug)]
pub struct Book {
    dir: PathBuf,
    /// Attempts under way at each code: together with the wrong ones never more than are
    /// allowed, however many come at once.
    trying: Mutex<HashMap<String, u32>>,
}

/// One attempt at a code, until it is known to be right or wrong.
pub(super) struct Attempt<'a> {
    book: &'a Book,
    name: String,
    pub password: Password,
}

impl Book {
    /// The codes of the CA in `ca`.
    #[must_use]
    pub fn of(ca: &Path) -> Self {
        Self { dir: ca.join("codes"), trying: Mutex::default() }
    }

    /// Makes a code for `place`, good for `life` from `now_ms` on. One made before for the
    /// same node and not used is good for nothing any more.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn make(&self, place: &Place, life: Duration, now_ms: u64) -> Result<Code, BookError> {
        files::make_dir(&self.dir)?;
        self.tidy(place, now_ms)?;
        if self.withdrawn(&place.node) {
            let path = self.withdrawal(&place.node);
            std::fs::remove_file(&path).map_err(|source| FileError { path, source })?;
        }
        let free = |code: &Code| !self.file(code.name()).exists();
        let code = std::iter::repeat_with(Code::random).take(DRAWS).find(free);
        let code = code.ok_or(BookError::Full)?;
        let entry = Entry {
            place: place.clone(),
            password: Blob(code.password().0.to_vec()),
            expires_ms: now_ms.saturating_add(life.as_millis().try_into().unwrap_or(u64::MAX)),
            wrong: 0,
            used: None,
        };
        self.write(code.name(), &entry)?;
        Ok(code)
    }

    /// Has nothing more to do with `node`: its certificate is not renewed, and no trunk of it
    /// is taken. A new code for it takes this back.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn withdraw(&self, node: &NodeId) -> Result<(), BookError> {
        let file = self.withdrawal(node);
        if let Some(dir) = file.parent() {
            files::make_dir(dir)?;
        }
        Ok(files::replace(&file, b"", Access::Owner)?)
    }

    pub(super) fn withdrawn(&self, node: &NodeId) -> bool {
        self.withdrawal(node).exists()
    }

    fn withdrawal(&self, node: &NodeId) -> PathBuf {
        self.dir.join("withdrawn").join(node.as_str())
    }

    /// Removes what is long over, and open codes of the same node.
    fn tidy(&self, place: &Place, now_ms: u64) -> Result<(), BookError> {
        let unreadable = |source| FileError { path: self.dir.clone(), source };
        for file in std::fs::read_dir(&self.dir).map_err(unreadable)? {
            let path = file.map_err(unreadable)?.path();
            let Some(name) = path.file_stem().and_then(|n| n.to_str()) else { continue };
            let Ok(Some(entry)) = self.read(name) else { continue };
            let over = entry.expires_ms.saturating_add(REMEMBERED.as_millis() as u64) < now_ms;
            let replaced = entry.used.is_none() && entry.place.node == place.node;
            if over || replaced {
                std::fs::remove_file(&path).map_err(unreadable)?;
            }
        }
        Ok(())
    }

    /// Begins an attempt at the code called `name`. One that doesn't exist is tried like
    /// one that does, against a password nobody has.
    pub(super) fn attempt(&self, name: &str) -> Result<Attempt<'_>, Refused> {
        let named = name.len() == NAME && name.bytes().all(|b| b.is_ascii_alphanumeric());
        let mut trying = self.trying();
        let entry = if named { self.read(name).map_err(unable)? } else { None };
        let at_once = trying.get(name).copied().unwrap_or_default();
        if let Some(entry) = &entry
            && entry.wrong.saturating_add(at_once) >= MISTAKES
        {
            return Err(Refused::Void);
        }
        let password = entry.and_then(|e| <[u8; 32]>::try_from(e.password.0).ok());
        let password = Password(password.unwrap_or_else(rand::random));
        *trying.entry(name.to_owned()).or_default() += 1;
        Ok(Attempt { book: self, name: name.to_owned(), password })
    }

    fn trying(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.trying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    fn read(&self, name: &str) -> Result<Option<Entry>, BookError> {
        let file = self.file(name);
        if !file.exists() {
            return Ok(None);
        }
        let entry = serde_json::from_slice(&files::read(&file)?);
        entry.map(Some).map_err(|source| BookError::Damaged { file, source })
    }

    fn write(&self, name: &str, entry: &Entry) -> Result<(), BookError> {
        let file = self.file(name);
        let json = serde_json::to_vec_pretty(entry)
            .map_err(|source| BookError::Damaged { file: file.clone(), source })?;
        Ok(files::replace(&file, &json, Access::Owner)?)
    }
}

impl Attempt<'_> {
    /// The code was another.
    pub fn wrong(self) {
        let _trying = self.book.trying();
        // What does not exist can't be wrong too often.
        let Ok(Some(mut entry)) = self.book.read(&self.name) else { return };
        entry.wrong = entry.wrong.saturating_add(1);
        if let Err(error) = self.book.write(&self.name, &entry) {
            tracing::error!(%error, "a wrong code was not counted");
        }
    }

    /// The code was right: takes it for the public key with this SHA-256. The same key may
    /// come again as long as the code lasts: its line may have broken before the answer.
    pub fn right(self, key: &[u8], now_ms: u64) -> Result<Place, Refused> {
        let _trying = self.book.trying();
        // Its code may have been replaced in the meantime.
        let entry = self.book.read(&self.name).map_err(unable)?;
        let mut entry = entry.ok_or(Refused::WrongCode)?;
        if entry.used.as_ref().is_some_and(|used| used.key.0 != key) {
            return Err(Refused::Used);
        }
        if entry.expires_ms <= now_ms {
            return Err(Refused::Expired);
        }
        if entry.used.is_none() {
            entry.used = Some(Used { at_ms: now_ms, key: Blob(key.to_vec()) });
            self.book.write(&self.name, &entry).map_err(unable)?;
        }
        Ok(entry.place)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut trying = self.book.trying();
        if let Some(count) = trying.get_mut(&self.name) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                trying.remove(&self.name);
            }
        }
    }
}

fn unable(error: BookError) -> Refused {
    tracing::error!(%error, "enrolment codes can't be read or written");
    Refused::Unable
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const NOW: u64 = 1_800_000_000_000;

    fn book() -> (tempfile::TempDir, Book) {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::of(dir.path());
        (dir, book)
    }

    fn place(node: &str) -> Place {
        Place { node: NodeId::new(node).unwrap(), school: SchoolId::new("school-02").unwrap() }
    }

    fn password(book: &Book, code: &Code) -> bool {
        book.attempt(code.name()).unwrap().password == code.password()
    }

    #[test]
    fn a_code_is_good_once_and_for_the_same_key_again() {
        let (_dir, book) = book();
        let code = book.make(&place("school-02"), DAY, NOW).unwrap();
        assert!(password(&book, &code));
        let take = |key: &[u8]| book.attempt(code.name()).unwrap().right(key, NOW + 1);
        assert_eq!(take(b"a").unwrap(), place("school-02"));
        assert_eq!(take(b"a").unwrap(), place("school-02"));
        assert_eq!(take(b"b").unwrap_err(), Refused::Used);
    }

    #[test]
    fn a_code_ends_with_its_time() {
        let (_dir, book) = book();
        let code = book.make(&place("school-02"), DAY, NOW).unwrap();
        let end = NOW + DAY.as_millis() as u64;
        let take = |at| book.attempt(code.name()).unwrap().right(b"a", at);
        assert_eq!(take(end).unwrap_err(), Refused::Expired);
        take(end - 1).unwrap();
    }

    #[test]
    fn a_code_tried_wrongly_too_often_is_void_and_others_are_not() {
        let (dir, book) = book();
        let code = book.make(&place("school-02"), DAY, NOW).unwrap();
        let other = book.make(&place("school-03"), DAY, NOW).unwrap();
        for _ in 0..MISTAKES {
            book.attempt(code.name()).unwrap().wrong();
        }
        assert_eq!(book.attempt(code.name()).err(), Some(Refused::Void));
        assert_eq!(Book::of(dir.path()).attempt(code.name()).err(), Some(Refused::Void));
        assert!(password(&book, &other));
    }

    #[test]
    fn guesses_at_the_same_moment_are_no_more_than_those_one_after_the_other() {
        let (_dir, book) = book();
        let code = book.make(&place("school-02"), DAY, NOW).unwrap();
        let at_once: Vec<_> = (0..20).map_while(|_| book.attempt(code.name()).ok()).collect();
        assert_eq!(at_once.len(), MISTAKES as usize);
        // They were broken off: nothing was tested, nothing counts.
        drop(at_once);
        assert!(password(&book, &code));
    }

    #[test]
    fn a_code_that_is_not_there_is_tried_like_one_that_is() {
        let (_dir, book) = book();
        for name in ["ABC", "../../ca", ""] {
            book.attempt(name).unwrap().wrong();
            assert_eq!(book.attempt(name).unwrap().right(b"a", NOW), Err(Refused::WrongCode));
        }
    }

    #[test]
    fn a_new_code_takes_the_place_of_the_nodes_older_one() {
        let (_dir, book) = book();
        let older = book.make(&place("school-02"), DAY, NOW).unwrap();
        let other = book.make(&place("school-03"), DAY, NOW).unwrap();
        let newer = book.make(&place("school-02"), DAY, NOW).unwrap();
        assert!(!password(&book, &older));
        assert!(password(&book, &newer) && password(&book, &other));
    }

    #[test]
    fn a_withdrawn_node_comes_back_with_a_new_code() {
        let (_dir, book) = book();
        let node = place("school-03").node;
        book.withdraw(&node).unwrap();
        assert!(book.withdrawn(&node) && !book.withdrawn(&place("school-02").node));
        book.make(&place("school-03"), DAY, NOW).unwrap();
        assert!(!book.withdrawn(&node));
    }

    #[test]
    fn the_code_is_not_on_file() {
        let (dir, book) = book();
        let code = book.make(&place("school-02"), DAY, NOW).unwrap();
        let file = dir.path().join("codes").join(format!("{}.json", code.name()));
        let text = std::fs::read_to_string(file).unwrap();
        let secret = code.to_string().replace('-', "");
        assert!(!text.contains(&secret[NAME..]), "{text}");
    }
}
