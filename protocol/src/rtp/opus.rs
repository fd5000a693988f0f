//! Opus packets (RFC 6716 §3): how long the sound of one is, which its table of contents says.

/// Ticks of RTP's clock for Opus (RFC 7587 §4.1) in a millisecond.
const MILLISECOND: u32 = 48;

/// A packet holds at most so much sound (RFC 6716 §3.2.5).
const LONGEST: u32 = 120 * MILLISECOND;

/// How much sound a packet holds, in ticks of 48 kHz. `None` when it is cut short or says more
/// than there can be.
#[must_use]
pub fn duration(packet: &[u8]) -> Option<u32> {
    let (&contents, rest) = packet.split_first()?;
    let configuration = contents >> 3;
    let size = contents >> 3 & 3;
    // Half milliseconds: the shortest frame has five.
    let halves: u32 = match (configuration, size) {
        (0..=11, 3) => 120,
        (0..=11, size) => 20 << size,
        (12..=15, size) => 20 << (size & 1),
        (_, size) => 5 << size,
    };
    let frames = match contents & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3f),
    };
    let ticks = halves * MILLISECOND / 2 * frames;
    (1..=LONGEST).contains(&ticks).then_some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_browsers_send_is_twenty_milliseconds_long() {
        // CELT 20 ms, hybrid 20 ms, SILK wideband 20 ms: each one frame.
        for configuration in [31, 15, 9] {
            assert_eq!(duration(&[configuration << 3, 0]), Some(960));
        }
    }

    #[test]
    fn frames_of_a_packet_are_counted() {
        assert_eq!(duration(&[11 << 3]), Some(2880), "one of 60 ms");
        assert_eq!(duration(&[16 << 3 | 1]), Some(240), "two of 2.5 ms");
        assert_eq!(
            duration(&[31 << 3 | 3, 0x80 | 6]),
            Some(5760),
            "six of 20 ms, of their own sizes"
        );
        assert_eq!(duration(&[11 << 3 | 3, 3]), None, "more than 120 ms");
        assert_eq!(duration(&[31 << 3 | 3]), None, "cut before the count");
        assert_eq!(duration(&[31 << 3 | 3, 0]), None, "none");
        assert_eq!(duration(&[]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_possible_length_or_none(bytes in prop::collection::vec(any::<u8>(), 0..4)) {
            if let Some(ticks) = duration(&bytes) {
                prop_assert!((120..=LONGEST).contains(&ticks) && ticks.is_multiple_of(120));
            }
        }
    }
}
