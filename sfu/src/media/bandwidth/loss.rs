//! The loss-based half (draft-ietf-rmcat-gcc-02 §6): above 10 % loss the rate goes down. Below,
//! it is left to what delay and probes say: loss alone proves no room.
//!
//! A line that loses 5 % whatever is sent must not be taken for a full one. So a loss counts
//! only as far as the sample proves it (one standard error below what was counted), what the
//! line has been losing anyway over the last half minute is taken off, and the rate comes down
//! from what was sent when it was lost, not from an estimate far above it.

/// Loss that is a sign of congestion.
const HIGH: f64 = 0.10;

/// A verdict needs this many packets and this much time.
const PACKETS: u32 = 20;
const WINDOW_US: i64 = 300_000;

/// Sent less often than that, the numbers are too old to go by.
const STALE_US: i64 = 3_000_000;

/// What of earlier counts a later window still has in it.
const KEPT: f64 = 0.5;

/// The loss of the line itself is the least in two windows of this, over so many packets each.
const OWN_WINDOW_US: i64 = 15_000_000;
const OWN_PACKETS: f64 = 200.0;

/// The least loss of the last 15 to 30 s.
#[derive(Debug, Default)]
struct Own {
    since_us: Option<i64>,
    packets: f64,
    lost: f64,
    before: f64,
    current: Option<f64>,
}

impl Own {
    fn update(&mut self, packets: f64, lost: f64, now_us: i64) -> f64 {
        let since = *self.since_us.get_or_insert(now_us);
        self.packets += packets;
        self.lost += lost;
        if self.packets >= OWN_PACKETS {
            let fraction = (self.lost / self.packets).max(0.0);
            (self.packets, self.lost) = (0.0, 0.0);
            if now_us - since > OWN_WINDOW_US {
                self.before = self.current.take().unwrap_or(fraction);
                self.since_us = Some(now_us);
            }
            self.current = Some(self.current.map_or(fraction, |c| c.min(fraction)));
        }
        self.current.map_or(self.before, |current| current.min(self.before))
    }
}

/// The loss-based controller.
#[derive(Debug, Default)]
pub struct Loss {
    total: f64,
    lost: f64,
    /// Of the window that is being counted.
    packets: u32,
    missing: i64,
    bytes: u64,
    begun_us: Option<i64>,
    fraction: f64,
    own: Own,
}

impl Loss {
    /// Counts a packet that was reported for the first time.
    #[inline]
    pub fn reported(&mut self, bytes: u16, missing: bool) {
        self.packets += 1;
        self.missing += i64::from(missing);
        self.bytes += u64::from(bytes);
    }

    /// A packet that had been reported missing came after all.
    #[inline]
    pub fn came_after_all(&mut self) {
        self.missing -= 1;
    }

    /// Counts packets by an RTCP receiver report (RFC 3550 §6.4.1): `fraction` of 256 lost of
    /// what was sent since the last one.
    pub fn receiver_report(&mut self, fraction: u8, packets: u32, bytes: u64) {
        self.packets = self.packets.saturating_add(packets);
        self.missing += i64::from(packets) * i64::from(fraction) / 256;
        self.bytes += bytes;
    }

    /// The fraction of packets lost of late.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        self.fraction
    }

    /// Draws the conclusion, when there is enough to draw it from: the rate to go down to from
    /// `rate`, both in bit/s.
    pub fn update(&mut self, rate: f64, now_us: i64) -> Option<f64> {
        let begun = *self.begun_us.get_or_insert(now_us);
        let elapsed = now_us - begun;
        if elapsed < WINDOW_US || self.packets < PACKETS {
            return None;
        }
        if elapsed > STALE_US {
            (self.total, self.lost) = (0.0, 0.0);
        }
        let seconds = elapsed as f64 / 1e6;
        let sent = self.bytes as f64 * 8.0 / seconds;
        let packets = f64::from(self.packets);
        self.total = self.total * KEPT + packets;
        self.lost = (self.lost * KEPT + self.missing as f64).clamp(0.0, self.total);
        self.fraction = self.lost / self.total;
        let latest = self.missing as f64 / packets;
        (self.packets, self.missing, self.bytes) = (0, 0, 0);
        self.begun_us = Some(now_us);

        let own = self.own.update(packets, latest * packets, now_us);
        let beyond = ((self.fraction - own) / (1.0 - own).max(0.01)).max(0.0);
        let error = (beyond * (1.0 - beyond) / self.total).sqrt();
        let congested = beyond - error > HIGH && latest - own > HIGH;
        congested.then(|| rate.min(sent) * (1.0 - 0.5 * beyond))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::bandwidth::simulation::Dice;

    /// Ten seconds of 260 packets/s, each lost with this probability.
    fn run(loss: &mut Loss, dice: &mut Dice, now: &mut i64, seconds: i64, chance: f64) -> u32 {
        let mut lowered = 0;
        for _ in 0..seconds * 20 {
            for _ in 0..13 {
                loss.reported(1200, dice.chance(chance));
            }
            *now += 50_000;
            lowered += u32::from(loss.update(4e6, *now).is_some());
        }
        lowered
    }

    #[test]
    fn five_percent_at_random_is_never_taken_for_congestion() {
        for seed in 0..20 {
            let (mut loss, mut dice, mut now) = (Loss::default(), Dice::new(seed), 0);
            assert_eq!(run(&mut loss, &mut dice, &mut now, 300, 0.05), 0, "seed {seed}");
            assert!((loss.fraction() - 0.05).abs() < 0.05);
        }
    }

    #[test]
    fn loss_that_came_with_the_rate_lowers_it_from_what_was_sent() {
        let (mut loss, mut dice, mut now) = (Loss::default(), Dice::new(1), 0);
        run(&mut loss, &mut dice, &mut now, 5, 0.0);
        for _ in 0..100 {
            loss.reported(1200, dice.chance(0.4));
        }
        let lower = loss.update(10e6, now + 400_000).unwrap();
        assert!((1.7e6..2.3e6).contains(&lower), "{lower}");
        now += 400_000;
        assert_eq!(run(&mut loss, &mut dice, &mut now, 5, 0.0), 0, "it is over");
    }

    #[test]
    fn a_line_that_always_loses_much_is_pressed_for_half_a_minute_at_most() {
        let (mut loss, mut dice, mut now) = (Loss::default(), Dice::new(1), 0);
        let first = run(&mut loss, &mut dice, &mut now, 31, 0.2);
        let later = run(&mut loss, &mut dice, &mut now, 62, 0.2);
        assert!(first > 30 && later < 12, "{first}, {later}");
    }

    #[test]
    fn packets_that_came_late_were_not_lost() {
        let mut loss = Loss::default();
        for n in 0..10 {
            for _ in 0..20 {
                loss.reported(1200, true);
                loss.came_after_all();
            }
            assert_eq!(loss.update(1e6, n * 400_000), None);
        }
        assert_eq!(loss.fraction(), 0.0);
    }

    #[test]
    fn receiver_reports_alone_will_do() {
        let mut loss = Loss::default();
        loss.update(1e6, 0);
        loss.receiver_report(128, 100, 120_000);
        let lower = loss.update(2e6, 1_000_000).unwrap();
        assert!((lower - 0.96e6 * 0.75).abs() < 0.1e6, "{lower}");
    }
}
