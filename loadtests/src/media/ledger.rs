//! What was published, frame by frame, so that viewers count against it. A frame is known by
//! a fingerprint of its bytes: whoever gets it whole and unchanged finds it here, whatever
//! numbers its packets were given on the way. Sound is only counted: silence is too often the
//! same.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A published frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The number drawn in its picture.
    pub counter: u32,
    /// When its first packet was sent.
    pub at: Instant,
}

/// All frames published so far.
#[derive(Debug, Default)]
pub struct Ledger {
    frames: Mutex<Frames>,
}

#[derive(Debug, Default)]
struct Frames {
    in_order: Vec<Published>,
    sounds: Vec<Instant>,
    by_fingerprint: HashMap<u64, Published>,
}

impl Ledger {
    /// Enters a frame as it is sent.
    pub fn publish(&self, fingerprint: u64, frame: Published) {
        let mut frames = self.frames();
        frames.in_order.push(frame);
        frames.by_fingerprint.insert(fingerprint, frame);
    }

    /// Enters a packet of sound as it is sent.
    pub fn publish_sound(&self, at: Instant) {
        self.frames().sounds.push(at);
    }

    /// How many packets of sound were sent from `from` until before `to`.
    pub fn sounds_between(&self, from: Instant, to: Instant) -> usize {
        self.frames().sounds.iter().filter(|at| (from..to).contains(*at)).count()
    }

    /// The frame with this fingerprint.
    pub fn find(&self, fingerprint: u64) -> Option<Published> {
        self.frames().by_fingerprint.get(&fingerprint).copied()
    }

    /// Counters of the frames sent from `from` until before `to`.
    pub fn between(&self, from: Instant, to: Instant) -> Vec<u32> {
        let frames = self.frames();
        let within = frames.in_order.iter().filter(|f| (from..to).contains(&f.at));
        within.map(|f| f.counter).collect()
    }

    fn frames(&self) -> MutexGuard<'_, Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fingerprint of one RTP payload.
#[must_use]
pub fn payload_fingerprint(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(payload);
    hasher.finish()
}

/// The fingerprint of a frame, from those of its payloads in order.
#[must_use]
pub fn frame_fingerprint(payloads: impl IntoIterator<Item = u64>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for payload in payloads {
        hasher.write_u64(payload);
    }
    hasher.finish()
}
