//! The behaviour record (行为记录): the unit of exchange of profile `cn.cloudschool.behavior/1`,
//! item by item as `docs/behaviour-data.md` lists them.
//!
//! A [`Behaviour`] is everything about what happened; the store gives it its number and it is
//! a [`Record`]. Neither knows where it is written or how it is handed out.

use crate::codes::Code;
use cloudschool_protocol::id::{LessonId, NodeId, SchoolId};
use cloudschool_protocol::member::Role;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// The profile records are written in (item 02).
pub const PROFILE: &str = "cn.cloudschool.behavior/1";

/// Longest site id (item 04), in characters.
const MAX_SITE: usize = 32;

/// A moment, in milliseconds since the Unix epoch; RFC 3339 UTC with milliseconds in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// `2026-03-02T01:00:00.000Z`.
    #[must_use]
    pub fn text(self) -> String {
        let nanos = i128::from(self.0) * 1_000_000;
        // Years beyond 9999 are nobody's lesson; they are written as the last moment there is.
        let t = OffsetDateTime::from_unix_timestamp_nanos(nanos)
            .unwrap_or(time::PrimitiveDateTime::MAX.assume_utc());
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.millisecond()
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let t = OffsetDateTime::parse(&text, &Rfc3339).map_err(de::Error::custom)?;
        let ms = t.unix_timestamp_nanos() / 1_000_000;
        u64::try_from(ms).map(Self).map_err(|_| de::Error::custom("a moment before 1970"))
    }
}

/// Where a school is in the lesson (item 04).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SiteKind {
    /// 本部: the campus the teacher is at.
    Host,
    /// 远端: every other school.
    Remote,
}

impl SiteKind {
    /// The side `school` is on when the lesson is given at `campus`.
    #[must_use]
    pub fn of(school: &SchoolId, campus: &SchoolId) -> Self {
        if school == campus { Self::Host } else { Self::Remote }
    }
}

/// Who acts (item 05).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ActorRole {
    /// 教师
    T,
    /// 辅讲
    A,
    /// 学生
    S,
    /// 小组
    G,
    /// 班级
    C,
    /// 设备
    D,
}

impl ActorRole {
    /// The actor a member of this role is; `None` for those who look on or look after the
    /// lesson, whose doings are no teaching behaviour.
    #[must_use]
    pub fn of(role: Role) -> Option<Self> {
        match role {
            Role::Teacher => Some(Self::T),
            Role::Assistant => Some(Self::A),
            Role::Student => Some(Self::S),
            Role::Classroom => Some(Self::C),
            Role::Observer | Role::Operator => None,
        }
    }
}

/// Who acted, under a pseudonym.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub id: String,
    pub role: ActorRole,
}

/// When in teaching it happened (item 07).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TeachingPhase {
    /// 课前
    Pre,
    /// 课中
    In,
    /// 课后
    Post,
}

/// What a behaviour is directed at (item 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    Question,
    Poll,
    Quiz,
    Resource,
    Screen,
    Board,
    Person,
    Group,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    #[serde(rename = "type")]
    pub kind: ObjectKind,
    pub id: String,
}

/// What came of it (item 11).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

impl Outcome {
    /// An outcome that says no more than how long it took.
    #[must_use]
    pub fn lasting(duration_ms: u64) -> Self {
        Self { duration_ms: Some(duration_ms), ..Self::default() }
    }
}

/// How a behaviour became known (item 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A person's act.
    Signal,
    /// Voice activity.
    Media,
    /// A human coder.
    Manual,
    /// Computed from other records.
    Derived,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub kind: SourceKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// 0 to 1; always there for [`SourceKind::Media`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
}

impl Origin {
    /// A person did it.
    #[must_use]
    pub fn signal() -> Self {
        Self { kind: SourceKind::Signal, device: None, confidence: None }
    }
}

/// A behaviour, not yet numbered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Behaviour {
    pub id: Uuid,
    pub profile: String,
    pub lesson_id: LessonId,
    pub session_id: Uuid,
    /// The platform's own id of the school. Exports put the school identifier in its place
    /// where the profile file has one.
    pub school_id: String,
    pub site_id: String,
    pub site_kind: SiteKind,
    pub actor: Actor,
    pub code: Code,
    pub phase: TeachingPhase,
    pub start: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Outcome>,
    pub source: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Uuid>,
}

/// What the profile doesn't allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("item 01: the id is nil")]
    Id,
    #[error("item 02: the profile is {0}, not {PROFILE}")]
    Profile(String),
    #[error("item 03: the session is nil")]
    Session,
    #[error("item 04: the site id must be 1 to 32 characters")]
    Site,
    #[error("item 05: the actor id must be 32 hex digits")]
    Actor,
    #[error("item 08: it ends before it starts")]
    End,
    #[error("item 10: {0} needs an object")]
    Object(Code),
    #[error("item 12: media needs a confidence from 0 to 1")]
    Confidence,
}

impl Behaviour {
    /// Checks what the types leave open.
    ///
    /// # Errors
    /// [`Invalid`] with the number of the item.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.id.is_nil() {
            return Err(Invalid::Id);
        }
        if self.profile != PROFILE {
            return Err(Invalid::Profile(self.profile.clone()));
        }
        if self.session_id.is_nil() {
            return Err(Invalid::Session);
        }
        if self.site_id.is_empty() || self.site_id.len() > MAX_SITE {
            return Err(Invalid::Site);
        }
        let id = &self.actor.id;
        if id.len() != 32 || !id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Invalid::Actor);
        }
        if self.end.is_some_and(|end| end < self.start) {
            return Err(Invalid::End);
        }
        if self.code.needs_object() && self.object.is_none() {
            return Err(Invalid::Object(self.code));
        }
        match (self.source.kind, self.source.confidence) {
            (SourceKind::Media, None) => Err(Invalid::Confidence),
            (_, Some(c)) if !(0.0..=1.0).contains(&c) => Err(Invalid::Confidence),
            _ => Ok(()),
        }
    }

    /// How long it took; 0 for an instant.
    #[must_use]
    pub fn lasted_ms(&self) -> u64 {
        self.end.map_or(0, |end| end.0.saturating_sub(self.start.0))
    }
}

/// A behaviour with its number in the session (item 14).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    #[serde(flatten)]
    pub behaviour: Behaviour,
    pub seq: u64,
}

/// The site id of `node`: its name, or, where that is longer than 32 characters, its begin
/// and a hash of the whole.
#[must_use]
pub fn site_id(node: &NodeId) -> String {
    let name = node.as_str();
    if name.len() <= MAX_SITE {
        return name.into();
    }
    let hash = Uuid::from_bytes(digest16(name.as_bytes())).simple().to_string();
    format!("{}-{}", &name[..MAX_SITE - 9], &hash[..8])
}

/// An identifier that follows from `parts` and the moment: in the form of a UUID version 7
/// (RFC 9562 §5.7) whose time is `at_ms` and whose other bits are a hash in place of random.
#[must_use]
pub fn computed_id(at_ms: u64, parts: &[&str]) -> Uuid {
    let mut text = Vec::new();
    for part in parts {
        text.extend_from_slice(part.as_bytes());
        // No identifier holds this byte, so no two lists of parts give the same text.
        text.push(0);
    }
    let hash = digest16(&text);
    let mut rest = [0; 10];
    rest.copy_from_slice(&hash[..10]);
    uuid::Builder::from_unix_timestamp_millis(at_ms, &rest).into_uuid()
}

fn digest16(bytes: &[u8]) -> [u8; 16] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut out = [0; 16];
    out.copy_from_slice(&digest.as_ref()[..16]);
    out
}

#[cfg(test)]
pub mod example {
    use super::*;

    /// A valid record to change in tests.
    pub fn hand() -> Behaviour {
        Behaviour {
            id: computed_id(1_800_000_060_500, &["hand"]),
            profile: PROFILE.into(),
            lesson_id: LessonId::new("math").unwrap(),
            session_id: computed_id(1_800_000_000_000, &["session"]),
            school_id: "school-01".into(),
            site_id: "school-01".into(),
            site_kind: SiteKind::Remote,
            actor: Actor { id: "0123456789abcdef0123456789abcdef".into(), role: ActorRole::S },
            code: Code::S01,
            phase: TeachingPhase::In,
            start: Timestamp(1_800_000_060_500),
            end: None,
            offset_ms: Some(60_500),
            object: None,
            result: None,
            source: Origin::signal(),
            cause: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_has_the_names_of_the_table() {
        let record = Record { behaviour: example::hand(), seq: 7 };
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["start"], "2027-01-15T08:01:00.500Z");
        assert_eq!(json["offsetMs"], 60_500);
        assert_eq!(json["siteKind"], "remote");
        assert_eq!(json["actor"]["role"], "S");
        assert_eq!(json["code"], "S01");
        assert_eq!(json["phase"], "in");
        assert_eq!(json["source"], serde_json::json!({"kind": "signal"}));
        assert_eq!(json["seq"], 7);
        assert!(json.get("end").is_none() && json.get("object").is_none());
        assert_eq!(serde_json::from_value::<Record>(json).unwrap(), record);
    }

    #[test]
    fn what_the_profile_does_not_allow_is_refused_by_item() {
        let good = example::hand();
        assert_eq!(good.check(), Ok(()));
        let early = Behaviour { end: Some(Timestamp(1)), ..good.clone() };
        assert_eq!(early.check(), Err(Invalid::End));
        let unsure = Origin { kind: SourceKind::Media, device: None, confidence: None };
        let unsure = Behaviour { source: unsure, ..good.clone() };
        assert_eq!(unsure.check(), Err(Invalid::Confidence));
        let over = Origin { kind: SourceKind::Media, device: None, confidence: Some(1.5) };
        assert_eq!(Behaviour { source: over, ..good.clone() }.check(), Err(Invalid::Confidence));
        let nobody = Behaviour { code: Code::T12, ..good.clone() };
        assert_eq!(nobody.check(), Err(Invalid::Object(Code::T12)));
        let named = Actor { id: "王小明".into(), role: ActorRole::S };
        assert_eq!(Behaviour { actor: named, ..good.clone() }.check(), Err(Invalid::Actor));
        assert_eq!(Behaviour { session_id: Uuid::nil(), ..good }.check(), Err(Invalid::Session));
    }

    #[test]
    fn a_computed_id_is_a_version_7_of_its_time_and_depends_on_every_part() {
        let id = computed_id(1_800_000_000_123, &["a", "bc"]);
        assert_eq!(id.get_version_num(), 7);
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        assert_eq!((seconds, nanos), (1_800_000_000, 123_000_000));
        assert_eq!(id, computed_id(1_800_000_000_123, &["a", "bc"]));
        assert_ne!(id, computed_id(1_800_000_000_123, &["ab", "c"]));
    }

    #[test]
    fn a_long_node_name_keeps_apart_in_its_short_form() {
        let long = |end: &str| site_id(&NodeId::new(format!("{}{end}", "x".repeat(60))).unwrap());
        assert_eq!(long("a").len(), MAX_SITE);
        assert_ne!(long("a"), long("b"));
        assert_eq!(site_id(&NodeId::new("school-01").unwrap()), "school-01");
    }

    proptest! {
        #[test]
        fn a_timestamp_survives_its_text(ms in 0u64..4_000_000_000_000) {
            let json = serde_json::to_string(&Timestamp(ms)).unwrap();
            prop_assert_eq!(json.len(), 26);
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), Timestamp(ms));
        }
    }
}
