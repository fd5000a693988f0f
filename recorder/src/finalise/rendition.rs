//! Writes one rendition: header, then fragment after fragment, noting where each lies.

use super::cmaf::{self, Media, Sample};
use super::hls::{Rendition, Segment};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// A rendition file being written.
pub struct RenditionWriter {
    file: BufWriter<File>,
    timescale: u32,
    at: u64,
    start: u64,
    rendition: Rendition,
}

impl RenditionWriter {
    /// Begins `dir/name` with the header for `media` of `duration` in `timescale`.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn create(
        dir: &Path,
        name: &str,
        media: &Media,
        timescale: u32,
        duration: u64,
        codecs: String,
    ) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(dir.join(name))?);
        let header = cmaf::header(media, timescale, duration);
        file.write_all(&header)?;
        let header_len = header.len() as u64;
        let rendition =
            Rendition { file: name.to_owned(), header_len, segments: Vec::new(), codecs };
        Ok(Self { file, timescale, at: header_len, start: 0, rendition })
    }

    /// Appends a segment that begins where the last ended. `data` holds all samples' bytes.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn segment(&mut self, samples: &[Sample], data: &[u8]) -> io::Result<()> {
        let sequence = self.rendition.segments.len() as u32 + 1;
        let head = cmaf::fragment(sequence, self.start, samples);
        self.file.write_all(&head)?;
        self.file.write_all(data)?;
        let ticks: u64 = samples.iter().map(|s| u64::from(s.duration)).sum();
        let len = (head.len() + data.len()) as u64;
        let seconds = ticks as f64 / f64::from(self.timescale);
        self.rendition.segments.push(Segment { seconds, offset: self.at, len });
        self.at += len;
        self.start += ticks;
        Ok(())
    }

    /// Brings the file to the disk.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn finish(self) -> io::Result<Rendition> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(self.rendition)
    }
}
