//! What members watch here: one connection each, whose lines show what its page says; and
//! players without a lesson socket, which follow the teacher.

use super::room::{Inner, Room};
use super::speaking::Lines;
use super::{Answer, MediaError, Node};
use crate::media::{PLACES, Priority, SessionId, Shown, TrackKey};
use crate::peer::Line;
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::media::{Kind, Source, TrackId};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::socket::Slot;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

/// Players without a lesson socket that one member may have: a fifth ends the first.
const MAX_PLAYERS: usize = 4;

/// A member's watch connection.
pub(super) struct Watch {
    pub session: SessionId,
    pub lines: Vec<Line>,
    pub bound: HashMap<String, TrackId>,
    /// Lines whose pictures are to be the smallest there are.
    pub small: HashSet<String>,
    /// Lines that show the loudest of the class.
    pub loudest: Lines,
    /// As the packet path was last told.
    pub priorities: HashMap<String, Priority>,
    /// Shows the teacher by itself: a player without a lesson socket.
    pub follows_teacher: bool,
    /// DTLS fingerprint of the peer: another one is another connection.
    pub fingerprint: String,
    pub member: MemberId,
    pub began: Instant,
}

fn fingerprint(sdp: &str) -> String {
    let line = sdp.lines().find_map(|l| l.strip_prefix("a=fingerprint:"));
    line.unwrap_or_default().trim().to_owned()
}

impl Room {
    pub(super) async fn watch(
        self: &Arc<Self>,
        node: &Arc<Node>,
        member: &MemberId,
        offer: String,
    ) -> Result<Answer, MediaError> {
        if !self.handle().state().members.contains_key(member) {
            return Err(Refusal::NotAMember.into());
        }
        let known = {
            let inner = self.inner();
            let own = |w: &&Watch| w.member == *member && !w.follows_teacher;
            inner.watches.values().find(own).map(|w| (w.session, w.fingerprint.clone()))
        };
        match known {
            Some((session, print)) if print == fingerprint(&offer) && node.media.has(session) => {
                let answer = node.media.renegotiate(session, offer).await??;
                if let Some(watch) = self.inner().watches.get_mut(&session) {
                    watch.lines = answer.lines;
                }
                Ok(Answer { session: session.to_string(), sdp: answer.sdp, tag: answer.tag })
            }
            other => {
                let answer = self.begin_watch(node, member, offer, false).await?;
                if let Some((old, _)) = other {
                    self.inner().watches.remove(&old);
                    node.sessions.remove(&old);
                    node.media.close(old);
                }
                Ok(answer)
            }
        }
    }

    pub(super) async fn play(
        self: &Arc<Self>,
        node: &Arc<Node>,
        member: &MemberId,
        offer: String,
    ) -> Result<Answer, MediaError> {
        let answer = self.begin_watch(node, member, offer, true).await?;
        let surplus = {
            let mut inner = self.inner();
            let own = |w: &&Watch| w.member == *member && w.follows_teacher;
            let mut players: Vec<_> =
                inner.watches.values().filter(own).map(|w| (w.began, w.session)).collect();
            players.sort_unstable();
            players.truncate(players.len().saturating_sub(MAX_PLAYERS));
            for (_, session) in &players {
                inner.watches.remove(session);
            }
            players.into_iter().map(|(_, session)| session).collect()
        };
        self.end(node, surplus);
        Ok(answer)
    }

    async fn begin_watch(
        &self,
        node: &Arc<Node>,
        member: &MemberId,
        offer: String,
        follows_teacher: bool,
    ) -> Result<Answer, MediaError> {
        let fingerprint = fingerprint(&offer);
        let (session, answer) = node.media.watch(offer).await??;
        node.sessions.insert(session, self.handle().id().clone());
        let loudest = match follows_teacher {
            true => Lines::of_player(&answer.lines),
            false => Lines::default(),
        };
        let watch = Watch {
            session,
            lines: answer.lines,
            bound: HashMap::new(),
            small: HashSet::new(),
            loudest,
            priorities: HashMap::new(),
            follows_teacher,
            fingerprint,
            member: member.clone(),
            began: Instant::now(),
        };
        self.inner().watches.insert(session, watch);
        Ok(Answer { session: session.to_string(), sdp: answer.sdp, tag: answer.tag })
    }

    pub(super) fn bind(
        self: &Arc<Self>,
        node: &Arc<Node>,
        member: &MemberId,
        slots: Vec<Slot>,
    ) -> Result<(), MediaError> {
        let state = self.handle().state();
        let mut inner = self.inner();
        let own = |w: &&mut Watch| w.member == *member && !w.follows_teacher;
        let watch = inner.watches.values_mut().find(own).ok_or(MediaError::NoSuchSession)?;
        for slot in &slots {
            let line = watch.lines.iter().find(|l| l.mid == slot.mid);
            let line = line.ok_or(MediaError::NoSuchSession)?;
            if let Some(track) = &slot.track
                && (track.kind() != line.kind || !state.tracks.contains_key(track))
            {
                return Err(Refusal::NoSuchTrack.into());
            }
            if let Some(place) = slot.loudest {
                let there = (1..=PLACES).contains(&usize::from(place));
                if !there || line.kind != Kind::Audio || slot.track.is_some() {
                    return Err(Refusal::NoSuchTrack.into());
                }
            }
        }
        let session = watch.session;
        // Said twice of one line, the last word counts.
        let slots: BTreeMap<String, Slot> = slots.into_iter().map(|s| (s.mid.clone(), s)).collect();
        for (mid, slot) in &slots {
            watch.loudest.set(mid, slot.loudest.map(|place| usize::from(place) - 1));
            match slot.small {
                true => watch.small.insert(mid.clone()),
                false => watch.small.remove(mid),
            };
            match &slot.track {
                Some(track) => watch.bound.insert(mid.clone(), track.clone()),
                None => watch.bound.remove(mid),
            };
        }
        // The loudest are shown with the next routing.
        for (mid, slot) in slots.into_iter().filter(|(_, s)| s.loudest.is_none()) {
            self.show(node, &mut inner, &state, session, mid, slot.track);
        }
        drop(inner);
        self.route(node);
        Ok(())
    }

    /// Binds the lines of players without a lesson socket to what the teacher shows.
    pub(super) fn follow_teacher(&self, node: &Node, inner: &mut Inner, state: &State) {
        let teacher = state.teacher().map(|t| t.id.clone());
        let show = |sources: [Source; 2]| {
            let own = |s| TrackId::new(teacher.clone()?, s).into();
            let tracks: Vec<TrackId> = sources.into_iter().filter_map(own).collect();
            tracks.into_iter().find(|t| state.tracks.contains_key(t))
        };
        let picture = show([Source::Screen, Source::Camera]);
        let sound = show([Source::Microphone, Source::ScreenAudio]);
        let mut changes = Vec::new();
        for watch in inner.watches.values_mut().filter(|w| w.follows_teacher) {
            for (kind, track) in [(Kind::Video, &picture), (Kind::Audio, &sound)] {
                let Some(line) = watch.lines.iter().find(|l| l.kind == kind) else { continue };
                if watch.bound.get(&line.mid) == track.as_ref() {
                    continue;
                }
                match track {
                    Some(track) => watch.bound.insert(line.mid.clone(), track.clone()),
                    None => watch.bound.remove(&line.mid),
                };
                changes.push((watch.session, line.mid.clone(), track.clone()));
            }
        }
        for (session, mid, track) in changes {
            self.show(node, inner, state, session, mid, track);
        }
    }

    /// Makes a line show a track, or nothing.
    fn show(
        &self,
        node: &Node,
        inner: &mut Inner,
        state: &State,
        session: SessionId,
        mid: String,
        track: Option<TrackId>,
    ) {
        let shown = track.map(|t| (self.track(node, inner, &t), priority(&t, state)));
        let mut small = false;
        if let Some(watch) = inner.watches.get_mut(&session) {
            small = watch.small.contains(&mid);
            match shown {
                Some((_, priority)) => watch.priorities.insert(mid.clone(), priority),
                None => watch.priorities.remove(&mid),
            };
        }
        let shown = shown.map(|(track, priority): (TrackKey, _)| Shown {
            track,
            priority,
            own_voice: None,
            small,
        });
        node.media.bind(session, mid, shown);
    }

    /// Tells the packet path what matters more by now: somebody was called to the stage.
    pub(super) fn reorder(&self, node: &Node, inner: &mut Inner, state: &State) {
        let mut changes = Vec::new();
        for watch in inner.watches.values() {
            for (mid, track) in &watch.bound {
                if watch.priorities.get(mid) != Some(&priority(track, state)) {
                    changes.push((watch.session, mid.clone(), track.clone()));
                }
            }
        }
        for (session, mid, track) in changes {
            self.show(node, inner, state, session, mid, Some(track));
        }
    }
}

/// How much a track matters to whoever watches.
pub(super) fn priority(track: &TrackId, state: &State) -> Priority {
    let teaches = state.members.get(&track.member).is_some_and(|m| m.role == Role::Teacher);
    match track.source {
        Source::Microphone if teaches => Priority::TeacherAudio,
        Source::Microphone | Source::ScreenAudio => Priority::Audio,
        Source::Screen => Priority::Screen,
        Source::Camera if teaches => Priority::TeacherCamera,
        Source::Camera if state.stage.contains(&track.member) => Priority::CalledMember,
        Source::Camera => Priority::ClassView,
    }
}
