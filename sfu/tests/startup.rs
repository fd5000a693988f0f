//! Starting a node: what is wrong is said in a sentence that names the key.

mod common;

use common::Site;
use std::process::{Command, Output};

fn run(site: &Site, arguments: &[&str], env: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sfu"));
    command.env("CLOUDSCHOOL__AUTH__LOCAL", site.path("issuer"));
    command.env("CLOUDSCHOOL__TRUNK__IDENTITY", site.path("tls/campus"));
    command.env("CLOUDSCHOOL__NODE__DATA", site.data("campus"));
    for (key, value) in env {
        command.env(format!("CLOUDSCHOOL__{key}"), value);
    }
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/campus.toml");
    let Output { status, stdout, stderr } =
        command.args(["--config", config]).args(arguments).output().unwrap();
    let said = [stdout, stderr].concat();
    (status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn a_configuration_is_checked_without_serving() {
    let site = Site::new();
    let (good, said) = run(&site, &["--check-config"], &[]);
    assert!(good && said.contains("the campus's node"), "{said}");
    for (env, part) in [
        (("HTTP__PROT", "1"), "http"),
        (("HTTP__BIND", "0.0.0.0:80"), "loopback"),
        (("AUTH__LOCAL", "/nonexistent"), "issuer"),
        (("NODE__NAME", "other"), "[node] name"),
        (("TRUNK__IDENTITY", "/nonexistent"), "/nonexistent"),
    ] {
        let (good, said) = run(&site, &["--check-config"], &[env]);
        assert!(!good && said.contains(part), "{env:?}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "one sentence: {said}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let site = Site::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (good, said) = run(&site, &[], &[("HTTP__BIND", &address)]);
    let port = taken.local_addr().unwrap().port().to_string();
    assert!(!good && said.contains(&port) && said.contains("[http] bind"), "{said}");
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    let site = Site::new();
    let file = site.path("a-file");
    std::fs::write(&file, "").unwrap();
    let data = file.join("data").display().to_string();
    let env = [
        ("NODE__DATA", data.as_str()),
        ("HTTP__BIND", "127.0.0.1:0"),
        ("MEDIA__BIND", "127.0.0.1:0"),
        ("TRUNK__LISTEN", "127.0.0.1:0"),
    ];
    let (good, said) = run(&site, &[], &env);
    assert!(!good && said.contains(&data), "{said}");
}
