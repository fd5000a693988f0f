//! Which peer wants the time next. A heap with lazy removal: a peer's entry that turns out to
//! be too early is put back, so setting a later time costs nothing and a turn looks only at
//! peers that may be due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// When each peer wants the time, by its place.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
    /// By peer: when it wants the time, and the earliest entry the heap has for it.
    wanted: Vec<(Option<Instant>, Option<Instant>)>,
}

impl Timers {
    /// Sets when `peer` wants the time.
    pub fn set(&mut self, peer: usize, at: Instant) {
        if peer >= self.wanted.len() {
            self.wanted.resize(peer + 1, (None, None));
        }
        let Some((wanted, queued)) = self.wanted.get_mut(peer) else { return };
        *wanted = Some(at);
        if queued.is_none_or(|q| at < q) {
            *queued = Some(at);
            self.heap.push(Reverse((at, peer)));
        }
    }

    /// Sets it unless the peer wants the time sooner already.
    pub fn no_later_than(&mut self, peer: usize, at: Instant) {
        let wanted = self.wanted.get(peer).and_then(|(wanted, _)| *wanted);
        if wanted.is_none_or(|w| at < w) {
            self.set(peer, at);
        }
    }

    /// The peer wants nothing any more.
    pub fn clear(&mut self, peer: usize) {
        if let Some((wanted, _)) = self.wanted.get_mut(peer) {
            *wanted = None;
        }
    }

    /// The soonest moment a peer may want.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// A peer that is due, and when it was; it wants nothing until it is set again.
    pub fn pop(&mut self, now: Instant) -> Option<(usize, Instant)> {
        while let Some(Reverse((at, peer))) = self.heap.peek().copied() {
            if at > now {
                return None;
            }
            self.heap.pop();
            let Some((wanted, queued)) = self.wanted.get_mut(peer) else { continue };
            // A later entry than the earliest is a leftover: that one speaks for the peer.
            if *queued != Some(at) {
                continue;
            }
            *queued = None;
            let Some(due) = *wanted else { continue };
            if due <= now {
                *wanted = None;
                return Some((peer, due));
            }
            self.set(peer, due);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    proptest! {
        #[test]
        fn every_peer_is_woken_when_it_last_said(steps in prop::collection::vec((0usize..6, 0u64..50, 0u64..20), 1..200)) {
            let (mut timers, mut model) = (Timers::default(), BTreeMap::new());
            let mut now = Instant::now();
            for (peer, wait, pass) in steps {
                if wait == 0 {
                    timers.clear(peer);
                    model.remove(&peer);
                } else {
                    let at = now + Duration::from_millis(wait);
                    timers.set(peer, at);
                    model.insert(peer, at);
                }
                now += Duration::from_millis(pass);
                let mut woken = BTreeMap::new();
                while let Some((peer, due)) = timers.pop(now) {
                    prop_assert!(woken.insert(peer, due).is_none());
                }
                let due: BTreeMap<_, _> = model.iter().filter(|(_, at)| **at <= now).map(|(p, at)| (*p, *at)).collect();
                model.retain(|_, at| *at > now);
                prop_assert_eq!(woken, due);
                let soonest = model.values().min();
                prop_assert!(soonest.is_none() || timers.next().is_some_and(|n| n <= *soonest.unwrap()));
            }
        }
    }

    #[test]
    fn what_is_wanted_sooner_stays() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        timers.set(1, now);
        timers.no_later_than(1, now + Duration::from_secs(1));
        assert_eq!(timers.pop(now), Some((1, now)));
    }
}
