//! The clock packets are stamped with and arrivals are told by: the kernel's own for received
//! datagrams, so that latency does not depend on when a program gets to read.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970 (CLOCK_REALTIME).
#[must_use]
pub fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos())
}

/// As NTP counts: 32.32 seconds since 1900 (RFC 3550 §4).
#[must_use]
pub fn ntp(wall_ns: u64) -> u64 {
    const FROM_1900_TO_1970: u64 = 2_208_988_800;
    let (seconds, rest) = (wall_ns / 1_000_000_000, wall_ns % 1_000_000_000);
    ((seconds + FROM_1900_TO_1970) << 32) | ((rest << 32) / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_counts_from_1900_in_binary_fractions() {
        assert_eq!(ntp(0), 2_208_988_800 << 32);
        assert_eq!(ntp(1_500_000_000), (2_208_988_801 << 32) | (1 << 31));
    }
}
