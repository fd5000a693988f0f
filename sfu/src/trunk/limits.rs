//! What one trunk peer may send and open, and what was refused of it. A peer that keeps to
//! docs/trunk.md comes nowhere near; one that doesn't, by mistake or on purpose, costs itself its
//! trunk and others nothing.

use crate::bucket::Bucket;
use cloudschool_protocol::trunk::MAX_DEMAND;
use cloudschool_relay::Peer;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Control messages a second of a school's node or a service, in the long run and at once: a
/// school of a thousand that all come in when the bell rings, four times over.
const MESSAGES: (f64, u32) = (500.0, 4000);

/// A node that others stand behind speaks for so many.
const CARRYING: u32 = 16;

/// Flows that may be open: what four lessons may be demanded of.
const FLOWS: usize = 4 * MAX_DEMAND;

/// Requests for keyframes a second, in the long run and at once. A peer asks at most every half
/// second for each of its tracks, and for all of them after a reconnect.
const KEYFRAMES: (f64, u32) = (100.0, 512);

/// Nodes behind a peer that are told of in a second, at once and in the long run. Each telling
/// is of all of them.
const TELLINGS: (f64, u32) = (5.0, 64);

/// Requests for certificates a second, in the long run and at once. A node asks when its trunk
/// comes up and once a day.
const CERTIFICATES: (f64, u32) = (5.0, 64);

/// What of a peer's was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Messages faster than any node has reason to send them.
    Rate,
    /// A request for a keyframe too many.
    Keyframe,
    /// A lesson it may not have.
    Lesson,
    /// More tracks than a lesson has.
    Demand,
    /// A flow too many, or one that was there already.
    Flow,
    /// A node it may not speak for.
    Node,
    /// More commands than are decided at once.
    Command,
    /// More than may be handed up at once.
    HandUp,
    /// A request for a certificate too many, or too long.
    Certificate,
    /// A message that goes the other way.
    Misplaced,
}

impl Refused {
    /// All of them, in the order they are counted in.
    pub const ALL: [Self; 10] = [
        Self::Rate,
        Self::Keyframe,
        Self::Lesson,
        Self::Demand,
        Self::Flow,
        Self::Node,
        Self::Command,
        Self::HandUp,
        Self::Certificate,
        Self::Misplaced,
    ];

    /// The word in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Keyframe => "keyframe",
            Self::Lesson => "lesson",
            Self::Demand => "demand",
            Self::Flow => "flow",
            Self::Node => "node",
            Self::Command => "command",
            Self::HandUp => "hand_up",
            Self::Certificate => "certificate",
            Self::Misplaced => "misplaced",
        }
    }
}

/// How often each was.
#[derive(Debug, Default)]
pub struct RefusedCounts([AtomicU64; Refused::ALL.len()]);

impl RefusedCounts {
    /// So many more.
    pub fn add(&self, what: Refused, more: u64) {
        if let Some(count) = self.0.get(what as usize) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// How often each was refused since the node began.
    #[must_use]
    pub fn read(&self) -> [(Refused, u64); Refused::ALL.len()] {
        Refused::ALL
            .map(|what| (what, self.0.get(what as usize).map_or(0, |c| c.load(Ordering::Relaxed))))
    }
}

/// What one peer has left.
#[derive(Debug)]
pub struct Limits {
    messages: Bucket,
    keyframes: Bucket,
    tellings: Bucket,
    certificates: Bucket,
    flows: usize,
}

impl Limits {
    /// What this peer may.
    #[must_use]
    pub fn of(peer: &Peer, now: Instant) -> Self {
        let times = if peer.carries_others() { CARRYING } else { 1 };
        let bucket = |(rate, burst): (f64, u32)| {
            Bucket::new(rate * f64::from(times), burst.saturating_mul(times), now)
        };
        Self {
            messages: bucket(MESSAGES),
            keyframes: bucket(KEYFRAMES),
            tellings: Bucket::new(TELLINGS.0, TELLINGS.1, now),
            certificates: bucket(CERTIFICATES),
            flows: FLOWS * times as usize,
        }
    }

    /// One more message.
    pub fn message(&mut self, now: Instant) -> bool {
        self.messages.take(now)
    }

    /// One more request for a keyframe.
    pub fn keyframe(&mut self, now: Instant) -> bool {
        self.keyframes.take(now)
    }

    /// One more request for a certificate.
    pub fn certificate(&mut self, now: Instant) -> bool {
        self.certificates.take(now)
    }

    /// How many flows may be open.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.flows
    }

    /// Once more all nodes behind it.
    pub fn telling(&mut self, now: Instant) -> bool {
        self.tellings.take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::id::NodeId;
    use cloudschool_protocol::trunk::NodeKind;
    use cloudschool_relay::Carries;
    use std::time::Duration;

    fn flood(peer: &Peer) -> usize {
        let begin = Instant::now();
        let mut limits = Limits::of(peer, begin);
        (0..100_000u32).filter(|n| limits.message(begin + Duration::from_micros(10) * *n)).count()
    }

    #[test]
    fn a_node_that_others_stand_behind_may_say_more() {
        let school = Peer::new(NodeId::new("a").unwrap(), NodeKind::Edge, None);
        let city = Peer { carries: Carries::All, ..school.clone() };
        assert!((4400..4600).contains(&flood(&school)), "{}", flood(&school));
        assert!(flood(&city) > 10 * flood(&school));
    }

    #[test]
    fn every_refusal_is_counted_as_itself() {
        let counts = RefusedCounts::default();
        for (n, what) in Refused::ALL.into_iter().enumerate() {
            counts.add(what, n as u64);
        }
        for (n, (what, count)) in counts.read().into_iter().enumerate() {
            assert_eq!((what, count), (Refused::ALL[n], n as u64));
        }
    }
}
