//! A trunk: a teacher's voice and picture, an allocator that picks a size of the picture by the
//! estimate, and QUIC as far as it matters here: windows, packets that are found to be lost,
//! frames that are sent again and given up.

use super::super::MediaController;
use super::Sender;
use crate::pacer::Pacer;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Bytes of IP, UDP and QUIC around what a packet carries.
const HEAD: usize = 64;
const PIECE: usize = 1136;
const AUDIO: usize = 128;

/// A copy goes so long after the first.
const APART: Duration = Duration::from_millis(30);

/// What a trunk has to send.
#[derive(Debug, Clone)]
pub struct Source {
    /// Sizes of the picture, in bit/s, from the smallest on.
    pub layers: Vec<f64>,
    pub one_way: Duration,
}

impl Source {
    pub fn one(rate: f64, one_way: Duration) -> Self {
        Self { layers: vec![rate], one_way }
    }

    pub fn ladder(one_way: Duration) -> Self {
        Self { layers: vec![150e3, 500e3, 1200e3, 2000e3], one_way }
    }
}

#[derive(Debug, Clone, Copy)]
enum Load {
    /// A packet of audio and how many before it.
    Audio(usize, usize),
    /// Of a frame, which.
    Piece(usize, usize),
    Padding,
}

struct Flying {
    at: Instant,
    size: usize,
    load: Load,
}

struct Frame {
    born: Instant,
    layer: usize,
    /// Pieces that have not arrived.
    missing: Vec<bool>,
    through: Option<Instant>,
    /// Pieces not acknowledged, and how many.
    unacked: Vec<bool>,
    open: usize,
    over: bool,
    key: bool,
}

/// What became of what was sent.
#[derive(Debug, Clone, Default)]
#[allow(dead_code)] // All of it is printed.
pub struct Report {
    pub audio: f64,
    pub video: f64,
    /// Of the frames that came in time those that could be shown in time: all back to a
    /// keyframe were there.
    pub shown: f64,
    pub keyframes_p95: Duration,
    pub frames_p95: Duration,
    pub frames: usize,
    pub skipped: usize,
    /// Bytes of audio and video that arrived in bit/s.
    pub media: f64,
    /// Bytes sent, in bit/s, padding included.
    pub sent: f64,
    pub padding: f64,
    pub switches: usize,
}

pub struct Trunk {
    pub controller: MediaController,
    source: Source,
    start: Instant,
    layer: usize,
    fits_since: Option<Instant>,
    needs_key: Option<Instant>,
    behind: bool,
    pacer: Pacer,
    next: u64,
    largest_acked: u64,
    flying: BTreeMap<u64, Flying>,
    in_flight: usize,
    rtt: Duration,
    quic_tokens: f64,
    quic_at: Instant,
    heard: Instant,
    probes: u32,
    audio_waiting: VecDeque<usize>,
    again: VecDeque<(usize, usize)>,
    /// Pieces of frames in front of QUIC and in it: which, and of how many bytes.
    held: VecDeque<(usize, usize, usize)>,
    pieces: VecDeque<(usize, usize, usize)>,
    /// Pieces that are sent once more, and from when on.
    copies: VecDeque<(Instant, usize, usize, usize)>,
    audio: Vec<(Instant, Option<Instant>)>,
    frames: Vec<Frame>,
    newest_through: Option<Instant>,
    padding: usize,
    padding_debt: f64,
    sent: Vec<(Instant, usize, bool)>,
    loads: BTreeMap<u64, Load>,
    /// When the picture's size changed, and to which.
    pub changes: Vec<(Duration, usize)>,
    pub estimates: Vec<f64>,
}

impl Trunk {
    pub fn new(start: Instant, source: Source) -> Self {
        Self {
            controller: MediaController::new(start, 1200),
            layer: source.layers.len() - 1,
            source,
            start,
            fits_since: None,
            needs_key: None,
            behind: false,
            pacer: Pacer::new(start),
            next: 0,
            largest_acked: 0,
            flying: BTreeMap::new(),
            in_flight: 0,
            rtt: Duration::from_millis(333),
            quic_tokens: 12_000.0,
            quic_at: start,
            heard: start,
            probes: 0,
            audio_waiting: VecDeque::new(),
            again: VecDeque::new(),
            held: VecDeque::new(),
            pieces: VecDeque::new(),
            copies: VecDeque::new(),
            audio: Vec::new(),
            frames: Vec::new(),
            newest_through: None,
            padding: 0,
            padding_debt: 0.0,
            sent: Vec::new(),
            loads: BTreeMap::new(),
            changes: Vec::new(),
            estimates: Vec::new(),
        }
    }

    fn deadline(&self) -> Duration {
        self.controller.state().deadline()
    }

    /// The picture's size.
    pub fn layer_at(&self, seconds: f64) -> f64 {
        let at = Duration::from_secs_f64(seconds);
        let change = self.changes.iter().rev().find(|(t, _)| *t <= at);
        self.source.layers[change.map_or(self.source.layers.len() - 1, |(_, layer)| *layer)]
    }

    /// When a first packet of audio and a whole frame that were sent after `seconds` arrived.
    pub fn first_after(&self, seconds: f64) -> [Option<f64>; 2] {
        let since = self.start + Duration::from_secs_f64(seconds);
        let late = |at: Instant| (at.saturating_duration_since(since)).as_secs_f64();
        let audio = self.audio.iter().filter_map(|(_, there)| *there).filter(|t| *t > since).min();
        let frame = self.frames.iter().filter_map(|f| f.through).filter(|t| *t > since).min();
        [audio.map(late), frame.map(late)]
    }

    /// What became of what was sent between these seconds, those of outages left out.
    pub fn report(&self, from: f64, to: f64, without: &[(f64, f64)]) -> Report {
        let counts = |at: Instant| {
            let seconds = (at - self.start).as_secs_f64();
            (from..to).contains(&seconds)
                && !without.iter().any(|(a, b)| (*a - 0.1..*b).contains(&seconds))
        };
        let limit = self.source.one_way
            + if self.source.one_way > Duration::from_millis(200) {
                Duration::from_millis(900)
            } else {
                Duration::from_millis(400)
            };
        let share = |good: usize, all: usize| good as f64 / all.max(1) as f64;
        let audio: Vec<_> = self.audio.iter().filter(|(at, _)| counts(*at)).collect();
        let in_time = audio.iter().filter(|(at, there)| there.is_some_and(|t| t - *at <= limit));
        let frames: Vec<_> = self.frames.iter().filter(|f| counts(f.born)).collect();
        let good = |f: &&&Frame| f.through.is_some_and(|t| t - f.born <= limit);
        let mut waits_for = None;
        let could_be_shown: Vec<bool> = self
            .frames
            .iter()
            .map(|f| {
                waits_for =
                    if f.key { f.through } else { waits_for.zip(f.through).map(|(a, b)| a.max(b)) };
                waits_for.is_some_and(|at| at - f.born <= limit)
            })
            .collect();
        let shown =
            self.frames.iter().zip(&could_be_shown).filter(|(f, ok)| counts(f.born) && **ok);
        let p95 = |keys: bool| {
            let mut ages: Vec<_> = frames
                .iter()
                .filter(|f| f.key == keys)
                .map(|f| f.through.map_or(Duration::from_secs(9), |t| t - f.born))
                .collect();
            ages.sort();
            ages.get(ages.len() * 95 / 100).copied().unwrap_or_default()
        };
        let sent: usize = self.sent.iter().filter(|(at, ..)| counts(*at)).map(|(_, s, _)| s).sum();
        let padding: usize =
            self.sent.iter().filter(|(at, _, p)| *p && counts(*at)).map(|(_, s, _)| s).sum();
        let media: f64 =
            frames.iter().filter(good).map(|f| self.source.layers[f.layer] / 30.0).sum::<f64>();
        let switches = self.changes.iter().filter(|(at, _)| counts(self.start + *at)).count();
        Report {
            audio: share(in_time.count(), audio.len()),
            video: share(frames.iter().filter(good).count(), frames.len()),
            shown: share(shown.count(), frames.len()),
            keyframes_p95: p95(true),
            frames_p95: p95(false),
            frames: frames.len(),
            skipped: frames.iter().filter(|f| f.over && f.through.is_none()).count(),
            media: media / (to - from),
            sent: sent as f64 * 8.0 / (to - from),
            padding: padding as f64 * 8.0 / (to - from),
            switches,
        }
    }

    /// Sizes as an allocator chooses them: down at once, up when it has fitted for a while.
    fn allocate(&mut self, now: Instant) {
        let layers = &self.source.layers;
        let need = |layer: f64| layer * 1.1 + 90e3;
        let top = layers[layers.len() - 1];
        self.controller.on_want(need(top) / 8.0);
        let estimate = self.controller.state().estimate as f64;
        let fits = layers.iter().rposition(|l| need(*l) <= estimate).unwrap_or(0);
        let fits_well = layers.iter().rposition(|l| need(*l) * 1.1 <= estimate).unwrap_or(0);
        let before = self.layer;
        if fits < self.layer {
            self.layer = fits;
        } else if fits_well > self.layer {
            let since = *self.fits_since.get_or_insert(now);
            if now - since > Duration::from_millis(1000) {
                self.layer = fits_well;
            }
        } else {
            self.fits_since = None;
        }
        if self.layer < before {
            // What is given up is broken off.
            self.frames.iter_mut().filter(|f| f.open > 0).for_each(|f| f.over = true);
        }
        if self.layer != before {
            self.fits_since = None;
            self.needs_key = Some(now + Duration::from_millis(150));
            self.changes.push((now - self.start, self.layer));
        }
    }

    fn frame(&mut self, now: Instant, number: u64) {
        let asked = self.needs_key.is_some_and(|at| at <= now);
        let key = number.is_multiple_of(120) || asked;
        let bytes = self.source.layers[self.layer] / 8.0 / 30.0;
        // 2 Mbit/s: 7 packets, and a keyframe of 45.
        let bytes = if key { bytes * 5.5 } else { bytes * 0.93 };
        let born = self.newest_through.map_or(now, |n| n);
        let oldest = self.frames.iter().rev().take(60).filter(|f| f.open > 0 && !f.over);
        let oldest = oldest.map(|f| f.born).min();
        let lag = oldest.map_or(Duration::ZERO, |oldest| now - oldest.max(born));
        let rtt = self.rtt.max(self.controller.state().rtt);
        let draining = self.controller.orders().draining;
        if draining {
            self.frames.iter_mut().filter(|f| f.open > 0).for_each(|f| f.over = true);
        }
        let late = draining || lag > rtt + Duration::from_millis(200);
        let pieces = (bytes / PIECE as f64).ceil() as usize;
        let leave_out = if key { late } else { late || self.behind };
        self.behind = leave_out;
        if leave_out && self.needs_key.is_none() {
            self.needs_key = Some(now + Duration::from_millis(150));
        }
        if key && !leave_out {
            self.needs_key = None;
        }
        let id = self.frames.len();
        self.frames.push(Frame {
            born: now,
            layer: self.layer,
            missing: vec![true; pieces],
            through: None,
            unacked: vec![true; pieces],
            open: if leave_out { 0 } else { pieces },
            over: leave_out,
            key,
        });
        if !leave_out {
            let mut left = bytes as usize;
            for piece in 0..pieces {
                let size = left.min(PIECE);
                left -= size;
                self.held.push_back((id, piece, size.max(20)));
            }
        }
    }

    /// Lets frames into QUIC as the pacer does.
    fn release(&mut self, now: Instant) {
        let rate = self.controller.send_rate();
        let whole = self.controller.orders().whole_frames();
        let frames = &self.frames;
        self.held.retain(|(id, ..)| !frames[*id].over);
        while let Some((id, ..)) = self.held.front().copied() {
            if self.pacer.room(now, rate, whole).is_err() {
                return;
            }
            while let Some(next) = self.held.front().copied().filter(|(next, ..)| *next == id) {
                self.held.pop_front();
                self.pieces.push_back(next);
                self.pacer.spent(next.2 + HEAD);
                if !whole {
                    break;
                }
            }
        }
        if !self.controller.orders().shared {
            self.copies.clear();
        }
        while let Some((due, id, piece, size)) = self.copies.front().copied() {
            if due > now || self.pacer.room(now, rate, false).is_err() {
                return;
            }
            self.copies.pop_front();
            if !self.frames[id].over && self.frames[id].unacked[piece] {
                self.again.push_back((id, piece));
                self.pacer.spent(size + HEAD);
                self.padding_debt -= (size + HEAD) as f64;
            }
        }
    }

    fn lose(&mut self, now: Instant) {
        let largest = self.largest_acked;
        let before = now - self.rtt.mul_f64(1.125).max(Duration::from_millis(2));
        let lost: Vec<u64> = self
            .flying
            .range(..largest)
            .filter(|(number, f)| **number + 3 <= largest || f.at < before)
            .map(|(number, _)| *number)
            .collect();
        let mut bytes = 0;
        let mut latest = None;
        for number in lost {
            let Flying { at, size, load } = self.flying.remove(&number).unwrap();
            self.in_flight -= size;
            bytes += size;
            latest = Some(at);
            if let Load::Piece(id, piece) = load
                && !self.frames[id].over
                && self.frames[id].unacked[piece]
            {
                self.again.push_back((id, piece));
            }
        }
        if let Some(at) = latest {
            self.controller.on_lost(now, at, bytes as u64);
        }
    }

    fn repeats(&self) -> usize {
        self.controller.orders().repeats()
    }

    fn next_load(&mut self, now: Instant) -> Option<(Load, usize)> {
        if let Some(n) = self.audio_waiting.pop_front() {
            let repeats = self.repeats();
            return Some((Load::Audio(n, repeats), HEAD + AUDIO * (1 + repeats)));
        }
        while let Some((id, piece)) = self.again.pop_front() {
            if !self.frames[id].over {
                return Some((Load::Piece(id, piece), HEAD + PIECE));
            }
        }
        while let Some((id, piece, size)) = self.pieces.pop_front() {
            if !self.frames[id].over {
                self.copies.push_back((now + APART, id, piece, size));
                return Some((Load::Piece(id, piece), HEAD + size));
            }
        }
        if self.padding >= 1200 {
            self.padding -= 1200;
            return Some((Load::Padding, 1200));
        }
        None
    }

    fn has_load(&self) -> bool {
        !(self.audio_waiting.is_empty() && self.again.is_empty() && self.pieces.is_empty())
            || self.padding >= 1200
    }
}

impl Sender for Trunk {
    fn poll(&mut self, now: Instant) -> Option<(u64, usize)> {
        let window = self.controller.window(now) as f64;
        let passed = (now - self.quic_at).as_secs_f64();
        let rtt = self.rtt.as_secs_f64();
        let capacity = (window * 0.002 / rtt).clamp(12_000.0, 300_000.0);
        self.quic_at = now;
        self.quic_tokens = (self.quic_tokens + 1.25 * window * passed / rtt).min(capacity);
        let pto = self.rtt.mul_f64(1.5) + Duration::from_millis(45);
        let probing = self.in_flight > 0 && now - self.heard > pto * 2u32.pow(self.probes.min(10));
        if probing {
            self.probes += 1;
        } else if self.in_flight as f64 + 1200.0 >= window || self.quic_tokens < 1200.0 {
            return None;
        }
        if !self.has_load() && !probing {
            return None;
        }
        let (load, size) = self.next_load(now).unwrap_or((Load::Padding, 100));
        let number = self.next;
        self.next += 1;
        self.quic_tokens -= size as f64;
        self.in_flight += size;
        self.flying.insert(number, Flying { at: now, size, load });
        self.loads.insert(number, load);
        self.controller.on_sent(now, size as u64);
        self.sent.push((now, size, matches!(load, Load::Padding)));
        self.padding_debt -= size as f64;
        Some((number, size))
    }

    fn arrives(&mut self, now: Instant, number: u64) {
        match self.loads.remove(&number) {
            Some(Load::Audio(n, repeats)) => {
                for n in n.saturating_sub(repeats)..=n {
                    self.audio[n].1.get_or_insert(now);
                }
            }
            Some(Load::Piece(id, piece)) => {
                let frame = &mut self.frames[id];
                frame.missing[piece] = false;
                if !frame.missing.contains(&true) {
                    frame.through.get_or_insert(now);
                }
            }
            Some(Load::Padding) | None => {}
        }
    }

    fn acked(&mut self, now: Instant, numbers: &[u64]) {
        self.heard = now;
        self.probes = 0;
        for number in numbers {
            let Some(Flying { at, size, load }) = self.flying.remove(number) else { continue };
            self.largest_acked = self.largest_acked.max(*number);
            self.in_flight -= size;
            self.rtt = self.rtt.mul_f64(0.875) + (now - at).mul_f64(0.125);
            self.controller.on_ack(now, at, size as u64);
            if let Load::Piece(id, piece) = load {
                let frame = &mut self.frames[id];
                let first = std::mem::replace(&mut frame.unacked[piece], false);
                frame.open = frame.open.saturating_sub(usize::from(first));
                if first && frame.open == 0 {
                    let born = Some(frame.born);
                    self.newest_through = self.newest_through.max(born);
                }
            }
        }
        self.controller.on_acks_end(now, self.in_flight as u64);
        self.lose(now);
    }

    fn tick(&mut self, now: Instant) {
        let ms = (now - self.start).as_millis() as u64;
        if ms.is_multiple_of(20) {
            self.audio_waiting.push_back(self.audio.len());
            self.audio.push((now, None));
            self.pacer.spent(HEAD + AUDIO * (1 + self.repeats()));
            // What has stood for a tenth of a second is old.
            while self.audio_waiting.len() > 5 {
                self.audio_waiting.pop_front();
            }
        }
        if ms.is_multiple_of(100) {
            self.allocate(now);
            self.estimates.push(self.controller.state().estimate as f64);
        }
        // Thirty a second.
        if ms * 30 / 1000 != (ms + 1) * 30 / 1000 {
            self.frame(now, ms * 30 / 1000);
        }
        let deadline = self.deadline();
        let from = self.frames.len().saturating_sub(90);
        for frame in &mut self.frames[from..] {
            if frame.open > 0 && !frame.over && now - frame.born > deadline {
                frame.over = true;
            }
        }
        self.release(now);
        let pad_to = self.controller.pad_to();
        self.padding_debt = (self.padding_debt + pad_to / 1000.0).clamp(-30_000.0, 3_000.0);
        if pad_to > 0.0 && self.padding_debt >= 1200.0 && self.held.is_empty() && !self.has_load() {
            self.padding = 1200;
        } else if pad_to == 0.0 {
            self.padding = 0;
            self.padding_debt = 0.0;
        }
    }
}
