//! Mutual TLS 1.3 of the trunk: both ends show a certificate of the campus CA, or there is no
//! connection. One provider (aws-lc-rs), no resumption, so that a certificate is checked anew
//! on every connection.

use aws_lc_rs::hmac;
use cloudschool_protocol::trunk::ALPN;
use quinn::ConnectionIdGenerator;
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use quinn::crypto::{CryptoError, HmacKey};
use quinn_proto::HashedConnectionIdGenerator;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;

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

pub fn server_config(
    roots: &[CertificateDer<'static>],
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<QuicServerConfig, TlsError> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(root_store(roots)?, provider()).build()?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(QuicServerConfig::try_from(config)?)
}

pub fn client_config(
    roots: &[CertificateDer<'static>],
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<QuicClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(root_store(roots)?)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(QuicClientConfig::try_from(config)?)
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
