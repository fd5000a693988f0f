//! Whose a datagram is, by the address it came from: a table by port number, so that finding a
//! peer is an index and a comparison. Peers behind one NAT differ in their ports, and peers
//! with the same port, from different addresses, form a short chain.

use crate::peer::Route;

/// One more than any port.
const PORTS: usize = 1 << 16;

/// No entry. Positions are kept as 32 bits: the table is touched by every datagram.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Entry {
    route: Route,
    peer: usize,
    next: u32,
}

/// Peers by route.
#[derive(Debug)]
pub struct Demux {
    first: Vec<u32>,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
}

impl Default for Demux {
    fn default() -> Self {
        Self { first: vec![NONE; PORTS], entries: Vec::new(), free: Vec::new() }
    }
}

impl Demux {
    fn chain(&self, route: Route) -> u32 {
        self.first.get(usize::from(route.address.port())).copied().unwrap_or(NONE)
    }

    fn entry(&self, at: u32) -> Option<&Entry> {
        self.entries.get(at as usize)?.as_ref()
    }

    /// The peer reached by `route`.
    #[must_use]
    pub fn get(&self, route: Route) -> Option<usize> {
        let mut at = self.chain(route);
        while let Some(entry) = self.entry(at) {
            if entry.route == route {
                return Some(entry.peer);
            }
            at = entry.next;
        }
        None
    }

    /// Gives a route to a peer; returns the one that had it.
    pub fn insert(&mut self, route: Route, peer: usize) -> Option<usize> {
        let before = self.remove(route);
        let next = self.chain(route);
        let entry = Some(Entry { route, peer, next });
        let at = match self.free.pop() {
            Some(at) => {
                if let Some(place) = self.entries.get_mut(at as usize) {
                    *place = entry;
                }
                at
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        if let Some(first) = self.first.get_mut(usize::from(route.address.port())) {
            *first = at;
        }
        before
    }

    /// Takes a route away from whoever has it.
    pub fn remove(&mut self, route: Route) -> Option<usize> {
        let (mut at, mut before) = (self.chain(route), NONE);
        while let Some(Entry { route: found, peer, next }) = self.entry(at).copied() {
            if found == route {
                let link = match self.entries.get_mut(before as usize) {
                    Some(Some(entry)) => Some(&mut entry.next),
                    _ => self.first.get_mut(usize::from(route.address.port())),
                };
                if let Some(link) = link {
                    *link = next;
                }
                if let Some(place) = self.entries.get_mut(at as usize) {
                    *place = None;
                }
                self.free.push(at);
                return Some(peer);
            }
            (before, at) = (at, next);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Transport;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::net::SocketAddr;

    fn route((tcp, host, port): (bool, u8, u16)) -> Route {
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        Route { transport, address: SocketAddr::from(([10, 0, 0, host], port)) }
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), (any::<bool>(), 0u8..4, 1u16..4), 0usize..9), 1..300)) {
            let (mut demux, mut map) = (Demux::default(), HashMap::new());
            for (insert, at, peer) in steps {
                let at = route(at);
                if insert {
                    prop_assert_eq!(demux.insert(at, peer), map.insert(at, peer));
                } else {
                    prop_assert_eq!(demux.remove(at), map.remove(&at));
                }
                for (route, peer) in &map {
                    prop_assert_eq!(demux.get(*route), Some(*peer));
                }
            }
            prop_assert!(demux.entries.len() <= 24, "places are used again");
        }
    }
}
