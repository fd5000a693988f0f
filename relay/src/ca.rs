//! The campus CA: a key and a certificate in a directory of the campus, from which every node,
//! the recorder and analytics get the certificate they meet each other with. There is no other
//! trust on a trunk: no public CA, no password.

mod authority;
mod web;

pub use authority::{Authority, BadRequest, Request, install, keep_key, new_key, request};
pub use web::WebAuthority;

use crate::files::{self, Access, FileError};
use crate::peer::Peer;
use crate::tls::SERVER_NAME;
use cloudschool_protocol::id::{NodeId, SchoolId};
use cloudschool_protocol::trunk::NodeKind;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

/// Files of a CA's directory.
const CA_CERTIFICATE: &str = "ca.pem";
const CA_KEY: &str = "ca.key";

/// Replacing a CA means a visit to every school, so it outlives the machines.
const CA_LIFE: Duration = Duration::days(20 * 365);

/// A lost school box is no longer let in after a school year.
const NODE_LIFE: Duration = Duration::days(366);

/// How far behind a node's clock may be when its certificate is new: village machines come
/// back from a power cut with yesterday's time.
const CLOCK_SKEW: Duration = Duration::days(2);

/// Why a CA can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error("there is no CA in {}: make one with `sfu ca init --dir {}`", .0.display(), .0.display())]
    Missing(PathBuf),
    #[error(
        "the CA in {} is half there: {CA_CERTIFICATE} and {CA_KEY} belong together. Restore the missing one, or remove both to begin anew (every node then needs a new certificate)",
        .0.display()
    )]
    Incomplete(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the CA in {}, or a certificate of it, is not usable: {source}", dir.display())]
    Certificate {
        dir: PathBuf,
        #[source]
        source: rcgen::Error,
    },
}

/// What [`init`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// A new CA was made.
    Made,
    /// There was one, and it was left as it is.
    Existed,
}

/// Makes a CA in `dir`, or leaves the one that is there.
///
/// # Errors
/// [`CaError`]; never overwrites anything.
pub fn init(dir: &Path) -> Result<Init, CaError> {
    if let Some(ca) = open(dir)? {
        ca.map_err(bad(dir))?;
        return Ok(Init::Existed);
    }
    files::make_dir(dir)?;
    let key = KeyPair::generate().map_err(bad(dir))?;
    let mut params = CertificateParams::default();
    // Two campuses' CAs are told apart by name, so that a node of one says "another CA" to the
    // other and not "bad signature".
    params.distinguished_name =
        name(&format!("Cloudschool campus CA {:08x}", rand::random::<u32>()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_life(&mut params, CA_LIFE);
    let certificate = params.self_signed(&key).map_err(bad(dir))?;
    files::create(&dir.join(CA_KEY), key.serialize_pem().as_bytes(), Access::Owner)?;
    files::create(&dir.join(CA_CERTIFICATE), certificate.pem().as_bytes(), Access::Everyone)?;
    Ok(Init::Made)
}

/// Issues a certificate of the CA in `dir` and writes it to `out`, as a node reads it:
/// `ca.pem`, `node.pem`, `node.key` (readable by its owner only). What is in `out` is
/// replaced: this is also how a certificate is renewed.
///
/// # Errors
/// [`CaError`] when there is no CA in `dir`, or `out` can't be written.
pub fn issue(
    dir: &Path,
    node: &NodeId,
    kind: NodeKind,
    school: Option<&SchoolId>,
    out: &Path,
) -> Result<(), CaError> {
    issue_to(dir, &Peer::new(node.clone(), kind, school.cloned()), out)
}

/// As [`issue`], for any peer: also one that others stand behind.
///
/// # Errors
/// As [`issue`].
pub fn issue_to(dir: &Path, peer: &Peer, out: &Path) -> Result<(), CaError> {
    let ca = open(dir)?.ok_or_else(|| CaError::Missing(dir.to_path_buf()))?.map_err(bad(dir))?;
    let key = KeyPair::generate().map_err(bad(dir))?;
    let certificate = node_params(peer).and_then(|p| p.signed_by(&key, &ca)).map_err(bad(dir))?;
    let ca_pem = files::read(&dir.join(CA_CERTIFICATE))?;
    files::make_dir(out)?;
    files::replace(&out.join("ca.pem"), &ca_pem, Access::Everyone)?;
    files::replace(&out.join("node.key"), key.serialize_pem().as_bytes(), Access::Owner)?;
    files::replace(&out.join("node.pem"), certificate.pem().as_bytes(), Access::Everyone)?;
    Ok(())
}

type Opened = Result<Issuer<'static, KeyPair>, rcgen::Error>;

/// The CA in `dir`: `None` when there is none at all.
fn open(dir: &Path) -> Result<Option<Opened>, CaError> {
    open_pair(dir, &dir.join(CA_CERTIFICATE), &dir.join(CA_KEY))
}

fn open_pair(dir: &Path, certificate: &Path, key: &Path) -> Result<Option<Opened>, CaError> {
    match (certificate.exists(), key.exists()) {
        (false, false) => return Ok(None),
        (true, true) => {}
        _ => return Err(CaError::Incomplete(dir.to_path_buf())),
    }
    let certificate = String::from_utf8_lossy(&files::read(certificate)?).into_owned();
    let key = String::from_utf8_lossy(&files::read(key)?).into_owned();
    let issuer =
        KeyPair::from_pem(&key).and_then(|key| Issuer::from_ca_cert_pem(&certificate, key));
    Ok(Some(issuer))
}

fn node_params(peer: &Peer) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(peer.node.as_str());
    params.subject_alt_names = vec![SanType::URI(peer.uri().try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    // Only nodes that others dial can be dialled: a stolen recorder key opens no false campus.
    if matches!(peer.kind, NodeKind::Origin | NodeKind::Edge) {
        params.subject_alt_names.push(SanType::DnsName(SERVER_NAME.try_into()?));
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    params.use_authority_key_identifier_extension = true;
    set_life(&mut params, NODE_LIFE);
    Ok(params)
}

fn set_life(params: &mut CertificateParams, life: Duration) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + life;
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Cloudschool");
    name.push(DnType::CommonName, common);
    name
}

fn bad(dir: &Path) -> impl FnOnce(rcgen::Error) -> CaError + '_ {
    move |source| CaError::Certificate { dir: dir.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_init_leaves_the_ca_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(init(dir.path()).unwrap(), Init::Made);
        let before =
            (files::read(&dir.path().join(CA_KEY)), files::read(&dir.path().join("ca.pem")));
        assert_eq!(init(dir.path()).unwrap(), Init::Existed);
        let after =
            (files::read(&dir.path().join(CA_KEY)), files::read(&dir.path().join("ca.pem")));
        assert_eq!(before.0.unwrap(), after.0.unwrap());
        assert_eq!(before.1.unwrap(), after.1.unwrap());
    }

    #[test]
    fn half_a_ca_is_reported_and_not_completed() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join(CA_KEY)).unwrap();
        assert!(matches!(init(dir.path()), Err(CaError::Incomplete(_))));
        assert!(!dir.path().join(CA_KEY).exists());
    }

    #[test]
    fn without_a_ca_nothing_is_issued() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let node = NodeId::new("campus").unwrap();
        let error = issue(dir.path(), &node, NodeKind::Origin, None, &out).unwrap_err();
        assert!(error.to_string().contains("sfu ca init"), "{error}");
        assert!(!out.exists());
    }

    #[cfg(unix)]
    #[test]
    fn private_keys_are_readable_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (ca, out) = (dir.path().join("ca"), dir.path().join("node"));
        init(&ca).unwrap();
        let node = NodeId::new("campus").unwrap();
        // Twice: a renewal must not loosen it either.
        for _ in 0..2 {
            issue(&ca, &node, NodeKind::Origin, None, &out).unwrap();
            for key in [ca.join(CA_KEY), out.join("node.key")] {
                let mode = std::fs::metadata(key).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
            }
        }
    }
}
