//! The thread that all viewers share: it reads their sockets as they become ready, looks
//! after their timers, and counts.

use super::clock::wall_ns;
pub use super::crew::Progress;
use super::crew::{Crew, Reached, Sockets, TICK, answer};
use super::journal::Journal;
use super::process::thread_cpu_ns;
use super::sdp::Kind;
use super::socket::Inbox;
use super::viewer::{Account, Tally, Viewer};
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// Between two looks at who is heard.
const LISTEN_EVERY: Duration = Duration::from_millis(100);

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
    crew: Crew<Command>,
}

impl Viewers {
    /// # Errors
    /// When the system has no thread or no poll for it.
    pub fn start(gro: bool, progress: Arc<Progress>, loudest: Arc<Loudest>) -> Result<Self> {
        let crew = Crew::start("viewers", move |sockets, commands| {
            let now = Instant::now();
            let mut run = Run {
                sockets,
                commands,
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
        })?;
        Ok(Self { crew })
    }

    /// Takes a viewer that is ready to connect.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn add(&self, viewer: Viewer) -> Result<()> {
        self.crew.tell(Command::Add(Box::new(viewer)))
    }

    /// Counts from here on.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn begin(&self) -> Result<()> {
        self.crew.tell(Command::Begin)
    }

    /// Counts no further, but for what is late.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn end(&self) -> Result<()> {
        self.crew.tell(Command::End)
    }

    /// What was counted between the two.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn account(&self) -> Result<Window> {
        self.crew.ask(Command::Account).await
    }

    /// The journals of each viewer, in the order they were added.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn journals(&self) -> Result<Vec<Vec<(Kind, Journal)>>> {
        self.crew.ask(Command::Journals).await
    }
}

impl Drop for Viewers {
    /// Says goodbye for every viewer.
    fn drop(&mut self) {
        self.crew.stop(Command::Stop);
    }
}

struct Run {
    sockets: Sockets,
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
        loop {
            let Some(readable) = self.sockets.wait(self.next_tick) else { return };
            let now = Instant::now();
            for at in readable {
                let Some(viewer) = self.viewers.get_mut(at) else { continue };
                if let Err(error) = viewer.receive(&mut self.inbox, &mut self.window.tally, now) {
                    tracing::debug!(%error, "reading a socket");
                }
                let before = &mut self.reached[at];
                if !before.seeing {
                    self.progress.note(before, reached(viewer));
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

    fn tick(&mut self, now: Instant) {
        self.next_tick = now + TICK;
        for (viewer, before) in self.viewers.iter_mut().zip(&mut self.reached) {
            viewer.tick(now);
            if viewer.gone() && !before.gone {
                self.progress.note(before, reached(viewer));
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
                    answer(reply, window);
                }
                Command::Journals(reply) => {
                    answer(reply, self.viewers.iter().map(Viewer::journals).collect());
                }
                Command::Stop => return false,
            }
        }
        true
    }

    fn add(&mut self, mut viewer: Viewer) {
        if self.sockets.watch(viewer.socket(), self.viewers.len()) {
            viewer.start();
            self.viewers.push(viewer);
            self.reached.push(Reached::default());
        }
    }
}

fn reached(viewer: &Viewer) -> Reached {
    Reached { connected: viewer.connected(), seeing: viewer.sees(), gone: viewer.gone() }
}
