//! The receiver's half of transport-wide feedback, as browsers do it: a message every 50 ms from
//! the first packet not told of yet; one that comes late is told of with all after it.

use std::collections::BTreeMap;

/// Writes one message: arrivals in µs after the reference time, in steps of 250.
pub fn write(base: u16, reference: u32, number: u8, arrivals: &[Option<i64>]) -> Vec<u8> {
    let mut fci = Vec::new();
    fci.extend(base.to_be_bytes());
    fci.extend((arrivals.len() as u16).to_be_bytes());
    fci.extend(&reference.to_be_bytes()[1..]);
    fci.push(number);
    let (mut at, mut deltas, mut symbols) = (0, Vec::new(), Vec::new());
    for arrival in arrivals {
        let Some(arrival) = arrival else {
            symbols.push(0u16);
            continue;
        };
        let delta = (arrival - at) / 250;
        at = *arrival;
        if let Ok(small) = u8::try_from(delta) {
            symbols.push(1);
            deltas.push(small);
        } else {
            symbols.push(2);
            deltas.extend(i16::try_from(delta).unwrap().to_be_bytes());
        }
    }
    let mut rest = &symbols[..];
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|s| *s == first).take(0x1fff).count();
        let narrow = rest.iter().take(14).all(|s| *s < 2);
        let (chunk, taken) = if run >= 14 {
            (first << 13 | run as u16, run)
        } else if narrow {
            let bits = rest.iter().take(14).enumerate().map(|(n, s)| s << (13 - n));
            (0x8000 | bits.sum::<u16>(), 14)
        } else {
            let bits = rest.iter().take(7).enumerate().map(|(n, s)| s << (12 - 2 * n));
            (0xc000 | bits.sum::<u16>(), 7)
        };
        fci.extend(chunk.to_be_bytes());
        rest = rest.get(taken..).unwrap_or_default();
    }
    fci.extend(deltas);
    fci
}

/// Notes what arrives and reports it.
#[derive(Debug)]
pub struct Receiver {
    arrivals: BTreeMap<u64, i64>,
    newest: u64,
    /// Where the next message begins, unless something comes late.
    next: u64,
    news: bool,
    number: u8,
}

impl Default for Receiver {
    fn default() -> Self {
        Self { arrivals: BTreeMap::new(), newest: 0, next: 1, news: false, number: 0 }
    }
}

impl Receiver {
    /// Packets are told of again for so many numbers back.
    const WINDOW: u64 = 500;

    pub fn arrived(&mut self, sequence: u16, at_us: i64) {
        let ahead = sequence.wrapping_sub(self.newest as u16) as i16;
        let number = self.newest.saturating_add_signed(i64::from(ahead));
        if number + Self::WINDOW < self.newest {
            return;
        }
        self.newest = self.newest.max(number);
        self.next = self.next.min(number);
        self.news = true;
        self.arrivals.entry(number).or_insert(at_us);
        self.arrivals = self.arrivals.split_off(&self.newest.saturating_sub(Self::WINDOW));
    }

    /// A message about what came since the last one.
    pub fn report(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.news) {
            return None;
        }
        let (_, first) = self.arrivals.range(self.next..).next()?;
        let reference = first.div_euclid(64_000);
        let told = |number| {
            let at = self.arrivals.get(&number)?;
            Some((at - reference * 64_000).div_euclid(250) * 250)
        };
        let arrivals: Vec<_> = (self.next..=self.newest).map(told).collect();
        self.number = self.number.wrapping_add(1);
        let reference = (reference & 0xff_ffff) as u32;
        let fci = write(self.next as u16, reference, self.number, &arrivals);
        self.next = self.newest + 1;
        Some(fci)
    }
}
