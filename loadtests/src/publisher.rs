//! A synthetic teacher's media: test picture and speech, published over WHIP as a browser
//! publishes, in real time, keyframes on request.

use crate::media::camera::{Camera, Frame, Video};
use crate::media::ledger::{Ledger, Published, frame_fingerprint, payload_fingerprint};
use crate::media::microphone::{Microphone, PACKETS_PER_S, SAMPLES, Sound};
use anyhow::{Context, Result};
use classroom_client::dial::Dial;
use classroom_client::publish::{Endpoint, Outgoing, Publication};
use classroom_client::rtp::{Header, Packet};
use cloudschool_protocol::media::Codec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Frames or packets that may wait for the connection: more would only be late.
const QUEUE: usize = 8;

/// Where on the RTP time line a track begins. Not zero, so that nothing works by chance.
const FIRST_TIMESTAMP: u32 = 0xffff_f000;

/// A teacher on air.
pub struct Publisher {
    publication: Publication,
    ledger: Arc<Ledger>,
    keyframes_asked: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Result<()>>,
}

impl Publisher {
    /// Publishes at `endpoint` and begins to send.
    ///
    /// # Errors
    /// When the node refuses, or an encoder does not start.
    pub async fn start(endpoint: Endpoint, video: Video) -> Result<Self> {
        // Encoders first: a member that is on air but sends nothing would be a poor teacher.
        let camera = Camera::new(video)?;
        let microphone = Microphone::new(1)?;
        let publication =
            Publication::start(&Dial::default(), endpoint).await.context("publishing")?;
        let ledger = Arc::new(Ledger::default());
        let stop = Arc::new(AtomicBool::new(false));
        let keyframe = Arc::new(AtomicBool::new(false));
        let keyframes_asked = Arc::new(AtomicU32::new(0));
        let mut tasks = JoinSet::new();

        let clock = Clock { begun: Instant::now(), stop: stop.clone() };
        let (frames_tx, frames) = mpsc::channel(QUEUE);
        let (sounds_tx, sounds) = mpsc::channel(QUEUE);
        let (picture_clock, wanted) = (clock.clone(), keyframe.clone());
        thread("camera", move || film(camera, video.rate, &picture_clock, &wanted, &frames_tx))?;
        thread("microphone", move || listen(microphone, &clock, &sounds_tx))?;

        let step = Codec::H264.clock_rate() / video.rate;
        let (track, entered) = (publication.video().clone(), ledger.clone());
        tasks.spawn(async move { send_video(&track, frames, step, &entered).await });
        let (track, entered) = (publication.audio().clone(), ledger.clone());
        tasks.spawn(async move { send_audio(&track, sounds, &entered).await });
        let (track, asked) = (publication.video().clone(), keyframes_asked.clone());
        tasks.spawn(async move {
            while track.keyframe_requested().await.is_some() {
                asked.fetch_add(1, Ordering::Relaxed);
                keyframe.store(true, Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(Self { publication, ledger, keyframes_asked, stop, tasks })
    }

    /// What has been sent so far.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// How often the node asked for a keyframe.
    #[must_use]
    pub fn keyframes_asked(&self) -> u32 {
        self.keyframes_asked.load(Ordering::Relaxed)
    }

    /// Waits until publishing breaks, and says why.
    pub async fn broken(&mut self) -> anyhow::Error {
        tokio::select! {
            lost = self.publication.lost() => lost.into(),
            Some(ended) = self.tasks.join_next() => match ended {
                Ok(Ok(())) => anyhow::anyhow!("the publisher stopped sending"),
                Ok(Err(error)) => error,
                Err(panic) => panic.into(),
            },
        }
    }

    /// Stops sending and ends the session at the node.
    ///
    /// # Errors
    /// When the node does not take it.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.abort_all();
        Ok(self.publication.stop().await?)
    }
}

/// The time both tracks are played out by, so that they stay in step.
#[derive(Clone)]
struct Clock {
    begun: Instant,
    stop: Arc<AtomicBool>,
}

impl Clock {
    /// Sleeps until unit `index` of `rate` units a second is due. Whoever is late skips what
    /// it can't send in time: the index to go on with, or `None` when it is over.
    fn wait(&self, index: u32, rate: u32) -> Option<u32> {
        let due = self.begun + Duration::from_secs_f64(f64::from(index) / f64::from(rate));
        let now = Instant::now();
        if let Some(early) = due.checked_duration_since(now) {
            std::thread::sleep(early);
        }
        let elapsed = now.duration_since(self.begun).as_secs_f64();
        let current = (elapsed * f64::from(rate)) as u32;
        (!self.stop.load(Ordering::Relaxed)).then_some(index.max(current))
    }
}

fn thread(name: &str, body: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    let label = name.to_owned();
    let run = move || {
        if let Err(error) = body() {
            tracing::error!(thread = label, "{error:#}");
        }
    };
    std::thread::Builder::new().name(name.into()).spawn(run).context("starting a thread")?;
    Ok(())
}

fn film(
    mut camera: Camera,
    rate: u32,
    clock: &Clock,
    keyframe: &AtomicBool,
    frames: &mpsc::Sender<Frame>,
) -> Result<()> {
    let mut next = 0;
    while let Some(index) = clock.wait(next, rate) {
        next = index + 1;
        let Some(frame) = camera.frame(index, keyframe.swap(false, Ordering::Relaxed))? else {
            continue;
        };
        if frames.blocking_send(frame).is_err() {
            break;
        }
    }
    Ok(())
}

fn listen(
    mut microphone: Microphone,
    clock: &Clock,
    sounds: &mpsc::Sender<(u32, Sound)>,
) -> Result<()> {
    let mut next = 0;
    while let Some(index) = clock.wait(next, PACKETS_PER_S) {
        if sounds.blocking_send((index, microphone.listen()?)).is_err() {
            break;
        }
        next = index + 1;
    }
    Ok(())
}

async fn send_video(
    track: &Outgoing,
    mut frames: mpsc::Receiver<Frame>,
    step: u32,
    ledger: &Ledger,
) -> Result<()> {
    let mut sequence = 0_u16;
    while let Some(frame) = frames.recv().await {
        let prints = frame.payloads.iter().map(|p| payload_fingerprint(p));
        let published = Published { counter: frame.counter, at: Instant::now() };
        ledger.publish(frame_fingerprint(prints), published);
        let timestamp = FIRST_TIMESTAMP.wrapping_add(frame.counter.wrapping_mul(step));
        let last = frame.payloads.len() - 1;
        for (n, payload) in frame.payloads.into_iter().enumerate() {
            track.send(packet(sequence, timestamp, n == last, payload)).await?;
            sequence = sequence.wrapping_add(1);
        }
    }
    Ok(())
}

async fn send_audio(
    track: &Outgoing,
    mut sounds: mpsc::Receiver<(u32, Sound)>,
    ledger: &Ledger,
) -> Result<()> {
    let mut sequence = 0_u16;
    let mut silent = true;
    while let Some((index, sound)) = sounds.recv().await {
        let timestamp = FIRST_TIMESTAMP.wrapping_add(index.wrapping_mul(SAMPLES as u32));
        // RFC 3551 §4.1: the marker shows where speech begins again.
        let mut packet = packet(sequence, timestamp, silent && sound.voice, sound.payload);
        silent = !sound.voice;
        track.set_level(&mut packet, sound.level, sound.voice)?;
        ledger.publish_sound(Instant::now());
        track.send(packet).await?;
        sequence = sequence.wrapping_add(1);
    }
    Ok(())
}

fn packet(sequence_number: u16, timestamp: u32, marker: bool, payload: bytes::Bytes) -> Packet {
    let header = Header { version: 2, marker, sequence_number, timestamp, ..Default::default() };
    Packet { header, payload }
}
