//! One connected trunk, as this node uses it: what both directions have in common.

use super::flows::{self, Inlets};
use crate::media::Clock;
use crate::media::lane::TrunkBatches;
use crate::node::{Node, Want};
use cloudschool_protocol::id::{LessonId, NodeId};
use cloudschool_protocol::media::{Codec, TrackId};
use cloudschool_protocol::trunk::{Control, MAX_DEMAND, NodeKind};
use cloudschool_relay::{Trunk, TrunkStats};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Control messages waiting for the trunk. A peer that reads none for so long is broken.
const OUTBOX: usize = 1024;

/// What the node asks of a link.
#[derive(Debug)]
pub enum LinkCommand {
    /// Ask the other end for these tracks of the lesson, and no others.
    Demand { lesson: LessonId, tracks: Vec<TrackId> },
    /// Send a track.
    Start { lesson: LessonId, track: TrackId, codec: Codec, priority: i32, packets: TrunkBatches },
    /// Send it no more.
    Stop { lesson: LessonId, track: TrackId },
    /// Ask the other end for a keyframe of a track it sends.
    Keyframe { lesson: LessonId, track: TrackId },
}

/// How the rest of the node speaks to a link.
#[derive(Debug, Clone)]
pub struct LinkHandle {
    /// Another one after every reconnect.
    pub id: u64,
    pub peer: NodeId,
    commands: mpsc::UnboundedSender<LinkCommand>,
    trunk: Trunk,
}

impl LinkHandle {
    /// Asks something of the link. Nothing happens when it is gone: its successor is told
    /// everything anew.
    pub fn send(&self, command: LinkCommand) {
        if self.commands.send(command).is_err() {
            tracing::debug!(peer = %self.peer, "the trunk is gone");
        }
    }

    /// Ends the trunk; `reason` is one sentence for people at the other end.
    pub fn close(&self, reason: &str) {
        self.trunk.close(reason);
    }

    /// What the trunk has carried.
    #[must_use]
    pub fn stats(&self) -> TrunkStats {
        self.trunk.stats()
    }
}

/// A link's state.
pub struct Link {
    pub node: Arc<Node>,
    pub trunk: Trunk,
    pub handle: LinkHandle,
    /// Messages to the other end, in order.
    pub outbox: mpsc::Sender<Control>,
    inlets: Inlets,
    /// Flows that come in, by what they carry.
    incoming: HashMap<u64, (LessonId, TrackId)>,
    outgoing: HashMap<u64, (LessonId, TrackId)>,
    next_flow: u64,
}

impl Link {
    /// A link over `trunk`, and the commands to give to [`Self::command`].
    pub fn new(node: Arc<Node>, trunk: Trunk) -> (Self, mpsc::UnboundedReceiver<LinkCommand>) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (commands, received) = mpsc::unbounded_channel();
        let (outbox, queued) = mpsc::channel(OUTBOX);
        tokio::spawn(write(trunk.clone(), queued));
        let handle = LinkHandle {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            peer: trunk.peer().node.clone(),
            commands,
            trunk: trunk.clone(),
        };
        let link = Self {
            node,
            trunk,
            handle,
            outbox,
            inlets: Inlets::default(),
            incoming: HashMap::new(),
            outgoing: HashMap::new(),
            next_flow: 1,
        };
        (link, received)
    }

    /// Queues a message. A peer that lets a thousand pile up is cut off.
    pub fn tell(&self, message: Control) {
        if self.outbox.try_send(message).is_err() {
            self.trunk.close("too many messages were left unread");
        }
    }

    /// Carries out what the node asks.
    pub fn command(&mut self, command: LinkCommand) {
        match command {
            LinkCommand::Demand { lesson, tracks } => {
                self.tell(Control::Demand { lesson, tracks, limits: Vec::new() });
            }
            LinkCommand::Start { lesson, track, codec, priority, packets } => {
                let flow = self.next_flow;
                self.next_flow += 1;
                self.outgoing.insert(flow, (lesson.clone(), track.clone()));
                self.tell(Control::Flow { flow, lesson, track, codec });
                let (trunk, outbox) = (self.trunk.clone(), self.outbox.clone());
                tokio::spawn(flows::send(trunk, outbox, flow, codec, priority, packets));
            }
            // The flow's task ends, and says so, when its outlet is taken off.
            LinkCommand::Stop { lesson, track } => {
                self.outgoing.retain(|_, (l, t)| *l != lesson || *t != track);
            }
            LinkCommand::Keyframe { lesson, track } => {
                let wanted =
                    |(_, (l, t)): &(&u64, &(LessonId, TrackId))| *l == lesson && *t == track;
                // The newest flow is the one in use.
                if let Some(flow) = self.incoming.iter().filter(wanted).map(|(f, _)| *f).max() {
                    self.tell(Control::Keyframe { flow });
                }
            }
        }
    }

    /// Takes a message about media. Gives back one that is about something else.
    pub fn media_message(&mut self, message: Control) -> Option<Control> {
        match message {
            Control::Demand { lesson, tracks, .. } => {
                if let Ok(room) = self.node.room(&lesson) {
                    let wanted: Want = tracks.into_iter().take(MAX_DEMAND).collect();
                    room.demand(&self.node, &self.handle.peer, wanted);
                }
            }
            Control::Flow { flow, lesson, track, codec } => {
                if self.incoming.len() >= 4 * MAX_DEMAND {
                    self.trunk.close("more flows were opened than lessons have tracks");
                } else if let Ok(room) = self.node.room(&lesson)
                    && codec.kind() == track.kind()
                    && room.asked(&self.handle.peer, self.handle.id, &track)
                    && let Some(lane) = room.inlet(&self.node, &track)
                    && let Some(key) = room.key(&track)
                {
                    self.incoming.insert(flow, (lesson, track));
                    self.inlets.open(flow, lane, key, codec);
                }
            }
            Control::FlowEnd { flow } => {
                self.incoming.remove(&flow);
                self.inlets.close(flow);
            }
            Control::Keyframe { flow } => {
                let place = self.outgoing.get(&flow);
                let room = place.and_then(|(lesson, _)| self.node.room(lesson).ok());
                let key = room.zip(place).and_then(|(room, (_, track))| room.key(track));
                if let Some(key) = key {
                    self.node.media().want_keyframe(key);
                }
            }
            Control::Clock { flow, ntp, rtp } => self.inlets.clock(flow, Clock { ntp, rtp }),
            other => return Some(other),
        }
        None
    }

    /// Takes packets that came.
    pub fn packets(&mut self, packets: Vec<cloudschool_relay::Media>) {
        self.inlets.deliver(packets);
    }

    /// Whether the other end is a node of that kind.
    #[must_use]
    pub fn peer_is(&self, kind: NodeKind) -> bool {
        self.trunk.peer().kind == kind
    }
}

async fn write(trunk: Trunk, mut queued: mpsc::Receiver<Control>) {
    while let Some(message) = queued.recv().await {
        if let Err(error) = trunk.send(message).await {
            tracing::debug!(%error, "a message was not sent");
            return;
        }
    }
}
