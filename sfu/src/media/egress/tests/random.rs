//! Lines over sources that change at random: what viewers may rely on whatever happens.

use super::*;
use crate::media::layers::Describer;
use cloudschool_protocol::media::Codec;
use cloudschool_protocol::rtp::vp8;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// An encoding of VP8 with three temporal layers, as a browser sends it to one who takes no
/// dependency descriptor.
struct Source {
    epoch: Epoch,
    describer: Describer,
    number: u64,
    timestamp: u32,
    picture: u16,
    tl0: u8,
    /// Frames since the keyframe.
    since: usize,
}

impl Source {
    fn new(track: u32, encoding: u8) -> Self {
        let seed = track * 7 + u32::from(encoding) * 3;
        Self {
            epoch: Epoch { track: TrackKey(track), encoding, run: 0 },
            describer: Describer::default(),
            number: (1 << 16) + u64::from(seed) * 9_000,
            // Close to their wraps.
            timestamp: u32::MAX - seed * 1000,
            picture: 0x7ff0_u16.wrapping_add(seed as u16),
            tl0: 250,
            since: usize::MAX,
        }
    }

    /// Its publisher began anew.
    fn restart(&mut self) {
        self.epoch.run += 1;
        self.describer = Describer::default();
        self.number = (1 << 16) + self.number % 1000;
        self.timestamp = self.timestamp.wrapping_mul(31);
        self.picture = self.picture.wrapping_mul(7);
        self.since = usize::MAX;
    }

    fn frame(&mut self, packets: u8, keyframe: bool, ticks: u32) -> Vec<(Epoch, Cached)> {
        let keyframe = keyframe || self.since == usize::MAX;
        self.since = if keyframe { 0 } else { self.since + 1 };
        let (temporal, sync) = [(0, false), (2, true), (1, true), (2, false)][self.since % 4];
        self.picture = self.picture.wrapping_add(1) & 0x7fff;
        self.tl0 = self.tl0.wrapping_add(u8::from(temporal == 0));
        self.timestamp = self.timestamp.wrapping_add(ticks);
        let packets = packets.max(1);
        let made = (0..packets).map(|i| {
            let [high, low] = (self.picture | 0x8000).to_be_bytes();
            let layer = temporal << 6 | u8::from(sync) << 5;
            let begins = if i == 0 { 0x10 } else { 0 };
            let mut cached = Cached::default();
            cached.payload =
                vec![0x80 | begins, 0xe0, high, low, self.tl0, layer, u8::from(!keyframe), i];
            cached.number = self.number;
            cached.timestamp = self.timestamp;
            cached.marker = i + 1 == packets;
            cached.description =
                self.describer.describe(Codec::Vp8, cached.marker, &cached.payload, None);
            self.number += 1;
            (self.epoch, cached)
        });
        made.collect()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Frame { source: usize, packets: u8, keyframe: bool },
    Target(Option<(u8, u8)>),
    Bind(usize),
    Restart(usize),
    Pass(u16),
    Ask(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0usize..4, 1u8..5, prop::bool::weighted(0.15))
            .prop_map(|(source, packets, keyframe)| Step::Frame { source, packets, keyframe }),
        3 => prop::option::weighted(0.9, (0u8..2, 0u8..4)).prop_map(Step::Target),
        1 => (0usize..2).prop_map(Step::Bind),
        1 => (0usize..4).prop_map(Step::Restart),
        3 => (0u16..900).prop_map(Step::Pass),
        5 => (0u16..600).prop_map(Step::Ask),
    ]
}

/// Whose packet it was, how it went out, and its bytes as they were sent.
struct Sent {
    epoch: Epoch,
    source: u64,
    begun: usize,
    out: Outgoing,
    payload: Vec<u8>,
}

/// A line, what stands before it, and what its viewer got.
struct World {
    now: Instant,
    line: Egress,
    sources: Vec<Source>,
    bound: usize,
    sent: BTreeMap<u64, Sent>,
    /// How often the line went over to another source, or began anew with the same.
    begun: usize,
    kept: HashMap<(u32, u8, u32, u64), Cached>,
    transport: u16,
}

fn bytes(packet: &Cached, out: &Outgoing) -> Vec<u8> {
    let mut payload = if out.empty { Vec::new() } else { packet.payload.clone() };
    out.shift.apply(&mut payload);
    payload
}

fn key(epoch: Epoch, number: u64) -> (u32, u8, u32, u64) {
    (epoch.track.0, epoch.encoding, epoch.run, number)
}

impl World {
    fn new() -> Self {
        let tracks = [(1, 0), (1, 1), (2, 0), (2, 1)];
        Self {
            now: Instant::now(),
            line: Egress::new(Kind::Video, 90_000, 0x7ff0),
            sources: tracks.map(|(track, encoding)| Source::new(track, encoding)).into(),
            bound: 0,
            sent: BTreeMap::new(),
            begun: 0,
            kept: HashMap::new(),
            transport: 0,
        }
    }

    /// A packet reaches the line, if the line is bound to its track.
    fn arrive(&mut self, epoch: Epoch, packet: Cached) {
        let bound = self.sources[self.bound * 2].epoch.track == epoch.track;
        let current = self.sources.iter().any(|s| s.epoch == epoch);
        if !bound || !current || !self.line.takes(epoch.encoding) {
            return;
        }
        let followed = self.line.follows(epoch);
        let Some(out) = self.line.forward(epoch, None, &packet, self.now) else { return };
        self.begun += usize::from(!followed);
        self.transport = self.transport.wrapping_add(1);
        self.line.remember(&out, self.transport);
        let (source, begun) = (packet.number, self.begun);
        let payload = bytes(&packet, &out);
        let before = self.sent.insert(out.number, Sent { epoch, source, begun, out, payload });
        assert!(before.is_none(), "number {} was given before", out.number);
        self.kept.insert(key(epoch, packet.number), packet);
    }

    fn ask(&mut self, behind: u16) {
        let Some((&newest, _)) = self.sent.last_key_value() else { return };
        let sequence = (newest as u16).wrapping_sub(behind);
        let Some(lost) = self.line.lost(sequence, self.now) else { return };
        let packet = &self.kept[&key(lost.epoch, lost.source)];
        let again = lost.outgoing(packet);
        let sent = &self.sent[&again.number];
        assert_eq!((lost.epoch, lost.source, again), (sent.epoch, sent.source, sent.out));
        assert_eq!(again.sequence(), sequence);
        assert_eq!(bytes(packet, &again), sent.payload);
    }

    fn take(&mut self, step: &Step, queue: &mut VecDeque<(Epoch, Cached)>) {
        match *step {
            Step::Frame { source, packets, keyframe } => {
                self.now += Duration::from_millis(33);
                queue.extend(self.sources[source].frame(packets, keyframe, 3000));
            }
            Step::Target(target) => {
                let target =
                    target.map(|(encoding, temporal)| Target { encoding, spatial: 0, temporal });
                self.line.retarget(target);
            }
            Step::Bind(to) if to != self.bound => {
                self.bound = to;
                self.line.unmap();
            }
            Step::Bind(_) => {}
            Step::Restart(source) => self.sources[source].restart(),
            Step::Pass(millis) => self.now += Duration::from_millis(u64::from(millis)),
            Step::Ask(behind) => self.ask(behind),
        }
    }

    /// What was sent, in the viewer's order: timestamp, picture id, TL0PICIDX, layer and bytes.
    fn frames(&self) -> Vec<(u32, u16, u8, u8)> {
        let mut frames = Vec::new();
        for Sent { out, payload, .. } in self.sent.values().filter(|s| !s.out.empty) {
            let d = vp8::Descriptor::parse(payload).unwrap();
            let (picture, _) = d.picture_id.unwrap().value();
            let tl0 = d.tl0_picture_index.unwrap();
            frames.push((out.timestamp, picture, tl0, d.temporal.unwrap()));
        }
        frames.dedup();
        frames
    }
}

proptest! {
    /// Without loss a viewer sees one stream without a gap, of pictures without a gap, in a
    /// time that goes on, whatever is changed behind it.
    #[test]
    fn without_loss_a_viewer_sees_one_unbroken_stream(steps in prop::collection::vec(step(), 1..250)) {
        let mut world = World::new();
        let mut queue = VecDeque::new();
        for step in &steps {
            world.take(step, &mut queue);
            while let Some((epoch, packet)) = queue.pop_front() {
                world.arrive(epoch, packet);
            }
        }
        let numbers: Vec<_> = world.sent.keys().copied().collect();
        prop_assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1));
        for pair in world.frames().windows(2) {
            let ((t0, p0, l0, _), (t1, p1, l1, temporal)) = (pair[0], pair[1]);
            prop_assert_eq!(p1, (p0 + 1) & 0x7fff, "pictures follow each other");
            let ahead = t1.wrapping_sub(t0) as i32;
            prop_assert!(ahead > 0, "{} ticks", ahead);
            prop_assert_eq!(l1, l0.wrapping_add(u8::from(temporal == 0)));
        }
    }

    /// With packets lost and late a number still stands for one packet, numbers and pictures
    /// keep the order of the source, and what is sent again is what was sent.
    #[test]
    fn with_loss_a_number_stands_for_one_packet_for_ever(
        steps in prop::collection::vec(step(), 1..250),
        fates in prop::collection::vec(prop_oneof![12 => Just(Some(0u8)), 2 => (1u8..30).prop_map(Some), 1 => Just(None)], 50..90),
    ) {
        let mut world = World::new();
        let (mut queue, mut held) = (VecDeque::new(), Vec::new());
        let mut count = 0usize;
        for step in &steps {
            world.take(step, &mut queue);
            while let Some((epoch, packet)) = queue.pop_front() {
                match fates[count % fates.len()] {
                    Some(0) => world.arrive(epoch, packet),
                    Some(later) => held.push((count + usize::from(later), epoch, packet)),
                    None => {}
                }
                count += 1;
                while let Some(at) = held.iter().position(|(due, _, _)| *due <= count) {
                    let (_, epoch, packet) = held.swap_remove(at);
                    world.arrive(epoch, packet);
                }
            }
        }
        // In the viewer's order, the packets of each source are in the source's order.
        for pair in world.sent.values().collect::<Vec<_>>().windows(2) {
            let (before, after) = (pair[0], pair[1]);
            prop_assert!(before.begun <= after.begun);
            prop_assert!(before.begun < after.begun || before.source < after.source);
        }
        for pair in world.frames().windows(2) {
            let ((t0, p0, ..), (t1, p1, ..)) = (pair[0], pair[1]);
            prop_assert!(t1.wrapping_sub(t0) as i32 > 0);
            prop_assert!((p1.wrapping_sub(p0) << 1) as i16 > 0, "{} after {}", p1, p0);
        }
    }
}
