//! When a publisher's packets arrived: the feedback its congestion control lives by
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01). Without it a browser sends next to
//! nothing.

use std::time::{Duration, Instant};

/// Feedback goes out so often: libwebrtc sends between 50 and 250 ms; a short interval lets a
/// publisher react within a quarter of a second at a cost of some 10 kbit/s.
pub const INTERVAL: Duration = Duration::from_millis(50);

/// Packets one message speaks of: at 50 ms this is 90 Mbit/s.
const MAX_PACKETS: usize = 512;

/// The draft's units.
const REFERENCE: Duration = Duration::from_millis(64);
const DELTA: Duration = Duration::from_micros(250);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Missing = 0,
    Small = 1,
    Large = 2,
}

/// Arrivals since the last feedback.
#[derive(Debug)]
pub struct Arrivals {
    begun: Instant,
    /// Extended number of the first entry of `times`.
    base: u64,
    times: Vec<Option<Instant>>,
    highest: Option<u64>,
    count: u8,
    due: Option<Instant>,
    statuses: Vec<(Status, i16)>,
}

impl Arrivals {
    /// Nothing came yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            begun: now,
            base: 0,
            times: Vec::with_capacity(MAX_PACKETS),
            highest: None,
            count: 0,
            due: None,
            statuses: Vec::new(),
        }
    }

    /// The packet with this transport-wide number arrived.
    pub fn arrived(&mut self, sequence: u16, now: Instant) {
        let number = match self.highest {
            None => (1 << 16) + u64::from(sequence),
            Some(highest) => {
                let ahead = sequence.wrapping_sub(highest as u16) as i16;
                highest.saturating_add_signed(i64::from(ahead))
            }
        };
        let first = self.highest.is_none();
        self.highest = Some(self.highest.map_or(number, |h| h.max(number)));
        if first {
            self.base = number;
        }
        // What was spoken of already stays as it was told.
        let Some(at) = number.checked_sub(self.base) else { return };
        if at as usize >= MAX_PACKETS {
            self.base = number;
            self.times.clear();
        }
        let at = (number - self.base) as usize;
        if at >= self.times.len() {
            self.times.resize(at + 1, None);
        }
        if let Some(time) = self.times.get_mut(at) {
            time.get_or_insert(now);
        }
        self.due.get_or_insert(now + INTERVAL);
    }

    /// When [`Self::write`] has something to say.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Writes what follows the two SSRCs of a feedback message (§3.1 of the draft) and begins
    /// anew behind the last packet it speaks of.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        self.due = None;
        // Packets missing before the first that came are told as missing.
        let Some(first) = self.times.iter().flatten().next().copied() else { return };
        let since = |time: Instant| time.saturating_duration_since(self.begun);
        let reference = (since(first).as_micros() / REFERENCE.as_micros()) as u64;
        let mut last = self.begun + Duration::from_micros(reference * REFERENCE.as_micros() as u64);
        self.statuses.clear();
        let mut told = 0;
        for time in &self.times {
            let Some(time) = time else {
                self.statuses.push((Status::Missing, 0));
                continue;
            };
            let ticks = match time.checked_duration_since(last) {
                Some(later) => (later.as_micros() / DELTA.as_micros()) as i64,
                None => -((last.duration_since(*time).as_micros() / DELTA.as_micros()) as i64),
            };
            // Farther apart than 8 s: the rest goes into a message of its own.
            let Ok(delta) = i16::try_from(ticks) else { break };
            let moved = DELTA * u32::from(delta.unsigned_abs());
            last = if delta < 0 { last - moved } else { last + moved };
            let small = (0..=255).contains(&delta);
            self.statuses.push((if small { Status::Small } else { Status::Large }, delta));
            told = self.statuses.len();
        }
        // A message doesn't end with missing packets: whether they come shows later.
        self.statuses.truncate(told);
        out.extend_from_slice(&(self.base as u16).to_be_bytes());
        out.extend_from_slice(&(told as u16).to_be_bytes());
        let [_, _, _, _, _, a, b, c] = reference.to_be_bytes();
        out.extend_from_slice(&[a, b, c, self.count]);
        self.count = self.count.wrapping_add(1);
        write_chunks(&self.statuses, out);
        for (status, delta) in &self.statuses {
            match status {
                Status::Missing => {}
                Status::Small => out.push(*delta as u8),
                Status::Large => out.extend_from_slice(&delta.to_be_bytes()),
            }
        }
        self.base += told as u64;
        self.times.drain(..told);
        if !self.times.is_empty() {
            self.due = Some(last + INTERVAL);
        }
    }
}

/// §3.1.1: packet status chunks, each the shortest that fits what comes next.
fn write_chunks(mut statuses: &[(Status, i16)], out: &mut Vec<u8>) {
    const ONE_BIT: usize = 14;
    const TWO_BIT: usize = 7;
    const MAX_RUN: usize = 0x1fff;
    while let Some((first, _)) = statuses.first() {
        let run = statuses.iter().take(MAX_RUN).take_while(|(s, _)| s == first).count();
        let vector = statuses.get(..statuses.len().min(ONE_BIT)).unwrap_or_default();
        let one_bit = vector.iter().all(|(s, _)| *s != Status::Large);
        let worth = if one_bit { ONE_BIT } else { TWO_BIT };
        let (chunk, taken) = if run >= worth.min(statuses.len()) {
            ((*first as u16) << 13 | run as u16, run)
        } else if one_bit {
            let bits = vector.iter().enumerate().map(|(n, (s, _))| (*s as u16) << (13 - n));
            (0x8000 | bits.fold(0, |all, bit| all | bit), vector.len())
        } else {
            let vector = vector.get(..vector.len().min(TWO_BIT)).unwrap_or_default();
            let bits = vector.iter().enumerate().map(|(n, (s, _))| (*s as u16) << (12 - 2 * n));
            (0xc000 | bits.fold(0, |all, bit| all | bit), vector.len())
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        statuses = statuses.get(taken..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use cloudschool_protocol::rtcp::Writer;
    use proptest::prelude::*;
    use rtc::rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, TransportLayerCc};
    use rtc::shared::marshal::Unmarshal;

    /// What an independent reader makes of a feedback: numbers and arrival times in units of
    /// 250 µs since the beginning.
    fn read(fci: &[u8]) -> Vec<(u16, Option<i64>)> {
        let mut message = Vec::new();
        Writer::new(&mut message).transport_cc(1, 2, |out| out.extend_from_slice(fci));
        let feedback = TransportLayerCc::unmarshal(&mut Bytes::from(message)).unwrap();
        let mut symbols = Vec::new();
        for chunk in &feedback.packet_chunks {
            match chunk {
                PacketStatusChunk::RunLengthChunk(run) => {
                    symbols.extend(std::iter::repeat_n(
                        run.packet_status_symbol as u16,
                        run.run_length.into(),
                    ));
                }
                PacketStatusChunk::StatusVectorChunk(vector) => {
                    symbols.extend(vector.symbol_list.iter().map(|s| *s as u16));
                }
            }
        }
        symbols.truncate(feedback.packet_status_count.into());
        let mut time = i64::from(feedback.reference_time) * 256;
        let mut deltas = feedback.recv_deltas.iter();
        symbols
            .into_iter()
            .enumerate()
            .map(|(n, symbol)| {
                let number = feedback.base_sequence_number.wrapping_add(n as u16);
                let came = (symbol != 0).then(|| {
                    time += deltas.next().unwrap().delta / 250;
                    time
                });
                (number, came)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn an_independent_reader_finds_every_arrival(
            first in any::<u16>(),
            steps in prop::collection::vec((0u32..4, 0u64..90_000), 1..300),
        ) {
            let start = Instant::now();
            let mut arrivals = Arrivals::new(start);
            let (mut sequence, mut micros) = (first, 3_000u64);
            let mut expected = Vec::new();
            for (skip, wait) in steps {
                sequence = sequence.wrapping_add(1 + (skip / 3) as u16);
                micros += wait / (1 + u64::from(skip));
                arrivals.arrived(sequence, start + Duration::from_micros(micros));
                expected.push((sequence, micros));
            }
            let mut told = Vec::new();
            while arrivals.deadline().is_some() {
                let mut fci = Vec::new();
                arrivals.write(&mut fci);
                told.extend(read(&fci));
            }
            let came: Vec<_> = told.iter().filter_map(|(n, t)| Some((*n, (*t)?))).collect();
            prop_assert_eq!(came.len(), expected.len());
            for ((number, ticks), (sequence, micros)) in came.into_iter().zip(expected) {
                prop_assert_eq!(number, sequence);
                prop_assert!((ticks * 250 - micros as i64).abs() <= 500, "{} {}", ticks, micros);
            }
        }
    }

    #[test]
    fn what_is_missing_is_told_and_may_still_come_before_the_next_message() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        for sequence in [10, 11, 13] {
            arrivals.arrived(sequence, start);
        }
        let mut fci = Vec::new();
        arrivals.write(&mut fci);
        let came: Vec<_> = read(&fci).into_iter().map(|(n, t)| (n, t.is_some())).collect();
        assert_eq!(came, [(10, true), (11, true), (12, false), (13, true)]);
        assert_eq!(arrivals.deadline(), None);
        arrivals.arrived(12, start);
        assert_eq!(arrivals.deadline(), None, "it was told of already");
    }
}
