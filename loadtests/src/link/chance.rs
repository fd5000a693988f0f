//! What falls to chance on a line.

use super::conditions::Conditions;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// The chances of one direction. Each kind draws from a sequence of its own, so that which
/// datagrams are lost does not depend on whether there is jitter too.
#[derive(Debug)]
pub(super) struct Chance {
    loss: ChaCha8Rng,
    jitter: ChaCha8Rng,
    reorder: ChaCha8Rng,
    duplicate: ChaCha8Rng,
    in_burst: bool,
}

impl Chance {
    /// `way` tells the directions of a link apart. ChaCha, because its output is the same in
    /// every release and on every machine: a seed that once failed fails again.
    pub fn new(seed: u64, way: u64) -> Self {
        let sequence = |kind| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(way * 4 + kind);
            random
        };
        Self {
            loss: sequence(0),
            jitter: sequence(1),
            reorder: sequence(2),
            duplicate: sequence(3),
            in_burst: false,
        }
    }

    pub fn loses(&mut self, conditions: &Conditions) -> bool {
        let bursts = &conditions.bursts;
        let turns = if self.in_burst { bursts.ends() } else { bursts.begins() };
        self.in_burst ^= self.loss.random_bool(turns);
        self.loss.random_bool(if self.in_burst { bursts.loss } else { conditions.loss })
    }

    pub fn jitter(&mut self, conditions: &Conditions) -> Duration {
        let most = u64::try_from(conditions.jitter.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.jitter.random_range(0..=most))
    }

    pub fn holds_back(&mut self, conditions: &Conditions) -> bool {
        self.reorder.random_bool(conditions.reorder)
    }

    pub fn repeats(&mut self, conditions: &Conditions) -> bool {
        self.duplicate.random_bool(conditions.duplicate)
    }
}
