//! The files of a lesson (课件 and pictures): kept on disk by the node that has its origin, and at
//! a school for as long as there is room. A file is named by the SHA-256 of its bytes, so a copy
//! needs no word with the origin to be right, and none ever changes.
//!
//! [`store`] is the disk; [`upload`] takes a file in; [`flight`] fetches one from another node,
//! once however many wait for it; [`courier`] sends them; [`up`] hands up what was given to a
//! school's node; [`ahead`] fetches a deck's pages before they are turned to. How it looks from
//! outside is in `docs/slides.md`. It decides nothing about who may give a file: HTTP does.

mod ahead;
mod courier;
mod flight;
mod store;
mod up;
mod upload;

pub(crate) use courier::Courier;
pub use store::{AssetLimits, Found, StoreFigures};
pub use upload::Upload;

use crate::bucket::Bucket;
use crate::node::Node;
use crate::trunk::{LinkHandle, admits};
use cloudschool_protocol::asset::{AssetId, AssetKind, AssetRefusal, Chunk, FLOW_AHEAD, FLOW_NOW};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::trunk::{Control, NodeKind};
use cloudschool_relay::Media;
use flight::{Flights, Sort};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;
use store::Store;
use up::HandingUp;

/// An asset of a lesson.
pub type Key = (LessonId, AssetId);

/// Why an asset is not kept or not to be had.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    #[error("one file may have {0} bytes")]
    TooLarge(u64),
    #[error("it is no kind of file that is kept")]
    Unsupported,
    /// As many or as large as a lesson may have.
    #[error("the lesson has no room for more files")]
    LessonFull,
    /// The disk, or what this node may use of it.
    #[error("the node has no room for more files")]
    NoRoom,
    #[error("there is no such file")]
    Missing,
    /// It is not here, and where it is can't be reached.
    #[error("the file is at the campus, which can't be reached")]
    Away,
    /// It was not there in time.
    #[error("the file did not come in time")]
    Late,
    #[error("too many files are on their way")]
    Busy,
    #[error("the campus does not take it")]
    Refused,
    #[error("the disk: {0}")]
    Disk(#[from] io::Error),
}

impl From<&AssetError> for AssetRefusal {
    fn from(error: &AssetError) -> Self {
        match error {
            AssetError::TooLarge(_) => Self::TooLarge,
            AssetError::Unsupported => Self::Unsupported,
            AssetError::LessonFull | AssetError::NoRoom => Self::Full,
            AssetError::Missing => Self::Missing,
            AssetError::Refused => Self::NotAllowed,
            AssetError::Away | AssetError::Late | AssetError::Busy | AssetError::Disk(_) => {
                Self::Other
            }
        }
    }
}

impl AssetError {
    fn of_refusal(refusal: AssetRefusal, limits: &AssetLimits) -> Self {
        match refusal {
            AssetRefusal::TooLarge => Self::TooLarge(limits.file),
            AssetRefusal::Unsupported => Self::Unsupported,
            AssetRefusal::Full => Self::LessonFull,
            AssetRefusal::Missing => Self::Missing,
            AssetRefusal::NotAllowed => Self::Refused,
            AssetRefusal::Other => Self::Late,
        }
    }
}

/// How soon an asset is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// When nothing else wants the line.
    Ahead,
    /// Somebody waits for it.
    Now,
}

/// Pictures of boards that are not here, which pages may ask this node for in a second, in the
/// long run and at once: each costs the line a question, and who may write on a board may name
/// what nobody has. A board full of pictures asks for fewer.
const PICTURES: (f64, u32) = (20.0, 100);

/// What crossed trunks.
#[derive(Debug, Default)]
struct Counters {
    fetched: AtomicU64,
    fetched_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

/// What is kept, and what crossed trunks since the node began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AssetFigures {
    pub store: StoreFigures,
    /// Assets that came by a trunk, and their bytes.
    pub fetched: u64,
    pub fetched_bytes: u64,
    /// Bytes of assets that went by trunks.
    pub sent_bytes: u64,
}

/// The files of a node's lessons.
#[derive(Debug)]
pub struct Assets {
    store: Arc<Store>,
    flights: Flights,
    handing_up: HandingUp,
    ahead: ahead::Wanted,
    counters: Counters,
    pictures: Mutex<Bucket>,
}

impl Assets {
    /// Those in the lessons' directories under `dir`. At a school, `cache` is the most bytes that
    /// are kept; without it everything is.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn open(dir: PathBuf, limits: AssetLimits, cache: Option<u64>) -> io::Result<Self> {
        Ok(Self {
            store: Arc::new(Store::open(dir, limits, cache)?),
            flights: Flights::default(),
            handing_up: HandingUp::default(),
            ahead: ahead::Wanted::default(),
            counters: Counters::default(),
            pictures: Mutex::new(Bucket::new(PICTURES.0, PICTURES.1, Instant::now())),
        })
    }

    /// What is kept, and what crossed trunks.
    #[must_use]
    pub fn figures(&self) -> AssetFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AssetFigures {
            store: self.store.figures(),
            fetched: read(&self.counters.fetched),
            fetched_bytes: read(&self.counters.fetched_bytes),
            sent_bytes: read(&self.counters.sent_bytes),
        }
    }

    /// The most bytes one asset may have.
    #[must_use]
    pub fn limits(&self) -> &AssetLimits {
        self.store.limits()
    }

    /// Begins to take a file in.
    ///
    /// # Errors
    /// [`AssetError`].
    pub async fn receive(&self, lesson: &LessonId) -> Result<Upload, AssetError> {
        Upload::begin(self.store.clone(), lesson.clone()).await
    }

    /// Whether the line may be asked once more for a picture of a board.
    fn may_ask(&self) -> bool {
        self.pictures.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
    }

    /// What comes by a trunk of assets; the rest is given back.
    pub(crate) fn take_chunks(&self, link: &LinkHandle, packets: Vec<Media>) -> Vec<Media> {
        let ours = |media: &Media| media.flow == FLOW_NOW || media.flow == FLOW_AHEAD;
        if !packets.iter().any(ours) {
            return packets;
        }
        let (chunks, rest): (Vec<_>, Vec<_>) = packets.into_iter().partition(ours);
        for media in chunks {
            if let Some(chunk) = Chunk::read(&media.packet) {
                self.flights.arrived(link.id, &chunk);
            }
        }
        rest
    }
}

impl Node {
    /// An asset of a lesson: from this node's disk, else from the node above. That is asked only
    /// for what the lesson has named: a page of the slides that are open, a picture on the board.
    ///
    /// # Errors
    /// [`AssetError`].
    pub async fn asset(self: &Arc<Self>, key: &Key) -> Result<Found, AssetError> {
        let urgency = match self.sort_of(key) {
            _ if self.lessons().are_ours() || self.assets().store.has(key) => Urgency::Now,
            None => return Err(AssetError::Missing),
            Some(Sort::Deck) => Urgency::Ahead,
            Some(Sort::Board) if !self.assets().may_ask() => return Err(AssetError::Busy),
            Some(_) => Urgency::Now,
        };
        flight::get(self, key, urgency).await
    }

    /// What an asset is to its lesson; `None` when the lesson has not named it.
    fn sort_of(&self, (lesson, asset): &Key) -> Option<Sort> {
        let state = self.lessons().get(lesson)?.state();
        if let Some(slides) = &state.slides {
            let current = slides.deck.page(slides.page);
            if current.is_some_and(|p| p.asset == *asset || p.small == Some(*asset)) {
                return Some(Sort::Shown);
            }
            if slides.deck.assets().any(|a| a == *asset) {
                return Some(Sort::Deck);
            }
        }
        let board = self.boards().get(lesson, state.run)?;
        board.names(asset).then_some(Sort::Board)
    }

    /// Has the origin keep an asset that was given to this node. Says whether it does by now:
    /// while the line is away it is kept here and handed up when it is back.
    ///
    /// # Errors
    /// [`AssetError`] when the origin won't have it.
    pub async fn hand_up_asset(self: &Arc<Self>, key: &Key) -> Result<bool, AssetError> {
        up::hand_up(self, key).await
    }

    /// Takes a message about assets. Gives back one that is about something else.
    pub(crate) fn asset_message(
        self: &Arc<Self>,
        from: &LinkHandle,
        courier: &Courier,
        message: Control,
    ) -> Option<Control> {
        let above = self.uplink().is_some_and(|up| up.id == from.id);
        match message {
            Control::AssetFetch { request, lesson, asset, offset, now } => {
                let key = (lesson, asset);
                if above || self.may_have_assets(from, &key.0) {
                    courier.fetch(request, key, offset, now);
                } else {
                    courier.refuse(request, AssetRefusal::NotAllowed);
                }
            }
            Control::AssetStop { request } => courier.stop(request),
            Control::AssetRefused { request, refusal } => {
                self.assets().flights.refused(from.id, request, refusal);
            }
            Control::AssetOffer { lesson, asset, bytes, kind } if !above => {
                let key = (lesson, asset);
                let allowed =
                    from.identity().kind == NodeKind::Edge && self.may_have_assets(from, &key.0);
                match allowed {
                    true => up::offered(self, from, key, bytes, kind),
                    false => up::answer(from, key, Some(AssetRefusal::NotAllowed)),
                }
            }
            Control::AssetTaken { lesson, asset, refusal } if above => {
                up::taken(self, &(lesson, asset), refusal);
            }
            Control::AssetOffer { .. } | Control::AssetTaken { .. } => {
                tracing::debug!(peer = %from.peer, "a message about assets went the wrong way");
            }
            other => return Some(other),
        }
        None
    }

    fn may_have_assets(&self, peer: &LinkHandle, lesson: &LessonId) -> bool {
        let lesson = self.lessons().get(lesson);
        lesson.is_some_and(|lesson| admits(&lesson.state().info, peer.identity()))
    }

    /// At a school: has the pages of the slides that are open fetched, the one that is shown
    /// first.
    pub(crate) fn fetch_ahead(self: &Arc<Self>, state: &State) {
        if !self.lessons().are_ours() {
            ahead::look(self, state);
        }
    }
}

/// Fetches pages ahead and hands up what waits, until the node is gone.
pub async fn run(node: Weak<Node>) {
    let Some((wanted, campus)) =
        node.upgrade().map(|node| (node.assets().ahead.watch(), node.campus_reachable()))
    else {
        return;
    };
    tokio::join!(ahead::run(node.clone(), wanted), up::run(node, campus));
}

/// Whether the bytes are what they are said to be; the kind they are.
fn kind_of(bytes: &[u8]) -> Result<AssetKind, AssetError> {
    let kind = AssetKind::sniff(bytes).ok_or(AssetError::Unsupported)?;
    if kind == AssetKind::Text && !cloudschool_protocol::slides::is_deck_text(bytes) {
        return Err(AssetError::Unsupported);
    }
    Ok(kind)
}
