//! How a video encoder spends a bit rate: a pure value that says how large each frame is and
//! what it is predicted from.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What is encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Bit/s of coded video, without headers.
    pub bitrate: u64,
    /// Frames a second.
    pub rate: u32,
    /// Frames from one keyframe to the next when nobody asks.
    pub keyframe_every: u32,
    /// 1, 2 or 3: half of the frames, or half and a quarter, can be left out.
    pub temporal_layers: u8,
}

/// A coded frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub number: u32,
    pub bytes: usize,
    /// How many frames before is the one it is predicted from; 0 for a keyframe.
    pub refers: u8,
    /// Its temporal layer.
    pub temporal: u8,
}

impl Frame {
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.refers == 0
    }
}

/// A keyframe costs as much as this many others.
const KEYFRAME: f64 = 5.0;
/// Frames differ from their target by up to this share: motion and the quantiser's steps.
const VARIATION: f64 = 0.25;
/// What a keyframe cost too much is saved over this many seconds.
const PAY_BACK_S: f64 = 1.0;
/// The least of its share a frame is cut to.
const LEAST: f64 = 0.4;

/// An encoder with constant-bit-rate control.
#[derive(Debug, Clone)]
pub struct Encoder {
    shape: Shape,
    random: StdRng,
    next: u32,
    since_key: u32,
    /// Bytes spent beyond the rate.
    debt: f64,
}

impl Encoder {
    /// One seed is one sequence of frames.
    #[must_use]
    pub fn new(shape: Shape, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self { shape, random, next: 0, since_key: 0, debt: 0.0 }
    }

    /// The next frame, a keyframe when one is due or `wanted`.
    pub fn frame(&mut self, wanted: bool) -> Frame {
        let Shape { bitrate, rate, keyframe_every, .. } = self.shape;
        let share = bitrate as f64 / 8.0 / f64::from(rate);
        let key = wanted || self.next == 0 || self.since_key >= keyframe_every;
        let target = if key {
            self.since_key = 0;
            KEYFRAME * share
        } else {
            let saved = self.debt / (f64::from(rate) * PAY_BACK_S);
            (share - saved).max(LEAST * share)
        };
        let bytes = target * self.random.random_range(1.0 - VARIATION..1.0 + VARIATION);
        self.debt += bytes - share;
        let (refers, temporal) = if key { (0, 0) } else { self.reference() };
        let frame = Frame { number: self.next, bytes: bytes.max(1.0) as usize, refers, temporal };
        self.next = self.next.wrapping_add(1);
        self.since_key += 1;
        frame
    }

    /// What a frame is predicted from, and its layer. The base layer refers to itself alone.
    fn reference(&self) -> (u8, u8) {
        match (self.shape.temporal_layers, self.since_key % 4) {
            (2, 0 | 2) => (2, 0),
            (2, _) => (1, 1),
            (3, 0) => (4, 0),
            (3, 2) => (2, 1),
            (3, _) => (1, 2),
            _ => (1, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape =
        Shape { bitrate: 2_000_000, rate: 30, keyframe_every: 60, temporal_layers: 1 };

    #[test]
    fn the_rate_is_kept_and_keyframes_come_when_due_and_when_asked_for() {
        let mut encoder = Encoder::new(SHAPE, 1);
        let frames: Vec<Frame> = (0..3000).map(|n| encoder.frame(n == 90)).collect();
        let bytes: usize = frames.iter().map(|f| f.bytes).sum();
        let rate = bytes as f64 * 8.0 / 100.0;
        assert!((rate / 2_000_000.0 - 1.0).abs() < 0.05, "{rate} bit/s");
        let keys: Vec<u32> = frames.iter().filter(|f| f.is_key()).map(|f| f.number).collect();
        assert_eq!(keys[..4], [0, 60, 90, 150]);
    }

    #[test]
    fn every_frame_refers_to_one_of_its_layer_or_below_since_the_keyframe() {
        for temporal_layers in 1..=3 {
            let mut encoder = Encoder::new(Shape { temporal_layers, ..SHAPE }, 1);
            let frames: Vec<Frame> = (0..240).map(|n| encoder.frame(n == 77)).collect();
            for frame in frames.iter().filter(|f| !f.is_key()) {
                let at = frame.number as usize;
                let base = &frames[at - usize::from(frame.refers)];
                assert!(base.temporal <= frame.temporal, "{temporal_layers}: {frame:?} {base:?}");
                let keys = frames[base.number as usize + 1..=at].iter().filter(|f| f.is_key());
                assert_eq!(keys.count(), 0, "predicted over a keyframe: {frame:?}");
            }
        }
    }

    #[test]
    fn one_seed_is_one_run() {
        let sizes = |seed| {
            let mut encoder = Encoder::new(SHAPE, seed);
            (0..100).map(|_| encoder.frame(false).bytes).collect::<Vec<_>>()
        };
        assert_eq!(sizes(7), sizes(7));
        assert_ne!(sizes(7), sizes(8));
    }
}
