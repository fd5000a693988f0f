//! What came of a video track and waits to go up trunks: packets of a frame come one by one, and
//! handed to fifty trunks one by one they cost several times what the frame does. A trunk sends
//! whole frames in any case, so nothing is later for it. Holds no bytes: they are the track's.

use super::track::Fresh;

/// From so many packets on a frame goes on as it comes: a trunk begins to send it then too.
const EARLY: usize = 12;

/// Packets of the frame under way, and clocks that came with them.
#[derive(Debug, Default)]
pub struct Gathered {
    packets: Vec<Fresh>,
    clocks: u8,
    /// Encoding and timestamp of the newest packet, unless a frame ended with it.
    newest: Option<(u8, u32)>,
    /// The frame under way has begun to go.
    going: bool,
}

/// What is to go now.
#[derive(Debug)]
pub struct Due {
    pub packets: Vec<Fresh>,
    /// Encodings whose clock came, as a set of bits.
    pub clocks: u8,
}

/// What a packet says that is of use here.
#[derive(Debug, Clone, Copy)]
pub struct Said {
    pub timestamp: u32,
    pub marker: bool,
}

impl Gathered {
    /// Takes a turn's packets and clocks. Gives what is to go now, if anything is: put it back
    /// with [`Self::reuse`].
    pub fn gather(
        &mut self,
        fresh: &[Fresh],
        clocks: u8,
        said: impl Fn(Fresh) -> Option<Said>,
    ) -> Option<Due> {
        let (mut ends, mut goes) = (false, self.going || clocks != 0);
        for packet in fresh {
            let Some(Said { timestamp, marker }) = said(*packet) else { continue };
            self.packets.push(*packet);
            // The end of the frame before is lost.
            let same = |(of, at)| of != packet.encoding || at == timestamp;
            goes |= !self.newest.is_none_or(same);
            self.newest = Some((packet.encoding, timestamp));
            ends |= marker;
        }
        self.clocks |= clocks;
        if !(ends || goes || self.packets.len() >= EARLY) {
            return None;
        }
        self.going = !ends && (self.going || self.packets.len() >= EARLY);
        self.newest = self.newest.filter(|_| !ends);
        let clocks = std::mem::take(&mut self.clocks);
        Some(Due { packets: std::mem::take(&mut self.packets), clocks })
    }

    /// Takes back what has gone, for its room.
    pub fn reuse(&mut self, Due { mut packets, .. }: Due) {
        packets.clear();
        if self.packets.is_empty() {
            self.packets = packets;
        }
    }

    /// Whether a packet waits.
    #[must_use]
    pub fn contains(&self, packet: &Fresh) -> bool {
        self.packets.contains(packet)
    }

    /// Forgets what waits of an encoding, which begins anew.
    pub fn forget(&mut self, encoding: u8) {
        self.packets.retain(|f| f.encoding != encoding);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.packets.clear();
        (self.clocks, self.newest, self.going) = (0, None, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets by number, with what they say.
    fn turn(gathered: &mut Gathered, packets: &[(u64, u32, bool)]) -> Option<Vec<u64>> {
        let fresh: Vec<_> =
            packets.iter().map(|(number, ..)| Fresh { encoding: 0, number: *number }).collect();
        let said = |f: Fresh| {
            let (_, timestamp, marker) = *packets.iter().find(|p| p.0 == f.number)?;
            Some(Said { timestamp, marker })
        };
        let gone = gathered.gather(&fresh, 0, said)?;
        let numbers = gone.packets.iter().map(|f| f.number).collect();
        gathered.reuse(gone);
        Some(numbers)
    }

    #[test]
    fn a_frame_goes_when_its_end_has_come_or_the_next_begins() {
        let mut gathered = Gathered::default();
        assert_eq!(turn(&mut gathered, &[(1, 10, false)]), None);
        assert_eq!(turn(&mut gathered, &[]), None);
        assert_eq!(turn(&mut gathered, &[(2, 10, false), (3, 10, true)]), Some(vec![1, 2, 3]));
        assert_eq!(turn(&mut gathered, &[(4, 20, false)]), None, "its end is lost");
        assert_eq!(turn(&mut gathered, &[(6, 30, false)]), Some(vec![4, 6]));
        assert_eq!(turn(&mut gathered, &[(7, 30, false)]), None);
        assert_eq!(turn(&mut gathered, &[(8, 30, true)]), Some(vec![7, 8]));
    }

    #[test]
    fn a_large_frame_goes_on_as_it_comes() {
        let mut gathered = Gathered::default();
        let early = EARLY as u64;
        for number in 1..early {
            assert_eq!(turn(&mut gathered, &[(number, 10, false)]), None);
        }
        let all: Vec<_> = (1..=early).collect();
        assert_eq!(turn(&mut gathered, &[(early, 10, false)]), Some(all));
        assert_eq!(turn(&mut gathered, &[(13, 10, false)]), Some(vec![13]));
        assert_eq!(turn(&mut gathered, &[(14, 10, true)]), Some(vec![14]));
        assert_eq!(turn(&mut gathered, &[(15, 20, false)]), None);
    }

    #[test]
    fn a_clock_waits_for_nothing_and_what_is_forgotten_does_not_go() {
        let mut gathered = Gathered::default();
        let said = |_| Some(Said { timestamp: 1, marker: false });
        let [first, other] = [(0, 1), (1, 1)].map(|(encoding, number)| Fresh { encoding, number });
        assert!(gathered.gather(&[first, other], 0, said).is_none());
        gathered.forget(0);
        assert!(!gathered.contains(&first) && gathered.contains(&other));
        let Due { packets, clocks } = gathered.gather(&[], 2, said).unwrap();
        assert_eq!((packets, clocks), (vec![other], 2));
        assert!(gathered.gather(&[first], 0, said).is_none());
        gathered.clear();
        assert!(!gathered.contains(&first));
    }
}
