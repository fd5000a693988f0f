//! A test picture and a tone from GStreamer, encoded and cut into RTP packets.

use anyhow::{Context, Result, anyhow};
use classroom_client::rtp;
use cloudschool_protocol::media::Codec;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use rtc::shared::marshal::Unmarshal;
use tokio::sync::mpsc;

/// RTP packets of one track as they leave the payloader.
pub type Packets = mpsc::Receiver<rtp::Packet>;

/// Packets a track may be behind, about a second of video. Beyond it new ones are dropped:
/// late media is worth nothing, and the pipeline must not stand still.
const QUEUE: usize = 256;

/// Encoders in order of liking: OpenH264 is made for this; x264 is what else Debian has.
const ENCODERS: [(&str, &str); 2] = [
    ("openh264enc", "openh264enc name=encoder bitrate=1000000 complexity=low rate-control=bitrate"),
    (
        "x264enc",
        "x264enc name=encoder bitrate=1000 tune=zerolatency speed-preset=ultrafast key-int-max=300",
    ),
];

/// A running, or not yet running, test source.
pub struct Source {
    pipeline: gst::Pipeline,
    encoder: gst::Element,
}

/// What a source gives.
pub struct Streams {
    pub video: Packets,
    pub audio: Packets,
    pub failure: Failure,
}

/// Hears of it when the pipeline fails.
pub struct Failure(mpsc::Receiver<String>);

impl Failure {
    /// Waits until the pipeline fails, and says why.
    pub async fn wait(&mut self) -> anyhow::Error {
        match self.0.recv().await {
            Some(text) => anyhow!("the test source failed: {text}"),
            None => std::future::pending().await,
        }
    }
}

impl Source {
    /// Builds the pipeline.
    ///
    /// # Errors
    /// When a GStreamer element is not installed.
    pub fn new() -> Result<(Self, Streams)> {
        gst::init().context("GStreamer does not start")?;
        let encoder = ENCODERS.iter().find(|(name, _)| gst::ElementFactory::find(name).is_some());
        let (_, encoder) = encoder.ok_or_else(|| {
            anyhow!("GStreamer has no H.264 encoder: install gstreamer1.0-plugins-bad or -ugly")
        })?;
        let description = format!(
            "videotestsrc is-live=true pattern=ball \
             ! video/x-raw,format=I420,width=640,height=360,framerate=30/1 \
             ! {encoder} ! video/x-h264,profile=constrained-baseline \
             ! rtph264pay config-interval=-1 aggregate-mode=zero-latency mtu=1200 pt={h264} \
             ! appsink name=video sync=false \
             audiotestsrc is-live=true wave=sine freq=440 volume=0.2 \
             ! audio/x-raw,rate=48000,channels=1 ! audioconvert \
             ! opusenc bitrate=32000 ! rtpopuspay pt={opus} \
             ! appsink name=audio sync=false",
            h264 = Codec::H264.payload_type(),
            opus = Codec::Opus.payload_type(),
        );
        let pipeline = gst::parse::launch(&description).context("building the test source")?;
        let pipeline =
            pipeline.downcast::<gst::Pipeline>().map_err(|_| anyhow!("not a pipeline"))?;
        let encoder = pipeline.by_name("encoder").context("the pipeline has no encoder")?;
        let video = packets(&pipeline, "video")?;
        let audio = packets(&pipeline, "audio")?;
        let (tx, failures) = mpsc::channel(1);
        let bus = pipeline.bus().context("the pipeline has no bus")?;
        bus.set_sync_handler(move |_, message| {
            if let gst::MessageView::Error(error) = message.view() {
                let text = format!("{}: {}", error.error(), error.debug().unwrap_or_default());
                if tx.try_send(text).is_err() {
                    tracing::debug!("the test source failed more than once");
                }
            }
            gst::BusSyncReply::Drop
        });
        Ok((Self { pipeline, encoder }, Streams { video, audio, failure: Failure(failures) }))
    }

    /// Starts the media.
    ///
    /// # Errors
    /// When GStreamer refuses.
    pub fn start(&self) -> Result<()> {
        self.pipeline.set_state(gst::State::Playing).context("starting the test source")?;
        Ok(())
    }

    /// Ends the media.
    pub fn stop(&self) {
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            tracing::warn!(%error, "stopping the test source");
        }
    }

    /// Makes the next picture a keyframe.
    pub fn request_keyframe(&self) {
        let wish = gst::Structure::builder("GstForceKeyUnit").field("all-headers", true).build();
        if !self.encoder.send_event(gst::event::CustomUpstream::new(wish)) {
            tracing::warn!("the encoder did not take the request for a keyframe");
        }
    }
}

fn packets(pipeline: &gst::Pipeline, sink: &str) -> Result<Packets> {
    let sink = pipeline.by_name(sink).context("the pipeline has no such sink")?;
    let sink = sink.downcast::<AppSink>().map_err(|_| anyhow!("not an appsink"))?;
    let (tx, rx) = mpsc::channel(QUEUE);
    let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let buffer = sample.buffer().ok_or(gst::FlowError::Error)?;
        let bytes = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        let packet = rtp::Packet::unmarshal(&mut bytes.as_slice());
        let packet = packet.map_err(|_| gst::FlowError::Error)?;
        match tx.try_send(packet) {
            Ok(()) => Ok(gst::FlowSuccess::Ok),
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::warn!("the network is too slow: a packet is dropped");
                Ok(gst::FlowSuccess::Ok)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(gst::FlowError::Eos),
        }
    });
    sink.set_callbacks(callbacks.build());
    Ok(rx)
}
