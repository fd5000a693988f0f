//! From a lesson's events to behaviour records: a pure function of the log. Reading the same
//! log again, from the beginning or in other portions, gives the same records with the same ids.
//!
//! A record has the id of the event it begins with. What lasts (a call to the stage, a shared
//! screen, a camera) is written when it ends; what happens before the lesson starts is
//! written when it starts, because only then its session has an id.

mod interactions;

use crate::codes::Code;
use crate::pseudonym::Pseudonyms;
use crate::record::{
    Actor, ActorRole, Behaviour, Object, ObjectKind, Origin, Outcome, PROFILE, SiteKind,
    SourceKind, TeachingPhase, Timestamp, computed_id, site_id,
};
use crate::speech::Utterance;
use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::id::{DeckId, LessonId, MemberId};
use cloudschool_protocol::lesson::{Gap, LessonInfo, Phase, State};
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::member::{Member, Role};
use interactions::Under;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A lesson's events so far, and what is under way.
#[derive(Debug, Clone)]
pub struct Derivation {
    state: State,
    pseudonyms: Pseudonyms,
    /// Id of the log's first event: names the log.
    log: Option<Uuid>,
    /// Everyone who ever was in the lesson: who has left can still have something to end.
    people: BTreeMap<MemberId, Member>,
    joined: BTreeMap<MemberId, Since>,
    hands: BTreeMap<MemberId, Since>,
    calls: BTreeMap<MemberId, Call>,
    tracks: BTreeMap<TrackId, Since>,
    /// The page of slides that is shown.
    shown: Option<Shown>,
    /// What is under way of interactions.
    under: Under,
    /// The event the lesson started with.
    started: Option<Since>,
    /// From before the lesson started: to be written, with its session, when it does.
    waiting: Vec<Behaviour>,
}

/// An event something is to be tied to, and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Since {
    event: Uuid,
    at_ms: u64,
}

/// A member on stage.
#[derive(Debug, Clone)]
struct Call {
    since: Since,
    by: MemberId,
    hand: Option<Uuid>,
    /// The group it presents for.
    presenting: Option<Box<Behaviour>>,
}

/// A page of slides that is shown.
#[derive(Debug, Clone)]
struct Shown {
    since: Since,
    by: MemberId,
    deck: DeckId,
    page: u16,
}

impl Derivation {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(info: LessonInfo, pseudonyms: Pseudonyms) -> Self {
        Self {
            state: State::new(info),
            pseudonyms,
            log: None,
            people: BTreeMap::new(),
            joined: BTreeMap::new(),
            hands: BTreeMap::new(),
            calls: BTreeMap::new(),
            tracks: BTreeMap::new(),
            shown: None,
            under: Under::default(),
            started: None,
            waiting: Vec::new(),
        }
    }

    /// The lesson as of the last event.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The name of the log that is read: the id of its first event.
    #[must_use]
    pub fn log(&self) -> Option<Uuid> {
        self.log
    }

    /// Reads the next event. One already read gives nothing.
    ///
    /// # Errors
    /// [`Gap`] when events are missing; nothing has changed then.
    pub fn apply(&mut self, event: &Event) -> Result<Vec<Behaviour>, Gap> {
        if event.seq <= self.state.seq {
            return Ok(Vec::new());
        }
        let before = self.state.phase;
        self.state.apply(event)?;
        if event.seq == 1 {
            self.log = Some(event.id);
        }
        let mut out = Vec::new();
        self.derive(event, before, &mut out);
        Ok(self.with_session(out))
    }

    fn derive(&mut self, event: &Event, before: Phase, out: &mut Vec<Behaviour>) {
        let now = Since { event: event.id, at_ms: event.at_ms };
        match &event.body {
            EventBody::LessonOpened { .. }
            | EventBody::LessonArchived { .. }
            | EventBody::MemberMuted { .. } => {}
            EventBody::LessonStarted { by, .. } => {
                self.started = Some(now);
                out.push(self.leading(now, by, Code::L01));
            }
            EventBody::LessonEnded { by } => {
                self.end_everything(now, out);
                let mut end = self.leading(now, by, Code::L02);
                if let Some(start) = self.started {
                    end.cause = Some(start.event);
                    end.result = Some(Outcome::lasting(now.at_ms.saturating_sub(start.at_ms)));
                }
                out.push(end);
            }
            EventBody::MemberJoined { member } => {
                self.people.insert(member.id.clone(), member.clone());
                self.joined.insert(member.id.clone(), now);
                out.extend(self.act(now, &member.id, Code::L03));
            }
            EventBody::MemberLeft { member, .. } => {
                self.hands.remove(member);
                self.end_away(now, member, out);
                self.end_call(now, member, out);
                let theirs: Vec<_> =
                    self.tracks.keys().filter(|t| t.member == *member).cloned().collect();
                for track in theirs {
                    self.end_track(now, &track, out);
                }
                let since = self.joined.remove(member);
                out.extend(self.act(now, member, Code::L04).map(|b| tied(b, since, now)));
            }
            EventBody::HandRaised { member } => {
                self.hands.insert(member.clone(), now);
                out.extend(self.act(now, member, Code::S01));
            }
            EventBody::HandLowered { member, .. } => {
                let since = self.hands.remove(member);
                out.extend(self.act(now, member, Code::S02).map(|b| tied(b, since, now)));
            }
            EventBody::StageCalled { member, by } => {
                let hand = self.hands.remove(member).map(|h| h.event);
                let presenting = self.presenting(now, member).map(Box::new);
                let call = Call { since: now, by: by.clone(), hand, presenting };
                // Called again while on stage: the first call goes on.
                self.calls.entry(member.clone()).or_insert(call);
            }
            EventBody::StageLeft { member, .. } => self.end_call(now, member, out),
            EventBody::TrackPublished { track, .. } => {
                if before < Phase::Ended && self.track_code(track).is_some() {
                    // Published again after a broken connection: the first goes on.
                    self.tracks.entry(track.clone()).or_insert(now);
                }
            }
            EventBody::TrackUnpublished { track } => self.end_track(now, track, out),
            EventBody::SlidesOpened { .. } | EventBody::SlidesTurned { .. }
                if before >= Phase::Ended => {}
            EventBody::SlidesOpened { deck, page, by } => {
                self.show(now, by, deck.id.clone(), *page, out);
            }
            EventBody::SlidesTurned { deck, page, by } => {
                self.show(now, by, deck.clone(), *page, out);
            }
            EventBody::SlidesClosed { .. } => self.end_page(now, out),
            EventBody::BoardWriters { .. } => {}
            EventBody::BoardDrawn { member, strokes, from_ms } => {
                let since = Since { at_ms: *from_ms, ..now };
                out.extend(self.drew(since, member, *strokes).map(|r| until(r, now.at_ms)));
            }
            _ => self.derive_interaction(event, now, before, out),
        }
    }

    /// The behaviour that publishing `track` is.
    fn track_code(&self, track: &TrackId) -> Option<Code> {
        let role = self.people.get(&track.member)?.role;
        match track.source {
            Source::Screen => Some(Code::T09),
            Source::Camera if role != Role::Teacher => Some(Code::S11),
            Source::Camera | Source::Microphone | Source::ScreenAudio => None,
        }
    }

    fn show(
        &mut self,
        now: Since,
        by: &MemberId,
        deck: DeckId,
        page: u16,
        out: &mut Vec<Behaviour>,
    ) {
        self.end_page(now, out);
        self.shown = Some(Shown { since: now, by: by.clone(), deck, page });
    }

    /// What was shown of a deck, as one interval for each page.
    fn end_page(&mut self, now: Since, out: &mut Vec<Behaviour>) {
        let Some(shown) = self.shown.take() else { return };
        let mut record = self.leading(shown.since, &shown.by, Code::T10);
        let id = format!("{}/{}", shown.deck, shown.page);
        record.object = Some(Object { kind: ObjectKind::Resource, id });
        out.push(until(record, now.at_ms));
    }

    /// What somebody wrote on the board: how much, never what.
    fn drew(&self, since: Since, member: &MemberId, strokes: u32) -> Option<Behaviour> {
        let record = self.act(since, member, Code::T08)?;
        let id = format!("{}/{}", self.state.info.id, self.state.run);
        let object = Some(Object { kind: ObjectKind::Board, id });
        let result = Some(Outcome { response: Some(strokes.to_string()), ..Outcome::default() });
        Some(Behaviour { object, result, ..record })
    }

    fn end_everything(&mut self, now: Since, out: &mut Vec<Behaviour>) {
        self.end_page(now, out);
        self.end_interactions(now, out);
        self.hands.clear();
        let called: Vec<_> = self.calls.keys().cloned().collect();
        for member in called {
            self.end_call(now, &member, out);
        }
        let tracks: Vec<_> = self.tracks.keys().cloned().collect();
        for track in tracks {
            self.end_track(now, &track, out);
        }
    }

    fn end_call(&mut self, now: Since, member: &MemberId, out: &mut Vec<Behaviour>) {
        let Some(call) = self.calls.remove(member) else { return };
        let mut record = self.leading(call.since, &call.by, Code::T12);
        // Item 04 is the actor's, as in every record; whoever needs the school the floor went
        // to finds it by the person, in its L03.
        record.object = Some(Object { kind: ObjectKind::Person, id: self.pseudonyms.of(member) });
        record.cause = call.hand;
        out.push(until(record, now.at_ms));
        out.extend(call.presenting.map(|presented| until(*presented, now.at_ms)));
    }

    fn end_track(&mut self, now: Since, track: &TrackId, out: &mut Vec<Behaviour>) {
        let Some(since) = self.tracks.remove(track) else { return };
        let Some(code) = self.track_code(track) else { return };
        let Some(mut record) = self.act(since, &track.member, code) else { return };
        if code == Code::T09 {
            let id = computed_id(since.at_ms, &["screen", &since.event.to_string()]).to_string();
            record.object = Some(Object { kind: ObjectKind::Screen, id });
        }
        out.push(until(record, now.at_ms));
    }

    /// What `member` did, unless its role takes no part in teaching.
    fn act(&self, at: Since, member: &MemberId, code: Code) -> Option<Behaviour> {
        let member = self.people.get(member)?;
        let role = ActorRole::of(member.role)?;
        Some(self.record(at, member, role, code))
    }

    /// What whoever leads the lesson did. An operator who starts or ends it acts for the
    /// platform, a device; so does who is not known.
    fn leading(&self, at: Since, by: &MemberId, code: Code) -> Behaviour {
        let campus = &self.state.info.campus;
        match self.people.get(by) {
            Some(member) => {
                let role = ActorRole::of(member.role).unwrap_or(ActorRole::D);
                self.record(at, member, role, code)
            }
            None => Behaviour {
                school_id: campus.to_string(),
                site_id: short(campus.as_str()),
                site_kind: SiteKind::Host,
                actor: Actor { id: self.pseudonyms.of(by), role: ActorRole::D },
                ..self.bare(at, code)
            },
        }
    }

    fn record(&self, at: Since, member: &Member, role: ActorRole, code: Code) -> Behaviour {
        Behaviour {
            school_id: member.school.to_string(),
            site_id: site_id(&member.node),
            site_kind: SiteKind::of(&member.school, &self.state.info.campus),
            actor: Actor { id: self.pseudonyms.of(&member.id), role },
            ..self.bare(at, code)
        }
    }

    fn bare(&self, at: Since, code: Code) -> Behaviour {
        let started = self.started.map(|s| s.at_ms);
        let phase = match (started, self.state.ended_ms) {
            (Some(start), _) if at.at_ms < start => TeachingPhase::Pre,
            (None, _) => TeachingPhase::Pre,
            (Some(start), Some(end)) if end >= start && at.at_ms > end => TeachingPhase::Post,
            _ => TeachingPhase::In,
        };
        Behaviour {
            id: at.event,
            profile: PROFILE.into(),
            lesson_id: self.state.info.id.clone(),
            session_id: self.state.session.unwrap_or_default(),
            school_id: String::new(),
            site_id: String::new(),
            site_kind: SiteKind::Host,
            actor: Actor { id: String::new(), role: ActorRole::D },
            code,
            phase,
            start: Timestamp(at.at_ms),
            end: None,
            offset_ms: started.and_then(|s| at.at_ms.checked_sub(s)),
            object: None,
            result: None,
            source: Origin::signal(),
            cause: None,
        }
    }

    /// Keeps what has no session yet, and lets it go, in order, when there is one.
    fn with_session(&mut self, new: Vec<Behaviour>) -> Vec<Behaviour> {
        let Some(session) = self.state.session else {
            self.waiting.extend(new);
            return Vec::new();
        };
        let mut out = std::mem::take(&mut self.waiting);
        for record in &mut out {
            record.session_id = session;
        }
        out.extend(new);
        out
    }

    /// The call that has `member` on stage.
    #[must_use]
    pub fn call(&self, member: &MemberId) -> Option<Uuid> {
        self.calls.get(member).map(|call| call.since.event)
    }

    /// The record of what a detector heard from `member`; `None` when the member is no actor
    /// or there is no session. `call` is the one it answers.
    #[must_use]
    pub fn speech(
        &self,
        member: &MemberId,
        said: &Utterance,
        call: Option<Uuid>,
        confidence: f64,
    ) -> Option<Behaviour> {
        let session = self.state.session?;
        let who = self.people.get(member)?;
        let code = match who.role {
            Role::Teacher => Code::T01,
            _ if call.is_some() => Code::S04,
            _ => Code::S05,
        };
        let id = speech_id(&self.state.info.id, session, member, said.start_ms);
        let record = self.act(Since { event: id, at_ms: said.start_ms }, member, code)?;
        let cause = call.filter(|_| code == Code::S04);
        let source = Origin { kind: SourceKind::Media, device: None, confidence: Some(confidence) };
        Some(until(Behaviour { cause, source, ..record }, said.end_ms))
    }
}

/// The id of a speech interval.
fn speech_id(lesson: &LessonId, session: Uuid, member: &MemberId, start_ms: u64) -> Uuid {
    let parts = ["speech", lesson.as_str(), &session.to_string(), member.as_str()];
    computed_id(start_ms, &parts)
}

/// `record` tied to what it ends.
fn tied(record: Behaviour, since: Option<Since>, now: Since) -> Behaviour {
    let result = since.map(|s| Outcome::lasting(now.at_ms.saturating_sub(s.at_ms)));
    Behaviour { cause: since.map(|s| s.event), result, ..record }
}

/// `record` as an interval that ended at `end_ms`; a clock set back doesn't end it before it began.
fn until(record: Behaviour, end_ms: u64) -> Behaviour {
    Behaviour { end: Some(Timestamp(end_ms.max(record.start.0))), ..record }
}

fn short(campus: &str) -> String {
    campus.chars().take(32).collect()
}

#[cfg(test)]
pub mod script;
#[cfg(test)]
mod tests;
