//! What ends by itself, and when. The origin alone ends it: a node that can't reach it goes by
//! the same times when it takes an answer.

use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::lesson::{Phase, State};

/// How much longer answers are taken than is shown, milliseconds: so long may one that was
/// given in time be under way on a village's line.
pub const GRACE_MS: u64 = 1_000;

/// What ends by itself, with the time it does.
fn ends(state: &State) -> impl Iterator<Item = (u64, EventBody)> {
    let running = matches!(state.phase, Phase::Open | Phase::Live);
    let roll_call = state.open_roll_call().and_then(|open| {
        let at = open.closes_ms?.saturating_add(GRACE_MS);
        Some((at, EventBody::RollCallClosed { roll_call: open.id, by: None }))
    });
    let quiz = state.open_quiz().and_then(|open| {
        let at = open.closes_ms?.saturating_add(GRACE_MS);
        Some((at, EventBody::QuizClosed { quiz: open.paper.id, by: None }))
    });
    let timer =
        state.timer.as_ref().map(|timer| (timer.ends_ms, EventBody::TimerStopped { by: None }));
    let groups = state.groups.as_ref().and_then(|groups| groups.ends_ms);
    let groups = groups.map(|at| (at, EventBody::GroupsClosed { by: None }));
    [roll_call, quiz, timer, groups].into_iter().flatten().filter(move |_| running)
}

/// When something ends by itself next, milliseconds since the Unix epoch.
pub fn due(state: &State) -> Option<u64> {
    ends(state).map(|(at, _)| at).min()
}

/// What has ended by itself by now, the first first.
pub fn overdue(state: &State, now_ms: u64) -> Vec<EventBody> {
    let mut over: Vec<_> = ends(state).filter(|(at, _)| *at <= now_ms).collect();
    over.sort_by_key(|(at, _)| *at);
    over.into_iter().map(|(_, body)| body).collect()
}
