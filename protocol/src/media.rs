//! Sources, tracks and codecs: what is sent in a lesson, before any packet of it.

use crate::id::{InvalidId, MemberId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Whether a track is heard or seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Audio,
    Video,
}

/// What a member publishes (源). A member has at most one track of each source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Camera,
    Microphone,
    Screen,
    /// The sound of what is shared with [`Source::Screen`].
    ScreenAudio,
}

impl Source {
    /// All sources, in the order of the enum.
    pub const ALL: [Source; 4] =
        [Source::Camera, Source::Microphone, Source::Screen, Source::ScreenAudio];

    /// Seen or heard.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Source::Camera | Source::Screen => Kind::Video,
            Source::Microphone | Source::ScreenAudio => Kind::Audio,
        }
    }

    /// The audio source that is published together with this video source, or itself.
    #[must_use]
    pub fn audio_companion(self) -> Source {
        match self {
            Source::Camera | Source::Microphone => Source::Microphone,
            Source::Screen | Source::ScreenAudio => Source::ScreenAudio,
        }
    }

    /// The word used on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Camera => "camera",
            Source::Microphone => "microphone",
            Source::Screen => "screen",
            Source::ScreenAudio => "screen-audio",
        }
    }
}

/// The text names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a source is one of camera, microphone, screen, screen-audio")]
pub struct UnknownSource;

impl FromStr for Source {
    type Err = UnknownSource;
    fn from_str(s: &str) -> Result<Self, UnknownSource> {
        Source::ALL.into_iter().find(|x| x.as_str() == s).ok_or(UnknownSource)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A track (轨) of a lesson, named by who sends what: `li/camera`. The name stays the same
/// when a member's connection breaks and it publishes again, so viewers stay bound to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrackId {
    pub member: MemberId,
    pub source: Source,
}

impl TrackId {
    #[must_use]
    pub fn new(member: MemberId, source: Source) -> Self {
        Self { member, source }
    }

    /// Seen or heard.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.source.kind()
    }
}

/// The text is not `member/source`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTrackId {
    #[error("a track is named member/source, as in li/camera")]
    Shape,
    #[error(transparent)]
    Member(#[from] InvalidId),
    #[error(transparent)]
    Source(#[from] UnknownSource),
}

impl FromStr for TrackId {
    type Err = InvalidTrackId;
    fn from_str(s: &str) -> Result<Self, InvalidTrackId> {
        let (member, source) = s.split_once('/').ok_or(InvalidTrackId::Shape)?;
        Ok(Self { member: member.parse()?, source: source.parse()? })
    }
}

impl TryFrom<String> for TrackId {
    type Error = InvalidTrackId;
    fn try_from(s: String) -> Result<Self, InvalidTrackId> {
        s.parse()
    }
}

impl From<TrackId> for String {
    fn from(t: TrackId) -> String {
        t.to_string()
    }
}

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.member, self.source)
    }
}

/// A codec the nodes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// RFC 6184, constrained baseline, packetization-mode 1.
    H264,
    /// RFC 7741.
    Vp8,
    /// RFC 9628, profile 0.
    Vp9,
    /// The AV1 RTP payload specification of the Alliance for Open Media, main profile.
    Av1,
}

impl Codec {
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Codec::Opus => Kind::Audio,
            Codec::H264 | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => Kind::Video,
        }
    }

    /// RTP clock rate in Hz.
    #[must_use]
    pub fn clock_rate(self) -> u32 {
        match self {
            Codec::Opus => 48_000,
            Codec::H264 | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => 90_000,
        }
    }

    /// The payload type a packet of this codec has inside our nodes and on the trunk,
    /// whatever its publisher negotiated. Towards a browser it is rewritten to the
    /// number that browser offered.
    #[must_use]
    pub fn payload_type(self) -> u8 {
        match self {
            Codec::Opus => 111,
            Codec::H264 => 102,
            Codec::Vp8 => 96,
            Codec::Vp9 => 98,
            Codec::Av1 => 45,
        }
    }

    /// The encoding name as SDP's `a=rtpmap` writes it.
    #[must_use]
    pub fn encoding_name(self) -> &'static str {
        match self {
            Codec::Opus => "opus",
            Codec::H264 => "H264",
            Codec::Vp8 => "VP8",
            Codec::Vp9 => "VP9",
            Codec::Av1 => "AV1",
        }
    }
}

/// The id under which a packet inside our nodes and on the trunk carries the RFC 6464
/// audio level (one-byte header extension, RFC 8285). Other extensions are taken off
/// where a packet enters.
pub const AUDIO_LEVEL_EXTENSION: u8 = 1;

/// The id under which it carries the dependency descriptor of a layered stream (AV1 RTP payload
/// specification, appendix A), in the one- or two-byte form.
pub const DEPENDENCY_DESCRIPTOR_EXTENSION: u8 = 2;

/// The payload type of redundant audio (RFC 2198) inside our nodes. It stays within a node: a
/// trunk carries the bare codec.
pub const RED_PAYLOAD_TYPE: u8 = 63;
