//! Media flows of one trunk: packets of a track on their way out, frame by frame, and on their
//! way in, from flow ids to the shards' lanes.

use crate::media::lane::{ShardLane, TrunkBatches};
use crate::media::{Clock, TrackBatch, TrackKey};
use bytes::Bytes;
use cloudschool_protocol::media::{Codec, Kind};
use cloudschool_protocol::rtp::Header;
use cloudschool_protocol::trunk::Control;
use cloudschool_relay::{FrameOptions, Media, Trunk};
use std::collections::{HashMap, VecDeque};
use tokio::sync::mpsc;

/// Packets kept of flows that were not announced yet. Media may overtake its announcement;
/// what is replayed to a late joiner, 512 packets at most, fits.
const EARLY_PACKETS: usize = 1024;

/// Packets of one frame; a longer one is sent in pieces.
const FRAME_PACKETS: usize = 512;

/// Gathers a video track's packets into frames.
#[derive(Default)]
struct Frame {
    packets: Vec<Bytes>,
    timestamp: Option<u32>,
}

impl Frame {
    /// Adds a packet; gives the frame before it, or the one it completes.
    fn push(&mut self, packet: &[u8]) -> [Option<Vec<Bytes>>; 2] {
        let Some(header) = Header::parse(packet) else { return [None, None] };
        let other = self.timestamp.is_some_and(|t| t != header.timestamp);
        let before = (other || self.packets.len() >= FRAME_PACKETS).then(|| self.take()).flatten();
        self.timestamp = Some(header.timestamp);
        self.packets.push(Bytes::copy_from_slice(packet));
        let complete = header.marker.then(|| self.take()).flatten();
        [before, complete]
    }

    fn take(&mut self) -> Option<Vec<Bytes>> {
        self.timestamp = None;
        let packets = std::mem::take(&mut self.packets);
        (!packets.is_empty()).then_some(packets)
    }
}

/// Sends a track's packets under `flow` until its outlet is taken off.
pub async fn send(
    trunk: Trunk,
    outbox: mpsc::Sender<Control>,
    flow: u64,
    codec: Codec,
    priority: i32,
    mut packets: TrunkBatches,
) {
    let mut frame = Frame::default();
    while let Some(batch) = packets.recv().await {
        for packet in batch.packets() {
            match codec.kind() {
                Kind::Audio => {
                    trunk.send_packet(flow, Kind::Audio, packet);
                }
                Kind::Video => {
                    for whole in frame.push(packet).into_iter().flatten() {
                        let options = FrameOptions { priority, ..FrameOptions::default() };
                        let _counted_by_the_trunk = trunk.send_frame(flow, options, &whole);
                    }
                }
            }
        }
        // Last, as it may wait: the packets go while they are allowed to.
        if let Some(Clock { ntp, rtp }) = batch.clock
            && outbox.send(Control::Clock { flow, ntp, rtp }).await.is_err()
        {
            return;
        }
    }
    // Nobody is told when the trunk is gone, and nobody needs to be.
    let _told = outbox.send(Control::FlowEnd { flow }).await;
}

struct Inlet {
    lane: ShardLane,
    track: TrackKey,
    codec: Codec,
}

/// The flows that come in by one trunk.
#[derive(Default)]
pub struct Inlets {
    flows: HashMap<u64, Inlet>,
    /// The highest flow id announced so far: they rise, so an unknown one below it is past.
    newest: u64,
    early: VecDeque<Media>,
}

impl Inlets {
    /// Packets of `flow` are from now on those of `track`.
    pub fn open(&mut self, flow: u64, lane: ShardLane, track: TrackKey, codec: Codec) {
        self.flows.insert(flow, Inlet { lane, track, codec });
        self.newest = self.newest.max(flow);
        let early = std::mem::take(&mut self.early).into_iter();
        let (mine, rest): (Vec<_>, Vec<_>) = early.partition(|m| m.flow == flow);
        self.early = rest.into_iter().filter(|m| m.flow > self.newest).collect();
        self.deliver(mine);
    }

    /// Nothing more comes under `flow`.
    pub fn close(&mut self, flow: u64) {
        self.flows.remove(&flow);
    }

    /// The publisher's clock came.
    pub fn clock(&self, flow: u64, clock: Clock) {
        let Some(inlet) = self.flows.get(&flow) else { return };
        let mut batch = TrackBatch::new(inlet.track, 0, inlet.codec);
        batch.clock = Some(clock);
        // A lane that is full drops; the clock comes again within seconds.
        let _sent = inlet.lane.send(batch);
    }

    /// Hands packets to their tracks.
    pub fn deliver(&mut self, packets: Vec<Media>) {
        let mut batches: Vec<(u64, TrackBatch)> = Vec::new();
        for media in packets {
            let Some(inlet) = self.flows.get(&media.flow) else {
                if media.flow > self.newest {
                    if self.early.len() == EARLY_PACKETS {
                        self.early.pop_front();
                    }
                    self.early.push_back(media);
                }
                continue;
            };
            match batches.iter_mut().find(|(flow, _)| *flow == media.flow) {
                Some((_, batch)) => batch.push_packet(&media.packet),
                None => {
                    let mut batch = TrackBatch::new(inlet.track, 0, inlet.codec);
                    batch.push_packet(&media.packet);
                    batches.push((media.flow, batch));
                }
            }
        }
        for (flow, batch) in batches {
            if let Some(inlet) = self.flows.get(&flow) {
                // A shard that is a second behind has no use for these.
                let _sent = inlet.lane.send(batch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::batch::Parts;

    fn packet(timestamp: u32, marker: bool) -> Vec<u8> {
        let mut batch = TrackBatch::new(TrackKey(0), 0, Codec::H264);
        batch.push(&Parts {
            marker,
            red: false,
            sequence: 0,
            timestamp,
            ssrc: 0,
            level: None,
            speaker: None,
            dependencies: &[],
            payload: b"x",
        });
        batch.packets().next().unwrap().to_vec()
    }

    #[test]
    fn a_frame_ends_with_its_marker_or_with_the_next_frame() {
        let mut frame = Frame::default();
        assert_eq!(frame.push(&packet(1, false)), [None, None]);
        let [before, whole] = frame.push(&packet(1, true));
        assert_eq!((before, whole.unwrap().len()), (None, 2));
        assert_eq!(frame.push(&packet(2, false)), [None, None], "its marker is lost");
        let [before, whole] = frame.push(&packet(3, true));
        assert_eq!((before.unwrap().len(), whole.unwrap().len()), (1, 1));
    }
}
