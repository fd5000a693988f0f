//! The sound of the published lesson: the mix as AAC in a CMAF rendition, which every browser
//! plays, and beside it as Opus in Ogg, which is smaller and better to keep.

use super::FinaliseError;
use super::cmaf::{Media, Sample};
use super::gst_run::Run;
use super::hls::Rendition;
use super::mix::{RATE, Voice, samples, soften};
use super::rendition::RenditionWriter;
use crate::clock::Nanos;
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use std::path::Path;

/// AAC frame length in samples.
const FRAME: u32 = 1024;

/// Frames in a segment: 6 s.
const SEGMENT: usize = 281;

/// Length of the pieces in which sound is mixed: half a second.
const PIECE: usize = RATE as usize / 2;

/// Sound that may wait for the encoders, in bytes.
const QUEUE: u64 = 4 << 20;

const KBITS_PER_CHANNEL: u32 = 64;

pub const OPUS_FILE: &str = "audio.opus";
const AAC_FILE: &str = "audio.mp4";

/// Mixes `voices` over `duration` and writes both forms into `dir`.
///
/// # Errors
/// [`FinaliseError`] when reading, encoding or writing fails.
pub fn write(
    dir: &Path,
    mut voices: Vec<Voice>,
    channels: u16,
    duration: Nanos,
) -> Result<Rendition, FinaliseError> {
    let pipeline = pipeline(&dir.join(OPUS_FILE), channels)?;
    let bitrate = KBITS_PER_CHANNEL * 1000 * u32::from(channels);
    let total = samples(duration).max(1) as u64;
    pipeline.play()?;
    let rendition = std::thread::scope(|scope| {
        let sink = pipeline.app_sink("aac")?;
        let run = &pipeline;
        let collector = scope.spawn(move || {
            let collected = collect(dir, run, &sink, channels, bitrate, total);
            if collected.is_err() {
                run.stop();
            }
            collected
        });
        let fed = feed(&pipeline, &mut voices, channels, total);
        let collected = collector.join().unwrap_or(Err(FinaliseError::Thread));
        // What stopped the encoder says more than that it stopped.
        pipeline.check().and(fed).and(collected)
    })?;
    pipeline.wait_for_end()?;
    std::fs::File::open(dir.join(OPUS_FILE))?.sync_all()?;
    Ok(rendition)
}

fn pipeline(opus: &Path, channels: u16) -> Result<Run, FinaliseError> {
    let run = Run::new(&format!(
        "appsrc name=in format=time block=true max-bytes={QUEUE} ! tee name=both \
         both. ! queue ! audioconvert ! avenc_aac bitrate={aac} aac-coder=fast ! \
         audio/mpeg,mpegversion=4,stream-format=raw ! \
         appsink name=aac sync=false max-buffers=64 \
         both. ! queue ! audioconvert ! opusenc bitrate={opus_rate} bitrate-type=vbr complexity=6 ! oggmux ! \
         filesink name=opus sync=false",
        aac = KBITS_PER_CHANNEL * 1000 * u32::from(channels),
        opus_rate = KBITS_PER_CHANNEL * 750 * u32::from(channels),
    ))?;
    run.set("opus", "location", opus)?;
    run.app_src("in")?.set_caps(Some(
        &gst::Caps::builder("audio/x-raw")
            .field("format", "F32LE")
            .field("layout", "interleaved")
            .field("rate", RATE as i32)
            .field("channels", i32::from(channels))
            .build(),
    ));
    Ok(run)
}

fn feed(
    pipeline: &Run,
    voices: &mut [Voice],
    channels: u16,
    total: u64,
) -> Result<(), FinaliseError> {
    let source = pipeline.app_src("in")?;
    // The encoder's first frame is its run-in and is left out, so one more is fed.
    let padded = total.next_multiple_of(u64::from(FRAME)) + u64::from(FRAME);
    let mut mix = vec![0.0; PIECE * usize::from(channels)];
    let mut at = 0;
    let outcome = (|| {
        while at < padded {
            let count = PIECE.min((padded - at) as usize);
            let piece = &mut mix[..count * usize::from(channels)];
            piece.fill(0.0);
            for voice in voices.iter_mut() {
                voice.add(at as i64, piece)?;
            }
            soften(piece);
            let bytes: Vec<u8> = piece.iter().flat_map(|s| s.to_le_bytes()).collect();
            let mut buffer = gst::Buffer::from_mut_slice(bytes);
            if let Some(buffer) = buffer.get_mut() {
                let time = |n: u64| gst::ClockTime::SECOND.mul_div_floor(n, u64::from(RATE));
                buffer.set_pts(time(at));
                buffer.set_duration(time(count as u64));
            }
            source.push_buffer(buffer).map_err(FinaliseError::media)?;
            at += count as u64;
        }
        Ok(())
    })();
    // Also after a failure, so that the collector comes to its end.
    let ended = source.end_of_stream().map(|_| ()).map_err(FinaliseError::media);
    outcome.and(ended)
}

/// Takes the encoder's frames and writes the rendition.
fn collect(
    dir: &Path,
    pipeline: &Run,
    sink: &gst_app::AppSink,
    channels: u16,
    bitrate: u32,
    total: u64,
) -> Result<Rendition, FinaliseError> {
    let frames = total.div_ceil(u64::from(FRAME)) as usize;
    let mut writer = None;
    let (mut sizes, mut data, mut taken) = (Vec::new(), Vec::new(), 0);
    let mut run_in = true;
    while let Some(sample) = pipeline.next(sink)? {
        if writer.is_none() {
            let config = codec_data(&sample).ok_or(FinaliseError::Encoder("AAC"))?;
            let media = Media::Audio { rate: RATE, channels, config, bitrate };
            let ticks = frames as u64 * u64::from(FRAME);
            let codecs = "mp4a.40.2".into();
            writer = Some(RenditionWriter::create(dir, AAC_FILE, &media, RATE, ticks, codecs)?);
        }
        if std::mem::take(&mut run_in) || taken == frames {
            continue;
        }
        let buffer = sample.buffer().ok_or(FinaliseError::Encoder("AAC"))?;
        let bytes = buffer.map_readable().map_err(FinaliseError::media)?;
        sizes.push(Sample { duration: FRAME, size: bytes.len() as u32, sync: true });
        data.extend_from_slice(&bytes);
        taken += 1;
        if let Some(writer) = &mut writer
            && (sizes.len() == SEGMENT || taken == frames)
        {
            writer.segment(&sizes, &data)?;
            sizes.clear();
            data.clear();
        }
    }
    if taken < frames {
        return Err(FinaliseError::Encoder("AAC"));
    }
    Ok(writer.ok_or(FinaliseError::Encoder("AAC"))?.finish()?)
}

/// The decoder's configuration, out of a sample's caps.
pub fn codec_data(sample: &gst::Sample) -> Option<Vec<u8>> {
    let buffer = sample.caps()?.structure(0)?.get::<gst::Buffer>("codec_data").ok()?;
    Some(buffer.map_readable().ok()?.to_vec())
}
