//! From a lesson's events to behaviour records: a pure function of the log. Reading the same
//! log again, from the beginning or in other portions, gives the same records with the same ids.
//!
//! A record has the id of the event it begins with. What lasts (a call to the stage, a shared
//! screen, a camera) is written when it ends; what happens before the lesson starts is
//! written when it starts, because only then its session has an id.

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
                let call = Call { since: now, by: by.clone(), hand };
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
            _ => {}
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

    fn end_everything(&mut self, now: Since, out: &mut Vec<Behaviour>) {
        self.end_page(now, out);
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
pub mod script {
    //! A lesson's events, written by hand.

    use super::*;
    use cloudschool_protocol::id::{NodeId, SchoolId};
    use cloudschool_protocol::media::Codec;

    pub const START: u64 = 1_800_000_000_000;

    pub fn member(id: &str, role: Role, school: &str) -> Member {
        Member {
            id: MemberId::new(id).unwrap(),
            name: id.into(),
            role,
            school: SchoolId::new(school).unwrap(),
            node: NodeId::new(school).unwrap(),
        }
    }

    pub fn info() -> LessonInfo {
        LessonInfo {
            id: LessonId::new("math").unwrap(),
            title: "分数".into(),
            subject: "14".into(),
            grade: "3".into(),
            teacher: "李老师".into(),
            campus: SchoolId::new("campus").unwrap(),
            schools: ["school-01", "school-02"].map(|s| SchoolId::new(s).unwrap()).into(),
            planned_start_ms: None,
            planned_minutes: Some(40),
            code: None,
        }
    }

    pub fn derivation() -> Derivation {
        Derivation::new(info(), Pseudonyms::new(&[7; 32]))
    }

    pub fn id(text: &str) -> MemberId {
        MemberId::new(text).unwrap()
    }

    pub fn joined(m: &str, role: Role, school: &str) -> EventBody {
        EventBody::MemberJoined { member: member(m, role, school) }
    }

    pub fn track(name: &str, on: bool) -> EventBody {
        let track: TrackId = name.parse().unwrap();
        let codec = if track.kind() == cloudschool_protocol::media::Kind::Audio {
            Codec::Opus
        } else {
            Codec::H264
        };
        match on {
            true => EventBody::TrackPublished { track, codec, node: NodeId::new("n").unwrap() },
            false => EventBody::TrackUnpublished { track },
        }
    }

    /// Numbers `bodies`, a second apart, the first at [`START`].
    pub fn events(bodies: impl IntoIterator<Item = EventBody>) -> Vec<Event> {
        let numbered = (1u64..).zip(bodies);
        numbered
            .map(|(seq, body)| {
                let at_ms = START + (seq - 1) * 1000;
                Event::new(seq, computed_id(at_ms, &["event", &seq.to_string()]), at_ms, body)
            })
            .collect()
    }

    /// A whole small lesson.
    pub fn lesson() -> Vec<Event> {
        events([
            EventBody::LessonOpened { info: info() },
            joined("li", Role::Teacher, "campus"),
            joined("class1", Role::Classroom, "school-01"),
            track("li/camera", true),
            track("class1/camera", true),
            EventBody::LessonStarted {
                by: id("li"),
                session: computed_id(START + 5000, &["session"]),
            },
            joined("wang", Role::Student, "school-01"),
            joined("zhao", Role::Observer, "campus"),
            EventBody::HandRaised { member: id("wang") },
            EventBody::StageCalled { member: id("wang"), by: id("li") },
            EventBody::HandRaised { member: id("class1") },
            EventBody::HandLowered { member: id("class1"), by: id("li") },
            EventBody::StageLeft { member: id("wang"), by: id("li") },
            track("li/screen", true),
            EventBody::StageCalled { member: id("class1"), by: id("li") },
            track("li/screen", false),
            EventBody::MemberMuted { member: id("wang"), muted: true, by: id("li") },
            EventBody::MemberLeft {
                member: id("wang"),
                reason: cloudschool_protocol::event::LeaveReason::Lost,
            },
            EventBody::LessonEnded { by: id("li") },
            EventBody::MemberLeft {
                member: id("class1"),
                reason: cloudschool_protocol::event::LeaveReason::Ended,
            },
            EventBody::LessonArchived { recording: "http://l/1".into(), duration_ms: 13_000 },
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::script::*;
    use super::*;
    use proptest::prelude::*;

    fn run(events: &[Event]) -> Vec<Behaviour> {
        let mut derivation = derivation();
        events.iter().flat_map(|e| derivation.apply(e).unwrap()).collect()
    }

    fn of(records: &[Behaviour], code: Code) -> Vec<&Behaviour> {
        records.iter().filter(|r| r.code == code).collect()
    }

    #[test]
    fn a_lesson_gives_its_records() {
        let records = run(&lesson());
        let codes: Vec<&str> = records.iter().map(|r| r.code.as_str()).collect();
        assert_eq!(
            codes,
            [
                "L03", "L03", "L01", "L03", "S01", "S01", "S02", "T12", "T09", "L04", "T12", "S11",
                "L02", "L04"
            ]
        );
        for record in &records {
            record.check().unwrap();
            assert_eq!(record.session_id, records[2].session_id);
        }
        let phases: Vec<_> = records.iter().map(|r| r.phase).collect();
        assert_eq!(phases[..2], [TeachingPhase::Pre; 2]);
        assert_eq!(phases[2], TeachingPhase::In, "the start is in the lesson");
        assert_eq!(phases[11], TeachingPhase::Pre, "the camera was on before the lesson");
        assert_eq!(phases[12], TeachingPhase::In, "the end is in the lesson");
        assert_eq!(phases[13], TeachingPhase::Post);
        assert_eq!(records[0].offset_ms, None);
        assert_eq!(records[2].offset_ms, Some(0));
    }

    #[test]
    fn a_call_is_an_interval_from_teacher_to_person_that_names_the_hand() {
        let records = run(&lesson());
        let calls = of(&records, Code::T12);
        let hand = of(&records, Code::S01)[0];
        assert_eq!(calls[0].cause, Some(hand.id));
        assert_eq!(calls[0].object.as_ref().unwrap().id, hand.actor.id);
        assert_eq!(calls[0].actor.role, ActorRole::T);
        assert_eq!(calls[0].site_kind, SiteKind::Host);
        assert_eq!((calls[0].start.0, calls[0].lasted_ms()), (START + 9000, 3000));
        assert_eq!(calls[1].end, Some(Timestamp(START + 18_000)), "ended with the lesson");
        assert_eq!(calls[1].cause, None, "the hand had been taken down");
    }

    #[test]
    fn a_hand_and_an_end_are_tied_to_what_they_end() {
        let records = run(&lesson());
        let down = of(&records, Code::S02)[0];
        assert_eq!(down.cause, Some(of(&records, Code::S01)[1].id));
        assert_eq!(down.result.as_ref().unwrap().duration_ms, Some(1000));
        assert_eq!(down.actor.role, ActorRole::C, "the hand's owner, not who took it down");
        let end = of(&records, Code::L02)[0];
        assert_eq!(end.cause, Some(of(&records, Code::L01)[0].id));
        assert_eq!(end.result.as_ref().unwrap().duration_ms, Some(13_000));
    }

    #[test]
    fn who_looks_on_gives_no_record_and_nobody_is_named() {
        let records = run(&lesson());
        assert_eq!(of(&records, Code::L03).len(), 3);
        let text = serde_json::to_string(&records).unwrap();
        for name in ["wang", "li\"", "class1", "李"] {
            assert!(!text.contains(name), "{name}");
        }
    }

    #[test]
    fn a_lesson_that_never_starts_writes_nothing() {
        assert_eq!(run(&lesson()[..5]), []);
    }

    #[test]
    fn publishing_again_after_a_break_is_one_interval() {
        let mut bodies: Vec<_> = lesson()[..6].iter().map(|e| e.body.clone()).collect();
        bodies.extend([track("class1/camera", true), track("class1/camera", false)]);
        let records = run(&events(bodies));
        let cameras = of(&records, Code::S11);
        assert_eq!(cameras.len(), 1);
        assert_eq!(cameras[0].start.0, START + 4000);
    }

    #[test]
    fn speech_is_coded_by_who_speaks_and_whether_called() {
        let mut d = derivation();
        for event in &lesson()[..10] {
            d.apply(event).unwrap();
        }
        let said = Utterance { start_ms: START + 9500, end_ms: START + 9900, voiced_ms: 400 };
        let code = |who: &str| d.speech(&id(who), &said, d.call(&id(who)), 0.9).map(|b| b.code);
        assert_eq!(code("li"), Some(Code::T01));
        assert_eq!(code("wang"), Some(Code::S04));
        assert_eq!(code("class1"), Some(Code::S05));
        assert_eq!(code("zhao"), None);
        assert_eq!(code("nobody"), None);
        let answer = d.speech(&id("wang"), &said, d.call(&id("wang")), 0.9).unwrap();
        answer.check().unwrap();
        assert_eq!(answer.cause, Some(lesson()[9].id));
        assert_eq!(answer.offset_ms, Some(4500));
        assert_eq!(Some(answer.id), d.speech(&id("wang"), &said, None, 0.5).map(|b| b.id));
    }

    #[test]
    fn each_page_of_slides_is_an_interval_until_the_next_or_the_end() {
        let page = cloudschool_protocol::slides::DeckPage {
            asset: cloudschool_protocol::asset::AssetId::of_digest([1; 32]),
            width: 4,
            height: 3,
            small: None,
            title: None,
        };
        let deck_id = DeckId::new("fractions").unwrap();
        let pages = vec![page; 3];
        let deck = cloudschool_protocol::slides::Deck {
            id: deck_id.clone(),
            title: "分数".into(),
            pages,
            text: None,
        };
        let open =
            || EventBody::SlidesOpened { deck: Box::new(deck.clone()), page: 1, by: id("li") };
        let mut bodies: Vec<_> = lesson()[..6].iter().map(|e| e.body.clone()).collect();
        bodies.extend([
            open(),
            EventBody::SlidesTurned { deck: deck_id, page: 3, by: id("li") },
            EventBody::SlidesClosed { by: id("li") },
            open(),
            EventBody::LessonEnded { by: id("li") },
        ]);
        let records = run(&events(bodies));
        let shown: Vec<_> = of(&records, Code::T10)
            .into_iter()
            .map(|r| {
                r.check().unwrap();
                assert_eq!(r.actor.role, ActorRole::T);
                (r.object.as_ref().unwrap().id.as_str(), r.lasted_ms())
            })
            .collect();
        assert_eq!(shown, [("fractions/1", 1000), ("fractions/3", 1000), ("fractions/1", 1000)]);
    }

    proptest! {
        #[test]
        fn any_prefix_read_twice_gives_the_same_records(cut in 0usize..=21) {
            let events = lesson();
            let whole = run(&events);
            let mut d = derivation();
            let mut first = Vec::new();
            for e in events[..cut].iter().chain(&events) {
                first.extend(d.apply(e).unwrap());
            }
            prop_assert_eq!(first, whole.clone());
            // A process killed after `cut` and started anew reads all again.
            let again: Vec<_> = run(&events[..cut]).into_iter().chain(run(&events)).map(|b| (b.id, b)).collect();
            let table: BTreeMap<_, _> = again.into_iter().collect();
            prop_assert_eq!(table.len(), whole.len());
        }
    }

    #[test]
    fn a_gap_changes_nothing() {
        let events = lesson();
        let mut d = derivation();
        d.apply(&events[0]).unwrap();
        assert!(d.apply(&events[2]).is_err());
        assert_eq!(d.state().seq, 1);
    }
}
