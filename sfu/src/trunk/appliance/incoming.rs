//! What an appliance sends, as a member's tracks.

use crate::config::ApplianceSection;
use crate::lesson::LessonHandle;
use crate::media::batch::Parts;
use crate::media::lane::ShardLane;
use crate::media::{Clock, TrackBatch, TrackKey};
use crate::node::Node;
use cloudschool_protocol::command::Command;
use cloudschool_protocol::media::Codec;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::rtp::Header;
use cloudschool_relay::{Media, PlainPeer};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Packets taken at once.
const PACKETS_AT_ONCE: usize = 256;

/// Between two words about a flow's clock: as often as sender reports come.
const CLOCK_EVERY: Duration = Duration::from_secs(2);

/// Publishes what comes until the connection is closed.
///
/// # Errors
/// [`Refusal`], when the lesson doesn't take a track.
pub async fn publish(
    node: &Arc<Node>,
    peer: &mut PlainPeer,
    appliance: &ApplianceSection,
    lesson: &Arc<LessonHandle>,
) -> Result<(), Refusal> {
    let mut on_air = OnAir { flows: HashMap::new(), unknown: 0 };
    on_air.carry(node, peer, appliance, lesson).await
}

struct Inlet {
    lane: ShardLane,
    track: TrackKey,
    codec: Codec,
    /// When its clock was told last.
    told: Option<Instant>,
}

struct OnAir {
    flows: HashMap<u64, Inlet>,
    /// Packets of flows that are not configured.
    unknown: u64,
}

impl OnAir {
    async fn carry(
        &mut self,
        node: &Arc<Node>,
        peer: &mut PlainPeer,
        appliance: &ApplianceSection,
        lesson: &Arc<LessonHandle>,
    ) -> Result<(), Refusal> {
        let mut packets = Vec::with_capacity(PACKETS_AT_ONCE);
        while peer.recv_many(&mut packets, PACKETS_AT_ONCE).await > 0 {
            for media in &packets {
                if self.flows.contains_key(&media.flow) {
                    continue;
                }
                let Some(flow) = appliance.publishes.get(&media.flow) else {
                    self.unknown += 1;
                    if self.unknown.is_power_of_two() {
                        let (flow, packets) = (media.flow, self.unknown);
                        tracing::warn!(appliance = %appliance.name, flow, packets, "not configured");
                    }
                    continue;
                };
                let track = appliance.track(flow).map_err(|_| Refusal::NotAllowed)?;
                let publish = Command::Publish { track: track.clone(), codec: flow.codec };
                lesson.submit(publish, &appliance.name).await?;
                let room = node.room(&appliance.lesson)?;
                if let Some(lane) = room.inlet(node, &track)
                    && let Some(key) = room.key(&track)
                {
                    let inlet = Inlet { lane, track: key, codec: flow.codec, told: None };
                    self.flows.insert(media.flow, inlet);
                }
            }
            self.deliver(&packets);
            packets.clear();
        }
        Ok(())
    }

    /// Hands packets to their tracks, in the form in which they cross this node: with our
    /// payload types and no header extensions.
    fn deliver(&mut self, packets: &[Media]) {
        for (id, inlet) in &mut self.flows {
            let mut batch = TrackBatch::new(inlet.track, 0, inlet.codec);
            for Media { packet, .. } in packets.iter().filter(|m| m.flow == *id) {
                let Some(header) = Header::parse(packet) else { continue };
                batch.push(&Parts {
                    marker: header.marker,
                    red: false,
                    sequence: header.sequence,
                    timestamp: header.timestamp,
                    ssrc: header.ssrc,
                    level: None,
                    speaker: None,
                    dependencies: &[],
                    payload: header.payload(packet),
                });
                // It sends no reports: what has just come is taken to be of this moment.
                if inlet.told.is_none_or(|at| at.elapsed() >= CLOCK_EVERY) {
                    inlet.told = Some(Instant::now());
                    batch.clock = Some(Clock { ntp: ntp(), rtp: header.timestamp });
                }
            }
            if !batch.is_empty() {
                // A shard that is a second behind has no use for these.
                let _sent = inlet.lane.send(batch);
            }
        }
    }
}

/// Now, as NTP counts: 32.32 seconds since 1900 (RFC 3550 §4).
fn ntp() -> u64 {
    const FROM_1900_TO_1970: u64 = 2_208_988_800;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = now.as_secs() + FROM_1900_TO_1970;
    let fraction = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
    (seconds << 32) | fraction
}
