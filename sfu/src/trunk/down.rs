//! Serves the edges, recorders and analytics that dial in: the lessons they may follow, the
//! events of those they do, and answers to their commands.

use super::hand_up;
use super::limits::Refused;
use super::link::{Link, LinkCommand};
use crate::lesson::{LessonHandle, Subscription};
use crate::node::Node;
use crate::school::papers::{self, Attending};
use cloudschool_protocol::command::Command;
use cloudschool_protocol::id::{LessonId, NodeId};
use cloudschool_protocol::lesson::LessonInfo;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::{
    Control, HandUpEntry, HandUpOutcome, LessonLine, MAX_HAND_UP, NodeKind, RequestId, Standing,
    capability,
};
use cloudschool_relay::{Listener, Peer, Trunk, TrunkReceiver};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Packets taken from a trunk at once.
const PACKETS_AT_ONCE: usize = 256;

/// Commands of one peer that are being decided at once.
const COMMANDS_AT_ONCE: usize = 256;

/// How long an outcome waits for the events that must go before it. A peer that reads so
/// slowly gets it anyway.
const EVENTS_FIRST: Duration = Duration::from_secs(5);

/// What waited in a line that was cut comes within this, and two round trips, of its return: by
/// then what was lost is sent again.
const RESENT_WITHIN: Duration = Duration::from_millis(500);

/// Accepts trunks for as long as the listener lives.
pub async fn serve(node: Arc<Node>, listener: Arc<Listener>) {
    while let Some((trunk, receiver)) = listener.accept().await {
        let Peer { node: name, kind, .. } = trunk.peer().clone();
        if node.papers().withdrawn(&name) {
            tracing::warn!(peer = %name, "a withdrawn node came and was refused");
            trunk.refuse("the campus has withdrawn this node: ask there for a new code");
            continue;
        }
        tracing::info!(peer = %name, kind = kind.as_str(), "a trunk is up");
        tokio::spawn(run(node.clone(), trunk, receiver));
    }
}

/// Whether a peer may follow a lesson: services follow all, a node those its school is invited
/// to, or a school that may stand behind it.
pub(crate) fn admits(info: &LessonInfo, peer: &Peer) -> bool {
    match peer.kind {
        NodeKind::Recorder | NodeKind::Analytics => true,
        NodeKind::Edge | NodeKind::Origin => {
            info.schools.iter().chain([&info.campus]).any(|school| peer.speaks_for(school))
        }
    }
}

struct Follower {
    task: JoinHandle<()>,
    delivered: watch::Receiver<u64>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Down {
    link: Link,
    followers: HashMap<LessonId, Follower>,
    deciding: Arc<tokio::sync::Semaphore>,
    /// What the peer was last told of the nodes above it.
    path: Option<Control>,
    /// Gives certificates, to it and to nodes behind it.
    attending: HashMap<NodeId, Attending>,
    /// Whether the peer is heard, and since when after it was not.
    reachable: watch::Receiver<bool>,
    heard_again: Option<Instant>,
}

async fn run(node: Arc<Node>, trunk: Trunk, mut receiver: TrunkReceiver) {
    let mut changes = node.lessons().changes();
    let mut tree = node.tree();
    let (link, mut commands) = Link::new(node.clone(), trunk.clone());
    let handle = link.handle.clone();
    let deciding = Arc::new(tokio::sync::Semaphore::new(COMMANDS_AT_ONCE));
    let mut down = Down {
        link,
        followers: HashMap::new(),
        deciding,
        path: None,
        attending: HashMap::new(),
        reachable: trunk.reachable(),
        heard_again: None,
    };
    node.link_up(handle.clone(), false);
    down.say_path();
    down.list();
    let mut packets = Vec::with_capacity(PACKETS_AT_ONCE);
    loop {
        tokio::select! {
            message = receiver.control.recv() => match message {
                Some(message) => down.message(message),
                None => break,
            },
            count = receiver.media.recv_many(&mut packets, PACKETS_AT_ONCE) => {
                if count == 0 {
                    break;
                }
                down.link.packets(std::mem::take(&mut packets));
            }
            Some(command) = commands.recv() => down.link.command(command),
            Ok(()) = changes.changed() => down.list(),
            Ok(()) = tree.changed() => down.say_path(),
            Ok(()) = down.reachable.changed() => {
                let heard = *down.reachable.borrow_and_update();
                down.heard_again = heard.then(Instant::now);
                node.link_heard(&handle, heard);
            }
        }
    }
    let reason = trunk.closed().await;
    tracing::info!(peer = %handle.peer, %reason, "a trunk is down");
    node.keep_trunk_totals(&handle.peer, &trunk.stats());
    node.link_down(&handle, false);
}

impl Down {
    fn peer(&self) -> &Peer {
        self.link.trunk.peer()
    }

    /// Says which nodes lie between the origin and this one, when that has changed.
    fn say_path(&mut self) {
        let path = self.link.node.tree().borrow().path();
        if self.path.as_ref() == Some(&path) || !self.link.trunk.peer_can(capability::TREE) {
            return;
        }
        let was_away = matches!(self.path, Some(Control::Path { away: true, .. }));
        self.path = Some(path.clone());
        self.link.tell(path);
        if was_away {
            // What was listed without the origin is not the last word.
            self.list();
        }
    }

    /// Sends the list of lessons the peer may follow.
    fn list(&mut self) {
        let lines: Vec<LessonLine> = self.link.node.lessons().lines();
        let admitted = lines.into_iter().filter(|l| admits(&l.info, self.peer()));
        let lessons: Vec<LessonLine> = admitted.collect();
        let listed = |id: &LessonId| lessons.iter().any(|l| l.info.id == *id);
        let withdrawn: Vec<LessonId> =
            self.followers.keys().filter(|id| !listed(id)).cloned().collect();
        withdrawn.iter().for_each(|id| self.unfollow(id));
        self.link.tell(Control::Lessons { lessons });
    }

    fn lesson(&self, id: &LessonId) -> Result<Arc<LessonHandle>, Refusal> {
        let lesson = self.link.node.lessons().get(id).ok_or(Refusal::NoSuchLesson)?;
        match admits(&lesson.state().info, self.peer()) {
            true => Ok(lesson),
            false => Err(Refusal::NotInvited),
        }
    }

    fn message(&mut self, message: Control) {
        if !self.link.limits.message(Instant::now()) {
            self.link.refuse(Refused::Rate, 1);
            return self.link.trunk.refuse("more control messages came than any node has to say");
        }
        if let Control::Demand { lesson, .. }
        | Control::Flow { lesson, .. }
        | Control::Board { lesson, .. }
        | Control::BoardFetch { lesson, .. } = &message
            && let Err(refusal) = self.lesson(lesson)
        {
            tracing::debug!(peer = %self.peer().node, %lesson, %refusal, "media was not allowed");
            return self.link.refuse(Refused::Lesson, 1);
        }
        let Some(message) = self.link.media_message(message) else { return };
        match message {
            Control::Renew { .. } | Control::Https { .. } => self.certificate(message),
            Control::Follow { lesson, after } => self.follow(lesson, after),
            Control::Unfollow { lesson } => self.unfollow(&lesson),
            Control::Command { request, lesson, from, command } => {
                let from = from.unwrap_or_else(|| self.peer().node.clone());
                self.decide(request, &lesson, command, from);
            }
            Control::Behind { nodes } => self.behind(nodes),
            Control::HandUp { lesson, mut entries } => {
                // One too many comes again.
                if let Ok(permit) = self.deciding.clone().try_acquire_owned() {
                    if entries.len() > MAX_HAND_UP {
                        self.link.refuse(Refused::HandUp, 1);
                    }
                    self.answer_for_others(&lesson, &mut entries);
                    let delivered = self.followers.get(&lesson).map(|f| f.delivered.clone());
                    let handle = self.lesson(&lesson);
                    hand_up::take(&self.link, lesson, handle, entries, delivered, permit);
                }
            }
            _ => self.link.refuse(Refused::Misplaced, 1),
        }
    }

    fn behind(&mut self, nodes: Vec<Standing>) {
        if !self.link.limits.telling(Instant::now()) {
            self.link.refuse(Refused::Rate, 1);
            return self.link.trunk.refuse("the nodes behind it change faster than nodes can");
        }
        let refused = self.link.node.link_behind(&self.link.handle, nodes);
        if refused > 0 {
            tracing::warn!(peer = %self.peer().node, refused,
                "it may not speak for these nodes: its certificate names the schools it carries");
            self.link.refuse(Refused::Node, refused as u64);
        }
        let mut attending = std::mem::take(&mut self.attending);
        attending.retain(|node, _| self.speaks_for(node));
        self.attending = attending;
    }

    /// A certificate is asked for, by the peer or in the name of a node behind it: answered here
    /// where certificates are given, else passed on upwards.
    fn certificate(&mut self, asked: Control) {
        let from = papers::asks(&asked).unwrap_or(&self.peer().node).clone();
        let reason = if !self.link.limits.certificate(Instant::now()) {
            self.link.refuse(Refused::Certificate, 1);
            papers::TOO_OFTEN
        } else if !papers::is_bearable(&asked) {
            self.link.refuse(Refused::Certificate, 1);
            papers::TOO_LONG
        } else if !self.speaks_for(&from) {
            self.link.refuse(Refused::Node, 1);
            papers::NOT_ITS_OWN
        } else if self.link.node.papers().gives(&asked) {
            let answered = self.link.node.papers().answer(&self.link.trunk, asked, &from);
            if let Some(attending) = answered {
                self.attending.insert(from, attending);
            }
            return;
        } else {
            let up = self.link.node.uplink().filter(|up| up.can(capability::CERTIFICATES_BEHIND));
            match up {
                Some(up) => return up.send(LinkCommand::Say(papers::in_the_name_of(asked, from))),
                None => papers::NO_WAY_UP,
            }
        };
        // Who asks without end must not fill the log.
        if reason != papers::TOO_OFTEN {
            tracing::warn!(peer = %self.peer().node, node = %from, reason, "no certificate");
        }
        self.link.tell(papers::refused(&self.peer().node, &from, reason));
    }

    fn speaks_for(&self, node: &NodeId) -> bool {
        self.link.node.tree().borrow().speaks_for(&self.peer().node, node)
    }

    /// Takes out, and refuses, what was handed up in the name of nodes it may not speak for.
    fn answer_for_others(&self, lesson: &LessonId, entries: &mut Vec<HandUpEntry>) {
        let mut outcomes = Vec::new();
        entries.retain(|entry| {
            let may = entry.from.as_ref().is_none_or(|from| self.speaks_for(from));
            if !may {
                let refusal = Some(Refusal::NotAllowed);
                outcomes.push(HandUpOutcome { id: entry.id, refusal });
            }
            may
        });
        if !outcomes.is_empty() {
            self.link.refuse(Refused::Node, outcomes.len() as u64);
            self.link.tell(Control::HandUpTaken { lesson: lesson.clone(), outcomes });
        }
    }

    fn follow(&mut self, id: LessonId, after: u64) {
        let lesson = match self.lesson(&id) {
            Ok(lesson) => lesson,
            Err(refusal) => {
                self.link.refuse(Refused::Lesson, 1);
                self.link.tell(Control::FollowRefused { lesson: id, refusal });
                return;
            }
        };
        let (told, delivered) = watch::channel(after);
        let (trunk, events) = (self.link.trunk.clone(), lesson.subscribe(after));
        let task = tokio::spawn(hand_down(trunk, id.clone(), lesson, events, told));
        self.followers.insert(id, Follower { task, delivered });
    }

    fn unfollow(&mut self, id: &LessonId) {
        self.followers.remove(id);
        if let Ok(room) = self.link.node.room(id) {
            room.demand(&self.link.node, &self.link.handle.peer, Default::default());
        }
    }

    /// Whether a command that comes now was perhaps sent before a cut. A node that hands up has
    /// decided it by itself since, or told its member that it can't be, so it is not decided here:
    /// what became of it, and when, is in what the node hands up.
    fn is_of_before_a_cut(&self) -> bool {
        let window = || RESENT_WITHIN + 2 * self.link.trunk.path().rtt;
        let of_before = !*self.reachable.borrow()
            // It is heard again, and that was not looked at yet.
            || self.reachable.has_changed().unwrap_or(true)
            || self.heard_again.is_some_and(|at| at.elapsed() < window());
        of_before && self.link.peer_is(NodeKind::Edge)
    }

    fn decide(&mut self, request: RequestId, id: &LessonId, command: Command, from: NodeId) {
        let refused = |refusal| Control::Outcome { request, refusal: Some(refusal) };
        if !self.speaks_for(&from) {
            self.link.refuse(Refused::Node, 1);
            return self.link.tell(refused(Refusal::NotAllowed));
        }
        let allowed = match &command {
            Command::Archived { .. } => self.link.peer_is(NodeKind::Recorder),
            Command::Join { member } => member.node == from,
            _ => true,
        };
        let lesson = match self.lesson(id) {
            Ok(_) if !allowed => return self.link.tell(refused(Refusal::NotAllowed)),
            Ok(_) if self.is_of_before_a_cut() => {
                return self.link.tell(refused(Refusal::CampusAway));
            }
            Ok(lesson) => lesson,
            Err(refusal) => return self.link.tell(refused(refusal)),
        };
        let Ok(permit) = self.deciding.clone().try_acquire_owned() else {
            self.link.refuse(Refused::Command, 1);
            return self.link.tell(refused(Refusal::CampusAway));
        };
        let delivered = self.followers.get(id).map(|f| f.delivered.clone());
        let outbox = self.link.outbox.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let refusal = lesson.submit(command, &from).await.err();
            if let Some(mut delivered) = delivered {
                let seq = lesson.decided_seq();
                let caught_up = delivered.wait_for(|d| *d >= seq);
                if tokio::time::timeout(EVENTS_FIRST, caught_up).await.is_err() {
                    tracing::warn!(peer = %from, "events are read slowly");
                }
            }
            // The peer is gone when this fails, and asks again when it is back.
            let _sent = outbox.send(Control::Outcome { request, refusal }).await;
        });
    }
}

/// Sends a lesson's events as they come.
async fn hand_down(
    trunk: Trunk,
    id: LessonId,
    lesson: Arc<LessonHandle>,
    mut events: Subscription,
    told: watch::Sender<u64>,
) {
    loop {
        let Ok(news) = events.next().await else {
            events = lesson.subscribe(0);
            continue;
        };
        let last = news.last().map_or(0, |e| e.seq);
        let message = Control::Events { lesson: id.clone(), events: news };
        if let Err(error) = trunk.send(message).await {
            tracing::debug!(%error, lesson = %id, "events are not handed down any more");
            return;
        }
        told.send_replace(last);
    }
}
