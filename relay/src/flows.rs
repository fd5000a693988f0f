//! The flows a peer has announced. Announcements and packets travel on different streams, so
//! a flow's first packets may come before its announcement: they wait here for it, because
//! with them comes the keyframe.

use bytes::Bytes;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::media::TrackId;
use std::collections::{HashMap, VecDeque};

/// Packets of unannounced flows that are kept: a keyframe and a second of video. Packets of a
/// flow that has ended stay here too, until newer ones push them out.
const EARLY: usize = 256;

/// A track of a lesson.
pub type LessonTrack = (LessonId, TrackId);

/// Flow ids to tracks and back, for one connection.
#[derive(Debug, Default)]
pub struct Flows {
    tracks: HashMap<u64, LessonTrack>,
    flows: HashMap<LessonTrack, u64>,
    early: VecDeque<(u64, Bytes)>,
}

/// What an announcement brings about.
#[derive(Debug, PartialEq, Eq)]
pub struct Announced {
    /// What the flow id meant before, and the track's own earlier flow: they have ended.
    pub ended: Vec<LessonTrack>,
    /// Packets that came before the announcement, in their order.
    pub early: Vec<Bytes>,
}

impl Flows {
    /// `flow` carries `track` from now on.
    pub fn announce(&mut self, flow: u64, track: LessonTrack) -> Announced {
        let mut ended: Vec<_> = self.end(flow).into_iter().collect();
        if let Some(earlier) = self.flows.get(&track).copied() {
            ended.extend(self.end(earlier));
        }
        self.flows.insert(track.clone(), flow);
        self.tracks.insert(flow, track);
        let mut early = Vec::new();
        self.early.retain(|(of, packet)| {
            if *of == flow {
                early.push(packet.clone());
            }
            *of != flow
        });
        Announced { ended, early }
    }

    /// Nothing more comes under `flow`.
    pub fn end(&mut self, flow: u64) -> Option<LessonTrack> {
        let track = self.tracks.remove(&flow)?;
        self.flows.remove(&track);
        Some(track)
    }

    /// What `flow` carries.
    pub fn track(&self, flow: u64) -> Option<&LessonTrack> {
        self.tracks.get(&flow)
    }

    /// Under which flow `track` comes.
    pub fn flow(&self, track: &LessonTrack) -> Option<u64> {
        self.flows.get(track).copied()
    }

    /// Keeps a packet of a flow that is not announced yet. True when another was dropped.
    pub fn keep_early(&mut self, flow: u64, packet: Bytes) -> bool {
        let full = self.early.len() >= EARLY;
        if full {
            self.early.pop_front();
        }
        self.early.push_back((flow, packet));
        full
    }

    /// The connection is gone, and every flow with it.
    pub fn clear(&mut self) -> Vec<LessonTrack> {
        self.early.clear();
        self.flows.clear();
        self.tracks.drain().map(|(_, track)| track).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(member: &str) -> LessonTrack {
        (LessonId::new("math").unwrap(), format!("{member}/camera").parse().unwrap())
    }

    #[test]
    fn packets_before_the_announcement_are_not_lost() {
        let mut flows = Flows::default();
        for n in 0..3u8 {
            assert!(!flows.keep_early(7, Bytes::from(vec![n])));
            assert!(!flows.keep_early(8, Bytes::from(vec![100 + n])));
        }
        let announced = flows.announce(7, track("li"));
        assert_eq!(announced.early, [&[0u8][..], &[1], &[2]]);
        assert_eq!(announced.ended, []);
        assert_eq!(flows.announce(8, track("wang")).early.len(), 3);
    }

    #[test]
    fn what_is_never_announced_is_kept_within_bounds() {
        let mut flows = Flows::default();
        let dropped = (0..10 * EARLY).filter(|_| flows.keep_early(1, Bytes::new())).count();
        assert_eq!(dropped, 9 * EARLY);
        assert_eq!(flows.announce(1, track("li")).early.len(), EARLY);
    }

    #[test]
    fn a_track_has_one_flow_and_a_flow_one_track() {
        let mut flows = Flows::default();
        flows.announce(1, track("li"));
        assert_eq!(flows.announce(2, track("li")).ended, [track("li")]);
        assert_eq!(flows.end(1), None, "the end of a flow that was replaced ends nothing");
        assert_eq!(flows.flow(&track("li")), Some(2));
        assert_eq!(flows.announce(2, track("wang")).ended, [track("li")]);
        assert_eq!((flows.flow(&track("li")), flows.track(2)), (None, Some(&track("wang"))));
        assert_eq!(flows.clear(), [track("wang")]);
        assert_eq!(flows.flow(&track("wang")), None);
    }
}
