//! What reaches whom by trunk, as the links' allocators last said: kept for operators and
//! metrics, and by lesson for whoever teaches.

use super::{Node, Room};
use crate::trunk::TrunkRungs;
use cloudschool_protocol::id::{LessonId, NodeId};
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::socket::SchoolRung;
use cloudschool_protocol::trunk::NodeKind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// What reaches each school of a lesson, by its node.
pub type SchoolRungs = Arc<BTreeMap<NodeId, SchoolRung>>;

/// Every trunk's, by its link.
#[derive(Debug, Default)]
pub(super) struct Rungs(Mutex<BTreeMap<u64, TrunkRungs>>);

impl Rungs {
    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<u64, TrunkRungs>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Node {
    /// What lessons may take of this site's line, bit/s.
    #[must_use]
    pub(crate) fn trunk_cap(&self) -> Option<u64> {
        self.trunk_cap
    }

    /// A trunk's allocator says what crosses now.
    pub(crate) fn tell_rungs(self: &Arc<Self>, now: TrunkRungs) {
        // Who stands below is shown; what goes up from here is this school's own affair.
        let upwards = self.uplink().is_some_and(|up| up.id == now.link);
        let school = now.school.clone().filter(|_| now.kind == NodeKind::Edge && !upwards);
        let peer = now.peer.clone();
        let rungs: BTreeMap<LessonId, SchoolRung> = school
            .into_iter()
            .flat_map(|school| {
                now.lessons.iter().map(move |(id, lesson)| (id, lesson, school.clone()))
            })
            .map(|(id, lesson, school)| {
                let rung = SchoolRung {
                    school,
                    node: now.peer.clone(),
                    rung: lesson.rung,
                    reason: lesson.reason,
                    since_ms: lesson.since_ms,
                };
                (id.clone(), rung)
            })
            .collect();
        let before = self.rungs.change(|all| all.insert(now.link, now));
        let before = before.into_iter().flat_map(|b| b.lessons.into_keys());
        let lessons: BTreeSet<LessonId> = before.chain(rungs.keys().cloned()).collect();
        for id in lessons {
            if let Ok(room) = self.room(&id) {
                room.set_rung(&peer, rungs.get(&id).cloned());
            }
        }
    }

    /// A trunk is gone.
    pub(crate) fn forget_rungs(self: &Arc<Self>, link: u64) {
        let gone = self.rungs.change(|all| {
            let gone = all.remove(&link)?;
            let succeeded = all.values().any(|t| t.peer == gone.peer);
            (!succeeded).then_some(gone)
        });
        for (peer, id) in gone.iter().flat_map(|g| g.lessons.keys().map(|id| (&g.peer, id))) {
            if let Ok(room) = self.room(id) {
                room.set_rung(peer, None);
            }
        }
    }

    /// What crosses each trunk.
    #[must_use]
    pub fn trunk_rungs(&self) -> Vec<TrunkRungs> {
        self.rungs.change(|all| all.values().cloned().collect())
    }

    /// What reaches each school of a lesson.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLesson`].
    pub fn school_rungs(
        self: &Arc<Self>,
        lesson: &LessonId,
    ) -> Result<watch::Receiver<SchoolRungs>, Refusal> {
        Ok(self.room(lesson)?.rungs.subscribe())
    }
}

impl Room {
    fn set_rung(&self, peer: &NodeId, rung: Option<SchoolRung>) {
        self.rungs.send_if_modified(|all| {
            if all.get(peer) == rung.as_ref() {
                return false;
            }
            match rung {
                Some(rung) => Arc::make_mut(all).insert(peer.clone(), rung),
                None => Arc::make_mut(all).remove(peer),
            };
            true
        });
    }
}
