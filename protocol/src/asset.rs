//! Assets: files that belong to a lesson, such as the page images of its slides. They are named
//! by what is in them, so that a copy anywhere is the thing itself and none ever changes.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// SHA-256 of an asset's bytes: 64 lower-case hexadecimal digits in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AssetId([u8; 32]);

/// The text is no SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an asset is named by the SHA-256 of its bytes, 64 lower-case hexadecimal digits")]
pub struct InvalidAssetId;

impl AssetId {
    /// Of a digest that was computed.
    #[must_use]
    pub fn of_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for AssetId {
    type Err = InvalidAssetId;

    fn from_str(text: &str) -> Result<Self, InvalidAssetId> {
        let digit = |b: u8| match b {
            b'0'..=b'9' => Ok(b - b'0'),
            b'a'..=b'f' => Ok(b - b'a' + 10),
            _ => Err(InvalidAssetId),
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(InvalidAssetId) };
        let bytes: Result<Vec<u8>, _> =
            pairs.iter().map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?)).collect();
        bytes?.try_into().map(Self).map_err(|_| InvalidAssetId)
    }
}

impl TryFrom<String> for AssetId {
    type Error = InvalidAssetId;

    fn try_from(text: String) -> Result<Self, InvalidAssetId> {
        text.parse()
    }
}

impl From<AssetId> for String {
    fn from(id: AssetId) -> String {
        id.to_string()
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssetId({self})")
    }
}

/// What an asset is. Anything else is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AssetKind {
    #[serde(rename = "image/webp")]
    Webp,
    #[serde(rename = "image/png")]
    Png,
    #[serde(rename = "image/jpeg")]
    Jpeg,
    #[serde(rename = "application/pdf")]
    Pdf,
    /// The text of a deck's pages, for search and for screen readers.
    #[serde(rename = "application/json")]
    Text,
}

impl AssetKind {
    /// Every kind there is.
    pub const ALL: [AssetKind; 5] = [Self::Webp, Self::Png, Self::Jpeg, Self::Pdf, Self::Text];

    /// Bytes from the beginning of an asset that [`AssetKind::sniff`] needs at most.
    pub const SNIFFED: usize = 64;

    /// What begins with `head`; `None` for what is no asset. A deck's text begins as
    /// [`DECK_TEXT`](crate::slides::DECK_TEXT) says.
    #[must_use]
    pub fn sniff(head: &[u8]) -> Option<Self> {
        match head {
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'%', b'P', b'D', b'F', b'-', ..] => Some(Self::Pdf),
            _ if head.starts_with(crate::slides::DECK_TEXT.as_bytes()) => Some(Self::Text),
            _ => None,
        }
    }

    /// The media type it is served as.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Webp => "image/webp",
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Pdf => "application/pdf",
            Self::Text => "application/json",
        }
    }

    /// How the names of its files end.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Webp => "webp",
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Pdf => "pdf",
            Self::Text => "json",
        }
    }

    /// The number that stands for it in a [`Chunk`].
    fn number(self) -> u8 {
        match self {
            Self::Webp => 1,
            Self::Png => 2,
            Self::Jpeg => 3,
            Self::Pdf => 4,
            Self::Text => 5,
        }
    }

    fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// Flow on which a trunk carries assets that someone waits for: they go before video.
pub const FLOW_NOW: u64 = crate::roq::MAX_VARINT;

/// Flow on which it carries those that will be wanted later: they go after everything else.
pub const FLOW_AHEAD: u64 = crate::roq::MAX_VARINT - 1;

/// Most bytes of an asset in one [`Chunk`]: 65 ms of a line of 1 Mbit/s.
pub const MAX_CHUNK: usize = 8 * 1024;

/// Most bytes of an asset that a node takes from another, whatever its own limits are.
pub const MAX_ASSET: u64 = 64 << 20;

/// A piece of an asset on its way over a trunk: one packet of [`FLOW_NOW`] or [`FLOW_AHEAD`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Of the [`AssetFetch`](crate::trunk::Control::AssetFetch) it answers.
    pub request: u64,
    pub kind: AssetKind,
    /// Bytes of the whole asset.
    pub total: u32,
    /// Where in the asset its bytes belong.
    pub offset: u32,
    pub data: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// Bytes before the data: request, kind, total, offset.
    const HEAD: usize = 8 + 1 + 4 + 4;

    /// The packet.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::HEAD + self.data.len());
        out.extend_from_slice(&self.request.to_be_bytes());
        out.push(self.kind.number());
        out.extend_from_slice(&self.total.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(self.data);
        out
    }

    /// What is in a packet; `None` when it is no chunk, or one that can't be a part of its asset.
    #[must_use]
    pub fn read(packet: &'a [u8]) -> Option<Self> {
        let (request, rest) = packet.split_first_chunk::<8>()?;
        let (kind, rest) = rest.split_first()?;
        let (total, rest) = rest.split_first_chunk::<4>()?;
        let (offset, data) = rest.split_first_chunk::<4>()?;
        let chunk = Self {
            request: u64::from_be_bytes(*request),
            kind: AssetKind::of_number(*kind)?,
            total: u32::from_be_bytes(*total),
            offset: u32::from_be_bytes(*offset),
            data,
        };
        let end = u64::from(chunk.offset) + data.len() as u64;
        let fits = !data.is_empty()
            && data.len() <= MAX_CHUNK
            && end <= u64::from(chunk.total)
            && u64::from(chunk.total) <= MAX_ASSET;
        fits.then_some(chunk)
    }
}

/// Why an asset does not cross a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssetRefusal {
    /// There is none such, here or above.
    Missing,
    /// The lesson takes no assets from there.
    NotAllowed,
    /// It is larger than one asset may be.
    TooLarge,
    /// It is of no kind that is taken.
    Unsupported,
    /// The lesson, or the disk, has no room for it.
    Full,
    /// A reason of a later release.
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_asset_has_one_name_and_no_path_is_one() {
        let id = AssetId::of_digest([0xa7; 32]);
        assert_eq!(id.to_string(), "a7".repeat(32));
        assert_eq!(id.to_string().parse(), Ok(id));
        let upper = "A7".repeat(32);
        let long = "a7".repeat(33);
        for bad in
            ["", "..", "../../etc/passwd", "a7", &upper, &long, &"a".repeat(63), &"课".repeat(22)]
        {
            assert!(bad.parse::<AssetId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_it_is_is_in_its_first_bytes() {
        assert_eq!(AssetKind::sniff(b"RIFF\x10\0\0\0WEBPVP8 "), Some(AssetKind::Webp));
        assert_eq!(AssetKind::sniff(b"\x89PNG\r\n\x1a\n"), Some(AssetKind::Png));
        assert_eq!(AssetKind::sniff(&[0xff, 0xd8, 0xff, 0xe0]), Some(AssetKind::Jpeg));
        assert_eq!(AssetKind::sniff(b"%PDF-1.7"), Some(AssetKind::Pdf));
        assert_eq!(
            AssetKind::sniff(br#"{"cloudschool":"deck-text/1","pages":[]}"#),
            Some(AssetKind::Text)
        );
        for other in [&b"<svg"[..], b"GIF89a", b"RIFF\x10\0\0\0WAVE", b"{\"a\":1}", b"<html>", b""]
        {
            assert_eq!(AssetKind::sniff(other), None);
        }
        for kind in AssetKind::ALL {
            assert_eq!(AssetKind::of_number(kind.number()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.media_type());
        }
    }

    #[test]
    fn a_chunk_is_read_as_it_was_written_and_never_reaches_past_its_asset() {
        let data = [7; 100];
        let chunk =
            Chunk { request: 9, kind: AssetKind::Webp, total: 300, offset: 200, data: &data };
        assert_eq!(Chunk::read(&chunk.write()), Some(chunk));
        for bad in [
            Chunk { offset: 201, ..chunk },
            Chunk { data: &[], ..chunk },
            Chunk { total: u32::MAX, ..chunk },
            Chunk { offset: u32::MAX, ..chunk },
        ] {
            assert_eq!(Chunk::read(&bad.write()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_as_a_chunk_lies_within_its_asset(packet: Vec<u8>) {
            if let Some(chunk) = Chunk::read(&packet) {
                prop_assert!(u64::from(chunk.offset) + chunk.data.len() as u64 <= u64::from(chunk.total));
            }
        }
    }
}
