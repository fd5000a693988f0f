//! The thread that all publishers share: it sends what is due, on time.

use super::conversation::Conversation;
use super::publisher::{Counters, Publisher};
use super::socket::Inbox;
use super::viewers::Loudest;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const WAKE: Token = Token(usize::MAX);
const TICK: Duration = Duration::from_millis(10);

/// The first source that is a microphone of the class; those before are teachers.
pub const FIRST_MICROPHONE: u8 = 1;

/// How loud the class is.
const LOUD: usize = 3;

enum Command {
    Add(Box<Publisher>),
    Begin,
    Late(tokio::sync::oneshot::Sender<Histogram<u64>>),
    Stop,
}

/// How many are connected and gone.
#[derive(Debug, Default)]
pub struct OnAir {
    pub connected: AtomicUsize,
    pub gone: AtomicUsize,
    changed: Notify,
}

impl OnAir {
    /// Waits until `enough` of it.
    pub async fn until(&self, enough: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            if enough(self) {
                return;
            }
            changed.await;
        }
    }
}

/// The thread.
pub struct Publishers {
    commands: Sender<Command>,
    waker: Arc<Waker>,
    counters: Arc<Counters>,
    on_air: Arc<OnAir>,
    thread: Option<JoinHandle<()>>,
}

impl Publishers {
    /// With `microphones` the class talks after [`Conversation`], and `loudest` is told.
    ///
    /// # Errors
    /// When the system has no thread or no poll for it.
    pub fn start(microphones: usize, seed: u64, loudest: Arc<Loudest>) -> Result<Self> {
        let poll = Poll::new().context("watching sockets")?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (commands, received) = channel();
        let (counters, on_air) = (Arc::new(Counters::default()), Arc::new(OnAir::default()));
        let late = Histogram::new_with_bounds(1, 60_000_000, 3).context("a histogram")?;
        let (counted, shown) = (counters.clone(), on_air.clone());
        let run = move || {
            let mut run = Run {
                poll,
                commands: received,
                publishers: Vec::new(),
                reached: Vec::new(),
                inbox: Inbox::new(false),
                counters: counted,
                on_air: shown,
                late,
                began: Instant::now(),
                conversation: Conversation::new(microphones, seed),
                microphones,
                loudest,
            };
            run.run();
        };
        let thread = std::thread::Builder::new().name("publishers".into()).spawn(run)?;
        Ok(Self { commands, waker, counters, on_air, thread: Some(thread) })
    }

    fn tell(&self, command: Command) -> Result<()> {
        self.commands.send(command).ok().context("the publishers' thread has ended")?;
        self.waker.wake().context("waking the publishers")
    }

    /// Takes a publisher that is ready to connect.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn add(&self, publisher: Publisher) -> Result<()> {
        self.tell(Command::Add(Box::new(publisher)))
    }

    /// Counts from here on.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn begin(&self) -> Result<()> {
        self.tell(Command::Begin)
    }

    /// How late what was due was sent, µs.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn late(&self) -> Result<Histogram<u64>> {
        let (reply, late) = tokio::sync::oneshot::channel();
        self.tell(Command::Late(reply))?;
        late.await.context("the publishers' thread has ended")
    }

    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    #[must_use]
    pub fn on_air(&self) -> &OnAir {
        &self.on_air
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        if self.tell(Command::Stop).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the publishers' thread panicked");
        }
    }
}

struct Run {
    poll: Poll,
    commands: Receiver<Command>,
    publishers: Vec<Publisher>,
    /// Whether each was connected and gone when it was last looked at.
    reached: Vec<(bool, bool)>,
    inbox: Inbox,
    counters: Arc<Counters>,
    on_air: Arc<OnAir>,
    late: Histogram<u64>,
    began: Instant,
    conversation: Conversation,
    microphones: usize,
    loudest: Arc<Loudest>,
}

impl Run {
    fn run(&mut self) {
        let mut events = Events::with_capacity(256);
        let mut next_tick = Instant::now();
        loop {
            let due = self.publishers.iter().filter_map(Publisher::due).min();
            let wake = due.map_or(next_tick, |due| due.min(next_tick));
            let wait = wake.saturating_duration_since(Instant::now());
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "watching sockets failed");
                return;
            }
            let now = Instant::now();
            for event in &events {
                let at = event.token().0;
                let Some(publisher) = self.publishers.get_mut(at) else { continue };
                if let Err(error) = publisher.receive(&mut self.inbox, now, &self.counters) {
                    tracing::debug!(%error, "reading a socket");
                }
                self.look(at);
            }
            if !self.obey() {
                self.publishers.iter_mut().for_each(Publisher::close);
                return;
            }
            self.talk(now);
            for publisher in &mut self.publishers {
                if let Some(late) = publisher.act(Instant::now(), &self.counters) {
                    self.late.saturating_record(late.as_micros() as u64 + 1);
                }
            }
            if now >= next_tick {
                next_tick = now + TICK;
                for at in 0..self.publishers.len() {
                    self.publishers[at].tick(now);
                    self.look(at);
                }
            }
        }
    }

    /// Sets the levels of the class's microphones.
    fn talk(&mut self, now: Instant) {
        if self.microphones == 0 {
            return;
        }
        if self.conversation.go_on(now.duration_since(self.began)) {
            let talkers = self.conversation.talkers().iter().take(LOUD);
            let sources: Vec<u8> = talkers.map(|t| *t as u8 + FIRST_MICROPHONE).collect();
            self.loudest.set(&sources);
        }
        for publisher in &mut self.publishers {
            if let Some(microphone) = publisher.source().checked_sub(FIRST_MICROPHONE)
                && publisher.due().is_some_and(|due| due <= now)
            {
                publisher.set_level(self.conversation.level(usize::from(microphone)));
            }
        }
    }

    fn look(&mut self, at: usize) {
        let now = (self.publishers[at].connected(), self.publishers[at].gone());
        let before = std::mem::replace(&mut self.reached[at], now);
        if before == now {
            return;
        }
        self.on_air.connected.fetch_add(usize::from(now.0 && !before.0), Ordering::Relaxed);
        self.on_air.gone.fetch_add(usize::from(now.1 && !before.1), Ordering::Relaxed);
        self.on_air.changed.notify_waiters();
    }

    fn obey(&mut self) -> bool {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Add(publisher) => self.add(*publisher),
                Command::Begin => self.late.reset(),
                Command::Late(reply) => {
                    if reply.send(self.late.clone()).is_err() {
                        tracing::debug!("nobody wants the figures any more");
                    }
                }
                Command::Stop => return false,
            }
        }
        true
    }

    fn add(&mut self, mut publisher: Publisher) {
        let token = Token(self.publishers.len());
        let fd = publisher.socket().as_raw_fd();
        let registry = self.poll.registry();
        if let Err(error) = registry.register(&mut SourceFd(&fd), token, Interest::READABLE) {
            tracing::error!(%error, "a publisher's socket can't be watched");
            return;
        }
        publisher.start();
        self.publishers.push(publisher);
        self.reached.push((false, false));
    }
}
