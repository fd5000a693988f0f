//! Who speaks of those at this node whom the screens may show large, as the lesson's origin is
//! told so that it can cut to them ([`crate::lesson`]). Nobody is told while the teacher chooses,
//! or while there are not two to choose from.

use super::Node;
use super::room::Room;
use cloudschool_protocol::command::Command;
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::trunk::capability;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who is silent for so long has stopped speaking: between words one goes on.
const PAUSE: Duration = Duration::from_millis(600);

/// Who goes on speaking is told of again after so long: the origin forgets who is not.
const AGAIN: Duration = Duration::from_secs(5);

/// Who speaks in one lesson, as the origin was told.
#[derive(Debug, Default)]
pub(super) struct Reporting {
    speaking: BTreeMap<MemberId, Speaker>,
}

#[derive(Debug)]
struct Speaker {
    loud_at: Instant,
    told_at: Instant,
}

impl Reporting {
    /// Takes who is loud now; gives what is to be told.
    fn heard(&mut self, loud: BTreeSet<MemberId>, now: Instant) -> Vec<(MemberId, bool)> {
        let mut tell = Vec::new();
        for member in loud {
            let known = self.speaking.get_mut(&member);
            match known {
                Some(speaker) => {
                    speaker.loud_at = now;
                    if now.saturating_duration_since(speaker.told_at) >= AGAIN {
                        speaker.told_at = now;
                        tell.push((member, true));
                    }
                }
                None => {
                    let speaker = Speaker { loud_at: now, told_at: now };
                    self.speaking.insert(member.clone(), speaker);
                    tell.push((member, true));
                }
            }
        }
        self.speaking.retain(|member, speaker| {
            let speaks = now.saturating_duration_since(speaker.loud_at) < PAUSE;
            if !speaks {
                tell.push((member.clone(), false));
            }
            speaks
        });
        tell
    }

    /// Whether nobody speaks, as far as was told.
    pub(super) fn is_quiet(&self) -> bool {
        self.speaking.is_empty()
    }
}

/// Those of the loud `tracks` whom node `here` is to tell of.
fn of_interest(state: &State, here: &Node, tracks: &[(TrackId, u8)]) -> BTreeSet<MemberId> {
    if state.phase != Phase::Live || !state.view.auto || state.stage.len() < 2 {
        return BTreeSet::new();
    }
    let microphones = tracks.iter().filter(|(t, _)| t.source == Source::Microphone);
    let here = |t: &TrackId| state.tracks.get(t).is_some_and(|t| t.node == *here.name());
    let shown = |m: &MemberId| state.stage.contains(m) && !state.muted.contains(m);
    let wanted = microphones.filter(|(t, _)| here(t) && shown(&t.member));
    wanted.map(|(t, _)| t.member.clone()).collect()
}

impl Room {
    /// Tells the origin who of this node's speaks, when that has changed.
    pub(super) fn tell_who_speaks(
        &self,
        node: &Arc<Node>,
        reporting: &mut Reporting,
        loud: &[(TrackId, u8)],
    ) {
        let loud = of_interest(&self.handle().state(), node, loud);
        let tell = reporting.heard(loud, Instant::now());
        if tell.is_empty() || !node.origin_takes_reports() {
            return;
        }
        let (lesson, node) = (self.handle().clone(), node.clone());
        tokio::spawn(async move {
            for (member, speaks) in tell {
                let said = Command::Speaks { member, speaks };
                if let Err(refusal) = lesson.submit(said, node.name()).await {
                    tracing::debug!(lesson = %lesson.id(), %refusal, "who speaks was not heard");
                }
            }
        });
    }
}

impl Node {
    /// Whether the node above, where there is one, knows what is reported of members.
    #[must_use]
    pub(crate) fn origin_takes_reports(&self) -> bool {
        self.uplink().is_none_or(|link| link.can(capability::REPORTS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<MemberId> {
        names.iter().map(|n| MemberId::new(*n).unwrap()).collect()
    }

    #[test]
    fn a_speaker_is_told_of_once_through_its_pauses_and_again_before_it_is_forgotten() {
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let mut reporting = Reporting::default();
        let mut told: Vec<(u64, bool)> = Vec::new();
        // Loud for 400 ms of each 800, for seven seconds; then silent.
        for ms in (0..10_000).step_by(200) {
            let loud = ms < 7_000 && ms % 800 < 400;
            let loud = if loud { names(&["wang"]) } else { names(&[]) };
            told.extend(reporting.heard(loud, at(ms)).into_iter().map(|(_, speaks)| (ms, speaks)));
        }
        assert_eq!(told, [(0, true), (5_000, true), (7_200, false)]);
        assert!(reporting.is_quiet());
    }
}
