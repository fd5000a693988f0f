//! Fragmented MP4 as CMAF wants it (ISO/IEC 23000-19, 14496-12): one header for a track, then
//! fragments of samples. Written by hand because a lesson needs every sample's length set
//! from the time line, and parameter sets that change in mid-track.

/// What the header says of a track.
#[derive(Debug, Clone)]
pub enum Media {
    /// H.264 with 4-byte lengths. With `in_band`, samples bring their parameter sets (`avc3`).
    Video { width: u32, height: u32, avcc: Vec<u8>, in_band: bool },
    /// AAC with its `AudioSpecificConfig`.
    Audio { rate: u32, channels: u16, config: Vec<u8>, bitrate: u32 },
}

/// One sample of a fragment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub duration: u32,
    pub size: u32,
    pub sync: bool,
}

const TRACK: u32 = 1;
const UNITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

struct Boxes(Vec<u8>);

impl Boxes {
    /// A box of what `body` writes.
    fn nested(&mut self, kind: &[u8; 4], body: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        self.0.extend_from_slice(kind);
        body(self);
        let size = (self.0.len() - start) as u32;
        self.0[start..start + 4].copy_from_slice(&size.to_be_bytes());
    }

    /// A box with version and flags.
    fn full(&mut self, kind: &[u8; 4], version: u8, flags: u32, body: impl FnOnce(&mut Self)) {
        self.nested(kind, |b| {
            b.u32(u32::from(version) << 24 | flags);
            body(b);
        });
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn u16(&mut self, v: u16) {
        self.bytes(&v.to_be_bytes());
    }

    fn u32(&mut self, v: u32) {
        self.bytes(&v.to_be_bytes());
    }

    fn u64(&mut self, v: u64) {
        self.bytes(&v.to_be_bytes());
    }

    fn zeros(&mut self, n: usize) {
        self.0.resize(self.0.len() + n, 0);
    }
}

/// The header (`ftyp`, `moov`) of a track of `duration` in `timescale`.
#[must_use]
pub fn header(media: &Media, timescale: u32, duration: u64) -> Vec<u8> {
    let mut b = Boxes(Vec::with_capacity(1024));
    b.nested(b"ftyp", |b| b.bytes(b"iso6\0\0\0\0iso6cmfcmp41"));
    b.nested(b"moov", |b| {
        b.full(b"mvhd", 1, 0, |b| {
            b.zeros(16);
            b.u32(timescale);
            b.u64(0);
            b.u32(0x1_0000);
            b.u16(0x100);
            b.zeros(10);
            UNITY.iter().for_each(|v| b.u32(*v));
            b.zeros(24);
            b.u32(TRACK + 1);
        });
        b.nested(b"trak", |b| track(b, media, timescale));
        b.nested(b"mvex", |b| {
            b.full(b"mehd", 1, 0, |b| b.u64(duration));
            b.full(b"trex", 0, 0, |b| {
                b.u32(TRACK);
                b.u32(1);
                b.zeros(12);
            });
        });
    });
    b.0
}

fn track(b: &mut Boxes, media: &Media, timescale: u32) {
    let (width, height, volume) = match media {
        Media::Video { width, height, .. } => (*width, *height, 0),
        Media::Audio { .. } => (0, 0, 0x100),
    };
    // Enabled, in the movie, in the preview.
    b.full(b"tkhd", 1, 7, |b| {
        b.zeros(16);
        b.u32(TRACK);
        b.zeros(4 + 8 + 8 + 4);
        b.u16(volume);
        b.u16(0);
        UNITY.iter().for_each(|v| b.u32(*v));
        b.u32(width << 16);
        b.u32(height << 16);
    });
    b.nested(b"mdia", |b| {
        b.full(b"mdhd", 1, 0, |b| {
            b.zeros(16);
            b.u32(timescale);
            b.u64(0);
            b.u16(0x55c4);
            b.u16(0);
        });
        let (handler, name): (&[u8; 4], &[u8]) = match media {
            Media::Video { .. } => (b"vide", b"video\0"),
            Media::Audio { .. } => (b"soun", b"audio\0"),
        };
        b.full(b"hdlr", 0, 0, |b| {
            b.u32(0);
            b.bytes(handler);
            b.zeros(12);
            b.bytes(name);
        });
        b.nested(b"minf", |b| {
            match media {
                Media::Video { .. } => b.full(b"vmhd", 0, 1, |b| b.zeros(8)),
                Media::Audio { .. } => b.full(b"smhd", 0, 0, |b| b.zeros(4)),
            }
            b.nested(b"dinf", |b| {
                b.full(b"dref", 0, 0, |b| {
                    b.u32(1);
                    b.full(b"url ", 0, 1, |_| {});
                });
            });
            b.nested(b"stbl", |b| {
                b.full(b"stsd", 0, 0, |b| {
                    b.u32(1);
                    sample_entry(b, media);
                });
                b.full(b"stts", 0, 0, |b| b.u32(0));
                b.full(b"stsc", 0, 0, |b| b.u32(0));
                b.full(b"stsz", 0, 0, |b| b.zeros(8));
                b.full(b"stco", 0, 0, |b| b.u32(0));
            });
        });
    });
}

fn sample_entry(b: &mut Boxes, media: &Media) {
    match media {
        Media::Video { width, height, avcc, in_band } => {
            b.nested(if *in_band { b"avc3" } else { b"avc1" }, |b| {
                b.zeros(6);
                b.u16(1);
                b.zeros(16);
                b.u16(*width as u16);
                b.u16(*height as u16);
                b.u32(0x48_0000);
                b.u32(0x48_0000);
                b.u32(0);
                b.u16(1);
                b.zeros(32);
                b.u16(24);
                b.u16(0xffff);
                b.nested(b"avcC", |b| b.bytes(avcc));
            });
        }
        Media::Audio { rate, channels, config, bitrate } => b.nested(b"mp4a", |b| {
            b.zeros(6);
            b.u16(1);
            b.zeros(8);
            b.u16(*channels);
            b.u16(16);
            b.zeros(4);
            b.u32(rate << 16);
            b.full(b"esds", 0, 0, |b| elementary_stream(b, config, *bitrate));
        }),
    }
}

/// ES descriptor of an AAC track (ISO/IEC 14496-1 §7.2.6).
fn elementary_stream(b: &mut Boxes, config: &[u8], bitrate: u32) {
    let config_len = config.len() as u8;
    b.bytes(&[0x03, 3 + 5 + 13 + config_len + 2 + 3, 0, TRACK as u8, 0]);
    b.bytes(&[0x04, 13 + 2 + config_len, 0x40, 0x15, 0, 0, 0]);
    b.u32(bitrate);
    b.u32(bitrate);
    b.bytes(&[0x05, config_len]);
    b.bytes(config);
    b.bytes(&[0x06, 1, 2]);
}

/// The head of a fragment (`moof` and the begin of `mdat`): the samples' bytes follow it.
#[must_use]
pub fn fragment(sequence: u32, start: u64, samples: &[Sample]) -> Vec<u8> {
    // Depends on no other sample; depends on others and is no sync sample.
    const SYNC: u32 = 0x0200_0000;
    const DELTA: u32 = 0x0101_0000;
    let mut b = Boxes(Vec::with_capacity(128 + 12 * samples.len()));
    let mut offset_at = 0;
    b.nested(b"moof", |b| {
        b.full(b"mfhd", 0, 0, |b| b.u32(sequence));
        b.nested(b"traf", |b| {
            // Data offsets count from the moof.
            b.full(b"tfhd", 0, 0x02_0000, |b| b.u32(TRACK));
            b.full(b"tfdt", 1, 0, |b| b.u64(start));
            // With data offset; per sample duration, size and flags.
            b.full(b"trun", 0, 0x701, |b| {
                b.u32(samples.len() as u32);
                offset_at = b.0.len();
                b.u32(0);
                for s in samples {
                    b.u32(s.duration);
                    b.u32(s.size);
                    b.u32(if s.sync { SYNC } else { DELTA });
                }
            });
        });
    });
    let data_offset = b.0.len() as u32 + 8;
    b.0[offset_at..offset_at + 4].copy_from_slice(&data_offset.to_be_bytes());
    let size: u32 = samples.iter().map(|s| s.size).sum();
    b.u32(size + 8);
    b.bytes(b"mdat");
    b.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every box's length fits exactly into the one around it.
    fn walk(mut bytes: &[u8]) -> Vec<String> {
        let mut names = vec![];
        while !bytes.is_empty() {
            let size = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
            let kind = String::from_utf8(bytes[4..8].to_vec()).unwrap();
            let nested = ["moov", "trak", "mdia", "minf", "dinf", "stbl", "mvex", "moof", "traf"];
            if nested.contains(&kind.as_str()) {
                names.extend(walk(&bytes[8..size]).into_iter().map(|n| format!("{kind}.{n}")));
            }
            names.push(kind);
            bytes = &bytes[size..];
        }
        names
    }

    #[test]
    fn boxes_lie_exactly_in_one_another() {
        let video = Media::Video { width: 320, height: 180, avcc: vec![1; 30], in_band: true };
        let names = walk(&header(&video, 90_000, 900_000));
        for wanted in ["ftyp", "moov.trak.mdia.minf.stbl.stsd", "moov.mvex.mehd"] {
            assert!(names.iter().any(|n| n == wanted), "{wanted} is missing in {names:?}");
        }
    }

    #[test]
    fn a_fragment_says_where_its_data_begins() {
        let samples = [Sample { duration: 1, size: 5, sync: true }; 3];
        let mut bytes = fragment(7, 1 << 33, &samples);
        let head = bytes.len();
        bytes.extend_from_slice(&[0; 15]);
        assert_eq!(walk(&bytes).iter().filter(|n| *n == "mdat").count(), 1);
        let trun = bytes.windows(4).position(|w| w == b"trun").unwrap();
        let offset = u32::from_be_bytes(bytes[trun + 12..trun + 16].try_into().unwrap());
        assert_eq!(offset as usize, head);
    }
}
