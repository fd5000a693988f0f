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

/// Of the steps from the `begin`th on, keeps those of the smallest picture: the first one, at all
/// its frame rates.
pub fn keep_smallest(steps: &mut Vec<Step>, begin: usize) {
    let own = steps.get(begin..).unwrap_or_default();
    let Some(first) = own.first().map(|step| step.target) else { return };
    let same = |s: &&Step| (s.target.encoding, s.target.spatial) == (first.encoding, first.spatial);
    let kept = own.iter().take_while(same).count();
    steps.truncate(begin + kept);
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn step(encoding: u8, spatial: u8, temporal: u8) -> Step {
        Step { target: Target { encoding, spatial, temporal }, rate: 1 }
    }

    #[test]
    fn of_the_smallest_picture_every_frame_rate_is_kept_and_nothing_of_others() {
        let other = [step(5, 0, 0), step(6, 0, 0)];
        let keep = |own: &[Step]| {
            let mut steps = [&other[..], own].concat();
            keep_smallest(&mut steps, other.len());
            assert_eq!(steps[..other.len()], other, "another line's");
            steps.split_off(other.len())
        };
        let simulcast = [step(2, u8::MAX, 0), step(2, u8::MAX, u8::MAX), step(0, u8::MAX, 0)];
        assert_eq!(keep(&simulcast), simulcast[..2]);
        let scalable = [step(0, 0, 0), step(0, 0, u8::MAX), step(0, 1, 0), step(0, u8::MAX, 0)];
        assert_eq!(keep(&scalable), scalable[..2]);
        assert_eq!(keep(&[]), []);
    }
}
