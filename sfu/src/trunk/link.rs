//! One connected trunk, as this node uses it: what both directions have in common.

use super::allocator::{self, News, Teller, frames_first};
use super::flows::Inlets;
use super::limits::{Limits, Refused};
use super::outward::{Line, Outward};
use crate::assets::Courier;
use crate::media::crew::Place;
use crate::media::{Clock, OutletId, Priority, TrackKey};
use crate::node::{Node, Want};
use cloudschool_protocol::id::{LessonId, NodeId};
use cloudschool_protocol::media::{Codec, TrackId};
use cloudschool_protocol::trunk::{Control, MAX_DEMAND, NodeKind};
use cloudschool_relay::{PathState, Peer, Trunk, TrunkStats};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::mpsc;

/// Control messages waiting for the trunk. A peer that reads none for so long is broken.
const OUTBOX: usize = 1024;

/// What the node asks of a link.
#[derive(Debug)]
pub enum LinkCommand {
    /// Ask the other end for these tracks of the lesson, and no others.
    Demand { lesson: LessonId, tracks: Vec<TrackId> },
    /// Send a track.
    Start {
        lesson: LessonId,
        track: TrackId,
        codec: Codec,
        matters: Priority,
        /// Where its packets come from.
        at: (TrackKey, OutletId),
        packets: Place,
    },
    /// A track that is sent matters more or less from now on.
    Matters { lesson: LessonId, track: TrackId, matters: Priority },
    /// Send it no more.
    Stop { lesson: LessonId, track: TrackId },
    /// Say this to the other end.
    Say(Control),
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

    /// Who is at the other end, by its certificate.
    #[must_use]
    pub fn identity(&self) -> &Peer {
        self.trunk.peer()
    }

    /// Whether the other end has this
    /// [`capability`](cloudschool_protocol::trunk::capability).
    #[must_use]
    pub fn can(&self, capability: &str) -> bool {
        self.trunk.peer_can(capability)
    }

    /// What the path carries now.
    #[must_use]
    pub fn path(&self) -> PathState {
        self.trunk.path()
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
    /// What the other end may still send.
    pub limits: Limits,
    /// Decides in which form flows go.
    allocator: Teller,
    inlets: Inlets,
    /// Sends assets.
    courier: Courier,
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
        let allocator = allocator::start(node.clone(), trunk.clone(), handle.id);
        let courier = Courier::start(node.clone(), trunk.clone(), outbox.clone());
        let link = Self {
            limits: Limits::of(trunk.peer(), Instant::now()),
            node,
            trunk,
            handle,
            outbox,
            allocator,
            inlets: Inlets::default(),
            courier,
            incoming: HashMap::new(),
            outgoing: HashMap::new(),
            next_flow: 1,
        };
        if let Some(bits_per_second) = link.node.trunk_cap() {
            link.tell(Control::Cap { bits_per_second });
        }
        (link, received)
    }

    /// Queues a message. A peer that lets a thousand pile up is cut off.
    pub fn tell(&self, message: Control) {
        if self.outbox.try_send(message).is_err() {
            self.trunk.close("too many messages were left unread");
        }
    }

    /// Counts what of the other end's was refused.
    pub fn refuse(&self, what: Refused, more: u64) {
        tracing::debug!(peer = %self.handle.peer, what = what.as_str(), more, "refused");
        self.node.refused().add(what, more);
    }

    /// Carries out what the node asks.
    pub fn command(&mut self, command: LinkCommand) {
        match command {
            LinkCommand::Say(message) => self.tell(message),
            LinkCommand::Demand { lesson, tracks } => {
                self.tell(Control::Demand { lesson, tracks, limits: Vec::new() });
            }
            LinkCommand::Start { lesson, track, codec, matters, at, packets } => {
                let flow = self.next_flow;
                self.next_flow += 1;
                self.outgoing.insert(flow, (lesson.clone(), track.clone()));
                let first = Arc::new(AtomicI32::new(frames_first(matters)));
                let starts = allocator::Flow {
                    lesson: lesson.clone(),
                    track: track.clone(),
                    matters,
                    at,
                    first: first.clone(),
                };
                self.allocator.tell(News::Starts(flow, starts));
                self.tell(Control::Flow { flow, lesson, track, codec });
                let (trunk, outbox) = (self.trunk.clone(), self.outbox.clone());
                let allocator = self.allocator.clone();
                let line = Line { trunk, outbox, allocator, flow, codec, first };
                packets.give(Outward::new(line));
            }
            LinkCommand::Matters { lesson, track, matters } => {
                self.allocator.tell(News::Matters(lesson, track, matters));
            }
            // The flow ends, and that is said, when its outlet is taken off.
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
        let message = self.node.backfill_message(&self.handle, message)?;
        let message = self.node.asset_message(&self.handle, &self.courier, message)?;
        match message {
            Control::Demand { lesson, tracks, .. } => {
                if tracks.len() > MAX_DEMAND {
                    self.refuse(Refused::Demand, 1);
                }
                if let Ok(room) = self.node.room(&lesson) {
                    let wanted: Want = tracks.into_iter().take(MAX_DEMAND).collect();
                    room.demand(&self.node, &self.handle.peer, wanted);
                }
            }
            Control::Flow { flow, lesson, track, codec } => {
                if self.incoming.len() >= self.limits.flows() {
                    self.refuse(Refused::Flow, 1);
                    self.trunk.refuse("more flows were opened than lessons have tracks");
                } else if self.incoming.contains_key(&flow) {
                    self.refuse(Refused::Flow, 1);
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
            Control::Keyframe { .. } if !self.limits.keyframe(Instant::now()) => {
                self.refuse(Refused::Keyframe, 1);
            }
            Control::Keyframe { flow } => {
                self.allocator.tell(News::KeyframeWanted(flow));
            }
            Control::Cap { bits_per_second } => {
                self.allocator.tell(News::Cap(Some(bits_per_second)));
            }
            Control::Pointer { lesson, by, at } => {
                self.node.pointed_by(&self.handle, (lesson, by, at));
            }
            Control::Board { lesson, run, word } => {
                self.node.board_word(&self.handle, lesson, run, word);
            }
            Control::BoardFetch { .. } if !self.peer_is(NodeKind::Recorder) => {
                self.refuse(Refused::Misplaced, 1);
            }
            Control::BoardFetch { lesson, run, offset } => {
                self.node.board_changes(&self.handle, lesson, run, offset);
            }
            Control::Clock { flow, ntp, rtp } => self.inlets.clock(flow, Clock { ntp, rtp }),
            other => return Some(other),
        }
        None
    }

    /// Takes packets that came.
    pub fn packets(&mut self, packets: Vec<cloudschool_relay::Media>) {
        let packets = self.node.assets().take_chunks(&self.handle, packets);
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
