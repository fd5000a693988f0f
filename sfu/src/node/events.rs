//! Carries out what the shards report.

use super::Node;
use crate::media::{MediaEvent, TrackKey};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::media::TrackId;
use std::collections::HashMap;
use std::sync::Weak;
use tokio::sync::mpsc;

/// Audio at least this loud counts as speech (RFC 6464: −dBov). Room noise lies around 60 to
/// 80, speech at a metre around 20 to 40.
const SPEECH: u8 = 50;

/// Runs until the node is gone.
pub(super) async fn run(node: Weak<Node>, mut events: mpsc::UnboundedReceiver<MediaEvent>) {
    let mut loud = Loud::default();
    while let Some(event) = events.recv().await {
        let Some(node) = node.upgrade() else { return };
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
}

impl Loud {
    fn heard(&mut self, node: &std::sync::Arc<Node>, shard: usize, levels: Vec<(TrackKey, u8)>) {
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
