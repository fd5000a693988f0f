//! The conversation over a lesson socket: join, welcome, then events out and requests in.

use super::board::{self, BoardSeat};
use super::line::{Ending, Heard, Line, PING_EVERY, Sentence};
use crate::bucket::Bucket;
use crate::http::state::App;
use crate::lesson::{LessonHandle, Reset, Subscription, Told};
use crate::node::{MediaError, Pointed, SchoolRungs, Watched};
use cloudschool_protocol::command::{Command, MemberCommand};
use cloudschool_protocol::event::{EventBody, LeaveReason};
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::Source;
use cloudschool_protocol::member::{Member, Role};
use cloudschool_protocol::refusal::{Lang, Refusal};
use cloudschool_protocol::socket::{
    ByeReason, ClientMessage, JOIN_WITHIN_MS, Links, ServerMessage, Slot,
};
use cloudschool_protocol::token::Claims;
use cloudschool_protocol::view::Viewer;
use cloudschool_service::auth::admit;
use cloudschool_service::clock::now_ms;
use cloudschool_service::issuer;
use cloudschool_service::problem::Problem;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, watch};
use tokio::time::{Interval, MissedTickBehavior};

/// Requests of one page that may wait while one is being carried out.
const WAITING: usize = 128;

/// Carries on the conversation with one page, to its end and the member's going.
pub(super) async fn run(
    app: App,
    lesson: Arc<LessonHandle>,
    peer: IpAddr,
    lang: Lang,
    socket: axum::extract::ws::WebSocket,
) {
    let mut line = Line::new(socket);
    let (claims, lang) = match introduced(&app, &lesson, &mut line, peer).await {
        Ok(introduced) => introduced,
        Err((ending, said)) => return line.end(ending, said.unwrap_or(lang)).await,
    };
    let join = app.node.join(lesson.id(), &claims);
    let sat = app.seats.sit(lesson.id().clone(), claims.sub.clone(), join).await;
    let (me, hold) = match sat {
        Ok(sat) => sat,
        Err(refusal) => return refuse(line, refusal, lang).await,
    };

    let guest = claims.iss.starts_with(issuer::NODE);
    let mut session = Session::new(&app, &lesson, me, lang, guest);
    let ending = tokio::select! {
        ending = session.talk(&mut line) => ending,
        () = hold.replaced.cancelled() => replaced(),
        () = app.shutdown.cancelled() => {
            let zh = "节点正在重启,请稍候,会自动重新连接。";
            let en = "The node is going down; the page reconnects by itself.";
            Ending::Bye(ByeReason::Shutdown, Sentence::new(zh, en))
        }
    };
    let drew = session.board.drew();
    drop(session);
    tracing::debug!(lesson = %lesson.id(), member = %claims.sub, ?ending, "a lesson socket ends");
    let (reason, wait) = match &ending {
        Ending::Left => (LeaveReason::Left, Duration::ZERO),
        Ending::Bye(ByeReason::Removed, _) => (LeaveReason::Removed, Duration::ZERO),
        // The seat is another's, or the member's when the node is back.
        Ending::Bye(ByeReason::Replaced | ByeReason::Shutdown, _) => {
            if let Some(drew) = drew {
                board::say(&lesson, drew, app.node.name()).await;
            }
            return line.end(ending, lang).await;
        }
        _ if lesson.state().phase >= Phase::Ended => (LeaveReason::Ended, Duration::ZERO),
        Ending::Lost | Ending::Bye(..) => (LeaveReason::Lost, app.limits.return_within()),
    };
    // On its own, so that a shutdown need not wait for who may come back.
    tokio::spawn(async move {
        if let Some(drew) = drew {
            board::say(&lesson, drew, app.node.name()).await;
        }
        tokio::time::sleep(wait).await;
        let leave = app.node.leave(lesson.id(), &claims.sub, reason);
        app.seats.rise(&hold, leave).await;
    });
    line.end(ending, lang).await;
}

/// The page's first message and what its token says; or the ending, in the language the
/// page has asked for by then.
async fn introduced(
    app: &App,
    lesson: &LessonHandle,
    line: &mut Line,
    peer: IpAddr,
) -> Result<(Claims, Lang), (Ending, Option<Lang>)> {
    let within = Duration::from_millis(JOIN_WITHIN_MS);
    let first = tokio::time::timeout(within, line.next()).await.unwrap_or_else(|_| {
        let zh = "没有及时收到 join 消息。";
        Err(Ending::protocol(zh, "The join message did not come in time."))
    });
    let Heard::Said(ClientMessage::Join { token, lang }) =
        first.map_err(|ending| (ending, None))?
    else {
        let zh = "第一条消息必须是 join。";
        return Err((Ending::protocol(zh, "The first message must be a join."), None));
    };
    let checked = app.auth.check(&token, peer).and_then(|claims| {
        admit(&claims, lesson.id())?;
        Ok(claims)
    });
    checked
        .map(|claims| (claims, lang))
        .map_err(|problem| (Ending::Bye(ByeReason::Unauthorized, sentence(&problem)), Some(lang)))
}

fn sentence(problem: &Problem) -> Sentence {
    Sentence::new(problem.sentence(Lang::Zh), problem.sentence(Lang::En))
}

/// Says why the member may not come in: as the answer to request 0, the join.
async fn refuse(mut line: Line, refusal: Refusal, lang: Lang) {
    if refusal == Refusal::Ended {
        return line.end(over(), lang).await;
    }
    let ending = match line.send(&refused(0, refusal, lang)).await {
        Ok(()) => Ending::Left,
        Err(ending) => ending,
    };
    line.end(ending, lang).await;
}

fn refused(id: u64, code: Refusal, lang: Lang) -> ServerMessage {
    ServerMessage::Refused { id, code, message: code.sentence(lang).into() }
}

fn over() -> Ending {
    let ended = Refusal::Ended;
    let sentence = Sentence::new(ended.sentence(Lang::Zh), ended.sentence(Lang::En));
    Ending::Bye(ByeReason::Ended, sentence)
}

fn replaced() -> Ending {
    let zh = "您已在别处进入这节课。";
    let en = "You have joined this lesson elsewhere.";
    Ending::Bye(ByeReason::Replaced, Sentence::new(zh, en))
}

fn removed() -> Ending {
    let zh = "您已被请出这节课。";
    let en = "You have been taken out of this lesson.";
    Ending::Bye(ByeReason::Removed, Sentence::new(zh, en))
}

/// What a page may ask, carried out one after the other.
enum Request {
    Command {
        id: u64,
        command: MemberCommand,
    },
    /// A command that came faster than commands may.
    TooFast {
        id: u64,
    },
    WatchOffer {
        id: u64,
        sdp: String,
    },
    Watch {
        id: u64,
        slots: Vec<Slot>,
    },
}

struct Session<'a> {
    app: &'a App,
    lesson: &'a Arc<LessonHandle>,
    me: Member,
    lang: Lang,
    /// Came in by a code: its token is this node's own.
    guest: bool,
    /// What of the lesson is this page's to see.
    viewer: Viewer,
    bucket: Bucket,
    commands: Bucket,
    waiting: VecDeque<Request>,
    current: Option<BoxFuture<'static, ServerMessage>>,
    board: BoardSeat,
    /// When the closing period is over, once the lesson is.
    close_at: Option<tokio::time::Instant>,
}

impl<'a> Session<'a> {
    fn new(
        app: &'a App,
        lesson: &'a Arc<LessonHandle>,
        me: Member,
        lang: Lang,
        guest: bool,
    ) -> Self {
        let limits = &app.limits;
        let now = Instant::now();
        Self {
            app,
            lesson,
            viewer: Viewer::new(me.clone()),
            bucket: Bucket::new(limits.messages_per_second, limits.message_burst, now),
            commands: Bucket::new(limits.commands_per_second, limits.command_burst, now),
            waiting: VecDeque::new(),
            current: None,
            board: BoardSeat::new(app, lesson, &me, lang),
            close_at: None,
            me,
            lang,
            guest,
        }
    }

    async fn talk(&mut self, line: &mut Line) -> Ending {
        match self.converse(line).await {
            Ok(never) => match never {},
            Err(ending) => ending,
        }
    }

    async fn converse(&mut self, line: &mut Line) -> Result<std::convert::Infallible, Ending> {
        let node = &self.app.node;
        let mut campus = node.campus_reachable();
        let mut speakers = node.speakers(self.lesson.id()).ok();
        let mut pointer = node.pointer(self.lesson.id()).ok();
        let mut watched = node.watched(self.lesson.id()).ok();
        if let Some(watched) = &mut watched {
            watched.mark_changed();
        }
        let mut rungs = self.sees_rungs().then(|| node.school_rungs(self.lesson.id()).ok());
        let mut rungs = rungs.take().flatten();
        if let Some(rungs) = rungs.as_mut().filter(|r| !r.borrow().is_empty()) {
            rungs.mark_changed();
        }
        let mut told = BTreeMap::new();
        let (state, mut news) = self.lesson.follow();
        let welcome = ServerMessage::Welcome {
            you: self.me.clone(),
            state: Box::new(self.viewer.state(&state)),
            now_ms: now_ms(),
            campus: *campus.borrow_and_update(),
            // What this node signed itself is good nowhere else.
            links: if self.guest { Links::default() } else { node.links(self.lesson.id()) },
            ice_servers: self.app.ice_servers.of(&self.me.id),
        };
        drop(state);
        line.send(&welcome).await?;
        let mut pings = pings();
        loop {
            tokio::select! {
                message = line.next() => match message? {
                    Heard::Said(message) => self.heard(message)?,
                    Heard::Board(frame) => self.board.heard(frame)?,
                },
                bytes = self.board.next() => line.send_bytes(bytes).await?,
                events = news.next_told() => match events {
                    Ok(events) => self.tell(line, events, &news).await?,
                    Err(Reset) => news = self.tell_anew(line).await?,
                },
                answer = ready(&mut self.current) => {
                    self.current = None;
                    // What it has led to is told first.
                    while let Some(events) = news.next_told().now_or_never() {
                        match events {
                            Ok(events) => self.tell(line, events, &news).await?,
                            Err(Reset) => news = self.tell_anew(line).await?,
                        }
                    }
                    line.send(&answer).await?;
                }
                tracks = loud(&mut speakers) => {
                    line.send(&ServerMessage::Speakers { tracks: tracks.to_vec() }).await?;
                }
                (by, at) = pointed(&mut pointer) => {
                    if by != self.me.id {
                        line.send(&ServerMessage::Pointer { by, at }).await?;
                    }
                }
                Ok(()) = campus.changed() => {
                    let reachable = *campus.borrow_and_update();
                    line.send(&ServerMessage::Campus { reachable }).await?;
                }
                of_mine = layers(&self.me.id, &mut watched, &mut told) => {
                    for (source, active) in of_mine {
                        line.send(&ServerMessage::Layers { source, active }).await?;
                    }
                }
                all = changed(&mut rungs) => {
                    let schools = all.values().cloned().collect();
                    line.send(&ServerMessage::Rungs { schools }).await?;
                }
                () = reached(self.close_at) => return Err(over()),
                _ = pings.tick() => line.ping().await?,
            }
            if self.current.is_none() {
                self.current = self.waiting.pop_front().map(|request| self.carry_out(request));
            }
        }
    }

    /// Whether it is this member's to know how schools get the lesson.
    fn sees_rungs(&self) -> bool {
        matches!(self.me.role, Role::Teacher | Role::Assistant | Role::Operator)
    }

    fn heard(&mut self, message: ClientMessage) -> Result<(), Ending> {
        if !self.bucket.take(Instant::now()) {
            let zh = "消息发送得太频繁。";
            return Err(Ending::protocol(zh, "Messages came faster than allowed."));
        }
        let request = match message {
            ClientMessage::Command { id, .. } if !self.commands.take(Instant::now()) => {
                Request::TooFast { id }
            }
            ClientMessage::Command { id, command } => Request::Command { id, command },
            ClientMessage::WatchOffer { id, sdp } => Request::WatchOffer { id, sdp },
            ClientMessage::Watch { id, slots } => Request::Watch { id, slots },
            ClientMessage::Pointer { at } => {
                self.app.node.point(self.lesson.id(), &self.me.id, at);
                return Ok(());
            }
            ClientMessage::Leave => return Err(Ending::Left),
            ClientMessage::Join { .. } => {
                let zh = "已经进入课堂,不能再次 join。";
                return Err(Ending::protocol(zh, "A second join came on one socket."));
            }
        };
        if self.waiting.len() >= WAITING {
            let zh = "等待处理的请求太多。";
            return Err(Ending::protocol(zh, "Too many requests are waiting."));
        }
        self.waiting.push_back(request);
        Ok(())
    }

    async fn tell(
        &mut self,
        line: &mut Line,
        events: Vec<Arc<Told>>,
        news: &Subscription,
    ) -> Result<(), Ending> {
        let state = self.lesson.state();
        for told in events {
            match &told.event().body {
                EventBody::LessonEnded { .. } => {
                    let closing = self.app.limits.closing();
                    self.close_at = Some(tokio::time::Instant::now() + closing);
                }
                // Another run begins: whoever stayed comes into it by joining.
                EventBody::LessonOpened { .. } if self.close_at.is_some() => return Err(over()),
                _ => {}
            }
            match self.viewer.event(told.event(), &state) {
                None => {}
                Some(Cow::Borrowed(_)) => line.send_text(told.text()).await?,
                Some(Cow::Owned(event)) => line.send(&ServerMessage::Event { event }).await?,
            }
        }
        self.is_there(&self.lesson.state(), news)
    }

    /// The lesson's history is another: what this node decided by itself has become a part of
    /// the origin's, or gave way to it. The page takes the state in place of its own.
    async fn tell_anew(&mut self, line: &mut Line) -> Result<Subscription, Ending> {
        let (state, news) = self.lesson.follow();
        if state.phase >= Phase::Ended && self.close_at.is_none() {
            self.close_at = Some(tokio::time::Instant::now() + self.app.limits.closing());
        }
        self.is_there(&state, &news)?;
        let shown = Box::new(self.viewer.state(&state));
        line.send(&ServerMessage::State { state: shown }).await?;
        Ok(news)
    }

    fn is_there(&self, state: &State, news: &Subscription) -> Result<(), Ending> {
        if news.delivered() < state.seq || state.phase >= Phase::Ended {
            return Ok(());
        }
        match state.members.get(&self.me.id) {
            Some(member) if member.node == self.me.node => Ok(()),
            Some(_) => Err(replaced()),
            None if state.removed.contains_key(&self.me.id) => Err(removed()),
            // The lesson has lost sight of a page that is there: it joins again.
            None => {
                let zh = "课堂已不再显示您在场,正在重新进入。";
                let en = "The lesson no longer has you as present; please join again.";
                Err(Ending::Bye(ByeReason::TooSlow, Sentence::new(zh, en)))
            }
        }
    }

    fn carry_out(&self, request: Request) -> BoxFuture<'static, ServerMessage> {
        let (node, lesson, lang) = (self.app.node.clone(), self.lesson.clone(), self.lang);
        let me = self.me.id.clone();
        async move {
            match request {
                Request::TooFast { id } => refused(id, Refusal::TooFast, lang),
                Request::Command { id, command } => {
                    let command = Command::Member { by: me, command };
                    match lesson.submit(command, node.name()).await {
                        Ok(()) => ServerMessage::Done { id },
                        Err(refusal) => refused(id, refusal, lang),
                    }
                }
                Request::WatchOffer { id, sdp } => match node.watch(lesson.id(), &me, sdp).await {
                    Ok(answer) => ServerMessage::WatchAnswer { id, sdp: answer.sdp },
                    Err(error) => failed(id, error, lang),
                },
                Request::Watch { id, slots } => match node.bind(lesson.id(), &me, slots).await {
                    Ok(()) => ServerMessage::Done { id },
                    Err(error) => failed(id, error, lang),
                },
            }
        }
        .boxed()
    }
}

fn failed(id: u64, error: MediaError, lang: Lang) -> ServerMessage {
    match error {
        MediaError::Refused(refusal) => refused(id, refusal, lang),
        other => {
            ServerMessage::Failed { id, message: Problem::from(other).sentence(lang).to_owned() }
        }
    }
}

fn pings() -> Interval {
    let first = tokio::time::Instant::now() + PING_EVERY;
    let mut pings = tokio::time::interval_at(first, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}

async fn ready(current: &mut Option<BoxFuture<'static, ServerMessage>>) -> ServerMessage {
    match current {
        Some(request) => request.await,
        None => std::future::pending().await,
    }
}

async fn reached(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

type Tracks = Arc<Vec<(cloudschool_protocol::media::TrackId, u8)>>;

/// The latest of who is loud; what a slow page missed of it is old.
async fn loud(speakers: &mut Option<broadcast::Receiver<Tracks>>) -> Tracks {
    while let Some(receiver) = speakers {
        match receiver.recv().await {
            Ok(tracks) => return tracks,
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => *speakers = None,
        }
    }
    std::future::pending().await
}

/// Where the teacher points; what a slow page missed of it is past.
async fn pointed(pointer: &mut Option<broadcast::Receiver<Pointed>>) -> Pointed {
    while let Some(receiver) = pointer {
        match receiver.recv().await {
            Ok(pointed) => return pointed,
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => *pointer = None,
        }
    }
    std::future::pending().await
}

/// What reaches which school, when that has changed.
async fn changed(rungs: &mut Option<watch::Receiver<SchoolRungs>>) -> SchoolRungs {
    while let Some(receiver) = rungs {
        if receiver.changed().await.is_ok() {
            return receiver.borrow_and_update().clone();
        }
        *rungs = None;
    }
    std::future::pending().await
}

/// The sources of `me` of which other layers are watched than was `told`.
async fn layers(
    me: &MemberId,
    watched: &mut Option<watch::Receiver<Watched>>,
    told: &mut BTreeMap<Source, Vec<String>>,
) -> Vec<(Source, Vec<String>)> {
    while let Some(receiver) = watched {
        if receiver.changed().await.is_err() {
            *watched = None;
            continue;
        }
        let all = receiver.borrow_and_update().clone();
        // What is published anew begins with everything again.
        told.retain(|source, _| all.keys().any(|t| t.member == *me && t.source == *source));
        let own = all.iter().filter(|(track, _)| track.member == *me);
        let news: Vec<(Source, Vec<String>)> = own
            .filter(|(track, active)| told.get(&track.source) != Some(active))
            .map(|(track, active)| (track.source, active.clone()))
            .collect();
        told.extend(news.iter().cloned());
        if !news.is_empty() {
            return news;
        }
    }
    std::future::pending().await
}
