//! The installation's errors, and that nothing outlives it, with small scripts in place of
//! the programs.

use loadtests::stack::{Ports, Settings, Stack, StackError};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

/// A process that is always ready: it answers every HTTP request with 200, and notes its
/// process id. Called as `sfu` it also makes what that program's commands make.
const PROGRAM: &str = r#"#!/usr/bin/env node
const fs = require("fs");
const [command, action] = process.argv.slice(2);
const option = (name) => process.argv[process.argv.indexOf(name) + 1];
if (command === "ca" && action === "init") {
  fs.mkdirSync(option("--dir"), { recursive: true });
} else if (command === "ca" && action === "issue") {
  fs.mkdirSync(option("--out"), { recursive: true });
  fs.writeFileSync(option("--out") + "/node.pem", "");
} else if (command === "issuer") {
  const { privateKey } = require("crypto").generateKeyPairSync("ed25519");
  fs.mkdirSync(option("--dir"), { recursive: true });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  fs.writeFileSync(option("--dir") + "/issuer.pem", pem);
} else {
  const data = process.env.CLOUDSCHOOL__NODE__DATA;
  fs.mkdirSync(data, { recursive: true });
  fs.writeFileSync(data + "/pid", String(process.pid));
  const [host, port] = process.env.CLOUDSCHOOL__HTTP__BIND.split(":");
  require("http").createServer((_, answer) => answer.end()).listen(Number(port), host);
}
"#;

fn program(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn settings(dir: &Path) -> Settings {
    let (programs, configs) = (dir.join("bin"), dir.join("configs"));
    fs::create_dir_all(&programs).unwrap();
    fs::create_dir_all(&configs).unwrap();
    for name in ["sfu", "recorder", "analytics"] {
        program(&programs, name, PROGRAM);
    }
    for name in ["campus", "school", "recorder", "analytics"] {
        fs::write(configs.join(name).with_extension("toml"), "").unwrap();
    }
    let data = dir.join("data");
    Settings { programs, configs, data, ports: Ports::free().unwrap(), log_level: None }
}

fn runs(pid: u32) -> bool {
    // A zombie has ended; only nobody has asked how.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim().starts_with('Z'))
}

fn until_gone(pids: &[u32]) {
    let begun = Instant::now();
    while pids.iter().any(|p| runs(*p)) {
        assert!(begun.elapsed() < LIMIT, "still running: {pids:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn four_processes_come_up_and_all_end() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::start(settings(dir.path())).await.unwrap();
    let pids: Vec<u32> = stack.pids().into_values().collect();
    assert_eq!(pids.len(), 4);
    assert!(pids.iter().all(|p| runs(*p)));
    stack.stop().await;
    assert!(!pids.iter().any(|p| runs(*p)));
}

#[tokio::test]
async fn a_dead_process_is_noticed_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut stack = Stack::start(settings(dir.path())).await.unwrap();
    let pid = stack.pids()["recorder"];
    Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    let death = tokio::time::timeout(LIMIT, stack.died()).await.unwrap();
    assert_eq!(death.name, "recorder");
    assert!(death.to_string().contains("killed by signal 9"), "{death}");
    stack.stop().await;
}

#[tokio::test]
async fn a_process_that_ends_at_once_is_shown_with_its_last_words() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    program(&settings.programs, "analytics", "#!/bin/sh\necho no such key: trnk >&2; exit 3\n");
    let error = Stack::start(settings).await.err().expect("it is missing").to_string();
    assert!(error.contains("analytics ended with exit code 3"), "{error}");
    assert!(error.contains("no such key: trnk"), "{error}");
}

#[tokio::test]
async fn what_is_missing_or_in_the_way_is_said() {
    let dir = tempfile::tempdir().unwrap();

    let missing = settings(dir.path());
    fs::remove_file(missing.programs.join("recorder")).unwrap();
    let error = Stack::start(missing).await.err().expect("no recorder");
    assert!(matches!(error, StackError::NoProgram(_)), "{error}");
    assert!(error.to_string().contains("make build"), "{error}");

    let taken = settings(dir.path());
    let _holder = std::net::UdpSocket::bind(taken.ports.trunk()).unwrap();
    let error = Stack::start(taken).await.err().expect("a port in use");
    assert!(matches!(error, StackError::Ports(_)), "{error}");

    let mut elsewhere = settings(dir.path());
    fs::write(dir.path().join("file"), "").unwrap();
    elsewhere.data = dir.path().join("file").join("data");
    let error = Stack::start(elsewhere).await.err().expect("no directory there");
    assert!(matches!(error, StackError::Data { .. }), "{error}");
    assert!(error.to_string().contains("--data"), "{error}");
}

/// `loadtest up`, which ends with the test however that goes.
struct Supervisor(Child);

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Both fail when it has been waited for, as it should have.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `loadtest up` over the scripts and waits until its four processes run.
fn up(dir: &Path) -> (Supervisor, Vec<u32>) {
    let settings = settings(dir);
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command
        .args(["up", "--ports", "free", "--json", "--data"])
        .arg(&settings.data)
        .arg("--bin-dir")
        .arg(&settings.programs)
        .arg("--configs")
        .arg(&settings.configs)
        .stdout(Stdio::piped());
    let supervisor = Supervisor(command.spawn().unwrap());
    let pid_files: Vec<PathBuf> = ["campus", "school-01", "recorder", "analytics"]
        .map(|node| settings.data.join(node).join("pid"))
        .into();
    let begun = Instant::now();
    loop {
        let pids: Vec<u32> =
            pid_files.iter().filter_map(|f| fs::read_to_string(f).ok()?.parse().ok()).collect();
        if pids.len() == 4 {
            return (supervisor, pids);
        }
        assert!(begun.elapsed() < LIMIT, "only {pids:?} have started");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_killed_supervisor_leaves_no_orphans() {
    let dir = tempfile::tempdir().unwrap();
    let (mut supervisor, pids) = up(dir.path());
    supervisor.0.kill().unwrap();
    supervisor.0.wait().unwrap();
    until_gone(&pids);
}

#[test]
fn ctrl_c_ends_everything_and_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let (mut supervisor, pids) = up(dir.path());
    Command::new("kill").args(["-INT", &supervisor.0.id().to_string()]).status().unwrap();
    let status = supervisor.0.wait().unwrap();
    assert!(status.success(), "{status}");
    until_gone(&pids);
}
