//! VP8 into H.264, for the programme alone and only where its source sent VP8: no browser
//! plays VP8 from HLS. Times are kept as they are.

use super::FinaliseError;
use super::gst_run::Run;
use std::path::Path;

/// Reads the recorded VP8 part `from` and writes `to`, a Matroska file of H.264.
///
/// # Errors
/// [`FinaliseError`] when the part can't be read or coded.
pub fn vp8_to_h264(from: &Path, to: &Path) -> Result<(), FinaliseError> {
    let run = Run::new(
        "filesrc name=in ! matroskademux ! vp8dec ! videoconvert ! \
         openh264enc bitrate=2500000 max-bitrate=5000000 gop-size=150 complexity=low ! h264parse ! \
         video/x-h264,stream-format=avc,alignment=au ! \
         matroskamux streamable=true ! filesink name=out sync=false",
    )?;
    run.set("in", "location", from)?;
    run.set("out", "location", to)?;
    run.play()?;
    run.wait_for_end()
}
