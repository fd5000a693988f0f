//! A publisher and viewers through a shard, over lines that lose, delay and reorder in both
//! directions: one seed, one line. A seed that fails is named, and can be run alone.

use super::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, HashMap};

const SEEDS: std::ops::Range<u64> = 0..100;

/// Frames of one lesson, at 30 a second, of three packets each.
const FRAMES: u32 = 240;
const PACKETS: u32 = 3;
const FRAME: Duration = Duration::from_millis(33);

/// To a browser, or to the shard; from where; what.
type Datagram = (Option<usize>, SocketAddr, Vec<u8>);

/// What is under way, by when it arrives.
struct Wire {
    rng: StdRng,
    loss: f64,
    delay: Duration,
    jitter: Duration,
    flying: BTreeMap<(Instant, u64), Datagram>,
    sent: u64,
}

impl Wire {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            loss: rng.random_range(0.0..0.06),
            delay: Duration::from_millis(rng.random_range(1..60)),
            jitter: Duration::from_millis(rng.random_range(0..25)),
            rng,
            flying: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Takes a datagram to a browser, or from one at `from` to the shard.
    fn take(&mut self, to: Option<usize>, from: SocketAddr, bytes: Vec<u8>, now: Instant) {
        // Handshakes are the DTLS library's business; here media is.
        let media = bytes.first().is_some_and(|b| *b >= 128);
        if media && self.rng.random_bool(self.loss) {
            return;
        }
        let jitter = if media { self.jitter.mul_f64(self.rng.random()) } else { Duration::ZERO };
        self.sent += 1;
        self.flying.insert((now + self.delay + jitter, self.sent), (to, from, bytes));
    }
}

impl World {
    /// Lets `time` pass, a millisecond at a time, over the wire.
    fn pass(&mut self, time: Duration, wire: &mut Wire) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(1);
            self.shard.handle_timeout(self.now);
            for browser in &mut self.browsers {
                browser.pc.handle_timeout(self.now).unwrap();
            }
            while let Some(entry) = wire.flying.first_entry().filter(|e| e.key().0 <= self.now) {
                let (to, from, mut bytes) = entry.remove();
                match to {
                    Some(at) => {
                        self.browsers[at].receive(self.here, &bytes, self.now);
                    }
                    None => {
                        let length = bytes.len();
                        let route = Route::udp(from);
                        self.shard.handle_datagrams(route, &mut bytes, length, self.now);
                    }
                }
            }
            while self.shard.forward(self.now) {}
            for (to, bytes) in self.shard.outbox().drain() {
                let at = self.browsers.iter().position(|b| b.address == to.address).unwrap();
                wire.take(Some(at), self.here, bytes, self.now);
            }
            for browser in &mut self.browsers {
                browser.collect();
                while let Some(out) = browser.pc.poll_write() {
                    wire.take(None, browser.address, out.message.to_vec(), self.now);
                }
            }
        }
    }

    /// Publishes the lesson's frames, a keyframe every two seconds and when asked.
    fn lesson(&mut self, publisher: usize, wire: &mut Wire) {
        let mut answered = self.browsers[publisher].keyframes_asked;
        for frame in 0..FRAMES {
            let asked = self.browsers[publisher].keyframes_asked;
            let keyframe = frame.is_multiple_of(60) || asked > answered;
            answered = asked;
            for packet in 0..PACKETS {
                let number = frame * PACKETS + packet;
                let mut payload = if keyframe && packet == 0 { SPS.to_vec() } else { vec![0x41] };
                payload.extend_from_slice(&number.to_be_bytes());
                payload.resize(300 + (number as usize * 7) % 60, 1);
                let sequence = (65_400 + number) as u16;
                let now = self.now;
                self.browsers[publisher].send(sequence, frame * 3000, &payload, now);
            }
            self.pass(FRAME, wire);
        }
        // What was lost at the end is asked for and comes.
        self.pass(Duration::from_millis(1500), wire);
    }
}

/// The number the publisher gave a packet.
fn number(payload: &[u8]) -> u32 {
    let at = if payload.starts_with(&SPS) { SPS.len() } else { 1 };
    u32::from_be_bytes(*payload[at..].first_chunk().unwrap())
}

#[test]
fn over_bad_lines_viewers_get_the_lesson_whole_and_in_order() {
    for seed in SEEDS {
        let mut wire = Wire::new(seed);
        let mut world = World::new();
        let publisher = world.publish();
        let viewers = [world.watch(GCM), world.watch(CM)];
        world.connect();
        world.lesson(publisher, &mut wire);
        let asked = world.browsers[publisher].keyframes_asked;
        assert!(asked <= 18, "seed {seed}: {asked} keyframes were asked for in 8 s");
        for viewer in viewers {
            let got = &world.browsers[viewer].packets;
            // A number of the line stands for one packet of the publisher's, for ever.
            let mut by_sequence: HashMap<u16, u32> = HashMap::new();
            for packet in got {
                let source = number(&packet.payload);
                let before = by_sequence.insert(packet.header.sequence_number, source);
                assert!(before.is_none_or(|b| b == source), "seed {seed}: a number was used twice");
            }
            // In the line's order the publisher's packets rise.
            let first = got[0].header.sequence_number;
            let mut ordered: Vec<_> = by_sequence.into_iter().collect();
            ordered.sort_by_key(|(sequence, _)| sequence.wrapping_sub(first) as i16);
            assert!(ordered.windows(2).all(|w| w[0].1 < w[1].1), "seed {seed}: out of order");
            let share = ordered.len() as f64 / f64::from(FRAMES * PACKETS);
            assert!(share > 0.94, "seed {seed}: {share:.3} of the packets came");
        }
    }
}
