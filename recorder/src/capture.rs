//! Records one track: puts its packets in order, keeps what can be decoded, and writes it to
//! one file after another. A new file begins when the publisher comes back under a new SSRC,
//! when the picture's format changes, and when writing failed and there is room again.

use crate::bitstream::Format;
use crate::clock::{Nanos, SECOND, Unwrap32, ticks_to_nanos};
use crate::gate::{Frame, Gate, Losses, Packet};
use crate::manifest::{PartEntry, TrackEntry};
use crate::part::{Part, PartError};
use crate::reorder::Reorder;
use crate::writer::{Syncer, WriteFailure};
use bytes::Bytes;
use cloudschool_protocol::media::{Codec, TrackId};
use cloudschool_protocol::rtp::Header;
use std::path::{Path, PathBuf};

/// A timestamp that goes further ahead than time did, by this, belongs to another clock.
const JUMP_AHEAD: Nanos = 5 * SECOND;

/// One that goes this far back does, too.
const JUMP_BACK: Nanos = SECOND;

/// What became of the packets handed in.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The list of parts changed, or a part's place on the time line.
    pub changed: bool,
    /// Parts begun.
    pub begun: u64,
    /// A part ended: its last blocks are to be written out on a thread that may block.
    pub ended: Vec<Part>,
    /// A part was given up, and why.
    pub failed: Vec<PartError>,
}

/// The file being written.
struct Open {
    part: Part,
    format: Format,
    /// Unwrapped timestamp of its first packet.
    base: i64,
    last: (Nanos, Nanos),
    losses_before: Losses,
}

/// A track being recorded.
pub struct Capture {
    dir: PathBuf,
    syncer: Syncer,
    codec: Codec,
    ssrc: Option<u32>,
    reorder: Reorder<Packet>,
    gate: Gate,
    timestamps: Unwrap32,
    report: Option<(u64, u32)>,
    open: Option<Open>,
    /// What the manifest says of this track.
    pub entry: TrackEntry,
}

impl Capture {
    /// Goes on with `entry`, whose files are in `dir`.
    #[must_use]
    pub fn new(dir: &Path, syncer: &Syncer, codec: Codec, entry: TrackEntry) -> Self {
        Self {
            dir: dir.to_owned(),
            syncer: syncer.clone(),
            codec,
            ssrc: None,
            reorder: Reorder::default(),
            gate: Gate::new(codec),
            timestamps: Unwrap32::default(),
            report: None,
            open: None,
            entry,
        }
    }

    /// Takes a packet that arrived at lesson time `now`.
    pub fn packet(&mut self, bytes: Bytes, now: Nanos, out: &mut Outcome) {
        let Some(header) = Header::parse(&bytes) else { return };
        if header.payload_type != self.codec.payload_type() {
            return;
        }
        if self.ssrc != Some(header.ssrc) {
            self.flush(out);
            self.end_part(out);
            self.begin_stream(header.ssrc);
        }
        self.reorder.push(header.sequence, Packet { header, bytes, arrival: now }, now);
        self.tick(now, out);
    }

    /// Gives up waiting for what is overdue.
    pub fn tick(&mut self, now: Nanos, out: &mut Outcome) {
        while let Some((sequence, packet)) = self.reorder.pop(now) {
            self.in_order(sequence, packet, out);
        }
    }

    /// The publisher's clock: NTP time `ntp` was RTP timestamp `rtp`.
    pub fn report(&mut self, ntp: u64, rtp: u32, out: &mut Outcome) {
        self.report = Some((ntp, rtp));
        let Some(open) = &self.open else { return };
        let media = self.media(open.base, self.timestamps.peek(rtp));
        if let Some(entry) = self.entry.parts.last_mut() {
            out.changed |= entry.timing.report(media, ntp);
        }
    }

    /// Whether the publisher should be asked for a keyframe now.
    pub fn wants_keyframe(&mut self, now: Nanos) -> bool {
        self.codec != Codec::Opus && self.gate.wants_keyframe(now)
    }

    /// When [`tick`](Self::tick) is due although nothing arrives.
    #[must_use]
    pub fn deadline(&self) -> Option<Nanos> {
        self.reorder.deadline()
    }

    /// Ends the part being written, everything held first. What comes later begins another.
    pub fn close(&mut self, out: &mut Outcome) {
        self.flush(out);
        self.end_part(out);
        self.ssrc = None;
    }

    /// Whether a file is being written.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.open.is_some()
    }

    fn flush(&mut self, out: &mut Outcome) {
        while let Some((sequence, packet)) = self.reorder.pop_held() {
            self.in_order(sequence, packet, out);
        }
    }

    fn begin_stream(&mut self, ssrc: u32) {
        self.ssrc = Some(ssrc);
        self.reorder = Reorder::default();
        self.gate = Gate::new(self.codec);
        self.timestamps = Unwrap32::default();
        self.report = None;
    }

    fn in_order(&mut self, sequence: i64, packet: Packet, out: &mut Outcome) {
        if self.codec == Codec::Opus {
            if !packet.header.payload(&packet.bytes).is_empty() {
                self.write(Frame { packets: vec![packet], keyframe: Some(Format::default()) }, out);
            }
            return;
        }
        for frame in self.gate.push(sequence, packet) {
            self.write(frame, out);
        }
    }

    fn write(&mut self, frame: Frame, out: &mut Outcome) {
        let Some(first) = frame.packets.first() else { return };
        let arrival = first.arrival;
        let timestamp = self.timestamps.extend(first.header.timestamp);
        let jumped = self.open.as_ref().is_some_and(|open| {
            let (media, time) = open.last;
            let ahead = self.media(open.base, timestamp) - media;
            ahead < -JUMP_BACK || ahead - (arrival - time) > JUMP_AHEAD
        });
        let new_format = match (&self.open, &frame.keyframe) {
            (Some(open), Some(format)) => open.format != *format,
            _ => false,
        };
        if jumped || new_format {
            self.end_part(out);
        }
        if self.open.is_none() {
            let Some(format) = frame.keyframe else {
                self.gate.close();
                return;
            };
            if let Err(error) = self.begin_part(format, timestamp, arrival, out) {
                self.gate.close();
                out.failed.push(error);
                return;
            }
        }
        self.append(frame.packets, timestamp, arrival, out);
    }

    fn append(&mut self, packets: Vec<Packet>, timestamp: i64, arrival: Nanos, out: &mut Outcome) {
        let rate = self.codec.clock_rate();
        let Some(open) = &mut self.open else { return };
        let media = ticks_to_nanos(timestamp - open.base, rate);
        open.last = (media, arrival);
        if let Some(entry) = self.entry.parts.last_mut() {
            entry.reaches(media);
        }
        let pushed = packets.into_iter().try_for_each(|p| {
            if let Some(entry) = self.entry.parts.last_mut() {
                out.changed |= entry.timing.packet(media, p.arrival);
            }
            open.part.push(p.bytes, media)
        });
        if let Err(error) = pushed {
            self.open = None;
            self.gate.close();
            out.changed = true;
            out.failed.push(error);
        }
    }

    fn begin_part(
        &mut self,
        format: Format,
        base: i64,
        arrival: Nanos,
        out: &mut Outcome,
    ) -> Result<(), PartError> {
        let (file, part) = self.create()?;
        let mut entry = PartEntry {
            file,
            codec: self.codec,
            width: format.width,
            height: format.height,
            ssrc: self.ssrc.unwrap_or_default(),
            timing: Default::default(),
            end_ns: 0,
            gaps: Vec::new(),
            lost_packets: 0,
            dropped_frames: 0,
        };
        entry.timing.packet(0, arrival);
        if let Some((ntp, rtp)) = self.report {
            entry.timing.report(self.media(base, self.timestamps.peek(rtp)), ntp);
        }
        self.entry.parts.push(entry);
        let losses_before = self.gate.losses();
        self.open = Some(Open { part, format, base, last: (0, arrival), losses_before });
        out.changed = true;
        out.begun += 1;
        Ok(())
    }

    /// A new file under the first number that is free.
    fn create(&self) -> Result<(String, Part), PartError> {
        let TrackId { member, source } = &self.entry.track;
        for number in self.entry.parts.len() + 1.. {
            let file = format!("{source}.{member}.{number:03}.mkv");
            let path = self.dir.join(&file);
            if !path.exists() {
                return Ok((file, Part::create(&path, self.codec, &self.syncer)?));
            }
        }
        Err(WriteFailure::Other("no file name is free".into()).into())
    }

    fn end_part(&mut self, out: &mut Outcome) {
        let Some(open) = self.open.take() else { return };
        if let Some(entry) = self.entry.parts.last_mut() {
            let losses = self.gate.losses();
            entry.lost_packets = losses.packets - open.losses_before.packets;
            entry.dropped_frames = losses.frames - open.losses_before.frames;
        }
        out.changed = true;
        out.ended.push(open.part);
    }

    fn media(&self, base: i64, timestamp: i64) -> Nanos {
        ticks_to_nanos(timestamp - base, self.codec.clock_rate())
    }
}
