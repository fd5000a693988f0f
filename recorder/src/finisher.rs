//! Publishes lessons that are over, one after another, and tries again what failed.

use crate::library::store::Store;
use crate::manifest::{Manifest, Stage};
use crate::merge::merge;
use crate::publish::{Again, publish};
use crate::published::Recording;
use crate::telemetry::Telemetry;
use crate::writer::Syncer;
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
    /// Whether what may be published of it already is good enough.
    pub again: Again,
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
    pub syncer: Syncer,
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
            let (dir, id, again) = (job.dir.clone(), job.manifest.id(), job.again);
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
                    self.later(Job { dir, manifest, closing: Vec::new(), again }, pause);
                }
            }
        }
    }

    async fn publish(&self, job: Job) -> Result<Done, (Manifest, anyhow::Error)> {
        let Job { dir, manifest, again, .. } = job;
        let (library, syncer) = (self.library.clone(), self.syncer.clone());
        let kept = manifest.clone();
        let (from, mut of) = (dir.clone(), manifest);
        let work = move || -> anyhow::Result<(Manifest, Recording)> {
            merge(&from, &mut of, &syncer)?;
            of.save(&from)?;
            let recording = publish(&from, &of, &library, again)?;
            Ok((of, recording))
        };
        let published = tokio::task::spawn_blocking(work).await.map_err(anyhow::Error::from);
        let (manifest, recording) = published.and_then(|r| r).map_err(|e| (kept.clone(), e))?;
        let stored = self.store.put(&recording).await;
        stored.map_err(|e| (kept.clone(), e.into()))?;
        let noted = self.store.keep_live(&recording.id, &manifest.state).await;
        noted.map_err(|e| (kept.clone(), e.into()))?;
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
