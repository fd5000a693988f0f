//! A node sending one lesson to one viewer: a voice and a camera in three encodings of three
//! temporal layers, which go through allocation, pacer and estimator as in the node.

use super::Dice;
use super::feedback::Receiver;
use super::link::{Link, Packet};
use crate::media::bandwidth::allocation::{Allocation, Grant, Priority, Step, Wish};
use crate::media::bandwidth::{Bandwidth, Feedbacks};
use crate::media::layers::Target;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bit/s of the encodings, headers included.
pub const ENCODINGS: [f64; 3] = [150e3, 500e3, 2000e3];

/// Share of each temporal layer and those below it.
const TEMPORAL: [f64; 3] = [0.5, 0.75, 1.0];

const FRAME_US: i64 = 33_333;
const VOICE_US: i64 = 20_000;
const VOICE_BYTES: usize = 120;
const VOICE_RATE: u64 = 48_000;
const PACKET: usize = 1228;

/// An encoder answers a request for a keyframe this late, with one this much larger than other
/// frames.
const KEYFRAME_US: i64 = 150_000;
const KEYFRAME_SIZE: f64 = 6.0;

/// Receivers report, and the allocation is renewed, this often.
const FEEDBACK_US: i64 = 50_000;
const ALLOCATE_US: i64 = 50_000;

/// What a viewer sees, and what it did to the line.
#[derive(Debug, Default)]
pub struct Seen {
    /// (when, which) of each change of what is wanted.
    pub wanted: Vec<(i64, Option<Target>)>,
    /// When the first packet of each frame came.
    pub frames: Vec<i64>,
    /// (when, µs) of the longest queue met in each 100 ms.
    pub queue: Vec<(i64, i64)>,
    /// (when, estimate).
    pub estimates: Vec<(i64, u64)>,
    pub padding: usize,
    pub sent: usize,
}

impl Seen {
    /// Changes of what is wanted after `from`.
    pub fn switches(&self, from_s: f64) -> usize {
        self.wanted.iter().filter(|(at, _)| *at as f64 / 1e6 > from_s).count()
    }

    /// What was wanted at a time.
    pub fn at(&self, seconds: f64) -> Option<Target> {
        let before = self.wanted.iter().rev().find(|(at, _)| *at as f64 <= seconds * 1e6);
        before.and_then(|(_, target)| *target)
    }

    pub fn longest_queue(&self, from_s: f64, to_s: f64) -> i64 {
        let within = |at: i64| (from_s..to_s).contains(&(at as f64 / 1e6));
        self.queue.iter().filter(|(at, _)| within(*at)).map(|(_, q)| q / 1000).max().unwrap_or(0)
    }

    /// The longest time without a new frame, in ms.
    pub fn longest_freeze(&self, from_s: f64) -> i64 {
        let later = self.frames.iter().filter(|at| **at as f64 > from_s * 1e6);
        let later: Vec<i64> = later.copied().collect();
        later.windows(2).map(|w| (w[1] - w[0]) / 1000).max().unwrap_or(i64::MAX)
    }

    pub fn estimate_at(&self, seconds: f64) -> u64 {
        let before = self.estimates.iter().rev().find(|(at, _)| *at as f64 <= seconds * 1e6);
        before.map_or(0, |(_, estimate)| *estimate)
    }
}

pub struct Viewer {
    flow: usize,
    pub bandwidth: Bandwidth,
    allocation: Allocation,
    grants: Vec<Grant>,
    receiver: Receiver,
    dice: Dice,
    epoch: Instant,
    /// What is wanted, what is sent, and when the keyframe it waits for comes.
    wanted: Option<Target>,
    sent: Option<Target>,
    keyframe_at: Option<i64>,
    frame: u64,
    waiting: VecDeque<(i64, Packet)>,
    feedback: VecDeque<(i64, Vec<u8>)>,
    next_voice: i64,
    next_frame: i64,
    next_feedback: i64,
    next_allocation: i64,
    next_timeout: i64,
    /// For receiver reports: numbers sent, the highest seen, that told of, packets since then.
    sent_packets: u16,
    highest: u16,
    told: u16,
    received_packets: u64,
    newest_frame: u64,
    next_report: i64,
    feedbacks: Feedbacks,
    /// There is something to probe with.
    pub pads: bool,
    pub seen: Seen,
}

impl Viewer {
    pub fn new(flow: usize, start: u64, feedbacks: Feedbacks, from: i64, seed: u64) -> Self {
        let epoch = Instant::now();
        let now = epoch + Duration::from_micros(from as u64);
        let odd = flow as i64 * 7_000;
        Self {
            flow,
            bandwidth: Bandwidth::new(start, feedbacks, now),
            allocation: Allocation::default(),
            grants: Vec::new(),
            receiver: Receiver::default(),
            dice: Dice::new(seed ^ 0xabcd ^ flow as u64),
            epoch,
            wanted: None,
            sent: None,
            keyframe_at: None,
            frame: 0,
            waiting: VecDeque::new(),
            feedback: VecDeque::new(),
            next_voice: from,
            next_frame: from + odd,
            next_feedback: from + odd,
            next_allocation: from,
            next_timeout: from,
            sent_packets: 0,
            highest: 0,
            told: 0,
            received_packets: 0,
            newest_frame: 0,
            next_report: from + 1_000_000,
            feedbacks,
            pads: true,
            seen: Seen::default(),
        }
    }

    fn instant(&self, us: i64) -> Instant {
        self.epoch + Duration::from_micros(us as u64)
    }

    /// One millisecond of the node.
    pub fn run(&mut self, link: &mut Link, now: i64) {
        while let Some((at, _)) = self.feedback.front().filter(|(at, _)| *at <= now) {
            let at = self.instant(*at);
            let (_, fci) = self.feedback.pop_front().unwrap();
            if self.bandwidth.on_feedback(&fci, at).unwrap() {
                self.next_allocation = now;
            }
        }
        if now >= self.next_allocation {
            self.next_allocation = now + ALLOCATE_US;
            self.allocate(now);
        }
        if now >= self.next_voice {
            self.next_voice += VOICE_US;
            self.send(link, VOICE_BYTES, None, now);
        }
        if now >= self.next_frame {
            self.next_frame += FRAME_US;
            self.frame(link, now);
        }
        self.release(link, now);
        if now >= self.next_timeout {
            let at = self.instant(now);
            let mut padding = self.bandwidth.handle_timeout(at);
            while padding > 0 && self.pads {
                let bytes = padding.clamp(60, PACKET);
                self.send(link, bytes, None, now);
                self.seen.padding += bytes;
                padding = padding.saturating_sub(bytes);
            }
            let next = self.bandwidth.poll_timeout(at) - self.epoch;
            self.next_timeout = (next.as_micros() as i64).max(now + 1000);
        }
    }

    /// A packet came through the line.
    pub fn arrive(&mut self, packet: Packet, at: i64) {
        self.receiver.arrived(packet.sequence, at);
        self.received_packets += 1;
        self.highest = packet.sequence;
        if let Some(frame) = packet.frame
            && frame > self.newest_frame
        {
            self.newest_frame = frame;
            self.seen.frames.push(at);
        }
    }

    /// The viewer's half: tells what it got.
    pub fn tell(&mut self, link: &Link, now: i64) {
        if now < self.next_feedback {
            return;
        }
        self.next_feedback += FEEDBACK_US;
        let deaf = link.conditions.deaf.iter().any(|times| times.contains(&now));
        if self.feedbacks == Feedbacks::Reports {
            if now >= self.next_report {
                self.next_report += 1_000_000;
                let expected = u64::from(self.highest.wrapping_sub(self.told));
                self.told = self.highest;
                let lost = expected.saturating_sub(std::mem::take(&mut self.received_packets));
                let fraction = (lost * 256).checked_div(expected).unwrap_or(0).min(255);
                self.bandwidth.on_report(fraction as u8, self.instant(now));
            }
            return;
        }
        if let Some(fci) = self.receiver.report()
            && !deaf
        {
            self.feedback.push_back((now + link.conditions.delay_us, fci));
        }
    }

    fn allocate(&mut self, now: i64) {
        let mut steps = Vec::new();
        for (encoding, rate) in ENCODINGS.iter().enumerate() {
            for (temporal, share) in TEMPORAL.iter().enumerate() {
                let (encoding, temporal) = (encoding as u8, temporal as u8);
                let rate = self.dice.around(rate * share, 0.03) as u64;
                steps.push(Step { target: Target { encoding, spatial: 0, temporal }, rate });
            }
        }
        let voice = [Step { target: Target::ALL, rate: VOICE_RATE }];
        let wishes = [
            Wish { source: 1, priority: Priority::TeacherAudio, steps: &voice },
            Wish { source: 2, priority: Priority::TeacherCamera, steps: &steps },
        ];
        let (estimate, at) = (self.bandwidth.estimate(), self.instant(now));
        let outlook = self.allocation.allocate(estimate, &wishes, at, &mut self.grants);
        self.bandwidth.set_wanted(outlook.wanted);
        self.next_timeout = self.next_timeout.min(now + 1000);
        self.seen.estimates.push((now, estimate));
        let target = self.grants[1].target;
        if target != self.wanted {
            self.wanted = target;
            self.seen.wanted.push((now, target));
            let other = target.map(|t| t.encoding) != self.sent.map(|t| t.encoding);
            self.keyframe_at = (other && target.is_some()).then_some(now + KEYFRAME_US);
        }
    }

    fn frame(&mut self, link: &mut Link, now: i64) {
        self.frame += 1;
        let keyframe = self.keyframe_at.is_some_and(|at| now >= at);
        let Some(wanted) = self.wanted else {
            self.sent = None;
            return;
        };
        if keyframe {
            self.keyframe_at = None;
            self.sent = Some(wanted);
        }
        let Some(sent) = &mut self.sent else { return };
        if sent.encoding == wanted.encoding {
            sent.temporal = wanted.temporal;
        } else if sent.encoding > wanted.encoding {
            // Until the humbler encoding begins: what the picture needs, or nothing.
            if self.bandwidth.is_congested() {
                return;
            }
            sent.temporal = 0;
        }
        let layer = [0u8, 2, 1, 2][self.frame as usize % 4];
        if layer > sent.temporal && !keyframe {
            return;
        }
        let mean = ENCODINGS[usize::from(sent.encoding)] * FRAME_US as f64 / 8e6;
        let share = [2.0, 1.0, 0.5][usize::from(layer)];
        let size = if keyframe { mean * KEYFRAME_SIZE } else { mean * share };
        let bytes = self.dice.around(size, 0.2) as usize;
        let at = self.instant(now);
        let at_once = self.waiting.is_empty() && self.bandwidth.pacer().admits(bytes, at);
        let packets = bytes.div_ceil(PACKET).max(1);
        for n in 0..packets {
            let size = bytes / packets + usize::from(n < bytes % packets);
            if at_once {
                self.send(link, size, Some(self.frame), now);
            } else {
                let (flow, frame) = (self.flow, Some(self.frame));
                self.waiting.push_back((now, Packet { flow, sequence: 0, bytes: size, frame }));
            }
        }
    }

    fn release(&mut self, link: &mut Link, now: i64) {
        let Some((oldest, _)) = self.waiting.front() else { return };
        let (oldest, at) = (self.instant(*oldest), self.instant(now));
        let waiting = self.waiting.iter().map(|(_, p)| p.bytes).sum();
        let mut budget = self.bandwidth.pacer().budget(waiting, oldest, at);
        while let Some((_, packet)) = self.waiting.front()
            && packet.bytes <= budget
        {
            budget -= packet.bytes;
            let packet = *packet;
            self.waiting.pop_front();
            self.send(link, packet.bytes, packet.frame, now);
        }
    }

    fn send(&mut self, link: &mut Link, bytes: usize, frame: Option<u64>, now: i64) {
        let waits = link.queue_us(now);
        match self.seen.queue.last_mut() {
            Some((at, longest)) if now - *at < 100_000 => *longest = waits.max(*longest),
            _ => self.seen.queue.push((now, waits)),
        }
        let at = self.instant(now);
        let sequence = if self.feedbacks == Feedbacks::TransportWide {
            let sequence = self.bandwidth.next_sequence();
            self.bandwidth.on_sent(sequence, bytes, at);
            sequence
        } else {
            self.bandwidth.on_sent_unnumbered(bytes);
            self.sent_packets = self.sent_packets.wrapping_add(1);
            self.sent_packets
        };
        self.seen.sent += bytes;
        link.send(Packet { flow: self.flow, sequence, bytes, frame }, now);
    }
}
