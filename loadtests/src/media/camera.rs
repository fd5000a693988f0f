//! The test picture as H.264 (RFC 6184 payloads), encoded while it is sent, so that a request
//! for a keyframe is answered as a browser answers it.

use super::picture::Picture;
use anyhow::{Context, Result};
use bytes::Bytes;
use classroom_client::rtp::codec::h264::H264Payloader;
use classroom_client::rtp::packetizer::Payloader;
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile,
    RateControlMode, UsageType,
};

/// Largest RTP payload, in bytes: with header, SRTP and a trunk's framing it stays under any
/// path's limit.
const PAYLOAD: usize = 1180;

/// What the camera makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Video {
    pub width: usize,
    pub height: usize,
    /// Frames a second.
    pub rate: u32,
    /// bit/s.
    pub bitrate: u32,
}

impl Default for Video {
    /// What a teacher's browser sends on a modest line.
    fn default() -> Self {
        Self { width: 640, height: 360, rate: 30, bitrate: 1_000_000 }
    }
}

/// One encoded frame, cut into RTP payloads.
#[derive(Debug, Clone)]
pub struct Frame {
    pub counter: u32,
    pub keyframe: bool,
    pub payloads: Vec<Bytes>,
}

/// Draws and encodes.
pub struct Camera {
    video: Video,
    picture: Picture,
    encoder: Encoder,
    payloader: H264Payloader,
}

impl Camera {
    /// # Errors
    /// When the encoder refuses the settings.
    pub fn new(video: Video) -> Result<Self> {
        let config = EncoderConfig::new()
            .bitrate(BitRate::from_bps(video.bitrate))
            .max_frame_rate(FrameRate::from_hz(video.rate as f32))
            .usage_type(UsageType::CameraVideoRealTime)
            .rate_control_mode(RateControlMode::Bitrate)
            .profile(Profile::Baseline)
            .complexity(Complexity::Low)
            .skip_frames(true)
            .scene_change_detect(false)
            .adaptive_quantization(false)
            .background_detection(false)
            .intra_frame_period(IntraFramePeriod::from_num_frames(0))
            .num_threads(1);
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config)
            .context("the H.264 encoder does not start")?;
        let picture = Picture::new(video.width, video.height);
        Ok(Self { video, picture, encoder, payloader: H264Payloader::default() })
    }

    /// Makes frame number `counter`. The first is a keyframe, and any other only when asked
    /// for. `None`: the encoder leaves this one out to stay within the bitrate, as a browser's
    /// does.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn frame(&mut self, counter: u32, keyframe: bool) -> Result<Option<Frame>> {
        self.picture.draw(counter, f64::from(counter) / f64::from(self.video.rate));
        if keyframe {
            self.encoder.force_intra_frame();
        }
        let encoded = self.encoder.encode(&self.picture).context("encoding a frame")?;
        if encoded.frame_type() == FrameType::Skip {
            return Ok(None);
        }
        let keyframe = encoded.frame_type() == FrameType::IDR;
        let stream = Bytes::from(encoded.to_vec());
        let payloads = self.payloader.payload(PAYLOAD, &stream).context("cutting a frame")?;
        Ok(Some(Frame { counter, keyframe, payloads }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::picture::read_counter;
    use classroom_client::rtp::codec::h264::H264Packet;
    use classroom_client::rtp::packetizer::Depacketizer;
    use cloudschool_protocol::media::Codec;
    use cloudschool_protocol::rtp::starts_keyframe;
    use openh264::decoder::Decoder;

    fn stream(frame: &Frame) -> Vec<u8> {
        let mut depacketizer = H264Packet::default();
        let units = frame.payloads.iter().map(|p| depacketizer.depacketize(p).unwrap());
        units.flat_map(|u| u.to_vec()).collect()
    }

    #[test]
    fn a_decoder_reads_the_counter_of_every_frame() {
        let mut camera = Camera::new(Video::default()).unwrap();
        let mut decoder = Decoder::new().unwrap();
        let frames: Vec<Frame> = (0..90).filter_map(|n| camera.frame(n, false).unwrap()).collect();
        assert!(frames.len() > 80, "{} of 90 frames were encoded", frames.len());
        for frame in &frames {
            assert!(frame.payloads.iter().all(|p| p.len() <= PAYLOAD));
            let picture = decoder.decode(&stream(frame)).unwrap().expect("a picture");
            assert_eq!(read_counter(&picture), Some(frame.counter));
        }
    }

    #[test]
    fn a_keyframe_comes_when_asked_for_and_brings_its_parameter_sets() {
        let mut camera = Camera::new(Video::default()).unwrap();
        let frames: Vec<Frame> = (0..10).filter_map(|n| camera.frame(n, n == 5).unwrap()).collect();
        let keyframes = frames.iter().filter(|f| f.keyframe);
        assert_eq!(keyframes.clone().map(|f| f.counter).collect::<Vec<_>>(), [0, 5]);
        for frame in keyframes {
            assert!(starts_keyframe(Codec::H264, &frame.payloads[0]));
        }
    }

    #[test]
    fn the_bitrate_is_near_what_was_asked() {
        let video = Video::default();
        let mut camera = Camera::new(video).unwrap();
        let seconds = 6;
        let frames: Vec<Frame> =
            (0..seconds * video.rate).filter_map(|n| camera.frame(n, false).unwrap()).collect();
        let bytes: usize = frames.iter().flat_map(|f| &f.payloads).map(Bytes::len).sum();
        let bitrate = bytes * 8 / seconds as usize;
        assert!((800_000..1_200_000).contains(&bitrate), "{bitrate} bit/s");
        let all = (seconds * video.rate) as usize;
        assert!(frames.len() * 20 > all * 19, "{} of {all} frames were encoded", frames.len());
    }
}
