//! What was said into a muted microphone must not come out after the mute either: redundancy
//! (RFC 2198) repeats earlier sound, and so does Opus' in-band error correction (RFC 6716
//! §4.2.5), for the one packet before.
//!
//! It judges by timestamps; packets are not looked into here.

/// Redundancy reaches back no further than its 14 bits of timestamp offset.
const FARTHEST: i32 = 1 << 14;

/// What of a packet may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    All,
    /// Its own sound, without the redundancy.
    Own,
    Nothing,
}

/// The memory of one microphone's last mute.
#[derive(Debug, Default)]
pub struct Hush {
    /// The newest packet that was muted.
    until: Option<u32>,
    /// No packet has passed since.
    first: bool,
}

impl Hush {
    /// A packet came while the microphone was muted.
    pub fn muted(&mut self, timestamp: u32) {
        self.first = true;
        if self.until.is_none_or(|u| timestamp.wrapping_sub(u) as i32 > 0) {
            self.until = Some(timestamp);
        }
    }

    /// The source counts anew: its timestamps say nothing of those before.
    pub fn restarted(&mut self) {
        self.until = None;
    }

    /// What may go on of a packet that came unmuted, whose redundancy begins so many ticks
    /// before its own sound.
    pub fn passes(&mut self, timestamp: u32, redundancy: u32) -> Passes {
        let since = self.until.map(|u| timestamp.wrapping_sub(u) as i32);
        if since.is_some_and(|s| s <= 0) || std::mem::take(&mut self.first) {
            return Passes::Nothing;
        }
        match since {
            None => Passes::All,
            Some(since) if since > FARTHEST => {
                self.until = None;
                Passes::All
            }
            Some(since) if since <= redundancy as i32 => Passes::Own,
            Some(_) => Passes::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u32 = 960;

    #[test]
    fn who_was_never_muted_is_let_through() {
        assert_eq!(Hush::default().passes(5, 2 * FRAME), Passes::All);
    }

    #[test]
    fn neither_error_correction_nor_redundancy_brings_back_what_was_muted() {
        let mut hush = Hush::default();
        for n in 0..10 {
            hush.muted(n * FRAME);
        }
        assert_eq!(hush.passes(10 * FRAME, 0), Passes::Nothing, "it may repeat the one before");
        assert_eq!(hush.passes(8 * FRAME, 0), Passes::Nothing, "muted, and late");
        assert_eq!(hush.passes(11 * FRAME, 2 * FRAME), Passes::Own);
        assert_eq!(hush.passes(12 * FRAME, 2 * FRAME), Passes::All);
    }

    #[test]
    fn it_is_forgotten_before_timestamps_come_round() {
        let mut hush = Hush::default();
        hush.muted(u32::MAX - 5);
        hush.passes(FRAME, 0);
        assert_eq!(hush.passes(30 * FRAME, 0), Passes::All);
        assert_eq!(hush.passes(u32::MAX - 5, 0), Passes::All);
    }

    #[test]
    fn a_source_that_counts_anew_is_not_measured_by_its_past() {
        let mut hush = Hush::default();
        hush.muted(1 << 31);
        hush.restarted();
        assert_eq!(hush.passes(0, 0), Passes::Nothing, "the first one, all the same");
        assert_eq!(hush.passes(FRAME, 0), Passes::All);
    }
}
