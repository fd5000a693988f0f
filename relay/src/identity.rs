//! A node's identity: its certificate, its key and the CA it trusts, read once at start.

use crate::ca;
use crate::files::{self, Access, FileError};
use crate::peer::{NotANode, Peer};
use crate::purpose::{ENROL_ALPN, MEASURE_ALPN};
use crate::roq_peer::PlainPeers;
use crate::tls;
use cloudschool_protocol::id::{NodeId, SchoolId};
use cloudschool_protocol::trunk::{ALPN, NodeKind};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a node has no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("the node's certificate is not there ({0}): issue one with `sfu ca issue`")]
    File(#[from] FileError),
    #[error("{} holds no PEM {what}", path.display())]
    Pem { path: PathBuf, what: &'static str },
    #[error("{}: {source}", path.display())]
    NotANode {
        path: PathBuf,
        #[source]
        source: NotANode,
    },
    #[error(
        "the certificate in {} is of the {} {found}, and this is by [node] name the {} {wanted}: \
         issue one with `sfu ca issue --node {wanted} --kind {}`",
        dir.display(), found_kind.as_str(), wanted_kind.as_str(), wanted_kind.as_str()
    )]
    Another {
        dir: PathBuf,
        found: NodeId,
        found_kind: NodeKind,
        wanted: NodeId,
        wanted_kind: NodeKind,
    },
    #[error("the certificate, key and CA in {} don't fit each other: {reason}", dir.display())]
    Unusable { dir: PathBuf, reason: String },
    #[error("a renewed certificate was not taken: {0}")]
    NotRenewed(String),
}

/// A certificate that is shown for another node is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate that is shown for it is not accepted: {0}")]
pub struct NotVouched(String);

/// A node as a certificate of the campus CA names it.
#[derive(Debug, Clone)]
pub struct Vouched {
    peer: Peer,
    leaf: CertificateDer<'static>,
}

impl Vouched {
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether a request is signed by the key of the certificate: whoever made it has that key.
    #[must_use]
    pub fn asks(&self, request: &ca::Request) -> bool {
        let Ok((_, certificate)) = X509Certificate::from_der(&self.leaf) else { return false };
        request.is_for(&certificate.public_key().subject_public_key.data)
    }
}

/// Who this process is on a trunk. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    me: Peer,
    dir: PathBuf,
    roots: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    own: Arc<tls::Credentials>,
    server: Arc<QuicServerConfig>,
    client: Arc<QuicClientConfig>,
    keys: tls::EndpointKeys,
}

/// From when until when a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub from: SystemTime,
    pub until: SystemTime,
}

impl Validity {
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let at = |seconds: i64| {
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.try_into().ok()?))
        };
        let validity = certificate.validity();
        Some(Self {
            from: at(validity.not_before.timestamp())?,
            until: at(validity.not_after.timestamp())?,
        })
    }

    /// When it is to be renewed: after two thirds of its life, so that a school that is away
    /// for a whole term still finds its way back.
    #[must_use]
    pub fn renew_at(&self) -> SystemTime {
        let life = self.until.duration_since(self.from).unwrap_or_default();
        self.from + life * 2 / 3
    }
}

impl Identity {
    /// Reads `ca.pem`, `node.pem` and `node.key` from `dir`, as `ca::issue` wrote them. An
    /// expired certificate is no error here: a school's node must start without its trunk.
    ///
    /// # Errors
    /// [`IdentityError`], which names the file and the remedy.
    pub fn load(dir: &Path) -> Result<Self, IdentityError> {
        let roots = certificates(&dir.join("ca.pem"))?;
        let node_pem = dir.join("node.pem");
        let chain = certificates(&node_pem)?;
        let key_path = dir.join("node.key");
        let key = PrivateKeyDer::from_pem_slice(&files::read(&key_path)?)
            .map_err(|_| IdentityError::Pem { path: key_path, what: "private key" })?;
        let me =
            peer(&chain).map_err(|source| IdentityError::NotANode { path: node_pem, source })?;
        let keys = tls::EndpointKeys::derive(key.secret_der());
        let unusable = |e: tls::TlsError| IdentityError::Unusable {
            dir: dir.to_path_buf(),
            reason: e.to_string(),
        };
        let own = Arc::new(tls::Credentials::new(chain, key.clone_key()).map_err(unusable)?);
        let server = Arc::new(tls::server_config(&roots, &own, ALPN).map_err(unusable)?);
        let client = Arc::new(tls::client_config(&roots, &own, ALPN).map_err(unusable)?);
        let dir = dir.to_path_buf();
        Ok(Self(Arc::new(Inner { me, dir, roots, key, own, server, client, keys })))
    }

    /// From when until when its certificate is good.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        self.0.own.chain().first().and_then(Validity::of)
    }

    /// A request, PEM, for a new certificate of the same key.
    ///
    /// # Errors
    /// [`IdentityError`] when the key can't be read again.
    pub fn request(&self) -> Result<String, IdentityError> {
        let key = files::read(&self.0.dir.join("node.key"))?;
        let not = |e: ca::BadRequest| IdentityError::NotRenewed(e.to_string());
        ca::request(&String::from_utf8_lossy(&key)).map_err(not)
    }

    /// The certificate it shows on trunks, PEM.
    ///
    /// # Errors
    /// [`IdentityError`] when it can't be read again.
    pub fn certificate(&self) -> Result<String, IdentityError> {
        let pem = files::read(&self.0.dir.join("node.pem"))?;
        Ok(String::from_utf8_lossy(&pem).into_owned())
    }

    /// Whom a certificate, PEM, names that is shown for a node this one has no trunk with: one
    /// of the same CA, that is good now.
    ///
    /// # Errors
    /// [`NotVouched`].
    pub fn vouched(&self, pem: &str) -> Result<Vouched, NotVouched> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let chain = chain.map_err(|e| NotVouched(e.to_string()))?;
        let peer = peer(&chain).map_err(|e| NotVouched(e.to_string()))?;
        tls::is_of(&self.0.roots, &chain).map_err(|e| NotVouched(e.to_string()))?;
        let leaf = chain.into_iter().next().ok_or_else(|| NotVouched("it is empty".into()))?;
        Ok(Vouched { peer, leaf })
    }

    /// Takes a renewed certificate, PEM, which must say the same and be for the same key: it
    /// is written to the identity's directory, and every connection made from now on, by
    /// every clone of this, shows it.
    ///
    /// # Errors
    /// [`IdentityError`]; then everything is as before.
    pub fn renew(&self, pem: &str) -> Result<(), IdentityError> {
        let not = |reason: String| IdentityError::NotRenewed(reason);
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let chain = chain.map_err(|e| not(e.to_string()))?;
        let said = peer(&chain).map_err(|e| not(e.to_string()))?;
        if said != self.0.me {
            return Err(not(format!("it is of the {said}")));
        }
        tls::is_of(&self.0.roots, &chain).map_err(|e| not(e.to_string()))?;
        // Checks that it is for this key.
        tls::Credentials::new(chain.clone(), self.0.key.clone_key())
            .map_err(|e| not(e.to_string()))?;
        files::replace(&self.0.dir.join("node.pem"), pem.as_bytes(), Access::Everyone)?;
        let key = self.0.key.clone_key();
        self.0.own.replace(chain, key).map_err(|e| not(e.to_string()))
    }

    /// Reads the identity in `dir`, which must be that of `node` as a `kind`: a process that
    /// came with another's certificate would be refused much later, and less clearly.
    ///
    /// # Errors
    /// [`IdentityError`], as for [`Self::load`], or [`IdentityError::Another`].
    pub fn load_as(dir: &Path, kind: NodeKind, node: &NodeId) -> Result<Self, IdentityError> {
        let identity = Self::load(dir)?;
        if identity.kind() != kind || identity.node() != node {
            return Err(IdentityError::Another {
                dir: dir.to_path_buf(),
                found: identity.node().clone(),
                found_kind: identity.kind(),
                wanted: node.clone(),
                wanted_kind: kind,
            });
        }
        Ok(identity)
    }

    /// Who the certificate was issued to.
    #[must_use]
    pub fn me(&self) -> &Peer {
        &self.0.me
    }

    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.0.me.node
    }

    #[must_use]
    pub fn kind(&self) -> NodeKind {
        self.0.me.kind
    }

    #[must_use]
    pub fn school(&self) -> Option<&SchoolId> {
        self.0.me.school.as_ref()
    }

    pub(crate) fn server(&self) -> Arc<QuicServerConfig> {
        self.0.server.clone()
    }

    pub(crate) fn client(&self) -> Arc<QuicClientConfig> {
        self.0.client.clone()
    }

    /// For machines that have no certificate yet.
    pub(crate) fn enrol_server(&self) -> Result<Arc<QuicServerConfig>, tls::TlsError> {
        tls::open_server_config(&self.0.own, ENROL_ALPN).map(Arc::new)
    }

    /// For trunks, and for these plain peers.
    pub(crate) fn server_and(
        &self,
        plain: &PlainPeers,
    ) -> Result<Arc<QuicServerConfig>, tls::TlsError> {
        let alpns = std::iter::once(ALPN.to_vec()).chain(plain.protocols.iter().cloned());
        let pinned = plain.pinned.keys().copied().collect();
        let Inner { roots, own, .. } = &*self.0;
        tls::server_config_of(roots, own, alpns.collect(), pinned).map(Arc::new)
    }

    /// Whether such a chain, the own certificate first, is of the campus CA.
    pub(crate) fn is_of_ca(&self, chain: &[CertificateDer<'static>]) -> bool {
        tls::is_of(&self.0.roots, chain).is_ok()
    }

    pub(crate) fn measure_server(&self) -> Result<Arc<QuicServerConfig>, tls::TlsError> {
        tls::server_config(&self.0.roots, &self.0.own, MEASURE_ALPN).map(Arc::new)
    }

    pub(crate) fn measure_client(&self) -> Result<Arc<QuicClientConfig>, tls::TlsError> {
        tls::client_config(&self.0.roots, &self.0.own, MEASURE_ALPN).map(Arc::new)
    }

    /// TLS over TCP, around connections that bring their own identities.
    pub(crate) fn tunnel_server(&self) -> Result<Arc<rustls::ServerConfig>, tls::TlsError> {
        tls::open_server(&self.0.own, crate::tunnel::ALPN).map(Arc::new)
    }

    pub(crate) fn keys(&self) -> &tls::EndpointKeys {
        &self.0.keys
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Identity").field(&self.0.me).finish()
    }
}

fn peer(chain: &[CertificateDer<'static>]) -> Result<Peer, NotANode> {
    chain.first().ok_or(NotANode::NoAddress).and_then(Peer::from_certificate)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let pem = files::read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(IdentityError::Pem { path: path.to_path_buf(), what: "certificate" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca;

    fn issue(ca_dir: &Path, node: &str, out: &Path) {
        ca::init(ca_dir).unwrap();
        let school = SchoolId::new("school-01").unwrap();
        let node = NodeId::new(node).unwrap();
        ca::issue(ca_dir, &node, NodeKind::Edge, Some(&school), out).unwrap();
    }

    #[test]
    fn what_was_issued_is_what_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("edge");
        issue(&dir.path().join("ca"), "school-01", &out);
        let identity = Identity::load(&out).unwrap();
        assert_eq!(identity.node().as_str(), "school-01");
        assert_eq!(identity.kind(), NodeKind::Edge);
        assert_eq!(identity.school().unwrap().as_str(), "school-01");
    }

    #[test]
    fn anothers_certificate_is_refused_with_both_names() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("edge");
        issue(&dir.path().join("ca"), "school-01", &out);
        let own = NodeId::new("school-01").unwrap();
        Identity::load_as(&out, NodeKind::Edge, &own).unwrap();
        let other = NodeId::new("school-02").unwrap();
        for (kind, node) in [(NodeKind::Edge, &other), (NodeKind::Recorder, &own)] {
            let error = Identity::load_as(&out, kind, node).unwrap_err().to_string();
            assert!(error.contains("edge school-01"), "{error}");
            assert!(error.contains(&format!("--node {node} --kind {}", kind.as_str())), "{error}");
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_at_start() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        issue(&dir.path().join("ca"), "a", &a);
        issue(&dir.path().join("ca"), "b", &b);
        std::fs::copy(b.join("node.key"), a.join("node.key")).unwrap();
        assert!(matches!(Identity::load(&a), Err(IdentityError::Unusable { .. })));
    }

    #[test]
    fn a_renewed_certificate_is_shown_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (ca_dir, out) = (dir.path().join("ca"), dir.path().join("edge"));
        issue(&ca_dir, "school-01", &out);
        let identity = Identity::load(&out).unwrap();
        let before = identity.validity().unwrap();
        let third = before.until.duration_since(before.renew_at()).unwrap();
        assert!(third > Duration::from_secs(120 * 24 * 3600), "{third:?}");
        let authority = ca::Authority::open(&ca_dir).unwrap();
        let request = ca::Request::read(&identity.request().unwrap()).unwrap();
        let renewed = authority.certify(identity.me(), &request).unwrap();
        identity.renew(&renewed).unwrap();
        assert_eq!(files::read(&out.join("node.pem")).unwrap(), renewed.as_bytes());
        let shown = identity.0.own.chain();
        assert_eq!(shown, certificates(&out.join("node.pem")).unwrap());
        Identity::load(&out).unwrap();
    }

    #[test]
    fn a_certificate_of_another_node_key_or_ca_renews_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (ca_dir, out) = (dir.path().join("ca"), dir.path().join("edge"));
        issue(&ca_dir, "school-01", &out);
        let identity = Identity::load(&out).unwrap();
        let before = files::read(&out.join("node.pem")).unwrap();
        let own = ca::Request::read(&identity.request().unwrap()).unwrap();
        let other_key = ca::Request::read(&ca::new_key().unwrap().1).unwrap();
        let authority = ca::Authority::open(&ca_dir).unwrap();
        ca::init(&dir.path().join("other")).unwrap();
        let other_ca = ca::Authority::open(&dir.path().join("other")).unwrap();
        let other_node = Peer { node: NodeId::new("school-02").unwrap(), ..identity.me().clone() };
        for pem in [
            authority.certify(identity.me(), &other_key).unwrap(),
            other_ca.certify(identity.me(), &own).unwrap(),
            authority.certify(&other_node, &own).unwrap(),
            String::new(),
        ] {
            assert!(matches!(identity.renew(&pem), Err(IdentityError::NotRenewed(_))));
        }
        assert_eq!(files::read(&out.join("node.pem")).unwrap(), before);
    }

    #[test]
    fn a_missing_or_empty_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("edge");
        let error = Identity::load(&out).unwrap_err().to_string();
        assert!(error.contains("ca.pem") && error.contains("sfu ca issue"), "{error}");
        issue(&dir.path().join("ca"), "school-01", &out);
        std::fs::write(out.join("node.pem"), "").unwrap();
        let error = Identity::load(&out).unwrap_err().to_string();
        assert!(error.contains("node.pem"), "{error}");
    }
}
