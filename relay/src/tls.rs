//! Mutual TLS 1.3 of the trunk: both ends show a certificate of the campus CA, or there is no
//! connection. One provider (aws-lc-rs), no resumption, so that a certificate is checked anew
//! on every connection.

use crate::pinning::{Fingerprint, Pinning};
use aws_lc_rs::hmac;
use quinn::ConnectionIdGenerator;
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use quinn::crypto::{CryptoError, HmacKey};
use quinn_proto::HashedConnectionIdGenerator;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// The name a dialled node's certificate must bear. It is not resolved: nodes are found by
/// the address in a configuration file and known by their certificate.
pub const SERVER_NAME: &str = "trunk.cloudschool.internal";

/// Certificates and key that TLS can't use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    #[error(transparent)]
    Verifier(#[from] VerifierBuilderError),
    #[error(transparent)]
    Suite(#[from] NoInitialCipherSuite),
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn root_store(roots: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, rustls::Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone())?;
    }
    Ok(Arc::new(store))
}

/// A certificate with its key, which may be renewed while connections are made with it.
#[derive(Debug)]
pub struct Credentials(RwLock<Arc<CertifiedKey>>);

impl Credentials {
    /// Key and certificate must belong together.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let pair = CertifiedKey::from_der(chain, key, &provider())?;
        Ok(Self(RwLock::new(Arc::new(pair))))
    }

    /// From now on new connections show this one.
    pub fn replace(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), TlsError> {
        let pair = Arc::new(CertifiedKey::from_der(chain, key, &provider())?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(())
    }

    /// What is shown now, the node's own certificate first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.pair().cert.clone()
    }

    fn pair(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Credentials {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair())
    }
}

impl ResolvesClientCert for Credentials {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.pair())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// For who shows a certificate of the CA in `roots`, and nobody else.
pub fn server_config(
    roots: &[CertificateDer<'static>],
    own: &Arc<Credentials>,
    alpn: &[u8],
) -> Result<QuicServerConfig, TlsError> {
    server_config_of(roots, own, vec![alpn.to_vec()], BTreeSet::new())
}

/// The same for several protocols, and for who shows one of the certificates `pinned`.
pub fn server_config_of(
    roots: &[CertificateDer<'static>],
    own: &Arc<Credentials>,
    alpns: Vec<Vec<u8>>,
    pinned: BTreeSet<Fingerprint>,
) -> Result<QuicServerConfig, TlsError> {
    let mut verifier =
        WebPkiClientVerifier::builder_with_provider(root_store(roots)?, provider()).build()?;
    if !pinned.is_empty() {
        verifier = Arc::new(Pinning { ca: verifier, pinned });
    }
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(own.clone());
    let mut config = unresumed(config, &[]);
    config.alpn_protocols = alpns;
    Ok(QuicServerConfig::try_from(config)?)
}

/// For whoever comes: whoever is behind it must be known by other means.
pub fn open_server_config(
    own: &Arc<Credentials>,
    alpn: &[u8],
) -> Result<QuicServerConfig, TlsError> {
    Ok(QuicServerConfig::try_from(open_server(own, alpn)?)?)
}

/// The same over TCP.
pub fn open_server(own: &Arc<Credentials>, alpn: &[u8]) -> Result<ServerConfig, TlsError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(own.clone());
    Ok(unresumed(config, alpn))
}

fn unresumed(mut config: ServerConfig, alpn: &[u8]) -> ServerConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

/// For a server with a certificate of the CA in `roots`.
pub fn client_config(
    roots: &[CertificateDer<'static>],
    own: &Arc<Credentials>,
    alpn: &[u8],
) -> Result<QuicClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(root_store(roots)?)
        .with_client_cert_resolver(own.clone());
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(QuicClientConfig::try_from(config)?)
}

/// For a server that can't be known by its certificate: it must be by what is said.
pub fn stranger_config(alpn: &[u8]) -> Result<quinn::ClientConfig, TlsError> {
    let config = QuicClientConfig::try_from(stranger(alpn)?)?;
    Ok(quinn::ClientConfig::new(Arc::new(config)))
}

/// The same over TCP.
pub fn stranger(alpn: &[u8]) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let anyone = Arc::new(Anyone(provider.signature_verification_algorithms));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(anyone)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Whether the first of `chain` is a certificate of the CA in `roots` for a trunk's client.
pub fn is_of(
    roots: &[CertificateDer<'static>],
    chain: &[CertificateDer<'static>],
) -> Result<(), TlsError> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(root_store(roots)?, provider()).build()?;
    let (leaf, rest) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
    verifier.verify_client_cert(leaf, rest, UnixTime::now())?;
    Ok(())
}

/// Takes any certificate; only its signature under the handshake is checked.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Keys that QUIC makes connection ids and reset tokens with. They follow from the node's
/// private key, so a node that was restarted still knows the connections of its former life
/// for its own and resets them at once (RFC 9000 §10.3). With random keys its peers would
/// talk to nobody until their idle timeout.
pub struct EndpointKeys {
    reset: Arc<dyn HmacKey>,
    connection_id: u64,
}

impl EndpointKeys {
    pub fn derive(private_key: &[u8]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, private_key);
        let reset = hmac::sign(&root, b"cloudschool trunk: stateless reset");
        let id = hmac::sign(&root, b"cloudschool trunk: connection id");
        let id = id.as_ref().first_chunk::<8>().copied().unwrap_or_default();
        Self {
            reset: Arc::new(ResetKey(hmac::Key::new(hmac::HMAC_SHA256, reset.as_ref()))),
            connection_id: u64::from_be_bytes(id),
        }
    }

    /// The endpoint settings with these keys in.
    pub fn endpoint_config(&self) -> quinn::EndpointConfig {
        let mut config = quinn::EndpointConfig::new(self.reset.clone());
        let key = self.connection_id;
        config.cid_generator(move || -> Box<dyn ConnectionIdGenerator> {
            Box::new(HashedConnectionIdGenerator::from_key(key))
        });
        config
    }
}

struct ResetKey(hmac::Key);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], out: &mut [u8]) {
        out.copy_from_slice(hmac::sign(&self.0, data).as_ref());
    }

    fn signature_len(&self) -> usize {
        hmac::HMAC_SHA256.digest_algorithm().output_len()
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        hmac::verify(&self.0, data, signature).map_err(|_| CryptoError)
    }
}
