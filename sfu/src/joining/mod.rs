//! Coming in by a code: students without an account of a platform type a lesson's eight digits
//! and their name, and this node gives them a token that is good at this node, for this lesson.
//!
//! Members talk to their own node only, so nobody else need trust these tokens: each node has a
//! key of its own, and a school's node lets its class in also while the campus is away.

mod misses;

pub use misses::{Misses, RETRY_S};

use crate::lesson::{Lessons, is_seen, may_enter};
use cloudschool_protocol::id::{MemberId, NodeId, SchoolId};
use cloudschool_protocol::join_code::JoinCode;
use cloudschool_protocol::lesson::{LessonInfo, Phase};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::token::{AUDIENCE, Claims, Issuer, MAX_NAME, TokenError};
use cloudschool_protocol::trunk::LessonLine;
use cloudschool_service::auth::Auth;
use cloudschool_service::issuer::{self, IssuerError};
use rand::RngCore;
use std::collections::HashSet;
use std::path::Path;
use uuid::Uuid;

/// How long a token got by a code is good for, in seconds: a school day.
pub const GOOD_FOR_S: u64 = 12 * 3600;

/// Beginning of the id of who came in by a code.
pub const GUEST: &str = "guest-";

/// Whether lessons of this campus get codes, and which.
#[derive(Debug, Clone, Copy)]
pub struct Codes {
    pub given: bool,
}

impl Codes {
    /// `info` with its code: the one the lesson has, else a new one; none where none are given.
    #[must_use]
    pub fn given(self, info: LessonInfo, lessons: &Lessons) -> LessonInfo {
        if !self.given {
            return LessonInfo { code: None, ..info };
        }
        let lines = lessons.lines();
        let own = lines.iter().find(|line| line.info.id == info.id);
        let kept = own.filter(|l| l.phase < Phase::Ended).and_then(|l| l.info.code);
        let taken: HashSet<JoinCode> = lines
            .iter()
            .filter(|l| l.phase < Phase::Ended && l.info.id != info.id)
            .filter_map(|l| l.info.code)
            .collect();
        let mut random = rand::rng();
        let fresh = || {
            std::iter::repeat_with(|| JoinCode::from_random(random.next_u64()))
                .find(|code| !taken.contains(code))
        };
        let code = kept.or(info.code.filter(|c| !taken.contains(c))).or_else(fresh);
        LessonInfo { code, ..info }
    }
}

/// Why someone does not get in by a code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEntry {
    /// No open lesson at this node has the code.
    #[error("no lesson that is open has this code")]
    NoSuchCode,
    #[error("a name has 1 to {MAX_NAME} characters")]
    Name,
    /// The school is not one of the lesson's, or has to be said.
    #[error("the school is not one of this lesson's")]
    School,
    /// The lesson's door is shut to who asks.
    #[error(transparent)]
    Shut(#[from] Refusal),
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// A node's desk: codes in, tokens out.
pub struct Desk {
    issuer: Issuer,
    school: SchoolId,
}

impl Desk {
    /// The desk of the node `name`, with its key in `dir`, which is made when it isn't there.
    /// From now on `auth` accepts what it signs.
    ///
    /// # Errors
    /// [`IssuerError`] when the key can't be read or made.
    pub fn open(
        dir: &Path,
        name: &NodeId,
        school: &SchoolId,
        auth: &mut Auth,
    ) -> Result<Self, IssuerError> {
        issuer::init(dir)?;
        let name = issuer::of_node(name.as_str());
        auth.trust_own(&name, dir)?;
        Ok(Self { issuer: issuer::load_as(dir, &name)?, school: school.clone() })
    }

    /// The open lesson that has `code`.
    #[must_use]
    pub fn lesson(&self, lessons: &Lessons, code: JoinCode) -> Option<LessonLine> {
        let open = |line: &LessonLine| matches!(line.phase, Phase::Open | Phase::Live);
        let lines = lessons.lines().into_iter();
        lines.filter(open).find(|line| line.info.code == Some(code))
    }

    /// The schools one may come in for: the node's own where it is invited, else the campus and
    /// those invited.
    #[must_use]
    pub fn schools(&self, info: &LessonInfo) -> Vec<SchoolId> {
        if info.schools.contains(&self.school) {
            return vec![self.school.clone()];
        }
        let mut all = vec![info.campus.clone()];
        all.extend(info.schools.iter().filter(|s| **s != info.campus).cloned());
        all
    }

    /// Whether the lesson's door is shut to who comes in by its code.
    fn may_enter(
        &self,
        lessons: &Lessons,
        line: &LessonLine,
        claims: &Claims,
    ) -> Result<(), Refusal> {
        let lesson = lessons.get(&line.info.id).ok_or(Refusal::NoSuchLesson)?;
        may_enter(&lesson.state(), &claims.sub, &claims.name, claims.role, &claims.school)
    }

    /// A token for a student called `name` of `school` (which may be left out where there is
    /// only one), good for the lesson with `code` until [`GOOD_FOR_S`] after `now_s`.
    ///
    /// # Errors
    /// [`NoEntry`].
    pub fn token(
        &self,
        lessons: &Lessons,
        code: JoinCode,
        name: &str,
        school: Option<&SchoolId>,
        now_s: u64,
    ) -> Result<(LessonLine, String), NoEntry> {
        let line = self.lesson(lessons, code).ok_or(NoEntry::NoSuchCode)?;
        let name = name.trim();
        let length = name.chars().count();
        let good = (1..=MAX_NAME).contains(&length) && is_seen(name);
        if !good || name.chars().any(char::is_control) {
            return Err(NoEntry::Name);
        }
        let schools = self.schools(&line.info);
        let school = match (school, schools.as_slice()) {
            (Some(said), all) => all.iter().find(|s| *s == said),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let id = MemberId::new(format!("{GUEST}{}", Uuid::new_v4().simple()));
        let sub = id.map_err(|e| TokenError::Claims(e.to_string()))?;
        let claims = Claims {
            aud: AUDIENCE.into(),
            iss: String::new(),
            sub,
            name: name.into(),
            role: Role::Student,
            school: school.ok_or(NoEntry::School)?.clone(),
            lesson: Some(line.info.id.clone()),
            exp: now_s + GOOD_FOR_S,
            nbf: None,
        };
        // Said now, to who has typed it, rather than by the socket after.
        self.may_enter(lessons, &line, &claims)?;
        let token = self.issuer.sign(claims)?;
        Ok((line, token))
    }
}
