//! Bearer tokens: JSON Web Tokens signed with Ed25519 (RFC 8037) that say who someone is and
//! what lesson they may enter. A platform issues them with its own key; nodes hold only
//! public keys. The time is an argument, so a test needs no clock.

use crate::id::{LessonId, MemberId, SchoolId};
use crate::member::Role;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use serde::{Deserialize, Serialize};

/// `aud` of every token.
pub const AUDIENCE: &str = "cloudschool";

/// How far the issuer's clock may be off, in seconds.
pub const LEEWAY_S: u64 = 30;

/// Longest token looked at, in bytes.
pub const MAX_TOKEN: usize = 4096;

/// Longest name shown to people, in characters.
pub const MAX_NAME: usize = 64;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Always [`AUDIENCE`].
    pub aud: String,
    /// Who issued it: picks the key.
    pub iss: String,
    /// The member.
    pub sub: MemberId,
    pub name: String,
    pub role: Role,
    pub school: SchoolId,
    /// The lesson it is good for; `None` for all (operators, services, library readers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lesson: Option<LessonId>,
    /// Seconds since the Unix epoch after which it is worthless.
    pub exp: u64,
    /// Seconds since the Unix epoch before which it is not valid yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
}

impl Claims {
    /// Whether the token is good for `lesson`.
    #[must_use]
    pub fn admits_to(&self, lesson: &LessonId) -> bool {
        self.lesson.as_ref().is_none_or(|l| l == lesson)
    }
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is missing or not a signed JSON Web Token")]
    Malformed,
    #[error("the token's issuer is not known here")]
    UnknownIssuer,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token does not say what it must: {0}")]
    Claims(String),
}

/// A key could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {0} key is not Ed25519 in PEM")]
pub struct BadKey(&'static str);

/// Signs tokens.
pub struct Issuer {
    name: String,
    key: EncodingKey,
}

impl Issuer {
    /// `pem` is an Ed25519 private key in PKCS#8 PEM.
    ///
    /// # Errors
    /// [`BadKey`] when it is anything else.
    pub fn new(name: impl Into<String>, pem: &[u8]) -> Result<Self, BadKey> {
        let key = EncodingKey::from_ed_pem(pem).map_err(|_| BadKey("private"))?;
        Ok(Self { name: name.into(), key })
    }

    /// Signs `claims`; `aud` and `iss` are set here.
    ///
    /// # Errors
    /// [`TokenError::Claims`] when they can't be signed.
    pub fn sign(&self, mut claims: Claims) -> Result<String, TokenError> {
        claims.aud = AUDIENCE.into();
        claims.iss.clone_from(&self.name);
        jsonwebtoken::encode(&jsonwebtoken::Header::new(Algorithm::EdDSA), &claims, &self.key)
            .map_err(|e| TokenError::Claims(e.to_string()))
    }
}

/// Checks tokens of any number of issuers.
#[derive(Clone, Default)]
pub struct Verifier {
    issuers: Vec<(String, DecodingKey)>,
}

impl Verifier {
    /// Trusts tokens whose `iss` is `name`, signed by the key whose public half is `pem`.
    ///
    /// # Errors
    /// [`BadKey`] when `pem` is not an Ed25519 public key.
    pub fn trust(&mut self, name: impl Into<String>, pem: &[u8]) -> Result<(), BadKey> {
        let key = DecodingKey::from_ed_pem(pem).map_err(|_| BadKey("public"))?;
        self.issuers.push((name.into(), key));
        Ok(())
    }

    /// Checks `token` at `now`, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// [`TokenError`], whose text may be shown to whoever sent the token.
    pub fn verify(&self, token: &str, now: u64) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.set_audience(&[AUDIENCE]);
        let unverified = jsonwebtoken::dangerous::insecure_decode::<IssuerOnly>(token)
            .map_err(|_| TokenError::Malformed)?;
        let issuer = unverified.claims.iss;
        let key = self.issuers.iter().find(|(name, _)| *name == issuer);
        let (_, key) = key.ok_or(TokenError::UnknownIssuer)?;
        let data = jsonwebtoken::decode::<Claims>(token, key, &validation).map_err(|e| {
            use jsonwebtoken::errors::ErrorKind as K;
            match e.kind() {
                K::InvalidSignature => TokenError::Signature,
                K::Json(e) => TokenError::Claims(e.to_string()),
                K::InvalidAudience => TokenError::Claims("aud must be cloudschool".into()),
                K::MissingRequiredClaim(c) => TokenError::Claims(format!("{c} is missing")),
                _ => TokenError::Malformed,
            }
        })?;
        let claims = data.claims;
        if now > claims.exp.saturating_add(LEEWAY_S) {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| now.saturating_add(LEEWAY_S) < nbf) {
            return Err(TokenError::NotYet);
        }
        let name = claims.name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control)
        {
            return Err(TokenError::Claims(format!("name must be 1 to {MAX_NAME} characters")));
        }
        Ok(claims)
    }
}

#[derive(Deserialize)]
struct IssuerOnly {
    iss: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Keys {
        private: String,
        public: String,
    }

    fn keys() -> Keys {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Keys { private: pair.serialize_pem(), public: pair.public_key_pem() }
    }

    const NOW: u64 = 1_800_000_000;

    fn claims() -> Claims {
        Claims {
            aud: String::new(),
            iss: String::new(),
            sub: MemberId::new("li").unwrap(),
            name: "李老师".into(),
            role: Role::Teacher,
            school: SchoolId::new("campus").unwrap(),
            lesson: Some(LessonId::new("math").unwrap()),
            exp: NOW + 60,
            nbf: None,
        }
    }

    fn verifier(keys: &Keys) -> Verifier {
        let mut v = Verifier::default();
        v.trust("school", keys.public.as_bytes()).unwrap();
        v
    }

    fn issuer(name: &str, keys: &Keys) -> Issuer {
        Issuer::new(name, keys.private.as_bytes()).unwrap()
    }

    #[test]
    fn a_token_says_who_and_where() {
        let keys = keys();
        let token = issuer("school", &keys).sign(claims()).unwrap();
        let got = verifier(&keys).verify(&token, NOW).unwrap();
        assert_eq!(got.name, "李老师");
        assert!(got.admits_to(&LessonId::new("math").unwrap()));
        assert!(!got.admits_to(&LessonId::new("art").unwrap()));
    }

    #[test]
    fn what_is_wrong_with_a_token_is_said() {
        let keys = keys();
        let v = verifier(&keys);
        let good = issuer("school", &keys).sign(claims()).unwrap();
        assert_eq!(v.verify(&good, NOW + 60 + LEEWAY_S + 1), Err(TokenError::Expired));
        assert_eq!(v.verify("", NOW), Err(TokenError::Malformed));
        assert_eq!(v.verify("a.b.c", NOW), Err(TokenError::Malformed));
        assert_eq!(v.verify(&"x".repeat(MAX_TOKEN + 1), NOW), Err(TokenError::Malformed));
        let foreign = issuer("elsewhere", &keys).sign(claims()).unwrap();
        assert_eq!(v.verify(&foreign, NOW), Err(TokenError::UnknownIssuer));
        let forged = issuer("school", &self::keys()).sign(claims()).unwrap();
        assert_eq!(v.verify(&forged, NOW), Err(TokenError::Signature));
        let early = Claims { nbf: Some(NOW + 100), ..claims() };
        let early = issuer("school", &keys).sign(early).unwrap();
        assert_eq!(v.verify(&early, NOW), Err(TokenError::NotYet));
        let unnamed = Claims { name: "  ".into(), ..claims() };
        let unnamed = issuer("school", &keys).sign(unnamed).unwrap();
        assert!(matches!(v.verify(&unnamed, NOW), Err(TokenError::Claims(_))));
    }

    #[test]
    fn an_unsigned_token_is_not_accepted() {
        // {"alg":"none"} . {"iss":"school"} .
        let token = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJzY2hvb2wifQ.";
        assert!(verifier(&keys()).verify(token, NOW).is_err());
    }
}
