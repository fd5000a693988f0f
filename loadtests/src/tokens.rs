//! Tokens for synthetic members, signed with a local issuer's key.

use anyhow::{Context, Result};
use cloudschool_protocol::id::{LessonId, MemberId, SchoolId};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::token::{Claims, Issuer};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// `iss` of the issuer a node takes tokens from on its own machine.
const LOCAL: &str = "local";

/// How long a token is good for: a school day.
const VALID_S: u64 = 12 * 3600;

/// Signs tokens.
pub struct Tokens(Issuer);

impl Tokens {
    /// Uses the issuer in `dir`, as `sfu issuer init` makes it.
    ///
    /// # Errors
    /// When the key can't be read.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("issuer.pem");
        let pem = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let issuer =
            Issuer::new(LOCAL, &pem).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self(issuer))
    }

    /// A token for a member; without a lesson, for all of them.
    ///
    /// # Errors
    /// When `member` or `school` is no identifier.
    pub fn sign(
        &self,
        member: &str,
        name: &str,
        role: Role,
        school: &str,
        lesson: Option<&LessonId>,
    ) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is wrong")?;
        let claims = Claims {
            aud: String::new(),
            iss: String::new(),
            sub: MemberId::new(member)?,
            name: name.into(),
            role,
            school: SchoolId::new(school)?,
            lesson: lesson.cloned(),
            exp: now.as_secs() + VALID_S,
            nbf: None,
        };
        Ok(self.0.sign(claims)?)
    }
}
