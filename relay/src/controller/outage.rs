//! Outages: a line that is away for seconds and comes back. While no acknowledgement comes the
//! window grows a little, so that audio is tried; the first acknowledgement makes room at once
//! for what is new, instead of waiting for QUIC to find out what was lost. So does the news that
//! the line carries a fraction of what it did, and while a window stays full it grows as in an
//! outage: sound is never what stands behind what was sent before.

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

/// Room given when the line has become a narrow one, and over a window that stays full: sound of
/// half a second.
const FALL_ROOM: u64 = 6_000;

/// A window that has been full for so long grows: shorter ones are a burst.
const FULL: Duration = Duration::from_millis(20);

/// A packet, without room for which a window is full.
const PACKET: u64 = 1_500;

#[derive(Debug, Clone, Copy)]
struct Restart {
    until: Instant,
    window: u64,
    room: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Outage {
    /// Since when bytes are in flight without any acknowledgement.
    waiting_since: Option<Instant>,
    sent_since_ack: u64,
    /// Bytes in flight as far as they are known, and since when they fill the window.
    in_flight: u64,
    full_since: Option<Instant>,
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
        self.in_flight += bytes;
        self.fill(now, window);
    }

    fn fill(&mut self, now: Instant, window: u64) {
        if self.in_flight + PACKET < window {
            self.full_since = None;
        } else {
            self.full_since.get_or_insert(now);
        }
    }

    /// The line carries a fraction of what it did. What is in flight is late or lost, and nothing
    /// tells which before something newer is through, a round trip of `rtt` from now.
    pub fn on_fall(&mut self, now: Instant, rtt: Duration) {
        let window = self.in_flight + FALL_ROOM;
        self.restart = Some(Restart { until: now + RESTART.max(rtt), window, room: FALL_ROOM });
    }

    /// Acknowledgements came; `in_flight` bytes remain. True when they end an outage.
    pub fn on_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        min_rtt: Duration,
        window: u64,
    ) -> bool {
        let ends = self.lasts(now, min_rtt).is_some();
        if ends {
            self.forgiven_before = Some(now);
            let (until, window) = (now + RESTART, in_flight + RESTART_ROOM);
            self.restart = Some(Restart { until, window, room: RESTART_ROOM });
        } else if let Some(restart) = &mut self.restart {
            restart.window = restart.window.min(in_flight + restart.room);
        }
        self.in_flight = in_flight;
        self.fill(now, window);
        self.waiting_since = (in_flight > 0).then_some(now);
        self.sent_since_ack = 0;
        ends
    }

    /// Whether a packet sent at `sent` and now lost says anything about congestion.
    pub fn on_lost(&mut self, sent: Instant, bytes: u64) -> bool {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if let Some(restart) = &mut self.restart {
            restart.window = restart.window.saturating_sub(bytes);
        }
        self.forgiven_before.is_none_or(|t| sent > t)
    }

    /// Bytes in flight, as far as is known.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
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
        let full = self.full_since.map_or(Duration::ZERO, |t| now.saturating_duration_since(t));
        let grown = if full >= FULL { (full.as_secs_f64() * TRICKLE) as u64 } else { 0 };
        let grown = grown.min(FALL_ROOM);
        match self.restart {
            Some(restart) if now < restart.until => (window + grown).max(restart.window),
            _ => window + grown,
        }
    }
}
