//! What was sent and is not forgotten yet: the last 2,048 packets of one viewer, eight bytes
//! each, in a ring addressed by transport sequence number. Allocated with the first packet,
//! never after, and never searched.

use crate::media::ahead;

/// Packets remembered: 8 s of a 2 Mbit/s lesson, 0.7 s at 30 Mbit/s.
const LEN: usize = 2048;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Fate {
    /// The number was taken, nothing went out under it.
    #[default]
    Unsent,
    Sent,
    Received,
    /// Reported missing; it may still come.
    Missing,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// When it went out: the low 32 bits of the µs.
    at: u32,
    bytes: u16,
    cluster: u8,
    fate: Fate,
}

/// A packet the receiver spoke of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported {
    pub sent_us: i64,
    pub bytes: u16,
    /// The probe it was part of; 0 for none.
    pub cluster: u8,
    /// It had been reported missing before.
    pub was_missing: bool,
}

/// The ring.
#[derive(Debug)]
pub struct History {
    next: u64,
    ring: Option<Box<[Entry; LEN]>>,
}

impl Default for History {
    fn default() -> Self {
        Self { next: 1, ring: None }
    }
}

impl History {
    /// Asks for the places of the next eight packets, before they come.
    #[inline]
    pub fn fetch(&self) {
        let Some(ring) = &self.ring else { return };
        for number in [self.next, self.next + 7] {
            if let Some(entry) = ring.get(number as usize % LEN) {
                ahead::fetch(entry);
            }
        }
    }

    /// Asks for the places of the last 32 packets.
    #[inline]
    pub fn fetch_last(&self) {
        let Some(ring) = &self.ring else { return };
        for back in (0..=32).step_by(8) {
            if let Some(entry) = ring.get(self.next.saturating_sub(back) as usize % LEN) {
                ahead::fetch(entry);
            }
        }
    }

    /// The number of the next packet, which nothing has gone out under yet.
    #[inline]
    pub fn take(&mut self) -> u16 {
        let number = self.next;
        self.next += 1;
        let ring = self.ring.get_or_insert_with(|| Box::new([Entry::default(); LEN]));
        if let Some(entry) = ring.get_mut(number as usize % LEN) {
            entry.fate = Fate::Unsent;
        }
        number as u16
    }

    /// Notes that the packet `sequence` went out, and returns its extended number.
    #[inline]
    pub fn sent(&mut self, sequence: u16, bytes: usize, cluster: u8, at_us: i64) -> Option<u64> {
        let number = self.extend(sequence)?;
        let entry = self.entry(number)?;
        let bytes = bytes.min(usize::from(u16::MAX)) as u16;
        *entry = Entry { at: at_us as u32, bytes, cluster, fate: Fate::Sent };
        Some(number)
    }

    /// The extended number meant by `sequence`: the one nearest to what is sent now.
    #[inline]
    pub fn extend(&self, sequence: u16) -> Option<u64> {
        let ahead = sequence.wrapping_sub(self.next as u16) as i16;
        self.next.checked_add_signed(i64::from(ahead))
    }

    /// Takes note that a packet arrived. `None` when it is not remembered or known to be there.
    #[inline]
    pub fn received(&mut self, number: u64, now_us: i64) -> Option<Reported> {
        let entry = self.entry(number)?;
        let was_missing = entry.fate == Fate::Missing;
        if !was_missing && entry.fate != Fate::Sent {
            return None;
        }
        entry.fate = Fate::Received;
        Some(entry.reported(was_missing, now_us))
    }

    /// Takes note that a packet is missing. `None` when that is no news.
    #[inline]
    pub fn missing(&mut self, number: u64, now_us: i64) -> Option<Reported> {
        let entry = self.entry(number)?;
        if entry.fate != Fate::Sent {
            return None;
        }
        entry.fate = Fate::Missing;
        Some(entry.reported(false, now_us))
    }

    /// Whether a packet is still to be heard of.
    pub fn open(&mut self, number: u64) -> bool {
        self.entry(number).is_some_and(|e| e.fate == Fate::Sent)
    }

    #[inline]
    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let behind = self.next.checked_sub(number)?;
        if behind == 0 || behind > LEN as u64 {
            return None;
        }
        self.ring.as_mut()?.get_mut(number as usize % LEN)
    }
}

impl Entry {
    fn reported(&self, was_missing: bool, now_us: i64) -> Reported {
        let ago = (now_us as u32).wrapping_sub(self.at);
        let sent_us = now_us - i64::from(ago);
        Reported { sent_us, bytes: self.bytes, cluster: self.cluster, was_missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_kilobytes_are_all_it_takes_and_only_once_used() {
        assert_eq!(size_of::<[Entry; LEN]>(), 16 << 10);
        assert!(History::default().ring.is_none());
    }

    #[test]
    fn a_packet_is_news_once_unless_it_was_missing() {
        let mut history = History::default();
        let at = 5_000_000_000;
        let (a, b, unsent) = (history.take(), history.take(), history.take());
        let a = history.sent(a, 1200, 0, at).unwrap();
        let b = history.sent(b, 80, 7, at + 3).unwrap();
        let first = history.received(a, at + 50_000).unwrap();
        let told = Reported { sent_us: at, bytes: 1200, cluster: 0, was_missing: false };
        assert_eq!(first, told);
        assert_eq!((history.received(a, at), history.missing(a, at)), (None, None));
        assert_eq!(history.missing(b, at + 9).unwrap().cluster, 7);
        assert_eq!(history.missing(b, at + 9), None);
        assert!(history.received(b, at + 9).unwrap().was_missing);
        let unsent = history.extend(unsent).unwrap();
        assert_eq!(history.missing(unsent, at), None, "a number nothing went out under");
        assert_eq!(history.received(unsent + 1, at), None, "a number that was not given yet");
    }

    #[test]
    fn numbers_wrap_and_old_ones_are_forgotten() {
        let mut history = History::default();
        let mut last = 0;
        for n in 0..70_000i64 {
            let sequence = history.take();
            last = history.sent(sequence, 100, 0, n).unwrap();
        }
        assert_eq!(last, 70_000);
        assert_eq!(history.extend(last as u16), Some(last));
        assert!(history.open(last) && history.open(last + 1 - LEN as u64));
        assert!(!history.open(last - LEN as u64));
    }
}
