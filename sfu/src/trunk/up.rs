//! An edge's link to the node above: mirrors its lessons, carries commands up, its own and those
//! of nodes behind it, and comes back by itself when the line was away. Where there are several
//! nodes above, it moves to another when the present one leads nowhere.

use super::hand_up::HandingUp;
use super::limits::Refused;
use super::link::{Link, LinkCommand};
use crate::lesson::{Asked, Forward};
use crate::node::Node;
use crate::school::papers::Attending;
use cloudschool_protocol::event::Event;
use cloudschool_protocol::id::{LessonId, NodeId};
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::{Control, LessonLine, RequestId, Standing, capability};
use cloudschool_relay::{Dialer, Found, Trunk, TrunkReceiver};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Packets taken from the trunk at once.
const PACKETS_AT_ONCE: usize = 256;

/// How long a new trunk may take to show lessons before another is looked for: more than a
/// handshake on a bad line.
const SETTLE: Duration = Duration::from_secs(10);

/// How long another trunk may take to say where it leads.
const FIRST_WORD: Duration = Duration::from_secs(5);

/// How long the answers under way on a trunk that is left are waited for.
const LAST_WORDS: Duration = Duration::from_secs(8);

struct Up {
    link: Link,
    followed: BTreeSet<LessonId>,
    waiting: HashMap<RequestId, oneshot::Sender<Result<(), Refusal>>>,
    next_request: RequestId,
    handing_up: HandingUp,
    /// The other end was heard lately.
    heard: bool,
    /// It can't reach the origin.
    away: bool,
    /// It has shown the origin's lessons.
    shown: bool,
    /// The nodes behind this one, as it was told of them.
    behind: Vec<Standing>,
    /// Asks it for certificates.
    attending: Attending,
}

/// How a session ended.
enum End {
    /// And why.
    Lost(String),
    /// Another trunk is better.
    Moved(Candidate),
}

/// A trunk that may take the place of the present one, and what its other end said first.
struct Candidate {
    found: Found,
    first: Control,
}

/// Keeps a trunk to a node above, for ever.
pub async fn run(node: Arc<Node>, mut dialer: Dialer, mut forwards: mpsc::Receiver<Forward>) {
    loop {
        let (mut trunk, mut receiver) = {
            let mut connected = std::pin::pin!(dialer.connect());
            loop {
                tokio::select! {
                    connected = &mut connected => break connected,
                    // Dropping the reply says that the campus is away.
                    Some(_) = forwards.recv() => {}
                }
            }
        };
        let mut first = None;
        let reason = loop {
            tracing::info!(peer = %trunk.peer().node, "the trunk upwards is up");
            let session = session(&node, trunk, receiver, first, &mut forwards, &mut dialer);
            match session.await {
                End::Lost(reason) => break reason,
                End::Moved(Candidate { found, first: said }) => {
                    dialer.moved(found.place(), &found.trunk);
                    (trunk, receiver, first) = (found.trunk, found.receiver, Some(said));
                }
            }
        };
        tracing::warn!(%reason, "the trunk upwards is down");
        node.set_campus(false);
    }
}

async fn session(
    node: &Arc<Node>,
    trunk: Trunk,
    mut receiver: TrunkReceiver,
    first: Option<Control>,
    forwards: &mut mpsc::Receiver<Forward>,
    dialer: &mut Dialer,
) -> End {
    let mut reachable = trunk.reachable();
    let mut tree = node.tree();
    let (link, mut commands) = Link::new(node.clone(), trunk.clone());
    let mut up = Up {
        link,
        followed: BTreeSet::new(),
        waiting: HashMap::new(),
        next_request: 1,
        handing_up: HandingUp::default(),
        heard: true,
        away: false,
        shown: false,
        behind: Vec::new(),
        attending: node.papers().attend(trunk.clone()),
    };
    node.link_up(up.link.handle.clone(), true);
    up.say_behind();
    if let Some(first) = first {
        up.message(first).await;
    }
    let mut packets = Vec::with_capacity(PACKETS_AT_ONCE);
    let moved = {
        let mut better = std::pin::pin!(better(node, &trunk, dialer));
        loop {
            tokio::select! {
                message = receiver.control.recv() => match message {
                    Some(message) => up.message(message).await,
                    None => break None,
                },
                count = receiver.media.recv_many(&mut packets, PACKETS_AT_ONCE) => {
                    if count == 0 {
                        break None;
                    }
                    up.link.packets(std::mem::take(&mut packets));
                }
                Some(command) = commands.recv() => up.link.command(command),
                Some(forward) = forwards.recv() => up.forward(forward),
                Ok(()) = tree.changed() => up.say_behind(),
                Ok(()) = reachable.changed() => {
                    up.heard = *reachable.borrow_and_update();
                    up.tell_campus();
                }
                candidate = &mut better => break Some(candidate),
            }
        }
    };
    match moved {
        Some(candidate) => {
            tokio::spawn(leave(up, receiver, commands));
            End::Moved(candidate)
        }
        None => {
            let reason = trunk.closed().await;
            up.gone();
            End::Lost(reason)
        }
    }
}

/// A trunk that leads to the origin when the present one doesn't, or that is preferred.
async fn better(node: &Arc<Node>, present: &Trunk, dialer: &mut Dialer) -> Candidate {
    let mut good = node.campus_reachable();
    // Whatever comes of it, by then there is something to judge by.
    let settled = timeout(SETTLE, good.wait_for(|good| *good)).await.is_ok();
    tracing::debug!(settled, "looking out for another upstream");
    loop {
        let mut found = dialer.better(good.clone()).await;
        let first = timeout(FIRST_WORD, found.receiver.control.recv()).await.ok().flatten();
        let leads_on = match &first {
            None => false,
            // A node that has no way to the origin is still better than one that is gone.
            Some(Control::Path { away: true, .. }) => !*present.reachable().borrow(),
            Some(_) => true,
        };
        match first {
            Some(first) if leads_on => return Candidate { found, first },
            _ => {
                let peer = &found.trunk.peer().node;
                tracing::info!(%peer, "it leads no nearer to the campus");
                found.trunk.close("this node has a better way to the campus");
                dialer.stayed(found.place());
            }
        }
    }
}

/// Leaves a trunk in whose place another is: answers under way still come, nothing else.
async fn leave(
    mut up: Up,
    mut receiver: TrunkReceiver,
    mut commands: mpsc::UnboundedReceiver<LinkCommand>,
) {
    commands.close();
    receiver.media.close();
    if up.heard {
        let answers = async {
            while !up.waiting.is_empty() || up.handing_up.is_waiting() {
                match receiver.control.recv().await {
                    Some(Control::Outcome { request, refusal }) => up.outcome(request, refusal),
                    Some(Control::HandUpTaken { outcomes, .. }) => up.handing_up.taken(outcomes),
                    Some(_) => {}
                    None => return,
                }
            }
        };
        if timeout(LAST_WORDS, answers).await.is_err() {
            tracing::info!("answers on the trunk that was left did not come");
        }
    }
    up.link.trunk.close("this node has moved to another upstream");
    up.gone();
}

impl Up {
    async fn message(&mut self, message: Control) {
        let Some(message) = self.link.media_message(message) else { return };
        let Some(message) = self.link.node.certificate_came(message) else { return };
        match message {
            Control::Lessons { lessons } => self.lessons(lessons),
            Control::Events { lesson, events } => self.events(lesson, events).await,
            Control::Path { nodes, away } => self.path(nodes, away),
            Control::Outcome { request, refusal } => self.outcome(request, refusal),
            Control::HandUpTaken { outcomes, .. } => self.handing_up.taken(outcomes),
            Control::FollowRefused { lesson, refusal } => {
                tracing::warn!(%lesson, %refusal, "the campus does not let this lesson be followed");
                self.followed.remove(&lesson);
            }
            _ => self.link.refuse(Refused::Misplaced, 1),
        }
    }

    fn outcome(&mut self, request: RequestId, refusal: Option<Refusal>) {
        if let Some(reply) = self.waiting.remove(&request) {
            // Whoever asked may have given up waiting.
            let _told = reply.send(refusal.map_or(Ok(()), Err));
        }
    }

    /// The node above says where it stands.
    fn path(&mut self, nodes: Vec<NodeId>, away: bool) {
        if let Err(error) = self.link.node.set_path(nodes, away) {
            tracing::error!(peer = %self.link.handle.peer, "{error}");
            return self.link.trunk.refuse(&error.to_string());
        }
        self.away = away;
        // A list of lessons follows when it can reach the origin again.
        self.shown &= !away;
        self.tell_campus();
        if !away {
            self.attending.look();
        }
    }

    fn tell_campus(&self) {
        self.link.node.set_campus(self.heard && self.shown && !self.away);
    }

    /// Says which nodes stand behind this one, when that has changed.
    fn say_behind(&mut self) {
        let behind = self.link.node.tree().borrow().behind();
        if behind != self.behind && self.link.trunk.peer_can(capability::TREE) {
            self.behind.clone_from(&behind);
            self.link.tell(Control::Behind { nodes: behind });
        }
    }

    fn gone(&self) {
        let node = &self.link.node;
        node.keep_trunk_totals(&self.link.handle.peer, &self.link.trunk.stats());
        node.link_down(&self.link.handle, true);
    }

    fn lessons(&mut self, mut lines: Vec<LessonLine>) {
        let listed: BTreeSet<LessonId> = lines.iter().map(|l| l.info.id.clone()).collect();
        let lessons = self.link.node.lessons();
        if self.away {
            // What a node that can't reach the origin doesn't know of may well be there.
            let known = lessons.lines().into_iter();
            lines.extend(known.filter(|line| !listed.contains(&line.info.id)));
        }
        lessons.sync(lines);
        self.followed.retain(|id| listed.contains(id));
        for id in &listed {
            if self.followed.insert(id.clone())
                && let Some(lesson) = lessons.get(id)
            {
                let after = lesson.follow_after();
                self.link.tell(Control::Follow { lesson: id.clone(), after });
            }
        }
        // Only now is this node able to let members in.
        self.shown = !self.away;
        self.tell_campus();
    }

    async fn events(&mut self, id: LessonId, events: Vec<Event>) {
        let Some(lesson) = self.link.node.lessons().get(&id) else { return };
        if let Err(again) = lesson.apply(events).await {
            tracing::warn!(lesson = %id, %again, "events were missing");
            self.link.tell(Control::Follow { lesson: id, after: again.after });
        }
    }

    fn forward(&mut self, forward: Forward) {
        let Forward { lesson, asked } = forward;
        // The other end takes what is said for a node behind this one when it knows of the node.
        self.say_behind();
        match asked {
            Asked::Command { command, from, reply } => {
                let request = self.next_request;
                self.next_request += 1;
                self.waiting.retain(|_, waiting| !waiting.is_closed());
                self.waiting.insert(request, reply);
                self.link.tell(Control::Command { request, lesson, from, command });
            }
            Asked::HandUp { entries, reply } => {
                self.handing_up.send(&self.link, lesson, entries, reply);
            }
        }
    }
}
