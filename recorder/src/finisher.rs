//! Publishes lessons that are over, one after another, and tries again what failed.

use crate::library::store::Store;
use crate::manifest::{Manifest, Stage};
use crate::publish::{Again, publish};
use crate::published::Recording;
use crate::telemetry::Telemetry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// First pause before a failed lesson is tried again; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// A lesson to publish.
pub struct Job {
    pub dir: PathBuf,
    pub manifest: Manifest,
    /// Files still being closed.
    pub closing: Vec<JoinHandle<()>>,
}

/// A lesson that is in the library.
pub struct Done {
    pub dir: PathBuf,
    pub manifest: Manifest,
    pub recording: Recording,
}

/// The worker. Runs until its queue is closed and empty.
pub struct Finisher {
    pub library: PathBuf,
    pub store: Store,
    pub telemetry: Arc<Telemetry>,
    pub done: mpsc::UnboundedSender<Done>,
    /// Where failed jobs go again.
    pub queue: mpsc::WeakUnboundedSender<(Job, Duration)>,
}

/// A queue for [`Finisher::run`].
pub type Queue = mpsc::UnboundedSender<(Job, Duration)>;

/// Puts a lesson in the queue.
pub fn enqueue(queue: &Queue, telemetry: &Telemetry, job: Job) {
    telemetry.waiting.inc();
    if queue.send((job, FIRST_PAUSE)).is_err() {
        tracing::warn!("going down: the lesson is published at the next start");
    }
}

impl Finisher {
    /// Works the queue off.
    pub async fn run(self, mut jobs: mpsc::UnboundedReceiver<(Job, Duration)>) {
        while let Some((mut job, pause)) = jobs.recv().await {
            for closing in std::mem::take(&mut job.closing) {
                if let Err(error) = closing.await {
                    tracing::error!(%error, "closing a recorded file failed");
                }
            }
            let (dir, id) = (job.dir.clone(), job.manifest.id());
            let began = Instant::now();
            match self.publish(job).await {
                Ok(done) => {
                    let took_ms = began.elapsed().as_millis() as u64;
                    tracing::info!(%id, took_ms, length_ms = done.recording.duration_ms, "published");
                    self.telemetry.published.inc();
                    self.telemetry.waiting.dec();
                    if self.done.send(done).is_err() {
                        tracing::warn!(%id, "going down: the lesson is told at the next start");
                    }
                }
                Err((manifest, error)) => {
                    tracing::error!(
                        %id, error = format!("{error:#}"), again_in_s = pause.as_secs(),
                        "a lesson could not be published; what was captured is kept"
                    );
                    self.telemetry.publish_failures.inc();
                    self.later(Job { dir, manifest, closing: Vec::new() }, pause);
                }
            }
        }
    }

    async fn publish(&self, job: Job) -> Result<Done, (Manifest, anyhow::Error)> {
        let Job { dir, manifest, .. } = job;
        let library = self.library.clone();
        let kept = manifest.clone();
        let (from, of) = (dir.clone(), manifest.clone());
        let work = move || -> anyhow::Result<Recording> {
            of.save(&from)?;
            Ok(publish(&from, &of, &library, Again::Keep)?)
        };
        let published = tokio::task::spawn_blocking(work).await.map_err(anyhow::Error::from);
        let recording = published.and_then(|r| r).map_err(|e| (kept.clone(), e))?;
        let stored = self.store.put(&recording).await;
        stored.map_err(|e| (kept.clone(), e.into()))?;
        if let Ok(count) = self.store.count().await {
            self.telemetry.library.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut manifest = manifest;
        manifest.stage = Stage::Published;
        if let Err(error) = manifest.save(&dir) {
            // At worst the next start finds it published and only announces it again.
            tracing::warn!(%error, "the manifest of a published lesson could not be saved");
        }
        Ok(Done { dir, manifest, recording })
    }

    fn later(&self, job: Job, pause: Duration) {
        let queue = self.queue.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if let Some(queue) = queue.upgrade() {
                // Fails when the process goes down; the next start finds the lesson.
                queue.send((job, (pause * 2).min(LONGEST_PAUSE))).ok();
            }
        });
    }
}
