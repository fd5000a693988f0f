//! A seeded impaired link: what stands between two ends in tests and benches, as a village's
//! 4G or a satellite does in life.
//!
//! [`Line`] is one direction as a pure value: time is passed in, datagrams go in and come out,
//! and one seed is one run. [`Link`] is both directions after a [`Profile`], which is read
//! from `configs/links/*.toml` or from a compact form such as
//! `rate=4mbit,delay=50ms,loss=5%,seed=7`. [`Proxy`] puts a link between real processes that
//! speak UDP.
//!
//! A link never looks into a datagram, and nothing here is used by a node.

mod chance;
mod cli;
mod conditions;
mod line;
mod profile;
mod proxy;
mod timeline;
mod units;
mod written;

#[cfg(test)]
mod line_tests;

pub use cli::{Options, run};
pub use conditions::{Bursts, Change, Conditions};
pub use line::{Counters, Datagram, LATE, Line, MAX_HELD, OVERHEAD};
pub use profile::{Course, Outage, Profile};
pub use proxy::{Limits, Proxy, ProxyError, Stats};
pub use units::{Queue, Rate};
pub use written::{LinkChange, LinkError};

use bytes::Bytes;
use std::time::Instant;

/// Both directions of a line to someone.
#[derive(Debug)]
pub struct Link<D = Bytes> {
    /// From the client to the server.
    pub up: Line<D>,
    /// From the server to the client.
    pub down: Line<D>,
}

impl<D: Datagram> Link<D> {
    /// A link that begins at `start`, with the profile's own seed.
    #[must_use]
    pub fn new(profile: &Profile, start: Instant) -> Self {
        Self::with_seed(profile, profile.seed, start)
    }

    /// The same conditions with another seed: another run of the same kind of line.
    #[must_use]
    pub fn with_seed(profile: &Profile, seed: u64, start: Instant) -> Self {
        let line = |course: &Course, way| Line::new(course, profile.repeat, seed, way, start);
        Self { up: line(&profile.up, 0), down: line(&profile.down, 1) }
    }

    /// When either direction is to be polled next.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        [self.up.next(), self.down.next()].into_iter().flatten().min()
    }

    /// Other conditions from now on.
    ///
    /// # Errors
    /// When one direction's new conditions can't be; neither is changed then. The text says why.
    pub fn change(&mut self, now: Instant, change: &LinkChange) -> Result<(), String> {
        let up = self.up.changed(&change.up)?;
        let down = self.down.changed(&change.down)?;
        self.up.set(now, up);
        self.down.set(now, down);
        Ok(())
    }

    /// Cuts both directions, or mends them; see [`Line::set_cut`].
    pub fn set_cut(&mut self, now: Instant, cut: bool) {
        self.up.set_cut(now, cut);
        self.down.set_cut(now, cut);
    }
}
