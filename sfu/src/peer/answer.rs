//! Writes answers (RFC 8866, RFC 3264, RFC 9429 §5.3), and the fragments of them that go over
//! PATCH (RFC 8840). The line endings and the order within a section are what browsers write
//! themselves.

use super::description::{Description, Section};
use super::ice::Credentials;
use super::lines::{Role, Settled};
use cloudschool_protocol::media::Kind;
use std::fmt::Write as _;
use std::net::SocketAddr;

/// What all we send to a peer has in common (RFC 3550 §6.5.1): it is played in sync.
pub const CNAME: &str = "cloudschool";

/// RFC 8445 §5.1.2.2.
const HOST_PREFERENCE: u32 = 126;
/// RFC 6544 §4.2 wants TCP below UDP.
const TCP_HOST_PREFERENCE: u32 = 90;
/// RFC 6544 §4.2: of passive candidates, above the order among them.
const PASSIVE_PREFERENCE: u32 = 4 << 13;

/// What the peer is told about the way here.
pub(super) struct Way<'a> {
    pub credentials: &'a Credentials,
    pub fingerprint: &'a str,
    pub udp: &'a [SocketAddr],
    pub tcp: &'a [SocketAddr],
}

impl Way<'_> {
    fn credentials(&self, out: &mut Sdp) {
        out.line(format_args!("a=ice-ufrag:{}", self.credentials.fragment));
        out.line(format_args!("a=ice-pwd:{}", self.credentials.password));
    }

    /// All candidates (RFC 8839 §5.1, RFC 6544 §4.5), the first the most preferred.
    fn candidates(&self, out: &mut Sdp) {
        let priority = |kind: u32, local: u32| kind << 24 | local << 8 | 255;
        let mut foundation = 0;
        for (address, rank) in self.udp.iter().zip((0..=65_535).rev()) {
            foundation += 1;
            let (ip, port) = (address.ip(), address.port());
            let priority = priority(HOST_PREFERENCE, rank);
            out.line(format_args!(
                "a=candidate:{foundation} 1 udp {priority} {ip} {port} typ host"
            ));
        }
        for (address, rank) in self.tcp.iter().zip((0..=8191).rev()) {
            foundation += 1;
            let (ip, port) = (address.ip(), address.port());
            let priority = priority(TCP_HOST_PREFERENCE, PASSIVE_PREFERENCE + rank);
            out.line(format_args!(
                "a=candidate:{foundation} 1 tcp {priority} {ip} {port} typ host tcptype passive"
            ));
        }
        out.line(format_args!("a=end-of-candidates"));
    }
}

struct Sdp(String);

impl Sdp {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string can't fail.
        let _infallible = self.0.write_fmt(line);
        self.0.push_str("\r\n");
    }
}

/// A whole answer. `origin` names the session and `version` counts its answers.
pub(super) fn answer(
    role: Role,
    offer: &Description<'_>,
    settled: &[Option<Settled<'_>>],
    way: &Way<'_>,
    (origin, version): (u64, u64),
) -> String {
    let mut out = Sdp(String::with_capacity(1024 + 768 * settled.len()));
    out.line(format_args!("v=0"));
    out.line(format_args!("o=- {origin} {version} IN IP4 0.0.0.0"));
    out.line(format_args!("s=-"));
    out.line(format_args!("t=0 0"));
    out.line(format_args!("a=ice-lite"));
    let taken = offer.sections.iter().zip(settled).filter(|(_, s)| s.is_some());
    let mids: Vec<&str> = taken.filter_map(|(section, _)| section.mid()).collect();
    if let Some(first) = mids.first()
        && offer.bundle_of(first).is_some()
    {
        out.line(format_args!("a=group:BUNDLE {}", mids.join(" ")));
    }
    out.line(format_args!("a=msid-semantic:WMS *"));
    let (mut audio, mut video) = (0, 0);
    let mut told = false;
    for (section, settled) in offer.sections.iter().zip(settled) {
        // The n-th audio and the n-th video line share a stream, so that what a page binds to
        // such a pair is played in lip sync.
        let number = match section.media {
            "audio" => &mut audio,
            _ => &mut video,
        };
        match settled {
            None => reject(&mut out, section),
            Some(line) => {
                let mixed = offer.has(section, "extmap-allow-mixed");
                accept(&mut out, role, section, line, way, *number, mixed);
                if !std::mem::replace(&mut told, true) {
                    way.candidates(&mut out);
                }
            }
        }
        *number += usize::from(section.kind().is_some());
    }
    out.0
}

/// RFC 3264 §6: a line that is not taken stays, with port 0.
fn reject(out: &mut Sdp, section: &Section<'_>) {
    let formats = section.formats.join(" ");
    out.line(format_args!("m={} 0 {} {formats}", section.media, section.protocol));
    out.line(format_args!("c=IN IP4 0.0.0.0"));
    if let Some(mid) = section.mid() {
        out.line(format_args!("a=mid:{mid}"));
    }
    out.line(format_args!("a=inactive"));
}

fn accept(
    out: &mut Sdp,
    role: Role,
    section: &Section<'_>,
    settled: &Settled<'_>,
    way: &Way<'_>,
    number: usize,
    mixed: bool,
) {
    let line = &settled.line;
    let formats: Vec<String> = settled.formats.iter().map(|f| f.payload_type.to_string()).collect();
    out.line(format_args!("m={} 9 {} {}", section.media, section.protocol, formats.join(" ")));
    out.line(format_args!("c=IN IP4 0.0.0.0"));
    out.line(format_args!("a=rtcp:9 IN IP4 0.0.0.0"));
    way.credentials(out);
    out.line(format_args!("a=ice-options:trickle ice2"));
    out.line(format_args!("a=fingerprint:sha-256 {}", way.fingerprint));
    out.line(format_args!("a=setup:passive"));
    if let Some(mid) = section.mid() {
        out.line(format_args!("a=mid:{mid}"));
    }
    if mixed {
        out.line(format_args!("a=extmap-allow-mixed"));
    }
    for (id, uri) in &settled.extmap {
        out.line(format_args!("a=extmap:{id} {uri}"));
    }
    let direction = match (settled.active, role) {
        (false, _) => "inactive",
        (true, Role::Publisher) => "recvonly",
        (true, Role::Viewer) => "sendonly",
    };
    out.line(format_args!("a={direction}"));
    out.line(format_args!("a=rtcp-mux"));
    if line.feedback.reduced_size {
        out.line(format_args!("a=rtcp-rsize"));
    }
    for format in &settled.formats {
        let payload_type = format.payload_type;
        out.line(format_args!("a=rtpmap:{payload_type} {}", format.rtpmap));
        for feedback in &format.feedback {
            out.line(format_args!("a=rtcp-fb:{payload_type} {feedback}"));
        }
        if let Some(fmtp) = &format.fmtp {
            out.line(format_args!("a=fmtp:{payload_type} {fmtp}"));
        }
    }
    for rid in &line.rids {
        out.line(format_args!("a=rid:{rid} recv"));
    }
    if line.rids.len() > 1 {
        out.line(format_args!("a=simulcast:recv {}", line.rids.join(";")));
    }
    if role == Role::Viewer {
        sources(out, settled, number);
    }
}

/// What is sent to a viewer (RFC 5576, RFC 8830).
fn sources(out: &mut Sdp, settled: &Settled<'_>, number: usize) {
    let line = &settled.line;
    let name = match line.kind {
        Kind::Audio => "audio",
        Kind::Video => "video",
    };
    let msid = format!("slot-{number} {name}-{number}");
    out.line(format_args!("a=msid:{msid}"));
    let mut ssrcs = vec![line.ssrc];
    if line.codecs.iter().any(|c| c.rtx.is_some()) {
        ssrcs.push(line.rtx_ssrc);
        out.line(format_args!("a=ssrc-group:FID {} {}", line.ssrc, line.rtx_ssrc));
    }
    for ssrc in ssrcs {
        out.line(format_args!("a=ssrc:{ssrc} cname:{CNAME}"));
        out.line(format_args!("a=ssrc:{ssrc} msid:{msid}"));
    }
}

/// What answers a restart by PATCH (RFC 9725 §4.3.3): the new credentials and all candidates,
/// for the lines with these mids.
pub(super) fn restart_fragment(mids: &[(Kind, String)], way: &Way<'_>) -> String {
    let mut out = Sdp(String::with_capacity(1024));
    out.line(format_args!("a=ice-lite"));
    out.line(format_args!("a=ice-options:trickle ice2"));
    if mids.len() > 1 {
        let names: Vec<&str> = mids.iter().map(|(_, mid)| mid.as_str()).collect();
        out.line(format_args!("a=group:BUNDLE {}", names.join(" ")));
    }
    if let Some((kind, mid)) = mids.first() {
        let media = match kind {
            Kind::Audio => "audio",
            Kind::Video => "video",
        };
        out.line(format_args!("m={media} 9 UDP/TLS/RTP/SAVPF 0"));
        out.line(format_args!("a=mid:{mid}"));
    }
    way.credentials(&mut out);
    way.candidates(&mut out);
    out.0
}
