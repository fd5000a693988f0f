//! The code people come into a lesson by: eight digits, read out or shown on a screen, typed on
//! any keyboard. It names one lesson at the nodes that have it, for as long as that is open.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How many codes there are.
pub const CODES: u32 = 100_000_000;

/// Eight digits: `8362 7419`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JoinCode(u32);

/// The text is not eight digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a lesson's code has eight digits")]
pub struct InvalidJoinCode;

impl JoinCode {
    /// The code that `random` stands for, each as likely as any other when its bits are.
    #[must_use]
    pub fn from_random(random: u64) -> Self {
        Self((random % u64::from(CODES)) as u32)
    }
}

/// Reads what people write: blanks and hyphens between the digits, and digits as Chinese input
/// methods give them (full-width).
impl FromStr for JoinCode {
    type Err = InvalidJoinCode;
    fn from_str(text: &str) -> Result<Self, InvalidJoinCode> {
        let mut digits = 0_u32;
        let mut code = 0_u32;
        for c in text.chars() {
            let digit = match c {
                '0'..='9' => u32::from(c) - u32::from('0'),
                '０'..='９' => u32::from(c) - u32::from('０'),
                ' ' | '-' | '\u{3000}' | '\u{a0}' => continue,
                _ => return Err(InvalidJoinCode),
            };
            digits += 1;
            if digits > 8 {
                return Err(InvalidJoinCode);
            }
            code = code * 10 + digit;
        }
        if digits == 8 { Ok(Self(code)) } else { Err(InvalidJoinCode) }
    }
}

impl TryFrom<String> for JoinCode {
    type Error = InvalidJoinCode;
    fn try_from(text: String) -> Result<Self, InvalidJoinCode> {
        text.parse()
    }
}

impl From<JoinCode> for String {
    fn from(code: JoinCode) -> String {
        code.to_string()
    }
}

impl fmt::Display for JoinCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_write_it() {
        let code: JoinCode = "8362 7419".parse().unwrap();
        assert_eq!(code.to_string(), "83627419");
        for same in ["83627419", "8362-7419", "８３６２７４１９", " 8362\u{3000}7419 "] {
            assert_eq!(same.parse(), Ok(code), "{same}");
        }
        assert_eq!("0000 0007".parse::<JoinCode>().unwrap().to_string(), "00000007");
        for bad in ["", "8362741", "836274190", "8362741x", "٨٣٦٢٧٤١٩"] {
            assert_eq!(bad.parse::<JoinCode>(), Err(InvalidJoinCode), "{bad}");
        }
        assert_eq!(serde_json::to_string(&code).unwrap(), "\"83627419\"");
        assert!(serde_json::from_str::<JoinCode>("83627419").is_err());
    }
}
