//! Many open microphones in a class: a few people talk at a time, some louder than others,
//! and take turns; the rest are a room's noise.

use rand::rngs::StdRng;
use rand::seq::index::sample;
use rand::{Rng, SeedableRng};
use std::time::Duration;

/// How many talk at once.
const TALKERS: usize = 5;
/// Their levels in −dBov, far enough apart that it is clear who is loudest.
const LEVELS: [u8; TALKERS] = [20, 26, 32, 38, 44];
/// Syllables and microphones: a level goes up and down by this.
const WAVERS: u8 = 2;
/// The noise of a room.
const NOISE: std::ops::Range<u8> = 75..100;

/// Who talks when, from one seed.
#[derive(Debug)]
pub struct Conversation {
    random: StdRng,
    microphones: usize,
    /// The loudest first.
    talkers: Vec<usize>,
    changes_at: Duration,
}

impl Conversation {
    #[must_use]
    pub fn new(microphones: usize, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self { random, microphones, talkers: Vec::new(), changes_at: Duration::ZERO }
    }

    /// Goes on to `at`. Returns whether others talk now.
    pub fn go_on(&mut self, at: Duration) -> bool {
        if at < self.changes_at {
            return false;
        }
        self.changes_at = at + Duration::from_millis(self.random.random_range(2500..5000));
        let talking = TALKERS.min(self.microphones);
        self.talkers = sample(&mut self.random, self.microphones, talking).into_vec();
        true
    }

    /// The microphones of those who talk, the loudest first.
    #[must_use]
    pub fn talkers(&self) -> &[usize] {
        &self.talkers
    }

    /// The level of a microphone's next packet, and whether it is a voice (RFC 6464 §3).
    pub fn level(&mut self, microphone: usize) -> (u8, bool) {
        match self.talkers.iter().position(|t| *t == microphone) {
            Some(place) => {
                let waver = self.random.random_range(0..=2 * WAVERS);
                (LEVELS[place.min(TALKERS - 1)] + waver - WAVERS, true)
            }
            None => (self.random.random_range(NOISE), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_talkers_is_that_of_their_levels() {
        let mut conversation = Conversation::new(40, 3);
        let mut turns = 0;
        for second in 0..60 {
            turns += u32::from(conversation.go_on(Duration::from_secs(second)));
            let talkers = conversation.talkers().to_vec();
            assert_eq!(talkers.len(), TALKERS);
            let levels: Vec<u8> = talkers.iter().map(|t| conversation.level(*t).0).collect();
            assert!(levels.is_sorted(), "{levels:?}");
            let quiet = (0..40).find(|m| !talkers.contains(m)).unwrap();
            assert!(!conversation.level(quiet).1);
        }
        assert!((10..=30).contains(&turns), "{turns} turns in a minute");
    }

    #[test]
    fn a_small_class_has_fewer_talkers() {
        let mut conversation = Conversation::new(2, 1);
        conversation.go_on(Duration::ZERO);
        assert_eq!(conversation.talkers().len(), 2);
    }
}
