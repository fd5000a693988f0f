//! Bytes in messages that are text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// At most `MOST` bytes, in base 64 (RFC 4648 §4) where they are written down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blob<const MOST: usize = { usize::MAX }>(pub Vec<u8>);

impl<const MOST: usize> Serialize for Blob<MOST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de, const MOST: usize> Deserialize<'de> for Blob<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(Error::custom)?;
        if bytes.len() > MOST {
            return Err(Error::custom(format!("there may be {MOST} bytes, not {}", bytes.len())));
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_more_than_may_be_are_refused() {
        let bytes: Blob = Blob((0..=255).collect());
        let text = serde_json::to_string(&bytes).unwrap();
        assert_eq!(serde_json::from_str::<Blob>(&text).unwrap(), bytes);
        assert!(serde_json::from_str::<Blob<256>>(&text).is_ok());
        let refused = serde_json::from_str::<Blob<255>>(&text).unwrap_err().to_string();
        assert!(refused.contains("255 bytes, not 256"), "{refused}");
        assert!(serde_json::from_str::<Blob>("\"no base 64!\"").is_err());
    }
}
