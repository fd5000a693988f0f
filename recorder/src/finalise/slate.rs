//! Still pictures: the slate that stands in where nothing was shown, and the thumbnail.

use super::FinaliseError;
use super::gst_run::Run;
use super::programme::SLATE_RATE;
use super::sound::codec_data;
use crate::bitstream::avcc_parameter_sets;
use gstreamer as gst;

/// Colour of the slate: the dark ink of the pages.
const INK: u32 = 0xff15_202b;

/// Width of thumbnails.
const THUMBNAIL_WIDTH: u32 = 640;

/// A second of one colour: a keyframe and what follows it.
pub struct Still {
    pub width: u32,
    pub height: u32,
    pub parameter_sets: Vec<Vec<u8>>,
    pub pictures: Vec<Vec<u8>>,
}

/// Codes the slate.
///
/// # Errors
/// [`FinaliseError`] when the encoder is missing or fails.
pub fn slate(width: u32, height: u32) -> Result<Still, FinaliseError> {
    // Without an end: the encoder complains about being ended.
    let run = Run::new(&format!(
        "videotestsrc pattern=solid-color foreground-color={INK} ! \
         video/x-raw,format=I420,width={width},height={height},framerate={SLATE_RATE}/1 ! \
         openh264enc gop-size={SLATE_RATE} ! h264parse ! \
         video/x-h264,stream-format=avc,alignment=au ! appsink name=out sync=false max-buffers=4"
    ))?;
    run.play()?;
    let sink = run.app_sink("out")?;
    let (mut pictures, mut parameter_sets) = (Vec::new(), None);
    while pictures.len() < SLATE_RATE {
        let sample = run.next(&sink)?.ok_or(FinaliseError::Encoder("H.264"))?;
        parameter_sets = codec_data(&sample).as_deref().and_then(avcc_parameter_sets);
        let buffer = sample.buffer().ok_or(FinaliseError::Encoder("H.264"))?;
        pictures.push(buffer.map_readable().map_err(FinaliseError::media)?.to_vec());
    }
    let parameter_sets = parameter_sets.ok_or(FinaliseError::Encoder("H.264"))?;
    Ok(Still { width, height, parameter_sets, pictures })
}

/// Turns a coded keyframe of `size` into a JPEG.
///
/// # Errors
/// [`FinaliseError`] when it does not decode.
pub fn thumbnail(
    config: Vec<u8>,
    keyframe: Vec<u8>,
    size: (u32, u32),
) -> Result<Vec<u8>, FinaliseError> {
    let width = THUMBNAIL_WIDTH.min(size.0.max(2)) & !1;
    let height = (size.1 * width / size.0.max(1)).max(2) & !1;
    let run = Run::new(&format!(
        "appsrc name=in format=time ! avdec_h264 ! videoconvert ! videoscale ! \
         video/x-raw,width={width},height={height} ! jpegenc quality=82 ! \
         appsink name=out sync=false"
    ))?;
    let source = run.app_src("in")?;
    source.set_caps(Some(
        &gst::Caps::builder("video/x-h264")
            .field("stream-format", "avc")
            .field("alignment", "au")
            .field("codec_data", gst::Buffer::from_slice(config))
            .field("width", size.0 as i32)
            .field("height", size.1 as i32)
            .field("framerate", gst::Fraction::new(25, 1))
            .build(),
    ));
    run.play()?;
    let mut buffer = gst::Buffer::from_slice(keyframe);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::ZERO);
    }
    source.push_buffer(buffer).map_err(FinaliseError::media)?;
    source.end_of_stream().map_err(FinaliseError::media)?;
    let sample = run.next(&run.app_sink("out")?)?.ok_or(FinaliseError::Encoder("JPEG"))?;
    let buffer = sample.buffer().ok_or(FinaliseError::Encoder("JPEG"))?;
    Ok(buffer.map_readable().map_err(FinaliseError::media)?.to_vec())
}
