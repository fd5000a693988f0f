//! When a publisher is asked for a keyframe. However many viewers want one, it is asked at
//! most every half second, and not at all while one is on its way.

use std::time::{Duration, Instant};

/// Shortest time between two requests for one track (RFC 4585 leaves it to the application;
/// an encoder answers within one or two frames).
pub const INTERVAL: Duration = Duration::from_millis(500);

/// The requests of one track.
#[derive(Debug, Default)]
pub struct KeyframeRequests {
    asked: Option<Instant>,
    wanted: Option<Instant>,
}

impl KeyframeRequests {
    /// Somebody needs a keyframe.
    pub fn want(&mut self, now: Instant) {
        if self.wanted.is_none() {
            let earliest = self.asked.map_or(now, |at| at + INTERVAL);
            self.wanted = Some(earliest.max(now));
        }
    }

    /// A keyframe came: whoever wanted one has it.
    pub fn arrived(&mut self) {
        self.wanted = None;
    }

    /// When [`Self::due`] should be asked next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.wanted
    }

    /// Whether the publisher is to be asked now.
    #[must_use]
    pub fn due(&mut self, now: Instant) -> bool {
        if self.wanted.is_some_and(|at| at <= now) {
            self.asked = Some(now);
            self.wanted = None;
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_viewers_make_one_request_and_the_late_ones_a_second() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        for _ in 0..1000 {
            requests.want(start);
        }
        assert!(requests.due(start));
        assert!(!requests.due(start));
        requests.want(start + Duration::from_millis(1));
        assert!(!requests.due(start + Duration::from_millis(499)));
        assert!(requests.due(start + INTERVAL));
    }

    #[test]
    fn a_keyframe_that_came_is_not_asked_for() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        requests.want(start);
        assert!(requests.due(start));
        requests.want(start + Duration::from_millis(100));
        requests.arrived();
        assert!(!requests.due(start + INTERVAL));
    }
}
