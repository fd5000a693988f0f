//! Wrong codes by address, as a value: who gave too many waits.

use crate::shares::network;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A school's installer mistypes a code a few times; ten times is a program.
const ALLOWED: u32 = 10;

/// For how long wrong codes are remembered from the first on.
const WINDOW: Duration = Duration::from_secs(600);

/// Addresses remembered at once. When all are taken, strangers wait: to fill it takes as many
/// addresses that can receive, and people who have a code lose ten minutes.
const ADDRESSES: usize = 16_384;

#[derive(Debug, Default)]
pub struct Attempts {
    by: HashMap<IpAddr, Wrong>,
}

#[derive(Debug)]
struct Wrong {
    count: u32,
    since: Instant,
}

impl Attempts {
    /// Whether one more attempt from `address` is allowed. It counts as wrong until it is
    /// [taken back](Self::was_right), so that attempts made at once don't slip through.
    pub fn allow(&mut self, address: IpAddr, now: Instant) -> bool {
        let address = network(address);
        let over = |wrong: &Wrong| now.saturating_duration_since(wrong.since) >= WINDOW;
        if self.by.len() >= ADDRESSES {
            self.by.retain(|_, wrong| !over(wrong));
        }
        if self.by.len() >= ADDRESSES && !self.by.contains_key(&address) {
            return false;
        }
        let wrong = self.by.entry(address).or_insert(Wrong { count: 0, since: now });
        if over(wrong) {
            *wrong = Wrong { count: 0, since: now };
        }
        let allowed = wrong.count < ALLOWED;
        wrong.count = wrong.count.saturating_add(u32::from(allowed));
        allowed
    }

    /// The attempt from `address` was none at guessing.
    pub fn was_right(&mut self, address: IpAddr) {
        let address = network(address);
        if let Some(wrong) = self.by.get_mut(&address) {
            wrong.count = wrong.count.saturating_sub(1);
            if wrong.count == 0 {
                self.by.remove(&address);
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
    fn an_address_that_guesses_waits_and_others_do_not() {
        let (mut attempts, begin) = (Attempts::default(), Instant::now());
        let allowed = (0..100).filter(|_| attempts.allow(ip("10.0.0.1"), begin)).count();
        assert_eq!(allowed, ALLOWED as usize);
        assert!(attempts.allow(ip("10.0.0.2"), begin));
        assert!(!attempts.allow(ip("10.0.0.1"), begin + WINDOW - Duration::from_secs(1)));
        assert!(attempts.allow(ip("10.0.0.1"), begin + WINDOW));
    }

    #[test]
    fn a_whole_ipv6_network_is_one_address() {
        let (mut attempts, begin) = (Attempts::default(), Instant::now());
        for n in 0..ALLOWED {
            assert!(attempts.allow(ip(&format!("2001:db8::{n:x}")), begin));
        }
        assert!(!attempts.allow(ip("2001:db8::ffff"), begin));
        assert!(attempts.allow(ip("2001:db8:0:1::1"), begin));
    }

    #[test]
    fn who_gives_good_codes_is_never_held_up() {
        let (mut attempts, begin) = (Attempts::default(), Instant::now());
        for _ in 0..1000 {
            assert!(attempts.allow(ip("10.0.0.1"), begin));
            attempts.was_right(ip("10.0.0.1"));
        }
        assert!(attempts.by.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut attempts, begin) = (Attempts::default(), Instant::now());
        for n in 0..ADDRESSES as u32 + 10 {
            attempts.allow(std::net::Ipv4Addr::from(n).into(), begin);
        }
        assert_eq!(attempts.by.len(), ADDRESSES);
        assert!(attempts.allow(ip("9.9.9.9"), begin + WINDOW));
    }
}
