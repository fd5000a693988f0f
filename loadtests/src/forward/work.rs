//! What is forwarded in a run, the same for every server.

use super::encoder::{Encoder, Shape};
use super::payload::{Packetizer, Payloads, VideoCodec, sound};
use super::publisher::{LARGEST_PACKET, SOUND_EVERY, Video};
use super::stamp::Stamp;
use std::time::Duration;

/// Encodings of a picture by their names, smallest first, and what of the largest one's rate
/// each has: about what browsers make of 1280 × 720.
pub const LAYERS: [(&str, f64); 3] = [("q", 0.075), ("h", 0.25), ("f", 1.0)];

/// Header extension of a synthetic packet: the transport-wide number, rounded up to a word.
const EXTENSION: usize = 8;
const FIXED_HEADER: usize = 12;

/// Packets that are published at once: a frame, or a packet of sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burst {
    /// Since the beginning.
    pub at: Duration,
    /// Sizes of the RTP packets.
    pub sizes: Vec<usize>,
}

/// What is published and how many watch.
#[derive(Debug, Clone)]
pub struct Work {
    pub subscribers: usize,
    /// Of the picture's largest layer, bit/s.
    pub bitrate: u64,
    /// Frames a second.
    pub rate: u32,
    /// `None`: only when asked for, as browsers do.
    pub keyframe_every: Option<Duration>,
    pub codec: VideoCodec,
    pub layers: usize,
    pub temporal_layers: u8,
    /// Open microphones in the class beside the teacher's.
    pub microphones: usize,
    /// Lines of pictures a viewer offers.
    pub pictures: usize,
    /// Lines of sound a viewer offers.
    pub sound_lines: usize,
    pub seed: u64,
}

impl Work {
    /// The picture's encodings, smallest first.
    #[must_use]
    pub fn video(&self) -> Video {
        let from = LAYERS.len() - self.layers.clamp(1, LAYERS.len());
        let layers = LAYERS[from..].iter().map(|(_, share)| self.shape(*share));
        Video { codec: self.codec, layers: layers.collect() }
    }

    /// Names of the encodings, smallest first; none when there is one.
    #[must_use]
    pub fn rids(&self) -> Vec<String> {
        let from = LAYERS.len() - self.layers.clamp(1, LAYERS.len());
        let names = LAYERS[from..].iter().map(|(name, _)| (*name).to_owned());
        if self.layers > 1 { names.collect() } else { Vec::new() }
    }

    fn shape(&self, share: f64) -> Shape {
        let every = self.keyframe_every.map(|d| (d.as_secs_f64() * f64::from(self.rate)) as u32);
        Shape {
            bitrate: (self.bitrate as f64 * share) as u64,
            rate: self.rate,
            keyframe_every: every.unwrap_or(u32::MAX).max(1),
            temporal_layers: self.temporal_layers,
        }
    }

    /// Rates of the layers with their headers on the wire and sound, bit/s, smallest first:
    /// what a line must carry for each to be the right one.
    #[must_use]
    pub fn needs(&self) -> Vec<u64> {
        let bursts = |shape: &Shape| {
            let alone = Self { bitrate: shape.bitrate, layers: 1, ..self.clone() };
            let trace = alone.trace(Duration::from_secs(10));
            let bytes: usize = trace.iter().flat_map(|b| &b.sizes).sum();
            let packets: usize = trace.iter().map(|b| b.sizes.len()).sum();
            // SRTP's tag, UDP and IP.
            ((bytes + packets * (16 + 8 + 20)) * 8 / 10) as u64
        };
        self.video().layers.iter().map(bursts).collect()
    }

    /// Sound streams that a viewer gets.
    #[must_use]
    pub fn sounds(&self) -> usize {
        1 + self.microphones.min(3)
    }

    /// What one viewer is sent in `length` of the work, in the bursts it is published in.
    #[must_use]
    pub fn trace(&self, length: Duration) -> Vec<Burst> {
        let video = self.video();
        let Some(shape) = video.layers.last() else { return Vec::new() };
        let mut encoder = Encoder::new(*shape, self.seed);
        let mut packetizer = Packetizer::new(self.codec, self.seed);
        let mut payloads = Payloads::default();
        let header = FIXED_HEADER + EXTENSION;
        let mut bursts: Vec<Burst> = Vec::new();
        for n in 0..(length.as_secs_f64() * f64::from(self.rate)) as u32 {
            let frame = encoder.frame(false);
            // The keyframe at the beginning is there once a lesson, not once a trace.
            if n == 0 {
                continue;
            }
            packetizer.packetize(&frame, Stamp::default(), LARGEST_PACKET - header, &mut payloads);
            let sizes = payloads.iter().map(|p| header + p.len()).collect();
            bursts.push(Burst { at: Duration::from_secs(1) * n / self.rate, sizes });
        }
        for source in 0..self.sounds() {
            let phase = SOUND_EVERY.mul_f64(source as f64 / 16.0);
            for n in 0..(length.as_nanos() / SOUND_EVERY.as_nanos()) as u32 {
                let payload = sound(Stamp { frame: n, ..Stamp::default() });
                let at = phase + SOUND_EVERY * n;
                bursts.push(Burst { at, sizes: vec![header + payload.len()] });
            }
        }
        bursts.sort_by_key(|burst| burst.at);
        bursts
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// The work of a small lesson.
    pub fn work() -> Work {
        Work {
            subscribers: 4,
            bitrate: 2_000_000,
            rate: 30,
            keyframe_every: None,
            codec: VideoCodec::H264,
            layers: 1,
            temporal_layers: 1,
            microphones: 0,
            pictures: 1,
            sound_lines: 1,
            seed: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::work;
    use super::*;

    #[test]
    fn a_trace_has_the_frames_and_sounds_of_its_time() {
        let trace = work().trace(Duration::from_secs(2));
        assert_eq!(trace.len(), 59 + 100);
        let sizes: Vec<usize> = trace.iter().flat_map(|b| b.sizes.clone()).collect();
        let packets = sizes.len();
        assert!((450..=600).contains(&packets), "{packets} packets in two seconds");
        assert!(sizes.iter().all(|size| *size <= LARGEST_PACKET));
        let microphones = Work { microphones: 40, ..work() }.trace(Duration::from_secs(2));
        assert_eq!(microphones.len(), 59 + 400);
    }

    #[test]
    fn a_larger_layer_needs_a_wider_line() {
        let work = Work { layers: 3, ..work() };
        let needs = work.needs();
        assert_eq!(needs.len(), 3);
        assert!(needs.is_sorted() && needs[2] > 2_000_000 && needs[1] < 800_000, "{needs:?}");
        assert_eq!(work.rids(), ["q", "h", "f"]);
    }
}
