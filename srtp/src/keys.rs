//! Session keys: what one direction of one session is protected with.

use crate::cipher::BadKeys;
use aws_lc_rs::cipher::{AES_128, EncryptingKey, UnboundCipherKey};
use std::fmt;

/// How packets are protected (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// AEAD_AES_128_GCM: 16-byte tag.
    AeadAes128Gcm,
    /// AES128_CM_HMAC_SHA1_80: 10-byte tag; about five times the work.
    Aes128CmHmacSha1_80,
}

impl Profile {
    /// Bytes of salt in use.
    #[must_use]
    pub fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 12,
            Self::Aes128CmHmacSha1_80 => 14,
        }
    }
}

/// The session keys of one cipher.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CipherKeys {
    pub key: [u8; 16],
    /// The first 12 bytes count for AEAD_AES_128_GCM, all 14 for AES128_CM_HMAC_SHA1_80.
    pub salt: [u8; 14],
    /// The HMAC's key; not used by AEAD_AES_128_GCM.
    pub auth: [u8; 20],
}

impl fmt::Debug for CipherKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CipherKeys(redacted)")
    }
}

/// The keys of one direction: RTP and RTCP have their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    pub profile: Profile,
    pub rtp: CipherKeys,
    pub rtcp: CipherKeys,
}

/// The keys of both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKeys {
    /// For what this side sends.
    pub local: Keys,
    /// For what the other side sends.
    pub remote: Keys,
}

/// The labels of RFC 3711 §4.3.1 and §4.3.2, of RTP; those of RTCP follow 3 above.
const LABEL_KEY: u8 = 0;
const LABEL_AUTH: u8 = 1;
const LABEL_SALT: u8 = 2;
const LABELS_RTCP: u8 = 3;

impl Keys {
    /// Derives the session keys of one direction from its master key and salt (RFC 3711 §4.3,
    /// key derivation rate 0). Of `master_salt` the profile's length counts.
    ///
    /// # Errors
    /// [`BadKeys`].
    pub fn derive(
        profile: Profile,
        master_key: &[u8; 16],
        master_salt: &[u8; 14],
    ) -> Result<Self, BadKeys> {
        let mut salt = *master_salt;
        salt.iter_mut().skip(profile.salt_len()).for_each(|b| *b = 0);
        let prf = Prf { key: *master_key, salt };
        Ok(Self { profile, rtp: prf.cipher(0, profile)?, rtcp: prf.cipher(LABELS_RTCP, profile)? })
    }
}

/// The AES-CM pseudo-random function (RFC 3711 §4.3.3).
struct Prf {
    key: [u8; 16],
    salt: [u8; 14],
}

impl Prf {
    fn cipher(&self, labels: u8, profile: Profile) -> Result<CipherKeys, BadKeys> {
        let mut salt = self.output::<14>(labels + LABEL_SALT)?;
        salt.iter_mut().skip(profile.salt_len()).for_each(|b| *b = 0);
        let auth = match profile {
            Profile::AeadAes128Gcm => [0; 20],
            Profile::Aes128CmHmacSha1_80 => self.output(labels + LABEL_AUTH)?,
        };
        Ok(CipherKeys { key: self.output(labels + LABEL_KEY)?, salt, auth })
    }

    fn output<const N: usize>(&self, label: u8) -> Result<[u8; N], BadKeys> {
        let mut iv = [0; 16];
        iv.iter_mut().zip(self.salt).for_each(|(v, s)| *v = s);
        if let Some(v) = iv.get_mut(7) {
            *v ^= label;
        }
        let key = UnboundCipherKey::new(&AES_128, &self.key).map_err(|_| BadKeys)?;
        let key = EncryptingKey::ctr(key).map_err(|_| BadKeys)?;
        let mut out = [0; N];
        let iv = aws_lc_rs::cipher::EncryptionContext::Iv128(iv.into());
        key.less_safe_encrypt(&mut out, iv).map_err(|_| BadKeys)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::testing::hex;

    /// RFC 3711 §B.3.
    #[test]
    fn session_keys_are_those_of_rfc_3711() {
        let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        let keys = Keys::derive(
            Profile::Aes128CmHmacSha1_80,
            key.first_chunk().unwrap(),
            salt.first_chunk().unwrap(),
        )
        .unwrap();
        assert_eq!(keys.rtp.key.to_vec(), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(keys.rtp.salt.to_vec(), hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(keys.rtp.auth.to_vec(), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
        assert_ne!(keys.rtp, keys.rtcp);
    }

    #[test]
    fn keys_are_never_printed() {
        let keys = Keys::derive(Profile::AeadAes128Gcm, &[171; 16], &[171; 14]).unwrap();
        let text = format!("{:?}", SessionKeys { local: keys.clone(), remote: keys });
        assert!(text.contains("redacted") && !text.contains('['), "{text}");
    }
}
