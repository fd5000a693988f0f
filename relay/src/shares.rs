//! A limited number of places of which no one address gets more than its share, so that who takes
//! all it can get keeps nobody else out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The network an address stands for: itself, or the /64 of an IPv6 address, of which whoever has
/// one has all.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

/// The places. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places: Arc<Semaphore>,
    share: usize,
    /// As many entries as places are taken, at most.
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    of: Arc<Inner>,
    network: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Shares {
    /// So many places, of which one address gets at most `share`.
    pub fn new(places: usize, share: usize) -> Self {
        let places = Arc::new(Semaphore::new(places));
        Self(Arc::new(Inner { places, share, taken: Mutex::default() }))
    }

    /// A place for who comes from `address`, if there is one.
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        self.take_up_to(self.0.share, address)
    }

    /// The same for an address that stands for many: as long as there are any.
    pub fn take_beyond(&self, address: IpAddr) -> Option<Place> {
        self.take_up_to(usize::MAX, address)
    }

    fn take_up_to(&self, share: usize, address: IpAddr) -> Option<Place> {
        let network = network(address);
        let mut taken = self.0.taken();
        let count = taken.get(&network).copied().unwrap_or_default();
        if count >= share {
            return None;
        }
        let permit = self.0.places.clone().try_acquire_owned().ok()?;
        taken.insert(network, count + 1);
        Some(Place { of: self.0.clone(), network, _permit: permit })
    }

    /// Places nobody has.
    pub fn left(&self) -> usize {
        self.0.places.available_permits()
    }
}

impl Inner {
    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Whole after any panic: each change is one call.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        match taken.get_mut(&self.network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_takes_all_it_can_get_leaves_places_to_others() {
        let shares = Shares::new(8, 3);
        let greedy: Vec<_> = (0..100).map_while(|_| shares.take(ip("10.0.0.1"))).collect();
        assert_eq!((greedy.len(), shares.left()), (3, 5));
        assert!(shares.take(ip("::ffff:10.0.0.1")).is_none(), "it is the same");
        let network = (0..100).map_while(|n| shares.take(ip(&format!("2001:db8::{n:x}"))));
        let network: Vec<_> = network.collect();
        assert_eq!(network.len(), 3, "a whole IPv6 network is one address");
        let _others = [shares.take(ip("10.0.0.2")).unwrap(), shares.take(ip("10.0.0.3")).unwrap()];
        assert!(shares.take(ip("10.0.0.4")).is_none(), "all are taken");
        drop(greedy);
        assert!(shares.take(ip("10.0.0.1")).is_some());
        drop(network);
        assert_eq!(shares.0.taken().len(), 2);
    }
}
