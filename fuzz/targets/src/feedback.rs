//! Transport-wide feedback: when a viewer's packets arrived there.

use crate::pieces;
use cloudschool_sfu::media::bandwidth::{Bandwidth, Feedbacks};
use std::time::{Duration, Instant};

/// Feedback after feedback on packets that were sent all the while.
pub fn feedback(data: &[u8]) {
    let begin = Instant::now();
    let mut path = Bandwidth::new(1_000_000, Feedbacks::TransportWide, begin);
    let mut now = begin;
    for fci in pieces(data) {
        for _ in 0..20 {
            now += Duration::from_millis(5);
            let sequence = path.next_sequence();
            path.on_sent(sequence, 1200, now);
        }
        let _ = path.on_feedback(fci, now);
        let _ = path.handle_timeout(now);
        assert!(path.estimate() > 0 && path.estimate() < 1 << 40);
    }
}
