//! One light publisher: synthetic frames and sound as a browser sends them, keyframes when
//! asked, lost packets again.

use super::clock::{ntp, wall_ns};
use super::encoder::{Encoder, Shape};
use super::header::{self, Head};
use super::payload::{Packetizer, Payloads, VideoCodec, sound};
use super::sdp::{Kind, Line, Session, extension};
use super::socket::Inbox;
use super::stamp::Stamp;
use super::transport::{Incoming, Plain, Transport, drain};
use cloudschool_protocol::rtcp::{self, Rtcp, Writer};
use cloudschool_protocol::rtp::FIXED_HEADER;
use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Largest RTP packet, as browsers make them: an IP packet that fits any path with a tunnel
/// or two.
pub const LARGEST_PACKET: usize = 1200;

/// Sound: 20 ms a packet of 48 kHz.
pub const SOUND_EVERY: Duration = Duration::from_millis(20);
const SOUND_STEP: u32 = 960;

const VIDEO_CLOCK: u32 = 90_000;
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Packets of an encoding kept for retransmission: about a second at 5 Mbit/s.
const KEPT: usize = 512;

/// Packets that say which encoding they are of, until the server knows by their SSRC.
const NAMED: u32 = 300;

/// Whoever is later than this leaves out what it can't send in time.
const TOO_LATE: Duration = Duration::from_millis(200);

/// What a publisher sends as its picture.
#[derive(Debug, Clone)]
pub struct Video {
    pub codec: VideoCodec,
    /// Smallest first.
    pub layers: Vec<Shape>,
}

/// What was asked of all publishers of a thread, and what they sent.
#[derive(Debug, Default)]
pub struct Counters {
    pub sent: AtomicU64,
    pub keyframes_asked: AtomicU64,
    pub nacked: AtomicU64,
    pub feedback: AtomicU64,
    pub refused: AtomicU64,
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}

/// What all packets of an m-line have in common.
#[derive(Debug, Clone)]
struct Way {
    payload_type: u8,
    rtx: Option<u8>,
    mid: String,
    mid_id: Option<u8>,
    rid_id: Option<u8>,
    repaired_id: Option<u8>,
    level_id: Option<u8>,
}

impl Way {
    fn of(line: &Line) -> Option<Self> {
        let codec = line.codec()?;
        Some(Self {
            payload_type: codec.payload_type,
            rtx: line.rtx(codec.payload_type),
            mid: line.mid.clone(),
            mid_id: line.extension(extension::MID),
            rid_id: line.extension(extension::RID),
            repaired_id: line.extension(extension::REPAIRED_RID),
            level_id: line.extension(extension::AUDIO_LEVEL),
        })
    }
}

/// An SSRC that is sent.
#[derive(Debug)]
struct Sending {
    ssrc: u32,
    rtx_ssrc: u32,
    rid: Option<String>,
    /// Extended sequence numbers of the next packets.
    sequence: u64,
    rtx_sequence: u64,
    first_timestamp: u32,
    number: u32,
    packets: u32,
    octets: u32,
    last_timestamp: u32,
    /// When that was sent, nanoseconds since 1970.
    last_sent_ns: u64,
    kept: VecDeque<(u16, Vec<u8>, usize)>,
}

impl Sending {
    fn new(ssrc: u32, rtx_ssrc: u32, rid: Option<String>) -> Self {
        // Below the half, so that nobody can take the first wrap for a beginning (RFC 3711 §3.3.1).
        let sequence = || u64::from(rand::random::<u16>() >> 1);
        Self {
            ssrc,
            rtx_ssrc,
            rid,
            sequence: sequence(),
            rtx_sequence: sequence(),
            first_timestamp: rand::random(),
            number: 0,
            packets: 0,
            octets: 0,
            last_timestamp: 0,
            last_sent_ns: 0,
            kept: VecDeque::new(),
        }
    }
}

struct Encoding {
    sending: Sending,
    encoder: Encoder,
    packetizer: Packetizer,
    keyframe_wanted: bool,
}

struct Picture {
    way: Way,
    rate: u32,
    encodings: Vec<Encoding>,
    frame: u32,
}

struct Sound {
    way: Way,
    sending: Sending,
    frame: u32,
    level: (u8, bool),
}

/// What a publisher is to send; the SSRCs are those of its offer.
pub struct Plan {
    /// Tells its stamps from others'.
    pub source: u8,
    pub video: Option<(Video, Names)>,
    pub sound: Option<u32>,
    pub seed: u64,
}

/// How the encodings of a picture are told apart.
#[derive(Debug, Clone)]
pub enum Names {
    /// One, by its SSRC and that of its retransmissions.
    Ssrc(u32, u32),
    /// By RIDs (RFC 8853), in the order of the layers.
    Rids(Vec<String>),
}

/// A publisher.
pub struct Publisher {
    transport: Transport,
    source: u8,
    picture: Option<Picture>,
    sound: Option<Sound>,
    transport_cc: Option<(u8, u16)>,
    own_ssrc: u32,
    begun: Option<Instant>,
    /// Of the picture's and of the sound's time line, how far they are.
    next_frame: Duration,
    next_sound: Duration,
    next_report: Instant,
    bytes: Vec<u8>,
    plain: Vec<Plain>,
    payloads: Payloads,
    compound: Vec<u8>,
}

impl Publisher {
    /// A publisher of `plan` to a server that answered with `session`.
    #[must_use]
    pub fn new(transport: Transport, session: &Session, plan: Plan) -> Self {
        let line = |kind| session.lines.iter().find(|l| l.kind == kind && !l.rejected);
        let picture = plan.video.and_then(|(video, names)| {
            let way = Way::of(line(Kind::Video)?)?;
            let encodings = video.layers.iter().enumerate().map(|(n, shape)| {
                let sending = match &names {
                    Names::Ssrc(ssrc, rtx) => Sending::new(*ssrc, *rtx, None),
                    Names::Rids(rids) => {
                        Sending::new(rand::random(), rand::random(), rids.get(n).cloned())
                    }
                };
                let seed = plan.seed.wrapping_add(n as u64);
                Encoding {
                    sending,
                    encoder: Encoder::new(*shape, seed),
                    packetizer: Packetizer::new(video.codec, seed),
                    keyframe_wanted: false,
                }
            });
            let rate = video.layers.first()?.rate;
            Some(Picture { way, rate, encodings: encodings.collect(), frame: 0 })
        });
        let sound = plan.sound.and_then(|ssrc| {
            let way = Way::of(line(Kind::Audio)?)?;
            let sending = Sending::new(ssrc, 0, None);
            Some(Sound { way, sending, frame: 0, level: (30, true) })
        });
        let agreed = session.lines.iter().any(|l| l.wants("transport-cc"));
        let id = session.lines.iter().find_map(|l| l.extension(extension::TRANSPORT_CC));
        Self {
            transport,
            source: plan.source,
            picture,
            sound,
            transport_cc: id.filter(|_| agreed).map(|id| (id, 0)),
            own_ssrc: rand::random(),
            begun: None,
            next_frame: Duration::ZERO,
            // Not all microphones at the same moment.
            next_sound: SOUND_EVERY.mul_f64(f64::from(plan.source % 16) / 16.0),
            next_report: Instant::now() + REPORT_EVERY,
            bytes: Vec::new(),
            plain: Vec::new(),
            payloads: Payloads::default(),
            compound: Vec::new(),
        }
    }

    pub fn socket(&self) -> &UdpSocket {
        self.transport.socket()
    }

    pub fn start(&mut self) {
        self.transport.start();
    }

    #[must_use]
    pub fn connected(&self) -> bool {
        self.transport.ready()
    }

    #[must_use]
    pub fn gone(&self) -> bool {
        self.transport.gone()
    }

    /// Which one it is.
    #[must_use]
    pub fn source(&self) -> u8 {
        self.source
    }

    /// How loud its sound is from now on, in −dBov, and whether it is a voice.
    pub fn set_level(&mut self, level: (u8, bool)) {
        if let Some(sound) = &mut self.sound {
            sound.level = level;
        }
    }

    /// When it has something to send next; `None` before it is connected.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let begun = self.begun?;
        let frame = self.picture.as_ref().map(|_| begun + self.next_frame);
        let sound = self.sound.as_ref().map(|_| begun + self.next_sound);
        [frame, sound].into_iter().flatten().min()
    }

    /// Sends what is due. Returns how late it was.
    pub fn act(&mut self, now: Instant, counters: &Counters) -> Option<Duration> {
        let begun = self.begun?;
        let late = now.checked_duration_since(self.due()?)?;
        let elapsed = now.duration_since(begun);
        if late > TOO_LATE {
            self.next_frame = self.next_frame.max(elapsed);
            self.next_sound = self.next_sound.max(elapsed);
        }
        if self.sound.is_some() && self.next_sound <= elapsed {
            self.next_sound += SOUND_EVERY;
            self.speak(counters);
        }
        if let Some(rate) = self.picture.as_ref().map(|p| p.rate)
            && self.next_frame <= elapsed
        {
            self.next_frame += Duration::from_secs(1) / rate;
            self.film(counters);
        }
        Some(late)
    }

    fn film(&mut self, counters: &Counters) {
        let Self { picture, transport, transport_cc, bytes, plain, payloads, source, .. } = self;
        let Some(picture) = picture else { return };
        let number = picture.frame;
        picture.frame = picture.frame.wrapping_add(1);
        for (layer, encoding) in picture.encodings.iter_mut().enumerate() {
            let frame = encoding.encoder.frame(std::mem::take(&mut encoding.keyframe_wanted));
            let sending = &mut encoding.sending;
            let step = number.wrapping_mul(VIDEO_CLOCK / picture.rate);
            let timestamp = sending.first_timestamp.wrapping_add(step);
            let stamp = Stamp {
                source: *source,
                layer: layer as u8,
                number: sending.number,
                sent_ns: wall_ns(),
                ..Stamp::default()
            };
            let room = LARGEST_PACKET - FIXED_HEADER - extension_room(&picture.way, sending);
            encoding.packetizer.packetize(&frame, stamp, room, payloads);
            bytes.clear();
            plain.clear();
            let count_of = payloads.len();
            for (n, payload) in payloads.iter().enumerate() {
                let marker = n + 1 == count_of;
                let packet = Packet { way: &picture.way, timestamp, marker, payload, level: None };
                append(&packet, sending, transport_cc, transport.tag_len(), bytes, plain);
            }
            sending.number = sending.number.wrapping_add(count_of as u32);
            count(&counters.sent, count_of);
            count(&counters.refused, transport.send_rtp(bytes, plain));
        }
    }

    fn speak(&mut self, counters: &Counters) {
        let Self { sound: own, transport, transport_cc, bytes, plain, source, .. } = self;
        let Some(own) = own else { return };
        let (level, voice) = own.level;
        let timestamp =
            own.sending.first_timestamp.wrapping_add(own.frame.wrapping_mul(SOUND_STEP));
        let payload = sound(Stamp {
            source: *source,
            level,
            number: own.frame,
            frame: own.frame,
            sent_ns: wall_ns(),
            ..Stamp::default()
        });
        own.frame = own.frame.wrapping_add(1);
        bytes.clear();
        plain.clear();
        let level = Some(u8::from(voice) << 7 | level);
        let packet = Packet { way: &own.way, timestamp, marker: false, payload: &payload, level };
        append(&packet, &mut own.sending, transport_cc, transport.tag_len(), bytes, plain);
        count(&counters.sent, 1);
        count(&counters.refused, transport.send_rtp(bytes, plain));
    }

    /// Reads everything that came.
    ///
    /// # Errors
    /// The socket's.
    pub fn receive(
        &mut self,
        inbox: &mut Inbox,
        now: Instant,
        counters: &Counters,
    ) -> io::Result<()> {
        let socket = self.transport.socket().clone();
        let mut again = Vec::new();
        let Self { transport, picture, .. } = self;
        drain(inbox, &socket, |from, arrived_ns, datagram| {
            let Incoming::Rtcp(compound) = transport.handle(from, arrived_ns, datagram, now) else {
                return;
            };
            for packet in rtcp::packets(compound) {
                match packet {
                    Rtcp::Pli { media } => keyframe(picture, media, counters),
                    Rtcp::Fir { entries } => {
                        entries.sources().for_each(|ssrc| keyframe(picture, ssrc, counters));
                    }
                    Rtcp::Nack { media, entries } => {
                        again.extend(entries.sequences().map(|sequence| (media, sequence)));
                    }
                    Rtcp::TransportCc { .. } => count(&counters.feedback, 1),
                    _ => {}
                }
            }
        })?;
        count(&counters.nacked, again.len());
        for (ssrc, sequence) in again {
            self.send_again(ssrc, sequence, counters);
        }
        if self.begun.is_none() && self.transport.ready() {
            self.begun = Some(now);
        }
        Ok(())
    }

    /// Sends a packet again: under the SSRC of retransmissions where that was agreed on
    /// (RFC 4588), else the very same bytes.
    fn send_again(&mut self, ssrc: u32, sequence: u16, counters: &Counters) {
        let Self { transport, picture, transport_cc, bytes, plain, .. } = self;
        let Some(picture) = picture else { return };
        let mut sendings = picture.encodings.iter_mut().map(|e| &mut e.sending);
        let Some(sending) = sendings.find(|s| s.ssrc == ssrc) else { return };
        let Some(at) = sending.kept.iter().position(|(s, ..)| *s == sequence) else { return };
        let (_, packet, header_len) = &sending.kept[at];
        bytes.clear();
        plain.clear();
        let roc = match picture.way.rtx {
            None => {
                bytes.extend_from_slice(packet);
                // Of the two possible the one nearest to what is sent now.
                let behind = (sending.sequence as u16).wrapping_sub(sequence);
                ((sending.sequence - u64::from(behind)) >> 16) as u32
            }
            Some(payload_type) => {
                let number = sending.rtx_sequence;
                sending.rtx_sequence += 1;
                let [_, marker, _, _, t0, t1, t2, t3, ..] = packet[..] else { return };
                let head = Head {
                    marker: marker & 0x80 != 0,
                    payload_type,
                    sequence: number as u16,
                    timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
                    ssrc: sending.rtx_ssrc,
                };
                let transport_number = next(transport_cc);
                let mut elements: Vec<(u8, &[u8])> = Vec::new();
                if let Some((id, number)) = &transport_number {
                    elements.push((*id, number));
                }
                if let (Some(id), Some(_)) = (picture.way.mid_id, &sending.rid) {
                    elements.push((id, picture.way.mid.as_bytes()));
                }
                if let (Some(id), Some(rid)) = (picture.way.repaired_id, &sending.rid) {
                    elements.push((id, rid.as_bytes()));
                }
                header::write(&head, &elements, bytes);
                bytes.extend_from_slice(&sequence.to_be_bytes());
                bytes.extend_from_slice(&packet[*header_len..]);
                (number >> 16) as u32
            }
        };
        let header = header_length(bytes);
        bytes.resize(bytes.len() + transport.tag_len(), 0);
        plain.push(Plain { end: bytes.len(), header, roc });
        count(&counters.refused, transport.send_rtp(bytes, plain));
    }

    /// Does what is due but for media.
    pub fn tick(&mut self, now: Instant) {
        self.transport.tick(now);
        if self.begun.is_none() || now < self.next_report {
            return;
        }
        self.next_report = now + REPORT_EVERY;
        let pictures = self.picture.iter().flat_map(|p| &p.encodings).map(|e| &e.sending);
        let sendings = pictures.chain(self.sound.iter().map(|s| &s.sending));
        for s in sendings.filter(|s| s.packets > 0) {
            let mut writer = Writer::new(&mut self.compound);
            // The timestamp and the time are of the same instant (RFC 3550 §6.4.1).
            let at = ntp(s.last_sent_ns);
            writer.sender_report(s.ssrc, at, s.last_timestamp, s.packets, s.octets, &[]);
            writer.description(s.ssrc, "teacher");
        }
        self.transport.send_rtcp(&mut self.compound);
    }

    pub fn close(&mut self) {
        Writer::new(&mut self.compound).bye(self.own_ssrc);
        self.transport.send_rtcp(&mut self.compound);
        self.transport.close();
    }
}

fn keyframe(picture: &mut Option<Picture>, ssrc: u32, counters: &Counters) {
    count(&counters.keyframes_asked, 1);
    for encoding in picture.iter_mut().flat_map(|p| &mut p.encodings) {
        encoding.keyframe_wanted |= encoding.sending.ssrc == ssrc;
    }
}

/// A packet to be appended to a burst.
struct Packet<'a> {
    way: &'a Way,
    timestamp: u32,
    marker: bool,
    payload: &'a [u8],
    /// The RFC 6464 byte.
    level: Option<u8>,
}

/// Bytes of the largest header extension packets of an encoding have.
fn extension_room(way: &Way, sending: &Sending) -> usize {
    let named = sending.rid.as_ref().map_or(0, |rid| 2 + way.mid.len() + rid.len());
    4 + (3 + named).next_multiple_of(4)
}

fn next(transport_cc: &mut Option<(u8, u16)>) -> Option<(u8, [u8; 2])> {
    let (id, number) = transport_cc.as_mut()?;
    let this = number.to_be_bytes();
    *number = number.wrapping_add(1);
    Some((*id, this))
}

fn append(
    packet: &Packet<'_>,
    sending: &mut Sending,
    transport_cc: &mut Option<(u8, u16)>,
    tag_len: usize,
    bytes: &mut Vec<u8>,
    plain: &mut Vec<Plain>,
) {
    let Packet { way, timestamp, marker, payload, level } = packet;
    let start = bytes.len();
    let sequence = sending.sequence;
    sending.sequence += 1;
    let head = Head {
        marker: *marker,
        payload_type: way.payload_type,
        sequence: sequence as u16,
        timestamp: *timestamp,
        ssrc: sending.ssrc,
    };
    let transport_number = next(transport_cc);
    let level = level.map(|l| [l]);
    let mut elements: Vec<(u8, &[u8])> = Vec::with_capacity(4);
    if let (Some(id), Some(level)) = (way.level_id, &level) {
        elements.push((id, level));
    }
    if let Some((id, number)) = &transport_number {
        elements.push((*id, number));
    }
    if let Some(rid) = &sending.rid
        && sending.packets < NAMED
    {
        if let Some(id) = way.mid_id {
            elements.push((id, way.mid.as_bytes()));
        }
        if let Some(id) = way.rid_id {
            elements.push((id, rid.as_bytes()));
        }
    }
    let header = header::write(&head, &elements, bytes);
    bytes.extend_from_slice(payload);
    if way.rtx.is_some() || level.is_none() {
        sending.kept.push_back((sequence as u16, bytes[start..].to_vec(), header));
        if sending.kept.len() > KEPT {
            sending.kept.pop_front();
        }
    }
    bytes.resize(bytes.len() + tag_len, 0);
    plain.push(Plain { end: bytes.len(), header, roc: (sequence >> 16) as u32 });
    sending.packets = sending.packets.wrapping_add(1);
    sending.octets = sending.octets.wrapping_add(payload.len() as u32);
    sending.last_timestamp = *timestamp;
    sending.last_sent_ns = wall_ns();
}

/// Length of what stays readable of an RTP packet.
fn header_length(packet: &[u8]) -> usize {
    let first = packet.first().copied().unwrap_or_default();
    let fixed = FIXED_HEADER + 4 * usize::from(first & 0x0f);
    if first & 0x10 == 0 {
        return fixed;
    }
    let words = packet.get(fixed + 2..fixed + 4).and_then(|w| w.first_chunk());
    fixed + 4 + 4 * words.map_or(0, |w| usize::from(u16::from_be_bytes(*w)))
}
