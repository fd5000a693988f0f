//! How a line's picture begins: with the picture so far, of the encoding of which that is soon
//! through, or with a keyframe. Without a picture so far one is asked for.

use super::Shard;
use super::watching::{OVERHEAD, Waiting, Watching};
use crate::media::encoding::{Encoding, REPLAY_PACKETS};
use crate::media::layers::Target;
use crate::media::track::{Feed, Fresh, Track};
use cloudschool_protocol::media::Kind;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// A picture so far that takes the path longer than this is a queue to begin with: another
/// encoding's, if it is shorter, comes first, and the wanted one follows with a keyframe.
const SOON: Duration = Duration::from_millis(250);

/// A viewer's line begins to show it again after so long at the latest, or asks what to show.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Packets after the one a line began with that may have come before it: a keyframe of 150 kB.
const OVERTOOK: u64 = 128;

impl Shard {
    /// Gives a line that was just bound, or whose peer just connected, the picture so far.
    pub(super) fn start_line(&mut self, at: usize, place: usize, now: Instant) {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return };
        let Some(watching) = peer.watching() else { return };
        if watching.sealer.is_none() {
            return;
        }
        let Some(slot) = watching.slots.get_mut(place) else { return };
        let Some(index) = slot.track.filter(|_| slot.kind == Kind::Video) else { return };
        let Some(Some(track)) = self.tracks.get_mut(index) else { return };
        if track.encodings().any(|(e, _)| track.epoch(e).is_some_and(|e| slot.egress.follows(e))) {
            return;
        }
        watching.choose(&self.tracks, now);
        let soon = (watching.path.estimate() as f64 / 8.0 * SOON.as_secs_f64()) as usize;
        let Some(slot) = watching.slots.get_mut(place) else { return };
        let Some(Some(track)) = self.tracks.get_mut(index) else { return };
        let present = track.feed != Feed::Idle;
        let target = slot.egress.target();
        let begin = target
            .filter(|_| present)
            .and_then(|target| picture_so_far(track, target.encoding, soon, now));
        let Some((shown, replay)) = begin else {
            let wanted = target.map(|t| t.encoding);
            for (at, encoding) in track.encodings_mut() {
                if wanted.is_none_or(|w| w == at || w == u8::MAX) {
                    encoding.keyframes.want(now);
                }
            }
            return;
        };
        slot.egress.retarget(Some(Target::encoding(shown)));
        watching.next_choice = watching.next_choice.min(now + LOOK_AGAIN);
        for number in replay {
            let fresh = Fresh { encoding: shown, number };
            // Packets of this turn go out with the turn.
            if !track.fresh.contains(&fresh)
                && let Some(packet) = track.packet(shown, number)
            {
                watching.wait(Waiting::new(place, index, fresh, packet, now));
            }
        }
        self.send_waiting(at, now);
        self.schedule(at, now);
    }
}

/// The encoding to begin with, and its packets: of those that are through `soon`, in bytes, the
/// nearest to the wanted one, else the shortest.
fn picture_so_far(
    track: &Track,
    wanted: u8,
    soon: usize,
    now: Instant,
) -> Option<(u8, RangeInclusive<u64>)> {
    let replays = track.encodings().filter_map(|(at, encoding)| {
        let replay = encoding.replay(REPLAY_PACKETS, now)?;
        let bytes = bytes_of(encoding, replay.clone());
        let rank = match bytes <= soon {
            true => (false, usize::from(at.abs_diff(wanted))),
            false => (true, bytes),
        };
        Some((rank, at, replay))
    });
    replays.min_by_key(|(rank, ..)| *rank).map(|(_, at, replay)| (at, replay))
}

fn bytes_of(encoding: &Encoding, numbers: RangeInclusive<u64>) -> usize {
    let packets = numbers.filter_map(|number| encoding.packet(number));
    packets.map(|packet| packet.payload.len() + OVERHEAD).sum()
}

impl Watching {
    /// Where a line just began with a packet that had been overtaken: what came before it, and
    /// was of no use then, follows.
    #[inline]
    pub fn catch_up(&mut self, place: usize, track: &Track, now: Instant) {
        let begun = self.slots.get_mut(place).and_then(|slot| slot.egress.take_begun());
        if let Some((encoding, first)) = begun {
            self.let_follow(place, track, encoding, first, now);
        }
    }

    #[cold]
    fn let_follow(&mut self, place: usize, track: &Track, at: u8, first: u64, now: Instant) {
        let index = self.slots.get(place).and_then(|slot| slot.track);
        let Some((index, encoding)) = index.zip(track.encoding(at)) else { return };
        // From there on they come by themselves.
        let own = |w: &&Waiting| usize::from(w.slot) == place && w.encoding == at;
        let waiting = self.waiting.iter().filter(own).map(|w| w.number);
        let fresh = track.fresh.iter().filter(|f| f.encoding == at).map(|f| f.number);
        let coming = waiting.chain(fresh).filter(|number| *number > first).min();
        let end = coming.unwrap_or(first + OVERTOOK).min(first + OVERTOOK);
        for number in first + 1..end {
            if let Some(packet) = encoding.packet(number) {
                self.wait(Waiting::new(place, index, Fresh { encoding: at, number }, packet, now));
            }
        }
    }
}
