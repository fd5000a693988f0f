//! What of a lesson a member's page gets to see. The log and the trunks carry everything; the
//! node a member sits at shows it what is its to know.
//!
//! - Observers (听评课) are unseen by those who are taught.
//! - What somebody answered in a quiz is between it, who gives or watches the lesson, and the
//!   assistants of its school. Right answers stay hidden from those who are asked until they
//!   are revealed.
//! - Who is there, who is away, who was taken out, who reacts how and who was asked how often is
//!   for those who run the lesson or watch it; everybody sees its own.
//! - A message to the teacher is for the teacher and the assistants of the author's school.
//! - What happened in a way that this release does not know is shown to nobody.
//! - Notes and score sheets are their author's and the operator's. Proposals are between their
//!   author and the teacher.

use crate::event::{Event, EventBody, LeaveReason};
use crate::id::{MemberId, SchoolId};
use crate::lesson::State;
use crate::lesson::attendance::RollCall;
use crate::lesson::chat::{Audience, Chat};
use crate::lesson::quiz::{Quiz, QuizPaper};
use crate::member::{Member, Role};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Whoever looks at a lesson through a page.
#[derive(Debug, Clone)]
pub struct Viewer {
    me: Member,
    /// Present members this page was not told of.
    unseen: BTreeSet<MemberId>,
}

impl Viewer {
    #[must_use]
    pub fn new(me: Member) -> Self {
        Self { me, unseen: BTreeSet::new() }
    }

    /// Those who are taught see less than those who teach, help, watch or run the lesson.
    fn is_taught(&self) -> bool {
        matches!(self.me.role, Role::Classroom | Role::Student)
    }

    fn is_me(&self, member: &MemberId) -> bool {
        self.me.id == *member
    }

    /// What is known by name of `member` beyond what everybody sees.
    fn knows_of(&self, member: &MemberId) -> bool {
        !self.is_taught() || self.is_me(member)
    }

    /// What `member` of `school` answered, or counted there.
    fn sees_answers_of(&self, member: &MemberId, school: Option<&SchoolId>) -> bool {
        match self.me.role {
            Role::Teacher | Role::Operator | Role::Observer => true,
            Role::Assistant => self.is_me(member) || school == Some(&self.me.school),
            Role::Classroom | Role::Student => self.is_me(member),
        }
    }

    /// What `member` counted of a class: a room knows what its own assistant reports of it.
    fn sees_count_of(&self, member: &MemberId, school: &SchoolId) -> bool {
        let own_room = self.me.role == Role::Classroom && *school == self.me.school;
        own_room || self.sees_answers_of(member, Some(school))
    }

    fn hears(&self, member: &MemberId, to: Audience, school: Option<&SchoolId>) -> bool {
        match to {
            Audience::All => true,
            Audience::Teacher => {
                let own_school = school == Some(&self.me.school);
                self.is_me(member)
                    || self.me.role.leads()
                    || (self.me.role == Role::Assistant && own_school)
            }
        }
    }

    fn sees_proposals_of(&self, member: &MemberId) -> bool {
        self.me.role.leads() || self.is_me(member)
    }

    fn reads_notes_of(&self, member: &MemberId) -> bool {
        self.me.role == Role::Operator || self.is_me(member)
    }

    fn is_unseen(&self, member: &Member) -> bool {
        self.is_taught() && member.role == Role::Observer && !self.is_me(&member.id)
    }

    /// The event as this page gets it, and gets it next after those before; `state` is the
    /// lesson's after it or later. `None` when it is not this page's to know.
    pub fn event<'a>(&mut self, event: &'a Event, state: &State) -> Option<Cow<'a, Event>> {
        let seen = match &event.body {
            EventBody::MemberJoined { member } => {
                let unseen = self.is_unseen(member);
                if unseen {
                    self.unseen.insert(member.id.clone());
                }
                !unseen
            }
            // A page has the board itself.
            EventBody::BoardDrawn { .. } | EventBody::Later(_) => false,
            EventBody::MemberLeft { member, .. } if self.unseen.remove(member) => false,
            // That somebody was taken out is not the class's to know.
            EventBody::MemberLeft { member, reason: LeaveReason::Removed }
                if !self.knows_of(member) =>
            {
                let body =
                    EventBody::MemberLeft { member: member.clone(), reason: LeaveReason::Left };
                return Some(Cow::Owned(Event { body, ..event.clone() }));
            }
            EventBody::RollCallAnswered { member, .. }
            | EventBody::MemberRemoved { member, .. }
            | EventBody::MemberLetIn { member, .. }
            | EventBody::MemberAway { member, .. }
            | EventBody::ReactionGiven { member, .. }
            | EventBody::ChatSilenced { member, .. } => self.knows_of(member),
            EventBody::QuizAnswered { member, .. } => {
                self.sees_answers_of(member, school_of(state, member))
            }
            EventBody::RollCallCounted { member, school, .. } => {
                self.knows_of(member) || self.sees_count_of(member, school)
            }
            EventBody::QuizCounted { member, school, .. } => self.sees_count_of(member, school),
            EventBody::ChatSaid { member, to, .. } => {
                self.hears(member, *to, school_of(state, member))
            }
            EventBody::ProposalMade { member, .. }
            | EventBody::ProposalAccepted { member, .. }
            | EventBody::ProposalDeclined { member, .. } => self.sees_proposals_of(member),
            EventBody::NoteTaken { member, .. } | EventBody::SheetScored { member, .. } => {
                self.reads_notes_of(member)
            }
            EventBody::QuizOpened { quiz, by, closes_ms } if self.is_taught() => {
                let (quiz, by, closes_ms) = (unsolved(quiz), by.clone(), *closes_ms);
                let body = EventBody::QuizOpened { quiz, by, closes_ms };
                return Some(Cow::Owned(Event { body, ..event.clone() }));
            }
            _ => true,
        };
        seen.then_some(Cow::Borrowed(event))
    }

    /// The lesson as this page gets it. Events go on from there.
    pub fn state(&mut self, state: &State) -> State {
        let unseen = state.members.values().filter(|m| self.is_unseen(m));
        self.unseen = unseen.map(|m| m.id.clone()).collect();
        State {
            info: state.info.clone(),
            phase: state.phase,
            seq: state.seq,
            session: state.session,
            started_ms: state.started_ms,
            ended_ms: state.ended_ms,
            members: kept(&state.members, |id, _| !self.unseen.contains(id)),
            hands: state.hands.clone(),
            stage: state.stage.clone(),
            muted: state.muted.clone(),
            tracks: state.tracks.clone(),
            slides: state.slides.clone(),
            locked: state.locked,
            removed: kept(&state.removed, |id, _| self.knows_of(id)),
            board_writers: state.board_writers,
            run: state.run,
            attendance: kept(&state.attendance, |id, _| self.knows_of(id)),
            away: state.away.iter().filter(|m| self.knows_of(m)).cloned().collect(),
            roll_call: state.roll_call.as_ref().map(|r| self.roll_call(r)),
            hand_counts: state.hand_counts.clone(),
            asked: kept(&state.asked, |id, _| self.knows_of(id)),
            picked: state.picked.clone(),
            question: state.question.clone(),
            quiz: state.quiz.as_ref().map(|quiz| self.quiz(quiz, state)),
            buzzer: state.buzzer.clone(),
            chat: self.chat(state),
            reactions: kept(&state.reactions, |id, _| self.knows_of(id)),
            praise: state.praise.clone(),
            timer: state.timer.clone(),
            groups: state.groups.clone(),
            view: state.view.clone(),
            caption: state.caption.clone(),
            proposals: {
                let seen = state.proposals.iter().filter(|p| self.sees_proposals_of(&p.member));
                seen.cloned().collect()
            },
            chapters: state.chapters.clone(),
            notes: state.notes.iter().filter(|n| self.reads_notes_of(&n.member)).cloned().collect(),
            sheets: kept(&state.sheets, |id, _| self.reads_notes_of(id)),
            recording: state.recording.clone(),
        }
    }

    fn roll_call(&self, roll_call: &RollCall) -> RollCall {
        RollCall {
            id: roll_call.id,
            opened_ms: roll_call.opened_ms,
            closes_ms: roll_call.closes_ms,
            closed_ms: roll_call.closed_ms,
            answered: kept(&roll_call.answered, |id, _| self.knows_of(id)),
            counted: kept(&roll_call.counted, |id, c| {
                self.knows_of(id) || self.sees_count_of(id, &c.school)
            }),
        }
    }

    fn quiz(&self, quiz: &Quiz, state: &State) -> Quiz {
        let hidden = self.is_taught() && quiz.tallies.is_none();
        Quiz {
            paper: if hidden { unsolved(&quiz.paper) } else { quiz.paper.clone() },
            opened_ms: quiz.opened_ms,
            closes_ms: quiz.closes_ms,
            closed_ms: quiz.closed_ms,
            answers: kept(&quiz.answers, |id, _| self.sees_answers_of(id, school_of(state, id))),
            counts: kept(&quiz.counts, |id, c| self.sees_count_of(id, &c.school)),
            tallies: quiz.tallies.clone(),
        }
    }

    fn chat(&self, state: &State) -> Chat {
        let chat = &state.chat;
        let heard = |m: &&crate::lesson::chat::Said| {
            self.hears(&m.member, m.to, school_of(state, &m.member))
        };
        Chat {
            mode: chat.mode,
            messages: chat.messages.iter().filter(heard).cloned().collect(),
            silenced: chat.silenced.iter().filter(|m| self.knows_of(m)).cloned().collect(),
        }
    }
}

/// The school of somebody who is or was in this run.
fn school_of<'a>(state: &'a State, member: &MemberId) -> Option<&'a SchoolId> {
    let attended = state.attendance.get(member).map(|a| &a.school);
    attended.or_else(|| state.members.get(member).map(|m| &m.school))
}

/// The quiz without its right answers.
fn unsolved(quiz: &QuizPaper) -> QuizPaper {
    let mut quiz = quiz.clone();
    for item in &mut quiz.items {
        item.correct = None;
    }
    quiz
}

fn kept<V: Clone>(
    map: &BTreeMap<MemberId, V>,
    keep: impl Fn(&MemberId, &V) -> bool,
) -> BTreeMap<MemberId, V> {
    map.iter().filter(|(id, v)| keep(id, v)).map(|(id, v)| (id.clone(), v.clone())).collect()
}
