//! Outages: a line that is away for seconds and comes back. While no acknowledgement comes the
//! window grows a little, so that audio is tried; the first acknowledgement makes room at once
//! for what is new, instead of waiting for QUIC to find out what was lost.

use std::time::{Duration, Instant};

/// No acknowledgement for this long (or three round trips) with bytes in flight is an outage.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes/s by which the window grows in an outage: enough for audio to be tried, whose first
/// packet to get through ends the outage. A fixed window stays full of lost bytes, and QUIC's
/// own probes are tens of seconds apart by then.
const TRICKLE: f64 = 16_000.0;

/// Room given at once when an outage ends, and for how long.
const RESTART_ROOM: u64 = 20_000;
const RESTART: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy)]
struct Restart {
    until: Instant,
    window: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Outage {
    /// Since when bytes are in flight without any acknowledgement.
    waiting_since: Option<Instant>,
    sent_since_ack: u64,
    restart: Option<Restart>,
    /// Losses of packets sent before this are an outage's, not congestion's.
    forgiven_before: Option<Instant>,
}

impl Outage {
    /// `window` is the window without an outage.
    pub fn on_sent(&mut self, now: Instant, bytes: u64, window: u64) {
        self.sent_since_ack += bytes;
        // Acknowledgements of our own are sent too and never acked. Half a window of bytes
        // without an answer is more than those.
        if self.sent_since_ack > window / 2 {
            self.waiting_since.get_or_insert(now);
        }
    }

    /// Acknowledgements came; `in_flight` bytes remain. True when they end an outage.
    pub fn on_acks(&mut self, now: Instant, in_flight: u64, min_rtt: Duration) -> bool {
        let ends = self.lasts(now, min_rtt).is_some();
        if ends {
            self.forgiven_before = Some(now);
            self.restart = Some(Restart { until: now + RESTART, window: in_flight + RESTART_ROOM });
        } else if let Some(restart) = &mut self.restart {
            restart.window = restart.window.min(in_flight + RESTART_ROOM);
        }
        self.waiting_since = (in_flight > 0).then_some(now);
        self.sent_since_ack = 0;
        ends
    }

    /// Whether a packet sent at `sent` and now lost says anything about congestion.
    pub fn on_lost(&mut self, sent: Instant, bytes: u64) -> bool {
        if let Some(restart) = &mut self.restart {
            restart.window = restart.window.saturating_sub(bytes);
        }
        self.forgiven_before.is_none_or(|t| sent > t)
    }

    /// How long the outage has lasted at `now`, if there is one.
    pub fn lasts(&self, now: Instant, min_rtt: Duration) -> Option<Duration> {
        let silence = now.saturating_duration_since(self.waiting_since?);
        (silence > PATIENCE.max(3 * min_rtt)).then_some(silence)
    }

    /// The window at `now` that would be `window` without an outage.
    pub fn window(&self, now: Instant, min_rtt: Duration, window: u64) -> u64 {
        if let Some(silence) = self.lasts(now, min_rtt) {
            return window + (silence.as_secs_f64() * TRICKLE) as u64;
        }
        match self.restart {
            Some(restart) if now < restart.until => window.max(restart.window),
            _ => window,
        }
    }
}
