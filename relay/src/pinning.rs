//! Certificates that are known themselves, where there is no CA that both ends trust: an
//! appliance that made its own is known by its fingerprint. Such a certificate is good for plain
//! peers and never for a trunk, whatever it says of itself.

use aws_lc_rs::digest;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

const LENGTH: usize = digest::SHA256_OUTPUT_LEN;

/// SHA-256 of a certificate's DER.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; LENGTH]);

impl Fingerprint {
    /// Of a certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let digest = digest::digest(&digest::SHA256, certificate);
        Self(digest.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

/// What can't be read as a fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no SHA-256 fingerprint: 64 hexadecimal digits, with or without colons")]
pub struct NotAFingerprint(String);

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    /// Reads it as `openssl x509 -fingerprint -sha256` writes it, or without colons.
    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let wrong = || NotAFingerprint(text.to_owned());
        let digits: Option<Vec<u8>> = text
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
            .collect();
        let digits = digits.filter(|d| d.len() == 2 * LENGTH).ok_or_else(wrong)?;
        let mut bytes = [0; LENGTH];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |all, digit| all << 4 | digit);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes the certificates of a CA, and these.
#[derive(Debug)]
pub struct Pinning {
    pub ca: Arc<dyn ClientCertVerifier>,
    pub pinned: BTreeSet<Fingerprint>,
}

impl ClientCertVerifier for Pinning {
    /// None: one who is asked for a certificate of the CA may show no other.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.pinned.contains(&Fingerprint::of(certificate)) {
            return Ok(ClientCertVerified::assertion());
        }
        self.ca.verify_client_cert(certificate, chain, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.ca.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.ca.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.ca.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_openssl_writes_it() {
        let own = Fingerprint::of(&CertificateDer::from(vec![1, 2, 3]));
        let plain = own.to_string();
        // sha256sum of these three bytes.
        assert_eq!(plain, "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81");
        let pairs: Vec<&str> = (0..LENGTH).map(|n| &plain[2 * n..2 * n + 2]).collect();
        let colons = pairs.join(":").to_uppercase();
        assert_eq!((plain.parse(), colons.parse()), (Ok(own), Ok(own)));
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        for text in ["", "ab", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(64)]
        {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
