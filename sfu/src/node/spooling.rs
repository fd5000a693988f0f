//! Which tracks published here are kept while the campus is away: those the recorder records,
//! where the campus asks for them or can't be heard to.

use super::Node;
use super::room::{Inner, Room};
use crate::media::TrackKey;
use crate::media::lane::{OutletId, TrunkLane};
use crate::trunk::LinkHandle;
use crate::trunk::spool::{Of, tap};
use cloudschool_protocol::lesson::{Phase, PublishedTrack, State};
use cloudschool_protocol::media::Codec;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::trunk::NodeKind;
use std::sync::Arc;

/// A track that is watched for it.
pub(super) struct Tapped {
    key: TrackKey,
    outlet: OutletId,
    of: Of,
}

impl Node {
    /// Trunks from below to programs of that kind.
    pub(crate) fn links_of(&self, kind: NodeKind) -> Vec<LinkHandle> {
        let links = self.trunks.iter().filter(|link| link.identity().kind == kind);
        links.map(|link| link.clone()).collect()
    }
}

impl Room {
    /// Watches the tracks that are to be kept when the campus goes away, and no others.
    pub(super) fn spool(&self, node: &Arc<Node>, inner: &mut Inner, state: &State) {
        let Some(spool) = node.backfill().own() else { return };
        let away = !*node.campus.borrow();
        let asked = node.uplink().and_then(|up| inner.demands.get(&up.peer)).cloned();
        let asked = asked.unwrap_or_default();
        let session = state.session.filter(|_| state.phase == Phase::Live);
        let wanted = |published: &&PublishedTrack| {
            let role = state.members.get(&published.track.member).map(|m| m.role);
            let recorded = matches!(role, Some(Role::Teacher | Role::Classroom))
                || state.stage.contains(&published.track.member);
            let kept = matches!(published.codec, Codec::Opus | Codec::H264 | Codec::Vp8);
            let here = published.node == node.name;
            // Once watched it stays so: a campus that is back asks a moment later.
            let tapped = inner.tapped.iter().any(|t| t.of.track == published.track);
            here && recorded && kept && (away || tapped || asked.contains(&published.track))
        };
        let of = |session| {
            let wanted = state.tracks.values().filter(wanted);
            let of = |published: &PublishedTrack| Of {
                lesson: self.handle().id().clone(),
                session,
                track: published.track.clone(),
                codec: published.codec,
            };
            wanted.map(of).collect()
        };
        let due: Vec<Of> = session.map(of).unwrap_or_default();
        inner.tapped.retain(|tapped| {
            let stays = due.contains(&tapped.of);
            if !stays {
                node.media().remove_outlet(tapped.key, tapped.outlet);
            }
            stays
        });
        for of in due {
            if inner.tapped.iter().any(|tapped| tapped.of == of) {
                continue;
            }
            let key = self.track(node, inner, &of.track);
            let (lane, batches) = TrunkLane::new();
            let outlet = node.media().add_outlet(key, lane);
            let media = Arc::downgrade(node);
            let begins = move || {
                if let Some(node) = media.upgrade() {
                    node.media().want_keyframe(key);
                }
            };
            let campus = node.campus_reachable();
            tokio::spawn(tap::run(spool.clone(), of.clone(), batches, campus, tap::AFTER, begins));
            inner.tapped.push(Tapped { key, outlet, of });
        }
    }
}
