//! Which encodings of what is published here anybody watches: publishers pause the others,
//! which spares a teacher's line and laptop.

use super::room::{Inner, Room};
use crate::peer::MAX_ENCODINGS;
use cloudschool_protocol::media::TrackId;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// An encoding that nobody wanted for so long is paused. Sooner would pause and resume it with
/// every viewer whose line wavers.
const PAUSE_AFTER: Duration = Duration::from_secs(5);

/// Every encoding there can be.
const ALL: u8 = (1 << MAX_ENCODINGS) - 1;

/// The names (`rid`, RFC 8851) of the encodings that are watched, of each track published here
/// in more than one.
pub type Watched = Arc<BTreeMap<TrackId, Vec<String>>>;

/// What is known of the wishes for each track's encodings, as sets of bits.
#[derive(Debug, Default)]
pub(super) struct Encodings {
    tracks: HashMap<TrackId, Wishes>,
}

#[derive(Debug)]
struct Wishes {
    /// By shard.
    wanted: BTreeMap<usize, u8>,
    /// What the publisher was told.
    told: u8,
    /// Since when less than that is wanted.
    less_since: Option<Instant>,
}

impl Encodings {
    /// A track is published, anew or again: with everything.
    pub fn published(&mut self, track: &TrackId) {
        self.tracks.remove(track);
    }

    /// A shard says which encodings it has viewers for. Returns the set to tell the publisher,
    /// when it is another than before.
    fn wanted(&mut self, shard: usize, track: &TrackId, encodings: u8, now: Instant) -> Option<u8> {
        let wishes = self.tracks.entry(track.clone()).or_insert_with(|| Wishes {
            wanted: BTreeMap::new(),
            told: ALL,
            less_since: None,
        });
        wishes.wanted.insert(shard, encodings);
        let union = wishes.wanted.values().fold(0, |all, set| all | set);
        let more = union & !wishes.told != 0;
        let less = wishes.told & !union != 0;
        if !less {
            wishes.less_since = None;
        }
        let since = if less { *wishes.less_since.get_or_insert(now) } else { now };
        if !more && (!less || now - since < PAUSE_AFTER) {
            return None;
        }
        wishes.told = if now - since >= PAUSE_AFTER { union } else { wishes.told | union };
        wishes.less_since = None;
        Some(wishes.told)
    }
}

impl Room {
    /// Follows which encodings are watched.
    pub(super) fn watched(&self) -> watch::Receiver<Watched> {
        self.watched.subscribe()
    }

    /// A track is published, anew or again: with all its encodings.
    pub(super) fn published_anew(&self, inner: &mut Inner, track: &TrackId) {
        inner.encodings.published(track);
        self.watched.send_if_modified(|watched| Arc::make_mut(watched).remove(track).is_some());
    }

    /// A shard says which encodings of a track it has viewers for.
    pub(super) fn encodings_wanted(&self, shard: usize, track: &TrackId, encodings: u8) {
        let mut inner = self.inner();
        let publisher = inner.tracks.get(track).and_then(|t| t.publisher);
        let publication = publisher.and_then(|session| inner.publications.get(&session));
        // One that comes by a trunk is chosen from where it is published.
        let Some(rids) = publication.map(|p| p.rids.clone()).filter(|r| r.len() > 1) else {
            return;
        };
        let Some(told) = inner.encodings.wanted(shard, track, encodings, Instant::now()) else {
            return;
        };
        drop(inner);
        let active = |(at, _): &(usize, String)| told >> at & 1 == 1;
        let names: Vec<String> =
            rids.into_iter().enumerate().filter(active).map(|(_, rid)| rid).collect();
        tracing::debug!(%track, ?names, "other encodings are watched");
        self.watched.send_modify(|watched| {
            Arc::make_mut(watched).insert(track.clone(), names);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_asked_for_at_once_and_less_after_a_while() {
        let (mut encodings, start) = (Encodings::default(), Instant::now());
        let track: TrackId = "li/camera".parse().unwrap();
        let mut want = |shard, set, after| {
            encodings.wanted(shard, &track, set, start + Duration::from_millis(after))
        };
        assert_eq!((want(0, 0b111, 0), want(1, 0b001, 0)), (None, None), "all is sent at first");
        assert_eq!(want(0, 0b001, 1_000), None);
        assert_eq!(want(0, 0b001, 5_900), None);
        assert_eq!(want(0, 0b001, 6_000), Some(0b001));
        assert_eq!(want(1, 0b100, 6_100), Some(0b101), "the other shard's viewers count");
        assert_eq!(want(1, 0b001, 7_000), None);
        assert_eq!(want(1, 0b101, 9_000), None, "wanted again in time");
        assert_eq!(want(1, 0b001, 10_000), None);
        assert_eq!(want(1, 0b001, 14_000), None);
        assert_eq!(want(1, 0b001, 15_000), Some(0b001));
    }
}
