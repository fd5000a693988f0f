//! Trunks of schools behind which nobody is: they demand what a school would, and count.

use anyhow::Result;
use cloudschool_protocol::id::{LessonId, MemberId};
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_relay::{Feed, Identity, Subscriber};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// All of them.
pub struct Schools {
    _subscribers: Vec<Subscriber>,
    tasks: JoinSet<()>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    packets: AtomicU64,
    /// Of RTP, for each.
    bytes: Vec<AtomicU64>,
    begun: AtomicU64,
    changed: Notify,
}

impl Schools {
    /// One for each directory with a node's certificate; all demand the teacher.
    ///
    /// # Errors
    /// When a certificate can't be read.
    pub fn dial(identities: &[PathBuf], trunk: SocketAddr, lesson: &LessonId) -> Result<Self> {
        let bytes = identities.iter().map(|_| AtomicU64::new(0)).collect();
        let counts = Arc::new(Counts { bytes, ..Counts::default() });
        let (mut subscribers, mut tasks) = (Vec::new(), JoinSet::new());
        for (n, dir) in identities.iter().enumerate() {
            let identity = Identity::load(dir)?;
            let (subscriber, mut feed) = Subscriber::start(trunk.to_string(), identity, "loadtest");
            let track = |source| anyhow::Ok(TrackId::new(MemberId::new("teacher")?, source));
            subscriber.demand(lesson, vec![track(Source::Camera)?, track(Source::Microphone)?]);
            subscribers.push(subscriber);
            let counts = counts.clone();
            tasks.spawn(async move {
                let mut first = true;
                while let Some(fed) = feed.recv().await {
                    let Feed::Packet { packet, .. } = fed else { continue };
                    counts.packets.fetch_add(1, Ordering::Relaxed);
                    if let Some(bytes) = counts.bytes.get(n) {
                        bytes.fetch_add(packet.len() as u64, Ordering::Relaxed);
                    }
                    if std::mem::take(&mut first) {
                        counts.begun.fetch_add(1, Ordering::Relaxed);
                        counts.changed.notify_waiters();
                    }
                }
            });
        }
        Ok(Self { _subscribers: subscribers, tasks, counts })
    }

    /// Waits until each has got a packet.
    pub async fn begun(&self) {
        loop {
            let changed = self.counts.changed.notified();
            if self.counts.begun.load(Ordering::Relaxed) == self.tasks.len() as u64 {
                return;
            }
            changed.await;
        }
    }

    /// Bytes of RTP that came to each.
    #[must_use]
    pub fn bytes(&self) -> Vec<u64> {
        self.counts.bytes.iter().map(|bytes| bytes.load(Ordering::Relaxed)).collect()
    }

    /// RTP packets that came to all of them.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.counts.packets.load(Ordering::Relaxed)
    }
}
