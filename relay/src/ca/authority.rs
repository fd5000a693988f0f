//! A CA at work: signs for keys that others made and keep.

use super::{CA_CERTIFICATE, CaError, bad, node_params, open};
use crate::files;
use crate::peer::Peer;
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, CertificateSigningRequestParams, Issuer, KeyPair, PublicKeyData};
use std::path::{Path, PathBuf};

/// The campus CA, opened for issuing.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    dir: PathBuf,
}

/// A certificate signing request whose signature was checked. Of what it asks for only the
/// public key counts: what a certificate says is decided by whoever issues it.
pub struct Request(CertificateSigningRequestParams);

/// It is none, or its signature is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate signing request can't be used: {0}")]
pub struct BadRequest(rcgen::Error);

impl Request {
    /// Reads PKCS #10 in PEM.
    ///
    /// # Errors
    /// [`BadRequest`].
    pub fn read(pem: &str) -> Result<Self, BadRequest> {
        CertificateSigningRequestParams::from_pem(pem).map(Self).map_err(BadRequest)
    }

    /// SHA-256 of the public key.
    #[must_use]
    pub fn key_hash(&self) -> Vec<u8> {
        digest(&SHA256, self.0.public_key.der_bytes()).as_ref().to_vec()
    }

    /// Whether it is for this public key: the bits of a subjectPublicKey (RFC 5280 §4.1.2.7).
    pub(crate) fn is_for(&self, key: &[u8]) -> bool {
        self.0.public_key.der_bytes() == key
    }

    pub(crate) fn signed(
        &self,
        params: CertificateParams,
        issuer: &Issuer<'_, KeyPair>,
    ) -> Result<String, rcgen::Error> {
        params.signed_by(&self.0.public_key, issuer).map(|certificate| certificate.pem())
    }
}

/// A new private key, PEM, and a request for it.
///
/// # Errors
/// [`BadRequest`] when the machine has no randomness to make one of.
pub fn new_key() -> Result<(String, String), BadRequest> {
    let key = KeyPair::generate().map_err(BadRequest)?.serialize_pem();
    let request = request(&key)?;
    Ok((key, request))
}

/// A certificate signing request, PEM, for a private key in PEM.
///
/// # Errors
/// [`BadRequest`] when it is no key.
pub fn request(key: &str) -> Result<String, BadRequest> {
    let make = || {
        let key = KeyPair::from_pem(key)?;
        CertificateParams::default().serialize_request(&key)?.pem()
    };
    make().map_err(BadRequest)
}

impl Authority {
    /// Opens the CA in `dir`.
    ///
    /// # Errors
    /// [`CaError`] when there is none, or it is damaged.
    pub fn open(dir: &Path) -> Result<Self, CaError> {
        let issuer =
            open(dir)?.ok_or_else(|| CaError::Missing(dir.to_path_buf()))?.map_err(bad(dir))?;
        let certificate = files::read(&dir.join(CA_CERTIFICATE))?;
        let certificate = String::from_utf8_lossy(&certificate).into_owned();
        Ok(Self { issuer, certificate, dir: dir.to_path_buf() })
    }

    /// The CA's own certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A node certificate, PEM, that says `peer` and is for the key of `request`.
    ///
    /// # Errors
    /// [`CaError::Certificate`].
    pub fn certify(&self, peer: &Peer, request: &Request) -> Result<String, CaError> {
        node_params(peer)
            .and_then(|params| request.signed(params, &self.issuer))
            .map_err(bad(&self.dir))
    }
}

/// Writes a private key, PEM, that only its owner may read.
///
/// # Errors
/// [`files::FileError`].
pub fn keep_key(file: &Path, key: &str) -> Result<(), files::FileError> {
    if let Some(dir) = file.parent() {
        files::make_dir(dir)?;
    }
    files::replace(file, key.as_bytes(), files::Access::Owner)
}

/// Writes an identity whose key was made here: `ca.pem`, `node.pem` and `node.key`.
///
/// # Errors
/// [`files::FileError`].
pub fn install(dir: &Path, ca: &str, certificate: &str, key: &str) -> Result<(), files::FileError> {
    files::make_dir(dir)?;
    files::replace(&dir.join("ca.pem"), ca.as_bytes(), files::Access::Everyone)?;
    files::replace(&dir.join("node.key"), key.as_bytes(), files::Access::Owner)?;
    files::replace(&dir.join("node.pem"), certificate.as_bytes(), files::Access::Everyone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;
    use crate::ca;
    use cloudschool_protocol::id::{NodeId, SchoolId};
    use cloudschool_protocol::trunk::NodeKind;

    #[test]
    fn a_certificate_for_a_key_made_elsewhere_makes_an_identity() {
        let dir = tempfile::tempdir().unwrap();
        ca::init(&dir.path().join("ca")).unwrap();
        let authority = Authority::open(&dir.path().join("ca")).unwrap();
        let (key, csr) = new_key().unwrap();
        let school = SchoolId::new("school-02").unwrap();
        let peer = Peer::new(NodeId::new("school-02").unwrap(), NodeKind::Edge, Some(school));
        let certificate = authority.certify(&peer, &Request::read(&csr).unwrap()).unwrap();
        let out = dir.path().join("out");
        install(&out, authority.certificate(), &certificate, &key).unwrap();
        assert_eq!(Identity::load(&out).unwrap().me(), &peer);
    }

    #[test]
    fn a_request_that_was_tampered_with_is_refused() {
        let (_, csr) = new_key().unwrap();
        let (_, other) = new_key().unwrap();
        assert!(Request::read("").is_err());
        assert_ne!(
            Request::read(&csr).unwrap().key_hash(),
            Request::read(&other).unwrap().key_hash()
        );
        // A bit of the signature, which is what comes last.
        let lines: Vec<&str> = csr.lines().collect();
        let at = lines.len() - 2;
        let changed: String = lines[at]
            .chars()
            .enumerate()
            .map(|(n, c)| if n == 3 { if c == 'A' { 'B' } else { 'A' } } else { c })
            .collect();
        assert!(Request::read(&csr.replace(lines[at], &changed)).is_err());
    }
}
