//! A campus on loopback: a CA, identities of it, raw QUIC peers that break the rules, and a
//! line that can be cut.
#![allow(dead_code)]

pub mod line;
pub mod real_time;

use bytes::Bytes;
use cloudschool_protocol::frame;
use cloudschool_protocol::id::{LessonId, MemberId, NodeId, SchoolId};
use cloudschool_protocol::trunk::{ALPN, Control, NodeKind, VERSION};
use cloudschool_relay::{Dialer, FrameOptions, Identity, Listener, Trunk, TrunkReceiver, ca};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What the future gives, or a failed test instead of a hanging one.
pub async fn soon<F: Future>(what: F) -> F::Output {
    timeout(PATIENCE, what).await.expect("it should have happened by now")
}

pub struct Campus {
    dir: TempDir,
}

impl Campus {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        ca::init(&dir.path().join("ca")).unwrap();
        Self { dir }
    }

    /// The directory of its CA.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca")
    }

    /// The directory of a node's identity, issued on first use.
    pub fn issued(&self, node: &str, kind: NodeKind) -> PathBuf {
        let out = self.dir.path().join(node);
        if !out.exists() {
            let school = (kind == NodeKind::Edge).then(|| SchoolId::new(node).unwrap());
            let ca = self.dir.path().join("ca");
            ca::issue(&ca, &NodeId::new(node).unwrap(), kind, school.as_ref(), &out).unwrap();
        }
        out
    }

    pub fn identity(&self, node: &str, kind: NodeKind) -> Identity {
        Identity::load(&self.issued(node, kind)).unwrap()
    }

    pub fn listener(&self) -> Listener {
        self.listener_at(loopback())
    }

    pub fn listener_at(&self, address: SocketAddr) -> Listener {
        let identity = self.identity("campus", NodeKind::Origin);
        Listener::bind(address, &identity, "campus 1").unwrap()
    }

    pub fn dialer(&self, upstream: SocketAddr) -> Dialer {
        let identity = self.identity("school-01", NodeKind::Edge);
        Dialer::new(upstream.to_string(), identity, "edge 1")
    }

    /// Both ends of a trunk over loopback: the listener, its end, the dialler's end.
    pub async fn trunk(&self) -> (Listener, End, End) {
        let listener = self.listener();
        let (upper, lower) = self.connect(&listener, listener.address()).await;
        (listener, upper, lower)
    }

    /// Dials `address`, which leads to `listener`.
    pub async fn connect(&self, listener: &Listener, address: SocketAddr) -> (End, End) {
        let mut dialer = self.dialer(address);
        let (upper, lower) =
            soon(async { tokio::join!(listener.accept(), dialer.connect()) }).await;
        let (trunk, receiver) = upper.unwrap();
        (End { trunk, receiver }, End { trunk: lower.0, receiver: lower.1 })
    }

    /// A QUIC connection to a listener by someone who is not our dialler. `shown` is whose
    /// certificate it shows, if any.
    pub async fn raw(&self, to: SocketAddr, shown: Option<(&str, NodeKind)>) -> quinn::Connection {
        let roots = self.issued("campus", NodeKind::Origin).join("ca.pem");
        let mut store = rustls::RootCertStore::empty();
        store.add(CertificateDer::from_pem_file(roots).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(store);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some((node, kind)) => {
                let dir = self.issued(node, kind);
                let chain = vec![CertificateDer::from_pem_file(dir.join("node.pem")).unwrap()];
                let key = PrivateKeyDer::from_pem_file(dir.join("node.key")).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        let config = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
        let endpoint = quinn::Endpoint::client(loopback()).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(config));
        let connecting = endpoint.connect_with(config, to, "trunk.cloudschool.internal").unwrap();
        soon(connecting).await.unwrap()
    }
}

pub struct End {
    pub trunk: Trunk,
    pub receiver: TrunkReceiver,
}

impl End {
    pub async fn control(&mut self) -> Control {
        soon(self.receiver.control.recv()).await.unwrap()
    }

    pub async fn packet(&mut self) -> (u64, Bytes) {
        let media = soon(self.receiver.media.recv()).await.unwrap();
        (media.flow, media.packet)
    }
}

/// A frame of this priority.
pub fn at(priority: i32) -> FrameOptions {
    FrameOptions { priority, ..FrameOptions::default() }
}

/// A frame with this deadline.
pub fn by(deadline: Duration) -> FrameOptions {
    FrameOptions { deadline: Some(deadline), ..FrameOptions::default() }
}

/// Any free port of loopback.
pub fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

pub fn lesson() -> LessonId {
    LessonId::new("math").unwrap()
}

pub fn member() -> MemberId {
    MemberId::new("wang").unwrap()
}

pub fn hello(node: &str, kind: NodeKind, version: u16) -> Control {
    let school = (kind == NodeKind::Edge).then(|| SchoolId::new(node).unwrap());
    let node = NodeId::new(node).unwrap();
    Control::Hello {
        version,
        oldest: None,
        node,
        kind,
        school,
        software: "raw 1".into(),
        capabilities: vec![],
    }
}

/// A raw connection that has said a good hello.
pub async fn raw_hello(
    connection: &quinn::Connection,
    node: &str,
    kind: NodeKind,
) -> (quinn::SendStream, quinn::RecvStream) {
    let (mut send, recv) = soon(connection.open_bi()).await.unwrap();
    send.write_all(&frame::encode(&hello(node, kind, VERSION)).unwrap()).await.unwrap();
    (send, recv)
}

/// An RTP packet of `len` bytes that says its number.
pub fn rtp(sequence: u16, len: usize) -> Bytes {
    let mut packet = vec![sequence as u8; len];
    packet[..12].copy_from_slice(&[0x80, 111, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet.into()
}
