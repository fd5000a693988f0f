//! Reads the Matroska files the recorder writes: an index of every block that is there
//! whole, however the file ends. Knows what `matroskamux` writes in streaming mode, one
//! track, no lacing; everything else is stepped over by its length.

use crate::clock::{MILLI, Nanos};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TIMESTAMP_SCALE: u32 = 0x002a_d7b1;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const CODEC_PRIVATE: u32 = 0x63a2;
const VIDEO: u32 = 0xe0;
const WIDTH: u32 = 0xb0;
const HEIGHT: u32 = 0xba;
const CLUSTER: u32 = 0x1f43_b675;
const CLUSTER_TIME: u32 = 0xe7;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const SIMPLE_BLOCK: u32 = 0xa3;

/// Longest element read into memory that isn't a block.
const MAX_PRIVATE: u64 = 64 * 1024;

/// One block: one frame or audio packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Time in the file.
    pub time: Nanos,
    pub offset: u64,
    pub len: u32,
    /// A decoder can begin here.
    pub key: bool,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Index {
    pub blocks: Vec<Block>,
    pub codec_private: Vec<u8>,
    pub width: u32,
    pub height: u32,
}

/// A file with its index.
#[derive(Debug)]
pub struct Reader {
    pub file: File,
    pub index: Index,
}

impl Reader {
    /// Indexes `path`. A file cut anywhere is read up to its last whole block.
    ///
    /// # Errors
    /// When it can't be read at all.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let end = file.metadata()?.len();
        let index = Scan { file: &file, at: 0, end }.run()?;
        Ok(Self { file, index })
    }

    /// The bytes of `block`.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn read(&self, block: &Block) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; block.len as usize];
        self.file.read_exact_at(&mut bytes, block.offset)?;
        Ok(bytes)
    }
}

struct Scan<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Scan<'_> {
    fn run(mut self) -> io::Result<Index> {
        let mut index = Index::default();
        let mut scale = MILLI;
        let mut cluster = 0i64;
        while let Some((id, size)) = self.header()? {
            let whole = size.and_then(|s| self.at.checked_add(s)).filter(|end| *end <= self.end);
            match id {
                // What lies in these is read as if it lay beside them; their length, often
                // unknown, is then of no interest.
                SEGMENT | INFO | TRACKS | TRACK_ENTRY | VIDEO | CLUSTER | BLOCK_GROUP => continue,
                TIMESTAMP_SCALE => scale = self.number(size)? as i64,
                CLUSTER_TIME => cluster = self.number(size)? as i64,
                WIDTH => index.width = self.number(size)? as u32,
                HEIGHT => index.height = self.number(size)? as u32,
                CODEC_PRIVATE if whole.is_some() => {
                    index.codec_private = self.bytes(size.unwrap_or(0).min(MAX_PRIVATE))?;
                }
                SIMPLE_BLOCK | BLOCK => {
                    let (Some(end), Some(size)) = (whole, size) else { break };
                    let head = self.bytes(size.min(4))?;
                    let &[0x81, t0, t1, flags] = head.as_slice() else { break };
                    let time = cluster + i64::from(i16::from_be_bytes([t0, t1]));
                    index.blocks.push(Block {
                        time: time.saturating_mul(scale),
                        offset: self.at + 4,
                        len: (end - self.at - 4) as u32,
                        key: id == BLOCK || flags & 0x80 != 0,
                    });
                }
                _ => {}
            }
            let Some(end) = whole else { break };
            self.at = end;
        }
        Ok(index)
    }

    /// Id and size of the element here; the size is `None` when the writer didn't know it.
    fn header(&mut self) -> io::Result<Option<(u32, Option<u64>)>> {
        let mut buffer = [0u8; 12];
        let len = (self.end.saturating_sub(self.at)).min(12) as usize;
        let buffer = &mut buffer[..len];
        self.file.read_exact_at(buffer, self.at)?;
        let Some(&first) = buffer.first() else { return Ok(None) };
        let id_len = first.leading_zeros() as usize + 1;
        let Some(id) = buffer.get(..id_len).filter(|_| id_len <= 4) else { return Ok(None) };
        let id = id.iter().fold(0u32, |v, b| (v << 8) | u32::from(*b));
        let Some(&head) = buffer.get(id_len) else { return Ok(None) };
        let size_len = head.leading_zeros() as usize + 1;
        let Some(size) = buffer.get(id_len..id_len + size_len) else { return Ok(None) };
        let mask = (1u64 << (7 * size_len)) - 1;
        let size = size.iter().fold(0u64, |v, b| (v << 8) | u64::from(*b)) & mask;
        self.at += (id_len + size_len) as u64;
        Ok(Some((id, (size != mask).then_some(size))))
    }

    fn bytes(&self, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len.min(self.end.saturating_sub(self.at)) as usize];
        self.file.read_exact_at(&mut bytes, self.at)?;
        Ok(bytes)
    }

    fn number(&self, size: Option<u64>) -> io::Result<u64> {
        let bytes = self.bytes(size.unwrap_or(0).min(8))?;
        Ok(bytes.iter().fold(0u64, |v, b| (v << 8) | u64::from(*b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = id.to_vec();
        out.push(0x80 | body.len() as u8);
        out.extend_from_slice(body);
        out
    }

    fn sample() -> Vec<u8> {
        let mut f = element(&[0x1a, 0x45, 0xdf, 0xa3], b"header");
        f.extend_from_slice(&[0x18, 0x53, 0x80, 0x67, 0x01, 255, 255, 255, 255, 255, 255, 255]);
        let video = [element(&[0xb0], &[1, 64]), element(&[0xba], &[0xb4])].concat();
        let entry = [element(&[0xe0], &video), element(&[0x63, 0xa2], b"avcc")].concat();
        f.extend(element(&[0x16, 0x54, 0xae, 0x6b], &element(&[0xae], &entry)));
        for t in [0u8, 100] {
            f.extend_from_slice(&[0x1f, 0x43, 0xb6, 0x75, 0xff]);
            f.extend(element(&[0xe7], &[t]));
            f.extend(element(&[0xa3], &[0x81, 0, 0, 0x80, b'k', b'e', b'y']));
            f.extend(element(&[0xa3], &[0x81, 0, 40, 0x00, b'd']));
        }
        f
    }

    fn index(bytes: &[u8]) -> Reader {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Reader::open(file.path()).unwrap()
    }

    #[test]
    fn blocks_in_clusters_of_unknown_size_are_found() {
        let r = index(&sample());
        let times: Vec<_> = r.index.blocks.iter().map(|b| (b.time / MILLI, b.key)).collect();
        assert_eq!(times, [(0, true), (40, false), (100, true), (140, false)]);
        assert_eq!(r.read(&r.index.blocks[2]).unwrap(), b"key");
        assert_eq!((r.index.width, r.index.height), (320, 180));
        assert_eq!(r.index.codec_private, b"avcc");
    }

    #[test]
    fn a_file_cut_anywhere_gives_every_whole_block_before_the_cut() {
        let bytes = sample();
        let all = index(&bytes).index.blocks;
        for cut in 0..bytes.len() {
            let r = index(&bytes[..cut]);
            let whole = |b: &&Block| b.offset + u64::from(b.len) <= cut as u64;
            assert_eq!(r.index.blocks.len(), all.iter().filter(whole).count(), "cut at {cut}");
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let mut bytes = sample();
        for i in 0..bytes.len() {
            for v in [0, 0xff, 0x1f] {
                let old = std::mem::replace(&mut bytes[i], v);
                index(&bytes);
                bytes[i] = old;
            }
        }
    }
}
