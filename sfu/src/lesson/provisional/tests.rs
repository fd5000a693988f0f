use super::super::settled::Settled;
use super::*;
use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::event::{EventBody, LeaveReason};
use cloudschool_protocol::id::{LessonId, MemberId, SchoolId};
use cloudschool_protocol::lesson::{LessonInfo, Phase};
use cloudschool_protocol::member::{Member, Role};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

const LIMITS: Limits = Limits { members: 1000, chat_per_second: 20 };

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn id(name: &str) -> MemberId {
    MemberId::new(name).unwrap()
}

fn info() -> LessonInfo {
    LessonInfo {
        id: LessonId::new("math").unwrap(),
        title: String::new(),
        subject: String::new(),
        grade: String::new(),
        teacher: "李老师".into(),
        campus: SchoolId::new("campus").unwrap(),
        schools: vec![SchoolId::new("school-01").unwrap()],
        school_names: Default::default(),
        planned_start_ms: None,
        planned_minutes: None,
        code: None,
    }
}

fn member(name: &str, role: Role, at: &str) -> Member {
    Member {
        id: id(name),
        name: name.into(),
        role,
        school: SchoolId::new(at).unwrap(),
        node: node(at),
    }
}

/// The origin of a lesson, with its log as the disk has it.
struct Campus {
    log: Vec<Event>,
    state: State,
    settled: Settled,
}

impl Campus {
    fn new() -> Self {
        let mut campus =
            Self { log: vec![], state: State::new(info()), settled: Settled::default() };
        campus.happen(rules::open(&campus.state, &info()).unwrap(), 1);
        campus.joins("li", Role::Teacher, "campus");
        campus.asks("li", MemberCommand::Start, 1).unwrap();
        campus
    }

    fn happen(&mut self, bodies: Vec<EventBody>, now_ms: u64) {
        let events = rules::number(&self.state, bodies, now_ms, &mut Uuid::now_v7);
        let mut new = Vec::new();
        rules::happen(&mut self.state, &mut new, events).unwrap();
        self.settled.logged(&new);
        self.log.extend(new);
    }

    fn submit(&mut self, command: Command, from: &str, now_ms: u64) -> Result<(), Refusal> {
        let mut ids = Uuid::now_v7;
        let bodies = rules::decide(&self.state, &command, &node(from), &LIMITS, now_ms, &mut ids)?;
        self.happen(bodies, now_ms);
        Ok(())
    }

    fn joins(&mut self, name: &str, role: Role, at: &str) {
        self.submit(Command::Join { member: member(name, role, at) }, at, 1).unwrap();
    }

    fn asks(&mut self, by: &str, command: MemberCommand, now_ms: u64) -> Result<(), Refusal> {
        let at = self.state.members.get(&id(by)).map_or("campus".into(), |m| m.node.to_string());
        self.submit(Command::Member { by: id(by), command }, &at, now_ms)
    }

    /// Takes what a school hands up. A crash cuts the batch that is being logged to so many of
    /// its events, and the school hears nothing.
    fn take(
        &mut self,
        entries: Vec<HandUpEntry>,
        now_ms: u64,
        crash: Option<usize>,
    ) -> Option<Vec<HandUpOutcome>> {
        let (mut state, mut events) = (self.state.clone(), Vec::new());
        let from = node("school-01");
        let outcomes =
            self.settled.decide(&mut state, &mut events, entries, &from, &LIMITS, now_ms);
        if let Some(kept) = crash {
            self.log.extend(events.into_iter().take(kept));
            self.restart();
            return None;
        }
        self.state = state;
        self.settled.logged(&events);
        self.log.extend(events);
        self.settled.without_event(&outcomes);
        Some(outcomes)
    }

    fn restart(&mut self) {
        self.settled = Settled::default();
        self.settled.logged(&self.log);
        self.state = replayed(&self.log);
    }
}

fn replayed(log: &[Event]) -> State {
    let mut state = State::new(info());
    log.iter().for_each(|event| state.apply(event).unwrap());
    state
}

/// A school's node with its disk and a page that watches.
struct School {
    sides: Sides,
    log: Vec<Event>,
    queue: Vec<HandUpEntry>,
    page: State,
    /// Every event a page was shown as it happened.
    seen: Vec<Uuid>,
    /// Every entry that somebody was told of, in order.
    told: Vec<HandUpEntry>,
    /// What the campus said of those that are not in its log.
    without_event: BTreeMap<Uuid, Option<Refusal>>,
}

impl School {
    fn new(campus: &Campus) -> Self {
        let log = campus.log.clone();
        let state = replayed(&log);
        Self {
            sides: Sides::new(node("school-01"), LIMITS, state.clone(), vec![]),
            log,
            queue: vec![],
            page: state,
            seen: vec![],
            told: vec![],
            without_event: BTreeMap::new(),
        }
    }

    /// Decides by itself. A crash after the entry is on the disk: nobody was told.
    fn asks(&mut self, command: Command, at_ms: u64, crash: bool) -> Result<(), Refusal> {
        let Some(decision) = self.sides.decide(&command, Uuid::now_v7(), at_ms)? else {
            return Ok(());
        };
        self.queue.push(decision.entry.clone());
        self.told.push(decision.entry.clone());
        if crash {
            self.restart();
            return Ok(());
        }
        self.sides.commit(decision.entry, decision.state);
        self.shows(decision.events);
        Ok(())
    }

    fn shows(&mut self, events: Vec<Event>) {
        for event in events {
            self.page.apply(&event).expect("events come in order");
            self.seen.push(event.id);
        }
    }

    /// The next events of the campus come.
    fn hears(&mut self, campus: &Campus, count: usize) {
        let from = self.sides.decided().seq as usize;
        let new: Vec<_> = campus.log[from..].iter().take(count).cloned().collect();
        if new.is_empty() {
            return;
        }
        self.log.extend(new.iter().cloned());
        match self.sides.take(&new) {
            Taken::Shown => self.shows(new),
            Taken::Held => self.settle(),
        }
    }

    fn answered(&mut self, campus: &Campus, outcomes: &[HandUpOutcome]) {
        // The events come before the answer.
        self.hears(campus, usize::MAX);
        let logged: HashSet<Uuid> = campus.log.iter().map(|event| event.id).collect();
        let without = outcomes.iter().filter(|o| !logged.contains(&o.id));
        self.without_event.extend(without.map(|o| (o.id, o.refusal)));
        self.sides.answered(outcomes);
        self.settle();
    }

    fn settle(&mut self) {
        self.queue = self.sides.queue().cloned().collect();
        if self.sides.is_even() {
            self.show_both();
        }
    }

    fn show_both(&mut self) {
        self.page = self.sides.rebase().state;
    }

    fn restart(&mut self) {
        let known: HashSet<_> = self.log.iter().map(|event| event.id).collect();
        self.queue.retain(|entry| !known.contains(&entry.id));
        let state = replayed(&self.log);
        self.sides = Sides::new(node("school-01"), LIMITS, state, self.queue.clone());
        // Pages come back and take the state anew.
        self.show_both();
    }

    /// The line is back for good.
    fn comes_back(&mut self, campus: &mut Campus, now_ms: u64) {
        while !self.sides.is_even() {
            let outcomes = campus.take(self.sides.to_hand_up(), now_ms, None).unwrap();
            self.answered(campus, &outcomes);
        }
        self.hears(campus, usize::MAX);
    }
}

fn raise(by: &str) -> Command {
    Command::Member { by: id(by), command: MemberCommand::RaiseHand }
}

fn asked(by: &str, command: MemberCommand) -> Command {
    Command::Member { by: id(by), command }
}

fn with_class() -> (Campus, School) {
    let mut campus = Campus::new();
    campus.joins("assistant", Role::Assistant, "school-01");
    campus.joins("wang", Role::Student, "school-01");
    campus.joins("zhao", Role::Student, "school-01");
    let school = School::new(&campus);
    (campus, school)
}

#[test]
fn a_hand_raised_in_a_cut_is_up_at_once_and_has_waited_since_then() {
    let (mut campus, mut school) = with_class();
    school.asks(raise("wang"), 5_000, false).unwrap();
    assert_eq!(school.page.hands.len(), 1);
    // Meanwhile somebody at the campus raises a hand as well.
    campus.joins("home", Role::Student, "campus");
    campus.asks("home", MemberCommand::RaiseHand, 8_000).unwrap();
    school.comes_back(&mut campus, 20_000);
    let waiting: Vec<_> = campus.state.hands.iter().map(|h| (h.member.as_str(), h.at_ms)).collect();
    assert_eq!(waiting, [("wang", 5_000), ("home", 8_000)], "the longest waiting first");
    let event = campus.log.last().unwrap();
    assert_eq!(event.at_ms, 5_000);
    assert_eq!(event.late, Some(Late { node: node("school-01"), heard_ms: Some(20_000) }));
    assert_eq!(event.id, school.told[0].id);
    assert_eq!(school.page, campus.state);
}

#[test]
fn a_hand_raised_and_lowered_in_a_cut_is_down_and_both_are_told() {
    let (mut campus, mut school) = with_class();
    school.asks(raise("wang"), 5_000, false).unwrap();
    school.asks(asked("wang", MemberCommand::LowerHand { member: None }), 6_000, false).unwrap();
    school.comes_back(&mut campus, 20_000);
    let bodies: Vec<_> = campus.log.iter().rev().take(2).map(|e| e.at_ms).collect();
    assert_eq!(bodies, [6_000, 5_000]);
    assert!(campus.state.hands.is_empty());
}

#[test]
fn what_the_campus_decided_meanwhile_stands() {
    let (mut campus, mut school) = with_class();
    // The teacher calls wang up; wang, who doesn't know, raises a hand.
    campus.asks("li", MemberCommand::Call { member: id("wang") }, 4_000).unwrap();
    school.asks(raise("wang"), 5_000, false).unwrap();
    school.asks(raise("zhao"), 5_500, false).unwrap();
    school.comes_back(&mut campus, 20_000);
    assert_eq!(campus.state.stage, [id("wang")]);
    assert_eq!(campus.state.hands.len(), 1, "zhao's");
    assert_eq!(school.page, campus.state, "the class sees what the campus has");
    let (first, second) = (school.told[0].id, school.told[1].id);
    assert_eq!(school.without_event, BTreeMap::from([(first, Some(Refusal::AlreadyOnStage))]));
    assert!(campus.log.iter().any(|event| event.id == second));
}

#[test]
fn what_happened_before_the_end_is_told_after_it_and_raises_no_hand() {
    let (mut campus, mut school) = with_class();
    school.asks(raise("wang"), 5_000, false).unwrap();
    campus.asks("li", MemberCommand::End, 6_000).unwrap();
    school.asks(raise("zhao"), 7_000, false).unwrap();
    school.comes_back(&mut campus, 20_000);
    let hands = |e: &&Event| matches!(e.body, EventBody::HandRaised { .. });
    let hands: Vec<_> = campus.log.iter().filter(hands).map(|e| e.id).collect();
    assert_eq!(hands, [school.told[0].id]);
    assert_eq!(school.without_event.get(&school.told[1].id), Some(&Some(Refusal::Ended)));
    assert!(campus.state.hands.is_empty());
    assert_eq!((school.page.phase, &school.page), (Phase::Ended, &campus.state));
    // Another run knows nothing of this one.
    campus.happen(rules::open(&campus.state, &info()).unwrap(), 30_000);
    let late = HandUpEntry { id: Uuid::now_v7(), at_ms: 5_500, from: None, command: raise("zhao") };
    let outcomes = campus.take(vec![late], 40_000, None).unwrap();
    assert_eq!(outcomes[0].refusal, Some(Refusal::Ended));
}

#[test]
fn in_a_cut_the_assistant_leads_the_own_class_and_nobody_else() {
    let (mut campus, mut school) = with_class();
    campus.joins("home", Role::Student, "campus");
    school.hears(&campus, usize::MAX);
    let mute = |member: &str| MemberCommand::Mute { member: id(member), muted: true };
    school.asks(raise("wang"), 4_000, false).unwrap();
    let lower = MemberCommand::LowerHand { member: Some(id("wang")) };
    school.asks(asked("assistant", lower), 5_000, false).unwrap();
    school.asks(asked("assistant", mute("wang")), 5_000, false).unwrap();
    let refused = |command| school_refuses(&mut school, asked("assistant", command));
    let mut refused = refused;
    assert_eq!(refused(mute("home")), Refusal::CampusAway);
    assert_eq!(refused(MemberCommand::Start), Refusal::CampusAway);
    assert_eq!(refused(MemberCommand::End), Refusal::CampusAway);
    assert_eq!(school_refuses(&mut school, asked("zhao", mute("wang"))), Refusal::NotAllowed);
    school.comes_back(&mut campus, 20_000);
    assert_eq!(campus.state.muted, [id("wang")]);
    assert!(school.without_event.is_empty());
    // With the campus there, the teacher leads.
    assert_eq!(campus.asks("assistant", mute("zhao"), 21_000), Err(Refusal::NotAllowed));
}

fn school_refuses(school: &mut School, command: Command) -> Refusal {
    school.asks(command, 6_000, false).unwrap_err()
}

#[test]
fn a_node_hands_up_only_what_it_may_decide() {
    let (mut campus, _) = with_class();
    let before = campus.log.len();
    let entry = |command| HandUpEntry { id: Uuid::now_v7(), at_ms: 2, from: None, command };
    let foreign = Command::Join { member: member("spy", Role::Student, "campus") };
    let archived = Command::Archived { recording: "x".into(), duration_ms: 1 };
    let bad = vec![
        entry(asked("li", MemberCommand::End)),
        entry(foreign),
        entry(archived),
        entry(asked("assistant", MemberCommand::Start)),
    ];
    let outcomes = campus.take(bad, 9, None).unwrap();
    assert!(outcomes.iter().all(|o| o.refusal.is_some()), "{outcomes:?}");
    assert_eq!(campus.log.len(), before);
}

#[test]
fn a_member_that_left_in_a_cut_takes_its_tracks_along_in_one_entry() {
    let (mut campus, mut school) = with_class();
    for source in ["wang/camera", "wang/microphone"] {
        let track: cloudschool_protocol::media::TrackId = source.parse().unwrap();
        let codec = match track.kind() {
            cloudschool_protocol::media::Kind::Audio => cloudschool_protocol::media::Codec::Opus,
            cloudschool_protocol::media::Kind::Video => cloudschool_protocol::media::Codec::H264,
        };
        school.asks(Command::Publish { track, codec }, 3_000, false).unwrap();
    }
    let leave = Command::Leave { member: id("wang"), reason: LeaveReason::Left };
    school.asks(leave, 4_000, false).unwrap();
    assert!(school.page.tracks.is_empty());
    // The batch is cut in the middle of the leave's three events: it is decided anew.
    let entries = school.sides.to_hand_up();
    assert_eq!(campus.take(entries, 9_000, Some(3)), None);
    school.comes_back(&mut campus, 10_000);
    assert!(campus.state.tracks.is_empty() && !campus.state.members.contains_key(&id("wang")));
    exactly_once(&campus, &school);
    assert_eq!(campus.log.iter().filter(|e| e.late.is_some()).count(), 2 + 3);
}

fn exactly_once(campus: &Campus, school: &School) {
    let mut ids = HashSet::new();
    for event in &campus.log {
        assert!(ids.insert(event.id), "an event is in the log twice: {event:?}");
    }
    let place: BTreeMap<Uuid, usize> =
        campus.log.iter().enumerate().map(|(at, event)| (event.id, at)).collect();
    let mut last = 0;
    for entry in &school.told {
        match place.get(&entry.id) {
            Some(&at) => {
                assert!(at > last, "out of order");
                last = at;
                assert_eq!(campus.log[at].at_ms, entry.at_ms);
            }
            None => assert!(school.without_event.contains_key(&entry.id), "lost: {entry:?}"),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A member of the school asks something, by number; perhaps the node dies of it.
    School {
        by: usize,
        what: usize,
        crash: bool,
    },
    Campus {
        by: usize,
        what: usize,
    },
    /// So many of the campus's events come.
    Hears(usize),
    /// The school hands up; the answer may be lost, the campus may die while it logs.
    HandsUp {
        answer: bool,
        crash: Option<usize>,
    },
    ShowsBoth,
    SchoolRestarts,
    CampusRestarts,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let crash = prop_oneof![4 => Just(None), 1 => (0usize..6).prop_map(Some)];
    let step = prop_oneof![
        6 => (0usize..3, 0usize..9, prop::bool::weighted(0.1))
            .prop_map(|(by, what, crash)| Step::School { by, what, crash }),
        3 => (0usize..3, 0usize..9).prop_map(|(by, what)| Step::Campus { by, what }),
        2 => (0usize..5).prop_map(Step::Hears),
        3 => (any::<bool>(), crash)
            .prop_map(|(answer, crash)| Step::HandsUp { answer, crash }),
        1 => Just(Step::ShowsBoth),
        1 => Just(Step::SchoolRestarts),
        1 => Just(Step::CampusRestarts),
    ];
    prop::collection::vec(step, 1..60)
}

/// What a member of `at` may ask, about those in `about`.
fn command(by: &str, at: &str, about: &str, what: usize) -> Command {
    use MemberCommand as M;
    let about = id(about);
    let command = match what {
        0 => return Command::Join { member: member(by, Role::Student, at) },
        1 => return Command::Leave { member: id(by), reason: LeaveReason::Left },
        2 => M::RaiseHand,
        3 => M::LowerHand { member: None },
        4 => M::Dismiss { member: None },
        5 => M::LowerHand { member: Some(about) },
        6 => M::Mute { member: about, muted: true },
        7 => M::Mute { member: about, muted: false },
        _ => M::Call { member: about },
    };
    Command::Member { by: id(by), command }
}

/// Plays a story. With `apart` each side only touches its own members.
fn play(steps: Vec<Step>, apart: bool) -> (Campus, School) {
    let (mut campus, mut school) = with_class();
    ["home", "zhou"].into_iter().for_each(|name| campus.joins(name, Role::Student, "campus"));
    school.hears(&campus, usize::MAX);
    let mut now_ms = 10_000;
    for step in steps {
        now_ms += 100;
        match step {
            Step::School { by, what, crash } => {
                let by = ["assistant", "wang", "zhao"][by];
                let what = if by == "assistant" { what.max(2) } else { what };
                let about = ["wang", "zhao"][what % 2];
                // A refusal is an answer; nothing has happened then.
                school.asks(command(by, "school-01", about, what), now_ms, crash).ok();
            }
            Step::Campus { by, what } => {
                let by = ["li", "home", "zhou"][by];
                let what = if by == "li" { what.max(2) } else { what };
                let about = if apart { ["home", "zhou"] } else { ["wang", "zhao"] }[what % 2];
                campus.submit(command(by, "campus", about, what), "campus", now_ms).ok();
            }
            Step::Hears(count) => school.hears(&campus, count),
            Step::HandsUp { answer, crash } => {
                let entries = school.sides.to_hand_up();
                let outcomes = campus.take(entries, now_ms, crash);
                if let Some(outcomes) = outcomes.filter(|_| answer) {
                    school.answered(&campus, &outcomes);
                }
            }
            Step::ShowsBoth => school.show_both(),
            Step::SchoolRestarts => school.restart(),
            Step::CampusRestarts => campus.restart(),
        }
        assert_eq!(school.page, school.sides.shown, "a page has what the node has");
    }
    school.comes_back(&mut campus, now_ms + 100);
    (campus, school)
}

proptest! {
    #[test]
    fn whatever_breaks_every_event_of_both_sides_is_in_the_log_once_and_in_order(story in steps()) {
        let (campus, school) = play(story, false);
        exactly_once(&campus, &school);
        prop_assert_eq!(&school.page, &campus.state);
        prop_assert_eq!(&school.log, &campus.log);
        prop_assert_eq!(replayed(&campus.log), campus.state);
        let seen: HashSet<_> = school.seen.iter().collect();
        prop_assert_eq!(seen.len(), school.seen.len(), "an event was shown twice");
    }

    #[test]
    fn where_the_sides_do_not_touch_nothing_is_dropped(story in steps()) {
        let (campus, school) = play(story, true);
        exactly_once(&campus, &school);
        prop_assert_eq!(&school.without_event, &BTreeMap::new());
        prop_assert_eq!(&school.page, &campus.state);
    }
}
