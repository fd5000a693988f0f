//! The steps in which a track can be sent, from the humblest to the best: its encodings, and
//! the layers inside them, by what they were measured to take.

use super::bandwidth::allocation::Step;
use super::layers::Target;
use super::track::{Feed, Track};
use crate::peer::MAX_ENCODINGS;
use cloudschool_protocol::media::Codec;
use std::time::Instant;

/// A step that takes no more than this much more than the one below is not one of its own, in
/// percent.
const STEP: u64 = 105;

impl Track {
    /// Adds the track's steps in the codecs that are taken to `steps`.
    pub fn ladder(&self, takes: impl Fn(Codec) -> bool, now: Instant, steps: &mut Vec<Step>) {
        if self.feed == Feed::Idle || self.muted {
            return;
        }
        let mut rated: [Option<(u64, u8)>; MAX_ENCODINGS] = Default::default();
        let taken = self.encodings().filter(|(_, e)| {
            // One that was paused is known by what it took before.
            takes(e.codec) && (e.rates.all() > 0 || e.rates.alive(now))
        });
        for (place, (at, e)) in rated.iter_mut().zip(taken) {
            *place = Some((e.rates.all(), at));
        }
        rated.sort_by_key(|r| r.map_or((true, 0, 0), |(rate, at)| (false, rate, at)));
        let mut below = 0;
        for (_, at) in rated.into_iter().flatten() {
            let Some(encoding) = self.encoding(at) else { continue };
            let (spatial, temporal) = encoding.rates.layers();
            for s in 0..spatial {
                for t in 0..temporal {
                    let rate = encoding.rates.up_to(s, t);
                    let whole = s + 1 == spatial && t + 1 == temporal;
                    if rate * 100 <= below * STEP && !(whole && below == 0) {
                        continue;
                    }
                    below = rate;
                    let target = Target {
                        encoding: at,
                        spatial: if s + 1 == spatial { u8::MAX } else { s },
                        temporal: if t + 1 == temporal { u8::MAX } else { t },
                    };
                    steps.push(Step { target, rate });
                }
            }
        }
    }
}
