//! One light viewer: it opens what comes, decodes nothing, and gives the feedback a browser
//! gives.

use super::clock::wall_ns;
use super::header;
use super::journal::Journal;
use super::reception::{Packet, Reception};
use super::sdp::{Kind, Line, Session, extension};
use super::sequence::Count;
use super::socket::Inbox;
use super::transport::{Incoming, Transport, drain};
use super::twcc::Arrivals;
use cloudschool_protocol::rtcp::{self, Nack, Rtcp, Writer};
use cloudschool_protocol::rtp::Header;
use hdrhistogram::Histogram;
use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// Between two receiver reports, about as a browser.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// An m-line, and what comes on it.
struct Receiving {
    mid: String,
    payload_types: Vec<u8>,
    /// Payload type of retransmissions.
    rtx: Option<u8>,
    nack: bool,
    pli: bool,
    ssrc: Option<u32>,
    reception: Reception,
}

/// An SSRC: the line it is of, and whether it carries retransmissions.
#[derive(Clone, Copy)]
struct Stream {
    ssrc: u32,
    line: usize,
    rtx: bool,
}

/// What all viewers of a thread received in a window.
#[derive(Debug, Clone)]
pub struct Tally {
    pub packets: u64,
    pub bytes: u64,
    pub padding: u64,
    pub again: u64,
    /// Under the SSRC of retransmissions.
    pub retransmitted: u64,
    /// Came after others that were sent later: repaired, or overtaken.
    pub late: u64,
    /// From the publisher's socket to the viewer's, µs.
    pub latency: Histogram<u64>,
    /// How long datagrams waited in the viewers' sockets, µs.
    pub waited: Histogram<u64>,
}

impl Tally {
    #[must_use]
    pub fn new() -> Self {
        const LONGEST_US: u64 = 60_000_000;
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3);
        let mut histogram = histogram.unwrap_or_else(|_| unreachable!("bounds as documented"));
        histogram.auto(true);
        Self {
            packets: 0,
            bytes: 0,
            padding: 0,
            again: 0,
            retransmitted: 0,
            late: 0,
            latency: histogram.clone(),
            waited: histogram,
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.padding += other.padding;
        self.again += other.again;
        self.retransmitted += other.retransmitted;
        self.late += other.late;
        self.latency += &other.latency;
        self.waited += &other.waited;
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

/// Packets by RTP sequence numbers, and by the publisher's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub sequences: Count,
    pub numbers: Count,
}

/// What one viewer can say at the end.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// When DTLS was through, and when the first frame could be shown, nanoseconds since 1970.
    pub connected_ns: Option<u64>,
    pub first_frame_ns: Option<u64>,
    pub picture: Counts,
    pub sound: Counts,
    pub frames: u64,
    pub frames_shown: u64,
    pub frames_late: u64,
    pub longest_freeze_ns: u64,
    /// When which layer began to be shown, for the first picture.
    pub layers: Vec<(u64, u8)>,
    pub nacked: u64,
    pub plis: u64,
    pub strangers: u64,
    pub unopened: u64,
}

/// A viewer.
pub struct Viewer {
    transport: Transport,
    lines: Vec<Receiving>,
    streams: Vec<Stream>,
    transport_cc: Option<(u8, Arrivals)>,
    mid_extension: Option<u8>,
    own_ssrc: u32,
    feedback_every: Duration,
    next_feedback: Instant,
    next_report: Instant,
    compound: Vec<u8>,
    asked: Vec<u16>,
}

impl Viewer {
    /// A viewer of what `session`, the server's description, says it sends.
    #[must_use]
    pub fn new(transport: Transport, session: &Session, feedback_every: Duration) -> Self {
        let mut streams = Vec::new();
        let mut lines = Vec::new();
        for line in &session.lines {
            let Some(codec) = line.codec() else { continue };
            for (ssrc, rtx) in &line.ssrcs {
                streams.push(Stream { ssrc: *ssrc, line: lines.len(), rtx: false });
                streams.extend(rtx.map(|ssrc| Stream { ssrc, line: lines.len(), rtx: true }));
            }
            lines.push(Receiving {
                mid: line.mid.clone(),
                payload_types: media_types(line),
                rtx: line.rtx(codec.payload_type),
                nack: line.wants("nack"),
                pli: line.wants("nack pli"),
                ssrc: None,
                reception: Reception::new(line.kind, codec.clock_rate),
            });
        }
        let extension = |uri| session.lines.iter().find_map(|l| l.extension(uri));
        let agreed = session.lines.iter().any(|l| l.wants("transport-cc"));
        let id = extension(extension::TRANSPORT_CC).filter(|_| agreed);
        let now = Instant::now();
        // Not all at the same moment.
        let phase = REPORT_EVERY.mul_f64(rand::random());
        Self {
            transport,
            lines,
            streams,
            transport_cc: id.map(|id| (id, Arrivals::default())),
            mid_extension: extension(extension::MID),
            own_ssrc: rand::random(),
            feedback_every,
            next_feedback: now + feedback_every.mul_f64(rand::random()),
            next_report: now + phase,
            compound: Vec::with_capacity(1500),
            asked: Vec::new(),
        }
    }

    pub fn socket(&self) -> &UdpSocket {
        self.transport.socket()
    }

    /// Keeps a journal of everything that comes from now on.
    pub fn keep_journal(&mut self) {
        self.lines.iter_mut().for_each(|l| l.reception.journal = Some(Box::default()));
    }

    /// The journals of its lines, if they are kept, with what each line is of.
    #[must_use]
    pub fn journals(&self) -> Vec<(Kind, Journal)> {
        let kept = self.lines.iter().filter_map(|l| {
            let journal = l.reception.journal.as_deref()?;
            Some((l.reception.kind, journal.clone()))
        });
        kept.collect()
    }

    /// Begins to connect.
    pub fn start(&mut self) {
        self.transport.start();
    }

    /// Whether media can flow.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.transport.ready()
    }

    #[must_use]
    pub fn gone(&self) -> bool {
        self.transport.gone()
    }

    /// Whether every picture has begun.
    #[must_use]
    pub fn sees(&self) -> bool {
        let mut pictures = self.lines.iter().filter_map(|l| l.reception.frames());
        pictures.next().is_some_and(|f| f.first().is_some())
    }

    /// Reads everything that came.
    ///
    /// # Errors
    /// The socket's.
    pub fn receive(
        &mut self,
        inbox: &mut Inbox,
        tally: &mut Tally,
        now: Instant,
    ) -> io::Result<()> {
        let Self { transport, lines, streams, transport_cc, mid_extension, .. } = self;
        let socket = transport.socket().clone();
        let mut state = Demux { lines, streams, transport_cc, mid_extension: *mid_extension };
        let waited = drain(inbox, &socket, |from, arrived_ns, datagram| {
            let size = datagram.len();
            match transport.handle(from, arrived_ns, datagram, now) {
                Incoming::Rtp(packet) => state.rtp(packet, size, arrived_ns, tally),
                Incoming::Rtcp(compound) => state.rtcp(compound, arrived_ns),
                Incoming::Nothing => {}
            }
        })?;
        if let Some(waited) = waited {
            tally.waited.saturating_record(waited / 1000 + 1);
        }
        if self.lines.iter().any(|l| l.reception.misses()) {
            self.ask(wall_ns());
        }
        Ok(())
    }

    fn ask(&mut self, now_ns: u64) {
        let sender = self.own_ssrc;
        for line in self.lines.iter_mut().filter(|l| l.nack) {
            line.reception.ask(now_ns, &mut self.asked);
            if let Some(media) = line.ssrc
                && !self.asked.is_empty()
            {
                let asked = self.asked.iter().copied();
                Writer::new(&mut self.compound).nack(&Nack { sender, media }, asked);
            }
        }
        self.transport.send_rtcp(&mut self.compound);
    }

    /// Does what is due: timers, reports, requests.
    #[inline]
    pub fn tick(&mut self, now: Instant) {
        self.transport.tick(now);
        if !self.transport.ready() || now < self.next_feedback.min(self.next_report) {
            return;
        }
        let now_ns = wall_ns();
        let sender = self.own_ssrc;
        if now >= self.next_report {
            self.next_report = now + REPORT_EVERY;
            let blocks: Vec<_> =
                self.lines.iter_mut().filter_map(|l| l.reception.block(l.ssrc?, now_ns)).collect();
            Writer::new(&mut self.compound).receiver_report(sender, &blocks);
        }
        if now >= self.next_feedback {
            self.next_feedback = now + self.feedback_every;
            if let Some((_, arrivals)) = &mut self.transport_cc
                && !arrivals.is_empty()
            {
                let media = self.lines.iter().find_map(|l| l.ssrc).unwrap_or_default();
                let mut writer = Writer::new(&mut self.compound);
                writer.transport_cc(sender, media, |out| arrivals.write(out));
            }
            for line in self.lines.iter_mut().filter(|l| l.pli) {
                if let Some(media) = line.ssrc
                    && line.reception.wants_keyframe(now_ns)
                {
                    Writer::new(&mut self.compound).pli(sender, media);
                }
            }
        }
        self.transport.send_rtcp(&mut self.compound);
        if self.lines.iter().any(|l| l.reception.misses()) {
            self.ask(now_ns);
        }
    }

    /// Counts from here on.
    pub fn begin(&mut self) {
        self.lines.iter_mut().for_each(|l| l.reception.begin());
    }

    /// Counts no further, but for what is late.
    pub fn end(&mut self) {
        self.lines.iter_mut().for_each(|l| l.reception.end());
    }

    /// The sources that are heard at this moment, one for each line that carries any.
    pub fn hears(&self, now_ns: u64) -> impl Iterator<Item = u8> {
        let lines = self.lines.iter().filter(|l| l.reception.kind == Kind::Audio);
        lines.filter_map(move |l| l.reception.active(now_ns))
    }

    /// What came of it all.
    #[must_use]
    pub fn account(&self) -> Account {
        let mut account = Account {
            connected_ns: self.transport.connected_ns(),
            unopened: self.transport.unopened(),
            ..Account::default()
        };
        for Receiving { reception, .. } in &self.lines {
            let (sequences, numbers) = reception.counts();
            let counts = match reception.kind {
                Kind::Audio => &mut account.sound,
                Kind::Video => &mut account.picture,
            };
            counts.sequences += sequences;
            counts.numbers += numbers;
            account.nacked += reception.nacked;
            account.plis += reception.plis;
            account.strangers += reception.strangers;
            let Some(frames) = reception.frames() else { continue };
            let (window, all) = frames.window();
            account.frames += all;
            account.frames_shown += window.decoded;
            account.frames_late += window.late;
            account.longest_freeze_ns = account.longest_freeze_ns.max(window.longest_freeze_ns);
            if account.first_frame_ns.is_none() {
                account.first_frame_ns = frames.first().map(|f| f.at_ns);
                account.layers = frames.changes().to_vec();
            }
        }
        account
    }

    /// Says goodbye.
    pub fn close(&mut self) {
        Writer::new(&mut self.compound).bye(self.own_ssrc);
        self.transport.send_rtcp(&mut self.compound);
        self.transport.close();
    }
}

fn media_types(line: &Line) -> Vec<u8> {
    line.codecs.iter().filter(|c| c.apt.is_none()).map(|c| c.payload_type).collect()
}

/// The parts of a viewer that packets are given to.
struct Demux<'a> {
    lines: &'a mut [Receiving],
    streams: &'a mut Vec<Stream>,
    transport_cc: &'a mut Option<(u8, Arrivals)>,
    mid_extension: Option<u8>,
}

impl Demux<'_> {
    #[inline]
    fn rtp(&mut self, packet: &[u8], size: usize, arrived_ns: u64, tally: &mut Tally) {
        let Some(header) = Header::parse(packet) else { return };
        if let Some((id, arrivals)) = &mut self.transport_cc
            && let Some(&[high, low]) = header::element(packet, *id)
        {
            arrivals.arrived(u16::from_be_bytes([high, low]), arrived_ns);
        }
        let Some(stream) = self.stream(&header, packet) else { return };
        let line = &mut self.lines[stream.line];
        let mut payload = header.payload(packet);
        let mut sequence = header.sequence;
        if stream.rtx {
            // The original number comes first (RFC 4588 §4).
            let Some((original, rest)) = payload.split_first_chunk() else {
                tally.padding += 1;
                return;
            };
            sequence = u16::from_be_bytes(*original);
            payload = rest;
            tally.retransmitted += 1;
        } else {
            line.ssrc = Some(header.ssrc);
        }
        match line.reception.take(size, sequence, header.timestamp, payload, arrived_ns) {
            Packet::Media { sent_ns, late } => {
                tally.packets += 1;
                tally.late += u64::from(late);
                tally.bytes += packet.len() as u64;
                let latency = arrived_ns.saturating_sub(sent_ns);
                tally.latency.saturating_record(latency / 1000 + 1);
            }
            Packet::Padding => tally.padding += 1,
            Packet::Again => tally.again += 1,
            Packet::Stranger => {}
        }
    }

    #[inline]
    fn stream(&mut self, header: &Header, packet: &[u8]) -> Option<Stream> {
        if let Some(stream) = self.streams.iter().find(|s| s.ssrc == header.ssrc) {
            return Some(*stream);
        }
        self.learn(header, packet)
    }

    /// Finds the line of an SSRC nobody named: by its name in the packet, else by its payload
    /// type.
    #[cold]
    fn learn(&mut self, header: &Header, packet: &[u8]) -> Option<Stream> {
        let mid = self.mid_extension.and_then(|id| header::element(packet, id));
        let named = |l: &&Receiving| mid.is_some_and(|mid| l.mid.as_bytes() == mid);
        let lines = || self.lines.iter();
        let takes = |l: &Receiving| {
            l.payload_types.contains(&header.payload_type) || l.rtx == Some(header.payload_type)
        };
        let line = lines().position(|l| named(&l)).or_else(|| lines().position(takes))?;
        let rtx = self.lines[line].rtx == Some(header.payload_type);
        let stream = Stream { ssrc: header.ssrc, line, rtx };
        self.streams.push(stream);
        Some(stream)
    }

    fn rtcp(&mut self, compound: &[u8], arrived_ns: u64) {
        for packet in rtcp::packets(compound) {
            if let Rtcp::SenderReport(report) = packet
                && let Some(stream) = self.streams.iter().find(|s| s.ssrc == report.ssrc)
                && !stream.rtx
            {
                self.lines[stream.line].reception.reported(report.ntp, report.rtp, arrived_ns);
            }
        }
    }
}
