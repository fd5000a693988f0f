//! When a flow's sending end asks for a keyframe because of what did not cross, as a value. Of
//! a line that is away nothing is asked: the answer would be lost with the rest, and whoever is
//! asked answers again only after a while. When it is back it is asked at once, whatever went
//! before: what was under way when the line went is needed by all that follows.

use std::time::{Duration, Instant};

/// How often a keyframe is asked for because frames were left out: the line that is behind must
/// carry it.
const AGAIN: Duration = Duration::from_secs(1);

/// The requests of one flow.
#[derive(Debug)]
pub struct Asking {
    next: Instant,
    away: bool,
}

impl Asking {
    pub fn new(now: Instant) -> Self {
        Self { next: now, away: false }
    }

    /// Whether to ask now: the other end is `reachable`, and frames are `missing` a keyframe.
    pub fn asks(&mut self, now: Instant, reachable: bool, missing: bool) -> bool {
        if !reachable {
            self.away = true;
            return false;
        }
        let back = std::mem::take(&mut self.away);
        let asks = back || missing && now >= self.next;
        if asks {
            self.next = now + AGAIN;
        }
        asks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_behind_is_asked_to_carry_one_a_second() {
        let start = Instant::now();
        let mut asking = Asking::new(start);
        let asked = (0..90u32)
            .filter(|frame| asking.asks(start + Duration::from_millis(33) * *frame, true, true));
        assert_eq!(asked.collect::<Vec<_>>(), [0, 31, 62]);
    }

    #[test]
    fn nothing_is_asked_in_a_cut_and_at_once_after_it() {
        let start = Instant::now();
        let mut asking = Asking::new(start);
        let at = |ms| start + Duration::from_millis(ms);
        assert!(asking.asks(at(0), true, true));
        assert!(!asking.asks(at(2000), false, true));
        assert!(!asking.asks(at(9000), false, true));
        assert!(asking.asks(at(9033), true, false), "nothing has been left out yet");
        assert!(!asking.asks(at(9066), true, true), "it is on its way");
        assert!(asking.asks(at(10_033), true, true));
    }

    #[test]
    fn a_line_that_is_back_is_asked_though_it_was_asked_just_before_the_cut_was_known() {
        let start = Instant::now();
        let mut asking = Asking::new(start);
        let at = |ms| start + Duration::from_millis(ms);
        assert!(asking.asks(at(1500), true, true));
        assert!(!asking.asks(at(1600), false, true));
        assert!(asking.asks(at(1700), true, true));
    }
}
