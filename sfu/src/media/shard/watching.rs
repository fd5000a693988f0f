//! A peer that watches: its lines, the sealing of what goes to it, what its path takes, and
//! what waits because a keyframe is larger than that.

use crate::media::ahead;
use crate::media::bandwidth::allocation::{Allocation, Priority};
use crate::media::bandwidth::{Bandwidth, Feedbacks};
use crate::media::batch::TrackKey;
use crate::media::cache::Cached;
use crate::media::egress::Egress;
use crate::media::header::Extensions;
use crate::media::layers::Target;
use crate::media::track::Fresh;
use crate::peer::{Line, LineCodec, Route};
use cloudschool_protocol::media::{Codec, Kind};
use cloudschool_srtp::{Opener, Sealer};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Sender reports (RFC 3550 allows as little as one in 5 s; lip sync wants the first soon).
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// A report waits so long for a picture to ride on: as its last, shorter segment it costs next to
/// nothing, alone as much as all of a picture.
const REPORT_RIDES: Duration = Duration::from_millis(100);

/// A viewer's path is taken for this, in bit/s, until it shows what it is: a school's or a
/// home's line carries a lesson's picture, and one that doesn't has no more than a second of
/// it in its queue before that is known.
const START_RATE: u64 = 3_000_000;

/// Repairs saved up, in halves: a second of video lost as a whole.
const MAX_REPAIRS: u32 = 512;

/// A viewer is sent nothing for so long after the last message of its DTLS handshake left:
/// media that arrives together with it finds no keys yet at some peers, and is lost.
const SETTLE: Duration = Duration::from_millis(10);

/// Packets that may wait for a viewer's line: a whole replay and a frame.
pub const MAX_WAITING: usize = 768;

/// IP and UDP headers around each datagram.
pub fn ip_overhead(route: Route) -> usize {
    if route.address.is_ipv4() { 28 } else { 48 }
}

/// Under which number a line takes a packet, and whether with its redundancy.
#[derive(Debug, Clone, Copy)]
pub struct PayloadType {
    pub number: u8,
    pub red: bool,
}

/// A line towards a viewer.
pub struct Slot {
    pub mid: String,
    pub kind: Kind,
    pub codecs: Vec<LineCodec>,
    pub extensions: Extensions,
    pub ssrc: u32,
    pub rtx_ssrc: u32,
    /// Extended number of the next retransmission.
    pub rtx_next: u64,
    pub egress: Egress,
    pub track: Option<usize>,
    /// What of it the path allows; what is shown meanwhile is the egress's target.
    pub granted: Option<Target>,
    pub priority: Priority,
    /// The viewer's own microphone, which it doesn't hear.
    pub own_voice: Option<TrackKey>,
    /// It is given the smallest picture there is, whatever the path takes.
    pub small: bool,
}

impl Slot {
    /// A line as the offer settled it, that shows nothing.
    #[must_use]
    pub fn new(line: &Line) -> Self {
        let clock_rate = match line.kind {
            Kind::Audio => Codec::Opus.clock_rate(),
            Kind::Video => Codec::H264.clock_rate(),
        };
        Self {
            mid: line.mid.clone(),
            kind: line.kind,
            codecs: line.codecs.clone(),
            extensions: Extensions::from(&line.extensions),
            ssrc: line.ssrc,
            rtx_ssrc: line.rtx_ssrc,
            rtx_next: u64::from(rand::random::<u16>() & 0x7fff),
            egress: Egress::new(line.kind, clock_rate, rand::random()),
            track: None,
            granted: Some(Target::ALL),
            priority: Priority::ClassView,
            own_voice: None,
            small: false,
        }
    }

    /// How the line takes a codec.
    pub fn codec(&self, codec: Codec) -> Option<&LineCodec> {
        self.codecs.iter().find(|c| c.codec == codec)
    }

    /// The payload type of a packet on this line, if it takes its codec.
    pub fn payload_type(&self, codec: Codec, redundant: bool) -> Option<PayloadType> {
        let codec = self.codec(codec)?;
        Some(match codec.red.filter(|_| redundant) {
            Some(number) => PayloadType { number, red: true },
            None => PayloadType { number: codec.payload_type, red: false },
        })
    }
}

/// How much longer a packet is on the wire than its payload, for pacing: headers, the two
/// extensions, the tag.
pub const OVERHEAD: usize = 64;

/// A packet that waits for its turn on a slow line.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    pub slot: u8,
    pub encoding: u8,
    pub bytes: u16,
    pub track: u32,
    pub number: u64,
    pub since: Instant,
}

impl Waiting {
    /// A packet of the track at `track` that waits for the line at `slot` from now on.
    #[must_use]
    pub fn new(slot: usize, track: usize, fresh: Fresh, packet: &Cached, now: Instant) -> Self {
        Self {
            slot: slot as u8,
            encoding: fresh.encoding,
            bytes: (packet.payload.len() + OVERHEAD) as u16,
            track: track as u32,
            number: fresh.number,
            since: now,
        }
    }
}

/// Repairs a viewer may still ask for, in halves. It earns one with every second packet it is
/// sent, so that asking for everything again and again is no way to be sent a flood.
#[derive(Debug, Clone, Copy)]
pub struct Repairs(u32);

impl Repairs {
    /// A packet went out.
    #[inline]
    pub fn earn(&mut self) {
        self.0 = (self.0 + 1).min(MAX_REPAIRS);
    }

    /// Whether a packet may be sent again.
    pub fn spend(&mut self) -> bool {
        let left = self.0.checked_sub(2);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// A peer that is sent to.
pub struct Watching {
    pub slots: Vec<Slot>,
    pub opener: Option<Opener>,
    /// Present while the viewer is sent to.
    pub sealer: Option<Sealer>,
    /// Until then the viewer is still busy with the end of its handshake.
    ready: Option<(Instant, Sealer)>,
    pub path: Bandwidth,
    pub allocation: Allocation,
    /// When what it gets is chosen anew.
    pub next_choice: Instant,
    /// Lines that are video, as a set of bits.
    pub video: u64,
    pub waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    pub repairs: Repairs,
    next_report: Instant,
}

impl Watching {
    /// A viewer with these lines.
    #[must_use]
    pub fn new(lines: &[Line], now: Instant) -> Self {
        let told = lines.iter().any(|l| l.extensions.transport_cc.is_some());
        let feedbacks = if told { Feedbacks::TransportWide } else { Feedbacks::Reports };
        let mut watching = Self {
            slots: Vec::new(),
            opener: None,
            sealer: None,
            ready: None,
            path: Bandwidth::new(START_RATE, feedbacks, now),
            allocation: Allocation::default(),
            next_choice: now,
            video: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            repairs: Repairs(MAX_REPAIRS),
            next_report: now + REPORT_INTERVAL,
        };
        watching.set_lines(lines);
        watching
    }

    /// Asks for what a packet on its way out needs, before it comes; the rest is left where it is.
    #[inline]
    pub fn fetch(&self) {
        ahead::fetch(&self.slots);
        ahead::fetch(&self.sealer);
        ahead::fetch(&self.video);
        ahead::fetch(&self.waiting);
        ahead::fetch(&self.repairs);
        self.path.fetch();
    }

    /// The viewer's lines, of its first offer or a later one.
    pub fn set_lines(&mut self, lines: &[Line]) {
        for line in lines {
            if let Some(slot) = self.slots.iter_mut().find(|s| s.mid == line.mid) {
                slot.codecs.clone_from(&line.codecs);
                slot.extensions = Extensions::from(&line.extensions);
                continue;
            }
            if self.slots.len() < u64::BITS as usize {
                if line.kind == Kind::Video {
                    self.video |= 1 << self.slots.len();
                }
                self.slots.push(Slot::new(line));
            }
        }
    }

    /// It is connected, and will be sent to shortly.
    pub fn connected(&mut self, opener: Opener, sealer: Sealer, now: Instant) {
        self.opener = Some(opener);
        self.ready = Some((now + SETTLE, sealer));
    }

    /// Whether it can be sent to from now on, and could not before.
    pub fn settled(&mut self, now: Instant) -> bool {
        let Some((_, sealer)) = self.ready.take_if(|(at, _)| *at <= now) else { return false };
        self.sealer = Some(sealer);
        self.next_report = now + REPORT_INTERVAL;
        true
    }

    /// When it wants the time next.
    pub fn deadline(&mut self, now: Instant) -> Option<Instant> {
        if let Some((at, _)) = &self.ready {
            return Some(*at);
        }
        self.sealer.as_ref()?;
        let own = (self.next_report + REPORT_RIDES)
            .min(self.next_choice)
            .min(self.path.poll_timeout(now));
        Some(self.next_waiting(now).map_or(own, |w| w.min(own)))
    }

    /// Whether sender reports are due, `riding` on a picture or alone; asked again an interval
    /// later.
    pub fn report_due(&mut self, riding: bool, now: Instant) -> bool {
        let grace = if riding { Duration::ZERO } else { REPORT_RIDES };
        let due = self.next_report + grace <= now;
        if due {
            self.next_report = now + REPORT_INTERVAL;
        }
        due
    }

    /// Lets a packet wait. Returns false when the oldest one had to give way.
    pub fn wait(&mut self, packet: Waiting) -> bool {
        let full = self.waiting.len() >= MAX_WAITING;
        if full && let Some(oldest) = self.waiting.pop_front() {
            self.waiting_bytes -= usize::from(oldest.bytes);
        }
        self.waiting_bytes += usize::from(packet.bytes);
        self.waiting.push_back(packet);
        !full
    }

    /// The packet that waits longest, taken out.
    pub fn next_of_waiting(&mut self) -> Option<Waiting> {
        let packet = self.waiting.pop_front()?;
        self.waiting_bytes -= usize::from(packet.bytes);
        Some(packet)
    }

    /// What waits for this line waits in vain.
    pub fn drop_waiting(&mut self, slot: usize) {
        self.waiting.retain(|w| usize::from(w.slot) != slot);
        self.waiting_bytes = self.waiting.iter().map(|w| usize::from(w.bytes)).sum();
    }

    /// How many bytes of what waits may go now.
    pub fn budget(&mut self, now: Instant) -> usize {
        match self.waiting.front() {
            Some(oldest) => {
                let since = oldest.since;
                self.path.pacer().budget(self.waiting_bytes, since, now)
            }
            None => 0,
        }
    }

    /// When [`Self::budget`] is worth asking.
    pub fn next_waiting(&mut self, now: Instant) -> Option<Instant> {
        let since = self.waiting.front()?.since;
        Some(self.path.pacer().next(self.waiting_bytes, since, now))
    }
}
