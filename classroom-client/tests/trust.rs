//! The program and what it says of nodes it can't trust, in the language of whoever reads it.

use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A node over HTTPS whose certificate nobody knows, and that certificate, PEM.
async fn stranger() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = format!("https://{}", listener.local_addr().unwrap());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            // Whoever gets so far is hung up on: it is no node.
            drop(acceptor.accept(tcp).await);
        }
    });
    (node, made.cert.pem())
}

async fn assist(node: &str, lang: &str, more: &[&str]) -> String {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_classroom-client"));
    command.args(["assist", "--lesson", "art", "--node", node]).args(more).args(["--", "cat"]);
    command.env("CLOUDSCHOOL_TOKEN", "a-token").env("LC_ALL", lang);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let run = tokio::time::timeout(Duration::from_secs(60), command.output());
    let Output { status, stderr, .. } = run.await.expect("the program's end").unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

#[tokio::test]
async fn a_certificate_nobody_stands_behind_is_refused_with_what_to_do() {
    let (node, certificate) = stranger().await;
    let said = assist(&node, "en_GB.UTF-8", &[]).await;
    assert!(said.contains("is not trusted") && said.contains("--ca"), "{said}");
    let said = assist(&node, "zh_CN.UTF-8", &[]).await;
    assert!(said.contains("不受信任") && said.contains("--ca"), "{said}");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    let said = assist(&node, "en", &["--ca", file.path().to_str().unwrap()]).await;
    assert!(!said.contains("not trusted") && said.contains("has no lesson socket"), "{said}");
}

#[tokio::test]
async fn a_file_that_is_no_ca_is_named() {
    let said = assist("https://127.0.0.1:1", "zh_CN.UTF-8", &["--ca", "/nowhere/ca.pem"]).await;
    assert!(said.contains("无法读取 /nowhere/ca.pem"), "{said}");
    let said = assist("https://127.0.0.1:1", "en", &["--ca", "Cargo.toml"]).await;
    assert!(said.contains("Cargo.toml has no certificate"), "{said}");
}
