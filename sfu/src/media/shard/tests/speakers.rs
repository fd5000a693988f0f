//! A class of microphones and who hears them. Microphones hand their packets in as another
//! shard would; who listens is a real WebRTC peer.

use super::*;
use crate::media::batch::{Clock, Parts, TrackBatch};
use crate::media::loudest::PLACES;
use crate::media::messages::GroupId;
use std::collections::{BTreeMap, BTreeSet};

const TEACHER: TrackKey = TrackKey(50);
const FIRST_MICROPHONE: u32 = 100;
const PLACE_KEYS: [TrackKey; PLACES] = [TrackKey(60), TrackKey(61), TrackKey(62)];
const GROUP: GroupId = GroupId(9);

/// Opus, one frame of 20 ms (RFC 6716 §3.1).
const CONTENTS: u8 = 31 << 3;

/// What a microphone hears, as −dBov.
const VOICE: u8 = 0x80 | 25;
const ROOM: u8 = 85;

fn microphone(n: u32) -> TrackKey {
    TrackKey(FIRST_MICROPHONE + n)
}

/// A class whose microphones each send a packet every 20 ms.
struct Class {
    world: World,
    microphones: u32,
    sequence: u16,
    redundant: bool,
}

impl Class {
    fn of(microphones: u32) -> Self {
        let mut world = World::new();
        let now = world.now;
        let own = (0..microphones).map(microphone).chain([TEACHER]);
        for track in own {
            world.shard.command(Command::OpenTrack { track, kind: Kind::Audio, lane: true }, now);
        }
        for track in PLACE_KEYS {
            world.shard.command(Command::OpenTrack { track, kind: Kind::Audio, lane: false }, now);
        }
        world.shard.command(Command::OpenGroup { group: GROUP, places: PLACE_KEYS }, now);
        for track in (0..microphones).map(microphone) {
            world.shard.command(Command::Seat { track, group: Some(GROUP) }, now);
        }
        Self { world, microphones, sequence: 0, redundant: false }
    }

    /// Somebody who hears the teacher and the loudest, but not its own voice.
    fn listener(&mut self, own_voice: Option<TrackKey>) -> usize {
        let world = &mut self.world;
        let port = 6000 + world.browsers.len() as u16;
        let mut browser = Browser::new(port, GCM, world.now);
        (0..=PLACES).for_each(|_| browser.add_line(RtpCodecKind::Audio));
        let offer = browser.offer(world.now);
        let session = SessionId(world.browsers.len() as u64);
        let answered = Engine::viewer(&world.engines, &offer).unwrap();
        let answer = world.join(session, answered, |joining| Command::Watch { joining });
        browser.accept(&answer, world.now);
        let tracks = std::iter::once(TEACHER).chain(PLACE_KEYS);
        for (line, track) in answer.lines.iter().zip(tracks) {
            let show = Some(Shown { track, priority: Priority::Audio, own_voice, small: false });
            let (mid, now) = (line.mid.clone(), world.now);
            world.shard.command(Command::Bind { session, mid, show }, now);
        }
        world.browsers.push(browser);
        world.connect();
        (0..3).for_each(|_| world.step(Duration::from_millis(10)));
        world.browsers.len() - 1
    }

    fn batch(&self, track: TrackKey, level: u8) -> TrackBatch {
        let mut batch = TrackBatch::new(track, 0, Codec::Opus);
        let [who, high, low] = [track.0 as u8, (self.sequence >> 8) as u8, self.sequence as u8];
        let own = [CONTENTS, who, high, low];
        // Redundancy (RFC 2198) of the packet two before: here one byte, its number.
        let wrapped = [0x80 | 111, 0x1e, 0, 1, 111, low.wrapping_sub(2)];
        let payload = if self.redundant { [&wrapped[..], &own].concat() } else { own.to_vec() };
        batch.push(&Parts {
            marker: false,
            red: self.redundant,
            sequence: self.sequence,
            timestamp: track.0.wrapping_mul(1 << 20) + u32::from(self.sequence) * 960,
            ssrc: track.0,
            level: Some(level),
            speaker: None,
            dependencies: &[],
            payload: &payload,
        });
        batch
    }

    /// A packet of everybody.
    fn packet(&mut self, level: &impl Fn(u32) -> u8) {
        self.sequence = self.sequence.wrapping_add(1);
        let now = self.world.now;
        self.world.shard.take_batch(&self.batch(TEACHER, VOICE), now);
        for n in 0..self.microphones {
            self.world.shard.take_batch(&self.batch(microphone(n), level(n)), now);
        }
        self.world.step(Duration::from_millis(20));
    }

    fn pass(&mut self, packets: usize, level: impl Fn(u32) -> u8) {
        (0..packets).for_each(|_| self.packet(&level));
    }

    /// What a listener got, as microphone and packet, in the order it came.
    fn heard(&self, listener: usize) -> Vec<(u32, u16)> {
        let spoken = |p: &rtc::rtp::Packet| match p.payload[..] {
            [CONTENTS, who, high, low] => (u32::from(who), u16::from_be_bytes([high, low])),
            _ => panic!("not what was sent: {:?}", p.payload),
        };
        self.world.browsers[listener].packets.iter().map(spoken).collect()
    }

    fn voices(&self, listener: usize) -> BTreeSet<u32> {
        let voices = self.heard(listener).into_iter().map(|(who, _)| who);
        voices.filter(|who| *who != TEACHER.0).map(|who| who - FIRST_MICROPHONE).collect()
    }

    fn forget(&mut self) {
        self.world.browsers.iter_mut().for_each(|b| b.packets.clear());
    }
}

/// Numbers without a gap, and sound that never lies over other sound.
fn assert_whole(packets: &[rtc::rtp::Packet]) {
    let mut lines: BTreeMap<u32, Vec<&rtc::rtp::Packet>> = BTreeMap::new();
    for packet in packets {
        lines.entry(packet.header.ssrc).or_default().push(packet);
    }
    for (ssrc, line) in lines {
        for pair in line.windows(2) {
            let (a, b) = (&pair[0].header, &pair[1].header);
            assert_eq!(b.sequence_number, a.sequence_number.wrapping_add(1), "line {ssrc}");
            let ahead = b.timestamp.wrapping_sub(a.timestamp) as i32;
            assert!(ahead >= 960, "line {ssrc}: {ahead} ticks ahead");
        }
    }
}

#[test]
fn of_forty_open_microphones_a_listener_gets_the_teacher_and_the_three_loudest() {
    let mut class = Class::of(40);
    let listener = class.listener(None);
    class.pass(100, |_| ROOM);
    assert_eq!(class.voices(listener), BTreeSet::new(), "nobody speaks");
    let turns: [[u32; 5]; 4] =
        [[3, 9, 17, 30, 31], [31, 2, 9, 4, 5], [39, 38, 37, 0, 1], [0, 9, 3, 20, 21]];
    for talkers in turns {
        class.pass(75, |n| match talkers.iter().position(|t| *t == n) {
            Some(place) => 0x80 | (20 + 6 * place as u8),
            None => ROOM,
        });
        class.forget();
        class.pass(50, |n| match talkers.iter().position(|t| *t == n) {
            Some(place) => 0x80 | (20 + 6 * place as u8),
            None => ROOM,
        });
        assert_eq!(class.voices(listener), talkers[..3].iter().copied().collect());
        let packets = &class.world.browsers[listener].packets;
        assert_eq!(packets.len(), 4 * 50);
        assert_eq!(packets.iter().map(|p| p.header.ssrc).collect::<BTreeSet<_>>().len(), 4);
        assert_whole(packets);
    }
}

#[test]
fn voices_that_follow_each_other_on_a_line_are_one_stream() {
    let mut class = Class::of(12);
    let listener = class.listener(None);
    for turn in 0..24 {
        class.pass(35, |n| if n / 4 == turn % 3 { VOICE } else { ROOM });
    }
    assert_whole(&class.world.browsers[listener].packets);
    assert!(class.voices(listener).len() > PLACES, "they took turns");
    let begins = class.world.browsers[listener].packets.iter().filter(|p| p.header.marker).count();
    assert!(begins > PLACES, "and each turn is marked");
}

#[test]
fn no_syllable_of_whoever_begins_to_speak_is_lost() {
    let mut class = Class::of(40);
    let listener = class.listener(None);
    class.pass(100, |_| ROOM);
    class.forget();
    let first = class.sequence + 1;
    class.pass(20, |n| if n == 7 { VOICE } else { ROOM });
    let own = |(who, number): (u32, u16)| (who == FIRST_MICROPHONE + 7).then_some(number);
    let heard: Vec<u16> = class.heard(listener).into_iter().filter_map(own).collect();
    // The two packets before it in which it began softly, then everything.
    assert_eq!(heard, (first - 2..first + 20).collect::<Vec<_>>());
    let at_once = |p: &&rtc::rtp::Packet| p.payload[1] == FIRST_MICROPHONE as u8 + 7;
    let packets = &class.world.browsers[listener].packets;
    assert!(packets.iter().find(at_once).unwrap().header.marker);
    assert_whole(packets);
}

#[test]
fn nobody_hears_their_own_voice_and_their_line_has_no_gap() {
    let mut class = Class::of(8);
    let speaker = class.listener(Some(microphone(5)));
    let other = class.listener(None);
    class.pass(60, |n| if n == 5 { VOICE } else { ROOM });
    assert_eq!(class.voices(speaker), BTreeSet::new());
    assert_eq!(class.voices(other), [5].into());
    // Its place goes to somebody else, and back.
    class.pass(100, |n| if n == 2 { VOICE } else { ROOM });
    class.pass(100, |n| if n == 5 { VOICE } else { ROOM });
    class.pass(100, |n| if [1, 2, 3].contains(&n) { VOICE } else { ROOM });
    assert_eq!(class.voices(speaker), [1, 2, 3].into());
    assert_eq!(class.voices(other), [1, 2, 3, 5].into());
    for listener in [speaker, other] {
        assert_whole(&class.world.browsers[listener].packets);
    }
}

#[test]
fn nothing_of_a_muted_microphone_goes_out_anywhere() {
    let mut class = Class::of(6);
    let listener = class.listener(None);
    let (lane, mut batches) = TrunkLane::new();
    let (outlet, now) = (Outlet::new(OutletId(1), Lane::Trunk(lane)), class.world.now);
    class.world.shard.command(Command::AddOutlet { track: microphone(4), outlet }, now);
    let speaks = |n| if n == 4 { VOICE } else { ROOM };
    class.pass(60, speaks);
    assert_eq!(class.voices(listener), [4].into());
    class.forget();
    // A packet that was taken in and has not gone out yet.
    class.sequence += 1;
    let now = class.world.now;
    class.world.shard.take_batch(&class.batch(microphone(4), VOICE), now);
    class.world.shard.command(Command::Mute { track: microphone(4), muted: true }, now);
    class.pass(50, speaks);
    assert_eq!(class.voices(listener), BTreeSet::new());
    assert!(batches.try_recv().is_none(), "not even what waited for the trunk");
    // Others have the place meanwhile.
    class.pass(20, |n| if n == 1 { VOICE } else { speaks(n) });
    assert_eq!(class.voices(listener), [1].into());
}

#[test]
fn what_was_said_during_a_mute_does_not_come_out_after_it() {
    let mut class = Class::of(3);
    class.redundant = true;
    let (lane, mut batches) = TrunkLane::new();
    let (outlet, now) = (Outlet::new(OutletId(1), Lane::Trunk(lane)), class.world.now);
    class.world.shard.command(Command::AddOutlet { track: microphone(0), outlet }, now);
    class.pass(10, |_| VOICE);
    let mute = |class: &mut Class, muted| {
        let now = class.world.now;
        class.world.shard.command(Command::Mute { track: microphone(0), muted }, now);
    };
    mute(&mut class, true);
    class.pass(10, |_| VOICE);
    mute(&mut class, false);
    while batches.try_recv().is_some() {}
    let last_muted = class.sequence;
    class.pass(20, |_| VOICE);
    let places = PLACE_KEYS.map(|key| class.world.shard.keys[&key]);
    let tracks = &class.world.shard.tracks;
    let (mut kept, mut redundant) = (0, 0);
    for place in places {
        let encoding = tracks[place].as_ref().unwrap().encoding(0).unwrap();
        let numbers = (1u64 << 16)..(1 << 18);
        for packet in numbers.filter_map(|n| encoding.packet(n)) {
            if packet.speaker != Some(microphone(0)) {
                continue;
            }
            let own = packet.primary();
            let number = u16::from_be_bytes([own[2], own[3]]);
            let muted = 11..=last_muted;
            // The first after a mute may bring the last of it back (in-band error correction).
            assert!(!muted.contains(&number) && number != last_muted + 1, "{number}");
            assert!(!packet.red || !muted.contains(&u16::from(packet.payload[5])), "{number}");
            redundant += usize::from(packet.red && number > last_muted);
            kept += usize::from(number > last_muted);
        }
    }
    assert!(kept > 10 && redundant > 10, "it is heard again, and with redundancy");
}

#[test]
fn after_a_mute_or_a_long_silence_a_voice_begins_now() {
    let mut class = Class::of(2);
    let listener = class.listener(None);
    let speaks = |n| if n == 1 { VOICE } else { ROOM };
    class.pass(20, speaks);
    let mute = |class: &mut Class, muted| {
        let now = class.world.now;
        class.world.shard.command(Command::Mute { track: microphone(1), muted }, now);
    };
    mute(&mut class, true);
    class.pass(500, speaks);
    mute(&mut class, false);
    class.forget();
    class.pass(20, speaks);
    let heard = class.heard(listener).into_iter().filter(|(who, _)| *who == microphone(1).0);
    assert_eq!(
        heard.map(|(_, number)| number).min(),
        Some(522),
        "the first after the mute is left out"
    );
    let own = |p: &&rtc::rtp::Packet| p.payload[1] == microphone(1).0 as u8;
    let line: Vec<_> = class.world.browsers[listener].packets.iter().filter(own).collect();
    let ahead = line.last().unwrap().header.timestamp.wrapping_sub(line[0].header.timestamp);
    assert_eq!(ahead, 960 * (line.len() as u32 - 1), "no leap");
}

#[test]
fn what_a_muted_voice_said_on_its_way_from_another_shard_is_dropped() {
    let mut class = Class::of(0);
    let listener = class.listener(None);
    let now = class.world.now;
    // This shard has only a copy of the place.
    let track = PLACE_KEYS[0];
    class.world.shard.command(Command::OpenTrack { track, kind: Kind::Audio, lane: true }, now);
    let said = |class: &mut Class, speaker| {
        class.sequence += 1;
        let mut batch = TrackBatch::new(track, 0, Codec::Opus);
        batch.push(&Parts {
            marker: false,
            red: false,
            sequence: class.sequence,
            timestamp: u32::from(class.sequence) * 960,
            ssrc: track.0,
            level: Some(VOICE),
            speaker: Some(speaker),
            dependencies: &[],
            payload: &[CONTENTS, speaker.0 as u8, 0, class.sequence as u8],
        });
        let now = class.world.now;
        class.world.shard.take_batch(&batch, now);
    };
    let step = Duration::from_millis(20);
    said(&mut class, microphone(1));
    class.world.step(step);
    // One is taken in before the mute, and waits; one comes after it.
    said(&mut class, microphone(1));
    class.world.shard.command(Command::Mute { track: microphone(1), muted: true }, now);
    said(&mut class, microphone(1));
    class.world.step(step);
    said(&mut class, microphone(2));
    class.world.step(step);
    let heard: Vec<u32> = class.heard(listener).into_iter().map(|(who, _)| who).collect();
    assert_eq!(heard, [microphone(1).0, microphone(2).0]);
}

#[test]
fn of_another_shards_microphones_only_voices_come_over_and_whole() {
    let mut class = Class::of(3);
    let listener = class.listener(None);
    // Another shard has the microphone, and hands on what may be heard.
    let (events, _heard) = mpsc::unbounded_channel();
    let now = class.world.now;
    let mut home = Shard::new(1, 64, events, now);
    let poll = mio::Poll::new().unwrap();
    let waker = Arc::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap());
    let (lane, batches) = ShardLane::new(waker);
    let own = TrackKey(FIRST_MICROPHONE + 3);
    let open = |track| Command::OpenTrack { track, kind: Kind::Audio, lane: true };
    home.command(open(own), now);
    let outlet = Outlet::gated(OutletId(1), Lane::Shard(lane));
    home.command(Command::AddOutlet { track: own, outlet }, now);
    class.world.shard.command(open(own), now);
    class.world.shard.command(Command::Seat { track: own, group: Some(GROUP) }, now);
    let mut pass = |class: &mut Class, packets, level| {
        let mut came = 0;
        for _ in 0..packets {
            let now = class.world.now;
            let mut batch = class.batch(own, level);
            batch.clock = Some(Clock { ntp: 1 << 32, rtp: 0 }).filter(|_| class.sequence == 0);
            home.take_batch(&batch, now);
            while home.forward(now) {}
            for batch in batches.try_iter() {
                came += batch.len();
                class.world.shard.take_batch(&batch, now);
            }
            class.packet(&|_| ROOM);
        }
        came
    };
    assert_eq!(pass(&mut class, 4000, ROOM), 0);
    let first = class.sequence;
    assert_eq!(pass(&mut class, 50, VOICE), 52);
    let heard = class.heard(listener).into_iter().filter(|(who, _)| *who == own.0);
    assert_eq!(
        heard.map(|(_, n)| n).collect::<Vec<_>>(),
        (first - 2..first + 50).collect::<Vec<_>>()
    );
    assert_whole(&class.world.browsers[listener].packets[100..]);
    assert!(pass(&mut class, 200, ROOM) < 100);
    assert_eq!(pass(&mut class, 3000, ROOM), 0);
    assert_eq!(pass(&mut class, 50, VOICE), 52, "however long it was silent");
    let place = PLACE_KEYS.map(|key| class.world.shard.keys[&key])[0];
    let line = class.world.shard.tracks[place].as_ref().unwrap().encoding(0).unwrap();
    assert_eq!((line.run, line.clock().is_some()), (0, true));
}

#[test]
fn nothing_is_allocated_for_a_microphone_heard_or_not() {
    let mut class = Class::of(12);
    class.listener(None);
    class.listener(Some(microphone(2)));
    // Everybody has had every place, and each place's packets theirs.
    for turn in 0..24 {
        class.pass(60, |n| if n % 4 == turn % 4 { VOICE } else { ROOM });
    }
    let mut counted = 0;
    for packet in 0..600 {
        class.sequence += 1;
        class.world.now += Duration::from_millis(20);
        let now = class.world.now;
        for n in 0..12 {
            let level = if n % 4 == packet / 60 % 4 { VOICE } else { ROOM };
            let batch = class.batch(microphone(n), level);
            let shard = &mut class.world.shard;
            counted += super::allocations::allocations(|| {
                shard.take_batch(&batch, now);
                while shard.forward(now) {}
            });
            shard.outbox().clear(64);
        }
    }
    assert_eq!(counted, 0);
}

#[test]
fn a_line_tells_the_time_of_whoever_speaks_on_it() {
    let mut class = Class::of(2);
    let listener = class.listener(None);
    let now = class.world.now;
    let mut clock = TrackBatch::new(microphone(1), 0, Codec::Opus);
    let timestamp = microphone(1).0.wrapping_mul(1 << 20);
    clock.clock = Some(Clock { ntp: 700 << 32, rtp: timestamp });
    class.pass(1, |_| ROOM);
    class.world.shard.take_batch(&clock, now);
    class.pass(150, |n| if n == 1 { VOICE } else { ROOM });
    let browser = &class.world.browsers[listener];
    let last = browser.packets.iter().rfind(|p| p.payload[1] == microphone(1).0 as u8).unwrap();
    let reports = browser.reports.iter().filter(|r| r.ssrc == last.header.ssrc);
    let report = reports.last().expect("a sender report of its line");
    let apart = report.rtp_time.wrapping_sub(last.header.timestamp) as i32;
    assert!(apart.abs() < 2 * 48_000, "on the line's own time line: {apart}");
    assert!((700..710).contains(&(report.ntp_time >> 32)), "by the speaker's clock");
}

#[test]
fn a_microphone_that_leaves_the_group_is_heard_no_more() {
    let mut class = Class::of(4);
    let listener = class.listener(None);
    class.pass(30, |n| if n == 3 { VOICE } else { ROOM });
    assert_eq!(class.voices(listener), [3].into());
    let now = class.world.now;
    class.world.shard.command(Command::Seat { track: microphone(3), group: None }, now);
    class.forget();
    class.pass(30, |n| if n == 3 { VOICE } else { ROOM });
    assert_eq!(class.voices(listener), BTreeSet::new());
    class.world.shard.command(Command::CloseTrack { track: microphone(2) }, now);
    class.world.shard.command(Command::CloseGroup { group: GROUP }, now);
    class.pass(30, |_| VOICE);
    assert_eq!(class.voices(listener), BTreeSet::new());
}
