//! Media flows of one trunk on their way in: from flow ids to the shards' lanes.

use crate::media::lane::ShardLane;
use crate::media::{Clock, TrackBatch, TrackKey};
use cloudschool_protocol::media::Codec;
use cloudschool_relay::Media;
use std::collections::{HashMap, VecDeque};

/// Packets kept of flows that were not announced yet. Media may overtake its announcement;
/// what is replayed to a late joiner, 512 packets at most, fits.
const EARLY_PACKETS: usize = 1024;

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
