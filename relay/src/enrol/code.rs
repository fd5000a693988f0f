//! Enrolment codes: eight symbols, read over a telephone and typed by hand.

use aws_lc_rs::pbkdf2;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// Crockford's base 32: no letter that looks like a digit.
const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const LENGTH: usize = 8;

/// So many symbols name the code, and travel in the open: 15 bits tell the codes of a campus
/// apart. The other five, 25 bits, are never sent. To hit any one code blindly takes all 40;
/// who overheard the name has five attempts at 25 before the code is void.
pub(super) const NAME: usize = 3;

/// Stretching of the code before it is stored or used. Whoever steals the book may try
/// codes on it; each costs some tens of milliseconds, and a code lives a day.
const ROUNDS: NonZeroU32 = NonZeroU32::new(200_000).unwrap();

/// A one-time code, such as `ABCD-1234`.
#[derive(Clone, PartialEq, Eq)]
pub struct Code([u8; LENGTH]);

/// What was typed is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no enrolment code: it has eight letters and digits, as in ABCD-1234")]
pub struct BadCode(String);

/// What a code is good for: the password of the exchange.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Password(pub(super) [u8; 32]);

impl Code {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        let symbol = |byte: u8| SYMBOLS.get(usize::from(byte % 32)).copied().unwrap_or(b'0');
        Self(rand::random::<[u8; LENGTH]>().map(symbol))
    }

    /// The part that is no secret.
    #[must_use]
    pub fn name(&self) -> &str {
        self.symbols().get(..NAME).unwrap_or_default()
    }

    fn symbols(&self) -> &str {
        // Symbols are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(super) fn password(&self) -> Password {
        let mut password = [0; 32];
        let salt = b"cloudschool enrolment 1";
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt, &self.0, &mut password);
        Password(password)
    }
}

impl FromStr for Code {
    type Err = BadCode;

    /// Takes what people write: small letters, without or with other dashes, O for 0.
    fn from_str(text: &str) -> Result<Self, BadCode> {
        let bad = || BadCode(text.chars().take(40).collect());
        let mut symbols = Vec::with_capacity(LENGTH);
        for char in text.chars() {
            let symbol = match char.to_ascii_uppercase() {
                '-' | '–' | '—' | ' ' | '_' | '.' => continue,
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let symbol = u8::try_from(symbol).ok().filter(|s| SYMBOLS.contains(s));
            symbols.push(symbol.ok_or_else(bad)?);
        }
        symbols.try_into().map(Self).map_err(|_| bad())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.symbols().split_at_checked(LENGTH / 2).unwrap_or_default();
        write!(f, "{first}-{second}")
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({}…)", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_code_is_read_as_people_write_it() {
        let code: Code = "ABCD-1230".parse().unwrap();
        for written in ["abcd1230", "ABCD 123O", " abcd–i23o", "A.B.C.D.L.2.3.0"] {
            assert_eq!(written.parse::<Code>().unwrap(), code, "{written}");
        }
        assert_eq!((code.name(), code.to_string().as_str()), ("ABC", "ABCD-1230"));
        for bad in ["", "ABCD-123", "ABCD-12345", "ABCU-1234", "ABCD-123校"] {
            assert!(bad.parse::<Code>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_code_in_a_log_gives_nothing_away() {
        let code: Code = "ABCD-1234".parse().unwrap();
        assert_eq!(format!("{code:?}"), "Code(ABC…)");
    }

    proptest! {
        #[test]
        fn any_text_is_a_code_or_is_refused(text in "\\PC{0,20}") {
            if let Ok(code) = text.parse::<Code>() {
                prop_assert_eq!(code.to_string().parse::<Code>().unwrap(), code);
            }
        }

        #[test]
        fn codes_are_read_back_as_written(_ in 0..20u8) {
            let code = Code::random();
            prop_assert_eq!(code.to_string().parse::<Code>().unwrap(), code);
        }
    }
}
