//! What was given to a school's node goes up, so that the origin has every asset of its lessons:
//! the node offers it, the node above fetches it, and so on up to the origin, which answers. An
//! asset that could not go up yet is marked on disk and offered when the line is back.

use super::flight::{self, Source, landed_here, over};
use super::{AssetError, Key, Urgency};
use crate::node::Node;
use crate::trunk::{LinkCommand, LinkHandle};
use cloudschool_protocol::asset::{AssetKind, AssetRefusal};
use cloudschool_protocol::trunk::{Control, capability};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

/// How long an offer may stay unanswered before it is made again.
const OFFER_AGAIN: Duration = Duration::from_secs(5);

/// How long who gave it waits; then it goes up by and by.
const PATIENCE: Duration = Duration::from_secs(60);

/// Offers from below that are looked after at once. One too many is made again.
pub(super) const OFFERS: usize = 32;

type Answer = Option<Result<(), AssetRefusal>>;

#[derive(Debug)]
pub(super) struct HandingUp {
    waiting: Mutex<HashMap<Key, watch::Sender<Answer>>>,
    offers: Arc<Semaphore>,
}

impl Default for HandingUp {
    fn default() -> Self {
        Self { waiting: Mutex::default(), offers: Arc::new(Semaphore::new(OFFERS)) }
    }
}

impl HandingUp {
    fn wait_for(&self, key: &Key) -> watch::Receiver<Answer> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, answer| !answer.is_closed());
        waiting.entry(key.clone()).or_default().subscribe()
    }

    fn answered(&self, key: &Key, answer: Result<(), AssetRefusal>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = waiting.remove(key) {
            told.send_replace(Some(answer));
        }
    }
}

/// Says that an asset is here for the node above. False when that can't be said.
fn offer(node: &Node, key: &Key) -> bool {
    let link = node.uplink().filter(|link| link.can(capability::ASSETS));
    let (Some(link), Some(found)) = (link, node.assets().store.get(key)) else { return false };
    let (lesson, asset) = key.clone();
    let (bytes, kind) = (found.bytes, found.kind);
    link.send(LinkCommand::Say(Control::AssetOffer { lesson, asset, bytes, kind }));
    true
}

/// Has the origin keep an asset that is here. `false` when it could not be asked, or has not
/// answered: then it goes up later.
pub(super) async fn hand_up(node: &Arc<Node>, key: &Key) -> Result<bool, AssetError> {
    let assets = node.assets();
    let mut campus = node.campus_reachable();
    let begun = Instant::now();
    while assets.store.waits(key) {
        let mut answer = assets.handing_up.wait_for(key);
        if !*campus.borrow_and_update() || !offer(node, key) || begun.elapsed() > PATIENCE {
            return Ok(false);
        }
        tokio::select! {
            answered = answer.wait_for(Option::is_some) => {
                if let Ok(Some(Err(refusal))) = answered.as_deref() {
                    return Err(AssetError::of_refusal(*refusal, assets.limits()));
                }
            }
            _ = campus.wait_for(|reachable| !reachable) => return Ok(false),
            () = tokio::time::sleep(OFFER_AGAIN) => {}
        }
    }
    Ok(true)
}

/// The node above has it, or won't.
pub(super) fn taken(node: &Node, key: &Key, refusal: Option<AssetRefusal>) {
    let assets = node.assets();
    match refusal {
        None => assets.store.handed_up(key),
        Some(refusal @ (AssetRefusal::Missing | AssetRefusal::Other)) => {
            tracing::info!(lesson = %key.0, asset = %key.1, ?refusal, "it is offered again later");
        }
        Some(refusal) => {
            tracing::warn!(lesson = %key.0, asset = %key.1, ?refusal, "the campus does not take it");
            assets.store.drop_it(key);
        }
    }
    assets.handing_up.answered(key, refusal.map_or(Ok(()), Err));
}

/// Answers an offer.
pub(super) fn answer(to: &LinkHandle, key: Key, refusal: Option<AssetRefusal>) {
    let (lesson, asset) = key;
    to.send(LinkCommand::Say(Control::AssetTaken { lesson, asset, refusal }));
}

/// A node below offers an asset: fetches it, has the origin keep it, and answers.
pub(super) fn offered(node: &Arc<Node>, from: &LinkHandle, key: Key, bytes: u64, kind: AssetKind) {
    let assets = node.assets();
    if !assets.store.has(&key)
        && let Err(error) = assets.store.admits(&key.0, bytes)
    {
        tracing::info!(peer = %from.peer, lesson = %key.0, ?kind, %error, "not taken");
        return answer(from, key, Some((&error).into()));
    }
    let Ok(permit) = assets.handing_up.offers.clone().try_acquire_owned() else { return };
    let (node, from) = (node.clone(), from.clone());
    tokio::spawn(async move {
        let _permit = permit;
        match take(&node, &from, &key).await {
            Ok(true) => answer(&from, key, None),
            // The line is away: it is offered again when it is back.
            Ok(false) => {}
            Err(error) => answer(&from, key, Some((&error).into())),
        }
    });
}

async fn take(node: &Arc<Node>, from: &LinkHandle, key: &Key) -> Result<bool, AssetError> {
    if !node.assets().store.has(key) {
        let source = Source::Below(from.clone());
        let landed = flight::fetch(node, key, Urgency::Now, source)?;
        landed_here(node, key, over(landed).await)?;
    }
    match node.lessons().are_ours() {
        true => Ok(true),
        false => hand_up(node, key).await,
    }
}

/// Hands up what waits whenever the origin can be reached again.
pub(super) async fn run(node: Weak<Node>, mut campus: watch::Receiver<bool>) {
    while campus.wait_for(|reachable| *reachable).await.is_ok() {
        let Some(waiting) = node.upgrade().map(|node| node.assets().store.to_hand_up()) else {
            return;
        };
        for (key, _) in waiting {
            let Some(node) = node.upgrade() else { return };
            match hand_up(&node, &key).await {
                Ok(true) => {
                    tracing::info!(lesson = %key.0, asset = %key.1, "handed up after all");
                }
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(lesson = %key.0, asset = %key.1, %error, "not handed up");
                }
            }
        }
        if campus.changed().await.is_err() {
            return;
        }
    }
}
