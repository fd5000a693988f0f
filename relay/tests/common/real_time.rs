//! Whether this machine kept time: what is judged by the clock can't be judged on a machine that
//! stands still for longer than what is looked for.

use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// A line's queue is 200 ms deep and a controller acts on a quarter of it.
const STALL: Duration = Duration::from_millis(25);
const LOOK: Duration = Duration::from_millis(2);
const ATTEMPTS: usize = 4;

/// Runs `lesson` until what it gives is `good`. What is not good counts as soon as the machine
/// kept time meanwhile; where it never does, that is said and nothing is judged.
pub async fn judged<T>(
    mut lesson: impl AsyncFnMut() -> T,
    good: impl Fn(&T) -> bool,
    describe: impl Fn(&T) -> String,
) {
    for _ in 0..ATTEMPTS {
        let watch = Watch::start();
        let result = lesson().await;
        let stall = watch.stop().await;
        if good(&result) {
            return;
        }
        assert!(stall > STALL, "{} (longest stall {stall:?})", describe(&result));
        eprintln!("once more: the machine stood still for {stall:?}; {}", describe(&result));
    }
    eprintln!("not judged: the machine does not keep time");
}

/// Looks how late a timer is.
struct Watch {
    task: JoinHandle<Duration>,
    stop: tokio::sync::oneshot::Sender<()>,
}

impl Watch {
    fn start() -> Self {
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            loop {
                let begun = Instant::now();
                tokio::select! {
                    _ = &mut stopped => return longest,
                    () = tokio::time::sleep(LOOK) => {}
                }
                longest = longest.max(begun.elapsed().saturating_sub(LOOK));
            }
        });
        Self { task, stop }
    }

    /// The longest the machine stood still.
    async fn stop(self) -> Duration {
        // It listens until it is told.
        self.stop.send(()).ok();
        self.task.await.unwrap()
    }
}
