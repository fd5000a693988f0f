//! What members publish here: connections come and go, tracks stay, and the lesson is told.

use super::room::Room;
use super::{Answer, MediaError, Node};
use crate::media::{PublishTracks, SessionId, TrackKey};
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::LeaveReason;
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::Phase;
use cloudschool_protocol::media::{Codec, Kind, Source, TrackId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A publisher that comes back within this is not gone for anybody (design: a blip of under
/// five seconds is invisible).
const BLIP: Duration = Duration::from_secs(5);

/// A connection that publishes.
pub(super) struct Publication {
    pub member: MemberId,
    pub source: Source,
    /// What came of it so far.
    pub started: HashMap<TrackId, Codec>,
    /// The names of its video's encodings, in their order.
    pub rids: Vec<String>,
    /// The member is in the lesson only because it publishes.
    pub brought_in: bool,
}

impl Room {
    pub(super) async fn publish(
        self: &Arc<Self>,
        node: &Arc<Node>,
        member: &MemberId,
        source: Source,
        offer: String,
        brought_in: bool,
    ) -> Result<Answer, MediaError> {
        let sound = TrackId::new(member.clone(), source.audio_companion());
        let picture = TrackId::new(member.clone(), source);
        let (tracks, before) = {
            let mut inner = self.inner();
            let audio = self.track(node, &mut inner, &sound);
            let video = self.track(node, &mut inner, &picture);
            let same = |p: &Publication| p.member == *member && p.source == source;
            let before: Vec<_> =
                inner.publications.iter().filter(|(_, p)| same(p)).map(|(s, _)| *s).collect();
            (PublishTracks { audio, video }, before)
        };
        let (session, answer) = node.media.publish(offer, tracks).await??;
        let mut inner = self.inner();
        let mut kept_in = brought_in;
        for old in before {
            if let Some(gone) = inner.publications.remove(&old) {
                kept_in |= gone.brought_in;
            }
            node.sessions.remove(&old);
            node.media.close(old);
        }
        for track in [&sound, &picture] {
            if let Some(known) = inner.tracks.get_mut(track) {
                known.publisher = Some(session);
            }
        }
        node.sessions.insert(session, self.handle().id().clone());
        let video = answer.lines.iter().find(|l| l.kind == Kind::Video);
        let publication = Publication {
            member: member.clone(),
            source,
            started: HashMap::new(),
            rids: video.map(|l| l.rids.clone()).unwrap_or_default(),
            brought_in: kept_in,
        };
        inner.publications.insert(session, publication);
        self.published_anew(&mut inner, &picture);
        drop(inner);
        let (room, node) = (self.clone(), Arc::downgrade(node));
        tokio::spawn(async move {
            tokio::time::sleep(BLIP).await;
            if let Some(node) = node.upgrade() {
                room.release_silent(&node, session);
            }
        });
        Ok(Answer { session: session.to_string(), sdp: answer.sdp, tag: answer.tag })
    }

    /// The first packet of a published track came.
    pub(super) fn started(
        self: &Arc<Self>,
        node: &Arc<Node>,
        session: SessionId,
        key: TrackKey,
        codec: Codec,
    ) {
        let Some((_, track)) = node.tracks.get(&key).map(|t| t.clone()) else { return };
        if let Some(publication) = self.inner().publications.get_mut(&session) {
            publication.started.insert(track, codec);
        }
        self.announce(node);
    }

    /// Tells the lesson what is published here and it doesn't know, and what it believes to
    /// be and isn't. Done after every event and when the campus is back, so an announcement
    /// that was lost, or overtaken by another, is made up for.
    pub(super) fn announce(self: &Arc<Self>, node: &Arc<Node>) {
        let state = self.handle().state();
        if !matches!(state.phase, Phase::Open | Phase::Live) {
            return;
        }
        let mut due: Vec<Command> = Vec::new();
        {
            let mut inner = self.inner();
            let inner = &mut *inner;
            for (session, publication) in &inner.publications {
                for (track, codec) in &publication.started {
                    let current = inner.tracks.get(track).and_then(|t| t.publisher);
                    let known = state.tracks.get(track);
                    let known = known.is_some_and(|t| t.codec == *codec && t.node == node.name);
                    let there = state.members.contains_key(&track.member);
                    if current == Some(*session)
                        && there
                        && !known
                        && inner.announcing.insert(track.clone())
                    {
                        due.push(Command::Publish { track: track.clone(), codec: *codec });
                    }
                }
            }
            for (track, _) in state.tracks.iter().filter(|(_, t)| t.node == node.name) {
                let published = inner.tracks.get(track).is_some_and(|t| t.publisher.is_some());
                if !published && inner.announcing.insert(track.clone()) {
                    due.push(Command::Unpublish { track: track.clone() });
                }
            }
        }
        for command in due {
            let (room, node) = (self.clone(), node.clone());
            tokio::spawn(async move { room.tell(&node, command).await });
        }
    }

    async fn tell(self: &Arc<Self>, node: &Arc<Node>, command: Command) {
        let (Command::Publish { track, .. } | Command::Unpublish { track }) = &command else {
            return;
        };
        let track = track.clone();
        let told = self.handle().submit(command, &node.name).await;
        self.inner().announcing.remove(&track);
        match told {
            // It may have stopped, or begun, since: nobody said so while this was under way.
            Ok(_) => self.announce(node),
            Err(refusal) => {
                tracing::info!(%track, %refusal, "a track was not announced; it is tried again");
            }
        }
    }

    /// A peer connection ended by itself.
    pub(super) fn closed(self: &Arc<Self>, node: &Arc<Node>, session: SessionId) {
        let mut inner = self.inner();
        node.sessions.remove(&session);
        if inner.watches.remove(&session).is_some() {
            drop(inner);
            self.route(node);
            return;
        }
        let Some(publication) = inner.publications.remove(&session) else { return };
        drop(inner);
        let (room, node) = (self.clone(), Arc::downgrade(node));
        tokio::spawn(async move {
            tokio::time::sleep(BLIP).await;
            if let Some(node) = node.upgrade() {
                room.release(&node, session, publication).await;
            }
        });
    }

    /// A connection that took over from another may have fewer tracks: those it has sent
    /// nothing of are nobody's.
    fn release_silent(self: &Arc<Self>, node: &Arc<Node>, session: SessionId) {
        {
            let mut inner = self.inner();
            let inner = &mut *inner;
            let Some(publication) = inner.publications.get(&session) else { return };
            for (track, known) in &mut inner.tracks {
                if known.publisher == Some(session) && !publication.started.contains_key(track) {
                    known.publisher = None;
                }
            }
        }
        self.announce(node);
    }

    /// A connection's tracks are gone, but for those that another connection publishes by
    /// now; and so is a member that was there only to publish.
    pub(super) async fn release(
        self: &Arc<Self>,
        node: &Arc<Node>,
        session: SessionId,
        publication: Publication,
    ) {
        let leaves = {
            let mut inner = self.inner();
            for known in inner.tracks.values_mut().filter(|k| k.publisher == Some(session)) {
                known.publisher = None;
            }
            let other = inner.publications.values_mut().find(|p| p.member == publication.member);
            match other {
                Some(other) => {
                    other.brought_in |= publication.brought_in;
                    false
                }
                None => publication.brought_in,
            }
        };
        self.announce(node);
        if leaves {
            node.leave(self.handle().id(), &publication.member, LeaveReason::Left).await;
        }
    }

    /// A member is here by its page now: it stays when it stops publishing.
    pub(super) fn came_in(&self, member: &MemberId) {
        let mut inner = self.inner();
        for publication in inner.publications.values_mut().filter(|p| p.member == *member) {
            publication.brought_in = false;
        }
    }
}
