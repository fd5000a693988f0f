//! One file of a track: RTP packets in, Matroska out. GStreamer takes the packets apart and
//! writes clusters of at most a second; every buffer it gives goes straight to the file.
//! Where to begin and end a part is decided elsewhere.

use crate::clock::{MILLI, Nanos, SECOND};
use crate::writer::{Growing, Syncer, WriteFailure};
use bytes::Bytes;
use cloudschool_protocol::media::Codec;
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Media that waits for the disk before it is dropped: half a minute of 8 Mbit/s.
const MAX_WAITING: u64 = 32 << 20;

/// How long the last blocks may take to reach the file.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// Why a part takes no more packets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    #[error("the recording can't be written: {0}")]
    Write(#[from] WriteFailure),
    #[error("the media could not be put into a file: {0}")]
    Media(String),
    #[error("the disk is too slow: {} MiB are waiting", MAX_WAITING >> 20)]
    Behind,
    #[error("the last blocks did not reach the file in {} s", FINISH_WITHIN.as_secs())]
    Stuck,
}

impl PartError {
    fn media(e: impl std::fmt::Display) -> Self {
        Self::Media(e.to_string())
    }
}

/// A part being written. Dropped without [`finish`](Self::finish), the file keeps what
/// reached it.
pub struct Part {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    file: Arc<Growing>,
    failure: Arc<OnceLock<String>>,
    done: Receiver<()>,
}

impl Part {
    /// Begins a file that did not exist.
    ///
    /// # Errors
    /// [`PartError`] when the file can't be created or an element is missing.
    pub fn create(path: &Path, codec: Codec, syncer: &Syncer) -> Result<Self, PartError> {
        let file = syncer.create(path).map_err(WriteFailure::from)?;
        let pipeline = gst::parse::launch(&description(codec)).map_err(PartError::media)?;
        let pipeline =
            pipeline.downcast::<gst::Pipeline>().map_err(|_| PartError::media("no pipeline"))?;
        let source = element::<gst_app::AppSrc>(&pipeline, "source")?;
        let sink = element::<gst_app::AppSink>(&pipeline, "sink")?;
        source.set_caps(Some(&rtp_caps(codec)));
        let failure = Arc::new(OnceLock::new());
        let (told, done) = sync_channel(1);
        sink.set_callbacks(callbacks(Arc::clone(&file), told));
        if let Some(bus) = pipeline.bus() {
            let failure = Arc::clone(&failure);
            bus.set_sync_handler(move |_, message| {
                if let gst::MessageView::Error(e) = message.view() {
                    failure.get_or_init(|| e.error().to_string());
                }
                gst::BusSyncReply::Drop
            });
        }
        pipeline.set_state(gst::State::Playing).map_err(PartError::media)?;
        Ok(Self { pipeline, source, file, failure, done })
    }

    /// Hands over the next packet in order. `time` counts from the part's first packet and
    /// is the same for all packets of a frame.
    ///
    /// # Errors
    /// [`PartError`]; the part is of no more use, what it has written stays.
    pub fn push(&self, packet: Bytes, time: Nanos) -> Result<(), PartError> {
        self.check()?;
        if self.source.current_level_bytes() > MAX_WAITING {
            return Err(PartError::Behind);
        }
        let mut buffer = gst::Buffer::from_slice(packet);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(time.max(0) as u64));
        }
        self.source
            .push_buffer(buffer)
            .map(|_| ())
            .map_err(|e| self.check().err().unwrap_or_else(|| PartError::media(e)))
    }

    /// Bytes in the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.file.len()
    }

    /// What went wrong in the background, if anything.
    ///
    /// # Errors
    /// [`PartError`], as [`push`](Self::push) would say.
    pub fn check(&self) -> Result<(), PartError> {
        if let Some(failure) = self.file.failure() {
            return Err(failure.clone().into());
        }
        self.failure.get().map_or(Ok(()), |why| Err(PartError::Media(why.clone())))
    }

    /// Writes out what is under way and closes the file. Blocks.
    ///
    /// # Errors
    /// [`PartError`] when the end did not reach the disk; what did is kept.
    pub fn finish(self) -> Result<u64, PartError> {
        self.check()?;
        self.source.end_of_stream().map_err(PartError::media)?;
        let ended = self.done.recv_timeout(FINISH_WITHIN);
        self.check()?;
        ended.map_err(|_| PartError::Stuck)?;
        self.file.sync()?;
        Ok(self.file.len())
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Only an element that refuses to stop can fail here, and nobody is left to be told.
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            tracing::error!(%error, "a capture pipeline did not stop");
        }
    }
}

fn description(codec: Codec) -> String {
    let take_apart = match codec {
        Codec::H264 => "rtph264depay ! h264parse ! video/x-h264,stream-format=avc,alignment=au",
        Codec::Vp8 => "rtpvp8depay",
        // Neither is demanded (`lesson::wanted`).
        Codec::Vp9 => "rtpvp9depay",
        Codec::Av1 => "rtpav1depay",
        Codec::Opus => "rtpopusdepay ! opusparse",
    };
    format!(
        "appsrc name=source format=time is-live=false block=false max-bytes=0 ! {take_apart} ! \
         matroskamux streamable=true min-cluster-duration={min} max-cluster-duration={max} ! \
         appsink name=sink sync=false async=false",
        min = 500 * MILLI,
        max = SECOND,
    )
}

fn rtp_caps(codec: Codec) -> gst::Caps {
    let media = match codec.kind() {
        cloudschool_protocol::media::Kind::Audio => "audio",
        cloudschool_protocol::media::Kind::Video => "video",
    };
    gst::Caps::builder("application/x-rtp")
        .field("media", media)
        .field("clock-rate", codec.clock_rate() as i32)
        .field("encoding-name", codec.encoding_name().to_ascii_uppercase())
        .field("payload", i32::from(codec.payload_type()))
        .build()
}

fn element<T: IsA<gst::Element>>(pipeline: &gst::Pipeline, name: &str) -> Result<T, PartError> {
    let found = pipeline.by_name(name).and_then(|e| e.downcast::<T>().ok());
    found.ok_or_else(|| PartError::media(format!("no element {name}")))
}

fn callbacks(file: Arc<Growing>, done: SyncSender<()>) -> gst_app::AppSinkCallbacks {
    gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let Some(buffer) = sample.buffer() else { return Ok(gst::FlowSuccess::Ok) };
            let bytes = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
            file.append(&bytes).map_err(|_| gst::FlowError::Error)?;
            Ok(gst::FlowSuccess::Ok)
        })
        .eos(move |_| {
            // Nobody may wait any more; the file is whole all the same.
            let _ = done.try_send(());
        })
        .build()
}
