//! A school's node from the box: enrolled with a code, its pages over HTTPS, its line
//! measured, its certificate renewed. Real programs throughout.

mod common;

use classroom_client::dial::{Dial, DialError, Distrust};
use classroom_client::lesson_client::{LessonClient, LessonError};
use classroom_client::publish::{Endpoint, Publication};
use classroom_client::rtp::{Header, Packet};
use cloudschool_protocol::id::{LessonId, MemberId};
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Lang;
use common::{LESSON, Node, Site, free_address, soon};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;
use url::Url;

const NODE: &str = "school-09";

async fn sfu(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sfu"));
    let run = command.env("LANG", "en_GB.UTF-8").args(arguments).output();
    let Output { status, stdout, stderr } = soon("the command's end", run).await.unwrap();
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// What the campus has that issues certificates, and a platform whose tokens count.
struct Campus {
    site: Site,
    node: common::Node,
}

impl Campus {
    async fn start() -> Self {
        let site = Site::new();
        let ca = site.path("ca").display().to_string();
        let key = site.path("issuer").join(cloudschool_service::issuer::PUBLIC_FILE);
        let issuers = format!("[{{ name = \"city\", public_key = \"{}\" }}]", key.display());
        let [certificate, key] = ["certificate", "key"].map(|f| site.path(&format!("wild.{f}")));
        let edge_tls = format!(
            "{{ name = \"{{node}}.edges.example\", certificate = \"{}\", key = \"{}\" }}",
            certificate.display(),
            key.display()
        );
        let env = [("ENROLMENT__CA", &*ca), ("AUTH__ISSUERS", &*issuers), ("EDGE_TLS", &*edge_tls)];
        let node = site.campus(&env).await;
        Self { site, node }
    }

    async fn code(&self, node: &str) -> String {
        let dir = self.site.path("ca").display().to_string();
        let made = ["ca", "code", "--dir", &dir, "--school", NODE, "--node", node];
        let (good, said) = sfu(&made).await;
        assert!(good, "{said}");
        said.lines().next().unwrap().to_owned()
    }
}

/// A machine that is to become a node.
struct Machine {
    dir: PathBuf,
    http: SocketAddr,
    https: SocketAddr,
}

impl Machine {
    fn new(campus: &Campus, name: &str) -> Self {
        let dir = campus.site.path(name);
        Self { dir, http: free_address(), https: free_address() }
    }

    fn config(&self) -> String {
        self.dir.join("etc/sfu.toml").display().to_string()
    }

    async fn enrol(&self, campus: &Campus, code: &str, more: &[&str]) -> (bool, String) {
        let (config, data) = (self.config(), self.dir.join("data").display().to_string());
        let (http, https) = (self.http.to_string(), self.https.to_string());
        let (upstream, media) = (campus.site.trunk().to_string(), free_address().port());
        let media = media.to_string();
        let all = [
            "enrol",
            "--code",
            code,
            "--upstream",
            &upstream,
            "--config",
            &config,
            "--data",
            &data,
            "--address",
            "127.0.0.1",
            "--http",
            &http,
            "--https",
            &https,
            "--media",
            &media,
            "--no-service",
        ];
        sfu(&[&all, more].concat()).await
    }

    fn run(&self) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sfu"));
        command.args(["--config", &self.config()]).stderr(Stdio::null()).kill_on_drop(true);
        command.spawn().unwrap()
    }

    /// The first line a browser gets that trusts `root` and calls this machine `name`.
    async fn browse(&self, root: &Path, name: &str) -> Option<String> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(root).ok()?).ok()?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.https).await.ok()?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
        let request = "GET /livez HTTP/1.1\r\nhost: school\r\nconnection: close\r\n\r\n";
        tls.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        tls.read_to_string(&mut answer).await.ok()?;
        Some(answer.lines().next()?.to_owned())
    }

    /// Waits until that is a page.
    async fn serves(&self, root: &Path, name: &str) {
        let asking = async {
            while self.browse(root, name).await.as_deref() != Some("HTTP/1.1 200 OK") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        soon("a page over HTTPS", asking).await;
    }

    /// The CA that devices install, as they fetch it.
    async fn root(&self) -> Vec<u8> {
        let url = format!("http://{}/campus-ca.crt", self.http);
        let answer = reqwest::get(url).await.unwrap().error_for_status().unwrap();
        answer.bytes().await.unwrap().to_vec()
    }
}

#[tokio::test]
async fn a_machine_with_a_code_becomes_a_node_that_serves_https() {
    let campus = Campus::start().await;
    let code = campus.code(NODE).await;
    let machine = Machine::new(&campus, "machine");

    let typed_wrongly = {
        let last = if code.ends_with('0') { '1' } else { '0' };
        format!("{}{last}", &code[..code.len() - 1])
    };
    let (good, said) = machine.enrol(&campus, &typed_wrongly, &[]).await;
    assert!(!good && said.contains("The code is not right"), "{said}");
    assert!(!Path::new(&machine.config()).exists());

    let (good, said) = machine.enrol(&campus, &code.to_lowercase(), &[]).await;
    assert!(good && said.contains("is now the node school-09"), "{said}");
    let (good, said) = sfu(&["--config", &machine.config(), "--check-config"]).await;
    assert!(good, "{said}");

    let before = std::fs::read_to_string(machine.config()).unwrap();
    let (good, said) = machine.enrol(&campus, &code, &[]).await;
    assert!(good && said.contains("nothing was changed"), "{said}");
    assert_eq!(std::fs::read_to_string(machine.config()).unwrap(), before);
    let (good, said) = machine.enrol(&campus, &code, &["--force"]).await;
    assert!(!good && said.contains("has been used"), "{said}");
    let other = Machine::new(&campus, "other");
    let (good, said) = other.enrol(&campus, &code, &[]).await;
    assert!(!good && said.contains("has been used"), "{said}");

    let _node = machine.run();
    let https = machine.dir.join("data/node/https");
    machine.serves(&https.join("root.pem"), "127.0.0.1").await;
    machine.serves(&https.join("root.pem"), "school-09.local").await;
    let root = CertificateDer::from_pem_file(https.join("root.pem")).unwrap();
    assert_eq!(machine.root().await, root.as_ref());

    // The campus's operator gets a certificate that browsers know: nobody restarts anything.
    let names = vec!["*.edges.example".to_owned()];
    let public = rcgen::generate_simple_self_signed(names).unwrap();
    let [certificate, key] = ["certificate", "key"].map(|f| campus.site.path(&format!("wild.{f}")));
    std::fs::write(&key, public.signing_key.serialize_pem()).unwrap();
    std::fs::write(&certificate, public.cert.pem()).unwrap();
    machine.serves(&certificate, "school-09.edges.example").await;
    assert!(!https.join("root.pem").exists());

    let page = reqwest::get(campus.node.url("/metrics")).await.unwrap().text().await.unwrap();
    for line in [
        "cloudschool_enrolments_total{outcome=\"issued\"} 1",
        "cloudschool_enrolments_total{outcome=\"used\"} 2",
        "cloudschool_enrolments_total{outcome=\"wrong_code\"} 1",
        "cloudschool_tunnels_open 0",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }

    let (good, said) = sfu(&["doctor", "--config", &machine.config(), "--json"]).await;
    assert!(good, "{said}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["udp"]["state"], &said["tcp"]["state"]), (&"open".into(), &"open".into()));
    assert_eq!((&said["fromCampus"], &said["usable"]), (&"full".into(), &true.into()), "{said}");
}

/// Gives school-01 a certificate for the same key and names, made long ago.
fn grow_old(site: &Site) -> String {
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let tls = site.path("tls/school-01");
    let key = KeyPair::from_pem(&read(tls.join("node.key"))).unwrap();
    let ca_key = KeyPair::from_pem(&read(site.path("ca/ca.key"))).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read(site.path("ca/ca.pem")), ca_key).unwrap();
    let mut params = CertificateParams::default();
    let uri = "cloudschool://edge/school-01?school=school-01";
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::days(300);
    params.not_after = now + time::Duration::days(60);
    let old = params.signed_by(&key, &issuer).unwrap().pem();
    std::fs::write(tls.join("node.pem"), &old).unwrap();
    old
}

/// Waits until school-01 has another certificate than `old`.
async fn renewed(site: &Site, old: &str) {
    let file = site.path("tls/school-01/node.pem");
    let renewed = async {
        while std::fs::read_to_string(&file).unwrap() == old {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("a renewed certificate", renewed).await;
}

#[tokio::test]
async fn a_certificate_near_its_end_is_renewed_over_the_trunk() {
    let campus = Campus::start().await;
    let site = &campus.site;
    let old = grow_old(site);
    let node = site.school(&[]).await;
    renewed(site, &old).await;
    node.kill().await;
    // It is good: the node comes back with it.
    site.school(&[]).await.ready().await;
}

#[tokio::test]
async fn a_withdrawn_node_is_let_in_no_more() {
    let campus = Campus::start().await;
    let dir = campus.site.path("ca").display().to_string();
    let (good, said) = sfu(&["ca", "withdraw", "--dir", &dir, "--node", "school-01"]).await;
    assert!(good, "{said}");
    let mut node = campus.site.school(&[]).await;
    node.logged("the campus has withdrawn this node").await;
}

/// A member in the lesson at school-01, which serves HTTPS at `https` with the campus's own CA:
/// by the native client, over HTTPS alone, publishing.
async fn takes_part_over_https(site: &Site, school: &mut Node, https: SocketAddr) {
    school.logged("HTTPS is served").await;
    school.ready().await;
    let node: Url = format!("https://{https}").parse().unwrap();
    let lesson = LessonId::new(LESSON).unwrap();
    let token = site.token("wang", Role::Classroom, "school-01");
    let stranger = soon("a refusal", LessonClient::join(&node, &lesson, &token)).await.err();
    let Some(LessonError::Unreachable(error)) = stranger else { panic!("it is trusted") };
    assert!(matches!(error, DialError::Certificate(_, Distrust::UnknownCa)), "{error}");

    let root = site.data("school-01").join("https/root.pem");
    let dial = Dial::trusting(&root, Lang::En).unwrap();
    let member = LessonClient::join_by(&dial, &node, &lesson, &token);
    let member = soon("a welcome", member).await.unwrap();
    let endpoint = Endpoint { url: node.join(&format!("whip/{lesson}")).unwrap(), token };
    let publication = soon("media", Box::pin(Publication::start(&dial, endpoint))).await.unwrap();
    // It is there when something comes of it.
    let microphone = TrackId::new(MemberId::new("wang").unwrap(), Source::Microphone);
    let mut clock = tokio::time::interval(Duration::from_millis(20));
    let mut sequence_number = 0;
    let heard = async {
        let mut there = pin!(member.until(|state| state.tracks.contains_key(&microphone)));
        loop {
            tokio::select! {
                state = &mut there => return state.unwrap(),
                _ = clock.tick() => {
                    sequence_number += 1;
                    let timestamp = u32::from(sequence_number) * 960;
                    let header =
                        Header { version: 2, sequence_number, timestamp, ..Default::default() };
                    let payload = vec![0xf8, 0xff, 0xfe].into();
                    publication.audio().send(Packet { header, payload }).await.unwrap();
                }
            }
        }
    };
    soon("the microphone", heard).await;
    publication.stop().await.unwrap();
    let gone = member.until(|state| !state.tracks.contains_key(&microphone));
    soon("the microphone's end", gone).await.unwrap();
    member.leave().await;
}

fn https_at(address: SocketAddr) -> String {
    format!("{{ bind = \"{address}\" }}")
}

#[tokio::test]
async fn the_native_client_takes_part_over_https() {
    let campus = Campus::start().await;
    let https = free_address();
    let mut school = campus.site.school(&[("HTTPS", &https_at(https))]).await;
    Box::pin(takes_part_over_https(&campus.site, &mut school, https)).await;
}

#[tokio::test]
async fn a_school_behind_a_district_gets_its_certificates_through_it() {
    let campus = Campus::start().await;
    let site = &campus.site;
    let (middle, https) = (free_address(), free_address());
    let old = grow_old(site);
    // It comes before there is a way to the campus, asks, and asks again when there is one.
    let env = [("HTTPS", &*https_at(https)), ("TRUNK__UPSTREAM", &middle.to_string())];
    let nowhere = free_address().to_string();
    let lost = site.district("district-1", middle, &[("TRUNK__UPSTREAM", &nowhere)]).await;
    let mut school = site.school(&env).await;
    school.logged("the campus can't be reached now").await;
    lost.kill().await;
    let _district = site.district("district-1", middle, &[]).await;
    Box::pin(takes_part_over_https(site, &mut school, https)).await;
    renewed(site, &old).await;
}
