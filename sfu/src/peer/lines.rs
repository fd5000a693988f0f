//! What is settled for each m-line of an offer: codecs, feedback, header extensions,
//! encodings and SSRCs. Everything a line may carry is chosen here from what the peer offered,
//! under the numbers it offered; the text of it is written by [`super::answer`].

use super::description::{Description, OfferError, Section, unsupported};
use cloudschool_protocol::media::{Codec, Kind};

/// Most simulcast encodings of one source.
pub const MAX_ENCODINGS: usize = 3;
/// Most SSRCs read from one line of an offer.
const MAX_SSRCS: usize = 8;
/// Longest `a=rid` (RFC 8851 §4 has no bound; the header extension has 16 bytes).
const MAX_RID: usize = 16;

const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const TRANSPORT_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const DEPENDENCY_DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";

/// What a peer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sends its first audio and its first video line.
    Publisher,
    /// It receives on any number of lines.
    Viewer,
}

/// A codec of a line and the payload types around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineCodec {
    pub codec: Codec,
    pub payload_type: u8,
    /// Retransmissions of it (RFC 4588).
    pub rtx: Option<u8>,
    /// Redundant audio with it (RFC 2198).
    pub red: Option<u8>,
}

/// The ids of header extensions (RFC 8285) that both sides know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions {
    /// RFC 6464.
    pub audio_level: Option<u8>,
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01.
    pub transport_cc: Option<u8>,
    /// AV1 RTP payload specification, appendix A.
    pub dependency_descriptor: Option<u8>,
    /// RFC 9143. Publishers only, like the next two.
    pub mid: Option<u8>,
    /// RFC 8852.
    pub rid: Option<u8>,
    /// RFC 8852, on retransmissions.
    pub repaired_rid: Option<u8>,
}

/// RTCP feedback both sides know (RFC 4585).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Feedback {
    pub nack: bool,
    /// `nack pli`.
    pub pli: bool,
    /// `ccm fir` (RFC 5104).
    pub fir: bool,
    pub transport_cc: bool,
    /// Compound packets may begin with anything (RFC 5506).
    pub reduced_size: bool,
}

/// One m-line that carries media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub mid: String,
    pub kind: Kind,
    /// Most wanted first.
    pub codecs: Vec<LineCodec>,
    pub extensions: Extensions,
    pub feedback: Feedback,
    /// What the peer sends as simulcast, in the order it said; empty for one encoding
    /// without a name.
    pub rids: Vec<String>,
    /// The SSRCs the peer says it sends with, each with that of its retransmissions.
    /// Browsers that send simulcast by `rids` say none.
    pub remote_ssrcs: Vec<(u32, Option<u32>)>,
    /// Ours towards a viewer.
    pub ssrc: u32,
    /// Ours of retransmissions, where a codec has `rtx`.
    pub rtx_ssrc: u32,
}

/// A payload type as the answer describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Format<'a> {
    pub payload_type: u8,
    pub rtpmap: &'a str,
    pub fmtp: Option<String>,
    pub feedback: Vec<&'static str>,
}

/// A line with all that the answer says of it.
#[derive(Debug)]
pub(super) struct Settled<'a> {
    pub line: Line,
    pub formats: Vec<Format<'a>>,
    /// Id and name.
    pub extmap: Vec<(u8, &'static str)>,
    /// Set where media flows, which is then the way `Role` says.
    pub active: bool,
}

const VIDEO_FEEDBACK: &[&str] = &["nack", "nack pli", "ccm fir", "transport-cc"];
const AUDIO_FEEDBACK: &[&str] = &["nack", "transport-cc"];

/// One of a section's payload types, as offered.
#[derive(Debug, Clone, Copy)]
struct Offered<'a> {
    payload_type: u8,
    rtpmap: &'a str,
    fmtp: Option<&'a str>,
}

impl<'a> Offered<'a> {
    fn all(section: &Section<'a>) -> Vec<Self> {
        let of = |key: &str, payload_type: &str| {
            section.values(key).find_map(|v| {
                let (number, rest) = v.split_once(' ')?;
                (number == payload_type).then(|| rest.trim())
            })
        };
        let read = |format: &&'a str| {
            let payload_type = format.parse().ok().filter(|pt| *pt < 128)?;
            Some(Self { payload_type, rtpmap: of("rtpmap", format)?, fmtp: of("fmtp", format) })
        };
        section.formats.iter().filter_map(read).collect()
    }

    fn name(&self) -> &'a str {
        self.rtpmap.split('/').next().unwrap_or_default()
    }

    /// A parameter of the fmtp line.
    fn parameter(&self, key: &str) -> Option<&'a str> {
        self.fmtp?.split(';').find_map(|p| {
            let (k, v) = p.trim().split_once('=')?;
            k.trim().eq_ignore_ascii_case(key).then(|| v.trim())
        })
    }

    /// The codec it is, when it is one that is forwarded in the form that is forwarded; and
    /// how well it fits, 0 best, among several forms of the same codec.
    fn codec(&self) -> Option<(Codec, u8)> {
        const KNOWN: [Codec; 5] = [Codec::Opus, Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1];
        let codec =
            KNOWN.into_iter().find(|c| c.encoding_name().eq_ignore_ascii_case(self.name()))?;
        let clock = self.rtpmap.split('/').nth(1).and_then(|c| c.parse().ok());
        if clock != Some(codec.clock_rate()) {
            return None;
        }
        let fit = match codec {
            Codec::H264 => {
                h264_fit(self.parameter("profile-level-id"), self.parameter("packetization-mode"))
            }
            Codec::Vp9 if self.parameter("profile-id").is_some_and(|p| p != "0") => return None,
            Codec::Av1 if self.parameter("profile").is_some_and(|p| p != "0") => return None,
            _ => 0,
        };
        Some((codec, fit))
    }
}

/// How well a form of H.264 fits (RFC 6184 §8.1): constrained baseline, which everything here
/// and every TV decodes, before baseline, before the others; fragmentation before none.
fn h264_fit(profile: Option<&str>, mode: Option<&str>) -> u8 {
    // Without the parameter it is baseline at level 1 (RFC 6184 §8.1).
    let profile = profile.and_then(|p| u32::from_str_radix(p, 16).ok()).unwrap_or(0x42_00_0a);
    let (idc, constraints) = (profile >> 16 & 0xff, profile >> 8 & 0xff);
    let by_profile = match (idc, constraints & 0x40 != 0) {
        (0x42, true) => 0,
        (0x42, false) => 1,
        (0x4d, _) => 2,
        _ => 3,
    };
    by_profile + if mode == Some("1") { 0 } else { 4 }
}

/// Where a codec stands in the answer to a publisher, which sends what stands first: what the
/// archive and TV take as it is, then what the archive transcodes, then what it can't keep, in
/// which the publisher's own order counts.
fn archive_rank(codec: Codec) -> u8 {
    match codec {
        Codec::Opus | Codec::H264 => 0,
        Codec::Vp8 => 1,
        Codec::Vp9 | Codec::Av1 => 2,
    }
}

fn choose_codecs(role: Role, offered: &[Offered<'_>], kind: Kind) -> Vec<LineCodec> {
    let mut best: Vec<(Codec, u8, u8)> = Vec::new();
    for format in offered {
        let Some((codec, fit)) = format.codec().filter(|(c, _)| c.kind() == kind) else { continue };
        match best.iter_mut().find(|(c, _, _)| *c == codec) {
            Some(known) if fit < known.1 => *known = (codec, fit, format.payload_type),
            Some(_) => {}
            None => best.push((codec, fit, format.payload_type)),
        }
    }
    if role == Role::Publisher {
        best.sort_by_key(|(codec, _, _)| archive_rank(*codec));
    }
    let repair = |payload_type: u8| {
        let number = payload_type.to_string();
        let rtx = |f: &&Offered<'_>| {
            f.name().eq_ignore_ascii_case("rtx") && f.parameter("apt") == Some(&number)
        };
        offered.iter().find(rtx).map(|f| f.payload_type)
    };
    let redundancy = |payload_type: u8| {
        let number = payload_type.to_string();
        let of_it = |f: &&Offered<'_>| {
            let all = |fmtp: &str| fmtp.split('/').all(|p| p.trim() == number);
            f.name().eq_ignore_ascii_case("red") && f.fmtp.is_some_and(all)
        };
        offered.iter().find(of_it).map(|f| f.payload_type).filter(|_| kind == Kind::Audio)
    };
    let line = |(codec, _, payload_type)| LineCodec {
        codec,
        payload_type,
        rtx: repair(payload_type),
        red: redundancy(payload_type),
    };
    best.into_iter().map(line).collect()
}

/// The fmtp line of the answer. Towards a publisher it asks Opus for what repairs a lost
/// packet (in-band FEC) and for silence that costs nothing (DTX), RFC 7587 §6.1; both are for
/// the sender to do or leave.
fn settled_fmtp(role: Role, codec: Option<Codec>, offered: &Offered<'_>) -> Option<String> {
    if (role, codec) != (Role::Publisher, Some(Codec::Opus)) {
        return offered.fmtp.map(str::to_owned);
    }
    let own = ["useinbandfec", "usedtx", "stereo"];
    let theirs = offered.fmtp.unwrap_or_default().split(';').map(str::trim);
    let mut parameters: Vec<&str> = theirs
        .filter(|p| !p.is_empty() && !own.contains(&p.split('=').next().unwrap_or_default()))
        .collect();
    parameters.extend(["useinbandfec=1", "usedtx=1"]);
    let stereo = |key| offered.parameter(key) == Some("1");
    if stereo("sprop-stereo") || stereo("stereo") {
        parameters.push("stereo=1");
    }
    Some(parameters.join(";"))
}

fn settle_formats<'a>(
    role: Role,
    section: &Section<'a>,
    offered: &[Offered<'a>],
    codecs: &[LineCodec],
    kind: Kind,
) -> Vec<Format<'a>> {
    let known = match kind {
        Kind::Audio => AUDIO_FEEDBACK,
        Kind::Video => VIDEO_FEEDBACK,
    };
    let feedback = |payload_type: u8| -> Vec<&'static str> {
        let number = payload_type.to_string();
        let has = |what: &&&'static str| {
            section.values("rtcp-fb").filter_map(|v| v.split_once(' ')).any(|(pt, fb)| {
                (pt == "*" || pt == number) && fb.split_ascii_whitespace().eq(what.split(' '))
            })
        };
        known.iter().filter(has).copied().collect()
    };
    // Redundant audio stands where the peer put it, for what stands first is what is sent.
    let mut order: Vec<(u8, Option<Codec>)> = Vec::new();
    let place = |pt: u8| offered.iter().position(|f| f.payload_type == pt);
    for codec in codecs {
        let own = (codec.payload_type, Some(codec.codec));
        match codec.red {
            Some(red) if place(red) < place(codec.payload_type) => order.extend([(red, None), own]),
            Some(red) => order.extend([own, (red, None)]),
            None => order.push(own),
        }
    }
    order.extend(codecs.iter().filter_map(|c| Some((c.rtx?, None))));
    order
        .into_iter()
        .filter_map(|(payload_type, codec)| {
            let format = offered.iter().find(|f| f.payload_type == payload_type)?;
            Some(Format {
                payload_type,
                rtpmap: format.rtpmap,
                fmtp: settled_fmtp(role, codec, format),
                feedback: if codec.is_some() { feedback(payload_type) } else { Vec::new() },
            })
        })
        .collect()
}

fn settle_extensions(
    role: Role,
    kind: Kind,
    section: &Section<'_>,
    mixed: bool,
) -> (Extensions, Vec<(u8, &'static str)>) {
    let mut extensions = Extensions::default();
    let mut extmap: Vec<(u8, &'static str)> = Vec::new();
    for offered in section.values("extmap") {
        let mut words = offered.split_ascii_whitespace();
        let id = words.next().and_then(|id| id.split('/').next()?.parse().ok());
        let (Some(id), Some(uri)) = (id, words.next()) else { continue };
        // Ids over 14 take the two-byte form, which must be agreed on (RFC 8285 §4.1.2, §6).
        if id == 0 || id == 15 || (id > 14 && !mixed) || extmap.iter().any(|(i, _)| *i == id) {
            continue;
        }
        let video = kind == Kind::Video;
        let publisher = role == Role::Publisher;
        let (place, name) = match uri {
            AUDIO_LEVEL if !video => (&mut extensions.audio_level, AUDIO_LEVEL),
            TRANSPORT_CC => (&mut extensions.transport_cc, TRANSPORT_CC),
            DEPENDENCY_DESCRIPTOR if video => {
                (&mut extensions.dependency_descriptor, DEPENDENCY_DESCRIPTOR)
            }
            MID if publisher => (&mut extensions.mid, MID),
            RID if publisher && video => (&mut extensions.rid, RID),
            REPAIRED_RID if publisher && video => (&mut extensions.repaired_rid, REPAIRED_RID),
            _ => continue,
        };
        if place.replace(id).is_none() {
            extmap.push((id, name));
        }
    }
    (extensions, extmap)
}

/// The encodings the peer sends (RFC 8853): the first alternative of each, paused or not.
fn rids(section: &Section<'_>) -> Vec<String> {
    let valid = |rid: &&str| {
        let letters = rid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        letters && !rid.is_empty() && rid.len() <= MAX_RID
    };
    let sent: Vec<&str> = section
        .values("rid")
        .filter_map(|v| {
            let mut words = v.split_ascii_whitespace();
            let rid = words.next()?;
            (words.next()? == "send").then_some(rid)
        })
        .filter(valid)
        .collect();
    let mut words = section.value("simulcast").unwrap_or_default().split_ascii_whitespace();
    let listed: Vec<&str> = loop {
        match (words.next(), words.next()) {
            (Some("send"), Some(list)) => {
                let streams = list.split(';').filter_map(|s| s.split(',').next());
                break streams.map(|s| s.trim_start_matches('~')).collect();
            }
            (Some(_), Some(_)) => {}
            _ => break sent.clone(),
        }
    };
    let mut rids: Vec<String> = Vec::new();
    for rid in listed.into_iter().filter(|r| sent.contains(r)) {
        if rids.len() < MAX_ENCODINGS && !rids.iter().any(|r| r == rid) {
            rids.push(rid.to_owned());
        }
    }
    rids
}

/// The SSRCs the peer announces (RFC 5576): simulcast ones in their order, each with the one
/// of its retransmissions.
fn remote_ssrcs(section: &Section<'_>) -> Vec<(u32, Option<u32>)> {
    let groups: Vec<(&str, Vec<u32>)> = section
        .values("ssrc-group")
        .filter_map(|v| {
            let mut words = v.split_ascii_whitespace();
            Some((words.next()?, words.filter_map(|s| s.parse().ok()).take(MAX_SSRCS).collect()))
        })
        .take(MAX_SSRCS)
        .collect();
    let named = section.values("ssrc").filter_map(|v| v.split(' ').next()?.parse::<u32>().ok());
    let simulcast = groups.iter().filter(|(what, _)| *what == "SIM").flat_map(|(_, s)| s.clone());
    let secondary = |ssrc: &u32| {
        groups.iter().any(|(what, s)| *what != "SIM" && s.iter().skip(1).any(|o| o == ssrc))
    };
    let mut found: Vec<(u32, Option<u32>)> = Vec::new();
    for ssrc in simulcast.chain(named).filter(|s| !secondary(s)) {
        if found.len() < MAX_SSRCS && !found.iter().any(|(s, _)| *s == ssrc) {
            let of_it = |(what, s): &&(&str, Vec<u32>)| *what == "FID" && s.first() == Some(&ssrc);
            found.push((ssrc, groups.iter().find(of_it).and_then(|(_, s)| s.get(1).copied())));
        }
    }
    found
}

/// What the sections of an offer come to: `None` for those that are rejected. `ssrcs` gives a
/// line towards a viewer its own, and that of its retransmissions.
pub(super) fn settle<'a>(
    role: Role,
    offer: &Description<'a>,
    mut ssrcs: impl FnMut(&str, Kind) -> (u32, u32),
) -> Result<Vec<Option<Settled<'a>>>, OfferError> {
    let mut taken: Vec<Kind> = Vec::new();
    let mut bundle: Option<Vec<&str>> = None;
    let mut settled: Vec<Option<Settled<'a>>> = Vec::new();
    for (at, section) in offer.sections.iter().enumerate() {
        let kind = section.kind().filter(|_| section.is_offered());
        let surplus = |kind: &Kind| role == Role::Publisher && taken.contains(kind);
        let Some(kind) = kind.filter(|k| !surplus(k)) else {
            settled.push(None);
            continue;
        };
        let offered = Offered::all(section);
        let codecs = choose_codecs(role, &offered, kind);
        if codecs.is_empty() {
            settled.push(None);
            continue;
        }
        if !section.has("rtcp-mux") {
            return Err(unsupported("it has an m-line without a=rtcp-mux"));
        }
        let mid = section.mid().map_or_else(|| at.to_string(), str::to_owned);
        let together = bundle.as_ref().is_some_and(|group| group.contains(&mid.as_str()));
        if !taken.is_empty() && !together {
            return Err(unsupported("its m-lines are not all in one BUNDLE group"));
        }
        if taken.is_empty() {
            bundle = offer.bundle_of(&mid);
        }
        taken.push(kind);
        let direction = offer.direction(section);
        let active = match role {
            Role::Publisher => direction.sends(),
            Role::Viewer => direction.receives(),
        };
        let mut formats = settle_formats(role, section, &offered, &codecs, kind);
        let mixed = offer.has(section, "extmap-allow-mixed");
        let (mut extensions, mut extmap) = settle_extensions(role, kind, section, mixed);
        let any = |what| formats.iter().any(|f| f.feedback.contains(&what));
        // Each is of no use without the other.
        if !any("transport-cc") {
            extensions.transport_cc = None;
            extmap.retain(|(_, uri)| *uri != TRANSPORT_CC);
        } else if extensions.transport_cc.is_none() {
            formats.iter_mut().for_each(|f| f.feedback.retain(|what| *what != "transport-cc"));
        }
        let any = |what| formats.iter().any(|f| f.feedback.contains(&what));
        let feedback = Feedback {
            nack: any("nack"),
            pli: any("nack pli"),
            fir: any("ccm fir"),
            transport_cc: any("transport-cc"),
            reduced_size: section.has("rtcp-rsize"),
        };
        let (ssrc, rtx_ssrc) = match role {
            Role::Publisher => (0, 0),
            Role::Viewer => ssrcs(&mid, kind),
        };
        let sends = role == Role::Publisher;
        let line = Line {
            rids: if sends && kind == Kind::Video { rids(section) } else { Vec::new() },
            remote_ssrcs: if sends { remote_ssrcs(section) } else { Vec::new() },
            mid,
            kind,
            codecs,
            extensions,
            feedback,
            ssrc,
            rtx_ssrc,
        };
        settled.push(Some(Settled { line, formats, extmap, active }));
    }
    Ok(settled)
}
