//! A line between a dialler and a listener, in process: UDP both ways, which can be cut, and
//! which can be slow, far and lossy. What it loses follows from its seed.

use super::loopback;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What a line does to each direction.
#[derive(Debug, Clone, Copy)]
pub struct Quality {
    /// Bytes/s; what waits for more than 200 ms is lost.
    pub rate: f64,
    pub one_way: Duration,
    /// Share of datagrams lost, in bursts of about three.
    pub loss: f64,
    pub seed: u64,
}

/// What waits longer than this in front of the line is lost.
const QUEUE: Duration = Duration::from_millis(200);

const BURST: f64 = 3.0;

pub struct Line {
    pub address: SocketAddr,
    up: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Line {
    /// As good as loopback itself.
    pub async fn to(listener: SocketAddr) -> Self {
        Self::with(listener, None).await
    }

    pub async fn with(listener: SocketAddr, quality: Option<Quality>) -> Self {
        let near = Arc::new(UdpSocket::bind(loopback()).await.unwrap());
        let far = Arc::new(UdpSocket::bind(loopback()).await.unwrap());
        far.connect(listener).await.unwrap();
        let address = near.local_addr().unwrap();
        let up = Arc::new(AtomicBool::new(true));
        let dialler = Arc::new(Mutex::new(None));
        let mut tasks = JoinSet::new();
        for outward in [true, false] {
            let (from, to) = if outward { (&near, &far) } else { (&far, &near) };
            let (queue, mut queued) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
            let (from, to) = (from.clone(), to.clone());
            let (up, saw, whom) = (up.clone(), dialler.clone(), dialler.clone());
            tasks.spawn(async move {
                let mut way = quality.map(|q| Way::new(q, outward));
                let mut buffer = vec![0; 65_536];
                loop {
                    // A closed port at the other side is an error here and nothing to a line.
                    let Ok((n, source)) = from.recv_from(&mut buffer).await else { continue };
                    if outward {
                        *saw.lock().unwrap() = Some(source);
                    }
                    if !up.load(Ordering::Relaxed) {
                        continue;
                    }
                    let now = Instant::now();
                    let at = way.as_mut().map_or(Some(now), |way| way.arrival(now, n));
                    if let Some(at) = at {
                        queue.send((at, buffer[..n].to_vec())).unwrap();
                    }
                }
            });
            tasks.spawn(async move {
                while let Some((at, bytes)) = queued.recv().await {
                    if at > Instant::now() {
                        tokio::time::sleep_until(at.into()).await;
                    }
                    let whom = *whom.lock().unwrap();
                    match whom {
                        Some(dialler) if !outward => to.send_to(&bytes, dialler).await.ok(),
                        _ => to.send(&bytes).await.ok(),
                    };
                }
            });
        }
        Self { address, up, _tasks: tasks }
    }

    pub fn cut(&self) {
        self.up.store(false, Ordering::Relaxed);
    }

    pub fn mend(&self) {
        self.up.store(true, Ordering::Relaxed);
    }
}

/// One direction.
struct Way {
    quality: Quality,
    random: StdRng,
    losing: bool,
    free_at: Instant,
}

impl Way {
    fn new(quality: Quality, outward: bool) -> Self {
        let random = StdRng::seed_from_u64(quality.seed * 2 + u64::from(outward));
        Self { quality, random, losing: false, free_at: Instant::now() }
    }

    /// When a datagram handed in now is there; `None` when it is lost.
    fn arrival(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Quality { rate, one_way, loss, .. } = self.quality;
        let turn = if self.losing { 1.0 / BURST } else { loss / (1.0 - loss) / BURST };
        self.losing ^= self.random.random_bool(turn.min(1.0));
        let begins = self.free_at.max(now);
        if self.losing || begins - now > QUEUE {
            return None;
        }
        self.free_at = begins + Duration::from_secs_f64((len + 28) as f64 / rate);
        Some(self.free_at + one_way)
    }
}
