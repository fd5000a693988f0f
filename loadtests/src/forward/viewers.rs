//! The thread that all viewers share: it reads their sockets as they become ready, looks
//! after their timers, and counts.

use super::clock::wall_ns;
use super::journal::Journal;
use super::process::thread_cpu_ns;
use super::sdp::Kind;
use super::socket::Inbox;
use super::viewer::{Account, Tally, Viewer};
use anyhow::{Context, Result};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const WAKE: Token = Token(usize::MAX);

/// Between two looks at timers.
const TICK: Duration = Duration::from_millis(10);
/// Between two looks at who is heard.
const LISTEN_EVERY: Duration = Duration::from_millis(100);

/// How far the viewers are, for those who wait for them.
#[derive(Debug, Default)]
pub struct Progress {
    pub connected: AtomicUsize,
    /// Viewers whose picture has begun.
    pub seeing: AtomicUsize,
    pub gone: AtomicUsize,
    changed: Notify,
}

impl Progress {
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

/// Who is loudest among several microphones at this moment, told by who makes them speak.
#[derive(Debug, Default)]
pub struct Loudest(AtomicU64);

impl Loudest {
    /// Sources of up to seven, the loudest first.
    pub fn set(&self, sources: &[u8]) {
        let mut word = [0xff; 8];
        word.iter_mut().zip(sources).for_each(|(w, s)| *w = *s);
        self.0.store(u64::from_be_bytes(word), Ordering::Relaxed);
    }

    pub fn get(&self) -> impl Iterator<Item = u8> + use<> {
        self.0.load(Ordering::Relaxed).to_be_bytes().into_iter().filter(|s| *s != 0xff)
    }
}

/// What was heard, looked at ten times a second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heard {
    /// Viewers times looks.
    pub looks: u64,
    /// Lines of sound that carried something, all together, and at most at one viewer.
    pub lines: u64,
    pub most: u64,
    /// Of those that were loudest for a while already, how many there were and were heard.
    pub loud: u64,
    pub loud_heard: u64,
}

impl Heard {
    pub fn add(&mut self, other: &Self) {
        self.looks += other.looks;
        self.lines += other.lines;
        self.most = self.most.max(other.most);
        self.loud += other.loud;
        self.loud_heard += other.loud_heard;
    }
}

/// What a thread has to tell of a window.
#[derive(Debug, Clone, Default)]
pub struct Window {
    pub tally: Tally,
    pub accounts: Vec<Account>,
    pub heard: Heard,
    pub wall_ns: u64,
    /// CPU time of the thread.
    pub cpu_ns: u64,
}

enum Command {
    Add(Box<Viewer>),
    Begin,
    End,
    Account(tokio::sync::oneshot::Sender<Window>),
    Journals(tokio::sync::oneshot::Sender<Vec<Vec<(Kind, Journal)>>>),
    Stop,
}

/// The thread.
pub struct Viewers {
    commands: Sender<Command>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Viewers {
    /// # Errors
    /// When the system has no thread or no poll for it.
    pub fn start(gro: bool, progress: Arc<Progress>, loudest: Arc<Loudest>) -> Result<Self> {
        let poll = Poll::new().context("watching sockets")?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (commands, received) = channel();
        let run = move || {
            let now = Instant::now();
            let mut run = Run {
                poll,
                commands: received,
                viewers: Vec::new(),
                inbox: Inbox::new(gro),
                progress,
                loudest,
                reached: Vec::new(),
                window: Window::default(),
                ended: Window::default(),
                began: (now, 0),
                next_tick: now,
                next_listen: now,
                loud: Vec::new(),
                counting: false,
            };
            run.run();
        };
        let thread = std::thread::Builder::new().name("viewers".into()).spawn(run)?;
        Ok(Self { commands, waker, thread: Some(thread) })
    }

    fn tell(&self, command: Command) -> Result<()> {
        self.commands.send(command).ok().context("the viewers' thread has ended")?;
        self.waker.wake().context("waking the viewers")
    }

    /// Takes a viewer that is ready to connect.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn add(&self, viewer: Viewer) -> Result<()> {
        self.tell(Command::Add(Box::new(viewer)))
    }

    /// Counts from here on.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn begin(&self) -> Result<()> {
        self.tell(Command::Begin)
    }

    /// Counts no further, but for what is late.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn end(&self) -> Result<()> {
        self.tell(Command::End)
    }

    /// What was counted between the two.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn account(&self) -> Result<Window> {
        let (reply, window) = tokio::sync::oneshot::channel();
        self.tell(Command::Account(reply))?;
        window.await.context("the viewers' thread has ended")
    }

    /// The journals of each viewer, in the order they were added.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn journals(&self) -> Result<Vec<Vec<(Kind, Journal)>>> {
        let (reply, journals) = tokio::sync::oneshot::channel();
        self.tell(Command::Journals(reply))?;
        journals.await.context("the viewers' thread has ended")
    }
}

impl Drop for Viewers {
    /// Says goodbye for every viewer.
    fn drop(&mut self) {
        if self.tell(Command::Stop).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the viewers' thread panicked");
        }
    }
}

/// How far one viewer has been told to be.
#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    connected: bool,
    seeing: bool,
    gone: bool,
}

struct Run {
    poll: Poll,
    commands: Receiver<Command>,
    viewers: Vec<Viewer>,
    reached: Vec<Reached>,
    inbox: Inbox,
    progress: Arc<Progress>,
    loudest: Arc<Loudest>,
    window: Window,
    /// The window that ended last.
    ended: Window,
    began: (Instant, u64),
    next_tick: Instant,
    next_listen: Instant,
    /// The loudest, and since how many looks.
    loud: Vec<(u8, u32)>,
    counting: bool,
}

impl Run {
    fn run(&mut self) {
        let mut events = Events::with_capacity(1024);
        loop {
            let wait = self.next_tick.saturating_duration_since(Instant::now());
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "watching sockets failed");
                return;
            }
            let now = Instant::now();
            for event in &events {
                let at = event.token().0;
                if let Some(viewer) = self.viewers.get_mut(at) {
                    if let Err(error) = viewer.receive(&mut self.inbox, &mut self.window.tally, now)
                    {
                        tracing::debug!(%error, "reading a socket");
                    }
                    if !self.reached[at].seeing {
                        self.look(at);
                    }
                }
            }
            if !self.obey() {
                self.viewers.iter_mut().for_each(Viewer::close);
                return;
            }
            if now >= self.next_tick {
                self.tick(now);
            }
        }
    }

    fn look(&mut self, at: usize) {
        let (viewer, reached) = (&self.viewers[at], &mut self.reached[at]);
        let mut changed = false;
        let mut reach = |flag: &mut bool, now: bool, count: &AtomicUsize| {
            if now && !*flag {
                *flag = true;
                changed = true;
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        reach(&mut reached.connected, viewer.connected(), &self.progress.connected);
        reach(&mut reached.seeing, viewer.sees(), &self.progress.seeing);
        reach(&mut reached.gone, viewer.gone(), &self.progress.gone);
        if changed {
            self.progress.changed.notify_waiters();
        }
    }

    fn tick(&mut self, now: Instant) {
        self.next_tick = now + TICK;
        for at in 0..self.viewers.len() {
            self.viewers[at].tick(now);
            if self.viewers[at].gone() && !self.reached[at].gone {
                self.look(at);
            }
        }
        if self.counting && now >= self.next_listen {
            self.next_listen = now + LISTEN_EVERY;
            self.listen();
        }
    }

    fn listen(&mut self) {
        /// Speakers may take this many looks to be noticed.
        const NOTICED: u32 = 15;
        let now_ns = wall_ns();
        let before = std::mem::take(&mut self.loud);
        self.loud = self
            .loudest
            .get()
            .map(|s| (s, before.iter().find(|(b, _)| *b == s).map_or(0, |(_, n)| n + 1)))
            .collect();
        let heard = &mut self.window.heard;
        for viewer in &self.viewers {
            let sources: Vec<u8> = viewer.hears(now_ns).collect();
            heard.looks += 1;
            heard.lines += sources.len() as u64;
            heard.most = heard.most.max(sources.len() as u64);
            for (source, looks) in &self.loud {
                if *looks >= NOTICED {
                    heard.loud += 1;
                    heard.loud_heard += u64::from(sources.contains(source));
                }
            }
        }
    }

    /// Does what it is told. False when it is to end.
    fn obey(&mut self) -> bool {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Add(viewer) => self.add(*viewer),
                Command::Begin => {
                    self.viewers.iter_mut().for_each(Viewer::begin);
                    self.window = Window::default();
                    self.began = (Instant::now(), thread_cpu_ns());
                    self.counting = true;
                }
                Command::End => {
                    self.viewers.iter_mut().for_each(Viewer::end);
                    self.counting = false;
                    let (began, cpu_ns) = self.began;
                    self.ended = Window {
                        wall_ns: began.elapsed().as_nanos() as u64,
                        cpu_ns: thread_cpu_ns() - cpu_ns,
                        ..std::mem::take(&mut self.window)
                    };
                }
                Command::Account(reply) => {
                    let accounts = self.viewers.iter().map(Viewer::account).collect();
                    let window = Window { accounts, ..self.ended.clone() };
                    if reply.send(window).is_err() {
                        tracing::debug!("nobody wants the account any more");
                    }
                }
                Command::Journals(reply) => {
                    if reply.send(self.viewers.iter().map(Viewer::journals).collect()).is_err() {
                        tracing::debug!("nobody wants the journals any more");
                    }
                }
                Command::Stop => return false,
            }
        }
        true
    }

    fn add(&mut self, mut viewer: Viewer) {
        let token = Token(self.viewers.len());
        let fd = viewer.socket().as_raw_fd();
        let registry = self.poll.registry();
        if let Err(error) = registry.register(&mut SourceFd(&fd), token, Interest::READABLE) {
            tracing::error!(%error, "a viewer's socket can't be watched");
            return;
        }
        viewer.start();
        self.viewers.push(viewer);
        self.reached.push(Reached::default());
    }
}
