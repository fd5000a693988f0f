//! Plain RTP-over-QUIC peers in a lesson: what they send under configured flow ids is published
//! as a member's tracks, and what they are to get is sent to them under such ids. They are told
//! nothing, not even that a keyframe is needed, and say nothing.

mod incoming;
mod outgoing;

use crate::config::ApplianceSection;
use crate::lesson::LessonHandle;
use crate::node::Node;
use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::LeaveReason;
use cloudschool_protocol::id::SchoolId;
use cloudschool_protocol::member::Member;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::NodeKind;
use cloudschool_relay::{Listener, Peer, PlainPeer, PlainPeers};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// The plain peers that are configured.
#[must_use]
pub fn expected(appliances: &[ApplianceSection]) -> PlainPeers {
    let protocols: BTreeSet<&str> = appliances.iter().map(|a| a.alpn.as_str()).collect();
    let pinned = appliances.iter().filter_map(|appliance| {
        let (name, school) = (appliance.name.clone(), appliance.school.clone());
        Some((appliance.fingerprint?, Peer::new(name, NodeKind::Edge, school)))
    });
    PlainPeers {
        protocols: protocols.into_iter().map(|alpn| alpn.as_bytes().to_vec()).collect(),
        pinned: pinned.collect(),
    }
}

/// Takes plain peers for as long as the listener lives.
pub async fn serve(node: Arc<Node>, listener: Arc<Listener>, appliances: Vec<ApplianceSection>) {
    while let Some(peer) = listener.accept_plain().await {
        let name = peer.peer().node.clone();
        let Some(appliance) = appliances.iter().find(|a| a.name == name) else {
            tracing::warn!(peer = %name, "a plain peer is no appliance of this node");
            peer.refuse("no appliance of this name is configured at this node");
            continue;
        };
        if appliance.fingerprint.is_some() && !peer.is_pinned() {
            tracing::warn!(peer = %name, "an appliance came with another certificate");
            peer.refuse("this appliance is known by another certificate");
            continue;
        }
        tokio::spawn(run(node.clone(), peer, appliance.clone()));
    }
}

async fn run(node: Arc<Node>, mut peer: PlainPeer, appliance: ApplianceSection) {
    let name = appliance.name.clone();
    tracing::info!(appliance = %name, lesson = %appliance.lesson, "an appliance is connected");
    match take_part(&node, &mut peer, &appliance).await {
        Ok(()) => {
            let reason = peer.closed().await;
            tracing::info!(appliance = %name, %reason, "an appliance is gone");
        }
        Err(refusal) => {
            tracing::warn!(appliance = %name, %refusal, "an appliance was refused");
            peer.refuse(&format!("the lesson refuses it: {refusal}"));
        }
    }
}

/// Joins, publishes what comes and sends what is wanted, and leaves when the connection ends.
async fn take_part(
    node: &Arc<Node>,
    peer: &mut PlainPeer,
    appliance: &ApplianceSection,
) -> Result<(), Refusal> {
    let lesson = node.lessons().get(&appliance.lesson).ok_or(Refusal::NoSuchLesson)?;
    let id = appliance.member().map_err(|_| Refusal::NotAllowed)?;
    let from = appliance.name.clone();
    let member = Member {
        id: id.clone(),
        name: appliance.title.clone().unwrap_or_else(|| id.to_string()),
        role: appliance.role,
        school: school(peer, &lesson),
        node: from.clone(),
    };
    lesson.submit(Command::Join { member }, &from).await?;
    // These end when they are dropped.
    let mut sending = JoinSet::new();
    for (flow, watched) in &appliance.subscribes {
        let out = outgoing::Outgoing {
            node: node.clone(),
            lesson: lesson.clone(),
            way: peer.outward(),
            flow: *flow,
            watched: watched.clone(),
        };
        sending.spawn(out.run());
    }
    let published = incoming::publish(node, peer, appliance, &lesson).await;
    drop(sending);
    // Its tracks end with it. It may have been sent away, or the lesson be over.
    let left = Command::Leave { member: id, reason: LeaveReason::Lost };
    if let Err(refusal) = lesson.submit(left, &from).await {
        tracing::debug!(appliance = %from, %refusal, "an appliance had left already");
    }
    published
}

fn school(peer: &PlainPeer, lesson: &LessonHandle) -> SchoolId {
    peer.peer().school.clone().unwrap_or_else(|| lesson.state().info.campus.clone())
}
