//! Who of a lesson is heard at this node: the loudest of its microphones, on lines of their own
//! ([`crate::media::Group`]). The teacher's is not among them: it has a line of its own.
//!
//! What is published at this node takes part, and what comes by a trunk. A trunk is asked only
//! for those whom the lesson wants heard ([`Room::wanted_voices`]): a village's line doesn't
//! carry forty open microphones so that three may be chosen from them.

use super::Node;
use super::room::{Inner, Room};
use crate::media::{Group, PLACES, Priority, Shown};
use crate::peer::Line;
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::media::{Kind, Source, TrackId};
use cloudschool_protocol::member::Role;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Members on stage who are asked of a trunk: the last who were called.
const MOST_ON_STAGE: usize = 4;

/// Classrooms that are asked of trunks for a teacher at this node.
const MOST_CLASSROOMS: usize = 8;

/// Which lines of a viewer's show the loudest.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The place of each line, by its `mid`.
    places: BTreeMap<String, usize>,
    /// What the packet path was last told of each.
    told: HashMap<String, Shown>,
}

impl Lines {
    /// The lines of a player without a lesson socket: its first sound is the teacher's, those
    /// after it are the class's.
    pub fn of_player(lines: &[Line]) -> Self {
        let sounds = lines.iter().filter(|l| l.kind == Kind::Audio).skip(1);
        let places = sounds.zip(0..PLACES).map(|(line, place)| (line.mid.clone(), place));
        Self { places: places.collect(), told: HashMap::new() }
    }

    /// The line shows the loudest in that place from now on, or something else.
    pub fn set(&mut self, mid: &str, place: Option<usize>) {
        match place {
            Some(place) => self.places.insert(mid.to_owned(), place),
            None => self.places.remove(mid),
        };
        self.told.remove(mid);
    }

    fn any(&self) -> bool {
        !self.places.is_empty()
    }
}

/// The microphones of a lesson of which the loudest are heard.
#[derive(Debug, Default)]
pub(super) struct Speaking {
    group: Option<Group>,
    seated: BTreeSet<TrackId>,
}

impl Room {
    /// Shows the loudest to whoever wants them, chosen from all microphones that are here.
    pub(super) fn hear_loudest(&self, node: &Node, inner: &mut Inner, state: &State) {
        let wanted = inner.watches.values().any(|w| w.loudest.any());
        if wanted && inner.speaking.group.is_none() {
            let mut owner = DefaultHasher::new();
            self.handle().id().hash(&mut owner);
            inner.speaking.group = Some(node.media.open_group(owner.finish()));
        }
        let Some(group) = inner.speaking.group.clone() else { return };
        // First who hears nothing of itself, then the microphones.
        for watch in inner.watches.values_mut() {
            let microphone = TrackId::new(watch.member.clone(), Source::Microphone);
            let own_voice = inner.tracks.get(&microphone).map(|t| t.key);
            for (mid, place) in &watch.loudest.places {
                let Some(track) = group.places.get(*place).copied() else { continue };
                let shown = Shown { track, priority: Priority::Audio, own_voice };
                if watch.loudest.told.insert(mid.clone(), shown) != Some(shown) {
                    node.media.bind(watch.session, mid.clone(), Some(shown));
                }
            }
        }
        let seats: BTreeSet<TrackId> = state
            .tracks
            .keys()
            .filter(|t| wanted && takes_part(node, inner, state, t))
            .cloned()
            .collect();
        let before = std::mem::replace(&mut inner.speaking.seated, seats.clone());
        for track in before.difference(&seats) {
            if let Some(known) = inner.tracks.get(track) {
                node.media.unseat(known.key, &group);
            }
        }
        for track in seats.difference(&before) {
            let key = self.track(node, inner, track);
            node.media.seat(key, &group);
        }
    }

    /// The microphones that trunks are asked for because somebody here hears the loudest: of
    /// those on stage, and for a teacher of the classrooms, who asks for the floor first.
    pub(super) fn wanted_voices(inner: &Inner, state: &State) -> BTreeSet<TrackId> {
        let listeners = || inner.watches.values().filter(|w| w.loudest.any());
        let teaches = |w: &super::watching::Watch| {
            state.members.get(&w.member).is_some_and(|m| m.role.leads())
        };
        if listeners().next().is_none() {
            return BTreeSet::new();
        }
        let open = |track: &TrackId| {
            state.tracks.contains_key(track) && !state.muted.contains(&track.member)
        };
        let microphone = |member| TrackId::new(member, Source::Microphone);
        let stage = state.stage.iter().rev().cloned().map(microphone).filter(open);
        let mut voices: BTreeSet<TrackId> = stage.take(MOST_ON_STAGE).collect();
        if listeners().any(teaches) {
            let rooms = state.members.values().filter(|m| m.role == Role::Classroom);
            let mut rooms: Vec<_> = rooms.map(|m| &m.id).collect();
            rooms.sort_by_key(|id| !state.hands.iter().any(|h| h.member == **id));
            let rooms = rooms.into_iter().cloned().map(microphone).filter(open);
            voices.extend(rooms.take(MOST_CLASSROOMS));
        }
        voices
    }

    /// The lesson is over.
    pub(super) fn fall_silent(node: &Node, inner: &mut Inner) {
        if let Some(group) = std::mem::take(&mut inner.speaking).group {
            node.media.close_group(&group);
        }
    }
}

/// Whether a track is a microphone of the class that is at this node. Muted ones stay seated:
/// nothing of them comes.
fn takes_part(node: &Node, inner: &Inner, state: &State, track: &TrackId) -> bool {
    let teaches = state.members.get(&track.member).is_none_or(|m| m.role.leads());
    let here = state.tracks.get(track).is_some_and(|t| t.node == node.name);
    let comes = || inner.asked.values().any(|(_, want)| want.contains(track));
    track.source == Source::Microphone && !teaches && (here || comes())
}
