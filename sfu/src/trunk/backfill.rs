//! How what was kept of a lesson in a cut ([`super::spool`]) gets to the recorder: told of
//! upwards, fetched piece by piece from there, each node passing on what is not its own. The
//! recorder asks at its own pace and again for what does not come; the node that has a part
//! answers with at most a quarter of what its line carries, so that live media is not hurt.

use super::link::{LinkCommand, LinkHandle};
use super::spool::Spool;
use crate::node::Node;
use cloudschool_protocol::blob::Blob;
use cloudschool_protocol::id::{LessonId, NodeId};
use cloudschool_protocol::spool::{MAX_PARTS, SpoolPart};
use cloudschool_protocol::trunk::{Control, NodeKind};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Least rate of pieces, bit/s: a minute's sound in as long on any line that carries sound.
const LEAST: u64 = 48_000;
/// And most: beyond, nobody waits for it.
const MOST: u64 = 8_000_000;

/// Pieces that may be asked for at once.
const WAITING: usize = 64;

/// What is kept at nodes behind this one, and who fetches it.
#[derive(Debug)]
pub struct Backfill {
    own: Option<Arc<Spool>>,
    behind: Mutex<Behind>,
    asked: mpsc::Sender<Asked>,
}

#[derive(Debug, Default)]
struct Behind {
    /// By lesson and the trunk that told of them.
    parts: BTreeMap<LessonId, BTreeMap<NodeId, Vec<SpoolPart>>>,
    /// Where pieces of a part go.
    askers: HashMap<Uuid, NodeId>,
}

#[derive(Debug)]
struct Asked {
    peer: NodeId,
    lesson: LessonId,
    id: Uuid,
    offset: u64,
}

impl Backfill {
    /// Of a node that keeps its own in `own`, and the task that answers, to be given to
    /// [`run`].
    pub fn new(own: Option<Arc<Spool>>) -> (Self, BackfillTask) {
        let (asked, waiting) = mpsc::channel(WAITING);
        (Self { own, behind: Mutex::default(), asked }, BackfillTask(waiting))
    }

    /// What this node keeps itself.
    #[must_use]
    pub fn own(&self) -> Option<&Arc<Spool>> {
        self.own.as_ref()
    }

    fn behind(&self) -> MutexGuard<'_, Behind> {
        // Whole after any panic: each change is one call.
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything there is of a lesson, here and behind.
    fn all(&self, lesson: &LessonId) -> Vec<SpoolPart> {
        let own = self.own.iter().flat_map(|own| own.of(lesson));
        let behind = self.behind();
        let behind = behind.parts.get(lesson).into_iter().flat_map(|b| b.values().flatten());
        own.chain(behind.cloned()).take(MAX_PARTS).collect()
    }

    fn lessons(&self) -> Vec<LessonId> {
        let own = self.own.iter().flat_map(|own| own.lessons());
        let mut all: Vec<_> = own.chain(self.behind().parts.keys().cloned()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The trunk that part `id` is behind.
    fn supplier(&self, lesson: &LessonId, id: Uuid) -> Option<NodeId> {
        let behind = self.behind();
        let told = behind.parts.get(lesson)?;
        told.iter()
            .find(|(_, parts)| parts.iter().any(|p| p.id == id))
            .map(|(peer, _)| peer.clone())
    }
}

/// What answers for the parts kept here.
#[derive(Debug)]
pub struct BackfillTask(mpsc::Receiver<Asked>);

impl Node {
    /// Tells whoever is nearer to the recorder what there is of a lesson.
    fn tell_spooled(&self, lesson: &LessonId) {
        let parts = self.backfill().all(lesson);
        for link in self.towards_recorder() {
            let (lesson, parts) = (lesson.clone(), parts.clone());
            link.send(LinkCommand::Say(Control::Spooled { lesson, parts }));
        }
    }

    /// The same for a trunk that is new, of every lesson.
    pub(crate) fn tell_spooled_to(&self, link: &LinkHandle) {
        if link.identity().kind != NodeKind::Recorder {
            return;
        }
        for lesson in self.backfill().lessons() {
            let parts = self.backfill().all(&lesson);
            link.send(LinkCommand::Say(Control::Spooled { lesson, parts }));
        }
    }

    /// The trunk upwards, or at the origin those of recorders.
    fn towards_recorder(&self) -> Vec<LinkHandle> {
        match self.lessons().are_ours() {
            false => self.uplink().into_iter().collect(),
            true => self.links_of(NodeKind::Recorder),
        }
    }

    /// Takes a message about parts. Gives back one that is about something else.
    pub(crate) fn backfill_message(
        self: &Arc<Self>,
        from: &LinkHandle,
        message: Control,
    ) -> Option<Control> {
        let backfill = self.backfill();
        let nearer = self.towards_recorder().iter().any(|link| link.peer == from.peer);
        match message {
            Control::Spooled { lesson, mut parts } if !nearer => {
                let admitted = self.lessons().get(&lesson).is_some_and(|handle| {
                    let school = from.identity().school.as_ref();
                    school.is_some_and(|school| handle.state().info.includes(school))
                });
                if admitted && from.identity().kind == NodeKind::Edge {
                    parts.truncate(MAX_PARTS);
                    let mut behind = backfill.behind();
                    behind
                        .parts
                        .entry(lesson.clone())
                        .or_default()
                        .insert(from.peer.clone(), parts);
                    drop(behind);
                    self.tell_spooled(&lesson);
                }
            }
            Control::SpoolFetch { lesson, id, offset } if nearer => {
                if backfill.own().is_some_and(|own| own.has(id)) {
                    let peer = from.peer.clone();
                    // One too many is asked for again.
                    let _full = backfill.asked.try_send(Asked { peer, lesson, id, offset });
                } else if let Some(link) =
                    backfill.supplier(&lesson, id).and_then(|p| self.link(&p))
                {
                    backfill.behind().askers.insert(id, from.peer.clone());
                    link.send(LinkCommand::Say(Control::SpoolFetch { lesson, id, offset }));
                }
            }
            Control::SpoolPiece { lesson, id, offset, data } if !nearer => {
                let told = backfill.supplier(&lesson, id).is_some_and(|peer| peer == from.peer);
                let asker = backfill.behind().askers.get(&id).filter(|_| told).cloned();
                if let Some(link) = asker.and_then(|peer| self.link(&peer)) {
                    link.send(LinkCommand::Say(Control::SpoolPiece { lesson, id, offset, data }));
                }
            }
            Control::SpoolTaken { lesson, id } if nearer => {
                if let Some(own) = backfill.own().filter(|own| own.has(id)) {
                    own.taken(id);
                } else if let Some(peer) = backfill.supplier(&lesson, id) {
                    let mut behind = backfill.behind();
                    behind.askers.remove(&id);
                    if let Some(told) = behind.parts.get_mut(&lesson) {
                        told.values_mut().for_each(|parts| parts.retain(|p| p.id != id));
                    }
                    drop(behind);
                    if let Some(link) = self.link(&peer) {
                        link.send(LinkCommand::Say(Control::SpoolTaken { lesson, id }));
                    }
                }
            }
            Control::Spooled { .. }
            | Control::SpoolFetch { .. }
            | Control::SpoolPiece { .. }
            | Control::SpoolTaken { .. } => {
                tracing::debug!(peer = %from.peer, "a message about kept media went the wrong way");
            }
            other => return Some(other),
        }
        None
    }
}

/// Tells of what this node keeps, whenever that changes or the campus is back, and answers for
/// it, until the node is gone.
pub async fn run(node: Weak<Node>, task: BackfillTask) {
    let BackfillTask(mut asked) = task;
    let Some((mut campus, changes)) = node
        .upgrade()
        .map(|node| (node.campus_reachable(), node.backfill().own().map(|own| own.changes())))
    else {
        return;
    };
    // Without a spool there is nothing to tell, and nobody asks.
    let Some(mut changes) = changes else { return };
    changes.mark_changed();
    loop {
        tokio::select! {
            Some(asked) = asked.recv() => {
                let Some(pause) = node.upgrade().and_then(|node| answer(&node, asked)) else {
                    continue;
                };
                tokio::time::sleep(pause).await;
            }
            changed = changes.changed() => {
                if changed.is_err() || !tell(&node) {
                    return;
                }
            }
            changed = campus.changed() => {
                if changed.is_err() {
                    return;
                }
                let reachable = *campus.borrow_and_update();
                if reachable && !tell(&node) {
                    return;
                }
            }
        }
    }
}

fn tell(node: &Weak<Node>) -> bool {
    let Some(node) = node.upgrade() else { return false };
    node.backfill().lessons().iter().for_each(|lesson| node.tell_spooled(lesson));
    true
}

/// Sends a piece; says how long to wait before the next.
fn answer(node: &Node, asked: Asked) -> Option<Duration> {
    let Asked { peer, lesson, id, offset } = asked;
    let data = node.backfill().own()?.piece(id, offset)?;
    let link = node.link(&peer)?;
    let bits = data.len() as u64 * 8;
    let rate = (link.path().estimate / 4).clamp(LEAST, MOST);
    let data = Blob(data);
    link.send(LinkCommand::Say(Control::SpoolPiece { lesson, id, offset, data }));
    Some(Duration::from_secs_f64(bits as f64 / rate as f64))
}
