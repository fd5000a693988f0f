//! Programs that know WHIP and WHEP and nothing of us, unchanged, against a real node: what
//! they publish arrives in a lesson, and they play it back.

mod common;

use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::media::{Codec, Source};
use cloudschool_protocol::member::Role;
use common::{LESSON, Node, Site, soon};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Python with what `clients/requirements.txt` names, as `make setup-tests` installs it.
fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let python = target.join("test-clients/bin/python");
    assert!(python.exists(), "{} is missing: run `make setup-tests`", python.display());
    python
}

/// Runs a program to its end and gives the JSON of its last line.
async fn report(what: &str, command: &mut Command) -> Value {
    command.kill_on_drop(true);
    let done = soon(what, command.output()).await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let log = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{what}: {}\n{said}{log}", done.status);
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|e| panic!("{what}: {e} in {said}{log}"))
}

fn script(python: &Path, site: &Site, node: &Node, name: &str) -> Command {
    let mut command = Command::new(python);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name))
        .args(["--whip", &node.url(&format!("/whip/{LESSON}"))])
        .args(["--whep", &node.url(&format!("/whep/{LESSON}"))])
        .args(["--publisher", &site.token("li", Role::Teacher, "campus")])
        .args(["--player", &site.token("wang", Role::Student, "school-01")]);
    command
}

#[tokio::test]
async fn aiortc_publishes_and_plays_in_both_of_its_codecs() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let assistant = site.token("zhao", Role::Assistant, "campus");
    let mut page = node.join(&assistant).await;
    for (name, codec) in [("video/H264", Codec::H264), ("video/VP8", Codec::Vp8)] {
        let mut client = script(&python(), &site, &node, "aiortc_lesson.py");
        client.args(["--codec", name]);
        let (result, published) = tokio::join!(
            report("aiortc", &mut client),
            page.event(|e| {
                matches!(e, EventBody::TrackPublished { track, .. } if track.source == Source::Camera)
            })
        );
        let EventBody::TrackPublished { codec: taken, .. } = published.body else { unreachable!() };
        assert_eq!(taken, codec);
        assert!(result["frames"].as_u64().unwrap() >= 90, "{result}");
        assert!(result["sound"].as_u64().unwrap() >= 100, "{result}");
        // The grey goes from 38 to 218: the pictures are those that were sent.
        let brightness = |n: usize| result["brightness"][n].as_u64().unwrap();
        assert!(brightness(0) < 60 && brightness(1) > 195, "{result}");
        page.event(|e| matches!(e, EventBody::MemberLeft { .. })).await;
    }
    assert!(page.ask(MemberCommand::RaiseHand).await.is_ok(), "the lesson goes on");
}

#[tokio::test]
async fn webrtcbin_publishes_and_plays() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    // Debian's Python has the bindings of Debian's GStreamer.
    let python = Path::new("/usr/bin/python3");
    let mut client = script(python, &site, &node, "webrtcbin_lesson.py");
    let result = report("webrtcbin", &mut client).await;
    assert!(result["frames"].as_u64().unwrap() >= 90, "{result}");
    assert!(result["sound"].as_u64().unwrap() >= 100, "{result}");
    assert_eq!(result["size"], serde_json::json!([320, 240]));
}

/// A path alone: what the browser finds there, whether over UDP or TCP.
async fn chromium_over(path: &str, protocol: &str, address: &str) {
    let site = Site::new();
    let port = cloudschool_service::ports::unclaimed(1).unwrap();
    let (bind, announce) = (format!("[::]:{port}"), r#"["127.0.0.1", "::1"]"#);
    let node = site.campus(&[("MEDIA__BIND", &bind), ("MEDIA__ANNOUNCE", announce)]).await;
    let mut client = Command::new("node");
    client
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/chromium_paths.mjs"))
        .args(["--path", path, "--page", &node.url("/livez")])
        .args(["--whip", &node.url(&format!("/whip/{LESSON}"))])
        .args(["--whep", &node.url(&format!("/whep/{LESSON}"))])
        .args(["--publisher", &site.token("li", Role::Teacher, "campus")])
        .args(["--player", &site.token("wang", Role::Student, "school-01")]);
    let result = report("Chromium", &mut client).await;
    assert_eq!(result["protocol"], protocol, "{result}");
    assert_eq!(result["address"], address, "{result}");
    assert!(result["frames"].as_u64().unwrap() > 30 && result["after"].as_u64().unwrap() > 30);
    assert_eq!(result["statuses"], serde_json::json!([204, 200]), "a trickle and a restart");
}

#[tokio::test]
async fn chromium_publishes_plays_and_restarts_ice_over_ipv4() {
    chromium_over("udp4", "udp", "127.0.0.1").await;
}

#[tokio::test]
async fn chromium_publishes_plays_and_restarts_ice_over_ipv6() {
    chromium_over("udp6", "udp", "::1").await;
}

#[tokio::test]
async fn chromium_publishes_plays_and_restarts_ice_over_tcp() {
    chromium_over("tcp", "tcp", "127.0.0.1").await;
}
