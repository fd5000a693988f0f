//! Whom the screens show large when nobody chooses: who speaks, without being restless.

use super::super::directing::{HEARD_FOR_MS, STAYS_MS, VOICE_MS};
use super::*;
use cloudschool_protocol::lesson::showing::Layout;
use proptest::prelude::*;

/// A lesson with `wang`, `zhao` and `qian` on stage, and the directing node beside it.
struct Stage {
    room: Room,
    voices: Voices,
    now_ms: u64,
    /// When it cut, and to whom.
    cuts: Vec<(u64, Option<MemberId>)>,
}

const STAGE: [&str; 3] = ["wang", "zhao", "qian"];

impl Stage {
    fn new() -> Self {
        let mut room = Room::live();
        for name in STAGE {
            room.join(name, Role::Student, "school-01");
            room.ask("li", MemberCommand::Call { member: id(name) }).unwrap();
        }
        room.join("sun", Role::Student, "school-01");
        let mut stage = Self { room, voices: Voices::default(), now_ms: 100_000, cuts: vec![] };
        stage.look();
        assert_eq!(stage.cuts, [(100_000, None)], "first it shows the stage as pages do");
        stage
    }

    /// As the origin's task does after whatever happened.
    fn look(&mut self) {
        if let Some(made) = cut(&self.room.state, &mut self.voices, self.now_ms) {
            let EventBody::ViewDirected { layout, focus, by: None, auto: true } = &made else {
                panic!("{made:?}");
            };
            assert_eq!(*layout, Layout::Stage);
            self.cuts.push((self.now_ms, focus.clone()));
            self.room.happen(vec![made]);
        }
        let due = self.voices.due(&self.room.state);
        assert!(due.is_none_or(|due| due > self.now_ms), "it would look again and again");
    }

    fn says(&mut self, name: &str, speaks: bool) {
        let from = node("school-01");
        self.voices.heard(&self.room.state, &id(name), speaks, &from, self.now_ms).unwrap();
        self.look();
    }

    /// Time passes, and it looks when that is due.
    fn wait(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while let Some(due) = self.voices.due(&self.room.state).filter(|due| *due <= until) {
            self.now_ms = due;
            self.look();
        }
        self.now_ms = until;
    }

    fn shown(&self) -> Option<&str> {
        self.room.state.view.focus.as_ref().map(MemberId::as_str)
    }
}

#[test]
fn who_speaks_is_shown_after_a_moment_and_stays_through_others_words() {
    let mut stage = Stage::new();
    stage.wait(60_000);
    stage.says("zhao", true);
    stage.wait(VOICE_MS - 1);
    assert_eq!(stage.shown(), None, "that may have been a cough");
    stage.wait(1);
    assert_eq!(stage.shown(), Some("zhao"));
    stage.says("qian", true);
    stage.wait(5_000);
    assert_eq!(stage.shown(), Some("zhao"), "it goes on speaking");
    stage.says("zhao", false);
    assert_eq!(stage.shown(), Some("qian"), "who has spoken all the while");
    stage.says("qian", false);
    stage.wait(60_000);
    assert_eq!(stage.shown(), Some("qian"), "in silence nothing moves");
}

#[test]
fn a_face_stays_four_seconds_however_fast_they_take_turns() {
    let mut stage = Stage::new();
    stage.wait(60_000);
    stage.says("zhao", true);
    stage.wait(VOICE_MS);
    stage.says("zhao", false);
    stage.says("qian", true);
    stage.wait(STAYS_MS - 1);
    assert_eq!(stage.shown(), Some("zhao"));
    stage.wait(1);
    assert_eq!(stage.shown(), Some("qian"));
}

#[test]
fn of_two_who_speak_the_one_who_has_longest_is_shown() {
    let mut stage = Stage::new();
    stage.wait(60_000);
    stage.says("qian", true);
    stage.wait(300);
    stage.says("zhao", true);
    stage.wait(10_000);
    assert_eq!(stage.shown(), Some("qian"));
}

#[test]
fn who_leaves_the_stage_is_muted_or_is_heard_of_no_more_is_not_cut_to() {
    for gone in 0..3 {
        let mut stage = Stage::new();
        stage.says("zhao", true);
        match gone {
            0 => drop(stage.room.ask("li", MemberCommand::Dismiss { member: Some(id("zhao")) })),
            1 => {
                drop(stage.room.ask("li", MemberCommand::Mute { member: id("zhao"), muted: true }))
            }
            _ => {
                // Who is shown speaks all the while, then is silent.
                stage.says("wang", true);
                for _ in 0..4 {
                    stage.wait(HEARD_FOR_MS - 1_000);
                    stage.says("wang", true);
                }
                stage.says("wang", false);
            }
        }
        stage.wait(60_000);
        assert_eq!(stage.shown(), None, "{gone}");
    }
}

#[test]
fn one_alone_on_stage_needs_no_cut_and_who_is_dismissed_is_large_no_more() {
    let mut stage = Stage::new();
    stage.wait(60_000);
    stage.says("qian", true);
    stage.wait(VOICE_MS);
    assert_eq!(stage.shown(), Some("qian"));
    stage.room.ask("li", MemberCommand::Dismiss { member: Some(id("qian")) }).unwrap();
    stage.look();
    assert_eq!(stage.shown(), None);
    stage.room.ask("li", MemberCommand::Dismiss { member: Some(id("zhao")) }).unwrap();
    stage.says("wang", true);
    stage.wait(60_000);
    assert_eq!(stage.cuts.len(), 3, "{:?}", stage.cuts);
}

#[test]
fn where_somebody_chose_voices_cut_nothing_and_a_node_speaks_for_its_own() {
    let mut stage = Stage::new();
    let focus = Some(id("qian"));
    stage.room.ask("li", MemberCommand::Direct { layout: Layout::Stage, focus }).unwrap();
    stage.says("zhao", true);
    stage.wait(60_000);
    assert_eq!(stage.shown(), Some("qian"));
    let state = &stage.room.state;
    let foreign = stage.voices.heard(state, &id("zhao"), true, &node("campus"), stage.now_ms);
    assert_eq!(foreign, Err(Refusal::NotAMember));
    let auto = MemberCommand::Direct { layout: Layout::Auto, focus: None };
    stage.room.ask("li", auto.clone()).unwrap();
    stage.says("zhao", true);
    stage.wait(STAYS_MS + VOICE_MS);
    assert_eq!(stage.shown(), Some("zhao"));
    assert_eq!(stage.room.ask("li", auto), Ok(vec![]), "it is so already");
}

proptest! {
    /// However they talk: no cut within four seconds of another, only to who is on stage and has
    /// spoken, and whoever speaks alone for long is shown.
    #[test]
    fn no_talk_makes_it_restless(
        talk in prop::collection::vec((0usize..4, any::<bool>(), 0u64..3_000), 0..120),
    ) {
        let mut stage = Stage::new();
        let names = ["wang", "zhao", "qian", "sun"];
        for (who, speaks, ms) in talk {
            stage.says(names[who], speaks);
            stage.wait(ms);
        }
        let cuts = &stage.cuts;
        prop_assert!(cuts.windows(2).all(|two| two[1].0 - two[0].0 >= STAYS_MS), "{cuts:?}");
        let on_stage = |m: &Option<MemberId>| {
            m.as_ref().is_none_or(|m| STAGE.contains(&m.as_str()))
        };
        prop_assert!(cuts.iter().all(|(_, to)| on_stage(to)), "{cuts:?}");
        for name in names {
            stage.says(name, name == "qian");
        }
        stage.wait(STAYS_MS + VOICE_MS);
        prop_assert_eq!(stage.shown(), Some("qian"));
    }
}
