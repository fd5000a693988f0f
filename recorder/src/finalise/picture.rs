//! The video of the published lesson: the programme's samples, passed through as recorded.

use super::FinaliseError;
use super::cmaf::{Media, Sample as Size};
use super::hls::Rendition;
use super::programme::{Picture, Sample, TIMESCALE, segments};
use super::rendition::RenditionWriter;
use super::slate::Still;
use crate::bitstream::{avcc, avcc_parameter_sets, unit_has_sps};
use crate::mkv::Reader;
use std::path::Path;

const FILE: &str = "video.mp4";

/// A source of pictures with its parameter sets.
pub struct Source {
    pub reader: Reader,
    pub parameter_sets: Vec<Vec<u8>>,
}

impl Source {
    /// # Errors
    /// [`FinaliseError::NoParameterSets`] when the recording doesn't say how to decode it.
    pub fn new(reader: Reader) -> Result<Self, FinaliseError> {
        let parameter_sets = avcc_parameter_sets(&reader.index.codec_private)
            .filter(|sets| !sets.is_empty())
            .ok_or(FinaliseError::NoParameterSets)?;
        Ok(Self { reader, parameter_sets })
    }
}

/// Everything the programme may show.
pub struct Pictures<'a> {
    pub sources: &'a [Option<Source>],
    pub slate: Option<&'a Still>,
}

impl Pictures<'_> {
    fn parameter_sets(&self, picture: Picture) -> Option<&[Vec<u8>]> {
        match picture {
            Picture::Recorded { part, .. } => {
                self.sources.get(part)?.as_ref().map(|s| s.parameter_sets.as_slice())
            }
            Picture::Slate(_) => self.slate.map(|s| s.parameter_sets.as_slice()),
        }
    }

    fn size(&self, picture: Picture) -> Option<(u32, u32)> {
        match picture {
            Picture::Recorded { part, .. } => {
                let index = &self.sources.get(part)?.as_ref()?.reader.index;
                Some((index.width, index.height))
            }
            Picture::Slate(_) => self.slate.map(|s| (s.width, s.height)),
        }
    }

    /// The coded picture.
    pub fn bytes(&self, picture: Picture) -> Result<Vec<u8>, FinaliseError> {
        let missing = FinaliseError::NoParameterSets;
        match picture {
            Picture::Recorded { part, block } => {
                let source = self.sources.get(part).and_then(Option::as_ref).ok_or(missing)?;
                let block = source.reader.index.blocks.get(block);
                let block = block.ok_or(FinaliseError::NoParameterSets)?;
                Ok(source.reader.read(block)?)
            }
            Picture::Slate(nth) => {
                let picture = self.slate.and_then(|s| s.pictures.get(nth));
                picture.cloned().ok_or(missing)
            }
        }
    }

    /// A keyframe as one access unit with its decoder configuration.
    pub fn keyframe(&self, picture: Picture) -> Result<(Vec<u8>, Vec<u8>), FinaliseError> {
        let sets = self.parameter_sets(picture).ok_or(FinaliseError::NoParameterSets)?;
        let config = avcc(sets).ok_or(FinaliseError::NoParameterSets)?;
        Ok((config, self.bytes(picture)?))
    }
}

/// What the video became.
pub struct Video {
    pub rendition: Rendition,
    pub width: u32,
    pub height: u32,
}

/// Writes the rendition for `samples` into `dir`.
///
/// # Errors
/// [`FinaliseError`] when reading or writing fails.
pub fn write(
    dir: &Path,
    samples: &[Sample],
    pictures: &Pictures<'_>,
) -> Result<Video, FinaliseError> {
    let first = samples.first().ok_or(FinaliseError::NoParameterSets)?;
    let sets = |s: &Sample| pictures.parameter_sets(s.picture);
    let own = sets(first).ok_or(FinaliseError::NoParameterSets)?;
    // A format that changes on the way must travel with the pictures; players know avc1 better.
    let in_band = samples.iter().any(|s| s.sync && sets(s) != Some(own));
    let sizes = samples.iter().filter_map(|s| pictures.size(s.picture));
    let (width, height) = sizes.max_by_key(|(w, h)| w * h).unwrap_or((1280, 720));
    let media = Media::Video {
        width,
        height,
        avcc: avcc(own).ok_or(FinaliseError::NoParameterSets)?,
        in_band,
    };
    let all = samples.iter().filter(|s| s.sync).filter_map(sets);
    let codecs = codecs(all, in_band).ok_or(FinaliseError::NoParameterSets)?;
    let duration = samples.last().map_or(0, |s| s.start + u64::from(s.duration));
    let mut writer = RenditionWriter::create(dir, FILE, &media, TIMESCALE, duration, codecs)?;
    for segment in segments(samples) {
        let mut sizes = Vec::with_capacity(segment.len());
        let mut data = Vec::new();
        for sample in segment {
            let begin = data.len();
            let bytes = pictures.bytes(sample.picture)?;
            if in_band && sample.sync && !unit_has_sps(&bytes) {
                for set in sets(sample).unwrap_or_default() {
                    data.extend_from_slice(&(set.len() as u32).to_be_bytes());
                    data.extend_from_slice(set);
                }
            }
            data.extend_from_slice(&bytes);
            sizes.push(Size {
                duration: sample.duration,
                size: (data.len() - begin) as u32,
                sync: sample.sync,
            });
        }
        writer.segment(&sizes, &data)?;
    }
    Ok(Video { rendition: writer.finish()?, width, height })
}

/// RFC 6381 name of the most demanding of the formats.
fn codecs<'a>(all: impl Iterator<Item = &'a [Vec<u8>]>, in_band: bool) -> Option<String> {
    let sps = all.filter_map(|sets| sets.iter().find(|s| s.first().is_some_and(|b| b & 31 == 7)));
    let profiles = sps.filter_map(|s| match s.as_slice() {
        [_, profile, compatible, level, ..] => Some((*profile, *level, *compatible)),
        _ => None,
    });
    let (profile, level, compatible) = profiles.reduce(|a, b| {
        let profile = if b.0 > a.0 { b } else { a };
        (profile.0, a.1.max(b.1), profile.2)
    })?;
    let name = if in_band { "avc3" } else { "avc1" };
    Some(format!("{name}.{profile:02x}{compatible:02x}{level:02x}"))
}
