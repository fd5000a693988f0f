//! At a school: fetches a deck's pages before they are turned to, one after the other and after
//! everything else that the line carries. The page that is shown is fetched at once, before
//! anybody's screen has asked for it.

use super::flight::{self, Source, over};
use super::{Key, Urgency};
use crate::node::Node;
use cloudschool_protocol::asset::AssetId;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::slides::Slides;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Weak};
use tokio::sync::watch;

/// What to fetch of each lesson, what is wanted first in front.
pub(super) type Plans = BTreeMap<LessonId, Plan>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    of: Slides,
    order: Arc<[AssetId]>,
}

#[derive(Debug, Default)]
pub(super) struct Wanted(watch::Sender<Plans>);

impl Wanted {
    pub(super) fn watch(&self) -> watch::Receiver<Plans> {
        self.0.subscribe()
    }
}

/// The order in which the assets of a deck will be wanted: the pages from the one that is shown
/// on, then those before it, then the small pictures likewise, then the text.
fn order(Slides { deck, page }: &Slides) -> Vec<AssetId> {
    let at = usize::from(page.saturating_sub(1)).min(deck.pages.len());
    let (before, from) = deck.pages.split_at(at);
    let pages = || from.iter().chain(before.iter().rev());
    let mut seen = HashSet::new();
    pages()
        .map(|page| page.asset)
        .chain(pages().filter_map(|page| page.small))
        .chain(deck.text)
        .filter(|asset| seen.insert(*asset))
        .collect()
}

/// The lesson is as `state` says: plans anew when its slides are others, or another page is
/// shown.
pub(super) fn look(node: &Arc<Node>, state: &State) {
    let lesson = &state.info.id;
    let changed = node.assets().ahead.0.send_if_modified(|plans| match &state.slides {
        None => plans.remove(lesson).is_some(),
        Some(slides) if plans.get(lesson).is_some_and(|plan| plan.of == *slides) => false,
        Some(slides) => {
            let plan = Plan { of: slides.clone(), order: order(slides).into() };
            plans.insert(lesson.clone(), plan);
            true
        }
    });
    let current = state.slides.as_ref().filter(|_| changed);
    let Some(page) = current.and_then(|slides| slides.deck.page(slides.page)) else { return };
    let key = (lesson.clone(), page.asset);
    if !node.assets().store.has(&key)
        && let Err(error) = flight::fetch(node, &key, Urgency::Now, Source::Above)
    {
        tracing::debug!(%lesson, %error, "the page that is shown is not fetched ahead");
    }
}

/// Fetches what is planned.
pub(super) async fn run(node: Weak<Node>, mut wanted: watch::Receiver<Plans>) {
    // What did not come, or gave way again, comes when a page asks for it.
    let mut tried: HashSet<Key> = HashSet::new();
    loop {
        let next = {
            let plans = wanted.borrow_and_update();
            tried.retain(|(lesson, asset)| {
                plans.get(lesson).is_some_and(|plan| plan.order.contains(asset))
            });
            let Some(node) = node.upgrade() else { return };
            let store = &node.assets().store;
            let missing = plans.iter().filter_map(|(lesson, plan)| {
                let keys = plan.order.iter().map(|asset| (lesson.clone(), *asset));
                keys.enumerate().find(|(_, key)| !tried.contains(key) && !store.has(key))
            });
            missing.min_by_key(|(place, _)| *place).map(|(_, key)| key)
        };
        match next {
            None => {
                if wanted.changed().await.is_err() {
                    return;
                }
            }
            Some(key) => {
                let landed = {
                    let Some(node) = node.upgrade() else { return };
                    flight::fetch(&node, &key, Urgency::Ahead, Source::Above)
                };
                if let Ok(landed) = landed
                    && let Err(refusal) = over(landed).await
                {
                    tracing::debug!(lesson = %key.0, asset = %key.1, ?refusal, "not fetched ahead");
                }
                tried.insert(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::id::DeckId;
    use cloudschool_protocol::slides::{Deck, DeckPage};

    fn asset(n: u8) -> AssetId {
        AssetId::of_digest([n; 32])
    }

    #[test]
    fn what_is_shown_and_what_comes_next_is_wanted_first_and_nothing_twice() {
        let pages = (1..=4)
            .map(|n| DeckPage {
                asset: asset(n),
                width: 4,
                height: 3,
                // The fourth page's small picture is the first page's.
                small: Some(asset(if n == 4 { 1 } else { 10 + n })),
                title: None,
            })
            .collect();
        let id = DeckId::new("d").unwrap();
        let deck = Deck { id, title: "d".into(), pages, text: Some(asset(99)) };
        let order = |page| order(&Slides { deck: deck.clone(), page });
        let wanted = [3, 4, 2, 1, 13, 12, 11, 99].map(asset);
        assert_eq!(order(3), wanted);
        assert_eq!(order(1)[..4], [1, 2, 3, 4].map(asset));
    }
}
