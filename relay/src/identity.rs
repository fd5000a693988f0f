//! A node's identity: its certificate, its key and the CA it trusts, read once at start.

use crate::files::{self, FileError};
use crate::peer::{NotANode, Peer};
use crate::tls;
use cloudschool_protocol::id::{NodeId, SchoolId};
use cloudschool_protocol::trunk::NodeKind;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
}

/// Who this process is on a trunk. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    me: Peer,
    server: Arc<QuicServerConfig>,
    client: Arc<QuicClientConfig>,
    keys: tls::EndpointKeys,
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
        let me = chain
            .first()
            .ok_or(NotANode::NoAddress)
            .and_then(Peer::from_certificate)
            .map_err(|source| IdentityError::NotANode { path: node_pem, source })?;
        let keys = tls::EndpointKeys::derive(key.secret_der());
        let unusable = |e: tls::TlsError| IdentityError::Unusable {
            dir: dir.to_path_buf(),
            reason: e.to_string(),
        };
        let server =
            tls::server_config(&roots, chain.clone(), key.clone_key()).map_err(unusable)?;
        let client = tls::client_config(&roots, chain, key).map_err(unusable)?;
        Ok(Self(Arc::new(Inner { me, server: Arc::new(server), client: Arc::new(client), keys })))
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

    pub(crate) fn keys(&self) -> &tls::EndpointKeys {
        &self.0.keys
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Identity").field(&self.0.me).finish()
    }
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
