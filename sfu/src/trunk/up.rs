//! An edge's link to the node above: mirrors its lessons, carries commands up, and comes back
//! by itself when the line was away.

use super::link::Link;
use crate::lesson::Forward;
use crate::node::Node;
use cloudschool_protocol::event::Event;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::{Control, LessonLine, RequestId};
use cloudschool_relay::{Dialer, Trunk, TrunkReceiver};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Packets taken from the trunk at once.
const PACKETS_AT_ONCE: usize = 256;

struct Up {
    link: Link,
    followed: BTreeSet<LessonId>,
    waiting: HashMap<RequestId, oneshot::Sender<Result<(), Refusal>>>,
    next_request: RequestId,
}

/// Keeps a trunk to the node above, for ever.
pub async fn run(node: Arc<Node>, mut dialer: Dialer, mut forwards: mpsc::Receiver<Forward>) {
    loop {
        let (trunk, receiver) = {
            let mut connected = std::pin::pin!(dialer.connect());
            loop {
                tokio::select! {
                    connected = &mut connected => break connected,
                    // Dropping the reply says that the campus is away.
                    Some(_) = forwards.recv() => {}
                }
            }
        };
        tracing::info!(peer = %trunk.peer().node, "the trunk to the campus is up");
        let reason = session(&node, trunk, receiver, &mut forwards).await;
        tracing::warn!(%reason, "the trunk to the campus is down");
        node.set_campus(false);
    }
}

async fn session(
    node: &Arc<Node>,
    trunk: Trunk,
    mut receiver: TrunkReceiver,
    forwards: &mut mpsc::Receiver<Forward>,
) -> String {
    let mut reachable = trunk.reachable();
    let (link, mut commands) = Link::new(node.clone(), trunk.clone());
    let handle = link.handle.clone();
    let mut up = Up { link, followed: BTreeSet::new(), waiting: HashMap::new(), next_request: 1 };
    node.link_up(handle.clone(), true);
    let mut packets = Vec::with_capacity(PACKETS_AT_ONCE);
    loop {
        tokio::select! {
            message = receiver.control.recv() => match message {
                Some(message) => up.message(message).await,
                None => break,
            },
            count = receiver.media.recv_many(&mut packets, PACKETS_AT_ONCE) => {
                if count == 0 {
                    break;
                }
                up.link.packets(std::mem::take(&mut packets));
            }
            Some(command) = commands.recv() => up.link.command(command),
            Some(forward) = forwards.recv() => up.forward(forward),
            Ok(()) = reachable.changed() => {
                let heard = *reachable.borrow_and_update();
                node.set_campus(heard);
            }
        }
    }
    let reason = trunk.closed().await;
    node.keep_trunk_totals(&handle.peer, &trunk.stats());
    node.link_down(&handle, true);
    reason
}

impl Up {
    async fn message(&mut self, message: Control) {
        let Some(message) = self.link.media_message(message) else { return };
        match message {
            Control::Lessons { lessons } => self.lessons(lessons),
            Control::Events { lesson, events } => self.events(lesson, events).await,
            Control::Outcome { request, refusal } => {
                if let Some(reply) = self.waiting.remove(&request) {
                    // Whoever asked may have given up waiting.
                    let _told = reply.send(refusal.map_or(Ok(()), Err));
                }
            }
            Control::FollowRefused { lesson, refusal } => {
                tracing::warn!(%lesson, %refusal, "the campus does not let this lesson be followed");
                self.followed.remove(&lesson);
            }
            other => tracing::debug!(?other, "a message that only goes up came down"),
        }
    }

    fn lessons(&mut self, lines: Vec<LessonLine>) {
        let listed: BTreeSet<LessonId> = lines.iter().map(|l| l.info.id.clone()).collect();
        let lessons = self.link.node.lessons();
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
        self.link.node.set_campus(true);
    }

    async fn events(&mut self, id: LessonId, events: Vec<Event>) {
        let Some(lesson) = self.link.node.lessons().get(&id) else { return };
        if let Err(again) = lesson.apply(events).await {
            tracing::warn!(lesson = %id, %again, "events were missing");
            self.link.tell(Control::Follow { lesson: id, after: again.after });
        }
    }

    fn forward(&mut self, forward: Forward) {
        let request = self.next_request;
        self.next_request += 1;
        let Forward { lesson, command, reply } = forward;
        self.waiting.retain(|_, waiting| !waiting.is_closed());
        self.waiting.insert(request, reply);
        self.link.tell(Control::Command { request, lesson, from: None, command });
    }
}
