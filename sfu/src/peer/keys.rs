//! Takes the SRTP session keys over from the engine's DTLS handshake.
//!
//! The engine derives its SRTP keys through the crypto provider it is given, one AES block at
//! a time. [`KeyTap`] is such a provider: it passes everything on to aws-lc-rs and remembers
//! the outputs of that one operation. Which output is which rests on the engine's order of
//! derivation (RFC 3711 §4.3): per direction, local first: RTP key, RTCP key, RTP salt, RTCP
//! salt, and for AES-CM then two blocks each of the RTP and RTCP authentication keys. The
//! packet path's own tests against a real DTLS peer fail loudly should an upgrade change it.
//!
//! Only the RTP keys of the sending direction are used. SRTCP stays with the engine, under
//! its own key and index, so no nonce is ever used twice.

use rtc_crypto::providers::AwsLcRsProvider;
use rtc_crypto::{
    ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CbcAlgorithm, CbcCipher,
    CryptoAlgorithm, CryptoError, HashAlgorithm, HmacAlgorithm, KeyExchangeAlgorithm, Mac,
    PublicKey, RTCCrypto, RTCCryptoProvider, RTCRandom, SignatureScheme, SigningKey, StreamCipher,
    StreamCipherAlgorithm,
};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

type Block = [u8; 16];

/// Blocks derived for both directions under AEAD_AES_128_GCM (RFC 7714).
const GCM_BLOCKS: usize = 8;
/// Blocks derived for both directions under AES128_CM_HMAC_SHA1_80 (RFC 3711).
const CM_BLOCKS: usize = 16;

/// The keys of one direction of one session, for sealing RTP.
#[derive(Clone, PartialEq, Eq)]
pub enum RtpKeys {
    /// AEAD_AES_128_GCM.
    Gcm { key: [u8; 16], salt: [u8; 12] },
    /// AES128_CM_HMAC_SHA1_80.
    Cm { key: [u8; 16], salt: [u8; 14], auth: [u8; 20] },
}

impl fmt::Debug for RtpKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RtpKeys::Gcm { .. } => "AEAD_AES_128_GCM keys",
            RtpKeys::Cm { .. } => "AES128_CM_HMAC_SHA1_80 keys",
        })
    }
}

/// A crypto provider for exactly one peer connection.
#[derive(Default)]
pub struct KeyTap {
    inner: AwsLcRsProvider,
    blocks: Mutex<Vec<Block>>,
}

impl KeyTap {
    /// The keys this side seals RTP with, once the handshake is complete. `None` when the
    /// engine derived them in another way than this module knows.
    #[must_use]
    pub fn sending_keys(&self) -> Option<RtpKeys> {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let key = *blocks.first()?;
        let salt_block = *blocks.get(2)?;
        match blocks.len() {
            GCM_BLOCKS => Some(RtpKeys::Gcm { key, salt: *salt_block.first_chunk()? }),
            CM_BLOCKS => {
                let mut auth = [0; 20];
                let (head, tail) = auth.split_at_mut(16);
                head.copy_from_slice(blocks.get(4)?);
                tail.copy_from_slice(blocks.get(5)?.get(..4)?);
                Some(RtpKeys::Cm { key, salt: *salt_block.first_chunk()?, auth })
            }
            _ => None,
        }
    }

    fn crypto(&self) -> &dyn RTCCrypto {
        self.inner.crypto()
    }
}

impl RTCCryptoProvider for KeyTap {
    fn name(&self) -> &'static str {
        "aws-lc-rs, session keys tapped"
    }
    fn crypto(&self) -> &dyn RTCCrypto {
        self
    }
    fn random(&self) -> &dyn RTCRandom {
        self.inner.random()
    }
}

type Result<T> = std::result::Result<T, CryptoError>;

impl RTCCrypto for KeyTap {
    fn block_encrypt(&self, a: BlockCipherAlgorithm, key: &[u8], block: &mut [u8]) -> Result<()> {
        self.crypto().block_encrypt(a, key, block)?;
        let output = block
            .first_chunk()
            .copied()
            .ok_or(CryptoError::UnsupportedAlgorithm(CryptoAlgorithm::BlockCipher(a)))?;
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).push(output);
        Ok(())
    }

    fn supports(&self, a: CryptoAlgorithm) -> bool {
        self.crypto().supports(a)
    }
    fn hash(&self, a: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>> {
        self.crypto().hash(a, data)
    }
    fn new_hmac(&self, a: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>> {
        self.crypto().new_hmac(a, key)
    }
    fn new_stream_cipher(
        &self,
        a: StreamCipherAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn StreamCipher>> {
        self.crypto().new_stream_cipher(a, key)
    }
    fn new_aead(&self, a: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadCipher>> {
        self.crypto().new_aead(a, key)
    }
    fn new_cbc(&self, a: CbcAlgorithm, key: &[u8]) -> Result<Box<dyn CbcCipher>> {
        self.crypto().new_cbc(a, key)
    }
    fn start_key_exchange(&self, a: KeyExchangeAlgorithm) -> Result<Box<dyn ActiveKeyExchange>> {
        self.crypto().start_key_exchange(a)
    }
    fn generate_signing_key(&self, s: SignatureScheme) -> Result<Arc<dyn SigningKey>> {
        self.crypto().generate_signing_key(s)
    }
    fn import_signing_key(&self, s: SignatureScheme, der: &[u8]) -> Result<Arc<dyn SigningKey>> {
        self.crypto().import_signing_key(s, der)
    }
    fn verify_signature(
        &self,
        s: SignatureScheme,
        key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        self.crypto().verify_signature(s, key, message, signature)
    }
}
