//! Keeps one trunk's allocation: hears what flows there are, what their tracks could be sent as
//! and what the path takes, and has each outlet send what [`super::allocation`] says. What comes
//! of it for each lesson is told to the node.

use super::allocation::{self, Allocation, Budget, Form, Grant, Outlook, Reason, Wish};
use super::rungs::{LessonRung, TrackRung, TrunkRungs, rung};
use crate::media::{Offer, OutletId, Priority, Showing, TrackKey};
use crate::node::Node;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::media::TrackId;
use cloudschool_relay::{PathState, Trunk};
use cloudschool_service::clock::now_ms;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// How often what crosses is thought over when nothing calls for it.
const INTERVAL: Duration = Duration::from_millis(250);

/// What a path is taken to carry before anything is known of it, in bit/s.
const UNKNOWN: u64 = 3_000_000;

/// With a queue this long what is given up is broken off at once.
const BEHIND: Duration = Duration::from_millis(60);

/// What an outlet that begins may send of what came before: as much as the path takes in this
/// time.
const CATCH_UP: Duration = Duration::from_millis(400);

/// A flow of the trunk.
#[derive(Debug)]
pub struct Flow {
    pub lesson: LessonId,
    pub track: TrackId,
    pub matters: Priority,
    /// Where its packets come from.
    pub at: (TrackKey, OutletId),
    /// How early its frames go, for whoever sends them.
    pub first: Arc<AtomicI32>,
}

/// What the allocator is told.
#[derive(Debug)]
pub enum News {
    Starts(u64, Flow),
    Ends(u64),
    /// What the flow's track could be sent as.
    Offers(u64, Box<Offer>),
    /// Whoever receives the flow, or sends it, needs a keyframe of it.
    KeyframeWanted(u64),
    /// Somebody was called to the stage, or left it.
    Matters(LessonId, TrackId, Priority),
    /// The site at the other end allows lessons so much of its line, in bit/s.
    Cap(Option<u64>),
}

/// Tells the allocator of a trunk.
#[derive(Debug, Clone)]
pub struct Teller(mpsc::UnboundedSender<News>);

impl Teller {
    /// Nothing happens when the trunk is gone.
    pub fn tell(&self, news: News) {
        if self.0.send(news).is_err() {
            tracing::trace!("the trunk of this flow is gone");
        }
    }
}

/// How early frames of a track go when a trunk can't carry all at once.
#[must_use]
pub fn frames_first(matters: Priority) -> i32 {
    match matters {
        Priority::TeacherAudio | Priority::Audio => 500,
        Priority::Screen => 400,
        Priority::TeacherCamera => 300,
        Priority::CalledMember => 200,
        Priority::ClassView => 100,
    }
}

/// Begins to allocate what goes by `trunk`, under the number of its link.
#[must_use]
pub fn start(node: Arc<Node>, trunk: Trunk, link: u64) -> Teller {
    let (teller, news) = mpsc::unbounded_channel();
    let cap = node.trunk_cap();
    let allocator = Allocator {
        node,
        link,
        own_cap: cap,
        their_cap: None,
        flows: BTreeMap::new(),
        allocation: Allocation::default(),
        grants: Vec::new(),
        lessons: BTreeMap::new(),
        changes: 0,
        path: trunk.path(),
        trunk,
    };
    tokio::spawn(allocator.run(news));
    Teller(teller)
}

/// A flow, and what it is.
struct Known {
    flow: Flow,
    offer: Option<Box<Offer>>,
    showing: Showing,
}

struct Allocator {
    node: Arc<Node>,
    trunk: Trunk,
    link: u64,
    /// What either end's site allows, bit/s.
    own_cap: Option<u64>,
    their_cap: Option<u64>,
    flows: BTreeMap<u64, Known>,
    allocation: Allocation,
    grants: Vec<Grant>,
    lessons: BTreeMap<LessonId, LessonRung>,
    /// How often a flow was given another form.
    changes: u64,
    path: PathState,
}

impl Allocator {
    async fn run(mut self, mut news: mpsc::UnboundedReceiver<News>) {
        let mut path = self.trunk.watch_path();
        let mut beat = tokio::time::interval(INTERVAL);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closed = self.trunk.clone();
        let mut closed = std::pin::pin!(closed.closed());
        loop {
            let due = tokio::select! {
                heard = news.recv() => match heard {
                    Some(heard) => self.take(heard),
                    None => break,
                },
                Ok(()) = path.changed() => self.moved(*path.borrow_and_update()),
                _ = beat.tick() => {
                    self.path = self.trunk.path();
                    true
                }
                _ = &mut closed => break,
            };
            if due {
                self.allocate();
            }
        }
        self.node.forget_rungs(self.link);
    }

    /// Takes note. Returns whether what crosses is to be thought over now.
    fn take(&mut self, news: News) -> bool {
        match news {
            News::Starts(id, flow) => {
                self.flows.insert(id, Known { flow, offer: None, showing: Showing::Off });
                false
            }
            News::Ends(id) => self.flows.remove(&id).is_some(),
            News::Offers(id, offer) => {
                let Some(known) = self.flows.get_mut(&id) else { return false };
                // Whoever joins is not to wait for the next beat.
                known.offer.replace(offer).is_none()
            }
            News::KeyframeWanted(id) => {
                if let Some(known) = self.flows.get(&id) {
                    let (track, outlet) = known.flow.at;
                    self.node.media().want_outlet_keyframe(track, outlet);
                }
                false
            }
            News::Matters(lesson, track, matters) => {
                let mine = |k: &&mut Known| k.flow.lesson == lesson && k.flow.track == track;
                for known in self.flows.values_mut().filter(mine) {
                    known.flow.matters = matters;
                    known.flow.first.store(frames_first(matters), Ordering::Relaxed);
                }
                true
            }
            News::Cap(cap) => {
                self.their_cap = cap;
                true
            }
        }
    }

    /// The path is another. Less is acted upon at once, more in its time.
    fn moved(&mut self, path: PathState) -> bool {
        let before = std::mem::replace(&mut self.path, path);
        path.estimate < before.estimate || path.reachable && !before.reachable
    }

    fn budget(&self) -> Budget {
        let unknown = self.path.estimate == 0;
        let estimate = if unknown { UNKNOWN } else { self.path.estimate };
        let cap = self.own_cap.into_iter().chain(self.their_cap).min();
        Budget { estimate, cap }
    }

    fn allocate(&mut self) {
        if !self.path.reachable {
            // Nothing arrives, and what would is not known: it goes on as it was.
            return;
        }
        let budget = self.budget();
        let lessons: Vec<LessonId> = {
            let mut all: Vec<_> = self.flows.values().map(|k| k.flow.lesson.clone()).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let forms: Vec<Vec<Form>> = self
            .flows
            .values()
            .map(|known| {
                let offer = known.offer.as_deref();
                offer.map_or(Vec::new(), |o| allocation::forms(known.flow.matters, o, (None, None)))
            })
            .collect();
        let wishes: Vec<Wish<'_>> = self
            .flows
            .iter()
            .zip(&forms)
            .map(|((id, known), forms)| Wish {
                flow: *id,
                lesson: lessons.binary_search(&known.flow.lesson).unwrap_or_default(),
                priority: known.flow.matters,
                forms,
            })
            .collect();
        let now = Instant::now();
        let outlook = self.allocation.allocate(budget, &wishes, now, &mut self.grants);
        self.trunk.want(outlook.wanted);
        self.apply(budget);
        self.report(budget, outlook);
    }

    fn apply(&mut self, budget: Budget) {
        let replay = (budget.estimate / 8).saturating_mul(CATCH_UP.as_millis() as u64) / 1000;
        for ((id, known), grant) in self.flows.iter_mut().zip(&self.grants) {
            // Of a track that sends nothing nothing is known: it goes on as it was.
            if grant.reason == Reason::Nothing || known.showing == grant.showing {
                continue;
            }
            let at_once = grant.down && self.path.queue >= BEHIND;
            let (track, outlet) = known.flow.at;
            tracing::debug!(
                peer = %self.trunk.peer().node, flow = id, track = %known.flow.track,
                from = ?known.showing, to = ?grant.showing, reason = ?grant.reason, at_once,
                estimate = budget.estimate, queue = ?self.path.queue, "a track crosses otherwise"
            );
            known.showing = grant.showing;
            self.changes += 1;
            self.node.media().set_outlet(track, outlet, grant.showing, at_once, replay as usize);
        }
    }

    fn report(&mut self, budget: Budget, outlook: Outlook) {
        let mut lessons: BTreeMap<LessonId, LessonRung> = BTreeMap::new();
        let tracks = self.flows.values().zip(&self.grants).map(|(known, grant)| {
            let matters = known.flow.matters;
            let track = TrackRung {
                track: known.flow.track.clone(),
                matters,
                showing: known.showing,
                reason: grant.reason,
                bits_per_second: grant.rate,
            };
            (known.flow.lesson.clone(), track)
        });
        for (lesson, track) in tracks {
            lessons.entry(lesson).or_insert_with(LessonRung::new).tracks.push(track);
        }
        for (id, lesson) in &mut lessons {
            let before = self.lessons.get(id);
            (lesson.rung, lesson.reason) = rung(&lesson.tracks);
            lesson.since_ms = match before {
                Some(before) if before.rung == lesson.rung => before.since_ms,
                _ => now_ms(),
            };
        }
        self.lessons = lessons;
        let peer = self.trunk.peer();
        self.node.tell_rungs(TrunkRungs {
            link: self.link,
            peer: peer.node.clone(),
            kind: peer.kind,
            school: peer.school.clone(),
            estimate: budget.estimate,
            cap: budget.cap,
            granted: outlook.granted,
            wanted: outlook.wanted,
            queue: self.path.queue,
            loss: self.path.loss,
            changes: self.changes,
            lessons: self.lessons.clone(),
        });
    }
}
