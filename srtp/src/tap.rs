//! Takes the SRTP session keys over from the engine's DTLS handshake.
//!
//! The engine derives its SRTP keys through the crypto provider it is given, one AES block at
//! a time. [`KeyTap`] is such a provider: it passes everything on to aws-lc-rs and remembers
//! the outputs of that one operation. Which output is which rests on the engine's order of
//! derivation: the local direction first, and per direction RTP key, RTCP key, RTP salt, RTCP
//! salt, and for AES-CM then two blocks each of the RTP and RTCP authentication keys. This
//! crate's tests against the engine itself fail loudly should an upgrade change it.
//!
//! Only the two profiles of [`Profile`] are told apart: an engine that uses a tap must be
//! told to negotiate no other.

use crate::keys::{CipherKeys, Keys, Profile, SessionKeys};
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_crypto::{
    ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CbcAlgorithm, CbcCipher,
    CryptoAlgorithm, CryptoError, HashAlgorithm, HmacAlgorithm, KeyExchangeAlgorithm, Mac,
    PublicKey, RTCCrypto, RTCCryptoProvider, RTCRandom, SignatureScheme, SigningKey, StreamCipher,
    StreamCipherAlgorithm,
};
use std::sync::{Arc, Mutex, PoisonError};

type Block = [u8; 16];

/// Blocks of one direction under AEAD_AES_128_GCM (RFC 7714): keys and salts.
const GCM_BLOCKS: usize = 4;
/// Under AES128_CM_HMAC_SHA1_80 (RFC 3711): the authentication keys take two blocks each.
const CM_BLOCKS: usize = 8;

/// One output of the key derivation.
struct Derived {
    /// Of one direction all are the same, and of the other they are not these.
    master_key: Block,
    block: Block,
}

/// A crypto provider for exactly one peer connection.
#[derive(Default)]
pub struct KeyTap {
    inner: AwsLcRsProvider,
    derived: Mutex<Vec<Derived>>,
}

impl KeyTap {
    /// The keys of both directions, once the handshake is complete. `None` before, and when
    /// the engine derived them in another way than this module knows.
    #[must_use]
    pub fn session_keys(&self) -> Option<SessionKeys> {
        let derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = match derived.len() / 2 {
            GCM_BLOCKS => Profile::AeadAes128Gcm,
            CM_BLOCKS => Profile::Aes128CmHmacSha1_80,
            _ => return None,
        };
        let (local, remote) = derived.split_at_checked(derived.len() / 2)?;
        let local_master = local.first()?.master_key;
        let remote_master = remote.first()?.master_key;
        let halves = local.iter().all(|d| d.master_key == local_master)
            && remote.iter().all(|d| d.master_key == remote_master)
            && local_master != remote_master;
        halves.then_some(())?;
        Some(SessionKeys { local: direction(profile, local)?, remote: direction(profile, remote)? })
    }

    fn crypto(&self) -> &dyn RTCCrypto {
        self.inner.crypto()
    }
}

fn direction(profile: Profile, derived: &[Derived]) -> Option<Keys> {
    Some(Keys {
        profile,
        rtp: cipher(profile, derived, [0, 2, 4])?,
        rtcp: cipher(profile, derived, [1, 3, 6])?,
    })
}

/// A cipher's keys from the blocks where its key, its salt and its authentication key begin.
fn cipher(
    profile: Profile,
    derived: &[Derived],
    [key, salt, auth]: [usize; 3],
) -> Option<CipherKeys> {
    let block = |at: usize| derived.get(at).map(|d| d.block);
    let mut keys = CipherKeys { key: block(key)?, salt: [0; 14], auth: [0; 20] };
    keys.salt.iter_mut().zip(block(salt)?).take(profile.salt_len()).for_each(|(s, b)| *s = b);
    if profile == Profile::Aes128CmHmacSha1_80 {
        let bytes = block(auth)?.into_iter().chain(block(auth + 1)?);
        keys.auth.iter_mut().zip(bytes).for_each(|(a, b)| *a = b);
    }
    Some(keys)
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
        let unknown = CryptoError::UnsupportedAlgorithm(CryptoAlgorithm::BlockCipher(a));
        let (Ok(master_key), Ok(block)) = (key.try_into(), (&*block).try_into()) else {
            return Err(unknown);
        };
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        derived.push(Derived { master_key, block });
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
