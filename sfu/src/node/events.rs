//! Carries out what the shards report.

use super::Node;
use super::voices::Reporting;
use crate::media::{MediaEvent, TrackKey};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::media::TrackId;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// Audio at least this loud counts as speech (RFC 6464: −dBov). Room noise lies around 60 to
/// 80, speech at a metre around 20 to 40.
const SPEECH: u8 = 50;

/// Who speaks is looked at this often, while anybody does.
const READ_EVERY: Duration = Duration::from_millis(200);

/// Runs until the node is gone.
pub(super) async fn run(node: Weak<Node>, mut events: mpsc::UnboundedReceiver<MediaEvent>) {
    let mut loud = Loud::default();
    let mut ticks = tokio::time::interval(READ_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            _ = ticks.tick(), if loud.is_any() => {
                let Some(node) = node.upgrade() else { return };
                loud.report(&node);
                continue;
            }
        };
        let (Some(event), Some(node)) = (event, node.upgrade()) else { return };
        match event {
            MediaEvent::Connected { session } => {
                tracing::debug!(%session, "a peer is connected");
            }
            MediaEvent::Closed { session } => {
                node.media.forget(session);
                let lesson = node.sessions.get(&session).map(|l| l.clone());
                if let Some(room) = lesson.and_then(|l| node.room(&l).ok()) {
                    room.closed(&node, session);
                }
            }
            MediaEvent::TrackStarted { session, track, codec } => {
                let lesson = node.sessions.get(&session).map(|l| l.clone());
                if let Some(room) = lesson.and_then(|l| node.room(&l).ok()) {
                    room.started(&node, session, track, codec);
                }
            }
            MediaEvent::KeyframeWanted { shard, track, encoding } => {
                if node.media.keyframe_is_upstream(track, encoding, shard) {
                    node.want_keyframe_upstream(track);
                }
            }
            MediaEvent::EncodingsWanted { shard, track, encodings } => {
                let place = node.tracks.get(&track).map(|t| t.clone());
                if let Some((lesson, id)) = place
                    && let Ok(room) = node.room(&lesson)
                {
                    room.encodings_wanted(shard, &id, encodings);
                }
            }
            MediaEvent::Levels { shard, levels } => loud.heard(&node, shard, levels),
            MediaEvent::Counters { shard, counters } => node.count(shard, *counters),
        }
    }
}

/// Who was loud at the last reading, to tell only of changes.
#[derive(Default)]
struct Loud {
    shards: HashMap<usize, Vec<(TrackKey, u8)>>,
    told: HashMap<LessonId, Vec<(TrackId, u8)>>,
    /// What origins were told of it.
    reported: HashMap<LessonId, Reporting>,
}

impl Loud {
    fn is_any(&self) -> bool {
        !self.told.is_empty() || !self.reported.is_empty()
    }

    /// Has each lesson's origin told who speaks.
    fn report(&mut self, node: &Arc<Node>) {
        for lesson in self.told.keys() {
            self.reported.entry(lesson.clone()).or_default();
        }
        self.reported.retain(|lesson, reporting| {
            let Ok(room) = node.room(lesson) else { return false };
            let loud = self.told.get(lesson);
            room.tell_who_speaks(node, reporting, loud.map_or(&[], Vec::as_slice));
            loud.is_some() || !reporting.is_quiet()
        });
    }

    fn heard(&mut self, node: &Arc<Node>, shard: usize, levels: Vec<(TrackKey, u8)>) {
        self.shards.insert(shard, levels);
        let mut now: HashMap<LessonId, Vec<(TrackId, u8)>> = HashMap::new();
        for (key, level) in self.shards.values().flatten().filter(|(_, l)| *l <= SPEECH) {
            let Some((lesson, track)) = node.tracks.get(key).map(|t| t.clone()) else { continue };
            let speakers = now.entry(lesson).or_default();
            // A track that two shards hold is heard once.
            if !speakers.iter().any(|(t, _)| *t == track) {
                speakers.push((track, *level));
            }
        }
        for lesson in self.told.keys() {
            now.entry(lesson.clone()).or_default();
        }
        for (lesson, mut speakers) in now {
            speakers.sort_by_key(|(_, level)| *level);
            if self.told.get(&lesson) == Some(&speakers) {
                continue;
            }
            if let Ok(room) = node.room(&lesson) {
                room.say_who_is_loud(speakers.clone());
            }
            if speakers.is_empty() {
                self.told.remove(&lesson);
            } else {
                self.told.insert(lesson, speakers);
            }
        }
    }
}
