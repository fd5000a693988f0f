//! A session description as it was offered (RFC 8866): its lines, taken apart but not yet
//! understood. Reads anything that is one, and never panics on what is not.

use cloudschool_protocol::media::Kind;

/// Most m-lines one connection may have: a teacher's wall of 32 classrooms, seen and heard.
pub const MAX_MEDIA_LINES: usize = 64;

/// Longest `a=mid` that is taken; browsers use a digit or two.
const MAX_MID: usize = 64;

/// Why an offer is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    #[error("the body is not a session description: {0}")]
    NotSdp(String),
    #[error("the offer can't be used: {0}")]
    Unsupported(String),
}

pub(super) fn unsupported(why: impl Into<String>) -> OfferError {
    OfferError::Unsupported(why.into())
}

/// A certificate's fingerprint (RFC 8122).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// In lower case, as `sha-256`.
    pub algorithm: String,
    pub value: String,
}

/// Which way media flows, as the offerer says it (RFC 8866 §6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    /// Whether the offerer may send.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the offerer wants to receive.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

type Attribute<'a> = (&'a str, &'a str);

fn direction_of(attributes: &[Attribute<'_>]) -> Option<Direction> {
    attributes.iter().find_map(|(key, _)| match *key {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    })
}

/// One m-line with what belongs to it.
#[derive(Debug)]
pub struct Section<'a> {
    /// `audio`, `video`, `application` …
    pub media: &'a str,
    pub port: u16,
    /// `UDP/TLS/RTP/SAVPF` …
    pub protocol: &'a str,
    pub formats: Vec<&'a str>,
    attributes: Vec<Attribute<'a>>,
}

impl<'a> Section<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split(' ').filter(|w| !w.is_empty());
        let media = words.next()?;
        let port = words.next()?.split('/').next()?.parse().ok()?;
        let protocol = words.next()?;
        Some(Self { media, port, protocol, formats: words.collect(), attributes: Vec::new() })
    }

    /// Audio or video that can be sent over SRTP; `None` for data and the unknown.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let kind = match self.media {
            "audio" => Kind::Audio,
            "video" => Kind::Video,
            _ => return None,
        };
        self.protocol.ends_with("RTP/SAVPF").then_some(kind)
    }

    /// The value of the first attribute `key`; empty for a flag.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&'a str> {
        self.values(key).next()
    }

    /// The values of all attributes `key`.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.attributes.iter().filter(move |(k, _)| *k == key).map(|(_, v)| *v)
    }

    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    #[must_use]
    pub fn mid(&self) -> Option<&'a str> {
        self.value("mid")
    }

    /// Whether the offerer offers it at all. A port of 0 says no (RFC 3264 §5.1), but for
    /// those that come into being only inside a BUNDLE group (RFC 9143 §7.2.1).
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.port != 0 || self.has("bundle-only")
    }
}

/// An offer taken apart.
#[derive(Debug)]
pub struct Description<'a> {
    session: Vec<Attribute<'a>>,
    pub sections: Vec<Section<'a>>,
}

fn attribute(line: &str) -> Attribute<'_> {
    let (key, value) = line.split_once(':').unwrap_or((line, ""));
    (key, value.trim())
}

/// The `x=` lines of a text that is, or is part of, a session description.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Option<(char, &str)>> {
    let lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
    lines.filter(|line| !line.trim().is_empty()).map(|line| {
        let mut letters = line.chars();
        let (letter, sign) = (letters.next()?, letters.next()?);
        (sign == '=' && letter.is_ascii_lowercase()).then_some((letter, letters.as_str()))
    })
}

impl<'a> Description<'a> {
    /// Takes an offer apart and refuses what no peer of ours can be.
    ///
    /// # Errors
    /// [`OfferError`].
    pub fn parse(sdp: &'a str) -> Result<Self, OfferError> {
        let broken = |what: &str| OfferError::NotSdp(what.to_owned());
        let mut lines = lines(sdp);
        if lines.next().flatten() != Some(('v', "0")) {
            return Err(broken("it does not begin with v=0"));
        }
        let mut description = Self { session: Vec::new(), sections: Vec::new() };
        for line in lines {
            match line.ok_or_else(|| broken("a line is not of the form letter=value"))? {
                ('m', value) => {
                    let section = Section::parse(value);
                    description
                        .sections
                        .push(section.ok_or_else(|| broken("an m-line is malformed"))?);
                }
                ('a', value) => {
                    let attributes = match description.sections.last_mut() {
                        Some(section) => &mut section.attributes,
                        None => &mut description.session,
                    };
                    attributes.push(attribute(value));
                }
                _ => {}
            }
        }
        description.check()?;
        Ok(description)
    }

    fn check(&self) -> Result<(), OfferError> {
        if self.sections.is_empty() {
            return Err(unsupported("it has no m-line"));
        }
        if self.sections.len() > MAX_MEDIA_LINES {
            return Err(unsupported(format!("more than {MAX_MEDIA_LINES} m-lines")));
        }
        let mut mids: Vec<&str> = self.sections.iter().filter_map(Section::mid).collect();
        if mids.iter().any(|mid| mid.is_empty() || mid.len() > MAX_MID || mid.contains(' ')) {
            return Err(unsupported("an a=mid is malformed"));
        }
        mids.sort_unstable();
        if mids.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(unsupported("two m-lines have the same a=mid"));
        }
        Ok(())
    }

    /// An attribute of the section, or else of the whole session.
    #[must_use]
    pub fn value(&self, section: &Section<'a>, key: &str) -> Option<&'a str> {
        let session = || self.session.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        section.value(key).or_else(session)
    }

    /// Whether the session, or the section, has the flag.
    #[must_use]
    pub fn has(&self, section: &Section<'a>, key: &str) -> bool {
        self.value(section, key).is_some()
    }

    #[must_use]
    pub fn direction(&self, section: &Section<'a>) -> Direction {
        let said = direction_of(&section.attributes).or_else(|| direction_of(&self.session));
        said.unwrap_or(Direction::SendRecv)
    }

    /// The certificates the peer may show.
    #[must_use]
    pub fn fingerprints(&self, section: &Section<'a>) -> Vec<Fingerprint> {
        let read = |value: &str| {
            let (algorithm, value) = value.split_once(' ')?;
            let (algorithm, value) = (algorithm.to_ascii_lowercase(), value.trim().to_owned());
            Some(Fingerprint { algorithm, value })
        };
        let own: Vec<_> = section.values("fingerprint").filter_map(read).collect();
        if !own.is_empty() {
            return own;
        }
        let session = self.session.iter().filter(|(key, _)| *key == "fingerprint");
        session.filter_map(|(_, value)| read(value)).collect()
    }

    /// The BUNDLE group with `mid`, if there is one.
    #[must_use]
    pub fn bundle_of(&self, mid: &str) -> Option<Vec<&'a str>> {
        let groups = self.session.iter().filter(|(key, _)| *key == "group");
        let mids = |value: &'a str| -> Option<Vec<&'a str>> {
            let mut words = value.split(' ').filter(|w| !w.is_empty());
            (words.next()? == "BUNDLE").then(|| words.collect())
        };
        groups.filter_map(|(_, value)| mids(value)).find(|mids| mids.contains(&mid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
        a=group:BUNDLE 0 1\r\na=fingerprint:SHA-256 AA:BB\r\na=sendonly\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=mid:0\r\na=rtcp-mux\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 96\na=mid:1\na=bundle-only\na=inactive\n\
        m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";

    #[test]
    fn sections_have_their_own_attributes_or_the_sessions() {
        let offer = Description::parse(OFFER).unwrap();
        let [audio, video, data] = &offer.sections[..] else { panic!("three m-lines") };
        assert_eq!(
            (audio.kind(), video.kind(), data.kind()),
            (Some(Kind::Audio), Some(Kind::Video), None)
        );
        assert_eq!(audio.formats, ["111", "63"]);
        assert_eq!(offer.direction(audio), Direction::SendOnly);
        assert_eq!(offer.direction(video), Direction::Inactive);
        assert_eq!(offer.fingerprints(video)[0].algorithm, "sha-256");
        assert!(audio.is_offered() && video.is_offered() && !data.is_offered());
        assert_eq!(offer.bundle_of("1").unwrap(), ["0", "1"]);
        assert!(offer.bundle_of("2").is_none());
    }

    #[test]
    fn what_is_not_an_offer_is_refused() {
        let many =
            format!("v=0\r\n{}", "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(MAX_MEDIA_LINES + 1));
        let twice = "v=0\r\nm=audio 9 X 0\r\na=mid:0\r\nm=audio 9 X 0\r\na=mid:0\r\n";
        for bad in [
            "",
            "hello",
            "v=0\r\n",
            "v=0\r\ns=-\r\nt=0 0\r\n",
            "v=1\r\nm=audio 9 X 0\r\n",
            "v=0\r\nm=audio\r\n",
            &many,
            twice,
        ] {
            assert!(Description::parse(bad).is_err(), "{bad:.60}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(v=0\r\n)?([a-z]=[ -~]{0,20}\r?\n){0,20}") {
            let _ = Description::parse(&text);
        }
    }
}
