//! A node's copy of a board: a Yjs document that takes updates and tells what another copy
//! lacks. A value: no disk, no clock. Never takes an update that [`update::read`] refuses, so
//! the CRDT library sees only what boards are made of.

use cloudschool_protocol::board::bytes::Reader;
use cloudschool_protocol::board::update::{self, NotTaken};
use std::panic::{AssertUnwindSafe, catch_unwind};
use yrs::block::ClientID;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Doc, ReadTxn, StateVector, Transact, Update, WriteTxn};

/// Most clients of a state vector: every member of a lesson, come back ten times each.
const MAX_CLIENTS: u64 = 20_000;

/// Why bytes are of no use to a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    #[error("the CRDT library refused it")]
    Refused,
    /// The copy is not to be used any more: make it anew from what is stored.
    #[error("the CRDT library failed on it")]
    Broke,
}

/// What an update did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What of it was new, as an update; `None` when nothing was.
    pub news: Option<Vec<u8>>,
    /// It builds on what this copy does not have: it, or a part of it, was left out.
    pub gaps: bool,
}

/// A copy of a board.
pub struct Replica {
    doc: Doc,
}

impl Default for Replica {
    fn default() -> Self {
        Self::new()
    }
}

impl Replica {
    /// An empty board.
    #[must_use]
    pub fn new() -> Self {
        Self { doc: Doc::new() }
    }

    /// Takes an update in.
    ///
    /// # Errors
    /// [`Unusable`]; but for [`Unusable::Broke`] the copy is as it was.
    pub fn apply(&mut self, update: &[u8]) -> Result<Applied, Unusable> {
        if !update::read(update)?.follows(self.next_clocks()) {
            return Ok(Applied { news: None, gaps: true });
        }
        let doc = &self.doc;
        let apply = || {
            let update = Update::decode_v1(update).map_err(|_| Unusable::Refused)?;
            let mut change = doc.transact_mut();
            change.apply_update(update).map_err(|_| Unusable::Refused)?;
            let gaps = change.prune_pending().is_some();
            change.commit();
            let changed = !change.insert_set().is_empty() || !change.delete_set().is_empty();
            Ok(Applied { news: changed.then(|| change.encode_update_v1()), gaps })
        };
        catch_unwind(AssertUnwindSafe(apply)).unwrap_or(Err(Unusable::Broke))
    }

    /// What this copy has, as a Yjs state vector.
    #[must_use]
    pub fn vector(&self) -> Vec<u8> {
        self.doc.transact().state_vector().encode_v1()
    }

    /// What a copy with that state vector lacks, as an update.
    ///
    /// # Errors
    /// [`Unusable`] when it is no state vector.
    pub fn lacking(&self, vector: &[u8]) -> Result<Vec<u8>, Unusable> {
        let vector = state_vector(vector).ok_or(NotTaken::Malformed)?;
        Ok(self.doc.transact().encode_diff_v1(&vector))
    }

    /// The whole board, as an update.
    #[must_use]
    pub fn whole(&self) -> Vec<u8> {
        self.doc.transact().encode_diff_v1(&StateVector::default())
    }

    /// The first clock of a client that is not here.
    pub fn next_clocks(&self) -> impl Fn(u64) -> u64 + use<> {
        let vector = self.doc.transact().state_vector();
        move |client| u64::from(vector.get(&ClientID::new(client)))
    }
}

/// Reads a state vector: an empty one for no bytes.
fn state_vector(bytes: &[u8]) -> Option<StateVector> {
    if bytes.is_empty() {
        return Some(StateVector::default());
    }
    let mut reader = Reader::new(bytes);
    let clients = reader.var().filter(|n| *n <= MAX_CLIENTS)?;
    let mut vector = StateVector::default();
    for _ in 0..clients {
        let client = reader.var().filter(|client| *client < 1 << 53)?;
        let clock = u32::try_from(reader.var()?).ok()?;
        vector.set_max(ClientID::new(client), clock);
    }
    reader.is_empty().then_some(vector)
}

/// Several updates as one. One that is none of a board's spoils the lot.
#[must_use]
pub fn merged(updates: &[std::sync::Arc<[u8]>]) -> Option<Vec<u8>> {
    if let [only] = updates {
        return Some(only.to_vec());
    }
    let merge = || yrs::merge_updates_v1(updates.iter().map(AsRef::as_ref)).ok();
    catch_unwind(AssertUnwindSafe(merge)).unwrap_or(None)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use cloudschool_protocol::board::author_of;
    use cloudschool_protocol::id::MemberId;
    use proptest::prelude::*;
    use yrs::{Any, Map, Options};

    /// A page's side: a document of one author, and what it drew, as updates.
    pub struct Pen {
        pub doc: Doc,
        author: u32,
        drawn: u32,
    }

    impl Pen {
        pub fn of(member: &str, device: u32) -> Self {
            let author = author_of(&MemberId::new(member).unwrap());
            let client = (u64::from(author) << 32) | u64::from(device);
            let options = Options::with_client_id(ClientID::new(client));
            Self { doc: Doc::with_options(options), author, drawn: 0 }
        }

        /// Draws a stroke of `length` bytes and gives the update.
        pub fn draw(&mut self, page: &str, length: usize) -> Vec<u8> {
            self.drawn += 1;
            let key = format!("{}.{}-{}", base36(self.author), self.doc.client_id(), self.drawn);
            let map = self.doc.get_or_insert_map(format!("e/{page}"));
            let mut change = self.doc.transact_mut();
            let ink: Vec<u8> = (0..length).map(|n| n as u8).collect();
            map.insert(&mut change, key, Any::Buffer(ink.into()));
            change.commit();
            change.encode_update_v1()
        }

        /// Erases its first stroke there that is left, if any.
        pub fn erase(&mut self, page: &str) -> Option<Vec<u8>> {
            let map = self.doc.get_or_insert_map(format!("e/{page}"));
            let mut change = self.doc.transact_mut();
            let own = format!("{}.{}-", base36(self.author), self.doc.client_id());
            let key = map.keys(&change).find(|key| key.starts_with(&own)).map(str::to_owned)?;
            map.remove(&mut change, &key);
            change.commit();
            Some(change.encode_update_v1())
        }
    }

    pub fn base36(mut number: u32) -> String {
        let mut digits = Vec::new();
        loop {
            digits.push(char::from_digit(number % 36, 36).unwrap());
            number /= 36;
            if number == 0 {
                return digits.iter().rev().collect();
            }
        }
    }

    /// What is on the board, in an order of its own.
    pub fn strokes(whole: &[u8]) -> Vec<String> {
        let doc = Doc::new();
        doc.transact_mut().apply_update(Update::decode_v1(whole).unwrap()).unwrap();
        let roots: Vec<String> = {
            let read = doc.transact();
            read.root_refs().map(|(name, _)| name.to_owned()).collect()
        };
        let mut all = Vec::new();
        for root in roots {
            let map = doc.get_or_insert_map(root.as_str());
            let read = doc.transact();
            all.extend(map.iter(&read).map(|(key, value)| format!("{root} {key} {value:?}")));
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn what_is_known_already_is_no_news() {
        let mut pen = Pen::of("wang", 1);
        let (one, two) = (pen.draw("p1", 20), pen.draw("p1", 20));
        let mut board = Replica::new();
        assert_eq!(board.apply(&one).unwrap().news, Some(one.clone()));
        assert_eq!(board.apply(&one).unwrap(), Applied { news: None, gaps: false });
        board.apply(&two).unwrap();
        let gone = pen.erase("p1").unwrap();
        assert!(board.apply(&gone).unwrap().news.is_some(), "an erasure is news");
        assert_eq!(board.apply(&gone).unwrap().news, None);
        assert_eq!(strokes(&board.whole()).len(), 1);
    }

    #[test]
    fn what_builds_on_something_missing_is_left_out_and_said() {
        let mut pen = Pen::of("wang", 1);
        let (one, two) = (pen.draw("p1", 20), pen.draw("p1", 20));
        let mut board = Replica::new();
        assert_eq!(board.apply(&two).unwrap(), Applied { news: None, gaps: true });
        board.apply(&one).unwrap();
        assert_eq!(strokes(&board.whole()).len(), 1, "it was not kept behind the scenes");
        assert_eq!(board.apply(&two).unwrap().news, Some(two));
    }

    #[test]
    fn a_state_vector_is_read_with_bounds() {
        let mut pen = Pen::of("wang", 1);
        let mut board = Replica::new();
        board.apply(&pen.draw("p1", 3)).unwrap();
        assert_eq!(board.lacking(&board.vector()).unwrap(), Update::EMPTY_V1);
        assert_eq!(board.lacking(&[]).unwrap(), board.whole());
        for bad in [&[1][..], &[0xff, 0xff, 0xff, 0xff, 0x7f], &[0, 0], &[0xff; 12]] {
            board.lacking(bad).unwrap_err();
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Draw(usize),
        Erase(usize),
        /// What one copy has is told to another.
        Tell(usize, usize),
        /// An old change comes to a copy once more.
        Again(usize, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0usize..4).prop_map(Step::Draw),
            1 => (0usize..4).prop_map(Step::Erase),
            2 => (0usize..4, 0usize..4).prop_map(|(a, b)| Step::Tell(a, b)),
            1 => (0usize..4, any::<usize>()).prop_map(|(a, n)| Step::Again(a, n)),
        ];
        prop::collection::vec(step, 1..80)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Four pages at four nodes that hear of each other now and then, in any order, some
        /// things twice: in the end, told once around, all have the same.
        #[test]
        fn copies_that_were_apart_converge(steps in steps()) {
            let mut pens: Vec<Pen> = (0..4).map(|n| Pen::of(&format!("m{n}"), n)).collect();
            let mut boards: Vec<Replica> = (0..4).map(|_| Replica::new()).collect();
            let mut said: Vec<Vec<u8>> = Vec::new();
            for step in steps {
                match step {
                    Step::Draw(n) => {
                        let update = pens[n].draw("p1", 12);
                        boards[n].apply(&update).unwrap();
                        said.push(update);
                    }
                    Step::Erase(n) => {
                        if let Some(update) = pens[n].erase("p1") {
                            boards[n].apply(&update).unwrap();
                            said.push(update);
                        }
                    }
                    Step::Tell(a, b) => {
                        let update = boards[a].lacking(&boards[b].vector()).unwrap();
                        boards[b].apply(&update).unwrap();
                    }
                    Step::Again(n, which) if !said.is_empty() => {
                        let _known = boards[n].apply(&said[which % said.len()]).unwrap();
                    }
                    Step::Again(..) => {}
                }
            }
            for _ in 0..2 {
                for n in 0..4 {
                    let next = (n + 1) % 4;
                    let update = boards[n].lacking(&boards[next].vector()).unwrap();
                    boards[next].apply(&update).unwrap();
                }
            }
            let first = strokes(&boards[0].whole());
            for board in &boards {
                prop_assert_eq!(&strokes(&board.whole()), &first);
            }
        }

        /// Whatever bytes come, the copy is as it was or has a valid change more.
        #[test]
        fn spoiled_updates_harm_nothing(spoil in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
            let mut pen = Pen::of("wang", 1);
            let mut board = Replica::new();
            board.apply(&pen.draw("p1", 20)).unwrap();
            let mut update = pen.draw("p1", 20);
            for (place, byte) in spoil {
                let place = place % update.len();
                update[place] = byte;
            }
            let _taken_or_not = board.apply(&update);
            let copy = strokes(&board.whole());
            prop_assert!(!copy.is_empty());
        }
    }
}
