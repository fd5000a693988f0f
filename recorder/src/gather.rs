//! What is published beside the media and lies at the campus: pictures that were shown, and the
//! changes of the board. Fetched over the trunk into the lesson's directory, where the finaliser
//! finds it. What arrived stays over restarts; what is half there is fetched anew.

use crate::shown::{BOARD, asset_file, kept, pictures_of_board};
use crate::writer::replace;
use cloudschool_protocol::asset::{AssetId, AssetRefusal, Chunk, MAX_ASSET};
use cloudschool_protocol::id::LessonId;
use cloudschool_relay::{Partial, Piece};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What brings nothing new for so long is asked for again: over two seconds and some round trips
/// of a bad line.
const AGAIN: Duration = Duration::from_secs(5);

/// So often in a row without anything new. The lesson may be gone from the campus.
const TRIES: u32 = 24;

/// Files under way at a time.
const AT_ONCE: usize = 4;

/// Most files of one lesson that are fetched: as many as a node keeps of a lesson.
const MAX_FILES: usize = 2_000;

/// Longest journal of a board that is fetched: what a node keeps of one at most, four times
/// its default.
const MAX_BOARD: usize = 256 << 20;

/// Something to ask the campus for.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask {
    Asset { lesson: LessonId, request: u64, asset: AssetId, offset: u64 },
    Board { lesson: LessonId, run: u32, offset: u64 },
}

/// What is being fetched.
enum What {
    Asset { asset: AssetId, parts: Partial },
    Board { run: u32, bytes: Vec<u8> },
}

struct Fetch {
    lesson: LessonId,
    dir: PathBuf,
    what: What,
    /// When something was asked for or came, if it is under way.
    under_way: Option<Instant>,
    tries: u32,
}

/// Everything being fetched, by the number it is asked for under: the oldest first.
#[derive(Default)]
pub struct Gathering {
    fetches: BTreeMap<u64, Fetch>,
    last: u64,
}

impl Gathering {
    /// A picture of `lesson` is wanted in its directory, if it isn't there yet.
    pub fn want_asset(&mut self, lesson: &LessonId, dir: &Path, asset: AssetId) {
        let same = |f: &Fetch| {
            f.dir == dir && matches!(&f.what, What::Asset { asset: other, .. } if *other == asset)
        };
        let of_lesson = self.fetches.values().filter(|f| f.dir == dir).count();
        let there = self.fetches.values().any(same) || kept(dir, &asset).is_some();
        if !there && of_lesson < MAX_FILES {
            self.add(lesson, dir, What::Asset { asset, parts: Partial::default() });
        }
    }

    /// So are the changes of its board, as they are by now.
    pub fn want_board(&mut self, lesson: &LessonId, dir: &Path, run: u32) {
        let same = |f: &Fetch| f.dir == dir && matches!(f.what, What::Board { .. });
        if !self.fetches.values().any(same) {
            self.add(lesson, dir, What::Board { run, bytes: Vec::new() });
        }
    }

    fn add(&mut self, lesson: &LessonId, dir: &Path, what: What) {
        self.last += 1;
        let (lesson, dir) = (lesson.clone(), dir.to_owned());
        let fetch = Fetch { lesson, dir, what, under_way: None, tries: 0 };
        self.fetches.insert(self.last, fetch);
    }

    /// What is to be asked for now, while there is somebody to ask. Directories that nothing more
    /// is on its way to, because it was asked for in vain, are put into `done`.
    pub fn poll(&mut self, now: Instant, done: &mut Vec<PathBuf>) -> Vec<Ask> {
        let mut asks = Vec::new();
        let mut given_up = Vec::new();
        for (request, fetch) in self.fetches.iter_mut().take(AT_ONCE) {
            if fetch.under_way.is_some_and(|at| now - at < AGAIN) {
                continue;
            }
            if fetch.tries >= TRIES {
                given_up.push(*request);
                continue;
            }
            fetch.tries += 1;
            fetch.under_way = Some(now);
            asks.push(fetch.ask(*request));
        }
        for request in given_up {
            self.end(request, "it did not come", done);
        }
        asks
    }

    /// A piece of an asset came; gives what became of it.
    pub fn chunk(&mut self, packet: &[u8], now: Instant, done: &mut Vec<PathBuf>) {
        let Some(chunk) = Chunk::read(packet) else { return };
        let Some(fetch) = self.fetches.get_mut(&chunk.request) else { return };
        let What::Asset { asset, parts } = &mut fetch.what else { return };
        if parts.put(&chunk, MAX_ASSET) != Piece::New {
            return;
        }
        (fetch.under_way, fetch.tries) = (Some(now), 0);
        if !parts.is_whole() {
            return;
        }
        match parts.take_if_whole(asset) {
            Some((kind, bytes)) => match replace(&asset_file(&fetch.dir, asset, kind), &bytes) {
                Ok(()) => self.over(chunk.request, done),
                Err(error) => {
                    tracing::error!(%asset, %error, "a picture could not be stored; it is tried again");
                }
            },
            None => tracing::warn!(%asset, "what came is another file; it is asked for again"),
        }
    }

    /// An asset does not come.
    pub fn refused(&mut self, request: u64, refusal: AssetRefusal, done: &mut Vec<PathBuf>) {
        match refusal {
            // It has no room for the request now.
            AssetRefusal::Other => {}
            AssetRefusal::Missing
            | AssetRefusal::NotAllowed
            | AssetRefusal::TooLarge
            | AssetRefusal::Unsupported
            | AssetRefusal::Full => self.end(request, "the campus has no such file", done),
        }
    }

    /// The next piece of a board came, an empty one at its end; gives what to ask for then.
    pub fn board(
        &mut self,
        (lesson, of): (&LessonId, u32),
        offset: u64,
        data: &[u8],
        now: Instant,
        done: &mut Vec<PathBuf>,
    ) -> Option<Ask> {
        let (request, fetch) = self.fetches.iter_mut().find(|(_, f)| {
            f.lesson == *lesson && matches!(f.what, What::Board { run, .. } if run == of)
        })?;
        let request = *request;
        let What::Board { bytes, .. } = &mut fetch.what else { return None };
        if offset != bytes.len() as u64 {
            return None;
        }
        (fetch.under_way, fetch.tries) = (Some(now), 0);
        bytes.extend_from_slice(data);
        if !data.is_empty() && bytes.len() <= MAX_BOARD {
            return Some(fetch.ask(request));
        }
        let (lesson, dir, bytes) = (fetch.lesson.clone(), fetch.dir.clone(), std::mem::take(bytes));
        if bytes.is_empty() || bytes.len() > MAX_BOARD {
            self.over(request, done);
            return None;
        }
        if let Err(error) = replace(&dir.join(BOARD), &bytes) {
            tracing::error!(%lesson, %error, "a board could not be stored; it is tried again");
            return None;
        }
        for asset in pictures_of_board(&bytes) {
            self.want_asset(&lesson, &dir, asset);
        }
        self.over(request, done);
        None
    }

    /// The trunk is gone: everything is asked for anew when it is back.
    pub fn disconnected(&mut self) {
        self.fetches.values_mut().for_each(|fetch| fetch.under_way = None);
    }

    /// Whether something is still on its way into `dir`.
    #[must_use]
    pub fn awaited(&self, dir: &Path) -> bool {
        self.fetches.values().any(|fetch| fetch.dir == dir)
    }

    fn end(&mut self, request: u64, why: &str, done: &mut Vec<PathBuf>) {
        let Some(fetch) = self.fetches.get(&request) else { return };
        let (lesson, what) = (&fetch.lesson, fetch.what.name());
        tracing::warn!(%lesson, what, why, "a recording is without something that was shown");
        self.over(request, done);
    }

    fn over(&mut self, request: u64, done: &mut Vec<PathBuf>) {
        if let Some(Fetch { dir, .. }) = self.fetches.remove(&request)
            && !self.awaited(&dir)
        {
            done.push(dir);
        }
    }
}

impl Fetch {
    fn ask(&self, request: u64) -> Ask {
        let lesson = self.lesson.clone();
        match &self.what {
            What::Asset { asset, parts } => {
                Ask::Asset { lesson, request, asset: *asset, offset: parts.offset() }
            }
            What::Board { run, bytes } => {
                Ask::Board { lesson, run: *run, offset: bytes.len() as u64 }
            }
        }
    }
}

impl What {
    fn name(&self) -> String {
        match self {
            Self::Asset { asset, .. } => asset.to_string(),
            Self::Board { run, .. } => format!("board {run}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::asset::AssetKind;

    fn lesson() -> LessonId {
        LessonId::new("math").unwrap()
    }

    /// SHA-256 of the nine bytes below.
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n!";
    const NAME: &str = "8e5999941ab51f7608c098f4d33289059ab15ea7804ae9ad28e93a2cf6f3eb66";

    fn chunk(request: u64, data: &[u8]) -> Vec<u8> {
        let total = data.len() as u32;
        Chunk { request, kind: AssetKind::Png, total, offset: 0, data }.write()
    }

    #[test]
    fn a_board_comes_piece_by_piece_and_then_the_pictures_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let (mut all, mut done) = (Gathering::default(), Vec::new());
        all.want_board(&lesson(), dir.path(), 2);
        all.want_board(&lesson(), dir.path(), 2);
        let ask = |offset| Ask::Board { lesson: lesson(), run: 2, offset };
        assert_eq!(all.poll(now, &mut done), [ask(0)]);
        assert!(all.poll(now, &mut done).is_empty(), "it is under way");
        let mut board = vec![3, 1, b'a', 119, 64];
        board.extend(NAME.bytes());
        let name = lesson();
        let mut piece = |offset: u64, data: &[u8]| {
            let mut done = Vec::new();
            let ask = all.board((&name, 2), offset, data, now, &mut done);
            (ask, done)
        };
        assert_eq!(piece(0, &board[..40]), (Some(ask(40)), vec![]));
        assert_eq!(piece(0, &board[..40]), (None, vec![]), "twice");
        let whole = board.len() as u64;
        assert_eq!(piece(40, &board[40..]), (Some(ask(whole)), vec![]));
        assert_eq!(piece(whole, &[]), (None, vec![]), "a picture on it is awaited");
        assert_eq!(std::fs::read(dir.path().join(BOARD)).unwrap(), board);
        let asks = all.poll(now, &mut done);
        let asset: AssetId = NAME.parse().unwrap();
        assert_eq!(asks, [Ask::Asset { lesson: lesson(), request: 2, asset, offset: 0 }]);
        all.chunk(&chunk(2, b"\x89PNG\r\n\x1a\n?"), now, &mut done);
        assert!(all.awaited(dir.path()), "it is not what its name says");
        assert!(done.is_empty());
        all.chunk(&chunk(2, PNG), now, &mut done);
        assert_eq!(done, [dir.path()]);
        assert!(!all.awaited(dir.path()));
        assert_eq!(std::fs::read(kept(dir.path(), &asset).unwrap().0).unwrap(), PNG);
        all.want_asset(&lesson(), dir.path(), asset);
        assert!(!all.awaited(dir.path()), "it is there");
    }

    #[test]
    fn what_the_campus_has_not_got_is_waited_for_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        let (mut all, mut done) = (Gathering::default(), Vec::new());
        all.want_asset(&lesson(), dir.path(), NAME.parse().unwrap());
        all.refused(1, AssetRefusal::Other, &mut done);
        assert!(all.awaited(dir.path()) && done.is_empty(), "it has no room to answer now");
        all.refused(1, AssetRefusal::Missing, &mut done);
        assert_eq!(done, [dir.path()]);
    }

    #[test]
    fn what_does_not_come_is_asked_for_again_and_at_last_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut now = Instant::now();
        let (mut all, mut done) = (Gathering::default(), Vec::new());
        all.want_asset(&lesson(), dir.path(), NAME.parse().unwrap());
        for _ in 0..TRIES {
            assert_eq!(all.poll(now, &mut done).len(), 1);
            now += AGAIN;
        }
        assert!(all.awaited(dir.path()) && done.is_empty());
        assert!(all.poll(now, &mut done).is_empty());
        assert_eq!(done, [dir.path()]);
    }

    #[test]
    fn an_empty_board_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (mut all, mut done) = (Gathering::default(), Vec::new());
        all.want_board(&lesson(), dir.path(), 1);
        assert_eq!(all.board((&lesson(), 1), 0, &[], Instant::now(), &mut done), None);
        assert_eq!(done, [dir.path()]);
        assert!(!dir.path().join(BOARD).exists());
    }
}
