//! Who of a lesson is heard at this node: the loudest of its microphones, on lines of their own
//! ([`crate::media::Group`]). The teacher's is not among them: it has a line of its own.
//!
//! What is published at this node takes part, and what comes by a trunk. A trunk is asked only
//! for those whom the lesson wants heard ([`voices_from_afar`]): a village's line doesn't
//! carry forty open microphones so that three may be chosen from them.

use super::room::{Inner, Room};
use super::{Node, Want};
use crate::media::{Group, PLACES, Priority, Shown};
use crate::peer::Line;
use cloudschool_protocol::id::NodeId;
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
        let sounds = lines.iter().filter(|l| l.kind == Kind::Audio);
        Self::of_sounds(sounds.map(|l| l.mid.clone()))
    }

    fn of_sounds(mids: impl Iterator<Item = String>) -> Self {
        Self { places: mids.skip(1).zip(0..PLACES).collect(), told: HashMap::new() }
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
                let shown = Shown { track, priority: Priority::Audio, own_voice, small: false };
                if watch.loudest.told.insert(mid.clone(), shown) != Some(shown) {
                    node.media.bind(watch.session, mid.clone(), Some(shown));
                }
            }
        }
        let here = |t: &&TrackId| wanted && takes_part(&node.name, &inner.asked, state, t);
        let seats: BTreeSet<TrackId> = state.tracks.keys().filter(here).cloned().collect();
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

    /// The microphones that trunks are asked for because somebody here hears the loudest.
    pub(super) fn wanted_voices(inner: &Inner, state: &State) -> BTreeSet<TrackId> {
        let mut listeners = inner.watches.values().filter(|w| w.loudest.any()).peekable();
        if listeners.peek().is_none() {
            return BTreeSet::new();
        }
        let member = |w: &super::watching::Watch| state.members.get(&w.member);
        voices_from_afar(state, listeners.filter_map(member).any(|m| m.role.leads()))
    }

    /// The lesson is over.
    pub(super) fn fall_silent(node: &Node, inner: &mut Inner) {
        if let Some(group) = std::mem::take(&mut inner.speaking).group {
            node.media.close_group(&group);
        }
    }
}

/// The microphones that are wanted even where a trunk lies between: of those on stage, and for
/// a teacher of the classrooms, those first who ask for the floor.
fn voices_from_afar(state: &State, teaches: bool) -> BTreeSet<TrackId> {
    let open =
        |track: &TrackId| state.tracks.contains_key(track) && !state.muted.contains(&track.member);
    let microphone = |member| TrackId::new(member, Source::Microphone);
    let stage = state.stage.iter().rev().cloned().map(microphone).filter(open);
    let mut voices: BTreeSet<TrackId> = stage.take(MOST_ON_STAGE).collect();
    if teaches {
        let rooms = state.members.values().filter(|m| m.role == Role::Classroom);
        let mut rooms: Vec<_> = rooms.map(|m| &m.id).collect();
        rooms.sort_by_key(|id| !state.hands.iter().any(|h| h.member == **id));
        let rooms = rooms.into_iter().cloned().map(microphone).filter(open);
        voices.extend(rooms.take(MOST_CLASSROOMS));
    }
    voices
}

/// Whether a track is a microphone of the class that is at this node. Muted ones stay seated:
/// nothing of them comes.
fn takes_part(
    node: &NodeId,
    asked: &HashMap<NodeId, (u64, Want)>,
    state: &State,
    track: &TrackId,
) -> bool {
    let teaches = state.members.get(&track.member).is_none_or(|m| m.role.leads());
    let here = state.tracks.get(track).is_some_and(|t| t.node == *node);
    let comes = || asked.values().any(|(_, want)| want.contains(track));
    track.source == Source::Microphone && !teaches && (here || comes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A lesson in which everybody named publishes a microphone at their node.
    fn lesson(
        members: &[(&str, &str, &str)],
        stage: &[&str],
        hands: &[&str],
        muted: &[&str],
    ) -> State {
        let people = members.iter().map(|(id, role, node)| {
            (
                id.to_string(),
                json!({"id": id, "name": id, "role": role, "school": "s", "node": node}),
            )
        });
        let tracks = members.iter().map(|(id, _, node)| {
            let track = format!("{id}/microphone");
            (track.clone(), json!({"track": track, "codec": "opus", "node": node}))
        });
        let hands: Vec<_> = hands.iter().map(|h| json!({"member": h, "atMs": 1})).collect();
        let info = json!({"id": "math", "title": "t", "subject": "s", "grade": "g", "teacher": "li",
            "campus": "campus", "schools": ["s"]});
        let state = json!({"info": info, "phase": "live", "seq": 1, "stage": stage, "muted": muted,
            "members": people.collect::<serde_json::Map<_, _>>(), "hands": hands,
            "tracks": tracks.collect::<serde_json::Map<_, _>>()});
        serde_json::from_value(state).unwrap()
    }

    fn names(tracks: &BTreeSet<TrackId>) -> Vec<&str> {
        tracks.iter().map(|t| t.member.as_str()).collect()
    }

    #[test]
    fn a_class_far_away_is_asked_for_who_is_on_stage_and_a_teacher_for_the_classrooms_too() {
        let everybody = [
            ("li", "teacher", "campus"),
            ("room-1", "classroom", "school-01"),
            ("room-2", "classroom", "school-02"),
            ("wang", "student", "school-01"),
            ("zhao", "student", "school-02"),
        ];
        let state = lesson(&everybody, &["wang"], &[], &["room-2"]);
        assert_eq!(names(&voices_from_afar(&state, false)), ["wang"]);
        assert_eq!(names(&voices_from_afar(&state, true)), ["room-1", "wang"], "not the muted");
    }

    #[test]
    fn of_more_classrooms_than_a_line_carries_those_with_a_hand_up_come_first() {
        let names: Vec<String> = (10..40).map(|n| format!("room-{n}")).collect();
        let rooms: Vec<_> = names.iter().map(|n| (n.as_str(), "classroom", "school-01")).collect();
        let state = lesson(&rooms, &[], &["room-39"], &[]);
        let voices = voices_from_afar(&state, true);
        assert_eq!(voices.len(), MOST_CLASSROOMS);
        assert!(voices.contains(&"room-39/microphone".parse().unwrap()));
    }

    #[test]
    fn microphones_here_take_part_and_those_that_come_by_a_trunk_but_never_the_teachers() {
        let everybody = [
            ("li", "teacher", "school-01"),
            ("room-1", "classroom", "school-01"),
            ("room-2", "classroom", "school-02"),
            ("wang", "student", "school-02"),
        ];
        let state = lesson(&everybody, &[], &[], &[]);
        let (here, campus) = (NodeId::new("school-01").unwrap(), NodeId::new("campus").unwrap());
        let asked =
            HashMap::from([(campus, (1, Want::from(["wang/microphone".parse().unwrap()])))]);
        let takes_part = |t: &&TrackId| takes_part(&here, &asked, &state, t);
        let seated: BTreeSet<TrackId> = state.tracks.keys().filter(takes_part).cloned().collect();
        assert_eq!(names(&seated), ["room-1", "wang"]);
    }

    #[test]
    fn a_players_first_sound_is_the_teachers_and_the_next_three_are_the_class() {
        let lines = Lines::of_sounds(["1", "2", "5", "6", "7"].map(str::to_owned).into_iter());
        let places: Vec<_> = lines.places.into_iter().collect();
        assert_eq!(places, [("2".into(), 0), ("5".into(), 1), ("6".into(), 2)]);
    }
}
