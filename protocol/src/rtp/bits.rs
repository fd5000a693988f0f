//! Reads bits from the most significant on, as the syntax tables of video formats are written.

/// What is left to read.
#[derive(Debug, Clone)]
pub struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits read so far.
    at: usize,
}

impl<'a> Bits<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// f(1).
    pub fn flag(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit != 0)
    }

    /// f(n), for n up to 32.
    pub fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Some(value)
    }

    /// ns(n): a number below `n`, in as few bits as it takes (AV1 specification §4.10.7).
    pub fn below(&mut self, n: u32) -> Option<u32> {
        let width = n.checked_ilog2()? + 1;
        let short = (1u32 << width).checked_sub(n)?;
        let value = self.take(width - 1)?;
        if value < short {
            return Some(value);
        }
        Some((value << 1) - short + self.take(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_from_the_most_significant_on_and_end() {
        let mut bits = Bits::new(&[0b1010_0001, 0b1000_0000]);
        assert_eq!(bits.flag(), Some(true));
        assert_eq!(bits.take(7), Some(0b010_0001));
        assert_eq!(bits.take(8), Some(0x80));
        assert_eq!(bits.take(1), None);
        assert_eq!(bits.take(0), Some(0));
    }

    #[test]
    fn a_number_below_five_takes_two_bits_or_three() {
        // AV1 specification §4.10.7: with n = 5 the values 0, 1, 2 are 00, 01, 10; 3 and 4 are
        // 110 and 111.
        let mut bits = Bits::new(&[0b0001_1011, 0b0111_0000]);
        let read: Vec<_> = (0..5).filter_map(|_| bits.below(5)).collect();
        assert_eq!(read, [0, 1, 2, 3, 4]);
        assert_eq!(Bits::new(&[0xff]).below(1), Some(0));
        assert_eq!(Bits::new(&[0xff]).below(0), None);
    }
}
