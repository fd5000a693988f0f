//! Codes that were none, counted: whoever tries digit by digit is slowed down, a class behind one
//! address that comes in at once is not, because only misses count.

use crate::bucket::Bucket;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

/// Misses an address may make at once: a class of forty where every other child mistypes.
const BURST: u32 = 20;
/// Misses a second after that: one in ten.
const PER_SECOND: f64 = 0.1;
/// The same for all addresses together: at this rate the chance to hit one of a hundred open
/// lessons is one in ten thousand an hour.
const BURST_OF_ALL: u32 = 400;
const PER_SECOND_OF_ALL: f64 = 2.0;
/// Addresses remembered at once.
const ADDRESSES: usize = 4096;

/// Seconds after which one who was slowed down may try again.
pub const RETRY_S: u64 = 10;

/// Who has missed how often of late.
#[derive(Debug)]
pub struct Misses {
    all: Bucket,
    by: HashMap<IpAddr, (Bucket, Instant)>,
}

impl Misses {
    /// Nobody has missed.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { all: Bucket::new(PER_SECOND_OF_ALL, BURST_OF_ALL, now), by: HashMap::new() }
    }

    /// Whether somebody at `address` may try a code.
    #[must_use]
    pub fn may_try(&self, address: IpAddr, now: Instant) -> bool {
        let own = self.by.get(&prefix(address)).is_none_or(|(bucket, _)| bucket.has(now));
        own && self.all.has(now)
    }

    /// Somebody at `address` tried a code that is none.
    pub fn missed(&mut self, address: IpAddr, now: Instant) {
        let address = prefix(address);
        if self.by.len() >= ADDRESSES && !self.by.contains_key(&address) {
            self.forget(now);
        }
        let fresh = || (Bucket::new(PER_SECOND, BURST, now), now);
        let (bucket, last) = self.by.entry(address).or_insert_with(fresh);
        *last = now;
        // Two at once may both have been let try with the last token: then it is empty.
        let _enough = bucket.take(now);
        let _enough = self.all.take(now);
    }

    /// Makes room: those go that missed long ago, and where that is not enough the longest
    /// quiet half, of whom all together are still counted.
    fn forget(&mut self, now: Instant) {
        self.by.retain(|_, (bucket, _)| !bucket.is_full(now));
        if self.by.len() < ADDRESSES {
            return;
        }
        let mut quiet: Vec<Instant> = self.by.values().map(|(_, last)| *last).collect();
        quiet.sort_unstable();
        let middle = quiet.get(quiet.len() / 2).copied().unwrap_or(now);
        self.by.retain(|_, (_, last)| *last > middle);
    }
}

/// Who is one: an IPv4 address, or the 64-bit prefix that one IPv6 subscriber has.
fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let bits = u128::from(six) & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    fn four(n: u32) -> IpAddr {
        Ipv4Addr::from(0x0a00_0000 + n).into()
    }

    #[test]
    fn who_guesses_is_slowed_down_and_others_are_not() {
        let start = Instant::now();
        let mut misses = Misses::new(start);
        let mut tries = 0;
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            for _ in 0..50 {
                if misses.may_try(four(1), now) {
                    misses.missed(four(1), now);
                    tries += 1;
                }
            }
            assert!(misses.may_try(four(2), now));
        }
        // Twenty at once, then one in ten seconds.
        assert!((79..=81).contains(&tries), "{tries}");
    }

    #[test]
    fn many_addresses_together_are_slowed_down_too_and_memory_is_bounded() {
        let start = Instant::now();
        let mut misses = Misses::new(start);
        let mut tries = 0;
        for n in 0..100_000 {
            let now = start + Duration::from_millis(u64::from(n) * 6);
            if misses.may_try(four(n), now) {
                misses.missed(four(n), now);
                tries += 1;
            }
        }
        // The first four hundred, then ten minutes at two a second.
        assert!((1_550..=1_601).contains(&tries), "{tries}");
        assert!(misses.by.len() <= ADDRESSES);
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_whatever_addresses_it_takes() {
        let start = Instant::now();
        let mut misses = Misses::new(start);
        let address = |n: u64| IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(n)));
        (0..=u64::from(BURST)).for_each(|n| misses.missed(address(n), start));
        assert!(!misses.may_try(address(999), start));
        let other = IpAddr::V6(Ipv6Addr::from(0x2001_0db9_u128 << 96));
        assert!(misses.may_try(other, start));
    }
}
