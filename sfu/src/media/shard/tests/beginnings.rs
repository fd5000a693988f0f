//! How a viewer's picture begins, and goes over to another encoding.

use super::*;
use crate::media::batch::{Parts, TrackBatch};

const LAYERED: TrackKey = TrackKey(50);
const FRAME: Duration = Duration::from_millis(33);
const SMALL: u8 = 0;
const LARGE: u8 = 1;

/// A lesson in two sizes, as it comes from another shard: one packet a frame, and eight.
struct Layered {
    world: World,
    frame: u32,
    sequences: [u16; 2],
}

impl Layered {
    fn new() -> Self {
        let mut world = World::new();
        let open = Command::OpenTrack { track: LAYERED, kind: Kind::Video, lane: true };
        world.shard.command(open, world.now);
        Self { world, frame: 0, sequences: [0; 2] }
    }

    /// A frame of both sizes, keyframes where they are named.
    fn frame(&mut self, keyframes: &[u8]) {
        for (encoding, packets, bytes) in [(SMALL, 1, 600), (LARGE, 8, 1100)] {
            let mut batch = TrackBatch::new(LAYERED, encoding, Codec::H264);
            for n in 0..packets {
                let key = n == 0 && keyframes.contains(&encoding);
                let mut payload = if key { SPS.to_vec() } else { vec![0x41, 0, 0] };
                payload.resize(bytes, encoding);
                let sequence = &mut self.sequences[usize::from(encoding)];
                *sequence += 1;
                batch.push(&Parts {
                    marker: n + 1 == packets,
                    red: false,
                    sequence: *sequence,
                    timestamp: self.frame * 3000,
                    ssrc: 1 + u32::from(encoding),
                    level: None,
                    speaker: None,
                    dependencies: &[],
                    payload: &payload,
                });
            }
            self.world.shard.take_batch(&batch, self.world.now);
        }
        self.frame += 1;
        self.world.step(FRAME);
    }

    /// Binds the line of a connected viewer to the lesson.
    fn show(&mut self, viewer: usize) {
        let show = Some(Shown {
            track: LAYERED,
            priority: Priority::TeacherCamera,
            own_voice: None,
            small: false,
        });
        let (session, mid) = (SessionId(viewer as u64), "0".to_owned());
        self.world.shard.command(Command::Bind { session, mid, show }, self.world.now);
    }

    /// The size each packet a viewer got is of.
    fn sizes(&self, viewer: usize) -> Vec<u8> {
        self.world.browsers[viewer].packets.iter().map(|p| *p.payload.last().unwrap()).collect()
    }
}

#[test]
fn a_long_history_waits_for_a_keyframe_and_a_short_one_is_shown_until_then() {
    let mut lesson = Layered::new();
    let viewer = lesson.world.watch(GCM);
    lesson.world.connect();
    lesson.frame(&[SMALL, LARGE]);
    for _ in 0..40 {
        lesson.frame(&[]);
    }
    lesson.world.heard(|_| false);
    lesson.show(viewer);
    for _ in 0..12 {
        lesson.frame(&[]);
    }
    let begun = lesson.sizes(viewer);
    assert_eq!(begun.len(), 53, "the picture so far, and what came since");
    assert!(begun.iter().all(|size| *size == SMALL), "350 kB at once would be a second's queue");
    let wanted = |e: &MediaEvent| {
        matches!(e, MediaEvent::KeyframeWanted { track: LAYERED, encoding: LARGE, .. })
    };
    assert!(lesson.world.heard(wanted), "the large one is asked for a keyframe");
    lesson.frame(&[LARGE]);
    for _ in 0..10 {
        lesson.frame(&[]);
    }
    let now = lesson.sizes(viewer);
    let since = now[begun.len()..].iter().skip_while(|size| **size == SMALL);
    assert_eq!(since.copied().collect::<Vec<_>>(), [LARGE; 88]);
}

#[test]
fn a_short_history_is_shown_at_once_in_the_size_that_is_wanted() {
    let mut lesson = Layered::new();
    let viewer = lesson.world.watch(GCM);
    lesson.world.connect();
    lesson.frame(&[SMALL, LARGE]);
    for _ in 0..40 {
        lesson.frame(&[]);
    }
    lesson.frame(&[SMALL, LARGE]);
    lesson.show(viewer);
    lesson.frame(&[]);
    assert_eq!(lesson.sizes(viewer), [LARGE; 16]);
}

#[test]
fn a_keyframe_whose_first_packet_was_overtaken_is_shown_whole() {
    let mut world = World::new();
    let publisher = world.publish();
    let viewer = world.watch(GCM);
    world.connect();
    let sent: [(u16, &[u8]); 5] =
        [(99, b"\x41a"), (101, b"\x41c"), (102, b"\x41d"), (100, b"\x67SPS"), (103, b"\x41e")];
    for (sequence, payload) in sent {
        let now = world.now;
        world.browsers[publisher].send(sequence, 3000, payload, now);
        world.step(Duration::from_millis(1));
    }
    for _ in 0..10 {
        world.step(FRAME);
    }
    let got = &world.browsers[viewer].packets;
    let mut got: Vec<_> =
        got.iter().map(|p| (p.header.sequence_number, p.payload.to_vec())).collect();
    got.sort_unstable();
    let first = got[0].0;
    let expected = [&b"\x67SPS"[..], b"\x41c", b"\x41d", b"\x41e"].into_iter();
    let expected: Vec<_> = (first..).zip(expected.map(<[u8]>::to_vec)).collect();
    assert_eq!(got, expected);
}
