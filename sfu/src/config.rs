//! The configuration of a node. `configs/campus.toml` and `configs/school.toml` explain every
//! key to an operator; this is what the program reads.

mod appliance;
mod coming_in;
mod media;
mod school;
mod turn;

pub use appliance::{ApplianceSection, Flow, Watched};
pub use coming_in::{JoiningSection, TimetableSection};
pub use media::MediaSection;
pub use school::{EdgeTlsSection, EnrolmentSection, HttpsSection};
pub use turn::{Secret, TurnSection, needs_credentials};

use crate::assets::AssetLimits;
use crate::lesson::Limits;
use cloudschool_protocol::asset::MAX_ASSET;
use cloudschool_protocol::id::{LessonId, SchoolId};
use cloudschool_protocol::lesson::LessonInfo;
use cloudschool_protocol::token::MAX_NAME;
use cloudschool_protocol::trunk::NodeKind;
use cloudschool_relay::{BadDscp, Dscp};
use cloudschool_service::config::{
    AuthSection, ConfigError, HttpSection, LogSection, NodeSection, TrunkSection,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything a node is told.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub node: NodeSection,
    pub http: HttpSection,
    pub media: MediaSection,
    pub trunk: TrunkSection,
    pub auth: AuthSection,
    #[serde(default)]
    pub https: Option<HttpsSection>,
    #[serde(default)]
    pub enrolment: EnrolmentSection,
    #[serde(default)]
    pub edge_tls: Option<EdgeTlsSection>,
    #[serde(default)]
    pub links: LinksSection,
    #[serde(default)]
    pub limits: LimitsSection,
    #[serde(default)]
    pub spool: SpoolSection,
    #[serde(default)]
    pub turn: TurnSection,
    #[serde(default)]
    pub log: LogSection,
    /// Plain RTP-over-QUIC peers that take part in a lesson.
    #[serde(default)]
    pub appliances: Vec<ApplianceSection>,
    /// What people call schools, by their ids.
    #[serde(default)]
    pub schools: BTreeMap<SchoolId, SchoolName>,
    /// Lessons the origin opens when it starts.
    #[serde(default)]
    pub lessons: Vec<Seed>,
    #[serde(default)]
    pub timetable: TimetableSection,
    #[serde(default)]
    pub joining: JoiningSection,
}

/// `[links]`: pages where people find what other services show of a lesson. The file has the
/// services' addresses; here they are whole, with `{lesson}` standing for the lesson's id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinksSection {
    #[serde(deserialize_with = "library_page")]
    pub library: Option<String>,
    #[serde(deserialize_with = "report_page")]
    pub report: Option<String>,
}

fn library_page<'de, D: Deserializer<'de>>(address: D) -> Result<Option<String>, D::Error> {
    page(address, "library")
}

fn report_page<'de, D: Deserializer<'de>>(address: D) -> Result<Option<String>, D::Error> {
    page(address, "report/{lesson}")
}

fn page<'de, D: Deserializer<'de>>(address: D, path: &str) -> Result<Option<String>, D::Error> {
    let address = String::deserialize(address)?;
    if !address.starts_with("http://") && !address.starts_with("https://") {
        return Err(D::Error::custom("an address begins with http:// or https://"));
    }
    Ok(Some(format!("{}/{path}", address.trim_end_matches('/'))))
}

/// Most chat messages a second that can be told apart from more: the last 200 are looked at, for
/// three seconds back.
const MAX_CHAT_PER_SECOND: usize = 60;

/// `[limits]`: what one lesson and one member may take.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// Most members of one lesson.
    pub members: usize,
    /// Messages a second one lesson socket may send.
    pub messages_per_second: f64,
    /// Messages it may send at once after having been quiet.
    pub message_burst: u32,
    /// Of them, commands of the lesson a second.
    pub commands_per_second: f64,
    /// Commands it may send at once after having been quiet.
    pub command_burst: u32,
    /// Chat messages a second of one lesson, the teacher's not counted; at most 60.
    pub chat_per_second: usize,
    /// Seconds a member whose connection broke has to come back before it counts as gone.
    pub return_within_s: u64,
    /// The same, after this node was restarted.
    pub rejoin_within_s: u64,
    /// Seconds a lesson's page stays connected after the end.
    pub closing_s: u64,
    /// Changes of a board a second one member may make, and at once after having been quiet.
    pub board_changes_per_second: f64,
    pub board_change_burst: u32,
    /// Most bytes of one change.
    pub board_change_bytes: usize,
    /// Most MiB of all changes of one board, of everybody, what was erased included.
    pub board_mb: u64,
    /// Most MiB of one file of a lesson.
    pub asset_mb: u64,
    /// Most MiB of a lesson's files together, and most of them.
    pub lesson_assets_mb: u64,
    pub lesson_assets: usize,
    /// Most MiB of lessons' files a school's node keeps.
    pub asset_cache_mb: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            members: 2000,
            messages_per_second: 50.0,
            message_burst: 100,
            commands_per_second: 10.0,
            command_burst: 40,
            chat_per_second: 20,
            return_within_s: 5,
            rejoin_within_s: 30,
            closing_s: 600,
            board_changes_per_second: 20.0,
            board_change_burst: 100,
            board_change_bytes: 64 * 1024,
            board_mb: 16,
            asset_mb: 20,
            lesson_assets_mb: 400,
            lesson_assets: 2000,
            asset_cache_mb: 2048,
        }
    }
}

impl LimitsSection {
    #[must_use]
    pub fn lesson(&self) -> Limits {
        let chat_per_second = self.chat_per_second.min(MAX_CHAT_PER_SECOND);
        Limits { members: self.members, chat_per_second }
    }

    #[must_use]
    pub fn assets(&self) -> AssetLimits {
        let bytes = |mb: u64| mb.saturating_mul(1 << 20);
        AssetLimits {
            file: bytes(self.asset_mb).min(MAX_ASSET),
            lesson: bytes(self.lesson_assets_mb),
            count: self.lesson_assets,
        }
    }

    /// Most bytes of lessons' files a school's node keeps.
    #[must_use]
    pub fn asset_cache(&self) -> u64 {
        self.asset_cache_mb.saturating_mul(1 << 20)
    }

    /// How much a board takes.
    #[must_use]
    pub fn board(&self) -> crate::board::Limits {
        let board = self.board_mb.saturating_mul(1 << 20);
        crate::board::Limits { change: self.board_change_bytes, board }
    }

    #[must_use]
    pub fn return_within(&self) -> Duration {
        Duration::from_secs(self.return_within_s)
    }

    #[must_use]
    pub fn rejoin_within(&self) -> Duration {
        Duration::from_secs(self.rejoin_within_s)
    }

    #[must_use]
    pub fn closing(&self) -> Duration {
        Duration::from_secs(self.closing_s)
    }
}

/// `[spool]`: what a school's node keeps of its own class for the archive while the campus is away.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolSection {
    /// Most MiB on disk. The oldest part gives way to a newer one.
    pub max_mb: u64,
}

impl Default for SpoolSection {
    fn default() -> Self {
        Self { max_mb: 2048 }
    }
}

impl SpoolSection {
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.max_mb.saturating_mul(1 << 20)
    }
}

/// What people call a school: 1 to [`MAX_NAME`] characters, on one line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SchoolName(String);

impl TryFrom<String> for SchoolName {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        if is_name(&name) {
            return Ok(Self(name));
        }
        Err(format!("a school's name has 1 to {MAX_NAME} characters, on one line"))
    }
}

/// Whether people can be shown it as the name of somebody or something.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=MAX_NAME).contains(&length)
        && !name.trim().is_empty()
        && !name.chars().any(char::is_control)
}

/// `[[lessons]]`: a lesson the origin opens when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    pub id: LessonId,
    pub title: String,
    #[serde(default)]
    pub subject: String,
    #[serde(default)]
    pub grade: String,
    pub teacher: String,
    /// The teacher's campus; this node's school when left out.
    #[serde(default)]
    pub campus: Option<SchoolId>,
    #[serde(default)]
    pub schools: Vec<SchoolId>,
    #[serde(default)]
    pub planned_start_ms: Option<u64>,
    #[serde(default)]
    pub planned_minutes: Option<u32>,
}

impl Seed {
    /// The lesson it describes, at `here` where it names no campus.
    #[must_use]
    pub fn info(&self, here: &SchoolId) -> LessonInfo {
        LessonInfo {
            id: self.id.clone(),
            title: self.title.clone(),
            subject: self.subject.clone(),
            grade: self.grade.clone(),
            teacher: self.teacher.clone(),
            campus: self.campus.clone().unwrap_or_else(|| here.clone()),
            schools: self.schools.clone(),
            school_names: Default::default(),
            planned_start_ms: self.planned_start_ms,
            planned_minutes: self.planned_minutes,
            code: None,
        }
    }
}

/// Keys that don't go together. The text says which.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    #[error(transparent)]
    Load(#[from] ConfigError),
    #[error(
        "[media] bind = \"{0}\" is every address of this machine, which browsers can't be told: \
         name the addresses they reach it at in [media] announce"
    )]
    AnnounceMissing(SocketAddr),
    #[error("[media] announce has {0}, which is no address a browser can send to")]
    AnnounceUseless(IpAddr),
    #[error(
        "[media] announce has {ip}, but bind = \"{bind}\" can't be reached there: \"[::]:{port}\" \
         is all addresses of both families", port = bind.port()
    )]
    AnnounceUnreachable { ip: IpAddr, bind: SocketAddr },
    #[error("[media] port {port} with {shards} shards goes past the last port, 65535")]
    PortsMissing { port: u16, shards: usize },
    #[error("[trunk] needs upstream (a school's node) or listen (the campus's node)")]
    TrunkMissing,
    #[error("[[lessons]] belong to the campus's node; this one has [trunk] upstream")]
    LessonsAtEdge,
    #[error("[[lessons]] has {0} twice")]
    LessonTwice(LessonId),
    #[error("[limits] {0} must be more than 0")]
    Zero(&'static str),
    #[error("[turn] urls has {0:?}, which does not begin with turn:, turns:, stun: or stuns:")]
    TurnUrl(String),
    #[error("[turn] urls has a relay: give the secret it shares in secret or secret_file")]
    TurnSecretMissing,
    #[error("[turn] has both secret and secret_file: leave one out")]
    TurnSecretTwice,
    #[error("[turn] secret_file = \"{}\" can't be read: {source}", file.display())]
    TurnSecretUnreadable { file: PathBuf, source: std::io::Error },
    #[error("[turn] ttl_s must be more than 0")]
    TurnTtl,
    #[error("[trunk] dscp: {0}")]
    Dscp(#[from] BadDscp),
    #[error("[https] has one of certificate and key: give both, or neither")]
    HttpsHalf,
    #[error("[https] needs certificate and key: only a school's node is given them by its campus")]
    HttpsNothing,
    #[error(
        "[enrolment] and [edge_tls] belong to the campus's node; this one has [trunk] upstream"
    )]
    CampusAtEdge,
}

impl Config {
    /// Reads `file` with `env` over it, and checks that it makes sense.
    ///
    /// # Errors
    /// [`InvalidConfig`], naming the key.
    pub fn load(
        file: &Path,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, InvalidConfig> {
        let config: Self = cloudschool_service::config::load(file, env)?;
        config.check()?;
        Ok(config)
    }

    /// What its certificate must say it is.
    #[must_use]
    pub fn kind(&self) -> NodeKind {
        if self.is_edge() { NodeKind::Edge } else { NodeKind::Origin }
    }

    /// What people call schools.
    #[must_use]
    pub fn school_names(&self) -> BTreeMap<SchoolId, String> {
        self.schools.iter().map(|(id, name)| (id.clone(), name.0.clone())).collect()
    }

    /// Whether the node mirrors lessons of a node above it.
    #[must_use]
    pub fn is_edge(&self) -> bool {
        self.trunk.upstream.is_some()
    }

    /// What the trunk's datagrams are marked with.
    ///
    /// # Errors
    /// [`InvalidConfig::Dscp`].
    pub fn dscp(&self) -> Result<Option<Dscp>, InvalidConfig> {
        let mark = self.trunk.dscp.as_ref().map(|mark| mark.to_string().parse());
        Ok(mark.transpose()?)
    }

    fn check(&self) -> Result<(), InvalidConfig> {
        self.media.check()?;
        self.turn.check()?;
        if self.trunk.upstream.is_none() && self.trunk.listen.is_none() {
            return Err(InvalidConfig::TrunkMissing);
        }
        if self.is_edge() && !self.lessons.is_empty() {
            return Err(InvalidConfig::LessonsAtEdge);
        }
        if let Some(https) = &self.https {
            https.check(self.is_edge())?;
        }
        self.dscp()?;
        if self.is_edge() && (self.enrolment.ca.is_some() || self.edge_tls.is_some()) {
            return Err(InvalidConfig::CampusAtEdge);
        }
        for (n, seed) in self.lessons.iter().enumerate() {
            if self.lessons.iter().take(n).any(|s| s.id == seed.id) {
                return Err(InvalidConfig::LessonTwice(seed.id.clone()));
            }
        }
        let limits = &self.limits;
        for (key, zero) in [
            ("members", limits.members == 0),
            (
                "messages_per_second",
                limits.messages_per_second.is_nan() || limits.messages_per_second <= 0.0,
            ),
            ("message_burst", limits.message_burst == 0),
            (
                "board_changes_per_second",
                limits.board_changes_per_second.is_nan() || limits.board_changes_per_second <= 0.0,
            ),
            ("board_change_burst", limits.board_change_burst == 0),
            ("board_change_bytes", limits.board_change_bytes == 0),
            ("board_mb", limits.board_mb == 0),
            ("asset_mb", limits.asset_mb == 0),
            ("asset_cache_mb", limits.asset_cache_mb < limits.asset_mb),
            (
                "commands_per_second",
                limits.commands_per_second.is_nan() || limits.commands_per_second <= 0.0,
            ),
            ("command_burst", limits.command_burst == 0),
            ("chat_per_second", limits.chat_per_second == 0),
        ] {
            if zero {
                return Err(InvalidConfig::Zero(key));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/campus.toml");
    const DISTRICT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/district.toml");
    const SCHOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/school.toml");

    fn load(file: &str, env: &[(&str, &str)]) -> Result<Config, InvalidConfig> {
        let env = env.iter().map(|(k, v)| (format!("CLOUDSCHOOL__{k}"), (*v).to_owned()));
        Config::load(Path::new(file), env)
    }

    #[test]
    fn the_configurations_we_ship_are_good() {
        let campus = load(CAMPUS, &[]).unwrap();
        assert!(!campus.is_edge());
        assert_eq!(campus.lessons[0].info(&campus.node.school).campus, campus.node.school);
        let school = load(SCHOOL, &[]).unwrap();
        assert!(school.is_edge() && school.lessons.is_empty());
        assert!(campus.lessons[0].schools.contains(&school.node.school));
        let district = load(DISTRICT, &[]).unwrap();
        assert!(district.is_edge() && district.trunk.listen.is_some());
    }

    #[test]
    fn a_schools_name_is_short_and_on_one_line() {
        let named = load(CAMPUS, &[("SCHOOLS", r#"{"school-01" = "青山镇中心小学"}"#)]).unwrap();
        let school = SchoolId::new("school-01").unwrap();
        assert_eq!(named.school_names()[&school], "青山镇中心小学");
        for bad in ["", " ", "a\\nb", &"名".repeat(MAX_NAME + 1)] {
            let names = format!(r#"{{"school-01" = "{bad}"}}"#);
            assert!(load(CAMPUS, &[("SCHOOLS", &names)]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_manual_names_every_key_with_its_default() {
        let manual = std::fs::read_to_string(CAMPUS).unwrap();
        let limits = LimitsSection::default();
        for (key, value) in [
            ("members", limits.members.to_string()),
            ("messages_per_second", format!("{:?}", limits.messages_per_second)),
            ("message_burst", limits.message_burst.to_string()),
            ("commands_per_second", format!("{:?}", limits.commands_per_second)),
            ("command_burst", limits.command_burst.to_string()),
            ("chat_per_second", limits.chat_per_second.to_string()),
            ("return_within_s", limits.return_within_s.to_string()),
            ("rejoin_within_s", limits.rejoin_within_s.to_string()),
            ("closing_s", limits.closing_s.to_string()),
            ("board_changes_per_second", format!("{:?}", limits.board_changes_per_second)),
            ("board_change_burst", limits.board_change_burst.to_string()),
            ("board_change_bytes", limits.board_change_bytes.to_string()),
            ("board_mb", limits.board_mb.to_string()),
            ("asset_mb", limits.asset_mb.to_string()),
            ("lesson_assets_mb", limits.lesson_assets_mb.to_string()),
            ("lesson_assets", limits.lesson_assets.to_string()),
            ("asset_cache_mb", limits.asset_cache_mb.to_string()),
            ("tcp", "true".to_owned()),
            ("ttl_s", TurnSection::default().ttl_s.to_string()),
            ("opens_before_min", TimetableSection::default().opens_before_min.to_string()),
        ] {
            assert!(manual.contains(&format!("# {key} = {value}\n")), "{key} = {value}");
        }
        assert_eq!(load(CAMPUS, &[]).unwrap().limits, limits);
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_the_key() {
        for (env, part) in [
            (("MEDIA__BIND", "0.0.0.0:8081"), "[media] announce"),
            (("MEDIA__ANNOUNCE", r#"["0.0.0.0"]"#), "[media] announce"),
            (("MEDIA__SHARDS", "60000"), "65535"),
            (("MEDIA__SHARDS", "0"), "media.shards"),
            (("TRUNK__UPSTREAM", "campus.example:443"), "[[lessons]]"),
            (("LIMITS__MEMBERS", "0"), "[limits] members"),
            (("MEDIA__PORT", "1"), "media"),
            (("MEDIA__ANNOUNCE", r#"["campus.example"]"#), "media.announce"),
            (("MEDIA__ANNOUNCE", r#"["2001:db8::1"]"#), "[media] announce"),
            (("MEDIA__ANNOUNCE", r#"["203.0.113.7:70000"]"#), "media.announce"),
            (("TURN__URLS", r#"["turn:turn.example"]"#), "[turn] urls"),
            (("TURN__URLS", r#"["https://turn.example"]"#), "[turn] urls"),
            (("TURN__SECRET_FILE", "/nowhere/secret"), "/nowhere/secret"),
            (("TURN__TTL_S", "0"), "ttl_s"),
            (("HTTPS__BIND", "127.0.0.1:1"), "[https] needs certificate"),
            (("TRUNK__DSCP", "64"), "[trunk] dscp"),
            (("TRUNK__DSCP", "best"), "[trunk] dscp"),
        ] {
            let err = load(CAMPUS, &[env]).unwrap_err().to_string();
            assert!(err.contains(part), "{env:?}: {err}");
        }
        load(CAMPUS, &[("MEDIA__BIND", "0.0.0.0:1"), ("MEDIA__ANNOUNCE", r#"["10.0.0.1"]"#)])
            .unwrap();
    }

    #[test]
    fn addresses_of_both_families_and_forwarded_ports_are_announced() {
        let list = r#"["203.0.113.7:9000", "2001:db8::1", "[2001:db8::2]:9000", "10.0.0.1"]"#;
        let env = [("MEDIA__BIND", "[::]:8081"), ("MEDIA__ANNOUNCE", list)];
        let media = load(CAMPUS, &env).unwrap().media;
        let told: Vec<String> = media.announce.iter().map(|a| a.at(8081).to_string()).collect();
        let wanted =
            ["203.0.113.7:9000", "[2001:db8::1]:8081", "[2001:db8::2]:9000", "10.0.0.1:8081"];
        assert_eq!(told, wanted);
        assert!(media.tcp);
    }

    #[test]
    fn the_secret_of_the_relay_comes_from_a_file_and_goes_into_no_log() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "north wind\n").unwrap();
        let env = [
            ("TURN__URLS", r#"["turn:t.example"]"#),
            ("TURN__SECRET_FILE", file.to_str().unwrap()),
        ];
        let config = load(CAMPUS, &env).unwrap();
        let secret = config.turn.shared_secret().unwrap().unwrap();
        assert_eq!(secret.as_bytes(), b"north wind");
        let env = [("TURN__URLS", r#"["turn:t.example"]"#), ("TURN__SECRET", "north wind")];
        assert!(!format!("{:?}", load(CAMPUS, &env).unwrap()).contains("north"));
        assert_eq!(load(CAMPUS, &[]).unwrap().turn.shared_secret().unwrap(), None);
    }

    #[test]
    fn links_lead_to_the_pages_of_the_services_named() {
        let links = load(CAMPUS, &[("LINKS__LIBRARY", "https://library.example/")]).unwrap().links;
        assert_eq!(links.library.as_deref(), Some("https://library.example/library"));
        assert_eq!(links.report.as_deref(), Some("http://127.0.0.1:8060/report/{lesson}"));
        let err = load(CAMPUS, &[("LINKS__REPORT", "report.example")]).unwrap_err().to_string();
        assert!(err.contains("links.report") && err.contains("https://"), "{err}");
    }
}
