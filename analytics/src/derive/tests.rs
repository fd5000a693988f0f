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
fn what_was_drawn_is_an_interval_of_its_writer_with_how_much_and_never_what() {
    let mut log = lesson();
    let drawn = |from_ms| EventBody::BoardDrawn { member: id("wang"), strokes: 7, from_ms };
    let last = log.last().unwrap().clone();
    // Heard of just after the end, it is of the lesson.
    let event = Event::new(last.seq + 1, Uuid::from_u128(808), last.at_ms, drawn(START + 16_000));
    log.push(event);
    let records = run(&log);
    let [board] = of(&records, Code::T08)[..] else { panic!("{records:?}") };
    board.check().unwrap();
    assert_eq!((board.phase, board.start.0), (TeachingPhase::In, START + 16_000));
    assert_eq!(board.end, Some(Timestamp(last.at_ms)));
    assert_eq!(board.object.as_ref().unwrap().kind, ObjectKind::Board);
    assert_eq!(board.result.as_ref().unwrap().response.as_deref(), Some("7"));
    assert_eq!(board.actor, of(&records, Code::S01)[0].actor);
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
    let open = || EventBody::SlidesOpened { deck: Box::new(deck.clone()), page: 1, by: id("li") };
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
