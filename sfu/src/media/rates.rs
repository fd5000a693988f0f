//! How many bits each layer of an encoding takes: what choosing layers for a viewer goes by.

use std::time::{Duration, Instant};

/// Spatial and temporal layers that are told apart; higher ones count with the last.
pub const SPATIAL: usize = 3;
pub const TEMPORAL: usize = 4;

/// A reading is of so long: shorter ones show the sizes of single frames.
const WINDOW: Duration = Duration::from_millis(500);

/// Weight of a new reading: a keyframe in one window doesn't look like a busier picture.
const WEIGHT: f64 = 0.4;

/// An encoding that sent nothing for so long is paused; what it took before is remembered.
const ALIVE: Duration = Duration::from_secs(2);

/// Rates of one encoding's layers.
#[derive(Debug, Default)]
pub struct Rates {
    begun: Option<Instant>,
    heard: Option<Instant>,
    bytes: [[u32; TEMPORAL]; SPATIAL],
    smooth: [[f64; TEMPORAL]; SPATIAL],
    measured: bool,
}

impl Rates {
    /// Counts a packet's bytes, headers included.
    pub fn count(&mut self, spatial: u8, temporal: u8, bytes: usize, now: Instant) {
        let begun = *self.begun.get_or_insert(now);
        let elapsed = now - begun;
        if self.heard.is_some_and(|h| now - h > ALIVE) {
            // What comes after a pause says nothing about the window before.
            self.bytes = Default::default();
            self.begun = Some(now);
        } else if elapsed >= WINDOW {
            let seconds = elapsed.as_secs_f64();
            for (smooth, bytes) in self.smooth.iter_mut().flatten().zip(self.bytes.iter().flatten())
            {
                let rate = f64::from(*bytes) * 8.0 / seconds;
                let weight = if self.measured { WEIGHT } else { 1.0 };
                *smooth += weight * (rate - *smooth);
            }
            self.measured = true;
            self.bytes = Default::default();
            self.begun = Some(now);
        }
        self.heard = Some(now);
        let row = self.bytes.get_mut(usize::from(spatial).min(SPATIAL - 1));
        let cell = row.and_then(|r| r.get_mut(usize::from(temporal).min(TEMPORAL - 1)));
        if let Some(cell) = cell {
            *cell = cell.saturating_add(bytes as u32);
        }
    }

    /// Bits a second of all layers up to these, as last measured; 0 before the first reading.
    #[must_use]
    pub fn up_to(&self, spatial: u8, temporal: u8) -> u64 {
        let rows = self.smooth.iter().take(usize::from(spatial) + 1);
        let cells = rows.flat_map(|row| row.iter().take(usize::from(temporal) + 1));
        cells.sum::<f64>() as u64
    }

    /// Bits a second of everything.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.up_to(u8::MAX, u8::MAX)
    }

    /// How many spatial and temporal layers there are.
    #[must_use]
    pub fn layers(&self) -> (u8, u8) {
        let used = |row: &[f64; TEMPORAL]| row.iter().rposition(|r| *r > 0.0);
        let spatial = self.smooth.iter().rposition(|row| used(row).is_some()).map_or(1, |n| n + 1);
        let temporal = self.smooth.iter().filter_map(used).max().map_or(1, |n| n + 1);
        (spatial as u8, temporal as u8)
    }

    /// Whether a packet came within that time.
    #[must_use]
    pub fn heard_within(&self, time: Duration, now: Instant) -> bool {
        self.heard.is_some_and(|h| now - h < time)
    }

    /// Whether it is being sent.
    #[must_use]
    pub fn alive(&self, now: Instant) -> bool {
        self.heard.is_some_and(|h| now - h < ALIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_costs_what_it_sends() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        for n in 0..300u64 {
            let now = start + Duration::from_millis(n * 10);
            rates.count(0, (n % 2) as u8, 1250, now);
        }
        let base = rates.up_to(0, 0);
        assert!((480_000..=520_000).contains(&base), "{base}");
        assert!((960_000..=1_040_000).contains(&rates.all()), "{}", rates.all());
        assert_eq!(rates.layers(), (1, 2));
        let later = start + Duration::from_secs(10);
        assert!(!rates.alive(later) && rates.all() > 0, "a pause is remembered");
    }

    #[test]
    fn one_keyframe_does_not_double_the_rate() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        for n in 0..300u64 {
            let bytes = if n == 200 { 60_000 } else { 8_000 };
            rates.count(0, 0, bytes, start + Duration::from_millis(n * 33));
        }
        let rate = rates.all();
        assert!((1_900_000..=2_300_000).contains(&rate), "{rate}");
    }
}
