//! The receiving side of one publishing peer: opens its packets in place, tells its streams
//! apart (lines, simulcast encodings, retransmissions), and writes the feedback it needs:
//! arrivals for its congestion control, requests for what was lost, receiver reports.
//!
//! It never looks into a payload and never keeps one; what a packet means for viewers is the
//! track's business.

mod arrivals;
mod missing;
mod reception;

use super::batch::Clock;
use crate::peer::{Extensions, Line, LineCodec, MAX_ENCODINGS};
use arrivals::Arrivals;
use cloudschool_protocol::media::{Codec, Kind};
use cloudschool_protocol::rtcp::{self, Nack, Rtcp, Writer};
use cloudschool_protocol::rtp::{self, Header};
use cloudschool_srtp::Opener;
use missing::Missing;
use reception::Reception;
use std::time::{Duration, Instant};

/// Streams one peer may send: two kinds, three encodings each and their repairs, and room for
/// sources that are being replaced.
const MAX_STREAMS: usize = 16;

/// A source that takes another's place is let in when that has been silent for this long.
const SOURCE_CHANGE: Duration = Duration::from_secs(2);

/// Receiver reports (RFC 3550 §6.2 for sessions of two).
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What a packet of a publisher's is.
#[derive(Debug)]
pub struct Received<'a> {
    pub kind: Kind,
    /// Which of its track's encodings, in the order offered.
    pub encoding: u8,
    pub codec: Codec,
    /// The payload is RFC 2198 redundancy around the codec's.
    pub red: bool,
    /// As the media stream has it: of a repaired packet, what was lost.
    pub header: Header,
    pub payload: &'a [u8],
    /// The RFC 6464 byte.
    pub level: Option<u8>,
    pub dependency_descriptor: Option<&'a [u8]>,
}

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    line: usize,
    encoding: u8,
    /// Carries retransmissions (RFC 4588) of its encoding's media stream.
    repairs: bool,
    heard: Instant,
    reception: Reception,
    missing: Missing,
}

/// What the header extensions of a packet say.
#[derive(Debug, Default, Clone, Copy)]
struct Said<'a> {
    transport: Option<u16>,
    level: Option<u8>,
    mid: Option<&'a [u8]>,
    rid: Option<&'a [u8]>,
    repaired_rid: Option<&'a [u8]>,
    dependency_descriptor: Option<&'a [u8]>,
}

impl<'a> Said<'a> {
    fn read(ids: &Extensions, packet: &'a [u8]) -> Self {
        let mut said = Self::default();
        for (id, value) in rtp::elements(packet) {
            let id = Some(id);
            if id == ids.transport_cc {
                said.transport = value.first_chunk().map(|b| u16::from_be_bytes(*b));
            } else if id == ids.audio_level {
                said.level = value.first().copied();
            } else if id == ids.dependency_descriptor {
                said.dependency_descriptor = Some(value);
            } else if id == ids.mid {
                said.mid = Some(value);
            } else if id == ids.rid {
                said.rid = Some(value);
            } else if id == ids.repaired_rid {
                said.repaired_rid = Some(value);
            }
        }
        said
    }
}

/// The receiving side of a peer.
pub struct Ingress {
    opener: Opener,
    lines: Vec<Line>,
    extensions: Extensions,
    streams: Vec<Stream>,
    /// Stream of the packet before: most packets follow one of their own.
    latest: usize,
    arrivals: Arrivals,
    /// Ours, in feedback.
    ssrc: u32,
    begun: Instant,
    next_report: Instant,
    asked: Vec<u16>,
}

impl Ingress {
    /// The receiving side of a peer whose offer settled `lines`.
    #[must_use]
    pub fn new(opener: Opener, lines: Vec<Line>, now: Instant) -> Self {
        let mut ingress = Self {
            opener,
            lines: Vec::new(),
            extensions: Extensions::default(),
            streams: Vec::new(),
            latest: 0,
            arrivals: Arrivals::new(now),
            ssrc: rand::random(),
            begun: now,
            next_report: now + REPORT_INTERVAL,
            asked: Vec::new(),
        };
        ingress.set_lines(lines);
        ingress
    }

    /// The lines of the peer's first offer, or of a later one.
    pub fn set_lines(&mut self, lines: Vec<Line>) {
        // With one transport for all lines, an id means the same on each (RFC 8843 §9).
        let mut all = Extensions::default();
        for ids in lines.iter().map(|l| l.extensions) {
            all = Extensions {
                audio_level: all.audio_level.or(ids.audio_level),
                transport_cc: all.transport_cc.or(ids.transport_cc),
                dependency_descriptor: all.dependency_descriptor.or(ids.dependency_descriptor),
                mid: all.mid.or(ids.mid),
                rid: all.rid.or(ids.rid),
                repaired_rid: all.repaired_rid.or(ids.repaired_rid),
            };
        }
        self.extensions = all;
        self.lines = lines;
    }

    /// Takes an SRTP packet. `None` when it can't be opened, belongs to nothing offered, is a
    /// duplicate, or speaks only of the line itself.
    pub fn receive<'a>(&mut self, datagram: &'a mut [u8], now: Instant) -> Option<Received<'a>> {
        let len = self.opener.open(datagram).ok()?;
        let packet: &'a [u8] = datagram.get(..len)?;
        let mut header = Header::parse(packet)?;
        let said = Said::read(&self.extensions, packet);
        if let Some(sequence) = said.transport {
            self.arrivals.arrived(sequence, now);
        }
        let at = self.stream(&header, &said, now)?;
        let stream = self.streams.get_mut(at)?;
        let line = self.lines.get(stream.line)?;
        stream.heard = now;
        let (kind, encoding, repairs) = (line.kind, stream.encoding, stream.repairs);
        let clock_rate = line.codecs.first().map_or(90_000, |c| c.codec.clock_rate());
        let elapsed = (now - self.begun).as_secs_f64() * f64::from(clock_rate);
        let number = stream.reception.extend(header.sequence);
        stream.reception.arrived(number, header.timestamp, elapsed);
        let mut payload = header.payload(packet);
        let (codec, red) = if repairs {
            let (original, rest) = payload.split_first_chunk::<2>()?;
            let codec = line.codecs.iter().find(|c| c.rtx == Some(header.payload_type))?;
            payload = rest;
            header.sequence = u16::from_be_bytes(*original);
            header.payload_type = codec.payload_type;
            let codec = codec.codec;
            self.repaired(at, &mut header, now)?;
            (codec, false)
        } else {
            if kind == Kind::Video {
                stream.missing.arrived(number, now);
            }
            codec_of(&line.codecs, header.payload_type)?
        };
        Some(Received {
            kind,
            encoding,
            codec,
            red,
            header,
            payload,
            level: said.level,
            dependency_descriptor: said.dependency_descriptor,
        })
    }

    /// A lost packet came in the repair stream at `at`: puts it back where it belongs.
    fn repaired(&mut self, at: usize, header: &mut Header, now: Instant) -> Option<()> {
        let repair = self.streams.get(at)?;
        let (line, encoding) = (repair.line, repair.encoding);
        let of = |s: &&mut Stream| s.line == line && s.encoding == encoding && !s.repairs;
        let media = self.streams.iter_mut().find(of)?;
        let number = media.reception.extend(header.sequence);
        media.missing.arrived(number, now);
        header.ssrc = media.ssrc;
        Some(())
    }

    /// The place of the packet's stream, a new one if it is one.
    fn stream(&mut self, header: &Header, said: &Said<'_>, now: Instant) -> Option<usize> {
        if self.streams.get(self.latest).is_some_and(|s| s.ssrc == header.ssrc) {
            return Some(self.latest);
        }
        let known = self.streams.iter().position(|s| s.ssrc == header.ssrc);
        let at = match known {
            Some(at) => at,
            None => self.begin(header, said, now)?,
        };
        self.latest = at;
        Some(at)
    }

    fn begin(&mut self, header: &Header, said: &Said<'_>, now: Instant) -> Option<usize> {
        let (line, encoding, repairs) = self.identify(header, said)?;
        let stream = Stream {
            ssrc: header.ssrc,
            line,
            encoding,
            repairs,
            heard: now,
            reception: Reception::default(),
            missing: Missing::default(),
        };
        let same = |s: &Stream| (s.line, s.encoding, s.repairs) == (line, encoding, repairs);
        if let Some(at) = self.streams.iter().position(same) {
            let before = self.streams.get_mut(at)?;
            if now - before.heard < SOURCE_CHANGE {
                return None;
            }
            *before = stream;
            return Some(at);
        }
        if self.streams.len() >= MAX_STREAMS {
            return None;
        }
        self.streams.push(stream);
        Some(self.streams.len() - 1)
    }

    /// Which line and encoding a new source belongs to: by its identification (RFC 8843 §9.2,
    /// RFC 8852), as the offer named it, or by its payload type.
    fn identify(&self, header: &Header, said: &Said<'_>) -> Option<(usize, u8, bool)> {
        let named = |line: &Line, rid: &[u8]| {
            let at = line.rids.iter().take(MAX_ENCODINGS).position(|r| r.as_bytes() == rid)?;
            Some(at as u8)
        };
        let of_type = |line: &Line| {
            line.codecs.iter().find_map(|c| {
                let media =
                    c.payload_type == header.payload_type || c.red == Some(header.payload_type);
                let repair = c.rtx == Some(header.payload_type);
                (media || repair).then_some(repair)
            })
        };
        for (at, line) in self.lines.iter().enumerate() {
            let by_ssrc = line.remote_ssrcs.iter().take(MAX_ENCODINGS).enumerate().find_map(
                |(encoding, (media, repair))| {
                    let repairs = *repair == Some(header.ssrc);
                    (repairs || *media == header.ssrc).then_some((encoding as u8, repairs))
                },
            );
            if let Some((encoding, repairs)) = by_ssrc {
                return Some((at, encoding, repairs));
            }
            if said.mid.is_some_and(|mid| mid != line.mid.as_bytes()) {
                continue;
            }
            if let Some(rid) = said.repaired_rid {
                if let Some(encoding) = named(line, rid) {
                    return Some((at, encoding, true));
                }
                continue;
            }
            if let Some(rid) = said.rid {
                if let Some(encoding) = named(line, rid) {
                    return Some((at, encoding, false));
                }
                continue;
            }
            // A simulcast stream that doesn't say which it is may say so later.
            if let Some(repairs) = of_type(line)
                && (line.rids.is_empty() || line.kind == Kind::Audio)
            {
                return Some((at, 0, repairs));
            }
        }
        None
    }

    /// Takes an SRTCP packet; `each` gets the publisher's clocks.
    pub fn receive_rtcp(
        &mut self,
        datagram: &mut [u8],
        now: Instant,
        mut each: impl FnMut(Kind, u8, Clock),
    ) {
        let Ok(len) = self.opener.open_rtcp(datagram) else { return };
        for packet in rtcp::packets(datagram.get(..len).unwrap_or_default()) {
            let Rtcp::SenderReport(report) = packet else { continue };
            let Some(stream) = self.streams.iter_mut().find(|s| s.ssrc == report.ssrc) else {
                continue;
            };
            stream.reception.reported(report.ntp, now);
            let Some(line) = self.lines.get(stream.line) else { continue };
            if !stream.repairs {
                let clock = Clock { ntp: report.ntp, rtp: report.rtp };
                each(line.kind, stream.encoding, clock);
            }
        }
    }

    /// Whether a compound may begin with something else than a report (RFC 5506), which is
    /// otherwise demanded (RFC 3550 §6.1).
    fn reduced_size(&self) -> bool {
        self.lines.iter().all(|l| l.feedback.reduced_size)
    }

    /// When [`Self::write_feedback`] has something to say.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let missing = self.streams.iter().filter_map(|s| s.missing.deadline()).min();
        let soonest = [self.arrivals.deadline(), missing].into_iter().flatten().min();
        soonest.map_or(self.next_report, |s| s.min(self.next_report))
    }

    /// Writes what is due as one compound packet. `broken` gets the encodings of which so much
    /// was lost that only a keyframe helps.
    pub fn write_feedback(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
        mut broken: impl FnMut(Kind, u8),
    ) {
        let arrivals = self.arrivals.deadline().is_some_and(|d| d <= now);
        let report = self.next_report <= now;
        let missing = |s: &Stream| s.missing.deadline().is_some_and(|d| d <= now);
        for stream in &mut self.streams {
            let Some(line) = self.lines.get(stream.line) else { continue };
            if stream.missing.take_overflow() {
                broken(line.kind, stream.encoding);
            }
        }
        if !arrivals && !report && !self.streams.iter().any(missing) {
            return;
        }
        let reduced = self.reduced_size();
        let mut writer = Writer::new(out);
        if report {
            self.next_report = now + REPORT_INTERVAL;
            let streams = self.streams.iter_mut().filter(|s| !s.repairs);
            let blocks: Vec<_> = streams.filter_map(|s| s.reception.block(s.ssrc, now)).collect();
            writer.receiver_report(self.ssrc, &blocks);
            writer.description(self.ssrc, crate::peer::CNAME);
        } else if !reduced {
            writer.receiver_report(self.ssrc, &[]);
        }
        let (ssrc, heard) = (self.ssrc, self.streams.first().map_or(0, |s| s.ssrc));
        if arrivals {
            writer.transport_cc(ssrc, heard, |fci| self.arrivals.write(fci));
        }
        for stream in &mut self.streams {
            self.asked.clear();
            stream.missing.due(now, &mut self.asked);
            if !self.asked.is_empty() {
                let who = Nack { sender: ssrc, media: stream.ssrc };
                writer.nack(&who, self.asked.iter().copied());
            }
        }
    }

    /// Writes a request for a keyframe of an encoding. False when it isn't being received.
    pub fn write_keyframe_request(&self, kind: Kind, encoding: u8, out: &mut Vec<u8>) -> bool {
        let of_kind = |s: &&Stream| self.lines.get(s.line).is_some_and(|l| l.kind == kind);
        let mut media = self.streams.iter().filter(of_kind);
        let Some(stream) = media.find(|s| s.encoding == encoding && !s.repairs) else {
            return false;
        };
        let mut writer = Writer::new(out);
        if !self.reduced_size() {
            writer.receiver_report(self.ssrc, &[]);
        }
        writer.pli(self.ssrc, stream.ssrc);
        true
    }
}

/// What goes by a payload type, and whether it is wrapped in redundancy.
fn codec_of(codecs: &[LineCodec], payload_type: u8) -> Option<(Codec, bool)> {
    codecs.iter().find_map(|c| {
        let red = c.red == Some(payload_type);
        (red || c.payload_type == payload_type).then_some((c.codec, red))
    })
}
