//! `loadtest forward` as it is used, with few viewers and for a few seconds: that it measures
//! what it says, of our own server and of another.

mod common;

use common::programs;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const LOADTEST: &str = env!("CARGO_BIN_EXE_loadtest");

fn forward(arguments: &[&str]) -> Value {
    let scratch = tempfile::tempdir().unwrap();
    let json = scratch.path().join("report.json");
    let output = Command::new(LOADTEST)
        .arg("forward")
        .arg("--bin-dir")
        .arg(programs(&["cloudschool-sfu"]))
        .arg("--configs")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs"))
        .arg("--data")
        .arg(scratch.path().join("data"))
        .arg("--json")
        .arg(&json)
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap()
}

fn figure(report: &Value, pointer: &str) -> f64 {
    let value = report.pointer(pointer).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("no figure {pointer} in {report:#}"))
}

/// Each viewer gets 50 packets of sound a second, and 30 frames of 2 Mbit/s.
fn assert_whole(side: &Value, viewers: f64) {
    let each = figure(side, "/packets_per_second") / viewers;
    assert!((230.0..330.0).contains(&each), "{each} packets/s for each viewer");
    assert_eq!(figure(side, "/loss"), 0.0);
    assert!(figure(side, "/cpu_us_per_packet") > 0.1);
    assert!(figure(side, "/latency_p99_ms") < 500.0);
}

#[test]
fn our_server_is_measured_beside_the_floor() {
    let arguments = ["--subscribers=4", "--seconds=3", "--runs=1", "--against=floor"];
    let report = forward(&arguments);
    let run = &report["runs"][0];
    assert_whole(&run["server"], 4.0);
    assert_eq!(figure(run, "/server/frames/decodable"), 1.0);
    let (ours, floor) =
        (figure(&report, "/cpu_us_per_packet"), figure(&report, "/floor_us_per_packet"));
    assert!(floor > 0.1 && floor < ours, "{ours} beside {floor}");
    assert!((figure(&report, "/ratio_to_floor") - ours / floor).abs() < 1e-6);
    assert!(figure(&report, "/rss_kib_per_subscriber") >= 0.0);
    assert!(report["client_bound"].is_boolean());
}

#[test]
fn viewers_that_join_at_once_are_timed_to_their_first_frame() {
    let arguments = ["--subscribers=10", "--join-within-s=0.5", "--seconds=3", "--runs=1"];
    let joins = &forward(&arguments)["runs"][0]["server"]["joins"];
    assert_eq!(figure(joins, "/without_a_frame"), 0.0);
    let (median, late) =
        (figure(joins, "/first_frame_p50_ms"), figure(joins, "/first_frame_p99_ms"));
    assert!(median <= late && late < 2000.0, "{joins}");
}

#[test]
fn of_many_microphones_each_viewer_hears_the_loudest_three_and_the_teacher() {
    let arguments =
        ["--microphones=12", "--subscribers=4", "--seconds=8", "--runs=1", "--shards=2"];
    let report = forward(&arguments);
    let sound = &report["runs"][0]["server"]["sound"];
    assert_eq!(figure(sound, "/streams_max"), 4.0);
    assert!(figure(sound, "/streams_mean") > 3.5, "{sound}");
    assert!(figure(sound, "/loudest_heard") > 0.9, "{sound}");
    assert_eq!(figure(&report, "/loss"), 0.0);
}

#[test]
fn a_lossy_line_is_seen_and_repaired() {
    let arguments = [
        "--subscribers=2",
        "--link=delay=10ms,loss=5%",
        "--bitrate-mbps=1",
        "--seconds=5",
        "--runs=1",
    ];
    let report = forward(&arguments);
    let server = &report["runs"][0]["server"];
    assert!(figure(server, "/feedback/nacked_by_viewers") > 0.0);
    assert!(figure(server, "/feedback/late") > 0.0, "nothing was sent again");
    assert!(figure(server, "/frames/decodable") > 0.9, "{server:#}");
    assert!(figure(server, "/loss_of_picture") < 0.02, "{server:#}");
}

#[test]
fn janus_does_the_same_work() {
    // Nobody but root may make a network namespace, and the program is a package of its own.
    let root =
        std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if !root || !Path::new("/usr/bin/janus").exists() {
        eprintln!("not compared: it needs root, and the package janus");
        return;
    }
    let arguments = ["--subscribers=3", "--seconds=3", "--runs=1", "--against=janus"];
    let report = forward(&arguments);
    assert_whole(&report["runs"][0]["server"], 3.0);
    assert_whole(&report["runs"][0]["janus"], 3.0);
    assert!(figure(&report, "/ratio_to_janus") > 0.0);
}

#[test]
fn what_can_not_be_is_refused_with_the_option() {
    for (arguments, part) in [
        (&["--join-within-s=5", "--seconds=3"][..], "--seconds"),
        (&["--subscribers=0"], "--subscribers"),
        (&["--link=nowhere"], "nowhere"),
        (&["--bitrate-mbps=0"], "--bitrate-mbps"),
        (&["--pid=1"], "--target"),
    ] {
        let output = Command::new(LOADTEST).arg("forward").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(part), "{arguments:?}: {said}");
    }
}
