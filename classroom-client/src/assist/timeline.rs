//! Where sound goes in a stream that never stands still: a command that listens reads one second
//! of samples a second, and can tell by counting them when each was said. Between packets, and
//! while nobody is on air, there is silence.
//!
//! A value: the time is an argument, and no sample passes through here.

/// Samples a second of what commands are given.
pub const RATE: u32 = 16_000;

/// Ticks of an RTP time stamp of Opus in one sample (RFC 7587 section 4.1: 48 kHz).
const TICKS: i64 = 3;

/// Where a stream's time stamps lead farther from the clock than this, samples, they have begun
/// anew. 1 s.
const ASTRAY: u64 = 16_000;

/// So far behind the clock silence is filled in, samples: packets on their way come first. 500 ms.
const BEHIND: u64 = 8_000;

/// Most silence at once, samples: after a sleep of the machine it is made up for bit by bit.
const AT_ONCE: u64 = 16_000;

/// A stream of samples, and what packets' time stamps mean in it.
#[derive(Debug)]
pub struct Timeline {
    begun_ms: u64,
    written: u64,
    anchor: Option<Anchor>,
}

#[derive(Debug)]
struct Anchor {
    ssrc: u32,
    timestamp: u32,
    at: u64,
}

impl Timeline {
    /// The first sample is of `begun_ms`, milliseconds since the Unix epoch.
    #[must_use]
    pub fn new(begun_ms: u64) -> Self {
        Self { begun_ms, written: 0, anchor: None }
    }

    /// When the sample at `seconds` from the beginning was said, milliseconds since the Unix
    /// epoch; `None` for what is no time.
    #[must_use]
    pub fn time_of(&self, seconds: f64) -> Option<u64> {
        let good = seconds.is_finite() && (0.0..1e7).contains(&seconds);
        good.then(|| self.begun_ms + (seconds * 1000.0) as u64)
    }

    fn clock(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.begun_ms) * u64::from(RATE) / 1000
    }

    /// Takes a packet of `samples` that came at `now_ms`: how many samples of silence go before
    /// it. `None` when its time has been written already.
    pub fn place(&mut self, ssrc: u32, timestamp: u32, samples: u64, now_ms: u64) -> Option<u64> {
        let clock = self.clock(now_ms);
        let led_to = |a: &Anchor| {
            let ticks = i64::from(timestamp.wrapping_sub(a.timestamp).cast_signed());
            a.at.checked_add_signed(ticks / TICKS).filter(|at| at.abs_diff(clock) <= ASTRAY)
        };
        let known = self.anchor.as_ref().filter(|a| a.ssrc == ssrc).and_then(led_to);
        let at = known.unwrap_or_else(|| {
            let at = clock.max(self.written);
            self.anchor = Some(Anchor { ssrc, timestamp, at });
            at
        });
        if at + samples <= self.written {
            return None;
        }
        let silence = at.saturating_sub(self.written);
        self.written += silence + samples;
        Some(silence)
    }

    /// How many samples of silence are due at `now_ms`, when nothing came.
    pub fn idle(&mut self, now_ms: u64) -> u64 {
        let due = self.clock(now_ms).saturating_sub(BEHIND);
        let silence = due.saturating_sub(self.written).min(AT_ONCE);
        self.written += silence;
        silence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = 320;

    #[test]
    fn packets_one_after_the_other_leave_no_gap_however_they_arrive() {
        let mut line = Timeline::new(1_000);
        // 20 ms each, heard in bursts of five; the time stamps go over the top.
        let first = u32::MAX - 5_000;
        for n in 0..500_u32 {
            let now = 1_000 + u64::from(n / 5) * 100;
            assert_eq!(line.place(7, first.wrapping_add(n * 960), FRAME, now), Some(0), "{n}");
        }
        assert_eq!(line.written, 500 * FRAME);
        let last = first.wrapping_add(499 * 960);
        assert_eq!(line.place(7, last, FRAME, 11_000), None, "it came twice");
    }

    #[test]
    fn what_is_lost_or_not_sent_is_silence_of_its_length() {
        let mut line = Timeline::new(0);
        assert_eq!(line.place(7, 0, FRAME, 0), Some(0));
        assert_eq!(line.place(7, 3 * 960, FRAME, 60), Some(2 * FRAME), "two were lost");
        // Nothing for ten seconds.
        let mut silence = 0;
        for now in (100..=10_000).step_by(100) {
            silence += line.idle(now);
        }
        assert_eq!(silence + 4 * FRAME, 10_000 * 16 - BEHIND);
        // Then it speaks on, in the same time.
        let before = line.place(7, 10_000 * 48, FRAME, 10_000).unwrap();
        assert_eq!(line.written, 10_000 * 16 + FRAME);
        assert_eq!(before, BEHIND);
    }

    #[test]
    fn another_microphone_or_another_beginning_goes_where_the_clock_is() {
        let mut line = Timeline::new(0);
        line.place(7, 5, FRAME, 0);
        assert_eq!(line.place(8, 999_999, FRAME, 1_000), Some(16_000 - FRAME));
        assert_eq!(line.place(8, 12, FRAME, 2_000), Some(16_000 - FRAME), "it began anew");
        assert_eq!(line.written, 32_000 + FRAME);
    }

    #[test]
    fn a_sleep_is_made_up_for_in_bearable_pieces() {
        let mut line = Timeline::new(0);
        assert_eq!(line.idle(3_600_000), AT_ONCE);
        assert_eq!(line.idle(3_600_000), AT_ONCE);
    }

    #[test]
    fn a_time_of_the_stream_is_a_time_of_day() {
        let line = Timeline::new(1_790_000_000_000);
        assert_eq!(line.time_of(12.5), Some(1_790_000_012_500));
        for no in [-1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(line.time_of(no), None, "{no}");
        }
    }
}
