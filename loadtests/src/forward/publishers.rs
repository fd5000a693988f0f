//! The thread that all publishers share: it sends what is due, on time.

use super::conversation::Conversation;
use super::crew::{Crew, Progress, Reached, Sockets, TICK, answer};
use super::publisher::{Counters, Publisher};
use super::socket::Inbox;
use super::viewers::Loudest;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

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

/// The thread.
pub struct Publishers {
    crew: Crew<Command>,
    counters: Arc<Counters>,
    on_air: Arc<Progress>,
}

impl Publishers {
    /// With `microphones` the class talks after [`Conversation`], and `loudest` is told.
    ///
    /// # Errors
    /// When the system has no thread or no poll for it.
    pub fn start(microphones: usize, seed: u64, loudest: Arc<Loudest>) -> Result<Self> {
        let (counters, on_air) = (Arc::new(Counters::default()), Arc::new(Progress::default()));
        let late = Histogram::new_with_bounds(1, 60_000_000, 3).context("a histogram")?;
        let (counted, shown) = (counters.clone(), on_air.clone());
        let crew = Crew::start("publishers", move |sockets, commands| {
            let mut run = Run {
                sockets,
                commands,
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
        })?;
        Ok(Self { crew, counters, on_air })
    }

    /// Takes a publisher that is ready to connect.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn add(&self, publisher: Publisher) -> Result<()> {
        self.crew.tell(Command::Add(Box::new(publisher)))
    }

    /// Counts from here on.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn begin(&self) -> Result<()> {
        self.crew.tell(Command::Begin)
    }

    /// How late what was due was sent, µs.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn late(&self) -> Result<Histogram<u64>> {
        self.crew.ask(Command::Late).await
    }

    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    #[must_use]
    pub fn on_air(&self) -> &Progress {
        &self.on_air
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        self.crew.stop(Command::Stop);
    }
}

struct Run {
    sockets: Sockets,
    commands: Receiver<Command>,
    publishers: Vec<Publisher>,
    reached: Vec<Reached>,
    inbox: Inbox,
    counters: Arc<Counters>,
    on_air: Arc<Progress>,
    late: Histogram<u64>,
    began: Instant,
    conversation: Conversation,
    microphones: usize,
    loudest: Arc<Loudest>,
}

impl Run {
    fn run(&mut self) {
        let mut next_tick = Instant::now();
        loop {
            let due = self.publishers.iter().filter_map(Publisher::due).min();
            let wake = due.map_or(next_tick, |due| due.min(next_tick));
            let Some(readable) = self.sockets.wait(wake) else { return };
            let now = Instant::now();
            for at in readable {
                let Some(publisher) = self.publishers.get_mut(at) else { continue };
                if let Err(error) = publisher.receive(&mut self.inbox, now, &self.counters) {
                    tracing::debug!(%error, "reading a socket");
                }
                self.on_air.note(&mut self.reached[at], reached(publisher));
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
                for (publisher, before) in self.publishers.iter_mut().zip(&mut self.reached) {
                    publisher.tick(now);
                    self.on_air.note(before, reached(publisher));
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

    fn obey(&mut self) -> bool {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Add(publisher) => self.add(*publisher),
                Command::Begin => self.late.reset(),
                Command::Late(reply) => answer(reply, self.late.clone()),
                Command::Stop => return false,
            }
        }
        true
    }

    fn add(&mut self, mut publisher: Publisher) {
        if self.sockets.watch(publisher.socket(), self.publishers.len()) {
            publisher.start();
            self.publishers.push(publisher);
            self.reached.push(Reached::default());
        }
    }
}

fn reached(publisher: &Publisher) -> Reached {
    Reached { connected: publisher.connected(), seeing: false, gone: publisher.gone() }
}
