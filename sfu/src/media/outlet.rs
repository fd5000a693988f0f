//! Where a track goes besides this shard's own viewers: whole to another shard, or up a trunk in
//! the one form that was chosen for it.
//!
//! What goes up a trunk is one stream to its receiver, whatever it is made of: encodings and
//! layers change, and a publisher comes back, without a gap or a jump in its numbers. What the
//! form should be is decided elsewhere; here it is carried out, and reported what each form
//! would take.

use super::batch::{Parts, TrackBatch};
use super::egress::{Egress, Epoch, Outgoing};
use super::encoding::{OVERHEAD, TRUNK_REPLAY_PACKETS};
use super::gate::{Gate, Through};
use super::gathered::{Due, Said};
use super::lane::{Lane, ShardLane, TrunkLane};
use super::layers::Target;
use super::track::{Feed, Fresh, Track};
use crate::media::bandwidth::allocation::Step;
use crate::peer::MAX_ENCODINGS;
use cloudschool_protocol::media::{Codec, Kind};
use std::time::{Duration, Instant};

/// How often an outlet tells what its track could be sent as.
const OFFER_INTERVAL: Duration = Duration::from_millis(250);

/// Of a picture that stands, a new one is asked for after this: with the encoder's time and the
/// line's, which takes longer for one that is larger than the one before, another is there
/// within three seconds.
const STILL_INTERVAL: Duration = Duration::from_millis(1800);

/// Stills take no more of a line than this, in bit/s: what a line of 300 kbit/s has beside sound.
/// Larger ones come less often, yet as often as this.
const STILLS_MOST: u64 = 170_000;
const STILL_RARELY: Duration = Duration::from_secs(8);

/// After which one that did not get through is given up.
pub const STILL_DEADLINE: Duration = STILL_RARELY;

/// Keyframes that come sooner than so long before one is due, for others, are left out: the line
/// is too thin for them.
const STILL_EARLY: Duration = Duration::from_millis(500);

/// How often a still is asked for that does not come.
const STILL_AGAIN: Duration = Duration::from_millis(500);

/// A batch begins with room for as many packets of the usual size as may come, and no more than
/// this.
const ROOM: usize = 64;
const USUAL_PAYLOAD: usize = 1150;

/// Names an outlet of a track, so that it can be changed and taken off again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutletId(pub u64);

/// In which form a track goes up a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Showing {
    /// The encoding of the highest rate that is being sent, all of it.
    #[default]
    Best,
    /// These layers.
    Layers(Target),
    /// Keyframes of this encoding alone, one every [`still_interval`].
    Stills(u8),
    /// Nothing.
    Off,
}

/// What a track could be sent as, and what each way takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// From the humblest to the best. A rate of 0 is not known yet.
    pub steps: Vec<Step>,
    /// Keyframes alone.
    pub stills: Vec<Still>,
}

/// The keyframes of an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Still {
    pub encoding: u8,
    /// Bit/s of one every [`still_interval`].
    pub rate: u64,
}

/// Where a track's packets go besides this shard's own viewers.
#[derive(Debug)]
pub struct Outlet {
    pub id: OutletId,
    pub lane: Lane,
    /// Only what may be heard goes this way.
    pub gate: Option<Box<Gate>>,
    /// In which form; another shard gets all.
    showing: Showing,
    /// Of video up a trunk.
    line: Option<Box<Line>>,
    next_offer: Option<Instant>,
}

/// The stream a trunk gets of a video track.
#[derive(Debug)]
struct Line {
    egress: Egress,
    ssrc: u32,
    /// What the newest packet was of.
    epoch: Option<Epoch>,
    still: Option<Going>,
    /// When one was asked for.
    asked: Option<Instant>,
    /// Another source begun: its clock goes along.
    clock_due: bool,
}

/// The still that is going through, or has last.
#[derive(Debug, Clone, Copy)]
struct Going {
    /// Its source and timestamp.
    part: (Epoch, u32),
    began: Instant,
    /// IP bytes so far.
    bytes: u32,
}

impl Going {
    /// When the next is due.
    fn next(&self) -> Instant {
        self.began + still_interval(self.bytes)
    }
}

/// What of a turn goes up more than one trunk: made once, and shared.
#[derive(Debug, Default)]
struct Shared {
    sound: Option<Option<TrackBatch>>,
    /// All of an encoding, just as it came.
    pictures: [Option<TrackBatch>; MAX_ENCODINGS],
    /// Room for what a line takes.
    taken: Vec<(Fresh, Outgoing)>,
}

/// How long after one still of so many bytes the next is due.
fn still_interval(bytes: u32) -> Duration {
    let takes = Duration::from_millis(u64::from(bytes) * 8 * 1000 / STILLS_MOST);
    takes.clamp(STILL_INTERVAL, STILL_RARELY)
}

impl Line {
    fn new(kind: Kind, clock_rate: u32) -> Self {
        Self {
            egress: Egress::like_its_source(kind, clock_rate),
            ssrc: rand::random(),
            epoch: None,
            still: None,
            asked: None,
            clock_due: false,
        }
    }

    /// How a packet of the track goes under the line's own numbers, if it is one for it.
    fn take(
        &mut self,
        track: &Track,
        fresh: Fresh,
        stills: bool,
        now: Instant,
    ) -> Option<Outgoing> {
        if !self.egress.takes(fresh.encoding) {
            return None;
        }
        let encoding = track.encoding(fresh.encoding)?;
        let packet = encoding.packet(fresh.number)?;
        let epoch = Epoch { track: track.key, encoding: fresh.encoding, run: encoding.run };
        if stills {
            let part = (epoch, packet.timestamp);
            let bytes = (packet.payload.len() + OVERHEAD) as u32;
            if !self.is_still(part, packet.description.keyframe(), bytes, now) {
                return None;
            }
        }
        let outgoing = self.egress.forward(epoch, encoding.aligned, packet, now)?;
        if self.epoch != Some(epoch) {
            let came_back = |e: Epoch| e.track == epoch.track && e.encoding == epoch.encoding;
            if self.epoch.is_none_or(came_back) {
                self.ssrc = encoding.trunk_ssrc;
            }
            self.epoch = Some(epoch);
            self.clock_due = true;
        }
        Some(outgoing)
    }

    /// Adds what was taken to `batch`. The first makes room for as many as may come.
    fn add(
        &self,
        track: &Track,
        (fresh, outgoing): (Fresh, Outgoing),
        room: usize,
        batch: &mut TrackBatch,
    ) {
        let Some(encoding) = track.encoding(fresh.encoding) else { return };
        let Some(packet) = encoding.packet(fresh.number) else { return };
        let parts = encoding.parts(packet, false);
        let parts = Parts {
            sequence: outgoing.sequence(),
            timestamp: outgoing.timestamp,
            marker: outgoing.marker,
            ssrc: self.ssrc,
            payload: if outgoing.empty { &[] } else { parts.payload },
            ..parts
        };
        if batch.is_empty() {
            batch.reserve(room.min(ROOM), parts.payload.len().max(USUAL_PAYLOAD));
        }
        batch.push_shifted(&parts, outgoing.shift);
    }

    /// Whether a packet is part of a still that goes through now.
    fn is_still(&mut self, part: (Epoch, u32), keyframe: bool, bytes: u32, now: Instant) -> bool {
        if let Some(going) = &mut self.still {
            if going.part == part {
                going.bytes = going.bytes.saturating_add(bytes);
                return true;
            }
            if now + STILL_EARLY < going.next() {
                return false;
            }
        }
        if keyframe {
            // What was left out since the last one leaves no gap.
            self.egress.unmap();
            self.still = Some(Going { part, began: now, bytes });
        }
        keyframe
    }

    /// Whether a still is to be asked for now.
    fn asks_for_still(&mut self, now: Instant) -> bool {
        let due = self.still.is_none_or(|going| going.next() <= now);
        let asks = due && self.asked.is_none_or(|at| now >= at + STILL_AGAIN);
        if asks {
            self.asked = Some(now);
        }
        asks
    }
}

impl Outlet {
    #[must_use]
    pub fn new(id: OutletId, lane: Lane) -> Self {
        Self { id, lane, gate: None, showing: Showing::Best, line: None, next_offer: None }
    }

    /// One of a microphone, towards where the loudest are chosen.
    #[must_use]
    pub fn gated(id: OutletId, lane: Lane) -> Self {
        Self { gate: Some(Box::default()), ..Self::new(id, lane) }
    }

    /// One that sends nothing but offers until it is told what.
    #[must_use]
    pub fn waiting(id: OutletId, lane: Lane) -> Self {
        Self { showing: Showing::Off, ..Self::new(id, lane) }
    }

    /// Whether audio redundancy goes along: viewers of other shards may take it, a trunk
    /// carries the bare codec.
    #[must_use]
    pub fn takes_redundancy(&self) -> bool {
        matches!(self.lane, Lane::Shard(_))
    }

    /// The encodings it has a use for, as a set of bits: what it is to show, and until that
    /// begins what it shows. Another shard tells of its own.
    #[must_use]
    pub fn wanted(&self, track: &Track) -> u8 {
        if matches!(self.lane, Lane::Shard(_)) {
            return 0;
        }
        let shown = self.line.as_ref().and_then(|l| l.egress.showing());
        let shown = shown.map_or(0, |t| 1 << t.encoding);
        match self.showing {
            Showing::Off => 0,
            Showing::Stills(encoding) => 1 << encoding,
            Showing::Layers(Target { encoding, .. }) if encoding != u8::MAX => {
                shown | 1 << encoding
            }
            Showing::Best | Showing::Layers(_) => {
                let best = track.encodings().max_by_key(|(at, e)| (e.rates.all(), *at));
                shown | best.map_or(0, |(at, _)| 1 << at)
            }
        }
    }
}

impl Track {
    /// Hands this turn's packets and clocks to whoever is elsewhere. Returns how many batches
    /// were dropped because a lane was full.
    pub fn feed_outlets(&mut self, now: Instant) -> u64 {
        if self.outlets.is_empty() {
            self.gathered.clear();
            return 0;
        }
        let mut outlets = std::mem::take(&mut self.outlets);
        let due = self.due();
        let mut dropped = 0;
        let mut shared = Shared::default();
        for outlet in &mut outlets {
            if let Some(mut gate) = outlet.gate.take() {
                dropped += self.feed_gated(outlet, &mut gate, now);
                outlet.gate = Some(gate);
                continue;
            }
            dropped += match (&outlet.lane, self.kind, outlet.showing) {
                (Lane::Shard(lane), ..) => self.feed_shard(lane),
                (Lane::Trunk(_), _, Showing::Off) => 0,
                (Lane::Trunk(lane), Kind::Audio, _) => {
                    let sound = shared.sound.get_or_insert_with(|| self.batch_of(0, false));
                    sound.as_ref().map_or(0, |batch| u64::from(!lane.send(batch.clone())))
                }
                (Lane::Trunk(lane), Kind::Video, showing) => {
                    let line = outlet.line.get_or_insert_with(|| self.new_line(showing, now));
                    let feed = |due| self.feed_line(lane, line, showing, due, &mut shared, now);
                    due.as_ref().map_or(0, feed)
                }
            };
        }
        due.into_iter().for_each(|due| self.gathered.reuse(due));
        self.outlets = outlets;
        dropped
    }

    /// What of a picture goes up trunks now.
    fn due(&mut self) -> Option<Due> {
        if self.kind == Kind::Audio {
            return None;
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        let due = gathered.gather(&self.fresh, self.fresh_clocks, |fresh| {
            let packet = self.packet(fresh.encoding, fresh.number)?;
            Some(Said { timestamp: packet.timestamp, marker: packet.marker })
        });
        self.gathered = gathered;
        due
    }

    fn new_line(&self, showing: Showing, now: Instant) -> Box<Line> {
        let codec = self.encodings().next().map_or(Codec::H264, |(_, e)| e.codec);
        let mut line = Line::new(self.kind, codec.clock_rate());
        line.egress.retarget(self.target(showing, now));
        Box::new(line)
    }

    /// What a line goes after to show that.
    fn target(&self, showing: Showing, now: Instant) -> Option<Target> {
        match showing {
            Showing::Off => None,
            Showing::Stills(encoding) => Some(Target::encoding(encoding)),
            Showing::Layers(target) => Some(target),
            Showing::Best => self.best(now).map(Target::encoding).or(Some(Target::ALL)),
        }
    }

    fn feed_shard(&self, lane: &ShardLane) -> u64 {
        let batches = self.encodings().filter_map(|(at, _)| self.batch_of(at, true));
        batches.map(|batch| u64::from(!lane.send(batch))).sum()
    }

    /// This turn's packets of an encoding as they came.
    fn batch_of(&self, at: u8, red: bool) -> Option<TrackBatch> {
        let encoding = self.encoding(at)?;
        let mut batch = TrackBatch::new(self.key, at, encoding.codec);
        if self.fresh_clocks >> at & 1 == 1 {
            batch.clock = encoding.clock();
        }
        let numbers = self.fresh.iter().filter(|f| f.encoding == at).map(|f| f.number);
        encoding.fill(&mut batch, numbers, red);
        (!batch.is_empty()).then_some(batch)
    }

    fn feed_line(
        &mut self,
        lane: &TrunkLane,
        line: &mut Line,
        showing: Showing,
        due: &Due,
        shared: &mut Shared,
        now: Instant,
    ) -> u64 {
        if showing == Showing::Best {
            let best = self.best(now).map(Target::encoding);
            if best.is_some() && line.egress.target() != best {
                line.egress.retarget(best);
            }
        }
        let dropped = self.send_line(lane, line, showing, due, shared, now);
        self.want_for(line, showing, now);
        dropped
    }

    /// Asks for the keyframe a line waits for, again until it comes.
    fn want_for(&mut self, line: &mut Line, showing: Showing, now: Instant) {
        let wanted = match showing {
            Showing::Stills(encoding) => line.asks_for_still(now).then_some(encoding),
            Showing::Off => None,
            Showing::Best | Showing::Layers(_) => line.egress.wants_keyframe_of(),
        };
        if let Some(encoding) = wanted.and_then(|w| self.encoding_mut(w)) {
            encoding.keyframes.want(now);
        }
    }

    fn send_line(
        &self,
        lane: &TrunkLane,
        line: &mut Line,
        showing: Showing,
        Due { packets, clocks }: &Due,
        shared: &mut Shared,
        now: Instant,
    ) -> u64 {
        let codec = self.encodings().next().map(|(_, e)| e.codec);
        let Some(codec) = codec else { return 0 };
        let stills = matches!(showing, Showing::Stills(_));
        let Shared { taken, pictures, .. } = shared;
        taken.clear();
        let take = |f: &Fresh| Some((*f, line.take(self, *f, stills, now)?));
        taken.extend(packets.iter().filter_map(take));
        let as_it_came = self.taken_as_it_came(packets, taken, line.ssrc);
        let as_it_came = as_it_came.and_then(|at| pictures.get_mut(usize::from(at)));
        let mut batch = match as_it_came {
            Some(Some(made)) => made.clone(),
            picture => {
                let mut batch = TrackBatch::new(self.key, 0, codec);
                for (n, one) in taken.iter().enumerate() {
                    line.add(self, *one, taken.len() - n, &mut batch);
                }
                if let Some(picture) = picture {
                    *picture = Some(batch.clone());
                }
                batch
            }
        };
        batch.still = stills;
        let shown = line.epoch.map(|e| e.encoding);
        let came = shown.is_some_and(|e| clocks >> e & 1 == 1);
        if (came || line.clock_due)
            && let Some(mut clock) = shown.and_then(|e| self.encoding(e)?.clock())
            && let Some(offset) = line.egress.timestamp_offset()
        {
            clock.rtp = clock.rtp.wrapping_add(offset);
            batch.clock = Some(clock);
            line.clock_due = false;
        }
        if let Some(encoding) = shown {
            batch.encoding = encoding;
        }
        if batch.is_empty() { 0 } else { u64::from(!lane.send(batch)) }
    }

    /// The encoding of which a line took all of `packets`, just as they came, and of no other
    /// any.
    fn taken_as_it_came(
        &self,
        packets: &[Fresh],
        taken: &[(Fresh, Outgoing)],
        ssrc: u32,
    ) -> Option<u8> {
        let (Fresh { encoding: at, .. }, _) = *taken.first()?;
        let encoding = self.encoding(at).filter(|e| e.trunk_ssrc == ssrc)?;
        let just_so = |(fresh, outgoing): &(Fresh, Outgoing)| {
            let packet = encoding.packet(fresh.number);
            fresh.encoding == at && packet.is_some_and(|p| outgoing.is_as_it_came(p))
        };
        let all = packets.iter().filter(|f| f.encoding == at).count() == taken.len();
        (all && taken.iter().all(just_so)).then_some(at)
    }

    /// Hands on what of a microphone may be heard.
    fn feed_gated(&self, outlet: &Outlet, gate: &mut Gate, now: Instant) -> u64 {
        let Some(encoding) = self.encoding(0) else { return 0 };
        let mut batch = TrackBatch::new(self.key, 0, encoding.codec);
        let mut clock = self.fresh_clocks & 1 == 1;
        for fresh in self.fresh.iter().filter(|f| f.encoding == 0) {
            let Some(packet) = encoding.packet(fresh.number) else { continue };
            let (number, level) = ((encoding.run, fresh.number), packet.level);
            let kept = |n| encoding.packet(n).is_some();
            clock |= gate.hear(number, level, now, kept, |Through { number, sequence, loud }| {
                let Some(packet) = encoding.packet(number) else { return };
                let level = packet.level.map(|l| l & 0x7f | u8::from(loud) << 7);
                batch.push(&Parts { sequence, level, ..encoding.parts(packet, true) });
            });
        }
        if batch.is_empty() {
            return 0;
        }
        batch.clock = encoding.clock_at(now).filter(|_| clock);
        u64::from(!outlet.lane.send(batch))
    }

    /// What an outlet that joins late begins with: the picture so far, as far as that is of no
    /// more than so many bytes, or else a keyframe that is asked for.
    pub fn begin_outlet(&mut self, outlet: &mut Outlet, most: usize, now: Instant) {
        match &outlet.lane {
            Lane::Trunk(lane) if self.kind == Kind::Video => {
                let lane = lane.clone();
                if outlet.showing == Showing::Off {
                    self.offer_to(outlet, now);
                } else {
                    let showing = outlet.showing;
                    let line = outlet.line.take();
                    let mut line = line.unwrap_or_else(|| self.new_line(showing, now));
                    self.begin_line(&lane, &mut line, showing, most, now);
                    outlet.line = Some(line);
                }
            }
            Lane::Trunk(_) if outlet.showing == Showing::Off => self.offer_to(outlet, now),
            Lane::Shard(_) | Lane::Trunk(_) => self.begin_copy(outlet, now),
        }
    }

    fn begin_line(
        &mut self,
        lane: &TrunkLane,
        line: &mut Line,
        showing: Showing,
        most: usize,
        now: Instant,
    ) {
        if showing == Showing::Best
            && let Some(best) = self.best(now)
        {
            line.egress.retarget(Some(Target::encoding(best)));
        }
        let target = line.egress.target().map(|t| t.encoding);
        let wanted = target.filter(|t| *t != u8::MAX && self.feed != Feed::Idle);
        let replay = wanted.and_then(|at| {
            let encoding = self.encoding(at)?;
            let numbers = encoding.replay(TRUNK_REPLAY_PACKETS, now)?;
            let bytes = |n: u64| encoding.packet(n).map_or(0, |p| p.payload.len());
            let fits = numbers.clone().map(bytes).sum::<usize>() <= most;
            fits.then(|| numbers.map(move |number| Fresh { encoding: at, number }))
        });
        if let Some(replay) = replay
            && !matches!(showing, Showing::Stills(_))
        {
            // Packets of this turn, and those that wait, go out with the rest of their frame.
            let comes = |f: &Fresh| self.fresh.contains(f) || self.gathered.contains(f);
            let packets = replay.filter(|f| !comes(f)).collect();
            let before = Due { packets, clocks: self.fresh_clocks };
            self.send_line(lane, line, showing, &before, &mut Shared::default(), now);
        }
        self.want_for(line, showing, now);
    }

    fn begin_copy(&mut self, outlet: &Outlet, now: Instant) {
        let mut missing = 0u8;
        for (at, encoding) in self.encodings() {
            let replay = encoding.replay(TRUNK_REPLAY_PACKETS, now);
            let replay = replay.filter(|_| self.feed != Feed::Idle);
            missing |= u8::from(replay.is_none()) << at;
            let mut batch = TrackBatch::new(self.key, at, encoding.codec);
            batch.clock = encoding.clock();
            // Packets of this turn go out with the turn.
            let fresh = |n: &u64| self.fresh.contains(&Fresh { encoding: at, number: *n });
            let numbers = replay.into_iter().flatten().filter(|n| !fresh(n));
            encoding.fill(&mut batch, numbers, outlet.takes_redundancy());
            if !batch.is_empty() && !outlet.lane.send(batch) {
                missing |= 1 << at;
            }
        }
        if self.kind == Kind::Video && missing != 0 {
            self.encodings_mut().for_each(|(_, e)| e.keyframes.want(now));
        }
    }

    /// An outlet up a trunk is to send its track in another form. With `at_once` nothing more
    /// of what it sends is sent while the new is waited for: it would only be a queue before
    /// it. An outlet that sent nothing begins with the picture so far where that is of no more
    /// than `most` bytes.
    pub fn show(
        &mut self,
        id: OutletId,
        showing: Showing,
        at_once: bool,
        most: usize,
        now: Instant,
    ) {
        let Some(at) = self.outlets.iter().position(|o| o.id == id) else { return };
        let mut outlet = self.outlets.swap_remove(at);
        let before = std::mem::replace(&mut outlet.showing, showing);
        if before != showing && self.kind == Kind::Video {
            let line = outlet.line.get_or_insert_with(|| self.new_line(showing, now));
            let still = |s: Showing| matches!(s, Showing::Stills(_));
            if at_once || still(before) || still(showing) {
                line.egress.unmap();
                (line.still, line.asked) = (None, None);
            }
            line.egress.retarget(self.target(showing, now));
            if before == Showing::Off {
                self.begin_outlet(&mut outlet, most, now);
            } else {
                self.want_for(line, showing, now);
            }
        } else if before != showing && before == Showing::Off {
            self.begin_outlet(&mut outlet, most, now);
        }
        self.outlets.push(outlet);
    }

    /// The receiver of an outlet needs a keyframe of what it gets.
    pub fn want_outlet_keyframe(&mut self, id: OutletId, now: Instant) {
        let Some(outlet) = self.outlets.iter().find(|o| o.id == id) else { return };
        let shown = outlet.line.as_ref().and_then(|l| {
            let target = l.egress.target().map(|t| t.encoding).filter(|e| *e != u8::MAX);
            l.egress.showing().map(|t| t.encoding).or(target)
        });
        // Stills come at their own pace.
        let wanted = match outlet.showing {
            Showing::Off | Showing::Stills(_) => None,
            Showing::Best | Showing::Layers(_) => shown.or_else(|| self.best(now)),
        };
        if let Some(encoding) = wanted.and_then(|w| self.encoding_mut(w)) {
            encoding.keyframes.want(now);
        }
    }

    /// Sees to the outlets up trunks: tells what the track could be sent as, where that is due,
    /// and asks for stills.
    pub fn tend_outlets(&mut self, now: Instant) {
        let mut outlets = std::mem::take(&mut self.outlets);
        for outlet in &mut outlets {
            if matches!(outlet.lane, Lane::Shard(_)) {
                continue;
            }
            if outlet.next_offer.is_none_or(|at| at <= now) {
                self.offer_to(outlet, now);
            }
            if let (Some(line), Showing::Stills(_)) = (&mut outlet.line, outlet.showing) {
                self.want_for(line, outlet.showing, now);
            }
        }
        self.outlets = outlets;
    }

    fn offer_to(&self, outlet: &mut Outlet, now: Instant) {
        let Some((_, encoding)) = self.encodings().next() else { return };
        outlet.next_offer = Some(now + OFFER_INTERVAL);
        let mut batch = TrackBatch::new(self.key, 0, encoding.codec);
        batch.offer = Some(Box::new(self.offer(now)));
        // One that is dropped is followed by another.
        let _sent = outlet.lane.send(batch);
    }

    fn offer(&self, now: Instant) -> Offer {
        let mut offer = Offer::default();
        if self.kind == Kind::Audio {
            let rate = self.encoding(0).map_or(0, |e| e.rates.all());
            offer.steps.push(Step { target: Target::ALL, rate });
            return offer;
        }
        self.ladder(|_| true, now, &mut offer.steps);
        let per_second =
            |bytes: u32| u64::from(bytes) * 8 * 1000 / still_interval(bytes).as_millis() as u64;
        for (encoding, e) in self.encodings().filter(|_| !offer.steps.is_empty()) {
            if let Some(bytes) = e.keyframe_bytes() {
                offer.stills.push(Still { encoding, rate: per_second(bytes) });
            }
        }
        offer.stills.sort_by_key(|s| s.rate);
        offer
    }
}

#[cfg(test)]
#[path = "outlet_tests.rs"]
mod tests;
