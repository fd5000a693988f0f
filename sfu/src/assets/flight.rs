//! Fetching an asset from another node, once however many wait for it. A flight goes on where it
//! was when pieces are lost, when the line was cut, and by another trunk; somebody who begins to
//! wait for one that was under way at leisure makes it urgent.

use super::store::{self, Found};
use super::{AssetError, Key, Urgency};
use crate::node::Node;
use crate::trunk::{LinkCommand, LinkHandle};
use cloudschool_protocol::asset::{AssetKind, AssetRefusal, Chunk};
use cloudschool_protocol::trunk::{Control, capability};
use cloudschool_relay::{Partial, Piece};
use dashmap::DashMap;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// How long a page waits for an asset before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Without a piece for so long, and some round trips, it is asked for again.
const STALLED: Duration = Duration::from_secs(2);

/// Without a piece for so long over a line that is there, it is given up.
const GIVEN_UP: Duration = Duration::from_secs(120);

/// What an asset is to its lesson. Each sort has flights of its own, so that none keeps another
/// waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// The page of the slides that everybody looks at.
    Shown,
    /// Another page of the slides that are open.
    Deck,
    /// A picture that the board names.
    Board,
    /// Offered by a node below.
    Offered,
}

impl Sort {
    /// Assets of that sort that may be on their way at once. Of what is offered as many as are
    /// looked after.
    const fn most(self) -> usize {
        match self {
            Self::Shown => 8,
            Self::Deck => 24,
            Self::Board => 16,
            Self::Offered => super::up::OFFERS,
        }
    }

    /// Whether one more may fly beside these.
    fn has_room(self, flying: impl Iterator<Item = Self>) -> bool {
        flying.filter(|sort| *sort == self).count() < self.most()
    }
}

/// Pieces that may wait to be put in their places: what is sent at once, twice.
const WAITING: usize = 64;

/// Times an asset may come that is not what its name says.
const WRONG: u32 = 2;

type Outcome = Result<(), AssetRefusal>;

#[derive(Debug)]
struct Flight {
    sort: Sort,
    urgency: watch::Sender<Urgency>,
    landed: watch::Receiver<Option<Outcome>>,
}

#[derive(Debug)]
enum Arrival {
    /// A packet that holds a piece.
    Piece(Vec<u8>),
    Refused(AssetRefusal),
}

#[derive(Debug)]
struct Awaited {
    link: u64,
    arrivals: mpsc::Sender<Arrival>,
}

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    flying: Mutex<HashMap<Key, Flight>>,
    awaited: DashMap<u64, Awaited>,
    requests: AtomicU64,
}

/// Where an asset comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// The node above, whichever that is.
    Above,
    /// A node below that has offered it.
    Below(LinkHandle),
}

impl Flights {
    /// A piece came by a trunk. What nobody asked that trunk for is dropped.
    pub(super) fn arrived(&self, link: u64, chunk: &Chunk<'_>) {
        // One too many is asked for again.
        self.deliver(link, chunk.request, || Arrival::Piece(chunk.write()));
    }

    /// A trunk's other end does not have it.
    pub(super) fn refused(&self, link: u64, request: u64, refusal: AssetRefusal) {
        self.deliver(link, request, || Arrival::Refused(refusal));
    }

    fn deliver(&self, link: u64, request: u64, arrival: impl FnOnce() -> Arrival) {
        if let Some(awaited) = self.awaited.get(&request).filter(|awaited| awaited.link == link) {
            let _full = awaited.arrivals.try_send(arrival());
        }
    }

    /// A request by a trunk, until it is dropped.
    fn ask(&self, link: u64) -> (u64, mpsc::Receiver<Arrival>) {
        let request = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let (arrivals, arriving) = mpsc::channel(WAITING);
        self.awaited.insert(request, Awaited { link, arrivals });
        (request, arriving)
    }

    fn flying(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Flight>> {
        // Whole after any panic: each change is one call.
        self.flying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An asset from the disk, else from the node above.
pub(super) async fn get(
    node: &Arc<Node>,
    key: &Key,
    urgency: Urgency,
) -> Result<Found, AssetError> {
    if let Some(found) = node.assets().store.get(key) {
        return Ok(found);
    }
    if node.lessons().are_ours() {
        return Err(AssetError::Missing);
    }
    let mut campus = node.campus_reachable();
    let landed = fetch(node, key, urgency, Source::Above)?;
    tokio::select! {
        biased;
        outcome = timeout(PATIENCE, over(landed)) => match outcome {
            Ok(outcome) => landed_here(node, key, outcome),
            Err(_) => Err(AssetError::Late),
        },
        _ = campus.wait_for(|reachable| !reachable) => Err(AssetError::Away),
    }
}

/// What became of a flight, as those who waited see it.
pub(super) fn landed_here(node: &Node, key: &Key, outcome: Outcome) -> Result<Found, AssetError> {
    let assets = node.assets();
    outcome.map_err(|refusal| AssetError::of_refusal(refusal, assets.limits()))?;
    assets.store.get(key).ok_or(AssetError::NoRoom)
}

/// Waits for the end of a flight.
pub(super) async fn over(mut landed: watch::Receiver<Option<Outcome>>) -> Outcome {
    match landed.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.unwrap_or(Err(AssetRefusal::Other)),
        Err(_) => Err(AssetRefusal::Other),
    }
}

/// Has an asset fetched, unless it is on its way already. The node above is asked for nothing
/// that the lesson has not named.
pub(super) fn fetch(
    node: &Arc<Node>,
    key: &Key,
    urgency: Urgency,
    source: Source,
) -> Result<watch::Receiver<Option<Outcome>>, AssetError> {
    let sort = match &source {
        Source::Below(_) => Sort::Offered,
        Source::Above => node.sort_of(key).ok_or(AssetError::Missing)?,
    };
    let mut flying = node.assets().flights.flying();
    if let Some(flight) = flying.get(key) {
        flight.urgency.send_if_modified(|now| {
            let more = urgency > *now;
            *now = urgency.max(*now);
            more
        });
        return Ok(flight.landed.clone());
    }
    if !sort.has_room(flying.values().map(|flight| flight.sort)) {
        return Err(AssetError::Busy);
    }
    let (urgent, hurry) = watch::channel(urgency);
    let (land, landed) = watch::channel(None);
    flying.insert(key.clone(), Flight { sort, urgency: urgent, landed: landed.clone() });
    let (node, key) = (Arc::downgrade(node), key.clone());
    tokio::spawn(async move {
        let outcome = Flown { node: node.clone(), key: key.clone(), source, hurry }.fly().await;
        if let Err(refusal) = &outcome {
            tracing::debug!(lesson = %key.0, asset = %key.1, ?refusal, "an asset did not come");
        }
        if let Some(node) = node.upgrade() {
            node.assets().flights.flying().remove(&key);
        }
        land.send_replace(Some(outcome));
    });
    Ok(landed)
}

/// One asset on its way here.
struct Flown {
    node: Weak<Node>,
    key: Key,
    source: Source,
    hurry: watch::Receiver<Urgency>,
}

/// How a try over one trunk ended.
enum Try {
    Whole(AssetKind, Vec<u8>),
    Refused(AssetRefusal),
    /// The trunk is gone, or another is in its place.
    Parted,
}

impl Flown {
    async fn fly(mut self) -> Outcome {
        let mut partial = Partial::default();
        loop {
            let Some(node) = self.node.upgrade() else { return Err(AssetRefusal::Other) };
            let Some(link) = self.link(&node) else {
                let mut campus = node.campus_reachable();
                if matches!(self.source, Source::Below(_)) || *campus.borrow() {
                    return Err(AssetRefusal::Other);
                }
                drop(node);
                if campus.wait_for(|reachable| *reachable).await.is_err() {
                    return Err(AssetRefusal::Other);
                }
                continue;
            };
            match self.over(&node, &link, &mut partial).await {
                Try::Whole(kind, bytes) => return self.keep(&node, kind, bytes).await,
                Try::Refused(refusal) => return Err(refusal),
                Try::Parted => {}
            }
        }
    }

    /// The trunk to ask.
    fn link(&self, node: &Node) -> Option<LinkHandle> {
        let link = match &self.source {
            Source::Above => node.uplink().filter(|_| *node.campus_reachable().borrow()),
            Source::Below(link) => node.link(&link.peer).filter(|now| now.id == link.id),
        };
        link.filter(|link| link.can(capability::ASSETS))
    }

    async fn over(&mut self, node: &Arc<Node>, link: &LinkHandle, partial: &mut Partial) -> Try {
        let flights = &node.assets().flights;
        let (request, mut arriving) = flights.ask(link.id);
        let ended = self.take_in(node, link, (request, &mut arriving), partial).await;
        flights.awaited.remove(&request);
        if !matches!(ended, Try::Whole(..)) {
            link.send(LinkCommand::Say(Control::AssetStop { request }));
        }
        ended
    }

    async fn take_in(
        &mut self,
        node: &Arc<Node>,
        link: &LinkHandle,
        (request, arriving): (u64, &mut mpsc::Receiver<Arrival>),
        partial: &mut Partial,
    ) -> Try {
        let most = node.assets().limits().file;
        let mut campus = node.campus_reachable();
        let mut progress = Instant::now();
        let mut wrong = 0;
        loop {
            let now = *self.hurry.borrow_and_update() == Urgency::Now;
            let (lesson, asset) = self.key.clone();
            let offset = partial.offset();
            let ask = Control::AssetFetch { request, lesson, asset, offset, now };
            link.send(LinkCommand::Say(ask));
            let mut asked = Instant::now();
            loop {
                let stalled = asked + STALLED + 4 * link.path().rtt;
                tokio::select! {
                    biased;
                    arrival = arriving.recv() => match arrival {
                        Some(Arrival::Piece(packet)) => {
                            let Some(chunk) = Chunk::read(&packet) else { continue };
                            match partial.put(&chunk, most) {
                                Piece::TooLarge => return Try::Refused(AssetRefusal::TooLarge),
                                Piece::Useless => continue,
                                Piece::New => {}
                            }
                            (progress, asked) = (Instant::now(), Instant::now());
                            if !partial.is_whole() {
                                continue;
                            }
                            if let Some((kind, bytes)) = partial.take_if_whole(&self.key.1) {
                                return Try::Whole(kind, bytes);
                            }
                            wrong += 1;
                            if wrong >= WRONG {
                                return Try::Refused(AssetRefusal::Missing);
                            }
                            break;
                        }
                        Some(Arrival::Refused(refusal)) => return Try::Refused(refusal),
                        None => return Try::Parted,
                    },
                    Ok(()) = self.hurry.changed() => break,
                    _ = campus.wait_for(|reachable| !reachable),
                        if matches!(self.source, Source::Above) => return Try::Parted,
                    () = tokio::time::sleep_until(stalled.into()) => {
                        if self.link(node).is_none_or(|now| now.id != link.id) {
                            return Try::Parted;
                        }
                        if progress.elapsed() > GIVEN_UP {
                            return Try::Refused(AssetRefusal::Other);
                        }
                        break;
                    }
                }
            }
        }
    }

    async fn keep(&self, node: &Arc<Node>, kind: AssetKind, bytes: Vec<u8>) -> Outcome {
        let assets = node.assets();
        let len = bytes.len() as u64;
        let to_hand_up = matches!(self.source, Source::Below(_)) && !node.lessons().are_ours();
        if super::kind_of(&bytes).is_err() {
            return Err(AssetRefusal::Unsupported);
        }
        let store = assets.store.clone();
        let kept = store::keep_bytes(store, self.key.clone(), kind, bytes, to_hand_up).await;
        match kept {
            Ok(_) => {
                assets.counters.fetched.fetch_add(1, Ordering::Relaxed);
                assets.counters.fetched_bytes.fetch_add(len, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(lesson = %self.key.0, %error, "an asset that came is not kept");
                Err((&error).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_that_nobody_has_keep_no_page_of_the_slides_waiting() {
        let mut flying = Vec::new();
        while Sort::Board.has_room(flying.iter().copied()) {
            flying.push(Sort::Board);
        }
        assert_eq!(flying.len(), 16);
        for sort in [Sort::Deck, Sort::Offered] {
            while sort.has_room(flying.iter().copied()) {
                flying.push(sort);
            }
        }
        assert!(Sort::Shown.has_room(flying.iter().copied()), "everybody looks at it");
    }
}
