//! A thread that many light peers share, as those who speak with it see it, and how far its
//! peers are. It carries commands and wakes the thread; what the commands mean is the peers'.

use anyhow::{Context, Result};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{Notify, oneshot};

const WAKE: Token = Token(usize::MAX);

/// Between two looks at timers.
pub const TICK: std::time::Duration = std::time::Duration::from_millis(10);

/// The thread, which takes commands of type `C`.
pub struct Crew<C> {
    name: &'static str,
    commands: Sender<C>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl<C: Send + 'static> Crew<C> {
    /// Starts it: `run` is given the sockets it watches, and what it is told.
    ///
    /// # Errors
    /// When the system has no thread or no poll for it.
    pub fn start(
        name: &'static str,
        run: impl FnOnce(Sockets, Receiver<C>) + Send + 'static,
    ) -> Result<Self> {
        let poll = Poll::new().context("watching sockets")?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let (commands, received) = channel();
        let sockets = Sockets { poll, events: Events::with_capacity(1024) };
        let run = move || run(sockets, received);
        let thread = std::thread::Builder::new().name(name.into()).spawn(run)?;
        Ok(Self { name, commands, waker, thread: Some(thread) })
    }

    /// Tells it something.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn tell(&self, command: C) -> Result<()> {
        let told = self.commands.send(command);
        told.ok().with_context(|| format!("the thread of the {} has ended", self.name))?;
        self.waker.wake().with_context(|| format!("waking the {}", self.name))
    }

    /// Asks it something.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> C) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.tell(question(reply))?;
        answer.await.with_context(|| format!("the thread of the {} has ended", self.name))
    }

    /// Tells it a last thing, and waits for its end.
    pub fn stop(&mut self, last: C) {
        if self.tell(last).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the {} panicked", self.name);
        }
    }
}

/// Answers who asked, if they still want to know.
pub fn answer<T>(reply: oneshot::Sender<T>, answer: T) {
    if reply.send(answer).is_err() {
        tracing::debug!("nobody wants the answer any more");
    }
}

/// The sockets a crew watches, by the places of its peers.
pub struct Sockets {
    poll: Poll,
    events: Events,
}

impl Sockets {
    /// Watches a peer's socket. False, and it was said why, when that can't be.
    pub fn watch(&self, socket: &UdpSocket, place: usize) -> bool {
        let fd = socket.as_raw_fd();
        let mut source = SourceFd(&fd);
        let watched = self.poll.registry().register(&mut source, Token(place), Interest::READABLE);
        if let Err(error) = &watched {
            tracing::error!(%error, "a socket can't be watched");
        }
        watched.is_ok()
    }

    /// Waits until there is something to read, a command, or this time. Returns the places of
    /// the sockets that can be read, and of none that is watched for a command; `None`, and it
    /// was said why, when nothing can be waited for any more.
    pub fn wait(&mut self, until: Instant) -> Option<impl Iterator<Item = usize>> {
        let wait = until.saturating_duration_since(Instant::now());
        if let Err(error) = self.poll.poll(&mut self.events, Some(wait))
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            tracing::error!(%error, "watching sockets failed");
            return None;
        }
        Some(self.events.iter().map(|event| event.token().0))
    }
}

/// How far peers are, for those who wait for them.
#[derive(Debug, Default)]
pub struct Progress {
    pub connected: AtomicUsize,
    /// Peers whose picture has begun.
    pub seeing: AtomicUsize,
    pub gone: AtomicUsize,
    changed: Notify,
}

/// How far one peer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reached {
    pub connected: bool,
    pub seeing: bool,
    pub gone: bool,
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

    /// A peer that was `before` is `now`; what it has reached it never loses.
    pub fn note(&self, before: &mut Reached, now: Reached) {
        let reach = |flag: &mut bool, now: bool, count: &AtomicUsize| {
            let news = now && !*flag;
            *flag |= now;
            count.fetch_add(usize::from(news), Ordering::Relaxed);
            news
        };
        let mut changed = reach(&mut before.connected, now.connected, &self.connected);
        changed |= reach(&mut before.seeing, now.seeing, &self.seeing);
        changed |= reach(&mut before.gone, now.gone, &self.gone);
        if changed {
            self.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    enum Command {
        Sum(oneshot::Sender<usize>),
        Stop,
    }

    /// Watches one socket at place 3, and counts how often it could be read.
    fn crew(socket: UdpSocket) -> Crew<Command> {
        let run = move |mut sockets: Sockets, commands: Receiver<Command>| {
            assert!(sockets.watch(&socket, 3));
            let mut sum = 0;
            loop {
                let readable: Vec<_> =
                    sockets.wait(Instant::now() + Duration::from_secs(60)).unwrap().collect();
                if readable.contains(&3) {
                    sum += socket.recv(&mut [0; 10]).unwrap();
                }
                while let Ok(command) = commands.try_recv() {
                    match command {
                        Command::Sum(reply) => answer(reply, sum),
                        Command::Stop => return,
                    }
                }
            }
        };
        Crew::start("peers", run).unwrap()
    }

    #[tokio::test]
    async fn a_crew_reads_is_asked_and_ends_when_it_is_told() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        here.send_to(b"four", socket.local_addr().unwrap()).unwrap();
        let mut crew = crew(socket);
        let read = async {
            while crew.ask(Command::Sum).await.unwrap() != 4 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), read).await.unwrap();
        crew.stop(Command::Stop);
        assert!(crew.tell(Command::Stop).is_err(), "nobody is there any more");
    }

    #[tokio::test]
    async fn who_waits_for_peers_is_told_and_nothing_counts_twice() {
        let progress = Arc::new(Progress::default());
        let two = {
            let progress = progress.clone();
            tokio::spawn(async move {
                progress.until(|p| p.connected.load(Ordering::Relaxed) == 2).await;
            })
        };
        tokio::task::yield_now().await;
        let mut peers = [Reached::default(); 2];
        for peer in &mut peers {
            let connected = Reached { connected: true, ..Reached::default() };
            progress.note(peer, connected);
            progress.note(peer, connected);
            progress.note(peer, Reached { gone: true, ..connected });
        }
        tokio::time::timeout(Duration::from_secs(10), two).await.unwrap().unwrap();
        let counts = [&progress.connected, &progress.seeing, &progress.gone];
        assert_eq!(counts.map(|c| c.load(Ordering::Relaxed)), [2, 0, 2]);
    }
}
