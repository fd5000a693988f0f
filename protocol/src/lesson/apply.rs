//! What each event does to the [`State`]. It decides nothing: what is no more so by the time it
//! is heard of (a hand that went up in a school the campus had lost, after the end) changes
//! nothing but what is kept of the past.

use super::asking::{Buzzer, Picked, Press, Question};
use super::attendance::{Headcount, RollCall};
use super::chat::{Praise, Reacted, Said};
use super::entry::Removed;
use super::grouping::Groups;
use super::quiz::Quiz;
use super::showing::{Caption, Note, Proposal, Timer, View};
use super::{Gap, Hand, LessonInfo, Phase, PublishedTrack, State};
use crate::event::{Event, EventBody};
use crate::id::MemberId;
use crate::slides::{Deck, Slides};

impl State {
    /// Applies the next event. An event already applied changes nothing, so a replay is safe.
    ///
    /// # Errors
    /// [`Gap`] when events between the last one and this are missing; the state is unchanged.
    pub fn apply(&mut self, event: &Event) -> Result<(), Gap> {
        if event.seq > self.seq.saturating_add(1) {
            return Err(Gap { last: self.seq, got: event.seq });
        }
        self.apply_shown(event);
        Ok(())
    }

    /// Applies an event as a page does, which is not shown every one: numbers may be left out.
    /// An event already applied changes nothing.
    pub fn apply_shown(&mut self, event: &Event) {
        if event.seq > self.seq {
            self.seq = event.seq;
            self.change(event);
        }
    }

    fn change(&mut self, event: &Event) {
        let at_ms = event.at_ms;
        match &event.body {
            EventBody::LessonOpened { info } => self.opens(info),
            EventBody::LessonStarted { session, .. } => {
                self.phase = Phase::Live;
                self.session = Some(*session);
                self.started_ms = Some(at_ms);
            }
            EventBody::LessonEnded { .. } => self.ends(at_ms),
            EventBody::LessonArchived { recording, .. } => {
                self.phase = Phase::Archived;
                self.recording = Some(recording.clone());
            }
            EventBody::MemberJoined { member } => {
                self.came(member, at_ms);
                self.members.insert(member.id.clone(), member.clone());
            }
            EventBody::MemberLeft { member, .. } => self.leaves(member, at_ms),
            EventBody::MemberRemoved { member, name, school, by } => {
                let (name, school, by) = (name.clone(), school.clone(), by.clone());
                self.remove(member, Removed { name, school, by, at_ms });
            }
            EventBody::MemberLetIn { member, .. } => {
                self.removed.remove(member);
            }
            EventBody::LessonLocked { locked, .. } => self.locked = *locked,
            // The board itself says what is on it.
            EventBody::BoardDrawn { .. } | EventBody::Later(_) => {}
            EventBody::HandRaised { member } => self.raises_hand(member, at_ms),
            EventBody::HandLowered { member, .. } => self.hands.retain(|h| h.member != *member),
            EventBody::MemberMuted { member, muted, .. } => {
                self.muted.retain(|m| m != member);
                if *muted {
                    self.muted.push(member.clone());
                }
            }
            EventBody::StageCalled { member, .. } => {
                self.called(member);
                if self.phase < Phase::Ended {
                    self.hands.retain(|h| h.member != *member);
                    if !self.stage.contains(member) {
                        self.stage.push(member.clone());
                    }
                }
            }
            EventBody::StageLeft { member, .. } => self.stage.retain(|m| m != member),
            EventBody::SlidesOpened { .. } | EventBody::SlidesTurned { .. }
                if self.phase >= Phase::Ended => {}
            EventBody::SlidesOpened { deck, page, .. } => {
                self.slides = Some(Slides { deck: Deck::clone(deck), page: *page });
            }
            EventBody::SlidesTurned { deck, page, .. } => {
                // One of a deck that has been replaced meanwhile turns nothing.
                if let Some(slides) = self.slides.as_mut().filter(|s| s.deck.id == *deck) {
                    slides.page = *page;
                }
            }
            EventBody::SlidesClosed { .. } => self.slides = None,
            EventBody::BoardWriters { writers, .. } => self.board_writers = *writers,
            EventBody::TrackPublished { track, codec, node } => {
                let published =
                    PublishedTrack { track: track.clone(), codec: *codec, node: node.clone() };
                self.tracks.insert(track.clone(), published);
            }
            EventBody::TrackUnpublished { track } => {
                self.tracks.remove(track);
            }
            EventBody::RollCallOpened { .. }
            | EventBody::RollCallAnswered { .. }
            | EventBody::RollCallCounted { .. }
            | EventBody::RollCallClosed { .. }
            | EventBody::MemberAway { .. } => self.change_attendance(event),
            EventBody::HandsCounted { .. }
            | EventBody::MemberPicked { .. }
            | EventBody::QuestionAsked { .. }
            | EventBody::QuestionAnswered { .. }
            | EventBody::QuestionClosed { .. }
            | EventBody::BuzzerOpened { .. }
            | EventBody::BuzzerPressed { .. }
            | EventBody::BuzzerClosed { .. } => self.change_asking(event),
            EventBody::QuizOpened { quiz, closes_ms, .. } => {
                self.quiz = Some(Quiz::new(quiz.clone(), at_ms, *closes_ms));
            }
            EventBody::QuizAnswered { quiz, item, member, answer } => {
                self.answer_quiz(*quiz, *item, member, answer, at_ms);
            }
            EventBody::QuizCounted { quiz, item, member, school, counts } => {
                self.count_quiz(*quiz, *item, member, school, counts);
            }
            EventBody::QuizClosed { quiz, .. } => self.close_quiz(*quiz, at_ms),
            EventBody::QuizRevealed { quiz, tallies, .. } => self.reveal_quiz(*quiz, tallies),
            EventBody::ChatSet { .. }
            | EventBody::ChatSaid { .. }
            | EventBody::ChatRemoved { .. }
            | EventBody::ChatSilenced { .. }
            | EventBody::ReactionGiven { .. }
            | EventBody::ReactionsCleared { .. }
            | EventBody::PraiseGiven { .. } => self.change_talk(event),
            EventBody::GroupsOpened { groups, ends_ms, .. } => {
                let visiting = Default::default();
                self.groups = Some(Groups { groups: groups.clone(), ends_ms: *ends_ms, visiting });
            }
            EventBody::GroupsMoved { member, group, .. } => self.move_to_group(member, *group),
            EventBody::GroupsVisited { member, group } => self.visit_group(member, *group),
            EventBody::GroupsClosed { .. } => self.groups = None,
            EventBody::TimerStarted { .. }
            | EventBody::TimerStopped { .. }
            | EventBody::ViewDirected { .. }
            | EventBody::CaptionPosted { .. }
            | EventBody::ProposalMade { .. }
            | EventBody::ProposalAccepted { .. }
            | EventBody::ProposalDeclined { .. }
            | EventBody::ChapterMarked { .. }
            | EventBody::NoteTaken { .. }
            | EventBody::SheetScored { .. } => self.change_showing(event),
        }
    }

    fn change_attendance(&mut self, event: &Event) {
        let at_ms = event.at_ms;
        match &event.body {
            EventBody::RollCallOpened { roll_call, closes_ms, .. } => {
                self.roll_call = Some(RollCall {
                    id: *roll_call,
                    opened_ms: at_ms,
                    closes_ms: *closes_ms,
                    closed_ms: None,
                    answered: Default::default(),
                    counted: Default::default(),
                });
            }
            EventBody::RollCallAnswered { roll_call, member } => {
                if let Some(open) = self.roll_call.as_mut().filter(|r| r.id == *roll_call) {
                    open.answered.entry(member.clone()).or_insert(at_ms);
                }
            }
            EventBody::RollCallCounted { roll_call, member, school, present, expected, ticked } => {
                if let Some(open) = self.roll_call.as_mut().filter(|r| r.id == *roll_call) {
                    let counted = Headcount {
                        school: school.clone(),
                        present: *present,
                        expected: *expected,
                        ticked: ticked.clone(),
                    };
                    open.counted.insert(member.clone(), counted);
                }
            }
            EventBody::RollCallClosed { roll_call, .. } => {
                if let Some(open) = self.roll_call.as_mut().filter(|r| r.id == *roll_call) {
                    open.closed_ms.get_or_insert(at_ms);
                }
            }
            EventBody::MemberAway { member, away } => self.set_away(member, *away, at_ms),
            _ => {}
        }
    }

    fn change_asking(&mut self, event: &Event) {
        let at_ms = event.at_ms;
        match &event.body {
            EventBody::HandsCounted { member, school, count } => {
                self.count_hands(member, school, *count, at_ms);
            }
            EventBody::MemberPicked { member, among, asked, .. } => {
                self.ask(member);
                self.picked =
                    Some(Picked { member: member.clone(), at_ms, among: *among, asked: *asked });
            }
            EventBody::QuestionAsked { question, text, .. } => {
                self.question = Some(Question {
                    id: *question,
                    text: text.clone(),
                    asked_ms: at_ms,
                    first_hand_ms: None,
                    closed_ms: None,
                    answered: Vec::new(),
                });
            }
            EventBody::QuestionAnswered { question, member, .. } => self.credit(*question, member),
            EventBody::QuestionClosed { question, .. } => {
                if let Some(open) = self.question.as_mut().filter(|q| q.id == *question) {
                    open.closed_ms.get_or_insert(at_ms);
                }
            }
            EventBody::BuzzerOpened { buzzer, title, .. } => {
                self.buzzer = Some(Buzzer {
                    id: *buzzer,
                    title: title.clone(),
                    opened_ms: at_ms,
                    closed_ms: None,
                    presses: Vec::new(),
                });
            }
            EventBody::BuzzerPressed { buzzer, member, .. } => {
                self.first_hand(at_ms);
                if let Some(open) = self.buzzer.as_mut().filter(|b| b.id == *buzzer) {
                    open.presses.push(Press { member: member.clone(), at_ms });
                }
            }
            EventBody::BuzzerClosed { buzzer, .. } => {
                if let Some(open) = self.buzzer.as_mut().filter(|b| b.id == *buzzer) {
                    open.closed_ms.get_or_insert(at_ms);
                }
            }
            _ => {}
        }
    }

    fn change_talk(&mut self, event: &Event) {
        let at_ms = event.at_ms;
        match &event.body {
            EventBody::ChatSet { mode, .. } => self.chat.mode = *mode,
            EventBody::ChatSaid { message, member, text, to } => {
                let (member, text) = (member.clone(), text.clone());
                self.said(Said { id: *message, member, text, to: *to, at_ms });
            }
            EventBody::ChatRemoved { message, .. } => {
                self.chat.messages.retain(|m| m.id != *message);
            }
            EventBody::ChatSilenced { member, silenced, .. } => {
                self.set_silenced(member, *silenced);
            }
            EventBody::ReactionGiven { member, reaction, count } => {
                let count = count.unwrap_or(1);
                self.reacted(member, Reacted { reaction: *reaction, count, at_ms });
            }
            EventBody::ReactionsCleared { .. } => self.reactions.clear(),
            EventBody::PraiseGiven { member, text, .. } => {
                self.praised(Praise { member: member.clone(), at_ms, text: text.clone() });
            }
            _ => {}
        }
    }

    fn change_showing(&mut self, event: &Event) {
        match &event.body {
            EventBody::TimerStarted { ends_ms, seconds, title, .. } => {
                let (ends_ms, seconds) = (*ends_ms, *seconds);
                self.timer = Some(Timer { ends_ms, seconds, title: title.clone() });
            }
            EventBody::TimerStopped { .. } => self.timer = None,
            EventBody::ViewDirected { layout, focus, auto, .. } => {
                self.view = View { layout: *layout, focus: focus.clone(), auto: *auto };
            }
            EventBody::CaptionPosted { text, start_ms, end_ms, lang, .. }
                if self.phase < Phase::Ended =>
            {
                let (text, lang) = (text.clone(), lang.clone());
                let (start_ms, end_ms) = (*start_ms, *end_ms);
                self.caption = Some(Caption { text, start_ms, end_ms, lang });
            }
            EventBody::ProposalMade { proposal, member, content } => {
                let (member, content) = (member.clone(), content.clone());
                self.made_proposal(Proposal { id: *proposal, member, content });
            }
            EventBody::ProposalAccepted { proposal, .. }
            | EventBody::ProposalDeclined { proposal, .. } => {
                self.proposals.retain(|p| p.id != *proposal);
            }
            EventBody::ChapterMarked { title, from_ms, .. } => self.mark_chapter(title, *from_ms),
            EventBody::NoteTaken { note, member, text, about_ms } => {
                let (member, text) = (member.clone(), text.clone());
                self.took_note(Note { id: *note, member, text, at_ms: *about_ms });
            }
            EventBody::SheetScored { member, sheet } => {
                self.sheets.insert(member.clone(), sheet.clone());
            }
            _ => {}
        }
    }

    /// Opened again after an earlier run, it is a new one: of what happened nothing is left.
    fn opens(&mut self, info: &LessonInfo) {
        if self.phase >= Phase::Ended {
            let was = std::mem::replace(self, Self::new(info.clone()));
            let Self { seq, run, members, hands, stage, muted, tracks, .. } = was;
            *self = Self { seq, run, members, hands, stage, muted, tracks, ..self.clone() };
        }
        if self.phase != Phase::Open {
            self.run += 1;
        }
        self.info = info.clone();
        self.phase = Phase::Open;
    }

    /// What is of the moment is over; what is known of the lesson stays.
    fn ends(&mut self, at_ms: u64) {
        self.attendance_ends(at_ms);
        self.asking_ends(at_ms);
        if let Some(quiz) = &mut self.quiz {
            quiz.closed_ms.get_or_insert(at_ms);
        }
        self.phase = Phase::Ended;
        self.ended_ms = Some(at_ms);
        self.hands.clear();
        self.stage.clear();
        self.slides = None;
        self.reactions.clear();
        self.timer = None;
        self.groups = None;
        self.caption = None;
        self.proposals.clear();
    }

    fn leaves(&mut self, member: &MemberId, at_ms: u64) {
        self.went(member, at_ms);
        self.members.remove(member);
        self.hands.retain(|h| h.member != *member);
        self.stage.retain(|m| m != member);
        self.tracks.retain(|t, _| t.member != *member);
        self.hand_counts.remove(member);
        self.reactions.remove(member);
        self.visit_group(member, None);
        if self.picked.as_ref().is_some_and(|p| p.member == *member) {
            self.picked = None;
        }
        if self.view.focus.as_ref() == Some(member) {
            self.view.focus = None;
        }
    }

    fn raises_hand(&mut self, member: &MemberId, at_ms: u64) {
        self.first_hand(at_ms);
        if self.phase < Phase::Ended {
            // One that was heard of late may have waited longer than others.
            let after = self.hands.partition_point(|h| h.at_ms <= at_ms);
            self.hands.insert(after, Hand { member: member.clone(), at_ms });
        }
    }
}
