//! The first exchange on a connection: both ends say who they are and which version they
//! speak, and each checks the other's words against its certificate.

use crate::close::{self, REFUSED};
use crate::identity::Identity;
use crate::peer::Peer;
use cloudschool_protocol::frame::{self, Decoder};
use cloudschool_protocol::trunk::{CAPABILITIES, Control, OLDEST, VERSION, Versions};
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, WriteError};
use rustls::pki_types::CertificateDer;
use std::time::Duration;
use tokio::time::timeout;

/// How long TLS, and after it hello, may each take: a satellite's 0.6 s six times over, and
/// no place for peers that connect and say nothing.
pub const LIMIT: Duration = Duration::from_secs(10);

/// How long a refused peer is given to have received the reason.
const FAREWELL: Duration = Duration::from_secs(1);

/// Bytes taken from a stream in one go.
pub const READ: usize = 64 * 1024;

/// Capabilities of a peer that are kept, and how long each may be: what any release will
/// have, and no more for who makes them up.
const CAPABILITIES_KEPT: usize = 64;
const CAPABILITY_LEN: usize = 64;

/// Most characters of a peer's program and version that go into logs.
const SOFTWARE_LEN: usize = 128;

/// Who the other end is and what it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub peer: Peer,
    /// Program and version, for people.
    pub software: String,
    /// The version both ends speak.
    pub version: u16,
    /// Whether it speaks later versions as well, and so may say what is not known here.
    pub later: bool,
    pub capabilities: Vec<String>,
}

/// A connection whose ends know each other, with its control stream.
pub struct Greeted {
    pub connection: Connection,
    pub heard: Heard,
    pub send: SendStream,
    pub recv: RecvStream,
    /// Holds what came after hello.
    pub decoder: Decoder,
}

/// Why there was no hello.
#[derive(Debug, thiserror::Error)]
pub enum HelloError {
    /// The other end says goodbye.
    #[error("{0}")]
    Refused(String),
    /// This end says goodbye.
    #[error("{0}")]
    Refusing(String),
    #[error("{}", close::sentence(.0))]
    Lost(#[from] ConnectionError),
    #[error("the other end connected and said nothing")]
    Silent,
}

/// The dialling end: opens the control stream and speaks first.
pub async fn dial(
    connection: Connection,
    me: &Identity,
    software: &str,
) -> Result<Greeted, HelloError> {
    let (send, recv) = connection.open_bi().await?;
    let certificate = certificate(&connection);
    let mut control = ControlStream::new(connection, send, recv);
    control.say_hello(me, software).await?;
    let first = control.first_message().await?;
    if let Control::Goodbye { reason } = first {
        return Err(HelloError::Refused(reason));
    }
    match check(first, certificate, Versions::OURS) {
        Ok(heard) => Ok(control.greeted(heard)),
        Err(reason) => Err(control.say_goodbye(reason).await),
    }
}

/// The listening end: hears who it is first. Gives up after `limit`.
pub async fn answer(
    connection: Connection,
    me: &Identity,
    software: &str,
    limit: Duration,
) -> Result<Greeted, HelloError> {
    let heard = timeout(limit, async {
        let (send, recv) = connection.accept_bi().await?;
        let connection = connection.clone();
        let mut control = ControlStream::new(connection, send, recv);
        let first = control.first_message().await?;
        Ok::<_, HelloError>((control, first))
    });
    let Ok(heard) = heard.await else {
        let seconds = limit.as_secs_f32();
        close::close(&connection, REFUSED, &format!("no hello within {seconds} seconds"));
        return Err(HelloError::Silent);
    };
    let (mut control, first) = heard?;
    match check(first, certificate(&connection), Versions::OURS) {
        Ok(heard) => {
            control.say_hello(me, software).await?;
            Ok(control.greeted(heard))
        }
        Err(reason) => Err(control.say_goodbye(reason).await),
    }
}

/// Who the verified certificate of the other end names.
fn certificate(connection: &Connection) -> Result<Peer, String> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .unwrap_or_default();
    let leaf = chain.first().ok_or("the other end showed no certificate")?;
    Peer::from_certificate(leaf).map_err(|e| e.to_string())
}

/// Checks a first message against the certificate; the error is the sentence of a goodbye.
fn check(
    first: Control,
    certificate: Result<Peer, String>,
    ours: Versions,
) -> Result<Heard, String> {
    let Control::Hello { version, oldest, node, kind, school, software, capabilities } = first
    else {
        return Err("the first message of a trunk is hello".into());
    };
    let software: String = software.chars().take(SOFTWARE_LEN).collect();
    let theirs = Versions::said(version, oldest);
    let spoken = ours.with(theirs).map_err(|e| format!("{node} ({software}): {e}"))?;
    let peer = certificate?;
    if (&node, kind, &school) != (&peer.node, peer.kind, &peer.school) {
        let said = Peer { node, kind, school, ..peer.clone() };
        return Err(format!(
            "hello says {} and the certificate says {}: use the certificate that was issued to \
             this node",
            said.uri(),
            peer.uri()
        ));
    }
    let capabilities = capabilities.into_iter().filter(|c| c.len() <= CAPABILITY_LEN);
    let capabilities = capabilities.take(CAPABILITIES_KEPT).collect();
    let later = theirs.newest > ours.newest;
    Ok(Heard { peer, software, version: spoken, later, capabilities })
}

struct ControlStream {
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
    decoder: Decoder,
}

impl ControlStream {
    fn new(connection: Connection, send: SendStream, recv: RecvStream) -> Self {
        Self { connection, send, recv, decoder: Decoder::of_stranger() }
    }

    fn greeted(self, heard: Heard) -> Greeted {
        let Self { connection, send, recv, mut decoder } = self;
        decoder.trust();
        Greeted { connection, heard, send, recv, decoder }
    }

    async fn first_message(&mut self) -> Result<Control, HelloError> {
        loop {
            match self.decoder.next() {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                Err(e) => return Err(self.say_goodbye(e.to_string()).await),
            }
            match self.recv.read_chunk(READ, true).await {
                Ok(Some(chunk)) => self.decoder.push(&chunk.bytes),
                Ok(None) => {
                    let reason = "the control stream ended before hello".to_owned();
                    return Err(self.say_goodbye(reason).await);
                }
                Err(ReadError::ConnectionLost(e)) => return Err(e.into()),
                Err(e) => return Err(self.say_goodbye(e.to_string()).await),
            }
        }
    }

    async fn say(&mut self, message: &Control) -> Result<(), HelloError> {
        let bytes = frame::encode(message).map_err(|e| HelloError::Refusing(e.to_string()))?;
        self.send.write_all(&bytes).await.map_err(|e| match e {
            WriteError::ConnectionLost(e) => HelloError::Lost(e),
            e => HelloError::Refused(e.to_string()),
        })
    }

    async fn say_hello(&mut self, me: &Identity, software: &str) -> Result<(), HelloError> {
        let Peer { node, kind, school, .. } = me.me().clone();
        let hello = Control::Hello {
            version: VERSION,
            oldest: Some(OLDEST),
            node,
            kind,
            school,
            software: software.to_owned(),
            capabilities: CAPABILITIES.iter().map(|&c| c.into()).collect(),
        };
        self.say(&hello).await
    }

    /// Says why, waits until it is received, and closes.
    async fn say_goodbye(&mut self, reason: String) -> HelloError {
        let said = async {
            self.say(&Control::Goodbye { reason: reason.clone() }).await.ok()?;
            self.send.finish().ok()?;
            self.send.stopped().await.ok()
        };
        if timeout(FAREWELL, said).await.ok().flatten().is_none() {
            tracing::debug!("the reason of a refusal was not acknowledged");
        }
        close::close(&self.connection, REFUSED, &reason);
        HelloError::Refusing(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::id::NodeId;
    use cloudschool_protocol::trunk::NodeKind;

    fn peer(node: &str, kind: NodeKind) -> Peer {
        Peer::new(NodeId::new(node).unwrap(), kind, None)
    }

    fn hello(version: u16, oldest: Option<u16>, peer: &Peer) -> Control {
        let Peer { node, kind, school, .. } = peer.clone();
        let (software, capabilities) = ("test 1".into(), vec!["weather".into(), "x".repeat(65)]);
        Control::Hello { version, oldest, node, kind, school, software, capabilities }
    }

    fn ours(newest: u16, oldest: u16) -> Versions {
        Versions { newest, oldest }
    }

    #[test]
    fn a_peer_is_who_its_certificate_says() {
        let edge = peer("school-01", NodeKind::Edge);
        let said = || hello(VERSION, None, &edge);
        assert_eq!(check(said(), Ok(edge.clone()), Versions::OURS).unwrap().peer, edge);
        for other in [peer("school-02", NodeKind::Edge), peer("school-01", NodeKind::Recorder)] {
            let refused = check(said(), Ok(other), Versions::OURS).unwrap_err();
            assert!(refused.contains("certificate says"), "{refused}");
        }
    }

    #[test]
    fn without_a_common_version_a_peer_is_told_both() {
        let edge = peer("school-01", NodeKind::Edge);
        let refused = check(hello(4, Some(3), &edge), Ok(edge), ours(2, 1)).unwrap_err();
        assert!(refused.contains("school-01 (test 1)"), "{refused}");
        assert!(refused.contains("versions 3 to 4"), "{refused}");
        assert!(refused.contains("this node versions 1 to 2: bring this node to"), "{refused}");
    }

    #[test]
    fn with_a_common_version_the_older_ends_highest_is_spoken() {
        let edge = peer("school-01", NodeKind::Edge);
        let check = |said, ours| check(said, Ok(edge.clone()), ours).unwrap();
        let newer = check(hello(4, Some(1), &edge), ours(2, 1));
        assert_eq!((newer.version, newer.later), (2, true));
        let older = check(hello(1, None, &edge), ours(2, 1));
        assert_eq!((older.version, older.later), (1, false));
        assert_eq!(older.capabilities, ["weather"], "and no novels");
    }

    #[test]
    fn anything_before_hello_is_refused() {
        let edge = peer("school-01", NodeKind::Edge);
        assert!(check(Control::Keyframe { flow: 1 }, Ok(edge), Versions::OURS).is_err());
    }
    #[tokio::test]
    async fn a_peer_that_says_nothing_is_not_waited_for() {
        use crate::{ca, tls, transport};
        use std::sync::Arc;
        let dir = tempfile::tempdir().unwrap();
        let (ca, out) = (dir.path().join("ca"), dir.path().join("campus"));
        ca::init(&ca).unwrap();
        ca::issue(&ca, &NodeId::new("campus").unwrap(), NodeKind::Origin, None, &out).unwrap();
        let me = Identity::load(&out).unwrap();
        let endpoint = |server| {
            let socket = transport::bind(([127, 0, 0, 1], 0).into()).unwrap();
            let config = me.keys().endpoint_config();
            quinn::Endpoint::new(config, server, socket, Arc::new(quinn::TokioRuntime)).unwrap()
        };
        let listening = endpoint(Some(quinn::ServerConfig::with_crypto(me.server())));
        let dialling = endpoint(None);
        let config = quinn::ClientConfig::new(me.client());
        let address = listening.local_addr().unwrap();
        let dialled = dialling.connect_with(config, address, tls::SERVER_NAME).unwrap();
        let (answered, dialled) =
            tokio::join!(async { listening.accept().await.unwrap().await.unwrap() }, async {
                dialled.await.unwrap()
            });
        let limit = Duration::from_millis(50);
        let heard = answer(answered, &me, "test 1", limit).await;
        assert!(matches!(heard, Err(HelloError::Silent)));
        assert!(dialled.closed().await.to_string().contains("no hello within"));
    }
}
