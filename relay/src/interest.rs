//! What a subscriber wants of its upstream node, and what that node has been told of it, as a
//! pure value. After a reconnect the same wishes are told anew, the events from the last one
//! delivered on.

use cloudschool_protocol::command::Command;
use cloudschool_protocol::event::Event;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::media::TrackId;
use cloudschool_protocol::trunk::{Control, LessonLine, MAX_DEMAND, RequestId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Wishes, and what of them is still to be said.
#[derive(Debug, Default)]
pub struct Interest {
    connected: bool,
    lessons: BTreeMap<LessonId, Lesson>,
    unfollow: BTreeSet<LessonId>,
    keyframes: BTreeSet<u64>,
    commands: VecDeque<(RequestId, LessonId, Command)>,
    /// To be said once, to this connection.
    words: VecDeque<Control>,
}

#[derive(Debug, Default)]
struct Lesson {
    follow: Follow,
    tracks: Vec<TrackId>,
    demand_said: bool,
}

#[derive(Debug, Default)]
enum Follow {
    /// Only its media is wanted.
    #[default]
    Not,
    Wanted {
        delivered: u64,
        asked: Asked,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Not,
    /// What comes and doesn't connect is of an earlier wish, and was under way.
    Said,
    /// And it began to come: what doesn't connect now is a gap.
    Coming,
    /// Refused; asked for again when the list of lessons names it, or after a reconnect.
    Refused,
}

impl Interest {
    /// Follow `lesson` after event `after`, also when it is followed already.
    pub fn follow(&mut self, lesson: LessonId, after: u64) {
        let lesson = self.lessons.entry(lesson).or_default();
        lesson.follow = Follow::Wanted { delivered: after, asked: Asked::Not };
    }

    /// Neither events nor media of `lesson` any more.
    pub fn unfollow(&mut self, lesson: &LessonId) {
        if self.lessons.remove(lesson).is_some() && self.connected {
            self.unfollow.insert(lesson.clone());
        }
    }

    /// The tracks wanted of `lesson` now.
    pub fn demand(&mut self, lesson: LessonId, mut tracks: Vec<TrackId>) {
        if tracks.len() > MAX_DEMAND {
            tracing::warn!(%lesson, wanted = tracks.len(), "only {MAX_DEMAND} tracks can be demanded");
            tracks.truncate(MAX_DEMAND);
        }
        let lesson = self.lessons.entry(lesson).or_default();
        if lesson.tracks != tracks {
            lesson.tracks = tracks;
            lesson.demand_said = false;
        }
    }

    /// A keyframe of `flow` is needed.
    pub fn keyframe(&mut self, flow: u64) {
        self.keyframes.insert(flow);
    }

    /// A command for `lesson`'s origin.
    pub fn command(&mut self, request: RequestId, lesson: LessonId, command: Command) {
        self.commands.push_back((request, lesson, command));
    }

    /// Something to be said that is forgotten with the connection.
    pub fn say(&mut self, message: Control) {
        self.words.push_back(message);
    }

    /// A new connection, to a node that has been told nothing.
    pub fn connected(&mut self) {
        self.connected = true;
        for lesson in self.lessons.values_mut() {
            lesson.demand_said = lesson.tracks.is_empty();
            if let Follow::Wanted { asked, .. } = &mut lesson.follow {
                *asked = Asked::Not;
            }
        }
    }

    /// The connection is gone. Wishes stay, what was bound to the connection goes.
    pub fn disconnected(&mut self) {
        self.connected = false;
        self.unfollow.clear();
        self.keyframes.clear();
        self.commands.clear();
        self.words.clear();
    }

    /// The next message to say, if any.
    pub fn poll(&mut self) -> Option<Control> {
        if !self.connected {
            return None;
        }
        if let Some(lesson) = self.unfollow.pop_first() {
            return Some(Control::Unfollow { lesson });
        }
        for (id, lesson) in &mut self.lessons {
            if let Follow::Wanted { delivered, asked: asked @ Asked::Not } = &mut lesson.follow {
                *asked = Asked::Said;
                return Some(Control::Follow { lesson: id.clone(), after: *delivered });
            }
            if !lesson.demand_said {
                lesson.demand_said = true;
                let tracks = lesson.tracks.clone();
                return Some(Control::Demand { lesson: id.clone(), tracks, limits: Vec::new() });
            }
        }
        if let Some(flow) = self.keyframes.pop_first() {
            return Some(Control::Keyframe { flow });
        }
        if let Some((request, lesson, command)) = self.commands.pop_front() {
            return Some(Control::Command { request, lesson, from: None, command });
        }
        self.words.pop_front()
    }

    /// Of the events that came, those to deliver: every one once, in order, without a gap.
    pub fn deliver(&mut self, id: &LessonId, mut events: Vec<Event>) -> Vec<Event> {
        let Some(Follow::Wanted { delivered, asked }) =
            self.lessons.get_mut(id).map(|l| &mut l.follow)
        else {
            return Vec::new();
        };
        let mut gap = None;
        events.retain(|event| {
            let next = gap.is_none() && event.seq == *delivered + 1;
            if next {
                *delivered = event.seq;
            } else if gap.is_none() && event.seq > *delivered {
                gap = Some(event.seq);
            }
            next
        });
        if !events.is_empty() && *asked == Asked::Said {
            *asked = Asked::Coming;
        }
        if let (Some(got), Asked::Coming) = (gap, *asked) {
            tracing::warn!(lesson = %id, last = *delivered, got, "events are missing: asking again");
            *asked = Asked::Not;
        }
        events
    }

    /// The upstream node does not let us follow `lesson`.
    pub fn refused(&mut self, lesson: &LessonId) {
        if let Some(Follow::Wanted { asked, .. }) =
            self.lessons.get_mut(lesson).map(|l| &mut l.follow)
        {
            *asked = Asked::Refused;
        }
    }

    /// The list of lessons is new: one that was refused may be open now.
    pub fn listed(&mut self, lines: &[LessonLine]) {
        for line in lines {
            if let Some(lesson) = self.lessons.get_mut(&line.info.id)
                && let Follow::Wanted { asked: asked @ Asked::Refused, .. } = &mut lesson.follow
            {
                *asked = Asked::Not;
                lesson.demand_said = lesson.tracks.is_empty();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::event::EventBody;
    use cloudschool_protocol::id::MemberId;
    use proptest::prelude::*;

    fn lesson() -> LessonId {
        LessonId::new("math").unwrap()
    }

    fn event(seq: u64) -> Event {
        let member = MemberId::new("wang").unwrap();
        Event::new(seq, uuid(seq), seq, EventBody::HandRaised { member })
    }

    /// Parsed from its text, so that tests need no crate for it.
    fn uuid<T: std::str::FromStr<Err: std::fmt::Debug>>(n: u64) -> T {
        format!("00000000-0000-0000-0000-{n:012x}").parse().unwrap()
    }

    const NONE: [u64; 0] = [];

    fn seqs(events: &[Event]) -> Vec<u64> {
        events.iter().map(|e| e.seq).collect()
    }

    fn said(interest: &mut Interest) -> Vec<Control> {
        std::iter::from_fn(|| interest.poll()).collect()
    }

    #[test]
    fn wishes_are_said_once_and_again_after_a_reconnect() {
        let mut interest = Interest::default();
        let tracks: Vec<TrackId> = vec!["li/camera".parse().unwrap()];
        interest.follow(lesson(), 4);
        interest.demand(lesson(), tracks.clone());
        assert_eq!(said(&mut interest), [], "nobody to say it to");
        interest.connected();
        let demand =
            Control::Demand { lesson: lesson(), tracks: tracks.clone(), limits: Vec::new() };
        let follow = |after| Control::Follow { lesson: lesson(), after };
        assert_eq!(said(&mut interest), [follow(4), demand.clone()]);
        interest.demand(lesson(), tracks);
        assert_eq!(said(&mut interest), [], "nothing new was wished for");
        interest.deliver(&lesson(), vec![event(5), event(6)]);
        interest.disconnected();
        interest.connected();
        assert_eq!(said(&mut interest), [follow(6), demand]);
    }

    #[test]
    fn a_gap_is_asked_for_once() {
        let mut interest = Interest::default();
        interest.follow(lesson(), 0);
        interest.connected();
        said(&mut interest);
        assert_eq!(seqs(&interest.deliver(&lesson(), vec![event(1)])), [1]);
        assert_eq!(seqs(&interest.deliver(&lesson(), vec![event(3), event(4)])), NONE);
        assert_eq!(said(&mut interest), [Control::Follow { lesson: lesson(), after: 1 }]);
        assert_eq!(seqs(&interest.deliver(&lesson(), vec![event(5)])), NONE);
        assert_eq!(said(&mut interest), []);
        let replay = (1..=5).map(event).collect();
        assert_eq!(seqs(&interest.deliver(&lesson(), replay)), [2, 3, 4, 5]);
    }

    #[test]
    fn a_refused_lesson_is_asked_for_again_when_it_is_listed() {
        use cloudschool_protocol::id::SchoolId;
        use cloudschool_protocol::lesson::{LessonInfo, Phase};
        let mut interest = Interest::default();
        interest.follow(lesson(), 0);
        interest.connected();
        said(&mut interest);
        interest.refused(&lesson());
        assert_eq!(said(&mut interest), []);
        let info = LessonInfo {
            id: lesson(),
            title: String::new(),
            subject: String::new(),
            grade: String::new(),
            teacher: String::new(),
            campus: SchoolId::new("campus").unwrap(),
            schools: Vec::new(),
            school_names: Default::default(),
            planned_start_ms: None,
            planned_minutes: None,
            code: None,
        };
        interest.listed(&[LessonLine { info, phase: Phase::Open }]);
        assert_eq!(said(&mut interest), [Control::Follow { lesson: lesson(), after: 0 }]);
    }

    #[test]
    fn an_unfollowed_lesson_delivers_nothing_more() {
        let mut interest = Interest::default();
        interest.follow(lesson(), 0);
        interest.connected();
        said(&mut interest);
        interest.unfollow(&lesson());
        assert_eq!(said(&mut interest), [Control::Unfollow { lesson: lesson() }]);
        assert_eq!(seqs(&interest.deliver(&lesson(), vec![event(1)])), NONE);
    }

    #[derive(Debug, Clone)]
    enum Happens {
        /// The upstream sends up to this many events from where it was asked to.
        Sends(u64),
        /// It sends again what it had sent.
        Repeats(u64),
        /// It leaves some out.
        Skips(u64),
        Reconnects,
    }

    proptest! {
        #[test]
        fn every_event_is_delivered_once_and_in_order(
            story in prop::collection::vec(
                prop_oneof![
                    3 => (1u64..8).prop_map(Happens::Sends),
                    1 => (1u64..8).prop_map(Happens::Repeats),
                    1 => (1u64..8).prop_map(Happens::Skips),
                    1 => Just(Happens::Reconnects),
                ],
                1..60,
            ),
        ) {
            let mut interest = Interest::default();
            interest.follow(lesson(), 0);
            interest.connected();
            let (mut next, mut got) = (1, Vec::new());
            for what in story {
                for control in said(&mut interest) {
                    if let Control::Follow { after, .. } = control { next = after + 1; }
                }
                let from = match what {
                    Happens::Sends(_) => next,
                    Happens::Repeats(n) => next.saturating_sub(n).max(1),
                    Happens::Skips(n) => next + n,
                    Happens::Reconnects => {
                        interest.disconnected();
                        interest.connected();
                        continue;
                    }
                };
                let (Happens::Sends(n) | Happens::Repeats(n) | Happens::Skips(n)) = what else { continue };
                next = from + n;
                got.extend(interest.deliver(&lesson(), (from..next).map(event).collect()));
            }
            let want: Vec<u64> = (1..=got.len() as u64).collect();
            prop_assert_eq!(seqs(&got), want);
        }
    }
}
