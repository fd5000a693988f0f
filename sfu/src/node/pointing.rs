//! Where the teacher points on a page of slides: passed on from node to node of the lesson and
//! to every page, and nowhere kept. What is lost of it, the next one makes good.

use super::Node;
use crate::trunk::{LinkCommand, LinkHandle, admits};
use cloudschool_protocol::id::{LessonId, MemberId};
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::member::Member;
use cloudschool_protocol::slides::Spot;
use cloudschool_protocol::trunk::{Control, NodeKind, capability};

/// Where a member points, or that it points no more.
pub type Pointed = (MemberId, Option<Spot>);

impl Node {
    /// A member whose page is connected here points.
    pub fn point(&self, lesson: &LessonId, by: &MemberId, at: Option<Spot>) {
        let here = |member: &Member| member.node == self.name;
        self.pointed(lesson, by, at, None, here);
    }

    /// A member points, as another node says.
    pub(crate) fn pointed_by(&self, from: &LinkHandle, told: (LessonId, MemberId, Option<Spot>)) {
        let (lesson, by, at) = told;
        let above = self.uplink().is_some_and(|up| up.id == from.id);
        let there = |member: &Member| {
            member.node != self.name
                && (above || self.tree.borrow().speaks_for(&from.peer, &member.node))
        };
        self.pointed(&lesson, &by, at, Some(from), there);
    }

    fn pointed(
        &self,
        lesson: &LessonId,
        by: &MemberId,
        at: Option<Spot>,
        from: Option<&LinkHandle>,
        stands: impl Fn(&Member) -> bool,
    ) {
        let Some(room) = self.rooms.get(lesson).map(|room| room.clone()) else { return };
        let state = room.handle().state();
        let may = state.members.get(by).is_some_and(|m| m.role.leads() && stands(m));
        if !may || state.slides.is_none() || at.is_some_and(|spot| !spot.is_on_page()) {
            return;
        }
        room.say_where_is_pointed((by.clone(), at));
        for link in self.of_lesson(&state).filter(|l| from.is_none_or(|from| l.id != from.id)) {
            let (lesson, by) = (lesson.clone(), by.clone());
            link.send(LinkCommand::Say(Control::Pointer { lesson, by, at }));
        }
    }

    /// The trunks to nodes that have the lesson, upwards and downwards.
    fn of_lesson(&self, state: &State) -> impl Iterator<Item = LinkHandle> {
        let below: Vec<LinkHandle> = self
            .trunks
            .iter()
            .filter(|l| l.identity().kind == NodeKind::Edge && admits(&state.info, l.identity()))
            .map(|l| l.clone())
            .collect();
        self.uplink().into_iter().chain(below).filter(|l| l.can(capability::ASSETS))
    }
}
