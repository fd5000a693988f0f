//! What the screens show when nobody chooses it (自动导播): it follows what happens.

use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::lesson::showing::Layout;
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::Source;

/// The layout that shows what is going on. Who was called up is looked at, then what the
/// teacher shows, then the teacher.
pub(super) fn choose(state: &State) -> Layout {
    let shared = || {
        let by_teacher = |m| state.members.get(m).is_some_and(|m| m.role.leads());
        state.tracks.keys().any(|t| t.source == Source::Screen && by_teacher(&t.member))
    };
    if state.groups.is_some() {
        Layout::Grid
    } else if !state.stage.is_empty() {
        Layout::Stage
    } else if shared() {
        Layout::Screen
    } else if state.slides.is_some() {
        Layout::SlidesTeacher
    } else {
        Layout::Teacher
    }
}

/// The cut that is to be made now, if any.
pub fn cut(state: &State) -> Option<EventBody> {
    let layout = choose(state);
    let stale = state.view.auto && state.view.layout != layout;
    (stale && state.phase == Phase::Live).then_some(EventBody::ViewDirected {
        layout,
        focus: None,
        by: None,
        auto: true,
    })
}
