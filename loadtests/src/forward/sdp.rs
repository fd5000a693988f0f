//! The session descriptions of the light peer, written and read by itself: the engine is told
//! only what ICE and DTLS need.

use super::payload::VideoCodec;
use std::fmt::Write as _;
use std::net::SocketAddr;

/// `a=extmap` names (RFC 8285).
pub mod extension {
    pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
    pub const TRANSPORT_CC: &str =
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
    pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
    pub const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
    pub const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
}

/// What a browser numbers them.
const EXTENSIONS: [(u8, &str); 5] = [
    (1, extension::AUDIO_LEVEL),
    (3, extension::TRANSPORT_CC),
    (4, extension::MID),
    (10, extension::RID),
    (11, extension::REPAIRED_RID),
];

/// Payload types of what is offered.
pub const OPUS: u8 = 111;
pub const H264: u8 = 102;
pub const VP8: u8 = 96;

/// How a side is reached and known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transport {
    pub ufrag: String,
    pub password: String,
    /// As in `sha-256 AA:BB…`.
    pub fingerprint: String,
    pub setup: String,
    pub lite: bool,
    /// Host candidates over UDP.
    pub candidates: Vec<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Audio,
    Video,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

/// A payload type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    pub payload_type: u8,
    /// As in `H264`; `rtx` for retransmissions.
    pub name: String,
    pub clock_rate: u32,
    /// The payload type it retransmits.
    pub apt: Option<u8>,
    pub parameters: String,
    pub feedback: Vec<String>,
}

/// An m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub kind: Kind,
    pub mid: String,
    pub rejected: bool,
    pub codecs: Vec<Codec>,
    pub extensions: Vec<(u8, String)>,
    /// Media SSRC and that of its retransmissions, as the sender named them.
    pub ssrcs: Vec<(u32, Option<u32>)>,
}

impl Line {
    /// The id of a header extension.
    #[must_use]
    pub fn extension(&self, uri: &str) -> Option<u8> {
        self.extensions.iter().find(|(_, u)| u == uri).map(|(id, _)| *id)
    }

    /// The first codec that is one.
    #[must_use]
    pub fn codec(&self) -> Option<&Codec> {
        self.codecs.iter().find(|c| c.apt.is_none())
    }

    /// The payload type in which `payload_type` is retransmitted.
    #[must_use]
    pub fn rtx(&self, payload_type: u8) -> Option<u8> {
        self.codecs.iter().find(|c| c.apt == Some(payload_type)).map(|c| c.payload_type)
    }

    /// Whether a kind of feedback was agreed on for the codec.
    #[must_use]
    pub fn wants(&self, feedback: &str) -> bool {
        self.codec().is_some_and(|c| c.feedback.iter().any(|f| f == feedback))
    }
}

/// A description.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    pub transport: Transport,
    pub lines: Vec<Line>,
}

/// It can't be used. The text says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server's session description can't be used: {0}")]
pub struct Unusable(&'static str);

impl Session {
    /// Reads a description, of which all lines must be bundled.
    ///
    /// # Errors
    /// [`Unusable`] when it has no ICE credentials, no fingerprint or no m-line.
    pub fn parse(sdp: &str) -> Result<Self, Unusable> {
        let mut session = Self::default();
        for line in sdp.lines() {
            let line = line.trim_end();
            if let Some(media) = line.strip_prefix("m=") {
                session.begin(media);
            } else if let Some(attribute) = line.strip_prefix("a=") {
                let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
                session.transport.read(name, value);
                if let Some(line) = session.lines.last_mut() {
                    line.read(name, value);
                }
            }
        }
        let Transport { ufrag, password, fingerprint, .. } = &session.transport;
        if ufrag.is_empty() || password.is_empty() {
            return Err(Unusable("it has no ICE credentials"));
        }
        if fingerprint.is_empty() {
            return Err(Unusable("it has no DTLS fingerprint"));
        }
        if session.lines.is_empty() {
            return Err(Unusable("it has no m-line"));
        }
        Ok(session)
    }

    fn begin(&mut self, media: &str) {
        let mut words = media.split(' ');
        let kind = match words.next() {
            Some("audio") => Kind::Audio,
            Some("video") => Kind::Video,
            _ => return,
        };
        let rejected = words.next() == Some("0");
        let types = words.skip(1).filter_map(|w| w.parse().ok());
        let codecs = types.map(|payload_type| Codec {
            payload_type,
            name: String::new(),
            clock_rate: 0,
            apt: None,
            parameters: String::new(),
            feedback: Vec::new(),
        });
        self.lines.push(Line {
            kind,
            mid: String::new(),
            rejected,
            codecs: codecs.collect(),
            extensions: Vec::new(),
            ssrcs: Vec::new(),
        });
    }
}

impl Transport {
    /// Of bundled lines the first counts.
    fn read(&mut self, name: &str, value: &str) {
        let text = match name {
            "ice-ufrag" => &mut self.ufrag,
            "ice-pwd" => &mut self.password,
            "fingerprint" => &mut self.fingerprint,
            "setup" => &mut self.setup,
            "ice-lite" => {
                self.lite = true;
                return;
            }
            "candidate" => {
                if let Some(address) = host(value)
                    && !self.candidates.contains(&address)
                {
                    self.candidates.push(address);
                }
                return;
            }
            _ => return,
        };
        if text.is_empty() {
            *text = value.to_owned();
        }
    }
}

/// The address of a host candidate of the first component over UDP (RFC 8839 §5.1).
fn host(candidate: &str) -> Option<SocketAddr> {
    let mut words = candidate.split_whitespace();
    let (_, component) = (words.next()?, words.next()?);
    let (transport, _priority) = (words.next()?, words.next()?);
    let (ip, port) = (words.next()?, words.next()?);
    let host = words.next() == Some("typ") && words.next() == Some("host");
    let fits = component == "1" && transport.eq_ignore_ascii_case("udp") && host;
    fits.then(|| Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))).flatten()
}

impl Line {
    fn read(&mut self, name: &str, value: &str) {
        let (first, rest) = value.split_once(' ').unwrap_or((value, ""));
        match name {
            "mid" => self.mid = value.to_owned(),
            "extmap" => {
                let id = first.split('/').next().unwrap_or_default();
                if let Ok(id) = id.parse() {
                    let uri = rest.split(' ').next().unwrap_or_default();
                    self.extensions.push((id, uri.to_owned()));
                }
            }
            "rtpmap" => {
                let mut parts = rest.split('/');
                let name = parts.next().unwrap_or_default().to_owned();
                let clock_rate = parts.next().and_then(|r| r.parse().ok()).unwrap_or_default();
                self.each(first, |c| (c.name, c.clock_rate) = (name.clone(), clock_rate));
            }
            "fmtp" => {
                let apt = rest.strip_prefix("apt=").and_then(|v| v.split(';').next()?.parse().ok());
                self.each(first, |c| (c.apt, c.parameters) = (apt, rest.to_owned()));
            }
            "rtcp-fb" => self.each(first, |c| c.feedback.push(rest.to_owned())),
            "ssrc" => {
                if let Ok(ssrc) = first.parse() {
                    let known = |s: &(u32, Option<u32>)| s.0 == ssrc || s.1 == Some(ssrc);
                    if !self.ssrcs.iter().any(known) {
                        self.ssrcs.push((ssrc, None));
                    }
                }
            }
            "ssrc-group" if first == "FID" => {
                let mut pair = rest.split(' ').filter_map(|s| s.parse().ok());
                if let (Some(media), Some(rtx)) = (pair.next(), pair.next()) {
                    self.ssrcs.retain(|(s, _)| *s != media && *s != rtx);
                    self.ssrcs.push((media, Some(rtx)));
                }
            }
            _ => {}
        }
    }

    fn each(&mut self, payload_type: &str, mut change: impl FnMut(&mut Codec)) {
        let wanted: Option<u8> = payload_type.parse().ok();
        for codec in &mut self.codecs {
            if payload_type == "*" || Some(codec.payload_type) == wanted {
                change(codec);
            }
        }
    }
}

/// What is offered on one line.
#[derive(Debug, Clone)]
pub enum Offered {
    /// To receive sound, or a picture of this codec.
    Receive(Kind, VideoCodec),
    /// To send sound under this SSRC.
    SendSound(u32),
    /// To send a picture: one encoding under its SSRC and that of its retransmissions.
    SendPicture(VideoCodec, u32, u32),
    /// To send several, by names (RFC 8853).
    SendLayers(VideoCodec, Vec<String>),
}

/// Writes an offer as a browser would.
#[must_use]
pub fn offer(transport: &Transport, lines: &[Offered]) -> String {
    let mut sdp = head(lines.len());
    for (mid, line) in lines.iter().enumerate() {
        let (kind, format) = match line {
            Offered::Receive(kind, format) => (*kind, *format),
            Offered::SendSound(_) => (Kind::Audio, VideoCodec::H264),
            Offered::SendPicture(format, ..) | Offered::SendLayers(format, _) => {
                (Kind::Video, *format)
            }
        };
        let types = payload_types(kind, format);
        line_head(&mut sdp, kind, &types, transport, &mid.to_string(), "actpass");
        for (id, uri) in EXTENSIONS {
            if kind == Kind::Audio || uri != extension::AUDIO_LEVEL {
                let _ = write!(sdp, "a=extmap:{id} {uri}\r\n");
            }
        }
        let way = match line {
            Offered::Receive(..) => "recvonly",
            _ => "sendonly",
        };
        let _ = write!(sdp, "a={way}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n");
        codecs(&mut sdp, kind, format);
        match line {
            Offered::Receive(..) => {}
            Offered::SendSound(ssrc) => {
                let _ = write!(sdp, "a=msid:teacher sound{mid}\r\na=ssrc:{ssrc} cname:teacher\r\n");
            }
            Offered::SendPicture(_, ssrc, rtx) => {
                let _ = write!(
                    sdp,
                    "a=msid:teacher picture{mid}\r\na=ssrc-group:FID {ssrc} {rtx}\r\n\
                     a=ssrc:{ssrc} cname:teacher\r\na=ssrc:{rtx} cname:teacher\r\n"
                );
            }
            Offered::SendLayers(_, names) => {
                let _ = write!(sdp, "a=msid:teacher picture{mid}\r\n");
                for name in names {
                    let _ = write!(sdp, "a=rid:{name} send\r\n");
                }
                let _ = write!(sdp, "a=simulcast:send {}\r\n", names.join(";"));
            }
        }
    }
    sdp
}

/// Writes the answer of someone who takes everything that `offered` has, as it is.
#[must_use]
pub fn accepting(transport: &Transport, offered: &Session) -> String {
    let mut sdp = head(0);
    let mids: Vec<&str> = offered.lines.iter().map(|l| l.mid.as_str()).collect();
    let _ = write!(sdp, "a=group:BUNDLE {}\r\n", mids.join(" "));
    for line in &offered.lines {
        let Some(codec) = line.codec() else { continue };
        let rtx = line.rtx(codec.payload_type);
        let types: Vec<u8> = std::iter::once(codec.payload_type).chain(rtx).collect();
        line_head(&mut sdp, line.kind, &types, transport, &line.mid, "active");
        for (id, uri) in &line.extensions {
            if EXTENSIONS.iter().any(|(_, known)| known == uri) {
                let _ = write!(sdp, "a=extmap:{id} {uri}\r\n");
            }
        }
        let _ = write!(sdp, "a=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\n");
        for codec in line.codecs.iter().filter(|c| types.contains(&c.payload_type)) {
            let Codec { payload_type, name, clock_rate, parameters, .. } = codec;
            let channels = if name.eq_ignore_ascii_case("opus") { "/2" } else { "" };
            let _ = write!(sdp, "a=rtpmap:{payload_type} {name}/{clock_rate}{channels}\r\n");
            if !parameters.is_empty() {
                let _ = write!(sdp, "a=fmtp:{payload_type} {parameters}\r\n");
            }
            for feedback in &codec.feedback {
                let _ = write!(sdp, "a=rtcp-fb:{payload_type} {feedback}\r\n");
            }
        }
    }
    sdp
}

fn head(lines: usize) -> String {
    let mut sdp = String::with_capacity(4096);
    let _ =
        write!(sdp, "v=0\r\no=- {} 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", rand::random::<u32>());
    if lines > 0 {
        let mids: Vec<String> = (0..lines).map(|mid| mid.to_string()).collect();
        let _ = write!(sdp, "a=group:BUNDLE {}\r\n", mids.join(" "));
    }
    sdp.push_str("a=msid-semantic: WMS\r\n");
    sdp
}

fn line_head(
    sdp: &mut String,
    kind: Kind,
    types: &[u8],
    transport: &Transport,
    mid: &str,
    setup: &str,
) {
    let types: Vec<String> = types.iter().map(u8::to_string).collect();
    let _ = write!(
        sdp,
        "m={} 9 UDP/TLS/RTP/SAVPF {}\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
         a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{}\r\na=setup:{setup}\r\na=mid:{mid}\r\n",
        kind.word(),
        types.join(" "),
        transport.ufrag,
        transport.password,
        transport.fingerprint,
    );
    candidates(sdp, transport);
}

fn candidates(sdp: &mut String, transport: &Transport) {
    for (n, at) in transport.candidates.iter().enumerate() {
        let priority = 2_122_260_223 - (n as u32) * 256;
        let (ip, port) = (at.ip(), at.port());
        let _ = write!(sdp, "a=candidate:{} 1 udp {priority} {ip} {port} typ host\r\n", n + 1);
    }
}

fn payload_types(kind: Kind, format: VideoCodec) -> Vec<u8> {
    match (kind, format) {
        (Kind::Audio, _) => vec![OPUS],
        (Kind::Video, VideoCodec::H264) => vec![H264, H264 + 1],
        (Kind::Video, VideoCodec::Vp8) => vec![VP8, VP8 + 1],
    }
}

fn codecs(sdp: &mut String, kind: Kind, format: VideoCodec) {
    let (media, name, parameters) = match (kind, format) {
        (Kind::Audio, _) => {
            let _ = write!(
                sdp,
                "a=rtpmap:{OPUS} opus/48000/2\r\na=rtcp-fb:{OPUS} transport-cc\r\n\
                 a=fmtp:{OPUS} minptime=10;useinbandfec=1\r\n"
            );
            return;
        }
        (Kind::Video, VideoCodec::H264) => {
            (H264, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
        }
        (Kind::Video, VideoCodec::Vp8) => (VP8, "VP8", ""),
    };
    let _ = write!(sdp, "a=rtpmap:{media} {name}/90000\r\n");
    for feedback in ["transport-cc", "ccm fir", "nack", "nack pli"] {
        let _ = write!(sdp, "a=rtcp-fb:{media} {feedback}\r\n");
    }
    if !parameters.is_empty() {
        let _ = write!(sdp, "a=fmtp:{media} {parameters}\r\n");
    }
    let rtx = media + 1;
    let _ = write!(sdp, "a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={media}\r\n");
}

/// For the engine: a description of `transport` with one line, named `mid`, on which sound
/// goes `way`.
#[must_use]
pub fn skeleton(transport: &Transport, mid: &str, way: &str, setup: &str) -> String {
    let mut sdp = String::with_capacity(1024);
    sdp.push_str("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
    let _ = write!(sdp, "a=group:BUNDLE {mid}\r\n");
    if transport.lite {
        sdp.push_str("a=ice-lite\r\n");
    }
    line_head(&mut sdp, Kind::Audio, &[OPUS], transport, mid, setup);
    let _ = write!(sdp, "a={way}\r\na=rtcp-mux\r\na=rtpmap:{OPUS} opus/48000/2\r\n");
    sdp
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport() -> Transport {
        Transport {
            ufrag: "abcd".into(),
            password: "a-password-of-enough-bytes".into(),
            fingerprint: "sha-256 AA:BB".into(),
            setup: "actpass".into(),
            lite: false,
            candidates: vec!["127.0.0.1:5000".parse().unwrap()],
        }
    }

    #[test]
    fn an_offer_reads_back() {
        let lines = [
            Offered::SendPicture(VideoCodec::H264, 1, 2),
            Offered::SendSound(3),
            Offered::Receive(Kind::Video, VideoCodec::Vp8),
        ];
        let session = Session::parse(&offer(&transport(), &lines)).unwrap();
        assert_eq!(session.transport, transport());
        let [picture, sound, other] = &session.lines[..] else { panic!("three lines") };
        assert_eq!((picture.kind, picture.mid.as_str()), (Kind::Video, "0"));
        assert_eq!(picture.ssrcs, [(1, Some(2))]);
        assert_eq!(picture.codec().unwrap().name, "H264");
        assert_eq!(picture.rtx(H264), Some(H264 + 1));
        assert!(picture.wants("nack pli") && picture.wants("transport-cc"));
        assert_eq!(sound.ssrcs, [(3, None)]);
        assert_eq!(sound.extension(extension::AUDIO_LEVEL), Some(1));
        assert_eq!(picture.extension(extension::AUDIO_LEVEL), None);
        assert_eq!(other.codec().unwrap().payload_type, VP8);
    }

    #[test]
    fn an_answer_takes_what_was_offered_under_the_same_numbers() {
        let offered = "v=0\r\na=group:BUNDLE v\r\na=fingerprint:sha-256 CC\r\n\
            m=video 9 UDP/TLS/RTP/SAVPF 96 97 98\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=mid:v\r\n\
            a=rtpmap:96 H264/90000\r\na=fmtp:96 profile-level-id=42e01f\r\na=rtcp-fb:96 nack\r\n\
            a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:98 VP9/90000\r\n\
            a=extmap:7 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:8 urn:other\r\n\
            a=ssrc:5 cname:x\r\na=candidate:1 1 udp 1 10.0.0.1 7000 typ host\r\n\
            a=candidate:2 1 tcp 1 10.0.0.1 7000 typ host tcptype passive\r\n";
        let offered = Session::parse(offered).unwrap();
        assert_eq!(offered.transport.candidates, [SocketAddr::from(([10, 0, 0, 1], 7000))]);
        let answer = Session::parse(&accepting(&transport(), &offered)).unwrap();
        let line = &answer.lines[0];
        let types: Vec<u8> = line.codecs.iter().map(|c| c.payload_type).collect();
        assert_eq!(types, [96, 97]);
        assert_eq!(line.extensions, [(7, extension::MID.to_owned())]);
        assert_eq!(answer.transport.setup, "active");
    }

    #[test]
    fn what_can_not_be_connected_to_is_refused() {
        for sdp in ["", "v=0\r\n", "a=ice-ufrag:a\r\na=ice-pwd:b\r\nm=audio 9 X 0\r\n"] {
            assert!(Session::parse(sdp).is_err(), "{sdp:?}");
        }
    }
}
