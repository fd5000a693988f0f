//! `loadtest trunk` as it is used, for a few seconds: that a lesson crosses a line between real
//! nodes, and that a line too bad for it is told from a good one.

mod common;

use common::programs;
use serde_json::Value;
use std::process::{Command, Output};

const LOADTEST: &str = env!("CARGO_BIN_EXE_loadtest");

fn trunk(arguments: &[&str]) -> (Output, Value) {
    let scratch = tempfile::tempdir().unwrap();
    let json = scratch.path().join("report.json");
    let output = Command::new(LOADTEST)
        .args(["trunk", "--seeds=1", "--configs"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs"))
        .arg("--bin-dir")
        .arg(programs(&["cloudschool-sfu"]))
        .arg("--data")
        .arg(scratch.path().join("data"))
        .arg("--json")
        .arg(&json)
        .args(arguments)
        .output()
        .unwrap();
    let report = std::fs::read_to_string(json).unwrap_or_else(|_| {
        panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (output, serde_json::from_str(&report).unwrap())
}

fn figure(report: &Value, pointer: &str) -> f64 {
    let value = report.pointer(pointer).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("no figure {pointer} in {report:#}"))
}

#[test]
fn a_lesson_crosses_a_good_line_whole_and_once() {
    let (_, report) =
        trunk(&["--profile=clean", "--viewers=2", "--seconds=5", "--warm-up-s=1", "--no-plain"]);
    let run = &report["runs"][0];
    assert_eq!(figure(run, "/trunk/audio_published"), 250.0, "50 a second");
    assert_eq!(figure(run, "/trunk/video_published"), 150.0, "30 a second");
    // A machine busy with other tests may hold some of it up, and nothing may be lost.
    assert!(figure(run, "/trunk/audio_in_time") > 0.97, "{run:#}");
    assert!(figure(run, "/trunk/video_in_time") > 0.97, "{run:#}");
    let copies = figure(run, "/trunk_to_viewer_bytes");
    assert!((0.9..1.3).contains(&copies), "{copies} copies crossed the line");
    assert!(figure(run, "/trunk/lip_sync_ms") < 40.0, "{run:#}");
    assert!(figure(run, "/events/done") > 10.0);
    for what in ["events_lost", "events_doubled", "holes"] {
        assert_eq!(figure(run, &format!("/events/{what}")), 0.0, "{what}");
    }
}

#[test]
fn after_a_cut_viewers_go_on_seeing_and_hearing_the_teacher_and_each_other() {
    let (_, report) = trunk(&[
        "--profile=clean",
        "--viewers=1",
        "--outage-s=3",
        "--seconds=9",
        "--warm-up-s=1",
        "--no-plain",
    ]);
    let run = &report["runs"][0];
    // Something was decided in the school meanwhile, and handed up: all of it is one history now.
    assert!(figure(run, "/events/done_in_cut") > 0.0, "{run:#}");
    for what in ["events_lost", "events_doubled", "holes", "refused_in_cut"] {
        assert_eq!(figure(run, &format!("/events/{what}")), 0.0, "{what}");
    }
    assert!(figure(run, "/local_gap_ms") < 1000.0, "{run:#}");
    assert!(figure(run, "/trunk/resume_audio_ms/0") < 1500.0, "{run:#}");
    assert!(figure(run, "/trunk/resume_picture_ms/0") < 2500.0, "{run:#}");
    assert!(figure(run, "/trunk/audio_in_time") > 0.95, "{run:#}");
}

#[test]
fn over_two_lines_with_a_node_between_sound_and_picture_stay_together() {
    let (_, report) = trunk(&[
        "--profile=delay=20ms",
        "--hops=2",
        "--viewers=1",
        "--seconds=5",
        "--warm-up-s=1",
        "--no-plain",
    ]);
    let run = &report["runs"][0];
    assert!(figure(run, "/trunk/audio_in_time") > 0.97, "{run:#}");
    assert!(figure(run, "/trunk/video_in_time") > 0.97, "{run:#}");
    assert!(figure(run, "/trunk/lip_sync_ms") < 40.0, "{run:#}");
    assert!(figure(run, "/class_audio_in_time") > 0.97, "and the other way: {run:#}");
    assert!(figure(run, "/events/done") > 10.0);
    for what in ["events_lost", "events_doubled", "holes"] {
        assert_eq!(figure(run, &format!("/events/{what}")), 0.0, "{what}");
    }
}

#[test]
fn what_can_not_be_is_refused_with_the_option() {
    for (arguments, part) in [
        (&["--profile=nowhere"][..], "nowhere"),
        (&["--viewers=0"], "--viewers"),
        (&["--outage-s=30", "--seconds=30"], "--outage-s"),
        (&["--profile=village-evening"], "repeat"),
    ] {
        let output = Command::new(LOADTEST)
            .args(["trunk", "--configs"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs"))
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(part), "{arguments:?}: {said}");
    }
}
