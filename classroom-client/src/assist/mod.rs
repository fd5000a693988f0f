//! `assist`: an assistant that is a program. It sits in a lesson with role `assistant`, gives a
//! microphone's sound to a command, and says in the lesson what the command says of it: captions,
//! chapters, questions. Chapters from turned pages it proposes by itself.
//!
//! What is understood of the sound is the command's business; this knows of no recogniser.

mod command;
mod pages;
mod sound;
mod timeline;
mod words;

use anyhow::{Context, Result, bail};
use classroom_client::dial::{Dial, DialError};
use classroom_client::lesson_client::{LessonClient, LessonError};
use classroom_client::listening::Listening;
use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::socket::ByeReason;
use command::Listener;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pages::Pages;
use sound::Sound;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::MissedTickBehavior;
use url::Url;

/// How often silence is filled in and pages are looked at.
const TICK: Duration = Duration::from_millis(100);

/// After a lost socket: the first wait, and the longest.
const AGAIN: Duration = Duration::from_millis(500);
const AGAIN_AT_MOST: Duration = Duration::from_secs(15);

/// How long the command may go on after the last sound, to say what it still has to say.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What the command said that waits to be said in the lesson: more is left out.
const WAITING: usize = 256;

/// What is to be assisted in, and by what.
#[derive(Debug, Clone)]
pub struct Settings {
    pub dial: Dial,
    pub node: Url,
    pub lesson: LessonId,
    pub token: String,
    /// The microphone that is heard; the teacher's when left out.
    pub hear: Option<TrackId>,
    /// Language of captions and of names of chapters.
    pub lang: String,
    /// A page of slides that stays so long is proposed as a chapter.
    pub chapters: Option<Duration>,
    /// The command and its arguments.
    pub command: Vec<OsString>,
}

/// How a time in a lesson ended.
enum End {
    /// It is over, or the node won't have us: not to be tried again.
    Over(String),
    /// The socket or the connection was lost.
    Lost,
    /// The command ended by itself.
    Command(std::process::ExitStatus),
}

pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Assists until the lesson is over, the command ends, or Ctrl-C.
///
/// # Errors
/// When the lesson does not let us in as an assistant, or the command can't be started or does
/// not read.
pub async fn run(settings: Settings) -> Result<()> {
    let mut client = join(&settings).await.context("coming into the lesson")?;
    let mut listener = Listener::start(&settings)?;
    let mut assistant = Assistant {
        sound: Sound::new(listener.begun_ms())?,
        pages: settings.chapters.map(|stays| Pages::new(stays.as_millis() as u64)),
        waiting: VecDeque::new(),
        settings: &settings,
    };
    eprintln!("assisting in {} at {}; Ctrl-C ends it", settings.lesson, settings.node);
    let mut wait = AGAIN;
    loop {
        let began = tokio::time::Instant::now();
        let end = tokio::select! {
            end = assistant.attend(&client, &mut listener) => end?,
            signal = tokio::signal::ctrl_c() => {
                signal.context("waiting for Ctrl-C")?;
                End::Over("it was ended here".into())
            }
        };
        match end {
            End::Command(status) if status.success() => return Ok(()),
            End::Command(status) => bail!("the command ended with {status}"),
            End::Over(why) => {
                eprintln!("{why}");
                assistant.last_words(&client, &mut listener).await;
                client.leave().await;
                return listener.ended(LAST_WORDS).await;
            }
            End::Lost => {}
        }
        // One that lasted begins anew with a short wait.
        wait = if began.elapsed() > AGAIN_AT_MOST { AGAIN } else { (wait * 2).min(AGAIN_AT_MOST) };
        client = loop {
            tracing::warn!(seconds = wait.as_secs_f64(), "the lesson is lost; trying again");
            tokio::time::sleep(wait).await;
            match join(&settings).await {
                Ok(client) => break client,
                Err(error) if is_final(&error) => return Err(error.into()),
                Err(error) => tracing::warn!(%error, "coming back"),
            }
            wait = (wait * 2).min(AGAIN_AT_MOST);
        };
    }
}

async fn join(settings: &Settings) -> Result<LessonClient, LessonError> {
    LessonClient::join_by(&settings.dial, &settings.node, &settings.lesson, &settings.token).await
}

/// Whether trying again is of no use.
fn is_final(error: &LessonError) -> bool {
    match error {
        LessonError::Bye { reason, .. } => {
            !matches!(reason, ByeReason::TooSlow | ByeReason::Shutdown)
        }
        LessonError::Refused { .. } => true,
        LessonError::Unreachable(error) => matches!(error, DialError::Address(_)),
        _ => false,
    }
}

struct Assistant<'a> {
    settings: &'a Settings,
    sound: Sound,
    pages: Option<Pages>,
    /// What is to be said in the lesson.
    waiting: VecDeque<MemberCommand>,
}

impl Assistant<'_> {
    /// Hears and says until something ends.
    async fn attend(&mut self, client: &LessonClient, listener: &mut Listener) -> Result<End> {
        if client.you().role != Role::Assistant {
            bail!("the token is not an assistant's");
        }
        let mut events = client.events();
        let mut listening = Listening::begin(client, self.settings.node.host_str()).await?;
        let mut heard = None;
        // What was under way when a socket was lost is said again: twice is better than never.
        let mut saying: Option<BoxFuture<'_, Result<(), LessonError>>> = None;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.look(&client.state(), now_ms());
        let end = loop {
            let state = client.state();
            if state.phase >= Phase::Ended {
                break End::Over("the lesson is over".into());
            }
            self.hear(client, &listening, &state, &mut heard).await?;
            if saying.is_none() {
                saying = self.waiting.front().map(|next| client.command(next.clone()).boxed());
            }
            tokio::select! {
                said = ready(&mut saying) => {
                    saying = None;
                    self.was_said(said);
                }
                packet = listening.packet() => match packet {
                    Some(packet) => {
                        let sound = self.sound.packet(&packet, now_ms());
                        listener.give(sound)?;
                    }
                    None => break End::Lost,
                },
                _ = ticks.tick() => {
                    listener.give(self.sound.silence(now_ms()))?;
                    self.propose();
                }
                event = events.recv() => match event {
                    Ok(event) => self.look(&client.state(), event.at_ms),
                    Err(RecvError::Lagged(_)) => self.look(&client.state(), now_ms()),
                    Err(RecvError::Closed) => break End::Lost,
                },
                line = listener.line() => match line {
                    Some(line) => self.take(&line),
                    None => break End::Command(listener.status().await?),
                },
                () = client.closed() => break match client.farewell() {
                    Some((ByeReason::TooSlow | ByeReason::Shutdown, _)) | None => End::Lost,
                    Some((_, why)) => End::Over(why.clone()),
                },
            }
        };
        listening.close().await;
        Ok(end)
    }

    /// Has the microphone heard that is to be, once it is there.
    async fn hear(
        &self,
        client: &LessonClient,
        listening: &Listening,
        state: &State,
        heard: &mut Option<TrackId>,
    ) -> Result<()> {
        let teachers = || Some(TrackId::new(state.teacher()?.id.clone(), Source::Microphone));
        let wanted = self.settings.hear.clone().or_else(teachers);
        let there = wanted.filter(|t| state.tracks.contains_key(t) && heard.as_ref() != Some(t));
        let Some(track) = there else { return Ok(()) };
        match listening.hear(client, track.clone()).await {
            Ok(()) => {
                tracing::info!(%track, "listening");
                *heard = Some(track);
                Ok(())
            }
            // It has gone again; the next event tells.
            Err(LessonError::Refused { .. } | LessonError::Closed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn look(&mut self, state: &State, at_ms: u64) {
        if let Some(pages) = &mut self.pages {
            pages.see(state, at_ms);
        }
    }

    fn propose(&mut self) {
        let chapter = self.pages.as_mut().and_then(|p| p.chapter(now_ms(), &self.settings.lang));
        self.waiting.extend(chapter);
    }

    /// Takes a line of the command's.
    fn take(&mut self, line: &str) {
        match words::asked(line, self.sound.timeline(), &self.settings.lang) {
            Ok(asked) if self.waiting.len() + asked.len() <= WAITING => self.waiting.extend(asked),
            Ok(_) => tracing::warn!("the command says more than the lesson takes: left out"),
            Err(error) => tracing::warn!(%line, %error, "a line of the command's is left out"),
        }
    }

    /// The first of what waits was said, or was not taken.
    fn was_said(&mut self, said: Result<(), LessonError>) {
        match said {
            Ok(()) => {}
            // The socket's end is heard of by itself.
            Err(LessonError::Closed) => return,
            Err(error) => tracing::warn!(%error, "not taken by the lesson"),
        }
        self.waiting.pop_front();
    }

    /// What the command still says of the last sound.
    async fn last_words(&mut self, client: &LessonClient, listener: &mut Listener) {
        listener.hush();
        let words = async {
            while let Some(line) = listener.line().await {
                self.take(&line);
            }
            while let Some(next) = self.waiting.pop_front() {
                if let Err(error) = client.command(next).await {
                    tracing::warn!(%error, "not taken by the lesson");
                }
            }
        };
        if tokio::time::timeout(LAST_WORDS, words).await.is_err() {
            tracing::warn!("the command's last words did not come in time");
        }
    }
}

async fn ready(
    saying: &mut Option<BoxFuture<'_, Result<(), LessonError>>>,
) -> Result<(), LessonError> {
    match saying {
        Some(said) => said.await,
        None => std::future::pending().await,
    }
}
