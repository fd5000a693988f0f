//! A deterministic line between a node and its viewers, for tests: packets wait in a queue, are
//! late, lost and reordered, and feedback comes back as a browser sends it. One seed, one run.

pub mod feedback;
mod link;
mod scenarios;
mod viewer;

/// Seeded chance (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d)
    }

    /// Uniform in 0..1.
    pub fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.roll() < probability
    }

    /// `mean` with a spread of ± `share` of it.
    pub fn around(&mut self, mean: f64, share: f64) -> f64 {
        mean * (1.0 + share * (2.0 * self.roll() - 1.0))
    }
}
