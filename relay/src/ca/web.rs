//! Certificates that browsers in a school meet, where the campus has none of a public CA to
//! hand out: of a CA beside the campus's, which people install on their devices.
//!
//! It is another CA than that of the trunks, because whoever trusts it trusts it for web
//! sites: it can only vouch for names and addresses inside a school (RFC 5280 §4.2.1.10), so
//! that neither its key nor a school's box is of use against any site of the world.

use super::authority::Request;
use super::{CA_LIFE, CaError, bad, name, open_pair, set_life};
use crate::files::{self, Access};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use time::Duration;

const CERTIFICATE: &str = "https-ca.pem";
const KEY: &str = "https-ca.key";

/// What it issues lasts; devices take no more than 825 days, and it is renewed monthly.
const LIFE: Duration = Duration::days(120);

/// Names that are nobody's on the Internet (RFC 6762, RFC 8375, and what routers use).
const DOMAINS: [&str; 4] = ["local", "lan", "internal", "home.arpa"];

/// Names and addresses of one certificate.
const MOST_NAMES: usize = 16;

/// Issues certificates for web servers inside schools.
pub struct WebAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    dir: PathBuf,
}

impl WebAuthority {
    /// Opens the one in the CA directory `dir`, or makes it.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn open_or_make(dir: &Path) -> Result<Self, CaError> {
        let (certificate, key) = (dir.join(CERTIFICATE), dir.join(KEY));
        if !certificate.exists() && !key.exists() {
            make(dir, &certificate, &key)?;
        }
        let issuer = open_pair(dir, &certificate, &key)?;
        let issuer = issuer.ok_or_else(|| CaError::Missing(dir.into()))?.map_err(bad(dir))?;
        let certificate = String::from_utf8_lossy(&files::read(&certificate)?).into_owned();
        Ok(Self { issuer, certificate, dir: dir.to_path_buf() })
    }

    /// What devices install, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate, PEM, for the key of `request` and those of `names` that are inside a
    /// school; `None` when none of them is.
    ///
    /// # Errors
    /// [`CaError::Certificate`].
    pub fn certify(&self, names: &[String], request: &Request) -> Result<Option<String>, CaError> {
        let inside = names.iter().filter_map(|n| inside(n)).take(MOST_NAMES);
        let subjects: Vec<SanType> = inside.collect();
        let Some(first) = names.iter().find(|n| self::inside(n).is_some()) else {
            return Ok(None);
        };
        let mut params = CertificateParams::default();
        params.distinguished_name = name(first);
        params.subject_alt_names = subjects;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_life(&mut params, LIFE);
        request.signed(params, &self.issuer).map(Some).map_err(bad(&self.dir))
    }
}

fn make(dir: &Path, certificate: &Path, key: &Path) -> Result<(), CaError> {
    let pair = KeyPair::generate().map_err(bad(dir))?;
    let mut params = CertificateParams::default();
    params.distinguished_name =
        name(&format!("Cloudschool classrooms {:08x}", rand::random::<u32>()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut inside: Vec<GeneralSubtree> =
        DOMAINS.iter().map(|d| GeneralSubtree::DnsName((*d).to_owned())).collect();
    for (net, prefix) in [
        ([10, 0, 0, 0], 8),
        ([172, 16, 0, 0], 12),
        ([192, 168, 0, 0], 16),
        ([169, 254, 0, 0], 16),
        ([127, 0, 0, 0], 8),
    ] {
        inside.push(GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(net, prefix)));
    }
    let (mut unique, mut link) = ([0; 16], [0; 16]);
    if let (Some(a), Some(b)) = (unique.first_chunk_mut(), link.first_chunk_mut()) {
        (*a, *b) = ([0xfc, 0], [0xfe, 0x80]);
    }
    inside.push(GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(unique, 7)));
    inside.push(GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(link, 10)));
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: inside, excluded_subtrees: Vec::new() });
    set_life(&mut params, CA_LIFE);
    let made = params.self_signed(&pair).map_err(bad(dir))?;
    files::replace(key, pair.serialize_pem().as_bytes(), Access::Owner)?;
    Ok(files::replace(certificate, made.pem().as_bytes(), Access::Everyone)?)
}

/// A name or address inside a school, and nothing that is anybody's outside.
fn inside(name: &str) -> Option<SanType> {
    if let Ok(ip) = name.parse::<IpAddr>() {
        let private = match ip {
            IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
        };
        return private.then_some(SanType::IpAddress(ip));
    }
    let label = |l: &str| {
        !l.is_empty() && l.len() < 64 && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let under = |domain: &&str| {
        name.strip_suffix(*domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    };
    let good = name.len() < 254 && name.split('.').all(label) && DOMAINS.iter().any(under);
    good.then(|| name.to_owned().try_into().ok().map(SanType::DnsName)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    #[test]
    fn only_what_is_inside_a_school_is_vouched_for() {
        for good in ["192.168.1.10", "10.0.0.1", "fd00::1", "school-02.local", "a.b.home.arpa"] {
            assert!(inside(good).is_some(), "{good}");
        }
        for bad in [
            "8.8.8.8",
            "2001:db8::1",
            "bank.example",
            "local",
            ".local",
            "*.local",
            "a..local",
            "evil.local.example",
            "xlocal",
            "school 02.local",
            "学校.local",
        ] {
            assert!(inside(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_browser_that_trusts_it_takes_the_certificate_for_those_names() {
        let dir = tempfile::tempdir().unwrap();
        ca::init(dir.path()).unwrap();
        let authority = WebAuthority::open_or_make(dir.path()).unwrap();
        let request = Request::read(&ca::new_key().unwrap().1).unwrap();
        let names = ["bank.example", "192.168.1.10", "school-02.local"].map(String::from);
        let pem = authority.certify(&names, &request).unwrap().unwrap();
        let again = WebAuthority::open_or_make(dir.path()).unwrap();
        assert_eq!(again.certificate(), authority.certificate());
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap())
            .unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let browser = rustls::client::WebPkiServerVerifier::builder_with_provider(
            std::sync::Arc::new(roots),
            provider,
        )
        .build()
        .unwrap();
        let leaf = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let takes = |name: &str| {
            use rustls::client::danger::ServerCertVerifier;
            let name = ServerName::try_from(name.to_owned()).unwrap();
            browser.verify_server_cert(&leaf, &[], &name, &[], UnixTime::now()).is_ok()
        };
        assert!(takes("192.168.1.10") && takes("school-02.local"));
        assert!(!takes("bank.example") && !takes("192.168.1.11"));
        assert_eq!(authority.certify(&names[..1], &request).unwrap(), None);
    }
}
