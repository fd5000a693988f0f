//! What a Yjs update says, read without a document: enough to decide whether a node takes it.
//!
//! A board needs little of what Yjs can do: root maps whose entries are values. An update with
//! anything else in it (nested types, texts, formats, sub-documents) is none of a board's, and
//! is refused before the CRDT library sees it. So are depths and numbers that no page writes.

use super::bytes::Reader;
use super::{author_in, may_arrange};
use crate::member::Role;
use std::collections::HashMap;

/// Longest name of a root map and longest key, in bytes.
pub const MAX_NAME: usize = 96;

/// Most bytes of one entry's value: a long stroke is cut into several before that.
pub const MAX_VALUE: usize = 32 * 1024;

/// How deep a value may nest.
const MAX_DEPTH: usize = 4;

/// Client ids are of 53 bits.
const MAX_CLIENT: u64 = (1 << 53) - 1;

/// Highest clock: what Yjs and every node can count to without care.
const MAX_CLOCK: u64 = 1 << 30;

/// Root maps of what is drawn, one a surface, begin with this; what else there is (pages,
/// which one is shown) is arranged by who leads.
pub const SURFACE: &str = "e/";

/// Bits of an item's first byte.
const HAS_ORIGIN: u8 = 0x80;
const HAS_RIGHT_ORIGIN: u8 = 0x40;
const HAS_KEY: u8 = 0x20;
const CONTENT: u8 = 0x1f;

const GC: u8 = 0;
const DELETED: u8 = 1;
const BINARY: u8 = 3;
const ANY: u8 = 8;
const SKIP: u8 = 10;

/// Why an update is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("it is no Yjs update")]
    Malformed,
    #[error("it has what a board has no use for")]
    Foreign,
    #[error("it is not its author's own")]
    Forged,
    #[error("it changes what others drew, or how the board is arranged")]
    NotOwn,
    #[error("something that it builds on is missing")]
    Gap,
}

/// The name of an item: a client and a clock.
pub type ItemId = (u64, u64);

/// Where an item belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// In the root map of that name, under a key that had no entry.
    Root { map: &'a str, key: &'a str },
    /// In place of the entry that this item made.
    After(ItemId),
}

/// One or more clocks of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Struct<'a> {
    /// An entry, or what is left of one that was taken away.
    Item { at: ItemId, length: u64, place: Place<'a> },
    /// Was there once, and nothing is left of it.
    Collected { at: ItemId, length: u64 },
    /// The update has nothing to say of these.
    Skipped { at: ItemId, length: u64 },
}

/// A range of clocks of a client that were taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    pub client: u64,
    pub from: u64,
    pub length: u64,
}

/// What an update says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said<'a> {
    pub structs: Vec<Struct<'a>>,
    pub erased: Vec<Erased>,
}

/// Reads an update.
///
/// # Errors
/// [`NotTaken::Malformed`] and [`NotTaken::Foreign`].
pub fn read(update: &[u8]) -> Result<Said<'_>, NotTaken> {
    let mut reader = Reader::new(update);
    let mut said = Said::default();
    for _ in 0..count(&mut reader)? {
        let structs = count(&mut reader)?;
        let client = client(&mut reader)?;
        let mut clock = number(&mut reader, MAX_CLOCK)?;
        for _ in 0..structs {
            let one = one_struct(&mut reader, (client, clock))?;
            let (Struct::Item { length, .. }
            | Struct::Collected { length, .. }
            | Struct::Skipped { length, .. }) = one;
            clock += length;
            if clock > MAX_CLOCK {
                return Err(NotTaken::Malformed);
            }
            said.structs.push(one);
        }
    }
    for _ in 0..count(&mut reader)? {
        let client = client(&mut reader)?;
        for _ in 0..count(&mut reader)? {
            let from = number(&mut reader, MAX_CLOCK)?;
            let length = number(&mut reader, MAX_CLOCK - from)?;
            said.erased.push(Erased { client, from, length });
        }
    }
    if reader.is_empty() { Ok(said) } else { Err(NotTaken::Malformed) }
}

/// So many things follow, of one byte at least each.
fn count(reader: &mut Reader<'_>) -> Result<usize, NotTaken> {
    let left = reader.left() as u64;
    let count = number(reader, left)?;
    usize::try_from(count).map_err(|_| NotTaken::Malformed)
}

fn client(reader: &mut Reader<'_>) -> Result<u64, NotTaken> {
    number(reader, MAX_CLIENT)
}

fn number(reader: &mut Reader<'_>, most: u64) -> Result<u64, NotTaken> {
    reader.var().filter(|n| *n <= most).ok_or(NotTaken::Malformed)
}

fn item_id(reader: &mut Reader<'_>) -> Result<ItemId, NotTaken> {
    Ok((client(reader)?, number(reader, MAX_CLOCK)?))
}

fn name<'a>(reader: &mut Reader<'a>) -> Result<&'a str, NotTaken> {
    let name = reader.text().ok_or(NotTaken::Malformed)?;
    if name.len() <= MAX_NAME { Ok(name) } else { Err(NotTaken::Foreign) }
}

fn one_struct<'a>(reader: &mut Reader<'a>, at: ItemId) -> Result<Struct<'a>, NotTaken> {
    let info = reader.byte().ok_or(NotTaken::Malformed)?;
    if info == SKIP {
        return Ok(Struct::Skipped { at, length: length(reader)? });
    }
    if info & CONTENT == GC {
        return Ok(Struct::Collected { at, length: length(reader)? });
    }
    if info & HAS_RIGHT_ORIGIN != 0 {
        return Err(NotTaken::Foreign);
    }
    let place = if info & HAS_ORIGIN != 0 {
        Place::After(item_id(reader)?)
    } else {
        let root = reader.var().ok_or(NotTaken::Malformed)?;
        if root != 1 || info & HAS_KEY == 0 {
            return Err(NotTaken::Foreign);
        }
        Place::Root { map: name(reader)?, key: name(reader)? }
    };
    let length = match info & CONTENT {
        DELETED => length(reader)?,
        BINARY => {
            let value = reader.bytes().ok_or(NotTaken::Malformed)?;
            if value.len() > MAX_VALUE {
                return Err(NotTaken::Foreign);
            }
            1
        }
        ANY => {
            let before = reader.left();
            let values = length(reader)?;
            for _ in 0..values {
                value(reader, 0)?;
            }
            if before - reader.left() > MAX_VALUE {
                return Err(NotTaken::Foreign);
            }
            values
        }
        _ => return Err(NotTaken::Foreign),
    };
    Ok(Struct::Item { at, length, place })
}

/// Nothing has no clocks.
fn length(reader: &mut Reader<'_>) -> Result<u64, NotTaken> {
    match number(reader, MAX_CLOCK)? {
        0 => Err(NotTaken::Malformed),
        length => Ok(length),
    }
}

/// Passes over a value.
fn value(reader: &mut Reader<'_>, depth: usize) -> Result<(), NotTaken> {
    if depth > MAX_DEPTH {
        return Err(NotTaken::Foreign);
    }
    match reader.byte().ok_or(NotTaken::Malformed)? {
        // undefined, null, false, true
        127 | 126 | 121 | 120 => Ok(()),
        // integer
        125 => reader.var().map(drop).ok_or(NotTaken::Malformed),
        // float
        124 => reader.take(4).map(drop).ok_or(NotTaken::Malformed),
        123 => reader.take(8).map(drop).ok_or(NotTaken::Malformed),
        // string
        119 => reader.text().map(drop).ok_or(NotTaken::Malformed),
        // object
        118 => {
            for _ in 0..count(reader)? {
                name(reader)?;
                value(reader, depth + 1)?;
            }
            Ok(())
        }
        // array
        117 => {
            for _ in 0..count(reader)? {
                value(reader, depth + 1)?;
            }
            Ok(())
        }
        // bytes
        116 => reader.bytes().map(drop).ok_or(NotTaken::Malformed),
        _ => Err(NotTaken::Foreign),
    }
}

impl Said<'_> {
    /// Whether nothing follows from it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.structs.is_empty() && self.erased.is_empty()
    }

    /// Whether every entry follows what is there of its client without a gap, `next` being the
    /// first clock of a client that is not.
    #[must_use]
    pub fn follows(&self, next: impl Fn(u64) -> u64) -> bool {
        let mut ends: HashMap<u64, u64> = HashMap::new();
        self.structs.iter().all(|one| {
            let (Struct::Item { at, length, .. } | Struct::Collected { at, length }) = *one else {
                return true;
            };
            let end = ends.entry(at.0).or_insert_with(|| next(at.0));
            let follows = at.1 <= *end;
            *end = (*end).max(at.1 + length);
            follows
        })
    }

    /// Whether `author`, of `role`, may say it to a node where `next` is the first clock of a
    /// client that is not there yet.
    ///
    /// Entries are the author's own, follow what the node has of them without a gap, and name
    /// nothing the node does not know. Unless the role leads, they are drawn on a surface under
    /// keys that begin with the author's number (in base 36) and a dot, so that none hides
    /// another's; they replace only entries of the author's own, and only such are taken away.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn allowed(
        &self,
        author: u32,
        role: Role,
        next: impl Fn(u64) -> u64,
    ) -> Result<(), NotTaken> {
        let arranges = may_arrange(role);
        let own = |client: u64| author_in(client) == author;
        let mut ends: Vec<(u64, u64)> = Vec::new();
        let end_of = |ends: &[(u64, u64)], client: u64| {
            let said = ends.iter().find(|(c, _)| *c == client).map(|(_, end)| *end);
            said.unwrap_or_else(|| next(client)).max(next(client))
        };
        for one in &self.structs {
            let (at, length) = match *one {
                Struct::Item { at, length, .. } | Struct::Collected { at, length } => (at, length),
                Struct::Skipped { .. } => return Err(NotTaken::Gap),
            };
            if !own(at.0) {
                return Err(NotTaken::Forged);
            }
            if at.1 > end_of(&ends, at.0) {
                return Err(NotTaken::Gap);
            }
            let end = at.1 + length;
            match ends.iter_mut().find(|(client, _)| *client == at.0) {
                Some((_, known)) => *known = end.max(*known),
                None => ends.push((at.0, end)),
            }
        }
        for one in &self.structs {
            let Struct::Item { place, .. } = one else { continue };
            match *place {
                Place::Root { map, key }
                    if arranges || (map.starts_with(SURFACE) && is_own_key(key, author)) => {}
                Place::Root { .. } => return Err(NotTaken::NotOwn),
                Place::After((client, _)) if !arranges && !own(client) => {
                    return Err(NotTaken::NotOwn);
                }
                Place::After((client, clock)) if clock >= end_of(&ends, client) => {
                    return Err(NotTaken::Gap);
                }
                Place::After(_) => {}
            }
        }
        for erased in &self.erased {
            if !arranges && !own(erased.client) {
                return Err(NotTaken::NotOwn);
            }
            if erased.from + erased.length > end_of(&ends, erased.client) {
                return Err(NotTaken::Gap);
            }
        }
        Ok(())
    }
}

/// Whether a key begins with the author's number, base 36, and a dot.
fn is_own_key(key: &str, author: u32) -> bool {
    let Some((number, _)) = key.split_once('.') else { return false };
    let plain = number.len() <= 6 && !number.starts_with('+');
    plain && u32::from_str_radix(number, 36) == Ok(author)
}

#[cfg(test)]
mod tests {
    use super::super::bytes::{put_bytes, put_var};
    use super::*;
    use proptest::prelude::*;

    const ME: u32 = 77;
    const MINE: u64 = (77 << 32) | 1;
    const OTHERS: u64 = (78 << 32) | 1;
    /// A stroke of mine: 77 is "25" in base 36.
    const STROKE: Place<'_> = Place::Root { map: "e/p1", key: "25.a1" };

    /// An update with one entry at `at`: a stroke on a surface, or after another entry.
    fn entry(at: ItemId, place: Place<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        [1, 1, at.0, at.1].into_iter().for_each(|n| put_var(&mut out, n));
        match place {
            Place::Root { map, key } => {
                out.push(BINARY | HAS_KEY);
                out.push(1);
                put_bytes(&mut out, map.as_bytes());
                put_bytes(&mut out, key.as_bytes());
            }
            Place::After((client, clock)) => {
                out.push(BINARY | HAS_ORIGIN);
                put_var(&mut out, client);
                put_var(&mut out, clock);
            }
        }
        put_bytes(&mut out, b"ink");
        out.push(0);
        out
    }

    fn erasing(client: u64, from: u64, length: u64) -> Vec<u8> {
        let mut out = vec![0, 1];
        [client, 1, from, length].into_iter().for_each(|n| put_var(&mut out, n));
        out
    }

    fn judged(update: &[u8], role: Role) -> Result<(), NotTaken> {
        // Three entries of each client are known.
        read(update)?.allowed(ME, role, |_| 3)
    }

    #[test]
    fn a_stroke_of_ones_own_is_taken() {
        let update = entry((MINE, 3), STROKE);
        assert_eq!(judged(&update, Role::Student), Ok(()));
        assert_eq!(judged(&erasing(MINE, 0, 3), Role::Student), Ok(()));
        assert_eq!(judged(&entry((MINE, 3), Place::After((MINE, 2))), Role::Student), Ok(()));
    }

    #[test]
    fn a_stroke_in_anothers_name_is_not() {
        for role in [Role::Student, Role::Teacher] {
            let update = entry((OTHERS, 3), STROKE);
            assert_eq!(judged(&update, role), Err(NotTaken::Forged));
        }
    }

    #[test]
    fn only_who_leads_changes_what_others_drew_and_arranges_the_board() {
        for update in [
            entry((MINE, 3), Place::Root { map: "view", key: "25.a1" }),
            entry((MINE, 3), Place::Root { map: "e/p1", key: "26.a1" }),
            entry((MINE, 3), Place::Root { map: "e/p1", key: "25" }),
            entry((MINE, 3), Place::After((OTHERS, 2))),
            erasing(OTHERS, 0, 1),
        ] {
            assert_eq!(judged(&update, Role::Student), Err(NotTaken::NotOwn));
            assert_eq!(judged(&update, Role::Teacher), Ok(()));
        }
    }

    #[test]
    fn what_builds_on_nothing_is_refused() {
        for update in [
            entry((MINE, 4), STROKE),
            entry((MINE, 3), Place::After((OTHERS, 3))),
            erasing(OTHERS, 2, 2),
        ] {
            assert_eq!(judged(&update, Role::Teacher), Err(NotTaken::Gap));
        }
    }

    #[test]
    fn what_no_board_has_is_refused_before_the_library_sees_it() {
        // A nested type (7) in a root map.
        let mut nested = vec![1, 1, 5, 0, 7 | HAS_KEY, 1];
        put_bytes(&mut nested, b"e/p1");
        put_bytes(&mut nested, b"key");
        nested.extend([1, 0]);
        assert_eq!(read(&nested), Err(NotTaken::Foreign));
        // Arrays in arrays, deep enough to exhaust a recursive reader's stack.
        let mut deep = vec![1, 1, 5, 0, ANY | HAS_KEY, 1];
        put_bytes(&mut deep, b"e/p1");
        put_bytes(&mut deep, b"key");
        deep.push(1);
        deep.extend([117, 1].repeat(30_000));
        assert_eq!(read(&deep), Err(NotTaken::Foreign));
        // Clocks at the end of the range.
        let mut high = vec![1, 1, 5];
        put_var(&mut high, u64::from(u32::MAX) - 1);
        high.extend([0, 9, 0]);
        assert_eq!(read(&high), Err(NotTaken::Malformed));
        // More structs announced than there are bytes.
        assert_eq!(read(&[1, 0xff, 0xff, 0xff, 0x7f, 5, 0]), Err(NotTaken::Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(said) = read(&bytes) {
                let _judged = said.allowed(ME, Role::Student, |_| 3);
            }
        }

        #[test]
        fn a_changed_byte_is_read_or_refused(place in 0usize..40, byte: u8) {
            let mut update = entry((MINE, 3), STROKE);
            let place = place % update.len();
            update[place] = byte;
            if let Ok(said) = read(&update) {
                let _judged = said.allowed(ME, Role::Student, |_| 3);
            }
        }
    }
}
