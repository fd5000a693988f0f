//! What a line shows on its way to what it was granted: keyframes take their time, above all on
//! a line that is full, and an encoding that was paused has to be sent again first.

use super::watching::Slot;
use crate::media::encoding::Encoding;
use crate::media::layers::Target;
use crate::media::track::Track;
use std::time::{Duration, Instant};

/// An encoding of a camera that sent nothing for so long was paused: five frames of the slowest.
const FLOWING: Duration = Duration::from_millis(350);

/// What a line is to go after now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    pub target: Target,
    /// Nothing more of what is shown is sent: it would only be a queue before the picture that
    /// fits. The last picture stands until that comes.
    pub breaks_off: bool,
}

/// What is known of a viewer's path beside its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Nothing was heard of what was sent.
    Untried,
    Free,
    /// A queue stands.
    Congested,
}

/// What a line of a viewer goes after to get to `granted`.
pub fn next(slot: &Slot, granted: Target, track: &Track, path: Path, now: Instant) -> Next {
    let flows = |e: &Encoding| e.rates.heard_within(FLOWING, now);
    let rate = |at: u8| track.encoding(at).map_or(u64::MAX, |e| e.rates.all());
    let flowing_below = |limit: u64| {
        let of = track.encodings().filter(move |(_, e)| flows(e) && e.rates.all() < limit);
        of.map(|(at, e)| (e.rates.all(), at))
    };
    let stay = |target| Next { target, breaks_off: false };
    // One that was paused is sent again first; until then the best below it will do.
    let at_hand = || match track.encoding(granted.encoding) {
        Some(encoding) if !flows(encoding) => {
            let best = flowing_below(encoding.rates.all()).max();
            best.map_or(granted, |(_, at)| Target::encoding(at))
        }
        _ => granted,
    };
    let Some(shown) = slot.egress.showing().map(|t| t.encoding) else {
        // A keyframe is on its way; going after another now would miss both.
        let waited = slot.egress.target().filter(|t| {
            let encoding = track.encoding(t.encoding);
            encoding.is_some_and(|e| flows(e) && e.rates.all() <= rate(granted.encoding))
        });
        return stay(waited.unwrap_or_else(at_hand));
    };
    if shown == granted.encoding {
        return stay(granted);
    }
    let down = rate(granted.encoding) < rate(shown);
    match (down, path) {
        (true, Path::Untried) | (_, Path::Free) => stay(at_hand()),
        // The smallest keyframe is through soonest.
        (true, Path::Congested) => {
            let smallest = flowing_below(rate(shown)).min();
            let target = smallest.map_or(granted, |(_, at)| Target::encoding(at));
            Next { target, breaks_off: true }
        }
        (false, Path::Untried | Path::Congested) => stay(Target::encoding(shown)),
    }
}
