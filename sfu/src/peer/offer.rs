//! What is read from an offer before the engine sees it, and from the engine's answer.

pub use super::description::{MAX_MEDIA_LINES, OfferError};
use cloudschool_protocol::media::{Codec, Kind};
use rtc::sdp::description::media::MediaDescription;
use rtc::sdp::description::session::SessionDescription;
use std::io::Cursor;

/// An answer and what it settled.
#[derive(Debug)]
pub struct Answer {
    pub sdp: String,
    /// The m-lines towards a viewer, in the order of the offer.
    pub slots: Vec<SlotLine>,
}

/// One m-line that carries media to a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotLine {
    pub mid: String,
    pub kind: Kind,
    /// Our SSRC on this line.
    pub ssrc: u32,
    /// What the viewer takes on this line, and under which payload type.
    pub codecs: Vec<(Codec, u8)>,
}

/// Parses `sdp` and refuses what no peer of ours can be.
pub fn read(sdp: &str) -> Result<SessionDescription, OfferError> {
    let parsed = SessionDescription::unmarshal(&mut Cursor::new(sdp.as_bytes()))
        .map_err(|e| OfferError::NotSdp(e.to_string()))?;
    if parsed.media_descriptions.is_empty() {
        return Err(OfferError::Unsupported("it has no m-line".into()));
    }
    if parsed.media_descriptions.len() > MAX_MEDIA_LINES {
        return Err(OfferError::Unsupported(format!("more than {MAX_MEDIA_LINES} m-lines")));
    }
    let secure = |m: &MediaDescription| m.has_attribute("fingerprint");
    if !parsed.has_attribute("fingerprint") && !parsed.media_descriptions.iter().any(secure) {
        return Err(OfferError::Unsupported("it has no DTLS fingerprint".into()));
    }
    Ok(parsed)
}

/// Whether an m-line carries audio or video; `None` for data and the unknown.
pub fn kind(media: &MediaDescription) -> Option<Kind> {
    match media.media_name.media.as_str() {
        "audio" => Some(Kind::Audio),
        "video" => Some(Kind::Video),
        _ => None,
    }
}

/// The value of an m-line's attribute.
pub fn value<'a>(media: &'a MediaDescription, key: &str) -> Option<&'a str> {
    media.attribute(key).flatten()
}

/// The codecs of an m-line that we forward, in its order, with their payload types.
pub fn codecs(media: &MediaDescription) -> Vec<(Codec, u8)> {
    let rtpmaps: Vec<&str> = media
        .attributes
        .iter()
        .filter(|a| a.key == "rtpmap")
        .filter_map(|a| a.value.as_deref())
        .collect();
    let of = |payload_type: &str| {
        let name = rtpmaps.iter().find_map(|m| m.strip_prefix(payload_type)?.strip_prefix(' '))?;
        let name = name.split('/').next()?;
        [Codec::Opus, Codec::H264, Codec::Vp8]
            .into_iter()
            .find(|c| c.encoding_name().eq_ignore_ascii_case(name))
    };
    let mut found: Vec<(Codec, u8)> = Vec::new();
    for format in &media.media_name.formats {
        let Some(codec) = of(format) else { continue };
        let Ok(payload_type) = format.parse() else { continue };
        if !found.iter().any(|(c, _)| *c == codec) {
            found.push((codec, payload_type));
        }
    }
    found
}

/// The id of the header extension `uri` on an m-line (RFC 8285).
pub fn extension_id(media: &MediaDescription, uri: &str) -> Option<u8> {
    media.attributes.iter().filter(|a| a.key == "extmap").find_map(|a| {
        let (id, rest) = a.value.as_deref()?.split_once(' ')?;
        let offered = rest.split(' ').next()?;
        (offered == uri).then(|| id.split('/').next()?.parse().ok())?
    })
}
